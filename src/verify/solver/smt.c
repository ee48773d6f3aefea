/* Z3 on the encoding, in exact rational arithmetic: every number of the network is a dyadic
 * rational, which is what Z3 gets. It works in a process apart: one step of its arithmetic may take
 * minutes, and cannot be interrupted. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "verify/solver/apart.h"
#include "verify/solver/backend.h"
#include "verify/solver/z3.h"

/* Kinks of a question: more are out of reach of exact arithmetic. */
enum { MOST_KINKS = 400 };

typedef struct library {
    bfi_dylib dylib;
    bfi_z3_functions z3;
} library;

typedef struct formula {
    const bfi_z3_functions *z3;
    const bfi_question *question;
    bfi_z3 c;
    bfi_z3o solver, sort;
    bfi_z3o *vars;  /* by column */
    bfi_z3o *terms; /* of the row being written */
    double *x;      /* of the last model, by column */
    bool failed;    /* some call: what was asked is not what was meant */
} formula;

static bf_status load(void *self, bf_error *err) {
    library *lib = self;
    return bfi_z3_load(&lib->dylib, &lib->z3, err);
}

static bf_status create(void **self, bf_error *err) {
    return bfi_backend_open(sizeof(library), load, self, err);
}

/* Z3 would end the process. */
static void ignore(bfi_z3 c, int code) { (void)c, (void)code; }

static bfi_z3o numeral(formula *f, const char *text) {
    bfi_z3o made = f->z3->mk_numeral(f->c, text, f->sort);
    f->failed = f->failed || !made;
    return made ? made : f->vars[0];
}

/* |value| as it is: an integer over a power of two, neither with a decimal point, which would be
 * the locale's. */
static bfi_z3o number(formula *f, double value) {
    enum { LEAST_EXPONENT = -1000, SHIFT = 100 };
    char text[2 * (DBL_MAX_10_EXP + 4)];
    int exponent;
    double whole = ldexp(frexp(value, &exponent), DBL_MANT_DIG);
    exponent -= DBL_MANT_DIG;
    for (; whole != 0 && exponent < 0 && fmod(whole, 2) == 0; exponent++) whole /= 2;
    if (value != 0 && exponent < LEAST_EXPONENT) {
        bfi_z3o parts[2] = {number(f, ldexp(value, SHIFT)), number(f, ldexp(1, -SHIFT))};
        return f->z3->mk_mul(f->c, 2, parts);
    }
    if (exponent >= 0 || value == 0)
        snprintf(text, sizeof text, "%.0f", value);
    else
        snprintf(text, sizeof text, "%.0f/%.0f", whole, ldexp(1, -exponent));
    return numeral(f, text);
}

static void require(formula *f, bfi_z3o claim) {
    if (claim) f->z3->solver_assert(f->c, f->solver, claim);
    f->failed = f->failed || !claim || f->z3->get_error_code(f->c) != 0;
}

static bfi_z3o times(formula *f, double coef, bfi_z3o x) {
    if (coef == 1) return x;
    bfi_z3o factors[2] = {number(f, coef), x};
    return f->z3->mk_mul(f->c, 2, factors);
}

/* lo <= x <= hi. */
static void require_range(formula *f, bfi_z3o x, double lo, double hi) {
    if (lo == hi) {
        require(f, f->z3->mk_eq(f->c, x, number(f, lo)));
        return;
    }
    if (isfinite(lo)) require(f, f->z3->mk_ge(f->c, x, number(f, lo)));
    if (isfinite(hi)) require(f, f->z3->mk_le(f->c, x, number(f, hi)));
}

static void add_columns(formula *f) {
    const bfi_encoding *e = f->question->encoding;
    for (int32_t j = 0; j < e->cols; j++) {
        f->vars[j] = f->z3->mk_const(f->c, f->z3->mk_int_symbol(f->c, j), f->sort);
        require_range(f, f->vars[j], e->lo[j], e->hi[j]);
    }
}

static bfi_z3o row_sum(formula *f, int64_t r) {
    const bfi_encoding *e = f->question->encoding;
    unsigned count = 0;
    for (int64_t k = e->start[r]; k < e->start[r + 1]; k++)
        f->terms[count++] = times(f, e->value[k], f->vars[e->index[k]]);
    if (count == 0) return number(f, 0);
    return count == 1 ? f->terms[0] : f->z3->mk_add(f->c, count, f->terms);
}

static void add_rows(formula *f) {
    const bfi_encoding *e = f->question->encoding;
    for (int64_t r = 0; r < e->rows; r++) {
        bfi_z3o sum = row_sum(f, r);
        if (r >= e->goal && f->question->store->disjunct->rows[r - e->goal].strict)
            require(f, f->z3->mk_lt(f->c, sum, number(f, e->row_hi[r])));
        else
            require_range(f, sum, e->row_lo[r], e->row_hi[r]);
    }
}

/* The disjunct's rows with |share| of their size to spare. */
static void add_margin(formula *f, double share) {
    const bfi_encoding *e = f->question->encoding;
    for (int64_t r = e->goal; r < e->rows; r++) {
        double size = fabs(e->row_hi[r]);
        for (int64_t k = e->start[r]; k < e->start[r + 1]; k++)
            size += fabs(e->value[k]) * bfi_encoding_magnitude(e, e->index[k]);
        require(f, f->z3->mk_le(f->c, row_sum(f, r), number(f, e->row_hi[r] - share * size)));
    }
}

static void add_kinks(formula *f) {
    const bfi_encoding *e = f->question->encoding;
    for (int32_t i = 0; i < e->kink_count; i++) {
        const bfi_kink *k = &e->kinks[i];
        bfi_z3o in = f->vars[k->in];
        bfi_z3o positive = f->z3->mk_ge(f->c, in, number(f, 0));
        bfi_z3o value =
            f->z3->mk_ite(f->c, positive, times(f, k->slope[1], in), times(f, k->slope[0], in));
        bfi_z3o difference[2] = {f->vars[k->out], value};
        require_range(f, f->z3->mk_sub(f->c, 2, difference), -k->error, k->error);
    }
}

/* Within a megabyte at least: 0 would mean no limit. */
static void limit_memory(const formula *f) {
    bfi_z3o params = f->z3->mk_params(f->c);
    int64_t megabytes = f->question->memory >> 20;
    unsigned most = megabytes < 1 ? 1 : megabytes > INT32_MAX ? INT32_MAX : (unsigned)megabytes;
    f->z3->params_inc_ref(f->c, params);
    f->z3->params_set_uint(f->c, params, f->z3->mk_string_symbol(f->c, "max_memory"), most);
    f->z3->solver_set_params(f->c, f->solver, params);
    f->z3->params_dec_ref(f->c, params);
}

/* The model's inputs, as near as doubles come. */
static bf_status try_model(formula *f, bfi_solver_result *result, bf_error *err) {
    const bfi_encoding *e = f->question->encoding;
    bfi_z3o model = f->z3->solver_get_model(f->c, f->solver);
    if (!model) return BF_STATUS_OK; /* interrupted */
    f->z3->model_inc_ref(f->c, model);
    for (int32_t j = 0; j < e->cols; j++) {
        bfi_z3o value = NULL;
        if (f->z3->model_eval(f->c, model, f->vars[j], true, &value) && value)
            f->x[j] = f->z3->get_numeral_double(f->c, value);
    }
    f->z3->model_dec_ref(f->c, model);
    return bfi_question_try(f->question, f->x, result, err);
}

static int check(formula *f) { return f->z3->solver_check(f->c, f->solver); }

/* Any point will do for Z3, and those it likes lie on the edge of the disjunct, where rounding to
 * float32 loses them: asks for points further inside. */
static bf_status try_points(formula *f, bfi_solver_result *result, bf_error *err) {
    static const double shares[] = {0x1p-12, 0x1p-18, 0x1p-24};
    bf_status status = try_model(f, result, err);
    for (int i = 0; i < 3 && status == BF_STATUS_OK && result->outcome == BFI_SOLVER_OPEN; i++) {
        f->z3->solver_push(f->c, f->solver);
        add_margin(f, shares[i]);
        if (!f->failed && check(f) == BFI_Z3_TRUE) status = try_model(f, result, err);
        f->z3->solver_pop(f->c, f->solver, 1);
    }
    if (status == BF_STATUS_OK && result->outcome == BFI_SOLVER_OPEN)
        bfi_solver_reason(result, f->question->encoding->loose > 0
                                      ? "Z3's points are none of the network: some numbers are "
                                        "enclosed by their intervals alone"
                                      : "Z3's points are no float32 counterexamples");
    return status;
}

static bf_status judge(formula *f, int answer, bfi_solver_result *result, bf_error *err) {
    if (answer == BFI_Z3_TRUE) return try_points(f, result, err);
    if (answer == BFI_Z3_FALSE) {
        result->outcome = BFI_SOLVER_REFUTED;
        result->lower = 0;
        return BF_STATUS_OK;
    }
    const char *why = f->z3->solver_get_reason_unknown(f->c, f->solver);
    bfi_solver_reason(result, "Z3: %.150s", why ? why : "no reason given");
    return BF_STATUS_OK;
}

static bf_status solve(formula *f, bfi_solver_result *result, bf_error *err) {
    add_columns(f);
    add_rows(f);
    add_kinks(f);
    limit_memory(f);
    if (f->failed || f->z3->get_error_code(f->c) != 0)
        return bfi_fail(err, BF_STATUS_LIMIT, "Z3 does not take the question");
    return judge(f, check(f), result, err);
}

/* What comes back from the process apart, with the columns of a point behind it. */
typedef struct reply {
    bfi_solver_result result; /* pointers in it mean nothing */
    double x[];
} reply;

typedef struct job {
    const library *lib;
    const bfi_question *question;
} job;

static void work(void *user, void *answer) {
    const job *j = user;
    const bfi_z3_functions *z3 = &j->lib->z3;
    reply *r = answer;
    size_t cols = (size_t)j->question->encoding->cols;
    bf_error err = {""};
    formula f = {.z3 = z3, .question = j->question, .x = r->x};
    void *config = z3->mk_config();
    f.vars = bfi_calloc(cols, sizeof *f.vars);
    f.terms = bfi_calloc(cols, sizeof *f.terms);
    f.c = z3->mk_context(config);
    z3->set_error_handler(f.c, ignore);
    f.sort = z3->mk_real_sort(f.c);
    f.solver = z3->mk_solver(f.c);
    z3->solver_inc_ref(f.c, f.solver);
    bf_status status = f.vars && f.terms ? solve(&f, &r->result, &err) : bfi_fail_memory(&err);
    if (status == BF_STATUS_OK) return;
    r->result.outcome = BFI_SOLVER_OPEN;
    bfi_solver_reason(&r->result, "%.190s", err.message);
}

/* The point that the process apart found is tried again here. */
static bf_status take(const bfi_question *question, const reply *r, bfi_solver_result *result,
                      bf_error *err) {
    *result = r->result;
    result->witness = (bfi_witness){0};
    if (result->outcome != BFI_SOLVER_FOUND) return BF_STATUS_OK;
    result->outcome = BFI_SOLVER_OPEN;
    return bfi_question_try(question, r->x, result, err);
}

static bf_status decide(void *self, const bfi_question *question, bfi_solver_result *result,
                        bf_error *err) {
    const bfi_encoding *e = question->encoding;
    job j = {self, question};
    size_t size = sizeof(reply) + (size_t)e->cols * sizeof(double);
    bool answered = false;
    result->nodes = 1;
    if (e->kink_count > MOST_KINKS)
        return bfi_fail(err, BF_STATUS_LIMIT,
                        "%d neurons of either sign are too many for exact arithmetic (most: %d)",
                        (int)e->kink_count, MOST_KINKS);
    reply *r = bfi_calloc(1, size);
    if (!r) return bfi_fail_memory(err);
    r->result = *result;
    bf_status status =
        bfi_apart_run(&question->budget, question->memory, work, &j, r, size, &answered, err);
    if (answered)
        status = take(question, r, result, err);
    else if (status == BF_STATUS_OK)
        bfi_solver_reason(result, "Z3 ended without an answer: for want of memory?");
    free(r);
    return status;
}

const bfi_backend_functions bfi_backend_smt = {create, bfi_backend_close, decide};
