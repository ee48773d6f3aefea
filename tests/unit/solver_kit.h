/* Properties made by hand and solvers to ask, for tests. Everything asserts. */
#ifndef BF_TESTS_SOLVER_KIT_H
#define BF_TESTS_SOLVER_KIT_H

#include "bounds_kit.h"
#include "exact.h"
#include "ir/evaluate.h"
#include "verify/solver/solver.h"

enum { SOLVER_ROWS = 4, SOLVER_INPUTS = 64 };

/* One case with one disjunct: rows c . y <= rhs. */
typedef struct solver_property {
    bf_property property;
    bf_case c;
    bf_polytope disjunct;
    bf_halfspace rows[SOLVER_ROWS];
    bf_term terms[SOLVER_ROWS][2];
    double lo[SOLVER_INPUTS], hi[SOLVER_INPUTS];
} solver_property;

static inline void solver_property_init(solver_property *p, const bf_model *model) {
    *p = (solver_property){0};
    p->property.n_in = bf_model_input_count(model);
    p->property.n_out = bf_model_output_count(model);
    assert_in_range(p->property.n_in, 1, SOLVER_INPUTS);
    p->property.cases = &p->c, p->property.count = 1, p->property.source = (char *)"test";
    p->c.lo = p->c.lo_inner = p->lo;
    p->c.hi = p->c.hi_inner = p->hi;
    p->c.disjuncts = &p->disjunct, p->c.count = 1;
    p->disjunct.rows = p->rows;
}

/* Adds a y_i + b y_j <= rhs. */
static inline bf_halfspace *solver_property_row(solver_property *p, double a, int32_t i, double b,
                                                int32_t j, double rhs) {
    int32_t r = p->disjunct.count++;
    assert_in_range(r, 0, SOLVER_ROWS - 1);
    p->terms[r][0] = (bf_term){i, a, 0};
    p->terms[r][1] = (bf_term){j, b, 0};
    p->rows[r] = (bf_halfspace){.y_terms = p->terms[r], .y_count = b == 0 ? 1 : 2};
    p->rows[r].rhs_lo = p->rows[r].rhs_hi = rhs;
    return &p->rows[r];
}

static inline bfi_solver *solver_new(const bf_model *model, const solver_property *p,
                                     bfi_solver_kind kind, bf_semantics semantics) {
    bfi_solver *solver;
    bf_error err = {""};
    bfi_solver_options o = {.kind = kind, .bounds = bf_options_default()};
    o.bounds.semantics = semantics;
    if (bfi_solver_create(kit_session(1), model, &p->property, &o, &solver, &err))
        fail_msg("%s", err.message);
    return solver;
}

/* Checks what a witness claims, and drops it. */
static inline void solver_check_witness(const bf_model *model, const solver_property *p,
                                        bf_semantics semantics, bfi_witness *witness) {
    double y[512];
    bfi_precision precision = semantics == BF_SEMANTICS_REAL ? BFI_EVAL_FLOAT64 : BFI_EVAL_FLOAT32;
    assert_in_range(p->property.n_out, 1, 512);
    assert_int_equal(bfi_evaluate(model->graph, precision, witness->x, y, NULL, NULL),
                     BF_STATUS_OK);
    assert_true(bfi_polytope_violation(&p->disjunct, witness->x, y) <= 0);
    for (int64_t i = 0; i < p->property.n_in; i++) {
        double x = witness->x[i];
        bool inside = x >= p->lo[i] && x <= p->hi[i];
        /* a box between two float32 numbers */
        assert_true(inside || (x >= (double)(float)p->lo[i] && x <= (double)(float)p->hi[i]));
    }
    bfi_witness_clear(witness);
}

static inline bfi_solver_result solver_ask(const bf_model *model, bfi_solver *solver,
                                           const solver_property *p, bf_semantics semantics,
                                           bfi_leaf leaf) {
    bfi_solver_result result;
    bf_error err = {""};
    bf_status status = bfi_solver_decide(solver, &leaf, &result, &err);
    bool late = status == BF_STATUS_TIMEOUT && leaf.deadline > 0;
    if (status != BF_STATUS_OK && !late) fail_msg("%s", err.message);
    if (result.outcome == BFI_SOLVER_OPEN && !late) assert_true(result.reason[0]);
    if (result.outcome == BFI_SOLVER_FOUND)
        solver_check_witness(model, p, semantics, &result.witness);
    return result;
}

/* A solver for one question, which gets |seconds|; 0: as long as it takes. */
static inline bfi_solver_result solver_within(const bf_model *model, const solver_property *p,
                                              bfi_solver_kind kind, bf_semantics semantics,
                                              double seconds) {
    bfi_solver *solver = solver_new(model, p, kind, semantics);
    bfi_leaf leaf = {.deadline = seconds > 0 ? bf_clock() + seconds : 0};
    bfi_solver_result result = solver_ask(model, solver, p, semantics, leaf);
    bfi_solver_free(solver);
    return result;
}

static inline bfi_solver_result solver_once(const bf_model *model, const solver_property *p,
                                            bfi_solver_kind kind, bf_semantics semantics) {
    return solver_within(model, p, kind, semantics, 0);
}

/* True when the libraries of |kind| are there; says so when not. */
static inline bool solver_there(bfi_solver_kind kind) {
    bf_model *model = net_model(net_mlp(NET_PLAIN));
    solver_property p;
    solver_property_init(&p, model);
    bfi_solver *solver = solver_new(model, &p, kind, BF_SEMANTICS_REAL);
    const char *missing = bfi_solver_missing(solver);
    if (missing) print_message("skipped: %s\n", missing);
    bool there = missing == NULL;
    bfi_solver_free(solver);
    bf_model_free(model);
    return there;
}

/* The smallest double at or above |x|, nearly: never below. */
static inline double solver_above(const exact *x, double guess) {
    double v = guess, step = fmax(fabs(guess) * 0x1p-52, 0x1p-1074);
    while (!exact_at_most(x, v)) v += step, step *= 2;
    return v;
}

#endif
