/* A sweep: is the label of an input certified within a radius, for many of each, by several
 * methods?
 *
 * A row is decided in one of these ways; only the second computes anything.
 * - "centre": the label does not hold at the centre, so not within any radius either.
 * - "run": bounds over the ball.
 * - "larger": certified because bounds over a larger ball of the same input and method were enough;
 *   its margin, theirs, is a lower bound here too. The reverse is never concluded: a larger radius
 *   than one that failed is asked about, since methods are not monotone. */
#ifndef BFI_TOOLS_SWEEP_H
#define BFI_TOOLS_SWEEP_H

#include "boundflow/radius.h"
#include "cli.h"
#include "points.h"
#include "progress.h"

enum { BFI_SWEEP_METHODS = 8 };

typedef enum bfi_sweep_how {
    BFI_SWEEP_OPEN, /* not decided yet */
    BFI_SWEEP_RUN,
    BFI_SWEEP_LARGER,
    BFI_SWEEP_CENTRE
} bfi_sweep_how;

typedef struct bfi_sweep_row {
    bfi_sweep_how how;
    bool certified;
    double margin, time_s; /* time_s: share of the run; 0 where there was none */
} bfi_sweep_row;

typedef struct bfi_sweep {
    const char *path; /* of the model */
    bf_model *model;
    bf_options options; /* but the method */
    bfi_points inputs, scale;
    double clip_lo, clip_hi;
    int64_t *labels; /* one per input */
    double *clean;   /* margin of the label at each input, in double arithmetic; > 0: right */
    int methods, radii;
    bf_method method[BFI_SWEEP_METHODS];
    double *radius;      /* ascending */
    bfi_sweep_row *rows; /* [method][input][radius] */
    bool all_radii;      /* never conclude from larger radii */
} bfi_sweep;

bfi_sweep_row *bfi_sweep_at(const bfi_sweep *sweep, int method, int64_t input, int radius);

/* "run", "larger", "centre"; BFI_SWEEP_OPEN for any other name. */
const char *bfi_sweep_how_name(bfi_sweep_how how);
bfi_sweep_how bfi_sweep_how_find(const char *name);

/* What came out for one method at one radius. */
typedef struct bfi_sweep_count {
    int64_t certified, decided;
} bfi_sweep_count;
bfi_sweep_count bfi_sweep_count_rows(const bfi_sweep *sweep, int method, int radius);

/* Inputs whose label holds at the centre. */
int64_t bfi_sweep_clean(const bfi_sweep *sweep);

/* Called for every row when it is decided; a status but BF_STATUS_OK ends the sweep. */
typedef bf_status bfi_sweep_row_done(void *user, int method, int64_t input, int radius,
                                     bf_error *err);

/* Decides the open rows: methods in order; for each, inputs in order, each from its largest radius
 * down. Rows, in their order, do not depend on threads. |deadline|: bf_clock() time, 0 none.
 * BF_STATUS_TIMEOUT and BF_STATUS_CANCELLED leave rows open; those decided stay. */
bf_status bfi_sweep_run(bf_session *session, bfi_sweep *sweep, double deadline,
                        bfi_progress *progress, bfi_sweep_row_done *row_done, void *user,
                        bf_error *err);

#endif
