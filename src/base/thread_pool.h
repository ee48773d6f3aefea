/* One pool of worker threads; parallel loops over tiles. */
#ifndef BFI_BASE_THREAD_POOL_H
#define BFI_BASE_THREAD_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct bfi_pool bfi_pool;

/* |threads| >= 1 counts the caller of bfi_pool_run. */
bf_status bfi_pool_create(int threads, bfi_pool **out, bf_error *err);
void bfi_pool_free(bfi_pool *pool);
int bfi_pool_threads(const bfi_pool *pool);

/* Some worker looks for a loop right now: bfi_pool_run need not wake one. A guess, free of cost. */
bool bfi_pool_awake(const bfi_pool *pool);

/* Calls work(user, item, worker) once for every item in [0, items), in any order, on up to
 * |workers| threads (at most bfi_pool_threads()); |worker| in [0, workers) is held by one call at a
 * time. Returns when all are done. Calls from several threads take turns; one from within |work|
 * runs its items one after the other, as the worker that it is in. Allocates nothing. */
void bfi_pool_run(bfi_pool *pool, int64_t items, int workers,
                  void (*work)(void *user, int64_t item, int worker), void *user);

#endif
