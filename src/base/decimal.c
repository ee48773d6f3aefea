#include "base/decimal.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

enum {
    /* A double has at most 767 significant decimal digits: behind 800 of them only the question
     * whether something follows matters. */
    MAX_DIGITS = 800,
    MANTISSA_BITS = 53,
    MIN_EXPONENT = -1074, /* of the smallest subnormal */
    MAX_EXPONENT = 1023,
    FAST_DIGITS = 19, /* these fit 64 bits */
    FAST_POWER = 27,  /* 5^27 < 2^63 */
    LIMBS = 128       /* 10^1130 needs 118 */
};

/* Written value = +- (the |count| significant digits as an integer) * 10^exponent; the digits start
 * and end with a nonzero one. |leading| holds all of them when there are at most FAST_DIGITS. */
typedef struct decimal {
    bool negative;
    int64_t count, exponent;
    uint64_t leading;
} decimal;

/* Where the written value lies between mantissa * 2^exponent and the next double. */
typedef enum tail { EXACT, BELOW_HALF, HALF, ABOVE_HALF } tail;

typedef struct big {
    uint32_t limb[LIMBS];
    int used;
} big;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool scan_exponent(const char *at, const char *end, int64_t *out) {
    bool negative = false;
    if (at < end && (*at == '+' || *at == '-')) negative = *at++ == '-';
    if (at == end) return false;
    int64_t value = 0;
    for (; at < end; at++) {
        if (!is_digit(*at)) return false;
        if (value < INT64_C(1000000000000)) value = value * 10 + (*at - '0');
    }
    *out = negative ? -value : value;
    return true;
}

static void append_digit(decimal *d, int64_t zeros, int digit) {
    d->count += zeros + 1;
    if (d->count > FAST_DIGITS) return;
    while (zeros--) d->leading *= 10;
    d->leading = d->leading * 10 + (uint64_t)digit;
}

static bool scan(const char *text, size_t length, decimal *d) {
    const char *at = text, *end = text + length;
    int64_t zeros = 0, fraction = 0, exponent = 0;
    bool point = false, any = false;
    *d = (decimal){0};
    if (at < end && (*at == '+' || *at == '-')) d->negative = *at++ == '-';
    for (; at < end; at++) {
        if (*at == '.' && !point) {
            point = true;
            continue;
        }
        if (!is_digit(*at)) break;
        any = true;
        fraction += point;
        if (*at != '0') {
            append_digit(d, zeros, *at - '0');
            zeros = 0;
        } else if (d->count) {
            zeros++;
        }
    }
    if (!any) return false;
    if (at < end) {
        if (*at != 'e' && *at != 'E') return false;
        if (!scan_exponent(at + 1, end, &exponent)) return false;
    }
    d->exponent = exponent - fraction + zeros;
    return true;
}

static void finish(uint64_t mantissa, int exponent, tail t, double *lo, double *hi,
                   double *nearest) {
    *lo = ldexp((double)mantissa, exponent);
    *hi = t == EXACT ? *lo : ldexp((double)(mantissa + 1), exponent);
    bool up = t == ABOVE_HALF || (t == HALF && (mantissa & 1));
    *nearest = up ? *hi : *lo;
}

static int bits_of(uint64_t x) { return x ? 64 - __builtin_clzll(x) : 0; }

/* At most FAST_DIGITS digits and |exponent| <= FAST_POWER: one 128-bit product or quotient. */
static void enclose_fast(const decimal *d, double *lo, double *hi, double *nearest) {
    static const uint64_t pow5[FAST_POWER + 1] = {UINT64_C(1),
                                                  UINT64_C(5),
                                                  UINT64_C(25),
                                                  UINT64_C(125),
                                                  UINT64_C(625),
                                                  UINT64_C(3125),
                                                  UINT64_C(15625),
                                                  UINT64_C(78125),
                                                  UINT64_C(390625),
                                                  UINT64_C(1953125),
                                                  UINT64_C(9765625),
                                                  UINT64_C(48828125),
                                                  UINT64_C(244140625),
                                                  UINT64_C(1220703125),
                                                  UINT64_C(6103515625),
                                                  UINT64_C(30517578125),
                                                  UINT64_C(152587890625),
                                                  UINT64_C(762939453125),
                                                  UINT64_C(3814697265625),
                                                  UINT64_C(19073486328125),
                                                  UINT64_C(95367431640625),
                                                  UINT64_C(476837158203125),
                                                  UINT64_C(2384185791015625),
                                                  UINT64_C(11920928955078125),
                                                  UINT64_C(59604644775390625),
                                                  UINT64_C(298023223876953125),
                                                  UINT64_C(1490116119384765625),
                                                  UINT64_C(7450580596923828125)};
    u128 q;
    bool rest = false;
    int exponent;
    if (d->exponent >= 0) {
        q = (u128)d->leading * pow5[d->exponent];
        exponent = (int)d->exponent;
    } else {
        uint64_t divisor = pow5[-d->exponent];
        int shift = 63 + __builtin_clzll(d->leading);
        u128 numerator = (u128)d->leading << shift;
        q = numerator / divisor;
        rest = numerator != q * divisor;
        exponent = (int)d->exponent - shift;
    }
    uint64_t high = (uint64_t)(q >> 64);
    int drop = (high ? 64 + bits_of(high) : bits_of((uint64_t)q)) - MANTISSA_BITS;
    tail t = rest ? BELOW_HALF : EXACT; /* rest: the quotient has over 63 bits, so drop > 0 */
    if (drop > 0) {
        u128 half = (u128)1 << (drop - 1), low = q & (half * 2 - 1);
        if (low > half || (low == half && rest))
            t = ABOVE_HALF;
        else if (low == half)
            t = HALF;
        else if (low)
            t = BELOW_HALF;
        q >>= drop;
        exponent += drop;
    }
    finish((uint64_t)q, exponent, t, lo, hi, nearest);
}

static void multiply_add(big *b, uint32_t factor, uint32_t addend) {
    uint64_t carry = addend;
    for (int i = 0; i < b->used; i++) {
        carry += (uint64_t)b->limb[i] * factor;
        b->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry) b->limb[b->used++] = (uint32_t)carry;
}

static void multiply_pow10(big *b, int64_t power) {
    for (; power >= 9; power -= 9) multiply_add(b, 1000000000, 0);
    for (; power > 0; power--) multiply_add(b, 10, 0);
}

static int big_bits(const big *b) {
    return b->used ? 32 * (b->used - 1) + bits_of(b->limb[b->used - 1]) : 0;
}

static void shift_left(big *b, int count) {
    int words = count / 32, bits = count % 32;
    if (!b->used || !count) return;
    memmove(b->limb + words, b->limb, (size_t)b->used * sizeof *b->limb);
    memset(b->limb, 0, (size_t)words * sizeof *b->limb);
    b->used += words;
    uint32_t carry = 0;
    for (int i = words; bits && i < b->used; i++) {
        uint32_t limb = b->limb[i];
        b->limb[i] = limb << bits | carry;
        carry = limb >> (32 - bits);
    }
    if (carry) b->limb[b->used++] = carry;
}

static int compare(const big *a, const big *b) {
    if (a->used != b->used) return a->used < b->used ? -1 : 1;
    for (int i = a->used - 1; i >= 0; i--)
        if (a->limb[i] != b->limb[i]) return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

/* a -= b, for a >= b. */
static void subtract(big *a, const big *b) {
    int64_t carry = 0;
    for (int i = 0; i < a->used; i++) {
        carry += (int64_t)a->limb[i] - (i < b->used ? b->limb[i] : 0);
        a->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    while (a->used && !a->limb[a->used - 1]) a->used--;
}

/* The first |kept| significant digits of |text| as an integer. */
static void load_digits(const char *text, int64_t kept, big *out) {
    out->used = 0;
    for (; kept && *text != 'e' && *text != 'E'; text++) {
        if (!is_digit(*text) || (*text == '0' && !out->used)) continue;
        multiply_add(out, 10, (uint32_t)(*text - '0'));
        kept--;
    }
}

/* Any length: exact integers n / m, one quotient bit at a time. */
static void enclose_slow(const char *text, const decimal *d, double *lo, double *hi,
                         double *nearest) {
    big n, m = {.limb = {1}, .used = 1};
    int64_t kept = d->count < MAX_DIGITS ? d->count : MAX_DIGITS;
    int64_t power = d->exponent + (d->count - kept);
    load_digits(text, kept, &n);
    multiply_pow10(power > 0 ? &n : &m, power > 0 ? power : -power);

    int exponent = big_bits(&n) - big_bits(&m); /* 2^exponent <= n / m < 2^(exponent + 1) */
    shift_left(exponent > 0 ? &m : &n, exponent > 0 ? exponent : -exponent);
    if (compare(&n, &m) < 0) {
        shift_left(&n, 1);
        exponent--;
    }
    int wanted = exponent - MIN_EXPONENT + 1;
    if (wanted > MANTISSA_BITS) wanted = MANTISSA_BITS;
    uint64_t mantissa = 0;
    for (int i = 0; i < wanted; i++) {
        bool bit = compare(&n, &m) >= 0;
        if (bit) subtract(&n, &m);
        mantissa = mantissa << 1 | bit;
        shift_left(&n, 1);
    }
    if (wanted < 0) { /* below half of the smallest subnormal */
        finish(0, MIN_EXPONENT, BELOW_HALF, lo, hi, nearest);
        return;
    }
    bool more = d->count > kept;
    int order = compare(&n, &m);
    tail t = order > 0 || (order == 0 && more) ? ABOVE_HALF
             : order == 0                      ? HALF
             : n.used || more                  ? BELOW_HALF
                                               : EXACT;
    finish(mantissa, exponent - wanted + 1, t, lo, hi, nearest);
}

static void enclose_magnitude(const char *text, const decimal *d, double *lo, double *hi,
                              double *nearest) {
    int64_t top = d->exponent + d->count; /* value in [10^(top-1), 10^top) */
    if (!d->count) {
        *lo = *hi = *nearest = 0;
    } else if (top > 310) {
        *lo = DBL_MAX;
        *hi = *nearest = INFINITY;
    } else if (top < -325) {
        finish(0, MIN_EXPONENT, BELOW_HALF, lo, hi, nearest);
    } else if (d->count <= FAST_DIGITS && d->exponent >= -FAST_POWER && d->exponent <= FAST_POWER) {
        enclose_fast(d, lo, hi, nearest);
    } else {
        enclose_slow(text, d, lo, hi, nearest);
        if (isinf(*lo)) *lo = DBL_MAX;
    }
}

bool bfi_decimal_read(const char *text, size_t length, double *lo, double *hi, double *nearest) {
    decimal d;
    if (!scan(text, length, &d)) return false;
    enclose_magnitude(text, &d, lo, hi, nearest);
    if (d.negative && d.count) {
        double low = -*hi;
        *hi = -*lo;
        *lo = low;
        *nearest = -*nearest;
    }
    return true;
}

bool bfi_decimal_enclose(const char *text, size_t length, double *lo, double *hi) {
    double nearest;
    return bfi_decimal_read(text, length, lo, hi, &nearest);
}
