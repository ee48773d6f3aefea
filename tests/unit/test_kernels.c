/* Every vector kernel gives the bits of the reference one, and touches nothing outside its buffers.
 */
#include <stdlib.h>

#include "kernel_cases.h"

/* The outputs of one call of a kernel; compared with those of another table. */
typedef struct outputs {
    buffer out[3];
} outputs;

static outputs outputs_new(bfi_dtype dtype, int64_t n) {
    outputs o;
    for (int i = 0; i < 3; i++) o.out[i] = buffer_filled(dtype, n);
    return o;
}

static void outputs_free(outputs *o) {
    for (int i = 0; i < 3; i++) buffer_free(&o->out[i]);
}

static void expect_same(const outputs *want, const outputs *got, lane_count c, const char *isa,
                        const char *what, int64_t number) {
    for (int i = 0; i < 3; i++)
        for (int64_t at = 0; at < want->out[i].n; at++) {
            double x = get(&want->out[i], at), y = get(&got->out[i], at);
            if (at % c.ls >= c.lanes || same(x, y)) continue;
            fail_msg("%s %s, case %" PRId64 ": output %d row %" PRId64 " lane %" PRId64
                     ": ref %a, got %a",
                     isa, what, number, i, at / c.ls, at % c.ls, x, y);
        }
}

/* Vector tables of this CPU; 0 when it has none. */
static int tables(bfi_dtype dtype, const bfi_kernels *list[2]) {
    static const char *const names[] = {"avx2", "avx512"};
    int n = 0;
    for (int i = 0; i < 2; i++) {
        const bfi_kernels *k = bfi_kernels_native(dtype, names[i]);
        if (!k) {
            print_message("[ SKIPPED ] this CPU has no %s\n", names[i]);
            continue;
        }
        assert_string_equal(k->isa, names[i]);
        assert_int_equal(k->dtype, dtype);
        list[n++] = k;
    }
    return n;
}

static bfi_dtype dtype_of(void **state) { return *(bfi_dtype *)*state; }

static void run_linear(const bfi_kernels *k, const linear_case *t, bool interval, outputs *o) {
    bfi_packed w = {t->m, t->k, t->w.data};
    if (interval)
        k->interval_linear(&w, t->m0, t->m1, t->in.data, t->hi.data, o->out[0].data, o->out[1].data,
                           o->out[2].data, t->c.ls, t->c.lanes);
    else
        k->linear(&w, t->m0, t->m1, t->in.data, o->out[0].data, t->c.ls, t->c.lanes);
}

static void test_linear(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    for (int64_t i = 0; i < 800; i++) {
        linear_case t = random_linear(dtype, random_special());
        bool interval = chance(40);
        outputs want = outputs_new(dtype, t.m * t.c.ls);
        run_linear(bfi_kernels_ref(dtype), &t, interval, &want);
        for (int j = 0; j < count; j++) {
            outputs got = outputs_new(dtype, t.m * t.c.ls);
            run_linear(list[j], &t, interval, &got);
            expect_same(&want, &got, t.c, list[j]->isa, interval ? "interval_linear" : "linear", i);
            outputs_free(&got);
        }
        outputs_free(&want);
        linear_case_free(&t);
    }
}

/* Some rows and terms, or all; the other inputs may be anything. */
static void test_linear_part(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    for (int64_t i = 0; i < 800; i++) {
        linear_case t = random_linear(dtype, random_special());
        bfi_packed w = {t.m, t.k, t.w.data};
        if (chance(80)) t.part.rows = t.rows;
        if (chance(80)) t.part.terms = t.terms;
        int64_t rows = t.part.rows ? t.part.row_count : t.m, i0 = random_int(0, rows),
                i1 = random_int(i0, rows);
        outputs want = outputs_new(dtype, t.m * t.c.ls);
        for (int j = -1; j < count && t.c.ls > 1; j++) {
            const bfi_kernels *k = j < 0 ? bfi_kernels_ref(dtype) : list[j];
            outputs got = outputs_new(dtype, t.m * t.c.ls);
            outputs *o = j < 0 ? &want : &got;
            k->linear_part(&w, &t.part, i0, i1, t.in.data, o->out[0].data, t.c.ls, t.c.lanes);
            if (j >= 0) expect_same(&want, &got, t.c, k->isa, "linear_part", i);
            outputs_free(&got);
        }
        outputs_free(&want);
        linear_case_free(&t);
    }
}

/* What linear_part leaves out are zeros: whole products of inputs that are zero elsewhere have the
 * same bits. */
static void test_part_of_whole(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *k = bfi_kernels_native(dtype, NULL);
    for (int64_t i = 0; i < 200; i++) {
        linear_case t = random_linear(dtype, 0);
        bfi_packed w = {t.m, t.k, t.w.data};
        t.part.rows = t.rows, t.part.terms = t.terms;
        for (int64_t term = 0, at = 0; term < t.k; term++) {
            bool kept = at < t.part.term_count && t.terms[at] == term;
            at += kept;
            for (int64_t l = 0; l < t.c.lanes && !kept; l++) set(&t.in, term * t.c.ls + l, 0);
        }
        outputs whole = outputs_new(dtype, t.m * t.c.ls), part = outputs_new(dtype, t.m * t.c.ls);
        if (t.c.ls > 1) {
            k->linear(&w, 0, t.m, t.in.data, whole.out[0].data, t.c.ls, t.c.lanes);
            k->linear_part(&w, &t.part, 0, t.part.row_count, t.in.data, part.out[0].data, t.c.ls,
                           t.c.lanes);
        }
        for (int64_t r = 0; r < t.part.row_count && t.c.ls > 1; r++)
            for (int64_t l = 0; l < t.c.lanes; l++) {
                int64_t at = t.rows[r] * t.c.ls + l;
                assert_true(get(&whole.out[0], at) == get(&part.out[0], at));
            }
        outputs_free(&whole);
        outputs_free(&part);
        linear_case_free(&t);
    }
}

static void run_conv(const bfi_kernels *k, const conv_case *t, bool interval, outputs *o) {
    if (interval)
        k->interval_conv(&t->conv, t->y0, t->y1, t->in.data, t->hi.data, o->out[0].data,
                         o->out[1].data, o->out[2].data, t->c.ls, t->c.lanes);
    else
        k->conv(&t->conv, t->y0, t->y1, t->in.data, o->out[0].data, t->c.ls, t->c.lanes);
}

static void test_conv(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    for (int64_t i = 0; i < 800; i++) {
        conv_case t = random_conv(dtype, random_special());
        bool interval = chance(40);
        outputs want = outputs_new(dtype, t.destinations * t.c.ls);
        run_conv(bfi_kernels_ref(dtype), &t, interval, &want);
        for (int j = 0; j < count; j++) {
            outputs got = outputs_new(dtype, t.destinations * t.c.ls);
            run_conv(list[j], &t, interval, &got);
            expect_same(&want, &got, t.c, list[j]->isa, interval ? "interval_conv" : "conv", i);
            outputs_free(&got);
        }
        outputs_free(&want);
        conv_case_free(&t);
    }
}

static uint8_t *random_bytes(int64_t n, int64_t percent) {
    uint8_t *bytes = malloc((size_t)n + 1);
    assert_non_null(bytes);
    for (int64_t i = 0; i < n; i++) bytes[i] = chance(percent);
    return bytes;
}

/* Some sources and destinations, or all; the other sources may be anything. */
static void test_conv_part(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    for (int64_t i = 0; i < 800; i++) {
        conv_case t = random_conv(dtype, random_special());
        int64_t percent = random_int(0, 100);
        uint8_t *src = random_bytes(t.sources, percent), *dst = random_bytes(t.destinations, 60);
        bfi_conv_part part = {chance(80) ? src : NULL, chance(80) ? dst : NULL};
        outputs want = outputs_new(dtype, t.destinations * t.c.ls);
        for (int j = -1; j < count && t.c.ls > 1; j++) {
            const bfi_kernels *k = j < 0 ? bfi_kernels_ref(dtype) : list[j];
            outputs got = outputs_new(dtype, t.destinations * t.c.ls);
            outputs *o = j < 0 ? &want : &got;
            k->conv_part(&t.conv, &part, t.y0, t.y1, t.in.data, o->out[0].data, t.c.ls, t.c.lanes);
            if (j >= 0) expect_same(&want, &got, t.c, k->isa, "conv_part", i);
            outputs_free(&got);
        }
        outputs_free(&want);
        free(src);
        free(dst);
        conv_case_free(&t);
    }
}

/* What conv_part leaves out are zeros: the whole convolution of sources that are zero elsewhere has
 * the same bits. */
static void test_part_of_conv(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *k = bfi_kernels_native(dtype, NULL);
    for (int64_t i = 0; i < 200; i++) {
        conv_case t = random_conv(dtype, 0);
        uint8_t *src = random_bytes(t.sources, 50), *dst = random_bytes(t.destinations, 60);
        bfi_conv_part part = {src, dst};
        for (int64_t j = 0; j < t.sources * t.c.ls; j++)
            if (!src[j / t.c.ls]) set(&t.in, j, 0);
        outputs whole = outputs_new(dtype, t.destinations * t.c.ls),
                some = outputs_new(dtype, t.destinations * t.c.ls);
        if (t.c.ls > 1) {
            k->conv(&t.conv, 0, t.conv.h_dst, t.in.data, whole.out[0].data, t.c.ls, t.c.lanes);
            k->conv_part(&t.conv, &part, 0, t.conv.h_dst, t.in.data, some.out[0].data, t.c.ls,
                         t.c.lanes);
        }
        for (int64_t d = 0; d < t.destinations && t.c.ls > 1; d++)
            for (int64_t l = 0; l < t.c.lanes && dst[d]; l++) {
                int64_t at = d * t.c.ls + l;
                assert_true(get(&whole.out[0], at) == get(&some.out[0], at));
            }
        outputs_free(&whole);
        outputs_free(&some);
        free(src);
        free(dst);
        conv_case_free(&t);
    }
}

/* Interval sums of one lane over some inputs; |whole|: over all of them. */
static void run_interval_part(const bfi_kernels *k, const linear_case *l, const conv_case *c,
                              const bfi_conv_part *part, bool whole, outputs *o) {
    void *lo = o->out[0].data, *hi = o->out[1].data, *mag = o->out[2].data;
    bfi_packed w = l ? (bfi_packed){l->m, l->k, l->w.data} : (bfi_packed){0};
    if (l && whole)
        k->interval_linear(&w, l->m0, l->m1, l->in.data, l->hi.data, lo, hi, mag, 1, 1);
    else if (l)
        k->interval_linear_part(&w, &l->part, l->m0, l->m1, l->in.data, l->hi.data, lo, hi, mag);
    else if (whole)
        k->interval_conv(&c->conv, c->y0, c->y1, c->in.data, c->hi.data, lo, hi, mag, 1, 1);
    else
        k->interval_conv_part(&c->conv, part, c->y0, c->y1, c->in.data, c->hi.data, lo, hi, mag);
}

static void put_zeros(buffer *in, buffer *hi, int64_t at) {
    set(in, at, 0);
    set(hi, at, 0);
}

/* All tables give the same over what is there, and what the whole gives where the rest is zeros. */
static void check_interval_part(bfi_dtype dtype, const linear_case *l, const conv_case *c,
                                const bfi_conv_part *part, bool zeros, int64_t number) {
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    int64_t n = l ? l->m : c->destinations;
    lane_count one = {1, 1};
    outputs want = outputs_new(dtype, n);
    run_interval_part(bfi_kernels_ref(dtype), l, c, part, zeros, &want);
    for (int j = 0; j < count; j++) {
        outputs got = outputs_new(dtype, n);
        run_interval_part(list[j], l, c, part, false, &got);
        expect_same(&want, &got, one, list[j]->isa, "interval part", number);
        outputs_free(&got);
    }
    outputs_free(&want);
}

static void test_interval_linear_part(void **state) {
    bfi_dtype dtype = dtype_of(state);
    for (int64_t i = 0; i < 800; i++) {
        bool zeros = chance(50);
        linear_case t = random_linear(dtype, zeros ? 0 : random_special());
        t.part.terms = t.terms;
        for (int64_t k = 0, at = 0; k < t.k && zeros; k++) {
            bool kept = at < t.part.term_count && t.terms[at] == k;
            at += kept;
            if (!kept) put_zeros(&t.in, &t.hi, k);
        }
        check_interval_part(dtype, &t, NULL, NULL, zeros, i);
        linear_case_free(&t);
    }
}

static void test_interval_conv_part(void **state) {
    bfi_dtype dtype = dtype_of(state);
    for (int64_t i = 0; i < 800; i++) {
        bool zeros = chance(50);
        conv_case t = random_conv(dtype, zeros ? 0 : random_special());
        uint8_t *src = random_bytes(t.sources, random_int(0, 100));
        bfi_conv_part part = {.src = src};
        for (int64_t j = 0; j < t.sources && zeros; j++)
            if (!src[j]) put_zeros(&t.in, &t.hi, j);
        check_interval_part(dtype, NULL, &t, &part, zeros, i);
        free(src);
        conv_case_free(&t);
    }
}

static void run_sparse(const bfi_kernels *k, const csr_case *t, bool interval, outputs *o) {
    if (interval)
        k->interval_sparse(&t->m, t->in.data, t->hi.data, o->out[0].data, o->out[1].data,
                           o->out[2].data, t->c.ls, t->c.lanes);
    else
        k->sparse(&t->m, t->in.data, o->out[0].data, t->c.ls, t->c.lanes);
}

static void test_sparse(void **state) {
    static csr_case t;
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    for (int64_t i = 0; i < 400; i++) {
        random_csr(&t, dtype, random_special());
        bool interval = chance(50);
        outputs want = outputs_new(dtype, t.m.rows * t.c.ls);
        run_sparse(bfi_kernels_ref(dtype), &t, interval, &want);
        for (int j = 0; j < count; j++) {
            outputs got = outputs_new(dtype, t.m.rows * t.c.ls);
            run_sparse(list[j], &t, interval, &got);
            expect_same(&want, &got, t.c, list[j]->isa, interval ? "interval_sparse" : "sparse", i);
            outputs_free(&got);
        }
        outputs_free(&want);
        csr_case_free(&t);
    }
}

/* The sums come back in out[1] and out[2], one row of exactly |lanes| elements each. */
static void run_relax(const bfi_kernels *k, const relax_case *t, bool in_place, outputs *o) {
    bfi_relax r = t->r;
    if (t->scaled) {
        r.out = o->out[0].data;
        if (in_place || r.only) /* elements that are not touched stay */
            memcpy(r.out, t->r.a, (size_t)(t->n * r.ls) * (k->dtype == BFI_F32 ? 4 : 8));
        if (in_place) r.a = r.out;
    }
    if (r.t_pos) r.t_sum = o->out[1].data;
    if (r.e) r.e_sum = o->out[2].data;
    k->relax(&r);
}

static outputs relax_outputs(bfi_dtype dtype, const relax_case *t) {
    outputs o = {{buffer_filled(dtype, t->n * t->r.ls), buffer_filled(dtype, t->r.lanes),
                  buffer_filled(dtype, t->r.lanes)}};
    return o;
}

static void test_relax(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    for (int64_t i = 0; i < 1500; i++) {
        relax_case t = random_relax(dtype, random_special());
        if (t.r.ls > 1 && chance(40))
            t.r.cuts = t.cuts;
        else if (t.r.ls > 1 && chance(40))
            t.r.only = t.only, t.r.n = t.only_count;
        lane_count c = {t.r.ls, t.r.lanes};
        outputs want = relax_outputs(dtype, &t);
        run_relax(bfi_kernels_ref(dtype), &t, false, &want);
        for (int j = 0; j < 2 * count; j++) {
            outputs got = relax_outputs(dtype, &t);
            run_relax(list[j / 2], &t, j % 2 == 1, &got);
            expect_same(&want, &got, c, list[j / 2]->isa, "relax", i);
            outputs_free(&got);
        }
        outputs_free(&want);
        relax_case_free(&t);
    }
}

static void run_accumulate(const bfi_kernels *k, int64_t n, int sign, const buffer *in,
                           const buffer *start, lane_count c, outputs *o) {
    for (int64_t i = 0; i < start->n; i++) set(&o->out[0], i, get(start, i));
    k->accumulate(n, sign, in->data, o->out[0].data, c.ls, c.lanes);
}

static void test_accumulate(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    for (int64_t i = 0; i < 300; i++) {
        lane_count c = random_lanes();
        int64_t n = random_int(0, 40), special = random_special();
        int sign = chance(50) ? 1 : -1;
        buffer in = buffer_random(dtype, n * c.ls, special),
               start = buffer_random(dtype, n * c.ls, special);
        outputs want = outputs_new(dtype, n * c.ls);
        run_accumulate(bfi_kernels_ref(dtype), n, sign, &in, &start, c, &want);
        for (int j = 0; j < count; j++) {
            outputs got = outputs_new(dtype, n * c.ls);
            run_accumulate(list[j], n, sign, &in, &start, c, &got);
            expect_same(&want, &got, c, list[j]->isa, "accumulate", i);
            outputs_free(&got);
        }
        outputs_free(&want);
        buffer_free(&in);
        buffer_free(&start);
    }
}

/* Runs of lanes read the same array, or every lane its own. */
static void test_spread(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *list[2];
    int count = tables(dtype, list);
    enum { ARRAYS = 40, N = 50, LANES = 112 };
    buffer arrays[ARRAYS];
    for (int i = 0; i < ARRAYS; i++) arrays[i] = buffer_random(dtype, N, random_special());
    for (int64_t i = 0; i < 500; i++) {
        lane_count c = random_lanes();
        if (c.ls == 1) continue;
        int32_t index[N];
        const void *from[LANES];
        bfi_spread s = {.n = random_int(0, N), .ls = c.ls, .lanes = c.lanes, .from = from};
        if (chance(50)) s.index = index;
        for (int j = 0; j < N; j++) index[j] = (int32_t)random_int(0, N - 1);
        for (int64_t l = 0, mean = random_int(1, 20); l < c.lanes; l++)
            from[l] =
                l && random_int(0, mean) ? from[l - 1] : arrays[random_int(0, ARRAYS - 1)].data;
        outputs want = outputs_new(dtype, s.n * c.ls);
        s.out = want.out[0].data;
        bfi_kernels_ref(dtype)->spread(&s);
        for (int j = 0; j < count; j++) {
            outputs got = outputs_new(dtype, s.n * c.ls);
            s.out = got.out[0].data;
            list[j]->spread(&s);
            expect_same(&want, &got, c, list[j]->isa, "spread", i);
            outputs_free(&got);
        }
        outputs_free(&want);
    }
    for (int i = 0; i < ARRAYS; i++) buffer_free(&arrays[i]);
}

/* A lane's result must not depend on the lanes beside it. */
static void test_lanes_alone(void **state) {
    bfi_dtype dtype = dtype_of(state);
    const bfi_kernels *k = bfi_kernels_native(dtype, NULL);
    for (int i = 0; i < 60; i++) {
        linear_case t = random_linear(dtype, 0);
        outputs all = outputs_new(dtype, t.m * t.c.ls);
        run_linear(k, &t, false, &all);
        int64_t lane = random_int(0, t.c.lanes - 1);
        linear_case one = t;
        one.c = (lane_count){1, 1};
        one.in = buffer_new(dtype, t.k);
        for (int64_t j = 0; j < t.k; j++) set(&one.in, j, get(&t.in, j * t.c.ls + lane));
        outputs alone = outputs_new(dtype, t.m);
        run_linear(k, &one, false, &alone);
        for (int64_t m = t.m0; m < t.m1; m++)
            assert_true(get(&all.out[0], m * t.c.ls + lane) == get(&alone.out[0], m));
        outputs_free(&all);
        outputs_free(&alone);
        buffer_free(&one.in);
        linear_case_free(&t);
    }
}

static void test_selection(void **state) {
    bfi_dtype dtype = dtype_of(state);
    assert_ptr_equal(bfi_kernels_native(dtype, "ref"), bfi_kernels_ref(dtype));
    assert_null(bfi_kernels_native(dtype, "sse9"));
    assert_non_null(bfi_kernels_native(dtype, NULL));
    assert_int_equal(bfi_kernels_native(dtype, NULL)->dtype, dtype);
}

#define BOTH(test) \
    {#test "_f32", test, NULL, NULL, &f32}, { #test "_f64", test, NULL, NULL, &f64 }

int main(void) {
    static bfi_dtype f32 = BFI_F32, f64 = BFI_F64;
    const struct CMUnitTest tests[] = {BOTH(test_selection),
                                       BOTH(test_linear),
                                       BOTH(test_linear_part),
                                       BOTH(test_part_of_whole),
                                       BOTH(test_conv_part),
                                       BOTH(test_part_of_conv),
                                       BOTH(test_interval_linear_part),
                                       BOTH(test_interval_conv_part),
                                       BOTH(test_conv),
                                       BOTH(test_sparse),
                                       BOTH(test_accumulate),
                                       BOTH(test_relax),
                                       BOTH(test_spread),
                                       BOTH(test_lanes_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
