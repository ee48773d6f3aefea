/* The tvm executor with kernels that TVM compiled gives the bits of the reference one on every op
 * and on our own networks. Kernels stay in the build folder. Needs TVM (env BOUNDFLOW_TVM, or .tvm
 * of the checkout); without it the test is skipped, which BOUNDFLOW_TVM_STRICT=1 makes a failure.
 */
#include "tvm_kit.h"

#include "op_cases.h"

static bf_session *session;

static int setup(void **state) {
    (void)state;
    static char cache[PATH_MAX];
    bfi_tvm_place place;
    bf_error err = {""};
    bf_tvm_options o = bf_tvm_options_default();
    const char *build = getenv("BOUNDFLOW_BUILD_DIR");
    if (bfi_tvm_locate(NULL, &place, &err) != BF_STATUS_OK) {
        if (o.strict) fail_msg("%s", err.message);
        print_message("[ SKIPPED ] %s\n", err.message);
        return 0;
    }
    snprintf(cache, sizeof cache, "%s/kernels", build ? build : "..");
    o.cache = cache;
    o.seconds = 120;
    o.strict = 1;
    session = tvm_session(2, &o);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    if (session) {
        bf_tvm_stats s = bf_session_tvm_stats(session);
        print_message("%d kernels compiled, %d loaded\n", (int)s.compiled, (int)s.loaded);
    }
    bf_session_free(session);
    return 0;
}

/* Every op in every variant that has other kernels; shapes at large are test_tvm_kernels.c's. */
static void every_op(void **state) {
    (void)state;
    if (!session) skip();
    int turn = 0;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++)
        for (int v = 0; v < op_cases[c].variants && v < (strcmp(op_cases[c].name, "conv") ? 2 : 5);
             v++, turn++) {
            tvm_problem p = tvm_pose(op_cases[c].build(v));
            bf_options o = bf_options_default();
            o.dtype = v % 2 ? BF_DTYPE_FLOAT64 : BF_DTYPE_FLOAT32;
            o.intersect = o.all_neurons = turn % 2;
            tvm_compare(session, &p, o, op_cases[c].name, v, turn % TVM_ROWS + 1);
            o.method = BF_METHOD_IBP;
            tvm_compare(session, &p, o, op_cases[c].name, v, turn % TVM_ROWS + 1);
            tvm_clear(&p);
        }
}

static void our_networks(void **state) {
    (void)state;
    static const char *const names[] = {"digits_mlp", "digits_cnn_permute", "digits_resnet",
                                        "rram_small"};
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR");
    if (!session || !root) skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/models/%s.onnx", root, names[i]);
        tvm_problem p = tvm_pose_file(path);
        tvm_compare(session, &p, bf_options_default(), names[i], 0, TVM_ROWS);
        bf_options o = bf_options_default();
        o.intersect = 1;
        tvm_compare(session, &p, o, names[i], 1, 3);
        tvm_clear(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_op), cmocka_unit_test(our_networks)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
