#include "domain/linear/adjoint.h"

#include <assert.h>

#include "base/alloc.h"

typedef struct adjoint {
    const bfi_graph *graph;
    bfi_program *program;
    const bfi_back_op **rule; /* by node: the op that crossed it (structural: input 0's), NULL */
    bool *wanted;             /* by node: something reads its value */
    bool *mixed;              /* by node: wanted, or the outputs are made from it */
    bool *done;               /* by node: its op is there */
    int *value;               /* by node: buffer of its value, -1: none */
    bool failed;              /* out of memory */
} adjoint;

/* Lanes choose lines of the function, or, where they are rows of a spec, may split its range. */
static bool is_watched(const adjoint *a, const bfi_back_op *op) {
    if (op->kind == BFI_BACK_POOL) return a->program->spec;
    return op->kind == BFI_BACK_RELAX &&
           (op->b >= 0 || a->program->spec ||
            (a->program->shared && bfi_slope_vectors(&a->graph->nodes[op->node]) > 0));
}

/* The ops that stand for nodes on the way back; the program's array may move when ops are added, so
 * they are copies. */
static void find_rules(adjoint *a, const bfi_back_op *ops, int count) {
    for (int i = 0; i < count; i++)
        if (bfi_back_crosses(&ops[i])) a->rule[ops[i].node] = &ops[i];
}

/* Inputs of watched functions, and what their values are made from. */
static void find_wanted(adjoint *a) {
    for (int id = a->graph->count - 1; id >= 0; id--) {
        const bfi_node *node = &a->graph->nodes[id];
        bool alias = bfi_op_class_of(node->op) == BFI_CLASS_ALIAS;
        const bfi_back_op *op = a->rule[id];
        bool passes = alias
                          ? a->wanted[id]
                          : op && op->kind != BFI_BACK_BOX && (a->wanted[id] || is_watched(a, op));
        for (int i = 0; passes && i < node->n_inputs; i++) a->wanted[node->inputs[i]] = true;
    }
}

/* What the outputs are made from, where lanes may mix rows. */
static void find_mixed(adjoint *a) {
    a->mixed[a->program->target] = a->program->spec && !a->program->shared;
    for (int id = a->graph->count - 1; id >= 0; id--) {
        const bfi_node *node = &a->graph->nodes[id];
        const bfi_back_op *op = a->rule[id];
        a->mixed[id] = a->mixed[id] || a->wanted[id];
        bool passes =
            bfi_op_class_of(node->op) == BFI_CLASS_ALIAS || (op && op->kind != BFI_BACK_BOX);
        for (int i = 0; a->mixed[id] && passes && i < node->n_inputs; i++)
            a->mixed[node->inputs[i]] = true;
    }
}

static int emit(adjoint *a, bfi_back_op op) {
    if (op.out == -1) op.out = bfi_program_add_buffer(a->program, a->graph->nodes[op.node].count);
    if (op.out < 0 || bfi_program_add_op(a->program, op) < 0) a->failed = true;
    return op.out;
}

static int emit_sparse(adjoint *a, int id) {
    const bfi_node *node = &a->graph->nodes[id];
    int sum = -1;
    for (int which = 0; which < node->n_inputs; which++) {
        int part = emit(a, (bfi_back_op){BFI_BACK_ADJOINT_SPARSE, id, which,
                                         a->value[node->inputs[which]], -1, -1, -1});
        sum = which == 0 ? part
                         : emit(a, (bfi_back_op){BFI_BACK_ADJOINT_ADD, id, 0, sum, part, -1, -1});
    }
    return sum;
}

/* The plane that the lane took, at the values of both operands. */
static int emit_plane(adjoint *a, const bfi_back_op *op) {
    const bfi_node *node = &a->graph->nodes[op->node];
    int part[2];
    for (int which = 0; which < 2; which++)
        part[which] = emit(a, (bfi_back_op){BFI_BACK_ADJOINT_PLANE, op->node, which,
                                            a->value[node->inputs[which]], op->a, -1, -1});
    return emit(a, (bfi_back_op){BFI_BACK_ADJOINT_ADD, op->node, 0, part[0], part[1], -1, -1});
}

/* An activation's value may be wanted by nobody: its gradient alone is. */
static int emit_relax(adjoint *a, const bfi_back_op *op, int z) {
    bfi_back_op step = {BFI_BACK_ADJOINT_RELAX, op->node, 0, z, op->a, -1, op->b};
    if (a->mixed[op->node]) return emit(a, step);
    if (bfi_program_add_op(a->program, step) < 0) a->failed = true;
    return -1;
}

static int emit_value(adjoint *a, int id, const bfi_back_op *op) {
    const bfi_node *node = &a->graph->nodes[id];
    int z = node->n_inputs > 0 ? a->value[node->inputs[0]] : -1;
    assert(op->kind == BFI_BACK_BOX || z >= 0);
    switch (op->kind) {
        case BFI_BACK_BOX:
            return emit(a, (bfi_back_op){BFI_BACK_CORNER, id, 0, op->a, -1, -1, -1});
        case BFI_BACK_LINEAR:
            return emit(a, (bfi_back_op){BFI_BACK_ADJOINT_LINEAR, id, 0, z, -1, -1, -1});
        case BFI_BACK_CONV:
            return emit(a, (bfi_back_op){BFI_BACK_ADJOINT_CONV, id, 0, z, -1, -1, -1});
        case BFI_BACK_SCALE:
            return emit(a, (bfi_back_op){BFI_BACK_ADJOINT_SCALE, id, 0, z, -1, -1, -1});
        case BFI_BACK_SPARSE:
            return emit_sparse(a, id);
        case BFI_BACK_RELAX:
            return emit_relax(a, op, z);
        case BFI_BACK_PLANE:
            return emit_plane(a, op);
        case BFI_BACK_POOL:
            return emit(a, (bfi_back_op){BFI_BACK_ADJOINT_POOL, id, 0, z, op->a, -1, -1});
        default:
            return emit(a, (bfi_back_op){
                               node->op == BFI_OP_SUB ? BFI_BACK_ADJOINT_SUB : BFI_BACK_ADJOINT_ADD,
                               id, 0, z, a->value[node->inputs[1]], -1, -1});
    }
}

/* Values of nodes that |of| lists and that are not there yet, and what is watched. */
static void emit_values(adjoint *a, const bool *of) {
    for (int id = 0; id < a->graph->count && !a->failed; id++) {
        const bfi_back_op *op = a->rule[id];
        bool alias = bfi_op_class_of(a->graph->nodes[id].op) == BFI_CLASS_ALIAS;
        if (a->done[id]) continue;
        if (alias && of[id]) a->value[id] = a->value[a->graph->nodes[id].inputs[0]];
        a->done[id] = !alias && op && (of[id] || is_watched(a, op));
        if (a->done[id]) a->value[id] = emit_value(a, id, op);
    }
}

/* The outputs, and the step of the weights of their rows. */
static void emit_mix(adjoint *a) {
    bfi_program *p = a->program;
    p->mix = p->op_count;
    if (a->failed || !a->mixed[p->target]) return;
    emit_values(a, a->mixed);
    bfi_back_op step = {BFI_BACK_ADJOINT_SPEC, p->target, 0, a->value[p->target], -1, -1, -1};
    if (!a->failed && bfi_program_add_op(p, step) < 0) a->failed = true;
}

bf_status bfi_linear_emit_adjoint(const bfi_graph *graph, bfi_program *program, bf_error *err) {
    size_t count = (size_t)graph->count, ops = (size_t)program->op_count;
    adjoint a = {.graph = graph, .program = program};
    bfi_back_op *copies = bfi_malloc(ops, sizeof *copies);
    a.rule = bfi_calloc(count, sizeof(const bfi_back_op *));
    a.wanted = bfi_calloc(count, sizeof *a.wanted);
    a.mixed = bfi_calloc(count, sizeof *a.mixed);
    a.done = bfi_calloc(count, sizeof *a.done);
    a.value = bfi_malloc(count, sizeof *a.value);
    a.failed = !copies || !a.rule || !a.wanted || !a.mixed || !a.done || !a.value;
    program->adjoint = program->mix = program->op_count;
    if (!a.failed) {
        for (size_t i = 0; i < ops; i++) copies[i] = program->ops[i];
        for (size_t id = 0; id < count; id++) a.value[id] = -1;
        find_rules(&a, copies, program->op_count);
        find_wanted(&a);
        find_mixed(&a);
        emit_values(&a, a.wanted);
        emit_mix(&a);
    }
    free(copies);
    free(a.rule);
    free(a.wanted);
    free(a.mixed);
    free(a.done);
    free(a.value);
    return a.failed ? bfi_fail_memory(err) : BF_STATUS_OK;
}
