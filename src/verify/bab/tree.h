/* The search tree of branch and bound: which parts of the input space are still open.
 *
 * A node is a delta to its parent: one side of the parent's branching decision. Decisions cut the
 * input box at a coordinate or an activation's input at a point; the two sides of a decision cover
 * the parent. A node is *open* while it waits to be branched on, and closed when nothing in it can
 * be a counterexample. Closed subtrees give their memory back, so a search takes memory for its
 * open nodes and their ancestors only.
 *
 * Open nodes come out lowest margin first (best first); when the node limit is near, deepest first,
 * which keeps the number of open nodes from growing. Everything is deterministic. Not thread-safe.
 */
#ifndef BFI_VERIFY_BAB_TREE_H
#define BFI_VERIFY_BAB_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sealed.h"

/* A branching decision: the low side has index <= point, the high side has index >= point. */
typedef struct bfi_decision {
    int32_t activation; /* of the plan (bf_plan_activation), -1: an input coordinate */
    int32_t index;      /* neuron of the activation, or coordinate */
    double point;
} bfi_decision;

/* One constraint of a node: a decision and the side taken. */
typedef struct bfi_cut {
    bfi_decision decision;
    int sign; /* 1: at least the point, -1: at most */
} bfi_cut;

typedef struct bfi_tree bfi_tree;

typedef struct bfi_tree_stats {
    int64_t open, created, closed, held; /* held: nodes in memory */
    int32_t deepest;
    double lowest; /* margin of the worst open node, +inf: none is open */
    int64_t bytes;
} bfi_tree_stats;

/* An empty tree that holds at most |limit| nodes (0: as many as fit 2^31 - 1). */
bf_status bfi_tree_create(int64_t limit, bfi_tree **out, bf_error *err);
void bfi_tree_free(bfi_tree *tree);

/* Adds the root (|parent| -1) or the |sign| side of |parent|'s decision, open, to be branched on as
 * |decision| says (bfi_tree_decide may still change it). |mask| is the caller's (what is open in
 * the node). Returns BF_STATUS_LIMIT when the tree is full. */
bf_status bfi_tree_add(bfi_tree *tree, int32_t parent, int sign, bfi_decision decision,
                       double margin, uint64_t mask, bf_error *err);

/* Makes sure that |count| more nodes can be added: BF_STATUS_LIMIT when the tree is full. A node
 * whose children cannot all be added must get none, or inputs would be lost. */
bf_status bfi_tree_reserve(bfi_tree *tree, int64_t count, bf_error *err);

/* Gives the node added last |size| bytes of the caller's, copied: bfi_tree_data has them until the
 * node is closed. Without memory for it, or beyond the limit of bfi_tree_limit, the node has none:
 * the caller must be able to go on without. */
void bfi_tree_attach(bfi_tree *tree, const void *data, size_t size);

/* From now on at most |limit| nodes (0: as many as fit 2^31 - 1) and |data| bytes of the caller's.
 * What is there already stays. */
void bfi_tree_limit(bfi_tree *tree, int64_t limit, int64_t data);
/* How much of the latter is taken, from 0 to 1. */
double bfi_tree_data_part(const bfi_tree *tree);

/* Bytes of one node with its place in the order, without data. */
enum { BFI_TREE_NODE_BYTES = 52 };

/* The part of the tree that is searched first: the open nodes below a node, or itself, until all of
 * it is closed; then the part that it was cut out of goes on. Parts are nested: level 0 is all of
 * the tree. A tree read from a file has no other. */
enum { BFI_TREE_LEVELS = 32 };
int bfi_tree_level(bfi_tree *tree);                   /* of the part that nodes come from next */
int bfi_tree_focus(bfi_tree *tree, int32_t ancestor); /* one level more, at most BFI_TREE_LEVELS */
/* The node that comes next, open still; -1: none. And who is |depth| deep on the way to a node. */
int32_t bfi_tree_first(const bfi_tree *tree);
int32_t bfi_tree_ancestor(const bfi_tree *tree, int32_t node, int32_t depth);

/* Takes up to |most| open nodes out, of one level, in the order of the search; returns their
 * number. A node taken out is being branched on: its children may be added until
 * bfi_tree_close(node). */
int32_t bfi_tree_take(bfi_tree *tree, int32_t most, int32_t *nodes);

/* Says what a node taken out is branched on, before children of it are added. */
void bfi_tree_decide(bfi_tree *tree, int32_t node, bfi_decision decision);

/* True while no child has been added to a node taken out. */
bool bfi_tree_is_leaf(const bfi_tree *tree, int32_t node);

/* Puts a node that was taken out back among the open ones. */
void bfi_tree_put_back(bfi_tree *tree, int32_t node);

/* Says that a node taken out has been dealt with: it lives on while children of it do. */
void bfi_tree_close(bfi_tree *tree, int32_t node);

/* Of a node taken out. */
const void *bfi_tree_data(const bfi_tree *tree, int32_t node, size_t *size); /* NULL: none */
bfi_decision bfi_tree_decision(const bfi_tree *tree, int32_t node);
uint64_t bfi_tree_mask(const bfi_tree *tree, int32_t node);
double bfi_tree_margin(const bfi_tree *tree, int32_t node);
int32_t bfi_tree_depth(const bfi_tree *tree, int32_t node);
/* Its constraints, from the node up to the root: bfi_tree_depth of them. */
void bfi_tree_path(const bfi_tree *tree, int32_t node, bfi_cut *cuts);

/* Costs a look at every open node while the deepest are first. */
bfi_tree_stats bfi_tree_stats_of(const bfi_tree *tree);

/* Appends the tree to a file; no node may be taken out. */
void bfi_tree_save(const bfi_tree *tree, bfi_sealed_writer *writer);

/* Reads what bfi_tree_save wrote: a search goes on with it as it would have, node for node. It has
 * no limits yet. BF_STATUS_PARSE when it is no tree. */
bf_status bfi_tree_load(bfi_sealed_reader *reader, bfi_tree **out, bf_error *err);

/* True when |holds| says so of every node in memory, open or not. */
bool bfi_tree_all(const bfi_tree *tree,
                  bool (*holds)(void *user, const bfi_tree *tree, int32_t node, bool open),
                  void *user);

/* Makes open nodes forget the data that |knows| says is of no use. */
void bfi_tree_sift(bfi_tree *tree,
                   bool (*knows)(void *user, const bfi_tree *tree, int32_t node, const void *data,
                                 size_t size),
                   void *user);

#endif
