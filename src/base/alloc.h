/* Memory with checked sizes. All blocks are freed with free() unless said otherwise. Thread-safe.
 */
#ifndef BFI_BASE_ALLOC_H
#define BFI_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* True when |a|*|b| (or the sum) fits; the result is stored in |out|. */
static inline bool bfi_mul_size(size_t a, size_t b, size_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool bfi_add_size(size_t a, size_t b, size_t *out) {
    return !__builtin_add_overflow(a, b, out);
}
static inline bool bfi_mul_i64(int64_t a, int64_t b, int64_t *out) {
    return !__builtin_mul_overflow(a, b, out);
}

/* Zeroed block of |count| elements of |size| bytes; NULL when it does not fit or memory is out.
 * |count| 0 gives a valid one-element block, so that NULL always means failure. */
static inline void *bfi_calloc(size_t count, size_t size) {
    return calloc(count ? count : 1, size ? size : 1);
}

/* Uninitialised block, same contract as bfi_calloc. */
static inline void *bfi_malloc(size_t count, size_t size) {
    size_t bytes;
    if (!bfi_mul_size(count, size, &bytes)) return NULL;
    return malloc(bytes ? bytes : 1);
}

/* 64-byte aligned block of |bytes| (rounded up to 64), not zeroed; free() releases it. */
static inline void *bfi_alloc_aligned(size_t bytes) {
    size_t rounded;
    if (!bfi_add_size(bytes, 63, &rounded)) return NULL;
    rounded &= ~(size_t)63;
    return aligned_alloc(64, rounded ? rounded : 64);
}

/* Grows *|items| (elements of |size| bytes) so that |need| fit; amortised doubling.
 * False on failure, *|items| and *|capacity| unchanged. */
bool bfi_grow(void **items, size_t *capacity, size_t need, size_t size);

/* Copy of |text|, or NULL. */
char *bfi_strdup(const char *text);
char *bfi_strndup(const char *text, size_t length);

#endif
