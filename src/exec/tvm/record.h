/* What was measured on this machine: a text file beside the compiled kernels, one kernel a line. */
#ifndef BFI_EXEC_TVM_RECORD_H
#define BFI_EXEC_TVM_RECORD_H

#include <stddef.h>

#include "base/status.h"

typedef struct bfi_measure {
    char *key; /* of the kernel (kernel_key.h) */
    double native_s, compiled_s;
} bfi_measure;

/* All zero: empty. */
typedef struct bfi_record {
    bfi_measure *items;
    int count;
    size_t capacity;
} bfi_record;

/* Reads |path|; a file that is missing gives an empty record. BF_STATUS_PARSE for one that is no
 * record, of another version, or damaged; nothing of it is used then. */
bf_status bfi_record_read(const char *path, bfi_record *out, bf_error *err);

/* Replaces |path| in one step; for this user alone. */
bf_status bfi_record_write(const char *path, const bfi_record *record, bf_error *err);

/* The measure of |key|, NULL: none. */
const bfi_measure *bfi_record_find(const bfi_record *record, const char *key);

/* Adds or replaces the measure of |key|. */
bf_status bfi_record_put(bfi_record *record, const char *key, double native_s, double compiled_s,
                         bf_error *err);

void bfi_record_clear(bfi_record *record);

#endif
