/* The cache file: an SQLite database that many processes may use at once.
 *
 * Table entry: name (BLAKE2b-256 of the key), key and value (runtime/cache/answer.h), seal
 * (BLAKE2b-256 of key size, key and value), used (microseconds since 1970). The database has the
 * application id "BFbc" and, as user version, the version of this format; its journal is a
 * write-ahead log. A reader believes an entry when the stored key is the one asked for and the seal
 * fits. SQLite itself is opened at run time (base/optional.def).
 *
 * One bfi_disk serves one thread at a time by its own lock. */
#ifndef BFI_RUNTIME_CACHE_DISK_H
#define BFI_RUNTIME_CACHE_DISK_H

#include <stdbool.h>
#include <stddef.h>

#include "boundflow/cache.h"

typedef struct bfi_disk bfi_disk;

/* Opens |path|, creating it unless |read_only|. A file that is not a cache is not touched, not even
 * by SQLite: BF_STATUS_PARSE (foreign, damaged), BF_STATUS_UNSUPPORTED (of another version),
 * BF_STATUS_IO (no library, no permission). */
bf_status bfi_disk_open(const char *path, int64_t limit, bool read_only, bfi_disk **out,
                        bf_error *err);
void bfi_disk_close(bfi_disk *disk);

typedef enum bfi_disk_result {
    BFI_DISK_FOUND,
    BFI_DISK_ABSENT,
    BFI_DISK_DAMAGED, /* there, but not to be believed */
    BFI_DISK_FAILED   /* the file cannot be read; |err| says why */
} bfi_disk_result;

/* Looks |key| up; |value| gets |value_size| bytes when found. */
bfi_disk_result bfi_disk_read(bfi_disk *disk, const void *key, size_t key_size, void *value,
                              size_t value_size, bf_error *err);

typedef struct bfi_record {
    const void *key, *value;
    size_t key_size, value_size;
} bfi_record;

/* Writes |records| in one transaction, then drops what was used longest ago until the file meets
 * its limit; |evicted| counts. Waits at most |wait_ms| for other processes: BF_STATUS_TIMEOUT, try
 * again later. BF_STATUS_IO: it will not work later either (full, read-only, damaged). */
bf_status bfi_disk_write(bfi_disk *disk, const bfi_record *records, size_t count, int wait_ms,
                         int64_t *evicted, bf_error *err);

#endif
