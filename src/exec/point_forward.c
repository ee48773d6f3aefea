/* The forward direction of point_eval.h. Loops run over lanes innermost, so that they vectorise. */
#include <assert.h>
#include <string.h>

#include "exec/point_internal.h"
#include "ir/evaluate.h"

static void add_bias(const bfi_point_eval *eval, int id) {
    const float *restrict bias = eval->constants->nodes[id].bias;
    int64_t n = eval->graph->nodes[id].count, ls = eval->ls;
    float *restrict y = eval->value[id];
    for (int64_t j = 0; bias && j < n; j++)
        for (int64_t l = 0; l < ls; l++) y[j * ls + l] += bias[j];
}

static void scale(const bfi_point_eval *eval, int id, const float *x, float *y) {
    const float *s = eval->constants->nodes[id].scale;
    int64_t n = eval->graph->nodes[id].count, ls = eval->ls;
    if (!s) memcpy(y, x, (size_t)(n * ls) * sizeof *y);
    for (int64_t j = 0; s && j < n; j++)
        for (int64_t l = 0; l < ls; l++) y[j * ls + l] = s[j] * x[j * ls + l];
}

/* Rows of the inputs of a concatenation are disjoint: later inputs write theirs alone. */
static void copy_rows(const bfi_csr *m, const float *x, float *y, int64_t ls) {
    for (int64_t r = 0; r < m->rows; r++)
        if (m->ptr[r] < m->ptr[r + 1])
            memcpy(y + r * ls, x + m->idx[m->ptr[r]] * ls, (size_t)ls * sizeof *y);
}

static void structural(const bfi_point_eval *eval, int id) {
    const bfi_node *node = &eval->graph->nodes[id];
    const bfi_csr *m = eval->constants->nodes[id].sparse_forward;
    float *y = eval->value[id];
    assert(node->n_inputs == 1 || node->op == BFI_OP_CONCAT);
    eval->kernels->sparse(&m[0], bfi_point_operand(eval, node, 0), y, eval->ls, eval->ls);
    for (int which = 1; which < node->n_inputs; which++)
        copy_rows(&m[which], bfi_point_operand(eval, node, which), y, eval->ls);
}

static void unary(const bfi_node *node, const float *restrict x, float *restrict y, int64_t n) {
    float slope = (float)node->attrs.slope;
    if (node->op == BFI_OP_RELU) {
        for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
    } else if (node->op == BFI_OP_LEAKY_RELU) {
        for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? slope * x[i] : x[i];
    } else {
        for (int64_t i = 0; i < n; i++) y[i] = (float)bfi_unary_value(node, (double)x[i]);
    }
}

static void binary(bfi_op op, const float *a, const float *b, float *y, int64_t n) {
    switch (op) {
        case BFI_OP_ADD:
            for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
            break;
        case BFI_OP_SUB:
            for (int64_t i = 0; i < n; i++) y[i] = a[i] - b[i];
            break;
        case BFI_OP_MUL:
            for (int64_t i = 0; i < n; i++) y[i] = a[i] * b[i];
            break;
        case BFI_OP_DIV:
            for (int64_t i = 0; i < n; i++) y[i] = a[i] / b[i];
            break;
        case BFI_OP_MAX:
            for (int64_t i = 0; i < n; i++) y[i] = a[i] != a[i] || a[i] > b[i] ? a[i] : b[i];
            break;
        case BFI_OP_MIN:
            for (int64_t i = 0; i < n; i++) y[i] = a[i] != a[i] || a[i] < b[i] ? a[i] : b[i];
            break;
        default:
            assert(false && "no such binary op");
    }
}

static void matmul(const bfi_attrs *a, const float *left, const float *right, float *y,
                   int64_t ls) {
    memset(y, 0, (size_t)(a->batch * a->rows * a->n * ls) * sizeof *y);
    for (int64_t br = 0; br < a->batch * a->rows; br++)
        for (int64_t k = 0; k < a->k; k++) {
            const float *x = left + (br * a->k + k) * ls;
            const float *w = right + (br / a->rows * a->k + k) * a->n * ls;
            for (int64_t i = 0; i < a->n; i++)
                for (int64_t l = 0; l < ls; l++)
                    y[(br * a->n + i) * ls + l] += x[l] * w[i * ls + l];
        }
}

/* |n| elements, |step| numbers apart, of one lane. */
static void softmax_line(int64_t n, int64_t step, const float *x, float *y) {
    double top = (double)x[0], sum = 0;
    for (int64_t i = 1; i < n; i++)
        if ((double)x[i * step] > top) top = (double)x[i * step];
    for (int64_t i = 0; i < n; i++) {
        double e = bfi_exp((double)x[i * step] - top);
        y[i * step] = (float)e;
        sum += e;
    }
    for (int64_t i = 0; i < n; i++) y[i * step] = (float)((double)y[i * step] / sum);
}

static void softmax(const bfi_node *node, const float *x, float *y, int64_t ls) {
    int64_t inner = ls, n = node->shape.dim[node->attrs.axis];
    for (int i = node->attrs.axis + 1; i < node->shape.rank; i++) inner *= node->shape.dim[i];
    for (int64_t first = 0; first < node->count * ls; first += n * inner)
        for (int64_t i = 0; i < inner; i++) softmax_line(n, inner, x + first + i, y + first + i);
}

static void max_window(const float *plane, bfi_point_taps taps, float *y, int64_t ls) {
    int64_t p = bfi_point_next_tap(&taps);
    memcpy(y, plane + p * ls, (size_t)ls * sizeof *y);
    while ((p = bfi_point_next_tap(&taps)) >= 0)
        for (int64_t l = 0; l < ls; l++) {
            float v = plane[p * ls + l];
            y[l] = v > y[l] || v != v ? v : y[l];
        }
}

static void max_pool(const bfi_node *node, const float *x, float *y, int64_t ls) {
    const bfi_window *w = &node->attrs.window;
    for (int64_t c = 0; c < w->c_out; c++)
        for (int64_t oy = 0; oy < w->h_out; oy++)
            for (int64_t ox = 0; ox < w->w_out; ox++, y += ls)
                max_window(x + c * w->h_in * w->w_in * ls, (bfi_point_taps){w, oy, ox, 0}, y, ls);
}

static bf_status forward_node(const bfi_point_eval *eval, int id, const bfi_budget *budget) {
    const bfi_node *node = &eval->graph->nodes[id];
    const bfi_node_constants *c = &eval->constants->nodes[id];
    const float *x = node->n_inputs ? bfi_point_operand(eval, node, 0) : NULL;
    float *y = eval->value[id];
    bf_status status = BF_STATUS_OK;
    bfi_op_class class = bfi_op_class_of(node->op);
    if (class == BFI_CLASS_SOURCE || class == BFI_CLASS_ALIAS) return BF_STATUS_OK;
    if (node->op == BFI_OP_LINEAR) {
        status = bfi_point_linear(eval, &c->forward, node->attrs.rows, x, y, budget);
    } else if (class == BFI_CLASS_WEIGHTED) {
        status = bfi_point_conv(eval, &c->conv_forward, x, y, budget);
    } else if (class == BFI_CLASS_STRUCTURAL) {
        structural(eval, id);
    } else if (class == BFI_CLASS_UNARY) {
        unary(node, x, y, node->count * eval->ls);
    } else if (node->op == BFI_OP_SCALE_SHIFT) {
        scale(eval, id, x, y);
    } else if (node->op == BFI_OP_MAX_POOL) {
        max_pool(node, x, y, eval->ls);
    } else if (node->op == BFI_OP_SOFTMAX) {
        softmax(node, x, y, eval->ls);
    } else if (node->op == BFI_OP_MATMUL) {
        matmul(&node->attrs, x, bfi_point_operand(eval, node, 1), y, eval->ls);
    } else {
        binary(node->op, x, bfi_point_operand(eval, node, 1), y, node->count * eval->ls);
    }
    add_bias(eval, id);
    return status == BF_STATUS_OK ? bfi_budget_check(budget) : status;
}

bf_status bfi_point_eval_forward(bfi_point_eval *eval, const bfi_budget *budget) {
    bf_status status = BF_STATUS_OK;
    for (int id = 0; id < eval->graph->count && status == BF_STATUS_OK; id++)
        status = forward_node(eval, id, budget);
    return status;
}
