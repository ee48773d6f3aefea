/* How one lane of an attack starts and steps. Every step goes down the gradient inside the box:
 * signed steps (Madry et al. 2018, arXiv:1706.06083), with momentum (Dong et al. 2018,
 * arXiv:1710.06081), Adam (Kingma and Ba 2015, arXiv:1412.6980), conditional gradient (Frank and
 * Wolfe 1956); or between corners, or at random around the lane's best point. Steps are relative to
 * the width of the box, dimension by dimension. */
#ifndef BFI_VERIFY_ATTACK_MOVES_H
#define BFI_VERIFY_ATTACK_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "boundflow/property.h"
#include "verify/attack/objective.h"

/* A box in float32, rounded inward; dimensions that hold one float32 alone are fixed. */
typedef struct bfi_attack_box {
    int64_t n, free_count;
    int32_t *free; /* dimensions that are not fixed, ascending */
    float *lo, *hi;
} bfi_attack_box;

bf_status bfi_attack_box_create(int64_t n, bfi_attack_box *out, bf_error *err);
void bfi_attack_box_clear(bfi_attack_box *box);
void bfi_attack_box_set(bfi_attack_box *box, const bf_case *c);

typedef enum bfi_rule {
    BFI_RULE_SIGN,
    BFI_RULE_MOMENTUM,
    BFI_RULE_ADAM,
    BFI_RULE_CONDITIONAL,
    BFI_RULE_FLIP,
    BFI_RULE_LOCAL,
    BFI_RULE_COUNT
} bfi_rule;

typedef enum bfi_start {
    BFI_START_CENTRE,
    BFI_START_UNIFORM,
    BFI_START_CORNER,
    BFI_START_MIXED, /* every dimension uniform or at an end */
    BFI_START_NEAR   /* around a point given */
} bfi_start;

typedef struct bfi_lane {
    uint64_t random;
    bfi_rule rule;
    bfi_row_mix mix;
    int32_t target;       /* disjunct it aims at, or -1: the nearest one at every point */
    int32_t chosen;       /* disjunct followed at this point */
    int age, span;        /* steps done, steps planned */
    int stall;            /* steps since |best| fell */
    float reach;          /* length of the first step, in widths */
    float power1, power2; /* Adam: powers of its decay rates */
    double value, best;   /* violation of |chosen| here; lowest since the start */
    double least;         /* violation of the nearest disjunct here */
} bfi_lane;

/* Columns of one lane, |ls| apart. Input-shaped ones are indexed by dimension; |best|, |m| and |v|
 * by position in box->free. */
typedef struct bfi_columns {
    float *x, *gradient, *best, *m, *v;
    int64_t ls;
} bfi_columns;

/* Writes a starting point into the free dimensions; |near|: free_count numbers, for BFI_START_NEAR
 * within |radius| widths. Forgets the lane's best point, momentum and age. */
void bfi_move_start(const bfi_attack_box *box, bfi_lane *lane, bfi_start start, const float *near,
                    float radius, const bfi_columns *c);

/* One step; false when the gradient is zero and the rule needs one. */
bool bfi_move_step(const bfi_attack_box *box, bfi_lane *lane, const bfi_columns *c);

#endif
