#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/status.h"

static void every_status_has_a_name_and_its_own_exit_code(void **state) {
    (void)state;
    bool used[256] = {false};
    for (int s = 0; s < BF_STATUS_COUNT; s++) {
        int code = bf_status_exit_code((bf_status)s);
        assert_in_range(code, 0, 125);
        assert_false(used[code]);
        used[code] = true;
        assert_true(strlen(bf_status_name((bf_status)s)) > 0);
        assert_true(strlen(bf_status_meaning((bf_status)s)) > 0);
    }
    assert_int_equal(bf_status_exit_code(BF_STATUS_OK), 0);
    assert_string_equal(bf_status_name((bf_status)1000), bf_status_name(BF_STATUS_INTERNAL));
}

static void fail_formats_one_line(void **state) {
    (void)state;
    bf_error err;
    assert_int_equal(bfi_fail(&err, BF_STATUS_PARSE, "a.onnx:%d: bad\nthing\t!", 7), BF_STATUS_PARSE);
    assert_string_equal(err.message, "a.onnx:7: bad thing !");
    assert_int_equal(bfi_fail(NULL, BF_STATUS_IO, "nobody reads %s", "this"), BF_STATUS_IO);
}

static void fail_truncates_long_messages(void **state) {
    (void)state;
    bf_error err;
    char text[2 * sizeof err.message];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    bfi_fail(&err, BF_STATUS_IO, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    bfi_fail_in(&err, BF_STATUS_IO, "context");
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_memory_equal(err.message, "context: xxx", 12);
}

static void context_goes_in_front(void **state) {
    (void)state;
    bf_error err;
    bfi_fail(&err, BF_STATUS_SHAPE, "2 is not 3");
    assert_int_equal(bfi_fail_in(&err, BF_STATUS_SHAPE, "node 'conv1'"), BF_STATUS_SHAPE);
    assert_string_equal(err.message, "node 'conv1': 2 is not 3");
    assert_int_equal(bfi_fail_in(NULL, BF_STATUS_SHAPE, "x"), BF_STATUS_SHAPE);
}

static void sizes_are_checked(void **state) {
    (void)state;
    size_t size = 0;
    int64_t wide = 0;
    assert_true(bfi_mul_size(6, 7, &size));
    assert_int_equal(size, 42);
    assert_false(bfi_mul_size(SIZE_MAX / 2, 3, &size));
    assert_false(bfi_add_size(SIZE_MAX, 1, &size));
    assert_false(bfi_mul_i64(INT64_MAX, 2, &wide));
    assert_null(bfi_malloc(SIZE_MAX / 2, 3));
    assert_null(bfi_alloc_aligned(SIZE_MAX - 8));
}

static void blocks_of_nothing_are_valid(void **state) {
    (void)state;
    void *zeroed = bfi_calloc(0, 8), *plain = bfi_malloc(0, 8), *aligned = bfi_alloc_aligned(0);
    assert_non_null(zeroed);
    assert_non_null(plain);
    assert_non_null(aligned);
    assert_int_equal((uintptr_t)aligned % 64, 0);
    free(zeroed);
    free(plain);
    free(aligned);
}

static void grow_keeps_content_and_reports_overflow(void **state) {
    (void)state;
    int *items = NULL;
    size_t capacity = 0;
    for (int i = 0; i < 1000; i++) {
        assert_true(bfi_grow((void **)&items, &capacity, (size_t)i + 1, sizeof *items));
        items[i] = i;
    }
    assert_true(capacity >= 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(items[i], i);
    int *before = items;
    size_t capacity_before = capacity;
    assert_false(bfi_grow((void **)&items, &capacity, SIZE_MAX / 2, sizeof *items));
    assert_ptr_equal(items, before);
    assert_int_equal(capacity, capacity_before);
    free(items);
}

static void strings_are_copied(void **state) {
    (void)state;
    char *whole = bfi_strdup("relu"), *part = bfi_strndup("conv2d", 4);
    assert_string_equal(whole, "relu");
    assert_string_equal(part, "conv");
    free(whole);
    free(part);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_and_its_own_exit_code),
        cmocka_unit_test(fail_formats_one_line),
        cmocka_unit_test(fail_truncates_long_messages),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(blocks_of_nothing_are_valid),
        cmocka_unit_test(grow_keeps_content_and_reports_overflow),
        cmocka_unit_test(strings_are_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
