/* Shared libraries opened at run time: the optional ones of optional.def, and files by their path.
 * What is absent is an error whose message says where was looked and how to get it; callers go on
 * without. Thread-safe. */
#ifndef BFI_BASE_DYLIB_H
#define BFI_BASE_DYLIB_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Value of an environment variable that means: do without, look nowhere. */
#define BFI_NONE "none"

typedef enum bfi_optional {
#define BF_OPTIONAL(ID, name, variable, candidates, version, purpose, advice) BFI_OPTIONAL_##ID,
#include "base/optional.def"
    BFI_OPTIONAL_COUNT
} bfi_optional;

typedef struct bfi_optional_info {
    const char *name, *variable, *candidates, *version, *purpose, *advice;
} bfi_optional_info;

extern const bfi_optional_info bfi_optionals[BFI_OPTIONAL_COUNT];

/* Owned by who opened it; all zero: closed. */
typedef struct bfi_dylib {
    void *handle;
    char path[PATH_MAX]; /* of the file, as the loader resolved it */
} bfi_dylib;

/* Opens an optional library: by its environment variable alone when that is set, else the first
 * candidate that loads. BF_STATUS_IO when there is none, |out| is closed then. */
bf_status bfi_dylib_open(bfi_optional which, bfi_dylib *out, bf_error *err);

/* Opens the file |path| (with a slash; symbols stay local). BF_STATUS_IO with the loader's reason.
 */
bf_status bfi_dylib_open_file(const char *path, bfi_dylib *out, bf_error *err);

/* Both: opens |which| and fills |slots|; after a failure nothing is open. */
bf_status bfi_dylib_load(bfi_optional which, bfi_dylib *out, const char *const *names, size_t count,
                         void *slots, bf_error *err);

/* Fills |slots|, a struct of |count| function pointers and nothing else, with the functions
 * |names|. BF_STATUS_UNSUPPORTED names the first that the library lacks (another version). */
bf_status bfi_dylib_functions(const bfi_dylib *lib, const char *const *names, size_t count,
                              void *slots, bf_error *err);

/* Address of one symbol (function or data), NULL when absent. */
void *bfi_dylib_symbol(const bfi_dylib *lib, const char *name);

/* Takes NULL and what is closed. Pointers into the library end here. */
void bfi_dylib_close(bfi_dylib *lib);

/* Absolute folder of the running program, without a slash at its end; false where the system does
 * not tell or |size| is too small. */
bool bfi_program_folder(char *out, size_t size);

#endif
