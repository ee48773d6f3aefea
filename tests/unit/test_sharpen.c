/* Hidden bounds by small searches: they hold in exact arithmetic, are never looser than the root's,
 * come near the true range of a neuron that no relaxation shows, are the same whatever the threads,
 * and are made where that pays. */
#include "bounds_kit.h"
#include "exact.h"
#include "ir/evaluate.h"
#include "op_cases.h"
#include "runtime/nodes.h"
#include "runtime/rebase.h"
#include "verify/bab/sharpen.h"

enum { MAX_IN = 128, MAX_OUT = 1024, POINTS = 60, INPUTS = 2 };

typedef struct sharp_case {
    bfi_graph *graph;
    bf_model *model;
    kit_engine engine;
    int64_t inputs;
    double lo[MAX_IN], hi[MAX_IN];
    bfi_root root;
    bfi_bases bases;
    bfi_sharpening sharpening;
    bfi_sharpen_request request;
    int64_t reported;
} sharp_case;

static bf_options sharp_options(bf_dtype dtype, bf_semantics semantics, int intersect) {
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    o.dtype = dtype;
    o.semantics = semantics;
    o.iterations = 3;
    o.intermediate = BF_INTERMEDIATE_FIXED;
    o.intersect = intersect;
    o.keep_layers = 1, o.batch = 2;
    return o;
}

static void report(void *user, int64_t nodes) { ((sharp_case *)user)->reported += nodes; }

/* False: the root leaves nothing to search for. */
static bool plant(sharp_case *c, bfi_graph *graph, bf_options o, int threads) {
    static double spec[MAX_OUT];
    double lower;
    c->graph = graph, c->model = net_model(graph);
    int64_t outputs = graph->nodes[graph->output].count;
    assert_true(c->inputs <= MAX_IN && outputs <= MAX_OUT);
    for (int64_t i = 0; i < outputs; i++) spec[i] = net_uniform();
    c->engine = kit_engine_new(threads, c->model, o);
    kit_bounds(&c->engine, c->lo, c->hi, spec, 1, &lower, NULL);
    c->root = (bfi_root){.plan = c->engine.plan,
                         .ws = c->engine.ws,
                         .slope_bytes = bfi_nodes_slope_bytes(c->engine.plan),
                         .lane_flops = 1};
    bfi_bases_clear(&c->bases);
    c->bases.node_flops = 1;
    bfi_sharpening_clear(&c->sharpening);
    c->request = (bfi_sharpen_request){
        .root = &c->root, .bases = &c->bases, .outputs = outputs, .report = report, .user = c};
    return c->engine.ws->choose && bfi_nodes_possible(c->engine.plan);
}

static void fell(sharp_case *c) {
    bfi_bases_clear(&c->bases);
    kit_engine_free(&c->engine);
    bf_model_free(c->model);
}

static void sharpen(sharp_case *c) {
    bf_error err = {""};
    if (bfi_sharpening_run(&c->sharpening, &c->request, &err)) fail_msg("%s", err.message);
    assert_int_equal(c->bases.ground, BFI_GROUND);
}

static const double *interval(const sharp_case *c, int64_t box, int activation, bool low) {
    const bfi_value_state *state = &c->engine.plan->state[c->engine.plan->split_values[activation]];
    return bfi_ws_doubles(c->engine.ws, box, low ? state->lo : state->hi);
}

/* Neurons that are better bounded than on the root; none may be worse. */
static int count_tightened(const sharp_case *c) {
    int tightened = 0;
    for (int a = 0; a < c->engine.plan->split_count; a++) {
        const double *lo = interval(c, BFI_GROUND, a, true),
                     *hi = interval(c, BFI_GROUND, a, false), *root_lo = interval(c, 0, a, true),
                     *root_hi = interval(c, 0, a, false);
        for (int64_t j = 0; j < bf_plan_activation(c->engine.plan, a).neurons; j++) {
            assert_true(lo[j] >= root_lo[j] && hi[j] <= root_hi[j]);
            tightened += lo[j] > root_lo[j] || hi[j] < root_hi[j];
        }
    }
    return tightened;
}

static void check_point(const sharp_case *c, const exact_values *at) {
    assert_false(bfi_ws_infeasible(c->engine.ws, BFI_GROUND));
    for (int a = 0; a < c->engine.plan->split_count; a++) {
        bf_activation_info info = bf_plan_activation(c->engine.plan, a);
        const double *lo = interval(c, BFI_GROUND, a, true),
                     *hi = interval(c, BFI_GROUND, a, false);
        for (int64_t j = 0; info.layer >= 0 && j < info.neurons; j++) {
            bool below = isfinite(lo[j]) && !exact_at_least(&at->lo[info.layer][j], lo[j]),
                 above = isfinite(hi[j]) && !exact_at_most(&at->lo[info.layer][j], hi[j]);
            if (below || above)
                fail_msg("activation %d, neuron %lld is outside [%a, %a]", a, (long long)j, lo[j],
                         hi[j]);
        }
    }
}

static int check_exactly(const sharp_case *c) {
    double x[MAX_IN];
    exact_values at = exact_values_new(c->graph);
    for (int i = 0; i < POINTS; i++) {
        net_point(c->inputs, c->lo, c->hi, x);
        for (int64_t k = 0; k < c->inputs; k++) x[k] = fmin(fmax(x[k], c->lo[k]), c->hi[k]);
        exact_evaluate(c->graph, x, x, &at);
        check_point(c, &at);
    }
    exact_values_free(c->graph, &at);
    return POINTS;
}

static bool plant_net(sharp_case *c, int i, int threads, bf_semantics semantics) {
    net_style style = (net_style)(i % NET_STYLES);
    bfi_graph *graph = i % 4 == 3   ? case_residual(i / 4 % 2)
                       : i % 4 == 1 ? net_conv(style)
                                    : net_mlp(style);
    c->inputs = graph->nodes[0].count;
    net_box(style, c->inputs, c->lo, c->hi);
    return plant(c, graph, sharp_options((bf_dtype)(i / 3 % 2), semantics, i / 2 % 2), threads);
}

static bool plant_random(sharp_case *c, int i, int threads) {
    return plant_net(c, i, threads, BF_SEMANTICS_REAL);
}

static void test_holds(void **state) {
    (void)state;
    static sharp_case c;
    int points = 0, tightened = 0, planted = 0;
    for (int i = 0; i < 240; i++) {
        kit_seed((unsigned)i + 1);
        if (plant_random(&c, i, 1 + i % 2)) {
            planted++;
            for (int times = 0; times < 2; times++) {
                sharpen(&c);
                points += check_exactly(&c);
            }
            tightened += count_tightened(&c);
        }
        fell(&c);
    }
    print_message("%d points in %d nets, %d neurons tightened\n", points, planted, tightened);
    assert_true(planted > 60 && tightened > 500);
}

/* With float32 semantics bounds hold for what a float32 evaluation has there, rounding and all. */
static void test_holds_in_float32(void **state) {
    (void)state;
    static sharp_case c;
    int points = 0, tightened = 0;
    for (int i = 0; i < 160; i++) {
        kit_seed((unsigned)i + 31);
        bool planted = plant_net(&c, i, 1, BF_SEMANTICS_FLOAT32);
        if (planted) sharpen(&c);
        if (planted) tightened += count_tightened(&c);
        for (int p = 0; p < POINTS && planted; p++) {
            double x[MAX_IN], **values;
            net_point(c.inputs, c.lo, c.hi, x);
            bool inside = true;
            for (int64_t k = 0; k < c.inputs; k++) {
                x[k] = (double)(float)x[k];
                inside = inside && x[k] >= c.lo[k] && x[k] <= c.hi[k];
            }
            if (!inside) continue;
            points++;
            assert_int_equal(bfi_evaluate(c.graph, BFI_EVAL_FLOAT32, x, NULL, &values, NULL), 0);
            for (int a = 0; a < c.engine.plan->split_count; a++) {
                bf_activation_info info = bf_plan_activation(c.engine.plan, a);
                for (int64_t j = 0; info.layer >= 0 && j < info.neurons; j++)
                    assert_true(!isfinite(values[info.layer][j]) /* overflow is no execution */ ||
                                (values[info.layer][j] >= interval(&c, BFI_GROUND, a, true)[j] &&
                                 values[info.layer][j] <= interval(&c, BFI_GROUND, a, false)[j]));
            }
            bfi_evaluation_free(c.graph, values);
        }
        fell(&c);
    }
    print_message("%d points, %d neurons tightened\n", points, tightened);
    assert_true(points > 1000 && tightened > 300);
}

static void test_same_bits(void **state) {
    (void)state;
    static sharp_case c[2];
    int compared = 0;
    for (int i = 0; i < 60; i++) {
        bool planted = false;
        for (int t = 0; t < 2; t++) {
            kit_seed((unsigned)i + 7);
            planted = plant_random(&c[t], i, t + 1);
            if (!planted) continue;
            sharpen(&c[t]);
            sharpen(&c[t]);
        }
        for (int a = 0; planted && a < c[0].engine.plan->split_count; a++)
            for (int low = 0; low < 2; low++)
                assert_memory_equal(
                    interval(&c[0], BFI_GROUND, a, low), interval(&c[1], BFI_GROUND, a, low),
                    (size_t)bf_plan_activation(c[0].engine.plan, a).neurons * sizeof(double));
        if (planted) assert_true(c[0].sharpening.spent == c[1].sharpening.spent);
        compared += planted;
        fell(&c[0]);
        fell(&c[1]);
    }
    assert_true(compared > 15);
}

/* A layer of |graph|: |n| neurons of |k| inputs. */
static int layer(bfi_graph *graph, int from, int64_t k, int64_t n, const double *weights,
                 const double *bias) {
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, from, -1, KIT_SHAPE(n));
    node->attrs.rows = 1, node->attrs.k = k, node->attrs.n = n;
    node->weight = net_numbers(NET_PLAIN, k * n);
    node->bias = net_numbers(NET_PLAIN, n);
    memcpy(node->weight.data, weights, (size_t)(k * n) * sizeof *weights);
    memcpy(node->bias.data, bias, (size_t)n * sizeof *bias);
    return graph->output;
}

/* z = |x_0 + x_1| + |x_0 - x_1| - |2 x_0| - 1/2 from -1/2 to 3/2 on [-1, 1]^2; a relaxation says
 * less. */
static bfi_graph *diamond(void) {
    static const double first[] = {1, 1, 1, -1, 2, 0}, none[3], second[] = {1, 1, -1},
                        shift[] = {-0.5}, last[] = {1};
    bfi_graph *graph = kit_graph(KIT_SHAPE(INPUTS));
    int a = layer(graph, 0, INPUTS, 3, first, none);
    a = net_same(graph, BFI_OP_ABS, a, -1);
    a = layer(graph, a, 3, 1, second, shift);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    layer(graph, a, 1, 1, last, none);
    kit_validate(graph);
    return graph;
}

static void plant_diamond(sharp_case *c, bf_semantics semantics) {
    kit_seed(3);
    c->inputs = INPUTS;
    for (int k = 0; k < INPUTS; k++) c->lo[k] = -1, c->hi[k] = 1;
    bool open = plant(c, diamond(), sharp_options(BF_DTYPE_FLOAT32, semantics, 1), 1);
    assert_true(open);
}

static void test_reaches(void **state) {
    (void)state;
    static sharp_case c;
    for (int semantics = 0; semantics < 2; semantics++) {
        plant_diamond(&c, (bf_semantics)semantics);
        double root_lo = interval(&c, 0, 1, true)[0], root_hi = interval(&c, 0, 1, false)[0];
        assert_true(root_lo < -2 && root_hi > 1.6);
        for (int times = 0; times < 3; times++) sharpen(&c);
        double lo = interval(&c, BFI_GROUND, 1, true)[0],
               hi = interval(&c, BFI_GROUND, 1, false)[0];
        if (!(lo <= -0.5 && lo > -1.3 && hi >= 1.5 && hi < 1.51)) fail_msg("[%a, %a]", lo, hi);
        assert_true(c.reported > 0);
        fell(&c);
    }
}

/* A net whose hidden bounds gain much by a few leaves. */
static void plant_gaining(sharp_case *c) {
    for (int i = 0; i < 100; i++) {
        for (int again = 0; again < 2; again++) {
            kit_seed((unsigned)i + 1);
            bool planted = plant_random(c, i, 1);
            if (planted && again) return;
            if (planted) sharpen(c);
            bool gains = planted && bfi_sharpening_gained(&c->sharpening);
            fell(c);
            if (!gains) break;
        }
    }
    fail_msg("no net gains");
}

/* It is due when the search has taken long, the next time later, and later still after a failure to
 * gain. */
static void test_due(void **state) {
    (void)state;
    static sharp_case c;
    plant_gaining(&c);
    assert_false(bfi_sharpening_due(&c.sharpening, &c.request));
    c.bases.work = 1e6;
    assert_true(bfi_sharpening_due(&c.sharpening, &c.request));
    c.request.memory = 1 << 10;
    assert_false(bfi_sharpening_due(&c.sharpening, &c.request));
    c.request.memory = 0;
    sharpen(&c);
    assert_true(c.sharpening.gain > 0.05 && c.sharpening.worth == 1 && c.sharpening.spent > 0);
    c.bases.work = c.sharpening.spent / 8;
    assert_false(bfi_sharpening_due(&c.sharpening, &c.request));
    while (c.sharpening.gain >= 0.05) sharpen(&c);
    assert_true(c.sharpening.worth < 1);
    c.bases.work = 1e3 * c.sharpening.spent;
    assert_true(bfi_sharpening_due(&c.sharpening, &c.request));
    c.sharpening.worth = 1e-6;
    assert_false(bfi_sharpening_due(&c.sharpening, &c.request));
    fell(&c);
}

static void test_repeats(void **state) {
    (void)state;
    static sharp_case c, d;
    bf_error err = {""};
    plant_diamond(&c, BF_SEMANTICS_REAL);
    plant_diamond(&d, BF_SEMANTICS_REAL);
    sharpen(&c);
    sharpen(&c);
    assert_int_equal(bfi_sharpening_repeat(&d.sharpening, &d.request, 0, &err), BF_STATUS_OK);
    assert_int_equal(d.bases.ground, 0);
    assert_int_equal(bfi_sharpening_repeat(&d.sharpening, &d.request, c.sharpening.leaves, &err),
                     BF_STATUS_OK);
    assert_int_equal(c.sharpening.leaves, d.sharpening.leaves);
    assert_memory_equal(interval(&c, BFI_GROUND, 1, true), interval(&d, BFI_GROUND, 1, true),
                        sizeof(double));
    fell(&c);
    fell(&d);
}

static void test_stops(void **state) {
    (void)state;
    static sharp_case c;
    bf_error err = {""};
    plant_diamond(&c, BF_SEMANTICS_REAL);
    c.request.deadline = bf_clock() - 1;
    assert_int_equal(bfi_sharpening_run(&c.sharpening, &c.request, &err), BF_STATUS_TIMEOUT);
    assert_int_equal(c.sharpening.leaves, 0);
    fell(&c);
}

/* Functions that bend: against float64 evaluation. */
static void test_curves(void **state) {
    (void)state;
    static const bfi_op ops[] = {BFI_OP_SIGMOID, BFI_OP_TANH, BFI_OP_SIN, BFI_OP_SQUARE};
    static sharp_case c;
    int tightened = 0;
    for (int i = 0; i < 48; i++) {
        kit_seed((unsigned)i + 1);
        bfi_graph *graph = kit_graph(KIT_SHAPE(4));
        int a = net_linear(graph, NET_PLAIN, 0, 1, 4, 6);
        a = net_linear(graph, NET_PLAIN, net_same(graph, ops[i % 4], a, -1), 1, 6, 5);
        a = net_linear(graph, NET_PLAIN, net_same(graph, i % 3 ? BFI_OP_TANH : BFI_OP_RELU, a, -1),
                       1, 5, 2);
        kit_validate(graph);
        c.inputs = 4;
        net_box(NET_PLAIN, 4, c.lo, c.hi);
        bool open = plant(&c, graph, sharp_options((bf_dtype)(i % 2), BF_SEMANTICS_REAL, i % 2), 1);
        if (open) {
            sharpen(&c);
            tightened += count_tightened(&c);
        }
        for (int p = 0; p < POINTS && open; p++) {
            double x[MAX_IN], **values;
            net_point(4, c.lo, c.hi, x);
            assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL), 0);
            for (int k = 0; k < c.engine.plan->split_count; k++) {
                bf_activation_info info = bf_plan_activation(c.engine.plan, k);
                for (int64_t j = 0; info.layer >= 0 && j < info.neurons; j++)
                    assert_true(
                        values[info.layer][j] >= interval(&c, BFI_GROUND, k, true)[j] - 1e-9 &&
                        values[info.layer][j] <= interval(&c, BFI_GROUND, k, false)[j] + 1e-9);
            }
            bfi_evaluation_free(graph, values);
        }
        fell(&c);
    }
    print_message("%d neurons tightened behind functions that bend\n", tightened);
    assert_true(tightened > 30);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds),     cmocka_unit_test(test_holds_in_float32),
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_reaches),
        cmocka_unit_test(test_due),       cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_stops),     cmocka_unit_test(test_curves)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
