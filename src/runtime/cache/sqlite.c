#include "runtime/cache/sqlite.h"

bf_status bfi_sqlite_load(bfi_dylib *lib, bfi_sqlite *out, bf_error *err) {
    static const char *const names[] = {
#define BFI_SQLITE_NAME(result, name, arguments) "sqlite3_" #name,
        BFI_SQLITE_FUNCTIONS(BFI_SQLITE_NAME)
#undef BFI_SQLITE_NAME
    };
    _Static_assert(sizeof names / sizeof *names * sizeof(void *) == sizeof *out,
                   "one pointer per name");
    bf_status status = bfi_dylib_open(BFI_OPTIONAL_SQLITE, lib, err);
    if (status != BF_STATUS_OK) return status;
    status = bfi_dylib_functions(lib, names, sizeof names / sizeof *names, out, err);
    if (status != BF_STATUS_OK) bfi_dylib_close(lib);
    return status;
}
