/* Compiled kernels in this process: loading, and calling them with memory and threads of the plan.
 *
 * A kernel allocates nothing itself: what it asks for through its slots comes out of the calling
 * worker's part of the workspace, and its parallel loops run on the session's pool (one after the
 * other when the caller is itself an item of the pool). The slots take no context, so it hangs on a
 * thread-local pointer that is set around each call. */
#ifndef BFI_EXEC_TVM_LOADER_H
#define BFI_EXEC_TVM_LOADER_H

#include <stdatomic.h>

#include "base/thread_pool.h"
#include "exec/tvm/ffi_abi.h"
#include "exec/tvm/kernel_key.h"
#include "plan/compiler.h"

struct bfi_compiled {
    atomic_int references;
    void *handle;
    bfi_tvm_kernel_fn *call;
    bfi_tvm_kernel kernel;
    atomic_int failures; /* calls that failed: the table's kernel ran instead */
};

/* Loads the shared object |path|, which holds |kernel|. On success |*out| has one reference. The
 * caller vouches for the file: it is run. */
bf_status bfi_compiled_load(const char *path, const bfi_tvm_kernel *kernel, bfi_compiled **out,
                            bf_error *err);
bfi_compiled *bfi_compiled_retain(bfi_compiled *kernel);

/* What a call may use: |bytes| at |arena| + worker * |stride| for each of |workers| workers. */
typedef struct bfi_kernel_host {
    bfi_pool *pool; /* NULL: no threads */
    char *arena;
    int64_t stride, bytes;
    int workers, worker;
} bfi_kernel_host;

/* Most tensors and integers of a kernel. */
enum { BFI_KERNEL_TENSORS = 12, BFI_KERNEL_INTEGERS = 4 };

typedef struct bfi_kernel_call {
    const bfi_kernel_host *host;
    int tensors, integers;
    struct {
        const void *data; /* 64-byte aligned, or NULL */
        int64_t count;
    } tensor[BFI_KERNEL_TENSORS];
    int64_t integer[BFI_KERNEL_INTEGERS];
} bfi_kernel_call;

/* Runs the kernel. False when it failed (no memory in the workspace's part for what it asks): its
 * outputs then hold anything, and failures counts it. Thread-safe. */
bool bfi_compiled_call(bfi_compiled *kernel, const bfi_kernel_call *call);

#endif
