/* Budgets: a deadline and a stop flag that are passed down and polled. Thread-safe. */
#ifndef BFI_BASE_BUDGET_H
#define BFI_BASE_BUDGET_H

#include <stdatomic.h>

#include "base/status.h"

typedef struct bfi_budget {
    double deadline;        /* bfi_clock() seconds; 0: none */
    const atomic_int *stop; /* above 0 asks to stop; below, so many looks from now on (tests stop
                               work wherever it polls); may be NULL */
} bfi_budget;

/* Monotonic seconds. */
double bfi_clock(void);

/* BF_STATUS_OK, BF_STATUS_TIMEOUT or BF_STATUS_CANCELLED. Costs about 30 ns. */
bf_status bfi_budget_check(const bfi_budget *budget);

#endif
