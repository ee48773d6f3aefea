/* The store of compiled kernels: a private folder of kernel files (kernel_file.h), one per key.
 *
 * An entry is loaded as code, so the folder has to belong to this user and be writable by nobody
 * else, and no folder above it may be writable by everybody (unless sticky, as /tmp). The file name
 * is a hash of the kernel's key; the key itself and a checksum stand in the file and are compared
 * before anything is loaded: a corrupt, truncated, foreign or older entry is an absent one, and is
 * replaced when its kernel is compiled again. Entries appear by rename, so processes share a folder
 * without locks. Where the folder cannot be written, new entries go to a folder of this process
 * alone, which bfi_store_free removes. Not thread-safe: the caller locks. */
#ifndef BFI_EXEC_TVM_STORE_H
#define BFI_EXEC_TVM_STORE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Longest path of an entry, with its NUL. */
enum { BFI_STORE_PATH = PATH_MAX };

typedef struct bfi_kernel_store bfi_kernel_store;

/* Makes nothing: the folder appears with its first entry. |folder| NULL: $BOUNDFLOW_TVM_CACHE, else
 * $XDG_CACHE_HOME/boundflow/tvm, else
 * ~/.cache/boundflow/tvm. A folder that cannot be used is no error: see bfi_store_problem. */
bf_status bfi_store_open(const char *folder, bfi_kernel_store **out, bf_error *err);
void bfi_store_free(bfi_kernel_store *store);

/* The folder asked for ("" when there is none), and why it is not used or not written; NULL: it is.
 */
const char *bfi_store_folder(const bfi_kernel_store *store);
const char *bfi_store_problem(const bfi_kernel_store *store);

/* Path of the entry of |key| in |path| (BFI_STORE_PATH bytes). False: there is none that is whole
 * and ours; |why| (|size| bytes) then says what was found instead, "" when nothing was. */
bool bfi_store_find(const bfi_kernel_store *store, const char *key, char *path, char *why,
                    size_t size);

/* Path of the record of measurements (record.h), BFI_STORE_PATH bytes; false: the folder is not
 * there, or not to be used. */
bool bfi_store_record(const bfi_kernel_store *store, char *path);

/* Where the entry of |key| is to be written, whatever is there now: |path| has BFI_STORE_PATH
 * bytes. May make the process's own folder. BF_STATUS_IO: no folder at all can be written. */
bf_status bfi_store_place(bfi_kernel_store *store, const char *key, char *path, bf_error *err);

#endif
