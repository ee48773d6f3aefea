/* Picks the kernel table for the CPU at hand. */
#include <stddef.h>
#include <string.h>

#include "kernels/kernel.h"

const bfi_kernels *bfi_kernels_native(bfi_dtype dtype, const char *isa) {
    if (!isa || strcmp(isa, "ref") == 0) return bfi_kernels_ref(dtype);
    return NULL;
}
