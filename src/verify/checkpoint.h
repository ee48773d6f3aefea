/* Verifications in a file: what is refuted, what is certified of the rest, the nearest point, and
 * the search tree. A resumed verification ends with the verdict of one that was never stopped.
 *
 * A file is bound to the content of network and property and to the options that change numbers,
 * and is sealed (base/sealed.h): it is refused when any of these differ or a byte is damaged. What
 * a whole file says is refuted is not proved again: a verdict rests on it as it does on the program
 * itself. */
#ifndef BFI_VERIFY_CHECKPOINT_H
#define BFI_VERIFY_CHECKPOINT_H

#include "base/blake2b.h"
#include "boundflow/verify.h"
#include "verify/bab/search.h"
#include "verify/ledger.h"

#define BFI_CHECKPOINT_MAGIC "BFCHECK3"

/* What a file belongs to. */
typedef struct bfi_question_key {
    bfi_digest model, property, options;
} bfi_question_key;

/* Costs a pass over the weights, about 0.65 GB/s. */
bfi_question_key bfi_question_key_of(const bf_model *model, const bf_property *property,
                                     const bf_verify_options *options);

/* What is kept beside the ledger. */
typedef struct bfi_checkpoint {
    int64_t nodes;  /* of searches that have ended */
    double seconds; /* spent so far */
    double nearest; /* margin of |x|; +inf: there is none */
    double *x;      /* n_in */
    bool programs;  /* those for conjunctions have had their time */
    bool searching; /* |search| is filled: attack and bounds are over */
    bfi_search_mark search;
} bfi_checkpoint;

/* Puts a new file in the place of |path|, whole or not at all; *bytes is its size. */
bf_status bfi_checkpoint_write(const char *path, const bfi_question_key *key,
                               const bfi_ledger *ledger, const bfi_checkpoint *checkpoint,
                               int64_t *bytes, bf_error *err);

/* Fills |ledger| (as created) and |out|; the caller clears |out|. BF_STATUS_PARSE: damaged,
 * BF_STATUS_INVALID_ARGUMENT: of another question. */
bf_status bfi_checkpoint_read(const char *path, const bfi_question_key *key, bfi_ledger *ledger,
                              bfi_checkpoint *out, bf_error *err);
void bfi_checkpoint_clear(bfi_checkpoint *checkpoint);

#endif
