/* Running a plan on a few boxes of the bound request. */
#ifndef BFI_RUNTIME_RUN_H
#define BFI_RUNTIME_RUN_H

#include "runtime/job.h"

/* Runs boxes [first, first + boxes) of ws->request, at most plan->boxes, all in flight together,
 * and stores their results. The workspace's budget is set and nothing has failed. Returns the
 * budget's status. Allocates nothing. */
bf_status bfi_run_boxes(const bf_plan *plan, bf_workspace *ws, int64_t first, int64_t boxes,
                        bf_error *err);

/* Bounds the layers of |box| again, from the intervals that it has after an alpha-CROWN run of a
 * plan with keep_layers, and its splits in ws->request: by intervals and CROWN, keeping what is
 * better. Other boxes rest. A stop is left in the workspace. */
void bfi_run_again(const bf_plan *plan, bf_workspace *ws, int64_t box);

/* The status of a run that has failed or was stopped, with a message; BF_STATUS_OK: neither. */
bf_status bfi_run_failure(const bf_workspace *ws, bf_error *err);

/* Cuts and runs one job, its rows added, on the pool when that pays. */
void bfi_run_job(const bf_plan *plan, bf_workspace *ws, const bfi_job *job);

#endif
