/* Random cases of every kernel, for the kernel tests. */
#ifndef BF_TESTS_KERNEL_CASES_H
#define BF_TESTS_KERNEL_CASES_H

#include "guarded_numbers.h"
#include "kernels/kernel.h"

/* NaN in the lanes that pad a row, to show that they reach no other lane. */
static void spoil_padding(buffer *b, int64_t rows, int64_t ls, int64_t lanes) {
    for (int64_t j = 0; j < rows; j++)
        for (int64_t l = lanes; l < ls; l++) set(b, j * ls + l, NAN);
}

/* Lane counts from 1 to 40, sometimes up to 112; single lanes are packed half of the time. */
typedef struct lane_count {
    int64_t ls, lanes;
} lane_count;

static lane_count random_lanes(void) {
    lane_count c = {0, chance(25) ? 1 : random_int(1, 40)};
    if (chance(15)) c.lanes = random_int(41, 112);
    c.ls = (c.lanes + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
    if (chance(15)) c.ls += BF_LANE_PAD * random_int(1, 8);
    if (c.lanes == 1 && chance(60)) c.ls = 1;
    return c;
}

/* |m| x |k| weights in panels, the padding zero. */
static buffer random_panels(bfi_dtype dtype, int64_t m, int64_t k, int64_t special) {
    buffer b = buffer_new(dtype, bfi_packed_size(m, k));
    for (int64_t i = 0; i < b.n; i++) {
        int64_t row = i / (k * BF_PACK) * BF_PACK + i % BF_PACK;
        set(&b, i, row < m ? random_number(dtype, special) : 0);
    }
    return b;
}

/* Now and then the interval [|in|, |hi|] of every element is what a relu leaves: 0 <= in <= hi. */
static void maybe_positive(buffer *in, buffer *hi) {
    if (!chance(40)) return;
    for (int64_t i = 0; i < in->n; i++) {
        double a = fabs(get(in, i)), b = fabs(get(hi, i));
        if (isnan(a) || isnan(b)) a = b = 0;
        set(in, i, fmin(a, b)), set(hi, i, fmax(a, b));
    }
}

/* Inputs of the linear kernels; |in| and |hi| are the lower and upper ends of the interval ones. */
typedef struct linear_case {
    int64_t m, k, m0, m1;
    lane_count c;
    buffer w, in, hi;
    bfi_part part; /* of all rows; for ls > 1 */
    int32_t rows[201], terms[201];
} linear_case;

static inline linear_case random_linear(bfi_dtype dtype, int64_t special) {
    linear_case t = {.m = random_int(1, 40), .k = random_int(1, 40), .c = random_lanes()};
    if (chance(30)) t.k = random_int(60, 200);
    if (chance(25)) t.m = random_int(41, 200);
    if (chance(2)) t.k = 0;
    t.m1 = t.m;
    if (chance(40)) {
        t.m0 = random_int(0, (t.m - 1) / BF_PACK) * BF_PACK;
        t.m1 = random_int(t.m0 + 1, t.m);
    }
    t.part.row_count = random_subset(t.m, t.rows);
    t.part.term_count = random_subset(t.k, t.terms);
    t.w = random_panels(dtype, t.m, t.k, special);
    t.in = buffer_random(dtype, t.k * t.c.ls, special);
    t.hi = buffer_random(dtype, t.k * t.c.ls, special);
    maybe_positive(&t.in, &t.hi);
    spoil_padding(&t.in, t.k, t.c.ls, t.c.lanes);
    spoil_padding(&t.hi, t.k, t.c.ls, t.c.lanes);
    return t;
}

static inline void linear_case_free(linear_case *t) {
    buffer_free(&t->w);
    buffer_free(&t->in);
    buffer_free(&t->hi);
}

typedef struct conv_case {
    bfi_conv conv;
    int64_t y0, y1, sources, destinations, terms; /* elements of in and out; terms of a sum */
    lane_count c;
    buffer w, in, hi;
} conv_case;

static int64_t conv_group_size(const bfi_conv *c) {
    return bfi_packed_size(c->c_dst, c->c_src * c->kh * c->kw);
}

/* Shapes need not belong to a real network: destinations may see no source at all. */
static conv_case random_conv(bfi_dtype dtype, int64_t special) {
    conv_case t = {.c = random_lanes()};
    bfi_conv *c = &t.conv;
    *c = (bfi_conv){.groups = chance(25) ? random_int(2, 4) : 1,
                    .c_src = random_int(1, 9),
                    .h_src = random_int(1, 8),
                    .w_src = random_int(1, 12),
                    .c_dst = random_int(1, 10),
                    .h_dst = random_int(1, 8),
                    .w_dst = random_int(1, 14),
                    .kh = random_int(1, 4),
                    .kw = random_int(1, 4),
                    .stride_h = random_int(1, 3),
                    .stride_w = random_int(1, 3),
                    .dil_h = chance(70) ? 1 : random_int(2, 3),
                    .dil_w = chance(70) ? 1 : random_int(2, 3),
                    .pad_top = random_int(-1, 4),
                    .pad_left = random_int(-1, 4),
                    .transposed = chance(50)};
    if (chance(15)) c->c_dst = random_int(11, 100);
    if (chance(10)) c->c_src = random_int(10, 40);
    if (chance(5)) c->kh = random_int(5, 11), c->kw = random_int(5, 11);
    if (chance(5)) c->h_src = random_int(9, 40), c->h_dst = random_int(9, 40);
    if (chance(5)) c->w_src = random_int(13, 40), c->w_dst = random_int(15, 40);
    t.y1 = c->h_dst;
    if (chance(40)) {
        t.y0 = random_int(0, c->h_dst - 1);
        t.y1 = random_int(t.y0, c->h_dst);
    }
    t.sources = c->groups * c->c_src * c->h_src * c->w_src;
    t.destinations = c->groups * c->c_dst * c->h_dst * c->w_dst;
    t.terms = c->c_src * c->kh * c->kw;
    t.w = buffer_new(dtype, c->groups * conv_group_size(c));
    for (int64_t i = 0; i < t.w.n; i++) {
        int64_t in_group = i % conv_group_size(c);
        int64_t row = in_group / (t.terms * BF_PACK) * BF_PACK + i % BF_PACK;
        set(&t.w, i, row < c->c_dst ? random_number(dtype, special) : 0);
    }
    c->packed = t.w.data;
    t.in = buffer_random(dtype, t.sources * t.c.ls, special);
    t.hi = buffer_random(dtype, t.sources * t.c.ls, special);
    maybe_positive(&t.in, &t.hi);
    spoil_padding(&t.in, t.sources, t.c.ls, t.c.lanes);
    spoil_padding(&t.hi, t.sources, t.c.ls, t.c.lanes);
    return t;
}

static void conv_case_free(conv_case *t) {
    buffer_free(&t->w);
    buffer_free(&t->in);
    buffer_free(&t->hi);
}

enum { CSR_ROWS = 30, CSR_COLUMNS = 300 };

typedef struct csr_case {
    bfi_csr m;
    int64_t columns;
    int64_t ptr[CSR_ROWS + 1];
    int32_t idx[CSR_ROWS * CSR_COLUMNS];
    lane_count c;
    buffer val, in, hi;
} csr_case;

static inline void random_csr(csr_case *t, bfi_dtype dtype, int64_t special) {
    int64_t density = random_int(1, 100);
    *t = (csr_case){.c = random_lanes(), .columns = random_int(1, CSR_COLUMNS)};
    t->m.rows = random_int(1, CSR_ROWS);
    for (int64_t r = 0, n = 0; r < t->m.rows; r++) {
        for (int64_t j = 0; j < t->columns; j++)
            if (chance(density)) t->idx[n++] = (int32_t)j;
        if (r % 7 == 3) n = t->ptr[r]; /* an empty row */
        t->ptr[r + 1] = n;
    }
    t->val = buffer_random(dtype, t->ptr[t->m.rows], special);
    t->in = buffer_random(dtype, t->columns * t->c.ls, special);
    t->hi = buffer_random(dtype, t->columns * t->c.ls, special);
    spoil_padding(&t->in, t->columns, t->c.ls, t->c.lanes);
    spoil_padding(&t->hi, t->columns, t->c.ls, t->c.lanes);
    t->m.ptr = t->ptr;
    t->m.idx = t->idx;
    t->m.val = chance(30) ? NULL : t->val.data;
}

static inline void csr_case_free(csr_case *t) {
    buffer_free(&t->val);
    buffer_free(&t->in);
    buffer_free(&t->hi);
}

/* |r| points to the inputs but not to the outputs. */
typedef struct relax_case {
    bfi_relax r;
    int64_t n;   /* of the layer */
    bool scaled; /* out is wanted */
    buffer a, parameters[5];
    int32_t cuts[701], only[701], only_count;
} relax_case;

/* Ends of random blocks of at most BF_SUM_BLOCK elements, |n| in all. */
static void random_cuts(int64_t n, int32_t *cuts) {
    for (int64_t end = 0, b = 0; end < n; b++) {
        int64_t left = n - end;
        end += random_int(left < 8 ? left : 8, left < BF_SUM_BLOCK ? left : BF_SUM_BLOCK);
        cuts[b] = (int32_t)end;
    }
}

/* Index of element |j| in an array whose blocks are cut every BF_SUM_BLOCK elements. */
static inline int64_t relax_index(const bfi_relax *r, int64_t j) {
    int64_t block = 0;
    while (r->cuts && r->cuts[block] <= j) block++;
    int64_t first = block > 0 && r->cuts ? r->cuts[block - 1] : 0;
    return r->cuts ? block * BF_SUM_BLOCK + j - first : j;
}

static inline relax_case random_relax(bfi_dtype dtype, int64_t special) {
    lane_count c = random_lanes();
    int64_t n = chance(60) ? random_int(1, 140) : random_int(141, 700);
    relax_case t = {.n = n, .scaled = chance(70)};
    t.r = (bfi_relax){.n = n, .ls = c.ls, .lanes = c.lanes, .ps = chance(50) ? 1 : c.ls};
    t.a = buffer_random(dtype, n * c.ls, special);
    spoil_padding(&t.a, n, c.ls, c.lanes);
    for (int i = 0; i < 5; i++) t.parameters[i] = buffer_random(dtype, n * t.r.ps, special);
    t.r.a = t.a.data;
    if (chance(75)) t.r.s_pos = t.parameters[0].data, t.r.s_neg = t.parameters[1].data;
    if (chance(75)) t.r.t_pos = t.parameters[2].data, t.r.t_neg = t.parameters[3].data;
    if (t.r.t_pos && chance(20)) t.r.t_neg = t.r.t_pos;
    if (chance(75)) t.r.e = t.parameters[4].data;
    random_cuts(n, t.cuts);
    t.only_count = random_subset(n, t.only);
    return t;
}

static inline void relax_case_free(relax_case *t) {
    buffer_free(&t->a);
    for (int i = 0; i < 5; i++) buffer_free(&t->parameters[i]);
}

#endif
