/* Radii: what is certified holds (an independent run, sampled points, closed forms), the box that
 * is checked contains the ball, and neither threads nor batches change the result. */
#include <math.h>

#include "bounds_kit.h"
#include "boundflow/radius.h"
#include "verify/ball.h"
#include "verify/certify.h"

enum { MOST = 64 }; /* inputs or outputs of a net here */

static bf_radius_options exact_options(void) {
    bf_radius_options o = bf_radius_options_default();
    o.bounds.dtype = BF_DTYPE_FLOAT64;
    o.relative = 1e-9;
    return o;
}

static bf_radius_result find(int threads, const bf_model *model, const bf_ball *ball, int64_t label,
                             bf_radius_options options) {
    bf_radius_result result;
    bf_error err = {""};
    if (bf_radius(kit_session(threads), model, ball, label, &options, &result, &err))
        fail_msg("%s", err.message);
    return result;
}

static bf_ball ball_of(const double *center) {
    return (bf_ball){.center = center, .clip_lo = -INFINITY, .clip_hi = INFINITY};
}

/* |n| inputs, |m| outputs, one linear layer; |weights|, |bias| are its. */
static bf_model *linear_model(int64_t n, int64_t m, const double **weights, const double **bias) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(n));
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, 0, -1, KIT_SHAPE(m));
    node->attrs.rows = 1, node->attrs.k = n, node->attrs.n = m;
    node->weight = kit_numbers(NULL, n * m);
    node->bias = kit_numbers(NULL, m);
    *weights = node->weight.data;
    *bias = node->bias.data;
    return net_model(graph);
}

static int64_t largest(const double *y, int64_t m) {
    int64_t best = 0;
    for (int64_t j = 1; j < m; j++)
        if (y[j] > y[best]) best = j;
    return best;
}

/* How far y[label] - y[j] is above 0 at worst when input i moves by up to reach[i]; sums of
 * multiples of 1/64 are exact. */
static double worst_margin(int64_t n, const double *w, const double *b, int64_t label, int64_t j,
                           const double *c, const double *reach) {
    double sum = b[label] - b[j];
    for (int64_t i = 0; i < n; i++) {
        double d = w[label * n + i] - w[j * n + i];
        sum += d * c[i] - fabs(d) * reach[i];
    }
    return sum;
}

/* Without clip and scale the radius is min over j of margin / |w_label - w_j|_1. */
static void linear_closed_form(void **state) {
    (void)state;
    for (int trial = 0; trial < 40; trial++) {
        int64_t n = kit_int(1, 9), m = kit_int(2, 5);
        const double *w, *b;
        bf_model *model = linear_model(n, m, &w, &b);
        double c[MOST], y[MOST], none[MOST] = {0};
        kit_fill(c, n);
        assert_int_equal(bf_model_evaluate(model, 0, c, y, NULL), BF_STATUS_OK);
        int64_t label = largest(y, m);
        double radius = INFINITY;
        bool tie = false;
        for (int64_t j = 0; j < m; j++) {
            if (j == label) continue;
            double norm = 0;
            for (int64_t i = 0; i < n; i++) norm += fabs(w[label * n + i] - w[j * n + i]);
            tie |= y[j] == y[label];
            radius = fmin(radius, (y[label] - y[j]) / norm); /* inf where nothing can change it */
        }
        bf_radius_options o = exact_options();
        o.maximum = trial % 2 ? 64 : 8;
        bf_ball ball = ball_of(c);
        bf_radius_result r = find(1, model, &ball, label, o);
        if (tie) {
            assert_int_equal(r.end, BF_RADIUS_END_MISCLASSIFIED);
            assert_true(r.certified == 0 && r.falsified == 0);
        } else if (radius > o.maximum) {
            assert_int_equal(r.end, BF_RADIUS_END_MAXIMUM);
            assert_true(r.certified == o.maximum && isinf(r.failed) && isinf(r.falsified));
        } else {
            assert_int_equal(r.end, BF_RADIUS_END_TOLERANCE);
            for (int64_t j = 0; j < m; j++) {
                double reach[MOST];
                for (int64_t i = 0; i < n; i++) reach[i] = r.certified;
                assert_true(j == label || worst_margin(n, w, b, label, j, c, reach) >= 0);
                assert_true(j == label || worst_margin(n, w, b, label, j, c, none) > 0);
            }
            assert_true(r.certified <= radius && r.certified > radius * (1 - 1e-8));
            assert_true(r.falsified >= radius && r.falsified < radius * 1.15);
            assert_true(r.certified < r.falsified && r.certified < r.failed);
            assert_true(r.x && r.other >= 0 && r.other != label && r.margin > 0);
        }
        bf_radius_result_clear(&r);
        bf_model_free(model);
    }
}

/* With clip and scales the worst case is still that of each input alone. */
static void linear_scaled_and_clipped(void **state) {
    (void)state;
    int bracketed = 0;
    for (int trial = 0; trial < 40; trial++) {
        int64_t n = kit_int(1, 9), m = kit_int(2, 4);
        const double *w, *b;
        bf_model *model = linear_model(n, m, &w, &b);
        double c[MOST], y[MOST], scale[MOST], reach[MOST];
        for (int64_t i = 0; i < n; i++) {
            c[i] = (double)kit_int(0, 8) / 8;
            scale[i] = (double)kit_int(0, 4) / 4;
        }
        bf_ball ball = {.center = c, .scale = scale, .clip_lo = 0, .clip_hi = 1};
        assert_int_equal(bf_model_evaluate(model, 0, c, y, NULL), BF_STATUS_OK);
        int64_t label = largest(y, m);
        bf_radius_result r = find(1, model, &ball, label, exact_options());
        if (r.end == BF_RADIUS_END_MISCLASSIFIED) {
            bf_model_free(model);
            continue;
        }
        for (int side = 0; side < 2; side++) { /* just inside, just outside */
            double radius = side ? r.certified * (1 + 1e-6) + 1e-5 : r.certified, least = INFINITY;
            for (int64_t j = 0; j < m; j++) {
                if (j == label) continue;
                for (int64_t i = 0; i < n; i++) {
                    double d = w[label * n + i] - w[j * n + i];
                    reach[i] = fmin(radius * scale[i], d > 0 ? c[i] : 1 - c[i]);
                }
                least = fmin(least, worst_margin(n, w, b, label, j, c, reach));
            }
            if (side == 0) assert_true(least > -1e-12);
            if (side == 1 && r.end == BF_RADIUS_END_TOLERANCE) assert_true(least < 1e-12);
        }
        assert_true(r.certified <= 1);
        bracketed += r.end == BF_RADIUS_END_TOLERANCE && r.certified > 0;
        if (r.x) {
            double distance = 0;
            for (int64_t i = 0; i < n; i++) {
                assert_true(r.x[i] >= 0 && r.x[i] <= 1);
                double d = fabs(r.x[i] - c[i]);
                if (d > 0) distance = fmax(distance, d / scale[i]);
            }
            assert_true(distance <= r.falsified);
        }
        bf_radius_result_clear(&r);
        bf_model_free(model);
    }
    assert_true(bracketed > 5);
}

/* A random net whose centre has a label. */
static bf_model *labelled_net(double *c, int64_t *label) {
    for (;;) {
        bfi_graph *graph = net_mlp(NET_PLAIN);
        int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
        double y[MOST];
        bf_model *model = net_model(graph);
        for (int64_t i = 0; n <= MOST && i < n; i++) c[i] = net_uniform();
        bool fits = n <= MOST && m <= MOST && m >= 2;
        if (fits && bf_model_evaluate(model, 0, c, y, NULL) == BF_STATUS_OK) {
            *label = largest(y, m);
            bool clear = true;
            for (int64_t j = 0; j < m; j++) clear &= j == *label || y[*label] > y[j] + 1e-3;
            if (clear) return model;
        }
        bf_model_free(model);
    }
}

/* As kit_setting, alpha-CROWN too. */
static bf_options setting(int index) {
    bf_options o = kit_setting(index);
    if (index % 5 == 4) o.method = BF_METHOD_ALPHA_CROWN;
    o.iterations = 5;
    return o;
}

/* All margins of one run over the box that bf_ball_box gives. */
static double run_margin(const bf_model *model, bf_options options, const bf_ball *ball,
                         int64_t label, double radius) {
    int64_t n = bf_model_input_count(model), m = bf_model_output_count(model);
    double lo[MOST], hi[MOST], spec[MOST * MOST], lower[MOST], least = INFINITY;
    assert_int_equal(bf_ball_box(ball, n, radius, lo, hi, NULL), BF_STATUS_OK);
    bfi_margin_rows(m, label, spec);
    kit_bounds_once(model, options, lo, hi, spec, m - 1, lower, NULL);
    for (int64_t j = 0; j < m - 1; j++) least = fmin(least, lower[j]);
    return least;
}

static void check_points(const bf_model *model, const bf_ball *ball, int64_t label, double radius) {
    int64_t n = bf_model_input_count(model), m = bf_model_output_count(model);
    double lo[MOST], hi[MOST], x[MOST], y[MOST];
    assert_int_equal(bf_ball_box(ball, n, radius, lo, hi, NULL), BF_STATUS_OK);
    for (int i = 0; i < 20; i++) {
        net_point(n, lo, hi, x);
        assert_int_equal(bf_model_evaluate(model, 0, x, y, NULL), BF_STATUS_OK);
        for (int64_t j = 0; j < m; j++) assert_true(j == label || y[label] > y[j] - 1e-9);
    }
}

static void check_witness(const bf_model *model, const bf_radius_result *r, const double *c,
                          int64_t label) {
    double y[MOST];
    assert_int_equal(bf_model_evaluate(model, 0, r->x, y, NULL), BF_STATUS_OK);
    assert_true(y[r->other] >= y[label]);
    for (int64_t i = 0; i < r->n_in; i++) assert_true(fabs(r->x[i] - c[i]) <= r->falsified);
}

static void certified_is_certified(void **state) {
    (void)state;
    int found = 0, falsified = 0;
    for (int trial = 0; trial < 24; trial++) {
        double c[MOST];
        int64_t label;
        bf_model *model = labelled_net(c, &label);
        bf_ball ball = ball_of(c);
        bf_radius_options o = bf_radius_options_default();
        o.bounds = setting(trial);
        o.attack = trial % 3 != 2;
        bf_radius_result r = find(1, model, &ball, label, o);
        if (r.certified > 0) {
            assert_true(run_margin(model, o.bounds, &ball, label, r.certified) == r.margin);
            assert_true(r.margin > 0);
            check_points(model, &ball, label, r.certified);
            found++;
        }
        if (isfinite(r.failed))
            assert_true(!(run_margin(model, o.bounds, &ball, label, r.failed) > 0));
        if (r.end == BF_RADIUS_END_TOLERANCE) {
            double upper = fmin(r.failed, r.falsified);
            assert_true(upper - r.certified <=
                        fmax(r.certified > 0 ? 0 : 0x1p-20, 0.01 * r.certified));
        }
        assert_true(r.certified < r.falsified);
        if (r.x) check_witness(model, &r, c, label);
        falsified += r.x != NULL;
        bf_radius_result_clear(&r);
        bf_model_free(model);
    }
    assert_true(found > 12 && falsified > 2);
}

static void same_result(const bf_radius_result *a, const bf_radius_result *b) {
    assert_true(a->certified == b->certified && a->failed == b->failed);
    assert_true(a->falsified == b->falsified && a->end == b->end && a->runs == b->runs);
    assert_true(a->margin == b->margin || (isnan(a->margin) && isnan(b->margin)));
    assert_int_equal(a->other, b->other);
    assert_true(!a->x == !b->x);
    if (a->x) assert_memory_equal(a->x, b->x, (size_t)a->n_in * sizeof *a->x);
}

static void independent_of_batches_and_threads(void **state) {
    (void)state;
    static const struct {
        int threads, boxes;
    } ways[] = {{1, 2}, {1, 3}, {1, 7}, {3, 0}, {3, 15}, {8, 0}, {1, 1000}};
    for (int trial = 0; trial < 12; trial++) {
        double c[MOST];
        int64_t label;
        bf_model *model = labelled_net(c, &label);
        bf_ball ball = ball_of(c);
        bf_radius_options o = bf_radius_options_default();
        o.bounds = setting(trial);
        o.runs = trial % 4 == 3 ? 5 : 0;
        o.boxes = 1;
        bf_radius_result one = find(1, model, &ball, label, o);
        assert_true(one.boxes == one.runs);
        for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
            o.boxes = ways[i].boxes;
            bf_radius_result r = find(ways[i].threads, model, &ball, label, o);
            same_result(&one, &r);
            assert_true(r.boxes >= r.runs);
            bf_radius_result_clear(&r);
        }
        bf_radius_result_clear(&one);
        bf_model_free(model);
    }
}

/* The method is asked for no more than the limit, and a larger limit never loses anything. */
static void anytime(void **state) {
    (void)state;
    double c[MOST];
    int64_t label;
    bf_model *model = labelled_net(c, &label);
    bf_ball ball = ball_of(c);
    bf_radius_options o = exact_options();
    o.attack = 0;
    double best = 0, failed = INFINITY;
    for (int64_t runs = 1; runs < 12; runs++) {
        o.runs = runs;
        bf_radius_result r = find(1, model, &ball, label, o);
        assert_true(r.runs <= runs);
        if (r.end == BF_RADIUS_END_RUNS) assert_true(r.runs == runs);
        assert_true(r.certified >= best && r.failed <= failed);
        best = r.certified, failed = r.failed;
        bf_radius_result_clear(&r);
    }
    o.runs = 0;
    o.timeout = 1e-9;
    bf_radius_result late = find(1, model, &ball, label, o);
    assert_int_equal(late.end, BF_RADIUS_END_TIMEOUT);
    assert_true(late.certified == 0 && late.runs == 0);
    bf_session_stop(kit_session(1));
    o.timeout = 0;
    bf_radius_result stopped = find(1, model, &ball, label, o);
    bf_session_resume(kit_session(1));
    assert_int_equal(stopped.end, BF_RADIUS_END_CANCELLED);
    bf_model_free(model);
}

typedef struct stopper {
    int after, calls;
} stopper;

static void stop_later(void *user, const bf_progress *progress) {
    stopper *s = user;
    assert_non_null(progress->phase);
    if (++s->calls == s->after) bf_session_stop(kit_session(1));
}

/* Stopped in the middle: what was certified before still is. */
static void stopped_in_the_middle(void **state) {
    (void)state;
    double c[MOST];
    int64_t label;
    bf_model *model = labelled_net(c, &label);
    bf_ball ball = ball_of(c);
    bf_radius_options o = exact_options();
    stopper s = {.after = 1 << 20};
    o.progress = stop_later;
    o.user = &s;
    o.boxes = 1;
    bf_radius_result whole = find(1, model, &ball, label, o);
    int calls = s.calls;
    assert_true(calls > 8 && whole.certified > 0);
    for (int after = 1; after <= calls; after += 3) {
        s = (stopper){.after = after};
        bf_radius_result r = find(1, model, &ball, label, o);
        bf_session_resume(kit_session(1));
        assert_int_equal(r.end, BF_RADIUS_END_CANCELLED);
        assert_true(r.certified <= whole.certified);
        if (r.certified > 0)
            assert_true(run_margin(model, o.bounds, &ball, label, r.certified) > 0);
        bf_radius_result_clear(&r);
    }
    bf_radius_result_clear(&whole);
    bf_model_free(model);
}

/* The box contains the ball of every decimal that reads as the radius. */
static void boxes(void **state) {
    (void)state;
    for (int trial = 0; trial < 2000; trial++) {
        double c = net_uniform() * ldexp(1, (int)kit_int(-30, 3)),
               radius = fabs(net_uniform()) * ldexp(1, (int)kit_int(-30, 3)),
               scale = fabs(net_uniform());
        bf_ball ball = {.center = &c,
                        .scale = trial % 2 ? &scale : NULL,
                        .clip_lo = -INFINITY,
                        .clip_hi = INFINITY};
        double lo, hi, s = ball.scale ? scale : 1;
        assert_int_equal(bf_ball_box(&ball, 1, radius, &lo, &hi, NULL), BF_STATUS_OK);
        long double reach = (long double)radius * (1 + 0x1p-54L) * (long double)s;
        assert_true((long double)lo <= (long double)c - reach);
        assert_true((long double)hi >= (long double)c + reach);
        double slack = 4e-16 * (fabs(c) + radius) + 1e-300;
        assert_true(hi - lo <= 2 * radius * s + 4 * slack);
        double inside = c + radius * s / 2;
        assert_true(bfi_ball_distance(&ball, 1, &inside) <= radius);
        ball.clip_lo = c;
        ball.clip_hi = c;
        bf_ball_box(&ball, 1, radius, &lo, &hi, NULL);
        assert_true(lo == c && hi == c);
    }
    double c = 0.25, lo, hi;
    bf_ball ball = ball_of(&c);
    assert_int_equal(bf_ball_box(&ball, 1, 0, &lo, &hi, NULL), BF_STATUS_OK);
    assert_true(lo == c && hi == c);
}

/* Boxes of several labels in one run get what each gets alone, whatever fits at once. */
static void many_labels(void **state) {
    (void)state;
    enum { BOXES = 11 };
    for (int trial = 0; trial < 6; trial++) {
        double c[MOST], together[BOXES];
        int64_t label, labels[BOXES];
        bf_model *model = labelled_net(c, &label);
        int64_t n = bf_model_input_count(model), m = bf_model_output_count(model);
        bf_ball ball = ball_of(c);
        bf_options o = setting(trial == 0 ? 4 : trial * 5);
        bfi_certifier *many, *one;
        if (trial % 2) {
            o.batch = BOXES;
            kit_engine e = kit_engine_new(1, model, o);
            o.memory = bf_plan_workspace_bytes(e.plan) * 2 / 3;
            kit_engine_free(&e);
        }
        assert_int_equal(bfi_certifier_create(kit_session(1), model, &o, BOXES, &many, NULL),
                         BF_STATUS_OK);
        assert_int_equal(bfi_certifier_create(kit_session(3), model, &o, 1, &one, NULL),
                         BF_STATUS_OK);
        for (int round = 0; round < 3; round++) {
            int64_t count = round ? kit_int(1, BOXES) : BOXES;
            for (int64_t i = 0; i < count; i++) {
                labels[i] = round == 1 ? label : kit_int(0, m - 1);
                bfi_ball_box(&ball, n, 0.01 * (double)i, bfi_certifier_lo(many, i),
                             bfi_certifier_hi(many, i));
            }
            assert_int_equal(bfi_certifier_run(many, labels, count, 0, together, NULL),
                             BF_STATUS_OK);
            for (int64_t i = 0; i < count; i++) {
                double alone;
                bfi_ball_box(&ball, n, 0.01 * (double)i, bfi_certifier_lo(one, 0),
                             bfi_certifier_hi(one, 0));
                assert_int_equal(bfi_certifier_run(one, labels + i, 1, 0, &alone, NULL),
                                 BF_STATUS_OK);
                assert_true(together[i] == alone);
                assert_true(alone == run_margin(model, o, &ball, labels[i], 0.01 * (double)i));
            }
        }
        bfi_certifier_free(many);
        bfi_certifier_free(one);
        bf_model_free(model);
    }
}

static void refuse(const bf_model *model, const bf_ball *ball, int64_t label,
                   bf_radius_options options, const char *pattern) {
    bf_radius_result r;
    bf_error err = {""};
    assert_int_equal(bf_radius(kit_session(1), model, ball, label, &options, &r, &err),
                     BF_STATUS_INVALID_ARGUMENT);
    if (!strstr(err.message, pattern)) fail_msg("'%s' lacks '%s'", err.message, pattern);
    assert_null(r.x);
}

static void bad_arguments(void **state) {
    (void)state;
    const double *w, *b;
    bf_model *model = linear_model(2, 3, &w, &b), *single = linear_model(2, 1, &w, &b);
    double c[2] = {0.5, 0.5}, scale[2] = {1, -1}, far[2] = {0.5, 2}, nan[2] = {NAN, 0};
    bf_radius_options good = bf_radius_options_default(), o = good;
    bf_ball ball = {.center = c, .clip_lo = 0, .clip_hi = 1};
    refuse(model, &ball, 3, good, "no output 3");
    refuse(model, &ball, -1, good, "no output -1");
    refuse(single, &ball, 0, good, "one output");
    o.bounds.rounding = BF_ROUNDING_NEAREST;
    o.attack = 0;
    double y[3];
    assert_int_equal(bf_model_evaluate(model, 0, c, y, NULL), BF_STATUS_OK);
    refuse(model, &ball, largest(y, 3), o, "not sound");
    o = good, o.relative = 1;
    refuse(model, &ball, 0, o, "relative tolerance");
    o = good, o.absolute = NAN;
    refuse(model, &ball, 0, o, "absolute tolerance");
    o = good, o.maximum = INFINITY;
    refuse(model, &ball, 0, o, "maximum radius");
    o = good, o.runs = -1;
    refuse(model, &ball, 0, o, "runs");
    ball.scale = scale;
    refuse(model, &ball, 0, good, "input 1 has -1");
    ball.scale = NULL, ball.center = far;
    refuse(model, &ball, 0, good, "input 1 is 2, outside the clip");
    ball.center = nan;
    refuse(model, &ball, 0, good, "input 0 is not a finite number");
    ball.center = c, ball.clip_lo = 2;
    refuse(model, &ball, 0, good, "clip");
    double lo[2], hi[2];
    assert_int_equal(bf_ball_box(&ball, 2, 0.1, lo, hi, NULL), BF_STATUS_INVALID_ARGUMENT);
    ball.clip_lo = 0;
    assert_int_equal(bf_ball_box(&ball, 2, -0.1, lo, hi, NULL), BF_STATUS_INVALID_ARGUMENT);
    bf_model_free(model);
    bf_model_free(single);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(linear_closed_form),
                                       cmocka_unit_test(linear_scaled_and_clipped),
                                       cmocka_unit_test(certified_is_certified),
                                       cmocka_unit_test(independent_of_batches_and_threads),
                                       cmocka_unit_test(anytime),
                                       cmocka_unit_test(stopped_in_the_middle),
                                       cmocka_unit_test(boxes),
                                       cmocka_unit_test(many_labels),
                                       cmocka_unit_test(bad_arguments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
