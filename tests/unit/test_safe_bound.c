/* Safe bounds of linear programs: never above the exact optimum, whatever multipliers they are
 * given; close to it when these are right. */
#include "exact.h"
#include "random_nets.h"
#include "verify/solver/safe_bound.h"

enum { COLS = 5, ROWS = 6, ENTRIES = COLS * ROWS, ROUNDS = 400 };

typedef struct program {
    bfi_linear_program lp;
    double lo[COLS], hi[COLS], row_lo[ROWS], row_hi[ROWS], value[ENTRIES];
    int32_t start[ROWS + 1], index[ENTRIES];
} program;

/* A program whose rows all hold at |inside|. */
static void fill(program *p, net_style style, const double *inside) {
    p->lp = (bfi_linear_program){COLS,      ROWS,      0,        p->lo,    p->hi,
                                 p->row_lo, p->row_hi, p->start, p->index, p->value};
    int32_t at = 0;
    for (int32_t j = 0; j < COLS; j++) {
        p->lo[j] = inside[j] - (kit_int(0, 3) ? fabs(net_number(style)) : 0);
        p->hi[j] = inside[j] + (kit_int(0, 3) ? fabs(net_number(style)) : 0);
    }
    for (int32_t r = 0; r < ROWS; r++) {
        p->start[r] = at;
        double sum = 0, size = 0;
        for (int32_t j = 0; j < COLS; j++) {
            if (!kit_int(0, 2)) continue;
            p->index[at] = j, p->value[at] = net_number(style);
            sum += p->value[at] * inside[j], size += fabs(p->value[at] * inside[j]);
            at++;
        }
        size = size * 0x1p-40 + 0x1p-1000;
        int64_t kind = kit_int(0, 3);
        p->row_lo[r] = kind == 0 ? -INFINITY : sum - size - (kind == 1 ? 1 : 0);
        p->row_hi[r] = kind == 1 ? INFINITY : sum + size + (kind == 0 ? 1 : 0);
    }
    p->start[ROWS] = at;
}

/* The objective at a feasible point bounds the optimum from above, so a bound that is sound is
 * never higher, and nothing proves that there is no point. */
static void test_never_above_a_point(void **unused) {
    (void)unused;
    int useful = 0;
    for (int i = 0; i < ROUNDS; i++) {
        program p;
        double inside[COLS], y[ROWS], scratch[3 * COLS];
        net_style style = (net_style)(i % NET_STYLES);
        for (int j = 0; j < COLS; j++) inside[j] = net_number(style);
        fill(&p, style, inside);
        for (int tries = 0; tries < 50; tries++) {
            double scale = ldexp(1, (int)kit_int(-60, 60));
            for (int r = 0; r < ROWS; r++)
                y[r] = kit_int(0, 2) ? net_number(style) * scale : net_uniform();
            if (!kit_int(0, 9)) y[kit_int(0, ROWS - 1)] = kit_int(0, 1) ? NAN : INFINITY;
            double bound = bfi_safe_bound(&p.lp, p.lp.objective, y, scratch);
            assert_true(bound <= inside[0]);
            assert_true(bfi_safe_bound(&p.lp, -1, y, scratch) <= 0);
            useful += bound > p.lo[0];
        }
    }
    assert_true(useful > 0);
}

/* y = 0: the least of the box, but for one rounding. */
static void test_zero_multipliers(void **unused) {
    (void)unused;
    double inside[COLS] = {0.5, 1, 1, 1, 1}, y[ROWS] = {0}, scratch[3 * COLS];
    program p;
    fill(&p, NET_PLAIN, inside);
    double bound = bfi_safe_bound(&p.lp, 0, y, scratch);
    assert_true(bound <= p.lo[0] && bound >= p.lo[0] - 1e-12);
}

/* x_0 >= x_1 + x_2 with exact numbers a and b that nearly cancel: multipliers (1) give the optimum
 * exactly, 2^-53 too much or too little must not lift the bound above it. */
static void test_perturbed_multipliers(void **unused) {
    (void)unused;
    int close = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double a = net_number(NET_CANCEL), b = -a + net_number(NET_PLAIN) * 0x1p-20;
        double lo[3] = {-0x1p22, a, b}, hi[3] = {0x1p22, a + 1, b + 1};
        double row_lo[1] = {0}, row_hi[1] = {INFINITY}, value[3] = {1, -1, -1}, scratch[9];
        int32_t start[2] = {0, 3}, index[3] = {0, 1, 2};
        bfi_linear_program lp = {3, 1, 0, lo, hi, row_lo, row_hi, start, index, value};
        static exact x, z, optimum, found;
        exact_set(&x, a), exact_set(&z, b);
        exact_add(&optimum, &x, &z);
        for (int k = -8; k <= 8; k++) {
            double y = 1 + k * 0x1p-53;
            double bound = bfi_safe_bound(&lp, 0, &y, scratch);
            exact_set(&found, bound);
            assert_true(exact_compare(&found, &optimum) <= 0);
            close += k == 0 && bound >= a + b - 1e-6;
        }
    }
    assert_int_equal(close, ROUNDS);
}

/* x_0 >= sum of w_j x_j over so many terms that their rounding is more than a step, whatever the
 * multiplier: never above the exact optimum, which y = 1 comes near. */
static void test_many_terms(void **unused) {
    (void)unused;
    enum { TERMS = 60 };
    int close = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double lo[TERMS + 1] = {-0x1p30}, hi[TERMS + 1] = {0x1p30}, value[TERMS + 1] = {1};
        double row_lo[1] = {0}, row_hi[1] = {INFINITY}, scratch[3 * (TERMS + 1)];
        int32_t start[2] = {0, TERMS + 1}, index[TERMS + 1] = {0};
        bfi_linear_program lp = {TERMS + 1, 1, 0, lo, hi, row_lo, row_hi, start, index, value};
        static exact optimum, found, end;
        exact_set(&optimum, 0);
        for (int j = 1; j <= TERMS; j++) {
            double w = net_number(i % 2 ? NET_CANCEL : NET_PLAIN);
            index[j] = j, value[j] = -w;
            lo[j] = net_uniform(), hi[j] = lo[j] + (double)kit_int(0, 1);
            exact_set(&end, w > 0 ? lo[j] : hi[j]);
            exact_accumulate(&optimum, w, &end);
        }
        for (int k = -2; k <= 2; k++) {
            double y = 1 + k * 0x1p-52, bound = bfi_safe_bound(&lp, 0, &y, scratch);
            exact_set(&found, bound);
            assert_true(exact_compare(&found, &optimum) <= 0);
            exact_set(&end, bound + 1e-4);
            close += k == 0 && exact_compare(&end, &optimum) > 0;
        }
    }
    assert_int_equal(close, ROUNDS);
}

/* x <= 1 and x >= 1 + gap contradict each other: shown for a gap above rounding, and never for
 * none. */
static void test_contradiction(void **unused) {
    (void)unused;
    for (int k = 0; k <= 60; k++) {
        double gap = k == 60 ? 0 : ldexp(1, -k);
        double lo[1] = {-4}, hi[1] = {4}, row_lo[2] = {-INFINITY, 1 + gap}, row_hi[2] = {1, 9};
        double value[2] = {1, 1}, scratch[3], y[2] = {-1, 1};
        int32_t start[3] = {0, 1, 2}, index[2] = {0, 0};
        bfi_linear_program lp = {1, 2, -1, lo, hi, row_lo, row_hi, start, index, value};
        double bound = bfi_safe_bound(&lp, -1, y, scratch);
        if (k <= 40) assert_true(bound > 0);
        if (1 + gap == 1) assert_true(bound <= 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_above_a_point),   cmocka_unit_test(test_zero_multipliers),
        cmocka_unit_test(test_perturbed_multipliers), cmocka_unit_test(test_many_terms),
        cmocka_unit_test(test_contradiction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
