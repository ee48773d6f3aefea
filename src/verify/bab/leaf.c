#include "verify/bab/leaf.h"

#include <stdio.h>

#include "verify/solver/solver.h"

/* Linear programs of a leaf: more than one where neurons that cost the bounds nothing are left.
 * Their length is limited by steps, not by the clock: other nodes wait, and verdicts should not
 * depend on the machine's speed. */
enum { LEAF_PROGRAMS = 64, LEAF_STEPS = 20000 };

static bf_status ask(bfi_leaves *l, bfi_loop *loop, const bfi_leaf *leaf,
                     bfi_solver_result *result) {
    const bfi_problem *p = &loop->problem;
    bfi_solver_options o = {.kind = BFI_SOLVER_MIP,
                            .bounds = loop->options->bounds,
                            .memory = loop->options->memory,
                            .most_nodes = LEAF_PROGRAMS,
                            .most_steps = LEAF_STEPS};
    bf_status status = BF_STATUS_OK;
    if (o.bounds.method > BF_METHOD_CROWN) o.bounds.method = BF_METHOD_CROWN;
    if (!l->solver)
        status = bfi_solver_create(p->session, p->model, p->property, &o, &l->solver, loop->err);
    return status == BF_STATUS_OK ? bfi_solver_decide(l->solver, leaf, result, loop->err) : status;
}

bf_status bfi_leaf_decide(bfi_leaves *l, bfi_loop *loop, int bit, const bf_plan *plan,
                          const bf_split *splits, int64_t count, bool *refuted, double *margin) {
    bfi_leaf leaf = {.case_index = loop->problem.index,
                     .disjunct = loop->problem.disjuncts[bit],
                     .plan = plan,
                     .splits = splits,
                     .split_count = count,
                     .deadline = loop->options->deadline};
    bfi_solver_result r = {.outcome = BFI_SOLVER_OPEN};
    bf_status status = ask(l, loop, &leaf, &r);
    *refuted = status == BF_STATUS_OK && r.outcome == BFI_SOLVER_REFUTED;
    if (status != BF_STATUS_OK) return status;
    if (r.outcome == BFI_SOLVER_FOUND) {
        loop->result->outcome = BFI_SEARCH_FOUND;
        loop->result->witness = r.witness;
    }
    if (r.outcome == BFI_SOLVER_OPEN)
        snprintf(l->open, sizeof l->open, "a leaf stays open: %.130s", r.reason);
    if (*refuted && r.lower > *margin) *margin = r.lower;
    return status;
}

void bfi_leaves_clear(bfi_leaves *l) {
    bfi_solver_free(l->solver);
    l->solver = NULL;
}
