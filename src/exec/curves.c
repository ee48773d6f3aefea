/* Lines of smooth functions that are convex or concave, or (sine, cosine) both by turns; planes of
 * products, quotients, maxima and minima of two. */
#include "exec/curves.h"

#include <assert.h>

#include "exec/forward.h"
#include "ir/evaluate.h"

/* The trigonometric functions are followed up to here; beyond, and over more than a period, their
 * lines are flat. */
#define FARTHEST 1e4
#define WIDEST 6.2

enum { SLOPE_STEPS = 24 }; /* halvings of the slopes in question */

typedef enum shape { FLAT, CONVEX, CONCAVE, WAVE, KINKS } shape;

static shape shape_of(const bfi_node *node, double lo, double hi) {
    double below, above;
    switch (node->op) {
        case BFI_OP_SQUARE:
        case BFI_OP_EXP:
        case BFI_OP_ABS:
            return CONVEX;
        case BFI_OP_CLIP:
            return KINKS;
        case BFI_OP_LOG:
            return lo > 0 ? CONCAVE : FLAT;
        case BFI_OP_SQRT:
            return lo >= 0 && hi > 0 ? CONCAVE : FLAT;
        case BFI_OP_RECIPROCAL:
            return lo > 0 ? CONVEX : hi < 0 ? CONCAVE : FLAT;
        default:
            assert(node->op == BFI_OP_SIN || node->op == BFI_OP_COS);
            if (!(hi - lo < WIDEST && lo > -FARTHEST && hi < FARTHEST)) return FLAT;
            bfi_unary_interval(node, true, lo, hi, &below, &above);
            return below >= 0 ? CONCAVE : above <= 0 ? CONVEX : WAVE; /* f'' = -f */
    }
}

static double derivative(const bfi_node *node, double x) {
    switch (node->op) {
        case BFI_OP_SQUARE:
            return 2 * x;
        case BFI_OP_EXP:
            return bfi_exp(x);
        case BFI_OP_ABS:
            return x > 0 ? 1 : -1;
        case BFI_OP_LOG:
            return 1 / x;
        case BFI_OP_SQRT:
            return 0.5 / sqrt(x);
        case BFI_OP_RECIPROCAL:
            return -1 / (x * x);
        case BFI_OP_SIN:
            return bfi_cos(x);
        default:
            return -bfi_sin(x);
    }
}

static double up(bool outward, double x) { return outward ? bfi_up(x) : x; }
static double down(bool outward, double x) { return outward ? bfi_down(x) : x; }

/* The tangent of a convex function at |p|, its slope rounded to |s|, stays below it over [lo, hi]
 * when it is lowered by what the slopes differ, times the distance: f(x) >= f(p) + f'(p) (x - p).
 * Of a concave one (|sign| -1) it stays above when raised. The derivative is taken as right to 8
 * units.
 */
static double tangent_intercept(const bfi_node *node, bool outward, double s, double p, double lo,
                                double hi, int sign) {
    double below, above, exact = derivative(node, p);
    bfi_unary_gap(node, outward, s, p, &below, &above);
    if (!outward) return sign > 0 ? below : above;
    double off = bfi_up(fabs(exact - s) + fabs(exact) * 0x1p-46), far = fmax(hi - p, p - lo);
    double slack = off > 0 ? bfi_up(off * bfi_up(far)) : 0;
    return sign > 0 ? bfi_down(below - slack) : bfi_up(above + slack);
}

/* A chord's line: above a convex function at both ends is above everywhere. */
static double chord_intercept(const bfi_node *node, bool outward, double s, double lo, double hi,
                              int sign) {
    double at_lo[2], at_hi[2];
    bfi_unary_gap(node, outward, s, lo, &at_lo[0], &at_lo[1]);
    bfi_unary_gap(node, outward, s, hi, &at_hi[0], &at_hi[1]);
    return sign > 0 ? fmin(at_lo[0], at_hi[0]) : fmax(at_lo[1], at_hi[1]);
}

static double chord(const bfi_node *node, double lo, double hi) {
    double rise = bfi_unary_value(node, hi) - bfi_unary_value(node, lo);
    double middle = lo / 2 + hi / 2;
    bool narrow = hi - lo <= 1e-9 * (fabs(lo) + fabs(hi));
    return narrow ? derivative(node, middle) : rise / (hi - lo);
}

/* arccos of |s| in [-1, 1], to a relative error of 1e-9 or better: Abramowitz and Stegun 1964,
 * 4.4.45, and two steps of Newton. */
static double arc_cosine(double s) {
    double x = fabs(s);
    double y = sqrt(1 - x) * (1.5707288 + x * (-0.2121144 + x * (0.0742610 + x * -0.0187293)));
    for (int i = 0; i < 2; i++) {
        double sine = bfi_sin(y);
        if (sine > 1e-6) y += (bfi_cos(y) - x) / sine;
    }
    return s < 0 ? 0x1.921fb54442d18p+1 - y : y;
}

/* Smallest (|sign| 1) or largest (-1) of f(x) - s x: at the ends or where f' = s, cos(x + shift)
 * for both functions. Near such a point an error of 1e-7 in x is one of 1e-14 in f(x) - s x, within
 * the slack. */
static double wave_intercept(const bfi_node *node, bool outward, double s, double lo, double hi,
                             int sign) {
    const double half_pi = 0x1.921fb54442d18p+0;
    double best = chord_intercept(node, outward, s, lo, hi, sign);
    if (!(fabs(s) <= 1)) return best;
    double shift = node->op == BFI_OP_SIN ? 0 : half_pi, arc = arc_cosine(s);
    double slack = outward ? 0x1p-40 * (1 + fabs(s) * fmax(fabs(lo), fabs(hi))) : 0;
    double first = floor((lo + shift) / (4 * half_pi)) - 1;
    for (int turn = 0; turn < 4; turn++)
        for (int side = -1; side <= 1; side += 2) {
            double x = (first + turn) * (4 * half_pi) + side * arc - shift, below, above;
            if (!(x > lo && x < hi)) continue;
            bfi_unary_gap(node, outward, s, x, &below, &above);
            best = sign > 0 ? fmin(best, down(outward, below - slack))
                            : fmax(best, up(outward, above + slack));
        }
    return best;
}

/* The slope whose line is best in the middle: that of the convex (concave) hull there. What is
 * maximised is concave in the slope, so thirds of the range can be left out. */
static double wave_slope(const bfi_node *node, double lo, double hi, int sign) {
    double middle = lo / 2 + hi / 2, a = -1, b = 1;
    for (int i = 0; i < SLOPE_STEPS; i++) {
        double p = a + (b - a) / 3, q = b - (b - a) / 3;
        double at_p = sign * (p * middle + wave_intercept(node, false, p, lo, hi, sign));
        double at_q = sign * (q * middle + wave_intercept(node, false, q, lo, hi, sign));
        if (at_p < at_q)
            a = p;
        else
            b = q;
    }
    return a / 2 + b / 2;
}

/* Not inlined: where gcc 12 makes a vector of two neighbours that may or may not be rounded, it
 * stores them unrounded (planes_are_sound in test_containment.c tells). */
__attribute__((noinline)) double bfi_in_dtype(bfi_dtype t, double x) {
    return t == BFI_F32 ? (double)(float)x : x;
}

/* Abs or clip where it is one line: which. */
static bool one_piece(const bfi_node *node, double lo, double hi, bfi_lines *out) {
    double slope, at = 0, least = node->attrs.lo, most = node->attrs.hi;
    if (node->op == BFI_OP_ABS) {
        if (lo < 0 && hi > 0) return false;
        slope = lo >= 0 ? 1 : -1;
    } else {
        bool flat = hi <= least || lo >= most || least >= most;
        if (!flat && (lo < least || hi > most)) return false;
        slope = flat ? 0 : 1;
        if (flat) at = lo >= most || least >= most ? most : least;
    }
    *out = (bfi_lines){slope, at, slope, at};
    return true;
}

/* Of clip across a kink, by the hull in the middle: below, it is flat up to the first kink and goes
 * straight to the upper end from there; above likewise from the other end. */
static bfi_lines clip_lines(const bfi_node *node, bfi_dtype dtype, bool outward, double lo,
                            double hi) {
    const double ends[4] = {lo, hi, node->attrs.lo, node->attrs.hi};
    double least = bfi_unary_value(node, lo), most = bfi_unary_value(node, hi);
    double first = fmax(lo, node->attrs.lo), last = fmin(hi, node->attrs.hi);
    double middle = lo / 2 + hi / 2;
    bfi_lines l = {.t_pos = INFINITY, .t_neg = -INFINITY};
    l.s_pos = middle > first ? bfi_in_dtype(dtype, (most - first) / (hi - first)) : 0;
    l.s_neg = middle < last ? bfi_in_dtype(dtype, (last - least) / (last - lo)) : 0;
    for (int i = 0; i < 4; i++) {
        double below, above;
        if (!(ends[i] >= lo && ends[i] <= hi)) continue;
        bfi_unary_gap(node, outward, l.s_pos, ends[i], &below, &above);
        l.t_pos = fmin(l.t_pos, below);
        bfi_unary_gap(node, outward, l.s_neg, ends[i], &below, &above);
        l.t_neg = fmax(l.t_neg, above);
    }
    return l;
}

/* The line on one side of the function: |sign| 1 below. */
static void one_line(const bfi_node *node, bfi_dtype dtype, bool outward, shape kind, double lo,
                     double hi, int sign, double *s, double *t) {
    double middle = lo / 2 + hi / 2;
    if (kind == WAVE) {
        *s = bfi_in_dtype(dtype, wave_slope(node, lo, hi, sign));
        *t = wave_intercept(node, outward, *s, lo, hi, sign);
    } else if ((kind == CONVEX) == (sign > 0)) {
        *s = bfi_in_dtype(dtype, derivative(node, middle));
        *t = tangent_intercept(node, outward, *s, middle, lo, hi, sign);
    } else {
        *s = bfi_in_dtype(dtype, chord(node, lo, hi));
        *t = chord_intercept(node, outward, *s, lo, hi, sign);
    }
}

bfi_lines bfi_curve_lines(const bfi_node *node, bfi_dtype dtype, bool outward, double lo,
                          double hi) {
    bfi_lines flat = {0}, lines;
    bfi_unary_interval(node, outward, lo, hi, &flat.t_pos, &flat.t_neg);
    if (!isfinite(lo) || !isfinite(hi)) return flat;
    bool kinks = node->op == BFI_OP_ABS || node->op == BFI_OP_CLIP;
    if (kinks && one_piece(node, lo, hi, &lines)) return lines;
    shape kind = shape_of(node, lo, hi);
    if (kind == FLAT) return flat;
    if (kind == KINKS) {
        lines = clip_lines(node, dtype, outward, lo, hi);
    } else {
        one_line(node, dtype, outward, kind, lo, hi, 1, &lines.s_pos, &lines.t_pos);
        one_line(node, dtype, outward, kind, lo, hi, -1, &lines.s_neg, &lines.t_neg);
    }
    bool finite = isfinite(lines.s_pos) && isfinite(lines.s_neg) && isfinite(lines.t_pos) &&
                  isfinite(lines.t_neg);
    return finite ? lines : flat;
}

/* ---- Products, quotients, maxima and minima of two ---- */

static double next_down(bool outward, double x) { return outward ? bfi_down(x) : x; }
static double next_up(bool outward, double x) { return outward ? bfi_up(x) : x; }

/* Widens |p|'s intercepts to z less the slopes' products, at a point. Two rounded products and two
 * sums: 4 units of what is added up. */
static void meet(bfi_plane *p, bool outward, double x, double y, double z) {
    double u = p->s_pos * x, v = p->r_pos * y;
    double slack = outward ? bfi_up((fabs(z) + fabs(u) + fabs(v)) * 0x1p-50 + 0x1p-1060) : 0;
    p->t_pos = fmin(p->t_pos, next_down(outward, z - u - v - slack));
    u = p->s_neg * x, v = p->r_neg * y;
    slack = outward ? bfi_up((fabs(z) + fabs(u) + fabs(v)) * 0x1p-50 + 0x1p-1060) : 0;
    p->t_neg = fmax(p->t_neg, next_up(outward, z - u - v + slack));
}

/* McCormick's plane of the corner (x, y), of the opposite one (x2, y2), or the mean of both: |part|
 * 1, 0, 1/2. */
static void mix(bfi_dtype dtype, double part, double x, double y, double x2, double y2, double *s,
                double *r) {
    *s = bfi_in_dtype(dtype, part * y + (1 - part) * y2);
    *r = bfi_in_dtype(dtype, part * x + (1 - part) * x2);
}

/* x y less a plane takes its extremes at corners. */
static void product_plane(bfi_plane *p, bfi_dtype dtype, bool outward, double a, double b, double c,
                          double d) {
    const double x[2] = {a, b}, y[2] = {c, d};
    double below = a >= 0 && c >= 0 ? 1 : b <= 0 && d <= 0 ? 0 : 0.5;
    double above = a >= 0 && d <= 0 ? 1 : b <= 0 && c >= 0 ? 0 : 0.5;
    mix(dtype, below, a, c, b, d, &p->s_pos, &p->r_pos);
    mix(dtype, above, a, d, b, c, &p->s_neg, &p->r_neg);
    for (int i = 0; i < 4; i++) meet(p, outward, x[i / 2], y[i % 2], x[i / 2] * y[i % 2]);
}

/* x / y less s x + r y is linear in x; in y its extremes are at the ends and where -x / y^2 is the
 * slope r. There it is flat: an error of 1e-15 in y does not count. */
static void quotient_plane(bfi_plane *p, bfi_dtype dtype, bool outward, double a, double b,
                           double c, double d) {
    const double xs[2] = {a, b};
    p->s_pos = p->s_neg = bfi_in_dtype(dtype, (1 / c + 1 / d) / 2);
    p->r_pos = p->r_neg = bfi_in_dtype(dtype, -(a / 2 + b / 2) / c / d);
    for (int i = 0; i < 2; i++) {
        double x = xs[i], y = sqrt(fabs(x)) / sqrt(fabs(p->r_pos));
        if (c < 0) y = -y;
        meet(p, outward, x, c, x / c);
        meet(p, outward, x, d, x / d);
        bool flat = (x > 0) != (p->r_pos > 0); /* else the derivative has no zero */
        if (flat && y > c && y < d) meet(p, outward, x, y, x / y);
    }
}

/* max(x, y) is y + relu(x - y): above, the chord of the relu, which the corners hold; below, the
 * operand that is larger in the middle. min(x, y) is x - relu(x - y). */
static void extreme_plane(bfi_plane *p, bool max, bfi_dtype dtype, bool outward, double a, double b,
                          double c, double d) {
    const double x[2] = {a, b}, y[2] = {c, d};
    double least = a - d, most = b - c; /* of x - y */
    double chord = least >= 0 ? 1 : most <= 0 ? 0 : most / (most - least);
    double of_x = bfi_in_dtype(dtype, max ? chord : 1 - chord),
           of_y = bfi_in_dtype(dtype, 1 - of_x);
    bool first = max == (a / 2 + b / 2 >= c / 2 + d / 2);
    p->s_pos = max ? first : of_x, p->r_pos = max ? !first : of_y;
    p->s_neg = max ? of_x : first, p->r_neg = max ? of_y : !first;
    for (int i = 0; i < 4; i++) {
        double u = x[i / 2], v = y[i % 2];
        meet(p, outward, u, v, max ? fmax(u, v) : fmin(u, v));
    }
    bool one = least >= 0 || most <= 0; /* the result is an operand */
    if (max || one) p->t_pos = 0;
    if (!max || one) p->t_neg = 0;
}

static bool is_finite(const bfi_plane *p) {
    return isfinite(p->s_pos) && isfinite(p->r_pos) && isfinite(p->s_neg) && isfinite(p->r_neg) &&
           isfinite(p->t_pos) && isfinite(p->t_neg);
}

bfi_plane bfi_binary_plane(bfi_op op, bfi_dtype dtype, bool outward, double a, double b, double c,
                           double d) {
    bfi_plane p = {.t_pos = INFINITY, .t_neg = -INFINITY},
              nothing = {.t_pos = -INFINITY, .t_neg = INFINITY};
    if (!isfinite(a) || !isfinite(b) || !isfinite(c) || !isfinite(d)) return nothing;
    if (op == BFI_OP_DIV && c <= 0 && d >= 0) return nothing;
    if (op == BFI_OP_MAX || op == BFI_OP_MIN)
        extreme_plane(&p, op == BFI_OP_MAX, dtype, outward, a, b, c, d);
    else
        (op == BFI_OP_DIV ? quotient_plane : product_plane)(&p, dtype, outward, a, b, c, d);
    return is_finite(&p) ? p : nothing;
}
