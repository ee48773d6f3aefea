/* bfi_graph_validate: what every later stage relies on. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "ir/graph.h"

static const int arity[] = {
#define BF_OP(NAME, text, arity, cls, meaning) arity,
#include "ir/op.def"
#undef BF_OP
};

/* One node under examination. */
typedef struct site {
    const bfi_graph *graph;
    const bfi_node *node;
    const bfi_node *x; /* first input, NULL for sources */
    bf_error *err;
} site;

static bf_status reject(const site *s, bf_status code, const char *what) {
    return bfi_fail(s->err, code, "%s%snode '%s' (%s as %s): %s", s->graph->source,
                    s->graph->source[0] ? ": " : "", s->node->name, s->node->onnx_op,
                    bfi_op_name(s->node->op), what);
}

static bf_status reject_shape(const site *s, const char *what) {
    return reject(s, BF_STATUS_SHAPE, what);
}

/* "what: x is [..], y is [..]" */
static bf_status reject_shapes(const site *s, const char *what) {
    char x[128], y[128], text[384];
    snprintf(text, sizeof text, "%s: input is %s, output is %s", what,
             bfi_shape_text(&s->x->shape, x, sizeof x),
             bfi_shape_text(&s->node->shape, y, sizeof y));
    return reject_shape(s, text);
}

/* True when all factors are positive and their product is |want|. */
static bool product_is(int64_t want, const int64_t *factors, int n) {
    int64_t product = 1;
    for (int i = 0; i < n; i++)
        if (factors[i] <= 0 || !bfi_mul_i64(product, factors[i], &product)) return false;
    return product == want;
}
#define PRODUCT_IS(want, ...)                        \
    product_is(want, (const int64_t[]){__VA_ARGS__}, \
               (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

static bf_status check_numbers(const site *s, const bfi_numbers *numbers, const char *what) {
    char text[128];
    if (numbers->count < 0 || (numbers->count > 0 && !numbers->data))
        return reject(s, BF_STATUS_INTERNAL, "numbers without data");
    for (int64_t i = 0; i < numbers->count; i++) {
        if (isfinite(numbers->data[i])) continue;
        snprintf(text, sizeof text,
                 "%s element %" PRId64 " is %s: only finite numbers can be verified", what, i,
                 isnan(numbers->data[i]) ? "NaN" : "infinite");
        return reject(s, BF_STATUS_PARSE, text);
    }
    return BF_STATUS_OK;
}

/* Bounds of the bias' error: as many as there are biases, none negative. */
static bf_status check_bias_error(const site *s) {
    const bfi_numbers *e = &s->node->bias_error;
    bf_status st = check_numbers(s, e, "bias error");
    if (st != BF_STATUS_OK || e->count == 0) return st;
    if (s->node->op == BFI_OP_CONST || e->count != s->node->bias.count)
        return reject_shape(s, "bias errors do not fit the bias");
    for (int64_t i = 0; i < e->count; i++)
        if (e->data[i] < 0) return reject(s, BF_STATUS_INTERNAL, "a bias error is negative");
    return BF_STATUS_OK;
}

static bf_status check_linear(const site *s) {
    const bfi_node *node = s->node;
    const bfi_attrs *a = &node->attrs;
    if (!PRODUCT_IS(s->x->count, a->rows, a->k) || !PRODUCT_IS(node->count, a->rows, a->n))
        return reject_shapes(s, "rows, k and n do not fit");
    if (!PRODUCT_IS(node->weight.count, a->n, a->k)) return reject_shape(s, "weight is not [n][k]");
    if (node->bias.count != 0 && node->bias.count != a->n)
        return reject_shape(s, "bias is not [n]");
    return BF_STATUS_OK;
}

static bool small(int64_t v, int64_t least) { return v >= least && v <= BFI_MAX_COUNT; }

static bf_status check_window(const site *s) {
    const bfi_window *w = &s->node->attrs.window;
    if (!small(w->kh, 1) || !small(w->kw, 1) || !small(w->stride_h, 1) || !small(w->stride_w, 1) ||
        !small(w->dil_h, 1) || !small(w->dil_w, 1))
        return reject_shape(s, "kernel, stride or dilation out of range");
    if (!small(w->pad_top, -BFI_MAX_COUNT) || !small(w->pad_left, -BFI_MAX_COUNT))
        return reject_shape(s, "padding out of range");
    if (!PRODUCT_IS(s->x->count, w->c_in, w->h_in, w->w_in) ||
        !PRODUCT_IS(s->node->count, w->c_out, w->h_out, w->w_out))
        return reject_shapes(s, "window geometry does not fit (batch must be 1)");
    /* extents (at - pad + kernel * dilation) stay far inside int64 */
    int64_t kernel;
    if (!bfi_mul_i64(w->kh, w->kw, &kernel) || kernel > BFI_MAX_COUNT)
        return reject_shape(s, "kernel too large");
    return BF_STATUS_OK;
}

static bf_status check_conv(const site *s) {
    const bfi_node *node = s->node;
    const bfi_window *w = &node->attrs.window;
    bf_status st = check_window(s);
    if (st != BF_STATUS_OK) return st;
    if (w->groups < 1 || w->c_in % w->groups || w->c_out % w->groups)
        return reject_shape(s, "channels are not divisible by groups");
    bool forward = node->op == BFI_OP_CONV;
    int64_t first = forward ? w->c_out : w->c_in, second = forward ? w->c_in : w->c_out;
    if (!PRODUCT_IS(node->weight.count, first, second / w->groups, w->kh, w->kw))
        return reject_shape(s, "weight does not fit channels, groups and kernel");
    if (node->bias.count != 0 && node->bias.count != w->c_out)
        return reject_shape(s, "bias is not [c_out]");
    return BF_STATUS_OK;
}

/* True when each of |n_out| windows along one axis holds an element of x. */
static bool windows_meet(int64_t n_out, int64_t n_in, int64_t stride, int64_t pad, int64_t k,
                         int64_t dil) {
    for (int64_t o = 0; o < n_out; o++) {
        int64_t first = o * stride - pad;
        int64_t tap = first < 0 ? (-first + dil - 1) / dil : 0;
        if (tap >= k || first + tap * dil >= n_in) return false;
    }
    return true;
}

static bf_status check_pool(const site *s) {
    const bfi_window *w = &s->node->attrs.window;
    bf_status st = check_window(s);
    if (st != BF_STATUS_OK) return st;
    if (w->c_in != w->c_out) return reject_shape(s, "pooling cannot change the number of channels");
    if (!windows_meet(w->h_out, w->h_in, w->stride_h, w->pad_top, w->kh, w->dil_h) ||
        !windows_meet(w->w_out, w->w_in, w->stride_w, w->pad_left, w->kw, w->dil_w))
        return reject_shape(s, "a pooling window lies wholly in the padding");
    return BF_STATUS_OK;
}

static bf_status check_scale_shift(const site *s) {
    const bfi_node *node = s->node;
    if (!bfi_shape_equal(&node->shape, &s->x->shape)) return reject_shapes(s, "shapes differ");
    if ((node->weight.count != 0 && node->weight.count != node->count) ||
        (node->bias.count != 0 && node->bias.count != node->count))
        return reject_shape(s, "scale or shift does not have the output's size");
    return BF_STATUS_OK;
}

/* Elementwise ops: every input has the output's shape. */
static bf_status check_elementwise(const site *s) {
    const bfi_node *node = s->node;
    for (int i = 0; i < node->n_inputs; i++)
        if (!bfi_shape_equal(&node->shape, &s->graph->nodes[node->inputs[i]].shape))
            return reject_shapes(s, "operand shapes differ");
    if (node->op == BFI_OP_LEAKY_RELU && !isfinite(node->attrs.slope))
        return reject(s, BF_STATUS_PARSE, "slope is not finite");
    if (node->op == BFI_OP_CLIP && (isnan(node->attrs.lo) || isnan(node->attrs.hi)))
        return reject(s, BF_STATUS_PARSE, "a clip bound is NaN");
    return BF_STATUS_OK;
}

static bf_status check_transpose(const site *s) {
    const bfi_shape *x = &s->x->shape, *y = &s->node->shape;
    const int64_t *perm = s->node->attrs.perm;
    unsigned seen = 0;
    char text[128];
    if (x->rank != y->rank) return reject_shapes(s, "ranks differ");
    for (int i = 0; i < y->rank; i++) {
        bool outside = perm[i] < 0 || perm[i] >= x->rank;
        if (outside || (seen >> perm[i] & 1u)) {
            snprintf(text, sizeof text,
                     "perm is not a permutation: entry %d is axis %" PRId64
                     ", %s (the input has %d)",
                     i, perm[i], outside ? "which does not exist" : "a second time", x->rank);
            return reject_shape(s, text);
        }
        seen |= 1u << perm[i];
        if (y->dim[i] != x->dim[perm[i]]) return reject_shapes(s, "shape does not follow perm");
    }
    return BF_STATUS_OK;
}

static bf_status check_concat(const site *s) {
    const bfi_node *node = s->node;
    const bfi_shape *y = &node->shape;
    int axis = node->attrs.axis;
    int64_t total = 0;
    if (node->n_inputs < 1 || axis < 0 || axis >= y->rank)
        return reject_shape(s, "axis out of range");
    for (int i = 0; i < node->n_inputs; i++) {
        bfi_shape part = s->graph->nodes[node->inputs[i]].shape;
        if (part.rank != y->rank) return reject_shape(s, "ranks differ");
        total += part.dim[axis];
        part.dim[axis] = y->dim[axis];
        if (!bfi_shape_equal(&part, y)) return reject_shape(s, "inputs differ off the axis");
    }
    return total == y->dim[axis] ? BF_STATUS_OK
                                 : reject_shape(s, "parts do not add up to the output");
}

static bf_status check_slice(const site *s) {
    const bfi_shape *x = &s->x->shape, *y = &s->node->shape;
    const bfi_attrs *a = &s->node->attrs;
    if (x->rank != y->rank) return reject_shapes(s, "ranks differ");
    for (int i = 0; i < y->rank; i++) {
        int64_t span, last;
        if (!bfi_mul_i64(y->dim[i] - 1, a->step[i], &span) ||
            __builtin_add_overflow(a->start[i], span, &last) || a->start[i] < 0 || last < 0 ||
            a->start[i] >= x->dim[i] || last >= x->dim[i])
            return reject_shapes(s, "start and step leave the input");
    }
    return BF_STATUS_OK;
}

static bf_status check_gather(const site *s) {
    const bfi_node *node = s->node;
    const bfi_shape *x = &s->x->shape, *at = &node->indices_shape;
    int axis = node->attrs.axis;
    if (axis < 0 || axis >= x->rank) return reject_shape(s, "axis out of range");
    if (at->rank < 0 || x->rank - 1 + at->rank > BFI_MAX_RANK)
        return reject_shape(s, "rank too large");
    if (!node->indices || bfi_shape_count(at, BFI_MAX_COUNT) != node->n_indices)
        return reject_shape(s, "indices do not fit their shape");
    bfi_shape want = {.rank = x->rank - 1 + at->rank};
    for (int i = 0; i < axis; i++) want.dim[i] = x->dim[i];
    for (int i = 0; i < at->rank; i++) want.dim[axis + i] = at->dim[i];
    for (int i = axis + 1; i < x->rank; i++) want.dim[i - 1 + at->rank] = x->dim[i];
    if (!bfi_shape_equal(&want, &node->shape))
        return reject_shapes(s, "shape does not follow indices");
    for (int64_t i = 0; i < node->n_indices; i++)
        if (node->indices[i] < 0 || node->indices[i] >= x->dim[axis])
            return reject_shape(s, "index out of range");
    return BF_STATUS_OK;
}

static bf_status check_resize(const site *s) {
    const bfi_node *node = s->node;
    if (!node->indices || node->n_indices != node->count)
        return reject_shape(s, "needs one source index per output element");
    for (int64_t i = 0; i < node->n_indices; i++)
        if (node->indices[i] < 0 || node->indices[i] >= s->x->count)
            return reject_shape(s, "source index out of range");
    return BF_STATUS_OK;
}

static bf_status check_pad(const site *s) {
    if (s->x->shape.rank != s->node->shape.rank) return reject_shapes(s, "ranks differ");
    for (int i = 0; i < s->node->shape.rank; i++)
        if (!small(s->node->attrs.start[i], -BFI_MAX_COUNT))
            return reject_shape(s, "padding out of range");
    if (!isfinite(s->node->attrs.value))
        return reject(s, BF_STATUS_PARSE, "fill value is not finite");
    return BF_STATUS_OK;
}

static bf_status check_expand(const site *s) {
    const bfi_shape *x = &s->x->shape, *y = &s->node->shape;
    if (x->rank > y->rank) return reject_shapes(s, "cannot broadcast");
    for (int i = 0; i < x->rank; i++) {
        int64_t from = x->dim[i];
        if (from != 1 && from != y->dim[y->rank - x->rank + i])
            return reject_shapes(s, "cannot broadcast");
    }
    return BF_STATUS_OK;
}

static bf_status check_reduce(const site *s) {
    const bfi_shape *x = &s->x->shape;
    int64_t kept = 1;
    for (int i = 0; i < x->rank; i++)
        if (!s->node->attrs.reduce[i]) kept *= x->dim[i];
    return kept == s->node->count ? BF_STATUS_OK
                                  : reject_shapes(s, "shape does not follow the axes");
}

static bf_status check_matmul(const site *s) {
    const bfi_attrs *a = &s->node->attrs;
    const bfi_node *y = &s->graph->nodes[s->node->inputs[1]];
    if (!PRODUCT_IS(s->x->count, a->batch, a->rows, a->k) ||
        !PRODUCT_IS(y->count, a->batch, a->k, a->n) ||
        !PRODUCT_IS(s->node->count, a->batch, a->rows, a->n))
        return reject_shapes(s, "batch, rows, k and n do not fit");
    return BF_STATUS_OK;
}

static bf_status check_softmax(const site *s) {
    int axis = s->node->attrs.axis;
    if (!bfi_shape_equal(&s->node->shape, &s->x->shape)) return reject_shapes(s, "shapes differ");
    return axis >= 0 && axis < s->x->shape.rank ? BF_STATUS_OK
                                                : reject_shape(s, "axis out of range");
}

static bf_status check_op(const site *s) {
    switch (s->node->op) {
        case BFI_OP_INPUT:
            return BF_STATUS_OK;
        case BFI_OP_CONST:
            return s->node->weight.count == s->node->count
                       ? BF_STATUS_OK
                       : reject_shape(s, "data do not fit the shape");
        case BFI_OP_LINEAR:
            return check_linear(s);
        case BFI_OP_CONV:
        case BFI_OP_CONV_TRANSPOSE:
            return check_conv(s);
        case BFI_OP_AVERAGE_POOL:
        case BFI_OP_MAX_POOL:
            return check_pool(s);
        case BFI_OP_SCALE_SHIFT:
            return check_scale_shift(s);
        case BFI_OP_RESHAPE:
            return s->node->count == s->x->count ? BF_STATUS_OK
                                                 : reject_shapes(s, "element counts differ");
        case BFI_OP_TRANSPOSE:
            return check_transpose(s);
        case BFI_OP_CONCAT:
            return check_concat(s);
        case BFI_OP_SLICE:
            return check_slice(s);
        case BFI_OP_GATHER:
            return check_gather(s);
        case BFI_OP_PAD:
            return check_pad(s);
        case BFI_OP_EXPAND:
            return check_expand(s);
        case BFI_OP_RESIZE:
            return check_resize(s);
        case BFI_OP_REDUCE_SUM:
        case BFI_OP_REDUCE_MEAN:
            return check_reduce(s);
        case BFI_OP_MATMUL:
            return check_matmul(s);
        case BFI_OP_SOFTMAX:
            return check_softmax(s);
        default:
            return check_elementwise(s);
    }
}

static bf_status check_node(const bfi_graph *graph, int id, bf_error *err) {
    const bfi_node *node = &graph->nodes[id];
    site s = {.graph = graph, .node = node, .err = err};
    if ((unsigned)node->op >= BFI_OP_COUNT || !node->name || !node->onnx_op)
        return bfi_fail(err, BF_STATUS_INTERNAL, "%s: node %d has no op or no name", graph->source,
                        id);
    if ((node->op == BFI_OP_INPUT) != (id == 0))
        return reject(&s, BF_STATUS_INTERNAL, "node 0, and only node 0, is the input");
    if (arity[node->op] >= 0 ? node->n_inputs != arity[node->op] : node->n_inputs < 1)
        return reject(&s, BF_STATUS_INTERNAL, "wrong number of inputs");
    for (int i = 0; i < node->n_inputs; i++)
        if (node->inputs[i] < 0 || node->inputs[i] >= id)
            return reject(&s, BF_STATUS_INTERNAL, "an input does not come before the node");
    int64_t count = bfi_shape_count(&node->shape, BFI_MAX_COUNT);
    if (count < 0) return reject(&s, BF_STATUS_LIMIT, "value has more than 2^31-1 elements");
    if (count == 0) return reject_shape(&s, "value has no elements");
    if (count != node->count) return reject(&s, BF_STATUS_INTERNAL, "count does not fit the shape");
    if (node->n_inputs > 0) s.x = &graph->nodes[node->inputs[0]];
    bf_status st = check_op(&s);
    if (st == BF_STATUS_OK) st = check_numbers(&s, &node->weight, "weight");
    if (st == BF_STATUS_OK) st = check_numbers(&s, &node->bias, "bias");
    if (st == BF_STATUS_OK) st = check_bias_error(&s);
    return st;
}

bf_status bfi_graph_validate(const bfi_graph *graph, bf_error *err) {
    if (graph->count < 1 || graph->output < 0 || graph->output >= graph->count)
        return bfi_fail(err, BF_STATUS_INTERNAL, "%s: graph without input or output",
                        graph->source);
    for (int id = 0; id < graph->count; id++) {
        bf_status st = check_node(graph, id, err);
        if (st != BF_STATUS_OK) return st;
    }
    return BF_STATUS_OK;
}
