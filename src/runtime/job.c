#include "runtime/job.h"

#include <assert.h>

#include "exec/backward.h"

static void store(const bfi_job *j, int64_t row, double sign, double bound, double error) {
    if (sign > 0 && j->lower) {
        if (j->keep_better && bound <= j->lower[row]) return;
        j->lower[row] = bound;
        if (j->lower_error) j->lower_error[row] = error;
    } else if (sign < 0 && j->upper) {
        if (!j->keep_better || -bound < j->upper[row]) j->upper[row] = -bound;
    }
}

double bfi_job_flops(const bfi_job *j, double *dense) {
    *dense = bfi_program_flops(j->plan, &j->plan->programs[j->program]) * (double)j->lanes;
    if (j->groups.level < 0) return *dense;
    const bfi_windows *w = &j->plan->windows[j->program];
    double saved = w->dense_flops - w->levels[j->groups.level].flops;
    return *dense - saved * (double)j->lanes;
}

void bfi_job_cut(bfi_job *j, int workers) {
    if (j->groups.level >= 0) {
        assert(j->sides == 2);
        j->width = j->plan->windows[j->program].levels[j->groups.level].lanes;
        j->tiles = j->groups.groups;
        return;
    }
    j->width = j->plan->tile_lanes;
    int64_t share = (j->lanes + workers - 1) / workers;
    share = (share + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
    if (workers > 1 && share > 0 && share < j->width) j->width = share;
    j->tiles = (j->lanes + j->width - 1) / j->width;
}

/* Lanes [first, end) of tile |item|. */
static void tile_lanes(const bfi_job *j, int64_t item, int64_t *first, int64_t *end) {
    const bfi_lane_groups *g = &j->groups;
    *first = g->level < 0 ? item * j->width : 2 * (int64_t)g->starts[item];
    *end = g->level < 0           ? *first + j->width
           : item + 1 < g->groups ? 2 * (int64_t)g->starts[item + 1]
                                  : j->lanes;
    if (*end > j->lanes) *end = j->lanes;
}

void bfi_job_tile(const bfi_job *j, int64_t item, int worker) {
    if (atomic_load_explicit(&j->ws->failed, memory_order_relaxed)) return;
    bfi_lane_vectors v = bfi_tile_vectors(j->plan, j->ws, worker);
    int64_t first, end;
    tile_lanes(j, item, &first, &end);
    int64_t lanes = end - first;
    assert(item >= 0 && item < j->tiles && lanes <= j->width && j->width <= BFI_WIDEST_TILE);
    for (int64_t l = 0; l < lanes; l++) {
        int64_t index = (first + l) / j->sides;
        v.row[l] = j->rows ? j->rows[index] : index;
        v.box[l] = 0;
        v.sign[l] = j->sides == 2 ? ((first + l) % 2 ? -1 : 1) : j->first_sign;
    }
    double bounds[BFI_WIDEST_TILE], errors[BFI_WIDEST_TILE];
    bfi_tile_request request = {.level = j->groups.level,
                                .program = j->program,
                                .step = j->step,
                                .worker = worker,
                                .lanes = lanes,
                                .spec = j->spec};
    bf_status status = bfi_backward_tile(j->plan, j->ws, &request, bounds, errors);
    if (status != BF_STATUS_OK) {
        atomic_store(&j->ws->failed, (int)status);
        return;
    }
    for (int64_t l = 0; l < lanes; l++) store(j, v.row[l], v.sign[l], bounds[l], errors[l]);
}
