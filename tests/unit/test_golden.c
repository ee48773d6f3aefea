/* Bounds of real networks against auto_LiRPA's (tests/golden/, written by scripts/make_golden.py):
 * float64, rounded to nearest, 1e-6 relative to the case's largest bound. The last line of defence.
 *
 * What is not compared, and why: make_golden.py. */
#include <stdio.h>
#include <sys/stat.h>

#include "boundflow/property.h"
#include "bounds_kit.h"

enum { PATH = 1024, MAX_ROWS = 200 };

typedef struct golden {
    char model[256], property[256], method[32];
    int rows;
    double lower[MAX_ROWS], upper[MAX_ROWS];
} golden;

static bf_options options_of(const golden *g) {
    bf_options o = bf_options_default();
    o.dtype = BF_DTYPE_FLOAT64;
    o.rounding = BF_ROUNDING_NEAREST;
    o.method = !strcmp(g->method, "ibp")         ? BF_METHOD_IBP
               : !strcmp(g->method, "crown-ibp") ? BF_METHOD_CROWN_IBP
               : !strncmp(g->method, "alpha", 5) ? BF_METHOD_ALPHA_CROWN
                                                 : BF_METHOD_CROWN;
    o.lr = 0.1;
    o.intermediate =
        !strcmp(g->method, "alpha-fixed") ? BF_INTERMEDIATE_FIXED : BF_INTERMEDIATE_PER_NEURON;
    o.all_neurons = !strcmp(g->method, "crown-dense");
    return o;
}

/* Next case of |file|; false at its end. */
static bool read_case(FILE *file, golden *g) {
    char line[PATH];
    do {
        if (!fgets(line, sizeof line, file)) return false;
    } while (line[0] == '#');
    assert_int_equal(
        sscanf(line, "case %255s %255s %31s %d", g->model, g->property, g->method, &g->rows), 4);
    assert_in_range(g->rows, 1, MAX_ROWS);
    for (int r = 0; r < g->rows; r++) {
        assert_non_null(fgets(line, sizeof line, file));
        assert_int_equal(sscanf(line, "%lf %lf", &g->lower[r], &g->upper[r]), 2);
    }
    return true;
}

static void compare(const char *folder, const golden *g) {
    char path[PATH + 300];
    bf_model *model = NULL;
    bf_property *property = NULL;
    bf_error err = {""};
    snprintf(path, sizeof path, "%s/%s", folder, g->model);
    if (bf_model_load(path, &model, &err)) fail_msg("%s", err.message);
    snprintf(path, sizeof path, "%s/%s", folder, g->property);
    if (bf_property_load(path, &property, &err)) fail_msg("%s", err.message);
    assert_int_equal(bf_model_output_count(model), g->rows);
    assert_int_equal(bf_model_input_count(model), property->n_in);
    double lower[MAX_ROWS], upper[MAX_ROWS], scale = 1e-3, most = 0;
    bf_options options = options_of(g);
    bool alpha = options.method == BF_METHOD_ALPHA_CROWN;
    kit_bounds_once(model, options, property->cases[0].lo, property->cases[0].hi, NULL, 0, lower,
                    alpha ? NULL : upper);
    /* at least as tight, within a thousandth of the width */
    for (int r = 0; r < g->rows && alpha; r++)
        if (!(lower[r] >= g->lower[r] - 1e-3 * g->upper[r] - 1e-9))
            fail_msg("%s, %s: row %d is %.9g, auto_LiRPA's %.9g, width %.3g", g->model, g->method,
                     r, lower[r], g->lower[r], g->upper[r]);
    for (int r = 0; r < g->rows && alpha; r++) lower[r] = g->lower[r], upper[r] = g->upper[r];
    for (int r = 0; r < g->rows; r++)
        scale = fmax(scale, fmax(fabs(g->lower[r]), fabs(g->upper[r])));
    for (int r = 0; r < g->rows; r++)
        most = fmax(most, fmax(fabs(lower[r] - g->lower[r]), fabs(upper[r] - g->upper[r])) / scale);
    if (!(most <= 1e-6)) fail_msg("%s, %s: off by %.3g", g->model, g->method, most);
    bf_property_free(property);
    bf_model_free(model);
}

static int compare_all(const char *name, const char *folder) {
    char path[PATH];
    golden *g = malloc(sizeof *g);
    int cases = 0;
    snprintf(path, sizeof path, "%s/tests/golden/%s", getenv("BOUNDFLOW_SOURCE_DIR"), name);
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("cannot read %s", path);
    for (; read_case(file, g); cases++) compare(folder, g);
    fclose(file);
    free(g);
    return cases;
}

static void own_models(void **state) {
    (void)state;
    char folder[PATH];
    if (!getenv("BOUNDFLOW_SOURCE_DIR")) skip();
    snprintf(folder, sizeof folder, "%s/models", getenv("BOUNDFLOW_SOURCE_DIR"));
    assert_true(compare_all("models.txt", folder) >= 16);
}

static void public_networks(void **state) {
    (void)state;
    char folder[PATH];
    struct stat info;
    const char *data = getenv("BOUNDFLOW_DATA");
    snprintf(folder, sizeof folder, "%s/vnncomp", data ? data : "");
    if (!data || !getenv("BOUNDFLOW_SOURCE_DIR") || stat(folder, &info)) {
        print_message(
            "SKIPPED: BOUNDFLOW_DATA names no folder with vnncomp/, public goldens not compared\n");
        skip();
    }
    assert_true(compare_all("public.txt", folder) >= 60);
    assert_true(compare_all("alpha.txt", folder) >= 35);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(own_models),
                                       cmocka_unit_test(public_networks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
