/* Every allocation of the library, counted and failed on demand: the linker sends malloc and its
 * kin here (--wrap, see tests/CMakeLists.txt). Include once per program. Not for several threads at
 * once. */
#ifndef BF_TESTS_ALLOC_KIT_H
#define BF_TESTS_ALLOC_KIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

static atomic_long alloc_calls;   /* so far */
static atomic_long alloc_live;    /* blocks not freed */
static atomic_long alloc_fail_at; /* the call that fails, counted from alloc_calls 0; 0: none */

static bool alloc_allowed(void) {
    long call = atomic_fetch_add(&alloc_calls, 1) + 1;
    return call != atomic_load(&alloc_fail_at);
}

static void *alloc_count(void *block) {
    if (block) atomic_fetch_add(&alloc_live, 1);
    return block;
}

/* The |n|-th allocation from now fails, 1 being the next; 0: none. */
static inline void alloc_fail(long n) {
    atomic_store(&alloc_calls, 0);
    atomic_store(&alloc_fail_at, n);
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

void *__wrap_malloc(size_t size) {
    return alloc_allowed() ? alloc_count(__real_malloc(size)) : NULL;
}
void *__wrap_calloc(size_t count, size_t size) {
    return alloc_allowed() ? alloc_count(__real_calloc(count, size)) : NULL;
}
void *__wrap_realloc(void *block, size_t size) {
    if (!alloc_allowed()) return NULL;
    void *grown = __real_realloc(block, size);
    return block ? grown : alloc_count(grown);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return alloc_allowed() ? alloc_count(__real_aligned_alloc(alignment, size)) : NULL;
}
void __wrap_free(void *block) {
    if (block) atomic_fetch_sub(&alloc_live, 1);
    __real_free(block);
}

#endif
