/* Workspace: how many boxes are in flight, how wide lane tiles are, how many workers, how many
 * bytes in all. */
#include <assert.h>

#include "base/alloc.h"
#include "plan/pipeline.h"

/* What a tile touches should stay in a core's L2 cache, and it is wide so that lists are shared
 * (docs/design/windows.md); the number is fixed so that a plan is the same on every machine (bits
 * do not depend on it anyway). */
enum { CACHE_BYTES = 1 << 20, ALPHA_BYTES = 1 << 23 };

/* Up to that many lanes a tile may take twice as much: lists cost as much for few as for many. */
enum { NARROW_LANES = 2 * BF_LANE_PAD };

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
static int64_t numbers_bytes(const bf_plan *plan) {
    int64_t size = (int64_t)bfi_dtype_size(plan->dtype);
    int64_t tile = bfi_align64(plan->tile_elements * size + plan->lane_room * lane_bytes(plan));
    int64_t scratch = scratch_bytes(plan);
    return tile > scratch ? tile : scratch;
}

static int64_t sum_bytes(const bf_plan *plan) {
    return bfi_align64(plan->sum_count * (int64_t)sizeof(double));
}

/* Windowed tiles take the memory of a dense one of |lanes|: as many lanes as go in there. */
static int64_t windowed_lanes(const bf_plan *plan, int program, const bfi_window_level *level) {
    int64_t size = (int64_t)bfi_dtype_size(plan->dtype);
    int64_t left = plan->tile_elements * size -
                   bfi_window_room_bytes(&plan->programs[program], level, plan->dtype);
    int64_t fit = left > 0 ? left / (level->height * size) / BF_LANE_PAD * BF_LANE_PAD : 0;
    return fit < BFI_WIDEST_TILE ? fit : BFI_WIDEST_TILE;
}

static void set_windows(bf_plan *plan) {
    plan->lane_room = plan->tile_lanes;
    if (plan->alpha_lanes > plan->lane_room) plan->lane_room = plan->alpha_lanes;
    for (int p = 0; p < plan->program_count; p++)
        for (int i = 0; i < plan->windows[p].level_count; i++) {
            bfi_window_level *level = &plan->windows[p].levels[i];
            level->lanes = windowed_lanes(plan, p, level);
            if (level->lanes > plan->lane_room) plan->lane_room = level->lanes;
        }
}

/* Lanes choose whole lines, not lower slopes alone. */
static bool chooses_lines(const bf_plan *plan) {
    for (int p = 0; p < plan->program_count; p++)
        for (int i = 0; i < plan->programs[p].loop; i++) {
            int node = plan->programs[p].ops[i].node;
            if (bfi_slope_vectors(&plan->graph->nodes[node]) == BFI_SLOPE_SMOOTH_VECTORS)
                return true;
        }
    return false;
}

/* |alpha|: lanes of tiles with slopes, where there are any. */
static void set_sizes(bf_plan *plan, int64_t boxes, int64_t lanes, int64_t alpha, int workers) {
    plan->boxes = boxes;
    plan->spreads = chooses_lines(plan) || boxes > 1;
    plan->tile_lanes = lanes;
    plan->alpha_lanes = plan->alpha_height > 0 ? alpha : 0;
    plan->workers = workers;
    plan->tile_elements = plan->height * lanes;
    if (plan->alpha_height * plan->alpha_lanes > plan->tile_elements)
        plan->tile_elements = plan->alpha_height * plan->alpha_lanes;
    set_windows(plan);
    plan->sum_offset = numbers_bytes(plan);
    plan->kernel_offset = plan->sum_offset + sum_bytes(plan);
    plan->tile_bytes = plan->kernel_offset + plan->kernel_bytes;
    plan->workspace_bytes = boxes * plan->persistent_bytes + workers * plan->tile_bytes;
    assert(lanes % BF_LANE_PAD == 0 && lanes <= BFI_WIDEST_TILE && workers >= 1);
    assert(plan->tile_bytes % 64 == 0 && plan->persistent_bytes % 64 == 0);
}

static bool fits(const bf_plan *plan) {
    return plan->options.memory == 0 || plan->workspace_bytes <= plan->options.memory;
}

/* Widest tile of |height| elements per lane that takes at most |bytes|. */
static int64_t widest(const bf_plan *plan, int64_t height, int64_t bytes) {
    int64_t lanes = BFI_WIDEST_TILE, lane = height * (int64_t)bfi_dtype_size(plan->dtype);
    while (lanes > BF_LANE_PAD && lanes * lane > bytes) lanes -= BF_LANE_PAD;
    return lanes;
}

/* Widest tile whose coefficients stay in cache (IBP has only the spec's few rows, one op deep;
 * tiles with slopes go over theirs many times, but once per round); then fewer boxes, narrower
 * tiles, fewer workers, to meet the budget. */
static bf_status choose_tiles(bf_plan *plan, bf_error *err) {
    bool ibp = plan->options.method == BF_METHOD_IBP;
    int64_t lanes = widest(plan, plan->height, CACHE_BYTES),
            narrow = widest(plan, plan->height, 2 * CACHE_BYTES),
            alpha = widest(plan, plan->alpha_height, ALPHA_BYTES);
    if (lanes < NARROW_LANES) lanes = narrow < NARROW_LANES ? narrow : NARROW_LANES;
    if (ibp) lanes = BF_LANE_PAD;
    int workers = bf_session_threads(plan->session);
    int64_t boxes = plan->options.batch;
    if (boxes > INT64_MAX / 2 / plan->persistent_bytes)
        return bfi_fail(err, BF_STATUS_LIMIT, "%lld boxes in flight are too many",
                        (long long)boxes);
    set_sizes(plan, boxes, lanes, alpha, workers);
    while (!fits(plan) && boxes > 1) set_sizes(plan, boxes /= 2, lanes, alpha, workers);
    while (!fits(plan) && alpha > BF_LANE_PAD && plan->alpha_lanes > 0)
        set_sizes(plan, boxes, lanes, alpha -= BF_LANE_PAD, workers);
    while (!fits(plan) && lanes > BF_LANE_PAD)
        set_sizes(plan, boxes, lanes -= BF_LANE_PAD, alpha, workers);
    while (!fits(plan) && workers > 1) set_sizes(plan, boxes, lanes, alpha, --workers);
    if (!fits(plan))
        return bfi_fail(err, BF_STATUS_LIMIT,
                        "memory budget of %lld bytes is too small: this plan needs at least %lld",
                        (long long)plan->options.memory, (long long)plan->workspace_bytes);
    return BF_STATUS_OK;
}

/* One buffer per vector and per coefficient tensor of the tallest program, no reuse; same tiles. */
static int64_t baseline(const bf_plan *plan) {
    int64_t persistent = 0, largest = 0, size = (int64_t)bfi_dtype_size(plan->dtype);
    for (int v = 0; v < plan->vector_count; v++) persistent += plan->vectors[v].bytes;
    for (int i = 0; i < plan->program_count; i++) {
        int64_t sum = 0;
        for (int b = 0; b < plan->programs[i].buffer_count; b++)
            sum +=
                (plan->programs[i].buffers[b].count + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
        sum *= bfi_program_lanes(plan, i);
        if (sum > largest) largest = sum;
    }
    int64_t scratch = scratch_bytes(plan);
    int64_t tile = bfi_align64(largest * size + plan->lane_room * lane_bytes(plan));
    return plan->boxes * persistent +
           plan->workers * ((tile > scratch ? tile : scratch) + sum_bytes(plan));
}

bf_status bfi_pass_workspace(bf_plan *plan, bf_error *err) {
    for (int i = 0; i < plan->program_count; i++) {
        int64_t *height =
            bfi_program_optimises(&plan->programs[i]) ? &plan->alpha_height : &plan->height;
        if (plan->programs[i].height > *height) *height = plan->programs[i].height;
    }
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
