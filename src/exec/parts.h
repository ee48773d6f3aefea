/* What relaxations multiply by zero: stably inactive neurons, whose coefficients are zero behind
 * them whatever they were before. Ops beside them leave those elements out, with the same bits.
 *
 * A list is what a plan keeps of a box (bfi_value_state.active): elements, their number first, and
 * behind them a byte for each element of the layer. Internal to exec/ and runtime/. */
#ifndef BFI_EXEC_PARTS_H
#define BFI_EXEC_PARTS_H

#include "exec/workspace.h"

/* A byte for each of the |n| elements of the layer: 1 when the list has it. */
static inline const uint8_t *bfi_list_bytes(const int32_t *list, int64_t n) {
    return (const uint8_t *)(list + 1 + n);
}
static inline uint8_t *bfi_list_mark(int32_t *list, int64_t n) { return (uint8_t *)(list + 1 + n); }

/* Elements of the interval of |value| in |box| that are other than zero. NULL: (nearly) all, or not
 * known. */
const int32_t *bfi_nonzero_elements(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                    int value);

/* Elements that op |index| of the program, a relaxation, keeps in |box|. NULL: (nearly) all, or not
 * known. */
const int32_t *bfi_kept_elements(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                 const bfi_program *program, int index);

/* The same of the relaxation whose result |buffer| is, when all that reads it leaves out the
 * others on a tile of |ls| lanes: products with one matrix, convolutions where that pays, and what
 * adds their errors. The relaxation takes these elements, and leaves the others as they were. */
const int32_t *bfi_active_elements(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                   const bfi_program *program, int buffer, int64_t ls);

/* The same of the relaxation that makes zeros of what it does not keep before anything else sees
 * |buffer|. */
const int32_t *bfi_wanted_elements(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                                   const bfi_program *program, int buffer);

/* The elements that a backward op reads other than zeros, and those that are asked for of its
 * result. NULL: all, or not known. */
typedef struct bfi_op_part {
    const int32_t *active, *wanted;
} bfi_op_part;

/* Of a product or a convolution, op |index|, on a tile of |ls| lanes. */
bfi_op_part bfi_op_part_of(const bf_plan *plan, const bf_workspace *ws, int64_t box,
                           const bfi_program *program, int index, int64_t ls);

/* Part of the work of that op which is left, of all its multiply-adds. */
double bfi_op_share(const bfi_program *program, int index, bfi_op_part part);

#endif
