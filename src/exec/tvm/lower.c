#include "exec/tvm/lower.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "exec/tvm/library.h"
#include "plan/cost.h"
#include "plan/plan.h"

void bfi_kernel_conv_shape(const bfi_conv *c, int64_t *p) {
    p[BFI_TVM_GROUPS] = c->groups;
    p[BFI_TVM_C_SRC] = c->c_src, p[BFI_TVM_H_SRC] = c->h_src, p[BFI_TVM_W_SRC] = c->w_src;
    p[BFI_TVM_C_DST] = c->c_dst, p[BFI_TVM_H_DST] = c->h_dst, p[BFI_TVM_W_DST] = c->w_dst;
    p[BFI_TVM_KH] = c->kh, p[BFI_TVM_KW] = c->kw;
    p[BFI_TVM_STRIDE_H] = c->stride_h, p[BFI_TVM_STRIDE_W] = c->stride_w;
    p[BFI_TVM_DIL_H] = c->dil_h, p[BFI_TVM_DIL_W] = c->dil_w;
    p[BFI_TVM_PAD_TOP] = c->pad_top, p[BFI_TVM_PAD_LEFT] = c->pad_left;
    p[BFI_TVM_TRANSPOSED] = c->transposed;
}

bool bfi_kernel_target(const char *isa, bfi_tvm_target *target) {
    const char *level = !strcmp(isa, "avx512") ? "x86-64-v4"
                        : !strcmp(isa, "avx2") ? "x86-64-v3"
                                               : NULL;
    return level && bfi_tvm_target_from_cpu(level, target, NULL) == BF_STATUS_OK;
}

/* Where a kernel goes: a lowering's pointer, or a place in the plan's elementwise ones. */
typedef struct want {
    int lowering; /* that cannot do without it */
    int request;
    bfi_compiled **place;
} want;

typedef struct wants {
    bf_plan *plan;
    bfi_library *library;
    bfi_tvm_target target;
    bool only_faster;
    want *items;
    int count;
    size_t capacity;
    bfi_kernel_request *requests;
    int request_count;
    size_t request_capacity;
    bf_status status;
    bf_error *err;
} wants;

static int request_of(wants *w, const bfi_tvm_kernel *kernel) {
    for (int i = 0; i < w->request_count; i++)
        if (memcmp(&w->requests[i].kernel, kernel, sizeof *kernel) == 0) return i;
    if (!bfi_grow((void **)&w->requests, &w->request_capacity, (size_t)w->request_count + 1,
                  sizeof *w->requests))
        return -1;
    w->requests[w->request_count] = (bfi_kernel_request){.target = w->target};
    memcpy(&w->requests[w->request_count].kernel, kernel, sizeof *kernel);
    return w->request_count++;
}

static void add(wants *w, int lowering, bfi_tvm_kernel *kernel, bfi_compiled **place) {
    kernel->dtype = w->plan->dtype;
    bfi_tvm_kernel_schedule(kernel, &w->target);
    if (w->status != BF_STATUS_OK) return;
    int request = request_of(w, kernel);
    if (request < 0 ||
        !bfi_grow((void **)&w->items, &w->capacity, (size_t)w->count + 1, sizeof *w->items))
        w->status = bfi_fail_memory(w->err);
    else
        w->items[w->count++] = (want){lowering, request, place};
}

/* A kernel of no shape yet, its padding zeroed: requests are compared as bytes. */
static bfi_tvm_kernel *blank(bfi_tvm_kernel *kernel, bfi_tvm_op op) {
    memset(kernel, 0, sizeof *kernel);
    kernel->op = op;
    return kernel;
}

static void want_packed(wants *w, int lowering, bfi_tvm_op op, const bfi_packed *packed,
                        bfi_compiled **place) {
    bfi_tvm_kernel k;
    blank(&k, op);
    k.p[BFI_TVM_M] = packed->m, k.p[BFI_TVM_K] = packed->k;
    if (op == BFI_TVM_OP_INTERVAL_LINEAR) k.p[BFI_TVM_BATCH] = 1;
    add(w, lowering, &k, place);
}

static void want_conv(wants *w, int lowering, bfi_tvm_op op, const bfi_conv *conv,
                      bfi_compiled **place) {
    bfi_tvm_kernel k;
    blank(&k, op);
    bfi_kernel_conv_shape(conv, k.p);
    if (op == BFI_TVM_OP_INTERVAL_CONV) k.p[BFI_TVM_BATCH] = 1;
    add(w, lowering, &k, place);
}

static void want_relax(wants *w, int lowering, int variant) {
    bfi_elementwise *all = &w->plan->elementwise;
    bool shared = variant & 8;
    bfi_tvm_kernel k;
    for (int one = 0; one < (shared ? 2 : 1); one++) {
        blank(&k, one ? BFI_TVM_OP_RELAX_ONE : BFI_TVM_OP_RELAX);
        k.p[BFI_TVM_SCALE] = variant & 1, k.p[BFI_TVM_T] = variant >> 1 & 1;
        k.p[BFI_TVM_E] = variant >> 2 & 1;
        if (!one) k.p[BFI_TVM_SHARED] = shared;
        add(w, lowering, &k, one ? &all->relax_one[variant] : &all->relax[variant]);
    }
}

/* The variants of a step that scales, and sums constants and errors (exec/tile.c): the parts whose
 * parameters differ between lanes are run apart. */
static void want_step(wants *w, int lowering, bool out, bool t, bool e) {
    int what = bfi_relax_variant(out, t, e, false);
    if (what) want_relax(w, lowering, what | 8);
    if (!what || !w->plan->spreads) return;
    want_relax(w, lowering, what);
    if (e && what != 4) want_relax(w, lowering, 4);
    if (e && what != 4) want_relax(w, lowering, (what & ~4) | 8);
}

static void want_accumulate(wants *w, int lowering, bool minus) {
    bfi_tvm_kernel k;
    blank(&k, BFI_TVM_OP_ACCUMULATE);
    k.p[BFI_TVM_MINUS] = minus;
    add(w, lowering, &k, &w->plan->elementwise.accumulate[minus]);
}

static bool has_errors(const bf_plan *plan, int node) {
    return plan->outward && plan->state[node].e >= 0;
}

static void want_fused(wants *w, int lowering, const bfi_packed *packed, bool e) {
    bfi_tvm_kernel k;
    blank(&k, BFI_TVM_OP_LINEAR_RELAX);
    k.p[BFI_TVM_M] = packed->m, k.p[BFI_TVM_K] = packed->k;
    k.p[BFI_TVM_T] = 1, k.p[BFI_TVM_E] = e;
    add(w, lowering, &k, &w->plan->lowerings[lowering].fused);
}

static void want_back(wants *w, int i, const bfi_back_op *op) {
    const bf_plan *plan = w->plan;
    const bfi_node_constants *c = &plan->constants->nodes[op->node];
    bfi_lowering *l = &w->plan->lowerings[i];
    bool e = has_errors(plan, op->node);
    switch (op->kind) {
        case BFI_BACK_LINEAR:
            want_packed(w, i, BFI_TVM_OP_LINEAR, &c->backward, &l->kernel);
            want_packed(w, i, BFI_TVM_OP_LINEAR_ONE, &c->backward, &l->kernel_one);
            want_step(w, i, false, c->bias, e);
            if (l->fuses) want_fused(w, i, &c->backward, has_errors(plan, op[1].node));
            break;
        case BFI_BACK_CONV:
            want_conv(w, i, BFI_TVM_OP_CONV, &c->conv_backward, &l->kernel);
            want_conv(w, i, BFI_TVM_OP_CONV_ONE, &c->conv_backward, &l->kernel_one);
            want_step(w, i, false, c->bias, e);
            break;
        case BFI_BACK_SCALE:
            want_step(w, i, op->out >= 0, c->bias, e);
            break;
        case BFI_BACK_PASS:
            want_step(w, i, false, false, e);
            break;
        case BFI_BACK_RELAX:
            want_step(w, i, true, true, e);
            break;
        case BFI_BACK_BOX:
        case BFI_BACK_TRY:
            want_step(w, i, false, true, plan->outward);
            break;
        case BFI_BACK_ACCUMULATE:
            want_accumulate(w, i, false);
            want_step(w, i, false, false, plan->outward && plan->state[op->node].e_sum >= 0);
            break;
        case BFI_BACK_NEGATE:
            want_accumulate(w, i, true);
            break;
        default:
            assert(false && "an op without TVM kernels was lowered to them");
    }
}

static void want_forward(wants *w, int i, int node) {
    const bfi_node_constants *c = &w->plan->constants->nodes[node];
    bfi_lowering *l = &w->plan->lowerings[i];
    if (w->plan->graph->nodes[node].op == BFI_OP_LINEAR)
        want_packed(w, i, BFI_TVM_OP_INTERVAL_LINEAR, &c->forward, &l->kernel);
    else
        want_conv(w, i, BFI_TVM_OP_INTERVAL_CONV, &c->conv_forward, &l->kernel);
}

/* Multiply-adds per lane of |kernel| (elements of a relaxation of |n|). */
static double work_of(const bfi_tvm_kernel *kernel, int64_t n) {
    const int64_t *p = kernel->p;
    if (p[BFI_TVM_M]) return (double)p[BFI_TVM_M] * (double)p[BFI_TVM_K];
    if (!p[BFI_TVM_GROUPS]) return (double)n;
    double work = (double)(p[BFI_TVM_GROUPS] * p[BFI_TVM_C_DST] * p[BFI_TVM_H_DST]) *
                  (double)(p[BFI_TVM_W_DST] * p[BFI_TVM_C_SRC] * p[BFI_TVM_KH] * p[BFI_TVM_KW]);
    return p[BFI_TVM_TRANSPOSED] ? work / (double)(p[BFI_TVM_STRIDE_H] * p[BFI_TVM_STRIDE_W])
                                 : work;
}

/* Whether the kernel |request| of lowering |l| is faster than the table's: as measured on this
 * machine, else by cost.def. */
static bool is_faster(wants *w, const bfi_lowering *l, const bfi_kernel_request *request) {
    const bfi_tvm_kernel *k = &request->kernel;
    bfi_timing t;
    bf_status status = bfi_library_measured(w->library, k, &w->target, &t, w->err);
    if (status != BF_STATUS_OK) w->status = status;
    if (t.compiled_s > 0) return bfi_cost_lead(t.native_s, t.compiled_s);
    bfi_cost_query query = {.kernel = bfi_tvm_op_row(k->op)->name,
                            .dtype = k->dtype,
                            .isa = w->plan->kernels->isa,
                            .strided = k->p[BFI_TVM_STRIDE_H] > 1 || k->p[BFI_TVM_STRIDE_W] > 1,
                            .work = work_of(k, w->plan->graph->nodes[l->node].count)};
    return bfi_cost_compiled_wins(&query);
}

/* A product leaves its bias and error behind by a relaxation: the kernel table's where that is
 * faster. */
static void drop_slower_extras(wants *w, const bfi_lowering *l, int first) {
    const bfi_elementwise *all = &w->plan->elementwise;
    int kept = first;
    for (int i = first; i < w->count; i++) {
        const want *item = &w->items[i];
        bool extra = item->place >= (bfi_compiled *const *)all &&
                     item->place < (bfi_compiled *const *)(all + 1);
        if (!extra || is_faster(w, l, &w->requests[item->request])) w->items[kept++] = *item;
    }
    w->count = kept;
}

/* Of the kernels that lowering |i| wants, which begin at |first|: takes them all back when the one
 * that does the work is not faster. */
static void keep_faster(wants *w, int i, int first) {
    bfi_lowering *l = &w->plan->lowerings[i];
    int main = first;
    for (int k = first; k < w->count; k++)
        if (w->items[k].place == &l->fused) main = k;
    if (w->status != BF_STATUS_OK || first == w->count) return;
    if (is_faster(w, l, &w->requests[w->items[main].request])) {
        drop_slower_extras(w, l, first);
        return;
    }
    w->count = first;
    snprintf(l->why, sizeof l->why, "the kernel table's is as fast");
}

static void collect(wants *w) {
    const bf_plan *plan = w->plan;
    for (int i = 0; i < plan->lowering_count && w->status == BF_STATUS_OK; i++) {
        const bfi_lowering *l = &plan->lowerings[i];
        int first = w->count;
        if (l->backend != BFI_BACKEND_TVM) continue;
        if (l->program < 0)
            want_forward(w, i, l->node);
        else
            want_back(w, i,
                      &plan->programs[l->program].ops[i - plan->program_lowering[l->program]]);
        if (w->only_faster) keep_faster(w, i, first);
    }
    int needed = 0; /* requests that nobody wants any more are not asked for */
    for (int i = 0; i < w->count; i++)
        if (w->items[i].request >= needed) needed = w->items[i].request + 1;
    w->request_count = needed;
}

/* Lowerings whose kernels are all there get them; the others say what is missing. */
static void hand_over(wants *w) {
    bfi_lowering *lowerings = w->plan->lowerings;
    for (int i = 0; i < w->count; i++) {
        const want *item = &w->items[i];
        const bfi_kernel_request *r = &w->requests[item->request];
        bfi_lowering *l = &lowerings[item->lowering];
        if (!r->compiled && !*l->why) snprintf(l->why, sizeof l->why, "%s", r->reason);
    }
    for (int i = 0; i < w->count; i++) {
        const want *item = &w->items[i];
        const bfi_kernel_request *r = &w->requests[item->request];
        bfi_lowering *l = &lowerings[item->lowering];
        if (*l->why) continue;
        if (!*l->key) bfi_tvm_kernel_print(&r->kernel, l->key, sizeof l->key);
        if (item->place == &l->fused) bfi_tvm_kernel_print(&r->kernel, l->key, sizeof l->key);
        l->origin = l->origin && r->origin == BFI_ORIGIN_STORED ? l->origin
                    : r->origin == BFI_ORIGIN_COMPILED          ? "compiled"
                                                                : "stored";
        if (!*item->place) *item->place = bfi_compiled_retain(r->compiled);
        int64_t bytes = (bfi_tvm_kernel_workspace(&r->kernel) + 63) / 64 * 64;
        if (bytes > w->plan->kernel_bytes) w->plan->kernel_bytes = bytes;
    }
}

static void say_of_all(bf_plan *plan, const char *why) {
    for (int i = 0; i < plan->lowering_count; i++)
        if (plan->lowerings[i].backend == BFI_BACKEND_TVM)
            snprintf(plan->lowerings[i].why, sizeof plan->lowerings[i].why, "%s", why);
}

bf_status bfi_compiler_lower(bf_plan *plan, bool only_faster, bf_error *err) {
    bfi_library *library = bfi_session_library(plan->session);
    wants w = {.plan = plan, .library = library, .only_faster = only_faster, .err = err};
    if (!bfi_kernel_target(plan->kernels->isa, &w.target)) {
        say_of_all(plan, "TVM kernels need AVX2 or AVX-512");
        return BF_STATUS_OK;
    }
    collect(&w);
    if (w.status == BF_STATUS_OK && w.request_count)
        w.status = bfi_library_get(library, w.requests, w.request_count, !only_faster,
                                   plan->options.deadline, err);
    if (w.status == BF_STATUS_OK) hand_over(&w);
    plan->kernel_pool = bfi_library_pool(library);
    for (int i = 0; i < w.request_count; i++) bfi_compiled_release(w.requests[i].compiled);
    free(w.requests);
    free(w.items);
    return w.status;
}

bool bfi_compiler_strict(const bf_session *session) {
    return bfi_library_strict(bfi_session_library(session));
}
