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
    bool decided[BFI_WIDEST_TILE];
    bfi_alpha_pace pace;
    bfi_tile_splits splits;
} search;

/* Takes the round's bounds of the tile's lanes. */
static void take(search *s, const bfi_tile *t, const double *lower, const double *error) {
    for (int64_t i = 0; i < t->lanes; i++) {
        int64_t l = s->lane[i];
        if (s->done[l]) continue; /* its last bound stands, whether the tile still has it or not */
        bool better = lower[i] > s->lower[l];
        s->idle[l] = better ? 0 : s->idle[l] + 1;
        if (better) s->lower[l] = lower[i], s->error[l] = error[i];
        bool patient = s->request->splits; /* numbers that come back must not depend on company */
        if (s->idle[l] >= BFI_ALPHA_PATIENCE && !patient) s->done[l] = true;
    }
    for (int64_t l = 0; l < s->request->tile.lanes && s->request->stop; l++) {
        if (!(s->lower[l] >= s->request->stop[l])) continue;
        s->done[l] = s->decided[l] = true;
        if (s->request->pairs && (l ^ 1) < s->request->tile.lanes) s->done[l ^ 1] = true;
    }
}

static void load_lanes(search *s, const bfi_tile *t) {
    for (int64_t i = 0; i < t->lanes; i++) {
        if (t->splits) s->splits.lane[i] = s->request->splits[s->lane[i]];
        t->v.row[i] = s->row[s->lane[i]];
        t->v.box[i] = s->box[s->lane[i]];
        t->v.sign[i] = s->sign[s->lane[i]];
    }
}

/* Nothing is to be learned from a lane any more. */
static bool leaves(const search *s, int64_t l) {
    if (!s->request->splits) return s->done[l];
    const bfi_lane_splits *splits = s->request->splits[l];
    return s->done[l] && (s->decided[l] || !(splits->look || splits->corner || splits->slopes));
}

/* Drops the lanes that are done where that makes the tile narrower. */
static void compact(search *s, bfi_tile *t) {
    int64_t from[BFI_WIDEST_TILE], lanes = 0;
    for (int64_t i = 0; i < t->lanes; i++)
        if (!leaves(s, s->lane[i])) from[lanes++] = i;
    if (lanes == 0 || bfi_tile_stride(t, lanes) == t->ls) return;
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

/* Lanes that have had their rounds. */
static void count_rounds(search *s, const bfi_tile *t, int rounds) {
    for (int64_t i = 0; t->splits && i < t->lanes; i++)
        if (rounds >= t->splits->lane[i]->rounds) s->done[s->lane[i]] = true;
}

static void begin_splits(search *s, bfi_tile *t) {
    const bfi_alpha_request *r = s->request;
    if (!r->splits) return;
    double lr = r->lr > 0 ? r->lr : t->plan->options.lr;
    s->splits = (bfi_tile_splits){
        .pace = lr > 0 ? r->multiplier_lr / lr : 0, .look = r->look, .user = r->user};
    t->splits = &s->splits;
    for (int64_t l = 0; l < t->lanes; l++)
        s->splits.mixes = s->splits.mixes || r->splits[l]->mix.count > 0;
    load_lanes(s, t);
    t->parts = t->parts && bfi_splits_in_parts(t);
}

/* Keeps where the lanes' slopes ended, and shows the lanes that ask for it. */
static bf_status end_splits(const search *s, bfi_tile *t) {
    bool wanted = false;
    if (!t->splits) return BF_STATUS_OK;
    bfi_splits_save(t);
    for (int64_t i = 0; i < t->lanes; i++) {
        const bfi_lane_splits *splits = t->splits->lane[i];
        wanted = wanted || (!s->decided[s->lane[i]] && (splits->look || splits->corner));
    }
    if (!wanted) return BF_STATUS_OK;
    t->splits->looking = true;
    return bfi_tile_run(t, t->program->adjoint, t->program->mix);
}

bf_status bfi_alpha_tile(const bf_plan *plan, bf_workspace *ws, const bfi_alpha_request *request,
                         double *lower, double *error) {
    bfi_tile t = bfi_tile_open(plan, ws, &request->tile);
    search s = {.request = request, .lower = lower, .error = error, .pace = bfi_alpha_start(plan)};
    if (request->lr > 0) s.pace.lr = request->lr;
    assert(t.one_box && bfi_program_optimises(t.program));
    remember_lanes(&s, &t);
    bf_status status = bfi_tile_run(&t, 0, t.program->loop);
    begin_splits(&s, &t);
    if (t.splits && status == BF_STATUS_OK) bfi_splits_load(&t);
    for (int round = 0; round < request->rounds && status == BF_STATUS_OK; round++) {
        double bounds[BFI_WIDEST_TILE], errors[BFI_WIDEST_TILE];
        status = bfi_tile_bound(&t, bounds, errors);
        if (status != BF_STATUS_OK) break;
        take(&s, &t, bounds, errors);
        count_rounds(&s, &t, round + 1);
        if (round + 1 == request->rounds || all_done(&s, &t)) break;
        bfi_ascent ascent = bfi_alpha_next(&s.pace, plan);
        t.ascent = &ascent;
        bool mixes = t.splits && t.splits->mixes;
        status = bfi_tile_run(&t, t.program->adjoint, mixes ? t.program->op_count : t.program->mix);
        t.ascent = NULL;
        compact(&s, &t);
    }
    if (status == BF_STATUS_OK) status = end_splits(&s, &t);
    return status;
}
