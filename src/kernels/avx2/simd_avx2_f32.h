/* Vectors of 8 float32 in AVX2 with FMA: what the files of kernels/simd are written in. */
#ifndef BFI_KERNELS_SIMD_AVX2_F32_H
#define BFI_KERNELS_SIMD_AVX2_F32_H

#include <immintrin.h>
#include <stdint.h>

#define ISA "avx2"
#define DTYPE BFI_F32
#define KERNEL(name, tile) bf_f32_##name##_##tile##__avx2
#define TABLE bfi_kernels_avx2_f32
#define INLINE static inline __attribute__((always_inline))

typedef float T;
typedef __m256 V;
typedef __m256 M;
enum { W = 8, REGISTERS = 16 };

INLINE V v_zero(void) { return _mm256_setzero_ps(); }
INLINE V v_set1(T x) { return _mm256_set1_ps(x); }
INLINE V v_load(const T *p) { return _mm256_loadu_ps(p); }
INLINE void v_store(T *p, V x) { _mm256_storeu_ps(p, x); }
INLINE __m256i v_first(int64_t n) { /* 0 <= n <= W */
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE V v_load_n(const T *p, int64_t n) { return _mm256_maskload_ps(p, v_first(n)); }
INLINE void v_store_n(T *p, V x, int64_t n) { _mm256_maskstore_ps(p, v_first(n), x); }
/* The lanes [from, to), which may reach beyond on both sides. */
INLINE M v_range(int64_t from, int64_t to) {
    from = from < 0 ? 0 : from < W ? from : W;
    to = to < from ? from : to < W ? to : W;
    return _mm256_castsi256_ps(_mm256_andnot_si256(v_first(from), v_first(to)));
}
/* Elements that the mask leaves out are zero and not read, or not written, or keep their sum. */
INLINE V v_fma_mask(M m, V a, V b, V c) { return _mm256_blendv_ps(c, _mm256_fmadd_ps(a, b, c), m); }
INLINE V v_load_mask(M m, const T *p) { return _mm256_maskload_ps(p, _mm256_castps_si256(m)); }
INLINE void v_store_mask(M m, T *p, V x) { _mm256_maskstore_ps(p, _mm256_castps_si256(m), x); }
/* Elements 0, 2, 4, ... of |a| and |b| in a row. */
INLINE V v_even(V a, V b) { /* within halves, then the quarters in order */
    __m256d mixed = _mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88));
    return _mm256_castpd_ps(_mm256_permute4x64_pd(mixed, 0xd8));
}
/* Elements of |a| and |b| in turn: of their first halves, of their second halves. */
INLINE V v_zip_low(V a, V b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20);
}
INLINE V v_zip_high(V a, V b) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31);
}
INLINE V v_add(V a, V b) { return _mm256_add_ps(a, b); }
INLINE V v_sub(V a, V b) { return _mm256_sub_ps(a, b); }
INLINE V v_mul(V a, V b) { return _mm256_mul_ps(a, b); }
INLINE V v_fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
INLINE V v_div(V a, V b) { return _mm256_div_ps(a, b); }
INLINE V v_sqrt(V a) { return _mm256_sqrt_ps(a); }
INLINE V v_abs(V a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
INLINE M v_nonneg(V a) { return _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_GE_OQ); }
INLINE M v_nonzero(V a) { return _mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_NEQ_UQ); }
INLINE M m_or(M a, M b) { return _mm256_or_ps(a, b); }
INLINE uint64_t m_bits(M m) { return (uint64_t)_mm256_movemask_ps(m); }
INLINE V v_pick(M m, V yes, V no) { return _mm256_blendv_ps(no, yes, m); }
/* max(|lo|, |hi|); NaN when either is NaN: as whole numbers NaNs are the largest. */
INLINE V v_magnitude(V lo, V hi) {
    return _mm256_castsi256_ps(
        _mm256_max_epu32(_mm256_castps_si256(v_abs(lo)), _mm256_castps_si256(v_abs(hi))));
}
INLINE T s_fma(T a, T b, T c) { return __builtin_fmaf(a, b, c); }

#endif
