#include "plan/cost.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

typedef struct row {
    const char *kernel;
    bfi_dtype dtype;
    const char *isa, *shape;
    double work, native, compiled;
} row;

static const row rows[] = {
#define BF_COST(kernel, dtype, isa, shape, work, native, compiled) \
    {kernel, BFI_##dtype, isa, shape, work, native, compiled},
#include "plan/cost.def"
#undef BF_COST
};

bool bfi_cost_compiled_wins(const bfi_cost_query *q) {
    const row *best = NULL;
    double distance = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const row *r = &rows[i];
        if (r->dtype != q->dtype || strcmp(r->kernel, q->kernel) || strcmp(r->isa, q->isa) ||
            strcmp(r->shape, q->strided ? "strided" : "plain"))
            continue;
        double d = fabs(log(r->work / (q->work > 1 ? q->work : 1)));
        if (!best || d < distance) best = r, distance = d;
    }
    return best && bfi_cost_lead(best->native, best->compiled);
}
