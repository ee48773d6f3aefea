/* The compiler's passes, from a graph to a plan; their order is compile() in pipeline.c. */
#ifndef BFI_PLAN_PIPELINE_H
#define BFI_PLAN_PIPELINE_H

#include "plan/plan.h"

/* Requires constants; provides the error constants of every node. */
bf_status bfi_pass_errors(bf_plan *plan, bf_error *err);

/* Requires kernels; provides steps and backward programs (without storage), and notes on fallbacks. */
bf_status bfi_pass_partition(bf_plan *plan, bf_error *err);

/* Requires placed programs; provides the workspace: offsets of the persistent part, tile width and
 * workers that meet the memory budget. */
bf_status bfi_pass_layout(bf_plan *plan, bf_error *err);

bf_status bfi_plan_add_note(bf_plan *plan, bf_error *err, const char *fmt, ...) BF_PRINTF(3, 4);

#endif
