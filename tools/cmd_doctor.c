#include <string.h>

#include "base/alloc.h"
#include "cli.h"
#include "doctor.h"
#include "json.h"
#include "terminal.h"

#define INDENT 27

static void print_json(const bfi_findings *all, bool works) {
    bfi_json json = {.out = stdout};
    bfi_json_open(&json, NULL, '{');
    bfi_json_string(&json, "version", bf_version());
    bfi_json_boolean(&json, "works", works);
    bfi_json_open(&json, "findings", '[');
    for (int i = 0; i < all->count; i++) {
        const bfi_finding *f = &all->items[i];
        const char *const texts[][2] = {
            {"group", f->group},     {"name", f->name}, {"state", bfi_finding_state_name(f->state)},
            {"version", f->version}, {"path", f->path}, {"detail", f->detail},
            {"advice", f->advice}};
        bfi_json_open(&json, NULL, '{');
        for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
            if (texts[t][1] && *texts[t][1])
                bfi_json_string(&json, texts[t][0], texts[t][1]);
            else
                bfi_json_null(&json, texts[t][0]);
        }
        bfi_json_close(&json, '}');
    }
    bfi_json_close(&json, ']');
    bfi_json_close(&json, '}');
    putchar('\n');
}

static bfi_style style_of(bfi_finding_state state) {
    switch (state) {
        case BFI_FINDING_OK:
            return BFI_STYLE_GOOD;
        case BFI_FINDING_OFF:
            return BFI_STYLE_DIM;
        case BFI_FINDING_MISSING:
            return BFI_STYLE_DOUBT;
        default:
            return BFI_STYLE_BAD;
    }
}

/* A line of its own below the first one; nothing when |text| is "" or NULL. */
static void print_below(const char *label, const char *text) {
    if (!text || !*text) return;
    printf("%*s%s%s%s", INDENT, "", bfi_terminal_style(stdout, BFI_STYLE_BOLD), label,
           bfi_terminal_style(stdout, BFI_STYLE_RESET));
    bfi_terminal_wrap(stdout, text, INDENT, INDENT + (int)strlen(label));
    putchar('\n');
}

static void print_finding(const bfi_finding *f) {
    const char *reset = bfi_terminal_style(stdout, BFI_STYLE_RESET);
    printf("  %s%-8s%s %-16s", bfi_terminal_style(stdout, style_of(f->state)),
           bfi_finding_state_name(f->state), reset, f->name);
    char where[sizeof f->version + sizeof f->path + 8];
    snprintf(where, sizeof where, "%s%s%s", f->version, *f->version && *f->path ? "  " : "",
             f->path);
    bfi_terminal_wrap(stdout, *where ? where : f->detail, INDENT, INDENT);
    putchar('\n');
    if (*where) print_below("", f->detail);
    print_below("to get it: ", f->advice);
}

static void print_table(const bfi_findings *all) {
    const char *group = "";
    int counts[4] = {0};
    for (int i = 0; i < all->count; i++) {
        const bfi_finding *f = &all->items[i];
        if (strcmp(f->group, group) != 0)
            printf("%s%s%s%s\n", *group ? "\n" : "", bfi_terminal_style(stdout, BFI_STYLE_BOLD),
                   f->group, bfi_terminal_style(stdout, BFI_STYLE_RESET));
        group = f->group;
        counts[f->state]++;
        print_finding(f);
    }
    printf("\n%d ok, %d off, %d missing, %d broken\n", counts[BFI_FINDING_OK],
           counts[BFI_FINDING_OFF], counts[BFI_FINDING_MISSING], counts[BFI_FINDING_BROKEN]);
}

int bfi_cmd_doctor(const bfi_arguments *args) {
    bf_error err = {""};
    bfi_findings *all = bfi_calloc(1, sizeof *all);
    if (!all) return bfi_cli_end(BFI_COMMAND_DOCTOR, bfi_fail_memory(&err), &err);
    const char *tvm = args->given[BFI_OPTION_TVM] ? args->text[BFI_OPTION_TVM][0] : NULL;
    bf_status status = bfi_doctor_look(tvm, args->given[BFI_OPTION_TRY], all, &err);
    if (args->given[BFI_OPTION_JSON])
        print_json(all, status == BF_STATUS_OK);
    else
        print_table(all);
    free(all);
    return bfi_cli_end(BFI_COMMAND_DOCTOR, status, &err);
}
