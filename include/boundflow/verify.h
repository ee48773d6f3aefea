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

/* Where a verification is. At every moment it lies between two numbers. For an input of the
 * property let its margin be the least, over the disjuncts of its case, of the largest row minus
 * right-hand side: a counterexample has margin <= 0 (< 0 where rows are strict). |bound| is
 * certified: no input has a smaller margin. |best| is the smallest margin that a point tried had.
 */
typedef struct bf_progress {
    const char *phase;        /* "attack", "ibp", "crown-ibp", "crown", "branch-and-bound", ... */
    const char *reason;       /* why this phase now: one line */
    int64_t done, total;      /* cases decided, cases in all */
    double seconds, limit;    /* since the start; limit 0: none */
    double bound, best;       /* -inf, +inf: nothing is known yet */
    int64_t nodes, open;      /* branch and bound: nodes bounded, nodes waiting */
    int64_t hidden_nodes;     /* bounded by small searches that tighten hidden bounds */
    int64_t bytes;            /* of workspaces and the search tree */
    const char *branching;    /* what a search splits, and why; NULL: none is running */
    int64_t checkpoints;      /* written so far */
    int64_t checkpoint_bytes; /* of the last one */
    const char *checkpoint_problem; /* why the last one could not be written; NULL: it was */
} bf_progress;

/* What branch and bound splits. */
typedef enum bf_branching {
    BF_BRANCHING_AUTO,   /* inputs where few of them vary, else neurons */
    BF_BRANCHING_INPUTS, /* the box, bounded by |bounds| again and again */
    BF_BRANCHING_NEURONS /* hidden neurons, bounded by beta-CROWN */
} bf_branching;

/* What decides when attack and bounds have not. */
typedef enum bf_engine {
    BF_ENGINE_AUTO, /* branch and bound; what it leaves goes to linear programs where the network is
                       small */
    BF_ENGINE_BAB,  /* branch and bound alone */
    BF_ENGINE_MIP,  /* branch and bound over linear programs (HiGHS): decides piecewise linear
                       networks of some hundred neurons */
    BF_ENGINE_SMT   /* exact rational arithmetic (Z3): some ten neurons */
} bf_engine;

typedef struct bf_verify_options {
    bf_options bounds; /* method: strongest one to try before branch and bound, which needs crown */
    bf_engine engine;
    bf_branching branching;
    double timeout; /* seconds; 0: none */
    int restarts;   /* attack: random starts per case (lanes) */
    int steps;      /* attack: gradient steps per start */
    uint64_t seed;  /* the same seed gives the same witness on every machine and thread count */
    /* Called from the caller's thread: when a phase begins, a better point is found or a checkpoint
     * was written, else at most every 20 ms. May be NULL. */
    void (*progress)(void *user, const bf_progress *progress);
    /* Called for every workspace of the bounds: with |done| 0 when it was made (start a trace here,
     * see inspect.h), with 1 before it is freed (read it). May be NULL. From the caller's thread.
     */
    void (*watch)(void *user, const bf_plan *plan, bf_workspace *workspace, int done);
    void *user;
    const char *checkpoint;     /* file that is written again and again, whole or not at all, and
                                   when the verification ends undecided; NULL: none */
    double checkpoint_interval; /* seconds between two of them, at least */
    const char *resume; /* file of an earlier verification of the same question to go on from: it is
                           refused when it is damaged or of another question. NULL: none */
} bf_verify_options;

BF_API bf_verify_options bf_verify_options_default(void);

typedef struct bf_verify_result {
    bf_verdict verdict;
    double *x,
        *y; /* sat: the witness (every x a float32 value inside the box) and float32 outputs */
    int64_t n_in, n_out;
    char decided_by[32]; /* "attack", "ibp", "crown-ibp", "crown", "crown-float64",
                            "branch-and-bound", "mip", "smt" or "" */
    char reason[256];    /* unknown or timeout: one line */
    double margin;       /* the certified bound (see bf_progress): 0 or above when unsat; NaN when
                            nothing had to be refuted or nothing is known */
    double best_margin;  /* smallest margin of a point tried; NaN: no point was */
    double *best_x;      /* that point, n_in numbers, or NULL */
    double attack_s, bounds_s, search_s, total_s;
    double past_s;                /* what was spent before the checkpoint that was resumed */
    int64_t nodes, open;          /* bounded by branch and bound, or linear programs; left open */
    int64_t hidden_nodes;         /* bounded by small searches that tightened hidden bounds */
    char branching[128];          /* what it split last, and why; "" nothing */
    int64_t checkpoints;          /* written */
    char checkpoint_problem[256]; /* why the last one could not be written, or "" */
} bf_verify_result;

/* Decides |property| on |model|. Returns an error only when the question cannot be asked (shapes do
 * not fit, unsupported op, memory, a checkpoint that cannot be resumed); a stop or timeout is a
 * verdict. bf_verify_result_clear frees x, y and best_x. */
BF_API bf_status bf_verify(bf_session *session, const bf_model *model, const bf_property *property,
                           const bf_verify_options *options, bf_verify_result *result,
                           bf_error *err);
BF_API void bf_verify_result_clear(bf_verify_result *result);

#endif
