/* The elementwise kernels of the forward transfers: every vector table gives the bits of the
 * reference one, whose relaxation of relu is the general one's (exec/relaxation.c). */
#include "exec/forward.h"
#include "guarded_numbers.h"
#include "kernels/kernel.h"

enum { MOST = 200, OUTPUTS = 8 };

/* What one call writes: float64 numbers first, then numbers of T. */
typedef struct written {
    buffer out[OUTPUTS];
    double number;
} written;

static written written_new(bfi_dtype dtype, int doubles, int64_t n) {
    written w = {.number = 0};
    for (int i = 0; i < OUTPUTS; i++) w.out[i] = buffer_filled(i < doubles ? BFI_F64 : dtype, n);
    return w;
}

static void written_free(written *w) {
    for (int i = 0; i < OUTPUTS; i++) buffer_free(&w->out[i]);
}

typedef struct elementwise_case {
    bfi_dtype dtype;
    int64_t n, special;
    bool wanted[OUTPUTS]; /* outputs that may be left out */
    buffer lo, hi, sums[3], bias, bias_error, bias_t;
    double gammas[40];
    bfi_finish finish;
    bool outward;
} elementwise_case;

typedef written run_case(const bfi_kernels *k, const elementwise_case *c);

/* Kept numbers of T, lo <= hi, all signs; finite. */
static void random_intervals(elementwise_case *c) {
    c->lo = buffer_new(BFI_F64, c->n), c->hi = buffer_new(BFI_F64, c->n);
    for (int64_t j = 0; j < c->n; j++) {
        double a = random_number(c->dtype, c->special), b = random_number(c->dtype, c->special);
        if (!isfinite(a)) a = 0;
        if (!isfinite(b) || chance(5)) b = a;
        if (c->dtype == BFI_F32) a = (double)(float)a, b = (double)(float)b;
        set(&c->lo, j, fmin(a, b)), set(&c->hi, j, fmax(a, b));
        if (!isfinite(get(&c->hi, j) - get(&c->lo, j))) set(&c->lo, j, 0), set(&c->hi, j, 1);
    }
}

static buffer random_finite(bfi_dtype dtype, int64_t n, int64_t special) {
    buffer b = buffer_random(dtype, n, special);
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(get(&b, i))) set(&b, i, 0);
    return b;
}

static double unit_number(double size) { return fabs(random_number(BFI_F64, 0)) * size; }

static elementwise_case random_case(bfi_dtype dtype) {
    elementwise_case c = {.dtype = dtype,
                          .n = chance(30) ? random_int(0, 3) : random_int(4, MOST),
                          .special = random_special(),
                          .outward = chance(70)};
    for (int i = 0; i < OUTPUTS; i++) c.wanted[i] = chance(80);
    random_intervals(&c);
    for (int i = 0; i < 3; i++) c.sums[i] = buffer_random(dtype, c.n, c.special);
    c.bias = random_finite(BFI_F64, c.n, c.special);
    c.bias_error = random_finite(BFI_F64, c.n, c.special);
    c.bias_t = random_finite(dtype, c.n, c.special);
    for (int64_t j = 0; j < c.n; j++) {
        set(&c.sums[2], j, fabs(get(&c.sums[2], j)));
        set(&c.bias_error, j, fabs(get(&c.bias_error, j)));
    }
    for (size_t i = 0; i < sizeof c.gammas / sizeof *c.gammas; i++) c.gammas[i] = unit_number(1e-6);
    c.finish = (bfi_finish){.n = c.n,
                            .outward = c.outward,
                            .gamma_forward = chance(20) ? 0 : unit_number(1e-6),
                            .weight_rel = chance(50) ? 0 : unit_number(1e-7),
                            .bias_rel = chance(50) ? 0 : unit_number(1e-7),
                            .exec_rel = chance(50) ? 0 : unit_number(1e-5),
                            .exec_abs = chance(50) ? 0 : 0x1p-149,
                            .flat = chance(50) ? 0 : 0x1p-140,
                            .gamma_inner = random_int(1, 40),
                            .gamma_count = random_int(1, 40),
                            .gamma_unit = unit_number(1e-7)};
    return c;
}

static void case_free(elementwise_case *c) {
    buffer *const all[] = {&c->lo,      &c->hi,   &c->sums[0],    &c->sums[1],
                           &c->sums[2], &c->bias, &c->bias_error, &c->bias_t};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(all[i]);
}

static written run_finish(const bfi_kernels *k, const elementwise_case *c) {
    written w = written_new(c->dtype, 3, c->n);
    bfi_finish f = c->finish;
    f.s_lo = c->sums[0].data, f.s_hi = c->sums[1].data;
    f.mag = c->outward ? c->sums[2].data : NULL;
    f.bias = c->wanted[4] ? c->bias.data : NULL;
    f.bias_error = c->wanted[5] ? c->bias_error.data : NULL;
    f.bias_t = c->wanted[6] ? c->bias_t.data : NULL;
    f.gamma = c->outward ? c->gammas : NULL;
    f.lo = w.out[0].data, f.hi = w.out[1].data;
    if (c->wanted[2]) f.own = w.out[2].data;
    if (c->wanted[3]) f.e = w.out[3].data;
    k->finish(&f);
    return w;
}

static bfi_relu relu_of(const elementwise_case *c, written *w) {
    bfi_relu r = {.n = c->n,
                  .outward = c->outward,
                  .lo = c->lo.data,
                  .hi = c->hi.data,
                  .gamma_unit = c->finish.gamma_unit,
                  .out_lo = w->out[0].data,
                  .out_hi = w->out[1].data};
    if (!c->wanted[0]) return r;
    r.s_pos = w->out[2].data, r.s_neg = w->out[3].data;
    r.t_pos = w->out[4].data, r.t_neg = w->out[5].data;
    if (c->outward) r.e = w->out[6].data;
    return r;
}

static written run_relu(const bfi_kernels *k, const elementwise_case *c) {
    written w = written_new(c->dtype, 2, c->n);
    bfi_relu r = relu_of(c, &w);
    if (c->wanted[1]) { /* in place */
        size_t bytes = (size_t)c->n * sizeof(double);
        memcpy(r.out_lo, r.lo, bytes), memcpy(r.out_hi, r.hi, bytes);
        r.lo = r.out_lo, r.hi = r.out_hi;
    }
    w.number = k->relu(&r) ? 1 : 0;
    return w;
}

static written run_keep(const bfi_kernels *k, const elementwise_case *c) {
    written w = written_new(c->dtype, 0, c->n);
    bfi_keep p = {.n = c->n,
                  .lo = c->lo.data,
                  .hi = c->hi.data,
                  .gamma_unit = c->finish.gamma_unit,
                  .lo_t = c->wanted[0] ? w.out[0].data : NULL,
                  .hi_t = c->wanted[1] ? w.out[1].data : NULL,
                  .e_box = c->wanted[2] ? w.out[2].data : NULL,
                  .e_sum = c->wanted[3] ? w.out[3].data : NULL};
    k->keep(&p);
    return w;
}

static written run_certify(const bfi_kernels *k, const elementwise_case *c) {
    written w = written_new(c->dtype, 1, c->n);
    k->certify(c->n, c->outward, c->bias.data, c->bias_error.data, w.out[0].data);
    return w;
}

static written run_add(const bfi_kernels *k, const elementwise_case *c) {
    written w = written_new(c->dtype, 3, c->n);
    bfi_add a = {.n = c->n,
                 .outward = c->outward,
                 .subtract = c->wanted[4],
                 .x_lo = c->lo.data,
                 .x_hi = c->hi.data,
                 .y_lo = c->bias.data,
                 .y_hi = c->bias_error.data,
                 .exec_rel = c->finish.exec_rel,
                 .exec_abs = c->finish.exec_abs,
                 .lo = w.out[0].data,
                 .hi = w.out[1].data};
    if (c->wanted[2] && c->outward) a.own = w.out[2].data;
    if (c->wanted[3] && c->outward) a.e = w.out[3].data;
    k->add(&a);
    return w;
}

static written run_enclose(const bfi_kernels *k, const elementwise_case *c) {
    written w = written_new(c->dtype, 2, c->n);
    k->enclose(c->n, c->outward, c->bias.data, c->bias_error.data, w.out[0].data, w.out[1].data);
    return w;
}

static written run_settle(const bfi_kernels *k, const elementwise_case *c) {
    written w = written_new(c->dtype, 2, c->n);
    bfi_settle s = {.n = c->n,
                    .t_sum = c->wanted[2] ? c->sums[0].data : NULL,
                    .e_sum = c->wanted[3] && c->outward ? c->sums[2].data : NULL,
                    .own = c->outward ? c->bias_error.data : NULL,
                    .room = 1 + c->finish.gamma_forward,
                    .constant = w.out[0].data,
                    .error = w.out[1].data};
    for (int64_t j = 0; j < c->n; j++)
        set(&w.out[0], j, get(&c->bias, j)), set(&w.out[1], j, fabs(get(&c->lo, j)));
    k->settle(&s);
    return w;
}

static written run_magnitudes(const bfi_kernels *k, const elementwise_case *c) {
    written w = written_new(c->dtype, 0, 0);
    w.number = k->magnitudes(c->n, c->lo.data, c->hi.data);
    return w;
}

static void expect_same(const written *want, const written *got, const char *what, const char *isa,
                        int number) {
    for (int i = 0; i < OUTPUTS; i++)
        for (int64_t j = 0; j < want->out[i].n; j++)
            if (!same(get(&want->out[i], j), get(&got->out[i], j)))
                fail_msg("%s %s, case %d: output %d element %" PRId64 ": ref %a, got %a", isa, what,
                         number, i, j, get(&want->out[i], j), get(&got->out[i], j));
    if (!same(want->number, got->number))
        fail_msg("%s %s, case %d: ref returns %a, got %a", isa, what, number, want->number,
                 got->number);
}

static void compare_tables(bfi_dtype dtype, const char *what, run_case *run) {
    static const char *const isas[] = {"avx2", "avx512"};
    for (int i = 0; i < 600; i++) {
        elementwise_case c = random_case(dtype);
        written want = run(bfi_kernels_ref(dtype), &c);
        for (size_t t = 0; t < sizeof isas / sizeof *isas; t++) {
            const bfi_kernels *k = bfi_kernels_native(dtype, isas[t]);
            if (!k && i == 0) print_message("[ SKIPPED ] this CPU has no %s\n", isas[t]);
            if (!k) continue;
            written got = run(k, &c);
            expect_same(&want, &got, what, isas[t], i);
            written_free(&got);
        }
        written_free(&want);
        case_free(&c);
    }
}

static void test_finish(void **state) {
    compare_tables(*(bfi_dtype *)*state, "finish", run_finish);
}

static void test_relu(void **state) { compare_tables(*(bfi_dtype *)*state, "relu", run_relu); }

static void test_keep(void **state) { compare_tables(*(bfi_dtype *)*state, "keep", run_keep); }

static void test_certify(void **state) {
    compare_tables(*(bfi_dtype *)*state, "certify", run_certify);
}

static void test_add(void **state) { compare_tables(*(bfi_dtype *)*state, "add", run_add); }

static void test_settle(void **state) {
    compare_tables(*(bfi_dtype *)*state, "settle", run_settle);
}

static void test_enclose(void **state) {
    compare_tables(*(bfi_dtype *)*state, "enclose", run_enclose);
}

static void test_magnitudes(void **state) {
    compare_tables(*(bfi_dtype *)*state, "magnitudes", run_magnitudes);
}

/* The lines of the kernel are those of bfi_unary_lines, as numbers of T rounded outward. */
static void test_relu_lines(void **state) {
    bfi_dtype dtype = *(bfi_dtype *)*state;
    bfi_node node = {.op = BFI_OP_RELU};
    for (int i = 0; i < 300; i++) {
        elementwise_case c = random_case(dtype);
        c.wanted[0] = true, c.wanted[1] = false;
        written w = run_relu(bfi_kernels_ref(dtype), &c);
        for (int64_t j = 0; j < c.n; j++) {
            double lo = get(&c.lo, j), hi = get(&c.hi, j), y_lo, y_hi;
            bfi_lines lines = bfi_unary_lines(&node, dtype, c.outward, lo, hi);
            bfi_unary_interval(&node, c.outward, lo, hi, &y_lo, &y_hi);
            double t_neg = lines.t_neg;
            if (dtype == BFI_F32)
                t_neg = c.outward ? (double)bfi_float_up(t_neg) : (double)(float)t_neg;
            assert_true(get(&w.out[0], j) == y_lo && get(&w.out[1], j) == y_hi);
            assert_true(get(&w.out[2], j) == lines.s_pos && get(&w.out[3], j) == lines.s_neg);
            assert_true(get(&w.out[4], j) == lines.t_pos && get(&w.out[5], j) == t_neg);
        }
        written_free(&w);
        case_free(&c);
    }
}

/* Ends never move inward, and errors are never negative; nothing is NaN. */
static void test_finish_encloses(void **state) {
    bfi_dtype dtype = *(bfi_dtype *)*state;
    for (int i = 0; i < 300; i++) {
        elementwise_case c = random_case(dtype);
        c.outward = true, c.finish.outward = true;
        c.wanted[4] = true;
        written w = run_finish(bfi_kernels_native(dtype, NULL), &c);
        for (int64_t j = 0; j < c.n; j++) {
            double lo = get(&c.sums[0], j) + get(&c.bias, j);
            double hi = get(&c.sums[1], j) + get(&c.bias, j);
            assert_true(get(&w.out[0], j) <= lo || isnan(lo));
            assert_true(get(&w.out[1], j) >= hi || isnan(hi));
            assert_false(isnan(get(&w.out[0], j)) || isnan(get(&w.out[1], j)));
            if (c.wanted[3]) assert_true(get(&w.out[3], j) >= 0);
        }
        written_free(&w);
        case_free(&c);
    }
}

#define BOTH(test) \
    {#test "_f32", test, NULL, NULL, &f32}, { #test "_f64", test, NULL, NULL, &f64 }

int main(void) {
    static bfi_dtype f32 = BFI_F32, f64 = BFI_F64;
    const struct CMUnitTest tests[] = {BOTH(test_finish),     BOTH(test_relu),
                                       BOTH(test_keep),       BOTH(test_certify),
                                       BOTH(test_enclose),    BOTH(test_add),
                                       BOTH(test_settle),     BOTH(test_magnitudes),
                                       BOTH(test_relu_lines), BOTH(test_finish_encloses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
