/* Stands in for libFuzzer: runs every file given, or found in a folder given, through the target once. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return -1;
    }
    uint8_t *data = NULL;
    size_t size = 0, capacity = 0;
    for (;;) {
        if (size == capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            uint8_t *grown = realloc(data, capacity);
            if (!grown) abort();
            data = grown;
        }
        size_t got = fread(data + size, 1, capacity - size, file);
        if (got == 0) break;
        size += got;
    }
    int failed = ferror(file);
    fclose(file);
    /* An exact copy, so that AddressSanitizer sees a read one past the end. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact) abort();
    memcpy(exact, data, size);
    free(data);
    if (!failed) LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return failed ? -1 : 0;
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* Number of inputs run, or -1. */
static int replay_folder(const char *folder) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_visible, by_name);
    if (count < 0) {
        perror(folder);
        return -1;
    }
    int failed = 0;
    for (int i = 0; i < count; i++) {
        size_t length = strlen(folder) + strlen(entries[i]->d_name) + 2;
        char *path = malloc(length);
        if (!path) abort();
        snprintf(path, length, "%s/%s", folder, entries[i]->d_name);
        failed |= replay_file(path);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return failed ? -1 : count;
}

int main(int argc, char **argv) {
    int inputs = 0;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info) != 0) {
            perror(argv[i]);
            return 1;
        }
        int count = S_ISDIR(info.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i]) ? -1 : 1;
        if (count < 0) return 1;
        inputs += count;
    }
    if (inputs == 0) {
        fprintf(stderr, "usage: %s FILE|FOLDER...: no input found\n", argv[0]);
        return 1;
    }
    printf("%d inputs replayed\n", inputs);
    return 0;
}
