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

double bfi_job_flops(const bfi_job *j) {
    return bfi_program_flops(j->plan, &j->plan->programs[j->program]) * (double)j->lanes;
}

void bfi_job_cut(bfi_job *j, int workers) {
    j->width = j->plan->tile_lanes;
    int64_t share = (j->lanes + workers - 1) / workers;
    share = (share + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
    if (workers > 1 && share > 0 && share < j->width) j->width = share;
    j->tiles = (j->lanes + j->width - 1) / j->width;
}

void bfi_job_tile(const bfi_job *j, int64_t item, int worker) {
    if (atomic_load_explicit(&j->ws->failed, memory_order_relaxed)) return;
    bfi_lane_vectors v = bfi_tile_vectors(j->plan, j->ws, worker);
    assert(item >= 0 && item < j->tiles && j->width <= j->plan->tile_lanes);
    int64_t first = item * j->width,
            lanes = j->lanes - first < j->width ? j->lanes - first : j->width;
    for (int64_t l = 0; l < lanes; l++) {
        int64_t index = (first + l) / j->sides;
        v.row[l] = j->rows ? j->rows[index] : index;
        v.box[l] = 0;
        v.sign[l] = j->sides == 2 ? ((first + l) % 2 ? -1 : 1) : j->first_sign;
    }
    double bounds[BFI_WIDEST_TILE], errors[BFI_WIDEST_TILE];
    bfi_tile_request request = {.level = -1,
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
