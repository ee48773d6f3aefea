#include "verify/bab/search.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/status.h"
#include "domain/linear/backward.h"
#include "frontend/model.h"
#include "ir/bound.h"
#include "verify/bab/loop.h"

/* Inputs that vary: where they are few, cutting them in half soon makes all neurons stable; where
 * they are many, it would take too many cuts. */
enum { FEW_INPUTS = 8 };

static int64_t free_inputs(const bf_case *c, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) count += c->lo[i] < c->hi[i];
    return count;
}

/* Neurons that can be split: those that go through a function with lines below and above, and
 * those that max pooling takes. */
static int64_t neurons(const bfi_graph *graph) {
    int64_t count = 0;
    for (int id = 0; id < graph->count; id++)
        if (graph->nodes[id].op == BFI_OP_MAX_POOL)
            count += graph->nodes[graph->nodes[id].inputs[0]].count;
        else if (bfi_op_class_of(graph->nodes[id].op) == BFI_CLASS_UNARY &&
                 bfi_linear_has_rule(graph->nodes[id].op))
            count += graph->nodes[id].count;
    return count;
}

bool bfi_search_splits_neurons(const bf_model *model, const bf_property *property,
                               int32_t case_index, bf_branching asked) {
    if (asked != BF_BRANCHING_AUTO) return asked == BF_BRANCHING_NEURONS;
    return free_inputs(&property->cases[case_index], property->n_in) > FEW_INPUTS &&
           neurons(model->graph) > 0;
}

static const bfi_splitter *choose(const bf_model *model, const bf_property *property,
                                  int32_t case_index, bf_branching asked,
                                  bfi_search_result *result) {
    bool split = bfi_search_splits_neurons(model, property, case_index, asked);
    const bfi_splitter *splitter = split ? &bfi_neuron_splits : &bfi_input_splits;
    snprintf(result->branching, sizeof result->branching,
             "%s: %s%lld of %lld inputs vary, %lld neurons can be split", splitter->what,
             asked == BF_BRANCHING_AUTO ? "" : "as asked, ",
             (long long)free_inputs(&property->cases[case_index], property->n_in),
             (long long)property->n_in, (long long)neurons(model->graph));
    return splitter;
}

/* No counterexample is left: certified, though not by how much. */
static void close_group(bfi_loop *loop) {
    const bfi_problem *p = &loop->problem;
    bfi_loop_raise(loop, 0);
    for (int bit = 0; bit < p->count; bit++) loop->states[p->disjuncts[bit]].refuted = true;
}

/* One group of disjuncts after the other, each with a tree of its own. */
static bf_status run_groups(bfi_loop *loop, const bfi_splitter *splitter) {
    const bfi_problem *p = &loop->problem;
    bfi_search_mark *resume = loop->options->resume;
    bf_status status = BF_STATUS_OK;
    int32_t next = resume ? resume->group : 0;
    while (next < p->c->count && status == BF_STATUS_OK && !bfi_loop_ended(loop)) {
        loop->group = next;
        status = bfi_problem_gather(&loop->problem, loop->states, &next, loop->err);
        if (status != BF_STATUS_OK || p->count == 0) break;
        status = bfi_loop_run(loop, splitter);
        if (status == BF_STATUS_OK && !bfi_loop_ended(loop)) close_group(loop);
    }
    if (status == BF_STATUS_OK && resume && resume->tree) status = bfi_loop_misfit(loop);
    return status;
}

bf_status bfi_search_case(bf_session *session, const bf_model *model, const bf_property *property,
                          int32_t case_index, const bfi_search_options *options,
                          bfi_disjunct_state *states, bfi_search_result *result, bf_error *err) {
    bfi_loop loop = {.options = options, .result = result, .states = states, .err = err};
    *result = (bfi_search_result){.outcome = BFI_SEARCH_OPEN};
    const bfi_splitter *splitter = choose(model, property, case_index, options->branching, result);
    bf_status status = bfi_problem_create(session, model, property, case_index, &loop.problem, err);
    if (status == BF_STATUS_OK) status = run_groups(&loop, splitter);
    if (status == BF_STATUS_OK && !bfi_loop_ended(&loop)) result->outcome = BFI_SEARCH_REFUTED;
    if (status == BF_STATUS_LIMIT && result->reason[0]) status = BF_STATUS_OK;
    bfi_loop_clear(&loop);
    return status;
}
