#include "verify/certify.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

struct bfi_certifier {
    bf_plan *plan;
    bf_workspace *workspace;
    int64_t inputs, outputs, boxes;
    int64_t label;        /* that |spec| is for */
    double *lo, *hi;      /* [box][input] */
    double *spec, *lower; /* [outputs - 1][outputs]; [outputs - 1] */
};

void bfi_margin_rows(int64_t outputs, int64_t label, double *spec) {
    memset(spec, 0, (size_t)((outputs - 1) * outputs) * sizeof *spec);
    for (int64_t row = 0; row < outputs - 1; row++) {
        spec[row * outputs + label] = 1;
        spec[row * outputs + row + (row >= label)] = -1;
    }
}

static bf_status allocate(bfi_certifier *c, bf_error *err) {
    size_t inputs = (size_t)c->inputs, outputs = (size_t)c->outputs, cells, numbers;
    if (!bfi_mul_size(outputs - 1, outputs, &cells) ||
        !bfi_mul_size((size_t)c->boxes, inputs, &numbers))
        return bfi_fail_memory(err);
    c->lo = bfi_malloc(numbers, sizeof *c->lo);
    c->hi = bfi_malloc(numbers, sizeof *c->hi);
    c->spec = bfi_malloc(cells, sizeof *c->spec);
    c->lower = bfi_malloc(outputs - 1, sizeof *c->lower);
    return c->lo && c->hi && c->spec && c->lower ? BF_STATUS_OK : bfi_fail_memory(err);
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
    c->label = -1;
    bf_status status = bf_plan_create(session, model, options, &c->plan, err);
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
    free(c->spec);
    free(c->lower);
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

bf_status bfi_certifier_run(bfi_certifier *c, const int64_t *labels, int64_t count, double deadline,
                            double *margins, bf_error *err) {
    assert(count <= c->boxes);
    bf_status status = BF_STATUS_OK;
    for (int64_t i = 0; i < count && status == BF_STATUS_OK; i++) {
        assert(labels[i] >= 0 && labels[i] < c->outputs);
        if (c->label != labels[i]) bfi_margin_rows(c->outputs, labels[i], c->spec);
        c->label = labels[i];
        bf_request request = {.lo = bfi_certifier_lo(c, i),
                              .hi = bfi_certifier_hi(c, i),
                              .spec = c->spec,
                              .rows = c->outputs - 1,
                              .lower = c->lower,
                              .deadline = deadline};
        status = bf_bounds_run(c->plan, c->workspace, &request, err);
        if (status == BF_STATUS_OK) margins[i] = least(c->lower, c->outputs - 1);
    }
    return status;
}
