/* Inside the ONNX importer: the state of one import and what the op families share.
 *
 * Every ONNX value is either a constant (a host tensor) or a value of the graph. One handler per
 * ONNX op reads the current node's inputs and attributes and defines its outputs: as constants when
 * all it needs is known (folding), as graph nodes otherwise. Not thread-safe: one import, one
 * thread. */
#ifndef BFI_FRONTEND_ONNX_IMPORT_H
#define BFI_FRONTEND_ONNX_IMPORT_H

#include "frontend/fold.h"
#include "onnx.pb-c.h"

/* Names come from untrusted files: messages quote at most this many bytes, the graph keeps at most
 * BFI_ONNX_NAME_KEPT. */
#define BFI_ONNX_NAME_SHOWN 80
#define BFI_ONNX_NAME_KEPT 255

#define BFI_TRY(expression)                                \
    do {                                                   \
        bf_status try_status = (expression);               \
        if (try_status != BF_STATUS_OK) return try_status; \
    } while (0)

/* An ONNX value: exactly one of |constant|, |initializer| (not read yet) and |id| >= 0 once
 * defined. */
typedef struct bfi_onnx_value {
    const char *name; /* inside the protobuf message */
    bfi_tensor *constant;
    const Onnx__TensorProto *initializer;
    int id; /* graph value or -1 */
} bfi_onnx_value;

typedef struct bfi_onnx_names bfi_onnx_names;

typedef struct bfi_import {
    const char *file;
    bfi_graph *graph;
    const Onnx__NodeProto *node;        /* being imported */
    char label[BFI_ONNX_NAME_KEPT + 1]; /* its name, or its first output's */
    int64_t opset;
    bfi_onnx_names *names;
    int64_t budget; /* elements that folding and broadcasting may still allocate */
    bf_error *err;
} bfi_import;

typedef bf_status (*bfi_onnx_handler)(bfi_import *im);

/* The row of the op table for |op_type|, or NULL. */
typedef struct bfi_onnx_op {
    const char *name;
    size_t min_inputs, max_inputs;
    bfi_onnx_handler import;
    const char *attributes; /* known names, separated and surrounded by blanks */
} bfi_onnx_op;
const bfi_onnx_op *bfi_onnx_find_op(const char *op_type);

/* ---- names (onnx_names.c): value table, hashed by name ---- */

bfi_onnx_names *bfi_onnx_names_new(size_t expected);
void bfi_onnx_names_free(bfi_onnx_names *names);
/* NULL when undefined. Pointers stay valid until the next definition. */
bfi_onnx_value *bfi_onnx_names_find(const bfi_onnx_names *names, const char *name);
/* False when memory is out; |*existing| tells that the name was there already (nothing changed). */
bool bfi_onnx_names_define(bfi_onnx_names *names, const bfi_onnx_value *value, bool *existing);

/* ---- reading (onnx_wire.c, onnx_reader.c) ---- */

/* Unpacks a model after checking nesting depth and message count on the wire, so that the recursion
 * and the memory of protobuf-c are bounded. Released with onnx__model_proto__free_unpacked(model,
 * NULL). */
bf_status bfi_onnx_unpack(const void *data, size_t size, const char *file, Onnx__ModelProto **out,
                          bf_error *err);
/* Element type of the file as a host type; false for those that are not supported. */
bool bfi_onnx_dtype(int32_t data_type, bfi_dtype *out);
/* |what| names the tensor in messages. Data of the wrong size, external or not finite are errors.
 */
bf_status bfi_onnx_read_tensor(bfi_import *im, const Onnx__TensorProto *proto, const char *what,
                               bfi_tensor **out);

/* ---- the current node (onnx_node.c) ---- */

/* "file: node 'label' (Op): message". */
bf_status bfi_onnx_fail(bfi_import *im, bf_status code, const char *fmt, ...) BF_PRINTF(3, 4);
/* Puts file and node in front of the message already there. */
bf_status bfi_onnx_fail_here(bfi_import *im, bf_status code);
bf_status bfi_onnx_no_memory(bfi_import *im);

const Onnx__AttributeProto *bfi_onnx_attribute(const bfi_import *im, const char *name);
bf_status bfi_onnx_int(bfi_import *im, const char *name, int64_t fallback, int64_t *out);
bf_status bfi_onnx_float(bfi_import *im, const char *name, double fallback, double *out);
/* At most |max| integers; *|count| is -1 when the attribute is absent. */
bf_status bfi_onnx_ints(bfi_import *im, const char *name, int64_t *out, int max, int *count);
/* True when the string attribute is |text|, or absent and |text| is |fallback|. */
bool bfi_onnx_string_is(const bfi_import *im, const char *name, const char *fallback,
                        const char *text);

/* True when input |i| is given (optional inputs may be left out by an empty name). */
bool bfi_onnx_has_input(const bfi_import *im, size_t i);
/* The value of a given input. */
bf_status bfi_onnx_input(bfi_import *im, size_t i, bfi_onnx_value **out);
/* Constant tensor of input |i|; *|out| is NULL when it depends on the network's input. */
bf_status bfi_onnx_constant(bfi_import *im, size_t i, const bfi_tensor **out);
/* As above; a value that depends on the network's input is UNSUPPORTED, |what| naming the operand.
 */
bf_status bfi_onnx_need_constant(bfi_import *im, size_t i, const char *what,
                                 const bfi_tensor **out);
/* Constant integers of input |i|; *|count| is -1 when the input is absent. */
bf_status bfi_onnx_input_ints(bfi_import *im, size_t i, const char *what, int64_t *out, int max,
                              int *count);
/* Graph value of input |i|; a constant becomes a CONST node. */
bf_status bfi_onnx_dynamic(bfi_import *im, size_t i, int *id);
/* Shape of input |i|, constant or not. */
bf_status bfi_onnx_shape(bfi_import *im, size_t i, bfi_shape *out);

/* Defines output |i| of the current node. The tensor is taken over, also on failure. */
bf_status bfi_onnx_set_constant(bfi_import *im, size_t i, bfi_tensor *tensor);
bf_status bfi_onnx_set_id(bfi_import *im, size_t i, int id);
/* True when somebody may read output |i| (it has a name). */
bool bfi_onnx_has_output(const bfi_import *im, size_t i);

/* An axis attribute in [-rank, rank) made non-negative. */
bf_status bfi_onnx_axis(bfi_import *im, int64_t axis, int rank, int *out);
/* Takes |count| elements off the budget: for every constant that is made, so that a small file
 * cannot ask for any amount of memory. Constants defined as outputs are counted by
 * bfi_onnx_set_constant. */
bf_status bfi_onnx_spend(bfi_import *im, int64_t count);
/* Before the allocation of a folded constant that may be larger than its operands: at most
 * BFI_FOLD_MAX_COUNT elements (|count| as bfi_shape_count gives it). */
bf_status bfi_onnx_check_size(bfi_import *im, int64_t count);

/* ---- building graph nodes (onnx_build.c); each returns the new value's id ---- */

bf_status bfi_onnx_emit(bfi_import *im, bfi_op op, const int *inputs, int n_inputs,
                        const bfi_shape *shape, int *id);
bf_status bfi_onnx_emit_const(bfi_import *im, const bfi_tensor *tensor, int *id);
/* These give |x| back when there is nothing to do. */
bf_status bfi_onnx_emit_reshape(bfi_import *im, int x, const bfi_shape *shape, int *id);
bf_status bfi_onnx_emit_transpose(bfi_import *im, int x, const int64_t *perm, int *id);
bf_status bfi_onnx_emit_broadcast(bfi_import *im, int x, const bfi_shape *shape, int *id);
/* Swaps the last two axes. */
bf_status bfi_onnx_emit_swap(bfi_import *im, int x, int *id);
/* y = scale * x + shift; the arrays (NULL: ones, zeros) have as many elements as x, are taken over,
 * also on failure, and dropped when they are neutral. */
bf_status bfi_onnx_emit_scale_shift(bfi_import *im, int x, double *scale, double *shift,
                                    int roundings, int const_ulps, int *id);
static inline const bfi_shape *bfi_onnx_shape_of(const bfi_import *im, int id) {
    return &im->graph->nodes[id].shape;
}

/* ---- handlers by family ---- */

bf_status bfi_onnx_gemm(bfi_import *im);
bf_status bfi_onnx_matmul(bfi_import *im);
bf_status bfi_onnx_batch_normalization(bfi_import *im);
bf_status bfi_onnx_conv(bfi_import *im);
bf_status bfi_onnx_conv_transpose(bfi_import *im);
bf_status bfi_onnx_max_pool(bfi_import *im);
bf_status bfi_onnx_average_pool(bfi_import *im);
bf_status bfi_onnx_global_average_pool(bfi_import *im);
bf_status bfi_onnx_global_max_pool(bfi_import *im);

bf_status bfi_onnx_binary(bfi_import *im);
bf_status bfi_onnx_variadic(bfi_import *im);
bf_status bfi_onnx_comparison(bfi_import *im);
bf_status bfi_onnx_not(bfi_import *im);
bf_status bfi_onnx_unary(bfi_import *im);
bf_status bfi_onnx_neg(bfi_import *im);
bf_status bfi_onnx_pow(bfi_import *im);
bf_status bfi_onnx_clip(bfi_import *im);
bf_status bfi_onnx_cast(bfi_import *im);
bf_status bfi_onnx_softmax(bfi_import *im);

bf_status bfi_onnx_identity(bfi_import *im);
bf_status bfi_onnx_flatten(bfi_import *im);
bf_status bfi_onnx_reshape(bfi_import *im);
bf_status bfi_onnx_squeeze(bfi_import *im);
bf_status bfi_onnx_unsqueeze(bfi_import *im);
bf_status bfi_onnx_transpose(bfi_import *im);
bf_status bfi_onnx_concat(bfi_import *im);
bf_status bfi_onnx_slice(bfi_import *im);
bf_status bfi_onnx_split(bfi_import *im);
bf_status bfi_onnx_gather(bfi_import *im);
bf_status bfi_onnx_pad(bfi_import *im);
bf_status bfi_onnx_expand(bfi_import *im);
bf_status bfi_onnx_reduce(bfi_import *im);
bf_status bfi_onnx_upsample(bfi_import *im);
bf_status bfi_onnx_resize(bfi_import *im);

bf_status bfi_onnx_constant_op(bfi_import *im);
bf_status bfi_onnx_constant_of_shape(bfi_import *im);
bf_status bfi_onnx_shape_op(bfi_import *im);
bf_status bfi_onnx_size_op(bfi_import *im);
bf_status bfi_onnx_range(bfi_import *im);
bf_status bfi_onnx_where(bfi_import *im);

#endif
