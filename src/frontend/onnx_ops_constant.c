/* Ops whose results are known at load time. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

static bf_status set_reals(bfi_import *im, const float *values, size_t count, int rank) {
    bfi_shape shape = {.rank = rank, .dim = {(int64_t)count}};
    bfi_tensor *y = bfi_tensor_new(BFI_DTYPE_FLOAT32, &shape, BFI_MAX_COUNT);
    for (size_t i = 0; y && i < count; i++) {
        y->real[i] = (double)values[i];
        if (y->real[i] - y->real[i] == 0) continue;
        bfi_tensor_free(y);
        return bfi_onnx_fail(im, BF_STATUS_PARSE, "the value is NaN or infinite");
    }
    return bfi_onnx_set_constant(im, 0, y);
}

static bf_status set_integers(bfi_import *im, const int64_t *values, size_t count, int rank) {
    bfi_tensor *y = bfi_tensor_from_integers(values, (int64_t)count);
    if (y) y->shape.rank = rank;
    return bfi_onnx_set_constant(im, 0, y);
}

bf_status bfi_onnx_constant_op(bfi_import *im) {
    const Onnx__AttributeProto *a;
    if ((a = bfi_onnx_attribute(im, "value")) && a->t) {
        bfi_tensor *y = NULL;
        BFI_TRY(bfi_onnx_read_tensor(im, a->t, im->node->output[0], &y));
        return bfi_onnx_set_constant(im, 0, y);
    }
    if ((a = bfi_onnx_attribute(im, "value_float")) && a->has_f) return set_reals(im, &a->f, 1, 0);
    if ((a = bfi_onnx_attribute(im, "value_floats")))
        return set_reals(im, a->floats, a->n_floats, 1);
    if ((a = bfi_onnx_attribute(im, "value_int")) && a->has_i) return set_integers(im, &a->i, 1, 0);
    if ((a = bfi_onnx_attribute(im, "value_ints"))) return set_integers(im, a->ints, a->n_ints, 1);
    return bfi_onnx_fail(im, BF_STATUS_PARSE, "has no value");
}

bf_status bfi_onnx_constant_of_shape(bfi_import *im) {
    const Onnx__AttributeProto *a = bfi_onnx_attribute(im, "value");
    bfi_shape shape = {0};
    bfi_tensor *value = NULL, *y = NULL;
    BFI_TRY(bfi_onnx_input_ints(im, 0, "the shape", shape.dim, BFI_MAX_RANK, &shape.rank));
    if (shape.rank < 0) return bfi_onnx_fail(im, BF_STATUS_PARSE, "input 0 is missing");
    BFI_TRY(bfi_onnx_check_size(im, bfi_shape_count(&shape, BFI_FOLD_MAX_COUNT)));
    if (!a || !a->t)
        return bfi_onnx_set_constant(im, 0, bfi_tensor_new(BFI_DTYPE_FLOAT32, &shape, INT64_MAX));
    BFI_TRY(bfi_onnx_read_tensor(im, a->t, "value", &value));
    if (value->count == 1) {
        value->shape.rank = 0;
        y = bfi_tensor_expand(value, &shape);
    }
    bool one = value->count == 1;
    bfi_tensor_free(value);
    if (one) return bfi_onnx_set_constant(im, 0, y);
    return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the value must be one number");
}

bf_status bfi_onnx_shape_op(bfi_import *im) {
    bfi_shape shape;
    int64_t start, end;
    BFI_TRY(bfi_onnx_shape(im, 0, &shape));
    BFI_TRY(bfi_onnx_int(im, "start", 0, &start));
    BFI_TRY(bfi_onnx_int(im, "end", shape.rank, &end));
    if (start < 0) start = start < -shape.rank ? 0 : start + shape.rank;
    if (end < 0) end = end < -shape.rank ? 0 : end + shape.rank;
    if (start > shape.rank) start = shape.rank;
    if (end > shape.rank) end = shape.rank;
    return bfi_onnx_set_constant(
        im, 0, bfi_tensor_from_integers(shape.dim + start, end > start ? end - start : 0));
}

bf_status bfi_onnx_size_op(bfi_import *im) {
    bfi_shape shape;
    BFI_TRY(bfi_onnx_shape(im, 0, &shape));
    int64_t size = bfi_shape_count(&shape, INT64_MAX);
    return set_integers(im, &size, 1, 0);
}

bf_status bfi_onnx_range(bfi_import *im) {
    const bfi_tensor *part[3];
    for (size_t i = 0; i < 3; i++) {
        BFI_TRY(bfi_onnx_need_constant(im, i, "a limit", &part[i]));
        if (!part[i]->integer || part[i]->count != 1)
            return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "limits must be single integers");
    }
    int64_t start = part[0]->integer[0], limit = part[1]->integer[0], step = part[2]->integer[0],
            span;
    if (step == 0 || step == INT64_MIN || __builtin_sub_overflow(limit, start, &span))
        return bfi_onnx_fail(im, BF_STATUS_PARSE, "the limits are not valid");
    int64_t count =
        step > 0 ? (span > 0 ? (span - 1) / step + 1 : 0) : (span < 0 ? (span + 1) / step + 1 : 0);
    BFI_TRY(bfi_onnx_check_size(im, count));
    bfi_tensor *y =
        bfi_tensor_new(part[0]->dtype, &(bfi_shape){.rank = 1, .dim = {count}}, INT64_MAX);
    for (int64_t i = 0; y && i < count; i++) y->integer[i] = start + i * step;
    return bfi_onnx_set_constant(im, 0, y);
}

bf_status bfi_onnx_where(bfi_import *im) {
    const bfi_tensor *part[3];
    bfi_tensor *y = NULL;
    for (size_t i = 0; i < 3; i++)
        BFI_TRY(bfi_onnx_need_constant(im, i, "every operand", &part[i]));
    bf_status st = bfi_fold_where(part[0], part[1], part[2], &y, im->err);
    return st == BF_STATUS_OK ? bfi_onnx_set_constant(im, 0, y) : bfi_onnx_fail_here(im, st);
}
