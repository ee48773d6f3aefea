/* Convolutions and pooling: window geometry by the rules of ONNX. One spatial axis is height 1. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

/* One spatial axis. */
typedef struct axis_window {
    int64_t in, out, kernel, stride, dilation, before, after;
} axis_window;

typedef struct window_spec {
    int axes; /* 1 or 2 */
    axis_window axis[2];
    bfi_shape in; /* of x */
} window_spec;

enum { GEOMETRY_LIMIT = 1 << 24 }; /* of every geometry number: sums and products stay in int64 */

static bf_status read_list(bfi_import *im, const char *name, int64_t fallback, int64_t least, int n,
                           int64_t *out) {
    int count;
    BFI_TRY(bfi_onnx_ints(im, name, out, n, &count));
    for (int i = 0; count < 0 && i < n; i++) out[i] = fallback;
    if (count >= 0 && count != n)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "attribute '%s' has %d entries, %d are needed",
                             name, count, n);
    for (int i = 0; i < n; i++)
        if (out[i] < least || out[i] > GEOMETRY_LIMIT)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "attribute '%s' is out of range", name);
    return BF_STATUS_OK;
}

/* Everything but pads and output sizes; |kernel| NULL: from the attribute. */
static bf_status read_spec(bfi_import *im, const int64_t *kernel, window_spec *s) {
    int64_t given[2], strides[2], dilations[2], pads[4];
    BFI_TRY(bfi_onnx_shape(im, 0, &s->in));
    s->axes = s->in.rank - 2;
    if (s->axes < 1 || s->axes > 2)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                             "only windows over 1 or 2 axes can be imported");
    if (s->in.dim[0] != 1)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "the batch size must be 1");
    BFI_TRY(read_list(im, "kernel_shape", 0, kernel ? 0 : 1, s->axes, given));
    BFI_TRY(read_list(im, "strides", 1, 1, s->axes, strides));
    BFI_TRY(read_list(im, "dilations", 1, 1, s->axes, dilations));
    BFI_TRY(read_list(im, "pads", 0, 0, 2 * s->axes, pads));
    for (int i = 0; i < s->axes; i++) {
        if (kernel && given[i] != 0 && given[i] != kernel[i])
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "kernel_shape and weight differ");
        s->axis[i] = (axis_window){.in = s->in.dim[2 + i],
                                   .kernel = kernel ? kernel[i] : given[i],
                                   .stride = strides[i],
                                   .dilation = dilations[i],
                                   .before = pads[i],
                                   .after = pads[s->axes + i]};
        if (s->axis[i].in > GEOMETRY_LIMIT || s->axis[i].kernel < 1 ||
            s->axis[i].kernel > GEOMETRY_LIMIT)
            return bfi_onnx_fail(im, BF_STATUS_LIMIT, "a spatial axis or the kernel is too large");
    }
    return BF_STATUS_OK;
}

static int64_t extent_of(const axis_window *a) { return (a->kernel - 1) * a->dilation + 1; }

/* Total padding |total| of one axis, the odd element behind (SAME_UPPER) or in front (SAME_LOWER).
 */
static void share_pad(axis_window *a, int64_t total, bool lower) {
    if (total < 0) total = 0;
    a->before = lower ? total - total / 2 : total / 2;
    a->after = total - a->before;
}

typedef enum auto_pad { PAD_GIVEN, PAD_VALID, PAD_UPPER, PAD_LOWER } auto_pad;

static bf_status read_auto_pad(bfi_import *im, auto_pad *mode) {
    static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
    for (int i = 0; i < 4; i++) {
        if (!bfi_onnx_string_is(im, "auto_pad", "NOTSET", names[i])) continue;
        *mode = (auto_pad)i;
        return BF_STATUS_OK;
    }
    return bfi_onnx_fail(im, BF_STATUS_PARSE, "auto_pad is not known");
}

/* Output lengths of conv and pooling. With |ceil| the last window may stick out, but starts inside.
 */
static bf_status finish_forward(bfi_import *im, bool ceil, window_spec *s) {
    auto_pad mode = PAD_GIVEN;
    BFI_TRY(read_auto_pad(im, &mode));
    for (int i = 0; i < s->axes; i++) {
        axis_window *a = &s->axis[i];
        if (mode == PAD_VALID) a->before = a->after = 0;
        if (mode >= PAD_UPPER) {
            int64_t out = (a->in + a->stride - 1) / a->stride;
            share_pad(a, (out - 1) * a->stride + extent_of(a) - a->in, mode == PAD_LOWER);
        }
        int64_t room = a->in + a->before + a->after - extent_of(a);
        if (room < 0)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the kernel is larger than the padded input");
        a->out = (ceil ? room + a->stride - 1 : room) / a->stride + 1;
        if (ceil && (a->out - 1) * a->stride >= a->in + a->before) a->out--;
    }
    return BF_STATUS_OK;
}

/* The node's window and output shape; channels are set by the caller. */
static bfi_shape fill_window(const window_spec *s, int64_t channels, bfi_window *w) {
    static const axis_window unit = {1, 1, 1, 1, 1, 0, 0};
    const axis_window *h = s->axes == 2 ? &s->axis[0] : &unit, *x = &s->axis[s->axes - 1];
    bfi_shape shape = s->in;
    *w = (bfi_window){.groups = 1, .c_in = s->in.dim[1], .c_out = channels};
    w->h_in = h->in, w->h_out = h->out, w->kh = h->kernel, w->stride_h = h->stride,
    w->dil_h = h->dilation;
    w->w_in = x->in, w->w_out = x->out, w->kw = x->kernel, w->stride_w = x->stride,
    w->dil_w = x->dilation;
    w->pad_top = h->before;
    w->pad_left = x->before;
    shape.dim[1] = channels;
    for (int i = 0; i < s->axes; i++) shape.dim[2 + i] = s->axis[i].out;
    return shape;
}

/* ---- convolutions ---- */

static bf_status copy_numbers(bfi_import *im, const bfi_tensor *from, bfi_numbers *to) {
    BFI_TRY(bfi_onnx_spend(im, from->count));
    to->data = bfi_malloc((size_t)from->count, sizeof *to->data);
    if (!to->data) return bfi_onnx_no_memory(im);
    memcpy(to->data, from->real, (size_t)from->count * sizeof *to->data);
    to->count = from->count;
    return BF_STATUS_OK;
}

static bf_status read_weight(bfi_import *im, const bfi_tensor **weight, int64_t *groups) {
    BFI_TRY(bfi_onnx_need_constant(im, 1, "the weight", weight));
    BFI_TRY(bfi_onnx_int(im, "group", 1, groups));
    if (!(*weight)->real || (*weight)->count == 0 || (*weight)->shape.rank < 3)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE,
                             "the weight is no tensor of real numbers of rank 3 or 4");
    if (*groups < 1 || *groups > GEOMETRY_LIMIT)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "group is out of range");
    return BF_STATUS_OK;
}

static bf_status emit_conv(bfi_import *im, bfi_op op, const window_spec *s,
                           const bfi_tensor *weight, int64_t groups, int64_t channels) {
    bfi_window window;
    const bfi_tensor *bias = NULL;
    int x, id;
    bfi_shape shape = fill_window(s, channels, &window);
    window.groups = groups;
    if (bfi_onnx_has_input(im, 2)) BFI_TRY(bfi_onnx_need_constant(im, 2, "the bias", &bias));
    if (bias && (!bias->real || bias->count != channels))
        return bfi_onnx_fail(im, BF_STATUS_SHAPE,
                             "the bias has not one real number per output channel");
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit(im, op, &x, 1, &shape, &id));
    bfi_node *node = &im->graph->nodes[id];
    node->attrs.window = window;
    BFI_TRY(copy_numbers(im, weight, &node->weight));
    if (bias) BFI_TRY(copy_numbers(im, bias, &node->bias));
    return bfi_onnx_set_id(im, 0, id);
}

static bf_status check_channels(bfi_import *im, const window_spec *s, const bfi_tensor *weight,
                                int64_t groups, int64_t want, int64_t divided) {
    char x[128], w[128];
    if (weight->shape.rank == s->in.rank && s->in.dim[1] == want && divided % groups == 0)
        return BF_STATUS_OK;
    return bfi_onnx_fail(
        im, BF_STATUS_SHAPE, "input %s does not fit weight %s in %" PRId64 " groups",
        bfi_shape_text(&s->in, x, sizeof x), bfi_shape_text(&weight->shape, w, sizeof w), groups);
}

bf_status bfi_onnx_conv(bfi_import *im) {
    const bfi_tensor *weight;
    int64_t groups;
    window_spec s;
    BFI_TRY(read_weight(im, &weight, &groups));
    BFI_TRY(read_spec(im, weight->shape.dim + 2, &s));
    BFI_TRY(check_channels(im, &s, weight, groups, weight->shape.dim[1] * groups,
                           weight->shape.dim[0]));
    BFI_TRY(finish_forward(im, false, &s));
    return emit_conv(im, BFI_OP_CONV, &s, weight, groups, weight->shape.dim[0]);
}

/* y length = stride (x - 1) + output_padding + extent - pads; output_shape gives the pads instead.
 */
static bf_status finish_transposed(bfi_import *im, window_spec *s) {
    int64_t extra[2], want[BFI_MAX_RANK];
    int n_want;
    auto_pad mode = PAD_GIVEN;
    BFI_TRY(read_list(im, "output_padding", 0, 0, s->axes, extra));
    BFI_TRY(bfi_onnx_ints(im, "output_shape", want, BFI_MAX_RANK, &n_want));
    BFI_TRY(read_auto_pad(im, &mode));
    if (n_want >= 0 && n_want < s->axes)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "output_shape has too few entries");
    for (int i = 0; i < s->axes; i++) {
        axis_window *a = &s->axis[i];
        int64_t full = a->stride * (a->in - 1) + extra[i] + extent_of(a);
        bool given = n_want >= 0, same = mode >= PAD_UPPER;
        if (mode == PAD_VALID) a->before = a->after = 0;
        int64_t out = given ? want[n_want - s->axes + i] : a->in * a->stride;
        /* SAME_UPPER puts the smaller half in front, as the specification of ConvTranspose says. */
        if (given || same) share_pad(a, full - out, mode != PAD_UPPER);
        a->out = given || same ? out : full - a->before - a->after;
        if (a->out < 1 || a->out > GEOMETRY_LIMIT || (given && out > full))
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the output has no valid size");
    }
    return BF_STATUS_OK;
}

bf_status bfi_onnx_conv_transpose(bfi_import *im) {
    const bfi_tensor *weight;
    int64_t groups, channels;
    window_spec s;
    BFI_TRY(read_weight(im, &weight, &groups));
    BFI_TRY(read_spec(im, weight->shape.dim + 2, &s));
    BFI_TRY(check_channels(im, &s, weight, groups, weight->shape.dim[0], weight->shape.dim[0]));
    if (!bfi_mul_i64(weight->shape.dim[1], groups, &channels))
        return bfi_onnx_fail(im, BF_STATUS_LIMIT, "too many channels");
    BFI_TRY(finish_transposed(im, &s));
    return emit_conv(im, BFI_OP_CONV_TRANSPOSE, &s, weight, groups, channels);
}

/* ---- pooling ---- */

static bf_status emit_pool(bfi_import *im, bfi_op op, const window_spec *s, bool count_pad) {
    bfi_window window;
    int x, id;
    bfi_shape shape = fill_window(s, s->in.dim[1], &window);
    window.count_pad = count_pad;
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(bfi_onnx_emit(im, op, &x, 1, &shape, &id));
    im->graph->nodes[id].attrs.window = window;
    return bfi_onnx_set_id(im, 0, id);
}

static bf_status read_pool(bfi_import *im, window_spec *s) {
    int64_t ceil;
    BFI_TRY(read_spec(im, NULL, s));
    BFI_TRY(bfi_onnx_int(im, "ceil_mode", 0, &ceil));
    BFI_TRY(finish_forward(im, ceil != 0, s));
    for (int i = 0; i < s->axes; i++)
        if (s->axis[i].before >= extent_of(&s->axis[i]) ||
            s->axis[i].after >= extent_of(&s->axis[i]))
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the padding is as large as the kernel");
    return BF_STATUS_OK;
}

bf_status bfi_onnx_max_pool(bfi_import *im) {
    window_spec s;
    if (bfi_onnx_has_output(im, 1))
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "the output of indices cannot be imported");
    BFI_TRY(read_pool(im, &s));
    return emit_pool(im, BFI_OP_MAX_POOL, &s, false);
}

bf_status bfi_onnx_average_pool(bfi_import *im) {
    int64_t count_pad;
    bool padded = false;
    window_spec s;
    BFI_TRY(bfi_onnx_int(im, "count_include_pad", 0, &count_pad));
    BFI_TRY(read_pool(im, &s));
    for (int i = 0; i < s.axes; i++) {
        const axis_window *a = &s.axis[i];
        padded = padded || a->before || a->after;
        /* What lies beyond the padding is counted by nobody, which one divisor rule cannot say. */
        if (count_pad && (a->out - 1) * a->stride + extent_of(a) > a->in + a->before + a->after)
            return bfi_onnx_fail(
                im, BF_STATUS_UNSUPPORTED,
                "ceil_mode with count_include_pad and a window beyond the padding");
    }
    return emit_pool(im, BFI_OP_AVERAGE_POOL, &s, count_pad && padded);
}

bf_status bfi_onnx_global_average_pool(bfi_import *im) {
    int x, id;
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    bool reduce[BFI_MAX_RANK] = {false};
    if (shape.rank < 3) return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the input has no spatial axes");
    for (int i = 2; i < shape.rank; i++) {
        reduce[i] = true;
        shape.dim[i] = 1;
    }
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_REDUCE_MEAN, &x, 1, &shape, &id));
    memcpy(im->graph->nodes[id].attrs.reduce, reduce, sizeof reduce);
    return bfi_onnx_set_id(im, 0, id);
}

bf_status bfi_onnx_global_max_pool(bfi_import *im) {
    bfi_shape shape;
    window_spec s;
    BFI_TRY(bfi_onnx_shape(im, 0, &shape));
    if (shape.rank < 3 || shape.rank > 4)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                             "only windows over 1 or 2 axes can be imported");
    BFI_TRY(read_spec(im, shape.dim + 2, &s));
    for (int i = 0; i < s.axes; i++) s.axis[i].out = 1;
    return emit_pool(im, BFI_OP_MAX_POOL, &s, false);
}
