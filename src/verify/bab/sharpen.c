#include "verify/bab/sharpen.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "runtime/cross.h"
#include "runtime/nodes.h"
#include "runtime/rebase.h"
#include "verify/bab/branch.h"

enum {
    FIRST_LEAVES = 4, /* of a neuron's search, */
    GROWTH = 4,       /* and so many times more when it is its turn again, */
    MOST_LEAVES = 4096,
    FIRST_ROUNDS = 10, /* ways back of a neuron in all of the box, */
    ROUNDS = 3,        /* of a leaf, which starts with its parent's numbers, */
    LAST_ROUNDS = 10,  /* and of one that cannot be divided, as long as they gain something */
    LANES = 512,       /* bounded together */
    GROUP = 256,       /* neurons' sides that are searched together, unless memory is short */
    LEAST_GROUP = 8
};
#define GROUP_BYTES ((int64_t)128 << 20)
#define MEMORY_PART 8 /* of the memory that there is, one part */
/* Sharpening may take so many times the nodes that the search has taken, less while it gains less
 * than BEGIN_AGAIN of the widths; a layer is left when the first group of it gains less than
 * LEAST_GAIN. */
#define SHARE 8
#define BEGIN_AGAIN 0.05
#define LEAST_GAIN 0.01

/* A part of the box: what satisfies its splits. */
typedef struct leaf {
    double lower;
    bfi_decision next;
    bool divisible; /* by |next| */
    bool settled;   /* else: more rounds gain nothing */
    int32_t count;
    bf_split *splits; /* one block: behind them the multipliers, then the slopes */
    float *multipliers;
    uint8_t *slopes;
} leaf;

/* The search for a lower bound of |sign| times a neuron. */
typedef struct quest {
    int64_t neuron;
    int sign;
    leaf *leaves;
    int count;
} quest;

typedef struct sharpener {
    const bfi_sharpen_request *request;
    const bf_plan *plan;
    bf_workspace *ws;
    size_t slope_bytes;
    int most;     /* leaves of a quest */
    int64_t room; /* quests of a group */
    bf_error *err;
    double *zeros; /* a row of no output */
    quest *quests; /* of a group */
    leaf *leaves;
    int count;
    int32_t activation; /* that is sharpened */
    bool kinks;         /* its neurons are relus': a sign is enough */
    double *lo, *hi;    /* of its neurons: found */
    bfi_node_lane lanes[LANES];
    bfi_rankings rankings[LANES];
    leaf *wanted[LANES]; /* to be bounded, of quests */
    const quest *whose[LANES];
    int rounds[LANES];
    int waiting;
    double ways; /* back and forth, of all lanes */
} sharpener;

static size_t leaf_bytes(const sharpener *s, int32_t splits) {
    return (size_t)splits * (sizeof(bf_split) + sizeof(float)) + s->slope_bytes + 1;
}

/* |parent| (NULL: all of the box) on one side of a split. */
static bool create_leaf(const sharpener *s, const leaf *parent, const bf_split *split, leaf *out) {
    int32_t count = parent ? parent->count + 1 : 0;
    char *block = bfi_calloc(leaf_bytes(s, count), 1);
    if (!block) return false;
    *out = (leaf){.lower = parent ? parent->lower : -INFINITY, .splits = (bf_split *)block};
    out->multipliers = (float *)(out->splits + count);
    out->slopes = (uint8_t *)(out->multipliers + count);
    if (!parent) return true;
    memcpy(out->slopes, parent->slopes, s->slope_bytes);
    if (parent->count > 0)
        memcpy(out->splits, parent->splits, (size_t)parent->count * sizeof *out->splits);
    out->count = parent->count;
    int32_t at = bfi_branch_insert(out->splits, &out->count, *split);
    for (int32_t i = 0, from = 0; i < out->count; i++)
        out->multipliers[i] = i == at ? 0 : parent->multipliers[from++];
    return true;
}

static void clear_quests(sharpener *s) {
    for (int q = 0; q < s->count; q++)
        for (int k = 0; k < s->quests[q].count; k++) free(s->quests[q].leaves[k].splits);
    s->count = 0;
}

static void look(void *user, int64_t lane, const bfi_node_view *view) {
    sharpener *s = user;
    if (view->activation >= s->activation) return; /* it does not depend on these */
    bfi_branch_rank(view, s->lanes[lane].splits, s->lanes[lane].split_count, &s->rankings[lane]);
}

static void take_bounds(sharpener *s) {
    for (int i = 0; i < s->waiting; i++) {
        bfi_candidate candidates[BFI_RANKINGS];
        leaf *l = s->wanted[i];
        double gain = s->lanes[i].lower - l->lower;
        l->settled = !(gain > LEAST_GAIN * fabs(l->lower));
        l->lower = s->lanes[i].lower;
        l->divisible = bfi_branch_merge(&s->rankings[i], candidates) > 0;
        if (l->divisible) l->next = candidates[0].decision;
    }
}

/* Bounds the leaves that wait. */
static bf_status flush(sharpener *s) {
    if (s->waiting == 0) return BF_STATUS_OK;
    for (int i = 0; i < s->waiting; i++) {
        leaf *l = s->wanted[i];
        s->ways += 2.0 * s->rounds[i] - 1;
        s->rankings[i] = (bfi_rankings){0};
        s->lanes[i] =
            (bfi_node_lane){.base = BFI_GROUND,
                            .stop = s->kinks ? 0 : INFINITY,
                            .rounds = s->rounds[i],
                            .term = {s->activation, s->whose[i]->neuron, s->whose[i]->sign},
                            .splits = l->splits,
                            .split_count = l->count,
                            .multipliers = l->multipliers,
                            .slopes = l->slopes,
                            .fresh = l->count == 0,
                            .lower = l->lower,
                            .look = true};
    }
    bfi_nodes_request request = {.spec = s->zeros,
                                 .rows = 1,
                                 .lanes = s->lanes,
                                 .count = s->waiting,
                                 .look = look,
                                 .user = s,
                                 .lr = BFI_WARM_SLOPE_STEP,
                                 .multiplier_lr = BFI_WARM_MULTIPLIER_STEP,
                                 .deadline = s->request->deadline};
    bf_status status = bfi_nodes_run(s->plan, s->ws, &request, s->err);
    if (status == BF_STATUS_OK) take_bounds(s);
    if (s->request->report) s->request->report(s->request->user, s->waiting);
    s->waiting = 0;
    return status;
}

static bf_status want(sharpener *s, const quest *q, leaf *l, int rounds) {
    s->wanted[s->waiting] = l;
    s->rounds[s->waiting] = rounds;
    s->whose[s->waiting++] = q;
    return s->waiting == LANES ? flush(s) : BF_STATUS_OK;
}

static leaf *worst_of(const quest *q) {
    leaf *worst = q->leaves;
    for (int i = 1; i < q->count; i++)
        if (q->leaves[i].lower < worst->lower) worst = &q->leaves[i];
    return worst;
}

static bf_status divide(sharpener *s, quest *q, leaf *l) {
    leaf low, high;
    bf_split below = {l->next.activation, l->next.index, -1, l->next.point}, above = below;
    above.sign = 1;
    if (!create_leaf(s, l, &below, &low)) return bfi_fail_memory(s->err);
    if (!create_leaf(s, l, &above, &high)) {
        free(low.splits);
        return bfi_fail_memory(s->err);
    }
    free(l->splits);
    *l = low;
    q->leaves[q->count] = high;
    bf_status status = want(s, q, l, ROUNDS);
    leaf *added = &q->leaves[q->count++];
    return status == BF_STATUS_OK ? want(s, q, added, ROUNDS) : status;
}

/* Raises the quest's worst leaf, if there is a way. */
static bf_status advance(sharpener *s, quest *q) {
    leaf *l = worst_of(q);
    if (s->kinks && l->lower >= 0) return BF_STATUS_OK;
    if (l->divisible) return divide(s, q, l);
    return l->settled ? BF_STATUS_OK : want(s, q, l, LAST_ROUNDS);
}

static bf_status search(sharpener *s) {
    bf_status status = BF_STATUS_OK;
    for (int q = 0; q < s->count && status == BF_STATUS_OK; q++)
        status = want(s, &s->quests[q], s->quests[q].leaves, FIRST_ROUNDS);
    if (status == BF_STATUS_OK) status = flush(s);
    for (int leaves = 1; leaves < s->most && status == BF_STATUS_OK; leaves++) {
        for (int q = 0; q < s->count && status == BF_STATUS_OK; q++)
            status = advance(s, &s->quests[q]);
        if (status == BF_STATUS_OK) status = flush(s);
    }
    return status;
}

static bool add_quest(sharpener *s, int64_t neuron, int sign, double known) {
    quest *q = &s->quests[s->count];
    *q = (quest){.neuron = neuron, .sign = sign, .leaves = s->leaves + s->count * s->most};
    if (!create_leaf(s, NULL, NULL, q->leaves)) return false;
    q->leaves[0].lower = known;
    q->count = 1;
    s->count++;
    return true;
}

/* Searches the group's quests; |gain|: the part of their widths that this takes away. */
static bf_status finish_group(sharpener *s, double *gain) {
    double width = 0, less = 0;
    for (int q = 0; q < s->count; q++) width -= s->quests[q].leaves[0].lower;
    bf_status status = search(s);
    for (int q = 0; q < s->count && status == BF_STATUS_OK; q++) {
        const quest *at = &s->quests[q];
        double lower = worst_of(at)->lower, *known = at->sign > 0 ? s->lo : s->hi;
        less += (s->kinks ? fmin(lower, 0) : lower) - at->sign * known[at->neuron];
        known[at->neuron] = at->sign * lower;
    }
    *gain = width > 0 ? less / width : 0;
    clear_quests(s);
    return status;
}

/* A neuron whose bounds are worth a search. */
static bool is_sharpened(const bf_plan *plan, const bf_workspace *ws, int64_t base, int activation,
                         int64_t j) {
    const bfi_value_state *state = &plan->state[plan->split_values[activation]];
    double lo = bfi_ws_doubles(ws, base, state->lo)[j], hi = bfi_ws_doubles(ws, base, state->hi)[j];
    bool open = plan->relu_only[plan->split_values[activation]] ? lo < 0 && hi > 0 : lo < hi;
    return open && hi - lo < INFINITY;
}

/* The rows see the activation, and there are others before it. */
static bool has_quests(const bf_plan *plan, int activation) {
    return activation > 0 &&
           bfi_taker(plan, plan->alpha_spec_program, plan->split_values[activation]) >= 0;
}

/* The sum of the widths of what is sharpened, and how many neurons that are. */
static double sum_widths(const bf_plan *plan, const bf_workspace *ws, int64_t base,
                         int64_t *neurons) {
    double sum = 0;
    *neurons = 0;
    for (int a = 0; a < plan->split_count; a++) {
        const bfi_value_state *state = &plan->state[plan->split_values[a]];
        int64_t n = has_quests(plan, a) ? plan->graph->nodes[plan->split_values[a]].count : 0;
        for (int64_t j = 0; j < n; j++) {
            if (!is_sharpened(plan, ws, base, a, j)) continue;
            sum += bfi_ws_doubles(ws, base, state->hi)[j] - bfi_ws_doubles(ws, base, state->lo)[j];
            ++*neurons;
        }
    }
    return sum;
}

/* Searches for bounds of the activation's neurons; those that are not searched keep theirs. */
static bf_status search_activation(sharpener *s) {
    int value = s->plan->split_values[s->activation];
    const bfi_value_state *state = &s->plan->state[value];
    int64_t n = s->plan->graph->nodes[value].count;
    double gain = 1;
    bf_status status = BF_STATUS_OK;
    s->kinks = s->plan->relu_only[value];
    memcpy(s->lo, bfi_ws_doubles(s->ws, BFI_GROUND, state->lo), (size_t)n * sizeof *s->lo);
    memcpy(s->hi, bfi_ws_doubles(s->ws, BFI_GROUND, state->hi), (size_t)n * sizeof *s->hi);
    for (int64_t j = 0; j < n && status == BF_STATUS_OK && gain >= LEAST_GAIN; j++) {
        if (!is_sharpened(s->plan, s->ws, BFI_GROUND, s->activation, j)) continue;
        if (!add_quest(s, j, 1, s->lo[j]) || !add_quest(s, j, -1, -s->hi[j]))
            return bfi_fail_memory(s->err);
        if (s->count + 2 > s->room) status = finish_group(s, &gain);
    }
    return status == BF_STATUS_OK && s->count > 0 ? finish_group(s, &gain) : status;
}

int64_t bfi_sharpening_part(int64_t memory) { return memory / MEMORY_PART; }

/* Quests of a group, of which leaves and their splits take the memory: a search is about as deep as
 * it would be in balance, and half more. */
static int64_t group_room(int64_t slope_bytes, int leaves, int64_t memory) {
    int64_t bytes = GROUP_BYTES, part = bfi_sharpening_part(memory);
    if (memory > 0 && part < bytes) bytes = part;
    int64_t splits = (int64_t)(1.5 * log2(leaves)) * (int64_t)(sizeof(bf_split) + sizeof(float));
    int64_t room = bytes / leaves / (slope_bytes + splits + (int64_t)sizeof(leaf));
    return room > GROUP ? GROUP : room;
}

static bf_status allocate(sharpener *s) {
    int64_t most = 1;
    for (int a = 0; a < s->plan->split_count; a++)
        if (s->plan->graph->nodes[s->plan->split_values[a]].count > most)
            most = s->plan->graph->nodes[s->plan->split_values[a]].count;
    s->zeros = bfi_calloc((size_t)s->request->outputs, sizeof *s->zeros);
    s->quests = bfi_calloc((size_t)s->room, sizeof *s->quests);
    s->leaves = bfi_calloc((size_t)s->room * (size_t)s->most, sizeof *s->leaves);
    s->lo = bfi_malloc((size_t)most, sizeof *s->lo);
    s->hi = bfi_malloc((size_t)most, sizeof *s->hi);
    bool ok = s->zeros && s->quests && s->leaves && s->lo && s->hi;
    return ok ? BF_STATUS_OK : bfi_fail_memory(s->err);
}

static void release(sharpener *s) {
    clear_quests(s);
    free(s->zeros);
    free(s->quests);
    free(s->leaves);
    free(s->lo);
    free(s->hi);
    free(s);
}

/* Activations one after the other, each with what was found for those before it. */
static bf_status sharpen_all(sharpener *s, const bfi_rebase_request *base) {
    bf_status status = BF_STATUS_OK;
    for (int a = 0; a < s->plan->split_count && status == BF_STATUS_OK; a++) {
        if (!has_quests(s->plan, a)) continue;
        s->activation = a;
        status = search_activation(s);
        if (status == BF_STATUS_OK)
            status = bfi_narrow_run(s->plan, s->ws, base, a, s->lo, s->hi, s->err);
    }
    return status;
}

void bfi_sharpening_clear(bfi_sharpening *s) { *s = (bfi_sharpening){.worth = 1}; }

static int next_leaves(const bfi_sharpening *s) {
    return s->leaves > 0 ? s->leaves * GROWTH : FIRST_LEAVES;
}

bool bfi_sharpening_due(const bfi_sharpening *s, const bfi_sharpen_request *q) {
    const bfi_root *root = q->root;
    int leaves = next_leaves(s);
    int64_t neurons;
    if (leaves > MOST_LEAVES || root->plan->boxes <= BFI_GROUND ||
        group_room(root->slope_bytes, leaves, q->memory) < LEAST_GROUP)
        return false;
    sum_widths(root->plan, root->ws, q->bases->ground, &neurons);
    double ways = 2 * FIRST_ROUNDS - 1 + 2.0 * (leaves - 1) * (2 * ROUNDS - 1);
    double cost = 2 * (double)neurons * ways * root->lane_flops / q->bases->node_flops;
    return neurons > 0 && s->spent + cost <= SHARE * s->worth * q->bases->work;
}

static bf_status make_ground(const sharpener *s, const bfi_rebase_request *base) {
    bfi_bases *bases = s->request->bases;
    bf_status status = BF_STATUS_OK;
    if (bases->ground == 0) status = bfi_rebase_run(s->plan, s->ws, base, s->err);
    if (status == BF_STATUS_OK) bases->ground = BFI_GROUND;
    return status;
}

bf_status bfi_sharpening_run(bfi_sharpening *sharpening, const bfi_sharpen_request *q,
                             bf_error *err) {
    sharpener *s = bfi_calloc(1, sizeof *s);
    if (!s) return bfi_fail_memory(err);
    *s = (sharpener){.request = q,
                     .plan = q->root->plan,
                     .ws = q->root->ws,
                     .slope_bytes = (size_t)q->root->slope_bytes,
                     .most = next_leaves(sharpening),
                     .err = err};
    bfi_rebase_request base = {.from = 0, .to = BFI_GROUND, .deadline = q->deadline};
    int64_t neurons;
    double before = sum_widths(s->plan, s->ws, q->bases->ground, &neurons);
    s->room = group_room(q->root->slope_bytes, s->most, q->memory);
    bf_status status = allocate(s);
    if (status == BF_STATUS_OK) status = make_ground(s, &base);
    if (status == BF_STATUS_OK) status = sharpen_all(s, &base);
    if (status == BF_STATUS_OK) {
        sharpening->leaves = s->most;
        sharpening->gain =
            before > 0 ? 1 - sum_widths(s->plan, s->ws, BFI_GROUND, &neurons) / before : 0;
        sharpening->worth = bfi_sharpening_gained(sharpening) ? 1 : sharpening->worth / GROWTH;
    }
    sharpening->spent += s->ways * q->root->lane_flops / q->bases->node_flops;
    release(s);
    return status;
}

bf_status bfi_sharpening_repeat(bfi_sharpening *s, const bfi_sharpen_request *q, int leaves,
                                bf_error *err) {
    bf_status status = BF_STATUS_OK;
    while (status == BF_STATUS_OK &&
           next_leaves(s) <= (leaves < MOST_LEAVES ? leaves : MOST_LEAVES))
        status = bfi_sharpening_run(s, q, err);
    return status;
}

bool bfi_sharpening_gained(const bfi_sharpening *s) { return s->gain >= BEGIN_AGAIN; }
