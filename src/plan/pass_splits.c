/* Splits: which values may be split, and where the model has them. */
#include "base/alloc.h"
#include "plan/pipeline.h"

static bool listed(const bf_plan *plan, int value) {
    for (int i = 0; i < plan->split_count; i++)
        if (plan->split_values[i] == value) return true;
    return false;
}

bf_status bfi_pass_splits(bf_plan *plan, bf_error *err) {
    const bfi_graph *graph = plan->graph;
    plan->split_values = bfi_calloc((size_t)graph->count, sizeof *plan->split_values);
    if (!plan->split_values) return bfi_fail_memory(err);
    for (int id = 0; id < graph->count; id++) {
        bool pool = graph->nodes[id].op == BFI_OP_MAX_POOL;
        if (!pool && bfi_op_class_of(graph->nodes[id].op) != BFI_CLASS_UNARY) continue;
        int value = bfi_value_root(graph, graph->nodes[id].inputs[0]);
        if (!listed(plan, value)) plan->split_values[plan->split_count++] = value;
    }
    return BF_STATUS_OK;
}

/* Value of the planned graph that holds the elements of the model's value |layer|, -1: none. */
static int planned_value(const bf_plan *plan, int layer) {
    int value = layer;
    if (plan->simplified.value_of) value = plan->simplified.value_of[value];
    if (plan->permuted.value_of && value >= 0) value = plan->permuted.value_of[value];
    return value < 0 ? -1 : bfi_value_root(plan->graph, value);
}

int bf_plan_activation_count(const bf_plan *plan) { return plan->split_count; }

bf_activation_info bf_plan_activation(const bf_plan *plan, int index) {
    if (index < 0 || index >= plan->split_count) return (bf_activation_info){.layer = -1};
    int value = plan->split_values[index];
    const bfi_node *node = &plan->graph->nodes[value];
    bf_activation_info info = {.layer = -1, .name = node->name, .neurons = node->count};
    for (int i = 0; i < plan->model->graph->count && info.layer < 0; i++)
        if (planned_value(plan, i) == value) info.layer = i;
    return info;
}
