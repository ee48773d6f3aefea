#include <math.h>

#include "ir/evaluate.h"
#include "verify/bab/branch.h"
#include "verify/bab/view.h"

/* The chord stands for the line that the lane took; a relu's lower line, of whatever slope, touches
 * the function where its slope has been optimised. */
static double gap(const bfi_node_view *v, int64_t j, double lo, double hi) {
    double a = bfi_view_a(v, j), z = fmin(fmax(bfi_view_z(v, j), lo), hi);
    if (v->op->op == BFI_OP_RELU && a >= 0) return 0;
    double low = bfi_unary_value(v->op, lo), high = bfi_unary_value(v->op, hi);
    double chord = low + (high - low) * ((z - lo) / (hi - lo));
    return fabs(a * (chord - bfi_unary_value(v->op, z)));
}

const bfi_neuron_rule bfi_rule_gap = {"gap", gap};
