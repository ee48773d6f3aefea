#include "verify/bab/search.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/model.h"
#include "verify/bab/branch.h"
#include "verify/bab/tree.h"
#include "verify/rows.h"

enum {
    NODES_AT_ONCE = 64,    /* children bounded together */
    DISJUNCTS_AT_ONCE = 64 /* bits of a node's mask */
};
#define TREE_BYTES ((int64_t)1 << 30)
#define NODE_BYTES 80 /* of the tree, with its place in the queue */

/* Plan and workspace of one number type. */
typedef struct engine {
    bf_plan *plan;
    bf_workspace *ws;
} engine;

/* One child that is being looked at. */
typedef struct child {
    int32_t parent;
    int sign;
    uint64_t mask; /* disjuncts still open */
    double margin; /* of the worst of them */
    int32_t row;   /* the row that refutes it most nearly */
    bool rounding; /* all open ones would be refuted but for error terms */
} child;

typedef struct search {
    bf_session *session;
    const bf_model *model;
    const bf_property *property;
    const bf_case *c;
    int32_t index;
    const bfi_search_options *options;
    bfi_search_result *result;
    bf_error *err;

    engine engines[2]; /* as asked; float64, made when rounding decides */
    bfi_tree *tree;
    int64_t n, rows;
    int32_t disjuncts[DISJUNCTS_AT_ONCE]; /* of the case, by bit */
    int32_t first_row[DISJUNCTS_AT_ONCE + 1];
    int count;

    double *y_lo, *y_hi; /* of the outputs on the case's box, once the root has been bounded */
    bool outputs_known;
    double *spec, *lo, *hi, *lower, *error, *functional, *points;
    bfi_cut *cuts;
    int32_t cut_room;
    child children[NODES_AT_ONCE];
    int64_t nodes;
} search;

int64_t bfi_search_free_inputs(const bf_property *property, int32_t case_index) {
    const bf_case *c = &property->cases[case_index];
    int64_t count = 0;
    for (int64_t i = 0; i < property->n_in; i++) count += c->lo[i] < c->hi[i];
    return count;
}

static bf_status open_engine(search *s, int which) {
    engine *e = &s->engines[which];
    if (e->plan) return BF_STATUS_OK;
    bf_options o = s->options->bounds;
    o.batch = NODES_AT_ONCE;
    if (which == 1) o.dtype = BF_DTYPE_FLOAT64;
    bf_status status = bf_plan_create(s->session, s->model, &o, &e->plan, s->err);
    return status == BF_STATUS_OK ? bf_workspace_create(e->plan, &e->ws, s->err) : status;
}

static bool grow_arrays(search *s) {
    size_t n = (size_t)s->n, rows = (size_t)s->rows, outputs = (size_t)s->property->n_out;
    size_t cells, specs;
    if (!bfi_mul_size(rows, NODES_AT_ONCE * n, &cells) || !bfi_mul_size(rows, outputs, &specs))
        return false;
    s->spec = bfi_malloc(specs, sizeof *s->spec);
    s->lo = bfi_malloc(NODES_AT_ONCE * n, sizeof *s->lo);
    s->hi = bfi_malloc(NODES_AT_ONCE * n, sizeof *s->hi);
    s->points = bfi_malloc(NODES_AT_ONCE * n, sizeof *s->points);
    s->lower = bfi_malloc(NODES_AT_ONCE * rows, sizeof *s->lower);
    s->error = bfi_malloc(NODES_AT_ONCE * rows, sizeof *s->error);
    s->functional = bfi_malloc(cells, sizeof *s->functional);
    return s->spec && s->lo && s->hi && s->points && s->lower && s->error && s->functional;
}

static void clear_arrays(search *s) {
    free(s->spec);
    free(s->lo);
    free(s->hi);
    free(s->points);
    free(s->lower);
    free(s->error);
    free(s->functional);
    s->spec = s->lo = s->hi = s->points = s->lower = s->error = s->functional = NULL;
}

static void close_engines(search *s) {
    for (int e = 0; e < 2; e++) {
        bf_workspace_free(s->engines[e].ws);
        bf_plan_free(s->engines[e].plan);
    }
}

/* The half-space of |row| of the group, and the bit of its disjunct. */
static const bf_halfspace *halfspace(const search *s, int bit, int32_t row) {
    return &s->c->disjuncts[s->disjuncts[bit]].rows[row - s->first_row[bit]];
}

/* Lists the next open disjuncts from |from| on; returns where to go on. */
static int32_t gather(search *s, const bfi_disjunct_state *states, int32_t from) {
    s->count = 0;
    s->rows = 0;
    for (; from < s->c->count && s->count < DISJUNCTS_AT_ONCE; from++) {
        if (states[from].refuted) continue;
        s->first_row[s->count] = (int32_t)s->rows;
        s->disjuncts[s->count++] = from;
        s->rows += s->c->disjuncts[from].count;
    }
    s->first_row[s->count] = (int32_t)s->rows;
    return from;
}

static void write_rows(search *s) {
    for (int bit = 0; bit < s->count; bit++)
        for (int32_t r = s->first_row[bit]; r < s->first_row[bit + 1]; r++)
            bfi_row_write(halfspace(s, bit, r), s->property->n_out,
                          s->spec + r * s->property->n_out);
}

/* The box of a child: the case's, cut by the decisions on its way to the root. */
static bf_status place_child(search *s, int k) {
    const child *c = &s->children[k];
    double *lo = s->lo + k * s->n, *hi = s->hi + k * s->n;
    memcpy(lo, s->c->lo, (size_t)s->n * sizeof *lo);
    memcpy(hi, s->c->hi, (size_t)s->n * sizeof *hi);
    if (c->parent < 0) return BF_STATUS_OK;
    int32_t depth = bfi_tree_depth(s->tree, c->parent);
    size_t room = (size_t)s->cut_room;
    if (!bfi_grow((void **)&s->cuts, &room, (size_t)depth + 1, sizeof *s->cuts))
        return bfi_fail_memory(s->err);
    s->cut_room = (int32_t)room;
    bfi_tree_path(s->tree, c->parent, s->cuts);
    s->cuts[depth] = (bfi_cut){bfi_tree_decision(s->tree, c->parent), c->sign};
    for (int32_t i = 0; i <= depth; i++) bfi_branch_apply(&s->cuts[i], lo, hi);
    return BF_STATUS_OK;
}

/* What the bounds say of child |k|: its open disjuncts, and the worst one's most hopeful row. */
static void judge(search *s, int k) {
    child *c = &s->children[k];
    const double *lo = s->lo + k * s->n, *hi = s->hi + k * s->n;
    c->margin = INFINITY;
    c->rounding = true;
    for (int bit = 0; bit < s->count; bit++) {
        if (!(c->mask >> bit & 1)) continue;
        double best = -INFINITY;
        int32_t best_row = s->first_row[bit];
        bool refuted = false, rounding = false;
        for (int32_t r = s->first_row[bit]; r < s->first_row[bit + 1]; r++) {
            const bf_halfspace *h = halfspace(s, bit, r);
            int64_t at = k * s->rows + r;
            double margin = bfi_row_margin(h, s->lower[at], lo, hi, s->y_lo, s->y_hi);
            refuted = refuted || bfi_row_refuted(h, margin);
            rounding = rounding || margin + 2 * s->error[at] > 0;
            if (margin > best) best = margin, best_row = r;
        }
        if (refuted) {
            c->mask &= ~((uint64_t)1 << bit);
            continue;
        }
        c->rounding = c->rounding && rounding;
        if (best < c->margin) c->margin = best, c->row = best_row;
    }
}

static bf_status bound_with(search *s, int which, int count) {
    bf_status status = open_engine(s, which);
    if (status != BF_STATUS_OK) return status;
    bf_request request = {.lo = s->lo,
                          .hi = s->hi,
                          .boxes = count,
                          .spec = s->spec,
                          .rows = s->rows,
                          .lower = s->lower,
                          .lower_error = s->error,
                          .functional = s->functional,
                          .deadline = s->options->deadline};
    engine *e = &s->engines[which];
    status = bf_bounds_run(e->plan, e->ws, &request, s->err);
    if (status == BF_STATUS_OK && !s->outputs_known) /* the root comes first */
        s->outputs_known =
            bf_workspace_box_layer(e->plan, e->ws, 0, s->model->graph->output, s->y_lo, s->y_hi);
    for (int k = 0; k < count && status == BF_STATUS_OK; k++) judge(s, k);
    return status;
}

static void swap_numbers(double *a, double *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        double keep = a[i];
        a[i] = b[i];
        b[i] = keep;
    }
}

/* Children a and b change places, with all that is known of them. */
static void swap_children(search *s, int a, int b) {
    child keep = s->children[a];
    s->children[a] = s->children[b];
    s->children[b] = keep;
    swap_numbers(s->lo + a * s->n, s->lo + b * s->n, s->n);
    swap_numbers(s->hi + a * s->n, s->hi + b * s->n, s->n);
    int64_t cells = s->rows * s->n;
    swap_numbers(s->functional + a * cells, s->functional + b * cells, cells);
}

/* Bounds the first |count| children, and again in float64 those that only need that. */
static bf_status bound(search *s, int count) {
    bf_status status = bound_with(s, 0, count);
    int again = 0;
    s->nodes += count;
    if (status != BF_STATUS_OK || s->options->bounds.dtype == BF_DTYPE_FLOAT64) return status;
    for (int k = 0; k < count; k++)
        if (s->children[k].mask && s->children[k].rounding) swap_children(s, again++, k);
    return again > 0 ? bound_with(s, 1, again) : status;
}

/* Tries the minimisers of the open children's linear bounds. */
static bf_status try_points(search *s, int count) {
    int64_t points = 0;
    for (int k = 0; k < count; k++) {
        const child *c = &s->children[k];
        const double *a = s->functional + (k * s->rows + c->row) * s->n;
        for (int64_t i = 0; c->mask && i < s->n; i++) {
            double lo = s->lo[k * s->n + i], hi = s->hi[k * s->n + i];
            s->points[points * s->n + i] = a[i] > 0 ? lo : a[i] < 0 ? hi : lo / 2 + hi / 2;
        }
        points += c->mask != 0;
    }
    bool found = false;
    bfi_budget budget = {s->options->deadline, NULL};
    bf_status status = bfi_attack_points(s->options->attack, s->property, s->index, s->points,
                                         points, s->options->bounds.semantics, &budget, &found,
                                         &s->result->witness, s->err);
    if (status == BF_STATUS_OK && found) s->result->outcome = BFI_SEARCH_FOUND;
    return status;
}

static bool ended(const search *s) { return s->result->outcome == BFI_SEARCH_FOUND; }

static bf_status give_up(search *s, const char *why) {
    if (!s->result->reason[0]) snprintf(s->result->reason, sizeof s->result->reason, "%s", why);
    return BF_STATUS_LIMIT;
}

/* Adds the open children to the tree, with what to branch on next. */
static bf_status keep(search *s, int count) {
    bf_status status = BF_STATUS_OK;
    for (int k = 0; k < count && status == BF_STATUS_OK; k++) {
        const child *c = &s->children[k];
        if (!c->mask) continue;
        bfi_decision decision;
        const double *a = s->functional + (k * s->rows + c->row) * s->n;
        if (!bfi_branch_input(s->n, s->lo + k * s->n, s->hi + k * s->n, a, &decision))
            return give_up(s, "a box that floating point cannot divide further stays open");
        status = bfi_tree_add(s->tree, c->parent, c->sign, decision, c->margin, c->mask, s->err);
        if (status == BF_STATUS_LIMIT) return give_up(s, "the search tree's memory is full");
    }
    return status;
}

static void report(search *s) {
    bfi_tree_stats t = bfi_tree_stats_of(s->tree);
    s->result->progress = (bfi_search_progress){s->nodes, t.open, t.lowest, t.bytes};
    if (s->options->report) s->options->report(s->options->user, &s->result->progress);
}

/* Bounds the children that stand in |children|, tries their points, keeps what is open. */
static bf_status expand(search *s, int count) {
    bf_status status = BF_STATUS_OK;
    for (int k = 0; k < count && status == BF_STATUS_OK; k++) status = place_child(s, k);
    if (status == BF_STATUS_OK) status = bound(s, count);
    if (status == BF_STATUS_OK) status = try_points(s, count);
    if (status == BF_STATUS_OK && !ended(s)) status = keep(s, count);
    return status;
}

static bf_status run_group(search *s) {
    uint64_t all = s->count == 64 ? UINT64_MAX : ((uint64_t)1 << s->count) - 1;
    int32_t taken[NODES_AT_ONCE / 2], n;
    s->children[0] = (child){.parent = -1, .mask = all};
    bf_status status = expand(s, 1);
    while (status == BF_STATUS_OK && !ended(s) &&
           (n = bfi_tree_take(s->tree, NODES_AT_ONCE / 2, taken)) > 0) {
        for (int32_t i = 0; i < n; i++)
            for (int side = 0; side < 2; side++)
                s->children[2 * i + side] = (child){.parent = taken[i],
                                                    .sign = side ? 1 : -1,
                                                    .mask = bfi_tree_mask(s->tree, taken[i])};
        status = expand(s, 2 * n);
        for (int32_t i = 0; i < n; i++) {
            if (status != BF_STATUS_OK && bfi_tree_is_leaf(s->tree, taken[i]))
                bfi_tree_put_back(s->tree, taken[i]);
            else
                bfi_tree_close(s->tree, taken[i]);
        }
        report(s);
    }
    return status;
}

/* One group of disjuncts after the other, each with a tree of its own. */
static bf_status run_groups(search *s, bfi_disjunct_state *states) {
    bf_status status = BF_STATUS_OK;
    for (int32_t next = 0; next < s->c->count && status == BF_STATUS_OK && !ended(s);) {
        next = gather(s, states, next);
        if (s->count == 0) break;
        int64_t bytes = s->options->memory > 0 ? s->options->memory : TREE_BYTES;
        status = grow_arrays(s) ? bfi_tree_create(bytes / NODE_BYTES, &s->tree, s->err)
                                : bfi_fail_memory(s->err);
        if (status == BF_STATUS_OK) {
            write_rows(s);
            status = run_group(s);
            report(s);
        }
        for (int bit = 0; bit < s->count && status == BF_STATUS_OK && !ended(s); bit++)
            states[s->disjuncts[bit]].refuted = true;
        bfi_tree_free(s->tree);
        s->tree = NULL;
        clear_arrays(s);
    }
    return status;
}

bf_status bfi_search_case(bf_session *session, const bf_model *model, const bf_property *property,
                          int32_t case_index, const bfi_search_options *options,
                          bfi_disjunct_state *states, bfi_search_result *result, bf_error *err) {
    search *s = bfi_calloc(1, sizeof *s);
    if (!s) return bfi_fail_memory(err);
    *result = (bfi_search_result){.outcome = BFI_SEARCH_OPEN};
    s->session = session, s->model = model, s->property = property, s->index = case_index;
    s->c = &property->cases[case_index], s->n = property->n_in;
    s->options = options, s->result = result, s->err = err;
    size_t outputs = (size_t)property->n_out;
    s->y_lo = bfi_malloc(outputs, sizeof *s->y_lo);
    s->y_hi = bfi_malloc(outputs, sizeof *s->y_hi);
    bf_status status = s->y_lo && s->y_hi ? BF_STATUS_OK : bfi_fail_memory(err);
    for (size_t i = 0; i < outputs && status == BF_STATUS_OK; i++)
        s->y_lo[i] = -INFINITY, s->y_hi[i] = INFINITY;
    if (status == BF_STATUS_OK) status = run_groups(s, states);
    if (status == BF_STATUS_OK && !ended(s)) result->outcome = BFI_SEARCH_REFUTED;
    if (status == BF_STATUS_LIMIT && result->reason[0]) status = BF_STATUS_OK;
    close_engines(s);
    free(s->cuts);
    free(s->y_lo);
    free(s->y_hi);
    free(s);
    return status;
}
