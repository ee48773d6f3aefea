/* From a PrimFunc to a shared object in memory. */
#ifndef TVMC_EMIT_H
#define TVMC_EMIT_H

#include "exec/tvm/kernel_key.h"
#include "tvm_library.h"

/* Lowers |function| for |target| and writes an object file; a failure sticks in |t|. */
void emit_object(tvm *t, any function, const bfi_tvm_target *target, const char *path);

/* Links |object| into the shared object |path| with ld, or cc where there is no ld. Fills |err|. */
tvm_trouble emit_shared(const char *object, const char *path, bf_error *err);

#endif
