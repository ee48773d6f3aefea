/* simplify: every rule on a graph of its own, what it must leave alone, and models as a whole. */
#include "ir/text.h"
#include "pass_kit.h"
#include "plan/exact_fold.h"
#include "plan/pass_simplify.h"

typedef struct result {
    bfi_graph *graph;
    bfi_simplify_report report;
} result;

static result simplify_with(const bfi_graph *in, bfi_simplify_options options) {
    result r;
    bf_error err = {""};
    kit_validate(in);
    if (bfi_pass_simplify(in, &options, &r.graph, &r.report, &err)) fail_msg("%s", err.message);
    assert_int_equal(r.report.nodes_before, in->count);
    assert_int_equal(r.report.nodes_after, r.graph->count);
    kit_same_values(in, r.graph, r.report.value_of);
    return r;
}

static result simplify(const bfi_graph *in) {
    return simplify_with(in, bfi_simplify_options_default());
}

static bfi_simplify_options float32_execution(void) {
    bfi_simplify_options o = bfi_simplify_options_default();
    o.float32_execution = true;
    return o;
}

static void done(bfi_graph *in, result *r) {
    bfi_graph_free(r->graph);
    bfi_simplify_report_clear(&r->report);
    bfi_graph_free(in);
}

static bool noted(const result *r, const char *text) {
    for (int i = 0; i < r->report.notes.count; i++)
        if (strstr(r->report.notes.items[i].text, text)) return true;
    return false;
}

/* ---- building ---- */

static int add_conv(bfi_graph *g, bfi_op op, int from, int64_t c_out, int64_t groups) {
    bfi_shape s = g->nodes[from].shape;
    int64_t c = s.dim[1], h = s.dim[2], w = s.dim[3];
    bool back = op == BFI_OP_CONV_TRANSPOSE;
    int64_t ho = back ? h + 1 : h - 1, wo = back ? w + 1 : w - 1;
    bfi_node *node = kit_add(g, op, from, -1, KIT_SHAPE(1, c_out, ho, wo));
    node->attrs.window = (bfi_window){.groups = groups,
                                      .c_in = c,
                                      .h_in = h,
                                      .w_in = w,
                                      .c_out = c_out,
                                      .h_out = ho,
                                      .w_out = wo,
                                      .kh = 2,
                                      .kw = 2,
                                      .stride_h = 1,
                                      .stride_w = 1,
                                      .dil_h = 1,
                                      .dil_w = 1};
    node->weight = kit_numbers(NULL, c_out * c / groups * 4);
    return g->output;
}

/* Scale and shift by channel of an image, or by feature of the last axis. */
static int add_scale(bfi_graph *g, int from, const double *scale, const double *shift) {
    bfi_shape s = g->nodes[from].shape;
    int64_t count = g->nodes[from].count, n = s.rank == 4 ? s.dim[1] : s.dim[s.rank - 1];
    int64_t inner = s.rank == 4 ? s.dim[2] * s.dim[3] : 1;
    bfi_node *node = kit_add(g, BFI_OP_SCALE_SHIFT, from, -1, s);
    if (scale) node->weight = kit_numbers(NULL, count);
    if (shift) node->bias = kit_numbers(NULL, count);
    for (int64_t i = 0; i < count; i++) {
        if (scale) node->weight.data[i] = scale[i / inner % n];
        if (shift) node->bias.data[i] = shift[i / inner % n];
    }
    node->attrs.roundings = 8;
    return g->output;
}

static int add_linear(bfi_graph *g, int from, int64_t rows, int64_t k, int64_t n, bool bias) {
    bfi_node *node = kit_add(g, BFI_OP_LINEAR, from, -1, KIT_SHAPE(rows, n));
    node->attrs.rows = rows, node->attrs.k = k, node->attrs.n = n;
    node->weight = kit_numbers(NULL, n * k);
    if (bias) node->bias = kit_numbers(NULL, n);
    return g->output;
}

static const double scales[] = {0.3, -1.7, 0.1, 2.5, 1.0 / 3, -0.7};
static const double shifts[] = {0.2, 5.1, -0.3, 0, 1e-3, 7};

static void expect_same_bounds(const bfi_graph *in, const bfi_graph *out) {
    kit_same_in_settings(in, out, KIT_EXECUTED, 0.1, 1e-5, 1e-12);
}

/* ---- batch normalisation ---- */

static void test_fold_conv(void **state) {
    (void)state;
    static const bfi_op ops[] = {BFI_OP_CONV, BFI_OP_CONV_TRANSPOSE};
    for (int i = 0; i < 4; i++) {
        bfi_graph *g = kit_graph(KIT_SHAPE(1, 4, 3, 3));
        int a = add_conv(g, ops[i % 2], 0, 6, i / 2 ? 2 : 1);
        a = add_scale(g, a, NULL, shifts);
        int norm = a = add_scale(g, a, scales, shifts);
        g->nodes[norm].attrs.const_ulps = 5;
        kit_add(g, BFI_OP_RELU, a, -1, g->nodes[a].shape);
        result r = simplify(g);
        assert_int_equal(r.graph->count, 3);
        assert_int_equal(r.report.folded_scales, 2);
        assert_int_equal(r.report.value_of[1], -1);
        assert_int_equal(r.report.value_of[2], -1);
        assert_int_equal(r.report.value_of[norm], 1);
        assert_int_equal(r.graph->nodes[1].attrs.const_ulps, 7);
        assert_int_equal(r.graph->nodes[1].bias_error.count, 6);
        assert_true(r.graph->nodes[1].bias_error.data[0] > 0);
        assert_int_equal(g->nodes[1].attrs.const_ulps, 0);
        expect_same_bounds(g, r.graph);
        done(g, &r);
    }
}

static void test_fold_linear(void **state) {
    (void)state;
    for (int64_t rows = 1; rows < 4; rows++) {
        bfi_graph *g = kit_graph(KIT_SHAPE(rows, 4));
        int a = add_linear(g, 0, rows, 4, 6, true);
        kit_add(g, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(1, rows, 6));
        a = add_scale(g, g->output, scales, shifts);
        kit_add(g, BFI_OP_TANH, a, -1, g->nodes[a].shape);
        result r = simplify(g);
        assert_int_equal(kit_count_op(r.graph, BFI_OP_SCALE_SHIFT), 0);
        assert_int_equal(r.report.value_of[2], -1);
        expect_same_bounds(g, r.graph);
        done(g, &r);
    }
}

/* Powers of two and dyadic shifts: nothing is rounded, nothing is uncertain. */
static void test_fold_exact(void **state) {
    (void)state;
    static const double powers[] = {0.5, -2, 4}, eighths[] = {0.125, -3, 1};
    bfi_graph *g = kit_graph(KIT_SHAPE(1, 4));
    int a = add_linear(g, 0, 1, 4, 3, true);
    add_scale(g, a, powers, eighths);
    result r = simplify(g);
    assert_int_equal(r.graph->count, 2);
    assert_int_equal(r.graph->nodes[1].attrs.const_ulps, 0);
    assert_int_equal(r.graph->nodes[1].bias_error.count, 0);
    done(g, &r);
}

static void expect_unfolded(bfi_graph *g, bfi_simplify_options o, const char *reason) {
    result r = simplify_with(g, o);
    assert_int_equal(r.report.folded_scales, 0);
    assert_true(kit_count_op(r.graph, BFI_OP_SCALE_SHIFT) > 0);
    if (reason) assert_true(noted(&r, reason));
    done(g, &r);
}

/* |weight|, unless 0, goes where the scale takes it out of float32's range. */
static bfi_graph *scaled_linear(double weight) {
    bfi_graph *g = kit_graph(KIT_SHAPE(1, 4));
    int a = add_linear(g, 0, 1, 4, 3, true);
    if (weight != 0) g->nodes[a].weight.data[weight < 1 ? 0 : 5] = weight;
    add_scale(g, a, scales, shifts);
    return g;
}

static void test_unfolded(void **state) {
    (void)state;
    expect_unfolded(scaled_linear(0), float32_execution(), "float32 execution");
    expect_unfolded(scaled_linear(0x1p-126), bfi_simplify_options_default(), "normal range");
    expect_unfolded(scaled_linear(0x1.8p127), bfi_simplify_options_default(), "normal range");
    bfi_simplify_options off = bfi_simplify_options_default();
    off.fold_scales = false;
    expect_unfolded(scaled_linear(0), off, NULL);
    bfi_graph *g = kit_graph(KIT_SHAPE(1, 4, 3, 3));
    int a = add_conv(g, BFI_OP_CONV, 0, 6, 1);
    add_scale(g, a, scales, shifts);
    g->nodes[2].weight.data[1] = 9;
    expect_unfolded(g, bfi_simplify_options_default(), "differ within a channel");
    g = scaled_linear(0); /* a second reader of the linear */
    kit_add(g, BFI_OP_ADD, 1, 2, g->nodes[1].shape);
    expect_unfolded(g, bfi_simplify_options_default(), NULL);
    g = kit_graph(KIT_SHAPE(1, 4)); /* an activation in between */
    a = net_same(g, BFI_OP_RELU, add_linear(g, 0, 1, 4, 3, true), -1);
    add_scale(g, a, scales, shifts);
    expect_unfolded(g, bfi_simplify_options_default(), NULL);
}

/* float64 bounds have room for what leaves float32. */
static void test_fold_float64(void **state) {
    (void)state;
    bfi_simplify_options o = bfi_simplify_options_default();
    o.dtype = BFI_F64;
    bfi_graph *g = scaled_linear(0x1p-126);
    result r = simplify_with(g, o);
    assert_int_equal(r.report.folded_scales, 1);
    done(g, &r);
}

/* Bounds of the folded network hold for the network as it was, in exact arithmetic, also where the
 * folded bias cancels. */
static void test_fold_sound(void **state) {
    (void)state;
    double lo[8], hi[8], lower[64], upper[64];
    for (int trial = 0; trial < 150; trial++) {
        net_style style = (net_style)(trial % NET_STYLES);
        bool image = trial / 2 % 2;
        bfi_graph *g = kit_graph(image ? KIT_SHAPE(1, 2, 2, 2) : KIT_SHAPE(1, 8));
        int a = 0;
        for (int layer = 0; layer < 2; layer++) {
            double s[6], t[6], c[6];
            for (int i = 0; i < 6; i++) {
                s[i] = net_number(style), t[i] = net_number(style), c[i] = net_number(style);
                if (trial % 3 == 0) t[i] = -c[i] * s[i]; /* cancels but for rounding */
            }
            a = image
                    ? add_conv(g, layer ? BFI_OP_CONV : BFI_OP_CONV_TRANSPOSE, a, layer ? 6 : 4, 2)
                    : add_linear(g, a, 1, layer ? 6 : 8, 6, true);
            for (int64_t i = 0; i < g->nodes[a].weight.count; i++)
                g->nodes[a].weight.data[i] = net_number(style);
            a = add_scale(g, a, NULL, c);
            a = add_scale(g, a, s, t);
            a = net_same(g, BFI_OP_RELU, a, -1);
        }
        g->is_float64 = true;
        bfi_simplify_options so = bfi_simplify_options_default();
        result r;
        so.dtype = trial % 2 ? BFI_F32 : BFI_F64;
        assert_int_equal(bfi_pass_simplify(g, &so, &r.graph, &r.report, NULL), BF_STATUS_OK);
        kit_validate(r.graph);
        net_box(style, 8, lo, hi);
        exact_values at = exact_values_new(g);
        for (int method = 0; method < 3; method++) {
            bf_options o = bf_options_default();
            o.method = (bf_method)method;
            o.dtype = trial % 2 ? BF_DTYPE_FLOAT32 : BF_DTYPE_FLOAT64;
            assert_true(kit_graph_bounds(r.graph, o, lo, hi, lower, upper));
            for (int point = 0; point < 3; point++) {
                double x[8];
                net_point(8, lo, hi, x);
                exact_evaluate(g, x, x, &at);
                for (int64_t i = 0; i < g->nodes[a].count; i++) {
                    assert_true(exact_at_least(&at.lo[a][i], lower[i]));
                    assert_true(exact_at_most(&at.lo[a][i], upper[i]));
                }
            }
        }
        exact_values_free(g, &at);
        done(g, &r);
    }
}

/* The recorded bias error encloses the exact bias. */
static void test_bias_error(void **state) {
    (void)state;
    static exact value, t;
    for (int trial = 0; trial < 300; trial++) {
        net_style style = (net_style)(trial % NET_STYLES);
        bfi_graph *g = kit_graph(KIT_SHAPE(1, 1));
        double s = net_number(style), c = net_number(style), b = net_number(style);
        double shift = trial % 2 ? -(s * (b + c)) : net_number(style);
        int a = add_linear(g, 0, 1, 1, 1, true);
        g->nodes[a].bias.data[0] = b;
        a = add_scale(g, a, NULL, &c);
        add_scale(g, a, &s, &shift);
        bfi_simplify_options o = bfi_simplify_options_default();
        o.dtype = BFI_F64;
        result r;
        assert_int_equal(bfi_pass_simplify(g, &o, &r.graph, &r.report, NULL), BF_STATUS_OK);
        const bfi_node *node = &r.graph->nodes[1];
        if (r.report.folded_scales == 2) {
            exact_set(&value, shift); /* s b + s c + shift - stored */
            exact_set(&t, b);
            exact_accumulate(&value, s, &t);
            exact_set(&t, c);
            exact_accumulate(&value, s, &t);
            exact_set(&t, -node->bias.data[0]);
            exact_accumulate(&value, 1, &t);
            double e = node->bias_error.count ? node->bias_error.data[0] : 0;
            assert_true(exact_at_least(&value, -e) && exact_at_most(&value, e));
        }
        done(g, &r);
    }
}

/* Where nothing but the folded bias counts, its error alone must carry the bounds, at a seed and
 * on the way back through a second layer. */
static void test_cancelled_bias(void **state) {
    (void)state;
    const double lo = -0x1p-300, hi = 0x1p-300;
    double lower, upper;
    for (int trial = 0; trial < 240; trial++) {
        bool deep = trial % 2;
        double s = net_uniform(), b = net_uniform(), shift = -(s * b);
        bfi_graph *g = kit_graph(KIT_SHAPE(1, 1));
        int a = add_linear(g, 0, 1, 1, 1, true);
        g->nodes[a].weight.data[0] = 1;
        g->nodes[a].bias.data[0] = b;
        a = add_scale(g, a, &s, &shift);
        if (deep) {
            a = add_linear(g, net_leaky(g, a, 1), 1, 1, 1, false);
            g->nodes[a].weight.data[0] = 1;
        }
        g->is_float64 = true;
        result r = simplify_with(g, bfi_simplify_options_default());
        assert_int_equal(r.report.folded_scales, 1);
        const double x = 0;
        exact_values at = exact_values_new(g);
        exact_evaluate(g, &x, &x, &at);
        for (int setting = 0; setting < KIT_EXECUTED; setting++) {
            assert_true(kit_graph_bounds(r.graph, kit_setting(setting), &lo, &hi, &lower, &upper));
            assert_true(exact_at_least(&at.lo[a][0], lower));
            assert_true(exact_at_most(&at.lo[a][0], upper));
        }
        exact_values_free(g, &at);
        done(g, &r);
    }
}

/* ---- neighbouring linears ---- */

static bfi_graph *two_linears(int64_t rows, int64_t k, int64_t middle, int64_t n) {
    bfi_graph *g = kit_graph(KIT_SHAPE(rows, k));
    int a = add_linear(g, 0, rows, k, middle, true);
    add_linear(g, a, rows, middle, n, false);
    return g;
}

static void test_merge(void **state) {
    (void)state;
    for (int64_t rows = 1; rows < 3; rows++) {
        bfi_graph *g = two_linears(rows, 3, 8, 2);
        result r = simplify(g);
        assert_int_equal(r.report.merged_linears, 1);
        assert_int_equal(r.graph->count, 2);
        assert_int_equal(r.graph->nodes[1].attrs.k, 3);
        assert_int_equal(r.graph->nodes[1].bias.count, 2);
        assert_int_equal(r.graph->nodes[1].bias_error.count, 0);
        bf_options o = kit_options(BF_METHOD_IBP, BF_DTYPE_FLOAT64, BF_EXECUTOR_REFERENCE);
        kit_same_bounds(g, r.graph, o, 0.1, 1e-12, true); /* tightens */
        o.method = BF_METHOD_CROWN;
        kit_same_bounds(g, r.graph, o, 0.1, 1e-12, false);
        done(g, &r);
    }
}

static void expect_apart(bfi_graph *g, bfi_simplify_options o, const char *reason) {
    result r = simplify_with(g, o);
    assert_int_equal(r.report.merged_linears, 0);
    assert_int_equal(kit_count_op(r.graph, BFI_OP_LINEAR), 2);
    if (reason) assert_true(noted(&r, reason));
    done(g, &r);
}

static void test_apart(void **state) {
    (void)state;
    bfi_graph *g = two_linears(1, 3, 8, 2);
    g->nodes[1].weight.data[0] = 0.1, g->nodes[2].weight.data[0] = 0.3;
    expect_apart(g, bfi_simplify_options_default(), "not exact in float64");
    expect_apart(two_linears(1, 3, 8, 2), float32_execution(), "float32 execution");
    expect_apart(two_linears(1, 9, 1, 9), bfi_simplify_options_default(), "less work");
    g = two_linears(1, 3, 8, 3);
    g->nodes[1].attrs.const_ulps = 1;
    expect_apart(g, bfi_simplify_options_default(), "derived");
    g = two_linears(1, 3, 3, 3); /* a second reader */
    kit_add(g, BFI_OP_ADD, 1, 2, g->nodes[1].shape);
    expect_apart(g, bfi_simplify_options_default(), NULL);
    g = kit_graph(KIT_SHAPE(2, 3)); /* a reshape that mixes rows */
    int a = add_linear(g, 0, 2, 3, 4, false);
    kit_add(g, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(1, 8));
    add_linear(g, g->output, 1, 8, 2, false);
    expect_apart(g, bfi_simplify_options_default(), "rows differ");
}

/* ---- constants and structure ---- */

static int add_const(bfi_graph *g, bfi_shape shape, const double *data) {
    bfi_node *node = kit_add(g, BFI_OP_CONST, -1, -1, shape);
    node->weight = kit_numbers(data, node->count);
    return g->output;
}

static bfi_graph *constant_sum(const double *a, const double *b) {
    bfi_graph *g = kit_graph(KIT_SHAPE(2));
    int x = add_const(g, KIT_SHAPE(2), a), y = add_const(g, KIT_SHAPE(2), b);
    kit_add(g, BFI_OP_ADD, x, y, KIT_SHAPE(2));
    kit_add(g, BFI_OP_MUL, 0, g->output, KIT_SHAPE(2));
    return g;
}

static void test_constants(void **state) {
    (void)state;
    static const double a[] = {1, 2}, b[] = {0.5, -4}, small[] = {0x1p-60, 3};
    bfi_graph *g = constant_sum(a, b);
    result r = simplify(g);
    assert_int_equal(r.report.folded_constants, 1);
    assert_int_equal(r.graph->count, 3);
    assert_true(r.graph->nodes[1].weight.data[1] == -2);
    done(g, &r);
    g = constant_sum(a, small); /* 1 + 2^-60 rounds */
    r = simplify(g);
    assert_int_equal(r.report.folded_constants, 0);
    assert_true(noted(&r, "rounds"));
    done(g, &r);
    g = constant_sum(a, b);
    r = simplify_with(g, float32_execution());
    assert_int_equal(r.report.folded_constants, 0);
    done(g, &r);
}

/* Copies of constants are constants, also where float32 execution is bounded. */
static void test_constant_copies(void **state) {
    (void)state;
    static const double a[] = {1, -2, 3, 4, 5, 6};
    bfi_graph *g = kit_graph(KIT_SHAPE(3, 2));
    int c = add_const(g, KIT_SHAPE(2, 3), a);
    bfi_node *node = kit_add(g, BFI_OP_TRANSPOSE, c, -1, KIT_SHAPE(3, 2));
    node->attrs.perm[0] = 1;
    c = net_same(g, BFI_OP_RELU, g->output, -1);
    kit_add(g, BFI_OP_ADD, 0, c, KIT_SHAPE(3, 2));
    result r = simplify_with(g, float32_execution());
    assert_int_equal(r.report.folded_constants, 2);
    assert_int_equal(r.graph->count, 3);
    assert_true(r.graph->nodes[1].weight.data[1] == 4 && r.graph->nodes[1].weight.data[2] == 0);
    done(g, &r);
}

static void test_structure(void **state) {
    (void)state;
    bfi_graph *g = kit_graph(KIT_SHAPE(2, 3, 1));
    kit_add(g, BFI_OP_RESHAPE, 0, -1, KIT_SHAPE(3, 2));
    kit_add(g, BFI_OP_RESHAPE, 1, -1, KIT_SHAPE(6));
    kit_add(g, BFI_OP_SCALE_SHIFT, 2, -1, KIT_SHAPE(6));
    kit_add(g, BFI_OP_RELU, 3, -1, KIT_SHAPE(6));
    kit_add(g, BFI_OP_TANH, 3, -1, KIT_SHAPE(6)); /* dead */
    bfi_node *node = kit_add(g, BFI_OP_SLICE, 4, -1, KIT_SHAPE(6));
    node->attrs.step[0] = 1;
    g->output = 6;
    result r = simplify(g);
    assert_int_equal(r.graph->count, 3); /* input, reshape, relu */
    assert_int_equal(r.report.value_of[1], -1);
    assert_int_equal(r.report.value_of[3], 1);
    assert_int_equal(r.report.value_of[5], -1);
    assert_int_equal(r.report.value_of[6], 2);
    done(g, &r);
}

/* The output itself may be an identity of the input. */
static void test_all_identity(void **state) {
    (void)state;
    bfi_graph *g = kit_graph(KIT_SHAPE(6));
    kit_add(g, BFI_OP_RESHAPE, 0, -1, KIT_SHAPE(6));
    result r = simplify(g);
    assert_int_equal(r.graph->count, 1);
    assert_int_equal(r.graph->output, 0);
    done(g, &r);
}

/* ---- models ---- */

static void check_model(const char *path, const bf_model *model) {
    const bfi_graph *g = model->graph;
    if (kit_flops(g) > 6e8) return;
    for (int execution = 0; execution < 2; execution++) {
        bfi_simplify_options so = bfi_simplify_options_default();
        so.dtype = BFI_F64;
        so.float32_execution = execution;
        result r = simplify_with(g, so);
        if (execution) assert_int_equal(r.report.folded_scales + r.report.merged_linears, 0);
        bf_options o = kit_options(BF_METHOD_IBP, BF_DTYPE_FLOAT64, BF_EXECUTOR_NATIVE);
        bool tighter = r.report.merged_linears > 0;
        if (kit_flops(g) < 1e8) kit_same_bounds(g, r.graph, o, 1e-3, 1e-9, tighter);
        o.method = BF_METHOD_CROWN;
        if (kit_flops(g) < 5e5) kit_same_bounds(g, r.graph, o, 1e-3, 1e-9, tighter);
        if (!execution && r.graph->count < g->count)
            print_message("%s: %d nodes, now %d; %d scales, %d linears, %d constants\n",
                          strrchr(path, '/') + 1, g->count, r.graph->count, r.report.folded_scales,
                          r.report.merged_linears, r.report.folded_constants);
        bfi_graph_free(r.graph);
        bfi_simplify_report_clear(&r.report);
    }
}

/* The graph's text reads back, bias errors included. */
static void expect_text(const bfi_graph *graph) {
    char *text = NULL, *again = NULL;
    size_t size = 0, again_size = 0;
    bfi_graph *back;
    bf_error err = {""};
    assert_int_equal(bfi_graph_print(graph, BFI_TEXT_FULL, &text, &size, NULL), BF_STATUS_OK);
    assert_non_null(strstr(text, "bias_error="));
    if (bfi_graph_parse(text, size, "text", &back, &err)) fail_msg("%s", err.message);
    assert_int_equal(bfi_graph_print(back, BFI_TEXT_FULL, &again, &again_size, NULL), BF_STATUS_OK);
    assert_string_equal(text, again);
    bfi_graph_free(back);
    free(text);
    free(again);
}

static void check_resnet(const char *path, const bf_model *model) {
    (void)path;
    result r = simplify(model->graph);
    assert_int_equal(kit_count_op(r.graph, BFI_OP_SCALE_SHIFT), 0);
    expect_text(r.graph);
    kit_same_in_settings(model->graph, r.graph, KIT_EXECUTED, 0.01, 1e-4, 1e-11);
    bfi_graph_free(r.graph);
    bfi_simplify_report_clear(&r.report);
}

static void test_models(void **state) {
    (void)state;
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR"), *data = getenv("BOUNDFLOW_DATA");
    if (!root) skip();
    assert_int_equal(kit_each_model(root, "models/*.onnx", check_model), 4);
    assert_int_equal(kit_each_model(root, "models/digits_resnet.onnx", check_resnet), 1);
    if (kit_each_model(data, "vnncomp/*/onnx/*.onnx", check_model) == 0)
        print_message("SKIPPED: no public models (set BOUNDFLOW_DATA)\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fold_conv),       cmocka_unit_test(test_fold_linear),
        cmocka_unit_test(test_fold_exact),      cmocka_unit_test(test_unfolded),
        cmocka_unit_test(test_fold_float64),    cmocka_unit_test(test_fold_sound),
        cmocka_unit_test(test_bias_error),      cmocka_unit_test(test_merge),
        cmocka_unit_test(test_apart),           cmocka_unit_test(test_constants),
        cmocka_unit_test(test_constant_copies), cmocka_unit_test(test_structure),
        cmocka_unit_test(test_cancelled_bias),  cmocka_unit_test(test_all_identity),
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
