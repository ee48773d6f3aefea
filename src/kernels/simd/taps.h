/* Tap lists: which source elements and weights one destination element of a convolution sums over.
 * A product with a matrix is the case of one destination position. */
#ifndef BFI_KERNELS_TAPS_H
#define BFI_KERNELS_TAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/kernel.h"

/* Offsets in elements, of the source from the position's first tap, of the weight in its panel. */
typedef struct tap {
    int64_t src, w;
} tap;

/* Valid taps of one destination coordinate along one axis: k = k0 + i*kstep reads coordinate
 * s0 + i*sstep for i in [0, n). The steps are 0 when n < 2, everything is when n == 0. */
typedef struct axis {
    int64_t n, k0, kstep, s0, sstep;
} axis;

static inline int64_t axis_source(int transposed, int64_t d, int64_t k, int64_t stride, int64_t dil,
                                  int64_t pad, int64_t size) {
    int64_t s = transposed ? d + pad - k * dil : d * stride - pad + k * dil;
    if (s < 0) return -1;
    if (transposed) {
        if (s % stride != 0) return -1;
        s /= stride;
    }
    return s < size ? s : -1;
}

static inline axis axis_taps(int transposed, int64_t d, int64_t taps, int64_t stride, int64_t dil,
                             int64_t pad, int64_t size) {
    axis a = {0, 0, 0, 0, 0};
    for (int64_t k = 0; k < taps; k++) {
        int64_t s = axis_source(transposed, d, k, stride, dil, pad, size);
        if (s < 0) continue;
        if (a.n == 0) {
            a.k0 = k;
            a.s0 = s;
        } else if (a.n == 1) {
            a.kstep = k - a.k0;
            a.sstep = s - a.s0;
        }
        a.n++;
    }
    return a;
}

/* One dimension of a convolution. */
typedef struct extent {
    int transposed;
    int64_t taps, stride, dil, pad, src, dst;
} extent;

static inline extent extent_y(const bfi_conv *c) {
    return (extent){c->transposed, c->kh, c->stride_h, c->dil_h, c->pad_top, c->h_src, c->h_dst};
}

static inline extent extent_x(const bfi_conv *c) {
    return (extent){c->transposed, c->kw, c->stride_w, c->dil_w, c->pad_left, c->w_src, c->w_dst};
}

/* Destinations that share their taps: d, d + step, ... (count of them), whose sources move by
 * |source_step|. */
typedef struct run {
    axis taps;
    int64_t d, step, count, source_step;
} run;

/* Distance of destinations that may share their taps. */
static inline int64_t run_step(const extent *s) { return s->transposed ? s->stride : 1; }

/* The run that starts at |d| and stays below |end|. */
static inline run run_from(const extent *s, int64_t d, int64_t end) {
    run r = {axis_taps(s->transposed, d, s->taps, s->stride, s->dil, s->pad, s->src), d,
             run_step(s), 1, s->transposed ? 1 : s->stride};
    for (int64_t next = d + r.step; next < end; next += r.step, r.count++) {
        axis a = axis_taps(s->transposed, next, s->taps, s->stride, s->dil, s->pad, s->src);
        if (a.n != r.taps.n || a.k0 != r.taps.k0) break;
        if (a.n > 0 && a.s0 != r.taps.s0 + r.count * r.source_step) break;
    }
    return r;
}

/* Walks the taps of the destinations of two runs in the order of the sum. */
typedef struct tap_walk {
    const bfi_conv *c;
    axis y, x;
    int64_t ch, iy, ix; /* next tap */
} tap_walk;

/* Stores the taps of the next block that has any; returns their number, 0 at the end. */
static inline int64_t next_block(tap_walk *w, int64_t ls, tap *list) {
    const bfi_conv *c = w->c;
    int64_t n = 0, end = 0;
    if (w->x.n == 0) return 0;
    for (; w->ch < c->c_src; w->ch++, w->iy = 0)
        for (; w->iy < w->y.n; w->iy++, w->ix = 0) {
            int64_t t = (w->ch * c->kh + w->y.k0 + w->iy * w->y.kstep) * c->kw + w->x.k0;
            int64_t s = (w->ch * c->h_src + w->iy * w->y.sstep) * c->w_src;
            for (; w->ix < w->x.n; w->ix++) {
                int64_t index = t + w->ix * w->x.kstep;
                if (n == 0) end = (index / BF_SUM_BLOCK + 1) * BF_SUM_BLOCK;
                if (index >= end) return n;
                list[n++] = (tap){(s + w->ix * w->x.sstep) * ls, index * BF_PACK};
            }
        }
    return n;
}

enum { LIST_BLOCKS = 20 };

/* Several blocks of taps; block b is taps [ends[b - 1], ends[b]). With |step|, tap i is not stored:
 * it is {i * step, i * BF_PACK}. */
typedef struct tap_list {
    tap taps[LIST_BLOCKS * BF_SUM_BLOCK];
    int64_t ends[LIST_BLOCKS], blocks, step;
} tap_list;

static inline tap tap_at(const tap_list *list, int64_t i) {
    return list->step ? (tap){i * list->step, i * BF_PACK} : list->taps[i];
}

/* Fills |list| with up to |most| blocks; false at the end. */
static inline bool next_taps(tap_walk *walk, int64_t ls, int64_t most, tap_list *list) {
    int64_t n = 0, got;
    list->step = 0;
    for (list->blocks = 0; list->blocks < most; list->blocks++) {
        got = next_block(walk, ls, list->taps + n);
        if (got == 0) break;
        n += got;
        list->ends[list->blocks] = n;
    }
    return n > 0;
}

/* The first |n| columns of a matrix, |stride| elements apart in the source; one empty block for 0.
 */
static inline void matrix_taps(int64_t n, int64_t stride, tap_list *list) {
    list->step = stride;
    list->blocks = n > 0 ? (n + BF_SUM_BLOCK - 1) / BF_SUM_BLOCK : 1;
    for (int64_t b = 0; b < list->blocks; b++)
        list->ends[b] = b + 1 < list->blocks ? (b + 1) * BF_SUM_BLOCK : n;
}

#endif
