/* The strategy: a cheap attack, bounds from weak to strong, branch and bound or a solver, stronger
 * attacks on what is left. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "boundflow/verify.h"
#include "frontend/model.h"
#include "runtime/session.h"
#include "verify/attack/attack.h"
#include "verify/bab/search.h"
#include "verify/checkpoint.h"
#include "verify/journal.h"
#include "verify/ledger.h"
#include "verify/refute.h"
#include "verify/remainder.h"

/* Lanes of one attack; its rounds after the bounds double their effort. */
enum { ATTACK_LANES = 64, ATTACK_ROUNDS = 8, CHEAP_STEPS = 10, MANY_CASES = 16 };

/* What linear programs may be worth while for, unasked: neurons, cases left, programs per disjunct.
 */
enum { SMALL_NEURONS = 1000, SMALL_CASES = 16, SMALL_NODES = 400 };

/* Nodes of the search before linear programs have a try at conjunctions; before they have one at
 * whatever is left of a tiny network. */
enum { FIRST_NODES = 1000, TINY_NEURONS = 256, TINY_NODES = 20000 };

typedef struct verifier {
    bf_session *session;
    const bf_model *model;
    const bf_property *property;
    const bf_verify_options *options;
    bf_verify_result *result;
    double start, deadline;
    bfi_ledger ledger;
    bfi_journal journal;
    bfi_checkpoint past; /* what is resumed */
    bfi_attack *attack;
} verifier;

const char *bf_verdict_name(bf_verdict verdict) {
    static const char *const names[] = {"unknown", "sat", "unsat", "timeout"};
    return names[(unsigned)verdict < 4 ? verdict : 0];
}

bf_verify_options bf_verify_options_default(void) {
    bf_verify_options options = {
        .bounds = bf_options_default(), .restarts = 64, .steps = 100, .seed = 1};
    options.bounds.intersect = 1;
    return options;
}

/* Dimensions of one say nothing about which element is which. */
static bool same_shape(const bf_variable *v, const bfi_shape *shape) {
    int i = 0, k = 0;
    for (;; i++, k++) {
        while (i < v->rank && v->shape[i] == 1) i++;
        while (k < shape->rank && shape->dim[k] == 1) k++;
        if (i == v->rank || k == shape->rank) return i == v->rank && k == shape->rank;
        if (v->shape[i] != shape->dim[k]) return false;
    }
}

/* Declaration |index| of a role that a query of VNN-LIB 2 makes, against the network's tensor. */
static bf_status check_variable(const verifier *v, const bf_variable *declared, bool matches,
                                const bfi_shape *shape, bf_error *err) {
    const bf_property *p = v->property;
    const bfi_graph *g = v->model->graph;
    char text[128];
    if (!matches)
        return bfi_fail(err, BF_STATUS_SHAPE,
                        "%s declares '%.80s' with another shape than %s has: %s", p->source,
                        declared->name, g->source, bfi_shape_text(shape, text, sizeof text));
    if (g->is_float64 && strcmp(declared->type, "float32") == 0)
        return bfi_fail(err, BF_STATUS_UNSUPPORTED,
                        "%s declares '%.80s' as float32, but %s computes in float64: as real, its "
                        "value on real numbers can be asked for",
                        p->source, declared->name, g->source);
    return BF_STATUS_OK;
}

/* The tensors that a query of VNN-LIB 2 declares against those of the network, in order. */
static bf_status check_variables(const verifier *v, bf_variable_role role, const bfi_shape *shapes,
                                 int count, bf_error *err) {
    const bf_property *p = v->property;
    int index = 0;
    bf_status status = BF_STATUS_OK;
    for (int32_t i = 0; i < p->variable_count && status == BF_STATUS_OK; i++) {
        const bf_variable *declared = &p->variables[i];
        if (declared->role != role || index++ >= count) continue;
        const bfi_shape *shape = &shapes[index - 1];
        status = check_variable(v, declared, same_shape(declared, shape), shape, err);
    }
    if (status != BF_STATUS_OK || index == count || !p->network) return status;
    return bfi_fail(err, BF_STATUS_SHAPE, "%s declares %d %ss, but %s has %d", p->source, index,
                    role == BF_VARIABLE_INPUT ? "input" : "output", v->model->graph->source, count);
}

static bf_status check_shapes(const verifier *v, bf_error *err) {
    const bf_property *p = v->property;
    const bfi_graph *g = v->model->graph;
    if (p->n_in != bf_model_input_count(v->model))
        return bfi_fail(err, BF_STATUS_SHAPE, "%s declares %lld inputs, but %s has %lld", p->source,
                        (long long)p->n_in, g->source, (long long)bf_model_input_count(v->model));
    if (p->n_out != bf_model_output_count(v->model))
        return bfi_fail(err, BF_STATUS_SHAPE, "%s declares %lld outputs, but %s has %lld",
                        p->source, (long long)p->n_out, g->source,
                        (long long)bf_model_output_count(v->model));
    if (v->options->bounds.rounding == BF_ROUNDING_NEAREST)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "rounding nearest is not sound: a verdict needs rounding outward");
    bf_status status =
        check_variables(v, BF_VARIABLE_INPUT, g->n_inputs ? g->inputs : &g->nodes[0].shape,
                        g->n_inputs ? g->n_inputs : 1, err);
    if (status != BF_STATUS_OK) return status;
    return check_variables(v, BF_VARIABLE_OUTPUT,
                           g->n_outputs ? g->outputs : &g->nodes[g->output].shape,
                           g->n_outputs ? g->n_outputs : 1, err);
}

/* The ledger, as a checkpoint left it where there is one, and the journal. */
static bf_status begin(verifier *v, bf_error *err) {
    const bf_verify_options *o = v->options;
    v->result->n_in = v->property->n_in;
    v->result->n_out = v->property->n_out;
    v->journal =
        (bfi_journal){.options = o, .ledger = &v->ledger, .start = v->start, .told_best = INFINITY};
    v->past.nearest = INFINITY;
    bf_status status = bfi_ledger_create(v->property, &v->ledger, err);
    if (status != BF_STATUS_OK || (!o->checkpoint && !o->resume)) return status;
    v->journal.key = bfi_question_key_of(v->model, v->property, o);
    v->journal.kept = bf_clock();
    if (!o->resume) return status;
    status = bfi_checkpoint_read(o->resume, &v->journal.key, &v->ledger, &v->past, err);
    v->journal.past = v->result->past_s = v->past.seconds;
    v->journal.nodes = v->past.nodes;
    v->journal.programs = v->past.programs;
    return status;
}

static bf_status begin_attack(verifier *v, bf_error *err) {
    bf_status status =
        bfi_attack_create(v->model->graph, ATTACK_LANES, v->options->bounds.isa, &v->attack, err);
    if (status != BF_STATUS_OK) return status;
    v->journal.attack = v->attack;
    if (v->past.x) bfi_attack_remember(v->attack, v->past.nearest, v->past.x);
    return status;
}

static void decide(verifier *v, bf_verdict verdict, const char *by) {
    v->result->verdict = verdict;
    v->result->reason[0] = 0;
    snprintf(v->result->decided_by, sizeof v->result->decided_by, "%s", by);
}

/* Runs the attack on every open case. |effort| scales restarts and steps. */
static bf_status attack_all(verifier *v, int restarts, int steps, uint64_t seed, double deadline,
                            bf_error *err) {
    double begin = bf_clock();
    bfi_attack_options options = {restarts, steps, seed, v->options->bounds.semantics};
    bfi_budget budget = {deadline, &v->session->stop};
    bf_status status = BF_STATUS_OK;
    for (int32_t i = 0; i < v->property->count && status == BF_STATUS_OK; i++) {
        if (v->ledger.done[i]) continue;
        bool found = false;
        bfi_witness witness = {0};
        if (i % 64 == 0) bfi_journal_phase(&v->journal, "attack");
        status =
            bfi_attack_case(v->attack, v->property, i, &options, &budget, &found, &witness, err);
        if (status == BF_STATUS_OK && found) {
            v->result->x = witness.x, v->result->y = witness.y;
            decide(v, BF_VERDICT_SAT, "attack");
            break;
        }
    }
    v->result->attack_s += bf_clock() - begin;
    return status;
}

static void watch(const verifier *v, const bfi_refuter *refuter, int done) {
    if (v->options->watch && refuter)
        v->options->watch(v->options->user, bfi_refuter_plan(refuter),
                          bfi_refuter_workspace(refuter), done);
}

/* As many open cases from *|next| on as make one run. */
static bf_status refute_some(verifier *v, bfi_refuter *refuter, int32_t *next, const char *name,
                             bf_error *err) {
    bfi_refuter_case cases[BFI_REFUTER_CASES];
    int32_t count = 0, most = bfi_refuter_batch(refuter);
    for (; *next < v->property->count && count < most; ++*next)
        if (!v->ledger.done[*next])
            cases[count++] =
                (bfi_refuter_case){*next, v->ledger.states + v->ledger.first[*next], 0};
    if (count == 0) return BF_STATUS_OK;
    bfi_journal_phase(&v->journal, name);
    bf_status status = bfi_refuter_run(refuter, cases, count, v->deadline, err);
    for (int32_t k = 0; k < count && status == BF_STATUS_OK; k++)
        if (cases[k].open == 0) bfi_ledger_close(&v->ledger, cases[k].index);
    bfi_journal_keep(&v->journal, NULL, false);
    return status;
}

/* One method on every open case. */
static bf_status refute_all(verifier *v, bf_options options, const char *name, bf_error *err) {
    double begin = bf_clock();
    bfi_refuter *refuter = NULL;
    options.deadline = v->deadline;
    bf_status status =
        bfi_refuter_create(v->session, v->model, v->property, &options, &refuter, err);
    if (refuter) v->journal.bytes = bf_plan_workspace_bytes(bfi_refuter_plan(refuter));
    watch(v, refuter, 0);
    for (int32_t next = 0; status == BF_STATUS_OK && next < v->property->count;)
        status = refute_some(v, refuter, &next, name, err);
    watch(v, refuter, 1);
    bfi_refuter_free(refuter);
    v->journal.bytes = 0;
    v->result->bounds_s += bf_clock() - begin;
    if (status == BF_STATUS_OK && v->ledger.open_cases == 0) decide(v, BF_VERDICT_UNSAT, name);
    return status;
}

static bool decided(const verifier *v) { return v->result->verdict != BF_VERDICT_UNKNOWN; }

static bf_status try_bounds(verifier *v, bf_method method, const char *name, bf_error *err) {
    if (method > v->options->bounds.method) return BF_STATUS_OK;
    bf_options options = v->options->bounds;
    options.method = method;
    return refute_all(v, options, name, err);
}

/* Slopes of the rows alone, which takes little more than CROWN; then hidden bounds too. */
static bf_status try_alpha(verifier *v, bf_error *err) {
    bf_options options = v->options->bounds;
    bf_intermediate asked = options.intermediate;
    if (options.method != BF_METHOD_ALPHA_CROWN) return BF_STATUS_OK;
    options.intermediate = BF_INTERMEDIATE_FIXED;
    bf_status status = refute_all(v, options, "alpha-crown", err);
    if (status != BF_STATUS_OK || decided(v) || asked == BF_INTERMEDIATE_FIXED) return status;
    options.intermediate = asked;
    return refute_all(v, options, "alpha-crown", err);
}

/* Every open disjunct would be refuted but for float32's error terms. */
static bool only_rounding_left(const verifier *v) {
    for (int32_t i = 0; i < v->property->count; i++)
        for (int32_t d = 0; d < v->property->cases[i].count; d++) {
            const bfi_disjunct_state *s = &v->ledger.states[v->ledger.first[i] + d];
            if (!s->refuted && !s->rounding) return false;
        }
    return true;
}

static bf_status try_float64(verifier *v, bf_error *err) {
    if (v->options->bounds.dtype == BF_DTYPE_FLOAT64 || !only_rounding_left(v)) return BF_STATUS_OK;
    bf_options options = v->options->bounds;
    options.dtype = BF_DTYPE_FLOAT64;
    static const char *const names[] = {"ibp-float64", "crown-ibp-float64", "crown-float64",
                                        "alpha-crown-float64"}; /* the journal keeps them */
    return refute_all(v, options, names[options.method], err);
}

/* What is left after the bounds: rounds of growing effort, up to |share| of the remaining time. */
static bf_status attack_harder(verifier *v, double share, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    double now = bf_clock(), deadline = v->deadline > 0 ? now + (v->deadline - now) * share : 0;
    for (int round = 1; round <= ATTACK_ROUNDS && status == BF_STATUS_OK && !decided(v); round++)
        status = attack_all(v, v->options->restarts << round, v->options->steps,
                            v->options->seed + (uint64_t)round, deadline, err);
    bool half = status == BF_STATUS_TIMEOUT && (v->deadline <= 0 || bf_clock() < v->deadline);
    return half ? BF_STATUS_OK : status;
}

static void report_search(void *user, const bfi_search_progress *p) {
    bfi_journal_search(&((verifier *)user)->journal, p);
}

static void keep_search(void *user, const bfi_search_mark *mark, bool last) {
    bfi_journal_keep(&((verifier *)user)->journal, mark, last);
}

static bf_status search_case(verifier *v, int32_t index, int64_t most_nodes,
                             bfi_search_mark *resume, bf_error *err) {
    bfi_search_options options = {.bounds = v->options->bounds,
                                  .branching = v->options->branching,
                                  .memory = v->options->bounds.memory,
                                  .deadline = v->deadline,
                                  .most_nodes = most_nodes,
                                  .attack = v->attack,
                                  .report = report_search,
                                  .keep = keep_search,
                                  .user = v,
                                  .resume = resume};
    options.bounds.deadline = v->deadline;
    bfi_search_result result;
    bf_status status = bfi_search_case(v->session, v->model, v->property, index, &options,
                                       v->ledger.states + v->ledger.first[index], &result, err);
    bfi_journal_search_over(&v->journal);
    memcpy(v->result->branching, result.branching, sizeof v->result->branching);
    if (status != BF_STATUS_OK) return status;
    if (result.outcome == BFI_SEARCH_FOUND) {
        v->result->x = result.witness.x, v->result->y = result.witness.y;
        decide(v, BF_VERDICT_SAT, "branch-and-bound");
    } else if (result.outcome == BFI_SEARCH_REFUTED) {
        bfi_ledger_close(&v->ledger, index);
    } else {
        snprintf(v->result->reason, sizeof v->result->reason, "branch and bound: %s",
                 result.reason);
    }
    return status;
}

/* Every open case, each with |most_nodes| nodes; 0: as many as it takes. */
static bf_status search_all(verifier *v, int64_t most_nodes, bf_error *err) {
    double begin = bf_clock();
    bf_status status = BF_STATUS_OK;
    int32_t count = v->property->count, first = v->past.searching ? v->past.search.case_index : 0;
    bfi_journal_phase(&v->journal, "branch-and-bound");
    for (int32_t k = 0; k < count && status == BF_STATUS_OK && !decided(v); k++) {
        int32_t i = (first + k) % count;
        bfi_search_mark *resume = k == 0 && v->past.searching ? &v->past.search : NULL;
        if (!v->ledger.done[i]) status = search_case(v, i, most_nodes, resume, err);
    }
    v->result->search_s += bf_clock() - begin;
    if (status == BF_STATUS_OK && v->ledger.open_cases == 0)
        decide(v, BF_VERDICT_UNSAT, "branch-and-bound");
    return status;
}

/* |most_nodes| linear programs for a disjunct; 0: as many as it takes. */
static bf_status solve_all(verifier *v, bfi_solver_kind kind, int64_t most_nodes, double deadline,
                           bf_error *err) {
    const char *name = bfi_solver_name(kind);
    double begin = bf_clock();
    bfi_solver *solver = NULL;
    bfi_solver_options options = {.kind = kind,
                                  .bounds = v->options->bounds,
                                  .memory = v->options->bounds.memory,
                                  .most_nodes = most_nodes};
    bf_status status = bfi_solver_create(v->session, v->model, v->property, &options, &solver, err);
    for (int32_t i = 0; i < v->property->count && status == BF_STATUS_OK && !decided(v); i++) {
        bfi_solver_result result;
        if (v->ledger.done[i]) continue;
        bfi_journal_phase(&v->journal, name);
        status = bfi_remainder_case(solver, v->property, i, v->ledger.states + v->ledger.first[i],
                                    deadline, &result, err);
        v->journal.nodes += result.nodes;
        if (status != BF_STATUS_OK) break;
        if (result.outcome == BFI_SOLVER_FOUND) {
            v->result->x = result.witness.x, v->result->y = result.witness.y;
            decide(v, BF_VERDICT_SAT, name);
        } else if (result.outcome == BFI_SOLVER_REFUTED) {
            bfi_ledger_close(&v->ledger, i);
        } else if (!v->result->reason[0]) {
            snprintf(v->result->reason, sizeof v->result->reason, "%s: %s", name, result.reason);
        }
    }
    bfi_solver_free(solver);
    v->result->search_s += bf_clock() - begin;
    if (status == BF_STATUS_OK && v->ledger.open_cases == 0) decide(v, BF_VERDICT_UNSAT, name);
    return status;
}

static int64_t count_neurons(const bf_model *model) {
    int64_t neurons = 0;
    for (int id = 0; id < model->graph->count; id++)
        if (bfi_op_is_nonlinear(model->graph->nodes[id].op))
            neurons += model->graph->nodes[id].count;
    return neurons;
}

static bool has_conjunctions(const verifier *v, int32_t index) {
    const bfi_disjunct_state *states = v->ledger.states + v->ledger.first[index];
    const bf_case *c = &v->property->cases[index];
    for (int32_t d = 0; d < c->count; d++)
        if (!states[d].refuted && c->disjuncts[d].count > 1) return true;
    return false;
}

/* Nodes after which linear programs have a try, where neurons are split: soon where an open
 * disjunct has several rows, since programs are exact where many splits and rows contradict each
 * other; later in a tiny network, where programs with cuts (solver/hull.h) are tighter than bounds.
 * 0: never. */
static int64_t nodes_before_programs(const verifier *v, bool tiny) {
    const bf_property *p = v->property;
    int64_t nodes = 0;
    for (int32_t i = 0; i < p->count; i++) {
        bool several = !v->ledger.done[i] && has_conjunctions(v, i);
        if (v->ledger.done[i] || !(several || tiny) ||
            !bfi_search_splits_neurons(v->model, p, i, v->options->branching))
            continue;
        if (several) return FIRST_NODES;
        nodes = TINY_NODES;
    }
    return nodes;
}

/* Linear programs for what is open, up to half of the time that is left. */
static bf_status solve_small(verifier *v, int64_t most_nodes, bf_error *err) {
    if (v->ledger.open_cases > SMALL_CASES) return BF_STATUS_OK;
    double now = bf_clock(), deadline = v->deadline > 0 ? now + (v->deadline - now) / 2 : 0;
    bf_status status = solve_all(v, BFI_SOLVER_MIP, most_nodes, deadline, err);
    bool half = status == BF_STATUS_TIMEOUT && bf_clock() < v->deadline;
    return half ? BF_STATUS_OK : status;
}

/* Branch and bound; what it leaves of a small network gets some linear programs, where these are
 * good at it before a search that may take long. */
static bf_status search_and_solve(verifier *v, bf_error *err) {
    bool bounds = v->options->bounds.method >= BF_METHOD_CROWN;
    int64_t neurons = count_neurons(v->model), nodes = 0;
    bool solve = v->options->engine != BF_ENGINE_BAB && neurons <= SMALL_NEURONS;
    if (bounds && solve && !v->journal.programs)
        nodes = nodes_before_programs(v, neurons <= TINY_NEURONS);
    bool early = nodes > 0;
    bf_status status = BF_STATUS_OK;
    if (early && !v->past.searching) status = search_all(v, nodes, err);
    if (early && status == BF_STATUS_OK && !decided(v)) status = solve_small(v, 0, err);
    v->journal.programs = v->journal.programs || (early && status == BF_STATUS_OK);
    if (bounds && status == BF_STATUS_OK && !decided(v)) status = search_all(v, 0, err);
    if (solve && status == BF_STATUS_OK && !decided(v)) status = solve_small(v, SMALL_NODES, err);
    return status;
}

static bf_status search(verifier *v, bf_error *err) {
    switch (v->options->engine) {
        case BF_ENGINE_MIP:
            return solve_all(v, BFI_SOLVER_MIP, 0, v->deadline, err);
        case BF_ENGINE_SMT:
            return solve_all(v, BFI_SOLVER_SMT, 0, v->deadline, err);
        default:
            return search_and_solve(v, err);
    }
}

/* Most work of an attack before CROWN, about a second's: a large network may be proved in less, and
 * the search attacks again. Steps take a way through the network and back, twice its work. */
#define ATTACK_FLOPS 5e10

/* The effort of one case is spread over all, when they are many: the search of a case tries points
 * of its own. */
static int steps_each(const verifier *v, int steps) {
    const bfi_graph *graph = v->model->graph;
    int64_t open = v->ledger.open_cases;
    double flops = 1;
    for (int id = 0; id < graph->count; id++) flops += 3 * (double)bfi_node_flops(graph, id);
    double most = ATTACK_FLOPS / flops / v->options->restarts;
    if (steps > CHEAP_STEPS && most < steps) steps = most > CHEAP_STEPS ? (int)most : CHEAP_STEPS;
    return open > MANY_CASES ? (int)(steps * MANY_CASES / open) : steps;
}

/* What comes before the search, which a resumed one has behind it. */
static bf_status prepare_search(verifier *v, bf_error *err) {
    const bf_verify_options *o = v->options;
    bf_status status = BF_STATUS_OK;
    /* of many boxes bounds decide most, each sooner than points could be tried in it */
    if (v->ledger.open_cases <= MANY_CASES)
        status = attack_all(v, o->restarts, CHEAP_STEPS, o->seed, v->deadline, err);
    if (status == BF_STATUS_OK && !decided(v)) status = try_bounds(v, BF_METHOD_IBP, "ibp", err);
    if (status == BF_STATUS_OK && !decided(v))
        status = try_bounds(v, BF_METHOD_CROWN_IBP, "crown-ibp", err);
    if (status == BF_STATUS_OK && !decided(v))
        status = attack_all(v, o->restarts, steps_each(v, o->steps), o->seed, v->deadline, err);
    if (status == BF_STATUS_OK && !decided(v))
        status = try_bounds(v, BF_METHOD_CROWN, "crown", err);
    if (status == BF_STATUS_OK && !decided(v)) status = try_alpha(v, err);
    if (status == BF_STATUS_OK && !decided(v)) status = try_float64(v, err);
    return status;
}

static bf_status run_strategy(verifier *v, bf_error *err) {
    bf_status status = v->past.searching ? BF_STATUS_OK : prepare_search(v, err);
    if (status == BF_STATUS_OK && !decided(v)) status = search(v, err);
    if (status == BF_STATUS_OK && !decided(v)) status = attack_harder(v, 0.5, err);
    return status;
}

static void explain(verifier *v, bf_status status) {
    bf_verify_result *r = v->result;
    if (status == BF_STATUS_TIMEOUT) {
        r->verdict = BF_VERDICT_TIMEOUT;
        snprintf(r->reason, sizeof r->reason, "the time limit of %g s ran out",
                 v->options->timeout);
    } else if (status == BF_STATUS_CANCELLED) {
        r->verdict = BF_VERDICT_UNKNOWN;
        snprintf(r->reason, sizeof r->reason, "stopped on request");
    } else if (r->verdict == BF_VERDICT_UNKNOWN && !r->reason[0]) {
        snprintf(r->reason, sizeof r->reason,
                 "bounds leave %lld of %d cases open (best margin %.4g) and the attack found no "
                 "counterexample",
                 (long long)v->ledger.open_cases, v->property->count,
                 bfi_ledger_bound(&v->ledger, true));
    }
}

/* What is known at the end, whatever the verdict; with |status| not a failure. */
static bf_status conclude(verifier *v, bf_status status, bf_error *err) {
    bf_verify_result *r = v->result;
    bfi_journal *j = &v->journal;
    explain(v, status);
    double bound = bfi_ledger_bound(&v->ledger, false);
    r->margin = isinf(bound) ? NAN : bound;
    const bfi_nearest *nearest = v->attack ? bfi_attack_nearest(v->attack) : NULL;
    r->best_margin = nearest && isfinite(nearest->margin) ? nearest->margin : NAN;
    if (!isnan(r->best_margin)) {
        r->best_x = bfi_malloc((size_t)r->n_in, sizeof *r->best_x);
        if (!r->best_x) return bfi_fail_memory(err);
        memcpy(r->best_x, nearest->x, (size_t)r->n_in * sizeof *r->best_x);
    }
    bfi_journal_search_over(j);
    r->nodes = j->nodes;
    r->hidden_nodes = j->hidden_nodes;
    r->open = decided(v) && r->verdict != BF_VERDICT_TIMEOUT ? 0 : j->search.open;
    bool open = r->verdict == BF_VERDICT_UNKNOWN || r->verdict == BF_VERDICT_TIMEOUT;
    if (open && !j->kept_last) bfi_journal_keep(j, NULL, true);
    r->checkpoints = j->checkpoints;
    snprintf(r->checkpoint_problem, sizeof r->checkpoint_problem, "%.255s", j->problem.message);
    return BF_STATUS_OK;
}

bf_status bf_verify(bf_session *session, const bf_model *model, const bf_property *property,
                    const bf_verify_options *options, bf_verify_result *result, bf_error *err) {
    *result = (bf_verify_result){.margin = NAN, .best_margin = NAN};
    verifier v = {.session = session,
                  .model = model,
                  .property = property,
                  .options = options,
                  .result = result,
                  .start = bf_clock()};
    v.deadline = options->timeout > 0 ? v.start + options->timeout : 0;
    bf_status status = check_shapes(&v, err);
    if (status == BF_STATUS_OK) status = begin(&v, err);
    if (status == BF_STATUS_OK && v.ledger.open_cases == 0)
        decide(&v, BF_VERDICT_UNSAT, "empty property");
    if (status == BF_STATUS_OK && !decided(&v)) {
        status = begin_attack(&v, err);
        if (status == BF_STATUS_OK) status = run_strategy(&v, err);
    }
    bool answered =
        status == BF_STATUS_OK || status == BF_STATUS_TIMEOUT || status == BF_STATUS_CANCELLED;
    if (answered) {
        status = conclude(&v, status, err);
        answered = status == BF_STATUS_OK;
    }
    bfi_attack_free(v.attack);
    bfi_checkpoint_clear(&v.past);
    bfi_ledger_clear(&v.ledger);
    result->total_s = bf_clock() - v.start;
    if (!answered) bf_verify_result_clear(result);
    return status;
}

void bf_verify_result_clear(bf_verify_result *result) {
    free(result->x);
    free(result->y);
    free(result->best_x);
    result->x = result->y = result->best_x = NULL;
}
