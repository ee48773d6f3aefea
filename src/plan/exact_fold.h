/* Constant folding that changes no number: values of nodes that depend on constants alone, when
 * float64 arithmetic gives them without rounding. */
#ifndef BFI_PLAN_EXACT_FOLD_H
#define BFI_PLAN_EXACT_FOLD_H

#include "ir/graph.h"

/* *|err| = |a + b - fl(a + b)|, exactly (Knuth's TwoSum; no overflow). */
static inline double bfi_two_sum(double a, double b, double *err) {
    double s = a + b, z = s - a, e = (a - (s - z)) + (b - z);
    *err = e < 0 ? -e : e;
    return s;
}

/* *|err| >= |a * b - fl(a * b)|: exact, but for products that (nearly) underflow. */
double bfi_two_product(double a, double b, double *err);

/* The value of node |id|, all of whose inputs are CONST, as a malloc'ed array; *|data| is NULL when
 * its op is not folded or a result is not exact. With |copies_only| just ops that copy or choose
 * elements count: float32 execution does not round them either. Fails only when memory is out. */
bf_status bfi_fold_exactly(const bfi_graph *graph, int id, bool copies_only, double **data,
                           bf_error *err);

#endif
