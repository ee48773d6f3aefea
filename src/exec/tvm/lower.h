/* From a plan's ops to the kernels that TVM compiles for them. */
#ifndef BFI_EXEC_TVM_LOWER_H
#define BFI_EXEC_TVM_LOWER_H

#include "exec/tvm/kernel_key.h"
#include "kernels/kernel.h"

/* The shape of |c| in the parameters BFI_TVM_GROUPS to BFI_TVM_TRANSPOSED of |p|. */
void bfi_kernel_conv_shape(const bfi_conv *c, int64_t *p);

/* Target of a kernel table's instruction set ("avx2", "avx512"); false: TVM has none for it. */
bool bfi_kernel_target(const char *isa, bfi_tvm_target *target);

#endif
