#include "plan/pipeline.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/storage.h"

bf_options bf_options_default(void) {
    return (bf_options){.method = BF_METHOD_CROWN,
                        .dtype = BF_DTYPE_FLOAT32,
                        .executor = BF_EXECUTOR_AUTO,
                        .rounding = BF_ROUNDING_OUTWARD,
                        .semantics = BF_SEMANTICS_REAL,
                        .simplify = 1,
                        .partition = 1,
                        .windows = 1,
                        .batch = 1,
                        .iterations = 20,
                        .lr = 0.5,
                        .lr_decay = 0.98,
                        .intermediate = BF_INTERMEDIATE_PER_NEURON};
}

static bf_status check_options(const bf_options *o, bf_error *err) {
    if ((unsigned)o->method > BF_METHOD_ALPHA_CROWN || (unsigned)o->dtype > BF_DTYPE_FLOAT64 ||
        (unsigned)o->executor > BF_EXECUTOR_AUTO || (unsigned)o->rounding > BF_ROUNDING_NEAREST ||
        (unsigned)o->semantics > BF_SEMANTICS_FLOAT32 || o->memory < 0 ||
        (unsigned)o->partition > 1 || (unsigned)o->windows > 1 || o->batch < 1)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "options hold a value outside its range: start from bf_options_default()");
    if (o->method != BF_METHOD_ALPHA_CROWN) return BF_STATUS_OK;
    if (o->iterations < 1 || !(o->lr > 0) || !isfinite(o->lr) || !(o->lr_decay > 0) ||
        o->lr_decay > 1 || (unsigned)o->intermediate > BF_INTERMEDIATE_SHARED)
        return bfi_fail(
            err, BF_STATUS_INVALID_ARGUMENT,
            "alpha-crown needs at least one iteration, lr above 0 and a decay in (0, 1]");
    return BF_STATUS_OK;
}

/* float64 bounds for float32 execution are fine; a float64 model has no float32 execution. */
static bf_status choose_kernels(bf_plan *plan, bf_error *err) {
    bfi_dtype dtype = plan->options.dtype == BF_DTYPE_FLOAT32 ? BFI_F32 : BFI_F64;
    plan->dtype = dtype;
    plan->outward = plan->options.rounding == BF_ROUNDING_OUTWARD;
    bool reference = plan->options.executor == BF_EXECUTOR_REFERENCE;
    plan->kernels =
        reference ? bfi_kernels_ref(dtype) : bfi_kernels_native(dtype, plan->options.isa);
    if (!plan->kernels)
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "isa '%s' is unknown or this CPU cannot run it",
                        plan->options.isa);
    plan->options.isa = plan->kernels->isa;
    if (plan->options.semantics == BF_SEMANTICS_FLOAT32 && plan->graph->is_float64)
        return bfi_fail(err, BF_STATUS_UNSUPPORTED,
                        "%s computes in float64: semantics float32 does not apply to it",
                        plan->graph->source);
    return BF_STATUS_OK;
}

/* Vectors that live at the same time do not overlap, unless one takes over the other's storage. */
static bf_status validate_vectors(const bf_plan *plan, bf_error *err) {
    for (int x = 0; x < plan->vector_count; x++)
        for (int y = 0; y < x; y++) {
            const bfi_vector *a = &plan->vectors[x], *b = &plan->vectors[y];
            bool together = a->first <= b->last && b->first <= a->last;
            bool apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
            bool handed = (a->alias_of == y && a->first == b->last) ||
                          (b->alias_of == x && b->first == a->last);
            if (together && !apart && !handed)
                return bfi_fail(err, BF_STATUS_INTERNAL,
                                "vectors %s of value %d and %s of value %d overlap",
                                bfi_role_name(a->role), a->value, bfi_role_name(b->role), b->value);
        }
    return BF_STATUS_OK;
}

static bf_status validate_programs(const bf_plan *plan, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    for (int i = 0; i < plan->program_count && status == BF_STATUS_OK; i++)
        status = bfi_program_validate(&plan->programs[i], plan->graph, err);
    return status;
}

static bf_status validate_tasks(const bf_plan *plan, bf_error *err) {
    return bfi_task_graph_validate(&plan->tasks, err);
}

static bf_status validate_graph(const bf_plan *plan, bf_error *err) {
    return bfi_graph_validate(plan->graph, err);
}

/* The rewriting passes are skipped where the network is to be run as imported. */
static bool rewrites(const bf_plan *plan) {
    return plan->options.simplify && !plan->options.keep_layers;
}

/* Merged linears tighten intervals, so where textbook values are asked for they are left apart. */
static bf_status simplify(bf_plan *plan, bf_error *err) {
    if (!rewrites(plan)) return BF_STATUS_OK;
    bfi_simplify_options options = bfi_simplify_options_default();
    options.float32_execution = plan->options.semantics == BF_SEMANTICS_FLOAT32;
    options.dtype = plan->dtype;
    options.merge_linears = plan->options.intersect;
    bf_status status =
        bfi_pass_simplify(plan->graph, &options, &plan->rewritten[0], &plan->simplified, err);
    if (status == BF_STATUS_OK) plan->graph = plan->rewritten[0];
    return status;
}

static bf_status permute(bf_plan *plan, bf_error *err) {
    if (!rewrites(plan)) return BF_STATUS_OK;
    bf_status status = bfi_pass_permute(plan->graph, &plan->rewritten[1], &plan->permuted, err);
    if (status == BF_STATUS_OK) plan->graph = plan->rewritten[1];
    return status;
}

static bf_status constants(bf_plan *plan, bf_error *err) {
    return bfi_constants_create(plan->graph, plan->dtype, &plan->constants, err);
}

static bf_status liveness(bf_plan *plan, bf_error *err) {
    (void)err;
    for (int i = 0; i < plan->program_count; i++) bfi_pass_liveness(&plan->programs[i]);
    return BF_STATUS_OK;
}

static bf_status reuse(bf_plan *plan, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    for (int i = 0; i < plan->program_count && status == BF_STATUS_OK; i++)
        status = bfi_pass_reuse(&plan->programs[i], err);
    return status;
}

static bf_status windows(bf_plan *plan, bf_error *err) {
    plan->windows = bfi_calloc((size_t)plan->program_count, sizeof *plan->windows);
    bf_status status = plan->windows ? BF_STATUS_OK : bfi_fail_memory(err);
    if (!plan->options.windows) return status;
    for (int i = 0; i < plan->program_count && status == BF_STATUS_OK; i++)
        status = bfi_windows_find(plan->graph, plan->constants, &plan->programs[i],
                                  &plan->windows[i], err);
    return status;
}

/* The pipeline. |check| is what must hold after a pass: it runs in debug builds, and always after
 * the last pass that touches what it checks, where it costs next to nothing (|always|). */
static const struct pass {
    const char *name;
    bf_status (*run)(bf_plan *plan, bf_error *err);
    bf_status (*check)(const bf_plan *plan, bf_error *err);
    bool always;
} passes[] = {
    {"kernels", choose_kernels, NULL, false},
    {"simplify", simplify, validate_graph, false},
    {"permute", permute, validate_graph, false},
    {"constants", constants, NULL, false},
    {"errors", bfi_pass_errors, NULL, false},
    {"moments", bfi_pass_moments, NULL, false},
    {"partition", bfi_pass_partition, NULL, false},
    {"liveness", liveness, NULL, false},
    {"reuse", reuse, validate_programs, true},
    {"windows", windows, NULL, false},
    {"tasks", bfi_pass_tasks, validate_tasks, true},
    {"splits", bfi_pass_splits, NULL, false},
    {"vectors", bfi_pass_vectors, validate_vectors, false},
    {"lower", bfi_pass_lower, NULL, false},
    {"workspace", bfi_pass_workspace, NULL, false},
};

static bf_status compile(bf_plan *plan, bf_error *err) {
#ifdef NDEBUG
    const bool debug = false;
#else
    const bool debug = true;
#endif
    bf_status status = BF_STATUS_OK;
    for (size_t i = 0; i < sizeof passes / sizeof *passes && status == BF_STATUS_OK; i++) {
        status = passes[i].run(plan, err);
        bool check = passes[i].check && (debug || passes[i].always);
        if (status == BF_STATUS_OK && check) status = passes[i].check(plan, err);
        if (status == BF_STATUS_INTERNAL) bfi_fail_in(err, status, passes[i].name);
    }
    return status;
}

bf_status bf_plan_create(bf_session *session, const bf_model *model, const bf_options *options,
                         bf_plan **out, bf_error *err) {
    bf_status status = check_options(options, err);
    if (status != BF_STATUS_OK) return status;
    bf_plan *plan = bfi_calloc(1, sizeof *plan);
    if (!plan) return bfi_fail_memory(err);
    plan->options = *options;
    plan->session = session;
    plan->model = bfi_model_retain((bf_model *)(uintptr_t)model);
    plan->graph = model->graph;
    status = compile(plan, err);
    if (status != BF_STATUS_OK) {
        bf_plan_free(plan);
        return status;
    }
    *out = plan;
    return BF_STATUS_OK;
}

static void release_kernels(bf_plan *plan) {
    for (int i = 0; plan->lowerings && i < plan->lowering_count; i++) {
        bfi_compiled_release(plan->lowerings[i].kernel);
        bfi_compiled_release(plan->lowerings[i].kernel_one);
        bfi_compiled_release(plan->lowerings[i].fused);
    }
    bfi_elementwise *all = &plan->elementwise;
    for (size_t i = 0; i < sizeof all->relax / sizeof *all->relax; i++) {
        bfi_compiled_release(all->relax[i]);
        bfi_compiled_release(all->relax_one[i]);
    }
    for (int i = 0; i < 2; i++) bfi_compiled_release(all->accumulate[i]);
}

void bf_plan_free(bf_plan *plan) {
    if (!plan) return;
    for (int i = 0; i < plan->program_count; i++) {
        if (plan->windows) bfi_windows_clear(&plan->windows[i]);
        bfi_program_clear(&plan->programs[i]);
    }
    free(plan->windows);
    free(plan->programs);
    bfi_task_graph_clear(&plan->tasks);
    free(plan->vectors);
    release_kernels(plan);
    free(plan->lowerings);
    free(plan->program_lowering);
    free(plan->state);
    free(plan->relu_only);
    free(plan->formed);
    free(plan->curved);
    free(plan->split_values);
    free(plan->errors);
    free(plan->term_gammas);
    free(plan->notes);
    free(atomic_load(&plan->identity));
    bfi_constants_free(plan->constants);
    bfi_permute_report_clear(&plan->permuted);
    bfi_simplify_report_clear(&plan->simplified);
    bfi_graph_free(plan->rewritten[1]);
    bfi_graph_free(plan->rewritten[0]);
    bf_model_free(plan->model);
    free(plan);
}

int64_t bf_plan_workspace_bytes(const bf_plan *plan) { return plan->workspace_bytes; }

int64_t bf_plan_batch(const bf_plan *plan) { return plan->boxes; }

int64_t bf_plan_baseline_bytes(const bf_plan *plan) { return plan->baseline_bytes; }

int64_t bf_plan_constant_bytes(const bf_plan *plan) { return plan->constants->bytes; }

const char *bf_plan_note(const bf_plan *plan, int index) {
    return index >= 0 && index < plan->note_count ? plan->notes[index].text : NULL;
}

bf_status bfi_plan_add_note(bf_plan *plan, bf_error *err, const char *fmt, ...) {
    if (!bfi_grow((void **)&plan->notes, &plan->note_capacity, (size_t)plan->note_count + 1,
                  sizeof *plan->notes))
        return bfi_fail_memory(err);
    va_list args;
    va_start(args, fmt);
    vsnprintf(plan->notes[plan->note_count].text, sizeof plan->notes[0].text, fmt, args);
    va_end(args);
    plan->note_count++;
    return BF_STATUS_OK;
}
