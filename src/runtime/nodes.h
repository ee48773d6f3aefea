/* Nodes of branch and bound as lanes: rows of a spec under split constraints.
 *
 * A workspace whose last run was alpha-CROWN's on one or more boxes holds hidden bounds of these
 * boxes, its *bases*. A node is one row of the spec on a base, under splits of hidden neurons: it
 * keeps the base's hidden bounds, clipped where it splits, and is bounded by beta-CROWN (Wang et
 * al. 2021, arXiv:2103.06624): every split constraint sign (z - point) >= 0 enters with a
 * multiplier
 * >= 0, and multipliers and lower slopes move along the gradient of the bound together. Nodes are
 * lanes: hundreds of them take the way back and forth of one row together, and a lane that is
 * decided leaves. Of a conjunction of rows a node may bound a weighted sum, whose weights move
 * along too. Bounds hold for all inputs of the base's box that satisfy the node's splits, rounding
 * included, whatever slopes and multipliers are given; they depend on nothing beside the node, bit
 * for bit. */
#ifndef BFI_RUNTIME_NODES_H
#define BFI_RUNTIME_NODES_H

#include "exec/splits.h"

/* |by| times the input of a neuron of an activation (bf_plan_activation). */
typedef struct bfi_neuron_term {
    int32_t activation;
    int64_t neuron;
    double by;
} bfi_neuron_term;

typedef struct bfi_node_lane {
    int64_t base;   /* box of the workspace's last run */
    int64_t row;    /* of the spec */
    int32_t mixed;  /* rows of a conjunction, from |row| on: the bound is that of a weighted sum of
                       what each of them is above its limit (exec/mix.h); 0: of |row| */
    float *weights; /* of these rows, >= 0, not all 0: where to start, normalised; where they ended
                       comes back */
    double stop;    /* the row is decided at this lower bound */
    int rounds;     /* ways back: 1 bounds with the numbers given, nothing moves */

    bfi_neuron_term term;   /* the bound is that of row + term, where by is not 0 */
    const bf_split *splits; /* ascending by activation, then neuron */
    int32_t split_count;
    float *multipliers; /* split_count, >= 0: where to start; where it ended comes back */
    uint8_t *slopes; /* bfi_nodes_slope_bytes: likewise, in 255ths; NULL: the planned ones, and none
                        come back */
    bool fresh;      /* |slopes| are not looked at: starts with the planned ones */

    double lower, error; /* in: what is known already (-inf, 0: nothing); out: never less. +inf when
                            a split contradicts the base's bounds */
    double *corner;      /* model inputs: minimiser of the last functional; NULL: not wanted */
    bool look;           /* bfi_nodes_request.look shall see it, unless it is decided */
} bfi_node_lane;

/* Steps of lanes that start where others ended: of slopes, and of multipliers. */
#define BFI_WARM_SLOPE_STEP 0.1
#define BFI_WARM_MULTIPLIER_STEP 1.0

typedef struct bfi_nodes_request {
    const double *spec; /* rows x outputs; as of the last run */
    int64_t rows;
    const bfi_row_limit *limits; /* by row; NULL: no lane mixes rows */
    bfi_node_lane *lanes;
    int64_t count;
    /* Called for the nodes that ask for it, from workers, one activation after the other; calls for
     * different nodes may run at the same time. */
    bfi_look look;
    void *user;
    double lr;            /* of slopes; 0: the plan's */
    double multiplier_lr; /* of multipliers, relative to the layer's typical coefficient */
    double deadline;
} bfi_nodes_request;

/* The plan is alpha-CROWN's, and the way back crosses an activation. */
bool bfi_nodes_possible(const bf_plan *plan);

/* Bytes of a node's slopes; 0 when there are none to choose. */
int64_t bfi_nodes_slope_bytes(const bf_plan *plan);

/* Bounds every lane. The workspace must have run with method alpha-CROWN, a spec, and results that
 * left a row open (else BF_STATUS_INVALID_ARGUMENT); it stays as it is, so that any number of
 * requests may follow. On BF_STATUS_TIMEOUT and BF_STATUS_CANCELLED lanes hold what was reached. */
bf_status bfi_nodes_run(const bf_plan *plan, bf_workspace *ws, bfi_nodes_request *request,
                        bf_error *err);

#endif
