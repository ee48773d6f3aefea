#include "exec/tvm/locate.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dylib.h"

#define HELPER "boundflow-tvmc"

/* False when it does not fit. */
static bool join(char *out, const char *folder, const char *name) {
    int length = snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return length > 0 && length < PATH_MAX;
}

static bool is_there(const char *folder, const char *name) {
    char path[PATH_MAX];
    struct stat info;
    return join(path, folder, name) && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* The version in the name |package|-VERSION.dist-info, if |entry| is that. */
static void read_version(const char *entry, const char *package, char *out, size_t size) {
    size_t prefix = strlen(package), length = strlen(entry), suffix = strlen(".dist-info");
    if (length <= prefix + 1 + suffix || strncmp(entry, package, prefix) != 0 ||
        entry[prefix] != '-' || strcmp(entry + length - suffix, ".dist-info") != 0)
        return;
    snprintf(out, size, "%.*s", (int)(length - suffix - prefix - 1), entry + prefix + 1);
}

static void read_versions(bfi_tvm_place *place) {
    DIR *folder = opendir(place->folder);
    if (!folder) return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        read_version(entry->d_name, "apache_tvm", place->version, sizeof place->version);
        read_version(entry->d_name, "apache_tvm_ffi", place->ffi_version,
                     sizeof place->ffi_version);
    }
    closedir(folder);
}

static bf_status inspect(const char *folder, const char *origin, bfi_tvm_place *out,
                         bf_error *err) {
    *out = (bfi_tvm_place){.origin = origin};
    if (!realpath(folder, out->folder)) {
        out->folder[0] = '\0';
        return bfi_fail(err, BF_STATUS_IO, "TVM: %s (%s) does not exist: " BFI_TVM_ADVICE, folder,
                        origin);
    }
    static const char *const needed[] = {BFI_TVM_LIB_FFI, BFI_TVM_LIB_RUNTIME,
                                         BFI_TVM_LIB_COMPILER};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!is_there(out->folder, needed[i]))
            return bfi_fail(err, BF_STATUS_IO, "TVM: %s (%s) has no %s: " BFI_TVM_ADVICE,
                            out->folder, origin, needed[i]);
    read_versions(out);
    if (strcmp(out->version, BFI_TVM_VERSION) != 0 ||
        strcmp(out->ffi_version, BFI_TVM_FFI_VERSION) != 0)
        return bfi_fail(
            err, BF_STATUS_UNSUPPORTED,
            "TVM: %s (%s) holds apache-tvm %s and apache-tvm-ffi %s, not " BFI_TVM_VERSION
            " and " BFI_TVM_FFI_VERSION ": " BFI_TVM_ADVICE,
            out->folder, origin, *out->version ? out->version : "(no version)",
            *out->ffi_version ? out->ffi_version : "(no version)");
    return BF_STATUS_OK;
}

/* The places that need not be named, in order; false past the last or where one does not apply. */
static bool usual_place(int number, char *out, const char **origin) {
    char base[PATH_MAX];
    if (number == 0) {
        *origin = "beside the build folder";
        return bfi_program_folder(base, sizeof base) && join(out, base, "../.tvm");
    }
    *origin = "the user's data folder";
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (data && *data == '/') return join(out, data, "boundflow/tvm");
    return home && *home == '/' && join(out, home, ".local/share/boundflow/tvm");
}

bf_status bfi_tvm_locate(const char *given, bfi_tvm_place *out, bf_error *err) {
    *out = (bfi_tvm_place){.origin = ""};
    const char *variable = getenv("BOUNDFLOW_TVM");
    const char *named = given ? given : variable && *variable ? variable : NULL;
    const char *origin = given ? "--tvm" : "BOUNDFLOW_TVM";
    if (named && strcmp(named, BFI_NONE) == 0)
        return bfi_fail(err, BF_STATUS_IO, "TVM: not used, as %s says: none", origin);
    if (named) return inspect(named, origin, out, err);
    char folder[PATH_MAX], looked[2 * PATH_MAX + 8] = "";
    for (int i = 0; i < 2; i++) {
        struct stat info;
        if (!usual_place(i, folder, &origin)) continue;
        if (stat(folder, &info) == 0) return inspect(folder, origin, out, err);
        size_t used = strlen(looked);
        snprintf(looked + used, sizeof looked - used, "%s%s", used ? ", " : "", folder);
    }
    return bfi_fail(err, BF_STATUS_IO, "TVM: not found (looked at %s): " BFI_TVM_ADVICE,
                    *looked ? looked : "nothing: HOME is not set");
}

static bool runs(const char *path) { return access(path, X_OK) == 0; }

/* Folder of the shared library, or of the program, that this code is in. */
static bool own_folder(char *out) {
    Dl_info info;
    if (!dladdr((void *)(uintptr_t)&own_folder, &info) || !info.dli_fname) return false;
    if (!realpath(info.dli_fname, out)) return false;
    char *slash = strrchr(out, '/');
    if (slash) *slash = '\0';
    return slash;
}

bf_status bfi_tvm_locate_helper(char *out, bf_error *err) {
    const char *variable = getenv("BOUNDFLOW_TVMC");
    if (variable && *variable) {
        snprintf(out, PATH_MAX, "%s", variable);
        if (strchr(variable, '/') && strlen(variable) < PATH_MAX && runs(variable))
            return BF_STATUS_OK;
        return bfi_fail(err, BF_STATUS_IO, "%s (BOUNDFLOW_TVMC) is no program that can be run",
                        variable);
    }
    char folder[PATH_MAX];
    if (bfi_program_folder(folder, sizeof folder)) {
        static const char *const near[] = {HELPER, "../" HELPER, "../libexec/boundflow/" HELPER};
        for (size_t i = 0; i < sizeof near / sizeof *near; i++)
            if (join(out, folder, near[i]) && runs(out)) return BF_STATUS_OK;
    }
    if (own_folder(folder) && join(out, folder, HELPER) && runs(out)) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_IO, HELPER " is not beside the program: " BFI_TVMC_ADVICE);
}
