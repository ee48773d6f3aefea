/* Optimising the slopes that all rows of a layer share: the rounds of one layer and box. */
#ifndef BFI_RUNTIME_OPTIMIZE_H
#define BFI_RUNTIME_OPTIMIZE_H

#include "exec/workspace.h"

/* Runs the OPTIMIZE step |index|, whose program has shared slopes, on box |box|: all rounds for
 * lower bounds, then for the upper bounds of the rows that are still open. A row leaves when it is
 * decided, or after BFI_ALPHA_PATIENCE rounds without gain on that side. Its bounds only get
 * better, with every round; a stop keeps those. */
void bfi_optimize_shared(const bf_plan *plan, bf_workspace *ws, int index, int64_t box);

#endif
