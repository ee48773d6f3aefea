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

enum { BFI_REFUTER_CASES = 16 }; /* most cases of one run */

typedef struct bfi_refuter bfi_refuter;

/* Plan and workspace for |options| and room for the rows of any case of |property|. Cases are boxes
 * of one run, as many at a time as bfi_refuter_batch says (options.batch is chosen here). */
bf_status bfi_refuter_create(bf_session *session, const bf_model *model,
                             const bf_property *property, const bf_options *options,
                             bfi_refuter **out, bf_error *err);
void bfi_refuter_free(bfi_refuter *refuter);
const bf_plan *bfi_refuter_plan(const bfi_refuter *refuter);
bf_workspace *bfi_refuter_workspace(const bfi_refuter *refuter);

/* Most cases of one run of this refuter: 1 to BFI_REFUTER_CASES. */
int32_t bfi_refuter_batch(const bfi_refuter *refuter);

/* A case to refute, and what is known of its disjuncts. */
typedef struct bfi_refuter_case {
    int32_t index; /* in the property */
    bfi_disjunct_state *states;
    int32_t open; /* disjuncts left open by the run */
} bfi_refuter_case;

/* Bounds the rows of the open disjuncts of |count| cases. A timeout or stop is returned as such,
 * the states stay valid. What a case gets does not depend on the others. */
bf_status bfi_refuter_run(bfi_refuter *refuter, bfi_refuter_case *cases, int32_t count,
                          double deadline, bf_error *err);

#endif
