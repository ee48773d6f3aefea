/* Elementwise ops: constants are broadcast and attached, values are broadcast by EXPAND. */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"
#include "ir/evaluate.h"

static bool op_is(const bfi_import *im, const char *name) {
    return strcmp(im->node->op_type, name) == 0;
}

/* Folds when the status is OK, names the node otherwise. */
static bf_status finish_fold(bfi_import *im, bf_status st, bfi_tensor *y) {
    return st == BF_STATUS_OK ? bfi_onnx_set_constant(im, 0, y) : bfi_onnx_fail_here(im, st);
}

static bf_status broadcast_shape(bfi_import *im, const bfi_shape *a, const bfi_shape *b,
                                 bfi_shape *out) {
    char left[128], right[128];
    if (bfi_broadcast_shapes(a, b, out)) return BF_STATUS_OK;
    return bfi_onnx_fail(im, BF_STATUS_SHAPE, "operands of shapes %s and %s do not broadcast",
                         bfi_shape_text(a, left, sizeof left),
                         bfi_shape_text(b, right, sizeof right));
}

/* The constant's elements, broadcast to |shape|; free() them. */
static bf_status spread(bfi_import *im, const bfi_tensor *c, const bfi_shape *shape, double **out) {
    if (!c->real)
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "mixes an %s constant with real values",
                             bfi_dtype_name(c->dtype));
    BFI_TRY(bfi_onnx_spend(im, bfi_shape_count(shape, BFI_MAX_COUNT)));
    bfi_tensor *wide = bfi_tensor_expand(c, shape);
    if (!wide) return bfi_onnx_no_memory(im);
    *out = wide->real;
    wide->real = NULL;
    bfi_tensor_free(wide);
    return BF_STATUS_OK;
}

typedef enum arithmetic { ADD, SUB, MUL, DIV } arithmetic;

static arithmetic arithmetic_of(const bfi_import *im) {
    return op_is(im, "Sub") ? SUB : op_is(im, "Mul") ? MUL : op_is(im, "Div") ? DIV : ADD;
}

/* Replaces every element by its reciprocal; |*const_ulps| is 1 unless all are exact. */
static bf_status invert(bfi_import *im, double *data, int64_t count, int *const_ulps) {
    *const_ulps = 0;
    for (int64_t i = 0; i < count; i++) {
        int exponent;
        if (fabs(frexp(data[i], &exponent)) != 0.5) *const_ulps = 1;
        data[i] = 1.0 / data[i];
        if (!isfinite(data[i]) || data[i] == 0)
            return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                                 "divides by a constant that is (nearly) zero");
    }
    return BF_STATUS_OK;
}

static void fill(double *data, int64_t count, double value) {
    for (int64_t i = 0; i < count; i++) data[i] = value;
}

static void negate(double *data, int64_t count) {
    for (int64_t i = 0; i < count; i++) data[i] = -data[i];
}

/* x op c, or c op x with |swapped|; c has the shape of x. One float32 rounding each: the ONNX op is
 * one operation. x / c is x * (1/c) with a quotient that is off by half an ulp at most; c / x is c
 * * (1/x), where the reciprocal is a node of its own. */
static bf_status emit_with_constant(bfi_import *im, arithmetic op, int x, double *c, bool swapped,
                                    int *id) {
    int64_t count = im->graph->nodes[x].count;
    double *scale = NULL;
    int const_ulps = 0;
    if (op == ADD || (op == SUB && !swapped)) {
        if (op == SUB) negate(c, count);
        return bfi_onnx_emit_scale_shift(im, x, NULL, c, 1, 0, id);
    }
    if (op == SUB) {
        scale = bfi_malloc((size_t)count, sizeof *scale);
        if (scale) {
            fill(scale, count, -1);
            return bfi_onnx_emit_scale_shift(im, x, scale, c, 1, 0, id);
        }
        free(c);
        return bfi_onnx_no_memory(im);
    }
    bf_status st = BF_STATUS_OK;
    if (op == DIV && swapped) {
        bfi_shape shape = *bfi_onnx_shape_of(im, x);
        st = bfi_onnx_emit(im, BFI_OP_RECIPROCAL, &x, 1, &shape, &x);
    } else if (op == DIV) {
        st = invert(im, c, count, &const_ulps);
    }
    if (st == BF_STATUS_OK) return bfi_onnx_emit_scale_shift(im, x, c, NULL, 1, const_ulps, id);
    free(c);
    return st;
}

static bf_status emit_pair(bfi_import *im, bfi_op op, int a, int b, int *id) {
    bfi_shape shape;
    int both[2];
    BFI_TRY(broadcast_shape(im, bfi_onnx_shape_of(im, a), bfi_onnx_shape_of(im, b), &shape));
    BFI_TRY(bfi_onnx_emit_broadcast(im, a, &shape, &both[0]));
    BFI_TRY(bfi_onnx_emit_broadcast(im, b, &shape, &both[1]));
    return bfi_onnx_emit(im, op, both, 2, &shape, id);
}

bf_status bfi_onnx_binary(bfi_import *im) {
    static const bfi_op ops[] = {BFI_OP_ADD, BFI_OP_SUB, BFI_OP_MUL, BFI_OP_DIV};
    static const bfi_fold_op folds[] = {BFI_FOLD_ADD, BFI_FOLD_SUB, BFI_FOLD_MUL, BFI_FOLD_DIV};
    const bfi_tensor *a, *b;
    arithmetic op = arithmetic_of(im);
    int x, y, id;
    BFI_TRY(bfi_onnx_constant(im, 0, &a));
    BFI_TRY(bfi_onnx_constant(im, 1, &b));
    if (a && b) {
        bfi_tensor *out = NULL;
        bf_status st = bfi_fold_binary(folds[op], a, b, &out, im->err);
        return finish_fold(im, st, out);
    }
    if (!a && !b) {
        BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
        BFI_TRY(bfi_onnx_dynamic(im, 1, &y));
        bfi_shape same = *bfi_onnx_shape_of(im, x);
        bool square = ops[op] == BFI_OP_MUL && x == y; /* one operand: a tighter rule */
        BFI_TRY(square ? bfi_onnx_emit(im, BFI_OP_SQUARE, &x, 1, &same, &id)
                       : emit_pair(im, ops[op], x, y, &id));
        return bfi_onnx_set_id(im, 0, id);
    }
    bfi_shape shape;
    double *c = NULL;
    const bfi_tensor *constant = a ? a : b;
    BFI_TRY(bfi_onnx_dynamic(im, a ? 1 : 0, &x));
    BFI_TRY(broadcast_shape(im, bfi_onnx_shape_of(im, x), &constant->shape, &shape));
    BFI_TRY(bfi_onnx_emit_broadcast(im, x, &shape, &x));
    BFI_TRY(spread(im, constant, &shape, &c));
    BFI_TRY(emit_with_constant(im, op, x, c, a != NULL, &id));
    return bfi_onnx_set_id(im, 0, id);
}

/* Sum, Max, Min of any number of operands, from left to right. */
bf_status bfi_onnx_variadic(bfi_import *im) {
    bool sum = op_is(im, "Sum"), max = op_is(im, "Max");
    bfi_op op = sum ? BFI_OP_ADD : max ? BFI_OP_MAX : BFI_OP_MIN;
    bfi_fold_op fold = sum ? BFI_FOLD_ADD : max ? BFI_FOLD_MAX : BFI_FOLD_MIN;
    bfi_tensor *folded = NULL;
    int id = -1;
    bf_status st = BF_STATUS_OK;
    for (size_t i = 0; i < im->node->n_input && st == BF_STATUS_OK; i++) {
        const bfi_tensor *operand;
        int next;
        st = bfi_onnx_constant(im, i, &operand);
        if (st != BF_STATUS_OK) break;
        if (operand && id < 0) {
            bfi_tensor *total = folded ? NULL : bfi_tensor_copy(operand);
            if (folded)
                st = bfi_fold_binary(fold, folded, operand, &total, im->err);
            else if (!total)
                st = bfi_onnx_no_memory(im);
            if (st != BF_STATUS_OK) st = bfi_onnx_fail_here(im, st);
            bfi_tensor_free(folded);
            folded = total;
            continue;
        }
        if (folded && id < 0) st = bfi_onnx_emit_const(im, folded, &id);
        if (st == BF_STATUS_OK) st = bfi_onnx_dynamic(im, i, &next);
        if (st == BF_STATUS_OK && id >= 0) st = emit_pair(im, op, id, next, &next);
        if (st == BF_STATUS_OK) id = next;
    }
    if (st == BF_STATUS_OK && id < 0) return bfi_onnx_set_constant(im, 0, folded);
    bfi_tensor_free(folded);
    return st == BF_STATUS_OK ? bfi_onnx_set_id(im, 0, id) : st;
}

bf_status bfi_onnx_comparison(bfi_import *im) {
    const bfi_tensor *a, *b;
    bfi_tensor *out = NULL;
    bfi_fold_op op = op_is(im, "Equal")     ? BFI_FOLD_EQUAL
                     : op_is(im, "Less")    ? BFI_FOLD_LESS
                     : op_is(im, "Greater") ? BFI_FOLD_GREATER
                     : op_is(im, "And")     ? BFI_FOLD_AND
                                            : BFI_FOLD_OR;
    BFI_TRY(bfi_onnx_need_constant(im, 0, "a compared value", &a));
    BFI_TRY(bfi_onnx_need_constant(im, 1, "a compared value", &b));
    bf_status st = bfi_fold_binary(op, a, b, &out, im->err);
    return finish_fold(im, st, out);
}

bf_status bfi_onnx_not(bfi_import *im) {
    const bfi_tensor *x;
    BFI_TRY(bfi_onnx_need_constant(im, 0, "the operand", &x));
    if (x->dtype != BFI_DTYPE_BOOL)
        return bfi_onnx_fail(im, BF_STATUS_PARSE, "the operand must be boolean");
    bfi_tensor *y = bfi_tensor_copy(x);
    for (int64_t i = 0; y && i < y->count; i++) y->integer[i] = !y->integer[i];
    return bfi_onnx_set_constant(im, 0, y);
}

/* Applies a unary graph op to a constant, or emits it. */
static bf_status apply_unary(bfi_import *im, const bfi_node *prototype) {
    const bfi_tensor *constant;
    int x, id;
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) {
        bfi_tensor *y = bfi_tensor_copy(constant);
        if (y && !y->real) {
            bfi_tensor_free(y);
            return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "cannot be computed on %s constants",
                                 bfi_dtype_name(constant->dtype));
        }
        for (int64_t i = 0; y && i < y->count; i++) {
            y->real[i] = bfi_round_to(y->dtype, bfi_unary_value(prototype, y->real[i]));
            if (isfinite(y->real[i])) continue;
            bfi_tensor_free(y);
            return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "gives NaN or infinity on a constant");
        }
        return bfi_onnx_set_constant(im, 0, y);
    }
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    BFI_TRY(bfi_onnx_emit(im, prototype->op, &x, 1, &shape, &id));
    im->graph->nodes[id].attrs = prototype->attrs;
    return bfi_onnx_set_id(im, 0, id);
}

bf_status bfi_onnx_unary(bfi_import *im) {
    static const struct {
        const char *name;
        bfi_op op;
    } ops[] = {{"Relu", BFI_OP_RELU},
               {"LeakyRelu", BFI_OP_LEAKY_RELU},
               {"Sigmoid", BFI_OP_SIGMOID},
               {"Tanh", BFI_OP_TANH},
               {"Sin", BFI_OP_SIN},
               {"Cos", BFI_OP_COS},
               {"Exp", BFI_OP_EXP},
               {"Log", BFI_OP_LOG},
               {"Sqrt", BFI_OP_SQRT},
               {"Abs", BFI_OP_ABS},
               {"Sign", BFI_OP_SIGN},
               {"Floor", BFI_OP_FLOOR},
               {"Reciprocal", BFI_OP_RECIPROCAL}};
    bfi_node prototype = {.op = BFI_OP_RELU};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (op_is(im, ops[i].name)) prototype.op = ops[i].op;
    /* The default is a float32 in ONNX. */
    if (prototype.op == BFI_OP_LEAKY_RELU)
        BFI_TRY(bfi_onnx_float(im, "alpha", (double)0.01f, &prototype.attrs.slope));
    return apply_unary(im, &prototype);
}

bf_status bfi_onnx_neg(bfi_import *im) {
    const bfi_tensor *constant;
    int x, id;
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) {
        bfi_tensor zero = {.dtype = constant->dtype, .count = 1}, *y = NULL;
        double real = 0;
        int64_t integer = 0;
        if (constant->real)
            zero.real = &real;
        else
            zero.integer = &integer;
        bf_status st = bfi_fold_binary(BFI_FOLD_SUB, &zero, constant, &y, im->err);
        return finish_fold(im, st, y);
    }
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    int64_t count = im->graph->nodes[x].count;
    BFI_TRY(bfi_onnx_spend(im, count));
    double *scale = bfi_malloc((size_t)count, sizeof *scale);
    if (!scale) return bfi_onnx_no_memory(im);
    fill(scale, count, -1);
    BFI_TRY(bfi_onnx_emit_scale_shift(im, x, scale, NULL, 0, 0, &id));
    return bfi_onnx_set_id(im, 0, id);
}

static bf_status emit_power(bfi_import *im, int x, double exponent, int *id) {
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    *id = x;
    if (exponent == 1) return BF_STATUS_OK;
    if (exponent == 2) return bfi_onnx_emit(im, BFI_OP_SQUARE, &x, 1, &shape, id);
    if (exponent == 0.5) return bfi_onnx_emit(im, BFI_OP_SQRT, &x, 1, &shape, id);
    if (exponent == -1) return bfi_onnx_emit(im, BFI_OP_RECIPROCAL, &x, 1, &shape, id);
    if (exponent == 3) {
        int pair[2] = {0, x};
        BFI_TRY(bfi_onnx_emit(im, BFI_OP_SQUARE, &x, 1, &shape, &pair[0]));
        return bfi_onnx_emit(im, BFI_OP_MUL, pair, 2, &shape, id);
    }
    return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                         "exponent %g: only -1, 0.5, 1, 2 and 3 can be imported", exponent);
}

bf_status bfi_onnx_pow(bfi_import *im) {
    const bfi_tensor *base, *exponent;
    bfi_shape shape;
    int x, id;
    BFI_TRY(bfi_onnx_constant(im, 0, &base));
    BFI_TRY(bfi_onnx_need_constant(im, 1, "the exponent", &exponent));
    if (base) {
        bfi_tensor *y = NULL;
        bf_status st = bfi_fold_binary(BFI_FOLD_POW, base, exponent, &y, im->err);
        return finish_fold(im, st, y);
    }
    for (int64_t i = 1; i < exponent->count; i++)
        if (bfi_tensor_value(exponent, i) != bfi_tensor_value(exponent, 0))
            return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED, "exponents differ between elements");
    if (exponent->count == 0)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "the exponent has no elements");
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    BFI_TRY(broadcast_shape(im, bfi_onnx_shape_of(im, x), &exponent->shape, &shape));
    BFI_TRY(bfi_onnx_emit_broadcast(im, x, &shape, &x));
    BFI_TRY(emit_power(im, x, bfi_tensor_value(exponent, 0), &id));
    return bfi_onnx_set_id(im, 0, id);
}

static bf_status clip_bound(bfi_import *im, const char *name, size_t input, double *bound) {
    const bfi_tensor *tensor;
    if (!bfi_onnx_has_input(im, input)) return bfi_onnx_float(im, name, *bound, bound);
    BFI_TRY(bfi_onnx_need_constant(im, input, "a clip bound", &tensor));
    if (tensor->count != 1)
        return bfi_onnx_fail(im, BF_STATUS_SHAPE, "a clip bound must be one number");
    *bound = bfi_tensor_value(tensor, 0);
    return BF_STATUS_OK;
}

bf_status bfi_onnx_clip(bfi_import *im) {
    bfi_node prototype = {.op = BFI_OP_CLIP,
                          .attrs = {.lo = (double)-INFINITY, .hi = (double)INFINITY}};
    BFI_TRY(clip_bound(im, "min", 1, &prototype.attrs.lo));
    BFI_TRY(clip_bound(im, "max", 2, &prototype.attrs.hi));
    if (prototype.attrs.lo > prototype.attrs.hi) prototype.attrs.lo = prototype.attrs.hi;
    if (isinf(prototype.attrs.lo) && isinf(prototype.attrs.hi)) return bfi_onnx_identity(im);
    if (prototype.attrs.lo == 0 && isinf(prototype.attrs.hi))
        prototype = (bfi_node){.op = BFI_OP_RELU};
    return apply_unary(im, &prototype);
}

/* A real value stays the same real number in another floating type; only double to float rounds,
 * once, which a scale_shift without scale and shift records. */
bf_status bfi_onnx_cast(bfi_import *im) {
    const bfi_tensor *constant;
    bfi_dtype dtype;
    int64_t to;
    int x;
    BFI_TRY(bfi_onnx_int(im, "to", 0, &to));
    if (to != (int32_t)to || !bfi_onnx_dtype((int32_t)to, &dtype))
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                             "casts to a type other than float, double, int64, int32 and bool");
    BFI_TRY(bfi_onnx_constant(im, 0, &constant));
    if (constant) {
        bfi_tensor *y = NULL;
        bf_status st = bfi_fold_cast(constant, dtype, &y, im->err);
        return finish_fold(im, st, y);
    }
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    if (!bfi_dtype_is_real(dtype))
        return bfi_onnx_fail(im, BF_STATUS_UNSUPPORTED,
                             "casts a value computed from the input to %s", bfi_dtype_name(dtype));
    if (im->graph->is_float64 && dtype == BFI_DTYPE_FLOAT32) {
        bfi_shape shape = *bfi_onnx_shape_of(im, x);
        BFI_TRY(bfi_onnx_emit(im, BFI_OP_SCALE_SHIFT, &x, 1, &shape, &x));
        im->graph->nodes[x].attrs.roundings = 1;
    }
    return bfi_onnx_set_id(im, 0, x);
}

/* Before opset 13 the axes from |axis| on are one axis. */
/* Softmax over more elements than this stays one op, whose bounds are intervals. */
enum { MOST_SOFTMAX = 64, MOST_DIFFERENCES = 1 << 16 };

/* x [..][size] to x_j - x_i, [..][i][j]; with i = j it is 0 whatever x. */
static bf_status emit_differences(bfi_import *im, int x, int64_t size, int *id) {
    int64_t rows = im->graph->nodes[x].count / size;
    bfi_shape shape = {3, {rows, size, size}};
    BFI_TRY(bfi_onnx_spend(im, size * size * size));
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_LINEAR, &x, 1, &shape, id));
    bfi_node *node = &im->graph->nodes[*id];
    node->attrs.rows = rows, node->attrs.k = size, node->attrs.n = size * size;
    double *w = node->weight.data = bfi_calloc((size_t)(size * size * size), sizeof *w);
    if (!w) return bfi_onnx_no_memory(im);
    node->weight.count = size * size * size;
    for (int64_t i = 0; i < size; i++)
        for (int64_t j = 0; j < size; j++) {
            w[(i * size + j) * size + j] += 1;
            w[(i * size + j) * size + i] -= 1;
        }
    return BF_STATUS_OK;
}

/* Softmax along |axis| as 1 / sum_j exp(x_j - x_i), whose parts have linear rules; bounds of this
 * form are tighter than those of exp(x_i) / sum_j exp(x_j) (Wei et al. 2023, arXiv:2303.01713). */
static bf_status emit_softmax(bfi_import *im, int x, int axis, int *id) {
    bfi_shape shape = *bfi_onnx_shape_of(im, x);
    int64_t size = shape.dim[axis], perm[BFI_MAX_RANK];
    for (int i = 0; i < shape.rank; i++) perm[i] = i;
    perm[axis] = shape.rank - 1, perm[shape.rank - 1] = axis; /* its own inverse */
    BFI_TRY(bfi_onnx_emit_transpose(im, x, perm, &x));
    bfi_shape turned = *bfi_onnx_shape_of(im, x);
    BFI_TRY(emit_differences(im, x, size, &x));
    bfi_shape each = *bfi_onnx_shape_of(im, x), sums = each;
    sums.dim[2] = 1;
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_EXP, &x, 1, &each, &x));
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_REDUCE_SUM, &x, 1, &sums, id));
    im->graph->nodes[*id].attrs.reduce[2] = true;
    x = *id;
    BFI_TRY(bfi_onnx_emit(im, BFI_OP_RECIPROCAL, &x, 1, &sums, id));
    BFI_TRY(bfi_onnx_emit_reshape(im, *id, &turned, &x));
    return bfi_onnx_emit_transpose(im, x, perm, id);
}

bf_status bfi_onnx_softmax(bfi_import *im) {
    int64_t given;
    int x, id, axis;
    bool joined = im->opset < 13;
    BFI_TRY(bfi_onnx_dynamic(im, 0, &x));
    bfi_shape shape = *bfi_onnx_shape_of(im, x), flat = {.rank = 2, .dim = {1, 1}};
    BFI_TRY(bfi_onnx_int(im, "axis", joined ? 1 : -1, &given));
    BFI_TRY(bfi_onnx_axis(im, given, shape.rank, &axis));
    for (int i = 0; i < shape.rank; i++) flat.dim[i >= axis] *= shape.dim[i];
    joined = joined && flat.dim[1] != shape.dim[axis];
    if (joined) {
        BFI_TRY(bfi_onnx_emit_reshape(im, x, &flat, &x));
        axis = 1;
    }
    int64_t size = joined ? flat.dim[1] : shape.dim[axis];
    if (size <= MOST_SOFTMAX && im->graph->nodes[x].count <= MOST_DIFFERENCES / size) {
        BFI_TRY(emit_softmax(im, x, axis, &id));
    } else {
        BFI_TRY(bfi_onnx_emit(im, BFI_OP_SOFTMAX, &x, 1, joined ? &flat : &shape, &id));
        im->graph->nodes[id].attrs.axis = axis;
    }
    if (joined) BFI_TRY(bfi_onnx_emit_reshape(im, id, &shape, &id));
    return bfi_onnx_set_id(im, 0, id);
}
