/* Which neurons to cut, and where: rankings by several rules, and the choice between candidates
 * whose children have been bounded. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "verify/bab/branch.h"
#include "verify/bab/view.h"

/* A minimiser nearer to an end than this part of the range is no point to cut at. */
#define WELL_INSIDE 0.1

/* True: the function is lines that meet at |kink|, and perhaps elsewhere. */
static bool has_kink(const bfi_node *op, double lo, double hi, double *kink) {
    *kink = 0;
    switch (op->op) {
        case BFI_OP_RELU:
        case BFI_OP_LEAKY_RELU:
        case BFI_OP_ABS:
        case BFI_OP_SIGN:
            return true;
        case BFI_OP_CLIP:
            *kink = lo < op->attrs.lo ? op->attrs.lo : op->attrs.hi;
            return op->attrs.lo < op->attrs.hi && (lo < op->attrs.lo || hi > op->attrs.hi);
        default:
            return false;
    }
}

bool bfi_branch_point(const bfi_node_view *v, int64_t j, double lo, double hi, double *point) {
    if (!(lo < hi) || !(hi - lo < INFINITY)) return false;
    if (has_kink(v->op, lo, hi, point)) return lo < *point && *point < hi;
    if (v->op->op == BFI_OP_CLIP) return false; /* between its kinks it is a line */
    double z = bfi_view_z(v, j), edge = WELL_INSIDE * (hi - lo);
    *point = z > lo + edge && z < hi - edge ? z : lo / 2 + hi / 2;
    return lo < *point && *point < hi;
}

static const bfi_neuron_rule *const rules[BFI_NEURON_RULES] = {&bfi_rule_babsr, &bfi_rule_intercept,
                                                               &bfi_rule_gap};

static void offer(bfi_candidate *best, int *count, bfi_candidate c) {
    int at = *count;
    while (at > 0 && best[at - 1].estimate < c.estimate) at--;
    if (at >= BFI_RANKED) return;
    int kept = *count < BFI_RANKED ? *count : BFI_RANKED - 1;
    memmove(best + at + 1, best + at, (size_t)(kept - at) * sizeof *best);
    best[at] = c;
    *count = kept + 1;
}

/* What the splits leave of the neuron's range; *at is the first split not before the neuron. */
static void narrow(const bfi_node_view *v, int64_t j, const bf_split *splits, int32_t count,
                   int32_t *at, double *lo, double *hi) {
    *lo = v->lo[j], *hi = v->hi[j];
    while (*at < count && (splits[*at].activation < v->activation ||
                           (splits[*at].activation == v->activation && splits[*at].neuron < j)))
        ++*at;
    for (int32_t i = *at;
         i < count && splits[i].activation == v->activation && splits[i].neuron == j; i++) {
        if (splits[i].sign > 0)
            *lo = fmax(*lo, splits[i].point);
        else
            *hi = fmin(*hi, splits[i].point);
    }
}

static void offer_to(bfi_rankings *rankings, int rule, bfi_candidate c) {
    if (!(c.estimate >= 0)) c.estimate = 0;
    offer(rankings->best[rule], &rankings->count[rule], c);
}

/* The elements of a max pooling's windows; two rules say what a cut may gain at most, one what is
 * lost now. */
static void rank_pool(const bfi_node_view *v, const bf_split *splits, int32_t count,
                      bfi_rankings *rankings) {
    int32_t first = 0, end;
    while (first < count && splits[first].activation < v->activation) first++;
    for (end = first; end < count && splits[end].activation == v->activation;) end++;
    for (int64_t j = 0; j < v->n; j++)
        for (int gap = 0; gap < 2; gap++) {
            bfi_pool_choice p;
            if (!bfi_branch_pool(v, splits + first, end - first, j, gap, &p)) continue;
            bfi_candidate c = {{v->activation, (int32_t)p.element, p.point}, p.gain};
            for (int r = 0; r < BFI_NEURON_RULES; r++)
                if ((rules[r] == &bfi_rule_gap) == gap) offer_to(rankings, r, c);
        }
}

void bfi_branch_rank(const bfi_node_view *v, const bf_split *splits, int32_t count,
                     bfi_rankings *rankings) {
    int32_t at = 0;
    bool kinked = v->op->op == BFI_OP_RELU;
    if (v->activation < 0) return;
    if (v->op->op == BFI_OP_MAX_POOL) {
        rank_pool(v, splits, count, rankings);
        return;
    }
    for (int64_t j = 0; j < v->n; j++) {
        double lo, hi, point;
        if (kinked && (v->lo[j] >= 0 || v->hi[j] <= 0)) continue;
        narrow(v, j, splits, count, &at, &lo, &hi);
        if (!bfi_branch_point(v, j, lo, hi, &point)) continue;
        for (int r = 0; r < BFI_NEURON_RULES; r++) {
            double score = rules[r]->score(v, j, lo, hi);
            offer_to(rankings, r, (bfi_candidate){{v->activation, (int32_t)j, point}, score});
        }
    }
}

static bool listed(const bfi_candidate *list, int count, const bfi_decision *d) {
    for (int i = 0; i < count; i++)
        if (list[i].decision.activation == d->activation && list[i].decision.index == d->index)
            return true;
    return false;
}

int bfi_branch_merge(const bfi_rankings *rankings, bfi_candidate *out) {
    int count = 0;
    for (int rank = 0; rank < BFI_RANKED; rank++)
        for (int r = 0; r < BFI_NEURON_RULES; r++)
            if (rank < rankings->count[r] && !listed(out, count, &rankings->best[r][rank].decision))
                out[count++] = rankings->best[r][rank];
    assert(count <= BFI_RANKINGS);
    return count;
}

int bfi_branch_choose(int count, const double *low, const double *high) {
    int chosen = 0;
    double least = -INFINITY, most = -INFINITY;
    for (int k = 0; k < count; k++) {
        double worse = fmin(low[k], high[k]), better = fmax(low[k], high[k]);
        if (worse < least || (worse == least && !(better > most))) continue;
        least = worse, most = better, chosen = k;
    }
    return chosen;
}
