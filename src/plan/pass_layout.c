/* Layout of the workspace: what each value keeps, where, and how wide lane tiles are. */
#include <assert.h>

#include "base/alloc.h"
#include "plan/pipeline.h"

/* Lane tiles: multiples of BF_LANE_PAD. A tile's coefficients should stay in a core's L2 cache; the
 * numbers are fixed so that a plan is the same on every machine (bits do not depend on them anyway). */
enum { CACHE_BYTES = 1 << 19 };

/* What the programs ask every value for. */
typedef struct wants {
    bool box, sum, own, lines, pool;
} wants;

static int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

/* Takes |count| elements of |size| bytes; the offset. Sizes were checked when shapes were. */
static int64_t take(bf_plan *plan, int64_t count, size_t size) {
    int64_t offset = plan->persistent_bytes;
    plan->persistent_bytes += aligned(count * (int64_t)size);
    return offset;
}

static void mark(const bf_plan *plan, wants *w) {
    for (int p = 0; p < plan->program_count; p++)
        for (int i = 0; i < plan->programs[p].op_count; i++) {
            const bfi_back_op *op = &plan->programs[p].ops[i];
            int root = op->node;
            while (plan->graph->nodes[root].op == BFI_OP_RESHAPE) root = plan->graph->nodes[root].inputs[0];
            switch (op->kind) {
            case BFI_BACK_BOX:
            case BFI_BACK_TRY: w[root].box = true; break;
            case BFI_BACK_ACCUMULATE: w[root].sum = true; break;
            case BFI_BACK_SEED_LINEAR:
            case BFI_BACK_SEED_CONV: w[op->node].own = true; break;
            case BFI_BACK_RELAX: w[op->node].lines = true; break;
            case BFI_BACK_POOL: w[op->node].pool = true; break;
            default: break;
            }
        }
}

static bool has_error(const bf_plan *plan, int id) {
    const bfi_node_constants *c = &plan->constants->nodes[id];
    bool executes = plan->options.semantics == BF_SEMANTICS_FLOAT32;
    switch (bfi_op_class_of(plan->graph->nodes[id].op)) {
    case BFI_CLASS_WEIGHTED: return true;
    case BFI_CLASS_STRUCTURAL: return c->depth_forward > 0 || c->depth_backward > 0 || c->bias;
    case BFI_CLASS_AFFINE: return plan->graph->nodes[id].op == BFI_OP_SCALE_SHIFT || executes;
    case BFI_CLASS_UNARY:
    case BFI_CLASS_NONLINEAR: return true;
    default: return false;
    }
}

static bfi_value_state lay_out_value(bf_plan *plan, int id, const wants *w) {
    bfi_value_state s = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    int64_t n = plan->graph->nodes[id].count;
    size_t size = bfi_dtype_size(plan->dtype);
    s.lo = take(plan, n, sizeof(double));
    s.hi = take(plan, n, sizeof(double));
    s.lo_t = plan->dtype == BFI_F64 ? s.lo : take(plan, n, size);
    s.hi_t = plan->dtype == BFI_F64 ? s.hi : take(plan, n, size);
    bool lines = w->lines || w->pool;
    bool nonlinear = bfi_op_class_of(plan->graph->nodes[id].op) == BFI_CLASS_UNARY ||
                     bfi_op_class_of(plan->graph->nodes[id].op) == BFI_CLASS_NONLINEAR;
    if (plan->outward && has_error(plan, id) && (!nonlinear || lines)) s.e = take(plan, n, size);
    if (plan->outward && w->own) s.own = take(plan, n, sizeof(double));
    if (plan->outward && w->box) s.e_box = take(plan, n, size);
    if (plan->outward && w->sum) s.e_sum = take(plan, n, size);
    if (w->lines) {
        s.s_pos = take(plan, n, size), s.s_neg = take(plan, n, size);
        s.t_pos = take(plan, n, size);
    }
    if (lines) s.t_neg = take(plan, n, size);
    if (w->pool) s.pick_lo = take(plan, n, sizeof(int32_t)), s.pick_hi = take(plan, n, sizeof(int32_t));
    return s;
}

static void lay_out_persistent(bf_plan *plan, const wants *w) {
    int count = plan->graph->count;
    size_t size = bfi_dtype_size(plan->dtype);
    plan->e_flat = take(plan, count, sizeof(double));
    for (int id = 0; id < count; id++) {
        const bfi_node *node = &plan->graph->nodes[id];
        plan->state[id] = node->op == BFI_OP_RESHAPE ? plan->state[node->inputs[0]]
                                                     : lay_out_value(plan, id, &w[id]);
        if (node->count > plan->scratch_count) plan->scratch_count = node->count;
    }
    plan->scratch_count = aligned(plan->scratch_count);
    plan->scratch = take(plan, 6 * plan->scratch_count, size);
    plan->rows = take(plan, plan->scratch_count, sizeof(int32_t));
}

static int64_t lane_bytes(const bf_plan *plan) {
    return 4 * (int64_t)sizeof(double) + (int64_t)sizeof(int64_t) + 2 * (int64_t)bfi_dtype_size(plan->dtype);
}

static void set_tiles(bf_plan *plan, int64_t lanes, int workers) {
    plan->tile_lanes = lanes;
    plan->workers = workers;
    plan->tile_bytes = aligned(plan->height * lanes * (int64_t)bfi_dtype_size(plan->dtype) +
                               lanes * lane_bytes(plan));
    plan->workspace_bytes = plan->persistent_bytes + workers * plan->tile_bytes;
}

static bool fits(const bf_plan *plan) {
    return plan->options.memory == 0 || plan->workspace_bytes <= plan->options.memory;
}

/* Widest tile whose coefficients stay in cache; then fewer workers, then narrower, to meet the budget. */
static bf_status choose_tiles(bf_plan *plan, bf_error *err) {
    int64_t lanes = BFI_WIDEST_TILE, lane = plan->height * (int64_t)bfi_dtype_size(plan->dtype);
    while (lanes > BF_LANE_PAD && lanes * lane > CACHE_BYTES) lanes -= BF_LANE_PAD;
    int workers = bf_session_threads(plan->session);
    set_tiles(plan, lanes, workers);
    while (!fits(plan) && lanes > BF_LANE_PAD) set_tiles(plan, lanes -= BF_LANE_PAD, workers);
    while (!fits(plan) && workers > 1) set_tiles(plan, lanes, --workers);
    if (!fits(plan))
        return bfi_fail(err, BF_STATUS_LIMIT,
                        "memory budget of %lld bytes is too small: this plan needs at least %lld",
                        (long long)plan->options.memory, (long long)plan->workspace_bytes);
    return BF_STATUS_OK;
}

bf_status bfi_pass_layout(bf_plan *plan, bf_error *err) {
    size_t count = (size_t)plan->graph->count;
    wants *w = bfi_calloc(count, sizeof *w);
    plan->state = bfi_calloc(count, sizeof *plan->state);
    bf_status status = w && plan->state ? BF_STATUS_OK : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) {
        mark(plan, w);
        lay_out_persistent(plan, w);
        for (int i = 0; i < plan->program_count; i++)
            if (plan->programs[i].height > plan->height) plan->height = plan->programs[i].height;
        status = choose_tiles(plan, err);
    }
    free(w);
    return status;
}
