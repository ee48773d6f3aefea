/* boundflow-tvmc: compiles TVM kernels into files. README.md says what goes in and out. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "emit.h"
#include "exec/tvm/kernel_file.h"
#include "generate.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

static const char help[] =
    "usage: boundflow-tvmc --tvm DIR --out FILE KEY\n"
    "       boundflow-tvmc --tvm DIR --jobs FILE\n"
    "       boundflow-tvmc --print-target\n"
    "\n"
    "Compiles kernels of BoundFlow's tvm executor with Apache TVM. BoundFlow runs this by itself.\n"
    "\n"
    "  --tvm DIR        folder with tvm/ and tvm_ffi/ (apache-tvm " BFI_TVM_VERSION
    ", apache-tvm-ffi " BFI_TVM_FFI_VERSION
    ");\n"
    "                   'make tvm' fills one\n"
    "  --out FILE       where the kernel goes\n"
    "  --jobs FILE      many kernels: lines of FILE, a tab, KEY; '-' reads standard input\n"
    "  --print-target   prints the target of this CPU and ends\n"
    "  --help           this text\n"
    "\n"
    "A line per kernel on standard output, tabs between: ok FILE SECONDS, or error FILE REASON "
    "MESSAGE.\n"
    "Exit codes: 0 all made, 2 usage, 10 no TVM, 11 wrong version, 12 missing function of TVM,\n"
    "13 unsupported kernel, 14 TVM error, 15 link failure, 16 disk failure.\n"
    "\n"
    "example:\n"
    "  boundflow-tvmc --tvm .tvm --out k.so \"abi=" TEXT(
        BFI_TVM_KERNEL_ABI) " tvm=" BFI_TVM_VERSION " ffi=" BFI_TVM_FFI_VERSION
                            " \\\n"
                            "target=$(boundflow-tvmc --print-target) \\\n"
                            "linear f32 m=256 k=784 rows=4 vecs=2 width=8 parallel=0\"\n";

static const char *reason_of(tvm_trouble trouble) {
    switch (trouble) {
        case TVM_USAGE:
            return "usage";
        case TVM_ABSENT:
            return "no-tvm";
        case TVM_VERSION:
            return "version";
        case TVM_MISSING_GLOBAL:
            return "missing-global";
        case TVM_UNSUPPORTED:
            return "unsupported";
        case TVM_COMPILE:
            return "compile";
        case TVM_LINK:
            return "link";
        default:
            return "disk";
    }
}

static tvm_trouble report(tvm_trouble trouble, const char *out, const char *message) {
    printf("error\t%s\t%s\t%s\n", out, reason_of(trouble), message);
    fflush(stdout);
    return trouble;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Links |object| to |linked| and moves the result, sealed, to |out|. */
static tvm_trouble finish(const char *object, const char *linked, const char *out, const char *key,
                          bf_error *err) {
    char *image = NULL;
    size_t size;
    tvm_trouble trouble = emit_shared(object, linked, err);
    if (trouble) return trouble;
    if (bfi_file_read(linked, (size_t)64 << 20, &image, &size, err) ||
        bfi_tvm_file_write(out, image, size, key, err))
        trouble = TVM_DISK;
    free(image);
    return trouble;
}

/* Work files beside |out|, so that a full or read-only disk shows early. */
static bool work_names(const char *out, char object[4096], char linked[4096]) {
    int n = snprintf(object, 4096, "%s.%d.o", out, (int)getpid());
    int m = snprintf(linked, 4096, "%s.%d.so", out, (int)getpid());
    return n > 0 && n < 4096 && m > 0 && m < 4096;
}

static tvm_trouble compile(tvm *t, const char *out, const char *key, bf_error *err) {
    bfi_tvm_kernel kernel;
    bfi_tvm_target target;
    char object[4096], linked[4096];
    if (bfi_tvm_key_parse(key, &kernel, &target, err)) return TVM_UNSUPPORTED;
    if (!work_names(out, object, linked)) {
        bfi_fail(err, BF_STATUS_IO, "path too long");
        return TVM_DISK;
    }
    FILE *probe = fopen(object, "wb");
    if (!probe) {
        bfi_fail(err, BF_STATUS_IO, "%s: %s", object, strerror(errno));
        return TVM_DISK;
    }
    fclose(probe);
    tvm_reset(t);
    any function = tvmc_generate(t, &kernel);
    emit_object(t, function, &target, object);
    tvm_trouble trouble = t->failed ? TVM_COMPILE : TVM_FINE;
    if (trouble) bfi_fail(err, BF_STATUS_INTERNAL, "%s", t->message);
    if (!trouble) trouble = finish(object, linked, out, key, err);
    unlink(object);
    unlink(linked);
    return trouble;
}

static tvm_trouble run_job(tvm *t, const char *out, const char *key) {
    bf_error err = {0};
    double begin = now();
    tvm_trouble trouble = compile(t, out, key, &err);
    if (trouble) return report(trouble, out, err.message);
    printf("ok\t%s\t%.3f\n", out, now() - begin);
    fflush(stdout);
    return TVM_FINE;
}

static tvm_trouble run_jobs(tvm *t, const char *path) {
    char line[4096 + BFI_TVM_KEY_SIZE];
    FILE *jobs = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    tvm_trouble first = TVM_FINE;
    if (!jobs) return report(TVM_USAGE, "-", strerror(errno));
    while (fgets(line, sizeof line, jobs)) {
        line[strcspn(line, "\n")] = 0;
        char *tab = strchr(line, '\t');
        if (!line[0]) continue;
        if (tab) *tab = 0;
        tvm_trouble trouble = tab ? run_job(t, line, tab + 1)
                                  : report(TVM_USAGE, line, "no tab between FILE and KEY");
        if (!first) first = trouble;
    }
    if (jobs != stdin) fclose(jobs);
    return first;
}

typedef struct options {
    const char *tvm, *out, *jobs, *key;
    bool help, print_target;
} options;

/* False for a command line that is none of those in the help. */
static bool parse(int argc, char **argv, options *o) {
    for (int i = 1; i < argc; i++) {
        const char **value = strcmp(argv[i], "--tvm") == 0    ? &o->tvm
                             : strcmp(argv[i], "--out") == 0  ? &o->out
                             : strcmp(argv[i], "--jobs") == 0 ? &o->jobs
                                                              : NULL;
        if (value && i + 1 < argc)
            *value = argv[++i];
        else if (strcmp(argv[i], "--help") == 0)
            o->help = true;
        else if (strcmp(argv[i], "--print-target") == 0)
            o->print_target = true;
        else if (!value && argv[i][0] != '-' && !o->key)
            o->key = argv[i];
        else
            return false;
    }
    if (o->help || o->print_target) return true;
    return o->tvm && (o->jobs ? !o->out && !o->key : o->out && o->key);
}

int main(int argc, char **argv) {
    static tvm t;
    options o = {0};
    bfi_tvm_target target;
    if (!parse(argc, argv, &o)) {
        fputs("boundflow-tvmc: see --help\n", stderr);
        return (int)report(TVM_USAGE, "-", "bad command line, see --help");
    }
    if (o.help) return fputs(help, stdout) < 0;
    if (o.print_target) {
        if (!bfi_tvm_target_host(&target))
            return (int)report(TVM_UNSUPPORTED, "-",
                               "this CPU has no AVX2 and fma: no TVM kernels for it");
        return puts(target.json) < 0;
    }
    umask(077);
    tvm_trouble trouble = tvm_load(&t, o.tvm);
    if (trouble) return (int)report(trouble, "-", t.message);
    return (int)(o.jobs ? run_jobs(&t, o.jobs) : run_job(&t, o.out, o.key));
}
