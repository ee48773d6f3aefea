#include "verify/remainder.h"

#include <math.h>
#include <stdio.h>

/* What the answer to disjunct |state| says of the whole. */
static void combine(const bfi_solver_result *answer, bfi_disjunct_state *state,
                    bfi_solver_result *result) {
    result->nodes += answer->nodes;
    if (answer->lower > state->margin) state->margin = answer->lower;
    if (answer->lower < result->lower) result->lower = answer->lower;
    if (answer->outcome == BFI_SOLVER_REFUTED) {
        state->refuted = true;
        return;
    }
    if (result->outcome == BFI_SOLVER_REFUTED)
        snprintf(result->reason, sizeof result->reason, "%s", answer->reason);
    result->outcome = answer->outcome;
    if (answer->outcome == BFI_SOLVER_FOUND) result->witness = answer->witness;
}

bf_status bfi_remainder_case(bfi_solver *solver, const bf_property *property, int32_t case_index,
                             bfi_disjunct_state *states, double deadline, bfi_solver_result *result,
                             bf_error *err) {
    const bf_case *c = &property->cases[case_index];
    bf_status status = BF_STATUS_OK;
    *result = (bfi_solver_result){.outcome = BFI_SOLVER_REFUTED, .lower = INFINITY};
    for (int32_t d = 0; d < c->count && status == BF_STATUS_OK; d++) {
        if (states[d].refuted || result->outcome == BFI_SOLVER_FOUND) continue;
        bfi_leaf leaf = {.case_index = case_index, .disjunct = d, .deadline = deadline};
        bfi_solver_result answer;
        status = bfi_solver_decide(solver, &leaf, &answer, err);
        combine(&answer, &states[d], result);
    }
    return status;
}
