/* Where TVM and the compile helper are. Only looks: nothing is loaded, so that a process whose
 * kernels are cached pays a few system calls. Thread-safe. */
#ifndef BFI_EXEC_TVM_LOCATE_H
#define BFI_EXEC_TVM_LOCATE_H

#include <limits.h>
#include <stdbool.h>

#include "base/status.h"
#include "exec/tvm/kernel_key.h" /* BFI_TVM_VERSION, BFI_TVM_FFI_VERSION */

/* How to get TVM, and the compile helper. */
#define BFI_TVM_ADVICE "'make tvm' in BoundFlow's checkout puts it in .tvm"
#define BFI_TVMC_ADVICE "'make build' makes it; or set BOUNDFLOW_TVMC to it"

/* A folder laid out like Python's site-packages: tvm/, tvm_ffi/ and their .dist-info. */
typedef struct bfi_tvm_place {
    char folder[PATH_MAX];             /* absolute, no links, no slash at the end */
    char version[32], ffi_version[32]; /* of the packages, by their .dist-info */
    const char *origin;                /* what named it: "--tvm", "BOUNDFLOW_TVM", ... */
} bfi_tvm_place;

/* Below |folder| of a place. */
#define BFI_TVM_LIB_FFI "tvm_ffi/lib/libtvm_ffi.so"
#define BFI_TVM_LIB_RUNTIME "tvm/lib/libtvm_runtime.so"
#define BFI_TVM_LIB_COMPILER "tvm/lib/libtvm_compiler.so"

/* Looks at |given| (of --tvm; may be NULL), else BOUNDFLOW_TVM, else .tvm in the folder above the
 * program's, else $XDG_DATA_HOME/boundflow/tvm (~/.local/share/boundflow/tvm). The first two, when
 * they are set, are the only place looked at; "none" means no TVM. BF_STATUS_IO when there is none,
 * BF_STATUS_UNSUPPORTED when it is another version: the message says what to do. */
bf_status bfi_tvm_locate(const char *given, bfi_tvm_place *out, bf_error *err);

/* The compile helper boundflow-tvmc: BOUNDFLOW_TVMC, else beside the program, in the folder above
 * it, in ../libexec/boundflow, or beside the shared library that this code is in. BF_STATUS_IO when
 * there is none that can be run. |out| has PATH_MAX bytes. */
bf_status bfi_tvm_locate_helper(char *out, bf_error *err);

#endif
