/* Kernels of the executors beside each other: reference, native, and compiled by TVM. One thread,
 * taking turns, fastest of many calls; one JSON object a line. bench/executors.py builds and runs
 * it.
 *
 *   make build && cc -O3 -D_GNU_SOURCE -I. -Isrc -Iinclude bench/micro/executors.c \
 *       build/libboundflow_core.a -lprotobuf-c -lz -lm -lpthread -ldl -o build/bench_executors
 *   build/bench_executors [f32|f64]
 *   build/bench_executors plan MODEL.onnx     time to plan CROWN when all kernels are compiled
 *
 * TVM is found, and kernels are kept, as by boundflow itself (docs/howto/use-tvm.md). The compiler
 * is looked for beside this program. "same": all gave the same bits. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "boundflow/boundflow.h"
#include "exec/tvm/library.h"
#include "exec/tvm/lower.h"
#include "kernels/kernel.h"

enum { OUTPUTS = 3, EXECUTORS = 3, TURN = 4 };
static const char *const executor_names[EXECUTORS] = {"reference", "native", "tvm"};

/* A kernel, its shape and its arrays. */
typedef struct job {
    char name[64];
    const char *kind; /* "backward", "ibp", "relax", "fused", "forward" */
    double flops;
    int64_t ls;
    bfi_tvm_kernel kernel;
    bfi_packed packed;
    bfi_conv conv;
    bfi_relax relax;
    void *weights, *in[2], *out[OUTPUTS], *parameters[5];
    int64_t weights_count, in_count, out_count;
    bfi_compiled *compiled;
} job;

typedef struct bench {
    bfi_dtype dtype;
    size_t size;
    bf_session *session;
    bfi_tvm_target target;
    const bfi_kernels *tables[2];
} bench;

static void die(const char *what) {
    fprintf(stderr, "bench_executors: %s\n", what);
    exit(1);
}

static void *numbers(const bench *b, int64_t n) {
    void *p = bfi_alloc_aligned((size_t)n * b->size);
    if (!p) die("out of memory");
    for (int64_t i = 0; i < n; i++) {
        double x = (double)rand() / RAND_MAX - 0.5;
        if (b->dtype == BFI_F32)
            ((float *)p)[i] = (float)x;
        else
            ((double *)p)[i] = x;
    }
    return p;
}

static void add_arrays(const bench *b, job *j, int64_t weights, int64_t in, int64_t out) {
    j->weights_count = weights, j->in_count = in, j->out_count = out;
    j->weights = numbers(b, weights);
    j->packed.data = j->conv.packed = j->weights;
    for (int i = 0; i < 2; i++) j->in[i] = numbers(b, in * j->ls);
    for (int i = 0; i < OUTPUTS; i++) j->out[i] = numbers(b, out * j->ls);
}

static void add_parameters(const bench *b, job *j, int64_t n) {
    for (int i = 0; i < 5; i++) j->parameters[i] = numbers(b, n);
    j->relax = (bfi_relax){.n = n,
                           .ls = j->ls,
                           .lanes = j->ls,
                           .ps = 1,
                           .s_pos = j->parameters[0],
                           .s_neg = j->parameters[1],
                           .t_pos = j->parameters[2],
                           .t_neg = j->parameters[3],
                           .e = j->parameters[4],
                           .t_sum = j->out[1],
                           .e_sum = j->out[2]};
}

/* What the kernel tables do for |j|. */
static void run_table(const bfi_kernels *k, job *j) {
    const bfi_packed *w = &j->packed;
    const bfi_conv *c = &j->conv;
    switch (j->kernel.op) {
        case BFI_TVM_OP_CONV:
            k->conv(c, 0, c->h_dst, j->in[0], j->out[0], j->ls, j->ls);
            break;
        case BFI_TVM_OP_INTERVAL_LINEAR:
            k->interval_linear(w, 0, w->m, j->in[0], j->in[1], j->out[0], j->out[1], j->out[2], 1,
                               1);
            break;
        case BFI_TVM_OP_INTERVAL_CONV:
            k->interval_conv(c, 0, c->h_dst, j->in[0], j->in[1], j->out[0], j->out[1], j->out[2], 1,
                             1);
            break;
        case BFI_TVM_OP_RELAX:
            k->relax(&j->relax);
            break;
        default:
            k->linear(w, 0, w->m, j->in[0], j->out[0], j->ls, j->ls);
            if (j->kernel.op == BFI_TVM_OP_LINEAR_RELAX) k->relax(&j->relax);
    }
}

static void tensor(bfi_kernel_call *c, const void *data, int64_t count) {
    c->tensor[c->tensors].data = data;
    c->tensor[c->tensors++].count = count;
}

static void integer(bfi_kernel_call *c, int64_t value) { c->integer[c->integers++] = value; }

static void relax_tensors(bfi_kernel_call *c, const job *j, int64_t n) {
    for (int i = 0; i < 5; i++) tensor(c, j->parameters[i], n);
    tensor(c, j->out[1], j->ls), tensor(c, j->out[2], j->ls);
}

/* The compiled kernel's call, in the order of exec/tvm/kernel.def. */
static void fill(bfi_kernel_call *c, const job *j) {
    bfi_tvm_op op = j->kernel.op;
    int64_t panels = (j->packed.m + BF_PACK - 1) / BF_PACK, v = j->ls / BF_LANE_PAD;
    bool interval = op == BFI_TVM_OP_INTERVAL_LINEAR || op == BFI_TVM_OP_INTERVAL_CONV;
    bool conv = op == BFI_TVM_OP_CONV || op == BFI_TVM_OP_INTERVAL_CONV;
    if (op != BFI_TVM_OP_RELAX) tensor(c, j->weights, j->weights_count);
    for (int i = 0; i < (interval ? 2 : 1); i++) tensor(c, j->in[i], j->in_count * j->ls);
    for (int i = 0; i < (interval ? 3 : 1); i++) tensor(c, j->out[i], j->out_count * j->ls);
    if (op == BFI_TVM_OP_RELAX || op == BFI_TVM_OP_LINEAR_RELAX) relax_tensors(c, j, j->out_count);
    if (op == BFI_TVM_OP_RELAX) integer(c, j->out_count);
    if (!interval && j->ls > 1) integer(c, v);
    if (op == BFI_TVM_OP_RELAX) return;
    integer(c, 0);
    integer(c, conv ? j->conv.h_dst : op == BFI_TVM_OP_LINEAR_RELAX ? v : panels);
}

static uint64_t digest(const bench *b, const job *j) {
    uint64_t hash = 14695981039346656037u;
    int outputs =
        j->kernel.op == BFI_TVM_OP_LINEAR || j->kernel.op == BFI_TVM_OP_CONV ? 1 : OUTPUTS;
    bool sums = j->relax.n > 0;
    for (int i = 0; i < outputs; i++) {
        int64_t count = i > 0 && sums ? 1 : j->out_count;
        const unsigned char *at = j->out[i];
        for (size_t n = 0; n < (size_t)(count * j->ls) * b->size; n++)
            hash = (hash ^ at[n]) * 1099511628211u;
    }
    return hash;
}

static void run_once(const bench *b, job *j, int executor, const bfi_kernel_call *call) {
    if (executor < 2)
        run_table(b->tables[executor], j);
    else if (!bfi_compiled_call(j->compiled, call))
        die("a compiled kernel failed");
}

/* Turns of a few calls each, until half a second has passed since the reference, which is slow, had
 * its two calls. */
static void race(const bench *b, job *j, double *best, bool *same) {
    bfi_kernel_host host = {0};
    bfi_kernel_call call = {.host = &host};
    fill(&call, j);
    uint64_t first = 0;
    double until = 0;
    for (int e = 0; e < EXECUTORS; e++) best[e] = 1e9;
    *same = true;
    for (int turn = 0; turn < 3 || bf_clock() < until; turn++) {
        if (turn == 2) until = bf_clock() + 0.5;
        for (int e = 0; e < EXECUTORS; e++) {
            if (e == 2 && !j->compiled) continue;
            if (e == 0 && turn >= 2) continue;
            for (int i = 0; i < (e == 0 ? 1 : TURN); i++) {
                double from = bf_clock();
                run_once(b, j, e, &call);
                double took = bf_clock() - from;
                if (took < best[e]) best[e] = took;
            }
            if (turn > 0) continue;
            uint64_t bits = digest(b, j);
            if (e == 0) first = bits;
            *same = *same && bits == first;
        }
    }
}

static void free_job(job *j) {
    for (int i = 0; i < 5; i++) free(j->parameters[i]);
    for (int i = 0; i < OUTPUTS; i++) free(j->out[i]);
    for (int i = 0; i < 2; i++) free(j->in[i]);
    free(j->weights);
    bfi_compiled_release(j->compiled);
}

static void measure(const bench *b, job *j) {
    bfi_kernel_request request = {.kernel = j->kernel, .target = b->target};
    request.kernel.dtype = b->dtype;
    bf_error err = {""};
    double best[EXECUTORS];
    bool same;
    bfi_tvm_kernel_schedule(&request.kernel, &b->target);
    if (bfi_library_get(bfi_session_library(b->session), &request, 1, true, 0, &err) !=
        BF_STATUS_OK)
        die(err.message);
    j->compiled = request.compiled;
    race(b, j, best, &same);
    printf("{\"kernel\": \"%s\", \"kind\": \"%s\", \"lanes\": %" PRId64
           ", \"flops\": %.0f, \"same\": %s",
           j->name, j->kind, j->ls, j->flops, same ? "true" : "false");
    for (int e = 0; e < EXECUTORS; e++)
        if (e < 2 || j->compiled) printf(", \"%s_s\": %.9f", executor_names[e], best[e]);
    if (!j->compiled) printf(", \"reason\": \"%s\"", request.reason);
    printf("}\n");
    fflush(stdout);
    free_job(j);
}

static job *start(job *j, const char *kind, bfi_tvm_op op, int64_t ls) {
    memset(j, 0, sizeof *j); /* kernels are compared as bytes */
    j->kind = kind;
    j->ls = ls;
    j->kernel.op = op;
    return j;
}

/* A layer |k| -> |m| on the way back: m inputs of the layer, k outputs. */
static void bench_linear(const bench *b, bfi_tvm_op op, int64_t m, int64_t k, int64_t ls) {
    job j;
    bool interval = op == BFI_TVM_OP_INTERVAL_LINEAR, fused = op == BFI_TVM_OP_LINEAR_RELAX;
    start(&j, interval ? "ibp" : fused ? "fused" : "backward", op, ls);
    j.kernel.p[BFI_TVM_M] = m, j.kernel.p[BFI_TVM_K] = k;
    if (interval) j.kernel.p[BFI_TVM_BATCH] = 1;
    if (fused) j.kernel.p[BFI_TVM_T] = j.kernel.p[BFI_TVM_E] = 1;
    j.packed = (bfi_packed){.m = m, .k = k};
    j.flops = (interval ? 6.0 : 2.0) * (double)(m * k * ls);
    snprintf(j.name, sizeof j.name, "linear %" PRId64 "-%" PRId64 "%s", interval ? k : m,
             interval ? m : k, fused ? ", relu" : "");
    add_arrays(b, &j, bfi_packed_size(m, k), k, m);
    if (fused) {
        add_parameters(b, &j, m);
        j.relax.a = j.relax.out = j.out[0];
    }
    measure(b, &j);
}

static int64_t taps_along(const bfi_conv *c) {
    int64_t taps = 0;
    for (int64_t d = 0; d < c->h_dst; d++)
        for (int64_t k = 0; k < c->kh; k++) {
            int64_t s = c->transposed ? d + c->pad_top - k : d * c->stride_h - c->pad_top + k;
            if (c->transposed && s % c->stride_h) continue;
            if (c->transposed) s /= c->stride_h;
            taps += s >= 0 && s < c->h_src;
        }
    return taps;
}

/* A layer from |in| channels of |size| x |size| to |out| ones: forward intervals, or the way back.
 */
static void bench_conv(const bench *b, bfi_tvm_op op, int64_t in, int64_t size, int64_t out,
                       int64_t kernel, int64_t stride, int64_t pad, int64_t ls) {
    job j;
    bool interval = op == BFI_TVM_OP_INTERVAL_CONV;
    int64_t small = (size + 2 * pad - kernel) / stride + 1;
    start(&j, interval ? "ibp" : "backward", op, ls);
    j.conv = (bfi_conv){.groups = 1,
                        .c_src = interval ? in : out,
                        .h_src = interval ? size : small,
                        .w_src = interval ? size : small,
                        .c_dst = interval ? out : in,
                        .h_dst = interval ? small : size,
                        .w_dst = interval ? small : size,
                        .kh = kernel,
                        .kw = kernel,
                        .stride_h = stride,
                        .stride_w = stride,
                        .dil_h = 1,
                        .dil_w = 1,
                        .pad_top = pad,
                        .pad_left = pad,
                        .transposed = !interval};
    bfi_kernel_conv_shape(&j.conv, j.kernel.p);
    if (interval) j.kernel.p[BFI_TVM_BATCH] = 1;
    const bfi_conv *c = &j.conv;
    int64_t taps = taps_along(c);
    j.flops = (interval ? 6.0 : 2.0) * (double)(taps * taps * in * out * ls);
    snprintf(j.name, sizeof j.name,
             "conv %" PRId64 "x%" PRId64 "x%" PRId64 "-%" PRId64 " %" PRId64 "x%" PRId64
             " /%" PRId64,
             in, size, size, out, kernel, kernel, stride);
    add_arrays(b, &j, bfi_packed_size(c->c_dst, c->c_src * kernel * kernel),
               c->c_src * c->h_src * c->w_src, c->c_dst * c->h_dst * c->w_dst);
    measure(b, &j);
}

static void bench_relax(const bench *b, int64_t n, int64_t ls) {
    job j;
    start(&j, "relax", BFI_TVM_OP_RELAX, ls);
    j.kernel.p[BFI_TVM_SCALE] = j.kernel.p[BFI_TVM_T] = j.kernel.p[BFI_TVM_E] = 1;
    j.kernel.p[BFI_TVM_SHARED] = 1;
    j.flops = 5.0 * (double)(n * ls);
    snprintf(j.name, sizeof j.name, "relu %" PRId64, n);
    add_arrays(b, &j, 1, n, n);
    add_parameters(b, &j, n);
    j.relax.a = j.in[0], j.relax.out = j.out[0];
    measure(b, &j);
}

static void bench_all(const bench *b) {
    static const int64_t linears[][2] = {{784, 256}, {256, 256}, {512, 512}, {50, 50}};
    static const int64_t convs[][6] = {
        {3, 32, 8, 4, 2, 1}, {8, 16, 16, 4, 2, 1}, {16, 16, 16, 3, 1, 1}, {64, 8, 64, 3, 1, 1}};
    static const int64_t lanes[] = {64, 128, 256};
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
        const int64_t *s = linears[i];
        bench_linear(b, BFI_TVM_OP_INTERVAL_LINEAR, s[1], s[0], 1);
        for (size_t l = 0; l < 3; l++) bench_linear(b, BFI_TVM_OP_LINEAR, s[0], s[1], lanes[l]);
        bench_linear(b, BFI_TVM_OP_LINEAR_RELAX, s[0], s[1], 64);
    }
    for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
        const int64_t *s = convs[i];
        bench_conv(b, BFI_TVM_OP_INTERVAL_CONV, s[0], s[1], s[2], s[3], s[4], s[5], 1);
        for (size_t l = 0; l < 3; l++)
            bench_conv(b, BFI_TVM_OP_CONV, s[0], s[1], s[2], s[3], s[4], s[5], lanes[l]);
    }
    bench_relax(b, 256, 64);
    bench_relax(b, 2048, 64);
}

static bf_session *open_session(void) {
    bf_error err = {""};
    bf_session *session = NULL;
    bf_tvm_options options = bf_tvm_options_default();
    options.strict = 0;
    if (bf_session_create(1, &session, &err) != BF_STATUS_OK ||
        bf_session_set_tvm(session, &options, &err) != BF_STATUS_OK)
        die(err.message);
    return session;
}

/* Plans in sessions of their own, so that every one loads its kernels; native and tvm take turns.
 */
static int time_plans(const char *path) {
    bf_error err = {""};
    bf_model *model = NULL;
    double best[EXECUTORS] = {1e9, 1e9, 1e9};
    if (bf_model_load(path, &model, &err) != BF_STATUS_OK) die(err.message);
    for (int turn = 0; turn < 100; turn++)
        for (int e = 1; e < EXECUTORS; e++) {
            bf_session *session = open_session();
            bf_options options = bf_options_default();
            bf_plan *plan = NULL;
            options.executor = e == 1 ? BF_EXECUTOR_NATIVE : BF_EXECUTOR_TVM;
            double from = bf_clock();
            if (bf_plan_create(session, model, &options, &plan, &err) != BF_STATUS_OK)
                die(err.message);
            double took = bf_clock() - from;
            if (turn > 0 && took < best[e]) best[e] = took;
            bf_plan_free(plan);
            bf_session_free(session);
        }
    bf_model_free(model);
    printf("{\"native_s\": %.9f, \"tvm_s\": %.9f}\n", best[1], best[2]);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "plan") == 0) return time_plans(argv[2]);
    bench b = {.dtype = argc > 1 && strcmp(argv[1], "f64") == 0 ? BFI_F64 : BFI_F32};
    b.size = b.dtype == BFI_F32 ? 4 : 8;
    b.tables[0] = bfi_kernels_ref(b.dtype);
    b.tables[1] = bfi_kernels_native(b.dtype, NULL);
    if (!bfi_tvm_target_host(&b.target)) die("this processor has no AVX2");
    b.session = open_session();
    bench_all(&b);
    bf_session_free(b.session);
    return 0;
}
