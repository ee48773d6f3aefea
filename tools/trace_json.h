/* What ran when, as a Chrome trace (the "JSON array" form of the Trace Event Format), which
 * chrome://tracing and ui.perfetto.dev open: one complete event per op, one row per worker. */
#ifndef BFI_TOOLS_TRACE_JSON_H
#define BFI_TOOLS_TRACE_JSON_H

#include "boundflow/inspect.h"

/* Records the later runs of |workspace|, as far as there is room. */
bf_status bfi_trace_start(bf_workspace *workspace, bf_error *err);

/* Writes the recorded events to |path|, atomically; |*dropped| events had no room. Times are
 * microseconds from the first event's begin. */
bf_status bfi_trace_write(const bf_plan *plan, const bf_workspace *workspace, const char *path,
                          int64_t *dropped, bf_error *err);

#endif
