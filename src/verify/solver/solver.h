/* Deciding a leaf with a solver: linear programs and branch and bound over them (HiGHS), or exact
 * rational arithmetic (Z3), each over what a constraint store holds (verify/store/store.h).
 *
 * The libraries are opened when they are there; without one every answer is open, and its reason
 * says what is missing and how to get it. What a library says is never trusted: "refuted" from a
 * linear program is a bound computed here from its multipliers with outward rounding (Neumaier and
 * Shcherbina 2004, Safe bounds in linear and mixed-integer linear programming, Math. Program. 99),
 * a counterexample is evaluated again by check/witness.h. Only Z3's "unsat", which comes from exact
 * arithmetic on exactly the network's numbers, is taken as it is. */
#ifndef BFI_VERIFY_SOLVER_SOLVER_H
#define BFI_VERIFY_SOLVER_SOLVER_H

#include "boundflow/bounds.h"
#include "boundflow/property.h"
#include "check/witness.h"
#include "verify/store/store.h"

typedef enum bfi_solver_kind {
#define BF_SOLVER(KIND, name, library, functions, meaning) BFI_SOLVER_##KIND,
#include "verify/solver/solver.def"
} bfi_solver_kind;

/* "lp", "mip", "smt". */
const char *bfi_solver_name(bfi_solver_kind kind);

typedef struct bfi_solver_options {
    bfi_solver_kind kind;
    bf_options bounds;  /* of the hidden layers: method (CROWN at most), semantics, executor; the
                           rest  is chosen here */
    int64_t memory;     /* bytes of an encoding and its solver, about; 0: 1 GiB */
    int64_t most_nodes; /* linear programs of one search; 0: as many as it takes */
    int32_t most_steps; /* of the simplex method, in one program; 0: as many as it takes */
} bfi_solver_options;

/* What is asked: whether some input of the box that satisfies the splits is a counterexample. */
typedef struct bfi_leaf {
    int32_t case_index, disjunct;
    const double *lo, *hi; /* input box; NULL: the case's */
    const bf_plan *plan;   /* whose activations |splits| name; any plan of the model */
    const bf_split *splits;
    int64_t split_count;
    /* By layer of the model, as bf_workspace_box_layer has them: intervals that hold for all inputs
     * of the box that satisfy the splits; NULL, or NULL entries: not known. More are computed here.
     */
    const double *const *layer_lo, *const *layer_hi;
    const bfi_constraints_row *rows; /* cuts */
    int64_t row_count;
    double deadline; /* bf_clock() time; 0: none */
} bfi_leaf;

typedef enum bfi_solver_outcome {
    BFI_SOLVER_REFUTED, /* certified: no counterexample is there */
    BFI_SOLVER_FOUND, /* |witness| is filled; it has been checked (and may lie in another disjunct)
                       */
    BFI_SOLVER_OPEN   /* |reason| says why */
} bfi_solver_outcome;

typedef struct bfi_solver_result {
    bfi_solver_outcome outcome;
    bfi_witness witness;
    double lower;  /* certified: in every input of the leaf some row of the disjunct exceeds its
                      right  side by at least this; -inf: nothing is known */
    int64_t nodes; /* linear programs solved, or 1 */
    char reason[200];
} bfi_solver_result;

typedef struct bfi_solver bfi_solver;

/* |session|, |model| and |property| are borrowed. Does not fail for want of a library: then answers
 * are open. Belongs to one thread at a time. */
bf_status bfi_solver_create(bf_session *session, const bf_model *model, const bf_property *property,
                            const bfi_solver_options *options, bfi_solver **out, bf_error *err);
void bfi_solver_free(bfi_solver *solver);

/* NULL when the library is there, else what is missing and how to get it. */
const char *bfi_solver_missing(const bfi_solver *solver);

/* Decides |leaf|. BF_STATUS_TIMEOUT and BF_STATUS_CANCELLED leave |result| open with what is known.
 * The caller clears result->witness (bfi_witness_clear) when the outcome is BFI_SOLVER_FOUND. */
bf_status bfi_solver_decide(bfi_solver *solver, const bfi_leaf *leaf, bfi_solver_result *result,
                            bf_error *err);

#endif
