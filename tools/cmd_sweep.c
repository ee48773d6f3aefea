#include <math.h>

#include "caching.h"
#include "cli.h"
#include "json.h"
#include "sweep.h"
#include "sweep_csv.h"
#include "sweep_load.h"
#include "sweep_svg.h"
#include "terminal.h"

#define LEAST_TIME 0.001 /* seconds left to sweep when reading took them all */

typedef struct sweep_run {
    const bfi_arguments *args;
    bfi_sweep sweep;
    bfi_sweep_csv csv;
    bf_session *session;
    bfi_progress progress;
    double start, sweep_s;
    bf_status ended; /* of the sweep: ok, timeout or cancelled */
} sweep_run;

static bf_status check(const bfi_arguments *args, bf_error *err) {
    const char *missing = !args->given[BFI_OPTION_INPUTS]  ? "which inputs? give --inputs X.npy"
                          : !args->given[BFI_OPTION_RADII] ? "which radii? give --eps LIST"
                                                           : NULL;
    if (missing)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "%s: boundflow sweep %.80s --inputs X.npy --eps 0.01,0.02", missing,
                        args->positional);
    if (args->real[BFI_OPTION_CLIP][0] > args->real[BFI_OPTION_CLIP][1])
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--clip: LO is above HI");
    bf_status status = BF_STATUS_OK;
    if (args->given[BFI_OPTION_SVG]) status = bfi_cli_writable(args->text[BFI_OPTION_SVG][0], err);
    return status;
}

static bf_status load(sweep_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    bf_status status = bfi_sweep_load(args, &run->sweep, err);
    if (status == BF_STATUS_OK) status = bfi_cli_session(args, &run->session, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_CSV])
        status = bfi_sweep_csv_open(args->text[BFI_OPTION_CSV][0], &run->sweep, &run->csv, err);
    return status;
}

static bf_status decide(sweep_run *run, bf_error *err) {
    double now = bf_clock(), limit = run->args->real[BFI_OPTION_TIMEOUT][0];
    double deadline = limit > 0 ? fmax(run->start + limit, now + LEAST_TIME) : 0;
    bfi_progress_start(&run->progress, run->args->given[BFI_OPTION_QUIET]);
    run->ended = bfi_sweep_run(run->session, &run->sweep, deadline, &run->progress,
                               run->csv.out ? bfi_sweep_csv_row : NULL, &run->csv, err);
    run->sweep_s = bf_clock() - now;
    bool partial = run->ended == BF_STATUS_TIMEOUT || run->ended == BF_STATUS_CANCELLED;
    return partial ? BF_STATUS_OK : run->ended;
}

static bf_status write_svg(const sweep_run *run, bf_error *err) {
    if (!run->args->given[BFI_OPTION_SVG]) return BF_STATUS_OK;
    bfi_text text;
    bf_status status = bfi_text_open(&text, err);
    if (status != BF_STATUS_OK) return status;
    bfi_sweep_svg(&run->sweep, text.stream);
    return bfi_text_save(&text, run->args->text[BFI_OPTION_SVG][0], err);
}

/* What one method took. */
typedef struct effort {
    int64_t how[BFI_SWEEP_CENTRE + 1];
    double seconds;
} effort;

static effort count_effort(const bfi_sweep *s, int method) {
    effort e = {{0}, 0};
    for (int64_t i = 0; i < s->inputs.count; i++)
        for (int r = 0; r < s->radii; r++) {
            const bfi_sweep_row *row = bfi_sweep_at(s, method, i, r);
            e.how[row->how]++;
            e.seconds += row->time_s;
        }
    return e;
}

static void method_json(bfi_json *json, const bfi_sweep *s, int method) {
    effort e = count_effort(s, method);
    bfi_json_open(json, NULL, '{');
    bfi_json_string(json, "method", bfi_cli_method(s->method[method]));
    bfi_json_open(json, "certified", '[');
    for (int r = 0; r < s->radii; r++)
        bfi_json_integer(json, NULL, bfi_sweep_count_rows(s, method, r).certified);
    bfi_json_close(json, ']');
    bfi_json_open(json, "decided", '[');
    for (int r = 0; r < s->radii; r++)
        bfi_json_integer(json, NULL, bfi_sweep_count_rows(s, method, r).decided);
    bfi_json_close(json, ']');
    bfi_json_open(json, "rows", '{');
    for (int how = BFI_SWEEP_RUN; how <= BFI_SWEEP_CENTRE; how++)
        bfi_json_integer(json, bfi_sweep_how_name((bfi_sweep_how)how), e.how[how]);
    bfi_json_integer(json, "open", e.how[BFI_SWEEP_OPEN]);
    bfi_json_close(json, '}');
    bfi_json_number(json, "bounds_s", e.seconds);
    bfi_json_close(json, '}');
}

static void print_json(const sweep_run *run) {
    const bfi_sweep *s = &run->sweep;
    bfi_json json = {.out = stdout};
    bfi_json_open(&json, NULL, '{');
    bfi_json_string(&json, "model", s->path);
    bfi_json_integer(&json, "inputs", s->inputs.count);
    bfi_json_integer(&json, "clean", bfi_sweep_clean(s));
    bfi_json_numbers(&json, "radii", s->radius, s->radii);
    bfi_json_open(&json, "methods", '[');
    for (int m = 0; m < s->methods; m++) method_json(&json, s, m);
    bfi_json_close(&json, ']');
    bfi_json_string(&json, "end",
                    run->ended == BF_STATUS_OK ? "complete" : bf_status_name(run->ended));
    bfi_json_integer(&json, "rows_found", run->csv.found);
    bfi_json_string(&json, "dtype", bfi_cli_dtype(s->options.dtype));
    bfi_json_string(&json, "semantics", bfi_cli_semantics(s->options.semantics));
    bfi_json_integer(&json, "threads", bf_session_threads(run->session));
    bfi_json_number(&json, "sweep_s", run->sweep_s);
    bfi_json_number(&json, "time_s", bf_clock() - run->start);
    bfi_json_integer(&json, "peak_bytes", bfi_cli_peak_bytes());
    bfi_caching_json(&json, run->session);
    bfi_json_close(&json, '}');
    putchar('\n');
}

static void print_share(int64_t part, int64_t whole) {
    if (whole == 0)
        printf(" %11s", "-");
    else
        printf(" %9.1f %%", 100 * (double)part / (double)whole);
}

static void print_table(const sweep_run *run) {
    const bfi_sweep *s = &run->sweep;
    int64_t clean = bfi_sweep_clean(s);
    printf("certified accuracy of %s, %lld inputs; at the centres %.1f %%\n\n",
           bfi_path_name(s->path), (long long)s->inputs.count,
           100 * (double)clean / (double)s->inputs.count);
    printf("  %s%12s", bfi_terminal_style(stdout, BFI_STYLE_BOLD), "radius");
    for (int m = 0; m < s->methods; m++) printf(" %11s", bfi_cli_method(s->method[m]));
    printf("%s\n", bfi_terminal_style(stdout, BFI_STYLE_RESET));
    for (int r = 0; r < s->radii; r++) {
        printf("  %12.6g", s->radius[r]);
        for (int m = 0; m < s->methods; m++) {
            bfi_sweep_count n = bfi_sweep_count_rows(s, m, r);
            print_share(n.certified, n.decided);
        }
        putchar('\n');
    }
    printf("\n  %12s", "runs");
    for (int m = 0; m < s->methods; m++)
        printf(" %11lld", (long long)count_effort(s, m).how[BFI_SWEEP_RUN]);
    printf("\n  %12s", "ms a run");
    for (int m = 0; m < s->methods; m++) {
        effort e = count_effort(s, m);
        printf(" %11.3f",
               e.how[BFI_SWEEP_RUN] ? 1e3 * e.seconds / (double)e.how[BFI_SWEEP_RUN] : 0);
    }
    printf("\n\n%.3f s", bf_clock() - run->start);
    if (run->csv.found) printf(", %lld rows were there already", (long long)run->csv.found);
    putchar('\n');
}

/* The exit code tells that rows are missing; how to get them is said. */
static bf_status say_end(const sweep_run *run, bf_error *err) {
    if (run->ended == BF_STATUS_OK) return BF_STATUS_OK;
    const char *again = run->csv.out ? ": run it again to go on" : "";
    if (run->ended == BF_STATUS_TIMEOUT)
        return bfi_fail(err, run->ended, "not finished within --timeout %s seconds%s",
                        run->args->text[BFI_OPTION_TIMEOUT][0], again);
    return bfi_fail(err, run->ended, "stopped by a signal%s", again);
}

static bf_status sweep(sweep_run *run, bf_error *err) {
    bf_status status = check(run->args, err);
    if (status == BF_STATUS_OK) status = load(run, err);
    if (status == BF_STATUS_OK) status = decide(run, err);
    if (status == BF_STATUS_OK) status = write_svg(run, err);
    if (status != BF_STATUS_OK) return status;
    if (run->args->given[BFI_OPTION_JSON])
        print_json(run);
    else
        print_table(run);
    status = bfi_cli_flush(err);
    return status == BF_STATUS_OK ? say_end(run, err) : status;
}

int bfi_cmd_sweep(const bfi_arguments *args) {
    bf_error err = {""};
    sweep_run run = {.args = args, .start = bf_clock()};
    run.sweep.options = bf_verify_options_default().bounds;
    bf_status status = bfi_cli_options(args, &run.sweep.options, &err);
    if (status == BF_STATUS_OK) status = sweep(&run, &err);
    bf_status closed = bfi_sweep_csv_close(&run.csv, status == BF_STATUS_OK ? &err : NULL);
    if (status == BF_STATUS_OK) status = closed;
    bfi_sweep_clear(&run.sweep);
    bfi_cli_session_free(args, run.session);
    return bfi_cli_end(BFI_COMMAND_SWEEP, status, &err);
}
