/* The functions of Z3 that the SMT back end needs, opened at run time. Prototypes as in its C
 * interface (z3_api.h), version 4.8 or later; its objects are pointers. */
#ifndef BFI_VERIFY_SOLVER_Z3_H
#define BFI_VERIFY_SOLVER_Z3_H

#include "base/dylib.h"

typedef void *bfi_z3;  /* context */
typedef void *bfi_z3o; /* any object of it */

enum { BFI_Z3_FALSE = -1, BFI_Z3_UNDEF = 0, BFI_Z3_TRUE = 1 };

/* X(result, name after Z3_, arguments) */
#define BFI_Z3_FUNCTIONS(X)                                                                   \
    X(void *, mk_config, (void))                                                              \
    X(bfi_z3, mk_context, (void *config))                                                     \
    X(void, set_error_handler, (bfi_z3 c, void (*handler)(bfi_z3 c, int code)))               \
    X(int, get_error_code, (bfi_z3 c))                                                        \
    X(bfi_z3o, mk_real_sort, (bfi_z3 c))                                                      \
    X(bfi_z3o, mk_int_symbol, (bfi_z3 c, int number))                                         \
    X(bfi_z3o, mk_string_symbol, (bfi_z3 c, const char *text))                                \
    X(bfi_z3o, mk_const, (bfi_z3 c, bfi_z3o symbol, bfi_z3o sort))                            \
    X(bfi_z3o, mk_numeral, (bfi_z3 c, const char *text, bfi_z3o sort))                        \
    X(bfi_z3o, mk_add, (bfi_z3 c, unsigned count, bfi_z3o const *terms))                      \
    X(bfi_z3o, mk_sub, (bfi_z3 c, unsigned count, bfi_z3o const *terms))                      \
    X(bfi_z3o, mk_mul, (bfi_z3 c, unsigned count, bfi_z3o const *terms))                      \
    X(bfi_z3o, mk_eq, (bfi_z3 c, bfi_z3o a, bfi_z3o b))                                       \
    X(bfi_z3o, mk_le, (bfi_z3 c, bfi_z3o a, bfi_z3o b))                                       \
    X(bfi_z3o, mk_lt, (bfi_z3 c, bfi_z3o a, bfi_z3o b))                                       \
    X(bfi_z3o, mk_ge, (bfi_z3 c, bfi_z3o a, bfi_z3o b))                                       \
    X(bfi_z3o, mk_ite, (bfi_z3 c, bfi_z3o condition, bfi_z3o yes, bfi_z3o no))                \
    X(bfi_z3o, mk_params, (bfi_z3 c))                                                         \
    X(void, params_inc_ref, (bfi_z3 c, bfi_z3o params))                                       \
    X(void, params_dec_ref, (bfi_z3 c, bfi_z3o params))                                       \
    X(void, params_set_uint, (bfi_z3 c, bfi_z3o params, bfi_z3o symbol, unsigned value))      \
    X(bfi_z3o, mk_solver, (bfi_z3 c))                                                         \
    X(void, solver_inc_ref, (bfi_z3 c, bfi_z3o solver))                                       \
    X(void, solver_set_params, (bfi_z3 c, bfi_z3o solver, bfi_z3o params))                    \
    X(void, solver_assert, (bfi_z3 c, bfi_z3o solver, bfi_z3o formula))                       \
    X(void, solver_push, (bfi_z3 c, bfi_z3o solver))                                          \
    X(void, solver_pop, (bfi_z3 c, bfi_z3o solver, unsigned levels))                          \
    X(int, solver_check, (bfi_z3 c, bfi_z3o solver))                                          \
    X(const char *, solver_get_reason_unknown, (bfi_z3 c, bfi_z3o solver))                    \
    X(bfi_z3o, solver_get_model, (bfi_z3 c, bfi_z3o solver))                                  \
    X(void, model_inc_ref, (bfi_z3 c, bfi_z3o model))                                         \
    X(void, model_dec_ref, (bfi_z3 c, bfi_z3o model))                                         \
    X(bool, model_eval, (bfi_z3 c, bfi_z3o model, bfi_z3o term, bool complete, bfi_z3o *out)) \
    X(double, get_numeral_double, (bfi_z3 c, bfi_z3o number))

/* Nothing but function pointers, in the order of the list. */
typedef struct bfi_z3_functions {
#define BFI_Z3_MEMBER(result, name, arguments) result(*name) arguments;
    BFI_Z3_FUNCTIONS(BFI_Z3_MEMBER)
#undef BFI_Z3_MEMBER
} bfi_z3_functions;

/* Opens the library and fills |out|; the caller closes |lib| after the last call. */
bf_status bfi_z3_load(bfi_dylib *lib, bfi_z3_functions *out, bf_error *err);

#endif
