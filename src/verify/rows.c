#include "verify/rows.h"

#include <math.h>
#include <string.h>

#include "base/fp.h"

void bfi_row_write(const bf_halfspace *h, int64_t outputs, double *row) {
    memset(row, 0, (size_t)outputs * sizeof *row);
    for (int32_t k = 0; k < h->y_count; k++) row[h->y_terms[k].index] += h->y_terms[k].coef;
}

/* Least value of coef * v for the written coefficient and v in [lo, hi]. */
static double least_term(const bf_term *term, double lo, double hi) {
    double a = fmin(term->coef * lo, term->coef * hi);
    return bfi_down(bfi_down(a) - bfi_mul_up(term->coef_err, fmax(fabs(lo), fabs(hi))));
}

/* Two terms in one variable: their sum is rounded in the row; such a row is not used for refutation
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

double bfi_row_margin(const bf_halfspace *h, double lower, const double *lo, const double *hi,
                      const double *y_lo, const double *y_hi) {
    if (!exact_sum(h)) return -INFINITY;
    for (int32_t k = 0; k < h->y_count; k++) {
        const bf_term *term = &h->y_terms[k];
        double magnitude = fmax(fabs(y_lo[term->index]), fabs(y_hi[term->index]));
        /* summing a repeated variable's coefficients may round: one ulp each */
        double lost = term->coef_err +
                      (h->y_count > 1 && term->coef_err > 0 ? fabs(term->coef) * 0x1p-52 : 0);
        if (lost > 0) lower = bfi_down(lower - bfi_mul_up(lost, magnitude));
    }
    for (int32_t k = 0; k < h->x_count; k++) {
        int32_t i = h->x_terms[k].index;
        lower = bfi_down(lower + least_term(&h->x_terms[k], lo[i], hi[i]));
    }
    double margin = bfi_down(lower - h->rhs_hi);
    if (lower == h->rhs_hi) margin = 0;
    return margin == margin ? margin : -INFINITY;
}

double bfi_row_enough(const bf_halfspace *h, const double *lo, const double *hi, const double *y_lo,
                      const double *y_hi) {
    double at = -bfi_row_margin(h, 0, lo, hi, y_lo, y_hi);
    return at + 1e-6 * fabs(at) + 1e-12;
}
