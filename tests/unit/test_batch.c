/* Many boxes in one run: every box gets what it would get alone, bit for bit, whatever is in flight
 * beside it. */
#include "bounds_kit.h"
#include "kernels/kernel.h"
#include "op_cases.h"

enum { MOST_BOXES = 9, MOST_ROWS = 7 };

/* Boxes of one network, and specs: one for all, or one per box. */
typedef struct problem {
    const char *name;
    int variant;
    bf_model *model;
    int64_t inputs, outputs, boxes, rows;
    double *lo, *hi, *spec;
    int per_box;
} problem;

static problem pose(const char *name, int variant, bfi_graph *graph) {
    problem p = {.name = name, .variant = variant, .model = net_model(graph)};
    p.inputs = graph->nodes[0].count, p.outputs = graph->nodes[graph->output].count;
    p.boxes = kit_int(1, MOST_BOXES), p.rows = kit_int(1, MOST_ROWS);
    p.per_box = (int)kit_int(0, 1);
    size_t numbers = (size_t)(p.boxes * p.inputs);
    p.lo = calloc(numbers, sizeof(double)), p.hi = calloc(numbers, sizeof(double));
    p.spec = calloc((size_t)(p.boxes * p.rows * p.outputs), sizeof(double));
    for (int64_t b = 0; b < p.boxes; b++)
        net_box(NET_PLAIN, p.inputs, p.lo + b * p.inputs, p.hi + b * p.inputs);
    for (int64_t i = 0; i < p.boxes * p.rows * p.outputs; i++) p.spec[i] = net_uniform();
    return p;
}

static void clear(problem *p) {
    free(p->lo), free(p->hi), free(p->spec);
    bf_model_free(p->model);
}

/* Results of spec rows, then of the outputs, for all boxes. */
typedef struct results {
    int64_t rows, outputs; /* of all boxes together */
    double *numbers;       /* lower, upper, error of the rows; lower, upper of the outputs */
} results;

static results results_new(const problem *p) {
    results r = {p->boxes * p->rows, p->boxes * p->outputs, NULL};
    r.numbers = calloc((size_t)(3 * r.rows + 2 * r.outputs), sizeof(double));
    return r;
}

static bf_request request_of(const problem *p, const results *r, int64_t box, int64_t boxes,
                             bool outputs) {
    int64_t rows = box * p->rows;
    double *at = r->numbers + 3 * r->rows + box * p->outputs;
    bf_request q = {.lo = p->lo + box * p->inputs, .hi = p->hi + box * p->inputs, .boxes = boxes};
    if (outputs) {
        q.lower = at, q.upper = at + r->outputs;
        return q;
    }
    q.spec = p->spec + (p->per_box ? rows * p->outputs : 0);
    q.spec_per_box = p->per_box, q.rows = p->rows;
    q.lower = r->numbers + rows, q.upper = q.lower + r->rows, q.lower_error = q.upper + r->rows;
    return q;
}

static void run(const kit_engine *e, const problem *p, const results *r, int64_t box,
                int64_t boxes) {
    bf_error err = {""};
    for (int outputs = 0; outputs < 2; outputs++) {
        bf_request q = request_of(p, r, box, boxes, outputs);
        if (bf_bounds_run(e->plan, e->ws, &q, &err)) fail_msg("%s", err.message);
    }
}

static results one_by_one(const problem *p, bf_options o) {
    results r = results_new(p);
    o.executor = BF_EXECUTOR_REFERENCE, o.batch = 1;
    kit_engine e = kit_engine_new(1, p->model, o);
    for (int64_t box = 0; box < p->boxes; box++) run(&e, p, &r, box, 1);
    kit_engine_free(&e);
    return r;
}

static void check_together(const problem *p, const results *want, bf_options o, int threads) {
    char setting[80];
    results got = results_new(p);
    kit_engine e = kit_engine_new(threads, p->model, o);
    assert_in_range(bf_plan_batch(e.plan), 1, o.batch);
    run(&e, p, &got, 0, p->boxes);
    kit_engine_free(&e);
    for (int64_t i = 0; i < 3 * want->rows + 2 * want->outputs; i++)
        if (got.numbers[i] != want->numbers[i])
            fail_msg("%s %d, %s, batch %d, %d threads, memory %d: number %d is %a, alone %a",
                     p->name, p->variant, kit_setting_name(o, setting, sizeof setting),
                     (int)o.batch, threads, (int)o.memory, (int)i, got.numbers[i],
                     want->numbers[i]);
    free(got.numbers);
}

static int64_t least_memory(const bf_model *model, bf_options o, int threads) {
    bf_plan *plan = NULL;
    bf_error err = {""};
    o.memory = 1;
    assert_int_equal(bf_plan_create(kit_session(threads), model, &o, &plan, &err), BF_STATUS_LIMIT);
    const char *number = strstr(err.message, "at least ");
    assert_non_null(number);
    return strtoll(number + strlen("at least "), NULL, 10);
}

static void check_problem(const problem *p, bf_options o) {
    results want = one_by_one(p, o);
    static const char *const isas[] = {"ref", "avx2", "avx512", NULL};
    bfi_dtype dtype = o.dtype == BF_DTYPE_FLOAT32 ? BFI_F32 : BFI_F64;
    for (int i = 0; i < 4; i++) {
        o.executor = isas[i] ? BF_EXECUTOR_NATIVE : BF_EXECUTOR_REFERENCE;
        o.isa = isas[i];
        if (isas[i] && !bfi_kernels_native(dtype, isas[i])) continue;
        o.batch = kit_int(1, p->boxes + 1);
        check_together(p, &want, o, 1);
        o.batch = p->boxes;
        check_together(p, &want, o, 2 + i);
    }
    o.executor = BF_EXECUTOR_NATIVE;
    o.memory = least_memory(p->model, o, 2);
    check_together(p, &want, o, 2);
    o.memory *= 2;
    check_together(p, &want, o, 2);
    free(want.numbers);
}

static void every_op(void **state) {
    (void)state;
    int count = 0;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++)
        for (int v = 0; v < op_cases[c].variants; v++)
            for (int setting = 0; setting < KIT_TYPED; setting++) {
                if ((count++ + v) % KIT_SAMPLE) continue;
                problem p = pose(op_cases[c].name, v, op_cases[c].build(v));
                bf_options o = kit_setting(setting);
                o.intersect = (v + setting) % 2;
                o.all_neurons = v % 2;
                o.partition = (v + setting) / 2 % 2;
                o.rounding = v % 3 == 2 ? BF_ROUNDING_NEAREST : BF_ROUNDING_OUTWARD;
                o.semantics = v % 4 == 3 ? BF_SEMANTICS_FLOAT32 : BF_SEMANTICS_REAL;
                check_problem(&p, o);
                clear(&p);
            }
}

static void random_networks(void **state) {
    (void)state;
    for (int trial = 0; trial < 60 / KIT_SAMPLE; trial++) {
        problem p = pose("random", trial, trial % 2 ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN));
        bf_options o = kit_setting(trial % KIT_SETTINGS);
        check_problem(&p, o);
        clear(&p);
    }
}

/* Slopes are optimised row by row, in company as alone. */
static void optimised(void **state) {
    (void)state;
    for (int trial = 0; trial < 12 / KIT_SAMPLE; trial++) {
        problem p = pose("optimised", trial, trial % 2 ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN));
        bf_options o = kit_setting(trial % KIT_SETTINGS);
        o.method = BF_METHOD_ALPHA_CROWN, o.iterations = 4;
        check_problem(&p, o);
        clear(&p);
    }
}

/* Boxes whose rows lie on windows beside boxes whose rows lie on whole layers. */
static void windows(void **state) {
    (void)state;
    double flops = 0, dense = 0;
    for (int trial = 0; trial < 4; trial++) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(1, 3, 16, 16));
        int a = 0;
        for (int layer = 0; layer < 2; layer++) {
            net_geometry g = {6, 3, 3, 1 + layer, 1 + layer, 1, 1, 1, 1};
            a = net_same(graph, BFI_OP_RELU, net_window(graph, NET_PLAIN, BFI_OP_CONV, a, g), -1);
        }
        graph->output = a;
        problem p = pose("windows", trial, case_finish(graph, 7));
        check_problem(&p, bf_options_default());
        bf_options o = bf_options_default();
        o.batch = p.boxes;
        results r = results_new(&p);
        kit_engine e = kit_engine_new(1, p.model, o);
        run(&e, &p, &r, 0, p.boxes);
        flops += bf_workspace_stats(e.ws).flops, dense += bf_workspace_stats(e.ws).dense_flops;
        kit_engine_free(&e);
        free(r.numbers);
        clear(&p);
    }
    assert_true(flops < dense);
}

/* Layers of the boxes that ran together last. */
static void layers(void **state) {
    (void)state;
    bfi_graph *graph = op_cases[0].build(0);
    problem p = pose("layers", 0, graph);
    bf_options o = bf_options_default();
    o.keep_layers = 1;
    int count = bf_model_layer_count(p.model);
    double lower[4096], upper[4096], want_lower[4096], want_upper[4096];
    for (o.batch = 1; o.batch <= p.boxes; o.batch++) {
        results r = results_new(&p), alone = results_new(&p);
        kit_engine e = kit_engine_new(2, p.model, o), one = kit_engine_new(1, p.model, o);
        run(&e, &p, &r, 0, p.boxes);
        int64_t last = (p.boxes - 1) / o.batch * o.batch;
        for (int64_t box = 0; box < p.boxes; box++) {
            run(&one, &p, &alone, box, 1);
            for (int i = 0; i < count; i++) {
                int64_t n = bf_model_layer(p.model, i).count;
                assert_in_range(n, 1, 4096);
                assert_true(bf_workspace_layer(one.plan, one.ws, i, want_lower, want_upper));
                assert_int_equal(bf_workspace_box_layer(e.plan, e.ws, box, i, lower, upper),
                                 box >= last);
                if (box < last) continue;
                assert_memory_equal(lower, want_lower, (size_t)n * sizeof *lower);
                assert_memory_equal(upper, want_upper, (size_t)n * sizeof *upper);
            }
        }
        kit_engine_free(&e), kit_engine_free(&one);
        free(r.numbers), free(alone.numbers);
    }
    clear(&p);
}

static void bad_requests(void **state) {
    (void)state;
    problem p = pose("bad", 0, op_cases[0].build(0));
    p.boxes = 1; /* of memory, at least */
    results r = results_new(&p);
    bf_options o = bf_options_default();
    bf_error err = {""};
    bf_plan *plan = NULL;
    o.batch = 0;
    assert_int_equal(bf_plan_create(kit_session(1), p.model, &o, &plan, &err),
                     BF_STATUS_INVALID_ARGUMENT);
    o.batch = INT64_MAX / 2;
    assert_int_equal(bf_plan_create(kit_session(1), p.model, &o, &plan, &err), BF_STATUS_LIMIT);
    o.batch = 2;
    kit_engine e = kit_engine_new(1, p.model, o);
    bf_request q = request_of(&p, &r, 0, -1, false);
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    q.boxes = INT64_MAX / 4;
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "cannot take"));
    double lo[4096], hi[4096];
    assert_in_range(2 * p.inputs, 1, 4096);
    for (int64_t i = 0; i < 2 * p.inputs; i++) lo[i] = 0, hi[i] = 1;
    lo[p.inputs] = 2;
    q = (bf_request){.lo = lo, .hi = hi, .boxes = 2};
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "box 1: input 0"));
    kit_engine_free(&e);
    free(r.numbers);
    clear(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op),  cmocka_unit_test(random_networks),
        cmocka_unit_test(optimised), cmocka_unit_test(windows),
        cmocka_unit_test(layers),    cmocka_unit_test(bad_requests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
