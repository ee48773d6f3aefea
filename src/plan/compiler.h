/* Kernels that are compiled for a plan's exact shapes. The plan says for which ops they are wanted;
 * who makes and loads them stands higher up (exec/tvm/) and implements what is declared here. */
#ifndef BFI_PLAN_COMPILER_H
#define BFI_PLAN_COMPILER_H

#include <stdbool.h>

#include "boundflow/bounds.h"

/* A loaded kernel, reference counted. */
typedef struct bfi_compiled bfi_compiled;

/* Compiled elementwise kernels of a plan, one for all shapes; NULL: none, the kernel table's runs.
 */
typedef struct bfi_elementwise {
    bfi_compiled *relax[16]; /* by bfi_relax_variant */
    bfi_compiled *relax_one[16];
    bfi_compiled *accumulate[2]; /* add, subtract */
} bfi_elementwise;

/* Which of bfi_relax's results are wanted, and whether all lanes share their parameters. */
static inline int bfi_relax_variant(bool out, bool t_sum, bool e_sum, bool shared) {
    return (out ? 1 : 0) | (t_sum ? 2 : 0) | (e_sum ? 4 : 0) | (shared ? 8 : 0);
}

/* Finds kernels for all lowerings of |plan| whose backend is BFI_BACKEND_TVM: fills kernel,
 * kernel_one, key and origin, and plan->elementwise. Where there is none, why says why. Kernels
 * that are not stored are compiled, by other processes; budget: the session's stop flag and
 * options.deadline. With |only_faster| nothing is compiled, and kernels are taken only where they
 * were measured to be faster than the kernel table's. Errors: the budget's, and memory. */
bf_status bfi_compiler_lower(bf_plan *plan, bool only_faster, bf_error *err);

/* Whether a plan of |session| fails where one op falls back. */
bool bfi_compiler_strict(const bf_session *session);

void bfi_compiled_release(bfi_compiled *kernel);

#endif
