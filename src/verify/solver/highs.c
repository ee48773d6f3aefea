#include "verify/solver/highs.h"

bf_status bfi_highs_load(bfi_dylib *lib, bfi_highs *out, bf_error *err) {
    static const char *const names[] = {
#define BFI_HIGHS_NAME(result, name, arguments) "Highs_" #name,
        BFI_HIGHS_FUNCTIONS(BFI_HIGHS_NAME)
#undef BFI_HIGHS_NAME
    };
    _Static_assert(sizeof names / sizeof *names * sizeof(void *) == sizeof *out,
                   "one pointer per name");
    return bfi_dylib_load(BFI_OPTIONAL_HIGHS, lib, names, sizeof names / sizeof *names, out, err);
}
