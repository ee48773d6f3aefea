/* The plot of a sweep: certified accuracy against radius, one line per method. */
#ifndef BFI_TOOLS_SWEEP_SVG_H
#define BFI_TOOLS_SWEEP_SVG_H

#include "sweep.h"

/* A stand-alone SVG 1.1 document that follows the reader's light or dark setting. Rows that are
 * open are left out of the shares, and the caption says so. The radii stand on a logarithmic axis
 * when they span a factor of 50 or more. */
void bfi_sweep_svg(const bfi_sweep *sweep, FILE *out);

#endif
