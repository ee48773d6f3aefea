/* Questions and answers for cache tests, made from a number: the same number, the same bits.
 * Everything asserts. */
#ifndef BF_TESTS_CACHE_KIT_H
#define BF_TESTS_CACHE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "runtime/cache/cache.h"

enum { ASK_MOST = 64 };

/* A question and room for its answer. Call ask_ready after changing anything. */
typedef struct asked {
    bfi_digest what;
    double lo[ASK_MOST], hi[ASK_MOST], spec[ASK_MOST], enough[ASK_MOST];
    bfi_split_name splits[4];
    bfi_region region;
    bfi_question q;
    double values[BFI_PARTS][ASK_MOST];
    bfi_answer answer;
} asked;

static inline uint64_t ask_bits(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static inline double ask_number(uint64_t *state) {
    return (double)(int64_t)ask_bits(state) / 0x1p28 - 4;
}

static inline void ask_ready(asked *a) {
    a->region.lo = a->lo, a->region.hi = a->hi, a->region.splits = a->splits;
    a->region.hash = bfi_region_hash(&a->region);
    a->q.what = &a->what, a->q.region = &a->region;
    a->q.spec = a->q.spec_count ? a->spec : NULL;
    for (int i = 0; i < BFI_PARTS; i++)
        a->answer.part[i] = a->q.parts >> i & 1 ? a->values[i] : NULL;
}

/* The answer that belongs to question |number|. */
static inline void ask_answer(asked *a, uint64_t number) {
    uint64_t state = number * 977 + 5;
    for (int64_t i = 0; i < a->q.count; i++) {
        a->values[0][i] = ask_number(&state);
        a->values[1][i] = a->values[0][i] + (double)ask_bits(&state) / 0x1p28;
        a->values[2][i] = (double)ask_bits(&state) / 0x1p48;
    }
}

static inline void ask_make(asked *a, uint64_t number) {
    uint64_t state = number;
    memset(a, 0, sizeof *a);
    for (size_t i = 0; i < sizeof a->what; i++) a->what.bytes[i] = (uint8_t)ask_bits(&state);
    a->region.inputs = 1 + (int64_t)(ask_bits(&state) % 7);
    a->q.count = 1 + (int64_t)(ask_bits(&state) % 20);
    a->q.parts = 1 + (unsigned)(ask_bits(&state) % 7);
    a->q.spec_count = (int64_t)(ask_bits(&state) % 3) * 4;
    a->region.split_count = (int64_t)(ask_bits(&state) % 3);
    if (ask_bits(&state) % 3 == 0) a->q.enough = a->enough;
    for (int64_t i = 0; i < a->q.count; i++) a->enough[i] = ask_number(&state);
    for (int64_t i = 0; i < a->region.inputs; i++) {
        a->lo[i] = ask_number(&state);
        a->hi[i] = a->lo[i] + (double)ask_bits(&state) / 0x1p28;
    }
    for (int64_t i = 0; i < a->q.spec_count; i++) a->spec[i] = ask_number(&state);
    for (int64_t i = 0; i < a->region.split_count; i++)
        a->splits[i] = (bfi_split_name){{number, 1}, 2 * i + (int64_t)(ask_bits(&state) % 2), 0};
    ask_ready(a);
    ask_answer(a, number);
}

static inline void ask_put(bf_cache *cache, uint64_t number) {
    asked a;
    ask_make(&a, number);
    bfi_cache_put(cache, &a.q, &a.answer);
}

/* True when |number| is found, and then with its own bits. */
static inline bool ask_get(bf_cache *cache, uint64_t number) {
    asked a, right;
    ask_make(&right, number);
    ask_make(&a, number);
    memset(a.values, 0x55, sizeof a.values);
    if (!bfi_cache_get(cache, &a.q, &a.answer)) return false;
    for (int i = 0; i < BFI_PARTS; i++)
        if (a.q.parts >> i & 1)
            assert_memory_equal(a.values[i], right.values[i], (size_t)a.q.count * sizeof(double));
    return true;
}

static inline size_t ask_bytes(uint64_t number) {
    asked a;
    size_t key, value;
    ask_make(&a, number);
    assert_true(bfi_question_sizes(&a.q, &key, &value));
    return bfi_cache_entry_bytes(key, value);
}

static inline bf_cache *cache_new(bf_cache_options options) {
    bf_cache *cache = NULL;
    bf_error err = {""};
    if (bf_cache_create(&options, &cache, &err)) fail_msg("%s", err.message);
    return cache;
}

#endif
