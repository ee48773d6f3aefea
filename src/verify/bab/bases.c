#include "verify/bab/bases.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "runtime/nodes.h"
#include "runtime/rebase.h"

enum {
    DEEPER = 4,         /* a base's node is this much deeper than the one before */
    ANCHOR_ROUNDS = 10, /* ways back of the row that hidden bounds are tightened with, */
    TIGHTEN_ROUNDS = 3, /* and of hidden bounds, which start with the row's numbers */
    MOST_SWEEPS = 4     /* over all hidden bounds, one after the other */
};
/* Bases may take as many nodes' work as nodes have taken; less while they raise the row by less
 * than LEAST_GAIN of what is open, but so much that a part where they gain is found. */
#define LEAST_GAIN 0.05
#define LEAST_WORTH 0.0625

static bool contains(const bf_split *all, int32_t count, const bf_split *s) {
    for (int32_t i = 0; i < count; i++)
        if (all[i].activation == s->activation && all[i].neuron == s->neuron &&
            all[i].sign == s->sign &&
            (s->sign > 0 ? all[i].point >= s->point : all[i].point <= s->point))
            return true;
    return false;
}

void bfi_bases_clear(bfi_bases *b) {
    for (int l = 0; l < BFI_TREE_LEVELS; l++) free(b->levels[l].splits);
    *b = (bfi_bases){.worth = 1};
}

void bfi_bases_follow(bfi_bases *b, int level) {
    assert(level >= 0 && level <= b->level);
    for (; b->level > level; b->level--) {
        free(b->levels[b->level].splits);
        b->levels[b->level] = (bfi_base_level){0};
    }
}

void bfi_bases_count(bfi_bases *b, int nodes) {
    b->work += nodes;
    b->levels[b->level].work += nodes;
}

static int64_t box_of(const bfi_bases *b, int level) {
    return level > 0 ? level + BFI_GROUND : b->ground;
}

/* What one tightening of |box| takes, in nodes. */
static double cost_of(const bfi_bases *b, const bfi_root *root, int64_t box) {
    double lanes = (double)bfi_tighten_lanes(root->plan, root->ws, box);
    return lanes * (2 * TIGHTEN_ROUNDS - 1) * root->lane_flops / b->node_flops;
}

bool bfi_bases_due(const bfi_bases *b, const bfi_root *root) {
    if (b->level + 1 >= BFI_TREE_LEVELS || box_of(b, b->level + 1) >= root->plan->boxes)
        return false;
    double cost = cost_of(b, root, box_of(b, b->level));
    return cost > 0 && b->levels[b->level].work >= cost && b->spent + cost <= b->worth * b->work;
}

int32_t bfi_bases_depth(const bfi_bases *b) { return b->levels[b->level].depth + DEEPER; }

int64_t bfi_bases_find(const bfi_bases *b, int bit, const bf_split *splits, int32_t count) {
    for (int l = b->level; l > 0; l--) {
        const bfi_base_level *level = &b->levels[l];
        bool fits = level->bit == bit;
        for (int32_t i = 0; i < level->count && fits; i++)
            fits = contains(splits, count, &level->splits[i]);
        if (fits) return box_of(b, l);
    }
    return b->ground;
}

/* The lane of a base being made: its bound, and the numbers that gave it. */
typedef struct anchor {
    bfi_node_lane lane;
    float *multipliers, *weights;
    uint8_t *slopes;
} anchor;

static bf_status bound_anchor(anchor *a, const bfi_problem *p, const bfi_root *root,
                              double deadline, bf_error *err) {
    bfi_nodes_request request = {.spec = p->spec,
                                 .rows = p->rows,
                                 .limits = root->limit,
                                 .lanes = &a->lane,
                                 .count = 1,
                                 .lr = BFI_WARM_SLOPE_STEP,
                                 .multiplier_lr = BFI_WARM_MULTIPLIER_STEP,
                                 .deadline = deadline};
    return bfi_nodes_run(root->plan, root->ws, &request, err);
}

/* Tightens the base as long as that raises the row. */
static bf_status tighten(bfi_bases *b, const bfi_problem *p, bfi_root *root,
                         const bfi_tighten_request *q, anchor *a, bf_error *err) {
    double stop = a->lane.stop, first = a->lane.lower;
    bf_status status = BF_STATUS_OK;
    for (int sweep = 0; sweep < MOST_SWEEPS && status == BF_STATUS_OK; sweep++) {
        bfi_tighten_request next = *q;
        double before = a->lane.lower;
        if (!(before < stop)) break;
        next.lower = before;
        b->spent += cost_of(b, root, q->base.to);
        status = bfi_tighten_run(root->plan, root->ws, &next, err);
        if (status == BF_STATUS_OK) status = bound_anchor(a, p, root, q->base.deadline, err);
        if (a->lane.lower - before < LEAST_GAIN * (stop - before)) break;
    }
    double gain = (fmin(a->lane.lower, stop) - first) / (stop - first);
    b->worth = gain < LEAST_GAIN ? fmax(b->worth / 2, LEAST_WORTH) : fmin(2 * b->worth, 1);
    return status;
}

static double stop_of(const bfi_problem *p, const bfi_root *root, int bit) {
    return bfi_root_stop(root, p->first_row[bit], bfi_problem_mixed(p, bit));
}

static bf_status make(bfi_bases *b, const bfi_problem *p, bfi_root *root,
                      const bfi_base_start *start, double deadline, anchor *a, bf_error *err) {
    bfi_tighten_request q = {.base = {.from = box_of(b, b->level),
                                      .to = box_of(b, b->level + 1),
                                      .splits = start->splits,
                                      .count = start->count,
                                      .deadline = deadline},
                             .spec = p->spec,
                             .rows = p->rows,
                             .row = p->first_row[start->bit],
                             .mixed = bfi_problem_mixed(p, start->bit),
                             .limits = root->limit,
                             .weights = a->weights,
                             .limit = stop_of(p, root, start->bit),
                             .multipliers = a->multipliers,
                             .slopes = a->slopes,
                             .rounds = TIGHTEN_ROUNDS};
    a->lane = (bfi_node_lane){.base = q.base.to,
                              .row = q.row,
                              .mixed = q.mixed,
                              .weights = a->weights,
                              .stop = q.limit,
                              .rounds = ANCHOR_ROUNDS,
                              .splits = start->splits,
                              .split_count = start->count,
                              .multipliers = a->multipliers,
                              .slopes = a->slopes,
                              .lower = -INFINITY};
    bf_status status = bfi_rebase_run(root->plan, root->ws, &q.base, err);
    if (status == BF_STATUS_OK) status = bound_anchor(a, p, root, deadline, err);
    return status == BF_STATUS_OK ? tighten(b, p, root, &q, a, err) : status;
}

bf_status bfi_bases_add(bfi_bases *b, const bfi_problem *p, bfi_root *root,
                        const bfi_base_start *start, double deadline, bool *made, bf_error *err) {
    size_t count = (size_t)start->count, bytes = (size_t)root->slope_bytes,
           mixed = (size_t)bfi_problem_mixed(p, start->bit);
    anchor a = {.multipliers = bfi_malloc(count + 1, sizeof *a.multipliers),
                .weights = bfi_malloc(mixed, sizeof *a.weights),
                .slopes = bfi_malloc(bytes, 1)};
    bf_split *splits = bfi_malloc(count + 1, sizeof *splits);
    bool ok = a.multipliers && a.weights && a.slopes && splits;
    bf_status status = ok ? BF_STATUS_OK : bfi_fail_memory(err);
    *made = false;
    if (status == BF_STATUS_OK && stop_of(p, root, start->bit) < INFINITY) {
        if (count > 0) {
            memcpy(a.multipliers, start->multipliers, count * sizeof *a.multipliers);
            memcpy(splits, start->splits, count * sizeof *splits);
        }
        if (mixed > 0) memcpy(a.weights, start->weights, mixed * sizeof *a.weights);
        memcpy(a.slopes, start->slopes, bytes);
        status = make(b, p, root, start, deadline, &a, err);
        *made = status == BF_STATUS_OK;
    }
    free(a.multipliers);
    free(a.weights);
    free(a.slopes);
    if (!*made) {
        free(splits);
        return status;
    }
    b->levels[++b->level] = (bfi_base_level){start->bit, start->depth, splits, start->count, 0};
    return BF_STATUS_OK;
}

int64_t bfi_implied_most(const bfi_root *root, int64_t base) {
    int64_t most = 0;
    for (int a = 0; base > 0 && a < root->plan->split_count; a++)
        most += root->plan->graph->nodes[root->plan->split_values[a]].count;
    return most;
}

int64_t bfi_implied_splits(const bfi_root *root, int64_t base, bf_split *out) {
    const bf_plan *plan = root->plan;
    int64_t count = 0;
    for (int a = 0; base > 0 && a < plan->split_count; a++) {
        int value = plan->split_values[a];
        const bfi_value_state *state = &plan->state[value];
        const double *lo = bfi_ws_doubles(root->ws, base, state->lo),
                     *hi = bfi_ws_doubles(root->ws, base, state->hi),
                     *root_lo = bfi_ws_doubles(root->ws, 0, state->lo),
                     *root_hi = bfi_ws_doubles(root->ws, 0, state->hi);
        for (int64_t j = 0; plan->relu_only[value] && j < plan->graph->nodes[value].count; j++)
            if (root_lo[j] < 0 && root_hi[j] > 0 && (lo[j] >= 0 || hi[j] <= 0))
                out[count++] = (bf_split){a, j, lo[j] >= 0 ? 1 : -1, 0};
    }
    return count;
}
