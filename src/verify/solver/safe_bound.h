/* Rigorous lower bounds of linear programs from multipliers that need not be right: Neumaier and
 * Shcherbina 2004, Safe bounds in linear and mixed-integer linear programming, Math. Program. 99,
 * section 3. */
#ifndef BFI_VERIFY_SOLVER_SAFE_BOUND_H
#define BFI_VERIFY_SOLVER_SAFE_BOUND_H

#include <stdint.h>

/* Minimise column |objective| (-1: nothing) subject to row_lo <= A v <= row_hi, lo <= v <= hi.
 * Boxes of columns are finite, ends of rows may be infinite. Row r of A has value[e] at column
 * index[e], e in [start[r], start[r + 1]). */
typedef struct bfi_linear_program {
    int32_t cols, rows, objective;
    double *lo, *hi, *row_lo, *row_hi;
    int32_t *start, *index;
    double *value;
} bfi_linear_program;

/* A number that the objective is never below, in exact arithmetic, wherever |multipliers|, one per
 * row, come from: for all v of the box and every y
 *   objective . v >= sum over rows of min(y row_lo, y row_hi) + sum over columns of the least
 *   (objective - A'y) v in its box,
 * computed with room for its own rounding. A positive y uses a row's lower end, a negative one its
 * upper end; where that is infinite (or y no number) the row is left out. With |objective| -1 in
 * the program a positive bound says that nothing satisfies it. |scratch|: 3 x cols numbers. */
double bfi_safe_bound(const bfi_linear_program *lp, int32_t objective, const double *multipliers,
                      double *scratch);

#endif
