/* Branching: what to cut next, and what a cut does to a box. */
#ifndef BFI_VERIFY_BAB_BRANCH_H
#define BFI_VERIFY_BAB_BRANCH_H

#include "verify/bab/tree.h"

/* Halves the coordinate whose width times |coefficient of the bound that has to rise| is largest
 * (widest when all coefficients vanish): ReluVal's "smear" with a linear bound's coefficients
 * (arXiv:1804.10829, section 4.3). False when no coordinate can be divided. */
bool bfi_branch_input(int64_t n, const double *lo, const double *hi, const double *functional,
                      bfi_decision *decision);

/* Applies an input cut to the box. */
void bfi_branch_apply(const bfi_cut *cut, double *lo, double *hi);

#endif
