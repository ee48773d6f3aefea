/* VNN-LIB 2.0: what is read is what the same property says in 1.0; the rest is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boundflow/property.h"

#define VERSION "(vnnlib-version <2.0>)"
#define NETWORK \
    VERSION "(declare-network f (declare-input X float32 [2,3]) (declare-output Y float32 [1,2]))"
#define UNIT_BOX                                                                    \
    "(assert (and (>= X[0,0] 0.0) (<= X[0,0] 1.0) (>= X[0,1] 0.0) (<= X[0,1] 1.0) " \
    "(>= X[0,2] 0.0) (<= X[0,2] 1.0) (>= X[1,0] 0.0) (<= X[1,0] 1.0) "              \
    "(>= X[1,1] 0.0) (<= X[1,1] 1.0) (>= X[1,2] 0.0) (<= X[1,2] 1.0)))"
#define SCALARS                                                                                  \
    VERSION                                                                                      \
    "(declare-network f (declare-input x real []) (declare-output y real []))(assert (>= x 0.0)" \
    ")(assert (<= x 1.0))"

static bf_property *parse(const char *text) {
    bf_property *p = NULL;
    bf_error err;
    if (bf_property_parse(text, strlen(text), "q.vnnlib", &p, &err) != BF_STATUS_OK)
        fail_msg("%s\nin: %s", err.message, text);
    return p;
}

static void refuse(const char *text, bf_status wanted, const char *message) {
    bf_property *p = NULL;
    bf_error err = {""};
    bf_status status = bf_property_parse(text, strlen(text), "q.vnnlib", &p, &err);
    assert_null(p);
    if (status != wanted || !strstr(err.message, message))
        fail_msg("status %s '%s' instead of %s '%s'\nin: %.300s", bf_status_name(status),
                 err.message, bf_status_name(wanted), message, text);
}

static void same_terms(const bf_term *a, const bf_term *b, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        assert_true(a[i].index == b[i].index && a[i].coef == b[i].coef &&
                    a[i].coef_err == b[i].coef_err);
}

static void same_row(const bf_halfspace *a, const bf_halfspace *b) {
    assert_int_equal(a->y_count, b->y_count);
    assert_int_equal(a->x_count, b->x_count);
    assert_true(a->rhs_lo == b->rhs_lo && a->rhs_hi == b->rhs_hi && a->strict == b->strict);
    same_terms(a->y_terms, b->y_terms, a->y_count);
    same_terms(a->x_terms, b->x_terms, a->x_count);
}

/* Cases, boxes, disjuncts and rows are equal, number by number. */
static void same_property(const char *two, const char *one) {
    bf_property *p = parse(two), *q = parse(one);
    assert_true(p->n_in == q->n_in && p->n_out == q->n_out);
    assert_int_equal(p->count, q->count);
    for (int32_t i = 0; i < p->count; i++) {
        const bf_case *a = &p->cases[i], *b = &q->cases[i];
        for (int64_t k = 0; k < p->n_in; k++)
            assert_true(a->lo[k] == b->lo[k] && a->hi[k] == b->hi[k] &&
                        a->lo_inner[k] == b->lo_inner[k] && a->hi_inner[k] == b->hi_inner[k]);
        assert_int_equal(a->count, b->count);
        for (int32_t d = 0; d < a->count; d++) {
            assert_int_equal(a->disjuncts[d].count, b->disjuncts[d].count);
            for (int32_t r = 0; r < a->disjuncts[d].count; r++)
                same_row(&a->disjuncts[d].rows[r], &b->disjuncts[d].rows[r]);
        }
    }
    bf_property_free(p);
    bf_property_free(q);
}

/* ---- What is read ---- */

static void a_network_declares_tensors(void **state) {
    (void)state;
    bf_property *p =
        parse("; comment\n" VERSION
              "\n(declare-network net_1 ; one\n  (declare-input A float32 [2, 2])\n"
              "  (declare-input B1 real [])\n  (declare-hidden H float32 [1,7] \"a node (x)\")\n"
              "  (declare-output C Real [1 , 3])(declare-output D real [2])\n)\n"
              "(assert (and (>= A[0,0] 0.0) (<= A[0,0] 1.0) (>= A[0,1] 0.0) (<= A[0,1] 1.0)"
              " (>= A[1,0] 0.0) (<= A[1,0] 1.0) (>= A [1 ,1 ] 0.0) (<= A[ 1, 1 ] 0.5)"
              " (>= B1 -2.0) (<= B1 2.0)))\n(assert (<= (+ C[0,2] D[1]) 1.0))");
    assert_string_equal(p->network, "net_1");
    assert_int_equal(p->variable_count, 5);
    const bf_variable *v = p->variables;
    assert_string_equal(v[0].name, "A");
    assert_string_equal(v[0].type, "float32");
    assert_true(v[0].rank == 2 && v[0].shape[0] == 2 && v[0].shape[1] == 2);
    assert_true(v[0].role == BF_VARIABLE_INPUT && v[0].first == 0 && v[0].count == 4);
    assert_true(v[1].rank == 0 && v[1].first == 4 && v[1].count == 1);
    assert_true(v[2].role == BF_VARIABLE_HIDDEN && v[2].count == 7);
    assert_string_equal(v[3].type, "Real");
    assert_true(v[3].role == BF_VARIABLE_OUTPUT && v[3].first == 0 && v[3].count == 3);
    assert_true(v[4].first == 3 && v[4].count == 2);
    assert_true(p->n_in == 5 && p->n_out == 5);
    const bf_case *c = &p->cases[0];
    assert_true(c->hi[3] == 0.5 && c->lo[4] == -2);
    const bf_halfspace *r = c->disjuncts[0].rows;
    assert_true(r->y_count == 2 && r->y_terms[0].index == 2 && r->y_terms[1].index == 4);
    bf_property_free(p);
}

static void elements_are_counted_row_by_row(void **state) {
    (void)state;
    same_property(NETWORK UNIT_BOX
                  "(assert (<= X[1,2] 0.25))(assert (>= X[1,0] 0.1))"
                  "(assert (<= Y[0,1] (+ Y[0,0] (* 2.0 X[0,2]) -0.3)))",
                  "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const X_2 Real)"
                  "(declare-const X_3 Real)(declare-const X_4 Real)(declare-const X_5 Real)"
                  "(declare-const Y_0 Real)(declare-const Y_1 Real)"
                  "(assert (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1) (>= X_2 0) (<= X_2 1)"
                  " (>= X_3 0.1) (<= X_3 1) (>= X_4 0) (<= X_4 1) (>= X_5 0) (<= X_5 0.25)))"
                  "(assert (<= Y_1 (+ Y_0 (* 2.0 X_2) -0.3)))");
}

static void comparisons_mean_the_same_as_in_1_0(void **state) {
    (void)state;
    const char *one =
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0.0))(assert (<= X_0 1.0))"
        "%s";
    static const char *const pairs[][2] = {
        {"(assert (== y 0.5))", "(assert (= Y_0 0.5))"},
        {"(assert (!= y 0.5))", "(assert (or (< Y_0 0.5) (> Y_0 0.5)))"},
        {"(assert (!= x 0.5))", "(assert (or (< X_0 0.5) (> X_0 0.5)))"},
        {"(assert (== x 0.1))", "(assert (= X_0 0.1))"},
        {"(assert (!= (- y) (* -1.0 2.0 x)))",
         "(assert (or (< (- Y_0) (* -2 X_0)) (> (- Y_0) (* -2 X_0))))"},
        {"(assert (and (< y 1.0) (> y -1.0)))", "(assert (< Y_0 1))(assert (> Y_0 -1))"},
        {"(assert (or (and (!= y 1.0) (<= x 0.5)) (<= y -0.5)))",
         "(assert (or (and (or (< Y_0 1) (> Y_0 1)) (<= X_0 0.5)) (<= Y_0 -0.5)))"},
        {"(assert (<= (- 5.0 x 1.0 y) (+ x (- 2.0) y)))",
         "(assert (<= (- 5.0 X_0 1.0 Y_0) (+ X_0 (- 2.0) Y_0)))"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char a[600], b[600];
        snprintf(a, sizeof a, SCALARS "%s", pairs[i][0]);
        snprintf(b, sizeof b, one, pairs[i][1]);
        same_property(a, b);
    }
}

static void a_comparison_that_cannot_hold_is_false(void **state) {
    (void)state;
    bf_property *p = parse(SCALARS "(assert (!= y y))");
    assert_int_equal(p->count, 0);
    bf_property_free(p);
    p = parse(SCALARS "(assert (or (!= 1.0 1.0) (!= 1.0 2.0)))");
    assert_int_equal(p->cases[0].count, 1);
    assert_int_equal(p->cases[0].disjuncts[0].count, 0);
    bf_property_free(p);
}

static void later_versions_of_2_are_read_too(void **state) {
    (void)state;
    bf_property_free(
        parse("(vnnlib-version <2.13>)(declare-network f (declare-input x real [])"
              "(declare-output y real []))(assert (== x 0.0))"));
    bf_property_free(
        parse("(vnnlib-version <1.0>)(declare-const X_0 Real)(declare-const Y_0 Real)"
              "(assert (= X_0 0.0))"));
}

/* ---- What is refused ---- */

static void other_forms_and_networks(void **state) {
    (void)state;
    refuse(VERSION, BF_STATUS_PARSE, "no network is declared");
    refuse("(vnnlib-version <3.0>)", BF_STATUS_UNSUPPORTED, "<3.0>");
    refuse("(vnnlib-version 2.0)", BF_STATUS_UNSUPPORTED, "'2.0'");
    refuse("(vnnlib-version <2.x>)", BF_STATUS_UNSUPPORTED, "'<2.x>'");
    refuse("(declare-const X_0 Real)" VERSION, BF_STATUS_PARSE, "version comes first");
    refuse(VERSION "(declare-const X_0 Real)", BF_STATUS_UNSUPPORTED, "'declare-const'");
    refuse(VERSION "(assert (<= X[0] 1.0))", BF_STATUS_PARSE, "before the network");
    refuse(NETWORK "\n(declare-network g (declare-input Z real [])(declare-output W real []))",
           BF_STATUS_UNSUPPORTED, "q.vnnlib:2: a second network");
    refuse(VERSION "(declare-network g\n (equal-to f) (declare-input Z real []))",
           BF_STATUS_UNSUPPORTED, "q.vnnlib:2: a property of several networks");
    refuse(VERSION "(declare-network g (isomorphic-to f))", BF_STATUS_UNSUPPORTED, "several");
    refuse(VERSION "(declare-network g (declare-input Z real [2] initialized))",
           BF_STATUS_UNSUPPORTED, "value from the network's file");
    refuse(VERSION "(declare-network f (declare-input X real [1]))", BF_STATUS_PARSE, "no output");
    refuse(VERSION "(declare-network f (declare-output X real [1]))", BF_STATUS_PARSE, "no input");
    refuse(VERSION "(declare-network f (declare-output Y real [])(declare-input X real []))",
           BF_STATUS_PARSE, "out of order: 'declare-input'");
}

static void bad_tensors(void **state) {
    (void)state;
    static const char *const tensors[][2] = {
        {"X int32 [1]", "'int32'"},
        {"X float64 [1]", "'float64'"},
        {"X real [0]", "'0'"},
        {"X real [-1]", "'-1'"},
        {"X real [2.5]", "'2.5'"},
        {"X real [1,]", "instead of ']'"},
        {"X real [1 2]", "instead of '2'"},
        {"X real", "expected '[' instead of ')'"},
        {"1X real []", "'1X'"},
        {"f real []", "the network's name"},
        {"X-Y real []", "'X-Y'"},
        {"X real [1,1,1,1,1,1,1,1,1]", "8 dimensions"},
        {"X real [65536,65536]", "2^31-1"},
        {"X real [99999999999]", "2^31-1"},
        {"X real [2] \"n\"", "expected ')'"},
        {"\"X\" real []", "expected a name"},
    };
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char text[300];
        snprintf(text, sizeof text,
                 VERSION "(declare-network f (declare-input %s)(declare-output Z real []))",
                 tensors[i][0]);
        bf_property *p = NULL;
        bf_error err = {""};
        assert_int_not_equal(bf_property_parse(text, strlen(text), "q.vnnlib", &p, &err),
                             BF_STATUS_OK);
        if (!strstr(err.message, tensors[i][1])) fail_msg("'%s' in %s", err.message, text);
    }
    refuse(VERSION "(declare-network f (declare-input X real [])\n(declare-output X real []))",
           BF_STATUS_PARSE, "q.vnnlib:2: 'X' is declared twice, first at line 1");
    refuse(VERSION "(declare-network f (declare-input X real [])(declare-hidden H real []))",
           BF_STATUS_PARSE, "node in quotes");
    refuse(VERSION
           "(declare-network f (declare-input X real [2147483647])"
           "(declare-output Y real []))(assert (<= Y 0.0))",
           BF_STATUS_PARSE, "only 0 bounds");
}

static void bad_elements(void **state) {
    (void)state;
    refuse(NETWORK "(assert (<= Z[0] 1.0))", BF_STATUS_PARSE, "not declared: 'Z'");
    refuse(NETWORK "(assert (<= X[0] 1.0))", BF_STATUS_PARSE, "2 dimensions, but 1 indices");
    refuse(NETWORK "(assert (<= X 1.0))", BF_STATUS_PARSE, "2 dimensions, but 0 indices");
    refuse(NETWORK "(assert (<= X[] 1.0))", BF_STATUS_PARSE, "whole number instead of ']'");
    refuse(NETWORK "\n(assert (<= X[2,0] 1.0))", BF_STATUS_PARSE,
           "q.vnnlib:2: index 2 of 'X' is outside dimension 0, which has 2");
    refuse(NETWORK "(assert (<= Y[0,2] 1.0))", BF_STATUS_PARSE, "outside dimension 1");
    refuse(NETWORK "(assert (<= Y[0,-1] 1.0))", BF_STATUS_PARSE, "from 0 on, not '-1'");
    refuse(NETWORK "(assert (<= X[0,0 1.0))", BF_STATUS_PARSE, "expected ',' or ']'");
    refuse(SCALARS "(assert (<= y[0] 1.0))", BF_STATUS_PARSE, "0 dimensions, but 1");
    refuse(NETWORK "(assert (<= X_0 1.0))", BF_STATUS_PARSE, "not declared: 'X_0'");
    refuse(SCALARS "(assert (<= (* x y) 1.0))", BF_STATUS_UNSUPPORTED, "product of variables");
    refuse(SCALARS "(assert (<= (* y y) 1.0))", BF_STATUS_UNSUPPORTED, "product of variables");
    refuse(SCALARS "(assert (not (<= y 1.0)))", BF_STATUS_UNSUPPORTED, "'not'");
    refuse(SCALARS "(assert (<= y ] 1.0))", BF_STATUS_PARSE, "']'");
    refuse(VERSION
           "(declare-network f (declare-input X real [])"
           "(declare-hidden H real [2] \"n\")(declare-output Y real []))"
           "(assert (<= H[1] 0.0))",
           BF_STATUS_UNSUPPORTED, "hidden nodes are not read: 'H'");
}

static void missing_bounds_name_the_element(void **state) {
    (void)state;
    refuse(VERSION
           "\n(declare-network f\n(declare-input a real [])\n(declare-input b real [2,2])"
           "(declare-output Y real []))(assert (== a 0.0))(assert (== b[0,0] 0.0))"
           "(assert (== b[0,1] 0.0))(assert (<= b[1,0] 0.0))",
           BF_STATUS_PARSE, "q.vnnlib:4: b[1,0] has no lower bound");
    refuse(SCALARS "\n(assert (<= x -1.0))", BF_STATUS_PARSE,
           "q.vnnlib:2: the box is empty: x has the lower bound 0 (line 1)");
}

static void every_prefix_is_refused_or_read(void **state) {
    (void)state;
    const char *text = NETWORK UNIT_BOX
        "(assert (or (and (<= Y[0,0] (* 2.0 (- Y[0,1]))) (> X[1,1] 0.5)) "
        "(!= Y[0,1] -1.5)))";
    for (size_t length = 0; length <= strlen(text); length++) {
        bf_property *p = NULL;
        char *copy = malloc(length ? length : 1);
        memcpy(copy, text, length);
        bf_status status = bf_property_parse(copy, length, "q.vnnlib", &p, NULL);
        free(copy);
        assert_true((status == BF_STATUS_OK) == (p != NULL));
        bf_property_free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_declares_tensors),
        cmocka_unit_test(elements_are_counted_row_by_row),
        cmocka_unit_test(comparisons_mean_the_same_as_in_1_0),
        cmocka_unit_test(a_comparison_that_cannot_hold_is_false),
        cmocka_unit_test(later_versions_of_2_are_read_too),
        cmocka_unit_test(other_forms_and_networks),
        cmocka_unit_test(bad_tensors),
        cmocka_unit_test(bad_elements),
        cmocka_unit_test(missing_bounds_name_the_element),
        cmocka_unit_test(every_prefix_is_refused_or_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
