/* Verification: attack, then bounds, then branch and bound, then a verdict. */
#ifndef BOUNDFLOW_VERIFY_H
#define BOUNDFLOW_VERIFY_H

#include "boundflow/bounds.h"
#include "boundflow/property.h"

typedef enum bf_verdict {
    BF_VERDICT_UNKNOWN, /* neither proved nor refuted; |reason| says why */
    BF_VERDICT_SAT,     /* counterexample in x, y (the property is violated) */
    BF_VERDICT_UNSAT,   /* proved for every input */
    BF_VERDICT_TIMEOUT  /* the time budget ran out first */
} bf_verdict;

/* "sat", "unsat", "unknown", "timeout". */
BF_API const char *bf_verdict_name(bf_verdict verdict);

typedef struct bf_progress {
    const char *phase;   /* "attack", "ibp", "crown-ibp", "crown", "branch-and-bound" */
    int64_t done, total; /* cases decided, cases in all */
    double seconds;
    int64_t nodes, open; /* branch and bound: nodes bounded, nodes waiting */
    double lowest;       /* branch and bound: the worst margin among those waiting */
} bf_progress;

/* What branch and bound splits. */
typedef enum bf_branching {
    BF_BRANCHING_AUTO,   /* inputs where few of them vary, else neurons */
    BF_BRANCHING_INPUTS, /* the box, bounded by |bounds| again and again */
    BF_BRANCHING_NEURONS /* hidden neurons, bounded by beta-CROWN */
} bf_branching;

typedef struct bf_verify_options {
    bf_options bounds; /* method: strongest one to try before branch and bound, which needs crown */
    bf_branching branching;
    double timeout; /* seconds; 0: none */
    int restarts;   /* attack: random starts per case (lanes) */
    int steps;      /* attack: gradient steps per start */
    uint64_t seed;  /* the same seed gives the same witness on every machine and thread count */
    void (*progress)(
        void *user, const bf_progress *progress); /* may be NULL; called from the caller's thread */
    /* Called for every workspace of the bounds: with |done| 0 when it was made (start a trace here,
     * see inspect.h), with 1 before it is freed (read it). May be NULL. From the caller's thread.
     */
    void (*watch)(void *user, const bf_plan *plan, bf_workspace *workspace, int done);
    void *user;
} bf_verify_options;

BF_API bf_verify_options bf_verify_options_default(void);

typedef struct bf_verify_result {
    bf_verdict verdict;
    double *x,
        *y; /* sat: the witness (every x a float32 value inside the box) and float32 outputs */
    int64_t n_in, n_out;
    char decided_by[32]; /* "attack", "ibp", "crown-ibp", "crown", "crown-float64",
                            "branch-and-bound" or "" */
    char reason[256];    /* unknown or timeout: one line */
    double margin;       /* unsat/unknown: smallest, over what had to be refuted, of the certified
                            lower bound of the best row minus its right-hand side; NaN when none */
    double attack_s, bounds_s, search_s, total_s;
    int64_t nodes;       /* bounded by branch and bound */
    char branching[128]; /* what it split last, and why; "" nothing */
} bf_verify_result;

/* Decides |property| on |model|. Returns an error only when the question cannot be asked (shapes do
 * not fit, unsupported op, memory); a stop or timeout is a verdict. bf_verify_result_clear frees x
 * and y. */
BF_API bf_status bf_verify(bf_session *session, const bf_model *model, const bf_property *property,
                           const bf_verify_options *options, bf_verify_result *result,
                           bf_error *err);
BF_API void bf_verify_result_clear(bf_verify_result *result);

#endif
