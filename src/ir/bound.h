/* Backward programs: the bound ops that one target (a hidden layer or the spec) needs.
 *
 * Buffers hold coefficients of a whole lane tile: |count| elements per lane. Offsets are in
 * elements per lane, so one program serves every tile width. Built once by the linear domain, then
 * immutable. */
#ifndef BFI_IR_BOUND_H
#define BFI_IR_BOUND_H

#include "ir/graph.h"

typedef enum bfi_back_kind {
#define BF_BACK_OP(NAME, text, in_place, meaning) BFI_BACK_##NAME,
#include "ir/bound_op.def"
#undef BF_BACK_OP
    BFI_BACK_COUNT
} bfi_back_kind;

typedef struct bfi_back_op {
    bfi_back_kind kind;
    int node;  /* graph node whose rule this is */
    int which; /* SPARSE, PLANE: input number */
    int a, b;  /* buffers read, -1: none. b: ACCUMULATE, ADJOINT_ADD and _SUB: the other operand;
                  RELAX: slopes; MOMENTS, LINEARIZE: coefficients of second-order terms;
                  ADJOINT_RELAX, _PLANE and _POOL: coefficients */
    int out;   /* buffer written, -1: none */
    int c;     /* ADJOINT_RELAX: slopes, which it steps; -1: none */
} bfi_back_op;

typedef struct bfi_buffer {
    int64_t count;   /* elements per lane */
    int first, last; /* ops that write and last read it */
    int alias_of;    /* buffer whose storage it takes over, -1: own */
    int64_t offset;  /* elements per lane from the tile's start */
} bfi_buffer;

/* A program that optimises its lower slopes has three parts: ops [0, loop) fill the slopes; every
 * round runs [loop, adjoint), which bounds, and (but for the last) [adjoint, mix), which steps the
 * slopes. Plain programs: loop == 0, adjoint == mix == op_count. Buffers written before |loop|
 * live to the end. Rows of a spec may be mixed by lane (exec/mix.h): ops [mix, op_count) take the
 * values on to the outputs, and step the weights. Rows of a spec whose functions have no slopes
 * have an adjoint pass all the same (loop == 0): it says where splits do most. With |shared| all
 * lanes have the same slopes, which stand outside of the tile: loop == 0, and the adjoint pass adds
 * up their gradient (exec/shared.h). */
typedef struct bfi_program {
    int target; /* value that is bounded */
    bool spec;  /* rows are spec rows, else neurons of the target */
    bool shared;
    int loop, adjoint, mix;
    bfi_back_op *ops;
    int op_count;
    size_t op_capacity;
    bfi_buffer *buffers;
    int buffer_count;
    size_t buffer_capacity;
    int64_t height; /* elements per lane that the buffers need together */
} bfi_program;

static inline bool bfi_program_optimises(const bfi_program *p) { return p->adjoint < p->op_count; }

/* Vectors in the slopes of an activation, each bfi_slope_stride(count) elements per lane, in this
 * order. Kinks have the first three: their lower slope is the parameter, nothing else is chosen by
 * lane. S-shaped functions have a parameter for each side and four lines made from them. */
enum {
    BFI_SLOPE_LOWER, /* parameter of the lower line, first and second moment of its gradient */
    BFI_SLOPE_LOWER_M,
    BFI_SLOPE_LOWER_V,
    BFI_SLOPE_KINK_VECTORS,
    BFI_SLOPE_UPPER = BFI_SLOPE_KINK_VECTORS,
    BFI_SLOPE_UPPER_M,
    BFI_SLOPE_UPPER_V,
    BFI_SLOPE_S_POS, /* kernels/kernel.h */
    BFI_SLOPE_T_POS,
    BFI_SLOPE_S_NEG,
    BFI_SLOPE_T_NEG,
    BFI_SLOPE_SMOOTH_VECTORS
};

/* Lines that an S-shaped activation keeps to choose from, per element: s_pos, t_pos, s_neg, t_neg
 * of each, then the parameters to start with (0 the first line, 1 the last). */
enum { BFI_FAMILY_SEGMENTS = 32, BFI_FAMILY_NUMBERS = 4 * (BFI_FAMILY_SEGMENTS + 1) + 2 };

/* Vectors that |node| chooses by lane; 0: none. */
int bfi_slope_vectors(const bfi_node *node);

/* Vectors of its shared slopes: the same, and behind them how the lines of an S-shaped function
 * change with their parameters (slope and intercept of the lower one, then of the upper one). */
enum { BFI_SHARED_CHANGES = BFI_SLOPE_SMOOTH_VECTORS };
int bfi_shared_vectors(const bfi_node *node);

/* Elements per lane from one of them to the next. */
static inline int64_t bfi_slope_stride(int64_t count) { return (count + 15) / 16 * 16; }

/* Elements per lane of whole layers that |op| reads and writes. */
static inline double bfi_back_op_elements(const bfi_program *p, const bfi_back_op *op) {
    double total = op->a >= 0 ? (double)p->buffers[op->a].count : 0;
    if (op->b >= 0) total += (double)p->buffers[op->b].count;
    return op->out >= 0 ? total + (double)p->buffers[op->out].count : total;
}

/* Most inputs whose second-order terms are kept. */
enum { BFI_MOMENT_INPUTS = 16 };

/* Products d_i d_j, i <= j, of the distances of |n| inputs from the middle of their box: d_0 d_0,
 * d_0 d_1, d_1 d_1, d_0 d_2, ... */
static inline int64_t bfi_moment_count(int64_t n) { return n * (n + 1) / 2; }

const char *bfi_back_name(bfi_back_kind kind);
bool bfi_back_in_place(bfi_back_kind kind);

/* |op| takes functionals across its node: its |a| are the coefficients at the node's value.
 * (Structural nodes with several inputs have an op for each; the first one's counts.) */
bool bfi_back_crosses(const bfi_back_op *op);

void bfi_program_clear(bfi_program *program);
/* Appends; -1 when out of memory. */
int bfi_program_add_buffer(bfi_program *program, int64_t count);
int bfi_program_add_op(bfi_program *program, bfi_back_op op);

/* Checks ids, def before use, storage overlaps of live buffers, alias chains. */
bf_status bfi_program_validate(const bfi_program *program, const bfi_graph *graph, bf_error *err);

#endif
