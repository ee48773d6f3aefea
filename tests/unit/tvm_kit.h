/* Sessions whose kernels the fake compiler (tests/tools/fake_tvmc.c) makes, in folders of their
 * own. Everything asserts. */
#ifndef BF_TESTS_TVM_KIT_H
#define BF_TESTS_TVM_KIT_H

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bounds_kit.h"
#include "boundflow/inspect.h"
#include "boundflow/tvm.h"
#include "exec/tvm/locate.h"
#include "plan/plan.h"

static char tvm_root[64]; /* a temporary folder; "" not made yet */

/* |name| in the temporary folder; kept to the end. */
static inline const char *tvm_path(const char *name) {
    static char paths[512][128];
    static int count;
    for (int i = 0; i < count; i++)
        if (strcmp(paths[i] + strlen(tvm_root) + 1, name) == 0) return paths[i];
    assert_true(count < 512);
    char *path = paths[count++];
    snprintf(path, sizeof *paths, "%s/%s", tvm_root, name);
    return path;
}

static bool child; /* of a process that cleans up */

static inline void tvm_remove_root(void) {
    char command[128];
    if (child) return;
    snprintf(command, sizeof command, "rm -rf '%s'", tvm_root);
    if (*tvm_root && system(command) != 0) fputs("cannot clean up\n", stderr);
}

/* An empty file of that name, and the folders above it. */
static inline void tvm_touch(const char *path) {
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(part, 0755);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

/* A folder that looks like TVM of version |version|. */
static inline const char *tvm_make_place(const char *name, const char *version) {
    char path[PATH_MAX];
    static const char *const files[] = {BFI_TVM_LIB_FFI, BFI_TVM_LIB_RUNTIME, BFI_TVM_LIB_COMPILER};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%.200s/%s", tvm_path(name), files[i]);
        tvm_touch(path);
    }
    snprintf(path, sizeof path, "%.200s/apache_tvm-%s.dist-info/x", tvm_path(name), version);
    tvm_touch(path);
    snprintf(path, sizeof path, "%.200s/apache_tvm_ffi-%s.dist-info/x", tvm_path(name),
             BFI_TVM_FFI_VERSION);
    tvm_touch(path);
    return tvm_path(name);
}

static inline const char *tvm_fake_compiler(void) {
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 32);
    assert_true(length > 0);
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, "fake_tvmc");
    return path;
}

/* Makes the temporary folder, for a test program's setup. */
static inline void tvm_begin(void) {
    unsetenv("BOUNDFLOW_TVM"), unsetenv("BOUNDFLOW_TVMC"), unsetenv("BOUNDFLOW_TVM_STRICT");
    unsetenv("FAKE_TVMC"), unsetenv("FAKE_TVMC_AT"), unsetenv("FAKE_POISON");
    strcpy(tvm_root, "/tmp/bf_test_tvm_XXXXXX");
    assert_non_null(mkdtemp(tvm_root));
    atexit(tvm_remove_root);
    tvm_make_place("tvm", BFI_TVM_VERSION);
}

/* Strict, 20 seconds, the fake compiler, the store |cache| in the temporary folder. */
static inline bf_tvm_options tvm_fake(const char *cache) {
    return (bf_tvm_options){.cache = tvm_path(cache),
                            .compiler = tvm_fake_compiler(),
                            .tvm = tvm_path("tvm"),
                            .seconds = 20,
                            .strict = 1};
}

static inline bf_session *tvm_session(int threads, const bf_tvm_options *options) {
    bf_session *session = NULL;
    bf_error err = {""};
    assert_int_equal(bf_session_create(threads, &session, NULL), BF_STATUS_OK);
    if (bf_session_set_tvm(session, options, &err)) fail_msg("%s", err.message);
    return session;
}

static inline kit_engine tvm_engine(bf_session *session, const bf_model *model, bf_options o) {
    kit_engine e = {0};
    bf_error err = {""};
    if (bf_plan_create(session, model, &o, &e.plan, &err)) fail_msg("%s", err.message);
    if (bf_workspace_create(e.plan, &e.ws, &err)) fail_msg("%s", err.message);
    return e;
}

enum { TVM_ROWS = 5 };

typedef struct tvm_problem {
    bf_model *model;
    int64_t inputs, outputs;
    double *lo, *hi, *spec;
} tvm_problem;

/* A box and rows for |model|, which the problem owns. */
static inline tvm_problem tvm_pose_model(bf_model *model) {
    tvm_problem p = {.model = model,
                     .inputs = bf_model_input_count(model),
                     .outputs = bf_model_output_count(model)};
    p.lo = calloc((size_t)p.inputs, sizeof(double)),
    p.hi = calloc((size_t)p.inputs, sizeof(double));
    p.spec = calloc((size_t)(TVM_ROWS * p.outputs), sizeof(double));
    net_box(NET_PLAIN, p.inputs, p.lo, p.hi);
    for (int64_t i = 0; i < TVM_ROWS * p.outputs; i++) p.spec[i] = net_uniform();
    return p;
}

static inline tvm_problem tvm_pose(bfi_graph *graph) { return tvm_pose_model(net_model(graph)); }

static inline tvm_problem tvm_pose_file(const char *path) {
    bf_model *model = NULL;
    bf_error err = {""};
    if (bf_model_load(path, &model, &err)) fail_msg("%s", err.message);
    return tvm_pose_model(model);
}

static inline void tvm_clear(tvm_problem *p) {
    free(p->lo), free(p->hi), free(p->spec);
    bf_model_free(p->model);
}

/* Two sides of |rows| rows, and one side of one row (a tile of a single lane). */
static inline void tvm_run(const kit_engine *e, const tvm_problem *p, int64_t rows,
                           double out[2 * TVM_ROWS + 1]) {
    kit_bounds(e, p->lo, p->hi, p->spec, rows, out, out + rows);
    bf_request one = {
        .lo = p->lo, .hi = p->hi, .spec = p->spec, .rows = 1, .lower = out + 2 * rows};
    assert_int_equal(bf_bounds_run(e->plan, e->ws, &one, NULL), BF_STATUS_OK);
}

static inline int tvm_count(const bf_plan *plan, const char *backend) {
    int count = 0;
    for (int i = 0; i < bf_plan_lowering_count(plan); i++)
        count += strcmp(bf_plan_lowering(plan, i).backend, backend) == 0;
    return count;
}

static inline void tvm_expect_all(const bf_plan *plan) {
    for (int i = 0; i < plan->lowering_count; i++) {
        const bfi_lowering *l = &plan->lowerings[i];
        bool product = strstr(l->op, "linear") || strstr(l->op, "conv");
        if (l->backend == BFI_BACKEND_TVM && product) assert_true(l->origin && *l->key);
        assert_string_equal(l->why, "");
    }
}

/* The tvm executor of |session| has all kernels, and gives the bits of the reference. */
static inline void tvm_compare(bf_session *session, const tvm_problem *p, bf_options o,
                               const char *name, int variant, int64_t rows) {
    double want[2 * TVM_ROWS + 1], got[2 * TVM_ROWS + 1];
    char text[80];
    o.executor = BF_EXECUTOR_REFERENCE;
    kit_engine e = tvm_engine(session, p->model, o);
    tvm_run(&e, p, rows, want);
    kit_engine_free(&e);
    o.executor = BF_EXECUTOR_TVM;
    e = tvm_engine(session, p->model, o);
    assert_true(tvm_count(e.plan, "tvm") > 0);
    tvm_expect_all(e.plan);
    for (int again = 0; again < 2; again++) {
        tvm_run(&e, p, rows, got);
        for (int64_t i = 0; i < 2 * rows + 1; i++)
            if (got[i] != want[i])
                fail_msg("%s %d, %s: number %d is %a, reference %a", name, variant,
                         kit_setting_name(o, text, sizeof text), (int)i, got[i], want[i]);
    }
    kit_engine_free(&e);
}

#endif
