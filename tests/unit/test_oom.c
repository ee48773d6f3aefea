/* Every allocation on the way to bounds fails once: a clean error, nothing leaks, and the next try
 * works. */
#include "alloc_kit.h"
#include "boundflow/radius.h"
#include "bounds_kit.h"
#include "op_cases.h"

enum { MOST = 100000 };

/* Runs |attempt| with the n-th allocation failing for n = 1, 2, ... until it succeeds. */
static void sweep(bf_status (*attempt)(void *user, bf_error *err), void *user) {
    long n = 1;
    for (bf_status status = BF_STATUS_OUT_OF_MEMORY; status != BF_STATUS_OK; n++) {
        bf_error err = {""};
        long before = atomic_load(&alloc_live);
        alloc_fail(n);
        status = attempt(user, &err);
        alloc_fail(0);
        if (status != BF_STATUS_OK) {
            assert_int_equal(status, BF_STATUS_OUT_OF_MEMORY);
            assert_non_null(strstr(err.message, "memory"));
        }
        assert_int_equal(atomic_load(&alloc_live), before);
        assert_true(n < MOST);
    }
    assert_true(n > 2); /* something was allocated */
}

typedef struct subject {
    bf_model *model;
    bf_options options;
    bf_plan *plan;
    int64_t label; /* of the point 0 */
} subject;

static bf_status try_plan(void *user, bf_error *err) {
    subject *s = user;
    bf_plan *plan = NULL;
    bf_status status = bf_plan_create(kit_session(1), s->model, &s->options, &plan, err);
    if (status == BF_STATUS_OK)
        bf_plan_free(plan);
    else
        assert_null(plan);
    return status;
}

static bf_status try_workspace(void *user, bf_error *err) {
    subject *s = user;
    bf_workspace *ws = NULL;
    bf_status status = bf_workspace_create(s->plan, &ws, err);
    if (status == BF_STATUS_OK)
        bf_workspace_free(ws);
    else
        assert_null(ws);
    return status;
}

static bf_status try_evaluate(void *user, bf_error *err) {
    subject *s = user;
    int64_t n = bf_model_input_count(s->model), m = bf_model_output_count(s->model);
    static double x[4096], y[4096];
    assert_true(n <= 4096 && m <= 4096);
    return bf_model_evaluate(s->model, 0, x, y, err);
}

static void plans(void **state) {
    (void)state;
    int setting = 0;
    kit_session(1);
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++) {
        int variants = op_cases[c].variants < 3 ? op_cases[c].variants : 3;
        for (int v = 0; v < variants; v++, setting++) {
            subject s = {.model = net_model(op_cases[c].build(v)),
                         .options = kit_setting(setting % KIT_SETTINGS)};
            sweep(try_plan, &s);
            sweep(try_evaluate, &s);
            assert_int_equal(bf_plan_create(kit_session(1), s.model, &s.options, &s.plan, NULL),
                             BF_STATUS_OK);
            sweep(try_workspace, &s);
            bf_plan_free(s.plan);
            bf_model_free(s.model);
        }
    }
}

static bf_status try_radius(void *user, bf_error *err) {
    subject *s = user;
    double center[64] = {0};
    bf_ball ball = {.center = center, .clip_lo = -INFINITY, .clip_hi = INFINITY};
    bf_radius_options options = bf_radius_options_default();
    bf_radius_result result;
    options.bounds.executor =
        BF_EXECUTOR_NATIVE; /* a session keeps compiled kernels that it finds */
    options.restarts = 4;
    options.steps = 4;
    assert_true(bf_model_input_count(s->model) <= 64);
    bf_status status = bf_radius(kit_session(1), s->model, &ball, s->label, &options, &result, err);
    assert_true(status != BF_STATUS_OK || result.end == BF_RADIUS_END_TOLERANCE);
    bf_radius_result_clear(&result);
    return status;
}

static void radii(void **state) {
    (void)state;
    subject s = {.model = net_model(case_residual(0))};
    double center[64] = {0}, y[64];
    int64_t m = bf_model_output_count(s.model);
    assert_in_range(m, 2, 64);
    assert_int_equal(bf_model_evaluate(s.model, 0, center, y, NULL), BF_STATUS_OK);
    for (int64_t j = 1; j < m; j++)
        if (y[j] > y[s.label]) s.label = j;
    sweep(try_radius, &s);
    bf_model_free(s.model);
}

/* The graph belongs to the wrapper even when that fails. */
static bf_status try_wrap(void *user, bf_error *err) {
    (void)user;
    long fail = atomic_exchange(&alloc_fail_at, 0);
    bfi_graph *graph = case_residual(0);
    bf_model *model = NULL;
    alloc_fail(fail);
    bf_status status = bfi_model_wrap(graph, &model, err);
    if (status == BF_STATUS_OK) bf_model_free(model);
    return status;
}

static bf_status try_session(void *user, bf_error *err) {
    (void)user;
    bf_session *session = NULL;
    bf_status status = bf_session_create(3, &session, err);
    if (status == BF_STATUS_OK) bf_session_free(session);
    return status;
}

static void models_and_sessions(void **state) {
    (void)state;
    sweep(try_wrap, NULL);
    sweep(try_session, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(models_and_sessions),
                                       cmocka_unit_test(plans), cmocka_unit_test(radii)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
