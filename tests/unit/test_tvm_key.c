/* Keys of TVM kernels: one spelling, read back exactly, everything else refused; kernel files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "exec/tvm/kernel_file.h"
#include "exec/tvm/kernel_key.h"

static const char linear_text[] = "linear f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=0";

static bfi_tvm_kernel linear(void) {
    return (bfi_tvm_kernel){.op = BFI_TVM_OP_LINEAR,
                            .dtype = BFI_F32,
                            .p = {[BFI_TVM_M] = 256,
                                  [BFI_TVM_K] = 784,
                                  [BFI_TVM_ROWS] = 8,
                                  [BFI_TVM_VECS] = 2,
                                  [BFI_TVM_WIDTH] = 16}};
}

static void test_text(void **state) {
    (void)state;
    char text[BFI_TVM_KEY_SIZE];
    bfi_tvm_kernel k = linear(), back;
    assert_true(bfi_tvm_kernel_print(&k, text, sizeof text));
    assert_string_equal(text, linear_text);
    assert_int_equal(bfi_tvm_kernel_parse(text, &back, NULL), BF_STATUS_OK);
    assert_memory_equal(&k, &back, sizeof k);
    for (size_t size = 0; size <= strlen(linear_text); size++)
        assert_false(bfi_tvm_kernel_print(&k, text, size));
}

static void expect_round_trip(const bfi_tvm_kernel *k) {
    bfi_tvm_kernel back;
    bfi_tvm_target target, target_back;
    char text[BFI_TVM_KEY_SIZE], again[BFI_TVM_KEY_SIZE];
    bf_error err;
    assert_int_equal(bfi_tvm_kernel_check(k, &err), BF_STATUS_OK);
    assert_int_equal(bfi_tvm_target_from_cpu("x86-64-v3", &target, &err), BF_STATUS_OK);
    assert_true(bfi_tvm_key_print(k, &target, text, sizeof text));
    assert_int_equal(bfi_tvm_key_parse(text, &back, &target_back, &err), BF_STATUS_OK);
    assert_memory_equal(k, &back, sizeof back);
    assert_string_equal(target.json, target_back.json);
    assert_true(bfi_tvm_key_print(&back, &target_back, again, sizeof again));
    assert_string_equal(text, again);
}

/* Every op with every parameter at its lowest and each at its highest in turn. */
static void test_all_ops(void **state) {
    (void)state;
    static const int64_t range[BFI_TVM_PARAMS][2] = {
#define BF_TVM_PARAM(ID, name, low, high) [BFI_TVM_##ID] = {low, high},
#include "exec/tvm/kernel.def"
    };
    for (int op = 0; op < BFI_TVM_OPS; op++) {
        bfi_tvm_kernel k = {.op = (bfi_tvm_op)op, .dtype = BFI_F64};
        for (int i = 0; i < BFI_TVM_PARAMS; i++)
            if (bfi_tvm_op_has(k.op, (bfi_tvm_param)i)) k.p[i] = range[i][0];
        expect_round_trip(&k);
        k.dtype = BFI_F32, k.p[BFI_TVM_WIDTH] = 16;
        for (int i = 0; i < BFI_TVM_PARAMS; i++) {
            bool own = bfi_tvm_op_has(k.op, (bfi_tvm_param)i);
            bfi_tvm_kernel changed = k;
            changed.p[i] = own ? range[i][1] : 0;
            expect_round_trip(&changed);
            changed.p[i] = own ? range[i][1] + 1 : 1;
            assert_int_equal(bfi_tvm_kernel_check(&changed, NULL), BF_STATUS_UNSUPPORTED);
            changed.p[i] = own ? range[i][0] - 1 : -1;
            assert_int_equal(bfi_tvm_kernel_check(&changed, NULL), BF_STATUS_UNSUPPORTED);
        }
    }
}

static void test_limits(void **state) {
    (void)state;
    bfi_tvm_kernel k = linear();
    k.p[BFI_TVM_WIDTH] = 12;
    assert_int_equal(bfi_tvm_kernel_check(&k, NULL), BF_STATUS_UNSUPPORTED);
    k = linear();
    k.dtype = BFI_F64; /* 128 bytes */
    assert_int_equal(bfi_tvm_kernel_check(&k, NULL), BF_STATUS_UNSUPPORTED);
    k = linear();
    k.p[BFI_TVM_ROWS] = 16, k.p[BFI_TVM_VECS] = 4; /* 64 sums */
    assert_int_equal(bfi_tvm_kernel_check(&k, NULL), BF_STATUS_UNSUPPORTED);
    k = linear();
    k.p[BFI_TVM_M] = k.p[BFI_TVM_K] = 1 << 20;
    assert_int_equal(bfi_tvm_kernel_check(&k, NULL), BF_STATUS_UNSUPPORTED);
}

static void test_malformed(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "linear",
        "linear f32",
        "linear f16 m=256 k=784 rows=8 vecs=2 width=16 parallel=0",
        "linears f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=0",
        " linear f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=0",
        "linear  f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=0",
        "linear f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=0 ",
        "linear f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=0 m=1",
        "linear f32 k=784 m=256 rows=8 vecs=2 width=16 parallel=0",
        "linear f32 m=256 k=784 rows=8 vecs=2 width=16",
        "linear f32 m=0256 k=784 rows=8 vecs=2 width=16 parallel=0",
        "linear f32 m=+256 k=784 rows=8 vecs=2 width=16 parallel=0",
        "linear f32 m=-256 k=784 rows=8 vecs=2 width=16 parallel=0",
        "linear f32 m= k=784 rows=8 vecs=2 width=16 parallel=0",
        "linear f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=-0",
        "linear f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=2",
        "linear f32 m=256 k=784 rows=8 vecs=2 width=99999999999999999999 parallel=0",
        "linear f32 m=2x6 k=784 rows=8 vecs=2 width=16 parallel=0",
        "linear f32 m=256\nk=784 rows=8 vecs=2 width=16 parallel=0",
    };
    bfi_tvm_kernel k;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        bf_error err = {0};
        assert_int_equal(bfi_tvm_kernel_parse(bad[i], &k, &err), BF_STATUS_PARSE);
        assert_true(strlen(err.message) > 0);
    }
}

static bf_status parse_with(const char *head, const char *target) {
    char text[BFI_TVM_KEY_SIZE];
    bfi_tvm_kernel k;
    bfi_tvm_target t;
    snprintf(text, sizeof text, "%s target=%s %s", head, target, linear_text);
    return bfi_tvm_key_parse(text, &k, &t, NULL);
}

static void test_heads(void **state) {
    (void)state;
    char head[100], other[100];
    const char *v4 = "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v4\"}";
    snprintf(head, sizeof head, "abi=%d tvm=%s ffi=%s", BFI_TVM_KERNEL_ABI, BFI_TVM_VERSION,
             BFI_TVM_FFI_VERSION);
    snprintf(other, sizeof other, "abi=%d tvm=%s ffi=%s", BFI_TVM_KERNEL_ABI + 1, BFI_TVM_VERSION,
             BFI_TVM_FFI_VERSION);
    assert_int_equal(parse_with(head, v4), BF_STATUS_OK);
    assert_int_equal(parse_with(other, v4), BF_STATUS_UNSUPPORTED);
    assert_int_equal(parse_with("abi=1 tvm=0.26 ffi=0.1.14", v4), BF_STATUS_UNSUPPORTED);
    assert_int_equal(parse_with("", v4), BF_STATUS_PARSE);
    static const char *const good[] = {
        "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v3\"}",
        "{\"kind\":\"llvm\",\"mcpu\":\"znver4\",\"mattr\":[\"+prefer-256-bit\",\"-sse4a\"]}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(parse_with(head, good[i]), BF_STATUS_OK);
    static const char *const bad[] = {
        "",
        "x86-64-v4",
        "{}",
        "{\"kind\":\"cuda\",\"mcpu\":\"x86-64-v4\"}",
        "{\"kind\":\"llvm\"}",
        "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v2\"}", /* no fma */
        "{\"kind\":\"llvm\",\"mcpu\":\"\"}",
        "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v4\"",
        "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v4\"}}",
        "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v4\",\"mattr\":[]}",
        "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v4\",\"mattr\":[\"-fma\"]}",
        "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v4\",\"mattr\":[\"fma\"]}",
        "{\"kind\":\"llvm\",\"mcpu\":\"x86-64-v4\",\"fast-math\":true}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(parse_with(head, bad[i]), BF_STATUS_OK);
}

static void test_schedule(void **state) {
    (void)state;
    static const char *const cpus[] = {"x86-64-v3", "x86-64-v4"};
    for (int i = 0; i < 4; i++) {
        bfi_tvm_target target;
        assert_int_equal(bfi_tvm_target_from_cpu(cpus[i / 2], &target, NULL), BF_STATUS_OK);
        for (int64_t m = 1; m < 40; m++) {
            bfi_tvm_kernel k = linear();
            k.dtype = i % 2 ? BFI_F64 : BFI_F32;
            k.p[BFI_TVM_M] = m;
            bfi_tvm_kernel_schedule(&k, &target);
            assert_int_equal(bfi_tvm_kernel_check(&k, NULL), BF_STATUS_OK);
        }
    }
    bfi_tvm_kernel k = linear();
    assert_int_equal(bfi_tvm_kernel_terms(&k), 784);
}

/* A kernel file of |key|; every cut and every changed byte of it is refused. */
static void test_file(void **state) {
    (void)state;
    char path[] = "tvm_key_test.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    const char image[] = "some code\0and more", *key = linear_text;
    bf_error err;
    assert_int_equal(bfi_tvm_file_write(path, image, sizeof image, key, &err), BF_STATUS_OK);
    assert_int_equal(bfi_tvm_file_check(path, key, &err), BF_STATUS_OK);
    assert_int_equal(bfi_tvm_file_check(path, "linear", &err), BF_STATUS_UNSUPPORTED);
    assert_int_equal(bfi_tvm_file_check("no such file", key, &err), BF_STATUS_IO);
    char *data;
    size_t size;
    assert_int_equal(bfi_file_read(path, 1 << 20, &data, &size, &err), BF_STATUS_OK);
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(bfi_file_write(path, data, n, &err), BF_STATUS_OK);
        assert_int_equal(bfi_tvm_file_check(path, key, &err), BF_STATUS_PARSE);
        data[n] ^= 4;
        assert_int_equal(bfi_file_write(path, data, size, &err), BF_STATUS_OK);
        assert_int_equal(bfi_tvm_file_check(path, key, &err), BF_STATUS_PARSE);
        data[n] ^= 4;
    }
    free(data);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),   cmocka_unit_test(test_all_ops),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_heads),  cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
