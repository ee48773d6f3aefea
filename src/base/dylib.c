#include "base/dylib.h"

#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const bfi_optional_info bfi_optionals[BFI_OPTIONAL_COUNT] = {
#define BF_OPTIONAL(ID, name, variable, candidates, version, purpose, advice) \
    {name, variable, candidates, version, purpose, advice},
#include "base/optional.def"
};

bool bfi_program_folder(char *out, size_t size) {
    ssize_t length = readlink("/proc/self/exe", out, size);
    if (length <= 0 || (size_t)length >= size) return false;
    out[length] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash) return false;
    *slash = '\0';
    return true;
}

/* The loader's reason in |why|, where it failed. */
static bool load(const char *name, bfi_dylib *out, char *why, size_t size) {
    *out = (bfi_dylib){0};
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char *reason = dlerror();
        snprintf(why, size, "%s", reason ? reason : "unknown reason");
        return false;
    }
    struct link_map *map = NULL;
    const char *path = dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map ? map->l_name : name;
    snprintf(out->path, sizeof out->path, "%s", *path ? path : name);
    out->handle = handle;
    return true;
}

/* |pattern| starts with "@/": the program's folder, then what matches. */
static bool load_beside_program(const char *pattern, bfi_dylib *out, char *why, size_t size) {
    char full[PATH_MAX];
    if (!bfi_program_folder(full, sizeof full)) return false;
    size_t used = strlen(full);
    if (used + strlen(pattern) > sizeof full) return false;
    strcpy(full + used, pattern + 1);
    glob_t found = {0};
    bool loaded = false;
    if (glob(full, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && !loaded; i++)
            loaded = load(found.gl_pathv[i], out, why, size);
    globfree(&found);
    return loaded;
}

static bf_status open_named(const bfi_optional_info *info, const char *value, bfi_dylib *out,
                            bf_error *err) {
    char why[400];
    if (strcmp(value, BFI_NONE) == 0)
        return bfi_fail(err, BF_STATUS_IO, "%s: not used, as %s=none says", info->name,
                        info->variable);
    if (load(value, out, why, sizeof why)) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_IO, "%s: %s is set, but the loader says: %s", info->name,
                    info->variable, why);
}

bf_status bfi_dylib_open(bfi_optional which, bfi_dylib *out, bf_error *err) {
    const bfi_optional_info *info = &bfi_optionals[which];
    *out = (bfi_dylib){0};
    const char *value = getenv(info->variable);
    if (value && *value) return open_named(info, value, out, err);
    char first[400] = "", why[400];
    for (const char *at = info->candidates; *at;) {
        char name[256];
        size_t length = strcspn(at, " ");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        at += length + strspn(at + length, " ");
        if (*name == '@' ? load_beside_program(name, out, why, sizeof why)
                         : load(name, out, why, sizeof why))
            return BF_STATUS_OK;
        if (!*first) snprintf(first, sizeof first, "%s", why);
    }
    return bfi_fail(err, BF_STATUS_IO, "%s: no library found (%s): %s", info->name, first,
                    info->advice);
}

bf_status bfi_dylib_open_file(const char *path, bfi_dylib *out, bf_error *err) {
    char why[400] = "a path needs a slash";
    *out = (bfi_dylib){0};
    if (strchr(path, '/') && load(path, out, why, sizeof why)) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_IO, "%s: cannot be loaded: %s", path, why);
}

void *bfi_dylib_symbol(const bfi_dylib *lib, const char *name) { return dlsym(lib->handle, name); }

bf_status bfi_dylib_functions(const bfi_dylib *lib, const char *const *names, size_t count,
                              void *slots, bf_error *err) {
    for (size_t i = 0; i < count; i++) {
        void *address = bfi_dylib_symbol(lib, names[i]);
        if (!address)
            return bfi_fail(err, BF_STATUS_UNSUPPORTED, "%s: has no function %s: another version?",
                            lib->path, names[i]);
        memcpy((char *)slots + i * sizeof address, &address, sizeof address);
    }
    return BF_STATUS_OK;
}

bf_status bfi_dylib_load(bfi_optional which, bfi_dylib *out, const char *const *names, size_t count,
                         void *slots, bf_error *err) {
    bf_status status = bfi_dylib_open(which, out, err);
    if (status != BF_STATUS_OK) return status;
    status = bfi_dylib_functions(out, names, count, slots, err);
    if (status != BF_STATUS_OK) bfi_dylib_close(out);
    return status;
}

void bfi_dylib_close(bfi_dylib *lib) {
    if (!lib) return;
    if (lib->handle) dlclose(lib->handle);
    *lib = (bfi_dylib){0};
}
