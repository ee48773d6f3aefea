/* The ops of the adjoint pass (domain/linear/adjoint.h) on one lane tile, and the slopes that it
 * steps. Internal to exec/. */
#ifndef BFI_EXEC_ADJOINT_H
#define BFI_EXEC_ADJOINT_H

#include "exec/tile.h"

/* Runs an op of kind SLOPES, CORNER or ADJOINT_*. All lanes of the tile belong to one box. */
void bfi_adjoint_run(const bfi_tile *t, const bfi_back_op *op);

/* The lines that a RELAX op with slopes takes by lane: fills what it chose in |step|, which has the
 * planned ones. */
void bfi_adjoint_lines(const bfi_tile *t, const bfi_back_op *op, bfi_tile_step *step);

/* Keeps the lanes |from| (ascending, |lanes| of them) of all slopes and drops the others: the tile
 * has |lanes| lanes then. */
void bfi_adjoint_compact(bfi_tile *t, const int64_t *from, int64_t lanes);

/* What an ADJOINT_LINEAR, op |index|, may leave out in |box|: values that an
 * activation made zero, and those that the next one makes zero whatever they are. */
bfi_op_part bfi_adjoint_part_of(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                const bfi_program *program, int index);

#endif
