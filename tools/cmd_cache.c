#include <string.h>
#include <time.h>

#include "cli.h"
#include "json.h"

static void print_json(const bfi_arguments *args, const bf_cache_file *file) {
    bfi_json json = {.out = stdout};
    bfi_json_open(&json, NULL, '{');
    bfi_json_string(&json, "file", args->second);
    bfi_json_integer(&json, "entries", file->entries);
    bfi_json_integer(&json, "bytes", file->bytes);
    bfi_json_integer(&json, "value_bytes", file->value_bytes);
    bfi_json_integer(&json, "key_bytes", file->key_bytes);
    bfi_json_number(&json, "oldest", file->oldest);
    bfi_json_number(&json, "newest", file->newest);
    bfi_json_close(&json, '}');
    putchar('\n');
}

static void print_time(const char *what, double seconds) {
    char text[64];
    time_t at = (time_t)seconds;
    struct tm local;
    if (localtime_r(&at, &local) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local))
        printf("%s%s\n", what, text);
}

static void print_text(const bfi_arguments *args, const bf_cache_file *file, bool checked) {
    char bytes[32], values[32], keys[32];
    bfi_cli_bytes(file->bytes, bytes, sizeof bytes);
    bfi_cli_bytes(file->value_bytes, values, sizeof values);
    bfi_cli_bytes(file->key_bytes, keys, sizeof keys);
    printf("%s: %lld entries%s, %s (%s of bounds, %s of boxes and specs)\n", args->second,
           (long long)file->entries, checked ? ", all as they were written" : "", bytes, values,
           keys);
    if (!file->entries) return;
    print_time("used last  ", file->newest);
    print_time("used first ", file->oldest);
}

int bfi_cmd_cache(const bfi_arguments *args) {
    static const char *const actions[] = {"info", "check", "clear"};
    bf_error err = {""};
    bf_cache_file file = {0};
    int action = 0;
    while (action < 3 && strcmp(args->positional, actions[action]) != 0) action++;
    bf_status status;
    if (action == 0)
        status = bf_cache_file_info(args->second, &file, &err);
    else if (action == 1)
        status = bf_cache_file_check(args->second, &file, &err);
    else if (action == 2)
        status = bf_cache_file_clear(args->second, &err);
    else
        status =
            bfi_fail(&err, BF_STATUS_INVALID_ARGUMENT,
                     "'%.60s' is no action: info, check or clear, then the file", args->positional);
    if (status == BF_STATUS_OK && action == 2)
        status = bf_cache_file_info(args->second, &file, &err);
    if (status == BF_STATUS_OK) {
        if (args->given[BFI_OPTION_JSON])
            print_json(args, &file);
        else
            print_text(args, &file, action == 1);
        status = bfi_cli_flush(&err);
    }
    return bfi_cli_end(BFI_COMMAND_CACHE, status, &err);
}
