/* Refuting the disjuncts of a property with certified bounds. */
#ifndef BFI_VERIFY_REFUTE_H
#define BFI_VERIFY_REFUTE_H

#include <stdbool.h>

#include "boundflow/bounds.h"
#include "boundflow/property.h"

/* What is known of one disjunct. It is refuted when some row's certified lower bound over the box
 * is above the row's right-hand side: then no input of the box reaches the polytope. */
typedef struct bfi_disjunct_state {
    bool refuted;
    double margin; /* best over rows of lower bound - right-hand side so far; -inf at first */
    bool rounding; /* without its error term some row's last bound would have been enough */
} bfi_disjunct_state;

typedef struct bfi_refuter bfi_refuter;

/* Plan and workspace for |options| and room for the rows of any case of |property|. */
bf_status bfi_refuter_create(bf_session *session, const bf_model *model,
                             const bf_property *property, const bf_options *options,
                             bfi_refuter **out, bf_error *err);
void bfi_refuter_free(bfi_refuter *refuter);
const bf_plan *bfi_refuter_plan(const bfi_refuter *refuter);
bf_workspace *bfi_refuter_workspace(const bfi_refuter *refuter);

/* Bounds the rows of the disjuncts of case |index| that are still open; |states| are those of the
 * case.
 * *|open| is the number left open. A timeout or stop is returned as such, the states stay valid. */
bf_status bfi_refuter_run(bfi_refuter *refuter, int32_t index, double deadline,
                          bfi_disjunct_state *states, int32_t *open, bf_error *err);

#endif
