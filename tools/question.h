/* The question that `bound` asks: boxes of inputs and the rows to bound, read from the options. */
#ifndef BFI_TOOLS_QUESTION_H
#define BFI_TOOLS_QUESTION_H

#include "cli.h"

typedef struct bfi_question {
    double *lo, *hi; /* boxes x inputs */
    int64_t boxes;
    double *spec; /* rows x outputs; NULL: the outputs themselves */
    int64_t rows, inputs, outputs;
    int64_t label; /* of --margin, else -1 */
    char box[160]; /* where the box comes from, for people */
} bfi_question;

/* Exactly one of --center, --box and --vnnlib, at most one of --spec and --margin. */
bf_status bfi_question_check(const bfi_arguments *args, bf_error *err);

/* Reads boxes and rows for |model|: as many boxes as the files of --center and --box have along a
 * first axis. Centre plus or minus radius is taken outward (unless --rounding
 * nearest). Wrong sizes are BF_STATUS_SHAPE, with both numbers. Notes for the user go to stderr. */
bf_status bfi_question_read(const bfi_arguments *args, const bf_model *model,
                            bfi_question *question, bf_error *err);
void bfi_question_free(bfi_question *question);

/* Name of row |row|: "Y_0", "Y_3 - Y_0" or "C_0". */
void bfi_question_row_name(const bfi_question *question, int64_t row, char *name, int size);

#endif
