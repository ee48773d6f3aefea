/* Liveness and storage of a backward program's buffers.
 *
 * Requires emitted ops; provides first/last use, in-place aliases and offsets. Offset allocation is best
 * fit over decreasing size (as XNNPACK's and MLIR's planners), one arena per lane tile. */
#ifndef BFI_PLAN_STORAGE_H
#define BFI_PLAN_STORAGE_H

#include "ir/bound.h"

/* First and last use of every buffer. */
void bfi_pass_liveness(bfi_program *program);

/* In-place aliases where an op allows them and its operand dies there; then offsets and height. */
bf_status bfi_pass_reuse(bfi_program *program, bf_error *err);

#endif
