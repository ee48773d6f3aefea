/* Convolutions over lanes: tiles of destination channels by vectors of lanes, position by position.
 */
#include "gen_taps.h"

typedef struct conv {
    bfi_conv c;
    any w, in, out;
    any at_w, at_in, at_out; /* where the group begins */
    any group_out;           /* elements of out between channels */
    taps_axis y, x;          /* of the position */
    any pixel;
} conv;

static void conv_tile(lanes_kernel *k, any p, any row, int rows, any lane, int vecs) {
    const conv *s = k->self;
    tir *b = &k->g->b;
    int64_t terms = s->c.c_src * s->c.kh * s->c.kw;
    tile_sums sums;
    tile_begin(&sums, k->g, rows * vecs, terms);
    any at_w = tir_add(b, tir_add(b, s->at_w, tir_mul_int(b, p, terms * BF_PACK)), row);
    at_w = tir_let(b, "at_w", at_w);
    taps_walk walk = {.c = &s->c, .y = s->y, .x = s->x, .sums = &sums};
    taps_open(&walk);
    lanes_term(&sums, rows, vecs, s->w, tir_add(b, at_w, tir_mul_int(b, walk.t, BF_PACK)), s->in,
               tir_add(b, tir_add(b, s->at_in, tir_mul(b, walk.source, k->ls)), lane));
    taps_close(&walk);
    any m = tir_add(b, tir_mul_int(b, p, BF_PACK), row);
    any at = tir_add(b, tir_mul(b, m, s->group_out), tir_mul(b, s->pixel, k->ls));
    at = tir_let(b, "at", tir_add(b, tir_add(b, s->at_out, at), lane));
    lanes_store(&sums, rows, vecs, s->out, at, s->group_out);
}

/* Where group |group| begins. */
static void open_group(conv *s, lanes_kernel *k, any group) {
    tir *b = &k->g->b;
    const bfi_conv *c = &s->c;
    s->at_w = tir_let(b, "at_w",
                      tir_mul_int(b, group, bfi_packed_size(c->c_dst, c->c_src * c->kh * c->kw)));
    any in = tir_mul_int(b, group, c->c_src * c->h_src * c->w_src);
    any out = tir_mul_int(b, group, c->c_dst * c->h_dst * c->w_dst);
    s->at_in = tir_let(b, "at_in", tir_mul(b, in, k->ls));
    s->at_out = tir_let(b, "at_out", tir_mul(b, out, k->ls));
}

void gen_conv(gen *g) {
    tir *b = &g->b;
    conv s = {.c = taps_conv(g)};
    const bfi_conv *c = &s.c;
    int64_t pixels = c->h_dst * c->w_dst;
    lanes_kernel k = {.self = &s, .tile = conv_tile, .outputs = c->c_dst};
    lanes_begin(&k, g);
    s.w = tir_param_array(
        b, "w", tir_int(b, c->groups * bfi_packed_size(c->c_dst, c->c_src * c->kh * c->kw)));
    s.in =
        tir_param_array(b, "in", tir_mul_int(b, k.ls, c->groups * c->c_src * c->h_src * c->w_src));
    s.out = tir_param_array(b, "out", tir_mul_int(b, k.ls, c->groups * c->c_dst * pixels));
    tir_param(b, k.v);
    any y0 = tir_param_int(b, "y0"), y1 = tir_param_int(b, "y1");
    k.p0 = tir_int(b, 0), k.p1 = tir_int(b, (c->c_dst + BF_PACK - 1) / BF_PACK);
    s.group_out = tir_let(b, "group_out", tir_mul_int(b, k.ls, pixels));
    any i = tir_for(b, "i", tir_int(b, 0), tir_sub(b, y1, y0),
                    gen_p(g, BFI_TVM_PARALLEL) ? TIR_PARALLEL : TIR_SERIAL);
    any dy = tir_let(b, "dy", tir_add(b, y0, i));
    taps_shape ys = taps_shape_y(c), xs = taps_shape_x(c);
    s.y = taps_at(g, &ys, dy);
    any group = tir_for_int(b, "group", c->groups);
    open_group(&s, &k, group);
    any dx = tir_for_int(b, "dx", c->w_dst);
    s.x = taps_at(g, &xs, dx);
    s.pixel = tir_let(b, "pixel", tir_add(b, tir_mul_int(b, dy, c->w_dst), dx));
    lanes_run(&k, TIR_SERIAL);
    for (int j = 0; j < 3; j++) tir_end(b);
}
