/* Shared by the forward transfer files; see exec/forward.h. */
#ifndef BFI_EXEC_FORWARD_INTERNAL_H
#define BFI_EXEC_FORWARD_INTERNAL_H

#include "exec/dispatch.h"
#include "exec/forward.h"

/* One node's view of the workspace. */
typedef struct bfi_transfer {
    const bf_plan *plan;
    bf_workspace *ws;
    int64_t box;
    int id, worker;
    bfi_dispatch run; /* kernels of the node's lowering */
    const bfi_node *node;
    const bfi_node_constants *constants;
    const bfi_value_state *state;
    double u, eta; /* of the dtype */
    int64_t n;
} bfi_transfer;

/* Vectors of the box. */
static inline void *bfi_kept_numbers(const bfi_transfer *t, int64_t offset) {
    return bfi_ws_numbers(t->ws, t->box, offset);
}
static inline double *bfi_kept_doubles(const bfi_transfer *t, int64_t offset) {
    return bfi_ws_doubles(t->ws, t->box, offset);
}
static inline int32_t *bfi_kept_ints(const bfi_transfer *t, int64_t offset) {
    return bfi_ws_ints(t->ws, t->box, offset);
}
static inline const double *bfi_lo(const bfi_transfer *t, int value) {
    return bfi_kept_doubles(t, t->plan->state[value].lo);
}
static inline const double *bfi_hi(const bfi_transfer *t, int value) {
    return bfi_kept_doubles(t, t->plan->state[value].hi);
}
static inline double bfi_magnitude(double lo, double hi) {
    double a = fabs(lo), b = fabs(hi);
    return a > b || a != a ? a : b;
}

/* gamma of the roundings that element |j| passes in a dot product over the node's elements (bias,
 * intercepts, concretisation). Linear in the depth, so scaling by it stays an upper bound. */
static inline double bfi_dot_gamma(const bfi_transfer *t, int64_t j) {
    return t->plan->errors[t->id].gamma_unit * (double)bfi_term_depth(t->n, j);
}

/* Stores the interval [lo, hi] of element j, rounded to the dtype (outward unless nearest). */
void bfi_put_interval(const bfi_transfer *t, int64_t j, double lo, double hi);

/* Nonlinear classes. */
void bfi_forward_unary(const bfi_transfer *t);
void bfi_forward_nonlinear(const bfi_transfer *t);

#endif
