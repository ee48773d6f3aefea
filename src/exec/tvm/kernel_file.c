#include "exec/tvm/kernel_file.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

/* Behind the key: its length, and the hash of all bytes before the hash. */
#define FOOTER "\nbftvm %08x %016" PRIx64 "\n"
enum { FOOTER_SIZE = 1 + 6 + 8 + 1 + 16 + 1, HASH_SIZE = 16 + 1, FILE_LIMIT = 64 << 20 };

/* FNV-1a over words of eight bytes, each step mixed so that high bits reach low ones. */
static uint64_t hash_of(const char *data, size_t size) {
    uint64_t h = 0xcbf29ce484222325u ^ size, word;
    for (; size > 0; data += sizeof word) {
        size_t n = size < sizeof word ? size : sizeof word;
        word = 0;
        memcpy(&word, data, n);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 29;
        size -= n;
    }
    return h;
}

/* Footer of the |size| bytes at |data|, the last |key_size| of which are the key. */
static void write_footer(char *data, size_t size, size_t key_size) {
    char text[FOOTER_SIZE + 1];
    snprintf(text, sizeof text, FOOTER, (unsigned int)key_size, (uint64_t)0);
    memcpy(data + size, text, FOOTER_SIZE);
    uint64_t hash = hash_of(data, size + FOOTER_SIZE - HASH_SIZE);
    snprintf(text, sizeof text, FOOTER, (unsigned int)key_size, hash);
    memcpy(data + size, text, FOOTER_SIZE);
}

bf_status bfi_tvm_file_write(const char *path, const void *image, size_t size, const char *key,
                             bf_error *err) {
    size_t key_size = strlen(key);
    char *data = bfi_malloc(size + key_size + FOOTER_SIZE, 1);
    if (!data) return bfi_fail_memory(err);
    memcpy(data, image, size);
    memcpy(data + size, key, key_size);
    write_footer(data, size + key_size, key_size);
    bf_status status = bfi_file_write(path, data, size + key_size + FOOTER_SIZE, err);
    free(data);
    return status;
}

/* Whether |data| ends in the footer that its own bytes ask for; the key's length. */
static bool sound(const char *data, size_t size, size_t *key_size) {
    char want[FOOTER_SIZE + 1];
    unsigned int length;
    if (size < FOOTER_SIZE) return false;
    const char *footer = data + size - FOOTER_SIZE;
    if (sscanf(footer, "\nbftvm %8x ", &length) != 1 || length > size - FOOTER_SIZE) return false;
    *key_size = length;
    snprintf(want, sizeof want, FOOTER, length, hash_of(data, size - HASH_SIZE));
    return memcmp(footer, want, FOOTER_SIZE) == 0;
}

bf_status bfi_tvm_file_check(const char *path, const char *key, bf_error *err) {
    char *data = NULL;
    size_t size, key_size;
    bf_status status = bfi_file_read(path, FILE_LIMIT, &data, &size, err);
    if (status) return status;
    if (!sound(data, size, &key_size))
        status = bfi_fail(err, BF_STATUS_PARSE, "%s: truncated, corrupt or no kernel file", path);
    else if (key_size != strlen(key) ||
             memcmp(data + size - FOOTER_SIZE - key_size, key, key_size) != 0)
        status =
            bfi_fail(err, BF_STATUS_UNSUPPORTED, "%s: holds another kernel, '%.*s'", path,
                     (int)(key_size < 200 ? key_size : 200), data + size - FOOTER_SIZE - key_size);
    free(data);
    return status;
}
