/* Convolutions of a single lane: panels of destination channels at several positions of a row. */
#include "gen_panel.h"
#include "gen_taps.h"

typedef struct conv {
    panel_tile t;
    bfi_conv c;
    any at_w, at_in, at_out; /* where the group (of the item) begins */
    taps_axis y;
    any row; /* first pixel of the destination row */
} conv;

/* Destination columns whose taps differ in nothing but the place: [first, first + tiles * positions
 * * columns), position i of a tile |columns| further and |source| source pixels further. */
typedef struct interior {
    int64_t columns, source, first, tiles;
    int positions;
} interior;

static int64_t greater(int64_t x, int64_t y) { return x > y ? x : y; }
static int64_t lesser(int64_t x, int64_t y) { return x < y ? x : y; }

static interior interior_of(const bfi_conv *c, int64_t positions) {
    int64_t reach = (c->kw - 1) * c->dil_w, low, high;
    interior r = {.columns = c->transposed ? c->stride_w : 1,
                  .source = c->transposed ? 1 : c->stride_w};
    if (c->transposed) {
        low = reach - c->pad_left;
        high = (c->w_src - 1) * c->stride_w - c->pad_left + 1;
    } else {
        int64_t room = c->w_src - 1 - reach + c->pad_left;
        low = (c->pad_left + c->stride_w - 1) / c->stride_w;
        high = room < 0 ? 0 : room / c->stride_w + 1;
    }
    r.first = greater(low, 0);
    high = lesser(high, c->w_dst);
    r.positions = (int)greater(1, lesser(positions, (high - r.first) / r.columns));
    r.tiles = r.positions > 1 ? (high - r.first) / (r.positions * r.columns) : 0;
    return r;
}

/* |positions| positions from column |dx| on, |panels| panels from |p| on. */
static void tile(conv *s, const interior *r, any dx, int positions, any p) {
    gen *g = s->t.g;
    tir *b = &g->b;
    int64_t pixels = s->c.h_dst * s->c.w_dst, terms = s->c.c_src * s->c.kh * s->c.kw;
    taps_shape xs = taps_shape_x(&s->c);
    s->t.positions = positions;
    any at_w = tir_let(b, "at_w", tir_add(b, s->at_w, tir_mul_int(b, p, terms * BF_PACK)));
    taps_walk walk = {.c = &s->c, .y = s->y, .x = taps_at(g, &xs, dx), .sums = &s->t.sums};
    panel_begin(&s->t, terms);
    taps_open(&walk);
    panel_term(&s->t, tir_add(b, at_w, tir_mul_int(b, walk.t, BF_PACK)),
               tir_add(b, s->at_in, walk.source), r->source);
    taps_close(&walk);
    any m = tir_mul_int(b, p, BF_PACK);
    any rows = tir_min(b, tir_int(b, s->t.panels * BF_PACK), tir_sub(b, tir_int(b, s->c.c_dst), m));
    any at = tir_add(b, tir_add(b, s->at_out, tir_mul_int(b, m, pixels)), tir_add(b, s->row, dx));
    panel_scatter(&s->t, tir_let(b, "at", at), pixels, r->columns, rows);
}

/* All panels at |dx|. */
static void all_panels(conv *s, const interior *r, any dx, int positions) {
    tir *b = &s->t.g->b;
    int64_t panels = (s->c.c_dst + BF_PACK - 1) / BF_PACK;
    any p = tir_mul_int(b, tir_for_int(b, "part", panels / s->t.panels), s->t.panels);
    tile(s, r, dx, positions, p);
    tir_end(b);
}

/* A destination row: tiles of the interior, then the columns beside it one by one. */
static void row(conv *s, const interior *r) {
    tir *b = &s->t.g->b;
    int64_t covered = r->tiles * r->positions * r->columns, rest = s->c.w_dst - covered;
    if (covered > 0) {
        any i = tir_for_int(b, "tile", r->tiles), phase = tir_for_int(b, "phase", r->columns);
        any dx = tir_add(b, tir_mul_int(b, i, r->positions * r->columns), phase);
        all_panels(s, r, tir_let(b, "dx", tir_add_int(b, dx, r->first)), r->positions);
        tir_end(b);
        tir_end(b);
    }
    if (rest > 0) {
        any i = tir_for_int(b, "column", rest);
        any skip =
            tir_select(b, tir_lt(b, i, tir_int(b, r->first)), tir_int(b, 0), tir_int(b, covered));
        all_panels(s, r, tir_let(b, "dx", tir_add(b, i, skip)), 1);
        tir_end(b);
    }
}

/* Panels of a tile: a divisor of all, so that none is left over. */
static int tile_panels(const conv *s, int positions) {
    const gen *g = s->t.g;
    int64_t panels = (s->c.c_dst + BF_PACK - 1) / BF_PACK, sums = s->t.interval ? 3 : 1;
    int count = panel_count(g, gen_p(g, BFI_TVM_VECS), panels);
    while (panels % count ||
           (count > 1 && count * positions * sums * BF_PACK / g->width > TILE_SUMS))
        count--;
    return count;
}

/* Destination rows [y0, y1) of one item, whose arrays begin at |in| and |out|. */
static void rows(conv *s, any y0, any y1, any in, any out) {
    gen *g = s->t.g;
    tir *b = &g->b;
    const bfi_conv *c = &s->c;
    interior r = interior_of(c, gen_p(g, BFI_TVM_ROWS));
    s->t.panels = tile_panels(s, r.positions);
    any i = tir_for(b, "i", tir_int(b, 0), tir_sub(b, y1, y0),
                    gen_p(g, BFI_TVM_PARALLEL) ? TIR_PARALLEL : TIR_SERIAL);
    any dy = tir_let(b, "dy", tir_add(b, y0, i));
    taps_shape ys = taps_shape_y(c);
    s->y = taps_at(g, &ys, dy);
    s->row = tir_mul_int(b, dy, c->w_dst);
    any group = tir_for_int(b, "group", c->groups);
    s->at_w = tir_mul_int(b, group, bfi_packed_size(c->c_dst, c->c_src * c->kh * c->kw));
    s->at_in = tir_add(b, in, tir_mul_int(b, group, c->c_src * c->h_src * c->w_src));
    s->at_out = tir_add(b, out, tir_mul_int(b, group, c->c_dst * c->h_dst * c->w_dst));
    row(s, &r);
    tir_end(b);
    tir_end(b);
}

/* Elements of weights, of a source, of a destination. */
static void sizes(const bfi_conv *c, int64_t size[3]) {
    size[0] = c->groups * bfi_packed_size(c->c_dst, c->c_src * c->kh * c->kw);
    size[1] = c->groups * c->c_src * c->h_src * c->w_src;
    size[2] = c->groups * c->c_dst * c->h_dst * c->w_dst;
}

static conv conv_of(gen *g, bool interval) {
    conv s = {.t = {.g = g, .interval = interval}, .c = taps_conv(g)};
    s.t.panel_stride = s.c.c_src * s.c.kh * s.c.kw * BF_PACK;
    return s;
}

void gen_conv_one(gen *g) {
    tir *b = &g->b;
    conv s = conv_of(g, false);
    int64_t size[3];
    sizes(&s.c, size);
    s.t.w = tir_param_array(b, "w", tir_int(b, size[0]));
    s.t.in[0] = tir_param_array(b, "in", tir_int(b, size[1]));
    s.t.out[0] = tir_param_array(b, "out", tir_int(b, size[2]));
    any y0 = tir_param_int(b, "y0"), y1 = tir_param_int(b, "y1");
    rows(&s, y0, y1, tir_int(b, 0), tir_int(b, 0));
}

void gen_interval_conv(gen *g) {
    tir *b = &g->b;
    conv s = conv_of(g, true);
    int64_t size[3], batch = gen_p(g, BFI_TVM_BATCH);
    static const char *const outs[] = {"out_lo", "out_hi", "out_mag"};
    sizes(&s.c, size);
    s.t.w = tir_param_array(b, "w", tir_int(b, size[0]));
    s.t.in[0] = tir_param_array(b, "lo", tir_int(b, batch * size[1]));
    s.t.in[1] = tir_param_array(b, "hi", tir_int(b, batch * size[1]));
    for (int i = 0; i < 3; i++)
        s.t.out[i] = tir_param_array(b, outs[i], tir_int(b, batch * size[2]));
    any y0 = tir_param_int(b, "y0"), y1 = tir_param_int(b, "y1");
    any item = tir_for_int(b, "item", batch);
    rows(&s, y0, y1, tir_mul_int(b, item, size[1]), tir_mul_int(b, item, size[2]));
    tir_end(b);
}
