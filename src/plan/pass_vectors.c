/* Vectors: what every value keeps in the persistent part, from which step to which, and where.
 *
 * Storage is reused once the last reader has run; the interval of an elementwise op takes over its
 * operand's where that dies there. Steps of tasks that may run at the same time count as one
 * moment. */
#include <assert.h>

#include "base/alloc.h"
#include "plan/pipeline.h"
#include "plan/storage.h"

typedef struct builder {
    bf_plan *plan;
    int (*index)[BFI_ROLE_COUNT]; /* by value: vector, -1: none */
    bool failed;
} builder;

static const struct {
    const char *name;
    char element;
    size_t offset; /* of the field in bfi_value_state */
} roles[] = {
#define T 'T'
#define D 'D'
#define I 'I'
#define L 'L'
#define F 'F'
#define S 'S'
#define G 'G'
#define Q 'Q'
#define BF_VECTOR(ROLE, field, element, meaning) \
    {#field, element, offsetof(bfi_value_state, field)},
#include "plan/vector.def"
#undef BF_VECTOR
#undef T
#undef D
#undef I
#undef L
#undef F
#undef S
#undef G
#undef Q
};

const char *bfi_role_name(bfi_role role) { return roles[role].name; }

static int64_t vector_bytes(const bf_plan *plan, int value, bfi_role role) {
    char element = roles[role].element;
    bool doubles = element == 'D' || element == 'G' || element == 'Q';
    int64_t size = doubles ? 8 : element == 'I' ? 4 : (int64_t)bfi_dtype_size(plan->dtype);
    int64_t count = plan->graph->nodes[value].count;
    if (element == 'L') return bfi_align64(4 + 5 * count);
    if (element == 'F') size *= BFI_FAMILY_NUMBERS;
    if (element == 'G') size *= bfi_form_numbers(plan);
    if (element == 'Q') size *= bfi_moment_numbers(plan);
    if (element == 'S')
        count = bfi_shared_vectors(&plan->graph->nodes[value]) * bfi_slope_stride(count);
    return bfi_align64(count * size);
}

/* Float64 plans have no second copy of an interval. */
static bfi_role stored_role(const bf_plan *plan, bfi_role role) {
    if (plan->dtype == BFI_F64 && role == BFI_ROLE_LO_T) return BFI_ROLE_LO;
    if (plan->dtype == BFI_F64 && role == BFI_ROLE_HI_T) return BFI_ROLE_HI;
    return role;
}

/* |step| writes or reads the vector; made on first touch. */
static void touch(builder *b, int value, bfi_role role, int step) {
    bf_plan *plan = b->plan;
    value = bfi_value_root(plan->graph, value);
    role = stored_role(plan, role);
    assert(step >= 0 && step < plan->tasks.step_count);
    int *index = &b->index[value][role];
    if (*index < 0) {
        if (!bfi_grow((void **)&plan->vectors, &plan->vector_capacity,
                      (size_t)plan->vector_count + 1, sizeof *plan->vectors)) {
            b->failed = true;
            return;
        }
        *index = plan->vector_count++;
        plan->vectors[*index] =
            (bfi_vector){value, role, vector_bytes(plan, value, role), step, step, -1, -1};
    }
    bfi_vector *v = &plan->vectors[*index];
    assert(v->value == value && v->role == role);
    if (step < v->first) v->first = step;
    if (step > v->last) v->last = step;
}

static void touch_interval(builder *b, int value, int step) {
    touch(b, value, BFI_ROLE_LO, step);
    touch(b, value, BFI_ROLE_HI, step);
}

static bool reads_dtype(bfi_op op) {
    bfi_op_class c = bfi_op_class_of(op);
    return c == BFI_CLASS_WEIGHTED || c == BFI_CLASS_STRUCTURAL;
}

static bool has_error(const bf_plan *plan, int id) {
    const bfi_node_constants *c = &plan->constants->nodes[id];
    bool executes = plan->options.semantics == BF_SEMANTICS_FLOAT32;
    switch (bfi_op_class_of(plan->graph->nodes[id].op)) {
        case BFI_CLASS_STRUCTURAL:
            return c->depth_forward > 0 || c->depth_backward > 0 || c->bias;
        case BFI_CLASS_AFFINE:
            return plan->graph->nodes[id].op == BFI_OP_SCALE_SHIFT || executes;
        case BFI_CLASS_SOURCE:
        case BFI_CLASS_ALIAS:
            return false;
        default:
            return true;
    }
}

/* Step numbers of a value's forward step. */
static int *forward_steps(const bf_plan *plan) {
    int *forward = bfi_calloc((size_t)plan->graph->count, sizeof *forward);
    for (int i = 0; forward && i < plan->tasks.step_count; i++)
        if (plan->tasks.steps[i].kind == BFI_STEP_FORWARD) forward[plan->tasks.steps[i].node] = i;
    return forward;
}

/* Written by the value's forward step, read by |step|. */
static void touch_from(builder *b, const int *forward, int value, bfi_role role, int step) {
    touch(b, value, role, forward[bfi_value_root(b->plan->graph, value)]);
    touch(b, value, role, step);
}

/* Where an optimised program finds the lines that lanes choose from. */
static void touch_choices(builder *b, int id, int step) {
    const bf_plan *plan = b->plan;
    const bfi_node *node = &plan->graph->nodes[id];
    if (bfi_slope_vectors(node) == BFI_SLOPE_SMOOTH_VECTORS) {
        for (int i = 0; i < step; i++)
            if (plan->tasks.steps[i].kind == BFI_STEP_REFINE && plan->tasks.steps[i].node == id)
                touch(b, id, BFI_ROLE_FAMILY, i);
        touch(b, id, BFI_ROLE_FAMILY, step);
    }
    touch_interval(b, node->inputs[0], step);
}

static void touch_lines(builder *b, const int *forward, int id, int step) {
    const bfi_role lines[4] = {BFI_ROLE_S_POS, BFI_ROLE_S_NEG, BFI_ROLE_T_POS, BFI_ROLE_T_NEG};
    for (int i = 0; i < 4; i++) touch_from(b, forward, id, lines[i], step);
}

static void touch_op(builder *b, const int *forward, const bfi_program *p, int index, int step) {
    const bfi_back_op *op = &p->ops[index];
    bool outward = b->plan->outward;
    int id = op->node;
    switch (op->kind) {
        case BFI_BACK_BOX:
        case BFI_BACK_TRY:
            touch_from(b, forward, id, BFI_ROLE_LO_T, step);
            touch_from(b, forward, id, BFI_ROLE_HI_T, step);
            if (outward) touch_from(b, forward, id, BFI_ROLE_E_BOX, step);
            return;
        case BFI_BACK_ACCUMULATE:
            if (outward) touch_from(b, forward, id, BFI_ROLE_E_SUM, step);
            return;
        case BFI_BACK_SEED_LINEAR:
        case BFI_BACK_SEED_CONV:
            if (outward) touch_from(b, forward, id, BFI_ROLE_OWN, step);
            return;
        case BFI_BACK_SEED_SPEC:
            touch_interval(b, id, step);
            return;
        case BFI_BACK_SLOPES:
            touch_choices(b, id, step);
            return;
        case BFI_BACK_CORNER:
            touch_from(b, forward, id, BFI_ROLE_LO_T, step);
            touch_from(b, forward, id, BFI_ROLE_HI_T, step);
            return;
        case BFI_BACK_MOMENTS:
            touch_from(b, forward, id, BFI_ROLE_MOMENTS, step);
            touch_from(b, forward, 0, BFI_ROLE_LO, step);
            touch_from(b, forward, 0, BFI_ROLE_HI, step);
            return;
        case BFI_BACK_LINEARIZE:
            touch_from(b, forward, id, BFI_ROLE_LO, step);
            touch_from(b, forward, id, BFI_ROLE_HI, step);
            return;
        case BFI_BACK_SEED_UNIT:
        case BFI_BACK_ADJOINT_LINEAR: /* what the backward op of the node needs is there */
        case BFI_BACK_ADJOINT_CONV:
        case BFI_BACK_ADJOINT_SPARSE:
        case BFI_BACK_ADJOINT_SCALE:
        case BFI_BACK_ADJOINT_ADD:
        case BFI_BACK_ADJOINT_SUB:
        case BFI_BACK_ADJOINT_RELAX:
        case BFI_BACK_ADJOINT_PLANE:
        case BFI_BACK_ADJOINT_POOL:
        case BFI_BACK_ADJOINT_SPEC:
            return;
        case BFI_BACK_RELAX:
            touch_lines(b, forward, id, step);
            if (p->spec && bfi_program_optimises(p)) /* splits: runtime/nodes.h */
                touch_interval(b, b->plan->graph->nodes[id].inputs[0], step);
            if (p->shared && bfi_slope_vectors(&b->plan->graph->nodes[id]) > 0) {
                touch_choices(b, id, step);
                touch(b, id, BFI_ROLE_SHARED, step);
            }
            touch_from(b, forward, id, BFI_ROLE_ACTIVE, step);
            break;
        case BFI_BACK_PLANE:
            touch_lines(b, forward, id, step);
            touch_from(b, forward, id, BFI_ROLE_R_POS, step);
            touch_from(b, forward, id, BFI_ROLE_R_NEG, step);
            break;
        case BFI_BACK_POOL:
            touch_from(b, forward, id, BFI_ROLE_T_NEG, step);
            touch_from(b, forward, id, BFI_ROLE_PICK_LO, step);
            touch_from(b, forward, id, BFI_ROLE_PICK_HI, step);
            if (p->spec && bfi_program_optimises(p))
                touch_interval(b, b->plan->graph->nodes[id].inputs[0], step);
            break;
        default:
            break;
    }
    if (outward && has_error(b->plan, id)) touch_from(b, forward, id, BFI_ROLE_E, step);
}

static void touch_program(builder *b, const int *forward, int program, int step) {
    if (program < 0) return;
    const bfi_program *p = &b->plan->programs[program];
    for (int i = 0; i < p->op_count; i++) touch_op(b, forward, p, i, step);
}

/* Forward steps make affine forms from their operands', whose intervals and the input's they read.
 */
static void touch_forms(builder *b, const int *forward, int index) {
    const bf_plan *plan = b->plan;
    int id = plan->tasks.steps[index].node;
    const bfi_node *node = &plan->graph->nodes[id];
    bool reads = plan->formed[id] || plan->curved[id];
    if (plan->formed[id]) touch(b, id, BFI_ROLE_FORM, index);
    if (plan->curved[id]) touch(b, id, BFI_ROLE_MOMENTS, index);
    for (int i = 0; i < node->n_inputs && reads; i++)
        if (plan->formed[node->inputs[i]])
            touch_from(b, forward, node->inputs[i], BFI_ROLE_FORM, index);
    if (!reads) return;
    touch_from(b, forward, 0, BFI_ROLE_LO, index);
    touch_from(b, forward, 0, BFI_ROLE_HI, index);
}

/* Sums of a weighted node leave out the zeros that a relu has put into its operand. */
static void touch_nonzero(builder *b, const int *forward, int index, int value) {
    const bf_plan *plan = b->plan;
    const bfi_node *node = &plan->graph->nodes[plan->tasks.steps[index].node];
    if (bfi_sums_in_part(node, &plan->constants->nodes[plan->tasks.steps[index].node]) &&
        plan->graph->nodes[bfi_value_root(plan->graph, value)].op == BFI_OP_RELU)
        touch_from(b, forward, value, BFI_ROLE_ACTIVE, index);
}

static void touch_step(builder *b, const int *forward, int index) {
    const bf_plan *plan = b->plan;
    const bfi_step *step = &plan->tasks.steps[index];
    const bfi_node *node = &plan->graph->nodes[step->node];
    touch_interval(b, step->node, index);
    if (bfi_step_is_forward(step->kind)) {
        if (plan->moments > 0) touch_forms(b, forward, index);
        for (int i = 0; i < node->n_inputs; i++) {
            touch_interval(b, node->inputs[i], index);
            if (!reads_dtype(node->op)) continue;
            touch_nonzero(b, forward, index, node->inputs[i]);
            touch_from(b, forward, node->inputs[i], BFI_ROLE_LO_T, index);
            touch_from(b, forward, node->inputs[i], BFI_ROLE_HI_T, index);
        }
        return;
    }
    if (step->kind == BFI_STEP_BOUND || step->kind == BFI_STEP_OPTIMIZE) {
        touch(b, step->node, BFI_ROLE_ROWS, index);
        if (plan->windows[step->program].level_count > 0)
            touch(b, step->node, BFI_ROLE_STARTS, index);
    }
    if (step->kind == BFI_STEP_OPTIMIZE && plan->programs[step->program].shared) {
        touch(b, step->node, BFI_ROLE_WEIGHT, index);
        touch(b, step->node, BFI_ROLE_IDLE, index);
    }
    int programs[3];
    bfi_step_programs(plan, step, programs);
    for (int p = 0; p < 3; p++) touch_program(b, forward, programs[p], index);
}

/* Vectors that a step makes for itself. */
static bool of_one_step(bfi_role role) {
    return role == BFI_ROLE_ROWS || role == BFI_ROLE_SHARED || role == BFI_ROLE_WEIGHT ||
           role == BFI_ROLE_IDLE;
}

/* Steps that write a value again write all of its other vectors. */
static void touch_again(builder *b) {
    const bf_plan *plan = b->plan;
    for (int i = 0; i < plan->tasks.step_count; i++) {
        const bfi_step *step = &plan->tasks.steps[i];
        if (step->kind != BFI_STEP_REFINE && step->kind != BFI_STEP_OPTIMIZE) continue;
        int value = bfi_value_root(plan->graph, step->node);
        for (int role = 0; role < BFI_ROLE_COUNT; role++)
            if (b->index[value][role] >= 0 && !of_one_step((bfi_role)role))
                touch(b, value, (bfi_role)role, i);
    }
}

/* Everything but what a step makes for itself stands from the first step to the last: steps can be
 * run again from what the run left (runtime/rebase.h). */
static void touch_throughout(builder *b) {
    bf_plan *plan = b->plan;
    for (int v = 0; v < plan->vector_count; v++)
        if (!of_one_step(plan->vectors[v].role))
            plan->vectors[v].first = 0, plan->vectors[v].last = plan->tasks.step_count - 1;
}

/* The output's interval is a result; with keep_layers every value's is, and what relaxations leave
 * out stays with it: programs of all layers can be run again. */
static void touch_results(builder *b) {
    int end = b->plan->tasks.step_count - 1;
    touch_interval(b, b->plan->graph->output, end);
    for (int id = 0; b->plan->options.keep_layers && id < b->plan->graph->count; id++) {
        touch_interval(b, id, end);
        if (b->index[id][BFI_ROLE_ACTIVE] >= 0) touch(b, id, BFI_ROLE_ACTIVE, end);
    }
}

/* Elementwise steps read element j of their operand before they write element j of the result. */
static bool in_place_op(const bfi_node *node) {
    bfi_op_class c = bfi_op_class_of(node->op);
    return (c == BFI_CLASS_UNARY || node->op == BFI_OP_SCALE_SHIFT) && node->n_inputs == 1;
}

static void find_aliases(builder *b) {
    bf_plan *plan = b->plan;
    for (int i = 0; i < plan->tasks.step_count; i++) {
        const bfi_step *step = &plan->tasks.steps[i];
        const bfi_node *node = &plan->graph->nodes[step->node];
        if (step->kind != BFI_STEP_FORWARD || !in_place_op(node)) continue;
        int input = bfi_value_root(plan->graph, node->inputs[0]);
        const bfi_role ends[2] = {BFI_ROLE_LO, BFI_ROLE_HI};
        for (int e = 0; e < 2; e++) {
            bfi_vector *to = &plan->vectors[b->index[step->node][ends[e]]];
            const bfi_vector *from = &plan->vectors[b->index[input][ends[e]]];
            if (from->last == i && to->first == i && from->bytes == to->bytes)
                to->alias_of = b->index[input][ends[e]];
        }
    }
}

/* A step of a wave with several tasks may run at any moment of the wave. */
static void widen_to_waves(bf_plan *plan) {
    const bfi_task_graph *g = &plan->tasks;
    for (int t = 0; t < g->task_count;) {
        int last = t;
        while (last + 1 < g->task_count && g->tasks[last + 1].wave == g->tasks[t].wave) last++;
        int begin = g->tasks[t].first, end = g->tasks[last].first + g->tasks[last].count - 1;
        for (int v = 0; last > t && v < plan->vector_count; v++) {
            bfi_vector *vector = &plan->vectors[v];
            if (vector->first > begin && vector->first <= end) vector->first = begin;
            if (vector->last >= begin && vector->last < end) vector->last = end;
        }
        t = last + 1;
    }
}

static int alias_root(const bf_plan *plan, int v) {
    while (plan->vectors[v].alias_of >= 0) v = plan->vectors[v].alias_of;
    return v;
}

static bf_status place_vectors(bf_plan *plan, int64_t base, bf_error *err) {
    size_t n = (size_t)plan->vector_count;
    bfi_lifetime *items = bfi_calloc(n, sizeof *items);
    int *slot = bfi_calloc(n, sizeof *slot);
    bf_status status = items && slot ? BF_STATUS_OK : bfi_fail_memory(err);
    int count = 0;
    for (int v = 0; v < plan->vector_count && status == BF_STATUS_OK; v++) {
        const bfi_vector *vector = &plan->vectors[v];
        if (vector->alias_of >= 0) continue;
        slot[v] = count;
        items[count++] = (bfi_lifetime){vector->bytes, vector->first, vector->last, 0};
    }
    for (int v = 0; v < plan->vector_count && status == BF_STATUS_OK; v++) {
        bfi_lifetime *item = &items[slot[alias_root(plan, v)]];
        if (plan->vectors[v].last > item->last) item->last = plan->vectors[v].last;
    }
    int64_t height = 0;
    if (status == BF_STATUS_OK) status = bfi_storage_place(items, count, &height, err);
    for (int v = 0; v < plan->vector_count && status == BF_STATUS_OK; v++)
        plan->vectors[v].offset = base + items[slot[alias_root(plan, v)]].offset;
    plan->persistent_bytes = base + height;
    free(items);
    free(slot);
    return status;
}

/* Where workers add up the gradient of a node's shared slopes: one number per parameter. */
static void place_sums(bf_plan *plan, int id) {
    const bfi_node *node = &plan->graph->nodes[id];
    int64_t parameters = bfi_slope_vectors(node) == BFI_SLOPE_SMOOTH_VECTORS ? 2 : 1;
    plan->state[id].sums = plan->sum_count;
    plan->sum_count += parameters * bfi_slope_stride(node->count);
}

static void fill_state(bf_plan *plan) {
    plan->sum_count = 0;
    for (int id = 0; id < plan->graph->count; id++) plan->state[id].sums = -1;
    for (int id = 0; id < plan->graph->count; id++)
        for (int r = 0; r < BFI_ROLE_COUNT; r++)
            *(int64_t *)(void *)((char *)&plan->state[id] + roles[r].offset) = -1;
    for (int v = 0; v < plan->vector_count; v++) {
        const bfi_vector *vector = &plan->vectors[v];
        assert(vector->offset >= 0 && vector->offset + vector->bytes <= plan->persistent_bytes);
        bfi_value_state *state = &plan->state[vector->value];
        *(int64_t *)(void *)((char *)state + roles[vector->role].offset) = vector->offset;
        if (vector->role == BFI_ROLE_SHARED) place_sums(plan, vector->value);
        if (plan->dtype == BFI_F64 && vector->role == BFI_ROLE_LO) state->lo_t = vector->offset;
        if (plan->dtype == BFI_F64 && vector->role == BFI_ROLE_HI) state->hi_t = vector->offset;
    }
    for (int id = 0; id < plan->graph->count; id++)
        if (plan->graph->nodes[id].op == BFI_OP_RESHAPE)
            plan->state[id] = plan->state[bfi_value_root(plan->graph, id)];
}

bf_status bfi_pass_vectors(bf_plan *plan, bf_error *err) {
    size_t count = (size_t)plan->graph->count;
    builder b = {.plan = plan, .index = bfi_malloc(count, sizeof *b.index)};
    int *forward = forward_steps(plan);
    plan->state = bfi_calloc(count, sizeof *plan->state);
    bf_status status = b.index && forward && plan->state ? BF_STATUS_OK : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) {
        for (size_t id = 0; id < count; id++)
            for (int r = 0; r < BFI_ROLE_COUNT; r++) b.index[id][r] = -1;
        for (int i = 0; i < plan->tasks.step_count; i++) touch_step(&b, forward, i);
        touch_results(&b);
        touch_again(&b);
        if (plan->options.keep_layers && plan->options.method == BF_METHOD_ALPHA_CROWN)
            touch_throughout(&b);
        if (b.failed) status = bfi_fail_memory(err);
    }
    if (status == BF_STATUS_OK) {
        widen_to_waves(plan);
        find_aliases(&b);
        plan->e_flat = 0;
        plan->box_lanes = plan->e_flat + (int64_t)(count * sizeof(double));
        plan->box_state = plan->box_lanes + (int64_t)(count * sizeof(bfi_box_lanes));
        int64_t base = bfi_align64(plan->box_state + (int64_t)sizeof(bfi_box_state));
        status = place_vectors(plan, base, err);
    }
    if (status == BF_STATUS_OK) fill_state(plan);
    free(b.index);
    free(forward);
    return status;
}
