/* Resident use: bounds of one more box on a plan and workspace that exist, as a library call.
 *
 *   make build && cc -O3 -D_GNU_SOURCE -I. -Isrc -Iinclude bench/micro/resident.c \
 *       -Lbuild -lboundflow_core -lprotobuf-c -lz -lm -lpthread -o build/bench_resident
 *   build/bench_resident [--f64] [--ibp] [--calls N] MODEL.onnx [PROPERTY.vnnlib ...]
 *
 * Boxes: the first one of each property, and four random small ones inside the first property's (or
 * inside [0, 1]). All outputs, both sides. One thread with error terms, the same without, and two
 * threads take turns, so that they see the same machine; a figure is the fastest of all calls, the
 * median beside it. "roofline": the run's floating-point operations at the fma peak of one core;
 * "terms": what the error terms add to the fastest call. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/micro/must.h"
#include "bench/micro/peak.h"
#include "boundflow/bounds.h"
#include "boundflow/property.h"

enum { VARIANTS = 3, RANDOM_BOXES = 4, TURNS = 10 };

/* One way to run the model. */
typedef struct variant {
    int threads;
    bf_rounding rounding;
    bf_session *session;
    bf_plan *plan;
    bf_workspace *workspace;
    double *seconds; /* of every call */
    int calls;
} variant;

typedef struct bench {
    bf_options options;
    bf_model *model;
    int64_t n_in, n_out;
    int calls;
    double peak;
    variant variants[VARIANTS];
    double *lo, *hi, *lower, *upper;
} bench;

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void open_variant(bench *b, variant *v) {
    bf_error err = {0};
    bf_options options = b->options;
    options.rounding = v->rounding;
    check(bf_session_create(v->threads, &v->session, &err), &err);
    check(bf_plan_create(v->session, b->model, &options, &v->plan, &err), &err);
    check(bf_workspace_create(v->plan, &v->workspace, &err), &err);
    v->seconds = need(malloc((size_t)b->calls * sizeof(double)));
}

static void close_variant(variant *v) {
    bf_workspace_free(v->workspace);
    bf_plan_free(v->plan);
    bf_session_free(v->session);
    free(v->seconds);
}

static void call(bench *b, variant *v) {
    bf_error err = {0};
    bf_request request = {.lo = b->lo, .hi = b->hi, .lower = b->lower, .upper = b->upper};
    double from = now();
    bf_status status = bf_bounds_run(v->plan, v->workspace, &request, &err);
    v->seconds[v->calls++] = now() - from;
    check(status, &err);
}

static void measure(bench *b, const char *name) {
    for (int i = 0; i < VARIANTS; i++) b->variants[i].calls = 0;
    for (int turn = 0; turn < TURNS; turn++)
        for (int i = 0; i < VARIANTS; i++)
            for (int c = 0; c < b->calls / TURNS; c++) call(b, &b->variants[i]);
    for (int i = 0; i < VARIANTS; i++)
        qsort(b->variants[i].seconds, (size_t)b->variants[i].calls, sizeof(double), compare);
    const variant *v = b->variants;
    double least = v[0].seconds[0], flops = bf_workspace_stats(v[0].workspace).flops;
    bf_run_stats stats = bf_workspace_stats(v[0].workspace);
    printf("%-22.22s %8" PRId64 " %6" PRId64 " %9.3f %9.1f %9.1f %6.1f %5.1f %9.1f %6.2f\n", name,
           stats.unstable, stats.lanes, flops * 1e-6, least * 1e6,
           v[0].seconds[v[0].calls / 2] * 1e6, flops / b->peak * 1e6,
           100 * (least / v[1].seconds[0] - 1), v[2].seconds[0] * 1e6, least / v[2].seconds[0]);
    fflush(stdout);
}

/* The first box of the property at |path|; its file name without folders and endings. */
static void load_box(bench *b, const char *path, char name[64]) {
    bf_error err = {0};
    bf_property *property;
    check(bf_property_load(path, &property, &err), &err);
    if (property->n_in != b->n_in || property->count == 0) {
        fprintf(stderr, "%s: no box of %" PRId64 " inputs\n", path, b->n_in);
        exit(1);
    }
    memcpy(b->lo, property->cases[0].lo, (size_t)b->n_in * sizeof(double));
    memcpy(b->hi, property->cases[0].hi, (size_t)b->n_in * sizeof(double));
    bf_property_free(property);
    const char *base = strrchr(path, '/');
    snprintf(name, 64, "%.*s", (int)strcspn(base ? base + 1 : path, "."), base ? base + 1 : path);
}

/* A box of 1 % to 5 % of the width of [from, to] at a random place inside. */
static void random_box(bench *b, const double *from, const double *to) {
    for (int64_t i = 0; i < b->n_in; i++) {
        double width = to[i] - from[i], part = 0.01 + 0.04 * rand() / RAND_MAX;
        b->lo[i] = from[i] + (1 - part) * width * rand() / RAND_MAX;
        b->hi[i] = b->lo[i] + part * width;
    }
}

static void run(bench *b, char **properties, int count) {
    static const variant variants[VARIANTS] = {{.threads = 1, .rounding = BF_ROUNDING_OUTWARD},
                                               {.threads = 1, .rounding = BF_ROUNDING_NEAREST},
                                               {.threads = 2, .rounding = BF_ROUNDING_OUTWARD}};
    size_t in = (size_t)b->n_in * sizeof(double), out = (size_t)b->n_out * sizeof(double);
    double *from = need(malloc(in)), *to = need(malloc(in));
    b->lo = need(malloc(in)), b->hi = need(malloc(in));
    b->lower = need(malloc(out)), b->upper = need(malloc(out));
    for (int64_t i = 0; i < b->n_in; i++) from[i] = 0, to[i] = 1;
    for (int i = 0; i < VARIANTS; i++) {
        b->variants[i] = variants[i];
        open_variant(b, &b->variants[i]);
    }
    printf("%-22s %8s %6s %9s %9s %9s %6s %5s %9s %6s\n", "box", "unstable", "lanes", "Mflop", "us",
           "median", "roof", "terms", "us, 2 thr", "ratio");
    for (int i = 0; i < count; i++) {
        char name[64];
        load_box(b, properties[i], name);
        if (i == 0) memcpy(from, b->lo, in), memcpy(to, b->hi, in);
        measure(b, name);
    }
    for (int i = 0; i < RANDOM_BOXES; i++) {
        char name[64];
        random_box(b, from, to);
        snprintf(name, sizeof name, "random %d", i);
        measure(b, name);
    }
    for (int i = 0; i < VARIANTS; i++) close_variant(&b->variants[i]);
    free(b->lo), free(b->hi), free(b->lower), free(b->upper), free(from), free(to);
}

int main(int argc, char **argv) {
    bf_error err = {0};
    bench b = {.options = bf_options_default(), .calls = 2000};
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--f64") == 0) {
            b.options.dtype = BF_DTYPE_FLOAT64;
        } else if (strcmp(argv[i], "--ibp") == 0) {
            b.options.method = BF_METHOD_IBP;
        } else if (strcmp(argv[i], "--calls") == 0 && i + 1 < argc && atoi(argv[i + 1]) > 0) {
            b.calls = (atoi(argv[++i]) + TURNS - 1) / TURNS * TURNS;
        } else {
            i = argc;
            break;
        }
    }
    if (i >= argc) {
        fprintf(stderr, "usage: resident [--f64] [--ibp] [--calls N] MODEL [PROPERTY ...]\n");
        return 2;
    }
    check(bf_model_load(argv[i], &b.model, &err), &err);
    b.n_in = bf_model_input_count(b.model), b.n_out = bf_model_output_count(b.model);
    b.peak = fma_peak(__builtin_cpu_supports("avx512f") ? "avx512" : "avx2",
                      b.options.dtype == BF_DTYPE_FLOAT32);
    printf("%s, %s, fma peak %.1f GF/s\n", argv[i],
           b.options.dtype == BF_DTYPE_FLOAT32 ? "float32" : "float64", b.peak * 1e-9);
    run(&b, argv + i + 1, argc - i - 1);
    bf_model_free(b.model);
    return 0;
}
