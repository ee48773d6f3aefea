/* The linear domain (CROWN / DeepPoly) as a typed table of transfer rules that emit bound ops.
 *
 * Zhang et al. 2018 (arXiv:1811.00866), section 3; Singh et al. 2019 (DeepPoly). Every lane bounds
 * its functional from below; an upper bound of a row is the negated lower bound of the negated row.
 */
#ifndef BFI_DOMAIN_LINEAR_BACKWARD_H
#define BFI_DOMAIN_LINEAR_BACKWARD_H

#include "ir/bound.h"

/* Who has slopes of its own. */
typedef enum bfi_slopes { BFI_SLOPES_NONE, BFI_SLOPES_BY_LANE, BFI_SLOPES_SHARED } bfi_slopes;

typedef struct bfi_emit_options {
    bool spec;              /* rows of C at the output instead of neurons of |target| */
    bool stop_after_linear; /* IBP with a spec: cross one weighted op, then concretise */
    bool try_boxes;         /* concretise on hidden boxes on the way and keep the best */
    const bool *curved;     /* by node: products whose second-order terms are kept, as terms of the
                               network's input. NULL: none. Not with slopes */
    bfi_slopes slopes;      /* lower slopes are optimised: emit the adjoint pass too. A program
                               without any slope to choose comes out plain */
} bfi_emit_options;

/* True when the domain has a rule for |op|; false: the way back stops there on the node's interval.
 */
bool bfi_linear_has_rule(bfi_op op);

/* Emits the program that bounds |target| from its value back to the input. |program| is empty
 * before and has buffers without lifetimes or storage after. Fails only when memory is out. */
bf_status bfi_linear_emit(const bfi_graph *graph, int target, bfi_emit_options options,
                          bfi_program *program, bf_error *err);

#endif
