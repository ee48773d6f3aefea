/* Properties of thousands of boxes: verdicts, and that no box is given the effort of one alone. */
#include <time.h>

#include "boundflow/verify.h"
#include "bounds_kit.h"
#include "ir/evaluate.h"

enum { BOXES = 2000, POINTS = 33, LONGEST = 160 };

/* One input, one output, relus between. */
static bf_model *curve(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    int a = net_linear(graph, NET_PLAIN, 0, 1, 1, 16);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_linear(graph, NET_PLAIN, a, 1, 16, 16);
    a = net_same(graph, BFI_OP_RELU, a, -1);
    graph->output = net_linear(graph, NET_PLAIN, a, 1, 16, 1);
    kit_validate(graph);
    return net_model(graph);
}

/* Least and largest output at evenly spaced points of [lo, hi], the most that neighbours differ by
 * added. */
static void range(const bf_model *model, double lo, double hi, double *least, double *most) {
    double before = 0, step = 0;
    *least = INFINITY, *most = -INFINITY;
    for (int i = 0; i < POINTS; i++) {
        double x = lo + (hi - lo) * i / (POINTS - 1), y;
        assert_int_equal(bf_model_evaluate(model, 0, &x, &y, NULL), BF_STATUS_OK);
        *least = fmin(*least, y), *most = fmax(*most, y);
        if (i > 0) step = fmax(step, fabs(y - before));
        before = y;
    }
    *least -= step, *most += step;
}

/* "The output leaves its range by |beyond| in some box", and by none in box |reached|. */
static bf_property *leaving(const bf_model *model, double beyond, int reached) {
    char *text = malloc((size_t)BOXES * 2 * LONGEST), *at = text;
    bf_property *property = NULL;
    assert_non_null(text);
    at = stpcpy(at, "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (or\n");
    for (int i = 0; i < BOXES; i++) {
        double lo = -1 + 2.0 * i / BOXES, hi = lo + 0.05, least, most;
        range(model, lo, hi, &least, &most);
        double far = i == reached ? least - most : beyond; /* half of the range is enough */
        at += snprintf(at, LONGEST, "(and (>= X_0 %.17g) (<= X_0 %.17g) (<= Y_0 %.17g))\n", lo, hi,
                       least - beyond);
        at += snprintf(at, LONGEST, "(and (>= X_0 %.17g) (<= X_0 %.17g) (>= Y_0 %.17g))\n", lo, hi,
                       most + (i == reached ? far / 2 : far));
    }
    at = stpcpy(at, "))\n");
    bf_error err = {""};
    if (bf_property_parse(text, (size_t)(at - text), "many", &property, &err) != BF_STATUS_OK)
        fail_msg("%s", err.message);
    free(text);
    assert_int_equal(property->count, BOXES);
    return property;
}

static bf_verify_result decide(const bf_model *model, const bf_property *property) {
    bf_verify_options o = bf_verify_options_default();
    bf_verify_result result;
    bf_error err = {""};
    o.timeout = 60 * KIT_SLOWER;
    if (bf_verify(kit_session(2), model, property, &o, &result, &err) != BF_STATUS_OK)
        fail_msg("%s", err.message);
    print_message("%s by %s: attack %.2f s, bounds %.2f s, search %.2f s, %lld nodes\n",
                  bf_verdict_name(result.verdict), result.decided_by, result.attack_s,
                  result.bounds_s, result.search_s, (long long)result.nodes);
    return result;
}

static void thousands_of_boxes(void **state) {
    (void)state;
    for (int net = 0; net < 3; net++) {
        bf_model *model = curve();
        bf_property *property = leaving(model, 1e-3, -1);
        bf_verify_result result = decide(model, property);
        assert_int_equal(result.verdict, BF_VERDICT_UNSAT);
        assert_true(result.total_s < 30 * KIT_SLOWER);
        bf_verify_result_clear(&result);
        bf_property_free(property);
        bf_model_free(model);
    }
}

/* One box among them holds a counterexample. */
static void one_among_thousands(void **state) {
    (void)state;
    int reached = (int)kit_int(0, BOXES - 1);
    bf_model *model = curve();
    bf_property *property = leaving(model, 1e-3, reached);
    bf_verify_result result = decide(model, property);
    assert_int_equal(result.verdict, BF_VERDICT_SAT);
    assert_true(result.x[0] >= property->cases[reached].lo[0] &&
                result.x[0] <= property->cases[reached].hi[0]);
    bf_verify_result_clear(&result);
    bf_property_free(property);
    bf_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thousands_of_boxes),
        cmocka_unit_test(one_among_thousands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
