/* One lane tile on its way from the spec to the input: what the handlers of bound ops share.
 * Internal to exec/.
 *
 * The elementwise part of every bound op (scaling, the constant and the error that it leaves
 * behind) is one operation, bfi_tile_relax, whatever its parameters depend on: nothing (weights),
 * the lane's box (relaxations of forward intervals), or the lane (optimised slopes). The same bits
 * come out wherever the parameters have the same values. */
#ifndef BFI_EXEC_TILE_H
#define BFI_EXEC_TILE_H

#include "exec/backward.h"
#include "exec/dispatch.h"
#include "exec/parts.h"

/* One step of the optimiser of slopes (kernels/kernel.h, bfi_ascend). */
typedef struct bfi_ascent {
    double rate_m, rate_v, step, root, eps;
} bfi_ascent;

typedef struct bfi_tile_splits bfi_tile_splits; /* exec/splits.h */

typedef struct bfi_tile {
    const bf_plan *plan;
    bf_workspace *ws;
    const bfi_program *program;
    bfi_dispatch run; /* kernels of the op that runs */
    char *memory;
    int64_t lanes, ls;
    int step, worker; /* step: for traces */
    bool one_box;     /* all lanes belong to the box of lane 0 */
    bool parts;       /* ls > 1: what relaxations multiply by zero is left out (exec/parts.h) */
    bfi_lane_vectors v;
    const double *spec;
    int64_t spec_stride;
    double *const *functional;     /* see bfi_tile_request */
    double *constant;              /* likewise */
    size_t size;                   /* of an element */
    const bfi_window_level *level; /* NULL: every buffer holds its whole layer */
    bfi_window_room room;          /* with a level */
    const bfi_ascent *ascent;      /* during the adjoint pass */
    bfi_tile_splits *splits;       /* of its lanes, NULL: none has any */
    const double *scale; /* with shared slopes: by lane, what it counts in their gradient */
} bfi_tile;

/* A parameter vector with element j for every lane. NULL data: not there. */
typedef enum bfi_source {
    BFI_BY_NOTHING, /* data[j] for all lanes */
    BFI_BY_BOX,     /* data is box 0's vector in the workspace; other boxes' are as far apart as
                       their persistent parts */
    BFI_BY_LANE     /* data[j * ls + lane], j counting the elements that the tile has */
} bfi_source;

typedef struct bfi_parameter {
    const void *data;
    bfi_source by;
} bfi_parameter;

/* bfi_relax (kernels/kernel.h) with a source for every parameter. |s_pos| without data leaves the
 * coefficients as they are; without |t_pos| or |e| that sum is not asked for. */
typedef struct bfi_tile_step {
    int64_t n; /* of the layer, and of the parameters */
    int of;    /* buffer that |a| and |out| hold the window of */
    const void *a;
    void *out; /* may be |a|; NULL: sums alone */
    bfi_parameter s_pos, s_neg, t_pos, t_neg, e;
    const int32_t *active; /* elements to take, their number first; NULL: all */
} bfi_tile_step;

/* Elements per lane array that |lanes| lanes take (ls of kernels/kernel.h). */
static inline int64_t bfi_lane_stride(int64_t lanes) {
    return lanes == 1 ? 1 : (lanes + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
}

/* The same for a tile: on windows a lane alone has padding too, as kernels want it for cuts. */
static inline int64_t bfi_tile_stride(const bfi_tile *t, int64_t lanes) {
    return t->level && lanes == 1 ? BF_LANE_PAD : bfi_lane_stride(lanes);
}

/* Least value of the slopes of a (leaky) relu. */
static inline double bfi_slope_low(const bfi_node *node, bfi_dtype dtype) {
    double low = node->op == BFI_OP_LEAKY_RELU ? node->attrs.slope : 0;
    return dtype == BFI_F32 ? (double)bfi_float_up(low) : low;
}

/* A tile on |worker|'s memory for |request|; its vectors are filled as for bfi_backward_tile. */
bfi_tile bfi_tile_open(const bf_plan *plan, bf_workspace *ws, const bfi_tile_request *request);

/* Runs ops [first, last) of the tile's program; the budget's status. */
bf_status bfi_tile_run(bfi_tile *t, int first, int last);

/* One way back, from the seed to the bounds (bfi_backward_tile's |lower| and |error|). */
bf_status bfi_tile_bound(bfi_tile *t, double *lower, double *error);

/* out = w a by rows, and a convolution with sums of |terms| terms; from buffer to buffer, polling
 * the budget. Products with several rows know no parts. */
void bfi_tile_linear(const bfi_tile *t, const bfi_packed *w, int64_t rows, bfi_op_part part, int a,
                     int out);
void bfi_tile_conv(const bfi_tile *t, const bfi_conv *conv, int64_t terms, bfi_op_part part, int a,
                   int out);

/* Runs the step; sums are left in v.t_sum and v.e_sum. */
void bfi_tile_relax(const bfi_tile *t, const bfi_tile_step *step);

/* The step as one kernel call; false on a window, and when its parameters differ between the tile's
 * lanes. */
bool bfi_tile_one_call(const bfi_tile *t, const bfi_tile_step *step, bfi_relax *call);

/* Elements per lane from the tile's start. */
static inline int64_t bfi_tile_offset(const bfi_tile *t, int id) {
    return t->level ? t->level->offset[id] : t->program->buffers[id].offset;
}

static inline void *bfi_tile_buffer(const bfi_tile *t, int id) {
    return t->memory + (size_t)(bfi_tile_offset(t, id) * t->ls) * t->size;
}

/* What a buffer of a windowed tile is a window of: planes of positions, and the window. */
typedef struct bfi_view {
    bfi_planes planes;
    bfi_rect rect;
} bfi_view;

/* False: the buffer holds the whole layer. */
bool bfi_tile_windowed(const bfi_tile *t, int buffer);
bfi_view bfi_tile_view(const bfi_tile *t, int buffer);
/* Elements per lane that the buffer holds. */
int64_t bfi_tile_count(const bfi_tile *t, int buffer);
/* Where element |index| of the layer stands in the buffer, which holds it. */
int64_t bfi_tile_place(const bfi_tile *t, int buffer, int64_t index);

/* A buffer's elements line by line: runs that stand together both in it and in the layer, which has
 * |count| elements. */
typedef struct bfi_line {
    int64_t first;         /* element of the layer */
    int64_t n;             /* how many */
    int64_t channel, y, x; /* of a window: where the first one is */
} bfi_line;
int64_t bfi_tile_lines(const bfi_tile *t, int buffer);
bfi_line bfi_tile_line(const bfi_tile *t, int buffer, int64_t count, int64_t index);
/* Lanes of the line's first element in any buffer of the layer that has them, slopes included. */
void *bfi_tile_at_line(const bfi_tile *t, int buffer, const bfi_line *line);

/* Vector of a value in the persistent part (offset -1: none). */
static inline bfi_parameter bfi_tile_kept(const bfi_tile *t, int64_t offset) {
    return (bfi_parameter){bfi_ws_numbers(t->ws, 0, offset), BFI_BY_BOX};
}

static inline bfi_parameter bfi_tile_shared(const void *data) {
    return (bfi_parameter){data, BFI_BY_NOTHING};
}

/* The same vector in the box of |lane|. */
static inline const void *bfi_tile_of_box(const bfi_tile *t, const void *box_0, int64_t lane) {
    return (const char *)box_0 + t->v.box[lane] * t->plan->persistent_bytes;
}

#endif
