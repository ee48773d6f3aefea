/* Requests: what a workspace is asked, checked once and run as often as wanted, boxes in chunks of
 * as many as the plan has in flight. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/reuse.h"
#include "runtime/run.h"
#include "runtime/session.h"
#include "runtime/split.h"

/* "box", or "box 3" of several. */
typedef struct label {
    char text[32];
} label;

static label box_label(int64_t boxes, int64_t box) {
    label l = {"box"};
    if (boxes > 1) snprintf(l.text, sizeof l.text, "box %lld", (long long)box);
    return l;
}

static bf_status check_box(const bf_plan *plan, const bf_request *request, int64_t box,
                           bf_error *err) {
    int64_t n = plan->graph->nodes[0].count;
    const double *lo = request->lo + box * n, *hi = request->hi + box * n;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(lo[i]) || !isfinite(hi[i]))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "%s: input %lld is bounded by [%g, %g]: give finite bounds",
                            box_label(request->boxes, box).text, (long long)i, lo[i], hi[i]);
        if (lo[i] > hi[i])
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "%s: input %lld has lower bound %.9g above upper bound %.9g",
                            box_label(request->boxes, box).text, (long long)i, lo[i], hi[i]);
    }
    return BF_STATUS_OK;
}

static bf_status check_spec(const bf_plan *plan, const bf_request *request, bf_error *err) {
    int64_t outputs = plan->graph->nodes[plan->graph->output].count, rows = request->rows;
    if (request->spec_per_box) rows *= request->boxes;
    for (int64_t i = 0; request->spec && i < rows * outputs; i++)
        if (!isfinite(request->spec[i]))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "spec: row %lld, column %lld is not finite", (long long)(i / outputs),
                            (long long)(i % outputs));
    return BF_STATUS_OK;
}

/* Numbers of the largest array of the request, spec or results or boxes, can be counted. */
static bool countable(const bf_plan *plan, const bf_request *request) {
    int64_t n = plan->graph->nodes[0].count, rows = request->rows, numbers;
    int64_t outputs = plan->graph->nodes[plan->graph->output].count;
    return bfi_mul_i64(request->boxes, n, &numbers) &&
           bfi_mul_i64(request->boxes, outputs, &numbers) &&
           bfi_mul_i64(request->boxes, rows, &numbers) &&
           bfi_mul_i64(numbers, 2 * outputs, &numbers);
}

static bf_status check_request(const bf_plan *plan, const bf_request *request, bf_error *err) {
    if (!request->lo || !request->hi || request->rows < 0 || request->boxes < 0)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "request without a box, or with negative rows or boxes");
    if (!countable(plan, request))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "cannot take %lld boxes of %lld rows",
                        (long long)request->boxes, (long long)request->rows);
    bf_status status = BF_STATUS_OK;
    for (int64_t box = 0; box < request->boxes && status == BF_STATUS_OK; box++)
        status = check_box(plan, request, box, err);
    if (status == BF_STATUS_OK) status = check_spec(plan, request, err);
    if (status == BF_STATUS_OK) status = bfi_split_check(plan, request, request->boxes, err);
    return status;
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
    ws->request = *request;
    if (ws->request.boxes == 0) ws->request.boxes = 1;
    bf_status status = check_request(plan, &ws->request, err);
    ws->bound = status == BF_STATUS_OK;
    return status;
}

/* What holds before anything is computed. Later results only replace it by something better, so a
 * run that is stopped leaves bounds that hold. */
static void forget_results(const bf_plan *plan, const bf_request *request) {
    int64_t rows = request->spec ? request->rows : plan->graph->nodes[plan->graph->output].count;
    int64_t inputs = plan->graph->nodes[0].count;
    for (int64_t r = 0; r < rows * request->boxes; r++) {
        if (request->lower) request->lower[r] = -INFINITY;
        if (request->upper) request->upper[r] = INFINITY;
        if (request->lower_error) request->lower_error[r] = 0;
        if (request->constant) request->constant[r] = -INFINITY;
        for (int64_t i = 0; request->functional && i < inputs; i++)
            request->functional[r * inputs + i] = 0;
    }
}

bf_status bf_workspace_run(const bf_plan *plan, bf_workspace *ws, bf_error *err) {
    if (!ws->bound)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "nothing is bound: call bf_workspace_bind first");
    ws->budget = (bfi_budget){ws->request.deadline, &plan->session->stop};
    ws->stats = (bf_run_stats){.used_bytes = plan->workspace_bytes};
    atomic_store(&ws->failed, BF_STATUS_OK);
    ws->ran = false;
    forget_results(plan, &ws->request);
    bf_status status = BF_STATUS_OK;
    for (int64_t first = 0; first < ws->request.boxes && status == BF_STATUS_OK;
         first += plan->boxes) {
        int64_t left = ws->request.boxes - first;
        status = bfi_run_boxes(plan, ws, first, left < plan->boxes ? left : plan->boxes, err);
    }
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
    memset(ws->memory, 0, (size_t)(plan->boxes * plan->persistent_bytes));
    bfi_reuse_prepare(ws);
    *out = ws;
    return BF_STATUS_OK;
}

void bf_workspace_free(bf_workspace *ws) {
    if (!ws) return;
    if (ws->trace) free(ws->trace->events);
    free(ws->trace);
    bfi_reuse_free(ws->reuse);
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

int bf_workspace_box_layer(const bf_plan *plan, const bf_workspace *ws, int64_t box, int index,
                           double *lower, double *upper) {
    int value = ws->ran ? kept_value(plan, index) : -1;
    int64_t at = box - ws->first_box;
    if (value < 0 || at < 0 || at >= ws->boxes || !bfi_reuse_has_layers(ws, at)) return 0;
    int64_t n = plan->graph->nodes[value].count;
    const double *lo = bfi_ws_doubles(ws, at, plan->state[value].lo),
                 *hi = bfi_ws_doubles(ws, at, plan->state[value].hi);
    bool infeasible = bfi_ws_infeasible(ws, at);
    for (int64_t j = 0; j < n; j++) {
        lower[j] = infeasible ? INFINITY : lo[j];
        upper[j] = infeasible ? -INFINITY : hi[j];
    }
    return 1;
}

int bf_workspace_layer(const bf_plan *plan, const bf_workspace *ws, int index, double *lower,
                       double *upper) {
    return bf_workspace_box_layer(plan, ws, ws->request.boxes - 1, index, lower, upper);
}

double bf_clock(void) { return bfi_clock(); }
