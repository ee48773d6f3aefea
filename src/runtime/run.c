/* Running a plan on the boxes in flight: waves of tasks; forward steps of boxes, and lane tiles, of
 * one wave in parallel. */
#include "runtime/run.h"

#include <assert.h>

#include "exec/backward.h"
#include "exec/forward.h"
#include "runtime/job.h"
#include "runtime/optimize.h"
#include "runtime/reuse.h"
#include "runtime/session.h"
#include "runtime/split.h"

/* Below this much work a loop stays on the caller's thread: handing over costs more. Workers that
 * sleep take about 10 us to wake, which pays when more loops follow, or in one that is longer. */
#define PARALLEL_FLOPS 4e5
#define WAKE_FLOPS 2e6

/* Forward tasks, and bounded layers, of one wave that run together; more go in turns. */
enum { AT_ONCE = 8 };

/* Forward steps [first, first + count), to be run in order for every box. */
typedef struct piece {
    int first, count;
} piece;

/* What the workers of one parallel loop share: pieces by box first, then the tiles of the jobs. */
typedef struct loop {
    const bf_plan *plan;
    bf_workspace *ws;
    piece pieces[AT_ONCE];
    int piece_count;
    bfi_job jobs[AT_ONCE];
    int job_count;
    bool last; /* of the run */
} loop;

/* The interval of |node| in box |box| is as good as it gets. */
static void finish(const bf_plan *plan, bf_workspace *ws, int64_t box, int node) {
    bfi_split_clip(ws, box, node);
    bfi_forward_finish(plan, ws, box, node);
}

static void run_forward_step(const bf_plan *plan, bf_workspace *ws, int64_t box, int index,
                             int worker) {
    int id = plan->tasks.steps[index].node;
    int64_t inputs = plan->graph->nodes[0].count, at = (ws->first_box + box) * inputs;
    double begin = ws->trace ? bfi_clock() : 0;
    if (id == 0)
        bfi_forward_input(plan, ws, box, ws->request.lo + at, ws->request.hi + at);
    else
        bfi_forward_node(plan, ws, box, id, worker);
    if (plan->graph->nodes[id].op != BFI_OP_RESHAPE) finish(plan, ws, box, id);
    if (ws->trace)
        bfi_trace_add(ws->trace,
                      (bfi_trace_event){begin, bfi_clock(), BFI_TRACE_FORWARD, id, index, worker, 1,
                                        3 * (double)bfi_node_flops(plan->graph, id)});
}

static void run_piece(const loop *w, const piece *p, int64_t box, int worker) {
    for (int i = p->first; i < p->first + p->count; i++) {
        if (bfi_ws_stopped(w->ws) || bfi_ws_idle(w->ws, box)) return;
        run_forward_step(w->plan, w->ws, box, i, worker);
    }
}

static void run_item(void *user, int64_t item, int worker) {
    const loop *w = user;
    if (item < w->piece_count * w->ws->boxes) {
        run_piece(w, &w->pieces[item / w->ws->boxes], item % w->ws->boxes, worker);
        return;
    }
    item -= w->piece_count * w->ws->boxes;
    for (int j = 0; j < w->job_count; j++) {
        if (item < w->jobs[j].tiles) {
            bfi_job_tile(&w->jobs[j], item, worker);
            return;
        }
        item -= w->jobs[j].tiles;
    }
}

static double piece_flops(const loop *w, const piece *p) {
    double total = 0;
    for (int i = p->first; i < p->first + p->count; i++)
        total += 3 * (double)bfi_node_flops(w->plan->graph, w->plan->tasks.steps[i].node);
    return total * (double)w->ws->boxes;
}

/* Runs the loop's pieces and tiles, on the pool when that pays. */
static void run_loop(loop *w) {
    double flops = 0;
    int64_t items = w->piece_count * w->ws->boxes;
    for (int p = 0; p < w->piece_count && items > 1; p++) flops += piece_flops(w, &w->pieces[p]);
    for (int j = 0; j < w->job_count; j++) {
        w->ws->stats.flops += w->jobs[j].flops;
        w->ws->stats.dense_flops += w->jobs[j].dense_flops;
        w->ws->stats.bytes += w->jobs[j].bytes;
        w->ws->stats.dense_bytes += w->jobs[j].dense_bytes;
        w->ws->stats.lanes += w->jobs[j].lanes;
        flops += w->jobs[j].flops;
    }
    bfi_pool *pool = w->plan->session->pool;
    bool parallel = w->plan->workers > 1 && flops >= PARALLEL_FLOPS &&
                    (flops >= WAKE_FLOPS || !w->last || bfi_pool_awake(pool));
    for (int j = 0; j < w->job_count; j++) {
        bfi_job_cut(&w->jobs[j], parallel ? w->plan->workers : 1);
        items += w->jobs[j].tiles;
    }
    if (parallel)
        bfi_pool_run(pool, items, w->plan->workers, run_item, w);
    else
        for (int64_t item = 0; item < items; item++) run_item(w, item, 0);
}

void bfi_run_job(const bf_plan *plan, bf_workspace *ws, const bfi_job *job) {
    loop w = {.plan = plan, .ws = ws, .job_count = 1};
    w.jobs[0] = *job;
    run_loop(&w);
}

/* Rows of a box that needs none, or is not looked at any more. */
static const bfi_lane_groups no_rows = {.level = -1};

/* The rows of |only|, or of all boxes (-1), in the bound step |index|. */
static bfi_job bound_job(const bf_plan *plan, bf_workspace *ws, int index, int64_t only) {
    const bfi_step *step = &plan->tasks.steps[index];
    const bfi_value_state *state = &plan->state[step->node];
    double begin = ws->trace ? bfi_clock() : 0;
    bfi_job job = {.plan = plan,
                   .ws = ws,
                   .program = step->program,
                   .step = index,
                   .node = step->node,
                   .rows = state->rows,
                   .sides = 2,
                   .lower = bfi_ws_doubles(ws, 0, state->lo),
                   .upper = bfi_ws_doubles(ws, 0, state->hi),
                   .result_stride = plan->persistent_bytes / (int64_t)sizeof(double),
                   .keep_better = plan->options.intersect || ws->choose,
                   .rounds = ws->choose && !ws->again ? plan->options.iterations : 0,
                   .decide = plan->relu_only[step->node]};
    assert(step->program >= 0);
    bool tighter = false;
    for (int64_t box = 0; box < ws->boxes; box++) {
        bool known = bfi_ws_idle(ws, box) || (only >= 0 && box != only) ||
                     (!ws->choose && bfi_reuse_value(ws, box, step->node, &tighter));
        bfi_lane_groups rows =
            known ? no_rows : bfi_select_rows(plan, ws, box, step->node, step->program);
        assert(rows.count <= plan->graph->nodes[step->node].count);
        bfi_job_add_box(&job, box, rows);
    }
    if (tighter && !job.keep_better) {
        job.keep_better = true;
        bfi_reuse_spread(ws);
    }
    if (!ws->choose) ws->stats.unstable += job.lanes / 2;
    if (ws->trace)
        bfi_trace_add(ws->trace, (bfi_trace_event){begin, bfi_clock(), BFI_TRACE_ROWS, step->node,
                                                   index, 0, job.lanes, 0});
    return job;
}

/* After the bound step |index|. */
static void finish_bounded(const bf_plan *plan, bf_workspace *ws, int index) {
    int node = plan->tasks.steps[index].node;
    for (int64_t box = 0; box < ws->boxes; box++) {
        if (bfi_ws_idle(ws, box)) continue;
        finish(plan, ws, box, node);
        if (!ws->choose) bfi_reuse_keep(ws, box, node);
    }
}

/* One bounded layer, alone. */
static void run_bound_step(const bf_plan *plan, bf_workspace *ws, int index) {
    loop w = {.plan = plan, .ws = ws, .job_count = 1};
    w.jobs[0] = bound_job(plan, ws, index, -1);
    run_loop(&w);
    finish_bounded(plan, ws, index);
}

/* The same with optimised slopes, box by box: the lanes of a tile that optimises share one. */
static void run_optimize_step(const bf_plan *plan, bf_workspace *ws, int index) {
    bool shared = plan->programs[plan->tasks.steps[index].program].shared;
    for (int64_t box = 0; box < ws->boxes && !bfi_ws_stopped(ws); box++) {
        if (shared) {
            bfi_optimize_shared(plan, ws, index, box);
            continue;
        }
        loop w = {.plan = plan, .ws = ws, .job_count = 1};
        w.jobs[0] = bound_job(plan, ws, index, box);
        run_loop(&w);
    }
    finish_bounded(plan, ws, index);
}

static void run_forward_steps(const bf_plan *plan, bf_workspace *ws, int first, int count) {
    loop w = {.plan = plan, .ws = ws, .pieces = {{first, count}}, .piece_count = 1};
    run_loop(&w);
}

static int64_t result_rows(const bf_plan *plan, const bf_request *request) {
    return request->spec ? request->rows : plan->graph->nodes[plan->graph->output].count;
}

/* Results of a box before its lanes have run: the interval of the outputs, if that is worth
 * something; the empty interval where no input satisfies the splits. */
static void start_results(const bf_plan *plan, const bf_workspace *ws, int64_t box, bool interval) {
    const bf_request *request = &ws->request;
    int output = plan->graph->output;
    const double *lo = bfi_ws_doubles(ws, box, plan->state[output].lo),
                 *hi = bfi_ws_doubles(ws, box, plan->state[output].hi);
    bool infeasible = bfi_ws_infeasible(ws, box);
    int64_t rows = result_rows(plan, request), first = (ws->first_box + box) * rows;
    for (int64_t r = 0; r < rows && (interval || infeasible); r++) {
        if (request->lower) request->lower[first + r] = infeasible ? INFINITY : lo[r];
        if (request->upper) request->upper[first + r] = infeasible ? -INFINITY : hi[r];
    }
}

static double *results_from(double *results, int64_t first) {
    return results ? results + first : NULL;
}

static bfi_job spec_job(const bf_plan *plan, bf_workspace *ws, int index, int program,
                        int64_t only) {
    const bf_request *request = &ws->request;
    int64_t rows = result_rows(plan, request), first = ws->first_box * rows;
    int64_t spec_stride =
        request->spec_per_box ? rows * plan->graph->nodes[plan->graph->output].count : 0;
    bfi_job job = {
        .plan = plan,
        .ws = ws,
        .program = program,
        .step = index,
        .node = plan->graph->output,
        .spec = request->spec ? request->spec + ws->first_box * spec_stride : NULL,
        .spec_stride = spec_stride,
        .rows = -1,
        .sides = request->lower && request->upper ? 2 : 1,
        .first_sign = request->lower ? 1 : -1,
        .lower = results_from(request->lower, first),
        .upper = results_from(request->upper, first),
        .lower_error = results_from(request->lower_error, first),
        .functional = results_from(request->functional, first * plan->graph->nodes[0].count),
        .constant = results_from(request->constant, first),
        .result_stride = rows,
        .keep_better = true,
        .rounds = ws->choose ? plan->options.iterations : 0,
        .stop = request->enough ? request->enough + first : NULL};
    if (ws->choose) job.functional = NULL; /* of CROWN's slopes */
    bfi_lane_groups all = {.count = rows, .level = -1};
    for (int64_t box = 0; box < ws->boxes; box++)
        bfi_job_add_box(&job, box,
                        bfi_ws_idle(ws, box) || (only >= 0 && box != only) ? no_rows : all);
    return job;
}

/* Rows of the box that are not good enough yet. */
static bool box_open(const bf_plan *plan, const bf_workspace *ws, int64_t box) {
    const bf_request *request = &ws->request;
    int64_t rows = result_rows(plan, request), first = (ws->first_box + box) * rows;
    if (bfi_ws_idle(ws, box)) return false;
    if (!request->enough || request->upper || !request->lower) return true;
    for (int64_t r = first; r < first + rows; r++)
        if (!(request->lower[r] >= request->enough[r])) return true;
    return false;
}

/* True when |kind| is to be run: the steps behind CROWN's are when its results leave a row open. */
static bool wanted(const bf_plan *plan, bf_workspace *ws, bfi_step_kind kind) {
    if (kind < BFI_STEP_REFINE) return true;
    for (int64_t box = 0; box < ws->boxes && !ws->choose; box++)
        ws->choose = box_open(plan, ws, box);
    return ws->choose;
}

static void run_optimize_spec_step(const bf_plan *plan, bf_workspace *ws, int index) {
    const bf_request *request = &ws->request;
    int program = request->spec ? plan->alpha_spec_program : plan->alpha_output_program;
    if (program < 0 || (!request->lower && !request->upper)) return;
    if (plan->programs[program].loop == 0) return; /* there for splits alone */
    for (int64_t box = 0; box < ws->boxes && !bfi_ws_stopped(ws); box++) {
        loop w = {.plan = plan, .ws = ws, .job_count = 1};
        if (!box_open(plan, ws, box)) continue;
        w.jobs[0] = spec_job(plan, ws, index, program, box);
        run_loop(&w);
    }
}

static void run_spec_step(const bf_plan *plan, bf_workspace *ws, int index) {
    const bf_request *request = &ws->request;
    int program = request->spec ? plan->spec_program : plan->output_program;
    bool known = !request->spec && (program < 0 || plan->exact_output);
    bool interval = known || (!request->spec && plan->options.intersect);
    for (int64_t box = 0; box < ws->boxes; box++) {
        if (bfi_ws_box(ws, box)->answered) continue;
        start_results(plan, ws, box, interval);
        if (!bfi_ws_infeasible(ws, box)) bfi_reuse_start_results(ws, box);
    }
    if (program < 0 || (!request->lower && !request->upper)) return;
    if (known && !request->functional) return;
    int programs[2] = {request->spec ? plan->interval_program : -1, program};
    for (int p = 0; p < 2; p++) {
        loop w = {.plan = plan, .ws = ws, .job_count = 1, .last = true};
        if (programs[p] < 0) continue;
        w.jobs[0] = spec_job(plan, ws, index, programs[p], -1);
        if (known) w.jobs[0].lower = w.jobs[0].upper = w.jobs[0].lower_error = NULL;
        run_loop(&w);
    }
}

/* A task by itself: its steps in order. */
static void run_task(const bf_plan *plan, bf_workspace *ws, const bfi_task *task) {
    const bfi_step *steps = plan->tasks.steps;
    int end = task->first + task->count;
    for (int i = task->first, next; i < end && !bfi_ws_stopped(ws); i = next) {
        next = i + 1;
        if (!wanted(plan, ws, steps[i].kind)) return;
        switch (steps[i].kind) {
            case BFI_STEP_FORWARD:
            case BFI_STEP_REFINE:
                while (next < end && steps[next].kind == steps[i].kind) next++;
                run_forward_steps(plan, ws, i, next - i);
                break;
            case BFI_STEP_BOUND:
                run_bound_step(plan, ws, i);
                break;
            case BFI_STEP_SPEC:
                run_spec_step(plan, ws, i);
                break;
            case BFI_STEP_OPTIMIZE:
                run_optimize_step(plan, ws, i);
                break;
            case BFI_STEP_OPTIMIZE_SPEC:
                run_optimize_spec_step(plan, ws, i);
                break;
        }
    }
}

/* Tasks [first, last) of one wave: they do not depend on each other. */
static void run_wave(const bf_plan *plan, bf_workspace *ws, int first, int last) {
    loop w = {.plan = plan, .ws = ws};
    const bfi_task *tasks = plan->tasks.tasks;
    for (int t = first; t < last && !bfi_ws_stopped(ws);) {
        w.piece_count = w.job_count = 0;
        int begin = t;
        for (; t < last && w.job_count < AT_ONCE && w.piece_count < AT_ONCE; t++) {
            assert(tasks[t].kind != BFI_TASK_ALL && tasks[t].kind != BFI_TASK_SPEC);
            if (tasks[t].kind == BFI_TASK_BACKWARD)
                w.jobs[w.job_count++] = bound_job(plan, ws, tasks[t].first, -1);
            else
                w.pieces[w.piece_count++] = (piece){tasks[t].first, tasks[t].count};
        }
        run_loop(&w);
        for (int i = begin; i < t; i++)
            if (tasks[i].kind == BFI_TASK_BACKWARD) finish_bounded(plan, ws, tasks[i].first);
    }
}

/* The forward step of |node| runs again after CROWN. */
static bool is_refined(const bf_plan *plan, int node) {
    for (int i = 0; i < plan->tasks.step_count; i++)
        if (plan->tasks.steps[i].kind == BFI_STEP_REFINE && plan->tasks.steps[i].node == node)
            return true;
    return false;
}

void bfi_run_again(const bf_plan *plan, bf_workspace *ws, int64_t box) {
    const bfi_step *steps = plan->tasks.steps;
    assert(ws->choose && plan->options.keep_layers);
    ws->again = true, ws->only = box;
    for (int i = 0; i < plan->tasks.step_count && !bfi_ws_stopped(ws); i++) {
        if (steps[i].kind == BFI_STEP_FORWARD && is_refined(plan, steps[i].node))
            run_forward_steps(plan, ws, i, 1);
        if (steps[i].kind == BFI_STEP_BOUND) run_bound_step(plan, ws, i);
    }
    ws->again = false;
}

bf_status bfi_run_failure(const bf_workspace *ws, bf_error *err) {
    int status = atomic_load(&ws->failed);
    if (status == BF_STATUS_TIMEOUT) return bfi_fail(err, BF_STATUS_TIMEOUT, "time budget ran out");
    if (status == BF_STATUS_CANCELLED)
        return bfi_fail(err, BF_STATUS_CANCELLED, "stopped on request");
    return (bf_status)status;
}

static bf_status stopped(bf_workspace *ws, bf_error *err) {
    bfi_ws_stopped(ws);
    return bfi_run_failure(ws, err);
}

static bf_status run_tasks(const bf_plan *plan, bf_workspace *ws, bf_error *err) {
    const bfi_task_graph *g = &plan->tasks;
    bf_status status = BF_STATUS_OK;
    for (int t = 0; t < g->task_count && status == BF_STATUS_OK;) {
        int end = t + 1;
        while (end < g->task_count && g->tasks[end].wave == g->tasks[t].wave) end++;
        if (end == t + 1)
            run_task(plan, ws, &g->tasks[t]);
        else
            run_wave(plan, ws, t, end);
        status = stopped(ws, err);
        t = end;
    }
    return status;
}

bf_status bfi_run_boxes(const bf_plan *plan, bf_workspace *ws, int64_t first, int64_t boxes,
                        bf_error *err) {
    assert(boxes >= 1 && boxes <= plan->boxes);
    ws->first_box = first;
    ws->boxes = boxes;
    ws->choose = false;
    bf_status status = BF_STATUS_OK;
    bfi_reuse_left left = bfi_reuse_begin(ws);
    if (left == BFI_REUSE_LEFT_SPEC) run_spec_step(plan, ws, plan->tasks.step_count - 1);
    if (left == BFI_REUSE_LEFT_ALL) status = run_tasks(plan, ws, err);
    if (status == BF_STATUS_OK) status = stopped(ws, err);
    bfi_reuse_end(ws, status == BF_STATUS_OK);
    return status;
}
