#include "exec/splits.h"

#include <assert.h>

#include "exec/curves.h"

enum { SLOPE_STEPS = 255 };

static double load(const bfi_tile *t, int buffer, int64_t element, int64_t lane) {
    return bfi_load(t->plan->dtype, bfi_tile_buffer(t, buffer), element * t->ls + lane);
}

static void put(const bfi_tile *t, int buffer, int64_t element, int64_t lane, double x) {
    bfi_store(t->plan->dtype, bfi_tile_buffer(t, buffer), element * t->ls + lane, x);
}

/* What the tile's box keeps of |op|'s elements, their number first; NULL: all, or not known. */
static const int32_t *kept(const bfi_tile *t, const bfi_back_op *op) {
    if (op->kind != BFI_BACK_RELAX) return NULL; /* max pooling */
    return bfi_kept_elements(t->plan, t->ws, t->v.box[0], t->program, (int)(op - t->program->ops));
}

static bool is_kept(const int32_t *active, int64_t j) {
    int32_t low = 0, high = active ? active[0] : 0;
    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (active[1 + middle] < j)
            low = middle + 1;
        else
            high = middle;
    }
    return !active || (low < active[0] && active[1 + low] == j);
}

bool bfi_splits_in_parts(const bfi_tile *t) {
    bool in = true;
    for (int i = t->program->loop; i < t->program->adjoint && in; i++) {
        const bfi_back_op *op = &t->program->ops[i];
        const int32_t *active = op->kind == BFI_BACK_RELAX ? kept(t, op) : NULL;
        for (int64_t l = 0; l < t->lanes && active && in; l++) {
            const bfi_lane_splits *s = t->splits->lane[l];
            for (int32_t k = 0; k < s->count && in; k++)
                in = s->crossings[k].node != op->node || is_kept(active, s->crossings[k].neuron);
            if (s->tilt.by != 0 && s->tilt.node == op->node)
                in = in && is_kept(active, s->tilt.neuron);
        }
    }
    return in;
}

/* Mean size of the lane's coefficients in |op|'s operand: of those that its box keeps. */
static double mean_size(const bfi_tile *t, const bfi_back_op *op, int64_t lane) {
    const int32_t *active = kept(t, op);
    int64_t n = active ? active[0] : t->plan->graph->nodes[op->node].count;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += fabs(load(t, op->a, active ? active[1 + i] : i, lane));
    return n > 0 ? sum / (double)n : 0;
}

void bfi_splits_take(const bfi_tile *t, const bfi_back_op *op) {
    assert(!bfi_tile_windowed(t, op->a));
    for (int64_t l = 0; l < t->lanes; l++) {
        bfi_lane_splits *s = t->splits->lane[l];
        double scale = 0;
        for (int32_t i = 0; i < s->count; i++) {
            bfi_crossing *c = &s->crossings[i];
            if (c->node != op->node) continue;
            assert(bfi_tile_buffer(t, op->out) != bfi_tile_buffer(t, op->a));
            if (!(c->scale > 0) && c->count > 0) {
                if (!(scale > 0)) scale = mean_size(t, op, l);
                c->scale = scale;
            }
            if (c->bare) continue;
            c->a = load(t, op->a, c->neuron, l);
            put(t, op->a, c->neuron, l, 0);
        }
    }
}

/* |x| times |y| without a NaN from zero times infinity. */
static double times(double x, double y) { return x > 0 && y > 0 ? x * y : 0; }

/* Takes the terms of the crossing's multipliers off a coefficient of the split number. A rounding
 * only changes the multiplier, and never its sign, since rounding is monotone. */
static double multiply(const bfi_tile *t, const bfi_crossing *c, double a, double *shift,
                       double *error) {
    for (int32_t i = 0; i < c->count; i++) {
        const bfi_multiplier *b = &c->multipliers[i];
        double next = bfi_in_dtype(t->plan->dtype, a - b->sign * b->value), taken = a - next;
        assert(!(b->sign * taken < 0)); /* no number where coefficients overflow */
        if (!(fabs(taken) < INFINITY)) continue;
        if (b->point != 0 && taken != 0) {
            *shift += taken * b->point;
            *error += 4 * BF_U64 * (fabs(taken * b->point) + fabs(*shift)) + 0x1p-1070;
        }
        a = next;
    }
    return a;
}

/* What the crossing's line leaves of the coefficient that it took. |e| is the error of the op per
 * unit of it. Every rounding is in the error. */
static double cross(const bfi_tile *t, const bfi_crossing *c, double e, double *shift,
                    double *error) {
    bool below = c->a >= 0;
    double s = below ? c->lines.s_pos : c->lines.s_neg,
           off = below ? c->lines.t_pos : c->lines.t_neg; /* may be infinite */
    double exact = c->a * s, out = bfi_in_dtype(t->plan->dtype, exact);
    double lost = fabs(exact - out) + (s == 0 || s == 1 ? 0 : BF_U64 * fabs(exact) + 0x1p-1070);
    *error += times(lost, c->reach) + times(e, fabs(c->a));
    if (off != 0 && c->a != 0) {
        *shift += c->a * off;
        *error += BF_U64 * (fabs(c->a * off) + fabs(*shift)) + 0x1p-1070;
    }
    return out;
}

/* An activation's line, then the multipliers of its input. */
static void put_activation(const bfi_tile *t, const bfi_back_op *op, const bfi_crossing *c,
                           int64_t l, double e, double *shift, double *error) {
    double out = cross(t, c, e, shift, error);
    put(t, op->out, c->neuron, l, multiply(t, c, out, shift, error));
}

/* A window's line: the element may have got the coefficients of other windows already. Multipliers
 * come when all windows are there. */
static void put_pooled(const bfi_tile *t, const bfi_back_op *op, const bfi_crossing *c, int64_t l,
                       double e, double *shift, double *error) {
    int64_t element = c->bare ? c->neuron : c->a >= 0 ? c->below : c->above;
    double there = load(t, op->out, element, l);
    if (c->bare) {
        put(t, op->out, element, l, multiply(t, c, there, shift, error));
        return;
    }
    double exact = there + cross(t, c, e, shift, error), sum = bfi_in_dtype(t->plan->dtype, exact);
    *error += times(fabs(exact - sum) + BF_U64 * fabs(exact), c->reach);
    put(t, op->out, element, l, sum);
}

static void put_crossing(const bfi_tile *t, const bfi_back_op *op, const bfi_crossing *c, int64_t l,
                         double e) {
    double *constant = &t->v.constant[l], shift = 0, error = 0;
    bool pool = op->kind == BFI_BACK_POOL;
    (pool ? put_pooled : put_activation)(t, op, c, l, e, &shift, &error);
    if (!c->bare) put(t, op->a, c->neuron, l, c->a); /* others may read it */
    *constant += shift;
    if (shift != 0) error += BF_U64 * fabs(*constant);
    if (t->plan->outward) t->v.error[l] += error * BFI_ERROR_ROOM;
}

/* What is lost where the sum does not fit the dtype is in the error. Bounds that the lane had on
 * boxes so far were of its row alone. */
static void tilt(const bfi_tile *t, const bfi_back_op *op, const bfi_tilt *by, int64_t l) {
    double before = load(t, op->out, by->neuron, l), sum = before + by->by,
           out = bfi_in_dtype(t->plan->dtype, sum);
    put(t, op->out, by->neuron, l, out);
    t->v.best[l] = -INFINITY;
    double lost = fabs(sum - out) + BF_U64 * fabs(sum) + 0x1p-1070;
    if (t->plan->outward) t->v.error[l] += times(lost, by->reach) * BFI_ERROR_ROOM;
}

void bfi_splits_put(const bfi_tile *t, const bfi_back_op *op) {
    const void *e_by_box = bfi_ws_numbers(t->ws, 0, t->plan->state[op->node].e);
    for (int64_t l = 0; l < t->lanes; l++) {
        const bfi_lane_splits *s = t->splits->lane[l];
        for (int32_t i = 0; i < s->count; i++) {
            const bfi_crossing *c = &s->crossings[i];
            if (c->node != op->node) continue;
            double e = 0;
            if (e_by_box && t->plan->outward && !c->bare)
                e = bfi_load(t->plan->dtype, bfi_tile_of_box(t, e_by_box, l), c->neuron);
            put_crossing(t, op, c, l, e);
        }
        if (s->tilt.by != 0 && s->tilt.node == op->node) tilt(t, op, &s->tilt, l);
    }
}

/* One step of Adam along -sign (z - point), z the split number, as the slopes' (kernels/kernel.h,
 * bfi_ascend). */
static void step(const bfi_tile *t, const bfi_crossing *c, double z) {
    const bfi_ascent *up = t->ascent;
    for (int32_t i = 0; i < c->count; i++) {
        bfi_multiplier *b = &c->multipliers[i];
        double g = -b->sign * (z - b->point);
        if (!(fabs(g) < INFINITY)) continue;
        b->m += (g - b->m) * up->rate_m;
        b->v = g * g * up->rate_v + b->v * (1 - up->rate_v);
        double by = up->step * t->splits->pace * c->scale;
        double next = b->value + by * b->m / (sqrt(b->v) * up->root + up->eps);
        b->value = next > 0 && next < 0x1p100 ? (double)(float)next : 0;
    }
}

/* The layer before the activation's input has a bias of its own; NULL: not that simple. */
static const double *bias_before(const bfi_tile *t, const bfi_node *op) {
    int before = bfi_value_root(t->plan->graph, op->inputs[0]);
    bfi_op kind = t->plan->graph->nodes[before].op;
    bool weighted = kind == BFI_OP_LINEAR || kind == BFI_OP_CONV || kind == BFI_OP_CONV_TRANSPOSE;
    return weighted ? t->plan->constants->nodes[before].bias_exact : NULL;
}

static int activation_of(const bf_plan *plan, int value) {
    for (int i = 0; i < plan->split_count; i++)
        if (plan->split_values[i] == value) return i;
    return -1;
}

/* Coefficients of the lane's crossings at |op|: zero, or as they were. */
static void hide(const bfi_tile *t, const bfi_back_op *op, int64_t l, bool hidden) {
    const bfi_lane_splits *s = t->splits->lane[l];
    for (int32_t i = 0; i < s->count; i++)
        if (s->crossings[i].node == op->node)
            put(t, op->b, s->crossings[i].neuron, l, hidden ? 0 : s->crossings[i].a);
}

/* Parameters that an activation chooses by lane: one of a kink, two of an S-shaped function. */
static int parameters(const bfi_node *node) {
    return bfi_slope_vectors(node) == BFI_SLOPE_SMOOTH_VECTORS ? 2
           : bfi_slope_vectors(node) > 0                       ? 1
                                                               : 0;
}

static void look(const bfi_tile *t, const bfi_back_op *op, int64_t l) {
    const bfi_node *node = &t->plan->graph->nodes[op->node];
    const bfi_lane_splits *s = t->splits->lane[l];
    bool pool = op->kind == BFI_BACK_ADJOINT_POOL;
    int value = bfi_value_root(t->plan->graph, node->inputs[0]);
    const bfi_value_state *in = &t->plan->state[node->inputs[0]];
    const char *a = bfi_tile_buffer(t, op->b), *z = bfi_tile_buffer(t, op->a);
    int64_t box = t->v.box[l];
    bfi_node_view view = {.activation = activation_of(t->plan, value),
                          .op = node,
                          .n = node->count,
                          .stride = t->ls,
                          .dtype = t->plan->dtype,
                          .a = a + (size_t)l * t->size,
                          .z = z + (size_t)l * t->size,
                          .lo = bfi_ws_doubles(t->ws, box, in->lo),
                          .hi = bfi_ws_doubles(t->ws, box, in->hi),
                          .bias = pool ? NULL : bias_before(t, node)};
    bool kink = parameters(node) == 1;
    if (kink) hide(t, op, l, true);
    t->splits->look(t->splits->user, s->index, &view);
    if (kink) hide(t, op, l, false);
}

/* The number on the line that the crossing took, and a step of its multipliers. */
static void follow(const bfi_tile *t, const bfi_back_op *op, const bfi_crossing *c, int64_t l) {
    bool below = c->a >= 0;
    double z = load(t, op->a, c->bare ? c->neuron : below ? c->below : c->above, l);
    double y = below ? c->lines.s_pos * z + c->lines.t_pos : c->lines.s_neg * z + c->lines.t_neg;
    if (op->out >= 0 && !c->bare) put(t, op->out, c->neuron, l, y);
    if (t->ascent) step(t, c, z);
}

void bfi_splits_follow(const bfi_tile *t, const bfi_back_op *op) {
    for (int64_t l = 0; l < t->lanes; l++) {
        const bfi_lane_splits *s = t->splits->lane[l];
        for (int32_t i = 0; i < s->count; i++)
            if (s->crossings[i].node == op->node) follow(t, op, &s->crossings[i], l);
        if (t->splits->looking && t->splits->look && s->look) look(t, op, l);
    }
}

void bfi_splits_corner(const bfi_tile *t, const bfi_back_op *op) {
    int64_t n = t->plan->graph->nodes[op->node].count;
    if (!t->splits->looking || op->node != 0) return;
    for (int64_t l = 0; l < t->lanes; l++)
        for (int64_t j = 0; t->splits->lane[l]->corner && j < n; j++)
            t->splits->lane[l]->corner[j] = load(t, op->out, j, l);
}

int64_t bfi_splits_slope_bytes(const bf_plan *plan, int program) {
    const bfi_program *p = program >= 0 ? &plan->programs[program] : NULL;
    int64_t bytes = 0;
    for (int i = 0; p && i < p->loop; i++) {
        const bfi_node *node = &plan->graph->nodes[p->ops[i].node];
        if (p->ops[i].kind == BFI_BACK_SLOPES) bytes += parameters(node) * node->count;
    }
    return bytes;
}

/* A slope in [low, 1] as a byte and back; both ends are exact. */
static uint8_t to_byte(double slope, double low) {
    double part = (slope - low) / (1 - low) * SLOPE_STEPS;
    return (uint8_t)(part > 0 ? fmin(part + 0.5, SLOPE_STEPS) : 0);
}
static double from_byte(uint8_t byte, double low) {
    if (byte == SLOPE_STEPS) return 1;
    return low + (1 - low) * byte / SLOPE_STEPS;
}

/* The bytes of every lane in the tile; NULL where they do not move. */
typedef struct lane_bytes {
    uint8_t *of[BFI_WIDEST_TILE];
    bool save;
} lane_bytes;

/* One parameter of all lanes, at |row|, and byte |at| of theirs. |slopes| are those of all bytes.
 */
static void move_row(const bfi_tile *t, char *row, const lane_bytes *b, int64_t at, double low,
                     const double *slopes) {
    bfi_dtype dtype = t->plan->dtype;
    for (int64_t l = 0; l < t->lanes; l++) {
        if (!b->of[l]) continue;
        if (b->save)
            b->of[l][at] = to_byte(bfi_load(dtype, row, l), low);
        else
            bfi_store(dtype, row, l, slopes[b->of[l][at]]);
    }
}

/* Parameters of |op|'s activation, whose first byte is |at|; where the next ones are. Stable
 * neurons of kinks keep their exact lines: their errors hold for no others. */
static int64_t move_slopes(const bfi_tile *t, const bfi_back_op *op, const lane_bytes *b,
                           int64_t at) {
    const bfi_node *node = &t->plan->graph->nodes[op->node];
    const bfi_value_state *in = &t->plan->state[node->inputs[0]];
    const double *lo = bfi_ws_doubles(t->ws, t->v.box[0], in->lo),
                 *hi = bfi_ws_doubles(t->ws, t->v.box[0], in->hi);
    bool kink = parameters(node) == 1;
    double low = kink ? bfi_slope_low(node, t->plan->dtype) : 0, slopes[SLOPE_STEPS + 1];
    for (int i = 0; i <= SLOPE_STEPS; i++) slopes[i] = fmax(from_byte((uint8_t)i, low), low);
    for (int which = 0; which < parameters(node); which++) {
        int64_t first = (which ? BFI_SLOPE_UPPER : BFI_SLOPE_LOWER) * bfi_slope_stride(node->count);
        char *rows = bfi_tile_buffer(t, op->out) + (size_t)(first * t->ls) * t->size;
        for (int64_t j = 0; j < node->count; j++, at++)
            if (!kink || (lo[j] < 0 && hi[j] > 0))
                move_row(t, rows + (size_t)(j * t->ls) * t->size, b, at, low, slopes);
    }
    return at;
}

/* Bytes of stable neurons are not looked at. */
static void move_all(const bfi_tile *t, bool save) {
    lane_bytes b = {.save = save};
    int64_t at = 0;
    bool any = false;
    assert(t->one_box);
    for (int64_t l = 0; l < t->lanes; l++) {
        const bfi_lane_splits *splits = t->splits->lane[l];
        b.of[l] = save || !splits->fresh ? splits->slopes : NULL;
        any = any || b.of[l];
    }
    for (int i = 0; i < t->program->loop && any; i++)
        if (t->program->ops[i].kind == BFI_BACK_SLOPES)
            at = move_slopes(t, &t->program->ops[i], &b, at);
}

void bfi_splits_load(const bfi_tile *t) { move_all(t, false); }
void bfi_splits_save(const bfi_tile *t) { move_all(t, true); }
