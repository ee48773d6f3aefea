#include "tvm_library.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "exec/tvm/kernel_key.h"

static const char *const global_names[TVM_GLOBALS] = {
#define BF_TVM_GLOBAL(ID, name) [TVM_##ID] = name,
#include "tvm_global.def"
};

void tvm_fail(tvm *t, const char *format, ...) {
    if (t->failed) return;
    va_list list;
    va_start(list, format);
    vsnprintf(t->message, sizeof t->message, format, list);
    va_end(list);
    t->failed = true;
    for (char *c = t->message; *c; c++) /* one line, one field */
        if (*c == '\n' || *c == '\t' || *c == '\r') *c = ' ';
}

/* What an error object holds behind its head. */
typedef struct error_cell {
    bfi_ffi_bytes kind, message;
} error_cell;

/* Takes the error that a call of |what| has just raised. */
static void fail_from_tvm(tvm *t, const char *what) {
    void *error = NULL;
    t->ffi.take_error(&error);
    if (!error) {
        tvm_fail(t, "%s failed without a message", what);
        return;
    }
    const error_cell *cell = (const error_cell *)(const void *)((bfi_ffi_object *)error + 1);
    tvm_fail(t, "%s: %.*s: %.*s", what, (int)(cell->kind.size < 60 ? cell->kind.size : 60),
             cell->kind.data, (int)(cell->message.size < 800 ? cell->message.size : 800),
             cell->message.data);
    t->ffi.release(error);
}

void tvm_reset(tvm *t) {
    while (t->owned_count > 0) t->ffi.release(t->owned[--t->owned_count]);
    t->failed = false;
}

static void own(tvm *t, void *object) {
    void *items = t->owned;
    if (!bfi_grow(&items, &t->owned_capacity, t->owned_count + 1, sizeof *t->owned)) {
        t->ffi.release(object);
        tvm_fail(t, "out of memory");
        return;
    }
    t->owned = items;
    t->owned[t->owned_count++] = object;
}

any tvm_call(tvm *t, tvm_global function, const any *args, int count) {
    any result = any_none();
    if (t->failed) return result;
    /* the callee changes arguments only where they say so (rvalue references; ours never do) */
    if (t->ffi.call(t->global[function], (any *)(uintptr_t)args, count, &result)) {
        fail_from_tvm(t, global_names[function]);
        return any_none();
    }
    if (result.kind >= BFI_FFI_OBJECT) own(t, result.u.p);
    return t->failed ? any_none() : result;
}

static void *load(tvm *t, const char *folder, const char *name) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path) {
        tvm_fail(t, "%s/%s: path too long", folder, name);
        return NULL;
    }
    /* global: the compiler finds the symbols of the libraries before it */
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!library) tvm_fail(t, "%s", dlerror());
    return library;
}

/* Entry point |name|; function pointers and object pointers are alike on POSIX. */
static void find(tvm *t, void *library, const char *name, void *entry) {
    void *address = dlsym(library, name);
    if (!address) tvm_fail(t, "libtvm_ffi.so has no %s", name);
    memcpy(entry, &address, sizeof address);
}

static void find_entry_points(tvm *t, void *library) {
    find(t, library, "TVMFFIFunctionGetGlobal", &t->ffi.get_global);
    find(t, library, "TVMFFIFunctionCall", &t->ffi.call);
    find(t, library, "TVMFFIObjectDecRef", &t->ffi.release);
    find(t, library, "TVMFFIDataTypeFromString", &t->ffi.dtype_of);
    find(t, library, "TVMFFIErrorMoveFromRaised", &t->ffi.take_error);
    find(t, library, "TVMFFIGetVersion", &t->ffi.version);
}

/* Whether |folder| holds the metadata of |package|; the version it is, if another. */
static bool has_package(const char *folder, const char *package, const char *version, char *found,
                        size_t size) {
    DIR *dir = opendir(folder);
    size_t n = strlen(package);
    snprintf(found, size, "none");
    if (!dir) return false;
    bool same = false;
    for (struct dirent *e; (e = readdir(dir)) && !same;) {
        char *end = strstr(e->d_name, ".dist-info");
        if (!end || strncmp(e->d_name, package, n) != 0 || e->d_name[n] != '-') continue;
        snprintf(found, size, "%.*s", (int)(end - e->d_name - (ptrdiff_t)n - 1), e->d_name + n + 1);
        same = strcmp(found, version) == 0;
    }
    closedir(dir);
    return same;
}

static tvm_trouble check_packages(tvm *t, const char *folder) {
    static const char *const packages[][2] = {{"apache_tvm", BFI_TVM_VERSION},
                                              {"apache_tvm_ffi", BFI_TVM_FFI_VERSION}};
    for (int i = 0; i < 2; i++) {
        char found[64];
        if (has_package(folder, packages[i][0], packages[i][1], found, sizeof found)) continue;
        tvm_fail(t, "%s: version of %s is %s, need %s; install it with 'make tvm'", folder,
                 packages[i][0], found, packages[i][1]);
        return TVM_VERSION;
    }
    return TVM_FINE;
}

static tvm_trouble load_libraries(tvm *t, const char *folder) {
    void *library = load(t, folder, "tvm_ffi/lib/libtvm_ffi.so");
    if (library) find_entry_points(t, library);
    if (t->failed) return TVM_ABSENT;
    uint32_t v[3];
    char found[40];
    t->ffi.version(v);
    snprintf(found, sizeof found, "%u.%u.%u", v[0], v[1], v[2]);
    if (strcmp(found, BFI_TVM_FFI_LIBRARY_VERSION) != 0) {
        tvm_fail(t, "%s: libtvm_ffi says %s, apache-tvm-ffi " BFI_TVM_FFI_VERSION " says %s",
                 folder, found, BFI_TVM_FFI_LIBRARY_VERSION);
        return TVM_VERSION;
    }
    if (!load(t, folder, "tvm/lib/libtvm_runtime.so") ||
        !load(t, folder, "tvm/lib/libtvm_compiler.so"))
        return TVM_ABSENT;
    return TVM_FINE;
}

static tvm_trouble find_globals(tvm *t) {
    for (int i = 0; i < TVM_GLOBALS; i++) {
        bfi_ffi_bytes name = {global_names[i], strlen(global_names[i])};
        if (t->ffi.get_global(&name, &t->global[i])) {
            fail_from_tvm(t, global_names[i]);
            return TVM_MISSING_GLOBAL;
        }
        if (t->global[i]) continue;
        tvm_fail(t, "TVM has no function %s: not the version this was written for",
                 global_names[i]);
        return TVM_MISSING_GLOBAL;
    }
    return TVM_FINE;
}

tvm_trouble tvm_load(tvm *t, const char *folder) {
    char path[PATH_MAX];
    memset(t, 0, sizeof *t);
    snprintf(path, sizeof path, "%s/tvm/lib", folder);
    DIR *dir = opendir(path);
    if (!dir) {
        tvm_fail(t, "%s: %s; no TVM there, 'make tvm' installs one", path, strerror(errno));
        return TVM_ABSENT;
    }
    closedir(dir);
    struct sigaction before;
    sigaction(SIGSEGV, NULL, &before); /* libtvm_ffi installs a handler */
    tvm_trouble trouble = check_packages(t, folder);
    if (!trouble) trouble = load_libraries(t, folder);
    if (!trouble) trouble = find_globals(t);
    sigaction(SIGSEGV, &before, NULL);
    return trouble;
}
