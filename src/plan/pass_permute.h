/* permute: transposes that are proved to move no number are folded away.
 *
 * Requires a valid graph. Provides an equal one, with as few transposes as these rules leave:
 *   - one that moves axes of length 1 only is a reshape; two in a row are one
 *   - one of a constant permutes the constant
 *   - downwards: through reshapes and elementwise ops (per-element constants are permuted; both
 *     operands of a binary op alike, or one of them constant) into the columns of linear layers,
 *     if every reader can take it
 *   - upwards: through the same unary ops into the rows and the bias of a linear layer, or a
 * constant A transpose says something about the function; a layout (ir/layout.h) says only how an
 * array lies. Values stay equal but for the order of sums, which float32 execution leaves open too:
 * the pass may run for every semantics. */
#ifndef BFI_PLAN_PASS_PERMUTE_H
#define BFI_PLAN_PASS_PERMUTE_H

#include "plan/rewrite.h"

typedef enum bfi_permute_mark {
    BFI_PERMUTE_FOLDED,  /* gone */
    BFI_PERMUTE_MOVABLE, /* could stand elsewhere, but nothing there takes it */
    BFI_PERMUTE_FIXED    /* stays where it is */
} bfi_permute_mark;

typedef struct bfi_permute_entry {
    int node; /* of the pass's input graph */
    bfi_permute_mark mark;
    char text[240]; /* "'name': reason" */
} bfi_permute_entry;

typedef struct bfi_permute_report {
    bfi_permute_entry *entries; /* one per transpose, in order */
    int count, folded;
    int *value_of; /* as in bfi_simplify_report */
} bfi_permute_report;

const char *bfi_permute_mark_name(bfi_permute_mark mark);

/* |in| must outlive *|out| (numbers that did not change are borrowed). On success *|out| and what
 * |report| holds are the caller's. Fails only when memory is out. Thread-safe. */
bf_status bfi_pass_permute(const bfi_graph *in, bfi_graph **out, bfi_permute_report *report,
                           bf_error *err);
void bfi_permute_report_clear(bfi_permute_report *report);

#endif
