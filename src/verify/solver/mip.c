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

/* A kink on the way to the node; |last|: its other side is done. */
typedef struct step {
    int32_t kink;
    int sign;
    bool last;
} step;

typedef struct tree {
    const bfi_question *question;
    bfi_solver_result *result;
    bfi_lp *lp;
    step *path;
    int32_t depth;
    bool *fixed;     /* by kink */
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

/* The kink that the point violates most, among those that may be of either sign; -1: none is left.
 */
static int32_t choose(const tree *t, const double *x, double *violation) {
    const bfi_encoding *e = t->question->encoding;
    int32_t best = -1;
    *violation = -1;
    for (int32_t i = 0; i < e->kink_count; i++) {
        if (t->fixed[i]) continue;
        const bfi_kink *k = &e->kinks[i];
        double off = fabs(x[k->out] - kink_value(k, x[k->in]));
        if (off > *violation) *violation = off, best = i;
    }
    return best;
}

static void enter(tree *t, int32_t kink, int sign, bool last) {
    bfi_lp_fix(t->lp, kink, sign);
    t->fixed[kink] = true;
    t->path[t->depth++] = (step){kink, sign, last};
}

/* Goes to the next node that is not done; false: there is none. */
static bool backtrack(tree *t) {
    while (t->depth > 0) {
        step s = t->path[--t->depth];
        if (!s.last) {
            enter(t, s.kink, -s.sign, true);
            return true;
        }
        bfi_lp_fix(t->lp, s.kink, 0);
        t->fixed[s.kink] = false;
    }
    return false;
}

/* Below this a kink counts as met: what is left is the rounding of the linear program. */
#define MET 1e-9

/* One node: bound it, try its point, then go on to a child or elsewhere; *more tells. */
static bf_status visit(tree *t, double *lower, bool *more) {
    bfi_lp_answer answer;
    double violation = 0;
    bf_status status = bfi_lp_solve(t->lp, &t->question->budget, &answer, t->err);
    t->result->nodes++;
    *lower = answer.lower;
    if (status != BF_STATUS_OK) return status;
    if (!answer.refuted && answer.x)
        status = bfi_question_try(t->question, answer.x, t->result, t->err);
    if (status != BF_STATUS_OK || t->result->outcome == BFI_SOLVER_FOUND) {
        *more = false;
        return status;
    }
    int32_t kink = answer.refuted || !answer.x ? -1 : choose(t, answer.x, &violation);
    if (kink >= 0 && violation > MET) {
        double at = answer.x[t->question->encoding->kinks[kink].in];
        enter(t, kink, at >= 0 ? 1 : -1, false);
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
    t.fixed = bfi_calloc(kinks, sizeof *t.fixed);
    bf_status status = t.path && t.fixed ? BF_STATUS_OK : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) status = bfi_lp_create(&lib->highs, question->encoding, &t.lp, err);
    if (status == BF_STATUS_OK) status = branch ? search(&t) : solve_once(&t);
    bfi_lp_free(t.lp);
    free(t.path);
    free(t.fixed);
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
