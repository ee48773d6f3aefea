/* Running a backward program on one tile of lanes. */
#ifndef BFI_EXEC_BACKWARD_H
#define BFI_EXEC_BACKWARD_H

#include "exec/workspace.h"

/* Per-lane vectors of |worker|'s tile (views into the workspace). */
bfi_lane_vectors bfi_tile_vectors(const bf_plan *plan, const bf_workspace *ws, int worker);

typedef struct bfi_tile_request {
    int program, step, worker; /* step: for traces */
    int64_t lanes;
    int level; /* of the program's windows, -1: whole layers. The lanes' neurons lie in one block */
    const double *spec;        /* rows of the model's outputs, NULL: neurons of the target */
    int64_t spec_stride;       /* numbers between the specs of two boxes; 0: one for all */
    double *const *functional; /* by lane: where the coefficients at the network's input go (left
                                  alone when the program ends elsewhere), NULL: not wanted. NULL: by
                                  no lane */
    double *constant; /* by lane, beside the functional: what it is certified to be off by at
                         most (left alone where that is); NULL: not wanted */
} bfi_tile_request;

/* Bounds |lanes| functionals from below: lane l is sign[l] times row row[l] of |spec| (when the
 * program has spec rows) or times neuron row[l] of the program's target, on box box[l]. The caller
 * has filled row, sign and box of the tile's vectors. lower[l] is -inf where nothing can be said;
 * error[l] is its part that is error term. The intervals of all values the program passes are
 * final. Returns the budget's status; on anything but OK |lower| is not written. Thread-safe for
 * different workers. */
bf_status bfi_backward_tile(const bf_plan *plan, bf_workspace *ws, const bfi_tile_request *request,
                            double *lower, double *error);

/* Multiply-adds times two of the program, per lane that mixes no rows. */
double bfi_program_flops(const bf_plan *plan, const bfi_program *program);

/* Elements per lane that its ops read and write. */
double bfi_program_elements(const bfi_program *program);

/* Flops without what its relaxations on |box|, which are final, make superfluous, on windows of
 * |level| (-1: none). */
double bfi_box_flops(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                     const bfi_program *program, int level);

#endif
