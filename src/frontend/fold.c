#include "frontend/fold.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"

static const char *const dtype_names[BFI_DTYPE_COUNT] = {"float", "double", "int64", "int32",
                                                         "bool"};

const char *bfi_dtype_name(bfi_dtype dtype) {
    return (unsigned)dtype < BFI_DTYPE_COUNT ? dtype_names[dtype] : "?";
}

bfi_tensor *bfi_tensor_new(bfi_dtype dtype, const bfi_shape *shape, int64_t limit) {
    int64_t count = bfi_shape_count(shape, limit);
    if (count < 0) return NULL;
    bfi_tensor *tensor = bfi_calloc(1, sizeof *tensor);
    if (!tensor) return NULL;
    *tensor = (bfi_tensor){.dtype = dtype, .shape = *shape, .count = count};
    if (bfi_dtype_is_real(dtype))
        tensor->real = bfi_calloc((size_t)count, sizeof *tensor->real);
    else
        tensor->integer = bfi_calloc((size_t)count, sizeof *tensor->integer);
    if (tensor->real || tensor->integer) return tensor;
    free(tensor);
    return NULL;
}

void bfi_tensor_free(bfi_tensor *tensor) {
    if (!tensor) return;
    free(tensor->real);
    free(tensor->integer);
    free(tensor);
}

bfi_tensor *bfi_tensor_copy(const bfi_tensor *x) {
    bfi_tensor *y = bfi_tensor_new(x->dtype, &x->shape, INT64_MAX);
    if (!y) return NULL;
    if (x->real) memcpy(y->real, x->real, (size_t)x->count * sizeof *x->real);
    if (x->integer) memcpy(y->integer, x->integer, (size_t)x->count * sizeof *x->integer);
    return y;
}

bfi_tensor *bfi_tensor_from_integers(const int64_t *values, int64_t count) {
    bfi_tensor *y =
        bfi_tensor_new(BFI_DTYPE_INT64, &(bfi_shape){.rank = 1, .dim = {count}}, INT64_MAX);
    if (y && count > 0) memcpy(y->integer, values, (size_t)count * sizeof *values);
    return y;
}

double bfi_tensor_value(const bfi_tensor *tensor, int64_t i) {
    assert(i >= 0 && i < tensor->count);
    return tensor->real ? tensor->real[i] : (double)tensor->integer[i];
}

double bfi_round_to(bfi_dtype dtype, double value) {
    return dtype == BFI_DTYPE_FLOAT32 ? (double)(float)value : value;
}

bool bfi_broadcast_shapes(const bfi_shape *a, const bfi_shape *b, bfi_shape *out) {
    bfi_shape y = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int i = 1; i <= y.rank; i++) {
        int64_t p = i <= a->rank ? a->dim[a->rank - i] : 1;
        int64_t q = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (p != q && p != 1 && q != 1) return false;
        y.dim[y.rank - i] = p == 1 ? q : p;
    }
    *out = y;
    return true;
}

bool bfi_shape_is_sane(const bfi_shape *shape) {
    bfi_shape filled = *shape;
    for (int i = 0; i < filled.rank; i++)
        if (filled.dim[i] == 0) filled.dim[i] = 1;
    return bfi_shape_count(&filled, BFI_MAX_COUNT) >= 0;
}

void bfi_shape_strides(const bfi_shape *shape, int64_t *stride) {
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape->dim[i] > 0 ? shape->dim[i] : 1;
    }
}

static void copy_element(bfi_tensor *y, int64_t to, const bfi_tensor *x, int64_t from) {
    if (x->real)
        y->real[to] = x->real[from];
    else
        y->integer[to] = x->integer[from];
}

/* The next index vector in row-major order, keeping |at| = sum of index * stride. */
static int64_t advance(const bfi_shape *shape, int64_t *index, const int64_t *stride, int64_t at) {
    for (int k = shape->rank - 1; k >= 0; k--) {
        at += stride[k];
        if (++index[k] < shape->dim[k]) break;
        at -= stride[k] * shape->dim[k];
        index[k] = 0;
    }
    return at;
}

bfi_tensor *bfi_tensor_view(const bfi_tensor *x, const bfi_shape *shape, int64_t offset,
                            const int64_t *stride) {
    bfi_tensor *y = bfi_tensor_new(x->dtype, shape, INT64_MAX);
    int64_t index[BFI_MAX_RANK] = {0}, at = offset;
    for (int64_t i = 0; y && i < y->count; i++) {
        assert(at >= 0 && at < x->count);
        copy_element(y, i, x, at);
        at = advance(shape, index, stride, at);
    }
    return y;
}

/* Strides with which x, broadcast to |shape|, is read. */
static void broadcast_strides(const bfi_shape *x, const bfi_shape *shape, int64_t *stride) {
    int64_t own[BFI_MAX_RANK];
    int shift = shape->rank - x->rank;
    bfi_shape_strides(x, own);
    for (int i = 0; i < shape->rank; i++)
        stride[i] = i < shift || x->dim[i - shift] == 1 ? 0 : own[i - shift];
}

bfi_tensor *bfi_tensor_expand(const bfi_tensor *x, const bfi_shape *shape) {
    int64_t stride[BFI_MAX_RANK];
    broadcast_strides(&x->shape, shape, stride);
    return bfi_tensor_view(x, shape, 0, stride);
}

bfi_tensor *bfi_tensor_transpose(const bfi_tensor *x, const int64_t *perm) {
    int64_t own[BFI_MAX_RANK], stride[BFI_MAX_RANK];
    bfi_shape shape = {.rank = x->shape.rank};
    bfi_shape_strides(&x->shape, own);
    for (int i = 0; i < shape.rank; i++) {
        shape.dim[i] = x->shape.dim[perm[i]];
        stride[i] = own[perm[i]];
    }
    return bfi_tensor_view(x, &shape, 0, stride);
}

bfi_tensor *bfi_tensor_select(const bfi_tensor *x, const bfi_shape *shape, const int64_t *source) {
    bfi_tensor *y = bfi_tensor_new(x->dtype, shape, INT64_MAX);
    for (int64_t i = 0; y && i < y->count; i++) {
        assert(source[i] < x->count);
        if (source[i] >= 0) copy_element(y, i, x, source[i]);
    }
    return y;
}

static bool is_comparison(bfi_fold_op op) { return op >= BFI_FOLD_EQUAL; }

static double real_result(bfi_fold_op op, double a, double b) {
    switch (op) {
        case BFI_FOLD_ADD:
            return a + b;
        case BFI_FOLD_SUB:
            return a - b;
        case BFI_FOLD_MUL:
            return a * b;
        case BFI_FOLD_DIV:
            return a / b;
        case BFI_FOLD_POW:
            return pow(a, b);
        case BFI_FOLD_MAX:
            return a > b ? a : b;
        case BFI_FOLD_MIN:
            return a < b ? a : b;
        default:
            return NAN;
    }
}

static int64_t comparison(bfi_fold_op op, double a, double b) {
    switch (op) {
        case BFI_FOLD_EQUAL:
            return a == b;
        case BFI_FOLD_LESS:
            return a < b;
        case BFI_FOLD_GREATER:
            return a > b;
        case BFI_FOLD_AND:
            return a != 0 && b != 0;
        default:
            return a != 0 || b != 0;
    }
}

/* False on overflow and division by zero. */
static bool integer_result(bfi_fold_op op, int64_t a, int64_t b, int64_t *out) {
    switch (op) {
        case BFI_FOLD_ADD:
            return !__builtin_add_overflow(a, b, out);
        case BFI_FOLD_SUB:
            return !__builtin_sub_overflow(a, b, out);
        case BFI_FOLD_MUL:
            return !__builtin_mul_overflow(a, b, out);
        case BFI_FOLD_DIV:
            if (b == 0 || (a == INT64_MIN && b == -1)) return false;
            *out = a / b;
            return true;
        case BFI_FOLD_MAX:
            *out = a > b ? a : b;
            return true;
        case BFI_FOLD_MIN:
            *out = a < b ? a : b;
            return true;
        case BFI_FOLD_POW:
            *out = 1;
            if (b < 0 || b > 62) return false;
            for (; b > 0; b--)
                if (!bfi_mul_i64(*out, a, out)) return false;
            return true;
        default:
            return false;
    }
}

static bool fits_int32(int64_t v) { return v >= INT32_MIN && v <= INT32_MAX; }

/* Element |i| of |y| from element |p| of |a| and |q| of |b|; NULL or what is wrong. */
static const char *combine(bfi_fold_op op, const bfi_tensor *a, int64_t p, const bfi_tensor *b,
                           int64_t q, bfi_tensor *y, int64_t i) {
    if (is_comparison(op)) {
        y->integer[i] = a->integer && b->integer && op == BFI_FOLD_EQUAL
                            ? a->integer[p] == b->integer[q]
                            : comparison(op, bfi_tensor_value(a, p), bfi_tensor_value(b, q));
        return NULL;
    }
    if (a->real) {
        double value = bfi_round_to(a->dtype, real_result(op, a->real[p], bfi_tensor_value(b, q)));
        if (!isfinite(value)) return "a constant computed at load time is NaN or infinite";
        y->real[i] = value;
        return NULL;
    }
    if (!integer_result(op, a->integer[p], b->integer[q], &y->integer[i]) ||
        (a->dtype == BFI_DTYPE_INT32 && !fits_int32(y->integer[i])))
        return "integer overflow or division by zero in a constant";
    return NULL;
}

bf_status bfi_fold_binary(bfi_fold_op op, const bfi_tensor *a, const bfi_tensor *b,
                          bfi_tensor **out, bf_error *err) {
    bfi_shape shape;
    if (!bfi_broadcast_shapes(&a->shape, &b->shape, &shape))
        return bfi_fail(err, BF_STATUS_SHAPE, "operand shapes do not broadcast");
    if (op == BFI_FOLD_POW ? a->integer && b->real : a->dtype != b->dtype)
        return bfi_fail(err, BF_STATUS_PARSE, "operands are %s and %s, not of one type",
                        bfi_dtype_name(a->dtype), bfi_dtype_name(b->dtype));
    if (bfi_shape_count(&shape, BFI_FOLD_MAX_COUNT) < 0)
        return bfi_fail(err, BF_STATUS_LIMIT, "a constant has more than 2^26 elements");
    bfi_tensor *y =
        bfi_tensor_new(is_comparison(op) ? BFI_DTYPE_BOOL : a->dtype, &shape, INT64_MAX);
    if (!y) return bfi_fail_memory(err);
    int64_t sa[BFI_MAX_RANK], sb[BFI_MAX_RANK], ia[BFI_MAX_RANK] = {0}, ib[BFI_MAX_RANK] = {0};
    broadcast_strides(&a->shape, &shape, sa);
    broadcast_strides(&b->shape, &shape, sb);
    const char *wrong = NULL;
    for (int64_t i = 0, p = 0, q = 0; i < y->count && !wrong; i++) {
        wrong = combine(op, a, p, b, q, y, i);
        p = advance(&shape, ia, sa, p);
        q = advance(&shape, ib, sb, q);
    }
    if (wrong) {
        bfi_tensor_free(y);
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "%s", wrong);
    }
    *out = y;
    return BF_STATUS_OK;
}

bf_status bfi_fold_where(const bfi_tensor *condition, const bfi_tensor *a, const bfi_tensor *b,
                         bfi_tensor **out, bf_error *err) {
    bfi_shape shape;
    if (condition->dtype != BFI_DTYPE_BOOL || a->dtype != b->dtype)
        return bfi_fail(err, BF_STATUS_PARSE,
                        "condition must be bool and both branches of one type");
    if (!bfi_broadcast_shapes(&a->shape, &b->shape, &shape) ||
        !bfi_broadcast_shapes(&shape, &condition->shape, &shape))
        return bfi_fail(err, BF_STATUS_SHAPE, "operand shapes do not broadcast");
    if (bfi_shape_count(&shape, BFI_FOLD_MAX_COUNT) < 0)
        return bfi_fail(err, BF_STATUS_LIMIT, "a constant has more than 2^26 elements");
    bfi_tensor *c = bfi_tensor_expand(condition, &shape), *p = bfi_tensor_expand(a, &shape);
    bfi_tensor *y = bfi_tensor_expand(b, &shape);
    bool ok = c && p && y;
    for (int64_t i = 0; ok && i < y->count; i++)
        if (c->integer[i]) copy_element(y, i, p, i);
    bfi_tensor_free(c);
    bfi_tensor_free(p);
    if (!ok) {
        bfi_tensor_free(y);
        return bfi_fail_memory(err);
    }
    *out = y;
    return BF_STATUS_OK;
}

/* False when |x| has no value in the type. */
static bool cast_element(const bfi_tensor *x, int64_t i, bfi_tensor *y) {
    if (y->real) {
        y->real[i] = bfi_round_to(y->dtype, bfi_tensor_value(x, i));
        return isfinite(y->real[i]);
    }
    if (y->dtype == BFI_DTYPE_BOOL) {
        y->integer[i] = bfi_tensor_value(x, i) != 0;
        return true;
    }
    if (x->real && fabs(x->real[i]) >= 0x1p63) return false;
    y->integer[i] = x->real ? (int64_t)x->real[i] : x->integer[i];
    return y->dtype != BFI_DTYPE_INT32 || fits_int32(y->integer[i]);
}

bf_status bfi_fold_cast(const bfi_tensor *x, bfi_dtype dtype, bfi_tensor **out, bf_error *err) {
    bfi_tensor *y = bfi_tensor_new(dtype, &x->shape, INT64_MAX);
    if (!y) return bfi_fail_memory(err);
    for (int64_t i = 0; i < x->count; i++) {
        if (cast_element(x, i, y)) continue;
        bfi_tensor_free(y);
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "a constant does not fit into %s",
                        bfi_dtype_name(dtype));
    }
    *out = y;
    return BF_STATUS_OK;
}

static bfi_fold_op reduction_op(bfi_fold_reduction kind) {
    switch (kind) {
        case BFI_REDUCE_MAX:
            return BFI_FOLD_MAX;
        case BFI_REDUCE_MIN:
            return BFI_FOLD_MIN;
        case BFI_REDUCE_PROD:
            return BFI_FOLD_MUL;
        default:
            return BFI_FOLD_ADD;
    }
}

bf_status bfi_fold_reduce(bfi_fold_reduction kind, const bfi_tensor *x, const bool *reduce,
                          bfi_tensor **out, bf_error *err) {
    bfi_shape shape = x->shape;
    int64_t stride[BFI_MAX_RANK], index[BFI_MAX_RANK] = {0}, at = 0;
    for (int i = 0; i < shape.rank; i++)
        if (reduce[i]) shape.dim[i] = 1;
    broadcast_strides(&shape, &x->shape, stride);
    bfi_tensor *y = bfi_tensor_new(x->dtype, &shape, INT64_MAX);
    if (!y) return bfi_fail_memory(err);
    if (x->count == 0 || x->dtype == BFI_DTYPE_BOOL) {
        bfi_tensor_free(y);
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "reduction of an empty or boolean constant");
    }
    const char *wrong = NULL;
    int64_t terms = x->count / y->count;
    /* The first term of every sum is the one at index 0 along the reduced axes. */
    for (int64_t i = 0; i < x->count && !wrong; i++) {
        bool first = true;
        for (int k = 0; k < shape.rank; k++) first = first && (!reduce[k] || index[k] == 0);
        if (first)
            copy_element(y, at, x, i);
        else
            wrong = combine(reduction_op(kind), y, at, x, i, y, at);
        at = advance(&x->shape, index, stride, at);
    }
    for (int64_t i = 0; kind == BFI_REDUCE_MEAN && i < y->count; i++) {
        if (y->real)
            y->real[i] = bfi_round_to(y->dtype, y->real[i] / (double)terms);
        else
            y->integer[i] /= terms;
    }
    if (wrong) {
        bfi_tensor_free(y);
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "%s", wrong);
    }
    *out = y;
    return BF_STATUS_OK;
}
