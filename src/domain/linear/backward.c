#include "domain/linear/backward.h"

#include <assert.h>

#include "base/alloc.h"
#include "domain/linear/adjoint.h"

typedef struct emitter {
    const bfi_graph *graph;
    bfi_program *program;
    bfi_emit_options options;
    int *live;     /* buffer with the coefficients at each value, -1: none yet */
    int *slopes;   /* buffer with the slopes of each activation, -1: none */
    bool *crossed; /* a weighted op lies between the value and the spec */
    int moments;   /* buffer with the coefficients of second-order terms, -1: none yet */
    bool failed;   /* out of memory */
} emitter;

typedef void (*rule)(emitter *e, int id, int a);

static int new_buffer(emitter *e, int value) {
    int buffer = bfi_program_add_buffer(e->program, e->graph->nodes[value].count);
    if (buffer < 0) e->failed = true;
    return buffer;
}

static void emit(emitter *e, bfi_back_op op) {
    if (bfi_program_add_op(e->program, op) < 0) e->failed = true;
}

/* Adds |buffer| to what has already arrived at |value|. */
static void contribute(emitter *e, int from, int value, int buffer) {
    assert(value < from);
    bool weighted = bfi_op_class_of(e->graph->nodes[from].op) == BFI_CLASS_WEIGHTED;
    e->crossed[value] = e->crossed[value] || e->crossed[from] || weighted;
    if (e->live[value] < 0) {
        e->live[value] = buffer;
        return;
    }
    int sum = new_buffer(e, value);
    emit(e, (bfi_back_op){BFI_BACK_ACCUMULATE, value, 0, e->live[value], buffer, sum, -1});
    e->live[value] = sum;
}

/* Ops with one input whose coefficients are transformed into a new buffer. */
static void emit_through(emitter *e, int id, int a, bfi_back_kind kind) {
    assert(e->graph->nodes[id].n_inputs == 1);
    int input = e->graph->nodes[id].inputs[0];
    int out = new_buffer(e, input);
    emit(e, (bfi_back_op){kind, id, 0, a, -1, out, -1});
    contribute(e, id, input, out);
}

static void emit_linear(emitter *e, int id, int a) { emit_through(e, id, a, BFI_BACK_LINEAR); }
static void emit_conv(emitter *e, int id, int a) { emit_through(e, id, a, BFI_BACK_CONV); }

static void emit_relax(emitter *e, int id, int a) {
    emit_through(e, id, a, BFI_BACK_RELAX);
    /* the op before a possible accumulation */
    int last = e->program->op_count - 1;
    if (!e->failed && e->program->ops[last].kind == BFI_BACK_ACCUMULATE) last--;
    if (!e->failed) e->program->ops[last].b = e->slopes[id];
}

/* The coefficients of a product, or of a maximum, go to both operands. */
static void emit_plane(emitter *e, int id, int a) {
    const bfi_node *node = &e->graph->nodes[id];
    for (int which = 0; which < 2; which++) {
        int out = new_buffer(e, node->inputs[which]);
        emit(e, (bfi_back_op){BFI_BACK_PLANE, id, which, a, -1, out, -1});
        contribute(e, id, node->inputs[which], out);
    }
    if (!e->options.curved || !e->options.curved[id]) return;
    int64_t count = bfi_moment_count(e->graph->nodes[0].count);
    int sum = bfi_program_add_buffer(e->program, count);
    if (sum < 0) e->failed = true;
    emit(e, (bfi_back_op){BFI_BACK_MOMENTS, id, 0, a, e->moments, sum, -1});
    e->moments = sum;
}

static void emit_pool(emitter *e, int id, int a) { emit_through(e, id, a, BFI_BACK_POOL); }

static void emit_sparse(emitter *e, int id, int a) {
    const bfi_node *node = &e->graph->nodes[id];
    for (int which = 0; which < node->n_inputs; which++) {
        int out = new_buffer(e, node->inputs[which]);
        emit(e, (bfi_back_op){BFI_BACK_SPARSE, id, which, a, -1, out, -1});
        contribute(e, id, node->inputs[which], out);
    }
}

static void emit_scale(emitter *e, int id, int a) {
    const bfi_node *node = &e->graph->nodes[id];
    if (node->weight.count) {
        emit_through(e, id, a, BFI_BACK_SCALE);
    } else {
        emit(e, (bfi_back_op){BFI_BACK_SCALE, id, 0, a, -1, -1, -1});
        contribute(e, id, node->inputs[0], a);
    }
}

static void emit_add(emitter *e, int id, int a) {
    const bfi_node *node = &e->graph->nodes[id];
    assert(node->n_inputs == 2);
    emit(e, (bfi_back_op){BFI_BACK_PASS, id, 0, a, -1, -1, -1});
    contribute(e, id, node->inputs[0], a);
    contribute(e, id, node->inputs[1], a);
}

static void emit_sub(emitter *e, int id, int a) {
    const bfi_node *node = &e->graph->nodes[id];
    assert(node->n_inputs == 2);
    emit(e, (bfi_back_op){BFI_BACK_PASS, id, 0, a, -1, -1, -1});
    int out = new_buffer(e, id);
    emit(e, (bfi_back_op){BFI_BACK_NEGATE, id, 0, a, -1, out, -1});
    contribute(e, id, node->inputs[0], a);
    contribute(e, id, node->inputs[1], out);
}

static void emit_alias(emitter *e, int id, int a) {
    contribute(e, id, e->graph->nodes[id].inputs[0], a);
}

/* Of the network's input, which is the last: second-order terms are terms of its elements. */
static void emit_box(emitter *e, int id, int a) {
    if (id == 0 && e->moments >= 0) {
        int out = new_buffer(e, id);
        emit(e, (bfi_back_op){BFI_BACK_LINEARIZE, id, 0, a, e->moments, out, -1});
        e->moments = -1;
        a = out;
    }
    emit(e, (bfi_back_op){BFI_BACK_BOX, id, 0, a, -1, -1, -1});
}

/* A missing entry falls back to the node's interval. */
static const rule rules[BFI_OP_COUNT] = {
    [BFI_OP_INPUT] = emit_box,
    [BFI_OP_CONST] = emit_box,
    [BFI_OP_LINEAR] = emit_linear,
    [BFI_OP_CONV] = emit_conv,
    [BFI_OP_CONV_TRANSPOSE] = emit_conv,
    [BFI_OP_SCALE_SHIFT] = emit_scale,
    [BFI_OP_ADD] = emit_add,
    [BFI_OP_SUB] = emit_sub,
    [BFI_OP_RESHAPE] = emit_alias,
    [BFI_OP_TRANSPOSE] = emit_sparse,
    [BFI_OP_CONCAT] = emit_sparse,
    [BFI_OP_SLICE] = emit_sparse,
    [BFI_OP_GATHER] = emit_sparse,
    [BFI_OP_PAD] = emit_sparse,
    [BFI_OP_EXPAND] = emit_sparse,
    [BFI_OP_RESIZE] = emit_sparse,
    [BFI_OP_REDUCE_SUM] = emit_sparse,
    [BFI_OP_REDUCE_MEAN] = emit_sparse,
    [BFI_OP_AVERAGE_POOL] = emit_sparse,
    [BFI_OP_MAX_POOL] = emit_pool,
    [BFI_OP_RELU] = emit_relax,
    [BFI_OP_LEAKY_RELU] = emit_relax,
    [BFI_OP_SIGMOID] = emit_relax,
    [BFI_OP_TANH] = emit_relax,
    [BFI_OP_SIN] = emit_relax,
    [BFI_OP_COS] = emit_relax,
    [BFI_OP_EXP] = emit_relax,
    [BFI_OP_LOG] = emit_relax,
    [BFI_OP_SQRT] = emit_relax,
    [BFI_OP_RECIPROCAL] = emit_relax,
    [BFI_OP_ABS] = emit_relax,
    [BFI_OP_CLIP] = emit_relax,
    [BFI_OP_SQUARE] = emit_relax,
    [BFI_OP_MUL] = emit_plane,
    [BFI_OP_DIV] = emit_plane,
    [BFI_OP_MAX] = emit_plane,
    [BFI_OP_MIN] = emit_plane,
};

bool bfi_linear_has_rule(bfi_op op) { return rules[op] != NULL; }

/* Nothing else than |id| holds coefficients, so the functional can be concretised there. */
static bool is_frontier(const emitter *e, int id) {
    if (e->moments >= 0) return false;
    for (int below = 0; below < id; below++)
        if (e->live[below] >= 0) return false;
    return true;
}

static void seed(emitter *e, int target) {
    const bfi_node *node = &e->graph->nodes[target];
    bool linear = !e->options.spec && node->op == BFI_OP_LINEAR;
    bool conv = !e->options.spec && (node->op == BFI_OP_CONV || node->op == BFI_OP_CONV_TRANSPOSE);
    int value = linear || conv ? node->inputs[0] : target;
    bfi_back_kind kind = linear            ? BFI_BACK_SEED_LINEAR
                         : conv            ? BFI_BACK_SEED_CONV
                         : e->options.spec ? BFI_BACK_SEED_SPEC
                                           : BFI_BACK_SEED_UNIT;
    int out = new_buffer(e, value);
    emit(e, (bfi_back_op){kind, target, 0, -1, -1, out, -1});
    e->live[value] = out;
    e->crossed[value] = linear || conv;
}

static void walk(emitter *e, int target) {
    seed(e, target);
    for (int id = target; id >= 0 && !e->failed; id--) {
        int a = e->live[id];
        if (a < 0) continue;
        bfi_op op = e->graph->nodes[id].op;
        bool stop = e->options.stop_after_linear && (e->crossed[id] || bfi_op_is_nonlinear(op));
        if (e->options.try_boxes && id != target && bfi_op_is_nonlinear(op) && is_frontier(e, id))
            emit(e, (bfi_back_op){BFI_BACK_TRY, id, 0, a, -1, -1, -1});
        e->live[id] = -1;
        (stop || !rules[op] ? emit_box : rules[op])(e, id, a);
    }
}

static bf_status emit_backward(emitter *e, int target, bf_error *err) {
    size_t count = (size_t)e->graph->count;
    e->live = bfi_malloc(count, sizeof *e->live);
    e->crossed = bfi_calloc(count, sizeof *e->crossed);
    if (e->live && e->crossed) {
        for (size_t id = 0; id < count; id++) e->live[id] = -1;
        e->moments = -1;
        walk(e, target);
        assert(e->failed || e->moments < 0); /* operands of curved products lead to the input */
    } else {
        e->failed = true;
    }
    free(e->live);
    free(e->crossed);
    e->program->adjoint = e->program->mix = e->program->op_count;
    return e->failed ? bfi_fail_memory(err) : BF_STATUS_OK;
}

static bool chooses(const emitter *e, const bfi_back_op *op) {
    return op->kind == BFI_BACK_RELAX && bfi_slope_vectors(&e->graph->nodes[op->node]) > 0;
}

/* Slopes of the activations that |plain| crosses, in the order of the graph. */
static void emit_slopes(emitter *e, const bfi_program *plain) {
    for (int i = plain->op_count - 1; i >= 0 && !e->failed; i--) {
        int id = plain->ops[i].node;
        const bfi_node *node = &e->graph->nodes[id];
        if (!chooses(e, &plain->ops[i])) continue;
        e->program->shared = e->options.slopes == BFI_SLOPES_SHARED;
        if (e->program->shared) return;
        e->slopes[id] = bfi_program_add_buffer(
            e->program, bfi_slope_vectors(node) * bfi_slope_stride(node->count));
        if (e->slopes[id] < 0) e->failed = true;
        emit(e, (bfi_back_op){BFI_BACK_SLOPES, id, 0, -1, -1, e->slopes[id], -1});
    }
    e->program->loop = e->program->op_count;
}

/* Rows of a spec may be split (exec/splits.h), with or without slopes to choose. */
static bool may_split(const bfi_program *program) {
    for (int i = 0; i < program->op_count; i++)
        if (program->ops[i].kind == BFI_BACK_RELAX || program->ops[i].kind == BFI_BACK_POOL)
            return program->spec;
    return false;
}

bf_status bfi_linear_emit(const bfi_graph *graph, int target, bfi_emit_options options,
                          bfi_program *program, bf_error *err) {
    assert(program->op_count == 0 && target >= 0 && target < graph->count);
    program->target = target;
    program->spec = options.spec;
    emitter e = {.graph = graph, .program = program, .options = options};
    e.slopes = bfi_malloc((size_t)graph->count, sizeof *e.slopes);
    if (!e.slopes) return bfi_fail_memory(err);
    for (int id = 0; id < graph->count; id++) e.slopes[id] = -1;
    bf_status status = BF_STATUS_OK;
    if (options.slopes != BFI_SLOPES_NONE) {
        bfi_program plain = {0};
        emitter first = e;
        first.program = &plain;
        status = emit_backward(&first, target, err);
        if (status == BF_STATUS_OK) emit_slopes(&e, &plain);
        bfi_program_clear(&plain);
    }
    if (status == BF_STATUS_OK) status = emit_backward(&e, target, err);
    bool chosen = program->loop > 0 || program->shared;
    bool split = options.slopes == BFI_SLOPES_BY_LANE && may_split(program);
    if (status == BF_STATUS_OK && (chosen || split))
        status = bfi_linear_emit_adjoint(graph, program, err);
    free(e.slopes);
    return status;
}
