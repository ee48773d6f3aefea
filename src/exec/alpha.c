#include "exec/alpha.h"

#include <assert.h>
#include <math.h>

#include "exec/adjoint.h"

/* Adam's constants (Kingma and Ba 2015), as torch has them. */
static const double BETA_1 = 0.9, BETA_2 = 0.999, EPSILON = 1e-8;

typedef struct search {
    const bfi_alpha_request *request;
    double *lower, *error;         /* by lane as asked for */
    int64_t lane[BFI_WIDEST_TILE]; /* that each lane of the tile is */
    int64_t row[BFI_WIDEST_TILE], box[BFI_WIDEST_TILE];
    double sign[BFI_WIDEST_TILE]; /* of the lanes as asked for */
    int idle[BFI_WIDEST_TILE];    /* rounds without gain */
    bool done[BFI_WIDEST_TILE];
    bfi_alpha_pace pace;
} search;

/* Takes the round's bounds of the tile's lanes. */
static void take(search *s, const bfi_tile *t, const double *lower, const double *error) {
    for (int64_t i = 0; i < t->lanes; i++) {
        int64_t l = s->lane[i];
        if (s->done[l]) continue; /* its last bound stands, whether the tile still has it or not */
        bool better = lower[i] > s->lower[l];
        s->idle[l] = better ? 0 : s->idle[l] + 1;
        if (better) s->lower[l] = lower[i], s->error[l] = error[i];
        if (s->idle[l] >= BFI_ALPHA_PATIENCE) s->done[l] = true;
    }
    for (int64_t l = 0; l < s->request->tile.lanes && s->request->stop; l++) {
        if (!(s->lower[l] >= s->request->stop[l])) continue;
        s->done[l] = true;
        if (s->request->pairs && (l ^ 1) < s->request->tile.lanes) s->done[l ^ 1] = true;
    }
}

static void load_lanes(const search *s, const bfi_tile *t) {
    for (int64_t i = 0; i < t->lanes; i++) {
        t->v.row[i] = s->row[s->lane[i]];
        t->v.box[i] = s->box[s->lane[i]];
        t->v.sign[i] = s->sign[s->lane[i]];
    }
}

/* Drops the lanes that are done where that makes the tile narrower. */
static void compact(search *s, bfi_tile *t) {
    int64_t from[BFI_WIDEST_TILE], lanes = 0;
    for (int64_t i = 0; i < t->lanes; i++)
        if (!s->done[s->lane[i]]) from[lanes++] = i;
    if (lanes == 0 || bfi_lane_stride(lanes) == t->ls) return;
    for (int64_t i = 0; i < lanes; i++) s->lane[i] = s->lane[from[i]];
    bfi_adjoint_compact(t, from, lanes);
    load_lanes(s, t);
}

static bool all_done(const search *s, const bfi_tile *t) {
    for (int64_t i = 0; i < t->lanes; i++)
        if (!s->done[s->lane[i]]) return false;
    return true;
}

/* Adam's bias corrections, folded into two factors. */
bfi_ascent bfi_alpha_next(bfi_alpha_pace *s, const bf_plan *plan) {
    s->power_1 *= BETA_1, s->power_2 *= BETA_2;
    bfi_ascent a = {.rate_m = 1 - BETA_1,
                    .rate_v = 1 - BETA_2,
                    .step = s->lr / (1 - s->power_1),
                    .root = 1 / sqrt(1 - s->power_2),
                    .eps = EPSILON};
    s->lr *= plan->options.lr_decay;
    return a;
}

static void remember_lanes(search *s, const bfi_tile *t) {
    for (int64_t l = 0; l < t->lanes; l++) {
        s->lane[l] = l;
        s->row[l] = t->v.row[l], s->box[l] = t->v.box[l], s->sign[l] = t->v.sign[l];
    }
}

bf_status bfi_alpha_tile(const bf_plan *plan, bf_workspace *ws, const bfi_alpha_request *request,
                         double *lower, double *error) {
    bfi_tile t = bfi_tile_open(plan, ws, &request->tile);
    search s = {.request = request, .lower = lower, .error = error, .pace = bfi_alpha_start(plan)};
    assert(t.one_box && t.program->loop > 0);
    remember_lanes(&s, &t);
    bf_status status = bfi_tile_run(&t, 0, t.program->loop);
    for (int round = 0; round < request->rounds && status == BF_STATUS_OK; round++) {
        double bounds[BFI_WIDEST_TILE], errors[BFI_WIDEST_TILE];
        status = bfi_tile_bound(&t, bounds, errors);
        if (status != BF_STATUS_OK) break;
        take(&s, &t, bounds, errors);
        if (round + 1 == request->rounds || all_done(&s, &t)) break;
        bfi_ascent ascent = bfi_alpha_next(&s.pace, plan);
        t.ascent = &ascent;
        status = bfi_tile_run(&t, t.program->adjoint, t.program->op_count);
        t.ascent = NULL;
        compact(&s, &t);
    }
    return status;
}
