/* ir/evaluate.h: hand-computed values of every op, and window ops against their definition. */
#include "graph_kit.h"

#include <math.h>

#include "base/fp.h"
#include "ir/evaluate.h"

static double nan_value(void) { return (double)NAN; }

static void expect_output(const bfi_graph *graph, bfi_precision precision, const double *x,
                          const double *want) {
    int64_t n = graph->nodes[graph->output].count;
    double *y = calloc((size_t)n, sizeof *y);
    bf_error err = {""};
    kit_validate(graph);
    if (bfi_evaluate(graph, precision, x, y, NULL, &err) != BF_STATUS_OK)
        fail_msg("%s", err.message);
    for (int64_t i = 0; i < n; i++)
        if (!(y[i] == want[i] || (y[i] != y[i] && want[i] != want[i])))
            fail_msg("%s: output %d is %a, wanted %a", graph->nodes[graph->output].name, (int)i,
                     y[i], want[i]);
    free(y);
}

/* Expects |want| in both precisions and frees the graph. */
static void expect(bfi_graph *graph, const double *x, const double *want) {
    expect_output(graph, BFI_EVAL_FLOAT64, x, want);
    expect_output(graph, BFI_EVAL_FLOAT32, x, want);
    bfi_graph_free(graph);
}

static void linear(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 3));
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, 0, -1, KIT_SHAPE(2, 2));
    node->attrs.rows = node->attrs.n = 2;
    node->attrs.k = 3;
    node->weight = kit_numbers((double[]){1, 2, 3, 0, -1, 0.5}, 6);
    node->bias = kit_numbers((double[]){10, 20}, 2);
    expect(graph, (double[]){1, 1, 1, 2, 0, 4}, (double[]){16, 19.5, 24, 22});
}

static void scale_shift(void **state) {
    (void)state;
    for (int parts = 0; parts < 4; parts++) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(2));
        bfi_node *node = kit_add(graph, BFI_OP_SCALE_SHIFT, 0, -1, KIT_SHAPE(2));
        if (parts & 1) node->weight = kit_numbers((double[]){2, -3}, 2);
        if (parts & 2) node->bias = kit_numbers((double[]){1, 0.5}, 2);
        double want[2] = {parts & 1 ? 10.0 : 5.0, parts & 1 ? -12.0 : 4.0};
        if (parts & 2) {
            want[0] += 1;
            want[1] += 0.5;
        }
        expect(graph, (double[]){5, 4}, want);
    }
}

static void binary_ops(void **state) {
    (void)state;
    const struct {
        bfi_op op;
        double want[2]; /* of (4, -1) and (-2, 2.5) */
    } cases[] = {
        {BFI_OP_ADD, {3, 0.5}},   {BFI_OP_SUB, {5, -4.5}}, {BFI_OP_MUL, {-4, -5}},
        {BFI_OP_DIV, {-4, -0.8}}, {BFI_OP_MAX, {4, 2.5}},  {BFI_OP_MIN, {-1, -2}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(3));
        kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(3))->weight =
            kit_numbers((double[]){-1, 2.5, 1}, 3);
        kit_add(graph, cases[i].op, 0, 1, KIT_SHAPE(3));
        const double x[] = {4, -2, nan_value()};
        expect_output(graph, BFI_EVAL_FLOAT64, x,
                      (double[]){cases[i].want[0], cases[i].want[1], nan_value()});
        graph->nodes[2].inputs[0] = 1;
        graph->nodes[2].inputs[1] = 0; /* NaN on the right */
        double y[3];
        assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, y, NULL, NULL), BF_STATUS_OK);
        assert_true(isnan(y[2]));
        bfi_graph_free(graph);
    }
}

static void unary_ops(void **state) {
    (void)state;
    const double x[] = {-2.25, 0, 0.75, 4, nan_value()};
    const struct {
        bfi_op op;
        double want[5];
    } cases[] = {
        {BFI_OP_RELU, {0, 0, 0.75, 4, nan_value()}},
        {BFI_OP_LEAKY_RELU, {-0.28125, 0, 0.75, 4, nan_value()}},
        {BFI_OP_SQRT, {nan_value(), 0, 0.8660254037844386, 2, nan_value()}},
        {BFI_OP_RECIPROCAL, {1 / -2.25, (double)INFINITY, 1 / 0.75, 0.25, nan_value()}},
        {BFI_OP_ABS, {2.25, 0, 0.75, 4, nan_value()}},
        {BFI_OP_SIGN, {-1, 0, 1, 1, nan_value()}},
        {BFI_OP_FLOOR, {-3, 0, 0, 4, nan_value()}},
        {BFI_OP_CLIP, {-1, 0, 0.75, 2, nan_value()}},
        {BFI_OP_SQUARE, {5.0625, 0, 0.5625, 16, nan_value()}},
        {BFI_OP_SIGMOID, {bfi_sigmoid(-2.25), 0.5, bfi_sigmoid(0.75), bfi_sigmoid(4), nan_value()}},
        {BFI_OP_TANH, {bfi_tanh(-2.25), 0, bfi_tanh(0.75), bfi_tanh(4), nan_value()}},
        {BFI_OP_SIN, {bfi_sin(-2.25), 0, bfi_sin(0.75), bfi_sin(4), nan_value()}},
        {BFI_OP_COS, {bfi_cos(-2.25), 1, bfi_cos(0.75), bfi_cos(4), nan_value()}},
        {BFI_OP_EXP, {bfi_exp(-2.25), 1, bfi_exp(0.75), bfi_exp(4), nan_value()}},
        {BFI_OP_LOG, {nan_value(), -(double)INFINITY, bfi_log(0.75), bfi_log(4), nan_value()}},
    };
    int covered = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++, covered++) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(5));
        bfi_node *node = kit_add(graph, cases[i].op, 0, -1, KIT_SHAPE(5));
        double want[5];
        node->attrs.slope = 0.125;
        node->attrs.lo = -1;
        node->attrs.hi = 2;
        expect_output(graph, BFI_EVAL_FLOAT64, x, cases[i].want);
        for (int k = 0; k < 5; k++) want[k] = (double)(float)cases[i].want[k];
        expect_output(graph, BFI_EVAL_FLOAT32, x, want);
        bfi_graph_free(graph);
    }
    for (int op = 0; op < BFI_OP_COUNT; op++)
        covered -= bfi_op_class_of((bfi_op)op) == BFI_CLASS_UNARY;
    assert_int_equal(covered, 0);
}

static void matmul(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 1, 2));
    kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(2, 2, 3))->weight =
        kit_numbers((double[]){1, 2, 3, 4, 5, 6, -1, 0, 1, 0.5, 0.5, 0.5}, 12);
    bfi_attrs *a = &kit_add(graph, BFI_OP_MATMUL, 0, 1, KIT_SHAPE(2, 1, 3))->attrs;
    a->batch = 2;
    a->rows = 1;
    a->k = 2;
    a->n = 3;
    expect(graph, (double[]){1, 10, 2, 4}, (double[]){41, 52, 63, 0, 2, 4});
}

static void softmax(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 2, 2));
    kit_add(graph, BFI_OP_SOFTMAX, 0, -1, KIT_SHAPE(2, 2, 2))->attrs.axis = 1;
    double x[] = {1, 1000, 1, -1000, 0, 3, 0.5, 3}, y[8];
    for (int p = 0; p < 2; p++) {
        double tolerance = p == 0 ? 1e-7 : 1e-15;
        assert_int_equal(bfi_evaluate(graph, (bfi_precision)p, x, y, NULL, NULL), BF_STATUS_OK);
        const double want[] = {0.5, 1, 0.5, 0, 1 / (1 + exp(0.5)), 0.5, 1 / (1 + exp(-0.5)), 0.5};
        for (int i = 0; i < 8; i++) assert_true(fabs(y[i] - want[i]) <= tolerance);
    }
    bfi_graph_free(graph);
}

static void structural_ops(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 2, 2));
    kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(1, 1, 2))->weight =
        kit_numbers((double[]){7, 8}, 2);
    kit_add(graph, BFI_OP_CONCAT, 1, 0, KIT_SHAPE(1, 3, 2))->attrs.axis = 1; /* 7 8 / 1 2 / 3 4 */
    bfi_node *node = kit_add(graph, BFI_OP_PAD, 2, -1, KIT_SHAPE(1, 3, 3));
    node->attrs.value = 9; /* 7 8 9 / 1 2 9 / 3 4 9 */
    node = kit_add(graph, BFI_OP_TRANSPOSE, 3, -1, KIT_SHAPE(1, 3, 3));
    memcpy(node->attrs.perm, (int64_t[]){0, 2, 1}, 3 * sizeof(int64_t)); /* 7 1 3 / 8 2 4 / 9 9 9 */
    kit_add(graph, BFI_OP_RESHAPE, 4, -1, KIT_SHAPE(3, 3));
    kit_add(graph, BFI_OP_REDUCE_SUM, 5, -1, KIT_SHAPE(3))->attrs.reduce[0] = true;
    expect_output(graph, BFI_EVAL_FLOAT64, (double[]){1, 2, 3, 4}, (double[]){24, 12, 16});
    kit_add(graph, BFI_OP_REDUCE_MEAN, 6, -1, (bfi_shape){.rank = 0})->attrs.reduce[0] = true;
    double y, want = 52.0 / 3;
    assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, (double[]){1, 2, 3, 4}, &y, NULL, NULL),
                     BF_STATUS_OK);
    assert_true(fabs(y - want) < 1e-14);
    bfi_graph_free(graph);
}

static bfi_window random_window(void) {
    for (;;) {
        bfi_window w = {.groups = kit_int(1, 2), .h_in = kit_int(1, 7), .w_in = kit_int(1, 7)};
        w.c_in = w.groups * kit_int(1, 2);
        w.c_out = w.groups * kit_int(1, 3);
        w.kh = kit_int(1, 3);
        w.kw = kit_int(1, 3);
        w.stride_h = kit_int(1, 3);
        w.stride_w = kit_int(1, 3);
        w.dil_h = kit_int(1, 2);
        w.dil_w = kit_int(1, 2);
        w.pad_top = kit_int(0, 2);
        w.pad_left = kit_int(0, 2);
        int64_t room_h = w.h_in + 2 * w.pad_top - w.dil_h * (w.kh - 1) - 1;
        int64_t room_w = w.w_in + 2 * w.pad_left - w.dil_w * (w.kw - 1) - 1;
        w.h_out = room_h / w.stride_h + 1;
        w.w_out = room_w / w.stride_w + 1;
        if (room_h >= 0 && room_w >= 0) return w;
    }
}

/* Weight of x[ci][iy][ix] in y[co][oy][ox], straight from the definition of conv. */
static double conv_entry(const bfi_window *w, const double *weight, int64_t out, int64_t in) {
    int64_t co = out / (w->h_out * w->w_out), oy = out / w->w_out % w->h_out, ox = out % w->w_out;
    int64_t ci = in / (w->h_in * w->w_in), iy = in / w->w_in % w->h_in, ix = in % w->w_in;
    int64_t group_in = w->c_in / w->groups, group_out = w->c_out / w->groups;
    if (co / group_out != ci / group_in) return 0;
    for (int64_t ky = 0; ky < w->kh; ky++)
        for (int64_t kx = 0; kx < w->kw; kx++)
            if (iy == oy * w->stride_h - w->pad_top + ky * w->dil_h &&
                ix == ox * w->stride_w - w->pad_left + kx * w->dil_w)
                return weight[((co * group_in + ci % group_in) * w->kh + ky) * w->kw + kx];
    return 0;
}

static void conv_is_its_matrix(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        bfi_window w = random_window();
        int64_t n_in = w.c_in * w.h_in * w.w_in, n_out = w.c_out * w.h_out * w.w_out;
        bfi_graph *graph = kit_graph(KIT_SHAPE(1, w.c_in, w.h_in, w.w_in));
        bfi_node *node =
            kit_add(graph, BFI_OP_CONV, 0, -1, KIT_SHAPE(1, w.c_out, w.h_out, w.w_out));
        node->attrs.window = w;
        node->weight = kit_numbers(NULL, w.c_out * (w.c_in / w.groups) * w.kh * w.kw);
        if (round % 2) node->bias = kit_numbers(NULL, w.c_out);
        bfi_numbers x = kit_numbers(NULL, n_in), want = kit_numbers(NULL, n_out);
        for (int64_t o = 0; o < n_out; o++) {
            want.data[o] = node->bias.count ? node->bias.data[o / (w.h_out * w.w_out)] : 0;
            for (int64_t i = 0; i < n_in; i++)
                want.data[o] += conv_entry(&w, node->weight.data, o, i) * x.data[i];
        }
        expect(graph, x.data, want.data);
        free(x.data);
        free(want.data);
    }
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* <conv(x), z> == <x, conv_transpose(z)> with the same weight array: exact, all numbers are
 * eighths. */
static void conv_transpose_is_the_adjoint(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        bfi_window w = random_window(), back = w;
        back.c_in = w.c_out, back.h_in = w.h_out, back.w_in = w.w_out;
        back.c_out = w.c_in, back.h_out = w.h_in, back.w_out = w.w_in;
        int64_t n = w.c_in * w.h_in * w.w_in, m = w.c_out * w.h_out * w.w_out;
        bfi_graph *forth = kit_graph(KIT_SHAPE(1, w.c_in, w.h_in, w.w_in));
        bfi_node *node =
            kit_add(forth, BFI_OP_CONV, 0, -1, KIT_SHAPE(1, w.c_out, w.h_out, w.w_out));
        node->attrs.window = w;
        node->weight = kit_numbers(NULL, w.c_out * (w.c_in / w.groups) * w.kh * w.kw);
        bfi_graph *transposed = kit_graph(KIT_SHAPE(1, w.c_out, w.h_out, w.w_out));
        bfi_node *adjoint =
            kit_add(transposed, BFI_OP_CONV_TRANSPOSE, 0, -1, KIT_SHAPE(1, w.c_in, w.h_in, w.w_in));
        adjoint->attrs.window = back;
        adjoint->weight = kit_numbers(node->weight.data, node->weight.count);
        kit_validate(forth);
        kit_validate(transposed);
        bfi_numbers x = kit_numbers(NULL, n), z = kit_numbers(NULL, m);
        bfi_numbers y = kit_numbers(NULL, m), t = kit_numbers(NULL, n);
        assert_int_equal(bfi_evaluate(forth, BFI_EVAL_FLOAT64, x.data, y.data, NULL, NULL),
                         BF_STATUS_OK);
        assert_int_equal(bfi_evaluate(transposed, BFI_EVAL_FLOAT64, z.data, t.data, NULL, NULL),
                         BF_STATUS_OK);
        assert_true(dot(y.data, z.data, m) == dot(x.data, t.data, n));
        free(x.data), free(y.data), free(z.data), free(t.data);
        bfi_graph_free(forth);
        bfi_graph_free(transposed);
    }
}

static void conv_transpose_adds_its_bias(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 1, 1, 2));
    bfi_node *node = kit_add(graph, BFI_OP_CONV_TRANSPOSE, 0, -1, KIT_SHAPE(1, 2, 1, 4));
    node->attrs.window = (bfi_window){.groups = 1,
                                      .c_in = 1,
                                      .h_in = 1,
                                      .w_in = 2,
                                      .c_out = 2,
                                      .h_out = 1,
                                      .w_out = 4,
                                      .kh = 1,
                                      .kw = 2,
                                      .stride_h = 1,
                                      .stride_w = 2,
                                      .dil_h = 1,
                                      .dil_w = 1};
    node->weight = kit_numbers((double[]){1, 2, 3, 4}, 4);
    node->bias = kit_numbers((double[]){100, 200}, 2);
    expect(graph, (double[]){1, 10}, (double[]){101, 102, 110, 120, 203, 204, 230, 240});
}

static void max_pool_takes_the_largest_inside(void **state) {
    (void)state;
    for (int round = 0; round < 100; round++) {
        bfi_window w = random_window();
        w.groups = 1;
        w.c_out = w.c_in;
        int64_t n_in = w.c_in * w.h_in * w.w_in, n_out = w.c_out * w.h_out * w.w_out;
        bfi_graph *graph = kit_graph(KIT_SHAPE(1, w.c_in, w.h_in, w.w_in));
        kit_add(graph, BFI_OP_MAX_POOL, 0, -1, KIT_SHAPE(1, w.c_out, w.h_out, w.w_out))
            ->attrs.window = w;
        if (bfi_graph_validate(graph, NULL) != BF_STATUS_OK) { /* a window wholly in the padding */
            bfi_graph_free(graph);
            continue;
        }
        bfi_numbers x = kit_numbers(NULL, n_in), want = kit_numbers(NULL, n_out);
        bfi_numbers ones = {.data = (double[9]){1, 1, 1, 1, 1, 1, 1, 1, 1}};
        bfi_window one = w;
        one.groups = one.c_in = one.c_out = 1;
        int64_t in = w.h_in * w.w_in, out = w.h_out * w.w_out;
        for (int64_t o = 0; o < n_out; o++) {
            want.data[o] = -(double)INFINITY;
            for (int64_t i = 0; i < in; i++)
                if (conv_entry(&one, ones.data, o % out, i) == 1)
                    want.data[o] = fmax(want.data[o], x.data[o / out * in + i]);
        }
        expect(graph, x.data, want.data);
        free(x.data), free(want.data);
    }
}

static void max_pool_keeps_nan(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 1, 1, 3));
    kit_add(graph, BFI_OP_MAX_POOL, 0, -1, KIT_SHAPE(1, 1, 1, 1))->attrs.window =
        (bfi_window){.groups = 1,
                     .c_in = 1,
                     .h_in = 1,
                     .w_in = 3,
                     .c_out = 1,
                     .h_out = 1,
                     .w_out = 1,
                     .kh = 1,
                     .kw = 3,
                     .stride_h = 1,
                     .stride_w = 1,
                     .dil_h = 1,
                     .dil_w = 1};
    expect(graph, (double[]){1, nan_value(), 2}, (double[]){nan_value()});
}

static void float32_rounds_every_operation(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2));
    bfi_node *node = kit_add(graph, BFI_OP_SCALE_SHIFT, 0, -1, KIT_SHAPE(2));
    node->weight = kit_numbers((double[]){0x1.000002p0, 3}, 2);
    node->bias = kit_numbers((double[]){-1, 0x1p-30}, 2);
    kit_add(graph, BFI_OP_SQUARE, 1, -1, KIT_SHAPE(2));
    const float x[] = {0x1.000002p0f, 0.1f};
    double **values, y[2], input[] = {x[0], 0.1};
    assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT32, input, y, &values, NULL), BF_STATUS_OK);
    for (int i = 0; i < 2; i++) {
        volatile float product = x[i] * (float)graph->nodes[1].weight.data[i];
        assert_true(values[0][i] == x[i]);
        volatile float sum = product + (float)graph->nodes[1].bias.data[i];
        volatile float square = sum * sum;
        assert_true(values[1][i] == sum);
        assert_true(values[2][i] == square && y[i] == square);
    }
    bfi_evaluation_free(graph, values);
    bfi_evaluation_free(graph, NULL);
    assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, input, NULL, &values, NULL),
                     BF_STATUS_OK);
    assert_true(values[1][0] == 0x1.000002p0 * 0x1.000002p0 - 1);
    bfi_evaluation_free(graph, values);
    bfi_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear),
        cmocka_unit_test(scale_shift),
        cmocka_unit_test(binary_ops),
        cmocka_unit_test(unary_ops),
        cmocka_unit_test(matmul),
        cmocka_unit_test(softmax),
        cmocka_unit_test(structural_ops),
        cmocka_unit_test(conv_is_its_matrix),
        cmocka_unit_test(conv_transpose_is_the_adjoint),
        cmocka_unit_test(conv_transpose_adds_its_bias),
        cmocka_unit_test(max_pool_takes_the_largest_inside),
        cmocka_unit_test(max_pool_keeps_nan),
        cmocka_unit_test(float32_rounds_every_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
