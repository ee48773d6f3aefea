/* What an open node remembers beside its place in the tree: the tree holds it as bytes, and may
 * drop it when memory is short. Without it a node's box comes from its path alone (which covers the
 * remembered one) and its candidates from its bounds. Internal to verify/bab. */
#ifndef BFI_VERIFY_BAB_STATE_H
#define BFI_VERIFY_BAB_STATE_H

#include "verify/bab/branch.h"

/* Boxes of more inputs are not remembered. */
enum { BFI_STATE_INPUTS = 64 };

/* Candidates that a node remembers, at most. */
enum { BFI_STATE_CANDIDATES = 64 };

typedef struct bfi_state {
    const double *lo, *hi; /* n, or NULL */
    const float *margins;  /* of every row: bounds of the node itself */
    const bfi_candidate *candidates;
    int count;
} bfi_state;

typedef struct bfi_state_bytes {
    char *data;
    size_t size, room;
} bfi_state_bytes;

/* Writes |state| into |bytes|, which grows (free bytes->data at the end). */
bf_status bfi_state_pack(int64_t n, int64_t rows, const bfi_state *state, bfi_state_bytes *bytes,
                         bf_error *err);

/* The state that |data| holds, pointing into it; false when there is none. */
bool bfi_state_unpack(int64_t n, int64_t rows, const void *data, bfi_state *state);

/* True when |data| of |size| bytes, from a file, is what bfi_state_pack writes. */
bool bfi_state_valid(int64_t n, int64_t rows, const void *data, size_t size);

#endif
