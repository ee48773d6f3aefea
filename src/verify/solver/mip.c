/* Linear programs: one of a leaf, or depth-first branch and bound on the kinks that are left.
 *
 * HiGHS has a solver for integer programs, but no proof can be had from it: its answer holds up to
 * tolerances that add up over the tree. So the tree is here, and each of its leaves is closed by a
 * bound that is certified from the multipliers of its linear program (safe_bound.h). */
#include <assert.h>
#include <math.h>

#include "base/alloc.h"
#include "base/status.h"
#include "verify/solver/backend.h"
#include "verify/solver/lp.h"

typedef struct library {
    bfi_dylib dylib;
    bfi_highs highs;
} library;

typedef struct tree {
    const bfi_question *question;
    bfi_solver_result *result;
    bfi_lp *lp;
    bfi_side *path; /* to the node */
    bool *last;     /* by depth: the other side of path[depth] is done */
    double **boxes; /* by depth: of the columns, all lo, then all hi; made when first needed */
    int32_t depth;
    int64_t open;    /* leaves that could not be decided */
    double unproved; /* optimum of the first of them */
    bf_error *err;
} tree;

static bf_status create(void **self, bf_error *err) {
    library *lib = bfi_calloc(1, sizeof *lib);
    if (!lib) return bfi_fail_memory(err);
    bf_status status = bfi_highs_load(&lib->dylib, &lib->highs, err);
    if (status != BF_STATUS_OK) {
        free(lib);
        lib = NULL;
    }
    *self = lib;
    return status;
}

static void destroy(void *self) {
    library *lib = self;
    if (lib) bfi_dylib_close(&lib->dylib);
    free(lib);
}

static double kink_value(const bfi_kink *k, double x) { return x * k->slope[x >= 0]; }

static double *low(const tree *t, int32_t depth) { return t->boxes[depth]; }

static double *high(const tree *t, int32_t depth) {
    return t->boxes[depth] + t->question->encoding->cols;
}

/* Below this a kink counts as met: what is left is the rounding of the linear program. */
#define MET 1e-9

/* The kink to branch on, among those that may be of either sign and that the point violates: the
 * one whose chord costs most, else the one violated most; -1: there is none. */
static int32_t choose(const tree *t, const double *x) {
    const bfi_encoding *e = t->question->encoding;
    const double *lo = low(t, t->depth), *hi = high(t, t->depth);
    int32_t best = -1;
    double most = -1, furthest = MET;
    for (int32_t i = 0; i < e->kink_count; i++) {
        const bfi_kink *k = &e->kinks[i];
        if (lo[k->in] >= 0 || hi[k->in] <= 0) continue;
        double off = fabs(x[k->out] - kink_value(k, x[k->in])), cost = bfi_lp_kink_cost(t->lp, i);
        if (!(off > MET) || cost < most || (cost == most && off <= furthest)) continue;
        most = cost, furthest = off, best = i;
    }
    return best;
}

/* Goes to the next node that is not done; false: there is none. */
static bool backtrack(tree *t) {
    while (t->depth > 0 && t->last[t->depth - 1]) t->depth--;
    if (t->depth == 0) return false;
    t->path[t->depth - 1].sign *= -1;
    t->last[t->depth - 1] = true;
    return true;
}

static bf_status make_boxes(tree *t) {
    size_t cols = (size_t)t->question->encoding->cols;
    if (t->boxes[t->depth]) return BF_STATUS_OK;
    t->boxes[t->depth] = bfi_malloc(2 * cols, sizeof **t->boxes);
    return t->boxes[t->depth] ? BF_STATUS_OK : bfi_fail_memory(t->err);
}

/* The boxes of a node: its parent's, on its side of the kink, and what bounds say there. |lower|
 * above zero: nothing is left. */
static bf_status find_boxes(tree *t, double *lower) {
    const bfi_encoding *e = t->question->encoding;
    bf_status status = make_boxes(t);
    if (status != BF_STATUS_OK) return status;
    double *lo = low(t, t->depth), *hi = high(t, t->depth);
    const double *from_lo = t->depth > 0 ? low(t, t->depth - 1) : e->lo;
    const double *from_hi = t->depth > 0 ? high(t, t->depth - 1) : e->hi;
    for (int32_t j = 0; j < e->cols; j++) lo[j] = from_lo[j], hi[j] = from_hi[j];
    if (t->depth == 0) return status;
    bfi_side side = t->path[t->depth - 1];
    int32_t in = e->kinks[side.kink].in;
    if (side.sign > 0)
        lo[in] = 0;
    else
        hi[in] = 0;
    status = t->question->tighten(t->question->user, t->path, t->depth, lo, hi, lower, t->err);
    for (int32_t j = 0; j < e->cols; j++)
        if (lo[j] > hi[j]) *lower = INFINITY;
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
    bfi_lp_restrict(t->lp, low(t, t->depth), high(t, t->depth));
    status = bfi_lp_solve(t->lp, &t->question->budget, answer, t->err);
    answer->lower = fmax(answer->lower, known);
    if (status == BF_STATUS_OK && !answer->refuted && answer->x)
        status = bfi_question_try(t->question, answer->x, t->result, t->err);
    return status;
}

/* One node: bound it, then go on to a child or elsewhere; *more tells. */
static bf_status visit(tree *t, double *lower, bool *more) {
    bfi_lp_answer answer;
    bf_status status = bound(t, &answer);
    *lower = answer.lower;
    *more = false;
    if (status != BF_STATUS_OK || t->result->outcome == BFI_SOLVER_FOUND) return status;
    int32_t kink = answer.refuted || !answer.x ? -1 : choose(t, answer.x);
    if (kink >= 0) {
        int sign = answer.x[t->question->encoding->kinks[kink].in] >= 0 ? 1 : -1;
        t->path[t->depth] = (bfi_side){kink, sign};
        t->last[t->depth++] = false;
        *more = true;
        return status;
    }
    if (!answer.refuted && t->open++ == 0) t->unproved = answer.x ? answer.optimum : NAN;
    *more = backtrack(t);
    return status;
}

static void explain(tree *t) {
    const bfi_encoding *e = t->question->encoding;
    bfi_solver_result *r = t->result;
    if (e->loose > 0)
        bfi_solver_reason(r, "%lld numbers are enclosed by their intervals alone (%s)",
                          (long long)e->loose, e->loose_name);
    else if (isnan(t->unproved))
        bfi_solver_reason(r, "HiGHS could not solve a linear program");
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
    }
    r->lower = fmax(r->lower, least);
    if (t->open == 0)
        r->outcome = BFI_SOLVER_REFUTED;
    else
        explain(t);
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

static bf_status run(void *self, const bfi_question *question, bool branch,
                     bfi_solver_result *result, bf_error *err) {
    const library *lib = self;
    size_t kinks = (size_t)question->encoding->kink_count;
    tree t = {.question = question, .result = result, .err = err};
    t.path = bfi_malloc(kinks, sizeof *t.path);
    t.last = bfi_malloc(kinks, sizeof *t.last);
    t.boxes = bfi_calloc(kinks + 1, sizeof *t.boxes);
    bf_status status = t.path && t.last && t.boxes ? BF_STATUS_OK : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) status = bfi_lp_create(&lib->highs, question->encoding, &t.lp, err);
    if (status == BF_STATUS_OK) status = branch ? search(&t) : solve_once(&t);
    bfi_lp_free(t.lp);
    for (size_t d = 0; t.boxes && d <= kinks; d++) free(t.boxes[d]);
    free(t.boxes);
    free(t.path);
    free(t.last);
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

const bfi_backend_functions bfi_backend_lp = {create, destroy, decide_lp};
const bfi_backend_functions bfi_backend_mip = {create, destroy, decide_mip};
