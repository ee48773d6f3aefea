/* Structural ops as sparse matrices: one mechanism for transpose, slice, concat, gather, pad,
 * expand, resize, reductions and average pooling, in every domain and executor. */
#ifndef BFI_IR_SPARSE_H
#define BFI_IR_SPARSE_H

#include "ir/graph.h"

/* y[o] = fill[o] + sum over k in [ptr[o], ptr[o+1]) of val[k] * x[idx[k]]; idx ascending within a
 * row. |val| is NULL when all are 1 and |fill| NULL when all are 0. A val is the double nearest to
 * a rational (1/count): const_ulps 1 tells that it may be inexact, 0 that it is exact. |selection|
 * is true when every row has at most one entry and val is NULL: nothing is rounded. */
typedef struct bfi_sparse {
    int64_t rows, cols;
    int64_t *ptr; /* rows + 1 */
    int32_t *idx;
    double *val, *fill;
    int const_ulps;
    bool selection;
} bfi_sparse;

/* The matrix from input number |which| of node |id| (class STRUCTURAL) to its output. For CONCAT
 * the rows of other inputs are empty. The graph must be validated. Fails only when memory is out
 * (|out| is then empty). */
bf_status bfi_node_sparse(const bfi_graph *graph, int id, int which, bfi_sparse *out,
                          bf_error *err);

/* The transposed pattern: for each column the rows that read it, ascending (no fill).
 * Used on the way back. Fails only when memory is out. */
bf_status bfi_sparse_transpose(const bfi_sparse *m, bfi_sparse *out, bf_error *err);

void bfi_sparse_clear(bfi_sparse *m);

#endif
