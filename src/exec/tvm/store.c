#include "exec/tvm/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "exec/tvm/kernel_file.h"

struct bfi_kernel_store {
    char folder[BFI_STORE_PATH];
    char own[BFI_STORE_PATH]; /* this process's folder; "" none yet */
    bool absent;              /* the folder is made when something is to be written */
    bool readable, writable;
    char problem[256];
};

/* FNV-1a. Two keys with one hash cost a compilation each time, nothing else: keys are compared. */
static uint64_t hash(const char *key) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *key; key++) h = (h ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
    return h;
}

static bool join(char *path, const char *folder, const char *name) {
    int length = snprintf(path, BFI_STORE_PATH, "%s/%s", folder, name);
    return length > 0 && length < BFI_STORE_PATH;
}

static bool entry_path(char *path, const char *folder, const char *key) {
    char name[32];
    snprintf(name, sizeof name, "%016" PRIx64 ".so", hash(key));
    return join(path, folder, name);
}

/* Where the folder is to be; false: the environment names no place. */
static bool choose_folder(const char *asked, char *path) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (!asked || !*asked) asked = getenv("BOUNDFLOW_TVM_CACHE");
    if (asked && *asked) {
        if (asked[0] == '/') return join(path, "", asked + 1);
        char here[BFI_STORE_PATH];
        return getcwd(here, sizeof here) && join(path, here, asked);
    }
    if (cache && cache[0] == '/') return join(path, cache, "boundflow/tvm");
    return home && home[0] == '/' && join(path, home, ".cache/boundflow/tvm");
}

/* Makes |path| and what is missing above it, for this user alone. */
static void make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    mkdir(path, 0700);
}

/* Nobody else can put code there: "" or what is wrong with it. */
static void check_private(const bfi_kernel_store *store, char *problem, size_t size) {
    struct stat info;
    char above[BFI_STORE_PATH];
    snprintf(above, sizeof above, "%s", store->folder);
    if (lstat(store->folder, &info) != 0)
        snprintf(problem, size, "cannot be made: %s", strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        snprintf(problem, size, "is no folder");
    else if (info.st_uid != geteuid())
        snprintf(problem, size, "belongs to another user");
    else if (info.st_mode & (S_IWGRP | S_IWOTH))
        snprintf(problem, size, "can be written by others (mode %03o): chmod 700 it",
                 (unsigned)info.st_mode & 0777u);
    for (char *slash; !*problem && (slash = strrchr(above, '/'));) {
        slash[slash == above] = '\0';
        if (stat(above, &info) != 0 || ((info.st_mode & S_IWOTH) && !(info.st_mode & S_ISVTX)))
            snprintf(problem, size, "lies below a folder that everybody can write");
        if (slash == above) break;
    }
}

/* Finds out what the folder, which exists, may be used for. */
static void judge(bfi_kernel_store *store) {
    char problem[128] = "";
    check_private(store, problem, sizeof problem);
    store->absent = false;
    store->readable = !*problem;
    store->writable = store->readable && access(store->folder, W_OK | X_OK) == 0;
    if (store->readable && !store->writable)
        snprintf(problem, sizeof problem, "cannot be written: %s", strerror(errno));
    if (*problem)
        snprintf(store->problem, sizeof store->problem, "%.100s %s", store->folder, problem);
}

bf_status bfi_store_open(const char *folder, bfi_kernel_store **out, bf_error *err) {
    bfi_kernel_store *store = bfi_calloc(1, sizeof *store);
    struct stat info;
    if (!store) return bfi_fail_memory(err);
    if (!choose_folder(folder, store->folder)) {
        store->folder[0] = '\0';
        snprintf(store->problem, sizeof store->problem,
                 "no folder for compiled kernels: set BOUNDFLOW_TVM_CACHE");
    } else if (lstat(store->folder, &info) != 0 && errno == ENOENT) {
        store->absent = true;
    } else {
        judge(store);
    }
    *out = store;
    return BF_STATUS_OK;
}

static void remove_folder(const char *folder) {
    DIR *stream = opendir(folder);
    char path[BFI_STORE_PATH];
    for (struct dirent *entry; stream && (entry = readdir(stream));)
        if (entry->d_name[0] != '.' && join(path, folder, entry->d_name)) unlink(path);
    if (stream) closedir(stream);
    rmdir(folder);
}

void bfi_store_free(bfi_kernel_store *store) {
    if (!store) return;
    if (*store->own) remove_folder(store->own);
    free(store);
}

const char *bfi_store_folder(const bfi_kernel_store *store) { return store->folder; }

const char *bfi_store_problem(const bfi_kernel_store *store) {
    return *store->problem ? store->problem : NULL;
}

/* What stands at a path: nothing, a regular file of this user that nobody else may write, or
 * anything else. */
typedef enum found { ABSENT, OURS, NOT_OURS } found;

static found look_at(const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0) return ABSENT;
    bool ours =
        S_ISREG(info.st_mode) && info.st_uid == geteuid() && !(info.st_mode & (S_IWGRP | S_IWOTH));
    return ours ? OURS : NOT_OURS;
}

static bool find_in(const char *folder, const char *key, char *path, char *why, size_t size) {
    if (!entry_path(path, folder, key)) return false;
    found what = look_at(path);
    if (what == ABSENT) return false;
    bf_status status = what == OURS ? bfi_tvm_file_check(path, key, NULL) : BF_STATUS_IO;
    if (status == BF_STATUS_OK) return true;
    snprintf(why, size, "the stored file was %s",
             what == NOT_OURS                  ? "not this user's alone"
             : status == BF_STATUS_PARSE       ? "damaged"
             : status == BF_STATUS_UNSUPPORTED ? "of another kernel or version"
                                               : "unreadable");
    return false;
}

bool bfi_store_find(const bfi_kernel_store *store, const char *key, char *path, char *why,
                    size_t size) {
    *why = '\0';
    if (*store->own && find_in(store->own, key, path, why, size)) return true;
    return store->readable && find_in(store->folder, key, path, why, size);
}

/* A folder of this process below $TMPDIR or /tmp. */
static bf_status make_own(bfi_kernel_store *store, bf_error *err) {
    const char *base = getenv("TMPDIR");
    if (!base || base[0] != '/') base = "/tmp";
    if (join(store->own, base, "boundflow-XXXXXX") && mkdtemp(store->own)) return BF_STATUS_OK;
    store->own[0] = '\0';
    return bfi_fail(err, BF_STATUS_IO, "%s: no folder for compiled kernels can be made: %s", base,
                    strerror(errno));
}

bool bfi_store_record(const bfi_kernel_store *store, char *path) {
    return store->readable && join(path, store->folder, "tune.txt");
}

bf_status bfi_store_place(bfi_kernel_store *store, const char *key, char *path, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    if (store->absent) {
        make_folders(store->folder);
        judge(store);
    }
    if (!store->writable && !*store->own) status = make_own(store, err);
    if (status != BF_STATUS_OK) return status;
    const char *folder = store->writable ? store->folder : store->own;
    if (entry_path(path, folder, key)) {
        if (look_at(path) == NOT_OURS) unlink(path); /* a link would be written through */
        return BF_STATUS_OK;
    }
    return bfi_fail(err, BF_STATUS_IO, "%.100s: the path is too long", folder);
}
