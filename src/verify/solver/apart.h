/* Work that may neither be trusted with time nor with memory, done by a copy of this process: a
 * library that cannot be interrupted ends when its time is up, and takes no state of ours with it.
 */
#ifndef BFI_VERIFY_SOLVER_APART_H
#define BFI_VERIFY_SOLVER_APART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"

/* Forks; the child calls work(user, answer), with |answer| as it was here, and sends back its first
 * |size| bytes; *answered tells whether all of them came (not when the child crashed or ran out of
 * |memory|, bytes beyond what this process takes). When |budget| is spent the child is killed, and
 * its status returned. |work| must not start threads, print, or look at threads of ours. */
bf_status bfi_apart_run(const bfi_budget *budget, int64_t memory,
                        void (*work)(void *user, void *answer), void *user, void *answer,
                        size_t size, bool *answered, bf_error *err);

#endif
