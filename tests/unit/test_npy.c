#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "frontend/npy.h"

typedef struct image {
    unsigned char bytes[1024];
    size_t size;
} image;

/* A file of the given version, header text and data. */
static image make(int version, const char *header, const void *data, size_t size) {
    image f = {.size = 0};
    size_t length = strlen(header), prefix = version == 1 ? 10 : 12;
    assert_true(prefix + length + size <= sizeof f.bytes);
    memcpy(f.bytes, "\x93NUMPY", 6);
    f.bytes[6] = (unsigned char)version;
    f.bytes[8] = (unsigned char)(length & 255);
    f.bytes[9] = (unsigned char)(length >> 8);
    memcpy(f.bytes + prefix, header, length);
    if (size) memcpy(f.bytes + prefix + length, data, size);
    f.size = prefix + length + size;
    return f;
}

static bf_array read_image(const image *f) {
    bf_array a = {0};
    bf_error err;
    if (bfi_npy_parse(f->bytes, f->size, "a.npy", &a, &err) != BF_STATUS_OK) fail_msg("%s", err.message);
    return a;
}

static void refuse_image(const image *f, bf_status wanted, const char *message) {
    bf_array a = {0};
    bf_error err = {""};
    bf_status status = bfi_npy_parse(f->bytes, f->size, "a.npy", &a, &err);
    if (status != wanted || !strstr(err.message, message) || strncmp(err.message, "a.npy: ", 7) != 0)
        fail_msg("%s '%s' instead of %s '%s'", bf_status_name(status), err.message,
                 bf_status_name(wanted), message);
    assert_null(a.data);
    assert_int_equal(bfi_npy_parse(f->bytes, f->size, "a.npy", &a, NULL), wanted);
}

static void refuse(const char *header, size_t size, bf_status wanted, const char *message) {
    static const unsigned char data[256];
    image f = make(1, header, data, size);
    refuse_image(&f, wanted, message);
}

static void reads_every_element_type(void **state) {
    (void)state;
    const double f8[] = {0.1, -INFINITY};
    const float f4[] = {0.1f, -2.5f};
    const int32_t i4[] = {-7, INT32_MAX};
    const int64_t i8[] = {-(INT64_C(1) << 53), 42};
    const uint8_t u1[] = {0, 255};
    static const char *const names[] = {"<f8", "<f4", "<i4", "<i8", "|u1", "|b1"};
    const void *const data[] = {f8, f4, i4, i8, u1, u1};
    const size_t sizes[] = {8, 4, 4, 8, 1, 1};
    const double wanted[][2] = {{0.1, -INFINITY}, {(double)0.1f, -2.5}, {-7, 2147483647.0},
                                {-9007199254740992.0, 42}, {0, 255}, {0, 1}};
    for (int version = 1; version <= 3; version++) {
        for (size_t i = 0; i < 6; i++) {
            char header[128];
            snprintf(header, sizeof header,
                     "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }   \n", names[i]);
            image f = make(version, header, data[i], 2 * sizes[i]);
            bf_array a = read_image(&f);
            assert_int_equal(a.rank, 1);
            assert_int_equal(a.dims[0], 2);
            assert_int_equal(a.count, 2);
            assert_true(a.data[0] == wanted[i][0] && a.data[1] == wanted[i][1]);
            bfi_array_clear(&a);
            assert_null(a.data);
        }
    }
    bfi_array_clear(NULL);
}

static void passes_nan_on(void **state) {
    (void)state;
    const double nan_value = NAN;
    image f = make(1, "{'descr': '<f8', 'fortran_order': False, 'shape': ()}", &nan_value, 8);
    bf_array a = read_image(&f);
    assert_int_equal(a.rank, 0);
    assert_int_equal(a.count, 1);
    assert_true(isnan(a.data[0]));
    bfi_array_clear(&a);
}

static void turns_fortran_order_round(void **state) {
    (void)state;
    uint8_t data[24];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) data[i + 2 * j + 6 * k] = (uint8_t)(12 * i + 4 * j + k);
    image f = make(2, "{\"shape\": (2, 3, 4), \"fortran_order\": True, \"descr\": \"|u1\"}\n", data, 24);
    bf_array a = read_image(&f);
    for (int i = 0; i < 24; i++) assert_true(a.data[i] == i);
    bfi_array_clear(&a);
}

static void empty_arrays(void **state) {
    (void)state;
    image f = make(1, "{'descr': '<f8', 'fortran_order': True, 'shape': (3, 0), }", NULL, 0);
    bf_array a = read_image(&f);
    assert_int_equal(a.count, 0);
    assert_non_null(a.data);
    bfi_array_clear(&a);
}

static void refuses_what_is_no_array(void **state) {
    (void)state;
    image f = make(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n", "0123456789abcdef", 16);
    for (size_t cut = 0; cut < f.size; cut++) {
        image g = f;
        g.size = cut;
        refuse_image(&g, BF_STATUS_PARSE, "");
    }
    image g = f;
    g.bytes[1] = 'X';
    refuse_image(&g, BF_STATUS_PARSE, "no .npy file");
    g = f;
    g.bytes[6] = 4;
    refuse_image(&g, BF_STATUS_UNSUPPORTED, "version");
    g = f;
    g.size++;
    refuse_image(&g, BF_STATUS_PARSE, "trailing bytes");
    const int64_t big = (INT64_C(1) << 53) + 1;
    g = make(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}", &big, 8);
    refuse_image(&g, BF_STATUS_UNSUPPORTED, "2^53");
}

static void refuses_bad_headers(void **state) {
    (void)state;
    refuse("{'descr': '>f8', 'fortran_order': False, 'shape': (2,)}", 16, BF_STATUS_UNSUPPORTED, "'>f8'");
    refuse("{'descr': '<f2', 'fortran_order': False, 'shape': (2,)}", 4, BF_STATUS_UNSUPPORTED, "'<f2'");
    refuse("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,)}", 16, BF_STATUS_UNSUPPORTED,
           "structured");
    refuse("{'descr': '<f8', 'fortran_order': 1, 'shape': (2,)}", 16, BF_STATUS_PARSE, "fortran_order");
    refuse("{'descr': '<f8', 'fortran_order': False}", 16, BF_STATUS_PARSE, "lacks descr");
    refuse("{'descr': '<f8', 'descr': '<f8', 'shape': (2,)}", 16, BF_STATUS_PARSE, "'descr'");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (-2,)}", 16, BF_STATUS_PARSE, "shape");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (2.5,)}", 16, BF_STATUS_PARSE, "shape");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': 2}", 16, BF_STATUS_PARSE, "shape");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (2,", 16, BF_STATUS_PARSE, "shape");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}", 16, BF_STATUS_PARSE,
           "truncated");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,)}", 16,
           BF_STATUS_LIMIT, "more bytes");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}", 16,
           BF_STATUS_PARSE, "shape");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", 16,
           BF_STATUS_PARSE, "shape");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", 8,
           BF_STATUS_UNSUPPORTED, "8 dimensions");
    refuse("{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} x", 8, BF_STATUS_PARSE, "behind");
    refuse("", 8, BF_STATUS_PARSE, "dictionary");
}

static void what_is_written_reads_back(void **state) {
    (void)state;
    char path[] = "/tmp/bf_test_npy_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const double data[] = {0.1, -0.0, 1e300, 5e-324, NAN, INFINITY};
    const int64_t dims[] = {1, 2, 3, 1, 1, 1, 1, 1};
    for (int32_t rank = 3; rank <= BFI_ARRAY_MAX_RANK; rank++) {
        bf_array a = {0};
        bf_error err;
        char *bytes;
        size_t size;
        assert_int_equal(bfi_npy_write_f64(path, data, dims, rank, &err), BF_STATUS_OK);
        assert_int_equal(bfi_file_read(path, 4096, &bytes, &size, &err), BF_STATUS_OK);
        assert_int_equal(size % 64, 48);
        free(bytes);
        assert_int_equal(bfi_npy_read(path, &a, &err), BF_STATUS_OK);
        assert_int_equal(a.rank, rank);
        assert_memory_equal(a.dims, dims, (size_t)rank * sizeof *dims);
        assert_memory_equal(a.data, data, sizeof data);
        bfi_array_clear(&a);
    }
    bf_array a = {0};
    assert_int_equal(bfi_npy_write_f64(path, data, dims, 0, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_npy_read(path, &a, NULL), BF_STATUS_OK);
    assert_true(a.rank == 0 && a.data[0] == 0.1);
    bfi_array_clear(&a);
    const int64_t huge[] = {INT64_MAX / 2};
    assert_int_equal(bfi_npy_write_f64(path, data, huge, 1, NULL), BF_STATUS_INVALID_ARGUMENT);
    assert_int_equal(bfi_npy_write_f64(path, data, dims, 9, NULL), BF_STATUS_INVALID_ARGUMENT);
    unlink(path);
    assert_int_equal(bfi_npy_read(path, &a, NULL), BF_STATUS_IO);
    assert_int_equal(bfi_npy_write_f64("/nonexistent/a.npy", data, dims, 3, NULL), BF_STATUS_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_element_type),  cmocka_unit_test(passes_nan_on),
        cmocka_unit_test(turns_fortran_order_round), cmocka_unit_test(empty_arrays),
        cmocka_unit_test(refuses_what_is_no_array),  cmocka_unit_test(refuses_bad_headers),
        cmocka_unit_test(what_is_written_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
