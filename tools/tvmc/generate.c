#include "generate.h"

static void (*const generators[BFI_TVM_OPS])(gen *) = {
    [BFI_TVM_OP_LINEAR] = gen_linear,
    [BFI_TVM_OP_LINEAR_ONE] = gen_linear_one,
    [BFI_TVM_OP_LINEAR_RELAX] = gen_linear_relax,
    [BFI_TVM_OP_CONV] = gen_conv,
    [BFI_TVM_OP_CONV_ONE] = gen_conv_one,
    [BFI_TVM_OP_INTERVAL_LINEAR] = gen_interval_linear,
    [BFI_TVM_OP_INTERVAL_CONV] = gen_interval_conv,
    [BFI_TVM_OP_RELAX] = gen_relax,
    [BFI_TVM_OP_RELAX_ONE] = gen_relax_one,
    [BFI_TVM_OP_ACCUMULATE] = gen_accumulate,
};

any tvmc_generate(tvm *t, const bfi_tvm_kernel *kernel) {
    gen g = {.k = kernel, .width = (int)kernel->p[BFI_TVM_WIDTH]};
    tir_begin(&g.b, t, kernel->dtype);
    generators[kernel->op](&g);
    return tir_finish(&g.b, kernel->op == BFI_TVM_OP_RELAX || kernel->op == BFI_TVM_OP_RELAX_ONE);
}
