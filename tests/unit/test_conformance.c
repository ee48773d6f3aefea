/* One suite for all executors: the same plan gives the same bits on the reference and the native
 * executor with every instruction set, any number of threads, lanes and any memory budget. */
#include "bounds_kit.h"
#include "kernels/kernel.h"

enum { MAX_ROWS = 33 };

typedef struct op_case {
    const char *name;
    bfi_graph *(*build)(int variant);
    int variants;
} op_case;

/* relu, then a linear layer to |n| outputs: something to be bounded backward behind every op. */
static bfi_graph *finish(bfi_graph *graph, int64_t n) {
    int a = graph->output;
    if (graph->nodes[a].shape.rank != 1) a = net_flatten(graph, a);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_linear(graph, NET_PLAIN, a, 1, graph->nodes[a].count, 7);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    net_linear(graph, NET_PLAIN, a, 1, 7, n);
    kit_validate(graph);
    return graph;
}

/* input [n] -> linear [m] -> the op under test. */
static bfi_graph *start(int64_t n, bfi_shape shape) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(n));
    int64_t m = bfi_shape_count(&shape, BFI_MAX_COUNT);
    int a = net_linear(graph, NET_PLAIN, 0, 1, n, m);
    if (shape.rank != 1) kit_add(graph, BFI_OP_RESHAPE, a, -1, shape);
    return graph;
}

static bfi_graph *linear_case(int variant) {
    static const int64_t sizes[][2] = {{1, 1}, {3, 17}, {16, 16}, {65, 33}, {130, 5}, {64, 128}};
    bfi_graph *graph = kit_graph(KIT_SHAPE(sizes[variant][0]));
    net_linear(graph, NET_PLAIN, 0, 1, sizes[variant][0], sizes[variant][1]);
    return finish(graph, 5);
}

static bfi_graph *linear_rows_case(int variant) {
    int64_t rows = 2 + variant, k = 5 + 13 * variant;
    bfi_graph *graph = start(4, KIT_SHAPE(rows, k));
    int a = net_same(graph, BFI_OP_RELU, graph->output, -1);
    net_linear(graph, NET_PLAIN, a, rows, k, 3 + 16 * variant);
    return finish(graph, 4);
}

static bfi_graph *conv_case(int variant) {
    static const struct {
        int64_t c, h, w;
        net_geometry g;
    } cases[] = {
        {1, 5, 5, {3, 3, 3, 1, 1, 1, 1, 1, 1}},  {3, 7, 5, {5, 3, 2, 2, 1, 1, 2, 0, 1}},
        {4, 6, 6, {6, 2, 3, 1, 3, 2, 1, 2, 2}},  {2, 9, 4, {17, 1, 1, 1, 2, 1, 1, 0, 1}},
        {6, 4, 4, {6, 3, 3, 1, 1, 1, 1, 1, 6}},  {9, 3, 3, {2, 3, 3, 2, 2, 1, 1, 1, 1}},
        {1, 1, 31, {4, 1, 5, 1, 3, 1, 3, 0, 1}},
    };
    bool transposed = variant >= 7;
    bfi_graph *graph =
        kit_graph(KIT_SHAPE(1, cases[variant % 7].c, cases[variant % 7].h, cases[variant % 7].w));
    net_geometry g = cases[variant % 7].g;
    if (transposed && g.pad > g.dil_h * (g.kh - 1)) g.pad = 0;
    bfi_op op = transposed ? BFI_OP_CONV_TRANSPOSE : BFI_OP_CONV;
    int a = net_window(graph, NET_PLAIN, op, 0, g);
    assert_true(a > 0);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    int64_t c = graph->nodes[a].shape.dim[1];
    if (graph->nodes[a].count < 400) {
        a = net_window(graph, NET_PLAIN, op, a, (net_geometry){c, 1, 1, 1, 2, 1, 1, 0, 1});
        assert_true(a > 0);
    }
    return finish(graph, 3);
}

static bfi_graph *pool_case(int variant) {
    static const net_geometry cases[] = {{0, 2, 2, 2, 2, 1, 1, 0, 1},
                                         {0, 3, 3, 1, 2, 1, 1, 1, 1},
                                         {0, 3, 2, 2, 1, 2, 1, 0, 1},
                                         {0, 3, 3, 2, 2, 2, 2, 2, 1},
                                         {0, 5, 6, 1, 1, 1, 1, 0, 1}};
    bfi_graph *graph = start(6, KIT_SHAPE(1, 2, 5, 6));
    int a = net_same(graph, BFI_OP_RELU, graph->output, -1);
    net_geometry g = cases[variant % 5];
    g.c_out = 2;
    a = net_window(graph, NET_PLAIN, variant < 5 ? BFI_OP_MAX_POOL : BFI_OP_AVERAGE_POOL, a, g);
    assert_true(a > 0);
    graph->nodes[a].attrs.window.count_pad = variant % 2;
    return finish(graph, 3);
}

static bfi_graph *transpose_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(2, 3, 4));
    static const int64_t perms[][3] = {{2, 1, 0}, {1, 2, 0}, {0, 2, 1}};
    const int64_t *p = perms[variant], dim[3] = {2, 3, 4};
    bfi_node *node = kit_add(graph, BFI_OP_TRANSPOSE, graph->output, -1,
                             KIT_SHAPE(dim[p[0]], dim[p[1]], dim[p[2]]));
    memcpy(node->attrs.perm, p, 3 * sizeof *p);
    return finish(graph, 4);
}

static bfi_graph *concat_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(3, 5));
    int a = graph->output, b = net_same(graph, BFI_OP_RELU, a, -1);
    const int inputs[4] = {a, b, a, b};
    int n = 2 + variant;
    bfi_shape shape = variant % 2 ? KIT_SHAPE(3, 5 * n) : KIT_SHAPE(3 * n, 5);
    graph->output = bfi_graph_add(graph, BFI_OP_CONCAT, "concat", "Test", inputs, n, &shape);
    graph->nodes[graph->output].attrs.axis = variant % 2;
    return finish(graph, 4);
}

static bfi_graph *slice_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(4, 7));
    bfi_node *node = kit_add(graph, BFI_OP_SLICE, graph->output, -1,
                             variant ? KIT_SHAPE(2, 3) : KIT_SHAPE(4, 7));
    node->attrs.start[0] = variant ? 1 : 3, node->attrs.step[0] = variant ? 2 : -1;
    node->attrs.start[1] = variant ? 6 : 0, node->attrs.step[1] = variant ? -3 : 1;
    return finish(graph, 4);
}

static bfi_graph *gather_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(3, 4));
    bfi_node *node = kit_add(graph, BFI_OP_GATHER, graph->output, -1,
                             variant ? KIT_SHAPE(3, 5) : KIT_SHAPE(5, 4));
    node->attrs.axis = variant;
    node->indices = kit_indices((int64_t[]){2, 0, 2, 2, 1}, 5);
    node->n_indices = 5;
    node->indices_shape = KIT_SHAPE(5);
    return finish(graph, 4);
}

static bfi_graph *pad_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(3, 4));
    bfi_node *node =
        kit_add(graph, BFI_OP_PAD, graph->output, -1, variant ? KIT_SHAPE(2, 5) : KIT_SHAPE(6, 5));
    node->attrs.start[0] = variant ? -1 : 2, node->attrs.start[1] = variant ? 1 : 0;
    node->attrs.value = variant ? 0 : 0.3;
    return finish(graph, 4);
}

static bfi_graph *expand_case(int variant) {
    (void)variant;
    bfi_graph *graph = start(5, KIT_SHAPE(3, 1, 2));
    kit_add(graph, BFI_OP_EXPAND, graph->output, -1, KIT_SHAPE(3, 5, 2));
    return finish(graph, 4);
}

static bfi_graph *resize_case(int variant) {
    (void)variant;
    bfi_graph *graph = start(5, KIT_SHAPE(1, 1, 2, 3));
    bfi_node *node = kit_add(graph, BFI_OP_RESIZE, graph->output, -1, KIT_SHAPE(1, 1, 4, 5));
    int64_t from[20];
    for (int i = 0; i < 20; i++) from[i] = i / 5 / 2 * 3 + i % 5 * 3 / 5;
    node->indices = kit_indices(from, 20);
    node->n_indices = 20;
    return finish(graph, 4);
}

static bfi_graph *reduce_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(3, 7, 11));
    bfi_op op = variant % 2 ? BFI_OP_REDUCE_MEAN : BFI_OP_REDUCE_SUM;
    bfi_shape shapes[2] = {KIT_SHAPE(3, 1, 11), KIT_SHAPE(1, 1, 11)};
    bfi_node *node = kit_add(graph, op, graph->output, -1, shapes[variant / 2]);
    node->attrs.reduce[1] = true;
    node->attrs.reduce[0] = variant / 2;
    return finish(graph, 4);
}

static bfi_graph *affine_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(4 + 30 * variant));
    net_scale(graph, NET_PLAIN, net_same(graph, BFI_OP_RELU, graph->output, -1));
    return finish(graph, 4);
}

/* x + x, x - relu x, and a value with three uses. */
static bfi_graph *residual_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(19));
    int a = graph->output, b = net_same(graph, BFI_OP_RELU, a, -1);
    int c = net_same(graph, BFI_OP_ADD, variant ? b : a, variant ? b : a);
    int d = net_same(graph, BFI_OP_SUB, c, b);
    int e = net_linear(graph, NET_PLAIN, net_same(graph, BFI_OP_RELU, d, -1), 1, 19, 19);
    net_same(graph, variant ? BFI_OP_ADD : BFI_OP_SUB, e, c);
    return finish(graph, 4);
}

/* Ops with and without a linear rule between affine layers. */
static bfi_graph *unary_case(int variant) {
    static const bfi_op ops[] = {BFI_OP_RELU,  BFI_OP_LEAKY_RELU, BFI_OP_SIGMOID, BFI_OP_TANH,
                                 BFI_OP_SIN,   BFI_OP_COS,        BFI_OP_EXP,     BFI_OP_LOG,
                                 BFI_OP_SQRT,  BFI_OP_RECIPROCAL, BFI_OP_ABS,     BFI_OP_SIGN,
                                 BFI_OP_FLOOR, BFI_OP_CLIP,       BFI_OP_SQUARE};
    bfi_graph *graph = start(5, KIT_SHAPE(21));
    int a = graph->output;
    bfi_op op = ops[variant % 15];
    if (op == BFI_OP_LOG || op == BFI_OP_SQRT || op == BFI_OP_RECIPROCAL) {
        a = net_same(graph, BFI_OP_SIGMOID, a, -1);
    }
    a = net_same(graph, op, a, -1);
    graph->nodes[a].attrs.slope = variant >= 15 ? -0.25 : 0.125;
    graph->nodes[a].attrs.lo = -0.5, graph->nodes[a].attrs.hi = 0.75;
    return finish(graph, 4);
}

static bfi_graph *binary_case(int variant) {
    static const bfi_op ops[] = {BFI_OP_MUL, BFI_OP_DIV, BFI_OP_MAX, BFI_OP_MIN};
    bfi_graph *graph = start(5, KIT_SHAPE(21));
    int a = graph->output, b = net_same(graph, BFI_OP_SIGMOID, a, -1);
    net_same(graph, ops[variant % 4], a, variant >= 4 ? a : b);
    return finish(graph, 4);
}

static bfi_graph *matmul_case(int variant) {
    (void)variant;
    bfi_graph *graph = start(5, KIT_SHAPE(2, 3, 4));
    int a = graph->output;
    kit_add(graph, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(2, 4, 3));
    bfi_node *node = kit_add(graph, BFI_OP_MATMUL, a, graph->output, KIT_SHAPE(2, 3, 3));
    node->attrs.batch = 2, node->attrs.rows = 3, node->attrs.k = 4, node->attrs.n = 3;
    return finish(graph, 4);
}

static bfi_graph *softmax_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(3, 4));
    net_same(graph, BFI_OP_SOFTMAX, graph->output, -1);
    graph->nodes[graph->output].attrs.axis = variant;
    return finish(graph, 4);
}

static bfi_graph *constant_case(int variant) {
    bfi_graph *graph = start(5, KIT_SHAPE(9));
    int a = graph->output;
    kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(9))->weight = net_numbers(NET_PLAIN, 9);
    net_same(graph, variant ? BFI_OP_ADD : BFI_OP_MAX, a, graph->output);
    return finish(graph, 4);
}

/* The output is an input, a reshape, a nonlinearity. */
static bfi_graph *output_case(int variant) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(6));
    if (variant >= 1) net_same(graph, BFI_OP_RELU, 0, -1);
    if (variant >= 2) kit_add(graph, BFI_OP_RESHAPE, graph->output, -1, KIT_SHAPE(2, 3));
    if (variant >= 3)
        net_same(graph, BFI_OP_SIGMOID, net_linear(graph, NET_PLAIN, 2, 2, 3, 20), -1);
    kit_validate(graph);
    return graph;
}

static bfi_graph *random_case(int variant) {
    return variant % 2 ? net_mlp(NET_SCALES) : net_conv(NET_CANCEL);
}

static const op_case cases[] = {
    {"linear", linear_case, 6},
    {"linear rows", linear_rows_case, 3},
    {"conv", conv_case, 14},
    {"pool", pool_case, 10},
    {"transpose", transpose_case, 3},
    {"concat", concat_case, 3},
    {"slice", slice_case, 2},
    {"gather", gather_case, 2},
    {"pad", pad_case, 2},
    {"expand", expand_case, 1},
    {"resize", resize_case, 1},
    {"reduce", reduce_case, 4},
    {"scale_shift", affine_case, 3},
    {"residual", residual_case, 2},
    {"unary", unary_case, 17},
    {"binary", binary_case, 8},
    {"matmul", matmul_case, 1},
    {"softmax", softmax_case, 2},
    {"constant", constant_case, 2},
    {"output", output_case, 4},
    {"random", random_case, 60},
};

/* Everything one run gives: outputs, spec rows, all layers. */
typedef struct outcome {
    double *numbers;
    int64_t count;
} outcome;

static outcome run(const bf_model *model, bf_options o, int threads, const double *lo,
                   const double *hi, const double *spec, int64_t rows) {
    int64_t outputs = bf_model_output_count(model), total = 2 * outputs + 2 * rows;
    for (int i = 0; i < bf_model_layer_count(model); i++)
        total += 2 * bf_model_layer(model, i).count;
    outcome out = {calloc((size_t)total, sizeof(double)), total};
    double *p = out.numbers;
    kit_engine e = kit_engine_new(threads, model, o);
    kit_bounds(&e, lo, hi, NULL, 0, p, p + outputs);
    p += 2 * outputs;
    for (int i = 0; i < bf_model_layer_count(model); i++) {
        int64_t n = bf_model_layer(model, i).count;
        assert_true(bf_workspace_layer(e.plan, e.ws, i, p, p + n));
        p += 2 * n;
    }
    kit_bounds(&e, lo, hi, spec, rows, p, p + rows); /* the same workspace again */
    kit_engine_free(&e);
    return out;
}

static void expect_same(const outcome *want, outcome got, const char *name, int variant,
                        bf_options o, const char *what) {
    char setting[80];
    for (int64_t i = 0; i < want->count; i++) {
        assert_true(got.numbers[i] == got.numbers[i]);
        if (got.numbers[i] != want->numbers[i])
            fail_msg("%s %d, %s, %s: number %d is %a, reference %a", name, variant,
                     kit_setting_name(o, setting, sizeof setting), what, (int)i, got.numbers[i],
                     want->numbers[i]);
    }
    free(got.numbers);
}

/* The least memory the plan can do with, from the message of a plan that may use one byte. */
static int64_t least_memory(const bf_model *model, bf_options o, int threads) {
    bf_plan *plan = NULL;
    bf_error err = {""};
    o.memory = 1;
    assert_int_equal(bf_plan_create(kit_session(threads), model, &o, &plan, &err), BF_STATUS_LIMIT);
    const char *number = strstr(err.message, "at least ");
    assert_non_null(number);
    return strtoll(number + strlen("at least "), NULL, 10);
}

typedef struct problem {
    const char *name;
    int variant;
    bf_model *model;
    double *lo, *hi, *spec;
} problem;

static void conform(const problem *p, bf_options o, int64_t rows) {
    bf_options reference = o;
    reference.executor = BF_EXECUTOR_REFERENCE;
    outcome want = run(p->model, reference, 1, p->lo, p->hi, p->spec, rows);
    static const char *const isas[] = {"ref", "avx2", "avx512", NULL};
    o.executor = BF_EXECUTOR_NATIVE;
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        o.isa = isas[i];
        if (isas[i] &&
            !bfi_kernels_native(o.dtype == BF_DTYPE_FLOAT32 ? BFI_F32 : BFI_F64, isas[i]))
            continue;
        expect_same(&want, run(p->model, o, 1, p->lo, p->hi, p->spec, rows), p->name, p->variant, o,
                    isas[i] ? isas[i] : "default");
    }
    for (int threads = 2; threads <= 5; threads += 3)
        expect_same(&want, run(p->model, o, threads, p->lo, p->hi, p->spec, rows), p->name,
                    p->variant, o, "threads");
    o.memory = least_memory(p->model, o, 2);
    expect_same(&want, run(p->model, o, 2, p->lo, p->hi, p->spec, rows), p->name, p->variant, o,
                "least memory");
    free(want.numbers);
}

static problem pose(const char *name, int variant, bfi_graph *graph) {
    problem p = {name, variant, net_model(graph), NULL, NULL, NULL};
    int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
    p.lo = calloc((size_t)n, sizeof(double)), p.hi = calloc((size_t)n, sizeof(double));
    p.spec = calloc((size_t)(MAX_ROWS * m), sizeof(double));
    net_box(NET_PLAIN, n, p.lo, p.hi);
    for (int64_t i = 0; i < MAX_ROWS * m; i++) p.spec[i] = net_uniform();
    return p;
}

static void clear_problem(problem *p) {
    free(p->lo), free(p->hi), free(p->spec);
    bf_model_free(p->model);
}

static void every_op(void **state) {
    (void)state;
    int64_t rows = 0;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int v = 0; v < cases[c].variants; v++) {
            problem p = pose(cases[c].name, v, cases[c].build(v));
            for (int setting = 0; setting < 6; setting++) {
                bf_options o = kit_setting(setting);
                o.intersect = setting % 2;
                o.all_neurons = v % 2;
                o.rounding = v % 3 == 2 ? BF_ROUNDING_NEAREST : BF_ROUNDING_OUTWARD;
                o.semantics = v % 4 == 3 ? BF_SEMANTICS_FLOAT32 : BF_SEMANTICS_REAL;
                conform(&p, o, rows++ % MAX_ROWS + 1);
            }
            clear_problem(&p);
        }
}

/* A row's bounds do not depend on the rows beside it. */
static void rows_are_independent(void **state) {
    (void)state;
    problem p = pose("rows", 0, conv_case(1));
    int64_t m = bf_model_output_count(p.model);
    for (int setting = 0; setting < 6; setting++) {
        double lower[MAX_ROWS], upper[MAX_ROWS], one_lower, one_upper;
        kit_engine e = kit_engine_new(1, p.model, kit_setting(setting));
        for (int64_t rows = 1; rows <= MAX_ROWS; rows++) {
            kit_bounds(&e, p.lo, p.hi, p.spec, rows, lower, upper);
            for (int64_t r = 0; r < rows; r++) {
                kit_bounds(&e, p.lo, p.hi, p.spec + r * m, 1, &one_lower, &one_upper);
                assert_true(one_lower == lower[r] && one_upper == upper[r]);
            }
            bf_request only_lower = {
                .lo = p.lo, .hi = p.hi, .spec = p.spec, .rows = rows, .lower = lower};
            bf_request only_upper = {
                .lo = p.lo, .hi = p.hi, .spec = p.spec, .rows = rows, .upper = upper};
            assert_int_equal(bf_bounds_run(e.plan, e.ws, &only_lower, NULL), BF_STATUS_OK);
            assert_int_equal(bf_bounds_run(e.plan, e.ws, &only_upper, NULL), BF_STATUS_OK);
            assert_true(one_lower == lower[rows - 1] && one_upper == upper[rows - 1]);
        }
        kit_engine_free(&e);
    }
    clear_problem(&p);
}

/* Several tiles and work enough that threads take part. */
static void large(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 3, 9, 9));
    int a = net_window(graph, NET_PLAIN, BFI_OP_CONV, 0, (net_geometry){6, 3, 3, 1, 1, 1, 1, 1, 1});
    a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_window(graph, NET_PLAIN, BFI_OP_CONV, a, (net_geometry){7, 3, 3, 2, 2, 1, 1, 1, 1});
    a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = a;
    problem p = pose("large", 0, finish(graph, 9));
    conform(&p, bf_options_default(), MAX_ROWS);
    bf_options o = bf_options_default();
    o.dtype = BF_DTYPE_FLOAT64;
    o.intersect = o.all_neurons = 1;
    conform(&p, o, 10);
    clear_problem(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op),
                                       cmocka_unit_test(rows_are_independent),
                                       cmocka_unit_test(large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
