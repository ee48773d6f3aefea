/* The linear lower bounds that a request shows hold at every point of the box. */
#include "bounds_kit.h"
#include "ir/evaluate.h"
#include "op_cases.h"

enum { POINTS = 40, BOXES = 3, MOST_INPUTS = 4096, MOST_OUTPUTS = 1024 };

#define EVALUATOR_SLACK 1e-11 /* as in test_containment.c */

typedef struct lines {
    int64_t inputs, outputs;
    double *lo, *hi, *lower, *functional, *constant;
} lines;

static double largest(const bfi_graph *graph, double **values) {
    double most = 1;
    for (int id = 0; id < graph->count; id++)
        for (int64_t j = 0; j < graph->nodes[id].count; j++)
            if (isfinite(values[id][j])) most = fmax(most, fabs(values[id][j]));
    return most;
}

/* Counts the finite lines of box |b| and holds each against a point of the box. */
static int64_t check_point(const lines *n, const bfi_graph *graph, int64_t b) {
    double x[MOST_INPUTS], **values;
    int64_t finite = 0;
    net_point(n->inputs, n->lo + b * n->inputs, n->hi + b * n->inputs, x);
    assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL), 0);
    double slack = EVALUATOR_SLACK * largest(graph, values);
    for (int64_t r = 0; r < n->outputs; r++) {
        double at = n->constant[b * n->outputs + r], y = values[graph->output][r];
        const double *a = n->functional + (b * n->outputs + r) * n->inputs;
        if (!(at > -INFINITY)) continue;
        double size = fabs(at);
        finite++;
        for (int64_t i = 0; i < n->inputs; i++) at += a[i] * x[i], size += fabs(a[i] * x[i]);
        if (isfinite(y) && !(at <= y + slack + 1e-12 * size))
            fail_msg("output %d: the line is at %.17g, the network at %.17g", (int)r, at, y);
    }
    bfi_evaluation_free(graph, values);
    return finite;
}

/* Where no hidden layer and no interval was better, the line's minimum is the bound. */
static void check_minimum(const lines *n, int64_t b, bool exact) {
    for (int64_t r = 0; r < n->outputs; r++) {
        double least = n->constant[b * n->outputs + r], lower = n->lower[b * n->outputs + r];
        const double *a = n->functional + (b * n->outputs + r) * n->inputs;
        if (!(least > -INFINITY)) continue;
        double size = fabs(least) + 1e-3;
        for (int64_t i = 0; i < n->inputs; i++) {
            double lo = n->lo[b * n->inputs + i], hi = n->hi[b * n->inputs + i];
            least += fmin(a[i] * lo, a[i] * hi), size += fabs(a[i]) * fmax(fabs(lo), fabs(hi));
        }
        assert_true(lower <= least + 1e-3 * size || !exact);
        assert_true(lower >= least - 1e-3 * size);
    }
}

static int64_t check(bfi_graph *graph, bf_options o) {
    bf_model *model = net_model(graph);
    lines n = {.inputs = graph->nodes[0].count, .outputs = graph->nodes[graph->output].count};
    assert_true(n.inputs <= MOST_INPUTS && n.outputs <= MOST_OUTPUTS);
    o.batch = 2;
    kit_engine e = kit_engine_new((int)kit_int(1, 2), model, o);
    size_t cells = (size_t)(BOXES * n.outputs);
    n.lo = calloc((size_t)(BOXES * n.inputs), 8), n.hi = calloc((size_t)(BOXES * n.inputs), 8);
    n.lower = calloc(cells, 8), n.constant = calloc(cells, 8);
    n.functional = calloc(cells * (size_t)n.inputs, 8);
    for (int64_t b = 0; b < BOXES; b++)
        net_box(NET_PLAIN, n.inputs, n.lo + b * n.inputs, n.hi + b * n.inputs);
    bf_request q = {.lo = n.lo,
                    .hi = n.hi,
                    .boxes = BOXES,
                    .lower = n.lower,
                    .functional = n.functional,
                    .constant = n.constant};
    bf_error err = {""};
    if (bf_bounds_run(e.plan, e.ws, &q, &err)) fail_msg("%s", err.message);
    int64_t finite = 0;
    for (int64_t b = 0; b < BOXES; b++) {
        for (int p = 0; p < POINTS; p++) finite += check_point(&n, graph, b);
        check_minimum(&n, b, !o.intersect && o.method == BF_METHOD_CROWN);
    }
    free(n.lo), free(n.hi), free(n.lower), free(n.functional), free(n.constant);
    kit_engine_free(&e);
    bf_model_free(model);
    return finite;
}

static void random_networks(void **state) {
    (void)state;
    int64_t finite = 0;
    for (int i = 0; i < 300; i++) {
        bf_options o = kit_setting(i % KIT_SETTINGS);
        o.simplify = i % 3 != 0;
        finite += check(i % 2 ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN), o);
    }
    assert_true(finite > 1000);
}

static void every_op(void **state) {
    (void)state;
    int setting = 0;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++) {
        if (!strcmp(op_cases[c].name, "random")) continue;
        for (int v = 0; v < 2 * op_cases[c].variants; v++, setting++) {
            bf_options o = kit_setting(setting % KIT_SETTINGS);
            o.semantics = setting % 4 == 3 ? BF_SEMANTICS_FLOAT32 : BF_SEMANTICS_REAL;
            check(op_cases[c].build(v % op_cases[c].variants), o);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_networks),
                                       cmocka_unit_test(every_op)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
