/* Nodes of a search over neurons in flight: disjuncts under splits, as lanes of one run,
 * and what the run says of them. Internal to verify/bab. */
#ifndef BFI_VERIFY_BAB_LANES_H
#define BFI_VERIFY_BAB_LANES_H

#include "runtime/nodes.h"
#include "verify/bab/branch.h"
#include "verify/bab/root.h"

typedef struct bfi_lanes {
    const bfi_problem *problem;
    int64_t slope_bytes;
    int room, count;
    bfi_node_lane *lanes;   /* room */
    bfi_rankings *rankings; /* room: of lanes that look */
    double *corners;        /* room x n: likewise */
    uint8_t *slopes;        /* room x slope_bytes */
    bf_split *splits;       /* of all lanes, as |first| says (room + 1) */
    float *multipliers;
    int64_t *first;
    size_t split_room, multiplier_room;
    float *weights; /* room x mixed */
    int32_t mixed;  /* most rows that a lane mixes */
} bfi_lanes;

bf_status bfi_lanes_create(const bfi_problem *problem, int room, int64_t slope_bytes,
                           bfi_lanes *out, bf_error *err);
void bfi_lanes_clear(bfi_lanes *lanes);

/* Bytes that a lane takes. */
int64_t bfi_lane_bytes(const bfi_problem *problem, int64_t slope_bytes);

static inline void bfi_lanes_reset(bfi_lanes *l) { l->count = 0; }

/* A lane to add. */
typedef struct bfi_lane_start {
    int64_t base;
    int bit;              /* its disjunct: the row, or all rows mixed */
    const float *weights; /* of a mix; NULL: the row that the root bounds best */
    double lower, error;  /* what is known */
    int rounds;
    bool look; /* rankings and corners are wanted */
    const bf_split *splits;
    int32_t count;
    const float *multipliers; /* of the splits; NULL: zeros */
    int32_t fresh;            /* this one of the splits has none yet, -1: all have */
    const uint8_t *slopes;    /* NULL: the root's */
} bfi_lane_start;

bf_status bfi_lanes_add(bfi_lanes *lanes, const bfi_lane_start *start, bf_error *err);

/* How far the lane, of the disjunct |bit|, keeps its counterexamples away. */
double bfi_lanes_margin(const bfi_lanes *lanes, int lane, int bit);

/* True when none is left where the margin is that. */
bool bfi_lanes_refuted(const bfi_lanes *lanes, int bit, double margin);

/* Bounds the lanes from what |root| knows. */
bf_status bfi_lanes_run(bfi_lanes *lanes, const bfi_root *root, double deadline, bf_error *err);

static inline double *bfi_lanes_corner(const bfi_lanes *l, int lane) {
    return l->corners + lane * l->problem->n;
}
static inline float *bfi_lanes_multipliers(const bfi_lanes *l, int lane) {
    return l->multipliers + l->first[lane];
}
static inline bf_split *bfi_lanes_splits(const bfi_lanes *l, int lane) {
    return l->splits + l->first[lane];
}
static inline float *bfi_lanes_weights(const bfi_lanes *l, int lane) {
    return l->weights + (int64_t)lane * l->mixed;
}
static inline uint8_t *bfi_lanes_slopes(const bfi_lanes *l, int lane) {
    return l->slopes + lane * l->slope_bytes;
}

#endif
