#include "verify/ledger.h"

#include <assert.h>
#include <math.h>

#include "base/alloc.h"
#include "base/status.h"

bf_status bfi_ledger_create(const bf_property *property, bfi_ledger *l, bf_error *err) {
    size_t cases = (size_t)property->count, total = 0;
    *l = (bfi_ledger){.property = property};
    l->first = bfi_calloc(cases + 1, sizeof *l->first);
    l->done = bfi_calloc(cases, sizeof *l->done);
    if (!l->first || !l->done) return bfi_fail_memory(err);
    for (size_t i = 0; i < cases; i++) {
        l->first[i] = (int64_t)total;
        total += (size_t)property->cases[i].count;
    }
    l->first[cases] = (int64_t)total;
    l->states = bfi_calloc(total, sizeof *l->states);
    if (!l->states) return bfi_fail_memory(err);
    for (size_t i = 0; i < total; i++) l->states[i].margin = -INFINITY;
    bfi_ledger_count(l);
    return BF_STATUS_OK;
}

void bfi_ledger_clear(bfi_ledger *l) {
    free(l->states);
    free(l->first);
    free(l->done);
    *l = (bfi_ledger){0};
}

void bfi_ledger_count(bfi_ledger *l) {
    l->open_cases = 0;
    for (int32_t i = 0; i < l->property->count; i++) {
        l->done[i] = true;
        for (int64_t d = l->first[i]; d < l->first[i + 1]; d++)
            l->done[i] = l->done[i] && l->states[d].refuted;
        l->open_cases += !l->done[i];
    }
}

void bfi_ledger_close(bfi_ledger *l, int32_t case_index) {
    assert(!l->done[case_index] && l->open_cases > 0);
    l->done[case_index] = true;
    l->open_cases--;
}

double bfi_ledger_bound(const bfi_ledger *l, bool open_only) {
    double worst = INFINITY;
    for (int64_t d = 0; d < l->first[l->property->count]; d++)
        if ((!open_only || !l->states[d].refuted) && l->states[d].margin < worst)
            worst = l->states[d].margin;
    return worst;
}
