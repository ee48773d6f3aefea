/* The clock, the fastest of many calls, and what one core can do, measured: fma and reading. */
#ifndef BENCH_MICRO_PEAK_H
#define BENCH_MICRO_PEAK_H

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Calls |body| until 0.15 s have passed, short ones several times between two looks at the clock;
 * the fastest call in seconds is in |best|, on the wall clock: the thread's own leaves out what a
 * virtual machine's host says it took, in lumps that make single calls faster than the core. */
#define FASTEST(best, body)                                                        \
    do {                                                                           \
        double until = now() + 0.15;                                               \
        int calls = 1;                                                             \
        (best) = 1e9;                                                              \
        do {                                                                       \
            double from = now();                                                   \
            for (int call = 0; call < calls; call++) body;                         \
            double took = (now() - from) / calls;                                  \
            if (took < (best)) (best) = took;                                      \
            calls = took < SHORT_CALL ? (int)(SHORT_CALL / (took + 1e-9)) + 1 : 1; \
        } while (now() < until);                                                   \
    } while (0)
#define SHORT_CALL 1e-5

#define PEAK(name, isa, V, n, set1, fma)                                        \
    __attribute__((target(isa), noinline)) static V name##_chains(void) {       \
        V a = set1(1.0000001f), b = set1(1e-9f);                                \
        V c0 = a, c1 = set1(1), c2 = set1(2), c3 = set1(3), c4 = set1(4);       \
        V c5 = set1(5), c6 = set1(6), c7 = set1(7), c8 = set1(8), c9 = set1(9); \
        for (int r = 0; r < 100000; r++) {                                      \
            c0 = fma(c0, a, b), c1 = fma(c1, a, b), c2 = fma(c2, a, b);         \
            c3 = fma(c3, a, b), c4 = fma(c4, a, b), c5 = fma(c5, a, b);         \
            c6 = fma(c6, a, b), c7 = fma(c7, a, b), c8 = fma(c8, a, b);         \
            c9 = fma(c9, a, b);                                                 \
        }                                                                       \
        return c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9;                 \
    }                                                                           \
    __attribute__((target(isa))) static double name(void) {                     \
        double best;                                                            \
        volatile V sink;                                                        \
        FASTEST(best, sink = name##_chains());                                  \
        (void)sink;                                                             \
        return 2.0 * n * 10 * 100000 / best;                                    \
    }

PEAK(peak_avx512_f32, "avx512f", __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps)
PEAK(peak_avx512_f64, "avx512f", __m512d, 8, _mm512_set1_pd, _mm512_fmadd_pd)
PEAK(peak_avx2_f32, "avx2,fma", __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps)
PEAK(peak_avx2_f64, "avx2,fma", __m256d, 4, _mm256_set1_pd, _mm256_fmadd_pd)

/* In flop/s. The scalar table is shown beside the AVX2 peak. */
static inline double fma_peak(const char *isa, int f32) {
    if (strcmp(isa, "avx512") == 0) return f32 ? peak_avx512_f32() : peak_avx512_f64();
    if (!__builtin_cpu_supports("avx2")) return 1;
    return f32 ? peak_avx2_f32() : peak_avx2_f64();
}

/* Sums a buffer of |n| vectors, a multiple of 8, |passes| times. */
#define READ(name, isa, V, zero)                                                             \
    __attribute__((target(isa), noinline)) static V name(const V *p, size_t n, int passes) { \
        V s[8];                                                                              \
        for (int j = 0; j < 8; j++) s[j] = zero();                                           \
        for (int pass = 0; pass < passes; pass++) {                                          \
            for (size_t i = 0; i < n; i += 8) {                                              \
                s[0] += p[i], s[1] += p[i + 1], s[2] += p[i + 2], s[3] += p[i + 3];          \
                s[4] += p[i + 4], s[5] += p[i + 5], s[6] += p[i + 6], s[7] += p[i + 7];      \
            }                                                                                \
            __asm__ volatile("" ::: "memory");                                               \
        }                                                                                    \
        return s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];                        \
    }

READ(read_avx512, "avx512f", __m512, _mm512_setzero_ps)
READ(read_avx2, "avx2,fma", __m256, _mm256_setzero_ps)

/* Seconds of the fastest |part| bytes of |parts| in turn, each read |passes| times. */
#define PASS(name, isa, V, read)                                                              \
    __attribute__((target(isa))) static double name(const char *p, size_t part, size_t parts, \
                                                    int passes) {                             \
        double best;                                                                          \
        size_t at = 0;                                                                        \
        volatile V sink;                                                                      \
        FASTEST(best,                                                                         \
                sink = read((const V *)(p + at++ % parts * part), part / sizeof(V), passes)); \
        (void)sink;                                                                           \
        return best;                                                                          \
    }

PASS(pass_avx512, "avx512f", __m512, read_avx512)
PASS(pass_avx2, "avx2,fma", __m256, read_avx2)

/* In bytes/s, of a core that reads the same |bytes| (rounded up) again and again: from the cache
 * they fit into. Much is timed in parts, shorter than a time slice of a busy machine. 0 without
 * memory. */
static inline double read_rate(const char *isa, size_t bytes) {
    size_t most = (size_t)4 << 20, part = bytes < most ? (bytes + 511) / 512 * 512 : most;
    size_t parts = (bytes + part - 1) / part;
    int passes = part < 1 << 20 ? (int)((1 << 20) / part) : 1;
    char *p = aligned_alloc(512, part * parts);
    if (!p) return 0;
    memset(p, 0, part * parts);
    double best = strcmp(isa, "avx512") == 0 ? pass_avx512(p, part, parts, passes)
                                             : pass_avx2(p, part, parts, passes);
    free(p);
    return (double)part * passes / best;
}

#endif
