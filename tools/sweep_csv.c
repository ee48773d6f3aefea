#include "sweep_csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/blake2b.h"
#include "base/file.h"
#include "csv.h"
#include "json.h"

#define LARGEST_MODEL ((size_t)1 << 40)

enum { INPUT, LABEL, METHOD, EPS, CERTIFIED, MARGIN, TIME, DECIDED_BY, KEY, FIELDS };
static const char *const header[FIELDS] = {"input",  "label",  "method",     "eps", "certified",
                                           "margin", "time_s", "decided_by", "key"};

static bf_status write_failed(const bfi_sweep_csv *csv, bf_error *err) {
    return bfi_fail(err, BF_STATUS_IO, "%s: cannot write: %s", csv->path, strerror(errno));
}

/* All that decides rows, but the method, input, label and radius. */
static bf_status hash_common(const bfi_sweep *s, bfi_blake2b *hash, bf_error *err) {
    char *data, text[128];
    size_t size;
    bf_status status = bfi_file_read(s->path, LARGEST_MODEL, &data, &size, err);
    if (status != BF_STATUS_OK) return status;
    bfi_blake2b_start(hash, BFI_SWEEP_KEY / 2);
    bfi_blake2b_add(hash, data, size);
    free(data);
    const bf_options *o = &s->options;
    snprintf(text, sizeof text, "%d %d %d %d %d %d %a %a", o->dtype, o->rounding, o->semantics,
             o->intersect, o->simplify, s->scale.x != NULL, s->clip_lo, s->clip_hi);
    bfi_blake2b_add(hash, text, strlen(text) + 1);
    if (s->scale.x) bfi_blake2b_add(hash, s->scale.x, (size_t)s->scale.inputs * sizeof *s->scale.x);
    return BF_STATUS_OK;
}

/* The method, and what only it depends on. */
static void hash_method(const bfi_sweep *s, bf_method method, bfi_blake2b *hash) {
    const bf_options *o = &s->options;
    const char *name = bfi_cli_method(method);
    char text[128] = "";
    if (method == BF_METHOD_ALPHA_CROWN)
        snprintf(text, sizeof text, "%d %a %a %d", o->iterations, o->lr, o->lr_decay,
                 o->intermediate);
    bfi_blake2b_add(hash, name, strlen(name) + 1);
    bfi_blake2b_add(hash, text, strlen(text) + 1);
}

static bf_status make_keys(bfi_sweep_csv *csv, bf_error *err) {
    const bfi_sweep *s = csv->sweep;
    bfi_blake2b common;
    csv->keys = bfi_malloc((size_t)(s->methods * s->inputs.count), sizeof *csv->keys);
    if (!csv->keys) return bfi_fail_memory(err);
    bf_status status = hash_common(s, &common, err);
    size_t numbers = (size_t)s->inputs.inputs;
    for (int64_t at = 0; at < s->methods * s->inputs.count && status == BF_STATUS_OK; at++) {
        int64_t input = at % s->inputs.count;
        unsigned char bytes[BFI_SWEEP_KEY / 2];
        bfi_blake2b hash = common;
        hash_method(s, s->method[at / s->inputs.count], &hash);
        bfi_blake2b_add(&hash, &s->labels[input], sizeof *s->labels);
        bfi_blake2b_add(&hash, s->inputs.x + input * s->inputs.inputs,
                        numbers * sizeof *s->inputs.x);
        bfi_blake2b_end(&hash, bytes);
        for (size_t i = 0; i < sizeof bytes; i++)
            snprintf(csv->keys[at] + 2 * i, 3, "%02x", bytes[i]);
    }
    return status;
}

static bool read_number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end > text && !*end && !isnan(*out);
}

static int find_radius(const bfi_sweep *s, double radius) {
    for (int r = 0; r < s->radii; r++)
        if (s->radius[r] == radius) return r;
    return -1;
}

static int find_method(const bfi_sweep *s, const char *name) {
    for (int m = 0; m < s->methods; m++)
        if (strcmp(bfi_cli_method(s->method[m]), name) == 0) return m;
    return -1;
}

/* One row of the file, where this sweep asks for it. */
static bf_status take_row(bfi_sweep_csv *csv, const bfi_csv_row *line, bf_error *err) {
    const bfi_sweep *s = csv->sweep;
    double input, eps, certified, margin, seconds;
    char **f = line->fields;
    bfi_sweep_how how = line->count == FIELDS ? bfi_sweep_how_find(f[DECIDED_BY]) : BFI_SWEEP_OPEN;
    if (how == BFI_SWEEP_OPEN || !read_number(f[INPUT], &input) || !read_number(f[EPS], &eps) ||
        !read_number(f[CERTIFIED], &certified) || !read_number(f[MARGIN], &margin) ||
        !read_number(f[TIME], &seconds) || input < 0 || input != floor(input) ||
        (certified != 0 && certified != 1) || (certified == 1) != (margin > 0))
        return bfi_fail(err, BF_STATUS_PARSE, "%s:%d: is no row of a sweep: give another file",
                        csv->path, line->line);
    int method = find_method(s, f[METHOD]), radius = find_radius(s, eps);
    if (method < 0 || input >= (double)s->inputs.count) return BF_STATUS_OK;
    if (strcmp(csv->keys[method * s->inputs.count + (int64_t)input], f[KEY]) != 0)
        return bfi_fail(
            err, BF_STATUS_INVALID_ARGUMENT,
            "%s:%d: the row is of another network, input, label or options: give another "
            "file",
            csv->path, line->line);
    bfi_sweep_row *row = radius < 0 ? NULL : bfi_sweep_at(s, method, (int64_t)input, radius);
    if (!row || row->how != BFI_SWEEP_OPEN) return BF_STATUS_OK;
    *row = (bfi_sweep_row){how, certified == 1, margin, seconds};
    csv->found++;
    return BF_STATUS_OK;
}

/* *|size| bytes, the last behind a newline, or 0 for an empty file; |whole|: nothing stands behind
 * it. */
static bf_status measure(bfi_sweep_csv *csv, long *size, bool *whole, bf_error *err) {
    int c = EOF;
    *size = 0;
    if (fseek(csv->out, 0, SEEK_END) != 0) return write_failed(csv, err);
    long end = ftell(csv->out);
    for (long at = end - 1; at >= 0 && c != '\n'; at--) {
        if (fseek(csv->out, at, SEEK_SET) != 0 || (c = fgetc(csv->out)) == EOF)
            return write_failed(csv, err);
        if (c == '\n') *size = at + 1;
    }
    *whole = *size == end;
    return BF_STATUS_OK;
}

static bf_status read_rows(bfi_sweep_csv *csv, bool whole, bf_error *err) {
    bfi_csv file;
    bf_status status = bfi_csv_read(csv->path, &file, err);
    if (status != BF_STATUS_OK) return status;
    bool ours = file.count > 0 && file.rows[0].count == FIELDS;
    for (int i = 0; ours && i < FIELDS; i++) ours = strcmp(file.rows[0].fields[i], header[i]) == 0;
    if (!ours)
        status =
            bfi_fail(err, BF_STATUS_PARSE,
                     "%s: exists, and is no file of rows of a sweep: give another name", csv->path);
    int rows = file.count - !whole;
    for (int r = 1; r < rows && status == BF_STATUS_OK; r++)
        status = take_row(csv, &file.rows[r], err);
    bfi_csv_free(&file);
    return status;
}

static bf_status continue_file(bfi_sweep_csv *csv, bf_error *err) {
    long size;
    bool whole = false;
    bf_status status = measure(csv, &size, &whole, err);
    if (status != BF_STATUS_OK) return status;
    if (size == 0 && whole) { /* empty */
        for (int i = 0; i < FIELDS; i++)
            fprintf(csv->out, "%s%c", header[i], i + 1 < FIELDS ? ',' : '\n');
        return fflush(csv->out) == 0 ? BF_STATUS_OK : write_failed(csv, err);
    }
    rewind(csv->out);
    if (fgetc(csv->out) != header[0][0]) /* packed, for one */
        return bfi_fail(err, BF_STATUS_PARSE,
                        "%s: exists, and is no file of rows of a sweep: give another name",
                        csv->path);
    status = read_rows(csv, whole, err);
    if (status != BF_STATUS_OK) return status;
    if (!whole && ftruncate(fileno(csv->out), size) != 0) return write_failed(csv, err);
    return fseek(csv->out, size, SEEK_SET) == 0 ? BF_STATUS_OK : write_failed(csv, err);
}

bf_status bfi_sweep_csv_open(const char *path, bfi_sweep *sweep, bfi_sweep_csv *csv,
                             bf_error *err) {
    *csv = (bfi_sweep_csv){.path = path, .sweep = sweep};
    bf_status status = make_keys(csv, err);
    if (status == BF_STATUS_OK) {
        csv->out = fopen(path, "r+");
        if (!csv->out && errno == ENOENT) csv->out = fopen(path, "w+");
        if (!csv->out)
            status =
                bfi_fail(err, BF_STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
    }
    if (status == BF_STATUS_OK && flock(fileno(csv->out), LOCK_EX | LOCK_NB) != 0 &&
        errno == EWOULDBLOCK)
        status = bfi_fail(err, BF_STATUS_IO,
                          "%s: another process is writing it: wait, or give another name", path);
    if (status == BF_STATUS_OK) status = continue_file(csv, err);
    if (status != BF_STATUS_OK) bfi_sweep_csv_close(csv, NULL);
    return status;
}

bf_status bfi_sweep_csv_row(void *user, int method, int64_t input, int radius, bf_error *err) {
    bfi_sweep_csv *csv = user;
    const bfi_sweep *s = csv->sweep;
    const bfi_sweep_row *row = bfi_sweep_at(s, method, input, radius);
    char eps[32], margin[32];
    bfi_json_decimal(s->radius[radius], eps, sizeof eps);
    bfi_json_decimal(row->margin, margin, sizeof margin);
    errno = 0;
    fprintf(csv->out, "%lld,%lld,%s,%s,%d,%s,%.6f,%s,%s\n", (long long)input,
            (long long)s->labels[input], bfi_cli_method(s->method[method]), eps, row->certified,
            margin, row->time_s, bfi_sweep_how_name(row->how),
            csv->keys[method * s->inputs.count + input]);
    return fflush(csv->out) == 0 && !ferror(csv->out) ? BF_STATUS_OK : write_failed(csv, err);
}

bf_status bfi_sweep_csv_close(bfi_sweep_csv *csv, bf_error *err) {
    errno = 0;
    bf_status status = csv->out && fclose(csv->out) != 0 ? write_failed(csv, err) : BF_STATUS_OK;
    free(csv->keys);
    *csv = (bfi_sweep_csv){0};
    return status;
}
