#include "verify/refute.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/model.h"
#include "verify/rows.h"

/* Most numbers of all specs in flight, and bytes that a plan keeps of all boxes. */
enum { MOST_CELLS = 1 << 22, MOST_KEPT = 1 << 26 };

struct bfi_refuter {
    const bf_property *property;
    bf_plan *plan;
    bf_workspace *workspace;
    int output; /* layer of the outputs */
    int32_t batch;
    int64_t rows; /* of a case, at most */
    double *lo, *hi, *spec, *lower, *error, *enough, *y_lo, *y_hi;
};

static int64_t rows_of(const bf_case *c) {
    int64_t rows = 0;
    for (int32_t d = 0; d < c->count; d++) rows += c->disjuncts[d].count;
    return rows;
}

static int64_t most_rows(const bf_property *property) {
    int64_t rows = 0;
    for (int32_t i = 0; i < property->count; i++) {
        int64_t here = rows_of(&property->cases[i]);
        if (here > rows) rows = here;
    }
    return rows;
}

/* Boxes in flight: all cases where they are few and the network small. */
static int64_t choose_batch(const bfi_refuter *r, const bfi_graph *graph) {
    enum { BYTES = 64 }; /* that a plan keeps per neuron, about */
    int64_t batch = r->property->count < BFI_REFUTER_CASES ? r->property->count : BFI_REFUTER_CASES;
    int64_t neurons = 1, outputs = r->property->n_out;
    for (int id = 0; id < graph->count; id++) neurons += graph->nodes[id].count;
    while (batch > 1 && (batch > MOST_KEPT / BYTES / neurons ||
                         (r->rows > 0 && outputs > MOST_CELLS / batch / r->rows)))
        batch /= 2;
    return batch > 1 ? batch : 1;
}

static double *numbers(int32_t count, int64_t each, int64_t of) {
    size_t total;
    if (!bfi_mul_size((size_t)count, (size_t)each, &total) ||
        !bfi_mul_size(total, (size_t)of, &total))
        return NULL;
    return bfi_calloc(total, sizeof(double));
}

static bf_status allocate(bfi_refuter *r, bf_error *err) {
    int64_t inputs = r->property->n_in, outputs = r->property->n_out;
    r->lo = numbers(r->batch, inputs, 1);
    r->hi = numbers(r->batch, inputs, 1);
    r->spec = numbers(r->batch, r->rows, outputs);
    r->lower = numbers(r->batch, r->rows, 1);
    r->error = numbers(r->batch, r->rows, 1);
    r->enough = numbers(r->batch, r->rows, 1);
    r->y_lo = numbers(1, outputs, 1);
    r->y_hi = numbers(1, outputs, 1);
    bool ok = r->lo && r->hi && r->spec && r->lower && r->error && r->enough;
    return ok && r->y_lo && r->y_hi ? BF_STATUS_OK : bfi_fail_memory(err);
}

bf_status bfi_refuter_create(bf_session *session, const bf_model *model,
                             const bf_property *property, const bf_options *options,
                             bfi_refuter **out, bf_error *err) {
    bfi_refuter *r = bfi_calloc(1, sizeof *r);
    if (!r) return bfi_fail_memory(err);
    r->property = property;
    r->output = model->graph->output;
    r->rows = most_rows(property);
    bf_options chosen = *options;
    chosen.batch = choose_batch(r, model->graph);
    bf_status status = bf_plan_create(session, model, &chosen, &r->plan, err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(r->plan, &r->workspace, err);
    if (status == BF_STATUS_OK) r->batch = (int32_t)bf_plan_batch(r->plan);
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
    free(r->lo);
    free(r->hi);
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

int32_t bfi_refuter_batch(const bfi_refuter *r) { return r->batch; }

static int64_t open_rows(const bf_case *c, const bfi_disjunct_state *states) {
    int64_t rows = 0;
    for (int32_t d = 0; d < c->count; d++) rows += states[d].refuted ? 0 : c->disjuncts[d].count;
    return rows;
}

/* Rows of the open disjuncts, one after the other; zeros up to |rows| of them. */
static void gather_rows(const bfi_refuter *r, const bf_case *c, const bfi_disjunct_state *states,
                        int64_t rows, double *spec) {
    int64_t row = 0, outputs = r->property->n_out;
    for (int32_t d = 0; d < c->count; d++) {
        for (int32_t i = 0; !states[d].refuted && i < c->disjuncts[d].count; i++, row++) {
            bfi_row_write(&c->disjuncts[d].rows[i], outputs, spec + row * outputs);
        }
    }
    for (int64_t i = row * outputs; i < rows * outputs; i++) spec[i] = 0;
}

/* Lower bounds of the rows that refute, nearly: where optimising them may stop. Rows up to |rows|
 * that the case does not have are enough as they are. */
static void find_enough(const bfi_refuter *r, const bf_case *c, const bfi_disjunct_state *states,
                        int64_t rows, double *enough) {
    int64_t row = 0;
    for (int32_t d = 0; d < c->count; d++)
        for (int32_t i = 0; !states[d].refuted && i < c->disjuncts[d].count; i++, row++)
            enough[row] = bfi_row_enough(&c->disjuncts[d].rows[i], c->lo, c->hi, r->y_lo, r->y_hi);
    for (; row < rows; row++) enough[row] = -INFINITY;
}

/* |lower| and |error| of the rows of the case, as gathered. */
static void judge(const bfi_refuter *r, const bf_case *c, bfi_disjunct_state *states,
                  const double *lower, const double *error) {
    int64_t row = 0;
    for (int32_t d = 0; d < c->count; d++) {
        if (states[d].refuted) continue;
        states[d].rounding = false;
        for (int32_t i = 0; i < c->disjuncts[d].count; i++, row++) {
            const bf_halfspace *h = &c->disjuncts[d].rows[i];
            double margin = bfi_row_margin(h, lower[row], c->lo, c->hi, r->y_lo, r->y_hi);
            if (margin > states[d].margin) states[d].margin = margin;
            states[d].rounding = states[d].rounding || margin + 2 * error[row] > 0;
            if (bfi_row_refuted(h, margin)) states[d].refuted = true;
        }
    }
}

/* The request for |count| cases; every box has as many rows as the case with most. */
static bf_request gather(bfi_refuter *r, const bfi_refuter_case *cases, int32_t count) {
    int64_t inputs = r->property->n_in, outputs = r->property->n_out;
    bf_request request = {.lo = r->lo,
                          .hi = r->hi,
                          .spec = r->spec,
                          .lower = r->lower,
                          .lower_error = r->error,
                          .enough = r->enough,
                          .boxes = count,
                          .spec_per_box = 1};
    for (int32_t k = 0; k < count; k++) {
        int64_t rows = open_rows(&r->property->cases[cases[k].index], cases[k].states);
        if (rows > request.rows) request.rows = rows;
    }
    assert(request.rows <= r->rows);
    for (int32_t k = 0; k < count; k++) {
        const bf_case *c = &r->property->cases[cases[k].index];
        size_t bytes = (size_t)inputs * sizeof *r->lo;
        memcpy(r->lo + k * inputs, c->lo, bytes);
        memcpy(r->hi + k * inputs, c->hi, bytes);
        gather_rows(r, c, cases[k].states, request.rows, r->spec + k * request.rows * outputs);
        find_enough(r, c, cases[k].states, request.rows, r->enough + k * request.rows);
    }
    return request;
}

bf_status bfi_refuter_run(bfi_refuter *r, bfi_refuter_case *cases, int32_t count, double deadline,
                          bf_error *err) {
    assert(count >= 1 && count <= r->batch);
    bf_request request = gather(r, cases, count);
    request.deadline = deadline;
    bf_status status = bf_bounds_run(r->plan, r->workspace, &request, err);
    for (int32_t k = 0; k < count; k++) {
        const bf_case *c = &r->property->cases[cases[k].index];
        if (status == BF_STATUS_OK) {
            bf_workspace_box_layer(r->plan, r->workspace, k, r->output, r->y_lo, r->y_hi);
            judge(r, c, cases[k].states, r->lower + k * request.rows, r->error + k * request.rows);
        }
        cases[k].open = 0;
        for (int32_t d = 0; d < c->count; d++) cases[k].open += !cases[k].states[d].refuted;
    }
    return status;
}
