/* The plan: what to run, in which order, where every number lives.
 *
 * Tasks and steps: ir/task.h. Workspace layout: a persistent part per box in flight (vectors per
 * value, their storage reused when they die) and one tile part per worker (coefficients of a lane
 * tile plus per-lane vectors; forward steps use it as scratch). All sizes are known here; running a
 * plan allocates nothing. Immutable after creation, thread-safe to share. */
#ifndef BFI_PLAN_PLAN_H
#define BFI_PLAN_PLAN_H

#include <stdatomic.h>

#include "boundflow/bounds.h"
#include "frontend/model.h"
#include "ir/bound.h"
#include "ir/task.h"
#include "plan/compiler.h"
#include "plan/constants.h"
#include "plan/identity.h"
#include "plan/pass_permute.h"
#include "plan/pass_simplify.h"
#include "plan/windows.h"

/* Byte offsets into the persistent part, -1: not kept. T: the plan's dtype; n: elements of the
 * value. See exec/forward.h for what is stored. */
typedef struct bfi_value_state {
    int64_t lo, hi;       /* double[n]: interval, every number representable in T */
    int64_t lo_t, hi_t;   /* T[n]: the same (equal to lo, hi for float64) */
    int64_t e;            /* T[n]: error per unit of |coefficient| at this value's way back */
    int64_t own;          /* double[n]: part of e that holds for an exact unit coefficient */
    int64_t e_box;        /* T[n]: error per unit of |coefficient| when concretised here */
    int64_t e_sum;        /* T[n]: the same for one accumulation */
    int64_t r_pos, r_neg; /* T[n]: slopes of a product's second operand */
    int64_t s_pos, s_neg, t_pos, t_neg; /* T[n]: relaxation of a unary node (kernels/kernel.h); max
                                           pooling: t_neg alone, the constant that A- meets */
    int64_t form;    /* double[n][bfi_form_numbers]: an affine function of the network's input
                        (exec/forms.h) */
    int64_t moments; /* double[n][bfi_moment_numbers]: second-order terms of a product (likewise) */
    int64_t pick_lo,
        pick_hi;    /* int32[n]: max pooling, chosen input element for A+ and A-, -1: constant */
    int64_t active; /* int32[n + 1], byte[n]: unary node; how many elements its relaxation does not
                       multiply by zero, and which (exec/parts.h) */
    int64_t family; /* T[n][BFI_FAMILY_NUMBERS]: lines of an S-shaped function (exec/forward.h) */
    int64_t rows;   /* int32[n]: neurons of a bounded value that need backward bounds */
    int64_t starts; /* int32[n]: first row of every lane tile, where windows may be used */
    int64_t shared; /* T[bfi_shared_vectors][bfi_slope_stride(n)]: unary node; slopes that all rows
                       of a layer share (exec/shared.h), one side at a time */
    int64_t weight; /* double[n]: bounded value; what a row counts in their gradient */
    int64_t idle;   /* int32[n]: rounds in which the row gained nothing */
    int64_t sums;   /* not a vector: where the gradient of the node's shared slopes is summed up, in
                       doubles from the worker's first; -1: nowhere */
} bfi_value_state;

/* The forward sums of |node| have so many outputs that leaving out inputs that are zero may pay for
 * listing them: once for a product, for every position of a convolution. */
static inline bool bfi_sums_in_part(const bfi_node *node, const bfi_node_constants *c) {
    if (node->op == BFI_OP_LINEAR) return node->attrs.rows == 1 && node->attrs.n >= 64;
    return bfi_op_class_of(node->op) == BFI_CLASS_WEIGHTED && c->conv_forward.c_dst >= 32;
}

/* Every vector and tile starts on a cache line. */
static inline int64_t bfi_align64(int64_t n) { return (n + 63) / 64 * 64; }

/* Widest lane tile of any plan. */
enum { BFI_WIDEST_TILE = 64 };

/* One vector of the persistent part: which value's, what, when it lives (step numbers), where. */
typedef enum bfi_role {
#define BF_VECTOR(ROLE, field, element, meaning) BFI_ROLE_##ROLE,
#include "plan/vector.def"
#undef BF_VECTOR
    BFI_ROLE_COUNT
} bfi_role;

typedef struct bfi_vector {
    int value;
    bfi_role role;
    int64_t bytes;
    int first, last; /* steps that write and last read it */
    int alias_of;    /* vector whose storage it takes over in place, -1: own */
    int64_t offset;  /* bytes */
} bfi_vector;

typedef enum bfi_backend {
    BFI_BACKEND_NATIVE,
    BFI_BACKEND_REFERENCE,
    BFI_BACKEND_SCALAR,
    BFI_BACKEND_TVM
} bfi_backend;

/* How one bound op is run (rows of lowering.def). */
typedef struct bfi_lowering {
    const char *op;
    int node, program; /* program -1: forward */
    bfi_backend backend;
    const bfi_kernels *kernels; /* of the backend; the plan's for scalar code */
    const char *kernel_name, *schedule, *layout, *error;
    int64_t depth;
    const char *reason; /* why not the backend asked for, NULL: it is */

    /* Backend TVM: kernels compiled for the op's shape; NULL where there is none of that kind. */
    bfi_compiled *kernel, *kernel_one; /* of lane arrays, and of a single packed lane */
    bool fuses;                        /* with the relaxation that is the next op */
    bfi_compiled *fused;               /* both in one */
    const char *origin;                /* "stored" or "compiled", NULL: none */
    char key[352];                     /* the kernel's text (exec/tvm/kernel_key.h), "" none */
    char why[200];                     /* why there is no kernel, "" there is; storage of reason */
} bfi_lowering;

typedef struct bfi_note {
    char text[240];
} bfi_note;

/* Error constants of one node, all outward; zero when rounding is nearest. */
typedef struct bfi_node_error {
    double gamma_forward;  /* relative to the magnitude sum, forward interval */
    double gamma_backward; /* backward product */
    double gamma_dot;  /* dot product over the node's elements (bias, intercepts, concretisation) */
    double gamma_unit; /* the same per rounding: gamma_dot / depth, rounded up */
    double *by_term;   /* weighted nodes: gamma_backward by output feature or channel, else NULL */
} bfi_node_error;

/* A box's rows in the job that bounds a value of all boxes (runtime/job.h). */
typedef struct bfi_box_lanes {
    int64_t rows;
    int64_t level;      /* of the program's windows, -1: whole layers */
    int64_t first_lane; /* of those on whole layers: place in the job's row of tiles */
    int64_t first_tile; /* of the windowed ones, in the job */
} bfi_box_lanes;

/* Beside the vectors of a box. */
typedef struct bfi_box_state {
    atomic_int infeasible; /* its splits contradict each other or the network */
    int answered;          /* its results were known before the run (runtime/reuse.h) */
} bfi_box_state;

struct bf_plan {
    bf_options options;
    bf_session *session;
    bf_model *model;         /* one reference */
    const bfi_graph *graph;  /* that is run: the model's, or the last rewritten one */
    bfi_graph *rewritten[2]; /* simplified, permuted; each borrows numbers of the one before */
    bfi_simplify_report simplified;
    bfi_permute_report permuted;
    bfi_dtype dtype;
    bool outward;
    const bfi_kernels *kernels;
    bfi_constants *constants;
    bfi_node_error *errors;
    double *term_gammas; /* storage of all by_term */

    bool *formed;    /* values that have affine forms */
    bool *curved;    /* products whose second-order terms the way back keeps */
    int64_t moments; /* how many terms that are (bfi_moment_count); 0: no product is curved */

    bfi_task_graph tasks;
    bfi_program *programs;
    bfi_windows *windows; /* by program */
    int program_count;
    size_t program_capacity;
    int spec_program, output_program; /* rows of C; all outputs (-1: interval of the output) */
    bool exact_output; /* all is affine, and the output's interval exact: what a way back gives */
    int alpha_spec_program, alpha_output_program; /* the same with slopes to optimise, -1: none */
    int interval_program; /* rows of C by intervals, to intersect with; -1: the spec program does it
                           */

    bool *relu_only; /* value feeds only (leaky) relus: stable neurons need no backward bounds */

    bfi_vector *vectors;
    int vector_count;
    size_t vector_capacity;
    bfi_value_state *state; /* the vectors' offsets by value; reshapes share their input's */
    int64_t e_flat; /* persistent offset of double[nodes]: error per lane, whatever its coefficients
                       (underflow), of the node's backward op */
    int64_t box_lanes; /* persistent offset of bfi_box_lanes[nodes]: the box's part in the job of
                          the step that bounds the node */
    int64_t box_state; /* persistent offset of a bfi_box_state */
    int64_t persistent_bytes; /* of one box */
    int64_t boxes;            /* in flight at once */

    int *split_values; /* values whose neurons may be split, in order */
    int split_count;

    int64_t scratch_count; /* elements of one forward scratch vector; three (with concatenations
                              six) fit in every tile */
    int64_t tile_lanes;    /* widest tile of whole layers */
    int64_t lane_room;     /* widest tile of all, windows included */
    int64_t height;        /* elements per lane: the highest program without slopes */
    int64_t alpha_lanes, alpha_height; /* the same for programs with slopes; 0: there are none */
    int64_t tile_elements; /* of the tallest tile: its per-lane vectors stand behind them */
    bool spreads;          /* parameters may differ between the lanes of a tile */
    int64_t tile_bytes;    /* one worker's part */
    int64_t sum_count;     /* doubles of a worker's part for the gradient of shared slopes, at */
    int64_t sum_offset;    /* bytes from its start */
    int workers;
    int64_t workspace_bytes;
    int64_t
        baseline_bytes; /* the same with one buffer per vector and coefficient tensor: no reuse */

    bfi_elementwise elementwise;  /* compiled kernels that many ops share */
    struct bfi_pool *kernel_pool; /* threads of compiled kernels; NULL: none */
    int64_t kernel_bytes;         /* memory that one compiled kernel may ask for, at */
    int64_t kernel_offset;        /* bytes from the start of each worker's part */

    bfi_lowering *lowerings; /* forward ops by node, then the programs' ops */
    int lowering_count;
    int *program_lowering; /* first lowering of each program */

    bfi_note *notes;
    int note_count;
    size_t note_capacity;

    _Atomic(bfi_identity *) identity; /* NULL until asked for (bfi_plan_identity) */
};

/* Of an element's affine form: middle, remainder, reach, and a slope for each input. */
static inline int64_t bfi_form_numbers(const bf_plan *plan) {
    return 3 + plan->graph->nodes[0].count;
}

/* Of a product's second-order terms: their coefficients, and how large they are together. */
static inline int64_t bfi_moment_numbers(const bf_plan *plan) { return plan->moments + 1; }

/* Programs that |step| may run (the spec step takes one by the request), -1: none. */
static inline void bfi_step_programs(const bf_plan *plan, const bfi_step *step, int programs[3]) {
    bool spec = step->kind == BFI_STEP_SPEC, optimize = step->kind == BFI_STEP_OPTIMIZE_SPEC;
    programs[0] = step->program;
    programs[1] = spec ? plan->output_program : optimize ? plan->alpha_output_program : -1;
    programs[2] = spec ? plan->interval_program : -1;
}

/* Widest tile of whole layers that |program| runs on. */
static inline int64_t bfi_program_lanes(const bf_plan *plan, int program) {
    return bfi_program_optimises(&plan->programs[program]) ? plan->alpha_lanes : plan->tile_lanes;
}

/* Elements of T per lane in which a step puts parameters that differ between lanes: a block of five
 * vectors and the block's two sums. */
enum { BFI_SPREAD_ELEMENTS = 5 * BF_SUM_BLOCK + 2 };

/* Per-lane vectors of a tile, in this order at its end. */
typedef struct bfi_lane_vectors {
    double *constant, *error, *best; /* double[lane_room] */
    double *sign;        /* double[lane_room]: +1 lower bound of the row, -1: of minus the row */
    int64_t *row, *box;  /* int64[lane_room] */
    void *t_sum, *e_sum; /* T[lane_room] */
    void *spread;        /* T[BFI_SPREAD_ELEMENTS][lane_room] for parameters that differ between
                            lanes (exec/tile.h), NULL: none do */
} bfi_lane_vectors;

#endif
