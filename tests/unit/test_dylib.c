/* Optional libraries: zlib stands in for one that is there, a text file for one that is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/dylib.h"

static int clear(void **state) {
    (void)state;
    for (int i = 0; i < BFI_OPTIONAL_COUNT; i++) unsetenv(bfi_optionals[i].variable);
    return 0;
}

static void test_rows(void **state) {
    (void)state;
    for (int i = 0; i < BFI_OPTIONAL_COUNT; i++) {
        const bfi_optional_info *info = &bfi_optionals[i];
        assert_true(strncmp(info->variable, "BOUNDFLOW_", 10) == 0);
        assert_true(*info->name && *info->candidates && *info->purpose && *info->advice);
    }
}

/* Whatever this machine has: an open library has a path, an absent one a reason with the advice. */
static void test_candidates(void **state) {
    (void)state;
    for (int i = 0; i < BFI_OPTIONAL_COUNT; i++) {
        bfi_dylib lib;
        bf_error err = {""};
        bf_status status = bfi_dylib_open((bfi_optional)i, &lib, &err);
        if (status == BF_STATUS_OK) {
            assert_int_equal(access(lib.path, R_OK), 0);
        } else {
            assert_int_equal(status, BF_STATUS_IO);
            assert_null(lib.handle);
            assert_non_null(strstr(err.message, bfi_optionals[i].name));
        }
        bfi_dylib_close(&lib);
        assert_null(lib.handle);
    }
}

static void test_variable(void **state) {
    (void)state;
    bfi_dylib lib;
    bf_error err = {""};
    setenv("BOUNDFLOW_SQLITE", "none", 1);
    assert_int_equal(bfi_dylib_open(BFI_OPTIONAL_SQLITE, &lib, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "BOUNDFLOW_SQLITE=none"));

    setenv("BOUNDFLOW_SQLITE", "/nowhere/libsqlite3.so", 1);
    assert_int_equal(bfi_dylib_open(BFI_OPTIONAL_SQLITE, &lib, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, "BOUNDFLOW_SQLITE is set"));
    assert_non_null(strstr(err.message, "/nowhere/libsqlite3.so"));
    assert_null(lib.handle);
    assert_int_equal(bfi_dylib_open(BFI_OPTIONAL_SQLITE, &lib, NULL), BF_STATUS_IO);
}

static void test_functions(void **state) {
    (void)state;
    bfi_dylib lib;
    bf_error err = {""};
    setenv("BOUNDFLOW_SQLITE", "libz.so.1", 1);
    assert_int_equal(bfi_dylib_open(BFI_OPTIONAL_SQLITE, &lib, &err), BF_STATUS_OK);
    assert_true(lib.path[0] == '/' && strstr(lib.path, "libz.so"));

    struct {
        const char *(*version)(void);
        unsigned long (*bound)(unsigned long);
    } api = {0};
    static const char *const names[] = {"zlibVersion", "compressBound", "sqlite3_open"};
    assert_int_equal(bfi_dylib_functions(&lib, names, 2, &api, &err), BF_STATUS_OK);
    assert_true(api.version()[0] == '1');
    assert_true(api.bound(100) > 100);
    void *slots[3];
    assert_int_equal(bfi_dylib_functions(&lib, names, 3, slots, &err), BF_STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "sqlite3_open"));
    assert_non_null(strstr(err.message, lib.path));
    assert_null(bfi_dylib_symbol(&lib, "sqlite3_open"));

    bfi_dylib same;
    assert_int_equal(bfi_dylib_open_file(lib.path, &same, &err), BF_STATUS_OK);
    assert_true(same.handle == lib.handle);
    bfi_dylib_close(&same);
    bfi_dylib_close(&lib);
    bfi_dylib_close(&lib);
    bfi_dylib_close(NULL);
}

static void test_file(void **state) {
    (void)state;
    char path[] = "/tmp/bf_test_dylib_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "no library\n", 11), 11);
    close(fd);
    bfi_dylib lib;
    bf_error err = {""};
    assert_int_equal(bfi_dylib_open_file(path, &lib, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, path));
    assert_non_null(strstr(err.message, "cannot be loaded"));
    unlink(path);
    /* A name without a slash would be looked up in the system's folders. */
    assert_int_equal(bfi_dylib_open_file("libz.so.1", &lib, &err), BF_STATUS_IO);
    assert_null(lib.handle);
}

static void test_program_folder(void **state) {
    (void)state;
    char folder[PATH_MAX], small[4];
    assert_true(bfi_program_folder(folder, sizeof folder));
    assert_true(folder[0] == '/' && folder[strlen(folder) - 1] != '/');
    strcat(folder, "/test_dylib");
    assert_int_equal(access(folder, X_OK), 0);
    assert_false(bfi_program_folder(small, sizeof small));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rows, clear),
        cmocka_unit_test_setup(test_candidates, clear),
        cmocka_unit_test_setup(test_variable, clear),
        cmocka_unit_test_setup(test_functions, clear),
        cmocka_unit_test_setup(test_file, clear),
        cmocka_unit_test_setup(test_program_folder, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
