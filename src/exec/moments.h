/* Second-order terms on the way back: a lane holds, beside coefficients of values, those of the
 * products d_i d_j of the network's inputs (exec/forms.h). Products add to them; at the input,
 * planes that are below them take their place, chosen where the lane's functional is least.
 * Internal to exec/. */
#ifndef BFI_EXEC_MOMENTS_H
#define BFI_EXEC_MOMENTS_H

#include "exec/tile.h"

/* MOMENTS: out = b (or nothing) + sum over the product's elements of their coefficients times a. */
void bfi_moments_run(const bfi_tile *t, const bfi_back_op *op);

/* LINEARIZE: with slopes x / r and intercepts that planes have over |d_i| <= r_i,
 *
 *     s d_i d_j >= x (d_i / r_i +- d_j / r_j) - |s| r_i r_j    for |x| <= |s| r_i r_j (+- as s)
 *     s d_i^2   >= x d_i / r_i - x^2 / (4 s r_i^2)             for s >= 0
 *     s d_i^2   >= s r_i^2                                     for s <= 0,
 *
 * (McCormick's planes, mixed; tangents; a chord). The least value of what comes out is concave in
 * the x: they are improved one after the other, starting with none. */
void bfi_moments_linearize(const bfi_tile *t, const bfi_back_op *op);

#endif
