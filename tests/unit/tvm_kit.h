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

#endif
