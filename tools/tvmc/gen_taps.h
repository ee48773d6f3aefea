/* The taps of a convolution in gather form (bfi_conv), in the order of its sums. */
#ifndef TVMC_GEN_TAPS_H
#define TVMC_GEN_TAPS_H

#include "gen_tile.h"
#include "kernels/kernel.h"

/* Sizes of |g|'s kernel. */
bfi_conv taps_conv(const gen *g);

/* One axis at one destination coordinate: taps first, first + step, ...; their sources source,
 * source + source_step, ... */
typedef struct taps_axis {
    any first, count, source;
    int64_t step, source_step;
} taps_axis;

/* The taps that meet the source at destination |dst| (of |dst_size|). */
typedef struct taps_shape {
    int64_t src_size, dst_size, taps, stride, dil, pad;
    int transposed;
} taps_shape;
taps_axis taps_at(gen *g, const taps_shape *s, any dst);
taps_shape taps_shape_y(const bfi_conv *c);
taps_shape taps_shape_x(const bfi_conv *c);

/* Whether every destination from |low| to |high| (exclusive) meets all taps. */
bool taps_all_meet(const taps_shape *s, int64_t low, int64_t high);

/* One walk over the taps of a position. Between taps_open and taps_close stand the statements for
 * the tap of term |t| and source pixel |source| (channel of the group included). Begins and ends
 * the blocks of |sums|. */
typedef struct taps_walk {
    const bfi_conv *c;
    taps_axis y, x;
    const tile_sums *sums;
    any t, source;
    any block; /* of the last term */
} taps_walk;
void taps_open(taps_walk *w);
void taps_close(taps_walk *w);

#endif
