/* exec/point_eval.h: values against the interpreter, gradients against finite differences, op by
 * op; the same bits for one point whatever its company and the kernel table. */
#include <math.h>

#include "exec/point_eval.h"
#include "graph_kit.h"
#include "ir/evaluate.h"

/* What builders append to; the input has 24 elements in the shape they ask for. */
typedef void builder(bfi_graph *graph);

enum { N = 24 };

static double uniform(double lo, double hi) {
    return lo + (hi - lo) * ((double)kit_bits() / 2147483648.0);
}

static bfi_numbers numbers(int64_t n) {
    bfi_numbers out = kit_numbers(NULL, n);
    for (int64_t i = 0; i < n; i++) out.data[i] = (double)(float)uniform(-1, 1);
    return out;
}

static bfi_graph *input_24(void) { return kit_graph(KIT_SHAPE(1, 2, 3, 4)); }

static int reshape(bfi_graph *graph, int from, bfi_shape shape) {
    kit_add(graph, BFI_OP_RESHAPE, from, -1, shape);
    return graph->count - 1;
}

/* A dense layer to |n| outputs of |shape|, so that the gradient that comes back is not trivial. */
static int dense(bfi_graph *graph, int from, int64_t n, bfi_shape shape) {
    int64_t k = graph->nodes[from].count;
    int flat = reshape(graph, from, KIT_SHAPE(1, k));
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, flat, -1, KIT_SHAPE(1, n));
    node->attrs.rows = 1;
    node->attrs.k = k;
    node->attrs.n = n;
    node->weight = numbers(n * k);
    node->bias = numbers(n);
    return reshape(graph, graph->count - 1, shape);
}

static void build_linear_rows(bfi_graph *graph) {
    int x = reshape(graph, 0, KIT_SHAPE(4, 6));
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, x, -1, KIT_SHAPE(4, 19));
    node->attrs.rows = 4;
    node->attrs.k = 6;
    node->attrs.n = 19;
    node->weight = numbers(19 * 6);
}

static bfi_window window(int64_t c_out, int64_t h_out, int64_t w_out) {
    return (bfi_window){.groups = 1,
                        .c_in = 2,
                        .h_in = 3,
                        .w_in = 4,
                        .c_out = c_out,
                        .h_out = h_out,
                        .w_out = w_out,
                        .kh = 2,
                        .kw = 3,
                        .stride_h = 1,
                        .stride_w = 2,
                        .dil_h = 1,
                        .dil_w = 1,
                        .pad_top = 1,
                        .pad_left = 1};
}

static void build_conv(bfi_graph *graph) {
    bfi_node *node = kit_add(graph, BFI_OP_CONV, 0, -1, KIT_SHAPE(1, 4, 4, 2));
    node->attrs.window = window(4, 4, 2);
    node->attrs.window.groups = 2;
    node->weight = numbers(4 * 1 * 2 * 3);
    node->bias = numbers(4);
}

static void build_conv_transpose(bfi_graph *graph) {
    bfi_node *node = kit_add(graph, BFI_OP_CONV_TRANSPOSE, 0, -1, KIT_SHAPE(1, 3, 2, 7));
    node->attrs.window = window(3, 2, 7);
    node->weight = numbers(2 * 3 * 2 * 3);
    node->bias = numbers(3);
}

static void build_max_pool(bfi_graph *graph) {
    kit_add(graph, BFI_OP_MAX_POOL, 0, -1, KIT_SHAPE(1, 2, 4, 2))->attrs.window = window(2, 4, 2);
}

static void build_average_pool(bfi_graph *graph) {
    kit_add(graph, BFI_OP_AVERAGE_POOL, 0, -1, KIT_SHAPE(1, 2, 4, 2))->attrs.window =
        window(2, 4, 2);
}

static void build_scale_shift(bfi_graph *graph) {
    bfi_shape shape = KIT_SHAPE(1, 2, 3, 4);
    bfi_node *node = kit_add(graph, BFI_OP_SCALE_SHIFT, 0, -1, shape);
    node->weight = numbers(N);
    node->bias = numbers(N);
    kit_add(graph, BFI_OP_SCALE_SHIFT, 1, -1, shape)->bias = numbers(N);
}

static void build_structural(bfi_graph *graph) {
    bfi_node *node = kit_add(graph, BFI_OP_TRANSPOSE, 0, -1, KIT_SHAPE(1, 4, 2, 3));
    memcpy(node->attrs.perm, (int64_t[]){0, 3, 1, 2}, 4 * sizeof(int64_t));
    node = kit_add(graph, BFI_OP_SLICE, 1, -1, KIT_SHAPE(1, 2, 2, 3));
    node->attrs.start[1] = 3;
    node->attrs.step[0] = node->attrs.step[2] = node->attrs.step[3] = 1;
    node->attrs.step[1] = -2;
    kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(1, 1, 2, 3))->weight = numbers(6);
    bfi_shape joined = KIT_SHAPE(1, 7, 2, 3);
    int inputs[3] = {1, 3, 2};
    assert_int_equal(bfi_graph_add(graph, BFI_OP_CONCAT, "concat", "Test", inputs, 3, &joined), 4);
    graph->nodes[4].attrs.axis = 1;
    node = kit_add(graph, BFI_OP_PAD, 4, -1, KIT_SHAPE(1, 8, 2, 4));
    node->attrs.start[1] = 1;
    node->attrs.value = 0.5;
    kit_add(graph, BFI_OP_REDUCE_MEAN, 5, -1, KIT_SHAPE(1, 8, 1, 4))->attrs.reduce[2] = true;
    kit_add(graph, BFI_OP_EXPAND, 6, -1, KIT_SHAPE(1, 8, 3, 4));
    kit_add(graph, BFI_OP_REDUCE_SUM, 7, -1, KIT_SHAPE(1, 8, 3))->attrs.reduce[3] = true;
    node = kit_add(graph, BFI_OP_GATHER, 8, -1, KIT_SHAPE(1, 3, 3));
    node->attrs.axis = 1;
    node->indices = kit_indices((int64_t[]){6, 1, 6}, 3);
    node->n_indices = 3;
    node->indices_shape = KIT_SHAPE(3);
}

/* x op (dense of x), both ways round, added to what x alone gives: adjoints meet at x. */
static void build_binary(bfi_graph *graph, bfi_op op) {
    bfi_shape shape = KIT_SHAPE(1, 2, 3, 4);
    int other = dense(graph, 0, N, shape);
    if (op == BFI_OP_DIV) { /* a denominator away from zero */
        kit_add(graph, BFI_OP_SQUARE, other, -1, shape);
        kit_add(graph, BFI_OP_SCALE_SHIFT, graph->count - 1, -1, shape)->bias =
            kit_numbers(NULL, N);
        for (int i = 0; i < N; i++) graph->nodes[graph->output].bias.data[i] = 1;
        other = graph->output;
    }
    kit_add(graph, op, 0, other, shape);
    int first = graph->output;
    kit_add(graph, op == BFI_OP_DIV ? BFI_OP_SUB : op, other, op == BFI_OP_DIV ? first : 0, shape);
    kit_add(graph, BFI_OP_SUB, graph->output, first, shape);
    kit_add(graph, BFI_OP_ADD, graph->output, first, shape);
    kit_add(graph, BFI_OP_MUL, graph->output, graph->output, shape);
}
static void build_add(bfi_graph *graph) { build_binary(graph, BFI_OP_ADD); }
static void build_sub(bfi_graph *graph) { build_binary(graph, BFI_OP_SUB); }
static void build_mul(bfi_graph *graph) { build_binary(graph, BFI_OP_MUL); }
static void build_div(bfi_graph *graph) { build_binary(graph, BFI_OP_DIV); }
static void build_max(bfi_graph *graph) { build_binary(graph, BFI_OP_MAX); }
static void build_min(bfi_graph *graph) { build_binary(graph, BFI_OP_MIN); }

static void build_matmul(bfi_graph *graph) {
    int left = reshape(graph, 0, KIT_SHAPE(2, 3, 4));
    int right = dense(graph, 0, 40, KIT_SHAPE(2, 4, 5));
    bfi_attrs *a = &kit_add(graph, BFI_OP_MATMUL, left, right, KIT_SHAPE(2, 3, 5))->attrs;
    a->batch = 2;
    a->rows = 3;
    a->k = 4;
    a->n = 5;
}

static void build_softmax(bfi_graph *graph) {
    kit_add(graph, BFI_OP_SOFTMAX, 0, -1, KIT_SHAPE(1, 2, 3, 4))->attrs.axis = 2;
}

static void build_reused_alias(bfi_graph *graph) {
    int flat = reshape(graph, 0, KIT_SHAPE(1, N));
    kit_add(graph, BFI_OP_TANH, flat, -1, KIT_SHAPE(1, N));
    int again = reshape(graph, graph->output, KIT_SHAPE(1, 2, 3, 4));
    kit_add(graph, BFI_OP_MUL, again, 0, KIT_SHAPE(1, 2, 3, 4));
    reshape(graph, graph->output, KIT_SHAPE(N));
}

static void build_flat(bfi_graph *graph) { /* no gradient at all */
    kit_add(graph, BFI_OP_FLOOR, 0, -1, KIT_SHAPE(1, 2, 3, 4));
    kit_add(graph, BFI_OP_SIGN, 1, -1, KIT_SHAPE(1, 2, 3, 4));
    kit_add(graph, BFI_OP_TANH, 2, -1, KIT_SHAPE(1, 2, 3, 4));
}

/* sum of seed * f in float64 */
static double objective(const bfi_graph *graph, const double *x, const double *seed) {
    int64_t n = graph->nodes[graph->output].count;
    bfi_numbers y = kit_numbers(NULL, n);
    double sum = 0;
    assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, y.data, NULL, NULL), BF_STATUS_OK);
    for (int64_t i = 0; i < n; i++) sum += seed[i] * y.data[i];
    free(y.data);
    return sum;
}

static void check_values(const bfi_graph *graph, const bfi_point_eval *eval, const double *x,
                         int64_t lane, int64_t ls) {
    double **values;
    assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT32, x, NULL, &values, NULL), BF_STATUS_OK);
    for (int id = 0; id < graph->count; id++) {
        double scale = 1e-6;
        for (int64_t j = 0; j < graph->nodes[id].count; j++)
            scale = fmax(scale, fabs(values[id][j]));
        for (int64_t j = 0; j < graph->nodes[id].count; j++) {
            double y = (double)bfi_point_eval_value(eval, id)[j * ls + lane];
            if (!(fabs(y - values[id][j]) <= 1e-5 * scale))
                fail_msg("%s: element %d is %g, wanted %g", graph->nodes[id].name, (int)j, y,
                         values[id][j]);
        }
    }
    bfi_evaluation_free(graph, values);
}

static void check_gradient(const bfi_graph *graph, const float *gradient, double *x,
                           const double *seed, int64_t ls) {
    const double h = 1e-6;
    for (int64_t i = 0; i < graph->nodes[0].count; i++) {
        double at = x[i], up, down;
        x[i] = at + h;
        up = objective(graph, x, seed);
        x[i] = at - h;
        down = objective(graph, x, seed);
        x[i] = at;
        double want = (up - down) / (2 * h), got = (double)gradient[i * ls];
        if (!(fabs(want - got) <= 2e-4 * (1 + fabs(want))))
            fail_msg("%s: derivative %d is %g, wanted %g", graph->nodes[graph->output].name, (int)i,
                     got, want);
    }
}

/* Random points from (lo, hi) in |lanes| lanes; every 7th lane is looked at. */
static void check_graph(const bfi_graph *graph, double lo, double hi, int64_t lanes) {
    int64_t n = graph->nodes[0].count, n_out = graph->nodes[graph->output].count;
    bfi_constants *constants;
    bfi_point_eval *eval;
    kit_validate(graph);
    assert_int_equal(bfi_constants_create(graph, BFI_F32, &constants, NULL), BF_STATUS_OK);
    assert_int_equal(
        bfi_point_eval_create(graph, constants, bfi_kernels_native(BFI_F32, NULL), 48, &eval, NULL),
        BF_STATUS_OK);
    int64_t ls = bfi_point_eval_resize(eval, lanes);
    assert_true(ls >= lanes && ls % BF_LANE_PAD == 0);
    float *in = bfi_point_eval_input(eval), *to = bfi_point_eval_seed(eval);
    bfi_budget none = {0};
    for (int64_t i = 0; i < n * ls; i++) in[i] = (float)uniform(lo, hi);
    assert_int_equal(bfi_point_eval_forward(eval, &none), BF_STATUS_OK);
    for (int64_t i = 0; i < n_out * ls; i++) to[i] = (float)kit_eighth();
    bfi_numbers seeds = kit_numbers(NULL, n_out * ls);
    for (int64_t i = 0; i < n_out * ls; i++) seeds.data[i] = (double)to[i];
    assert_int_equal(bfi_point_eval_adjoint(eval, &none), BF_STATUS_OK);
    bfi_numbers x = kit_numbers(NULL, n), seed = kit_numbers(NULL, n_out);
    for (int64_t l = 0; l < lanes; l += 7) {
        for (int64_t i = 0; i < n; i++) x.data[i] = (double)in[i * ls + l];
        for (int64_t i = 0; i < n_out; i++) seed.data[i] = seeds.data[i * ls + l];
        check_values(graph, eval, x.data, l, ls);
        check_gradient(graph, bfi_point_eval_gradient(eval) + l, x.data, seed.data, ls);
    }
    free(x.data), free(seed.data), free(seeds.data);
    bfi_point_eval_free(eval);
    bfi_constants_free(constants);
}

static void every_structure(void **state) {
    (void)state;
    builder *const builders[] = {
        build_linear_rows,  build_conv,         build_conv_transpose,
        build_max_pool,     build_average_pool, build_scale_shift,
        build_structural,   build_add,          build_sub,
        build_mul,          build_div,          build_max,
        build_min,          build_matmul,       build_softmax,
        build_reused_alias, build_flat,
    };
    for (size_t i = 0; i < sizeof builders / sizeof *builders; i++) {
        bfi_graph *graph = input_24();
        builders[i](graph);
        check_graph(graph, -1, 1, 1 + (int64_t)(i * 7 % 41));
        bfi_graph_free(graph);
    }
}

static void every_unary_op(void **state) {
    (void)state;
    for (int op = 0; op < BFI_OP_COUNT; op++) {
        if (bfi_op_class_of((bfi_op)op) != BFI_CLASS_UNARY) continue;
        bool positive = op == BFI_OP_LOG || op == BFI_OP_SQRT || op == BFI_OP_RECIPROCAL;
        bfi_graph *graph = input_24();
        bfi_node *node = kit_add(graph, (bfi_op)op, 0, -1, KIT_SHAPE(1, 2, 3, 4));
        node->attrs.slope = 0.125;
        node->attrs.lo = -0.5;
        node->attrs.hi = 0.25;
        check_graph(graph, positive ? 0.25 : -2, 2, 17);
        dense(graph, 1, 5, KIT_SHAPE(5));
        check_graph(graph, positive ? 0.25 : -2, 2, 33);
        bfi_graph_free(graph);
    }
}

static void resize_copies(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 1, 2, 2));
    bfi_node *node = kit_add(graph, BFI_OP_RESIZE, 0, -1, KIT_SHAPE(1, 1, 4, 2));
    node->indices = kit_indices((int64_t[]){0, 1, 0, 1, 2, 3, 2, 3}, 8);
    node->n_indices = 8;
    dense(graph, 1, 3, KIT_SHAPE(3));
    check_graph(graph, -1, 1, 3);
    bfi_graph_free(graph);
}

static void constant_output_and_identity(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(3));
    check_graph(graph, -1, 1, 5);
    kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(2))->weight = numbers(2);
    kit_add(graph, BFI_OP_TANH, 1, -1, KIT_SHAPE(2));
    check_graph(graph, -1, 1, 5);
    bfi_graph_free(graph);
}

static void leak_passes_inactive_relus(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    kit_add(graph, BFI_OP_RELU, 0, -1, KIT_SHAPE(1));
    bfi_constants *constants;
    bfi_point_eval *eval;
    bfi_budget none = {0};
    assert_int_equal(bfi_constants_create(graph, BFI_F32, &constants, NULL), BF_STATUS_OK);
    assert_int_equal(
        bfi_point_eval_create(graph, constants, bfi_kernels_ref(BFI_F32), 16, &eval, NULL),
        BF_STATUS_OK);
    for (int l = 0; l < 16; l++) {
        bfi_point_eval_input(eval)[l] = l % 2 ? 1 : -1;
        bfi_point_eval_leak(eval)[l] = (float)l / 16;
    }
    assert_int_equal(bfi_point_eval_forward(eval, &none), BF_STATUS_OK);
    for (int l = 0; l < 16; l++) bfi_point_eval_seed(eval)[l] = 3;
    assert_int_equal(bfi_point_eval_adjoint(eval, &none), BF_STATUS_OK);
    for (int l = 0; l < 16; l++)
        assert_true(bfi_point_eval_gradient(eval)[l] == (l % 2 ? 3.0f : 3 * (float)l / 16));
    bfi_point_eval_free(eval);
    bfi_constants_free(constants);
    bfi_graph_free(graph);
}

/* A small net with most kinds of nodes, for the bits. */
static bfi_graph *mixed_net(void) {
    bfi_graph *graph = input_24();
    build_conv(graph);
    kit_add(graph, BFI_OP_RELU, 1, -1, KIT_SHAPE(1, 4, 4, 2));
    int out = dense(graph, 2, 100, KIT_SHAPE(100));
    kit_add(graph, BFI_OP_SIGMOID, out, -1, KIT_SHAPE(100));
    dense(graph, graph->output, 3, KIT_SHAPE(3));
    return graph;
}

static void evaluate_lanes(const bfi_graph *graph, const char *isa, int64_t lanes, float *y,
                           float *gradient) {
    int64_t n = graph->nodes[0].count;
    bfi_constants *constants;
    bfi_point_eval *eval;
    bfi_budget none = {0};
    const bfi_kernels *kernels = bfi_kernels_native(BFI_F32, isa);
    assert_non_null(kernels);
    assert_int_equal(bfi_constants_create(graph, BFI_F32, &constants, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_point_eval_create(graph, constants, kernels, 64, &eval, NULL),
                     BF_STATUS_OK);
    assert_true(bfi_point_eval_bytes(graph, 64) > 0);
    int64_t ls = bfi_point_eval_resize(eval, lanes);
    float *in = bfi_point_eval_input(eval), *seed = bfi_point_eval_seed(eval);
    for (int64_t i = 0; i < n; i++)
        for (int64_t l = 0; l < ls; l++)
            in[i * ls + l] = l == lanes - 1 ? 0.01f * (float)i : (float)uniform(-1, 1);
    assert_int_equal(bfi_point_eval_forward(eval, &none), BF_STATUS_OK);
    for (int64_t i = 0; i < 3 * ls; i++) seed[i] = i / ls == 0 ? 1 : -1;
    assert_int_equal(bfi_point_eval_adjoint(eval, &none), BF_STATUS_OK);
    for (int64_t i = 0; i < 3; i++) y[i] = bfi_point_eval_output(eval)[i * ls + lanes - 1];
    for (int64_t i = 0; i < n; i++) gradient[i] = bfi_point_eval_gradient(eval)[i * ls + lanes - 1];
    bfi_point_eval_free(eval);
    bfi_constants_free(constants);
}

static void same_bits_in_any_company(void **state) {
    (void)state;
    const char *const tables[] = {"ref", NULL};
    bfi_graph *graph = mixed_net();
    float y[3], gradient[N], y2[3], gradient2[N];
    evaluate_lanes(graph, "ref", 1, y, gradient);
    for (int64_t lanes = 2; lanes <= 64; lanes += 9)
        for (int t = 0; t < 2; t++) {
            evaluate_lanes(graph, tables[t], lanes, y2, gradient2);
            assert_memory_equal(y, y2, sizeof y);
            assert_memory_equal(gradient, gradient2, sizeof gradient);
        }
    bfi_graph_free(graph);
}

static void stops_on_request(void **state) {
    (void)state;
    bfi_graph *graph = mixed_net();
    bfi_constants *constants;
    bfi_point_eval *eval;
    atomic_int stop = 1;
    bfi_budget stopped = {0, &stop}, late = {1e-9, NULL};
    assert_int_equal(bfi_constants_create(graph, BFI_F32, &constants, NULL), BF_STATUS_OK);
    assert_int_equal(
        bfi_point_eval_create(graph, constants, bfi_kernels_ref(BFI_F32), 16, &eval, NULL),
        BF_STATUS_OK);
    assert_int_equal(bfi_point_eval_forward(eval, &stopped), BF_STATUS_CANCELLED);
    assert_int_equal(bfi_point_eval_adjoint(eval, &late), BF_STATUS_TIMEOUT);
    bfi_point_eval_free(eval);
    bfi_constants_free(constants);
    bfi_graph_free(graph);
    bfi_point_eval_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_structure),
        cmocka_unit_test(every_unary_op),
        cmocka_unit_test(resize_copies),
        cmocka_unit_test(constant_output_and_identity),
        cmocka_unit_test(leak_passes_inactive_relus),
        cmocka_unit_test(same_bits_in_any_company),
        cmocka_unit_test(stops_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
