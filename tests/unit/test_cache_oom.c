/* A cache without memory: making one fails cleanly, and a run that cannot look up or keep gives its
 * bounds all the same. */
#include "alloc_kit.h"
#include "bounds_kit.h"
#include "boundflow/cache.h"

#include <unistd.h>

enum { MOST = 2000, BOXES = 2, ROUNDS = 4 };

static bf_cache *make(const char *path, bf_error *err) {
    bf_cache_options options = bf_cache_options_default();
    options.path = path;
    bf_cache *cache = NULL;
    bf_status status = bf_cache_create(&options, &cache, err);
    if (status != BF_STATUS_OK) assert_int_equal(status, BF_STATUS_OUT_OF_MEMORY);
    if (status != BF_STATUS_OK) assert_null(cache);
    return cache;
}

static void creation(void **state) {
    (void)state;
    char path[] = "/tmp/boundflow-oom-XXXXXX";
    assert_true(mkstemp(path) >= 0);
    for (int file = 0; file < 2; file++) {
        bf_cache *cache = NULL;
        for (long n = 1; !cache; n++) {
            bf_error err = {""};
            long live = atomic_load(&alloc_live);
            alloc_fail(n);
            cache = make(file ? path : NULL, &err);
            alloc_fail(0);
            if (cache) break;
            assert_non_null(strstr(err.message, "memory"));
            assert_int_equal(atomic_load(&alloc_live), live);
            assert_true(n < MOST);
        }
        bf_cache_free(cache);
    }
    unlink(path);
}

typedef struct problem {
    double lo[BOXES * 4], hi[BOXES * 4];
    bf_split splits[BOXES];
    int64_t first_split[BOXES + 1];
} problem;

static void bounds(const kit_engine *e, const problem *p, int round, double *out) {
    static const double spec[6] = {1, -1, 0, 0, 1, -1};
    bf_request q = {.lo = p->lo, .hi = p->hi, .boxes = BOXES, .rows = 2};
    q.spec = round % 2 ? spec : NULL;
    q.lower = out, q.upper = out + 6;
    if (round > 1) q.splits = p->splits, q.first_split = p->first_split;
    assert_int_equal(bf_bounds_run(e->plan, e->ws, &q, NULL), BF_STATUS_OK);
}

static bf_model *small_model(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(4));
    int a = 0;
    for (int l = 0; l < 3; l++) {
        a = net_linear(graph, NET_PLAIN, a, 1, l ? 6 : 4, l < 2 ? 6 : 3);
        if (l < 2) a = net_same(graph, BFI_OP_RELU, a, -1);
    }
    kit_validate(graph);
    return net_model(graph);
}

static void runs(void **state) {
    (void)state;
    problem p = {.first_split = {0, 1, 2}};
    for (int i = 0; i < BOXES * 4; i++) p.lo[i] = -0.5, p.hi[i] = 0.125 * (i % 4);
    for (int b = 0; b < BOXES; b++)
        p.splits[b] = (bf_split){.activation = 1, .neuron = b + 1, .sign = b ? 1 : -1};
    bf_model *model = small_model();
    bf_options o = bf_options_default();
    o.batch = BOXES, o.intersect = 1;
    kit_engine plain = kit_engine_new(1, model, o);
    double right[ROUNDS][12] = {{0}}, got[12];
    for (int round = 0; round < ROUNDS; round++) bounds(&plain, &p, round, right[round]);
    char path[] = "/tmp/boundflow-oom-XXXXXX";
    assert_true(mkstemp(path) >= 0);
    long used = 1;
    for (long n = 1; used >= n; n++) {
        long live = atomic_load(&alloc_live);
        bf_session *session = NULL;
        bf_cache *cache = make(path, NULL);
        assert_int_equal(bf_session_create(1, &session, NULL), BF_STATUS_OK);
        bf_session_set_cache(session, cache);
        kit_engine e = {0};
        assert_int_equal(bf_plan_create(session, model, &o, &e.plan, NULL), BF_STATUS_OK);
        assert_int_equal(bf_workspace_create(e.plan, &e.ws, NULL), BF_STATUS_OK);
        alloc_fail(n);
        for (int round = 0; round < ROUNDS; round++) {
            memset(got, 0, sizeof got);
            bounds(&e, &p, round, got);
            assert_memory_equal(got, right[round], sizeof got);
        }
        bf_cache_flush(cache, NULL);
        used = atomic_load(&alloc_calls);
        alloc_fail(0);
        kit_engine_free(&e);
        bf_session_free(session);
        bf_cache_free(cache);
        assert_int_equal(atomic_load(&alloc_live), live);
        assert_true(n < MOST);
        unlink(path);
    }
    assert_true(used > 5);
    kit_engine_free(&plain);
    bf_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(creation), cmocka_unit_test(runs)};
    kit_session(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
