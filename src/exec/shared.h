/* Slopes that all rows of one layer share: lower slopes of one box and side, stepped along the sum
 * of the rows' gradients (auto_LiRPA's share_alphas; docs/design/alpha-crown.md).
 *
 * Rounds run as plain CROWN does, tiles anywhere; each worker adds what its lanes say about every
 * slope to sums of its own. Those are whole numbers in float64 (bfi_gradient, kernels/kernel.h), so
 * that no order of lanes, tiles or workers changes a bit. The order of calls, by box and side:
 * bfi_shared_start, then every round all tiles, and bfi_shared_step. */
#ifndef BFI_EXEC_SHARED_H
#define BFI_EXEC_SHARED_H

#include "exec/tile.h"

/* Slopes of the program's activations at their start (CROWN's), weights of the rows of its target,
 * sums and rounds without gain at zero. */
void bfi_shared_start(const bf_plan *plan, bf_workspace *ws, int64_t box, int program);

/* As bfi_backward_tile, for a program with shared slopes, lanes of one box and sign; then, when
 * |gradient|, adds the lanes' part of it to the worker's sums. */
bf_status bfi_shared_tile(const bf_plan *plan, bf_workspace *ws, const bfi_tile_request *request,
                          bool gradient, double *lower, double *error);

/* Steps the slopes along the sums of all workers, which start again at zero. No tile runs. */
void bfi_shared_step(const bf_plan *plan, bf_workspace *ws, int64_t box, int program,
                     const bfi_ascent *ascent);

/* What ops ask: the lines that a RELAX op takes, filled in |step| (which has the planned ones)
 * where the node has shared slopes, and the part of the adjoint pass at the elements |line| of an
 * ADJOINT_RELAX. Without shared slopes they do nothing. */
void bfi_shared_lines(const bfi_tile *t, const bfi_back_op *op, bfi_tile_step *step);
void bfi_shared_gradient(const bfi_tile *t, const bfi_back_op *op, const bfi_line *line);

#endif
