/* Second-order terms of products: bounds hold against exact arithmetic and at points of smooth
 * networks, and are as tight as the terms make them. */
#include "bounds_kit.h"
#include "exact.h"
#include "ir/evaluate.h"
#include "plan/plan.h"

enum { MOST_INPUTS = 5, WIDTH = 4, POINTS = 6 };

/* Settings that keep second-order terms: method, dtype, executor. */
enum { SETTINGS = 8 };
static bf_options setting(int index) {
    bf_options o = bf_options_default();
    o.method = index & 1 ? BF_METHOD_CROWN : BF_METHOD_CROWN_IBP;
    o.dtype = index & 2 ? BF_DTYPE_FLOAT64 : BF_DTYPE_FLOAT32;
    o.executor = index & 4 ? BF_EXECUTOR_REFERENCE : BF_EXECUTOR_NATIVE;
    o.intersect = 1;
    return o;
}

static int curved_products(const bf_plan *plan) {
    int count = 0;
    for (int id = 0; id < plan->graph->count; id++) count += plan->curved[id];
    return count;
}

static bool is_one_of(bfi_op op, const bfi_op *ops, int count) {
    for (int i = 0; i < count; i++)
        if (ops[i] == op) return true;
    return false;
}

/* |products| products of values that |depth| ops of |ops| and linear layers make of few inputs. */
static bfi_graph *random_products(net_style style, const bfi_op *ops, int count, int depth,
                                  int products) {
    static const bfi_op binary[] = {BFI_OP_ADD, BFI_OP_SUB, BFI_OP_MUL, BFI_OP_DIV};
    int64_t n = kit_int(1, MOST_INPUTS);
    bfi_graph *graph = kit_graph(KIT_SHAPE(n));
    int a = net_linear(graph, style, 0, 1, n, WIDTH), first = a;
    for (int i = 0; i < depth; i++) {
        bfi_op op = ops[kit_int(0, count - 1)];
        if (kit_int(0, 1)) a = net_linear(graph, style, a, 1, WIDTH, WIDTH);
        int other = (int)kit_int(first, graph->count - 1);
        a = net_same(graph, op, a, is_one_of(op, binary, 4) ? other : -1);
        if (op == BFI_OP_LEAKY_RELU) graph->nodes[a].attrs.slope = 0.125;
        if (op == BFI_OP_CLIP) graph->nodes[a].attrs.lo = -0.5, graph->nodes[a].attrs.hi = 0.5;
    }
    for (int i = 0; i < products; i++)
        a = net_same(graph, BFI_OP_MUL, a, (int)kit_int(first, graph->count - 1));
    net_linear(graph, style, a, 1, WIDTH, 3);
    kit_validate(graph);
    return graph;
}

/* A box that is narrow half of the time: then second-order terms are what is left. */
static void random_box(net_style style, int64_t n, double *lo, double *hi) {
    net_box(style, n, lo, hi);
    double part = ldexp(1, -(int)kit_int(0, 12));
    for (int64_t i = 0; i < n && kit_int(0, 1); i++) hi[i] = lo[i] + (hi[i] - lo[i]) * part;
}

static void random_point(int64_t n, const double *lo, const double *hi, double *x) {
    net_point(n, lo, hi, x);
    for (int64_t i = 0; i < n && kit_int(0, 1); i++) x[i] = kit_int(0, 1) ? lo[i] : hi[i];
}

static int check_exactly(bfi_graph *graph, net_style style) {
    static exact row;
    int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
    double lo[MOST_INPUTS], hi[MOST_INPUTS], x[MOST_INPUTS], spec[3];
    double lower[SETTINGS][4], upper[SETTINGS][4];
    bf_model *model = net_model(graph);
    exact_values at = exact_values_new(graph);
    int curved = 0;
    random_box(style, n, lo, hi);
    for (int64_t j = 0; j < m; j++) spec[j] = net_uniform();
    for (int s = 0; s < SETTINGS; s++) {
        kit_engine e = kit_engine_new(1, model, setting(s));
        curved += curved_products(e.plan) > 0;
        kit_bounds(&e, lo, hi, NULL, 0, lower[s], upper[s]);
        kit_bounds(&e, lo, hi, spec, 1, lower[s] + m, upper[s] + m);
        kit_engine_free(&e);
    }
    for (int i = 0; i < POINTS; i++) {
        random_point(n, lo, hi, x);
        exact_evaluate(graph, x, x, &at);
        exact_set(&row, 0);
        for (int64_t j = 0; j < m; j++) exact_accumulate(&row, spec[j], &at.lo[graph->output][j]);
        for (int64_t j = 0; j <= m; j++)
            for (int s = 0; s < SETTINGS; s++) {
                const exact *value = j < m ? &at.lo[graph->output][j] : &row;
                if (!exact_at_least(value, lower[s][j]) || !exact_at_most(value, upper[s][j]))
                    fail_msg("style %d, setting %d: %s %d leaves [%a, %a]", style, s,
                             j < m ? "output" : "row", (int)j, lower[s][j], upper[s][j]);
            }
    }
    exact_values_free(graph, &at);
    bf_model_free(model);
    return curved;
}

static void hold_exactly(void **state) {
    (void)state;
    static const bfi_op ops[] = {BFI_OP_RELU, BFI_OP_LEAKY_RELU, BFI_OP_ABS, BFI_OP_MUL,
                                 BFI_OP_ADD,  BFI_OP_SUB,        BFI_OP_CLIP};
    int curved = 0, rounds = 900 / KIT_SAMPLE;
    for (int i = 0; i < rounds; i++) {
        net_style style = (net_style)(i % NET_STYLES);
        curved += check_exactly(
            random_products(style, ops, 7, (int)kit_int(0, 3), (int)kit_int(1, 2)), style);
    }
    assert_true(curved > rounds * SETTINGS / 2);
}

/* What bfi_evaluate may be off by, against the largest number of the network. */
#define EVALUATOR_SLACK 1e-11

static void check_sampled(bfi_graph *graph) {
    int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
    double lo[MOST_INPUTS], hi[MOST_INPUTS], x[MOST_INPUTS], lower[3], upper[3];
    bf_model *model = net_model(graph);
    random_box(NET_PLAIN, n, lo, hi);
    for (int s = 0; s < 4; s++) {
        kit_engine e = kit_engine_new(1, model, setting(s));
        kit_bounds(&e, lo, hi, NULL, 0, lower, upper);
        for (int i = 0; i < POINTS; i++) {
            double **values, most = 1;
            random_point(n, lo, hi, x);
            assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL),
                             BF_STATUS_OK);
            for (int id = 0; id < graph->count; id++)
                for (int64_t j = 0; j < graph->nodes[id].count; j++)
                    if (isfinite(values[id][j])) most = fmax(most, fabs(values[id][j]));
            for (int64_t j = 0; j < m; j++) {
                double y = values[graph->output][j], slack = EVALUATOR_SLACK * most;
                if (isfinite(y) && (y < lower[j] - slack || y > upper[j] + slack))
                    fail_msg("setting %d: output %d is %.17g outside [%.17g, %.17g]", s, (int)j, y,
                             lower[j], upper[j]);
            }
            bfi_evaluation_free(graph, values);
        }
        kit_engine_free(&e);
    }
    bf_model_free(model);
}

static void hold_at_points(void **state) {
    (void)state;
    static const bfi_op ops[] = {BFI_OP_SIN,  BFI_OP_COS,        BFI_OP_SIGMOID, BFI_OP_TANH,
                                 BFI_OP_EXP,  BFI_OP_SQUARE,     BFI_OP_SQRT,    BFI_OP_LOG,
                                 BFI_OP_DIV,  BFI_OP_RECIPROCAL, BFI_OP_MUL,     BFI_OP_CLIP,
                                 BFI_OP_RELU, BFI_OP_SUB};
    for (int i = 0; i < 3000 / KIT_SAMPLE; i++)
        check_sampled(random_products(NET_PLAIN, ops, 14, (int)kit_int(1, 5), (int)kit_int(1, 2)));
}

/* sum_i (A x)_i (B x)_i */
static bfi_graph *form_graph(int64_t n, const double *a, const double *b) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(n));
    int v = net_linear(graph, NET_PLAIN, 0, 1, n, n), w = net_linear(graph, NET_PLAIN, 0, 1, n, n);
    memcpy(graph->nodes[v].weight.data, a, (size_t)(n * n) * sizeof *a);
    memcpy(graph->nodes[w].weight.data, b, (size_t)(n * n) * sizeof *b);
    for (int64_t i = 0; i < n && graph->nodes[v].bias.count; i++) graph->nodes[v].bias.data[i] = 0;
    for (int64_t i = 0; i < n && graph->nodes[w].bias.count; i++) graph->nodes[w].bias.data[i] = 0;
    int sum = net_linear(graph, NET_PLAIN, net_same(graph, BFI_OP_MUL, v, w), 1, n, 1);
    for (int64_t i = 0; i < n; i++) graph->nodes[sum].weight.data[i] = 1;
    if (graph->nodes[sum].bias.count) graph->nodes[sum].bias.data[0] = 0;
    kit_validate(graph);
    return graph;
}

static void bound_form(bfi_graph *graph, bf_options o, const double *lo, const double *hi,
                       double *lower, double *upper) {
    bf_model *model = net_model(graph);
    kit_engine e = kit_engine_new(1, model, o);
    assert_int_equal(curved_products(e.plan), 1);
    kit_bounds(&e, lo, hi, NULL, 0, lower, upper);
    kit_engine_free(&e);
    bf_model_free(model);
}

/* x^T A^T B x, whose gradient keeps its signs over the box: the bounds are its values at two
 * corners. */
static void exact_where_monotone(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        int64_t n = kit_int(2, 4);
        double a[16], b[16], lo[4], hi[4], lower, upper;
        for (int64_t i = 0; i < n * n; i++) a[i] = net_uniform(), b[i] = net_uniform();
        double least = 0, most = 0, sum[16] = {0};
        for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < n * n; i++)
                sum[i] += a[k * n + i / n] * b[k * n + i % n] + a[k * n + i % n] * b[k * n + i / n];
        double middle[4], radius = 0.02;
        bool monotone = true;
        for (int64_t i = 0; i < n; i++) middle[i] = 1 + net_uniform() / 2;
        for (int64_t i = 0; i < n; i++) {
            double slope = 0, change = 0;
            for (int64_t j = 0; j < n; j++)
                slope += sum[i * n + j] * middle[j], change += fabs(sum[i * n + j]) * radius;
            monotone = monotone && fabs(slope) > 2 * change;
            lo[i] = middle[i] - (slope > 0 ? radius : -radius); /* the least corner */
            hi[i] = middle[i] + (slope > 0 ? radius : -radius);
        }
        for (int64_t i = 0; i < n * n; i++) {
            least += sum[i] * lo[i / n] * lo[i % n] / 2;
            most += sum[i] * hi[i / n] * hi[i % n] / 2;
        }
        for (int64_t i = 0; i < n; i++) {
            double x = fmin(lo[i], hi[i]), y = fmax(lo[i], hi[i]);
            lo[i] = x, hi[i] = y;
        }
        if (!monotone) continue;
        bound_form(form_graph(n, a, b), setting(3), lo, hi, &lower, &upper);
        assert_true(lower <= least && upper >= most);
        assert_true(least - lower < 1e-9 && upper - most < 1e-9);
    }
}

/* (x + y)(x - y) - (x x - y y) is zero: what cancels is nowhere bounded apart. */
static void terms_cancel(void **state) {
    (void)state;
    const double a[9] = {1, 1, 0, -1, 0, 0, 0, 1, 0}, b[9] = {1, -1, 0, 1, 0, 0, 0, 1, 0};
    const double lo[3] = {-1, 0.5, 0}, hi[3] = {2, 3, 1};
    double lower, upper;
    bound_form(form_graph(3, a, b), setting(3), lo, hi, &lower, &upper);
    assert_true(lower <= 0 && lower > -1e-9 && upper >= 0 && upper < 1e-9);
    bound_form(form_graph(3, a, b), setting(1), lo, hi, &lower, &upper);
    assert_true(lower <= 0 && lower > -1e-3 && upper >= 0 && upper < 1e-3);
}

/* (2^-280 x)^2 + 2^-560 x on [-1, 1] is -2^-562 at x = -1/2: squares of such numbers underflow. */
static void tiny_terms_count(void **state) {
    (void)state;
    const double lo[1] = {-1}, hi[1] = {1};
    double lower, upper;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    int v = net_linear(graph, NET_PLAIN, 0, 1, 1, 1), w = net_linear(graph, NET_PLAIN, 0, 1, 1, 1);
    graph->nodes[v].weight.data[0] = 0x1p-280, graph->nodes[w].weight.data[0] = 0x1p-560;
    if (graph->nodes[v].bias.count) graph->nodes[v].bias.data[0] = 0;
    if (graph->nodes[w].bias.count) graph->nodes[w].bias.data[0] = 0;
    net_same(graph, BFI_OP_ADD, net_same(graph, BFI_OP_MUL, v, v), w);
    kit_validate(graph);
    bound_form(graph, setting(3), lo, hi, &lower, &upper);
    assert_true(lower <= -0x1p-562 && lower > -0x1p-561);
    assert_true(upper >= 0x1p-559 && upper < 0x1p-558);
}

/* Many inputs, textbook bounds, float32 execution and optimised slopes do without. */
static void only_where_wanted(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        int64_t n = i == 0 ? 17 : 3;
        bfi_graph *graph = kit_graph(KIT_SHAPE(n));
        net_same(graph, BFI_OP_MUL, net_linear(graph, NET_PLAIN, 0, 1, n, n), 0);
        kit_validate(graph);
        bf_model *model = net_model(graph);
        bf_options o = setting(1);
        if (i == 1) o.intersect = 0;
        if (i == 2) o.semantics = BF_SEMANTICS_FLOAT32;
        if (i == 3) o.method = BF_METHOD_ALPHA_CROWN;
        kit_engine e = kit_engine_new(1, model, o);
        assert_int_equal(curved_products(e.plan), i == 4);
        assert_int_equal(e.plan->moments, i == 4 ? 6 : 0);
        kit_engine_free(&e);
        bf_model_free(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hold_exactly),         cmocka_unit_test(hold_at_points),
        cmocka_unit_test(exact_where_monotone), cmocka_unit_test(terms_cancel),
        cmocka_unit_test(tiny_terms_count),     cmocka_unit_test(only_where_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
