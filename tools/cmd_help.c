#include <string.h>

#include "cli.h"
#include "help.h"
#include "terminal.h"

#define INDENT 30

static const struct {
    bfi_command command;
    const char *line, *what;
} examples[] = {
#define BF_EXAMPLE(ID, line, what) {BFI_COMMAND_##ID, line, what},
#include "options.def"
};

void bfi_help_version(FILE *out) { fprintf(out, "%s\n", bf_version()); }

static void print_heading(FILE *out, const char *text) {
    fprintf(out, "\n%s%s%s\n", bfi_terminal_style(out, BFI_STYLE_BOLD), text,
            bfi_terminal_style(out, BFI_STYLE_RESET));
}

/* A term in the left column, its meaning in the right one. */
static void print_entry(FILE *out, const char *term, int indent, const char *meaning) {
    int column = 2 + (int)strlen(term);
    fprintf(out, "  %s", term);
    if (column + 1 >= indent)
        fprintf(out, "\n%*s", indent, "");
    else
        fprintf(out, "%*s", indent - column, "");
    bfi_terminal_wrap(out, meaning, indent, indent);
    fputc('\n', out);
}

static void print_examples(FILE *out, bfi_command command) {
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        if (examples[i].command != command) continue;
        fprintf(out, "  %s\n      ", examples[i].line);
        bfi_terminal_wrap(out, examples[i].what, 6, 6);
        fputc('\n', out);
    }
}

void bfi_help_name(FILE *out) { fputs("BoundFlow\n", out); }

void bfi_help_overview(FILE *out) {
    bfi_terminal_wrap(
        out,
        "boundflow verifies neural networks: is a property true for every input in a box? It reads "
        "networks (ONNX) and properties (VNN-LIB), plain or gzipped.",
        0, 0);
    fputc('\n', out);
    print_heading(out, "Commands");
    for (int c = 0; c < BFI_COMMAND_COUNT; c++) {
        char term[64];
        snprintf(term, sizeof term, "%s %s", bfi_commands[c].name, bfi_commands[c].positional);
        print_entry(out, term, 22, bfi_commands[c].summary);
    }
    print_heading(out, "Start with");
    print_examples(out, BFI_COMMAND_DEMO);
    fputs("  boundflow COMMAND --help\n      options and examples of a command\n", out);
    fputs("  boundflow help exit-codes\n      what the numbers mean\n", out);
    fputs("  boundflow --version, boundflow --name\n      for other programs\n", out);
}

static void print_option(FILE *out, int option) {
    const bfi_option_info *info = &bfi_options[option];
    char term[192], meaning[512], choices[128];
    snprintf(choices, sizeof choices, "%s", info->choices);
    for (char *p = choices; *p; p++)
        if (*p == ' ') *p = info->kind == BFI_KIND_CHOICE ? '|' : ',';
    const char *argument = *choices ? choices : info->arguments;
    snprintf(term, sizeof term, "%s--%s%s%s", option == BFI_OPTION_HELP ? "-h, " : "", info->name,
             *argument ? " " : "", argument);
    if (*info->fallback)
        snprintf(meaning, sizeof meaning, "%s (default: %s)", info->help, info->fallback);
    else
        snprintf(meaning, sizeof meaning, "%s", info->help);
    print_entry(out, term, INDENT, meaning);
}

static void print_forms(FILE *out, bfi_command command) {
    static const char *const bound =
        "  boundflow bound M.onnx --center X.npy --eps E [--clip LO HI] [options]\n"
        "  boundflow bound M.onnx --box LO.npy HI.npy [options]\n"
        "  boundflow bound M.onnx --vnnlib P.vnnlib [options]\n";
    static const char *const verify =
        "  boundflow verify P.vnnlib --network M.onnx [options]\n"
        "  boundflow verify --batch INSTANCES.csv [options]\n";
    static const char *const radius =
        "  boundflow radius M.onnx --center X.npy [--label K] [--clip LO HI] [options]\n";
    const bfi_command_info *info = &bfi_commands[command];
    static const char *const sweep =
        "  boundflow sweep M.onnx --inputs X.npy --eps LIST [--labels L] [--clip LO HI] "
        "[options]\n";
    if (command == BFI_COMMAND_RADIUS)
        fputs(radius, out);
    else if (command == BFI_COMMAND_SWEEP)
        fputs(sweep, out);
    else if (command == BFI_COMMAND_BOUND)
        fputs(bound, out);
    else if (command == BFI_COMMAND_VERIFY)
        fputs(verify, out);
    else
        fprintf(
            out, "  boundflow %s%s%s%s\n", info->name, *info->positional ? " " : "",
            info->positional,
            command == BFI_COMMAND_HELP || command == BFI_COMMAND_COMPLETION ? "" : " [options]");
}

static void print_notes(FILE *out, bfi_command command) {
    const char *text = NULL;
    if (command == BFI_COMMAND_VERIFY)
        text =
            "The first line on stdout is the verdict, as the VNN-LIB standard's solver interface "
            "has it. "
            "For sat the assignment follows, every input "
            "exactly inside its box and re-checked by separate code. Any verdict is exit code 0 "
            "(boundflow help exit-codes). With --batch there is one row per instance (with --json "
            "one object per line); a line that fails is a row 'error', the others go on, and the "
            "exit code is that of the first failure; --timeout caps the time of each line, and "
            "lines without one get 60 s. Ctrl-C stops with what is known: verdict unknown, and on "
            "stderr "
            "(with --json: margin, best_margin, nodes, open) the certified bound, how near the "
            "best "
            "point came, and what is left; the exit code is then 10. A second Ctrl-C ends at once.";
    if (command == BFI_COMMAND_BOUND)
        text =
            "Bounds are sound for every input in the box, rounding errors included, unless "
            "--rounding nearest is given. Decimal options are taken outward. JSON: time_s is the "
            "median time of computing bounds, time_min_s the least, cpu_min_s the least of the "
            "processor's in all threads, load_s that of reading and planning, planned_bytes what "
            "the plan and its workspace take, peak_bytes the most memory the process held.";
    if (command == BFI_COMMAND_RADIUS)
        text =
            "The radius is certified: no input within it, rounding errors included, gives another "
            "output that is at least as large, for every number that reads as the one printed (for "
            "people it is cut to 6 digits, downward). That larger radii fail says something about "
            "the method; that a counterexample lies at a distance, about the network. The search "
            "keeps the better of backward and interval bounds, as verify does. Out of time, or "
            "after Ctrl-C, the best radius so far is the answer.";
    if (command == BFI_COMMAND_SWEEP)
        text =
            "Rows of the CSV: decided_by 'run' when bounds over the ball were computed; 'larger' "
            "when "
            "those over a larger ball of the same input and method were enough (the margin, "
            "theirs, "
            "holds here too); 'centre' when the label is wrong at the input itself. Nothing else "
            "is "
            "concluded: a radius is bounded even where a smaller one failed. key names all that "
            "decides "
            "a row but the radius, so that a file is continued only with what it was begun with; "
            "more "
            "radii, methods and inputs may be added. Rows do not depend on threads. After Ctrl-C "
            "or "
            "--timeout the file has whole rows, the table and the plot what is decided, and the "
            "exit "
            "code says so.";
    if (!text) return;
    print_heading(out, "Notes");
    fputs("  ", out);
    bfi_terminal_wrap(out, text, 2, 2);
    fputc('\n', out);
}

void bfi_help_command(FILE *out, bfi_command command) {
    fputs("boundflow ", out);
    fprintf(out, "%s: ", bfi_commands[command].name);
    bfi_terminal_wrap(out, bfi_commands[command].summary, 4,
                      12 + (int)strlen(bfi_commands[command].name));
    fputc('\n', out);
    print_heading(out, "Usage");
    print_forms(out, command);
    print_heading(out, "Options");
    for (int o = 0; o < BFI_OPTION_COUNT; o++)
        if (bfi_options[o].commands >> command & 1) print_option(out, o);
    print_notes(out, command);
    print_heading(out, "Examples");
    print_examples(out, command);
}

void bfi_help_exit_codes(FILE *out) {
    fputs(
        "Exit codes of every command (any verdict of verify is 0, unless a signal stopped it: "
        "10):\n\n",
        out);
    for (int s = 0; s < BF_STATUS_COUNT; s++) {
        int code = bf_status_exit_code((bf_status)s);
        fprintf(out, "  %3d  %-17s %s\n", code, bf_status_name((bf_status)s),
                bf_status_meaning((bf_status)s));
        if (s == BF_STATUS_OK)
            fprintf(out, "  %3d  %-17s %s\n", BFI_EXIT_WRONG, "wrong",
                    "verify --batch --expected: a verdict contradicts a known one");
    }
}

int bfi_cmd_help(const bfi_arguments *args) {
    const char *topic = args->positional;
    if (!topic) {
        bfi_help_overview(stdout);
        return 0;
    }
    if (strcmp(topic, "exit-codes") == 0) {
        bfi_help_exit_codes(stdout);
        return 0;
    }
    bfi_command command = bfi_command_find(topic);
    if (command == BFI_COMMAND_COUNT) {
        bf_error err;
        bf_status status =
            bfi_edit_distance(topic, "exit-codes") <= 4
                ? bfi_fail(&err, BF_STATUS_INVALID_ARGUMENT,
                           "unknown topic '%.60s'; did you mean 'exit-codes'?", topic)
                : bfi_command_unknown(topic, &err);
        return bfi_cli_end(BFI_COMMAND_HELP, status, &err);
    }
    bfi_help_command(stdout, command);
    return 0;
}
