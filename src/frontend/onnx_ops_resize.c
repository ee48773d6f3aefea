/* Upsample and Resize by the nearest neighbour: the source of every output element, once and for
 * all. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

typedef enum coordinate_mode {
    HALF_PIXEL,
    PYTORCH_HALF_PIXEL,
    ALIGN_CORNERS,
    ASYMMETRIC,
    HALF_PIXEL_SYMMETRIC
} coordinate_mode;
/* SIMPLE is what runtimes do for the opsets without the attribute: floor, but ceil when shrinking.
 */
typedef enum nearest_mode {
    ROUND_PREFER_FLOOR,
    ROUND_PREFER_CEIL,
    FLOOR,
    CEIL,
    SIMPLE
} nearest_mode;

typedef struct resize_spec {
    bfi_shape from, to;
    double scale[BFI_MAX_RANK];
    coordinate_mode coordinates;
    nearest_mode nearest;
} resize_spec;

/* Position in x that output index |o| of an axis falls on (formulas of the ONNX operator "Resize"),
 * in float32 like the runtimes: positions on the edge between two neighbours depend on it. */
static float source_position(const resize_spec *s, int axis, int64_t o) {
    float scale = (float)s->scale[axis], in = (float)s->from.dim[axis],
          out = (float)s->to.dim[axis];
    float at = (float)o;
    switch (s->coordinates) {
        case HALF_PIXEL:
            return (at + 0.5f) / scale - 0.5f;
        case PYTORCH_HALF_PIXEL:
            return s->to.dim[axis] > 1 ? (at + 0.5f) / scale - 0.5f : 0;
        case ALIGN_CORNERS:
            return s->to.dim[axis] > 1 ? at * (in - 1) / (out - 1) : 0;
        case ASYMMETRIC:
            return at / scale;
        default: {
            float adjustment = out / (scale * in), centre = in / 2;
            return centre * (1 - adjustment) + (at + 0.5f) / scale - 0.5f;
        }
    }
}

static int64_t source_index(const resize_spec *s, int axis, int64_t o) {
    double at = (double)source_position(s, axis, o), chosen;
    int64_t last = s->from.dim[axis] - 1;
    if (s->to.dim[axis] == s->from.dim[axis] && s->scale[axis] == 1) return o;
    switch (s->nearest) {
        case ROUND_PREFER_FLOOR:
            chosen = ceil(at - 0.5);
            break;
        case ROUND_PREFER_CEIL:
            chosen = floor(at + 0.5);
            break;
        case FLOOR:
            chosen = floor(at);
            break;
        case SIMPLE:
            chosen = s->scale[axis] < 1 ? ceil(at) : floor(at);
            break;
        default:
            chosen = ceil(at);
            break;
    }
    return chosen <= 0 ? 0 : chosen >= (double)last ? last : (int64_t)chosen;
}

/* Flat source index per output element, from the innermost axis outwards; free() it. */
static bf_status source_indices(bfi_import *im, const resize_spec *s, int64_t **out) {
    int64_t count = bfi_shape_count(&s->to, BFI_MAX_COUNT), block = 1, stride = 1;
    BFI_TRY(bfi_onnx_check_size(im, count));
    BFI_TRY(bfi_onnx_spend(im, count));
    int64_t *indices = bfi_calloc((size_t)count, sizeof *indices);
    if (!indices) return bfi_onnx_no_memory(im);
    for (int axis = s->to.rank - 1; axis >= 0; axis--) {
        /* The first block holds the inner axes; it is changed last. */
        for (int64_t o = s->to.dim[axis] - 1; o >= 0; o--) {
            int64_t from = stride * source_index(s, axis, o);
            for (int64_t i = 0; i < block; i++) indices[o * block + i] = indices[i] + from;
        }
        block *= s->to.dim[axis];
        stride *= s->from.dim[axis];
    }
    *out = indices;
    return BF_STATUS_OK;
}

static bf_status set_resized(bfi_import *im, const resize_spec *s) {
    const bfi_tensor *constant;
    int64_t *indices = NULL;
    int x, id;
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    BFI_TRY(source_indices(im, s, &indices));
    if (constant) {
        bfi_tensor *y = bfi_tensor_select(constant, &s->to, indices);
        free(indices);
        return bfi_onnx_set_constant(im, 0, y);
    }
    bf_status st = bfi_onnx_dynamic(im, 0, &x);
    if (st == BF_STATUS_OK) st = bfi_onnx_emit(im, BFI_OP_RESIZE, &x, 1, &s->to, &id);
    if (st != BF_STATUS_OK) {
        free(indices);
        return st;
    }
    bfi_node *node = &im->graph->nodes[id];
    node->indices = indices;
    node->n_indices = node->count;
    node->indices_shape = node->shape;
    return bfi_onnx_set_id(im, 0, id);
}

/* Output length floor(in * scale) of every axis. */
static bf_status scale_shape(bfi_import *im, resize_spec *s) {
    s->to = s->from;
    for (int i = 0; i < s->from.rank; i++) {
        double length = floor((double)s->from.dim[i] * s->scale[i]);
        if (!(s->scale[i] > 0) || !(length >= 1) || length > (double)BFI_MAX_COUNT)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the scale of axis %d gives no valid length",
                                 i);
        s->to.dim[i] = (int64_t)length;
    }
    return BF_STATUS_OK;
}

/* Scales for the listed axes (NULL: all) from a constant. */
static bf_status read_scales(bfi_import *im, const bfi_tensor *scales, const int64_t *axes, int n,
                             resize_spec *s) {
    if (!scales->real || scales->shape.rank != 1 || scales->count != n)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "scales do not fit the input's rank");
    for (int i = 0; i < n; i++) {
        int axis;
        BFI_TRY(bfi_onnx_axis(im, axes ? axes[i] : i, s->from.rank, &axis));
        s->scale[axis] = scales->real[i];
    }
    return scale_shape(im, s);
}

static bf_status start(bfi_import *im, resize_spec *s) {
    BFI_TRY(bfi_onnx_shape(im, 0, &s->from));
    for (int i = 0; i < BFI_MAX_RANK; i++) s->scale[i] = 1;
    for (int i = 0; i < s->from.rank; i++)
        if (s->from.dim[i] == 0)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the input has no elements");
    if (bfi_onnx_string_is(im, "mode", "nearest", "nearest")) return BF_STATUS_OK;
    return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "only mode 'nearest' can be imported");
}

bf_status bfi_onnx_upsample(bfi_import *im) {
    const Onnx__AttributeProto *attribute = bfi_onnx_attribute(im, "scales");
    const bfi_tensor *scales;
    resize_spec s = {.coordinates = ASYMMETRIC, .nearest = SIMPLE};
    BFI_TRY(start(im, &s));
    if (!attribute) {
        BFI_TRY(bfi_onnx_need_constant(im, 1, "scales", &scales));
        BFI_TRY(read_scales(im, scales, NULL, s.from.rank, &s));
        return set_resized(im, &s);
    }
    if (attribute->n_floats != (size_t)s.from.rank)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "scales do not fit the input's rank");
    for (int i = 0; i < s.from.rank; i++) s.scale[i] = (double)attribute->floats[i];
    BFI_TRY(scale_shape(im, &s));
    return set_resized(im, &s);
}

static bf_status read_modes(bfi_import *im, resize_spec *s) {
    static const char *const coordinates[] = {"half_pixel", "pytorch_half_pixel", "align_corners",
                                              "asymmetric", "half_pixel_symmetric"};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor",
                                          "ceil"};
    int found = 0;
    /* Opset 10 has neither attribute and works like Upsample. */
    if (im->opset < 11) {
        s->coordinates = ASYMMETRIC;
        s->nearest = SIMPLE;
        return BF_STATUS_OK;
    }
    for (int i = 0; i < 5; i++)
        if (bfi_onnx_string_is(im, "coordinate_transformation_mode", "half_pixel",
                               coordinates[i])) {
            s->coordinates = (coordinate_mode)i;
            found |= 1;
        }
    for (int i = 0; i < 4; i++)
        if (bfi_onnx_string_is(im, "nearest_mode", "round_prefer_floor", nearest[i])) {
            s->nearest = (nearest_mode)i;
            found |= 2;
        }
    if (found == 3 && bfi_onnx_string_is(im, "keep_aspect_ratio_policy", "stretch", "stretch"))
        return BF_STATUS_OK;
    return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                         "this coordinate, nearest or aspect mode cannot be imported");
}

static bf_status read_sizes(bfi_import *im, size_t input, const int64_t *axes, int n,
                            resize_spec *s) {
    int64_t sizes[BFI_MAX_RANK];
    int count;
    BFI_TRY(bfi_onnx_input_ints(im, input, "sizes", sizes, BFI_MAX_RANK, &count));
    if (count != n) return bfi_onnx_fail(im, BF_STATUS_SHAPE, "sizes do not fit the input's rank");
    s->to = s->from;
    for (int i = 0; i < n; i++) {
        int axis;
        BFI_TRY(bfi_onnx_axis(im, axes ? axes[i] : i, s->from.rank, &axis));
        if (sizes[i] < 1 || sizes[i] > BFI_MAX_COUNT)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the size of axis %d is not valid", axis);
        s->to.dim[axis] = sizes[i];
        /* As runtimes do: the scale is a float32. */
        s->scale[axis] = (double)((float)sizes[i] / (float)s->from.dim[axis]);
    }
    return BF_STATUS_OK;
}

/* Opset 10: x, scales. From 11 on: x, roi, scales, sizes, the last two as alternatives. */
bf_status bfi_onnx_resize(bfi_import *im) {
    size_t at = im->opset < 11 ? 1 : 2;
    const bfi_tensor *scales = NULL;
    resize_spec s = {0};
    int64_t axes[BFI_MAX_RANK];
    int n_axes;
    BFI_TRY(start(im, &s));
    BFI_TRY(read_modes(im, &s));
    BFI_TRY(bfi_onnx_ints(im, "axes", axes, s.from.rank, &n_axes));
    int n = n_axes < 0 ? s.from.rank : n_axes;
    if (bfi_onnx_has_input(im, at)) BFI_TRY(bfi_onnx_need_constant(im, at, "scales", &scales));
    if (scales && scales->count > 0)
        BFI_TRY(read_scales(im, scales, n_axes < 0 ? NULL : axes, n, &s));
    else
        BFI_TRY(read_sizes(im, at + 1, n_axes < 0 ? NULL : axes, n, &s));
    return set_resized(im, &s);
}
