/* What an open node of a search over neurons remembers beside its place in the tree: the tree holds
 * it as bytes, and may drop it when memory is short. Internal to verify/bab. */
#ifndef BFI_VERIFY_BAB_LANE_STATE_H
#define BFI_VERIFY_BAB_LANE_STATE_H

#include "verify/bab/branch.h"
#include "verify/bab/state.h"

/* |rows| lanes under |splits| splits. */
typedef struct bfi_lane_state {
    int32_t rows, splits, count;
    const double *lower, *error;     /* by row */
    const bfi_candidate *candidates; /* count */
    const float *multipliers;        /* rows x splits */
    const uint8_t *slopes;           /* rows x slope_bytes; NULL: not remembered */
} bfi_lane_state;

bf_status bfi_lane_state_pack(const bfi_lane_state *state, int64_t slope_bytes,
                              bfi_state_bytes *bytes, bf_error *err);

/* The state that |data| holds, pointing into it; false when there is none. */
bool bfi_lane_state_unpack(const void *data, bfi_lane_state *state);

/* True when |data| of |size| bytes, from a file, is what bfi_lane_state_pack writes for |rows|
 * rows, but for the number of splits and what its candidates are. */
bool bfi_lane_state_valid(const void *data, size_t size, int rows, int64_t slope_bytes);

#endif
