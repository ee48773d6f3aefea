/* Branch and bound on one case of a property: proves that no input of the case's box reaches any of
 * its open disjuncts, or finds one that does.
 *
 * Nodes are bounded in batches, as boxes of one request (lanes of one run); what a node's bounds
 * leave open is branched on; the minimisers of its linear bounds are tried as counterexamples.
 * Bunel et al. 2020 (Branch and bound for piecewise linear neural network verification, JMLR 21)
 * for the scheme; input splitting by the reach of each coordinate: Wang et al. 2018 (ReluVal,
 * arXiv:1804.10829), section 4.3, with the linear bound's coefficients in place of gradients. */
#ifndef BFI_VERIFY_BAB_SEARCH_H
#define BFI_VERIFY_BAB_SEARCH_H

#include "boundflow/verify.h"
#include "verify/attack/attack.h"
#include "verify/bab/tree.h"
#include "verify/refute.h"

typedef struct bfi_search_progress {
    int64_t nodes;         /* bounded so far */
    int64_t hidden_nodes;  /* and of searches for hidden bounds (sharpen.h) */
    int64_t open;          /* waiting */
    double lowest;         /* worst margin among the open ones: what is certified so far */
    int64_t bytes;         /* of the tree, and of what bounds it */
    const char *branching; /* what is split, and why: as long as the result is there */
} bfi_search_progress;

/* What nodes hold for the search, in a file: raise it when that changes. */
enum { BFI_SEARCH_FORMAT = 3 };

/* Where a search is, between two batches: with the states of its case all that it goes on from. */
typedef struct bfi_search_mark {
    int32_t case_index;
    int32_t group;              /* first disjunct of those that are searched together */
    int64_t nodes;              /* bounded so far */
    int32_t sharpened;          /* leaves of the searches for hidden bounds; 0: there were none */
    int64_t attack_at, attacks; /* when the attack runs again, and how often it has */
    int64_t stranded;           /* leaves that nothing decides: they are not in the tree */
    double stranded_margin;
    bfi_tree *tree;
} bfi_search_mark;

/* A part of the input space that was bounded: what satisfies all |depth| |cuts|, in no order. Of
 * the disjuncts in |was| (bits of problem->disjuncts) those in |open| are left. */
typedef struct bfi_search_child {
    const struct bfi_problem *problem;
    const bfi_cut *cuts;
    int32_t depth;
    uint64_t was, open;
    double margin;
} bfi_search_child;

typedef struct bfi_search_options {
    bf_options bounds; /* of every node; batch is chosen here */
    bf_branching branching;
    int64_t memory;  /* bytes for workspaces, what is in flight and the tree together; 0: as much as
                        bounds want, and 1 GiB for the tree */
    double deadline; /* bf_clock() time; 0: none */
    int64_t most_nodes; /* of the case; 0: as many as it takes */
    bfi_attack *attack;
    void (*report)(void *user, const bfi_search_progress *progress); /* may be NULL */
    /* Called after every batch, and with |last| when the search ends open: may save |mark|, whose
     * states are up to date. May be NULL. */
    void (*keep)(void *user, const bfi_search_mark *mark, bool last);
    /* Sees every root and child, open or closed, once; where the search begins again, roots and
     * what comes below them once more. May be NULL. */
    void (*watch)(void *user, const bfi_search_child *child);
    void *user;
    bfi_search_mark *resume; /* goes on from there, whose tree it takes; NULL: from the start */
} bfi_search_options;

typedef enum bfi_search_outcome {
    BFI_SEARCH_REFUTED, /* every disjunct: the case holds no counterexample */
    BFI_SEARCH_FOUND,   /* the witness is filled */
    BFI_SEARCH_OPEN     /* |reason| says why it ended */
} bfi_search_outcome;

typedef struct bfi_search_result {
    bfi_search_outcome outcome;
    bfi_witness witness;
    bfi_search_progress progress; /* at the end */
    char reason[160];
    char branching[128]; /* what was split, and why */
} bfi_search_result;

/* True when a search of the case, asked to branch like that, splits neurons, not inputs. */
bool bfi_search_splits_neurons(const bf_model *model, const bf_property *property,
                               int32_t case_index, bf_branching asked);

/* Searches case |case_index|; disjuncts refuted by the |states| of the case are left out, and those
 * refuted here are marked in it. Margins of |states| rise with what the open nodes certify.
 * BF_STATUS_TIMEOUT and BF_STATUS_CANCELLED leave |result| open with what is known. */
bf_status bfi_search_case(bf_session *session, const bf_model *model, const bf_property *property,
                          int32_t case_index, const bfi_search_options *options,
                          bfi_disjunct_state *states, bfi_search_result *result, bf_error *err);

#endif
