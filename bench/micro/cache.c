/* The bound cache: how long a look-up takes, and what a file saves a second sweep.
 *
 *   make build && cc -O3 -D_GNU_SOURCE -I. -Isrc -Iinclude bench/micro/cache.c \
 *       -Lbuild -lboundflow_core -lprotobuf-c -lz -ldl -lm -lpthread -o build/bench_cache
 *   build/bench_cache [MODEL.onnx ...]
 *
 * Look-ups: all boxes in memory, asked about in turn, so that entries come from the processor's
 * outer caches as in a run, and with 10,000 images (250 MB with their boxes) from memory; a figure
 * is the fastest pass over all of them, per look-up. Sweeps:
 * CROWN bounds of all outputs over boxes of 20 radii around one random point of [0, 1], three times
 * in turn: without a cache, with a new file, and with that file by a cache that was just opened.
 * Opening and closing the cache counts, planning does not. Fastest of 15 turns. */
#include "runtime/cache/cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/micro/must.h"
#include "bench/micro/peak.h"
#include "boundflow/boundflow.h"

enum { RADII = 20, TURNS = 15 };

static bf_cache *open_cache(const char *path, int contain) {
    bf_cache_options options = bf_cache_options_default();
    options.bytes = (int64_t)2 << 30, options.path = path, options.contain = contain;
    bf_cache *cache = NULL;
    bf_error err = {""};
    check(bf_cache_create(&options, &cache, &err), &err);
    return cache;
}

/* Boxes of |inputs|, one inside the other, and room for one answer of |count|. */
typedef struct asker {
    int64_t boxes, inputs, count;
    double *lo, *hi, *lower, *upper;
    bfi_digest what;
    bfi_region region;
    bfi_question question;
    bfi_answer answer;
} asker;

static asker asker_new(int64_t boxes, int64_t inputs, int64_t count) {
    asker a = {.boxes = boxes, .inputs = inputs, .count = count};
    a.lo = need(calloc((size_t)(boxes * inputs), sizeof(double)));
    a.hi = need(calloc((size_t)(boxes * inputs), sizeof(double)));
    a.lower = need(calloc((size_t)count, sizeof(double)));
    a.upper = need(calloc((size_t)count, sizeof(double)));
    for (int64_t b = 0; b < boxes; b++)
        for (int64_t i = 0; i < inputs; i++) {
            double radius = (double)(boxes - b) / (4.0 * (double)boxes);
            a.lo[b * inputs + i] = 0.5 - radius, a.hi[b * inputs + i] = 0.5 + radius;
        }
    return a;
}

static void asker_free(asker *a) { free(a->lo), free(a->hi), free(a->lower), free(a->upper); }

static void ask(asker *a, int64_t box) {
    a->region = (bfi_region){
        .inputs = a->inputs, .lo = a->lo + box * a->inputs, .hi = a->hi + box * a->inputs};
    a->region.hash = bfi_region_hash(&a->region);
    a->question =
        (bfi_question){.what = &a->what, .region = &a->region, .count = a->count, .parts = 3};
    a->answer = (bfi_answer){{a->lower, a->upper}};
}

static int64_t get_all(bf_cache *cache, asker *a) {
    int64_t found = 0;
    for (int64_t b = 0; b < a->boxes; b++) {
        ask(a, b);
        found += bfi_cache_get(cache, &a->question, &a->answer);
    }
    return found;
}

static void put_all(bf_cache *cache, asker *a) {
    for (int64_t b = 0; b < a->boxes; b++) {
        ask(a, b);
        bfi_cache_put(cache, &a->question, &a->answer);
    }
}

static void contain_all(bf_cache *cache, asker *a) {
    for (int64_t b = 0; b < a->boxes; b++) {
        ask(a, b);
        bfi_cache_contain(cache, &a->question, &a->answer);
    }
}

static void report(const asker *a, const char *what, double seconds) {
    printf("  %-34s %9.0f ns\n", what, seconds / (double)a->boxes * 1e9);
}

static void look_ups(const char *name, int64_t boxes, int64_t inputs, int64_t count) {
    asker a = asker_new(boxes, inputs, count);
    bf_cache *cache = open_cache(NULL, 1);
    double seconds, put = now();
    printf("%s: %" PRId64 " inputs, %" PRId64 " neurons, %" PRId64 " boxes\n", name, inputs, count,
           boxes);
    put_all(cache, &a);
    put = now() - put;
    if (get_all(cache, &a) != boxes) exit(1);
    FASTEST(seconds, get_all(cache, &a));
    report(&a, "hit", seconds);
    a.what.bytes[0] = 1;
    FASTEST(seconds, get_all(cache, &a));
    report(&a, "miss", seconds);
    a.what.bytes[0] = 0;
    FASTEST(seconds, contain_all(cache, &a));
    report(&a, "containment", seconds);
    report(&a, "insertion (once)", put);
    bf_cache_free(cache);
    asker_free(&a);
}

typedef struct sweep {
    bf_session *session;
    bf_plan *plan;
    bf_workspace *workspace;
    int64_t n_in, n_out;
    double *center, *lo, *hi, *bounds, *right; /* bounds: RADII * 2 * n_out */
} sweep;

static void run_radii(sweep *s) {
    bf_error err = {""};
    for (int r = 0; r < RADII; r++) {
        double radius = 0.05 * (r + 1) / RADII, *lower = s->bounds + 2 * r * s->n_out;
        for (int64_t i = 0; i < s->n_in; i++)
            s->lo[i] = s->center[i] - radius, s->hi[i] = s->center[i] + radius;
        bf_request request = {.lo = s->lo, .hi = s->hi, .lower = lower, .upper = lower + s->n_out};
        check(bf_bounds_run(s->plan, s->workspace, &request, &err), &err);
    }
}

static double timed(sweep *s, const char *path) {
    double begin = now();
    bf_cache *cache = path ? open_cache(path, 0) : NULL;
    bf_session_set_cache(s->session, cache);
    run_radii(s);
    bf_session_set_cache(s->session, NULL);
    bf_cache_free(cache);
    double seconds = now() - begin;
    size_t bytes = (size_t)(2 * RADII * s->n_out) * sizeof(double);
    if (path && memcmp(s->bounds, s->right, bytes) != 0) {
        fprintf(stderr, "bounds differ\n");
        exit(1);
    }
    memcpy(s->right, s->bounds, bytes);
    return seconds;
}

static double least(double a, double b) { return a < b ? a : b; }

static void measure(sweep *s, const char *name) {
    char path[] = "/tmp/bench-cache-XXXXXX", log[64];
    double plain = 1e9, cold = 1e9, warm = 1e9;
    int fd = mkstemp(path);
    if (fd < 0) exit(1);
    close(fd);
    snprintf(log, sizeof log, "%s-wal", path);
    timed(s, NULL);
    timed(s, path); /* the identity of the plan is known from here on */
    for (int turn = 0; turn < TURNS; turn++) {
        unlink(path);
        plain = least(plain, timed(s, NULL));
        cold = least(cold, timed(s, path));
        warm = least(warm, timed(s, path));
    }
    unlink(path);
    unlink(log);
    printf("%-44.44s %9.3f ms %9.3f ms %9.3f ms %7.1fx\n", name, plain * 1e3, cold * 1e3,
           warm * 1e3, cold / warm);
}

static void sweep_model(const char *path) {
    sweep s = {0};
    bf_error err = {""};
    bf_model *model = NULL;
    bf_options options = bf_options_default();
    check(bf_session_create(1, &s.session, &err), &err);
    check(bf_model_load(path, &model, &err), &err);
    check(bf_plan_create(s.session, model, &options, &s.plan, &err), &err);
    check(bf_workspace_create(s.plan, &s.workspace, &err), &err);
    s.n_in = bf_model_input_count(model), s.n_out = bf_model_output_count(model);
    s.center = need(calloc((size_t)s.n_in, sizeof(double)));
    s.lo = need(calloc((size_t)s.n_in, sizeof(double)));
    s.hi = need(calloc((size_t)s.n_in, sizeof(double)));
    s.bounds = need(calloc((size_t)(2 * RADII * s.n_out), sizeof(double)));
    s.right = need(calloc((size_t)(2 * RADII * s.n_out), sizeof(double)));
    for (int64_t i = 0; i < s.n_in; i++) s.center[i] = rand() / (double)RAND_MAX;
    measure(&s, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    free(s.center), free(s.lo), free(s.hi), free(s.bounds), free(s.right);
    bf_workspace_free(s.workspace);
    bf_plan_free(s.plan);
    bf_model_free(model);
    bf_session_free(s.session);
}

int main(int argc, char **argv) {
    look_ups("ACAS Xu", 10000, 5, 50);
    look_ups("MNIST 6x100", 500, 784, 100);
    look_ups("MNIST 6x100", 10000, 784, 100);
    printf("\n%-44s %12s %12s %12s %8s\n", "sweep of 20 radii", "no cache", "new file", "second",
           "");
    for (int i = 1; i < argc; i++) sweep_model(argv[i]);
    return 0;
}
