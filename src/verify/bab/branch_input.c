#include <math.h>

#include "verify/bab/branch.h"

enum { FEW_INPUTS = 16 };

/* Of the reach of a coordinate, what a cut there gains, roughly: half of it in one child. */
#define REACH_GAINS 0.1

static bool divides(double lo, double hi, double *middle) {
    *middle = lo / 2 + hi / 2;
    return *middle > lo && *middle < hi;
}

/* The |room| candidates with the largest estimates. */
static void offer(bfi_candidate *out, int *count, int room, bfi_candidate c) {
    int at = 0;
    if (*count < room) {
        out[(*count)++] = c;
        return;
    }
    for (int i = 1; i < room; i++)
        if (out[i].estimate < out[at].estimate) at = i;
    if (c.estimate > out[at].estimate) out[at] = c;
}

static int first_candidates(int64_t n, const double *lo, const double *hi, const double *line,
                            int room, bfi_candidate *out) {
    int count = 0, wide = 0;
    double middle;
    for (int64_t i = 0; i < n; i++) wide += divides(lo[i], hi[i], &middle);
    for (int64_t i = 0; i < n; i++) {
        if (!divides(lo[i], hi[i], &middle)) continue;
        double reach = (line ? REACH_GAINS * fabs(line[i]) : 1) * (hi[i] - lo[i]);
        double estimate = line && wide <= FEW_INPUTS ? INFINITY : reach;
        offer(out, &count, room, (bfi_candidate){{-1, (int32_t)i, middle}, estimate});
    }
    return count;
}

int bfi_branch_inputs(int64_t n, const double *lo, const double *hi, const double *line,
                      const bfi_candidate *inherited, int count, int room, bfi_candidate *out) {
    if (count == 0) return first_candidates(n, lo, hi, line, room, out);
    int kept = 0;
    for (int k = 0; k < count && kept < room; k++) {
        bfi_candidate c = inherited[k];
        int32_t i = c.decision.index;
        if (divides(lo[i], hi[i], &c.decision.point)) out[kept++] = c;
    }
    return kept;
}
