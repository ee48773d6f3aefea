#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "boundflow/radius.h"
#include "caching.h"
#include "cli.h"
#include "interrupt.h"
#include "json.h"
#include "points.h"
#include "progress.h"
#include "terminal.h"

#define LEAST_TIME 0.001 /* seconds left to search when reading took them all */
#define DIGITS 6         /* of a radius, for people */

typedef struct radius_run {
    const bfi_arguments *args;
    bf_radius_options options;
    bf_session *session;
    bf_model *model;
    bfi_points center, scale;
    bf_ball ball;
    int64_t label;
    bf_radius_result result;
    bfi_progress progress;
    double start, load_s;
} radius_run;

static bf_status read_tolerance(const bfi_arguments *args, bf_radius_options *options,
                                bf_error *err) {
    const char *text = args->text[BFI_OPTION_TOLERANCE][0];
    if (!text) return BF_STATUS_OK;
    char *end;
    double value = strtod(text, &end);
    bool percent = end > text && strcmp(end, "%") == 0;
    if (end == text || (*end && !percent) || !isfinite(value) || value < 0 ||
        (percent && value >= 100))
        return bfi_fail(
            err, BF_STATUS_INVALID_ARGUMENT,
            "--tolerance: '%.40s' is neither a distance >= 0, such as 0.001, nor a share "
            "below 100%%, such as 1%%",
            text);
    options->absolute = percent ? 0 : value;
    options->relative = percent ? value / 100 : 0;
    return BF_STATUS_OK;
}

static bf_status read_options(const bfi_arguments *args, bf_radius_options *options,
                              bf_error *err) {
    *options = bf_radius_options_default();
    bf_status status = bfi_cli_options(args, &options->bounds, err);
    if (status == BF_STATUS_OK) status = read_tolerance(args, options, err);
    if (args->given[BFI_OPTION_MAX_EPS]) {
        options->maximum = args->real[BFI_OPTION_MAX_EPS][0];
        if (status == BF_STATUS_OK && !(options->maximum > 0))
            status = bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--max-eps: %s is not above 0",
                              args->text[BFI_OPTION_MAX_EPS][0]);
    }
    if (status == BF_STATUS_OK && args->real[BFI_OPTION_CLIP][0] > args->real[BFI_OPTION_CLIP][1])
        status = bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--clip: LO is above HI");
    if (args->given[BFI_OPTION_ATTACK]) options->attack = (int)args->count[BFI_OPTION_ATTACK];
    bfi_cli_attack(args, &options->seed, &options->restarts, &options->steps);
    return status;
}

/* --label, or the output that is largest at the centre. */
static bf_status find_label(radius_run *run, bf_error *err) {
    run->label = run->args->count[BFI_OPTION_LABEL];
    if (run->args->given[BFI_OPTION_LABEL]) return BF_STATUS_OK;
    int64_t outputs = bf_model_output_count(run->model);
    double *y = bfi_malloc((size_t)outputs, sizeof *y);
    if (!y) return bfi_fail_memory(err);
    int float32 = run->options.bounds.semantics == BF_SEMANTICS_FLOAT32;
    bf_status status = bf_model_evaluate(run->model, float32, run->center.x, y, err);
    for (int64_t j = 1; j < outputs && status == BF_STATUS_OK; j++)
        if (y[j] > y[run->label]) run->label = j;
    free(y);
    return status;
}

static bf_status load(radius_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    if (!args->given[BFI_OPTION_CENTER])
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "around which input? boundflow radius %.80s --center X.npy",
                        args->positional);
    bf_status status = bf_model_load(args->positional, &run->model, err);
    if (status == BF_STATUS_OK)
        status =
            bfi_points_read(args->text[BFI_OPTION_CENTER][0], run->model, false, &run->center, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_SCALE])
        status =
            bfi_points_read(args->text[BFI_OPTION_SCALE][0], run->model, false, &run->scale, err);
    if (status == BF_STATUS_OK) status = find_label(run, err);
    if (status == BF_STATUS_OK) status = bfi_cli_session(args, &run->session, err);
    run->ball = (bf_ball){.center = run->center.x, .scale = run->scale.x};
    bfi_points_clip(args, true, &run->ball.clip_lo, &run->ball.clip_hi);
    run->load_s = bf_clock() - run->start;
    return status;
}

static void show_progress(void *user, const bf_progress *progress) {
    radius_run *run = user;
    const bf_radius_result *r = &run->result;
    char text[160], upper[64] = "";
    double least = fmin(r->failed, r->falsified);
    if (isfinite(least)) snprintf(upper, sizeof upper, ", at most %.4g", least);
    snprintf(text, sizeof text, "%s: %.4g certified%s, %lld runs, %.1f s", progress->phase,
             r->certified, upper, (long long)progress->done, progress->seconds);
    bfi_progress_show(&run->progress, 0, 0, text);
}

static bf_status search(radius_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    double limit = args->real[BFI_OPTION_TIMEOUT][0];
    run->options.timeout = limit > 0 ? fmax(limit - run->load_s, LEAST_TIME) : 0;
    bfi_progress_start(&run->progress, args->given[BFI_OPTION_QUIET]);
    run->options.progress = run->progress.shown ? show_progress : NULL;
    run->options.user = run;
    bf_status status = bf_radius(run->session, run->model, &run->ball, run->label, &run->options,
                                 &run->result, err);
    bfi_progress_clear(&run->progress);
    return status;
}

static void print_json(const radius_run *run) {
    const bf_radius_result *r = &run->result;
    const bf_options *o = &run->options.bounds;
    bfi_json json = {.out = stdout};
    bfi_json_open(&json, NULL, '{');
    bfi_json_string(&json, "model", run->args->positional);
    bfi_json_integer(&json, "label", run->label);
    bfi_json_number(&json, "certified", r->certified);
    bfi_json_number(&json, "failed", r->failed);
    bfi_json_number(&json, "falsified", r->falsified);
    bfi_json_string(&json, "end", bf_radius_end_name(r->end));
    bfi_json_number(&json, "margin", r->margin);
    if (r->other >= 0)
        bfi_json_integer(&json, "other", r->other);
    else
        bfi_json_null(&json, "other");
    bfi_json_numbers(&json, "counterexample", r->x, r->n_in);
    bfi_json_string(&json, "method", bfi_cli_method(o->method));
    bfi_json_string(&json, "dtype", bfi_cli_dtype(o->dtype));
    bfi_json_string(&json, "semantics", bfi_cli_semantics(o->semantics));
    bfi_json_integer(&json, "threads", bf_session_threads(run->session));
    bfi_json_integer(&json, "runs", r->runs);
    bfi_json_integer(&json, "boxes", r->boxes);
    bfi_json_integer(&json, "attacks", r->attacks);
    bfi_json_number(&json, "attack_s", r->attack_s);
    bfi_json_number(&json, "bounds_s", r->bounds_s);
    bfi_json_number(&json, "load_s", run->load_s);
    bfi_json_number(&json, "time_s", r->total_s);
    bfi_json_integer(&json, "peak_bytes", bfi_cli_peak_bytes());
    bfi_caching_json(&json, run->session);
    bfi_json_close(&json, '}');
    putchar('\n');
}

/* What is known above the certified radius. */
static void print_rest(const radius_run *run) {
    const bf_radius_result *r = &run->result;
    char failed[32], falsified[32];
    bfi_points_above(r->failed, DIGITS, failed, sizeof failed);
    bfi_points_above(r->falsified, DIGITS, falsified, sizeof falsified);
    if (r->end == BF_RADIUS_END_MAXIMUM) fputs(", the largest one tried (--max-eps)", stdout);
    if (r->end == BF_RADIUS_END_TIMEOUT)
        printf(", when --timeout %s s ran out", run->args->text[BFI_OPTION_TIMEOUT][0]);
    if (r->end == BF_RADIUS_END_CANCELLED) fputs(", when a signal stopped it", stdout);
    if (isfinite(r->failed) && r->failed < r->falsified) printf("; not at %s", failed);
    if (isfinite(r->falsified))
        printf("; counterexample (output %lld) at %s", (long long)r->other, falsified);
}

static void print_line(const radius_run *run) {
    const bf_radius_result *r = &run->result;
    const char *method = bfi_cli_method(run->options.bounds.method);
    const char *reset = bfi_terminal_style(stdout, BFI_STYLE_RESET);
    char certified[32];
    bfi_points_below(r->certified, DIGITS, certified, sizeof certified);
    if (r->end == BF_RADIUS_END_MISCLASSIFIED) {
        printf("%sradius 0%s: the centre is not a %lld: output %lld is at least as large\n",
               bfi_terminal_style(stdout, BFI_STYLE_BAD), reset, (long long)run->label,
               (long long)r->other);
        return;
    }
    bfi_style style = r->certified > 0 ? BFI_STYLE_GOOD : BFI_STYLE_DOUBT;
    printf("%sradius %s%s: ", bfi_terminal_style(stdout, style), certified, reset);
    if (r->certified > 0)
        printf("output %lld is certain within it (%s)", (long long)run->label, method);
    else
        printf("%s certified nothing for output %lld", method, (long long)run->label);
    print_rest(run);
    printf("; %lld run%s, %.3f s\n", (long long)r->runs, r->runs == 1 ? "" : "s",
           run->load_s + r->total_s);
}

int bfi_cmd_radius(const bfi_arguments *args) {
    bf_error err = {""};
    radius_run run = {.args = args, .start = bf_clock()};
    bf_status status = read_options(args, &run.options, &err);
    if (status == BF_STATUS_OK) status = load(&run, &err);
    if (status == BF_STATUS_OK) status = search(&run, &err);
    if (status == BF_STATUS_OK) {
        if (args->given[BFI_OPTION_JSON])
            print_json(&run);
        else
            print_line(&run);
        status = bfi_cli_flush(&err);
    }
    bf_radius_result_clear(&run.result);
    bfi_points_free(&run.center);
    bfi_points_free(&run.scale);
    bf_model_free(run.model);
    bfi_cli_session_free(args, run.session);
    return bfi_cli_end(BFI_COMMAND_RADIUS, status, &err);
}
