/* Bases of a search over neurons: hidden bounds tightened for a part of the tree
 * (runtime/rebase.h).
 *
 * When many nodes of a part have been expanded on its base, the part below one of its nodes gets a
 * base of its own, and is searched until it is closed (bfi_tree_focus); then the rest goes on, with
 * the next part. So there is one base per level, however many the search makes. Whether one is due
 * depends on counts of nodes and on how much bases have gained, not on time. Internal to
 * verify/bab. */
#ifndef BFI_VERIFY_BAB_BASES_H
#define BFI_VERIFY_BAB_BASES_H

#include "verify/bab/root.h"

/* The box of the root's workspace that sharpened hidden bounds are in (sharpen.h). */
enum { BFI_GROUND = 1 };

typedef struct bfi_base_level {
    int bit;          /* of the disjunct whose counterexamples it is about */
    int32_t depth;    /* of the node it was made for */
    bf_split *splits; /* on the way there, ascending by activation, then neuron */
    int32_t count;
    double work; /* nodes expanded on it */
} bfi_base_level;

typedef struct bfi_bases {
    bfi_base_level levels[BFI_TREE_LEVELS]; /* 0: all of the tree */
    int level;                              /* in use */
    int ground;                             /* box that level 0 is bounded on; level l > 0 is box
                                               l + BFI_GROUND of the root's workspace */
    double work, spent;                     /* nodes expanded; what bases took, in nodes */
    double worth;                           /* of the share that they may take */
    double node_flops;                      /* of expanding a node */
} bfi_bases;

/* Drops all bases: none has been made. */
void bfi_bases_clear(bfi_bases *bases);

/* Bases beyond the tree's level |level| are not needed any more. */
void bfi_bases_follow(bfi_bases *bases, int level);

/* Says that |nodes| nodes were expanded on the level in use. */
void bfi_bases_count(bfi_bases *bases, int nodes);

/* A base below the one in use pays. */
bool bfi_bases_due(const bfi_bases *bases, const bfi_root *root);
/* How deep its node should be. */
int32_t bfi_bases_depth(const bfi_bases *bases);

/* Where a base is wanted: a node, and what is known of its lane. */
typedef struct bfi_base_start {
    int bit;
    int32_t depth;
    const bf_split *splits;
    int32_t count;
    const float *weights;     /* of the disjunct's rows */
    const float *multipliers; /* of the splits */
    const uint8_t *slopes;
} bfi_base_start;

/* Makes it the next level, unless its disjunct cannot be refuted: then |made| is false. */
bf_status bfi_bases_add(bfi_bases *bases, const bfi_problem *problem, bfi_root *root,
                        const bfi_base_start *start, double deadline, bool *made, bf_error *err);

/* The base for a node of the disjunct |bit| under |splits|: what its bounds hold for contains all
 * that may be a counterexample there. */
int64_t bfi_bases_find(const bfi_bases *bases, int bit, const bf_split *splits, int32_t count);

/* Kinks that are unstable in the root's box but not on |base|, as splits: they hold for every
 * counterexample of the base. At most bfi_implied_most of them; how many. */
int64_t bfi_implied_most(const bfi_root *root, int64_t base);
int64_t bfi_implied_splits(const bfi_root *root, int64_t base, bf_split *out);

#endif
