#include "verify_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "caching.h"
#include "json.h"
#include "terminal.h"

#define CHECKPOINT_INTERVAL 60.0
#define LEAST_TIME 0.001 /* seconds left to verify when reading took them all */

/* Nodes per second over the last second or so, those for hidden bounds too. */
static double find_rate(bfi_verify_run *run, const bf_progress *p) {
    double now = bf_clock();
    int64_t nodes = p->nodes + p->hidden_nodes;
    if (nodes < run->rate_nodes || run->rate_time == 0) {
        run->rate_time = now, run->rate_nodes = nodes, run->rate = 0;
    } else if (now - run->rate_time >= 1 || (run->rate == 0 && now - run->rate_time > 0.1)) {
        run->rate = (double)(nodes - run->rate_nodes) / (now - run->rate_time);
        run->rate_time = now, run->rate_nodes = nodes;
    }
    return run->rate;
}

/* "phase, 3 of 5 cases, 1200 nodes, 31 open, 900/s, 5000 for hidden bounds, bound -0.021, best 0.3,
 * 24.1 MiB, 3.2/60 s" */
static void describe(bfi_verify_run *run, const bf_progress *p, char *text, size_t size) {
    char bytes[32], bound[32] = "?", best[32] = "?", limit[32] = "";
    double rate = find_rate(run, p);
    bfi_cli_bytes(p->bytes, bytes, sizeof bytes);
    if (isfinite(p->bound)) snprintf(bound, sizeof bound, "%.4g", p->bound);
    if (isfinite(p->best)) snprintf(best, sizeof best, "%.4g", p->best);
    if (p->limit > 0) snprintf(limit, sizeof limit, "/%.4g", p->limit);
    int used = snprintf(text, size, "%.60s: %s, ", bfi_path_name(run->source), p->phase);
    if (p->total > 1)
        used += snprintf(text + used, size - (size_t)used, "%lld of %lld cases, ",
                         (long long)p->done, (long long)p->total);
    if (p->nodes > 0)
        used += snprintf(text + used, size - (size_t)used, "%lld nodes, %lld open, %.0f/s, ",
                         (long long)p->nodes, (long long)p->open, rate);
    if (p->hidden_nodes > 0)
        used += snprintf(text + used, size - (size_t)used, "%lld for hidden bounds, ",
                         (long long)p->hidden_nodes);
    snprintf(text + used, size - (size_t)used, "bound %s, best %s, %s, %.1f%s s", bound, best,
             bytes, p->seconds, limit);
}

static void warn_checkpoint(bfi_verify_run *run, const bf_progress *p) {
    if (!p->checkpoint_problem || run->checkpoint_warned) return;
    run->checkpoint_warned = true;
    bfi_progress_clear(&run->progress);
    fprintf(stderr, "boundflow verify: no checkpoint: %s\n", p->checkpoint_problem);
}

static void show_progress(void *user, const bf_progress *progress) {
    bfi_verify_run *run = user;
    char text[384];
    warn_checkpoint(run, progress);
    bfi_events_progress(&run->events, progress);
    if (!run->progress.shown) return;
    if (run->batch_total > 0)
        snprintf(text, sizeof text, "%s%.60s: %s", run->batch_eta, bfi_path_name(run->source),
                 progress->phase);
    else
        describe(run, progress, text, sizeof text);
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
    if (args->given[BFI_OPTION_ENGINE])
        run->options.engine = (bf_engine)args->count[BFI_OPTION_ENGINE];
    if (args->given[BFI_OPTION_TRACE]) run->trace_path = args->text[BFI_OPTION_TRACE][0];
    run->options.checkpoint = args->text[BFI_OPTION_CHECKPOINT][0];
    run->options.resume = args->text[BFI_OPTION_RESUME][0];
    run->options.checkpoint_interval = args->given[BFI_OPTION_CHECKPOINT_INTERVAL]
                                           ? args->real[BFI_OPTION_CHECKPOINT_INTERVAL][0]
                                           : CHECKPOINT_INTERVAL;
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_EVENTS])
        status = bfi_events_open(&run->events, args->text[BFI_OPTION_EVENTS][0],
                                 args->given[BFI_OPTION_RESUME], err);
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
    bfi_events_start begin = {run->network,   run->source,
                              timeout,        bf_session_threads(run->session),
                              options.resume, options.checkpoint};
    bfi_events_begin(&run->events, &begin);
    run->rate_time = 0;
    if (!run->semantics_given && asks_for_float32(run->property))
        options.bounds.semantics = BF_SEMANTICS_FLOAT32;
    options.timeout = timeout > 0 ? fmax(timeout - run->load_s, LEAST_TIME) : 0;
    options.progress = show_progress;
    options.watch = run->trace_path ? record : NULL;
    options.user = run;
    bf_status status =
        bf_verify(run->session, run->model, run->property, &options, &run->result, err);
    run->total_s = bf_clock() - run->start;
    if (status == BF_STATUS_OK)
        bfi_events_end(&run->events, &run->result, run->total_s);
    else
        bfi_events_fail(&run->events, err->message);
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
    bfi_json_number(&json, "best_margin", r->best_margin);
    bfi_json_string(&json, "model", run->network);
    bfi_json_string(&json, "property", run->source);
    bfi_json_number(&json, "time_s", run->total_s);
    bfi_json_number(&json, "load_s", run->load_s);
    bfi_json_number(&json, "attack_s", r->attack_s);
    bfi_json_number(&json, "bounds_s", r->bounds_s);
    bfi_json_number(&json, "search_s", r->search_s);
    bfi_json_number(&json, "past_s", r->past_s);
    bfi_json_integer(&json, "nodes", r->nodes);
    bfi_json_integer(&json, "hidden_nodes", r->hidden_nodes);
    bfi_json_integer(&json, "open", r->open);
    bfi_json_string(&json, "branching", r->branching);
    bfi_json_integer(&json, "checkpoints", r->checkpoints);
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
    if (r->best_x && (r->verdict == BF_VERDICT_UNKNOWN || r->verdict == BF_VERDICT_TIMEOUT))
        write_point(&json, "best_x", r->best_x, r->n_in);
    else
        bfi_json_null(&json, "best_x");
    bfi_json_close(&json, '}');
    fputc('\n', out);
}

void bfi_verify_run_clear(bfi_verify_run *run) {
    bf_verify_result_clear(&run->result);
    bfi_events_close(&run->events);
    bfi_trace_discard(&run->trace);
    bf_property_free(run->property);
    bf_model_free(run->model);
    free(run->network);
    free(run->source);
    *run = (bfi_verify_run){0};
}
