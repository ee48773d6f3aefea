/* A verdict in the form of VNN-COMP and of the VNN-LIB standard: the verdict's line, and for sat
 * the assignment. */
#ifndef BFI_TOOLS_ASSIGNMENT_H
#define BFI_TOOLS_ASSIGNMENT_H

#include <stdio.h>

#include "boundflow/verify.h"

/* The verdict's word. Queries of VNN-LIB 2 spell a timeout "timed-out", others "timeout". */
const char *bfi_assignment_verdict(const bf_property *property, bf_verdict verdict);

/* "sat\n((X_0 0.025)\n (X_1 0.975)\n ... (Y_0 -0.035))\n"; for a query of VNN-LIB 2 the inputs and
 * outputs as declared, "X float32 [1,2]\n0.025\n0.975\n...". 9 significant digits, which name each
 * float32 exactly. */
void bfi_assignment_write(FILE *out, const bf_property *property, const bf_verify_result *result);

/* Index of the case of |property| whose box the witness lies in; 0 when there is none. */
int bfi_assignment_case(const bf_property *property, const double *x);

#endif
