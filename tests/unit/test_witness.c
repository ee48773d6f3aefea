/* check/witness.h: where a witness is put, which disjuncts count, and what is refused. */
#include <math.h>
#include <stdio.h>

#include "base/decimal.h"
#include "base/fp.h"
#include "check/witness.h"
#include "graph_kit.h"

enum { N = 3 };

/* One case over N inputs and as many outputs; rows are added by hand. */
typedef struct fixture {
    bf_property property;
    bf_case only;
    double lo[N], hi[N], lo_inner[N], hi_inner[N];
    bf_polytope disjuncts[2];
    bf_halfspace rows[3];
    bf_term terms[3][2];
} fixture;

/* Disjunct 0: y0 - y1 <= 0.5. Disjunct 1: 2 y2 < -3 and y2 + x0 <= 100. Box [0, 1]^N. */
static void set_up(fixture *f) {
    *f = (fixture){.property = {.n_in = N, .n_out = N, .count = 1, .source = ""}};
    for (int i = 0; i < N; i++) f->hi[i] = f->hi_inner[i] = 1;
    f->only = (bf_case){f->lo, f->hi, f->lo_inner, f->hi_inner, f->disjuncts, 2};
    f->property.cases = &f->only;
    f->disjuncts[0] = (bf_polytope){f->rows, 1};
    f->disjuncts[1] = (bf_polytope){f->rows + 1, 2};
    f->terms[0][0] = (bf_term){0, 1, 0};
    f->terms[0][1] = (bf_term){1, -1, 0};
    f->terms[1][0] = (bf_term){2, 2, 0};
    f->terms[2][0] = (bf_term){2, 1, 0};
    f->terms[2][1] = (bf_term){0, 1, 0};
    f->rows[0] = (bf_halfspace){f->terms[0], 2, NULL, 0, 0.5, 0.5, 0};
    f->rows[1] = (bf_halfspace){f->terms[1], 1, NULL, 0, -3, -3, 1};
    f->rows[2] = (bf_halfspace){f->terms[2], 1, f->terms[2] + 1, 1, 100, 100, 0};
}

/* y = scale * x + shift */
static bfi_graph *affine(const double *scale, const double *shift) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(N));
    bfi_node *node = kit_add(graph, BFI_OP_SCALE_SHIFT, 0, -1, KIT_SHAPE(N));
    node->weight = kit_numbers(scale, N);
    node->bias = kit_numbers(shift, N);
    kit_validate(graph);
    return graph;
}

static bool check(const bfi_graph *graph, const fixture *f, const double *x, bf_semantics semantics,
                  bfi_witness *witness) {
    bool accepted = false;
    *witness = (bfi_witness){.disjunct = -7};
    assert_int_equal(
        bfi_witness_check(graph, &f->property, 0, x, semantics, &accepted, witness, NULL),
        BF_STATUS_OK);
    if (!accepted) assert_true(!witness->x && !witness->y && witness->disjunct == -7);
    return accepted;
}

static void violations(void **state) {
    (void)state;
    fixture f;
    set_up(&f);
    const double x[N] = {1, 0, 0};
    assert_true(bfi_polytope_violation(&f.disjuncts[0], x, (double[]){1, 0, 0}) == 0.5);
    assert_true(bfi_polytope_violation(&f.disjuncts[0], x, (double[]){1, 0.5, 0}) == 0);
    assert_true(bfi_polytope_violation(&f.disjuncts[1], x, (double[]){0, 0, -2}) == -1);
    assert_true(bfi_polytope_violation(&f.disjuncts[1], x, (double[]){0, 0, -1.5}) > 0);
    assert_true(bfi_polytope_violation(&f.disjuncts[1], x, (double[]){0, 0, 200}) == 403);
    assert_true(bfi_polytope_violation(&f.disjuncts[0], x, (double[]){(double)NAN, 0, 0}) > 0);
    bf_polytope all = {NULL, 0};
    assert_true(bfi_polytope_violation(&all, x, x) < 0);
    f.rows[0].rhs_lo = 0.25; /* the written number may be as low as that */
    assert_true(bfi_polytope_violation(&f.disjuncts[0], x, (double[]){1, 0.5, 0}) == 0.25);
    f.terms[0][0].coef_err = 0.125;
    assert_true(bfi_polytope_violation(&f.disjuncts[0], x, (double[]){1, 0.5, 0}) == 0.375);
}

static void accepts_and_names_the_disjunct(void **state) {
    (void)state;
    fixture f;
    bfi_witness w;
    set_up(&f);
    bfi_graph *graph = affine((double[]){4, 1, -8}, (double[]){0, 0, 0});
    for (int s = 0; s < 2; s++) {
        bf_semantics semantics = s ? BF_SEMANTICS_FLOAT32 : BF_SEMANTICS_REAL;
        assert_true(check(graph, &f, (double[]){0.125, 0.5, 0}, semantics, &w));
        assert_int_equal(w.disjunct, 0);
        assert_int_equal(w.case_index, 0);
        assert_true(w.x[1] == 0.5 && w.y[0] == 0.5);
        bfi_witness_clear(&w);
        assert_null(w.x);
        assert_true(check(graph, &f, (double[]){1, 0, 0.5}, semantics, &w));
        assert_int_equal(w.disjunct, 1);
        bfi_witness_clear(&w);
        assert_false(check(graph, &f, (double[]){1, 0, 0.125}, semantics, &w));
    }
    bfi_graph_free(graph);
}

static void puts_points_inside_the_box(void **state) {
    (void)state;
    fixture f;
    bfi_witness w;
    set_up(&f);
    bfi_graph *graph = affine((double[]){0, 0, 0}, (double[]){0, 0, 0});
    /* 0.1 is no float32: the upper end goes down, the lower end up */
    double tenth = 0.1, below = nextafter(0.1, 0);
    f.lo[0] = below, f.hi[0] = tenth;
    f.lo_inner[0] = tenth, f.hi_inner[0] = below; /* fixed to the decimal */
    f.hi[1] = f.hi_inner[1] = tenth;
    f.lo[2] = f.lo_inner[2] = tenth;
    assert_true(check(graph, &f, (double[]){0.7, 0.7, -3}, BF_SEMANTICS_REAL, &w));
    assert_true(w.x[0] == (double)0.1f);
    assert_true(w.x[1] <= tenth && (double)nextafterf((float)w.x[1], 1) > tenth);
    assert_true(w.x[2] >= tenth && (double)nextafterf((float)w.x[2], 0) < tenth);
    bfi_witness_clear(&w);
    assert_true(check(graph, &f, (double[]){0.7, 0.03, 0.3}, BF_SEMANTICS_REAL, &w));
    assert_true(w.x[1] == (double)0.03f && w.x[2] == (double)0.3f);
    bfi_witness_clear(&w);
    assert_true(check(graph, &f, (double[]){0.7, (double)NAN, 0.3}, BF_SEMANTICS_REAL, &w));
    assert_true(w.x[1] == 0); /* a point that is no number is put on the lower end */
    bfi_witness_clear(&w);
    bfi_graph_free(graph);
}

static void nine_digits_bring_every_float_back(void **state) {
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)kit_bits() ^ (uint32_t)(kit_bits() << 13);
        float x;
        char text[40];
        double lo, hi, nearest;
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x)) continue;
        snprintf(text, sizeof text, "%.9g", (double)x);
        assert_true(bfi_decimal_read(text, strlen(text), &lo, &hi, &nearest));
        assert_true((float)nearest == x && strtof(text, NULL) == x);
    }
}

/* (x + 2^30) - 2^30 loses x in float32 alone: the semantics decide which result counts, and as the
 * two differ too much both refuse. */
static void evaluations_have_to_agree(void **state) {
    (void)state;
    fixture f;
    bfi_witness w;
    set_up(&f);
    f.property.cases->count = 1;
    bfi_graph *graph = affine((double[]){1, 1, 1}, (double[]){0x1p30, 0, 0});
    kit_add(graph, BFI_OP_SCALE_SHIFT, 1, -1, KIT_SHAPE(N))->bias =
        kit_numbers((double[]){-0x1p30, 0, 0}, N);
    kit_validate(graph);
    assert_false(check(graph, &f, (double[]){0.75, 0, 0}, BF_SEMANTICS_FLOAT32, &w));
    assert_false(check(graph, &f, (double[]){0.4, 0, 0}, BF_SEMANTICS_REAL, &w));
    assert_true(check(graph, &f, (double[]){0, 0, 0}, BF_SEMANTICS_REAL, &w));
    bfi_witness_clear(&w);
    bfi_graph_free(graph);
}

/* At x0 = 2^-24 exact arithmetic gives y0 = 1 + 2^-24 > 1, float32 gives 1 (ties to even). */
static void semantics_decide_close_calls(void **state) {
    (void)state;
    fixture f;
    bfi_witness w;
    set_up(&f);
    f.property.cases->count = 1;
    f.rows[0].rhs_lo = f.rows[0].rhs_hi = 1;
    bfi_graph *graph = affine((double[]){1, 1, 1}, (double[]){1, 0, 0});
    assert_false(check(graph, &f, (double[]){0x1p-24, 0, 0}, BF_SEMANTICS_REAL, &w));
    assert_true(check(graph, &f, (double[]){0x1p-24, 0, 0}, BF_SEMANTICS_FLOAT32, &w));
    bfi_witness_clear(&w);
    bfi_graph_free(graph);
}

static void infinite_results_are_refused(void **state) {
    (void)state;
    fixture f;
    bfi_witness w;
    set_up(&f);
    bfi_graph *graph = affine((double[]){1, 1, 1}, (double[]){0, 0, 0});
    kit_add(graph, BFI_OP_LOG, 1, -1, KIT_SHAPE(N));
    kit_validate(graph);
    assert_false(check(graph, &f, (double[]){0, 1, 1}, BF_SEMANTICS_REAL, &w)); /* log 0 */
    f.lo[0] = f.hi[0] = f.lo_inner[0] = f.hi_inner[0] = 1e300;
    assert_false(check(graph, &f, (double[]){0, 1, 1}, BF_SEMANTICS_REAL, &w)); /* no float32 */
    bfi_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(violations),
        cmocka_unit_test(accepts_and_names_the_disjunct),
        cmocka_unit_test(puts_points_inside_the_box),
        cmocka_unit_test(nine_digits_bring_every_float_back),
        cmocka_unit_test(evaluations_have_to_agree),
        cmocka_unit_test(semantics_decide_close_calls),
        cmocka_unit_test(infinite_results_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
