/* The functions of HiGHS that linear programs need, opened at run time. Prototypes as in its C
 * interface (highs.dev, interfaces/highs_c_api.h), version 1.7 or later, integers of 32 bits. */
#ifndef BFI_VERIFY_SOLVER_HIGHS_H
#define BFI_VERIFY_SOLVER_HIGHS_H

#include <stdint.h>

#include "base/dylib.h"

/* The callback gets a struct of results, not looked at, and one that begins with an int: not zero
 * asks to stop. */
typedef void (*bfi_highs_callback)(int type, const char *message, const void *out, void *in,
                                   void *user);

enum {
    BFI_HIGHS_ERROR = -1,
    BFI_HIGHS_ROWWISE = 2,
    BFI_HIGHS_MINIMISE = 1,
    BFI_HIGHS_SIMPLEX_INTERRUPT = 1, /* callback */
    BFI_HIGHS_OPTIMAL = 7,           /* of a model */
    BFI_HIGHS_INFEASIBLE = 8,
    BFI_HIGHS_STEPS_USED = 14 /* simplex_iteration_limit */
};

/* X(result, name after Highs_, arguments) */
#define BFI_HIGHS_FUNCTIONS(X)                                                                  \
    X(void *, create, (void))                                                                   \
    X(void, destroy, (void *highs))                                                             \
    X(int32_t, getSizeofHighsInt, (const void *highs))                                          \
    X(int32_t, run, (void *highs))                                                              \
    X(int32_t, passLp,                                                                          \
      (void *highs, int32_t cols, int32_t rows, int32_t entries, int32_t format, int32_t sense, \
       double offset, const double *cost, const double *lo, const double *hi,                   \
       const double *row_lo, const double *row_hi, const int32_t *start, const int32_t *index,  \
       const double *value))                                                                    \
    X(int32_t, setBoolOptionValue, (void *highs, const char *option, int32_t value))            \
    X(int32_t, setIntOptionValue, (void *highs, const char *option, int32_t value))             \
    X(int32_t, setDoubleOptionValue, (void *highs, const char *option, double value))           \
    X(int32_t, setStringOptionValue, (void *highs, const char *option, const char *value))      \
    X(int32_t, setCallback, (void *highs, bfi_highs_callback callback, void *user))             \
    X(int32_t, startCallback, (void *highs, int32_t type))                                      \
    X(double, getRunTime, (const void *highs))                                                  \
    X(int32_t, getModelStatus, (const void *highs))                                             \
    X(int32_t, getSolution,                                                                     \
      (const void *highs, double *col_value, double *col_dual, double *row_value,               \
       double *row_dual))                                                                       \
    X(int32_t, getDualRay, (const void *highs, int32_t *has, double *ray))                      \
    X(int32_t, changeColBounds, (void *highs, int32_t col, double lo, double hi))               \
    X(int32_t, changeRowBounds, (void *highs, int32_t row, double lo, double hi))               \
    X(int32_t, changeCoeff, (void *highs, int32_t row, int32_t col, double value))              \
    X(int32_t, clearSolver, (void *highs))                                                      \
    X(int32_t, addRow,                                                                          \
      (void *highs, double lo, double hi, int32_t entries, const int32_t *index,                \
       const double *value))

/* Nothing but function pointers, in the order of the list. */
typedef struct bfi_highs {
#define BFI_HIGHS_MEMBER(result, name, arguments) result(*name) arguments;
    BFI_HIGHS_FUNCTIONS(BFI_HIGHS_MEMBER)
#undef BFI_HIGHS_MEMBER
} bfi_highs;

/* Opens the library and fills |out|; the caller closes |lib| after the last call. */
bf_status bfi_highs_load(bfi_dylib *lib, bfi_highs *out, bf_error *err);

#endif
