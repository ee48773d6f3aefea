/* Pieces of memory of a few sizes, taken and given back one by one, and all released in a moment:
 * the cost of bfi_pool_clear goes by slabs, not by pieces. A piece that was given back serves the
 * next one of its size; its memory returns to the system with the pool. Not thread-safe.
 */
#ifndef BFI_BASE_POOL_H
#define BFI_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

enum {
    BFI_POOL_GRAIN = 16,
    BFI_POOL_LARGEST = 1 << 16
}; /* bytes; larger pieces are blocks of their own */

struct bfi_pool_slab;

/* Zero is an empty pool. */
typedef struct bfi_pool {
    struct bfi_pool_slab *slabs, *large;
    size_t left;  /* bytes at the end of the newest slab */
    void **spare; /* by size in grains: pieces that were given back */
} bfi_pool;

/* What a piece of |size| bytes takes of the pool. */
int64_t bfi_pool_bytes(size_t size);

/* |size| bytes, aligned to 16, not zeroed; NULL: no memory. */
void *bfi_pool_take(bfi_pool *pool, size_t size);

/* Gives back a piece that was taken as |size| bytes. */
void bfi_pool_give(bfi_pool *pool, void *piece, size_t size);

/* Releases all pieces; the pool is empty again. */
void bfi_pool_clear(bfi_pool *pool);

#endif
