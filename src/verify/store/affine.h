/* Affine ops, one output element at a time: which elements of the operands it sums, with which
 * coefficients, and by how much the sum of a float32 evaluation or the stored numbers may be off.
 * Internal to verify/store. */
#ifndef BFI_VERIFY_STORE_AFFINE_H
#define BFI_VERIFY_STORE_AFFINE_H

#include "boundflow/bounds.h"
#include "ir/graph.h"
#include "ir/sparse.h"

typedef struct bfi_affine_term {
    int value; /* of the graph: operand */
    int64_t element;
    double coef;
} bfi_affine_term;

/* One node, opened. */
typedef struct bfi_affine {
    const bfi_graph *graph;
    int id;
    bfi_sparse *parts; /* structural ops: one matrix per operand */
    bfi_affine_term *terms;
    size_t room;
    double exec_rel, exec_abs; /* of a float32 evaluation; 0: semantics real */
} bfi_affine;

/* output = sum of terms + constant, up to
 *   rel * (sum of |coef * x| + |constant|) + abs. */
typedef struct bfi_affine_sum {
    const bfi_affine_term *terms; /* until the next call */
    size_t count;
    double constant, rel, abs;
} bfi_affine_sum;

/* True for ops that are sums: weighted, structural, elementwise affine, constants. */
bool bfi_affine_op(bfi_op op);

bf_status bfi_affine_open(const bfi_graph *graph, int id, bf_semantics semantics, bfi_affine *out,
                          bf_error *err);
void bfi_affine_close(bfi_affine *affine);

/* The sum of output element |element|; coefficients of zero are left out. Fails only on memory. */
bf_status bfi_affine_element(bfi_affine *affine, int64_t element, bfi_affine_sum *out,
                             bf_error *err);

#endif
