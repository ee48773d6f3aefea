/* Running a plan: waves of tasks; forward tasks and lane tiles of one wave in parallel. */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "exec/backward.h"
#include "exec/forward.h"
#include "runtime/job.h"
#include "runtime/session.h"

/* Below this much work a wave stays on the caller's thread: waking a worker costs more. */
#define PARALLEL_FLOPS 4e5

/* Bounded layers of one wave that run together; more go in turns. */
enum { JOBS_AT_ONCE = 8 };

/* What the workers of one parallel loop share: forward tasks first, then the tiles of the jobs. */
typedef struct batch {
    const bf_plan *plan;
    bf_workspace *ws;
    const bf_request *request;
    const int *tasks; /* forward tasks */
    int task_count;
    bfi_job jobs[JOBS_AT_ONCE];
    int job_count;
} batch;

static void run_forward_step(const bf_plan *plan, bf_workspace *ws, const bf_request *request,
                             int index, int worker) {
    int id = plan->tasks.steps[index].node;
    double begin = ws->trace ? bfi_clock() : 0;
    if (id == 0)
        bfi_forward_input(plan, ws, request->lo, request->hi);
    else
        bfi_forward_node(plan, ws, id, worker);
    if (plan->graph->nodes[id].op != BFI_OP_RESHAPE) bfi_forward_finish(plan, ws, id);
    if (ws->trace)
        bfi_trace_add(ws->trace, (bfi_trace_event){begin, bfi_clock(), BFI_TRACE_FORWARD, id, index,
                                                   worker, 1});
}

static void run_forward_task(const batch *b, int task, int worker) {
    const bfi_task *t = &b->plan->tasks.tasks[task];
    for (int i = t->first; i < t->first + t->count && !bfi_ws_stopped(b->ws); i++)
        run_forward_step(b->plan, b->ws, b->request, i, worker);
}

static void run_item(void *user, int64_t item, int worker) {
    const batch *b = user;
    if (item < b->task_count) {
        run_forward_task(b, b->tasks[item], worker);
        return;
    }
    item -= b->task_count;
    for (int j = 0; j < b->job_count; j++) {
        if (item < b->jobs[j].tiles) {
            bfi_job_tile(&b->jobs[j], item, worker);
            return;
        }
        item -= b->jobs[j].tiles;
    }
}

/* Runs the batch's tasks and tiles, on the pool when that pays. */
static void run_batch(batch *b) {
    double flops = b->task_count > 1 ? PARALLEL_FLOPS : 0;
    int64_t items = b->task_count;
    for (int j = 0; j < b->job_count; j++) {
        double dense, here = bfi_job_flops(&b->jobs[j], &dense);
        b->ws->stats.flops += here;
        b->ws->stats.dense_flops += dense;
        b->ws->stats.lanes += b->jobs[j].lanes;
        flops += here;
    }
    bool parallel = b->plan->workers > 1 && flops >= PARALLEL_FLOPS;
    for (int j = 0; j < b->job_count; j++) {
        bfi_job_cut(&b->jobs[j], parallel ? b->plan->workers : 1);
        items += b->jobs[j].tiles;
    }
    if (parallel)
        bfi_pool_run(b->plan->session->pool, items, b->plan->workers, run_item, b);
    else
        for (int64_t item = 0; item < items; item++) run_item(b, item, 0);
}

static bfi_job bound_job(const bf_plan *plan, bf_workspace *ws, int index) {
    const bfi_step *step = &plan->tasks.steps[index];
    int32_t *rows = bfi_ws_ints(ws, plan->state[step->node].rows);
    double begin = ws->trace ? bfi_clock() : 0;
    bfi_lane_groups groups = bfi_select_rows(plan, ws, step->node, step->program);
    int64_t count = groups.count;
    ws->stats.unstable += count;
    if (ws->trace)
        bfi_trace_add(ws->trace, (bfi_trace_event){begin, bfi_clock(), BFI_TRACE_ROWS, step->node,
                                                   index, 0, 2 * count});
    assert(count <= plan->graph->nodes[step->node].count && step->program >= 0);
    return (bfi_job){.plan = plan,
                     .ws = ws,
                     .program = step->program,
                     .step = index,
                     .rows = rows,
                     .groups = groups,
                     .sides = 2,
                     .lanes = 2 * count,
                     .lower = bfi_ws_doubles(ws, plan->state[step->node].lo),
                     .upper = bfi_ws_doubles(ws, plan->state[step->node].hi),
                     .keep_better = plan->options.intersect};
}

static bf_status stopped(bf_workspace *ws, bf_error *err) {
    bfi_ws_stopped(ws);
    int status = atomic_load(&ws->failed);
    if (status == BF_STATUS_TIMEOUT) return bfi_fail(err, BF_STATUS_TIMEOUT, "time budget ran out");
    if (status == BF_STATUS_CANCELLED)
        return bfi_fail(err, BF_STATUS_CANCELLED, "stopped on request");
    return (bf_status)status;
}

/* One bounded layer, alone. */
static void run_bound_step(const bf_plan *plan, bf_workspace *ws, const bf_request *request,
                           int index) {
    batch b = {.plan = plan, .ws = ws, .request = request, .job_count = 1};
    b.jobs[0] = bound_job(plan, ws, index);
    run_batch(&b);
    bfi_forward_finish(plan, ws, plan->tasks.steps[index].node);
}

/* What holds before anything is computed: the interval of the outputs, or nothing. Later results
 * only replace it by something better, so a run that is stopped leaves bounds that hold. */
static void start_results(const bf_plan *plan, const bf_workspace *ws, const bf_request *request,
                          bool interval) {
    int output = plan->graph->output;
    const double *lo = bfi_ws_doubles(ws, plan->state[output].lo),
                 *hi = bfi_ws_doubles(ws, plan->state[output].hi);
    int64_t rows = request->spec ? request->rows : plan->graph->nodes[output].count;
    for (int64_t r = 0; r < rows; r++) {
        if (request->lower) request->lower[r] = interval ? lo[r] : -INFINITY;
        if (request->upper) request->upper[r] = interval ? hi[r] : INFINITY;
        if (request->lower_error) request->lower_error[r] = 0;
    }
}

static void run_job(const bfi_job *job) {
    batch b = {.plan = job->plan, .ws = job->ws, .job_count = 1};
    b.jobs[0] = *job;
    run_batch(&b);
}

static void run_spec_step(const bf_plan *plan, bf_workspace *ws, const bf_request *request,
                          int index) {
    int program = request->spec ? plan->spec_program : plan->output_program;
    start_results(plan, ws, request, !request->spec && (program < 0 || plan->options.intersect));
    if (program < 0 || (!request->lower && !request->upper)) return;
    bfi_job j = {.plan = plan,
                 .ws = ws,
                 .step = index,
                 .groups = {.level = -1},
                 .spec = request->spec,
                 .sides = request->lower && request->upper ? 2 : 1,
                 .first_sign = request->lower ? 1 : -1,
                 .lower = request->lower,
                 .upper = request->upper,
                 .lower_error = request->lower_error,
                 .keep_better = true};
    j.lanes =
        j.sides * (request->spec ? request->rows : plan->graph->nodes[plan->graph->output].count);
    if (request->spec && plan->interval_program >= 0) {
        j.program = plan->interval_program;
        run_job(&j);
    }
    j.program = program;
    run_job(&j);
}

/* A task by itself: its steps in order. */
static void run_task(const bf_plan *plan, bf_workspace *ws, const bf_request *request,
                     const bfi_task *task) {
    for (int i = task->first; i < task->first + task->count && !bfi_ws_stopped(ws); i++) {
        switch (plan->tasks.steps[i].kind) {
            case BFI_STEP_FORWARD:
                run_forward_step(plan, ws, request, i, 0);
                break;
            case BFI_STEP_BOUND:
                run_bound_step(plan, ws, request, i);
                break;
            case BFI_STEP_SPEC:
                run_spec_step(plan, ws, request, i);
                break;
        }
    }
}

/* Tasks [first, last) of one wave: they do not depend on each other. */
static void run_wave(const bf_plan *plan, bf_workspace *ws, const bf_request *request, int first,
                     int last) {
    batch b = {.plan = plan, .ws = ws, .request = request};
    const bfi_task *tasks = plan->tasks.tasks;
    int forward[JOBS_AT_ONCE];
    b.tasks = forward;
    for (int t = first; t < last && !bfi_ws_stopped(ws);) {
        b.task_count = b.job_count = 0;
        int begin = t;
        for (; t < last && b.job_count < JOBS_AT_ONCE && b.task_count < JOBS_AT_ONCE; t++) {
            assert(tasks[t].kind != BFI_TASK_ALL && tasks[t].kind != BFI_TASK_SPEC);
            if (tasks[t].kind == BFI_TASK_BACKWARD)
                b.jobs[b.job_count++] = bound_job(plan, ws, tasks[t].first);
            else
                forward[b.task_count++] = t;
        }
        run_batch(&b);
        for (int i = begin; i < t; i++)
            if (tasks[i].kind == BFI_TASK_BACKWARD)
                bfi_forward_finish(plan, ws, plan->tasks.steps[tasks[i].first].node);
    }
}

static bf_status run_tasks(const bf_plan *plan, bf_workspace *ws, const bf_request *request,
                           bf_error *err) {
    const bfi_task_graph *g = &plan->tasks;
    bf_status status = BF_STATUS_OK;
    for (int t = 0; t < g->task_count && status == BF_STATUS_OK;) {
        int end = t + 1;
        while (end < g->task_count && g->tasks[end].wave == g->tasks[t].wave) end++;
        if (end == t + 1)
            run_task(plan, ws, request, &g->tasks[t]);
        else
            run_wave(plan, ws, request, t, end);
        status = stopped(ws, err);
        t = end;
    }
    return status;
}

static bf_status check_request(const bf_plan *plan, const bf_request *request, bf_error *err) {
    if (!request->lo || !request->hi || request->rows < 0)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "request without a box, or with negative rows");
    for (int64_t i = 0; i < plan->graph->nodes[0].count; i++) {
        if (!isfinite(request->lo[i]) || !isfinite(request->hi[i]))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "box: input %lld is bounded by [%g, %g]: give finite bounds",
                            (long long)i, request->lo[i], request->hi[i]);
        if (request->lo[i] > request->hi[i])
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "box: input %lld has lower bound %.9g above upper bound %.9g",
                            (long long)i, request->lo[i], request->hi[i]);
    }
    int64_t outputs = plan->graph->nodes[plan->graph->output].count;
    for (int64_t i = 0; request->spec && i < request->rows * outputs; i++)
        if (!isfinite(request->spec[i]))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "spec: row %lld, column %lld is not finite", (long long)(i / outputs),
                            (long long)(i % outputs));
    return BF_STATUS_OK;
}

bf_status bf_workspace_reshape(const bf_plan *plan, bf_workspace *ws, int64_t rows, bf_error *err) {
    int64_t numbers, outputs = plan->graph->nodes[plan->graph->output].count;
    if (rows < 0 || !bfi_mul_i64(rows, 2 * outputs, &numbers))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "cannot take a spec of %lld rows",
                        (long long)rows);
    ws->rows = rows;
    ws->bound = false;
    return BF_STATUS_OK;
}

bf_status bf_workspace_bind(const bf_plan *plan, bf_workspace *ws, const bf_request *request,
                            bf_error *err) {
    if (request->spec && request->rows != ws->rows)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "the spec has %lld rows, but the workspace was reshaped to %lld",
                        (long long)request->rows, (long long)ws->rows);
    bf_status status = check_request(plan, request, err);
    ws->bound = status == BF_STATUS_OK;
    if (ws->bound) ws->request = *request;
    return status;
}

bf_status bf_workspace_run(const bf_plan *plan, bf_workspace *ws, bf_error *err) {
    if (!ws->bound)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "nothing is bound: call bf_workspace_bind first");
    ws->budget = (bfi_budget){ws->request.deadline, &plan->session->stop};
    ws->stats = (bf_run_stats){.used_bytes = plan->workspace_bytes};
    atomic_store(&ws->failed, BF_STATUS_OK);
    ws->ran = false;
    bf_status status = run_tasks(plan, ws, &ws->request, err);
    ws->ran = status == BF_STATUS_OK;
    return status;
}

bf_status bf_bounds_run(const bf_plan *plan, bf_workspace *ws, const bf_request *request,
                        bf_error *err) {
    bf_status status = bf_workspace_reshape(plan, ws, request->spec ? request->rows : 0, err);
    if (status == BF_STATUS_OK) status = bf_workspace_bind(plan, ws, request, err);
    if (status == BF_STATUS_OK) status = bf_workspace_run(plan, ws, err);
    ws->bound = false;
    return status;
}

bf_status bf_workspace_create(const bf_plan *plan, bf_workspace **out, bf_error *err) {
    bf_workspace *ws = bfi_calloc(1, sizeof *ws);
    if (!ws) return bfi_fail_memory(err);
    ws->plan = plan;
    ws->memory = bfi_alloc_aligned((size_t)plan->workspace_bytes);
    if (!ws->memory) {
        free(ws);
        return bfi_fail_memory(err);
    }
    memset(ws->memory, 0, (size_t)plan->persistent_bytes);
    *out = ws;
    return BF_STATUS_OK;
}

void bf_workspace_free(bf_workspace *ws) {
    if (!ws) return;
    if (ws->trace) free(ws->trace->events);
    free(ws->trace);
    free(ws->memory);
    free(ws);
}

bf_run_stats bf_workspace_stats(const bf_workspace *ws) { return ws->stats; }

/* Value of the planned graph that holds layer |index| of the model to the end; -1: none. */
static int kept_value(const bf_plan *plan, int index) {
    if (index < 0 || index >= plan->model->graph->count) return -1;
    if (plan->options.keep_layers) return index;
    const bfi_graph *model = plan->model->graph;
    return bfi_value_root(model, index) == bfi_value_root(model, model->output)
               ? plan->graph->output
               : -1;
}

int bf_workspace_layer(const bf_plan *plan, const bf_workspace *ws, int index, double *lower,
                       double *upper) {
    int value = ws->ran ? kept_value(plan, index) : -1;
    if (value < 0) return 0;
    size_t bytes = (size_t)plan->graph->nodes[value].count * sizeof(double);
    memcpy(lower, bfi_ws_doubles(ws, plan->state[value].lo), bytes);
    memcpy(upper, bfi_ws_doubles(ws, plan->state[value].hi), bytes);
    return 1;
}

double bf_clock(void) { return bfi_clock(); }
