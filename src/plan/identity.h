/* Identities: for every value that a plan bounds, a hash of all that its bounds depend on besides
 * the run (box, splits, rows of C). Two plans, of two models even, that agree on a value's identity
 * compute the same bits for it from the same box.
 *
 * A Merkle hash over the planned graph: the content of a node (op, attributes, weights), its error
 * constants, the identities of its inputs, whether and by which program the value is bounded, and
 * the options that change numbers. Executor, instruction set, tiles, partition and threads are not
 * in it: they change no bit. */
#ifndef BFI_PLAN_IDENTITY_H
#define BFI_PLAN_IDENTITY_H

#include "base/blake2b.h"

struct bf_plan;

/* Raise this number when any bound comes out with other bits than before: what caches on disk hold
 * from older builds is then no longer found. tests/unit/test_identity.c tells. */
#define BFI_BOUNDS_REVISION 6

typedef struct bfi_identity {
    bfi_digest spec;     /* rows of C */
    bfi_digest outputs;  /* the outputs themselves */
    bfi_digest values[]; /* by value of the planned graph */
} bfi_identity;

/* Computed by the first call (one pass over the weights, about 0.65 GB/s) and kept by the plan;
 * NULL when out of memory. Thread-safe. */
const bfi_identity *bfi_plan_identity(const struct bf_plan *plan);

#endif
