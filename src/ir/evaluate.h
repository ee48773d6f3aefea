/* Plain interpreter of the primal graph: the oracle. Scalar loops, no kernels, written to be read.
 */
#ifndef BFI_IR_EVALUATE_H
#define BFI_IR_EVALUATE_H

#include "ir/graph.h"

typedef enum bfi_precision {
    BFI_EVAL_FLOAT32, /* every operation rounded to float32; a sum of products counts as one
                         operation */
    BFI_EVAL_FLOAT64  /* everything in float64 */
} bfi_precision;

/* Evaluates at |x| (count of node 0; rounded to float32 first in BFI_EVAL_FLOAT32) a validated
 * graph. |values| receives one malloc'ed array per node (values stored as double, float32 results
 * exactly representable), freed by bfi_evaluation_free; with NULL only |y| (count of the output,
 * may be NULL) is written. NaN and infinity propagate; sin and cos beyond 2^20 are NaN. Fails only
 * when memory is out. Thread-safe: no shared state. */
bf_status bfi_evaluate(const bfi_graph *graph, bfi_precision precision, const double *x, double *y,
                       double ***values, bf_error *err);
void bfi_evaluation_free(const bfi_graph *graph, double **values);

/* One unary function in float64 with the fixed bits of base/fp.h (attributes from |node|). */
double bfi_unary_value(const bfi_node *node, double x);

#endif
