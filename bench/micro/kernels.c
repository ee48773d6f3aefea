/* Speed of the bound kernels beside the measured fma peak of one core. Fastest of many runs, one
 * thread.
 *
 *   make build && cc -O3 -D_GNU_SOURCE -I. -Isrc bench/micro/kernels.c -L build -lboundflow_core
 * -lm -o build/bench_kernels build/bench_kernels [avx512|avx2|ref|native] [f32|f64] [json]
 *
 * Rates count useful operations only (2 per weight and lane; 6 for interval kernels; taps inside
 * the source). GB/s counts weights, sources and results once. The last column is the share of the
 * roof: of what the fma peak and the rate at which one core reads that many bytes allow. With json
 * every line is an object; the first says what the machine can do. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bench/micro/peak.h"
#include "kernels/kernel.h"

typedef struct bench {
    const bfi_kernels *k;
    size_t size; /* of an element */
    double peak; /* flop/s */
    int json;
} bench;

static void *numbers(const bench *b, int64_t n) {
    void *p = bfi_alloc_aligned((size_t)n * b->size);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    for (int64_t i = 0; i < n; i++) {
        double x = (double)rand() / RAND_MAX - 0.5;
        if (b->size == 4)
            ((float *)p)[i] = (float)x;
        else
            ((double *)p)[i] = x;
    }
    return p;
}

static void report(const bench *b, const char *name, double flops, double bytes, double s) {
    double rate = read_rate(b->k->isa, (size_t)bytes);
    double least = fmax(flops / b->peak, bytes / rate);
    if (b->json)
        printf(
            "{\"case\": \"%s\", \"flops\": %.0f, \"bytes\": %.0f, \"s\": %.4e, "
            "\"read_rate\": %.4e}\n",
            name, flops, bytes, s, rate);
    else
        printf("%-44s %9.3f us  %7.1f GF/s  %5.1f %%  %6.1f GB/s  %5.1f %%\n", name, s * 1e6,
               flops / s * 1e-9, 100 * flops / s / b->peak, bytes / s * 1e-9, 100 * least / s);
}

/* What one core can do: the fma peak, and reading as many bytes again and again. */
static void report_machine(const bench *b, const char *dtype) {
    static const size_t sizes[] = {(size_t)16 << 10, (size_t)512 << 10, (size_t)4 << 20,
                                   (size_t)32 << 20, (size_t)256 << 20};
    if (!b->json) {
        printf("%s %s, fma peak %.1f GF/s\n", b->k->isa, dtype, b->peak * 1e-9);
        return;
    }
    printf("{\"isa\": \"%s\", \"dtype\": \"%s\", \"peak\": %.4e, \"read\": [", b->k->isa, dtype,
           b->peak);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        printf("%s[%zu, %.4e]", i ? ", " : "", sizes[i], read_rate(b->k->isa, sizes[i]));
    printf("]}\n");
}

static void bench_linear(const bench *b, int64_t m, int64_t k, int64_t lanes) {
    int64_t ls = lanes == 1 ? 1 : (lanes + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
    bfi_packed w = {m, k, numbers(b, bfi_packed_size(m, k))};
    void *in = numbers(b, k * ls), *hi = numbers(b, k * ls), *out[3];
    for (int i = 0; i < 3; i++) out[i] = numbers(b, m * ls);
    char name[64];
    double s, bytes = (double)(m * k + (k + m) * ls) * (double)b->size;
    snprintf(name, sizeof name, "linear %" PRId64 "x%" PRId64 ", %" PRId64 " lanes", m, k, lanes);
    FASTEST(s, b->k->linear(&w, 0, m, in, out[0], ls, lanes));
    report(b, name, 2.0 * (double)(m * k * lanes), bytes, s);
    if (lanes == 1 || lanes == 32) {
        snprintf(name, sizeof name, "interval linear %" PRId64 "x%" PRId64 ", %" PRId64 " lanes", m,
                 k, lanes);
        bytes += (double)((k + 2 * m) * ls) * (double)b->size;
        FASTEST(s, b->k->interval_linear(&w, 0, m, in, hi, out[0], out[1], out[2], ls, lanes));
        report(b, name, 6.0 * (double)(m * k * lanes), bytes, s);
    }
    for (int i = 0; i < 3; i++) free(out[i]);
    free(hi);
    free(in);
    free((void *)w.data);
}

static void bench_conv(const bench *b, int64_t c_src, int64_t c_dst, int64_t size, int64_t stride,
                       int transposed, int64_t lanes) {
    int64_t ls = lanes == 1 ? 1 : (lanes + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
    int64_t dst = transposed ? size * stride : (size + stride - 1) / stride;
    bfi_conv c = {.groups = 1,
                  .c_src = c_src,
                  .h_src = size,
                  .w_src = size,
                  .c_dst = c_dst,
                  .h_dst = dst,
                  .w_dst = dst,
                  .kh = 3,
                  .kw = 3,
                  .stride_h = stride,
                  .stride_w = stride,
                  .dil_h = 1,
                  .dil_w = 1,
                  .pad_top = 1,
                  .pad_left = 1,
                  .transposed = transposed};
    int64_t taps = 0; /* along one axis */
    for (int64_t d = 0; d < dst; d++)
        for (int64_t k = 0; k < 3; k++) {
            int64_t s = transposed ? d + 1 - k : d * stride - 1 + k;
            taps +=
                transposed ? s >= 0 && s % stride == 0 && s / stride < size : s >= 0 && s < size;
        }
    c.packed = numbers(b, bfi_packed_size(c_dst, c_src * 9));
    void *in = numbers(b, c_src * size * size * ls), *hi = numbers(b, c_src * size * size * ls),
         *out[3];
    for (int i = 0; i < 3; i++) out[i] = numbers(b, c_dst * dst * dst * ls);
    char name[80];
    int64_t n_src = c_src * size * size * ls, n_dst = c_dst * dst * dst * ls;
    double s, products = (double)(taps * taps * c_src * c_dst * lanes);
    double bytes = (double)(c_src * c_dst * 9 + n_src + n_dst) * (double)b->size;
    int skip = snprintf(name, sizeof name, "interval ");
    snprintf(name + skip, sizeof name - (size_t)skip,
             "conv%s 3x3/%" PRId64 " %" PRId64 "->%" PRId64 " %" PRId64 "x%" PRId64 ", %" PRId64
             " lanes",
             transposed ? "T" : "", stride, c_src, c_dst, size, size, lanes);
    FASTEST(s, b->k->conv(&c, 0, dst, in, out[0], ls, lanes));
    report(b, name + skip, 2 * products, bytes, s);
    if (lanes == 1 || lanes == 32) {
        FASTEST(s, b->k->interval_conv(&c, 0, dst, in, hi, out[0], out[1], out[2], ls, lanes));
        bytes += (double)(n_src + 2 * n_dst) * (double)b->size;
        report(b, name, 6 * products, bytes, s);
    }
    for (int i = 0; i < 3; i++) free(out[i]);
    free(hi);
    free(in);
    free((void *)c.packed);
}

static void bench_relax(const bench *b, int64_t n, int64_t lanes, int64_t ps) {
    int64_t ls = lanes == 1 ? 1 : (lanes + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
    bfi_relax r = {.n = n, .ls = ls, .lanes = lanes, .ps = ps == 1 ? 1 : ls};
    void *p[6];
    for (int i = 0; i < 6; i++) p[i] = numbers(b, n * r.ps);
    void *a = numbers(b, n * ls), *out = numbers(b, n * ls), *sums = numbers(b, 2 * ls);
    r.a = a;
    r.out = out;
    r.s_pos = p[0], r.s_neg = p[1], r.t_pos = p[2], r.t_neg = p[3], r.e = p[4];
    r.t_sum = sums;
    r.e_sum = (char *)sums + (size_t)ls * b->size;
    char name[64];
    double s;
    snprintf(name, sizeof name, "relax %" PRId64 ", %" PRId64 " lanes, %s parameters", n, lanes,
             r.ps == 1 ? "shared" : "own");
    FASTEST(s, b->k->relax(&r));
    report(b, name, 5.0 * (double)(n * lanes), (double)(n * (2 * ls + 5 * r.ps)) * (double)b->size,
           s);
    for (int i = 0; i < 6; i++) free(p[i]);
    free(a);
    free(out);
    free(sums);
}

int main(int argc, char **argv) {
    const char *isa = argc > 1 && strcmp(argv[1], "native") != 0 ? argv[1] : NULL;
    bfi_dtype dtype = argc > 2 && strcmp(argv[2], "f64") == 0 ? BFI_F64 : BFI_F32;
    bench b = {bfi_kernels_native(dtype, isa), dtype == BFI_F32 ? 4 : 8, 0, 0};
    if (!b.k) {
        fprintf(stderr, "this CPU cannot run the kernels of '%s'; try avx512, avx2 or ref\n", isa);
        return 1;
    }
    b.peak = fma_peak(b.k->isa, dtype == BFI_F32);
    b.json = argc > 3 && strcmp(argv[3], "json") == 0;
    report_machine(&b, dtype == BFI_F32 ? "float32" : "float64");
    static const int64_t linear[][3] = {
        {784, 256, 64},  {256, 256, 32}, {50, 50, 16},  {50, 50, 64},  {512, 512, 64},
        {512, 512, 512}, {256, 256, 16}, {5, 50, 64},   {784, 256, 1}, {256, 256, 1},
        {50, 50, 1},     {10, 3136, 1},  {784, 256, 4}, {512, 512, 8}};
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++)
        bench_linear(&b, linear[i][0], linear[i][1], linear[i][2]);
    static const int64_t conv[][5] = {{16, 16, 16, 1, 0}, {32, 32, 8, 1, 0}, {64, 64, 8, 1, 0},
                                      {16, 3, 32, 1, 0},  {3, 16, 32, 1, 0}, {32, 16, 8, 2, 1}};
    static const int64_t lanes[] = {1, 16, 32, 64};
    for (size_t i = 0; i < sizeof conv / sizeof *conv; i++)
        for (size_t j = 0; j < sizeof lanes / sizeof *lanes; j++)
            bench_conv(&b, conv[i][0], conv[i][1], conv[i][2], conv[i][3], (int)conv[i][4],
                       lanes[j]);
    static const int64_t relax[][3] = {
        {256, 64, 1}, {256, 64, 0}, {256, 16, 1}, {784, 1, 1}, {65536, 32, 1}};
    for (size_t i = 0; i < sizeof relax / sizeof *relax; i++)
        bench_relax(&b, relax[i][0], relax[i][1], relax[i][2]);
    return 0;
}
