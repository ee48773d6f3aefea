/* The plan: what to run, in which order, where every number lives.
 *
 * A step is the forward (interval) transfer of one node, or a backward program that bounds one value.
 * Workspace layout: a persistent part (vectors per value of the one box, at fixed byte offsets) and one
 * tile part per worker (coefficients of a lane tile plus per-lane vectors). All sizes are known here;
 * running a plan allocates nothing. Immutable after creation, thread-safe to share. */
#ifndef BFI_PLAN_PLAN_H
#define BFI_PLAN_PLAN_H

#include "boundflow/bounds.h"
#include "frontend/model.h"
#include "ir/bound.h"
#include "plan/constants.h"

/* Byte offsets into the persistent part, -1: not kept. T: the plan's dtype; n: elements of the value.
 * See exec/forward.h for what is stored. */
typedef struct bfi_value_state {
    int64_t lo, hi;             /* double[n]: interval, every number representable in T */
    int64_t lo_t, hi_t;         /* T[n]: the same (equal to lo, hi for float64) */
    int64_t e;                  /* T[n]: error per unit of |coefficient| at this value's way back */
    int64_t own;                /* double[n]: part of e that holds for an exact unit coefficient */
    int64_t e_box;              /* T[n]: error per unit of |coefficient| when concretised here */
    int64_t e_sum;              /* T[n]: the same for one accumulation */
    int64_t s_pos, s_neg, t_pos, t_neg; /* T[n]: relaxation of a unary node (kernels/kernel.h); max pooling:
                                           t_neg alone, the constant that A- meets */
    int64_t pick_lo, pick_hi;   /* int32[n]: max pooling, chosen input element for A+ and A-, -1: constant */
} bfi_value_state;

/* Widest lane tile of any plan. */
enum { BFI_WIDEST_TILE = 64 };

typedef enum bfi_step_kind { BFI_STEP_FORWARD, BFI_STEP_BOUND, BFI_STEP_SPEC } bfi_step_kind;

typedef struct bfi_step {
    bfi_step_kind kind;
    int node;    /* FORWARD: its node; BOUND: the value that is bounded */
    int program; /* BOUND, SPEC */
} bfi_step;

typedef struct bfi_note {
    char text[240];
} bfi_note;

/* Error constants of one node, all outward; zero when rounding is nearest. */
typedef struct bfi_node_error {
    double gamma_forward;  /* relative to the magnitude sum, forward interval */
    double gamma_backward; /* backward product */
    double gamma_dot;      /* dot product over the node's elements (bias, intercepts, concretisation) */
    double gamma_unit;     /* the same per rounding: gamma_dot / depth, rounded up */
    double *by_term;       /* weighted nodes: gamma_backward by output feature or channel, else NULL */
} bfi_node_error;

struct bf_plan {
    bf_options options;
    bf_session *session;
    bf_model *model; /* one reference */
    const bfi_graph *graph;
    bfi_dtype dtype;
    bool outward;
    const bfi_kernels *kernels;
    bfi_constants *constants;
    bfi_node_error *errors;
    double *term_gammas; /* storage of all by_term */

    bfi_step *steps;
    int step_count;
    size_t step_capacity;
    bfi_program *programs;
    int program_count;
    size_t program_capacity;
    int spec_program, output_program; /* rows of C; all outputs (-1: interval of the output) */
    int interval_program; /* rows of C by intervals, to intersect with; -1: the spec program does it */

    bfi_value_state *state;
    bool *relu_only; /* value feeds only (leaky) relus: stable neurons need no backward bounds */
    int64_t persistent_bytes;
    int64_t e_flat;        /* persistent offset of double[nodes]: error per lane, whatever its coefficients
                              (underflow), of the node's backward op */
    int64_t scratch;       /* persistent offset of forward scratch: 5 T vectors of the largest value */
    int64_t scratch_count;
    int64_t rows;          /* persistent offset of int32[scratch_count]: neurons to bound */
    int64_t tile_lanes;    /* widest tile */
    int64_t height;        /* elements per lane: the highest program */
    int64_t lane_bytes;    /* per-lane vectors of one tile */
    int64_t tile_bytes;    /* one worker's part */
    int workers;
    int64_t workspace_bytes;

    bfi_note *notes;
    int note_count;
    size_t note_capacity;
};

/* Per-lane vectors of a tile, in this order at its end. */
typedef struct bfi_lane_vectors {
    double *constant, *error, *best; /* double[tile_lanes] */
    void *t_sum, *e_sum;             /* T[tile_lanes] */
    double *sign;                    /* double[tile_lanes]: +1 lower bound of the row, -1: of minus the row */
    int64_t *row;                    /* int64[tile_lanes] */
} bfi_lane_vectors;

#endif
