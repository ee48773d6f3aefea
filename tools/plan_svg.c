#include "plan_svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli.h"
#include "plan/plan.h"
#include "svg.h"
#include "terminal.h"

#define MARGIN BFI_PLAN_SVG_MARGIN
#define BOX_WIDTH 132
#define BOX_HEIGHT 58
#define BOX_GAP 14   /* between boxes of one wave */
#define LINE_GAP 34  /* between lines of waves */
#define FEW_TASKS 12 /* so many edges get labels */

static const bfi_plan_colors colors[] = {{"forward", "#d6e8f7", "#2b6ca3"},
                                         {"layout", "#e8dcf5", "#7a4fb0"},
                                         {"backward", "#fde2c8", "#c8641b"},
                                         {"spec", "#d8efd4", "#3a8a36"},
                                         {"all", "#e6e6e6", "#555555"}};
enum { COLORS = sizeof colors / sizeof *colors };

const bfi_plan_colors *bfi_plan_svg_colors(const char *kind) {
    for (int i = 0; i < COLORS; i++)
        if (strcmp(colors[i].kind, kind) == 0) return &colors[i];
    return &colors[COLORS - 1];
}

/* Where the tasks stand: waves from left to right, wrapped like words into lines. */
typedef struct layout {
    const bf_plan *plan;
    int tasks, waves, columns;
    double left, gap;
    double *x, *y;        /* by task */
    double *wave_y;       /* by wave: how high its boxes are together, then where its line starts */
    unsigned char *reach; /* [task][earlier task]: must have run before it */
    bool labels;
    double bottom;
} layout;

static bool before(const layout *l, int task, int earlier) {
    return l->reach[(size_t)task * (size_t)l->tasks + (size_t)earlier] != 0;
}

/* Tasks stand in topological order: what an earlier one reaches is known. */
static void find_reach(layout *l) {
    for (int t = 0; t < l->tasks; t++) {
        unsigned char *row = l->reach + (size_t)t * (size_t)l->tasks;
        int edges = bf_plan_task(l->plan, t).edges;
        for (int e = 0; e < edges; e++) {
            int from = bf_plan_edge(l->plan, t, e).from;
            if (row[from]) continue;
            row[from] = 1;
            for (int u = 0; u < from; u++) row[u] |= before(l, from, u);
        }
    }
}

static bool edge_from(const bf_plan *plan, int task, int from) {
    int edges = bf_plan_task(plan, task).edges;
    for (int e = 0; e < edges; e++)
        if (bf_plan_edge(plan, task, e).from == from) return true;
    return false;
}

/* |task| waits for |from|, and for nothing that waits for it: the others are implied. */
static bool drawn(const layout *l, int task, int from) {
    if (!edge_from(l->plan, task, from)) return false;
    for (int t = from + 1; t < task; t++)
        if (before(l, task, t) && before(l, t, from)) return false;
    return true;
}

static void place(layout *l, double top, double width) {
    l->columns = (int)((width - 2 * MARGIN + l->gap) / (BOX_WIDTH + l->gap));
    if (l->columns < 1) l->columns = 1;
    for (int t = 0; t < l->tasks; t++) {
        int wave = bf_plan_task(l->plan, t).wave;
        l->x[t] = l->left + (wave % l->columns) * (BOX_WIDTH + l->gap);
        l->y[t] = l->wave_y[wave];
        l->wave_y[wave] += BOX_HEIGHT + BOX_GAP;
    }
    for (int first = 0; first < l->waves; first += l->columns) {
        double height = 0;
        for (int w = first; w < l->waves && w < first + l->columns; w++)
            height = fmax(height, l->wave_y[w]);
        for (int t = 0; t < l->tasks; t++) {
            int wave = bf_plan_task(l->plan, t).wave;
            if (wave >= first && wave < first + l->columns) l->y[t] += top;
        }
        for (int w = first; w < l->waves && w < first + l->columns; w++) l->wave_y[w] = top;
        top += height - BOX_GAP + LINE_GAP;
    }
    l->bottom = top - LINE_GAP;
}

/* The layers on the edge: all of them, or, when |few|, the last one and how many more. */
static void edge_layers(const layout *l, int task, int from, bool few, char *text, size_t size) {
    int edges = bf_plan_task(l->plan, task).edges, count = 0, last = -1;
    size_t used = 0;
    text[0] = '\0';
    for (int e = 0; e < edges; e++) {
        bf_edge_info edge = bf_plan_edge(l->plan, task, e);
        if (edge.from != from) continue;
        count++;
        if (edge.layer > last) last = edge.layer;
        if (!few && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                                     l->plan->graph->nodes[edge.layer].name);
    }
    if (!few || last < 0) return;
    const char *name = l->plan->graph->nodes[last].name;
    char more[16] = "";
    if (count > 1) snprintf(more, sizeof more, " +%d", count - 1);
    int room = (int)((l->gap - 12) / (0.56 * 9.5)) - (int)strlen(more);
    char cut[256];
    snprintf(text, size, "%s%s", bfi_plan_short_name(name, room, cut, sizeof cut), more);
}

static void write_edge(const layout *l, int task, int from, FILE *out) {
    double x0 = l->x[from] + BOX_WIDTH, y0 = l->y[from] + BOX_HEIGHT / 2.0, x1 = l->x[task] - 2,
           y1 = l->y[task] + BOX_HEIGHT / 2.0, half = l->gap / 2;
    int wave = bf_plan_task(l->plan, task).wave, wave_from = bf_plan_task(l->plan, from).wave;
    bool same_line = wave / l->columns == wave_from / l->columns;
    char text[512];
    edge_layers(l, task, from, false, text, sizeof text);
    fputs("<path fill=\"none\" stroke=\"#666\" marker-end=\"url(#arrow)\" d=\"", out);
    if (same_line && wave == wave_from + 1)
        fprintf(out, "M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f", x0, y0, x0 + half, y0, x1 - half,
                y1, x1, y1);
    else if (same_line)
        fprintf(out, "M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f", x0 - BOX_WIDTH / 2.0, l->y[from],
                x0 - BOX_WIDTH / 2.0, l->y[from] - 30, x1 + BOX_WIDTH / 2.0, l->y[task] - 30,
                x1 + BOX_WIDTH / 2.0, l->y[task] - 2);
    else
        fprintf(out, "M%.1f %.1f h10 V%.1f H%.1f V%.1f H%.1f", x0, y0,
                l->wave_y[wave] - LINE_GAP / 2.0, x1 - 12, y1, x1);
    fprintf(out, "\"><title>%d to %d: ", from, task);
    bfi_svg_text(out, text, (int)strlen(text));
    fputs("</title></path>\n", out);
    if (!l->labels || !same_line || wave != wave_from + 1) return;
    edge_layers(l, task, from, true, text, sizeof text);
    bfi_svg_say(out, (x0 + x1) / 2 - 2, (y0 + y1) / 2 - 5,
                "font-size=\"9.5\" fill=\"#444\" text-anchor=\"middle\"", text);
}

static void write_box(const layout *l, int index, FILE *out) {
    bf_task_info task = bf_plan_task(l->plan, index);
    const bfi_plan_colors *color = bfi_plan_svg_colors(task.kind);
    double x = l->x[index], y = l->y[index];
    char text[320], needs[256];
    bfi_plan_needs(l->plan, index, needs, sizeof needs);
    fprintf(out, "<g><title>task %d, %s, until ", index, task.kind);
    bfi_svg_text(out, task.name, (int)strlen(task.name));
    fprintf(out, ": wave %d, steps %d-%d, %.3g FLOPs%s, after tasks %s</title>\n", task.wave,
            task.first_step, task.first_step + task.steps - 1, task.flops,
            task.rows ? " per lane" : "", *needs ? needs : "none");
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" rx=\"5\" fill=\"%s\" "
            "stroke=\"%s\"/>\n",
            x, y, BOX_WIDTH, BOX_HEIGHT, color->fill, color->stroke);
    snprintf(text, sizeof text, "%d  %s", index, task.kind);
    bfi_svg_say(out, x + 8, y + 18, "font-weight=\"bold\"", text);
    int room = (int)((BOX_WIDTH - 16) / (0.56 * 11));
    bfi_svg_say(out, x + 8, y + 34, "font-size=\"11\"",
                bfi_plan_short_name(task.name, room, text, sizeof text));
    if (task.steps > 1)
        snprintf(text, sizeof text, "steps %d-%d", task.first_step,
                 task.first_step + task.steps - 1);
    else
        snprintf(text, sizeof text, "step %d", task.first_step);
    if (task.rows)
        snprintf(text + strlen(text), sizeof text - strlen(text), ", %lld rows",
                 (long long)task.rows);
    bfi_svg_say(out, x + 8, y + 50, "font-size=\"11\" fill=\"#444\"", text);
    fputs("</g>\n", out);
}

static void write_graph(const layout *l, double top, FILE *out) {
    bfi_svg_say(out, MARGIN, top, "font-size=\"14\" font-weight=\"bold\"",
                "Tasks, in the order they depend on each other");
    double x = MARGIN;
    for (int i = 0; i < COLORS; i++)
        for (int t = 0; t < l->tasks; t++)
            if (strcmp(bf_plan_task(l->plan, t).kind, colors[i].kind) == 0) {
                x = bfi_svg_key(out, x, top + 22, colors[i].fill, colors[i].stroke, colors[i].kind);
                break;
            }
    bfi_svg_say(out, x, top + 22, "font-size=\"11\" fill=\"#444\"",
                "one column per wave; an arrow is data that the next task reads (those that "
                "others imply are not drawn)");
    for (int t = 0; t < l->tasks; t++)
        for (int from = 0; from < t; from++)
            if (drawn(l, t, from)) write_edge(l, t, from, out);
    for (int t = 0; t < l->tasks; t++) write_box(l, t, out);
}

static void write_head(const bfi_plan_view *view, double width, double height, FILE *out) {
    const bf_options *o = view->options;
    bf_memory_info m = bf_plan_memory(view->plan);
    char title[256], text[256], planned[32], persistent[32], tile[32];
    snprintf(title, sizeof title, "Plan of %.150s: %s, %s", bfi_path_name(view->path),
             bfi_cli_method(o->method), bfi_cli_dtype(o->dtype));
    bfi_svg_open(out, width, height, 12, title);
    fprintf(out,
            "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" "
            "markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" "
            "fill=\"#666\"/></marker></defs>\n<rect width=\"%.0f\" height=\"%.0f\" "
            "fill=\"#fff\"/>\n",
            width, height);
    bfi_svg_say(out, MARGIN, 34, "font-size=\"18\" font-weight=\"bold\"", title);
    bfi_cli_bytes(m.workspace_bytes, planned, sizeof planned);
    bfi_cli_bytes(m.persistent_bytes, persistent, sizeof persistent);
    bfi_cli_bytes(m.tile_bytes, tile, sizeof tile);
    snprintf(text, sizeof text,
             "%d task%s, %d steps. A run takes %s: %s persistent and %s for each of %d worker%s, "
             "%.1f %% less than without reuse.",
             bf_plan_task_count(view->plan), bf_plan_task_count(view->plan) == 1 ? "" : "s",
             m.steps, planned, persistent, tile, m.workers, m.workers == 1 ? "" : "s",
             bfi_plan_saving(view->plan));
    bfi_svg_say(out, MARGIN, 54, "fill=\"#444\"", text);
}

static bool make_layout(const bf_plan *plan, double top, double width, layout *l) {
    *l = (layout){.plan = plan, .tasks = bf_plan_task_count(plan), .left = MARGIN};
    for (int t = 0; t < l->tasks; t++)
        if (bf_plan_task(plan, t).wave >= l->waves) l->waves = bf_plan_task(plan, t).wave + 1;
    l->labels = l->tasks <= FEW_TASKS;
    l->gap = l->labels ? 84 : 30;
    size_t count = (size_t)l->tasks, cells;
    if (__builtin_mul_overflow(count, count, &cells)) return false;
    l->x = bfi_malloc(count, sizeof *l->x);
    l->y = bfi_malloc(count, sizeof *l->y);
    l->wave_y = bfi_calloc((size_t)l->waves, sizeof *l->wave_y);
    l->reach = bfi_calloc(cells, 1);
    if (!l->x || !l->y || !l->wave_y || !l->reach) return false;
    find_reach(l);
    place(l, top, width);
    return true;
}

static void clear_layout(layout *l) {
    free(l->x);
    free(l->y);
    free(l->wave_y);
    free(l->reach);
}

bool bfi_plan_svg(const bfi_plan_view *view, FILE *out) {
    double top = 92, width = fmin(2400, fmax(1200, 160 + 16 * bf_plan_memory(view->plan).steps));
    bf_error err;
    bfi_text body = {0};
    layout l;
    bool fine =
        make_layout(view->plan, top + 46, width, &l) && bfi_text_open(&body, &err) == BF_STATUS_OK;
    if (fine) {
        write_graph(&l, top, body.stream);
        double bottom = bfi_plan_svg_vectors(view, l.bottom + 48, width, body.stream);
        bottom = bfi_plan_svg_tile(view, bottom + 36, width, body.stream);
        fine = bfi_text_close(&body, &err) == BF_STATUS_OK;
        write_head(view, width, bottom + MARGIN, out);
    }
    if (fine) {
        fwrite(body.data, 1, body.size, out);
        fputs("</svg>\n", out);
    }
    bfi_text_free(&body);
    clear_layout(&l);
    return fine;
}
