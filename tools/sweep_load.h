/* Reading what a sweep is about: radii, methods, inputs and labels. */
#ifndef BFI_TOOLS_SWEEP_LOAD_H
#define BFI_TOOLS_SWEEP_LOAD_H

#include "sweep.h"

/* Fills a zeroed sweep, but for the options, from the options of the command line; all rows are
 * open. What was read before an error is bfi_sweep_clear's. */
bf_status bfi_sweep_load(const bfi_arguments *args, bfi_sweep *sweep, bf_error *err);
void bfi_sweep_clear(bfi_sweep *sweep);

#endif
