/* The 2-D window ops of the plain interpreter, in double, batch 1. Arrays as in bfi_window; |y| is
 * overwritten. Sums over channels, then kernel rows, then kernel columns, ascending. Thread-safe.
 */
#ifndef BFI_IR_EVALUATE_WINDOW_H
#define BFI_IR_EVALUATE_WINDOW_H

#include "ir/graph.h"

void bfi_evaluate_conv(const bfi_node *node, const double *x, double *y);
void bfi_evaluate_conv_transpose(const bfi_node *node, const double *x, double *y);

/* Padding counts as -inf. */
void bfi_evaluate_max_pool(const bfi_node *node, const double *x, double *y);

#endif
