/* Certified bounds.  Life cycle: model + options -> plan -> workspace -> reshape -> bind -> run,
 * run, run ... (bf_bounds_run does the last three in one call).
 *
 * A plan is immutable and thread-safe to share; a workspace belongs to one running call at a time.
 * run allocates nothing. Bounds hold for the real-number network (or for every float32 evaluation
 * order, see bf_semantics) for every input in the box, unless rounding is BF_ROUNDING_NEAREST.
 *
 * Sources: IBP: Gowal et al. 2018 (arXiv:1810.12715); CROWN: Zhang et al. 2018 (arXiv:1811.00866)
 * and DeepPoly, Singh et al. 2019; CROWN-IBP: Zhang et al. 2020 (arXiv:1906.06316); error terms:
 * Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1. */
#ifndef BOUNDFLOW_BOUNDS_H
#define BOUNDFLOW_BOUNDS_H

#include <stddef.h>
#include <stdint.h>

#include "boundflow/model.h"
#include "boundflow/session.h"

typedef enum bf_method {
    BF_METHOD_IBP,        /* intervals forward; the spec is fused into the last linear layer */
    BF_METHOD_CROWN_IBP,  /* intervals for hidden layers, one backward pass for the spec */
    BF_METHOD_CROWN,      /* backward passes for hidden layers too */
    BF_METHOD_ALPHA_CROWN /* CROWN, then lower slopes optimised by gradient: never looser */
} bf_method;

/* Which bounds BF_METHOD_ALPHA_CROWN optimises besides the rows asked for. */
typedef enum bf_intermediate {
    BF_INTERMEDIATE_FIXED,      /* none: hidden bounds are CROWN's */
    BF_INTERMEDIATE_PER_NEURON, /* hidden bounds too, each with slopes of its own: the tightest */
    BF_INTERMEDIATE_SHARED      /* hidden bounds too; the neurons of a layer share their slopes, one
                                   set for lower and one for upper bounds: a round is a way back and
                                   forth as in CROWN, without numbers by neuron and slope */
} bf_intermediate;

typedef enum bf_dtype { BF_DTYPE_FLOAT32, BF_DTYPE_FLOAT64 } bf_dtype;

typedef enum bf_executor {
    BF_EXECUTOR_REFERENCE, /* plain scalar kernels */
    BF_EXECUTOR_NATIVE,    /* AVX2 or AVX-512, picked at run time; the same bits */
    BF_EXECUTOR_TVM,       /* kernels compiled for the plan's shapes where there are any, native
                              elsewhere; the same bits (see tvm.h) */
    BF_EXECUTOR_AUTO /* native, and kernels that were compiled before where they are faster, as
                        measured (see bf_tune); never compiles; the same bits */
} bf_executor;

typedef enum bf_rounding {
    BF_ROUNDING_OUTWARD, /* sound: error terms are added */
    BF_ROUNDING_NEAREST  /* NOT sound: only to compare with other tools */
} bf_rounding;

typedef enum bf_semantics {
    BF_SEMANTICS_REAL,   /* the network as a function on real numbers */
    BF_SEMANTICS_FLOAT32 /* any float32 evaluation, in any summation order, with or without fma */
} bf_semantics;

typedef struct bf_options {
    bf_method method;
    bf_dtype dtype;
    bf_executor executor;
    bf_rounding rounding;
    bf_semantics semantics;
    int intersect;   /* 1: keep the better of backward and interval bounds, and concretise backward
                        functionals on hidden boxes on the way; 0: textbook values */
    int all_neurons; /* 1: backward bounds for stable neurons too */
    int64_t memory;  /* bytes a workspace may use; 0: no limit. The plan tiles lanes to meet it */
    int simplify; /* 1: fold batch norms, transposes and constants first (bounds change by rounding
                     only, or tighten); 0: run the network as imported */
    int keep_layers; /* 1: bf_workspace_layer has every layer, the network is run as imported;
                        0: only the outputs, storage is reused */
    int windows; /* 1: rows of convolutional layers keep coefficients on their windows where that is
                    cheaper; 0: whole layers. Same bits */
    int partition; /* tasks: 0 one for everything, 1 regions and one per bounded layer. Same bits */
    int64_t batch; /* >= 1: boxes of a request that are in flight together, their rows lanes of the
                      same tiles; a memory budget may lower it. Same bits */
    int iterations; /* BF_METHOD_ALPHA_CROWN: ways back per row, the first with CROWN's slopes */
    double lr, lr_decay; /* its step size (Adam) in the first iteration, and by what it shrinks */
    bf_intermediate intermediate;
    const char *isa; /* NULL: fastest; "ref", "avx2", "avx512" force one (native executor) */
    double deadline; /* bf_clock() time at which making a plan gives up (kernels are being
                        compiled); 0: none */
} bf_options;

/* crown, float32, auto, outward, real, no intersection, unlimited memory, simplify, partition 1,
 * windows, one box in flight; for alpha-CROWN 20 iterations, lr 0.5, decay 0.98, per neuron. */
BF_API bf_options bf_options_default(void);

typedef struct bf_plan bf_plan;
typedef struct bf_workspace bf_workspace;

/* Compiles |model| for |options|. The plan keeps what it needs: the model may be freed afterwards.
 * BF_STATUS_UNSUPPORTED names an op without any bound rule; BF_STATUS_LIMIT states the minimum when
 * options.memory is below it; BF_STATUS_TIMEOUT and BF_STATUS_CANCELLED while kernels are compiled
 * (executor tvm). */
BF_API bf_status bf_plan_create(bf_session *session, const bf_model *model,
                                const bf_options *options, bf_plan **out, bf_error *err);
BF_API void bf_plan_free(bf_plan *plan);

/* Bytes that one workspace of this plan takes, exactly. */
BF_API int64_t bf_plan_workspace_bytes(const bf_plan *plan);

/* Boxes in flight: options.batch, or as many as fit the memory budget. */
BF_API int64_t bf_plan_batch(const bf_plan *plan);

/* What the workspace would take with one buffer per vector and coefficient tensor, nothing reused.
 */
BF_API int64_t bf_plan_baseline_bytes(const bf_plan *plan);

/* Bytes of packed weights and tables that the plan holds itself. */
BF_API int64_t bf_plan_constant_bytes(const bf_plan *plan);

/* Notes a user should see (fallbacks to interval, with reasons): line |index| or NULL past the end.
 */
BF_API const char *bf_plan_note(const bf_plan *plan, int index);

BF_API bf_status bf_workspace_create(const bf_plan *plan, bf_workspace **out, bf_error *err);
BF_API void bf_workspace_free(bf_workspace *workspace);

/* Where a plan can split a neuron: the values that enter an activation (any elementwise op) or a max
 * pooling. */
typedef struct bf_activation_info {
    const char *name; /* of the layer whose numbers are split, as planned */
    int layer;        /* layer of the model that holds the same numbers in the same order; -1: the
                         planned network holds them in another order (see options.simplify) */
    int64_t neurons;
} bf_activation_info;

BF_API int bf_plan_activation_count(const bf_plan *plan);
/* Zeroed, layer -1, when |activation| is out of range. */
BF_API bf_activation_info bf_plan_activation(const bf_plan *plan, int activation);

/* A split constraint: number |neuron| of an activation's input is at least (sign 1) or at most
 * (sign -1) |point|. */
typedef struct bf_split {
    int activation; /* 0 ... bf_plan_activation_count() - 1 */
    int64_t neuron;
    int sign;
    double point; /* 0: the kink of a relu */
} bf_split;

/* Boxes and what to bound on them. Every result is what the box alone would get, bit for bit.
 *
 * Splits restrict a box: its bounds hold for those of its inputs that satisfy all of its splits.
 * Where it turns out that there are none, the box's lower bounds are +inf and its upper bounds
 * -inf. */
typedef struct bf_request {
    const double *lo, *hi; /* boxes x model inputs; lo <= hi, finite */
    const double *spec;    /* rows x outputs, row-major; NULL: bounds of the outputs themselves */
    int64_t rows;          /* of spec; ignored when spec is NULL */
    double *lower, *upper; /* results, boxes x rows; either may be NULL: not wanted */
    double
        *lower_error; /* of each lower bound, the part that is error term (what a wider dtype could
                         win back); NULL: not wanted. Zero where an interval was the better bound */
    double *functional; /* boxes x rows x inputs: coefficients of the linear lower bound of each row
                           over the inputs, as rounded, before it was minimised over the box; zeros
                           where the method ends at a hidden layer. NULL: not wanted */
    double *constant;   /* boxes x rows, beside |functional|: certified, row . y(x) >=
                           functional . x + constant for every input x of the box that satisfies its
                           splits, in exact arithmetic; -inf where there is none. NULL: not wanted;
                           ignored without |functional| */
    double deadline;    /* bf_clock() time at which to give up; 0: none */

    int64_t boxes;    /* 0 counts as 1; more than options.batch run in turns */
    int spec_per_box; /* 1: spec is boxes x rows x outputs; 0: one for all boxes */

    const bf_split *splits;     /* of all boxes, one after the other; NULL: none */
    const int64_t *first_split; /* boxes + 1: those of box b are first_split[b] up to
                                   first_split[b + 1] */

    const double *enough; /* lower bounds at which a row is decided, as many as |lower|: optimising
                             it stops there; NULL: none is. Only BF_METHOD_ALPHA_CROWN looks */
} bf_request;

/* Fixes the number of spec rows of the runs to come (0 at first). Cheap: lanes are tiled, so
 * neither the plan nor the workspace's size depends on it. Undoes an earlier bind. */
BF_API bf_status bf_workspace_reshape(const bf_plan *plan, bf_workspace *workspace, int64_t rows,
                                      bf_error *err);

/* Checks |request| (boxes, finite numbers, rows as reshaped when there is a spec) and keeps its
 * pointers, which must stay valid, and may be written with new numbers of the same kind, until the
 * last run. A run trusts them: a box that is empty or not finite gives infinite bounds, never wrong
 * ones. */
BF_API bf_status bf_workspace_bind(const bf_plan *plan, bf_workspace *workspace,
                                   const bf_request *request, bf_error *err);

/* Computes what is bound; allocates nothing. BF_STATUS_INVALID_ARGUMENT when nothing is bound, else
 * as bf_bounds_run. */
BF_API bf_status bf_workspace_run(const bf_plan *plan, bf_workspace *workspace, bf_error *err);

/* Computes bounds: reshape, bind and run. BF_STATUS_TIMEOUT / BF_STATUS_CANCELLED leave bounds
 * that hold in lower and upper, infinite where there was no time for one. Not-a-number
 * never comes out: a bound that cannot be computed is infinite. */
BF_API bf_status bf_bounds_run(const bf_plan *plan, bf_workspace *workspace,
                               const bf_request *request, bf_error *err);

/* Interval of layer |index| of the model after the last run (hidden bounds as used), for its last
 * box. |lower|, |upper| have the layer's count. False when this plan does not keep that layer (see
 * bf_options.keep_layers), or a cache answered the box without computing layers (which it does not
 * where they are kept). */
BF_API int bf_workspace_layer(const bf_plan *plan, const bf_workspace *workspace, int index,
                              double *lower, double *upper);

/* The same for box |box|; false too when it is not among the last options.batch that ran together.
 */
BF_API int bf_workspace_box_layer(const bf_plan *plan, const bf_workspace *workspace, int64_t box,
                                  int index, double *lower, double *upper);

/* Counters of the last run, as data. */
typedef struct bf_run_stats {
    int64_t lanes;      /* functionals bounded */
    int64_t unstable;   /* rows of hidden layers that needed backward bounds */
    double flops;       /* multiply-adds times two in bound kernels */
    double dense_flops; /* the same had every tile kept whole layers (no windows) */
    double bytes;       /* of coefficients that the steps of backward passes read and write */
    double dense_bytes; /* likewise on whole layers */
    int64_t used_bytes; /* high-water mark of the workspace */
    int64_t reused;     /* bounded layers and results, by box, that the session's cache or the run
                           before answered (boundflow/cache.h) */
} bf_run_stats;
BF_API bf_run_stats bf_workspace_stats(const bf_workspace *workspace);

/* Monotonic seconds. */
BF_API double bf_clock(void);

#endif
