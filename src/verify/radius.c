/* The largest certified radius: attacks bracket it from above, bisection on sound checks finds it.
 */
#include "boundflow/radius.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "base/status.h"
#include "frontend/model.h"
#include "runtime/session.h"
#include "verify/attack/attack.h"
#include "verify/ball.h"
#include "verify/certify.h"

enum {
    ATTACK_LANES = 64,
    ATTACK_ROUNDS = 32,  /* radii attacked: */
    ATTACK_FAILURES = 4, /* most of the time goes into those without a counterexample */
    DEPTH = 4,           /* levels of the bisection that one run may look ahead */
    SMALLEST = 20, /* where nothing is certified down to maximum / 2^SMALLEST, the search ends */
};

typedef struct search {
    bf_session *session;
    const bf_model *model;
    const bf_ball *ball;
    int64_t label, n_in, n_out;
    const bf_radius_options *options;
    bf_radius_result *result;
    double start, deadline, maximum;
    double upper; /* no larger radius can or need be certified; the search goes below it */
    bf_error *err;
} search;

const char *bf_radius_end_name(bf_radius_end end) {
    static const char *const names[] = {"tolerance", "maximum", "misclassified",
                                        "runs",      "timeout", "cancelled"};
    return names[(unsigned)end < sizeof names / sizeof *names ? end : 0];
}

bf_radius_options bf_radius_options_default(void) {
    bf_verify_options verify = bf_verify_options_default();
    return (bf_radius_options){.bounds = verify.bounds,
                               .relative = 0.01,
                               .attack = 1,
                               .restarts = verify.restarts,
                               .steps = verify.steps / 2,
                               .seed = verify.seed};
}

static bf_status bad_option(const search *s, const char *name, double value, const char *wanted) {
    return bfi_fail(s->err, BF_STATUS_INVALID_ARGUMENT, "%s is %g: give %s", name, value, wanted);
}

static bf_status check(search *s) {
    const bf_radius_options *o = s->options;
    if (s->n_out < 2)
        return bfi_fail(s->err, BF_STATUS_INVALID_ARGUMENT,
                        "the network has one output: there is no other label to compare with");
    if (s->label < 0 || s->label >= s->n_out)
        return bfi_fail(s->err, BF_STATUS_INVALID_ARGUMENT,
                        "there is no output %lld: the network has %lld, counted from 0",
                        (long long)s->label, (long long)s->n_out);
    if (!(o->absolute >= 0)) return bad_option(s, "the absolute tolerance", o->absolute, ">= 0");
    if (!(o->relative >= 0 && o->relative < 1))
        return bad_option(s, "the relative tolerance", o->relative, "a number in [0, 1)");
    if (!(o->maximum >= 0) || isinf(o->maximum))
        return bad_option(s, "the maximum radius", o->maximum, "a finite number >= 0");
    if (o->runs < 0) return bad_option(s, "the limit of runs", (double)o->runs, ">= 0");
    bf_status status = bfi_ball_check(s->ball, s->n_in, s->err);
    if (status != BF_STATUS_OK) return status;
    double width = s->ball->clip_hi - s->ball->clip_lo;
    s->maximum = o->maximum > 0 ? o->maximum : isfinite(width) && width > 0 ? width : 1;
    return BF_STATUS_OK;
}

static void report(const search *s, const char *phase) {
    if (!s->options->progress) return;
    bf_progress progress = {
        .phase = phase, .done = s->result->runs, .seconds = bf_clock() - s->start};
    s->options->progress(s->options->user, &progress);
}

/* An output that is at least as large as the label's, or -1. */
static int64_t rival(const search *s, const double *y) {
    int64_t best = -1;
    for (int64_t j = 0; j < s->n_out; j++)
        if (j != s->label && !(y[s->label] > y[j]) && (best < 0 || y[j] > y[best])) best = j;
    return best;
}

static bf_status check_centre(search *s) {
    double *y = bfi_malloc((size_t)s->n_out, sizeof *y);
    if (!y) return bfi_fail_memory(s->err);
    int float32 = s->options->bounds.semantics == BF_SEMANTICS_FLOAT32;
    bf_status status = bf_model_evaluate(s->model, float32, s->ball->center, y, s->err);
    if (status == BF_STATUS_OK && (s->result->other = rival(s, y)) >= 0) {
        s->result->end = BF_RADIUS_END_MISCLASSIFIED;
        s->result->falsified = 0;
    }
    free(y);
    return status;
}

static void keep_witness(search *s, bfi_witness *witness) {
    double distance = bfi_ball_distance(s->ball, s->n_in, witness->x);
    if (distance < s->result->falsified) {
        free(s->result->x);
        s->result->x = witness->x;
        s->result->other = witness->disjunct + (witness->disjunct >= s->label);
        s->result->falsified = distance;
        witness->x = NULL;
    }
    bfi_witness_clear(witness);
}

/* Bisection again, with what the attack finds: nothing found proves nothing, so the radii that
 * resist only guide the search. */
static bf_status attack_rounds(search *s, bfi_attack *attack, bfi_ball_property *p,
                               const bfi_budget *budget) {
    const bf_radius_options *o = s->options;
    double resisted = 0, radius = s->maximum;
    bfi_attack_options options = {o->restarts, o->steps, o->seed, o->bounds.semantics};
    bf_status status = BF_STATUS_OK;
    int failures = 0;
    for (int round = 0; round < ATTACK_ROUNDS && status == BF_STATUS_OK; round++) {
        bool found = false;
        bfi_witness witness = {0};
        report(s, "attack");
        bfi_ball_property_set(p, s->ball, radius);
        status =
            bfi_attack_case(attack, &p->property, 0, &options, budget, &found, &witness, s->err);
        s->result->attacks++;
        if (found) keep_witness(s, &witness);
        if (s->result->falsified > radius) resisted = radius; /* rounding may put it outside */
        double top = fmin(s->result->falsified, s->maximum);
        radius = resisted + (top - resisted) / 2;
        failures += !found;
        if (failures == ATTACK_FAILURES || !(top - resisted > fmax(o->absolute, o->relative * top)))
            break;
    }
    return status;
}

/* At most a quarter of the time, so that some is left for bounds. */
static bf_status attack(search *s) {
    double begin = bf_clock();
    bfi_budget budget = {s->deadline > 0 ? begin + (s->deadline - begin) / 4 : 0,
                         &s->session->stop};
    bfi_attack *engine = NULL;
    bfi_ball_property p = {.terms = NULL};
    bf_status status = bfi_ball_property_create(s->n_in, s->n_out, s->label, &p, s->err);
    if (status == BF_STATUS_OK)
        status = bfi_attack_create(s->model->graph, ATTACK_LANES, s->options->bounds.isa, &engine,
                                   s->err);
    if (status == BF_STATUS_OK) status = attack_rounds(s, engine, &p, &budget);
    if (status == BF_STATUS_TIMEOUT) status = BF_STATUS_OK;
    bfi_attack_free(engine);
    bfi_ball_property_clear(&p);
    s->result->attack_s = bf_clock() - begin;
    return status;
}

/* A bisection's next radii: node i asks whether |radius| is certified; its children, 2 i + 1 if not
 * and 2 i + 2 if so, halve what that leaves. */
typedef struct node {
    double from, to, radius, margin;
} node;

static double middle(double from, double to) { return from + (to - from) / 2; }

static bf_status bound_nodes(search *s, bfi_certifier *certifier, node *nodes, int count) {
    double margins[1 << DEPTH];
    int64_t labels[1 << DEPTH];
    double begin = bf_clock();
    for (int i = 0; i < count; i++) {
        labels[i] = s->label;
        bfi_ball_box(s->ball, s->n_in, nodes[i].radius, bfi_certifier_lo(certifier, i),
                     bfi_certifier_hi(certifier, i));
    }
    bf_status status = bfi_certifier_run(certifier, labels, count, s->deadline, margins, s->err);
    s->result->bounds_s += bf_clock() - begin;
    for (int i = 0; i < count && status == BF_STATUS_OK; i++) nodes[i].margin = margins[i];
    s->result->boxes += status == BF_STATUS_OK ? count : 0;
    return status;
}

/* True when |node| was certified. */
static bool learn(search *s, const node *n) {
    bf_radius_result *r = s->result;
    bool certified = n->margin > 0;
    r->runs++;
    if (certified) {
        r->certified = n->radius;
        r->margin = n->margin;
    } else {
        r->failed = s->upper = n->radius;
    }
    assert(r->certified <= s->upper);
    return certified;
}

/* The bracket is as narrow as asked for, or as doubles allow. */
static bool close_enough(const search *s) {
    const bf_radius_options *o = s->options;
    double c = s->result->certified, m = middle(c, s->upper);
    if (c == 0 && s->upper <= ldexp(s->maximum, -SMALLEST)) return true;
    return s->upper - c <= fmax(o->absolute, o->relative * c) || m <= c || m >= s->upper;
}

/* Whether another radius may be asked about. */
static bool goes_on(search *s) {
    if (close_enough(s)) return false;
    if (s->options->runs == 0 || s->result->runs < s->options->runs) return true;
    s->result->end = BF_RADIUS_END_RUNS;
    return false;
}

/* Bounds the next |count| nodes together and walks down as one by one would have. */
static bf_status descend(search *s, bfi_certifier *certifier, int count) {
    node nodes[1 << DEPTH] = {{.from = s->result->certified, .to = s->upper}};
    for (int i = 0; i < count; i++) {
        node *n = &nodes[i];
        n->radius = middle(n->from, n->to);
        if (2 * i + 2 >= count) continue;
        nodes[2 * i + 1] = (node){.from = n->from, .to = n->radius};
        nodes[2 * i + 2] = (node){.from = n->radius, .to = n->to};
    }
    report(s, "bounds");
    bf_status status = bound_nodes(s, certifier, nodes, count);
    for (int i = 0; i < count && status == BF_STATUS_OK && goes_on(s);)
        i = 2 * i + (learn(s, &nodes[i]) ? 2 : 1);
    return status;
}

/* Radii of one run: 2^levels - 1, so that a run takes |levels| steps down. */
static int radii_at_once(const search *s) {
    int boxes = s->options->boxes, threads = bf_session_threads(s->session), count = 1;
    if (boxes <= 0) boxes = threads >= 8 ? 7 : threads >= 4 ? 3 : 1;
    while (2 * count + 1 <= boxes && 2 * count + 1 < 1 << DEPTH) count = 2 * count + 1;
    return count;
}

static bf_status bisect(search *s) {
    int count = radii_at_once(s);
    bfi_certifier *certifier = NULL;
    bf_status status =
        bfi_certifier_create(s->session, s->model, &s->options->bounds, count, &certifier, s->err);
    s->upper = fmin(s->result->falsified, s->maximum);
    if (status == BF_STATUS_OK && s->upper == s->maximum && s->result->falsified > s->maximum) {
        node top = {.radius = s->maximum};
        report(s, "bounds");
        status = bound_nodes(s, certifier, &top, 1);
        if (status == BF_STATUS_OK && learn(s, &top)) s->result->end = BF_RADIUS_END_MAXIMUM;
    }
    while (status == BF_STATUS_OK && s->result->end == BF_RADIUS_END_TOLERANCE && goes_on(s))
        status = descend(s, certifier, count);
    bfi_certifier_free(certifier);
    return status;
}

bf_status bf_radius(bf_session *session, const bf_model *model, const bf_ball *ball, int64_t label,
                    const bf_radius_options *options, bf_radius_result *result, bf_error *err) {
    search s = {.session = session,
                .model = model,
                .ball = ball,
                .label = label,
                .n_in = bf_model_input_count(model),
                .n_out = bf_model_output_count(model),
                .options = options,
                .result = result,
                .start = bf_clock(),
                .err = err};
    *result = (bf_radius_result){
        .failed = INFINITY, .falsified = INFINITY, .margin = NAN, .n_in = s.n_in, .other = -1};
    s.deadline = options->timeout > 0 ? s.start + options->timeout : 0;
    bf_status status = check(&s);
    if (status == BF_STATUS_OK) status = check_centre(&s);
    bool asked = status == BF_STATUS_OK && result->end != BF_RADIUS_END_MISCLASSIFIED;
    if (asked && options->attack) status = attack(&s);
    if (asked && status == BF_STATUS_OK) status = bisect(&s);
    if (status == BF_STATUS_TIMEOUT) result->end = BF_RADIUS_END_TIMEOUT;
    if (status == BF_STATUS_CANCELLED) result->end = BF_RADIUS_END_CANCELLED;
    bool answered =
        status == BF_STATUS_OK || status == BF_STATUS_TIMEOUT || status == BF_STATUS_CANCELLED;
    result->total_s = bf_clock() - s.start;
    if (!answered) bf_radius_result_clear(result);
    return answered ? BF_STATUS_OK : status;
}

void bf_radius_result_clear(bf_radius_result *result) {
    free(result->x);
    result->x = NULL;
}
