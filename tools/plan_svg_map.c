/* Memory maps: time to the right, bytes upwards, one rectangle per buffer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "plan/pipeline.h"
#include "plan_svg.h"
#include "svg.h"

#define MARGIN BFI_PLAN_SVG_MARGIN
#define AXIS 76 /* room for the bytes beside a map */
#define STRIP 18
#define LETTER 10 /* size of text in a map */
#define LABELLED_OPS 64

/* The plane of a map: |units| columns from |left|, |bytes| from the bottom up. */
typedef struct plane {
    double left, top, width, height;
    int units;
    int64_t bytes;
} plane;

static double x_of(const plane *p, double unit) { return p->left + p->width * unit / p->units; }

static double y_of(const plane *p, int64_t byte) {
    return p->top + p->height * (1 - (double)byte / (double)p->bytes);
}

/* Roles of vectors that belong together: what they are for. */
static const struct {
    const char *fill, *stroke, *meaning;
    bfi_role first, last;
} groups[] = {{"#cfe0f3", "#2b6ca3", "intervals", BFI_ROLE_LO, BFI_ROLE_HI_T},
              {"#f6cfcf", "#a83a3a", "error terms", BFI_ROLE_E, BFI_ROLE_E_SUM},
              {"#d5eccf", "#3a8a36", "relaxations", BFI_ROLE_S_POS, BFI_ROLE_T_NEG},
              {"#ece0b8", "#8f7a1f", "choices of max pooling, rows to bound", BFI_ROLE_PICK_LO,
               BFI_ROLE_ROWS}};
enum { GROUPS = sizeof groups / sizeof *groups };

static const char *const series[] = {"#fde2c8", "#d6e8f7", "#d8efd4",
                                     "#e8dcf5", "#f9d9e3", "#ece7c3"};
enum { SERIES = sizeof series / sizeof *series };

static int group_of(bfi_role role) {
    for (int g = 0; g < GROUPS; g++)
        if (role >= groups[g].first && role <= groups[g].last) return g;
    return 0;
}

/* A buffer; |name| is written inside where it fits, |about| on hovering. */
typedef struct block {
    int first, end; /* columns, |end| excluded */
    int64_t offset, bytes;
    const char *fill, *stroke, *name, *about;
    bool in_place;
} block;

static void write_block(const plane *p, const block *b, FILE *out) {
    double x = x_of(p, b->first), width = x_of(p, b->end) - x, y = y_of(p, b->offset + b->bytes),
           height = y_of(p, b->offset) - y;
    fprintf(out,
            "<g><title>%s</title><rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
            "fill=\"%s\" stroke=\"%s\" stroke-width=\"0.7\"%s/>\n",
            b->about, x, y, width, height, b->fill, b->stroke,
            b->in_place ? " stroke-dasharray=\"4 2\"" : "");
    double length = bfi_svg_width(b->name, LETTER);
    if (height >= LETTER + 1 && length + 4 <= width)
        fprintf(out, "<text x=\"%.2f\" y=\"%.2f\" font-size=\"%d\">%s</text>\n", x + 3,
                y + height / 2 + 3.5, LETTER, b->name);
    fputs("</g>\n", out);
}

/* Escapes |name| into |text|, cut to what fits. */
static void escape(const char *name, char *text, size_t size) {
    FILE *to = fmemopen(text, size - 1, "w");
    text[0] = '\0';
    if (!to) return;
    int length = (int)strlen(name);
    bfi_svg_text(to, name, length < (int)size / 6 - 1 ? length : (int)size / 6 - 1);
    fclose(to);
    text[size - 1] = '\0';
}

/* Bytes at a tick: a power of two times 1 or 1/2 such that there are four to eight. */
static int64_t tick_bytes(int64_t bytes) {
    int64_t tick = 1;
    while (bytes / tick >= 8) tick *= 2;
    return tick;
}

static void write_axes(const plane *p, const char *across, FILE *out) {
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#fafafa\" "
            "stroke=\"#999\"/>\n",
            p->left, p->top, p->width, p->height);
    for (int64_t at = 0; at <= p->bytes; at += tick_bytes(p->bytes)) {
        char text[32];
        bfi_cli_bytes(at, text, sizeof text);
        fprintf(out,
                "<path d=\"M%.1f %.1fh%.1f\" stroke=\"#ddd\"/><text x=\"%.1f\" y=\"%.1f\" "
                "font-size=\"10\" text-anchor=\"end\">%s</text>\n",
                p->left, y_of(p, at), p->width, p->left - 6, y_of(p, at) + 3.5, text);
    }
    int every = 1;
    while (p->width / p->units * every < 22) every *= 2;
    for (int u = 0; u < p->units; u += every)
        fprintf(out,
                "<text x=\"%.1f\" y=\"%.1f\" font-size=\"10\" text-anchor=\"middle\">%d</text>\n",
                x_of(p, u + 0.5), p->top + p->height + 13, u);
    bfi_svg_say(out, p->left + p->width / 2, p->top + p->height + 28,
                "font-size=\"11\" text-anchor=\"middle\" fill=\"#444\"", across);
    fprintf(out,
            "<text transform=\"translate(%d %.1f) rotate(-90)\" font-size=\"11\" "
            "text-anchor=\"middle\" fill=\"#444\">offset</text>\n",
            MARGIN - 8, p->top + p->height / 2);
}

/* Over the map: whose steps these are. */
static void write_strip(const plane *p, const bf_plan *plan, FILE *out) {
    for (int t = 0; t < bf_plan_task_count(plan); t++) {
        bf_task_info task = bf_plan_task(plan, t);
        const bfi_plan_colors *color = bfi_plan_svg_colors(task.kind);
        double x = x_of(p, task.first_step), width = x_of(p, task.first_step + task.steps) - x;
        char text[64];
        snprintf(text, sizeof text, "%d %s", t, task.kind);
        if (bfi_svg_width(text, LETTER) + 6 > width) snprintf(text, sizeof text, "%d", t);
        fprintf(out,
                "<rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" fill=\"%s\" "
                "stroke=\"%s\" stroke-width=\"0.7\"/><text x=\"%.2f\" y=\"%.1f\" "
                "font-size=\"%d\" text-anchor=\"middle\">%s</text>\n",
                x, p->top - STRIP - 2, width, STRIP, color->fill, color->stroke, x + width / 2,
                p->top - 7, LETTER, text);
    }
}

/* Where a block ends that lives up to |last|, and whose place is taken over at |taken| (-1: never):
 * the two overlap in the picture otherwise. */
static int end_of(int first, int last, int taken) { return taken > first ? taken : last + 1; }

static int vector_end(const bf_plan *plan, int index) {
    const bfi_vector *v = &plan->vectors[index];
    int taken = -1;
    for (int i = 0; i < plan->vector_count && taken < 0; i++)
        if (plan->vectors[i].alias_of == index) taken = plan->vectors[i].first;
    return end_of(v->first, v->last, taken);
}

static void write_vector(const plane *p, const bf_plan *plan, int index, FILE *out) {
    const bfi_vector *v = &plan->vectors[index];
    char layer[512], name[560], about[900], bytes[32];
    const char *role = bfi_role_name(v->role);
    escape(plan->graph->nodes[v->value].name, layer, sizeof layer);
    bfi_cli_bytes(v->bytes, bytes, sizeof bytes);
    snprintf(name, sizeof name, "%s %s", role, layer);
    snprintf(about, sizeof about, "%s: %s at byte %lld, steps %d to %d%s", name, bytes,
             (long long)v->offset, v->first, v->last, v->alias_of >= 0 ? ", in place" : "");
    int g = group_of(v->role);
    /* Where the layer's name does not fit, the role may. */
    int end = vector_end(plan, index);
    double room = x_of(p, end) - x_of(p, v->first) - 4;
    const char *label = bfi_svg_width(name, LETTER) <= room ? name : role;
    write_block(p,
                &(block){.first = v->first,
                         .end = end,
                         .offset = v->offset,
                         .bytes = v->bytes,
                         .fill = groups[g].fill,
                         .stroke = groups[g].stroke,
                         .name = label,
                         .about = about,
                         .in_place = v->alias_of >= 0},
                out);
}

double bfi_plan_svg_vectors(const bfi_plan_view *view, double top, double width, FILE *out) {
    const bf_plan *plan = view->plan;
    bf_memory_info m = bf_plan_memory(plan);
    double count = plan->vector_count;
    plane p = {MARGIN + AXIS,
               top + 58,
               width - 2 * MARGIN - AXIS,
               fmin(900, fmax(240, 9 * count)),
               m.steps,
               m.persistent_bytes ? m.persistent_bytes : 1};
    bfi_svg_say(out, MARGIN, top, "font-size=\"14\" font-weight=\"bold\"",
                "Persistent memory: vectors that live from step to step");
    double x = MARGIN;
    for (int g = 0; g < GROUPS; g++)
        x = bfi_svg_key(out, x, top + 22, groups[g].fill, groups[g].stroke, groups[g].meaning);
    bfi_svg_say(out, x, top + 22, "font-size=\"11\" fill=\"#444\"",
                "dashed: takes over, in place, what another vector leaves");
    write_axes(&p, "step", out);
    write_strip(&p, plan, out);
    write_block(&p,
                &(block){.end = m.steps,
                         .offset = plan->e_flat,
                         .bytes = plan->graph->count * (int64_t)sizeof(double),
                         .fill = "#e6e6e6",
                         .stroke = "#555",
                         .name = "error per op",
                         .about = "error per lane of every op, whatever its coefficients"},
                out);
    for (int i = 0; i < plan->vector_count; i++) write_vector(&p, plan, i, out);
    return p.top + p.height + 34;
}

/* The program that makes tiles as high as they are; of those the longest. -1: there is none. */
static int tallest_program(const bf_plan *plan) {
    int best = -1;
    for (int i = 0; i < plan->program_count; i++) {
        const bfi_program *p = &plan->programs[i], *b = best < 0 ? NULL : &plan->programs[best];
        if (!b || p->height > b->height || (p->height == b->height && p->op_count > b->op_count))
            best = i;
    }
    return best;
}

/* Under the map: what each op is, upright where that is legible. */
static void write_ops(const plane *p, const bf_plan *plan, const bfi_program *program, FILE *out) {
    for (int i = 0; i < program->op_count; i++) {
        const bfi_back_op *op = &program->ops[i];
        char layer[256], cut[64];
        escape(bfi_plan_short_name(plan->graph->nodes[op->node].name, 16, cut, sizeof cut), layer,
               sizeof layer);
        fprintf(out,
                "<text transform=\"translate(%.1f %.1f) rotate(-55)\" font-size=\"10\" "
                "text-anchor=\"end\">%s %s</text>\n",
                x_of(p, i + 0.5) + 4, p->top + p->height + 24, layer, bfi_back_name(op->kind));
    }
}

static void write_coefficients(const plane *p, const bf_plan *plan, const bfi_program *program,
                               int64_t lane, int index, FILE *out) {
    const bfi_buffer *b = &program->buffers[index];
    const bfi_back_op *op = &program->ops[b->first];
    char layer[512], about[900], bytes[32];
    int taken = -1;
    for (int i = index + 1; i < program->buffer_count && taken < 0; i++)
        if (program->buffers[i].alias_of == index) taken = program->buffers[i].first;
    escape(plan->graph->nodes[op->node].name, layer, sizeof layer);
    bfi_cli_bytes(b->count * lane, bytes, sizeof bytes);
    snprintf(about, sizeof about,
             "coefficients written by %s of %s: %s at byte %lld, ops %d to %d%s",
             bfi_back_name(op->kind), layer, bytes, (long long)(b->offset * lane), b->first,
             b->last, b->alias_of >= 0 ? ", in place" : "");
    write_block(p,
                &(block){.first = b->first,
                         .end = end_of(b->first, b->last, taken),
                         .offset = b->offset * lane,
                         .bytes = b->count * lane,
                         .fill = series[index % SERIES],
                         .stroke = "#555",
                         .name = layer,
                         .about = about,
                         .in_place = b->alias_of >= 0},
                out);
}

double bfi_plan_svg_tile(const bfi_plan_view *view, double top, double width, FILE *out) {
    const bf_plan *plan = view->plan;
    int best = tallest_program(plan);
    if (best < 0) {
        bfi_svg_say(out, MARGIN, top, "fill=\"#444\"", "This plan has no backward programs.");
        return top;
    }
    const bfi_program *program = &plan->programs[best];
    int64_t lane = plan->tile_lanes * (int64_t)bfi_dtype_size(plan->dtype);
    plane p = {MARGIN + AXIS, top + 40,          width - 2 * MARGIN - AXIS,
               300,           program->op_count, plan->tile_bytes};
    char text[320], rest[32];
    bool named = program->op_count <= LABELLED_OPS;
    snprintf(text, sizeof text,
             "A tile of %lld lanes: coefficients of the program that needs most, "
             "which bounds %.120s%s",
             (long long)plan->tile_lanes, plan->graph->nodes[program->target].name,
             program->spec ? " (rows of the spec)" : "");
    bfi_svg_say(out, MARGIN, top, "font-size=\"14\" font-weight=\"bold\"", text);
    bfi_svg_say(out, MARGIN, top + 20, "font-size=\"11\" fill=\"#444\"",
                "named by the layer whose op writes them; dashed: in place of what was there");
    write_axes(&p, named ? "" : "op of the program", out);
    if (named) write_ops(&p, plan, program, out);
    for (int i = 0; i < program->buffer_count; i++)
        write_coefficients(&p, plan, program, lane, i, out);
    int64_t used = program->height * lane;
    bfi_cli_bytes(plan->tile_bytes - used, rest, sizeof rest);
    snprintf(text, sizeof text, "sums, errors and signs of each lane: %s", rest);
    if (used < plan->tile_bytes)
        write_block(&p,
                    &(block){.end = program->op_count,
                             .offset = used,
                             .bytes = plan->tile_bytes - used,
                             .fill = "#e6e6e6",
                             .stroke = "#555",
                             .name = text,
                             .about = text},
                    out);
    return p.top + p.height + (named ? 164 : 34);
}
