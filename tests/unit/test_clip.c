/* Clipping never cuts off a point that satisfies the lines, and finds what lines say together. */
#include <math.h>

#include "graph_kit.h"
#include "verify/bab/branch.h"
#include "verify/bab/clip.h"
#include "verify/bab/state.h"

enum { INPUTS = 4, ROWS = 3, POINTS = 60 };

static double uniform(void) { return (double)kit_int(-1000000, 1000000) / 1e6; }

typedef struct setting {
    double lo[INPUTS], hi[INPUTS], a[ROWS * INPUTS], k[ROWS];
} setting;

static setting random_setting(void) {
    setting s;
    double scale = kit_int(0, 3) ? 1 : 1e6;
    for (int i = 0; i < INPUTS; i++) {
        double x = uniform(), y = uniform();
        s.lo[i] = fmin(x, y), s.hi[i] = kit_int(0, 5) ? fmax(x, y) : s.lo[i];
    }
    for (int j = 0; j < ROWS * INPUTS; j++) s.a[j] = kit_int(0, 5) ? scale * uniform() : 0;
    for (int r = 0; r < ROWS; r++) s.k[r] = scale * uniform();
    if (!kit_int(0, 9)) s.k[kit_int(0, ROWS - 1)] = -INFINITY;
    return s;
}

static double at(const double *a, double k, const double *x) {
    for (int i = 0; i < INPUTS; i++) k += a[i] * x[i];
    return k;
}

static void random_point(const setting *s, double *x) {
    for (int i = 0; i < INPUTS; i++) {
        double share = (double)kit_int(0, 4) / 4;
        x[i] = kit_int(0, 1) ? s->lo[i] + share * (s->hi[i] - s->lo[i]) : s->hi[i];
        x[i] = fmin(fmax(x[i], s->lo[i]), s->hi[i]);
    }
}

static void test_points_stay(void **unused) {
    (void)unused;
    int cut = 0, empty = 0, together = 0;
    for (int round = 0; round < 4000; round++) {
        setting s = random_setting(), c = s;
        double weights[ROWS] = {0}, line[INPUTS], constant;
        double least =
            bfi_clip_combine(INPUTS, ROWS, s.a, s.k, s.lo, s.hi, weights, line, &constant);
        bool left = bfi_clip_box(INPUTS, line, constant, c.lo, c.hi), alone = false;
        for (int r = 0; r < ROWS; r++)
            alone = alone || bfi_clip_least(INPUTS, s.a + r * INPUTS, s.k[r], s.lo, s.hi) > 0;
        assert_int_equal(left, !(least > 0));
        for (int r = 0; r < ROWS && left; r++)
            left = bfi_clip_box(INPUTS, s.a + r * INPUTS, s.k[r], c.lo, c.hi);
        empty += !left;
        together += least > 0 && !alone;
        for (int i = 0; i < INPUTS && left; i++) {
            assert_true(c.lo[i] >= s.lo[i] && c.hi[i] <= s.hi[i] && c.lo[i] <= c.hi[i]);
            cut += c.hi[i] - c.lo[i] < s.hi[i] - s.lo[i];
        }
        for (int p = 0; p < POINTS; p++) {
            double x[INPUTS];
            random_point(&s, x);
            bool satisfies = true, inside = left;
            for (int r = 0; r < ROWS; r++)
                satisfies = satisfies && at(s.a + r * INPUTS, s.k[r], x) <= 0;
            for (int i = 0; i < INPUTS; i++) inside = inside && x[i] >= c.lo[i] && x[i] <= c.hi[i];
            if (satisfies && !inside) fail_msg("a point was cut off in round %d", round);
            if (least > -INFINITY && at(line, constant, x) < least - 1e-9 * fabs(least))
                fail_msg("the line is below its minimum in round %d", round);
        }
    }
    assert_true(cut > 1000 && empty > 100 && together > 10);
}

/* x + y >= 1 and x + y <= -1 exclude each other, neither does alone. */
static void test_together(void **unused) {
    (void)unused;
    const double lo[] = {-4, -4}, hi[] = {4, 4}, a[] = {-1, -1, 2, 2}, k[] = {1, 2};
    double weights[2] = {0}, line[2], constant;
    assert_true(bfi_clip_least(2, a, k[0], lo, hi) < 0);
    assert_true(bfi_clip_combine(2, 2, a, k, lo, hi, weights, line, &constant) > 1);
    assert_true(fabs(weights[0] - 2.0 / 3) < 1e-3);
    double l[] = {-4, 0}, h[] = {4, 1}; /* x >= 1 - y >= 0 */
    assert_true(bfi_clip_box(2, a, k[0], l, h));
    assert_true(l[0] <= 0 && l[0] > -1e-9 && h[0] == 4 && l[1] == 0 && h[1] == 1);
}

static void test_state(void **unused) {
    (void)unused;
    bfi_state_bytes bytes = {0};
    for (int round = 0; round < 50; round++) {
        int n = (int)kit_int(1, 2 * BFI_STATE_INPUTS), rows = (int)kit_int(1, 9);
        double lo[2 * BFI_STATE_INPUTS], hi[2 * BFI_STATE_INPUTS];
        float margins[9];
        bfi_candidate candidates[5];
        for (int i = 0; i < n; i++) lo[i] = uniform(), hi[i] = lo[i] + 1;
        for (int r = 0; r < rows; r++) margins[r] = (float)uniform();
        for (int i = 0; i < 5; i++) candidates[i] = (bfi_candidate){{i, 2 * i, uniform()}, i};
        bfi_state in = {lo, hi, margins, candidates, (int)kit_int(0, 5)}, out;
        assert_int_equal(bfi_state_pack(n, rows, &in, &bytes, NULL), BF_STATUS_OK);
        assert_true(bfi_state_unpack(n, rows, bytes.data, &out));
        assert_int_equal(out.lo != NULL, n <= BFI_STATE_INPUTS);
        for (int i = 0; out.lo && i < n; i++) assert_true(out.lo[i] == lo[i] && out.hi[i] == hi[i]);
        for (int r = 0; r < rows; r++) assert_true(out.margins[r] == margins[r]);
        assert_int_equal(out.count, in.count);
        for (int i = 0; i < in.count; i++) {
            assert_true(out.candidates[i].estimate == candidates[i].estimate);
            assert_true(out.candidates[i].decision.point == candidates[i].decision.point);
        }
    }
    bfi_state none;
    assert_false(bfi_state_unpack(1, 1, NULL, &none));
    assert_null(none.lo);
    free(bytes.data);
}

static void test_filter(void **unused) {
    (void)unused;
    bfi_candidate c[] = {{{-1, 0, 0}, 1}, {{-1, 1, 0}, 4}, {{-1, 2, 0}, 3}, {{-1, 3, 0}, INFINITY}};
    assert_int_equal(bfi_branch_filter(c, 3, 3, 9), 2); /* 4 and 3; 1 promises too little */
    assert_int_equal(c[0].decision.index, 1);
    assert_int_equal(c[1].decision.index, 2);
    assert_int_equal(bfi_branch_filter(c, 3, 1, 9), 1);
    assert_int_equal(bfi_branch_filter(c, 4, 1, 9), 1); /* what is not known is measured first */
    assert_int_equal(c[0].decision.index, 3);
    const float before[] = {-4, -4, 1};
    const double low[] = {-3, -1, 9}, high[] = {5, -6, 9};
    const bool wanted[] = {true, false, true};
    assert_true(bfi_branch_gain(3, wanted, before, low, high) == 1 + 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_points_stay),
                                       cmocka_unit_test(test_together),
                                       cmocka_unit_test(test_state), cmocka_unit_test(test_filter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
