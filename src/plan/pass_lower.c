/* Lowering: which kernel runs each bound op, from lowering.def. */
#include <string.h>

#include "base/alloc.h"
#include "plan/pipeline.h"

typedef enum condition { ANY, POINTWISE, SELECTION, RELAX_NEXT } condition;

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
#define TVM BFI_BACKEND_TVM
#define BF_LOWERING(op, backend, kernel, when, schedule, layout, error) \
    {op, backend, kernel, when, schedule, layout, error},
#include "plan/lowering.def"
#undef BF_LOWERING
#undef NATIVE
#undef REFERENCE
#undef SCALAR
#undef TVM
};

const char *bfi_backend_name(bfi_backend backend) {
    static const char *const names[] = {"native", "reference", "scalar", "tvm"};
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

/* What is lowered: the forward step of a node, or an op of a program. */
typedef struct subject {
    const char *op;
    int node;
    const bfi_program *program; /* NULL: forward */
    int index;
    int64_t depth;
} subject;

/* A linear op of one row whose result only the relaxation behind it reads. */
static bool relax_follows(const bf_plan *plan, const subject *s) {
    const bfi_program *p = s->program;
    if (!p || s->index + 1 >= p->op_count) return false;
    const bfi_back_op *op = &p->ops[s->index];
    return op->kind == BFI_BACK_LINEAR && plan->graph->nodes[op->node].attrs.rows == 1 &&
           op[1].kind == BFI_BACK_RELAX && op[1].a == op->out &&
           p->buffers[op->out].last == s->index + 1;
}

static bool holds(const bf_plan *plan, const subject *s, condition when) {
    const bfi_window *w = &plan->graph->nodes[s->node].attrs.window;
    switch (when) {
        case POINTWISE:
            return w->kh == 1 && w->kw == 1 && w->stride_h == 1 && w->stride_w == 1;
        case SELECTION:
            return plan->constants->nodes[s->node].sparse_selection;
        case RELAX_NEXT:
            return relax_follows(plan, s);
        default:
            return true;
    }
}

static const row *choose_row(const bf_plan *plan, const subject *s, bfi_backend asked) {
    const row *taken = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].op, s->op) || !holds(plan, s, rows[i].when)) continue;
        if (rows[i].backend == BFI_BACKEND_TVM && asked != BFI_BACKEND_TVM) continue;
        if (!taken || (rows[i].backend == asked && taken->backend != asked)) taken = &rows[i];
    }
    return taken;
}

/* The kernel table of |plan|: the reference one, or one of an instruction set. */
static bfi_backend table_backend(const bf_plan *plan) {
    return plan->options.executor == BF_EXECUTOR_REFERENCE || !strcmp(plan->kernels->isa, "ref")
               ? BFI_BACKEND_REFERENCE
               : BFI_BACKEND_NATIVE;
}

static bfi_lowering lower(const bf_plan *plan, const subject *s, bfi_backend asked) {
    const row *taken = choose_row(plan, s, asked);
    bfi_lowering l = {
        .op = s->op, .node = s->node, .program = -1, .depth = s->depth, .kernels = plan->kernels};
    if (!taken) return l;
    l.backend = taken->backend, l.kernel_name = taken->kernel, l.schedule = taken->schedule;
    l.layout = taken->layout, l.error = taken->error;
    l.fuses = taken->when == RELAX_NEXT;
    if (taken->backend == BFI_BACKEND_REFERENCE) l.kernels = bfi_kernels_ref(plan->dtype);
    bool best = plan->options.executor == BF_EXECUTOR_AUTO && taken->backend == table_backend(plan);
    if (taken->backend != asked && !best)
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
        case BFI_BACK_PLANE:
            return bfi_sum_depth(n);
        case BFI_BACK_SCALE:
        case BFI_BACK_ACCUMULATE:
        case BFI_BACK_MOMENTS:
        case BFI_BACK_LINEARIZE:
            return 1;
        default:
            return 0;
    }
}

static subject subject_of(const bf_plan *plan, int program, int index) {
    if (program < 0)
        return (subject){.op = bfi_forward_op_name(plan->graph->nodes[index].op),
                         .node = index,
                         .depth = plan->constants->nodes[index].depth_forward};
    const bfi_program *p = &plan->programs[program];
    return (subject){.op = bfi_back_name(p->ops[index].kind),
                     .node = p->ops[index].node,
                     .program = p,
                     .index = index,
                     .depth = back_depth(plan, &p->ops[index])};
}

/* The lowering of |program|'s op |index| (program -1: of node |index|). */
static bfi_lowering *lowering_at(const bf_plan *plan, int program, int index) {
    return &plan->lowerings[program < 0 ? index : plan->program_lowering[program] + index];
}

static bf_status lower_one(bf_plan *plan, int program, int index, bfi_backend asked,
                           bf_error *err) {
    subject s = subject_of(plan, program, index);
    bfi_lowering l = lower(plan, &s, asked);
    l.program = program;
    *lowering_at(plan, program, index) = l;
    if (l.kernel_name) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_INTERNAL, "no lowering for op %s", l.op);
}

/* An op whose kernels could not be had runs on the kernel table instead. */
static bf_status fall_back(bf_plan *plan, int program, int index, bfi_backend asked,
                           bf_error *err) {
    (void)asked;
    bfi_lowering *l = lowering_at(plan, program, index);
    bool forced = plan->options.executor == BF_EXECUTOR_TVM;
    if (l->backend != BFI_BACKEND_TVM || !*l->why) return BF_STATUS_OK;
    if (forced && bfi_compiler_strict(plan->session))
        return bfi_fail(err, BF_STATUS_UNSUPPORTED,
                        "executor tvm, strict: %s of layer %s has no kernel: %s", l->op,
                        plan->graph->nodes[l->node].name, l->why);
    bfi_lowering tried = *l;
    bf_status status = lower_one(plan, program, index, table_backend(plan), err);
    memcpy(l->why, tried.why, sizeof l->why);
    l->reason = forced ? l->why : NULL; /* auto was asked for what runs best */
    return status;
}

/* Applies |act| to every op, nodes first. */
static bf_status for_all(bf_plan *plan, bfi_backend asked,
                         bf_status (*act)(bf_plan *, int, int, bfi_backend, bf_error *),
                         bf_error *err) {
    bf_status status = BF_STATUS_OK;
    for (int id = 0; id < plan->graph->count && status == BF_STATUS_OK; id++)
        status = act(plan, -1, id, asked, err);
    for (int p = 0; p < plan->program_count; p++)
        for (int i = 0; i < plan->programs[p].op_count && status == BF_STATUS_OK; i++)
            status = act(plan, p, i, asked, err);
    return status;
}

bf_status bfi_pass_lower(bf_plan *plan, bf_error *err) {
    int total = plan->graph->count;
    plan->program_lowering =
        bfi_calloc((size_t)plan->program_count, sizeof *plan->program_lowering);
    if (!plan->program_lowering) return bfi_fail_memory(err);
    for (int p = 0; p < plan->program_count; p++) {
        plan->program_lowering[p] = total;
        total += plan->programs[p].op_count;
    }
    plan->lowerings = bfi_calloc((size_t)total, sizeof *plan->lowerings);
    if (!plan->lowerings) return bfi_fail_memory(err);
    plan->lowering_count = total;
    bf_executor executor = plan->options.executor;
    bool tvm = executor == BF_EXECUTOR_TVM || executor == BF_EXECUTOR_AUTO;
    if (table_backend(plan) == BFI_BACKEND_REFERENCE && executor == BF_EXECUTOR_AUTO) tvm = false;
    bfi_backend asked = tvm ? BFI_BACKEND_TVM : table_backend(plan);
    bf_status status = for_all(plan, asked, lower_one, err);
    if (status == BF_STATUS_OK && tvm)
        status = bfi_compiler_lower(plan, executor == BF_EXECUTOR_AUTO, err);
    if (status == BF_STATUS_OK && tvm) status = for_all(plan, asked, fall_back, err);
    return status;
}
