/* Vectors of 4 float64 in AVX2 with FMA: what the files of kernels/simd are written in. */
#ifndef BFI_KERNELS_SIMD_AVX2_F64_H
#define BFI_KERNELS_SIMD_AVX2_F64_H

#include <immintrin.h>
#include <stdint.h>

#define ISA "avx2"
#define DTYPE BFI_F64
#define KERNEL(name, tile) bf_f64_##name##_##tile##__avx2
#define TABLE bfi_kernels_avx2_f64
#define INLINE static inline __attribute__((always_inline))

typedef double T;
typedef __m256d V;
typedef __m256d M;
enum { W = 4, REGISTERS = 16 };

INLINE V v_zero(void) { return _mm256_setzero_pd(); }
INLINE V v_set1(T x) { return _mm256_set1_pd(x); }
INLINE V v_load(const T *p) { return _mm256_loadu_pd(p); }
INLINE void v_store(T *p, V x) { _mm256_storeu_pd(p, x); }
INLINE __m256i v_first(int64_t n) { /* 0 <= n <= W */
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINE V v_load_n(const T *p, int64_t n) { return _mm256_maskload_pd(p, v_first(n)); }
INLINE void v_store_n(T *p, V x, int64_t n) { _mm256_maskstore_pd(p, v_first(n), x); }
/* The lanes [from, to), which may reach beyond on both sides. */
INLINE M v_range(int64_t from, int64_t to) {
    from = from < 0 ? 0 : from < W ? from : W;
    to = to < from ? from : to < W ? to : W;
    return _mm256_castsi256_pd(_mm256_andnot_si256(v_first(from), v_first(to)));
}
/* Elements that the mask leaves out are zero and not read, or not written, or keep their sum. */
INLINE V v_fma_mask(M m, V a, V b, V c) { return _mm256_blendv_pd(c, _mm256_fmadd_pd(a, b, c), m); }
INLINE V v_load_mask(M m, const T *p) { return _mm256_maskload_pd(p, _mm256_castpd_si256(m)); }
INLINE void v_store_mask(M m, T *p, V x) { _mm256_maskstore_pd(p, _mm256_castpd_si256(m), x); }
/* Elements 0, 2, 4, ... of |a| and |b| in a row. */
INLINE V v_even(V a, V b) { return _mm256_permute4x64_pd(_mm256_unpacklo_pd(a, b), 0xd8); }
/* Elements of |a| and |b| in turn: of their first halves, of their second halves. */
INLINE V v_zip_low(V a, V b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x20);
}
INLINE V v_zip_high(V a, V b) {
    return _mm256_permute2f128_pd(_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b), 0x31);
}
INLINE V v_add(V a, V b) { return _mm256_add_pd(a, b); }
INLINE V v_sub(V a, V b) { return _mm256_sub_pd(a, b); }
INLINE V v_mul(V a, V b) { return _mm256_mul_pd(a, b); }
INLINE V v_fma(V a, V b, V c) { return _mm256_fmadd_pd(a, b, c); }
INLINE V v_div(V a, V b) { return _mm256_div_pd(a, b); }
INLINE V v_sqrt(V a) { return _mm256_sqrt_pd(a); }
INLINE V v_abs(V a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
INLINE M v_nonneg(V a) { return _mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_GE_OQ); }
INLINE M v_nonzero(V a) { return _mm256_cmp_pd(a, _mm256_setzero_pd(), _CMP_NEQ_UQ); }
INLINE M m_or(M a, M b) { return _mm256_or_pd(a, b); }
INLINE uint64_t m_bits(M m) { return (uint64_t)_mm256_movemask_pd(m); }
INLINE V v_pick(M m, V yes, V no) { return _mm256_blendv_pd(no, yes, m); }
/* max(|lo|, |hi|); NaN when either is NaN. */
INLINE V v_magnitude(V lo, V hi) {
    V a = v_abs(lo), b = v_abs(hi);
    return _mm256_blendv_pd(_mm256_max_pd(a, b), a, _mm256_cmp_pd(a, a, _CMP_UNORD_Q));
}
INLINE T s_fma(T a, T b, T c) { return __builtin_fma(a, b, c); }

#endif
