/* Running a plan: steps in order, lane tiles of a step in parallel. */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "exec/backward.h"
#include "exec/forward.h"
#include "runtime/session.h"

/* Below this much work a step stays on the caller's thread: waking a worker costs more. */
#define PARALLEL_FLOPS 4e5

/* One backward step: |rows| functionals, both sides or one. */
typedef struct job {
    const bf_plan *plan;
    bf_workspace *ws;
    const bfi_program *program;
    const double *spec;   /* rows of C, or NULL: neurons */
    const int32_t *rows;  /* neurons, NULL: 0, 1, 2, ... */
    int sides;            /* 2: lower then upper of each row; 1: only the side |first_sign| */
    double first_sign;
    int64_t lanes, width; /* in all; per tile */
    double *lower, *upper; /* indexed by row (of C or of the target); NULL: not wanted */
    double *lower_error;   /* likewise */
    bool keep_better;      /* hidden layers with intersection: never loosen */
} job;

static void store(const job *j, int64_t row, double sign, double bound, double error) {
    if (sign > 0 && j->lower) {
        if (j->keep_better && bound <= j->lower[row]) return;
        j->lower[row] = bound;
        if (j->lower_error) j->lower_error[row] = error;
    } else if (sign < 0 && j->upper) {
        if (!j->keep_better || -bound < j->upper[row]) j->upper[row] = -bound;
    }
}

static void run_tile(void *user, int64_t item, int worker) {
    const job *j = user;
    if (atomic_load_explicit(&j->ws->failed, memory_order_relaxed)) return;
    bfi_lane_vectors v = bfi_tile_vectors(j->plan, j->ws, worker);
    int64_t first = item * j->width, lanes = j->lanes - first < j->width ? j->lanes - first : j->width;
    for (int64_t l = 0; l < lanes; l++) {
        int64_t index = (first + l) / j->sides;
        v.row[l] = j->rows ? j->rows[index] : index;
        v.sign[l] = j->sides == 2 ? ((first + l) % 2 ? -1 : 1) : j->first_sign;
    }
    double bounds[BFI_WIDEST_TILE], errors[BFI_WIDEST_TILE];
    bf_status status =
        bfi_backward_tile(j->plan, j->ws, j->program, worker, lanes, j->spec, bounds, errors);
    if (status != BF_STATUS_OK) {
        atomic_store(&j->ws->failed, (int)status);
        return;
    }
    for (int64_t l = 0; l < lanes; l++) store(j, v.row[l], v.sign[l], bounds[l], errors[l]);
}

/* Tiles as wide as the plan allows, narrower where that gives every worker one. */
static void run_job(job *j) {
    const bf_plan *plan = j->plan;
    if (j->lanes == 0) return;
    double flops = bfi_program_flops(plan, j->program) * (double)j->lanes;
    j->ws->stats.flops += flops;
    j->ws->stats.lanes += j->lanes;
    bool parallel = plan->workers > 1 && flops >= PARALLEL_FLOPS;
    j->width = plan->tile_lanes;
    if (parallel) {
        int64_t share = (j->lanes + plan->workers - 1) / plan->workers;
        share = (share + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
        if (share < j->width) j->width = share;
    }
    int64_t tiles = (j->lanes + j->width - 1) / j->width;
    if (parallel && plan->workers >= bfi_pool_threads(plan->session->pool)) {
        bfi_pool_run(plan->session->pool, tiles, run_tile, j);
    } else {
        for (int64_t item = 0; item < tiles; item++) run_tile(j, item, 0);
    }
}

/* Neurons of |node| that need backward bounds. */
static int64_t select_rows(const bf_plan *plan, const bf_workspace *ws, int node, int32_t *rows) {
    const double *lo = bfi_ws_doubles(ws, plan->state[node].lo), *hi = bfi_ws_doubles(ws, plan->state[node].hi);
    bool all = plan->options.all_neurons || !plan->relu_only[node];
    int64_t count = 0;
    for (int64_t j = 0; j < plan->graph->nodes[node].count; j++)
        if (all || (lo[j] < 0 && hi[j] > 0)) rows[count++] = (int32_t)j;
    return count;
}

static void run_bound_step(const bf_plan *plan, bf_workspace *ws, const bfi_step *step) {
    int32_t *rows = bfi_ws_ints(ws, plan->rows);
    int64_t count = select_rows(plan, ws, step->node, rows);
    ws->stats.unstable += count;
    job j = {.plan = plan,
             .ws = ws,
             .program = &plan->programs[step->program],
             .rows = rows,
             .sides = 2,
             .lanes = 2 * count,
             .lower = bfi_ws_doubles(ws, plan->state[step->node].lo),
             .upper = bfi_ws_doubles(ws, plan->state[step->node].hi),
             .keep_better = plan->options.intersect};
    run_job(&j);
    bfi_forward_finish(plan, ws, step->node);
}

static bf_status stopped(bf_workspace *ws, bf_error *err) {
    int status = atomic_load(&ws->failed);
    if (status == BF_STATUS_OK) status = (int)bfi_budget_check(&ws->budget);
    if (status == BF_STATUS_TIMEOUT) return bfi_fail(err, BF_STATUS_TIMEOUT, "time budget ran out");
    if (status == BF_STATUS_CANCELLED) return bfi_fail(err, BF_STATUS_CANCELLED, "stopped on request");
    return (bf_status)status;
}

static bf_status run_steps(const bf_plan *plan, bf_workspace *ws, const bf_request *request, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    for (int i = 0; i < plan->step_count && status == BF_STATUS_OK; i++) {
        const bfi_step *step = &plan->steps[i];
        if (step->kind == BFI_STEP_BOUND) {
            run_bound_step(plan, ws, step);
        } else {
            if (step->node == 0)
                bfi_forward_input(plan, ws, request->lo, request->hi);
            else
                bfi_forward_node(plan, ws, step->node);
            if (plan->graph->nodes[step->node].op != BFI_OP_RESHAPE) bfi_forward_finish(plan, ws, step->node);
        }
        status = stopped(ws, err);
    }
    return status;
}

/* What holds before anything is computed: the interval of the outputs, or nothing. Later results only
 * replace it by something better, so a run that is stopped leaves bounds that hold. */
static void start_results(const bf_plan *plan, const bf_workspace *ws, const bf_request *request, bool interval) {
    int output = plan->graph->output;
    const double *lo = bfi_ws_doubles(ws, plan->state[output].lo), *hi = bfi_ws_doubles(ws, plan->state[output].hi);
    int64_t rows = request->spec ? request->rows : plan->graph->nodes[output].count;
    for (int64_t r = 0; r < rows; r++) {
        if (request->lower) request->lower[r] = interval ? lo[r] : -INFINITY;
        if (request->upper) request->upper[r] = interval ? hi[r] : INFINITY;
        if (request->lower_error) request->lower_error[r] = 0;
    }
}

static bf_status run_spec(const bf_plan *plan, bf_workspace *ws, const bf_request *request, bf_error *err) {
    int program = request->spec ? plan->spec_program : plan->output_program;
    start_results(plan, ws, request, !request->spec && (program < 0 || plan->options.intersect));
    if (program < 0 || (!request->lower && !request->upper)) return BF_STATUS_OK;
    job j = {.plan = plan,
             .ws = ws,
             .spec = request->spec,
             .sides = request->lower && request->upper ? 2 : 1,
             .first_sign = request->lower ? 1 : -1,
             .lower = request->lower,
             .upper = request->upper,
             .lower_error = request->lower_error,
             .keep_better = true};
    j.lanes = j.sides * (request->spec ? request->rows : plan->graph->nodes[plan->graph->output].count);
    if (request->spec && plan->interval_program >= 0) {
        j.program = &plan->programs[plan->interval_program];
        run_job(&j);
    }
    j.program = &plan->programs[program];
    run_job(&j);
    return stopped(ws, err);
}

static bf_status check_request(const bf_plan *plan, const bf_request *request, bf_error *err) {
    if (!request->lo || !request->hi || request->rows < 0)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "request without a box, or with negative rows");
    for (int64_t i = 0; i < plan->graph->nodes[0].count; i++) {
        if (!isfinite(request->lo[i]) || !isfinite(request->hi[i]))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "box: input %lld is bounded by [%g, %g]: give finite bounds", (long long)i,
                            request->lo[i], request->hi[i]);
        if (request->lo[i] > request->hi[i])
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "box: input %lld has lower bound %.9g above upper bound %.9g", (long long)i,
                            request->lo[i], request->hi[i]);
    }
    int64_t outputs = plan->graph->nodes[plan->graph->output].count;
    for (int64_t i = 0; request->spec && i < request->rows * outputs; i++)
        if (!isfinite(request->spec[i]))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "spec: row %lld, column %lld is not finite",
                            (long long)(i / outputs), (long long)(i % outputs));
    return BF_STATUS_OK;
}

bf_status bf_bounds_run(const bf_plan *plan, bf_workspace *ws, const bf_request *request, bf_error *err) {
    bf_status status = check_request(plan, request, err);
    if (status != BF_STATUS_OK) return status;
    ws->budget = (bfi_budget){request->deadline, &plan->session->stop};
    ws->stats = (bf_run_stats){.used_bytes = plan->workspace_bytes};
    atomic_store(&ws->failed, BF_STATUS_OK);
    status = run_steps(plan, ws, request, err);
    ws->ran = status == BF_STATUS_OK;
    return status == BF_STATUS_OK ? run_spec(plan, ws, request, err) : status;
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
    free(ws->memory);
    free(ws);
}

bf_run_stats bf_workspace_stats(const bf_workspace *ws) { return ws->stats; }

int bf_workspace_layer(const bf_plan *plan, const bf_workspace *ws, int index, double *lower, double *upper) {
    if (!ws->ran || index < 0 || index >= plan->graph->count) return 0;
    size_t bytes = (size_t)plan->graph->nodes[index].count * sizeof(double);
    memcpy(lower, bfi_ws_doubles(ws, plan->state[index].lo), bytes);
    memcpy(upper, bfi_ws_doubles(ws, plan->state[index].hi), bytes);
    return 1;
}

double bf_clock(void) { return bfi_clock(); }
