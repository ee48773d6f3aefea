/* simplify: a smaller graph that is the same function.
 *
 * Requires a valid graph. Provides an equal one in which
 *   - a scale_shift (batch normalisation) that alone reads a linear, conv or conv_transpose is part
 * of its weights and bias; their derived numbers carry their errors (attrs.const_ulps, bias_error)
 *   - a linear that alone reads a linear is one with it, where the product of the matrices is exact
 *     in float64 and no larger work
 *   - nodes of constants alone are constants, where float64 gives them exactly
 *   - identities, chains of reshapes, of transposes, and dead nodes are gone.
 * Bounds stay equal but for rounding; merged linears can only tighten intervals. With
 * |float32_execution| what is executed does not change: nothing is folded that rounds. */
#ifndef BFI_PLAN_PASS_SIMPLIFY_H
#define BFI_PLAN_PASS_SIMPLIFY_H

#include "base/fp.h"
#include "plan/rewrite.h"

typedef struct bfi_simplify_options {
    bool float32_execution; /* options.semantics is BF_SEMANTICS_FLOAT32 */
    bfi_dtype dtype;        /* of the bounds: folded numbers must not leave its normal range */
    bool fold_scales, merge_linears, fold_constants; /* the rules that change numbers */
} bfi_simplify_options;

/* Real semantics, float32 bounds, every rule on. */
bfi_simplify_options bfi_simplify_options_default(void);

typedef struct bfi_simplify_report {
    int nodes_before, nodes_after;
    int folded_scales, merged_linears, folded_constants;
    /* |nodes_before| ids of values of the result that hold the same elements, -1: none. */
    int *value_of;
    bfi_pass_notes notes; /* what was done, and what was left alone with the reason */
} bfi_simplify_report;

/* |in| must outlive *|out| (numbers that did not change are borrowed). On success *|out| and what
 * |report| holds are the caller's. Fails only when memory is out. Thread-safe. */
bf_status bfi_pass_simplify(const bfi_graph *in, const bfi_simplify_options *options,
                            bfi_graph **out, bfi_simplify_report *report, bf_error *err);
void bfi_simplify_report_clear(bfi_simplify_report *report);

/* True when the axes of |x| longer than 1 keep their order under |perm|: a transpose that is a
 * reshape. */
bool bfi_perm_keeps_order(const bfi_shape *x, const int64_t *perm);

#endif
