#include "exec/tvm/kernel_key.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

typedef struct param_row {
    const char *name;
    int64_t low, high;
} param_row;

static const param_row params[BFI_TVM_PARAMS] = {
#define BF_TVM_PARAM(ID, name, low, high) [BFI_TVM_##ID] = {#name, low, high},
#include "exec/tvm/kernel.def"
};

static const bfi_tvm_op_info ops[BFI_TVM_OPS] = {
#define BF_TVM_KERNEL(ID, name, parameters, tensors, integers, terms) \
    [BFI_TVM_OP_##ID] = {#name, parameters, tensors, integers, terms},
#include "exec/tvm/kernel.def"
};

const bfi_tvm_op_info *bfi_tvm_op_row(bfi_tvm_op op) {
    assert(op >= 0 && op < BFI_TVM_OPS);
    return &ops[op];
}

/* The word at |*text|, which moves behind it and its space; its length, 0 at the end. */
static size_t next_word(const char **text, const char **word) {
    *word = *text;
    size_t n = strcspn(*text, " ");
    *text += n + ((*text)[n] == ' ');
    return n;
}

int bfi_tvm_words(const char *text) {
    const char *word;
    int n = 0;
    while (next_word(&text, &word)) n++;
    return n;
}

static bool is_word(const char *word, size_t n, const char *name) {
    return strlen(name) == n && memcmp(word, name, n) == 0;
}

/* Parameter named by a word of a row. */
static bfi_tvm_param param_of(const char *word, size_t n) {
    int i = 0;
    while (i < BFI_TVM_PARAMS && !is_word(word, n, params[i].name)) i++;
    assert(i < BFI_TVM_PARAMS);
    return (bfi_tvm_param)i;
}

/* CPUs that have AVX2 and fma; the bytes of their vectors. */
typedef struct cpu_row {
    const char *name;
    int vector;
} cpu_row;

static const cpu_row cpus[] = {
    {"x86-64-v3", 32}, {"x86-64-v4", 64}, {"haswell", 32},        {"skylake", 32}, {"znver1", 32},
    {"znver2", 32},    {"znver3", 32},    {"skylake-avx512", 64}, {"znver4", 64},  {"znver5", 64},
};

enum { CPUS = sizeof cpus / sizeof *cpus };

static const char target_head[] = "{\"kind\":\"llvm\",\"mcpu\":\"";

/* Row of the CPU of |target|, whose JSON was checked; NULL when it is none of ours. */
static const cpu_row *cpu_of(const char *json) {
    size_t head = sizeof target_head - 1;
    if (strncmp(json, target_head, head) != 0) return NULL;
    const char *name = json + head;
    size_t n = strcspn(name, "\"");
    for (int i = 0; i < CPUS; i++)
        if (is_word(name, n, cpus[i].name)) return &cpus[i];
    return NULL;
}

/* Features behind the name: nothing, or ,"mattr":["+x",...], then the brace and the end. */
static bool features_fit(const char *p) {
    static const char head[] = ",\"mattr\":[";
    if (strcmp(p, "}") == 0) return true;
    if (strncmp(p, head, sizeof head - 1) != 0) return false;
    p += sizeof head - 1;
    for (;; p++) {
        if (*p++ != '"' || (*p != '+' && *p != '-')) return false;
        size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz0123456789.-_");
        if (n == 0 || strncmp(p, "-fma", 4) == 0 || strncmp(p, "-avx", 4) == 0) return false;
        p += 1 + n;
        if (*p++ != '"') return false;
        if (*p != ',') return strcmp(p, "]}") == 0;
    }
}

static bf_status check_target(const char *json, bf_error *err) {
    const cpu_row *cpu = cpu_of(json);
    const char *features = json + sizeof target_head - 1 + (cpu ? strlen(cpu->name) : 0) + 1;
    if (cpu && strlen(json) < BFI_TVM_TARGET_SIZE && features_fit(features)) return BF_STATUS_OK;
    return bfi_fail(
        err, BF_STATUS_UNSUPPORTED,
        "TVM target %.100s: not an x86-64 CPU known to have AVX2 and fma; use x86-64-v3 "
        "or x86-64-v4",
        json);
}

bf_status bfi_tvm_target_from_cpu(const char *mcpu, bfi_tvm_target *target, bf_error *err) {
    for (int i = 0; i < CPUS; i++)
        if (strcmp(mcpu, cpus[i].name) == 0) {
            snprintf(target->json, sizeof target->json, "%s%s\"}", target_head, mcpu);
            return BF_STATUS_OK;
        }
    target->json[0] = 0;
    return bfi_fail(err, BF_STATUS_UNSUPPORTED,
                    "CPU '%.40s': not known to have AVX2 and fma; use x86-64-v3 or x86-64-v4",
                    mcpu);
}

bool bfi_tvm_target_host(bfi_tvm_target *target) {
    const char *level = NULL;
    target->json[0] = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
        level = "x86-64-v3";
    if (level && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        level = "x86-64-v4";
#endif
    return level && bfi_tvm_target_from_cpu(level, target, NULL) == BF_STATUS_OK;
}

bool bfi_tvm_op_has(bfi_tvm_op op, bfi_tvm_param param) {
    const char *rest = ops[op].parameters, *word;
    for (size_t n; (n = next_word(&rest, &word)) > 0;)
        if (param_of(word, n) == param) return true;
    return false;
}

static bool has(const bfi_tvm_kernel *kernel, bfi_tvm_param param) {
    return bfi_tvm_op_has(kernel->op, param);
}

static bool is_conv(const bfi_tvm_kernel *kernel) { return has(kernel, BFI_TVM_C_SRC); }

/* Register tiles, measured on a Zen 4 (AVX-512, and AVX2 forced); docs/design/tvm-kernels.md. */
static void choose_tile(const bfi_tvm_kernel *kernel, bool wide, int64_t width, int64_t *rows,
                        int64_t *vecs) {
    bool walks = is_conv(kernel) && kernel->p[BFI_TVM_KH] * kernel->p[BFI_TVM_KW] > 1;
    bool sums_beside = kernel->op == BFI_TVM_OP_LINEAR_RELAX;
    switch (kernel->op) {
        case BFI_TVM_OP_LINEAR_ONE:
            *vecs = 8;
            break;
        case BFI_TVM_OP_INTERVAL_LINEAR:
            *vecs = 2;
            break;
        case BFI_TVM_OP_CONV_ONE:
            *rows = wide ? 4 : 2, *vecs = 2;
            break;
        case BFI_TVM_OP_INTERVAL_CONV:
            *rows = wide && width == 16 ? 2 : 1, *vecs = 1;
            break;
        case BFI_TVM_OP_RELAX:
        case BFI_TVM_OP_ACCUMULATE:
            *vecs = 4;
            break;
        default:
            *rows = wide || sums_beside || walks ? 4 : 6; /* 16 registers */
            *vecs = wide ? 4 : 2;
            break;
    }
}

void bfi_tvm_kernel_schedule(bfi_tvm_kernel *kernel, const bfi_tvm_target *target) {
    const cpu_row *cpu = cpu_of(target->json);
    bool wide = cpu && cpu->vector == 64;
    int64_t width = (wide ? 64 : 32) / (kernel->dtype == BFI_F32 ? 4 : 8), rows = 1, vecs = 1;
    choose_tile(kernel, wide, width, &rows, &vecs);
    if (has(kernel, BFI_TVM_ROWS)) kernel->p[BFI_TVM_ROWS] = rows;
    if (has(kernel, BFI_TVM_VECS)) kernel->p[BFI_TVM_VECS] = vecs;
    if (has(kernel, BFI_TVM_WIDTH)) kernel->p[BFI_TVM_WIDTH] = width;
}

/* Product of sizes, or -1 from 2^40 on. */
static int64_t elements(const int64_t *sizes, int count) {
    int64_t total = 1;
    for (int i = 0; i < count; i++)
        if (!bfi_mul_i64(total, sizes[i], &total) || total >= (int64_t)1 << 40) return -1;
    return total;
}

static bf_status check_sizes(const bfi_tvm_kernel *kernel, bf_error *err) {
    const int64_t *p = kernel->p;
    const int64_t batch = has(kernel, BFI_TVM_BATCH) ? p[BFI_TVM_BATCH] : 1;
    bool fits = true;
    if (has(kernel, BFI_TVM_M))
        fits = elements((int64_t[]){batch, p[BFI_TVM_M] + 15, p[BFI_TVM_K]}, 3) > 0;
    if (is_conv(kernel))
        fits = elements((int64_t[]){p[BFI_TVM_GROUPS], p[BFI_TVM_C_DST] + 15, p[BFI_TVM_C_SRC],
                                    p[BFI_TVM_KH], p[BFI_TVM_KW]},
                        5) > 0 &&
               elements((int64_t[]){batch, p[BFI_TVM_GROUPS], p[BFI_TVM_C_SRC], p[BFI_TVM_H_SRC],
                                    p[BFI_TVM_W_SRC]},
                        5) > 0 &&
               elements((int64_t[]){batch, p[BFI_TVM_GROUPS], p[BFI_TVM_C_DST], p[BFI_TVM_H_DST],
                                    p[BFI_TVM_W_DST]},
                        5) > 0;
    if (fits) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_UNSUPPORTED, "TVM kernel %s: an array of 2^40 elements or more",
                    ops[kernel->op].name);
}

/* Sums that a register tile of |kernel| holds side by side. */
static int64_t tile_sums(const bfi_tvm_kernel *kernel) {
    int64_t rows = has(kernel, BFI_TVM_ROWS) ? kernel->p[BFI_TVM_ROWS] : 1;
    int64_t vecs = has(kernel, BFI_TVM_VECS) ? kernel->p[BFI_TVM_VECS] : 1;
    int64_t panel = 16 / kernel->p[BFI_TVM_WIDTH]; /* vectors */
    switch (kernel->op) {
        case BFI_TVM_OP_INTERVAL_LINEAR:
        case BFI_TVM_OP_INTERVAL_CONV:
            return 3 * rows * (vecs > panel ? vecs : panel);
        case BFI_TVM_OP_LINEAR_ONE:
        case BFI_TVM_OP_CONV_ONE:
            return rows * (vecs > panel ? vecs : panel);
        default:
            return rows * vecs;
    }
}

/* Vectors fill registers of 16 to 64 bytes. */
static bf_status check_schedule(const bfi_tvm_kernel *kernel, bf_error *err) {
    int64_t width = kernel->p[BFI_TVM_WIDTH];
    int64_t bytes = width * (kernel->dtype == BFI_F32 ? 4 : 8);
    if ((width & (width - 1)) || bytes < 16 || bytes > 64)
        return bfi_fail(err, BF_STATUS_UNSUPPORTED,
                        "TVM kernel %s: width=%" PRId64 " is no vector of 16, 32 or 64 bytes",
                        ops[kernel->op].name, width);
    if (tile_sums(kernel) > BFI_TVM_TILE_SUMS)
        return bfi_fail(err, BF_STATUS_UNSUPPORTED,
                        "TVM kernel %s: a tile of more than %d sums; lower rows or vecs",
                        ops[kernel->op].name, BFI_TVM_TILE_SUMS);
    return BF_STATUS_OK;
}

bf_status bfi_tvm_kernel_check(const bfi_tvm_kernel *kernel, bf_error *err) {
    if (kernel->op < 0 || kernel->op >= BFI_TVM_OPS ||
        (kernel->dtype != BFI_F32 && kernel->dtype != BFI_F64))
        return bfi_fail(err, BF_STATUS_UNSUPPORTED, "TVM kernel: no such op or dtype");
    for (int i = 0; i < BFI_TVM_PARAMS; i++) {
        const param_row *row = &params[i];
        int64_t value = kernel->p[i];
        if (has(kernel, (bfi_tvm_param)i) ? value < row->low || value > row->high : value != 0)
            return bfi_fail(err, BF_STATUS_UNSUPPORTED,
                            "TVM kernel %s: %s=%" PRId64 " is out of range", ops[kernel->op].name,
                            row->name, value);
    }
    bf_status status = check_sizes(kernel, err);
    return status ? status : check_schedule(kernel, err);
}

bool bfi_tvm_kernel_print(const bfi_tvm_kernel *kernel, char *text, size_t size) {
    const bfi_tvm_op_info *op = &ops[kernel->op];
    int at = snprintf(text, size, "%s %s", op->name, kernel->dtype == BFI_F32 ? "f32" : "f64");
    const char *rest = op->parameters, *word;
    for (size_t n; (n = next_word(&rest, &word)) > 0;) {
        if (at < 0 || (size_t)at >= size) return false;
        at += snprintf(text + at, size - (size_t)at, " %.*s=%" PRId64, (int)n, word,
                       kernel->p[param_of(word, n)]);
    }
    return at >= 0 && (size_t)at < size;
}

static int print_head(char *text, size_t size) {
    return snprintf(text, size, "abi=%d tvm=%s ffi=%s target=", BFI_TVM_KERNEL_ABI, BFI_TVM_VERSION,
                    BFI_TVM_FFI_VERSION);
}

bool bfi_tvm_key_print(const bfi_tvm_kernel *kernel, const bfi_tvm_target *target, char *text,
                       size_t size) {
    int at = print_head(text, size);
    if (at < 0 || (size_t)at >= size) return false;
    int more = snprintf(text + at, size - (size_t)at, "%s ", target->json);
    if (more < 0 || (size_t)(at + more) >= size) return false;
    return bfi_tvm_kernel_print(kernel, text + at + more, size - (size_t)(at + more));
}

/* A whole number in its shortest spelling. */
static bool read_number(const char *word, size_t n, int64_t *value) {
    bool minus = n > 0 && word[0] == '-';
    size_t i = minus;
    if (i == n || n - i > 18 || (word[i] == '0' && (n - i > 1 || minus))) return false;
    for (*value = 0; i < n; i++) {
        if (word[i] < '0' || word[i] > '9') return false;
        *value = *value * 10 + (word[i] - '0');
    }
    if (minus) *value = -*value;
    return true;
}

static bool read_op(const char *word, size_t n, bfi_tvm_op *op) {
    for (int i = 0; i < BFI_TVM_OPS; i++)
        if (is_word(word, n, ops[i].name)) {
            *op = (bfi_tvm_op)i;
            return true;
        }
    return false;
}

static bool read_kernel(const char *text, bfi_tvm_kernel *kernel) {
    const char *word, *name, *names;
    size_t n = next_word(&text, &word);
    if (!read_op(word, n, &kernel->op)) return false;
    n = next_word(&text, &word);
    if (!is_word(word, n, "f32") && !is_word(word, n, "f64")) return false;
    kernel->dtype = word[1] == '3' ? BFI_F32 : BFI_F64;
    names = ops[kernel->op].parameters;
    for (size_t size; (size = next_word(&names, &name)) > 0;) {
        n = next_word(&text, &word);
        if (n < size + 1 || memcmp(word, name, size) != 0 || word[size] != '=') return false;
        if (!read_number(word + size + 1, n - size - 1, &kernel->p[param_of(name, size)]))
            return false;
    }
    return *text == 0 && text[-1] != ' ';
}

bf_status bfi_tvm_kernel_parse(const char *text, bfi_tvm_kernel *kernel, bf_error *err) {
    memset(kernel, 0, sizeof *kernel);
    if (!read_kernel(text, kernel))
        return bfi_fail(
            err, BF_STATUS_PARSE,
            "'%.200s' is no kernel: expected an op, f32 or f64, and its parameters in order", text);
    bf_status status = bfi_tvm_kernel_check(kernel, err);
    return status ? bfi_fail_in(err, BF_STATUS_PARSE, "kernel text") : BF_STATUS_OK;
}

bf_status bfi_tvm_key_parse(const char *text, bfi_tvm_kernel *kernel, bfi_tvm_target *target,
                            bf_error *err) {
    char head[128];
    int size = print_head(head, sizeof head);
    assert(size > 0 && (size_t)size < sizeof head);
    memset(kernel, 0, sizeof *kernel);
    target->json[0] = 0;
    if (strncmp(text, head, (size_t)size) != 0)
        return bfi_fail(err,
                        strncmp(text, "abi=", 4) == 0 ? BF_STATUS_UNSUPPORTED : BF_STATUS_PARSE,
                        "kernel key '%.100s': expected it to begin with '%s'", text, head);
    const char *json = text + size;
    size_t n = strcspn(json, " ");
    if (n >= sizeof target->json || json[n] == 0)
        return bfi_fail(err, BF_STATUS_PARSE, "kernel key '%.100s': target too long, or no kernel",
                        text);
    memcpy(target->json, json, n);
    target->json[n] = 0;
    bf_status status = check_target(target->json, err);
    return status ? status : bfi_tvm_kernel_parse(json + n + 1, kernel, err);
}

int64_t bfi_tvm_kernel_terms(const bfi_tvm_kernel *kernel) {
    const int64_t *p = kernel->p;
    if (is_conv(kernel)) return p[BFI_TVM_C_SRC] * p[BFI_TVM_KH] * p[BFI_TVM_KW];
    if (has(kernel, BFI_TVM_K)) return p[BFI_TVM_K];
    return kernel->op == BFI_TVM_OP_ACCUMULATE ? 1 : 0;
}

int64_t bfi_tvm_kernel_workspace(const bfi_tvm_kernel *kernel) {
    (void)kernel; /* register tiles only: nothing asks for more than the stack */
    return 0;
}
