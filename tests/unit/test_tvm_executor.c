/* The tvm executor gives the bits of the reference one on every op, with kernels of the fake
 * compiler: what the host does with kernels is tested here without TVM (test_tvm_conformance.c has
 * real ones). */
#include "tvm_kit.h"

#include "op_cases.h"
#include "plan/plan.h"

enum { ROWS = 5 };

static bf_session *session;

static int setup(void **state) {
    (void)state;
    tvm_begin();
    bf_tvm_options o = tvm_fake("cache");
    session = tvm_session(2, &o);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    bf_session_free(session);
    return 0;
}

typedef struct problem {
    bf_model *model;
    int64_t inputs, outputs;
    double *lo, *hi, *spec;
} problem;

static problem pose(bfi_graph *graph) {
    problem p = {.inputs = graph->nodes[0].count, .outputs = graph->nodes[graph->output].count};
    p.model = net_model(graph);
    p.lo = calloc((size_t)p.inputs, sizeof(double)),
    p.hi = calloc((size_t)p.inputs, sizeof(double));
    p.spec = calloc((size_t)(ROWS * p.outputs), sizeof(double));
    net_box(NET_PLAIN, p.inputs, p.lo, p.hi);
    for (int64_t i = 0; i < ROWS * p.outputs; i++) p.spec[i] = net_uniform();
    return p;
}

static void clear(problem *p) {
    free(p->lo), free(p->hi), free(p->spec);
    bf_model_free(p->model);
}

/* Two sides of |rows| rows, and one side of one row (a tile of a single lane). */
static void run(const kit_engine *e, const problem *p, int64_t rows, double out[2 * ROWS + 1]) {
    kit_bounds(e, p->lo, p->hi, p->spec, rows, out, out + rows);
    bf_request one = {
        .lo = p->lo, .hi = p->hi, .spec = p->spec, .rows = 1, .lower = out + 2 * rows};
    assert_int_equal(bf_bounds_run(e->plan, e->ws, &one, NULL), BF_STATUS_OK);
}

static int count_backend(const bf_plan *plan, const char *backend) {
    int count = 0;
    for (int i = 0; i < bf_plan_lowering_count(plan); i++)
        count += strcmp(bf_plan_lowering(plan, i).backend, backend) == 0;
    return count;
}

static void expect_no_failures(const bf_plan *plan) {
    for (int i = 0; i < plan->lowering_count; i++) {
        const bfi_lowering *l = &plan->lowerings[i];
        bool product = strstr(l->op, "linear") || strstr(l->op, "conv");
        if (l->backend == BFI_BACKEND_TVM && product) assert_true(l->origin && *l->key);
        assert_string_equal(l->why, "");
    }
}

static void compare(const problem *p, bf_options o, const char *name, int variant, int64_t rows) {
    double want[2 * ROWS + 1], got[2 * ROWS + 1];
    char text[80];
    o.executor = BF_EXECUTOR_REFERENCE;
    kit_engine e = tvm_engine(session, p->model, o);
    run(&e, p, rows, want);
    kit_engine_free(&e);
    o.executor = BF_EXECUTOR_TVM;
    e = tvm_engine(session, p->model, o);
    assert_true(count_backend(e.plan, "tvm") > 0);
    expect_no_failures(e.plan);
    for (int again = 0; again < 2; again++) {
        run(&e, p, rows, got);
        for (int64_t i = 0; i < 2 * rows + 1; i++)
            if (got[i] != want[i])
                fail_msg("%s %d, %s: number %d is %a, reference %a", name, variant,
                         kit_setting_name(o, text, sizeof text), (int)i, got[i], want[i]);
    }
    kit_engine_free(&e);
}

static void every_op(void **state) {
    (void)state;
    int turn = 0;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++)
        for (int v = 0; v < op_cases[c].variants; v++) {
            problem p = pose(op_cases[c].build(v));
            for (int setting = 0; setting < 6; setting++, turn++) {
                bf_options o = kit_setting(setting);
                o.intersect = (setting + v) % 2;
                o.simplify = turn % 3 != 0;
                o.rounding = turn % 5 == 0 ? BF_ROUNDING_NEAREST : BF_ROUNDING_OUTWARD;
                o.semantics = turn % 7 == 0 ? BF_SEMANTICS_FLOAT32 : BF_SEMANTICS_REAL;
                compare(&p, o, op_cases[c].name, v, turn % ROWS + 1);
            }
            clear(&p);
        }
}

static bfi_graph *perceptron(int64_t width) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 20));
    int a = net_linear(graph, NET_PLAIN, 0, 1, 20, width);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_linear(graph, NET_PLAIN, a, 1, width, width);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = net_linear(graph, NET_PLAIN, a, 1, width, 10);
    return graph;
}

/* A linear op shares its kernel with the relaxation behind it, and the report says so. */
static void fused(void **state) {
    (void)state;
    problem p = pose(perceptron(70));
    bf_options o = bf_options_default();
    o.executor = BF_EXECUTOR_TVM;
    kit_engine e = tvm_engine(session, p.model, o);
    int count = 0;
    for (int i = 0; i < bf_plan_lowering_count(e.plan); i++) {
        bf_lowering_info l = bf_plan_lowering(e.plan, i);
        if (strcmp(l.kernel, "linear_relax") != 0) continue;
        count++;
        assert_string_equal(l.op, "backward_linear");
        assert_int_equal(strncmp(l.key, "linear_relax f32 m=", 19), 0);
        assert_string_equal(bf_plan_lowering(e.plan, i + 1).op, "backward_relax");
    }
    assert_true(count >= 2);
    kit_engine_free(&e);
    for (int setting = 0; setting < 6; setting++)
        compare(&p, kit_setting(setting), "fused", 0, ROWS);
    clear(&p);
}

/* Kernels are what computes: one that answers NaN makes bounds infinite. */
static void poisoned(void **state) {
    (void)state;
    static const char *const names[] = {"linear_one",      "linear_relax",  "conv",
                                        "interval_linear", "interval_conv", "relax",
                                        "relax_one",       "conv_one",      "linear"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool conv = strstr(names[i], "conv") != NULL, interval = !strncmp(names[i], "interval", 8);
        bool one = strstr(names[i], "_one") != NULL;
        problem p = pose(conv ? case_conv(0) : perceptron(24));
        setenv("FAKE_POISON", names[i], 1);
        bf_tvm_options fake = tvm_fake(names[i]);
        bf_session *s = tvm_session(1, &fake);
        bf_options o = bf_options_default();
        o.executor = BF_EXECUTOR_TVM;
        o.method = interval ? BF_METHOD_IBP : BF_METHOD_CROWN_IBP;
        double out[2 * ROWS + 1];
        kit_engine e = tvm_engine(s, p.model, o);
        run(&e, &p, ROWS, out);
        /* in this net the linear op that is not fused is the first one, on the way to the input */
        if (isfinite(out[one ? 2 * ROWS : 0])) fail_msg("%s did not compute", names[i]);
        kit_engine_free(&e);
        bf_session_free(s);
        clear(&p);
    }
    unsetenv("FAKE_POISON");
}

/* Plans keep their kernels when the session forgets them. */
static void outlive(void **state) {
    (void)state;
    problem p = pose(perceptron(30));
    bf_options o = bf_options_default();
    o.executor = BF_EXECUTOR_TVM;
    double want[2 * ROWS + 1], got[2 * ROWS + 1];
    bf_tvm_options fake = tvm_fake("outlive");
    bf_session *s = tvm_session(1, &fake);
    kit_engine e = tvm_engine(s, p.model, o);
    run(&e, &p, ROWS, want);
    assert_int_equal(bf_session_set_tvm(s, &fake, NULL), BF_STATUS_OK);
    run(&e, &p, ROWS, got);
    for (int i = 0; i < 2 * ROWS + 1; i++) assert_true(want[i] == got[i]);
    bf_session_free(s);
    kit_engine_free(&e);
    clear(&p);
}

/* Runs of one plan on several threads and tiles. */
static void threads(void **state) {
    (void)state;
    problem p = pose(perceptron(200));
    bf_options o = bf_options_default();
    o.all_neurons = 1;
    compare(&p, o, "threads", 0, ROWS);
    clear(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op), cmocka_unit_test(fused),
                                       cmocka_unit_test(poisoned), cmocka_unit_test(outlive),
                                       cmocka_unit_test(threads)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
