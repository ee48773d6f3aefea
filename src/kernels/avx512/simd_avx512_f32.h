/* Vectors of 16 float32 in AVX-512: what the files of kernels/simd are written in. */
#ifndef BFI_KERNELS_SIMD_AVX512_F32_H
#define BFI_KERNELS_SIMD_AVX512_F32_H

#include <immintrin.h>
#include <stdint.h>

#define ISA "avx512"
#define DTYPE BFI_F32
#define KERNEL(name, tile) bf_f32_##name##_##tile##__avx512
#define TABLE bfi_kernels_avx512_f32
#define INLINE static inline __attribute__((always_inline))

typedef float T;
typedef __m512 V;
typedef __mmask16 M;
enum { W = 16, REGISTERS = 32 };

INLINE V v_zero(void) { return _mm512_setzero_ps(); }
INLINE V v_set1(T x) { return _mm512_set1_ps(x); }
INLINE V v_load(const T *p) { return _mm512_loadu_ps(p); }
INLINE void v_store(T *p, V x) { _mm512_storeu_ps(p, x); }
INLINE M v_first(int64_t n) { return (M)((1u << n) - 1); } /* 0 <= n <= W */
INLINE V v_load_n(const T *p, int64_t n) { return _mm512_maskz_loadu_ps(v_first(n), p); }
INLINE void v_store_n(T *p, V x, int64_t n) { _mm512_mask_storeu_ps(p, v_first(n), x); }
/* The lanes [from, to), which may reach beyond on both sides. */
INLINE M v_range(int64_t from, int64_t to) {
    from = from < 0 ? 0 : from < W ? from : W;
    to = to < from ? from : to < W ? to : W;
    return (M)(v_first(to) & ~v_first(from));
}
/* Elements that the mask leaves out are zero and not read, or not written, or keep their sum. */
INLINE V v_fma_mask(M m, V a, V b, V c) { return _mm512_mask3_fmadd_ps(a, b, c, m); }
INLINE V v_load_mask(M m, const T *p) { return _mm512_maskz_loadu_ps(m, p); }
INLINE void v_store_mask(M m, T *p, V x) { _mm512_mask_storeu_ps(p, m, x); }
/* Elements 0, 2, 4, ... of |a| and |b| in a row. */
INLINE V v_even(V a, V b) {
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}
/* Elements of |a| and |b| in turn: of their first halves, of their second halves. */
INLINE V v_zip_low(V a, V b) {
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b);
}
INLINE V v_zip_high(V a, V b) {
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b);
}
INLINE V v_add(V a, V b) { return _mm512_add_ps(a, b); }
INLINE V v_sub(V a, V b) { return _mm512_sub_ps(a, b); }
INLINE V v_mul(V a, V b) { return _mm512_mul_ps(a, b); }
INLINE V v_fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
INLINE V v_div(V a, V b) { return _mm512_div_ps(a, b); }
INLINE V v_sqrt(V a) { return _mm512_sqrt_ps(a); }
INLINE V v_abs(V a) { return _mm512_abs_ps(a); }
INLINE M v_nonneg(V a) { return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_GE_OQ); }
INLINE M v_nonzero(V a) { return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_NEQ_UQ); }
INLINE M m_or(M a, M b) { return (M)(a | b); }
INLINE uint64_t m_bits(M m) { return m; }
INLINE V v_pick(M m, V yes, V no) { return _mm512_mask_blend_ps(m, no, yes); }
/* max(|lo|, |hi|); NaN when either is NaN: as whole numbers NaNs are the largest. */
INLINE V v_magnitude(V lo, V hi) {
    return _mm512_castsi512_ps(
        _mm512_max_epu32(_mm512_castps_si512(v_abs(lo)), _mm512_castps_si512(v_abs(hi))));
}
INLINE T s_fma(T a, T b, T c) { return __builtin_fmaf(a, b, c); }

/* Eight doubles to the nearest float32 not below, or not above, as bfi_float_up and _down have it:
 * the conversion rounds so itself. */
#define FLOAT_ENDS 8
INLINE void float_ends_up(double *x) {
    __m512d v = _mm512_loadu_pd(x);
    __m512d up =
        _mm512_cvtps_pd(_mm512_cvt_roundpd_ps(v, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC));
    __mmask8 number = _mm512_cmp_pd_mask(v, v, _CMP_ORD_Q);
    _mm512_storeu_pd(x, _mm512_mask_blend_pd(number, _mm512_set1_pd(__builtin_inf()), up));
}
INLINE void float_ends_down(double *x) {
    __m512d v = _mm512_loadu_pd(x);
    __m512d down =
        _mm512_cvtps_pd(_mm512_cvt_roundpd_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
    __mmask8 number = _mm512_cmp_pd_mask(v, v, _CMP_ORD_Q);
    _mm512_storeu_pd(x, _mm512_mask_blend_pd(number, _mm512_set1_pd(-__builtin_inf()), down));
}

#endif
