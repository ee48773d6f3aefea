/* Running plans in tests. Everything asserts. */
#ifndef BF_TESTS_BOUNDS_KIT_H
#define BF_TESTS_BOUNDS_KIT_H

#include <stdio.h>

#include "boundflow/bounds.h"
#include "random_nets.h"

/* One session per number of threads, kept until the program ends. */
static inline bf_session *kit_session(int threads) {
    static bf_session *sessions[9];
    assert_in_range(threads, 1, 8);
    if (!sessions[threads])
        assert_int_equal(bf_session_create(threads, &sessions[threads], NULL), BF_STATUS_OK);
    return sessions[threads];
}

/* A plan and a workspace of it. */
typedef struct kit_engine {
    bf_plan *plan;
    bf_workspace *ws;
} kit_engine;

static inline kit_engine kit_engine_new(int threads, const bf_model *model, bf_options options) {
    kit_engine e = {0};
    bf_error err = {""};
    if (bf_plan_create(kit_session(threads), model, &options, &e.plan, &err))
        fail_msg("%s", err.message);
    if (bf_workspace_create(e.plan, &e.ws, &err)) fail_msg("%s", err.message);
    return e;
}

static inline void kit_engine_free(kit_engine *e) {
    bf_workspace_free(e->ws);
    bf_plan_free(e->plan);
}

/* |spec| NULL: bounds of the outputs. */
static inline void kit_bounds(const kit_engine *e, const double *lo, const double *hi,
                              const double *spec, int64_t rows, double *lower, double *upper) {
    bf_request request = {
        .lo = lo, .hi = hi, .spec = spec, .rows = rows, .lower = lower, .upper = upper};
    bf_error err = {""};
    if (bf_bounds_run(e->plan, e->ws, &request, &err)) fail_msg("%s", err.message);
}

/* One plan, one run. */
static inline void kit_bounds_once(const bf_model *model, bf_options options, const double *lo,
                                   const double *hi, const double *spec, int64_t rows,
                                   double *lower, double *upper) {
    kit_engine e = kit_engine_new(1, model, options);
    kit_bounds(&e, lo, hi, spec, rows, lower, upper);
    kit_engine_free(&e);
}

/* All settings that bounds must hold for: method, dtype, executor, intersect as the digits of
 * |index|. The last method is alpha-CROWN again, with slopes that a layer's rows share. */
enum { KIT_METHODS = 5, KIT_TYPED = 2 * KIT_METHODS, KIT_EXECUTED = 2 * KIT_TYPED };
enum { KIT_SETTINGS = 2 * KIT_EXECUTED }; /* the first KIT_TYPED: methods and dtypes alone */
static inline bf_options kit_setting(int index) {
    bf_options o = bf_options_default();
    o.method = (bf_method)(index % KIT_METHODS);
    if (index % KIT_METHODS > BF_METHOD_ALPHA_CROWN)
        o.method = BF_METHOD_ALPHA_CROWN, o.intermediate = BF_INTERMEDIATE_SHARED;
    o.iterations = 3;
    o.dtype = (bf_dtype)(index / KIT_METHODS % 2);
    o.executor = (bf_executor)(index / KIT_TYPED % 2);
    o.intersect = index / KIT_EXECUTED % 2;
    return o;
}

static inline bf_options kit_options(bf_method method, bf_dtype dtype, bf_executor executor) {
    return kit_setting((int)method + KIT_METHODS * (int)dtype + KIT_TYPED * (int)executor);
}

static inline const char *kit_setting_name(bf_options o, char *buf, size_t size) {
    static const char *const methods[] = {"ibp", "crown-ibp", "crown", "alpha-crown"};
    snprintf(buf, size, "%s%s float%d %s%s%s", methods[o.method],
             o.intermediate == BF_INTERMEDIATE_SHARED ? " shared" : "",
             o.dtype == BF_DTYPE_FLOAT32 ? 32 : 64,
             o.executor == BF_EXECUTOR_REFERENCE ? "reference" : "native",
             o.intersect ? " intersect" : "",
             o.semantics == BF_SEMANTICS_FLOAT32 ? " semantics-float32" : "");
    return buf;
}

#endif
