/* What stands behind the solver: one back end per row of solver.def. Internal to verify/solver.
 *
 * A back end opens its library when it is created; without it |create| fails with a message that
 * says what is missing and how to get it, and the solver's answers are "open" for that reason. */
#ifndef BFI_VERIFY_SOLVER_BACKEND_H
#define BFI_VERIFY_SOLVER_BACKEND_H

#include "base/budget.h"
#include "base/dylib.h"
#include "verify/solver/solver.h"
#include "verify/store/encode.h"

/* A side of a kink: its input is at least (sign 1) or at most (-1) zero. */
typedef struct bfi_side {
    int32_t kink;
    int sign;
} bfi_side;

/* One leaf, encoded. */
typedef struct bfi_question {
    const bf_property *property;
    int32_t case_index;
    const bfi_constraints *store;
    const bfi_encoding *encoding;
    bfi_budget budget;
    int64_t memory;     /* bytes, about */
    int64_t most_nodes; /* of a search; 0: as many as it takes */
    int32_t most_steps; /* of a linear program; 0: as many as it takes */
    /* Tightens boxes [lo, hi] of the columns, which may become empty, to what bounds say of the
     * leaf on these sides of its kinks; *|lower| is raised to a certified bound of the objective
     * there (above zero: nothing is there). */
    bf_status (*tighten)(void *user, const bfi_side *sides, int32_t count, double *lo, double *hi,
                         double *lower, bf_error *err);
    void *user;
} bfi_question;

typedef struct bfi_backend_functions {
    bf_status (*create)(void **self, bf_error *err);
    void (*destroy)(void *self);
    /* |result| is open with nothing known at first. Fails as bfi_solver_decide does. */
    bf_status (*decide)(void *self, const bfi_question *question, bfi_solver_result *result,
                        bf_error *err);
} bfi_backend_functions;

#define BF_SOLVER(KIND, name, library, functions, meaning) \
    extern const bfi_backend_functions functions;
#include "verify/solver/solver.def"

/* Makes the |size| bytes that a back end is, a bfi_dylib first, which |load| fills; NULL when that
 * fails. */
bf_status bfi_backend_open(size_t size, bf_status (*load)(void *self, bf_error *err), void **self,
                           bf_error *err);
/* Closes the library too; NULL does nothing. */
void bfi_backend_close(void *self);

/* Tries values |x| of the encoding's columns as a counterexample: then the result is found. */
bf_status bfi_question_try(const bfi_question *question, const double *x, bfi_solver_result *result,
                           bf_error *err);

/* Keeps the first reason. */
void bfi_solver_reason(bfi_solver_result *result, const char *format, ...) BF_PRINTF(2, 3);

#endif
