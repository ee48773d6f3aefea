/* The linear relaxation of a kink over a box of its input: its two lines and the chord (Ehlers
 * 2017, arXiv:1705.01320). */
#ifndef BFI_VERIFY_SOLVER_TRIANGLE_H
#define BFI_VERIFY_SOLVER_TRIANGLE_H

#include "verify/store/encode.h"

enum { BFI_TRIANGLE_ROWS = 3 }; /* the line below zero, the line above, the chord */

/* lo <= out - slope in <= hi in every row; ends may be infinite. Holds exactly, rounding included.
 */
typedef struct bfi_triangle {
    double slope[BFI_TRIANGLE_ROWS], lo[BFI_TRIANGLE_ROWS], hi[BFI_TRIANGLE_ROWS];
} bfi_triangle;

/* Over |lo| <= in <= |hi|. Where that is on one side of zero that side's line has both ends, and
 * the chord none. */
bfi_triangle bfi_triangle_of(const bfi_kink *kink, double lo, double hi);

#endif
