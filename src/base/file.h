/* Whole files: read (plain or gzip, by content), write atomically. Thread-safe. */
#ifndef BFI_BASE_FILE_H
#define BFI_BASE_FILE_H

#include <stddef.h>

#include "base/status.h"

/* Reads |path|; gzip is recognised by its magic bytes. On success *|data| (free() it) holds *|size|
 * bytes and one NUL behind them. More than |limit| bytes after unpacking, a directory, a truncated
 * gzip stream and a missing file are errors that name the path. */
bf_status bfi_file_read(const char *path, size_t limit, char **data, size_t *size, bf_error *err);

/* Writes |data| beside |path| and renames it over |path|: after a failure the old file is
 * untouched. A |path| that exists and is no regular file (a device, a pipe, a symbolic link) is
 * written through. */
bf_status bfi_file_write(const char *path, const void *data, size_t size, bf_error *err);

/* Creates a new file beside |path|, to be renamed over it; its name is left in |temporary|, which
 * has |length| >= strlen(path) + BFI_FILE_BESIDE bytes. The descriptor, or -1 and errno. */
enum { BFI_FILE_BESIDE = 48 };
int bfi_file_beside(const char *path, char *temporary, size_t length);

#endif
