/* BLAKE2b against RFC 7693: appendix A ("abc"), appendix E (all digest sizes and odd lengths). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/blake2b.h"

static void hash(const void *data, size_t length, size_t size, uint8_t *out) {
    bfi_blake2b h;
    bfi_blake2b_start(&h, size);
    bfi_blake2b_add(&h, data, length);
    bfi_blake2b_end(&h, out);
}

static void abc(void **state) {
    (void)state;
    static const uint8_t right[64] = {
        0xBA, 0x80, 0xA5, 0x3F, 0x98, 0x1C, 0x4D, 0x0D, 0x6A, 0x27, 0x97, 0xB6, 0x9F,
        0x12, 0xF6, 0xE9, 0x4C, 0x21, 0x2F, 0x14, 0x68, 0x5A, 0xC4, 0xB7, 0x4B, 0x12,
        0xBB, 0x6F, 0xDB, 0xFF, 0xA2, 0xD1, 0x7D, 0x87, 0xC5, 0x39, 0x2A, 0xAB, 0x79,
        0x2D, 0xC2, 0x52, 0xD5, 0xDE, 0x45, 0x33, 0xCC, 0x95, 0x18, 0xD3, 0x8A, 0xA8,
        0xDB, 0xF1, 0x92, 0x5A, 0xB9, 0x23, 0x86, 0xED, 0xD4, 0x00, 0x99, 0x23};
    uint8_t got[64];
    hash("abc", 3, 64, got);
    assert_memory_equal(got, right, sizeof right);
}

/* RFC 7693, appendix E: selftest_seq. */
static void sequence(uint8_t *out, size_t length, uint32_t seed) {
    uint32_t a = 0xDEAD4BAD * seed, b = 1;
    for (size_t i = 0; i < length; i++) {
        uint32_t t = a + b;
        a = b, b = t;
        out[i] = (uint8_t)(t >> 24);
    }
}

/* The RFC's self-test without its keyed half. The expected value is from Python's hashlib, with
 * which the whole self-test gives the RFC's c23a78...d475. */
static void sizes(void **state) {
    (void)state;
    static const size_t digests[4] = {20, 32, 48, 64}, inputs[6] = {0, 3, 128, 129, 255, 1024};
    static const uint8_t right[32] = {0x68, 0x1F, 0x34, 0x5A, 0xD5, 0x3C, 0x63, 0x60,
                                      0x21, 0x4E, 0xA5, 0x00, 0xFD, 0x25, 0x9E, 0xDD,
                                      0xDB, 0xCA, 0x77, 0x5F, 0x60, 0x5F, 0xAD, 0x81,
                                      0xB9, 0xB1, 0x89, 0xD6, 0xD8, 0x8E, 0x15, 0xC6};
    uint8_t data[1024], digest[64], got[32];
    bfi_blake2b all;
    bfi_blake2b_start(&all, 32);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 6; j++) {
            sequence(data, inputs[j], (uint32_t)inputs[j]);
            hash(data, inputs[j], digests[i], digest);
            bfi_blake2b_add(&all, digest, digests[i]);
        }
    bfi_blake2b_end(&all, got);
    assert_memory_equal(got, right, sizeof right);
}

static void pieces(void **state) {
    (void)state;
    uint8_t data[700], whole[32], parts[32];
    sequence(data, sizeof data, 5);
    for (size_t length = 0; length <= sizeof data; length += 7) {
        hash(data, length, 32, whole);
        for (size_t step = 1; step < 300; step += 41) {
            bfi_blake2b h;
            bfi_blake2b_start(&h, 32);
            for (size_t at = 0; at < length; at += step)
                bfi_blake2b_add(&h, data + at, length - at < step ? length - at : step);
            bfi_blake2b_end(&h, parts);
            assert_memory_equal(parts, whole, sizeof whole);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(abc), cmocka_unit_test(sizes),
                                       cmocka_unit_test(pieces)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
