/* Matrix products over lanes, alone and with the relaxation of the layer below. */
#include "gen_tile.h"
#include "kernels/kernel.h"

typedef struct linear {
    any w, in, out;
    int64_t k;
    /* of the relaxation */
    any s_pos, s_neg, t_pos, t_neg, e, t_sum, e_sum;
    bool has_t, has_e;
    tile_sums t, es;
} linear;

/* One tile while it is summed. */
typedef struct tile {
    const linear *s;
    const lanes_kernel *k;
    const tile_sums *sums;
    int rows, vecs;
    any at_w, lane;
} tile;

static void term(const void *self, any k) {
    const tile *t = self;
    tir *b = &t->k->g->b;
    lanes_term(t->sums, t->rows, t->vecs, t->s->w, tir_add(b, t->at_w, tir_mul_int(b, k, BF_PACK)),
               t->s->in, tir_add(b, tir_mul(b, k, t->k->ls), t->lane));
}

static void sum_tile(lanes_kernel *k, tile_sums *sums, any p, any row, int rows, any lane,
                     int vecs) {
    const linear *s = k->self;
    tir *b = &k->g->b;
    tile t = {.s = s, .k = k, .sums = sums, .rows = rows, .vecs = vecs, .lane = lane};
    t.at_w = tir_let(b, "at_w", tir_add(b, tir_mul_int(b, p, s->k * BF_PACK), row));
    tile_begin(sums, k->g, rows * vecs, s->k);
    tile_terms(sums, s->k, term, &t);
}

static any first_output(tir *b, any p, any row) {
    return tir_let(b, "m", tir_add(b, tir_mul_int(b, p, BF_PACK), row));
}

static void linear_tile(lanes_kernel *k, any p, any row, int rows, any lane, int vecs) {
    const linear *s = k->self;
    tir *b = &k->g->b;
    tile_sums sums;
    sum_tile(k, &sums, p, row, rows, lane, vecs);
    any m = first_output(b, p, row);
    lanes_store(&sums, rows, vecs, s->out, tir_add(b, tir_mul(b, m, k->ls), lane), k->ls);
}

void gen_linear(gen *g) {
    tir *b = &g->b;
    int64_t m = gen_p(g, BFI_TVM_M);
    linear s = {.k = gen_p(g, BFI_TVM_K)};
    lanes_kernel k = {.self = &s, .tile = linear_tile, .outputs = m};
    lanes_begin(&k, g);
    s.w = tir_param_array(b, "w", tir_int(b, bfi_packed_size(m, s.k)));
    s.in = tir_param_array(b, "in", tir_mul_int(b, k.ls, s.k));
    s.out = tir_param_array(b, "out", tir_mul_int(b, k.ls, m));
    tir_param(b, k.v);
    k.p0 = tir_param_int(b, "p0"), k.p1 = tir_param_int(b, "p1");
    lanes_run(&k, gen_p(g, BFI_TVM_PARALLEL) ? TIR_PARALLEL : TIR_SERIAL);
}

/* Sums over the outputs, one per vector of the lane tile. */
static void relax_begin(lanes_kernel *k, any lane, int vecs) {
    linear *s = (linear *)k->self;
    (void)lane;
    if (s->has_t) tile_begin(&s->t, k->g, vecs, k->outputs);
    if (s->has_e) tile_begin(&s->es, k->g, vecs, k->outputs);
}

static void relax_end(lanes_kernel *k, any lane, int vecs) {
    const linear *s = k->self;
    any zero = tir_int(&k->g->b, 0);
    if (s->has_t) tile_block_end(&s->t);
    if (s->has_e) tile_block_end(&s->es);
    if (s->has_t) lanes_store(&s->t, 1, vecs, s->t_sum, lane, zero);
    if (s->has_e) lanes_store(&s->es, 1, vecs, s->e_sum, lane, zero);
}

/* Every second panel ends a block. */
static void relax_panel_end(lanes_kernel *k, any p) {
    const linear *s = k->self;
    tir *b = &k->g->b;
    if ((!s->has_t && !s->has_e) || k->outputs <= BF_SUM_BLOCK) return;
    tir_if(b, tir_eq(b, tir_mod(b, p, tir_int(b, BF_SUM_BLOCK / BF_PACK)),
                     tir_int(b, BF_SUM_BLOCK / BF_PACK - 1)));
    const tile_sums *sums[] = {s->has_t ? &s->t : NULL, s->has_e ? &s->es : NULL};
    for (int i = 0; i < 2; i++)
        if (sums[i]) {
            tile_block_end(sums[i]);
            tile_block_begin(sums[i]);
        }
    tir_end(b);
}

/* Parameter |m| for all lanes. */
static any parameter(gen *g, any array, any m) {
    tir *b = &g->b;
    return tir_let_number(b, "q", tir_splat(b, tir_load(b, array, m, 1), g->width), g->width);
}

static any both_zero(gen *g, any x, any y) {
    tir *b = &g->b;
    return tir_and(b, tir_is_zero(b, x, g->width), tir_is_zero(b, y, g->width));
}

/* Row |m| of the result through its relaxation; what has zero parameters leaves nothing behind. */
static void relax_row(lanes_kernel *k, const any *a, int vecs, any m, any lane) {
    const linear *s = k->self;
    gen *g = k->g;
    tir *b = &g->b;
    any s_pos = parameter(g, s->s_pos, m), s_neg = parameter(g, s->s_neg, m), t_pos = s_pos,
        t_neg = s_pos, e = s_pos;
    if (s->has_t) t_pos = parameter(g, s->t_pos, m), t_neg = parameter(g, s->t_neg, m);
    if (s->has_e) e = parameter(g, s->e, m);
    for (int j = 0; j < vecs; j++) {
        any x = tir_let_number(b, "a", a[j], g->width), up = tir_nonneg(b, x, g->width);
        if (s->has_t)
            tile_add_unless(&s->t, j, both_zero(g, t_pos, t_neg), x,
                            tir_select(b, up, t_pos, t_neg));
        if (s->has_e)
            tile_add_unless(&s->es, j, tir_is_zero(b, e, g->width), tir_abs(b, x, g->width), e);
        any at = tir_add_int(b, tir_add(b, tir_mul(b, m, k->ls), lane), j * g->width);
        any scaled = tir_product(b, x, tir_select(b, up, s_pos, s_neg));
        scaled = tir_select(b, both_zero(g, s_pos, s_neg), tir_zero(b, g->width), scaled);
        tir_store(b, s->out, at, scaled, g->width);
    }
}

static void relax_tile(lanes_kernel *k, any p, any row, int rows, any lane, int vecs) {
    tir *b = &k->g->b;
    tile_sums sums;
    any a[8];
    sum_tile(k, &sums, p, row, rows, lane, vecs);
    any m = first_output(b, p, row);
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < vecs; j++) a[j] = tile_sum(&sums, i * vecs + j);
        relax_row(k, a, vecs, tir_add_int(b, m, i), lane);
    }
}

void gen_linear_relax(gen *g) {
    tir *b = &g->b;
    int64_t m = gen_p(g, BFI_TVM_M);
    linear s = {
        .k = gen_p(g, BFI_TVM_K), .has_t = gen_p(g, BFI_TVM_T), .has_e = gen_p(g, BFI_TVM_E)};
    lanes_kernel k = {.self = &s,
                      .begin = relax_begin,
                      .end = relax_end,
                      .tile = relax_tile,
                      .panel_end = relax_panel_end,
                      .outputs = m};
    lanes_begin(&k, g);
    s.w = tir_param_array(b, "w", tir_int(b, bfi_packed_size(m, s.k)));
    s.in = tir_param_array(b, "in", tir_mul_int(b, k.ls, s.k));
    s.out = tir_param_array(b, "out", tir_mul_int(b, k.ls, m));
    any *const parameters[] = {&s.s_pos, &s.s_neg, &s.t_pos, &s.t_neg, &s.e};
    static const char *const names[] = {"s_pos", "s_neg", "t_pos", "t_neg", "e"};
    for (int i = 0; i < 5; i++) *parameters[i] = tir_param_array(b, names[i], tir_int(b, m));
    s.t_sum = tir_param_array(b, "t_sum", k.ls);
    s.e_sum = tir_param_array(b, "e_sum", k.ls);
    tir_param(b, k.v);
    any v0 = tir_param_int(b, "v0"), v1 = tir_param_int(b, "v1");
    k.low = tir_mul_int(b, v0, BF_LANE_PAD / g->width);
    k.high = tir_mul_int(b, v1, BF_LANE_PAD / g->width);
    k.p0 = tir_int(b, 0), k.p1 = tir_int(b, (m + BF_PACK - 1) / BF_PACK);
    lanes_run(&k, gen_p(g, BFI_TVM_PARALLEL) ? TIR_PARALLEL : TIR_SERIAL);
}
