/* The network at many points at once, and gradients: points are lanes (kernels/kernel.h), float32.
 *
 * Life cycle: create -> (resize, fill the inputs, forward, fill the seeds, adjoint)*. Runs allocate
 * nothing. One point's values depend on nothing but that point, and have the same bits under every
 * kernel table. An object belongs to one thread at a time. */
#ifndef BFI_EXEC_POINT_EVAL_H
#define BFI_EXEC_POINT_EVAL_H

#include "base/budget.h"
#include "ir/graph.h"
#include "kernels/kernel.h"
#include "plan/constants.h"

typedef struct bfi_point_eval bfi_point_eval;

/* Bytes of all arrays for |lanes| points; SIZE_MAX when that does not fit. */
size_t bfi_point_eval_bytes(const bfi_graph *graph, int64_t lanes);

/* Room for up to |lanes| >= 1 points. |graph|, |constants| (float32) and |kernels| are borrowed and
 * have to live longer. Fails only on memory. */
bf_status bfi_point_eval_create(const bfi_graph *graph, const bfi_constants *constants,
                                const bfi_kernels *kernels, int64_t lanes, bfi_point_eval **out,
                                bf_error *err);
void bfi_point_eval_free(bfi_point_eval *eval);

/* The following runs have |lanes| points (1 to the room created). Returns the stride ls: element j
 * of point l is at [j * ls + l] in every array, and points [lanes, ls) have to be filled too. All
 * arrays become undefined. */
int64_t bfi_point_eval_resize(bfi_point_eval *eval, int64_t lanes);

/* Arrays in lanes layout. Input and seed are the caller's to fill; value |id| stands after forward
 * and until the next one; the gradient (of the input) stands after adjoint and may be changed. A
 * seed is spent by its adjoint run. */
float *bfi_point_eval_input(bfi_point_eval *eval);
const float *bfi_point_eval_value(const bfi_point_eval *eval, int id);
const float *bfi_point_eval_output(const bfi_point_eval *eval);
float *bfi_point_eval_seed(bfi_point_eval *eval);
float *bfi_point_eval_gradient(bfi_point_eval *eval);

/* By point, zeros at first: the slope with which adjoint passes an inactive relu. Other than 0 it
 * makes a search direction where the true gradient dies, no derivative. Resize leaves it alone. */
float *bfi_point_eval_leak(bfi_point_eval *eval);

/* y = f(x). The budget is polled every few milliseconds; on timeout or stop the arrays are
 * undefined. */
bf_status bfi_point_eval_forward(bfi_point_eval *eval, const bfi_budget *budget);

/* Reverse mode after forward: gradient = J^T seed, by point. Where a function has a kink, one of
 * its one-sided derivatives; floor and sign have none (0). */
bf_status bfi_point_eval_adjoint(bfi_point_eval *eval, const bfi_budget *budget);

#endif
