#include "verify/attack/moves.h"

#include <math.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "base/status.h"
#include "verify/attack/random.h"

/* Steps end this small, in widths. */
#define LAST_STEP 0.002f

bf_status bfi_attack_box_create(int64_t n, bfi_attack_box *out, bf_error *err) {
    *out = (bfi_attack_box){.n = n};
    out->free = bfi_calloc((size_t)n, sizeof *out->free);
    out->lo = bfi_calloc((size_t)n, sizeof *out->lo);
    out->hi = bfi_calloc((size_t)n, sizeof *out->hi);
    return out->free && out->lo && out->hi ? BF_STATUS_OK : bfi_fail_memory(err);
}

void bfi_attack_box_clear(bfi_attack_box *box) {
    free(box->free);
    free(box->lo);
    free(box->hi);
}

void bfi_attack_box_set(bfi_attack_box *box, const bf_case *c) {
    box->free_count = 0;
    for (int64_t i = 0; i < box->n; i++) {
        float lo = bfi_float_up(c->lo_inner[i]), hi = bfi_float_down(c->hi_inner[i]);
        if (lo > hi) lo = hi = (float)(c->lo_inner[i] / 2 + c->hi_inner[i] / 2);
        box->lo[i] = lo;
        box->hi[i] = hi;
        if (lo < hi) box->free[box->free_count++] = (int32_t)i;
    }
}

static float width(const bfi_attack_box *box, int32_t i) { return box->hi[i] - box->lo[i]; }

static float clamp(const bfi_attack_box *box, int32_t i, float x) {
    return !(x > box->lo[i]) ? box->lo[i] : x > box->hi[i] ? box->hi[i] : x;
}

static float random_end(const bfi_attack_box *box, int32_t i, uint64_t *random) {
    return bfi_random_bits(random) & 1 ? box->hi[i] : box->lo[i];
}

static float starting_point(const bfi_attack_box *box, int32_t i, bfi_start start, float near,
                            float radius, uint64_t *random) {
    switch (start) {
        case BFI_START_CENTRE:
            return clamp(box, i, box->lo[i] + 0.5f * width(box, i));
        case BFI_START_CORNER:
            return random_end(box, i, random);
        case BFI_START_MIXED:
            if (bfi_random_bits(random) & 1) return random_end(box, i, random);
            break;
        case BFI_START_NEAR:
            return clamp(box, i, near + radius * width(box, i) * (2 * bfi_random_unit(random) - 1));
        case BFI_START_UNIFORM:
            break;
    }
    return clamp(box, i, box->lo[i] + width(box, i) * bfi_random_unit(random));
}

void bfi_move_start(const bfi_attack_box *box, bfi_lane *lane, bfi_start start, const float *near,
                    float radius, const bfi_columns *c) {
    for (int64_t f = 0; f < box->free_count; f++) {
        int32_t i = box->free[f];
        float x = starting_point(box, i, start, near ? near[f] : 0, radius, &lane->random);
        c->x[i * c->ls] = c->best[f * c->ls] = x;
        c->m[f * c->ls] = c->v[f * c->ls] = 0;
    }
    lane->age = lane->stall = 0;
    lane->power1 = lane->power2 = 1;
    lane->best = (double)INFINITY;
}

/* From |reach| down to almost nothing over the planned steps. */
static float step_length(const bfi_lane *lane) {
    float left = 1 - (float)lane->age / (float)(lane->span > 0 ? lane->span : 1);
    return lane->reach * left * left + LAST_STEP;
}

static float sign_of(float g) { return g > 0 ? 1.0f : g < 0 ? -1.0f : 0.0f; }

static void step_sign(const bfi_attack_box *box, const bfi_lane *lane, const bfi_columns *c) {
    float step = step_length(lane);
    for (int64_t f = 0; f < box->free_count; f++) {
        int32_t i = box->free[f];
        float *x = &c->x[i * c->ls];
        *x = clamp(box, i, *x - step * width(box, i) * sign_of(c->gradient[i * c->ls]));
    }
}

static void step_momentum(const bfi_attack_box *box, const bfi_lane *lane, const bfi_columns *c,
                          float size) {
    float step = step_length(lane), scale = (float)box->free_count / size;
    for (int64_t f = 0; f < box->free_count; f++) {
        int32_t i = box->free[f];
        float *x = &c->x[i * c->ls], *m = &c->m[f * c->ls];
        *m = 0.75f * *m + scale * c->gradient[i * c->ls];
        *x = clamp(box, i, *x - step * width(box, i) * sign_of(*m));
    }
}

static void step_adam(const bfi_attack_box *box, bfi_lane *lane, const bfi_columns *c) {
    const float decay1 = 0.9f, decay2 = 0.99f;
    float step = step_length(lane);
    lane->power1 *= decay1;
    lane->power2 *= decay2;
    for (int64_t f = 0; f < box->free_count; f++) {
        int32_t i = box->free[f];
        float *x = &c->x[i * c->ls], *m = &c->m[f * c->ls], *v = &c->v[f * c->ls];
        float g = c->gradient[i * c->ls] * width(box, i);
        *m = decay1 * *m + (1 - decay1) * g;
        *v = decay2 * *v + (1 - decay2) * g * g;
        float size = sqrtf(*v / (1 - lane->power2));
        float direction = size > 0 ? *m / (1 - lane->power1) / size : 0;
        *x = clamp(box, i, *x - step * width(box, i) * direction);
    }
}

/* Towards the corner that minimises the linear model: all the way first, then ever less. */
static void step_conditional(const bfi_attack_box *box, const bfi_lane *lane,
                             const bfi_columns *c) {
    float part = 2 / (float)(lane->age + 2);
    for (int64_t f = 0; f < box->free_count; f++) {
        int32_t i = box->free[f];
        float *x = &c->x[i * c->ls], g = c->gradient[i * c->ls];
        if (g == 0) continue;
        float end = g > 0 ? box->lo[i] : box->hi[i];
        *x = clamp(box, i, part >= 1 ? end : *x + part * (end - *x));
    }
}

/* Some of the dimensions, drawn at random, go to the better end; now and then one to any. */
static void step_flip(const bfi_attack_box *box, bfi_lane *lane, const bfi_columns *c) {
    float any = 0.5f / (float)box->free_count;
    for (int64_t f = 0; f < box->free_count; f++) {
        int32_t i = box->free[f];
        float *x = &c->x[i * c->ls], g = c->gradient[i * c->ls];
        float draw = bfi_random_unit(&lane->random);
        if (draw < any)
            *x = random_end(box, i, &lane->random);
        else if (g != 0 && draw < any + lane->reach)
            *x = g > 0 ? box->lo[i] : box->hi[i];
    }
}

/* Some of the dimensions, drawn at random, move at random away from the best point. */
static void step_local(const bfi_attack_box *box, bfi_lane *lane, const bfi_columns *c) {
    float step = step_length(lane), share = 0.1f + 0.9f * bfi_random_unit(&lane->random);
    for (int64_t f = 0; f < box->free_count; f++) {
        int32_t i = box->free[f];
        float from = c->best[f * c->ls], draw = 2 * bfi_random_unit(&lane->random) - 1;
        bool moves = box->free_count <= 3 || bfi_random_unit(&lane->random) < share;
        c->x[i * c->ls] = moves ? clamp(box, i, from + step * width(box, i) * draw) : from;
    }
}

/* Sum of |gradient|; entries that are no finite number become 0. */
static float gradient_size(const bfi_attack_box *box, const bfi_columns *c) {
    float sum = 0;
    for (int64_t f = 0; f < box->free_count; f++) {
        float *g = &c->gradient[box->free[f] * c->ls];
        if (!isfinite(*g)) *g = 0;
        sum += fabsf(*g);
    }
    return isfinite(sum) ? sum : 0;
}

bool bfi_move_step(const bfi_attack_box *box, bfi_lane *lane, const bfi_columns *c) {
    if (lane->rule == BFI_RULE_LOCAL) {
        step_local(box, lane, c);
        lane->age++;
        return true;
    }
    float size = gradient_size(box, c);
    if (!(size > 0)) return false;
    if (lane->rule == BFI_RULE_SIGN) step_sign(box, lane, c);
    if (lane->rule == BFI_RULE_MOMENTUM) step_momentum(box, lane, c, size);
    if (lane->rule == BFI_RULE_ADAM) step_adam(box, lane, c);
    if (lane->rule == BFI_RULE_CONDITIONAL) step_conditional(box, lane, c);
    if (lane->rule == BFI_RULE_FLIP) step_flip(box, lane, c);
    lane->age++;
    return true;
}
