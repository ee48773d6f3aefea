/* The cache behind the public handle: memory first, then the file. */
#ifndef BFI_RUNTIME_CACHE_CACHE_H
#define BFI_RUNTIME_CACHE_CACHE_H

#include "boundflow/cache.h"
#include "runtime/cache/answer.h"

/* Fills |answer| when the question was answered before; the bits that were put in. Thread-safe, as
 * all of these. */
bool bfi_cache_get(bf_cache *cache, const bfi_question *question, const bfi_answer *answer);

/* Keeps a copy of |answer| unless the question is known. Whatever fails costs only later hits. */
void bfi_cache_put(bf_cache *cache, const bfi_question *question, const bfi_answer *answer);

/* With containment asked for: meets |answer|, bounds that hold, with the bounds of the latest
 * larger region in memory. True when something got tighter. */
bool bfi_cache_contain(bf_cache *cache, const bfi_question *question, const bfi_answer *answer);

/* True when containment was asked for. */
bool bfi_cache_contains(const bf_cache *cache);

/* Counts hidden layers that were not even asked for. */
void bfi_cache_held(bf_cache *cache, int64_t layers);

/* Bytes that one answer takes in memory, without its share of the tables. */
size_t bfi_cache_entry_bytes(size_t key_size, size_t value_size);

#endif
