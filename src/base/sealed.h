/* Files that are believed whole or not at all: a stream of numbers behind a magic word, sealed with
 * its length and a BLAKE2b hash. Written beside the path, then put in its place at once; numbers
 * are little-endian. The seal tells damage, not malice: whoever can write the file can seal it.
 *
 * Writers and readers belong to one thread. */
#ifndef BFI_BASE_SEALED_H
#define BFI_BASE_SEALED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct bfi_sealed_writer bfi_sealed_writer;

/* Starts a file that shall be |path|; |magic| has 8 characters. */
bf_status bfi_sealed_create(const char *path, const char *magic, bfi_sealed_writer **out,
                            bf_error *err);

/* Appends. What goes wrong is kept for the end. */
void bfi_sealed_put(bfi_sealed_writer *writer, const void *data, size_t size);
void bfi_sealed_put_integer(bfi_sealed_writer *writer, int64_t value);
void bfi_sealed_put_double(bfi_sealed_writer *writer, double value);

/* Seals the file, has it reach the disk and puts it in the place of what was there; *bytes is its
 * size. After a failure the old file stands. Frees |writer|. */
bf_status bfi_sealed_commit(bfi_sealed_writer *writer, int64_t *bytes, bf_error *err);

/* Gives the file up; NULL is allowed. */
void bfi_sealed_discard(bfi_sealed_writer *writer);

typedef struct bfi_sealed_reader bfi_sealed_reader;

/* Reads the whole file once: BF_STATUS_PARSE when it does not begin with |magic|, or its seal does
 * not fit. */
bf_status bfi_sealed_open(const char *path, const char *magic, bfi_sealed_reader **out,
                          bf_error *err);
void bfi_sealed_close(bfi_sealed_reader *reader);

/* The next |size| bytes; false when fewer are left, or the file changed meanwhile. */
bool bfi_sealed_get(bfi_sealed_reader *reader, void *data, size_t size);
bool bfi_sealed_get_integer(bfi_sealed_reader *reader, int64_t *value);
bool bfi_sealed_get_double(bfi_sealed_reader *reader, double *value);

/* Bytes before the seal: counts of a file are checked against it before they are believed. */
int64_t bfi_sealed_left(const bfi_sealed_reader *reader);

#endif
