/* One instance of `verify`: network, property, verdict; the network stays loaded for the next one.
 */
#ifndef BFI_TOOLS_VERIFY_RUN_H
#define BFI_TOOLS_VERIFY_RUN_H

#include "cli.h"
#include "events.h"
#include "progress.h"
#include "trace_json.h"

typedef struct bfi_verify_run {
    bf_verify_options options;
    bool semantics_given; /* by --semantics */
    bf_session *session;  /* the caller's */
    bf_model *model;
    bf_property *property;
    char *network; /* path that |model| was read from */
    char *source;  /* path of the property */
    bf_verify_result result;
    double start;   /* of reading */
    double load_s;  /* reading network and property */
    double total_s; /* and deciding */
    bfi_progress progress;
    double rate_time, rate; /* nodes per second, as shown last and when */
    int64_t rate_nodes;
    bfi_events events;
    bool checkpoint_warned;
    const char *trace_path; /* NULL: no trace */
    bfi_trace_file trace;
    bf_status trace_status; /* of recording; tells in trace_error */
    bf_error trace_error;
    int64_t batch_done, batch_total; /* of a batch, for the progress line; 0 of 0 otherwise */
    char batch_eta[48];
} bfi_verify_run;

/* Whatever it returns, bfi_verify_run_clear is allowed afterwards. */
bf_status bfi_verify_run_init(const bfi_arguments *args, bfi_verify_run *run, bf_error *err);

/* Reads |property| and |network|, the latter only when its path differs from the last one's. */
bf_status bfi_verify_run_load(bfi_verify_run *run, const char *network, const char *property,
                              bf_error *err);

/* Decides what was read last within |timeout| seconds (0: none), reading included. A query of
 * VNN-LIB 2 over float32 asks for every float32 evaluation, unless --semantics says otherwise. */
bf_status bfi_verify_run_decide(bfi_verify_run *run, double timeout, bf_error *err);

/* The result as one JSON object on one line. */
void bfi_verify_run_json(const bfi_verify_run *run, FILE *out);

/* Frees all but the session. */
void bfi_verify_run_clear(bfi_verify_run *run);

#endif
