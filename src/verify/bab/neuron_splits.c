/* Splitting neurons: nodes are disjuncts under split constraints, lanes of beta-CROWN on the hidden
 * bounds of one root. Every disjunct is a root of its own, so that splits fit its row, or the mix
 * of its rows. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "verify/bab/bases.h"
#include "verify/bab/branch.h"
#include "verify/bab/lane_state.h"
#include "verify/bab/lanes.h"
#include "verify/bab/leaf.h"
#include "verify/bab/loop.h"
#include "verify/bab/sharpen.h"
#include "verify/rows.h"

enum {
    ROUNDS = 10,          /* ways back of a child, whose numbers start where the parent's ended */
    ROOT_ROUNDS = 20,     /* of a root, which starts with the planned slopes */
    MEASURED = 4,         /* candidates of a node whose children are bounded to choose one */
    LANES = 2 * MEASURED, /* of a node, at most */
    NODES_MIN = 16,       /* expanded together */
    BASES = 13            /* bases at once, the root and the ground among them */
};
#define BATCH_FLOPS 4e9 /* of the children that are bounded together */
#define LANE_BYTES ((int64_t)256 << 20)

/* A node that is being branched on. */
typedef struct trial {
    int32_t node;
    int bit; /* its disjunct */
    bfi_lane_state state;
    bool known; /* the state is there */
    bool closed;
    char *own;           /* storage of the state, NULL: the tree's */
    int64_t first_split; /* in |splits| of the search */
    int32_t split_count;
    int64_t base; /* that it is bounded on */
    int first, measured, chosen;
} trial;

/* Something that is being bounded: a disjunct under splits. */
typedef struct item {
    int trial; /* -1: a root */
    int sign;  /* side of the trial's decision; 0: a root, or the trial's node itself */
    int bit;
    int lane;
    bool open, rounding; /* open only for error terms */
    double margin;
    double lower, error; /* of a child: what measuring it said */
} item;

typedef struct neuron_splits {
    bfi_loop *loop;
    bfi_root roots[2];      /* as asked; float64, made when rounding decides */
    bfi_lanes lanes, again; /* all items; one that is bounded once more */
    int nodes;              /* expanded together */
    trial *trials;
    item *items;
    int trial_count, item_count;
    bf_split *splits; /* of all trials */
    bf_split *under;  /* of one child */
    size_t split_room, under_room;
    int64_t split_count;
    double *points; /* by item: n */
    bfi_state_bytes bytes;
    bfi_leaves leaves;
    bfi_bases bases;
    bfi_sharpening sharpening;
} neuron_splits;

static int bit_of(uint64_t mask) { return __builtin_ctzll(mask); }

static bf_split split_of(const bfi_decision *d, int sign) {
    return (bf_split){d->activation, d->index, sign, d->point};
}

/* The splits on the way to a trial's node. */
static bf_status find_splits(neuron_splits *s, trial *t) {
    bfi_loop *l = s->loop;
    int32_t depth;
    bf_status status = bfi_loop_path(l, t->node, &depth);
    if (status != BF_STATUS_OK) return status;
    t->first_split = s->split_count;
    if (!bfi_grow((void **)&s->splits, &s->split_room, (size_t)(s->split_count + depth) + 1,
                  sizeof *s->splits) ||
        !bfi_grow((void **)&s->under, &s->under_room, (size_t)depth + 1, sizeof *s->under))
        return bfi_fail_memory(l->err);
    for (int32_t i = 0; i < depth; i++)
        bfi_branch_insert(s->splits + t->first_split, &t->split_count,
                          split_of(&l->cuts[i].decision, l->cuts[i].sign));
    s->split_count += t->split_count;
    return BF_STATUS_OK;
}

static bf_status begin_trial(neuron_splits *s, int32_t node) {
    trial *t = &s->trials[s->trial_count++];
    size_t size;
    *t = (trial){.node = node, .bit = bit_of(bfi_tree_mask(s->loop->tree, node))};
    t->known = bfi_lane_state_unpack(bfi_tree_data(s->loop->tree, node, &size), &t->state);
    bf_status status = find_splits(s, t);
    t->base = bfi_bases_find(&s->bases, t->bit, s->splits + t->first_split, t->split_count);
    if (t->state.splits != t->split_count) t->known = false; /* from a strange file */
    return status;
}

/* Trial |t| (NULL: a root) under its splits and the |sign| side of |d|, if that is not 0, as a
 * lane.
 */
static bf_status add_lane(neuron_splits *s, const trial *t, const bfi_decision *d, int sign,
                          bfi_lane_start start) {
    start.fresh = -1;
    start.base = s->bases.ground;
    if (!(start.lower > -INFINITY)) start.lower = -INFINITY, start.error = 0;
    if (t) {
        const bfi_lane_state *state = &t->state;
        start.base = t->base;
        start.count = t->split_count;
        if (t->split_count > 0)
            memcpy(s->under, s->splits + t->first_split, (size_t)t->split_count * sizeof *s->under);
        if (sign != 0) start.fresh = bfi_branch_insert(s->under, &start.count, split_of(d, sign));
        start.splits = s->under;
        if (t->known) {
            if (state->lower > start.lower) start.lower = state->lower, start.error = state->error;
            assert(state->splits == t->split_count);
            start.multipliers = state->multipliers;
            start.weights = state->weights;
            start.slopes = state->slopes;
        }
    }
    return bfi_lanes_add(&s->lanes, &start, s->loop->err);
}

static bf_status run_lanes(neuron_splits *s) {
    return bfi_lanes_run(&s->lanes, &s->roots[0], s->loop->options->deadline, s->loop->err);
}

static bf_status place_item(neuron_splits *s, item *it, int rounds) {
    const trial *t = it->trial >= 0 ? &s->trials[it->trial] : NULL;
    const bfi_decision *d = it->sign ? &t->state.candidates[t->chosen].decision : NULL;
    bfi_lane_start start = {.bit = it->bit, .lower = -INFINITY, .rounds = rounds, .look = true};
    if (it->sign) start.lower = it->lower, start.error = it->error;
    it->lane = s->lanes.count;
    return add_lane(s, t, d, it->sign, start);
}

/* What the bounds say of an item. */
static void judge(neuron_splits *s, item *it) {
    it->margin = bfi_lanes_margin(&s->lanes, it->lane, it->bit);
    it->open = !bfi_lanes_refuted(&s->lanes, it->bit, it->margin);
    it->rounding = it->margin + 2 * s->lanes.lanes[it->lane].error > 0;
}

/* Bounds an item again, from where it ended, on |root| and in |rounds| ways back. */
static bf_status bound_again(neuron_splits *s, item *it, const bfi_root *root, int rounds) {
    bfi_node_lane *lane = &s->lanes.lanes[it->lane];
    bf_status status = BF_STATUS_OK;
    if (!s->again.lanes)
        status =
            bfi_lanes_create(&s->loop->problem, 1, s->lanes.slope_bytes, &s->again, s->loop->err);
    bfi_lanes_reset(&s->again);
    bfi_lane_start start = {.bit = it->bit,
                            .weights = lane->weights,
                            .lower = lane->lower,
                            .error = lane->error,
                            .rounds = rounds,
                            .splits = bfi_lanes_splits(&s->lanes, it->lane),
                            .count = lane->split_count,
                            .multipliers = bfi_lanes_multipliers(&s->lanes, it->lane),
                            .fresh = -1,
                            .slopes = lane->slopes};
    if (status == BF_STATUS_OK) status = bfi_lanes_add(&s->again, &start, s->loop->err);
    if (status == BF_STATUS_OK)
        status = bfi_lanes_run(&s->again, root, s->loop->options->deadline, s->loop->err);
    if (status != BF_STATUS_OK) return status;
    lane->lower = s->again.lanes[0].lower, lane->error = s->again.lanes[0].error;
    judge(s, it);
    return status;
}

/* Nothing of the item is left to split. */
static bool is_leaf(const neuron_splits *s, const item *it) {
    const bfi_rankings *r = &s->lanes.rankings[it->lane];
    int count = 0;
    for (int rule = 0; rule < BFI_NEURON_RULES; rule++) count += r->count[rule];
    return count == 0;
}

/* What only error terms keep open is bounded in float64. */
static bf_status bound_exactly(neuron_splits *s, item *it) {
    bf_options o = s->loop->options->bounds;
    bf_status status = BF_STATUS_OK;
    if (!it->open || !it->rounding || o.dtype == BF_DTYPE_FLOAT64) return status;
    o.dtype = BF_DTYPE_FLOAT64;
    o.memory = bfi_loop_memory(s->loop, 0);
    if (!s->roots[1].plan)
        status = bfi_root_create(&s->loop->problem, &o, 1, s->loop->options->deadline, &s->roots[1],
                                 s->loop->err);
    if (status == BF_STATUS_LIMIT)
        return bfi_loop_give_up(s->loop, "the memory is not enough for float64 bounds");
    return status == BF_STATUS_OK ? bound_again(s, it, &s->roots[1], ROUNDS) : status;
}

/* The splits of an item, and those that its base implies: neurons that are stable there. */
static bf_status all_splits(neuron_splits *s, const item *it, int32_t *count) {
    const bfi_node_lane *lane = &s->lanes.lanes[it->lane];
    size_t need = (size_t)lane->split_count + (size_t)bfi_implied_most(&s->roots[0], lane->base);
    if (!bfi_grow((void **)&s->under, &s->under_room, need + 1, sizeof *s->under))
        return bfi_fail_memory(s->loop->err);
    bf_split *implied = bfi_malloc(need + 1, sizeof *implied);
    if (!implied) return bfi_fail_memory(s->loop->err);
    int64_t more = bfi_implied_splits(&s->roots[0], lane->base, implied);
    *count = lane->split_count;
    memcpy(s->under, bfi_lanes_splits(&s->lanes, it->lane), (size_t)*count * sizeof *s->under);
    for (int64_t i = 0; i < more; i++) bfi_branch_insert(s->under, count, implied[i]);
    free(implied);
    return BF_STATUS_OK;
}

/* Decides an item in which nothing is left to split. */
static bf_status decide_leaf(neuron_splits *s, item *it) {
    bool refuted;
    int32_t count = 0;
    bf_status status = all_splits(s, it, &count);
    if (status == BF_STATUS_OK)
        status = bfi_leaf_decide(&s->leaves, s->loop, it->bit, s->roots[0].plan, s->under, count,
                                 &refuted, &it->margin);
    if (status != BF_STATUS_OK) return status;
    if (refuted) it->open = false;
    return status;
}

static bf_status settle_hard(neuron_splits *s, item *it) {
    bf_status status = bound_exactly(s, it);
    return status == BF_STATUS_OK && it->open && is_leaf(s, it) ? decide_leaf(s, it) : status;
}

static bf_status bound_items(neuron_splits *s) {
    bf_status status = run_lanes(s);
    s->loop->nodes += s->item_count;
    for (int i = 0; i < s->item_count && status == BF_STATUS_OK; i++) judge(s, &s->items[i]);
    for (int i = 0; i < s->item_count && status == BF_STATUS_OK && !bfi_loop_ended(s->loop); i++) {
        if (s->items[i].open) status = settle_hard(s, &s->items[i]);
    }
    return status;
}

static bf_status try_corners(neuron_splits *s) {
    size_t n = (size_t)s->loop->problem.n;
    int64_t count = 0;
    for (int i = 0; i < s->item_count; i++)
        if (s->items[i].open)
            memcpy(s->points + (size_t)count++ * n, bfi_lanes_corner(&s->lanes, s->items[i].lane),
                   n * sizeof *s->points);
    return count > 0 ? bfi_loop_try(s->loop, s->points, count) : BF_STATUS_OK;
}

/* What is known of an open item, as bytes. |full|: with its slopes. */
static bf_status pack(neuron_splits *s, const item *it, bool full) {
    bfi_candidate candidates[BFI_RANKINGS];
    const bfi_lanes *l = &s->lanes;
    const bfi_node_lane *lane = &l->lanes[it->lane];
    bfi_lane_state state = {.splits = lane->split_count,
                            .mixed = lane->mixed,
                            .lower = lane->lower,
                            .error = lane->error,
                            .candidates = candidates,
                            .multipliers = bfi_lanes_multipliers(l, it->lane),
                            .weights = bfi_lanes_weights(l, it->lane),
                            .slopes = full ? bfi_lanes_slopes(l, it->lane) : NULL};
    state.count = bfi_branch_merge(&l->rankings[it->lane], candidates);
    return bfi_lane_state_pack(&state, l->slope_bytes, &s->bytes, s->loop->err);
}

static bf_status settle_item(neuron_splits *s, const item *it) {
    const trial *t = it->trial >= 0 ? &s->trials[it->trial] : NULL;
    uint64_t bit = (uint64_t)1 << it->bit;
    bfi_loop_child child = {.parent = t ? t->node : -1,
                            .sign = it->sign,
                            .was = bit,
                            .mask = it->open ? bit : 0,
                            .margin = it->margin};
    if (it->open && pack(s, it, bfi_tree_data_part(s->loop->tree) < 0.5) == BF_STATUS_OK)
        child.data = s->bytes.data, child.size = s->bytes.size;
    return bfi_loop_settle(s->loop, &child);
}

static int64_t count_open(const neuron_splits *s) {
    int64_t open = 0;
    for (int i = 0; i < s->item_count; i++) open += s->items[i].open;
    return open;
}

static bf_status settle_items(neuron_splits *s) {
    bf_status status = try_corners(s);
    if (status == BF_STATUS_OK && !bfi_loop_ended(s->loop))
        status = bfi_loop_reserve(s->loop, count_open(s));
    for (int i = 0; i < s->item_count && status == BF_STATUS_OK && !bfi_loop_ended(s->loop); i++)
        status = settle_item(s, &s->items[i]);
    return status;
}

/* Nodes whose state the tree has dropped are bounded again themselves. */
static bf_status revive(neuron_splits *s) {
    bf_status status = BF_STATUS_OK;
    bfi_lanes_reset(&s->lanes);
    s->item_count = 0;
    for (int i = 0; i < s->trial_count && status == BF_STATUS_OK; i++) {
        if (s->trials[i].known) continue;
        item *it = &s->items[s->item_count++];
        *it = (item){.trial = i, .bit = s->trials[i].bit};
        status = place_item(s, it, ROUNDS);
    }
    if (status != BF_STATUS_OK || s->item_count == 0) return status;
    status = bound_items(s);
    for (int i = 0; i < s->item_count && status == BF_STATUS_OK; i++) {
        trial *t = &s->trials[s->items[i].trial];
        t->closed = !s->items[i].open;
        if (t->closed) continue;
        status = pack(s, &s->items[i], true);
        if (status != BF_STATUS_OK) break;
        t->own = s->bytes.data;
        s->bytes = (bfi_state_bytes){0};
        t->known = bfi_lane_state_unpack(t->own, &t->state);
    }
    return status;
}

/* Bounds both children of the best candidates of every node. */
static bf_status measure(neuron_splits *s) {
    bf_status status = BF_STATUS_OK;
    bfi_lanes_reset(&s->lanes);
    for (int i = 0; i < s->trial_count; i++) {
        trial *t = &s->trials[i];
        t->first = s->lanes.count;
        if (t->closed || t->state.count < 2) continue;
        bfi_lane_start start = {.bit = t->bit, .lower = -INFINITY, .rounds = 1};
        t->measured = t->state.count < MEASURED ? t->state.count : MEASURED;
        for (int k = 0; k < 2 * t->measured && status == BF_STATUS_OK; k++)
            status = add_lane(s, t, &t->state.candidates[k / 2].decision, k % 2 ? 1 : -1, start);
    }
    return status == BF_STATUS_OK ? run_lanes(s) : status;
}

/* Takes the best of the measured candidates, and lists its children. */
static void choose(neuron_splits *s, int index) {
    trial *t = &s->trials[index];
    const bfi_node_lane *lanes = s->lanes.lanes + t->first;
    double low[MEASURED], high[MEASURED];
    for (int k = 0; k < t->measured; k++) {
        low[k] = fmin(lanes[2 * k].lower, lanes[2 * k].stop);
        high[k] = fmin(lanes[2 * k + 1].lower, lanes[2 * k].stop);
    }
    t->chosen = t->measured > 0 ? bfi_branch_choose(t->measured, low, high) : 0;
    bfi_tree_decide(s->loop->tree, t->node, t->state.candidates[t->chosen].decision);
    for (int side = 0; side < 2; side++) {
        item *it = &s->items[s->item_count++];
        *it = (item){.trial = index, .sign = side ? 1 : -1, .bit = t->bit, .lower = -INFINITY};
        if (t->measured > 0) {
            const bfi_node_lane *lane = &lanes[2 * t->chosen + side];
            it->lower = lane->lower, it->error = lane->error;
        }
    }
}

static void list_children(neuron_splits *s) {
    s->item_count = 0;
    for (int i = 0; i < s->trial_count; i++) {
        const trial *t = &s->trials[i];
        if (t->closed) continue;
        if (t->state.count > 0)
            choose(s, i);
        else
            bfi_loop_strand(s->loop, bfi_tree_margin(s->loop->tree, t->node), s->leaves.open);
    }
}

static bf_status bound_children(neuron_splits *s) {
    bf_status status = BF_STATUS_OK;
    bfi_lanes_reset(&s->lanes);
    for (int i = 0; i < s->item_count && status == BF_STATUS_OK; i++)
        status = place_item(s, &s->items[i], ROUNDS);
    return status == BF_STATUS_OK ? bound_items(s) : status;
}

static void end_trials(neuron_splits *s) {
    for (int i = 0; i < s->trial_count; i++) free(s->trials[i].own);
    s->trial_count = 0;
    s->split_count = 0;
}

static bf_status expand(void *splits, const int32_t *nodes, int32_t count) {
    neuron_splits *s = splits;
    bf_status status = BF_STATUS_OK;
    assert(count <= s->nodes);
    for (int32_t i = 0; i < count && status == BF_STATUS_OK; i++) status = begin_trial(s, nodes[i]);
    if (status == BF_STATUS_OK) status = revive(s);
    bool ended = bfi_loop_ended(s->loop);
    if (status == BF_STATUS_OK && !ended) status = measure(s);
    if (status == BF_STATUS_OK && !ended) {
        list_children(s);
        status = bound_children(s);
    }
    if (status == BF_STATUS_OK && !bfi_loop_ended(s->loop)) status = settle_items(s);
    if (status == BF_STATUS_OK) bfi_bases_count(&s->bases, count);
    end_trials(s);
    return status;
}

/* The splits on the way to |node|, which is above the trial's: those of the trial's that are its
 * too, with their multipliers. */
static bf_status find_start(neuron_splits *s, const trial *t, int32_t node, bfi_base_start *out,
                            float **multipliers) {
    trial above = {.node = node};
    bf_status status = find_splits(s, &above);
    if (status != BF_STATUS_OK) return status;
    const bf_split *own = s->splits + above.first_split, *all = s->splits + t->first_split;
    const float *from = t->state.multipliers;
    *multipliers = bfi_calloc((size_t)above.split_count + 1, sizeof **multipliers);
    if (!*multipliers) return bfi_fail_memory(s->loop->err);
    for (int32_t i = 0, k = 0; i < above.split_count; i++, k++) {
        while (all[k].activation != own[i].activation || all[k].neuron != own[i].neuron ||
               all[k].sign != own[i].sign)
            k++;
        (*multipliers)[i] = from[k];
    }
    *out = (bfi_base_start){.bit = t->bit,
                            .depth = bfi_tree_depth(s->loop->tree, node),
                            .splits = own,
                            .count = above.split_count,
                            .weights = t->state.weights,
                            .multipliers = *multipliers,
                            .slopes = t->state.slopes};
    return status;
}

/* The roots of the disjuncts in |mask|. */
static bf_status begin_roots(neuron_splits *s, uint64_t mask) {
    const bfi_problem *p = &s->loop->problem;
    bf_status status = BF_STATUS_OK;
    for (int bit = 0; bit < p->count && status == BF_STATUS_OK && !bfi_loop_ended(s->loop);) {
        bfi_lanes_reset(&s->lanes);
        s->item_count = 0;
        for (; bit < p->count && s->item_count < s->nodes && status == BF_STATUS_OK; bit++) {
            if (!(mask >> bit & 1)) continue;
            item *it = &s->items[s->item_count++];
            *it = (item){.trial = -1, .bit = bit};
            status = place_item(s, it, ROOT_ROUNDS);
        }
        if (status == BF_STATUS_OK) status = bound_items(s);
        if (status == BF_STATUS_OK && !bfi_loop_ended(s->loop)) status = settle_items(s);
    }
    return status;
}

/* Adds the roots of all disjuncts that |nodes|, all open ones, are about, in place of these. When
 * that fails they are open as before. */
static bf_status replace(neuron_splits *s, const int32_t *nodes, int32_t count) {
    bfi_tree *tree = s->loop->tree;
    uint64_t mask = 0;
    for (int32_t i = 0; i < count; i++) mask |= bfi_tree_mask(tree, nodes[i]);
    bf_status status = begin_roots(s, mask);
    bool done = status == BF_STATUS_OK && !bfi_loop_ended(s->loop);
    for (int32_t i = 0; i < count; i++)
        if (done)
            bfi_tree_close(tree, nodes[i]);
        else
            bfi_tree_put_back(tree, nodes[i]);
    return status;
}

/* Searches what is open from its roots on. */
static bf_status begin_again(neuron_splits *s) {
    bfi_tree *tree = s->loop->tree;
    int64_t open = bfi_tree_stats_of(tree).open;
    int32_t *nodes = bfi_malloc((size_t)open, sizeof *nodes), count = 0;
    if (!nodes) return bfi_fail_memory(s->loop->err);
    while (count < open) count += bfi_tree_take(tree, (int32_t)open - count, nodes + count);
    bf_status status = replace(s, nodes, count);
    free(nodes);
    if (status == BF_STATUS_OK) bfi_bases_follow(&s->bases, bfi_tree_level(tree));
    return status;
}

static void report_sharpening(void *user, int64_t nodes) {
    bfi_loop *l = user;
    l->hidden_nodes += nodes;
    bfi_loop_report(l);
}

static bfi_sharpen_request sharpen_request(neuron_splits *s) {
    bfi_loop *l = s->loop;
    return (bfi_sharpen_request){.root = &s->roots[0],
                                 .bases = &s->bases,
                                 .outputs = l->problem.property->n_out,
                                 .memory = bfi_loop_memory(l, 0),
                                 .deadline = l->options->deadline,
                                 .report = report_sharpening,
                                 .user = l};
}

/* Where it pays, hidden bounds of all of the box are sharpened, and the search begins again if that
 * gains much. */
static bf_status sharpen(neuron_splits *s) {
    bfi_sharpen_request request = sharpen_request(s);
    if (!bfi_sharpening_due(&s->sharpening, &request)) return BF_STATUS_OK;
    bf_status status = bfi_sharpening_run(&s->sharpening, &request, s->loop->err);
    s->loop->sharpened = s->sharpening.leaves;
    return status == BF_STATUS_OK && bfi_sharpening_gained(&s->sharpening) ? begin_again(s)
                                                                           : status;
}

/* A search that goes on has the hidden bounds that it had. */
static bf_status sharpen_as_before(neuron_splits *s) {
    bfi_sharpen_request request = sharpen_request(s);
    if (s->roots[0].plan->boxes <= BFI_GROUND) return BF_STATUS_OK;
    return bfi_sharpening_repeat(&s->sharpening, &request, s->loop->sharpened, s->loop->err);
}

/* Where many nodes have been expanded on one base, the part of the tree that holds the worst one
 * gets a base of its own. */
static bf_status aim(void *splits) {
    neuron_splits *s = splits;
    bfi_tree *tree = s->loop->tree;
    bfi_bases_follow(&s->bases, bfi_tree_level(tree));
    bf_status status = bfi_tree_first(tree) >= 0 ? sharpen(s) : BF_STATUS_OK;
    int32_t node = bfi_tree_first(tree);
    if (status != BF_STATUS_OK || bfi_loop_ended(s->loop) || node < 0 ||
        !bfi_bases_due(&s->bases, &s->roots[0]))
        return status;
    status = begin_trial(s, node);
    const trial *t = &s->trials[0];
    int32_t at = bfi_tree_ancestor(tree, node, bfi_bases_depth(&s->bases));
    if (status == BF_STATUS_OK && t->known && t->state.slopes) {
        bfi_base_start start;
        float *multipliers = NULL;
        bool made = false;
        status = find_start(s, t, at, &start, &multipliers);
        if (status == BF_STATUS_OK)
            status = bfi_bases_add(&s->bases, &s->loop->problem, &s->roots[0], &start,
                                   s->loop->options->deadline, &made, s->loop->err);
        if (made) bfi_tree_focus(tree, at);
        free(multipliers);
    }
    end_trials(s);
    return status;
}

/* How many nodes are expanded together, by what bounding their children takes. */
static int choose_nodes(const neuron_splits *s) {
    const bfi_problem *p = &s->loop->problem;
    double flops = 2 * 2 * ROUNDS * s->roots[0].lane_flops;
    int64_t nodes = (int64_t)(BATCH_FLOPS / (flops + 1));
    int64_t share = bfi_loop_memory(s->loop, 0);
    int64_t fit = (share > 0 && share < LANE_BYTES ? share : LANE_BYTES) / LANES /
                  bfi_lane_bytes(p, s->roots[0].slope_bytes);
    if (nodes < NODES_MIN) nodes = NODES_MIN;
    if (nodes > fit) nodes = fit;
    return nodes > BFI_LOOP_NODES ? BFI_LOOP_NODES : nodes > 1 ? (int)nodes : 1;
}

static bf_status allocate(neuron_splits *s) {
    const bfi_problem *p = &s->loop->problem;
    size_t nodes = (size_t)s->nodes, points;
    if (!bfi_mul_size(2 * nodes, (size_t)p->n, &points)) return bfi_fail_memory(s->loop->err);
    s->trials = bfi_calloc(nodes, sizeof *s->trials);
    s->items = bfi_calloc(2 * nodes, sizeof *s->items);
    s->points = bfi_malloc(points, sizeof *s->points);
    if (!s->trials || !s->items || !s->points) return bfi_fail_memory(s->loop->err);
    return bfi_lanes_create(p, s->nodes * LANES, s->roots[0].slope_bytes, &s->lanes, s->loop->err);
}

static bf_status make_root(neuron_splits *s) {
    bfi_loop *l = s->loop;
    bf_options o = l->options->bounds;
    bf_status status = BF_STATUS_LIMIT;
    for (int try = 0; try < BFI_LOOP_TRIES && status == BF_STATUS_LIMIT; try++) {
        bfi_root_clear(&s->roots[0]);
        o.memory = bfi_loop_memory(l, try);
        status =
            bfi_root_create(&l->problem, &o, BASES, l->options->deadline, &s->roots[0], l->err);
    }
    return status == BF_STATUS_LIMIT ? bfi_loop_give_up(l, "the memory is not enough for bounds")
                                     : status;
}

static bf_status open_splits(bfi_loop *loop, void **splits) {
    neuron_splits *s = bfi_calloc(1, sizeof *s);
    *splits = s;
    if (!s) return bfi_fail_memory(loop->err);
    s->loop = loop;
    bf_status status = make_root(s);
    if (status != BF_STATUS_OK) return status;
    if (!bfi_nodes_possible(s->roots[0].plan))
        return bfi_loop_give_up(loop, "the network has no activation to split");
    s->nodes = choose_nodes(s);
    bfi_bases_clear(&s->bases);
    bfi_sharpening_clear(&s->sharpening);
    s->bases.node_flops = 2 * (2 * ROUNDS + MEASURED) * s->roots[0].lane_flops;
    status = allocate(s);
    if (status != BF_STATUS_OK) return status;
    return loop->resumed ? sharpen_as_before(s) : begin_roots(s, UINT64_MAX);
}

static int64_t root_bytes(const bfi_root *r) {
    return r->plan ? bf_plan_workspace_bytes(r->plan) : 0;
}

static int64_t bytes(const void *splits) {
    const neuron_splits *s = splits;
    int64_t lanes = s->lanes.room + s->again.room;
    return root_bytes(&s->roots[0]) + root_bytes(&s->roots[1]) +
           bfi_sharpening_part(bfi_loop_memory(s->loop, 0)) +
           lanes * bfi_lane_bytes(&s->loop->problem, s->lanes.slope_bytes);
}

/* An activation of the plan, and a neuron of it. */
static bool exists(const neuron_splits *s, const bfi_decision *d) {
    return d->activation >= 0 && d->activation < bf_plan_activation_count(s->roots[0].plan) &&
           d->index >= 0 && d->index < bf_plan_activation(s->roots[0].plan, d->activation).neurons;
}

static bool fits(const void *splits, uint64_t mask, const bfi_decision *d, bool open) {
    const neuron_splits *s = splits;
    bool one = mask != 0 && (mask & (mask - 1)) == 0 && bit_of(mask) < s->loop->problem.count;
    return one && (open || exists(s, d));
}

static bool knows(const void *splits, uint64_t mask, const void *data, size_t size) {
    const neuron_splits *s = splits;
    bfi_lane_state state;
    if (!bfi_lane_state_valid(data, size, bfi_problem_mixed(&s->loop->problem, bit_of(mask)),
                              s->roots[0].slope_bytes))
        return false;
    bfi_lane_state_unpack(data, &state);
    bool ok = true;
    for (int k = 0; k < state.count; k++) ok = ok && exists(s, &state.candidates[k].decision);
    return ok;
}

static int32_t most(const void *splits) { return ((const neuron_splits *)splits)->nodes; }

static void close_splits(void *splits) {
    neuron_splits *s = splits;
    if (!s) return;
    for (int i = 0; i < s->trial_count; i++) free(s->trials[i].own);
    for (int r = 0; r < 2; r++) bfi_root_clear(&s->roots[r]);
    bfi_lanes_clear(&s->lanes);
    bfi_lanes_clear(&s->again);
    bfi_leaves_clear(&s->leaves);
    bfi_bases_clear(&s->bases);
    free(s->trials);
    free(s->items);
    free(s->splits);
    free(s->under);
    free(s->points);
    free(s->bytes.data);
    free(s);
}

const bfi_splitter bfi_neuron_splits = {"neurons",    open_splits, most, aim,  expand,
                                        close_splits, bytes,       fits, knows};
