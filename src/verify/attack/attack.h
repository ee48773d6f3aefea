/* Looking for counterexamples: projected gradient descent with restarts (Madry et al. 2018,
 * arXiv:1706.06083), many starting points as lanes of one run on the native kernels. */
#ifndef BFI_VERIFY_ATTACK_ATTACK_H
#define BFI_VERIFY_ATTACK_ATTACK_H

#include "base/budget.h"
#include "base/thread_pool.h"
#include "check/witness.h"

typedef struct bfi_attack bfi_attack;

/* Prepares attacks on |graph| (packs weights, allocates for |lanes| points at once). */
bf_status bfi_attack_create(const bfi_graph *graph, int lanes, const char *isa, bfi_attack **out,
                            bf_error *err);
void bfi_attack_free(bfi_attack *attack);

/* The least violation that any point tried so far came to, as float32 evaluates it, and the point:
 * what the certified bounds are up against. Owned by |attack|. */
typedef struct bfi_nearest {
    double margin; /* +inf: no point has been tried */
    double *x;     /* n_in */
} bfi_nearest;
const bfi_nearest *bfi_attack_nearest(const bfi_attack *attack);

/* Starts from a point of an earlier attack. */
void bfi_attack_remember(bfi_attack *attack, double margin, const double *x);

typedef struct bfi_attack_options {
    int restarts, steps;
    uint64_t seed;
    bf_semantics semantics;
} bfi_attack_options;

/* Searches case |case_index| of |property|: every disjunct is tried (the most promising ones by the
 * centre's and corners' margins first). *|found| tells whether |witness| was filled with one that
 * passed bfi_witness_check. The same seed gives the same result on every machine and thread count.
 * A timeout or stop returns that status with found false. */
bf_status bfi_attack_case(bfi_attack *attack, const bf_property *property, int32_t case_index,
                          const bfi_attack_options *options, const bfi_budget *budget, bool *found,
                          bfi_witness *witness, bf_error *err);

/* Tries |count| points, n_in numbers each: rounds them into the case's box in float32 and has those
 * checked that violate a disjunct. As bfi_attack_case otherwise. */
bf_status bfi_attack_points(bfi_attack *attack, const bf_property *property, int32_t case_index,
                            const double *points, int64_t count, bf_semantics semantics,
                            const bfi_budget *budget, bool *found, bfi_witness *witness,
                            bf_error *err);

#endif
