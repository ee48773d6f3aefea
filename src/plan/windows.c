#include "plan/windows.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/storage.h"

/* A level is kept when its buffers take at most this part of the dense ones. */
#define WORTHWHILE 0.75

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
static int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

static bfi_span cut(int64_t lo, int64_t hi, int64_t size) {
    if (lo < 0) lo = 0;
    if (hi > size) hi = size;
    return lo < hi ? (bfi_span){lo, hi} : (bfi_span){0, 0};
}

static bfi_span join(bfi_span a, bfi_span b) {
    if (a.lo == a.hi) return b;
    if (b.lo == b.hi) return a;
    return (bfi_span){a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}

/* Destinations that read sources in |s|, along one axis (kernel.h, bfi_conv). */
static bfi_span reach(bool transposed, bfi_span s, int64_t taps, int64_t stride, int64_t dil,
                      int64_t pad, int64_t size) {
    if (s.lo == s.hi) return s;
    int64_t last = (taps - 1) * dil;
    if (transposed) return cut(s.lo * stride - pad, (s.hi - 1) * stride - pad + last + 1, size);
    return cut(ceil_div(s.lo + pad - last, stride), floor_div(s.hi - 1 + pad, stride) + 1, size);
}

typedef enum axis { AXIS_Y, AXIS_X } axis;

static bfi_span reach_on(axis a, const bfi_conv *c, bfi_span s) {
    return a == AXIS_Y
               ? reach(c->transposed, s, c->kh, c->stride_h, c->dil_h, c->pad_top, c->h_dst)
               : reach(c->transposed, s, c->kw, c->stride_w, c->dil_w, c->pad_left, c->w_dst);
}

bfi_rect bfi_conv_reach(const bfi_conv *conv, bfi_rect src) {
    return (bfi_rect){reach_on(AXIS_Y, conv, src.y), reach_on(AXIS_X, conv, src.x)};
}

/* Padding that makes window coordinates stand for the whole's. */
static int64_t shifted(int transposed, int64_t pad, int64_t src, int64_t dst, int64_t stride) {
    return transposed ? pad + dst - src * stride : pad - dst * stride + src;
}

bfi_conv bfi_conv_window(const bfi_conv *conv, bfi_rect src, bfi_rect dst) {
    bfi_conv c = *conv;
    c.h_src = src.y.hi - src.y.lo, c.w_src = src.x.hi - src.x.lo;
    c.h_dst = dst.y.hi - dst.y.lo, c.w_dst = dst.x.hi - dst.x.lo;
    c.pad_top = shifted(c.transposed, c.pad_top, src.y.lo, dst.y.lo, c.stride_h);
    c.pad_left = shifted(c.transposed, c.pad_left, src.x.lo, dst.x.lo, c.stride_w);
    return c;
}

static bfi_planes source_planes(const bfi_conv *c) {
    return (bfi_planes){c->groups * c->c_src, c->h_src, c->w_src, false};
}

static bool same_planes(bfi_planes a, bfi_planes b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

/* The value as an image, [1][C][H][W]; whole when it is none. */
static bfi_planes value_planes(const bfi_node *node) {
    const bfi_shape *s = &node->shape;
    if (s->rank == 4 && s->dim[0] == 1) return (bfi_planes){s->dim[1], s->dim[2], s->dim[3], false};
    return (bfi_planes){node->count, 1, 1, true};
}

static bool elementwise(bfi_back_kind kind) {
    return kind == BFI_BACK_RELAX || kind == BFI_BACK_SCALE || kind == BFI_BACK_NEGATE;
}

/* Planes of what op |op| writes; marks what it reads as whole where it has to be. */
static void shape_op(const bfi_graph *graph, const bfi_constants *constants, const bfi_back_op *op,
                     bfi_planes *planes) {
    const bfi_node *node = &graph->nodes[op->node];
    const bfi_node_constants *c = &constants->nodes[op->node];
    bfi_planes out = {op->out >= 0 ? graph->nodes[op->node].count : 0, 1, 1, true};
    switch (op->kind) {
        case BFI_BACK_SEED_UNIT:
            out = value_planes(node);
            break;
        case BFI_BACK_SEED_CONV:
            out = source_planes(&c->conv_forward);
            break;
        case BFI_BACK_CONV:
            if (!same_planes(planes[op->a], source_planes(&c->conv_backward)))
                planes[op->a].whole = true;
            out = source_planes(&c->conv_forward);
            break;
        case BFI_BACK_RELAX:
        case BFI_BACK_SCALE:
        case BFI_BACK_NEGATE:
            out = planes[op->a];
            break;
        case BFI_BACK_ACCUMULATE:
            out = planes[op->a];
            out.whole = planes[op->a].whole && planes[op->b].whole;
            if (!same_planes(planes[op->a], planes[op->b]))
                planes[op->a].whole = planes[op->b].whole = out.whole = true;
            break;
        case BFI_BACK_MOMENTS:
        case BFI_BACK_LINEARIZE:
            planes[op->a].whole = true;
            break;
        case BFI_BACK_LINEAR:
        case BFI_BACK_SPARSE:
        case BFI_BACK_PLANE:
        case BFI_BACK_POOL:
            planes[op->a].whole = true;
            out = value_planes(&graph->nodes[node->inputs[op->which]]);
            out.whole = true;
            break;
        default: /* reads alone, by element */
            break;
    }
    if (op->out >= 0) planes[op->out] = out;
}

/* What is read whole is written whole: elementwise ops pass that on to what they read. */
static void spread_whole(const bfi_program *p, bfi_planes *planes) {
    for (int i = p->adjoint - 1; i >= p->loop; i--) {
        const bfi_back_op *op = &p->ops[i];
        if (op->out >= 0 && elementwise(op->kind) && planes[op->out].whole)
            planes[op->a].whole = true;
    }
    for (int i = p->loop; i < p->adjoint; i++) {
        const bfi_back_op *op = &p->ops[i];
        if (op->out >= 0 && elementwise(op->kind) && planes[op->a].whole)
            planes[op->out].whole = true;
    }
}

static bool in_loop(const bfi_program *p, int op) { return op >= p->loop && op < p->adjoint; }

/* Coefficients at the value of |node|, which the program crosses. */
static int coefficients_at(const bfi_program *p, int node) {
    for (int i = p->loop; i < p->adjoint; i++)
        if (p->ops[i].node == node && bfi_back_crosses(&p->ops[i])) return p->ops[i].a;
    assert(!"the adjoint pass has values that the way back has not");
    return -1;
}

/* Slopes and values stand where the coefficients of their node do. */
static void find_likes(const bfi_program *p, bfi_windows *w) {
    for (int b = 0; b < p->buffer_count; b++) w->like[b] = -1;
    for (int i = 0; i < p->op_count; i++) {
        int out = p->ops[i].out;
        if (in_loop(p, i) || out < 0) continue;
        w->like[out] = coefficients_at(p, p->ops[i].node);
        w->buffers[out] = w->buffers[w->like[out]];
    }
}

/* One axis of a rect: rects are seen as pairs of spans, y then x. */
static bfi_span *on(axis a, bfi_rect *rect) { return a == AXIS_Y ? &rect->y : &rect->x; }

static bfi_span whole_span(axis a, const bfi_planes *planes) {
    return (bfi_span){0, a == AXIS_Y ? planes->height : planes->width};
}

/* One axis of bfi_windows_at. */
static void spans_on(axis a, const bfi_constants *constants, const bfi_program *p,
                     const bfi_windows *w, bfi_span neurons, bfi_rect *rects) {
    for (int i = p->loop; i < p->adjoint; i++) {
        const bfi_back_op *op = &p->ops[i];
        if (op->out < 0) continue;
        const bfi_conv *back = &constants->nodes[op->node].conv_backward;
        bfi_span *out = on(a, &rects[op->out]);
        if (w->buffers[op->out].whole)
            *out = whole_span(a, &w->buffers[op->out]);
        else if (op->kind == BFI_BACK_SEED_UNIT)
            *out = neurons;
        else if (op->kind == BFI_BACK_SEED_CONV)
            *out = reach_on(a, back, neurons);
        else if (op->kind == BFI_BACK_CONV)
            *out = reach_on(a, back,
                            w->buffers[op->a].whole
                                ? (bfi_span){0, a == AXIS_Y ? back->h_src : back->w_src}
                                : *on(a, &rects[op->a]));
        else if (op->kind == BFI_BACK_ACCUMULATE)
            *out = join(*on(a, &rects[op->a]), *on(a, &rects[op->b]));
        else
            *out = *on(a, &rects[op->a]);
    }
    for (int b = 0; b < p->buffer_count; b++)
        if (w->like[b] >= 0) *on(a, &rects[b]) = *on(a, &rects[w->like[b]]);
}

void bfi_windows_at(const bfi_constants *constants, const bfi_program *program,
                    const bfi_windows *windows, bfi_rect neurons, bfi_rect *rects) {
    spans_on(AXIS_Y, constants, program, windows, neurons.y, rects);
    spans_on(AXIS_X, constants, program, windows, neurons.x, rects);
}

/* What find_level collects over all blocks along one axis. */
typedef struct extents {
    bfi_rect *rects; /* of one block */
    int64_t *most;   /* by buffer: longest span */
    double *mean;    /* by buffer: mean length */
} extents;

static void measure_axis(axis a, const bfi_constants *constants, const bfi_program *p,
                         const bfi_windows *w, int64_t block, extents *e) {
    int64_t size = whole_span(a, &w->target).hi, blocks = (size + block - 1) / block;
    for (int b = 0; b < p->buffer_count; b++) e->most[b] = 0, e->mean[b] = 0;
    for (int64_t i = 0; i < blocks; i++) {
        spans_on(a, constants, p, w, cut(i * block, (i + 1) * block, size), e->rects);
        for (int b = 0; b < p->buffer_count; b++) {
            int64_t length = on(a, &e->rects[b])->hi - on(a, &e->rects[b])->lo;
            if (length > e->most[b]) e->most[b] = length;
            e->mean[b] += (double)length / (double)blocks;
        }
    }
}

/* Flops per lane of op |op| on |positions| positions of what it writes; 0: no convolution. */
static double conv_flops(const bfi_constants *constants, const bfi_back_op *op, double positions) {
    const bfi_node_constants *c = &constants->nodes[op->node];
    bool back = op->kind == BFI_BACK_CONV;
    if (!back && op->kind != BFI_BACK_ADJOINT_CONV) return 0;
    const bfi_conv *conv = back ? &c->conv_backward : &c->conv_forward;
    int64_t terms = back ? c->terms_backward : c->terms_forward;
    return 2.0 * (double)(conv->groups * conv->c_dst) * (double)terms * positions;
}

/* Elements per lane that buffer |b| takes when it is on a window of |count| elements. */
static int64_t buffer_size(const bfi_graph *graph, const bfi_program *p, int b, int64_t count) {
    if (p->buffers[b].first >= p->loop) return count;
    const bfi_node *node = &graph->nodes[p->ops[p->buffers[b].first].node];
    return bfi_slope_vectors(node) * bfi_slope_stride(count);
}

/* Places the buffers for blocks of |block|; *|worth| when they are much smaller than dense. */
static bf_status find_level(const bfi_graph *graph, const bfi_constants *constants,
                            const bfi_program *p, bfi_windows *w, int64_t block, extents axes[2],
                            int64_t *size, bool *worth, bf_error *err) {
    bfi_window_level level = {.block = block};
    measure_axis(AXIS_Y, constants, p, w, block, &axes[AXIS_Y]);
    measure_axis(AXIS_X, constants, p, w, block, &axes[AXIS_X]);
    for (int b = 0; b < p->buffer_count; b++) {
        int64_t count = w->buffers[b].channels * axes[AXIS_Y].most[b] * axes[AXIS_X].most[b];
        if (!w->buffers[b].whole && count > level.widest) level.widest = count;
        size[b] = buffer_size(graph, p, b, count);
    }
    for (int i = 0; i < p->op_count; i++) {
        const bfi_back_op *op = &p->ops[i];
        if (op->out >= 0)
            level.flops +=
                conv_flops(constants, op, axes[AXIS_Y].mean[op->out] * axes[AXIS_X].mean[op->out]);
        for (int j = 0; j < 3; j++) {
            int b = j == 0 ? op->a : j == 1 ? op->b : op->out;
            if (b >= 0)
                level.elements +=
                    (double)w->buffers[b].channels * axes[AXIS_Y].mean[b] * axes[AXIS_X].mean[b];
        }
    }
    *worth = false;
    level.offset = bfi_malloc((size_t)p->buffer_count, sizeof *level.offset);
    if (!level.offset) return bfi_fail_memory(err);
    bf_status status = bfi_program_place(p, size, true, level.offset, &level.height, err);
    *worth = status == BF_STATUS_OK && level.flops <= WORTHWHILE * w->dense_flops &&
             level.height > 0 && level.height <= p->height;
    if (*worth)
        w->levels[w->level_count++] = level;
    else
        free(level.offset);
    return status;
}

static void find_planes(const bfi_graph *graph, const bfi_constants *constants,
                        const bfi_program *p, bfi_windows *w) {
    w->target = value_planes(&graph->nodes[p->target]);
    for (int i = p->loop; i < p->adjoint; i++) shape_op(graph, constants, &p->ops[i], w->buffers);
    spread_whole(p, w->buffers);
    find_likes(p, w);
    for (int i = 0; i < p->op_count; i++) {
        const bfi_node_constants *c = &constants->nodes[p->ops[i].node];
        bool back = p->ops[i].kind == BFI_BACK_CONV;
        const bfi_conv *conv = back ? &c->conv_backward : &c->conv_forward;
        w->dense_flops += conv_flops(constants, &p->ops[i], (double)(conv->h_dst * conv->w_dst));
        w->dense_elements += bfi_back_op_elements(p, &p->ops[i]);
    }
}

static bool has_windows(const bfi_program *p, const bfi_windows *w) {
    bfi_back_kind seed = p->ops[p->loop].kind;
    return !w->target.whole && w->dense_flops > 0 &&
           (seed == BFI_BACK_SEED_CONV || seed == BFI_BACK_SEED_UNIT);
}

bf_status bfi_windows_find(const bfi_graph *graph, const bfi_constants *constants,
                           const bfi_program *program, bfi_windows *out, bf_error *err) {
    size_t n = (size_t)program->buffer_count;
    *out = (bfi_windows){0};
    out->buffers = bfi_calloc(n, sizeof *out->buffers);
    out->like = bfi_calloc(n, sizeof *out->like);
    bfi_rect *rects = bfi_calloc(n, sizeof *rects);
    int64_t *lengths = bfi_calloc(3 * n, sizeof *lengths);
    double *means = bfi_calloc(2 * n, sizeof *means);
    bf_status status = out->buffers && out->like && rects && lengths && means
                           ? BF_STATUS_OK
                           : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) {
        find_planes(graph, constants, program, out);
        extents axes[2] = {{rects, lengths, means}, {rects, lengths + n, means + n}};
        bool worth = has_windows(program, out);
        for (int i = 0; i < BFI_WINDOW_LEVELS && worth && status == BF_STATUS_OK; i++)
            status = find_level(graph, constants, program, out, (int64_t)1 << i, axes,
                                lengths + 2 * n, &worth, err);
    }
    free(rects);
    free(lengths);
    free(means);
    if (status != BF_STATUS_OK) bfi_windows_clear(out);
    return status;
}

static int64_t align64(int64_t bytes) { return (bytes + 63) / 64 * 64; }

static int64_t rect_bytes(const bfi_program *program) {
    return align64(program->buffer_count * (int64_t)sizeof(bfi_rect));
}

static int64_t index_bytes(const bfi_window_level *level) {
    return align64(level->widest * (int64_t)sizeof(int32_t));
}

int64_t bfi_window_room_bytes(const bfi_program *program, const bfi_window_level *level,
                              bfi_dtype dtype) {
    int64_t parameter = align64(level->widest * (int64_t)bfi_dtype_size(dtype));
    return rect_bytes(program) + 3 * index_bytes(level) + BFI_WINDOW_PARAMETERS * parameter;
}

bfi_window_room bfi_window_room_at(const bfi_program *program, const bfi_window_level *level,
                                   void *memory) {
    char *at = memory;
    bfi_window_room room = {.rects = (bfi_rect *)(void *)at};
    room.index = (int32_t *)(void *)(at += rect_bytes(program));
    room.cuts = (int32_t *)(void *)(at += index_bytes(level));
    room.only = (int32_t *)(void *)(at += index_bytes(level));
    room.parameters = at + index_bytes(level);
    return room;
}

void bfi_windows_clear(bfi_windows *windows) {
    for (int i = 0; i < windows->level_count; i++) free(windows->levels[i].offset);
    free(windows->buffers);
    free(windows->like);
    *windows = (bfi_windows){0};
}
