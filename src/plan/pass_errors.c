/* Error constants by node: gamma of each direction's summation depth (DESIGN.md 2.5). */
#include <assert.h>

#include "base/alloc.h"
#include "plan/pipeline.h"

/* Sources of the node's backward sums: features of a linear node, channels (per group) of a conv.
 */
static int64_t sources(const bf_plan *plan, int id) {
    const bfi_node *node = &plan->graph->nodes[id];
    if (bfi_op_class_of(node->op) != BFI_CLASS_WEIGHTED) return 0;
    return node->op == BFI_OP_LINEAR ? node->attrs.n
                                     : plan->constants->nodes[id].conv_backward.c_src;
}

/* Roundings that a source passes: its first term's, or a later one's that starts a block. */
static int64_t source_depth(int64_t terms, int64_t per_source, int64_t source) {
    int64_t first = source * per_source, deepest = bfi_term_depth(terms, first);
    int64_t block = (first / BF_SUM_BLOCK + 1) * BF_SUM_BLOCK;
    for (; block < first + per_source; block += BF_SUM_BLOCK)
        if (bfi_term_depth(terms, block) > deepest) deepest = bfi_term_depth(terms, block);
    return deepest;
}

static void fill_by_term(const bf_plan *plan, int id, int64_t count, double u, double *out) {
    int64_t terms = plan->constants->nodes[id].terms_backward;
    assert(count > 0 && terms % count == 0);
    for (int64_t s = 0; s < count; s++)
        out[s] = bfi_gamma((double)source_depth(terms, terms / count, s), u);
}

bf_status bfi_pass_errors(bf_plan *plan, bf_error *err) {
    int count = plan->graph->count;
    double u = bfi_unit_roundoff(plan->dtype);
    int64_t total = 0;
    for (int id = 0; id < count; id++) total += sources(plan, id);
    plan->errors = bfi_calloc((size_t)count, sizeof *plan->errors);
    plan->term_gammas = bfi_calloc((size_t)total, sizeof *plan->term_gammas);
    if (!plan->errors || !plan->term_gammas) return bfi_fail_memory(err);
    double *next = plan->term_gammas;
    for (int id = 0; id < count && plan->outward; id++) {
        const bfi_node_constants *c = &plan->constants->nodes[id];
        double depth = (double)bfi_sum_depth(plan->graph->nodes[id].count);
        bfi_node_error *e = &plan->errors[id];
        e->gamma_forward = bfi_gamma((double)c->depth_forward, u);
        e->gamma_backward = bfi_gamma((double)c->depth_backward, u);
        e->gamma_dot = bfi_gamma(depth, u);
        e->gamma_unit = bfi_up(e->gamma_dot / depth);
        int64_t here = sources(plan, id);
        if (here == 0) continue;
        fill_by_term(plan, id, here, u, next);
        e->by_term = next;
        next += here;
    }
    return BF_STATUS_OK;
}
