/* Moments: which products keep their second-order terms on the way back, and what that needs.
 *
 * Worth it where few inputs vary: a term for each pair of inputs. Textbook bounds, those for
 * float32 execution (whose roundings the forms leave out), and plans whose slopes are optimised do
 * without. */
#include "base/alloc.h"
#include "domain/linear/backward.h"
#include "plan/pipeline.h"

enum { MOST_NUMBERS = 1 << 15 }; /* of all forms and moments of a box */

static bool wanted(const bf_plan *plan) {
    const bf_options *o = &plan->options;
    bool method = o->method == BF_METHOD_CROWN || o->method == BF_METHOD_CROWN_IBP;
    return method && o->intersect && o->semantics == BF_SEMANTICS_REAL &&
           plan->graph->nodes[0].count <= BFI_MOMENT_INPUTS;
}

/* Ops whose result has an affine form when an operand has. */
static bool passes_on(const bfi_node *node) {
    if (!bfi_linear_has_rule(node->op)) return false;
    switch (bfi_op_class_of(node->op)) {
        case BFI_CLASS_AFFINE:
        case BFI_CLASS_STRUCTURAL:
        case BFI_CLASS_ALIAS:
        case BFI_CLASS_UNARY:
            return true;
        default:
            return node->op == BFI_OP_LINEAR || node->op == BFI_OP_MUL || node->op == BFI_OP_DIV;
    }
}

/* Marks in |formed| what follows from the input by ops that pass forms on, and the products of two
 * such values as curved. */
static void find_curved(bf_plan *plan) {
    plan->formed[0] = true;
    for (int id = 1; id < plan->graph->count; id++) {
        const bfi_node *node = &plan->graph->nodes[id];
        bool some = false, all = true;
        for (int i = 0; i < node->n_inputs; i++) {
            some = some || plan->formed[node->inputs[i]];
            all = all && plan->formed[node->inputs[i]];
        }
        plan->formed[id] = some && passes_on(node);
        plan->curved[id] = all && node->op == BFI_OP_MUL;
    }
}

/* Keeps in |formed| what curved products follow from. Returns the numbers of a box. */
static int64_t keep_needed(bf_plan *plan) {
    const bfi_graph *graph = plan->graph;
    int64_t sum = 0;
    for (int id = graph->count - 1; id >= 0; id--) {
        bool needed = false;
        for (int reader = id + 1; reader < graph->count && !needed; reader++)
            for (int i = 0; i < graph->nodes[reader].n_inputs; i++)
                needed = needed || (graph->nodes[reader].inputs[i] == id &&
                                    (plan->curved[reader] || plan->formed[reader]));
        plan->formed[id] = plan->formed[id] && needed;
        if (plan->formed[id]) sum += graph->nodes[id].count * bfi_form_numbers(plan);
        if (plan->curved[id]) sum += graph->nodes[id].count * bfi_moment_numbers(plan);
    }
    return sum;
}

bf_status bfi_pass_moments(bf_plan *plan, bf_error *err) {
    size_t count = (size_t)plan->graph->count;
    plan->formed = bfi_calloc(count, sizeof *plan->formed);
    plan->curved = bfi_calloc(count, sizeof *plan->curved);
    if (!plan->formed || !plan->curved) return bfi_fail_memory(err);
    if (!wanted(plan)) return BF_STATUS_OK;
    plan->moments = bfi_moment_count(plan->graph->nodes[0].count);
    find_curved(plan);
    bool any = false;
    for (size_t id = 0; id < count; id++) any = any || plan->curved[id];
    if (any && keep_needed(plan) <= MOST_NUMBERS) return BF_STATUS_OK;
    for (size_t id = 0; id < count; id++) plan->formed[id] = plan->curved[id] = false;
    plan->moments = 0;
    return BF_STATUS_OK;
}
