#include "exec/mix.h"

#include <assert.h>
#include <math.h>

#include "exec/splits.h"

#define UNITS 0x1p20 /* of a weight of 1 */

/* What all weights above it are lowered by (Michelot 1986, J. Optim. Theory Appl. 50): rows leave
 * until those left sum to 1. */
static double find_level(const double *w, int32_t count) {
    double level = -INFINITY;
    for (int32_t left = -1, before = -2; left != before;) {
        double sum = 0, above = level;
        before = left, left = 0;
        for (int32_t i = 0; i < count; i++)
            if (w[i] > above) sum += w[i], left++;
        if (left > 0) level = (sum - 1) / left;
    }
    return level;
}

void bfi_mix_round(double *w, int32_t count) {
    double level = find_level(w, count), sum = 0;
    int32_t largest = 0;
    for (int32_t i = 0; i < count; i++) {
        w[i] = w[i] > level ? floor((w[i] - level) * UNITS) / UNITS : 0;
        if (w[i] > w[largest]) largest = i;
        sum += w[i];
    }
    w[largest] = fmax(w[largest] + (1 - sum), 0);
}

static const bfi_mix *mix_of(const bfi_tile *t, int64_t lane) {
    const bfi_mix *mix = t->splits ? &t->splits->lane[lane]->mix : NULL;
    return mix && mix->count > 0 ? mix : NULL;
}

static const double *rows_of(const bfi_tile *t, int64_t lane, int64_t n) {
    return t->spec + t->v.box[lane] * t->spec_stride + t->v.row[lane] * n;
}

/* What the row counts with: exact. */
static double weight_of(const bfi_mix *mix, int32_t i) {
    return mix->weights[i] * mix->limits[i].scale;
}

/* A sum of products, and what it may be off by. */
typedef struct sum {
    double value, size;
    int32_t terms; /* other than zero */
} sum;

static void add(sum *s, double w, double x) {
    s->value += w * x;
    s->size += fabs(w * x);
    s->terms += w != 0 && x != 0;
}

/* No term passes more than terms + 1 roundings; twice that leaves room for those of |size|. A
 * product may vanish, too. */
static double lost(const sum *s) {
    double terms = s->terms;
    return terms > 0 ? 2 * (terms + 1) * BF_U64 * s->size + terms * 0x1p-1070 : 0;
}

bool bfi_mix_seed(const bfi_tile *t, const bfi_back_op *op, int64_t lane) {
    const bfi_mix *mix = mix_of(t, lane);
    if (!mix) return false;
    const bfi_value_state *state = &t->plan->state[op->node];
    int64_t n = t->plan->graph->nodes[op->node].count;
    const double *rows = rows_of(t, lane, n),
                 *lo = bfi_tile_of_box(t, bfi_ws_doubles(t->ws, 0, state->lo), lane),
                 *hi = bfi_tile_of_box(t, bfi_ws_doubles(t->ws, 0, state->hi), lane);
    char *out = bfi_tile_buffer(t, op->out);
    double error = 0;
    sum constant = {0, 0, 0};
    assert(t->v.sign[lane] == 1);
    for (int64_t j = 0; j < n; j++) {
        sum a = {0, 0, 0};
        for (int32_t i = 0; i < mix->count; i++)
            if (mix->weights[i] != 0) add(&a, weight_of(mix, i), rows[i * n + j]);
        bfi_store(t->plan->dtype, out, j * t->ls + lane, a.value);
        double off = fabs(a.value - bfi_load(t->plan->dtype, out, j * t->ls + lane));
        off += lost(&a);
        if (off > 0) error += off * fmax(fabs(lo[j]), fabs(hi[j]));
    }
    for (int32_t i = 0; i < mix->count; i++)
        if (mix->weights[i] != 0) add(&constant, weight_of(mix, i), -mix->limits[i].limit);
    t->v.constant[lane] = constant.value;
    error += lost(&constant);
    t->v.error[lane] = t->plan->outward ? error * BFI_ERROR_ROOM : 0;
    return true;
}

/* What row |i| of the lane is at the outputs in |z|. */
static double value_at(const bfi_tile *t, const char *z, int64_t lane, const double *row, int64_t n,
                       const bfi_row_limit *limit) {
    double y = -limit->limit;
    for (int64_t j = 0; j < n; j++)
        if (row[j] != 0) y += row[j] * bfi_load(t->plan->dtype, z, j * t->ls + lane);
    return limit->scale * y;
}

/* One step of Adam, by a moment of the gradient's length: rows are of one kind, and single ones
 * would only lose the direction. The gradient counts from the functional's own value, since the
 * sum of the weights stays. Rows that are of no use keep no weight. */
static void step(const bfi_tile *t, const bfi_back_op *op, bfi_mix *mix, int64_t lane) {
    const bfi_ascent *up = t->ascent;
    int64_t n = t->plan->graph->nodes[op->node].count;
    const char *z = bfi_tile_buffer(t, op->a);
    const double *rows = rows_of(t, lane, n);
    double mean = 0, square = 0;
    for (int32_t i = 0; i < mix->count; i++)
        if (mix->weights[i] > 0)
            mean += mix->weights[i] * value_at(t, z, lane, rows + i * n, n, &mix->limits[i]);
    if (!(fabs(mean) < INFINITY)) return;
    for (int32_t i = 0; i < mix->count; i++) {
        double g = value_at(t, z, lane, rows + i * n, n, &mix->limits[i]) - mean;
        bool stays = mix->weights[i] == 0 && g < 0; /* at 0: its size says nothing of the others */
        if (stays || !(fabs(g) < INFINITY)) g = 0;
        mix->m[i] += up->rate_m * (g - mix->m[i]);
        square += g * g;
    }
    mix->v += up->rate_v * (square - mix->v);
    double size = sqrt(mix->v) * up->root + up->eps, pace = up->step / size;
    if (!(pace < INFINITY)) return;
    for (int32_t i = 0; i < mix->count; i++)
        mix->weights[i] =
            mix->limits[i].limit < INFINITY ? mix->weights[i] + pace * mix->m[i] : -INFINITY;
    bfi_mix_round(mix->weights, mix->count);
}

void bfi_mix_run(const bfi_tile *t, const bfi_back_op *op) {
    for (int64_t l = 0; l < t->lanes && t->splits && t->ascent; l++)
        if (mix_of(t, l)) step(t, op, &t->splits->lane[l]->mix, l);
}
