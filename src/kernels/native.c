/* Picks the kernel table for the CPU at hand. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "kernels/isa.h"
#include "kernels/kernel.h"

/* These match the instruction sets that CMake allows in each folder. */
static bool cpu_has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool cpu_has_avx512(void) {
    return cpu_has_avx2() && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw");
}

const bfi_kernels *bfi_kernels_native(bfi_dtype dtype, const char *isa) {
    bool f32 = dtype == BFI_F32;
    if ((!isa || strcmp(isa, "avx512") == 0) && cpu_has_avx512())
        return f32 ? &bfi_kernels_avx512_f32 : &bfi_kernels_avx512_f64;
    if ((!isa || strcmp(isa, "avx2") == 0) && cpu_has_avx2())
        return f32 ? &bfi_kernels_avx2_f32 : &bfi_kernels_avx2_f64;
    if (!isa || strcmp(isa, "ref") == 0) return bfi_kernels_ref(dtype);
    return NULL;
}
