/* Numbers of both dtypes seen as double, in buffers between guard pages: a read or write outside a
 * buffer is a segmentation fault. */
#ifndef BF_TESTS_GUARDED_NUMBERS_H
#define BF_TESTS_GUARDED_NUMBERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fp.h"

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static inline uint64_t random_bits(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1du;
}

/* In [low, high]. */
static inline int64_t random_int(int64_t low, int64_t high) {
    return low + (int64_t)((random_bits() >> 20) % (uint64_t)(high - low + 1));
}

static inline bool chance(int64_t percent) { return random_int(0, 99) < percent; }

/* Elements between two guard pages; starts right after the first or ends right before the second.
 */
typedef struct buffer {
    bfi_dtype dtype;
    int64_t n;
    void *data;
    unsigned char *map;
    size_t map_size;
} buffer;

static inline buffer buffer_new(bfi_dtype dtype, int64_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size_t)n * (dtype == BFI_F32 ? 4 : 8);
    size_t body = (bytes + page - 1) / page * page;
    buffer b = {.dtype = dtype, .n = n, .map_size = body + 2 * page};
    b.map = mmap(NULL, b.map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(b.map != MAP_FAILED);
    if (body) assert_int_equal(mprotect(b.map + page, body, PROT_READ | PROT_WRITE), 0);
    b.data = b.map + page + (chance(60) ? body - bytes : 0);
    return b;
}

static inline void buffer_free(buffer *b) { assert_int_equal(munmap(b->map, b->map_size), 0); }

static inline double get(const buffer *b, int64_t i) {
    return b->dtype == BFI_F32 ? (double)((const float *)b->data)[i] : ((const double *)b->data)[i];
}

static inline void set(buffer *b, int64_t i, double x) {
    if (b->dtype == BFI_F32)
        ((float *)b->data)[i] = (float)x;
    else
        ((double *)b->data)[i] = x;
}

/* How often special values (zeros, infinities, NaN, subnormals, huge numbers) occur, in percent. */
static inline double random_number(bfi_dtype dtype, int64_t special) {
    double x = (double)(int64_t)(random_bits() >> 11) * 0x1p-52 - 1;
    if (!chance(special)) return x;
    double tiny = dtype == BFI_F32 ? 0x1p-140 : 0x1p-1060,
           huge = dtype == BFI_F32 ? 0x1p127 : 0x1p1023;
    switch (random_int(0, 9)) {
        case 0:
            return INFINITY;
        case 1:
            return -INFINITY;
        case 2:
            return NAN;
        case 3:
            return -0.0;
        case 4:
            return x * huge;
        case 5:
            return x * tiny;
        case 6:
            return x < 0 ? -tiny : tiny;
        default:
            return 0;
    }
}

static inline buffer buffer_random(bfi_dtype dtype, int64_t n, int64_t special) {
    buffer b = buffer_new(dtype, n);
    for (int64_t i = 0; i < n; i++) set(&b, i, random_number(dtype, special));
    return b;
}

/* Output buffers start out as 77 everywhere. */
static inline buffer buffer_filled(bfi_dtype dtype, int64_t n) {
    buffer b = buffer_new(dtype, n);
    for (int64_t i = 0; i < n; i++) set(&b, i, 77);
    return b;
}

/* The same number, and the same zero of the two; what kind of NaN does not matter. */
static inline bool same(double a, double b) {
    return (a == b && signbit(a) == signbit(b)) || (isnan(a) && isnan(b));
}

static inline int64_t random_special(void) { return chance(70) ? 0 : chance(50) ? 2 : 20; }

/* Ascending numbers below |n|, each with one chance, in |list|; how many. */
static inline int32_t random_subset(int64_t n, int32_t *list) {
    int32_t count = 0;
    int64_t share = random_int(0, 100);
    for (int64_t j = 0; j < n; j++)
        if (chance(share)) list[count++] = (int32_t)j;
    return count;
}

#endif
