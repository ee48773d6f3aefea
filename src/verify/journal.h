/* What a running verification tells others: progress to a callback, checkpoints to a file. */
#ifndef BFI_VERIFY_JOURNAL_H
#define BFI_VERIFY_JOURNAL_H

#include "boundflow/verify.h"
#include "verify/attack/attack.h"
#include "verify/checkpoint.h"

typedef struct bfi_journal {
    const bf_verify_options *options;
    const bfi_ledger *ledger;
    const bfi_attack *attack; /* whose nearest point counts; NULL: none yet */
    double start, past;       /* clock; seconds spent before a checkpoint was resumed */
    double told;              /* when progress was told last */
    double told_best;
    const char *phase;
    char reason[160];
    bfi_search_progress search; /* of the search under way */
    int64_t nodes;              /* of searches that have ended */
    int64_t hidden_nodes;       /* likewise, of those for hidden bounds */
    int64_t bytes;              /* of the workspace in use, outside of searches */

    bfi_question_key key; /* of checkpoints */
    bool programs;        /* as a checkpoint says it */
    double kept, cost;    /* when the last one was written, and how long that took */
    bool kept_last;       /* the search has written one at its end, and nothing came after */
    int64_t checkpoints, checkpoint_bytes;
    bf_error problem; /* "": the last one was written */
} bfi_journal;

/* A phase begins, or goes on. */
void bfi_journal_phase(bfi_journal *journal, const char *phase);

/* Where the search is. */
void bfi_journal_search(bfi_journal *journal, const bfi_search_progress *progress);

/* The search has ended: its nodes count from now on. */
void bfi_journal_search_over(bfi_journal *journal);

/* Writes a checkpoint when one is due, or |now|; |mark| is NULL outside of searches. That none can
 * be written is told, and stops nothing. */
void bfi_journal_keep(bfi_journal *journal, const bfi_search_mark *mark, bool now);

#endif
