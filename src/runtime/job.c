#include "runtime/job.h"

#include <assert.h>
#include <math.h>

#include "exec/alpha.h"
#include "exec/shared.h"

void bfi_job_add_box(bfi_job *j, int64_t box, bfi_lane_groups rows) {
    int64_t lanes = j->sides * rows.count;
    double rounds = j->rounds > 0 ? j->rounds : 1;
    const bfi_program *program = &j->plan->programs[j->program];
    double dense = bfi_program_flops(j->plan, program) * (double)lanes * rounds;
    *bfi_ws_lanes(j->ws, box, j->node) =
        (bfi_box_lanes){.rows = rows.count, .level = rows.level, .first_tile = j->windowed};
    j->lanes += lanes;
    j->dense_flops += dense;
    double size = (double)bfi_dtype_size(j->plan->dtype) * (double)lanes * rounds;
    double bytes = bfi_program_elements(program) * size;
    j->dense_bytes += bytes, j->bytes += bytes;
    j->flops +=
        bfi_box_flops(j->plan, j->ws, box, program, (int)rows.level) * (double)lanes * rounds;
    if (rows.level < 0) {
        j->dense += lanes;
        return;
    }
    assert(j->rows >= 0);
    const bfi_windows *w = &j->plan->windows[j->program];
    j->bytes -= (w->dense_elements - w->levels[rows.level].elements) * size;
    j->windowed += rows.groups;
}

static bfi_box_lanes *lanes_of(const bfi_job *j, int64_t box) {
    return bfi_ws_lanes(j->ws, box, j->node);
}

/* Lanes of a box on whole layers. */
static int64_t dense_lanes(const bfi_job *j, const bfi_box_lanes *box) {
    return box->level < 0 ? j->sides * box->rows : 0;
}

static bool has_own_tiles(int64_t lanes) { return lanes > BF_LANE_PAD; }

static int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

void bfi_job_cut(bfi_job *j, int workers) {
    int64_t at = 0, share = round_up((j->dense + workers - 1) / workers, BF_LANE_PAD);
    j->width = bfi_program_lanes(j->plan, j->program);
    if (workers > 1 && share > 0 && share < j->width) j->width = share;
    for (int64_t box = 0; box < j->ws->boxes; box++) {
        int64_t lanes = dense_lanes(j, lanes_of(j, box)), left = round_up(at, j->width) - at;
        if (has_own_tiles(lanes) || (at % j->width && lanes > left)) at += left;
        lanes_of(j, box)->first_lane = at;
        at += has_own_tiles(lanes) ? round_up(lanes, j->width) : lanes;
    }
    j->tiles = j->windowed + round_up(at, j->width) / j->width;
}

/* The last box that begins at or before |at|: a lane on whole layers, or a windowed tile. */
static int64_t box_at(const bfi_job *j, int64_t at, bool windowed) {
    int64_t low = 0, high = j->ws->boxes;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        const bfi_box_lanes *lanes = lanes_of(j, middle);
        if ((windowed ? lanes->first_tile : lanes->first_lane) <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void describe(const bfi_job *j, bfi_lane_vectors *v, int64_t l, int64_t box, int64_t lane) {
    const int32_t *rows = bfi_ws_ints(j->ws, box, j->rows);
    v->box[l] = box;
    v->row[l] = rows ? rows[lane / j->sides] : lane / j->sides;
    v->sign[l] = j->sides == 2 ? (lane % 2 ? -1 : 1) : j->first_sign;
}

/* Lanes of the |item|-th tile on whole layers; how many. A box's own tiles are about equal. */
static int64_t describe_dense(const bfi_job *j, int64_t item, bfi_lane_vectors *v) {
    int64_t first = item * j->width, count = 0;
    for (int64_t box = box_at(j, first, false); box < j->ws->boxes; box++) {
        const bfi_box_lanes *b = lanes_of(j, box);
        int64_t lanes = dense_lanes(j, b), from = 0, to = lanes;
        if (b->first_lane >= first + j->width) break;
        if (has_own_tiles(lanes)) {
            int64_t tiles = round_up(lanes, j->width) / j->width;
            int64_t part = round_up((lanes + tiles - 1) / tiles, BF_LANE_PAD);
            from = (first - b->first_lane) / j->width * part;
            to = from + part < lanes ? from + part : lanes;
        }
        for (int64_t lane = from; lane < to; lane++) describe(j, v, count++, box, lane);
    }
    return count;
}

/* The same for the |item|-th windowed tile, and its level. */
static int64_t describe_windowed(const bfi_job *j, int64_t item, bfi_lane_vectors *v, int *level) {
    int64_t box = box_at(j, item, true), tile = item - lanes_of(j, box)->first_tile;
    const int32_t *starts = bfi_ws_ints(j->ws, box, j->plan->state[j->node].starts);
    bool last =
        item + 1 == (box + 1 < j->ws->boxes ? lanes_of(j, box + 1)->first_tile : j->windowed);
    int64_t first = starts[tile], end = last ? lanes_of(j, box)->rows : starts[tile + 1];
    int64_t lanes = j->sides * (end - first);
    for (int64_t l = 0; l < lanes; l++) describe(j, v, l, box, j->sides * first + l);
    *level = (int)lanes_of(j, box)->level;
    return lanes;
}

static void store(const bfi_job *j, int64_t row, double sign, double bound, double error) {
    if (sign > 0 && j->lower) {
        if (j->keep_better && bound <= j->lower[row]) return;
        j->lower[row] = bound;
        if (j->lower_error) j->lower_error[row] = error;
    } else if (sign < 0 && j->upper) {
        if (!j->keep_better || -bound < j->upper[row]) j->upper[row] = -bound;
    }
}

/* Optimises a tile's slopes, from what is known of its rows. */
static bf_status run_rounds(const bfi_job *j, const bfi_tile_request *tile, const int64_t *result,
                            const double *sign, double *bounds, double *errors) {
    double stop[BFI_WIDEST_TILE];
    for (int64_t l = 0; l < tile->lanes; l++) {
        bool below = sign[l] > 0;
        bounds[l] = below ? j->lower[result[l]] : -j->upper[result[l]];
        errors[l] = below && j->lower_error ? j->lower_error[result[l]] : 0;
        stop[l] = j->decide ? 0 : below && j->stop ? j->stop[result[l]] : INFINITY;
    }
    bfi_alpha_request request = {
        .tile = *tile, .rounds = j->rounds, .stop = stop, .pairs = j->decide && j->sides == 2};
    return bfi_alpha_tile(j->plan, j->ws, &request, bounds, errors);
}

/* A tile of a round with shared slopes: counts the rounds in which rows gain nothing. */
static bf_status run_round(const bfi_job *j, const bfi_tile_request *tile, const int64_t *box,
                           const int64_t *row, double *bounds, double *errors) {
    bf_status status = bfi_shared_tile(j->plan, j->ws, tile, j->gradient, bounds, errors);
    for (int64_t l = 0; l < tile->lanes && status == BF_STATUS_OK; l++) {
        int64_t result = box[l] * j->result_stride + row[l];
        int32_t *idle = bfi_ws_ints(j->ws, box[l], j->plan->state[j->node].idle) + row[l];
        bool better =
            j->first_sign > 0 ? bounds[l] > j->lower[result] : -bounds[l] < j->upper[result];
        *idle = better ? 0 : *idle + 1;
    }
    return status;
}

void bfi_job_tile(const bfi_job *j, int64_t item, int worker) {
    if (atomic_load_explicit(&j->ws->failed, memory_order_relaxed)) return;
    bfi_lane_vectors v = bfi_tile_vectors(j->plan, j->ws, worker);
    int level = -1;
    assert(item >= 0 && item < j->tiles);
    int64_t lanes = item < j->windowed ? describe_windowed(j, item, &v, &level)
                                       : describe_dense(j, item - j->windowed, &v);
    assert(lanes >= 0 && lanes <= j->plan->lane_room && lanes <= BFI_WIDEST_TILE);
    if (lanes == 0) return;
    double bounds[BFI_WIDEST_TILE], errors[BFI_WIDEST_TILE], *functional[BFI_WIDEST_TILE];
    double constant[BFI_WIDEST_TILE];
    int64_t inputs = j->plan->graph->nodes[0].count;
    for (int64_t l = 0; j->functional && l < lanes; l++) {
        int64_t row = v.box[l] * j->result_stride + v.row[l];
        functional[l] = v.sign[l] > 0 ? j->functional + row * inputs : NULL;
        constant[l] = -INFINITY;
    }
    bfi_tile_request request = {.program = j->program,
                                .step = j->step,
                                .worker = worker,
                                .lanes = lanes,
                                .level = level,
                                .spec = j->spec,
                                .spec_stride = j->spec_stride,
                                .functional = j->functional ? functional : NULL,
                                .constant = j->functional && j->constant ? constant : NULL};
    int64_t result[BFI_WIDEST_TILE];
    double sign[BFI_WIDEST_TILE]; /* the run may move lanes */
    for (int64_t l = 0; l < lanes; l++)
        result[l] = v.box[l] * j->result_stride + v.row[l], sign[l] = v.sign[l];
    bf_status status = j->rounds > 0 ? run_rounds(j, &request, result, sign, bounds, errors)
                       : j->shared   ? run_round(j, &request, v.box, v.row, bounds, errors)
                                     : bfi_backward_tile(j->plan, j->ws, &request, bounds, errors);
    if (status != BF_STATUS_OK) atomic_store(&j->ws->failed, (int)status);
    if (status != BF_STATUS_OK && j->rounds == 0) return; /* the best of some rounds holds */
    for (int64_t l = 0; l < lanes; l++) {
        store(j, result[l], sign[l], bounds[l], errors[l]);
        if (request.constant && sign[l] > 0) j->constant[result[l]] = constant[l];
    }
}
