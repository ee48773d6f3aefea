#include "exec/pool_backward.h"

static const void *in_box(const void *box_0, int64_t skip) { return (const char *)box_0 + skip; }

#define T float
#define FMA fmaf
#define RUN run_float
#include "exec/pool_backward.inc"
#undef T
#undef FMA
#undef RUN
#define T double
#define FMA fma
#define RUN run_double
#include "exec/pool_backward.inc"

void bfi_pool_backward_run(bfi_dtype dtype, const bfi_pool_backward *p) {
    (dtype == BFI_F32 ? run_float : run_double)(p);
}
