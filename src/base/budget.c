#include "base/budget.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static double seconds(const struct timespec *t) {
    return (double)t->tv_sec + 1e-9 * (double)t->tv_nsec;
}

double bfi_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return seconds(&t);
}

/* A flag that counts looks has one less to go. */
static bool count_down(const atomic_int *flag) {
    atomic_int *stop = (atomic_int *)(uintptr_t)flag;
    int left = atomic_load(stop);
    while (left < 0 && !atomic_compare_exchange_weak(stop, &left, left < -1 ? left + 1 : 1)) {
    }
    return left >= -1;
}

/* The clock of the last tick costs a fifth of the exact one; ticks are 1 to 10 ms apart. */
static bool passed(double deadline) {
    enum { TICKS_MS = 20 };
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC_COARSE, &t) == 0 && seconds(&t) + 1e-3 * TICKS_MS < deadline)
        return false;
    return bfi_clock() >= deadline;
}

bf_status bfi_budget_check(const bfi_budget *budget) {
    int stop = budget->stop ? atomic_load_explicit(budget->stop, memory_order_relaxed) : 0;
    if (stop > 0 || (stop < 0 && count_down(budget->stop))) return BF_STATUS_CANCELLED;
    if (budget->deadline > 0 && passed(budget->deadline)) return BF_STATUS_TIMEOUT;
    return BF_STATUS_OK;
}
