#include "verify/refute.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "base/status.h"
#include "frontend/model.h"

struct bfi_refuter {
    const bf_property *property;
    bf_plan *plan;
    bf_workspace *workspace;
    int output; /* layer of the outputs */
    double *spec, *lower, *error, *y_lo, *y_hi;
};

static int64_t rows_of(const bf_case *c) {
    int64_t rows = 0;
    for (int32_t d = 0; d < c->count; d++) rows += c->disjuncts[d].count;
    return rows;
}

static bf_status allocate(bfi_refuter *r, bf_error *err) {
    size_t rows = 0, outputs = (size_t)r->property->n_out, cells;
    for (int32_t i = 0; i < r->property->count; i++) {
        size_t here = (size_t)rows_of(&r->property->cases[i]);
        if (here > rows) rows = here;
    }
    if (!bfi_mul_size(rows, outputs, &cells)) return bfi_fail_memory(err);
    r->spec = bfi_malloc(cells, sizeof *r->spec);
    r->lower = bfi_malloc(rows, sizeof *r->lower);
    r->error = bfi_malloc(rows, sizeof *r->error);
    r->y_lo = bfi_malloc(outputs, sizeof *r->y_lo);
    r->y_hi = bfi_malloc(outputs, sizeof *r->y_hi);
    return r->spec && r->lower && r->error && r->y_lo && r->y_hi ? BF_STATUS_OK
                                                                 : bfi_fail_memory(err);
}

bf_status bfi_refuter_create(bf_session *session, const bf_model *model,
                             const bf_property *property, const bf_options *options,
                             bfi_refuter **out, bf_error *err) {
    bfi_refuter *r = bfi_calloc(1, sizeof *r);
    if (!r) return bfi_fail_memory(err);
    r->property = property;
    r->output = model->graph->output;
    bf_status status = bf_plan_create(session, model, options, &r->plan, err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(r->plan, &r->workspace, err);
    if (status == BF_STATUS_OK) status = allocate(r, err);
    if (status != BF_STATUS_OK) {
        bfi_refuter_free(r);
        return status;
    }
    *out = r;
    return BF_STATUS_OK;
}

void bfi_refuter_free(bfi_refuter *r) {
    if (!r) return;
    bf_workspace_free(r->workspace);
    bf_plan_free(r->plan);
    free(r->spec);
    free(r->lower);
    free(r->error);
    free(r->y_lo);
    free(r->y_hi);
    free(r);
}

const bf_plan *bfi_refuter_plan(const bfi_refuter *r) { return r->plan; }

bf_workspace *bfi_refuter_workspace(const bfi_refuter *r) { return r->workspace; }

/* Rows of the open disjuncts, one after the other. */
static int64_t gather_rows(bfi_refuter *r, const bf_case *c, const bfi_disjunct_state *states) {
    int64_t rows = 0, outputs = r->property->n_out;
    for (int32_t d = 0; d < c->count; d++) {
        for (int32_t i = 0; !states[d].refuted && i < c->disjuncts[d].count; i++, rows++) {
            const bf_halfspace *h = &c->disjuncts[d].rows[i];
            double *row = r->spec + rows * outputs;
            memset(row, 0, (size_t)outputs * sizeof *row);
            for (int32_t k = 0; k < h->y_count; k++) row[h->y_terms[k].index] += h->y_terms[k].coef;
        }
    }
    return rows;
}

/* Least value of coef * v for the written coefficient and v in [lo, hi]. */
static double least_term(const bf_term *term, double lo, double hi) {
    double a = fmin(term->coef * lo, term->coef * hi);
    return bfi_down(bfi_down(a) - bfi_mul_up(term->coef_err, fmax(fabs(lo), fabs(hi))));
}

/* |lower| bounds the row with its nearest coefficients; account for what the decimals lost, for
 * terms over inputs, and compare. Summing a repeated variable's coefficients may round: one ulp
 * each. */
static double margin_of(const bfi_refuter *r, const bf_case *c, const bf_halfspace *h,
                        double lower) {
    for (int32_t k = 0; k < h->y_count; k++) {
        const bf_term *term = &h->y_terms[k];
        double magnitude = fmax(fabs(r->y_lo[term->index]), fabs(r->y_hi[term->index]));
        double lost = term->coef_err +
                      (h->y_count > 1 && term->coef_err > 0 ? fabs(term->coef) * 0x1p-52 : 0);
        if (lost > 0) lower = bfi_down(lower - bfi_mul_up(lost, magnitude));
    }
    for (int32_t k = 0; k < h->x_count; k++) {
        int32_t i = h->x_terms[k].index;
        lower = bfi_down(lower + least_term(&h->x_terms[k], c->lo[i], c->hi[i]));
    }
    double margin = bfi_down(lower - h->rhs_hi);
    if (lower == h->rhs_hi) margin = 0;
    return margin == margin ? margin : -INFINITY;
}

/* Two terms in one variable: their sum is rounded in |spec|; such a row is not used for refutation
 * unless the coefficients are exact sums. */
static bool exact_sum(const bf_halfspace *h) {
    for (int32_t i = 0; i < h->y_count; i++)
        for (int32_t j = 0; j < i; j++)
            if (h->y_terms[i].index == h->y_terms[j].index) {
                double s = h->y_terms[i].coef + h->y_terms[j].coef;
                if (s - h->y_terms[i].coef != h->y_terms[j].coef) return false;
            }
    return true;
}

static void judge(bfi_refuter *r, const bf_case *c, bfi_disjunct_state *states) {
    int64_t row = 0;
    for (int32_t d = 0; d < c->count; d++) {
        if (states[d].refuted) continue;
        states[d].rounding = false;
        for (int32_t i = 0; i < c->disjuncts[d].count; i++, row++) {
            const bf_halfspace *h = &c->disjuncts[d].rows[i];
            double margin = exact_sum(h) ? margin_of(r, c, h, r->lower[row]) : -INFINITY;
            if (margin > states[d].margin) states[d].margin = margin;
            states[d].rounding = states[d].rounding || margin + 2 * r->error[row] > 0;
            if (margin > 0 || (h->strict && margin == 0)) states[d].refuted = true;
        }
    }
}

bf_status bfi_refuter_run(bfi_refuter *r, int32_t index, double deadline,
                          bfi_disjunct_state *states, int32_t *open, bf_error *err) {
    const bf_case *c = &r->property->cases[index];
    bf_request request = {.lo = c->lo,
                          .hi = c->hi,
                          .spec = r->spec,
                          .lower = r->lower,
                          .lower_error = r->error,
                          .deadline = deadline};
    request.rows = gather_rows(r, c, states);
    bf_status status = bf_bounds_run(r->plan, r->workspace, &request, err);
    if (status == BF_STATUS_OK) {
        bf_workspace_layer(r->plan, r->workspace, r->output, r->y_lo, r->y_hi);
        judge(r, c, states);
    }
    assert(request.rows <= INT32_MAX);
    *open = 0;
    for (int32_t d = 0; d < c->count; d++) *open += !states[d].refuted;
    return status;
}
