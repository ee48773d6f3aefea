/* The reference kernels against the contract of kernel.h, written another way: every sum is laid
 * out densely by its original index, absent terms as zeros, then added up block by block. */
#include <stdlib.h>

#include "base/fp.h"
#include "kernel_cases.h"

enum { MOST_TERMS = 40 * 11 * 11 + 4096 };

/* The terms of one sum; weights and values that are not set are zero. */
typedef struct terms {
    bfi_dtype dtype;
    int64_t n;
    double w[MOST_TERMS], x[MOST_TERMS];
} terms;

static void terms_clear(terms *t, bfi_dtype dtype, int64_t n) {
    assert_true(n <= MOST_TERMS);
    t->dtype = dtype;
    t->n = n;
    memset(t->w, 0, (size_t)n * sizeof *t->w);
    memset(t->x, 0, (size_t)n * sizeof *t->x);
}

/* One block, from the last term inwards. */
static double chain(const terms *t, int64_t from, int64_t last) {
    double before = last == from ? 0 : chain(t, from, last - 1);
    if (t->dtype == BFI_F64) return fma(t->w[last], t->x[last], before);
    return (double)fmaf((float)t->w[last], (float)t->x[last], (float)before);
}

static double blocked(const terms *t) {
    double sum = 0;
    for (int64_t from = 0; from < t->n; from += BF_SUM_BLOCK) {
        int64_t last = from + BF_SUM_BLOCK < t->n ? from + BF_SUM_BLOCK - 1 : t->n - 1;
        double block = chain(t, from, last);
        sum = t->dtype == BFI_F64 ? sum + block : (double)((float)sum + (float)block);
    }
    return sum;
}

/* The kernel's sum has the contract's bits and keeps the error that bfi_sum_depth declares. */
static void expect_sum(const terms *t, double got) {
    long double exact = 0, magnitude = 0;
    for (int64_t i = 0; i < t->n; i++) {
        exact += (long double)t->w[i] * (long double)t->x[i];
        magnitude += fabsl((long double)t->w[i] * (long double)t->x[i]);
    }
    double gamma = bfi_gamma((double)bfi_sum_depth(t->n), bfi_unit_roundoff(t->dtype));
    if (!same(blocked(t), got))
        fail_msg("%" PRId64 " terms: want %a, got %a", t->n, blocked(t), got);
    assert_true(fabsl((long double)got - exact) <= (long double)gamma * magnitude * (1 + 0x1p-40L));
}

static bfi_dtype dtype_of(void **state) { return *(bfi_dtype *)*state; }

static void test_linear(void **state) {
    static terms t;
    bfi_dtype dtype = dtype_of(state);
    for (int i = 0; i < 60; i++) {
        linear_case p = random_linear(dtype, 0);
        buffer out = buffer_filled(dtype, p.m * p.c.ls);
        bfi_packed w = {p.m, p.k, p.w.data};
        bfi_kernels_ref(dtype)->linear(&w, p.m0, p.m1, p.in.data, out.data, p.c.ls, p.c.lanes);
        for (int64_t m = 0; m < p.m; m++) {
            int64_t lane = random_int(0, p.c.lanes - 1);
            if (m < p.m0 || m >= p.m1) {
                assert_true(get(&out, m * p.c.ls + lane) == 77);
                continue;
            }
            terms_clear(&t, dtype, p.k);
            for (int64_t k = 0; k < p.k; k++) {
                t.w[k] = get(&p.w, (m / BF_PACK * p.k + k) * BF_PACK + m % BF_PACK);
                t.x[k] = get(&p.in, k * p.c.ls + lane);
            }
            expect_sum(&t, get(&out, m * p.c.ls + lane));
        }
        buffer_free(&out);
        linear_case_free(&p);
    }
}

/* Terms of one destination element, found from the sources: which taps reach (dy, dx) from (sy,
 * sx)? */
static void conv_terms(const conv_case *p, int64_t g, int64_t m, int64_t dy, int64_t dx,
                       int64_t lane, terms *t) {
    const bfi_conv *c = &p->conv;
    terms_clear(t, p->in.dtype, p->terms);
    for (int64_t sy = 0; sy < c->h_src; sy++)
        for (int64_t sx = 0; sx < c->w_src; sx++)
            for (int64_t ky = 0; ky < c->kh; ky++)
                for (int64_t kx = 0; kx < c->kw; kx++) {
                    int64_t big_y = c->transposed ? sy : dy, small_y = c->transposed ? dy : sy;
                    int64_t big_x = c->transposed ? sx : dx, small_x = c->transposed ? dx : sx;
                    if (big_y * c->stride_h + ky * c->dil_h != small_y + c->pad_top) continue;
                    if (big_x * c->stride_w + kx * c->dil_w != small_x + c->pad_left) continue;
                    for (int64_t ch = 0; ch < c->c_src; ch++) {
                        int64_t k = (ch * c->kh + ky) * c->kw + kx;
                        int64_t source = ((g * c->c_src + ch) * c->h_src + sy) * c->w_src + sx;
                        t->w[k] =
                            get(&p->w, g * conv_group_size(c) +
                                           (m / BF_PACK * p->terms + k) * BF_PACK + m % BF_PACK);
                        t->x[k] = get(&p->in, source * p->c.ls + lane);
                    }
                }
}

static void test_conv(void **state) {
    static terms t;
    bfi_dtype dtype = dtype_of(state);
    for (int i = 0; i < 150; i++) {
        conv_case p = random_conv(dtype, 0);
        const bfi_conv *c = &p.conv;
        buffer out = buffer_filled(dtype, p.destinations * p.c.ls);
        bfi_kernels_ref(dtype)->conv(c, p.y0, p.y1, p.in.data, out.data, p.c.ls, p.c.lanes);
        for (int sample = 0; sample < 40; sample++) {
            int64_t g = random_int(0, c->groups - 1), m = random_int(0, c->c_dst - 1);
            int64_t dy = random_int(0, c->h_dst - 1), dx = random_int(0, c->w_dst - 1);
            int64_t lane = random_int(0, p.c.lanes - 1);
            double got =
                get(&out, (((g * c->c_dst + m) * c->h_dst + dy) * c->w_dst + dx) * p.c.ls + lane);
            if (dy < p.y0 || dy >= p.y1) {
                assert_true(got == 77);
                continue;
            }
            conv_terms(&p, g, m, dy, dx, lane, &t);
            expect_sum(&t, got);
        }
        buffer_free(&out);
        conv_case_free(&p);
    }
}

static void test_sparse(void **state) {
    static terms t;
    static csr_case p;
    bfi_dtype dtype = dtype_of(state);
    for (int i = 0; i < 60; i++) {
        random_csr(&p, dtype, 0);
        buffer out = buffer_filled(dtype, p.m.rows * p.c.ls);
        bfi_kernels_ref(dtype)->sparse(&p.m, p.in.data, out.data, p.c.ls, p.c.lanes);
        for (int64_t r = 0; r < p.m.rows; r++) {
            int64_t lane = random_int(0, p.c.lanes - 1);
            terms_clear(&t, dtype, p.columns);
            for (int64_t e = p.ptr[r]; e < p.ptr[r + 1]; e++) {
                t.w[p.idx[e]] = p.m.val ? get(&p.val, e) : 1;
                t.x[p.idx[e]] = get(&p.in, p.idx[e] * p.c.ls + lane);
            }
            expect_sum(&t, get(&out, r * p.c.ls + lane));
        }
        buffer_free(&out);
        csr_case_free(&p);
    }
}

/* Reads parameter |i| of a relaxation for element j of a lane. */
static double parameter(const relax_case *p, int i, int64_t j, int64_t lane) {
    return get(&p->parameters[i], p->r.ps == 1 ? j : j * p->r.ps + lane);
}

static void test_relax(void **state) {
    static terms t;
    bfi_dtype dtype = dtype_of(state);
    for (int i = 0; i < 150; i++) {
        relax_case p = random_relax(dtype, 0);
        buffer out = buffer_filled(dtype, p.r.n * p.r.ls), sums[2];
        for (int s = 0; s < 2; s++) sums[s] = buffer_filled(dtype, p.r.lanes);
        bfi_relax r = p.r;
        r.s_pos = p.parameters[0].data, r.s_neg = p.parameters[1].data;
        r.t_pos = p.parameters[2].data, r.t_neg = p.parameters[3].data;
        r.e = p.parameters[4].data;
        r.out = out.data;
        r.t_sum = sums[0].data;
        r.e_sum = sums[1].data;
        if (r.ls > 1 && chance(40)) r.cuts = p.cuts;
        bfi_kernels_ref(dtype)->relax(&r);
        int64_t lane = random_int(0, r.lanes - 1);
        for (int s = 0; s < 2; s++) {
            terms_clear(&t, dtype, relax_index(&r, r.n - 1) + 1);
            for (int64_t j = 0; j < r.n; j++) {
                double a = get(&p.a, j * r.ls + lane);
                int64_t at = relax_index(&r, j);
                t.w[at] = s == 0 ? a : fabs(a);
                t.x[at] = parameter(&p, s == 1 ? 4 : a >= 0 ? 2 : 3, j, lane);
                double scaled = a * parameter(&p, a >= 0 ? 0 : 1, j, lane);
                if (dtype == BFI_F32) scaled = (double)(float)scaled;
                assert_true(get(&out, j * r.ls + lane) == scaled);
            }
            expect_sum(&t, get(&sums[s], lane));
        }
        buffer_free(&out);
        for (int s = 0; s < 2; s++) buffer_free(&sums[s]);
        relax_case_free(&p);
    }
}

/* Element |i| is lower for 0, upper for 1, magnitude for 2, of the terms of one output of a
 * product. */
static void interval_terms(const linear_case *p, int64_t m, int64_t lane, int i, terms *t) {
    terms_clear(t, p->in.dtype, p->k);
    for (int64_t k = 0; k < p->k; k++) {
        double w = get(&p->w, (m / BF_PACK * p->k + k) * BF_PACK + m % BF_PACK);
        double lo = get(&p->in, k * p->c.ls + lane), hi = get(&p->hi, k * p->c.ls + lane);
        bool lower = (w >= 0) == (i == 0);
        t->w[k] = i == 2 ? fabs(w) : w;
        t->x[k] = i == 2 ? fmax(fabs(lo), fabs(hi)) : lower ? lo : hi;
    }
}

static void test_interval(void **state) {
    static terms t;
    bfi_dtype dtype = dtype_of(state);
    for (int i = 0; i < 40; i++) {
        linear_case p = random_linear(dtype, 0);
        buffer out[3];
        for (int j = 0; j < 3; j++) out[j] = buffer_filled(dtype, p.m * p.c.ls);
        bfi_packed w = {p.m, p.k, p.w.data};
        bfi_kernels_ref(dtype)->interval_linear(&w, p.m0, p.m1, p.in.data, p.hi.data, out[0].data,
                                                out[1].data, out[2].data, p.c.ls, p.c.lanes);
        for (int64_t m = p.m0; m < p.m1; m++)
            for (int j = 0; j < 3; j++) {
                int64_t lane = random_int(0, p.c.lanes - 1);
                interval_terms(&p, m, lane, j, &t);
                expect_sum(&t, get(&out[j], m * p.c.ls + lane));
            }
        for (int j = 0; j < 3; j++) buffer_free(&out[j]);
        linear_case_free(&p);
    }
}

/* A NaN end or coefficient must reach the magnitude or the result, not vanish in a comparison. */
static void test_nan(void **state) {
    bfi_dtype dtype = dtype_of(state);
    buffer w = buffer_filled(dtype, BF_PACK), ends[2], out[3];
    for (int j = 0; j < 2; j++) ends[j] = buffer_filled(dtype, 1);
    for (int j = 0; j < 3; j++) out[j] = buffer_filled(dtype, 1);
    bfi_packed packed = {1, 1, w.data};
    for (int bad = 0; bad < 2; bad++) {
        set(&ends[bad], 0, NAN);
        set(&ends[1 - bad], 0, 1);
        bfi_kernels_ref(dtype)->interval_linear(&packed, 0, 1, ends[0].data, ends[1].data,
                                                out[0].data, out[1].data, out[2].data, 1, 1);
        assert_true(isnan(get(&out[2], 0)));
        assert_true(isnan(get(&out[bad], 0)));
    }
    bfi_relax r = {.n = 1,
                   .ls = 1,
                   .lanes = 1,
                   .ps = 1,
                   .a = ends[1].data,
                   .out = out[0].data,
                   .s_pos = w.data,
                   .s_neg = w.data,
                   .t_pos = w.data,
                   .t_neg = w.data,
                   .e = w.data,
                   .t_sum = out[1].data,
                   .e_sum = out[2].data};
    bfi_kernels_ref(dtype)->relax(&r);
    for (int j = 0; j < 3; j++) assert_true(isnan(get(&out[j], 0)));
    set(&w, 0, 0); /* but what has no parameters is not looked at */
    bfi_kernels_ref(dtype)->relax(&r);
    for (int j = 0; j < 3; j++) assert_true(get(&out[j], 0) == 0);
    buffer_free(&w);
    for (int j = 0; j < 2; j++) buffer_free(&ends[j]);
    for (int j = 0; j < 3; j++) buffer_free(&out[j]);
}

#define BOTH(test) \
    {#test "_f32", test, NULL, NULL, &f32}, { #test "_f64", test, NULL, NULL, &f64 }

int main(void) {
    static bfi_dtype f32 = BFI_F32, f64 = BFI_F64;
    const struct CMUnitTest tests[] = {BOTH(test_linear), BOTH(test_conv),     BOTH(test_sparse),
                                       BOTH(test_relax),  BOTH(test_interval), BOTH(test_nan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
