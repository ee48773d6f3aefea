/* Vectors of 8 float64 in AVX-512: what the files of kernels/simd are written in. */
#ifndef BFI_KERNELS_SIMD_AVX512_F64_H
#define BFI_KERNELS_SIMD_AVX512_F64_H

#include <immintrin.h>
#include <stdint.h>

#define ISA "avx512"
#define DTYPE BFI_F64
#define KERNEL(name, tile) bf_f64_##name##_##tile##__avx512
#define TABLE bfi_kernels_avx512_f64
#define INLINE static inline __attribute__((always_inline))

typedef double T;
typedef __m512d V;
typedef __mmask8 M;
enum { W = 8, REGISTERS = 32 };

INLINE V v_zero(void) { return _mm512_setzero_pd(); }
INLINE V v_set1(T x) { return _mm512_set1_pd(x); }
INLINE V v_load(const T *p) { return _mm512_loadu_pd(p); }
INLINE void v_store(T *p, V x) { _mm512_storeu_pd(p, x); }
INLINE M v_first(int64_t n) { return (M)((1u << n) - 1); } /* 0 <= n <= W */
INLINE V v_load_n(const T *p, int64_t n) { return _mm512_maskz_loadu_pd(v_first(n), p); }
INLINE void v_store_n(T *p, V x, int64_t n) { _mm512_mask_storeu_pd(p, v_first(n), x); }
/* The lanes [from, to), which may reach beyond on both sides. */
INLINE M v_range(int64_t from, int64_t to) {
    from = from < 0 ? 0 : from < W ? from : W;
    to = to < from ? from : to < W ? to : W;
    return (M)(v_first(to) & ~v_first(from));
}
/* Elements that the mask leaves out are zero and not read, or not written, or keep their sum. */
INLINE V v_fma_mask(M m, V a, V b, V c) { return _mm512_mask3_fmadd_pd(a, b, c, m); }
INLINE V v_load_mask(M m, const T *p) { return _mm512_maskz_loadu_pd(m, p); }
INLINE void v_store_mask(M m, T *p, V x) { _mm512_mask_storeu_pd(p, m, x); }
/* Elements 0, 2, 4, ... of |a| and |b| in a row. */
INLINE V v_even(V a, V b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14), b);
}
/* Elements of |a| and |b| in turn: of their first halves, of their second halves. */
INLINE V v_zip_low(V a, V b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
}
INLINE V v_zip_high(V a, V b) {
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
}
INLINE V v_add(V a, V b) { return _mm512_add_pd(a, b); }
INLINE V v_sub(V a, V b) { return _mm512_sub_pd(a, b); }
INLINE V v_mul(V a, V b) { return _mm512_mul_pd(a, b); }
INLINE V v_fma(V a, V b, V c) { return _mm512_fmadd_pd(a, b, c); }
INLINE V v_div(V a, V b) { return _mm512_div_pd(a, b); }
INLINE V v_sqrt(V a) { return _mm512_sqrt_pd(a); }
INLINE V v_abs(V a) { return _mm512_abs_pd(a); }
INLINE M v_nonneg(V a) { return _mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_GE_OQ); }
INLINE M v_nonzero(V a) { return _mm512_cmp_pd_mask(a, _mm512_setzero_pd(), _CMP_NEQ_UQ); }
INLINE M m_or(M a, M b) { return (M)(a | b); }
INLINE uint64_t m_bits(M m) { return m; }
INLINE V v_pick(M m, V yes, V no) { return _mm512_mask_blend_pd(m, no, yes); }
/* max(|lo|, |hi|); NaN when either is NaN: as whole numbers NaNs are the largest. */
INLINE V v_magnitude(V lo, V hi) {
    return _mm512_castsi512_pd(
        _mm512_max_epu64(_mm512_castpd_si512(v_abs(lo)), _mm512_castpd_si512(v_abs(hi))));
}
INLINE T s_fma(T a, T b, T c) { return __builtin_fma(a, b, c); }

#endif
