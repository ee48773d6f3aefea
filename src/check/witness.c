#include "check/witness.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "ir/evaluate.h"

/* Relative to the largest output: how far the two evaluations may differ (VNN-COMP's tolerance). */
#define AGREEMENT 1e-4

static double row_value(const bf_halfspace *row, const double *x, const double *y) {
    double sum = 0;
    for (int32_t i = 0; i < row->y_count; i++)
        sum += row->y_terms[i].coef * y[row->y_terms[i].index];
    for (int32_t i = 0; i < row->x_count; i++)
        sum += row->x_terms[i].coef * x[row->x_terms[i].index];
    return sum;
}

/* What the coefficients' own errors may add to row_value. */
static double row_slack(const bf_halfspace *row, const double *x, const double *y) {
    double sum = 0;
    for (int32_t i = 0; i < row->y_count; i++)
        sum += row->y_terms[i].coef_err * fabs(y[row->y_terms[i].index]);
    for (int32_t i = 0; i < row->x_count; i++)
        sum += row->x_terms[i].coef_err * fabs(x[row->x_terms[i].index]);
    return sum;
}

double bfi_polytope_violation(const bf_polytope *polytope, const double *x, const double *y) {
    double worst = -(double)INFINITY;
    for (int32_t r = 0; r < polytope->count; r++) {
        const bf_halfspace *row = &polytope->rows[r];
        double v = row_value(row, x, y) + row_slack(row, x, y) - row->rhs_lo;
        if (row->strict && v == 0) v = 0x1p-1074;
        if (v != v) return (double)INFINITY;
        if (v > worst) worst = v;
    }
    return worst;
}

/* The float32 of [lo, hi] nearest to |x|; where [lo, hi] holds none, the one nearest to its middle.
 */
static double nearest_inside(double x, double lo, double hi) {
    double from = (double)bfi_float_up(lo), to = (double)bfi_float_down(hi);
    if (from > to) return (double)(float)(lo / 2 + hi / 2);
    double rounded = (double)(float)x;
    return !(rounded >= from) ? from : rounded > to ? to : rounded;
}

static bool put_inside(const bf_case *c, int64_t n, const double *x, double *out) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = nearest_inside(x[i], c->lo_inner[i], c->hi_inner[i]);
        if (!isfinite(out[i])) return false;
    }
    return true;
}

static bool outputs_agree(int64_t n, const double *a, const double *b) {
    double scale = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) return false;
        scale = fmax(scale, fmax(fabs(a[i]), fabs(b[i])));
    }
    for (int64_t i = 0; i < n; i++)
        if (fabs(a[i] - b[i]) > AGREEMENT * fmax(scale, 1)) return false;
    return true;
}

static int32_t disjunct_holding(const bf_case *c, const double *x, const double *y) {
    for (int32_t d = 0; d < c->count; d++)
        if (bfi_polytope_violation(&c->disjuncts[d], x, y) <= 0) return d;
    return -1;
}

bf_status bfi_witness_check(const bfi_graph *graph, const bf_property *property, int32_t case_index,
                            const double *x, bf_semantics semantics, bool *accepted,
                            bfi_witness *witness, bf_error *err) {
    const bf_case *c = &property->cases[case_index];
    size_t n_in = (size_t)property->n_in, n_out = (size_t)property->n_out;
    bf_status status = BF_STATUS_OK;
    double *point = bfi_malloc(n_in, sizeof *point);
    double *y32 = bfi_malloc(n_out, sizeof *y32), *y64 = bfi_malloc(n_out, sizeof *y64);
    int32_t disjunct = -1;
    *accepted = false;
    if (!point || !y32 || !y64) {
        status = bfi_fail_memory(err);
        goto cleanup;
    }
    if (!put_inside(c, property->n_in, x, point)) goto cleanup;
    status = bfi_evaluate(graph, BFI_EVAL_FLOAT64, point, y64, NULL, err);
    if (status != BF_STATUS_OK) goto cleanup;
    if (semantics == BF_SEMANTICS_REAL && (disjunct = disjunct_holding(c, point, y64)) < 0)
        goto cleanup;
    status = bfi_evaluate(graph, BFI_EVAL_FLOAT32, point, y32, NULL, err);
    if (status != BF_STATUS_OK || !outputs_agree(property->n_out, y32, y64)) goto cleanup;
    if (semantics == BF_SEMANTICS_FLOAT32) disjunct = disjunct_holding(c, point, y32);
    if (disjunct < 0) goto cleanup;
    *accepted = true;
    *witness = (bfi_witness){point, y32, case_index, disjunct};
    point = y32 = NULL;
cleanup:
    free(point);
    free(y32);
    free(y64);
    return status;
}

void bfi_witness_clear(bfi_witness *witness) {
    free(witness->x);
    free(witness->y);
    *witness = (bfi_witness){0};
}
