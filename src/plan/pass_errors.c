/* Error constants by node: gamma of each direction's summation depth (DESIGN.md 2.5). */
#include "base/alloc.h"
#include "plan/pipeline.h"

bf_status bfi_pass_errors(bf_plan *plan, bf_error *err) {
    int count = plan->graph->count;
    plan->errors = bfi_calloc((size_t)count, sizeof *plan->errors);
    if (!plan->errors) return bfi_fail_memory(err);
    if (!plan->outward) return BF_STATUS_OK;
    double u = bfi_unit_roundoff(plan->dtype);
    for (int id = 0; id < count; id++) {
        const bfi_node_constants *c = &plan->constants->nodes[id];
        int64_t n = plan->graph->nodes[id].count;
        plan->errors[id] = (bfi_node_error){
            .gamma_forward = bfi_gamma((double)c->depth_forward, u),
            .gamma_backward = bfi_gamma((double)c->depth_backward, u),
            .gamma_dot = bfi_gamma((double)bfi_sum_depth(n), u),
        };
    }
    return BF_STATUS_OK;
}
