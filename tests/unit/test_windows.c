/* Windows of convolution stacks: the windowed convolution does what the whole one does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "plan/windows.h"

static uint64_t state = 88172645463325252u;
static int64_t pick(int64_t lo, int64_t hi) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return lo + (int64_t)(state % (uint64_t)(hi - lo + 1));
}

/* A random convolution in gather form whose destination is not empty. */
static bfi_conv random_conv(void) {
    bfi_conv c = {.groups = pick(1, 2), .c_src = pick(1, 3), .c_dst = pick(1, 3)};
    c.kh = pick(1, 4), c.kw = pick(1, 4), c.stride_h = pick(1, 3), c.stride_w = pick(1, 3);
    c.dil_h = pick(1, 2), c.dil_w = pick(1, 2), c.pad_top = pick(0, 2), c.pad_left = pick(0, 2);
    c.h_src = pick(1, 9), c.w_src = pick(1, 9), c.h_dst = pick(1, 9), c.w_dst = pick(1, 9);
    c.transposed = (int)pick(0, 1);
    return c;
}

static bfi_span random_span(int64_t size) {
    int64_t lo = pick(0, size - 1);
    return (bfi_span){lo, pick(lo + 1, size)};
}

static bool inside(bfi_rect r, int64_t y, int64_t x) {
    return y >= r.y.lo && y < r.y.hi && x >= r.x.lo && x < r.x.hi;
}

enum { LS = BF_LANE_PAD };

static float *numbers(int64_t n) {
    float *a = aligned_alloc(64, ((size_t)n * sizeof *a + 63) / 64 * 64);
    assert_non_null(a);
    for (int64_t i = 0; i < n; i++) a[i] = (float)pick(-8, 8) / 8;
    return a;
}

/* The window of planes of |h| x |w| positions, |channels| of them. */
static float *window_of(const float *whole, int64_t channels, int64_t h, int64_t w, bfi_rect r) {
    int64_t wh = r.y.hi - r.y.lo, ww = r.x.hi - r.x.lo;
    float *out = numbers(channels * wh * ww * LS + 1);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t y = 0; y < wh; y++)
            for (int64_t x = 0; x < ww; x++)
                memcpy(out + ((c * wh + y) * ww + x) * LS,
                       whole + ((c * h + r.y.lo + y) * w + r.x.lo + x) * LS, LS * sizeof *out);
    return out;
}

static void check(const bfi_conv *conv) {
    const bfi_kernels *k = bfi_kernels_ref(BFI_F32);
    bfi_rect src = {random_span(conv->h_src), random_span(conv->w_src)};
    int64_t c_src = conv->groups * conv->c_src, c_dst = conv->groups * conv->c_dst;
    int64_t taps = conv->c_src * conv->kh * conv->kw;
    float *w = numbers(conv->groups * bfi_packed_size(conv->c_dst, taps));
    float *in = numbers(c_src * conv->h_src * conv->w_src * LS);
    float *out = numbers(c_dst * conv->h_dst * conv->w_dst * LS);
    for (int64_t c = 0; c < c_src; c++)
        for (int64_t y = 0; y < conv->h_src; y++)
            for (int64_t x = 0; x < conv->w_src; x++)
                if (!inside(src, y, x))
                    memset(in + ((c * conv->h_src + y) * conv->w_src + x) * LS, 0, LS * sizeof *in);
    bfi_conv whole = *conv;
    whole.packed = w;
    k->conv(&whole, 0, conv->h_dst, in, out, LS, LS);

    bfi_rect dst = bfi_conv_reach(&whole, src);
    for (int64_t c = 0; c < c_dst; c++)
        for (int64_t y = 0; y < conv->h_dst; y++)
            for (int64_t x = 0; x < conv->w_dst; x++)
                if (!inside(dst, y, x))
                    for (int l = 0; l < LS; l++)
                        assert_true(out[((c * conv->h_dst + y) * conv->w_dst + x) * LS + l] == 0);
    if (bfi_rect_area(dst) > 0) {
        bfi_conv part = bfi_conv_window(&whole, src, dst);
        float *a = window_of(in, c_src, conv->h_src, conv->w_src, src);
        float *expected = window_of(out, c_dst, conv->h_dst, conv->w_dst, dst);
        float *got = numbers(c_dst * bfi_rect_area(dst) * LS);
        k->conv(&part, 0, part.h_dst, a, got, LS, LS);
        for (int64_t i = 0; i < c_dst * bfi_rect_area(dst) * LS; i++)
            assert_true(got[i] == expected[i]);
        free(a), free(expected), free(got);
    }
    free(w), free(in), free(out);
}

static void test_conv_window(void **unused) {
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        bfi_conv c = random_conv();
        check(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv_window)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
