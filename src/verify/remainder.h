/* What bounds leave open, decided by a solver: the open disjuncts of a case, one leaf each. */
#ifndef BFI_VERIFY_REMAINDER_H
#define BFI_VERIFY_REMAINDER_H

#include "verify/refute.h"
#include "verify/solver/solver.h"

/* Asks |solver| about every disjunct of case |case_index| that |states| leave open; those refuted
 * are marked there. |result| is refuted when all are, found as soon as one is, else open for the
 * reason of the first one that stayed so. Statuses as of bfi_solver_decide. */
bf_status bfi_remainder_case(bfi_solver *solver, const bf_property *property, int32_t case_index,
                             bfi_disjunct_state *states, double deadline, bfi_solver_result *result,
                             bf_error *err);

#endif
