#include <math.h>

#include "ir/bound.h"
#include "ir/evaluate.h"
#include "verify/bab/branch.h"
#include "verify/bab/view.h"

/* The line that the lane took. For a function with slopes to choose the chord stands for it. */
static double line(const bfi_node_view *v, double a, double z, double lo, double hi) {
    if (bfi_slope_vectors(v->op) > 0) {
        double low = bfi_unary_value(v->op, lo), high = bfi_unary_value(v->op, hi);
        return low + (high - low) * ((z - lo) / (hi - lo));
    }
    bfi_lines l = bfi_unary_lines(v->op, v->dtype, false, lo, hi);
    return a >= 0 ? l.s_pos * z + l.t_pos : l.s_neg * z + l.t_neg;
}

/* A relu's lower line, of whatever slope, touches the function where its slope has been optimised.
 */
static double gap(const bfi_node_view *v, int64_t j, double lo, double hi) {
    double a = bfi_view_a(v, j), z = fmin(fmax(bfi_view_z(v, j), lo), hi);
    if (v->op->op == BFI_OP_RELU && a >= 0) return 0;
    return fabs(a * (line(v, a, z, lo, hi) - bfi_unary_value(v->op, z)));
}

const bfi_neuron_rule bfi_rule_gap = {"gap", gap};
