/* permute and layout: every rule on a graph of its own, what must stay, and models as a whole. */
#include "ir/layout.h"
#include "pass_kit.h"
#include "plan/pass_permute.h"
#include "plan/pass_simplify.h"

typedef struct result {
    bfi_graph *graph;
    bfi_permute_report report;
} result;

static result permute(const bfi_graph *in) {
    result r;
    bf_error err = {""};
    kit_validate(in);
    if (bfi_pass_permute(in, &r.graph, &r.report, &err)) fail_msg("%s", err.message);
    kit_same_values(in, r.graph, r.report.value_of);
    assert_int_equal(r.report.count, kit_count_op(in, BFI_OP_TRANSPOSE));
    assert_true(kit_count_op(r.graph, BFI_OP_TRANSPOSE) <= r.report.count - r.report.folded);
    return r;
}

static void forget(result *r) {
    bfi_graph_free(r->graph);
    bfi_permute_report_clear(&r->report);
}

/* Runs the pass; |left| transposes remain, and the first one's entry reads |mark| and |text|. */
static void expect(bfi_graph *g, int left, bfi_permute_mark mark, const char *text) {
    result r = permute(g);
    if (kit_count_op(r.graph, BFI_OP_TRANSPOSE) != left || r.report.entries[0].mark != mark ||
        !strstr(r.report.entries[0].text, text))
        fail_msg("%d left, %s: %s", kit_count_op(r.graph, BFI_OP_TRANSPOSE),
                 bfi_permute_mark_name(r.report.entries[0].mark), r.report.entries[0].text);
    kit_same_in_settings(g, r.graph, KIT_TYPED, 0.1, 1e-5, 1e-12);
    forget(&r);
    bfi_graph_free(g);
}

/* ---- building ---- */

static int add_transpose(bfi_graph *g, int from, const int64_t *perm) {
    bfi_shape x = g->nodes[from].shape, y = {.rank = x.rank};
    for (int i = 0; i < x.rank; i++) y.dim[i] = x.dim[perm[i]];
    bfi_node *node = kit_add(g, BFI_OP_TRANSPOSE, from, -1, y);
    memcpy(node->attrs.perm, perm, (size_t)x.rank * sizeof *perm);
    return g->output;
}

static int add_flat(bfi_graph *g, int from) {
    kit_add(g, BFI_OP_RESHAPE, from, -1, KIT_SHAPE(1, g->nodes[from].count));
    return g->output;
}

static int add_linear(bfi_graph *g, int from, int64_t rows, int64_t n) {
    int64_t k = g->nodes[from].count / rows;
    bfi_node *node = kit_add(g, BFI_OP_LINEAR, from, -1, KIT_SHAPE(rows, n));
    node->attrs.rows = rows, node->attrs.k = k, node->attrs.n = n;
    node->weight = kit_numbers(NULL, n * k);
    node->bias = kit_numbers(NULL, n);
    return g->output;
}

/* 1x1 convolution with |c_out| channels. */
static int add_conv(bfi_graph *g, int from, int64_t c_out) {
    bfi_shape s = g->nodes[from].shape;
    bfi_node *node = kit_add(g, BFI_OP_CONV, from, -1, KIT_SHAPE(1, c_out, s.dim[2], s.dim[3]));
    node->attrs.window = (bfi_window){.groups = 1,
                                      .c_in = s.dim[1],
                                      .h_in = s.dim[2],
                                      .w_in = s.dim[3],
                                      .c_out = c_out,
                                      .h_out = s.dim[2],
                                      .w_out = s.dim[3],
                                      .kh = 1,
                                      .kw = 1,
                                      .stride_h = 1,
                                      .stride_w = 1,
                                      .dil_h = 1,
                                      .dil_w = 1};
    node->weight = kit_numbers(NULL, c_out * s.dim[1]);
    return g->output;
}

static int add_scale(bfi_graph *g, int from) {
    int64_t count = g->nodes[from].count;
    bfi_node *node = kit_add(g, BFI_OP_SCALE_SHIFT, from, -1, g->nodes[from].shape);
    node->weight = kit_numbers(NULL, count);
    node->bias = kit_numbers(NULL, count);
    node->bias_error = kit_numbers(NULL, count);
    for (int64_t i = 0; i < count; i++) node->bias_error.data[i] = ldexp((double)i, -70);
    return g->output;
}

static const int64_t to_nhwc[] = {0, 2, 3, 1}, to_nchw[] = {0, 3, 1, 2}, swap[] = {0, 2, 1, 3};
static const int64_t turn[] = {1, 0};

/* A convolution's output [1, 3, 2, 4]. */
static bfi_graph *image(void) {
    bfi_graph *g = kit_graph(KIT_SHAPE(1, 2, 2, 4));
    add_conv(g, 0, 3);
    return g;
}

/* ---- folded ---- */

static void test_unit_axes(void **state) {
    (void)state;
    bfi_graph *g = kit_graph(KIT_SHAPE(1, 1, 2, 4));
    add_conv(g, add_transpose(g, add_transpose(g, 0, to_nhwc), to_nchw), 2);
    expect(g, 0, BFI_PERMUTE_FOLDED, "a reshape");
}

static void test_pairs(void **state) {
    (void)state;
    bfi_graph *g = image();
    int a = net_same(g, BFI_OP_RELU, add_transpose(g, g->output, to_nhwc), -1);
    add_conv(g, add_transpose(g, a, to_nchw), 2);
    expect(g, 0, BFI_PERMUTE_FOLDED, "what follows");
    g = image(); /* two that do not cancel: one stays */
    a = add_transpose(g, g->output, to_nhwc);
    add_conv(g, add_transpose(g, a, swap), 2);
    expect(g, 1, BFI_PERMUTE_FOLDED, "what follows");
}

static void test_columns(void **state) {
    (void)state;
    bfi_graph *g = image();
    add_linear(g, add_flat(g, add_transpose(g, g->output, to_nhwc)), 1, 5);
    expect(g, 0, BFI_PERMUTE_FOLDED, "columns of");
    g = kit_graph(KIT_SHAPE(2, 3, 4, 2)); /* the network's input */
    add_linear(g, add_flat(g, add_transpose(g, 0, to_nhwc)), 1, 5);
    expect(g, 0, BFI_PERMUTE_FOLDED, "columns of");
    g = image(); /* several readers, all linear */
    int a = add_flat(g, add_transpose(g, g->output, to_nhwc)), b = add_linear(g, a, 1, 5);
    net_same(g, BFI_OP_SUB, b, add_linear(g, a, 1, 5));
    expect(g, 0, BFI_PERMUTE_FOLDED, "columns of");
}

static void test_through_elementwise(void **state) {
    (void)state;
    bfi_graph *g = image();
    int a = add_transpose(g, g->output, to_nhwc);
    a = net_same(g, BFI_OP_RELU, add_scale(g, a), -1);
    int c = kit_add(g, BFI_OP_CONST, -1, -1, g->nodes[a].shape) ? g->output : -1;
    g->nodes[c].weight = kit_numbers(NULL, g->nodes[c].count);
    a = net_same(g, BFI_OP_SUB, c, a);
    add_linear(g, add_flat(g, a), 1, 5);
    expect(g, 0, BFI_PERMUTE_FOLDED, "columns of");
    g = image(); /* both operands permuted alike */
    int left = add_transpose(g, 1, to_nhwc);
    int right = add_transpose(g, net_same(g, BFI_OP_TANH, 1, -1), to_nhwc);
    add_linear(g, add_flat(g, net_same(g, BFI_OP_ADD, left, right)), 1, 5);
    expect(g, 0, BFI_PERMUTE_FOLDED, "columns of");
    g = image(); /* permuted differently */
    left = add_transpose(g, 1, to_nhwc);
    bfi_graph *other = g;
    static const int64_t wide[] = {0, 3, 2, 1};
    right = add_transpose(other, add_conv(g, 0, 3), wide);
    kit_add(g, BFI_OP_RESHAPE, right, -1, g->nodes[left].shape);
    add_linear(g, add_flat(g, net_same(g, BFI_OP_ADD, left, g->output)), 1, 5);
    expect(g, 2, BFI_PERMUTE_FIXED, "needs an operand in this order");
}

static void test_within_rows(void **state) {
    (void)state;
    static const int64_t within[] = {0, 2, 1}, across[] = {1, 0, 2};
    bfi_graph *g = kit_graph(KIT_SHAPE(3, 2, 4));
    int a = add_transpose(g, net_same(g, BFI_OP_TANH, 0, -1), within);
    kit_add(g, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(3, 8));
    add_linear(g, g->output, 3, 5);
    expect(g, 0, BFI_PERMUTE_FOLDED, "columns of");
    g = kit_graph(KIT_SHAPE(3, 2, 4));
    a = add_transpose(g, net_same(g, BFI_OP_TANH, 0, -1), across);
    kit_add(g, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(6, 4));
    add_linear(g, g->output, 6, 5);
    expect(g, 1, BFI_PERMUTE_MOVABLE, "could move down");
}

static void test_rows(void **state) {
    (void)state;
    bfi_graph *g = kit_graph(KIT_SHAPE(1, 4));
    int a = add_linear(g, 0, 1, 24);
    g->nodes[a].bias_error = kit_numbers(NULL, 24);
    for (int i = 0; i < 24; i++) g->nodes[a].bias_error.data[i] = ldexp((double)i, -70);
    kit_add(g, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(1, 2, 4, 3));
    a = net_same(g, BFI_OP_RELU, add_scale(g, g->output), -1);
    add_conv(g, add_transpose(g, a, to_nchw), 2);
    expect(g, 0, BFI_PERMUTE_FOLDED, "rows of");
    g = kit_graph(KIT_SHAPE(1, 4)); /* up to the output */
    kit_add(g, BFI_OP_RESHAPE, add_linear(g, 0, 1, 6), -1, KIT_SHAPE(2, 3));
    add_transpose(g, g->output, turn);
    expect(g, 0, BFI_PERMUTE_FOLDED, "rows of");
}

static void test_constant(void **state) {
    (void)state;
    bfi_graph *g = kit_graph(KIT_SHAPE(3, 2));
    bfi_node *node = kit_add(g, BFI_OP_CONST, -1, -1, KIT_SHAPE(2, 3));
    node->weight = kit_numbers(NULL, 6);
    net_same(g, BFI_OP_ADD, 0, add_transpose(g, g->output, turn));
    expect(g, 0, BFI_PERMUTE_FOLDED, "constant");
}

/* What a permuted bias error belongs to moves along. */
static void test_bias_error(void **state) {
    (void)state;
    bfi_graph *g = kit_graph(KIT_SHAPE(2, 3));
    add_linear(g, add_flat(g, add_scale(g, add_transpose(g, 0, turn))), 1, 2);
    result r = permute(g);
    const bfi_node *scale = &r.graph->nodes[1];
    assert_int_equal(scale->op, BFI_OP_SCALE_SHIFT);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            assert_true(scale->bias_error.data[i * 3 + j] ==
                        g->nodes[2].bias_error.data[j * 2 + i]);
    forget(&r);
    bfi_graph_free(g);
}

/* ---- what stays ---- */

static void test_stays(void **state) {
    (void)state;
    bfi_graph *g = kit_graph(KIT_SHAPE(1, 2, 4, 3)); /* images with channels innermost */
    add_conv(g, add_transpose(g, 0, to_nchw), 2);
    expect(g, 1, BFI_PERMUTE_FIXED, "external");
    g = image();
    add_transpose(g, g->output, to_nhwc);
    expect(g, 1, BFI_PERMUTE_FIXED, "network's output");
    g = image();
    net_same(g, BFI_OP_RELU, add_transpose(g, g->output, to_nhwc), -1);
    expect(g, 1, BFI_PERMUTE_MOVABLE, "network's output");
    g = kit_graph(KIT_SHAPE(1, 2, 3, 3)); /* a second reader needs the order */
    int a = add_transpose(g, net_same(g, BFI_OP_RELU, 0, -1), swap), b = add_conv(g, a, 2);
    b = add_linear(g, add_flat(g, b), 1, 5);
    net_same(g, BFI_OP_ADD, add_linear(g, add_flat(g, a), 1, 5), b);
    expect(g, 1, BFI_PERMUTE_FIXED, "(conv)");
    g = kit_graph(KIT_SHAPE(1, 4)); /* a second reader of the linear */
    kit_add(g, BFI_OP_RESHAPE, add_linear(g, 0, 1, 4), -1, KIT_SHAPE(2, 2));
    net_same(g, BFI_OP_ADD, add_transpose(g, g->output, turn), 2);
    expect(g, 1, BFI_PERMUTE_FIXED, "needs an operand");
    g = kit_graph(KIT_SHAPE(2, 3)); /* a linear of several rows */
    add_transpose(g, add_linear(g, 0, 2, 4), turn);
    expect(g, 1, BFI_PERMUTE_FIXED, "network's output");
}

static void test_wrong_axis(void **state) {
    (void)state;
    static const int64_t wrong[][2] = {{0, 2}, {-1, 0}, {1, 1}};
    for (int i = 0; i < 3; i++) {
        bf_error err = {""};
        bfi_graph *g = kit_graph(KIT_SHAPE(2, 2));
        add_transpose(g, 0, turn);
        memcpy(g->nodes[1].attrs.perm, wrong[i], sizeof wrong[i]);
        assert_int_equal(bfi_graph_validate(g, &err), BF_STATUS_SHAPE);
        assert_non_null(strstr(err.message, "perm is not a permutation: entry"));
        g->nodes[1].shape = KIT_SHAPE(4);
        assert_int_equal(bfi_graph_validate(g, &err), BF_STATUS_SHAPE);
        assert_non_null(strstr(err.message, "ranks differ"));
        bfi_graph_free(g);
    }
}

/* ---- layout ---- */

static const bfi_layout_entry *layout_of(const bfi_layout_report *report, int value) {
    assert_in_range(value, 0, report->count - 1);
    return &report->entries[value];
}

static void expect_layout(const bfi_layout_report *report, int value, bfi_layout natural,
                          bfi_layout preferred, const char *possible, const char *reason) {
    const bfi_layout_entry *e = layout_of(report, value);
    char text[64];
    assert_string_equal(bfi_layout_name(e->natural), bfi_layout_name(natural));
    assert_string_equal(bfi_layout_name(e->preferred), bfi_layout_name(preferred));
    assert_string_equal(bfi_layout_set_text(e->possible, text, sizeof text), possible);
    if (!strstr(e->reason, reason)) fail_msg("%s", e->reason);
    assert_true(e->coefficients);
}

static void test_layout(void **state) {
    (void)state;
    bfi_layout_report report;
    bfi_graph *g = kit_graph(KIT_SHAPE(1, 2, 4, 3));
    int a = add_transpose(g, 0, to_nchw), b = add_conv(g, a, 8);
    int c = net_same(g, BFI_OP_RELU, b, -1), d = add_conv(g, c, 5), e = add_flat(g, d);
    int f = add_linear(g, e, 1, 2);
    assert_int_equal(bfi_layout_analyse(g, &report, NULL), BF_STATUS_OK);
    expect_layout(&report, 0, BFI_LAYOUT_NHWC, BFI_LAYOUT_NHWC, "nhwc", "input is ordered");
    expect_layout(&report, a, BFI_LAYOUT_NCHW, BFI_LAYOUT_NCHW, "nchw", "(transpose) fixes");
    expect_layout(&report, b, BFI_LAYOUT_NCHW, BFI_LAYOUT_NCHW, "nchw nhwc blocked",
                  "neighbouring");
    expect_layout(&report, c, BFI_LAYOUT_NCHW, BFI_LAYOUT_NCHW, "nchw nhwc blocked", "innermost");
    expect_layout(&report, d, BFI_LAYOUT_NCHW, BFI_LAYOUT_NCHW, "nchw nhwc", "do not fill");
    expect_layout(&report, e, BFI_LAYOUT_FLAT, BFI_LAYOUT_FLAT, "flat", "shares");
    expect_layout(&report, f, BFI_LAYOUT_FLAT, BFI_LAYOUT_FLAT, "flat", "output is ordered");
    bfi_layout_report_clear(&report);
    bfi_graph_free(g);
}

static void test_layout_pins(void **state) {
    (void)state;
    bfi_layout_report report;
    bfi_graph *g = image();
    int a = net_same(g, BFI_OP_RELU, 1, -1);
    bfi_node *node = kit_add(g, BFI_OP_SOFTMAX, a, -1, g->nodes[a].shape);
    node->attrs.axis = 1;
    add_linear(g, add_flat(g, g->output), 1, 2);
    assert_int_equal(bfi_layout_analyse(g, &report, NULL), BF_STATUS_OK);
    expect_layout(&report, 1, BFI_LAYOUT_NCHW, BFI_LAYOUT_NCHW, "nchw", "(softmax) fixes");
    expect_layout(&report, a, BFI_LAYOUT_NCHW, BFI_LAYOUT_NCHW, "nchw", "(softmax) fixes");
    bfi_layout_report_clear(&report);
    bfi_graph_free(g);
}

/* ---- models ---- */

static void check_model(const char *path, const bf_model *model) {
    bfi_graph *g = model->graph, *simple;
    if (kit_count_op(g, BFI_OP_TRANSPOSE) == 0 || kit_flops(g) > 6e8) return;
    bfi_simplify_options so = bfi_simplify_options_default();
    bfi_simplify_report sr;
    bfi_layout_report layouts;
    assert_int_equal(bfi_pass_simplify(g, &so, &simple, &sr, NULL), BF_STATUS_OK);
    result r = permute(simple);
    kit_same_values(g, r.graph, NULL);
    bf_options o = kit_options(BF_METHOD_IBP, BF_DTYPE_FLOAT64, BF_EXECUTOR_NATIVE);
    kit_same_bounds(simple, r.graph, o, 1e-3, 1e-9, false);
    o.method = BF_METHOD_CROWN;
    if (kit_flops(g) < 5e5) kit_same_bounds(simple, r.graph, o, 1e-3, 1e-9, false);
    assert_int_equal(bfi_layout_analyse(r.graph, &layouts, NULL), BF_STATUS_OK);
    assert_int_equal(layouts.count, r.graph->count);
    bfi_layout_report_clear(&layouts);
    print_message("%s: %d of %d transposes folded\n", strrchr(path, '/') + 1, r.report.folded,
                  r.report.count);
    for (int i = 0; i < r.report.count; i++)
        print_message("    %-8s%s\n", bfi_permute_mark_name(r.report.entries[i].mark),
                      r.report.entries[i].text);
    forget(&r);
    bfi_simplify_report_clear(&sr);
    bfi_graph_free(simple);
}

static void check_none_left(const char *path, const bf_model *model) {
    (void)path;
    assert_int_equal(kit_count_op(model->graph, BFI_OP_TRANSPOSE), 1);
    result r = permute(model->graph);
    assert_int_equal(kit_count_op(r.graph, BFI_OP_TRANSPOSE), 0);
    kit_same_in_settings(model->graph, r.graph, KIT_EXECUTED, 0.01, 1e-4, 1e-11);
    forget(&r);
}

static void test_models(void **state) {
    (void)state;
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR"), *data = getenv("BOUNDFLOW_DATA");
    if (!root) skip();
    assert_int_equal(kit_each_model(root, "models/digits_cnn_permute.onnx", check_none_left), 1);
    assert_int_equal(kit_each_model(root, "models/*.onnx", check_model), 4);
    if (kit_each_model(data, "vnncomp/*/onnx/*.onnx", check_model) == 0)
        print_message("SKIPPED: no public models (set BOUNDFLOW_DATA)\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unit_axes),   cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_columns),     cmocka_unit_test(test_through_elementwise),
        cmocka_unit_test(test_within_rows), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_constant),    cmocka_unit_test(test_bias_error),
        cmocka_unit_test(test_stays),       cmocka_unit_test(test_wrong_axis),
        cmocka_unit_test(test_layout),      cmocka_unit_test(test_layout_pins),
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
