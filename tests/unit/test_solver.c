/* Solvers of leaves: never "refuted" where exact arithmetic knows a counterexample, whatever the
 * net, box, splits and semantics; leaves whose neurons are all split are decided; branch and bound
 * over linear programs, exact arithmetic and branch and bound over inputs agree. */
#include "base/fp.h"
#include "solver_kit.h"
#include "verify/bab/search.h"

/* For a question on numbers that are built to hurt: exact arithmetic may take its time. */
#define MOST_SECONDS 0.3

static const bfi_solver_kind kinds[] = {BFI_SOLVER_LP, BFI_SOLVER_MIP, BFI_SOLVER_SMT};

static bf_model *any_model(net_style style) {
    for (;;) {
        bfi_graph *graph = kit_int(0, 2) ? net_mlp(style) : net_conv(style);
        if (graph->nodes[0].count <= SOLVER_INPUTS) return net_model(graph);
        bfi_graph_free(graph);
    }
}

/* Number of kinks that a net may have, at most. */
static int64_t neurons_of(const bf_model *model) {
    int64_t neurons = 0;
    for (int id = 0; id < model->graph->count; id++)
        if (bfi_op_is_nonlinear(model->graph->nodes[id].op))
            neurons += model->graph->nodes[id].count;
    return neurons;
}

/* A random box, a point of it, and rows that the point's exact outputs satisfy, just so. */
static void ask_for_point(const bf_model *model, net_style style, solver_property *p, double *x,
                          exact_values *v) {
    const bfi_graph *graph = model->graph;
    double y[512];
    int64_t outputs = graph->nodes[graph->output].count;
    solver_property_init(p, model);
    net_box(style, p->property.n_in, p->lo, p->hi);
    net_point(p->property.n_in, p->lo, p->hi, x);
    exact_evaluate(graph, x, x, v);
    assert_in_range(outputs, 1, 512);
    assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, y, NULL, NULL), BF_STATUS_OK);
    for (int64_t r = kit_int(1, SOLVER_ROWS); r > 0; r--) {
        int32_t i = (int32_t)kit_int(0, outputs - 1);
        double sign = net_sign();
        exact bound;
        exact_copy(&bound, &v->lo[graph->output][i]);
        bound.sign *= sign > 0 ? 1 : -1;
        double rhs = solver_above(&bound, sign * y[i]);
        bf_halfspace *h = solver_property_row(p, sign, i, 0, 0, rhs);
        if (!kit_int(0, 3)) h->strict = 1, h->rhs_lo = h->rhs_hi = bfi_up(rhs);
    }
}

/* Splits at zero that the exact values of the point satisfy. */
static int64_t split_at_point(const bf_plan *plan, const exact_values *v, bf_split *splits,
                              int64_t most) {
    int64_t count = 0;
    for (int a = 0; a < bf_plan_activation_count(plan); a++) {
        bf_activation_info info = bf_plan_activation(plan, a);
        for (int64_t j = 0; info.layer >= 0 && j < info.neurons && count < most; j++) {
            const exact *z = &v->lo[info.layer][j];
            if (!kit_int(0, 2)) continue;
            int sign = z->count && z->sign < 0 ? -1 : 1;
            splits[count++] = (bf_split){a, j, sign, 0};
        }
    }
    return count;
}

static void test_never_refutes_a_point(void **unused) {
    (void)unused;
    bool there[3];
    int refuted = 0, found = 0;
    for (int k = 0; k < 3; k++) there[k] = solver_there(kinds[k]);
    for (int i = 0; i < 150; i++) {
        net_style style = (net_style)(i % NET_STYLES);
        bf_model *model = any_model(style);
        exact_values v = exact_values_new(model->graph);
        solver_property p;
        double x[SOLVER_INPUTS];
        bf_split splits[64];
        ask_for_point(model, style, &p, x, &v);
        kit_engine engine = kit_engine_new(1, model, bf_options_default());
        int64_t count = split_at_point(engine.plan, &v, splits, kit_int(0, 1) ? 64 : 0);
        for (int k = 0; k < 3; k++) {
            if (!there[k] || (kinds[k] != BFI_SOLVER_LP && neurons_of(model) > 16)) continue;
            bfi_solver *solver = solver_new(model, &p, kinds[k], BF_SEMANTICS_REAL);
            bfi_leaf leaf = {.plan = engine.plan,
                             .splits = splits,
                             .split_count = count,
                             .deadline = bf_clock() + MOST_SECONDS};
            bfi_solver_result r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, leaf);
            refuted += r.outcome == BFI_SOLVER_REFUTED;
            found += r.outcome == BFI_SOLVER_FOUND;
            assert_true(r.lower <= 0);
            bfi_solver_free(solver);
        }
        kit_engine_free(&engine);
        exact_values_free(model->graph, &v);
        bf_model_free(model);
    }
    assert_int_equal(refuted, 0);
    assert_true(found > 50 || !there[0]);
}

/* The same for what a float32 evaluation of a point gives. */
static void test_never_refutes_an_evaluation(void **unused) {
    (void)unused;
    for (int k = 0; k < 3; k++) {
        if (!solver_there(kinds[k])) continue;
        for (int i = 0; i < 100; i++) {
            bf_model *model = any_model((net_style)(i % NET_DOUBLE));
            const bfi_graph *graph = model->graph;
            solver_property p;
            double x[SOLVER_INPUTS], y[512];
            if (kinds[k] == BFI_SOLVER_LP || neurons_of(model) <= 12) {
                solver_property_init(&p, model);
                net_box((net_style)(i % NET_DOUBLE), p.property.n_in, p.lo, p.hi);
                net_point(p.property.n_in, p.lo, p.hi, x);
                assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT32, x, y, NULL, NULL),
                                 BF_STATUS_OK);
                int64_t outputs = graph->nodes[graph->output].count;
                for (int64_t r = 0; r < outputs && r < SOLVER_ROWS; r++)
                    if (isfinite(y[r])) solver_property_row(&p, 1, (int32_t)r, 0, 0, y[r]);
                bfi_solver_result result =
                    solver_within(model, &p, kinds[k], BF_SEMANTICS_FLOAT32, MOST_SECONDS);
                assert_int_not_equal(result.outcome, BFI_SOLVER_REFUTED);
            }
            bf_model_free(model);
        }
    }
}

/* What becomes kinks: a relu, or another function. */
enum { KINK_ABS, KINK_MAX, KINK_MIN, KINK_CLIP, KINK_POOL, KINK_STEEP, KINK_FOLD, KINKS };

/* Function |which| of the four elements of |a|. */
static int kinks_of(bfi_graph *graph, net_style style, int which, int a) {
    switch (which) {
        case KINK_ABS:
            return net_same(graph, BFI_OP_ABS, a, -1);
        case KINK_MAX:
            return net_same(graph, BFI_OP_MAX, a, net_linear(graph, style, a, 1, 4, 4));
        case KINK_MIN:
            return net_same(graph, BFI_OP_MIN, a, net_linear(graph, style, a, 1, 4, 4));
        case KINK_CLIP:
            a = net_same(graph, BFI_OP_CLIP, a, -1);
            graph->nodes[a].attrs.lo = -0.5, graph->nodes[a].attrs.hi = 1.25;
            return a;
        case KINK_POOL:
            kit_add(graph, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(1, 1, 2, 2));
            net_geometry g = {1, 2, 1, 1, 1, 1, 1, 0, 1};
            return net_flatten(graph, net_window(graph, style, BFI_OP_MAX_POOL, graph->output, g));
        case KINK_STEEP: /* convex no more when turned around */
            return net_leaky(graph, a, 1.5);
        case KINK_FOLD:
            return net_leaky(graph, a, -0.5);
        default:
            return net_same(graph, BFI_OP_RELU, a, -1);
    }
}

/* Two inputs, two outputs, relus between. */
static bf_model *small_model(int width) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(2));
    int a = net_linear(graph, NET_PLAIN, 0, 1, 2, width);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_linear(graph, NET_PLAIN, a, 1, width, width);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = net_linear(graph, NET_PLAIN, a, 1, width, 2);
    kit_validate(graph);
    return net_model(graph);
}

/* The same with another function before the relus. */
static bf_model *other_model(int which) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(2));
    int a = net_linear(graph, NET_PLAIN, 0, 1, 2, 4);
    a = kinks_of(graph, NET_PLAIN, which, a);
    a = net_linear(graph, NET_PLAIN, a, 1, graph->nodes[a].count, 3);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = net_linear(graph, NET_PLAIN, a, 1, 3, 2);
    kit_validate(graph);
    return net_model(graph);
}

enum { MOST_NODES = 20000 };

static bfi_search_result search_some(const bf_model *model, const solver_property *p,
                                     bf_branching branching, int64_t most_nodes) {
    bfi_attack *attack;
    bfi_search_result result;
    bfi_disjunct_state states[1] = {{.margin = -INFINITY}};
    bf_error err = {""};
    assert_int_equal(bfi_attack_create(model->graph, 64, NULL, &attack, &err), BF_STATUS_OK);
    bfi_search_options o = {.bounds = bf_options_default(),
                            .branching = branching,
                            .attack = attack,
                            .most_nodes = most_nodes};
    o.bounds.intersect = 1;
    if (bfi_search_case(kit_session(1), model, &p->property, 0, &o, states, &result, &err))
        fail_msg("%s", err.message);
    if (result.outcome == BFI_SEARCH_FOUND)
        solver_check_witness(model, p, BF_SEMANTICS_REAL, &result.witness);
    bfi_attack_free(attack);
    return result;
}

static bfi_search_outcome search(const bf_model *model, const solver_property *p,
                                 bf_branching branching) {
    return search_some(model, p, branching, MOST_NODES).outcome;
}

/* The least that y_0, and with it y_1 - y_0, come to over a grid. */
static double least_on_grid(const bf_model *model, const solver_property *p, double coef,
                            double limit) {
    enum { GRID = 41 };
    double least = INFINITY;
    for (int i = 0; i < GRID * GRID; i++) {
        double x[2], y[2];
        for (int j = 0; j < 2; j++)
            x[j] = p->lo[j] + (p->hi[j] - p->lo[j]) * (j ? i / GRID : i % GRID) / (GRID - 1);
        assert_int_equal(bfi_evaluate(model->graph, BFI_EVAL_FLOAT64, x, y, NULL, NULL),
                         BF_STATUS_OK);
        if (y[1] <= limit) least = fmin(least, y[0] + coef * y[1]);
    }
    return least;
}

/* A box, and one row or two, around where the answer changes. True when an input of the grid is a
 * counterexample. */
static bool ask_near_least(const bf_model *model, solver_property *p) {
    double coef = kit_int(0, 1) ? -1 : 0, limit = INFINITY;
    solver_property_init(p, model);
    for (int j = 0; j < 2; j++)
        p->lo[j] = (double)-kit_int(1, 8) / 8, p->hi[j] = (double)kit_int(0, 8) / 8;
    if (kit_int(0, 1)) {
        double center[2] = {0, 0}, y[2];
        assert_int_equal(bfi_evaluate(model->graph, BFI_EVAL_FLOAT64, center, y, NULL, NULL),
                         BF_STATUS_OK);
        limit = y[1] + 0x1p-6;
        solver_property_row(p, 1, 1, 0, 0, limit);
    }
    double least = least_on_grid(model, p, coef, limit);
    double slack = (kit_int(0, 1) ? 1 : -1) * ldexp(1, -(int)kit_int(3, 12));
    solver_property_row(p, 1, 0, coef, 1, least + slack);
    return slack > 0;
}

/* Four independent ways: branch and bound over inputs, over neurons (whose leaves MIP decides, too;
 * |unsure|: may stay open), MIP and SMT. Returns true for a counterexample. */
static bool agree(const bf_model *model, const bool solvers[3], bool unsure) {
    solver_property p;
    bool found = ask_near_least(model, &p);
    int answers[4], count = 0;
    bfi_search_outcome inputs = search(model, &p, BF_BRANCHING_INPUTS), neurons = inputs;
    if (solvers[1]) neurons = search(model, &p, BF_BRANCHING_NEURONS);
    assert_int_not_equal(inputs, BFI_SEARCH_OPEN);
    assert_true(unsure || neurons != BFI_SEARCH_OPEN);
    answers[count++] = inputs == BFI_SEARCH_FOUND;
    if (neurons != BFI_SEARCH_OPEN) answers[count++] = neurons == BFI_SEARCH_FOUND;
    for (int k = 1; k < 3; k++) {
        if (!solvers[k]) continue;
        bfi_solver_outcome outcome = solver_once(model, &p, kinds[k], BF_SEMANTICS_REAL).outcome;
        assert_int_not_equal(outcome, BFI_SOLVER_OPEN);
        answers[count++] = outcome == BFI_SOLVER_FOUND;
    }
    for (int k = 0; k < count; k++) assert_int_equal(answers[k], answers[0]);
    if (found) assert_true(answers[0]);
    return answers[0];
}

static void test_ways_agree(void **unused) {
    (void)unused;
    bool there[3];
    int counts[2] = {0, 0};
    for (int k = 0; k < 3; k++) there[k] = solver_there(kinds[k]);
    for (int i = 0; i < 150; i++) {
        bf_model *model = small_model((int)kit_int(2, 5));
        counts[agree(model, there, false)]++;
        bf_model_free(model);
    }
    assert_true(counts[0] > 30 && counts[1] > 30);
}

/* Ties of elements of a maximum over windows are only approached by splits. */
static void test_ways_agree_on_other_kinks(void **unused) {
    (void)unused;
    bool there[3];
    int counts[2] = {0, 0};
    for (int k = 0; k < 3; k++) there[k] = solver_there(kinds[k]);
    for (int i = 0; i < 20 * KINKS; i++) {
        int which = i % KINKS;
        bf_model *model = other_model(which);
        counts[agree(model, there, which == KINK_POOL)]++;
        bf_model_free(model);
    }
    assert_true(counts[0] > 30 && counts[1] > 30);
}

/* Margins so small that beta-CROWN does not get there: with all neurons split, linear programs do.
 */
static void test_leaves_of_a_search(void **unused) {
    (void)unused;
    if (!solver_there(BFI_SOLVER_MIP)) skip();
    int stranded = 0;
    for (int i = 0; i < 20; i++) {
        bf_model *model = small_model(4);
        solver_property p;
        solver_property_init(&p, model);
        for (int j = 0; j < 2; j++) p.lo[j] = -1, p.hi[j] = 1;
        double low = -100, high = least_on_grid(model, &p, 0, INFINITY);
        bf_halfspace *h = solver_property_row(&p, 1, 0, 0, 0, high);
        while (high - low > 1e-7) {
            h->rhs_lo = h->rhs_hi = low / 2 + high / 2;
            if (solver_once(model, &p, BFI_SOLVER_MIP, BF_SEMANTICS_REAL).outcome ==
                BFI_SOLVER_REFUTED)
                low = h->rhs_hi;
            else
                high = h->rhs_hi;
        }
        h->rhs_lo = h->rhs_hi = low;
        assert_int_equal(search(model, &p, BF_BRANCHING_NEURONS), BFI_SEARCH_REFUTED);
        setenv("BOUNDFLOW_HIGHS", "none", 1);
        bfi_search_result without = search_some(model, &p, BF_BRANCHING_NEURONS, 0);
        unsetenv("BOUNDFLOW_HIGHS");
        bf_model_free(model);
        assert_int_not_equal(without.outcome, BFI_SEARCH_FOUND);
        if (without.outcome == BFI_SEARCH_REFUTED) continue;
        assert_non_null(strstr(without.reason, "HiGHS"));
        stranded++;
    }
    assert_true(stranded > 0);
}

/* One linear program decides a leaf whose neurons are all split: around the least value that it
 * takes in the region of a point, which the program itself tells by bisection. */
static void test_split_leaves_are_decided(void **unused) {
    (void)unused;
    if (!solver_there(BFI_SOLVER_LP)) skip();
    int decided = 0;
    for (int i = 0; i < 60; i++) {
        bf_model *model = small_model(5);
        kit_engine engine = kit_engine_new(1, model, bf_options_default());
        exact_values v = exact_values_new(model->graph);
        solver_property p;
        bf_split splits[64];
        double x[2] = {net_uniform(), net_uniform()}, y[2];
        solver_property_init(&p, model);
        for (int j = 0; j < 2; j++) p.lo[j] = -1, p.hi[j] = 1, x[j] = (double)(float)x[j];
        assert_int_equal(bfi_evaluate(model->graph, BFI_EVAL_FLOAT64, x, y, NULL, NULL),
                         BF_STATUS_OK);
        exact_evaluate(model->graph, x, x, &v);
        bfi_leaf leaf = {.plan = engine.plan, .splits = splits};
        for (int a = 0; a < bf_plan_activation_count(engine.plan); a++)
            for (int64_t j = 0; j < 5; j++) {
                const exact *z = &v.lo[bf_plan_activation(engine.plan, a).layer][j];
                splits[leaf.split_count++] = (bf_split){a, j, z->count && z->sign < 0 ? -1 : 1, 0};
            }
        bf_halfspace *h = solver_property_row(&p, 1, 0, 0, 0, y[0]);
        double low = -100, high = y[0];
        for (int step = 0; step < 16; step++) {
            bfi_solver *solver = solver_new(model, &p, BFI_SOLVER_LP, BF_SEMANTICS_REAL);
            h->rhs_lo = h->rhs_hi = low / 2 + high / 2;
            bfi_solver_result r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, leaf);
            bfi_solver_free(solver);
            if (r.outcome == BFI_SOLVER_OPEN) break; /* as near as float32 points come */
            decided++;
            if (r.outcome == BFI_SOLVER_FOUND)
                high = h->rhs_hi;
            else
                low = h->rhs_hi;
            if (high - low < 1e-4) break;
        }
        assert_true(high - low < 0.01);
        exact_values_free(model->graph, &v);
        kit_engine_free(&engine);
        bf_model_free(model);
    }
    assert_true(decided > 600);
}

/* All numbers are dyadic, so that float64 evaluates exactly. */
static bf_model *kinked_model(int which) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 1, 2, 2));
    int a = net_flatten(graph, 0);
    a = net_linear(graph, NET_DYADIC, a, 1, 4, 4);
    a = kinks_of(graph, NET_DYADIC, which, a);
    graph->output = net_linear(graph, NET_DYADIC, a, 1, graph->nodes[a].count, 2);
    kit_validate(graph);
    return net_model(graph);
}

static void test_other_kinks(void **unused) {
    (void)unused;
    for (int k = 0; k < 3; k++) {
        if (!solver_there(kinds[k])) continue;
        for (int i = 0; i < 70; i++) {
            bf_model *model = kinked_model(i % KINKS);
            solver_property p;
            double x[4], y[2];
            solver_property_init(&p, model);
            for (int j = 0; j < 4; j++) {
                x[j] = kit_eighth();
                p.lo[j] = x[j] - (double)kit_int(0, 4) / 8,
                p.hi[j] = x[j] + (double)kit_int(0, 4) / 8;
            }
            assert_int_equal(bfi_evaluate(model->graph, BFI_EVAL_FLOAT64, x, y, NULL, NULL),
                             BF_STATUS_OK);
            solver_property_row(&p, 1, 0, 0, 0, y[0]);
            solver_property_row(&p, 1, 1, 0, 0, y[1]);
            bfi_solver_result r = solver_once(model, &p, kinds[k], BF_SEMANTICS_REAL);
            assert_int_not_equal(r.outcome, BFI_SOLVER_REFUTED);
            /* what the bounds alone refute is refuted, what a search has to decide is decided */
            p.rows[0].rhs_lo = p.rows[0].rhs_hi = y[0] - 1000;
            r = solver_once(model, &p, kinds[k], BF_SEMANTICS_REAL);
            assert_int_equal(r.outcome, BFI_SOLVER_REFUTED);
            p.rows[0].rhs_lo = p.rows[0].rhs_hi = y[0] + 0.125;
            p.rows[1].rhs_lo = p.rows[1].rhs_hi = y[1] + 0.125;
            r = solver_once(model, &p, kinds[k], BF_SEMANTICS_REAL);
            assert_int_not_equal(r.outcome, BFI_SOLVER_REFUTED);
            if (kinds[k] == BFI_SOLVER_SMT) assert_int_equal(r.outcome, BFI_SOLVER_FOUND);
            bf_model_free(model);
        }
    }
}

/* Contradicting splits, a cut that nothing satisfies, an empty conjunction, a box that is a point.
 */
static void test_corners(void **unused) {
    (void)unused;
    for (int k = 0; k < 3; k++) {
        if (!solver_there(kinds[k])) continue;
        bf_model *model = small_model(4);
        kit_engine engine = kit_engine_new(1, model, bf_options_default());
        solver_property p;
        solver_property_init(&p, model);
        for (int j = 0; j < 2; j++) p.lo[j] = -1, p.hi[j] = 1;
        bfi_solver *solver = solver_new(model, &p, kinds[k], BF_SEMANTICS_REAL);
        bfi_solver_result r =
            solver_ask(model, solver, &p, BF_SEMANTICS_REAL, (bfi_leaf){.plan = engine.plan});
        assert_int_equal(r.outcome, BFI_SOLVER_FOUND); /* no row: every input will do */

        bf_split splits[2] = {{0, 1, 1, 0.25}, {0, 1, -1, 0.125}};
        bfi_leaf leaf = {.plan = engine.plan, .splits = splits, .split_count = 2};
        r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, leaf);
        assert_int_equal(r.outcome, BFI_SOLVER_REFUTED);

        double a[2] = {1, 1}, center[2] = {0.5, -0.5};
        bfi_constraints_row cut = {a, -2.5}, tight = {a, 2.5};
        leaf = (bfi_leaf){.rows = &tight, .row_count = 1}; /* x + y <= -2.5 */
        r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, leaf);
        assert_int_equal(r.outcome, BFI_SOLVER_REFUTED);
        leaf.rows = &cut; /* x + y <= 2.5 */
        r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, leaf);
        assert_int_equal(r.outcome, BFI_SOLVER_FOUND);

        leaf = (bfi_leaf){.lo = center, .hi = center};
        r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, leaf);
        assert_int_equal(r.outcome, BFI_SOLVER_FOUND);
        bfi_solver_free(solver);
        kit_engine_free(&engine);
        bf_model_free(model);
    }
}

/* Time that is up, a stop, and too little memory are said. */
static void test_limits(void **unused) {
    (void)unused;
    for (int k = 0; k < 3; k++) {
        if (!solver_there(kinds[k])) continue;
        bf_model *model = small_model(40);
        solver_property p;
        bfi_solver_result r;
        bf_error err = {""};
        solver_property_init(&p, model);
        for (int j = 0; j < 2; j++) p.lo[j] = -1, p.hi[j] = 1;
        solver_property_row(&p, 1, 0, 0, 0, least_on_grid(model, &p, 0, INFINITY) - 1e-7);
        bfi_solver *solver = solver_new(model, &p, kinds[k], BF_SEMANTICS_REAL);
        bfi_leaf leaf = {.deadline = bf_clock() - 1};
        assert_int_equal(bfi_solver_decide(solver, &leaf, &r, &err), BF_STATUS_TIMEOUT);
        assert_int_equal(r.outcome, BFI_SOLVER_OPEN);
        double begin = bf_clock();
        leaf.deadline = begin + 0.2;
        bf_status status = bfi_solver_decide(solver, &leaf, &r, &err);
        assert_true(status == BF_STATUS_OK || status == BF_STATUS_TIMEOUT);
        assert_true(bf_clock() - begin < 5);
        if (status == BF_STATUS_OK && r.outcome == BFI_SOLVER_FOUND) bfi_witness_clear(&r.witness);
        bfi_solver_free(solver);

        bfi_solver_options o = {.kind = kinds[k], .bounds = bf_options_default(), .memory = 1000};
        assert_int_equal(bfi_solver_create(kit_session(1), model, &p.property, &o, &solver, &err),
                         BF_STATUS_OK);
        r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, (bfi_leaf){0});
        assert_int_equal(r.outcome, BFI_SOLVER_OPEN);
        assert_non_null(strstr(r.reason, "memory"));
        bfi_solver_free(solver);

        if (kinds[k] != BFI_SOLVER_SMT) { /* one step of the simplex method is not enough */
            o.memory = 0, o.most_steps = 1;
            assert_int_equal(
                bfi_solver_create(kit_session(1), model, &p.property, &o, &solver, &err),
                BF_STATUS_OK);
            r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, (bfi_leaf){0});
            assert_int_equal(r.outcome, BFI_SOLVER_OPEN);
            assert_non_null(strstr(r.reason, "steps that it had"));
            bfi_solver_free(solver);
        }
        bf_model_free(model);
    }
}

/* Without its library a solver answers, and says what is missing. */
static void test_none(void **unused) {
    (void)unused;
    const char *const variables[] = {"BOUNDFLOW_HIGHS", "BOUNDFLOW_HIGHS", "BOUNDFLOW_Z3"};
    for (int k = 0; k < 3; k++) {
        bf_model *model = small_model(4);
        solver_property p;
        solver_property_init(&p, model);
        setenv(variables[k], "none", 1);
        bfi_solver *solver = solver_new(model, &p, kinds[k], BF_SEMANTICS_REAL);
        assert_non_null(strstr(bfi_solver_missing(solver), variables[k]));
        bfi_solver_result r = solver_ask(model, solver, &p, BF_SEMANTICS_REAL, (bfi_leaf){0});
        assert_int_equal(r.outcome, BFI_SOLVER_OPEN);
        assert_non_null(strstr(r.reason, variables[k]));
        bfi_solver_free(solver);
        unsetenv(variables[k]);
        bf_model_free(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_refutes_a_point),
        cmocka_unit_test(test_never_refutes_an_evaluation),
        cmocka_unit_test(test_ways_agree),
        cmocka_unit_test(test_ways_agree_on_other_kinks),
        cmocka_unit_test(test_leaves_of_a_search),
        cmocka_unit_test(test_split_leaves_are_decided),
        cmocka_unit_test(test_other_kinks),
        cmocka_unit_test(test_corners),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
