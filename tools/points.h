/* Inputs of a network, read from .npy files, and the numbers of options taken outward. */
#ifndef BFI_TOOLS_POINTS_H
#define BFI_TOOLS_POINTS_H

#include "cli.h"

typedef struct bfi_points {
    double *x;             /* [count][inputs], all finite */
    int64_t count, inputs; /* inputs: those of the network */
} bfi_points;

/* Reads a file that holds one input of |model| in any axes (|many| false), or any number of them
 * along the first axis; one input without that axis is one. BF_STATUS_SHAPE, with both shapes, when
 * the numbers do not fit or the axes come in another order than the network's. */
bf_status bfi_points_read(const char *path, const bf_model *model, bool many, bfi_points *out,
                          bf_error *err);
void bfi_points_free(bfi_points *points);

/* Both ends of word |word| of a REAL option as written; its nearest double twice when |outward| is
 * false. */
void bfi_points_enclose(const bfi_arguments *args, bfi_option option, int word, bool outward,
                        double *lo, double *hi);

/* --clip, never cut inward unless |outward| is false; infinite ends without the option. */
void bfi_points_clip(const bfi_arguments *args, bool outward, double *lo, double *hi);

/* |value| as a decimal of |digits| significant digits that reads as it, else one that is not above
 * it, or not below it. */
void bfi_points_below(double value, int digits, char *text, int size);
void bfi_points_above(double value, int digits, char *text, int size);

#endif
