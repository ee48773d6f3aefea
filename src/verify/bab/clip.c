#include "verify/bab/clip.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/fp.h"

enum { SWEEPS = 3, BISECTIONS = 14 };

/* Room for sums of products in float64: n + 2 roundings at most, and underflow. */
static double rounding(int64_t n, double magnitude) {
    return ((double)n + 4) * (2 * BF_U64) * magnitude + (double)(n + 1) * 0x1p-1060;
}

double bfi_clip_least(int64_t n, const double *a, double k, const double *lo, const double *hi) {
    double sum = k, size = fabs(k);
    for (int64_t i = 0; i < n; i++) {
        double term = a[i] > 0 ? a[i] * lo[i] : a[i] * hi[i];
        sum += term, size += fabs(term);
    }
    sum -= rounding(n, size);
    return sum == sum ? bfi_down(sum) : -INFINITY;
}

bool bfi_clip_box(int64_t n, const double *a, double k, double *lo, double *hi) {
    double least = bfi_clip_least(n, a, k, lo, hi);
    if (least > 0) return false;
    if (!(least > -INFINITY)) return true;
    for (int64_t i = 0; i < n; i++) {
        /* the others are at their least: a_i may add -least to its own */
        double room = bfi_up(-least / fabs(a[i]));
        if (!(room < hi[i] - lo[i])) continue;
        if (a[i] > 0) {
            double to = bfi_up(lo[i] + room);
            if (to < hi[i]) hi[i] = to;
        } else {
            double to = bfi_down(hi[i] - room);
            if (to > lo[i]) lo[i] = to;
        }
        assert(lo[i] <= hi[i]);
    }
    return true;
}

/* Derivative at |t| of the minimum over the box of (1 - t) (a, k) + t (b, l). */
static double slope(int64_t n, const double *a, double k, const double *b, double l,
                    const double *lo, const double *hi, double t) {
    double sum = l - k;
    for (int64_t i = 0; i < n; i++) {
        double step = b[i] - a[i];
        sum += step * (a[i] + t * step > 0 ? lo[i] : hi[i]);
    }
    return sum;
}

/* Where on the way from (a, k) to (b, l) the minimum over the box, which is concave, is largest. */
static double best_step(int64_t n, const double *a, double k, const double *b, double l,
                        const double *lo, const double *hi) {
    double low = 0, high = 1;
    if (!(slope(n, a, k, b, l, lo, hi, 0) > 0)) return 0;
    if (slope(n, a, k, b, l, lo, hi, 1) >= 0) return 1;
    for (int i = 0; i < BISECTIONS; i++) {
        double t = low / 2 + high / 2;
        if (slope(n, a, k, b, l, lo, hi, t) > 0)
            low = t;
        else
            high = t;
    }
    return low;
}

static int64_t best_line(int64_t n, int64_t rows, const double *a, const double *k,
                         const double *lo, const double *hi) {
    int64_t best = 0;
    double most = -INFINITY;
    for (int64_t r = 0; r < rows; r++) {
        double least = bfi_clip_least(n, a + r * n, k[r], lo, hi);
        if (least > most) most = least, best = r;
    }
    return best;
}

/* The combination with |weights|, as a line: what its coefficients' rounding may lose over the box
 * is taken off the constant. */
static void combine(int64_t n, int64_t rows, const double *a, const double *k, const double *lo,
                    const double *hi, const double *weights, double *line, double *constant) {
    double sum = 0, size = 0, lost = 0;
    memset(line, 0, (size_t)n * sizeof *line);
    for (int64_t r = 0; r < rows; r++) {
        if (!(weights[r] > 0)) continue;
        sum += weights[r] * k[r], size += fabs(weights[r] * k[r]);
        for (int64_t i = 0; i < n; i++) {
            double part = weights[r] * a[r * n + i];
            line[i] += part;
            lost += fabs(part) * fmax(fabs(lo[i]), fabs(hi[i]));
        }
    }
    *constant = sum - rounding(rows, size) - rounding(rows, lost) * (1 + (double)n * 0x1p-40);
}

static double sum_of(const double *weights, int64_t rows) {
    double sum = 0;
    for (int64_t r = 0; r < rows; r++) sum += weights[r];
    return sum;
}

double bfi_clip_combine(int64_t n, int64_t rows, const double *a, const double *k, const double *lo,
                        const double *hi, double *weights, double *line, double *constant) {
    for (int64_t r = 0; r < rows; r++)
        if (!(k[r] > -INFINITY)) weights[r] = 0;
    double sum = sum_of(weights, rows);
    if (!(sum > 0)) {
        memset(weights, 0, (size_t)rows * sizeof *weights);
        weights[best_line(n, rows, a, k, lo, hi)] = sum = 1;
    }
    for (int64_t r = 0; r < rows; r++) weights[r] /= sum;
    combine(n, rows, a, k, lo, hi, weights, line, constant);
    for (int sweep = 0; sweep < SWEEPS && rows > 1; sweep++) {
        bool moved = false;
        for (int64_t r = 0; r < rows; r++) {
            if (!(k[r] > -INFINITY)) continue;
            double t = best_step(n, line, *constant, a + r * n, k[r], lo, hi);
            if (!(t > 0)) continue;
            for (int64_t s = 0; s < rows; s++) weights[s] *= 1 - t;
            weights[r] += t;
            for (int64_t i = 0; i < n; i++) line[i] += t * (a[r * n + i] - line[i]);
            *constant += t * (k[r] - *constant);
            moved = true;
        }
        if (!moved) break;
    }
    combine(n, rows, a, k, lo, hi, weights, line, constant);
    return bfi_clip_least(n, line, *constant, lo, hi);
}
