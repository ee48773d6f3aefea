/* The search tree: order, memory given back, paths that cover, the limit. */
#include <math.h>

#include "graph_kit.h"
#include "verify/bab/tree.h"

static bfi_tree *tree_of(int64_t limit) {
    bfi_tree *tree = NULL;
    assert_int_equal(bfi_tree_create(limit, &tree, NULL), BF_STATUS_OK);
    return tree;
}

static void add(bfi_tree *tree, int32_t parent, int sign, double margin) {
    bfi_decision d = {-1, (int32_t)kit_int(0, 3), (double)kit_int(-8, 8) / 8};
    assert_int_equal(bfi_tree_add(tree, parent, sign, d, margin, 5, NULL), BF_STATUS_OK);
}

static void test_best_first(void **unused) {
    (void)unused;
    bfi_tree *tree = tree_of(0);
    int32_t root, node;
    add(tree, -1, 0, -1);
    assert_int_equal(bfi_tree_take(tree, 4, &root), 1);
    assert_int_equal(bfi_tree_mask(tree, root), 5);
    for (int i = 0; i < 50; i++) add(tree, root, i % 2 ? 1 : -1, -(double)kit_int(0, 1000));
    bfi_tree_close(tree, root);
    double last = -INFINITY;
    while (bfi_tree_stats_of(tree).open > 0) {
        double lowest = bfi_tree_stats_of(tree).lowest;
        assert_int_equal(bfi_tree_take(tree, 1, &node), 1);
        assert_true(bfi_tree_margin(tree, node) == lowest && lowest >= last);
        assert_int_equal(bfi_tree_depth(tree, node), 1);
        bfi_cut cut;
        bfi_tree_path(tree, node, &cut);
        assert_true(cut.sign == 1 || cut.sign == -1);
        last = lowest;
        bfi_tree_close(tree, node);
    }
    assert_int_equal(bfi_tree_stats_of(tree).held, 0);
    assert_true(isinf(bfi_tree_stats_of(tree).lowest));
    bfi_tree_free(tree);
}

/* A search that splits [0, 1024) down to unit intervals, in batches, whatever the node limit: every
 * leaf comes out once, its path is its interval, and memory stays within the limit. */
static void search(int64_t limit, int32_t batch) {
    bfi_tree *tree = tree_of(limit);
    int32_t nodes[64];
    char seen[1024] = {0};
    bfi_decision first = {-1, 0, 512};
    assert_int_equal(bfi_tree_add(tree, -1, 0, first, -1, 0, NULL), BF_STATUS_OK);
    for (int32_t n; (n = bfi_tree_take(tree, batch, nodes)) > 0;) {
        assert_true(n <= batch && (limit == 0 || bfi_tree_stats_of(tree).held <= limit));
        for (int32_t i = 0; i < n; i++) {
            bfi_cut cuts[16];
            double lo = 0, hi = 1024;
            bfi_tree_path(tree, nodes[i], cuts);
            for (int32_t k = 0; k < bfi_tree_depth(tree, nodes[i]); k++) {
                double point = cuts[k].decision.point;
                if (cuts[k].sign > 0 && point > lo) lo = point;
                if (cuts[k].sign < 0 && point < hi) hi = point;
            }
            assert_true(bfi_tree_decision(tree, nodes[i]).point == (lo + hi) / 2);
            for (int side = -1; side <= 1; side += 2) {
                double a = side > 0 ? (lo + hi) / 2 : lo, z = side > 0 ? hi : (lo + hi) / 2;
                if (z - a == 1) {
                    assert_int_equal(seen[(int)a]++, 0);
                    continue;
                }
                bfi_decision d = {-1, 0, (a + z) / 2};
                assert_int_equal(
                    bfi_tree_add(tree, nodes[i], side, d, -(double)kit_int(0, 9), 0, NULL),
                    BF_STATUS_OK);
            }
            bfi_tree_close(tree, nodes[i]);
        }
    }
    for (int i = 0; i < 1024; i++) assert_int_equal(seen[i], 1);
    assert_int_equal(bfi_tree_stats_of(tree).held, 0);
    assert_int_equal(bfi_tree_stats_of(tree).created, 1023 - 0);
    bfi_tree_free(tree);
}

static void test_limit(void **unused) {
    (void)unused;
    search(0, 1);
    search(0, 64);
    search(256, 1);
    search(256, 16);
    search(64, 8);
}

static void test_full(void **unused) {
    (void)unused;
    bfi_tree *tree = tree_of(2);
    bf_error err = {""};
    bfi_decision d = {0};
    int32_t root;
    add(tree, -1, 0, 0);
    assert_int_equal(bfi_tree_take(tree, 1, &root), 1);
    add(tree, root, 1, 0);
    assert_int_equal(bfi_tree_add(tree, root, -1, d, 0, 0, &err), BF_STATUS_LIMIT);
    assert_non_null(strstr(err.message, "full"));
    bfi_tree_free(tree);
    bfi_tree_free(NULL);
}

/* A part of the tree that is searched first: its nodes come out, and what is added below them,
 * until all of it is closed; parts are nested; then the others follow, worst first. */
static void test_focus(void **unused) {
    (void)unused;
    bfi_tree *tree = tree_of(0);
    int32_t root, sides[2], node;
    add(tree, -1, 0, -1);
    assert_int_equal(bfi_tree_take(tree, 1, &root), 1);
    add(tree, root, -1, -9);
    add(tree, root, 1, -5);
    bfi_tree_close(tree, root);
    assert_int_equal(bfi_tree_take(tree, 2, sides), 2);
    for (int i = 0; i < 8; i++) add(tree, sides[i % 2], i < 4 ? -1 : 1, i % 2 ? -4 : -8 - i);
    bfi_tree_close(tree, sides[0]);
    bfi_tree_close(tree, sides[1]);
    assert_int_equal(bfi_tree_level(tree), 0);
    assert_true(bfi_tree_margin(tree, bfi_tree_first(tree)) == -14);
    assert_int_equal(bfi_tree_ancestor(tree, bfi_tree_first(tree), 1), sides[0]);
    assert_int_equal(bfi_tree_ancestor(tree, bfi_tree_first(tree), 7), bfi_tree_first(tree));
    assert_int_equal(bfi_tree_focus(tree, sides[1]), 1);
    assert_true(bfi_tree_stats_of(tree).lowest == -14);
    assert_int_equal(bfi_tree_take(tree, 1, &node), 1);
    assert_true(bfi_tree_margin(tree, node) == -4);
    add(tree, node, 1, -3);
    add(tree, node, -1, -20);
    bfi_tree_close(tree, node);
    assert_int_equal(bfi_tree_focus(tree, node), 2);
    int32_t taken[16];
    assert_int_equal(bfi_tree_take(tree, 16, taken), 2);
    assert_true(bfi_tree_margin(tree, taken[0]) == -20 && bfi_tree_margin(tree, taken[1]) == -3);
    bfi_tree_put_back(tree, taken[0]);
    bfi_tree_close(tree, taken[1]);
    assert_int_equal(bfi_tree_level(tree), 2);
    assert_int_equal(bfi_tree_take(tree, 16, taken), 1);
    bfi_tree_close(tree, taken[0]);
    assert_int_equal(bfi_tree_level(tree), 1);
    assert_int_equal(bfi_tree_take(tree, 16, taken), 3);
    for (int i = 0; i < 3; i++) bfi_tree_close(tree, taken[i]);
    assert_int_equal(bfi_tree_level(tree), 0);
    double last = -INFINITY;
    assert_int_equal(bfi_tree_take(tree, 16, taken), 4);
    for (int i = 0; i < 4; i++) {
        assert_true(bfi_tree_margin(tree, taken[i]) > last);
        last = bfi_tree_margin(tree, taken[i]);
        bfi_tree_close(tree, taken[i]);
    }
    assert_int_equal(bfi_tree_first(tree), -1);
    assert_int_equal(bfi_tree_stats_of(tree).held, 0);
    bfi_tree_free(tree);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_best_first),
                                       cmocka_unit_test(test_focus), cmocka_unit_test(test_limit),
                                       cmocka_unit_test(test_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
