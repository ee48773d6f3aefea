#include "exec/forward.h"

#include <assert.h>
#include <string.h>

#include "exec/forms.h"
#include "exec/forward_internal.h"
#include "exec/parts.h"

/* Inputs are left out of a weighted node's sums when at most this part of them is other than zero.
 */
enum { PART_PERCENT = 75, CONV_PERCENT = 40 };

void bfi_put_interval(const bfi_transfer *t, int64_t j, double lo, double hi) {
    bool f32 = t->plan->dtype == BFI_F32;
    if (t->plan->outward) {
        lo = f32 ? (double)bfi_float_down(lo) : lo;
        hi = f32 ? (double)bfi_float_up(hi) : hi;
    } else if (f32) {
        lo = (double)(float)lo;
        hi = (double)(float)hi;
    }
    double *to_lo = bfi_kept_doubles(t, t->state->lo) + j,
           *to_hi = bfi_kept_doubles(t, t->state->hi) + j;
    bool again = t->ws->choose; /* then the better of both stays: the value may be bounded */
    if (!again || lo > *to_lo) *to_lo = lo == lo ? lo : -INFINITY;
    if (!again || hi < *to_hi) *to_hi = hi == hi ? hi : INFINITY;
}

/* Relative error of one float32 evaluation with |terms| terms in any order, and its underflow part.
 */
static double execution_rel(const bfi_transfer *t, double terms) {
    return t->plan->options.semantics == BF_SEMANTICS_FLOAT32 ? bfi_gamma(terms + 1, BF_U32) : 0;
}
static double execution_abs(const bfi_transfer *t, double terms) {
    return t->plan->options.semantics == BF_SEMANTICS_FLOAT32 ? (terms + 1) * 0x1p-149 : 0;
}

static void put_error(const bfi_transfer *t, int64_t j, double e, double own) {
    if (t->state->e >= 0)
        bfi_store_up(t->plan->dtype, bfi_kept_numbers(t, t->state->e), j, e * BFI_ERROR_ROOM);
    if (t->state->own >= 0) bfi_kept_doubles(t, t->state->own)[j] = own * BFI_ERROR_ROOM;
}

static void put_flat_error(const bfi_transfer *t, double per_magnitude) {
    double total = 0;
    if (t->plan->outward) {
        for (int i = 0; i < t->node->n_inputs && per_magnitude > 0; i++) {
            int value = t->node->inputs[i];
            total += t->run.kernels->magnitudes(t->plan->graph->nodes[value].count,
                                                bfi_lo(t, value), bfi_hi(t, value));
        }
        total =
            bfi_up(bfi_mul_up(total * BFI_ERROR_ROOM, per_magnitude) + 4 * t->eta * (double)t->n);
    }
    bfi_kept_doubles(t, t->plan->e_flat)[t->id] = total;
}

/* gamma of the roundings that a coefficient passes in the node's backward product; sums over
 * outputs run in order, so later outputs pass fewer. A conv channel's taps stand together: its
 * first counts. */
static void set_backward_gamma(const bfi_transfer *t, bfi_finish *f) {
    const bfi_node_error *error = &t->plan->errors[t->id];
    f->gamma = &error->gamma_backward;
    f->gamma_inner = f->gamma_count = 1;
    if (!error->by_term) return;
    const bfi_conv *back = &t->constants->conv_backward;
    bool linear = t->node->op == BFI_OP_LINEAR;
    f->gamma = error->by_term;
    f->gamma_inner = linear ? 1 : back->h_src * back->w_src;
    f->gamma_count = linear ? t->node->attrs.n : back->c_src;
}

/* Turns the sums of a weighted or structural node (scratch) into intervals and errors. */
static void finish_sums(const bfi_transfer *t, const void *s_lo, const void *s_hi,
                        const void *mag) {
    const bfi_node_constants *c = t->constants;
    bool outward = t->plan->outward, rounds = c->depth_forward > 0 || c->bias_exact;
    double terms = (double)c->terms_forward;
    bfi_finish f = {.n = t->n,
                    .outward = outward,
                    .s_lo = s_lo,
                    .s_hi = s_hi,
                    .mag = mag,
                    .bias = c->bias_exact,
                    .bias_error = c->bias_error,
                    .bias_t = c->bias,
                    .gamma_forward = t->plan->errors[t->id].gamma_forward,
                    .weight_rel = c->weight_rel,
                    .bias_rel = c->bias_rel,
                    .exec_rel = outward && rounds ? execution_rel(t, terms) : 0,
                    .exec_abs = outward && rounds ? execution_abs(t, terms) : 0,
                    .flat = c->depth_forward > 0 ? 2 * terms * t->eta : 0,
                    .gamma_unit = t->plan->errors[t->id].gamma_unit,
                    .lo = bfi_kept_doubles(t, t->state->lo),
                    .hi = bfi_kept_doubles(t, t->state->hi),
                    .own = bfi_kept_doubles(t, t->state->own),
                    .e = bfi_kept_numbers(t, t->state->e)};
    set_backward_gamma(t, &f);
    t->run.kernels->finish(&f);
    put_flat_error(t, 2 * t->eta * (double)c->terms_backward);
}

static void *scratch(const bfi_transfer *t, int which) {
    size_t size = bfi_dtype_size(t->plan->dtype);
    return bfi_ws_tile(t->ws, t->worker) + (size_t)which * (size_t)t->plan->scratch_count * size;
}

static const char *at(const void *array, int64_t index, size_t size) {
    return (const char *)array + (size_t)index * size;
}

/* The elements of the operand that are other than zero, when leaving out the others pays. */
static const int32_t *nonzero_inputs(const bfi_transfer *t) {
    if (!bfi_sums_in_part(t->node, t->constants)) return NULL;
    const int32_t *list = bfi_nonzero_elements(t->plan, t->ws, t->box, t->node->inputs[0]);
    int64_t count = t->plan->graph->nodes[t->node->inputs[0]].count,
            percent = t->node->op == BFI_OP_LINEAR ? PART_PERCENT : CONV_PERCENT;
    return list && 100 * list[0] <= percent * count ? list : NULL;
}

/* Output rows [m, end) of a product with one matrix, over the inputs on |list|. */
static void part_of_linear(const bfi_transfer *t, const int32_t *list, int64_t m, int64_t end) {
    const bfi_value_state *in = &t->plan->state[t->node->inputs[0]];
    bfi_part part = {.terms = list + 1, .term_count = list[0]};
    t->run.kernels->interval_linear_part(
        &t->constants->forward, &part, m, end, bfi_kept_numbers(t, in->lo_t),
        bfi_kept_numbers(t, in->hi_t), scratch(t, 0), scratch(t, 1), scratch(t, 2));
}

static void forward_linear(const bfi_transfer *t) {
    const bfi_value_state *in = &t->plan->state[t->node->inputs[0]];
    const char *lo = bfi_kept_numbers(t, in->lo_t), *hi = bfi_kept_numbers(t, in->hi_t);
    char *s_lo = scratch(t, 0), *s_hi = scratch(t, 1), *mag = scratch(t, 2);
    size_t size = bfi_dtype_size(t->plan->dtype);
    const bfi_packed *w = &t->constants->forward;
    int64_t chunk = bfi_chunk(6.0 * (double)w->k, BF_PACK);
    const int32_t *list = nonzero_inputs(t);
    for (int64_t r = 0; r < t->node->attrs.rows; r++)
        for (int64_t m = 0; m < w->m; m += chunk) {
            if ((r || m) && bfi_ws_stopped(t->ws)) return;
            int64_t end = m + chunk < w->m ? m + chunk : w->m;
            if (list) {
                part_of_linear(t, list, m, end);
                continue;
            }
            bfi_run_interval_linear(&t->run, w, m, end, at(lo, r * w->k, size),
                                    at(hi, r * w->k, size), s_lo + (size_t)(r * w->m) * size,
                                    s_hi + (size_t)(r * w->m) * size,
                                    mag + (size_t)(r * w->m) * size, 1, 1);
        }
    finish_sums(t, s_lo, s_hi, mag);
}

static void forward_conv(const bfi_transfer *t) {
    const bfi_value_state *in = &t->plan->state[t->node->inputs[0]];
    const bfi_conv *conv = &t->constants->conv_forward;
    double row_flops =
        6.0 * (double)(conv->groups * conv->c_dst * conv->w_dst * t->constants->terms_forward);
    int64_t chunk = bfi_chunk(row_flops, 1);
    const int32_t *list = nonzero_inputs(t);
    const void *lo = bfi_kept_numbers(t, in->lo_t), *hi = bfi_kept_numbers(t, in->hi_t);
    bfi_conv_part part = {NULL, NULL};
    if (list)
        part.src = bfi_list_bytes(list, conv->groups * conv->c_src * conv->h_src * conv->w_src);
    for (int64_t y = 0; y < conv->h_dst; y += chunk) {
        int64_t end = y + chunk < conv->h_dst ? y + chunk : conv->h_dst;
        if (y && bfi_ws_stopped(t->ws)) return;
        if (list)
            t->run.kernels->interval_conv_part(conv, &part, y, end, lo, hi, scratch(t, 0),
                                               scratch(t, 1), scratch(t, 2));
        else
            bfi_run_interval_conv(&t->run, conv, y, end, lo, hi, scratch(t, 0), scratch(t, 1),
                                  scratch(t, 2), 1, 1);
    }
    finish_sums(t, scratch(t, 0), scratch(t, 1), scratch(t, 2));
}

/* Rows of the inputs of a concatenation are disjoint, so the parts just add up (to themselves). */
static void forward_structural(const bfi_transfer *t) {
    const bfi_kernels *k = t->run.kernels;
    for (int which = 0; which < t->node->n_inputs; which++) {
        const bfi_value_state *in = &t->plan->state[t->node->inputs[which]];
        int base = which == 0 ? 0 : 3;
        k->interval_sparse(&t->constants->sparse_forward[which], bfi_kept_numbers(t, in->lo_t),
                           bfi_kept_numbers(t, in->hi_t), scratch(t, base), scratch(t, base + 1),
                           scratch(t, base + 2), 1, 1);
        for (int part = 0; which > 0 && part < 3; part++)
            k->accumulate(t->n, 1, scratch(t, base + part), scratch(t, part), 1, 1);
    }
    finish_sums(t, scratch(t, 0), scratch(t, 1), scratch(t, 2));
}

static void forward_scale(const bfi_transfer *t) {
    const bfi_node_constants *c = t->constants;
    const double *lo = bfi_lo(t, t->node->inputs[0]), *hi = bfi_hi(t, t->node->inputs[0]);
    bool outward = t->plan->outward;
    double exec_rel = outward ? execution_rel(t, t->node->attrs.roundings) : 0;
    double exec_abs = outward ? execution_abs(t, t->node->attrs.roundings) : 0;
    put_flat_error(t, c->scale ? 2 * t->eta : 0); /* before the operand is overwritten in place */
    for (int64_t j = 0; j < t->n; j++) {
        double s = c->scale ? t->node->weight.data[j] : 1, b = c->bias_exact ? c->bias_exact[j] : 0;
        double a = fma(s, s >= 0 ? lo[j] : hi[j], b), z = fma(s, s >= 0 ? hi[j] : lo[j], b);
        if (outward) {
            double m = fabs(s) * bfi_magnitude(lo[j], hi[j]) * BFI_ERROR_ROOM;
            double inexact = BF_U64 * t->node->attrs.const_ulps * (m + fabs(b));
            if (c->bias_error) inexact += c->bias_error[j];
            double exec = exec_rel * (m + fabs(b)) + exec_abs;
            double slope = c->scale ? (t->u + c->weight_rel) * m * BFI_ERROR_ROOM : 0;
            double bias_t = c->bias ? fabs(b - bfi_load(t->plan->dtype, c->bias, j)) : 0;
            double widen = (inexact + exec) * BFI_ERROR_ROOM;
            a = bfi_down(bfi_down(a) - widen);
            z = bfi_up(bfi_up(z) + widen);
            put_error(t, j, slope + bfi_dot_gamma(t, j) * fabs(b) + bias_t + inexact + exec,
                      inexact + exec);
        }
        bfi_put_interval(t, j, a, z);
    }
}

/* Again, when the better of two intervals stays (bfi_put_interval). */
static void forward_add_again(const bfi_transfer *t, const bfi_add *a) {
    for (int64_t j = 0; j < t->n; j++) {
        double lo = a->x_lo[j] + (a->subtract ? -a->y_hi[j] : a->y_lo[j]);
        double hi = a->x_hi[j] + (a->subtract ? -a->y_lo[j] : a->y_hi[j]);
        if (a->outward) {
            double exec = (a->exec_rel * bfi_magnitude(lo, hi) + a->exec_abs) * BFI_ERROR_ROOM;
            lo = bfi_down(bfi_down(lo) - exec);
            hi = bfi_up(bfi_up(hi) + exec);
            put_error(t, j, exec, exec);
        }
        bfi_put_interval(t, j, lo, hi);
    }
}

static void forward_add(const bfi_transfer *t) {
    bool outward = t->plan->outward;
    bfi_add a = {.n = t->n,
                 .outward = outward,
                 .subtract = t->node->op == BFI_OP_SUB,
                 .x_lo = bfi_lo(t, t->node->inputs[0]),
                 .x_hi = bfi_hi(t, t->node->inputs[0]),
                 .y_lo = bfi_lo(t, t->node->inputs[1]),
                 .y_hi = bfi_hi(t, t->node->inputs[1]),
                 .exec_rel = outward ? execution_rel(t, 1) : 0,
                 .exec_abs = outward ? execution_abs(t, 1) : 0,
                 .lo = bfi_kept_doubles(t, t->state->lo),
                 .hi = bfi_kept_doubles(t, t->state->hi),
                 .own = bfi_kept_doubles(t, t->state->own),
                 .e = bfi_kept_numbers(t, t->state->e)};
    if (t->ws->choose)
        forward_add_again(t, &a);
    else
        t->run.kernels->add(&a);
    put_flat_error(t, 0);
}

static void forward_const(const bfi_transfer *t) {
    for (int64_t j = 0; j < t->n; j++)
        bfi_put_interval(t, j, t->constants->bias_exact[j], t->constants->bias_exact[j]);
}

/* The interval of a reshape is its input's: both share storage. */
static void forward_alias(const bfi_transfer *t) { (void)t; }

static bfi_transfer view(const bf_plan *plan, bf_workspace *ws, int64_t box, int id, int worker) {
    return (bfi_transfer){.plan = plan,
                          .ws = ws,
                          .box = box,
                          .id = id,
                          .worker = worker,
                          .run = bfi_dispatch_of(&plan->lowerings[id], ws, worker),
                          .node = &plan->graph->nodes[id],
                          .constants = &plan->constants->nodes[id],
                          .state = &plan->state[id],
                          .u = bfi_unit_roundoff(plan->dtype),
                          .eta = bfi_eta(plan->dtype),
                          .n = plan->graph->nodes[id].count};
}

void bfi_forward_input(const bf_plan *plan, bf_workspace *ws, int64_t box, const double *lo,
                       const double *hi) {
    bfi_transfer t = view(plan, ws, box, 0, 0);
    plan->kernels->enclose(t.n, plan->outward, lo, hi, bfi_kept_doubles(&t, t.state->lo),
                           bfi_kept_doubles(&t, t.state->hi));
    if (plan->formed[0]) bfi_form_node(&t);
}

void bfi_forward_node(const bf_plan *plan, bf_workspace *ws, int64_t box, int id, int worker) {
    bfi_transfer t = view(plan, ws, box, id, worker);
    if (plan->formed[id]) bfi_form_node(&t); /* first: the interval may take over an operand's */
    switch (t.node->op) {
        case BFI_OP_LINEAR:
            forward_linear(&t);
            break;
        case BFI_OP_CONV:
        case BFI_OP_CONV_TRANSPOSE:
            forward_conv(&t);
            break;
        case BFI_OP_SCALE_SHIFT:
            forward_scale(&t);
            break;
        case BFI_OP_ADD:
        case BFI_OP_SUB:
            forward_add(&t);
            break;
        case BFI_OP_CONST:
            forward_const(&t);
            break;
        case BFI_OP_RESHAPE:
            forward_alias(&t);
            break;
        default:
            switch (bfi_op_class_of(t.node->op)) {
                case BFI_CLASS_STRUCTURAL:
                    forward_structural(&t);
                    break;
                case BFI_CLASS_UNARY:
                    bfi_forward_unary(&t);
                    break;
                default:
                    bfi_forward_nonlinear(&t);
                    break;
            }
    }
}

void bfi_forward_finish(const bf_plan *plan, bf_workspace *ws, int64_t box, int id) {
    bfi_transfer t = view(plan, ws, box, id, 0);
    bool narrow = plan->dtype == BFI_F32; /* else lo_t and hi_t are lo and hi */
    bfi_keep k = {.n = t.n,
                  .lo = bfi_kept_doubles(&t, t.state->lo),
                  .hi = bfi_kept_doubles(&t, t.state->hi),
                  .gamma_unit = plan->errors[id].gamma_unit,
                  .lo_t = narrow ? bfi_kept_numbers(&t, t.state->lo_t) : NULL,
                  .hi_t = narrow ? bfi_kept_numbers(&t, t.state->hi_t) : NULL,
                  .e_box = plan->outward ? bfi_kept_numbers(&t, t.state->e_box) : NULL,
                  .e_sum = plan->outward ? bfi_kept_numbers(&t, t.state->e_sum) : NULL};
    if (k.lo_t || k.hi_t || k.e_box || k.e_sum) plan->kernels->keep(&k);
}
