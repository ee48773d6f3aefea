/* What an attack minimises: the violation of a disjunct (largest row - rhs, see check/witness.h),
 * for many points as lanes. Written apart from the check on purpose. */
#ifndef BFI_VERIFY_ATTACK_OBJECTIVE_H
#define BFI_VERIFY_ATTACK_OBJECTIVE_H

#include <stdbool.h>

#include "boundflow/property.h"

/* Points in lanes layout: element j of lane l at [j * ls + l]. */
typedef struct bfi_points {
    const float *x, *y;
    int64_t ls;
} bfi_points;

/* worst[l] = violation of |polytope| at every lane; NaN never comes out (+inf instead). */
void bfi_objective_violation(const bf_polytope *polytope, const bfi_points *points, double *worst);

/* How rows of one disjunct share the gradient. */
typedef enum bfi_row_mix {
    BFI_ROWS_WORST,   /* the largest alone */
    BFI_ROWS_VIOLATED /* the sum of those above 0; the largest when there is none */
} bfi_row_mix;

/* Adds, for one lane, d objective / dy to |seed| (n_out x ls, zeroed). */
void bfi_objective_seed(const bf_polytope *polytope, bfi_row_mix mix, const bfi_points *points,
                        int64_t lane, float *seed);

/* Adds, for one lane, the direct part d objective / dx to |gradient| (n_in x ls). */
void bfi_objective_direct(const bf_polytope *polytope, bfi_row_mix mix, const bfi_points *points,
                          int64_t lane, float *gradient);

#endif
