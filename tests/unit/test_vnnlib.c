#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "boundflow/property.h"

#define DECLARE_1_1 "(declare-const X_0 Real)(declare-const Y_0 Real)"
#define DECLARE_2_2 DECLARE_1_1 "(declare-const X_1 Real)(declare-const Y_1 Real)"
#define UNIT_BOX "(assert (>= X_0 0))(assert (<= X_0 1))"
#define UNIT_BOX_2 UNIT_BOX "(assert (>= X_1 0))(assert (<= X_1 1))"

static bf_property *parse(const char *text) {
    bf_property *p = NULL;
    bf_error err;
    if (bf_property_parse(text, strlen(text), "p.vnnlib", &p, &err) != BF_STATUS_OK)
        fail_msg("%s\nin: %s", err.message, text);
    return p;
}

static void expect_error(const char *text, size_t length, bf_status wanted, const char *message) {
    bf_property *p = NULL;
    bf_error err = {""};
    bf_status status = bf_property_parse(text, length, "p.vnnlib", &p, &err);
    assert_null(p);
    if (status != wanted || !strstr(err.message, message))
        fail_msg("status %s '%s' instead of %s '%s'\nin: %.200s", bf_status_name(status), err.message,
                 bf_status_name(wanted), message, text);
    assert_int_equal(bf_property_parse(text, length, "p.vnnlib", &p, NULL), wanted);
}

static void refuse(const char *text, bf_status wanted, const char *message) {
    expect_error(text, strlen(text), wanted, message);
}

/* ---- What is read ---- */

static void a_box_and_a_conjunction(void **state) {
    (void)state;
    bf_property *p = parse("; a comment (with parentheses\n(set-logic QF_LRA)\n" DECLARE_2_2
                           "(assert (<= X_0 0.5)) ; another\r\n(assert (>= X_0 -0.5))\n"
                           "(assert (>= 2.5e-1 X_1))\n\t(assert (<= -1 X_1))"
                           "(assert (<= Y_0 Y_1))(assert (> Y_1 -3.0))(check-sat)");
    assert_int_equal(p->n_in, 2);
    assert_int_equal(p->n_out, 2);
    assert_string_equal(p->source, "p.vnnlib");
    assert_int_equal(p->count, 1);
    const bf_case *c = &p->cases[0];
    assert_true(c->lo[0] == -0.5 && c->hi[0] == 0.5 && c->lo[1] == -1 && c->hi[1] == 0.25);
    assert_true(c->lo_inner[0] == -0.5 && c->hi_inner[1] == 0.25);
    assert_int_equal(c->count, 1);
    assert_int_equal(c->disjuncts[0].count, 2);
    const bf_halfspace *r = c->disjuncts[0].rows;
    assert_int_equal(r[0].y_count, 2);
    assert_int_equal(r[0].x_count, 0);
    assert_true(r[0].y_terms[0].index == 0 && r[0].y_terms[0].coef == 1);
    assert_true(r[0].y_terms[1].index == 1 && r[0].y_terms[1].coef == -1);
    assert_true(r[0].rhs_lo == 0 && r[0].rhs_hi == 0 && !r[0].strict);
    assert_true(r[1].y_terms[0].index == 1 && r[1].y_terms[0].coef == -1);
    assert_true(r[1].rhs_lo == 3 && r[1].rhs_hi == 3 && r[1].strict);
    bf_property_free(p);
    bf_property_free(NULL);
}

static void decimals_are_converted_outward(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_1_1 "(assert (= X_0 0.1))(assert (<= (* 0.1 Y_0) 0.7))");
    const bf_case *c = &p->cases[0];
    assert_true(c->lo[0] < c->hi[0] && nextafter(c->lo[0], 1) == c->hi[0]);
    assert_true(c->lo_inner[0] == c->hi[0] && c->hi_inner[0] == c->lo[0]);
    const bf_halfspace *r = c->disjuncts[0].rows;
    assert_true(r->y_terms[0].coef == 0.1);
    assert_true(r->y_terms[0].coef_err > 0 && r->y_terms[0].coef_err < 1e-16);
    assert_true(r->rhs_lo < r->rhs_hi && r->rhs_lo <= 0.7 && 0.7 <= r->rhs_hi);
    bf_property_free(p);
}

static void a_strict_bound_keeps_its_end_outside(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_1_1 "(assert (and (> X_0 1) (< X_0 2)))");
    const bf_case *c = &p->cases[0];
    assert_true(c->lo[0] == 1 && c->hi[0] == 2);
    assert_true(c->lo_inner[0] == nextafter(1, 2) && c->hi_inner[0] == nextafter(2, 1));
    assert_int_equal(c->disjuncts[0].count, 0);
    bf_property_free(p);
}

static void the_tightest_bound_counts(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_1_1 UNIT_BOX "(assert (<= X_0 3))(assert (<= X_0 0.5))"
                                                "(assert (>= X_0 -2))(assert (>= X_0 0.25))");
    assert_true(p->cases[0].lo[0] == 0.25 && p->cases[0].hi[0] == 0.5);
    bf_property_free(p);
}

static void linear_terms(void **state) {
    (void)state;
    bf_property *p = parse("(declare-fun X_0 () Real)(declare-fun Y_0 () Real)"
                           "(declare-fun Y_1 () Real)" UNIT_BOX
                           "(assert (<= (+ (* 2 (- Y_1 (* Y_0 3 0.5)) 1) Y_0 7) (- (- 1) Y_1)))");
    const bf_halfspace *r = p->cases[0].disjuncts[0].rows;
    assert_int_equal(r->y_count, 2);
    assert_true(r->y_terms[0].coef == -2 && r->y_terms[1].coef == 3 && r->rhs_hi == -8);
    assert_true(r->y_terms[0].coef_err == 0 && r->rhs_lo == r->rhs_hi);
    bf_property_free(p);
}

static void terms_over_inputs(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_2_2 UNIT_BOX_2 "(assert (>= (+ X_0 X_1) 0.5))"
                           "(assert (<= Y_0 X_1))(assert (<= (* -4 X_0) (- X_0 0.625)))");
    assert_true(p->cases[0].lo[0] == 0.125); /* -5 X_0 <= -0.625 */
    assert_int_equal(p->cases[0].disjuncts[0].count, 2);
    const bf_halfspace *r = p->cases[0].disjuncts[0].rows;
    assert_true(r[0].y_count == 0 && r[0].x_count == 2 && r[0].rhs_hi == -0.5);
    assert_true(r[0].x_terms[0].coef == -1 && r[0].x_terms[1].index == 1);
    assert_true(r[1].y_count == 1 && r[1].x_count == 1 && r[1].x_terms[0].index == 1);
    assert_true(r[1].y_terms[0].coef == 1 && r[1].x_terms[0].coef == -1);
    bf_property_free(p);
}

static void an_equation_is_two_rows(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_2_2 UNIT_BOX_2 "(assert (= Y_0 (+ Y_1 2)))");
    assert_int_equal(p->cases[0].disjuncts[0].count, 2);
    const bf_halfspace *r = p->cases[0].disjuncts[0].rows;
    assert_true(r[0].rhs_hi == 2 && r[0].y_terms[0].coef == 1);
    assert_true(r[1].rhs_hi == -2 && r[1].y_terms[0].coef == -1);
    bf_property_free(p);
}

static void constants_are_decided(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_1_1 UNIT_BOX "(assert (< 1 2))(assert (<= (- Y_0 Y_0) 0))"
                           "(assert (or (and (<= 2 1) (<= Y_0 1)) (>= Y_0 2)))");
    assert_int_equal(p->cases[0].count, 1);
    assert_int_equal(p->cases[0].disjuncts[0].count, 1);
    assert_true(p->cases[0].disjuncts[0].rows[0].rhs_hi == -2);
    bf_property_free(p);
}

static void equal_boxes_share_a_case(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_2_2 UNIT_BOX_2
                           "(assert (or (and (<= X_0 0.5) (<= Y_0 1)) (and (>= X_0 0.5) (<= Y_0 2))"
                           "            (and (>= Y_0 3) (<= X_0 0.50) (<= X_0 7)) (<= Y_1 4)))");
    assert_int_equal(p->count, 3);
    assert_int_equal(p->cases[0].count, 2);
    assert_true(p->cases[0].lo[0] == 0 && p->cases[0].hi[0] == 0.5 && p->cases[0].hi[1] == 1);
    assert_true(p->cases[0].disjuncts[0].rows[0].rhs_hi == 1);
    assert_true(p->cases[0].disjuncts[1].rows[0].rhs_hi == -3);
    assert_true(p->cases[1].lo[0] == 0.5 && p->cases[1].hi[0] == 1);
    assert_int_equal(p->cases[2].count, 1);
    assert_true(p->cases[2].lo[0] == 0 && p->cases[2].hi[0] == 1);
    bf_property_free(p);
}

static void disjunctions_multiply_out(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_1_1
                           "(assert (or (and (>= X_0 0) (<= X_0 1)) (and (>= X_0 2) (<= X_0 3))))"
                           "(assert (or (<= Y_0 1) (or (and (>= Y_0 2) (or (<= Y_0 3) (<= Y_0 4))))))"
                           "(assert (<= Y_0 100))");
    assert_int_equal(p->count, 2);
    for (int i = 0; i < 2; i++) {
        const bf_case *c = &p->cases[i];
        assert_true(c->lo[0] == 2 * i && c->hi[0] == 2 * i + 1);
        assert_int_equal(c->count, 3);
        assert_int_equal(c->disjuncts[0].count, 2);
        assert_int_equal(c->disjuncts[1].count, 3);
        for (int d = 0; d < 3; d++) assert_true(c->disjuncts[d].rows[0].rhs_hi == 100);
        assert_true(c->disjuncts[0].rows[1].rhs_hi == 1);
        assert_true(c->disjuncts[1].rows[1].rhs_hi == -2 && c->disjuncts[1].rows[2].rhs_hi == 3);
        assert_true(c->disjuncts[2].rows[2].rhs_hi == 4);
    }
    bf_property_free(p);
}

static void empty_disjuncts_are_dropped(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_1_1 UNIT_BOX "(assert (or (and (>= X_0 2) (<= Y_0 0)) (<= Y_0 1)"
                                                " (and (< X_0 0) (<= Y_0 2))))");
    assert_int_equal(p->count, 1);
    assert_int_equal(p->cases[0].count, 1);
    assert_true(p->cases[0].disjuncts[0].rows[0].rhs_hi == 1);
    bf_property_free(p);
    p = parse(DECLARE_1_1 UNIT_BOX "(assert (or (and (>= X_0 2) (<= Y_0 0))))");
    assert_int_equal(p->count, 0);
    bf_property_free(p);
}

static void no_output_constraint_at_all(void **state) {
    (void)state;
    bf_property *p = parse(DECLARE_1_1 UNIT_BOX);
    assert_int_equal(p->count, 1);
    assert_int_equal(p->cases[0].count, 1);
    assert_int_equal(p->cases[0].disjuncts[0].count, 0);
    bf_property_free(p);
}

/* ---- What is refused ---- */

static void bad_declarations(void **state) {
    (void)state;
    refuse("", BF_STATUS_PARSE, "p.vnnlib:1: no input is declared");
    refuse("(declare-const X_0 Real)\n", BF_STATUS_PARSE, "no output is declared");
    refuse(DECLARE_1_1 "\n(declare-const X_0 Real)", BF_STATUS_PARSE,
           "p.vnnlib:2: X_0 is declared twice, first at line 1");
    refuse("(declare-const X_0 Real)\n(declare-const X_2 Real)(declare-const Y_0 Real)", BF_STATUS_PARSE,
           "p.vnnlib:2: X_2 is declared, but X_1 is not");
    refuse("(declare-const X_2000000000 Real)", BF_STATUS_PARSE, "X_2000000000");
    refuse("(declare-const X_99999999999999999999 Real)", BF_STATUS_PARSE, "not declared");
    refuse("(declare-const X_01 Real)", BF_STATUS_UNSUPPORTED, "'X_01'");
    refuse("(declare-const Z_0 Real)", BF_STATUS_UNSUPPORTED, "'Z_0'");
    refuse("(declare-const X_0 Int)", BF_STATUS_UNSUPPORTED, "'Int'");
    refuse("(declare-fun X_0 (Real) Real)", BF_STATUS_PARSE, "expected ')'");
    refuse("(declare-network f)", BF_STATUS_PARSE, "does not begin with (vnnlib-version <2.0>)");
    refuse("(define-fun f () Real 1)", BF_STATUS_UNSUPPORTED, "'define-fun'");
}

static void bad_formulas(void **state) {
    (void)state;
    refuse(DECLARE_1_1 "\n\n(assert (<= X_7 1))", BF_STATUS_PARSE, "p.vnnlib:3: a variable that is not "
                                                                  "declared: 'X_7'");
    refuse(DECLARE_1_1 "(assert (<= (* X_0\n Y_0) 1))", BF_STATUS_UNSUPPORTED, "product of variables");
    refuse(DECLARE_1_1 "(assert (<= (/ X_0 2) 1))", BF_STATUS_UNSUPPORTED, "'/'");
    refuse(DECLARE_1_1 "(assert (<= X_0 nan))", BF_STATUS_PARSE, "'nan'");
    refuse(DECLARE_1_1 "(assert (<= X_0 -inf))", BF_STATUS_PARSE, "'-inf'");
    refuse(DECLARE_1_1 "(assert (<= X_0 1e400))", BF_STATUS_LIMIT, "'1e400'");
    refuse(DECLARE_1_1 "(assert (<= Y_0 (* 1e200 1e200)))", BF_STATUS_LIMIT, "beyond the range");
    refuse(DECLARE_1_1 "(assert (<= Y_0 (+ 1e308 1e308)))", BF_STATUS_LIMIT, "beyond the range");
    refuse(DECLARE_1_1 "(assert (<= (* 1e200 1e200 Y_0) 1))", BF_STATUS_LIMIT, "beyond the range");
    refuse(DECLARE_1_1 "(assert (<= (* 1e-300 X_0) 1e300))", BF_STATUS_LIMIT, "beyond the range");
    refuse(DECLARE_1_1 "(assert (<= X_0 1.2.3))", BF_STATUS_PARSE, "'1.2.3'");
    refuse(DECLARE_1_1 "(assert (not (<= X_0 1)))", BF_STATUS_UNSUPPORTED, "'not'");
    refuse(DECLARE_1_1 "(assert (<= X_0 Y_0 1))", BF_STATUS_UNSUPPORTED, "third: '1'");
    refuse(DECLARE_1_1 "(assert (<= X_0))", BF_STATUS_PARSE, "operand is missing");
    refuse(DECLARE_1_1 "(assert (<= X_0 (+)))", BF_STATUS_PARSE, "no operand");
    refuse(DECLARE_1_1 "(assert (or))", BF_STATUS_PARSE, "no operand");
    refuse(DECLARE_1_1 "(assert X_0)", BF_STATUS_PARSE, "'X_0'");
    refuse(DECLARE_1_1 "(assert (<= 2 1))", BF_STATUS_PARSE, "never true");
    refuse(DECLARE_1_1 "(assert (<= (* 0.1 0.1) 0.01))", BF_STATUS_UNSUPPORTED, "cannot decide");
    refuse(DECLARE_1_1 "(assert (<= X_0 1)", BF_STATUS_PARSE, "a ')' is missing");
    refuse(DECLARE_1_1 "\n(assert (<= X_0 1)))", BF_STATUS_PARSE, "p.vnnlib:2: a ')' too many");
    refuse(DECLARE_1_1 "(assert\n(or (<= X_0", BF_STATUS_PARSE, "p.vnnlib:2: the file ends inside the "
                                                               "parenthesis opened at line 2");
    refuse(DECLARE_1_1 " assert", BF_STATUS_PARSE, "'assert'");
    expect_error("\0\x01\xff", 3, BF_STATUS_PARSE, "'" "?" "?" "?'");
}

static void every_prefix_of_a_property_is_refused_or_read(void **state) {
    (void)state;
    const char *text = "(set-info :source \"a (b\n\")" DECLARE_2_2 UNIT_BOX_2
                       "(assert (or (and (<= Y_0 (* 2 (- Y_1))) (> X_0 0.5)) (= Y_1 -1e-3)))";
    for (size_t length = 0; length <= strlen(text); length++) {
        bf_property *p = NULL;
        char *copy = malloc(length ? length : 1);
        memcpy(copy, text, length);
        bf_status status = bf_property_parse(copy, length, "p.vnnlib", &p, NULL);
        free(copy);
        assert_true((status == BF_STATUS_OK) == (p != NULL));
        bf_property_free(p);
    }
}

static void missing_bounds_and_empty_boxes(void **state) {
    (void)state;
    refuse(DECLARE_1_1 "\n(assert (<= X_0 1))", BF_STATUS_PARSE, "p.vnnlib:1: X_0 has no lower bound");
    refuse(DECLARE_2_2 UNIT_BOX, BF_STATUS_PARSE, "X_1 has no lower or upper bound");
    refuse(DECLARE_1_1 "(assert (or (and (>= X_0 0) (<= X_0 1))\n (and (<= X_0 2) (<= Y_0 0))))",
           BF_STATUS_PARSE, "X_0 has no lower bound in the disjunct of line 2");
    refuse(DECLARE_1_1 "(assert (>= X_0 2))\n(assert (<= X_0 1))", BF_STATUS_PARSE,
           "p.vnnlib:2: the box is empty: X_0 has the lower bound 2 (line 1) and the upper bound 1 "
           "(line 2)");
    refuse(DECLARE_1_1 "(assert (>= X_0 2))(assert (< X_0 2))", BF_STATUS_PARSE, "the box is empty");
}

static void deep_nesting_is_limited(void **state) {
    (void)state;
    static char text[40000];
    for (int sum = 0; sum < 2; sum++) {
        for (int depth = 990; depth <= 5000; depth += 4010) {
            strcpy(text, DECLARE_1_1 UNIT_BOX "(assert ");
            if (sum) strcat(text, "(<= Y_0 ");
            char *at = text + strlen(text);
            for (int i = 0; i < depth; i++) at = stpcpy(at, sum ? "(- " : i % 2 ? "(or " : "(and ");
            at = stpcpy(at, sum ? "1" : "(<= Y_0 1)");
            for (int i = 0; i < depth + 1 + sum; i++) *at++ = ')';
            *at = '\0';
            if (depth < 1000) bf_property_free(parse(text));
            else refuse(text, BF_STATUS_LIMIT, "nested");
        }
    }
}

static void the_normal_form_is_limited(void **state) {
    (void)state;
    static char text[20000];
    for (int count = 16; count <= 70; count += 54) {
        strcpy(text, DECLARE_1_1 UNIT_BOX);
        for (int i = 0; i < count; i++) strcat(text, "(assert (or (<= Y_0 1) (>= Y_0 2)))");
        if (count == 70) {
            refuse(text, BF_STATUS_LIMIT, "disjuncts");
            continue;
        }
        bf_property *p = parse(text);
        assert_int_equal(p->cases[0].count, 1 << count);
        assert_int_equal(p->cases[0].disjuncts[12345].count, count);
        bf_property_free(p);
    }
}

/* ---- Size ---- */

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void many_disjuncts(void **state) {
    (void)state;
    enum { COUNT = 20000, BOXES = 10000 };
    char *text = malloc((size_t)COUNT * 240 + 1000), *at = text;
    assert_non_null(text);
    at = stpcpy(at, DECLARE_2_2 "(assert (or\n");
    for (int i = 0; i < COUNT; i++)
        at += sprintf(at, "  (and (>= X_0 %.16f)\n (<= X_0 %.16f)\n (>= X_1 -1.5e-1)\n (<= X_1 0.7)\n"
                          " (<= Y_0 %.17g))\n", i / 2 * 1e-4, (i / 2 + 1) * 1e-4, i * 0.123456789);
    at = stpcpy(at, "))\n");
    double start = seconds();
    bf_property *p = parse(text);
    print_message("%d disjuncts of 5 atoms, %.1f MB: %.0f ms\n", COUNT, (double)(at - text) * 1e-6,
                  1e3 * (seconds() - start));
    assert_int_equal(p->count, BOXES);
    for (int i = 0; i < BOXES; i++) {
        const bf_case *c = &p->cases[i];
        assert_int_equal(c->count, 2);
        assert_true(fabs(c->lo[0] - i * 1e-4) < 1e-12 && fabs(c->hi[0] - (i + 1) * 1e-4) < 1e-12);
        assert_true(c->lo[1] == -0.15 || nextafter(c->lo[1], 1) == -0.15);
        for (int d = 0; d < 2; d++) {
            const bf_halfspace *r = c->disjuncts[d].rows;
            assert_true(fabs(r->rhs_hi - (2 * i + d) * 0.123456789) < 1e-9);
        }
    }
    bf_property_free(p);
    free(text);
}

/* ---- Files ---- */

static void files_that_cannot_be_read(void **state) {
    (void)state;
    bf_property *p = NULL;
    bf_error err;
    assert_int_equal(bf_property_load("/nonexistent/p.vnnlib", &p, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "/nonexistent/p.vnnlib"));
    char name[] = "/tmp/bf_test_vnnlib_XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    close(fd);
    static const char truncated[] = "\x1f\x8b\x08\0\0\0\0\0\0\x03\xd3\x48\x49\x4d";
    assert_int_equal(bfi_file_write(name, truncated, sizeof truncated - 1, NULL), BF_STATUS_OK);
    assert_int_equal(bf_property_load(name, &p, &err), BF_STATUS_PARSE);
    assert_non_null(strstr(err.message, "truncated gzip"));
    unlink(name);
    assert_null(p);
}

/* Number of `(declare-const |letter|_` in the file. */
static int64_t count_declared(const char *text, char letter) {
    char word[] = "(declare-const X_";
    word[15] = letter;
    int64_t n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++) n++;
    return n;
}

static void check_public_file(const char *path, double *worst, char *slowest, size_t capacity) {
    bf_property *p = NULL;
    bf_error err;
    double start = seconds();
    if (bf_property_load(path, &p, &err) != BF_STATUS_OK) fail_msg("%s", err.message);
    double took = seconds() - start;
    if (took > *worst) {
        *worst = took;
        snprintf(slowest, capacity, "%s", path);
    }
    char *text;
    size_t length;
    assert_int_equal(bfi_file_read(path, SIZE_MAX >> 1, &text, &length, &err), BF_STATUS_OK);
    assert_int_equal(p->n_in, count_declared(text, 'X'));
    assert_int_equal(p->n_out, count_declared(text, 'Y'));
    free(text);
    assert_true(p->count > 0);
    for (int32_t i = 0; i < p->count; i++) {
        const bf_case *c = &p->cases[i];
        assert_true(c->count > 0 && c->disjuncts[0].count > 0);
        for (int64_t j = 0; j < p->n_in; j++) {
            assert_true(c->lo[j] <= c->hi[j] && isfinite(c->lo[j]) && isfinite(c->hi[j]));
            assert_true(c->lo[j] <= c->lo_inner[j] && c->hi_inner[j] <= c->hi[j]);
        }
    }
    bf_property_free(p);
}

static int check_folder(const char *folder, double *worst, char *slowest, size_t capacity) {
    DIR *dir = opendir(folder);
    int files = 0;
    if (!dir) return 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[2048];
        if (!strstr(entry->d_name, ".vnnlib")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        check_public_file(path, worst, slowest, capacity);
        files++;
    }
    closedir(dir);
    return files;
}

static void every_public_property_is_read(void **state) {
    (void)state;
    const char *data = getenv("BOUNDFLOW_DATA");
    char folder[1024], family[1600], slowest[2048] = "";
    snprintf(folder, sizeof folder, "%s/vnncomp", data ? data : "../shared/data");
    DIR *dir = opendir(folder);
    if (!dir) {
        print_message("SKIPPED: no public properties in %s (set BOUNDFLOW_DATA)\n", folder);
        skip();
    }
    double worst = 0;
    int files = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(family, sizeof family, "%s/%s/vnnlib", folder, entry->d_name);
        files += check_folder(family, &worst, slowest, sizeof slowest);
    }
    closedir(dir);
    print_message("%d public properties read; the slowest took %.1f ms: %s\n", files, 1e3 * worst,
                  slowest);
    assert_true(files > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_box_and_a_conjunction),
        cmocka_unit_test(decimals_are_converted_outward),
        cmocka_unit_test(a_strict_bound_keeps_its_end_outside),
        cmocka_unit_test(the_tightest_bound_counts),
        cmocka_unit_test(linear_terms),
        cmocka_unit_test(terms_over_inputs),
        cmocka_unit_test(an_equation_is_two_rows),
        cmocka_unit_test(constants_are_decided),
        cmocka_unit_test(equal_boxes_share_a_case),
        cmocka_unit_test(disjunctions_multiply_out),
        cmocka_unit_test(empty_disjuncts_are_dropped),
        cmocka_unit_test(no_output_constraint_at_all),
        cmocka_unit_test(bad_declarations),
        cmocka_unit_test(bad_formulas),
        cmocka_unit_test(every_prefix_of_a_property_is_refused_or_read),
        cmocka_unit_test(missing_bounds_and_empty_boxes),
        cmocka_unit_test(deep_nesting_is_limited),
        cmocka_unit_test(the_normal_form_is_limited),
        cmocka_unit_test(many_disjuncts),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(every_public_property_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
