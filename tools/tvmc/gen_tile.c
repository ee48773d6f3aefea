#include "gen_tile.h"

#include <assert.h>

#include "kernels/kernel.h"

void tile_begin(tile_sums *s, gen *g, int count, int64_t terms) {
    assert(count <= TILE_SUMS);
    s->g = g, s->count = count, s->totals = terms > BF_SUM_BLOCK;
    for (int i = 0; i < count; i++) {
        s->acc[i] = tir_local(&g->b, "acc", g->width, 1);
        tir_set(&g->b, s->acc[i], 0, tir_zero(&g->b, g->width));
        if (!s->totals) continue;
        s->total[i] = tir_local(&g->b, "total", g->width, 1);
        tir_set(&g->b, s->total[i], 0, tir_zero(&g->b, g->width));
    }
}

void tile_block_begin(const tile_sums *s) {
    tir *b = &s->g->b;
    for (int i = 0; i < s->count; i++) tir_set(b, s->acc[i], 0, tir_zero(b, s->g->width));
}

void tile_block_end(const tile_sums *s) {
    tir *b = &s->g->b;
    for (int i = 0; i < s->count && s->totals; i++)
        tir_set(b, s->total[i], 0,
                tir_sum(b, tir_get(b, s->total[i], 0), tir_get(b, s->acc[i], 0)));
}

void tile_add(const tile_sums *s, int i, any x, any y) {
    tir *b = &s->g->b;
    tir_set(b, s->acc[i], 0, tir_fma(b, x, y, tir_get(b, s->acc[i], 0), s->g->width));
}

void tile_add_unless(const tile_sums *s, int i, any skip, any x, any y) {
    tir *b = &s->g->b;
    any acc = tir_get(b, s->acc[i], 0);
    tir_set(b, s->acc[i], 0, tir_select(b, skip, acc, tir_fma(b, x, y, acc, s->g->width)));
}

any tile_sum(const tile_sums *s, int i) {
    return tir_get(&s->g->b, s->totals ? s->total[i] : s->acc[i], 0);
}

void tile_terms(const tile_sums *s, int64_t count, void (*term)(const void *self, any k),
                const void *self) {
    tir *b = &s->g->b;
    int64_t blocks = count / BF_SUM_BLOCK, rest = count % BF_SUM_BLOCK;
    if (blocks > 0) {
        any first = tir_mul_int(b, tir_for_int(b, "block", blocks), BF_SUM_BLOCK);
        tile_block_begin(s);
        term(self, tir_let(b, "k", tir_add(b, first, tir_for_int(b, "i", BF_SUM_BLOCK))));
        tir_end(b);
        tile_block_end(s);
        tir_end(b);
    }
    if (rest > 0) {
        tile_block_begin(s);
        term(self,
             tir_let(b, "k", tir_add_int(b, tir_for_int(b, "i", rest), blocks * BF_SUM_BLOCK)));
        tir_end(b);
        tile_block_end(s);
    }
}

int tile_split(int64_t rows, int64_t most, int64_t sizes[16]) {
    int count = (int)((rows + most - 1) / most);
    for (int i = 0; i < count; i++) sizes[i] = rows / count + (i < rows % count);
    return count;
}

void lanes_begin(lanes_kernel *k, gen *g) {
    tir *b = &g->b;
    k->g = g;
    k->v = tir_var(b, "v");
    k->ls = tir_mul_int(b, k->v, BF_LANE_PAD);
    k->low = tir_int(b, 0);
    k->high = tir_mul_int(b, k->v, BF_LANE_PAD / g->width);
    k->even = BF_LANE_PAD / g->width % gen_p(g, BFI_TVM_VECS) == 0;
}

/* Outputs of a tile of |vecs| vectors: single vectors take more, for as many independent chains. */
static int64_t tile_rows(const gen *g, int vecs) {
    int64_t rows = gen_p(g, BFI_TVM_ROWS), most = gen_p(g, BFI_TVM_VECS);
    if (vecs < most) rows = rows * most / 2 > rows ? rows * most / 2 : rows;
    return rows < BF_PACK ? rows : BF_PACK;
}

/* The first |rows| outputs of panel |p|. */
static void panel(lanes_kernel *k, any p, int64_t rows, any lane, int vecs) {
    tir *b = &k->g->b;
    int64_t sizes[16], row = 0;
    int count = tile_split(rows, tile_rows(k->g, vecs), sizes);
    if (count > 1 && sizes[0] == sizes[count - 1]) {
        any i = tir_for_int(b, "part", count);
        k->tile(k, p, tir_mul_int(b, i, sizes[0]), (int)sizes[0], lane, vecs);
        tir_end(b);
    } else {
        for (int i = 0; i < count; row += sizes[i++])
            k->tile(k, p, tir_int(b, row), (int)sizes[i], lane, vecs);
    }
    if (k->panel_end) k->panel_end(k, p);
}

static void lane_tile(lanes_kernel *k, any lane, int vecs) {
    tir *b = &k->g->b;
    int64_t whole = k->outputs / BF_PACK, rest = k->outputs % BF_PACK;
    if (k->begin) k->begin(k, lane, vecs);
    if (whole > 0) {
        any p = tir_for(b, "p", k->p0, tir_min(b, k->p1, tir_int(b, whole)), TIR_SERIAL);
        panel(k, p, BF_PACK, lane, vecs);
        tir_end(b);
    }
    if (rest > 0) {
        tir_if(b, tir_lt(b, tir_int(b, whole), k->p1));
        panel(k, tir_int(b, whole), rest, lane, vecs);
        tir_end(b);
    }
    if (k->end) k->end(k, lane, vecs);
}

void lanes_run(lanes_kernel *k, tir_loop_kind kind) {
    tir *b = &k->g->b;
    int vecs = (int)gen_p(k->g, BFI_TVM_VECS), width = k->g->width;
    any low = tir_let(b, "low", k->low), high = tir_let(b, "high", k->high);
    any tiles = tir_let(b, "tiles", tir_div(b, tir_sub(b, high, low), tir_int(b, vecs)));
    any i = tir_for(b, "tile", tir_int(b, 0), tiles, kind);
    any first = tir_add(b, low, tir_mul_int(b, i, vecs));
    lane_tile(k, tir_let(b, "lane", tir_mul_int(b, first, width)), vecs);
    tir_end(b);
    if (k->even) return;
    any rest = tir_let(b, "rest", tir_add(b, low, tir_mul_int(b, tiles, vecs)));
    any u = tir_for(b, "u", tir_int(b, 0), tir_sub(b, high, rest), kind); /* parallel: from 0 */
    lane_tile(k, tir_let(b, "lane", tir_mul_int(b, tir_add(b, rest, u), width)), 1);
    tir_end(b);
}

void lanes_term(const tile_sums *s, int rows, int vecs, any w, any at_w, any in, any at_in) {
    tir *b = &s->g->b;
    int width = s->g->width;
    any x[8];
    assert(vecs <= 8);
    for (int j = 0; j < vecs; j++)
        x[j] =
            tir_let_number(b, "x", tir_load(b, in, tir_add_int(b, at_in, j * width), width), width);
    for (int i = 0; i < rows; i++) {
        any wi = tir_load(b, w, tir_add_int(b, at_w, i), 1);
        wi = tir_let_number(b, "wi", tir_splat(b, wi, width), width);
        for (int j = 0; j < vecs; j++) tile_add(s, i * vecs + j, wi, x[j]);
    }
}

void lanes_store(const tile_sums *s, int rows, int vecs, any out, any at, any stride) {
    tir *b = &s->g->b;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vecs; j++) {
            any place = tir_add_int(b, tir_add(b, at, tir_mul_int(b, stride, i)), j * s->g->width);
            tir_store(b, out, place, tile_sum(s, i * vecs + j), s->g->width);
        }
}
