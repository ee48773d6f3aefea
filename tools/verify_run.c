#include "verify_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "caching.h"
#include "json.h"
#include "terminal.h"

#define LEAST_TIME 0.001 /* seconds left to verify when reading took them all */

static void show_progress(void *user, const bf_progress *progress) {
    bfi_verify_run *run = user;
    char text[256];
    if (run->batch_total > 0)
        snprintf(text, sizeof text, "%s%.60s: %s", run->batch_eta, bfi_path_name(run->source),
                 progress->phase);
    else
        snprintf(text, sizeof text, "%.60s: %s, %lld of %lld cases decided, %.1f s",
                 bfi_path_name(run->source), progress->phase, (long long)progress->done,
                 (long long)progress->total, progress->seconds);
    bfi_progress_show(&run->progress, run->batch_done, run->batch_total, text);
}

/* Records every workspace of the bounds into one trace. */
static void record(void *user, const bf_plan *plan, bf_workspace *workspace, int done) {
    bfi_verify_run *run = user;
    if (run->trace_status != BF_STATUS_OK) return;
    run->trace_status = done ? bfi_trace_append(&run->trace, plan, workspace, &run->trace_error)
                             : bfi_trace_start(workspace, &run->trace_error);
}

bf_status bfi_verify_run_init(const bfi_arguments *args, bfi_verify_run *run, bf_error *err) {
    *run = (bfi_verify_run){.options = bf_verify_options_default()};
    bf_status status = bfi_cli_options(args, &run->options.bounds, err);
    bfi_cli_attack(args, &run->options.seed, &run->options.restarts, &run->options.steps);
    run->semantics_given = args->given[BFI_OPTION_SEMANTICS];
    if (args->given[BFI_OPTION_BRANCHING])
        run->options.branching = (bf_branching)args->count[BFI_OPTION_BRANCHING];
    if (args->given[BFI_OPTION_TRACE]) run->trace_path = args->text[BFI_OPTION_TRACE][0];
    return status;
}

static bf_status load_model(bfi_verify_run *run, const char *network, bf_error *err) {
    if (run->model && strcmp(run->network, network) == 0) return BF_STATUS_OK;
    bf_model_free(run->model);
    free(run->network);
    run->model = NULL;
    run->network = bfi_strdup(network);
    return run->network ? bf_model_load(network, &run->model, err) : bfi_fail_memory(err);
}

static bf_status load_property(bfi_verify_run *run, const char *property, bf_error *err) {
    bf_property_free(run->property);
    free(run->source);
    run->property = NULL;
    run->source = bfi_strdup(property);
    return run->source ? bf_property_load(property, &run->property, err) : bfi_fail_memory(err);
}

bf_status bfi_verify_run_load(bfi_verify_run *run, const char *network, const char *property,
                              bf_error *err) {
    run->start = bf_clock();
    bf_verify_result_clear(&run->result);
    run->result = (bf_verify_result){.margin = NAN};
    bf_status status = load_model(run, network, err);
    if (status == BF_STATUS_OK) status = load_property(run, property, err);
    run->load_s = run->total_s = bf_clock() - run->start;
    return status;
}

static bool asks_for_float32(const bf_property *property) {
    for (int32_t i = 0; i < property->variable_count; i++)
        if (strcmp(property->variables[i].type, "float32") == 0) return true;
    return false;
}

bf_status bfi_verify_run_decide(bfi_verify_run *run, double timeout, bf_error *err) {
    bf_verify_options options = run->options;
    if (!run->semantics_given && asks_for_float32(run->property))
        options.bounds.semantics = BF_SEMANTICS_FLOAT32;
    options.timeout = timeout > 0 ? fmax(timeout - run->load_s, LEAST_TIME) : 0;
    options.progress = run->progress.shown ? show_progress : NULL;
    options.watch = run->trace_path ? record : NULL;
    options.user = run;
    bf_status status =
        bf_verify(run->session, run->model, run->property, &options, &run->result, err);
    run->total_s = bf_clock() - run->start;
    return status;
}

/* Numbers as the results file has them: 9 digits name each float32. */
static void write_point(bfi_json *json, const char *key, const double *values, int64_t count) {
    bfi_json_open(json, key, '[');
    for (int64_t i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "%.9g", (double)(float)values[i]);
        bfi_json_number(json, NULL, strtod(text, NULL));
    }
    bfi_json_close(json, ']');
}

void bfi_verify_run_json(const bfi_verify_run *run, FILE *out) {
    const bf_verify_result *r = &run->result;
    bfi_json json = {.out = out};
    bfi_json_open(&json, NULL, '{');
    bfi_json_string(&json, "verdict", bf_verdict_name(r->verdict));
    bfi_json_string(&json, "decided_by", r->decided_by);
    bfi_json_string(&json, "reason", r->reason);
    bfi_json_number(&json, "margin", r->margin);
    bfi_json_string(&json, "model", run->network);
    bfi_json_string(&json, "property", run->source);
    bfi_json_number(&json, "time_s", run->total_s);
    bfi_json_number(&json, "load_s", run->load_s);
    bfi_json_number(&json, "attack_s", r->attack_s);
    bfi_json_number(&json, "bounds_s", r->bounds_s);
    bfi_json_number(&json, "search_s", r->search_s);
    bfi_json_integer(&json, "nodes", r->nodes);
    bfi_json_string(&json, "branching", r->branching);
    bfi_json_integer(&json, "seed", (int64_t)run->options.seed);
    bfi_json_integer(&json, "threads", bf_session_threads(run->session));
    bfi_json_integer(&json, "peak_bytes", bfi_cli_peak_bytes());
    bfi_caching_json(&json, run->session);
    if (r->verdict == BF_VERDICT_SAT) {
        write_point(&json, "x", r->x, r->n_in);
        write_point(&json, "y", r->y, r->n_out);
    } else {
        bfi_json_null(&json, "x");
        bfi_json_null(&json, "y");
    }
    bfi_json_close(&json, '}');
    fputc('\n', out);
}

void bfi_verify_run_clear(bfi_verify_run *run) {
    bf_verify_result_clear(&run->result);
    bfi_trace_discard(&run->trace);
    bf_property_free(run->property);
    bf_model_free(run->model);
    free(run->network);
    free(run->source);
    *run = (bfi_verify_run){0};
}
