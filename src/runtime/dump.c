/* The IR after each pass, as text. A plan is the end of the pipeline; what an earlier pass saw is
 * printed from it by leaving out what later passes added. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "boundflow/inspect.h"
#include "ir/text.h"
#include "plan/pipeline.h"

typedef struct dump {
    const bf_plan *plan;
    char *text;
    size_t size, capacity;
    bf_error *err;
} dump;

static bf_status BF_PRINTF(2, 3) put(dump *d, const char *fmt, ...) {
    void *text = d->text;
    size_t need;
    va_list args;
    va_start(args, fmt);
    int length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0 || !bfi_add_size(d->size, (size_t)length + 1, &need) ||
        !bfi_grow(&text, &d->capacity, need, 1))
        return bfi_fail_memory(d->err);
    d->text = text;
    va_start(args, fmt);
    vsnprintf(d->text + d->size, (size_t)length + 1, fmt, args);
    va_end(args);
    d->size += (size_t)length;
    return BF_STATUS_OK;
}

/* A name fit for one line. */
typedef struct label {
    char text[64];
} label;

static label name_of(const bf_plan *plan, int node) {
    label l;
    snprintf(l.text, sizeof l.text, "%s", plan->graph->nodes[node].name);
    for (char *c = l.text; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127) *c = '?';
    return l;
}

/* The printers grow the block to what they need. */
static bf_status put_graph(dump *d, const bfi_graph *graph) {
    bf_status status = bfi_graph_print(graph, BFI_TEXT_ELIDE, &d->text, &d->size, d->err);
    d->capacity = d->text ? d->size + 1 : 0;
    return status;
}

static bf_status dump_import(dump *d) { return put_graph(d, d->plan->model->graph); }

static bf_status put_rewritten(dump *d, const bfi_graph *graph) {
    if (graph) return put_graph(d, graph);
    bf_status status = put(d, "; not run: the network is planned as imported\n");
    return status == BF_STATUS_OK ? dump_import(d) : status;
}

static bf_status dump_simplify(dump *d) { return put_rewritten(d, d->plan->rewritten[0]); }

static bf_status dump_permute(dump *d) { return put_rewritten(d, d->plan->rewritten[1]); }

/* How much of a program to show. */
typedef enum detail { OPS, LIVES, STORAGE } detail;

static bf_status put_program(dump *d, int index, detail shown) {
    bfi_program copy = d->plan->programs[index];
    size_t count = (size_t)copy.buffer_count;
    copy.buffers = bfi_malloc(count, sizeof *copy.buffers);
    if (!copy.buffers) return bfi_fail_memory(d->err);
    if (shown != STORAGE) copy.height = 0;
    for (size_t i = 0; i < count; i++) {
        bfi_buffer *buffer = &copy.buffers[i];
        *buffer = d->plan->programs[index].buffers[i];
        if (shown != STORAGE) buffer->alias_of = -1, buffer->offset = -1;
        if (shown == OPS) buffer->first = buffer->last = -1;
    }
    bf_status status = bfi_program_print(&copy, d->plan->graph, &d->text, &d->size, d->err);
    d->capacity = d->text ? d->size + 1 : 0;
    free(copy.buffers);
    return status;
}

static const char *purpose(const bf_plan *plan, int program) {
    if (program == plan->spec_program) return "the rows of C";
    if (program == plan->output_program) return "the outputs";
    if (program == plan->interval_program) return "the rows of C, by intervals";
    return "a bounded layer";
}

static bf_status put_programs(dump *d, detail shown) {
    bf_status status = BF_STATUS_OK;
    for (int i = 0; i < d->plan->program_count && status == BF_STATUS_OK; i++) {
        status = put(d, "; p%d: %s\n", i, purpose(d->plan, i));
        if (status == BF_STATUS_OK) status = put_program(d, i, shown);
    }
    return status;
}

static bf_status dump_partition(dump *d) { return put_programs(d, OPS); }

static bf_status dump_liveness(dump *d) { return put_programs(d, LIVES); }

static bf_status dump_reuse(dump *d) { return put_programs(d, STORAGE); }

static bf_status dump_tasks(dump *d) {
    bf_status status =
        bfi_task_graph_print(&d->plan->tasks, d->plan->graph, &d->text, &d->size, d->err);
    d->capacity = d->text ? d->size + 1 : 0;
    return status;
}

static bf_status dump_vectors(dump *d) {
    const bf_plan *plan = d->plan;
    bf_status status =
        put(d, "; %d vectors in %" PRId64 " bytes\n; %6s %-8s %6s  %-13s %12s %12s\n",
            plan->vector_count, plan->persistent_bytes, "vector", "role", "value", "life in steps",
            "bytes", "offset");
    for (int i = 0; i < plan->vector_count && status == BF_STATUS_OK; i++) {
        const bfi_vector *v = &plan->vectors[i];
        char life[32], alias[32] = "";
        snprintf(life, sizeof life, "%d..%d", v->first, v->last);
        if (v->alias_of >= 0) snprintf(alias, sizeof alias, " alias v%d", v->alias_of);
        status = put(d, "; v%-5d %-8s %%%-5d  %-13s %12" PRId64 " %12" PRId64 "  %s%s\n", i,
                     bfi_role_name(v->role), v->value, life, v->bytes, v->offset,
                     name_of(plan, v->value).text, alias);
    }
    return status;
}

static bf_status dump_workspace(dump *d) {
    const bf_plan *plan = d->plan;
    return put(d,
               "; persistent  %12" PRId64
               " bytes\n"
               "; boxes       %12" PRId64
               " in flight\n"
               "; tile        %12" PRId64 " bytes: %" PRId64 " lanes of at most %" PRId64
               " elements\n"
               "; workers     %12d\n"
               "; workspace   %12" PRId64
               " bytes: persistent per box and a tile per worker\n"
               "; baseline    %12" PRId64
               " bytes: nothing reused\n"
               "; constants   %12" PRId64 " bytes, shared by all workspaces\n",
               plan->persistent_bytes, plan->boxes, plan->tile_bytes, plan->tile_lanes,
               plan->height, plan->workers, plan->workspace_bytes, plan->baseline_bytes,
               plan->constants->bytes);
}

static bf_status dump_lower(dump *d) {
    const bf_plan *plan = d->plan;
    bf_status status =
        put(d, "; %-7s %-6s %-22s %-9s %-16s %-39s %-16s %-34s %6s\n", "program", "value", "op",
            "backend", "kernel", "schedule", "layout", "error", "depth");
    for (int i = 0; i < plan->lowering_count && status == BF_STATUS_OK; i++) {
        const bfi_lowering *l = &plan->lowerings[i];
        char program[16] = "-";
        if (l->program >= 0) snprintf(program, sizeof program, "p%d", l->program);
        status = put(d, "; %-7s %%%-5d %-22s %-9s %-16s %-39s %-16s %-34s %6" PRId64 "  %s%s%s\n",
                     program, l->node, l->op, bfi_backend_name(l->backend), l->kernel_name,
                     l->schedule, l->layout, l->error, l->depth, name_of(plan, l->node).text,
                     l->reason ? ": " : "", l->reason ? l->reason : "");
    }
    return status;
}

static const struct {
    const char *name;
    bf_status (*dump)(dump *d);
} passes[] = {
    {"import", dump_import},       {"simplify", dump_simplify}, {"permute", dump_permute},
    {"partition", dump_partition}, {"liveness", dump_liveness}, {"reuse", dump_reuse},
    {"tasks", dump_tasks},         {"vectors", dump_vectors},   {"lower", dump_lower},
    {"workspace", dump_workspace},
};
enum { PASSES = sizeof passes / sizeof *passes };

static bf_status fail_unknown(const char *pass, bf_error *err) {
    char names[256] = "";
    for (int i = 0; i < PASSES; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", passes[i].name);
    }
    return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "no pass '%.40s': the passes are %s",
                    pass ? pass : "", names);
}

bf_status bf_plan_dump(const bf_plan *plan, const char *pass, char **text, bf_error *err) {
    int index = 0;
    *text = NULL;
    while (index < PASSES && (!pass || strcmp(passes[index].name, pass) != 0)) index++;
    if (index == PASSES) return fail_unknown(pass, err);
    dump d = {.plan = plan, .err = err};
    bf_status status = passes[index].dump(&d);
    if (status == BF_STATUS_OK) status = put(&d, "%s", ""); /* never NULL */
    if (status == BF_STATUS_OK)
        *text = d.text;
    else
        free(d.text);
    return status;
}
