/* A compiled kernel on disk: a shared object with its key and a checksum behind it (loaders ignore
 * what follows an ELF image). Written by boundflow-tvmc, checked by the host before it loads the
 * code. */
#ifndef BFI_EXEC_TVM_KERNEL_FILE_H
#define BFI_EXEC_TVM_KERNEL_FILE_H

#include <stddef.h>

#include "base/status.h"

/* Writes |image| and |key| to |path| through a temporary name and a rename: a reader sees the old
 * file or the whole new one. */
bf_status bfi_tvm_file_write(const char *path, const void *image, size_t size, const char *key,
                             bf_error *err);

/* OK when |path| holds a kernel of exactly |key|, unaltered. BF_STATUS_IO when it cannot be read,
 * BF_STATUS_PARSE when it is truncated, corrupt or no kernel file, BF_STATUS_UNSUPPORTED when it is
 * a sound file of another key (an older version's, or a hash collision). */
bf_status bfi_tvm_file_check(const char *path, const char *key, bf_error *err);

#endif
