#include "plan/exact_fold.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "ir/evaluate.h"
#include "ir/sparse.h"

double bfi_two_product(double a, double b, double *err) {
    double p = a * b, e = fabs(fma(a, b, -p));
    bool tiny = a != 0 && b != 0 && fabs(p) < 0x1p-900;
    *err = tiny ? e + 0x1p-1000 : e;
    return p;
}

static const double *input(const bfi_graph *graph, const bfi_node *node, int k) {
    return graph->nodes[node->inputs[k]].weight.data;
}

static bool is_copy(bfi_op op) {
    return op == BFI_OP_RESHAPE || op == BFI_OP_RELU || op == BFI_OP_ABS || op == BFI_OP_SIGN ||
           op == BFI_OP_FLOOR || op == BFI_OP_CLIP || op == BFI_OP_MAX || op == BFI_OP_MIN;
}

/* One element of an elementwise op; *|err| becomes positive when it is not exact. */
static double element(const bfi_graph *graph, const bfi_node *node, int64_t i, double *err) {
    double x = input(graph, node, 0)[i], rest = 0;
    double y = node->n_inputs > 1 ? input(graph, node, 1)[i] : 0;
    switch (node->op) {
        case BFI_OP_RESHAPE:
            return x;
        case BFI_OP_MAX:
            return x > y ? x : y;
        case BFI_OP_MIN:
            return x < y ? x : y;
        case BFI_OP_ADD:
            return bfi_two_sum(x, y, err);
        case BFI_OP_SUB:
            return bfi_two_sum(x, -y, err);
        case BFI_OP_MUL:
            return bfi_two_product(x, y, err);
        case BFI_OP_SQUARE:
            return bfi_two_product(x, x, err);
        case BFI_OP_SCALE_SHIFT:
            if (node->weight.count) x = bfi_two_product(x, node->weight.data[i], &rest);
            if (node->bias.count) x = bfi_two_sum(x, node->bias.data[i], err);
            *err += rest;
            return x;
        default:
            return bfi_unary_value(node, x);
    }
}

static bool folds(const bfi_node *node, bool copies_only) {
    if (is_copy(node->op)) return true;
    if (copies_only) return false;
    if (node->op == BFI_OP_SCALE_SHIFT)
        return node->attrs.const_ulps == 0 && node->bias_error.count == 0;
    return node->op == BFI_OP_ADD || node->op == BFI_OP_SUB || node->op == BFI_OP_MUL ||
           node->op == BFI_OP_SQUARE;
}

/* False when a number is not exact. */
static bool fold_elements(const bfi_graph *graph, const bfi_node *node, double *out) {
    for (int64_t i = 0; i < node->count; i++) {
        double err = 0;
        out[i] = element(graph, node, i, &err);
        if (!(err == 0) || !isfinite(out[i])) return false;
    }
    return true;
}

/* Adds the products of one input's part of a structural op; false when one is not exact. */
static bool add_sparse(const bfi_sparse *m, const double *x, bool copies_only, double *out) {
    if (copies_only && !m->selection) return false;
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t k = m->ptr[r]; k < m->ptr[r + 1]; k++) {
            double product_err = 0, sum_err = 0, term = x[m->idx[k]];
            if (m->val) term = bfi_two_product(m->val[k], term, &product_err);
            out[r] = bfi_two_sum(out[r], term, &sum_err);
            if (!(product_err + sum_err == 0) || !isfinite(out[r])) return false;
        }
    return true;
}

static bf_status fold_structural(const bfi_graph *graph, int id, bool copies_only, double *out,
                                 bool *exact, bf_error *err) {
    const bfi_node *node = &graph->nodes[id];
    *exact = true;
    memset(out, 0, (size_t)node->count * sizeof *out);
    for (int which = 0; which < node->n_inputs && *exact; which++) {
        bfi_sparse m;
        bf_status status = bfi_node_sparse(graph, id, which, &m, err);
        if (status != BF_STATUS_OK) return status;
        /* a fill stands in rows without entries */
        for (int64_t r = 0; m.fill && which == 0 && r < m.rows; r++) out[r] = m.fill[r];
        *exact = m.const_ulps == 0 && add_sparse(&m, input(graph, node, which), copies_only, out);
        bfi_sparse_clear(&m);
    }
    return BF_STATUS_OK;
}

bf_status bfi_fold_exactly(const bfi_graph *graph, int id, bool copies_only, double **data,
                           bf_error *err) {
    const bfi_node *node = &graph->nodes[id];
    bool structural = bfi_op_class_of(node->op) == BFI_CLASS_STRUCTURAL, exact = false;
    bf_status status = BF_STATUS_OK;
    *data = NULL;
    if (!structural && !folds(node, copies_only)) return BF_STATUS_OK;
    double *out = bfi_malloc((size_t)node->count, sizeof *out);
    if (!out) return bfi_fail_memory(err);
    if (structural)
        status = fold_structural(graph, id, copies_only, out, &exact, err);
    else
        exact = fold_elements(graph, node, out);
    if (status == BF_STATUS_OK && exact)
        *data = out;
    else
        free(out);
    return status;
}
