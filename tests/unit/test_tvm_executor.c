/* The tvm executor gives the bits of the reference one on every op, with kernels of the fake
 * compiler: what the host does with kernels is tested here without TVM (test_tvm_conformance.c has
 * real ones). */
#include "tvm_kit.h"

#include "op_cases.h"

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

static void every_op(void **state) {
    (void)state;
    int turn = 0;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++)
        for (int v = 0; v < op_cases[c].variants; v++) {
            tvm_problem p = tvm_pose(op_cases[c].build(v));
            for (int setting = 0; setting < KIT_TYPED; setting++, turn++) {
                bf_options o = kit_setting(setting);
                o.intersect = (setting + v) % 2;
                o.simplify = turn % 3 != 0;
                o.rounding = turn % 5 == 0 ? BF_ROUNDING_NEAREST : BF_ROUNDING_OUTWARD;
                o.semantics = turn % 7 == 0 ? BF_SEMANTICS_FLOAT32 : BF_SEMANTICS_REAL;
                tvm_compare(session, &p, o, op_cases[c].name, v, turn % TVM_ROWS + 1);
            }
            tvm_clear(&p);
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

/* A box in which no neuron is off: nothing is left out of a product, so that fused kernels run. */
static void widen(tvm_problem *p) {
    for (int64_t i = 0; i < p->inputs; i++) p->lo[i] -= 100, p->hi[i] += 100;
}

/* A linear op shares its kernel with the relaxation behind it, and the report says so. */
static void fused(void **state) {
    (void)state;
    tvm_problem p = tvm_pose(perceptron(70));
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
    for (int wide = 0; wide < 2; wide++) {
        for (int setting = 0; setting < KIT_TYPED; setting++)
            tvm_compare(session, &p, kit_setting(setting), "fused", wide, TVM_ROWS);
        widen(&p);
    }
    tvm_clear(&p);
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
        tvm_problem p = tvm_pose(conv ? case_conv(0) : perceptron(24));
        widen(&p);
        setenv("FAKE_POISON", names[i], 1);
        bf_tvm_options fake = tvm_fake(names[i]);
        bf_session *s = tvm_session(1, &fake);
        bf_options o = bf_options_default();
        o.executor = BF_EXECUTOR_TVM;
        o.method = interval ? BF_METHOD_IBP : BF_METHOD_CROWN_IBP;
        double out[2 * TVM_ROWS + 1];
        kit_engine e = tvm_engine(s, p.model, o);
        tvm_run(&e, &p, TVM_ROWS, out);
        /* in this net the linear op that is not fused is the first one, on the way to the input */
        if (isfinite(out[one ? 2 * TVM_ROWS : 0])) fail_msg("%s did not compute", names[i]);
        kit_engine_free(&e);
        bf_session_free(s);
        tvm_clear(&p);
    }
    unsetenv("FAKE_POISON");
}

/* The network with a permute runs no kernel that moves elements: the transpose is folded away. */
static void no_transpose(void **state) {
    (void)state;
    char path[PATH_MAX];
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR");
    if (!root) skip();
    snprintf(path, sizeof path, "%s/models/digits_cnn_permute.onnx", root);
    tvm_problem p = tvm_pose_file(path);
    bf_options o = bf_options_default();
    o.executor = BF_EXECUTOR_TVM;
    for (int simplify = 0; simplify < 2; simplify++) {
        o.simplify = simplify;
        kit_engine e = tvm_engine(session, p.model, o);
        int moves = 0;
        for (int i = 0; i < bf_plan_lowering_count(e.plan); i++) {
            bf_lowering_info l = bf_plan_lowering(e.plan, i);
            moves += strstr(l.kernel, "sparse") != NULL;
            assert_true(!l.key || !strstr(l.key, "sparse"));
        }
        assert_true(simplify ? moves == 0 : moves > 0);
        kit_engine_free(&e);
        tvm_compare(session, &p, o, "permute", simplify, TVM_ROWS);
    }
    tvm_clear(&p);
}

/* Plans keep their kernels when the session forgets them. */
static void outlive(void **state) {
    (void)state;
    tvm_problem p = tvm_pose(perceptron(30));
    bf_options o = bf_options_default();
    o.executor = BF_EXECUTOR_TVM;
    double want[2 * TVM_ROWS + 1], got[2 * TVM_ROWS + 1];
    bf_tvm_options fake = tvm_fake("outlive");
    bf_session *s = tvm_session(1, &fake);
    kit_engine e = tvm_engine(s, p.model, o);
    tvm_run(&e, &p, TVM_ROWS, want);
    assert_int_equal(bf_session_set_tvm(s, &fake, NULL), BF_STATUS_OK);
    tvm_run(&e, &p, TVM_ROWS, got);
    for (int i = 0; i < 2 * TVM_ROWS + 1; i++) assert_true(want[i] == got[i]);
    bf_session_free(s);
    kit_engine_free(&e);
    tvm_clear(&p);
}

/* Runs of one plan on several threads and tiles. */
static void threads(void **state) {
    (void)state;
    tvm_problem p = tvm_pose(perceptron(200));
    bf_options o = bf_options_default();
    o.all_neurons = 1;
    tvm_compare(session, &p, o, "threads", 0, TVM_ROWS);
    tvm_clear(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op), cmocka_unit_test(fused),
                                       cmocka_unit_test(poisoned), cmocka_unit_test(outlive),
                                       cmocka_unit_test(threads),  cmocka_unit_test(no_transpose)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
