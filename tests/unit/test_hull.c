/* Cuts from the hull of a kink: they hold in exact arithmetic at all points of the box, corners
 * among them, are met at the corner they were made for, and say nothing where there is nothing to
 * say. */
#include "solver_kit.h"
#include "verify/solver/hull.h"
#include "verify/store/encode.h"

enum { PARTS = 7, CORNERS = 200 };

/* out = kink(sum of value[i] * column i + constant), columns PARTS and PARTS + 1 its input and
 * output. */
typedef struct sum_case {
    bfi_encoding e;
    double lo[PARTS + 2], hi[PARTS + 2], value[PARTS + 1], row_lo, row_hi;
    int64_t start[2];
    int32_t index[PARTS + 1];
    bfi_kink kink;
} sum_case;

static void make(sum_case *c, net_style style, double below) {
    double least, most;
    memset(c, 0, sizeof *c);
    least = most = -(c->row_lo = c->row_hi = net_number(style));
    for (int i = 0; i < PARTS; i++) {
        double a = net_number(style), b = net_number(style);
        c->lo[i] = fmin(a, b), c->hi[i] = kit_int(0, 5) ? fmax(a, b) : c->lo[i];
        c->value[i] = net_number(style), c->index[i] = i;
        double p = c->value[i] * c->lo[i], q = c->value[i] * c->hi[i];
        least += fmin(p, q), most += fmax(p, q);
    }
    double wide = 0x1p-40 * (fabs(least) + fabs(most) + 1);
    c->lo[PARTS] = least - wide, c->hi[PARTS] = most + wide;
    c->lo[PARTS + 1] = fmin(below * least, 0) - wide, c->hi[PARTS + 1] = fmax(most, 0) + wide;
    c->value[PARTS] = -1, c->index[PARTS] = PARTS;
    c->start[1] = PARTS + 1;
    c->kink = (bfi_kink){.in = PARTS, .out = PARTS + 1, .slope = {below, 1}};
    c->e = (bfi_encoding){.cols = PARTS + 2,
                          .lo = c->lo,
                          .hi = c->hi,
                          .rows = 1,
                          .start = c->start,
                          .index = c->index,
                          .value = c->value,
                          .row_lo = &c->row_lo,
                          .row_hi = &c->row_hi,
                          .goal = 1,
                          .kinks = &c->kink,
                          .kink_count = 1};
}

/* A corner of the box or (|inside|) a point of it, and what the network makes of it. */
static void point_of(const sum_case *c, bool inside, double *x) {
    double z = -c->row_lo;
    for (int i = 0; i < PARTS; i++) {
        double t = inside ? (net_uniform() + 1) / 2 : (double)kit_int(0, 1);
        x[i] = fmin(fmax(c->lo[i] + t * (c->hi[i] - c->lo[i]), c->lo[i]), c->hi[i]);
        if (!inside) x[i] = t > 0 ? c->hi[i] : c->lo[i];
        z += c->value[i] * x[i];
    }
    x[PARTS] = z, x[PARTS + 1] = z * c->kink.slope[z >= 0];
}

/* The cut at the exact value of the kink for inputs |x|: at most its right side. */
static void check_exactly(const sum_case *c, const bfi_hull_cut *cut, const double *x) {
    static exact z, y, left;
    exact_set(&z, -c->row_lo);
    for (int i = 0; i < PARTS; i++) {
        exact xi;
        exact_set(&xi, x[i]);
        exact_accumulate(&z, c->value[i], &xi);
    }
    exact_set(&y, 0);
    exact_accumulate(&y, c->kink.slope[z.count == 0 || z.sign >= 0], &z);
    exact_set(&left, 0);
    for (int32_t k = 0; k < cut->count; k++) {
        exact xk;
        if (cut->index[k] == PARTS + 1) {
            exact_accumulate(&left, cut->value[k], &y);
            continue;
        }
        exact_set(&xk, x[cut->index[k]]);
        exact_accumulate(&left, cut->value[k], &xk);
    }
    if (!exact_at_most(&left, cut->hi)) fail_msg("a point violates the cut");
}

static double left_of(const bfi_hull_cut *cut, const double *x) {
    double left = 0;
    for (int32_t k = 0; k < cut->count; k++) left += cut->value[k] * x[cut->index[k]];
    return left;
}

static void test_holds(void **state) {
    (void)state;
    int cuts = 0;
    for (int i = 0; i < 600; i++) {
        kit_seed((unsigned)i + 1);
        sum_case c;
        double x[PARTS + 2];
        bfi_hull_cut cut;
        make(&c, (net_style)(i % NET_STYLES), i % 3 ? 0 : 0.125);
        bfi_hull *hull = bfi_hull_create(&c.e);
        assert_non_null(hull);
        point_of(&c, true, x);
        x[PARTS + 1] = c.hi[PARTS + 1]; /* far above the kink */
        if (bfi_hull_cut_at(hull, 0, x, 0, &cut)) {
            assert_int_equal(cut.kink, 0);
            cuts++;
            for (int k = 0; k < CORNERS; k++) {
                point_of(&c, k % 4 == 0, x);
                check_exactly(&c, &cut, x);
            }
        }
        bfi_hull_free(hull);
    }
    print_message("%d cuts\n", cuts);
    assert_true(cuts > 200);
}

/* At a corner the hull is the kink; inside it is never above the chord. */
static void test_tight(void **state) {
    (void)state;
    int corners = 0, below = 0;
    for (int i = 0; i < 300; i++) {
        kit_seed((unsigned)i + 5);
        sum_case c;
        double x[PARTS + 2];
        bfi_hull_cut cut;
        make(&c, NET_PLAIN, 0);
        if (!(c.lo[PARTS] < -0.1 && c.hi[PARTS] > 0.1)) continue;
        bfi_hull *hull = bfi_hull_create(&c.e);
        point_of(&c, false, x);
        double y = x[PARTS + 1], chord = c.hi[PARTS] / (c.hi[PARTS] - c.lo[PARTS]);
        x[PARTS + 1] = y + 1;
        assert_true(bfi_hull_cut_at(hull, 0, x, 0, &cut));
        x[PARTS + 1] = y;
        assert_true(fabs(left_of(&cut, x) - cut.hi) < 1e-11);
        corners++;
        point_of(&c, true, x);
        x[PARTS + 1] = chord * (x[PARTS] - c.lo[PARTS]);
        if (bfi_hull_cut_at(hull, 0, x, 0, &cut)) {
            assert_true(left_of(&cut, x) > cut.hi);
            below++;
        }
        /* nothing to say where the kink is met, or nearly */
        x[PARTS + 1] = fmax(x[PARTS], 0);
        assert_false(bfi_hull_cut_at(hull, 0, x, 0, &cut));
        x[PARTS + 1] += 1e-3;
        assert_false(bfi_hull_cut_at(hull, 0, x, 1, &cut));
        bfi_hull_free(hull);
    }
    assert_true(corners > 100 && below > 90);
}

static void test_none(void **state) {
    (void)state;
    sum_case c;
    double x[PARTS + 2];
    bfi_hull_cut cut;
    kit_seed(9);
    do make(&c, NET_PLAIN, 0);
    while (!(c.lo[PARTS] < 0 && c.hi[PARTS] > 0));
    point_of(&c, true, x);
    x[PARTS + 1] = 100;
    for (int what = 0; what < 5; what++) {
        sum_case d = c;
        d.e.lo = d.lo, d.e.hi = d.hi, d.e.value = d.value, d.e.row_lo = &d.row_lo;
        d.e.start = d.start, d.e.index = d.index, d.e.row_hi = &d.row_hi, d.e.kinks = &d.kink;
        if (what == 1) d.kink.slope[0] = -1; /* falls */
        if (what == 2) d.kink.slope[0] = 2;  /* concave */
        if (what == 3) d.row_lo = -INFINITY; /* no sum */
        if (what == 4) d.lo[PARTS] = 0;      /* of one sign */
        bfi_hull *hull = bfi_hull_create(&d.e);
        assert_int_equal(bfi_hull_cut_at(hull, 0, x, 0, &cut), what == 0);
        bfi_hull_free(hull);
    }
}

/* y = sum of relus of 12 inputs' sums: a proof by chords alone takes 29 programs. */
static void test_solver(void **state) {
    (void)state;
    enum { INPUTS = 12, HIDDEN = 16 };
    /* LeakSanitizer reads thread-local memory of libraries that have been closed: HiGHS stays. */
    static bfi_solver *library;
    if (!solver_there(BFI_SOLVER_MIP)) skip();
    for (int semantics = 0; semantics < 2; semantics++) {
        kit_seed(4);
        bfi_graph *graph = kit_graph(KIT_SHAPE(INPUTS));
        int a = net_linear(graph, NET_PLAIN, 0, 1, INPUTS, HIDDEN);
        graph->output =
            net_linear(graph, NET_PLAIN, net_same(graph, BFI_OP_RELU, a, -1), 1, HIDDEN, 1);
        kit_validate(graph);
        bf_model *model = net_model(graph);
        double least = INFINITY;
        for (int i = 0; i < 1 << INPUTS; i++) {
            double x[INPUTS], y;
            for (int k = 0; k < INPUTS; k++) x[k] = i >> k & 1 ? 1 : -1;
            assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, &y, NULL, NULL),
                             BF_STATUS_OK);
            least = fmin(least, y);
        }
        for (int found = 0; found < 2; found++) {
            solver_property p;
            solver_property_init(&p, model);
            for (int k = 0; k < INPUTS; k++) p.lo[k] = -1, p.hi[k] = 1;
            solver_property_row(&p, 1, 0, 0, 0, least + (found ? 0.05 : -0.25));
            bfi_solver *solver = solver_new(model, &p, BFI_SOLVER_MIP, (bf_semantics)semantics);
            if (!library) library = solver_new(model, &p, BFI_SOLVER_MIP, BF_SEMANTICS_REAL);
            bfi_solver_result r =
                solver_ask(model, solver, &p, (bf_semantics)semantics, (bfi_leaf){0});
            assert_int_equal(r.outcome, found ? BFI_SOLVER_FOUND : BFI_SOLVER_REFUTED);
            if (!found) print_message("%d programs\n", (int)r.nodes);
            if (!found) assert_true(r.lower > 0 && r.lower <= 0.25 && r.nodes < 20);
            bfi_solver_free(solver);
        }
        bf_model_free(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_holds), cmocka_unit_test(test_tight),
                                       cmocka_unit_test(test_none), cmocka_unit_test(test_solver)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
