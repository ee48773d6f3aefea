/* One run's memory. See plan/plan.h for the layout. Belongs to one running call at a time. */
#ifndef BFI_EXEC_WORKSPACE_H
#define BFI_EXEC_WORKSPACE_H

#include <stdatomic.h>

#include "base/budget.h"
#include "exec/trace.h"
#include "plan/plan.h"

typedef struct bfi_reuse bfi_reuse; /* runtime/reuse.h */

struct bf_workspace {
    const bf_plan *plan;
    char *memory;             /* plan->workspace_bytes, 64-byte aligned */
    int64_t first_box, boxes; /* of the request, in flight; their persistent parts come first in
                                 |memory| */
    bf_run_stats stats;
    bfi_budget budget;
    atomic_int failed; /* bf_status of a stopped run */
    bool choose;       /* lanes choose their lower slopes: forward steps run again, keep the better
                          intervals, and leave errors that hold for every slope */
    bool ran;
    int64_t rows; /* of the spec, as reshaped */
    bool bound;
    bf_request request; /* when bound */
    bfi_trace *trace;   /* NULL: not recording */
    bfi_reuse *reuse;   /* NULL until a run has a cache */
    bool uncached;      /* no run has (bfi_reuse_refuse) */
    bool again;         /* one box is bounded again, the others rest (bfi_run_again) */
    int64_t only;       /* that box */
};

/* Vector at |offset| of the persistent part of box |box|; NULL for offset -1. */
static inline void *bfi_ws_numbers(const bf_workspace *ws, int64_t box, int64_t offset) {
    return offset < 0 ? NULL : ws->memory + box * ws->plan->persistent_bytes + offset;
}
static inline double *bfi_ws_doubles(const bf_workspace *ws, int64_t box, int64_t offset) {
    return (double *)bfi_ws_numbers(ws, box, offset);
}
static inline int32_t *bfi_ws_ints(const bf_workspace *ws, int64_t box, int64_t offset) {
    return (int32_t *)bfi_ws_numbers(ws, box, offset);
}

/* What a box keeps beside its vectors. */
static inline bfi_box_state *bfi_ws_box(const bf_workspace *ws, int64_t box) {
    return (bfi_box_state *)bfi_ws_numbers(ws, box, ws->plan->box_state);
}
/* True when no input of the box satisfies its splits: nothing is computed for it any more. */
static inline bool bfi_ws_infeasible(const bf_workspace *ws, int64_t box) {
    return atomic_load_explicit(&bfi_ws_box(ws, box)->infeasible, memory_order_relaxed);
}
/* True when there is nothing to compute for the box. */
static inline bool bfi_ws_idle(const bf_workspace *ws, int64_t box) {
    return (ws->again && box != ws->only) || bfi_ws_box(ws, box)->answered ||
           bfi_ws_infeasible(ws, box);
}
/* The box's part in the running job of a step that bounds |node|. */
static inline bfi_box_lanes *bfi_ws_lanes(const bf_workspace *ws, int64_t box, int node) {
    return (bfi_box_lanes *)bfi_ws_numbers(ws, box, ws->plan->box_lanes) + node;
}

/* Most floating-point operations between two looks at the budget: 10 ms at 1 Gflop/s. */
#define BFI_CHUNK_FLOPS 1e7

/* Chunks of |step| units of a loop so that one takes about BFI_CHUNK_FLOPS, given those of one
 * unit. */
static inline int64_t bfi_chunk(double unit_flops, int64_t step) {
    double units = BFI_CHUNK_FLOPS / (unit_flops + 1) / (double)step;
    return units < 1 ? step : units > 1e9 ? (int64_t)1e9 * step : (int64_t)units * step;
}

/* True when the run has to stop; bf_bounds_run reports why. */
static inline bool bfi_ws_stopped(bf_workspace *ws) {
    bf_status status = bfi_budget_check(&ws->budget);
    if (status != BF_STATUS_OK) atomic_store(&ws->failed, (int)status);
    return atomic_load_explicit(&ws->failed, memory_order_relaxed) != BF_STATUS_OK;
}

/* Part of worker |worker|. */
static inline char *bfi_ws_tile(const bf_workspace *ws, int worker) {
    return ws->memory + ws->plan->boxes * ws->plan->persistent_bytes +
           worker * ws->plan->tile_bytes;
}

#endif
