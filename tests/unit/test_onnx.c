/* frontend/onnx.h on the models of tests/data/onnx (scripts/make_test_models.py): one per op and
 * variant, with the output that onnxruntime computes, and broken ones with the message they must
 * give. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "frontend/onnx.h"
#include "frontend/simplify.h"
#include "graph_kit.h"
#include "ir/evaluate.h"

static void path_of(const char *name, char *path, size_t size) {
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR");
    assert_in_range(snprintf(path, size, "%s/tests/data/onnx/%s", root ? root : ".", name), 1,
                    size - 1);
}

static char *read_data(const char *name, size_t *size) {
    char path[4096], *data = NULL;
    bf_error err = {""};
    path_of(name, path, sizeof path);
    if (bfi_file_read(path, (size_t)1 << 20, &data, size, &err) != BF_STATUS_OK)
        fail_msg("%s", err.message);
    return data;
}

static bfi_graph *load(const char *name) {
    char path[4096], file[256];
    bfi_graph *graph = NULL;
    bf_error err = {""};
    snprintf(file, sizeof file, "%s.onnx", name);
    path_of(file, path, sizeof path);
    if (bfi_onnx_load(path, &graph, &err) != BF_STATUS_OK) fail_msg("%s", err.message);
    return graph;
}

/* The next line of |*text|, NUL-terminated in place, comments left out; NULL at the end. */
static char *next_line(char **text) {
    while (**text == '#') *text = strchr(*text, '\n') + 1;
    if (!**text) return NULL;
    char *line = *text, *end = strchr(line, '\n');
    assert_non_null(end);
    *end = '\0';
    *text = end + 1;
    return line;
}

/* |count| numbers, no more. */
static double *numbers(const char *name, char *line, int64_t count) {
    double *out = calloc((size_t)count, sizeof *out);
    for (int64_t i = 0; i < count; i++) {
        char *end;
        out[i] = strtod(line, &end);
        if (end == line) fail_msg("%s: %d numbers instead of %d", name, (int)i, (int)count);
        line = end;
    }
    if (*line) fail_msg("%s: more than %d numbers", name, (int)count);
    return out;
}

static void compare(const char *name, const bfi_graph *graph, bfi_precision precision,
                    const double *x, const double *want) {
    int64_t count = graph->nodes[graph->output].count;
    double *y = calloc((size_t)count, sizeof *y), scale = 1e-3;
    bf_error err = {""};
    if (bfi_evaluate(graph, precision, x, y, NULL, &err) != BF_STATUS_OK)
        fail_msg("%s", err.message);
    for (int64_t i = 0; i < count; i++) scale = fmax(scale, fabs(want[i]));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs(y[i] - want[i]) <= 2e-6 * scale))
            fail_msg("%s: output %d is %.9g, onnxruntime gives %.9g", name, (int)i, y[i], want[i]);
    free(y);
}

static void test_outputs(void **state) {
    (void)state;
    size_t size;
    char *data = read_data("cases.txt", &size), *text = data, *name;
    int count = 0;
    while ((name = next_line(&text))) {
        bfi_graph *graph = load(name);
        double *x = numbers(name, next_line(&text), graph->nodes[0].count);
        double *y = numbers(name, next_line(&text), graph->nodes[graph->output].count);
        kit_validate(graph);
        compare(name, graph, BFI_EVAL_FLOAT32, x, y);
        compare(name, graph, BFI_EVAL_FLOAT64, x, y);
        free(x);
        free(y);
        bfi_graph_free(graph);
        count++;
    }
    assert_true(count > 150);
    free(data);
}

static void test_refusals(void **state) {
    (void)state;
    size_t size;
    char *data = read_data("refused.txt", &size), *text = data, *name;
    while ((name = next_line(&text))) {
        char path[4096], file[256];
        const char *status = next_line(&text), *part = next_line(&text);
        bfi_graph *graph = NULL;
        bf_error err = {""};
        snprintf(file, sizeof file, "%s.onnx", name);
        path_of(file, path, sizeof path);
        bf_status st = bfi_onnx_load(path, &graph, &err);
        assert_null(graph);
        if (strcmp(bf_status_name(st), status) != 0)
            fail_msg("%s: %s: %s", name, bf_status_name(st), err.message);
        if (!strstr(err.message, part) || strncmp(err.message, path, strlen(path)) != 0)
            fail_msg("%s: message is: %s", name, err.message);
        assert_int_equal(bfi_onnx_load(path, &graph, NULL), st);
    }
    free(data);
}

/* Every prefix of a model is refused or is a model; nothing leaks or crashes. */
static void test_truncated(void **state) {
    (void)state;
    static const char *const names[] = {"matmul_add.onnx", "fold_where_equal.onnx", "conv_1d.onnx"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size;
        char *data = read_data(names[i], &size);
        for (size_t cut = 0; cut < size; cut++) {
            char *part = malloc(cut + 1);
            bfi_graph *graph = NULL;
            bf_error err = {""};
            memcpy(part, data, cut);
            if (bfi_onnx_parse(part, cut, names[i], &graph, &err) == BF_STATUS_OK)
                bfi_graph_free(graph);
            else
                assert_memory_equal(err.message, names[i], strlen(names[i]));
            free(part);
        }
        free(data);
    }
}

/* Flipping any bit gives a model or an error. */
static void test_flipped(void **state) {
    (void)state;
    static const char *const names[] = {"slice_inputs.onnx", "resize_axes.onnx",
                                        "convtranspose_shape.onnx"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t size;
        char *data = read_data(names[i], &size);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            bfi_graph *graph = NULL;
            bf_error err = {""};
            data[bit / 8] = (char)(data[bit / 8] ^ 1 << bit % 8);
            if (bfi_onnx_parse(data, size, names[i], &graph, &err) == BF_STATUS_OK)
                bfi_graph_free(graph);
            else
                assert_true(err.message[0] != '\0');
            data[bit / 8] = (char)(data[bit / 8] ^ 1 << bit % 8);
        }
        free(data);
    }
}

/* Model > graph > node > attribute > graph > ... deeper than any stack. */
static void test_nesting(void **state) {
    (void)state;
    enum { LEVELS = 200000, BYTES = 12 * LEVELS };
    uint8_t *data = malloc(BYTES);
    size_t at = BYTES, length = 0;
    for (int level = 0; level < LEVELS; level++) {
        static const uint8_t keys[] = {0x0a, 0x2a,
                                       0x32}; /* Graph.node, Node.attribute, Attribute.g */
        uint8_t key = level + 1 == LEVELS ? 0x3a : keys[(LEVELS - 2 - level) % 3];
        uint8_t varint[10];
        size_t n = 0;
        for (size_t v = length; n == 0 || v; v >>= 7) varint[n++] = (uint8_t)(v & 0x7f);
        for (size_t k = 0; k + 1 < n; k++) varint[k] |= 0x80;
        at -= n;
        memcpy(data + at, varint, n);
        data[--at] = key;
        length = BYTES - at;
    }
    bfi_graph *graph = NULL;
    bf_error err = {""};
    assert_int_equal(bfi_onnx_parse(data + at, BYTES - at, "deep", &graph, &err), BF_STATUS_PARSE);
    assert_non_null(strstr(err.message, "deeply"));
    free(data);
}

static void test_files(void **state) {
    (void)state;
    bfi_graph *graph = NULL;
    bf_error err = {""};
    assert_int_equal(bfi_onnx_load("no-such-file.onnx", &graph, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "no-such-file.onnx"));
    assert_int_equal(bfi_onnx_parse("", 0, "empty", &graph, &err), BF_STATUS_PARSE);
    assert_int_equal(bfi_onnx_parse("hello, world", 12, "text", &graph, &err), BF_STATUS_PARSE);
    assert_null(graph);
}

static int count_op(const bfi_graph *graph, bfi_op op) {
    int n = 0;
    for (int i = 0; i < graph->count; i++) n += graph->nodes[i].op == op;
    return n;
}

static void test_structure(void **state) {
    (void)state;
    bfi_graph *graph = load("matmul_add");
    assert_int_equal(graph->count, 3); /* the addition became the bias */
    assert_int_equal(graph->nodes[1].op, BFI_OP_LINEAR);
    assert_int_equal(graph->nodes[1].bias.count, 3);
    assert_string_equal(graph->input_name, "x");
    assert_string_equal(graph->output_name, "y");
    bfi_graph_free(graph);
    graph = load("matmul_add_shared");
    assert_int_equal(count_op(graph, BFI_OP_SCALE_SHIFT),
                     1); /* the product is read elsewhere too */
    bfi_graph_free(graph);
    graph = load("conv_add");
    assert_int_equal(graph->count, 2);
    assert_int_equal(graph->nodes[1].bias.count, 2);
    bfi_graph_free(graph);
    graph = load("transpose_twice");
    assert_int_equal(count_op(graph, BFI_OP_TRANSPOSE), 2);
    bfi_graph_free(graph);
    graph = load("fold_weight_chain");
    assert_int_equal(graph->count, 2);
    bfi_graph_free(graph);
    graph = load("batch_norm_conv");
    assert_int_equal(count_op(graph, BFI_OP_SCALE_SHIFT), 2); /* kept apart from the convolution */
    assert_int_equal(graph->nodes[1].bias.count, 0);
    bfi_graph_free(graph);
    graph = load("matmul_values"); /* products one by one */
    assert_int_equal(count_op(graph, BFI_OP_MATMUL), 0);
    assert_int_equal(count_op(graph, BFI_OP_MUL), 1);
    bfi_graph_free(graph);
    graph = load("mul_same");
    assert_int_equal(count_op(graph, BFI_OP_SQUARE), 1);
    assert_int_equal(count_op(graph, BFI_OP_MUL), 0);
    bfi_graph_free(graph);
    graph = load("softmax_new"); /* one over a sum of exponentials of differences */
    assert_int_equal(count_op(graph, BFI_OP_SOFTMAX), 0);
    assert_int_equal(count_op(graph, BFI_OP_EXP), 1);
    assert_int_equal(count_op(graph, BFI_OP_RECIPROCAL), 1);
    bfi_graph_free(graph);
    graph = load("double_model");
    assert_true(graph->is_float64);
    bfi_graph_free(graph);
}

/* x -> linear -> reshape to the same shape, read twice: the linear node may not take the shift. */
static void test_simplify_readers(void **state) {
    (void)state;
    bfi_graph *graph = bfi_graph_new();
    bfi_shape shape = KIT_SHAPE(1, 2);
    bf_error err;
    assert_int_equal(bfi_graph_add(graph, BFI_OP_INPUT, "x", "Input", NULL, 0, &shape), 0);
    assert_int_equal(bfi_graph_add(graph, BFI_OP_LINEAR, "l", "MatMul", (int[]){0}, 1, &shape), 1);
    assert_int_equal(bfi_graph_add(graph, BFI_OP_RESHAPE, "r", "Reshape", (int[]){1}, 1, &shape),
                     2);
    assert_int_equal(bfi_graph_add(graph, BFI_OP_SCALE_SHIFT, "s", "Add", (int[]){2}, 1, &shape),
                     3);
    assert_int_equal(bfi_graph_add(graph, BFI_OP_ADD, "a", "Add", (int[]){2, 3}, 2, &shape), 4);
    graph->output = 4;
    bfi_node *linear = &graph->nodes[1], *shift = &graph->nodes[3];
    linear->attrs.rows = 1;
    linear->attrs.k = linear->attrs.n = 2;
    linear->weight = (bfi_numbers){.data = calloc(4, sizeof(double)), .count = 4};
    shift->bias = (bfi_numbers){.data = calloc(2, sizeof(double)), .count = 2};
    shift->attrs.roundings = 1;
    shift->bias.data[0] = 1;
    kit_validate(graph);
    assert_int_equal(bfi_graph_simplify(graph, &err), BF_STATUS_OK);
    kit_validate(graph);
    assert_int_equal(graph->count, 4);
    assert_int_equal(graph->nodes[1].bias.count, 0);
    assert_int_equal(graph->nodes[3].inputs[0], 1);
    bfi_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_nesting),   cmocka_unit_test(test_files),
        cmocka_unit_test(test_structure), cmocka_unit_test(test_simplify_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
