#include <stdlib.h>

#include "boundflow/tvm.h"
#include "cli.h"
#include "json.h"
#include "terminal.h"

static void print_results(const bf_tune_result *results, int count) {
    printf("%s%11s %11s %7s  %-7s %s%s\n", bfi_terminal_style(stdout, BFI_STYLE_BOLD), "native us",
           "tvm us", "ratio", "taken", "kernel", bfi_terminal_style(stdout, BFI_STYLE_RESET));
    for (int i = 0; i < count; i++) {
        const bf_tune_result *r = &results[i];
        printf("%11.2f %11.2f %7.2f  %-7s ", r->native_s * 1e6, r->compiled_s * 1e6,
               r->native_s / r->compiled_s, r->compiled_wins ? "tvm" : "native");
        bfi_terminal_wrap(stdout, r->kernel, 41, 41);
        putchar('\n');
    }
    puts("\nkept for --executor auto; ratio: native over tvm, above 1 tvm is faster");
}

static void print_json(const bf_tune_result *results, int count) {
    bfi_json json = {.out = stdout};
    bfi_json_open(&json, NULL, '{');
    bfi_json_open(&json, "kernels", '[');
    for (int i = 0; i < count; i++) {
        bfi_json_open(&json, NULL, '{');
        bfi_json_string(&json, "kernel", results[i].kernel);
        bfi_json_number(&json, "native_s", results[i].native_s);
        bfi_json_number(&json, "tvm_s", results[i].compiled_s);
        bfi_json_string(&json, "taken", results[i].compiled_wins ? "tvm" : "native");
        bfi_json_close(&json, '}');
    }
    bfi_json_close(&json, ']');
    bfi_json_close(&json, '}');
    putchar('\n');
}

int bfi_cmd_tune(const bfi_arguments *args) {
    bf_error err = {""};
    bf_options options = bf_options_default();
    bf_session *session = NULL;
    bf_model *model = NULL;
    bf_tune_result *results = NULL;
    int count = 0;
    bf_status status = bfi_cli_options(args, &options, &err);
    if (status == BF_STATUS_OK) status = bf_model_load(args->positional, &model, &err);
    if (status == BF_STATUS_OK) status = bfi_cli_session(args, &session, &err);
    if (status == BF_STATUS_OK) status = bf_tune(session, model, &options, &results, &count, &err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_JSON])
        print_json(results, count);
    else if (status == BF_STATUS_OK)
        print_results(results, count);
    free(results);
    bf_model_free(model);
    bfi_cli_session_free(args, session);
    return bfi_cli_end(BFI_COMMAND_TUNE, status, &err);
}
