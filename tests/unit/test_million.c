/* A search of a million nodes that may take 64 MiB: it stays within them, goes on when they are
 * full, and what it certifies still holds. */
#include <math.h>

#include "runtime/session.h"
#include "search_kit.h"

enum { NODES = 1000000 / (KIT_SLOWER * KIT_SAMPLE), CAP = 64 << 20 };

typedef struct watch {
    int64_t nodes, most, open, resident;
} watch;

static void look(void *user, const bf_progress *progress) {
    watch *w = user;
    int64_t now = kit_resident();
    if (progress->bytes > w->most) w->most = progress->bytes;
    if (progress->open > w->open) w->open = progress->open;
    if (now > w->resident) w->resident = now;
    w->nodes = progress->nodes;
    if (w->nodes >= NODES) bf_session_stop(kit_session(1));
}

/* True when the search was long enough. */
static bool search(bf_branching branching, int inputs, int layers, int64_t width) {
    bf_model *model = kit_model(inputs, layers, width);
    double low, high;
    kit_range(model, &low, &high);
    bf_property *property = kit_property(inputs, low - 0.1 * (high - low));
    bf_verify_options o = kit_verify_options();
    watch w = {0};
    bf_verify_result r;
    bf_error err = {""};
    o.branching = branching;
    o.engine = BF_ENGINE_BAB;
    o.bounds.memory = CAP;
    o.progress = look;
    o.user = &w;
    int64_t before = kit_resident();
    if (bf_verify(kit_session(1), model, property, &o, &r, &err)) fail_msg("%s", err.message);
    bf_session_resume(kit_session(1));
    bool enough = r.nodes >= NODES;
    print_message("%lld nodes, at most %lld open, %.1f MiB of nodes, %.1f MiB more in all\n",
                  (long long)r.nodes, (long long)w.open, (double)w.most / (1 << 20),
                  (double)(w.resident - before) / (1 << 20));
    assert_true(w.most <= CAP);
    if (KIT_SLOWER == 1 && w.resident > 0) assert_true(w.resident - before <= CAP);
    if (r.verdict == BF_VERDICT_UNKNOWN) {
        assert_string_equal(r.reason, "stopped on request");
        assert_true(isnan(r.margin) || r.margin <= 0.1 * (high - low) + 1e-6);
    }
    bf_verify_result_clear(&r);
    bf_property_free(property);
    bf_model_free(model);
    return enough;
}

static void test_inputs(void **unused) {
    (void)unused;
    int tries = 0;
    while (!search(BF_BRANCHING_INPUTS, 8, 3, 12)) assert_true(++tries < 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_inputs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
