#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli.h"
#include "frontend/npy.h"
#include "json.h"
#include "sweep.h"
#include "sweep_csv.h"
#include "sweep_svg.h"
#include "terminal.h"
#include "verify/ball.h"

#define MOST_RADII 10000
#define LARGEST_TEXT ((size_t)1 << 28) /* bytes of a file of labels */
#define LEAST_TIME 0.001               /* seconds left to sweep when reading took them all */

typedef struct sweep_run {
    const bfi_arguments *args;
    bfi_sweep sweep;
    bfi_sweep_csv csv;
    bf_session *session;
    bfi_progress progress;
    double start, sweep_s;
    bf_status ended; /* of the sweep: ok, timeout or cancelled */
} sweep_run;

static bf_status bad_radii(const bfi_arguments *args, const char *why, bf_error *err) {
    return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                    "--eps: '%.60s' %s: give radii as 0.01,0.02,0.05 or as START:STOP:COUNT",
                    args->text[BFI_OPTION_RADII][0], why);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* START:STOP:COUNT, to 12 digits, so that 0:0.1:11 has 0.03 and not 0.030000000000000002. */
static bf_status read_range(const bfi_arguments *args, bfi_sweep *s, bf_error *err) {
    double start, stop;
    int count = 0, used = 0;
    const char *text = args->text[BFI_OPTION_RADII][0];
    if (sscanf(text, "%lf:%lf:%d%n", &start, &stop, &count, &used) != 3 || text[used])
        return bad_radii(args, "is no range", err);
    if (!isfinite(start) || !isfinite(stop) || start < 0 || stop < start)
        return bad_radii(args, "has no ascending ends >= 0", err);
    if (count < 1 || count > MOST_RADII || (count == 1 && stop > start))
        return bad_radii(args, "has a COUNT that cannot be", err);
    s->radius = bfi_malloc((size_t)count, sizeof *s->radius);
    if (!s->radius) return bfi_fail_memory(err);
    for (s->radii = 0; s->radii < count; s->radii++) {
        char decimal[32];
        double step = count > 1 ? (stop - start) / (count - 1) : 0;
        snprintf(decimal, sizeof decimal, "%.12g", start + step * s->radii);
        s->radius[s->radii] = strtod(decimal, NULL);
    }
    return BF_STATUS_OK;
}

static bf_status read_list(const bfi_arguments *args, bfi_sweep *s, bf_error *err) {
    size_t capacity = 0;
    for (const char *at = args->text[BFI_OPTION_RADII][0];; at++) {
        char *end;
        double radius = strtod(at, &end);
        if (end == at || (*end && *end != ',') || !isfinite(radius) || radius < 0)
            return bad_radii(args, "has a radius that is no number >= 0", err);
        if (s->radii == MOST_RADII) return bad_radii(args, "has too many radii", err);
        if (!bfi_grow((void **)&s->radius, &capacity, (size_t)s->radii + 1, sizeof *s->radius))
            return bfi_fail_memory(err);
        s->radius[s->radii++] = radius;
        if (!*end) return BF_STATUS_OK;
        at = end;
    }
}

/* Ascending, every one once. */
static bf_status read_radii(const bfi_arguments *args, bfi_sweep *s, bf_error *err) {
    bool range = strchr(args->text[BFI_OPTION_RADII][0], ':') != NULL;
    bf_status status = range ? read_range(args, s, err) : read_list(args, s, err);
    if (status != BF_STATUS_OK) return status;
    qsort(s->radius, (size_t)s->radii, sizeof *s->radius, compare_doubles);
    int kept = 1;
    for (int r = 1; r < s->radii; r++)
        if (s->radius[r] != s->radius[kept - 1]) s->radius[kept++] = s->radius[r];
    s->radii = kept;
    return BF_STATUS_OK;
}

static void read_methods(const bfi_arguments *args, bfi_sweep *s) {
    static const bf_method usual[] = {BF_METHOD_IBP, BF_METHOD_CROWN_IBP, BF_METHOD_CROWN};
    int64_t bits = args->count[BFI_OPTION_METHODS];
    for (int m = 0; m < BFI_SWEEP_METHODS; m++)
        if (bits >> m & 1) s->method[s->methods++] = (bf_method)m;
    for (size_t i = 0; !bits && i < sizeof usual / sizeof *usual; i++)
        s->method[s->methods++] = usual[i];
}

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

static bf_status read_label_text(const char *path, bf_array *out, bf_error *err) {
    char *text;
    size_t size, capacity = 0;
    bf_status status = bfi_file_read(path, LARGEST_TEXT, &text, &size, err);
    if (status != BF_STATUS_OK) return status;
    for (char *at = text; status == BF_STATUS_OK;) {
        at += strspn(at, ", \t\r\n");
        if (!*at) break;
        char *end;
        double label = strtod(at, &end);
        if (end == at || !strchr(", \t\r\n", *end))
            status =
                bfi_fail(err, BF_STATUS_PARSE, "%s: '%.*s' is no label: give whole numbers", path,
                         (int)strcspn(at, ", \t\r\n") < 20 ? (int)strcspn(at, ", \t\r\n") : 20, at);
        else if (!bfi_grow((void **)&out->data, &capacity, (size_t)out->count + 1,
                           sizeof *out->data))
            status = bfi_fail_memory(err);
        else
            out->data[out->count++] = label;
        at = end;
    }
    free(text);
    return status;
}

static bf_status check_labels(const char *path, const bf_array *labels, bfi_sweep *s,
                              bf_error *err) {
    int64_t outputs = bf_model_output_count(s->model);
    if (labels->count != s->inputs.count)
        return bfi_fail(err, BF_STATUS_SHAPE, "%s: has %lld labels, but there are %lld inputs",
                        path, (long long)labels->count, (long long)s->inputs.count);
    for (int64_t i = 0; i < labels->count; i++) {
        double label = labels->data[i];
        if (!(label >= 0 && label < (double)outputs && label == floor(label)))
            return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                            "%s: label %lld is %g, but the network has outputs 0 to %lld", path,
                            (long long)i, label, (long long)outputs - 1);
        s->labels[i] = (int64_t)label;
    }
    return BF_STATUS_OK;
}

static bf_status read_labels(const char *path, bfi_sweep *s, bf_error *err) {
    bf_array labels = {0};
    size_t length = strlen(path);
    bool npy = length > 4 && strcmp(path + length - 4, ".npy") == 0;
    bf_status status = npy ? bfi_npy_read(path, &labels, err) : read_label_text(path, &labels, err);
    if (status == BF_STATUS_OK) status = check_labels(path, &labels, s, err);
    bfi_array_clear(&labels);
    return status;
}

static int64_t largest_but(const double *y, int64_t count, int64_t but) {
    int64_t best = -1;
    for (int64_t j = 0; j < count; j++)
        if (j != but && (best < 0 || y[j] > y[best])) best = j;
    return best;
}

/* What the network says at the inputs: their labels, without --labels, and how clear they are. */
static bf_status evaluate(bfi_sweep *s, bool labelled, bf_error *err) {
    int64_t outputs = bf_model_output_count(s->model);
    if (outputs < 2)
        return bfi_fail(err, BF_STATUS_INVALID_ARGUMENT,
                        "the network has one output: there is no other label to compare with");
    double *y = bfi_malloc((size_t)outputs, sizeof *y);
    if (!y) return bfi_fail_memory(err);
    bf_status status = BF_STATUS_OK;
    for (int64_t i = 0; i < s->inputs.count && status == BF_STATUS_OK; i++) {
        status = bf_model_evaluate(s->model, s->options.semantics == BF_SEMANTICS_FLOAT32,
                                   s->inputs.x + i * s->inputs.inputs, y, err);
        if (status != BF_STATUS_OK) break;
        if (!labelled) s->labels[i] = largest_but(y, outputs, -1);
        double margin = y[s->labels[i]] - y[largest_but(y, outputs, s->labels[i])];
        s->clean[i] = isnan(margin) ? -INFINITY : margin;
    }
    free(y);
    return status;
}

static bf_status check_balls(const sweep_run *run, bf_error *err) {
    const bfi_sweep *s = &run->sweep;
    for (int64_t i = 0; i < s->inputs.count; i++) {
        bf_ball ball = {s->inputs.x + i * s->inputs.inputs, s->scale.x, s->clip_lo, s->clip_hi};
        bf_status status = bfi_ball_check(&ball, s->inputs.inputs, err);
        char context[160];
        if (status == BF_STATUS_OK) continue;
        snprintf(context, sizeof context, "%.100s, number %lld along the first axis",
                 run->args->text[BFI_OPTION_INPUTS][0], (long long)i);
        return bfi_fail_in(err, status, context);
    }
    return BF_STATUS_OK;
}

static bf_status allocate(bfi_sweep *s, bf_error *err) {
    size_t inputs = (size_t)s->inputs.count, rows;
    if (!bfi_mul_size(inputs, (size_t)s->methods * (size_t)s->radii, &rows))
        return bfi_fail_memory(err);
    s->labels = bfi_malloc(inputs, sizeof *s->labels);
    s->clean = bfi_malloc(inputs, sizeof *s->clean);
    s->rows = bfi_calloc(rows, sizeof *s->rows);
    return s->labels && s->clean && s->rows ? BF_STATUS_OK : bfi_fail_memory(err);
}

static bf_status load(sweep_run *run, bf_error *err) {
    const bfi_arguments *args = run->args;
    bfi_sweep *s = &run->sweep;
    s->path = args->positional;
    s->all_radii = args->given[BFI_OPTION_ALL_RADII];
    bfi_points_clip(args, true, &s->clip_lo, &s->clip_hi);
    read_methods(args, s);
    bf_status status = read_radii(args, s, err);
    if (status == BF_STATUS_OK) status = bf_model_load(args->positional, &s->model, err);
    if (status == BF_STATUS_OK)
        status = bfi_points_read(args->text[BFI_OPTION_INPUTS][0], s->model, true, &s->inputs, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_SCALE])
        status = bfi_points_read(args->text[BFI_OPTION_SCALE][0], s->model, false, &s->scale, err);
    if (status == BF_STATUS_OK) status = check_balls(run, err);
    if (status == BF_STATUS_OK) status = allocate(s, err);
    bool labelled = args->given[BFI_OPTION_LABELS];
    if (status == BF_STATUS_OK && labelled)
        status = read_labels(args->text[BFI_OPTION_LABELS][0], s, err);
    if (status == BF_STATUS_OK) status = evaluate(s, labelled, err);
    if (status == BF_STATUS_OK) status = bfi_cli_session(args, &run->session, err);
    if (status == BF_STATUS_OK && args->given[BFI_OPTION_CSV])
        status = bfi_sweep_csv_open(args->text[BFI_OPTION_CSV][0], s, &run->csv, err);
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

static void clear(bfi_sweep *s) {
    bfi_points_free(&s->inputs);
    bfi_points_free(&s->scale);
    free(s->labels);
    free(s->clean);
    free(s->radius);
    free(s->rows);
    bf_model_free(s->model);
}

int bfi_cmd_sweep(const bfi_arguments *args) {
    bf_error err = {""};
    sweep_run run = {.args = args, .start = bf_clock()};
    run.sweep.options = bf_verify_options_default().bounds;
    bf_status status = bfi_cli_options(args, &run.sweep.options, &err);
    if (status == BF_STATUS_OK) status = sweep(&run, &err);
    bf_status closed = bfi_sweep_csv_close(&run.csv, status == BF_STATUS_OK ? &err : NULL);
    if (status == BF_STATUS_OK) status = closed;
    clear(&run.sweep);
    bfi_cli_session_free(run.session);
    return bfi_cli_end(BFI_COMMAND_SWEEP, status, &err);
}
