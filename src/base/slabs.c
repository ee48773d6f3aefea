#include "base/slabs.h"

#include <stdlib.h>

#include "base/alloc.h"

enum { SLAB = 1 << 20, CLASSES = BFI_SLABS_LARGEST / BFI_SLABS_GRAIN + 1 };

/* The head of a slab, or of a large piece. */
struct bfi_slab {
    struct bfi_slab *next, *previous;
    _Alignas(BFI_SLABS_GRAIN) char bytes[];
};

typedef struct bfi_slab slab;

static size_t grains(size_t size) { return (size + BFI_SLABS_GRAIN - 1) / BFI_SLABS_GRAIN; }

int64_t bfi_slabs_bytes(size_t size) {
    return (int64_t)(grains(size) * BFI_SLABS_GRAIN +
                     (size > BFI_SLABS_LARGEST ? sizeof(slab) : 0));
}

/* A slab of |bytes| at the head of |list|. */
static slab *add(slab **list, size_t bytes) {
    slab *s = bfi_add_size(bytes, sizeof *s, &bytes) ? bfi_malloc(1, bytes) : NULL;
    if (!s) return NULL;
    s->previous = NULL;
    s->next = *list;
    if (*list) (*list)->previous = s;
    return *list = s;
}

static void drop(slab **list, slab *s) {
    if (s->next) s->next->previous = s->previous;
    *(s->previous ? &s->previous->next : list) = s->next;
    free(s);
}

void *bfi_slabs_take(bfi_slabs *p, size_t size) {
    if (size > BFI_SLABS_LARGEST) {
        slab *own = add(&p->large, size);
        return own ? own->bytes : NULL;
    }
    size_t g = grains(size ? size : 1), bytes = g * BFI_SLABS_GRAIN;
    if (!p->spare && !(p->spare = bfi_calloc(CLASSES, sizeof *p->spare))) return NULL;
    void *piece = p->spare[g];
    if (piece) {
        p->spare[g] = *(void **)piece;
        return piece;
    }
    if (p->left < bytes) {
        if (!add(&p->slabs, SLAB)) return NULL;
        p->left = SLAB;
    }
    p->left -= bytes;
    return p->slabs->bytes + p->left;
}

void bfi_slabs_give(bfi_slabs *p, void *piece, size_t size) {
    if (size > BFI_SLABS_LARGEST) {
        drop(&p->large, (slab *)((char *)piece - offsetof(slab, bytes)));
        return;
    }
    size_t g = grains(size ? size : 1);
    *(void **)piece = p->spare[g];
    p->spare[g] = piece;
}

void bfi_slabs_clear(bfi_slabs *p) {
    while (p->slabs) drop(&p->slabs, p->slabs);
    while (p->large) drop(&p->large, p->large);
    free(p->spare);
    *p = (bfi_slabs){0};
}
