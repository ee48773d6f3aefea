#include <math.h>

#include "ir/evaluate.h"
#include "verify/bab/branch.h"
#include "verify/bab/view.h"

/* Largest distance between the function and its chord over [lo, hi]: exact for a relu, seen at a
 * few points otherwise. */
static double widest(const bfi_node *op, double lo, double hi) {
    double f = bfi_unary_value(op, lo), slope = (bfi_unary_value(op, hi) - f) / (hi - lo), most = 0;
    if (op->op == BFI_OP_RELU) return -lo * hi / (hi - lo);
    for (int i = 1; i < 8; i++) {
        double x = lo + (hi - lo) * i / 8;
        most = fmax(most, fabs(bfi_unary_value(op, x) - f - slope * (x - lo)));
    }
    return most;
}

static double intercept(const bfi_node_view *v, int64_t j, double lo, double hi) {
    double a = bfi_view_a(v, j);
    if (v->op->op == BFI_OP_RELU && a >= 0) return 0; /* its lower line has no intercept */
    return fabs(a) * widest(v->op, lo, hi);
}

static double babsr(const bfi_node_view *v, int64_t j, double lo, double hi) {
    if (v->op->op != BFI_OP_RELU) return intercept(v, j, lo, hi);
    double a = bfi_view_a(v, j), b = v->bias ? v->bias[j] : 0, slope = hi / (hi - lo);
    double bias = fmax(a * b * (slope - 1), a * b * slope);
    return fabs(bias + fmin(a, 0) * -lo * slope);
}

const bfi_neuron_rule bfi_rule_babsr = {"babsr", babsr};
const bfi_neuron_rule bfi_rule_intercept = {"intercept", intercept};
