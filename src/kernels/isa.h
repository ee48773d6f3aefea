/* The vector tables; only native.c, which asks the CPU first, may use them. */
#ifndef BFI_KERNELS_ISA_H
#define BFI_KERNELS_ISA_H

#include "kernels/kernel.h"

extern const bfi_kernels bfi_kernels_avx2_f32, bfi_kernels_avx2_f64;
extern const bfi_kernels bfi_kernels_avx512_f32, bfi_kernels_avx512_f64;

#endif
