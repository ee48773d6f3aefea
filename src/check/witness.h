/* Checking counterexamples by code that did not find them (the plain interpreter, no kernels). */
#ifndef BFI_CHECK_WITNESS_H
#define BFI_CHECK_WITNESS_H

#include <stdbool.h>

#include "boundflow/bounds.h"
#include "boundflow/property.h"
#include "ir/graph.h"

typedef struct bfi_witness {
    double *x; /* n_in float32 values, inside the box of |case_index| */
    double *y; /* n_out outputs of the float32 evaluation at x */
    int32_t case_index, disjunct;
} bfi_witness;

/* Rounds |x| to float32 and into the box of case |case_index| (bounds may be decimals that no float32
 * equals: then into [lo_inner, hi_inner] rounded inward to float32; an input fixed to such a decimal gets
 * the nearest float32), evaluates the network again and tells in *|accepted| whether some disjunct of
 * that case holds: with semantics real, in float64 evaluation; with float32, in float32 evaluation. The
 * other evaluation has to agree up to 1e-4 relative. On acceptance |witness| is filled (free with
 * bfi_witness_clear); otherwise it is untouched. Fails only on memory. */
bf_status bfi_witness_check(const bfi_graph *graph, const bf_property *property, int32_t case_index,
                            const double *x, bf_semantics semantics, bool *accepted, bfi_witness *witness,
                            bf_error *err);
void bfi_witness_clear(bfi_witness *witness);

/* Largest violation max over rows of (row - rhs) of |polytope| at (x, y): <= 0 means inside. Strict rows
 * need < 0: reported as positive when equal. */
double bfi_polytope_violation(const bf_polytope *polytope, const double *x, const double *y);

#endif
