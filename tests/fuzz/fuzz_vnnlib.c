/* Any text: an error or a property that keeps the promises of its header. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "boundflow/property.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) abort();
}

static void check_terms(const bf_term *terms, int32_t count, int64_t variables) {
    for (int32_t i = 0; i < count; i++) {
        require(terms[i].index >= 0 && terms[i].index < variables);
        require(isfinite(terms[i].coef) && terms[i].coef_err >= 0);
        require(i == 0 || terms[i - 1].index < terms[i].index);
    }
}

static void check_case(const bf_property *p, const bf_case *c) {
    require(c->count > 0);
    for (int64_t i = 0; i < p->n_in; i++) {
        require(isfinite(c->lo[i]) && isfinite(c->hi[i]) && c->lo[i] <= c->hi[i]);
        require(c->lo[i] <= c->lo_inner[i] && c->hi_inner[i] <= c->hi[i]);
    }
    for (int32_t d = 0; d < c->count; d++) {
        for (int32_t r = 0; r < c->disjuncts[d].count; r++) {
            const bf_halfspace *row = &c->disjuncts[d].rows[r];
            require(row->y_count + row->x_count > 0);
            require(isfinite(row->rhs_lo) && isfinite(row->rhs_hi) && row->rhs_lo <= row->rhs_hi);
            check_terms(row->y_terms, row->y_count, p->n_out);
            check_terms(row->x_terms, row->x_count, p->n_in);
        }
    }
}

/* Declared tensors cover the inputs, and the outputs, one behind the other. */
static void check_variables(const bf_property *p) {
    int64_t next[3] = {0};
    require((p->network != NULL) == (p->variable_count > 0));
    for (int32_t i = 0; i < p->variable_count; i++) {
        const bf_variable *v = &p->variables[i];
        int64_t count = 1;
        require(v->name[0] != '\0' && v->type[0] != '\0');
        for (int k = 0; k < v->rank; k++) count *= v->shape[k];
        require(v->count == count && count > 0);
        if (v->role == BF_VARIABLE_HIDDEN) continue;
        require(v->first == next[v->role]);
        next[v->role] += count;
    }
    require(!p->network ||
            (next[BF_VARIABLE_INPUT] == p->n_in && next[BF_VARIABLE_OUTPUT] == p->n_out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bf_property *p = NULL;
    bf_error err;
    if (bf_property_parse((const char *)data, size, "fuzz.vnnlib", &p, &err) != BF_STATUS_OK) {
        require(p == NULL && err.message[0] != '\0');
        return 0;
    }
    for (int32_t i = 0; i < p->count; i++) check_case(p, &p->cases[i]);
    check_variables(p);
    bf_property_free(p);
    return 0;
}
