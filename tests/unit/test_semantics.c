/* semantics=float32: every float32 evaluation of a network, whatever the order of its sums, with or
 * without fma, stays within the bounds; bounds of the real network do not promise that. */
#include "bounds_kit.h"
#include "ir/evaluate.h"
#include "ir/sparse.h"
#include "op_cases.h"

enum { MAX_IN = 64, MAX_OUT = 1024, MAX_TERMS = 4096, ORDERS = 8 };

/* One term of an affine output. */
typedef struct term {
    float weight, x;
} term;

typedef struct sum {
    term terms[MAX_TERMS];
    int count;
    float bias;
    bool has_bias, weighted; /* weighted: terms are products */
} sum;

static float times(const sum *s, int i) {
    return s->weighted ? s->terms[i].weight * s->terms[i].x : s->terms[i].x;
}

static float add_term(const sum *s, int i, float to, bool use_fma) {
    return use_fma && s->weighted ? fmaf(s->terms[i].weight, s->terms[i].x, to) : to + times(s, i);
}

static float pairwise(const sum *s, int first, int count) {
    if (count == 1) return times(s, first);
    return pairwise(s, first, count / 2) + pairwise(s, first + count / 2, count - count / 2);
}

/* Orders: bit 0 fma, then forward, backward, pairwise, four interleaved accumulators; the bias
 * comes first in the odd pairs of the former and last elsewhere. */
static float total(const sum *s, int order) {
    bool use_fma = order & 1, bias_first = order < 4 && s->has_bias;
    float out = bias_first ? s->bias : 0;
    int n = s->count;
    switch (order / 2) {
        case 0:
            for (int i = 0; i < n; i++) out = add_term(s, i, out, use_fma);
            break;
        case 1:
            for (int i = n - 1; i >= 0; i--) out = add_term(s, i, out, use_fma);
            break;
        case 2:
            out = n ? pairwise(s, 0, n) : 0;
            break;
        default: {
            float part[4] = {0};
            for (int i = 0; i < n; i++) part[i % 4] = add_term(s, i, part[i % 4], use_fma);
            out = (part[0] + part[2]) + (part[1] + part[3]);
            break;
        }
    }
    return s->has_bias && !bias_first ? out + s->bias : out;
}

static void put_term(sum *s, double weight, double x) {
    assert_true(s->count < MAX_TERMS);
    s->terms[s->count++] = (term){(float)weight, (float)x};
}

static void linear_terms(const bfi_node *node, const double *x, int64_t o, sum *s) {
    const bfi_attrs *a = &node->attrs;
    s->weighted = true;
    for (int64_t k = 0; k < a->k; k++)
        put_term(s, node->weight.data[o % a->n * a->k + k], x[o / a->n * a->k + k]);
    s->has_bias = node->bias.count;
    if (s->has_bias) s->bias = (float)node->bias.data[o % a->n];
}

static void conv_terms(const bfi_node *node, const double *x, int64_t o, sum *s) {
    const bfi_window *w = &node->attrs.window;
    int64_t outs = w->h_out * w->w_out, co = o / outs, ci_n = w->c_in / w->groups,
            co_n = w->c_out / w->groups;
    bool transposed = node->op == BFI_OP_CONV_TRANSPOSE;
    s->weighted = true;
    for (int64_t c = 0; c < ci_n; c++)
        for (int64_t k = 0; k < w->kh * w->kw; k++)
            for (int64_t p = 0; p < w->h_in * w->w_in; p++) {
                int64_t window = transposed ? p : o % outs,
                        columns = transposed ? w->w_in : w->w_out;
                int64_t y = window / columns * w->stride_h - w->pad_top + k / w->kw * w->dil_h;
                int64_t z = window % columns * w->stride_w - w->pad_left + k % w->kw * w->dil_w;
                int64_t other = transposed ? o % outs : p,
                        other_columns = transposed ? w->w_out : w->w_in;
                if (y != other / other_columns || z != other % other_columns) continue;
                int64_t ci = co / co_n * ci_n + c;
                int64_t outer = transposed ? ci * co_n + co % co_n : co * ci_n + c;
                put_term(s, node->weight.data[outer * w->kh * w->kw + k],
                         x[ci * w->h_in * w->w_in + p]);
            }
    s->has_bias = node->bias.count;
    if (s->has_bias) s->bias = (float)node->bias.data[co];
}

static double max_pool(const bfi_node *node, const double *x, int64_t o) {
    const bfi_window *w = &node->attrs.window;
    int64_t outs = w->h_out * w->w_out;
    double best = -INFINITY;
    for (int64_t k = 0; k < w->kh * w->kw; k++) {
        int64_t y = o % outs / w->w_out * w->stride_h - w->pad_top + k / w->kw * w->dil_h;
        int64_t z = o % w->w_out * w->stride_w - w->pad_left + k % w->kw * w->dil_w;
        if (y < 0 || y >= w->h_in || z < 0 || z >= w->w_in) continue;
        best = fmax(best, x[(o / outs * w->h_in + y) * w->w_in + z]);
    }
    return best;
}

static float elementwise(const bfi_node *node, int64_t i, float x, float z, int order) {
    switch (node->op) {
        case BFI_OP_RELU:
            return x > 0 ? x : 0;
        case BFI_OP_LEAKY_RELU:
            return x < 0 ? (float)node->attrs.slope * x : x;
        case BFI_OP_ADD:
            return x + z;
        case BFI_OP_SUB:
            return x - z;
        case BFI_OP_RESHAPE:
            return x;
        default:
            break;
    }
    assert_int_equal(node->op, BFI_OP_SCALE_SHIFT);
    float scale = node->weight.count ? (float)node->weight.data[i] : 1,
          shift = node->bias.count ? (float)node->bias.data[i] : 0;
    return order & 1 ? fmaf(scale, x, shift) : scale * x + shift;
}

/* Output of the network in float32, sums in |order|. False: a number overflowed. */
static bool evaluate(const bfi_graph *graph, const double *input, int order, double *y) {
    static double values[64][MAX_OUT];
    static sum s;
    memcpy(values[0], input, (size_t)graph->nodes[0].count * sizeof *input);
    for (int id = 1; id < graph->count; id++) {
        const bfi_node *node = &graph->nodes[id];
        const double *x = values[node->inputs[0]], *z = values[node->inputs[node->n_inputs - 1]];
        bfi_sparse m = {0};
        if (node->op == BFI_OP_AVERAGE_POOL)
            assert_int_equal(bfi_node_sparse(graph, id, 0, &m, NULL), BF_STATUS_OK);
        for (int64_t o = 0; o < node->count; o++) {
            s.count = 0, s.bias = 0, s.has_bias = s.weighted = false;
            float out;
            switch (node->op) {
                case BFI_OP_LINEAR:
                    linear_terms(node, x, o, &s), out = total(&s, order);
                    break;
                case BFI_OP_CONV:
                case BFI_OP_CONV_TRANSPOSE:
                    conv_terms(node, x, o, &s), out = total(&s, order);
                    break;
                case BFI_OP_MAX_POOL:
                    out = (float)max_pool(node, x, o);
                    break;
                case BFI_OP_AVERAGE_POOL:
                    for (int64_t e = m.ptr[o]; e < m.ptr[o + 1]; e++) put_term(&s, 1, x[m.idx[e]]);
                    out = total(&s, order) / (float)s.count;
                    break;
                default:
                    out = elementwise(node, o, (float)x[o], (float)z[o], order);
                    break;
            }
            if (!isfinite(out)) {
                bfi_sparse_clear(&m);
                return false;
            }
            values[id][o] = (double)out;
        }
        bfi_sparse_clear(&m);
    }
    memcpy(y, values[graph->output], (size_t)graph->nodes[graph->output].count * sizeof *y);
    return true;
}

typedef struct interval {
    double lower[MAX_OUT], upper[MAX_OUT];
} interval;

static int outside(const interval *b, const double *y, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (y[i] < b->lower[i] || y[i] > b->upper[i]) return (int)i;
    return -1;
}

/* Times that the real network's bounds were left. */
static int evaluate_everywhere(bfi_graph *graph, net_style style, int settings) {
    static interval promised[KIT_SETTINGS], real;
    bf_model *model = net_model(graph);
    int64_t n = graph->nodes[0].count, outputs = graph->nodes[graph->output].count;
    double lo[MAX_IN], hi[MAX_IN], x[MAX_IN], y[MAX_OUT];
    char name[80];
    int left = 0;
    net_box(style, n, lo, hi);
    for (int i = 0; i < settings; i++) {
        bf_options o = kit_setting(i);
        o.semantics = BF_SEMANTICS_FLOAT32;
        kit_bounds_once(model, o, lo, hi, NULL, 0, promised[i].lower, promised[i].upper);
    }
    bf_options o = bf_options_default();
    o.dtype = BF_DTYPE_FLOAT64;
    kit_bounds_once(model, o, lo, hi, NULL, 0, real.lower, real.upper);
    for (int point = 0; point < 4; point++) {
        net_point(n, lo, hi, x);
        for (int order = 0; order < ORDERS; order++) {
            if (!evaluate(graph, x, order, y)) continue;
            left += outside(&real, y, outputs) >= 0;
            for (int i = 0; i < settings; i++) {
                int bad = outside(&promised[i], y, outputs);
                o = kit_setting(i);
                if (bad >= 0)
                    fail_msg("style %d, %s, order %d: output %d is %a outside [%a, %a]", style,
                             kit_setting_name(o, name, sizeof name), order, bad, y[bad],
                             promised[i].lower[bad], promised[i].upper[bad]);
            }
        }
    }
    bf_model_free(model);
    return left;
}

enum { ROUNDS = 60 };

static void every_order_is_covered(void **state) {
    (void)state;
    int left = 0;
    for (int i = 0; i < ROUNDS * NET_DOUBLE; i++) {
        net_style style = (net_style)(i % NET_DOUBLE);
        left += evaluate_everywhere(net_mlp(style), style, KIT_SETTINGS);
        left += evaluate_everywhere(net_conv(style), style, KIT_SETTINGS);
    }
    assert_true(left > ROUNDS); /* the difference matters */
}

/* Sums in which each addition loses its term, so that only a bound for every order holds. */
static void long_sums(void **state) {
    (void)state;
    for (int64_t n = 1; n <= 1000; n = n * 3 + 1) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(4));
        int a = net_linear(graph, NET_ULP, 0, 1, 4, n);
        a = net_same(graph, BFI_OP_RELU, a, -1);
        a = net_linear(graph, NET_PLAIN, a, 1, n, 3);
        double *weights = graph->nodes[a].weight.data;
        for (int64_t i = 0; i < 3 * n; i++) weights[i] = i % n == n / 2 ? 1 : 0x1p-24;
        evaluate_everywhere(graph, NET_ULP, KIT_SETTINGS);
    }
}

/* The interpreter's float32 mode is one such evaluation, of every op: all layers to the first
 * overflow, no tolerance. */
static void every_op(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++)
        for (int v = 0; v < 3 * op_cases[c].variants; v++) {
            bfi_graph *graph = op_cases[c].build(v % op_cases[c].variants);
            bf_model *model = net_model(graph);
            int64_t n = graph->nodes[0].count;
            double *lo = calloc((size_t)n, 8), *hi = calloc((size_t)n, 8),
                   *x = calloc((size_t)n, 8);
            net_box(NET_PLAIN, n, lo, hi);
            for (int setting = 0; setting < KIT_TYPED; setting++) {
                bf_options o = kit_setting(setting);
                o.semantics = BF_SEMANTICS_FLOAT32;
                o.keep_layers = 1;
                kit_engine e = kit_engine_new(1, model, o);
                kit_bounds(&e, lo, hi, NULL, 0, NULL, NULL);
                for (int i = 0; i < 5; i++) {
                    double **values;
                    net_point(n, lo, hi, x);
                    assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT32, x, NULL, &values, NULL),
                                     0);
                    bool overflow = false; /* after one, float32 numbers say nothing */
                    for (int id = 0; id < graph->count && !overflow; id++) {
                        int64_t m = graph->nodes[id].count;
                        double *ends = calloc((size_t)(2 * m), 8);
                        assert_true(bf_workspace_layer(e.plan, e.ws, id, ends, ends + m));
                        for (int64_t j = 0; j < m; j++)
                            if (!isfinite(values[id][j]))
                                overflow = true;
                            else if (values[id][j] < ends[j] || values[id][j] > ends[m + j])
                                fail_msg("%s %d: layer %d (%s) is %a outside [%a, %a]",
                                         op_cases[c].name, v, id, bfi_op_name(graph->nodes[id].op),
                                         values[id][j], ends[j], ends[m + j]);
                        free(ends);
                    }
                    bfi_evaluation_free(graph, values);
                }
                kit_engine_free(&e);
            }
            free(lo), free(hi), free(x);
            bf_model_free(model);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_order_is_covered),
                                       cmocka_unit_test(long_sums), cmocka_unit_test(every_op)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
