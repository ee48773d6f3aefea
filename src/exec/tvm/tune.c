/* Measuring compiled kernels beside the kernel table's, on the shapes of a plan. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "exec/dispatch.h"
#include "exec/tvm/library.h"
#include "exec/tvm/lower.h"
#include "plan/cost.h"

/* Calls of each side: at least so many, and until so many seconds went by. */
enum { FEWEST = 5, MOST = 2000 };
#define SECONDS 0.02

/* One kernel under measurement, and arrays as large as any of the plan's needs. */
typedef struct trial {
    const bf_plan *plan;
    bfi_lowering sides[2]; /* the kernel table's; compiled */
    bf_workspace *ws;
    int node;
    bfi_tvm_op op;
    int variant; /* of a relaxation */
    char *in, *out, *parameters;
    int64_t elements, lanes; /* per array; of a tile */
} trial;

static int64_t largest_value(const bf_plan *plan) {
    int64_t most = 1;
    for (int i = 0; i < plan->graph->count; i++)
        if (plan->graph->nodes[i].count > most) most = plan->graph->nodes[i].count;
    return bfi_align64(most);
}

/* Numbers in [-0.5, 0.5). */
static char *numbers(bfi_dtype dtype, int64_t n) {
    char *array = bfi_alloc_aligned((size_t)n * bfi_dtype_size(dtype));
    uint32_t state = 1;
    for (int64_t i = 0; array && i < n; i++) {
        state = state * 1664525u + 1013904223u;
        bfi_store(dtype, array, i, (double)(state >> 8) * 0x1p-24 - 0.5);
    }
    return array;
}

/* Part |index| of the parameters: vectors of a relaxation, ends and sums of an interval. */
static void *part(const trial *t, int index) {
    return t->parameters + (size_t)(index * t->elements) * bfi_dtype_size(t->plan->dtype);
}

static bfi_relax relaxation(const trial *t, int64_t n, void *a) {
    bool t_sum = t->variant & 2, e_sum = t->variant & 4;
    return (bfi_relax){.n = n,
                       .ls = t->lanes,
                       .lanes = t->lanes,
                       .ps = 1,
                       .a = a,
                       .out = t->variant & 1 ? t->out : NULL,
                       .s_pos = part(t, 0),
                       .s_neg = part(t, 1),
                       .t_pos = part(t, 2),
                       .t_neg = part(t, 3),
                       .e = part(t, 4),
                       .t_sum = t_sum ? part(t, 5) : NULL,
                       .e_sum = e_sum ? part(t, 6) : NULL};
}

static void call(const trial *t, int side) {
    const bfi_node_constants *c = &t->plan->constants->nodes[t->node];
    bfi_dispatch d = bfi_dispatch_of(&t->sides[side], t->ws, 0);
    bfi_relax r = relaxation(t, c->backward.m, t->out);
    switch (t->op) {
        case BFI_TVM_OP_LINEAR:
            bfi_run_linear(&d, &c->backward, 0, c->backward.m, t->in, t->out, t->lanes, t->lanes);
            break;
        case BFI_TVM_OP_LINEAR_RELAX:
            if (bfi_run_linear_relax(&d, &c->backward, t->in, &r, 0, t->lanes / BF_LANE_PAD)) break;
            bfi_run_linear(&d, &c->backward, 0, c->backward.m, t->in, t->out, t->lanes, t->lanes);
            bfi_run_relax(&d, &r);
            break;
        case BFI_TVM_OP_CONV:
            bfi_run_conv(&d, &c->conv_backward, 0, c->conv_backward.h_dst, t->in, t->out, t->lanes,
                         t->lanes);
            break;
        case BFI_TVM_OP_INTERVAL_LINEAR:
            bfi_run_interval_linear(&d, &c->forward, 0, c->forward.m, part(t, 0), part(t, 1),
                                    part(t, 2), part(t, 3), part(t, 4), 1, 1);
            break;
        case BFI_TVM_OP_INTERVAL_CONV:
            bfi_run_interval_conv(&d, &c->conv_forward, 0, c->conv_forward.h_dst, part(t, 0),
                                  part(t, 1), part(t, 2), part(t, 3), part(t, 4), 1, 1);
            break;
        default:
            r = relaxation(t, t->elements, t->in);
            bfi_run_relax(&d, &r);
    }
}

/* Fastest call of each side, taking turns. */
static bfi_timing measure(const trial *t) {
    double best[2] = {1e9, 1e9}, spent = 0;
    for (int n = 0; n < MOST && (n < FEWEST || spent < 2 * SECONDS); n++)
        for (int side = 0; side < 2; side++) {
            double begin = bf_clock();
            call(t, side);
            double took = bf_clock() - begin;
            spent += took;
            if (took < best[side]) best[side] = took;
        }
    return (bfi_timing){best[0], best[1]};
}

typedef struct results {
    bf_tune_result *items;
    bfi_measure *measures;
    int count;
    size_t capacity, measure_capacity;
} results;

/* Measures |kernel|, once. */
static bf_status add(results *r, trial *t, const bfi_compiled *compiled, bf_error *err) {
    bf_tune_result result = {.native_s = 0};
    bfi_tvm_target target;
    char key[BFI_TVM_KEY_SIZE];
    bool known = bfi_kernel_target(t->plan->kernels->isa, &target) &&
                 bfi_tvm_kernel_print(&compiled->kernel, result.kernel, sizeof result.kernel) &&
                 bfi_tvm_key_print(&compiled->kernel, &target, key, sizeof key);
    for (int i = 0; i < r->count; i++) known = known && strcmp(r->measures[i].key, key) != 0;
    if (!known) return BF_STATUS_OK;
    size_t need = (size_t)r->count + 1;
    if (!bfi_grow((void **)&r->items, &r->capacity, need, sizeof *r->items) ||
        !bfi_grow((void **)&r->measures, &r->measure_capacity, need, sizeof *r->measures))
        return bfi_fail_memory(err);
    char *copy = bfi_strdup(key);
    if (!copy) return bfi_fail_memory(err);
    t->op = compiled->kernel.op;
    bfi_timing timing = measure(t);
    result.native_s = timing.native_s, result.compiled_s = timing.compiled_s;
    result.compiled_wins = bfi_cost_lead(timing.native_s, timing.compiled_s);
    r->measures[r->count] = (bfi_measure){copy, timing.native_s, timing.compiled_s};
    r->items[r->count++] = result;
    return BF_STATUS_OK;
}

/* The kernels of one lowering that do work which depends on its shape. */
static bf_status add_lowering(results *r, trial *t, const bfi_lowering *l, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    t->node = l->node;
    t->sides[1] = *l;
    t->sides[0] = *l;
    t->sides[0].backend = BFI_BACKEND_NATIVE;
    t->sides[0].kernel = t->sides[0].kernel_one = t->sides[0].fused = NULL;
    if (l->kernel) status = add(r, t, l->kernel, err);
    t->variant = bfi_relax_variant(true, true, t->plan->outward, true);
    if (l->fused && status == BF_STATUS_OK) status = add(r, t, l->fused, err);
    return status;
}

static bf_status add_all(results *r, trial *t, bf_error *err) {
    const bf_plan *plan = t->plan;
    bf_status status = BF_STATUS_OK;
    const bfi_lowering *any = NULL;
    for (int i = 0; i < plan->lowering_count && status == BF_STATUS_OK; i++) {
        const bfi_lowering *l = &plan->lowerings[i];
        if (l->backend != BFI_BACKEND_TVM) continue;
        any = l;
        status = add_lowering(r, t, l, err);
        if (status == BF_STATUS_OK && bfi_ws_stopped(t->ws))
            status = bfi_fail(err, BF_STATUS_CANCELLED, "stopped on request");
    }
    for (int v = 8; v < 16 && any && status == BF_STATUS_OK; v++) {
        t->variant = v;
        t->sides[1].backend = BFI_BACKEND_TVM;
        if (plan->elementwise.relax[v]) status = add(r, t, plan->elementwise.relax[v], err);
    }
    return status;
}

static bf_status run_trials(const bf_plan *plan, bf_workspace *ws, const atomic_int *stop,
                            results *r, bf_error *err) {
    trial t = {.plan = plan,
               .ws = ws,
               .elements = largest_value(plan),
               .lanes = plan->tile_lanes < BFI_WIDEST_TILE ? plan->tile_lanes : BFI_WIDEST_TILE};
    ws->budget = (bfi_budget){plan->options.deadline, stop};
    atomic_store(&ws->failed, BF_STATUS_OK);
    t.in = numbers(plan->dtype, t.elements * t.lanes);
    t.out = numbers(plan->dtype, t.elements * t.lanes);
    t.parameters = numbers(plan->dtype, 7 * t.elements);
    bf_status status = t.in && t.out && t.parameters ? add_all(r, &t, err) : bfi_fail_memory(err);
    free(t.in);
    free(t.out);
    free(t.parameters);
    return status;
}

/* Why the first op that could have had a kernel has none. */
static const char *fallback(const bf_plan *plan) {
    for (int i = 0; i < plan->lowering_count; i++)
        if (*plan->lowerings[i].why) return plan->lowerings[i].why;
    return "no op of this network has one";
}

bf_status bf_tune(bf_session *session, const bf_model *model, const bf_options *options,
                  bf_tune_result **out, int *count, bf_error *err) {
    bf_options o = *options;
    bf_plan *plan = NULL;
    bf_workspace *ws = NULL;
    results r = {0};
    o.executor = BF_EXECUTOR_TVM;
    bfi_library *library = bfi_session_library(session);
    bf_status status = bf_plan_create(session, model, &o, &plan, err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(plan, &ws, err);
    if (status == BF_STATUS_OK) status = run_trials(plan, ws, bfi_library_stop(library), &r, err);
    if (status == BF_STATUS_OK && r.count == 0)
        status = bfi_fail(err, BF_STATUS_UNSUPPORTED, "there is no kernel to measure: %s",
                          fallback(plan));
    if (status == BF_STATUS_OK) status = bfi_library_record(library, r.measures, r.count, err);
    for (int i = 0; i < r.count; i++) free(r.measures[i].key);
    free(r.measures);
    bf_workspace_free(ws);
    bf_plan_free(plan);
    if (status != BF_STATUS_OK) {
        free(r.items);
        return status;
    }
    *out = r.items, *count = r.count;
    return BF_STATUS_OK;
}
