/* boundflow: the command line. Every command is a row of options.def and a function in cmd_*.c. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "help.h"

static int (*const runs[])(const bfi_arguments *args) = {
#define BF_COMMAND(ID, name, positional, fewest, most, completion, summary) bfi_cmd_##name,
#include "options.def"
};

static int run(int argc, char *const *argv, bf_error *err) {
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        bfi_help_version(stdout);
        return 0;
    }
    if (strcmp(name, "--name") == 0) {
        bfi_help_name(stdout);
        return 0;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        bfi_help_overview(stdout);
        return 0;
    }
    bfi_command command = bfi_command_find(name);
    if (command == BFI_COMMAND_COUNT && name[0] == '-') {
        bfi_fail(
            err, BF_STATUS_INVALID_ARGUMENT,
            "unknown option %.60s; the nearest one is %s (options of a command follow its name)",
            name,
            bfi_edit_distance(name, "--version") < bfi_edit_distance(name, "--help") ? "--version"
                                                                                     : "--help");
        return bfi_cli_end(BFI_COMMAND_COUNT, BF_STATUS_INVALID_ARGUMENT, err);
    }
    if (command == BFI_COMMAND_COUNT)
        return bfi_cli_end(BFI_COMMAND_COUNT, bfi_command_unknown(name, err), err);
    bfi_arguments args;
    bf_status status = bfi_arguments_parse(command, argc - 2, argv + 2, &args, err);
    if (status != BF_STATUS_OK) return bfi_cli_end(command, status, err);
    if (args.given[BFI_OPTION_HELP])
        bfi_help_command(stdout, command);
    else if (args.given[BFI_OPTION_VERSION])
        bfi_help_version(stdout);
    else
        return runs[command](&args);
    return 0;
}

int main(int argc, char **argv) {
    bf_error err = {""};
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error with a message, not a silent end */
    if (argc < 2) {
        bfi_help_overview(stderr);
        return bf_status_exit_code(BF_STATUS_INVALID_ARGUMENT);
    }
    int code = run(argc, argv, &err);
    bf_status status = bfi_cli_flush(&err);
    return code != 0 ? code : bfi_cli_end(BFI_COMMAND_COUNT, status, &err);
}
