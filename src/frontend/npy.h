/* NumPy's .npy files: numbers in, numbers out. */
#ifndef BFI_FRONTEND_NPY_H
#define BFI_FRONTEND_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "boundflow/status.h"

#define BFI_ARRAY_MAX_RANK 8

/* Numbers in C order. Owned by its holder, released with bfi_array_clear. */
typedef struct bf_array {
    int32_t rank; /* 0: one number */
    int64_t dims[BFI_ARRAY_MAX_RANK];
    int64_t count; /* product of dims */
    double *data;  /* never NULL after a successful read, even when count is 0 */
} bf_array;

/* Reads a .npy file (version 1 to 3, plain or gzip) of little-endian f4, f8, i4, i8, or u1, b1, in C or
 * Fortran order. Every value is exact in |out|; an i8 beyond 2^53 is refused. NaN and infinity are
 * passed on: refusing them is up to the caller. The file must end where the data do. On failure |out|
 * is untouched. Thread-safe. */
bf_status bfi_npy_read(const char *path, bf_array *out, bf_error *err);

/* The same from memory; |name| is used in messages. */
bf_status bfi_npy_parse(const void *bytes, size_t size, const char *name, bf_array *out,
                        bf_error *err);

/* Writes |data| (product of |dims| numbers, C order) as version 1.0, '<f8', whole or not at all. */
bf_status bfi_npy_write_f64(const char *path, const double *data, const int64_t *dims, int32_t rank,
                            bf_error *err);

/* Frees the numbers and zeroes |array|, which may be NULL or zeroed. */
void bfi_array_clear(bf_array *array);

#endif
