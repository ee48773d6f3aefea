#include "exec/shared.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* A lane's part of the gradient counts in units of 2^-bits of the row's width, so that sums of all
 * rows stay below 2^53: exact in float64, whatever their order. Parts beyond 2^ROOM widths do not
 * count. */
enum { EXACT_BITS = 52, ROOM = 10 };

static int row_bits(int64_t rows) {
    int bits = 0;
    while (((int64_t)1 << bits) < rows) bits++;
    return bits;
}

static double unit(int64_t rows) { return ldexp(1, EXACT_BITS - ROOM - row_bits(rows)); }

static const bfi_node *node_at(const bf_plan *plan, int id) { return &plan->graph->nodes[id]; }

static bool smooth(const bfi_node *node) {
    return bfi_slope_vectors(node) == BFI_SLOPE_SMOOTH_VECTORS;
}

/* True when |op| relaxes by shared slopes. */
static bool chooses(const bf_plan *plan, const bfi_program *p, const bfi_back_op *op) {
    return p->shared && (op->kind == BFI_BACK_RELAX || op->kind == BFI_BACK_ADJOINT_RELAX) &&
           bfi_slope_vectors(node_at(plan, op->node)) > 0;
}

/* Vector |which| of the shared slopes of node |id|. */
static void *vector(const bf_plan *plan, const bf_workspace *ws, int64_t box, int id, int which) {
    char *first = bfi_ws_numbers(ws, box, plan->state[id].shared);
    int64_t stride = bfi_slope_stride(node_at(plan, id)->count);
    assert(plan->state[id].shared >= 0 && which < bfi_shared_vectors(node_at(plan, id)));
    return first + (size_t)(which * stride) * bfi_dtype_size(plan->dtype);
}

static double *sums(const bf_plan *plan, const bf_workspace *ws, int worker) {
    return (double *)(void *)(bfi_ws_tile(ws, worker) + plan->sum_offset);
}

/* Sums of the parameter |which| of node |id|. */
static double *sums_of(const bf_plan *plan, const bf_workspace *ws, int worker, int id, int which) {
    int64_t skip = which == BFI_SLOPE_UPPER ? bfi_slope_stride(node_at(plan, id)->count) : 0;
    assert(plan->state[id].sums >= 0);
    return sums(plan, ws, worker) + plan->state[id].sums + skip;
}

/* Lines of the S-shaped function |id| at its parameters, and how they change with them. */
static void set_lines(const bf_plan *plan, const bf_workspace *ws, int64_t box, int id) {
    bfi_dtype dtype = plan->dtype;
    const char *family = bfi_ws_numbers(ws, box, plan->state[id].family);
    size_t family_bytes = BFI_FAMILY_NUMBERS * bfi_dtype_size(dtype);
    for (int64_t j = 0; j < node_at(plan, id)->count; j++, family += family_bytes)
        for (int i = 0; i < 4; i++) { /* slope and intercept, below then above */
            int p = i < 2 ? BFI_SLOPE_LOWER : BFI_SLOPE_UPPER;
            double at = bfi_load(dtype, vector(plan, ws, box, id, p), j) * BFI_FAMILY_SEGMENTS;
            int k = (int)at < BFI_FAMILY_SEGMENTS ? (int)at : BFI_FAMILY_SEGMENTS - 1;
            double from = bfi_load(dtype, family, 4 * k + i),
                   to = bfi_load(dtype, family, 4 * k + 4 + i);
            bfi_store(dtype, vector(plan, ws, box, id, BFI_SLOPE_S_POS + i), j,
                      fma(at - k, to - from, from));
            bfi_store(dtype, vector(plan, ws, box, id, BFI_SHARED_CHANGES + i), j, to - from);
        }
}

static void start_slopes(const bf_plan *plan, const bf_workspace *ws, int64_t box, int id) {
    const bfi_node *node = node_at(plan, id);
    size_t size = bfi_dtype_size(plan->dtype);
    int64_t stride = bfi_slope_stride(node->count);
    memset(vector(plan, ws, box, id, 0), 0, (size_t)(bfi_shared_vectors(node) * stride) * size);
    if (!smooth(node)) {
        memcpy(vector(plan, ws, box, id, BFI_SLOPE_LOWER),
               bfi_ws_numbers(ws, box, plan->state[id].s_pos), (size_t)node->count * size);
        return;
    }
    const char *family = bfi_ws_numbers(ws, box, plan->state[id].family);
    for (int64_t j = 0; j < node->count; j++) {
        int64_t start = (j + 1) * BFI_FAMILY_NUMBERS - 2;
        bfi_store(plan->dtype, vector(plan, ws, box, id, BFI_SLOPE_LOWER), j,
                  bfi_load(plan->dtype, family, start));
        bfi_store(plan->dtype, vector(plan, ws, box, id, BFI_SLOPE_UPPER), j,
                  bfi_load(plan->dtype, family, start + 1));
    }
    set_lines(plan, ws, box, id);
}

static void clear_sums(const bf_plan *plan, bf_workspace *ws) {
    for (int w = 0; w < plan->workers; w++)
        memset(sums(plan, ws, w), 0, (size_t)plan->sum_count * sizeof(double));
}

/* A row counts by the part of its width that it would gain. */
static void weigh_rows(const bf_plan *plan, const bf_workspace *ws, int64_t box, int target) {
    const bfi_value_state *state = &plan->state[target];
    const double *lo = bfi_ws_doubles(ws, box, state->lo), *hi = bfi_ws_doubles(ws, box, state->hi);
    double *weight = bfi_ws_doubles(ws, box, state->weight);
    int64_t n = node_at(plan, target)->count;
    for (int64_t j = 0; j < n; j++) {
        double width = hi[j] - lo[j];
        weight[j] = isfinite(width) && width > 0 ? unit(n) / width : 0;
    }
    memset(bfi_ws_ints(ws, box, state->idle), 0, (size_t)n * sizeof(int32_t));
}

void bfi_shared_start(const bf_plan *plan, bf_workspace *ws, int64_t box, int program) {
    const bfi_program *p = &plan->programs[program];
    assert(p->shared);
    for (int i = 0; i < p->adjoint; i++)
        if (chooses(plan, p, &p->ops[i])) start_slopes(plan, ws, box, p->ops[i].node);
    weigh_rows(plan, ws, box, p->target);
    clear_sums(plan, ws);
}

bf_status bfi_shared_tile(const bf_plan *plan, bf_workspace *ws, const bfi_tile_request *request,
                          bool gradient, double *lower, double *error) {
    bfi_tile t = bfi_tile_open(plan, ws, request);
    double scale[BFI_WIDEST_TILE] = {0};
    assert(t.program->shared && t.one_box);
    const double *weight = bfi_ws_doubles(ws, t.v.box[0], plan->state[t.program->target].weight);
    for (int64_t l = 0; l < t.lanes; l++) scale[l] = weight[t.v.row[l]];
    t.scale = scale;
    bf_status status = bfi_tile_bound(&t, lower, error);
    if (status == BF_STATUS_OK && gradient)
        status = bfi_tile_run(&t, t.program->adjoint, t.program->op_count);
    return status;
}

void bfi_shared_lines(const bfi_tile *t, const bfi_back_op *op, bfi_tile_step *step) {
    if (!chooses(t->plan, t->program, op)) return;
    bfi_parameter *const lines[4] = {&step->s_pos, &step->t_pos, &step->s_neg, &step->t_neg};
    for (int i = 0; i < 4 && smooth(node_at(t->plan, op->node)); i++)
        *lines[i] =
            (bfi_parameter){vector(t->plan, t->ws, 0, op->node, BFI_SLOPE_S_POS + i), BFI_BY_BOX};
    if (!smooth(node_at(t->plan, op->node)))
        step->s_pos =
            (bfi_parameter){vector(t->plan, t->ws, 0, op->node, BFI_SLOPE_LOWER), BFI_BY_BOX};
}

/* Adds the lanes' derivatives by the parameter |which| of the elements |line|. */
static void add_up(const bfi_tile *t, const bfi_back_op *op, int which, const bfi_line *line) {
    const bfi_node *node = node_at(t->plan, op->node);
    int64_t rows = node_at(t->plan, t->program->target)->count, box = t->v.box[0];
    bfi_gradient g = {.n = line->n,
                      .ls = t->ls,
                      .a = bfi_tile_at_line(t, op->b, line),
                      .z = bfi_tile_at_line(t, op->a, line),
                      .side = which == BFI_SLOPE_LOWER ? 1 : -1,
                      .scale = t->scale,
                      .limit = ldexp(1, EXACT_BITS - row_bits(rows)),
                      .sum = sums_of(t->plan, t->ws, t->worker, op->node, which) + line->first};
    if (smooth(node)) {
        int change = BFI_SHARED_CHANGES + (which == BFI_SLOPE_UPPER ? 2 : 0);
        size_t skip = (size_t)line->first * t->size;
        g.s = (char *)vector(t->plan, t->ws, box, op->node, change) + skip;
        g.t = (char *)vector(t->plan, t->ws, box, op->node, change + 1) + skip;
    } else {
        const bfi_value_state *in = &t->plan->state[node->inputs[0]];
        g.lo = bfi_ws_doubles(t->ws, box, in->lo) + line->first;
        g.hi = bfi_ws_doubles(t->ws, box, in->hi) + line->first;
    }
    t->run.kernels->gradient(&g);
}

void bfi_shared_gradient(const bfi_tile *t, const bfi_back_op *op, const bfi_line *line) {
    if (!chooses(t->plan, t->program, op)) return;
    add_up(t, op, BFI_SLOPE_LOWER, line);
    if (smooth(node_at(t->plan, op->node))) add_up(t, op, BFI_SLOPE_UPPER, line);
}

/* The sums of all workers as one gradient, in |x|. */
static void collect(const bf_plan *plan, const bf_workspace *ws, int id, int which, double by,
                    void *x) {
    for (int64_t j = 0; j < node_at(plan, id)->count; j++) {
        double total = 0;
        for (int w = 0; w < plan->workers; w++) total += sums_of(plan, ws, w, id, which)[j];
        bfi_store(plan->dtype, x, j, total / by);
    }
}

/* Steps the parameter |which| of node |id|: the kernel's a is 1, its x the gradient. Both stand in
 * the first worker's tile. */
static void step_slopes(const bf_plan *plan, const bf_workspace *ws, int64_t box, int id, int which,
                        double by, const bfi_ascent *up) {
    const bfi_node *node = node_at(plan, id);
    void *ones = bfi_ws_tile(ws, 0), *x = (char *)ones + bfi_align64(node->count * 8);
    for (int64_t j = 0; j < node->count; j++) bfi_store(plan->dtype, ones, j, 1);
    collect(plan, ws, id, which, by, x);
    bfi_ascend step = {.n = node->count,
                       .ls = 1,
                       .lanes = 1,
                       .a = ones,
                       .x = x,
                       .side = 1,
                       .p = vector(plan, ws, box, id, which),
                       .m = vector(plan, ws, box, id, which + 1),
                       .v = vector(plan, ws, box, id, which + 2),
                       .rate_m = up->rate_m,
                       .rate_v = up->rate_v,
                       .step = up->step,
                       .root = up->root,
                       .eps = up->eps,
                       .high = 1};
    if (!smooth(node)) {
        const bfi_value_state *in = &plan->state[node->inputs[0]];
        step.lo = bfi_ws_doubles(ws, box, in->lo), step.hi = bfi_ws_doubles(ws, box, in->hi);
        step.low = bfi_slope_low(node, plan->dtype);
    }
    plan->kernels->ascend(&step);
}

void bfi_shared_step(const bf_plan *plan, bf_workspace *ws, int64_t box, int program,
                     const bfi_ascent *ascent) {
    const bfi_program *p = &plan->programs[program];
    double by = unit(node_at(plan, p->target)->count);
    for (int i = 0; i < p->adjoint; i++) {
        int id = p->ops[i].node;
        if (!chooses(plan, p, &p->ops[i])) continue;
        step_slopes(plan, ws, box, id, BFI_SLOPE_LOWER, by, ascent);
        if (!smooth(node_at(plan, id))) continue;
        step_slopes(plan, ws, box, id, BFI_SLOPE_UPPER, by, ascent);
        set_lines(plan, ws, box, id);
    }
    clear_sums(plan, ws);
}
