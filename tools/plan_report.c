#include "plan_report.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli.h"
#include "json.h"
#include "plan/plan.h"
#include "terminal.h"

#define LARGEST 20     /* buffers in the table */
#define WIDEST_NAME 28 /* characters of a layer's name */

const char *bfi_plan_needs(const bf_plan *plan, int task, char *text, size_t size) {
    int edges = bf_plan_task(plan, task).edges, last = -1, from = -1;
    size_t used = 0;
    text[0] = '\0';
    for (int other = 0; other <= task && used < size; other++) {
        bool needed = false;
        for (int e = 0; e < edges && !needed; e++)
            needed = bf_plan_edge(plan, task, e).from == other;
        if (needed && other < task) {
            if (from < 0) from = other;
            last = other;
        } else if (from >= 0) {
            const char *comma = used ? ", " : "";
            used += (size_t)(from == last ? snprintf(text + used, size - used, "%s%d", comma, from)
                                          : snprintf(text + used, size - used, "%s%d%s%d", comma,
                                                     from, last == from + 1 ? ", " : "-", last));
            from = -1;
        }
    }
    return text;
}

const char *bfi_plan_short_name(const char *name, int width, char *text, size_t size) {
    int length = (int)strlen(name);
    if (length <= width || width < 3) return name;
    const char *end = name + length - (width - 2);
    while ((*end & 0xC0) == 0x80) end++; /* never inside a character */
    snprintf(text, size, "..%s", end);
    return text;
}

double bfi_plan_saving(const bf_plan *plan) {
    bf_memory_info m = bf_plan_memory(plan);
    return m.baseline_bytes ? 100 * (1 - (double)m.workspace_bytes / (double)m.baseline_bytes) : 0;
}

static const char *layer_name(const bf_plan *plan, int value) {
    return plan->graph->nodes[value].name;
}

/* Columns for the plan's layer names. */
static int name_width(const bf_plan *plan) {
    int longest = 5;
    for (int i = 0; i < plan->graph->count; i++) {
        int length = (int)strlen(layer_name(plan, i));
        if (length > longest) longest = length;
    }
    return longest < WIDEST_NAME ? longest : WIDEST_NAME;
}

/* "34.4 k" */
static const char *short_number(double value, char *text, size_t size) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    int unit = 0;
    while (value >= 999.5 && unit < 4) value /= 1000, unit++;
    snprintf(text, size, "%.*f%s",
             unit == 0 || value >= 99.95 ? 0
             : value >= 9.995            ? 1
                                         : 2,
             value, units[unit]);
    return text;
}

static void print_heading(const char *text, FILE *out) {
    fprintf(out, "%s%s%s\n", bfi_terminal_style(out, BFI_STYLE_BOLD), text,
            bfi_terminal_style(out, BFI_STYLE_RESET));
}

static void print_view(const bfi_plan_view *view, FILE *out) {
    const bf_options *o = view->options;
    char planned[32];
    bf_memory_info m = bf_plan_memory(view->plan);
    bfi_cli_bytes(m.workspace_bytes, planned, sizeof planned);
    fprintf(out, "model   %s (%lld inputs, %lld outputs)\n", view->path,
            (long long)bf_model_input_count(view->model),
            (long long)bf_model_output_count(view->model));
    fprintf(out, "method  %s, %s, %s (%s), %s rounding, %s semantics\n", bfi_cli_method(o->method),
            bfi_cli_dtype(o->dtype), bfi_cli_executor(o->executor), bfi_cli_isa(o),
            bfi_cli_rounding(o->rounding), bfi_cli_semantics(o->semantics));
    fprintf(out, "plan    %d task%s in %d steps, made in %.3f ms, for %d thread%s\n",
            bf_plan_task_count(view->plan), bf_plan_task_count(view->plan) == 1 ? "" : "s", m.steps,
            view->plan_s * 1e3, view->threads, view->threads == 1 ? "" : "s");
    fprintf(out, "memory  %s (%lld bytes), %.1f %% less than without reuse\n", planned,
            (long long)m.workspace_bytes, bfi_plan_saving(view->plan));
    const char *note;
    for (int i = 0; (note = bf_plan_note(view->plan, i)); i++) {
        fputs("note    ", out);
        bfi_terminal_wrap(out, note, 8, 8);
        fputc('\n', out);
    }
    fputc('\n', out);
}

static void print_tasks(const bf_plan *plan, FILE *out) {
    int width = name_width(plan);
    char line[160];
    snprintf(line, sizeof line, "%4s  %-8s  %-*s %5s %9s %8s %15s  %s", "task", "kind", width,
             "until", "wave", "steps", "rows", "FLOPs", "after tasks");
    print_heading(line, out);
    for (int t = 0; t < bf_plan_task_count(plan); t++) {
        bf_task_info task = bf_plan_task(plan, t);
        char flops[48], rows[32] = "-", steps[32], needs[256], name[64];
        short_number(task.flops, flops, sizeof flops - 8);
        bool by_lane = strcmp(task.kind, "backward") == 0 || strcmp(task.kind, "spec") == 0;
        if (by_lane) strcat(flops, "/lane");
        if (task.rows) snprintf(rows, sizeof rows, "%lld", (long long)task.rows);
        if (task.steps == 1)
            snprintf(steps, sizeof steps, "%d", task.first_step);
        else
            snprintf(steps, sizeof steps, "%d-%d", task.first_step,
                     task.first_step + task.steps - 1);
        bfi_plan_needs(plan, t, needs, sizeof needs);
        fprintf(out, "%4d  %-8s  %-*s %5d %9s %8s %15s  %s\n", t, task.kind, width,
                bfi_plan_short_name(task.name, width, name, sizeof name), task.wave, steps, rows,
                flops, *needs ? needs : "-");
    }
    fputs(
        "\nTasks of one wave may run at the same time. rows: neurons that a backward task bounds "
        "at worst;\nonly those that intervals leave unstable are, two lanes (lower, upper) each.\n",
        out);
}

typedef struct buffer_row {
    bf_buffer_info info;
    int index;
    int base; /* index that alias_of counts from */
} buffer_row;

static int compare_sizes(const void *a, const void *b) {
    const buffer_row *x = a, *y = b;
    if (x->info.bytes != y->info.bytes) return x->info.bytes < y->info.bytes ? 1 : -1;
    return x->index - y->index;
}

/* All buffers; their number in |*count|. NULL: out of memory. */
static buffer_row *list_buffers(const bf_plan *plan, int *count) {
    *count = bf_plan_buffer_count(plan);
    buffer_row *rows = bfi_malloc((size_t)*count, sizeof *rows);
    if (!rows) return NULL;
    int base = 0, program = -1, end = plan->vector_count;
    for (int i = 0; i < *count; i++) {
        while (i >= end) base = end, end += plan->programs[++program].buffer_count;
        rows[i] = (buffer_row){bf_plan_buffer(plan, i), i, base};
    }
    return rows;
}

static void print_amount(const char *name, int64_t bytes, const char *what, FILE *out) {
    char text[32];
    bfi_cli_bytes(bytes, text, sizeof text);
    fprintf(out, "%-14s %11s  %s\n", name, text, what);
}

static void print_buffer(const bf_plan *plan, const buffer_row *row, int width, FILE *out) {
    const bf_buffer_info *b = &row->info;
    char where[32] = "persistent", life[48], over[96] = "-", bytes[32], name[64];
    if (b->task >= 0) snprintf(where, sizeof where, "task %d", b->task);
    snprintf(life, sizeof life, "%s %d-%d", b->task < 0 ? "steps" : "ops", b->first, b->last);
    if (b->alias_of >= 0) {
        bf_buffer_info old = bf_plan_buffer(plan, row->base + b->alias_of);
        snprintf(over, sizeof over, "%s of %.60s", old.name, old.layer);
    }
    bfi_cli_bytes(b->bytes, bytes, sizeof bytes);
    fprintf(out, "%-8s  %-*s  %-11s %11s %12lld  %-14s  %s\n", b->name, width,
            bfi_plan_short_name(b->layer, width, name, sizeof name), where, bytes,
            (long long)b->offset, life, over);
}

static bool print_memory(const bf_plan *plan, FILE *out) {
    bf_memory_info m = bf_plan_memory(plan);
    int count, width = name_width(plan);
    buffer_row *rows = list_buffers(plan, &count);
    if (!rows) return false;
    char text[160];
    print_amount("persistent", m.persistent_bytes, "vectors that live from step to step", out);
    snprintf(text, sizeof text, "coefficients of %lld lanes at a time; one for each of %d worker%s",
             (long long)m.tile_lanes, m.workers, m.workers == 1 ? "" : "s");
    print_amount("tile", m.tile_bytes, text, out);
    snprintf(text, sizeof text, "= persistent + %d x tile: all that a run touches, to the byte",
             m.workers);
    print_amount("planned", m.workspace_bytes, text, out);
    snprintf(text, sizeof text, "one buffer per vector and coefficient tensor: %.1f %% saved",
             bfi_plan_saving(plan));
    print_amount("without reuse", m.baseline_bytes, text, out);
    print_amount("constants", m.constant_bytes, "packed weights and tables, shared by all runs",
                 out);
    fputc('\n', out);
    snprintf(text, sizeof text, "%-8s  %-*s  %-11s %11s %12s  %-14s  %s", "buffer", width, "layer",
             "where", "size", "offset", "lives", "in place of");
    print_heading(text, out);
    qsort(rows, (size_t)count, sizeof *rows, compare_sizes);
    int64_t rest = 0;
    for (int i = 0; i < count; i++)
        if (i < LARGEST)
            print_buffer(plan, &rows[i], width, out);
        else
            rest += rows[i].info.bytes;
    if (count > LARGEST) {
        bfi_cli_bytes(rest, text, 32);
        fprintf(out, "and %d smaller ones, %s if nothing were reused\n", count - LARGEST, text);
    }
    free(rows);
    return true;
}

/* Every reason once, with how many ops it is for. */
static void print_reasons(const bf_plan *plan, FILE *out) {
    int count = bf_plan_lowering_count(plan);
    for (int i = 0; i < count; i++) {
        const char *reason = bf_plan_lowering(plan, i).reason;
        int ops = 0;
        bool first = reason != NULL;
        for (int j = 0; j < count && first; j++) {
            const char *other = bf_plan_lowering(plan, j).reason;
            if (!other || strcmp(other, reason) != 0) continue;
            if (j < i) first = false;
            ops++;
        }
        if (first) fprintf(out, "! %d op%s: %s\n", ops, ops == 1 ? "" : "s", reason);
    }
}

/* Every compiled kernel once, with where it came from and how many ops run it. */
static void print_compiled(const bf_plan *plan, FILE *out) {
    int count = bf_plan_lowering_count(plan);
    bool any = false;
    for (int i = 0; i < count; i++) {
        bf_lowering_info l = bf_plan_lowering(plan, i);
        int ops = 0;
        bool first = l.key != NULL;
        for (int j = 0; j < count && first; j++) {
            const char *other = bf_plan_lowering(plan, j).key;
            if (!other || strcmp(other, l.key) != 0) continue;
            if (j < i) first = false;
            ops++;
        }
        if (first && !any) fputs("\ncompiled kernels:\n", out);
        if (first) {
            fprintf(out, "  %-8s  %3d op%s  ", l.origin, ops, ops == 1 ? " " : "s");
            bfi_terminal_wrap(out, l.key, 20, 20);
            fputc('\n', out);
        }
        any = any || first;
    }
}

static void print_lowering(const bf_plan *plan, FILE *out) {
    int width = name_width(plan), count = bf_plan_lowering_count(plan);
    char line[256];
    snprintf(line, sizeof line, "%4s  %-20s  %-*s  %-10s  %-15s  %-15s  %5s  %-34s  %s", "task",
             "op", width, "layer", "backend", "kernel", "layout", "depth", "error model",
             "schedule");
    print_heading(line, out);
    for (int i = 0; i < count; i++) {
        bf_lowering_info l = bf_plan_lowering(plan, i);
        char backend[32], name[64];
        snprintf(backend, sizeof backend, "%s%s", l.backend, l.reason ? " !" : "");
        fprintf(out, "%4d  %-20s  %-*s  %-10s  %-15s  %-15s  %5lld  %-34s  %s\n", l.task, l.op,
                width, bfi_plan_short_name(l.layer, width, name, sizeof name), backend, l.kernel,
                l.layout, (long long)l.depth, l.error, l.schedule);
    }
    print_compiled(plan, out);
    fputs(
        "\ndepth: roundings that a term of a sum passes at most (0: exact, or bounded directly)\n",
        out);
    print_reasons(plan, out);
}

static void print_rewrites(const bf_plan *plan, FILE *out) {
    const char *text;
    if (bf_plan_rewrite(plan, 0)) fputs("\nRewritten, or left alone:\n", out);
    for (int i = 0; (text = bf_plan_rewrite(plan, i)); i++) {
        fputs("  ", out);
        bfi_terminal_wrap(out, text, 4, 2);
        fputc('\n', out);
    }
}

static bool print_layout(const bf_plan *plan, FILE *out) {
    bf_layout_info *layouts;
    int count, width = name_width(plan);
    bf_error err;
    if (bf_plan_layouts(plan, &layouts, &count, &err) != BF_STATUS_OK) return false;
    char line[256], shape[96], name[64];
    snprintf(line, sizeof line, "%-*s  %-16s  %-18s  %-22s  %-10s  %s", width, "layer", "op",
             "shape", "possible", "preferred", "why");
    print_heading(line, out);
    for (int i = 0; i < count; i++) {
        const bf_layout_info *l = &layouts[i];
        const bfi_node *node = &plan->graph->nodes[i];
        fprintf(out, "%-*s  %-16s  %-18s  %-22s  %-10s  %s\n", width,
                bfi_plan_short_name(l->layer, width, name, sizeof name), bfi_op_name(node->op),
                bfi_shape_text(&node->shape, shape, sizeof shape), l->possible, l->preferred,
                l->reason);
    }
    free(layouts);
    if (bf_plan_permute_count(plan) > 0) fputs("\nTransposes:\n", out);
    for (int i = 0; i < bf_plan_permute_count(plan); i++) {
        bf_permute_info permute = bf_plan_permute(plan, i);
        fprintf(out, "  %-8s ", permute.mark);
        bfi_terminal_wrap(out, permute.reason, 11, 11);
        fputc('\n', out);
    }
    print_rewrites(plan, out);
    return true;
}

bool bfi_plan_report(const bfi_plan_view *view, bfi_report report, FILE *out) {
    print_view(view, out);
    bool fine = true;
    if (report == BFI_REPORT_TASKS) print_tasks(view->plan, out);
    if (report == BFI_REPORT_LAYOUT) fine = print_layout(view->plan, out);
    if (report == BFI_REPORT_MEMORY) fine = print_memory(view->plan, out);
    if (report == BFI_REPORT_LOWERING) print_lowering(view->plan, out);
    return fine;
}

static void tasks_json(bfi_json *json, const bf_plan *plan) {
    bfi_json_open(json, "tasks", '[');
    for (int t = 0; t < bf_plan_task_count(plan); t++) {
        bf_task_info task = bf_plan_task(plan, t);
        bfi_json_open(json, NULL, '{');
        bfi_json_integer(json, "task", t);
        bfi_json_string(json, "kind", task.kind);
        bfi_json_string(json, "layer", task.name);
        bfi_json_integer(json, "wave", task.wave);
        bfi_json_integer(json, "first_step", task.first_step);
        bfi_json_integer(json, "steps", task.steps);
        bfi_json_integer(json, "rows", task.rows);
        bfi_json_number(json, "flops", task.flops);
        bfi_json_open(json, "after", '[');
        for (int e = 0; e < task.edges; e++) {
            bf_edge_info edge = bf_plan_edge(plan, t, e);
            bfi_json_open(json, NULL, '{');
            bfi_json_integer(json, "task", edge.from);
            bfi_json_string(json, "layer", layer_name(plan, edge.layer));
            bfi_json_close(json, '}');
        }
        bfi_json_close(json, ']');
        bfi_json_close(json, '}');
    }
    bfi_json_close(json, ']');
}

static void buffers_json(bfi_json *json, const bf_plan *plan) {
    bfi_json_open(json, "buffers", '[');
    for (int i = 0; i < bf_plan_buffer_count(plan); i++) {
        bf_buffer_info b = bf_plan_buffer(plan, i);
        bfi_json_open(json, NULL, '{');
        bfi_json_string(json, "name", b.name);
        bfi_json_string(json, "layer", b.layer);
        if (b.task < 0)
            bfi_json_null(json, "task");
        else
            bfi_json_integer(json, "task", b.task);
        bfi_json_integer(json, "bytes", b.bytes);
        bfi_json_integer(json, "offset", b.offset);
        bfi_json_integer(json, "first", b.first);
        bfi_json_integer(json, "last", b.last);
        bfi_json_boolean(json, "in_place", b.alias_of >= 0);
        bfi_json_close(json, '}');
    }
    bfi_json_close(json, ']');
}

static void lowering_json(bfi_json *json, const bf_plan *plan) {
    bfi_json_open(json, "lowering", '[');
    for (int i = 0; i < bf_plan_lowering_count(plan); i++) {
        bf_lowering_info l = bf_plan_lowering(plan, i);
        bfi_json_open(json, NULL, '{');
        bfi_json_integer(json, "task", l.task);
        bfi_json_string(json, "op", l.op);
        bfi_json_string(json, "layer", l.layer);
        bfi_json_string(json, "backend", l.backend);
        bfi_json_string(json, "kernel", l.kernel);
        if (l.key) bfi_json_string(json, "key", l.key);
        if (l.origin) bfi_json_string(json, "origin", l.origin);
        bfi_json_string(json, "schedule", l.schedule);
        bfi_json_string(json, "layout", l.layout);
        bfi_json_string(json, "error_model", l.error);
        bfi_json_integer(json, "depth", l.depth);
        if (l.reason)
            bfi_json_string(json, "fallback", l.reason);
        else
            bfi_json_null(json, "fallback");
        bfi_json_close(json, '}');
    }
    bfi_json_close(json, ']');
}

static void view_json(bfi_json *json, const bfi_plan_view *view) {
    const bf_options *o = view->options;
    bfi_json_string(json, "model", view->path);
    bfi_json_string(json, "method", bfi_cli_method(o->method));
    bfi_json_string(json, "dtype", bfi_cli_dtype(o->dtype));
    bfi_json_string(json, "executor", bfi_cli_executor(o->executor));
    bfi_json_string(json, "isa", bfi_cli_isa(o));
    bfi_json_string(json, "rounding", bfi_cli_rounding(o->rounding));
    bfi_json_string(json, "semantics", bfi_cli_semantics(o->semantics));
    bfi_json_integer(json, "partition", o->partition);
    bfi_json_integer(json, "threads", view->threads);
    bfi_json_number(json, "load_s", view->load_s);
    bfi_json_number(json, "plan_s", view->plan_s);
    bfi_json_open(json, "notes", '[');
    const char *note;
    for (int i = 0; (note = bf_plan_note(view->plan, i)); i++) bfi_json_string(json, NULL, note);
    bfi_json_close(json, ']');
    bf_memory_info m = bf_plan_memory(view->plan);
    bfi_json_open(json, "memory", '{');
    bfi_json_integer(json, "planned_bytes", m.workspace_bytes);
    bfi_json_integer(json, "persistent_bytes", m.persistent_bytes);
    bfi_json_integer(json, "tile_bytes", m.tile_bytes);
    bfi_json_integer(json, "tile_lanes", m.tile_lanes);
    bfi_json_integer(json, "workers", m.workers);
    bfi_json_integer(json, "steps", m.steps);
    bfi_json_integer(json, "baseline_bytes", m.baseline_bytes);
    bfi_json_number(json, "saving_percent", bfi_plan_saving(view->plan));
    bfi_json_integer(json, "constant_bytes", m.constant_bytes);
    bfi_json_close(json, '}');
}

static bool layout_json(bfi_json *json, const bf_plan *plan) {
    bf_layout_info *layouts;
    int count;
    bf_error err;
    if (bf_plan_layouts(plan, &layouts, &count, &err) != BF_STATUS_OK) return false;
    bfi_json_open(json, "layouts", '[');
    for (int i = 0; i < count; i++) {
        const bfi_node *node = &plan->graph->nodes[i];
        bfi_json_open(json, NULL, '{');
        bfi_json_string(json, "layer", layouts[i].layer);
        bfi_json_string(json, "op", bfi_op_name(node->op));
        bfi_json_open(json, "shape", '[');
        for (int d = 0; d < node->shape.rank; d++) bfi_json_integer(json, NULL, node->shape.dim[d]);
        bfi_json_close(json, ']');
        bfi_json_string(json, "possible", layouts[i].possible);
        bfi_json_string(json, "preferred", layouts[i].preferred);
        bfi_json_string(json, "reason", layouts[i].reason);
        bfi_json_boolean(json, "coefficients", layouts[i].coefficients);
        bfi_json_close(json, '}');
    }
    bfi_json_close(json, ']');
    free(layouts);
    bfi_json_open(json, "permutes", '[');
    for (int i = 0; i < bf_plan_permute_count(plan); i++) {
        bf_permute_info permute = bf_plan_permute(plan, i);
        bfi_json_open(json, NULL, '{');
        bfi_json_string(json, "mark", permute.mark);
        bfi_json_string(json, "reason", permute.reason);
        bfi_json_close(json, '}');
    }
    bfi_json_close(json, ']');
    bfi_json_open(json, "rewrites", '[');
    const char *text;
    for (int i = 0; (text = bf_plan_rewrite(plan, i)); i++) bfi_json_string(json, NULL, text);
    bfi_json_close(json, ']');
    return true;
}

bool bfi_plan_json(const bfi_plan_view *view, bfi_report report, FILE *out) {
    bfi_json json = {.out = out};
    bool all = report == BFI_REPORT_COUNT, fine = true;
    bfi_json_open(&json, NULL, '{');
    view_json(&json, view);
    if (all || report == BFI_REPORT_TASKS) tasks_json(&json, view->plan);
    if (all || report == BFI_REPORT_LAYOUT) fine = layout_json(&json, view->plan);
    if (all || report == BFI_REPORT_MEMORY) buffers_json(&json, view->plan);
    if (all || report == BFI_REPORT_LOWERING) lowering_json(&json, view->plan);
    bfi_json_close(&json, '}');
    fputc('\n', out);
    return fine;
}
