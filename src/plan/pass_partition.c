/* Partition: which values get backward programs, and the order of all steps. */
#include <assert.h>

#include "base/alloc.h"
#include "domain/linear/backward.h"
#include "plan/pipeline.h"

typedef struct facts {
    bool *box;    /* elements vary independently over an exact box */
    bool *exact;  /* every element's interval is already exact: a backward pass cannot improve it */
    bool *needed; /* input of a nonlinear op (reshapes looked through) */
} facts;

static bool all_inputs(const bfi_node *node, const bool *flag) {
    for (int i = 0; i < node->n_inputs; i++)
        if (!flag[node->inputs[i]]) return false;
    return true;
}

static bool copies_once(bfi_op op) {
    return op == BFI_OP_TRANSPOSE || op == BFI_OP_CONCAT || op == BFI_OP_SLICE || op == BFI_OP_PAD;
}

static void find_exactness(const bfi_graph *graph, facts *f) {
    for (int id = 0; id < graph->count; id++) {
        const bfi_node *node = &graph->nodes[id];
        bool box = all_inputs(node, f->box), exact = all_inputs(node, f->exact);
        bool distinct = node->n_inputs < 2; /* the same box twice is not independent */
        switch (bfi_op_class_of(node->op)) {
            case BFI_CLASS_SOURCE:
                f->box[id] = f->exact[id] = true;
                break;
            case BFI_CLASS_WEIGHTED:
                f->exact[id] = box;
                break;
            case BFI_CLASS_STRUCTURAL:
                f->box[id] = box && distinct && copies_once(node->op);
                f->exact[id] = node->op == BFI_OP_REDUCE_SUM || node->op == BFI_OP_REDUCE_MEAN ||
                                       node->op == BFI_OP_AVERAGE_POOL
                                   ? box
                                   : exact;
                break;
            case BFI_CLASS_AFFINE:
                f->box[id] = box && node->op == BFI_OP_SCALE_SHIFT;
                f->exact[id] = exact && node->op == BFI_OP_SCALE_SHIFT;
                break;
            case BFI_CLASS_ALIAS:
            case BFI_CLASS_UNARY:
                f->box[id] = box, f->exact[id] = exact;
                break;
            default:
                break;
        }
    }
}

/* The value whose elements |value| repeats or reorders: bounds of that one are bounds of both. */
static int copied_value(const bfi_graph *graph, int value) {
    for (;;) {
        const bfi_node *node = &graph->nodes[value];
        if (node->op != BFI_OP_EXPAND && node->op != BFI_OP_TRANSPOSE && node->op != BFI_OP_RESHAPE)
            return value;
        value = node->inputs[0];
    }
}

/* Marks inputs of nonlinear ops; relu_only holds for values that feed (leaky) relus and nothing
 * else nonlinear: where those are stable their relaxation is exact whatever the bounds. */
static void find_needed(const bfi_graph *graph, facts *f, bool *relu_only) {
    for (int id = 0; id < graph->count; id++) relu_only[id] = true;
    for (int id = 0; id < graph->count; id++) {
        const bfi_node *node = &graph->nodes[id];
        if (!bfi_op_is_nonlinear(node->op)) continue;
        bool kink = node->op == BFI_OP_RELU || node->op == BFI_OP_LEAKY_RELU;
        for (int i = 0; i < node->n_inputs; i++) {
            int value = copied_value(graph, node->inputs[i]);
            f->needed[value] = true;
            relu_only[value] = relu_only[value] && kink;
        }
    }
}

static bool is_affine(const bfi_graph *graph) {
    for (int id = 0; id < graph->count; id++)
        if (bfi_op_is_nonlinear(graph->nodes[id].op)) return false;
    return true;
}

static bf_status add_step(bf_plan *plan, bfi_step step, bf_error *err) {
    return bfi_task_graph_add_step(&plan->tasks, step) ? BF_STATUS_OK : bfi_fail_memory(err);
}

static bf_status add_program(bf_plan *plan, int target, bfi_emit_options options, int *out,
                             bf_error *err) {
    if (!bfi_grow((void **)&plan->programs, &plan->program_capacity,
                  (size_t)plan->program_count + 1, sizeof *plan->programs))
        return bfi_fail_memory(err);
    bfi_program *program = &plan->programs[plan->program_count];
    *program = (bfi_program){0};
    *out = plan->program_count++;
    options.curved = plan->moments > 0 ? plan->curved : NULL;
    return bfi_linear_emit(plan->graph, target, options, program, err);
}

static bf_status add_fallback_notes(bf_plan *plan, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    for (int id = 0; id < plan->graph->count && status == BF_STATUS_OK; id++) {
        const bfi_node *node = &plan->graph->nodes[id];
        if (!bfi_linear_has_rule(node->op))
            status = bfi_plan_add_note(
                plan, err, "node '%.80s' (%s): no linear rule for %s, its interval is used",
                node->name, node->onnx_op, bfi_op_name(node->op));
    }
    return status;
}

static bf_status add_steps(bf_plan *plan, const facts *f, bf_error *err) {
    const bfi_graph *graph = plan->graph;
    bfi_emit_options hidden = {.try_boxes = plan->options.intersect};
    bf_status status = BF_STATUS_OK;
    for (int id = 0; id < graph->count && status == BF_STATUS_OK; id++) {
        status = add_step(plan, (bfi_step){BFI_STEP_FORWARD, id, -1}, err);
        bool bound = plan->options.method >= BF_METHOD_CROWN && f->needed[id] && !f->exact[id];
        if (status != BF_STATUS_OK || !bound) continue;
        int program = -1;
        status = add_program(plan, id, hidden, &program, err);
        if (status == BF_STATUS_OK)
            status = add_step(plan, (bfi_step){BFI_STEP_BOUND, id, program}, err);
    }
    return status;
}

/* Adds a step with its program when that has slopes to choose. */
static bf_status add_optimize(bf_plan *plan, bfi_step_kind kind, int target, bool spec,
                              int *program, bf_error *err) {
    bool shared = kind == BFI_STEP_OPTIMIZE && plan->options.intermediate == BF_INTERMEDIATE_SHARED;
    bfi_slopes slopes = shared ? BFI_SLOPES_SHARED : BFI_SLOPES_BY_LANE;
    bfi_emit_options options = {
        .spec = spec, .try_boxes = plan->options.intersect, .slopes = slopes};
    bf_status status = add_program(plan, target, options, program, err);
    if (status != BF_STATUS_OK) return status;
    if (!bfi_program_optimises(&plan->programs[*program])) {
        bfi_program_clear(&plan->programs[--plan->program_count]);
        *program = -1;
    }
    bool separate = kind == BFI_STEP_OPTIMIZE || spec;
    if (*program < 0 || !separate) return BF_STATUS_OK;
    return add_step(plan, (bfi_step){kind, spec ? plan->graph->output : target, *program}, err);
}

/* Bounded values whose forward step would overwrite what CROWN found; other steps keep the better.
 */
static bool is_bounded(const bf_plan *plan, int count, int node) {
    const bfi_task_graph *tasks = &plan->tasks;
    bfi_op_class c = bfi_op_class_of(plan->graph->nodes[node].op);
    if (c != BFI_CLASS_WEIGHTED && c != BFI_CLASS_STRUCTURAL) return false;
    for (int i = 0; i < count; i++)
        if (tasks->steps[i].kind == BFI_STEP_BOUND && tasks->steps[i].node == node) return true;
    return false;
}

/* Everything again after CROWN, from the intervals that it left: each bounded layer is optimised
 * with those below it final. Bounded linear layers keep their error terms, which stand, for the
 * intervals that they read only shrink. */
static bf_status add_alpha_steps(bf_plan *plan, bf_error *err) {
    const bfi_task_graph *tasks = &plan->tasks;
    int count = tasks->step_count, unused;
    bf_status status = BF_STATUS_OK;
    for (int i = 0; i < count && status == BF_STATUS_OK; i++) {
        bfi_step step = tasks->steps[i];
        bool source = bfi_op_class_of(plan->graph->nodes[step.node].op) == BFI_CLASS_SOURCE;
        if (step.kind == BFI_STEP_FORWARD && !source && !is_bounded(plan, count, step.node))
            status = add_step(plan, (bfi_step){BFI_STEP_REFINE, step.node, -1}, err);
        if (step.kind == BFI_STEP_BOUND && plan->options.intermediate != BF_INTERMEDIATE_FIXED)
            status = add_optimize(plan, BFI_STEP_OPTIMIZE, step.node, false, &unused, err);
    }
    int output = plan->graph->output;
    if (status == BF_STATUS_OK)
        status = add_optimize(plan, BFI_STEP_OPTIMIZE_SPEC, output, true, &plan->alpha_spec_program,
                              err);
    if (status == BF_STATUS_OK)
        status = add_optimize(plan, BFI_STEP_OPTIMIZE_SPEC, bfi_value_root(plan->graph, output),
                              false, &plan->alpha_output_program, err);
    if (plan->alpha_spec_program < 0) plan->alpha_output_program = -1;
    return status;
}

/* True when |spec| concretises at the one place where |interval| does. */
static bool covers(const bfi_program *spec, const bfi_program *interval) {
    int boxes = 0, node = -1;
    for (int i = 0; i < interval->op_count; i++)
        if (interval->ops[i].kind == BFI_BACK_BOX) boxes++, node = interval->ops[i].node;
    bool found = false;
    for (int i = 0; i < spec->op_count; i++) {
        bfi_back_kind kind = spec->ops[i].kind;
        if (spec->ops[i].node == node)
            found = found || kind == BFI_BACK_BOX || kind == BFI_BACK_TRY;
    }
    return boxes == 1 && found;
}

static bf_status add_spec_programs(bf_plan *plan, bf_error *err) {
    bool ibp = plan->options.method == BF_METHOD_IBP, intersect = plan->options.intersect && !ibp;
    int output = plan->graph->output;
    bfi_emit_options interval = {.spec = true, .stop_after_linear = true};
    bfi_emit_options spec = {.spec = true, .try_boxes = intersect};
    bfi_emit_options outputs = {.try_boxes = plan->options.intersect};
    plan->output_program = plan->interval_program = -1;
    bf_status status = add_program(plan, output, ibp ? interval : spec, &plan->spec_program, err);
    if (status == BF_STATUS_OK && !ibp)
        status = add_program(plan, bfi_value_root(plan->graph, output), outputs,
                             &plan->output_program, err);
    if (status != BF_STATUS_OK || !intersect) return status;
    status = add_program(plan, output, interval, &plan->interval_program, err);
    if (status == BF_STATUS_OK &&
        covers(&plan->programs[plan->spec_program], &plan->programs[plan->interval_program])) {
        bfi_program_clear(&plan->programs[--plan->program_count]);
        plan->interval_program = -1;
    }
    return status;
}

bf_status bfi_pass_partition(bf_plan *plan, bf_error *err) {
    size_t count = (size_t)plan->graph->count;
    facts f = {
        .box = bfi_calloc(count, 1), .exact = bfi_calloc(count, 1), .needed = bfi_calloc(count, 1)};
    plan->relu_only = bfi_calloc(count, sizeof *plan->relu_only);
    bf_status status =
        f.box && f.exact && f.needed && plan->relu_only ? BF_STATUS_OK : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) {
        find_exactness(plan->graph, &f);
        find_needed(plan->graph, &f, plan->relu_only);
        plan->exact_output = f.exact[plan->graph->output] && is_affine(plan->graph);
        status = add_steps(plan, &f, err);
    }
    if (status == BF_STATUS_OK) status = add_spec_programs(plan, err);
    if (status == BF_STATUS_OK)
        status =
            add_step(plan, (bfi_step){BFI_STEP_SPEC, plan->graph->output, plan->spec_program}, err);
    plan->alpha_spec_program = plan->alpha_output_program = -1;
    if (status == BF_STATUS_OK && plan->options.method == BF_METHOD_ALPHA_CROWN)
        status = add_alpha_steps(plan, err);
    if (status == BF_STATUS_OK && plan->options.method != BF_METHOD_IBP)
        status = add_fallback_notes(plan, err);
    free(f.box);
    free(f.exact);
    free(f.needed);
    return status;
}
