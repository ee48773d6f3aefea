#include "doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/dylib.h"
#include "boundflow/boundflow.h"
#include "cli.h"
#include "demo_data.h"
#include "exec/tvm/locate.h"
#include "exec/tvm/store.h"
#include "kernels/kernel.h"

#ifdef NDEBUG
#define BUILD "optimised"
#else
#define BUILD "with assertions"
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED ", sanitized"
#else
#define SANITIZED ""
#endif
#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#define STORE_ADVICE "set BOUNDFLOW_TVM_CACHE to a folder of yours that others cannot write"
#define BENCH_ADVICE "see bench/README.md; what needs it is skipped without"

const char *bfi_finding_state_name(bfi_finding_state state) {
    static const char *const names[] = {"ok", "off", "missing", "broken"};
    return names[state];
}

static bfi_finding *add(bfi_findings *all, const char *group, const char *name) {
    bfi_finding *finding = &all->items[all->count++];
    *finding = (bfi_finding){.group = group, .name = name};
    return finding;
}

static bool file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

/* Value of the first line "|key| : value" of |path|; "" when there is none. */
static void read_field(const char *path, const char *key, char *out, size_t size) {
    char line[512];
    out[0] = '\0';
    FILE *file = fopen(path, "r");
    if (!file) return;
    while (!*out && fgets(line, sizeof line, file)) {
        char *value = strpbrk(line, ":=");
        if (strncmp(line, key, strlen(key)) != 0 || !value) continue;
        value += 1 + strspn(value + 1, " \t\"");
        value[strcspn(value, "\"\n")] = '\0';
        snprintf(out, size, "%s", value);
    }
    fclose(file);
}

static void look_at_program(bfi_findings *all) {
    bfi_finding *finding = add(all, "core", "BoundFlow");
    struct utsname system = {0};
    char name[128];
    uname(&system);
    read_field("/etc/os-release", "PRETTY_NAME", name, sizeof name);
    snprintf(finding->version, sizeof finding->version, "%s", bf_version());
    if (!realpath("/proc/self/exe", finding->path)) finding->path[0] = '\0';
    snprintf(finding->detail, sizeof finding->detail,
             "built " BUILD SANITIZED " by " COMPILER "; %s%s%s %s, %s", name, *name ? ", " : "",
             system.sysname, system.release, system.machine);
}

/* Every feature that kernels may be compiled for. */
static void list_features(char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
#define FEATURE(name)                                \
    if (__builtin_cpu_supports(name) && used < size) \
        used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", (name));
    FEATURE("avx2")
    FEATURE("fma")
    FEATURE("avx512f")
    FEATURE("avx512dq")
    FEATURE("avx512vl")
    FEATURE("avx512bw")
    FEATURE("avx512vnni")
#undef FEATURE
}

static void look_at_processor(bfi_findings *all) {
    bfi_finding *finding = add(all, "core", "processor");
    char model[128], features[128];
    cpu_set_t allowed;
    read_field("/proc/cpuinfo", "model name", model, sizeof model);
    list_features(features, sizeof features);
    int usable = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 0;
    snprintf(finding->version, sizeof finding->version, "%s",
             bfi_kernels_native(BFI_F32, NULL)->isa);
    snprintf(finding->detail, sizeof finding->detail, "%s; %d of %ld CPUs usable; has %s",
             *model ? model : "unknown model", usable, sysconf(_SC_NPROCESSORS_ONLN),
             *features ? features : "none of avx2, avx512");
}

/* Bounds of |model| over one box into |bounds|: lower, then upper ends. */
static bf_status bound_model(bf_session *session, const bf_model *model, bf_method method,
                             bf_executor executor, double *bounds, bf_error *err) {
    int64_t inputs = bf_model_input_count(model), outputs = bf_model_output_count(model);
    bf_options options = bf_options_default();
    options.method = method;
    options.executor = executor;
    bf_plan *plan = NULL;
    bf_workspace *workspace = NULL;
    double *box = bfi_malloc((size_t)inputs, 2 * sizeof *box);
    bf_status status = box ? BF_STATUS_OK : bfi_fail_memory(err);
    for (int64_t i = 0; box && i < inputs; i++) box[i] = 0.45, box[inputs + i] = 0.55;
    if (status == BF_STATUS_OK) status = bf_plan_create(session, model, &options, &plan, err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(plan, &workspace, err);
    if (status == BF_STATUS_OK) {
        bf_request request = {
            .lo = box, .hi = box + inputs, .lower = bounds, .upper = bounds + outputs};
        status = bf_bounds_run(plan, workspace, &request, err);
    }
    bf_workspace_free(workspace);
    bf_plan_free(plan);
    free(box);
    return status;
}

/* The processor's kernels against the plain ones, on both methods. */
static bf_status compare_kernels(bf_session *session, bf_error *err) {
    static const bf_method methods[] = {BF_METHOD_IBP, BF_METHOD_CROWN};
    bf_model *model = NULL;
    bf_status status = bf_model_parse(bfi_demo_model, bfi_demo_model_size, "built-in", &model, err);
    if (status != BF_STATUS_OK) return status;
    size_t count = 2 * (size_t)bf_model_output_count(model);
    double *bounds = bfi_calloc(count, 2 * sizeof *bounds);
    if (!bounds) status = bfi_fail_memory(err);
    for (size_t i = 0; i < sizeof methods / sizeof *methods && status == BF_STATUS_OK; i++) {
        status = bound_model(session, model, methods[i], BF_EXECUTOR_REFERENCE, bounds, err);
        if (status == BF_STATUS_OK)
            status =
                bound_model(session, model, methods[i], BF_EXECUTOR_NATIVE, bounds + count, err);
        if (status == BF_STATUS_OK && memcmp(bounds, bounds + count, count * sizeof *bounds) != 0)
            status = bfi_fail(err, BF_STATUS_INTERNAL,
                              "the %s kernels and the plain ones give different bounds (%s): do "
                              "not trust them on this machine, use --executor reference, and "
                              "please report",
                              bfi_kernels_native(BFI_F32, NULL)->isa, bfi_cli_method(methods[i]));
    }
    free(bounds);
    bf_model_free(model);
    return status;
}

static bf_status look_at_core(bfi_findings *all, bf_error *err) {
    bfi_finding *finding = add(all, "core", "bounds");
    bf_session *session = NULL;
    bf_status status = bf_session_create(0, &session, err);
    if (status == BF_STATUS_OK) status = compare_kernels(session, err);
    if (status == BF_STATUS_OK) {
        int threads = bf_session_threads(session);
        snprintf(finding->detail, sizeof finding->detail,
                 "%d thread%s; IBP and CROWN on the built-in network: the %s kernels give the bits "
                 "of the plain ones",
                 threads, threads == 1 ? "" : "s", bfi_kernels_native(BFI_F32, NULL)->isa);
    } else {
        finding->state = BFI_FINDING_BROKEN;
        snprintf(finding->detail, sizeof finding->detail, "%.399s", err->message);
    }
    bf_session_free(session);
    return status;
}

/* What is wrong is the message of |err|, less the name and the advice that are shown anyway.
 * Whoever asked for "none" does not miss it. */
static void put_absent(bfi_finding *finding, const char *variable, const bf_error *err,
                       const char *advice) {
    const char *value = variable ? getenv(variable) : NULL, *text = err->message;
    bool off = value && strcmp(value, BFI_NONE) == 0;
    finding->state = off ? BFI_FINDING_OFF : BFI_FINDING_MISSING;
    finding->advice = off ? NULL : advice;
    size_t name = strlen(finding->name);
    if (strncmp(text, finding->name, name) == 0 && strncmp(text + name, ": ", 2) == 0)
        text += name + 2;
    const char *end = strstr(text, advice);
    int length = end && end - text > 2 ? (int)(end - text) - 2 : 511;
    snprintf(finding->detail, sizeof finding->detail, "%.*s", length, text);
}

static void look_at_tvm(const char *given, bfi_findings *all) {
    bfi_finding *finding = add(all, "TVM", "TVM");
    bf_error err = {""};
    bfi_tvm_place place;
    bf_status status = bfi_tvm_locate(given, &place, &err);
    snprintf(finding->path, sizeof finding->path, "%s", place.folder);
    if (*place.version)
        snprintf(finding->version, sizeof finding->version, "%s, ffi %s", place.version,
                 place.ffi_version);
    if (status == BF_STATUS_OK) {
        snprintf(finding->detail, sizeof finding->detail, "found: %s", place.origin);
    } else {
        put_absent(finding, "BOUNDFLOW_TVM", &err, BFI_TVM_ADVICE);
        if (given && strcmp(given, BFI_NONE) == 0) {
            finding->state = BFI_FINDING_OFF;
            finding->advice = NULL;
        } else if (*place.folder) {
            finding->state = BFI_FINDING_BROKEN;
        }
    }
}

static void look_at_helper(bfi_findings *all) {
    bfi_finding *finding = add(all, "TVM", "compile helper");
    bf_error err = {""};
    if (bfi_tvm_locate_helper(finding->path, &err) == BF_STATUS_OK) return;
    finding->path[0] = '\0';
    put_absent(finding, NULL, &err, BFI_TVMC_ADVICE);
}

/* The program |name| in PATH. */
static bool find_program(const char *name, char *out, size_t size) {
    const char *path = getenv("PATH");
    for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
        size_t length = strcspn(at, ":");
        snprintf(out, size, "%.*s/%s", (int)length, at, name);
        if (length && access(out, X_OK) == 0) return true;
        at += length + (at[length] == ':');
    }
    out[0] = '\0';
    return false;
}

static void look_at_linker(bfi_findings *all) {
    bfi_finding *finding = add(all, "TVM", "linker");
    if (find_program("ld", finding->path, sizeof finding->path) ||
        find_program("cc", finding->path, sizeof finding->path))
        return;
    bf_error err;
    bfi_fail(&err, BF_STATUS_IO, "neither ld nor cc in PATH: compiled kernels cannot be linked");
    put_absent(finding, NULL, &err, "apt-get install binutils");
}

/* The files in the folder of compiled kernels: how many, and their bytes. */
static void count_files(const char *folder, int64_t *files, int64_t *bytes) {
    DIR *stream = opendir(folder);
    struct stat info;
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        if (fstatat(dirfd(stream), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (!S_ISREG(info.st_mode)) continue;
        ++*files;
        *bytes += info.st_size;
    }
    if (stream) closedir(stream);
}

static void look_at_store(bfi_findings *all) {
    bfi_finding *finding = add(all, "TVM", "kernel folder");
    bfi_kernel_store *store = NULL;
    bf_error err = {""};
    struct stat info;
    if (bfi_store_open(NULL, &store, &err) != BF_STATUS_OK) {
        put_absent(finding, NULL, &err, STORE_ADVICE);
        return;
    }
    snprintf(finding->path, sizeof finding->path, "%s", bfi_store_folder(store));
    if (bfi_store_problem(store)) {
        bfi_fail(&err, BF_STATUS_IO, "%s", bfi_store_problem(store));
        put_absent(finding, NULL, &err, STORE_ADVICE);
        finding->state = BFI_FINDING_BROKEN;
    } else if (stat(finding->path, &info) == 0) {
        int64_t files = 0, bytes = 0;
        char size[32];
        count_files(finding->path, &files, &bytes);
        bfi_cli_bytes(bytes, size, sizeof size);
        snprintf(finding->detail, sizeof finding->detail, "mode %04o, %" PRId64 " kernel%s, %s",
                 (unsigned)info.st_mode & 07777u, files, files == 1 ? "" : "s", size);
    }
    bfi_store_free(store);
}

/* A linear layer, a relu and another one: every kind of kernel that a small network needs. */
static bf_status make_small_network(bf_model **out, bf_error *err) {
    char text[4096];
    int used =
        snprintf(text, sizeof text,
                 "graph \"small\" input \"x\" output \"y\" {\n%%0 = input \"x\" : f32[1,16]\n"
                 "%%1 = linear(%%0) \"a\" {k=16, n=16} : [1,16] weight=[");
    for (int i = 0; i < 256; i++)
        used +=
            snprintf(text + used, sizeof text - (size_t)used, "%s%d", i ? "," : "", i * 7 % 19 - 9);
    used +=
        snprintf(text + used, sizeof text - (size_t)used,
                 "]\n%%2 = relu(%%1) \"r\" : [1,16]\n%%3 = linear(%%2) \"b\" {k=16, n=4} : [1,4] "
                 "weight=[");
    for (int i = 0; i < 64; i++)
        used +=
            snprintf(text + used, sizeof text - (size_t)used, "%s%d", i ? "," : "", i * 5 % 17 - 8);
    used += snprintf(text + used, sizeof text - (size_t)used, "]\noutput %%3\n}\n");
    return bf_model_parse(text, (size_t)used, "small.bfir", out, err);
}

/* Bounds on kernels compiled into |folder|, and natively: the same bits, or an error. */
static bf_status try_kernels(const char *tvm, const char *folder, bf_tvm_stats *stats,
                             bf_error *err) {
    bf_session *session = NULL;
    bf_model *model = NULL;
    double compiled[8], native[8];
    bf_tvm_options options = bf_tvm_options_default();
    options.cache = folder;
    options.tvm = tvm;
    options.strict = 1;
    bf_status status = bf_session_create(0, &session, err);
    if (status == BF_STATUS_OK) status = bf_session_set_tvm(session, &options, err);
    if (status == BF_STATUS_OK) status = make_small_network(&model, err);
    if (status == BF_STATUS_OK)
        status = bound_model(session, model, BF_METHOD_CROWN, BF_EXECUTOR_TVM, compiled, err);
    if (status == BF_STATUS_OK)
        status = bound_model(session, model, BF_METHOD_CROWN, BF_EXECUTOR_NATIVE, native, err);
    if (status == BF_STATUS_OK && memcmp(compiled, native, sizeof native) != 0)
        status = bfi_fail(err, BF_STATUS_INTERNAL,
                          "compiled kernels give other bounds than native ones: please report");
    if (session) *stats = bf_session_tvm_stats(session);
    bf_model_free(model);
    bf_session_free(session);
    return status;
}

/* In a folder of its own, so that nothing comes from an earlier run. */
static bf_status look_at_compiling(const char *tvm, bfi_findings *all, bf_error *err) {
    bfi_finding *finding = add(all, "TVM", "compiling");
    const char *place = getenv("TMPDIR");
    char folder[PATH_MAX], path[PATH_MAX + 256];
    bf_tvm_stats stats = {0};
    snprintf(folder, sizeof folder, "%.3000s/boundflow-doctor-XXXXXX",
             place && *place == '/' ? place : "/tmp");
    bf_status status =
        mkdtemp(folder) ? BF_STATUS_OK : bfi_fail(err, BF_STATUS_IO, "%s: cannot be made", folder);
    double start = bf_clock();
    if (status == BF_STATUS_OK) status = try_kernels(tvm, folder, &stats, err);
    if (status == BF_STATUS_OK) {
        snprintf(finding->detail, sizeof finding->detail,
                 "%" PRId64
                 " kernels of a small network compiled and run in %.2f s: the bits of "
                 "the native ones",
                 stats.compiled, bf_clock() - start);
    } else {
        finding->state = BFI_FINDING_BROKEN;
        finding->advice = "see what is missing above; else please report";
        snprintf(finding->detail, sizeof finding->detail, "%s", err->message);
    }
    DIR *stream = opendir(folder);
    for (struct dirent *entry; stream && (entry = readdir(stream));) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (stream) closedir(stream);
    rmdir(folder);
    return status;
}

static void read_library_version(bfi_optional which, const bfi_dylib *lib, char *out, size_t size) {
    const char *(*plain)(void) = NULL;
    int (*mpi)(char *, int *) = NULL;
    char text[8192] = ""; /* MPI_MAX_LIBRARY_VERSION_STRING of MPICH */
    int length = 0;
    const char *name = bfi_optionals[which].version;
    bf_status status = bfi_dylib_functions(
        lib, &name, 1, which == BFI_OPTIONAL_MPI ? (void *)&mpi : (void *)&plain, NULL);
    if (status != BF_STATUS_OK) return;
    if (mpi && mpi(text, &length) != 0) return;
    snprintf(out, size, "%.*s", (int)size - 1, mpi ? text : plain());
    out[strcspn(out, ",\n")] = '\0';
}

static void look_at_libraries(bfi_findings *all) {
    for (int i = 0; i < BFI_OPTIONAL_COUNT; i++) {
        bfi_finding *finding = add(all, "optional", bfi_optionals[i].name);
        bf_error err = {""};
        bfi_dylib lib;
        if (bfi_dylib_open((bfi_optional)i, &lib, &err) != BF_STATUS_OK) {
            put_absent(finding, bfi_optionals[i].variable, &err, bfi_optionals[i].advice);
            continue;
        }
        snprintf(finding->path, sizeof finding->path, "%s", lib.path);
        read_library_version((bfi_optional)i, &lib, finding->version, sizeof finding->version);
        snprintf(finding->detail, sizeof finding->detail, "%s", bfi_optionals[i].purpose);
        bfi_dylib_close(&lib);
    }
}

/* A folder that |variable| names or that lies at |usual| from the program's; |inside| is in it. */
static bool find_folder(const char *variable, const char *usual, const char *inside, char *out) {
    char place[PATH_MAX], probe[PATH_MAX];
    const char *value = getenv(variable);
    if (value && *value) {
        snprintf(place, sizeof place, "%s", value);
    } else {
        if (!usual || !bfi_program_folder(probe, sizeof probe)) return false;
        int length = snprintf(place, sizeof place, "%s/%s", probe, usual);
        if (length < 0 || (size_t)length >= sizeof place) return false;
    }
    int length = snprintf(probe, sizeof probe, "%s/%s", place, inside);
    return length > 0 && (size_t)length < sizeof probe && file_exists(probe) &&
           realpath(place, out);
}

static void look_at_development(bfi_findings *all) {
    bf_error err;
    bfi_finding *finding = add(all, "development", "public data");
    if (!find_folder("BOUNDFLOW_DATA", "../../shared/data", "vnncomp", finding->path)) {
        finding->path[0] = '\0';
        bfi_fail(&err, BF_STATUS_IO,
                 "neither BOUNDFLOW_DATA nor ../shared/data beside the checkout has vnncomp/");
        put_absent(finding, NULL, &err, BENCH_ADVICE);
    }
    finding = add(all, "development", "peer");
    const char *python = getenv("BOUNDFLOW_PEER_PYTHON");
    if (!python || access(python, X_OK) != 0 ||
        !find_folder("AUTO_LIRPA", NULL, "auto_LiRPA", finding->path)) {
        finding->path[0] = '\0';
        bfi_fail(&err, BF_STATUS_IO,
                 "auto_LiRPA: BOUNDFLOW_PEER_PYTHON (a Python) and AUTO_LIRPA (its folder) have to "
                 "be set");
        put_absent(finding, NULL, &err, BENCH_ADVICE);
    }
}

bf_status bfi_doctor_look(const char *tvm, bool try, bfi_findings *out, bf_error *err) {
    *out = (bfi_findings){.count = 0};
    look_at_program(out);
    look_at_processor(out);
    bf_status status = look_at_core(out, err);
    look_at_tvm(tvm, out);
    look_at_helper(out);
    look_at_linker(out);
    look_at_store(out);
    if (try && status == BF_STATUS_OK) status = look_at_compiling(tvm, out, err);
    look_at_libraries(out);
    look_at_development(out);
    return status;
}
