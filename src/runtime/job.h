/* Jobs: the functionals of one backward step, of all boxes in flight, cut into lane tiles.
 *
 * A box's rows lie on windows, where the box has tiles of its own (runtime/lane_groups.h), or on
 * whole layers. There a box with more than one vector of lanes has tiles of its own too, so that
 * its relaxations are those of all lanes; boxes with fewer share tiles. */
#ifndef BFI_RUNTIME_JOB_H
#define BFI_RUNTIME_JOB_H

#include "runtime/lane_groups.h"

typedef struct bfi_job {
    const bf_plan *plan;
    bf_workspace *ws;
    int program, step, node;
    const double *spec;  /* rows of C, or NULL: neurons */
    int64_t spec_stride; /* numbers between the specs of two boxes; 0: one for all */
    int64_t rows;        /* offset of the box's list of neurons; -1: 0, 1, 2, ... */
    int sides;           /* 2: lower then upper of each row; 1: only the side |first_sign| */
    double first_sign;
    double flops, dense_flops; /* multiply-adds times two, and what whole layers would take */
    double bytes, dense_bytes; /* of coefficients that ops read and write, likewise */
    int64_t lanes;             /* in all */
    int64_t dense, width;      /* lanes on whole layers; most in a tile of them */
    int64_t windowed, tiles;   /* tiles on windows, which come first; in all */
    double *lower, *upper; /* of box 0, indexed by row (of C or of the target); NULL: not wanted */
    double *lower_error;   /* likewise */
    double *functional;    /* of the lower bounds, at the network's input; likewise */
    double *constant;      /* of the functionals; likewise */
    int64_t result_stride; /* numbers between the results of two boxes */
    bool keep_better;      /* never loosen what is there */
    int rounds;            /* of a program with slopes, and of one box; 0: a plain one */
    const double *stop;    /* rounds: lower bounds that are good enough, like |lower|; NULL: none */
    bool shared, gradient; /* rows share their slopes; this round adds up their gradient too */
    bool decide; /* rounds: a bound of at least zero is good enough, for both sides of a row */
} bfi_job;

/* The rows of box |box| join the job; boxes in order, every one once. */
void bfi_job_add_box(bfi_job *job, int64_t box, bfi_lane_groups rows);

/* Fills width and tiles, and gives the boxes their places: tiles as wide as the plan allows,
 * narrower where that gives each of |workers| one. */
void bfi_job_cut(bfi_job *job, int workers);

/* Runs tile |item| with |worker|'s memory; a stop is left in the workspace. */
void bfi_job_tile(const bfi_job *job, int64_t item, int worker);

#endif
