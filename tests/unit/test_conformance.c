/* One suite for all executors: the same plan gives the same bits on the reference and the native
 * executor with every instruction set, any number of threads, lanes and any memory budget. */
#include "bounds_kit.h"
#include "kernels/kernel.h"
#include "op_cases.h"

enum { MAX_ROWS = 33 };

/* Everything one run gives: outputs, spec rows, all layers. */
typedef struct outcome {
    double *numbers;
    int64_t count;
} outcome;

static outcome run(const bf_model *model, bf_options o, int threads, const double *lo,
                   const double *hi, const double *spec, int64_t rows) {
    int64_t outputs = bf_model_output_count(model), total = 2 * outputs + 2 * rows;
    for (int i = 0; i < bf_model_layer_count(model); i++)
        total += 2 * bf_model_layer(model, i).count;
    outcome out = {calloc((size_t)total, sizeof(double)), total};
    double *p = out.numbers;
    kit_engine e = kit_engine_new(threads, model, o);
    kit_bounds(&e, lo, hi, NULL, 0, p, p + outputs);
    p += 2 * outputs;
    kit_bounds(&e, lo, hi, spec, rows, p, p + rows); /* the same workspace again */
    p += 2 * rows;
    kit_engine_free(&e);
    o.keep_layers = 1, o.memory = 0;
    e = kit_engine_new(threads, model, o);
    double *again = calloc((size_t)(2 * outputs), sizeof *again);
    kit_bounds(&e, lo, hi, NULL, 0, again, again + outputs);
    for (int64_t i = 0; i < 2 * outputs && !o.simplify; i++)
        assert_true(again[i] == out.numbers[i]); /* whether storage is reused or not */
    free(again);
    for (int i = 0; i < bf_model_layer_count(model); i++) {
        int64_t n = bf_model_layer(model, i).count;
        assert_true(bf_workspace_layer(e.plan, e.ws, i, p, p + n));
        p += 2 * n;
    }
    kit_engine_free(&e);
    return out;
}

static void expect_same(const outcome *want, outcome got, const char *name, int variant,
                        bf_options o, const char *what) {
    char setting[80];
    for (int64_t i = 0; i < want->count; i++) {
        assert_true(got.numbers[i] == got.numbers[i]);
        if (got.numbers[i] != want->numbers[i])
            fail_msg("%s %d, %s, %s: number %d is %a, reference %a", name, variant,
                     kit_setting_name(o, setting, sizeof setting), what, (int)i, got.numbers[i],
                     want->numbers[i]);
    }
    free(got.numbers);
}

/* The least memory the plan can do with, from the message of a plan that may use one byte. */
static int64_t least_memory(const bf_model *model, bf_options o, int threads) {
    bf_plan *plan = NULL;
    bf_error err = {""};
    o.memory = 1;
    assert_int_equal(bf_plan_create(kit_session(threads), model, &o, &plan, &err), BF_STATUS_LIMIT);
    const char *number = strstr(err.message, "at least ");
    assert_non_null(number);
    return strtoll(number + strlen("at least "), NULL, 10);
}

typedef struct problem {
    const char *name;
    int variant;
    bf_model *model;
    double *lo, *hi, *spec;
} problem;

static void conform(const problem *p, bf_options o, int64_t rows) {
    bf_options reference = o;
    reference.executor = BF_EXECUTOR_REFERENCE;
    reference.partition = 0;
    reference.windows = 0;
    outcome want = run(p->model, reference, 1, p->lo, p->hi, p->spec, rows);
    static const char *const isas[] = {"ref", "avx2", "avx512", NULL};
    o.executor = BF_EXECUTOR_NATIVE;
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        o.isa = isas[i];
        if (isas[i] &&
            !bfi_kernels_native(o.dtype == BF_DTYPE_FLOAT32 ? BFI_F32 : BFI_F64, isas[i]))
            continue;
        expect_same(&want, run(p->model, o, 1, p->lo, p->hi, p->spec, rows), p->name, p->variant, o,
                    isas[i] ? isas[i] : "default");
    }
    for (int threads = 2; threads <= 5; threads += 3)
        expect_same(&want, run(p->model, o, threads, p->lo, p->hi, p->spec, rows), p->name,
                    p->variant, o, "threads");
    o.memory = least_memory(p->model, o, 2);
    expect_same(&want, run(p->model, o, 2, p->lo, p->hi, p->spec, rows), p->name, p->variant, o,
                "least memory");
    free(want.numbers);
}

static problem pose(const char *name, int variant, bfi_graph *graph) {
    problem p = {name, variant, net_model(graph), NULL, NULL, NULL};
    int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
    p.lo = calloc((size_t)n, sizeof(double)), p.hi = calloc((size_t)n, sizeof(double));
    p.spec = calloc((size_t)(MAX_ROWS * m), sizeof(double));
    net_box(NET_PLAIN, n, p.lo, p.hi);
    for (int64_t i = 0; i < MAX_ROWS * m; i++) p.spec[i] = net_uniform();
    return p;
}

static void clear_problem(problem *p) {
    free(p->lo), free(p->hi), free(p->spec);
    bf_model_free(p->model);
}

static void every_op(void **state) {
    (void)state;
    int64_t rows = 0;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++)
        for (int v = 0; v < op_cases[c].variants; v++) {
            problem p = pose(op_cases[c].name, v, op_cases[c].build(v));
            for (int setting = 0; setting < KIT_TYPED; setting++) {
                if ((setting + v) % KIT_SAMPLE) continue;
                bf_options o = kit_setting(setting);
                o.intersect = setting % 2;
                o.all_neurons = v % 2;
                o.simplify = (v + setting) % 2;
                o.rounding = v % 3 == 2 ? BF_ROUNDING_NEAREST : BF_ROUNDING_OUTWARD;
                o.semantics = v % 4 == 3 ? BF_SEMANTICS_FLOAT32 : BF_SEMANTICS_REAL;
                conform(&p, o, rows++ % MAX_ROWS + 1);
            }
            clear_problem(&p);
        }
}

/* A row's bounds do not depend on the rows beside it. */
static void rows_are_independent(void **state) {
    (void)state;
    problem p = pose("rows", 0, case_conv(1));
    int64_t m = bf_model_output_count(p.model);
    for (int setting = 0; setting<KIT_TYPED; setting += KIT_SAMPLE> 1 ? 3 : 1) {
        double lower[MAX_ROWS], upper[MAX_ROWS], one_lower, one_upper;
        kit_engine e = kit_engine_new(1, p.model, kit_setting(setting));
        for (int64_t rows = 1; rows <= MAX_ROWS; rows++) {
            kit_bounds(&e, p.lo, p.hi, p.spec, rows, lower, upper);
            for (int64_t r = 0; r < rows; r++) {
                kit_bounds(&e, p.lo, p.hi, p.spec + r * m, 1, &one_lower, &one_upper);
                assert_true(one_lower == lower[r] && one_upper == upper[r]);
            }
            bf_request only_lower = {
                .lo = p.lo, .hi = p.hi, .spec = p.spec, .rows = rows, .lower = lower};
            bf_request only_upper = {
                .lo = p.lo, .hi = p.hi, .spec = p.spec, .rows = rows, .upper = upper};
            assert_int_equal(bf_bounds_run(e.plan, e.ws, &only_lower, NULL), BF_STATUS_OK);
            assert_int_equal(bf_bounds_run(e.plan, e.ws, &only_upper, NULL), BF_STATUS_OK);
            assert_true(one_lower == lower[rows - 1] && one_upper == upper[rows - 1]);
        }
        kit_engine_free(&e);
    }
    clear_problem(&p);
}

/* Several tiles and work enough that threads take part. */
static void large(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 3, 9, 9));
    int a = net_window(graph, NET_PLAIN, BFI_OP_CONV, 0, (net_geometry){6, 3, 3, 1, 1, 1, 1, 1, 1});
    a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_window(graph, NET_PLAIN, BFI_OP_CONV, a, (net_geometry){7, 3, 3, 2, 2, 1, 1, 1, 1});
    a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = a;
    problem p = pose("large", 0, case_finish(graph, 9));
    conform(&p, bf_options_default(), MAX_ROWS);
    bf_options o = bf_options_default();
    o.dtype = BF_DTYPE_FLOAT64;
    o.intersect = o.all_neurons = 1;
    conform(&p, o, 10);
    clear_problem(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op),
                                       cmocka_unit_test(rows_are_independent),
                                       cmocka_unit_test(large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
