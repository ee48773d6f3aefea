#include "cmd_batch.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "csv.h"
#include "interrupt.h"
#include "json.h"
#include "terminal.h"

#define DEFAULT_TIMEOUT 60.0
#define WIDEST_NAME 32 /* of a network, for which rows are aligned */
#define WAYS 16        /* different values of decided_by that are counted one by one */

enum { ERROR_ROW = BF_VERDICT_TIMEOUT + 1, KINDS }; /* rows beside those of bf_verdict */

typedef struct batch {
    const bfi_arguments *args;
    bfi_verify_run *run;
    bfi_csv instances, expected;
    int name_width;
    int first; /* row of the first instance: 1 behind a header line */
    int column_onnx, column_vnnlib, column_verdict; /* of |expected| */
    int first_expected;
    FILE *csv;
    double start;
    int kinds[KINDS], wrong, checked, done;
    double seconds[KINDS];
    struct {
        char name[32];
        int count;
    } ways[WAYS];
    bf_status first_error;
} batch;

static const char *kind_name(int kind) {
    return kind == ERROR_ROW ? "error" : bf_verdict_name((bf_verdict)kind);
}

static bfi_style kind_style(int kind) {
    return kind == BF_VERDICT_UNSAT || kind == BF_VERDICT_SAT ? BFI_STYLE_GOOD
           : kind == ERROR_ROW                                ? BFI_STYLE_BAD
                                                              : BFI_STYLE_DOUBT;
}

/* |name| beside the batch file, or as it stands when there is no such file. NULL: out of memory. */
static char *resolve(const char *batch_path, const char *name) {
    const char *slash = strrchr(batch_path, '/');
    if (name[0] == '/' || !slash) return bfi_strdup(name);
    size_t folder = (size_t)(slash - batch_path) + 1, length = folder + strlen(name) + 1;
    char *path = bfi_malloc(length, 1);
    if (!path) return NULL;
    snprintf(path, length, "%.*s%s", (int)folder, batch_path, name);
    if (access(path, F_OK) == 0 || access(name, F_OK) != 0) return path;
    free(path);
    return bfi_strdup(name);
}

/* Seconds for one instance: its own, 60 where it has none, capped by --timeout. */
static bf_status row_timeout(const batch *b, const bfi_csv_row *row, double *timeout,
                             bf_error *err) {
    double cap = b->args->real[BFI_OPTION_TIMEOUT][0];
    *timeout = cap > 0 ? cap : DEFAULT_TIMEOUT;
    if (row->count < 3 || !*row->fields[2]) return BF_STATUS_OK;
    char *end;
    double own = strtod(row->fields[2], &end);
    if (*end || !isfinite(own) || own <= 0)
        return bfi_fail(err, BF_STATUS_PARSE,
                        "%s:%d: timeout '%.40s' is not a number of seconds > 0",
                        b->args->text[BFI_OPTION_BATCH][0], row->line, row->fields[2]);
    if (!(cap > 0) || own < cap) *timeout = own;
    return BF_STATUS_OK;
}

static bf_status decide(batch *b, const bfi_csv_row *row, bf_error *err) {
    const char *list = b->args->text[BFI_OPTION_BATCH][0];
    double timeout;
    b->run->total_s = 0;
    if (row->count < 2 || !*row->fields[0] || !*row->fields[1])
        return bfi_fail(err, BF_STATUS_PARSE, "%s:%d: expected onnx,vnnlib,timeout", list,
                        row->line);
    bf_status status = row_timeout(b, row, &timeout, err);
    if (status != BF_STATUS_OK) return status;
    char *network = resolve(list, row->fields[0]), *property = resolve(list, row->fields[1]);
    if (network && property)
        status = bfi_verify_run_load(b->run, network, property, err);
    else
        status = bfi_fail_memory(err);
    if (status == BF_STATUS_OK) status = bfi_verify_run_decide(b->run, timeout, err);
    free(network);
    free(property);
    return status;
}

/* The known verdict of an instance, or NULL. */
static const char *known_verdict(const batch *b, const bfi_csv_row *row) {
    int onnx = b->column_onnx, vnnlib = b->column_vnnlib, verdict = b->column_verdict;
    for (int r = b->first_expected; r < b->expected.count && row->count >= 2; r++) {
        const bfi_csv_row *e = &b->expected.rows[r];
        if (e->count > onnx && e->count > vnnlib && e->count > verdict &&
            strcmp(e->fields[onnx], row->fields[0]) == 0 &&
            strcmp(e->fields[vnnlib], row->fields[1]) == 0)
            return e->fields[verdict];
    }
    return NULL;
}

/* Only sat against unsat is a contradiction. */
static bool contradicts(int kind, const char *known) {
    if (kind == BF_VERDICT_SAT) return strcmp(known, "unsat") == 0;
    return kind == BF_VERDICT_UNSAT && strcmp(known, "sat") == 0;
}

static void count_row(batch *b, int kind) {
    const bf_verify_result *r = &b->run->result;
    b->kinds[kind]++;
    b->seconds[kind] += b->run->total_s;
    b->done++;
    if (kind == ERROR_ROW || !*r->decided_by) return;
    int i = 0;
    while (i < WAYS - 1 && b->ways[i].count && strcmp(b->ways[i].name, r->decided_by) != 0) i++;
    snprintf(b->ways[i].name, sizeof b->ways[i].name, "%s", r->decided_by);
    b->ways[i].count++;
}

static bf_status write_csv_row(batch *b, const bfi_csv_row *row, int kind, const char *reason,
                               bf_error *err) {
    if (!b->csv) return BF_STATUS_OK;
    const bf_verify_result *r = &b->run->result;
    bfi_csv_write(b->csv, row->fields[0]);
    fputc(',', b->csv);
    bfi_csv_write(b->csv, row->count > 1 ? row->fields[1] : "");
    fprintf(b->csv, ",%s,%s,%.6f,", kind_name(kind), kind == ERROR_ROW ? "" : r->decided_by,
            b->run->total_s);
    if (kind != ERROR_ROW && !isnan(r->margin)) fprintf(b->csv, "%.9g", r->margin);
    fputc(',', b->csv);
    bfi_csv_write(b->csv, reason);
    fputc('\n', b->csv);
    errno = 0;
    if (fflush(b->csv) == 0 && !ferror(b->csv)) return BF_STATUS_OK;
    return bfi_fail(err, BF_STATUS_IO, "%s: cannot write: %s", b->args->text[BFI_OPTION_CSV][0],
                    strerror(errno));
}

static void print_error_json(const batch *b, const bfi_csv_row *row, const char *message) {
    bfi_json json = {.out = stdout};
    bfi_json_open(&json, NULL, '{');
    bfi_json_string(&json, "verdict", "error");
    bfi_json_string(&json, "reason", message);
    bfi_json_string(&json, "model", row->fields[0]);
    bfi_json_string(&json, "property", row->count > 1 ? row->fields[1] : "");
    bfi_json_number(&json, "time_s", b->run->total_s);
    bfi_json_close(&json, '}');
    putchar('\n');
}

static void print_row(const batch *b, const bfi_csv_row *row, int kind, const char *reason,
                      bool wrong) {
    const char *style = bfi_terminal_style(stdout, wrong ? BFI_STYLE_BAD : kind_style(kind));
    const char *reset = bfi_terminal_style(stdout, BFI_STYLE_RESET);
    if (b->args->given[BFI_OPTION_JSON]) {
        if (kind == ERROR_ROW)
            print_error_json(b, row, reason);
        else
            bfi_verify_run_json(b->run, stdout);
        return;
    }
    printf("%s%-8s%s %-13s %9.3f s  %-*s %s", style, kind_name(kind), reset,
           kind == ERROR_ROW ? "" : b->run->result.decided_by, b->run->total_s, b->name_width,
           bfi_path_name(row->fields[0]), row->count > 1 ? bfi_path_name(row->fields[1]) : "");
    if (*reason) printf("  (%s)", reason);
    if (wrong)
        printf("  %sWRONG: known to be %s%s", style, kind == BF_VERDICT_SAT ? "unsat" : "sat",
               reset);
    putchar('\n');
}

/* A wrong verdict must not be missed in a stream that others read. */
static void report_wrong(const batch *b, const bfi_csv_row *row, int kind) {
    if (!b->args->given[BFI_OPTION_JSON]) return;
    fprintf(stderr, "boundflow verify: %sWRONG%s: %s %s is %s, known to be %s\n",
            bfi_terminal_style(stderr, BFI_STYLE_BAD), bfi_terminal_style(stderr, BFI_STYLE_RESET),
            row->fields[0], row->fields[1], kind_name(kind),
            kind == BF_VERDICT_SAT ? "unsat" : "sat");
}

static void plan_eta(batch *b) {
    bfi_verify_run *run = b->run;
    char left[24];
    run->batch_done = b->done;
    run->batch_total = b->instances.count - b->first;
    run->batch_eta[0] = '\0';
    if (b->done == 0) return;
    double each = (bf_clock() - b->start) / b->done;
    bfi_progress_duration(each * (double)(run->batch_total - b->done), left, sizeof left);
    snprintf(run->batch_eta, sizeof run->batch_eta, "about %s left, ", left);
}

static bf_status decide_row(batch *b, const bfi_csv_row *row, bf_error *err) {
    bf_error own = {""};
    plan_eta(b);
    if (b->run->progress.shown)
        bfi_progress_show(&b->run->progress, b->done, b->run->batch_total,
                          bfi_path_name(row->fields[0]));
    bf_status status = decide(b, row, &own);
    int kind = status == BF_STATUS_OK ? (int)b->run->result.verdict : ERROR_ROW;
    const char *reason = status == BF_STATUS_OK ? b->run->result.reason : own.message;
    if (status != BF_STATUS_OK && b->first_error == BF_STATUS_OK) b->first_error = status;
    count_row(b, kind);
    const char *known = known_verdict(b, row);
    bool wrong = known && contradicts(kind, known);
    if (known && (strcmp(known, "sat") == 0 || strcmp(known, "unsat") == 0)) b->checked++;
    b->wrong += wrong;
    bfi_progress_clear(&b->run->progress);
    print_row(b, row, kind, reason, wrong);
    status = bfi_cli_flush(err);
    if (wrong) report_wrong(b, row, kind);
    return status == BF_STATUS_OK ? write_csv_row(b, row, kind, reason, err) : status;
}

static void print_summary(const batch *b) {
    FILE *out = b->args->given[BFI_OPTION_JSON] ? stderr : stdout;
    if (out == stderr && b->args->given[BFI_OPTION_QUIET]) return;
    char total[24];
    bfi_progress_duration(bf_clock() - b->start, total, sizeof total);
    fprintf(out, "\n%-8s %9s %12s\n", "verdict", "instances", "seconds");
    static const int order[KINDS] = {BF_VERDICT_UNSAT, BF_VERDICT_SAT, BF_VERDICT_UNKNOWN,
                                     BF_VERDICT_TIMEOUT, ERROR_ROW};
    for (int i = 0; i < KINDS; i++) {
        int kind = order[i];
        if (b->kinds[kind])
            fprintf(out, "%s%-8s%s %9d %12.3f\n", bfi_terminal_style(out, kind_style(kind)),
                    kind_name(kind), bfi_terminal_style(out, BFI_STYLE_RESET), b->kinds[kind],
                    b->seconds[kind]);
    }
    fprintf(out, "\n%-13s %s\n", "decided by", "instances");
    for (int i = 0; i < WAYS && b->ways[i].count; i++)
        fprintf(out, "%-13s %9d\n", b->ways[i].name, b->ways[i].count);
    fprintf(out, "\n%d of %d instances in %s", b->done, b->instances.count - b->first, total);
    if (b->expected.count)
        fprintf(out, "; %s%d wrong%s among %d with a known verdict",
                b->wrong ? bfi_terminal_style(out, BFI_STYLE_BAD) : "", b->wrong,
                b->wrong ? bfi_terminal_style(out, BFI_STYLE_RESET) : "", b->checked);
    fputc('\n', out);
}

/* Columns by the names in the first line, or, where that is an instance already,
 * onnx,vnnlib,verdict. */
static bf_status read_expected(batch *b, bf_error *err) {
    const char *path = b->args->text[BFI_OPTION_EXPECTED][0];
    if (!path) return BF_STATUS_OK;
    bf_status status = bfi_csv_read(path, &b->expected, err);
    if (status != BF_STATUS_OK) return status;
    b->first_expected = 1;
    b->column_onnx = bfi_csv_column(&b->expected, "onnx");
    b->column_vnnlib = bfi_csv_column(&b->expected, "vnnlib");
    b->column_verdict = bfi_csv_column(&b->expected, "verdict");
    if (b->column_onnx >= 0 && b->column_vnnlib >= 0 && b->column_verdict >= 0) return BF_STATUS_OK;
    const bfi_csv_row *first = b->expected.count ? &b->expected.rows[0] : NULL;
    for (int kind = 0; first && first->count >= 3 && kind < ERROR_ROW; kind++) {
        if (strcmp(first->fields[2], kind_name(kind)) != 0) continue;
        b->first_expected = b->column_onnx = 0;
        b->column_vnnlib = 1;
        b->column_verdict = 2;
        return BF_STATUS_OK;
    }
    return bfi_fail(err, BF_STATUS_PARSE,
                    "%s:%d: the first line must name the columns onnx, vnnlib and verdict", path,
                    first ? first->line : 1);
}

/* Opened before the work starts, so that a file that cannot be written costs nothing. */
static bf_status open_csv(batch *b, bf_error *err) {
    const char *path = b->args->text[BFI_OPTION_CSV][0];
    if (!path) return BF_STATUS_OK;
    b->csv = fopen(path, "w");
    if (!b->csv)
        return bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
    fputs("onnx,vnnlib,verdict,decided_by,time_s,margin,reason\n", b->csv);
    return BF_STATUS_OK;
}

static bf_status open_batch(batch *b, bf_error *err) {
    const char *path = b->args->text[BFI_OPTION_BATCH][0];
    bf_status status = bfi_csv_read(path, &b->instances, err);
    if (status != BF_STATUS_OK) return status;
    b->first = bfi_csv_column(&b->instances, "onnx") >= 0;
    if (b->instances.count == b->first)
        return bfi_fail(err, BF_STATUS_PARSE, "%s: no instances: lines are onnx,vnnlib,timeout",
                        path);
    for (int r = b->first; r < b->instances.count; r++) {
        int length = (int)strlen(bfi_path_name(b->instances.rows[r].fields[0]));
        if (length > b->name_width && length <= WIDEST_NAME) b->name_width = length;
    }
    status = read_expected(b, err);
    if (status == BF_STATUS_OK) status = bfi_cli_session(b->args, &b->run->session, err);
    return status == BF_STATUS_OK ? open_csv(b, err) : status;
}

static int exit_code(const batch *b) {
    if (b->wrong) return BFI_EXIT_WRONG;
    if (bfi_interrupt_came()) return bf_status_exit_code(BF_STATUS_CANCELLED);
    return bf_status_exit_code(b->first_error);
}

bf_status bfi_batch(const bfi_arguments *args, bfi_verify_run *run, int *code, bf_error *err) {
    batch b = {.args = args, .run = run, .start = bf_clock()};
    bf_status status = open_batch(&b, err);
    bfi_progress_start(&run->progress, args->given[BFI_OPTION_QUIET]);
    if (args->given[BFI_OPTION_PROGRESS] && !args->given[BFI_OPTION_QUIET])
        bfi_progress_ask(&run->progress);
    for (int r = b.first; r < b.instances.count && status == BF_STATUS_OK && !bfi_interrupt_came();
         r++)
        status = decide_row(&b, &b.instances.rows[r], err);
    if (status == BF_STATUS_OK) print_summary(&b);
    if (b.csv && fclose(b.csv) != 0 && status == BF_STATUS_OK)
        status = bfi_fail(err, BF_STATUS_IO, "%s: cannot write: %s", args->text[BFI_OPTION_CSV][0],
                          strerror(errno));
    bfi_csv_free(&b.instances);
    bfi_csv_free(&b.expected);
    *code = exit_code(&b);
    return status;
}
