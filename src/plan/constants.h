/* Weights lowered for the kernels: packed, in the plan's dtype, for both directions.
 *
 * Immutable after creation, thread-safe to read. */
#ifndef BFI_PLAN_CONSTANTS_H
#define BFI_PLAN_CONSTANTS_H

#include "ir/graph.h"
#include "ir/sparse.h"
#include "kernels/kernel.h"

typedef struct bfi_node_constants {
    bfi_packed forward, backward; /* LINEAR: y = W x, and a' = W^T a (one of attrs.rows rows) */
    bfi_conv conv_forward, conv_backward; /* CONV, CONV_TRANSPOSE */
    void *weight;            /* LINEAR, CONV*: the weights as in the graph, in the dtype */
    bfi_csr *sparse_forward; /* STRUCTURAL: one per input */
    bfi_csr *sparse_backward;
    int sparse_count;
    bool sparse_selection; /* every row copies at most one element */
    void *scale;           /* SCALE_SHIFT: |count| factors in the dtype; NULL: all ones */
    void *bias;            /* |count| constants in the dtype, broadcast over positions; NULL: none.
                              CONST: the elements. STRUCTURAL: the fill */
    double *bias_exact;    /* the same in float64 as the graph has them; NULL: none */
    double *bias_error;    /* |count| absolute errors of bias_exact, besides bias_rel; NULL: none */
    double weight_rel; /* relative error of the dtype's weights (or scale) against the exact ones */
    double bias_rel;   /* relative error of bias_exact itself */
    int64_t terms_forward, terms_backward; /* terms of one sum in each direction */
    int64_t depth_forward, depth_backward; /* roundings each term passes */
} bfi_node_constants;

typedef struct bfi_constants {
    bfi_dtype dtype;
    int count; /* nodes of the graph */
    bfi_node_constants *nodes;
    int64_t bytes; /* memory held by all of them */
    void **blocks;
    size_t block_count, block_capacity;
} bfi_constants;

static inline size_t bfi_dtype_size(bfi_dtype t) { return t == BFI_F32 ? 4 : 8; }

/* Lowers every node of |graph|. On success *|out| is owned by the caller. */
bf_status bfi_constants_create(const bfi_graph *graph, bfi_dtype dtype, bfi_constants **out,
                               bf_error *err);
void bfi_constants_free(bfi_constants *constants);

/* Element |i| of an array of |dtype|; stores round to nearest. */
static inline double bfi_load(bfi_dtype t, const void *array, int64_t i) {
    return t == BFI_F32 ? (double)((const float *)array)[i] : ((const double *)array)[i];
}
static inline void bfi_store(bfi_dtype t, void *array, int64_t i, double v) {
    if (t == BFI_F32)
        ((float *)array)[i] = (float)v;
    else
        ((double *)array)[i] = v;
}
/* Stores that never move down (up). */
static inline void bfi_store_up(bfi_dtype t, void *array, int64_t i, double v) {
    if (t == BFI_F32)
        ((float *)array)[i] = bfi_float_up(v);
    else
        ((double *)array)[i] = v;
}

#endif
