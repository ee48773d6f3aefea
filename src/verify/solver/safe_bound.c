#include "verify/solver/safe_bound.h"

#include <math.h>

#include "base/fp.h"

/* A sum with room for the roundings of its terms (one each) and of adding them. */
typedef struct sum {
    double value, size, count;
} sum;

static void add(sum *s, double term) { s->value += term, s->size += fabs(term), s->count++; }

/* The sum may be off by this, in either direction: gamma of count + 2 roundings, doubled to cover
 * what |size| itself lost, and underflow of every term. */
static double room(double size, double count) {
    return (count + 4) * (2 * BF_U64) * size + (count + 1) * 0x1p-1060;
}

/* Least d v for d in [a, b], v in [lo, hi]. */
static double least(double a, double b, double lo, double hi) {
    return fmin(fmin(a * lo, a * hi), fmin(b * lo, b * hi));
}

static double usable(const bfi_linear_program *lp, int32_t row, double y) {
    double end = y > 0 ? lp->row_lo[row] : lp->row_hi[row];
    return isfinite(y) && isfinite(end) ? y : 0;
}

double bfi_safe_bound(const bfi_linear_program *lp, int32_t objective, const double *multipliers,
                      double *scratch) {
    double *reduced = scratch, *size = reduced + lp->cols, *count = size + lp->cols;
    sum total = {0};
    for (int32_t j = 0; j < lp->cols; j++) reduced[j] = size[j] = j == objective, count[j] = 0;
    for (int32_t r = 0; r < lp->rows; r++) {
        double y = usable(lp, r, multipliers[r]);
        if (y == 0) continue;
        add(&total, y * (y > 0 ? lp->row_lo[r] : lp->row_hi[r]));
        for (int32_t e = lp->start[r]; e < lp->start[r + 1]; e++) {
            int32_t j = lp->index[e];
            double term = y * lp->value[e];
            reduced[j] -= term, size[j] += fabs(term), count[j]++;
        }
    }
    for (int32_t j = 0; j < lp->cols; j++) {
        if (size[j] == 0 && count[j] == 0) continue;
        double error = count[j] > 0 ? room(size[j], count[j]) : 0;
        add(&total, least(reduced[j] - error, reduced[j] + error, lp->lo[j], lp->hi[j]));
    }
    double bound = total.value - room(total.size, total.count);
    return bound == bound ? bfi_down(bound) : -INFINITY;
}
