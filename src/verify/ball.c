#include "verify/ball.h"

#include <math.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "base/status.h"

static double scale_of(const bf_ball *ball, int64_t i) { return ball->scale ? ball->scale[i] : 1; }

bf_status bfi_ball_check(const bf_ball *ball, int64_t count, bf_error *err) {
    if (!(ball->clip_lo <= ball->clip_hi))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "clip: [%g, %g] is empty", ball->clip_lo,
                        ball->clip_hi);
    for (int64_t i = 0; i < count; i++) {
        double c = ball->center[i], s = scale_of(ball, i);
        if (!isfinite(c))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "center: input %lld is not a finite number", (long long)i);
        if (c < ball->clip_lo || c > ball->clip_hi)
            return bfi_fail(
                err, BF_STATUS_INVALID_ARGUMENT,
                "center: input %lld is %.9g, outside the clip [%.9g, %.9g]: is it scaled as the "
                "network wants it?",
                (long long)i, c, ball->clip_lo, ball->clip_hi);
        if (!isfinite(s) || s < 0)
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "scale: input %lld has %g: give finite numbers >= 0", (long long)i, s);
    }
    return BF_STATUS_OK;
}

void bfi_ball_box(const bf_ball *ball, int64_t count, double radius, double *lo, double *hi) {
    double reach = radius > 0 ? bfi_up(radius) : 0; /* beyond all that reads as |radius| */
    for (int64_t i = 0; i < count; i++) {
        double s = scale_of(ball, i), r = s == 1 ? reach : bfi_mul_up(reach, s);
        double down = bfi_sum_down(ball->center[i], -r), up = bfi_sum_up(ball->center[i], r);
        lo[i] = down < ball->clip_lo ? ball->clip_lo : down;
        hi[i] = up > ball->clip_hi ? ball->clip_hi : up;
    }
}

bf_status bf_ball_box(const bf_ball *ball, int64_t count, double radius, double *lo, double *hi,
                      bf_error *err) {
    if (!(radius >= 0))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "a radius of %g: give a number >= 0",
                        radius);
    bf_status status = bfi_ball_check(ball, count, err);
    if (status == BF_STATUS_OK) bfi_ball_box(ball, count, radius, lo, hi);
    return status;
}

double bfi_ball_distance(const bf_ball *ball, int64_t count, const double *x) {
    double most = 0;
    for (int64_t i = 0; i < count; i++) {
        double c = ball->center[i], s = scale_of(ball, i);
        double d = fmax(bfi_sum_up(x[i], -c), bfi_sum_up(c, -x[i]));
        if (!(x[i] >= ball->clip_lo && x[i] <= ball->clip_hi)) return INFINITY;
        if (d > 0 && s != 1) d = bfi_up(d / s);
        if (!(d <= most)) most = d;
    }
    return most;
}

bf_status bfi_ball_property_create(int64_t n_in, int64_t n_out, int64_t label,
                                   bfi_ball_property *out, bf_error *err) {
    bfi_ball_property p = {.property = {.n_in = n_in, .n_out = n_out, .count = 1}};
    size_t others = (size_t)n_out - 1;
    if (n_out - 1 > INT32_MAX)
        return bfi_fail(err, BF_STATUS_LIMIT, "%lld outputs are too many for an attack",
                        (long long)n_out);
    p.numbers = bfi_calloc((size_t)n_in, 4 * sizeof *p.numbers);
    p.disjuncts = bfi_calloc(others, sizeof *p.disjuncts);
    p.rows = bfi_calloc(others, sizeof *p.rows);
    p.terms = bfi_calloc(others, 2 * sizeof *p.terms);
    if (!p.numbers || !p.disjuncts || !p.rows || !p.terms) {
        bfi_ball_property_clear(&p);
        return bfi_fail_memory(err);
    }
    for (size_t i = 0; i < others; i++) {
        int64_t other = (int64_t)i + ((int64_t)i >= label);
        p.terms[2 * i] = (bf_term){.index = (int32_t)label, .coef = 1};
        p.terms[2 * i + 1] = (bf_term){.index = (int32_t)other, .coef = -1};
        p.rows[i] = (bf_halfspace){.y_terms = p.terms + 2 * i, .y_count = 2};
        p.disjuncts[i] = (bf_polytope){.rows = p.rows + i, .count = 1};
    }
    p.ball = (bf_case){p.numbers,   p.numbers + n_in, p.numbers + 2 * n_in, p.numbers + 3 * n_in,
                       p.disjuncts, (int32_t)others};
    *out = p;
    return BF_STATUS_OK;
}

void bfi_ball_property_clear(bfi_ball_property *p) {
    free(p->numbers);
    free(p->disjuncts);
    free(p->rows);
    free(p->terms);
    *p = (bfi_ball_property){0};
}

void bfi_ball_property_set(bfi_ball_property *p, const bf_ball *ball, double radius) {
    bf_case *c = &p->ball;
    p->property.cases = c;
    bfi_ball_box(ball, p->property.n_in, radius, c->lo, c->hi);
    for (int64_t i = 0; i < p->property.n_in; i++) {
        double x = ball->center[i], s = scale_of(ball, i);
        double r = s == 1 || radius == 0 || s == 0 ? radius * s : bfi_down(radius * s);
        double from = bfi_sum_up(x, -r), to = bfi_sum_down(x, r);
        c->lo_inner[i] = from < ball->clip_lo ? ball->clip_lo : from;
        c->hi_inner[i] = to > ball->clip_hi ? ball->clip_hi : to;
    }
}
