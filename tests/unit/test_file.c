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
#include <zlib.h>

#include "base/file.h"

static char folder[] = "/tmp/bf_test_file_XXXXXX";
static char path[64], other[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(other, sizeof other, "%s/b", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

static void put(const char *name, const void *data, size_t size) {
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static size_t gzip(const char *text, size_t size, unsigned char *out, size_t capacity) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)capacity;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t used = capacity - z.avail_out;
    deflateEnd(&z);
    return used;
}

static void expect_text(const char *text, size_t size) {
    char *data;
    size_t length;
    bf_error err;
    bf_status status = bfi_file_read(path, 1 << 24, &data, &length, &err);
    if (status != BF_STATUS_OK) fail_msg("%s", err.message);
    assert_int_equal(length, size);
    assert_memory_equal(data, text, size);
    assert_int_equal(data[size], 0);
    free(data);
}

static void expect_failure(const char *name, size_t limit, bf_status wanted) {
    char *data = NULL;
    size_t length;
    bf_error err;
    assert_int_equal(bfi_file_read(name, limit, &data, &length, &err), wanted);
    assert_null(data);
    if (!strstr(err.message, name)) fail_msg("no path in: %s", err.message);
}

static void reads_plain_files(void **state) {
    (void)state;
    put(path, "", 0);
    expect_text("", 0);
    put(path, "\x1f", 1);
    expect_text("\x1f", 1);
    put(path, "one\0two\n", 8);
    expect_text("one\0two\n", 8);
    size_t big = 300000;
    char *text = malloc(big);
    memset(text, 'x', big);
    put(path, text, big);
    expect_text(text, big);
    free(text);
}

static void reads_gzip_of_one_or_more_members(void **state) {
    (void)state;
    size_t size = 1 << 20;
    char *text = malloc(2 * size);
    unsigned char *packed = malloc(4 * size);
    for (size_t i = 0; i < 2 * size; i++) text[i] = (char)(i * i >> 7);
    size_t used = gzip(text, size, packed, 2 * size);
    put(path, packed, used);
    expect_text(text, size);
    used += gzip(text + size, size, packed + used, 2 * size);
    memset(packed + used, 0, 512);
    put(path, packed, used + 512);
    expect_text(text, 2 * size);
    put(path, packed, gzip("", 0, packed, size));
    expect_text("", 0);
    free(text);
    free(packed);
}

static void refuses_damaged_gzip(void **state) {
    (void)state;
    unsigned char packed[256];
    const char *text = "(declare-const X_0 Real) and so on and so on";
    size_t used = gzip(text, strlen(text), packed, sizeof packed);
    for (size_t cut = 2; cut < used; cut++) {
        put(path, packed, cut);
        expect_failure(path, 1000, BF_STATUS_PARSE);
    }
    memcpy(packed + used, "junk", 4);
    put(path, packed, used + 4);
    expect_failure(path, 1000, BF_STATUS_PARSE);
    packed[used - 6] ^= 1; /* checksum */
    put(path, packed, used);
    expect_failure(path, 1000, BF_STATUS_PARSE);
}

static void keeps_the_limit(void **state) {
    (void)state;
    static char zeros[1 << 20];
    unsigned char packed[4096];
    put(path, "12345", 5);
    expect_text("12345", 5);
    expect_failure(path, 4, BF_STATUS_LIMIT);
    char *data;
    size_t length;
    assert_int_equal(bfi_file_read(path, 5, &data, &length, NULL), BF_STATUS_OK);
    free(data);
    put(path, packed, gzip(zeros, sizeof zeros, packed, sizeof packed));
    expect_failure(path, sizeof zeros - 1, BF_STATUS_LIMIT);
}

static void names_what_cannot_be_read(void **state) {
    (void)state;
    unlink(path);
    expect_failure(path, 10, BF_STATUS_IO);
    expect_failure(folder, 10, BF_STATUS_IO);
}

static void writes_atomically(void **state) {
    (void)state;
    bf_error err;
    assert_int_equal(bfi_file_write(path, "first", 5, &err), BF_STATUS_OK);
    expect_text("first", 5);
    assert_int_equal(bfi_file_write(path, "", 0, &err), BF_STATUS_OK);
    expect_text("", 0);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_true(info.st_mode & S_IRUSR);
    assert_int_equal(rmdir(folder), -1);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* nothing else was left in it */
    assert_int_equal(bfi_file_write(path, "x", 1, &err), BF_STATUS_IO);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(bfi_file_write(folder, "x", 1, &err), BF_STATUS_IO);
}

static void writes_through_links_and_devices(void **state) {
    (void)state;
    struct stat info;
    assert_int_equal(bfi_file_write("/dev/null", "x", 1, NULL), BF_STATUS_OK);
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
    put(path, "old", 3);
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(bfi_file_write(other, "newer", 5, NULL), BF_STATUS_OK);
    assert_int_equal(lstat(other, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    expect_text("newer", 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_plain_files),
        cmocka_unit_test(reads_gzip_of_one_or_more_members),
        cmocka_unit_test(refuses_damaged_gzip),
        cmocka_unit_test(keeps_the_limit),
        cmocka_unit_test(names_what_cannot_be_read),
        cmocka_unit_test(writes_atomically),
        cmocka_unit_test(writes_through_links_and_devices),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
