#include "verify/bab/loop.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/status.h"
#include "runtime/session.h"

#define TREE_BYTES ((int64_t)1 << 30)
#define NODE_BYTES 96  /* of the tree, with its place in the queue */
#define TREE_PART 0.25 /* of the memory; the rest is for what nodes remember */

/* The attack runs again after so many nodes, and whenever their number has doubled since. */
enum { ATTACK_AT = 1 << 14, ATTACK_RESTARTS = 64, ATTACK_STEPS = 100 };

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
    status = bfi_tree_add(l->tree, c->parent, c->sign, (bfi_decision){-1, 0, 0}, c->margin, c->mask,
                          l->err);
    if (status == BF_STATUS_OK && c->data) bfi_tree_attach(l->tree, c->data, c->size);
    return status == BF_STATUS_LIMIT ? bfi_loop_give_up(l, "the search tree's memory is full")
                                     : status;
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

static void report(bfi_loop *l) {
    bfi_tree_stats t = bfi_tree_stats_of(l->tree);
    l->result->progress =
        (bfi_search_progress){l->nodes, t.open, fmin(t.lowest, l->stranded_margin), t.bytes};
    if (l->options->report) l->options->report(l->options->user, &l->result->progress);
}

/* Nodes that were being branched on when the search stopped are open again. */
static void hand_back(bfi_loop *l, const int32_t *nodes, int32_t count, bf_status status) {
    for (int32_t i = 0; i < count; i++) {
        if (status != BF_STATUS_OK && bfi_tree_is_leaf(l->tree, nodes[i]))
            bfi_tree_put_back(l->tree, nodes[i]);
        else
            bfi_tree_close(l->tree, nodes[i]);
    }
}

static bf_status run(bfi_loop *l, const bfi_splitter *splitter, void *splits) {
    int32_t taken[BFI_LOOP_NODES], n, most = splitter->most(splits);
    bf_status status = BF_STATUS_OK;
    if (most > BFI_LOOP_NODES) most = BFI_LOOP_NODES;
    while (status == BF_STATUS_OK && !bfi_loop_ended(l) &&
           (n = bfi_tree_take(l->tree, most > 0 ? most : 1, taken)) > 0) {
        status = splitter->expand(splits, taken, n);
        hand_back(l, taken, n, status);
        report(l);
        if (status == BF_STATUS_OK && !bfi_loop_ended(l)) status = attack(l);
    }
    return status;
}

bf_status bfi_loop_run(bfi_loop *l, const bfi_splitter *splitter) {
    int64_t bytes = l->options->memory > 0 ? l->options->memory : TREE_BYTES;
    int64_t part = (int64_t)(TREE_PART * (double)bytes);
    void *splits = NULL;
    l->attack_at = ATTACK_AT;
    l->stranded_margin = INFINITY;
    int64_t limit = part / NODE_BYTES;
    bf_status status = bfi_tree_create(limit > 0 ? limit : 1, &l->tree, l->err);
    if (status != BF_STATUS_OK) return status;
    bfi_tree_limit_data(l->tree, bytes - part);
    status = splitter->open(l, &splits);
    if (status == BF_STATUS_OK) status = run(l, splitter, splits);
    report(l);
    splitter->close(splits);
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
