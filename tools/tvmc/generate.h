/* Kernel generators: one function per row of kernel.def, from the kernel's numbers to a PrimFunc.
 */
#ifndef TVMC_GENERATE_H
#define TVMC_GENERATE_H

#include "exec/tvm/kernel_key.h"
#include "tir_builder.h"

/* A PrimFunc of |kernel|, whose arguments are those of its row; a failure sticks in |t|. */
any tvmc_generate(tvm *t, const bfi_tvm_kernel *kernel);

/* What all generators have. */
typedef struct gen {
    tir b;
    const bfi_tvm_kernel *k;
    int width; /* elements of a vector */
} gen;

static inline int64_t gen_p(const gen *g, bfi_tvm_param param) { return g->k->p[param]; }

void gen_linear(gen *g);
void gen_linear_relax(gen *g);
void gen_linear_one(gen *g);
void gen_conv(gen *g);
void gen_conv_one(gen *g);
void gen_interval_linear(gen *g);
void gen_interval_conv(gen *g);
void gen_relax(gen *g);
void gen_relax_one(gen *g);
void gen_accumulate(gen *g);

#endif
