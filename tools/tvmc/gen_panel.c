#include "gen_panel.h"

int panel_sums(const panel_tile *t) { return t->interval ? 3 : 1; }

static int place(const panel_tile *t, int position, int vector, int sum) {
    return (position * t->vectors + vector) * panel_sums(t) + sum;
}

any panel_sum(const panel_tile *t, int position, int vector, int sum) {
    return tile_sum(&t->sums, place(t, position, vector, sum));
}

int panel_count(const gen *g, int64_t vectors, int64_t panels) {
    int64_t count = vectors * g->width / BF_PACK;
    if (count > panels) count = panels;
    return count < 1 ? 1 : (int)count;
}

void panel_begin(panel_tile *t, int64_t terms) {
    t->vectors = t->panels * BF_PACK / t->g->width;
    tile_begin(&t->sums, t->g, t->positions * t->vectors * panel_sums(t), terms);
}

static any splat_at(const panel_tile *t, any array, any at) {
    tir *b = &t->g->b;
    return tir_let_number(b, "x", tir_load(b, array, at, 1), 1);
}

/* Inputs of a position: one, or both ends and the larger magnitude (kernels/ref, magnitude). */
static void inputs(const panel_tile *t, any at, any x[3]) {
    tir *b = &t->g->b;
    x[0] = splat_at(t, t->in[0], at);
    if (t->interval) {
        x[1] = splat_at(t, t->in[1], at);
        any low = tir_let_number(b, "low", tir_abs(b, x[0], 1), 1);
        any high = tir_let_number(b, "high", tir_abs(b, x[1], 1), 1);
        any first = tir_or(b, tir_greater(b, low, high), tir_is_nan(b, low));
        x[2] = tir_let_number(b, "mag", tir_select(b, first, low, high), 1);
    }
    for (int i = 0; i < panel_sums(t); i++)
        x[i] = tir_let_number(b, "xs", tir_splat(b, x[i], t->g->width), t->g->width);
}

void panel_term(const panel_tile *t, any at_w, any at_in, int64_t step) {
    tir *b = &t->g->b;
    int width = t->g->width, per_panel = BF_PACK / width;
    any x[16][3];
    for (int p = 0; p < t->positions; p++) inputs(t, tir_add_int(b, at_in, p * step), x[p]);
    for (int v = 0; v < t->vectors; v++) {
        any at = tir_add_int(b, at_w, v / per_panel * t->panel_stride + v % per_panel * width);
        any w = tir_let_number(b, "wv", tir_load(b, t->w, at, width), width), up = w, size = w;
        if (t->interval) {
            up = tir_nonneg(b, w, width);
            size = tir_let_number(b, "size", tir_abs(b, w, width), width);
        }
        for (int p = 0; p < t->positions; p++) {
            if (!t->interval) {
                tile_add(&t->sums, place(t, p, v, 0), w, x[p][0]);
                continue;
            }
            tile_add(&t->sums, place(t, p, v, 0), w, tir_select(b, up, x[p][0], x[p][1]));
            tile_add(&t->sums, place(t, p, v, 1), w, tir_select(b, up, x[p][1], x[p][0]));
            tile_add(&t->sums, place(t, p, v, 2), size, x[p][2]);
        }
    }
}

/* Through memory, because the outputs lie apart. */
static void scatter(const panel_tile *t, int position, int sum, any at, int64_t stride, any rows) {
    tir *b = &t->g->b;
    any copy = tir_local(b, "copy", 1, t->panels * BF_PACK);
    for (int v = 0; v < t->vectors; v++)
        tir_store(b, copy, tir_int(b, v * t->g->width), panel_sum(t, position, v, sum),
                  t->g->width);
    any r = tir_for(b, "r", tir_int(b, 0), rows, TIR_SERIAL);
    tir_store(b, t->out[sum], tir_add(b, at, tir_mul_int(b, r, stride)), tir_load(b, copy, r, 1),
              1);
    tir_end(b);
}

void panel_scatter(const panel_tile *t, any at, int64_t stride, int64_t step, any rows) {
    for (int p = 0; p < t->positions; p++)
        for (int i = 0; i < panel_sums(t); i++)
            scatter(t, p, i, tir_add_int(&t->g->b, at, p * step), stride, rows);
}
