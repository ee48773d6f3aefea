#include "question.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "frontend/npy.h"
#include "points.h"
#include "terminal.h"
#include "verify/certify.h"

bf_status bfi_question_check(const bfi_arguments *args, bf_error *err) {
    const bool *given = args->given;
    int sources = given[BFI_OPTION_CENTER] + given[BFI_OPTION_BOX] + given[BFI_OPTION_VNNLIB];
    const char *message = NULL;
    if (sources == 0 && given[BFI_OPTION_EPS])
        message = "--eps needs --center X.npy";
    else if (sources == 0)
        message =
            "which inputs? give --center X.npy --eps E, or --box LO.npy HI.npy, or --vnnlib "
            "P.vnnlib";
    else if (sources > 1)
        message = "--center, --box and --vnnlib each give the box: choose one";
    else if (given[BFI_OPTION_CENTER] && !given[BFI_OPTION_EPS])
        message = "--center needs --eps E, the radius of the box (0 is allowed)";
    else if (!given[BFI_OPTION_CENTER] && given[BFI_OPTION_EPS])
        message = "--eps goes with --center only";
    else if (!given[BFI_OPTION_CENTER] && given[BFI_OPTION_CLIP])
        message = "--clip goes with --center only";
    else if (args->real[BFI_OPTION_EPS][0] < 0)
        message = "--eps: the radius is negative";
    else if (args->real[BFI_OPTION_CLIP][0] > args->real[BFI_OPTION_CLIP][1])
        message = "--clip: LO is above HI";
    else if (given[BFI_OPTION_SPEC] && given[BFI_OPTION_MARGIN])
        message = "--spec and --margin each say what to bound: choose one";
    return message ? bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "%s", message) : BF_STATUS_OK;
}

/* "input 3", or "box 2, input 3" of several boxes. */
typedef struct place {
    char text[64];
} place;

static place input_label(const bfi_question *q, int64_t i) {
    place l;
    if (q->boxes > 1)
        snprintf(l.text, sizeof l.text, "box %lld, input %lld", (long long)(i / q->inputs),
                 (long long)(i % q->inputs));
    else
        snprintf(l.text, sizeof l.text, "input %lld", (long long)i);
    return l;
}

static bf_status read_ball(const bfi_arguments *args, const bf_model *model, bfi_question *q,
                           bf_error *err) {
    const char *path = args->text[BFI_OPTION_CENTER][0];
    bfi_points points;
    bf_status status = bfi_points_read(path, model, true, &points, err);
    if (status != BF_STATUS_OK) return status;
    q->lo = points.x, q->boxes = points.count;
    q->hi = bfi_malloc((size_t)(q->boxes * q->inputs), sizeof *q->hi);
    if (!q->hi) return bfi_fail_memory(err);
    bool outward = args->count[BFI_OPTION_ROUNDING] == BF_ROUNDING_OUTWARD;
    double below, eps, clip_lo, clip_hi;
    bfi_points_enclose(args, BFI_OPTION_EPS, 0, outward, &below, &eps);
    bfi_points_clip(args, outward, &clip_lo, &clip_hi);
    for (int64_t i = 0; i < q->boxes * q->inputs; i++) {
        double x = q->lo[i];
        double lo = outward ? bfi_sum_down(x, -eps) : x - eps;
        double hi = outward ? bfi_sum_up(x, eps) : x + eps;
        q->lo[i] = lo < clip_lo ? clip_lo : lo;
        q->hi[i] = hi > clip_hi ? clip_hi : hi;
        if (q->lo[i] > q->hi[i])
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "the box is empty: %s, %.9g +- %.9g, lies outside --clip [%.9g, %.9g]",
                            input_label(q, i).text, x, eps, clip_lo, clip_hi);
        if (!isfinite(q->lo[i]) || !isfinite(q->hi[i]))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--eps: the box overflows at %s",
                            input_label(q, i).text);
    }
    snprintf(q->box, sizeof q->box, "%.80s +- %.20s", bfi_path_name(path),
             args->text[BFI_OPTION_EPS][0]);
    return BF_STATUS_OK;
}

static bf_status read_corners(const bfi_arguments *args, const bf_model *model, bfi_question *q,
                              bf_error *err) {
    const char *const *paths = args->text[BFI_OPTION_BOX];
    bfi_points lower = {0}, upper = {0};
    bf_status status = bfi_points_read(paths[0], model, true, &lower, err);
    if (status == BF_STATUS_OK) status = bfi_points_read(paths[1], model, true, &upper, err);
    q->lo = lower.x, q->hi = upper.x, q->boxes = lower.count;
    if (status == BF_STATUS_OK && lower.count != upper.count)
        status = bfi_fail(err, BF_STATUS_SHAPE,
                          "%s has %lld lower corners and %s %lld upper ones: give as many of both",
                          paths[0], (long long)lower.count, paths[1], (long long)upper.count);
    for (int64_t i = 0; status == BF_STATUS_OK && i < q->boxes * q->inputs; i++)
        if (q->lo[i] > q->hi[i])
            status =
                bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                         "the box is empty: %s has lower end %.9g (%s) above upper end %.9g (%s)",
                         input_label(q, i).text, q->lo[i], paths[0], q->hi[i], paths[1]);
    snprintf(q->box, sizeof q->box, "%.60s to %.60s", bfi_path_name(paths[0]),
             bfi_path_name(paths[1]));
    return status;
}

static bf_status copy_first_box(const bf_property *property, const char *path, bfi_question *q,
                                bf_error *err) {
    if (property->n_in != q->inputs)
        return bfi_fail(err, BF_STATUS_SHAPE,
                        "%s: declares %lld inputs, but the network takes %lld", path,
                        (long long)property->n_in, (long long)q->inputs);
    if (property->count == 0)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "%s: has no input box: its constraints contradict", path);
    q->lo = bfi_malloc((size_t)q->inputs, sizeof *q->lo);
    q->hi = bfi_malloc((size_t)q->inputs, sizeof *q->hi);
    if (!q->lo || !q->hi) return bfi_fail_memory(err);
    memcpy(q->lo, property->cases[0].lo, (size_t)q->inputs * sizeof *q->lo);
    memcpy(q->hi, property->cases[0].hi, (size_t)q->inputs * sizeof *q->hi);
    if (property->count > 1)
        fprintf(stderr,
                "boundflow bound: note: %s has %d input boxes; these are bounds on the first\n",
                path, (int)property->count);
    return BF_STATUS_OK;
}

static bf_status read_property(const bfi_arguments *args, bfi_question *q, bf_error *err) {
    const char *path = args->text[BFI_OPTION_VNNLIB][0];
    bf_property *property = NULL;
    bf_status status = bf_property_load(path, &property, err);
    if (status == BF_STATUS_OK) status = copy_first_box(property, path, q, err);
    bf_property_free(property);
    snprintf(q->box, sizeof q->box, "%.120s", bfi_path_name(path));
    return status;
}

/* Rows of C: [rows][outputs] after dropping leading dimensions of one; a vector is one row. */
static bf_status read_spec(const char *path, bfi_question *q, bf_error *err) {
    bf_array array = {0};
    bf_status status = bfi_npy_read(path, &array, err);
    if (status != BF_STATUS_OK) return status;
    int64_t columns = array.rank > 0 ? array.dims[array.rank - 1] : array.count;
    if (columns != q->outputs || array.count == 0)
        status =
            bfi_fail(err, BF_STATUS_SHAPE, "%s: has %lld columns, but the network has %lld outputs",
                     path, (long long)columns, (long long)q->outputs);
    for (int64_t i = 0; i < array.count && status == BF_STATUS_OK; i++)
        if (!isfinite(array.data[i]))
            status = bfi_fail(err, BF_STATUS_PARSE, "%s: row %lld, column %lld is not finite", path,
                              (long long)(i / columns), (long long)(i % columns));
    if (status == BF_STATUS_OK) {
        q->rows = array.count / columns;
        q->spec = array.data;
        array.data = NULL;
    }
    bfi_array_clear(&array);
    return status;
}

static bf_status make_margin(int64_t label, bfi_question *q, bf_error *err) {
    if (label >= q->outputs)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "--margin: there is no output %lld: the network has %lld, counted from 0",
                        (long long)label, (long long)q->outputs);
    if (q->outputs < 2)
        return bfi_fail(
            err, BF_STATUS_INVALID_ARGUMENT,
            "--margin: the network has one output: there is nothing to compare it with");
    q->label = label;
    q->rows = q->outputs - 1;
    size_t elements;
    if (!bfi_mul_size((size_t)q->rows, (size_t)q->outputs, &elements)) return bfi_fail_memory(err);
    q->spec = bfi_malloc(elements, sizeof *q->spec);
    if (!q->spec) return bfi_fail_memory(err);
    bfi_margin_rows(q->outputs, label, q->spec);
    return BF_STATUS_OK;
}

bf_status bfi_question_read(const bfi_arguments *args, const bf_model *model,
                            bfi_question *question, bf_error *err) {
    bfi_question q = {.inputs = bf_model_input_count(model),
                      .outputs = bf_model_output_count(model),
                      .boxes = 1,
                      .label = -1};
    q.rows = q.outputs;
    bf_status status;
    if (args->given[BFI_OPTION_CENTER])
        status = read_ball(args, model, &q, err);
    else if (args->given[BFI_OPTION_BOX])
        status = read_corners(args, model, &q, err);
    else
        status = read_property(args, &q, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_SPEC])
        status = read_spec(args->text[BFI_OPTION_SPEC][0], &q, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_MARGIN])
        status = make_margin(args->count[BFI_OPTION_MARGIN], &q, err);
    if (status != BF_STATUS_OK) bfi_question_free(&q);
    *question = q;
    return status;
}

void bfi_question_free(bfi_question *question) {
    free(question->lo);
    free(question->hi);
    free(question->spec);
    *question = (bfi_question){0};
}

void bfi_question_row_name(const bfi_question *question, int64_t row, char *name, int size) {
    if (question->label >= 0)
        snprintf(name, (size_t)size, "Y_%lld - Y_%lld", (long long)question->label,
                 (long long)(row + (row >= question->label)));
    else
        snprintf(name, (size_t)size, "%c_%lld", question->spec ? 'C' : 'Y', (long long)row);
}
