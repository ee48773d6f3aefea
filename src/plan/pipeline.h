/* The compiler's passes, from a graph to a plan; their order is the table in pipeline.c. */
#ifndef BFI_PLAN_PIPELINE_H
#define BFI_PLAN_PIPELINE_H

#include "plan/plan.h"

/* Requires constants; provides the error constants of every node. */
bf_status bfi_pass_errors(bf_plan *plan, bf_error *err);

/* Requires the graph; provides which products are curved, and which values need affine forms. */
bf_status bfi_pass_moments(bf_plan *plan, bf_error *err);

/* Requires kernels and curved products; provides steps in serial order, backward programs (without
 * storage), and notes on fallbacks. */
bf_status bfi_pass_partition(bf_plan *plan, bf_error *err);

/* Requires steps and programs; provides tasks, waves and edges, and the steps' final order. */
bf_status bfi_pass_tasks(bf_plan *plan, bf_error *err);

/* Requires the graph; provides the list of values that may be split. */
bf_status bfi_pass_splits(bf_plan *plan, bf_error *err);

/* Requires tasks and programs; provides the persistent vectors with lifetimes and offsets. */
bf_status bfi_pass_vectors(bf_plan *plan, bf_error *err);
const char *bfi_role_name(bfi_role role);

/* Requires programs and constants; provides the lowering of every op. */
bf_status bfi_pass_lower(bf_plan *plan, bf_error *err);
const char *bfi_backend_name(bfi_backend backend);
/* Bound op that the forward step of a node with |op| is. */
const char *bfi_forward_op_name(bfi_op op);

/* Requires placed programs and vectors; provides boxes in flight, tile width, workers and bytes
 * that meet the budget. */
bf_status bfi_pass_workspace(bf_plan *plan, bf_error *err);

bf_status bfi_plan_add_note(bf_plan *plan, bf_error *err, const char *fmt, ...) BF_PRINTF(3, 4);

#endif
