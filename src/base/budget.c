#include "base/budget.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

double bfi_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A flag that counts looks has one less to go. */
static bool count_down(const atomic_int *flag) {
    atomic_int *stop = (atomic_int *)(uintptr_t)flag;
    int left = atomic_load(stop);
    while (left < 0 && !atomic_compare_exchange_weak(stop, &left, left < -1 ? left + 1 : 1)) {}
    return left >= -1;
}

bf_status bfi_budget_check(const bfi_budget *budget) {
    int stop = budget->stop ? atomic_load_explicit(budget->stop, memory_order_relaxed) : 0;
    if (stop > 0 || (stop < 0 && count_down(budget->stop))) return BF_STATUS_CANCELLED;
    if (budget->deadline > 0 && bfi_clock() >= budget->deadline) return BF_STATUS_TIMEOUT;
    return BF_STATUS_OK;
}
