/* Nodes of branch and bound as lanes (src/runtime/nodes.h): how many a second, and what rounds
 * earn.
 *
 *   make build && cc -O3 -D_GNU_SOURCE -I. -Isrc -Iinclude bench/micro/nodes.c \
 *       -Lbuild -lboundflow_core -lprotobuf-c -lz -lm -lpthread -ldl -o build/bench_nodes
 *   build/bench_nodes [--threads N] [--nodes N] [--depth D] [--lr LR] [--multiplier-lr LR]
 *       [--hidden fixed|per-neuron|shared] MODEL.onnx PROPERTY.vnnlib
 *
 * The root is the first case of the property with all rows of its first disjunct; nodes split D of
 * the neurons whose relaxation costs the first row most, in random directions. A line per number of
 * rounds: nodes a second (fastest of some runs), and the mean bound above the root's. */
#include "runtime/nodes.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/micro/must.h"
#include "boundflow/property.h"
#include "plan/plan.h"

enum { MOST_DEPTH = 64, TURNS = 3 };

typedef struct scored {
    bf_split split;
    double score;
} scored;

typedef struct bench {
    bf_options options;
    int threads;
    int64_t nodes;
    int depth;
    double lr, multiplier_lr;
    bf_plan *plan;
    bf_workspace *ws;
    const double *spec;
    int64_t rows;
    double *root;
    scored *scores; /* of the neurons that the root leaves unstable */
    int64_t count;
} bench;

/* The intercept of BaBSR: what the upper line of an unstable relu costs. */
static void see(void *user, int64_t lane, const bfi_node_view *view) {
    bench *b = user;
    (void)lane;
    b->scores = need(realloc(b->scores, (size_t)(b->count + view->n) * sizeof *b->scores));
    for (int64_t j = 0; j < view->n; j++) {
        double lo = view->lo[j], hi = view->hi[j],
               a = bfi_load(view->dtype, view->a, j * view->stride);
        if (!(lo < 0 && hi > 0)) continue;
        b->scores[b->count++] =
            (scored){{view->activation, j, 1, 0}, fabs(fmin(a, 0)) * -lo * hi / (hi - lo)};
    }
}

static int by_score(const void *a, const void *b) {
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x < y) - (x > y);
}

static int by_place(const void *a, const void *b) {
    const bf_split *x = a, *y = b;
    if (x->activation != y->activation) return x->activation - y->activation;
    return (x->neuron > y->neuron) - (x->neuron < y->neuron);
}

static void bound(bench *b, bfi_nodes_request *request) {
    bf_error err = {0};
    request->spec = b->spec, request->rows = b->rows;
    request->lr = b->lr, request->multiplier_lr = b->multiplier_lr;
    check(bfi_nodes_run(b->plan, b->ws, request, &err), &err);
}

static void measure(bench *b, int rounds, const uint8_t *start) {
    size_t n = (size_t)b->nodes, bytes = (size_t)bfi_nodes_slope_bytes(b->plan);
    bfi_node_lane *lanes = need(calloc(n, sizeof *lanes));
    bf_split *splits = need(calloc(n * MOST_DEPTH, sizeof *splits));
    float *multipliers = need(calloc(n * MOST_DEPTH, sizeof *multipliers));
    uint8_t *slopes = need(malloc(n * bytes));
    double best = INFINITY, gain = 0;
    int64_t wide = b->depth * 3 < b->count ? b->depth * 3 : b->count, infeasible = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        srand(1);
        gain = 0, infeasible = 0;
        for (size_t i = 0; i < n; i++) {
            bf_split *s = splits + i * MOST_DEPTH;
            int used = 0;
            for (int64_t k = 0; k < wide && used < b->depth; k++)
                if (rand() % 3 == 0) {
                    s[used] = b->scores[k].split;
                    s[used++].sign = rand() % 2 ? 1 : -1;
                }
            qsort(s, (size_t)used, sizeof *s, by_place);
            memset(multipliers + i * MOST_DEPTH, 0, MOST_DEPTH * sizeof *multipliers);
            memcpy(slopes + i * bytes, start, bytes);
            lanes[i] = (bfi_node_lane){.row = 0,
                                       .stop = INFINITY,
                                       .rounds = rounds,
                                       .splits = s,
                                       .split_count = used,
                                       .multipliers = multipliers + i * MOST_DEPTH,
                                       .slopes = slopes + i * bytes,
                                       .lower = -INFINITY};
        }
        bfi_nodes_request request = {.lanes = lanes, .count = b->nodes};
        clock_t from = clock(); /* of all threads: other work on the machine does not count */
        bound(b, &request);
        double took = (double)(clock() - from) / CLOCKS_PER_SEC / b->threads;
        if (took < best) best = took;
        for (size_t i = 0; i < n; i++) {
            if (isinf(lanes[i].lower))
                infeasible++;
            else
                gain += lanes[i].lower - b->root[0];
        }
    }
    printf("%6d %12.0f %14.6f %6" PRId64 "\n", rounds, (double)n / best,
           gain / (double)(b->nodes - infeasible), infeasible);
    free(lanes), free(splits), free(multipliers), free(slopes);
}

static void run(bench *b, const bf_model *model, const bf_property *property) {
    bf_error err = {0};
    bf_session *session;
    const bf_case *c = &property->cases[0];
    check(bf_session_create(b->threads, &session, &err), &err);
    check(bf_plan_create(session, model, &b->options, &b->plan, &err), &err);
    check(bf_workspace_create(b->plan, &b->ws, &err), &err);
    b->rows = c->disjuncts[0].count;
    double *spec = need(calloc((size_t)(b->rows * property->n_out), sizeof *spec));
    b->root = need(calloc((size_t)b->rows, sizeof *b->root));
    for (int64_t r = 0; r < b->rows; r++)
        for (int32_t k = 0; k < c->disjuncts[0].rows[r].y_count; k++)
            spec[r * property->n_out + c->disjuncts[0].rows[r].y_terms[k].index] =
                c->disjuncts[0].rows[r].y_terms[k].coef;
    b->spec = spec;
    double from = bf_clock();
    check(bf_bounds_run(
              b->plan, b->ws,
              &(bf_request){
                  .lo = c->lo, .hi = c->hi, .spec = spec, .rows = b->rows, .lower = b->root},
              &err),
          &err);
    double took = bf_clock() - from;
    uint8_t *start = need(malloc((size_t)bfi_nodes_slope_bytes(b->plan)));
    bfi_node_lane lane = {
        .stop = INFINITY, .rounds = 20, .slopes = start, .lower = -INFINITY, .look = true};
    /* planned slopes first: bytes to start from */
    for (int64_t i = 0; i < bfi_nodes_slope_bytes(b->plan); i++) start[i] = 128;
    bfi_nodes_request request = {.lanes = &lane, .count = 1, .look = see, .user = b};
    bound(b, &request);
    qsort(b->scores, (size_t)b->count, sizeof *b->scores, by_score);
    printf("root %.6f in %.3f s, %" PRId64 " unstable, one lane of 20 rounds %.6f\n", b->root[0],
           took, b->count, lane.lower);
    printf("%6s %12s %14s %6s\n", "rounds", "nodes/s", "gain", "empty");
    const int rounds[] = {1, 2, 3, 5, 8, 12, 20, 40};
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) measure(b, rounds[i], start);
}

int main(int argc, char **argv) {
    bf_error err = {0};
    bench b = {.options = bf_options_default(),
               .threads = 1,
               .nodes = 128,
               .depth = 8,
               .lr = 0,
               .multiplier_lr = 0};
    b.options.method = BF_METHOD_ALPHA_CROWN, b.options.intermediate = BF_INTERMEDIATE_FIXED;
    b.options.intersect = 1;
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        const char *v = argv[i + 1];
        if (!strcmp(argv[i], "--threads"))
            b.threads = atoi(v);
        else if (!strcmp(argv[i], "--nodes"))
            b.nodes = atoi(v);
        else if (!strcmp(argv[i], "--depth"))
            b.depth = atoi(v) < MOST_DEPTH ? atoi(v) : MOST_DEPTH;
        else if (!strcmp(argv[i], "--lr"))
            b.lr = atof(v);
        else if (!strcmp(argv[i], "--multiplier-lr"))
            b.multiplier_lr = atof(v);
        else if (!strcmp(argv[i], "--hidden"))
            b.options.intermediate = v[0] == 'f'   ? BF_INTERMEDIATE_FIXED
                                     : v[0] == 'p' ? BF_INTERMEDIATE_PER_NEURON
                                                   : BF_INTERMEDIATE_SHARED;
        else
            break;
    }
    if (argc - i != 2) {
        fprintf(stderr, "usage: nodes [options, see the source] MODEL PROPERTY\n");
        return 2;
    }
    bf_model *model;
    bf_property *property;
    check(bf_model_load(argv[i], &model, &err), &err);
    check(bf_property_load(argv[i + 1], &property, &err), &err);
    run(&b, model, property);
    return 0;
}
