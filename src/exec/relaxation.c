/* Intervals and linear relaxations of unary functions, in float64 with the fixed bits of base/fp.h.
 */
#include "exec/curves.h"
#include "exec/forward.h"
#include "ir/evaluate.h"

/* Computed values of smooth functions are off by at most this, relative (base/fp.h, with room). */
#define FUNCTION_REL 0x1p-46
/* Slack of intercepts of smooth functions: second-order error at a computed tangent point. */
#define TANGENT_SLACK 0x1p-42

static double step_down(bool outward, double x) { return outward ? bfi_down(x) : x; }
static double step_up(bool outward, double x) { return outward ? bfi_up(x) : x; }

static bool piecewise_linear(bfi_op op) {
    return op == BFI_OP_RELU || op == BFI_OP_LEAKY_RELU || op == BFI_OP_ABS || op == BFI_OP_CLIP ||
           op == BFI_OP_SIGN || op == BFI_OP_FLOOR;
}

/* Encloses f(x) at one point. */
static void point(const bfi_node *node, bool outward, double x, double *lo, double *hi) {
    double y = bfi_unary_value(node, x);
    double slack = 0;
    if (outward) {
        if (node->op == BFI_OP_SIN || node->op == BFI_OP_COS)
            slack = FUNCTION_REL;
        else if (node->op == BFI_OP_LEAKY_RELU) /* one product; exact on the other side */
            slack = x < 0 && node->attrs.slope != 0 ? fabs(y) * 0x1p-52 + 0x1p-1074 : 0;
        else if (!piecewise_linear(node->op))
            slack = fabs(y) * FUNCTION_REL + 0x1p-1060;
    }
    *lo = slack > 0 ? bfi_down(y - slack) : y;
    *hi = slack > 0 ? bfi_up(y + slack) : y;
}

static void monotone(const bfi_node *node, bool outward, double a, double b, double *lo,
                     double *hi) {
    double unused;
    point(node, outward, a, lo, &unused);
    point(node, outward, b, &unused, hi);
}

/* sin on [lo, hi]: extremes at pi/2 + k pi; |shift| pi/2 turns cos into sin. */
static void sine_interval(const bfi_node *node, bool outward, double lo, double hi, double shift,
                          double *out_lo, double *out_hi) {
    const double half_pi = 0x1.921fb54442d18p+0, slack = 1e-9;
    *out_lo = -1, *out_hi = 1;
    if (!(hi - lo < 6.2) || !(fabs(lo) < 1e6) || !(fabs(hi) < 1e6)) return;
    double a_lo, a_hi, b_lo, b_hi;
    point(node, outward, lo, &a_lo, &a_hi);
    point(node, outward, hi, &b_lo, &b_hi);
    /* Quarter turns; a maximum lies at 1 + 4k, a minimum at 3 + 4k. Slack covers the rounding. */
    double first = lo / half_pi + shift - slack, last = hi / half_pi + shift + slack;
    bool has_max = floor((last - 1) / 4) >= ceil((first - 1) / 4);
    bool has_min = floor((last - 3) / 4) >= ceil((first - 3) / 4);
    *out_lo = has_min ? -1 : fmax(-1, fmin(a_lo, b_lo));
    *out_hi = has_max ? 1 : fmin(1, fmax(a_hi, b_hi));
}

static void reciprocal_interval(const bfi_node *node, bool outward, double lo, double hi,
                                double *out_lo, double *out_hi) {
    if (lo <= 0 && hi >= 0) {
        *out_lo = -INFINITY, *out_hi = INFINITY;
        return;
    }
    monotone(node, outward, hi, lo, out_lo, out_hi);
}

void bfi_unary_interval(const bfi_node *node, bool outward, double lo, double hi, double *out_lo,
                        double *out_hi) {
    double a, b;
    switch (node->op) {
        case BFI_OP_RELU: /* exact, and by far the most common */
            *out_lo = lo > 0 ? lo : 0;
            *out_hi = hi > 0 ? hi : 0;
            return;
        case BFI_OP_ABS:
            a = fabs(lo), b = fabs(hi);
            *out_lo = lo <= 0 && hi >= 0 ? 0 : fmin(a, b);
            *out_hi = fmax(a, b);
            break;
        case BFI_OP_SQUARE:
            a = fmin(fabs(lo), fabs(hi)), b = fmax(fabs(lo), fabs(hi));
            *out_lo = lo <= 0 && hi >= 0 ? 0 : fmax(0, step_down(outward, a * a));
            *out_hi = step_up(outward, b * b);
            break;
        case BFI_OP_SIN:
            sine_interval(node, outward, lo, hi, 0, out_lo, out_hi);
            break;
        case BFI_OP_COS:
            sine_interval(node, outward, lo, hi, 1, out_lo, out_hi);
            break;
        case BFI_OP_RECIPROCAL:
            reciprocal_interval(node, outward, lo, hi, out_lo, out_hi);
            break;
        case BFI_OP_LOG:
        case BFI_OP_SQRT:
            if (lo < 0 || (node->op == BFI_OP_LOG && lo == 0)) {
                *out_lo = -INFINITY;
                *out_hi = INFINITY;
                break;
            }
            monotone(node, outward, lo, hi, out_lo, out_hi);
            break;
        case BFI_OP_LEAKY_RELU:
            if (node->attrs.slope < 0) { /* not monotone: the kink and both ends */
                double unused_lo, unused_hi;
                monotone(node, outward, lo, lo, &a, &unused_hi);
                monotone(node, outward, hi, hi, &b, &unused_lo);
                *out_lo = lo <= 0 && hi >= 0 ? 0 : fmin(a, b);
                *out_hi = fmax(unused_hi, unused_lo);
                break;
            }
            monotone(node, outward, lo, hi, out_lo, out_hi);
            break;
        default: /* increasing */
            monotone(node, outward, lo, hi, out_lo, out_hi);
            break;
    }
    if (!(*out_lo == *out_lo)) *out_lo = -INFINITY;
    if (!(*out_hi == *out_hi)) *out_hi = INFINITY;
    if (outward && node->op == BFI_OP_SIGMOID)
        *out_lo = fmax(*out_lo, 0), *out_hi = fmin(*out_hi, 1);
    if (outward && node->op == BFI_OP_TANH) *out_lo = fmax(*out_lo, -1), *out_hi = fmin(*out_hi, 1);
    if (node->op == BFI_OP_EXP) *out_lo = fmax(*out_lo, 0);
}

static double derivative(const bfi_node *node, double x) {
    double y = bfi_unary_value(node, x);
    return node->op == BFI_OP_SIGMOID ? y * (1 - y) : 1 - y * y;
}

/* Grid of auto_LiRPA's table of tangent points (operators/s_shaped.py): 0.01 apart, next point
 * outward, so that values can be compared; the intercepts below make any slope sound. */
static double grid_above(double x) {
    double index = x > 0 ? floor(x / 0.01) + 1 : 1;
    return index >= 50005 ? INFINITY : 0.01 * index;
}

/* Largest d <= 0 whose tangent stays below the function at |upper| >= 0 (which is an odd function
 * up to a constant, so the mirrored case uses this too). */
static double tangent_below(const bfi_node *node, double upper) {
    double y = bfi_unary_value(node, upper), l = -1, r = 0;
    for (int i = 0; i < 12 && derivative(node, l) * (upper - l) + bfi_unary_value(node, l) > y; i++)
        l *= 2;
    for (int i = 0; i < 50; i++) {
        double m = (l + r) / 2;
        if (derivative(node, m) * (upper - m) + bfi_unary_value(node, m) <= y)
            l = m;
        else
            r = m;
    }
    return l;
}

/* Slopes for S-shaped functions, auto_LiRPA's rules in the same order. */
static void s_shaped_slopes(const bfi_node *node, double lo, double hi, double *s_pos,
                            double *s_neg) {
    double y_lo = bfi_unary_value(node, lo), y_hi = bfi_unary_value(node, hi);
    double chord = (y_hi - y_lo) / fmax(hi - lo, 1e-8);
    double middle = lo / 2 + hi / 2, at_middle = derivative(node, middle);
    if (lo >= 0) {
        *s_pos = chord, *s_neg = at_middle;
    } else if (hi <= 0) {
        *s_pos = at_middle, *s_neg = chord;
    } else {
        double above = grid_above(hi), below = grid_above(-lo);
        double d_lower = isinf(above) ? lo : tangent_below(node, above);
        double d_upper = isinf(below) ? hi : -tangent_below(node, below);
        *s_pos = chord < derivative(node, lo) ? chord : derivative(node, d_lower);
        *s_neg = chord < derivative(node, hi) ? chord : derivative(node, d_upper);
        if (y_lo < y_hi && d_lower >= middle) *s_pos = at_middle;
        if (y_lo < y_hi && d_upper < middle) *s_neg = at_middle;
    }
}

/* The point x < 0 where an S-shaped function has derivative |k|; NaN when there is none. */
static double s_shaped_tangent(const bfi_node *node, double k) {
    if (!(k > 0)) return NAN;
    if (node->op == BFI_OP_SIGMOID) {
        if (k > 0.25) return NAN;
        double s = 2 * k / (1 + sqrt(1 - 4 * k));
        return bfi_log(s / (1 - s));
    }
    if (k > 1) return NAN;
    double t = sqrt(1 - k); /* tanh x = -t; 1 - t = k / (1 + t) without cancellation */
    return bfi_log(k / ((1 + t) * (1 + t))) / 2;
}

void bfi_unary_gap(const bfi_node *node, bool outward, double s, double x, double *lo, double *hi) {
    double y_lo, y_hi;
    point(node, outward, x, &y_lo, &y_hi);
    *lo = s == 0 ? y_lo : step_down(outward, fma(-s, x, y_lo)); /* x may be infinite */
    *hi = s == 0 ? y_hi : step_up(outward, fma(-s, x, y_hi));
}

/* Smallest (|sign| 1) or largest (-1) of f(x) - s x over [lo, hi]: at the ends, at the kink, or at
 * the tangent point on the convex (concave) side. */
static double intercept(const bfi_node *node, bool outward, double s, double lo, double hi,
                        int sign) {
    double candidates[3] = {lo, hi, NAN};
    bool smooth = !piecewise_linear(node->op);
    if (smooth) {
        candidates[2] = s_shaped_tangent(node, s);
        if (sign < 0) candidates[2] = -candidates[2];
    } else if (lo < 0 && hi > 0) {
        candidates[2] = 0;
    }
    double best = sign > 0 ? INFINITY : -INFINITY;
    for (int i = 0; i < 3; i++) {
        double x = candidates[i], below, above;
        if (!(x >= lo && x <= hi)) continue;
        bfi_unary_gap(node, outward, s, x, &below, &above);
        double slack = outward && smooth ? TANGENT_SLACK * (1 + (s == 0 ? 0 : fabs(s * x))) : 0;
        best = sign > 0 ? fmin(best, below - slack) : fmax(best, above + slack);
        if (!(below == below) || !(above == above)) return sign > 0 ? -INFINITY : INFINITY;
    }
    return best;
}

/* Slopes of max(x, alpha x): Zhang et al. 2018, section 3.1, with the adaptive lower slope. */
static void kink_slopes(double alpha, double lo, double hi, double *s_pos, double *s_neg) {
    if (lo >= 0) {
        *s_pos = *s_neg = 1;
    } else if (hi <= 0) {
        *s_pos = *s_neg = alpha;
    } else {
        double width = hi - lo;
        double chord = isinf(width) ? (isinf(lo) ? alpha : 1) : (hi - alpha * lo) / width;
        *s_neg = fmin(fmax(chord, fmin(alpha, 1)), fmax(alpha, 1));
        *s_pos = chord > 0.5 ? 1 : alpha;
        if (alpha == 0) *s_pos = hi > -lo ? 1 : 0;
    }
}

/* Relu, the common case: the chord above, 0 or x below. The upper intercept is what keeps the line
 * with the rounded slope above both ends. Infinite ends take the general way. */
static bfi_lines relu_lines(bfi_dtype dtype, bool outward, double lo, double hi) {
    if (lo >= 0) return (bfi_lines){1, 0, 1, 0};
    if (hi <= 0) return (bfi_lines){0, 0, 0, 0};
    double s = bfi_in_dtype(dtype, hi / (hi - lo)), at_lo = -s * lo, at_hi = fma(-s, hi, hi);
    double t = at_lo > at_hi ? at_lo : at_hi;
    double below = hi > -lo ? 1 : 0;
    return (bfi_lines){below, 0, s, outward ? bfi_up(t) : t};
}

bfi_lines bfi_unary_lines(const bfi_node *node, bfi_dtype dtype, bool outward, double lo,
                          double hi) {
    bfi_lines lines = {0};
    if (node->op == BFI_OP_RELU && isfinite(hi - lo)) return relu_lines(dtype, outward, lo, hi);
    if (node->op == BFI_OP_RELU || node->op == BFI_OP_LEAKY_RELU) {
        double alpha = node->op == BFI_OP_RELU ? 0 : node->attrs.slope;
        kink_slopes(alpha, lo, hi, &lines.s_pos, &lines.s_neg);
        if (alpha > 1 || alpha < 0) { /* concave or not monotone: any pair of slopes will do */
            lines.s_pos = lines.s_neg;
        }
    } else if (node->op != BFI_OP_SIGMOID && node->op != BFI_OP_TANH) {
        return bfi_curve_lines(node, dtype, outward, lo, hi);
    } else {
        if (isinf(lo) || isinf(hi))
            lines.s_pos = lines.s_neg = 0;
        else
            s_shaped_slopes(node, lo, hi, &lines.s_pos, &lines.s_neg);
    }
    lines.s_pos = bfi_in_dtype(dtype, lines.s_pos);
    lines.s_neg = bfi_in_dtype(dtype, lines.s_neg);
    if (node->op == BFI_OP_RELU && (lo >= 0 || hi <= 0)) return lines; /* exact */
    lines.t_pos = intercept(node, outward, lines.s_pos, lo, hi, 1);
    lines.t_neg = intercept(node, outward, lines.s_neg, lo, hi, -1);
    return lines;
}

/* Slope and certified intercept of one line of a family. */
static void family_line(const bfi_node *node, bfi_dtype dtype, bool outward, double s, double lo,
                        double hi, int sign, double *slope, double *t) {
    *slope = bfi_in_dtype(dtype, s);
    *t = intercept(node, outward, *slope, lo, hi, sign);
}

/* Tangent points that the lower lines of an S-shaped function may have, from |first| to |last|;
 * false: the chord is the only line worth having. Upper lines are the mirror image. */
static bool tangent_range(const bfi_node *node, double lo, double hi, double *first, double *last) {
    if (!(lo < 0)) return false;
    *first = lo;
    *last = hi <= 0 ? hi : fmin(tangent_below(node, hi), 0);
    return *first < *last;
}

bool bfi_unary_family(const bfi_node *node, bfi_dtype dtype, bool outward, double lo, double hi,
                      bfi_family *out) {
    bfi_lines start = bfi_unary_lines(node, dtype, outward, lo, hi);
    double first[2] = {0, 0}, last[2] = {0, 0};
    bool finite = isfinite(lo) && isfinite(hi);
    bool lower = finite && tangent_range(node, lo, hi, &first[0], &last[0]);
    bool upper = finite && tangent_range(node, -hi, -lo, &first[1], &last[1]);
    for (int k = 0; k <= BFI_FAMILY_SEGMENTS; k++) {
        double part = (double)k / BFI_FAMILY_SEGMENTS;
        bfi_lines *line = &out->lines[k];
        *line = start;
        if (lower)
            family_line(node, dtype, outward,
                        derivative(node, first[0] + part * (last[0] - first[0])), lo, hi, 1,
                        &line->s_pos, &line->t_pos);
        if (upper)
            family_line(node, dtype, outward,
                        derivative(node, first[1] + part * (last[1] - first[1])), lo, hi, -1,
                        &line->s_neg, &line->t_neg);
    }
    /* where CROWN's tangents are: the middle, or the end nearest to it */
    double middle = lo / 2 + hi / 2;
    out->lower = lower ? fmin(fmax((middle - first[0]) / (last[0] - first[0]), 0), 1) : 0;
    out->upper = upper ? fmin(fmax((-middle - first[1]) / (last[1] - first[1]), 0), 1) : 0;
    return lower || upper;
}
