/* Every kernel that TVM compiles gives the bits of the reference one. Needs TVM: env BOUNDFLOW_TVM,
 * or .tvm in the checkout; without it the test is skipped, which BOUNDFLOW_TVM_STRICT=1 makes a
 * failure. */
#include "kernel_cases.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "exec/tvm/ffi_abi.h"
#include "exec/tvm/kernel_file.h"
#include "exec/tvm/kernel_key.h"

extern char **environ;

enum { MOST_CASES = 512, HELPERS = 2 };

typedef struct kernel_case {
    bfi_tvm_kernel k;
    bfi_tvm_target target;
    char path[64];
} kernel_case;

static kernel_case cases[MOST_CASES];
static int case_count;
static char folder[] = "tvm_kernels.XXXXXX";

static void add_case(bfi_tvm_kernel k, const char *mcpu) {
    assert_true(case_count < MOST_CASES);
    kernel_case *c = &cases[case_count];
    bf_error err = {0};
    if (mcpu)
        assert_int_equal(bfi_tvm_target_from_cpu(mcpu, &c->target, &err), BF_STATUS_OK);
    else
        assert_true(bfi_tvm_target_host(&c->target));
    bfi_tvm_kernel_schedule(&k, &c->target);
    if (bfi_tvm_kernel_check(&k, &err)) fail_msg("%s", err.message);
    c->k = k;
    snprintf(c->path, sizeof c->path, "%s/%d.so", folder, case_count++);
}

/* For the level of this CPU and, in every third case, for the level below it too. */
static void add_both(bfi_tvm_kernel k) {
    static int turn;
    add_case(k, NULL);
    if (turn++ % 3 == 0) add_case(k, "x86-64-v3");
}

static bfi_dtype some_dtype(void) { return chance(60) ? BFI_F32 : BFI_F64; }

static void add_linears(bfi_tvm_op op, int count) {
    static const int64_t sizes[][2] = {{1, 1},   {16, 32},  {15, 31},  {17, 33},
                                       {33, 64}, {40, 100}, {250, 50}, {3, 200}};
    for (int i = 0; i < count; i++) {
        bfi_tvm_kernel k = {.op = op, .dtype = some_dtype()};
        bool fixed = i < 8;
        k.p[BFI_TVM_M] = fixed ? sizes[i][0] : random_int(1, 80);
        k.p[BFI_TVM_K] = fixed ? sizes[i][1] : random_int(1, 140);
        if (bfi_tvm_op_has(op, BFI_TVM_BATCH))
            k.p[BFI_TVM_BATCH] = chance(50) ? 1 : random_int(2, 4);
        if (bfi_tvm_op_has(op, BFI_TVM_T)) k.p[BFI_TVM_T] = chance(70), k.p[BFI_TVM_E] = chance(70);
        k.p[BFI_TVM_PARALLEL] = chance(25);
        add_both(k);
    }
}

static void set_conv(bfi_tvm_kernel *k, const bfi_conv *c) {
    const int64_t values[][2] = {{BFI_TVM_GROUPS, c->groups},
                                 {BFI_TVM_C_SRC, c->c_src},
                                 {BFI_TVM_H_SRC, c->h_src},
                                 {BFI_TVM_W_SRC, c->w_src},
                                 {BFI_TVM_C_DST, c->c_dst},
                                 {BFI_TVM_H_DST, c->h_dst},
                                 {BFI_TVM_W_DST, c->w_dst},
                                 {BFI_TVM_KH, c->kh},
                                 {BFI_TVM_KW, c->kw},
                                 {BFI_TVM_STRIDE_H, c->stride_h},
                                 {BFI_TVM_STRIDE_W, c->stride_w},
                                 {BFI_TVM_DIL_H, c->dil_h},
                                 {BFI_TVM_DIL_W, c->dil_w},
                                 {BFI_TVM_PAD_TOP, c->pad_top},
                                 {BFI_TVM_PAD_LEFT, c->pad_left},
                                 {BFI_TVM_TRANSPOSED, c->transposed}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) k->p[values[i][0]] = values[i][1];
}

static bfi_conv conv_of(const bfi_tvm_kernel *k) {
    const int64_t *p = k->p;
    return (bfi_conv){.groups = p[BFI_TVM_GROUPS],
                      .c_src = p[BFI_TVM_C_SRC],
                      .h_src = p[BFI_TVM_H_SRC],
                      .w_src = p[BFI_TVM_W_SRC],
                      .c_dst = p[BFI_TVM_C_DST],
                      .h_dst = p[BFI_TVM_H_DST],
                      .w_dst = p[BFI_TVM_W_DST],
                      .kh = p[BFI_TVM_KH],
                      .kw = p[BFI_TVM_KW],
                      .stride_h = p[BFI_TVM_STRIDE_H],
                      .stride_w = p[BFI_TVM_STRIDE_W],
                      .dil_h = p[BFI_TVM_DIL_H],
                      .dil_w = p[BFI_TVM_DIL_W],
                      .pad_top = p[BFI_TVM_PAD_TOP],
                      .pad_left = p[BFI_TVM_PAD_LEFT],
                      .transposed = p[BFI_TVM_TRANSPOSED] != 0};
}

/* Shapes that networks have, then random ones. */
static void add_convs(bfi_tvm_op op, int count) {
    static const bfi_conv fixed[] = {{1, 16, 6, 6, 16, 6, 6, 3, 3, 1, 1, 1, 1, 1, 1, 0, NULL},
                                     {1, 3, 9, 9, 10, 5, 5, 3, 3, 2, 2, 1, 1, 1, 1, 0, NULL},
                                     {1, 10, 5, 5, 3, 9, 9, 3, 3, 2, 2, 1, 1, 1, 1, 1, NULL},
                                     {2, 4, 8, 8, 20, 3, 3, 4, 4, 2, 2, 1, 1, 0, 0, 0, NULL},
                                     {1, 40, 4, 5, 33, 4, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, NULL},
                                     {3, 8, 4, 5, 8, 4, 5, 1, 1, 1, 1, 1, 1, 0, 0, 1, NULL},
                                     {1, 20, 7, 7, 12, 4, 4, 1, 1, 2, 2, 1, 1, 0, 0, 0, NULL},
                                     {4, 1, 8, 8, 1, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 0, NULL},
                                     {1, 5, 9, 9, 7, 5, 5, 3, 3, 1, 1, 2, 2, 0, 0, 0, NULL},
                                     {1, 7, 5, 5, 5, 14, 14, 3, 3, 3, 3, 2, 2, 2, 2, 1, NULL}};
    for (int i = 0; i < count; i++) {
        bfi_tvm_kernel k = {.op = op, .dtype = some_dtype()};
        if (i < (int)(sizeof fixed / sizeof *fixed)) {
            set_conv(&k, &fixed[i]);
        } else {
            conv_case t = random_conv(k.dtype, 0);
            set_conv(&k, &t.conv);
            conv_case_free(&t);
        }
        if (bfi_tvm_op_has(op, BFI_TVM_BATCH))
            k.p[BFI_TVM_BATCH] = chance(60) ? 1 : random_int(2, 3);
        k.p[BFI_TVM_PARALLEL] = chance(25);
        add_both(k);
    }
}

static void add_elementwise(void) {
    for (int i = 0; i < 16; i++) {
        if (i % 8 == 0) continue; /* no result asked for */
        bfi_tvm_kernel k = {.op = BFI_TVM_OP_RELAX, .dtype = some_dtype()};
        k.p[BFI_TVM_SCALE] = i & 1, k.p[BFI_TVM_T] = i / 2 & 1, k.p[BFI_TVM_E] = i / 4 & 1;
        if (i < 8) {
            bfi_tvm_kernel one = k;
            one.op = BFI_TVM_OP_RELAX_ONE;
            add_both(one);
        }
        k.p[BFI_TVM_SHARED] = i / 8;
        add_both(k);
    }
    for (int i = 0; i < 4; i++) {
        bfi_tvm_kernel k = {.op = BFI_TVM_OP_ACCUMULATE, .dtype = i / 2 ? BFI_F64 : BFI_F32};
        k.p[BFI_TVM_MINUS] = i % 2;
        add_both(k);
    }
}

/* Kernels to test; those of networks first. */
static void add_all(void) {
    add_linears(BFI_TVM_OP_LINEAR, 12);
    add_linears(BFI_TVM_OP_LINEAR_RELAX, 12);
    add_linears(BFI_TVM_OP_LINEAR_ONE, 10);
    add_linears(BFI_TVM_OP_INTERVAL_LINEAR, 10);
    add_convs(BFI_TVM_OP_CONV, 24);
    add_convs(BFI_TVM_OP_CONV_ONE, 16);
    add_convs(BFI_TVM_OP_INTERVAL_CONV, 16);
    add_elementwise();
}

/* ---- arguments ---- */

enum { TENSORS = 10, INTS = 3 };

typedef struct call {
    const kernel_case *c;
    buffer array[TENSORS];
    bfi_dl_tensor tensor[TENSORS];
    int64_t shape[TENSORS];
    int64_t ints[INTS];
    int tensors;
} call;

/* A buffer whose data is aligned as kernels ask for, as close to the guard page as that allows. */
static buffer aligned_buffer(bfi_dtype dtype, int64_t n, int64_t special) {
    buffer b = buffer_random(dtype, n, special);
    b.data = (void *)((uintptr_t)b.data & ~(uintptr_t)63);
    for (int64_t i = 0; i < n; i++) set(&b, i, random_number(dtype, special));
    return b;
}

static void add_array(call *x, int64_t n, int64_t special) {
    int i = x->tensors++;
    x->array[i] = aligned_buffer(x->c->k.dtype, n, special);
    x->shape[i] = n;
    x->tensor[i] = (bfi_dl_tensor){.data = x->array[i].data,
                                   .device = {BFI_DL_CPU, 0},
                                   .ndim = 1,
                                   .dtype = {BFI_DL_FLOAT, x->c->k.dtype == BFI_F32 ? 32 : 64, 1},
                                   .shape = &x->shape[i]};
}

static void add_weights(call *x, int64_t matrices, int64_t m, int64_t k, int64_t special) {
    int64_t size = bfi_packed_size(m, k);
    add_array(x, matrices * size, special);
    for (int64_t i = 0; i < matrices * size; i++)
        if (i % size / (k * BF_PACK) * BF_PACK + i % BF_PACK >= m) set(&x->array[0], i, 0);
}

static void add_filled(call *x, int64_t n) {
    add_array(x, n, 0);
    buffer *b = &x->array[x->tensors - 1];
    for (int64_t i = 0; i < n; i++) set(b, i, 77);
}

static void call_free(call *x) {
    for (int i = 0; i < x->tensors; i++) buffer_free(&x->array[i]);
}

/* ---- the slots ---- */

static int launches;

/* Runs the tasks one after the other, the last first. */
static int launch(bfi_tvm_task_fn *task, void *data, int count) {
    bfi_tvm_group group = {NULL, count ? count : 3};
    launches++;
    for (int i = group.tasks - 1; i >= 0; i--)
        if (task(i, &group, data)) return -1;
    return 0;
}

static void fill_slots(void *library) {
    bfi_tvm_launch_fn **slot = dlsym(library, BFI_TVM_SLOT_LAUNCH);
    if (slot) *slot = launch;
    assert_null(dlsym(library, BFI_TVM_SLOT_ALLOC)); /* bfi_tvm_kernel_workspace says 0 */
}

static void run_kernel(bfi_tvm_kernel_fn *kernel, call *x) {
    bfi_ffi_any args[TENSORS + INTS], result = {0};
    const bfi_tvm_op_info *row = bfi_tvm_op_row(x->c->k.op);
    int ints = bfi_tvm_words(row->integers);
    assert_int_equal(bfi_tvm_words(row->tensors), x->tensors);
    for (int i = 0; i < x->tensors; i++)
        args[i] = (bfi_ffi_any){.kind = BFI_FFI_TENSOR, .u.p = &x->tensor[i]};
    for (int i = 0; i < ints; i++)
        args[x->tensors + i] = (bfi_ffi_any){.kind = BFI_FFI_INT, .u.i = x->ints[i]};
    assert_int_equal(kernel(NULL, args, x->tensors + ints, &result), 0);
}

static void expect_equal(const call *x, int array, const buffer *want, int64_t ls, int64_t lanes) {
    char text[BFI_TVM_KEY_SIZE];
    const buffer *got = &x->array[array];
    for (int64_t i = 0; i < want->n; i++) {
        if (i % ls >= lanes || same(get(want, i), get(got, i))) continue;
        bfi_tvm_kernel_print(&x->c->k, text, sizeof text);
        fail_msg("%s for %s: argument %d element %" PRId64 ": ref %a, got %a", text,
                 x->c->target.json, array, i, get(want, i), get(got, i));
    }
}

/* A copy of argument |array| for the reference to write. */
static buffer copy_of(const call *x, int array) {
    buffer b = aligned_buffer(x->c->k.dtype, x->array[array].n, 0);
    for (int64_t i = 0; i < b.n; i++) set(&b, i, get(&x->array[array], i));
    return b;
}

/* ---- one test per kernel ---- */

static int64_t some_groups(void) { return chance(30) ? random_int(4, 9) : random_int(1, 3); }

static void check_linear(bfi_tvm_kernel_fn *kernel, const kernel_case *c, int64_t v) {
    const bfi_kernels *ref = bfi_kernels_ref(c->k.dtype);
    int64_t m = c->k.p[BFI_TVM_M], k = c->k.p[BFI_TVM_K], ls = v ? 16 * v : 1;
    int64_t special = random_special(), panels = (m + BF_PACK - 1) / BF_PACK;
    call x = {.c = c};
    add_weights(&x, 1, m, k, special);
    add_array(&x, k * ls, special);
    add_filled(&x, m * ls);
    int64_t p0 = chance(60) ? 0 : random_int(0, panels - 1);
    int64_t p1 = chance(60) ? panels : random_int(p0, panels);
    if (v) x.ints[0] = v;
    x.ints[v ? 1 : 0] = p0, x.ints[v ? 2 : 1] = p1;
    buffer want = copy_of(&x, 2);
    bfi_packed w = {m, k, x.array[0].data};
    ref->linear(&w, p0 * BF_PACK, p1 * BF_PACK < m ? p1 * BF_PACK : m, x.array[1].data, want.data,
                ls, ls);
    run_kernel(kernel, &x);
    expect_equal(&x, 2, &want, ls, ls);
    buffer_free(&want);
    call_free(&x);
}

static void check_linear_relax(bfi_tvm_kernel_fn *kernel, const kernel_case *c, int64_t v) {
    const bfi_kernels *ref = bfi_kernels_ref(c->k.dtype);
    int64_t m = c->k.p[BFI_TVM_M], k = c->k.p[BFI_TVM_K], ls = 16 * v;
    int64_t special = chance(50) ? 20 : random_special(); /* zero slopes of infinite numbers */
    call x = {.c = c};
    add_weights(&x, 1, m, k, special);
    add_array(&x, k * ls, special);
    add_filled(&x, m * ls);
    for (int i = 0; i < 5; i++) add_array(&x, m, special);
    add_filled(&x, ls);
    add_filled(&x, ls);
    int64_t v0 = chance(70) ? 0 : random_int(0, v - 1), v1 = chance(70) ? v : random_int(v0, v);
    x.ints[0] = v, x.ints[1] = v0, x.ints[2] = v1;
    buffer want = copy_of(&x, 2), t = copy_of(&x, 8), e = copy_of(&x, 9);
    bfi_packed w = {m, k, x.array[0].data};
    ref->linear(&w, 0, m, x.array[1].data, want.data, ls, ls);
    bfi_relax r = {.n = m,
                   .ls = ls,
                   .lanes = ls,
                   .ps = 1,
                   .a = want.data,
                   .out = want.data,
                   .s_pos = x.array[3].data,
                   .s_neg = x.array[4].data,
                   .t_pos = x.array[5].data,
                   .t_neg = x.array[6].data,
                   .e = x.array[7].data};
    if (c->k.p[BFI_TVM_T]) r.t_sum = t.data;
    if (c->k.p[BFI_TVM_E]) r.e_sum = e.data;
    ref->relax(&r);
    for (int64_t i = 0; i < want.n; i++)
        if (i % ls / 16 < v0 || i % ls / 16 >= v1) set(&want, i, 77);
    for (int64_t i = 0; i < ls; i++)
        if (i / 16 < v0 || i / 16 >= v1) set(&t, i, 77), set(&e, i, 77);
    run_kernel(kernel, &x);
    expect_equal(&x, 2, &want, ls, ls);
    expect_equal(&x, 8, &t, ls, ls);
    expect_equal(&x, 9, &e, ls, ls);
    buffer_free(&want);
    buffer_free(&t);
    buffer_free(&e);
    call_free(&x);
}

static void check_conv(bfi_tvm_kernel_fn *kernel, const kernel_case *c, int64_t v) {
    const bfi_kernels *ref = bfi_kernels_ref(c->k.dtype);
    bfi_conv conv = conv_of(&c->k);
    int64_t ls = v ? 16 * v : 1, special = random_special();
    call x = {.c = c};
    add_weights(&x, conv.groups, conv.c_dst, conv.c_src * conv.kh * conv.kw, special);
    add_array(&x, conv.groups * conv.c_src * conv.h_src * conv.w_src * ls, special);
    add_filled(&x, conv.groups * conv.c_dst * conv.h_dst * conv.w_dst * ls);
    int64_t y0 = chance(60) ? 0 : random_int(0, conv.h_dst - 1);
    int64_t y1 = chance(60) ? conv.h_dst : random_int(y0, conv.h_dst);
    if (v) x.ints[0] = v;
    x.ints[v ? 1 : 0] = y0, x.ints[v ? 2 : 1] = y1;
    buffer want = copy_of(&x, 2);
    conv.packed = x.array[0].data;
    ref->conv(&conv, y0, y1, x.array[1].data, want.data, ls, ls);
    run_kernel(kernel, &x);
    expect_equal(&x, 2, &want, ls, ls);
    buffer_free(&want);
    call_free(&x);
}

/* Three outputs of an interval kernel: |items| boxes of |in| and |out| elements. */
static void check_interval(bfi_tvm_kernel_fn *kernel, const kernel_case *c) {
    const bfi_kernels *ref = bfi_kernels_ref(c->k.dtype);
    bool is_conv = c->k.op == BFI_TVM_OP_INTERVAL_CONV;
    bfi_conv conv = conv_of(&c->k);
    int64_t m = c->k.p[BFI_TVM_M], k = c->k.p[BFI_TVM_K], batch = c->k.p[BFI_TVM_BATCH];
    int64_t special = random_special(), ends = is_conv ? conv.h_dst : (m + BF_PACK - 1) / BF_PACK;
    int64_t in = is_conv ? conv.groups * conv.c_src * conv.h_src * conv.w_src : k;
    int64_t out = is_conv ? conv.groups * conv.c_dst * conv.h_dst * conv.w_dst : m;
    call x = {.c = c};
    if (is_conv)
        add_weights(&x, conv.groups, conv.c_dst, conv.c_src * conv.kh * conv.kw, special);
    else
        add_weights(&x, batch, m, k, special);
    for (int i = 0; i < 2; i++) add_array(&x, batch * in, special);
    for (int i = 0; i < 3; i++) add_filled(&x, batch * out);
    int64_t low = chance(60) ? 0 : random_int(0, ends - 1);
    int64_t high = chance(60) ? ends : random_int(low, ends);
    x.ints[0] = low, x.ints[1] = high;
    buffer want[3];
    size_t size = c->k.dtype == BFI_F32 ? 4 : 8;
    for (int i = 0; i < 3; i++) want[i] = copy_of(&x, 3 + i);
    for (int64_t b = 0; b < batch; b++) {
        char *from[2], *to[3];
        for (int i = 0; i < 2; i++) from[i] = (char *)x.array[1 + i].data + (size_t)(b * in) * size;
        for (int i = 0; i < 3; i++) to[i] = (char *)want[i].data + (size_t)(b * out) * size;
        bfi_packed w = {m, k, (char *)x.array[0].data + (size_t)(b * bfi_packed_size(m, k)) * size};
        conv.packed = x.array[0].data;
        if (is_conv)
            ref->interval_conv(&conv, low, high, from[0], from[1], to[0], to[1], to[2], 1, 1);
        else
            ref->interval_linear(&w, low * BF_PACK, high * BF_PACK < m ? high * BF_PACK : m,
                                 from[0], from[1], to[0], to[1], to[2], 1, 1);
    }
    run_kernel(kernel, &x);
    for (int i = 0; i < 3; i++) {
        expect_equal(&x, 3 + i, &want[i], 1, 1);
        buffer_free(&want[i]);
    }
    call_free(&x);
}

/* |in_place|: the output is the input. */
static void check_relax(bfi_tvm_kernel_fn *kernel, const kernel_case *c, int64_t v, int64_t n,
                        bool in_place) {
    const bfi_kernels *ref = bfi_kernels_ref(c->k.dtype);
    int64_t ls = v ? 16 * v : 1, ps = c->k.p[BFI_TVM_SHARED] || !v ? 1 : ls;
    int64_t special = chance(50) ? 20 : random_special();
    call x = {.c = c};
    add_array(&x, n * ls, special);
    add_filled(&x, n * ls);
    for (int i = 0; i < 5; i++) add_array(&x, n * ps, special);
    add_filled(&x, ls);
    add_filled(&x, ls);
    x.ints[0] = n, x.ints[1] = v;
    buffer want = copy_of(&x, 1), t = copy_of(&x, 7), e = copy_of(&x, 8);
    bfi_relax r = {.n = n,
                   .ls = ls,
                   .lanes = ls,
                   .ps = ps,
                   .a = x.array[0].data,
                   .s_pos = x.array[2].data,
                   .s_neg = x.array[3].data,
                   .t_pos = x.array[4].data,
                   .t_neg = x.array[5].data,
                   .e = x.array[6].data};
    if (c->k.p[BFI_TVM_SCALE]) r.out = want.data;
    if (c->k.p[BFI_TVM_T]) r.t_sum = t.data;
    if (c->k.p[BFI_TVM_E]) r.e_sum = e.data;
    ref->relax(&r);
    in_place = in_place && c->k.p[BFI_TVM_SCALE];
    if (in_place) x.tensor[1].data = x.tensor[0].data;
    run_kernel(kernel, &x);
    expect_equal(&x, in_place ? 0 : 1, &want, 1, 1);
    expect_equal(&x, 7, &t, 1, 1);
    expect_equal(&x, 8, &e, 1, 1);
    buffer_free(&want);
    buffer_free(&t);
    buffer_free(&e);
    call_free(&x);
}

static void check_accumulate(bfi_tvm_kernel_fn *kernel, const kernel_case *c, int64_t n) {
    call x = {.c = c};
    add_array(&x, n, 10);
    add_array(&x, n, 10);
    x.ints[0] = n;
    buffer want = copy_of(&x, 1);
    bfi_kernels_ref(c->k.dtype)
        ->accumulate(n, c->k.p[BFI_TVM_MINUS] ? -1 : 1, x.array[0].data, want.data, 1, 1);
    run_kernel(kernel, &x);
    expect_equal(&x, 1, &want, 1, 1);
    buffer_free(&want);
    call_free(&x);
}

static void check(bfi_tvm_kernel_fn *kernel, const kernel_case *c) {
    switch (c->k.op) {
        case BFI_TVM_OP_LINEAR:
            check_linear(kernel, c, some_groups());
            break;
        case BFI_TVM_OP_LINEAR_ONE:
            check_linear(kernel, c, 0);
            break;
        case BFI_TVM_OP_LINEAR_RELAX:
            check_linear_relax(kernel, c, some_groups());
            break;
        case BFI_TVM_OP_CONV:
            check_conv(kernel, c, some_groups());
            break;
        case BFI_TVM_OP_CONV_ONE:
            check_conv(kernel, c, 0);
            break;
        case BFI_TVM_OP_RELAX:
            check_relax(kernel, c, some_groups(), random_int(1, 140), chance(50));
            break;
        case BFI_TVM_OP_RELAX_ONE:
            check_relax(kernel, c, 0, random_int(1, 400), chance(50));
            break;
        case BFI_TVM_OP_ACCUMULATE:
            check_accumulate(kernel, c, random_int(1, 400));
            break;
        default:
            check_interval(kernel, c);
            break;
    }
}

static void check_case(const kernel_case *c) {
    char key[BFI_TVM_KEY_SIZE], path[128];
    bf_error err = {0};
    assert_true(bfi_tvm_key_print(&c->k, &c->target, key, sizeof key));
    if (bfi_tvm_file_check(c->path, key, &err)) fail_msg("%s", err.message);
    snprintf(path, sizeof path, "./%s", c->path);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) fail_msg("%s", dlerror());
    fill_slots(library);
    bfi_tvm_kernel_fn *kernel;
    void *address = dlsym(library, BFI_TVM_KERNEL_SYMBOL);
    assert_non_null(address);
    memcpy(&kernel, &address, sizeof kernel);
    int before = launches;
    for (int i = 0; i < 8; i++) check(kernel, c);
    assert_int_equal(launches > before, c->k.p[BFI_TVM_PARALLEL]);
    dlclose(library);
}

/* ---- the helper ---- */

static const char *tvm_folder(void) {
    static char path[4096];
    struct stat info;
    const char *named = getenv("BOUNDFLOW_TVM"), *source = getenv("BOUNDFLOW_SOURCE_DIR");
    snprintf(path, sizeof path, "%s%s",
             named    ? named
             : source ? source
                      : "..",
             named ? "" : "/.tvm");
    return stat(path, &info) == 0 ? path : NULL;
}

static pid_t start_helper(const char *tvm, const char *jobs, const char *log) {
    char program[4096];
    const char *build = getenv("BOUNDFLOW_BUILD_DIR");
    snprintf(program, sizeof program, "%s/boundflow-tvmc", build ? build : "..");
    char *argv[] = {program, "--tvm", (char *)tvm, "--jobs", (char *)jobs, NULL};
    posix_spawn_file_actions_t actions;
    pid_t pid;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int failed = posix_spawn(&pid, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) fail_msg("%s: %s", program, strerror(failed));
    return pid;
}

static void compile_all(const char *tvm) {
    char jobs[HELPERS][64], log[HELPERS][64], key[BFI_TVM_KEY_SIZE], line[2048];
    pid_t pids[HELPERS];
    for (int h = 0; h < HELPERS; h++) {
        snprintf(jobs[h], sizeof jobs[h], "%s/jobs%d", folder, h);
        snprintf(log[h], sizeof log[h], "%s/log%d", folder, h);
        FILE *f = fopen(jobs[h], "w");
        assert_non_null(f);
        for (int i = h; i < case_count; i += HELPERS) {
            assert_true(bfi_tvm_key_print(&cases[i].k, &cases[i].target, key, sizeof key));
            fprintf(f, "%s\t%s\n", cases[i].path, key);
        }
        fclose(f);
        pids[h] = start_helper(tvm, jobs[h], log[h]);
    }
    for (int h = 0; h < HELPERS; h++) {
        int status;
        while (waitpid(pids[h], &status, 0) < 0) assert_int_equal(errno, EINTR);
        FILE *f = fopen(log[h], "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f))
            if (strncmp(line, "ok\t", 3) != 0) print_error("%s", line);
        fclose(f);
        assert_int_equal(status, 0);
    }
}

static void remove_folder(void) {
    char path[512];
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

static void test_kernels(void **state) {
    (void)state;
    const char *tvm = tvm_folder();
    if (!tvm) fail_msg("no TVM: run 'make tvm'");
    assert_non_null(mkdtemp(folder));
    add_all();
    compile_all(tvm);
    bool v3_only = strstr(cases[0].target.json, "v3") != NULL;
    for (int i = 0; i < case_count; i++) check_case(&cases[i]);
    print_message("%d kernels%s\n", case_count, v3_only ? " (no AVX-512 here)" : "");
    remove_folder();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kernels)};
    const char *strict = getenv("BOUNDFLOW_TVM_STRICT");
    if (!tvm_folder() && !(strict && strcmp(strict, "1") == 0)) {
        print_message("[ SKIPPED ] no TVM; 'make tvm' installs one\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
