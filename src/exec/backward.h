/* Running a backward program on one tile of lanes. */
#ifndef BFI_EXEC_BACKWARD_H
#define BFI_EXEC_BACKWARD_H

#include "exec/workspace.h"

/* Per-lane vectors of |worker|'s tile (views into the workspace). */
bfi_lane_vectors bfi_tile_vectors(const bf_plan *plan, const bf_workspace *ws, int worker);

/* Runs program |program| for step |step| of the plan (for traces) on |worker|'s tile.
 * Bounds |lanes| functionals from below: lane l is sign[l] times row row[l] of |spec| (rows of the
 * model's outputs, when the program has spec rows) or times neuron row[l] of the program's target.
 * The caller has filled row and sign of the tile's vectors. lower[l] is -inf where nothing can be
 * said; error[l] is its part that is error term. The intervals of all values the program passes are
 * final. Returns the budget's status; on anything but OK |lower| is not written. Thread-safe for
 * different workers. */
bf_status bfi_backward_tile(const bf_plan *plan, bf_workspace *ws, int program, int step,
                            int worker, int64_t lanes, const double *spec, double *lower,
                            double *error);

/* Multiply-adds times two of the program, per lane. */
double bfi_program_flops(const bf_plan *plan, const bfi_program *program);

#endif
