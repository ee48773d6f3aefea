/* Exact dyadic numbers for tests: sums, products and comparisons of floating-point numbers without
 * any rounding, and the exact value and exact interval of a graph made of affine and piecewise
 * linear ops, squares and products. */
#ifndef BF_TESTS_EXACT_H
#define BF_TESTS_EXACT_H

#include <math.h>

#include "graph_kit.h"
#include "ir/sparse.h"

enum { EXACT_LIMBS = 400 };

/* sign * sum limb[i] * 2^(32 * (exp + i)); count 0: zero. */
typedef struct exact {
    int sign, exp, count;
    uint32_t limb[EXACT_LIMBS];
} exact;

static inline void exact_copy(exact *out, const exact *x) {
    out->sign = x->sign, out->exp = x->exp, out->count = x->count;
    memmove(out->limb, x->limb, (size_t)x->count * sizeof *x->limb);
}

static inline void exact_normalise(exact *x) {
    while (x->count && !x->limb[x->count - 1]) x->count--;
    int low = 0;
    while (low < x->count && !x->limb[low]) low++;
    if (low) memmove(x->limb, x->limb + low, (size_t)(x->count - low) * sizeof *x->limb);
    x->count -= low, x->exp += low;
    if (!x->count) x->sign = 1, x->exp = 0;
}

static inline void exact_set(exact *out, double v) {
    assert_true(isfinite(v));
    int e;
    double m = frexp(fabs(v), &e); /* |v| = m 2^e, m 2^53 an integer */
    uint64_t whole = (uint64_t)ldexp(m, 53);
    e -= 53;
    int q = e >= 0 ? e / 32 : -((-e + 31) / 32), shift = e - 32 * q;
    unsigned __int128 wide = (unsigned __int128)whole << shift;
    out->sign = v < 0 ? -1 : 1, out->exp = q, out->count = 3;
    for (int i = 0; i < 3; i++) out->limb[i] = (uint32_t)(wide >> (32 * i));
    exact_normalise(out);
}

static inline uint32_t exact_at(const exact *x, int place) {
    return place >= x->exp && place < x->exp + x->count ? x->limb[place - x->exp] : 0;
}

static inline int exact_top(const exact *x) { return x->exp + x->count; }

/* |x| against |y|: -1, 0, 1. */
static inline int exact_compare_magnitude(const exact *x, const exact *y) {
    if (!x->count || !y->count) return (x->count > 0) - (y->count > 0);
    if (exact_top(x) != exact_top(y)) return exact_top(x) > exact_top(y) ? 1 : -1;
    int low = x->exp < y->exp ? x->exp : y->exp;
    for (int p = exact_top(x) - 1; p >= low; p--) {
        uint32_t a = exact_at(x, p), b = exact_at(y, p);
        if (a != b) return a > b ? 1 : -1;
    }
    return 0;
}

static inline int exact_compare(const exact *x, const exact *y) {
    int sx = x->count ? x->sign : 0, sy = y->count ? y->sign : 0;
    if (sx != sy) return sx > sy ? 1 : -1;
    return sx * exact_compare_magnitude(x, y);
}

/* out = x + y; out may be either. */
static inline void exact_add(exact *out, const exact *x, const exact *y) {
    if (!x->count || !y->count) {
        exact_copy(out, x->count ? x : y);
        return;
    }
    if (x->sign != y->sign && exact_compare_magnitude(x, y) < 0) {
        const exact *swap = x;
        x = y, y = swap;
    }
    int low = x->exp < y->exp ? x->exp : y->exp;
    int top = exact_top(x) > exact_top(y) ? exact_top(x) : exact_top(y);
    assert_true(top - low + 1 <= EXACT_LIMBS);
    static exact sum; /* tests compute in one thread */
    sum.sign = x->sign, sum.exp = low, sum.count = top - low + 1;
    int64_t carry = 0;
    for (int p = low; p <= top; p++) {
        int64_t b = exact_at(y, p),
                v = (int64_t)exact_at(x, p) + (x->sign == y->sign ? b : -b) + carry;
        sum.limb[p - low] = (uint32_t)(v & 0xffffffff);
        carry = v >> 32;
    }
    assert_true(carry == 0);
    exact_normalise(&sum);
    exact_copy(out, &sum);
}

static inline void exact_multiply(exact *out, const exact *x, const exact *y) {
    static exact product;
    int count = x->count + y->count;
    assert_true(count <= EXACT_LIMBS);
    memset(product.limb, 0, (size_t)count * sizeof *product.limb);
    for (int i = 0; i < x->count; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < y->count; j++) {
            uint64_t v = (uint64_t)x->limb[i] * y->limb[j] + product.limb[i + j] + carry;
            product.limb[i + j] = (uint32_t)v;
            carry = v >> 32;
        }
        product.limb[i + y->count] = (uint32_t)carry;
    }
    product.sign = x->sign * y->sign, product.exp = x->exp + y->exp, product.count = count;
    exact_normalise(&product);
    exact_copy(out, &product);
}

/* out += w * x */
static inline void exact_accumulate(exact *out, double w, const exact *x) {
    static exact factor, product;
    exact_set(&factor, w);
    exact_multiply(&product, &factor, x);
    exact_add(out, out, &product);
}

/* |v| may be infinite: v <= x, v >= x. */
static inline bool exact_at_least(const exact *x, double v) {
    static exact bound;
    if (isinf(v)) return v < 0;
    exact_set(&bound, v);
    return exact_compare(&bound, x) <= 0;
}
static inline bool exact_at_most(const exact *x, double v) {
    static exact bound;
    if (isinf(v)) return v > 0;
    exact_set(&bound, v);
    return exact_compare(&bound, x) >= 0;
}

/* Exact lower and upper ends of all values; equal for a point. */
typedef struct exact_values {
    exact **lo, **hi;
} exact_values;

static inline exact_values exact_values_new(const bfi_graph *graph) {
    exact_values v = {calloc((size_t)graph->count, sizeof(exact *)),
                      calloc((size_t)graph->count, sizeof(exact *))};
    for (int id = 0; id < graph->count; id++) {
        v.lo[id] = malloc((size_t)graph->nodes[id].count * sizeof(exact));
        v.hi[id] = malloc((size_t)graph->nodes[id].count * sizeof(exact));
        assert_true(v.lo[id] && v.hi[id]);
    }
    return v;
}

static inline void exact_values_free(const bfi_graph *graph, exact_values *v) {
    for (int id = 0; id < graph->count; id++) free(v->lo[id]), free(v->hi[id]);
    free(v->lo), free(v->hi);
}

static inline void exact_term(const exact_values *v, int from, int64_t i, double w, exact *lo,
                              exact *hi) {
    exact_accumulate(lo, w, w >= 0 ? &v->lo[from][i] : &v->hi[from][i]);
    exact_accumulate(hi, w, w >= 0 ? &v->hi[from][i] : &v->lo[from][i]);
}

static inline void exact_linear(const bfi_node *node, const exact_values *v, exact *lo, exact *hi) {
    const bfi_attrs *a = &node->attrs;
    for (int64_t o = 0; o < node->count; o++) {
        exact_set(&lo[o], node->bias.count ? node->bias.data[o % a->n] : 0);
        exact_copy(&hi[o], &lo[o]);
        for (int64_t k = 0; k < a->k; k++)
            exact_term(v, node->inputs[0], o / a->n * a->k + k,
                       node->weight.data[o % a->n * a->k + k], &lo[o], &hi[o]);
    }
}

/* One definition for both directions: y[out] += w x[in] for all taps (window geometry of graph.h).
 */
static inline void exact_conv(const bfi_node *node, const exact_values *v, exact *lo, exact *hi) {
    const bfi_window *w = &node->attrs.window;
    bool transposed = node->op == BFI_OP_CONV_TRANSPOSE;
    int64_t outs = w->h_out * w->w_out;
    for (int64_t o = 0; o < node->count; o++) {
        exact_set(&lo[o], node->bias.count ? node->bias.data[o / outs] : 0);
        exact_copy(&hi[o], &lo[o]);
    }
    int64_t ci_n = w->c_in / w->groups, co_n = w->c_out / w->groups;
    /* the side whose positions index windows, and the side that the taps read or write */
    int64_t wh = transposed ? w->h_in : w->h_out, ww = transposed ? w->w_in : w->w_out;
    int64_t th = transposed ? w->h_out : w->h_in, tw = transposed ? w->w_out : w->w_in;
    for (int64_t g = 0; g < w->groups; g++)
        for (int64_t ci = 0; ci < ci_n; ci++)
            for (int64_t co = 0; co < co_n; co++)
                for (int64_t ky = 0; ky < w->kh; ky++)
                    for (int64_t kx = 0; kx < w->kw; kx++)
                        for (int64_t p = 0; p < wh * ww; p++) {
                            int64_t y = p / ww * w->stride_h - w->pad_top + ky * w->dil_h;
                            int64_t x = p % ww * w->stride_w - w->pad_left + kx * w->dil_w;
                            if (y < 0 || y >= th || x < 0 || x >= tw) continue;
                            int64_t tap = y * tw + x;
                            int64_t in =
                                (g * ci_n + ci) * w->h_in * w->w_in + (transposed ? p : tap);
                            int64_t out = (g * co_n + co) * outs + (transposed ? tap : p);
                            int64_t outer = transposed ? (g * ci_n + ci) * co_n + co
                                                       : (g * co_n + co) * ci_n + ci;
                            double weight = node->weight.data[(outer * w->kh + ky) * w->kw + kx];
                            exact_term(v, node->inputs[0], in, weight, &lo[out], &hi[out]);
                        }
}

static inline void exact_max_pool(const bfi_node *node, const exact_values *v, exact *lo,
                                  exact *hi) {
    const bfi_window *w = &node->attrs.window;
    for (int64_t o = 0; o < node->count; o++) {
        int64_t c = o / (w->h_out * w->w_out), oy = o / w->w_out % w->h_out, ox = o % w->w_out;
        bool first = true;
        for (int64_t k = 0; k < w->kh * w->kw; k++) {
            int64_t y = oy * w->stride_h - w->pad_top + k / w->kw * w->dil_h;
            int64_t x = ox * w->stride_w - w->pad_left + k % w->kw * w->dil_w;
            if (y < 0 || y >= w->h_in || x < 0 || x >= w->w_in) continue;
            int64_t i = (c * w->h_in + y) * w->w_in + x;
            const exact *il = &v->lo[node->inputs[0]][i], *ih = &v->hi[node->inputs[0]][i];
            if (first || exact_compare(il, &lo[o]) > 0) exact_copy(&lo[o], il);
            if (first || exact_compare(ih, &hi[o]) > 0) exact_copy(&hi[o], ih);
            first = false;
        }
    }
}

static inline void exact_structural(const bfi_graph *graph, int id, const exact_values *v,
                                    exact *lo, exact *hi) {
    const bfi_node *node = &graph->nodes[id];
    for (int which = 0; which < node->n_inputs; which++) {
        bfi_sparse m = {0};
        assert_int_equal(bfi_node_sparse(graph, id, which, &m, NULL), BF_STATUS_OK);
        assert_int_equal(m.const_ulps, 0);
        for (int64_t o = 0; o < node->count; o++) {
            if (which == 0) exact_set(&lo[o], m.fill ? m.fill[o] : 0), exact_copy(&hi[o], &lo[o]);
            for (int64_t e = m.ptr[o]; e < m.ptr[o + 1]; e++)
                exact_term(v, node->inputs[which], m.idx[e], m.val ? m.val[e] : 1, &lo[o], &hi[o]);
        }
        bfi_sparse_clear(&m);
    }
}

/* y = x >= 0 ? x : slope x, at one point. */
static inline void exact_kink(double slope, const exact *x, exact *y) {
    static exact factor, out;
    exact_set(&factor, x->count && x->sign < 0 ? slope : 1);
    exact_multiply(&out, &factor, x);
    exact_copy(y, &out);
}

/* The slope of a kink at zero, below it. */
static inline double exact_slope(const bfi_node *node) {
    return node->op == BFI_OP_ABS ? -1 : node->op == BFI_OP_LEAKY_RELU ? node->attrs.slope : 0;
}

static inline void exact_function(const bfi_node *node, const exact *x, exact *y) {
    if (node->op == BFI_OP_SQUARE) {
        exact_multiply(y, x, x);
    } else if (node->op != BFI_OP_CLIP) {
        exact_kink(exact_slope(node), x, y);
    } else {
        exact_copy(y, x);
        if (exact_at_most(y, node->attrs.lo)) exact_set(y, node->attrs.lo);
        if (exact_at_least(y, node->attrs.hi)) exact_set(y, node->attrs.hi);
    }
}

static inline void exact_unary(const bfi_node *node, const exact *xl, const exact *xh, exact *lo,
                               exact *hi) {
    static exact a, b;
    exact_function(node, xl, &a);
    exact_function(node, xh, &b);
    bool ordered = exact_compare(&a, &b) <= 0;
    exact_copy(lo, ordered ? &a : &b);
    exact_copy(hi, ordered ? &b : &a);
    bool turns = node->op == BFI_OP_SQUARE || (node->op != BFI_OP_CLIP && exact_slope(node) < 0);
    if (turns && xl->sign < 0 && xh->sign > 0) exact_set(lo, 0); /* the kink is the minimum */
}

static inline bool exact_knows(bfi_op op) {
    return op == BFI_OP_RELU || op == BFI_OP_LEAKY_RELU || op == BFI_OP_ABS || op == BFI_OP_CLIP ||
           op == BFI_OP_SQUARE;
}

/* [lo, hi] = [xl, xh] * [yl, yh] */
static inline void exact_product(const exact *xl, const exact *xh, const exact *yl, const exact *yh,
                                 exact *lo, exact *hi) {
    static exact product;
    for (int i = 0; i < 4; i++) {
        exact_multiply(&product, i / 2 ? xh : xl, i % 2 ? yh : yl);
        if (i == 0 || exact_compare(&product, lo) < 0) exact_copy(lo, &product);
        if (i == 0 || exact_compare(&product, hi) > 0) exact_copy(hi, &product);
    }
}

static inline void exact_node(const bfi_graph *graph, int id, exact_values *v) {
    const bfi_node *node = &graph->nodes[id];
    exact *lo = v->lo[id], *hi = v->hi[id];
    int x = node->n_inputs > 0 ? node->inputs[0] : 0, z = node->n_inputs > 1 ? node->inputs[1] : 0;
    switch (node->op) {
        case BFI_OP_LINEAR:
            exact_linear(node, v, lo, hi);
            return;
        case BFI_OP_CONV:
        case BFI_OP_CONV_TRANSPOSE:
            exact_conv(node, v, lo, hi);
            return;
        case BFI_OP_MAX_POOL:
            exact_max_pool(node, v, lo, hi);
            return;
        default:
            break;
    }
    if (bfi_op_class_of(node->op) == BFI_CLASS_STRUCTURAL) {
        exact_structural(graph, id, v, lo, hi);
        return;
    }
    for (int64_t i = 0; i < node->count; i++) {
        exact_set(&lo[i], node->op == BFI_OP_SCALE_SHIFT && node->bias.count ? node->bias.data[i]
                          : node->op == BFI_OP_CONST                         ? node->weight.data[i]
                                                                             : 0);
        exact_copy(&hi[i], &lo[i]);
        double s = node->op == BFI_OP_SCALE_SHIFT && node->weight.count ? node->weight.data[i] : 1;
        if (node->op != BFI_OP_CONST) exact_term(v, x, i, s, &lo[i], &hi[i]);
        if (node->op == BFI_OP_ADD || node->op == BFI_OP_SUB)
            exact_term(v, z, i, node->op == BFI_OP_ADD ? 1 : -1, &lo[i], &hi[i]);
        if (node->op == BFI_OP_MUL && x == z)
            exact_unary(&(bfi_node){.op = BFI_OP_SQUARE}, &v->lo[x][i], &v->hi[x][i], &lo[i],
                        &hi[i]);
        else if (node->op == BFI_OP_MUL)
            exact_product(&v->lo[x][i], &v->hi[x][i], &v->lo[z][i], &v->hi[z][i], &lo[i], &hi[i]);
        if (exact_knows(node->op)) exact_unary(node, &v->lo[x][i], &v->hi[x][i], &lo[i], &hi[i]);
    }
}

/* Fills every value for the box |lo|, |hi| (the same array twice: at a point). */
static inline void exact_evaluate(const bfi_graph *graph, const double *lo, const double *hi,
                                  exact_values *v) {
    for (int64_t i = 0; i < graph->nodes[0].count; i++) {
        exact_set(&v->lo[0][i], lo[i]);
        exact_set(&v->hi[0][i], hi[i]);
    }
    for (int id = 1; id < graph->count; id++) exact_node(graph, id, v);
}

#endif
