/* The loop of branch and bound, whatever is split: take open nodes, bound their children in one
 * batch, try the bounds' minimisers as counterexamples, keep what is open. Internal to verify/bab.
 */
#ifndef BFI_VERIFY_BAB_LOOP_H
#define BFI_VERIFY_BAB_LOOP_H

#include "verify/bab/bounder.h"
#include "verify/bab/search.h"

/* The search of one group of disjuncts. */
typedef struct bfi_loop {
    bfi_problem problem;
    const bfi_search_options *options;
    bfi_search_result *result;
    bf_error *err;
    bfi_disjunct_state *states; /* of the case */
    int32_t group;              /* first disjunct of the group */
    bfi_tree *tree;
    bool resumed;         /* the tree has its roots already */
    bool rooted;          /* all roots are in the tree, as far as they are open */
    double reported;      /* when, last */
    int64_t nodes;        /* bounded */
    int64_t hidden_nodes; /* of searches for hidden bounds */
    int32_t sharpened;    /* leaves of each of them; 0: there were none */
    int64_t attack_at, attacks;
    int64_t stranded; /* leaves that nothing decides */
    double stranded_margin;
    bfi_cut *cuts; /* of the node that bfi_loop_path looked at last */
    size_t cut_room;
    const struct bfi_splitter *splitter;
    void *splits; /* the splitter's */
} bfi_loop;

/* How nodes are bounded and split. Everything it keeps is |splits|, for one group. */
typedef struct bfi_splitter {
    const char *what;
    /* Makes what it needs and, unless the loop is resumed, adds the root, or the roots, of what is
     * open. *|splits| goes to close, also after a failure. */
    bf_status (*open)(bfi_loop *loop, void **splits);
    int32_t (*most)(const void *splits); /* nodes to expand together */
    /* Called before nodes are taken out of the tree: may choose the part they come from. May be
     * NULL. */
    bf_status (*aim)(void *splits);
    /* Branches on nodes taken out of the tree: adds the children that stay open. */
    bf_status (*expand)(void *splits, const int32_t *nodes, int32_t count);
    void (*close)(void *splits);
    int64_t (*bytes)(const void *splits); /* that it holds */
    /* Of a node from a file: it can be one of this search; what it remembers can be used. */
    bool (*fits)(const void *splits, uint64_t mask, const bfi_decision *decision, bool open);
    bool (*knows)(const void *splits, uint64_t mask, const void *data, size_t size);
} bfi_splitter;

extern const bfi_splitter bfi_input_splits, bfi_neuron_splits;

enum { BFI_LOOP_NODES = 256 }; /* expanded together, at most */

/* Runs the group that loop->problem holds. BF_STATUS_OK: the tree is empty, or a counterexample was
 * found. */
bf_status bfi_loop_run(bfi_loop *loop, const bfi_splitter *splitter);
void bfi_loop_clear(bfi_loop *loop);

static inline bool bfi_loop_ended(const bfi_loop *loop) {
    return loop->result->outcome == BFI_SEARCH_FOUND;
}

/* The decisions on the way to a node, from it up to the root, are in loop->cuts, with room for one
 * more behind them; |depth| says how many. */
bf_status bfi_loop_path(bfi_loop *loop, int32_t node, int32_t *depth);

/* A child that has been bounded. */
typedef struct bfi_loop_child {
    int32_t parent; /* -1: a root */
    int sign;       /* side of the parent's decision */
    uint64_t mask;  /* of disjuncts that are open in it; 0: it is closed */
    uint64_t was;   /* those that were open in the parent */
    double margin;
    const void *data; /* for the tree to keep; NULL: none */
    size_t size;
} bfi_loop_child;

/* Makes room for |count| open children: all can be settled, or none may be. */
bf_status bfi_loop_reserve(bfi_loop *loop, int64_t count);

/* Adds a child to the tree unless it is closed. */
bf_status bfi_loop_settle(bfi_loop *loop, const bfi_loop_child *child);

/* Says that nothing more can be done about a node, and why: the rest is searched all the same. */
void bfi_loop_strand(bfi_loop *loop, double margin, const char *why);

/* Says where the search is, at a modest rate; no node may be taken out of the tree. */
void bfi_loop_report(bfi_loop *loop);

/* Tries points, inputs one after the other, as counterexamples. */
bf_status bfi_loop_try(bfi_loop *loop, const double *points, int64_t count);

/* What is certified of all of the group: margins of its states rise to that. */
void bfi_loop_raise(bfi_loop *loop, double margin);

/* The memory of a workspace, of one that bounds in float64 as a second. The first one gets more
 * when it does not fit: |try| counts from 0 up to BFI_LOOP_TRIES. 0: no limit. */
enum { BFI_LOOP_TRIES = 3 };
int64_t bfi_loop_memory(const bfi_loop *loop, int try);

/* The error of a search that cannot be resumed. */
bf_status bfi_loop_misfit(bfi_loop *loop);

/* Ends the search, which stays open. */
bf_status bfi_loop_give_up(bfi_loop *loop, const char *why);

#endif
