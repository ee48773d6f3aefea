#include "verify/bab/lanes.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "verify/rows.h"

int64_t bfi_lane_bytes(const bfi_problem *p, int64_t slope_bytes) {
    return (int64_t)(sizeof(bfi_node_lane) + sizeof(bfi_rankings)) +
           p->n * (int64_t)sizeof(double) + slope_bytes +
           bfi_problem_most_mixed(p) * (int64_t)sizeof(float);
}

bf_status bfi_lanes_create(const bfi_problem *problem, int room, int64_t slope_bytes,
                           bfi_lanes *out, bf_error *err) {
    size_t lanes = (size_t)room, corners, slopes, weights;
    int32_t mixed = bfi_problem_most_mixed(problem);
    *out =
        (bfi_lanes){.problem = problem, .room = room, .slope_bytes = slope_bytes, .mixed = mixed};
    if (!bfi_mul_size(lanes, (size_t)problem->n, &corners) ||
        !bfi_mul_size(lanes, (size_t)mixed, &weights) ||
        !bfi_mul_size(lanes, (size_t)slope_bytes, &slopes))
        return bfi_fail_memory(err);
    out->lanes = bfi_calloc(lanes, sizeof *out->lanes);
    out->rankings = bfi_calloc(lanes, sizeof *out->rankings);
    out->corners = bfi_malloc(corners, sizeof *out->corners);
    out->slopes = bfi_calloc(slopes, 1);
    out->first = bfi_calloc(lanes + 1, sizeof *out->first);
    out->weights = bfi_calloc(weights, sizeof *out->weights);
    bool ok =
        out->lanes && out->rankings && out->corners && out->slopes && out->first && out->weights;
    return ok ? BF_STATUS_OK : bfi_fail_memory(err);
}

void bfi_lanes_clear(bfi_lanes *l) {
    free(l->lanes);
    free(l->rankings);
    free(l->corners);
    free(l->slopes);
    free(l->splits);
    free(l->multipliers);
    free(l->first);
    free(l->weights);
    *l = (bfi_lanes){0};
}

static void start_multipliers(const bfi_lane_start *start, float *multipliers) {
    for (int32_t i = 0, from = 0; i < start->count; i++)
        multipliers[i] = i == start->fresh || !start->multipliers ? 0 : start->multipliers[from++];
}

bf_status bfi_lanes_add(bfi_lanes *l, const bfi_lane_start *start, bf_error *err) {
    int at = l->count;
    int64_t first = l->first[at];
    int32_t mixed = bfi_problem_mixed(l->problem, start->bit);
    size_t weights = (size_t)mixed * sizeof *l->weights;
    size_t need = (size_t)(first + start->count) + 1;
    assert(at < l->room);
    if (!bfi_grow((void **)&l->splits, &l->split_room, need, sizeof *l->splits) ||
        !bfi_grow((void **)&l->multipliers, &l->multiplier_room, need, sizeof *l->multipliers))
        return bfi_fail_memory(err);
    if (start->count > 0)
        memcpy(l->splits + first, start->splits, (size_t)start->count * sizeof *l->splits);
    start_multipliers(start, l->multipliers + first);
    if (start->slopes) memcpy(bfi_lanes_slopes(l, at), start->slopes, (size_t)l->slope_bytes);
    memset(bfi_lanes_weights(l, at), 0, weights);
    if (start->weights) memcpy(bfi_lanes_weights(l, at), start->weights, weights);
    l->lanes[at] = (bfi_node_lane){.base = start->base,
                                   .row = l->problem->first_row[start->bit],
                                   .mixed = mixed,
                                   .weights = bfi_lanes_weights(l, at),
                                   .rounds = start->rounds,
                                   .split_count = start->count,
                                   .lower = start->lower,
                                   .error = start->error,
                                   .slopes = bfi_lanes_slopes(l, at),
                                   .fresh = !start->slopes,
                                   .corner = start->look ? bfi_lanes_corner(l, at) : NULL,
                                   .look = start->look};
    l->first[at + 1] = first + start->count;
    l->count++;
    return BF_STATUS_OK;
}

static void look(void *user, int64_t lane, const bfi_node_view *view) {
    const bfi_lanes *l = user;
    const bfi_node_lane *n = &l->lanes[lane];
    bfi_branch_rank(view, n->splits, n->split_count, &l->rankings[lane]);
}

/* A mix without weights starts with one row. */
static void start_weights(bfi_node_lane *lane, int32_t row) {
    for (int32_t i = 0; i < lane->mixed; i++)
        if (lane->weights[i] > 0) return;
    if (lane->mixed > 0) lane->weights[row] = 1;
}

double bfi_lanes_margin(const bfi_lanes *l, int lane, int bit) {
    const bfi_node_lane *n = &l->lanes[lane];
    const bfi_problem *p = l->problem;
    return n->mixed > 0 ? n->lower
                        : bfi_row_margin(bfi_problem_row(p, bit, n->row), n->lower, p->c->lo,
                                         p->c->hi, p->y_lo, p->y_hi);
}

/* A mix refutes by more than 0, or where no row may be met by equality. */
bool bfi_lanes_refuted(const bfi_lanes *l, int bit, double margin) {
    bool refuted = true;
    for (int32_t r = l->problem->first_row[bit]; r < l->problem->first_row[bit + 1]; r++)
        refuted = refuted && bfi_row_refuted(bfi_problem_row(l->problem, bit, r), margin);
    return refuted;
}

bf_status bfi_lanes_run(bfi_lanes *l, const bfi_root *root, double deadline, bf_error *err) {
    bool open = false;
    for (int i = 0; i < l->count; i++) {
        bfi_node_lane *n = &l->lanes[i];
        bfi_root_bound known = bfi_root_known(root, n->row, n->mixed);
        n->splits = bfi_lanes_splits(l, i);
        n->multipliers = bfi_lanes_multipliers(l, i);
        n->stop = bfi_root_stop(root, n->row, n->mixed);
        start_weights(n, known.row);
        if (known.lower > n->lower) n->lower = known.lower, n->error = known.error;
        open = open || n->lower < n->stop;
        if (n->look) l->rankings[i] = (bfi_rankings){0};
        if (n->corner) memcpy(n->corner, l->problem->c->lo, (size_t)l->problem->n * sizeof(double));
    }
    bfi_nodes_request request = {.spec = l->problem->spec,
                                 .rows = l->problem->rows,
                                 .limits = root->limit,
                                 .lanes = l->lanes,
                                 .count = l->count,
                                 .look = look,
                                 .user = l,
                                 .lr = BFI_WARM_SLOPE_STEP,
                                 .multiplier_lr = BFI_WARM_MULTIPLIER_STEP,
                                 .deadline = deadline};
    return open ? bfi_nodes_run(root->plan, root->ws, &request, err) : BF_STATUS_OK;
}
