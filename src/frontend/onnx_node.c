/* The current ONNX node: its attributes, inputs, outputs, and errors that name it. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

static const char *op_type_of(const bfi_import *im) {
    return im->node && im->node->op_type ? im->node->op_type : "";
}

bf_status bfi_onnx_fail_here(bfi_import *im, bf_status code) {
    char place[BFI_ONNX_NAME_SHOWN + 128];
    snprintf(place, sizeof place, "node '%.*s' (%.32s)", BFI_ONNX_NAME_SHOWN, im->label,
             op_type_of(im));
    bfi_fail_in(im->err, code, place);
    return bfi_fail_in(im->err, code, im->file);
}

bf_status bfi_onnx_fail(bfi_import *im, bf_status code, const char *fmt, ...) {
    char text[320];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    bfi_fail(im->err, code, "%s", text);
    return bfi_onnx_fail_here(im, code);
}

bf_status bfi_onnx_no_memory(bfi_import *im) { return bfi_fail_memory(im->err); }

const Onnx__AttributeProto *bfi_onnx_attribute(const bfi_import *im, const char *name) {
    for (size_t i = 0; i < im->node->n_attribute; i++) {
        const Onnx__AttributeProto *attribute = im->node->attribute[i];
        if (attribute->name && strcmp(attribute->name, name) == 0) return attribute;
    }
    return NULL;
}

bf_status bfi_onnx_int(bfi_import *im, const char *name, int64_t fallback, int64_t *out) {
    const Onnx__AttributeProto *attribute = bfi_onnx_attribute(im, name);
    *out = attribute ? attribute->i : fallback;
    if (!attribute || attribute->has_i) return BF_STATUS_OK;
    return bfi_onnx_fail(im, BF_STATUS_PARSE, "attribute '%s' is no integer", name);
}

bf_status bfi_onnx_float(bfi_import *im, const char *name, double fallback, double *out) {
    const Onnx__AttributeProto *attribute = bfi_onnx_attribute(im, name);
    *out = attribute ? (double)attribute->f : fallback;
    if (!attribute || (attribute->has_f && isfinite(*out))) return BF_STATUS_OK;
    return bfi_onnx_fail(im, BF_STATUS_PARSE, "attribute '%s' is no finite number", name);
}

bf_status bfi_onnx_ints(bfi_import *im, const char *name, int64_t *out, int max, int *count) {
    const Onnx__AttributeProto *attribute = bfi_onnx_attribute(im, name);
    *count = -1;
    if (!attribute) return BF_STATUS_OK;
    if (attribute->n_ints > (size_t)max)
        return bfi_onnx_fail(im, BF_STATUS_PARSE,
                             "attribute '%s' has %zu entries, at most %d are allowed", name,
                             attribute->n_ints, max);
    *count = (int)attribute->n_ints;
    for (int i = 0; i < *count; i++) out[i] = attribute->ints[i];
    return BF_STATUS_OK;
}

bool bfi_onnx_string_is(const bfi_import *im, const char *name, const char *fallback,
                        const char *text) {
    const Onnx__AttributeProto *attribute = bfi_onnx_attribute(im, name);
    if (!attribute) return strcmp(fallback, text) == 0;
    return attribute->has_s && attribute->s.len == strlen(text) &&
           (attribute->s.len == 0 || memcmp(attribute->s.data, text, attribute->s.len) == 0);
}

bool bfi_onnx_has_input(const bfi_import *im, size_t i) {
    return i < im->node->n_input && im->node->input[i][0] != '\0';
}

bool bfi_onnx_has_output(const bfi_import *im, size_t i) {
    return i < im->node->n_output && im->node->output[i][0] != '\0';
}

bf_status bfi_onnx_input(bfi_import *im, size_t i, bfi_onnx_value **out) {
    if (!bfi_onnx_has_input(im, i))
        return bfi_onnx_fail(im, BF_STATUS_PARSE, "input %zu is missing", i);
    bfi_onnx_value *value = bfi_onnx_names_find(im->names, im->node->input[i]);
    if (!value)
        return bfi_onnx_fail(im, BF_STATUS_PARSE,
                             "input '%.*s' is neither an initializer nor computed by a node",
                             BFI_ONNX_NAME_SHOWN, im->node->input[i]);
    if (value->initializer && !value->constant)
        BFI_TRY(bfi_onnx_read_tensor(im, value->initializer, value->name, &value->constant));
    *out = value;
    return BF_STATUS_OK;
}

bf_status bfi_onnx_constant(bfi_import *im, size_t i, const bfi_tensor **out) {
    bfi_onnx_value *value = NULL;
    BFI_TRY(bfi_onnx_input(im, i, &value));
    *out = value->constant;
    return BF_STATUS_OK;
}

bf_status bfi_onnx_need_constant(bfi_import *im, size_t i, const char *what,
                                 const bfi_tensor **out) {
    BFI_TRY(bfi_onnx_constant(im, i, out));
    if (*out) return BF_STATUS_OK;
    return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                         "%s must be constant, not computed from the input", what);
}

bf_status bfi_onnx_input_ints(bfi_import *im, size_t i, const char *what, int64_t *out, int max,
                              int *count) {
    const bfi_tensor *tensor;
    *count = -1;
    if (!bfi_onnx_has_input(im, i)) return BF_STATUS_OK;
    BFI_TRY(bfi_onnx_need_constant(im, i, what, &tensor));
    if (!tensor->integer || tensor->shape.rank > 1 || tensor->count > max)
        return bfi_onnx_fail(im, BF_STATUS_PARSE, "%s must be a list of at most %d integers", what,
                             max);
    *count = (int)tensor->count;
    for (int k = 0; k < *count; k++) out[k] = tensor->integer[k];
    return BF_STATUS_OK;
}

bf_status bfi_onnx_dynamic(bfi_import *im, size_t i, int *id) {
    bfi_onnx_value *value = NULL;
    BFI_TRY(bfi_onnx_input(im, i, &value));
    if (!value->constant) {
        *id = value->id;
        return BF_STATUS_OK;
    }
    return bfi_onnx_emit_const(im, value->constant, id);
}

bf_status bfi_onnx_shape(bfi_import *im, size_t i, bfi_shape *out) {
    bfi_onnx_value *value = NULL;
    BFI_TRY(bfi_onnx_input(im, i, &value));
    *out = value->constant ? value->constant->shape : *bfi_onnx_shape_of(im, value->id);
    return BF_STATUS_OK;
}

static bf_status define(bfi_import *im, size_t i, bfi_tensor *tensor, int id) {
    bool existing = false;
    bf_status st = BF_STATUS_OK;
    if (!bfi_onnx_has_output(im, i)) {
        bfi_tensor_free(tensor);
        return BF_STATUS_OK;
    }
    bfi_onnx_value value = {.name = im->node->output[i], .constant = tensor, .id = id};
    if (!bfi_onnx_names_define(im->names, &value, &existing)) st = bfi_onnx_no_memory(im);
    if (existing)
        st = bfi_onnx_fail(im, BF_STATUS_PARSE, "output '%.*s' is defined twice",
                           BFI_ONNX_NAME_SHOWN, im->node->output[i]);
    if (st != BF_STATUS_OK) bfi_tensor_free(tensor);
    return st;
}

bf_status bfi_onnx_set_constant(bfi_import *im, size_t i, bfi_tensor *tensor) {
    if (!tensor) return bfi_onnx_no_memory(im);
    bf_status st =
        bfi_shape_is_sane(&tensor->shape)
            ? bfi_onnx_spend(im, tensor->count)
            : bfi_onnx_fail(im, BF_STATUS_LIMIT, "a constant has more than 2^31-1 elements");
    if (st == BF_STATUS_OK) return define(im, i, tensor, -1);
    bfi_tensor_free(tensor);
    return st;
}

bf_status bfi_onnx_set_id(bfi_import *im, size_t i, int id) { return define(im, i, NULL, id); }

bf_status bfi_onnx_axis(bfi_import *im, int64_t axis, int rank, int *out) {
    if (axis < -rank || axis >= rank)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE,
                             "axis %" PRId64 " is not an axis of a tensor of rank %d", axis, rank);
    *out = (int)(axis < 0 ? axis + rank : axis);
    return BF_STATUS_OK;
}

bf_status bfi_onnx_spend(bfi_import *im, int64_t count) {
    if (count < 0 || count > im->budget)
        return bfi_onnx_fail(
            im, BF_STATUS_LIMIT,
            "constants computed at load time would take more than the limit of 2^27 elements");
    im->budget -= count;
    return BF_STATUS_OK;
}

bf_status bfi_onnx_check_size(bfi_import *im, int64_t count) {
    if (count >= 0 && count <= BFI_FOLD_MAX_COUNT) return BF_STATUS_OK;
    return bfi_onnx_fail(
        im, BF_STATUS_LIMIT,
        "a constant computed at load time would have more than the limit of 2^26 elements");
}
