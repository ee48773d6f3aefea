/* A session's compiled kernels: found in its store, compiled where they are not, loaded once.
 * Thread-safe. */
#ifndef BFI_EXEC_TVM_LIBRARY_H
#define BFI_EXEC_TVM_LIBRARY_H

#include "base/budget.h"
#include "boundflow/tvm.h"
#include "exec/tvm/loader.h"
#include "exec/tvm/record.h"

typedef struct bfi_library bfi_library;

/* |stop| outlives the library. Looks where the store is, and makes nothing. */
bf_status bfi_library_create(bfi_pool *pool, const atomic_int *stop, bfi_library **out,
                             bf_error *err);
/* Kernels that plans hold stay loaded. */
void bfi_library_free(bfi_library *library);

/* Of the session; implemented where sessions are (runtime/session.c). */
bfi_library *bfi_session_library(const bf_session *session);

bf_status bfi_library_configure(bfi_library *library, const bf_tvm_options *options, bf_error *err);
bf_tvm_stats bfi_library_stats(bfi_library *library);
bool bfi_library_strict(bfi_library *library);
bfi_pool *bfi_library_pool(const bfi_library *library);
const atomic_int *bfi_library_stop(const bfi_library *library);

/* Where a kernel came from. */
typedef enum bfi_origin {
    BFI_ORIGIN_NONE,
    BFI_ORIGIN_STORED,   /* the store had it */
    BFI_ORIGIN_COMPILED, /* by this session */
    BFI_ORIGIN_FAILED    /* nowhere: see reason */
} bfi_origin;

typedef struct bfi_kernel_request {
    bfi_tvm_kernel kernel; /* with its schedule */
    bfi_tvm_target target;
    bfi_compiled *compiled; /* provided: one reference, or NULL */
    bfi_origin origin;      /* provided */
    char reason[200];       /* provided when there is none */
} bfi_kernel_request;

/* Answers |count| requests. Kernels that are not stored are compiled when |compile|. A kernel that
 * cannot be had is no error of the call. BF_STATUS_TIMEOUT (|deadline|, 0: none) and
 * BF_STATUS_CANCELLED leave requests unanswered; the caller releases what they hold all the same.
 */
bf_status bfi_library_get(bfi_library *library, bfi_kernel_request *requests, int count,
                          bool compile, double deadline, bf_error *err);

/* How long the kernel table's and the compiled kernel took when they were measured on this machine;
 * zero: they were not. A record that cannot be used counts as none. */
typedef struct bfi_timing {
    double native_s, compiled_s;
} bfi_timing;
bf_status bfi_library_measured(bfi_library *library, const bfi_tvm_kernel *kernel,
                               const bfi_tvm_target *target, bfi_timing *out, bf_error *err);

/* Adds |count| measures of keys to the record on disk. BF_STATUS_IO: the store has no folder that
 * can be written. */
bf_status bfi_library_record(bfi_library *library, const bfi_measure *measures, int count,
                             bf_error *err);

#endif
