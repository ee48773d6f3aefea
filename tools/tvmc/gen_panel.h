/* Kernels of a single lane: vectors run over the outputs of packed weight panels. */
#ifndef TVMC_GEN_PANEL_H
#define TVMC_GEN_PANEL_H

#include "gen_tile.h"
#include "kernels/kernel.h"

/* |panels| neighbouring panels at |positions| inputs: one sum per output and position, or the three
 * of an interval. */
typedef struct panel_tile {
    gen *g;
    bool interval;
    int panels, positions, vectors; /* vectors of all panels */
    any w, in[2], out[3];
    int64_t panel_stride; /* elements of w between panels */
    tile_sums sums;
} panel_tile;

void panel_begin(panel_tile *t, int64_t terms);
/* One term: its weights from |at_w| on, its input for position i at |at_in| + i * |step|. */
void panel_term(const panel_tile *t, any at_w, any at_in, int64_t step);
/* Sum |sum| (lower, upper, magnitude) of vector |vector| at |position|. */
any panel_sum(const panel_tile *t, int position, int vector, int sum);
int panel_sums(const panel_tile *t); /* how many: 3 or 1 */
/* The first |rows| outputs to out[at + row * stride], position i |step| further. */
void panel_scatter(const panel_tile *t, any at, int64_t stride, int64_t step, any rows);

/* Panels of a tile of at most |vectors| vectors. */
int panel_count(const gen *g, int64_t vectors, int64_t panels);

#endif
