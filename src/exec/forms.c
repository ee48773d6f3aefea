#include "exec/forms.h"

#include <assert.h>
#include <float.h>
#include <string.h>

/* Numbers of an element's form: these and the slopes. The reach is sum_i |slope_i| r_i, rounded up.
 */
enum { MIDDLE, REMAINDER, REACH, SLOPES };

/* Of McCormick's distance, the most that may be left beside second-order terms. */
#define WORTH 0.5

/* Rounding of sums that is not counted term by term, and products that underflow. */
#define ROUNDING 0x1p-48
#define TINY 0x1p-1000

typedef struct form {
    double middle, remainder, reach;
    const double *slopes; /* NULL: zeros */
} form;

static int64_t inputs_of(const bfi_transfer *t) { return t->plan->graph->nodes[0].count; }

static double radius_of(const bfi_transfer *t, int64_t i) {
    return bfi_form_radius(bfi_lo(t, 0)[i], bfi_hi(t, 0)[i]);
}

static double *form_at(const bfi_transfer *t, int value, int64_t j) {
    return bfi_kept_doubles(t, t->plan->state[value].form) + j * bfi_form_numbers(t->plan);
}

static form form_of_interval(double lo, double hi) {
    double middle = lo / 2 + hi / 2;
    if (!isfinite(lo) || !isfinite(hi)) return (form){0, INFINITY, 0, NULL};
    return (form){middle, bfi_up(fmax(hi - middle, middle - lo)), 0, NULL};
}

/* Element |j| of operand |value|: its form, or its interval where that says more. */
static form operand(const bfi_transfer *t, int value, int64_t j) {
    form whole = form_of_interval(bfi_lo(t, value)[j], bfi_hi(t, value)[j]);
    if (!t->plan->formed[value]) return whole;
    const double *at = form_at(t, value, j);
    if (!(at[REMAINDER] < whole.remainder)) return whole;
    return (form){at[MIDDLE], at[REMAINDER], at[REACH], at + SLOPES};
}

/* A form that is being added up. */
typedef struct sum {
    double *at;  /* its numbers */
    double size; /* of all terms, for their roundings */
    int64_t terms;
} sum;

static sum begin(const bfi_transfer *t, int64_t j) {
    sum s = {.at = form_at(t, t->id, j)};
    memset(s.at, 0, (size_t)bfi_form_numbers(t->plan) * sizeof *s.at);
    return s;
}

/* += w x */
static void add(const bfi_transfer *t, sum *s, double w, const form *x) {
    int64_t n = x->slopes ? inputs_of(t) : 0;
    s->at[MIDDLE] += w * x->middle;
    s->at[REMAINDER] += fabs(w) * x->remainder;
    for (int64_t i = 0; i < n; i++) s->at[SLOPES + i] += w * x->slopes[i];
    s->size += fabs(w) * (fabs(x->middle) + x->reach + x->remainder);
    s->terms++;
}

/* += middle, give or take |rest| */
static void add_constant(sum *s, double middle, double rest) {
    s->at[MIDDLE] += middle;
    s->at[REMAINDER] += rest;
    s->size += fabs(middle);
    s->terms++;
}

/* Settles remainder and reach. |rel|: relative error of the factors. What is not finite says
 * nothing; the interval then stands for it. */
static void end(const bfi_transfer *t, sum *s, double rel) {
    int64_t n = inputs_of(t);
    double reach = 0, size = s->at[MIDDLE], gamma = ((double)s->terms + 4) * (2 * BF_U64) + rel;
    for (int64_t i = 0; i < n; i++) {
        reach += fabs(s->at[SLOPES + i]) * radius_of(t, i);
        size += s->at[SLOPES + i];
    }
    s->at[REACH] = bfi_up(reach * BFI_ERROR_ROOM + TINY);
    s->at[REMAINDER] = bfi_up((s->at[REMAINDER] + gamma * s->size) * BFI_ERROR_ROOM + TINY);
    if (isfinite(size) && isfinite(s->at[REACH]) && s->at[REMAINDER] <= DBL_MAX) return;
    memset(s->at, 0, (size_t)bfi_form_numbers(t->plan) * sizeof *s->at);
    s->at[REMAINDER] = INFINITY;
}

static void form_input(const bfi_transfer *t) {
    for (int64_t j = 0; j < t->n; j++) {
        double lo = bfi_lo(t, 0)[j], hi = bfi_hi(t, 0)[j];
        sum s = begin(t, j);
        s.at[MIDDLE] = bfi_form_middle(lo, hi);
        s.at[SLOPES + j] = 1;
        s.at[REACH] = bfi_form_radius(lo, hi);
        if (isfinite(lo) && isfinite(hi)) continue;
        s.at[SLOPES + j] = 0;
        s.at[REMAINDER] = INFINITY;
    }
}

/* The constant that node |t| adds to element |j|, and what is inexact about it. */
static void add_bias(const bfi_transfer *t, sum *s, int64_t j) {
    const bfi_node_constants *c = t->constants;
    double error = c->bias_error ? c->bias_error[j] : 0;
    if (c->bias_exact) add_constant(s, c->bias_exact[j], error);
}

static double inexact(const bfi_transfer *t) { return 2 * BF_U64 * t->node->attrs.const_ulps; }

static void form_linear(const bfi_transfer *t) {
    const bfi_attrs *a = &t->node->attrs;
    for (int64_t j = 0; j < t->n; j++) {
        const double *w = t->node->weight.data + j % a->n * a->k;
        sum s = begin(t, j);
        for (int64_t k = 0; k < a->k; k++) {
            form x = operand(t, t->node->inputs[0], j / a->n * a->k + k);
            if (w[k] != 0) add(t, &s, w[k], &x);
        }
        add_bias(t, &s, j);
        end(t, &s, inexact(t));
    }
}

static void form_structural(const bfi_transfer *t) {
    for (int64_t j = 0; j < t->n; j++) {
        sum s = begin(t, j);
        for (int which = 0; which < t->node->n_inputs; which++) {
            const bfi_csr *m = &t->constants->sparse_forward[which];
            for (int64_t k = m->ptr[j]; k < m->ptr[j + 1]; k++) {
                form x = operand(t, t->node->inputs[which], m->idx[k]);
                add(t, &s, m->val ? bfi_load(t->plan->dtype, m->val, k) : 1, &x);
            }
        }
        add_bias(t, &s, j);
        end(t, &s, 2 * t->constants->weight_rel);
    }
}

static void form_affine(const bfi_transfer *t) {
    bool scale = t->node->op == BFI_OP_SCALE_SHIFT, sub = t->node->op == BFI_OP_SUB;
    for (int64_t j = 0; j < t->n; j++) {
        form x = operand(t, t->node->inputs[0], j);
        sum s = begin(t, j);
        add(t, &s, scale && t->node->weight.count ? t->node->weight.data[j] : 1, &x);
        if (!scale) {
            form y = operand(t, t->node->inputs[1], j);
            add(t, &s, sub ? -1 : 1, &y);
        }
        add_bias(t, &s, j);
        end(t, &s, inexact(t));
    }
}

/* A function lies between |low| and |high| about the line of slope |s|. */
typedef struct band {
    double s, low, high;
} band;

static void widen(band *b, double below, double above) {
    b->low = fmin(b->low, below), b->high = fmax(b->high, above);
}

/* Of max(x, a x) about its chord: extremes are at the ends and at the kink. */
static band kink_band(double a, double lo, double hi) {
    band b = {.s = lo >= 0 ? 1 : hi <= 0 ? a : (hi - a * lo) / (hi - lo)};
    double at_lo = (lo >= 0 ? lo : a * lo) - b.s * lo, at_hi = (hi >= 0 ? hi : a * hi) - b.s * hi;
    double slack = ROUNDING * (1 + fabs(a)) * bfi_magnitude(lo, hi);
    widen(&b, at_lo - slack, at_lo + slack);
    widen(&b, at_hi - slack, at_hi + slack);
    return b;
}

/* Between two lines, about one of slope |s|. */
static band lines_band(const bfi_lines *l, double s, double lo, double hi) {
    band b = {s, INFINITY, -INFINITY};
    double size = (fabs(l->s_pos) + fabs(l->s_neg) + fabs(s)) * bfi_magnitude(lo, hi);
    double slack = ROUNDING * (size + fabs(l->t_pos) + fabs(l->t_neg));
    for (int i = 0; i < 2; i++) {
        double x = i ? hi : lo;
        widen(&b, (l->s_pos - s) * x + l->t_pos - slack, (l->s_neg - s) * x + l->t_neg + slack);
    }
    return b;
}

static band unary_band(const bfi_node *node, double lo, double hi) {
    bool kink = node->op == BFI_OP_RELU || node->op == BFI_OP_LEAKY_RELU || node->op == BFI_OP_ABS;
    if (kink)
        return kink_band(node->op == BFI_OP_RELU  ? 0
                         : node->op == BFI_OP_ABS ? -1
                                                  : node->attrs.slope,
                         lo, hi);
    bfi_lines l = bfi_unary_lines(node, BFI_F64, true, lo, hi);
    band below = lines_band(&l, l.s_pos, lo, hi), above = lines_band(&l, l.s_neg, lo, hi);
    return below.high - below.low < above.high - above.low ? below : above;
}

/* y = s x + r z, give or take: |s| and |r| are exact factors. */
static void between(const bfi_transfer *t, sum *s, double low, double high) {
    form rest = form_of_interval(low, high);
    add_constant(s, rest.middle, rest.remainder);
    end(t, s, 0);
}

static void form_unary(const bfi_transfer *t) {
    const double *lo = bfi_lo(t, t->node->inputs[0]), *hi = bfi_hi(t, t->node->inputs[0]);
    for (int64_t j = 0; j < t->n; j++) {
        form x = operand(t, t->node->inputs[0], j);
        band b = unary_band(t->node, lo[j], hi[j]);
        sum s = begin(t, j);
        add(t, &s, b.s, &x);
        between(t, &s, b.low, b.high);
    }
}

static void form_quotient(const bfi_transfer *t) {
    int v = t->node->inputs[0], w = t->node->inputs[1];
    for (int64_t j = 0; j < t->n; j++) {
        form x = operand(t, v, j), y = operand(t, w, j);
        bfi_plane p = bfi_binary_plane(BFI_OP_DIV, BFI_F64, true, bfi_lo(t, v)[j], bfi_hi(t, v)[j],
                                       bfi_lo(t, w)[j], bfi_hi(t, w)[j]);
        assert(p.s_pos == p.s_neg && p.r_pos == p.r_neg);
        sum s = begin(t, j);
        add(t, &s, p.s_pos, &x);
        add(t, &s, p.r_pos, &y);
        between(t, &s, p.t_pos, p.t_neg);
    }
}

/* What is left of (x - x0)(y - y0) beside the product of the slopes' parts, where x0 and y0 are off
 * the middles by |x_off| and |y_off|. */
static double left_over(const form *x, const form *y, double x_off, double y_off) {
    double e = bfi_up(x->remainder + x_off), f = bfi_up(y->remainder + y_off);
    double rest = e * y->reach + f * x->reach + e * f;
    return bfi_up((rest + ROUNDING * (x->reach * y->reach)) * BFI_ERROR_ROOM + TINY);
}

/* About the middles; the second-order terms are part of the remainder. */
static void form_product(const bfi_transfer *t) {
    for (int64_t j = 0; j < t->n; j++) {
        form x = operand(t, t->node->inputs[0], j), y = operand(t, t->node->inputs[1], j);
        double rest = left_over(&x, &y, 0, 0) + bfi_up(x.reach * y.reach);
        sum s = begin(t, j);
        add(t, &s, y.middle, &x);
        add(t, &s, x.middle, &y);
        add_constant(&s, -(x.middle * y.middle), rest);
        end(t, &s, 0);
    }
}

void bfi_form_node(const bfi_transfer *t) {
    switch (bfi_op_class_of(t->node->op)) {
        case BFI_CLASS_SOURCE:
            form_input(t);
            break;
        case BFI_CLASS_WEIGHTED:
            form_linear(t);
            break;
        case BFI_CLASS_STRUCTURAL:
            form_structural(t);
            break;
        case BFI_CLASS_AFFINE:
            form_affine(t);
            break;
        case BFI_CLASS_ALIAS: /* shares its input's */
            break;
        case BFI_CLASS_UNARY:
            form_unary(t);
            break;
        default:
            (t->node->op == BFI_OP_DIV ? form_quotient : form_product)(t);
            break;
    }
}

/* Coefficients of the terms, and behind them how large they are together. */
static void put_moments(const bfi_transfer *t, const form *x, const form *y, double *out) {
    double size = 0, radius[BFI_MOMENT_INPUTS];
    for (int64_t j = 0; j < inputs_of(t); j++) {
        radius[j] = radius_of(t, j);
        for (int64_t i = 0; i <= j; i++) {
            double q = x->slopes[i] * y->slopes[j];
            if (i < j) q += x->slopes[j] * y->slopes[i];
            size += fabs(q) * (radius[i] * radius[j]);
            *out++ = q;
        }
    }
    *out = bfi_up(size * BFI_ERROR_ROOM + TINY);
}

bool bfi_form_plane(const bfi_transfer *t, int64_t j, double a, double b, double c, double d,
                    bfi_plane *p) {
    form x = operand(t, t->node->inputs[0], j), y = operand(t, t->node->inputs[1], j);
    double *moments = bfi_kept_doubles(t, t->state->moments) + j * bfi_moment_numbers(t->plan);
    memset(moments, 0, (size_t)bfi_moment_numbers(t->plan) * sizeof *moments);
    if (!x.slopes || !y.slopes) return false;
    double x0 = bfi_in_dtype(t->plan->dtype, x.middle), y0 = bfi_in_dtype(t->plan->dtype, y.middle);
    double rest = left_over(&x, &y, fabs(x.middle - x0), fabs(y.middle - y0)), at = x0 * y0;
    if (!(rest <= WORTH * ((b - a) / 2) * ((d - c) / 2)) || !isfinite(at)) return false;
    if (t->plan->outward) rest = bfi_up(rest + fabs(at) * (2 * BF_U64));
    *p = (bfi_plane){y0, x0, bfi_down(-at - rest), y0, x0, bfi_up(-at + rest)};
    put_moments(t, &x, &y, moments);
    return true;
}
