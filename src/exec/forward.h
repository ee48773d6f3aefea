/* Forward (interval) transfer of one node, and the relaxation that its way back uses.
 *
 * Every function reads the intervals of the node's inputs in the workspace and fills the node's
 * state (bfi_value_state). With outward rounding the interval encloses the node's value for every
 * input of the box; e, own, e_box, e_sum and e_flat bound what rounding and float32 execution can
 * change on the way back (DESIGN.md 2.5): e[j]     per unit of |a_j| for the node's backward op:
 * product, bias dot, inexact weights, execution own[j]   the part of it that an exact unit
 * coefficient meets too (weights, execution) e_box[j] gamma * max(|lo_j|, |hi_j|) for
 * concretisation at this value e_sum[j] u * max(|lo_j|, |hi_j|) for one accumulation at this value
 *   e_flat   per lane: underflow */
#ifndef BFI_EXEC_FORWARD_H
#define BFI_EXEC_FORWARD_H

#include "exec/workspace.h"

/* |box|: which of the boxes in flight. Calls for different boxes may run at the same time. */

/* Copies the box into value 0, outward. */
void bfi_forward_input(const bf_plan *plan, bf_workspace *ws, int64_t box, const double *lo,
                       const double *hi);

/* Runs the forward transfer of node |id| > 0, with |worker|'s tile as scratch. */
void bfi_forward_node(const bf_plan *plan, bf_workspace *ws, int64_t box, int id, int worker);

/* To be called when the interval of value |id| is final: the numbers that depend on it. */
void bfi_forward_finish(const bf_plan *plan, bf_workspace *ws, int64_t box, int id);

/* Interval of a unary op over [lo, hi] in float64, outward when |outward|. */
void bfi_unary_interval(const bfi_node *node, bool outward, double lo, double hi, double *out_lo,
                        double *out_hi);

/* Lower line s_pos x + t_pos and upper line s_neg x + t_neg of |node| over [lo, hi], slopes
 * representable in |dtype|; outward: the lines are on their side of the function for every x in
 * [lo, hi]. */
typedef struct bfi_lines {
    double s_pos, t_pos, s_neg, t_neg;
} bfi_lines;
bfi_lines bfi_unary_lines(const bfi_node *node, bfi_dtype dtype, bool outward, double lo,
                          double hi);

/* Lines of a sigmoid or tanh |node| to choose from: line k touches it at one of evenly spaced
 * points of the range in which a tangent stays on its side (every line is certified as in
 * bfi_unary_lines). Any mixture of two neighbours is on its side too, so a number in [0, 1] chooses
 * a line: |lower| and |upper| are where to start. False when there is nothing to choose: all lines
 * are alike. */
typedef struct bfi_family {
    bfi_lines lines[BFI_FAMILY_SEGMENTS + 1];
    double lower, upper;
} bfi_family;
bool bfi_unary_family(const bfi_node *node, bfi_dtype dtype, bool outward, double lo, double hi,
                      bfi_family *out);

#endif
