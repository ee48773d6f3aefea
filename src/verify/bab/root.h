/* The root of a search over neurons: a run of alpha-CROWN on the case's box, whose hidden bounds
 * all nodes share. Internal to verify/bab. */
#ifndef BFI_VERIFY_BAB_ROOT_H
#define BFI_VERIFY_BAB_ROOT_H

#include <float.h>

#include "exec/mix.h"
#include "verify/bab/bounder.h"

typedef struct bfi_root {
    bf_plan *plan;
    bf_workspace *ws; /* after the run: what bfi_nodes_run needs, unless all rows are decided */
    double *lower, *error;  /* rows of the problem */
    double *stop;           /* rows: lower bounds that refute */
    bfi_row_limit *limit;   /* rows: counterexamples have no more */
    int64_t slope_bytes;    /* of a lane */
    double lane_flops;      /* of a lane's way back and forth */
    bf_intermediate hidden; /* how its hidden bounds were made */
} bfi_root;

/* Runs |options| with hidden bounds as CROWN has them, then, where that can be had for a small part
 * of the time left, with hidden bounds optimised for each neuron. The workspace has room for up to
 * |bases| bases, the root's among them (runtime/rebase.h), as far as the memory goes. */
bf_status bfi_root_create(bfi_problem *problem, const bf_options *options, int bases,
                          double deadline, bfi_root *out, bf_error *err);
void bfi_root_clear(bfi_root *root);

/* A lower bound that refutes a lane's functional: what a mix of rows is above their limits, or a
 * row. */
static inline double bfi_root_stop(const bfi_root *root, int64_t row, int32_t mixed) {
    return mixed > 0 ? DBL_MIN : root->stop[row];
}

/* What the root knows of such a functional, whatever its weights. */
typedef struct bfi_root_bound {
    double lower, error;
    int32_t row; /* of a mix: the one that bounds it best */
} bfi_root_bound;
bfi_root_bound bfi_root_known(const bfi_root *root, int64_t row, int32_t mixed);

#endif
