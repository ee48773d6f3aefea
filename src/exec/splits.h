/* Split constraints of a tile's lanes: beta-CROWN (Wang et al. 2021, arXiv:2103.06624, section 3).
 *
 * A lane may have *crossings*: neurons that it takes through an activation on lines of its own,
 * over what its splits leave of the neuron's interval. Every split, sign (z - point) >= 0, adds a
 * term that is never positive where it holds to the functional, a z  >=  a z - value sign (z -
 * point)       for any value >= 0, and the multiplier |value| moves with the slopes: its derivative
 * is -sign (z - point) at the functional's minimiser. Crossings are few, so they are mended one by
 * one around the kernels, which see a coefficient of zero there. */
#ifndef BFI_EXEC_SPLITS_H
#define BFI_EXEC_SPLITS_H

#include "exec/forward.h"
#include "exec/mix.h"
#include "exec/tile.h"

typedef struct bfi_multiplier {
    double sign, point;
    double value; /* representable in float32 */
    double m, v;  /* moments of its gradient */
} bfi_multiplier;

typedef struct bfi_crossing {
    int node;       /* the activation, or max pooling */
    int64_t neuron; /* of its output; where it is |bare|: of its input */
    bool bare;      /* of a pooling: multipliers alone, its windows have crossings of their own */
    bfi_lines lines;
    int64_t below, above;        /* elements of its input that they are lines of */
    double reach;                /* largest size of these over what is left of their intervals */
    bfi_multiplier *multipliers; /* of the split neuron; only one crossing of it has them */
    int32_t count;
    double a;     /* coefficient that met the activation on the last way back */
    double scale; /* typical coefficient there: a multiplier's step is relative to it */
} bfi_crossing;

/* What the last way back of a lane looked like at an activation or max pooling: how much each
 * neuron's relaxation costs can be read from it. Numbers of neuron j are at [j * stride]. */
typedef struct bfi_node_view {
    int activation;     /* of the plan (bf_plan_activation) */
    const bfi_node *op; /* the activation, or max pooling */
    int64_t n, stride;
    bfi_dtype dtype;       /* of |a| and |z|, which say nothing of stable kinks */
    const void *a;         /* coefficients of its outputs; 0 where the lane has split a kink */
    const void *z;         /* its inputs, where the functional is smallest */
    const double *lo, *hi; /* intervals of its inputs in the lane's box; stride 1 */
    const double *bias;    /* of the layer before, in float64; stride 1; NULL: none, or not known */
} bfi_node_view;

typedef void (*bfi_look)(void *user, int64_t lane, const bfi_node_view *view);

/* |by| times a neuron, before the activation |node|, that a lane's functional has beside its row.
 */
typedef struct bfi_tilt {
    int node;
    int64_t neuron;
    double by;    /* 0: none; representable in float32 */
    double reach; /* largest |z| of the neuron */
} bfi_tilt;

typedef struct bfi_lane_splits {
    bfi_crossing *crossings; /* by activation */
    int32_t count;
    bfi_tilt tilt;
    bfi_mix mix;
    int rounds; /* ways back */
    uint8_t
        *slopes; /* bfi_splits_slope_bytes: where to start, in 255ths, and where it ended; NULL */
    bool fresh;  /* starts with the planned slopes all the same */
    double *corner; /* network's inputs: minimiser of the last functional; NULL: not wanted */
    bool look;
    int64_t index; /* for |look| */
} bfi_lane_splits;

/* Of a tile, by lane as they stand in it. */
typedef struct bfi_tile_splits {
    bfi_lane_splits *lane[BFI_WIDEST_TILE];
    double pace; /* of multipliers, in step sizes of slopes */
    bfi_look look;
    void *user;
    bool mixes;   /* a lane mixes rows */
    bool looking; /* this adjoint pass shows lanes, and steps nothing */
} bfi_tile_splits;

/* Bytes of a lane's slopes in the program. */
int64_t bfi_splits_slope_bytes(const bf_plan *plan, int program);

/* True when the lanes' crossings and tilts are at elements that their box keeps
 * (bfi_kept_elements): then what it leaves out is zero for these lanes too. */
bool bfi_splits_in_parts(const bfi_tile *t);

/* Before and after the relaxation |op| on the way back: takes the crossings out of the
 * coefficients, and puts what they become behind it. */
void bfi_splits_take(const bfi_tile *t, const bfi_back_op *op);
void bfi_splits_put(const bfi_tile *t, const bfi_back_op *op);

/* The same op in the adjoint pass, whose values have followed the lines: mends the crossings'
 * values, and steps their multipliers or shows the lanes. */
void bfi_splits_follow(const bfi_tile *t, const bfi_back_op *op);
/* Copies the minimisers out of the corner |op| of the network's input. */
void bfi_splits_corner(const bfi_tile *t, const bfi_back_op *op);

/* Between the lanes' slopes in the tile and their bytes. */
void bfi_splits_load(const bfi_tile *t);
void bfi_splits_save(const bfi_tile *t);

#endif
