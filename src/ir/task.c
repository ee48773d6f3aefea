#include "ir/task.h"

#include <stdlib.h>

#include "base/alloc.h"

const char *bfi_step_kind_name(bfi_step_kind kind) {
    static const char *const names[] = {"forward", "bound",    "spec",
                                        "refine",  "optimize", "optimize_spec"};
    return names[kind];
}

const char *bfi_task_kind_name(bfi_task_kind kind) {
    static const char *const names[] = {"all",  "forward", "layout",  "backward",
                                        "spec", "refine",  "optimize"};
    return names[kind];
}

void bfi_task_graph_clear(bfi_task_graph *g) {
    free(g->steps);
    free(g->tasks);
    free(g->edges);
    *g = (bfi_task_graph){0};
}

bool bfi_task_graph_add_step(bfi_task_graph *g, bfi_step step) {
    if (!bfi_grow((void **)&g->steps, &g->step_capacity, (size_t)g->step_count + 1,
                  sizeof *g->steps))
        return false;
    g->steps[g->step_count++] = step;
    return true;
}

bool bfi_task_graph_add_task(bfi_task_graph *g, bfi_task task) {
    if (!bfi_grow((void **)&g->tasks, &g->task_capacity, (size_t)g->task_count + 1,
                  sizeof *g->tasks))
        return false;
    task.first_edge = g->edge_count;
    task.edge_count = 0;
    g->tasks[g->task_count++] = task;
    if (task.wave >= g->wave_count) g->wave_count = task.wave + 1;
    return true;
}

bool bfi_task_graph_add_edge(bfi_task_graph *g, bfi_task_edge edge) {
    bfi_task *task = &g->tasks[g->task_count - 1];
    for (int i = task->first_edge; i < g->edge_count; i++)
        if (g->edges[i].from == edge.from && g->edges[i].value == edge.value) return true;
    if (!bfi_grow((void **)&g->edges, &g->edge_capacity, (size_t)g->edge_count + 1,
                  sizeof *g->edges))
        return false;
    g->edges[g->edge_count++] = edge;
    task->edge_count++;
    return true;
}

static bf_status check_edges(const bfi_task_graph *g, int index, bf_error *err) {
    const bfi_task *task = &g->tasks[index];
    for (int i = task->first_edge; i < task->first_edge + task->edge_count; i++) {
        int from = g->edges[i].from;
        if (from < 0 || from >= index)
            return bfi_fail(err, BF_STATUS_INTERNAL,
                            "task %d depends on task %d, which is not before it", index, from);
        if (g->tasks[from].wave >= task->wave)
            return bfi_fail(err, BF_STATUS_INTERNAL,
                            "task %d shares wave %d with task %d that it needs", index, task->wave,
                            from);
    }
    return BF_STATUS_OK;
}

bf_status bfi_task_graph_validate(const bfi_task_graph *g, bf_error *err) {
    int next = 0;
    bf_status status = BF_STATUS_OK;
    for (int i = 0; i < g->task_count && status == BF_STATUS_OK; i++) {
        if (g->tasks[i].first != next || g->tasks[i].count < 1)
            return bfi_fail(err, BF_STATUS_INTERNAL, "task %d does not continue the steps in order",
                            i);
        next += g->tasks[i].count;
        status = check_edges(g, i, err);
    }
    if (status == BF_STATUS_OK && next != g->step_count)
        status = bfi_fail(err, BF_STATUS_INTERNAL, "steps %d to %d belong to no task", next,
                          g->step_count - 1);
    return status;
}
