#include "assignment.h"

#include <stdbool.h>

static void write_values(FILE *out, char letter, const double *values, int64_t count, bool *first) {
    for (int64_t i = 0; i < count; i++) {
        fprintf(out, "%s(%c_%lld %.9g)", *first ? "(" : "\n ", letter, (long long)i,
                (double)(float)values[i]);
        *first = false;
    }
}

static void write_variable(FILE *out, const bf_variable *v, const bf_verify_result *result) {
    const double *values = v->role == BF_VARIABLE_INPUT ? result->x : result->y;
    fprintf(out, "%s %s [", v->name, v->type);
    for (int i = 0; i < v->rank; i++) fprintf(out, "%s%lld", i ? "," : "", (long long)v->shape[i]);
    fputs("]\n", out);
    for (int64_t i = 0; i < v->count; i++)
        fprintf(out, "%.9g\n", (double)(float)values[v->first + i]);
}

const char *bfi_assignment_verdict(const bf_property *property, bf_verdict verdict) {
    bool two = property->network != NULL;
    return two && verdict == BF_VERDICT_TIMEOUT ? "timed-out" : bf_verdict_name(verdict);
}

void bfi_assignment_write(FILE *out, const bf_property *property, const bf_verify_result *result) {
    fprintf(out, "%s\n", bfi_assignment_verdict(property, result->verdict));
    if (result->verdict != BF_VERDICT_SAT) return;
    for (int32_t i = 0; i < property->variable_count; i++)
        if (property->variables[i].role != BF_VARIABLE_HIDDEN)
            write_variable(out, &property->variables[i], result);
    if (property->network) return;
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
