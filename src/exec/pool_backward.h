/* Max pooling on the way back, for all executors. */
#ifndef BFI_EXEC_POOL_BACKWARD_H
#define BFI_EXEC_POOL_BACKWARD_H

#include <stdint.h>

#include "base/fp.h"

/* For every output j and lane: a >= 0 adds a to out[pick_lo[j]]; a < 0 adds a to out[pick_hi[j]],
 * or a * t_neg[j] to t_sum where pick_hi[j] is -1. Outputs in order; sums in the contract's order.
 * |out| is zeroed by the caller; t_sum is overwritten. Layout as in kernels/kernel.h; picks and
 * t_neg are those of box 0, the lane's box has its own box[lane] * box_bytes further on. */
typedef struct bfi_pool_backward {
    int64_t n, ls, lanes;
    const int64_t *box; /* by lane */
    int64_t box_bytes;
    const int32_t *pick_lo, *pick_hi;
    const void *a, *t_neg;
    void *out, *t_sum;
} bfi_pool_backward;

void bfi_pool_backward_run(bfi_dtype dtype, const bfi_pool_backward *p);

#endif
