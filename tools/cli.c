#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "caching.h"
#include "interrupt.h"
#include "kernels/kernel.h"
#include "terminal.h"

#define MOST_THREADS 256
#define MOST_EFFORT 1000000 /* restarts, steps */

int bfi_cli_end(bfi_command command, bf_status status, const bf_error *err) {
    if (status == BF_STATUS_OK) return 0;
    fprintf(stderr, "boundflow%s%s: %s%serror:%s %s\n", command < BFI_COMMAND_COUNT ? " " : "",
            command < BFI_COMMAND_COUNT ? bfi_commands[command].name : "",
            bfi_terminal_style(stderr, BFI_STYLE_BOLD), bfi_terminal_style(stderr, BFI_STYLE_BAD),
            bfi_terminal_style(stderr, BFI_STYLE_RESET), err->message);
    return bf_status_exit_code(status);
}

bf_status bfi_cli_flush(bf_error *err) {
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout)) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_IO, "standard output: cannot write: %s",
                    errno ? strerror(errno) : "an earlier write failed");
}

bf_status bfi_cli_session(const bfi_arguments *args, bf_session **out, bf_error *err) {
    int64_t threads = args->count[BFI_OPTION_THREADS];
    if (threads > MOST_THREADS || (args->given[BFI_OPTION_THREADS] && threads == 0))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--threads: %lld is not between 1 and %d",
                        (long long)threads, MOST_THREADS);
    bf_status status = bf_session_create((int)threads, out, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_TVM]) {
        bf_tvm_options tvm = bf_tvm_options_default();
        tvm.tvm = args->text[BFI_OPTION_TVM][0];
        status = bf_session_set_tvm(*out, &tvm, err);
    }
    if (status == BF_STATUS_OK) bfi_interrupt_watch(*out);
    return status == BF_STATUS_OK ? bfi_caching_open(args, *out, err) : status;
}

void bfi_cli_session_free(const bfi_arguments *args, bf_session *session) {
    bfi_interrupt_watch(NULL);
    if (session) bfi_caching_close(args, session);
    bf_session_free(session);
}

enum { MOST_ITERATIONS = 1000000 };

bf_status bfi_cli_options(const bfi_arguments *args, bf_options *options, bf_error *err) {
    if (args->given[BFI_OPTION_EXECUTOR] && args->given[BFI_OPTION_BACKEND] &&
        args->count[BFI_OPTION_EXECUTOR] != args->count[BFI_OPTION_BACKEND])
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "--executor %s and --backend %s contradict each other: give one of them",
                        args->text[BFI_OPTION_EXECUTOR][0], args->text[BFI_OPTION_BACKEND][0]);
    /* The choices of options.def stand in the order of the enums. */
    if (args->given[BFI_OPTION_METHOD]) options->method = (bf_method)args->count[BFI_OPTION_METHOD];
    if (args->given[BFI_OPTION_DTYPE]) options->dtype = (bf_dtype)args->count[BFI_OPTION_DTYPE];
    if (args->given[BFI_OPTION_EXECUTOR])
        options->executor = (bf_executor)args->count[BFI_OPTION_EXECUTOR];
    if (args->given[BFI_OPTION_BACKEND])
        options->executor = (bf_executor)args->count[BFI_OPTION_BACKEND];
    if (args->given[BFI_OPTION_ROUNDING])
        options->rounding = (bf_rounding)args->count[BFI_OPTION_ROUNDING];
    if (args->given[BFI_OPTION_SEMANTICS])
        options->semantics = (bf_semantics)args->count[BFI_OPTION_SEMANTICS];
    if (args->given[BFI_OPTION_INTERSECT]) options->intersect = 1;
    if (args->given[BFI_OPTION_ALL_NEURONS]) options->all_neurons = 1;
    if (args->given[BFI_OPTION_ALL_LAYERS]) options->keep_layers = 1;
    if (args->given[BFI_OPTION_MEMORY]) options->memory = args->count[BFI_OPTION_MEMORY];
    if (args->given[BFI_OPTION_PARTITION])
        options->partition = (int)args->count[BFI_OPTION_PARTITION];
    if (args->given[BFI_OPTION_WINDOWS]) options->windows = (int)args->count[BFI_OPTION_WINDOWS];
    if (args->given[BFI_OPTION_ITERATIONS]) {
        int64_t count = args->count[BFI_OPTION_ITERATIONS];
        if (count < 1 || count > MOST_ITERATIONS)
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "--iterations: %lld is not between 1 and %d", (long long)count,
                            MOST_ITERATIONS);
        options->iterations = (int)count;
    }
    if (args->given[BFI_OPTION_LR]) options->lr = args->real[BFI_OPTION_LR][0];
    if (args->given[BFI_OPTION_LR] && !(options->lr > 0))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--lr: %s is not above 0",
                        args->text[BFI_OPTION_LR][0]);
    if (args->given[BFI_OPTION_INTERMEDIATE])
        options->intermediate = (bf_intermediate)args->count[BFI_OPTION_INTERMEDIATE];
    if (args->given[BFI_OPTION_TIMEOUT] && args->real[BFI_OPTION_TIMEOUT][0] > 0)
        options->deadline = bf_clock() + args->real[BFI_OPTION_TIMEOUT][0];
    if (args->given[BFI_OPTION_ISA]) options->isa = args->text[BFI_OPTION_ISA][0];
    return BF_STATUS_OK;
}

static int effort(int64_t count) { return (int)(count < MOST_EFFORT ? count : MOST_EFFORT); }

void bfi_cli_attack(const bfi_arguments *args, uint64_t *seed, int *restarts, int *steps) {
    if (args->given[BFI_OPTION_SEED]) *seed = (uint64_t)args->count[BFI_OPTION_SEED];
    if (args->given[BFI_OPTION_RESTARTS]) *restarts = effort(args->count[BFI_OPTION_RESTARTS]);
    if (args->given[BFI_OPTION_STEPS]) *steps = effort(args->count[BFI_OPTION_STEPS]);
}

const char *bfi_cli_method(bf_method method) {
    static const char *const names[] = {"ibp", "crown-ibp", "crown", "alpha-crown"};
    return names[method];
}

const char *bfi_cli_dtype(bf_dtype dtype) {
    static const char *const names[] = {"float32", "float64"};
    return names[dtype];
}

const char *bfi_cli_executor(bf_executor executor) {
    static const char *const names[] = {"reference", "native", "tvm", "auto"};
    return names[executor];
}

const char *bfi_cli_rounding(bf_rounding rounding) {
    static const char *const names[] = {"outward", "nearest"};
    return names[rounding];
}

const char *bfi_cli_semantics(bf_semantics semantics) {
    static const char *const names[] = {"real", "float32"};
    return names[semantics];
}

const char *bfi_cli_isa(const bf_options *options) {
    if (options->executor == BF_EXECUTOR_REFERENCE) return "scalar";
    bfi_dtype dtype = options->dtype == BF_DTYPE_FLOAT32 ? BFI_F32 : BFI_F64;
    const bfi_kernels *kernels = bfi_kernels_native(dtype, options->isa);
    return kernels ? kernels->isa : options->isa;
}

int64_t bfi_cli_peak_bytes(void) {
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return 0;
    char line[256];
    long long kib = 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %lld", &kib) == 1) break;
    fclose(file);
    return (int64_t)kib * 1024;
}

void bfi_cli_bytes(int64_t bytes, char *text, int size) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    int unit = 0;
    while (value >= 1024 && unit < 4) value /= 1024, unit++;
    snprintf(text, (size_t)size, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

bf_status bfi_cli_writable(const char *path, bf_error *err) {
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        return bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: it is a directory", path);
    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        if (access(path, W_OK) == 0) return BF_STATUS_OK;
        return bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
    }
    size_t length = strlen(path) + sizeof ".XXXXXX";
    char *probe = malloc(length);
    if (!probe) return bfi_fail_memory(err);
    snprintf(probe, length, "%s.XXXXXX", path);
    int file = mkstemp(probe);
    bf_status status = BF_STATUS_OK;
    if (file < 0) {
        status = bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
    } else {
        close(file);
        unlink(probe);
    }
    free(probe);
    return status;
}

bf_status bfi_text_open(bfi_text *text, bf_error *err) {
    *text = (bfi_text){0};
    text->stream = open_memstream(&text->data, &text->size);
    return text->stream ? BF_STATUS_OK : bfi_fail_memory(err);
}

bf_status bfi_text_close(bfi_text *text, bf_error *err) {
    bool failed = ferror(text->stream) != 0;
    failed |= fclose(text->stream) != 0;
    text->stream = NULL;
    return failed ? bfi_fail_memory(err) : BF_STATUS_OK;
}

void bfi_text_free(bfi_text *text) {
    if (text->stream) fclose(text->stream);
    free(text->data);
    *text = (bfi_text){0};
}

bf_status bfi_text_save(bfi_text *text, const char *path, bf_error *err) {
    bf_status status = bfi_text_close(text, err);
    if (status == BF_STATUS_OK) status = bfi_file_write(path, text->data, text->size, err);
    bfi_text_free(text);
    return status;
}
