/* Kernels of one pass over their arrays: relaxations, additions. */
#include "gen_tile.h"
#include "kernels/kernel.h"

typedef struct relax {
    gen *g;
    any a, out, s_pos, s_neg, t_pos, t_neg, e, t_sum, e_sum;
    any n, ls;
    bool scale, has_t, has_e, shared;
    /* the tile */
    any lane;
    int vecs;
    tile_sums t, es;
} relax;

/* The arguments of both relaxations; elements of lanes arrays, of parameters and of sums. */
static void relax_params(relax *s, any lanes, any parameters, any sums) {
    tir *b = &s->g->b;
    s->a = tir_param_array(b, "a", lanes), s->out = tir_param_array(b, "out", lanes);
    s->s_pos = tir_param_array(b, "s_pos", parameters);
    s->s_neg = tir_param_array(b, "s_neg", parameters);
    s->t_pos = tir_param_array(b, "t_pos", parameters);
    s->t_neg = tir_param_array(b, "t_neg", parameters);
    s->e = tir_param_array(b, "e", parameters);
    s->t_sum = tir_param_array(b, "t_sum", sums), s->e_sum = tir_param_array(b, "e_sum", sums);
    tir_param(b, s->n);
}

/* Parameter of element |j| for vector |v| of the tile, one for every lane. */
static any parameter(const relax *s, any array, any j, int v) {
    tir *b = &s->g->b;
    int width = s->g->width;
    any at = tir_add_int(b, tir_add(b, tir_mul(b, j, s->ls), s->lane), v * width);
    return tir_load(b, array, at, width);
}

/* A relaxation's two parameters, their choice for |x|, and whether both are zero: what has zero
 * parameters leaves nothing behind, even when x is infinite or not a number. */
typedef struct choice {
    any value, nothing;
} choice;

static choice choose(tir *b, any x, any pos, any neg, int lanes) {
    pos = tir_let_number(b, "pos", pos, lanes), neg = tir_let_number(b, "neg", neg, lanes);
    return (choice){tir_select(b, tir_nonneg(b, x, lanes), pos, neg),
                    tir_and(b, tir_is_zero(b, pos, lanes), tir_is_zero(b, neg, lanes))};
}

static any scaled(tir *b, any x, choice slope, int lanes) {
    return tir_select(b, slope.nothing, tir_zero(b, lanes), tir_product(b, x, slope.value));
}

/* Parameters |pos| and |neg| of element |j|, the same for all lanes: the branch on whether they
 * leave something behind is opened. */
typedef struct shared_pair {
    any pos, neg;
} shared_pair;

static shared_pair open_shared(const relax *s, any pos, any neg, any j) {
    tir *b = &s->g->b;
    shared_pair q = {tir_let_number(b, "pos", tir_load(b, pos, j, 1), 1),
                     tir_let_number(b, "neg", tir_load(b, neg, j, 1), 1)};
    tir_if(b, tir_or(b, tir_not_zero(b, q.pos), tir_not_zero(b, q.neg)));
    return q;
}

static any chosen(const relax *s, shared_pair q, any x) {
    tir *b = &s->g->b;
    int width = s->g->width;
    return tir_select(b, tir_nonneg(b, x, width), tir_splat(b, q.pos, width),
                      tir_splat(b, q.neg, width));
}

/* Element |j| with parameters shared by all lanes, whose branches cost less than selections. */
static void shared_term(const relax *s, any j) {
    tir *b = &s->g->b;
    int width = s->g->width;
    any x[8], at[8];
    for (int v = 0; v < s->vecs; v++) {
        at[v] = tir_add_int(b, tir_add(b, tir_mul(b, j, s->ls), s->lane), v * width);
        at[v] = tir_let(b, "at", at[v]);
        x[v] = tir_let_number(b, "x", tir_load(b, s->a, at[v], width), width);
    }
    if (s->has_t) {
        shared_pair q = open_shared(s, s->t_pos, s->t_neg, j);
        for (int v = 0; v < s->vecs; v++) tile_add(&s->t, v, x[v], chosen(s, q, x[v]));
        tir_end(b);
    }
    if (s->has_e) {
        shared_pair q = open_shared(s, s->e, s->e, j);
        for (int v = 0; v < s->vecs; v++)
            tile_add(&s->es, v, tir_abs(b, x[v], width), tir_splat(b, q.pos, width));
        tir_end(b);
    }
    if (!s->scale) return;
    shared_pair q = open_shared(s, s->s_pos, s->s_neg, j);
    for (int v = 0; v < s->vecs; v++)
        tir_store(b, s->out, at[v], tir_product(b, x[v], chosen(s, q, x[v])), width);
    tir_end(b);
    tir_if(b, tir_and(b, tir_is_zero(b, q.pos, 1), tir_is_zero(b, q.neg, 1)));
    for (int v = 0; v < s->vecs; v++) tir_store(b, s->out, at[v], tir_zero(b, width), width);
    tir_end(b);
}

static void relax_term(const relax *s, any j) {
    tir *b = &s->g->b;
    int width = s->g->width;
    for (int v = 0; v < s->vecs; v++) {
        any at =
            tir_let(b, "at", tir_add_int(b, tir_add(b, tir_mul(b, j, s->ls), s->lane), v * width));
        any x = tir_let_number(b, "x", tir_load(b, s->a, at, width), width);
        if (s->has_t) {
            choice t =
                choose(b, x, parameter(s, s->t_pos, j, v), parameter(s, s->t_neg, j, v), width);
            tile_add_unless(&s->t, v, t.nothing, x, t.value);
        }
        if (s->has_e) {
            any e = tir_let_number(b, "e", parameter(s, s->e, j, v), width);
            tile_add_unless(&s->es, v, tir_is_zero(b, e, width), tir_abs(b, x, width), e);
        }
        if (s->scale) {
            choice q =
                choose(b, x, parameter(s, s->s_pos, j, v), parameter(s, s->s_neg, j, v), width);
            tir_store(b, s->out, at, scaled(b, x, q, width), width);
        }
    }
}

/* Terms [first, end) of one block. */
static void relax_block(const relax *s, any first, any end) {
    tir *b = &s->g->b;
    if (s->has_t) tile_block_begin(&s->t);
    if (s->has_e) tile_block_begin(&s->es);
    any j = tir_for(b, "j", first, end, TIR_SERIAL);
    if (s->shared)
        shared_term(s, j);
    else
        relax_term(s, j);
    tir_end(b);
    if (s->has_t) tile_block_end(&s->t);
    if (s->has_e) tile_block_end(&s->es);
}

static void relax_tile(relax *s, any lane, int vecs) {
    tir *b = &s->g->b;
    const int64_t many = 2 * BF_SUM_BLOCK; /* n is not known here: sums of several blocks */
    s->lane = lane, s->vecs = vecs;
    if (s->has_t) tile_begin(&s->t, s->g, vecs, many);
    if (s->has_e) tile_begin(&s->es, s->g, vecs, many);
    any blocks = tir_let(b, "blocks", tir_div(b, s->n, tir_int(b, BF_SUM_BLOCK)));
    any i = tir_for(b, "block", tir_int(b, 0), blocks, TIR_SERIAL);
    any first = tir_let(b, "first", tir_mul_int(b, i, BF_SUM_BLOCK));
    relax_block(s, first, tir_add_int(b, first, BF_SUM_BLOCK));
    tir_end(b);
    relax_block(s, tir_let(b, "rest", tir_mul_int(b, blocks, BF_SUM_BLOCK)), s->n);
    any zero = tir_int(b, 0);
    if (s->has_t) lanes_store(&s->t, 1, vecs, s->t_sum, lane, zero);
    if (s->has_e) lanes_store(&s->es, 1, vecs, s->e_sum, lane, zero);
}

static relax relax_of(gen *g) {
    return (relax){.g = g,
                   .scale = gen_p(g, BFI_TVM_SCALE),
                   .has_t = gen_p(g, BFI_TVM_T),
                   .has_e = gen_p(g, BFI_TVM_E),
                   .shared = gen_p(g, BFI_TVM_SHARED)};
}

void gen_relax(gen *g) {
    tir *b = &g->b;
    relax s = relax_of(g);
    any v = tir_var(b, "v");
    s.n = tir_var(b, "n"), s.ls = tir_mul_int(b, v, BF_LANE_PAD);
    any lanes = tir_mul(b, s.n, s.ls);
    relax_params(&s, lanes, s.shared ? s.n : lanes, s.ls);
    tir_param(b, v);
    int vecs = (int)gen_p(g, BFI_TVM_VECS);
    any vectors = tir_let(b, "vectors", tir_mul_int(b, v, BF_LANE_PAD / g->width));
    any tiles = tir_let(b, "tiles", tir_div(b, vectors, tir_int(b, vecs)));
    any i = tir_for(b, "tile", tir_int(b, 0), tiles, TIR_SERIAL);
    relax_tile(&s, tir_let(b, "lane", tir_mul_int(b, i, vecs * g->width)), vecs);
    tir_end(b);
    if (BF_LANE_PAD / g->width % vecs == 0) return;
    any u = tir_for(b, "u", tir_mul_int(b, tiles, vecs), vectors, TIR_SERIAL);
    relax_tile(&s, tir_let(b, "lane", tir_mul_int(b, u, g->width)), 1);
    tir_end(b);
}

/* Blocks that the single lane sums side by side: their chains hide the latency of fma. */
enum { CHAINS = 4, CHUNK = CHAINS * BF_SUM_BLOCK };

/* Sum |which| (0: t, 1: e) over the elements [j, j + 1) of the chain in |acc|. */
static void one_term(const relax *s, int which, any acc, any j) {
    tir *b = &s->g->b;
    any x = tir_let_number(b, "x", tir_load(b, s->a, j, 1), 1);
    choice q;
    if (which) {
        any e = tir_let_number(b, "e", tir_load(b, s->e, j, 1), 1);
        q = (choice){e, tir_is_zero(b, e, 1)};
    } else {
        q = choose(b, x, tir_load(b, s->t_pos, j, 1), tir_load(b, s->t_neg, j, 1), 1);
    }
    any sum = tir_get(b, acc, 0);
    any next = tir_fma(b, which ? tir_abs(b, x, 1) : x, q.value, sum, 1);
    tir_set(b, acc, 0, tir_select(b, q.nothing, sum, next));
}

static void one_join(tir *b, any total, any acc) {
    tir_set(b, total, 0, tir_sum(b, tir_get(b, total, 0), tir_get(b, acc, 0)));
}

static void one_sum(const relax *s, int which) {
    tir *b = &s->g->b;
    any acc[CHAINS], total = tir_local(b, "total", 1, 1);
    tir_set(b, total, 0, tir_zero(b, 1));
    any chunks = tir_let(b, "chunks", tir_div(b, s->n, tir_int(b, CHUNK)));
    any first = tir_mul_int(b, tir_for(b, "chunk", tir_int(b, 0), chunks, TIR_SERIAL), CHUNK);
    for (int c = 0; c < CHAINS; c++) {
        acc[c] = tir_local(b, "acc", 1, 1);
        tir_set(b, acc[c], 0, tir_zero(b, 1));
    }
    any j = tir_let(b, "j", tir_add(b, first, tir_for_int(b, "i", BF_SUM_BLOCK)));
    for (int c = 0; c < CHAINS; c++)
        one_term(s, which, acc[c], tir_add_int(b, j, c * BF_SUM_BLOCK));
    tir_end(b);
    for (int c = 0; c < CHAINS; c++) one_join(b, total, acc[c]);
    tir_end(b);
    any low = tir_let(b, "low", tir_mul_int(b, chunks, CHAINS));
    any high = tir_div(b, tir_add_int(b, s->n, BF_SUM_BLOCK - 1), tir_int(b, BF_SUM_BLOCK));
    any block = tir_mul_int(b, tir_for(b, "block", low, high, TIR_SERIAL), BF_SUM_BLOCK);
    any part = tir_local(b, "part", 1, 1);
    tir_set(b, part, 0, tir_zero(b, 1));
    one_term(
        s, which, part,
        tir_for(b, "j", block, tir_min(b, tir_add_int(b, block, BF_SUM_BLOCK), s->n), TIR_SERIAL));
    tir_end(b);
    one_join(b, total, part);
    tir_end(b);
    tir_store(b, which ? s->e_sum : s->t_sum, tir_int(b, 0), tir_get(b, total, 0), 1);
}

static void one_scale(const relax *s, any j, int width) {
    tir *b = &s->g->b;
    any x = tir_let_number(b, "x", tir_load(b, s->a, j, width), width);
    choice q =
        choose(b, x, tir_load(b, s->s_pos, j, width), tir_load(b, s->s_neg, j, width), width);
    tir_store(b, s->out, j, scaled(b, x, q, width), width);
}

void gen_relax_one(gen *g) {
    tir *b = &g->b;
    relax s = relax_of(g);
    s.n = tir_var(b, "n");
    relax_params(&s, s.n, s.n, tir_int(b, 1));
    if (s.has_t) one_sum(&s, 0); /* before the scaling, which may be in place */
    if (s.has_e) one_sum(&s, 1);
    if (!s.scale) return;
    any vectors = tir_let(b, "vectors", tir_div(b, s.n, tir_int(b, g->width)));
    any i = tir_for(b, "vector", tir_int(b, 0), vectors, TIR_SERIAL);
    one_scale(&s, tir_mul_int(b, i, g->width), g->width);
    tir_end(b);
    one_scale(&s, tir_for(b, "j", tir_mul_int(b, vectors, g->width), s.n, TIR_SERIAL), 1);
    tir_end(b);
}

static void accumulate(gen *g, any in, any out, any at, int width) {
    tir *b = &g->b;
    any x = tir_load(b, out, at, width), y = tir_load(b, in, at, width);
    tir_store(b, out, at, gen_p(g, BFI_TVM_MINUS) ? tir_difference(b, x, y) : tir_sum(b, x, y),
              width);
}

void gen_accumulate(gen *g) {
    tir *b = &g->b;
    int vecs = (int)gen_p(g, BFI_TVM_VECS);
    any n = tir_var(b, "n");
    any in = tir_param_array(b, "in", n), out = tir_param_array(b, "out", n);
    tir_param(b, n);
    any tiles = tir_let(b, "tiles", tir_div(b, n, tir_int(b, vecs * g->width)));
    any first =
        tir_mul_int(b, tir_for(b, "tile", tir_int(b, 0), tiles, TIR_SERIAL), vecs * g->width);
    for (int v = 0; v < vecs; v++)
        accumulate(g, in, out, tir_add_int(b, first, v * g->width), g->width);
    tir_end(b);
    accumulate(g, in, out, tir_for(b, "j", tir_mul_int(b, tiles, vecs * g->width), n, TIR_SERIAL),
               1);
    tir_end(b);
}
