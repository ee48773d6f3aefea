/* The arithmetic contract: error terms, outward steps, and elementary functions with fixed bits.
 *
 * Rules (DESIGN.md section 2): round to nearest everywhere, no rounding-mode switches, no
 * fast-math, no FTZ/DAZ, no contraction except explicit fma. A sum of products runs in index order
 * in blocks of BF_SUM_BLOCK terms of the ORIGINAL index; each block starts at zero, is a chain of
 * fma, and blocks are added in order. Skipping terms that are exactly zero changes no bit.
 *
 * Error model (Higham, Accuracy and Stability, 2nd ed., Lemma 3.1): a quantity that passed k
 * roundings has relative error at most gamma_k = k u / (1 - k u), plus an absolute part for
 * underflow. */
#ifndef BFI_BASE_FP_H
#define BFI_BASE_FP_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BF_SUM_BLOCK 32

/* Unit roundoffs and half of the smallest subnormals (the most an underflowing operation loses). */
#define BF_U32 0x1p-24
#define BF_U64 0x1p-53
#define BF_ETA32 0x1p-150
#define BF_ETA64 0x1p-1074

typedef enum bfi_dtype { BFI_F32, BFI_F64 } bfi_dtype;

static inline double bfi_unit_roundoff(bfi_dtype t) { return t == BFI_F32 ? BF_U32 : BF_U64; }
static inline double bfi_eta(bfi_dtype t) { return t == BFI_F32 ? BF_ETA32 : BF_ETA64; }

/* Roundings that one term of a blocked sum of |n| terms passes: block chain + block additions. */
static inline int64_t bfi_sum_depth(int64_t n) {
    int64_t blocks = (n + BF_SUM_BLOCK - 1) / BF_SUM_BLOCK;
    int64_t chain = n < BF_SUM_BLOCK ? n : BF_SUM_BLOCK;
    return chain + (blocks > 1 ? blocks - 1 : 0);
}

/* Upper bound of gamma_k for unit roundoff |u|; +inf when k u >= 1/2. */
double bfi_gamma(double k, double u);

/* Roundings that term |j| of a blocked sum of |n| terms passes: the rest of its block's chain, then
 * the block additions. bfi_sum_depth is the largest of them. */
static inline int64_t bfi_term_depth(int64_t n, int64_t j) {
    int64_t block = j / BF_SUM_BLOCK, blocks = (n + BF_SUM_BLOCK - 1) / BF_SUM_BLOCK;
    int64_t end = (block + 1) * BF_SUM_BLOCK < n ? (block + 1) * BF_SUM_BLOCK : n;
    return end - j + blocks - (block > 0 ? block : 1);
}

/* Outward neighbours; NaN becomes the infinite end. */
static inline double bfi_up(double x) {
    int64_t bits;
    if (!(x < (double)INFINITY)) return (double)INFINITY;
    if (x == 0) return 0x1p-1074;
    memcpy(&bits, &x, sizeof bits);
    bits += x > 0 ? 1 : -1;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline double bfi_down(double x) {
    if (x != x) return -(double)INFINITY;
    return -bfi_up(-x);
}

/* Conversions to float that never move inward; NaN becomes the infinite end. */
static inline float bfi_float_up(double x) {
    int32_t bits;
    if (x != x) return INFINITY;
    float nearest = (float)x;
    if (!((double)nearest < x)) return nearest;
    if (nearest == 0) return 0x1p-149f;
    memcpy(&bits, &nearest, sizeof bits);
    bits += nearest > 0 ? 1 : -1;
    memcpy(&nearest, &bits, sizeof nearest);
    return nearest;
}
static inline float bfi_float_down(double x) {
    if (x != x) return -INFINITY;
    return -bfi_float_up(-x);
}

/* Upper bounds (round to nearest, then one step out) for sums and products of non-negative numbers.
 */
static inline double bfi_add_up(double a, double b) { return bfi_up(a + b); }
static inline double bfi_mul_up(double a, double b) { return a == 0 || b == 0 ? 0 : bfi_up(a * b); }

/* a + b, rounded down or up; an exact sum stays as it is (TwoSum, Knuth, tells the error's sign). */
static inline double bfi_sum_down(double a, double b) {
    double sum = a + b, other = sum - a;
    double error = (a - (sum - other)) + (b - other);
    return error >= 0 ? sum : bfi_down(sum);
}
static inline double bfi_sum_up(double a, double b) { return -bfi_sum_down(-a, -b); }

/* Room for the float64 arithmetic that evaluates error terms themselves. */
#define BFI_ERROR_ROOM (1 + 0x1p-40)

/* Elementary functions with the same bits on every machine (only + - * / fma, no libm tables).
 * Relative error at most BF_ELEMENTARY_REL, plus BF_ETA64 where the result is subnormal or zero
 * (exp, sigmoid); for sin and cos absolute error BF_ELEMENTARY_REL on |x| <= 2^20; outside it they
 * return NaN and callers use [-1, 1]. NaN in, NaN out; infinities and overflow as in C's Annex F
 * (log of negatives NaN, log 0 = -inf). exp and sigmoid are never negative, |tanh| and sigmoid
 * never above 1. Monotonicity is NOT promised: bounds add the error to each end. */
#define BF_ELEMENTARY_REL 0x1p-48
double bfi_exp(double x);
double bfi_sigmoid(double x);
double bfi_tanh(double x);
double bfi_sin(double x);
double bfi_cos(double x);
double bfi_log(double x);

#endif
