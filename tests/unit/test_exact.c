/* Outward bounds against exact arithmetic: no tolerance anywhere. */
#include "base/fp.h"
#include "bounds_kit.h"
#include "exact.h"
#include "op_cases.h"

enum { MAX_IN = 128, MAX_OUT = 1024, MAX_ROWS = 6 };

/* One random question: network, box, rows of C. */
typedef struct question {
    bfi_graph *graph;
    bf_model *model;
    net_style style;
    int64_t n_in, n_out, rows;
    double lo[MAX_IN], hi[MAX_IN];
    double *spec;
    exact_values at; /* of the point under test */
} question;

static question ask(bfi_graph *graph, net_style style) {
    question q = {.graph = graph, .model = net_model(graph), .style = style};
    q.n_in = graph->nodes[0].count;
    q.n_out = graph->nodes[graph->output].count;
    assert_true(q.n_in <= MAX_IN && q.n_out <= MAX_OUT);
    net_box(style, q.n_in, q.lo, q.hi);
    if (!kit_int(0, 2)) net_box_double(q.n_in, q.lo, q.hi);
    q.rows = kit_int(1, MAX_ROWS);
    q.spec = calloc((size_t)(q.rows * q.n_out), sizeof *q.spec);
    for (int64_t i = 0; i < q.rows * q.n_out; i++) {
        static const double extreme[] = {0, 1, -1, 1e30, -1e-30, 0x1p-1060, 1e200};
        q.spec[i] = kit_int(0, 2) ? net_uniform() : extreme[kit_int(0, 6)];
    }
    q.at = exact_values_new(graph);
    return q;
}

static void answer(question *q) {
    exact_values_free(q->graph, &q->at);
    free(q->spec);
    bf_model_free(q->model);
}

/* Exact value of row |r| of C (or of output r) at the point last evaluated. */
static void row_value(const question *q, const double *spec, int64_t r, exact *out) {
    const exact *y = q->at.lo[q->graph->output];
    if (!spec) {
        exact_copy(out, &y[r]);
        return;
    }
    exact_set(out, 0);
    for (int64_t j = 0; j < q->n_out; j++) exact_accumulate(out, spec[r * q->n_out + j], &y[j]);
}

typedef struct answers {
    bf_options options;
    double out_lower[MAX_OUT], out_upper[MAX_OUT], row_lower[MAX_ROWS], row_upper[MAX_ROWS];
} answers;

static void compute(const question *q, bf_options options, answers *a) {
    a->options = options;
    kit_engine e = kit_engine_new(1, q->model, options);
    kit_bounds(&e, q->lo, q->hi, NULL, 0, a->out_lower, a->out_upper);
    kit_bounds(&e, q->lo, q->hi, q->spec, q->rows, a->row_lower, a->row_upper);
    kit_engine_free(&e);
}

static void complain(const question *q, const answers *a, const char *what, int64_t r,
                     double bound) {
    char name[80];
    for (int id = 0; id < q->graph->count; id++)
        print_error("  %d = %s(%d, %d)\n", id, bfi_op_name(q->graph->nodes[id].op),
                    q->graph->nodes[id].n_inputs > 0 ? q->graph->nodes[id].inputs[0] : -1,
                    q->graph->nodes[id].n_inputs > 1 ? q->graph->nodes[id].inputs[1] : -1);
    fail_msg("style %d, %s: %s %d violates bound %a", q->style,
             kit_setting_name(a->options, name, sizeof name), what, (int)r, bound);
}

static void check_point(question *q, const answers *a, int count, const double *x) {
    static exact value;
    exact_evaluate(q->graph, x, x, &q->at);
    for (int64_t r = 0; r < q->n_out + q->rows; r++) {
        bool output = r < q->n_out;
        int64_t row = output ? r : r - q->n_out;
        row_value(q, output ? NULL : q->spec, row, &value);
        for (int i = 0; i < count; i++) {
            double lower = output ? a[i].out_lower[row] : a[i].row_lower[row];
            double upper = output ? a[i].out_upper[row] : a[i].row_upper[row];
            if (!exact_at_least(&value, lower))
                complain(q, &a[i], output ? "output" : "row", row, lower);
            if (!exact_at_most(&value, upper))
                complain(q, &a[i], output ? "output" : "row", row, upper);
        }
    }
}

/* Coordinate descent over corners: the minimum (|sign| 1) or maximum of a row where the network is
 * affine on the box, a good point elsewhere. */
static void extreme_corner(question *q, int64_t row, int sign, double *x) {
    static exact here, other;
    net_point(q->n_in, q->lo, q->hi, x);
    for (int64_t i = 0; i < q->n_in; i++) {
        x[i] = q->lo[i];
        exact_evaluate(q->graph, x, x, &q->at);
        row_value(q, q->spec, row, &here);
        x[i] = q->hi[i];
        exact_evaluate(q->graph, x, x, &q->at);
        row_value(q, q->spec, row, &other);
        if (exact_compare(&here, &other) * sign < 0) x[i] = q->lo[i];
    }
}

static void check_points(question *q, const answers *a, int count) {
    double x[MAX_IN];
    check_point(q, a, count, q->lo);
    check_point(q, a, count, q->hi);
    for (int i = 0; i < 3; i++) {
        net_point(q->n_in, q->lo, q->hi, x);
        check_point(q, a, count, x);
    }
    if (q->n_in > 8) return;
    for (int side = -1; side <= 1; side += 2) {
        extreme_corner(q, kit_int(0, q->rows - 1), side, x);
        check_point(q, a, count, x);
    }
}

/* The exact interval of every value lies within the IBP intervals. */
static void check_intervals(question *q) {
    for (int dtype = 0; dtype < 2; dtype++) {
        bf_options o = bf_options_default();
        o.method = BF_METHOD_IBP;
        o.dtype = (bf_dtype)dtype;
        o.keep_layers = 1;
        answers a = {.options = o};
        kit_engine e = kit_engine_new(1, q->model, o);
        kit_bounds(&e, q->lo, q->hi, NULL, 0, a.out_lower, a.out_upper);
        exact_evaluate(q->graph, q->lo, q->hi, &q->at);
        for (int id = 0; id < q->graph->count; id++) {
            int64_t n = q->graph->nodes[id].count;
            double *lower = malloc((size_t)n * sizeof *lower),
                   *upper = malloc((size_t)n * sizeof *upper);
            assert_true(bf_workspace_layer(e.plan, e.ws, id, lower, upper));
            for (int64_t j = 0; j < n; j++) {
                if (!exact_at_least(&q->at.lo[id][j], lower[j]))
                    complain(q, &a, bfi_op_name(q->graph->nodes[id].op), j, lower[j]);
                if (!exact_at_most(&q->at.hi[id][j], upper[j]))
                    complain(q, &a, bfi_op_name(q->graph->nodes[id].op), j, upper[j]);
            }
            free(lower);
            free(upper);
        }
        kit_engine_free(&e);
    }
}

static void attack(bfi_graph *graph, net_style style) {
    static answers all[KIT_SETTINGS];
    question q = ask(graph, style);
    for (int i = 0; i < KIT_SETTINGS; i++) compute(&q, kit_setting(i), &all[i]);
    check_points(&q, all, KIT_SETTINGS);
    check_intervals(&q);
    answer(&q);
}

enum { ROUNDS = 120 / KIT_SAMPLE };

static void mlps(void **state) {
    (void)state;
    for (int i = 0; i < ROUNDS * NET_STYLES; i++) {
        net_style style = (net_style)(i % NET_STYLES);
        attack(net_mlp(style), style);
    }
}

static void convs(void **state) {
    (void)state;
    for (int i = 0; i < ROUNDS / 2 * NET_STYLES; i++) {
        net_style style = (net_style)(i % NET_STYLES);
        attack(net_conv(style), style);
    }
}

/* True when exact arithmetic knows all ops of |graph|. */
static bool computable(const bfi_graph *graph) {
    for (int id = 0; id < graph->count; id++) {
        const bfi_node *node = &graph->nodes[id];
        switch (bfi_op_class_of(node->op)) {
            case BFI_CLASS_UNARY:
                if (node->op != BFI_OP_RELU && node->op != BFI_OP_LEAKY_RELU) return false;
                break;
            case BFI_CLASS_NONLINEAR:
                if (node->op != BFI_OP_MAX_POOL && node->op != BFI_OP_MUL) return false;
                break;
            default: /* means have divisors that are no powers of two */
                if (node->op == BFI_OP_REDUCE_MEAN || node->op == BFI_OP_AVERAGE_POOL) return false;
                break;
        }
    }
    return graph->nodes[graph->output].count <= MAX_OUT && graph->nodes[0].count <= MAX_IN;
}

static void every_op(void **state) {
    (void)state;
    int attacked = 0;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++)
        for (int v = 0; v < op_cases[c].variants; v++) {
            bfi_graph *graph = op_cases[c].build(v);
            if (strcmp(op_cases[c].name, "random") && computable(graph)) {
                attack(graph, NET_PLAIN);
                attacked++;
            } else {
                bfi_graph_free(graph);
            }
        }
    assert_true(attacked > 45);
}

static void nudge(bfi_numbers *numbers, int ulps) {
    for (int64_t i = 0; i < numbers->count; i++)
        for (int64_t k = kit_int(0, ulps); k > 0; k--)
            numbers->data[i] = nextafter(numbers->data[i], i % 2 ? 1e300 : -1e300);
}

/* Constants derived at import may be off by const_ulps half-ulps: bounds hold for all such
 * networks. */
static void derived_constants(void **state) {
    (void)state;
    static answers all[KIT_SETTINGS];
    for (int i = 0; i < 200 / KIT_SAMPLE; i++) {
        net_style style = i % 2 ? NET_CANCEL : NET_PLAIN;
        bfi_graph *graph = kit_graph(KIT_SHAPE(4));
        int a = net_linear(graph, style, 0, 1, 4, 5);
        a = net_scale(graph, style, net_same(graph, BFI_OP_RELU, a, -1));
        net_linear(graph, style, a, 1, 5, 2);
        int ulps = (int)kit_int(1, 8);
        for (int id = 1; id < graph->count; id++) graph->nodes[id].attrs.const_ulps = 2 * ulps;
        question q = ask(graph, style);
        for (int k = 0; k < KIT_SETTINGS; k++) compute(&q, kit_setting(k), &all[k]);
        for (int id = 1; id < graph->count; id++) {
            nudge(&graph->nodes[id].weight, ulps);
            nudge(&graph->nodes[id].bias, ulps);
        }
        check_points(&q, all, KIT_SETTINGS);
        answer(&q);
    }
}

static bfi_numbers constant_numbers(int64_t n, double value) {
    bfi_numbers numbers = kit_numbers(NULL, n);
    for (int64_t i = 0; i < n; i++) numbers.data[i] = value;
    return numbers;
}

/* Just above one, where half an ulp is largest, with bits that no dtype of the plan holds. */
static double above_one(void) { return net_sign() * (1 + (double)kit_int(0, 1 << 24) * 0x1p-28); }

static bfi_graph *single_op(int kind) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    if (kind == 0) {
        net_leaky(graph, 0, above_one() / 2);
        return graph;
    }
    if (kind == 1) {
        net_same(graph, BFI_OP_RELU, 0, -1);
        return graph;
    }
    bfi_op op = kind % 2 ? BFI_OP_LINEAR : BFI_OP_SCALE_SHIFT;
    bfi_node *node = kit_add(graph, op, 0, -1, KIT_SHAPE(1));
    node->attrs.rows = node->attrs.k = node->attrs.n = 1;
    node->weight = constant_numbers(1, kind < 6 ? above_one() : 0);
    if (kind > 3) node->bias = constant_numbers(1, above_one());
    return graph;
}

/* One element, every number just above a float32: each rounding is as large as it may be, and no
 * slack of longer sums helps. */
static void single_roundings(void **state) {
    (void)state;
    static answers all[KIT_TYPED];
    for (int i = 0; i < 6000; i++) {
        question q = ask(single_op(i % 8), NET_DOUBLE);
        q.lo[0] = q.hi[0] = kit_int(0, 1) ? 1 : (double)(float)above_one();
        if (i % 8 == 1) q.lo[0] = -fabs((double)(float)above_one()), q.hi[0] = fabs(q.hi[0]);
        q.rows = 1;
        q.spec[0] = above_one();
        for (int k = 0; k < KIT_TYPED; k++) compute(&q, kit_setting(k), &all[k]);
        check_point(&q, all, KIT_TYPED, q.lo);
        check_point(&q, all, KIT_TYPED, q.hi);
        answer(&q);
    }
}

/* Sums in which every addition rounds the same way: |scale| times one, then numbers that each
 * vanish. */
static double vanishing; /* half an ulp of one: of float32, then of float64 */

static void sticky(double *data, int64_t n, double scale) {
    for (int64_t i = 0; i < n; i++) data[i] = scale * (i == 0 ? 1 : vanishing);
}

static bfi_numbers sticky_numbers(int64_t n, double scale) {
    bfi_numbers numbers = kit_numbers(NULL, n);
    sticky(numbers.data, n, scale);
    return numbers;
}

enum { WIDE = 100 };

/* input [n] -> linear [m] with weights |w| (sticky when |w| is 0), bias sticky when |bias|. */
static bfi_graph *wide_linear(int64_t n, int64_t m, double w, double bias, double scale) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(n));
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, 0, -1, KIT_SHAPE(m));
    node->attrs.rows = 1, node->attrs.k = n, node->attrs.n = m;
    node->weight = w != 0 ? constant_numbers(n * m, w) : sticky_numbers(n * m, scale);
    if (bias != 0) node->bias = sticky_numbers(m, bias);
    return graph;
}

static bfi_graph *wide_conv(int64_t c_in, int64_t c_out, double scale) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, c_in, 1, 1));
    int id =
        net_window(graph, NET_PLAIN, BFI_OP_CONV, 0, (net_geometry){c_out, 1, 1, 1, 1, 1, 1, 0, 1});
    sticky(graph->nodes[id].weight.data, c_in * c_out, scale);
    return graph;
}

static bfi_graph *reduce_sum(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(WIDE));
    kit_add(graph, BFI_OP_REDUCE_SUM, 0, -1, KIT_SHAPE(1))->attrs.reduce[0] = true;
    return graph;
}

/* One number copied to WIDE places. */
static bfi_graph *expand(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    kit_add(graph, BFI_OP_EXPAND, 0, -1, KIT_SHAPE(WIDE));
    return graph;
}

/* The same through concat: an accumulation for each copy. |relus| of them from a relu's output. */
static bfi_graph *concat(bool relu) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    int from = relu ? net_same(graph, BFI_OP_RELU, 0, -1) : 0, inputs[WIDE];
    for (int i = 0; i < WIDE; i++) inputs[i] = from;
    bfi_shape shape = KIT_SHAPE(WIDE);
    graph->output = bfi_graph_add(graph, BFI_OP_CONCAT, "concat", "Test", inputs, WIDE, &shape);
    return graph;
}

/* Nine windows that all hold the one element; with dilation as wide as the stride no tap misses it.
 */
static bfi_graph *overlapping_pool(int64_t stride) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 1, 1, 1));
    net_geometry g = {1, 3, 3, stride, stride, stride, stride, 2 * stride, 1};
    assert_true(net_window(graph, NET_PLAIN, BFI_OP_MAX_POOL, 0, g) > 0);
    return graph;
}

/* x times |scale|, sticky over positions. */
static bfi_graph *scaled(double scale) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(WIDE));
    kit_add(graph, BFI_OP_SCALE_SHIFT, 0, -1, KIT_SHAPE(WIDE))->weight =
        constant_numbers(WIDE, scale);
    return graph;
}

static void attack_sticky(bfi_graph *graph, double scale) {
    static answers all[KIT_SETTINGS];
    kit_validate(graph);
    question q = ask(graph, NET_PLAIN);
    for (int variant = 0; variant<8; variant += KIT_SAMPLE> 1 ? 3 : 1) {
        double sign = variant & 1 ? -1 : 1;
        sticky(q.lo, q.n_in, variant & 2 ? scale * sign : sign);
        for (int64_t i = 0; variant & 4 && i < q.n_in; i++) q.lo[i] = (double)(float)(1.0 / 3);
        memcpy(q.hi, q.lo, sizeof q.hi);
        for (int64_t i = 0; i < q.n_in && variant & 2; i++) {
            q.lo[i] = fmin(q.lo[i], 0);
            q.hi[i] = fmax(q.hi[i], 0);
        }
        q.rows = 3;
        free(q.spec);
        q.spec = calloc((size_t)(3 * q.n_out), sizeof *q.spec);
        sticky(q.spec, q.n_out, 1);
        sticky(q.spec + q.n_out, q.n_out, -scale);
        for (int64_t j = 0; j < q.n_out; j++) q.spec[2 * q.n_out + j] = 1;
        for (int i = 0; i < KIT_SETTINGS; i++) compute(&q, kit_setting(i), &all[i]);
        check_points(&q, all, KIT_SETTINGS);
    }
    answer(&q);
}

static void sums_that_lose_every_term(void **state) {
    (void)state;
    static const double scales[] = {1, 0x1p-40, 0x1p-100, 0x1p-125, 0x1p-140, 0x1p60};
    for (size_t i = 0; i < 2 * sizeof scales / sizeof *scales; i++) {
        double scale = scales[i / 2];
        vanishing = i % 2 ? BF_U64 : BF_U32;
        attack_sticky(wide_linear(WIDE, 2, 1, 0, scale), scale);
        attack_sticky(wide_linear(1, WIDE, 0, 0, scale), scale);
        attack_sticky(wide_linear(1, WIDE, 0x1p-60, scale, scale), scale);
        attack_sticky(wide_linear(3, WIDE, 1, 1, scale), scale);
        attack_sticky(wide_conv(WIDE, 1, scale), scale);
        attack_sticky(wide_conv(1, WIDE, scale), scale);
        attack_sticky(reduce_sum(), scale);
        attack_sticky(expand(), scale);
        attack_sticky(concat(false), scale);
        attack_sticky(concat(true), scale);
        attack_sticky(scaled(scale), scale);
        for (int64_t stride = 1; stride <= 3; stride++)
            attack_sticky(overlapping_pool(stride), scale);
    }
}

/* Means: one third and one ninth are not dyadic, so the bounds are scaled up instead. */
static void means(void **state) {
    (void)state;
    for (int i = 0; i < 60 / KIT_SAMPLE; i++) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(1, 1, 3, 3));
        net_geometry g = {1, 3, 3, 1, 1, 1, 1, i % 2, 1};
        net_style style = (net_style)(i % NET_STYLES);
        int id = net_window(graph, style, BFI_OP_AVERAGE_POOL, 0, g);
        graph->nodes[id].attrs.window.count_pad = i % 4 == 1;
        question q = ask(graph, style);
        bfi_sparse m = {0};
        assert_int_equal(bfi_node_sparse(graph, id, 0, &m, NULL), BF_STATUS_OK);
        for (int setting = 0; setting < KIT_SETTINGS; setting++) {
            static answers a;
            static exact sum, scaled_bound, count, bound;
            memcpy(q.hi, q.lo, sizeof q.hi);
            compute(&q, kit_setting(setting), &a);
            for (int64_t o = 0; o < q.n_out; o++) {
                exact_set(&sum, 0);
                for (int64_t e = m.ptr[o]; e < m.ptr[o + 1]; e++)
                    exact_set(&count, q.lo[m.idx[e]]), exact_add(&sum, &sum, &count);
                exact_set(&count, round(1 / m.val[m.ptr[o]]));
                for (int side = 0; side < 2; side++) {
                    double end = side ? a.out_upper[o] : a.out_lower[o];
                    if (isinf(end)) continue;
                    exact_set(&bound, end);
                    exact_multiply(&scaled_bound, &bound, &count);
                    if (exact_compare(&scaled_bound, &sum) * (side ? 1 : -1) < 0)
                        complain(&q, &a, "mean", o, end);
                }
            }
        }
        bfi_sparse_clear(&m);
        answer(&q);
    }
}

/* The test would notice: rounding to nearest leaves the exact value of a sum that cancels. */
static void nearest_is_caught(void **state) {
    (void)state;
    static exact value;
    int outside = 0;
    for (int i = 0; i < 40; i++) {
        question q = ask(net_mlp(NET_CANCEL), NET_CANCEL);
        answers a = {{0}, {0}, {0}, {0}, {0}};
        bf_options o = kit_setting(i % KIT_SETTINGS);
        o.rounding = BF_ROUNDING_NEAREST;
        compute(&q, o, &a);
        exact_evaluate(q.graph, q.lo, q.lo, &q.at);
        for (int64_t r = 0; r < q.n_out; r++) {
            row_value(&q, NULL, r, &value);
            outside +=
                !exact_at_least(&value, a.out_lower[r]) || !exact_at_most(&value, a.out_upper[r]);
        }
        answer(&q);
    }
    assert_true(outside > 5);
}

/* Bounds are not sound by being infinite: those of tame networks are finite, and hardly wider than
 * bounds rounded to nearest. */
static void outward_is_tight(void **state) {
    (void)state;
    for (int i = 0; i < 100; i++) {
        static answers outward, nearest;
        question q = ask(i % 2 ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN), NET_PLAIN);
        bf_options o = kit_setting(i % KIT_SETTINGS);
        compute(&q, o, &outward);
        o.rounding = BF_ROUNDING_NEAREST;
        compute(&q, o, &nearest);
        double most = 0, slack = o.dtype == BF_DTYPE_FLOAT32 ? 1e-3 : 1e-11;
        for (int64_t r = 0; r < q.n_out; r++)
            most = fmax(most, fmax(fabs(nearest.out_lower[r]), fabs(nearest.out_upper[r])));
        for (int64_t r = 0; r < q.n_out; r++) {
            assert_true(outward.out_lower[r] >= nearest.out_lower[r] - slack * (most + 1));
            assert_true(outward.out_upper[r] <= nearest.out_upper[r] + slack * (most + 1));
        }
        answer(&q);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(means),
                                       cmocka_unit_test(nearest_is_caught),
                                       cmocka_unit_test(outward_is_tight),
                                       cmocka_unit_test(sums_that_lose_every_term),
                                       cmocka_unit_test(every_op),
                                       cmocka_unit_test(derived_constants),
                                       cmocka_unit_test(single_roundings),
                                       cmocka_unit_test(mlps),
                                       cmocka_unit_test(convs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
