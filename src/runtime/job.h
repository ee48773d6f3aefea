/* Jobs: the functionals of one backward step, cut into lane tiles. */
#ifndef BFI_RUNTIME_JOB_H
#define BFI_RUNTIME_JOB_H

#include "runtime/lane_groups.h"

typedef struct bfi_job {
    const bf_plan *plan;
    bf_workspace *ws;
    int program, step;
    const double *spec;     /* rows of C, or NULL: neurons */
    const int32_t *rows;    /* neurons, NULL: 0, 1, 2, ... */
    bfi_lane_groups groups; /* of rows; level -1: cut anywhere */
    int sides;              /* 2: lower then upper of each row; 1: only the side |first_sign| */
    double first_sign;
    int64_t lanes, width; /* in all; per tile */
    int64_t tiles;
    double *lower, *upper; /* indexed by row (of C or of the target); NULL: not wanted */
    double *lower_error;   /* likewise */
    bool keep_better;      /* never loosen what is there */
} bfi_job;

/* Fills width and tiles: as wide as the plan allows, narrower where that gives each of |workers|
 * one; groups are tiles as they are. */
void bfi_job_cut(bfi_job *job, int workers);

/* Multiply-adds times two of the whole job, and in |dense| what whole layers would take. */
double bfi_job_flops(const bfi_job *job, double *dense);

/* Runs tile |item| with |worker|'s memory; a stop is left in the workspace. */
void bfi_job_tile(const bfi_job *job, int64_t item, int worker);

#endif
