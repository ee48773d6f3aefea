/* Pieces of memory of a few sizes, taken and given back one by one, and all released in a moment:
 * the cost of bfi_slabs_clear goes by slabs, not by pieces. A piece that was given back serves the
 * next one of its size; its memory returns to the system with all others. Not thread-safe.
 */
#ifndef BFI_BASE_SLABS_H
#define BFI_BASE_SLABS_H

#include <stddef.h>
#include <stdint.h>

/* Bytes; larger pieces are blocks of their own. */
enum { BFI_SLABS_GRAIN = 16, BFI_SLABS_LARGEST = 1 << 16 };

struct bfi_slab;

/* Zero is an empty one. */
typedef struct bfi_slabs {
    struct bfi_slab *slabs, *large;
    size_t left;  /* bytes at the end of the newest slab */
    void **spare; /* by size in grains: pieces that were given back */
} bfi_slabs;

/* What a piece of |size| bytes takes. */
int64_t bfi_slabs_bytes(size_t size);

/* |size| bytes, aligned to 16, not zeroed; NULL: no memory. */
void *bfi_slabs_take(bfi_slabs *slabs, size_t size);

/* Gives back a piece that was taken as |size| bytes. */
void bfi_slabs_give(bfi_slabs *slabs, void *piece, size_t size);

/* Releases all pieces; nothing is left in them. */
void bfi_slabs_clear(bfi_slabs *slabs);

#endif
