#include "frontend/vnnlib.h"

#include <stdlib.h>

#include "base/file.h"

bf_status bf_property_parse(const char *text, size_t length, const char *name, bf_property **out,
                            bf_error *err) {
    bfi_vnnlib_formula formula = {0};
    bf_status status = bfi_vnnlib_read(text, length, name, &formula, err);
    if (status == BF_STATUS_OK) status = bfi_vnnlib_expand(&formula, out, err);
    bfi_vnnlib_formula_clear(&formula);
    return status;
}

bf_status bf_property_load(const char *path, bf_property **out, bf_error *err) {
    char *text = NULL;
    size_t length = 0;
    bf_status status = bfi_file_read(path, (size_t)BFI_VNNLIB_MAX_BYTES, &text, &length, err);
    if (status == BF_STATUS_OK) status = bf_property_parse(text, length, path, out, err);
    free(text);
    return status;
}
