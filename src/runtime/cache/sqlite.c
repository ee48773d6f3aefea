#include "runtime/cache/sqlite.h"

bf_status bfi_sqlite_load(bfi_dylib *lib, bfi_sqlite *out, bf_error *err) {
    static const char *const names[] = {
#define BFI_SQLITE_NAME(result, name, arguments) "sqlite3_" #name,
        BFI_SQLITE_FUNCTIONS(BFI_SQLITE_NAME)
#undef BFI_SQLITE_NAME
    };
    _Static_assert(sizeof names / sizeof *names * sizeof(void *) == sizeof *out,
                   "one pointer per name");
    return bfi_dylib_load(BFI_OPTIONAL_SQLITE, lib, names, sizeof names / sizeof *names, out, err);
}
