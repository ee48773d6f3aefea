#include "boundflow/inspect.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/status.h"
#include "exec/backward.h"
#include "exec/workspace.h"
#include "ir/layout.h"
#include "plan/pipeline.h"

static const char *layer_name(const bf_plan *plan, int node) {
    return plan->graph->nodes[node].name;
}

int bf_plan_task_count(const bf_plan *plan) { return plan->tasks.task_count; }

static double forward_flops(const bf_plan *plan, const bfi_task *task) {
    double total = 0;
    for (int i = task->first; i < task->first + task->count; i++)
        if (bfi_step_is_forward(plan->tasks.steps[i].kind))
            total += 3 * (double)bfi_node_flops(plan->graph, plan->tasks.steps[i].node);
    return total;
}

bf_task_info bf_plan_task(const bf_plan *plan, int index) {
    if (index < 0 || index >= plan->tasks.task_count) return (bf_task_info){0};
    const bfi_task *task = &plan->tasks.tasks[index];
    const bfi_step *last = &plan->tasks.steps[task->first + task->count - 1];
    bf_task_info info = {.kind = bfi_task_kind_name(task->kind),
                         .name = layer_name(plan, last->node),
                         .wave = task->wave,
                         .first_step = task->first,
                         .steps = task->count,
                         .edges = task->edge_count,
                         .flops = forward_flops(plan, task)};
    if (task->kind == BFI_TASK_BACKWARD) info.rows = plan->graph->nodes[last->node].count;
    if (!bfi_step_is_forward(last->kind))
        info.flops = bfi_program_flops(plan, &plan->programs[last->program]);
    return info;
}

bf_edge_info bf_plan_edge(const bf_plan *plan, int task, int edge) {
    if (task < 0 || task >= plan->tasks.task_count) return (bf_edge_info){0};
    const bfi_task *t = &plan->tasks.tasks[task];
    if (edge < 0 || edge >= t->edge_count) return (bf_edge_info){0};
    const bfi_task_edge *e = &plan->tasks.edges[t->first_edge + edge];
    return (bf_edge_info){e->from, e->value};
}

int bf_plan_buffer_count(const bf_plan *plan) {
    int count = plan->vector_count;
    for (int p = 0; p < plan->program_count; p++) count += plan->programs[p].buffer_count;
    return count;
}

/* The task whose step runs |program|. */
static int task_of_program(const bf_plan *plan, int program) {
    for (int t = 0; t < plan->tasks.task_count; t++)
        for (int i = 0; i < plan->tasks.tasks[t].count; i++)
            if (plan->tasks.steps[plan->tasks.tasks[t].first + i].program == program) return t;
    return plan->tasks.task_count - 1; /* the other programs of the spec step */
}

static bf_buffer_info coefficient_buffer(const bf_plan *plan, int program, int index) {
    const bfi_program *p = &plan->programs[program];
    const bfi_buffer *b = &p->buffers[index];
    int64_t lane = plan->tile_lanes * (int64_t)bfi_dtype_size(plan->dtype);
    return (bf_buffer_info){.name = "A",
                            .layer = layer_name(plan, p->ops[b->first].node),
                            .task = task_of_program(plan, program),
                            .bytes = b->count * lane,
                            .offset = b->offset * lane,
                            .first = b->first,
                            .last = b->last,
                            .alias_of = b->alias_of};
}

bf_buffer_info bf_plan_buffer(const bf_plan *plan, int index) {
    if (index < 0) return (bf_buffer_info){0};
    if (index < plan->vector_count) {
        const bfi_vector *v = &plan->vectors[index];
        return (bf_buffer_info){.name = bfi_role_name(v->role),
                                .layer = layer_name(plan, v->value),
                                .task = -1,
                                .bytes = v->bytes,
                                .offset = v->offset,
                                .first = v->first,
                                .last = v->last,
                                .alias_of = v->alias_of};
    }
    index -= plan->vector_count;
    for (int p = 0; p < plan->program_count; p++) {
        if (index < plan->programs[p].buffer_count) return coefficient_buffer(plan, p, index);
        index -= plan->programs[p].buffer_count;
    }
    return (bf_buffer_info){0};
}

bf_memory_info bf_plan_memory(const bf_plan *plan) {
    return (bf_memory_info){.persistent_bytes = plan->persistent_bytes,
                            .tile_bytes = plan->tile_bytes,
                            .workspace_bytes = plan->workspace_bytes,
                            .baseline_bytes = plan->baseline_bytes,
                            .constant_bytes = plan->constants->bytes,
                            .tile_lanes = plan->tile_lanes,
                            .boxes = plan->boxes,
                            .workers = plan->workers,
                            .steps = plan->tasks.step_count};
}

int bf_plan_lowering_count(const bf_plan *plan) { return plan->lowering_count; }

static int task_of_forward(const bf_plan *plan, int node) {
    for (int t = 0; t < plan->tasks.task_count; t++)
        for (int i = 0; i < plan->tasks.tasks[t].count; i++) {
            const bfi_step *step = &plan->tasks.steps[plan->tasks.tasks[t].first + i];
            if (step->kind == BFI_STEP_FORWARD && step->node == node) return t;
        }
    return -1;
}

bf_lowering_info bf_plan_lowering(const bf_plan *plan, int index) {
    if (index < 0 || index >= plan->lowering_count) return (bf_lowering_info){0};
    const bfi_lowering *l = &plan->lowerings[index];
    return (bf_lowering_info){
        .op = l->op,
        .layer = layer_name(plan, l->node),
        .task = l->program < 0 ? task_of_forward(plan, l->node) : task_of_program(plan, l->program),
        .backend = bfi_backend_name(l->backend),
        .kernel = l->kernel_name,
        .key = *l->key ? l->key : NULL,
        .origin = l->origin,
        .schedule = l->schedule,
        .layout = l->layout,
        .error = l->error,
        .depth = l->depth,
        .reason = l->reason};
}

const char *bf_plan_rewrite(const bf_plan *plan, int index) {
    const bfi_pass_notes *notes = &plan->simplified.notes;
    return index >= 0 && index < notes->count ? notes->items[index].text : NULL;
}

bf_status bf_plan_layouts(const bf_plan *plan, bf_layout_info **out, int *count, bf_error *err) {
    bfi_layout_report report = {0};
    bf_status status = bfi_layout_analyse(plan->graph, &report, err);
    if (status != BF_STATUS_OK) return status;
    bf_layout_info *infos = bfi_calloc((size_t)report.count, sizeof *infos);
    for (int i = 0; infos && i < report.count; i++) {
        const bfi_layout_entry *e = &report.entries[i];
        infos[i].layer = e->name;
        bfi_layout_set_text(e->possible, infos[i].possible, sizeof infos[i].possible);
        infos[i].preferred = bfi_layout_name(e->preferred);
        infos[i].coefficients = e->coefficients;
        snprintf(infos[i].reason, sizeof infos[i].reason, "%s", e->reason);
    }
    *count = infos ? report.count : 0;
    *out = infos;
    bfi_layout_report_clear(&report);
    return infos ? BF_STATUS_OK : bfi_fail_memory(err);
}

int bf_plan_permute_count(const bf_plan *plan) { return plan->permuted.count; }

bf_permute_info bf_plan_permute(const bf_plan *plan, int index) {
    if (index < 0 || index >= plan->permuted.count) return (bf_permute_info){0};
    const bfi_permute_entry *e = &plan->permuted.entries[index];
    return (bf_permute_info){bfi_permute_mark_name(e->mark), e->text};
}

bf_status bf_workspace_trace(bf_workspace *ws, int64_t events, bf_error *err) {
    if (events < 1)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "a trace needs room for at least one event");
    bfi_trace *trace = bfi_calloc(1, sizeof *trace);
    if (trace) trace->events = bfi_malloc((size_t)events, sizeof *trace->events);
    if (!trace || !trace->events) {
        free(trace);
        return bfi_fail_memory(err);
    }
    trace->capacity = events;
    atomic_init(&trace->count, 0);
    if (ws->trace) free(ws->trace->events);
    free(ws->trace);
    ws->trace = trace;
    return BF_STATUS_OK;
}

int64_t bf_workspace_trace_count(const bf_workspace *ws, int64_t *dropped) {
    int64_t asked = ws->trace ? (int64_t)atomic_load(&ws->trace->count) : 0;
    int64_t kept = ws->trace && asked > ws->trace->capacity ? ws->trace->capacity : asked;
    if (dropped) *dropped = asked - kept;
    return kept;
}

bf_trace_event bf_workspace_trace_event(const bf_workspace *ws, int64_t index) {
    if (index < 0 || index >= bf_workspace_trace_count(ws, NULL)) return (bf_trace_event){0};
    const bfi_trace_event *e = &ws->trace->events[index];
    const bf_plan *plan = ws->plan;
    int task = 0;
    while (task + 1 < plan->tasks.task_count && plan->tasks.tasks[task + 1].first <= e->step)
        task++;
    const char *name = e->kind == BFI_TRACE_ROWS ? "select_rows"
                       : e->kind == BFI_TRACE_FORWARD
                           ? bfi_forward_op_name(plan->graph->nodes[e->node].op)
                           : bfi_back_name((bfi_back_kind)e->kind);
    return (bf_trace_event){.name = name,
                            .layer = layer_name(plan, e->node),
                            .task = task,
                            .worker = e->worker,
                            .lanes = e->lanes,
                            .flops = e->flops,
                            .begin = e->begin,
                            .end = e->end};
}
