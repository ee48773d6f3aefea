/* What a run need not compute: the hook between runs and the cache of their session.
 *
 * Looked up for every box in flight: its results before anything runs (a box that is answered is
 * idle from then on), then every bounded layer. Put in after they are computed, unless the run was
 * stopped or the box turned out infeasible. Without a cache all of this does nothing. The functions
 * belong to the thread that runs the workspace. */
#ifndef BFI_RUNTIME_REUSE_H
#define BFI_RUNTIME_REUSE_H

#include "exec/workspace.h"

/* Finds the cache of the plan's session, and the identities that it takes, before the first run
 * needs them. Optional: what is missing then is made by the first run. */
void bfi_reuse_prepare(bf_workspace *ws);

/* The workspace's runs neither ask nor fill a cache: for who reads its layers afterwards, which an
 * answer would leave out. */
void bfi_reuse_refuse(bf_workspace *ws);

/* What is left to run. */
typedef enum bfi_reuse_left {
    BFI_REUSE_LEFT_ALL,
    BFI_REUSE_LEFT_SPEC,   /* the workspace still holds the layers of the very same boxes and splits
                            */
    BFI_REUSE_LEFT_NOTHING /* every box is answered */
} bfi_reuse_left;

/* Before a run of ws->boxes boxes from ws->first_box on: sets the states of the boxes, marks those
 * whose results are known and fills these in. */
bfi_reuse_left bfi_reuse_begin(bf_workspace *ws);

/* After it: |whole| says that nothing stopped it. Keeps the results. */
void bfi_reuse_end(bf_workspace *ws, bool whole);

/* Fills the interval of |node| in box |box| when it is known. Else, where containment is asked for,
 * may tighten the interval that is there and then sets |tighter|. */
bool bfi_reuse_value(bf_workspace *ws, int64_t box, int node, bool *tighter);

/* Results that hold are there: containment, where it is asked for, may tighten them. */
void bfi_reuse_start_results(bf_workspace *ws, int64_t box);

/* All boxes in flight got bounds that depend on containment. */
void bfi_reuse_spread(bf_workspace *ws);

/* The interval of |node| in box |box| is final. */
void bfi_reuse_keep(bf_workspace *ws, int64_t box, int node);

/* True when box |box| has been through all layers: its intervals are there. */
bool bfi_reuse_has_layers(const bf_workspace *ws, int64_t box);

/* The workspace's vectors are no longer those of its last run. */
void bfi_reuse_forget(bf_workspace *ws);

void bfi_reuse_free(bfi_reuse *reuse);

#endif
