/* verify/attack: what has to be found is found, nothing is invented, and the same seed gives the
 * same bits. On the public instances when they are there (BOUNDFLOW_DATA or ../shared/data). */
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "frontend/onnx.h"
#include "graph_kit.h"
#include "ir/evaluate.h"
#include "verify/attack/attack.h"
#include "verify/attack/objective.h"

static bf_property *parse(const char *text) {
    bf_property *property;
    bf_error err = {""};
    if (bf_property_parse(text, strlen(text), "test", &property, &err) != BF_STATUS_OK)
        fail_msg("%s", err.message);
    return property;
}

/* Declarations of |n| inputs in [lo, hi] and |m| outputs, then |assertion|. */
static bf_property *property_of(int n, int m, const char *lo, const char *hi,
                                const char *assertion) {
    static char text[1 << 16];
    size_t at = 0;
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "(declare-const X_%d Real)\n", i);
    for (int i = 0; i < m; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "(declare-const Y_%d Real)\n", i);
    for (int i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at,
                               "(assert (>= X_%d %s))\n(assert (<= X_%d %s))\n", i, lo, i, hi);
    at += (size_t)snprintf(text + at, sizeof text - at, "%s\n", assertion);
    assert_true(at < sizeof text);
    return parse(text);
}

static bfi_node *add_linear(bfi_graph *graph, int64_t n) {
    int64_t k = graph->nodes[graph->output].count;
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, graph->output, -1, KIT_SHAPE(1, n));
    node->attrs.rows = 1;
    node->attrs.k = k;
    node->attrs.n = n;
    node->weight = kit_numbers(NULL, n * k);
    node->bias = kit_numbers(NULL, n);
    return node;
}

/* Random fully connected net with relus, |n| inputs and |m| outputs. */
static bfi_graph *random_net(int64_t n, int64_t hidden, int64_t m) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, n));
    add_linear(graph, hidden);
    kit_add(graph, BFI_OP_RELU, graph->output, -1, KIT_SHAPE(1, hidden));
    add_linear(graph, m);
    kit_validate(graph);
    return graph;
}

typedef struct outcome {
    bf_status status;
    bool found;
    bfi_witness witness;
} outcome;

static const bfi_attack_options usual = {64, 50, 1, BF_SEMANTICS_REAL};

/* Attacks every case until one falls. */
static outcome attack(const bfi_graph *graph, const bf_property *property, const char *isa,
                      const bfi_attack_options *options, const bfi_budget *budget) {
    outcome out = {.status = BF_STATUS_OK};
    bfi_attack *a;
    bf_error err = {""};
    if (bfi_attack_create(graph, 64, isa, &a, &err) != BF_STATUS_OK) fail_msg("%s", err.message);
    for (int32_t c = 0; c < property->count && out.status == BF_STATUS_OK && !out.found; c++)
        out.status =
            bfi_attack_case(a, property, c, options, budget, &out.found, &out.witness, &err);
    bfi_attack_free(a);
    return out;
}

/* Expects a witness (checked once more) or none, and frees everything. */
static void expect(bfi_graph *graph, bf_property *property, bool found) {
    bfi_budget none = {0};
    outcome out = attack(graph, property, NULL, &usual, &none);
    assert_int_equal(out.status, BF_STATUS_OK);
    assert_int_equal(out.found, found);
    if (found) {
        const bf_case *c = &property->cases[out.witness.case_index];
        for (int64_t i = 0; i < property->n_in; i++) {
            assert_true(out.witness.x[i] == (double)(float)out.witness.x[i]);
            bool fixed =
                c->lo_inner[i] >= c->hi_inner[i]; /* perhaps to a decimal no float equals */
            assert_true((fixed && out.witness.x[i] == (double)(float)c->lo[i]) ||
                        (out.witness.x[i] >= c->lo[i] && out.witness.x[i] <= c->hi[i]));
        }
        assert_true(out.witness.disjunct >= 0 && out.witness.disjunct < c->count);
        bfi_witness_clear(&out.witness);
    }
    bfi_graph_free(graph);
    bf_property_free(property);
}

/* One linear output: only one corner of 2^20 reaches its minimum. */
static void finds_the_one_corner(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 20));
    const bfi_node *node = add_linear(graph, 1);
    double least = node->bias.data[0];
    char text[80];
    for (int i = 0; i < 20; i++) least -= fabs(node->weight.data[i]);
    snprintf(text, sizeof text, "(assert (<= Y_0 %.17g))", least);
    expect(graph, property_of(20, 1, "-1", "1", text), true);
}

static void invents_nothing(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 20));
    const bfi_node *node = add_linear(graph, 1);
    double least = node->bias.data[0];
    char text[80];
    for (int i = 0; i < 20; i++) least -= fabs(node->weight.data[i]);
    snprintf(text, sizeof text, "(assert (<= Y_0 %.17g))", nextafter(least, -INFINITY));
    expect(graph, property_of(20, 1, "-1", "1", text), false);
}

static void boundary_counts_unless_strict(void **state) {
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(1, 2));
        kit_add(graph, BFI_OP_RELU, 0, -1, KIT_SHAPE(1, 2));
        const char *text = strict ? "(assert (< Y_0 0))" : "(assert (<= Y_0 0))";
        expect(graph, property_of(2, 2, "-1", "1", text), !strict);
    }
}

/* 300 disjuncts, all but one out of reach. */
static void finds_the_one_disjunct(void **state) {
    (void)state;
    static char text[1 << 15];
    size_t at = (size_t)snprintf(text, sizeof text, "(assert (or");
    for (int d = 0; d < 300; d++)
        at += (size_t)snprintf(
            text + at, sizeof text - at,
            d == 217 ? " (and (>= Y_2 7.25) (<= Y_0 -2.5))" : " (and (>= Y_%d 9) (<= Y_%d -8.5))",
            d % 3, d % 2);
    snprintf(text + at, sizeof text - at, "))");
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 3));
    bfi_node *node = kit_add(graph, BFI_OP_SCALE_SHIFT, 0, -1, KIT_SHAPE(1, 3));
    node->weight = kit_numbers((double[]){4, 4, 8}, 3);
    expect(graph, property_of(3, 3, "-1", "1", text), true);
}

/* Rows over inputs too: y0 = 10 (x0 + x1) small although x0 is large, and equality. */
static void follows_rows_over_inputs(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 2));
    bfi_node *node = add_linear(graph, 1);
    node->weight.data[0] = node->weight.data[1] = 10;
    node->bias.data[0] = 0;
    expect(
        graph,
        property_of(2, 1, "-1", "1", "(assert (<= Y_0 0.5))(assert (>= (+ X_0 (* -1.0 X_1)) 1.9))"),
        true);
}

/* Cases of their own boxes, inputs fixed to decimals; only the last case can fall. */
static void attacks_every_case(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 2));
    kit_add(graph, BFI_OP_SQUARE, 0, -1, KIT_SHAPE(1, 2));
    expect(graph,
           parse("(declare-const X_0 Real)(declare-const X_1 Real)"
                 "(declare-const Y_0 Real)(declare-const Y_1 Real)"
                 "(assert (or (and (= X_0 0.1) (>= X_1 0) (<= X_1 0.5) (>= Y_1 0.3))"
                 "(and (>= X_0 0.25) (<= X_0 0.75) (= X_1 0.3) (>= Y_1 0.3))"
                 "(and (>= X_0 0.25) (<= X_0 0.75) (= X_1 0.6) (>= Y_1 0.3) (>= Y_0 0.5))))"),
           true);
}

/* Every relu is off on most of the box, where the true gradient is zero. */
static void leaves_plateaus(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 60));
    bfi_node *node = add_linear(graph, 1);
    for (int i = 0; i < 60; i++) node->weight.data[i] = i % 3 ? 1 : -1;
    node->bias.data[0] = -50;
    kit_add(graph, BFI_OP_RELU, 1, -1, KIT_SHAPE(1, 1));
    expect(graph, property_of(60, 1, "-1", "1", "(assert (>= Y_0 2))"), true);
}

static void random_nets_fall_where_sampling_says(void **state) {
    (void)state;
    for (int round = 0; round < 10; round++) {
        bfi_graph *graph = random_net(8, 40, 3);
        double x[8], y[3], least = INFINITY;
        char text[80];
        for (int i = 0; i < 2000; i++) {
            for (int j = 0; j < 8; j++) x[j] = (double)kit_int(-64, 64) / 64;
            assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, y, NULL, NULL), BF_STATUS_OK);
            least = fmin(least, y[0] - y[1]);
        }
        snprintf(text, sizeof text, "(assert (<= (+ Y_0 (* -1.0 Y_1)) %.9g))", least);
        expect(graph, property_of(8, 3, "-1", "1", text), true);
    }
}

static void same_seed_same_witness(void **state) {
    (void)state;
    const char *const tables[] = {NULL, NULL, "ref"};
    bfi_graph *graph = random_net(30, 64, 4);
    bf_property *property = property_of(
        30, 4, "-1", "1", "(assert (or (<= Y_0 -100) (and (<= Y_1 -90.5) (<= Y_2 40))))");
    outcome first = {0};
    bfi_budget none = {0};
    for (int i = 0; i < 3; i++) {
        outcome out = attack(graph, property, tables[i], &usual, &none);
        assert_int_equal(out.status, BF_STATUS_OK);
        if (i == 0) {
            first = out;
            assert_true(out.found);
            continue;
        }
        assert_true(out.found);
        assert_memory_equal(first.witness.x, out.witness.x, 30 * sizeof(double));
        assert_memory_equal(first.witness.y, out.witness.y, 4 * sizeof(double));
        bfi_witness_clear(&out.witness);
    }
    bfi_witness_clear(&first.witness);
    bf_property_free(property);
    bfi_graph_free(graph);
}

static void stops_in_time(void **state) {
    (void)state;
    bfi_graph *graph = random_net(200, 1000, 4);
    bf_property *property = property_of(200, 4, "-1", "1", "(assert (<= Y_0 -1e9))");
    const bfi_attack_options endless = {1 << 20, 1000, 1, BF_SEMANTICS_REAL};
    atomic_int stop = 1;
    bfi_budget stopped = {0, &stop}, soon = {bfi_clock() + 0.05, NULL};
    outcome out = attack(graph, property, NULL, &endless, &soon);
    assert_int_equal(out.status, BF_STATUS_TIMEOUT);
    assert_false(out.found);
    out = attack(graph, property, NULL, &endless, &stopped);
    assert_int_equal(out.status, BF_STATUS_CANCELLED);
    const bfi_attack_options nothing = {0, 0, 1, BF_SEMANTICS_REAL};
    bfi_budget none = {0};
    assert_int_equal(attack(graph, property, NULL, &nothing, &none).status, BF_STATUS_OK);
    bf_property_free(property);
    bfi_graph_free(graph);
}

static void refuses_unknown_isa(void **state) {
    (void)state;
    bfi_graph *graph = random_net(2, 2, 1);
    bfi_attack *a = NULL;
    bf_error err;
    assert_int_equal(bfi_attack_create(graph, 64, "z80", &a, &err), BF_STATUS_UNSUPPORTED);
    assert_null(a);
    assert_non_null(strstr(err.message, "z80"));
    bfi_attack_free(NULL);
    bfi_graph_free(graph);
}

/* The objective agrees with the check's violation, and its seed with differences of it. */
static void objective_agrees_with_the_check(void **state) {
    (void)state;
    enum { M = 4, LS = 32 };
    bf_property *property = property_of(2, M, "-1", "1",
                                        "(assert (<= (+ Y_0 (* -2.5 Y_1) (* 0.5 Y_3)) 0.25))"
                                        "(assert (>= (+ Y_2 X_1) 1.5))(assert (<= Y_3 Y_0))");
    const bf_polytope *polytope = &property->cases[0].disjuncts[0];
    float x[2 * LS], y[M * LS], seed[M * LS] = {0}, direct[2 * LS] = {0};
    double worst[LS];
    for (int i = 0; i < 2 * LS; i++) x[i] = (float)kit_eighth();
    for (int i = 0; i < M * LS; i++) y[i] = (float)kit_eighth();
    bfi_points points = {x, y, LS};
    bfi_objective_violation(polytope, &points, worst);
    for (int l = 0; l < LS; l++) {
        double px[2], py[M], slope = 0;
        for (int i = 0; i < 2; i++) px[i] = (double)x[i * LS + l];
        for (int i = 0; i < M; i++) py[i] = (double)y[i * LS + l];
        assert_true(worst[l] == bfi_polytope_violation(polytope, px, py));
        bfi_objective_seed(polytope, BFI_ROWS_WORST, &points, l, seed);
        bfi_objective_direct(polytope, BFI_ROWS_WORST, &points, l, direct);
        for (int i = 0; i < M; i++) { /* downhill along the seed */
            py[i] -= 1e-6 * (double)seed[i * LS + l];
            slope += (double)(seed[i * LS + l] * seed[i * LS + l]);
        }
        for (int i = 0; i < 2; i++) {
            px[i] -= 1e-6 * (double)direct[i * LS + l];
            slope += (double)(direct[i * LS + l] * direct[i * LS + l]);
        }
        double fell = worst[l] - bfi_polytope_violation(polytope, px, py);
        assert_true(slope > 0 && fell <= 1.001e-6 * slope);
    }
    bf_property_free(property);
}

/* Public instances with a known counterexample: |network| and |property| below the data folder. */
static const struct {
    const char *network, *property;
} public_sat[] = {
    {"acasxu/onnx/ACASXU_run2a_1_2_batch_2000.onnx", "acasxu/vnnlib/prop_2.vnnlib.gz"},
    {"acasxu/onnx/ACASXU_run2a_2_2_batch_2000.onnx", "acasxu/vnnlib/prop_2.vnnlib.gz"},
    {"mnist_fc/onnx/mnist-net_256x2.onnx", "mnist_fc/vnnlib/prop_1_0.03.vnnlib.gz"},
    {"mnist_fc/onnx/mnist-net_256x2.onnx", "mnist_fc/vnnlib/prop_2_0.03.vnnlib.gz"},
    {"safenlp/onnx/medical_perturbations_0.onnx",
     "safenlp/vnnlib/medical_hyperrectangle_1163.vnnlib.gz"},
};

static bool exists(const char *path) { return access(path, R_OK) == 0; }

static void public_instances_fall(void **state) {
    (void)state;
    const char *data = getenv("BOUNDFLOW_DATA");
    if (!data) data = "../shared/data";
    int tried = 0;
    for (size_t i = 0; i < sizeof public_sat / sizeof *public_sat; i++) {
        char network[600], file[600];
        bf_error err = {""};
        bfi_graph *graph = NULL;
        bf_property *property = NULL;
        snprintf(network, sizeof network, "%s/vnncomp/%s", data, public_sat[i].network);
        snprintf(file, sizeof file, "%s/vnncomp/%s", data, public_sat[i].property);
        if (!exists(network) || !exists(file)) continue;
        if (bfi_onnx_load(network, &graph, &err) != BF_STATUS_OK ||
            bf_property_load(file, &property, &err) != BF_STATUS_OK)
            fail_msg("%s", err.message);
        const bfi_attack_options more = {1024, 100, 1, BF_SEMANTICS_REAL};
        bfi_budget none = {0};
        outcome out = attack(graph, property, NULL, &more, &none);
        if (!out.found) fail_msg("no counterexample to %s on %s", file, network);
        bfi_witness_clear(&out.witness);
        bfi_graph_free(graph);
        bf_property_free(property);
        tried++;
    }
    if (tried > 0) return;
    print_message("SKIPPED: no public instances under %s\n", data);
    skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objective_agrees_with_the_check),
        cmocka_unit_test(finds_the_one_corner),
        cmocka_unit_test(invents_nothing),
        cmocka_unit_test(boundary_counts_unless_strict),
        cmocka_unit_test(finds_the_one_disjunct),
        cmocka_unit_test(follows_rows_over_inputs),
        cmocka_unit_test(attacks_every_case),
        cmocka_unit_test(leaves_plateaus),
        cmocka_unit_test(random_nets_fall_where_sampling_says),
        cmocka_unit_test(same_seed_same_witness),
        cmocka_unit_test(stops_in_time),
        cmocka_unit_test(refuses_unknown_isa),
        cmocka_unit_test(public_instances_fall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
