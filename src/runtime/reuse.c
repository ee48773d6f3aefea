#include "runtime/reuse.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "exec/backward.h"
#include "runtime/cache/cache.h"
#include "runtime/session.h"

/* Hidden layers below this many operations, were all their rows bounded, are computed within some
 * 100 us: about what writing them to a file and finding them there costs. */
#define BRIEF_FLOPS 1e7

/* One box in flight. */
typedef struct reused_box {
    uint64_t hash;
    bool derived; /* got bounds by containment: not those of computing alone */
} reused_box;

struct bfi_reuse {
    bf_cache *cache; /* of this run; NULL: none */
    const bfi_identity *identity;
    reused_box *boxes;
    size_t box_capacity;
    bool held;          /* the vectors in the workspace are those of |held_boxes| boxes, whole */
    int64_t held_boxes; /* copied here: corners, then where their splits begin, the splits */
    double *corners;
    size_t corner_capacity;
    int64_t *first_split;
    size_t first_capacity;
    bf_split *splits;
    size_t split_capacity;
    bfi_split_name *names; /* of one question */
    size_t name_capacity;
};

void bfi_reuse_free(bfi_reuse *r) {
    if (!r) return;
    free(r->boxes);
    free(r->corners);
    free(r->first_split);
    free(r->splits);
    free(r->names);
    free(r);
}

void bfi_reuse_forget(bf_workspace *ws) {
    if (ws->reuse) ws->reuse->held = false;
}

static bfi_reuse *active(const bf_workspace *ws) {
    return ws->reuse && ws->reuse->cache ? ws->reuse : NULL;
}

static int64_t inputs_of(const bf_workspace *ws) { return ws->plan->graph->nodes[0].count; }

static const int64_t *first_split_of(const bf_workspace *ws, int64_t box) {
    return ws->request.splits ? ws->request.first_split + ws->first_box + box : NULL;
}

/* Questions. */

/* Names of the box's splits on values up to |last|, which are all that can matter for it, in order;
 * -1 when out of memory. */
static int64_t name_splits(const bf_workspace *ws, int64_t box, int last) {
    bfi_reuse *r = ws->reuse;
    const int64_t *first = first_split_of(ws, box);
    int64_t count = 0;
    if (!first || first[0] == first[1]) return 0;
    if (!bfi_grow((void **)&r->names, &r->name_capacity, (size_t)(first[1] - first[0]),
                  sizeof *r->names))
        return -1;
    for (int64_t i = first[0]; i < first[1]; i++) {
        const bf_split *s = &ws->request.splits[i];
        int value = ws->plan->split_values[s->activation];
        if (value > last) continue;
        bfi_split_name *name = &r->names[count++];
        memcpy(name->value, r->identity->values[value].bytes, sizeof name->value);
        name->neuron = 2 * s->neuron + (s->sign < 0);
        name->point = s->point;
    }
    qsort(r->names, (size_t)count, sizeof *r->names, bfi_split_order);
    int64_t distinct = count > 0;
    for (int64_t i = 1; i < count; i++)
        if (bfi_split_order(&r->names[i], &r->names[distinct - 1]) != 0)
            r->names[distinct++] = r->names[i];
    return distinct;
}

/* The region of box |box| as far as value |last| depends on it; false when out of memory. */
static bool region_of(const bf_workspace *ws, int64_t box, int last, bfi_region *out) {
    int64_t at = (ws->first_box + box) * inputs_of(ws), splits = name_splits(ws, box, last);
    *out = (bfi_region){.inputs = inputs_of(ws),
                        .lo = ws->request.lo + at,
                        .hi = ws->request.hi + at,
                        .split_count = splits,
                        .splits = ws->reuse->names,
                        .hash = ws->reuse->boxes[box].hash};
    return splits >= 0;
}

typedef struct asking {
    bfi_region region;
    bfi_question question;
    bfi_answer answer;
} asking;

static bool is_brief(const bf_plan *plan, int node) {
    double flops = 0, lanes = 2 * (double)plan->graph->nodes[node].count;
    for (int i = 0; i < plan->tasks.step_count; i++) {
        const bfi_step *step = &plan->tasks.steps[i];
        if (step->kind == BFI_STEP_BOUND && step->node == node)
            flops += lanes * bfi_program_flops(plan, &plan->programs[step->program]);
    }
    return flops < BRIEF_FLOPS;
}

static bool ask_value(const bf_workspace *ws, int64_t box, int node, asking *a) {
    if (!region_of(ws, box, node, &a->region)) return false;
    a->question = (bfi_question){.what = &ws->reuse->identity->values[node],
                                 .region = &a->region,
                                 .count = ws->plan->graph->nodes[node].count,
                                 .parts = BFI_PART_LOWER | BFI_PART_UPPER,
                                 .brief = is_brief(ws->plan, node)};
    a->answer = (bfi_answer){{bfi_ws_doubles(ws, box, ws->plan->state[node].lo),
                              bfi_ws_doubles(ws, box, ws->plan->state[node].hi)}};
    return true;
}

/* False too when no result is wanted, or one that answers do not have: the functionals. */
static bool ask_results(const bf_workspace *ws, int64_t box, asking *a) {
    const bf_request *request = &ws->request;
    const bf_plan *plan = ws->plan;
    int64_t outputs = plan->graph->nodes[plan->graph->output].count;
    int64_t rows = request->spec ? request->rows : outputs, first = (ws->first_box + box) * rows;
    double *parts[BFI_PARTS] = {request->lower, request->upper, request->lower_error};
    if (request->functional || !region_of(ws, box, plan->graph->output, &a->region)) return false;
    a->question = (bfi_question){
        .what = request->spec ? &ws->reuse->identity->spec : &ws->reuse->identity->outputs,
        .region = &a->region,
        .count = rows};
    if (plan->options.method == BF_METHOD_ALPHA_CROWN && request->enough)
        a->question.enough = request->enough + first;
    for (int i = 0; i < BFI_PARTS; i++) {
        a->answer.part[i] = parts[i] ? parts[i] + first : NULL;
        if (parts[i]) a->question.parts |= 1u << i;
    }
    if (request->spec) {
        a->question.spec_count = rows * outputs;
        a->question.spec =
            request->spec + (request->spec_per_box ? (ws->first_box + box) * rows * outputs : 0);
    }
    return a->question.parts != 0;
}

/* The answer of computing alone, or with containment one that holds as well. */
static bool get(const bf_workspace *ws, int64_t box, asking *a) {
    bfi_reuse *r = ws->reuse;
    a->question.derived = false;
    if (bfi_cache_get(r->cache, &a->question, &a->answer)) return true;
    if (!bfi_cache_contains(r->cache)) return false;
    a->question.derived = true;
    if (!bfi_cache_get(r->cache, &a->question, &a->answer)) return false;
    return r->boxes[box].derived = true;
}

static void put(const bf_workspace *ws, int64_t box, asking *a) {
    a->question.derived = ws->reuse->boxes[box].derived;
    bfi_cache_put(ws->reuse->cache, &a->question, &a->answer);
}

/* Runs. */

static bool same(const void *a, const void *b, size_t size) {
    return size == 0 || memcmp(a, b, size) == 0;
}

/* Splits [from, from + count) of the request are those held at |held|. Compared member by member:
 * there is padding. */
static bool same_splits(const bf_split *a, const bf_split *b, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (a[i].activation != b[i].activation || a[i].neuron != b[i].neuron ||
            a[i].sign != b[i].sign || a[i].point != b[i].point)
            return false;
    return true;
}

static bool still_held(const bf_workspace *ws) {
    const bfi_reuse *r = ws->reuse;
    if (!r->held || r->held_boxes != ws->boxes) return false;
    size_t numbers = (size_t)(ws->boxes * inputs_of(ws));
    int64_t at = ws->first_box * inputs_of(ws);
    if (!same(r->corners, ws->request.lo + at, numbers * sizeof(double)) ||
        !same(r->corners + numbers, ws->request.hi + at, numbers * sizeof(double)))
        return false;
    const int64_t *first = first_split_of(ws, 0);
    for (int64_t b = 0; b <= ws->boxes; b++)
        if (r->first_split[b] != (first ? first[b] - first[0] : 0)) return false;
    return !first ||
           same_splits(r->splits, ws->request.splits + first[0], first[ws->boxes] - first[0]);
}

/* Copies what the vectors in the workspace belong to; without memory nothing is held. */
static void hold(const bf_workspace *ws) {
    bfi_reuse *r = ws->reuse;
    size_t numbers = (size_t)(ws->boxes * inputs_of(ws));
    int64_t at = ws->first_box * inputs_of(ws);
    /* optimising goes on from what CROWN left, and changes it */
    if (ws->plan->options.method == BF_METHOD_ALPHA_CROWN) return;
    const int64_t *first = first_split_of(ws, 0);
    size_t splits = first ? (size_t)(first[ws->boxes] - first[0]) : 0;
    if (!bfi_grow((void **)&r->corners, &r->corner_capacity, 2 * numbers, sizeof(double)) ||
        !bfi_grow((void **)&r->first_split, &r->first_capacity, (size_t)ws->boxes + 1,
                  sizeof *r->first_split) ||
        !bfi_grow((void **)&r->splits, &r->split_capacity, splits, sizeof *r->splits))
        return;
    memcpy(r->corners, ws->request.lo + at, numbers * sizeof(double));
    memcpy(r->corners + numbers, ws->request.hi + at, numbers * sizeof(double));
    for (int64_t b = 0; b <= ws->boxes; b++) r->first_split[b] = first ? first[b] - first[0] : 0;
    if (splits) memcpy(r->splits, ws->request.splits + first[0], splits * sizeof *r->splits);
    r->held_boxes = ws->boxes;
    r->held = true;
}

void bfi_reuse_refuse(bf_workspace *ws) { ws->uncached = true; }

/* The session's cache, if there is one and all that it takes. */
static bool attach(bf_workspace *ws) {
    bf_cache *cache = ws->uncached ? NULL : ws->plan->session->cache;
    if (!ws->reuse && cache) ws->reuse = bfi_calloc(1, sizeof *ws->reuse);
    bfi_reuse *r = ws->reuse;
    if (!r) return false;
    r->cache = NULL;
    if (!cache) return false;
    r->identity = bfi_plan_identity(ws->plan);
    if (!r->identity ||
        !bfi_grow((void **)&r->boxes, &r->box_capacity, (size_t)ws->boxes, sizeof *r->boxes))
        return false;
    r->cache = cache;
    return true;
}

void bfi_reuse_prepare(bf_workspace *ws) {
    if (ws->plan->session->cache) bfi_plan_identity(ws->plan);
}

/* Fills in what is known of the results; returns how many boxes that answers. */
static int64_t look_up_results(bf_workspace *ws) {
    int64_t answered = 0;
    for (int64_t box = 0; box < ws->boxes; box++) {
        asking a;
        bool known = !bfi_ws_infeasible(ws, box) && ask_results(ws, box, &a) && get(ws, box, &a);
        bfi_ws_box(ws, box)->answered = known;
        answered += known;
    }
    ws->stats.reused += answered;
    return answered;
}

static void start_boxes(bf_workspace *ws) {
    int64_t n = inputs_of(ws);
    for (int64_t box = 0; box < ws->boxes; box++) {
        atomic_init(&bfi_ws_box(ws, box)->infeasible, 0);
        if (!active(ws)) continue;
        int64_t at = (ws->first_box + box) * n;
        bfi_region region = {.inputs = n, .lo = ws->request.lo + at, .hi = ws->request.hi + at};
        ws->reuse->boxes[box] = (reused_box){.hash = bfi_region_hash(&region)};
    }
}

static void count_held(bf_workspace *ws) {
    int64_t layers = 0;
    for (int i = 0; i < ws->plan->tasks.step_count; i++)
        layers += ws->plan->tasks.steps[i].kind == BFI_STEP_BOUND;
    bfi_cache_held(ws->reuse->cache, layers * ws->boxes);
    ws->stats.reused += layers * ws->boxes;
}

bfi_reuse_left bfi_reuse_begin(bf_workspace *ws) {
    bool caches = attach(ws), held = caches && still_held(ws);
    int64_t answered = 0;
    for (int64_t box = 0; box < ws->boxes; box++) bfi_ws_box(ws, box)->answered = 0;
    if (ws->reuse) ws->reuse->held = held;
    if (!held) start_boxes(ws);
    if (held || (caches && !ws->plan->options.keep_layers)) answered = look_up_results(ws);
    if (answered == ws->boxes) return BFI_REUSE_LEFT_NOTHING;
    if (held) count_held(ws);
    return held ? BFI_REUSE_LEFT_SPEC : BFI_REUSE_LEFT_ALL;
}

void bfi_reuse_end(bf_workspace *ws, bool whole) {
    bfi_reuse *r = active(ws);
    if (!r) return;
    int64_t answered = 0;
    for (int64_t box = 0; box < ws->boxes; box++) {
        asking a;
        answered += bfi_ws_box(ws, box)->answered;
        if (whole && !bfi_ws_idle(ws, box) && ask_results(ws, box, &a)) put(ws, box, &a);
    }
    if (!whole)
        r->held = false;
    else if (!r->held && answered == 0)
        hold(ws);
}

bool bfi_reuse_value(bf_workspace *ws, int64_t box, int node, bool *tighter) {
    bfi_reuse *r = active(ws);
    asking a;
    if (!r || !ask_value(ws, box, node, &a)) return false;
    if (get(ws, box, &a)) {
        ws->stats.reused++;
        return true;
    }
    if (bfi_cache_contain(r->cache, &a.question, &a.answer))
        *tighter = r->boxes[box].derived = true;
    return false;
}

void bfi_reuse_start_results(bf_workspace *ws, int64_t box) {
    bfi_reuse *r = active(ws);
    asking a;
    if (r && ask_results(ws, box, &a) && bfi_cache_contain(r->cache, &a.question, &a.answer))
        r->boxes[box].derived = true;
}

void bfi_reuse_spread(bf_workspace *ws) {
    for (int64_t box = 0; box < ws->boxes; box++) ws->reuse->boxes[box].derived = true;
}

void bfi_reuse_keep(bf_workspace *ws, int64_t box, int node) {
    asking a;
    if (!active(ws) || atomic_load_explicit(&ws->failed, memory_order_relaxed) ||
        bfi_ws_infeasible(ws, box) || !ask_value(ws, box, node, &a))
        return;
    put(ws, box, &a);
}

bool bfi_reuse_has_layers(const bf_workspace *ws, int64_t box) {
    return !bfi_ws_box(ws, box)->answered || (ws->reuse && ws->reuse->held);
}
