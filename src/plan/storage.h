/* Storage: offsets in one arena, by best fit over decreasing size (as XNNPACK's and MLIR's
 * planners), and liveness and in-place reuse of a backward program's buffers. */
#ifndef BFI_PLAN_STORAGE_H
#define BFI_PLAN_STORAGE_H

#include "ir/bound.h"

/* Something that needs |size| units of an arena from time |first| to |last|, both included. */
typedef struct bfi_lifetime {
    int64_t size;
    int first, last;
    int64_t offset; /* provided */
} bfi_lifetime;

/* Places |items| so that no two that live at the same time overlap; *|height| is the arena's size.
 */
bf_status bfi_storage_place(bfi_lifetime *items, int count, int64_t *height, bf_error *err);

/* First and last use of every buffer. */
void bfi_pass_liveness(bfi_program *program);

/* Places the buffers of |program| (liveness and aliases stand) when buffer b takes size[b] elements
 * per lane: fills offset[b] and *|height|. An aliased buffer shares its operand's place; with
 * |windows| only where both are on the same one, which operands of sums, and of the adjoint pass,
 * need not be. */
bf_status bfi_program_place(const bfi_program *program, const int64_t *size, bool windows,
                            int64_t *offset, int64_t *height, bf_error *err);

/* Requires liveness; provides in-place aliases where an op allows them and its operand dies there,
 * then offsets and height. */
bf_status bfi_pass_reuse(bfi_program *program, bf_error *err);

#endif
