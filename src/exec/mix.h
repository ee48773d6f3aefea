/* Rows mixed by lane: a conjunction of rows is refuted where a weighted sum of them is.
 *
 * A set of outputs is given by rows c_i y <= limit_i that all hold. For any weights w_i >= 0 the
 * functional sum w_i (c_i y - limit_i) is not positive there, so a positive lower bound of it
 * refutes the set, although each row alone may be met somewhere. Weights are the multipliers of the
 * rows: they move with the slopes and the multipliers of splits (exec/splits.h) along the gradient,
 * whose part for w_i is c_i y - limit_i at the outputs y that the functional's minimiser reaches
 * through the relaxed network (domain/linear/adjoint.h). Rows count in units that make them
 * alike, and weights stay on the simplex: a bound is then one of the largest
 * scale_i (c_i y - limit_i). */
#ifndef BFI_EXEC_MIX_H
#define BFI_EXEC_MIX_H

#include "exec/tile.h"

/* Of a row: what it may be at most, and the unit that it counts in. */
typedef struct bfi_row_limit {
    double limit; /* +inf: the row is of no use */
    double scale; /* a power of two, such that rows are alike */
} bfi_row_limit;

typedef struct bfi_mix {
    int32_t count; /* of rows of the spec, from the lane's row on; 0: the lane is its row */
    const bfi_row_limit *limits; /* of these rows */
    double *weights;             /* bfi_mix_round; a row counts with its weight times its scale */
    double *m;                   /* moments of the gradient: of every row, */
    double v;                    /* of its length */
} bfi_mix;

/* Projects the weights on the simplex. They become multiples of 2^-20 whose sum is 1 exactly, so
 * that what mixes rows of small whole numbers has no rounding, in float32 too. */
void bfi_mix_round(double *weights, int32_t count);

/* Writes the functional into lane |lane| of the seed |op|, and its constant and error. Returns
 * false where the lane is its row. */
bool bfi_mix_seed(const bfi_tile *t, const bfi_back_op *op, int64_t lane);

/* The op ADJOINT_SPEC: steps the weights of the tile's lanes. */
void bfi_mix_run(const bfi_tile *t, const bfi_back_op *op);

#endif
