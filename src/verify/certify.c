#include "verify/certify.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

/* Limits of what is in flight at once: numbers of all layers, and of rows. */
#define MOST_NEURONS ((int64_t)1 << 19)
#define MOST_ROW_NUMBERS ((int64_t)1 << 22)

struct bfi_certifier {
    bf_plan *plan;
    bf_workspace *workspace;
    int64_t inputs, outputs, boxes;
    double *lo, *hi;     /* [box][input] */
    double *lower;       /* [box][outputs - 1] */
    int64_t specs;       /* boxes that may have rows of their own at once */
    double *spec;        /* [specs][outputs - 1][outputs] */
    int64_t *spec_label; /* whose rows these are; -1: nobody's yet */
};

void bfi_margin_rows(int64_t outputs, int64_t label, double *spec) {
    memset(spec, 0, (size_t)((outputs - 1) * outputs) * sizeof *spec);
    for (int64_t row = 0; row < outputs - 1; row++) {
        spec[row * outputs + label] = 1;
        spec[row * outputs + row + (row >= label)] = -1;
    }
}

static bf_status allocate(bfi_certifier *c, bf_error *err) {
    size_t boxes = (size_t)c->boxes, rows = (size_t)c->outputs - 1, cells, results, numbers;
    if (!bfi_mul_size(rows, (size_t)c->outputs, &cells) || !bfi_mul_size(boxes, rows, &results) ||
        !bfi_mul_size(boxes, (size_t)c->inputs, &numbers))
        return bfi_fail_memory(err);
    c->specs = MOST_ROW_NUMBERS / (int64_t)cells;
    c->specs = c->specs < 1 ? 1 : c->specs > c->boxes ? c->boxes : c->specs;
    if (!bfi_mul_size(cells, (size_t)c->specs, &cells)) return bfi_fail_memory(err);
    c->lo = bfi_malloc(numbers, sizeof *c->lo);
    c->hi = bfi_malloc(numbers, sizeof *c->hi);
    c->lower = bfi_malloc(results, sizeof *c->lower);
    c->spec = bfi_malloc(cells, sizeof *c->spec);
    c->spec_label = bfi_malloc((size_t)c->specs, sizeof *c->spec_label);
    if (!c->lo || !c->hi || !c->lower || !c->spec || !c->spec_label) return bfi_fail_memory(err);
    for (int64_t i = 0; i < c->specs; i++) c->spec_label[i] = -1;
    return BF_STATUS_OK;
}

/* |boxes|, or fewer, so that a workspace stays small beside the network. */
static int64_t in_flight(const bf_model *model, int64_t boxes) {
    int64_t neurons = 1;
    for (int i = 0; i < bf_model_layer_count(model); i++) neurons += bf_model_layer(model, i).count;
    int64_t most = MOST_NEURONS / neurons;
    return most < 1 ? 1 : most < boxes ? most : boxes;
}

bf_status bfi_certifier_create(bf_session *session, const bf_model *model,
                               const bf_options *options, int64_t boxes, bfi_certifier **out,
                               bf_error *err) {
    if (options->rounding == BF_ROUNDING_NEAREST)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "rounding nearest is not sound: a certificate needs rounding outward");
    if (bf_model_output_count(model) < 2)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "the network has one output: there is no other label to compare with");
    bfi_certifier *c = bfi_calloc(1, sizeof *c);
    if (!c) return bfi_fail_memory(err);
    c->inputs = bf_model_input_count(model);
    c->outputs = bf_model_output_count(model);
    c->boxes = boxes;
    bf_options batched = *options;
    batched.batch = in_flight(model, boxes);
    bf_status status = bf_plan_create(session, model, &batched, &c->plan, err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(c->plan, &c->workspace, err);
    if (status == BF_STATUS_OK) status = allocate(c, err);
    if (status != BF_STATUS_OK) {
        bfi_certifier_free(c);
        return status;
    }
    *out = c;
    return BF_STATUS_OK;
}

void bfi_certifier_free(bfi_certifier *c) {
    if (!c) return;
    bf_workspace_free(c->workspace);
    bf_plan_free(c->plan);
    free(c->lo);
    free(c->hi);
    free(c->lower);
    free(c->spec);
    free(c->spec_label);
    free(c);
}

const bf_plan *bfi_certifier_plan(const bfi_certifier *c) { return c->plan; }

double *bfi_certifier_lo(bfi_certifier *c, int64_t index) { return c->lo + index * c->inputs; }

double *bfi_certifier_hi(bfi_certifier *c, int64_t index) { return c->hi + index * c->inputs; }

static double least(const double *values, int64_t count) {
    double result = INFINITY;
    for (int64_t i = 0; i < count; i++) {
        if (isnan(values[i])) return -INFINITY;
        result = fmin(result, values[i]);
    }
    return result;
}

static bool same_labels(const int64_t *labels, int64_t count) {
    for (int64_t i = 1; i < count; i++)
        if (labels[i] != labels[0]) return false;
    return true;
}

/* Boxes [first, first + count) in one run. */
static bf_status run_boxes(bfi_certifier *c, const int64_t *labels, int64_t first, int64_t count,
                           double deadline, double *margins, bf_error *err) {
    int64_t rows = c->outputs - 1;
    bool one_spec = same_labels(labels + first, count);
    for (int64_t i = 0; i < (one_spec ? 1 : count); i++) {
        int64_t label = labels[first + i];
        assert(label >= 0 && label < c->outputs);
        if (c->spec_label[i] != label)
            bfi_margin_rows(c->outputs, label, c->spec + i * rows * c->outputs);
        c->spec_label[i] = label;
    }
    bf_request request = {.lo = bfi_certifier_lo(c, first),
                          .hi = bfi_certifier_hi(c, first),
                          .spec = c->spec,
                          .rows = rows,
                          .lower = c->lower,
                          .deadline = deadline,
                          .boxes = count,
                          .spec_per_box = !one_spec};
    bf_status status = bf_bounds_run(c->plan, c->workspace, &request, err);
    for (int64_t i = 0; i < count && status == BF_STATUS_OK; i++)
        margins[first + i] = least(c->lower + i * rows, rows);
    return status;
}

bf_status bfi_certifier_run(bfi_certifier *c, const int64_t *labels, int64_t count, double deadline,
                            double *margins, bf_error *err) {
    assert(count <= c->boxes);
    bf_status status = BF_STATUS_OK;
    for (int64_t first = 0, some; first < count && status == BF_STATUS_OK; first += some) {
        some = count - first;
        if (some > c->specs && !same_labels(labels + first, some)) some = c->specs;
        status = run_boxes(c, labels, first, some, deadline, margins, err);
    }
    return status;
}
