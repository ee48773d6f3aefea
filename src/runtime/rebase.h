/* Bases for nodes below the root: hidden bounds that hold where a counterexample can be.
 *
 * A base (runtime/nodes.h) is a box of the workspace with its hidden bounds. A new one starts as a
 * copy of another, with what its splits say. Then its hidden bounds are tightened: a neuron z is
 * bounded where a row of the spec is at most |limit|, the only inputs that a search still looks
 * for. Every lower bound of row + by z, whatever |by| and the multipliers of the base's splits,
 *
 *     row + by z >= L,  row <= limit   =>   by z >= L - limit,
 *
 * bounds z from below (by > 0) or above: the row enters as a constraint with multiplier 1 / |by|
 * (Kotha et al. 2023, arXiv:2302.01404, bound hidden neurons under output constraints in this way).
 * A mix of rows (exec/mix.h) is as good as a row, whatever its weights, with the limit 0.
 * So splits of any layer tighten any other, and what a good bound of the row leaves open is little.
 * Known bounds only get better. */
#ifndef BFI_RUNTIME_REBASE_H
#define BFI_RUNTIME_REBASE_H

#include "exec/splits.h"

typedef struct bfi_rebase_request {
    int64_t from; /* a base */
    int64_t to;   /* another box of the workspace (not 0, the root's), which becomes one */
    const bf_split *splits; /* all of the new base, |from|'s among them: ascending by activation,
                               then neuron */
    int32_t count;
    double deadline;
} bfi_rebase_request;

/* True for a box that is a base. */
static inline bool bfi_is_base(const bf_workspace *ws, int64_t box) {
    return box >= 0 && box < ws->boxes && !bfi_ws_box(ws, box)->answered;
}

/* Makes box |to| of a plan with keep_layers a base: hidden bounds of |from|, clipped by its splits
 * and what follows from that by intervals and CROWN. The workspace is one that bfi_nodes_run takes,
 * from a request of one box. On any error |to| is no base. That no input satisfies the splits is no
 * error: nodes of such a base are refuted at once. */
bf_status bfi_rebase_run(const bf_plan *plan, bf_workspace *ws, const bfi_rebase_request *request,
                         bf_error *err);

typedef struct bfi_tighten_request {
    bfi_rebase_request base; /* made by bfi_rebase_run as this says */
    const double *spec;      /* as of the workspace's last run */
    int64_t rows;
    int64_t row;
    int32_t mixed;               /* the row is a mix of so many, from |row| on; 0: itself */
    const bfi_row_limit *limits; /* by row, for a mix */
    const float *weights;        /* of the mix: where lanes start */
    double limit;                /* bounds need hold only where the row is at most this */
    double lower;                /* of the row, as far as known: how |by| is chosen, no more */
    const float *multipliers;    /* of the splits: where lanes start */
    const uint8_t *slopes;       /* likewise */
    int rounds;                  /* ways back of a lane */
} bfi_tighten_request;

/* Tightens the unstable kinks of the base once, all from the bounds that are there. */
bf_status bfi_tighten_run(const bf_plan *plan, bf_workspace *ws, const bfi_tighten_request *request,
                          bf_error *err);

/* Narrows the bounds of an activation's input (one number per neuron) on the base |request->to|,
 * as somebody has proved them for all of its inputs, and takes layers after it again. */
bf_status bfi_narrow_run(const bf_plan *plan, bf_workspace *ws, const bfi_rebase_request *request,
                         int32_t activation, const double *lo, const double *hi, bf_error *err);

/* Lanes that bfi_tighten_run takes on |base|. */
int64_t bfi_tighten_lanes(const bf_plan *plan, const bf_workspace *ws, int64_t base);

#endif
