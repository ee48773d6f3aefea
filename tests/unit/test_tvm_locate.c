/* Which folder is taken for TVM, on folders that only look like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "exec/tvm/locate.h"

static char root[] = "/tmp/bf_test_locate_XXXXXX";

static const char *at(const char *name) {
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof *paths, "%s/%s", root, name);
    return path;
}

static void touch(const char *path) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
}

static void make_folders(const char *path) {
    char part[512];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(part, 0777);
        *slash = '/';
    }
    mkdir(part, 0777);
}

/* What an installation with these versions looks like; returns the folder. */
static const char *make_place(const char *name, const char *version, const char *ffi) {
    static char folder[256];
    static const char *const files[] = {BFI_TVM_LIB_FFI, BFI_TVM_LIB_RUNTIME, BFI_TVM_LIB_COMPILER};
    char path[512];
    snprintf(folder, sizeof folder, "%s", at(name));
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        *strrchr(path, '/') = '\0';
        make_folders(path);
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        touch(path);
    }
    snprintf(path, sizeof path, "%s/apache_tvm-%s.dist-info", folder, version);
    make_folders(path);
    snprintf(path, sizeof path, "%s/apache_tvm_ffi-%s.dist-info", folder, ffi);
    make_folders(path);
    return folder;
}

static int clear(void **state) {
    (void)state;
    unsetenv("BOUNDFLOW_TVM");
    unsetenv("BOUNDFLOW_TVMC");
    unsetenv("XDG_DATA_HOME");
    setenv("HOME", at("home"), 1);
    return 0;
}

static int make_root(void **state) {
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
    (void)state;
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void test_nowhere(void **state) {
    (void)state;
    bfi_tvm_place place;
    bf_error err = {""};
    assert_int_equal(bfi_tvm_locate(NULL, &place, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "../.tvm"));
    assert_non_null(strstr(err.message, "home/.local/share/boundflow/tvm"));
    assert_non_null(strstr(err.message, "make tvm"));
    unsetenv("HOME");
    assert_int_equal(bfi_tvm_locate(NULL, &place, NULL), BF_STATUS_IO);
}

static void test_order(void **state) {
    (void)state;
    bfi_tvm_place place;
    bf_error err = {""};
    make_place("home/.local/share/boundflow/tvm", BFI_TVM_VERSION, BFI_TVM_FFI_VERSION);
    make_place("data/boundflow/tvm", BFI_TVM_VERSION, BFI_TVM_FFI_VERSION);
    make_place("variable", BFI_TVM_VERSION, BFI_TVM_FFI_VERSION);
    make_place("given", BFI_TVM_VERSION, BFI_TVM_FFI_VERSION);

    assert_int_equal(bfi_tvm_locate(NULL, &place, &err), BF_STATUS_OK);
    assert_string_equal(place.folder, at("home/.local/share/boundflow/tvm"));
    setenv("XDG_DATA_HOME", at("data"), 1);
    assert_int_equal(bfi_tvm_locate(NULL, &place, &err), BF_STATUS_OK);
    assert_string_equal(place.folder, at("data/boundflow/tvm"));
    setenv("BOUNDFLOW_TVM", at("variable/"), 1);
    assert_int_equal(bfi_tvm_locate(NULL, &place, &err), BF_STATUS_OK);
    assert_string_equal(place.folder, at("variable"));
    assert_string_equal(place.origin, "BOUNDFLOW_TVM");
    assert_int_equal(bfi_tvm_locate(at("given"), &place, &err), BF_STATUS_OK);
    assert_string_equal(place.folder, at("given"));
    assert_string_equal(place.origin, "--tvm");
    assert_string_equal(place.version, BFI_TVM_VERSION);
    assert_string_equal(place.ffi_version, BFI_TVM_FFI_VERSION);

    /* What is named and not good is not passed over. */
    setenv("BOUNDFLOW_TVM", at("nothing"), 1);
    assert_int_equal(bfi_tvm_locate(NULL, &place, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "nothing (BOUNDFLOW_TVM) does not exist"));
    setenv("BOUNDFLOW_TVM", "none", 1);
    assert_int_equal(bfi_tvm_locate(NULL, &place, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "not used"));
    assert_int_equal(bfi_tvm_locate("none", &place, &err), BF_STATUS_IO);
    setenv("BOUNDFLOW_TVM", "", 1);
    assert_int_equal(bfi_tvm_locate(NULL, &place, &err), BF_STATUS_OK);
    assert_string_equal(place.folder, at("data/boundflow/tvm"));
}

static void test_damaged(void **state) {
    (void)state;
    bfi_tvm_place place;
    bf_error err = {""};
    const char *old = make_place("old", "0.26.0", BFI_TVM_FFI_VERSION);
    assert_int_equal(bfi_tvm_locate(old, &place, &err), BF_STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "0.26.0"));
    assert_non_null(strstr(err.message, BFI_TVM_VERSION));
    /* The ffi that crashes (0.1.15) must not be taken for the pinned one. */
    const char *ffi = make_place("ffi", BFI_TVM_VERSION, "0.1.15.post2");
    assert_int_equal(bfi_tvm_locate(ffi, &place, &err), BF_STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "0.1.15.post2"));

    const char *cut = make_place("cut", BFI_TVM_VERSION, BFI_TVM_FFI_VERSION);
    assert_int_equal(unlink(at("cut/" BFI_TVM_LIB_COMPILER)), 0);
    assert_int_equal(bfi_tvm_locate(cut, &place, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "has no " BFI_TVM_LIB_COMPILER));
}

static void test_helper(void **state) {
    (void)state;
    char path[PATH_MAX];
    bf_error err = {""};
    setenv("BOUNDFLOW_TVMC", "/bin/true", 1);
    assert_int_equal(bfi_tvm_locate_helper(path, &err), BF_STATUS_OK);
    assert_string_equal(path, "/bin/true");
    setenv("BOUNDFLOW_TVMC", at("absent"), 1);
    assert_int_equal(bfi_tvm_locate_helper(path, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "BOUNDFLOW_TVMC"));
    setenv("BOUNDFLOW_TVMC", "true", 1);
    assert_int_equal(bfi_tvm_locate_helper(path, &err), BF_STATUS_IO);
    unsetenv("BOUNDFLOW_TVMC");
    if (bfi_tvm_locate_helper(path, &err) == BF_STATUS_OK)
        assert_int_equal(access(path, X_OK), 0);
    else
        assert_non_null(strstr(err.message, "boundflow-tvmc"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nowhere, clear),
        cmocka_unit_test_setup(test_order, clear),
        cmocka_unit_test_setup(test_damaged, clear),
        cmocka_unit_test_setup(test_helper, clear),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
