#include "runtime/split.h"

#include <math.h>

#include "base/status.h"

/* |point| in the plan's dtype, never above it (sign 1), never below it (-1). */
static double end_at(const bf_plan *plan, double point, int sign) {
    if (plan->dtype == BFI_F64) return point;
    if (!plan->outward) return (double)(float)point;
    return sign > 0 ? (double)bfi_float_down(point) : (double)bfi_float_up(point);
}

/* Bounds of one value that holds the same number can only cross where there is no such number:
 * with sound bounds, where no input of the box satisfies its splits. */
static bool crossed(const double *lo, const double *hi, int64_t n) {
    for (int64_t j = 0; j < n; j++)
        if (lo[j] > hi[j]) return true;
    return false;
}

void bfi_split_clip(bf_workspace *ws, int64_t box, int node) {
    const bf_request *request = &ws->request;
    if (!request->splits) return;
    const bf_plan *plan = ws->plan;
    double *lo = bfi_ws_doubles(ws, box, plan->state[node].lo),
           *hi = bfi_ws_doubles(ws, box, plan->state[node].hi);
    const int64_t *first = request->first_split + ws->first_box + box;
    bool empty = false;
    for (int64_t i = first[0]; i < first[1]; i++) {
        const bf_split *s = &request->splits[i];
        if (plan->split_values[s->activation] != node) continue;
        double *low = &lo[s->neuron], *high = &hi[s->neuron], at = end_at(plan, s->point, s->sign);
        if (s->sign > 0 && *low < at) *low = at;
        if (s->sign < 0 && *high > at) *high = at;
        empty = empty || *low > *high;
    }
    if (first[1] > first[0] && plan->outward)
        empty = empty || crossed(lo, hi, plan->graph->nodes[node].count);
    if (empty) atomic_store_explicit(&bfi_ws_box(ws, box)->infeasible, 1, memory_order_relaxed);
}

static bf_status check_split(const bf_plan *plan, const bf_split *s, int64_t index, bf_error *err) {
    long long at = (long long)index;
    if (s->activation < 0 || s->activation >= plan->split_count)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "split %lld: activation %d does not exist, the plan lists %d", at,
                        s->activation, plan->split_count);
    int64_t neurons = plan->graph->nodes[plan->split_values[s->activation]].count;
    if (s->neuron < 0 || s->neuron >= neurons)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "split %lld: neuron %lld does not exist, activation %d has %lld", at,
                        (long long)s->neuron, s->activation, (long long)neurons);
    if ((s->sign != 1 && s->sign != -1) || !isfinite(s->point))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "split %lld: sign %d at %g, but the sign is 1 or -1 and the point finite",
                        at, s->sign, s->point);
    return BF_STATUS_OK;
}

bf_status bfi_split_check(const bf_plan *plan, const bf_request *request, int64_t boxes,
                          bf_error *err) {
    const int64_t *first = request->first_split;
    bf_status status = BF_STATUS_OK;
    if (!request->splits) return status;
    for (int64_t b = 0; first && b < boxes && status == BF_STATUS_OK; b++)
        if (first[b] < 0 || first[b] > first[b + 1]) first = NULL;
    if (!first)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "splits need first_split: where those of each of the %lld boxes begin, and "
                        "the end, ascending",
                        (long long)boxes);
    for (int64_t i = first[0]; i < first[boxes] && status == BF_STATUS_OK; i++)
        status = check_split(plan, &request->splits[i], i, err);
    return status;
}
