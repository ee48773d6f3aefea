/* Stands for boundflow-tvmc in tests: the same command line and answers, kernels computed by the
 * reference table. Env FAKE_TVMC says what goes wrong, FAKE_TVMC_AT with which request of the
 * process (1: the first). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "exec/tvm/kernel_file.h"
#include "fixtures/fake_kernel.h"

static char *find_mark(char *image, size_t size) {
    for (size_t i = 0; i + sizeof(fake_patch) <= size; i += 8)
        if (memcmp(image + i, FAKE_MARK, sizeof FAKE_MARK) == 0) return image + i;
    return NULL;
}

/* The file beside this program, patched. */
static bool write_kernel(const char *program, const char *path, const char *key) {
    char file[4096], *image = NULL;
    size_t size;
    bfi_tvm_target target;
    const char *poison = getenv("FAKE_POISON"); /* name of the kernels that are to be */
    fake_patch patch = {.mark = FAKE_MARK};
    snprintf(file, sizeof file, "%.*s/fake_kernel.so", (int)(strrchr(program, '/') - program),
             program);
    if (bfi_tvm_key_parse(key, &patch.kernel, &target, NULL)) return false;
    if (bfi_file_read(file, (size_t)64 << 20, &image, &size, NULL)) return false;
    if (poison && strcmp(bfi_tvm_op_row(patch.kernel.op)->name, poison) == 0)
        patch.mode = FAKE_POISON;
    char *at = find_mark(image, size);
    if (at) memcpy(at, &patch, sizeof patch);
    bool fine = at && bfi_tvm_file_write(path, image, size, key, NULL) == 0;
    free(image);
    return fine;
}

static void write_half(const char *path) {
    FILE *file = fopen(path, "wb");
    if (file) fputs("\177ELF, but not for long", file);
    if (file) fclose(file);
}

/* Does |what| goes wrong; false when it is nothing that is known. */
static bool misbehave(const char *program, const char *what, const char *path, const char *key) {
    if (strcmp(what, "hang") == 0)
        for (;;) pause();
    if (strcmp(what, "half") == 0) write_half(path);
    if (strcmp(what, "crash") == 0 || strcmp(what, "half") == 0) abort();
    if (strcmp(what, "exit") == 0) exit(3);
    if (strcmp(what, "garbage") == 0)
        puts("loading plugins...");
    else if (strcmp(what, "flood") == 0)
        for (;;) fputs("blah ", stdout);
    else if (strcmp(what, "error") == 0)
        printf("error\t%s\tcompile\tno rule for it\n", path);
    else if (strcmp(what, "absent") == 0)
        puts("error\t-\tno-tvm\tlibrary missing");
    else if (strcmp(what, "nothing") == 0)
        printf("ok\t%s\t0.0\n", path);
    else if (strcmp(what, "lie") == 0) {
        write_half(path);
        printf("ok\t%s\t0.0\n", path);
    } else if (strcmp(what, "other") == 0) {
        char other[BFI_TVM_KEY_SIZE + 1];
        snprintf(other, sizeof other, "%s", key);
        char *k = strstr(other, "f32");
        if (k) memcpy(k, "f64", 3);
        write_kernel(program, path, other);
        printf("ok\t%s\t0.0\n", path);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static char line[8192], program[4096];
    const char *what = getenv("FAKE_TVMC"), *at = getenv("FAKE_TVMC_AT"),
               *log = getenv("FAKE_TVMC_LOG");
    if (argc != 5 || strcmp(argv[1], "--tvm") || strcmp(argv[3], "--jobs")) return 2;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) return 2;
    for (int request = 1; fgets(line, sizeof line, stdin); request++) {
        line[strcspn(line, "\n")] = '\0';
        char *tab = strchr(line, '\t');
        if (!tab) return 2;
        *tab = '\0';
        FILE *count = log ? fopen(log, "a") : NULL;
        if (count) fprintf(count, "%s\n", tab + 1);
        if (count) fclose(count);
        bool now = what && *what && (!at || atoi(at) == request);
        if (!now || !misbehave(program, what, line, tab + 1))
            printf(write_kernel(program, line, tab + 1) ? "ok\t%s\t0.001\n"
                                                        : "error\t%s\tdisk\tcannot be written\n",
                   line);
        fflush(stdout);
    }
    return 0;
}
