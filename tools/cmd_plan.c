#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "ir/text.h"
#include "plan/plan.h"
#include "plan_report.h"
#include "plan_svg.h"
#include "terminal.h"

typedef struct plan_run {
    const bfi_arguments *args;
    bf_options options;
    bf_session *session;
    bf_model *model;
    bf_plan *plan;
    bfi_plan_view view;
} plan_run;

static bf_status check(const bfi_arguments *args, bf_error *err) {
    if (args->given[BFI_OPTION_DUMP] &&
        (args->given[BFI_OPTION_REPORT] || args->given[BFI_OPTION_JSON]))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "--dump prints .bfir text: it does not go with --%s",
                        args->given[BFI_OPTION_JSON] ? "json" : "report");
    if (!args->given[BFI_OPTION_SVG]) return BF_STATUS_OK;
    return bfi_cli_writable(args->text[BFI_OPTION_SVG][0], err);
}

static bf_status load(plan_run *run, bf_error *err) {
    double start = bf_clock();
    bf_status status = bf_model_load(run->args->positional, &run->model, err);
    run->view.load_s = bf_clock() - start;
    if (status == BF_STATUS_OK) status = bfi_cli_session(run->args, &run->session, err);
    if (status != BF_STATUS_OK) return status;
    start = bf_clock();
    status = bf_plan_create(run->session, run->model, &run->options, &run->plan, err);
    run->view.plan_s = bf_clock() - start;
    run->view.path = run->args->positional;
    run->view.model = run->model;
    run->view.plan = run->plan;
    run->view.options = &run->options;
    run->view.threads = bf_session_threads(run->session);
    return status;
}

/* For people on a terminal long lists are elided; a file or pipe gets text that parses back. */
static bf_status dump(const plan_run *run, bf_error *err) {
    const char *pass = run->args->text[BFI_OPTION_DUMP][0];
    char *text = NULL;
    size_t size = 0;
    bf_status status;
    if (!strcmp(pass, "graph")) {
        unsigned flags = bfi_terminal_is(stdout) ? BFI_TEXT_ELIDE : BFI_TEXT_FULL;
        status = bfi_graph_print(run->plan->graph, flags, &text, &size, err);
    } else {
        status = bf_plan_dump(run->plan, strcmp(pass, "programs") ? pass : "reuse", &text, err);
    }
    if (status == BF_STATUS_OK) fputs(text, stdout);
    if (status == BF_STATUS_INVALID_ARGUMENT)
        bfi_fail_in(err, status, "--dump: graph, programs, or");
    free(text);
    return status;
}

static bf_status write_svg(const plan_run *run, bf_error *err) {
    bfi_text text;
    bf_status status = bfi_text_open(&text, err);
    if (status != BF_STATUS_OK) return status;
    bool drawn = bfi_plan_svg(&run->view, text.stream);
    if (drawn) return bfi_text_save(&text, run->args->text[BFI_OPTION_SVG][0], err);
    bfi_text_free(&text);
    return bfi_fail_memory(err);
}

static bf_status plan(plan_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    bf_status status = check(args, err);
    if (status == BF_STATUS_OK) status = load(run, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_SVG]) status = write_svg(run, err);
    if (status != BF_STATUS_OK) return status;
    if (args->given[BFI_OPTION_DUMP]) return dump(run, err);
    bfi_report report = (bfi_report)args->count[BFI_OPTION_REPORT];
    bool fine;
    if (!args->given[BFI_OPTION_JSON])
        fine = bfi_plan_report(&run->view, report, stdout);
    else
        fine = bfi_plan_json(&run->view, args->given[BFI_OPTION_REPORT] ? report : BFI_REPORT_COUNT,
                             stdout);
    return fine ? BF_STATUS_OK : bfi_fail_memory(err);
}

int bfi_cmd_plan(const bfi_arguments *args) {
    bf_error err = {""};
    plan_run run = {.args = args, .options = bf_options_default()};
    bf_status status = bfi_cli_options(args, &run.options, &err);
    if (status == BF_STATUS_OK) status = plan(&run, &err);
    bf_plan_free(run.plan);
    bf_model_free(run.model);
    bfi_cli_session_free(args, run.session);
    return bfi_cli_end(BFI_COMMAND_PLAN, status, &err);
}
