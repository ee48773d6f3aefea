#include "exec/tvm/record.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "exec/tvm/kernel_key.h"

#define HEADER "boundflow-tune 1"
enum { LARGEST = 16 << 20 };

void bfi_record_clear(bfi_record *record) {
    for (int i = 0; i < record->count; i++) free(record->items[i].key);
    free(record->items);
    *record = (bfi_record){0};
}

const bfi_measure *bfi_record_find(const bfi_record *record, const char *key) {
    for (int i = 0; i < record->count; i++)
        if (strcmp(record->items[i].key, key) == 0) return &record->items[i];
    return NULL;
}

bf_status bfi_record_put(bfi_record *record, const char *key, double native_s, double compiled_s,
                         bf_error *err) {
    bfi_measure *m = (bfi_measure *)(uintptr_t)bfi_record_find(record, key);
    if (!m) {
        char *copy = bfi_strdup(key);
        if (!copy || !bfi_grow((void **)&record->items, &record->capacity,
                               (size_t)record->count + 1, sizeof *record->items)) {
            free(copy);
            return bfi_fail_memory(err);
        }
        m = &record->items[record->count++];
        m->key = copy;
    }
    m->native_s = native_s, m->compiled_s = compiled_s;
    return BF_STATUS_OK;
}

static bool plausible(double seconds) { return isfinite(seconds) && seconds > 0 && seconds < 1e6; }

/* "NATIVE COMPILED KEY", in picoseconds. */
static bf_status read_line(const char *path, int number, char *line, bfi_record *out,
                           bf_error *err) {
    char *end;
    double native = (double)strtoll(line, &end, 10) * 1e-12;
    double compiled = *end == ' ' ? (double)strtoll(end + 1, &end, 10) * 1e-12 : 0;
    if (*end != ' ' || strncmp(end + 1, "abi=", 4) != 0 || !plausible(native) ||
        !plausible(compiled))
        return bfi_fail(err, BF_STATUS_PARSE, "%s:%d: not 'PS PS KEY'; run boundflow tune again",
                        path, number);
    return bfi_record_put(out, end + 1, native, compiled, err);
}

bf_status bfi_record_read(const char *path, bfi_record *out, bf_error *err) {
    struct stat info;
    char *data = NULL, *rest;
    size_t size;
    *out = (bfi_record){0};
    if (stat(path, &info) != 0) return BF_STATUS_OK;
    bf_status status = bfi_file_read(path, LARGEST, &data, &size, err);
    if (status != BF_STATUS_OK) return status;
    int number = 1;
    bool whole = size > 0 && data[size - 1] == '\n' && strlen(data) == size;
    char *line = strtok_r(data, "\n", &rest);
    if (!whole || !line || strcmp(line, HEADER) != 0)
        status = bfi_fail(err, BF_STATUS_PARSE,
                          "%s: no whole record of version 1; run boundflow tune again", path);
    while (status == BF_STATUS_OK && (line = strtok_r(NULL, "\n", &rest)))
        status = read_line(path, ++number, line, out, err);
    if (status != BF_STATUS_OK) bfi_record_clear(out);
    free(data);
    return status;
}

bf_status bfi_record_write(const char *path, const bfi_record *record, bf_error *err) {
    size_t room = sizeof HEADER + 1, used;
    for (int i = 0; i < record->count; i++) room += strlen(record->items[i].key) + 64;
    char *text = bfi_malloc(room, 1);
    if (!text) return bfi_fail_memory(err);
    used = (size_t)snprintf(text, room, HEADER "\n");
    for (int i = 0; i < record->count; i++) {
        const bfi_measure *m = &record->items[i];
        used += (size_t)snprintf(text + used, room - used, "%lld %lld %s\n",
                                 (long long)(m->native_s * 1e12), (long long)(m->compiled_s * 1e12),
                                 m->key);
    }
    bf_status status = bfi_file_write(path, text, used, err);
    if (status == BF_STATUS_OK) chmod(path, 0600);
    free(text);
    return status;
}
