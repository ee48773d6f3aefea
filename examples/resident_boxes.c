/* One plan, many boxes: certifies every point of a stream within a radius.
 *
 *   cc -O2 -std=c11 -Iinclude examples/resident_boxes.c -Lbuild -lboundflow -lm -o build/resident_boxes
 *   LD_LIBRARY_PATH=build build/resident_boxes MODEL.onnx RADIUS [BATCH] < points.txt
 *
 * A point is as many numbers as the network has inputs. For each, one line: the output that is
 * largest there, "certain" when it stays the largest within RADIUS of the point (each input moves
 * by itself), else "open", and the certified margin. With BATCH points at a time the lines are the
 * same, bit for bit. docs/howto/resident-use.md walks through it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boundflow/boundflow.h"

/* What stays while points come and go. */
typedef struct server {
    bf_session *session;
    bf_model *model;
    bf_plan *plan;
    bf_workspace *workspace;
    int64_t inputs, outputs, rows, batch;
    double *point, *y;    /* [inputs]; [outputs] */
    double *lo, *hi;      /* [batch][inputs] */
    double *spec, *lower; /* [batch][rows][outputs]; [batch][rows] */
    int64_t *label;       /* [batch] */
} server;

static double *numbers(int64_t count) { return calloc((size_t)count, sizeof(double)); }

/* Loads, compiles and allocates: all that is done once. */
static bf_status start(server *s, const char *path, int64_t batch, bf_error *err) {
    bf_options options = bf_options_default(); /* CROWN, float32, outward rounding */
    options.intersect = 1;
    options.batch = batch;
    bf_status status = bf_session_create(0, &s->session, err); /* a thread per CPU */
    if (status == BF_STATUS_OK) status = bf_model_load(path, &s->model, err);
    if (status == BF_STATUS_OK)
        status = bf_plan_create(s->session, s->model, &options, &s->plan, err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(s->plan, &s->workspace, err);
    if (status != BF_STATUS_OK) return status;
    s->inputs = bf_model_input_count(s->model);
    s->outputs = bf_model_output_count(s->model);
    s->rows = s->outputs - 1; /* y[label] - y[j] for every other j */
    s->batch = batch;
    s->point = numbers(s->inputs);
    s->y = numbers(s->outputs);
    s->lo = numbers(batch * s->inputs);
    s->hi = numbers(batch * s->inputs);
    s->spec = numbers(batch * s->rows * s->outputs);
    s->lower = numbers(batch * s->rows);
    s->label = calloc((size_t)batch, sizeof *s->label);
    if (!s->point || !s->y || !s->lo || !s->hi || !s->spec || !s->lower || !s->label) {
        snprintf(err->message, sizeof err->message, "out of memory");
        return BF_STATUS_OUT_OF_MEMORY;
    }
    return bf_workspace_reshape(s->plan, s->workspace, s->rows, err);
}

/* Free in the opposite order; every _free takes NULL. */
static void stop(server *s) {
    free(s->label);
    free(s->lower);
    free(s->spec);
    free(s->hi);
    free(s->lo);
    free(s->y);
    free(s->point);
    bf_workspace_free(s->workspace);
    bf_plan_free(s->plan);
    bf_model_free(s->model);
    bf_session_free(s->session);
}

/* The workspace keeps the pointers: one bind serves all runs that have as many boxes. */
static bf_status bind_boxes(server *s, int64_t boxes, bf_error *err) {
    bf_request request = {.lo = s->lo,
                          .hi = s->hi,
                          .spec = s->spec,
                          .rows = s->rows,
                          .lower = s->lower,
                          .boxes = boxes,
                          .spec_per_box = 1};
    return bf_workspace_bind(s->plan, s->workspace, &request, err);
}

/* Writes box |slot| around the point, and the rows of the label that holds there. */
static bf_status ask(server *s, int64_t slot, double radius, bf_error *err) {
    bf_ball ball = {.center = s->point, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    bf_status status = bf_ball_box(&ball, s->inputs, radius, s->lo + slot * s->inputs,
                                   s->hi + slot * s->inputs, err); /* rounds outward */
    if (status == BF_STATUS_OK) status = bf_model_evaluate(s->model, 0, s->point, s->y, err);
    if (status != BF_STATUS_OK) return status;
    int64_t label = 0;
    for (int64_t j = 1; j < s->outputs; j++)
        if (s->y[j] > s->y[label]) label = j;
    s->label[slot] = label;
    double *spec = s->spec + slot * s->rows * s->outputs;
    memset(spec, 0, (size_t)(s->rows * s->outputs) * sizeof *spec);
    for (int64_t row = 0; row < s->rows; row++) {
        spec[row * s->outputs + label] = 1;
        spec[row * s->outputs + row + (row >= label)] = -1;
    }
    return BF_STATUS_OK;
}

static void answer(const server *s, int64_t boxes) {
    for (int64_t slot = 0; slot < boxes; slot++) {
        double margin = INFINITY;
        for (int64_t row = 0; row < s->rows; row++)
            margin = fmin(margin, s->lower[slot * s->rows + row]);
        printf("%lld %s %.17g\n", (long long)s->label[slot], margin > 0 ? "certain" : "open",
               margin);
    }
}

/* True when a whole point came. */
static int read_point(server *s) {
    for (int64_t i = 0; i < s->inputs; i++)
        if (scanf("%lf", &s->point[i]) != 1) return 0;
    return 1;
}

static bf_status serve(server *s, double radius, bf_error *err) {
    bf_status status = bind_boxes(s, s->batch, err);
    int64_t points = 0, boxes = s->batch;
    double seconds = 0;
    while (status == BF_STATUS_OK && boxes == s->batch) {
        for (boxes = 0; boxes < s->batch && status == BF_STATUS_OK && read_point(s); boxes++)
            status = ask(s, boxes, radius, err);
        if (status != BF_STATUS_OK || boxes == 0) break;
        if (boxes < s->batch) status = bind_boxes(s, boxes, err); /* the last, shorter batch */
        double begin = bf_clock();
        if (status == BF_STATUS_OK) status = bf_workspace_run(s->plan, s->workspace, err);
        seconds += bf_clock() - begin;
        if (status == BF_STATUS_OK) answer(s, boxes);
        points += boxes;
    }
    if (status == BF_STATUS_OK && points > 0)
        fprintf(stderr, "%lld points, %.1f us each\n", (long long)points,
                1e6 * seconds / (double)points);
    return status;
}

int main(int argc, char **argv) {
    double radius = argc > 2 ? atof(argv[2]) : -1;
    long long batch = argc > 3 ? atoll(argv[3]) : 1;
    if (argc < 3 || argc > 4 || !(radius >= 0) || batch < 1 || batch > 4096) {
        fprintf(stderr, "usage: resident_boxes MODEL.onnx RADIUS [BATCH] < points.txt\n");
        return 2;
    }
    server s = {0};
    bf_error err = {""};
    bf_status status = start(&s, argv[1], batch, &err);
    if (status == BF_STATUS_OK) status = serve(&s, radius, &err);
    stop(&s);
    if (status == BF_STATUS_OK) return 0;
    fprintf(stderr, "resident_boxes: %s\n", err.message);
    return bf_status_exit_code(status);
}
