/* Memory known before the run: on every model of the project a run touches what was planned, all of
 * it, and nothing else; and a budget changes no bit. */
#include <dirent.h>
#include <stdio.h>

#include "boundflow/inspect.h"
#include "bounds_kit.h"
#include "exec/workspace.h"

enum { ROWS = 39, FEW = 3, GUARD = 4096, PADDING = 1024, BOXES = 2 };

/* Boxes around the middle of [0, 1], wide enough for unstable neurons. */
static void boxes(int64_t n, double *lo, double *hi) {
    for (int64_t i = 0; i < BOXES * n; i++)
        lo[i] = 0.3 + 0.01 * (double)(i / n), hi[i] = 0.6 + 0.02 * (double)(i / n);
}

/* Highest byte of |memory| that is not |pattern| any more. */
static int64_t high_water(const unsigned char *memory, int64_t size, unsigned char pattern) {
    while (size > 0 && memory[size - 1] == pattern) size--;
    return size;
}

/* Runs twice over different patterns: a byte that keeps both was not written. */
static void check_plan(const char *name, const bf_model *model, bf_options options) {
    int64_t n = bf_model_input_count(model), m = bf_model_output_count(model);
    double *lo = calloc((size_t)(BOXES * n), 8), *hi = calloc((size_t)(BOXES * n), 8),
           *spec = calloc((size_t)(ROWS * m), 8);
    double lower[BOXES * ROWS], upper[BOXES * ROWS], again[BOXES * ROWS];
    boxes(n, lo, hi);
    for (int64_t i = 0; i < ROWS * m; i++) spec[i] = net_uniform();
    kit_engine e = kit_engine_new(1, model, options);
    int64_t planned = bf_plan_workspace_bytes(e.plan), touched = 0;
    assert_int_equal(planned, bf_plan_memory(e.plan).workspace_bytes);
    char *own = e.ws->memory;
    unsigned char *fenced = bfi_alloc_aligned((size_t)planned + 2 * GUARD);
    for (int pattern = 0xa5; pattern >= 0x5a; pattern -= 0xa5 - 0x5a) {
        memset(fenced, pattern, (size_t)planned + 2 * GUARD);
        e.ws->memory = (char *)fenced + GUARD;
        bf_request request = {.lo = lo,
                              .hi = hi,
                              .spec = spec,
                              .rows = ROWS,
                              .boxes = options.batch,
                              .lower = pattern == 0xa5 ? lower : again,
                              .upper = upper};
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &request, NULL), BF_STATUS_OK);
        double few[2 * BOXES * FEW]; /* so few that the boxes share a tile */
        request.rows = FEW, request.lower = few, request.upper = few + BOXES * FEW;
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &request, NULL), BF_STATUS_OK);
        int64_t here = high_water(fenced + GUARD, planned + GUARD, (unsigned char)pattern);
        if (here > touched) touched = here;
        assert_int_equal(high_water(fenced, GUARD, (unsigned char)pattern), 0);
    }
    e.ws->memory = own;
    if (touched > planned || touched < planned - PADDING)
        fail_msg("%s: planned %d bytes, high-water mark %d", name, (int)planned, (int)touched);
    assert_memory_equal(lower, again, (size_t)(options.batch * ROWS) * sizeof *lower);
    kit_engine_free(&e);
    free(fenced), free(lo), free(hi), free(spec);
}

static void every_model(void **state) {
    (void)state;
    char folder[1024], path[2048];
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR");
    snprintf(folder, sizeof folder, "%s/models", root ? root : ".");
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int models = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strstr(entry->d_name, ".onnx")) continue;
        bf_model *model;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        assert_int_equal(bf_model_load(path, &model, NULL), BF_STATUS_OK);
        for (int setting = 0; setting < 2 * KIT_TYPED + KIT_METHODS; setting++) {
            bf_options o = kit_setting(setting % KIT_TYPED);
            o.partition = setting / KIT_TYPED % 2;
            o.batch = setting < 2 * KIT_TYPED ? 1 : BOXES;
            if (o.method == BF_METHOD_ALPHA_CROWN) /* minutes on the reference */
                o.executor = BF_EXECUTOR_NATIVE, o.iterations = 2;
            check_plan(entry->d_name, model, o);
        }
        bf_model_free(model);
        models++;
    }
    closedir(dir);
    assert_true(models >= 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
