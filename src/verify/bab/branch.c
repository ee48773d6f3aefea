#include "verify/bab/branch.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* A candidate that promises less than this share of the best is not worth bounding. */
#define PROMISING 0.5

/* How much of its gain a cut keeps in the children: what they gain shrinks with the box, most where
 * it was cut; an estimate that is not renewed shrinks less, so that it is measured again one day.
 */
#define CUT_KEEPS 0.5
#define MEASURED_KEEPS 0.7
#define ESTIMATE_KEEPS 0.9

static int by_estimate(const void *a, const void *b) {
    const bfi_candidate *x = a, *y = b;
    if (x->estimate != y->estimate) return x->estimate > y->estimate ? -1 : 1;
    if (x->decision.activation != y->decision.activation)
        return x->decision.activation < y->decision.activation ? -1 : 1;
    return (x->decision.index > y->decision.index) - (x->decision.index < y->decision.index);
}

int bfi_branch_filter(bfi_candidate *candidates, int count, int most, int room) {
    assert(count >= 1 && most >= 1 && room >= 1);
    qsort(candidates, (size_t)count, sizeof *candidates, by_estimate);
    int taken = 0, unknown = 0;
    while (unknown < count && isinf(candidates[unknown].estimate)) unknown++;
    if (unknown > 0) return unknown < room ? unknown : room;
    while (taken < count && taken < most &&
           candidates[taken].estimate >= PROMISING * candidates[0].estimate)
        taken++;
    return taken > 0 ? taken : 1;
}

double bfi_branch_gain(int64_t rows, const bool *wanted, const float *parent, const double *low,
                       const double *high) {
    double gain = 0;
    for (int64_t r = 0; r < rows; r++) {
        double before = fmin((double)parent[r], 0);
        if (!wanted[r] || !(before > -INFINITY)) continue;
        double a = fmax(fmin(low[r], 0) - before, 0), b = fmax(fmin(high[r], 0) - before, 0);
        gain += a + b;
    }
    return gain;
}

void bfi_branch_inherit(bfi_candidate *candidates, int count, int measured, int chosen) {
    for (int i = 0; i < count; i++)
        candidates[i].estimate *= i == chosen    ? CUT_KEEPS
                                  : i < measured ? MEASURED_KEEPS
                                                 : ESTIMATE_KEEPS;
}

void bfi_branch_apply(const bfi_cut *cut, double *lo, double *hi) {
    int32_t i = cut->decision.index;
    if (cut->decision.activation >= 0) return;
    if (cut->sign > 0 && cut->decision.point > lo[i]) lo[i] = cut->decision.point;
    if (cut->sign < 0 && cut->decision.point < hi[i]) hi[i] = cut->decision.point;
}

int32_t bfi_branch_insert(bf_split *splits, int32_t *count, bf_split s) {
    int32_t at = *count;
    for (; at > 0; at--) {
        const bf_split *b = &splits[at - 1];
        if (b->activation != s.activation ? b->activation < s.activation
            : b->neuron != s.neuron       ? b->neuron < s.neuron
                                          : b->sign <= s.sign)
            break;
    }
    bf_split *same = at > 0 ? &splits[at - 1] : NULL;
    if (same && same->activation == s.activation && same->neuron == s.neuron &&
        same->sign == s.sign) {
        same->point = s.sign > 0 ? fmax(same->point, s.point) : fmin(same->point, s.point);
        return -1;
    }
    memmove(splits + at + 1, splits + at, (size_t)(*count - at) * sizeof *splits);
    splits[at] = s;
    ++*count;
    return at;
}
