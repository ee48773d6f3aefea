#include "verify/solver/lp.h"

#include <assert.h>
#include <math.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "base/status.h"
#include "verify/solver/safe_bound.h"
#include "verify/solver/triangle.h"

struct bfi_lp {
    const bfi_highs *highs;
    const bfi_encoding *encoding;
    void *model;
    bfi_linear_program lp;
    int32_t first_kink; /* row */
    double *x, *duals, *ray, *scratch;
    bfi_budget budget; /* of the running solve */
};

/* ---- the program ---- */

static bool allocate(bfi_lp *p, int64_t cols, int64_t rows, int64_t entries) {
    bfi_linear_program *lp = &p->lp;
    lp->lo = bfi_malloc((size_t)cols, sizeof *lp->lo);
    lp->hi = bfi_malloc((size_t)cols, sizeof *lp->hi);
    lp->row_lo = bfi_malloc((size_t)rows, sizeof *lp->row_lo);
    lp->row_hi = bfi_malloc((size_t)rows, sizeof *lp->row_hi);
    lp->start = bfi_malloc((size_t)rows + 1, sizeof *lp->start);
    lp->index = bfi_malloc((size_t)entries, sizeof *lp->index);
    lp->value = bfi_malloc((size_t)entries, sizeof *lp->value);
    p->x = bfi_malloc((size_t)cols, sizeof *p->x);
    p->duals = bfi_calloc((size_t)rows, sizeof *p->duals);
    p->ray = bfi_malloc((size_t)rows, sizeof *p->ray);
    p->scratch = bfi_malloc(3 * (size_t)cols, sizeof *p->scratch);
    return lp->lo && lp->hi && lp->row_lo && lp->row_hi && lp->start && lp->index && lp->value &&
           p->x && p->duals && p->ray && p->scratch;
}

static void add_entry(bfi_linear_program *lp, int32_t col, double value) {
    int32_t at = lp->start[lp->rows + 1]++;
    lp->index[at] = col, lp->value[at] = value;
}

static void end_row(bfi_linear_program *lp, double lo, double hi) {
    lp->row_lo[lp->rows] = lo, lp->row_hi[lp->rows] = hi;
    lp->rows++;
    lp->start[lp->rows + 1] = lp->start[lp->rows];
}

/* Least and largest value of a row of the encoding in the columns' boxes, less its upper end. */
static void excess(const bfi_encoding *e, int64_t r, double *least, double *most) {
    *least = -e->row_hi[r], *most = -e->row_hi[r];
    for (int64_t k = e->start[r]; k < e->start[r + 1]; k++) {
        double a = e->value[k] * e->lo[e->index[k]], b = e->value[k] * e->hi[e->index[k]];
        *least = bfi_down(*least + bfi_down(fmin(a, b)));
        *most = bfi_up(*most + bfi_up(fmax(a, b)));
    }
}

/* Rows of the disjunct: sum - t <= right side. */
static void add_encoding_rows(bfi_lp *p) {
    const bfi_encoding *e = p->encoding;
    bfi_linear_program *lp = &p->lp;
    double low = -INFINITY, high = -INFINITY;
    for (int64_t r = 0; r < e->rows; r++) {
        double least, most;
        for (int64_t k = e->start[r]; k < e->start[r + 1]; k++)
            add_entry(lp, e->index[k], e->value[k]);
        if (r >= e->goal) add_entry(lp, lp->objective, -1);
        end_row(lp, e->row_lo[r], e->row_hi[r]);
        if (r < e->goal) continue;
        excess(e, r, &least, &most);
        low = fmax(low, least), high = fmax(high, most);
    }
    lp->lo[lp->objective] = e->rows > e->goal ? low : 0;
    lp->hi[lp->objective] = e->rows > e->goal ? high : 0;
}

/* Three rows of two entries each, so that a chord has a place whatever its slope. */
static void add_kink_rows(bfi_lp *p) {
    const bfi_encoding *e = p->encoding;
    bfi_linear_program *lp = &p->lp;
    p->first_kink = lp->rows;
    for (int32_t i = 0; i < e->kink_count; i++) {
        const bfi_kink *k = &e->kinks[i];
        bfi_triangle r = bfi_triangle_of(k, e->lo[k->in], e->hi[k->in]);
        for (int row = 0; row < BFI_TRIANGLE_ROWS; row++) {
            add_entry(lp, k->out, 1);
            add_entry(lp, k->in, -r.slope[row]);
            end_row(lp, r.lo[row], r.hi[row]);
        }
    }
}

static bf_status build(bfi_lp *p, bf_error *err) {
    const bfi_encoding *e = p->encoding;
    int64_t cols = (int64_t)e->cols + 1,
            rows = e->rows + (int64_t)BFI_TRIANGLE_ROWS * e->kink_count;
    int64_t entries =
        e->start[e->rows] + (e->rows - e->goal) + (int64_t)2 * BFI_TRIANGLE_ROWS * e->kink_count;
    if (cols > INT32_MAX || rows >= INT32_MAX || entries > INT32_MAX)
        return bfi_fail(err, BF_STATUS_LIMIT, "the linear program has too many rows or entries");
    if (!allocate(p, cols, rows + 1, entries)) return bfi_fail_memory(err);
    p->lp.cols = (int32_t)cols, p->lp.objective = (int32_t)cols - 1;
    p->lp.start[0] = p->lp.start[1] = 0;
    for (int32_t j = 0; j < e->cols; j++) p->lp.lo[j] = e->lo[j], p->lp.hi[j] = e->hi[j];
    add_encoding_rows(p);
    add_kink_rows(p);
    assert(p->lp.rows == rows && p->lp.start[rows] <= entries);
    return BF_STATUS_OK;
}

/* ---- HiGHS ---- */

static void interrupt(int type, const char *message, const void *out, void *in, void *user) {
    const bfi_lp *p = user;
    (void)message, (void)out;
    if (type == BFI_HIGHS_SIMPLEX_INTERRUPT && in && bfi_budget_check(&p->budget) != BF_STATUS_OK)
        *(int *)in = 1;
}

static bf_status hand_over(bfi_lp *p, bf_error *err) {
    const bfi_highs *h = p->highs;
    const bfi_linear_program *lp = &p->lp;
    p->model = h->create();
    if (!p->model) return bfi_fail_memory(err);
    if (h->getSizeofHighsInt(p->model) != (int32_t)sizeof(int32_t))
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "HiGHS: built with integers of 64 bits");
    h->setBoolOptionValue(p->model, "output_flag", 0);
    h->setIntOptionValue(p->model, "threads", 1);
    h->setStringOptionValue(p->model, "parallel", "off");
    h->setStringOptionValue(p->model, "presolve", "off");
    h->setStringOptionValue(p->model, "solver", "simplex");
    h->setDoubleOptionValue(p->model, "primal_feasibility_tolerance", 1e-9);
    h->setDoubleOptionValue(p->model, "dual_feasibility_tolerance", 1e-9);
    h->setCallback(p->model, interrupt, p);
    h->startCallback(p->model, BFI_HIGHS_SIMPLEX_INTERRUPT);
    double *cost = p->scratch;
    for (int32_t j = 0; j < lp->cols; j++) cost[j] = j == lp->objective;
    if (h->passLp(p->model, lp->cols, lp->rows, lp->start[lp->rows], BFI_HIGHS_ROWWISE,
                  BFI_HIGHS_MINIMISE, 0, cost, lp->lo, lp->hi, lp->row_lo, lp->row_hi, lp->start,
                  lp->index, lp->value) == BFI_HIGHS_ERROR)
        return bfi_fail(err, BF_STATUS_LIMIT, "HiGHS does not take the linear program");
    return BF_STATUS_OK;
}

bf_status bfi_lp_create(const bfi_highs *highs, const bfi_encoding *encoding, bfi_lp **out,
                        bf_error *err) {
    bfi_lp *p = bfi_calloc(1, sizeof *p);
    if (!p) return bfi_fail_memory(err);
    p->highs = highs;
    p->encoding = encoding;
    bf_status status = build(p, err);
    if (status == BF_STATUS_OK) status = hand_over(p, err);
    if (status != BF_STATUS_OK) {
        bfi_lp_free(p);
        p = NULL;
    }
    *out = p;
    return status;
}

void bfi_lp_free(bfi_lp *p) {
    if (!p) return;
    if (p->model) p->highs->destroy(p->model);
    free(p->lp.lo);
    free(p->lp.hi);
    free(p->lp.row_lo);
    free(p->lp.row_hi);
    free(p->lp.start);
    free(p->lp.index);
    free(p->lp.value);
    free(p->x);
    free(p->duals);
    free(p->ray);
    free(p->scratch);
    free(p);
}

static void set_row(bfi_lp *p, int32_t row, double lo, double hi) {
    if (p->lp.row_lo[row] == lo && p->lp.row_hi[row] == hi) return;
    p->lp.row_lo[row] = lo, p->lp.row_hi[row] = hi;
    p->highs->changeRowBounds(p->model, row, lo, hi);
}

static void set_kink(bfi_lp *p, int32_t kink) {
    const bfi_kink *k = &p->encoding->kinks[kink];
    bfi_linear_program *lp = &p->lp;
    bfi_triangle r = bfi_triangle_of(k, lp->lo[k->in], lp->hi[k->in]);
    int32_t first = p->first_kink + BFI_TRIANGLE_ROWS * kink, chord = first + 2;
    double *coef = &lp->value[lp->start[chord + 1] - 1];
    for (int row = 0; row < BFI_TRIANGLE_ROWS; row++) set_row(p, first + row, r.lo[row], r.hi[row]);
    if (isfinite(r.hi[2]) || isfinite(r.lo[2])) {
        if (*coef == -r.slope[2]) return;
        *coef = -r.slope[2];
        p->highs->changeCoeff(p->model, chord, k->in, *coef);
    }
}

void bfi_lp_restrict(bfi_lp *p, const double *lo, const double *hi) {
    const bfi_encoding *e = p->encoding;
    bfi_linear_program *lp = &p->lp;
    for (int32_t j = 0; j < e->cols; j++) {
        assert(lo[j] >= e->lo[j] && hi[j] <= e->hi[j] && lo[j] <= hi[j]);
        if (lp->lo[j] == lo[j] && lp->hi[j] == hi[j]) continue;
        lp->lo[j] = lo[j], lp->hi[j] = hi[j];
        p->highs->changeColBounds(p->model, j, lo[j], hi[j]);
    }
    for (int32_t i = 0; i < e->kink_count; i++) set_kink(p, i);
}

double bfi_lp_kink_cost(const bfi_lp *p, int32_t kink) {
    int32_t chord = p->first_kink + BFI_TRIANGLE_ROWS * kink + 2;
    double end = isfinite(p->lp.row_hi[chord]) ? p->lp.row_hi[chord] : p->lp.row_lo[chord];
    return fabs(p->duals[chord] * end);
}

/* ---- solving ---- */

/* The multipliers of an optimum, or of a proof that there is nothing. */
static void certify(bfi_lp *p, bfi_lp_answer *answer) {
    double lower = bfi_safe_bound(&p->lp, p->lp.objective, p->duals, p->scratch);
    if (lower > answer->lower) answer->lower = lower;
    if (bfi_safe_bound(&p->lp, -1, p->duals, p->scratch) > 0) answer->lower = INFINITY;
}

static void certify_ray(bfi_lp *p, bfi_lp_answer *answer) {
    int32_t has = 0;
    if (p->highs->getDualRay(p->model, &has, p->ray) == BFI_HIGHS_ERROR || !has) return;
    for (int side = 0; side < 2; side++) { /* whichever sign it comes with */
        if (bfi_safe_bound(&p->lp, -1, p->ray, p->scratch) > 0) answer->lower = INFINITY;
        for (int32_t r = 0; r < p->lp.rows; r++) p->ray[r] = -p->ray[r];
    }
}

bf_status bfi_lp_solve(bfi_lp *p, const bfi_budget *budget, bfi_lp_answer *answer, bf_error *err) {
    const bfi_highs *h = p->highs;
    *answer = (bfi_lp_answer){.lower = p->lp.lo[p->lp.objective], .optimum = -INFINITY};
    p->budget = *budget;
    bf_status status = bfi_budget_check(budget);
    if (status != BF_STATUS_OK) return bfi_fail(err, status, "while solving a linear program");
    if (budget->deadline > 0) {
        double left = fmax(budget->deadline - bfi_clock(), 0);
        h->setDoubleOptionValue(p->model, "time_limit", h->getRunTime(p->model) + left);
    }
    int32_t ran = h->run(p->model), found = h->getModelStatus(p->model);
    if (ran != BFI_HIGHS_ERROR && found == BFI_HIGHS_INFEASIBLE) certify_ray(p, answer);
    if (ran != BFI_HIGHS_ERROR && found != BFI_HIGHS_INFEASIBLE) {
        h->getSolution(p->model, p->x, p->scratch, p->ray, p->duals);
        certify(p, answer);
    }
    if (ran != BFI_HIGHS_ERROR && found == BFI_HIGHS_OPTIMAL) {
        answer->x = p->x;
        answer->optimum = p->x[p->lp.objective];
    }
    answer->refuted = answer->lower > 0;
    if (answer->refuted || answer->x) return BF_STATUS_OK;
    status = bfi_budget_check(budget);
    return status == BF_STATUS_OK ? BF_STATUS_OK
                                  : bfi_fail(err, status, "while solving a linear program");
}
