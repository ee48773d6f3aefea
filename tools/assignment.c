#include "assignment.h"

#include <stdbool.h>

static void write_values(FILE *out, char letter, const double *values, int64_t count, bool *first) {
    for (int64_t i = 0; i < count; i++) {
        fprintf(out, "%s(%c_%lld %.9g)", *first ? "(" : "\n ", letter, (long long)i,
                (double)(float)values[i]);
        *first = false;
    }
}

void bfi_assignment_write(FILE *out, const bf_verify_result *result) {
    fprintf(out, "%s\n", bf_verdict_name(result->verdict));
    if (result->verdict != BF_VERDICT_SAT) return;
    bool first = true;
    write_values(out, 'X', result->x, result->n_in, &first);
    write_values(out, 'Y', result->y, result->n_out, &first);
    fputs(")\n", out);
}

int bfi_assignment_case(const bf_property *property, const double *x) {
    for (int c = 0; c < property->count; c++) {
        const bf_case *box = &property->cases[c];
        int64_t i = 0;
        while (i < property->n_in && box->lo[i] <= x[i] && x[i] <= box->hi[i]) i++;
        if (i == property->n_in) return c;
    }
    return 0;
}
