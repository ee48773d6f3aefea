#include "runtime/rebase.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "exec/parts.h"
#include "runtime/cross.h"
#include "runtime/nodes.h"
#include "runtime/run.h"
#include "runtime/session.h"

/* Lanes of one run: fewer where their slopes, which are copies, take more than CHUNK_BYTES. */
enum { CHUNK = 256, LEAST_CHUNK = 16 };
#define CHUNK_BYTES ((size_t)4 << 20)
/* A neuron's |by|, in units of what is open of the row per width of the neuron's interval. (2 to 12
 * made little difference on networks of MNIST; near the output less is better.) */
#define PACE 5

static bf_status check(const bf_plan *plan, const bf_workspace *ws, const bfi_rebase_request *q,
                       bf_error *err) {
    bfi_lane_cut cut = {.splits = q->splits, .count = q->count};
    bool fits = plan->options.keep_layers && plan->alpha_spec_program >= 0 && ws->ran &&
                ws->choose && ws->first_box == 0 && bfi_is_base(ws, q->from) && q->to > 0 &&
                q->to < plan->boxes && q->count >= 0 && bfi_cut_valid(plan, &cut);
    if (!fits)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "box %lld cannot become a base: what it starts from or its splits are out "
                        "of range or out of order",
                        (long long)q->to);
    return BF_STATUS_OK;
}

/* All boxes of the workspace are there, those that were not run as no bases. */
static void open_room(const bf_plan *plan, bf_workspace *ws) {
    for (; ws->boxes < plan->boxes; ws->boxes++) bfi_ws_box(ws, ws->boxes)->answered = 1;
}

/* Puts |j| on the list of a layer of |n| elements, unless it is there. */
static void keep_element(int32_t *active, int64_t n, int32_t j) {
    int32_t at = active[0];
    uint8_t *kept = bfi_list_mark(active, n) + j;
    if (*kept) return;
    *kept = 1;
    while (at > 0 && active[at] > j) at--;
    memmove(active + at + 2, active + at + 1, (size_t)(active[0] - at) * sizeof *active);
    active[at + 1] = j;
    active[0]++;
}

/* Lanes of the base have multipliers where it is split: there they keep a coefficient, although a
 * relu that is split off leaves none. */
static void keep_splits(const bf_plan *plan, bf_workspace *ws, const bfi_rebase_request *q) {
    for (int32_t i = 0; i < q->count; i++) {
        int value = plan->split_values[q->splits[i].activation];
        for (int id = 0; id < plan->graph->count; id++) {
            const bfi_node *node = &plan->graph->nodes[id];
            if (bfi_op_class_of(node->op) != BFI_CLASS_UNARY ||
                bfi_value_root(plan->graph, node->inputs[0]) != value)
                continue;
            int32_t *active = bfi_ws_ints(ws, q->to, plan->state[id].active);
            if (active) keep_element(active, node->count, (int32_t)q->splits[i].neuron);
        }
    }
}

/* Bounds of the base's layers again, from what is there and its splits. */
static bf_status run_again(const bf_plan *plan, bf_workspace *ws, const bfi_rebase_request *q,
                           bf_error *err) {
    bf_request outer = ws->request;
    int64_t *first = bfi_calloc((size_t)ws->boxes + 1, sizeof *first);
    if (!first) return bfi_fail_memory(err);
    for (int64_t b = q->to; b < ws->boxes; b++) first[b + 1] = q->count;
    ws->request.splits = q->count > 0 ? q->splits : NULL;
    ws->request.first_split = first;
    ws->budget = (bfi_budget){q->deadline, &plan->session->stop};
    atomic_store(&ws->failed, BF_STATUS_OK);
    bfi_run_again(plan, ws, q->to);
    keep_splits(plan, ws, q);
    ws->request = outer;
    free(first);
    bf_status status = bfi_run_failure(ws, err);
    atomic_store(&ws->failed, BF_STATUS_OK);
    return status;
}

bf_status bfi_rebase_run(const bf_plan *plan, bf_workspace *ws, const bfi_rebase_request *request,
                         bf_error *err) {
    bf_status status = check(plan, ws, request, err);
    if (status == BF_STATUS_OK && request->to == request->from)
        status = bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "a base cannot be made from itself");
    if (status != BF_STATUS_OK) return status;
    open_room(plan, ws);
    memcpy(bfi_ws_numbers(ws, request->to, 0), bfi_ws_numbers(ws, request->from, 0),
           (size_t)plan->persistent_bytes);
    status = run_again(plan, ws, request, err);
    if (status != BF_STATUS_OK) bfi_ws_box(ws, request->to)->answered = 1;
    return status;
}

/* A kink's unstable input. */
static bool unstable(const double *lo, const double *hi, int64_t j) {
    return lo[j] < 0 && hi[j] > 0 && hi[j] - lo[j] < INFINITY;
}

static bool is_tightened(const bf_plan *plan, int value) {
    return plan->relu_only[value] && bfi_taker(plan, plan->alpha_spec_program, value) >= 0;
}

int64_t bfi_tighten_lanes(const bf_plan *plan, const bf_workspace *ws, int64_t base) {
    int64_t neurons = 0;
    for (int a = 0; a < plan->split_count; a++) {
        int value = plan->split_values[a];
        const double *lo = bfi_ws_doubles(ws, base, plan->state[value].lo),
                     *hi = bfi_ws_doubles(ws, base, plan->state[value].hi);
        for (int64_t j = 0; is_tightened(plan, value) && j < plan->graph->nodes[value].count; j++)
            neurons += unstable(lo, hi, j);
    }
    return 2 * neurons;
}

/* A tightening: lanes of one run, and what all of them have found so far. */
typedef struct tightening {
    const bf_plan *plan;
    bf_workspace *ws;
    const bfi_tighten_request *request;
    size_t slope_bytes;
    bfi_node_lane *lanes;
    int chunk, count; /* lanes of a run, now */
    float *multipliers, *weights;
    uint8_t *slopes;
    double *lo, *hi; /* by split value, one after the other: found */
} tightening;

/* Where the numbers of activation |a| begin in |lo| and |hi|; of all of them when a is their count.
 */
static int64_t first_of(const bf_plan *plan, int a) {
    int64_t first = 0;
    for (int i = 0; i < a; i++) first += plan->graph->nodes[plan->split_values[i]].count;
    return first;
}

static bf_status allocate(tightening *t, bf_error *err) {
    size_t all = (size_t)first_of(t->plan, t->plan->split_count),
           fit = CHUNK_BYTES / (t->slope_bytes + 1), splits = (size_t)t->request->base.count;
    t->chunk = fit < LEAST_CHUNK ? LEAST_CHUNK : fit < CHUNK ? (int)fit : CHUNK;
    t->lanes = bfi_calloc((size_t)t->chunk, sizeof *t->lanes);
    t->multipliers = bfi_malloc((size_t)t->chunk * (splits + 1), sizeof *t->multipliers);
    t->slopes = bfi_malloc((size_t)t->chunk, t->slope_bytes);
    t->weights = bfi_malloc((size_t)t->chunk * (size_t)t->request->mixed, sizeof *t->weights);
    t->lo = bfi_malloc(all, sizeof *t->lo);
    t->hi = bfi_malloc(all, sizeof *t->hi);
    if (!t->lanes || !t->multipliers || !t->weights || !t->slopes || !t->lo || !t->hi)
        return bfi_fail_memory(err);
    for (size_t j = 0; j < all; j++) t->lo[j] = -INFINITY, t->hi[j] = INFINITY;
    return BF_STATUS_OK;
}

static void release(tightening *t) {
    free(t->lanes);
    free(t->multipliers);
    free(t->weights);
    free(t->slopes);
    free(t->lo);
    free(t->hi);
}

/* What the bound of row + by z says of z. */
static void take(tightening *t, const bfi_node_lane *lane) {
    int64_t at = first_of(t->plan, lane->term.activation) + lane->term.neuron;
    double by = lane->term.by, bound = bfi_down(lane->lower - t->request->limit) / fabs(by);
    if (!(bound > -INFINITY)) return; /* a NaN too */
    if (by > 0)
        t->lo[at] = fmax(t->lo[at], bfi_down(bound));
    else
        t->hi[at] = fmin(t->hi[at], bfi_up(-bound));
}

static bf_status flush(tightening *t, bf_error *err) {
    const bfi_tighten_request *q = t->request;
    bfi_nodes_request nodes = {.spec = q->spec,
                               .rows = q->rows,
                               .limits = q->limits,
                               .lanes = t->lanes,
                               .count = t->count,
                               .lr = BFI_WARM_SLOPE_STEP,
                               .multiplier_lr = BFI_WARM_MULTIPLIER_STEP,
                               .deadline = q->base.deadline};
    bf_status status = bfi_nodes_run(t->plan, t->ws, &nodes, err);
    for (int i = 0; i < t->count && status == BF_STATUS_OK; i++) take(t, &t->lanes[i]);
    t->count = 0;
    return status;
}

static bf_status add_lane(tightening *t, int activation, int64_t neuron, double by, bf_error *err) {
    const bfi_tighten_request *q = t->request;
    size_t i = (size_t)t->count++, splits = (size_t)q->base.count, mixed = (size_t)q->mixed;
    float *multipliers = t->multipliers + i * splits, *weights = t->weights + i * mixed;
    uint8_t *slopes = t->slopes + i * t->slope_bytes;
    if (splits > 0) memcpy(multipliers, q->multipliers, splits * sizeof *multipliers);
    if (mixed > 0) memcpy(weights, q->weights, mixed * sizeof *weights);
    memcpy(slopes, q->slopes, t->slope_bytes);
    t->lanes[i] = (bfi_node_lane){.base = q->base.to,
                                  .row = q->row,
                                  .mixed = q->mixed,
                                  .weights = weights,
                                  .stop = INFINITY,
                                  .rounds = q->rounds,
                                  .term = {activation, neuron, (double)(float)by},
                                  .splits = q->base.splits,
                                  .split_count = q->base.count,
                                  .multipliers = multipliers,
                                  .slopes = slopes,
                                  .lower = -INFINITY};
    return t->count == t->chunk ? flush(t, err) : BF_STATUS_OK;
}

static bf_status bound_neurons(tightening *t, int activation, bf_error *err) {
    int value = t->plan->split_values[activation];
    const bfi_value_state *state = &t->plan->state[value];
    const double *lo = bfi_ws_doubles(t->ws, t->request->base.to, state->lo),
                 *hi = bfi_ws_doubles(t->ws, t->request->base.to, state->hi);
    double open = t->request->limit - t->request->lower;
    bf_status status = BF_STATUS_OK;
    for (int64_t j = 0; j < t->plan->graph->nodes[value].count; j++) {
        double by = PACE * open / (hi[j] - lo[j]);
        if (!unstable(lo, hi, j) || !((float)by > 0 && (float)by < 0x1p100f)) continue;
        if (status == BF_STATUS_OK) status = add_lane(t, activation, j, by, err);
        if (status == BF_STATUS_OK) status = add_lane(t, activation, j, -by, err);
    }
    return status;
}

/* Narrows an activation's input on the base; where nothing is left of an interval, neither is of
 * the base. */
static void narrow(const bf_plan *plan, bf_workspace *ws, int64_t base, int activation,
                   const double *found_lo, const double *found_hi) {
    int value = plan->split_values[activation];
    double *lo = bfi_ws_doubles(ws, base, plan->state[value].lo),
           *hi = bfi_ws_doubles(ws, base, plan->state[value].hi);
    for (int64_t j = 0; j < plan->graph->nodes[value].count; j++) {
        lo[j] = fmax(lo[j], found_lo[j]);
        hi[j] = fmin(hi[j], found_hi[j]);
        if (lo[j] > hi[j])
            atomic_store_explicit(&bfi_ws_box(ws, base)->infeasible, 1, memory_order_relaxed);
    }
}

static void put(tightening *t) {
    for (int a = 0; a < t->plan->split_count; a++) {
        int64_t first = first_of(t->plan, a);
        narrow(t->plan, t->ws, t->request->base.to, a, t->lo + first, t->hi + first);
    }
}

bf_status bfi_narrow_run(const bf_plan *plan, bf_workspace *ws, const bfi_rebase_request *request,
                         int32_t activation, const double *lo, const double *hi, bf_error *err) {
    bf_status status = check(plan, ws, request, err);
    if (status != BF_STATUS_OK) return status;
    narrow(plan, ws, request->to, activation, lo, hi);
    status = run_again(plan, ws, request, err);
    if (status != BF_STATUS_OK) bfi_ws_box(ws, request->to)->answered = 1;
    return status;
}

bf_status bfi_tighten_run(const bf_plan *plan, bf_workspace *ws, const bfi_tighten_request *request,
                          bf_error *err) {
    tightening t = {.plan = plan,
                    .ws = ws,
                    .request = request,
                    .slope_bytes = (size_t)bfi_nodes_slope_bytes(plan)};
    bf_status status = check(plan, ws, &request->base, err);
    if (status == BF_STATUS_OK && !bfi_is_base(ws, request->base.to))
        status = bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "box %lld is no base",
                          (long long)request->base.to);
    bool open = request->lower < request->limit && request->limit - request->lower < INFINITY;
    if (status != BF_STATUS_OK || !open || bfi_ws_infeasible(ws, request->base.to)) return status;
    status = allocate(&t, err);
    for (int a = 0; a < plan->split_count && status == BF_STATUS_OK; a++)
        if (is_tightened(plan, plan->split_values[a])) status = bound_neurons(&t, a, err);
    if (status == BF_STATUS_OK && t.count > 0) status = flush(&t, err);
    if (status == BF_STATUS_OK) put(&t);
    if (status == BF_STATUS_OK) status = run_again(plan, ws, &request->base, err);
    if (status != BF_STATUS_OK) bfi_ws_box(ws, request->base.to)->answered = 1;
    release(&t);
    return status;
}
