#include "base/alloc.h"

#include <string.h>

bool bfi_grow(void **items, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity) return true;
    size_t wanted = *capacity ? *capacity : 8;
    while (wanted < need)
        if (!bfi_mul_size(wanted, 2, &wanted)) return false;
    size_t bytes;
    if (!bfi_mul_size(wanted, size, &bytes)) return false;
    void *grown = realloc(*items, bytes);
    if (!grown) return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

char *bfi_strndup(const char *text, size_t length) {
    char *copy = bfi_malloc(length + 1, 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *bfi_strdup(const char *text) { return bfi_strndup(text, strlen(text)); }
