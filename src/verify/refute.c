#include "verify/refute.h"

#include <assert.h>
#include <math.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/model.h"
#include "verify/rows.h"

struct bfi_refuter {
    const bf_property *property;
    bf_plan *plan;
    bf_workspace *workspace;
    int output; /* layer of the outputs */
    double *spec, *lower, *error, *enough, *y_lo, *y_hi;
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
    r->enough = bfi_malloc(rows, sizeof *r->enough);
    r->y_lo = bfi_calloc(outputs, sizeof *r->y_lo);
    r->y_hi = bfi_calloc(outputs, sizeof *r->y_hi);
    bool all = r->spec && r->lower && r->error && r->enough && r->y_lo && r->y_hi;
    return all ? BF_STATUS_OK : bfi_fail_memory(err);
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
    free(r->enough);
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
            bfi_row_write(&c->disjuncts[d].rows[i], outputs, r->spec + rows * outputs);
        }
    }
    return rows;
}

/* Lower bounds of the rows that refute, nearly: where optimising them may stop. */
static void find_enough(bfi_refuter *r, const bf_case *c, const bfi_disjunct_state *states) {
    int64_t row = 0;
    for (int32_t d = 0; d < c->count; d++)
        for (int32_t i = 0; !states[d].refuted && i < c->disjuncts[d].count; i++, row++) {
            const bf_halfspace *h = &c->disjuncts[d].rows[i];
            double enough = -bfi_row_margin(h, 0, c->lo, c->hi, r->y_lo, r->y_hi);
            r->enough[row] = enough + 1e-6 * fabs(enough) + 1e-12;
        }
}

static void judge(bfi_refuter *r, const bf_case *c, bfi_disjunct_state *states) {
    int64_t row = 0;
    for (int32_t d = 0; d < c->count; d++) {
        if (states[d].refuted) continue;
        states[d].rounding = false;
        for (int32_t i = 0; i < c->disjuncts[d].count; i++, row++) {
            const bf_halfspace *h = &c->disjuncts[d].rows[i];
            double margin = bfi_row_margin(h, r->lower[row], c->lo, c->hi, r->y_lo, r->y_hi);
            if (margin > states[d].margin) states[d].margin = margin;
            states[d].rounding = states[d].rounding || margin + 2 * r->error[row] > 0;
            if (bfi_row_refuted(h, margin)) states[d].refuted = true;
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
                          .enough = r->enough,
                          .deadline = deadline};
    request.rows = gather_rows(r, c, states);
    find_enough(r, c, states);
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
