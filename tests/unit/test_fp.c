/* base/fp.h: error terms and outward steps in exact arithmetic, elementary functions against long
 * double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/fp.h"

static uint64_t random_state = 1;

/* Uniform in [0, 1). */
static double uniform(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) * 0x1p-53;
}

static double uniform_in(double lo, double hi) { return lo + (hi - lo) * uniform(); }

/* Magnitude log-uniform in [2^lo, 2^hi], random sign. */
static double scattered(double lo, double hi) {
    double x = ldexp(1 + uniform(), (int)uniform_in(lo, hi));
    return uniform() < 0.5 ? -x : x;
}

static void steps_are_neighbours(void **state) {
    (void)state;
    const double points[] = {0.0,        -0.0,    1.0,     -1.0,     0x1p-1074,
                             -0x1p-1074, DBL_MIN, DBL_MAX, -DBL_MAX, INFINITY,
                             -INFINITY,  0.1,     -1e300,  0x1p-1022};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        assert_true(bfi_up(points[i]) == nextafter(points[i], INFINITY));
        assert_true(bfi_down(points[i]) == nextafter(points[i], -INFINITY));
    }
    for (int i = 0; i < 10000; i++) {
        double x = scattered(-1074, 1023);
        assert_true(bfi_up(x) == nextafter(x, INFINITY));
        assert_true(bfi_down(x) == nextafter(x, -INFINITY));
    }
    assert_true(bfi_up(NAN) == INFINITY && bfi_down(NAN) == -INFINITY);
    assert_true(bfi_up(-INFINITY) == -DBL_MAX && bfi_down(-INFINITY) == -INFINITY);
}

static void check_float_conversion(double x) {
    float up = bfi_float_up(x), down = bfi_float_down(x);
    assert_true((double)down <= x && x <= (double)up);
    if ((double)(float)x == x) {
        assert_true(up == (float)x && down == (float)x);
    } else {
        assert_true(nextafterf(down, INFINITY) == up);
    }
}

static void float_conversions_move_outward(void **state) {
    (void)state;
    const double points[] = {
        0.0,  -0.0,    1.0,      0x1.000001p0, FLT_MAX,  -FLT_MAX,  0x1.fffffffp127,
        1e39, -1e39,   DBL_MAX,  0x1p-149,     0x1p-150, -0x1p-150, 0x1p-1074,
        0.1,  -1e-310, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) check_float_conversion(points[i]);
    for (int i = 0; i < 10000; i++) check_float_conversion(scattered(-160, 130));
    assert_true(bfi_float_up(NAN) == INFINITY && bfi_float_down(NAN) == -INFINITY);
}

/* Exact sums of near-by numbers show in 80-bit arithmetic; TwoSum must see all the others too. */
static void sums_are_directed(void **state) {
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double a = scattered(-20, 20), b = scattered(-20, 20), sum = a + b;
        double lo = bfi_sum_down(a, b), hi = bfi_sum_up(a, b);
        assert_true(lo <= sum && sum <= hi);
        assert_true(lo == hi || bfi_up(lo) == hi);
        long double exact = (long double)a + (long double)b;
        bool known =
            exact - (long double)a == (long double)b && exact - (long double)b == (long double)a;
        if (known && (long double)(double)exact == exact)
            assert_true(lo == sum && hi == sum);
        else
            assert_true((long double)lo <= exact && exact <= (long double)hi);
    }
    assert_true(bfi_sum_down(1, 0x1p-60) == 1 && bfi_sum_up(1, 0x1p-60) == 1 + 0x1p-52);
    assert_true(bfi_sum_down(1, -0x1p-60) == 1 - 0x1p-53 && bfi_sum_up(1, -0x1p-60) == 1);
    assert_true(bfi_sum_down(1, 0x1p-1074) == 1 && bfi_sum_up(1, 0x1p-1074) > 1);
    assert_true(bfi_sum_up(DBL_MAX, DBL_MAX) == INFINITY);
    assert_true(bfi_sum_down(-DBL_MAX, -DBL_MAX) == -INFINITY);
    assert_true(bfi_sum_down(DBL_MAX, DBL_MAX) == DBL_MAX);
}

static void gamma_bounds_from_above(void **state) {
    (void)state;
    for (int k = 1; k < 5000; k++) {
        /* gamma = k / (2^53 - k); the sign of the fma is exact */
        double g = bfi_gamma(k, BF_U64), rest = 0x1p53 - k;
        assert_true(fma(g, rest, -k) >= 0);
        double below = bfi_down(bfi_down(bfi_down(bfi_down(g))));
        assert_true(fma(below, rest, -k) < 0);
        g = bfi_gamma(k, BF_U32);
        assert_true(fma(g, 0x1p24 - k, -k) >= 0);
    }
    assert_true(bfi_gamma(0, BF_U32) == 0);
    assert_true(bfi_gamma(0x1p23, BF_U32) == INFINITY);
    assert_true(bfi_gamma(NAN, BF_U32) == INFINITY);
    assert_true(bfi_gamma(0x1p22, BF_U32) < 0.34);
}

static void sum_depth_counts_chain_and_blocks(void **state) {
    (void)state;
    assert_int_equal(bfi_sum_depth(0), 0);
    assert_int_equal(bfi_sum_depth(1), 1);
    assert_int_equal(bfi_sum_depth(BF_SUM_BLOCK), BF_SUM_BLOCK);
    assert_int_equal(bfi_sum_depth(BF_SUM_BLOCK + 1), BF_SUM_BLOCK + 1);
    assert_int_equal(bfi_sum_depth(10 * BF_SUM_BLOCK), BF_SUM_BLOCK + 9);
    for (int64_t n = 1; n <= 4 * BF_SUM_BLOCK; n++) {
        int64_t deepest = 0;
        for (int64_t j = 0; j < n; j++)
            if (bfi_term_depth(n, j) > deepest) deepest = bfi_term_depth(n, j);
        assert_int_equal(deepest, bfi_sum_depth(n));
        assert_int_equal(bfi_term_depth(n, n - 1), n > BF_SUM_BLOCK ? 2 : 1);
    }
}

static long double sigmoid_reference(long double x) {
    return x >= 0 ? 1 / (1 + expl(-x)) : expl(x) / (1 + expl(x));
}

typedef struct function {
    const char *name;
    double (*ours)(double);
    long double (*reference)(long double);
} function;

static void check_at(const function *f, double x, bool absolute) {
    long double want = f->reference(x);
    double got = f->ours(x);
    if (fabsl(want) > (long double)DBL_MAX) {
        assert_true((long double)got == want || fabs(got) == INFINITY || fabs(got) == DBL_MAX);
        return;
    }
    long double allowed = absolute ? BF_ELEMENTARY_REL : BF_ELEMENTARY_REL * fabsl(want);
    if (!absolute && fabsl(want) < (long double)DBL_MIN) allowed += BF_ETA64;
    if (!(fabsl(got - want) <= allowed)) fail_msg("%s(%a) = %a, wanted %La", f->name, x, got, want);
}

static void elementary_functions_keep_their_error(void **state) {
    (void)state;
    static const function relative[] = {{"exp", bfi_exp, expl},
                                        {"sigmoid", bfi_sigmoid, sigmoid_reference},
                                        {"tanh", bfi_tanh, tanhl}};
    for (size_t f = 0; f < 3; f++) {
        for (int i = 0; i < 60000; i++) {
            check_at(&relative[f], uniform_in(-760, 720), false);
            check_at(&relative[f], uniform_in(-3, 3), false);
            check_at(&relative[f], uniform_in(-0.3, 0.3), false);
            check_at(&relative[f], scattered(-1074, 9), false);
        }
    }
    static const function log_function = {"log", bfi_log, logl};
    for (int i = 0; i < 60000; i++) {
        check_at(&log_function, fabs(scattered(-1074, 1023)), false);
        check_at(&log_function, uniform_in(0.5, 2), false);
        check_at(&log_function, uniform_in(0.999, 1.001), false);
    }
}

static void circular_functions_keep_their_error(void **state) {
    (void)state;
    static const function circular[] = {{"sin", bfi_sin, sinl}, {"cos", bfi_cos, cosl}};
    const long double half_pi = 1.5707963267948966192313216916397514L;
    for (size_t f = 0; f < 2; f++) {
        for (int i = 0; i < 60000; i++) {
            check_at(&circular[f], uniform_in(-0x1p20, 0x1p20), true);
            check_at(&circular[f], uniform_in(-7, 7), true);
            check_at(&circular[f], scattered(-1074, 19), true);
            double turn = (double)(half_pi * floorl(uniform_in(-667543, 667543)));
            check_at(&circular[f], turn, true);
            check_at(&circular[f], nextafter(turn, 0), true);
        }
        check_at(&circular[f], 0x1p20, true);
        assert_true(isnan(circular[f].ours(0x1.0000000000001p20)));
        assert_true(isnan(circular[f].ours(INFINITY)));
    }
}

static void special_values(void **state) {
    (void)state;
    assert_true(bfi_exp(0) == 1 && bfi_exp(-INFINITY) == 0 && bfi_exp(INFINITY) == INFINITY);
    assert_true(bfi_exp(710) == INFINITY && bfi_exp(709.78) < INFINITY && bfi_exp(-746) == 0);
    assert_true(bfi_sigmoid(0) == 0.5 && bfi_sigmoid(INFINITY) == 1 && bfi_sigmoid(-INFINITY) == 0);
    assert_true(bfi_tanh(INFINITY) == 1 && bfi_tanh(-INFINITY) == -1 &&
                bfi_tanh(0x1p-1074) == 0x1p-1074);
    assert_true(signbit(bfi_tanh(-0.0)) && signbit(bfi_sin(-0.0)) && bfi_cos(0) == 1);
    assert_true(bfi_log(1) == 0 && bfi_log(0) == -INFINITY && bfi_log(INFINITY) == INFINITY);
    assert_true(isnan(bfi_log(-1)) && isnan(bfi_log(-INFINITY)));
    double (*all[])(double) = {bfi_exp, bfi_sigmoid, bfi_tanh, bfi_sin, bfi_cos, bfi_log};
    for (size_t f = 0; f < 6; f++) assert_true(isnan(all[f](NAN)));
}

/* Folds the bits of 20000 values into one number. */
static uint64_t hash_of(double (*f)(double), double lo, double step) {
    uint64_t hash = 14695981039346656037u;
    for (int i = 0; i < 20000; i++) {
        double y = f(lo + i * step);
        uint64_t bits;
        memcpy(&bits, &y, sizeof bits);
        hash = (hash ^ bits) * 1099511628211u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* The numbers below were the same with gcc 12 and clang 14, -O0 to -O3, with and without
 * -march=native. */
static void bits_are_fixed(void **state) {
    (void)state;
    assert_true(bfi_exp(1) == 0x1.5bf0a8b145769p+1);
    assert_true(bfi_sigmoid(-1.0 / 3) == 0x1.ab72b73e7b47bp-2);
    assert_true(bfi_tanh(0.1) == 0x1.983d7795f413bp-4);
    assert_true(bfi_sin(100) == -0x1.03425b78c4db8p-1);
    assert_true(bfi_cos(2.5) == -0x1.9a2f7ef858b7dp-1);
    assert_true(bfi_log(0.1) == -0x1.26bb1bbb55515p+1);
    assert_true(hash_of(bfi_exp, -750, 0.0731) == 0x80dcc8d14fd8e21e);
    assert_true(hash_of(bfi_sigmoid, -750, 0.0731) == 0x644d1ae8d9b81e12);
    assert_true(hash_of(bfi_tanh, -25, 0x1.47p-9) == 0x5d0720c29921bcc6);
    assert_true(hash_of(bfi_sin, -1048576, 104.7) == 0x49088a0d93bb00f0);
    assert_true(hash_of(bfi_cos, -1048576, 104.7) == 0x8270b8893011e202);
    assert_true(hash_of(bfi_log, 0.001, 0.0173) == 0x6c903b46ff2440ca);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_neighbours),
        cmocka_unit_test(float_conversions_move_outward),
        cmocka_unit_test(sums_are_directed),
        cmocka_unit_test(gamma_bounds_from_above),
        cmocka_unit_test(sum_depth_counts_chain_and_blocks),
        cmocka_unit_test(elementary_functions_keep_their_error),
        cmocka_unit_test(circular_functions_keep_their_error),
        cmocka_unit_test(special_values),
        cmocka_unit_test(bits_are_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
