/* Clipping: what linear bounds say about where in a box a counterexample can be.
 *
 * A line is a . x + k with certified a and k: every counterexample of the box has a . x + k <= 0.
 * Several lines hold together, so any combination of them with weights >= 0 is one too (their
 * Lagrangian dual); the best combination proves boxes empty that no line does alone. Cutting the
 * box at a line: Zhou et al. 2025 (Clip-and-Verify, arXiv:2512.11087), "relaxed clipping". All
 * results are rounded outward. Pure functions. */
#ifndef BFI_VERIFY_BAB_CLIP_H
#define BFI_VERIFY_BAB_CLIP_H

#include <stdbool.h>
#include <stdint.h>

/* A lower bound of a . x + k over the box; -inf where it cannot be computed. */
double bfi_clip_least(int64_t n, const double *a, double k, const double *lo, const double *hi);

/* Cuts off what lies above the line. False: nothing is left (the box is then unspecified). */
bool bfi_clip_box(int64_t n, const double *a, double k, double *lo, double *hi);

/* Looks for weights >= 0 (sum 1) with which the combination of |rows| lines (|a| rows x n, |k|
 * rows) has the largest minimum over the box, starting with |weights| (all zeros: with the best
 * single line). Writes the combination into |line| and |constant|, rounded so that it is a line,
 * and returns bfi_clip_least of it. Lines with k = -inf are left out. */
double bfi_clip_combine(int64_t n, int64_t rows, const double *a, const double *k, const double *lo,
                        const double *hi, double *weights, double *line, double *constant);

#endif
