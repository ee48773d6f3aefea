#include "exec/backward.h"

#include <assert.h>
#include <string.h>

#include "exec/pool_backward.h"

/* One tile on its way from the spec to the input. */
typedef struct tile {
    const bf_plan *plan;
    bf_workspace *ws;
    const bfi_program *program;
    const bfi_kernels *kernels; /* of the op that runs */
    char *memory;
    int64_t lanes, ls;
    bfi_lane_vectors v;
    const double *spec;
    size_t size; /* of an element */
} tile;

bfi_lane_vectors bfi_tile_vectors(const bf_plan *plan, const bf_workspace *ws, int worker) {
    int64_t t = plan->tile_lanes;
    char *p = bfi_ws_tile(ws, worker) + plan->height * t * (int64_t)bfi_dtype_size(plan->dtype);
    assert(worker >= 0 && worker < plan->workers);
    bfi_lane_vectors v;
    v.constant = (double *)(void *)p, v.error = v.constant + t, v.best = v.error + t;
    v.sign = v.best + t;
    v.row = (int64_t *)(void *)(v.sign + t);
    v.t_sum = v.row + t;
    v.e_sum = (char *)v.t_sum + (size_t)t * bfi_dtype_size(plan->dtype);
    return v;
}

static void *buffer(const tile *t, int id) {
    return t->memory + (size_t)(t->program->buffers[id].offset * t->ls) * t->size;
}

static void clear(const tile *t, int id) {
    memset(buffer(t, id), 0, (size_t)(t->program->buffers[id].count * t->ls) * t->size);
}

static void put(const tile *t, int id, int64_t element, int64_t lane, double value) {
    bfi_store(t->plan->dtype, buffer(t, id), element * t->ls + lane, value);
}

/* Adds the sums a kernel left in t_sum and e_sum to the lanes' constants and errors. The float64
 * additions round too: by at most u |result|, which joins the error. */
static void settle(const tile *t, bool has_t, bool has_e, double gamma, double flat) {
    bool f32 = t->plan->dtype == BFI_F32;
    double *constant = t->v.constant, *error = t->v.error, room = (1 + 2 * gamma) * BFI_ERROR_ROOM;
    if (has_t && f32)
        for (int64_t l = 0; l < t->lanes; l++)
            constant[l] += (double)((const float *)t->v.t_sum)[l];
    if (has_t && !f32)
        for (int64_t l = 0; l < t->lanes; l++) constant[l] += ((const double *)t->v.t_sum)[l];
    if (!t->plan->outward) return;
    for (int64_t l = 0; l < t->lanes; l++)
        error[l] += (flat + BF_U64 * fabs(constant[l])) * BFI_ERROR_ROOM;
    if (has_e && f32)
        for (int64_t l = 0; l < t->lanes; l++)
            error[l] += (double)((const float *)t->v.e_sum)[l] * room;
    if (has_e && !f32)
        for (int64_t l = 0; l < t->lanes; l++) error[l] += ((const double *)t->v.e_sum)[l] * room;
}

static bfi_relax relaxation(const tile *t, int64_t n, int a, int out) {
    return (bfi_relax){.n = n,
                       .ls = t->ls,
                       .lanes = t->lanes,
                       .ps = 1,
                       .a = buffer(t, a),
                       .out = out >= 0 ? buffer(t, out) : NULL,
                       .t_sum = t->v.t_sum,
                       .e_sum = t->v.e_sum};
}

/* Runs |r| without the sums that it has no numbers for, and settles. */
static void relax_and_settle(const tile *t, bfi_relax r, double gamma, double flat) {
    if (!t->plan->outward) r.e = NULL;
    if (!r.t_pos) r.t_sum = NULL;
    if (!r.e) r.e_sum = NULL;
    if (r.out || r.t_sum || r.e_sum) t->kernels->relax(&r);
    if (r.t_sum || r.e_sum || flat > 0)
        settle(t, r.t_sum, r.e_sum, gamma, t->plan->outward ? flat : 0);
}

static double flat_error(const tile *t, int id) {
    return bfi_ws_doubles(t->ws, t->plan->e_flat)[id];
}

/* Constant and error that a node with coefficients in |a| leaves behind. */
static void leave_constants(const tile *t, int id, int a) {
    const bfi_node_constants *c = &t->plan->constants->nodes[id];
    bfi_relax r = relaxation(t, t->plan->graph->nodes[id].count, a, -1);
    r.t_pos = r.t_neg = c->bias;
    r.e = bfi_ws_numbers(t->ws, t->plan->state[id].e);
    relax_and_settle(t, r, t->plan->errors[id].gamma_dot, flat_error(t, id));
}

static void seed_spec(const tile *t, const bfi_back_op *op) {
    int64_t n = t->plan->graph->nodes[op->node].count;
    const double *lo = bfi_ws_doubles(t->ws, t->plan->state[op->node].lo);
    const double *hi = bfi_ws_doubles(t->ws, t->plan->state[op->node].hi);
    for (int64_t l = 0; l < t->lanes; l++) {
        const double *row = t->spec + t->v.row[l] * n;
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

/* Column |lane| of buffer |id| from element |first|: sign times |count| weights from |from|. */
static void scatter_row(const tile *t, int id, int64_t first, int64_t lane, const void *weight,
                        int64_t from, int64_t count) {
    if (t->plan->dtype == BFI_F32) {
        float *out = (float *)buffer(t, id) + first * t->ls + lane, sign = (float)t->v.sign[lane];
        for (int64_t j = 0; j < count; j++)
            out[j * t->ls] = sign * ((const float *)weight)[from + j];
    } else {
        double *out = (double *)buffer(t, id) + first * t->ls + lane, sign = t->v.sign[lane];
        for (int64_t j = 0; j < count; j++)
            out[j * t->ls] = sign * ((const double *)weight)[from + j];
    }
}

static void seed_linear(const tile *t, const bfi_back_op *op) {
    const bfi_node *node = &t->plan->graph->nodes[op->node];
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    int64_t k = node->attrs.k, n = node->attrs.n;
    for (int64_t l = 0; l < t->lanes; l++) {
        int64_t row = t->v.row[l] / n, out = t->v.row[l] % n;
        scatter_row(t, op->out, row * k, l, c->weight, out * k, k);
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

static void seed_conv_lane(const tile *t, const bfi_back_op *op, int64_t lane) {
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    const bfi_conv *g = &c->conv_forward;
    int64_t taps = g->kh * g->kw, neuron = t->v.row[lane];
    int64_t dx = neuron % g->w_dst, dy = neuron / g->w_dst % g->h_dst,
            channel = neuron / (g->w_dst * g->h_dst);
    int64_t group = channel / g->c_dst, m = channel % g->c_dst;
    for (int64_t tap = 0; tap < taps; tap++) {
        int64_t sy =
            tap_source(dy, tap / g->kw, g->stride_h, g->dil_h, g->pad_top, g->h_src, g->transposed);
        int64_t sx = tap_source(dx, tap % g->kw, g->stride_w, g->dil_w, g->pad_left, g->w_src,
                                g->transposed);
        if (sy < 0 || sx < 0) continue;
        for (int64_t s = 0; s < g->c_src; s++) {
            int64_t weight = g->transposed ? ((group * g->c_src + s) * g->c_dst + m) * taps + tap
                                           : (channel * g->c_src + s) * taps + tap;
            put(t, op->out, ((group * g->c_src + s) * g->h_src + sy) * g->w_src + sx, lane,
                t->v.sign[lane] * bfi_load(t->plan->dtype, c->weight, weight));
        }
    }
}

/* Exact unit coefficient through a weighted node: its bias, and what is inexact about its row. */
static void seed_weighted_constants(const tile *t, int id) {
    const bfi_node_constants *c = &t->plan->constants->nodes[id];
    const double *own = bfi_ws_doubles(t->ws, t->plan->state[id].own);
    for (int64_t l = 0; l < t->lanes; l++) {
        if (c->bias_exact) t->v.constant[l] = t->v.sign[l] * c->bias_exact[t->v.row[l]];
        if (t->plan->outward && own) t->v.error[l] = own[t->v.row[l]];
    }
}

static void run_seed(const tile *t, const bfi_back_op *op) {
    clear(t, op->out);
    switch (op->kind) {
        case BFI_BACK_SEED_SPEC:
            seed_spec(t, op);
            break;
        case BFI_BACK_SEED_UNIT:
            for (int64_t l = 0; l < t->lanes; l++) put(t, op->out, t->v.row[l], l, t->v.sign[l]);
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

static void run_linear(const tile *t, const bfi_back_op *op) {
    const bfi_packed *w = &t->plan->constants->nodes[op->node].backward;
    leave_constants(t, op->node, op->a);
    const char *in = buffer(t, op->a);
    char *out = buffer(t, op->out);
    size_t row = (size_t)t->ls * t->size;
    int64_t chunk = bfi_chunk(2.0 * (double)(w->k * t->lanes), BF_PACK);
    for (int64_t r = 0; r < t->plan->graph->nodes[op->node].attrs.rows; r++)
        for (int64_t m = 0; m < w->m; m += chunk) {
            if ((r || m) && bfi_ws_stopped(t->ws)) return;
            t->kernels->linear(w, m, m + chunk < w->m ? m + chunk : w->m,
                               in + (size_t)(r * w->k) * row, out + (size_t)(r * w->m) * row, t->ls,
                               t->lanes);
        }
}

static void run_conv(const tile *t, const bfi_back_op *op) {
    const bfi_conv *conv = &t->plan->constants->nodes[op->node].conv_backward;
    leave_constants(t, op->node, op->a);
    int64_t terms = t->plan->constants->nodes[op->node].terms_backward;
    int64_t chunk =
        bfi_chunk(2.0 * (double)(conv->groups * conv->c_dst * conv->w_dst * terms * t->lanes), 1);
    for (int64_t y = 0; y < conv->h_dst; y += chunk) {
        if (y && bfi_ws_stopped(t->ws)) return;
        t->kernels->conv(conv, y, y + chunk < conv->h_dst ? y + chunk : conv->h_dst,
                         buffer(t, op->a), buffer(t, op->out), t->ls, t->lanes);
    }
}

static void run_sparse(const tile *t, const bfi_back_op *op) {
    if (op->which == 0) leave_constants(t, op->node, op->a);
    t->kernels->sparse(&t->plan->constants->nodes[op->node].sparse_backward[op->which],
                       buffer(t, op->a), buffer(t, op->out), t->ls, t->lanes);
}

static void run_scale(const tile *t, const bfi_back_op *op) {
    assert(op->out < 0 || t->plan->constants->nodes[op->node].scale);
    const bfi_node_constants *c = &t->plan->constants->nodes[op->node];
    bfi_relax r = relaxation(t, t->plan->graph->nodes[op->node].count, op->a, op->out);
    r.s_pos = r.s_neg = c->scale;
    r.t_pos = r.t_neg = c->bias;
    r.e = bfi_ws_numbers(t->ws, t->plan->state[op->node].e);
    relax_and_settle(t, r, t->plan->errors[op->node].gamma_dot, flat_error(t, op->node));
}

static void run_relax(const tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    assert(s->s_pos >= 0 && s->s_neg >= 0 && s->t_pos >= 0 && s->t_neg >= 0);
    bfi_relax r = relaxation(t, t->plan->graph->nodes[op->node].count, op->a, op->out);
    r.s_pos = bfi_ws_numbers(t->ws, s->s_pos), r.s_neg = bfi_ws_numbers(t->ws, s->s_neg);
    r.t_pos = bfi_ws_numbers(t->ws, s->t_pos), r.t_neg = bfi_ws_numbers(t->ws, s->t_neg);
    r.e = bfi_ws_numbers(t->ws, s->e);
    relax_and_settle(t, r, t->plan->errors[op->node].gamma_dot, flat_error(t, op->node));
}

static void run_pool(const tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    assert(s->pick_lo >= 0 && s->pick_hi >= 0 && s->t_neg >= 0);
    bfi_pool_backward p = {.n = t->plan->graph->nodes[op->node].count,
                           .ls = t->ls,
                           .lanes = t->lanes,
                           .pick_lo = bfi_ws_ints(t->ws, s->pick_lo),
                           .pick_hi = bfi_ws_ints(t->ws, s->pick_hi),
                           .a = buffer(t, op->a),
                           .t_neg = bfi_ws_numbers(t->ws, s->t_neg),
                           .out = buffer(t, op->out),
                           .t_sum = t->v.t_sum};
    clear(t, op->out);
    bfi_relax r = relaxation(t, p.n, op->a, -1);
    r.e = bfi_ws_numbers(t->ws, s->e);
    relax_and_settle(t, r, t->plan->errors[op->node].gamma_dot, flat_error(t, op->node));
    bfi_pool_backward_run(t->plan->dtype, &p);
    settle(t, true, false, 0, 0);
}

static void run_accumulate(const tile *t, const bfi_back_op *op) {
    int64_t n = t->plan->graph->nodes[op->node].count;
    void *out = buffer(t, op->out), *a = buffer(t, op->a);
    if (out != a) memcpy(out, a, (size_t)(n * t->ls) * t->size);
    t->kernels->accumulate(n, 1, buffer(t, op->b), out, t->ls, t->lanes);
    bfi_relax r = relaxation(t, n, op->out, -1);
    r.e = bfi_ws_numbers(t->ws, t->plan->state[op->node].e_sum);
    relax_and_settle(t, r, t->plan->errors[op->node].gamma_dot, 0);
}

static void run_negate(const tile *t, const bfi_back_op *op) {
    clear(t, op->out);
    t->kernels->accumulate(t->plan->graph->nodes[op->node].count, -1, buffer(t, op->a),
                           buffer(t, op->out), t->ls, t->lanes);
}

static void run_pass(const tile *t, const bfi_back_op *op) {
    bfi_relax r = relaxation(t, t->plan->graph->nodes[op->node].count, op->a, -1);
    r.e = bfi_ws_numbers(t->ws, t->plan->state[op->node].e);
    relax_and_settle(t, r, t->plan->errors[op->node].gamma_dot, flat_error(t, op->node));
}

static bfi_relax box_of(const tile *t, const bfi_back_op *op) {
    const bfi_value_state *s = &t->plan->state[op->node];
    assert(s->lo_t >= 0 && s->hi_t >= 0 && (!t->plan->outward || s->e_box >= 0));
    bfi_relax r = relaxation(t, t->plan->graph->nodes[op->node].count, op->a, -1);
    r.t_pos = bfi_ws_numbers(t->ws, s->lo_t), r.t_neg = bfi_ws_numbers(t->ws, s->hi_t);
    r.e = bfi_ws_numbers(t->ws, s->e_box);
    return r;
}

static double box_flat(const tile *t, const bfi_back_op *op) {
    return 4 * bfi_eta(t->plan->dtype) * (double)t->plan->graph->nodes[op->node].count;
}

static void run_box(const tile *t, const bfi_back_op *op) {
    relax_and_settle(t, box_of(t, op), t->plan->errors[op->node].gamma_dot, box_flat(t, op));
}

static double certified(const tile *t, double constant, double error) {
    double lower = t->plan->outward ? bfi_down(constant - error * BFI_ERROR_ROOM) : constant;
    if (t->plan->dtype == BFI_F32)
        lower = t->plan->outward ? (double)bfi_float_down(lower) : (double)(float)lower;
    return lower == lower ? lower : -INFINITY;
}

/* The functional's minimum here and now, without changing the lanes. */
static void run_try(const tile *t, const bfi_back_op *op) {
    bfi_relax r = box_of(t, op);
    if (!t->plan->outward) r.e = NULL, r.e_sum = NULL;
    t->kernels->relax(&r);
    double gamma = t->plan->errors[op->node].gamma_dot,
           flat = t->plan->outward ? box_flat(t, op) : 0;
    for (int64_t l = 0; l < t->lanes; l++) {
        double constant = t->v.constant[l] + bfi_load(t->plan->dtype, t->v.t_sum, l);
        double error = t->v.error[l] + flat + BF_U64 * fabs(constant);
        if (r.e) error += bfi_load(t->plan->dtype, t->v.e_sum, l) * (1 + 2 * gamma);
        double lower = certified(t, constant, error * BFI_ERROR_ROOM);
        if (lower > t->v.best[l]) t->v.best[l] = lower;
    }
}

static void (*const handlers[BFI_BACK_COUNT])(const tile *, const bfi_back_op *) = {
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
    [BFI_BACK_POOL] = run_pool,
    [BFI_BACK_ACCUMULATE] = run_accumulate,
    [BFI_BACK_BOX] = run_box,
    [BFI_BACK_TRY] = run_try,
};

static void run_op(tile *t, const bfi_back_op *op, const bfi_lowering *lowering, int step,
                   int worker) {
    double begin = t->ws->trace ? bfi_clock() : 0;
    t->kernels = lowering->kernels;
    handlers[op->kind](t, op);
    if (t->ws->trace)
        bfi_trace_add(t->ws->trace, (bfi_trace_event){begin, bfi_clock(), (int)op->kind, op->node,
                                                      step, worker, t->lanes});
}

bf_status bfi_backward_tile(const bf_plan *plan, bf_workspace *ws, int program_index, int step,
                            int worker, int64_t lanes, const double *spec, double *lower,
                            double *error) {
    const bfi_program *program = &plan->programs[program_index];
    const bfi_lowering *lowering = &plan->lowerings[plan->program_lowering[program_index]];
    assert(lanes >= 1 && lanes <= plan->tile_lanes);
    tile t = {.plan = plan,
              .ws = ws,
              .program = program,
              .memory = bfi_ws_tile(ws, worker),
              .lanes = lanes,
              .ls = lanes == 1 ? 1 : (lanes + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD,
              .v = bfi_tile_vectors(plan, ws, worker),
              .spec = spec,
              .size = bfi_dtype_size(plan->dtype)};
    for (int64_t l = 0; l < lanes; l++) {
        t.v.constant[l] = t.v.error[l] = 0;
        t.v.best[l] = -INFINITY;
    }
    for (int i = 0; i < program->op_count; i++) {
        if (bfi_ws_stopped(ws)) return (bf_status)atomic_load(&ws->failed);
        run_op(&t, &program->ops[i], &lowering[i], step, worker);
    }
    /* the last op may have stopped half-way */
    if (atomic_load_explicit(&ws->failed, memory_order_relaxed))
        return (bf_status)atomic_load(&ws->failed);
    for (int64_t l = 0; l < lanes; l++) {
        double bound = certified(&t, t.v.constant[l], t.v.error[l]);
        lower[l] = bound > t.v.best[l] ? bound : t.v.best[l];
        error[l] = bound > t.v.best[l] ? t.v.error[l] : 0;
    }
    return BF_STATUS_OK;
}

static double op_flops(const bf_plan *plan, const bfi_program *p, const bfi_back_op *op) {
    const bfi_node *node = &plan->graph->nodes[op->node];
    const bfi_node_constants *c = &plan->constants->nodes[op->node];
    switch (op->kind) {
        case BFI_BACK_LINEAR:
            return 2.0 * (double)(node->attrs.rows * c->backward.m * c->backward.k);
        case BFI_BACK_CONV:
            return 2.0 * (double)p->buffers[op->out].count * (double)c->terms_backward;
        case BFI_BACK_SPARSE:
            return 2.0 *
                   (double)c->sparse_backward[op->which].ptr[c->sparse_backward[op->which].rows];
        default:
            return op->a >= 0 ? 4.0 * (double)p->buffers[op->a].count : 0;
    }
}

double bfi_program_flops(const bf_plan *plan, const bfi_program *program) {
    double total = 0;
    for (int i = 0; i < program->op_count; i++) total += op_flops(plan, program, &program->ops[i]);
    return total;
}
