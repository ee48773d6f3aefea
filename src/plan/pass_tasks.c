/* Tasks: groups the steps into a graph over the vectors that they exchange.
 *
 * Partition 0 makes one task of everything. Partition 1 makes forward regions, layout regions, one
 * backward task per bounded layer and the spec; steps keep their order within a task, and tasks are
 * ordered by wave. Both run the same steps on the same numbers, so bounds are the same bits. */
#include <assert.h>

#include "base/alloc.h"
#include "plan/pipeline.h"

/* Working arrays over steps and values. */
typedef struct grouping {
    bf_plan *plan;
    bfi_step *steps; /* serial order */
    int count;
    int *task_of;    /* step -> task */
    int *forward_of; /* value -> its forward step */
    int *final_of;   /* value -> the step after which its interval is final so far */
    bfi_task *tasks;
    int task_count;
} grouping;

/* |open| is the kind of the task before: a reshape, which does nothing, stays in that region. */
static bfi_task_kind kind_of(const bf_plan *plan, const bfi_step *step, bfi_task_kind open) {
    if (step->kind == BFI_STEP_BOUND) return BFI_TASK_BACKWARD;
    if (step->kind == BFI_STEP_SPEC) return BFI_TASK_SPEC;
    if (step->kind == BFI_STEP_REFINE) return BFI_TASK_REFINE;
    if (step->kind != BFI_STEP_FORWARD) return BFI_TASK_OPTIMIZE;
    bfi_op op = plan->graph->nodes[step->node].op;
    if (op == BFI_OP_RESHAPE) return open == BFI_TASK_LAYOUT ? open : BFI_TASK_FORWARD;
    bool moves = op == BFI_OP_TRANSPOSE || op == BFI_OP_SLICE || op == BFI_OP_CONCAT ||
                 op == BFI_OP_GATHER || op == BFI_OP_EXPAND;
    return moves ? BFI_TASK_LAYOUT : BFI_TASK_FORWARD;
}

/* Calls |visit| for every (step, value) that step |index| reads. */
static void visit_reads(const grouping *g, int index,
                        void (*visit)(void *user, int from, int value), void *user) {
    const bfi_graph *graph = g->plan->graph;
    const bfi_step *step = &g->steps[index];
    if (step->kind == BFI_STEP_REFINE) visit(user, g->final_of[step->node], step->node);
    if (bfi_step_is_forward(step->kind)) {
        for (int i = 0; i < graph->nodes[step->node].n_inputs; i++) {
            int value = bfi_value_root(graph, graph->nodes[step->node].inputs[i]);
            visit(user, g->final_of[value], value);
        }
        return;
    }
    int value = bfi_value_root(graph, step->node);
    visit(user, g->final_of[value], value);
    int programs[3];
    bfi_step_programs(g->plan, step, programs);
    for (int p = 0; p < 3; p++)
        for (int i = 0; programs[p] >= 0 && i < g->plan->programs[programs[p]].op_count; i++) {
            int node = bfi_value_root(graph, g->plan->programs[programs[p]].ops[i].node);
            visit(user, g->forward_of[node], node);
            if (g->final_of[node] != index) visit(user, g->final_of[node], node);
        }
}

typedef struct reader {
    grouping *g;
    int task;   /* that reads */
    int wave;   /* found so far */
    bool joins; /* some read comes from |task| itself */
    bool failed;
} reader;

static void note_join(void *user, int from, int value) {
    reader *r = user;
    (void)value;
    if (from >= 0 && r->g->task_of[from] == r->task) r->joins = true;
}

static void note_wave(void *user, int from, int value) {
    reader *r = user;
    (void)value;
    if (from < 0 || r->g->task_of[from] == r->task) return;
    assert(r->g->task_of[from] < r->task); /* tasks are in topological order */
    int wave = r->g->tasks[r->g->task_of[from]].wave + 1;
    if (wave > r->wave) r->wave = wave;
}

static void note_edge(void *user, int from, int value) {
    reader *r = user;
    if (from < 0 || r->g->task_of[from] == r->task) return;
    r->failed = r->failed || !bfi_task_graph_add_edge(&r->g->plan->tasks,
                                                      (bfi_task_edge){r->g->task_of[from], value});
}

static void note_writes(grouping *g, int index) {
    assert(index >= 0 && index < g->count);
    const bfi_step *step = &g->steps[index];
    if (bfi_step_is_forward(step->kind))
        g->forward_of[step->node] = g->final_of[step->node] = index;
    if (step->kind == BFI_STEP_BOUND || step->kind == BFI_STEP_OPTIMIZE)
        g->final_of[step->node] = index;
}

/* A step joins the open task when that has its kind and feeds it (or is the start of everything).
 */
static void assign(grouping *g, int partition) {
    for (int i = 0; i < g->count; i++) {
        bfi_task_kind open =
            g->task_count > 0 ? g->tasks[g->task_count - 1].kind : BFI_TASK_FORWARD;
        bfi_task_kind kind = partition == 0 ? BFI_TASK_ALL : kind_of(g->plan, &g->steps[i], open);
        bool reshape = g->steps[i].kind == BFI_STEP_FORWARD &&
                       g->plan->graph->nodes[g->steps[i].node].op == BFI_OP_RESHAPE;
        reader r = {g, g->task_count - 1, 0, false, false};
        if (g->task_count > 0) visit_reads(g, i, note_join, &r);
        bool again = kind == BFI_TASK_REFINE;
        bool region =
            kind == BFI_TASK_ALL || again || kind == BFI_TASK_FORWARD || kind == BFI_TASK_LAYOUT;
        bool same = g->task_count > 0 && g->tasks[g->task_count - 1].kind == kind;
        if (!(same && region && (r.joins || reshape || again || kind == BFI_TASK_ALL)))
            g->tasks[g->task_count++] = (bfi_task){.kind = kind, .first = i};
        g->task_of[i] = g->task_count - 1;
        g->tasks[g->task_count - 1].count++;
        note_writes(g, i);
    }
}

static void clear_writers(grouping *g) {
    for (int v = 0; v < g->plan->graph->count; v++) g->forward_of[v] = g->final_of[v] = -1;
}

/* The spec comes last, and optimising after it, a task at a time: its steps write what earlier ones
 * read. */
static bool comes_last(bfi_task_kind kind) {
    return kind == BFI_TASK_SPEC || kind == BFI_TASK_REFINE || kind == BFI_TASK_OPTIMIZE;
}

/* Earliest wave of every task: one behind the latest task that it reads from. */
static void find_waves(grouping *g) {
    int waves = 0;
    clear_writers(g);
    for (int t = 0; t < g->task_count; t++) {
        reader r = {g, t, comes_last(g->tasks[t].kind) ? waves : 0, false, false};
        for (int i = g->tasks[t].first; i < g->tasks[t].first + g->tasks[t].count; i++) {
            visit_reads(g, i, note_wave, &r);
            note_writes(g, i);
        }
        g->tasks[t].wave = r.wave;
        if (r.wave >= waves) waves = r.wave + 1;
    }
}

/* Tasks by wave, stable; steps follow their tasks. Fills plan->tasks' steps and tasks without
 * edges. */
static bf_status reorder(grouping *g, bf_error *err) {
    int waves = 0, next = 0;
    for (int t = 0; t < g->task_count; t++)
        if (g->tasks[t].wave >= waves) waves = g->tasks[t].wave + 1;
    bfi_task_graph *out = &g->plan->tasks;
    for (int w = 0; w < waves; w++)
        for (int t = 0; t < g->task_count; t++) {
            if (g->tasks[t].wave != w) continue;
            for (int i = 0; i < g->tasks[t].count; i++)
                out->steps[next + i] = g->steps[g->tasks[t].first + i];
            bfi_task task = g->tasks[t];
            task.first = next;
            next += task.count;
            if (!bfi_task_graph_add_task(out, task)) return bfi_fail_memory(err);
        }
    assert(next == out->step_count);
    return BF_STATUS_OK;
}

/* Edges, on the final order. bfi_task_graph_add_edge wants them task by task. */
static bf_status connect(grouping *g, bf_error *err) {
    bfi_task_graph *out = &g->plan->tasks;
    int task_count = out->task_count;
    for (int t = 0; t < task_count; t++)
        for (int i = 0; i < out->tasks[t].count; i++) g->task_of[out->tasks[t].first + i] = t;
    for (int i = 0; i < g->count; i++) g->steps[i] = out->steps[i];
    clear_writers(g);
    out->task_count = 0;
    for (int t = 0; t < task_count; t++) {
        out->task_count = t + 1;
        out->tasks[t].first_edge = out->edge_count;
        reader r = {g, t, 0, false, false};
        for (int i = out->tasks[t].first; i < out->tasks[t].first + out->tasks[t].count; i++) {
            visit_reads(g, i, note_edge, &r);
            note_writes(g, i);
        }
        if (r.failed) return bfi_fail_memory(err);
    }
    return BF_STATUS_OK;
}

bf_status bfi_pass_tasks(bf_plan *plan, bf_error *err) {
    size_t steps = (size_t)plan->tasks.step_count, values = (size_t)plan->graph->count;
    grouping g = {.plan = plan, .count = plan->tasks.step_count};
    g.steps = bfi_malloc(steps, sizeof *g.steps);
    g.task_of = bfi_calloc(steps, sizeof *g.task_of);
    g.tasks = bfi_calloc(steps, sizeof *g.tasks);
    g.forward_of = bfi_malloc(values, sizeof *g.forward_of);
    g.final_of = bfi_malloc(values, sizeof *g.final_of);
    bf_status status = g.steps && g.task_of && g.tasks && g.forward_of && g.final_of
                           ? BF_STATUS_OK
                           : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) {
        for (size_t i = 0; i < steps; i++) g.steps[i] = plan->tasks.steps[i];
        clear_writers(&g);
        assign(&g, plan->options.partition);
        find_waves(&g);
        status = reorder(&g, err);
    }
    if (status == BF_STATUS_OK) status = connect(&g, err);
    free(g.steps);
    free(g.task_of);
    free(g.tasks);
    free(g.forward_of);
    free(g.final_of);
    return status;
}
