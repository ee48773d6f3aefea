#include "points.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/fp.h"
#include "frontend/npy.h"

static const char *shape_text(const int64_t *dims, int rank, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int d = 0; d < rank && used < size; d++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%lld", d ? ", " : "", (long long)dims[d]);
    if (used < size) snprintf(text + used, size - used, "]");
    return text;
}

/* Axes longer than one, from |first| on. */
static int long_axes(const int64_t *dims, int rank, int first, int64_t *out) {
    int count = 0;
    for (int d = first; d < rank; d++)
        if (dims[d] != 1) out[count++] = dims[d];
    return count;
}

/* The same axes, or flat, or split into more: anything but the network's axes in another order. */
static bool same_order(const bf_array *array, int first, const bf_layer_info *input) {
    int64_t ours[8], theirs[BFI_ARRAY_MAX_RANK];
    int m = long_axes(input->shape, input->rank, 0, ours);
    int n = long_axes(array->dims, array->rank, first, theirs);
    return n != m || memcmp(ours, theirs, (size_t)n * sizeof *ours) == 0;
}

static bf_status check_shape(const char *path, const bf_array *array, const bf_layer_info *input,
                             bool many, bf_error *err) {
    char wanted[128], found[128];
    shape_text(input->shape, input->rank, wanted, sizeof wanted);
    shape_text(array->dims, array->rank, found, sizeof found);
    if (!many && array->count != input->count)
        return bfi_fail(err, BF_STATUS_SHAPE,
                        "%s: has %lld numbers, but the network takes %lld inputs %s", path,
                        (long long)array->count, (long long)input->count, wanted);
    bool leading = many && array->rank > 1 && array->count == array->dims[0] * input->count;
    if (many && !leading && array->count != input->count)
        return bfi_fail(
            err, BF_STATUS_SHAPE,
            "%s: has shape %s, but inputs of the network %s along a first axis take %lld "
            "numbers each",
            path, found, wanted, (long long)input->count);
    if (array->count == 0)
        return bfi_fail(err, BF_STATUS_SHAPE, "%s: has no inputs: its shape is %s", path, found);
    if (!same_order(array, leading, input) && !same_order(array, 0, input))
        return bfi_fail(
            err, BF_STATUS_SHAPE,
            "%s: has shape %s, the network's input is %s: the axes are in another order", path,
            found, wanted);
    return BF_STATUS_OK;
}

bf_status bfi_points_read(const char *path, const bf_model *model, bool many, bfi_points *out,
                          bf_error *err) {
    bf_array array = {0};
    bf_status status = bfi_npy_read(path, &array, err);
    if (status != BF_STATUS_OK) return status;
    bf_layer_info input = bf_model_layer(model, 0);
    status = check_shape(path, &array, &input, many, err);
    for (int64_t i = 0; i < array.count && status == BF_STATUS_OK; i++)
        if (!isfinite(array.data[i]))
            status =
                bfi_fail(err, BF_STATUS_PARSE, "%s: number %lld is %s: every input must be finite",
                         path, (long long)i, isnan(array.data[i]) ? "not a number" : "infinite");
    if (status == BF_STATUS_OK) {
        *out = (bfi_points){array.data, array.count / input.count, input.count};
        array.data = NULL;
    }
    bfi_array_clear(&array);
    return status;
}

void bfi_points_free(bfi_points *points) {
    free(points->x);
    *points = (bfi_points){0};
}

void bfi_points_enclose(const bfi_arguments *args, bfi_option option, int word, bool outward,
                        double *lo, double *hi) {
    const char *text = args->text[option][word];
    *lo = *hi = args->real[option][word];
    if (outward && !bfi_decimal_enclose(text, strlen(text), lo, hi)) {
        *lo = bfi_down(args->real[option][word]);
        *hi = bfi_up(args->real[option][word]);
    }
}

void bfi_points_clip(const bfi_arguments *args, bool outward, double *lo, double *hi) {
    double inner;
    *lo = -INFINITY;
    *hi = INFINITY;
    if (!args->given[BFI_OPTION_CLIP]) return;
    bfi_points_enclose(args, BFI_OPTION_CLIP, 0, outward, lo, &inner);
    bfi_points_enclose(args, BFI_OPTION_CLIP, 1, outward, &inner, hi);
}

/* The decimal nearest to |value|, or a neighbour, on the side that |sign| says. */
static void directed(double value, int digits, int sign, char *text, int size) {
    double lo, hi, step = fabs(value) * pow(10, -digits), at = value;
    do {
        snprintf(text, (size_t)size, "%.*g", digits, at);
        if (!bfi_decimal_enclose(text, strlen(text), &lo, &hi) || strtod(text, NULL) == value)
            return;
        at += sign * step;
    } while (step > 0 && (sign < 0 ? hi > value : lo < value));
}

void bfi_points_below(double value, int digits, char *text, int size) {
    directed(value, digits, -1, text, size);
}

void bfi_points_above(double value, int digits, char *text, int size) {
    directed(value, digits, 1, text, size);
}
