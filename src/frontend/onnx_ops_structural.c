/* Ops that only move elements: on constants at once, on values as structural nodes. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

/* Output |i| := input 0 seen with |shape| (same elements, same order). */
static bf_status set_reshaped(bfi_import *im, const bfi_shape *shape) {
    const bfi_tensor *constant;
    int x;
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) {
        if (bfi_shape_count(shape, INT64_MAX) != constant->count)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE,
                                 "the new shape has another number of elements");
        bfi_tensor *y = bfi_tensor_copy(constant);
        if (y) y->shape = *shape;
        return bfi_onnx_set_constant(im, 0, y);
    }
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit_reshape(im, x, shape, &x));
    return bfi_onnx_set_id(im, 0, x);
}

bf_status bfi_onnx_identity(bfi_import *im) {
    const bfi_tensor *constant;
    int x;
    if (bfi_onnx_has_input(im, 2) && strcmp(im->node->op_type, "Dropout") == 0) {
        const bfi_tensor *training;
        BFI_TRY(bfi_onnx_need_constant(im, 2, "training_mode", &training));
        if (training->count != 1 || bfi_tensor_value(training, 0) != 0)
            return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                                 "is in training mode: export for inference");
    }
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) return bfi_onnx_set_constant(im, 0, bfi_tensor_copy(constant));
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    return bfi_onnx_set_id(im, 0, x);
}

bf_status bfi_onnx_flatten(bfi_import *im) {
    bfi_shape from, to = {.rank = 2, .dim = {1, 1}};
    int64_t axis;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(bfi_onnx_int(im, "axis", 1, &axis));
    if (axis < 0) axis += from.rank;
    if (axis < 0 || axis > from.rank)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "axis does not fit a tensor of rank %d",
                             from.rank);
    for (int i = 0; i < from.rank; i++) to.dim[i >= axis] *= from.dim[i];
    return set_reshaped(im, &to);
}

/* Resolves 0 (copy, unless |allow_zero|) and -1 (whatever is left) against |from|. */
static bf_status resolve_shape(bfi_import *im, const bfi_shape *from, bool allow_zero,
                               bfi_shape *to) {
    int wildcard = -1;
    int64_t known = 1, total = bfi_shape_count(from, INT64_MAX);
    for (int i = 0; i < to->rank; i++) {
        if (to->dim[i] == 0 && !allow_zero) {
            if (i >= from->rank)
                return bfi_onnx_fail(im, BF_STATUS_SHAPE,
                                     "dimension %d is to be copied, but the input has none", i);
            to->dim[i] = from->dim[i];
        }
        if (to->dim[i] == -1 && wildcard < 0) {
            wildcard = i;
            continue;
        }
        if (to->dim[i] < 0 || !bfi_mul_i64(known, to->dim[i], &known))
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the new shape is not valid");
    }
    if (wildcard < 0) return BF_STATUS_OK;
    if (known == 0 || total % known != 0) {
        char text[128];
        return bfi_onnx_fail(im, BF_STATUS_SHAPE,
                             "%s does not fill the other dimensions of the new shape",
                             bfi_shape_text(from, text, sizeof text));
    }
    to->dim[wildcard] = total / known;
    return BF_STATUS_OK;
}

bf_status bfi_onnx_reshape(bfi_import *im) {
    bfi_shape from, to = {0};
    int64_t allow_zero;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(bfi_onnx_int(im, "allowzero", 0, &allow_zero));
    BFI_TRY(bfi_onnx_input_ints(im, 1, "the new shape", to.dim, BFI_MAX_RANK, &to.rank));
    if (to.rank < 0) return bfi_onnx_fail(im, BF_STATUS_PARSE, "input 1 is missing");
    BFI_TRY(resolve_shape(im, &from, allow_zero != 0, &to));
    return set_reshaped(im, &to);
}

/* Axes from the attribute (older opsets) or from input 1; *|count| is -1 when not given. */
static bf_status read_axes(bfi_import *im, int64_t *axes, int *count) {
    BFI_TRY(bfi_onnx_ints(im, "axes", axes, BFI_MAX_RANK, count));
    if (*count < 0) BFI_TRY(bfi_onnx_input_ints(im, 1, "axes", axes, BFI_MAX_RANK, count));
    return BF_STATUS_OK;
}

/* Marks axes of a tensor of |rank|; twice the same axis is an error. */
static bf_status mark_axes(bfi_import *im, const int64_t *axes, int count, int rank, bool *marked) {
    for (int i = 0; i < count; i++) {
        int axis;
        BFI_TRY(bfi_onnx_axis(im, axes[i], rank, &axis));
        if (marked[axis])
            return bfi_onnx_fail(im, BF_STATUS_PARSE, "axis %d is listed twice", axis);
        marked[axis] = true;
    }
    return BF_STATUS_OK;
}

bf_status bfi_onnx_squeeze(bfi_import *im) {
    bfi_shape from, to = {0};
    int64_t axes[BFI_MAX_RANK];
    bool marked[BFI_MAX_RANK] = {false};
    int count;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(read_axes(im, axes, &count));
    BFI_TRY(mark_axes(im, axes, count, from.rank, marked));
    for (int i = 0; i < from.rank; i++) {
        bool drop = count < 0 ? from.dim[i] == 1 : marked[i];
        if (drop && from.dim[i] != 1)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "axis %d has length %" PRId64 ", not 1", i,
                                 from.dim[i]);
        if (!drop) to.dim[to.rank++] = from.dim[i];
    }
    return set_reshaped(im, &to);
}

bf_status bfi_onnx_unsqueeze(bfi_import *im) {
    bfi_shape from, to = {0};
    int64_t axes[BFI_MAX_RANK];
    bool marked[BFI_MAX_RANK] = {false};
    int count, next = 0;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(read_axes(im, axes, &count));
    if (count < 0) return bfi_onnx_fail(im, BF_STATUS_PARSE, "axes are missing");
    to.rank = from.rank + count;
    if (to.rank > BFI_MAX_RANK)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "the output has more than 8 dimensions");
    BFI_TRY(mark_axes(im, axes, count, to.rank, marked));
    for (int i = 0; i < to.rank; i++) to.dim[i] = marked[i] ? 1 : from.dim[next++];
    return set_reshaped(im, &to);
}

bf_status bfi_onnx_transpose(bfi_import *im) {
    bfi_shape shape;
    const bfi_tensor *constant;
    int64_t perm[BFI_MAX_RANK];
    bool marked[BFI_MAX_RANK] = {false};
    int count, x;
    BFI_TRY(bfi_onnx_shape(im, 0, &shape));
    BFI_TRY(bfi_onnx_ints(im, "perm", perm, BFI_MAX_RANK, &count));
    for (int i = 0; count < 0 && i < shape.rank; i++) perm[i] = shape.rank - 1 - i;
    if (count >= 0 && count != shape.rank)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "perm has %d entries for a tensor of rank %d",
                             count, shape.rank);
    for (int i = 0; i < shape.rank; i++)
        if (perm[i] < 0) return bfi_onnx_fail(im, BF_STATUS_PARSE, "perm has a negative entry");
    BFI_TRY(mark_axes(im, perm, shape.rank, shape.rank, marked));
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) return bfi_onnx_set_constant(im, 0, bfi_tensor_transpose(constant, perm));
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit_transpose(im, x, perm, &x));
    return bfi_onnx_set_id(im, 0, x);
}

/* ---- concat ---- */

static bf_status concat_shape(bfi_import *im, int axis, bfi_shape *shape) {
    for (size_t i = 0; i < im->node->n_input; i++) {
        bfi_shape part;
        BFI_TRY(bfi_onnx_shape(im, i, &part));
        if (i == 0) {
            *shape = part;
            continue;
        }
        int64_t length = shape->dim[axis];
        if (part.rank == shape->rank && !__builtin_add_overflow(length, part.dim[axis], &length)) {
            part.dim[axis] = shape->dim[axis];
            if (bfi_shape_equal(&part, shape)) {
                shape->dim[axis] = length;
                continue;
            }
        }
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "input %zu does not fit the others", i);
    }
    return BF_STATUS_OK;
}

/* Writes |part| into |y| from position |at| along |axis|. */
static void paste(bfi_tensor *y, const bfi_tensor *part, int axis, int64_t at) {
    int64_t outer = 1, inner = 1, length = part->shape.dim[axis];
    for (int i = 0; i < axis; i++) outer *= y->shape.dim[i];
    for (int i = axis + 1; i < y->shape.rank; i++) inner *= y->shape.dim[i];
    for (int64_t o = 0; o < outer; o++) {
        int64_t to = (o * y->shape.dim[axis] + at) * inner, from = o * length * inner;
        size_t bytes = (size_t)(length * inner) * sizeof(double);
        if (y->real)
            memcpy(y->real + to, part->real + from, bytes);
        else
            memcpy(y->integer + to, part->integer + from, bytes);
    }
}

static bf_status concat_constants(bfi_import *im, int axis, const bfi_shape *shape) {
    const bfi_tensor *part;
    int64_t at = 0;
    BFI_TRY(bfi_onnx_constant(im, 0, &part));
    BFI_TRY(bfi_onnx_check_size(im, bfi_shape_count(shape, BFI_FOLD_MAX_COUNT)));
    bfi_tensor *y = bfi_tensor_new(part->dtype, shape, BFI_FOLD_MAX_COUNT);
    bf_status st = y ? BF_STATUS_OK : bfi_onnx_no_memory(im);
    for (size_t i = 0; i < im->node->n_input && st == BF_STATUS_OK; i++) {
        st = bfi_onnx_constant(im, i, &part);
        if (st == BF_STATUS_OK && part->dtype != y->dtype)
            st = bfi_onnx_fail(im, BF_STATUS_PARSE, "inputs are not of one type");
        if (st != BF_STATUS_OK) break;
        paste(y, part, axis, at);
        at += part->shape.dim[axis];
    }
    if (st == BF_STATUS_OK) return bfi_onnx_set_constant(im, 0, y);
    bfi_tensor_free(y);
    return st;
}

/* Inputs without elements are left out. */
static bf_status concat_values(bfi_import *im, int axis, const bfi_shape *shape) {
    int *ids = bfi_calloc(im->node->n_input, sizeof *ids), n = 0, id;
    bf_status st = ids && im->node->n_input < INT32_MAX ? BF_STATUS_OK : bfi_onnx_no_memory(im);
    for (size_t i = 0; i < im->node->n_input && st == BF_STATUS_OK; i++) {
        bfi_shape part;
        st = bfi_onnx_shape(im, i, &part);
        if (st == BF_STATUS_OK && part.dim[axis] > 0) st = bfi_onnx_dynamic(im, i, &ids[n++]);
    }
    if (st == BF_STATUS_OK) st = bfi_onnx_emit(im, BFI_OP_CONCAT, ids, n, shape, &id);
    if (st == BF_STATUS_OK) im->graph->nodes[id].attrs.axis = axis;
    if (st == BF_STATUS_OK) st = bfi_onnx_set_id(im, 0, id);
    free(ids);
    return st;
}

bf_status bfi_onnx_concat(bfi_import *im) {
    bfi_shape shape;
    int64_t given;
    int axis;
    BFI_TRY(bfi_onnx_shape(im, 0, &shape));
    BFI_TRY(bfi_onnx_int(im, "axis", 1, &given));
    BFI_TRY(bfi_onnx_axis(im, given, shape.rank, &axis));
    BFI_TRY(concat_shape(im, axis, &shape));
    for (size_t i = 0; i < im->node->n_input; i++) {
        const bfi_tensor *part;
        BFI_TRY(bfi_onnx_constant(im, i, &part));
        if (!part) return concat_values(im, axis, &shape);
    }
    return concat_constants(im, axis, &shape);
}

/* ---- slice and split ---- */

typedef struct slice_spec {
    bfi_shape shape; /* of the output */
    int64_t start[BFI_MAX_RANK], step[BFI_MAX_RANK];
} slice_spec;

static void slice_everything(const bfi_shape *from, slice_spec *s) {
    *s = (slice_spec){.shape = *from};
    for (int i = 0; i < from->rank; i++) s->step[i] = 1;
}

/* Output |i| := the part of input 0. */
static bf_status set_slice(bfi_import *im, size_t i, const slice_spec *s) {
    const bfi_tensor *constant;
    int x, id;
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) {
        int64_t stride[BFI_MAX_RANK], offset = 0;
        bfi_shape_strides(&constant->shape, stride);
        for (int k = 0; k < s->shape.rank; k++) {
            offset += s->start[k] * stride[k];
            stride[k] *= s->step[k];
        }
        return bfi_onnx_set_constant(im, i, bfi_tensor_view(constant, &s->shape, offset, stride));
    }
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_SLICE, &x, 1, &s->shape, &id));
    memcpy(im->graph->nodes[id].attrs.start, s->start, sizeof s->start);
    memcpy(im->graph->nodes[id].attrs.step, s->step, sizeof s->step);
    return bfi_onnx_set_id(im, i, id);
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi) { return v < lo ? lo : v > hi ? hi : v; }

/* One axis of length |n|, with the rules of numpy: negative counts from the end, then clamped. */
static void slice_axis(int64_t n, int64_t start, int64_t end, int64_t step, slice_spec *s,
                       int axis) {
    int64_t length = 0;
    if (start < 0) start = start < -n ? -1 : start + n;
    if (end < 0) end = end < -n ? -1 : end + n;
    if (step > 0) {
        start = clamp(start, 0, n);
        end = clamp(end, 0, n);
        step = clamp(step, 1, n > 0 ? n : 1);
        if (end > start) length = (end - start - 1) / step + 1;
    } else {
        start = clamp(start, -1, n - 1);
        end = clamp(end, -1, n - 1);
        step = clamp(step, n > 0 ? -n : -1, -1);
        if (start > end) length = (start - end - 1) / -step + 1;
    }
    s->start[axis] = length > 0 ? start : 0;
    s->step[axis] = step;
    s->shape.dim[axis] = length;
}

bf_status bfi_onnx_slice(bfi_import *im) {
    int64_t starts[BFI_MAX_RANK], ends[BFI_MAX_RANK], axes[BFI_MAX_RANK], steps[BFI_MAX_RANK];
    int n_starts, n_ends, n_axes, n_steps = -1;
    bool marked[BFI_MAX_RANK] = {false};
    bfi_shape from;
    slice_spec s;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(bfi_onnx_ints(im, "starts", starts, BFI_MAX_RANK, &n_starts));
    BFI_TRY(bfi_onnx_ints(im, "ends", ends, BFI_MAX_RANK, &n_ends));
    BFI_TRY(bfi_onnx_ints(im, "axes", axes, BFI_MAX_RANK, &n_axes));
    if (n_starts < 0) {
        BFI_TRY(bfi_onnx_input_ints(im, 1, "starts", starts, BFI_MAX_RANK, &n_starts));
        BFI_TRY(bfi_onnx_input_ints(im, 2, "ends", ends, BFI_MAX_RANK, &n_ends));
        BFI_TRY(bfi_onnx_input_ints(im, 3, "axes", axes, BFI_MAX_RANK, &n_axes));
        BFI_TRY(bfi_onnx_input_ints(im, 4, "steps", steps, BFI_MAX_RANK, &n_steps));
    }
    if (n_starts < 0 || n_starts > from.rank || n_ends != n_starts ||
        (n_axes >= 0 && n_axes != n_starts) || (n_steps >= 0 && n_steps != n_starts))
        return bfi_onnx_fail(im, BF_STATUS_SHAPE,
                             "starts, ends, axes and steps do not fit each other");
    for (int i = 0; n_axes < 0 && i < n_starts; i++) axes[i] = i;
    BFI_TRY(mark_axes(im, axes, n_starts, from.rank, marked));
    slice_everything(&from, &s);
    for (int i = 0; i < n_starts; i++) {
        int axis = (int)(axes[i] < 0 ? axes[i] + from.rank : axes[i]);
        int64_t step = n_steps < 0 ? 1 : steps[i];
        if (step == 0) return bfi_onnx_fail(im, BF_STATUS_PARSE, "a step is 0");
        slice_axis(from.dim[axis], starts[i], ends[i], step, &s, axis);
    }
    return set_slice(im, 0, &s);
}

/* Lengths from the attribute, from input 1, or equal parts (the last one shorter from opset 18 on).
 */
static bf_status split_length(bfi_import *im, const bfi_tensor *given, int64_t n, size_t i,
                              int64_t *out) {
    const Onnx__AttributeProto *attribute = bfi_onnx_attribute(im, "split");
    size_t parts = im->node->n_output;
    if (attribute) {
        if (attribute->n_ints != parts)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "split has not one length per output");
        *out = attribute->ints[i];
    } else if (given) {
        if (!given->integer || given->shape.rank != 1 || (size_t)given->count != parts)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "split has not one length per output");
        *out = given->integer[i];
    } else {
        int64_t each = (n + (int64_t)parts - 1) / (int64_t)parts;
        if (each * (int64_t)parts != n && im->opset < 18)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the axis cannot be split into equal parts");
        *out = clamp(n - (int64_t)i * each, 0, each);
    }
    return BF_STATUS_OK;
}

bf_status bfi_onnx_split(bfi_import *im) {
    bfi_shape from;
    int64_t given_axis, length = 0, at = 0;
    const bfi_tensor *given = NULL;
    int axis;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(bfi_onnx_int(im, "axis", 0, &given_axis));
    BFI_TRY(bfi_onnx_axis(im, given_axis, from.rank, &axis));
    if (bfi_onnx_has_input(im, 1)) BFI_TRY(bfi_onnx_need_constant(im, 1, "split", &given));
    for (size_t i = 0; i < im->node->n_output; i++) {
        slice_spec s;
        slice_everything(&from, &s);
        BFI_TRY(split_length(im, given, from.dim[axis], i, &length));
        if (length < 0 || length > from.dim[axis] - at)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the parts do not add up to the axis");
        s.start[axis] = at;
        s.shape.dim[axis] = length;
        at += length;
        if (bfi_onnx_has_output(im, i)) BFI_TRY(set_slice(im, i, &s));
    }
    if (at == from.dim[axis]) return BF_STATUS_OK;
    return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the parts do not add up to the axis");
}

/* ---- gather ---- */

static bf_status gather_constant(bfi_import *im, const bfi_tensor *x, int axis,
                                 const bfi_shape *shape, const int64_t *indices, int64_t n) {
    int64_t outer = 1, inner = 1, out = 0, length = x->shape.dim[axis];
    int64_t count = bfi_shape_count(shape, BFI_FOLD_MAX_COUNT);
    BFI_TRY(bfi_onnx_check_size(im, count));
    for (int i = 0; i < axis; i++) outer *= x->shape.dim[i];
    for (int i = axis + 1; i < x->shape.rank; i++) inner *= x->shape.dim[i];
    int64_t *source = bfi_malloc((size_t)count, sizeof *source);
    if (!source) return bfi_onnx_no_memory(im);
    for (int64_t o = 0; o < outer && count > 0; o++)
        for (int64_t k = 0; k < n; k++)
            for (int64_t i = 0; i < inner; i++)
                source[out++] = (o * length + indices[k]) * inner + i;
    bfi_tensor *y = bfi_tensor_select(x, shape, source);
    free(source);
    return bfi_onnx_set_constant(im, 0, y);
}

/* |indices| becomes the node's. */
static bf_status gather_value(bfi_import *im, int axis, const bfi_shape *shape,
                              const bfi_tensor *at, int64_t **indices) {
    int x, id;
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_GATHER, &x, 1, shape, &id));
    bfi_node *node = &im->graph->nodes[id];
    node->attrs.axis = axis;
    node->indices = *indices;
    node->n_indices = at->count;
    node->indices_shape = at->shape;
    *indices = NULL;
    return bfi_onnx_set_id(im, 0, id);
}

static bf_status gather_indices(bfi_import *im, const bfi_tensor *at, int64_t length,
                                int64_t **out) {
    int64_t *indices = bfi_malloc((size_t)at->count, sizeof *indices);
    if (!indices) return bfi_onnx_no_memory(im);
    *out = indices;
    for (int64_t i = 0; i < at->count; i++) {
        int64_t index = at->integer[i];
        if (index < -length || index >= length)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE,
                                 "index %" PRId64 " is outside an axis of length %" PRId64, index,
                                 length);
        indices[i] = index < 0 ? index + length : index;
    }
    return BF_STATUS_OK;
}

bf_status bfi_onnx_gather(bfi_import *im) {
    const bfi_tensor *at, *constant;
    bfi_shape from = {0}, shape = {0};
    int64_t given, *indices = NULL;
    int axis = 0;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(bfi_onnx_int(im, "axis", 0, &given));
    BFI_TRY(bfi_onnx_axis(im, given, from.rank, &axis));
    BFI_TRY(bfi_onnx_need_constant(im, 1, "indices", &at));
    if (!at->integer) return bfi_onnx_fail(im, BF_STATUS_PARSE, "indices are no integers");
    if (from.rank - 1 + at->shape.rank > BFI_MAX_RANK)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "the output has more than 8 dimensions");
    for (int i = 0; i < axis; i++) shape.dim[shape.rank++] = from.dim[i];
    for (int i = 0; i < at->shape.rank; i++) shape.dim[shape.rank++] = at->shape.dim[i];
    for (int i = axis + 1; i < from.rank; i++) shape.dim[shape.rank++] = from.dim[i];
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    bf_status st = gather_indices(im, at, from.dim[axis], &indices);
    if (st == BF_STATUS_OK)
        st = constant ? gather_constant(im, constant, axis, &shape, indices, at->count)
                      : gather_value(im, axis, &shape, at, &indices);
    free(indices);
    return st;
}

/* ---- pad and expand ---- */

/* |pads| for the listed axes (all when axes are absent) into before and after. */
static bf_status read_pads(bfi_import *im, int rank, int64_t *before, int64_t *after) {
    int64_t pads[2 * BFI_MAX_RANK], axes[BFI_MAX_RANK];
    bool marked[BFI_MAX_RANK] = {false};
    int n, n_axes;
    BFI_TRY(bfi_onnx_ints(im, "pads", pads, 2 * BFI_MAX_RANK, &n));
    if (n < 0) BFI_TRY(bfi_onnx_input_ints(im, 1, "pads", pads, 2 * BFI_MAX_RANK, &n));
    BFI_TRY(bfi_onnx_input_ints(im, 3, "axes", axes, BFI_MAX_RANK, &n_axes));
    for (int i = 0; n_axes < 0 && i < rank; i++) axes[i] = i;
    if (n_axes < 0) n_axes = rank;
    if (n != 2 * n_axes || n_axes > rank)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "pads do not fit a tensor of rank %d", rank);
    BFI_TRY(mark_axes(im, axes, n_axes, rank, marked));
    for (int i = 0; i < n_axes; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
        before[axis] = pads[i];
        after[axis] = pads[n_axes + i];
    }
    return BF_STATUS_OK;
}

static bf_status pad_fill(bfi_import *im, double *value) {
    const bfi_tensor *fill;
    BFI_TRY(bfi_onnx_float(im, "value", 0, value));
    if (!bfi_onnx_has_input(im, 2)) return BF_STATUS_OK;
    BFI_TRY(bfi_onnx_need_constant(im, 2, "the fill value", &fill));
    if (fill->count != 1)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the fill value must be one number");
    *value = bfi_tensor_value(fill, 0);
    return BF_STATUS_OK;
}

bf_status bfi_onnx_pad(bfi_import *im) {
    bfi_shape from, to;
    int64_t before[BFI_MAX_RANK] = {0}, after[BFI_MAX_RANK] = {0};
    double value;
    int x, id;
    bool nothing = true;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(read_pads(im, from.rank, before, after));
    BFI_TRY(pad_fill(im, &value));
    to = from;
    for (int i = 0; i < from.rank; i++) {
        nothing = nothing && before[i] == 0 && after[i] == 0;
        if (__builtin_add_overflow(to.dim[i], before[i], &to.dim[i]) ||
            __builtin_add_overflow(to.dim[i], after[i], &to.dim[i]) || to.dim[i] < 0)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the pads of axis %d leave no valid length",
                                 i);
    }
    if (nothing) return set_reshaped(im, &from);
    if (!bfi_onnx_string_is(im, "mode", "constant", "constant"))
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "only mode 'constant' can be imported");
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_PAD, &x, 1, &to, &id));
    memcpy(im->graph->nodes[id].attrs.start, before, sizeof before);
    im->graph->nodes[id].attrs.value = value;
    return bfi_onnx_set_id(im, 0, id);
}

bf_status bfi_onnx_expand(bfi_import *im) {
    bfi_shape from, want = {0}, to;
    const bfi_tensor *constant;
    int x;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(bfi_onnx_input_ints(im, 1, "the shape", want.dim, BFI_MAX_RANK, &want.rank));
    if (want.rank < 0) return bfi_onnx_fail(im, BF_STATUS_PARSE, "input 1 is missing");
    for (int i = 0; i < want.rank; i++)
        if (want.dim[i] < 0) return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the shape is negative");
    if (!bfi_broadcast_shapes(&from, &want, &to))
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the input does not broadcast to the shape");
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) {
        BFI_TRY(bfi_onnx_check_size(im, bfi_shape_count(&to, BFI_FOLD_MAX_COUNT)));
        return bfi_onnx_set_constant(im, 0, bfi_tensor_expand(constant, &to));
    }
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit_broadcast(im, x, &to, &x));
    return bfi_onnx_set_id(im, 0, x);
}

/* ---- reductions ---- */

static bf_status set_reduced(bfi_import *im, const bool *reduce, const bfi_shape *kept,
                             const bfi_shape *to) {
    static const char *const names[] = {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin",
                                        "ReduceProd"};
    int kind = 0, x, id;
    const bfi_tensor *constant;
    while (strcmp(names[kind], im->node->op_type) != 0) kind++;
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) {
        bfi_tensor *y = NULL;
        bf_status st = bfi_fold_reduce((bfi_fold_reduction)kind, constant, reduce, &y, im->err);
        if (st != BF_STATUS_OK) return bfi_onnx_fail_here(im, st);
        y->shape = *to;
        return bfi_onnx_set_constant(im, 0, y);
    }
    if (kind > BFI_REDUCE_MEAN)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "can be imported for constants only");
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit(im, kind == BFI_REDUCE_SUM ? BFI_OP_REDUCE_SUM : BFI_OP_REDUCE_MEAN, &x,
                          1, kept, &id));
    memcpy(im->graph->nodes[id].attrs.reduce, reduce, BFI_MAX_RANK * sizeof *reduce);
    BFI_TRY(bfi_onnx_emit_reshape(im, id, to, &id));
    return bfi_onnx_set_id(im, 0, id);
}

bf_status bfi_onnx_reduce(bfi_import *im) {
    bfi_shape from, kept, to = {0};
    int64_t axes[BFI_MAX_RANK], keep, noop;
    bool reduce[BFI_MAX_RANK] = {false};
    int count;
    BFI_TRY(bfi_onnx_shape(im, 0, &from));
    BFI_TRY(bfi_onnx_int(im, "keepdims", 1, &keep));
    BFI_TRY(bfi_onnx_int(im, "noop_with_empty_axes", 0, &noop));
    BFI_TRY(read_axes(im, axes, &count));
    if (count <= 0 && noop) return bfi_onnx_identity(im);
    BFI_TRY(mark_axes(im, axes, count, from.rank, reduce));
    kept = from;
    for (int i = 0; i < from.rank; i++) {
        reduce[i] = reduce[i] || count <= 0;
        if (reduce[i]) kept.dim[i] = 1;
        if (keep || !reduce[i]) to.dim[to.rank++] = kept.dim[i];
    }
    return set_reduced(im, reduce, &kept, &to);
}
