#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "caching.h"
#include "cli.h"
#include "frontend/npy.h"
#include "json.h"
#include "question.h"
#include "terminal.h"
#include "trace_json.h"

#define MOST_REPEATS 1000000
#define MOST_BATCH 64 /* boxes in flight */

/* One run of the command: everything that is freed at its end. */
typedef struct bound_run {
    const bfi_arguments *args;
    bf_options options;
    bf_session *session;
    bf_model *model;
    bf_plan *plan;
    bf_workspace *workspace;
    bfi_question question;
    double *lower, *upper;
    double load_s, time_s, fastest_s; /* time_s: the median */
    double cpu_fastest_s;
} bound_run;

static bf_status load(bound_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    double start = bf_clock();
    bf_status status = bf_model_load(args->positional, &run->model, err);
    run->load_s = bf_clock() - start;
    if (status == BF_STATUS_OK) status = bfi_question_read(args, run->model, &run->question, err);
    int64_t boxes = run->question.boxes;
    if (status == BF_STATUS_OK && boxes > 1 && args->given[BFI_OPTION_ALL_LAYERS])
        status = bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                          "--all-layers takes one box, but the files hold %lld", (long long)boxes);
    run->options.batch = boxes > MOST_BATCH ? MOST_BATCH : boxes > 1 ? boxes : 1;
    start = bf_clock();
    if (status == BF_STATUS_OK) status = bfi_cli_session(args, &run->session, err);
    if (status == BF_STATUS_OK)
        status = bf_plan_create(run->session, run->model, &run->options, &run->plan, err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(run->plan, &run->workspace, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_TRACE])
        status = bfi_trace_start(run->workspace, err);
    run->load_s += bf_clock() - start;
    if (status != BF_STATUS_OK) return status;
    size_t results;
    if (!bfi_mul_size((size_t)boxes, (size_t)run->question.rows, &results))
        return bfi_fail_memory(err);
    run->lower = bfi_malloc(results, sizeof(double));
    run->upper = bfi_malloc(results, sizeof(double));
    return run->lower && run->upper ? BF_STATUS_OK : bfi_fail_memory(err);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int64_t count) {
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* Of all threads: what other processes do not change on a busy machine. */
static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bf_status compute(bound_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    int64_t repeats = args->given[BFI_OPTION_REPEAT] ? args->count[BFI_OPTION_REPEAT] : 1;
    double *times = bfi_malloc((size_t)repeats, sizeof *times);
    if (!times) return bfi_fail_memory(err);
    const bfi_question *q = &run->question;
    bf_request request = {.lo = q->lo,
                          .hi = q->hi,
                          .spec = q->spec,
                          .rows = q->rows,
                          .boxes = q->boxes,
                          .lower = run->lower,
                          .upper = run->upper};
    double limit = args->real[BFI_OPTION_TIMEOUT][0];
    if (limit > 0) request.deadline = bf_clock() + limit;
    bf_status status = BF_STATUS_OK;
    run->cpu_fastest_s = INFINITY;
    for (int64_t i = 0; i < repeats && status == BF_STATUS_OK; i++) {
        double cpu = processor_seconds(), start = bf_clock();
        status = bf_bounds_run(run->plan, run->workspace, &request, err);
        times[i] = bf_clock() - start;
        run->cpu_fastest_s = fmin(run->cpu_fastest_s, processor_seconds() - cpu);
    }
    if (status == BF_STATUS_OK) {
        run->time_s = median(times, repeats); /* sorts them */
        run->fastest_s = times[0];
    }
    free(times);
    if (status == BF_STATUS_TIMEOUT)
        bfi_fail(err, status, "no bounds within --timeout %s seconds",
                 args->text[BFI_OPTION_TIMEOUT][0]);
    if (status == BF_STATUS_CANCELLED) bfi_fail(err, status, "stopped by a signal");
    return status;
}

/* Calls |show| for every layer whose interval the workspace keeps. */
static bf_status each_layer(const bound_run *run,
                            void (*show)(void *user, const bf_layer_info *layer,
                                         const double *lower, const double *upper),
                            void *user, bf_error *err) {
    int layers = bf_model_layer_count(run->model);
    int64_t most = 0;
    for (int i = 0; i < layers; i++) {
        int64_t count = bf_model_layer(run->model, i).count;
        if (count > most) most = count;
    }
    double *lower = bfi_malloc((size_t)most, sizeof *lower),
           *upper = bfi_malloc((size_t)most, sizeof *upper);
    if (lower && upper)
        for (int i = 0; i < layers; i++) {
            bf_layer_info layer = bf_model_layer(run->model, i);
            if (bf_workspace_layer(run->plan, run->workspace, i, lower, upper))
                show(user, &layer, lower, upper);
        }
    bool failed = !lower || !upper;
    free(lower);
    free(upper);
    return failed ? bfi_fail_memory(err) : BF_STATUS_OK;
}

static void layer_json(void *user, const bf_layer_info *layer, const double *lower,
                       const double *upper) {
    bfi_json *json = user;
    bfi_json_open(json, NULL, '{');
    bfi_json_string(json, "name", layer->name);
    bfi_json_string(json, "op", layer->op);
    bfi_json_numbers(json, "lower", lower, layer->count);
    bfi_json_numbers(json, "upper", upper, layer->count);
    bfi_json_close(json, '}');
}

static int64_t planned_bytes(const bound_run *run) {
    return bf_plan_workspace_bytes(run->plan) + bf_plan_constant_bytes(run->plan);
}

/* One array of numbers, or of such arrays for several boxes. */
static void bounds_json(bfi_json *json, const char *key, const bfi_question *q,
                        const double *bounds) {
    if (q->boxes == 1) {
        bfi_json_numbers(json, key, bounds, q->rows);
        return;
    }
    bfi_json_open(json, key, '[');
    for (int64_t b = 0; b < q->boxes; b++)
        bfi_json_numbers(json, NULL, bounds + b * q->rows, q->rows);
    bfi_json_close(json, ']');
}

static bf_status print_json(const bound_run *run, bf_error *err) {
    bfi_json json = {.out = stdout};
    bf_run_stats stats = bf_workspace_stats(run->workspace);
    bfi_json_open(&json, NULL, '{');
    bfi_json_string(&json, "model", run->args->positional);
    bfi_json_integer(&json, "boxes", run->question.boxes);
    bounds_json(&json, "lower", &run->question, run->lower);
    bounds_json(&json, "upper", &run->question, run->upper);
    bfi_json_string(&json, "method", bfi_cli_method(run->options.method));
    bfi_json_string(&json, "dtype", bfi_cli_dtype(run->options.dtype));
    bfi_json_string(&json, "executor", bfi_cli_executor(run->options.executor));
    bfi_json_string(&json, "isa", bfi_cli_isa(&run->options));
    bfi_json_string(&json, "rounding", bfi_cli_rounding(run->options.rounding));
    bfi_json_string(&json, "semantics", bfi_cli_semantics(run->options.semantics));
    bfi_json_integer(&json, "threads", bf_session_threads(run->session));
    bfi_json_number(&json, "time_s", run->time_s);
    bfi_json_number(&json, "time_min_s", run->fastest_s);
    bfi_json_number(&json, "cpu_min_s", run->cpu_fastest_s);
    bfi_json_number(&json, "load_s", run->load_s);
    bfi_json_integer(&json, "planned_bytes", planned_bytes(run));
    bfi_json_integer(&json, "used_bytes", stats.used_bytes);
    bfi_json_integer(&json, "peak_bytes", bfi_cli_peak_bytes());
    bfi_json_number(&json, "flops", stats.flops);
    bfi_json_number(&json, "dense_flops", stats.dense_flops);
    bfi_json_number(&json, "bytes", stats.bytes);
    bfi_json_number(&json, "dense_bytes", stats.dense_bytes);
    bfi_json_integer(&json, "lanes", stats.lanes);
    bfi_json_integer(&json, "unstable", stats.unstable);
    bfi_json_integer(&json, "reused", stats.reused);
    bfi_caching_json(&json, run->session);
    bfi_json_open(&json, "notes", '[');
    const char *note;
    for (int i = 0; (note = bf_plan_note(run->plan, i)); i++) bfi_json_string(&json, NULL, note);
    bfi_json_close(&json, ']');
    bf_status status = BF_STATUS_OK;
    if (run->args->given[BFI_OPTION_ALL_LAYERS]) {
        bfi_json_open(&json, "layers", '[');
        status = each_layer(run, layer_json, &json, err);
        bfi_json_close(&json, ']');
    }
    bfi_json_close(&json, '}');
    putchar('\n');
    return status;
}

static void layer_row(void *user, const bf_layer_info *layer, const double *lower,
                      const double *upper) {
    (void)user;
    double least = INFINITY, most = -INFINITY, width = 0;
    for (int64_t i = 0; i < layer->count; i++) {
        least = fmin(least, lower[i]);
        most = fmax(most, upper[i]);
        width += (upper[i] - lower[i]) / (double)layer->count;
    }
    printf("  %-28.28s %-12.12s %9lld %14.6g %14.6g %14.6g\n", layer->name, layer->op,
           (long long)layer->count, least, most, width);
}

/* A margin is decided where its interval does not contain zero. */
static bfi_style sign_style(const bfi_question *q, double lower, double upper) {
    if (q->label < 0) return BFI_STYLE_NONE;
    return lower > 0 ? BFI_STYLE_GOOD : upper < 0 ? BFI_STYLE_BAD : BFI_STYLE_DOUBT;
}

static void print_rows(const bound_run *run, int64_t box) {
    const bfi_question *q = &run->question;
    const double *lower = run->lower + box * q->rows, *upper = run->upper + box * q->rows;
    char title[32] = "";
    int64_t certain = 0;
    if (q->boxes > 1) snprintf(title, sizeof title, "box %lld", (long long)box);
    printf("\n  %-16s %17s %17s\n", title, "lower", "upper");
    for (int64_t row = 0; row < q->rows; row++) {
        char name[48];
        bfi_question_row_name(q, row, name, sizeof name);
        printf("  %-16s %s%17.9g %17.9g%s\n", name,
               bfi_terminal_style(stdout, sign_style(q, lower[row], upper[row])), lower[row],
               upper[row], bfi_terminal_style(stdout, BFI_STYLE_RESET));
        certain += lower[row] > 0;
    }
    if (q->label < 0) return;
    if (certain == q->rows && run->options.rounding == BF_ROUNDING_OUTWARD)
        printf("\n%sproved: output %lld is the largest for every input in the box%s\n",
               bfi_terminal_style(stdout, BFI_STYLE_GOOD), (long long)q->label,
               bfi_terminal_style(stdout, BFI_STYLE_RESET));
    else
        printf("\n%lld of %lld margins are above 0%s\n", (long long)certain, (long long)q->rows,
               run->options.rounding == BF_ROUNDING_OUTWARD
                   ? ""
                   : " (--rounding nearest proves nothing)");
}

static bf_status print_table(const bound_run *run, bf_error *err) {
    const bf_options *o = &run->options;
    char planned[32], peak[32];
    bfi_cli_bytes(planned_bytes(run), planned, sizeof planned);
    bfi_cli_bytes(bfi_cli_peak_bytes(), peak, sizeof peak);
    printf("model   %s (%lld inputs, %lld outputs)\n", run->args->positional,
           (long long)run->question.inputs, (long long)run->question.outputs);
    printf("box     %s", run->question.box);
    if (run->question.boxes > 1) printf(" (%lld boxes)", (long long)run->question.boxes);
    putchar('\n');
    printf("method  %s, %s, %s (%s), %s rounding, %s semantics\n", bfi_cli_method(o->method),
           bfi_cli_dtype(o->dtype), bfi_cli_executor(o->executor), bfi_cli_isa(o),
           bfi_cli_rounding(o->rounding), bfi_cli_semantics(o->semantics));
    printf("time    %.3f ms, after %.3f ms of loading; %d thread%s\n", run->time_s * 1e3,
           run->load_s * 1e3, bf_session_threads(run->session),
           bf_session_threads(run->session) == 1 ? "" : "s");
    printf("memory  %s planned, %s peak of the process\n", planned, peak);
    const char *note;
    for (int i = 0; (note = bf_plan_note(run->plan, i)); i++) {
        fputs("note    ", stdout);
        bfi_terminal_wrap(stdout, note, 8, 8);
        putchar('\n');
    }
    bf_status status = BF_STATUS_OK;
    if (run->args->given[BFI_OPTION_ALL_LAYERS]) {
        printf("\n  %-28s %-12s %9s %14s %14s %14s\n", "layer", "op", "neurons", "least lower",
               "largest upper", "mean width");
        status = each_layer(run, layer_row, NULL, err);
    }
    for (int64_t box = 0; box < run->question.boxes; box++) print_rows(run, box);
    return status;
}

/* The trace of a run that ended early is worth as much: where did the time go? */
static bf_status write_trace(const bound_run *run, bf_status status, bf_error *err) {
    const char *path = run->args->text[BFI_OPTION_TRACE][0];
    bf_error own = {""};
    bfi_trace_file file = {.dropped = 0};
    bf_status written = bfi_trace_append(&file, run->plan, run->workspace, &own);
    int64_t dropped = file.dropped;
    if (written == BF_STATUS_OK) written = bfi_trace_save(&file, path, &own);
    bfi_trace_discard(&file);
    if (dropped > 0)
        fprintf(stderr, "boundflow bound: %s lacks the last %lld events: no room for them\n", path,
                (long long)dropped);
    if (status != BF_STATUS_OK || written == BF_STATUS_OK) return status;
    return bfi_fail(err, written, "%s", own.message);
}

static bf_status write_csv(const bound_run *run, const char *path, bf_error *err) {
    const bfi_question *q = &run->question;
    FILE *file = fopen(path, "w");
    if (!file)
        return bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
    fputs("box,row,lower,upper\n", file);
    for (int64_t i = 0; i < q->boxes * q->rows; i++) {
        char name[48], lower[32], upper[32];
        bfi_question_row_name(q, i % q->rows, name, sizeof name);
        bfi_json_decimal(run->lower[i], lower, sizeof lower);
        bfi_json_decimal(run->upper[i], upper, sizeof upper);
        fprintf(file, "%lld,%s,%s,%s\n", (long long)(i / q->rows), name, lower, upper);
    }
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        return bfi_fail(err, BF_STATUS_IO, "%s: could not be written to the end", path);
    return BF_STATUS_OK;
}

/* --csv and --npy. */
static bf_status write_bounds(const bound_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    const char *const *paths = args->text[BFI_OPTION_BOUNDS_NPY];
    const int64_t dims[2] = {run->question.boxes, run->question.rows};
    bf_status status = BF_STATUS_OK;
    if (args->given[BFI_OPTION_BOUNDS_CSV])
        status = write_csv(run, args->text[BFI_OPTION_BOUNDS_CSV][0], err);
    if (!args->given[BFI_OPTION_BOUNDS_NPY]) return status;
    if (status == BF_STATUS_OK) status = bfi_npy_write_f64(paths[0], run->lower, dims, 2, err);
    if (status == BF_STATUS_OK) status = bfi_npy_write_f64(paths[1], run->upper, dims, 2, err);
    return status;
}

static bf_status bound(bound_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    int64_t repeats = args->count[BFI_OPTION_REPEAT];
    if (args->given[BFI_OPTION_REPEAT] && (repeats < 1 || repeats > MOST_REPEATS))
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT, "--repeat: %lld is not between 1 and %d",
                        (long long)repeats, MOST_REPEATS);
    bf_status status = bfi_question_check(args, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_TRACE])
        status = bfi_cli_writable(args->text[BFI_OPTION_TRACE][0], err);
    if (status == BF_STATUS_OK) status = load(run, err);
    if (status != BF_STATUS_OK) return status;
    status = compute(run, err);
    if (args->given[BFI_OPTION_TRACE]) status = write_trace(run, status, err);
    if (status == BF_STATUS_OK) status = write_bounds(run, err);
    if (status == BF_STATUS_OK)
        status = args->given[BFI_OPTION_JSON] ? print_json(run, err) : print_table(run, err);
    return status;
}

int bfi_cmd_bound(const bfi_arguments *args) {
    bf_error err = {""};
    bound_run run = {.args = args, .options = bf_options_default()};
    bf_status status = bfi_cli_options(args, &run.options, &err);
    if (status == BF_STATUS_OK) status = bound(&run, &err);
    free(run.lower);
    free(run.upper);
    bfi_question_free(&run.question);
    bf_workspace_free(run.workspace);
    bf_plan_free(run.plan);
    bf_model_free(run.model);
    bfi_cli_session_free(args, run.session);
    return bfi_cli_end(BFI_COMMAND_BOUND, status, &err);
}
