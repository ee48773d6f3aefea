#include "ir/evaluate.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "ir/evaluate_window.h"
#include "ir/sparse.h"

/* One evaluation under way. */
typedef struct evaluation {
    const bfi_graph *graph;
    bfi_precision precision;
    double **values;
    bf_error *err;
} evaluation;

/* The result of one operation. + - * / and sqrt of float32 numbers done in double and then rounded
 * give what float32 hardware gives. Sums of many terms (linear, conv, matmul, reductions, softmax)
 * are accumulated in double and rounded once: ONNX leaves their order open, and so does
 * onnxruntime; the error terms of semantics=float32 cover every order, this one too. */
static double rounded(bfi_precision precision, double x) {
    return precision == BFI_EVAL_FLOAT32 ? (double)(float)x : x;
}

double bfi_unary_value(const bfi_node *node, double x) {
    const bfi_attrs *a = &node->attrs;
    switch (node->op) {
        case BFI_OP_RELU:
            return x < 0 ? 0 : x;
        case BFI_OP_LEAKY_RELU:
            return x < 0 ? a->slope * x : x;
        case BFI_OP_SIGMOID:
            return bfi_sigmoid(x);
        case BFI_OP_TANH:
            return bfi_tanh(x);
        case BFI_OP_SIN:
            return bfi_sin(x);
        case BFI_OP_COS:
            return bfi_cos(x);
        case BFI_OP_EXP:
            return bfi_exp(x);
        case BFI_OP_LOG:
            return bfi_log(x);
        case BFI_OP_SQRT:
            return sqrt(x);
        case BFI_OP_RECIPROCAL:
            return 1 / x;
        case BFI_OP_ABS:
            return fabs(x);
        case BFI_OP_SIGN:
            return x > 0 ? 1 : x < 0 ? -1 : x;
        case BFI_OP_FLOOR:
            return floor(x);
        case BFI_OP_CLIP:
            x = x < a->lo ? a->lo : x;
            return x > a->hi ? a->hi : x;
        case BFI_OP_SQUARE:
            return x * x;
        default:
            break;
    }
    assert(false && "not a unary op");
    return (double)NAN;
}

static double binary_value(bfi_op op, double a, double b) {
    switch (op) {
        case BFI_OP_ADD:
            return a + b;
        case BFI_OP_SUB:
            return a - b;
        case BFI_OP_MUL:
            return a * b;
        case BFI_OP_DIV:
            return a / b;
        case BFI_OP_MAX:
            return a != a || a > b ? a : b; /* a NaN operand gives NaN */
        case BFI_OP_MIN:
            return a != a || a < b ? a : b;
        default:
            break;
    }
    assert(false && "not a binary op");
    return (double)NAN;
}

static void linear(const bfi_node *node, const double *x, double *y) {
    const bfi_attrs *a = &node->attrs;
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0; i < a->n; i++) {
            const double *weight = node->weight.data + i * a->k, *from = x + r * a->k;
            double sum = 0;
            for (int64_t k = 0; k < a->k; k++) sum += weight[k] * from[k];
            y[r * a->n + i] = node->bias.count ? sum + node->bias.data[i] : sum;
        }
}

static void matmul(const bfi_attrs *a, const double *left, const double *right, double *y) {
    memset(y, 0, (size_t)(a->batch * a->rows * a->n) * sizeof *y);
    for (int64_t b = 0; b < a->batch; b++)
        for (int64_t r = 0; r < a->rows; r++) {
            double *to = y + (b * a->rows + r) * a->n;
            for (int64_t k = 0; k < a->k; k++) {
                double factor = left[(b * a->rows + r) * a->k + k];
                const double *from = right + (b * a->k + k) * a->n;
                for (int64_t i = 0; i < a->n; i++) to[i] += factor * from[i];
            }
        }
}

static void scale_shift(const bfi_node *node, bfi_precision precision, const double *x, double *y) {
    for (int64_t i = 0; i < node->count; i++) {
        y[i] = x[i];
        if (node->weight.count) y[i] = rounded(precision, y[i] * node->weight.data[i]);
        if (node->bias.count) y[i] += node->bias.data[i];
    }
}

/* |n| numbers, |stride| apart. */
static void softmax_line(bfi_precision precision, int64_t n, int64_t stride, const double *x,
                         double *y) {
    double top = x[0], sum = 0;
    for (int64_t i = 1; i < n; i++) top = binary_value(BFI_OP_MAX, top, x[i * stride]);
    for (int64_t i = 0; i < n; i++) {
        double e = bfi_exp(rounded(precision, x[i * stride] - top));
        y[i * stride] = rounded(precision, e);
        sum += y[i * stride];
    }
    sum = rounded(precision, sum);
    for (int64_t i = 0; i < n; i++) y[i * stride] /= sum;
}

static void softmax(const bfi_node *node, bfi_precision precision, const double *x, double *y) {
    int64_t inner = 1, n = node->shape.dim[node->attrs.axis];
    for (int i = node->attrs.axis + 1; i < node->shape.rank; i++) inner *= node->shape.dim[i];
    for (int64_t first = 0; first < node->count; first += n * inner)
        for (int64_t i = 0; i < inner; i++)
            softmax_line(precision, n, inner, x + first + i, y + first + i);
}

static void multiply_sparse(const bfi_sparse *m, const double *x, double *y) {
    for (int64_t r = 0; r < m->rows; r++) {
        int64_t k = m->ptr[r], end = m->ptr[r + 1];
        if (k == end) continue;
        double sum = m->val ? m->val[k] * x[m->idx[k]] : x[m->idx[k]];
        for (k++; k < end; k++) sum += m->val ? m->val[k] * x[m->idx[k]] : x[m->idx[k]];
        y[r] = sum;
    }
}

/* Every input writes the rows it feeds (CONCAT: disjoint rows); the rest keeps the fill. */
static bf_status structural(const evaluation *e, int id, double *y) {
    const bfi_node *node = &e->graph->nodes[id];
    for (int which = 0; which < node->n_inputs; which++) {
        bfi_sparse m;
        bf_status st = bfi_node_sparse(e->graph, id, which, &m, e->err);
        if (st != BF_STATUS_OK) return st;
        for (int64_t r = 0; which == 0 && r < m.rows; r++) y[r] = m.fill ? m.fill[r] : 0;
        multiply_sparse(&m, e->values[node->inputs[which]], y);
        bfi_sparse_clear(&m);
    }
    return BF_STATUS_OK;
}

static void elementwise(const evaluation *e, const bfi_node *node, double *y) {
    const double *a = e->values[node->inputs[0]];
    if (bfi_op_class_of(node->op) == BFI_CLASS_UNARY) {
        for (int64_t i = 0; i < node->count; i++) y[i] = bfi_unary_value(node, a[i]);
        return;
    }
    const double *b = e->values[node->inputs[1]];
    for (int64_t i = 0; i < node->count; i++) y[i] = binary_value(node->op, a[i], b[i]);
}

static void copy(const double *from, int64_t n, double *to) {
    memcpy(to, from, (size_t)n * sizeof *to);
}

static bf_status evaluate_node(const evaluation *e, int id, const double *input) {
    const bfi_node *node = &e->graph->nodes[id];
    const double *x = node->n_inputs ? e->values[node->inputs[0]] : NULL;
    double *y = e->values[id];
    bf_status st = BF_STATUS_OK;
    switch (node->op) {
        case BFI_OP_INPUT:
            copy(input, node->count, y);
            break;
        case BFI_OP_CONST:
            copy(node->weight.data, node->count, y);
            break;
        case BFI_OP_RESHAPE:
            copy(x, node->count, y);
            break;
        case BFI_OP_LINEAR:
            linear(node, x, y);
            break;
        case BFI_OP_CONV:
            bfi_evaluate_conv(node, x, y);
            break;
        case BFI_OP_CONV_TRANSPOSE:
            bfi_evaluate_conv_transpose(node, x, y);
            break;
        case BFI_OP_MAX_POOL:
            bfi_evaluate_max_pool(node, x, y);
            break;
        case BFI_OP_MATMUL:
            matmul(&node->attrs, x, e->values[node->inputs[1]], y);
            break;
        case BFI_OP_SCALE_SHIFT:
            scale_shift(node, e->precision, x, y);
            break;
        case BFI_OP_SOFTMAX:
            softmax(node, e->precision, x, y);
            break;
        default:
            if (bfi_op_class_of(node->op) == BFI_CLASS_STRUCTURAL)
                st = structural(e, id, y);
            else
                elementwise(e, node, y);
            break;
    }
    for (int64_t i = 0; e->precision == BFI_EVAL_FLOAT32 && i < node->count; i++)
        y[i] = (double)(float)y[i];
    return st;
}

bf_status bfi_evaluate(const bfi_graph *graph, bfi_precision precision, const double *x, double *y,
                       double ***values, bf_error *err) {
    const bfi_node *out = &graph->nodes[graph->output];
    evaluation e = {.graph = graph, .precision = precision, .err = err};
    bf_status st = BF_STATUS_OK;
    e.values = bfi_calloc((size_t)graph->count, sizeof *e.values);
    if (!e.values) return bfi_fail_memory(err);
    for (int id = 0; id < graph->count && st == BF_STATUS_OK; id++) {
        e.values[id] = bfi_malloc((size_t)graph->nodes[id].count, sizeof **e.values);
        st = e.values[id] ? evaluate_node(&e, id, x) : bfi_fail_memory(err);
    }
    if (st == BF_STATUS_OK && y) copy(e.values[graph->output], out->count, y);
    if (st == BF_STATUS_OK && values)
        *values = e.values;
    else
        bfi_evaluation_free(graph, e.values);
    return st;
}

void bfi_evaluation_free(const bfi_graph *graph, double **values) {
    if (!values) return;
    for (int id = 0; id < graph->count; id++) free(values[id]);
    free(values);
}
