/* Branch and bound on small networks: verdicts agree with a fine grid of points, whatever the
 * number of threads; decisions cover; a search that is stopped or short of memory says so. */
#include "search_kit.h"
#include "verify/bab/branch.h"
#include "verify/bab/search.h"

enum { GRID = 161 };

/* Two inputs, two outputs, relus between. */
static bf_model *random_model(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(2));
    int a = net_linear(graph, NET_PLAIN, 0, 1, 2, 8);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_linear(graph, NET_PLAIN, a, 1, 8, 6);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = net_linear(graph, NET_PLAIN, a, 1, 6, 2);
    kit_validate(graph);
    return net_model(graph);
}

static bfi_search_result search(const bf_model *model, const bf_property *property, int threads,
                                int64_t memory, double deadline, bf_status wanted) {
    bfi_attack *attack;
    bfi_search_result result;
    bf_error err = {""};
    bfi_disjunct_state states[2] = {{.margin = -INFINITY}, {.margin = -INFINITY}};
    assert_int_equal(bfi_attack_create(model->graph, 64, NULL, &attack, &err), BF_STATUS_OK);
    bfi_search_options o = {.bounds = bf_options_default(),
                            .branching = BF_BRANCHING_INPUTS,
                            .memory = memory,
                            .deadline = deadline,
                            .attack = attack};
    o.bounds.intersect = 1;
    bf_status status =
        bfi_search_case(kit_session(threads), model, property, 0, &o, states, &result, &err);
    if (status != wanted) fail_msg("status %d: %s", (int)status, err.message);
    if (result.outcome == BFI_SEARCH_REFUTED)
        for (int d = 0; d < property->cases[0].count; d++) assert_true(states[d].refuted);
    bfi_attack_free(attack);
    return result;
}

/* |slack| below the least value on the grid has to be proved, above it has to be found. */
static void test_agrees_with_grid(void **unused) {
    (void)unused;
    int split = 0;
    for (int i = 0; i < 40; i++) {
        bf_model *model = random_model();
        double least[2], most;
        kit_grid_minimum(GRID, model, least, &most);
        double slack = 0.02 * (most - least[0]) + 1e-3;
        for (int found = 0; found < 2; found++) {
            char text[200];
            double rhs[2];
            for (int k = 0; k < 2; k++) rhs[k] = least[k] + (found ? slack : -slack);
            snprintf(text, sizeof text,
                     "(assert (or (and (<= Y_0 %.17g)) (and (<= Y_0 %.17g) (<= Y_1 1e9))))", rhs[0],
                     rhs[0] - (found ? 0 : slack));
            bf_property *property = kit_square_property(text);
            bfi_search_result one = search(model, property, 1, 0, 0, BF_STATUS_OK);
            bfi_search_result two = search(model, property, 2, 0, 0, BF_STATUS_OK);
            assert_int_equal(one.outcome, found ? BFI_SEARCH_FOUND : BFI_SEARCH_REFUTED);
            assert_int_equal(two.outcome, one.outcome);
            assert_int_equal(two.progress.nodes, one.progress.nodes);
            split += one.progress.nodes > 1;
            if (found) assert_true(one.witness.y[0] <= rhs[0]);
            if (found) assert_memory_equal(one.witness.x, two.witness.x, 2 * sizeof(double));
            bfi_witness_clear(&one.witness);
            bfi_witness_clear(&two.witness);
            bf_property_free(property);
        }
        bf_model_free(model);
    }
    assert_true(split > 10);
}

static void test_limits(void **unused) {
    (void)unused;
    bf_model *model = random_model();
    double least[2], most;
    char text[100];
    kit_grid_minimum(GRID, model, least, &most);
    /* so near to the minimum that neither a proof nor a point is quick */
    snprintf(text, sizeof text, "(assert (<= Y_0 %.17g))", least[0] - 1e-6);
    bf_property *property = kit_square_property(text);
    bfi_search_result r = search(model, property, 1, 0, bf_clock() - 1, BF_STATUS_TIMEOUT);
    assert_int_equal(r.outcome, BFI_SEARCH_OPEN);
    r = search(model, property, 1, 240, 0, BF_STATUS_OK);
    assert_int_equal(r.outcome, BFI_SEARCH_OPEN);
    assert_non_null(strstr(r.reason, "memory"));
    bf_property_free(property);
    bf_model_free(model);
}

static void test_branch_input(void **unused) {
    (void)unused;
    for (int i = 0; i < 1000; i++) {
        double lo[3], hi[3], a[3], point[3];
        for (int j = 0; j < 3; j++) {
            lo[j] = net_uniform(), a[j] = kit_int(0, 1) ? net_uniform() : 0;
            hi[j] = kit_int(0, 3) ? lo[j] + 0.25 * (double)kit_int(0, 4) : nextafter(lo[j], 2);
            point[j] = lo[j] + (hi[j] - lo[j]) * (double)kit_int(0, 4) / 4;
        }
        bool wide = false;
        for (int j = 0; j < 3; j++) wide = wide || hi[j] - lo[j] > 0.1;
        bfi_candidate found[3];
        int count = bfi_branch_inputs(3, lo, hi, a, NULL, 0, 3, found);
        assert_int_equal(count > 0, wide);
        if (!wide) continue;
        bfi_decision d = found[kit_int(0, count - 1)].decision;
        assert_true(d.point > lo[d.index] && d.point < hi[d.index]);
        int inside = 0;
        for (int side = -1; side <= 1; side += 2) {
            double l[3], h[3];
            memcpy(l, lo, sizeof l), memcpy(h, hi, sizeof h);
            bfi_branch_apply(&(bfi_cut){d, side}, l, h);
            bool in = true;
            for (int j = 0; j < 3; j++) {
                assert_true(l[j] >= lo[j] && h[j] <= hi[j] && l[j] <= h[j]);
                in = in && point[j] >= l[j] && point[j] <= h[j];
            }
            inside += in;
        }
        assert_true(inside >= 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_agrees_with_grid),
                                       cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_branch_input)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
