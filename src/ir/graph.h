/* The primal graph: the network as SSA values in topological order.
 *
 * Node i produces value i: a node and its output share one id, inputs have smaller ids. All shapes
 * are static; a value has |count| elements in row-major order (the leading batch axis of ONNX, 1,
 * is an ordinary axis). Floating-point values only: integer and boolean ONNX tensors are folded at
 * import. Weights are float32 as stored (float64 models: float64). A graph is built once, then
 * immutable and thread-safe to read. */
#ifndef BFI_IR_GRAPH_H
#define BFI_IR_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define BFI_MAX_RANK 8

typedef enum bfi_op {
#define BF_OP(NAME, text, arity, cls, meaning) BFI_OP_##NAME,
#include "ir/op.def"
#undef BF_OP
    BFI_OP_COUNT
} bfi_op;

typedef enum bfi_op_class {
    BFI_CLASS_SOURCE,
    BFI_CLASS_WEIGHTED,
    BFI_CLASS_STRUCTURAL,
    BFI_CLASS_AFFINE,
    BFI_CLASS_ALIAS,
    BFI_CLASS_UNARY,
    BFI_CLASS_NONLINEAR
} bfi_op_class;

typedef struct bfi_shape {
    int rank; /* 0: scalar */
    int64_t dim[BFI_MAX_RANK];
} bfi_shape;

/* 2-D window geometry (1-D is height 1 with kh 1); c_in and c_out count the channels of all groups.
 * Window o at tap k meets position at(o, k) = o*stride - pad + k*dil, per axis.
 *
 * conv: weight [c_out][c_in/groups][kh][kw]; y[co][oy][ox] reads x at (at(oy, ky), at(ox, kx)).
 *
 * conv_transpose: weight [c_in][c_out/groups][kh][kw]; x[ci][iy][ix] adds to y at (at(iy, ky),
 * at(ix, kx)).
 *
 * pooling: channel by channel (c_in == c_out), weight absent; every window holds at least one
 * element of x. Average: divisor kh*kw with count_pad, else the elements of x in the window. */
typedef struct bfi_window {
    int64_t groups;
    int64_t c_in, h_in, w_in;
    int64_t c_out, h_out, w_out;
    int64_t kh, kw, stride_h, stride_w, dil_h, dil_w;
    int64_t pad_top, pad_left; /* bottom/right follow from the shapes */
    bool count_pad;            /* average pooling: padding counts in the divisor */
} bfi_window;

/* Attributes by op; unused ones are zero. */
typedef struct bfi_attrs {
    bfi_window window;  /* CONV CONV_TRANSPOSE MAX_POOL AVERAGE_POOL */
    int64_t rows, k, n; /* LINEAR: x is [rows][k], y is [rows][n]; MATMUL: y [batch][rows][n] */
    int64_t batch;      /* MATMUL */
    int axis;           /* CONCAT GATHER SOFTMAX */
    int64_t perm[BFI_MAX_RANK];  /* TRANSPOSE: y axis i is x axis perm[i] */
    int64_t start[BFI_MAX_RANK]; /* SLICE; PAD: elements before (>= 0 or cropping if negative) */
    int64_t step[BFI_MAX_RANK];  /* SLICE (negative allowed) */
    bool reduce[BFI_MAX_RANK];   /* REDUCE_*: axes of x that are summed */
    double lo, hi;               /* CLIP */
    double slope;                /* LEAKY_RELU */
    double value;                /* PAD: fill */
    /* SCALE_SHIFT: float32 roundings of the ONNX op(s) it stands for (semantics=float32). */
    int roundings;
    /* SCALE_SHIFT, weights: half-ulps (float64) by which derived constants may be off. */
    int const_ulps;
} bfi_attrs;

/* Numbers owned by a node, always float64 in memory (every float32 is exact in it). */
typedef struct bfi_numbers {
    double *data;
    int64_t count;
    bool borrowed; /* |data| belongs to another graph, which lives longer (bfi_graph_view) */
} bfi_numbers;

typedef struct bfi_node {
    bfi_op op;
    char *name;    /* of the ONNX node (or its output), for messages; never NULL */
    char *onnx_op; /* ONNX op type it came from, e.g. "Gemm"; never NULL */
    int *inputs;   /* value ids */
    int n_inputs;
    bfi_shape shape; /* of the output */
    int64_t count;
    bfi_attrs attrs;
    /* LINEAR: weight [n][k], bias [n] or empty. CONV*: as in bfi_window, bias [c_out] or empty.
     * SCALE_SHIFT: scale, bias of |count| each (scale empty: all ones; bias empty: zeros).
     * CONST: weight holds the |count| elements. */
    bfi_numbers weight, bias;
    /* LINEAR, CONV*, SCALE_SHIFT, where the bias was derived from other numbers and may have
     * cancelled: one upper bound of |exact - stored| per element of bias; empty: all 0. */
    bfi_numbers bias_error;
    /* GATHER: |n_indices| indices along attrs.axis (already non-negative), shaped |indices_shape|:
     * output shape = x.shape[:axis] + indices_shape + x.shape[axis+1:].
     *
     * RESIZE: for each of the |count| output elements the flat index of the element of x it
     * copies. */
    int64_t *indices;
    int64_t n_indices;
    bfi_shape indices_shape; /* GATHER only */
} bfi_node;

typedef struct bfi_graph {
    bfi_node *nodes; /* topological; node 0 is INPUT */
    int count;
    size_t capacity;
    int output;   /* value id */
    char *source; /* file name or "" */
    char *input_name, *output_name;
    bool is_float64; /* declared element type of the model's input */
    /* Tensors of the model that stand one behind the other in value 0 and in the output, where it has
     * several; NULL: the values themselves. Views and texts of a graph do without. */
    bfi_shape *inputs, *outputs;
    int n_inputs, n_outputs;
} bfi_graph;

const char *bfi_op_name(bfi_op op);
bfi_op_class bfi_op_class_of(bfi_op op);
/* The op with text name |name|, or BFI_OP_COUNT. */
bfi_op bfi_op_from_name(const char *name);

/* Element i of the output depends on element i of each input alone, all of one shape. */
bool bfi_op_is_elementwise(bfi_op op);
/* True for the classes UNARY and NONLINEAR. */
bool bfi_op_is_nonlinear(bfi_op op);
/* The value whose elements |id| shares: itself, or what a chain of reshapes reads. */
int bfi_value_root(const bfi_graph *graph, int id);

/* Elements of |shape|, or -1 when a dimension is negative or the product exceeds |limit|. */
int64_t bfi_shape_count(const bfi_shape *shape, int64_t limit);
bool bfi_shape_equal(const bfi_shape *a, const bfi_shape *b);
/* "[1,3,8,8]" into |buf|. */
const char *bfi_shape_text(const bfi_shape *shape, char *buf, size_t size);

/* Empty graph, NULL when out of memory. */
bfi_graph *bfi_graph_new(void);
void bfi_graph_free(bfi_graph *graph);

/* Appends a node with zeroed attributes and copies of the names and inputs; returns its id, or -1
 * when out of memory. Inputs must have smaller ids. |shape| must be valid (count fits). Pointers to
 * nodes are invalid afterwards; the weight, bias and index blocks set later (malloc) are the
 * graph's. */
int bfi_graph_add(bfi_graph *graph, bfi_op op, const char *name, const char *onnx_op,
                  const int *inputs, int n_inputs, const bfi_shape *shape);

/* Appends a node like |like|, a node of another graph that must outlive this one (its numbers are
 * borrowed), reading |inputs| (like->n_inputs of them); returns its id, or -1. */
int bfi_graph_add_like(bfi_graph *graph, const bfi_node *like, const int *inputs);

/* A graph equal to |graph| that borrows its numbers: |graph| must outlive it. Nodes may be changed
 * without touching |graph| (bfi_numbers_clear before other numbers are set). NULL: out of memory.
 */
bfi_graph *bfi_graph_view(const bfi_graph *graph);

/* Copies source, input and output names and the element type. False: out of memory. */
bool bfi_graph_copy_names(bfi_graph *graph, const bfi_graph *from);

/* Frees owned numbers; leaves them empty. */
void bfi_numbers_clear(bfi_numbers *numbers);

/* Largest number of elements of one value: indices of bfi_sparse are 32 bits. */
#define BFI_MAX_COUNT INT32_MAX

/* Checks ids, arity, shapes against attributes and weights, finite numbers, no empty values and
 * none above BFI_MAX_COUNT. Errors name the file, the node and what is wrong. Everything else in
 * ir/ and behind relies on a graph that passed. */
bf_status bfi_graph_validate(const bfi_graph *graph, bf_error *err);

/* Removes nodes that the output does not depend on (INPUT stays), renumbering; false: out of
 * memory. */
bool bfi_graph_prune(bfi_graph *graph);
/* The same; |new_id| receives the new id of each of the |count| nodes there were, or -1. */
bool bfi_graph_prune_map(bfi_graph *graph, int *new_id);

/* Parameters (weights and biases as stored in the file's sense: LINEAR, CONV*, SCALE_SHIFT) and
 * multiply-adds of one forward evaluation, times two (FLOPs). */
int64_t bfi_node_parameters(const bfi_node *node);
int64_t bfi_node_flops(const bfi_graph *graph, int id);

#endif
