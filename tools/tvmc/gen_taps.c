#include "gen_taps.h"

bfi_conv taps_conv(const gen *g) {
    const int64_t *p = g->k->p;
    return (bfi_conv){.groups = p[BFI_TVM_GROUPS],
                      .c_src = p[BFI_TVM_C_SRC],
                      .h_src = p[BFI_TVM_H_SRC],
                      .w_src = p[BFI_TVM_W_SRC],
                      .c_dst = p[BFI_TVM_C_DST],
                      .h_dst = p[BFI_TVM_H_DST],
                      .w_dst = p[BFI_TVM_W_DST],
                      .kh = p[BFI_TVM_KH],
                      .kw = p[BFI_TVM_KW],
                      .stride_h = p[BFI_TVM_STRIDE_H],
                      .stride_w = p[BFI_TVM_STRIDE_W],
                      .dil_h = p[BFI_TVM_DIL_H],
                      .dil_w = p[BFI_TVM_DIL_W],
                      .pad_top = p[BFI_TVM_PAD_TOP],
                      .pad_left = p[BFI_TVM_PAD_LEFT],
                      .transposed = p[BFI_TVM_TRANSPOSED] != 0};
}

taps_shape taps_shape_y(const bfi_conv *c) {
    return (taps_shape){c->h_src, c->h_dst,   c->kh,        c->stride_h,
                        c->dil_h, c->pad_top, c->transposed};
}

taps_shape taps_shape_x(const bfi_conv *c) {
    return (taps_shape){c->w_src, c->w_dst,    c->kw,        c->stride_w,
                        c->dil_w, c->pad_left, c->transposed};
}

bool taps_all_meet(const taps_shape *s, int64_t low, int64_t high) {
    int64_t reach = (s->taps - 1) * s->dil;
    if (s->transposed)
        return s->stride == 1 && low + s->pad - reach >= 0 && high - 1 + s->pad < s->src_size;
    return low * s->stride - s->pad >= 0 && (high - 1) * s->stride - s->pad + reach < s->src_size;
}

/* x / d rounded up, for x >= 0. */
static any ceil_div(tir *b, any x, int64_t d) {
    return tir_div(b, tir_add_int(b, x, d - 1), tir_int(b, d));
}

static any not_negative(tir *b, any x) { return tir_max(b, x, tir_int(b, 0)); }

/* s = dst * stride - pad + k * dil within [0, src_size). */
static taps_axis forward_axis(gen *g, const taps_shape *s, any dst) {
    tir *b = &g->b;
    taps_axis a = {.step = 1, .source_step = s->dil};
    any base = tir_let(b, "base", tir_add_int(b, tir_mul_int(b, dst, s->stride), -s->pad));
    if (taps_all_meet(s, 0, s->dst_size)) {
        a.first = tir_int(b, 0), a.count = tir_int(b, s->taps), a.source = base;
        return a;
    }
    any before = not_negative(b, tir_sub(b, tir_int(b, 0), base));
    any inside = not_negative(b, tir_sub(b, tir_int(b, s->src_size), base));
    any end = tir_min(b, tir_int(b, s->taps), ceil_div(b, inside, s->dil));
    a.first = tir_let(b, "first", ceil_div(b, before, s->dil));
    a.count = tir_let(b, "count", not_negative(b, tir_sub(b, end, a.first)));
    a.source = tir_let(b, "source", tir_add(b, base, tir_mul_int(b, a.first, s->dil)));
    return a;
}

static int64_t common_divisor(int64_t x, int64_t y) {
    return y == 0 ? x : common_divisor(y, x % y);
}

/* Smallest tap k >= 0 with k * dil == phase (mod stride), or |taps|. */
static int64_t first_of_phase(const taps_shape *s, int64_t phase) {
    int64_t k = 0;
    while (k < s->taps && (k * s->dil - phase) % s->stride != 0) k++;
    return k;
}

/* first_of_phase of base % stride, as a chain of selections. */
static any phase_table(tir *b, const taps_shape *s, any base) {
    any phase = tir_mod(b, base, tir_int(b, s->stride));
    any k = tir_int(b, first_of_phase(s, s->stride - 1));
    for (int64_t i = s->stride - 2; i >= 0; i--)
        k = tir_select(b, tir_eq(b, phase, tir_int(b, i)), tir_int(b, first_of_phase(s, i)), k);
    return k;
}

/* s = (dst + pad - k * dil) / stride where divisible, within [0, src_size). */
static taps_axis transposed_axis(gen *g, const taps_shape *s, any dst) {
    enum { MOST_PHASES = 64 };
    tir *b = &g->b;
    int64_t step = s->stride / common_divisor(s->stride, s->dil);
    taps_axis a = {.step = step, .source_step = -(step * s->dil / s->stride)};
    if (s->stride > MOST_PHASES) tvm_fail(b->t, "transposed convolution with a stride above 64");
    if (b->t->failed) return a;
    any base = tir_let(b, "base", tir_add_int(b, dst, s->pad));
    if (taps_all_meet(s, 0, s->dst_size)) {
        a.first = tir_int(b, 0), a.count = tir_int(b, s->taps), a.source = base;
        return a;
    }
    any from = tir_let(b, "from", not_negative(b, base));
    any phase = tir_let(b, "phase", phase_table(b, s, from));
    any beyond = not_negative(b, tir_add_int(b, from, -(s->src_size - 1) * s->stride));
    any skip = not_negative(b, tir_sub(b, ceil_div(b, beyond, s->dil), phase));
    a.first = tir_let(b, "first", tir_add(b, phase, tir_mul_int(b, ceil_div(b, skip, step), step)));
    any last = tir_add_int(b, tir_div(b, from, tir_int(b, s->dil)), 1);
    any end = tir_min(b, tir_int(b, s->taps), last);
    any count = ceil_div(b, not_negative(b, tir_sub(b, end, a.first)), step);
    a.count =
        tir_let(b, "count", tir_select(b, tir_lt(b, base, tir_int(b, 0)), tir_int(b, 0), count));
    any at = not_negative(b, tir_sub(b, from, tir_mul_int(b, a.first, s->dil)));
    a.source = tir_let(b, "source", tir_div(b, at, tir_int(b, s->stride)));
    return a;
}

taps_axis taps_at(gen *g, const taps_shape *s, any dst) {
    return s->transposed ? transposed_axis(g, s, dst) : forward_axis(g, s, dst);
}

void taps_open(taps_walk *w) {
    tir *b = &w->sums->g->b;
    const bfi_conv *c = w->c;
    if (w->sums->totals) {
        w->block = tir_local_index(b, "last");
        tir_set(b, w->block, 0, tir_int(b, 0));
    }
    any channel = tir_for_int(b, "c", c->c_src);
    any i = tir_for(b, "jy", tir_int(b, 0), w->y.count, TIR_SERIAL);
    any j = tir_for(b, "jx", tir_int(b, 0), w->x.count, TIR_SERIAL);
    any ky = tir_add(b, w->y.first, tir_mul_int(b, i, w->y.step));
    any kx = tir_add(b, w->x.first, tir_mul_int(b, j, w->x.step));
    any row = tir_add(b, tir_mul_int(b, channel, c->kh), ky);
    w->t = tir_let(b, "t", tir_add(b, tir_mul_int(b, row, c->kw), kx));
    any sy = tir_add(b, w->y.source, tir_mul_int(b, i, w->y.source_step));
    any sx = tir_add(b, w->x.source, tir_mul_int(b, j, w->x.source_step));
    any line = tir_add(b, tir_mul_int(b, channel, c->h_src), sy);
    w->source = tir_let(b, "pixel", tir_add(b, tir_mul_int(b, line, c->w_src), sx));
    if (!w->sums->totals) return;
    any block = tir_let(b, "block", tir_div(b, w->t, tir_int(b, BF_SUM_BLOCK)));
    tir_if(b, tir_lt(b, tir_get(b, w->block, 0), block));
    tile_block_end(w->sums);
    tile_block_begin(w->sums);
    tir_set(b, w->block, 0, block);
    tir_end(b);
}

void taps_close(taps_walk *w) {
    tir *b = &w->sums->g->b;
    for (int i = 0; i < 3; i++) tir_end(b);
    tile_block_end(w->sums);
}
