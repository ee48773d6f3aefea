/* Robustness radii: how far every input may move before the label can change.
 *
 * A label K holds at an input when output K is larger than every other output. It is certified
 * within a radius when lower bounds of y[K] - y[j] over the whole ball are positive for every j.
 * Only that is ever called certified; that larger radii fail is a statement about the method. */
#ifndef BOUNDFLOW_RADIUS_H
#define BOUNDFLOW_RADIUS_H

#include "boundflow/bounds.h"
#include "boundflow/verify.h"

/* The inputs x with |x_i - center_i| <= radius * scale_i and clip_lo <= x_i <= clip_hi. */
typedef struct bf_ball {
    const double *center;    /* one per input of the model, finite, inside the clip */
    const double *scale;     /* one per input, finite, >= 0 (0: the input stays); NULL: 1 each */
    double clip_lo, clip_hi; /* infinite: no clip */
} bf_ball;

/* Smallest box of doubles that contains the ball of every number that reads as |radius| (whose
 * nearest double it is; 0 is 0 alone): printing a radius and reading it back loses nothing. |lo|
 * and |hi| take |count| numbers, which are infinite where the ball leaves the range of doubles.
 * BF_STATUS_INVALID_ARGUMENT names the input where the ball is not what is said above. */
BF_API bf_status bf_ball_box(const bf_ball *ball, int64_t count, double radius, double *lo,
                             double *hi, bf_error *err);

typedef struct bf_radius_options {
    bf_options bounds; /* rounding must be outward */
    double maximum;    /* largest radius tried; 0: width of the clip, 1 without one */
    /* The search ends when the radii that bracket the answer are within max(absolute, relative *
     * certified) of each other, or nothing is certified down to maximum / 2^20. */
    double absolute, relative; /* 0 and 1 % */
    int64_t runs;              /* most radii whose bounds are asked for; 0: no limit */
    int boxes;           /* radii bounded in one run; 0: chosen from the threads. Same result */
    double timeout;      /* seconds; 0: none */
    int attack;          /* 1: look for counterexamples first, to bracket the answer from above */
    int restarts, steps; /* of the attack, for each radius tried */
    uint64_t seed;
    void (*progress)(void *user, const bf_progress *progress); /* may be NULL; as in bf_verify */
    void *user;
} bf_radius_options;

BF_API bf_radius_options bf_radius_options_default(void);

typedef enum bf_radius_end {
    BF_RADIUS_END_TOLERANCE,     /* as close as asked for */
    BF_RADIUS_END_MAXIMUM,       /* options.maximum itself is certified */
    BF_RADIUS_END_MISCLASSIFIED, /* the label does not hold at the centre */
    BF_RADIUS_END_RUNS,          /* options.runs */
    BF_RADIUS_END_TIMEOUT,
    BF_RADIUS_END_CANCELLED /* bf_session_stop */
} bf_radius_end;

/* "tolerance", "maximum", "misclassified", "runs", "timeout", "cancelled". */
BF_API const char *bf_radius_end_name(bf_radius_end end);

typedef struct bf_radius_result {
    double certified; /* the label holds in the whole ball of this radius; 0: no radius was
                         certified */
    double failed;    /* smallest radius whose bounds did not suffice; inf: there was none */
    double falsified; /* a counterexample lies this far from the centre (rounded up); inf: none was
                         found; 0: the centre itself */
    double margin;    /* smallest lower bound of y[K] - y[j] within |certified|; NaN: none */
    double *x;        /* the counterexample at |falsified|; NULL: none, or the centre */
    int64_t n_in;
    int64_t other; /* another label, which is at least as large at the counterexample; -1: none */
    bf_radius_end end;
    int64_t runs;    /* radii whose bounds the search asked for */
    int64_t boxes;   /* radii bounded, those of other branches of the search included */
    int64_t attacks; /* radii attacked */
    double attack_s, bounds_s, total_s;
} bf_radius_result;

/* Largest radius around ball->center, up to the tolerance, that the method certifies label |label|
 * for: bisection between 0 and the least of options.maximum and the counterexamples found. The
 * result depends on neither threads nor options.boxes. A timeout or stop is a result: the best
 * radius so far. Errors as in bf_plan_create; BF_STATUS_INVALID_ARGUMENT for options out of range
 * or a label that is no output. */
BF_API bf_status bf_radius(bf_session *session, const bf_model *model, const bf_ball *ball,
                           int64_t label, const bf_radius_options *options,
                           bf_radius_result *result, bf_error *err);
BF_API void bf_radius_result_clear(bf_radius_result *result);

#endif
