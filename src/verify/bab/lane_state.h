/* What an open node of a search over neurons remembers beside its place in the tree: the tree holds
 * it as bytes, and may drop it when memory is short. Internal to verify/bab. */
#ifndef BFI_VERIFY_BAB_LANE_STATE_H
#define BFI_VERIFY_BAB_LANE_STATE_H

#include "verify/bab/branch.h"
#include "verify/bab/state.h"

/* A lane under |splits| splits, which mixes |mixed| rows. */
typedef struct bfi_lane_state {
    int32_t splits, mixed, count;
    double lower, error;
    const bfi_candidate *candidates; /* count */
    const float *multipliers;        /* splits */
    const float *weights;            /* mixed */
    const uint8_t *slopes;           /* slope_bytes; NULL: not remembered */
} bfi_lane_state;

bf_status bfi_lane_state_pack(const bfi_lane_state *state, int64_t slope_bytes,
                              bfi_state_bytes *bytes, bf_error *err);

/* The state that |data| holds, pointing into it; false when there is none. */
bool bfi_lane_state_unpack(const void *data, bfi_lane_state *state);

/* True when |data| of |size| bytes, from a file, is what bfi_lane_state_pack writes for a lane that
 * mixes |mixed| rows, but for the number of splits and what its candidates are. */
bool bfi_lane_state_valid(const void *data, size_t size, int32_t mixed, int64_t slope_bytes);

#endif
