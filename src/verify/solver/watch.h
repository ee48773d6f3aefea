/* A thread that watches a budget while a library works that cannot poll it. */
#ifndef BFI_VERIFY_SOLVER_WATCH_H
#define BFI_VERIFY_SOLVER_WATCH_H

#include "base/budget.h"

typedef struct bfi_watch bfi_watch;

/* Calls |stop| on a thread of its own from when |budget| is spent, every few milliseconds, until
 * bfi_watch_end. Fails only for want of memory or threads. */
bf_status bfi_watch_begin(const bfi_budget *budget, void (*stop)(void *user), void *user,
                          bfi_watch **out, bf_error *err);
void bfi_watch_end(bfi_watch *watch);

#endif
