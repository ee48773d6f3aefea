/* Balls as boxes, and the property that a counterexample in one refutes. */
#ifndef BFI_VERIFY_BALL_H
#define BFI_VERIFY_BALL_H

#include "boundflow/property.h"
#include "boundflow/radius.h"

/* BF_STATUS_INVALID_ARGUMENT, naming the input, where |ball| is not what radius.h says. */
bf_status bfi_ball_check(const bf_ball *ball, int64_t count, bf_error *err);

/* bf_ball_box of a ball that passed the check. */
void bfi_ball_box(const bf_ball *ball, int64_t count, double radius, double *lo, double *hi);

/* Radius at which the ball reaches |x|, rounded up; inf when none does (clip, scale 0). */
double bfi_ball_distance(const bf_ball *ball, int64_t count, const double *x);

/* One case: some other output is at least as large as |label|, within a ball. */
typedef struct bfi_ball_property {
    bf_property property;
    bf_case ball;
    double *numbers; /* of the box */
    bf_polytope *disjuncts;
    bf_halfspace *rows;
    bf_term *terms;
} bfi_ball_property;

bf_status bfi_ball_property_create(int64_t n_in, int64_t n_out, int64_t label,
                                   bfi_ball_property *out, bf_error *err);
void bfi_ball_property_clear(bfi_ball_property *p);
void bfi_ball_property_set(bfi_ball_property *p, const bf_ball *ball, double radius);

#endif
