/* Splitting inputs: nodes are boxes, bounded by bf_bounds_run in one batch, and cut to what their
 * linear bounds leave of them. */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "verify/bab/branch.h"
#include "verify/bab/clip.h"
#include "verify/bab/loop.h"
#include "verify/bab/state.h"
#include "verify/rows.h"

enum {
    BOXES_AT_ONCE = 128, /* bounded together */
    MOST_MEASURED = 1,   /* candidates of a node whose children are bounded, but first ones */
    MOST_CANDIDATES = BFI_STATE_CANDIDATES,
    EXACT_AT_ONCE = 32,  /* boxes bounded again in float64 together */
    MOST_CELLS = 1 << 24 /* numbers of the lines of all boxes */
};

/* A node that is being branched on: its candidates, the first |measured| of which have boxes from
 * |first| on, low and high child of each. */
typedef struct trial {
    int32_t node;
    int first, measured, count, chosen;
    uint64_t mask;
    bfi_candidate candidates[MOST_CANDIDATES];
} trial;

/* A child that is kept, unless its box turns out closed. */
typedef struct child {
    int box, trial; /* trial -1: the root */
    int sign;
} child;

typedef struct input_splits {
    bfi_loop *loop;
    bfi_bounder *bounders[2]; /* as asked; float64, made when rounding decides */
    int room;                 /* boxes at once */

    trial trials[BOXES_AT_ONCE / 2];
    child children[BOXES_AT_ONCE];
    int trial_count, child_count;
    double *lo, *hi;                 /* n: a node's box */
    float *before;                   /* rows: a node's margins */
    bool *wanted;                    /* rows */
    double *points, *lines;          /* by child: n */
    double *weights, *offsets, *cut; /* while a child is clipped: rows, rows, 4 n */
    bfi_state_bytes bytes;
} input_splits;

static bool allocate(input_splits *s) {
    const bfi_problem *p = &s->loop->problem;
    size_t n = (size_t)p->n, rows = (size_t)p->rows, room = (size_t)s->room, all;
    if (!bfi_mul_size(room, n, &all)) return false;
    s->lo = bfi_malloc(n, sizeof *s->lo);
    s->hi = bfi_malloc(n, sizeof *s->hi);
    s->cut = bfi_malloc(4 * n, sizeof *s->cut);
    s->points = bfi_malloc(all, sizeof *s->points);
    s->lines = bfi_malloc(all, sizeof *s->lines);
    s->before = bfi_malloc(rows, sizeof *s->before);
    s->wanted = bfi_malloc(rows, sizeof *s->wanted);
    s->weights = bfi_malloc(rows, sizeof *s->weights);
    s->offsets = bfi_malloc(rows, sizeof *s->offsets);
    return s->lo && s->hi && s->cut && s->points && s->lines && s->before && s->wanted &&
           s->weights && s->offsets;
}

static void close_splits(void *splits) {
    input_splits *s = splits;
    if (!s) return;
    free(s->lo);
    free(s->hi);
    free(s->cut);
    free(s->points);
    free(s->lines);
    free(s->before);
    free(s->wanted);
    free(s->weights);
    free(s->offsets);
    free(s->bytes.data);
    for (int b = 0; b < 2; b++) bfi_bounder_free(s->bounders[b]);
    free(s);
}

/* The box of a node: as remembered, else the case's, cut by the decisions on its path. */
static void find_box(input_splits *s, const bfi_state *state, int32_t depth) {
    size_t bytes = (size_t)s->loop->problem.n * sizeof *s->lo;
    memcpy(s->lo, state->lo ? state->lo : s->loop->problem.c->lo, bytes);
    memcpy(s->hi, state->lo ? state->hi : s->loop->problem.c->hi, bytes);
    for (int32_t i = 0; !state->lo && i < depth; i++)
        bfi_branch_apply(&s->loop->cuts[i], s->lo, s->hi);
}

/* Places the children of candidate |k| of trial |t|, whose path and box have been found. */
static bf_status place_children(input_splits *s, trial *t, int k, int32_t depth) {
    bf_status status = BF_STATUS_OK;
    for (int side = 0; side < 2 && status == BF_STATUS_OK; side++) {
        bfi_bounder *b = s->bounders[0];
        int box = t->first + 2 * k + side;
        s->loop->cuts[depth] = (bfi_cut){t->candidates[k].decision, side ? 1 : -1};
        status = bfi_bounder_place(b, box, s->lo, s->hi, s->loop->cuts, depth + 1, t->mask,
                                   s->loop->err);
        if (status == BF_STATUS_OK)
            bfi_branch_apply(&s->loop->cuts[depth], bfi_bounder_lo(b, box), bfi_bounder_hi(b, box));
    }
    return status;
}

/* Chooses what to try at |node|, and places the children; *boxes counts them. */
static bf_status begin_trial(input_splits *s, int32_t node, int most, int *boxes) {
    trial *t = &s->trials[s->trial_count++];
    bfi_state state;
    size_t size;
    int32_t depth;
    *t = (trial){.node = node, .first = *boxes, .mask = bfi_tree_mask(s->loop->tree, node)};
    bool known = bfi_state_unpack(s->loop->problem.n, s->loop->problem.rows,
                                  bfi_tree_data(s->loop->tree, node, &size), &state);
    bf_status status = bfi_loop_path(s->loop, node, &depth);
    if (status != BF_STATUS_OK) return status;
    find_box(s, &state, depth);
    t->count = state.count;
    if (known) memcpy(t->candidates, state.candidates, (size_t)state.count * sizeof *t->candidates);
    if (t->count == 0)
        t->count = bfi_branch_inputs(s->loop->problem.n, s->lo, s->hi, NULL, NULL, 0,
                                     MOST_CANDIDATES, t->candidates);
    if (t->count == 0) {
        bfi_loop_strand(s->loop, bfi_tree_margin(s->loop->tree, node),
                        "a box that floating point cannot divide further stays open");
        return BF_STATUS_OK;
    }
    t->measured = bfi_branch_filter(t->candidates, t->count, MOST_MEASURED, most);
    *boxes += 2 * t->measured;
    for (int k = 0; k < t->measured && status == BF_STATUS_OK; k++)
        status = place_children(s, t, k, depth);
    return status;
}

/* Rows of the disjuncts that are open in |mask|. */
static void find_wanted(input_splits *s, uint64_t mask) {
    for (int bit = 0; bit < s->loop->problem.count; bit++)
        for (int32_t r = s->loop->problem.first_row[bit]; r < s->loop->problem.first_row[bit + 1];
             r++)
            s->wanted[r] = mask >> bit & 1;
}

static void find_before(input_splits *s, int32_t node) {
    bfi_state state;
    size_t size;
    bool known = bfi_state_unpack(s->loop->problem.n, s->loop->problem.rows,
                                  bfi_tree_data(s->loop->tree, node, &size), &state);
    for (int64_t r = 0; r < s->loop->problem.rows; r++)
        s->before[r] = known ? state.margins[r] : (float)bfi_tree_margin(s->loop->tree, node);
}

/* Picks the candidate whose children gain most, and lists these. */
static void end_trial(input_splits *s, trial *t) {
    const bfi_bounder *b = s->bounders[0];
    double best = -1;
    if (t->measured == 0) return;
    find_wanted(s, t->mask);
    find_before(s, t->node);
    for (int k = 0; k < t->measured; k++) {
        const double *low = b->margins + (t->first + 2 * k) * s->loop->problem.rows;
        double gain = bfi_branch_gain(s->loop->problem.rows, s->wanted, s->before, low,
                                      low + s->loop->problem.rows);
        t->candidates[k].estimate = gain;
        if (gain > best) best = gain, t->chosen = k;
    }
    bfi_tree_decide(s->loop->tree, t->node, t->candidates[t->chosen].decision);
    for (int side = 0; side < 2; side++)
        s->children[s->child_count++] =
            (child){t->first + 2 * t->chosen + side, (int)(t - s->trials), side ? 1 : -1};
    bfi_branch_inherit(t->candidates, t->count, t->measured, t->chosen);
}

/* Bounds again in float64 the children that only error terms keep open, some at a time. */
static bf_status bound_exactly(input_splits *s) {
    bf_status status = BF_STATUS_OK;
    bf_options o = s->loop->options->bounds;
    if (o.dtype == BF_DTYPE_FLOAT64) return status;
    o.dtype = BF_DTYPE_FLOAT64;
    o.memory = bfi_loop_memory(s->loop, 0);
    for (int i = 0; i < s->child_count && status == BF_STATUS_OK;) {
        int again[EXACT_AT_ONCE], count = 0;
        for (; i < s->child_count && count < EXACT_AT_ONCE; i++) {
            const bfi_box *box = &s->bounders[0]->boxes[s->children[i].box];
            if (box->mask && box->rounding) again[count++] = s->children[i].box;
        }
        if (count == 0) break;
        if (!s->bounders[1])
            status = bfi_bounder_create(&s->loop->problem, &o, EXACT_AT_ONCE, &s->bounders[1],
                                        s->loop->err);
        if (status == BF_STATUS_LIMIT)
            bfi_loop_give_up(s->loop, "the memory is not enough for float64 bounds");
        for (int k = 0; k < count && status == BF_STATUS_OK; k++)
            status = bfi_bounder_take(s->bounders[1], k, s->bounders[0], again[k], s->loop->err);
        if (status == BF_STATUS_OK)
            status =
                bfi_bounder_run(s->bounders[1], count, s->loop->options->deadline, s->loop->err);
        for (int k = 0; k < count && status == BF_STATUS_OK; k++)
            bfi_bounder_give(s->bounders[1], k, s->bounders[0], again[k]);
    }
    return status;
}

/* Cuts [lo, hi] at what the lines of a disjunct say together, and leaves their best combination in
 * |line|. False: no counterexample is there. */
static bool clip_disjunct(input_splits *s, int box, int bit, double *line, double *lo, double *hi) {
    const bfi_problem *p = &s->loop->problem;
    const bfi_bounder *b = s->bounders[0];
    int32_t first = p->first_row[bit], rows = p->first_row[bit + 1] - first;
    const double *a = bfi_bounder_line(b, box, first);
    double constant;
    for (int32_t r = 0; r < rows; r++)
        s->offsets[r] =
            bfi_row_margin(bfi_problem_row(p, bit, first + r),
                           b->constant[box * p->rows + first + r], lo, hi, p->y_lo, p->y_hi);
    memset(s->weights, 0, (size_t)rows * sizeof *s->weights);
    if (bfi_clip_combine(p->n, rows, a, s->offsets, lo, hi, s->weights, line, &constant) > 0)
        return false;
    if (!bfi_clip_box(p->n, line, constant, lo, hi)) return false;
    for (int32_t r = 0; rows > 1 && r < rows; r++)
        if (!bfi_clip_box(p->n, a + r * p->n, s->offsets[r], lo, hi)) return false;
    return true;
}

/* Closes the disjuncts of a child whose lines exclude each other, and cuts its box to the hull of
 * what the others leave. */
static void clip(input_splits *s, int index) {
    const bfi_problem *p = &s->loop->problem;
    int k = s->children[index].box;
    bfi_box *box = &s->bounders[0]->boxes[k];
    double *lo = bfi_bounder_lo(s->bounders[0], k), *hi = bfi_bounder_hi(s->bounders[0], k);
    double *l = s->cut, *h = l + p->n, *hull_lo = h + p->n, *hull_hi = hull_lo + p->n;
    size_t bytes = (size_t)p->n * sizeof *lo;
    bool any = false;
    for (int bit = 0; bit < p->count; bit++) {
        if (!(box->mask >> bit & 1)) continue;
        memcpy(l, lo, bytes), memcpy(h, hi, bytes);
        if (!clip_disjunct(s, k, bit, s->lines + index * p->n, l, h)) {
            box->mask &= ~((uint64_t)1 << bit);
            continue;
        }
        for (int64_t i = 0; i < p->n; i++) {
            hull_lo[i] = any ? fmin(hull_lo[i], l[i]) : l[i];
            hull_hi[i] = any ? fmax(hull_hi[i], h[i]) : h[i];
        }
        any = true;
    }
    if (any) memcpy(lo, hull_lo, bytes), memcpy(hi, hull_hi, bytes);
}

/* Tries the minimisers of the open children's lines. */
static bf_status try_points(input_splits *s) {
    const bfi_problem *p = &s->loop->problem;
    const bfi_bounder *b = s->bounders[0];
    int64_t points = 0;
    for (int k = 0; k < s->child_count; k++) {
        int box = s->children[k].box;
        if (!b->boxes[box].mask) continue;
        const double *lo = bfi_bounder_lo(b, box), *hi = bfi_bounder_hi(b, box);
        const double *a = s->lines + k * p->n;
        for (int64_t i = 0; i < p->n; i++)
            s->points[points * p->n + i] = a[i] > 0   ? lo[i]
                                           : a[i] < 0 ? hi[i]
                                                      : lo[i] / 2 + hi[i] / 2;
        points++;
    }
    return bfi_loop_try(s->loop, s->points, points);
}

static uint64_t all_of(const bfi_problem *p) {
    return p->count == 64 ? UINT64_MAX : ((uint64_t)1 << p->count) - 1;
}

/* Adds a child to the tree, if it is open. */
static bf_status keep_child(input_splits *s, int index) {
    const bfi_problem *p = &s->loop->problem;
    const child *c = &s->children[index];
    const bfi_box *box = &s->bounders[0]->boxes[c->box];
    trial *t = c->trial >= 0 ? &s->trials[c->trial] : NULL;
    bfi_candidate candidates[MOST_CANDIDATES];
    bfi_state state = {.lo = bfi_bounder_lo(s->bounders[0], c->box),
                       .hi = bfi_bounder_hi(s->bounders[0], c->box),
                       .margins = s->before,
                       .candidates = candidates};
    state.count =
        bfi_branch_inputs(p->n, state.lo, state.hi, s->lines + index * p->n,
                          t ? t->candidates : NULL, t ? t->count : 0, MOST_CANDIDATES, candidates);
    for (int64_t r = 0; r < p->rows; r++)
        s->before[r] = (float)s->bounders[0]->margins[c->box * p->rows + r];
    bool packed = bfi_state_pack(p->n, p->rows, &state, &s->bytes, NULL) == BF_STATUS_OK;
    return bfi_loop_settle(s->loop, &(bfi_loop_child){.parent = t ? t->node : -1,
                                                      .sign = c->sign,
                                                      .mask = box->mask,
                                                      .was = t ? t->mask : all_of(p),
                                                      .margin = box->margin,
                                                      .data = packed ? s->bytes.data : NULL,
                                                      .size = s->bytes.size});
}

static int64_t count_open(const input_splits *s) {
    int64_t open = 0;
    for (int k = 0; k < s->child_count; k++)
        open += s->bounders[0]->boxes[s->children[k].box].mask != 0;
    return open;
}

/* Clips the children that have been bounded, tries their points, keeps what is open. */
static bf_status settle_children(input_splits *s) {
    bf_status status = bound_exactly(s);
    for (int k = 0; k < s->child_count && status == BF_STATUS_OK; k++) clip(s, k);
    if (status == BF_STATUS_OK) status = try_points(s);
    if (status == BF_STATUS_OK && !bfi_loop_ended(s->loop))
        status = bfi_loop_reserve(s->loop, count_open(s));
    for (int k = 0; k < s->child_count && status == BF_STATUS_OK && !bfi_loop_ended(s->loop); k++)
        status = keep_child(s, k);
    return status;
}

static bf_status bound(input_splits *s, int boxes) {
    s->loop->nodes += boxes;
    return bfi_bounder_run(s->bounders[0], boxes, s->loop->options->deadline, s->loop->err);
}

static bf_status begin_root(input_splits *s) {
    const bfi_problem *p = &s->loop->problem;
    const bf_case *c = p->c;
    s->child_count = 1;
    s->children[0] = (child){0, -1, 0};
    bf_status status =
        bfi_bounder_place(s->bounders[0], 0, c->lo, c->hi, NULL, 0, all_of(p), s->loop->err);
    if (status == BF_STATUS_OK) status = bound(s, 1); /* which finds the box of the outputs, too */
    return status == BF_STATUS_OK && !s->loop->resumed ? settle_children(s) : status;
}

/* Branches on |count| nodes. */
static bf_status expand(void *splits, const int32_t *nodes, int32_t count) {
    input_splits *s = splits;
    bf_status status = BF_STATUS_OK;
    int boxes = 0, most = s->room / 2 / count;
    s->trial_count = s->child_count = 0;
    for (int32_t i = 0; i < count && status == BF_STATUS_OK; i++)
        status = begin_trial(s, nodes[i], most, &boxes);
    if (status == BF_STATUS_OK && boxes > 0) status = bound(s, boxes);
    for (int i = 0; i < s->trial_count && status == BF_STATUS_OK; i++) end_trial(s, &s->trials[i]);
    return status == BF_STATUS_OK ? settle_children(s) : status;
}

static bf_status make_bounder(input_splits *s) {
    bf_options o = s->loop->options->bounds;
    bf_status status = BF_STATUS_LIMIT;
    for (int try = 0; try < BFI_LOOP_TRIES && status == BF_STATUS_LIMIT; try++) {
        o.memory = bfi_loop_memory(s->loop, try);
        status = bfi_bounder_create(&s->loop->problem, &o, s->room, &s->bounders[0], s->loop->err);
    }
    return status == BF_STATUS_LIMIT
               ? bfi_loop_give_up(s->loop, "the memory is not enough for bounds")
               : status;
}

static bf_status open_splits(bfi_loop *loop, void **splits) {
    input_splits *s = bfi_calloc(1, sizeof *s);
    *splits = s;
    if (!s) return bfi_fail_memory(loop->err);
    s->loop = loop;
    int64_t cells = loop->problem.n * loop->problem.rows, most = MOST_CELLS;
    int64_t share = bfi_loop_memory(loop, 0) / (int64_t)sizeof(double);
    if (share > 0 && share < most) most = share;
    for (s->room = BOXES_AT_ONCE; s->room > 2 && cells > most / s->room;) s->room /= 2;
    bf_status status = allocate(s) ? BF_STATUS_OK : bfi_fail_memory(loop->err);
    if (status == BF_STATUS_OK) status = make_bounder(s);
    return status == BF_STATUS_OK ? begin_root(s) : status;
}

static int64_t bytes(const void *splits) {
    const input_splits *s = splits;
    int64_t sum = (int64_t)sizeof *s;
    for (int b = 0; b < 2; b++)
        if (s->bounders[b]) sum += bfi_bounder_bytes(s->bounders[b]);
    return sum + 2 * s->room * s->loop->problem.n * (int64_t)sizeof(double);
}

static bool fits(const void *splits, uint64_t mask, const bfi_decision *d, bool open) {
    const bfi_problem *p = &((const input_splits *)splits)->loop->problem;
    return d->activation == -1 && d->index < p->n && (mask & ~all_of(p)) == 0 &&
           (mask != 0 || !open);
}

static bool knows(const void *splits, uint64_t mask, const void *data, size_t size) {
    const bfi_problem *p = &((const input_splits *)splits)->loop->problem;
    (void)mask;
    return bfi_state_valid(p->n, p->rows, data, size);
}

static int32_t most(const void *splits) {
    return ((const input_splits *)splits)->room / 2 / MOST_MEASURED;
}

const bfi_splitter bfi_input_splits = {"inputs",     open_splits, most, NULL, expand,
                                       close_splits, bytes,       fits, knows};
