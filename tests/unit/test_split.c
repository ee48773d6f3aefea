/* Split constraints: bounds of a split box hold at its points that satisfy the splits, the children
 * of a split cover their parent, and a box without such points is found empty, never another. */
#include "bounds_kit.h"
#include "ir/evaluate.h"
#include "op_cases.h"

enum { MOST_SPLITS = 4, CHILDREN = 1 << MOST_SPLITS, POINTS = 30, MOST_INPUTS = 4096 };

#define EVALUATOR_SLACK 1e-11 /* as in test_containment.c */

/* A box, some neurons of it split, and every way to decide them: child c has bit k where neuron k
 * is above its point. */
typedef struct tree {
    const bfi_graph *graph;
    bf_model *model;
    kit_engine engine;
    int64_t inputs, outputs;
    double *lo, *hi; /* of all children */
    int count;       /* of splits */
    bf_split splits[CHILDREN * MOST_SPLITS];
    int layer[MOST_SPLITS];
    int64_t first[CHILDREN + 1];
    double *lower, *upper;
} tree;

static int children(const tree *t) { return 1 << t->count; }

/* Splits at zero, or at the value of a point of the box. */
static void choose_splits(tree *t) {
    double **values, x[MOST_INPUTS];
    net_point(t->inputs, t->lo, t->hi, x);
    assert_int_equal(bfi_evaluate(t->graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL), 0);
    bf_split chosen[MOST_SPLITS];
    for (int tries = 0; tries < 40 && t->count < MOST_SPLITS; tries++) {
        int activation = (int)kit_int(0, bf_plan_activation_count(t->engine.plan) - 1);
        bf_activation_info info = bf_plan_activation(t->engine.plan, activation);
        assert_non_null(info.name);
        if (info.layer < 0) continue;
        assert_int_equal(info.neurons, bf_model_layer(t->model, info.layer).count);
        int64_t neuron = kit_int(0, info.neurons - 1);
        double at = values[info.layer][neuron];
        if (!isfinite(at)) continue;
        t->layer[t->count] = info.layer;
        chosen[t->count++] = (bf_split){activation, neuron, 1, kit_int(0, 1) ? at : 0};
    }
    bfi_evaluation_free(t->graph, values);
    int64_t n = 0;
    for (int c = 0; c < children(t); c++) {
        t->first[c] = n;
        for (int k = 0; k < t->count; k++, n++) {
            t->splits[n] = chosen[k];
            t->splits[n].sign = c >> k & 1 ? 1 : -1;
        }
    }
    t->first[children(t)] = n;
}

static tree plant(bfi_graph *graph, bf_options o) {
    tree t = {.graph = graph, .model = net_model(graph)};
    t.inputs = graph->nodes[0].count, t.outputs = graph->nodes[graph->output].count;
    assert_in_range(t.inputs, 1, MOST_INPUTS);
    o.batch = kit_int(1, CHILDREN);
    t.engine = kit_engine_new((int)kit_int(1, 2), t.model, o);
    t.lo = calloc((size_t)(CHILDREN * t.inputs), 8),
    t.hi = calloc((size_t)(CHILDREN * t.inputs), 8);
    t.lower = calloc((size_t)(2 * CHILDREN * t.outputs), 8);
    t.upper = t.lower + CHILDREN * t.outputs;
    net_box(NET_PLAIN, t.inputs, t.lo, t.hi);
    for (int64_t i = t.inputs; i < CHILDREN * t.inputs; i++)
        t.lo[i] = t.lo[i - t.inputs], t.hi[i] = t.hi[i - t.inputs];
    if (bf_plan_activation_count(t.engine.plan) > 0) choose_splits(&t);
    return t;
}

static void fell(tree *t) {
    kit_engine_free(&t->engine);
    bf_model_free(t->model);
    free(t->lo), free(t->hi), free(t->lower);
}

static bf_request request_of(const tree *t) {
    return (bf_request){.lo = t->lo,
                        .hi = t->hi,
                        .boxes = children(t),
                        .splits = t->splits,
                        .first_split = t->first,
                        .lower = t->lower,
                        .upper = t->upper};
}

static void run(const tree *t, const bf_request *q) {
    bf_error err = {""};
    if (bf_bounds_run(t->engine.plan, t->engine.ws, q, &err)) fail_msg("%s", err.message);
}

static double largest(const bfi_graph *graph, double **values) {
    double most = 1;
    for (int id = 0; id < graph->count; id++)
        for (int64_t j = 0; j < graph->nodes[id].count; j++)
            if (isfinite(values[id][j])) most = fmax(most, fabs(values[id][j]));
    return most;
}

/* The child whose splits the point satisfies; -1 where it is too close to one to say. */
static int child_of(const tree *t, double **values, double slack) {
    int child = 0;
    for (int k = 0; k < t->count; k++) {
        double z = values[t->layer[k]][t->splits[k].neuron], at = t->splits[k].point;
        if (!(fabs(z - at) > slack)) return -1;
        child |= (z > at) << k;
    }
    return child;
}

static void check_layers(const tree *t, int child, double **values, double slack) {
    static double lower[1 << 16], upper[1 << 16];
    for (int id = 0; id < t->graph->count; id++) {
        int64_t n = t->graph->nodes[id].count;
        assert_in_range(n, 1, 1 << 16);
        if (!bf_workspace_box_layer(t->engine.plan, t->engine.ws, child, id, lower, upper))
            continue;
        for (int64_t j = 0; j < n; j++)
            if (isfinite(values[id][j]))
                assert_true(values[id][j] >= lower[j] - slack && values[id][j] <= upper[j] + slack);
    }
}

static void check_points(const tree *t, const char *what) {
    double x[MOST_INPUTS];
    for (int i = 0; i < POINTS; i++) {
        double **values;
        net_point(t->inputs, t->lo, t->hi, x);
        assert_int_equal(bfi_evaluate(t->graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL), 0);
        double slack = EVALUATOR_SLACK * largest(t->graph, values);
        int child = child_of(t, values, slack);
        for (int64_t j = 0; child >= 0 && j < t->outputs; j++) {
            double y = values[t->graph->output][j];
            const double *l = t->lower + child * t->outputs, *u = t->upper + child * t->outputs;
            if (isfinite(y) && !(y >= l[j] - slack && y <= u[j] + slack))
                fail_msg("%s: child %d of %d: output %d is %.17g outside [%.17g, %.17g]", what,
                         child, children(t), (int)j, y, l[j], u[j]);
        }
        if (child >= 0) check_layers(t, child, values, slack);
        bfi_evaluation_free(t->graph, values);
    }
}

/* Every child alone gets the same bits. */
static void check_alone(const tree *t) {
    double lower[1024], upper[1024];
    assert_in_range(t->outputs, 1, 1024);
    for (int c = 0; c < children(t); c++) {
        bf_request q = request_of(t);
        q.boxes = 1, q.lower = lower, q.upper = upper, q.first_split = t->first + c;
        run(t, &q);
        size_t bytes = (size_t)t->outputs * sizeof *lower;
        assert_memory_equal(lower, t->lower + c * t->outputs, bytes);
        assert_memory_equal(upper, t->upper + c * t->outputs, bytes);
    }
}

static void check_tree(const char *what, bfi_graph *graph, bf_options o) {
    tree t = plant(graph, o);
    bf_request q = request_of(&t);
    run(&t, &q);
    check_points(&t, what);
    check_alone(&t);
    fell(&t);
}

static void every_op(void **state) {
    (void)state;
    int setting = 0;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++) {
        if (!strcmp(op_cases[c].name, "random")) continue;
        for (int v = 0; v < 6 * op_cases[c].variants; v++, setting++) {
            bf_options o = kit_setting(setting % KIT_SETTINGS);
            o.keep_layers = setting % 5 == 0;
            o.simplify = setting % 3 != 0;
            o.all_neurons = setting % 7 == 0;
            o.semantics = setting % 4 == 3 ? BF_SEMANTICS_FLOAT32 : BF_SEMANTICS_REAL;
            check_tree(op_cases[c].name, op_cases[c].build(v % op_cases[c].variants), o);
        }
    }
}

static void random_networks(void **state) {
    (void)state;
    for (int i = 0; i < 400; i++) {
        bf_options o = kit_setting(i % KIT_SETTINGS);
        o.simplify = i % 3 != 0;
        check_tree("random", i % 2 ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN), o);
    }
}

/* y = relu(x) on [-1, 2], split at zero: bounds are those of the two lines. */
static bfi_graph *one_relu(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    graph->output = net_same(graph, BFI_OP_RELU, 0, -1);
    kit_validate(graph);
    return graph;
}

static void known_values(void **state) {
    (void)state;
    bf_model *model = net_model(one_relu());
    bf_options o = bf_options_default();
    o.intersect = 1;
    kit_engine e = kit_engine_new(1, model, o);
    assert_int_equal(bf_plan_activation_count(e.plan), 1);
    assert_int_equal(bf_plan_activation(e.plan, 0).layer, 0);
    assert_int_equal(bf_plan_activation(e.plan, 1).layer, -1);
    assert_null(bf_plan_activation(e.plan, 1).name);
    const double lo[5] = {-1, -1, -1, -1, -1}, hi[5] = {2, 2, 2, 2, 2};
    const bf_split splits[] = {
        {0, 0, -1, 0}, {0, 0, 1, 0}, {0, 0, 1, 3}, {0, 0, 1, 0.5}, {0, 0, -1, 1.5}};
    const int64_t first[] = {0, 1, 2,
                             3, 3, 5}; /* negative, positive, empty, whole, a middle part */
    const double want_lower[] = {0, 0, INFINITY, 0, 0.5}, want_upper[] = {0, 2, -INFINITY, 2, 1.5};
    double lower[5], upper[5];
    bf_request q = {.lo = lo,
                    .hi = hi,
                    .boxes = 5,
                    .splits = splits,
                    .first_split = first,
                    .lower = lower,
                    .upper = upper};
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
    for (int i = 0; i < 5; i++) {
        assert_true(lower[i] <= want_lower[i] && upper[i] >= want_upper[i]);
        assert_true(lower[i] >= want_lower[i] - 1e-5 && upper[i] <= want_upper[i] + 1e-5);
    }
    kit_engine_free(&e);
    bf_model_free(model);
}

static void refused(void **state) {
    (void)state;
    bf_model *model = net_model(one_relu());
    kit_engine e = kit_engine_new(1, model, bf_options_default());
    const double lo[1] = {-1}, hi[1] = {2};
    double lower[1];
    static const bf_split bad[] = {{1, 0, 1, 0}, {-1, 0, 1, 0}, {0, 1, 1, 0},
                                   {0, 0, 0, 0}, {0, 0, 2, 0},  {0, 0, 1, INFINITY}};
    const int64_t one[] = {0, 1}, descending[] = {1, 0};
    bf_error err;
    bf_request q = {.lo = lo, .hi = hi, .lower = lower, .splits = bad};
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "first_split"));
    q.first_split = descending;
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    q.first_split = one;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        q.splits = bad + i;
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "split 0: "));
    }
    kit_engine_free(&e);
    bf_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op),
                                       cmocka_unit_test(random_networks),
                                       cmocka_unit_test(known_values), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
