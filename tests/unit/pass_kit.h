/* Comparing a graph with what a pass made of it. Everything asserts. */
#ifndef BF_TESTS_PASS_KIT_H
#define BF_TESTS_PASS_KIT_H

#include <glob.h>
#include <math.h>
#include <stdio.h>

#include "bounds_kit.h"
#include "exact.h"
#include "ir/evaluate.h"

static inline int kit_count_op(const bfi_graph *graph, bfi_op op) {
    int n = 0;
    for (int i = 0; i < graph->count; i++) n += graph->nodes[i].op == op;
    return n;
}

static inline void kit_close(const double *a, const double *b, int64_t n, double tolerance) {
    double top = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, fabs(a[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= tolerance * top) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("element %d: %.17g, was %.17g", (int)i, b[i], a[i]);
}

/* Same outputs and, where |value_of| says so, same inner values at a random point, to 1e-12. */
static inline void kit_same_values(const bfi_graph *in, const bfi_graph *out, const int *value_of) {
    double *x = malloc((size_t)in->nodes[0].count * sizeof *x), **a, **b;
    assert_non_null(x);
    kit_validate(out);
    assert_int_equal(in->nodes[0].count, out->nodes[0].count);
    for (int64_t i = 0; i < in->nodes[0].count; i++) x[i] = net_uniform();
    assert_int_equal(bfi_evaluate(in, BFI_EVAL_FLOAT64, x, NULL, &a, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_evaluate(out, BFI_EVAL_FLOAT64, x, NULL, &b, NULL), BF_STATUS_OK);
    assert_true(bfi_shape_equal(&in->nodes[in->output].shape, &out->nodes[out->output].shape) ||
                in->nodes[in->output].count == out->nodes[out->output].count);
    kit_close(a[in->output], b[out->output], in->nodes[in->output].count, 1e-12);
    for (int i = 0; value_of && i < in->count; i++) {
        if (value_of[i] < 0) continue;
        assert_in_range(value_of[i], 0, out->count - 1);
        assert_int_equal(in->nodes[i].count, out->nodes[value_of[i]].count);
        kit_close(a[i], b[value_of[i]], in->nodes[i].count, 1e-12);
    }
    bfi_evaluation_free(in, a);
    bfi_evaluation_free(out, b);
    free(x);
}

/* Bounds of the outputs over a box of |radius| around a random point; false: no rule for an op. */
static inline bool kit_graph_bounds(const bfi_graph *graph, bf_options options, const double *lo,
                                    const double *hi, double *lower, double *upper) {
    bf_model model = {.graph = (bfi_graph *)(uintptr_t)graph, .references = 1};
    kit_engine e = {0};
    bf_error err = {""};
    bf_status status = bf_plan_create(kit_session(1), &model, &options, &e.plan, &err);
    if (status == BF_STATUS_UNSUPPORTED) return false;
    if (status != BF_STATUS_OK || bf_workspace_create(e.plan, &e.ws, &err))
        fail_msg("%s", err.message);
    kit_bounds(&e, lo, hi, NULL, 0, lower, upper);
    kit_engine_free(&e);
    return true;
}

/* Bounds after are those before, but for |tolerance| of the widest; with |may_tighten| they may be
 * tighter. */
static inline void kit_same_bounds(const bfi_graph *in, const bfi_graph *out, bf_options options,
                                   double radius, double tolerance, bool may_tighten) {
    size_t n = (size_t)in->nodes[0].count, m = (size_t)in->nodes[in->output].count;
    double *box = malloc(2 * n * sizeof *box), *before = malloc(4 * m * sizeof *before);
    assert_true(box && before);
    double *after = before + 2 * m, scale = 0;
    for (size_t i = 0; i < n; i++) {
        double c = net_uniform();
        box[i] = c - radius, box[n + i] = c + radius;
    }
    if (kit_graph_bounds(in, options, box, box + n, before, before + m)) {
        assert_true(kit_graph_bounds(out, options, box, box + n, after, after + m));
        for (size_t i = 0; i < 2 * m; i++)
            if (isfinite(before[i])) scale = fmax(scale, fabs(before[i]));
        for (size_t i = 0; i < m; i++) {
            bool lower = after[i] >= before[i] - tolerance * scale;
            bool upper = after[m + i] <= before[m + i] + tolerance * scale;
            bool equal = may_tighten || (!isfinite(before[i]) && !isfinite(after[i])) ||
                         (fabs(after[i] - before[i]) <= tolerance * scale &&
                          fabs(after[m + i] - before[m + i]) <= tolerance * scale);
            if (!lower || !upper || !equal)
                fail_msg("output %d: [%.17g, %.17g], was [%.17g, %.17g]", (int)i, after[i],
                         after[m + i], before[i], before[m + i]);
        }
    }
    free(box);
    free(before);
}

/* That for the first |settings| of kit_setting, but for chosen slopes: which steps they take
 * follows the rounding of the numbers that they start from. */
static inline void kit_same_in_settings(const bfi_graph *in, const bfi_graph *out, int settings,
                                        double radius, double tolerance32, double tolerance64) {
    for (int s = 0; s < settings; s++) {
        bf_options o = kit_setting(s);
        if (o.method == BF_METHOD_ALPHA_CROWN) continue;
        kit_same_bounds(in, out, o, radius, o.dtype == BF_DTYPE_FLOAT32 ? tolerance32 : tolerance64,
                        false);
    }
}

static inline double kit_flops(const bfi_graph *graph) {
    double total = 0;
    for (int i = 0; i < graph->count; i++) total += (double)bfi_node_flops(graph, i);
    return total;
}

/* Calls |check| on every ONNX file of |pattern| below |root|; number of files. */
static inline int kit_each_model(const char *root, const char *pattern,
                                 void (*check)(const char *path, const bf_model *model)) {
    char path[4096];
    glob_t files;
    int n = 0;
    if (!root) return 0;
    snprintf(path, sizeof path, "%s/%s", root, pattern);
    if (glob(path, 0, NULL, &files) != 0) return 0;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        bf_model *model;
        if (bf_model_load(files.gl_pathv[i], &model, NULL) != BF_STATUS_OK) continue;
        check(files.gl_pathv[i], model);
        bf_model_free(model);
        n++;
    }
    globfree(&files);
    return n;
}

#endif
