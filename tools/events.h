/* What happens in a verification, as JSON lines in a file for other programs to follow; the forms
 * are in docs/commands/verify.md. A line is written at once, whole. That the file cannot be written
 * further is said on stderr, once, and stops nothing. */
#ifndef BFI_TOOLS_EVENTS_H
#define BFI_TOOLS_EVENTS_H

#include <stdbool.h>

#include "boundflow/verify.h"

typedef struct bfi_events {
    const char *path; /* NULL: there are none */
    int fd;           /* -1: none any more */
    double start;     /* of the instance */
    double last;      /* when progress was told last */
    char phase[32], branching[128];
    double best;
    int64_t checkpoints;
    bool problem; /* with the last checkpoint */
    double rate_time;
    int64_t rate_nodes;
} bfi_events;

/* |path| is emptied, or gone on with: |append|. The string is kept. */
bf_status bfi_events_open(bfi_events *events, const char *path, bool append, bf_error *err);
void bfi_events_close(bfi_events *events);

/* All do nothing where there is no file. */
typedef struct bfi_events_start {
    const char *model, *property;
    double timeout; /* 0: none */
    int threads;
    const char *resume, *checkpoint; /* NULL: none */
} bfi_events_start;
void bfi_events_begin(bfi_events *events, const bfi_events_start *start);
void bfi_events_progress(bfi_events *events, const bf_progress *progress);
void bfi_events_end(bfi_events *events, const bf_verify_result *result, double seconds);
void bfi_events_fail(bfi_events *events,
                     const char *message); /* the end of one without a verdict */

#endif
