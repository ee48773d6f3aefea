/* Traces: what ran when, on which worker. Recording allocates nothing and never blocks. */
#ifndef BFI_EXEC_TRACE_H
#define BFI_EXEC_TRACE_H

#include <stdatomic.h>
#include <stdint.h>

/* One span: forward step of |node| (BFI_TRACE_FORWARD), the choice of the rows to bound
 * (BFI_TRACE_ROWS), or a backward op (its bfi_back_kind) of step |step|. */
enum { BFI_TRACE_FORWARD = -1, BFI_TRACE_ROWS = -2 };

typedef struct bfi_trace_event {
    double begin, end; /* bfi_clock() seconds */
    int kind, node, step, worker;
    int64_t lanes;
    double flops; /* multiply-adds times two of all lanes, as the run counts them */
} bfi_trace_event;

typedef struct bfi_trace {
    bfi_trace_event *events;
    int64_t capacity;
    atomic_int_fast64_t count; /* asked for; beyond capacity they are dropped and counted */
} bfi_trace;

/* Adds an event; thread-safe. NULL |trace| is allowed: nothing happens. */
static inline void bfi_trace_add(bfi_trace *trace, bfi_trace_event event) {
    if (!trace) return;
    int64_t index = atomic_fetch_add_explicit(&trace->count, 1, memory_order_relaxed);
    if (index < trace->capacity) trace->events[index] = event;
}

#endif
