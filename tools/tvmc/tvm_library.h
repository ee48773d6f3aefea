/* TVM's compiler, loaded at run time: its functions by name, objects owned by an arena, errors that
 * stick.
 *
 * After the first failure every call returns at once with an any of kind NONE and the first message
 * stays, so that generators need no checks; whoever starts a kernel begins with tvm_reset and ends
 * with tvm_failed. One tvm per process (the libraries are loaded once and stay), one thread. */
#ifndef TVMC_TVM_LIBRARY_H
#define TVMC_TVM_LIBRARY_H

#include <stdbool.h>

#include "exec/tvm/ffi_abi.h"

typedef bfi_ffi_any any;

typedef enum tvm_global {
#define BF_TVM_GLOBAL(ID, name) TVM_##ID,
#include "tvm_global.def"
    TVM_GLOBALS
} tvm_global;

/* Why the compiler cannot be had; the program's exit codes. */
typedef enum tvm_trouble {
    TVM_FINE = 0,
    TVM_USAGE = 2,
    TVM_ABSENT = 10,
    TVM_VERSION,
    TVM_MISSING_GLOBAL,
    TVM_UNSUPPORTED,
    TVM_COMPILE,
    TVM_LINK,
    TVM_DISK
} tvm_trouble;

typedef struct tvm_entry_points {
    int (*get_global)(const bfi_ffi_bytes *name, void **function);
    int (*call)(void *function, any *args, int32_t count, any *result);
    int (*release)(void *object);
    int (*dtype_of)(const bfi_ffi_bytes *text, bfi_dl_dtype *dtype);
    void (*take_error)(void **error);
    void (*version)(uint32_t version[3]);
} tvm_entry_points;

typedef struct tvm {
    tvm_entry_points ffi;
    void *global[TVM_GLOBALS];
    void **owned;
    size_t owned_count, owned_capacity;
    bool failed;
    char message[1024];
} tvm;

/* Loads the libraries under |folder| (see README.md), checks the versions, finds every global. On
 * trouble the message says what is wrong and what to do. Leaves the process's SIGSEGV handler as it
 * was. */
tvm_trouble tvm_load(tvm *t, const char *folder);

/* Releases all objects made since, and forgets the failure. */
void tvm_reset(tvm *t);

/* Records a failure of our own; the first one stays. */
void tvm_fail(tvm *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Calls a global; the result is owned by |t| until tvm_reset. */
any tvm_call(tvm *t, tvm_global function, const any *args, int count);

/* CALL(t, ADD, a, b) */
#define CALL(t, ID, ...)                              \
    tvm_call(t, TVM_##ID, (const any[]){__VA_ARGS__}, \
             (int)(sizeof((const any[]){__VA_ARGS__}) / sizeof(any)))
#define CALL0(t, ID) tvm_call(t, TVM_##ID, NULL, 0)

/* Arguments that are no objects; texts are borrowed. */
static inline any any_none(void) { return (any){.kind = BFI_FFI_NONE}; }
static inline any any_int(int64_t i) { return (any){.kind = BFI_FFI_INT, .u.i = i}; }
static inline any any_bool(bool b) { return (any){.kind = BFI_FFI_BOOL, .u.i = b}; }
static inline any any_float(double f) { return (any){.kind = BFI_FFI_FLOAT, .u.f = f}; }
static inline any any_text(const char *s) { return (any){.kind = BFI_FFI_TEXT, .u.text = s}; }
static inline any any_dtype(bfi_dl_dtype d) { return (any){.kind = BFI_FFI_DTYPE, .u.dtype = d}; }

#endif
