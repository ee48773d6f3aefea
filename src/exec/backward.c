#include <assert.h>
#include <string.h>

#include "exec/adjoint.h"
#include "exec/mix.h"
#include "exec/moments.h"
#include "exec/pool_backward.h"
#include "exec/shared.h"
#include "exec/splits.h"

bfi_lane_vectors bfi_tile_vectors(const bf_plan *plan, const bf_workspace *ws, int worker) {
    int64_t t = plan->lane_room;
    char *p = bfi_ws_tile(ws, worker) + plan->tile_elements * (int64_t)bfi_dtype_size(plan->dtype);
    assert(worker >= 0 && worker < plan->workers);
    bfi_lane_vectors v;
    v.constant = (double *)(void *)p, v.error = v.constant + t, v.best = v.error + t;
    v.sign = v.best + t;
    v.row = (int64_t *)(void *)(v.sign + t);
    v.box = v.row + t;
    v.t_sum = v.box + t;
    v.e_sum = (char *)v.t_sum + (size_t)t * bfi_dtype_size(plan->dtype);
    v.spread = plan->spreads ? (char *)v.e_sum + (size_t)t * bfi_dtype_size(plan->dtype) : NULL;
    return v;
}

static void *buffer(const bfi_tile *t, int id) { return bfi_tile_buffer(t, id); }

/* Vector of float64 numbers of a value, in the box of |lane|. */
static const double *of_box(const bfi_tile *t, int64_t offset, int64_t lane) {
    return bfi_tile_of_box(t, bfi_ws_doubles(t->ws, 0, offset), lane);
}

static void clear(const bfi_tile *t, int id) {
    memset(buffer(t, id), 0, (size_t)(bfi_tile_count(t, id) * t->ls) * t->size);
}

static void put(const bfi_tile *t, int id, int64_t element, int64_t lane, double value) {
    bfi_store(t->plan->dtype, buffer(t, id), element * t->ls + lane, value);
}

/* Error of a lane whatever its coefficients (underflow). */
typedef struct flat_error {
    double all;           /* of every lane */
    const double *by_box; /* and of the lane's box: this is box 0's; NULL: none */
} flat_error;

static double flat_of_lane(const bfi_tile *t, flat_error flat, int64_t lane) {
    if (!flat.by_box) return flat.all;
    return flat.all + *(const double *)bfi_tile_of_box(t, flat.by_box, lane);
}

/* Adds the sums a kernel left in t_sum and e_sum to the lanes' constants and errors. The float64
 * additions round too: by at most u |result|, which joins the error. */
static void settle(const bfi_tile *t, bool has_t, bool has_e, double gamma, flat_error flat) {
    double own[BF_SUM_BLOCK];
    bool outward = t->plan->outward, same = t->one_box || !flat.by_box;
    double all = outward && same ? flat_of_lane(t, flat, 0) : 0;
    for (int64_t first = 0; first < t->lanes; first += BF_SUM_BLOCK) {
        int64_t n = t->lanes - first < BF_SUM_BLOCK ? t->lanes - first : BF_SUM_BLOCK;
        bfi_settle s = {.n = n,
                        .t_sum = has_t ? (char *)t->v.t_sum + (size_t)first * t->size : NULL,
                        .own = outward ? own : NULL,
                        .room = (1 + 2 * gamma) * BFI_ERROR_ROOM,
                        .constant = t->v.constant + first,
                        .error = t->v.error + first};
        if (outward && has_e) s.e_sum = (char *)t->v.e_sum + (size_t)first * t->size;
        for (int64_t l = 0; l < n && outward; l++)
            own[l] = same ? all : flat_of_lane(t, flat, first + l);
        t->plan->kernels->settle(&s);
    }
}

static bfi_tile_step step_of(const bfi_tile *t, const bfi_back_op *op) {
    return (bfi_tile_step){.n = t->plan->graph->nodes[op->node].count,
                           .of = op->a,
                           .a = buffer(t, op->a),
                           .out = op->out >= 0 ? buffer(t, op->out) : NULL};
}

/* Runs |step| and settles what it leaves behind. */
static void relax_and_settle(const bfi_tile *t, bfi_tile_step step, double gamma, flat_error flat) {
    if (!t->plan->outward) step.e.data = NULL;
    bfi_tile_relax(t, &step);
    settle(t, step.t_pos.data, step.e.data, gamma, flat);
}

static flat_error flat_of_node(const bfi_tile *t, int id) {
    return (flat_error){.by_box = bfi_ws_doubles(t->ws, 0, t->plan->e_flat) + id};
}

/* The same with the error terms of the backward op of node |id|. */
static void relax_node(const bfi_tile *t, bfi_tile_step step, int id) {
    if (!step.e.data) step.e = bfi_tile_kept(t, t->plan->state[id].e);
    relax_and_settle(t, step, t->plan->errors[id].gamma_dot, flat_of_node(t, id));
}

static int index_of(const bfi_tile *t, const bfi_back_op *op) {
    return (int)(op - t->program->ops);
}

/* Elements of |buffer|, which a relaxation wrote, that are there. */
static const int32_t *active_elements(const bfi_tile *t, int buffer) {
    if (!t->parts) return NULL;
    return bfi_active_elements(t->plan, t->ws, t->v.box[0], t->program, buffer, t->ls);
}

static bfi_op_part part_of(const bfi_tile *t, const bfi_back_op *op) {
    if (!t->parts) return (bfi_op_part){NULL, NULL};
    return bfi_op_part_of(t->plan, t->ws, t->v.box[0], t->program, index_of(t, op), t->ls);
}

/* Constant and error that a weighted or structural node leaves behind. */
static void leave_constants(const bfi_tile *t, const bfi_back_op *op) {
    bfi_tile_step s = step_of(t, op);
    s.out = NULL;
    s.active = active_elements(t, op->a);
    s.t_pos = s.t_neg = bfi_tile_shared(t->plan->constants->nodes[op->node].bias);
    relax_node(t, s, op->node);
}

static void seed_spec(const bfi_tile *t, const bfi_back_op *op) {
    int64_t n = t->plan->graph->nodes[op->node].count;
    for (int64_t l = 0; l < t->lanes; l++) {
        if (bfi_mix_seed(t, op, l)) continue;
        const double *lo = of_box(t, t->plan->state[op->node].lo, l),
                     *hi = of_box(t, t->plan->state[op->node].hi, l);
        const double *row = t->spec + t->v.box[l] * t->spec_stride + t->v.row[l] * n;
        double error = 0;
        for (int64_t j = 0; j < n; j++) {
            put(t, op->out, j, l, t->v.sign[l] * row[j]);
            double lost = fabs(fabs(row[j]) -
                               fabs(bfi_load(t->plan->dtype, buffer(t, op->out), j * t->ls + l)));
            if (lost > 0) error += lost * fmax(fabs(lo[j]), fabs(hi[j]));
        }
        t->v.error[l] = t->plan->outward ? error * BFI_ERROR_ROOM : 0;
    }
}

/* Lanes [0, width) of |out|: their signs times the numbers |at| (NULL: the first |n|) of their
 * rows.
 */
#define SCATTER(T, name)                                                           \
    static inline void name(int width, T *out, int64_t ls, const T *const *rows,   \
                            const double *signs, int64_t n, const int32_t *at) {   \
        T sign[4];                                                                 \
        const T *row[4];                                                           \
        for (int v = 0; v < width; v++) sign[v] = (T)signs[v], row[v] = rows[v];   \
        for (int64_t i = 0; i < n; i++) {                                          \
            int64_t j = at ? at[i] : i;                                            \
            for (int v = 0; v < width; v++) out[j * ls + v] = sign[v] * row[v][j]; \
        }                                                                          \
    }
SCATTER(float, scatter_float)
SCATTER(double, scatter_double)
#undef SCATTER

/* Lanes [lane, lane + width) of a linear node with one matrix, or one lane of it with more. Four
 * lanes at a time share the stores. */
static void seed_linear_lanes(const bfi_tile *t, const bfi_back_op *op, int64_t lane, int width,
                              const int32_t *at) {
    const bfi_attrs *attrs = &t->plan->graph->nodes[op->node].attrs;
    const void *weight = t->plan->constants->nodes[op->node].weight;
    int64_t k = attrs->k, first = t->v.row[lane] / attrs->n * k * t->ls + lane;
    const float *floats[4];
    const double *doubles[4];
    for (int v = 0; v < width; v++) {
        int64_t from = t->v.row[lane + v] % attrs->n * k;
        floats[v] = (const float *)weight + from, doubles[v] = (const double *)weight + from;
    }
    float *out_f = (float *)buffer(t, op->out) + first;
    double *out_d = (double *)buffer(t, op->out) + first;
    const double *sign = t->v.sign + lane;
    int64_t n = at ? *at++ : k;
    if (t->plan->dtype == BFI_F32 && width == 4)
        scatter_float(4, out_f, t->ls, floats, sign, n, at);
    else if (t->plan->dtype == BFI_F32)
        scatter_float(1, out_f, t->ls, floats, sign, n, at);
    else if (width == 4)
        scatter_double(4, out_d, t->ls, doubles, sign, n, at);
    else
        scatter_double(1, out_d, t->ls, doubles, sign, n, at);
}

static void seed_linear(const bfi_tile *t, const bfi_back_op *op) {
    bool one_matrix = t->plan->graph->nodes[op->node].attrs.rows == 1;
    const int32_t *wanted =
        t->parts ? bfi_wanted_elements(t->plan, t->ws, t->v.box[0], t->program, op->out) : NULL;
    for (int64_t l = 0, width; l < t->lanes; l += width) {
        width = one_matrix && t->lanes - l >= 4 ? 4 : 1;
        seed_linear_lanes(t, op, l, (int)width, one_matrix ? wanted : NULL);
    }
}

/* Source coordinate of a tap of a gather convolution, or -1. */
static int64_t tap_source(int64_t dst, int64_t tap, int64_t stride, int64_t dil, int64_t pad,
                          int64_t size, int transposed) {
    int64_t s = transposed ? dst + pad - tap * dil : dst * stride - pad + tap * dil;
    if (transposed) {
        if (s < 0 || s % stride) return -1;
        s /= stride;
    }
    return s >= 0 && s < size ? s : -1;
}

/* out[i step] = sign weight[i apart] */
#define STRIDED(T, name)                                                                           \
    static void name(int64_t n, T *out, int64_t step, const T *weight, int64_t apart, double by) { \
        T sign = (T)by;                                                                            \
        for (int64_t i = 0; i < n; i++) out[i * step] = sign * weight[i * apart];                  \
    }
STRIDED(float, strided_float)
STRIDED(double, strided_double)
#undef STRIDED

/* Lane |lane| of |n| elements, |plane| apart from |place| on; their weights are |apart| from each
 * other from |weight| on. */
static void seed_plane(const bfi_tile *t, const bfi_back_op *op, int64_t lane, int64_t n,
                       int64_t place, int64_t plane, int64_t weight, int64_t apart) {
    const void *weights = t->plan->constants->nodes[op->node].weight;
    int64_t first = place * t->ls + lane, step = plane * t->ls;
    if (t->plan->dtype == BFI_F32)
        strided_float(n, (float *)buffer(t, op->out) + first, step, (const float *)weights + weight,
                      apart, t->v.sign[lane]);
    else
        strided_double(n, (double *)buffer(t, op->out) + first, step,
                       (const double *)weights + weight, apart, t->v.sign[lane]);
}

static void seed_conv_lane(const bfi_tile *t, const bfi_back_op *op, int64_t lane) {
    const bfi_conv *g = &t->plan->constants->nodes[op->node].conv_forward;
    int64_t taps = g->kh * g->kw, neuron = t->v.row[lane];
    int64_t dx = neuron % g->w_dst, dy = neuron / g->w_dst % g->h_dst,
            channel = neuron / (g->w_dst * g->h_dst);
    int64_t group = channel / g->c_dst, m = channel % g->c_dst;
    int64_t apart = g->transposed ? g->c_dst * taps : taps;
    int64_t weight =
        g->transposed ? (group * g->c_src * g->c_dst + m) * taps : channel * g->c_src * taps;
    int64_t plane = g->h_src * g->w_src, first = group * g->c_src * plane;
    if (bfi_tile_windowed(t, op->out)) plane = bfi_rect_area(bfi_tile_view(t, op->out).rect);
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t sy =
            tap_source(dy, tap / g->kw, g->stride_h, g->dil_h, g->pad_top, g->h_src, g->transposed);
        int64_t sx = tap_source(dx, tap % g->kw, g->stride_w, g->dil_w, g->pad_left, g->w_src,
                                g->transposed);
        if (sy < 0 || sx < 0) continue;
        int64_t place = bfi_tile_place(t, op->out, first + sy * g->w_src + sx);
        seed_plane(t, op, lane, g->c_src, place, plane, weight + tap, apart);
    }
}

/* Exact unit coefficient through a weighted node: its bias, and what is inexact about its row. */
static void seed_weighted_constants(const bfi_tile *t, int id) {
    const bfi_node_constants *c = &t->plan->constants->nodes[id];
    int64_t own = t->plan->state[id].own;
    for (int64_t l = 0; l < t->lanes; l++) {
        if (c->bias_exact) t->v.constant[l] = t->v.sign[l] * c->bias_exact[t->v.row[l]];
        if (t->plan->outward && own >= 0) t->v.error[l] = of_box(t, own, l)[t->v.row[l]];
    }
}

static void run_seed(const bfi_tile *t, const bfi_back_op *op) {
    clear(t, op->out);
    switch (op->kind) {
        case BFI_BACK_SEED_SPEC:
            seed_spec(t, op);
            break;
        case BFI_BACK_SEED_UNIT:
            for (int64_t l = 0; l < t->lanes; l++)
                put(t, op->out, bfi_tile_place(t, op->out, t->v.row[l]), l, t->v.sign[l]);
            break;
        case BFI_BACK_SEED_LINEAR:
            seed_linear(t, op);
            seed_weighted_constants(t, op->node);
            break;
        default:
            for (int64_t l = 0; l < t->lanes; l++) seed_conv_lane(t, op, l);
            seed_weighted_constants(t, op->node);
            break;
    }
}

static void multiply(const bfi_tile *t, const bfi_back_op *op) {
    bfi_tile_linear(t, &t->plan->constants->nodes[op->node].backward,
                    t->plan->graph->nodes[op->node].attrs.rows, part_of(t, op), op->a, op->out);
}

static void run_linear(const bfi_tile *t, const bfi_back_op *op) {
    leave_constants(t, op);
    multiply(t, op);
}

static void run_conv(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    leave_constants(t, op);
    bfi_tile_conv(t, &c->conv_backward, c->terms_backward, part_of(t, op), op->a, op->out);
}

static void run_sparse(const bfi_tile *t, const bfi_back_op *op) {
    if (op->which == 0) leave_constants(t, op);
    t->run.kernels->sparse(&t->plan->constants->nodes[op->node].sparse_backward[op->which],
                           buffer(t, op->a), buffer(t, op->out), t->ls, t->lanes);
}

static void run_scale(const bfi_tile *t, const bfi_back_op *op) {
    assert(op->out < 0 || t->plan->constants->nodes[op->node].scale);
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    bfi_tile_step s = step_of(t, op);
    s.s_pos = s.s_neg = bfi_tile_shared(c->scale);
    s.t_pos = s.t_neg = bfi_tile_shared(c->bias);
    relax_node(t, s, op->node);
}

static bfi_tile_step relax_step(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *state = &t->plan->state[op->node];
    assert(state->s_pos >= 0 && state->s_neg >= 0 && state->t_pos >= 0 && state->t_neg >= 0);
    bfi_tile_step s = step_of(t, op);
    s.s_pos = bfi_tile_kept(t, state->s_pos), s.s_neg = bfi_tile_kept(t, state->s_neg);
    s.t_pos = bfi_tile_kept(t, state->t_pos), s.t_neg = bfi_tile_kept(t, state->t_neg);
    s.e = bfi_tile_kept(t, state->e);
    if (op->b >= 0) bfi_adjoint_lines(t, op, &s);
    bfi_shared_lines(t, op, &s);
    if (!t->plan->outward) s.e.data = NULL;
    return s;
}

/* The error of a product counts once, with the first operand. */
static void run_plane(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *state = &t->plan->state[op->node];
    bfi_tile_step s = step_of(t, op);
    assert(state->s_pos >= 0 && state->r_pos >= 0 && state->t_pos >= 0);
    if (op->which) {
        s.s_pos = bfi_tile_kept(t, state->r_pos), s.s_neg = bfi_tile_kept(t, state->r_neg);
        relax_and_settle(t, s, 0, flat_of_node(t, op->node));
        return;
    }
    s.s_pos = bfi_tile_kept(t, state->s_pos), s.s_neg = bfi_tile_kept(t, state->s_neg);
    s.t_pos = bfi_tile_kept(t, state->t_pos), s.t_neg = bfi_tile_kept(t, state->t_neg);
    relax_node(t, s, op->node);
}

static void run_relax(const bfi_tile *t, const bfi_back_op *op) {
    bfi_tile_step s = relax_step(t, op);
    s.active = active_elements(t, op->out);
    if (t->splits) bfi_splits_take(t, op);
    relax_node(t, s, op->node);
    if (t->splits) bfi_splits_put(t, op);
}

static bool apart(const char *a, size_t a_bytes, const char *b, size_t b_bytes) {
    return a + a_bytes <= b || b + b_bytes <= a;
}

/* A linear op and the relaxation behind it in one kernel, while the product is in registers. False,
 * with nothing done, where this tile has to take them one by one, or does better so: it leaves out
 * what a relaxation multiplies by zero. */
static bool run_linear_relax(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_packed *w = &t->plan->constants->nodes[op->node].backward;
    const bfi_back_op *next = op + 1;
    if (bfi_program_optimises(t->program))
        return false; /* the adjoint pass reads the product too */
    size_t row = (size_t)t->ls * t->size;
    bfi_tile_step s = relax_step(t, next);
    bfi_relax r;
    bfi_op_part part = part_of(t, op);
    if (part.active || part.wanted) return false;
    if (!t->run.lowering->fused || t->ls == 1 || t->level || !bfi_tile_one_call(t, &s, &r) ||
        !apart(buffer(t, op->a), (size_t)w->k * row, buffer(t, next->out), (size_t)w->m * row))
        return false;
    leave_constants(t, op);
    int64_t groups = t->ls / BF_LANE_PAD;
    int64_t chunk = bfi_chunk(2.0 * (double)(w->k * w->m) * BF_LANE_PAD, 1);
    for (int64_t v = 0; v < groups; v += chunk) {
        if (v && bfi_ws_stopped(t->ws)) return true;
        if (bfi_run_linear_relax(&t->run, w, buffer(t, op->a), &r, v,
                                 v + chunk < groups ? v + chunk : groups))
            continue;
        multiply(t, op);
        run_relax(t, next);
        return true;
    }
    settle(t, s.t_pos.data, s.e.data, t->plan->errors[next->node].gamma_dot,
           flat_of_node(t, next->node));
    return true;
}

static void run_pool(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    assert(s->pick_lo >= 0 && s->pick_hi >= 0 && s->t_neg >= 0);
    bfi_pool_backward p = {.n = t->plan->graph->nodes[op->node].count,
                           .ls = t->ls,
                           .lanes = t->lanes,
                           .box = t->v.box,
                           .box_bytes = t->plan->persistent_bytes,
                           .pick_lo = bfi_ws_ints(t->ws, 0, s->pick_lo),
                           .pick_hi = bfi_ws_ints(t->ws, 0, s->pick_hi),
                           .a = buffer(t, op->a),
                           .t_neg = bfi_ws_numbers(t->ws, 0, s->t_neg),
                           .out = buffer(t, op->out),
                           .t_sum = t->v.t_sum};
    clear(t, op->out);
    if (t->splits) bfi_splits_take(t, op);
    bfi_tile_step errors = step_of(t, op);
    errors.out = NULL;
    relax_node(t, errors, op->node);
    bfi_pool_backward_run(t->plan->dtype, &p);
    settle(t, true, false, 0, (flat_error){0});
    if (t->splits) bfi_splits_put(t, op);
}

/* out += what |from| holds; both may be windows of a layer of |count| elements. */
static void add_window(const bfi_tile *t, int from, int out, int64_t count) {
    for (int64_t i = 0; i < bfi_tile_lines(t, from); i++) {
        bfi_line line = bfi_tile_line(t, from, count, i);
        t->run.kernels->accumulate(line.n, 1, bfi_tile_at_line(t, from, &line),
                                   bfi_tile_at_line(t, out, &line), t->ls, t->lanes);
    }
}

static void run_accumulate(const bfi_tile *t, const bfi_back_op *op) {
    int64_t n = t->plan->graph->nodes[op->node].count;
    void *out = buffer(t, op->out), *a = buffer(t, op->a);
    bool windows = bfi_tile_windowed(t, op->out) || bfi_tile_windowed(t, op->a) ||
                   bfi_tile_windowed(t, op->b); /* a whole sum of windows: what reads it is whole */
    if (windows) {
        clear(t, op->out);
        add_window(t, op->a, op->out, n);
        add_window(t, op->b, op->out, n);
    } else {
        if (out != a) memcpy(out, a, (size_t)(n * t->ls) * t->size);
        bfi_run_accumulate(&t->run, n, 1, buffer(t, op->b), out, t->ls, t->lanes);
    }
    bfi_tile_step s = {
        .n = n, .of = op->out, .a = out, .e = bfi_tile_kept(t, t->plan->state[op->node].e_sum)};
    relax_and_settle(t, s, t->plan->errors[op->node].gamma_dot, (flat_error){0});
}

static void run_negate(const bfi_tile *t, const bfi_back_op *op) {
    clear(t, op->out);
    bfi_run_accumulate(&t->run, bfi_tile_count(t, op->out), -1, buffer(t, op->a),
                       buffer(t, op->out), t->ls, t->lanes);
}

static void run_pass(const bfi_tile *t, const bfi_back_op *op) {
    bfi_tile_step s = step_of(t, op);
    s.out = NULL;
    s.active = active_elements(t, op->a);
    relax_node(t, s, op->node);
}

static bfi_tile_step box_step(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_value_state *state = &t->plan->state[op->node];
    assert(state->lo_t >= 0 && state->hi_t >= 0 && (!t->plan->outward || state->e_box >= 0));
    bfi_tile_step s = step_of(t, op);
    s.out = NULL;
    s.t_pos = bfi_tile_kept(t, state->lo_t), s.t_neg = bfi_tile_kept(t, state->hi_t);
    s.e = bfi_tile_kept(t, t->plan->outward ? state->e_box : -1);
    return s;
}

static double box_flat(const bfi_tile *t, const bfi_back_op *op) {
    return 4 * bfi_eta(t->plan->dtype) * (double)t->plan->graph->nodes[op->node].count;
}

/* The lanes' functionals as they stand at the network's input. */
static void show_functional(const bfi_tile *t, const bfi_back_op *op) {
    const void *a = buffer(t, op->a);
    int64_t n = t->plan->graph->nodes[op->node].count;
    assert(!bfi_tile_windowed(t, op->a));
    for (int64_t l = 0; l < t->lanes; l++)
        for (int64_t j = 0; t->functional[l] && j < n; j++)
            t->functional[l][j] = bfi_load(t->plan->dtype, a, j * t->ls + l);
    if (t->constant)
        t->plan->kernels->certify(t->lanes, t->plan->outward, t->v.constant, t->v.error,
                                  t->constant);
}

static void run_box(const bfi_tile *t, const bfi_back_op *op) {
    if (t->functional && op->node == 0) show_functional(t, op);
    relax_and_settle(t, box_step(t, op), t->plan->errors[op->node].gamma_dot,
                     (flat_error){.all = box_flat(t, op)});
}

/* The minimum of lane |l|'s functional as computed, and what it may be off by. */
static void try_lane(const bfi_tile *t, int64_t l, double gamma, double flat, bool errors,
                     double *constant, double *error) {
    *constant = t->v.constant[l] + bfi_load(t->plan->dtype, t->v.t_sum, l);
    *error = t->v.error[l] + flat + BF_U64 * fabs(*constant);
    if (errors) *error += bfi_load(t->plan->dtype, t->v.e_sum, l) * (1 + 2 * gamma);
    *error *= BFI_ERROR_ROOM;
}

/* The functional's minimum here and now, without changing the lanes. */
static void run_try(const bfi_tile *t, const bfi_back_op *op) {
    enum { AT_ONCE = 64 }; /* a call certifies lanes in vectors: one at a time costs as much */
    double constant[AT_ONCE], error[AT_ONCE], lower[AT_ONCE];
    bfi_tile_step s = box_step(t, op);
    bfi_tile_relax(t, &s);
    double gamma = t->plan->errors[op->node].gamma_dot,
           flat = t->plan->outward ? box_flat(t, op) : 0;
    for (int64_t first = 0; first < t->lanes; first += AT_ONCE) {
        int64_t n = t->lanes - first < AT_ONCE ? t->lanes - first : AT_ONCE;
        double *best = t->v.best + first;
        for (int64_t l = 0; l < n; l++)
            try_lane(t, first + l, gamma, flat, s.e.data != NULL, &constant[l], &error[l]);
        t->plan->kernels->certify(n, t->plan->outward, constant, error, lower);
        for (int64_t l = 0; l < n; l++)
            if (lower[l] > best[l]) best[l] = lower[l];
    }
}

static void (*const handlers[BFI_BACK_COUNT])(const bfi_tile *, const bfi_back_op *) = {
    [BFI_BACK_SEED_SPEC] = run_seed,
    [BFI_BACK_SEED_UNIT] = run_seed,
    [BFI_BACK_SEED_LINEAR] = run_seed,
    [BFI_BACK_SEED_CONV] = run_seed,
    [BFI_BACK_LINEAR] = run_linear,
    [BFI_BACK_CONV] = run_conv,
    [BFI_BACK_SPARSE] = run_sparse,
    [BFI_BACK_SCALE] = run_scale,
    [BFI_BACK_NEGATE] = run_negate,
    [BFI_BACK_PASS] = run_pass,
    [BFI_BACK_RELAX] = run_relax,
    [BFI_BACK_PLANE] = run_plane,
    [BFI_BACK_MOMENTS] = bfi_moments_run,
    [BFI_BACK_LINEARIZE] = bfi_moments_linearize,
    [BFI_BACK_POOL] = run_pool,
    [BFI_BACK_ACCUMULATE] = run_accumulate,
    [BFI_BACK_BOX] = run_box,
    [BFI_BACK_TRY] = run_try,
    [BFI_BACK_SLOPES] = bfi_adjoint_run,
    [BFI_BACK_CORNER] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_LINEAR] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_CONV] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_SPARSE] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_SCALE] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_ADD] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_SUB] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_RELAX] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_PLANE] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_POOL] = bfi_adjoint_run,
    [BFI_BACK_ADJOINT_SPEC] = bfi_mix_run,
};

static double op_flops(const bf_plan *plan, const bfi_program *p, const bfi_back_op *op) {
    const bfi_node *node = &plan->graph->nodes[op->node];
    const bfi_node_constants *c = &plan->constants->nodes[op->node];
    switch (op->kind) {
        case BFI_BACK_LINEAR:
        case BFI_BACK_ADJOINT_LINEAR: /* the same products the other way round */
            return 2.0 * (double)(node->attrs.rows * c->backward.m * c->backward.k);
        case BFI_BACK_CONV:
            return 2.0 * (double)p->buffers[op->out].count * (double)c->terms_backward;
        case BFI_BACK_ADJOINT_CONV:
            return 2.0 * (double)p->buffers[op->out].count * (double)c->terms_forward;
        case BFI_BACK_SPARSE:
            return 2.0 *
                   (double)c->sparse_backward[op->which].ptr[c->sparse_backward[op->which].rows];
        default:
            return op->a >= 0 ? 4.0 * (double)p->buffers[op->a].count : 0;
    }
}

/* The same of an op of the program in |box|, which leaves out elements. */
static double box_op_flops(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                           const bfi_program *p, int index) {
    const bfi_back_op *op = &p->ops[index];
    bfi_op_part part = op->kind == BFI_BACK_ADJOINT_LINEAR
                           ? bfi_adjoint_part_of(plan, ws, box, p, index)
                           : bfi_op_part_of(plan, ws, box, p, index, plan->tile_lanes);
    return op_flops(plan, p, op) * bfi_op_share(p, index, part);
}

/* Of all lanes of the tile, on its windows. */
static double tile_flops(const bfi_tile *t, const bfi_back_op *op) {
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    double flops = op_flops(t->plan, t->program, op);
    bool linear = op->kind == BFI_BACK_LINEAR || op->kind == BFI_BACK_ADJOINT_LINEAR;
    if (linear && t->parts)
        flops = box_op_flops(t->plan, t->ws, t->v.box[0], t->program, index_of(t, op));
    else if (op->kind == BFI_BACK_CONV)
        flops = 2.0 * (double)bfi_tile_count(t, op->out) * (double)c->terms_backward *
                bfi_op_share(t->program, index_of(t, op), part_of(t, op));
    else if (op->kind == BFI_BACK_ADJOINT_CONV)
        flops = 2.0 * (double)bfi_tile_count(t, op->out) * (double)c->terms_forward;
    else if (op->kind != BFI_BACK_SPARSE && !linear && op->a >= 0)
        flops = 4.0 * (double)bfi_tile_count(t, op->a);
    return flops * (double)t->lanes;
}

/* Returns how many ops that were. */
static int run_op(bfi_tile *t, const bfi_back_op *op, const bfi_lowering *lowering, int step,
                  int worker) {
    double begin = t->ws->trace ? bfi_clock() : 0;
    t->run = bfi_dispatch_of(lowering, t->ws, worker);
    int ops = lowering->fuses && run_linear_relax(t, op) ? 2 : 1;
    if (ops == 1) handlers[op->kind](t, op);
    if (t->ws->trace) {
        bfi_trace_event event = {begin, bfi_clock(), (int)op->kind, op->node,
                                 step,  worker,      t->lanes,      0};
        for (int i = 0; i < ops; i++) event.flops += tile_flops(t, op + i);
        bfi_trace_add(t->ws->trace, event);
    }
    return ops;
}

static bool one_box(const int64_t *box, int64_t lanes) {
    for (int64_t l = 1; l < lanes; l++)
        if (box[l] != box[0]) return false;
    return true;
}

/* Puts the buffers on the windows of the lanes' neurons. */
static void open_windows(bfi_tile *t, int level) {
    const bfi_windows *w = &t->plan->windows[t->program - t->plan->programs];
    t->level = &w->levels[level];
    t->room = bfi_window_room_at(
        t->program, t->level, t->memory + (size_t)(t->level->height * t->level->lanes) * t->size);
    bfi_rect neurons = {{INT64_MAX, 0}, {INT64_MAX, 0}};
    for (int64_t l = 0; l < t->lanes; l++) {
        int64_t x = t->v.row[l] % w->target.width,
                y = t->v.row[l] / w->target.width % w->target.height;
        if (y < neurons.y.lo) neurons.y.lo = y;
        if (y >= neurons.y.hi) neurons.y.hi = y + 1;
        if (x < neurons.x.lo) neurons.x.lo = x;
        if (x >= neurons.x.hi) neurons.x.hi = x + 1;
    }
    assert(neurons.y.lo / t->level->block == (neurons.y.hi - 1) / t->level->block);
    assert(neurons.x.lo / t->level->block == (neurons.x.hi - 1) / t->level->block);
    bfi_windows_at(t->plan->constants, t->program, w, neurons, t->room.rects);
}

bfi_tile bfi_tile_open(const bf_plan *plan, bf_workspace *ws, const bfi_tile_request *request) {
    int64_t lanes = request->lanes;
    assert(lanes >= 1 && lanes <= (request->level < 0 ? bfi_program_lanes(plan, request->program)
                                                      : plan->lane_room));
    bfi_tile t = {.plan = plan,
                  .ws = ws,
                  .program = &plan->programs[request->program],
                  .step = request->step,
                  .worker = request->worker,
                  .memory = bfi_ws_tile(ws, request->worker),
                  .lanes = lanes,
                  .v = bfi_tile_vectors(plan, ws, request->worker),
                  .spec = request->spec,
                  .spec_stride = request->spec_stride,
                  .functional = request->functional,
                  .constant = request->constant,
                  .size = bfi_dtype_size(plan->dtype)};
    t.one_box = one_box(t.v.box, lanes);
    if (request->level >= 0) open_windows(&t, request->level);
    t.ls = bfi_tile_stride(&t, lanes);
    t.parts = t.one_box && t.ls > 1;
    return t;
}

bf_status bfi_tile_run(bfi_tile *t, int first, int last) {
    int index = (int)(t->program - t->plan->programs);
    const bfi_lowering *lowering = &t->plan->lowerings[t->plan->program_lowering[index]];
    for (int i = first; i < last && !bfi_ws_stopped(t->ws);)
        i += run_op(t, &t->program->ops[i], &lowering[i], t->step, t->worker);
    /* the last op may have stopped half-way */
    return (bf_status)atomic_load_explicit(&t->ws->failed, memory_order_relaxed);
}

bf_status bfi_tile_bound(bfi_tile *t, double *lower, double *error) {
    for (int64_t l = 0; l < t->lanes; l++) {
        t->v.constant[l] = t->v.error[l] = 0;
        t->v.best[l] = -INFINITY;
    }
    bf_status status = bfi_tile_run(t, t->program->loop, t->program->adjoint);
    if (status != BF_STATUS_OK) return status;
    t->plan->kernels->certify(t->lanes, t->plan->outward, t->v.constant, t->v.error, lower);
    for (int64_t l = 0; l < t->lanes; l++) {
        double bound = lower[l];
        lower[l] = bound > t->v.best[l] ? bound : t->v.best[l];
        error[l] = bound > t->v.best[l] ? t->v.error[l] : 0;
    }
    return BF_STATUS_OK;
}

bf_status bfi_backward_tile(const bf_plan *plan, bf_workspace *ws, const bfi_tile_request *request,
                            double *lower, double *error) {
    bfi_tile t = bfi_tile_open(plan, ws, request);
    assert(!bfi_program_optimises(t.program));
    return bfi_tile_bound(&t, lower, error);
}

double bfi_program_flops(const bf_plan *plan, const bfi_program *program) {
    double total = 0;
    for (int i = 0; i < program->mix; i++) total += op_flops(plan, program, &program->ops[i]);
    return total;
}

double bfi_program_elements(const bfi_program *program) {
    double total = 0;
    for (int i = 0; i < program->mix; i++) total += bfi_back_op_elements(program, &program->ops[i]);
    return total;
}

/* Part of a convolution's destinations that tiles of the level have, mean over its blocks. */
static double window_share(const bf_plan *plan, const bfi_program *p, int level) {
    const bfi_windows *w = &plan->windows[p - plan->programs];
    return level < 0 ? 1 : w->levels[level].flops / w->dense_flops;
}

double bfi_box_flops(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                     const bfi_program *program, int level) {
    double total = 0, share = window_share(plan, program, level);
    for (int i = 0; i < program->mix; i++) {
        bfi_back_kind kind = program->ops[i].kind;
        bool conv = kind == BFI_BACK_CONV || kind == BFI_BACK_ADJOINT_CONV;
        total += box_op_flops(plan, ws, box, program, i) * (conv ? share : 1);
    }
    return total;
}
