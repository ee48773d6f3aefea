/* Leaves: nodes in which nothing is left to split, decided by a linear program. Internal to
 * verify/bab. */
#ifndef BFI_VERIFY_BAB_LEAF_H
#define BFI_VERIFY_BAB_LEAF_H

#include "verify/bab/loop.h"

typedef struct bfi_leaves {
    struct bfi_solver *solver; /* made for the first leaf */
    char open[160];            /* why a leaf was left open; "" none was */
} bfi_leaves;

/* Decides the disjunct of |bit| under |splits| of |plan|'s activations: sets |refuted|, or finds a
 * counterexample, which ends the search, or leaves it open. */
bf_status bfi_leaf_decide(bfi_leaves *leaves, bfi_loop *loop, int bit, const bf_plan *plan,
                          const bf_split *splits, int64_t count, bool *refuted, double *margin);

void bfi_leaves_clear(bfi_leaves *leaves);

#endif
