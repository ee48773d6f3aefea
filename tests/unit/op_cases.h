/* A small network for every op, with odd sizes, strides, pads, dilations and groups. */
#ifndef BF_TESTS_OP_CASES_H
#define BF_TESTS_OP_CASES_H

#include "random_nets.h"

typedef struct op_case {
    const char *name;
    bfi_graph *(*build)(int variant);
    int variants;
} op_case;

/* relu, then a linear layer to |n| outputs: something to be bounded backward behind every op. */
static inline bfi_graph *case_finish(bfi_graph *graph, int64_t n) {
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
static inline bfi_graph *case_start(int64_t n, bfi_shape shape) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(n));
    int64_t m = bfi_shape_count(&shape, BFI_MAX_COUNT);
    int a = net_linear(graph, NET_PLAIN, 0, 1, n, m);
    if (shape.rank != 1) kit_add(graph, BFI_OP_RESHAPE, a, -1, shape);
    return graph;
}

static inline bfi_graph *case_linear(int variant) {
    static const int64_t sizes[][2] = {{1, 1}, {3, 17}, {16, 16}, {65, 33}, {130, 5}, {64, 128}};
    bfi_graph *graph = kit_graph(KIT_SHAPE(sizes[variant][0]));
    net_linear(graph, NET_PLAIN, 0, 1, sizes[variant][0], sizes[variant][1]);
    return case_finish(graph, 5);
}

static inline bfi_graph *case_linear_rows(int variant) {
    int64_t rows = 2 + variant, k = 5 + 13 * variant;
    bfi_graph *graph = case_start(4, KIT_SHAPE(rows, k));
    int a = net_same(graph, BFI_OP_RELU, graph->output, -1);
    net_linear(graph, NET_PLAIN, a, rows, k, 3 + 16 * variant);
    return case_finish(graph, 4);
}

static inline bfi_graph *case_conv(int variant) {
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
    return case_finish(graph, 3);
}

static inline bfi_graph *case_pool(int variant) {
    static const net_geometry cases[] = {{0, 2, 2, 2, 2, 1, 1, 0, 1},
                                         {0, 3, 3, 1, 2, 1, 1, 1, 1},
                                         {0, 3, 2, 2, 1, 2, 1, 0, 1},
                                         {0, 3, 3, 2, 2, 2, 2, 2, 1},
                                         {0, 5, 6, 1, 1, 1, 1, 0, 1}};
    bfi_graph *graph = case_start(6, KIT_SHAPE(1, 2, 5, 6));
    int a = net_same(graph, BFI_OP_RELU, graph->output, -1);
    net_geometry g = cases[variant % 5];
    g.c_out = 2;
    a = net_window(graph, NET_PLAIN, variant < 5 ? BFI_OP_MAX_POOL : BFI_OP_AVERAGE_POOL, a, g);
    assert_true(a > 0);
    graph->nodes[a].attrs.window.count_pad = variant % 2;
    return case_finish(graph, 3);
}

static inline bfi_graph *case_transpose(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(2, 3, 4));
    static const int64_t perms[][3] = {{2, 1, 0}, {1, 2, 0}, {0, 2, 1}};
    const int64_t *p = perms[variant], dim[3] = {2, 3, 4};
    bfi_node *node = kit_add(graph, BFI_OP_TRANSPOSE, graph->output, -1,
                             KIT_SHAPE(dim[p[0]], dim[p[1]], dim[p[2]]));
    memcpy(node->attrs.perm, p, 3 * sizeof *p);
    return case_finish(graph, 4);
}

static inline bfi_graph *case_concat(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(3, 5));
    int a = graph->output, b = net_same(graph, BFI_OP_RELU, a, -1);
    const int inputs[4] = {a, b, a, b};
    int n = 2 + variant;
    bfi_shape shape = variant % 2 ? KIT_SHAPE(3, 5 * n) : KIT_SHAPE(3 * n, 5);
    graph->output = bfi_graph_add(graph, BFI_OP_CONCAT, "concat", "Test", inputs, n, &shape);
    graph->nodes[graph->output].attrs.axis = variant % 2;
    return case_finish(graph, 4);
}

static inline bfi_graph *case_slice(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(4, 7));
    bfi_node *node = kit_add(graph, BFI_OP_SLICE, graph->output, -1,
                             variant ? KIT_SHAPE(2, 3) : KIT_SHAPE(4, 7));
    node->attrs.start[0] = variant ? 1 : 3, node->attrs.step[0] = variant ? 2 : -1;
    node->attrs.start[1] = variant ? 6 : 0, node->attrs.step[1] = variant ? -3 : 1;
    return case_finish(graph, 4);
}

static inline bfi_graph *case_gather(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(3, 4));
    bfi_node *node = kit_add(graph, BFI_OP_GATHER, graph->output, -1,
                             variant ? KIT_SHAPE(3, 5) : KIT_SHAPE(5, 4));
    node->attrs.axis = variant;
    node->indices = kit_indices((int64_t[]){2, 0, 2, 2, 1}, 5);
    node->n_indices = 5;
    node->indices_shape = KIT_SHAPE(5);
    return case_finish(graph, 4);
}

static inline bfi_graph *case_pad(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(3, 4));
    bfi_node *node =
        kit_add(graph, BFI_OP_PAD, graph->output, -1, variant ? KIT_SHAPE(2, 5) : KIT_SHAPE(6, 5));
    node->attrs.start[0] = variant ? -1 : 2, node->attrs.start[1] = variant ? 1 : 0;
    node->attrs.value = variant ? 0 : 0.3;
    return case_finish(graph, 4);
}

static inline bfi_graph *case_expand(int variant) {
    (void)variant;
    bfi_graph *graph = case_start(5, KIT_SHAPE(3, 1, 2));
    kit_add(graph, BFI_OP_EXPAND, graph->output, -1, KIT_SHAPE(3, 5, 2));
    return case_finish(graph, 4);
}

static inline bfi_graph *case_resize(int variant) {
    (void)variant;
    bfi_graph *graph = case_start(5, KIT_SHAPE(1, 1, 2, 3));
    bfi_node *node = kit_add(graph, BFI_OP_RESIZE, graph->output, -1, KIT_SHAPE(1, 1, 4, 5));
    int64_t from[20];
    for (int i = 0; i < 20; i++) from[i] = i / 5 / 2 * 3 + i % 5 * 3 / 5;
    node->indices = kit_indices(from, 20);
    node->n_indices = 20;
    return case_finish(graph, 4);
}

static inline bfi_graph *case_reduce(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(3, 7, 11));
    bfi_op op = variant % 2 ? BFI_OP_REDUCE_MEAN : BFI_OP_REDUCE_SUM;
    bfi_shape shapes[2] = {KIT_SHAPE(3, 1, 11), KIT_SHAPE(1, 1, 11)};
    bfi_node *node = kit_add(graph, op, graph->output, -1, shapes[variant / 2]);
    node->attrs.reduce[1] = true;
    node->attrs.reduce[0] = variant / 2;
    return case_finish(graph, 4);
}

static inline bfi_graph *case_affine(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(4 + 30 * variant));
    net_scale(graph, NET_PLAIN, net_same(graph, BFI_OP_RELU, graph->output, -1));
    return case_finish(graph, 4);
}

/* x + x, x - relu x, and a value with three uses. */
static inline bfi_graph *case_residual(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(19));
    int a = graph->output, b = net_same(graph, BFI_OP_RELU, a, -1);
    int c = net_same(graph, BFI_OP_ADD, variant ? b : a, variant ? b : a);
    int d = net_same(graph, BFI_OP_SUB, c, b);
    int e = net_linear(graph, NET_PLAIN, net_same(graph, BFI_OP_RELU, d, -1), 1, 19, 19);
    net_same(graph, variant ? BFI_OP_ADD : BFI_OP_SUB, e, c);
    return case_finish(graph, 4);
}

/* Ops with and without a linear rule between affine layers. */
static inline bfi_graph *case_unary(int variant) {
    static const bfi_op ops[] = {BFI_OP_RELU,  BFI_OP_LEAKY_RELU, BFI_OP_SIGMOID, BFI_OP_TANH,
                                 BFI_OP_SIN,   BFI_OP_COS,        BFI_OP_EXP,     BFI_OP_LOG,
                                 BFI_OP_SQRT,  BFI_OP_RECIPROCAL, BFI_OP_ABS,     BFI_OP_SIGN,
                                 BFI_OP_FLOOR, BFI_OP_CLIP,       BFI_OP_SQUARE};
    bfi_graph *graph = case_start(5, KIT_SHAPE(21));
    int a = graph->output;
    bfi_op op = ops[variant % 15];
    if (op == BFI_OP_LOG || op == BFI_OP_SQRT || op == BFI_OP_RECIPROCAL) {
        a = net_same(graph, BFI_OP_SIGMOID, a, -1);
    }
    a = net_same(graph, op, a, -1);
    graph->nodes[a].attrs.slope = variant >= 15 ? -0.25 : 0.125;
    graph->nodes[a].attrs.lo = -0.5, graph->nodes[a].attrs.hi = 0.75;
    return case_finish(graph, 4);
}

static inline bfi_graph *case_binary(int variant) {
    static const bfi_op ops[] = {BFI_OP_MUL, BFI_OP_DIV, BFI_OP_MAX, BFI_OP_MIN};
    bfi_graph *graph = case_start(5, KIT_SHAPE(21));
    int a = graph->output, b = net_same(graph, BFI_OP_SIGMOID, a, -1);
    net_same(graph, ops[variant % 4], a, variant >= 4 ? a : b);
    return case_finish(graph, 4);
}

/* Products of affine functions of few inputs, of such products, and of one value with itself. */
static inline bfi_graph *case_products(int variant) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(3));
    int a = net_linear(graph, NET_PLAIN, 0, 1, 3, 21),
        b = net_linear(graph, NET_PLAIN, 0, 1, 3, 21);
    if (variant == 1) b = net_same(graph, BFI_OP_RELU, b, -1);
    int c = net_same(graph, BFI_OP_MUL, a, variant == 2 ? a : b);
    if (variant == 3) c = net_same(graph, BFI_OP_MUL, c, net_same(graph, BFI_OP_SUB, a, c));
    net_same(graph, BFI_OP_ADD, c, b);
    return case_finish(graph, 4);
}

static inline bfi_graph *case_matmul(int variant) {
    (void)variant;
    bfi_graph *graph = case_start(5, KIT_SHAPE(2, 3, 4));
    int a = graph->output;
    kit_add(graph, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(2, 4, 3));
    bfi_node *node = kit_add(graph, BFI_OP_MATMUL, a, graph->output, KIT_SHAPE(2, 3, 3));
    node->attrs.batch = 2, node->attrs.rows = 3, node->attrs.k = 4, node->attrs.n = 3;
    return case_finish(graph, 4);
}

static inline bfi_graph *case_softmax(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(3, 4));
    net_same(graph, BFI_OP_SOFTMAX, graph->output, -1);
    graph->nodes[graph->output].attrs.axis = variant;
    return case_finish(graph, 4);
}

static inline bfi_graph *case_constant(int variant) {
    bfi_graph *graph = case_start(5, KIT_SHAPE(9));
    int a = graph->output;
    kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(9))->weight = net_numbers(NET_PLAIN, 9);
    net_same(graph, variant ? BFI_OP_ADD : BFI_OP_MAX, a, graph->output);
    return case_finish(graph, 4);
}

/* The output is an input, a reshape, a nonlinearity. */
static inline bfi_graph *case_output(int variant) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(6));
    if (variant >= 1) net_same(graph, BFI_OP_RELU, 0, -1);
    if (variant >= 2) kit_add(graph, BFI_OP_RESHAPE, graph->output, -1, KIT_SHAPE(2, 3));
    if (variant >= 3)
        net_same(graph, BFI_OP_SIGMOID, net_linear(graph, NET_PLAIN, 2, 2, 3, 20), -1);
    kit_validate(graph);
    return graph;
}

static inline bfi_graph *case_random(int variant) {
    return variant % 2 ? net_mlp(NET_SCALES) : net_conv(NET_CANCEL);
}

static const op_case op_cases[] = {
    {"linear", case_linear, 6},
    {"linear rows", case_linear_rows, 3},
    {"conv", case_conv, 14},
    {"pool", case_pool, 10},
    {"transpose", case_transpose, 3},
    {"concat", case_concat, 3},
    {"slice", case_slice, 2},
    {"gather", case_gather, 2},
    {"pad", case_pad, 2},
    {"expand", case_expand, 1},
    {"resize", case_resize, 1},
    {"reduce", case_reduce, 4},
    {"scale_shift", case_affine, 3},
    {"residual", case_residual, 2},
    {"unary", case_unary, 17},
    {"binary", case_binary, 8},
    {"products", case_products, 4},
    {"matmul", case_matmul, 1},
    {"softmax", case_softmax, 2},
    {"constant", case_constant, 2},
    {"output", case_output, 4},
    {"random", case_random, 60},
};

#endif
