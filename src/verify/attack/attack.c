#include "verify/attack/attack.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "exec/point_eval.h"
#include "verify/attack/moves.h"
#include "verify/attack/objective.h"
#include "verify/attack/random.h"

enum {
    PROBES = 32,     /* points looked at before any gradient */
    FOLLOWED = 1024, /* disjuncts, nearest first, that the search looks at */
    POLLED = 1024,   /* disjuncts evaluated between two looks at the budget */
    ARCHIVE = 8,     /* good points that restarts may begin at */
    LANES_MIN = 16
};

/* Lanes are halved while one run takes more than this; many steps beat many lanes then. */
#define RUN_FLOPS 2e9
#define RUN_BYTES ((size_t)256 << 20)

struct bfi_attack {
    const bfi_graph *graph;
    bfi_constants *constants;
    bfi_point_eval *eval;
    int64_t lanes; /* room */
    bfi_attack_box box;
    bfi_lane *lane;
    double *needed;      /* by lane: a violation has to be this low to be checked again */
    double *violation;   /* by lane: of one disjunct */
    float *best, *m, *v; /* see bfi_columns */
    float *archive;      /* ARCHIVE x n_in: points, by position in box.free */
    double archived[ARCHIVE];
    double *x; /* one point */
    bfi_nearest nearest;
    int32_t *ranked; /* disjuncts of the case, nearest first */
    double *margin;  /* by disjunct: least violation seen by the probes */
    size_t ranked_capacity, margin_capacity;
};

/* One call of bfi_attack_case. */
typedef struct hunt {
    bfi_attack *a;
    const bf_property *property;
    const bf_case *c;
    int32_t index, followed;
    const bfi_attack_options *options;
    const bfi_budget *budget;
    int64_t ls, lanes;
    uint64_t starts; /* lanes started so far */
    bool *found;
    bfi_witness *witness;
    bf_error *err;
} hunt;

static int64_t choose_lanes(const bfi_graph *graph, int64_t lanes) {
    double flops = 0;
    for (int id = 0; id < graph->count; id++) flops += 2 * (double)bfi_node_flops(graph, id);
    while (lanes > LANES_MIN &&
           (flops * (double)lanes > RUN_FLOPS || bfi_point_eval_bytes(graph, lanes) > RUN_BYTES))
        lanes /= 2;
    return (lanes + BF_LANE_PAD - 1) / BF_LANE_PAD * BF_LANE_PAD;
}

static bf_status allocate(bfi_attack *a, bf_error *err) {
    size_t n = (size_t)a->graph->nodes[0].count, lanes = (size_t)a->lanes, cells;
    if (!bfi_mul_size(n, lanes, &cells)) return bfi_fail_memory(err);
    a->lane = bfi_calloc(lanes, sizeof *a->lane);
    a->needed = bfi_calloc(lanes, sizeof *a->needed);
    a->violation = bfi_calloc(lanes, sizeof *a->violation);
    a->best = bfi_calloc(cells, sizeof *a->best);
    a->m = bfi_calloc(cells, sizeof *a->m);
    a->v = bfi_calloc(cells, sizeof *a->v);
    a->archive = bfi_calloc(n, ARCHIVE * sizeof *a->archive);
    a->x = bfi_calloc(n, sizeof *a->x);
    a->nearest = (bfi_nearest){(double)INFINITY, bfi_calloc(n, sizeof *a->nearest.x)};
    bool ok = a->lane && a->needed && a->violation && a->best && a->m && a->v && a->archive &&
              a->x && a->nearest.x;
    return ok ? bfi_attack_box_create((int64_t)n, &a->box, err) : bfi_fail_memory(err);
}

bf_status bfi_attack_create(const bfi_graph *graph, int lanes, const char *isa, bfi_attack **out,
                            bf_error *err) {
    const bfi_kernels *kernels = bfi_kernels_native(BFI_F32, isa);
    if (!kernels)
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "this CPU has no %s: leave isa unset", isa);
    bfi_attack *a = bfi_calloc(1, sizeof *a);
    if (!a) return bfi_fail_memory(err);
    a->graph = graph;
    a->lanes = choose_lanes(graph, lanes < 1 ? 1 : lanes);
    bf_status status = allocate(a, err);
    if (status == BF_STATUS_OK) status = bfi_constants_create(graph, BFI_F32, &a->constants, err);
    if (status == BF_STATUS_OK)
        status = bfi_point_eval_create(graph, a->constants, kernels, a->lanes, &a->eval, err);
    if (status != BF_STATUS_OK) {
        bfi_attack_free(a);
        return status;
    }
    *out = a;
    return BF_STATUS_OK;
}

void bfi_attack_free(bfi_attack *a) {
    if (!a) return;
    bfi_point_eval_free(a->eval);
    bfi_constants_free(a->constants);
    bfi_attack_box_clear(&a->box);
    free(a->lane);
    free(a->needed);
    free(a->violation);
    free(a->best);
    free(a->m);
    free(a->v);
    free(a->archive);
    free(a->x);
    free(a->nearest.x);
    free(a->ranked);
    free(a->margin);
    free(a);
}

static bfi_columns columns(const hunt *h, int64_t l) {
    bfi_attack *a = h->a;
    return (bfi_columns){bfi_point_eval_input(a->eval) + l,
                         bfi_point_eval_gradient(a->eval) + l,
                         a->best + l,
                         a->m + l,
                         a->v + l,
                         h->ls};
}

static bfi_points points(const hunt *h) {
    return (bfi_points){bfi_point_eval_input(h->a->eval), bfi_point_eval_output(h->a->eval), h->ls};
}

/* The following runs have |lanes| points; fixed dimensions are set for good. */
static void resize(hunt *h, int64_t lanes) {
    h->ls = bfi_point_eval_resize(h->a->eval, lanes);
    h->lanes = h->ls;
    float *x = bfi_point_eval_input(h->a->eval);
    for (int64_t i = 0; i < h->a->box.n; i++)
        for (int64_t l = 0; l < h->ls; l++) x[i * h->ls + l] = h->a->box.lo[i];
}

/* Keeps a lane's best point when it beats what its place holds. */
static void archive_best(hunt *h, int64_t l) {
    bfi_attack *a = h->a;
    int slot = (int)(l % ARCHIVE);
    if (!(a->lane[l].best < a->archived[slot])) return;
    a->archived[slot] = a->lane[l].best;
    float *to = a->archive + slot * a->box.n;
    for (int64_t f = 0; f < a->box.free_count; f++) to[f] = a->best[f * h->ls + l];
}

/* The better one of two draws from the archive, or NULL. */
static const float *draw_archived(const hunt *h, uint64_t *random) {
    const bfi_attack *a = h->a;
    uint64_t i = bfi_random_bits(random) % ARCHIVE, j = bfi_random_bits(random) % ARCHIVE;
    if (a->archived[j] < a->archived[i]) i = j;
    return isfinite(a->archived[i]) ? a->archive + (int64_t)i * a->box.n : NULL;
}

static void probe_lane(hunt *h, int64_t l) {
    bfi_lane *lane = &h->a->lane[l];
    bfi_columns c = columns(h, l);
    *lane = (bfi_lane){.target = -1};
    lane->random = bfi_random_stream(h->options->seed, (uint64_t)h->index, h->starts++);
    bfi_start start = l == 0 ? BFI_START_CENTRE : l % 2 ? BFI_START_CORNER : BFI_START_UNIFORM;
    bfi_move_start(&h->a->box, lane, start, NULL, 0, &c);
}

static bfi_rule draw_rule(uint64_t *random) {
    static const unsigned char share[BFI_RULE_COUNT] = {24, 14, 30, 8, 12, 12}; /* of 100 */
    unsigned draw = (unsigned)(bfi_random_bits(random) % 100), rule = 0;
    while (rule + 1 < BFI_RULE_COUNT && draw >= share[rule]) draw -= share[rule++];
    return (bfi_rule)rule;
}

/* A disjunct to aim at; those nearest at the probes come up most. */
static int32_t draw_target(const hunt *h, uint64_t *random) {
    if (h->followed == 1) return h->a->ranked[0];
    if (bfi_random_bits(random) % 2) return -1;
    float u = bfi_random_unit(random);
    return h->a->ranked[(int32_t)((float)h->followed * u * u * u)];
}

static void start_lane(hunt *h, int64_t l) {
    bfi_lane *lane = &h->a->lane[l];
    bfi_columns c = columns(h, l);
    uint64_t random = bfi_random_stream(h->options->seed, (uint64_t)h->index, h->starts++);
    unsigned draw = (unsigned)(bfi_random_bits(&random) % 100);
    const float *near = draw < 40 ? draw_archived(h, &random) : NULL;
    bfi_start start = near        ? BFI_START_NEAR
                      : draw < 75 ? BFI_START_UNIFORM
                      : draw < 95 ? BFI_START_CORNER
                                  : BFI_START_MIXED;
    float u = bfi_random_unit(&random), radius = bfi_random_unit(&random);
    *lane = (bfi_lane){.rule = draw_rule(&random), .span = h->options->steps};
    lane->mix = bfi_random_bits(&random) % 3 ? BFI_ROWS_WORST : BFI_ROWS_VIOLATED;
    lane->target = draw_target(h, &random);
    lane->reach = 0.02f + 0.48f * u * u;
    float *leak = &bfi_point_eval_leak(h->a->eval)[l];
    *leak = bfi_random_bits(&random) % 3 ? 0 : 0.5f * bfi_random_unit(&random);
    lane->random = random;
    bfi_move_start(&h->a->box, lane, start, near, 0.5f * radius * radius, &c);
}

/* Violations, and the disjunct followed, for every lane. */
static bf_status evaluate_lanes(hunt *h) {
    bfi_attack *a = h->a;
    bfi_points p = points(h);
    for (int64_t l = 0; l < h->ls; l++) {
        bfi_lane *lane = &a->lane[l];
        lane->value = lane->least = (double)INFINITY;
        lane->chosen = lane->target < 0 ? a->ranked[0] : lane->target;
    }
    bf_status status = BF_STATUS_OK;
    for (int32_t k = 0; k < h->followed && status == BF_STATUS_OK; k++) {
        int32_t d = a->ranked[k];
        if (k % POLLED == POLLED - 1) status = bfi_budget_check(h->budget);
        bfi_objective_violation(&h->c->disjuncts[d], &p, a->violation);
        for (int64_t l = 0; l < h->ls; l++) {
            bfi_lane *lane = &a->lane[l];
            double v = a->violation[l];
            if (v < lane->least) lane->least = v;
            if (lane->target < 0 ? !(v < lane->value) : lane->target != d) continue;
            lane->value = v;
            lane->chosen = d;
        }
    }
    return status;
}

/* Has the lane's point checked. */
static bf_status try_witness(hunt *h, int64_t l) {
    bfi_attack *a = h->a;
    const float *x = bfi_point_eval_input(a->eval) + l;
    for (int64_t i = 0; i < a->box.n; i++) a->x[i] = (double)x[i * h->ls];
    bf_status status = bfi_witness_check(a->graph, h->property, h->index, a->x,
                                         h->options->semantics, h->found, h->witness, h->err);
    /* if refused: rounding decides here, so go well beyond */
    a->needed[l] = 2 * a->lane[l].least - 1e-7;
    return status;
}

/* Checks the lanes that reached a disjunct, deepest first. */
static bf_status try_witnesses(hunt *h) {
    bfi_attack *a = h->a;
    for (;;) {
        int64_t deepest = -1;
        for (int64_t l = 0; l < h->lanes; l++)
            if (a->lane[l].least <= a->needed[l] &&
                (deepest < 0 || a->lane[l].least < a->lane[deepest].least))
                deepest = l;
        if (deepest < 0) return BF_STATUS_OK;
        bf_status status = try_witness(h, deepest);
        if (status != BF_STATUS_OK || *h->found) return status;
        if (isinf(a->lane[deepest].least)) return BF_STATUS_OK;
        status = bfi_budget_check(h->budget);
        if (status != BF_STATUS_OK) return status;
    }
}

static void update_best(hunt *h) {
    bfi_attack *a = h->a;
    const float *x = bfi_point_eval_input(a->eval);
    for (int64_t l = 0; l < h->ls; l++) {
        bfi_lane *lane = &a->lane[l];
        lane->stall++;
        if (!(lane->value < lane->best)) continue;
        lane->best = lane->value;
        lane->stall = 0;
        for (int64_t f = 0; f < a->box.free_count; f++)
            a->best[f * h->ls + l] = x[a->box.free[f] * h->ls + l];
    }
}

const bfi_nearest *bfi_attack_nearest(const bfi_attack *a) { return &a->nearest; }

void bfi_attack_remember(bfi_attack *a, double margin, const double *x) {
    a->nearest.margin = margin;
    memcpy(a->nearest.x, x, (size_t)a->graph->nodes[0].count * sizeof *x);
}

static void update_nearest(hunt *h) {
    bfi_attack *a = h->a;
    int64_t best = -1;
    for (int64_t l = 0; l < h->lanes; l++)
        if (a->lane[l].least < (best < 0 ? a->nearest.margin : a->lane[best].least)) best = l;
    if (best < 0) return;
    const float *x = bfi_point_eval_input(a->eval) + best;
    a->nearest.margin = a->lane[best].least;
    for (int64_t i = 0; i < a->box.n; i++) a->nearest.x[i] = (double)x[i * h->ls];
}

/* Values at the current points, their check, and the lanes' memory. */
static bf_status look(hunt *h) {
    bf_status status = bfi_point_eval_forward(h->a->eval, h->budget);
    if (status != BF_STATUS_OK) return status;
    status = evaluate_lanes(h);
    if (status != BF_STATUS_OK) return status;
    update_best(h);
    update_nearest(h);
    return try_witnesses(h);
}

/* Sorts |ranked| by |margin| (a heap sort: no memory, no recursion, equal keys by index). */
static bool nearer(const bfi_attack *a, int32_t i, int32_t j) {
    return a->margin[i] < a->margin[j] || (a->margin[i] == a->margin[j] && i < j);
}
static void sift(bfi_attack *a, int32_t root, int32_t count) {
    for (int32_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && nearer(a, a->ranked[child], a->ranked[child + 1])) child++;
        if (!nearer(a, a->ranked[root], a->ranked[child])) return;
        int32_t keep = a->ranked[root];
        a->ranked[root] = a->ranked[child];
        a->ranked[child] = keep;
    }
}
static void sort_ranked(bfi_attack *a, int32_t count) {
    for (int32_t root = count / 2 - 1; root >= 0; root--) sift(a, root, count);
    for (int32_t end = count - 1; end > 0; end--) {
        int32_t keep = a->ranked[0];
        a->ranked[0] = a->ranked[end];
        a->ranked[end] = keep;
        sift(a, 0, end);
    }
}

static bf_status list_disjuncts(hunt *h) {
    bfi_attack *a = h->a;
    size_t n = (size_t)h->c->count;
    if (!bfi_grow((void **)&a->ranked, &a->ranked_capacity, n, sizeof *a->ranked) ||
        !bfi_grow((void **)&a->margin, &a->margin_capacity, n, sizeof *a->margin))
        return bfi_fail_memory(h->err);
    for (int32_t d = 0; d < h->c->count; d++) a->ranked[d] = d;
    h->followed = h->c->count;
    return BF_STATUS_OK;
}

static bf_status rank_disjuncts(hunt *h) {
    bfi_attack *a = h->a;
    bfi_points p = points(h);
    bf_status status = BF_STATUS_OK;
    for (int32_t d = 0; h->c->count > 1 && d < h->c->count && status == BF_STATUS_OK; d++) {
        if (d % POLLED == POLLED - 1) status = bfi_budget_check(h->budget);
        bfi_objective_violation(&h->c->disjuncts[d], &p, a->violation);
        a->margin[d] = a->violation[0];
        for (int64_t l = 1; l < h->ls; l++)
            if (a->violation[l] < a->margin[d]) a->margin[d] = a->violation[l];
    }
    if (h->c->count > 1) sort_ranked(a, h->c->count);
    if (h->followed > FOLLOWED) h->followed = FOLLOWED;
    return status;
}

/* The centre, corners and random points. */
static bf_status probe(hunt *h) {
    bfi_attack *a = h->a;
    resize(h, a->lanes < PROBES ? a->lanes : PROBES);
    for (int64_t l = 0; l < h->ls; l++) probe_lane(h, l);
    bf_status status = look(h);
    if (status != BF_STATUS_OK || *h->found) return status;
    for (int64_t l = 0; l < h->ls; l++) archive_best(h, l);
    return rank_disjuncts(h);
}

static bf_status gradients(hunt *h) {
    bfi_attack *a = h->a;
    bfi_points p = points(h);
    float *seed = bfi_point_eval_seed(a->eval);
    memset(seed, 0, (size_t)(h->property->n_out * h->ls) * sizeof *seed);
    for (int64_t l = 0; l < h->ls; l++) {
        const bfi_lane *lane = &a->lane[l];
        bfi_objective_seed(&h->c->disjuncts[lane->chosen], lane->mix, &p, l, seed);
    }
    bf_status status = bfi_point_eval_adjoint(a->eval, h->budget);
    float *gradient = bfi_point_eval_gradient(a->eval);
    for (int64_t l = 0; l < h->ls && status == BF_STATUS_OK; l++) {
        const bfi_lane *lane = &a->lane[l];
        bfi_objective_direct(&h->c->disjuncts[lane->chosen], lane->mix, &p, l, gradient);
    }
    return status;
}

static bool is_stuck(const bfi_lane *lane) {
    return lane->age >= lane->span || lane->stall > 10 + lane->span / 4;
}

static void move_lanes(hunt *h) {
    for (int64_t l = 0; l < h->ls; l++) {
        bfi_columns c = columns(h, l);
        if (!is_stuck(&h->a->lane[l]) && bfi_move_step(&h->a->box, &h->a->lane[l], &c)) continue;
        archive_best(h, l);
        start_lane(h, l);
    }
}

/* restarts x steps moves in all, as many lanes as fit at a time. */
static bf_status search(hunt *h) {
    bfi_attack *a = h->a;
    int64_t restarts = h->options->restarts, lanes = restarts < a->lanes ? restarts : a->lanes;
    resize(h, lanes);
    for (int64_t l = 0; l < h->ls; l++) start_lane(h, l);
    int64_t rounds = (restarts + h->ls - 1) / h->ls * h->options->steps;
    bf_status status = look(h);
    for (int64_t i = 0; i < rounds && status == BF_STATUS_OK && !*h->found; i++) {
        status = gradients(h);
        if (status != BF_STATUS_OK) break;
        move_lanes(h);
        status = look(h);
    }
    return status;
}

/* Points [0, lanes) of |from| as the lanes' points. */
static void place_points(hunt *h, const double *from, int64_t lanes) {
    const bfi_attack_box *box = &h->a->box;
    resize(h, lanes);
    float *x = bfi_point_eval_input(h->a->eval);
    for (int64_t l = 0; l < h->ls; l++) {
        const double *p = from + (l < lanes ? l : 0) * box->n;
        h->a->lane[l] = (bfi_lane){.target = -1};
        for (int64_t i = 0; i < box->n; i++) {
            float v = (float)p[i];
            x[i * h->ls + l] = v < box->lo[i] ? box->lo[i] : v > box->hi[i] ? box->hi[i] : v;
        }
    }
}

static hunt begin_hunt(bfi_attack *a, const bf_property *property, int32_t case_index,
                       const bfi_attack_options *options, const bfi_budget *budget, bool *found,
                       bfi_witness *witness, bf_error *err) {
    hunt h = {.a = a,
              .property = property,
              .c = &property->cases[case_index],
              .index = case_index,
              .options = options,
              .budget = budget,
              .found = found,
              .witness = witness,
              .err = err};
    *found = false;
    bfi_attack_box_set(&a->box, h.c);
    for (int i = 0; i < ARCHIVE; i++) a->archived[i] = (double)INFINITY;
    for (int64_t l = 0; l < a->lanes; l++) a->needed[l] = 0;
    return h;
}

bf_status bfi_attack_points(bfi_attack *a, const bf_property *property, int32_t case_index,
                            const double *points, int64_t count, bf_semantics semantics,
                            const bfi_budget *budget, bool *found, bfi_witness *witness,
                            bf_error *err) {
    bfi_attack_options options = {.semantics = semantics};
    hunt h = begin_hunt(a, property, case_index, &options, budget, found, witness, err);
    if (h.c->count == 0) return BF_STATUS_OK;
    bf_status status = list_disjuncts(&h);
    for (int64_t p = 0; p < count && status == BF_STATUS_OK && !*found; p += h.lanes) {
        int64_t left = count - p;
        place_points(&h, points + p * a->box.n, left < a->lanes ? left : a->lanes);
        status = look(&h);
    }
    return status;
}

bf_status bfi_attack_case(bfi_attack *a, const bf_property *property, int32_t case_index,
                          const bfi_attack_options *options, const bfi_budget *budget, bool *found,
                          bfi_witness *witness, bf_error *err) {
    hunt h = begin_hunt(a, property, case_index, options, budget, found, witness, err);
    if (h.c->count == 0) return BF_STATUS_OK;
    bf_status status = list_disjuncts(&h);
    if (status == BF_STATUS_OK) status = probe(&h);
    bool goes_on = status == BF_STATUS_OK && !*found && a->box.free_count > 0;
    if (goes_on && options->restarts > 0 && options->steps > 0) status = search(&h);
    return status;
}
