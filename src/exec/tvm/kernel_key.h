/* What a TVM kernel is, and its name in text: the key of the kernel cache.
 *
 * Text of a kernel:  linear f32 m=256 k=784 rows=8 vecs=2 width=16 parallel=0
 * Key:               abi=2 tvm=0.27.0.post1 ffi=0.1.14.post1
 * target={"kind":"llvm","mcpu":"x86-64-v4"} <kernel> Both have exactly one spelling (order of
 * kernel.def, single spaces, decimal without leading zeros), so that equal keys are equal strings:
 * a compiled kernel is right for a caller iff its key is. */
#ifndef BFI_EXEC_TVM_KERNEL_KEY_H
#define BFI_EXEC_TVM_KERNEL_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fp.h"
#include "base/status.h"

/* Raised whenever generated code or its calling convention changes: old cache entries lose. */
#define BFI_TVM_KERNEL_ABI 2

/* The packages that the generators are written for and tested with, and what the ffi library of
 * that package says about itself (TVMFFIGetVersion). */
#define BFI_TVM_VERSION "0.27.0.post1"
#define BFI_TVM_FFI_VERSION "0.1.14.post1"
#define BFI_TVM_FFI_LIBRARY_VERSION "0.1.15"

typedef enum bfi_tvm_param {
#define BF_TVM_PARAM(ID, name, low, high) BFI_TVM_##ID,
#include "exec/tvm/kernel.def"
    BFI_TVM_PARAMS
} bfi_tvm_param;

typedef enum bfi_tvm_op {
#define BF_TVM_KERNEL(ID, name, parameters, tensors, integers, terms) BFI_TVM_OP_##ID,
#include "exec/tvm/kernel.def"
    BFI_TVM_OPS
} bfi_tvm_op;

/* A kernel: p[] of the parameters of its row, 0 elsewhere. */
typedef struct bfi_tvm_kernel {
    bfi_tvm_op op;
    bfi_dtype dtype;
    int64_t p[BFI_TVM_PARAMS];
} bfi_tvm_kernel;

/* A row of kernel.def; texts are words separated by single spaces. */
typedef struct bfi_tvm_op_info {
    const char *name, *parameters, *tensors, *integers, *terms;
} bfi_tvm_op_info;
const bfi_tvm_op_info *bfi_tvm_op_row(bfi_tvm_op op);

/* Whether the op's row names the parameter. */
bool bfi_tvm_op_has(bfi_tvm_op op, bfi_tvm_param param);

/* Words in a text of a row: how many tensors or integers a kernel takes. */
int bfi_tvm_words(const char *text);

/* The CPU code is made for, as TVM's target JSON: {"kind":"llvm","mcpu":"NAME"} and, if any,
 * ,"mattr":["+x","-y"] before the brace. No spaces. */
enum { BFI_TVM_TARGET_SIZE = 256, BFI_TVM_KEY_SIZE = 1024 };
typedef struct bfi_tvm_target {
    char json[BFI_TVM_TARGET_SIZE];
} bfi_tvm_target;

/* The level (x86-64-v4 or x86-64-v3) of this CPU; false, and an empty text, when it is below v3 or
 * no x86-64: kernels need fma. Levels and not models: CPUs of a level share cached kernels. */
bool bfi_tvm_target_host(bfi_tvm_target *target);

/* Target of a -mcpu name. BF_STATUS_UNSUPPORTED for a name that is no x86 level or model known to
 * have fma and AVX2. */
bf_status bfi_tvm_target_from_cpu(const char *mcpu, bfi_tvm_target *target, bf_error *err);

/* Fills in the schedule parameters of |kernel| (sizes and variant are set) for |target|. */
void bfi_tvm_kernel_schedule(bfi_tvm_kernel *kernel, const bfi_tvm_target *target);

/* Most sums that a register tile may hold. */
enum { BFI_TVM_TILE_SUMS = 48 };

/* Every parameter within the range of its row, arrays of less than 2^40 elements, a register tile
 * that exists. BF_STATUS_UNSUPPORTED otherwise, with the parameter's name. */
bf_status bfi_tvm_kernel_check(const bfi_tvm_kernel *kernel, bf_error *err);

/* Text of a kernel, and of a key. False when it does not fit into |size| bytes (BFI_TVM_KEY_SIZE
 * always does for a checked kernel). */
bool bfi_tvm_kernel_print(const bfi_tvm_kernel *kernel, char *text, size_t size);
bool bfi_tvm_key_print(const bfi_tvm_kernel *kernel, const bfi_tvm_target *target, char *text,
                       size_t size);

/* The way back; anything but the one spelling of a checked kernel is BF_STATUS_PARSE, a key of
 * another ABI or other versions BF_STATUS_UNSUPPORTED. */
bf_status bfi_tvm_kernel_parse(const char *text, bfi_tvm_kernel *kernel, bf_error *err);
bf_status bfi_tvm_key_parse(const char *text, bfi_tvm_kernel *kernel, bfi_tvm_target *target,
                            bf_error *err);

/* Length of the longest sum over |k| (or c_src*kh*kw); 1 for elementwise kernels, 0 when it is the
 * integer argument n. Sums keep the order of base/fp.h: their depth is bfi_sum_depth of this. */
int64_t bfi_tvm_kernel_terms(const bfi_tvm_kernel *kernel);

/* Most bytes that a call has from the workspace slot at one time, whatever its lanes. */
int64_t bfi_tvm_kernel_workspace(const bfi_tvm_kernel *kernel);

#endif
