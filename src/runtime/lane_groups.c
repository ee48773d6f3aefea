#include "runtime/lane_groups.h"

#include <assert.h>

#include "exec/alpha.h"

typedef struct selection {
    const double *lo, *hi;
    bool all;            /* stable neurons too */
    const int32_t *idle; /* rounds without gain; NULL: not optimising */
    int32_t *rows;
    int64_t count;
} selection;

static void consider(selection *s, int64_t j) {
    if (s->idle && s->idle[j] >= BFI_ALPHA_PATIENCE) return;
    if (s->all || (s->lo[j] < 0 && s->hi[j] > 0)) s->rows[s->count++] = (int32_t)j;
}

static int64_t blocks_of(int64_t size, int64_t block) { return (size + block - 1) / block; }

static double padded(double lanes) {
    return lanes <= BF_LANE_PAD ? BF_LANE_PAD : lanes; /* the last vector is shared by chance */
}

/* Rough cost of |tiles| tiles of |lanes| lanes each, in flops: convolutions, and a few passes over
 * the coefficients. One vector of lanes leaves the units half idle. */
static double cost(double tiles, double lanes, double flops, double height) {
    const double passes = 16, setup = 3e5;
    double idle = lanes <= BF_LANE_PAD ? 1.6 : 1;
    return tiles * (padded(lanes) * (flops * idle + passes * height) + setup);
}

/* Rounds with shared slopes run one side of a row. */
static int64_t lanes_per_row(const bf_plan *plan, int program) {
    return plan->programs[program].shared ? 1 : 2;
}

/* The cheapest level when |count| rows lie evenly over the layer, -1: none is better than dense. */
static int cheapest_level(const bf_plan *plan, int program, int64_t count) {
    const bfi_windows *w = &plan->windows[program];
    double lanes = (double)(lanes_per_row(plan, program) * count),
           wide = (double)bfi_program_lanes(plan, program), tiles = lanes > wide ? lanes / wide : 1;
    double best =
        cost(tiles, lanes / tiles, w->dense_flops, (double)plan->programs[program].height);
    int found = -1;
    for (int i = 0; i < w->level_count; i++) {
        const bfi_window_level *level = &w->levels[i];
        if (level->lanes < BF_LANE_PAD) continue;
        double blocks = (double)(blocks_of(w->target.height, level->block) *
                                 blocks_of(w->target.width, level->block));
        double used = blocks < (double)count ? blocks : (double)count, here = lanes / used;
        double parts = here > (double)level->lanes ? ceil(here / (double)level->lanes) : 1;
        double total = cost(used * parts, here / parts, level->flops, (double)level->height);
        if (total < best) best = total, found = i;
    }
    return found;
}

static void select_block(selection *s, const bfi_planes *p, int64_t top, int64_t left,
                         int64_t block) {
    int64_t bottom = top + block < p->height ? top + block : p->height,
            right = left + block < p->width ? left + block : p->width;
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t y = top; y < bottom; y++)
            for (int64_t x = left; x < right; x++) consider(s, (c * p->height + y) * p->width + x);
}

/* Rows block by block, cut into tiles. */
static bfi_lane_groups group_rows(const bf_plan *plan, int program, int index, selection *s,
                                  int32_t *starts) {
    const bfi_windows *w = &plan->windows[program];
    const bfi_window_level *level = &w->levels[index];
    bfi_lane_groups g = {.level = index, .starts = starts};
    int64_t rows = level->lanes / lanes_per_row(plan, program);
    s->count = 0;
    for (int64_t y = 0; y < w->target.height; y += level->block)
        for (int64_t x = 0; x < w->target.width; x += level->block) {
            int64_t first = s->count;
            select_block(s, &w->target, y, x, level->block);
            for (; first < s->count; first += rows) starts[g.groups++] = (int32_t)first;
        }
    g.count = s->count;
    return g;
}

bfi_lane_groups bfi_select_rows(const bf_plan *plan, const bf_workspace *ws, int64_t box, int node,
                                int program) {
    int64_t n = plan->graph->nodes[node].count;
    bool shared = plan->programs[program].shared;
    selection s = {.lo = bfi_ws_doubles(ws, box, plan->state[node].lo),
                   .hi = bfi_ws_doubles(ws, box, plan->state[node].hi),
                   .all = plan->options.all_neurons || !plan->relu_only[node],
                   .idle = shared ? bfi_ws_ints(ws, box, plan->state[node].idle) : NULL,
                   .rows = bfi_ws_ints(ws, box, plan->state[node].rows)};
    for (int64_t j = 0; j < n; j++) consider(&s, j);
    assert(s.count <= n);
    int level = s.count > 0 ? cheapest_level(plan, program, s.count) : -1;
    if (level < 0) return (bfi_lane_groups){.count = s.count, .level = -1};
    return group_rows(plan, program, level, &s, bfi_ws_ints(ws, box, plan->state[node].starts));
}
