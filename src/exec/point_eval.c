#include "exec/point_eval.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "exec/point_internal.h"

/* Work between two looks at the budget: a few milliseconds on one core. */
#define SLICE_FLOPS 1e8

static int64_t stride_of(int64_t lanes) {
    return (lanes + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
}

static bool is_alias(const bfi_node *node) { return bfi_op_class_of(node->op) == BFI_CLASS_ALIAS; }

/* Elements per point: a value and an adjoint of every node, and the scratch. */
static bool count_elements(const bfi_graph *graph, size_t *total) {
    size_t largest = 0;
    *total = 0;
    for (int id = 0; id < graph->count; id++) {
        size_t count = (size_t)graph->nodes[id].count;
        if (count > largest) largest = count;
        if (is_alias(&graph->nodes[id])) continue;
        if (!bfi_add_size(*total, 2 * count, total)) return false;
    }
    return bfi_add_size(*total, largest, total);
}

size_t bfi_point_eval_bytes(const bfi_graph *graph, int64_t lanes) {
    size_t bytes;
    if (!count_elements(graph, &bytes)) return SIZE_MAX;
    if (!bfi_mul_size(bytes, (size_t)stride_of(lanes) * sizeof(float), &bytes)) return SIZE_MAX;
    return bytes;
}

/* Where a gradient can come through: floor and sign stop it, constants have none. */
static bool passes_gradient(const bfi_point_eval *eval, const bfi_node *node) {
    if (node->op == BFI_OP_INPUT) return true;
    if (node->op == BFI_OP_FLOOR || node->op == BFI_OP_SIGN) return false;
    for (int i = 0; i < node->n_inputs; i++)
        if (eval->needed[node->inputs[i]]) return true;
    return false;
}

static void carve(bfi_point_eval *eval) {
    float *next = eval->memory;
    int64_t largest = 0;
    for (int id = 0; id < eval->graph->count; id++) {
        const bfi_node *node = &eval->graph->nodes[id];
        if (node->count > largest) largest = node->count;
        eval->needed[id] = passes_gradient(eval, node);
        eval->root[id] = is_alias(node) ? eval->root[node->inputs[0]] : id;
        if (is_alias(node)) {
            eval->value[id] = eval->value[eval->root[id]];
            eval->adjoint[id] = eval->adjoint[eval->root[id]];
            continue;
        }
        eval->value[id] = next;
        eval->adjoint[id] = next + node->count * eval->room;
        next += 2 * node->count * eval->room;
    }
    eval->scratch = next;
}

bf_status bfi_point_eval_create(const bfi_graph *graph, const bfi_constants *constants,
                                const bfi_kernels *kernels, int64_t lanes, bfi_point_eval **out,
                                bf_error *err) {
    assert(lanes >= 1 && constants->dtype == BFI_F32 && kernels->dtype == BFI_F32);
    size_t n = (size_t)graph->count, bytes = bfi_point_eval_bytes(graph, lanes);
    bfi_point_eval *eval = bfi_calloc(1, sizeof *eval);
    if (!eval) return bfi_fail_memory(err);
    eval->graph = graph;
    eval->constants = constants;
    eval->kernels = kernels;
    eval->room = stride_of(lanes);
    eval->root = bfi_calloc(n, sizeof *eval->root);
    eval->needed = bfi_calloc(n, sizeof *eval->needed);
    eval->started = bfi_calloc(n, sizeof *eval->started);
    eval->value = bfi_calloc(n, sizeof *eval->value);
    eval->adjoint = bfi_calloc(n, sizeof *eval->adjoint);
    eval->leak = bfi_calloc((size_t)eval->room, sizeof *eval->leak);
    eval->memory = bfi_alloc_aligned(bytes);
    if (!eval->root || !eval->needed || !eval->started || !eval->value || !eval->adjoint ||
        !eval->leak || !eval->memory) {
        bfi_point_eval_free(eval);
        return bfi_fail_memory(err);
    }
    memset(eval->memory, 0, bytes);
    carve(eval);
    bfi_point_eval_resize(eval, lanes);
    *out = eval;
    return BF_STATUS_OK;
}

void bfi_point_eval_free(bfi_point_eval *eval) {
    if (!eval) return;
    free(eval->root);
    free(eval->needed);
    free(eval->started);
    free(eval->value);
    free(eval->adjoint);
    free(eval->leak);
    free(eval->memory);
    free(eval);
}

int64_t bfi_point_eval_resize(bfi_point_eval *eval, int64_t lanes) {
    int64_t ls = stride_of(lanes);
    assert(lanes >= 1 && ls <= eval->room);
    if (ls == eval->ls) return ls;
    eval->ls = ls;
    for (int id = 0; id < eval->graph->count; id++) {
        const bfi_node *node = &eval->graph->nodes[id];
        if (node->op != BFI_OP_CONST) continue;
        const float *from = eval->constants->nodes[id].bias;
        for (int64_t j = 0; j < node->count; j++)
            for (int64_t l = 0; l < ls; l++) eval->value[id][j * ls + l] = from[j];
    }
    return ls;
}

float *bfi_point_eval_input(bfi_point_eval *eval) { return eval->value[0]; }
const float *bfi_point_eval_value(const bfi_point_eval *eval, int id) { return eval->value[id]; }
const float *bfi_point_eval_output(const bfi_point_eval *eval) {
    return eval->value[eval->graph->output];
}
float *bfi_point_eval_seed(bfi_point_eval *eval) { return eval->adjoint[eval->graph->output]; }
float *bfi_point_eval_gradient(bfi_point_eval *eval) { return eval->adjoint[0]; }
float *bfi_point_eval_leak(bfi_point_eval *eval) { return eval->leak; }

static int64_t per_slice(double flops_each) {
    double n = SLICE_FLOPS / (flops_each + 1);
    return n < 1 ? 1 : n > 1e9 ? (int64_t)1e9 : (int64_t)n;
}

bf_status bfi_point_linear(const bfi_point_eval *eval, const bfi_packed *w, int64_t rows,
                           const float *in, float *out, const bfi_budget *budget) {
    int64_t ls = eval->ls;
    int64_t slice = per_slice(2.0 * BF_PACK * (double)w->k * (double)ls) * BF_PACK;
    bf_status status = bfi_budget_check(budget);
    for (int64_t r = 0; r < rows && status == BF_STATUS_OK; r++)
        for (int64_t m = 0; m < w->m && status == BF_STATUS_OK; m += slice) {
            int64_t end = w->m - m < slice ? w->m : m + slice;
            eval->kernels->linear(w, m, end, in + r * w->k * ls, out + r * w->m * ls, ls, ls);
            status = bfi_budget_check(budget);
        }
    return status;
}

bf_status bfi_point_conv(const bfi_point_eval *eval, const bfi_conv *c, const float *in, float *out,
                         const bfi_budget *budget) {
    double outputs = (double)(c->w_dst * c->c_dst * c->groups * eval->ls);
    int64_t slice = per_slice(2.0 * outputs * (double)(c->c_src * c->kh * c->kw));
    bf_status status = bfi_budget_check(budget);
    for (int64_t y = 0; y < c->h_dst && status == BF_STATUS_OK; y += slice) {
        int64_t end = c->h_dst - y < slice ? c->h_dst : y + slice;
        eval->kernels->conv(c, y, end, in, out, eval->ls, eval->ls);
        status = bfi_budget_check(budget);
    }
    return status;
}

int64_t bfi_point_next_tap(bfi_point_taps *taps) {
    const bfi_window *w = taps->w;
    while (taps->tap < w->kh * w->kw) {
        int64_t ky = taps->tap / w->kw, kx = taps->tap % w->kw;
        int64_t y = taps->oy * w->stride_h - w->pad_top + ky * w->dil_h;
        int64_t x = taps->ox * w->stride_w - w->pad_left + kx * w->dil_w;
        taps->tap++;
        if (y >= 0 && y < w->h_in && x >= 0 && x < w->w_in) return y * w->w_in + x;
    }
    return -1;
}
