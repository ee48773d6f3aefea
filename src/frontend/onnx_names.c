/* Open addressing over an array of values; names point into the protobuf message. */
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx_import.h"

struct bfi_onnx_names {
    bfi_onnx_value *values;
    size_t count, capacity;
    size_t *slots;  /* index into values plus one; 0: empty */
    size_t n_slots; /* power of two, at least twice the count */
};

/* FNV-1a: the table is rebuilt when half full, so that chains stay short for honest files. */
static size_t hash_of(const char *name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return (size_t)(h ^ h >> 32);
}

/* Slot of |name|, or the empty one where it belongs. */
static size_t slot_of(const bfi_onnx_names *names, const char *name) {
    size_t at = hash_of(name) & (names->n_slots - 1);
    while (names->slots[at] && strcmp(names->values[names->slots[at] - 1].name, name) != 0)
        at = (at + 1) & (names->n_slots - 1);
    return at;
}

static bool rehash(bfi_onnx_names *names, size_t n_slots) {
    size_t *slots = bfi_calloc(n_slots, sizeof *slots);
    if (!slots) return false;
    free(names->slots);
    names->slots = slots;
    names->n_slots = n_slots;
    for (size_t i = 0; i < names->count; i++) slots[slot_of(names, names->values[i].name)] = i + 1;
    return true;
}

bfi_onnx_names *bfi_onnx_names_new(size_t expected) {
    bfi_onnx_names *names = bfi_calloc(1, sizeof *names);
    size_t n_slots = 64;
    while (n_slots / 2 < expected && n_slots < (size_t)1 << 24) n_slots *= 2;
    if (names && rehash(names, n_slots)) return names;
    free(names);
    return NULL;
}

void bfi_onnx_names_free(bfi_onnx_names *names) {
    if (!names) return;
    for (size_t i = 0; i < names->count; i++) bfi_tensor_free(names->values[i].constant);
    free(names->values);
    free(names->slots);
    free(names);
}

bfi_onnx_value *bfi_onnx_names_find(const bfi_onnx_names *names, const char *name) {
    size_t slot = names->slots[slot_of(names, name)];
    return slot ? &names->values[slot - 1] : NULL;
}

bool bfi_onnx_names_define(bfi_onnx_names *names, const bfi_onnx_value *value, bool *existing) {
    *existing = bfi_onnx_names_find(names, value->name) != NULL;
    if (*existing) return true;
    if (names->count + 1 > names->n_slots / 2 && !rehash(names, names->n_slots * 2)) return false;
    void *values = names->values;
    if (!bfi_grow(&values, &names->capacity, names->count + 1, sizeof *names->values)) return false;
    names->values = values;
    names->values[names->count++] = *value;
    names->slots[slot_of(names, value->name)] = names->count;
    return true;
}
