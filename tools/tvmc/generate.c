#include "generate.h"

static void (*const generators[BFI_TVM_OPS])(gen *) = {
    [BFI_TVM_OP_LINEAR] = gen_linear,         [BFI_TVM_OP_LINEAR_RELAX] = gen_linear_relax,
    [BFI_TVM_OP_RELAX] = gen_relax,           [BFI_TVM_OP_RELAX_ONE] = gen_relax_one,
    [BFI_TVM_OP_ACCUMULATE] = gen_accumulate,
};

any tvmc_generate(tvm *t, const bfi_tvm_kernel *kernel) {
    gen g = {.k = kernel, .width = (int)kernel->p[BFI_TVM_WIDTH]};
    if (!generators[kernel->op]) {
        tvm_fail(t, "no generator for %s", bfi_tvm_op_row(kernel->op)->name);
        return any_none();
    }
    tir_begin(&g.b, t, kernel->dtype);
    generators[kernel->op](&g);
    return tir_finish(&g.b, kernel->op == BFI_TVM_OP_RELAX || kernel->op == BFI_TVM_OP_RELAX_ONE);
}
