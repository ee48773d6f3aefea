#include "base/budget.h"

#include <time.h>

double bfi_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bf_status bfi_budget_check(const bfi_budget *budget) {
    if (budget->stop && atomic_load_explicit(budget->stop, memory_order_relaxed))
        return BF_STATUS_CANCELLED;
    if (budget->deadline > 0 && bfi_clock() >= budget->deadline) return BF_STATUS_TIMEOUT;
    return BF_STATUS_OK;
}
