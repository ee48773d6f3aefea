/* The kernels of one op, wherever they come from: the table of its lowering, or kernels compiled
 * for its shape. Handlers call these and know no backend. Contracts are those of kernels/kernel.h;
 * a compiled kernel gives the same bits, and where it does not fit the call (another shape, a
 * window) or fails, the table's runs. One that fails after it may have overwritten what it read
 * stops the run: failed in the workspace. */
#ifndef BFI_EXEC_DISPATCH_H
#define BFI_EXEC_DISPATCH_H

#include "exec/workspace.h"

typedef struct bfi_dispatch {
    const bfi_lowering *lowering;
    const bfi_kernels *kernels; /* the table */
    bf_workspace *ws;
    int worker;
} bfi_dispatch;

static inline bfi_dispatch bfi_dispatch_of(const bfi_lowering *lowering, bf_workspace *ws,
                                           int worker) {
    return (bfi_dispatch){lowering, lowering->kernels, ws, worker};
}

void bfi_run_linear(const bfi_dispatch *d, const bfi_packed *w, int64_t m0, int64_t m1,
                    const void *in, void *out, int64_t ls, int64_t lanes);
void bfi_run_conv(const bfi_dispatch *d, const bfi_conv *c, int64_t y0, int64_t y1, const void *in,
                  void *out, int64_t ls, int64_t lanes);
void bfi_run_relax(const bfi_dispatch *d, const bfi_relax *r);
void bfi_run_accumulate(const bfi_dispatch *d, int64_t n, int sign, const void *in, void *out,
                        int64_t ls, int64_t lanes);
void bfi_run_interval_linear(const bfi_dispatch *d, const bfi_packed *w, int64_t m0, int64_t m1,
                             const void *lo, const void *hi, void *out_lo, void *out_hi,
                             void *out_mag, int64_t ls, int64_t lanes);
void bfi_run_interval_conv(const bfi_dispatch *d, const bfi_conv *c, int64_t y0, int64_t y1,
                           const void *lo, const void *hi, void *out_lo, void *out_hi,
                           void *out_mag, int64_t ls, int64_t lanes);

/* linear on lane groups [v0, v1) of BF_LANE_PAD, and on its result |r| (whose a is the result,
 * which is not kept). False: there is no such kernel, and nothing happened that a second try could
 * not undo. */
bool bfi_run_linear_relax(const bfi_dispatch *d, const bfi_packed *w, const void *in,
                          const bfi_relax *r, int64_t v0, int64_t v1);

#endif
