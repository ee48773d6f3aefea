/* The adjoint pass of a backward program: the gradient of a bound with respect to its slopes.
 *
 * A bound is a polynomial in the slopes, and linear in the coefficients that arrive at any one
 * activation. Reverse mode through the ops of a backward program is therefore a forward pass of
 * *values*: it starts with the corner of the box at which the functional was concretised, and takes
 * each activation's line as the lane took it. At an activation with coefficient a and incoming
 * value z the derivative of the bound by the lower slope is max(a, 0) z (Xu et al. 2021,
 * arXiv:2011.13824, optimise the same slopes by automatic differentiation). See
 * docs/design/alpha-crown.md. Where rows of a spec have slopes by lane, a last part goes on to the
 * outputs: the derivative by the weight of a row that the lane mixes is the row's value there. */
#ifndef BFI_DOMAIN_LINEAR_ADJOINT_H
#define BFI_DOMAIN_LINEAR_ADJOINT_H

#include "ir/bound.h"

/* Appends the adjoint pass to |program|, whose ops so far are slopes and backward ops of |graph|.
 * Fails only when memory is out. */
bf_status bfi_linear_emit_adjoint(const bfi_graph *graph, bfi_program *program, bf_error *err);

#endif
