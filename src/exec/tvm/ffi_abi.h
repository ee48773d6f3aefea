/* The part of TVM's C interface that compiled kernels and boundflow-tvmc use, declared again so
 * that BoundFlow builds without TVM: layouts of DLPack 1.x, tvm-ffi 0.1 and TVM's C backend
 * interface, which are Copyright (c) Apache Software Foundation and the DLPack contributors,
 * licensed under the Apache License, Version 2.0 (https://www.apache.org/licenses/LICENSE-2.0). No
 * code of theirs is copied; names are ours except where a symbol of theirs is meant.
 *
 * Calling convention of a compiled kernel, symbol BFI_TVM_KERNEL_SYMBOL of its shared object:
 *   int kernel(void *self, const bfi_ffi_any *args, int32_t count, bfi_ffi_any *result)
 * self NULL; args the tensors and then the integers of its row in kernel.def; result a zeroed any,
 * untouched; returns 0. Tensors: device {BFI_DL_CPU, 0}, strides NULL (compact), byte_offset 0,
 * data 64-byte aligned, ndim 1 and shape the number of elements; outputs overlap nothing, except
 * that relax may write its input. None of this is checked inside (the assertions are compiled
 * away): who calls, checks. Kernels keep no state, so that any number of threads may run one at
 * once, provided the slots below were filled before the first call. */
#ifndef BFI_EXEC_TVM_FFI_ABI_H
#define BFI_EXEC_TVM_FFI_ABI_H

#include <stddef.h>
#include <stdint.h>

#define BFI_TVM_KERNEL_SYMBOL "__tvm_ffi_bf_kernel"

enum { BFI_DL_CPU = 1 };
enum { BFI_DL_INT = 0, BFI_DL_UINT = 1, BFI_DL_FLOAT = 2, BFI_DL_BOOL = 6 };

typedef struct bfi_dl_device {
    int32_t type, id;
} bfi_dl_device;

typedef struct bfi_dl_dtype {
    uint8_t code, bits;
    uint16_t lanes;
} bfi_dl_dtype;

typedef struct bfi_dl_tensor {
    void *data;
    bfi_dl_device device;
    int32_t ndim;
    bfi_dl_dtype dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} bfi_dl_tensor;

/* Kinds of an any; objects (reference counted) start at BFI_FFI_OBJECT. */
enum {
    BFI_FFI_NONE = 0,
    BFI_FFI_INT = 1,
    BFI_FFI_BOOL = 2,
    BFI_FFI_FLOAT = 3,
    BFI_FFI_DTYPE = 5,
    BFI_FFI_TENSOR = 7,
    BFI_FFI_TEXT = 8, /* const char *, borrowed */
    BFI_FFI_SMALL_STRING = 11,
    BFI_FFI_OBJECT = 64,
    BFI_FFI_STRING = 65,
    BFI_FFI_BYTES = 66
};

typedef struct bfi_ffi_any {
    int32_t kind;
    uint32_t small_length; /* of a small string; else 0 */
    union {
        int64_t i;
        double f;
        void *p;
        const char *text;
        bfi_dl_dtype dtype;
        char bytes[8];
    } u;
} bfi_ffi_any;

typedef struct bfi_ffi_bytes {
    const char *data;
    size_t size;
} bfi_ffi_bytes;

/* Head of every object; strings, bytes and errors continue right behind it. */
typedef struct bfi_ffi_object {
    uint64_t references;
    int32_t kind;
    uint32_t padding;
    void (*deleter)(void *, int);
} bfi_ffi_object;

typedef int bfi_tvm_kernel_fn(void *self, const bfi_ffi_any *args, int32_t count,
                              bfi_ffi_any *result);

/* Slots: pointer variables that a kernel's shared object may export, NULL until the host fills
 * them. A kernel whose slot is NULL when it needs it jumps to address 0. */
#define BFI_TVM_SLOT_ALLOC "__TVMBackendAllocWorkspace"
#define BFI_TVM_SLOT_FREE "__TVMBackendFreeWorkspace"
#define BFI_TVM_SLOT_LAUNCH "__TVMBackendParallelLaunch"
#define BFI_TVM_SLOT_BARRIER "__TVMBackendParallelBarrier"

/* Alloc: 64-byte aligned or NULL (the kernel then returns -1). Calls nest like a stack. */
typedef void *bfi_tvm_alloc_fn(int device_type, int device_id, uint64_t bytes, int dtype_code,
                               int dtype_bits);
typedef int bfi_tvm_free_fn(int device_type, int device_id, void *block);

/* Launch runs task(i, group, data) for i in [0, count), any i on any thread, and returns when all
 * have, 0 when all returned 0. count 0: as many tasks as the host likes, told in group->tasks. */
typedef struct bfi_tvm_group {
    void *sync;
    int32_t tasks;
} bfi_tvm_group;
typedef int bfi_tvm_task_fn(int index, bfi_tvm_group *group, void *data);
typedef int bfi_tvm_launch_fn(bfi_tvm_task_fn *task, void *data, int count);

_Static_assert(sizeof(bfi_ffi_any) == 16, "layout of tvm-ffi");
_Static_assert(sizeof(bfi_dl_tensor) == 48, "layout of DLPack");
_Static_assert(sizeof(bfi_ffi_object) == 24, "layout of tvm-ffi");

#endif
