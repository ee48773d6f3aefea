#include "verify/bab/loop.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/status.h"
#include "runtime/session.h"

#define TREE_BYTES ((int64_t)1 << 30)
#define TREE_PART 0.25 /* of the tree's memory; the rest is for what nodes remember */
#define LEAST_NODES 64
#define REPORT_PERIOD 0.02 /* seconds */

/* The attack runs again after so many nodes, and whenever their number has doubled since. */
enum { ATTACK_AT = 1 << 12, ATTACK_RESTARTS = 16, ATTACK_STEPS = 100 };

bf_status bfi_loop_give_up(bfi_loop *l, const char *why) {
    if (!l->result->reason[0]) snprintf(l->result->reason, sizeof l->result->reason, "%s", why);
    return BF_STATUS_LIMIT;
}

void bfi_loop_strand(bfi_loop *l, double margin, const char *why) {
    if (l->stranded++ == 0) snprintf(l->result->reason, sizeof l->result->reason, "%s", why);
    if (margin < l->stranded_margin) l->stranded_margin = margin;
}

bf_status bfi_loop_path(bfi_loop *l, int32_t node, int32_t *depth) {
    *depth = bfi_tree_depth(l->tree, node);
    if (!bfi_grow((void **)&l->cuts, &l->cut_room, (size_t)*depth + 1, sizeof *l->cuts))
        return bfi_fail_memory(l->err);
    bfi_tree_path(l->tree, node, l->cuts);
    return BF_STATUS_OK;
}

/* Shows the child to who watches. */
static bf_status show(bfi_loop *l, const bfi_loop_child *c) {
    int32_t depth = 0;
    if (!l->options->watch) return BF_STATUS_OK;
    bf_status status = BF_STATUS_OK;
    if (c->parent >= 0) {
        status = bfi_loop_path(l, c->parent, &depth);
        if (status != BF_STATUS_OK) return status;
        for (int32_t i = depth; i > 0; i--) l->cuts[i] = l->cuts[i - 1];
        l->cuts[0] = (bfi_cut){bfi_tree_decision(l->tree, c->parent), c->sign};
        depth++;
    }
    l->options->watch(l->options->user, &(bfi_search_child){.problem = &l->problem,
                                                            .cuts = l->cuts,
                                                            .depth = depth,
                                                            .was = c->was,
                                                            .open = c->mask,
                                                            .margin = c->margin});
    return status;
}

bf_status bfi_loop_settle(bfi_loop *l, const bfi_loop_child *c) {
    bf_status status = show(l, c);
    if (status != BF_STATUS_OK || !c->mask) return status;
    /* what is certified of a node is so of its children */
    double margin =
        c->parent < 0 ? c->margin : fmax(c->margin, bfi_tree_margin(l->tree, c->parent));
    status = bfi_tree_add(l->tree, c->parent, c->sign, (bfi_decision){-1, 0, 0}, margin, c->mask,
                          l->err);
    if (status == BF_STATUS_OK && c->data) bfi_tree_attach(l->tree, c->data, c->size);
    return status;
}

bf_status bfi_loop_reserve(bfi_loop *l, int64_t count) {
    bf_status status = bfi_tree_reserve(l->tree, count, l->err);
    return status == BF_STATUS_LIMIT ? bfi_loop_give_up(l, "the search tree's memory is full")
                                     : status;
}

int64_t bfi_loop_memory(const bfi_loop *l, int try) { return l->options->memory / (4 >> try); }

bf_status bfi_loop_misfit(bfi_loop *l) {
    return bfi_fail(l->err, BF_STATUS_PARSE, "the search to resume does not fit the property");
}

void bfi_loop_raise(bfi_loop *l, double margin) {
    for (int bit = 0; bit < l->problem.count; bit++) {
        bfi_disjunct_state *state = &l->states[l->problem.disjuncts[bit]];
        state->margin = fmax(state->margin, fmin(margin, 0));
    }
}

static bf_status note_found(bfi_loop *l, bf_status status, bool found) {
    if (status == BF_STATUS_OK && found) l->result->outcome = BFI_SEARCH_FOUND;
    return status;
}

bf_status bfi_loop_try(bfi_loop *l, const double *points, int64_t count) {
    const bfi_problem *p = &l->problem;
    bool found = false;
    bfi_budget budget = {l->options->deadline, &p->session->stop};
    bf_status status = bfi_attack_points(l->options->attack, p->property, p->index, points, count,
                                         l->options->bounds.semantics, &budget, &found,
                                         &l->result->witness, l->err);
    return note_found(l, status, found);
}

/* The attack runs again from time to time, with growing effort. */
static bf_status attack(bfi_loop *l) {
    const bfi_problem *p = &l->problem;
    if (l->nodes < l->attack_at) return BF_STATUS_OK;
    bool found = false;
    bfi_budget budget = {l->options->deadline, &p->session->stop};
    int more = l->attacks < 16 ? (int)l->attacks : 16;
    bfi_attack_options options = {ATTACK_RESTARTS << more, ATTACK_STEPS,
                                  1000 + (uint64_t)l->attacks, l->options->bounds.semantics};
    l->attack_at *= 2;
    l->attacks++;
    bf_status status = bfi_attack_case(l->options->attack, p->property, p->index, &options, &budget,
                                       &found, &l->result->witness, l->err);
    return note_found(l, status, found);
}

/* Says where the search is, at a modest rate. */
static void report(bfi_loop *l, bool last) {
    double now = bf_clock();
    if (!last && now - l->reported < REPORT_PERIOD) return;
    l->reported = now;
    bfi_tree_stats t = bfi_tree_stats_of(l->tree);
    double lowest = fmin(t.lowest, l->stranded_margin);
    int64_t bytes = t.bytes + (l->splits ? l->splitter->bytes(l->splits) : 0);
    l->result->progress = (bfi_search_progress){.nodes = l->nodes,
                                                .hidden_nodes = l->hidden_nodes,
                                                .open = t.open + l->stranded,
                                                .lowest = lowest,
                                                .bytes = bytes,
                                                .branching = l->result->branching};
    bool open = l->rooted && t.open > 0 && !bfi_loop_ended(l);
    if (open) bfi_loop_raise(l, lowest);
    if (l->options->report) l->options->report(l->options->user, &l->result->progress);
    bfi_search_mark mark = {.case_index = l->problem.index,
                            .group = l->group,
                            .nodes = l->nodes,
                            .sharpened = l->sharpened,
                            .attack_at = l->attack_at,
                            .attacks = l->attacks,
                            .stranded = l->stranded,
                            .stranded_margin = l->stranded_margin,
                            .tree = l->tree};
    if (l->options->keep && open) l->options->keep(l->options->user, &mark, last);
}

void bfi_loop_report(bfi_loop *l) { report(l, false); }

/* Nodes that were being branched on when the search stopped are open again. */
static void hand_back(bfi_loop *l, const int32_t *nodes, int32_t count, bf_status status) {
    for (int32_t i = 0; i < count; i++) {
        if (status != BF_STATUS_OK && bfi_tree_is_leaf(l->tree, nodes[i]))
            bfi_tree_put_back(l->tree, nodes[i]);
        else
            bfi_tree_close(l->tree, nodes[i]);
    }
}

static bf_status run(bfi_loop *l) {
    const bfi_splitter *splitter = l->splitter;
    int32_t taken[BFI_LOOP_NODES], n, most = splitter->most(l->splits);
    bf_status status = BF_STATUS_OK;
    if (most > BFI_LOOP_NODES) most = BFI_LOOP_NODES;
    while (status == BF_STATUS_OK && !bfi_loop_ended(l)) {
        if (splitter->aim) status = splitter->aim(l->splits);
        if (status != BF_STATUS_OK || bfi_loop_ended(l)) break;
        n = bfi_tree_take(l->tree, most > 0 ? most : 1, taken);
        if (n == 0) break;
        int64_t nodes = l->nodes, stranded = l->stranded;
        status = splitter->expand(l->splits, taken, n);
        if (status != BF_STATUS_OK) /* all of it will be done again */
            l->nodes = nodes, l->stranded = stranded;
        hand_back(l, taken, n, status);
        report(l, false);
        if (status == BF_STATUS_OK && !bfi_loop_ended(l)) status = attack(l);
        int64_t most_nodes = l->options->most_nodes;
        if (status == BF_STATUS_OK && most_nodes > 0 && l->nodes >= most_nodes &&
            !bfi_loop_ended(l) && bfi_tree_stats_of(l->tree).open > 0)
            status = bfi_loop_give_up(l, "the nodes that it may take were not enough");
    }
    return status;
}

/* The tree's share of the memory, when what the splitter holds, and may come to hold for float64,
 * is taken off; half of the least that is any use for nodes. */
static bf_status limit_tree(bfi_loop *l, int64_t workspace) {
    bool second = l->options->bounds.dtype != BF_DTYPE_FLOAT64;
    int64_t memory = l->options->memory, bytes = TREE_BYTES;
    if (memory > 0) bytes = memory - workspace - (second ? bfi_loop_memory(l, 0) : 0);
    int64_t part = (int64_t)(TREE_PART * (double)bytes);
    if (part < LEAST_NODES * BFI_TREE_NODE_BYTES)
        return bfi_loop_give_up(l, "the memory is not enough for a search tree");
    bfi_tree_limit(l->tree, part / BFI_TREE_NODE_BYTES, bytes - part);
    return BF_STATUS_OK;
}

static bool fits(void *user, const bfi_tree *tree, int32_t node, bool open) {
    const bfi_loop *l = user;
    bfi_decision decision = bfi_tree_decision(tree, node);
    return l->splitter->fits(l->splits, bfi_tree_mask(tree, node), &decision, open);
}

static bool knows(void *user, const bfi_tree *tree, int32_t node, const void *data, size_t size) {
    const bfi_loop *l = user;
    return l->splitter->knows(l->splits, bfi_tree_mask(tree, node), data, size);
}

/* Takes the tree of the search that is resumed, or makes one. */
static bf_status find_tree(bfi_loop *l) {
    bfi_search_mark *mark = l->options->resume;
    if (!mark || !mark->tree) return bfi_tree_create(0, &l->tree, l->err);
    l->tree = mark->tree;
    mark->tree = NULL;
    l->resumed = true;
    l->nodes = mark->nodes;
    l->sharpened = mark->sharpened;
    l->attack_at = mark->attack_at;
    l->attacks = mark->attacks;
    l->stranded = mark->stranded;
    l->stranded_margin = mark->stranded_margin;
    if (l->stranded > 0)
        snprintf(l->result->reason, sizeof l->result->reason,
                 "leaves from before the checkpoint stay open");
    return BF_STATUS_OK;
}

/* Has the splitter opened, and the tree filled. */
static bf_status open_splits(bfi_loop *l) {
    int64_t nodes = l->nodes;
    bf_status status = l->splitter->open(l, &l->splits);
    if (status == BF_STATUS_OK) status = limit_tree(l, l->splitter->bytes(l->splits));
    if (status != BF_STATUS_OK) l->nodes = nodes; /* they will be bounded again */
    if (status != BF_STATUS_OK || !l->resumed) return status;
    l->nodes = nodes; /* whatever opening has bounded again */
    if (bfi_tree_stats_of(l->tree).open == 0 || !bfi_tree_all(l->tree, fits, l))
        return bfi_loop_misfit(l);
    bfi_tree_sift(l->tree, knows, l);
    return BF_STATUS_OK;
}

bf_status bfi_loop_run(bfi_loop *l, const bfi_splitter *splitter) {
    l->splitter = splitter;
    l->splits = NULL;
    l->attack_at = ATTACK_AT;
    l->sharpened = 0;
    l->stranded_margin = INFINITY;
    l->resumed = l->rooted = false;
    bf_status status = find_tree(l);
    if (status != BF_STATUS_OK) return status;
    status = open_splits(l);
    l->rooted = status == BF_STATUS_OK;
    if (status == BF_STATUS_OK) status = run(l);
    report(l, true);
    splitter->close(l->splits);
    bfi_tree_free(l->tree);
    l->tree = NULL;
    return status == BF_STATUS_OK && l->stranded > 0 && !bfi_loop_ended(l) ? BF_STATUS_LIMIT
                                                                           : status;
}

void bfi_loop_clear(bfi_loop *l) {
    bfi_problem_clear(&l->problem);
    free(l->cuts);
    *l = (bfi_loop){0};
}
