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

/* Element |first| of |numbers|, |each| numbers per element; NULL stays. */
static const void *at(const bfi_tile *t, const void *numbers, int64_t first, int64_t each) {
    return numbers ? (const char *)numbers + (size_t)(first * each) * t->size : NULL;
}

/* Lanes of a line's first element in buffer |id|. */
static void *element(const bfi_tile *t, int id, const bfi_line *line) {
    return bfi_tile_at_line(t, id, line);
}

/* Elements per lane from one vector of the slopes in buffer |id| of node |node| to the next. */
static int64_t slope_stride(const bfi_tile *t, int id, int node) {
    bool window = bfi_tile_windowed(t, id);
    return bfi_slope_stride(window ? bfi_tile_count(t, id) : t->plan->graph->nodes[node].count);
}

/* The same in vector |which| of them. */
static void *slope(const bfi_tile *t, int id, int node, int which, const bfi_line *line) {
    int64_t skip = which * slope_stride(t, id, node) * t->ls;
    return (char *)element(t, id, line) + (size_t)skip * t->size;
}

/* The same from the first element of the tile on. */
static void *slope_vector(const bfi_tile *t, int id, int node, int which) {
    int64_t skip = which * slope_stride(t, id, node) * t->ls;
    return (char *)buffer(t, id) + (size_t)skip * t->size;
}

static bool smooth(const bfi_tile *t, int node) {
    return bfi_slope_vectors(&t->plan->graph->nodes[node]) == BFI_SLOPE_SMOOTH_VECTORS;
}

static int64_t slope_elements(const bfi_tile *t, int id, int node) {
    return bfi_slope_vectors(&t->plan->graph->nodes[node]) * slope_stride(t, id, node);
}

static void fill_line(const bfi_tile *t, const bfi_back_op *op, const bfi_line *line) {
    void *lower = slope(t, op->out, op->node, BFI_SLOPE_LOWER, line);
    if (!smooth(t, op->node)) {
        const void *start = kept(t, t->plan->state[op->node].s_pos);
        BY_DTYPE(t, fill, line->n, t->ls, at(t, start, line->first, 1), 1, lower);
        return;
    }
    void *upper = slope(t, op->out, op->node, BFI_SLOPE_UPPER, line);
    const void *family = kept(t, t->plan->state[op->node].family);
    const char *start = at(t, family, line->first, BFI_FAMILY_NUMBERS);
    start += (size_t)(BFI_FAMILY_NUMBERS - 2) * t->size;
    BY_DTYPE(t, fill, line->n, t->ls, (const void *)start, BFI_FAMILY_NUMBERS, lower);
    BY_DTYPE(t, fill, line->n, t->ls, (const void *)(start + t->size), BFI_FAMILY_NUMBERS, upper);
}

static void run_slopes(const bfi_tile *t, const bfi_back_op *op) {
    int64_t elements = slope_elements(t, op->out, op->node);
    memset(buffer(t, op->out), 0, (size_t)(elements * t->ls) * t->size);
    for (int64_t i = 0; i < bfi_tile_lines(t, op->out); i++) {
        bfi_line line = bfi_tile_line(t, op->out, count_of(t, op), i);
        fill_line(t, op, &line);
    }
}

/* Makes the lines of an S-shaped function from its parameters in buffer |id|. */
static void make_lines(const bfi_tile *t, int id, int node, const bfi_line *line) {
    const void *family = kept(t, t->plan->state[node].family);
    void *at_line[BFI_SLOPE_SMOOTH_VECTORS];
    for (int i = 0; i < BFI_SLOPE_SMOOTH_VECTORS; i++) at_line[i] = slope(t, id, node, i, line);
    family = at(t, family, line->first, BFI_FAMILY_NUMBERS);
    BY_DTYPE(t, lines, line->n, t->ls, family, 0, at_line[BFI_SLOPE_LOWER],
             at_line[BFI_SLOPE_S_POS], at_line[BFI_SLOPE_T_POS]);
    BY_DTYPE(t, lines, line->n, t->ls, family, 1, at_line[BFI_SLOPE_UPPER],
             at_line[BFI_SLOPE_S_NEG], at_line[BFI_SLOPE_T_NEG]);
}

/* The lines that slopes in buffer |id| make, in |step|. */
static void take_lines(const bfi_tile *t, int id, int node, bfi_tile_step *step) {
    bfi_parameter *const lines[4] = {&step->s_pos, &step->t_pos, &step->s_neg, &step->t_neg};
    for (int i = 0; i < 4 && smooth(t, node); i++)
        *lines[i] = (bfi_parameter){slope_vector(t, id, node, BFI_SLOPE_S_POS + i), BFI_BY_LANE};
    if (!smooth(t, node))
        step->s_pos = (bfi_parameter){slope_vector(t, id, node, BFI_SLOPE_LOWER), BFI_BY_LANE};
}

void bfi_adjoint_lines(const bfi_tile *t, const bfi_back_op *op, bfi_tile_step *step) {
    for (int64_t i = 0; i < bfi_tile_lines(t, op->b) && smooth(t, op->node); i++) {
        bfi_line line = bfi_tile_line(t, op->b, step->n, i);
        make_lines(t, op->b, op->node, &line);
    }
    take_lines(t, op->b, op->node, step);
}

/* out = a line for each of the elements |line|, |what| says which. */
static void follow_line(const bfi_tile *t, const bfi_back_op *op, const bfi_line *line,
                        bfi_follow what) {
    what.n = line->n, what.ls = t->ls, what.lanes = t->lanes;
    what.out = element(t, op->out, line);
    t->run.kernels->follow(&what);
}

static void run_corner(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    for (int64_t i = 0; i < bfi_tile_lines(t, op->out); i++) {
        bfi_line line = bfi_tile_line(t, op->out, count_of(t, op), i);
        bfi_follow corner = {.ps = 1,
                             .a = element(t, op->a, &line),
                             .t_pos = at(t, kept(t, s->lo_t), line.first, 1),
                             .t_neg = at(t, kept(t, s->hi_t), line.first, 1)};
        follow_line(t, op, &line, corner);
    }
    if (t->splits) bfi_splits_corner(t, op);
}

/* out = scale |from| + shift, numbers of the layer's elements; either may be missing. */
static void scale_value(const bfi_tile *t, const bfi_back_op *op, int from, const void *scale,
                        const void *shift) {
    for (int64_t i = 0; i < bfi_tile_lines(t, op->out); i++) {
        bfi_line line = bfi_tile_line(t, op->out, count_of(t, op), i);
        const void *z = element(t, from, &line), *s = at(t, scale, line.first, 1),
                   *shifts = at(t, shift, line.first, 1);
        bfi_follow along = {.ps = 1, .a = z, .z = z};
        along.s_pos = along.s_neg = s, along.t_pos = along.t_neg = shifts;
        follow_line(t, op, &line, along);
    }
}

static void add_bias(const bfi_tile *t, const bfi_back_op *op) {
    const void *bias = t->plan->constants->nodes[op->node].bias;
    if (bias) scale_value(t, op, op->out, NULL, bias);
}

static void run_linear(const bfi_tile *t, const bfi_back_op *op) {
    bfi_op_part part = {NULL, NULL};
    if (t->parts)
        part = bfi_adjoint_part_of(t->plan, t->ws, t->v.box[0], t->program,
                                   (int)(op - t->program->ops));
    bfi_tile_linear(t, &t->plan->constants->nodes[op->node].forward,
                    t->plan->graph->nodes[op->node].attrs.rows, part, op->a, op->out);
    add_bias(t, op);
}

/* What the activation |node| keeps on the way back, where that is known. */
static const int32_t *active_at(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                const bfi_program *p, int node) {
    for (int i = p->loop; i < p->adjoint; i++)
        if (p->ops[i].kind == BFI_BACK_RELAX && p->ops[i].node == node)
            return bfi_kept_elements(plan, ws, box, p, i);
    return NULL;
}

bfi_op_part bfi_adjoint_part_of(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                const bfi_program *p, int index) {
    const bfi_back_op *op = &p->ops[index], *before = &p->ops[p->buffers[op->a].first],
                      *next = op + 1;
    bfi_op_part part = {NULL, NULL};
    if (before->kind == BFI_BACK_ADJOINT_RELAX)
        part.active = active_at(plan, ws, box, p, before->node);
    if (index + 1 < p->op_count && next->kind == BFI_BACK_ADJOINT_RELAX && next->a == op->out &&
        p->buffers[op->out].last == index + 1)
        part.wanted = active_at(plan, ws, box, p, next->node);
    return part;
}

static void run_conv(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    bfi_tile_conv(t, &c->conv_forward, c->terms_forward, (bfi_op_part){NULL, NULL}, op->a, op->out);
    add_bias(t, op);
}

static void run_sparse(const bfi_tile *t, const bfi_back_op *op) {
    t->run.kernels->sparse(&t->plan->constants->nodes[op->node].sparse_forward[op->which],
                           buffer(t, op->a), buffer(t, op->out), t->ls, t->lanes);
    if (op->which == 0) add_bias(t, op);
}

/* out = a, where out's window is. */
static void copy(const bfi_tile *t, const bfi_back_op *op) {
    if (buffer(t, op->a) == buffer(t, op->out)) return;
    for (int64_t i = 0; i < bfi_tile_lines(t, op->out); i++) {
        bfi_line line = bfi_tile_line(t, op->out, count_of(t, op), i);
        memcpy(element(t, op->out, &line), element(t, op->a, &line),
               (size_t)(line.n * t->ls) * t->size);
    }
}

static void run_scale(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    scale_value(t, op, op->a, c->scale, c->bias);
}

static void run_sum(const bfi_tile *t, const bfi_back_op *op, int sign) {
    copy(t, op);
    for (int64_t i = 0; i < bfi_tile_lines(t, op->out); i++) {
        bfi_line line = bfi_tile_line(t, op->out, count_of(t, op), i);
        bfi_run_accumulate(&t->run, line.n, sign, element(t, op->b, &line),
                           element(t, op->out, &line), t->ls, t->lanes);
    }
}

static void run_pool(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    BY_DTYPE(t, pool, count_of(t, op), t->ls, buffer(t, op->a), buffer(t, op->b),
             kept(t, s->pick_lo), kept(t, s->pick_hi), kept(t, s->t_neg), buffer(t, op->out));
    if (t->splits) bfi_splits_follow(t, op);
}

/* The plane that the lane took, operand by operand; the first one brings the intercept. */
static void run_plane(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    const void *s_pos = kept(t, op->which ? s->r_pos : s->s_pos),
               *s_neg = kept(t, op->which ? s->r_neg : s->s_neg),
               *t_pos = op->which ? NULL : kept(t, s->t_pos),
               *t_neg = op->which ? NULL : kept(t, s->t_neg);
    for (int64_t i = 0; i < bfi_tile_lines(t, op->out); i++) {
        bfi_line line = bfi_tile_line(t, op->out, count_of(t, op), i);
        bfi_follow along = {.ps = 1,
                            .a = element(t, op->b, &line),
                            .z = element(t, op->a, &line),
                            .s_pos = at(t, s_pos, line.first, 1),
                            .s_neg = at(t, s_neg, line.first, 1),
                            .t_pos = at(t, t_pos, line.first, 1),
                            .t_neg = at(t, t_neg, line.first, 1)};
        follow_line(t, op, &line, along);
    }
}

/* Steps the parameter |which| by the gradient a x. */
static void ascend(const bfi_tile *t, const bfi_back_op *op, int which, const bfi_line *line,
                   const void *x) {
    const bfi_node *node = &t->plan->graph->nodes[op->node];
    const bfi_ascent *up = t->ascent;
    bool kink = !smooth(t, op->node);
    bfi_ascend step = {.n = line->n,
                       .ls = t->ls,
                       .lanes = t->lanes,
                       .a = element(t, op->b, line),
                       .x = x,
                       .side = which == BFI_SLOPE_LOWER ? 1 : -1,
                       .p = slope(t, op->c, op->node, which, line),
                       .m = slope(t, op->c, op->node, which + 1, line),
                       .v = slope(t, op->c, op->node, which + 2, line),
                       .rate_m = up->rate_m,
                       .rate_v = up->rate_v,
                       .step = up->step,
                       .root = up->root,
                       .eps = up->eps,
                       .high = 1};
    if (kink) {
        const bfi_value_state *in = &t->plan->state[node->inputs[0]];
        step.lo = bfi_ws_doubles(t->ws, t->v.box[0], in->lo) + line->first;
        step.hi = bfi_ws_doubles(t->ws, t->v.box[0], in->hi) + line->first;
        step.low = bfi_slope_low(node, t->plan->dtype);
    }
    t->run.kernels->ascend(&step);
}

static void follow(const bfi_tile *t, const bfi_back_op *op, const bfi_tile_step *lines,
                   const bfi_line *line) {
    const bfi_parameter *by[4] = {&lines->s_pos, &lines->t_pos, &lines->s_neg, &lines->t_neg};
    const char *a = element(t, op->b, line);
    size_t into = (size_t)(a - (const char *)buffer(t, op->b)); /* lines by lane stand like a */
    const void *p[4];
    for (int i = 0; i < 4; i++)
        p[i] = by[i]->by == BFI_BY_BOX ? at(t, bfi_tile_of_box(t, by[i]->data, 0), line->first, 1)
                                       : (const char *)by[i]->data + into;
    bfi_follow f = {.ps = lines->t_pos.by == BFI_BY_LANE ? t->ls : 1,
                    .ps_pos = lines->s_pos.by == BFI_BY_LANE ? t->ls : 1,
                    .a = a,
                    .z = element(t, op->a, line),
                    .s_pos = p[0],
                    .t_pos = p[1],
                    .s_neg = p[2],
                    .t_neg = p[3]};
    follow_line(t, op, line, f);
}

/* The lines that the way back took, before they are stepped. */
static bfi_tile_step lines_of(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *state = &t->plan->state[op->node];
    bfi_tile_step s = {.n = count_of(t, op)};
    s.s_pos = bfi_tile_kept(t, state->s_pos), s.s_neg = bfi_tile_kept(t, state->s_neg);
    s.t_pos = bfi_tile_kept(t, state->t_pos), s.t_neg = bfi_tile_kept(t, state->t_neg);
    bfi_shared_lines(t, op, &s);
    if (op->c >= 0) take_lines(t, op->c, op->node, &s);
    return s;
}

/* Steps the slopes of S-shaped functions; the lines that they made are not needed any more. */
static void ascend_smooth(const bfi_tile *t, const bfi_back_op *op, const bfi_line *line) {
    const void *family =
        at(t, kept(t, t->plan->state[op->node].family), line->first, BFI_FAMILY_NUMBERS);
    for (int side = 0; side < 2; side++) {
        int which = side == 0 ? BFI_SLOPE_LOWER : BFI_SLOPE_UPPER;
        void *change = slope(t, op->c, op->node, BFI_SLOPE_S_POS, line);
        BY_DTYPE(t, line_changes, line->n, t->ls, family, side,
                 slope(t, op->c, op->node, which, line), element(t, op->a, line), change);
        ascend(t, op, which, line, change);
    }
}

/* Values follow the lines first: the steps change them. */
static void run_relax(const bfi_tile *t, const bfi_back_op *op) {
    bfi_tile_step lines = lines_of(t, op);
    for (int64_t i = 0; i < bfi_tile_lines(t, op->b); i++) {
        bfi_line line = bfi_tile_line(t, op->b, lines.n, i);
        if (op->out >= 0) follow(t, op, &lines, &line);
        bfi_shared_gradient(t, op, &line);
    }
    if (t->splits) bfi_splits_follow(t, op);
    if (op->c < 0 || (t->splits && t->splits->looking)) return;
    for (int64_t i = 0; i < bfi_tile_lines(t, op->b); i++) {
        bfi_line line = bfi_tile_line(t, op->b, lines.n, i);
        if (smooth(t, op->node))
            ascend_smooth(t, op, &line);
        else
            ascend(t, op, BFI_SLOPE_LOWER, &line, element(t, op->a, &line));
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
        case BFI_BACK_ADJOINT_PLANE:
            run_plane(t, op);
            break;
        default:
            assert(op->kind == BFI_BACK_ADJOINT_POOL);
            run_pool(t, op);
            break;
    }
}

/* Buffers move towards the front of the tile, so they go in the order in which they stand. */
/* The op that fills the slopes which stand first behind |done|, elements per lane from the tile's
 * start. */
static const bfi_back_op *next_slopes(const bfi_tile *t, int64_t done) {
    const bfi_back_op *next = NULL;
    for (int i = 0; i < t->program->loop; i++) {
        const bfi_back_op *op = &t->program->ops[i];
        int64_t offset = bfi_tile_offset(t, op->out);
        if (offset > done && (!next || offset < bfi_tile_offset(t, next->out))) next = op;
    }
    assert(next);
    return next;
}

void bfi_adjoint_compact(bfi_tile *t, const int64_t *from, int64_t lanes) {
    int64_t ls = bfi_tile_stride(t, lanes), done = -1;
    bfi_tile smaller = *t;
    smaller.lanes = lanes, smaller.ls = ls;
    for (int i = 0; i < t->program->loop; i++) {
        const bfi_back_op *op = next_slopes(t, done);
        done = bfi_tile_offset(t, op->out);
        BY_DTYPE(t, compact, slope_elements(t, op->out, op->node), buffer(t, op->out), t->ls,
                 buffer(&smaller, op->out), ls, from, lanes);
    }
    *t = smaller;
    t->parts = t->parts && ls > 1;
}
