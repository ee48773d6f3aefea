#include <assert.h>
#include <float.h>
#include <string.h>

#include "exec/forms.h"
#include "exec/forward_internal.h"
#include "exec/parts.h"

/* Errors of float32 library functions (sigmoid, tanh, exp, ...) are taken as at most this many
 * units: vendors state 1 to 4 ulp. Used for semantics=float32 only. */
#define FLOAT32_FUNCTION_UNITS 16

static bool float32_execution(const bfi_transfer *t) {
    return t->plan->outward && t->plan->options.semantics == BF_SEMANTICS_FLOAT32;
}

/* Of exp, the most that its arguments may be off by, in units of the result: the exponentials of a
 * softmax are those of differences, but an evaluation takes them of the distances to the largest
 * argument, whose roundings count twice. */
static double argument_units(const bfi_transfer *t) {
    const double *lo = bfi_lo(t, t->node->inputs[0]), *hi = bfi_hi(t, t->node->inputs[0]);
    double most = 0;
    for (int64_t j = 0; t->node->op == BFI_OP_EXP && j < t->n; j++)
        most = fmax(most, bfi_magnitude(lo[j], hi[j]));
    return 2 * most;
}

/* What float32 evaluation of a unary node may add to a value in [lo, hi]. */
static double unary_execution(const bfi_transfer *t, double lo, double hi, double units) {
    switch (t->node->op) {
        case BFI_OP_RELU:
        case BFI_OP_ABS:
        case BFI_OP_SIGN:
        case BFI_OP_FLOOR:
        case BFI_OP_CLIP:
            return 0;
        default:
            return bfi_mul_up(bfi_magnitude(lo, hi), (FLOAT32_FUNCTION_UNITS + units) * BF_U32) +
                   0x1p-140;
    }
}

static bool trivial(double slope) { return slope == 0 || slope == 1; }

/* This pass lets lanes choose the lower slope of element j. */
static bool free_slope(const bfi_transfer *t, double lo, double hi) {
    bool kink = t->node->op == BFI_OP_RELU || t->node->op == BFI_OP_LEAKY_RELU;
    return t->ws->choose && kink && lo < 0 && hi > 0;
}

/* Lines of element j that lanes may choose from; adds what they need to its error per unit. Mixing
 * two lines rounds three times on each side: by at most 3 u (|s| m + |t|) of the larger ones,
 * thrice that for the difference of their numbers. */
static double put_family(const bfi_transfer *t, int64_t j, double lo, double hi) {
    bfi_dtype dtype = t->plan->dtype;
    bool round = t->plan->outward && dtype == BFI_F32;
    char *at = bfi_kept_numbers(t, t->state->family);
    at += (size_t)(j * BFI_FAMILY_NUMBERS) * bfi_dtype_size(dtype);
    double slope = 0, intercept = 0;
    bfi_family family;
    bfi_unary_family(t->node, dtype, t->plan->outward, lo, hi, &family);
    for (int k = 0; k <= BFI_FAMILY_SEGMENTS; k++) {
        const bfi_lines *line = &family.lines[k];
        double t_pos = round ? (double)bfi_float_down(line->t_pos) : line->t_pos,
               t_neg = round ? (double)bfi_float_up(line->t_neg) : line->t_neg;
        const double numbers[4] = {line->s_pos, t_pos, line->s_neg, t_neg};
        for (int i = 0; i < 4; i++) bfi_store(dtype, at, 4 * k + i, numbers[i]);
        slope = fmax(slope, bfi_magnitude(line->s_pos, line->s_neg));
        intercept = fmax(intercept, bfi_magnitude(t_pos, t_neg));
    }
    bfi_store(dtype, at, BFI_FAMILY_NUMBERS - 2, family.lower);
    bfi_store(dtype, at, BFI_FAMILY_NUMBERS - 1, family.upper);
    double m = bfi_magnitude(lo, hi); /* may be infinite */
    return t->u * (bfi_mul_up(13 * slope, m) + 12 * intercept) + bfi_dot_gamma(t, j) * intercept;
}

/* Stores the lines of element j and their error. True when a slope needs a rounded product. */
static bool put_lines(const bfi_transfer *t, int64_t j, double lo, double hi, double exec) {
    bfi_dtype dtype = t->plan->dtype;
    bool outward = t->plan->outward;
    bfi_lines lines = bfi_unary_lines(t->node, dtype, outward, lo, hi);
    bfi_store(dtype, bfi_kept_numbers(t, t->state->s_pos), j, lines.s_pos);
    bfi_store(dtype, bfi_kept_numbers(t, t->state->s_neg), j, lines.s_neg);
    void *t_pos = bfi_kept_numbers(t, t->state->t_pos),
         *t_neg = bfi_kept_numbers(t, t->state->t_neg);
    bool f32 = dtype == BFI_F32;
    double pos = lines.t_pos, neg = lines.t_neg;
    if (outward && f32) pos = (double)bfi_float_down(pos), neg = (double)bfi_float_up(neg);
    bfi_store(dtype, t_pos, j, pos);
    bfi_store(dtype, t_neg, j, neg);
    double mixing = t->ws->choose && t->state->family >= 0 ? put_family(t, j, lo, hi) : 0;
    if (!outward) return false;
    bool rounds = !trivial(lines.s_pos) || !trivial(lines.s_neg);
    double slope = bfi_magnitude(lines.s_pos, lines.s_neg);
    if (free_slope(t, lo, hi)) { /* between the slopes of the two sides, one of which is 1 */
        rounds = true;
        slope = fmax(slope, fmax(1, fabs(t->node->attrs.slope)));
    }
    rounds = rounds || mixing > 0;
    double e = bfi_dot_gamma(t, j) * bfi_magnitude(pos, neg) + exec + mixing;
    if (rounds) e += t->u * slope * bfi_magnitude(lo, hi);
    bfi_store_up(dtype, bfi_kept_numbers(t, t->state->e), j, e * BFI_ERROR_ROOM);
    return rounds;
}

static bool all_finite(int64_t n, const double *lo, const double *hi) {
    int64_t others = 0;
    for (int64_t j = 0; j < n; j++) others += !(hi[j] - lo[j] <= DBL_MAX);
    return others == 0;
}

/* Relu over finite intervals, by far the most common. */
static bool forward_relu(const bfi_transfer *t, const double *lo, const double *hi) {
    const bfi_value_state *s = t->state;
    bfi_relu r = {.n = t->n,
                  .outward = t->plan->outward,
                  .lo = lo,
                  .hi = hi,
                  .gamma_unit = t->plan->errors[t->id].gamma_unit,
                  .out_lo = bfi_kept_doubles(t, s->lo),
                  .out_hi = bfi_kept_doubles(t, s->hi),
                  .s_pos = bfi_kept_numbers(t, s->s_pos),
                  .s_neg = bfi_kept_numbers(t, s->s_neg),
                  .t_pos = bfi_kept_numbers(t, s->t_pos),
                  .t_neg = bfi_kept_numbers(t, s->t_neg),
                  .e = bfi_kept_numbers(t, s->e)};
    return t->run.kernels->relu(&r);
}

static bool forward_elementwise(const bfi_transfer *t, const double *lo, const double *hi) {
    bool rounds = false, executes = float32_execution(t);
    double units = executes ? argument_units(t) : 0;
    for (int64_t j = 0; j < t->n; j++) {
        double x_lo = lo[j], x_hi = hi[j], y_lo,
               y_hi; /* the result may take over the operand's storage */
        bfi_unary_interval(t->node, t->plan->outward, x_lo, x_hi, &y_lo, &y_hi);
        double exec = executes ? unary_execution(t, y_lo, y_hi, units) : 0;
        bfi_put_interval(t, j, exec > 0 ? bfi_down(y_lo - exec) : y_lo,
                         exec > 0 ? bfi_up(y_hi + exec) : y_hi);
        if (t->state->s_pos >= 0) rounds = put_lines(t, j, x_lo, x_hi, exec) || rounds;
    }
    return rounds;
}

/* Marks elements other than zero. */
static void mark(bfi_dtype dtype, int64_t n, const void *data, uint8_t *bytes) {
    const float *f = data;
    const double *d = data;
    for (int64_t j = 0; j < n && data && dtype == BFI_F32; j++) bytes[j] |= f[j] != 0;
    for (int64_t j = 0; j < n && data && dtype == BFI_F64; j++) bytes[j] |= d[j] != 0;
}

/* Lists the elements that are other than zero, or leave anything behind, for some slope that lanes
 * may choose; all of them when |all|. */
static void list_active(const bfi_transfer *t, bool all) {
    int32_t *active = bfi_kept_ints(t, t->state->active), count = 0;
    if (!active) return;
    uint8_t *bytes = bfi_list_mark(active, t->n);
    bfi_dtype dtype = t->plan->dtype;
    memset(bytes, all, (size_t)t->n);
    mark(dtype, t->n, bfi_kept_numbers(t, t->state->s_pos), bytes);
    mark(dtype, t->n, bfi_kept_numbers(t, t->state->s_neg), bytes);
    mark(dtype, t->n, bfi_kept_numbers(t, t->state->t_neg), bytes);
    if (t->plan->outward) mark(dtype, t->n, bfi_kept_numbers(t, t->state->e), bytes);
    const double *hi = bfi_hi(t, t->id); /* 0 <= lo <= hi, or all */
    for (int64_t j = 0; j < t->n; j++) {
        uint8_t listed = (uint8_t)(bytes[j] | (hi[j] != 0));
        active[1 + count] = (int32_t)j;
        count += bytes[j] = listed;
    }
    active[0] = count;
}

void bfi_forward_unary(const bfi_transfer *t) {
    const double *lo = bfi_lo(t, t->node->inputs[0]), *hi = bfi_hi(t, t->node->inputs[0]);
    bool outward = t->plan->outward; /* the result may take over the operand's storage */
    double magnitudes = outward ? t->run.kernels->magnitudes(t->n, lo, hi) : 0;
    bool relu = t->node->op == BFI_OP_RELU && all_finite(t->n, lo, hi);
    bool rounds = relu && !t->ws->choose ? forward_relu(t, lo, hi) : forward_elementwise(t, lo, hi);
    list_active(t, !relu);
    double flat = 4 * t->eta * (double)t->n;
    if (rounds) flat += bfi_mul_up(2 * t->eta, magnitudes * BFI_ERROR_ROOM);
    bfi_kept_doubles(t, t->plan->e_flat)[t->id] = outward ? bfi_up(flat) : 0;
}

/* Window op: ranges of one output position clipped to the input. */
typedef struct window_range {
    int64_t y0, y1, x0, x1; /* kernel rows and columns inside the input */
} window_range;

static window_range clip_window(const bfi_window *w, int64_t oy, int64_t ox) {
    window_range r = {w->kh, 0, w->kw, 0};
    for (int64_t ky = 0; ky < w->kh; ky++) {
        int64_t y = oy * w->stride_h - w->pad_top + ky * w->dil_h;
        if (y >= 0 && y < w->h_in) r.y0 = ky < r.y0 ? ky : r.y0, r.y1 = ky + 1;
    }
    for (int64_t kx = 0; kx < w->kw; kx++) {
        int64_t x = ox * w->stride_w - w->pad_left + kx * w->dil_w;
        if (x >= 0 && x < w->w_in) r.x0 = kx < r.x0 ? kx : r.x0, r.x1 = kx + 1;
    }
    return r;
}

/* Windows along one axis that may hold the same element: taps k, k' meet it when (k - k') * dil is
 * a multiple of stride. */
static int64_t axis_overlap(int64_t k, int64_t stride, int64_t dil) {
    int64_t a = stride, b = dil;
    while (b) {
        int64_t rest = a % b;
        a = b, b = rest;
    }
    int64_t apart = stride / a;
    return (k + apart - 1) / apart;
}

/* Max pooling: interval, and what A+ and A- meet on the way back (see bound_op.def). A dominating
 * input's lower end is at least every other upper end. */
static void pool_element(const bfi_transfer *t, int64_t j, int64_t channel, int64_t oy,
                         int64_t ox) {
    const bfi_window *w = &t->node->attrs.window;
    const double *lo = bfi_lo(t, t->node->inputs[0]), *hi = bfi_hi(t, t->node->inputs[0]);
    window_range r = clip_window(w, oy, ox);
    int64_t best = -1;
    double max_lo = -INFINITY, max_hi = -INFINITY, other_hi = -INFINITY, magnitude = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t ky = r.y0; ky < r.y1; ky++)
            for (int64_t kx = r.x0; kx < r.x1; kx++) {
                int64_t y = oy * w->stride_h - w->pad_top + ky * w->dil_h;
                int64_t x = ox * w->stride_w - w->pad_left + kx * w->dil_w;
                int64_t i = (channel * w->h_in + y) * w->w_in + x;
                if (pass == 0) {
                    if (best < 0 || lo[i] > max_lo) best = i, max_lo = lo[i];
                    max_hi = fmax(max_hi, hi[i]);
                    magnitude = fmax(magnitude, bfi_magnitude(lo[i], hi[i]));
                } else if (i != best) {
                    other_hi = fmax(other_hi, hi[i]);
                }
            }
    bfi_put_interval(t, j, max_lo, max_hi);
    if (t->state->pick_lo < 0) return;
    bool dominated = max_lo >= other_hi;
    bfi_kept_ints(t, t->state->pick_lo)[j] = (int32_t)best;
    bfi_kept_ints(t, t->state->pick_hi)[j] = dominated ? (int32_t)best : -1;
    bfi_store(t->plan->dtype, bfi_kept_numbers(t, t->state->t_neg), j, dominated ? 0 : max_hi);
    if (!t->plan->outward) return;
    double overlap = (double)(axis_overlap(w->kh, w->stride_h, w->dil_h) *
                              axis_overlap(w->kw, w->stride_w, w->dil_w));
    double e = bfi_dot_gamma(t, j) * fabs(max_hi) + bfi_gamma(overlap, t->u) * magnitude;
    bfi_store_up(t->plan->dtype, bfi_kept_numbers(t, t->state->e), j, e * BFI_ERROR_ROOM);
}

static void forward_pool(const bfi_transfer *t) {
    const bfi_window *w = &t->node->attrs.window;
    for (int64_t c = 0; c < w->c_out; c++)
        for (int64_t oy = 0; oy < w->h_out; oy++)
            for (int64_t ox = 0; ox < w->w_out; ox++)
                pool_element(t, (c * w->h_out + oy) * w->w_out + ox, c, oy, ox);
    bfi_kept_doubles(t, t->plan->e_flat)[t->id] = t->plan->outward ? 4 * t->eta * (double)t->n : 0;
}

/* Product of intervals; 0 times infinity counts as 0 times a large number, enclosed by infinity. */
static void product(bool outward, double a, double b, double c, double d, double *lo, double *hi) {
    const double p[4] = {a * c, a * d, b * c, b * d};
    *lo = INFINITY, *hi = -INFINITY;
    for (int i = 0; i < 4; i++) {
        if (!(p[i] == p[i])) {
            *lo = -INFINITY, *hi = INFINITY;
            return;
        }
        *lo = fmin(*lo, p[i]), *hi = fmax(*hi, p[i]);
    }
    if (outward) *lo = bfi_down(*lo), *hi = bfi_up(*hi);
}

static void quotient(bool outward, double a, double b, double c, double d, double *lo, double *hi) {
    if (c <= 0 && d >= 0) {
        *lo = -INFINITY, *hi = INFINITY;
        return;
    }
    double r_lo = 1 / d, r_hi = 1 / c;
    if (outward) r_lo = bfi_down(r_lo), r_hi = bfi_up(r_hi);
    product(outward, a, b, r_lo, r_hi, lo, hi);
}

/* x * x: the same value on both sides. */
static void square(bool outward, double a, double b, double *lo, double *hi) {
    double small = a <= 0 && b >= 0 ? 0 : fmin(fabs(a), fabs(b)), large = bfi_magnitude(a, b);
    *lo = outward ? fmax(0, bfi_down(small * small)) : small * small;
    *hi = outward ? bfi_up(large * large) : large * large;
}

/* Stores the plane of element j over [a, b] x [c, d], and its error: one rounded product for each
 * operand, the intercept's sum. */
static void put_plane(const bfi_transfer *t, int64_t j, double a, double b, double c, double d,
                      double exec) {
    bfi_dtype dtype = t->plan->dtype;
    const bfi_value_state *s = t->state;
    bfi_plane p;
    if (!t->plan->curved[t->id] || !bfi_form_plane(t, j, a, b, c, d, &p))
        p = bfi_binary_plane(t->node->op, dtype, t->plan->outward, a, b, c, d);
    if (t->plan->outward && dtype == BFI_F32) {
        p.t_pos = (double)bfi_float_down(p.t_pos);
        p.t_neg = (double)bfi_float_up(p.t_neg);
    }
    bfi_store(dtype, bfi_kept_numbers(t, s->s_pos), j, p.s_pos);
    bfi_store(dtype, bfi_kept_numbers(t, s->s_neg), j, p.s_neg);
    bfi_store(dtype, bfi_kept_numbers(t, s->r_pos), j, p.r_pos);
    bfi_store(dtype, bfi_kept_numbers(t, s->r_neg), j, p.r_neg);
    bfi_store(dtype, bfi_kept_numbers(t, s->t_pos), j, p.t_pos);
    bfi_store(dtype, bfi_kept_numbers(t, s->t_neg), j, p.t_neg);
    if (!t->plan->outward) return;
    double products = bfi_mul_up(bfi_magnitude(p.s_pos, p.s_neg), bfi_magnitude(a, b)) +
                      bfi_mul_up(bfi_magnitude(p.r_pos, p.r_neg), bfi_magnitude(c, d));
    double e = bfi_dot_gamma(t, j) * bfi_magnitude(p.t_pos, p.t_neg) + exec + t->u * products;
    bfi_store_up(dtype, bfi_kept_numbers(t, s->e), j, e * BFI_ERROR_ROOM);
}

/* What products may lose to underflow on the way back. */
static void put_flat(const bfi_transfer *t) {
    const bfi_kernels *k = t->run.kernels;
    double flat = 8 * t->eta * (double)t->n;
    for (int i = 0; i < 2; i++) {
        const double *lo = bfi_lo(t, t->node->inputs[i]), *hi = bfi_hi(t, t->node->inputs[i]);
        flat += bfi_mul_up(2 * t->eta, k->magnitudes(t->n, lo, hi) * BFI_ERROR_ROOM);
    }
    bfi_kept_doubles(t, t->plan->e_flat)[t->id] = t->plan->outward ? bfi_up(flat) : 0;
}

static void forward_binary(const bfi_transfer *t) {
    int x = t->node->inputs[0], y = t->node->inputs[1];
    const double *a = bfi_lo(t, x), *b = bfi_hi(t, x), *c = bfi_lo(t, y), *d = bfi_hi(t, y);
    bool outward = t->plan->outward, planes = t->state->s_pos >= 0;
    if (planes) put_flat(t);
    for (int64_t j = 0; j < t->n; j++) {
        double lo, hi;
        bool exact = false;
        switch (t->node->op) {
            case BFI_OP_MUL:
                if (x == y)
                    square(outward, a[j], b[j], &lo, &hi);
                else
                    product(outward, a[j], b[j], c[j], d[j], &lo, &hi);
                break;
            case BFI_OP_DIV:
                quotient(outward, a[j], b[j], c[j], d[j], &lo, &hi);
                break;
            case BFI_OP_MAX:
                lo = fmax(a[j], c[j]), hi = fmax(b[j], d[j]), exact = true;
                break;
            default:
                lo = fmin(a[j], c[j]), hi = fmin(b[j], d[j]), exact = true;
                break;
        }
        double exec = 0;
        if (float32_execution(t) && !exact) {
            exec = bfi_magnitude(lo, hi) * (4 * BF_U32) + 0x1p-148;
            lo = bfi_down(lo - exec), hi = bfi_up(hi + exec);
        }
        if (planes) put_plane(t, j, a[j], b[j], c[j], d[j], exec);
        bfi_put_interval(t, j, lo, hi);
    }
}

/* Interval matrix product, y[b][r][n] = sum_k x[b][r][k] z[b][k][n], float64 sums with a running
 * error. */
static void forward_matmul(const bfi_transfer *t) {
    const bfi_attrs *s = &t->node->attrs;
    const double *a = bfi_lo(t, t->node->inputs[0]), *b = bfi_hi(t, t->node->inputs[0]);
    const double *c = bfi_lo(t, t->node->inputs[1]), *d = bfi_hi(t, t->node->inputs[1]);
    bool outward = t->plan->outward;
    double rel = outward ? bfi_gamma((double)s->k + 2, BF_U64) : 0;
    if (float32_execution(t)) rel += bfi_gamma((double)s->k + 1, BF_U32);
    double flat = float32_execution(t) ? (double)s->k * 0x1p-148 : 0;
    for (int64_t j = 0; j < t->n; j++) {
        int64_t batch = j / (s->rows * s->n), row = j / s->n % s->rows, col = j % s->n;
        double lo = 0, hi = 0, magnitude = 0;
        for (int64_t k = 0; k < s->k; k++) {
            int64_t x = (batch * s->rows + row) * s->k + k, z = (batch * s->k + k) * s->n + col;
            double p_lo, p_hi;
            product(outward, a[x], b[x], c[z], d[z], &p_lo, &p_hi);
            lo += p_lo, hi += p_hi, magnitude += bfi_magnitude(p_lo, p_hi);
        }
        double error = outward ? bfi_up(magnitude * rel * BFI_ERROR_ROOM + flat) : 0;
        bfi_put_interval(t, j, outward ? bfi_down(lo - error) : lo,
                         outward ? bfi_up(hi + error) : hi);
    }
}

/* softmax_i = 1 / sum_j exp(x_j - x_i): decreasing in x_j, increasing in x_i. */
static void softmax_element(const bfi_transfer *t, int64_t base, int64_t stride, int64_t size,
                            int64_t i) {
    const double *lo = bfi_lo(t, t->node->inputs[0]), *hi = bfi_hi(t, t->node->inputs[0]);
    double least = 1, most = 1; /* the sum at the upper and at the lower end of the output */
    int64_t me = base + i * stride;
    for (int64_t j = 0; j < size; j++) {
        int64_t other = base + j * stride;
        if (j == i) continue;
        least += bfi_exp(lo[other] - hi[me]);
        most += bfi_exp(hi[other] - lo[me]);
    }
    double out_lo = 1 / most, out_hi = 1 / least;
    if (t->plan->outward) {
        double rel = 0x1p-44 * (double)(size + 4); /* exp, its argument's rounding, the sum */
        double spread = fmax(bfi_magnitude(lo[me], hi[me]), 1);
        for (int64_t j = 0; j < size; j++)
            spread = fmax(spread, bfi_magnitude(lo[base + j * stride], hi[base + j * stride]));
        rel += spread * 0x1p-50;
        if (float32_execution(t))
            rel += (FLOAT32_FUNCTION_UNITS + 2 * spread + (double)size) * BF_U32 * 2;
        out_lo = fmax(0, bfi_down(out_lo * (1 - rel) - 0x1p-148));
        out_hi = bfi_up(out_hi * (1 + rel) + 0x1p-148);
        if (!float32_execution(t)) out_hi = fmin(1, out_hi);
    }
    bfi_put_interval(t, me, out_lo, out_hi);
}

static void forward_softmax(const bfi_transfer *t) {
    const bfi_shape *shape = &t->node->shape;
    int64_t size = shape->dim[t->node->attrs.axis], stride = 1;
    for (int i = t->node->attrs.axis + 1; i < shape->rank; i++) stride *= shape->dim[i];
    for (int64_t outer = 0; outer < t->n / (size * stride); outer++)
        for (int64_t inner = 0; inner < stride; inner++)
            for (int64_t i = 0; i < size; i++)
                softmax_element(t, outer * size * stride + inner, stride, size, i);
}

void bfi_forward_nonlinear(const bfi_transfer *t) {
    switch (t->node->op) {
        case BFI_OP_MAX_POOL:
            forward_pool(t);
            break;
        case BFI_OP_MATMUL:
            forward_matmul(t);
            break;
        case BFI_OP_SOFTMAX:
            forward_softmax(t);
            break;
        default:
            forward_binary(t);
            break;
    }
}
