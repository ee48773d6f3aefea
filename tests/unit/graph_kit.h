/* Building small graphs in tests. Everything asserts; random numbers come from a fixed seed. */
#ifndef BF_TESTS_GRAPH_KIT_H
#define BF_TESTS_GRAPH_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/alloc.h"
#include "ir/graph.h"

#define KIT_SHAPE(...) \
    kit_shape((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

/* Sanitizers and missing optimisation make tests ten times slower: loops over cases take one in
 * KIT_SAMPLE there, and limits in seconds have room. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
enum { KIT_SAMPLE = 5, KIT_SLOWER = 20 };
#else
enum { KIT_SAMPLE = 1, KIT_SLOWER = 1 };
#endif

static inline bfi_shape kit_shape(int rank, const int64_t *dim) {
    bfi_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) shape.dim[i] = dim[i];
    return shape;
}

static inline uint64_t *kit_state(void) {
    static uint64_t state = 7;
    return &state;
}

static inline uint64_t kit_bits(void) {
    *kit_state() = *kit_state() * 6364136223846793005u + 1442695040888963407u;
    return *kit_state() >> 33;
}

/* What follows is the same after the same |seed|. */
static inline void kit_seed(uint64_t seed) { *kit_state() = seed; }

/* Integer in [lo, hi]. */
static inline int64_t kit_int(int64_t lo, int64_t hi) {
    return lo + (int64_t)(kit_bits() % (uint64_t)(hi - lo + 1));
}

/* Multiple of 1/8 in [-4, 4]: sums of a few products are exact in every order. */
static inline double kit_eighth(void) { return (double)kit_int(-32, 32) / 8; }

static inline void kit_fill(double *data, int64_t n) {
    for (int64_t i = 0; i < n; i++) data[i] = kit_eighth();
}

static inline bfi_numbers kit_numbers(const double *data, int64_t n) {
    bfi_numbers numbers = {.data = bfi_malloc((size_t)n, sizeof(double)), .count = n};
    assert_non_null(numbers.data);
    if (data)
        memcpy(numbers.data, data, (size_t)n * sizeof *data);
    else
        kit_fill(numbers.data, n);
    return numbers;
}

static inline int64_t *kit_indices(const int64_t *data, int64_t n) {
    int64_t *copy = bfi_malloc((size_t)n, sizeof *copy);
    assert_non_null(copy);
    memcpy(copy, data, (size_t)n * sizeof *copy);
    return copy;
}

/* Graph with an input of |shape|; free with bfi_graph_free. */
static inline bfi_graph *kit_graph(bfi_shape shape) {
    bfi_graph *graph = bfi_graph_new();
    assert_non_null(graph);
    assert_int_equal(bfi_graph_add(graph, BFI_OP_INPUT, "x", "", NULL, 0, &shape), 0);
    return graph;
}

/* Appends a node reading |a| and, when >= 0, |b|; it becomes the output. The pointer lives until
 * the next. */
static inline bfi_node *kit_add(bfi_graph *graph, bfi_op op, int a, int b, bfi_shape shape) {
    int inputs[2] = {a, b}, n = (a >= 0) + (b >= 0);
    int id = bfi_graph_add(graph, op, bfi_op_name(op), "Test", inputs, n, &shape);
    assert_true(id >= 0);
    graph->output = id;
    return &graph->nodes[id];
}

/* Windows that fit along an axis of n elements with pad on both sides. */
static inline int64_t kit_windows(int64_t n, int64_t k, int64_t dil, int64_t stride, int64_t pad) {
    return (n + 2 * pad - dil * (k - 1) - 1) / stride + 1;
}

static inline void kit_validate(const bfi_graph *graph) {
    bf_error err = {""};
    if (bfi_graph_validate(graph, &err) != BF_STATUS_OK) fail_msg("%s", err.message);
}

#endif
