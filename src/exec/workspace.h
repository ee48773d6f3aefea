/* One run's memory. See plan/plan.h for the layout. Belongs to one running call at a time. */
#ifndef BFI_EXEC_WORKSPACE_H
#define BFI_EXEC_WORKSPACE_H

#include <stdatomic.h>

#include "base/budget.h"
#include "plan/plan.h"

struct bf_workspace {
    const bf_plan *plan;
    char *memory; /* plan->workspace_bytes, 64-byte aligned */
    bf_run_stats stats;
    bfi_budget budget;
    atomic_int failed;   /* bf_status of a stopped run */
    bool ran;
};

static inline double *bfi_ws_doubles(const bf_workspace *ws, int64_t offset) {
    return offset < 0 ? NULL : (double *)(void *)(ws->memory + offset);
}
static inline void *bfi_ws_numbers(const bf_workspace *ws, int64_t offset) {
    return offset < 0 ? NULL : ws->memory + offset;
}
static inline int32_t *bfi_ws_ints(const bf_workspace *ws, int64_t offset) {
    return offset < 0 ? NULL : (int32_t *)(void *)(ws->memory + offset);
}

/* Part of worker |worker|. */
static inline char *bfi_ws_tile(const bf_workspace *ws, int worker) {
    return ws->memory + ws->plan->persistent_bytes + worker * ws->plan->tile_bytes;
}

#endif
