/* Whether a compiled kernel is faster than the kernel table's, by the measurements of cost.def. */
#ifndef BFI_PLAN_COST_H
#define BFI_PLAN_COST_H

#include <stdbool.h>

#include "base/fp.h"

typedef struct bfi_cost_query {
    const char *kernel; /* "linear", "conv", ... */
    bfi_dtype dtype;
    const char *isa; /* of the kernel table */
    bool strided;
    double work; /* as in cost.def */
} bfi_cost_query;

/* True when the row of the nearest work says so; false when nothing like it was measured. */
bool bfi_cost_compiled_wins(const bfi_cost_query *query);

/* A lead of less than two percent is noise: what is there anyway is kept. */
static inline bool bfi_cost_lead(double native, double compiled) {
    return compiled < 0.98 * native;
}

#endif
