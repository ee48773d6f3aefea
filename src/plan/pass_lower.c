/* Lowering: which kernel runs each bound op, from lowering.def. */
#include <string.h>

#include "base/alloc.h"
#include "plan/pipeline.h"

typedef enum condition { ANY, POINTWISE, SELECTION } condition;

typedef struct row {
    const char *op;
    bfi_backend backend;
    const char *kernel;
    condition when;
    const char *schedule, *layout, *error;
} row;

static const row rows[] = {
#define NATIVE BFI_BACKEND_NATIVE
#define REFERENCE BFI_BACKEND_REFERENCE
#define SCALAR BFI_BACKEND_SCALAR
#define BF_LOWERING(op, backend, kernel, when, schedule, layout, error) \
    {op, backend, kernel, when, schedule, layout, error},
#include "plan/lowering.def"
#undef BF_LOWERING
#undef NATIVE
#undef REFERENCE
#undef SCALAR
};

const char *bfi_backend_name(bfi_backend backend) {
    static const char *const names[] = {"native", "reference", "scalar"};
    return names[backend];
}

const char *bfi_forward_op_name(bfi_op op) {
    switch (bfi_op_class_of(op)) {
        case BFI_CLASS_SOURCE:
            return "interval_source";
        case BFI_CLASS_WEIGHTED:
            return op == BFI_OP_LINEAR ? "interval_linear" : "interval_conv";
        case BFI_CLASS_STRUCTURAL:
            return "interval_structural";
        case BFI_CLASS_AFFINE:
        case BFI_CLASS_UNARY:
            return "interval_elementwise";
        case BFI_CLASS_ALIAS:
            return "interval_alias";
        default:
            return "interval_nonlinear";
    }
}

static bool holds(const bf_plan *plan, int node, condition when) {
    const bfi_window *w = &plan->graph->nodes[node].attrs.window;
    switch (when) {
        case POINTWISE:
            return w->kh == 1 && w->kw == 1 && w->stride_h == 1 && w->stride_w == 1;
        case SELECTION:
            return plan->constants->nodes[node].sparse_selection;
        default:
            return true;
    }
}

static bfi_lowering lower(const bf_plan *plan, const char *op, int node, int64_t depth) {
    bfi_backend asked =
        plan->options.executor == BF_EXECUTOR_REFERENCE || !strcmp(plan->kernels->isa, "ref")
            ? BFI_BACKEND_REFERENCE
            : BFI_BACKEND_NATIVE;
    const row *taken = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].op, op) || !holds(plan, node, rows[i].when)) continue;
        if (!taken || (rows[i].backend == asked && taken->backend != asked)) taken = &rows[i];
    }
    bfi_lowering l = {.op = op, .node = node, .depth = depth, .kernels = plan->kernels};
    if (!taken) return l;
    l.backend = taken->backend, l.kernel = taken->kernel, l.schedule = taken->schedule;
    l.layout = taken->layout, l.error = taken->error;
    if (taken->backend == BFI_BACKEND_REFERENCE) l.kernels = bfi_kernels_ref(plan->dtype);
    if (taken->backend != asked)
        l.reason = taken->backend == BFI_BACKEND_SCALAR
                       ? "shared scalar code: no kernel table has it"
                       : "the backend asked for has no kernel for this op";
    return l;
}

static int64_t back_depth(const bf_plan *plan, const bfi_back_op *op) {
    const bfi_node_constants *c = &plan->constants->nodes[op->node];
    int64_t n = plan->graph->nodes[op->node].count;
    switch (op->kind) {
        case BFI_BACK_LINEAR:
        case BFI_BACK_CONV:
        case BFI_BACK_SPARSE:
            return c->depth_backward;
        case BFI_BACK_BOX:
        case BFI_BACK_TRY:
        case BFI_BACK_RELAX:
            return bfi_sum_depth(n);
        case BFI_BACK_SCALE:
        case BFI_BACK_ACCUMULATE:
            return 1;
        default:
            return 0;
    }
}

bf_status bfi_pass_lower(bf_plan *plan, bf_error *err) {
    int total = plan->graph->count;
    for (int p = 0; p < plan->program_count; p++) total += plan->programs[p].op_count;
    plan->lowerings = bfi_calloc((size_t)total, sizeof *plan->lowerings);
    plan->program_lowering =
        bfi_calloc((size_t)plan->program_count, sizeof *plan->program_lowering);
    if (!plan->lowerings || !plan->program_lowering) return bfi_fail_memory(err);
    for (int id = 0; id < plan->graph->count; id++)
        plan->lowerings[plan->lowering_count++] =
            lower(plan, bfi_forward_op_name(plan->graph->nodes[id].op), id,
                  plan->constants->nodes[id].depth_forward);
    for (int p = 0; p < plan->program_count; p++) {
        plan->program_lowering[p] = plan->lowering_count;
        for (int i = 0; i < plan->programs[p].op_count; i++) {
            const bfi_back_op *op = &plan->programs[p].ops[i];
            bfi_lowering l = lower(plan, bfi_back_name(op->kind), op->node, back_depth(plan, op));
            l.program = p;
            plan->lowerings[plan->lowering_count++] = l;
        }
    }
    for (int id = 0; id < plan->graph->count; id++) plan->lowerings[id].program = -1;
    for (int i = 0; i < plan->lowering_count; i++)
        if (!plan->lowerings[i].kernel)
            return bfi_fail(err, BF_STATUS_INTERNAL, "no lowering for op %s",
                            plan->lowerings[i].op);
    return BF_STATUS_OK;
}
