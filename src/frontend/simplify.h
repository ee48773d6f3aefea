/* Graph clean-up after import. */
#ifndef BFI_FRONTEND_SIMPLIFY_H
#define BFI_FRONTEND_SIMPLIFY_H

#include "ir/graph.h"

/* Requires a graph that is well formed (inputs before readers, shapes that fit); keeps its function
 * of real numbers. Removes reshapes, transposes, slices, pads and scale_shifts that change nothing,
 * joins neighbouring reshapes and transposes, turns a transpose that keeps the order of elements
 * into a reshape, moves a constant added per output feature into the bias of a linear or conv node
 * without one (only reader, float32 roundings of one addition), and prunes. Not folded: batch
 * normalisation, which would change the float32 semantics, and products of constants, whose order
 * of summation is not known. Fails only when memory is out. */
bf_status bfi_graph_simplify(bfi_graph *graph, bf_error *err);

#endif
