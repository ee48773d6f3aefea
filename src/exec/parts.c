#include "exec/parts.h"

#include <assert.h>

/* Part of a layer that is not worth leaving out. */
#define NEARLY_ALL 0.95

static const int32_t *list_of(const bf_plan *plan, const bf_workspace *ws, int64_t box, int node) {
    const int32_t *list = bfi_ws_ints(ws, box, plan->state[node].active);
    return list && list[0] <= NEARLY_ALL * (double)plan->graph->nodes[node].count ? list : NULL;
}

const int32_t *bfi_nonzero_elements(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                    int value) {
    return list_of(plan, ws, box, bfi_value_root(plan->graph, value));
}

const int32_t *bfi_kept_elements(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                 const bfi_program *program, int index) {
    const bfi_back_op *op = &program->ops[index];
    assert(op->kind == BFI_BACK_RELAX);
    return list_of(plan, ws, box, op->node);
}

/* Convolutions of fewer vectors of outputs multiply by zero: that is cheaper than listing what they
 * read and write, position by position. */
enum { FEW_VECTORS = 16 };

/* |op| reads the elements that a relaxation keeps alone, on a tile of |ls| lanes. */
static bool lists(const bf_plan *plan, const bfi_back_op *op, int64_t ls) {
    switch (op->kind) {
        case BFI_BACK_LINEAR:
            return plan->graph->nodes[op->node].attrs.rows == 1;
        case BFI_BACK_CONV:
            return plan->constants->nodes[op->node].conv_backward.c_dst * ls >=
                   FEW_VECTORS * BF_LANE_PAD;
        default:
            return op->kind == BFI_BACK_PASS;
    }
}

static bool reads(const bfi_back_op *op, int buffer) {
    return op->a == buffer || op->b == buffer || op->c == buffer;
}

const int32_t *bfi_active_elements(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                   const bfi_program *p, int buffer, int64_t ls) {
    int first = p->buffers[buffer].first;
    if (p->ops[first].kind != BFI_BACK_RELAX) return NULL;
    for (int i = first + 1; i <= p->buffers[buffer].last; i++) {
        const bfi_back_op *op = &p->ops[i];
        if (reads(op, buffer) && !lists(plan, op, ls)) return NULL;
    }
    return bfi_kept_elements(plan, ws, box, p, first);
}

/* The relaxation that alone reads |buffer|, or sums with it. Concretisations on the interval behind
 * it, which is zero there, and the adjoint pass, which asks for signs to choose between two lines
 * that are zero, do not count. -1: none. */
static int relaxed_by(const bfi_program *p, int buffer) {
    int found = -1, node = -1;
    for (int i = p->buffers[buffer].first + 1; i <= p->buffers[buffer].last; i++) {
        const bfi_back_op *op = &p->ops[i];
        if (!reads(op, buffer)) continue;
        bool sum = op->kind == BFI_BACK_ACCUMULATE,
             relax = op->kind == BFI_BACK_RELAX && op->a == buffer,
             signs = op->kind == BFI_BACK_ADJOINT_RELAX && op->b == buffer && op->a != buffer;
        int by = sum ? relaxed_by(p, op->out) : relax ? i : -1;
        if (by < 0 && !signs && op->kind != BFI_BACK_TRY) return -1;
        if (by >= 0) found = by;
        int reader = by >= 0 ? p->ops[by].node : op->node;
        if (node >= 0 && reader != node) return -1;
        node = reader;
    }
    return found;
}

const int32_t *bfi_wanted_elements(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                   const bfi_program *p, int buffer) {
    int by = relaxed_by(p, buffer);
    return by < 0 ? NULL : bfi_kept_elements(plan, ws, box, p, by);
}

bfi_op_part bfi_op_part_of(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                           const bfi_program *p, int index, int64_t ls) {
    const bfi_back_op *op = &p->ops[index];
    if (op->out < 0 || !lists(plan, op, ls)) return (bfi_op_part){NULL, NULL};
    return (bfi_op_part){bfi_active_elements(plan, ws, box, p, op->a, ls),
                         bfi_wanted_elements(plan, ws, box, p, op->out)};
}

double bfi_op_share(const bfi_program *p, int index, bfi_op_part part) {
    const bfi_back_op *op = &p->ops[index];
    double share = 1;
    if (part.active) share *= (double)part.active[0] / (double)p->buffers[op->a].count;
    if (part.wanted) share *= (double)part.wanted[0] / (double)p->buffers[op->out].count;
    return share;
}
