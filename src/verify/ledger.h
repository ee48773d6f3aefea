/* What a verification has found out: of every disjunct of every case whether it is refuted, and by
 * how much at least. At any moment min over disjuncts of |margin| is a certified lower bound: no
 * input of the property comes nearer to a violation. */
#ifndef BFI_VERIFY_LEDGER_H
#define BFI_VERIFY_LEDGER_H

#include "verify/refute.h"

typedef struct bfi_ledger {
    const bf_property *property;
    bfi_disjunct_state *states; /* of all cases */
    int64_t *first;             /* first state of each case, and behind the last one */
    bool *done;                 /* case refuted */
    int64_t open_cases;
} bfi_ledger;

/* Nothing is refuted yet but cases without disjuncts. */
bf_status bfi_ledger_create(const bf_property *property, bfi_ledger *out, bf_error *err);
void bfi_ledger_clear(bfi_ledger *ledger);

/* Counts the open cases anew, after states have been changed. */
void bfi_ledger_count(bfi_ledger *ledger);

/* The case holds no counterexample. */
void bfi_ledger_close(bfi_ledger *ledger, int32_t case_index);

/* Worst margin of all disjuncts, or of the open ones; +inf when there are none. */
double bfi_ledger_bound(const bfi_ledger *ledger, bool open_only);

#endif
