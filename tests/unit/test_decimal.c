#include <fenv.h>
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/decimal.h"

static uint64_t seed = 20240117;

static uint64_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static double rounded(const char *text, int mode) {
    fesetround(mode);
    double x = strtod(text, NULL);
    fesetround(FE_TONEAREST);
    return x;
}

/* glibc's strtod rounds correctly in the current direction: another implementation to agree with. */
static void check(const char *text) {
    double lo, hi, nearest, lo2, hi2;
    if (!bfi_decimal_read(text, strlen(text), &lo, &hi, &nearest)) fail_msg("%s is refused", text);
    double down = rounded(text, FE_DOWNWARD), up = rounded(text, FE_UPWARD);
    double near = rounded(text, FE_TONEAREST);
    if (lo != down || hi != up || nearest != near)
        fail_msg("%.60s: [%a, %a] ~ %a instead of [%a, %a] ~ %a", text, lo, hi, nearest, down, up, near);
    assert_true(bfi_decimal_enclose(text, strlen(text), &lo2, &hi2));
    assert_true(lo2 == lo && hi2 == hi);
}

static void known_values(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0", "-0", "0.0", "0e99999999999999999999", "1", "-1", "+1.5", "0.1", "-0.1", "1.", ".5",
        "000000000000000000000000000123", "0.5000000000000000000000000000000000000", "1e22", "1e23",
        "123456789012345678", "12345678901234567890", "9007199254740993", "9007199254740992.5",
        "9007199254740993e0", "18446744073709551615", "18446744073709551616", "1e-27", "1e-28",
        "1.7976931348623157e308", "1.7976931348623159e308", "1e309", "-1e309", "1e999999999999",
        "4.9406564584124654e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "1e-324",
        "-1e-400", "1e-99999999999999999999", "2.2250738585072014e-308", "2.2250738585072011e-308",
        "2.225073858507201136057409796709131975934819546351645648023426109724822222021076945516529523e-308",
        "0.679857769", "0.05000000074505806", "-0.9800000190734863", "1e-06", "5E+3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check(texts[i]);
}

static void exact_decimals_are_points(void **state) {
    (void)state;
    double lo, hi;
    assert_true(bfi_decimal_enclose("-0.375", 6, &lo, &hi));
    assert_true(lo == -0.375 && hi == -0.375);
    assert_true(bfi_decimal_enclose("0.1", 3, &lo, &hi));
    assert_true(lo < hi && nextafter(lo, 1) == hi);
}

static void random_decimals(void **state) {
    (void)state;
    for (int i = 0; i < 60000; i++) {
        char text[128];
        int digits = 1 + (int)(next_random() % (i % 4 ? 20 : 60)), n = 0;
        int point = (int)(next_random() % (uint64_t)(digits + 1));
        if (next_random() & 1) text[n++] = '-';
        for (int d = 0; d < digits; d++) {
            if (d == point) text[n++] = '.';
            text[n++] = (char)('0' + next_random() % 10);
        }
        int range = i % 3 ? 30 : 340;
        int exponent = (int)(next_random() % (uint64_t)(2 * range)) - range;
        if (i % 5) snprintf(text + n, sizeof text - (size_t)n, "e%d", exponent);
        else text[n] = '\0';
        check(text);
    }
}

static void printed_doubles_and_midpoints(void **state) {
    (void)state;
    static char text[2000];
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = next_random();
        if (i % 3 == 0) bits &= UINT64_C(0x800fffffffffffff); /* subnormal */
        double x, lo, hi;
        memcpy(&x, &bits, sizeof x);
        if (!isfinite(x)) continue;
        snprintf(text, sizeof text, "%.17g", x);
        check(text);
        snprintf(text, sizeof text, "%.1100e", x);
        check(text);
        assert_true(bfi_decimal_enclose(text, strlen(text), &lo, &hi));
        assert_true(lo == x && hi == x);
        if (fabs(x) > DBL_MAX / 4) continue;
        long double middle = ((long double)x + (long double)nextafter(x, INFINITY)) / 2;
        snprintf(text, sizeof text, "%.1200Le", middle);
        check(text);
    }
}

/* More digits than are kept: only the fact that something follows counts. */
static void very_long_decimals(void **state) {
    (void)state;
    static char text[5000];
    for (int last = 0; last <= 1; last++) {
        memset(text, '0', sizeof text);
        memcpy(text, "0.5", 3);
        text[4000] = (char)('0' + last);
        text[4001] = '\0';
        check(text);
        memcpy(text, "9007199254740993.", 17);
        check(text);
        memset(text, '9', 4000);
        memcpy(text + 3990, "e-3990", 7);
        check(text);
    }
}

static void malformed_text_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "+", "-", ".", "-.", "e5", "1e", "1e+", "1e-", "1.2.3", "--1",
                                        "1 ", " 1", "nan", "inf", "-inf", "0x10", "1e5.", "1f", "1_0",
                                        "1,5", "NaN", "infinity", ".e1"};
    double lo, hi;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (bfi_decimal_enclose(texts[i], strlen(texts[i]), &lo, &hi))
            fail_msg("'%s' is taken for a number", texts[i]);
    assert_true(bfi_decimal_enclose("12abc", 2, &lo, &hi));
    assert_true(lo == 12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),        cmocka_unit_test(exact_decimals_are_points),
        cmocka_unit_test(random_decimals),     cmocka_unit_test(printed_doubles_and_midpoints),
        cmocka_unit_test(very_long_decimals),  cmocka_unit_test(malformed_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
