#include "graph_kit.h"

#include <math.h>

static void names_round_trip(void **state) {
    (void)state;
    for (int op = 0; op < BFI_OP_COUNT; op++)
        assert_int_equal(bfi_op_from_name(bfi_op_name((bfi_op)op)), op);
    assert_int_equal(bfi_op_from_name("nonsense"), BFI_OP_COUNT);
    assert_string_equal(bfi_op_name(BFI_OP_CONV), "conv");
    assert_string_equal(bfi_op_name((bfi_op)999), "?");
    assert_int_equal(bfi_op_class_of(BFI_OP_PAD), BFI_CLASS_STRUCTURAL);
}

static void shapes_count_and_print(void **state) {
    (void)state;
    char text[64], tiny[5];
    bfi_shape shape = KIT_SHAPE(1, 3, 8, 8), scalar = {.rank = 0},
              huge = KIT_SHAPE(1 << 20, 1 << 20);
    assert_int_equal(bfi_shape_count(&shape, INT64_MAX), 192);
    assert_int_equal(bfi_shape_count(&shape, 191), -1);
    assert_int_equal(bfi_shape_count(&scalar, INT64_MAX), 1);
    assert_int_equal(bfi_shape_count(&huge, BFI_MAX_COUNT), -1);
    huge = KIT_SHAPE(INT64_MAX, 2);
    assert_int_equal(bfi_shape_count(&huge, INT64_MAX), -1);
    huge = KIT_SHAPE(INT64_MAX, 2, 0);
    assert_int_equal(bfi_shape_count(&huge, INT64_MAX), 0);
    huge = KIT_SHAPE(2, -1);
    assert_int_equal(bfi_shape_count(&huge, INT64_MAX), -1);
    assert_string_equal(bfi_shape_text(&shape, text, sizeof text), "[1,3,8,8]");
    assert_string_equal(bfi_shape_text(&scalar, text, sizeof text), "[]");
    assert_string_equal(bfi_shape_text(&shape, tiny, sizeof tiny), "[1,3");
    assert_false(bfi_shape_equal(&shape, &scalar));
    assert_true(bfi_shape_equal(&shape, &shape));
}

static void add_linear(bfi_graph *graph, int from, int64_t k, int64_t n) {
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, from, -1, KIT_SHAPE(1, n));
    node->attrs.rows = 1;
    node->attrs.k = k;
    node->attrs.n = n;
    node->weight = kit_numbers(NULL, n * k);
    node->bias = kit_numbers(NULL, n);
}

static void prune_keeps_what_the_output_needs(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 4));
    add_linear(graph, 0, 4, 3);                          /* 1: dead */
    add_linear(graph, 0, 4, 5);                          /* 2 */
    kit_add(graph, BFI_OP_RELU, 1, -1, KIT_SHAPE(1, 3)); /* 3: dead */
    kit_add(graph, BFI_OP_RELU, 2, -1, KIT_SHAPE(1, 5)); /* 4 */
    kit_add(graph, BFI_OP_ADD, 4, 2, KIT_SHAPE(1, 5));   /* 5: output */
    kit_add(graph, BFI_OP_RELU, 5, -1, KIT_SHAPE(1, 5)); /* 6: behind the output */
    graph->output = 5;
    kit_validate(graph);
    assert_true(bfi_graph_prune(graph));
    assert_int_equal(graph->count, 4);
    assert_int_equal(graph->output, 3);
    assert_int_equal(graph->nodes[1].attrs.n, 5);
    assert_int_equal(graph->nodes[2].inputs[0], 1);
    assert_int_equal(graph->nodes[3].inputs[0], 2);
    assert_int_equal(graph->nodes[3].inputs[1], 1);
    kit_validate(graph);
    assert_true(bfi_graph_prune(graph));
    assert_int_equal(graph->count, 4);
    bfi_graph_free(graph);
    bfi_graph_free(NULL);
}

static void prune_keeps_an_unused_input(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 4));
    bfi_node *node = kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(2));
    node->weight = kit_numbers(NULL, 2);
    assert_true(bfi_graph_prune(graph));
    assert_int_equal(graph->count, 2);
    kit_validate(graph);
    bfi_graph_free(graph);
}

static void counts_parameters_and_flops(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 4, 6, 6));
    bfi_node *node = kit_add(graph, BFI_OP_CONV, 0, -1, KIT_SHAPE(1, 2, 6, 6));
    node->attrs.window = (bfi_window){.groups = 2,
                                      .c_in = 4,
                                      .h_in = 6,
                                      .w_in = 6,
                                      .c_out = 2,
                                      .h_out = 6,
                                      .w_out = 6,
                                      .kh = 3,
                                      .kw = 3,
                                      .stride_h = 1,
                                      .stride_w = 1,
                                      .dil_h = 1,
                                      .dil_w = 1,
                                      .pad_top = 1,
                                      .pad_left = 1};
    node->weight = kit_numbers(NULL, 2 * 2 * 9);
    node->bias = kit_numbers(NULL, 2);
    node = kit_add(graph, BFI_OP_SCALE_SHIFT, 1, -1, KIT_SHAPE(1, 2, 6, 6));
    node->weight = kit_numbers(NULL, 72);
    for (int i = 0; i < 72; i++) node->weight.data[i] = i < 36 ? 2 : 3;
    kit_add(graph, BFI_OP_RESHAPE, 2, -1, KIT_SHAPE(1, 72));
    add_linear(graph, 3, 72, 10);
    kit_validate(graph);
    assert_int_equal(bfi_node_parameters(&graph->nodes[1]), 38);
    assert_int_equal(bfi_node_parameters(&graph->nodes[2]), 2);
    assert_int_equal(bfi_node_parameters(&graph->nodes[3]), 0);
    assert_int_equal(bfi_node_parameters(&graph->nodes[4]), 730);
    assert_int_equal(bfi_node_flops(graph, 0), 0);
    assert_int_equal(bfi_node_flops(graph, 1), 2 * 72 * 2 * 9);
    assert_int_equal(bfi_node_flops(graph, 2), 72);
    assert_int_equal(bfi_node_flops(graph, 3), 0);
    assert_int_equal(bfi_node_flops(graph, 4), 1440);
    bfi_graph_free(graph);
}

/* Expects |code| and |what| in the message; frees the graph. */
static void expect_rejection(bfi_graph *graph, bf_status code, const char *what) {
    bf_error err = {""};
    assert_int_equal(bfi_graph_validate(graph, &err), code);
    if (!strstr(err.message, what)) fail_msg("'%s' lacks '%s'", err.message, what);
    assert_int_equal(bfi_graph_validate(graph, NULL), code);
    bfi_graph_free(graph);
}

static bfi_graph *linear_graph(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 4));
    add_linear(graph, 0, 4, 3);
    return graph;
}

static void validate_rejects_bad_structure(void **state) {
    (void)state;
    bfi_graph *graph = bfi_graph_new();
    expect_rejection(graph, BF_STATUS_INTERNAL, "without input");
    graph = linear_graph();
    graph->nodes[1].inputs[0] = 1;
    expect_rejection(graph, BF_STATUS_INTERNAL, "come before");
    graph = linear_graph();
    graph->nodes[1].n_inputs = 0;
    expect_rejection(graph, BF_STATUS_INTERNAL, "number of inputs");
    graph = linear_graph();
    graph->nodes[1].op = BFI_OP_INPUT;
    expect_rejection(graph, BF_STATUS_INTERNAL, "node 0");
    graph = linear_graph();
    graph->nodes[1].count = 4;
    expect_rejection(graph, BF_STATUS_INTERNAL, "count");
    expect_rejection(kit_graph(KIT_SHAPE(1, 0)), BF_STATUS_SHAPE, "no elements");
    expect_rejection(kit_graph(KIT_SHAPE(1 << 20, 1 << 20)), BF_STATUS_LIMIT, "2^31");
}

static void validate_rejects_bad_numbers(void **state) {
    (void)state;
    bfi_graph *graph = linear_graph();
    graph->nodes[1].weight.data[7] = (double)NAN;
    expect_rejection(graph, BF_STATUS_PARSE, "weight element 7 is NaN");
    graph = linear_graph();
    free(graph->source);
    graph->source = bfi_strdup("m.onnx");
    graph->nodes[1].bias.data[2] = (double)INFINITY;
    expect_rejection(graph, BF_STATUS_PARSE,
                     "m.onnx: node 'linear' (Test as linear): bias element 2");
}

static void validate_rejects_bad_shapes(void **state) {
    (void)state;
    bfi_graph *graph = linear_graph();
    graph->nodes[1].attrs.k = 5;
    expect_rejection(graph, BF_STATUS_SHAPE, "input is [1,4], output is [1,3]");
    graph = linear_graph();
    graph->nodes[1].weight.count = 11;
    expect_rejection(graph, BF_STATUS_SHAPE, "[n][k]");
    graph = kit_graph(KIT_SHAPE(2, 3));
    kit_add(graph, BFI_OP_RELU, 0, -1, KIT_SHAPE(3, 2));
    expect_rejection(graph, BF_STATUS_SHAPE, "differ");
    graph = kit_graph(KIT_SHAPE(2, 3));
    kit_add(graph, BFI_OP_TRANSPOSE, 0, -1, KIT_SHAPE(3, 2))->attrs.perm[0] = 1;
    graph->nodes[1].attrs.perm[1] = 1;
    expect_rejection(graph, BF_STATUS_SHAPE, "permutation");
    graph = kit_graph(KIT_SHAPE(2, 3));
    kit_add(graph, BFI_OP_CONCAT, 0, 0, KIT_SHAPE(5, 3));
    expect_rejection(graph, BF_STATUS_SHAPE, "add up");
    graph = kit_graph(KIT_SHAPE(5));
    bfi_node *node = kit_add(graph, BFI_OP_SLICE, 0, -1, KIT_SHAPE(3));
    node->attrs.start[0] = 0;
    node->attrs.step[0] = 2;
    kit_validate(graph);
    node->attrs.start[0] = 1;
    expect_rejection(graph, BF_STATUS_SHAPE, "leave the input");
    graph = kit_graph(KIT_SHAPE(3));
    kit_add(graph, BFI_OP_EXPAND, 0, -1, KIT_SHAPE(3, 2));
    expect_rejection(graph, BF_STATUS_SHAPE, "broadcast");
    graph = kit_graph(KIT_SHAPE(3));
    node = kit_add(graph, BFI_OP_GATHER, 0, -1, KIT_SHAPE(2));
    node->indices = kit_indices((int64_t[]){0, 3}, 2);
    node->n_indices = 2;
    node->indices_shape = KIT_SHAPE(2);
    expect_rejection(graph, BF_STATUS_SHAPE, "out of range");
}

static void validate_rejects_empty_pooling_windows(void **state) {
    (void)state;
    bfi_window w = {.groups = 1,
                    .c_in = 1,
                    .h_in = 4,
                    .w_in = 4,
                    .c_out = 1,
                    .h_out = 3,
                    .w_out = 2,
                    .kh = 2,
                    .kw = 2,
                    .stride_h = 2,
                    .stride_w = 2,
                    .dil_h = 1,
                    .dil_w = 1};
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 1, 4, 4));
    kit_add(graph, BFI_OP_MAX_POOL, 0, -1, KIT_SHAPE(1, 1, 3, 2))->attrs.window = w;
    graph->nodes[1].attrs.window.pad_top = 1;
    kit_validate(graph);
    graph->nodes[1].attrs.window.pad_top = 0;
    expect_rejection(graph, BF_STATUS_SHAPE, "wholly in the padding");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_round_trip),
        cmocka_unit_test(shapes_count_and_print),
        cmocka_unit_test(prune_keeps_what_the_output_needs),
        cmocka_unit_test(prune_keeps_an_unused_input),
        cmocka_unit_test(counts_parameters_and_flops),
        cmocka_unit_test(validate_rejects_bad_structure),
        cmocka_unit_test(validate_rejects_bad_numbers),
        cmocka_unit_test(validate_rejects_bad_shapes),
        cmocka_unit_test(validate_rejects_empty_pooling_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
