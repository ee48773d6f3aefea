/* Gemm, MatMul, BatchNormalization. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

/* W of y = W x as [n][k] from |b| read as [k][n] (or [n][k] with |transposed|); free() it. */
static double *weight_rows(const double *b, int64_t k, int64_t n, bool transposed) {
    double *w = bfi_malloc((size_t)(k * n), sizeof *w);
    if (!w) return NULL;
    if (transposed) {
        memcpy(w, b, (size_t)(k * n) * sizeof *w);
        return w;
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++) w[i * k + j] = b[j * n + i];
    return w;
}

/* x [rows][k] times the constant |b|; the output has |shape|. */
static bf_status emit_linear(bfi_import *im, int x, int64_t rows, int64_t k, int64_t n,
                             const double *b, bool transposed, const bfi_shape *shape, int *id) {
    BFI_TRY(bfi_onnx_spend(im, k * n));
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_LINEAR, &x, 1, shape, id));
    bfi_node *node = &im->graph->nodes[*id];
    node->attrs.rows = rows;
    node->attrs.k = k;
    node->attrs.n = n;
    node->weight.data = weight_rows(b, k, n, transposed);
    if (!node->weight.data) return bfi_onnx_no_memory(im);
    node->weight.count = k * n;
    return BF_STATUS_OK;
}

static bf_status fail_inner(bfi_import *im, const bfi_shape *a, const bfi_shape *b) {
    char left[128], right[128];
    return bfi_onnx_fail(im, BF_STATUS_SHAPE, "cannot multiply %s and %s",
                         bfi_shape_text(a, left, sizeof left),
                         bfi_shape_text(b, right, sizeof right));
}

static bf_status need_real(bfi_import *im, const bfi_tensor *c) {
    if (!c || c->real) return BF_STATUS_OK;
    return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "an operand is of type %s",
                         bfi_dtype_name(c->dtype));
}

/* Most products of two values that are spelt out one by one. */
enum { MOST_PRODUCTS = 1 << 16 };

/* The same as elementwise products of both, repeated to [batch][rows][n][k], and sums over k:
 * products have a linear rule. */
static bf_status emit_products(bfi_import *im, int a, int b, const bfi_attrs *size,
                               const bfi_shape *shape, int *id) {
    bfi_shape left = {4, {size->batch, size->rows, 1, size->k}},
              right = {4, {size->batch, 1, size->n, size->k}}, all = left, sums = left;
    all.dim[2] = sums.dim[2] = size->n, sums.dim[3] = 1;
    BFI_TRY(bfi_onnx_emit_reshape(im, a, &left, &a));
    BFI_TRY(bfi_onnx_emit_broadcast(im, a, &all, &a));
    BFI_TRY(bfi_onnx_emit_swap(im, b, &b));
    BFI_TRY(bfi_onnx_emit_reshape(im, b, &right, &b));
    BFI_TRY(bfi_onnx_emit_broadcast(im, b, &all, &b));
    int both[2] = {a, b}, x;
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_MUL, both, 2, &all, &x));
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_REDUCE_SUM, &x, 1, &sums, id));
    im->graph->nodes[*id].attrs.reduce[3] = true;
    return bfi_onnx_emit_reshape(im, *id, shape, id);
}

/* a [..,rows,k] times b [..,k,n] with equal leading axes, both values. */
static bf_status emit_matmul(bfi_import *im, int a, int b, int *id) {
    bfi_shape shape = *bfi_onnx_shape_of(im, a), right = *bfi_onnx_shape_of(im, b);
    int64_t rows = shape.dim[shape.rank - 2], k = shape.dim[shape.rank - 1], batch = 1;
    int both[2] = {a, b};
    for (int i = 0; i < shape.rank - 2; i++) batch *= shape.dim[i];
    shape.dim[shape.rank - 1] = right.dim[right.rank - 1];
    bfi_attrs size = {.batch = batch, .rows = rows, .k = k, .n = shape.dim[shape.rank - 1]};
    if (batch * rows <= MOST_PRODUCTS && k * size.n <= MOST_PRODUCTS / (batch * rows))
        return emit_products(im, a, b, &size, &shape, id);
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_MATMUL, both, 2, &shape, id));
    bfi_attrs *attrs = &im->graph->nodes[*id].attrs;
    attrs->batch = size.batch, attrs->rows = size.rows;
    attrs->k = size.k, attrs->n = size.n;
    return BF_STATUS_OK;
}

/* Input |i| as a value with at least two axes: a vector becomes a row, or a column when |column|.
 */
static bf_status matrix_operand(bfi_import *im, size_t i, bool column, int *id) {
    BFI_TRY(bfi_onnx_dynamic(im, i, id));
    bfi_shape shape = *bfi_onnx_shape_of(im, *id);
    if (shape.rank >= 2) return BF_STATUS_OK;
    if (shape.rank == 0) return bfi_onnx_fail(im, BF_STATUS_SHAPE, "an operand is a scalar");
    bfi_shape matrix = {.rank = 2, .dim = {1, 1}};
    matrix.dim[column ? 0 : 1] = shape.dim[0];
    return bfi_onnx_emit_reshape(im, *id, &matrix, id);
}

/* The matrix in a constant whose leading axes are all 1; false when there is none. */
static bool constant_matrix(const bfi_tensor *c, bool column, int64_t *rows, int64_t *cols) {
    if (!c || c->shape.rank == 0 || c->count == 0) return false;
    if (c->shape.rank == 1) {
        *rows = column ? c->count : 1;
        *cols = column ? 1 : c->count;
        return true;
    }
    *rows = c->shape.dim[c->shape.rank - 2];
    *cols = c->shape.dim[c->shape.rank - 1];
    return c->count == *rows * *cols;
}

/* x W: rows of x through one weight matrix. */
static bf_status value_times_constant(bfi_import *im, const bfi_tensor *b, int *id) {
    int64_t k, n;
    int x;
    BFI_TRY(need_real(im, b));
    BFI_TRY(matrix_operand(im, 0, false, &x));
    if (!constant_matrix(b, true, &k, &n))
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "an operand is empty");
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    if (shape.dim[shape.rank - 1] != k) return fail_inner(im, &shape, &b->shape);
    shape.dim[shape.rank - 1] = n;
    return emit_linear(im, x, im->graph->nodes[x].count / k, k, n, b->real, false, &shape, id);
}

/* W x = (xT WT)T: the columns of x through one weight matrix. */
static bf_status constant_times_value(bfi_import *im, const bfi_tensor *a, int *id) {
    int64_t m, k;
    int x;
    BFI_TRY(need_real(im, a));
    BFI_TRY(matrix_operand(im, 1, true, &x));
    if (!constant_matrix(a, false, &m, &k))
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "an operand is empty");
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    if (shape.dim[shape.rank - 2] != k) return fail_inner(im, &a->shape, &shape);
    BFI_TRY(bfi_onnx_emit_swap(im, x, &x));
    shape = *bfi_onnx_shape_of(im, x);
    shape.dim[shape.rank - 1] = m;
    BFI_TRY(emit_linear(im, x, im->graph->nodes[x].count / k, k, m, a->real, true, &shape, &x));
    return bfi_onnx_emit_swap(im, x, id);
}

static bf_status value_times_value(bfi_import *im, int *id) {
    int a, b;
    bfi_shape left, right, lead;
    BFI_TRY(matrix_operand(im, 0, false, &a));
    BFI_TRY(matrix_operand(im, 1, true, &b));
    left = *bfi_onnx_shape_of(im, a);
    right = *bfi_onnx_shape_of(im, b);
    int64_t rows = left.dim[left.rank - 2], k = left.dim[left.rank - 1],
            n = right.dim[right.rank - 1];
    if (right.dim[right.rank - 2] != k) return fail_inner(im, &left, &right);
    left.rank -= 2;
    right.rank -= 2;
    if (!bfi_broadcast_shapes(&left, &right, &lead)) return fail_inner(im, &left, &right);
    left = right = lead;
    left.rank = right.rank = lead.rank + 2;
    left.dim[lead.rank] = rows;
    left.dim[lead.rank + 1] = right.dim[lead.rank] = k;
    right.dim[lead.rank + 1] = n;
    BFI_TRY(bfi_onnx_emit_broadcast(im, a, &left, &a));
    BFI_TRY(bfi_onnx_emit_broadcast(im, b, &right, &b));
    return emit_matmul(im, a, b, id);
}

/* Without the axes that matrix_operand added for vectors. */
static bf_status drop_vector_axes(bfi_import *im, int y, int *id) {
    bfi_shape a, b, shape = *bfi_onnx_shape_of(im, y), to = {0};
    BFI_TRY(bfi_onnx_shape(im, 0, &a));
    BFI_TRY(bfi_onnx_shape(im, 1, &b));
    for (int i = 0; i < shape.rank; i++) {
        bool added = (i == shape.rank - 2 && a.rank == 1) || (i == shape.rank - 1 && b.rank == 1);
        if (!added) to.dim[to.rank++] = shape.dim[i];
    }
    return bfi_onnx_emit_reshape(im, y, &to, id);
}

bf_status bfi_onnx_matmul(bfi_import *im) {
    const bfi_tensor *a, *b;
    int64_t rows, cols;
    int id;
    BFI_TRY(bfi_onnx_constant(im, 0, &a));
    BFI_TRY(bfi_onnx_constant(im, 1, &b));
    BFI_TRY(need_real(im, a));
    BFI_TRY(need_real(im, b));
    if (constant_matrix(b, true, &rows, &cols))
        BFI_TRY(value_times_constant(im, b, &id));
    else if (constant_matrix(a, false, &rows, &cols))
        BFI_TRY(constant_times_value(im, a, &id));
    else
        BFI_TRY(value_times_value(im, &id));
    BFI_TRY(drop_vector_axes(im, id, &id));
    return bfi_onnx_set_id(im, 0, id);
}

/* ---- Gemm: y = alpha A' B' + beta C ---- */

static bf_status gemm_operand(bfi_import *im, size_t i, bool transposed, int *id) {
    BFI_TRY(bfi_onnx_dynamic(im, i, id));
    if (bfi_onnx_shape_of(im, *id)->rank != 2)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "operand %zu is no matrix", i);
    return transposed ? bfi_onnx_emit_swap(im, *id, id) : BF_STATUS_OK;
}

static bf_status gemm_product(bfi_import *im, int64_t trans_a, int64_t trans_b, int *id) {
    const bfi_tensor *b;
    int x, y;
    BFI_TRY(bfi_onnx_constant(im, 1, &b));
    BFI_TRY(need_real(im, b));
    BFI_TRY(gemm_operand(im, 0, trans_a != 0, &x));
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    if (!b || b->shape.rank != 2 || b->count == 0) {
        BFI_TRY(gemm_operand(im, 1, trans_b != 0, &y));
        if (bfi_onnx_shape_of(im, y)->dim[0] != shape.dim[1])
            return fail_inner(im, &shape, bfi_onnx_shape_of(im, y));
        return emit_matmul(im, x, y, id);
    }
    int64_t k = b->shape.dim[trans_b ? 1 : 0], n = b->shape.dim[trans_b ? 0 : 1];
    if (shape.dim[1] != k) return fail_inner(im, &shape, &b->shape);
    shape.dim[1] = n;
    return emit_linear(im, x, shape.dim[0], k, n, b->real, trans_b != 0, &shape, id);
}

/* beta * C for the whole output (free() it), exact when both are float32; |*const_ulps| otherwise.
 */
static bf_status gemm_addend(bfi_import *im, const bfi_tensor *c, double beta,
                             const bfi_shape *shape, double **out, int *const_ulps) {
    bfi_shape wide;
    if (!bfi_broadcast_shapes(&c->shape, shape, &wide) || !bfi_shape_equal(&wide, shape))
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "C does not broadcast to the output");
    BFI_TRY(bfi_onnx_spend(im, bfi_shape_count(shape, BFI_MAX_COUNT)));
    bfi_tensor *spread = bfi_tensor_expand(c, shape);
    if (!spread) return bfi_onnx_no_memory(im);
    for (int64_t i = 0; i < spread->count; i++) spread->real[i] *= beta;
    if (beta != 1 && c->dtype == BFI_DTYPE_FLOAT64) *const_ulps = 1;
    *out = spread->real;
    spread->real = NULL;
    bfi_tensor_free(spread);
    return BF_STATUS_OK;
}

/* |n| copies of |value|, or NULL. */
static double *filled(int64_t n, double value) {
    double *data = bfi_malloc((size_t)n, sizeof *data);
    for (int64_t i = 0; data && i < n; i++) data[i] = value;
    return data;
}

/* x * alpha + addend (NULL: 0), taking |addend| over. */
static bf_status emit_scaled(bfi_import *im, int x, double alpha, double *addend, int const_ulps,
                             int *id) {
    bf_status st = BF_STATUS_OK;
    double *scale = NULL;
    if (alpha != 1) {
        st = bfi_onnx_spend(im, im->graph->nodes[x].count);
        if (st == BF_STATUS_OK) scale = filled(im->graph->nodes[x].count, alpha);
        if (st == BF_STATUS_OK && !scale) st = bfi_onnx_no_memory(im);
    }
    if (st != BF_STATUS_OK) {
        free(addend);
        return st;
    }
    int roundings = scale ? (addend ? 3 : 1) : 1;
    return bfi_onnx_emit_scale_shift(im, x, scale, addend, roundings, const_ulps, id);
}

/* Weights stay those of the file: alpha and beta become a scale_shift behind the product, whose
 * shift the simplifier merges into the bias when alpha is 1. */
bf_status bfi_onnx_gemm(bfi_import *im) {
    double alpha, beta, *addend = NULL;
    int64_t trans_a, trans_b;
    const bfi_tensor *c = NULL;
    int x, id, const_ulps = 0;
    BFI_TRY(bfi_onnx_float(im, "alpha", 1, &alpha));
    BFI_TRY(bfi_onnx_float(im, "beta", 1, &beta));
    BFI_TRY(bfi_onnx_int(im, "transA", 0, &trans_a));
    BFI_TRY(bfi_onnx_int(im, "transB", 0, &trans_b));
    BFI_TRY(gemm_product(im, trans_a, trans_b, &x));
    bool given = bfi_onnx_has_input(im, 2) && beta != 0;
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    if (given) BFI_TRY(bfi_onnx_constant(im, 2, &c));
    BFI_TRY(need_real(im, c));
    if (given && c) BFI_TRY(gemm_addend(im, c, beta, &shape, &addend, &const_ulps));
    BFI_TRY(emit_scaled(im, x, alpha, addend, const_ulps, &id));
    if (given && !c) {
        int both[2] = {id, -1};
        bfi_shape wide;
        BFI_TRY(bfi_onnx_dynamic(im, 2, &both[1]));
        if (!bfi_broadcast_shapes(bfi_onnx_shape_of(im, both[1]), &shape, &wide) ||
            !bfi_shape_equal(&wide, &shape))
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "C does not broadcast to the output");
        BFI_TRY(bfi_onnx_emit_broadcast(im, both[1], &shape, &both[1]));
        BFI_TRY(emit_scaled(im, both[1], beta, NULL, 0, &both[1]));
        BFI_TRY(bfi_onnx_emit(im, BFI_OP_ADD, both, 2, &shape, &id));
    }
    return bfi_onnx_set_id(im, 0, id);
}

/* ---- BatchNormalization: y = (x - mean) * (gamma / sqrt(var + eps)) + beta ---- */

/* gamma / sqrt(var + eps) in float64. Relative error: half an ulp (2^-53) each of the sum, halved
 * by the root, of the root and of the quotient, so below 2.5 * 2^-53, which is at most 5 half-ulps.
 */
enum { BATCH_NORM_ULPS = 5 };

/* Float32 evaluations differ in order: with s = gamma/sqrt(var+eps) rounded 4 or 5 times they are
 * (x - mean) * s + beta, x * s + (beta - mean * s), ... Their errors stay below
 * 8 u (|s x| + |s mean| + |beta|), which the two nodes below account for with 8 roundings each. One
 * node with the shift beta - mean * s could not: the shift may cancel. */
enum { BATCH_NORM_ROUNDINGS = 8 };

static bf_status batch_norm_scale(bfi_import *im, const bfi_tensor *gamma, const bfi_tensor *var,
                                  double *scale) {
    double epsilon;
    BFI_TRY(bfi_onnx_float(im, "epsilon", (double)1e-5f, &epsilon));
    for (int64_t c = 0; c < var->count; c++) {
        double spread = var->real[c] + epsilon;
        if (!(spread > 0))
            return bfi_onnx_fail(im, BF_STATUS_PARSE, "variance + epsilon is not positive");
        scale[c] = gamma->real[c] / sqrt(spread);
        if (!isfinite(scale[c]))
            return bfi_onnx_fail(im, BF_STATUS_PARSE, "the scale is not finite");
    }
    return BF_STATUS_OK;
}

/* |n| channel values, times |factor|, spread over [1, n, ...] of |count| elements; free() it. */
static double *per_channel(const double *values, int64_t n, int64_t count, double factor) {
    double *out = bfi_malloc((size_t)count, sizeof *out);
    int64_t inner = count / n;
    for (int64_t i = 0; out && i < count; i++) out[i] = factor * values[i / inner];
    return out;
}

static bf_status emit_batch_norm(bfi_import *im, int x, const bfi_tensor *const *p,
                                 const double *scale, int *id) {
    int64_t count = im->graph->nodes[x].count, n = p[0]->count;
    BFI_TRY(bfi_onnx_spend(im, 3 * count));
    double *centre = per_channel(p[2]->real, n, count, -1);
    if (!centre) return bfi_onnx_no_memory(im);
    BFI_TRY(bfi_onnx_emit_scale_shift(im, x, NULL, centre, BATCH_NORM_ROUNDINGS, 0, &x));
    double *wide = per_channel(scale, n, count, 1), *shift = per_channel(p[1]->real, n, count, 1);
    if (wide && shift)
        return bfi_onnx_emit_scale_shift(im, x, wide, shift, BATCH_NORM_ROUNDINGS, BATCH_NORM_ULPS,
                                         id);
    free(wide);
    free(shift);
    return bfi_onnx_no_memory(im);
}

bf_status bfi_onnx_batch_normalization(bfi_import *im) {
    static const char *const what[] = {"scale", "bias", "mean", "variance"};
    const bfi_tensor *p[4];
    int64_t training, spatial;
    int x, id;
    BFI_TRY(bfi_onnx_int(im, "training_mode", 0, &training));
    BFI_TRY(bfi_onnx_int(im, "spatial", 1, &spatial));
    if (training || !spatial)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                             "training mode and spatial=0 cannot be imported");
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    int64_t channels = shape.rank >= 2 ? shape.dim[1] : 1;
    if (shape.rank < 1 || (shape.rank >= 2 && shape.dim[0] != 1))
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "the batch size must be 1");
    for (size_t i = 0; i < 4; i++) {
        BFI_TRY(bfi_onnx_need_constant(im, i + 1, what[i], &p[i]));
        BFI_TRY(need_real(im, p[i]));
        if (p[i]->count != channels)
            return bfi_onnx_fail(im, BF_STATUS_SHAPE, "%s has not one number per channel", what[i]);
    }
    double *scale = bfi_malloc((size_t)channels, sizeof *scale);
    bf_status st = scale ? batch_norm_scale(im, p[0], p[3], scale) : bfi_onnx_no_memory(im);
    if (st == BF_STATUS_OK) st = emit_batch_norm(im, x, p, scale, &id);
    free(scale);
    return st == BF_STATUS_OK ? bfi_onnx_set_id(im, 0, id) : st;
}
