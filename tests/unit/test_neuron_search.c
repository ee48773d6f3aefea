/* Branch and bound over neurons, and beside it over inputs: both agree with a fine grid of points
 * whatever the threads, the leaves of a proof cover the box and hold, a search that is stopped says
 * so, and the rules that rank neurons give the scores they should. */
#include "runtime/session.h"
#include "search_kit.h"
#include "verify/bab/bounder.h"
#include "verify/bab/branch.h"
#include "verify/bab/lane_state.h"
#include "verify/bab/search.h"
#include "verify/bab/view.h"

enum { INPUTS = 2, OUTPUTS = 2, GRID = 121, LEAVES = 1 << 13, MOST_CUTS = 192 };

static bfi_op random_op(void) {
    static const bfi_op ops[] = {BFI_OP_RELU,   BFI_OP_RELU,    BFI_OP_LEAKY_RELU, BFI_OP_TANH,
                                 BFI_OP_ABS,    BFI_OP_SIGMOID, BFI_OP_CLIP,       BFI_OP_CLIP,
                                 BFI_OP_SQUARE, BFI_OP_ABS,     BFI_OP_SIN,        BFI_OP_EXP};
    return ops[kit_int(0, 11)];
}

static int activation(bfi_graph *graph, bfi_op op, int a) {
    int id = net_same(graph, op, a, -1);
    if (op == BFI_OP_LEAKY_RELU) graph->nodes[id].attrs.slope = 0.125;
    if (op == BFI_OP_CLIP) graph->nodes[id].attrs.lo = -0.25, graph->nodes[id].attrs.hi = 0.5;
    return id;
}

static bool is_smooth(bfi_op op) {
    return op == BFI_OP_TANH || op == BFI_OP_SIGMOID || op == BFI_OP_SQUARE || op == BFI_OP_SIN ||
           op == BFI_OP_EXP;
}

/* Maxima of overlapping windows of four; |relus|: between relus, else nothing else can be split. */
static bf_model *pool_model(bool relus) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(INPUTS));
    int a = net_linear(graph, NET_PLAIN, 0, 1, INPUTS, 8);
    if (relus && kit_int(0, 1)) a = net_same(graph, BFI_OP_RELU, a, -1);
    kit_add(graph, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(1, 1, 2, 4));
    net_geometry pool = {1, 2, 2, 1, 1, 1, 1, 0, 1};
    a = net_flatten(graph, net_window(graph, NET_PLAIN, BFI_OP_MAX_POOL, graph->output, pool));
    a = net_linear(graph, NET_PLAIN, a, 1, 3, 4);
    if (relus) a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = net_linear(graph, NET_PLAIN, a, 1, 4, OUTPUTS);
    kit_validate(graph);
    return net_model(graph);
}

/* Two hidden layers; one of functions whose ranges have to be cut again and again. */
static bf_model *random_model(bfi_op op) {
    bool relus = op == BFI_OP_RELU || op == BFI_OP_LEAKY_RELU;
    int64_t width = op == BFI_OP_SQUARE ? 3 : is_smooth(op) ? 4 : relus ? 8 : 5;
    bfi_graph *graph = kit_graph(KIT_SHAPE(INPUTS));
    int a = net_linear(graph, NET_PLAIN, 0, 1, INPUTS, width);
    a = activation(graph, op, a);
    int b = net_linear(graph, NET_PLAIN, a, 1, width, width);
    if (kit_int(0, 1)) b = net_same(graph, BFI_OP_ADD, a, b);
    if (!is_smooth(op)) b = activation(graph, kit_int(0, 1) ? BFI_OP_RELU : op, b);
    graph->output = net_linear(graph, NET_PLAIN, b, 1, width, OUTPUTS);
    kit_validate(graph);
    return net_model(graph);
}

/* The leaves of a search that were refuted. */
typedef struct leaf {
    uint64_t closed;
    int32_t depth;
    bfi_cut cuts[MOST_CUTS];
} leaf;

typedef struct leaves {
    leaf leaf[LEAVES];
    int count;
    int64_t seen, stop_at; /* children; 0: never stops */
    bf_session *session;
} leaves;

static void watch(void *user, const bfi_search_child *child) {
    leaves *l = user;
    if (++l->seen == l->stop_at) bf_session_stop(l->session);
    if (!(child->was & ~child->open)) return;
    assert_true(l->count < LEAVES && child->depth <= MOST_CUTS);
    leaf *n = &l->leaf[l->count++];
    n->closed = child->was & ~child->open;
    n->depth = child->depth;
    if (child->depth > 0) memcpy(n->cuts, child->cuts, (size_t)child->depth * sizeof *n->cuts);
}

typedef struct question {
    bf_branching branching;
    bf_dtype dtype;
    int threads;
    int64_t memory;
    double deadline;
    leaves *leaves; /* NULL: not watched */
} question;

static bfi_search_result ask(const bf_model *model, const bf_property *property, question q,
                             bf_status *status) {
    bfi_attack *attack;
    bfi_search_result result;
    bf_error err = {""};
    bfi_disjunct_state states[2] = {{.margin = -INFINITY}, {.margin = -INFINITY}};
    bf_session *session = kit_session(q.threads);
    assert_int_equal(bfi_attack_create(model->graph, 64, NULL, &attack, &err), BF_STATUS_OK);
    bfi_search_options o = {.bounds = bf_options_default(),
                            .branching = q.branching,
                            .memory = q.memory,
                            .deadline = q.deadline,
                            .attack = attack,
                            .watch = q.leaves ? watch : NULL,
                            .user = q.leaves};
    o.bounds.intersect = 1;
    o.bounds.dtype = q.dtype;
    if (q.leaves) q.leaves->session = session, q.leaves->count = 0, q.leaves->seen = 0;
    *status = bfi_search_case(session, model, property, 0, &o, states, &result, &err);
    if (*status != BF_STATUS_OK && *status != BF_STATUS_TIMEOUT && *status != BF_STATUS_CANCELLED)
        fail_msg("%s", err.message);
    if (result.outcome == BFI_SEARCH_REFUTED)
        for (int d = 0; d < property->cases[0].count; d++) assert_true(states[d].refuted);
    bfi_attack_free(attack);
    return result;
}

static bool violates(const bf_polytope *d, const double *y) {
    for (int32_t r = 0; r < d->count; r++) {
        double left = 0;
        for (int32_t k = 0; k < d->rows[r].y_count; k++)
            left += d->rows[r].y_terms[k].coef * y[d->rows[r].y_terms[k].index];
        if (left > d->rows[r].rhs_hi) return false;
    }
    return true;
}

/* Every point of the box lies in a leaf that closes each disjunct, and violates none there. */
static void check_leaves(const bf_model *model, const bf_property *property, const leaves *l,
                         bf_options o) {
    o.method = BF_METHOD_ALPHA_CROWN;
    kit_engine engine = kit_engine_new(1, model, o);
    for (int tries = 0; tries < 300; tries++) {
        double x[INPUTS] = {net_uniform(), net_uniform()};
        double **values;
        uint64_t closed = 0;
        assert_int_equal(bfi_evaluate(model->graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL),
                         BF_STATUS_OK);
        for (int i = 0; i < l->count; i++) {
            const leaf *n = &l->leaf[i];
            bool inside = true;
            for (int32_t k = 0; k < n->depth && inside; k++) {
                const bfi_decision *d = &n->cuts[k].decision;
                int layer =
                    d->activation < 0 ? 0 : bf_plan_activation(engine.plan, d->activation).layer;
                assert_true(layer >= 0);
                inside = n->cuts[k].sign * (values[layer][d->index] - d->point) >= 0;
            }
            if (inside) closed |= n->closed;
        }
        for (int32_t d = 0; d < property->cases[0].count; d++) {
            assert_true(closed >> d & 1);
            assert_false(violates(&property->cases[0].disjuncts[d], values[model->graph->output]));
        }
        bfi_evaluation_free(model->graph, values);
    }
    kit_engine_free(&engine);
}

/* Disjuncts of one row, or of two. */
static bf_property *question_about(const double least[2], double slack, bool found, bool rows) {
    char text[300];
    double first = least[0] + (found ? slack : -slack),
           second = least[1] + (found ? slack : -slack);
    if (rows)
        snprintf(
            text, sizeof text,
            "(assert (or (and (<= Y_0 %.17g) (<= Y_1 1e9)) (and (<= Y_0 %.17g) (>= Y_1 -1e9))))",
            first, first);
    else
        snprintf(text, sizeof text,
                 "(assert (or (and (<= Y_0 %.17g)) (and (<= (- Y_0 Y_1) %.17g))))", first, second);
    return kit_square_property(text);
}

static void test_agrees(void **unused) {
    (void)unused;
    static leaves seen;
    int split = 0, deep = 0, undecided = 0, sharpened = 0;
    for (int i = 0; i < 50; i++) {
        kit_seed((uint64_t)i + 1);
        bfi_op op = random_op();
        bf_model *model = random_model(op);
        double least[2], most;
        kit_grid_minimum(GRID, model, least, &most);
        double slack = (is_smooth(op) ? 0.1 : 0.02) * (most - least[0]) + 1e-3;
        for (int found = 0; found < 2; found++) {
            bf_status status;
            bf_property *property = question_about(least, slack, found, i % 3 == 0);
            bf_dtype dtype = (bf_dtype)(i % 2);
            bfi_search_outcome wanted = found ? BFI_SEARCH_FOUND : BFI_SEARCH_REFUTED;
            for (int what = BF_BRANCHING_INPUTS; what <= BF_BRANCHING_NEURONS; what++) {
                question q = {.branching = (bf_branching)what, .dtype = dtype, .threads = 1};
                q.leaves = &seen;
                bfi_search_result one = ask(model, property, q, &status);
                assert_int_equal(status, BF_STATUS_OK);
                bool hard = strstr(one.reason, "a leaf") != NULL;
                undecided += hard;
                if (hard) assert_non_null(strstr(one.reason, "HiGHS")); /* is not there */
                if (one.outcome != wanted && !hard)
                    fail_msg("net %d of %s, branching %d: outcome %d: %s", i, bfi_op_name(op), what,
                             (int)one.outcome, one.reason);
                if (!found && !hard) check_leaves(model, property, &seen, bf_options_default());
                q.threads = 2, q.leaves = NULL;
                bfi_search_result two = ask(model, property, q, &status);
                assert_int_equal(two.outcome, one.outcome);
                assert_int_equal(two.progress.nodes, one.progress.nodes);
                assert_int_equal(two.progress.hidden_nodes, one.progress.hidden_nodes);
                if (found && !hard)
                    assert_memory_equal(one.witness.x, two.witness.x, 2 * sizeof(double));
                bool neurons = what == BF_BRANCHING_NEURONS;
                split += neurons && one.progress.nodes > 2;
                deep += neurons && one.progress.nodes > 10;
                sharpened += !found && !hard && one.progress.hidden_nodes > 0;
                bfi_witness_clear(&one.witness);
                bfi_witness_clear(&two.witness);
            }
            bf_property_free(property);
        }
        bf_model_free(model);
    }
    print_message(
        "%d searches split neurons, %d of them often; %d proofs on sharpened hidden "
        "bounds; %d need a solver\n",
        split, deep, sharpened, undecided);
    assert_true(split > 25 && deep > 15 && sharpened > 10 && undecided < 20);
}

/* y_0 = |x_0 + x_1| + |x_0 - x_1| - |x_0| >= |x_0|: no relaxation shows that y_0 > -0.05 before
 * neurons are split. */
static void test_needs_splits(void **unused) {
    (void)unused;
    static const double first[] = {1, 1, 1, -1, 1, 0}, last[] = {1, 1, -1, 0, 0, 0};
    bfi_graph *graph = kit_graph(KIT_SHAPE(INPUTS));
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, 0, -1, KIT_SHAPE(3));
    node->attrs.rows = 1, node->attrs.k = INPUTS, node->attrs.n = 3;
    node->weight = net_numbers(NET_PLAIN, 6);
    memcpy(node->weight.data, first, sizeof first);
    int a = net_same(graph, BFI_OP_ABS, graph->output, -1);
    node = kit_add(graph, BFI_OP_LINEAR, a, -1, KIT_SHAPE(OUTPUTS));
    node->attrs.rows = 1, node->attrs.k = 3, node->attrs.n = OUTPUTS;
    node->weight = net_numbers(NET_PLAIN, 6);
    memcpy(node->weight.data, last, sizeof last);
    kit_validate(graph);
    bf_model *model = net_model(graph);
    bf_property *property = kit_square_property("(assert (<= Y_0 -0.05))");
    bf_status status;
    question q = {.branching = BF_BRANCHING_NEURONS, .threads = 1};
    bfi_search_result r = ask(model, property, q, &status);
    if (r.outcome != BFI_SEARCH_REFUTED) fail_msg("outcome %d: %s", (int)r.outcome, r.reason);
    assert_true(r.progress.nodes > 2);
    bf_property_free(property);
    bf_model_free(model);
}

/* A box of outputs whose corner nothing reaches: y_0 <= a and y_1 <= b are met, though not
 * together. False: the network has none. With |found| some grid points are inside. */
static bool corner_of(const bf_model *model, bool found, double corner[2]) {
    static double y[GRID * GRID][2];
    double least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY};
    for (int i = 0; i < GRID * GRID; i++) {
        double x[2] = {-1 + 2.0 * (i % GRID) / (GRID - 1), -1 + 2.0 * (i / GRID) / (GRID - 1)};
        double **values;
        assert_int_equal(bfi_evaluate(model->graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL),
                         BF_STATUS_OK);
        for (int k = 0; k < 2; k++) {
            y[i][k] = values[model->graph->output][k];
            least[k] = fmin(least[k], y[i][k]), most[k] = fmax(most[k], y[i][k]);
        }
        bfi_evaluation_free(model->graph, values);
    }
    double room[2] = {0.05 * (most[0] - least[0]) + 1e-3, 0.05 * (most[1] - least[1]) + 1e-3};
    corner[0] = least[0] + 0.3 * (most[0] - least[0]), corner[1] = most[1];
    for (int i = 0; i < GRID * GRID; i++)
        if (y[i][0] <= corner[0] + (found ? 0 : room[0])) corner[1] = fmin(corner[1], y[i][1]);
    corner[1] += found ? room[1] : -room[1];
    return corner[0] > least[0] + room[0] && corner[1] > least[1] + room[1];
}

/* Conjunctions of which each row is met somewhere: a third row may be of no use. */
static void test_conjunctions(void **unused) {
    (void)unused;
    static leaves seen;
    int refuted = 0, deep = 0, undecided = 0;
    for (int i = 0; i < 60; i++) {
        kit_seed((uint64_t)i + 1);
        bfi_op op = i % 3 ? BFI_OP_RELU : random_op();
        bf_model *model = random_model(op);
        double corner[2];
        for (int found = 0; found < 2; found++) {
            char text[300];
            bf_status status;
            if (!corner_of(model, found, corner)) continue;
            snprintf(text, sizeof text, "(assert (and %s (<= Y_0 %.17g) (<= (* 256 Y_1) %.17g)))",
                     i % 2 ? "(<= (+ Y_0 Y_1) 1e6)" : "", corner[0], 256 * corner[1]);
            bf_property *property = kit_square_property(text);
            question q = {.branching = BF_BRANCHING_NEURONS,
                          .dtype = (bf_dtype)(i % 2),
                          .threads = 1,
                          .leaves = &seen};
            bfi_search_result r = ask(model, property, q, &status);
            assert_int_equal(status, BF_STATUS_OK);
            bool hard = strstr(r.reason, "a leaf") != NULL;
            undecided += hard;
            if (!hard) assert_int_equal(r.outcome, found ? BFI_SEARCH_FOUND : BFI_SEARCH_REFUTED);
            if (!hard && !found) check_leaves(model, property, &seen, bf_options_default());
            refuted += r.outcome == BFI_SEARCH_REFUTED;
            deep += r.outcome == BFI_SEARCH_REFUTED && r.progress.nodes > 5;
            q.threads = 2, q.leaves = NULL;
            bfi_search_result two = ask(model, property, q, &status);
            assert_int_equal(two.outcome, r.outcome);
            assert_int_equal(two.progress.nodes, r.progress.nodes);
            bfi_witness_clear(&r.witness);
            bfi_witness_clear(&two.witness);
            bf_property_free(property);
        }
        bf_model_free(model);
    }
    print_message("%d conjunctions refuted, %d of them by splits; %d need a solver\n", refuted,
                  deep, undecided);
    assert_true(refuted > 15 && deep > 5 && undecided < 15);
}

/* Maxima: a search over their elements decides as one over inputs does, or has not ended after some
 * thousand nodes, since ties of elements are only approached. */
static void test_pools(void **unused) {
    (void)unused;
    static leaves seen;
    int split = 0, decided = 0, alone = 0;
    for (int i = 0; i < 24; i++) {
        kit_seed((uint64_t)i + 1);
        bf_model *model = pool_model(i % 2);
        double least[2], most;
        kit_grid_minimum(GRID, model, least, &most);
        for (int found = 0; found < 2; found++) {
            bf_status status;
            bf_property *property =
                question_about(least, 0.1 * (most - least[0]) + 1e-3, found, i % 3 == 0);
            bfi_search_outcome wanted = found ? BFI_SEARCH_FOUND : BFI_SEARCH_REFUTED;
            question q = {
                .branching = BF_BRANCHING_INPUTS, .dtype = (bf_dtype)(i % 2), .threads = 1};
            bfi_search_result r = ask(model, property, q, &status);
            assert_int_equal(r.outcome, wanted);
            bfi_witness_clear(&r.witness);
            seen.stop_at = 4000;
            q.branching = BF_BRANCHING_NEURONS, q.leaves = &seen;
            r = ask(model, property, q, &status);
            bf_session_resume(kit_session(1));
            split += r.progress.nodes > 4;
            if (status == BF_STATUS_OK) assert_int_equal(r.outcome, wanted);
            if (r.outcome == BFI_SEARCH_REFUTED)
                check_leaves(model, property, &seen, bf_options_default());
            decided += status == BF_STATUS_OK && r.progress.nodes > 4;
            alone += i % 2 == 0 && r.outcome == BFI_SEARCH_REFUTED && r.progress.nodes > 4;
            bfi_witness_clear(&r.witness);
            bf_property_free(property);
        }
        bf_model_free(model);
    }
    print_message("%d searches split elements of maxima, %d of them decided; %d proofs need them\n",
                  split, decided, alone);
    seen.stop_at = 0;
    assert_true(decided > 10 && alone > 2);
}

/* A search without room for what nodes remember goes on without, and ends the same. */
static void test_without_memory(void **unused) {
    (void)unused;
    kit_seed(5);
    static leaves seen;
    int longer = 0;
    for (int i = 0; i < 12; i++) {
        bf_model *model = random_model(BFI_OP_RELU);
        double least[2], most;
        bf_status status;
        kit_grid_minimum(GRID, model, least, &most);
        bf_property *property = question_about(least, 0.01 * (most - least[0]), false, i % 3 == 0);
        for (int64_t memory = 0; memory <= 1 << 16; memory = memory ? memory * 4 : 1 << 12) {
            question q = {.branching = BF_BRANCHING_NEURONS, .threads = 1, .memory = memory};
            q.leaves = &seen;
            bfi_search_result r = ask(model, property, q, &status);
            assert_int_equal(status, BF_STATUS_OK);
            if (r.outcome == BFI_SEARCH_OPEN && strstr(r.reason, "HiGHS")) continue;
            if (r.outcome == BFI_SEARCH_OPEN) {
                if (memory == 0) fail_msg("net %d: %s", i, r.reason);
                assert_non_null(strstr(r.reason, "memory"));
                continue;
            }
            assert_int_equal(r.outcome, BFI_SEARCH_REFUTED);
            check_leaves(model, property, &seen, bf_options_default());
            longer += memory > 0 && r.progress.nodes > 20;
        }
        bf_property_free(property);
        bf_model_free(model);
    }
    assert_true(longer > 0);
}

static void test_stops(void **unused) {
    (void)unused;
    static leaves seen;
    bf_model *model = random_model(BFI_OP_RELU);
    double least[2], most;
    bf_status status;
    kit_grid_minimum(GRID, model, least, &most);
    bf_property *property = question_about(least, 0.01 * (most - least[0]), false, false);
    question q = {.branching = BF_BRANCHING_NEURONS, .threads = 2, .leaves = &seen};
    bfi_search_result whole = ask(model, property, q, &status);
    int64_t children = seen.seen, cancelled = 0;
    assert_true(children > 10);
    for (seen.stop_at = 1; seen.stop_at <= children; seen.stop_at++) {
        bfi_search_result r = ask(model, property, q, &status);
        bf_session_resume(kit_session(2));
        assert_true(status == BF_STATUS_CANCELLED || status == BF_STATUS_OK);
        cancelled += status == BF_STATUS_CANCELLED;
        assert_int_equal(r.outcome, status == BF_STATUS_OK ? whole.outcome : BFI_SEARCH_OPEN);
    }
    assert_true(cancelled > 0);
    seen.stop_at = 0;
    double begin = bf_clock();
    ask(model, property, q, &status);
    double took = bf_clock() - begin;
    for (int i = 0; i <= 50; i++) {
        q.deadline = bf_clock() + took * i / 40;
        bfi_search_result r = ask(model, property, q, &status);
        assert_true(status == BF_STATUS_TIMEOUT || status == BF_STATUS_OK);
        assert_int_equal(r.outcome, status == BF_STATUS_OK ? whole.outcome : BFI_SEARCH_OPEN);
    }
    bf_property_free(property);
    bf_model_free(model);
}

/* A relu with range [-1, 3], coefficient -2, bias 4, minimiser 1, and a tanh. */
static void test_rules(void **unused) {
    (void)unused;
    bfi_node relu = {.op = BFI_OP_RELU}, tanh_op = {.op = BFI_OP_TANH};
    double a[4] = {-2, 2, 0, -1}, z[4] = {1, 1, 1, 0}, lo[4] = {-1, -1, -1, 1},
           hi[4] = {3, 3, 3, 2};
    double bias[4] = {4, 4, 4, 4}, point;
    bfi_node_view v = {.activation = 1,
                       .op = &relu,
                       .n = 4,
                       .stride = 1,
                       .dtype = BFI_F64,
                       .a = a,
                       .z = z,
                       .lo = lo,
                       .hi = hi,
                       .bias = bias};
    /* slope 3/4: max(-8 * -1/4, -8 * 3/4) = 2, intercept -2 * 3/4 */
    assert_true(bfi_rule_babsr.score(&v, 0, -1, 3) == 0.5);
    assert_true(bfi_rule_babsr.score(&v, 1, -1, 3) == 6);
    assert_true(bfi_rule_intercept.score(&v, 0, -1, 3) == 1.5);
    assert_true(bfi_rule_intercept.score(&v, 1, -1, 3) == 0);
    assert_true(bfi_rule_gap.score(&v, 0, -1, 3) == 1); /* 2 * (3/4 * 2 - 1) */
    bfi_rankings r = {0};
    bf_split split = {1, 1, 1, 0};
    bfi_branch_rank(&v, &split, 1, &r);
    bfi_candidate found[BFI_RANKINGS];
    int count = bfi_branch_merge(&r, found);
    assert_int_equal(count, 2); /* neuron 1 is split, neuron 3 stable */
    assert_int_equal(found[0].decision.index, 0);
    assert_int_equal(found[1].decision.index, 2);
    assert_true(found[0].decision.activation == 1 && found[0].decision.point == 0);
    v.op = &tanh_op;
    assert_true(bfi_branch_point(&v, 0, -1, 3, &point) && point == 1);
    z[0] = 3;
    assert_true(bfi_branch_point(&v, 0, -1, 2, &point) && point == 0.5);
    assert_false(bfi_branch_point(&v, 0, 1, 1, &point));
    double low[3] = {0, 1, 1}, high[3] = {9, 1, 2};
    assert_int_equal(bfi_branch_choose(3, low, high), 2);
}

/* From a file: only what was packed for such a lane, with weights of something. */
static void check_valid(const bfi_lane_state *in, bfi_state_bytes *bytes) {
    assert_true(bfi_lane_state_valid(bytes->data, bytes->size, in->mixed, 10));
    assert_false(bfi_lane_state_valid(bytes->data, bytes->size, in->mixed + 1, 10));
    assert_false(bfi_lane_state_valid(bytes->data, bytes->size - 1, in->mixed, 10));
    bfi_lane_state bad = *in;
    const float none[3] = {0, 0, 0}, less[3] = {1, -1, 1};
    for (int how = 0; how < 2 && in->mixed > 0; how++) {
        bad.weights = how ? none : less;
        assert_int_equal(bfi_lane_state_pack(&bad, 10, bytes, NULL), BF_STATUS_OK);
        assert_false(bfi_lane_state_valid(bytes->data, bytes->size, in->mixed, 10));
    }
}

/* States come back as they were packed. */
static void test_state(void **unused) {
    (void)unused;
    bfi_state_bytes bytes = {0};
    for (int i = 0; i < 200; i++) {
        float multipliers[4], weights[] = {0, 0.25f, 0.75f};
        uint8_t slopes[10];
        bfi_candidate candidates[5];
        for (int k = 0; k < 4; k++) multipliers[k] = (float)net_uniform();
        for (int k = 0; k < 10; k++) slopes[k] = (uint8_t)kit_int(0, 255);
        for (int k = 0; k < 5; k++)
            candidates[k] = (bfi_candidate){{k, (int32_t)kit_int(0, 99), 0.5}, net_uniform()};
        bfi_lane_state in = {.mixed = kit_int(0, 1) ? 3 : 0,
                             .splits = (int32_t)kit_int(0, 4),
                             .count = (int32_t)kit_int(0, 5),
                             .lower = net_uniform(),
                             .error = net_uniform(),
                             .candidates = candidates,
                             .multipliers = multipliers,
                             .weights = weights,
                             .slopes = kit_int(0, 1) ? slopes : NULL};
        bfi_lane_state out;
        assert_int_equal(bfi_lane_state_pack(&in, 10, &bytes, NULL), BF_STATUS_OK);
        assert_true(bfi_lane_state_unpack(bytes.data, &out));
        assert_true(out.mixed == in.mixed && out.splits == in.splits && out.count == in.count);
        assert_true(out.lower == in.lower && out.error == in.error);
        assert_memory_equal(out.weights, weights, (size_t)in.mixed * sizeof *weights);
        assert_memory_equal(out.candidates, candidates, (size_t)in.count * sizeof *candidates);
        assert_memory_equal(out.multipliers, multipliers, (size_t)in.splits * sizeof *multipliers);
        assert_int_equal(out.slopes != NULL, in.slopes != NULL);
        if (in.slopes) assert_memory_equal(out.slopes, slopes, 10);
        check_valid(&in, &bytes);
    }
    bfi_lane_state none;
    assert_false(bfi_lane_state_unpack(NULL, &none));
    free(bytes.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees),         cmocka_unit_test(test_needs_splits),
        cmocka_unit_test(test_conjunctions),   cmocka_unit_test(test_pools),
        cmocka_unit_test(test_without_memory), cmocka_unit_test(test_stops),
        cmocka_unit_test(test_rules),          cmocka_unit_test(test_state)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
