#include "exec/dispatch.h"

#include "exec/tvm/loader.h"
#include "exec/tvm/lower.h"

/* A call under construction: tensors, then integers, in the order of exec/tvm/kernel.def. */
typedef struct call {
    bfi_kernel_host host;
    bfi_kernel_call c;
} call;

static void begin(call *k, const bfi_dispatch *d) {
    const bf_plan *plan = d->ws->plan;
    k->host = (bfi_kernel_host){.pool = plan->kernel_pool,
                                .arena = bfi_ws_tile(d->ws, 0) + plan->kernel_offset,
                                .stride = plan->tile_bytes,
                                .bytes = plan->kernel_bytes,
                                .workers = plan->workers,
                                .worker = d->worker};
    k->c.host = &k->host;
    k->c.tensors = k->c.integers = 0;
}

/* NULL data: a tensor that this variant does not use. */
static void tensor(call *k, const void *data, int64_t count) {
    k->c.tensor[k->c.tensors].data = data;
    k->c.tensor[k->c.tensors++].count = data ? count : 0;
}

static void integer(call *k, int64_t value) { k->c.integer[k->c.integers++] = value; }

/* Whether all tensors stand where kernels may read whole vectors. Lane arrays always do; packed
 * single lanes of a node with several rows may not. */
static bool aligned(const call *k) {
    for (int i = 0; i < k->c.tensors; i++)
        if ((uintptr_t)k->c.tensor[i].data % 64) return false;
    return true;
}

static bool finish(const call *k, bfi_compiled *kernel) {
    return aligned(k) && bfi_compiled_call(kernel, &k->c);
}

/* A kernel that works in place failed: what it was to read may be gone. */
static void lose(const bfi_dispatch *d) { atomic_store(&d->ws->failed, BF_STATUS_INTERNAL); }

static int64_t panels(int64_t outputs) { return (outputs + BF_PACK - 1) / BF_PACK; }

static const int64_t *shape_of(const bfi_compiled *kernel) { return kernel->kernel.p; }

static bool fits_packed(const bfi_compiled *kernel, const bfi_packed *w) {
    return kernel && shape_of(kernel)[BFI_TVM_M] == w->m && shape_of(kernel)[BFI_TVM_K] == w->k;
}

/* Windows of a layer are convolutions of another shape. */
static bool fits_conv(const bfi_compiled *kernel, const bfi_conv *c) {
    if (!kernel) return false;
    int64_t p[BFI_TVM_PARAMS] = {0};
    bfi_kernel_conv_shape(c, p);
    for (int i = BFI_TVM_GROUPS; i <= BFI_TVM_TRANSPOSED; i++)
        if (shape_of(kernel)[i] != p[i]) return false;
    return true;
}

static bfi_compiled *for_lanes(const bfi_dispatch *d, int64_t ls) {
    return ls == 1 ? d->lowering->kernel_one : d->lowering->kernel;
}

void bfi_run_linear(const bfi_dispatch *d, const bfi_packed *w, int64_t m0, int64_t m1,
                    const void *in, void *out, int64_t ls, int64_t lanes) {
    bfi_compiled *kernel = for_lanes(d, ls);
    if (fits_packed(kernel, w)) {
        call k;
        begin(&k, d);
        tensor(&k, w->data, bfi_packed_size(w->m, w->k));
        tensor(&k, in, w->k * ls), tensor(&k, out, w->m * ls);
        if (ls > 1) integer(&k, ls / BF_LANE_PAD);
        integer(&k, m0 / BF_PACK), integer(&k, panels(m1));
        if (finish(&k, kernel)) return;
    }
    d->kernels->linear(w, m0, m1, in, out, ls, lanes);
}

static void conv_weights(call *k, const bfi_conv *c) {
    tensor(k, c->packed, c->groups * bfi_packed_size(c->c_dst, c->c_src * c->kh * c->kw));
}

static int64_t source_size(const bfi_conv *c) { return c->groups * c->c_src * c->h_src * c->w_src; }

static int64_t destination_size(const bfi_conv *c) {
    return c->groups * c->c_dst * c->h_dst * c->w_dst;
}

void bfi_run_conv(const bfi_dispatch *d, const bfi_conv *c, int64_t y0, int64_t y1, const void *in,
                  void *out, int64_t ls, int64_t lanes) {
    bfi_compiled *kernel = for_lanes(d, ls);
    if (fits_conv(kernel, c)) {
        call k;
        begin(&k, d);
        conv_weights(&k, c);
        tensor(&k, in, source_size(c) * ls), tensor(&k, out, destination_size(c) * ls);
        if (ls > 1) integer(&k, ls / BF_LANE_PAD);
        integer(&k, y0), integer(&k, y1);
        if (finish(&k, kernel)) return;
    }
    d->kernels->conv(c, y0, y1, in, out, ls, lanes);
}

void bfi_run_interval_linear(const bfi_dispatch *d, const bfi_packed *w, int64_t m0, int64_t m1,
                             const void *lo, const void *hi, void *out_lo, void *out_hi,
                             void *out_mag, int64_t ls, int64_t lanes) {
    bfi_compiled *kernel = ls == 1 ? d->lowering->kernel : NULL;
    if (fits_packed(kernel, w)) {
        call k;
        begin(&k, d);
        tensor(&k, w->data, bfi_packed_size(w->m, w->k));
        tensor(&k, lo, w->k), tensor(&k, hi, w->k);
        tensor(&k, out_lo, w->m), tensor(&k, out_hi, w->m), tensor(&k, out_mag, w->m);
        integer(&k, m0 / BF_PACK), integer(&k, panels(m1));
        if (finish(&k, kernel)) return;
    }
    d->kernels->interval_linear(w, m0, m1, lo, hi, out_lo, out_hi, out_mag, ls, lanes);
}

void bfi_run_interval_conv(const bfi_dispatch *d, const bfi_conv *c, int64_t y0, int64_t y1,
                           const void *lo, const void *hi, void *out_lo, void *out_hi,
                           void *out_mag, int64_t ls, int64_t lanes) {
    bfi_compiled *kernel = ls == 1 ? d->lowering->kernel : NULL;
    if (fits_conv(kernel, c)) {
        int64_t n = source_size(c), m = destination_size(c);
        call k;
        begin(&k, d);
        conv_weights(&k, c);
        tensor(&k, lo, n), tensor(&k, hi, n);
        tensor(&k, out_lo, m), tensor(&k, out_hi, m), tensor(&k, out_mag, m);
        integer(&k, y0), integer(&k, y1);
        if (finish(&k, kernel)) return;
    }
    d->kernels->interval_conv(c, y0, y1, lo, hi, out_lo, out_hi, out_mag, ls, lanes);
}

/* The tensors of a relaxation from out or s_pos on; parameters are shared, or one per lane. */
static void relax_tensors(call *k, const bfi_relax *r) {
    int64_t n = r->n * r->ps;
    tensor(k, r->out ? r->s_pos : NULL, n), tensor(k, r->out ? r->s_neg : NULL, n);
    tensor(k, r->t_sum ? r->t_pos : NULL, n), tensor(k, r->t_sum ? r->t_neg : NULL, n);
    tensor(k, r->e_sum ? r->e : NULL, n);
    tensor(k, r->t_sum, r->ls), tensor(k, r->e_sum, r->ls);
}

/* Compiled relaxations know neither windows nor a choice of elements or of lanes, and one stride.
 */
static bool takes_all(const bfi_relax *r) {
    bool all_lanes = r->ls == 1 || r->ls - r->lanes < BF_LANE_PAD;
    return !r->cuts && !r->only && all_lanes && (r->ps_pos == 0 || r->ps_pos == r->ps);
}

void bfi_run_relax(const bfi_dispatch *d, const bfi_relax *r) {
    bfi_compiled *kernel = NULL;
    if (d->lowering->backend == BFI_BACKEND_TVM && takes_all(r)) {
        const bfi_elementwise *all = &d->ws->plan->elementwise;
        int variant = bfi_relax_variant(r->out, r->t_sum, r->e_sum, r->ps == 1);
        kernel = r->ls == 1 ? all->relax_one[variant] : all->relax[variant];
    }
    if (kernel) {
        call k;
        begin(&k, d);
        tensor(&k, r->a, r->n * r->ls), tensor(&k, r->out, r->n * r->ls);
        relax_tensors(&k, r);
        integer(&k, r->n);
        if (r->ls > 1) integer(&k, r->ls / BF_LANE_PAD);
        if (finish(&k, kernel)) return;
        if (r->out == r->a) lose(d);
    }
    d->kernels->relax(r);
}

void bfi_run_accumulate(const bfi_dispatch *d, int64_t n, int sign, const void *in, void *out,
                        int64_t ls, int64_t lanes) {
    bfi_compiled *kernel = NULL;
    if (d->lowering->backend == BFI_BACKEND_TVM)
        kernel = d->ws->plan->elementwise.accumulate[sign < 0];
    if (kernel) {
        call k;
        begin(&k, d);
        tensor(&k, in, n * ls), tensor(&k, out, n * ls);
        integer(&k, n * ls);
        if (finish(&k, kernel)) return;
        lose(d);
    }
    d->kernels->accumulate(n, sign, in, out, ls, lanes);
}

bool bfi_run_linear_relax(const bfi_dispatch *d, const bfi_packed *w, const void *in,
                          const bfi_relax *r, int64_t v0, int64_t v1) {
    bfi_compiled *kernel = d->lowering->fused;
    if (!kernel || !fits_packed(kernel, w) || r->ls == 1 || r->ps != 1 || !takes_all(r))
        return false;
    if (shape_of(kernel)[BFI_TVM_T] != (r->t_sum != NULL) ||
        shape_of(kernel)[BFI_TVM_E] != (r->e_sum != NULL))
        return false;
    call k;
    begin(&k, d);
    tensor(&k, w->data, bfi_packed_size(w->m, w->k));
    tensor(&k, in, w->k * r->ls), tensor(&k, r->out, w->m * r->ls);
    relax_tensors(&k, r);
    integer(&k, r->ls / BF_LANE_PAD), integer(&k, v0), integer(&k, v1);
    return finish(&k, kernel);
}
