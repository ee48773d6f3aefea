/* Host tensors: what is known at load time, and arithmetic on it.
 *
 * Constants are computed once, in the element type that the model declares: float32 results are
 * rounded to float32 after every operation, as an ONNX runtime that folds constants does; integers
 * are exact and overflow is an error. The verified network is the one with these constants. */
#ifndef BFI_FRONTEND_FOLD_H
#define BFI_FRONTEND_FOLD_H

#include "ir/graph.h"

typedef enum bfi_dtype {
    BFI_DTYPE_FLOAT32,
    BFI_DTYPE_FLOAT64,
    BFI_DTYPE_INT64,
    BFI_DTYPE_INT32,
    BFI_DTYPE_BOOL,
    BFI_DTYPE_COUNT
} bfi_dtype;

/* Row-major. Floating types live in |real|, the others in |integer| (booleans 0 or 1); the other
 * pointer is NULL. |shape| may have dimensions 0. */
typedef struct bfi_tensor {
    bfi_dtype dtype;
    bfi_shape shape;
    int64_t count;
    double *real;
    int64_t *integer;
} bfi_tensor;

/* Largest number of elements of one folded tensor: a few bytes of ONNX can ask for any size. */
#define BFI_FOLD_MAX_COUNT ((int64_t)1 << 26)

const char *bfi_dtype_name(bfi_dtype dtype);
static inline bool bfi_dtype_is_real(bfi_dtype dtype) {
    return dtype == BFI_DTYPE_FLOAT32 || dtype == BFI_DTYPE_FLOAT64;
}

/* Zeroed tensor; NULL when the shape is invalid, larger than |limit| elements, or memory is out. */
bfi_tensor *bfi_tensor_new(bfi_dtype dtype, const bfi_shape *shape, int64_t limit);
void bfi_tensor_free(bfi_tensor *tensor);
bfi_tensor *bfi_tensor_copy(const bfi_tensor *tensor);

/* One-dimensional int64 tensor. */
bfi_tensor *bfi_tensor_from_integers(const int64_t *values, int64_t count);

/* Element as a double, whatever the type. */
double bfi_tensor_value(const bfi_tensor *tensor, int64_t i);

/* |value| rounded to |dtype| (float32 or float64). */
double bfi_round_to(bfi_dtype dtype, double value);

/* Numpy broadcasting of two shapes; false when they do not fit. */
bool bfi_broadcast_shapes(const bfi_shape *a, const bfi_shape *b, bfi_shape *out);

/* The strided view y[i0,i1,..] = x[offset + sum of i_k * stride_k] copied into a new tensor of
 * |shape|: transpose, slice and broadcast are all of this kind. Every element must lie inside x.
 * NULL: no memory. */
bfi_tensor *bfi_tensor_view(const bfi_tensor *x, const bfi_shape *shape, int64_t offset,
                            const int64_t *stride);
bfi_tensor *bfi_tensor_expand(const bfi_tensor *x, const bfi_shape *shape);
bfi_tensor *bfi_tensor_transpose(const bfi_tensor *x, const int64_t *perm);

/* y[o] = x[source[o]], -1 giving zero; |source| has as many entries as |shape| has elements. */
bfi_tensor *bfi_tensor_select(const bfi_tensor *x, const bfi_shape *shape, const int64_t *source);

/* False when the product of the dimensions other than 0 exceeds BFI_MAX_COUNT: such a shape is
 * refused even if it has no elements, so that products of some of its dimensions never overflow. */
bool bfi_shape_is_sane(const bfi_shape *shape);

/* Row-major strides of |shape| in elements. */
void bfi_shape_strides(const bfi_shape *shape, int64_t *stride);

typedef enum bfi_fold_op {
    BFI_FOLD_ADD,
    BFI_FOLD_SUB,
    BFI_FOLD_MUL,
    BFI_FOLD_DIV,
    BFI_FOLD_POW,
    BFI_FOLD_MAX,
    BFI_FOLD_MIN,
    BFI_FOLD_EQUAL,
    BFI_FOLD_LESS,
    BFI_FOLD_GREATER,
    BFI_FOLD_AND,
    BFI_FOLD_OR
} bfi_fold_op;

/* Elementwise with broadcasting; both operands have the same type (BFI_FOLD_POW with a real base:
 * any exponent type). Comparisons give booleans. Errors: shapes that do not fit, different types,
 * integer overflow or division by zero, a result that is not finite. The message has no place in
 * it. */
bf_status bfi_fold_binary(bfi_fold_op op, const bfi_tensor *a, const bfi_tensor *b,
                          bfi_tensor **out, bf_error *err);

/* where(condition, a, b) with broadcasting. */
bf_status bfi_fold_where(const bfi_tensor *condition, const bfi_tensor *a, const bfi_tensor *b,
                         bfi_tensor **out, bf_error *err);

/* Conversion as ONNX Cast does it: towards zero for integers. A value that does not fit is an
 * error. */
bf_status bfi_fold_cast(const bfi_tensor *x, bfi_dtype dtype, bfi_tensor **out, bf_error *err);

typedef enum bfi_fold_reduction {
    BFI_REDUCE_SUM,
    BFI_REDUCE_MEAN,
    BFI_REDUCE_MAX,
    BFI_REDUCE_MIN,
    BFI_REDUCE_PROD
} bfi_fold_reduction;

/* Over the axes with |reduce| set, kept with length 1. Sums are exact for integers and rounded once
 * per addition otherwise. */
bf_status bfi_fold_reduce(bfi_fold_reduction kind, const bfi_tensor *x, const bool *reduce,
                          bfi_tensor **out, bf_error *err);

#endif
