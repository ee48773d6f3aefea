/* What ran when, as a Chrome trace (the "JSON array" form of the Trace Event Format), which
 * chrome://tracing and ui.perfetto.dev open: one complete event per op, one row per worker. */
#ifndef BFI_TOOLS_TRACE_JSON_H
#define BFI_TOOLS_TRACE_JSON_H

#include "boundflow/inspect.h"
#include "cli.h"
#include "json.h"

/* Records the later runs of |workspace|, as far as there is room. */
bf_status bfi_trace_start(bf_workspace *workspace, bf_error *err);

/* A trace that grows by the events of one workspace after the other. */
typedef struct bfi_trace_file {
    bfi_text text;
    bfi_json json;
    bool open;
    double start; /* of the first event; times in the file are microseconds from it */
    int workers;  /* named so far */
    int64_t dropped;
} bfi_trace_file;

/* Appends what |workspace| recorded. The file starts zeroed; it is opened by the first call. */
bf_status bfi_trace_append(bfi_trace_file *file, const bf_plan *plan, const bf_workspace *workspace,
                           bf_error *err);

/* Ends the array and writes it to |path|, atomically (an empty array when nothing was appended);
 * frees the file's text whatever it returns. */
bf_status bfi_trace_save(bfi_trace_file *file, const char *path, bf_error *err);

/* Frees a file that was not saved; does nothing otherwise. */
void bfi_trace_discard(bfi_trace_file *file);

#endif
