#include "plan/identity.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "ir/content.h"
#include "plan/plan.h"

/* What all values of a plan share: the options that change numbers. */
static bfi_blake2b begin(const bf_plan *plan) {
    static const char label[] = "boundflow bounds";
    const bf_options *o = &plan->options;
    bfi_blake2b hash;
    bfi_blake2b_start(&hash, sizeof(bfi_digest));
    bfi_blake2b_add(&hash, label, sizeof label);
    bfi_content_integer(&hash, BFI_BOUNDS_REVISION);
    bfi_content_integer(&hash, BF_SUM_BLOCK);
    bfi_content_integer(&hash, plan->dtype);
    bfi_content_integer(&hash, plan->outward);
    bfi_content_integer(&hash, o->semantics);
    bfi_content_integer(&hash, !!o->intersect);
    bfi_content_integer(&hash, !!o->all_neurons);
    return hash;
}

static void add_errors(bfi_blake2b *hash, const bfi_node_error *error) {
    bfi_content_double(hash, error->gamma_forward);
    bfi_content_double(hash, error->gamma_backward);
    bfi_content_double(hash, error->gamma_dot);
}

/* The program with its nodes by what they are, not by number. */
static void add_program(bfi_blake2b *hash, const bf_plan *plan, int index,
                        const bfi_digest *nodes) {
    const bfi_program *p = index >= 0 ? &plan->programs[index] : NULL;
    bfi_content_integer(hash, p ? p->op_count : -1);
    for (int i = 0; p && i < p->op_count; i++) {
        const bfi_back_op *op = &p->ops[i];
        bfi_content_integer(hash, op->kind);
        bfi_content_integer(hash, op->which);
        bfi_content_integer(hash, op->a);
        bfi_content_integer(hash, op->b);
        bfi_content_integer(hash, op->out);
        bfi_content_integer(hash, op->c);
        bfi_content_digest(hash, &nodes[op->node]);
    }
}

/* Program of the step that bounds |value|, -1: none. */
static int bounding_program(const bf_plan *plan, int value) {
    for (int i = 0; i < plan->tasks.step_count; i++)
        if (plan->tasks.steps[i].kind == BFI_STEP_BOUND && plan->tasks.steps[i].node == value)
            return plan->tasks.steps[i].program;
    return -1;
}

/* The node's value before it is bounded, then as later nodes see it: a value that is bounded
 * because of some later node is another one. */
static void identify_value(const bf_plan *plan, int id, bfi_digest *values) {
    const bfi_node *node = &plan->graph->nodes[id];
    bfi_blake2b hash = begin(plan);
    bfi_content_node(&hash, node);
    add_errors(&hash, &plan->errors[id]);
    bfi_content_integer(&hash, plan->curved[id]);
    bfi_content_integer(&hash, node->n_inputs);
    for (int i = 0; i < node->n_inputs; i++) bfi_content_digest(&hash, &values[node->inputs[i]]);
    values[id] = bfi_blake2b_digest(&hash);
    int program = bounding_program(plan, id);
    if (program < 0) return;
    hash = begin(plan);
    bfi_content_digest(&hash, &values[id]);
    bfi_content_integer(&hash, plan->relu_only[id]);
    add_program(&hash, plan, program, values);
    values[id] = bfi_blake2b_digest(&hash);
}

static bfi_digest identify_results(const bf_plan *plan, const bfi_digest *values, int first,
                                   int second) {
    bfi_blake2b hash = begin(plan);
    bfi_content_digest(&hash, &values[plan->graph->output]);
    add_program(&hash, plan, first, values);
    add_program(&hash, plan, second, values);
    return bfi_blake2b_digest(&hash);
}

/* What optimising slopes makes of results: the same hidden bounds to start from, other rows. */
static bfi_digest identify_optimized(const bf_plan *plan, const bfi_digest *results,
                                     const bfi_digest *values, int program) {
    const bf_options *o = &plan->options;
    bfi_blake2b hash = begin(plan);
    bfi_content_digest(&hash, results);
    bfi_content_integer(&hash, o->iterations);
    bfi_content_double(&hash, o->lr);
    bfi_content_double(&hash, o->lr_decay);
    bfi_content_integer(&hash, o->intermediate);
    for (int i = 0; i < plan->tasks.step_count; i++)
        if (plan->tasks.steps[i].kind == BFI_STEP_OPTIMIZE)
            add_program(&hash, plan, plan->tasks.steps[i].program, values);
    add_program(&hash, plan, program, values);
    return bfi_blake2b_digest(&hash);
}

static bfi_identity *identify(const bf_plan *plan) {
    bfi_identity *identity =
        bfi_malloc(1, sizeof *identity + (size_t)plan->graph->count * sizeof identity->values[0]);
    if (!identity) return NULL;
    for (int id = 0; id < plan->graph->count; id++) identify_value(plan, id, identity->values);
    identity->spec =
        identify_results(plan, identity->values, plan->spec_program, plan->interval_program);
    identity->outputs = identify_results(plan, identity->values, plan->output_program, -1);
    if (plan->options.method != BF_METHOD_ALPHA_CROWN) return identity;
    identity->spec =
        identify_optimized(plan, &identity->spec, identity->values, plan->alpha_spec_program);
    identity->outputs =
        identify_optimized(plan, &identity->outputs, identity->values, plan->alpha_output_program);
    return identity;
}

const bfi_identity *bfi_plan_identity(const bf_plan *plan) {
    _Atomic(bfi_identity *) *slot = &((bf_plan *)(uintptr_t)plan)->identity;
    bfi_identity *known = atomic_load_explicit(slot, memory_order_acquire);
    if (known) return known;
    bfi_identity *fresh = identify(plan);
    if (fresh && !atomic_compare_exchange_strong(slot, &known, fresh)) {
        free(fresh);
        return known;
    }
    return fresh;
}
