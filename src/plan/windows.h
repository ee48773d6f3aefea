/* Windows: where a lane's coefficients can be other than zero.
 *
 * A neuron of a convolutional layer depends on a small window of every earlier layer. A lane group
 * holds rows whose neurons lie in one square block of positions, and keeps every coefficient buffer
 * on the union of their windows, a rectangle of positions over all channels, [channel][y][x][lane]
 * like the whole layer. Sums keep the block cuts of the original index, so a windowed run gives the
 * bits of a dense one (kernels/kernel.h). Where an op needs a whole layer (linear, structural, max
 * pooling) the buffer it reads is kept whole from its producer on: the dense case is the largest
 * window, not another representation. Where slopes are optimised, the adjoint pass goes forward on
 * the same windows: a coefficient of zero asks for no value, and what values on a window are made
 * from lies in the windows before it.
 *
 * Reach of a convolution's adjoint: Boopathy et al. 2019 (CNN-Cert, arXiv:1811.12395), section 3.
 * Immutable after the pass, thread-safe to read. */
#ifndef BFI_PLAN_WINDOWS_H
#define BFI_PLAN_WINDOWS_H

#include <stdbool.h>

#include "ir/bound.h"
#include "kernels/kernel.h"
#include "plan/constants.h"

typedef struct bfi_span {
    int64_t lo, hi; /* [lo, hi); empty: lo == hi */
} bfi_span;

typedef struct bfi_rect {
    bfi_span y, x;
} bfi_rect;

static inline int64_t bfi_rect_area(bfi_rect r) { return (r.y.hi - r.y.lo) * (r.x.hi - r.x.lo); }

/* A program's buffer as planes of positions. */
typedef struct bfi_planes {
    int64_t channels, height, width;
    bool whole; /* kept whole: no window */
} bfi_planes;

/* One size of lane groups. */
typedef struct bfi_window_level {
    int64_t block;   /* groups hold neurons of one block x block square of positions */
    int64_t *offset; /* by buffer: elements per lane from the tile's start */
    int64_t height;  /* elements per lane that the buffers need together, whichever the block */
    int64_t widest;  /* elements per lane of the largest windowed buffer */
    int64_t lanes;   /* widest tile whose buffers and room fit in the memory of a dense one */
    double flops;    /* multiply-adds times two per lane in convolutions (of a round, where slopes
                        are optimised), mean over the blocks */
    double elements; /* coefficients per lane that ops read and write, likewise */
} bfi_window_level;

enum { BFI_WINDOW_LEVELS = 4 };

typedef struct bfi_windows {
    bfi_planes target;   /* what is bounded */
    bfi_planes *buffers; /* by buffer of the program */
    int *like; /* by buffer: slopes and values of the adjoint pass stand on the window of these
                  coefficients; -1: the window is the buffer's own */
    bfi_window_level levels[BFI_WINDOW_LEVELS]; /* blocks of growing size */
    int level_count;                            /* 0: this program has no windows worth having */
    double dense_flops, dense_elements;         /* like those of the levels, without windows */
} bfi_windows;

/* Room of a windowed tile behind its coefficients, in this order: the windows of the program's
 * buffers, and the parameters of one op gathered on a window (exec/tile.h). */
enum { BFI_WINDOW_PARAMETERS = 5 };
typedef struct bfi_window_room {
    bfi_rect *rects;       /* by buffer */
    int32_t *index, *cuts; /* [widest] element of the whole layer; ends of the sums' blocks */
    int32_t *only;         /* [widest] where the elements stand in the window */
    void *parameters;      /* T[BFI_WINDOW_PARAMETERS][widest] */
} bfi_window_room;

int64_t bfi_window_room_bytes(const bfi_program *program, const bfi_window_level *level,
                              bfi_dtype dtype);
/* The views for a room that starts at |memory| (64-byte aligned). */
bfi_window_room bfi_window_room_at(const bfi_program *program, const bfi_window_level *level,
                                   void *memory);

/* Finds the windows of |program| (placed: liveness and aliases stand). Fails only on memory.
 * bfi_windows_clear frees what it holds. */
bf_status bfi_windows_find(const bfi_graph *graph, const bfi_constants *constants,
                           const bfi_program *program, bfi_windows *out, bf_error *err);
void bfi_windows_clear(bfi_windows *windows);

/* Windows of all buffers, rects[program->buffer_count], of lanes whose neurons lie in |neurons|. */
void bfi_windows_at(const bfi_constants *constants, const bfi_program *program,
                    const bfi_windows *windows, bfi_rect neurons, bfi_rect *rects);

/* |conv| restricted to a window of its source and one of its destination (both in positions of the
 * whole): reads and writes arrays that hold just the windows. Source positions outside count as
 * zeros. */
bfi_conv bfi_conv_window(const bfi_conv *conv, bfi_rect src, bfi_rect dst);

/* Destination positions that read some position of |src|. */
bfi_rect bfi_conv_reach(const bfi_conv *conv, bfi_rect src);

#endif
