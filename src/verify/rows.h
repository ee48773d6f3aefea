/* Rows of a property's polytopes as rows of a spec, and what a certified bound of one says. */
#ifndef BFI_VERIFY_ROWS_H
#define BFI_VERIFY_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "boundflow/property.h"

/* Writes the output coefficients of |h| (nearest doubles, repeated variables summed) into
 * row[outputs]. */
void bfi_row_write(const bf_halfspace *h, int64_t outputs, double *row);

/* How far |lower|, a certified lower bound of the row written by bfi_row_write over some set of
 * inputs, keeps the half-space away from that set: lower bound of (left - right-hand side) with
 * what the decimals lost and the terms over inputs taken into account, -inf where nothing can be
 * said. The inputs of the set lie in [lo, hi], its outputs in [y_lo, y_hi]. */
double bfi_row_margin(const bf_halfspace *h, double lower, const double *lo, const double *hi,
                      const double *y_lo, const double *y_hi);

/* A lower bound of the row with which it is refuted, a little more than needed: where optimising
 * the bound may stop. +inf when none is enough. */
double bfi_row_enough(const bf_halfspace *h, const double *lo, const double *hi, const double *y_lo,
                      const double *y_hi);

/* True when no input with that margin satisfies the half-space. */
static inline bool bfi_row_refuted(const bf_halfspace *h, double margin) {
    return margin > 0 || (h->strict && margin == 0);
}

#endif
