/* The reverse direction of point_eval.h. Every node, last to first, adds to its inputs' adjoints.
 * The first contribution to an adjoint is written in place, later ones go through the scratch. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "exec/point_internal.h"

static float *begin(const bfi_point_eval *eval, int input) {
    return eval->started[eval->root[input]] ? eval->scratch : eval->adjoint[input];
}

static void end(const bfi_point_eval *eval, int input) {
    int root = eval->root[input];
    if (eval->started[root])
        eval->kernels->accumulate(eval->graph->nodes[input].count, 1, eval->scratch,
                                  eval->adjoint[input], eval->ls, eval->ls);
    eval->started[root] = true;
}

/* adjoint of |input| += sign * g */
static void pass(const bfi_point_eval *eval, int input, const float *g, int sign) {
    int64_t n = eval->graph->nodes[input].count, ls = eval->ls;
    float *to = eval->adjoint[input];
    if (eval->started[eval->root[input]])
        eval->kernels->accumulate(n, sign, g, to, ls, ls);
    else
        for (int64_t i = 0; i < n * ls; i++) to[i] = sign >= 0 ? g[i] : -g[i];
    eval->started[eval->root[input]] = true;
}

/* Derivative at |x| of a unary op with value |y|. */
static double slope_at(const bfi_node *node, double x, double y) {
    switch (node->op) {
        case BFI_OP_SIGMOID:
            return y * (1 - y);
        case BFI_OP_TANH:
            return 1 - y * y;
        case BFI_OP_SIN:
            return bfi_cos(x);
        case BFI_OP_COS:
            return -bfi_sin(x);
        case BFI_OP_EXP:
            return y;
        case BFI_OP_LOG:
            return 1 / x;
        case BFI_OP_SQRT:
            return 0.5 / y;
        case BFI_OP_RECIPROCAL:
            return -y * y;
        case BFI_OP_ABS:
            return x < 0 ? -1 : 1;
        case BFI_OP_CLIP:
            return x >= node->attrs.lo && x <= node->attrs.hi ? 1 : 0;
        case BFI_OP_SQUARE:
            return 2 * x;
        default:
            break;
    }
    assert(false && "no such unary op");
    return 0;
}

static void relu(const bfi_point_eval *eval, int64_t n, const float *restrict g,
                 const float *restrict x, float *restrict to) {
    int64_t ls = eval->ls;
    const float *restrict leak = eval->leak;
    for (int64_t j = 0; j < n * ls; j += ls)
        for (int64_t l = 0; l < ls; l++) {
            float on = x[j + l] > 0 ? 1.0f : 0.0f; /* no branch: this loop vectorises */
            to[j + l] = (on + (1 - on) * leak[l]) * g[j + l];
        }
}

static void unary(const bfi_node *node, const float *g, const float *x, const float *y, float *to,
                  int64_t n) {
    float slope = (float)node->attrs.slope;
    if (node->op == BFI_OP_LEAKY_RELU) {
        for (int64_t i = 0; i < n; i++) to[i] = x[i] > 0 ? g[i] : slope * g[i];
    } else {
        for (int64_t i = 0; i < n; i++)
            to[i] = g[i] * (float)slope_at(node, (double)x[i], (double)y[i]);
    }
}

/* Partial derivative with respect to input |which|, times g. */
static void binary(bfi_op op, int which, const float *g, const float *a, const float *b, float *to,
                   int64_t n) {
    const float *other = which == 0 ? b : a;
    bool first = which == 0;
    switch (op) {
        case BFI_OP_MUL:
            for (int64_t i = 0; i < n; i++) to[i] = g[i] * other[i];
            break;
        case BFI_OP_DIV:
            for (int64_t i = 0; i < n; i++)
                to[i] = first ? g[i] / b[i] : -g[i] * a[i] / (b[i] * b[i]);
            break;
        case BFI_OP_MAX:
            for (int64_t i = 0; i < n; i++) to[i] = (a[i] > b[i]) == first ? g[i] : 0;
            break;
        case BFI_OP_MIN:
            for (int64_t i = 0; i < n; i++) to[i] = (a[i] < b[i]) == first ? g[i] : 0;
            break;
        default:
            assert(false && "no such binary op");
    }
}

/* dX = G W^T and dW = X^T G, batch by batch. */
static void matmul_left(const bfi_attrs *a, const float *g, const float *right, float *to,
                        int64_t ls) {
    memset(to, 0, (size_t)(a->batch * a->rows * a->k * ls) * sizeof *to);
    for (int64_t br = 0; br < a->batch * a->rows; br++)
        for (int64_t k = 0; k < a->k; k++) {
            const float *w = right + (br / a->rows * a->k + k) * a->n * ls;
            float *t = to + (br * a->k + k) * ls;
            for (int64_t i = 0; i < a->n; i++)
                for (int64_t l = 0; l < ls; l++)
                    t[l] += g[(br * a->n + i) * ls + l] * w[i * ls + l];
        }
}

static void matmul_right(const bfi_attrs *a, const float *g, const float *left, float *to,
                         int64_t ls) {
    memset(to, 0, (size_t)(a->batch * a->k * a->n * ls) * sizeof *to);
    for (int64_t br = 0; br < a->batch * a->rows; br++)
        for (int64_t k = 0; k < a->k; k++) {
            const float *x = left + (br * a->k + k) * ls;
            float *t = to + (br / a->rows * a->k + k) * a->n * ls;
            for (int64_t i = 0; i < a->n; i++)
                for (int64_t l = 0; l < ls; l++)
                    t[i * ls + l] += x[l] * g[(br * a->n + i) * ls + l];
        }
}

/* dx_i = y_i (g_i - sum_j g_j y_j) */
static void softmax_line(int64_t n, int64_t step, const float *g, const float *y, float *to) {
    float dot = 0;
    for (int64_t i = 0; i < n; i++) dot += g[i * step] * y[i * step];
    for (int64_t i = 0; i < n; i++) to[i * step] = y[i * step] * (g[i * step] - dot);
}

static void softmax(const bfi_node *node, const float *g, const float *y, float *to, int64_t ls) {
    int64_t inner = ls, n = node->shape.dim[node->attrs.axis];
    for (int i = node->attrs.axis + 1; i < node->shape.rank; i++) inner *= node->shape.dim[i];
    for (int64_t first = 0; first < node->count * ls; first += n * inner)
        for (int64_t i = 0; i < inner; i++)
            softmax_line(n, inner, g + first + i, y + first + i, to + first + i);
}

/* The first element that equals the maximum takes the whole of |left|, which ends as zeros. */
static void route_window(const float *plane, const float *y, bfi_point_taps taps, float *left,
                         float *to, int64_t ls) {
    int64_t p;
    while ((p = bfi_point_next_tap(&taps)) >= 0)
        for (int64_t l = 0; l < ls; l++) {
            float hit = plane[p * ls + l] >= y[l] ? left[l] : 0;
            to[p * ls + l] += hit;
            left[l] -= hit;
        }
}

/* Spends |g|, the adjoint of the pooling node. */
static void max_pool(const bfi_node *node, int64_t n_in, float *g, const float *x, const float *y,
                     float *to, int64_t ls) {
    const bfi_window *w = &node->attrs.window;
    memset(to, 0, (size_t)(n_in * ls) * sizeof *to);
    for (int64_t c = 0; c < w->c_out; c++) {
        int64_t plane = c * w->h_in * w->w_in * ls;
        for (int64_t oy = 0; oy < w->h_out; oy++)
            for (int64_t ox = 0; ox < w->w_out; ox++, y += ls, g += ls)
                route_window(x + plane, y, (bfi_point_taps){w, oy, ox, 0}, g, to + plane, ls);
    }
}

static void scale(const bfi_point_eval *eval, int id, const float *g) {
    const float *s = eval->constants->nodes[id].scale;
    int input = eval->graph->nodes[id].inputs[0];
    int64_t n = eval->graph->nodes[id].count, ls = eval->ls;
    if (!s) {
        pass(eval, input, g, 1);
        return;
    }
    float *to = begin(eval, input);
    for (int64_t j = 0; j < n; j++)
        for (int64_t l = 0; l < ls; l++) to[j * ls + l] = s[j] * g[j * ls + l];
    end(eval, input);
}

/* One input's share of a node that has a target of its own to fill. */
static bf_status fill_target(const bfi_point_eval *eval, int id, int which, float *g, float *to,
                             const bfi_budget *budget) {
    const bfi_node *node = &eval->graph->nodes[id];
    const bfi_node_constants *c = &eval->constants->nodes[id];
    const float *x = bfi_point_operand(eval, node, 0), *y = eval->value[id];
    int64_t ls = eval->ls, n = node->count * ls;
    bfi_op_class class = bfi_op_class_of(node->op);
    if (node->op == BFI_OP_LINEAR)
        return bfi_point_linear(eval, &c->backward, node->attrs.rows, g, to, budget);
    if (class == BFI_CLASS_WEIGHTED) return bfi_point_conv(eval, &c->conv_backward, g, to, budget);
    if (class == BFI_CLASS_STRUCTURAL) {
        eval->kernels->sparse(&c->sparse_backward[which], g, to, ls, ls);
    } else if (node->op == BFI_OP_RELU) {
        relu(eval, node->count, g, x, to);
    } else if (class == BFI_CLASS_UNARY) {
        unary(node, g, x, y, to, n);
    } else if (node->op == BFI_OP_MAX_POOL) {
        max_pool(node, eval->graph->nodes[node->inputs[0]].count, g, x, y, to, ls);
    } else if (node->op == BFI_OP_SOFTMAX) {
        softmax(node, g, y, to, ls);
    } else if (node->op == BFI_OP_MATMUL) {
        const float *right = bfi_point_operand(eval, node, 1);
        if (which == 0)
            matmul_left(&node->attrs, g, right, to, ls);
        else
            matmul_right(&node->attrs, g, x, to, ls);
    } else {
        binary(node->op, which, g, x, bfi_point_operand(eval, node, 1), to, n);
    }
    return bfi_budget_check(budget);
}

static bf_status adjoint_node(const bfi_point_eval *eval, int id, const bfi_budget *budget) {
    const bfi_node *node = &eval->graph->nodes[id];
    float *g = eval->adjoint[id];
    bf_status status = BF_STATUS_OK;
    if (bfi_op_class_of(node->op) == BFI_CLASS_ALIAS) return status;
    if (node->op == BFI_OP_SCALE_SHIFT) {
        scale(eval, id, g);
        return bfi_budget_check(budget);
    }
    for (int which = 0; which < node->n_inputs && status == BF_STATUS_OK; which++) {
        int input = node->inputs[which];
        if (!eval->needed[input]) continue;
        if (node->op == BFI_OP_ADD || node->op == BFI_OP_SUB) {
            pass(eval, input, g, node->op == BFI_OP_SUB && which == 1 ? -1 : 1);
            continue;
        }
        status = fill_target(eval, id, which, g, begin(eval, input), budget);
        if (status == BF_STATUS_OK) end(eval, input);
    }
    return status;
}

bf_status bfi_point_eval_adjoint(bfi_point_eval *eval, const bfi_budget *budget) {
    const bfi_graph *graph = eval->graph;
    bf_status status = BF_STATUS_OK;
    memset(eval->started, 0, (size_t)graph->count * sizeof *eval->started);
    eval->started[eval->root[graph->output]] = true;
    for (int id = graph->count - 1; id > 0 && status == BF_STATUS_OK; id--)
        if (eval->needed[id] && eval->started[eval->root[id]])
            status = adjoint_node(eval, id, budget);
    if (status == BF_STATUS_OK && !eval->started[0])
        memset(eval->adjoint[0], 0, (size_t)(graph->nodes[0].count * eval->ls) * sizeof(float));
    return status;
}
