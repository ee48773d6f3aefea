/* Workspace: how many boxes are in flight, how wide lane tiles are, how many workers, how many
 * bytes in all. */
#include <assert.h>

#include "base/alloc.h"
#include "plan/pipeline.h"

/* A tile's coefficients should stay in a core's L2 cache; the number is fixed so that a plan is the
 * same on every machine (bits do not depend on it anyway). */
enum { CACHE_BYTES = 1 << 19 };

/* Forward scratch: three sums, and three more for the parts of a concatenation. */
static int64_t scratch_bytes(const bf_plan *plan) {
    int vectors = 3;
    for (int id = 0; id < plan->graph->count; id++)
        if (plan->graph->nodes[id].op == BFI_OP_CONCAT) vectors = 6;
    return vectors * plan->scratch_count * (int64_t)bfi_dtype_size(plan->dtype);
}

static int64_t lane_bytes(const bf_plan *plan) {
    int64_t elements = 2 + (plan->spreads ? BFI_SPREAD_ELEMENTS : 0);
    return 4 * (int64_t)sizeof(double) + 2 * (int64_t)sizeof(int64_t) +
           elements * (int64_t)bfi_dtype_size(plan->dtype);
}

/* Bytes of a worker's part before the memory of compiled kernels. */
static int64_t numbers_bytes(const bf_plan *plan, int64_t lanes) {
    int64_t size = (int64_t)bfi_dtype_size(plan->dtype);
    int64_t tile = bfi_align64(plan->height * lanes * size + plan->lane_room * lane_bytes(plan));
    int64_t scratch = scratch_bytes(plan);
    return tile > scratch ? tile : scratch;
}

/* Windowed tiles take the memory of a dense one of |lanes|: as many lanes as go in there. */
static int64_t windowed_lanes(const bf_plan *plan, int program, const bfi_window_level *level,
                              int64_t lanes) {
    int64_t size = (int64_t)bfi_dtype_size(plan->dtype);
    int64_t left = plan->height * lanes * size -
                   bfi_window_room_bytes(&plan->programs[program], level, plan->dtype);
    int64_t fit = left > 0 ? left / (level->height * size) / BF_LANE_PAD * BF_LANE_PAD : 0;
    return fit < BFI_WIDEST_TILE ? fit : BFI_WIDEST_TILE;
}

static void set_windows(bf_plan *plan, int64_t lanes) {
    plan->lane_room = lanes;
    for (int p = 0; p < plan->program_count; p++)
        for (int i = 0; i < plan->windows[p].level_count; i++) {
            bfi_window_level *level = &plan->windows[p].levels[i];
            level->lanes = windowed_lanes(plan, p, level, lanes);
            if (level->lanes > plan->lane_room) plan->lane_room = level->lanes;
        }
}

static void set_sizes(bf_plan *plan, int64_t boxes, int64_t lanes, int workers) {
    plan->boxes = boxes;
    plan->spreads = plan->lane_slopes || boxes > 1;
    plan->tile_lanes = lanes;
    plan->workers = workers;
    set_windows(plan, lanes);
    plan->kernel_offset = numbers_bytes(plan, lanes);
    plan->tile_bytes = plan->kernel_offset + plan->kernel_bytes;
    plan->workspace_bytes = boxes * plan->persistent_bytes + workers * plan->tile_bytes;
    assert(lanes % BF_LANE_PAD == 0 && lanes <= BFI_WIDEST_TILE && workers >= 1);
    assert(plan->tile_bytes % 64 == 0 && plan->persistent_bytes % 64 == 0);
}

static bool fits(const bf_plan *plan) {
    return plan->options.memory == 0 || plan->workspace_bytes <= plan->options.memory;
}

/* Widest tile whose coefficients stay in cache (IBP has only the spec's few rows, one op deep);
 * then fewer boxes, narrower tiles, fewer workers, to meet the budget. */
static bf_status choose_tiles(bf_plan *plan, bf_error *err) {
    int64_t lanes = plan->options.method == BF_METHOD_IBP ? BF_LANE_PAD : BFI_WIDEST_TILE,
            lane = plan->height * (int64_t)bfi_dtype_size(plan->dtype);
    while (lanes > BF_LANE_PAD && lanes * lane > CACHE_BYTES) lanes -= BF_LANE_PAD;
    int workers = bf_session_threads(plan->session);
    int64_t boxes = plan->options.batch;
    if (boxes > INT64_MAX / 2 / plan->persistent_bytes)
        return bfi_fail(err, BF_STATUS_LIMIT, "%lld boxes in flight are too many",
                        (long long)boxes);
    set_sizes(plan, boxes, lanes, workers);
    while (!fits(plan) && boxes > 1) set_sizes(plan, boxes /= 2, lanes, workers);
    while (!fits(plan) && lanes > BF_LANE_PAD)
        set_sizes(plan, boxes, lanes -= BF_LANE_PAD, workers);
    while (!fits(plan) && workers > 1) set_sizes(plan, boxes, lanes, --workers);
    if (!fits(plan))
        return bfi_fail(err, BF_STATUS_LIMIT,
                        "memory budget of %lld bytes is too small: this plan needs at least %lld",
                        (long long)plan->options.memory, (long long)plan->workspace_bytes);
    return BF_STATUS_OK;
}

/* One buffer per vector and per coefficient tensor of the tallest program, no reuse; same tiles. */
static int64_t baseline(const bf_plan *plan) {
    int64_t persistent = 0, tallest = 0, size = (int64_t)bfi_dtype_size(plan->dtype);
    for (int v = 0; v < plan->vector_count; v++) persistent += plan->vectors[v].bytes;
    for (int i = 0; i < plan->program_count; i++) {
        int64_t sum = 0;
        for (int b = 0; b < plan->programs[i].buffer_count; b++)
            sum +=
                (plan->programs[i].buffers[b].count + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
        if (sum > tallest) tallest = sum;
    }
    int64_t scratch = scratch_bytes(plan);
    int64_t tile =
        bfi_align64(tallest * plan->tile_lanes * size + plan->lane_room * lane_bytes(plan));
    return plan->boxes * persistent + plan->workers * (tile > scratch ? tile : scratch);
}

bf_status bfi_pass_workspace(bf_plan *plan, bf_error *err) {
    for (int i = 0; i < plan->program_count; i++)
        if (plan->programs[i].height > plan->height) plan->height = plan->programs[i].height;
    for (int id = 0; id < plan->graph->count; id++) {
        bfi_op_class c = bfi_op_class_of(plan->graph->nodes[id].op);
        bool sums = c == BFI_CLASS_WEIGHTED || c == BFI_CLASS_STRUCTURAL;
        if (sums && bfi_align64(plan->graph->nodes[id].count) > plan->scratch_count)
            plan->scratch_count = bfi_align64(plan->graph->nodes[id].count);
    }
    bf_status status = choose_tiles(plan, err);
    plan->baseline_bytes = baseline(plan);
    return status;
}
