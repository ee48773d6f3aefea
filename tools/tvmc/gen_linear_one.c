/* Matrix times vector, and matrices times boxes. */
#include "gen_panel.h"

typedef struct product {
    panel_tile t;
    int64_t m, k;
    any at_w, at_in, at_out; /* where the item of the batch begins */
} product;

/* The tile's terms; |self| points to the tile's first weight. */
typedef struct tile_terms_of {
    const product *s;
    any at_w;
} tile_terms_of;

static void term(const void *self, any k) {
    const tile_terms_of *o = self;
    tir *b = &o->s->t.g->b;
    panel_term(&o->s->t, tir_add(b, o->at_w, tir_mul_int(b, k, BF_PACK)),
               tir_add(b, o->s->at_in, k), 0);
}

/* Sums of panel |j| of the tile to the outputs from |at| on; |rows| of them exist. */
static void store_panel(const product *s, int j, any at, int64_t rows) {
    tir *b = &s->t.g->b;
    int width = s->t.g->width, vectors = BF_PACK / width;
    for (int i = 0; i < panel_sums(&s->t); i++) {
        any copy = rows < BF_PACK ? tir_local(b, "copy", 1, BF_PACK) : s->t.out[i];
        any first = rows < BF_PACK ? tir_int(b, 0) : at;
        for (int v = 0; v < vectors; v++)
            tir_store(b, copy, tir_add_int(b, first, v * width),
                      panel_sum(&s->t, 0, j * vectors + v, i), width);
        for (int r = 0; r < rows && rows < BF_PACK; r++)
            tir_store(b, s->t.out[i], tir_add_int(b, at, r), tir_get(b, copy, r), 1);
    }
}

/* |panels| panels from |p| on, the last of which may be the one that is cut. */
static void tile(product *s, any p, int panels) {
    tir *b = &s->t.g->b;
    tile_terms_of o = {.s = s};
    int64_t whole = s->m / BF_PACK, rest = s->m % BF_PACK;
    s->t.panels = panels;
    any first = tir_add(b, s->at_w, tir_mul_int(b, p, s->k * BF_PACK));
    o.at_w = tir_let(b, "at_w", first);
    panel_begin(&s->t, s->k);
    tile_terms(&s->t.sums, s->k, term, &o);
    any at = tir_let(b, "at", tir_add(b, s->at_out, tir_mul_int(b, p, BF_PACK)));
    for (int j = 0; j < panels; j++) {
        any here = tir_add_int(b, at, j * BF_PACK), index = tir_add_int(b, p, j);
        bool last = j == panels - 1 && rest > 0;
        if (last) tir_if(b, tir_lt(b, index, tir_int(b, whole)));
        store_panel(s, j, here, BF_PACK);
        if (last) tir_end(b);
        if (last) tir_if(b, tir_eq(b, index, tir_int(b, whole)));
        if (last) store_panel(s, j, here, rest);
        if (last) tir_end(b);
    }
}

/* Panels of a tile: least time for all |panels|, when a tile takes as long as its vectors but no
 * less than the latency of its chains, and what is left over is summed panel by panel. */
static int best_count(const gen *g, int64_t panels, int sums) {
    enum { LATENCY = 4 };
    int64_t best_time = INT64_MAX, per_panel = BF_PACK / g->width * sums;
    int best = 1, most = panel_count(g, gen_p(g, BFI_TVM_VECS), panels);
    for (int n = 1; n <= most; n++) {
        int64_t single = per_panel > LATENCY ? per_panel : LATENCY;
        int64_t tile = n * per_panel > LATENCY ? n * per_panel : LATENCY;
        int64_t time = panels / n * tile + panels % n * single;
        if (time <= best_time) best = n, best_time = time;
    }
    return best;
}

/* Tiles of panels, then single ones. */
static void all_panels(product *s, any p0, any p1) {
    gen *g = s->t.g;
    tir *b = &g->b;
    tir_loop_kind kind = gen_p(g, BFI_TVM_PARALLEL) ? TIR_PARALLEL : TIR_SERIAL;
    int panels = best_count(g, (s->m + BF_PACK - 1) / BF_PACK, panel_sums(&s->t));
    any tiles = tir_let(b, "tiles", tir_div(b, tir_sub(b, p1, p0), tir_int(b, panels)));
    any i = tir_for(b, "tile", tir_int(b, 0), tiles, kind);
    tile(s, tir_let(b, "p", tir_add(b, p0, tir_mul_int(b, i, panels))), panels);
    tir_end(b);
    if (panels == 1) return;
    any next = tir_let(b, "next", tir_add(b, p0, tir_mul_int(b, tiles, panels)));
    i = tir_for(b, "i", tir_int(b, 0), tir_sub(b, p1, next), kind);
    tile(s, tir_let(b, "p", tir_add(b, next, i)), 1);
    tir_end(b);
}

void gen_linear_one(gen *g) {
    tir *b = &g->b;
    product s = {.t = {.g = g, .positions = 1}, .m = gen_p(g, BFI_TVM_M), .k = gen_p(g, BFI_TVM_K)};
    s.t.panel_stride = s.k * BF_PACK;
    s.t.w = tir_param_array(b, "w", tir_int(b, bfi_packed_size(s.m, s.k)));
    s.t.in[0] = tir_param_array(b, "in", tir_int(b, s.k));
    s.t.out[0] = tir_param_array(b, "out", tir_int(b, s.m));
    any p0 = tir_param_int(b, "p0"), p1 = tir_param_int(b, "p1");
    s.at_w = s.at_in = s.at_out = tir_int(b, 0);
    all_panels(&s, p0, p1);
}

void gen_interval_linear(gen *g) {
    tir *b = &g->b;
    product s = {.t = {.g = g, .positions = 1, .interval = true},
                 .m = gen_p(g, BFI_TVM_M),
                 .k = gen_p(g, BFI_TVM_K)};
    int64_t batch = gen_p(g, BFI_TVM_BATCH);
    static const char *const outs[] = {"out_lo", "out_hi", "out_mag"};
    s.t.panel_stride = s.k * BF_PACK;
    s.t.w = tir_param_array(b, "w", tir_int(b, batch * bfi_packed_size(s.m, s.k)));
    s.t.in[0] = tir_param_array(b, "lo", tir_int(b, batch * s.k));
    s.t.in[1] = tir_param_array(b, "hi", tir_int(b, batch * s.k));
    for (int i = 0; i < 3; i++) s.t.out[i] = tir_param_array(b, outs[i], tir_int(b, batch * s.m));
    any p0 = tir_param_int(b, "p0"), p1 = tir_param_int(b, "p1");
    any item = tir_for_int(b, "item", batch);
    s.at_w = tir_mul_int(b, item, bfi_packed_size(s.m, s.k));
    s.at_in = tir_mul_int(b, item, s.k), s.at_out = tir_mul_int(b, item, s.m);
    all_panels(&s, p0, p1);
    tir_end(b);
}
