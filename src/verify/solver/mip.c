/* Linear programs: one of a leaf, or depth-first branch and bound on the kinks that are left.
 *
 * HiGHS has a solver for integer programs, but no proof can be had from it: its answer holds up to
 * tolerances that add up over the tree. So the tree is here, and each of its leaves is closed by a
 * bound that is certified from the multipliers of its linear program (safe_bound.h). The same
 * multipliers say which decisions the bound needs (conflicts.h): a search that has to find out by
 * trying which kinks matter, as where all programs have the same optimum until they have no point
 * left, learns it from them. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "verify/solver/backend.h"
#include "verify/solver/conflicts.h"
#include "verify/solver/hull.h"
#include "verify/solver/lp.h"

/* Refuted nodes after which the search begins again, at first: every time half as many more. */
enum { PATIENCE = 20 };

/* A row counts for half as much with every column that is free in it; beside what it says at most,
 * the last conflict of one side counts a tenth. */
#define SHORT_ROWS 0.5
#define ROWS_SAY 10.0

/* Cuts are looked for at the root as long as they raise it, and once at every CUT_EVERY-th depth,
 * if they took LEAST_GAIN of what was open at the root. At the root a cut must be violated by a
 * thousandth of the chord's height, elsewhere by CUT_LEAST of it. */
enum { CUT_ROUNDS = 20, CUT_EVERY = 3 };
#define CUT_ROOT 1e-3
#define CUT_LEAST 0.05
#define LEAST_GAIN 0.05

typedef struct library {
    bfi_dylib dylib;
    bfi_highs highs;
} library;

typedef struct tree {
    const bfi_question *question;
    bfi_solver_result *result;
    bfi_lp *lp;
    bfi_hull *hull; /* NULL: cuts gain nothing */
    bool rooted;    /* the root has its cuts */
    const bfi_highs *highs;
    bfi_side *path; /* to the node */
    bool *last;     /* by depth: the other side of path[depth] is done */
    double **boxes; /* by depth: of the columns, all lo, then all hi; made when first needed */
    double *trial;  /* boxes likewise */
    bool *kept;     /* by depth: the last refutation needs that side */
    bool **reasons; /* by depth: where the first side was refuted, what that needed */
    bfi_conflicts conflicts;
    int32_t *place;         /* by kink: as bfi_conflicts_look wants it */
    bool *bends;            /* by column: the input of a kink */
    double *weight, *reach; /* by column: what rows say */
    bool blind;             /* the last program did not say which kink to branch on */
    int64_t refuted;        /* nodes, since the search began again */
    int64_t patience;       /* when it begins again */
    int32_t depth;
    int64_t open;    /* leaves that could not be decided */
    double unproved; /* optimum of the first of them */
    bf_error *err;
} tree;

static bf_status load(void *self, bf_error *err) {
    library *lib = self;
    return bfi_highs_load(&lib->dylib, &lib->highs, err);
}

static bf_status create(void **self, bf_error *err) {
    return bfi_backend_open(sizeof(library), load, self, err);
}

static double *low(const tree *t, int32_t depth) { return t->boxes[depth]; }

static double *high(const tree *t, int32_t depth) {
    return t->boxes[depth] + t->question->encoding->cols;
}

/* Costs within this factor are the same. */
#define SAME 0.999

/* Below this a kink counts as met: what is left is the rounding of the linear program. */
#define MET 1e-9

/* The point violates kink |i|, which may be of either sign. */
static double violation(const tree *t, int32_t i, const double *x) {
    const bfi_kink *k = &t->question->encoding->kinks[i];
    if (low(t, t->depth)[k->in] >= 0 || high(t, t->depth)[k->in] <= 0) return 0;
    double off = fabs(x[k->out] - bfi_kink_value(k, x[k->in]));
    return off > MET ? off : 0;
}

static bool is_free(const tree *t, int32_t col, const double *x) {
    return x[col] > low(t, t->depth)[col] + MET && x[col] < high(t, t->depth)[col] - MET;
}

/* Rows that have the point at a kink, where their inputs may not rise or fall: adds what each says
 * to the weights of its columns. */
static void weigh_columns(tree *t, const double *x) {
    const bfi_encoding *e = t->question->encoding;
    for (int32_t j = 0; j < e->cols; j++) t->weight[j] = 0;
    for (int64_t r = 0; r < e->goal; r++) {
        bool met = false;
        double says = 1;
        for (int64_t k = e->start[r]; k < e->start[r + 1]; k++) {
            int32_t j = e->index[k];
            if (t->bends[j])
                met = met || fabs(x[j]) <= MET;
            else if (is_free(t, j, x))
                says *= SHORT_ROWS;
        }
        for (int64_t k = e->start[r]; met && k < e->start[r + 1]; k++)
            t->weight[e->index[k]] += says;
    }
}

/* What short rows say about kinks at the point (Jeroslow and Wang 1990, Solving propositional
 * satisfiability problems, Ann. Math. Artif. Intell. 1): deciding a kink decides about the columns
 * that its input is made of, and those of many short rows leave least choice to others. Into
 * |reach| of kinks' inputs. */
static void weigh_kinks(tree *t, const double *x) {
    const bfi_encoding *e = t->question->encoding;
    weigh_columns(t, x);
    for (int32_t j = 0; j < e->cols; j++) t->reach[j] = 0;
    for (int64_t r = 0; r < e->goal; r++) {
        double most = 0;
        for (int64_t k = e->start[r]; k < e->start[r + 1]; k++)
            if (!t->bends[e->index[k]]) most = fmax(most, t->weight[e->index[k]]);
        for (int64_t k = e->start[r]; k < e->start[r + 1]; k++)
            t->reach[e->index[k]] = fmax(t->reach[e->index[k]], most);
    }
}

/* The kink to branch on, among those that the point violates: the one whose chord costs most. Where
 * the program does not say which, the one that short rows and conflicts are about, then the one
 * violated most; -1: there is none. */
static int32_t choose(tree *t, const double *x) {
    const bfi_encoding *e = t->question->encoding;
    int32_t best = -1, alike = 0;
    double cost = 0, reach = 0, furthest = 0, busiest = -1;
    weigh_kinks(t, x);
    for (int32_t i = 0; i < e->kink_count; i++) {
        if (!(violation(t, i, x) > 0)) continue;
        cost = fmax(cost, bfi_lp_kink_cost(t->lp, i));
        reach = fmax(reach, t->reach[e->kinks[i].in]);
    }
    for (int32_t i = 0; i < e->kink_count; i++) {
        double off = violation(t, i, x), busy = t->conflicts.activity[i] / t->conflicts.bump;
        if (!(off > 0) || bfi_lp_kink_cost(t->lp, i) < SAME * cost) continue;
        alike++;
        if (reach > 0) busy += ROWS_SAY * t->reach[e->kinks[i].in] / reach;
        if (busy < busiest || (busy == busiest && off <= furthest)) continue;
        busiest = busy, furthest = off, best = i;
    }
    t->blind = alike > 1;
    return best;
}

static bf_status make_boxes(tree *t, int32_t depth) {
    size_t cols = (size_t)t->question->encoding->cols;
    if (t->boxes[depth]) return BF_STATUS_OK;
    t->boxes[depth] = bfi_malloc(2 * cols, sizeof **t->boxes);
    t->reasons[depth] = bfi_malloc((size_t)depth + 1, sizeof **t->reasons);
    return t->boxes[depth] && t->reasons[depth] ? BF_STATUS_OK : bfi_fail_memory(t->err);
}

/* What the side leaves of the boxes of its kink. */
static void cut(const bfi_encoding *e, bfi_side side, double *lo, double *hi) {
    const bfi_kink *k = &e->kinks[side.kink];
    if (side.sign > 0)
        lo[k->in] = fmax(lo[k->in], 0);
    else
        hi[k->in] = fmin(hi[k->in], 0);
}

/* Goes to the child on that side. |last|: the other side is done, for what reasons[depth] needed.
 */
static bf_status descend(tree *t, bfi_side side, bool last) {
    const bfi_encoding *e = t->question->encoding;
    int32_t d = t->depth;
    bf_status status = make_boxes(t, d + 1);
    if (status != BF_STATUS_OK) return status;
    t->path[d] = side, t->last[d] = last;
    t->place[side.kink] = side.sign * (d + 1);
    t->depth++;
    memcpy(low(t, d + 1), low(t, d), 2 * (size_t)e->cols * sizeof(double));
    cut(e, side, low(t, d + 1), high(t, d + 1));
    return BF_STATUS_OK;
}

static void ascend(tree *t) { t->place[t->path[--t->depth].kink] = 0; }

/* Begins again at the root, with what conflicts say: with decisions that are made for what has been
 * learned. */
static void begin_again(tree *t) {
    while (t->depth > 0) ascend(t);
    t->refuted = 0;
    t->patience += t->patience / 2;
}

/* Closes the node, whose refutation needs the sides |kept|: goes to the other side of the last one
 * of them that is not done. Where both sides are refuted, what they needed refutes their parent. */
static bf_status backtrack(tree *t, bool *more) {
    *more = false;
    while (t->depth > 0) {
        bfi_side side = t->path[t->depth - 1];
        int32_t d = t->depth - 1;
        bf_status status = BF_STATUS_OK;
        if (t->kept[d] && !t->last[d])
            status = bfi_conflicts_add(&t->conflicts, t->path, t->kept, d + 1, t->err);
        ascend(t);
        if (status != BF_STATUS_OK) return status;
        if (!t->kept[d]) continue; /* refuted without it */
        if (!t->last[d]) {
            memcpy(t->reasons[d], t->kept, (size_t)d * sizeof *t->kept);
            *more = true;
            side.sign *= -1;
            return descend(t, side, true);
        }
        for (int32_t i = 0; i < d; i++) t->kept[i] = t->kept[i] || t->reasons[d][i];
    }
    return BF_STATUS_OK;
}

/* Marks in |sides|, by depth, where the sides of conflict |index| stand. */
static void find_sides(const tree *t, int64_t index, bool *sides) {
    const bfi_conflicts *c = &t->conflicts;
    memset(sides, 0, (size_t)t->depth * sizeof *sides);
    for (int64_t i = c->first[index]; i < c->first[index + 1]; i++) {
        int32_t at = t->place[c->sides[i].kink];
        if (at != 0) sides[abs(at) - 1] = true;
    }
}

/* Takes the sides that follow from conflicts; *|broken|: nothing is left, and |kept| says why. */
static bf_status propagate(tree *t, bool *broken) {
    bf_status status = BF_STATUS_OK;
    *broken = false;
    for (bool moved = true; moved && status == BF_STATUS_OK;) {
        moved = false;
        for (int64_t i = 0; i < t->conflicts.count && status == BF_STATUS_OK; i++) {
            bfi_side side;
            bfi_conflict_state state = bfi_conflicts_look(&t->conflicts, i, t->place, &side);
            if (state == BFI_CONFLICT_QUIET) continue;
            if (state == BFI_CONFLICT_BROKEN) {
                find_sides(t, i, t->kept);
                *broken = true;
                return status;
            }
            find_sides(t, i, t->reasons[t->depth]);
            side.sign *= -1;
            status = descend(t, side, true);
            moved = true;
        }
    }
    return status;
}

/* What bounds say of the node's boxes. |lower| above zero: nothing is left. */
static bf_status find_boxes(tree *t, double *lower) {
    const bfi_encoding *e = t->question->encoding;
    double *lo = low(t, t->depth), *hi = high(t, t->depth);
    if (t->depth == 0) return BF_STATUS_OK;
    bf_status status =
        t->question->tighten(t->question->user, t->path, t->depth, lo, hi, lower, t->err);
    for (int32_t j = 0; j < e->cols; j++)
        if (lo[j] > hi[j]) *lower = INFINITY;
    return status;
}

/* Solves the program of the node's boxes. */
static bf_status solve(tree *t, bfi_lp_answer *answer) {
    bfi_lp_restrict(t->lp, low(t, t->depth), high(t, t->depth));
    return bfi_lp_solve(t->lp, &t->question->budget, answer, t->err);
}

/* Adds the cuts that the point violates; how many. */
static int add_cuts(tree *t, const double *x, double least) {
    int added = 0;
    bfi_hull_cut cut;
    for (int32_t i = 0; i < t->question->encoding->kink_count; i++)
        if (violation(t, i, x) > 0 && bfi_hull_cut_at(t->hull, i, x, least, &cut))
            added += bfi_lp_add_cut(t->lp, &cut);
    return added;
}

/* The program without cuts again: they are not worth what they cost. */
static bf_status drop_cuts(tree *t, bfi_lp_answer *answer) {
    bfi_hull_free(t->hull);
    t->hull = NULL;
    if (bfi_lp_cuts(t->lp) == 0) return BF_STATUS_OK;
    bfi_lp_free(t->lp);
    bf_status status = bfi_lp_create(t->highs, t->question->encoding, t->question->most_steps,
                                     false, &t->lp, t->err);
    return status == BF_STATUS_OK ? solve(t, answer) : status;
}

/* Solves the program again and again, with cuts that its optimum violates. */
static bf_status solve_with_cuts(tree *t, bfi_lp_answer *answer) {
    int rounds = !t->rooted ? CUT_ROUNDS : t->depth % CUT_EVERY == 0;
    double least = t->rooted ? CUT_LEAST : CUT_ROOT, first = answer->optimum, known = answer->lower;
    bf_status status = BF_STATUS_OK;
    for (int i = 0; i < rounds && !answer->refuted && answer->x && status == BF_STATUS_OK; i++) {
        double before = answer->optimum;
        if (add_cuts(t, answer->x, least) == 0) break;
        status = solve(t, answer);
        answer->lower = known = fmax(answer->lower, known);
        if (!t->rooted && answer->optimum - before < CUT_ROOT * fabs(before)) break;
    }
    bool gains = answer->refuted || answer->optimum - first > LEAST_GAIN * fabs(first);
    if (status == BF_STATUS_OK && !t->rooted && !gains) status = drop_cuts(t, answer);
    t->rooted = true;
    answer->lower = fmax(answer->lower, known);
    return status;
}

/* Bounds the node and tries the point of its linear program. */
static bf_status bound(tree *t, bfi_lp_answer *answer) {
    *answer = (bfi_lp_answer){.lower = -INFINITY};
    bf_status status = find_boxes(t, &answer->lower);
    t->result->nodes++;
    answer->refuted = answer->lower > 0;
    if (status != BF_STATUS_OK || answer->refuted) return status;
    double known = answer->lower;
    status = solve(t, answer);
    if (status == BF_STATUS_OK && t->hull) status = solve_with_cuts(t, answer);
    answer->lower = fmax(answer->lower, known);
    if (status == BF_STATUS_OK && !answer->refuted && answer->x)
        status = bfi_question_try(t->question, answer->x, t->result, t->err);
    return status;
}

/* The boxes that the root and the kept sides of the path, up to |depth|, leave. */
static void relax_boxes(tree *t, int32_t depth) {
    const bfi_encoding *e = t->question->encoding;
    double *lo = t->trial, *hi = t->trial + e->cols;
    memcpy(lo, low(t, 0), (size_t)e->cols * sizeof *lo);
    memcpy(hi, high(t, 0), (size_t)e->cols * sizeof *hi);
    for (int32_t d = 0; d < depth; d++)
        if (t->kept[d]) cut(e, t->path[d], lo, hi);
}

static bool refuted_alike(tree *t, int32_t depth, double *lower) {
    relax_boxes(t, depth);
    bfi_lp_restrict(t->lp, t->trial, t->trial + t->question->encoding->cols);
    return bfi_lp_refuted_alike(t->lp, lower);
}

/* What the node's refutation needs of its path: sides that it does without are dropped, the last
 * ones first. |lower| falls to what is certified without them. */
static void find_needed(tree *t, double *lower) {
    double found;
    int32_t depth = t->depth;
    if (depth == 0) return;
    if (!refuted_alike(t, depth, &found)) return; /* bounds of hidden layers had a part in it */
    *lower = found;
    for (int32_t d = depth; d-- > 0;) {
        if (bfi_budget_check(&t->question->budget) != BF_STATUS_OK) return;
        t->kept[d] = false;
        if (refuted_alike(t, depth, &found))
            *lower = found;
        else
            t->kept[d] = true;
    }
}

/* Bounds the node, then goes on to a child or elsewhere; *more tells. */
static bf_status branch(tree *t, double *lower, bool *more) {
    bfi_lp_answer answer;
    bf_status status = bound(t, &answer);
    *lower = answer.lower;
    *more = false;
    if (status != BF_STATUS_OK || t->result->outcome == BFI_SOLVER_FOUND) return status;
    int32_t kink = answer.refuted || !answer.x ? -1 : choose(t, answer.x);
    if (kink >= 0) {
        int sign = answer.x[t->question->encoding->kinks[kink].in] >= 0 ? 1 : -1;
        *more = true;
        return descend(t, (bfi_side){kink, sign}, false);
    }
    for (int32_t d = 0; d < t->depth; d++) t->kept[d] = true;
    if (answer.refuted)
        find_needed(t, lower);
    else if (t->open++ == 0)
        t->unproved = answer.x ? answer.optimum : NAN;
    return backtrack(t, more);
}

/* One node: what is left of it by conflicts, then by bounds. */
static bf_status visit(tree *t, double *lower, bool *more) {
    bool broken;
    bf_status status = propagate(t, &broken);
    *lower = INFINITY;
    if (status != BF_STATUS_OK) return status;
    return broken ? backtrack(t, more) : branch(t, lower, more);
}

static void explain(tree *t) {
    const bfi_encoding *e = t->question->encoding;
    bfi_solver_result *r = t->result;
    if (e->loose > 0)
        bfi_solver_reason(r, "%lld numbers are enclosed by their intervals alone (%s)",
                          (long long)e->loose, e->loose_name);
    else if (isnan(t->unproved))
        bfi_solver_reason(r,
                          t->question->most_steps > 0
                              ? "HiGHS did not solve a linear program in the steps that it had, %d"
                              : "HiGHS could not solve a linear program",
                          (int)t->question->most_steps);
    else if (t->unproved > 0)
        bfi_solver_reason(r, "a margin of %.3g is within the rounding of linear programs",
                          t->unproved);
    else
        bfi_solver_reason(r, "a point of margin %.3g is no float32 counterexample", t->unproved);
}

/* Searches from the root on; every leaf counts for result->lower. */
static bf_status search(tree *t) {
    bfi_solver_result *r = t->result;
    double least = INFINITY, lower;
    bool more = true;
    bf_status status = BF_STATUS_OK;
    for (int64_t n = 0; more; n++) {
        int32_t depth = t->depth;
        if (n > 0 && t->question->most_nodes > 0 && n >= t->question->most_nodes) {
            bfi_solver_reason(r, "%lld linear programs were not enough", (long long)n);
            return BF_STATUS_OK;
        }
        status = visit(t, &lower, &more);
        if (n == 0) r->lower = lower;
        if (status != BF_STATUS_OK || r->outcome == BFI_SOLVER_FOUND) return status;
        bool leaf = !more || t->depth <= depth;
        if (leaf && lower < least) least = lower;
        if (leaf && more && ++t->refuted >= t->patience && t->blind) begin_again(t);
    }
    r->lower = fmax(r->lower, least);
    if (t->open == 0)
        r->outcome = BFI_SOLVER_REFUTED;
    else
        explain(t);
    return status;
}

/* The root's boxes, and which columns bend. */
static bf_status begin(tree *t) {
    const bfi_encoding *e = t->question->encoding;
    bf_status status = make_boxes(t, 0);
    if (status != BF_STATUS_OK) return status;
    for (int32_t j = 0; j < e->cols; j++) low(t, 0)[j] = e->lo[j], high(t, 0)[j] = e->hi[j];
    for (int32_t i = 0; i < e->kink_count; i++) t->bends[e->kinks[i].in] = true;
    return status;
}

/* The root alone. */
static bf_status solve_once(tree *t) {
    double lower;
    bool more = true;
    bf_status status = visit(t, &lower, &more);
    bfi_solver_result *r = t->result;
    r->lower = lower;
    if (status != BF_STATUS_OK || r->outcome == BFI_SOLVER_FOUND) return status;
    if (lower > 0)
        r->outcome = BFI_SOLVER_REFUTED;
    else if (t->depth > 0)
        bfi_solver_reason(r, "%d neurons may be of either sign",
                          (int)t->question->encoding->kink_count);
    else
        explain(t);
    return status;
}

static bf_status allocate(tree *t) {
    size_t kinks = (size_t)t->question->encoding->kink_count,
           cols = (size_t)t->question->encoding->cols;
    t->path = bfi_malloc(kinks, sizeof *t->path);
    t->last = bfi_malloc(kinks, sizeof *t->last);
    t->kept = bfi_malloc(kinks, sizeof *t->kept);
    t->place = bfi_calloc(kinks, sizeof *t->place);
    t->boxes = bfi_calloc(kinks + 1, sizeof *t->boxes);
    t->reasons = bfi_calloc(kinks + 1, sizeof *t->reasons);
    t->trial = bfi_malloc(2 * cols, sizeof *t->trial);
    t->bends = bfi_calloc(cols, sizeof *t->bends);
    t->weight = bfi_malloc(cols, sizeof *t->weight);
    t->reach = bfi_malloc(cols, sizeof *t->reach);
    bool ok = t->path && t->last && t->kept && t->place && t->boxes && t->reasons && t->trial &&
              t->bends && t->weight && t->reach;
    return ok ? bfi_conflicts_create((int32_t)kinks, &t->conflicts, t->err)
              : bfi_fail_memory(t->err);
}

static void release(tree *t) {
    int32_t kinks = t->question->encoding->kink_count;
    for (int32_t d = 0; t->boxes && d <= kinks; d++) free(t->boxes[d]);
    for (int32_t d = 0; t->reasons && d <= kinks; d++) free(t->reasons[d]);
    free(t->boxes);
    free(t->reasons);
    free(t->path);
    free(t->last);
    free(t->kept);
    free(t->place);
    free(t->trial);
    free(t->bends);
    free(t->weight);
    free(t->reach);
    bfi_conflicts_clear(&t->conflicts);
    bfi_hull_free(t->hull);
    bfi_lp_free(t->lp);
}

static bf_status run(void *self, const bfi_question *question, bool branch,
                     bfi_solver_result *result, bf_error *err) {
    const library *lib = self;
    tree t = {.question = question,
              .result = result,
              .highs = &lib->highs,
              .patience = PATIENCE,
              .err = err};
    bf_status status = allocate(&t);
    if (status == BF_STATUS_OK) status = begin(&t);
    if (status == BF_STATUS_OK)
        status = bfi_lp_create(&lib->highs, question->encoding, question->most_steps, branch, &t.lp,
                               err);
    if (branch) t.hull = bfi_hull_create(question->encoding); /* without memory: no cuts */
    if (status == BF_STATUS_OK) status = branch ? search(&t) : solve_once(&t);
    release(&t);
    return status;
}

static bf_status decide_lp(void *self, const bfi_question *question, bfi_solver_result *result,
                           bf_error *err) {
    return run(self, question, false, result, err);
}

static bf_status decide_mip(void *self, const bfi_question *question, bfi_solver_result *result,
                            bf_error *err) {
    return run(self, question, true, result, err);
}

const bfi_backend_functions bfi_backend_lp = {create, bfi_backend_close, decide_lp};
const bfi_backend_functions bfi_backend_mip = {create, bfi_backend_close, decide_mip};
