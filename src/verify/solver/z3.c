#include "verify/solver/z3.h"

bf_status bfi_z3_load(bfi_dylib *lib, bfi_z3_functions *out, bf_error *err) {
    static const char *const names[] = {
#define BFI_Z3_NAME(result, name, arguments) "Z3_" #name,
        BFI_Z3_FUNCTIONS(BFI_Z3_NAME)
#undef BFI_Z3_NAME
    };
    _Static_assert(sizeof names / sizeof *names * sizeof(void *) == sizeof *out,
                   "one pointer per name");
    return bfi_dylib_load(BFI_OPTIONAL_Z3, lib, names, sizeof names / sizeof *names, out, err);
}
