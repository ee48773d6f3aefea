/* Things that have to go well in a benchmark, or it ends with a message. */
#ifndef BENCH_MICRO_MUST_H
#define BENCH_MICRO_MUST_H

#include <stdio.h>
#include <stdlib.h>

#include "boundflow/status.h"

static inline void *need(void *p) {
    if (p) return p;
    fprintf(stderr, "out of memory\n");
    exit(1);
}

static inline void check(bf_status status, const bf_error *err) {
    if (status == BF_STATUS_OK) return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

#endif
