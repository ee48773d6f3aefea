#include "sweep_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "frontend/npy.h"
#include "verify/ball.h"

#define MOST_RADII 10000
#define LARGEST_TEXT ((size_t)1 << 28) /* bytes of a file of labels */

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
    char *end;
    double start = strtod(args->text[BFI_OPTION_RADII][0], &end), stop = 0;
    long count = 0;
    bool fine = *end == ':';
    if (fine) stop = strtod(end + 1, &end);
    fine = fine && *end == ':';
    if (fine) count = strtol(end + 1, &end, 10);
    if (!fine || *end) return bad_radii(args, "is no range", err);
    if (!isfinite(start) || !isfinite(stop) || start < 0 || stop < start)
        return bad_radii(args, "has no ascending ends >= 0", err);
    if (count < 1 || count > MOST_RADII || (count == 1 && stop > start))
        return bad_radii(args, "has a COUNT that cannot be", err);
    s->radius = bfi_malloc((size_t)count, sizeof *s->radius);
    if (!s->radius) return bfi_fail_memory(err);
    for (s->radii = 0; s->radii < count; s->radii++) {
        char decimal[32];
        double step = count > 1 ? (stop - start) / (double)(count - 1) : 0;
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

static bf_status check_balls(const bfi_arguments *args, const bfi_sweep *s, bf_error *err) {
    for (int64_t i = 0; i < s->inputs.count; i++) {
        bf_ball ball = {s->inputs.x + i * s->inputs.inputs, s->scale.x, s->clip_lo, s->clip_hi};
        bf_status status = bfi_ball_check(&ball, s->inputs.inputs, err);
        char context[160];
        if (status == BF_STATUS_OK) continue;
        snprintf(context, sizeof context, "%.100s, number %lld along the first axis",
                 args->text[BFI_OPTION_INPUTS][0], (long long)i);
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

bf_status bfi_sweep_load(const bfi_arguments *args, bfi_sweep *s, bf_error *err) {
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
    if (status == BF_STATUS_OK) status = check_balls(args, s, err);
    if (status == BF_STATUS_OK) status = allocate(s, err);
    bool labelled = args->given[BFI_OPTION_LABELS];
    if (status == BF_STATUS_OK && labelled)
        status = read_labels(args->text[BFI_OPTION_LABELS][0], s, err);
    return status == BF_STATUS_OK ? evaluate(s, labelled, err) : status;
}

void bfi_sweep_clear(bfi_sweep *s) {
    bfi_points_free(&s->inputs);
    bfi_points_free(&s->scale);
    free(s->labels);
    free(s->clean);
    free(s->radius);
    free(s->rows);
    bf_model_free(s->model);
}
