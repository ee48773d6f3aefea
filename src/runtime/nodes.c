#include "runtime/nodes.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/thread_pool.h"
#include "exec/alpha.h"
#include "runtime/cross.h"
#include "runtime/run.h"
#include "runtime/session.h"

/* A run of a request: lanes with something to bound, and what their splits become. */
typedef struct nodes_run {
    const bf_plan *plan;
    bf_workspace *ws;
    bfi_nodes_request *request;
    bfi_lane_splits *splits;     /* by lane of the request */
    bfi_crossings crossings;     /* of all lanes */
    bfi_multiplier *multipliers; /* of all lanes */
    double *weights;             /* likewise, and behind those of a lane the moments of each */
    int64_t *open;               /* lanes that are bounded, ascending */
    int64_t open_count;
    int64_t width; /* lanes of a tile */
} nodes_run;

int64_t bfi_nodes_slope_bytes(const bf_plan *plan) {
    return bfi_splits_slope_bytes(plan, plan->alpha_spec_program);
}

bool bfi_nodes_possible(const bf_plan *plan) { return plan->alpha_spec_program >= 0; }

static bfi_lane_cut cut_of(const nodes_run *r, const bfi_node_lane *lane) {
    return (bfi_lane_cut){.program = r->plan->alpha_spec_program,
                          .box = lane->base,
                          .splits = lane->splits,
                          .count = lane->split_count,
                          .start = lane->multipliers};
}

/* The neuron exists, and the rows see its activation. */
static bool term_fits(const bf_plan *plan, const bfi_neuron_term *term) {
    if (term->by == 0) return true;
    return term->activation >= 0 && term->activation < plan->split_count && term->neuron >= 0 &&
           term->neuron < plan->graph->nodes[plan->split_values[term->activation]].count &&
           fabs(term->by) < INFINITY && term->by == (double)(float)term->by &&
           bfi_taker(plan, plan->alpha_spec_program, plan->split_values[term->activation]) >= 0;
}

static bool mix_fits(const nodes_run *r, const bfi_node_lane *lane) {
    bool some = false;
    if (lane->mixed == 0) return true;
    if (lane->mixed < 0 || lane->mixed > r->request->rows - lane->row || !r->request->limits)
        return false;
    for (int32_t i = 0; i < lane->mixed; i++) {
        double scale = r->request->limits[lane->row + i].scale;
        if (!(lane->weights[i] >= 0 && lane->weights[i] < INFINITY)) return false;
        if (!(scale > 0 && scale < INFINITY)) return false;
        some = some || lane->weights[i] > 0;
    }
    return some && r->plan->programs[r->plan->alpha_spec_program].mix <
                       r->plan->programs[r->plan->alpha_spec_program].op_count;
}

static bf_status check_lane(const nodes_run *r, int64_t index, bf_error *err) {
    const bfi_node_lane *lane = &r->request->lanes[index];
    bfi_lane_cut cut = cut_of(r, lane);
    bool fits = lane->row >= 0 && lane->row < r->request->rows && mix_fits(r, lane) &&
                lane->base >= 0 && lane->base < r->ws->boxes &&
                !bfi_ws_box(r->ws, lane->base)->answered && lane->rounds >= 1 &&
                lane->split_count >= 0 && bfi_cut_valid(r->plan, &cut) &&
                term_fits(r->plan, &lane->term);
    if (!fits)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "node %lld: row, weights, base, rounds or splits are out of range or out "
                        "of order",
                        (long long)index);
    return BF_STATUS_OK;
}

static bf_status check(const nodes_run *r, bf_error *err) {
    const bf_plan *plan = r->plan;
    if (!r->ws->ran || !r->ws->choose || plan->alpha_spec_program < 0 || !r->request->spec)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "nodes need a workspace whose last run, alpha-CROWN's, left rows open");
    bf_status status = BF_STATUS_OK;
    for (int64_t i = 0; i < r->request->count && status == BF_STATUS_OK; i++)
        status = check_lane(r, i, err);
    return status;
}

/* False: the lane's splits contradict its base. */
static bool cross_lane(nodes_run *r, int64_t index, bfi_multiplier *multipliers) {
    bfi_lane_cut cut = cut_of(r, &r->request->lanes[index]);
    size_t before = r->crossings.count;
    bool left = bfi_cross(r->plan, r->ws, &cut, multipliers, &r->crossings);
    r->splits[index].count = (int32_t)(r->crossings.count - before);
    return left;
}

/* The lane's term. */
static bfi_tilt tilt_of(const nodes_run *r, const bfi_node_lane *lane) {
    if (lane->term.by == 0) return (bfi_tilt){0};
    int value = r->plan->split_values[lane->term.activation];
    int64_t j = lane->term.neuron;
    double lo = bfi_ws_doubles(r->ws, lane->base, r->plan->state[value].lo)[j],
           hi = bfi_ws_doubles(r->ws, lane->base, r->plan->state[value].hi)[j];
    return (bfi_tilt){.node = bfi_taker(r->plan, r->plan->alpha_spec_program, value),
                      .neuron = j,
                      .by = lane->term.by,
                      .reach = fmax(fabs(lo), fabs(hi))};
}

/* The lane's weights, at |weights|. */
static bfi_mix mix_of(const nodes_run *r, const bfi_node_lane *lane, double *weights) {
    if (lane->mixed == 0) return (bfi_mix){0};
    double sum = 0;
    for (int32_t i = 0; i < lane->mixed; i++) sum += (double)lane->weights[i];
    for (int32_t i = 0; i < lane->mixed; i++) weights[i] = (double)lane->weights[i] / sum;
    bfi_mix_round(weights, lane->mixed);
    return (bfi_mix){.count = lane->mixed,
                     .limits = r->request->limits + lane->row,
                     .weights = weights,
                     .m = weights + lane->mixed};
}

static bf_status allocate(nodes_run *r, bf_error *err) {
    size_t count = (size_t)r->request->count, splits = 0, mixed = 0;
    for (size_t i = 0; i < count; i++) {
        splits += (size_t)r->request->lanes[i].split_count;
        mixed += (size_t)r->request->lanes[i].mixed;
    }
    r->splits = bfi_calloc(count, sizeof *r->splits);
    r->multipliers = bfi_calloc(splits, sizeof *r->multipliers);
    r->weights = bfi_calloc(mixed, 2 * sizeof *r->weights);
    r->open = bfi_calloc(count, sizeof *r->open);
    bool ok = r->splits && r->multipliers && r->weights && r->open;
    return ok ? BF_STATUS_OK : bfi_fail_memory(err);
}

static bf_status prepare(nodes_run *r, bf_error *err) {
    size_t count = (size_t)r->request->count, first = 0;
    bf_status status = allocate(r, err);
    if (status != BF_STATUS_OK) return status;
    double *weights = r->weights;
    for (size_t i = 0; i < count; i++) {
        bfi_node_lane *lane = &r->request->lanes[i];
        r->splits[i] = (bfi_lane_splits){.tilt = tilt_of(r, lane),
                                         .mix = mix_of(r, lane, weights),
                                         .rounds = lane->rounds,
                                         .slopes = lane->slopes,
                                         .fresh = lane->fresh,
                                         .corner = lane->corner,
                                         .look = lane->look,
                                         .index = (int64_t)i};
        if (bfi_ws_infeasible(r->ws, lane->base) ||
            !cross_lane(r, (int64_t)i, r->multipliers + first))
            lane->lower = INFINITY, lane->error = 0;
        else if (!(lane->lower >= lane->stop))
            r->open[r->open_count++] = (int64_t)i;
        first += (size_t)lane->split_count;
        weights += 2 * lane->mixed;
    }
    if (r->crossings.failed) return bfi_fail_memory(err);
    size_t at = 0;
    for (size_t i = 0; i < count && r->crossings.list; at += (size_t)r->splits[i++].count)
        r->splits[i].crossings = r->crossings.list + at;
    return BF_STATUS_OK;
}

/* Lanes [first, first + lanes) of the open ones, which share a base. */
static void run_tile(const nodes_run *r, int64_t first, int64_t lanes, int worker) {
    bfi_lane_vectors v = bfi_tile_vectors(r->plan, r->ws, worker);
    bfi_lane_splits *splits[BFI_WIDEST_TILE];
    double lower[BFI_WIDEST_TILE], error[BFI_WIDEST_TILE], stop[BFI_WIDEST_TILE];
    int rounds = 0;
    for (int64_t l = 0; l < lanes; l++) {
        const bfi_node_lane *lane = &r->request->lanes[r->open[first + l]];
        v.row[l] = lane->row, v.box[l] = lane->base, v.sign[l] = 1;
        lower[l] = lane->lower, error[l] = lane->error, stop[l] = lane->stop;
        splits[l] = &r->splits[r->open[first + l]];
        if (lane->rounds > rounds) rounds = lane->rounds;
    }
    bfi_alpha_request request = {.tile = {.program = r->plan->alpha_spec_program,
                                          .step = r->plan->tasks.step_count - 1,
                                          .worker = worker,
                                          .lanes = lanes,
                                          .level = -1,
                                          .spec = r->request->spec},
                                 .rounds = rounds,
                                 .stop = stop,
                                 .lr = r->request->lr,
                                 .splits = splits,
                                 .multiplier_lr = r->request->multiplier_lr,
                                 .look = r->request->look,
                                 .user = r->request->user};
    bf_status status = bfi_alpha_tile(r->plan, r->ws, &request, lower, error);
    if (status != BF_STATUS_OK) atomic_store(&r->ws->failed, (int)status);
    for (int64_t l = 0; l < lanes; l++) {
        bfi_node_lane *lane = &r->request->lanes[r->open[first + l]];
        if (lower[l] > lane->lower) lane->lower = lower[l], lane->error = error[l];
    }
}

/* Lanes of one base and as many rounds that stand together, cut where a tile is full. */
static void run_item(void *user, int64_t item, int worker) {
    const nodes_run *r = user;
    int64_t first = item * r->width, last = first + r->width;
    if (last > r->open_count) last = r->open_count;
    for (int64_t at = first, end; at < last && !bfi_ws_stopped(r->ws); at = end) {
        const bfi_node_lane *first_lane = &r->request->lanes[r->open[at]];
        for (end = at + 1; end < last; end++) {
            const bfi_node_lane *lane = &r->request->lanes[r->open[end]];
            if (lane->base != first_lane->base || lane->rounds != first_lane->rounds) break;
        }
        run_tile(r, at, end - at, worker);
    }
}

static void run_tiles(nodes_run *r) {
    const bf_plan *plan = r->plan;
    int64_t workers = plan->workers, widest = plan->alpha_lanes;
    int64_t share = (r->open_count + workers - 1) / workers;
    r->width = bfi_lane_stride(share < 1 ? 1 : share);
    if (r->width > widest) r->width = widest;
    int64_t tiles = (r->open_count + r->width - 1) / r->width;
    if (workers > 1 && tiles > 1)
        bfi_pool_run(plan->session->pool, tiles, (int)workers, run_item, r);
    else
        for (int64_t i = 0; i < tiles; i++) run_item(r, i, 0);
}

/* Multipliers and weights as they ended. */
static void give_back(const nodes_run *r) {
    size_t first = 0;
    for (int64_t i = 0; i < r->request->count; i++) {
        bfi_node_lane *lane = &r->request->lanes[i];
        for (int32_t k = 0; k < lane->split_count; k++)
            lane->multipliers[k] = (float)r->multipliers[first + (size_t)k].value;
        for (int32_t k = 0; k < lane->mixed; k++)
            lane->weights[k] = (float)r->splits[i].mix.weights[k];
        first += (size_t)lane->split_count;
    }
}

bf_status bfi_nodes_run(const bf_plan *plan, bf_workspace *ws, bfi_nodes_request *request,
                        bf_error *err) {
    nodes_run r = {.plan = plan, .ws = ws, .request = request};
    bf_status status = check(&r, err);
    if (status == BF_STATUS_OK && request->count > 0) status = prepare(&r, err);
    if (status == BF_STATUS_OK && r.open_count > 0) {
        ws->budget = (bfi_budget){request->deadline, &plan->session->stop};
        atomic_store(&ws->failed, BF_STATUS_OK);
        run_tiles(&r);
        give_back(&r);
        status = bfi_run_failure(ws, err);
        atomic_store(&ws->failed, BF_STATUS_OK);
    }
    free(r.splits);
    free(r.crossings.list);
    free(r.multipliers);
    free(r.weights);
    free(r.open);
    return status;
}
