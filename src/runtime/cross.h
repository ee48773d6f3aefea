/* What a lane's splits become on the way back: crossings (exec/splits.h) of one program. */
#ifndef BFI_RUNTIME_CROSS_H
#define BFI_RUNTIME_CROSS_H

#include "exec/splits.h"

/* Crossings of many lanes, one lane behind the other. */
typedef struct bfi_crossings {
    bfi_crossing *list; /* owned */
    size_t count, room;
    bool failed; /* out of memory */
} bfi_crossings;

typedef struct bfi_lane_cut {
    int program;
    int64_t box;            /* in flight, whose intervals are clipped */
    const bf_split *splits; /* ascending by activation, then neuron */
    int32_t count;
    const float *start; /* their multipliers; NULL: zeros */
} bfi_lane_cut;

/* The splits exist in the plan, are in order and have finite multipliers >= 0. */
bool bfi_cut_valid(const bf_plan *plan, const bfi_lane_cut *cut);

/* The first activation that takes |value|, of those that |program| crosses; -1: none. */
int bfi_taker(const bf_plan *plan, int program, int value);

/* Fills |multipliers| (one per split) and appends the lane's crossings. Neurons that the program
 * does not pass have none. False: the splits leave nothing of the box's intervals. */
bool bfi_cross(const bf_plan *plan, const bf_workspace *ws, const bfi_lane_cut *cut,
               bfi_multiplier *multipliers, bfi_crossings *out);

#endif
