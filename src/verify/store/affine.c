#include "verify/store/affine.h"

#include <assert.h>
#include <math.h>

#include "base/alloc.h"
#include "base/fp.h"

bool bfi_affine_op(bfi_op op) {
    bfi_op_class class = bfi_op_class_of(op);
    return class == BFI_CLASS_WEIGHTED || class == BFI_CLASS_STRUCTURAL ||
           class == BFI_CLASS_AFFINE || op == BFI_OP_CONST;
}

bf_status bfi_affine_open(const bfi_graph *graph, int id, bf_semantics semantics, bfi_affine *out,
                          bf_error *err) {
    const bfi_node *node = &graph->nodes[id];
    bool f32 = semantics == BF_SEMANTICS_FLOAT32;
    *out = (bfi_affine){
        .graph = graph, .id = id, .exec_rel = f32 ? BF_U32 : 0, .exec_abs = f32 ? 0x1p-149 : 0};
    if (bfi_op_class_of(node->op) != BFI_CLASS_STRUCTURAL) return BF_STATUS_OK;
    out->parts = bfi_calloc((size_t)node->n_inputs, sizeof *out->parts);
    bf_status status = out->parts ? BF_STATUS_OK : bfi_fail_memory(err);
    for (int i = 0; i < node->n_inputs && status == BF_STATUS_OK; i++)
        status = bfi_node_sparse(graph, id, i, &out->parts[i], err);
    if (status != BF_STATUS_OK) bfi_affine_close(out);
    return status;
}

void bfi_affine_close(bfi_affine *affine) {
    for (int i = 0; affine->parts && i < affine->graph->nodes[affine->id].n_inputs; i++)
        bfi_sparse_clear(&affine->parts[i]);
    free(affine->parts);
    free(affine->terms);
    *affine = (bfi_affine){0};
}

static bool add(bfi_affine *a, bfi_affine_sum *sum, int value, int64_t element, double coef) {
    if (coef == 0) return true;
    if (!bfi_grow((void **)&a->terms, &a->room, sum->count + 1, sizeof *a->terms)) return false;
    a->terms[sum->count++] = (bfi_affine_term){value, element, coef};
    sum->terms = a->terms;
    return true;
}

/* What a float32 evaluation of |terms| products and a bias may be off, in any order. */
static void count_roundings(const bfi_affine *a, bfi_affine_sum *sum, double terms) {
    if (a->exec_rel == 0) return;
    sum->rel = bfi_add_up(sum->rel, bfi_gamma(terms + 1, a->exec_rel));
    sum->abs = bfi_add_up(sum->abs, (terms + 1) * a->exec_abs);
}

static double number(const bfi_numbers *numbers, int64_t index) {
    return numbers->count ? numbers->data[index] : 0;
}

/* The bias of output feature or channel |index|, and what both it and the weights lack. */
static void add_bias(const bfi_node *node, bfi_affine_sum *sum, int64_t index) {
    sum->constant = number(&node->bias, index);
    sum->abs = number(&node->bias_error, index);
    sum->rel = BF_U64 * node->attrs.const_ulps;
}

static bool sum_linear(bfi_affine *a, const bfi_node *node, int64_t element, bfi_affine_sum *sum) {
    int64_t k = node->attrs.k, row = element / node->attrs.n, feature = element % node->attrs.n;
    const double *weight = node->weight.data + feature * k;
    bool ok = true;
    add_bias(node, sum, feature);
    for (int64_t i = 0; i < k && ok; i++) ok = add(a, sum, node->inputs[0], row * k + i, weight[i]);
    count_roundings(a, sum, (double)k);
    return ok;
}

/* The element along one axis that meets output |o| at |tap|, -1: none. */
static int64_t position(bool transposed, int64_t o, int64_t tap, int64_t stride, int64_t dil,
                        int64_t pad, int64_t n) {
    int64_t at = transposed ? o + pad - tap * dil : o * stride - pad + tap * dil;
    if (transposed && (at < 0 || at % stride != 0)) return -1;
    if (transposed) at /= stride;
    return at >= 0 && at < n ? at : -1;
}

static bool sum_conv(bfi_affine *a, const bfi_node *node, int64_t element, bfi_affine_sum *sum) {
    const bfi_window *w = &node->attrs.window;
    bool transposed = node->op == BFI_OP_CONV_TRANSPOSE, ok = true;
    int64_t channel = element / (w->h_out * w->w_out), oy = element / w->w_out % w->h_out,
            ox = element % w->w_out;
    int64_t inner = w->c_in / w->groups, outer = w->c_out / w->groups, group = channel / outer;
    add_bias(node, sum, channel);
    for (int64_t c = 0; c < inner; c++)
        for (int64_t ky = 0; ky < w->kh; ky++) {
            int64_t y = position(transposed, oy, ky, w->stride_h, w->dil_h, w->pad_top, w->h_in);
            for (int64_t kx = 0; y >= 0 && kx < w->kw && ok; kx++) {
                int64_t x =
                    position(transposed, ox, kx, w->stride_w, w->dil_w, w->pad_left, w->w_in);
                int64_t from = group * inner + c;
                int64_t plane = transposed ? from * outer + channel % outer : channel * inner + c;
                if (x >= 0)
                    ok = add(a, sum, node->inputs[0], (from * w->h_in + y) * w->w_in + x,
                             node->weight.data[(plane * w->kh + ky) * w->kw + kx]);
            }
        }
    count_roundings(a, sum, (double)(inner * w->kh * w->kw));
    return ok;
}

static bool sum_scale(bfi_affine *a, const bfi_node *node, int64_t element, bfi_affine_sum *sum) {
    add_bias(node, sum, node->bias.count ? element : 0);
    count_roundings(a, sum, node->attrs.roundings);
    return add(a, sum, node->inputs[0], element,
               node->weight.count ? node->weight.data[element] : 1);
}

static bool sum_add(bfi_affine *a, const bfi_node *node, int64_t element, bfi_affine_sum *sum) {
    count_roundings(a, sum, 1);
    return add(a, sum, node->inputs[0], element, 1) &&
           add(a, sum, node->inputs[1], element, node->op == BFI_OP_SUB ? -1 : 1);
}

static bool sum_structural(bfi_affine *a, const bfi_node *node, int64_t element,
                           bfi_affine_sum *sum) {
    bool ok = true, rounds = false;
    if (a->parts[0].fill) sum->constant = a->parts[0].fill[element];
    for (int i = 0; i < node->n_inputs; i++) {
        const bfi_sparse *m = &a->parts[i];
        rounds = rounds || m->val || m->ptr[element + 1] - m->ptr[element] > 1;
        if (m->val) sum->rel = BF_U64 * m->const_ulps;
        for (int64_t e = m->ptr[element]; e < m->ptr[element + 1] && ok; e++)
            ok = add(a, sum, node->inputs[i], m->idx[e], m->val ? m->val[e] : 1);
    }
    if (rounds) count_roundings(a, sum, (double)sum->count + 1);
    return ok;
}

static bool sum_element(bfi_affine *a, const bfi_node *node, int64_t element, bfi_affine_sum *sum) {
    switch (node->op) {
        case BFI_OP_LINEAR:
            return sum_linear(a, node, element, sum);
        case BFI_OP_CONV:
        case BFI_OP_CONV_TRANSPOSE:
            return sum_conv(a, node, element, sum);
        case BFI_OP_SCALE_SHIFT:
            return sum_scale(a, node, element, sum);
        case BFI_OP_ADD:
        case BFI_OP_SUB:
            return sum_add(a, node, element, sum);
        case BFI_OP_CONST:
            sum->constant = node->weight.data[element];
            return true;
        default:
            return sum_structural(a, node, element, sum);
    }
}

bf_status bfi_affine_element(bfi_affine *a, int64_t element, bfi_affine_sum *out, bf_error *err) {
    const bfi_node *node = &a->graph->nodes[a->id];
    assert(bfi_affine_op(node->op) && element >= 0 && element < node->count);
    *out = (bfi_affine_sum){0};
    return sum_element(a, node, element, out) ? BF_STATUS_OK : bfi_fail_memory(err);
}
