#include "exec/adjoint.h"

#include <assert.h>
#include <string.h>

#include "exec/shared.h"
#include "exec/splits.h"

#define T float
#define FMA fmaf
#define NAME(x) x##_f32
#include "exec/adjoint.inc"
#undef T
#undef FMA
#undef NAME
#define T double
#define FMA fma
#define NAME(x) x##_f64
#include "exec/adjoint.inc"

/* Calls a template of adjoint.inc with the tile's element type. */
#define BY_DTYPE(t, name, ...) \
    ((t)->plan->dtype == BFI_F32 ? name##_f32(__VA_ARGS__) : name##_f64(__VA_ARGS__))

static void *buffer(const bfi_tile *t, int id) { return bfi_tile_buffer(t, id); }

static int64_t count_of(const bfi_tile *t, const bfi_back_op *op) {
    return t->plan->graph->nodes[op->node].count;
}

/* Vector of a value in the box of the tile. */
static const void *kept(const bfi_tile *t, int64_t offset) {
    assert(offset >= 0);
    return bfi_ws_numbers(t->ws, t->v.box[0], offset);
}

/* Vector |which| of the slopes in buffer |id| of node |node|. */
static void *slope_vector(const bfi_tile *t, int id, int node, int which) {
    int64_t stride = bfi_slope_stride(t->plan->graph->nodes[node].count);
    return (char *)buffer(t, id) + (size_t)(which * stride * t->ls) * t->size;
}

static bool smooth(const bfi_tile *t, int node) {
    return bfi_slope_vectors(&t->plan->graph->nodes[node]) == BFI_SLOPE_SMOOTH_VECTORS;
}

static void run_slopes(const bfi_tile *t, const bfi_back_op *op) {
    int64_t n = count_of(t, op), family = t->plan->state[op->node].family;
    memset(buffer(t, op->out), 0, (size_t)(t->program->buffers[op->out].count * t->ls) * t->size);
    void *lower = slope_vector(t, op->out, op->node, BFI_SLOPE_LOWER);
    if (!smooth(t, op->node)) {
        BY_DTYPE(t, fill, n, t->ls, kept(t, t->plan->state[op->node].s_pos), 1, lower);
        return;
    }
    void *upper = slope_vector(t, op->out, op->node, BFI_SLOPE_UPPER);
    const char *start = kept(t, family);
    start += (size_t)(BFI_FAMILY_NUMBERS - 2) * t->size;
    BY_DTYPE(t, fill, n, t->ls, (const void *)start, BFI_FAMILY_NUMBERS, lower);
    BY_DTYPE(t, fill, n, t->ls, (const void *)(start + t->size), BFI_FAMILY_NUMBERS, upper);
}

void bfi_adjoint_lines(const bfi_tile *t, const bfi_back_op *op, bfi_tile_step *step) {
    void *lower = slope_vector(t, op->b, op->node, BFI_SLOPE_LOWER);
    if (!smooth(t, op->node)) {
        step->s_pos = (bfi_parameter){lower, BFI_BY_LANE};
        return;
    }
    void *lines[4];
    for (int i = 0; i < 4; i++) lines[i] = slope_vector(t, op->b, op->node, BFI_SLOPE_S_POS + i);
    const void *family = kept(t, t->plan->state[op->node].family);
    BY_DTYPE(t, lines, step->n, t->ls, family, 0, lower, lines[0], lines[1]);
    BY_DTYPE(t, lines, step->n, t->ls, family, 1, slope_vector(t, op->b, op->node, BFI_SLOPE_UPPER),
             lines[2], lines[3]);
    step->s_pos = (bfi_parameter){lines[0], BFI_BY_LANE};
    step->t_pos = (bfi_parameter){lines[1], BFI_BY_LANE};
    step->s_neg = (bfi_parameter){lines[2], BFI_BY_LANE};
    step->t_neg = (bfi_parameter){lines[3], BFI_BY_LANE};
}

static void run_corner(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    BY_DTYPE(t, corner, count_of(t, op), t->ls, buffer(t, op->a), kept(t, s->lo_t),
             kept(t, s->hi_t), buffer(t, op->out));
    if (t->splits) bfi_splits_corner(t, op);
}

static void add_bias(const bfi_tile *t, const bfi_back_op *op) {
    const void *bias = t->plan->constants->nodes[op->node].bias;
    if (bias) BY_DTYPE(t, affine, count_of(t, op), t->ls, NULL, bias, buffer(t, op->out));
}

static void run_linear(const bfi_tile *t, const bfi_back_op *op) {
    bfi_tile_linear(t, &t->plan->constants->nodes[op->node].forward,
                    t->plan->graph->nodes[op->node].attrs.rows, op->a, op->out);
    add_bias(t, op);
}

static void run_conv(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    bfi_tile_conv(t, &c->conv_forward, c->terms_forward, op->a, op->out);
    add_bias(t, op);
}

static void run_sparse(const bfi_tile *t, const bfi_back_op *op) {
    t->run.kernels->sparse(&t->plan->constants->nodes[op->node].sparse_forward[op->which],
                           buffer(t, op->a), buffer(t, op->out), t->ls, t->lanes);
    if (op->which == 0) add_bias(t, op);
}

static void copy(const bfi_tile *t, const bfi_back_op *op) {
    size_t bytes = (size_t)(count_of(t, op) * t->ls) * t->size;
    if (buffer(t, op->a) != buffer(t, op->out)) memcpy(buffer(t, op->out), buffer(t, op->a), bytes);
}

static void run_scale(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    copy(t, op);
    BY_DTYPE(t, affine, count_of(t, op), t->ls, c->scale, c->bias, buffer(t, op->out));
}

static void run_sum(const bfi_tile *t, const bfi_back_op *op, int sign) {
    copy(t, op);
    bfi_run_accumulate(&t->run, count_of(t, op), sign, buffer(t, op->b), buffer(t, op->out), t->ls,
                       t->lanes);
}

static void run_pool(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    BY_DTYPE(t, pool, count_of(t, op), t->ls, buffer(t, op->a), buffer(t, op->b),
             kept(t, s->pick_lo), kept(t, s->pick_hi), kept(t, s->t_neg), buffer(t, op->out));
}

/* Steps the parameter |which| by the gradient a x. */
static void ascend(const bfi_tile *t, const bfi_back_op *op, int which, const void *x) {
    const bfi_node *node = &t->plan->graph->nodes[op->node];
    const bfi_ascent *up = t->ascent;
    bool kink = !smooth(t, op->node);
    bfi_ascend step = {.n = node->count,
                       .ls = t->ls,
                       .lanes = t->lanes,
                       .a = buffer(t, op->b),
                       .x = x,
                       .side = which == BFI_SLOPE_LOWER ? 1 : -1,
                       .p = slope_vector(t, op->c, op->node, which),
                       .m = slope_vector(t, op->c, op->node, which + 1),
                       .v = slope_vector(t, op->c, op->node, which + 2),
                       .rate_m = up->rate_m,
                       .rate_v = up->rate_v,
                       .step = up->step,
                       .root = up->root,
                       .eps = up->eps,
                       .high = 1};
    if (kink) {
        const bfi_value_state *in = &t->plan->state[node->inputs[0]];
        step.lo = kept(t, in->lo), step.hi = kept(t, in->hi);
        step.low = bfi_slope_low(node, t->plan->dtype);
    }
    t->run.kernels->ascend(&step);
}

static void follow(const bfi_tile *t, const bfi_back_op *op, const bfi_tile_step *lines) {
    const bfi_parameter *by[4] = {&lines->s_pos, &lines->t_pos, &lines->s_neg, &lines->t_neg};
    const void *at[4];
    for (int i = 0; i < 4; i++)
        at[i] = by[i]->by == BFI_BY_BOX ? bfi_tile_of_box(t, by[i]->data, 0) : by[i]->data;
    bfi_follow f = {.n = lines->n,
                    .ls = t->ls,
                    .lanes = t->lanes,
                    .ps = lines->t_pos.by == BFI_BY_LANE ? t->ls : 1,
                    .ps_pos = lines->s_pos.by == BFI_BY_LANE ? t->ls : 1,
                    .a = buffer(t, op->b),
                    .z = buffer(t, op->a),
                    .out = buffer(t, op->out),
                    .s_pos = at[0],
                    .t_pos = at[1],
                    .s_neg = at[2],
                    .t_neg = at[3]};
    t->run.kernels->follow(&f);
}

/* The lines that the way back took, before they are stepped. */
static bfi_tile_step lines_of(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *state = &t->plan->state[op->node];
    bfi_tile_step s = {.n = count_of(t, op)};
    s.s_pos = bfi_tile_kept(t, state->s_pos), s.s_neg = bfi_tile_kept(t, state->s_neg);
    s.t_pos = bfi_tile_kept(t, state->t_pos), s.t_neg = bfi_tile_kept(t, state->t_neg);
    bfi_shared_lines(t, op, &s);
    if (op->c < 0) return s;
    bfi_parameter *const lines[4] = {&s.s_pos, &s.t_pos, &s.s_neg, &s.t_neg};
    for (int i = 0; i < 4 && smooth(t, op->node); i++)
        *lines[i] =
            (bfi_parameter){slope_vector(t, op->c, op->node, BFI_SLOPE_S_POS + i), BFI_BY_LANE};
    if (!smooth(t, op->node))
        s.s_pos = (bfi_parameter){slope_vector(t, op->c, op->node, BFI_SLOPE_LOWER), BFI_BY_LANE};
    return s;
}

/* Values follow the lines first: the steps change them. */
static void run_relax(const bfi_tile *t, const bfi_back_op *op) {
    bfi_tile_step lines = lines_of(t, op);
    const void *z = buffer(t, op->a);
    if (op->out >= 0) follow(t, op, &lines);
    if (t->splits) bfi_splits_follow(t, op);
    bfi_shared_gradient(t, op);
    if (op->c < 0 || (t->splits && t->splits->looking)) return;
    if (!smooth(t, op->node)) {
        ascend(t, op, BFI_SLOPE_LOWER, z);
        return;
    }
    const void *family = kept(t, t->plan->state[op->node].family);
    for (int side = 0; side < 2; side++) {
        int which = side == 0 ? BFI_SLOPE_LOWER : BFI_SLOPE_UPPER;
        void *change = slope_vector(t, op->c, op->node, BFI_SLOPE_S_POS);
        BY_DTYPE(t, line_changes, lines.n, t->ls, family, side,
                 slope_vector(t, op->c, op->node, which), z, change);
        ascend(t, op, which, change);
    }
}

void bfi_adjoint_run(const bfi_tile *t, const bfi_back_op *op) {
    assert(t->one_box);
    switch (op->kind) {
        case BFI_BACK_SLOPES:
            run_slopes(t, op);
            break;
        case BFI_BACK_CORNER:
            run_corner(t, op);
            break;
        case BFI_BACK_ADJOINT_LINEAR:
            run_linear(t, op);
            break;
        case BFI_BACK_ADJOINT_CONV:
            run_conv(t, op);
            break;
        case BFI_BACK_ADJOINT_SPARSE:
            run_sparse(t, op);
            break;
        case BFI_BACK_ADJOINT_SCALE:
            run_scale(t, op);
            break;
        case BFI_BACK_ADJOINT_ADD:
            run_sum(t, op, 1);
            break;
        case BFI_BACK_ADJOINT_SUB:
            run_sum(t, op, -1);
            break;
        case BFI_BACK_ADJOINT_RELAX:
            run_relax(t, op);
            break;
        default:
            assert(op->kind == BFI_BACK_ADJOINT_POOL);
            run_pool(t, op);
            break;
    }
}

/* Buffers move towards the front of the tile, so they go in the order in which they stand. */
void bfi_adjoint_compact(bfi_tile *t, const int64_t *from, int64_t lanes) {
    int64_t ls = bfi_lane_stride(lanes), done = -1;
    bfi_tile smaller = *t;
    smaller.lanes = lanes, smaller.ls = ls;
    for (int round = 0; round < t->program->loop; round++) {
        int next = -1;
        for (int b = 0; b < t->program->buffer_count; b++) {
            const bfi_buffer *buffer = &t->program->buffers[b];
            if (buffer->first >= t->program->loop || buffer->offset <= done) continue;
            if (next < 0 || buffer->offset < t->program->buffers[next].offset) next = b;
        }
        assert(next >= 0);
        done = t->program->buffers[next].offset;
        BY_DTYPE(t, compact, t->program->buffers[next].count, buffer(t, next), t->ls,
                 buffer(&smaller, next), ls, from, lanes);
    }
    *t = smaller;
}
