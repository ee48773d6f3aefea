#include "verify/attack/objective.h"

#include <assert.h>
#include <math.h>

/* Lanes handled side by side. */
enum { CHUNK = 16 };

static void add_terms(const bf_term *terms, int32_t count, const float *values, int64_t ls,
                      double *sum) {
    for (int32_t t = 0; t < count; t++) {
        const float *v = values + terms[t].index * ls;
        for (int l = 0; l < CHUNK; l++) sum[l] += terms[t].coef * (double)v[l];
    }
}

static void row_values(const bf_halfspace *row, const bfi_points *p, int64_t first, double *value) {
    for (int l = 0; l < CHUNK; l++) value[l] = -row->rhs_lo;
    add_terms(row->y_terms, row->y_count, p->y + first, p->ls, value);
    add_terms(row->x_terms, row->x_count, p->x + first, p->ls, value);
    for (int l = 0; l < CHUNK; l++)
        if (value[l] != value[l]) value[l] = (double)INFINITY;
}

void bfi_objective_violation(const bf_polytope *polytope, const bfi_points *p, double *worst) {
    assert(p->ls % CHUNK == 0);
    for (int64_t first = 0; first < p->ls; first += CHUNK) {
        double *w = worst + first, value[CHUNK];
        for (int l = 0; l < CHUNK; l++) w[l] = -(double)INFINITY;
        for (int32_t r = 0; r < polytope->count; r++) {
            row_values(&polytope->rows[r], p, first, value);
            for (int l = 0; l < CHUNK; l++) w[l] = value[l] > w[l] ? value[l] : w[l];
        }
    }
}

static double row_value(const bf_halfspace *row, const bfi_points *p, int64_t lane) {
    double sum = -row->rhs_lo;
    for (int32_t t = 0; t < row->y_count; t++)
        sum += row->y_terms[t].coef * (double)p->y[row->y_terms[t].index * p->ls + lane];
    for (int32_t t = 0; t < row->x_count; t++)
        sum += row->x_terms[t].coef * (double)p->x[row->x_terms[t].index * p->ls + lane];
    return sum;
}

static int32_t worst_row(const bf_polytope *polytope, const bfi_points *p, int64_t lane,
                         double *value) {
    int32_t worst = 0;
    *value = -(double)INFINITY;
    for (int32_t r = 0; r < polytope->count; r++) {
        double v = row_value(&polytope->rows[r], p, lane);
        if (v > *value) {
            *value = v;
            worst = r;
        }
    }
    return worst;
}

static void add_row(const bf_halfspace *row, bool direct, int64_t ls, int64_t lane, float *to) {
    const bf_term *terms = direct ? row->x_terms : row->y_terms;
    int32_t count = direct ? row->x_count : row->y_count;
    for (int32_t t = 0; t < count; t++) to[terms[t].index * ls + lane] += (float)terms[t].coef;
}

static void add_rows(const bf_polytope *polytope, bfi_row_mix mix, bool direct, const bfi_points *p,
                     int64_t lane, float *to) {
    double value;
    if (polytope->count == 0) return;
    int32_t worst = worst_row(polytope, p, lane, &value);
    if (mix == BFI_ROWS_WORST || !(value > 0)) {
        add_row(&polytope->rows[worst], direct, p->ls, lane, to);
        return;
    }
    for (int32_t r = 0; r < polytope->count; r++)
        if (row_value(&polytope->rows[r], p, lane) > 0)
            add_row(&polytope->rows[r], direct, p->ls, lane, to);
}

void bfi_objective_seed(const bf_polytope *polytope, bfi_row_mix mix, const bfi_points *points,
                        int64_t lane, float *seed) {
    add_rows(polytope, mix, false, points, lane, seed);
}

void bfi_objective_direct(const bf_polytope *polytope, bfi_row_mix mix, const bfi_points *points,
                          int64_t lane, float *gradient) {
    add_rows(polytope, mix, true, points, lane, gradient);
}
