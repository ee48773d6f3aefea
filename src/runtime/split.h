/* Split constraints of the boxes in flight. */
#ifndef BFI_RUNTIME_SPLIT_H
#define BFI_RUNTIME_SPLIT_H

#include "exec/workspace.h"

/* To be called when the interval of value |node| of box |box| has been computed or bounded: clips
 * it to the box's splits, outward. A box whose interval becomes empty is marked infeasible. Calls
 * for different values or boxes may run at the same time. */
void bfi_split_clip(bf_workspace *ws, int64_t box, int node);

/* Checks the splits of a request of |boxes| boxes. */
bf_status bfi_split_check(const bf_plan *plan, const bf_request *request, int64_t boxes,
                          bf_error *err);

#endif
