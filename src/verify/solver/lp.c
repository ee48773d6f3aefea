#include "verify/solver/lp.h"

#include <assert.h>
#include <math.h>
#include <string.h>

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
    bfi_linear_program sent; /* boxes, rows' ends and numbers, as HiGHS has them */
    int32_t first_kink;      /* row */
    int32_t first_cut, most_cuts;
    int64_t cut_entries; /* left */
    int32_t *cut_kink;   /* by cut */
    double *price;       /* by kink: of its chord and cuts, at the last optimum */
    double *x, *duals, *ray, *scratch;
    double *proof;     /* multipliers that refuted last, */
    bool proof_is_ray; /* whatever the objective is */
    double *moved;     /* the same for other boxes */
    bfi_budget budget; /* of the running solve */
};

/* Cuts beside the rows that are there: of every kink, and in all; entries of all cuts. */
enum { CUTS_OF_KINK = 16, MOST_CUTS = 4096, MOST_CUT_ENTRIES = 1 << 20 };

/* ---- the program ---- */

static bool allocate_program(bfi_linear_program *lp, int64_t cols, int64_t rows, int64_t entries) {
    lp->lo = bfi_malloc((size_t)cols, sizeof *lp->lo);
    lp->hi = bfi_malloc((size_t)cols, sizeof *lp->hi);
    lp->row_lo = bfi_malloc((size_t)rows, sizeof *lp->row_lo);
    lp->row_hi = bfi_malloc((size_t)rows, sizeof *lp->row_hi);
    lp->value = bfi_malloc((size_t)entries, sizeof *lp->value);
    return lp->lo && lp->hi && lp->row_lo && lp->row_hi && lp->value;
}

/* Cuts come on top of |rows| and |entries|; what HiGHS has of them never changes. */
static bool allocate(bfi_lp *p, int64_t cols, int64_t rows, int64_t entries) {
    bfi_linear_program *lp = &p->lp;
    bool programs = allocate_program(&p->sent, cols, rows, entries);
    rows += p->most_cuts, entries += p->cut_entries;
    programs = programs && allocate_program(lp, cols, rows, entries);
    lp->start = bfi_malloc((size_t)rows + 1, sizeof *lp->start);
    lp->index = bfi_malloc((size_t)entries, sizeof *lp->index);
    p->x = bfi_malloc((size_t)cols, sizeof *p->x);
    p->duals = bfi_calloc((size_t)rows, sizeof *p->duals);
    p->ray = bfi_malloc((size_t)rows, sizeof *p->ray);
    p->proof = bfi_calloc((size_t)rows, sizeof *p->proof);
    p->moved = bfi_malloc((size_t)rows, sizeof *p->moved);
    p->scratch = bfi_malloc(3 * (size_t)cols, sizeof *p->scratch);
    p->cut_kink = bfi_malloc((size_t)p->most_cuts, sizeof *p->cut_kink);
    p->price = bfi_calloc((size_t)p->encoding->kink_count, sizeof *p->price);
    return programs && lp->start && lp->index && p->x && p->duals && p->ray && p->proof &&
           p->moved && p->scratch && p->cut_kink && p->price;
}

static void release(bfi_linear_program *lp) {
    free(lp->lo);
    free(lp->hi);
    free(lp->row_lo);
    free(lp->row_hi);
    free(lp->start);
    free(lp->index);
    free(lp->value);
}

/* |to| has what may change of |from|. */
static void copy(const bfi_linear_program *from, bfi_linear_program *to) {
    memcpy(to->lo, from->lo, (size_t)from->cols * sizeof *to->lo);
    memcpy(to->hi, from->hi, (size_t)from->cols * sizeof *to->hi);
    memcpy(to->row_lo, from->row_lo, (size_t)from->rows * sizeof *to->row_lo);
    memcpy(to->row_hi, from->row_hi, (size_t)from->rows * sizeof *to->row_hi);
    memcpy(to->value, from->value, (size_t)from->start[from->rows] * sizeof *to->value);
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

/* Room for cuts, if the program is not too large for more. */
static void plan_cuts(bfi_lp *p, int64_t cols, int64_t rows, int64_t entries) {
    int64_t cuts = (int64_t)CUTS_OF_KINK * p->encoding->kink_count;
    if (cuts > MOST_CUTS) cuts = MOST_CUTS;
    int64_t cut_entries = cuts * cols < MOST_CUT_ENTRIES ? cuts * cols : MOST_CUT_ENTRIES;
    if (rows + cuts >= INT32_MAX || entries + cut_entries > INT32_MAX) return;
    p->most_cuts = (int32_t)cuts, p->cut_entries = cut_entries;
}

static bf_status build(bfi_lp *p, bool cuts, bf_error *err) {
    const bfi_encoding *e = p->encoding;
    int64_t cols = (int64_t)e->cols + 1,
            rows = e->rows + (int64_t)BFI_TRIANGLE_ROWS * e->kink_count;
    int64_t entries =
        e->start[e->rows] + (e->rows - e->goal) + (int64_t)2 * BFI_TRIANGLE_ROWS * e->kink_count;
    if (cols > INT32_MAX || rows >= INT32_MAX || entries > INT32_MAX)
        return bfi_fail(err, BF_STATUS_LIMIT, "the linear program has too many rows or entries");
    if (cuts) plan_cuts(p, cols, rows, entries);
    if (!allocate(p, cols, rows + 1, entries)) return bfi_fail_memory(err);
    p->lp.cols = (int32_t)cols, p->lp.objective = (int32_t)cols - 1;
    p->lp.start[0] = p->lp.start[1] = 0;
    for (int32_t j = 0; j < e->cols; j++) p->lp.lo[j] = e->lo[j], p->lp.hi[j] = e->hi[j];
    add_encoding_rows(p);
    add_kink_rows(p);
    p->first_cut = p->lp.rows;
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

static bf_status hand_over(bfi_lp *p, int32_t most_steps, bf_error *err) {
    const bfi_highs *h = p->highs;
    const bfi_linear_program *lp = &p->lp;
    p->model = h->create();
    if (!p->model) return bfi_fail_memory(err);
    if (h->getSizeofHighsInt(p->model) != (int32_t)sizeof(int32_t))
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "HiGHS: built with integers of 64 bits");
    h->setBoolOptionValue(p->model, "output_flag", 0);
    h->setIntOptionValue(p->model, "threads", 1);
    if (most_steps > 0) h->setIntOptionValue(p->model, "simplex_iteration_limit", most_steps);
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
    copy(lp, &p->sent);
    return BF_STATUS_OK;
}

bf_status bfi_lp_create(const bfi_highs *highs, const bfi_encoding *encoding, int32_t most_steps,
                        bool cuts, bfi_lp **out, bf_error *err) {
    bfi_lp *p = bfi_calloc(1, sizeof *p);
    if (!p) return bfi_fail_memory(err);
    p->highs = highs;
    p->encoding = encoding;
    bf_status status = build(p, cuts, err);
    if (status == BF_STATUS_OK) status = hand_over(p, most_steps, err);
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
    release(&p->lp);
    release(&p->sent);
    free(p->x);
    free(p->duals);
    free(p->ray);
    free(p->proof);
    free(p->moved);
    free(p->scratch);
    free(p->cut_kink);
    free(p->price);
    free(p);
}

static void set_kink(bfi_lp *p, int32_t kink) {
    const bfi_kink *k = &p->encoding->kinks[kink];
    bfi_linear_program *lp = &p->lp;
    bfi_triangle r = bfi_triangle_of(k, lp->lo[k->in], lp->hi[k->in]);
    int32_t first = p->first_kink + BFI_TRIANGLE_ROWS * kink, chord = first + 2;
    for (int row = 0; row < BFI_TRIANGLE_ROWS; row++)
        lp->row_lo[first + row] = r.lo[row], lp->row_hi[first + row] = r.hi[row];
    if (isfinite(r.hi[2]) || isfinite(r.lo[2])) lp->value[lp->start[chord + 1] - 1] = -r.slope[2];
}

void bfi_lp_restrict(bfi_lp *p, const double *lo, const double *hi) {
    const bfi_encoding *e = p->encoding;
    bfi_linear_program *lp = &p->lp;
    for (int32_t j = 0; j < e->cols; j++) {
        assert(lo[j] >= e->lo[j] && hi[j] <= e->hi[j] && lo[j] <= hi[j]);
        lp->lo[j] = lo[j], lp->hi[j] = hi[j];
    }
    for (int32_t i = 0; i < e->kink_count; i++) set_kink(p, i);
}

/* Tells HiGHS what has changed since it was told last. */
static void send(bfi_lp *p) {
    const bfi_linear_program *lp = &p->lp;
    bfi_linear_program *sent = &p->sent;
    for (int32_t j = 0; j < lp->cols; j++) {
        if (sent->lo[j] == lp->lo[j] && sent->hi[j] == lp->hi[j]) continue;
        sent->lo[j] = lp->lo[j], sent->hi[j] = lp->hi[j];
        p->highs->changeColBounds(p->model, j, lp->lo[j], lp->hi[j]);
    }
    for (int32_t r = p->first_kink; r < p->first_cut; r++) {
        int32_t slope = lp->start[r + 1] - 1;
        if (sent->row_lo[r] != lp->row_lo[r] || sent->row_hi[r] != lp->row_hi[r])
            p->highs->changeRowBounds(p->model, r, lp->row_lo[r], lp->row_hi[r]);
        if (sent->value[slope] != lp->value[slope])
            p->highs->changeCoeff(p->model, r, lp->index[slope], lp->value[slope]);
        sent->row_lo[r] = lp->row_lo[r], sent->row_hi[r] = lp->row_hi[r];
        sent->value[slope] = lp->value[slope];
    }
}

bool bfi_lp_add_cut(bfi_lp *p, const bfi_hull_cut *cut) {
    bfi_linear_program *lp = &p->lp;
    if (lp->rows - p->first_cut >= p->most_cuts || cut->count > p->cut_entries) return false;
    if (p->highs->addRow(p->model, -INFINITY, cut->hi, cut->count, cut->index, cut->value) ==
        BFI_HIGHS_ERROR)
        return false;
    p->cut_entries -= cut->count;
    p->cut_kink[lp->rows - p->first_cut] = cut->kink;
    p->duals[lp->rows] = p->proof[lp->rows] = 0;
    for (int32_t k = 0; k < cut->count; k++) add_entry(lp, cut->index[k], cut->value[k]);
    end_row(lp, -INFINITY, cut->hi);
    return true;
}

int32_t bfi_lp_cuts(const bfi_lp *p) { return p->lp.rows - p->first_cut; }

/* What the upper ends of kinks cost at the optimum. */
static void find_prices(bfi_lp *p) {
    for (int32_t i = 0; i < p->encoding->kink_count; i++)
        p->price[i] = fabs(p->duals[p->first_kink + BFI_TRIANGLE_ROWS * i + 2]);
    for (int32_t c = 0; c < bfi_lp_cuts(p); c++)
        p->price[p->cut_kink[c]] += fabs(p->duals[p->first_cut + c]);
}

/* How far the optimum is from the kink. */
static double gap_of(const bfi_lp *p, const bfi_kink *k) {
    return fabs(p->x[k->out] - bfi_kink_value(k, p->x[k->in]));
}

double bfi_lp_kink_cost(const bfi_lp *p, int32_t kink) {
    if (bfi_lp_cuts(p) > 0) return p->price[kink] * gap_of(p, &p->encoding->kinks[kink]);
    int32_t chord = p->first_kink + BFI_TRIANGLE_ROWS * kink + 2;
    double end = isfinite(p->lp.row_hi[chord]) ? p->lp.row_hi[chord] : p->lp.row_lo[chord];
    return fabs(p->duals[chord] * end);
}

/* ---- solving ---- */

/* The row by which a decided kink is a line; -1: it is not decided. */
static int32_t line_of(const bfi_lp *p, int32_t kink) {
    int32_t first = p->first_kink + BFI_TRIANGLE_ROWS * kink;
    for (int32_t r = first; r < first + 2; r++)
        if (isfinite(p->lp.row_lo[r]) && isfinite(p->lp.row_hi[r])) return r;
    return -1;
}

/* What the proof takes from the box of a decided kink's output it can take from its line, which
 * other boxes have a chord for. */
static void use_lines(bfi_lp *p) {
    const bfi_linear_program *lp = &p->lp;
    double *reduced = p->scratch, *y = p->proof;
    for (int32_t j = 0; j < lp->cols; j++) reduced[j] = j == lp->objective && !p->proof_is_ray;
    for (int32_t r = 0; r < lp->rows; r++)
        for (int32_t e = lp->start[r]; y[r] != 0 && e < lp->start[r + 1]; e++)
            reduced[lp->index[e]] -= y[r] * lp->value[e];
    for (int32_t i = p->encoding->kink_count; i-- > 0;) {
        int32_t line = line_of(p, i);
        const bfi_kink *k = &p->encoding->kinks[i];
        if (line < 0) continue;
        y[line] += reduced[k->out]; /* its coefficient of the output is 1 */
        for (int32_t e = lp->start[line]; e < lp->start[line + 1]; e++)
            if (lp->index[e] != k->out) reduced[lp->index[e]] -= reduced[k->out] * lp->value[e];
        reduced[k->out] = 0;
    }
}

/* What |multipliers| certify, of the objective or (|ray|) of the constraints alone. */
static void judge(bfi_lp *p, const double *multipliers, bool ray, bfi_lp_answer *answer) {
    double lower = bfi_safe_bound(&p->lp, ray ? -1 : p->lp.objective, multipliers, p->scratch);
    if (ray) lower = lower > 0 ? INFINITY : -INFINITY;
    if (!(lower > answer->lower)) return;
    answer->lower = lower;
    if (!(lower > 0)) return;
    memcpy(p->proof, multipliers, (size_t)p->lp.rows * sizeof *multipliers);
    p->proof_is_ray = ray;
    use_lines(p);
}

/* The multipliers of an optimum, or of a proof that there is nothing. */
static void certify(bfi_lp *p, bfi_lp_answer *answer) {
    judge(p, p->duals, false, answer);
    judge(p, p->duals, true, answer);
}

static void certify_ray(bfi_lp *p, bfi_lp_answer *answer) {
    int32_t has = 0;
    if (p->highs->getDualRay(p->model, &has, p->ray) == BFI_HIGHS_ERROR || !has) return;
    for (int side = 0; side < 2; side++) { /* whichever sign it comes with */
        judge(p, p->ray, true, answer);
        for (int32_t r = 0; r < p->lp.rows; r++) p->ray[r] = -p->ray[r];
    }
}

/* A kink that is decided has no chord, one that is open no line above (below) it: the multiplier of
 * the one that is not there goes to the other. */
static void move_multipliers(const bfi_lp *p, double *y) {
    for (int32_t i = 0; i < p->encoding->kink_count; i++) {
        int32_t first = p->first_kink + BFI_TRIANGLE_ROWS * i, chord = first + 2,
                line = line_of(p, i);
        if (line >= 0) y[line] += y[chord], y[chord] = 0;
        for (int32_t r = first; r < chord && line < 0; r++) {
            if (isfinite(y[r] > 0 ? p->lp.row_lo[r] : p->lp.row_hi[r])) continue;
            y[chord] += y[r], y[r] = 0;
        }
    }
}

bool bfi_lp_refuted_alike(bfi_lp *p, double *lower) {
    double *y = p->moved;
    memcpy(y, p->proof, (size_t)p->lp.rows * sizeof *y);
    move_multipliers(p, y);
    *lower = bfi_safe_bound(&p->lp, p->proof_is_ray ? -1 : p->lp.objective, y, p->scratch);
    if (p->proof_is_ray) *lower = *lower > 0 ? INFINITY : -INFINITY;
    return *lower > 0;
}

/* One run from the basis that is there; the model's status. */
static int32_t run(bfi_lp *p, bfi_lp_answer *answer) {
    const bfi_highs *h = p->highs;
    double deadline = p->budget.deadline;
    if (deadline > 0)
        h->setDoubleOptionValue(p->model, "time_limit",
                                h->getRunTime(p->model) + fmax(deadline - bfi_clock(), 0));
    int32_t ran = h->run(p->model), found = h->getModelStatus(p->model);
    if (ran != BFI_HIGHS_ERROR && found == BFI_HIGHS_INFEASIBLE) certify_ray(p, answer);
    if (ran != BFI_HIGHS_ERROR && found != BFI_HIGHS_INFEASIBLE) {
        h->getSolution(p->model, p->x, p->scratch, p->ray, p->duals);
        certify(p, answer);
    }
    if (ran != BFI_HIGHS_ERROR && found == BFI_HIGHS_OPTIMAL) {
        find_prices(p);
        answer->x = p->x;
        answer->optimum = p->x[p->lp.objective];
    }
    answer->refuted = answer->lower > 0;
    return found;
}

bf_status bfi_lp_solve(bfi_lp *p, const bfi_budget *budget, bfi_lp_answer *answer, bf_error *err) {
    *answer = (bfi_lp_answer){.lower = p->lp.lo[p->lp.objective], .optimum = -INFINITY};
    p->budget = *budget;
    send(p);
    bf_status status = bfi_budget_check(budget);
    if (status != BF_STATUS_OK) return bfi_fail(err, status, "while solving a linear program");
    int32_t found = run(p, answer);
    if (answer->refuted || answer->x) return BF_STATUS_OK;
    /* a basis may be past mending */
    if (found != BFI_HIGHS_STEPS_USED && bfi_budget_check(budget) == BF_STATUS_OK) {
        p->highs->clearSolver(p->model);
        run(p, answer);
    }
    if (answer->refuted || answer->x) return BF_STATUS_OK;
    status = bfi_budget_check(budget);
    return status == BF_STATUS_OK ? BF_STATUS_OK
                                  : bfi_fail(err, status, "while solving a linear program");
}
