/* Nodes of the graph from the importer's point of view: checked shapes, the ONNX node's name. */
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

bf_status bfi_onnx_emit(bfi_import *im, bfi_op op, const int *inputs, int n_inputs,
                        const bfi_shape *shape, int *id) {
    char text[128], op_type[33];
    int64_t count = bfi_shape_count(shape, BFI_MAX_COUNT);
    if (count <= 0)
        return bfi_onnx_fail(im, count ? BF_STATUS_LIMIT : BF_STATUS_SHAPE, "output %s %s",
                             bfi_shape_text(shape, text, sizeof text),
                             count ? "has more than 2^31-1 elements" : "has no elements");
    strncpy(op_type, im->node->op_type, sizeof op_type - 1);
    op_type[sizeof op_type - 1] = '\0';
    *id = bfi_graph_add(im->graph, op, im->label, op_type, inputs, n_inputs, shape);
    return *id >= 0 ? BF_STATUS_OK : bfi_onnx_no_memory(im);
}

bf_status bfi_onnx_emit_const(bfi_import *im, const bfi_tensor *tensor, int *id) {
    if (!tensor->real)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                             "mixes an %s constant with values computed from the input",
                             bfi_dtype_name(tensor->dtype));
    BFI_TRY(bfi_onnx_spend(im, tensor->count));
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_CONST, NULL, 0, &tensor->shape, id));
    bfi_numbers *weight = &im->graph->nodes[*id].weight;
    weight->data = bfi_malloc((size_t)tensor->count, sizeof *weight->data);
    if (!weight->data) return bfi_onnx_no_memory(im);
    weight->count = tensor->count;
    memcpy(weight->data, tensor->real, (size_t)tensor->count * sizeof *weight->data);
    return BF_STATUS_OK;
}

bf_status bfi_onnx_emit_reshape(bfi_import *im, int x, const bfi_shape *shape, int *id) {
    *id = x;
    if (bfi_shape_equal(bfi_onnx_shape_of(im, x), shape)) return BF_STATUS_OK;
    if (bfi_shape_count(shape, BFI_MAX_COUNT) != im->graph->nodes[x].count) {
        char from[128], to[128];
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "cannot reshape %s to %s",
                             bfi_shape_text(bfi_onnx_shape_of(im, x), from, sizeof from),
                             bfi_shape_text(shape, to, sizeof to));
    }
    return bfi_onnx_emit(im, BFI_OP_RESHAPE, &x, 1, shape, id);
}

bf_status bfi_onnx_emit_transpose(bfi_import *im, int x, const int64_t *perm, int *id) {
    bfi_shape from = *bfi_onnx_shape_of(im, x), to = {.rank = from.rank};
    bool identity = true;
    for (int i = 0; i < from.rank; i++) {
        to.dim[i] = from.dim[perm[i]];
        identity = identity && perm[i] == i;
    }
    *id = x;
    if (identity) return BF_STATUS_OK;
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_TRANSPOSE, &x, 1, &to, id));
    memcpy(im->graph->nodes[*id].attrs.perm, perm, (size_t)from.rank * sizeof *perm);
    return BF_STATUS_OK;
}

bf_status bfi_onnx_emit_swap(bfi_import *im, int x, int *id) {
    int rank = bfi_onnx_shape_of(im, x)->rank;
    int64_t perm[BFI_MAX_RANK];
    for (int i = 0; i < rank; i++) perm[i] = i;
    perm[rank - 2] = rank - 1;
    perm[rank - 1] = rank - 2;
    return bfi_onnx_emit_transpose(im, x, perm, id);
}

bf_status bfi_onnx_emit_broadcast(bfi_import *im, int x, const bfi_shape *shape, int *id) {
    bfi_shape from = *bfi_onnx_shape_of(im, x), padded = {.rank = shape->rank};
    int shift = shape->rank - from.rank;
    for (int i = 0; i < shape->rank; i++) padded.dim[i] = i < shift ? 1 : from.dim[i - shift];
    BFI_TRY(bfi_onnx_emit_reshape(im, x, &padded, id));
    if (bfi_shape_equal(&padded, shape)) return BF_STATUS_OK;
    x = *id;
    return bfi_onnx_emit(im, BFI_OP_EXPAND, &x, 1, shape, id);
}

static bool all_are(const double *data, int64_t count, double value) {
    for (int64_t i = 0; data && i < count; i++)
        if (data[i] != value) return false;
    return true;
}

bf_status bfi_onnx_emit_scale_shift(bfi_import *im, int x, double *scale, double *shift,
                                    int roundings, int const_ulps, int *id) {
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    int64_t count = im->graph->nodes[x].count;
    bf_status st = BF_STATUS_OK;
    *id = x;
    if (all_are(scale, count, 1)) {
        free(scale);
        scale = NULL;
    }
    if (all_are(shift, count, 0)) {
        free(shift);
        shift = NULL;
    }
    if (scale || shift) st = bfi_onnx_emit(im, BFI_OP_SCALE_SHIFT, &x, 1, &shape, id);
    if (*id == x || st != BF_STATUS_OK) {
        free(scale);
        free(shift);
        return st;
    }
    bfi_node *node = &im->graph->nodes[*id];
    node->weight = (bfi_numbers){.data = scale, .count = scale ? count : 0};
    node->bias = (bfi_numbers){.data = shift, .count = shift ? count : 0};
    node->attrs.roundings = roundings;
    node->attrs.const_ulps = const_ulps;
    return st;
}
