/* Writes the body of a kernel as TIR, statement by statement: loops and branches are opened and
 * closed, everything between goes inside. Failures stick in the tvm and need no checks here.
 *
 * Index expressions are int64 and never negative where they are divided. Numbers are of the
 * kernel's dtype, scalars or vectors; |lanes| of a vector is 1 for a scalar. */
#ifndef TVMC_TIR_BUILDER_H
#define TVMC_TIR_BUILDER_H

#include "base/fp.h"
#include "tvm_library.h"

enum { TIR_DEPTH = 32, TIR_PARAMS = 24 };

typedef enum tir_loop_kind { TIR_SERIAL = 0, TIR_PARALLEL = 1, TIR_UNROLLED = 3 } tir_loop_kind;

/* An open loop (extent set), branch (condition set), or the function body. */
typedef struct tir_frame {
    size_t first; /* of its statements */
    tir_loop_kind kind;
    any var, low, extent, condition;
} tir_frame;

typedef struct tir {
    tvm *t;
    bfi_dtype dtype;
    any *statements;
    size_t count, capacity;
    tir_frame frames[TIR_DEPTH];
    int depth;
    any params[TIR_PARAMS];
    int param_count;
    any type_missing;
    any index_type, number_types[17]; /* by lanes */
    any call_op, id_fma, id_abs;
} tir;

/* Starts a function of the numbers |dtype|; objects belong to |t| until tvm_reset. */
void tir_begin(tir *b, tvm *t, bfi_dtype dtype);

/* The finished PrimFunc. Closes nothing by itself: all frames must be closed. |aliased|: outputs
 * may be inputs. Frees the builder's memory. */
any tir_finish(tir *b, bool aliased);

/* Function parameters, in order. */
any tir_param_array(tir *b, const char *name, any elements);
any tir_param_int(tir *b, const char *name);
/* An int that the shapes of arrays before it need: made now, a parameter when it is its turn. */
any tir_var(tir *b, const char *name);
void tir_param(tir *b, any var);

/* Indices. */
any tir_int(tir *b, int64_t value);
any tir_add(tir *b, any x, any y);
any tir_sub(tir *b, any x, any y);
any tir_mul(tir *b, any x, any y);
any tir_div(tir *b, any x, any y);
any tir_mod(tir *b, any x, any y);
any tir_min(tir *b, any x, any y);
any tir_max(tir *b, any x, any y);
any tir_add_int(tir *b, any x, int64_t y);
any tir_mul_int(tir *b, any x, int64_t y);
any tir_eq(tir *b, any x, any y);
any tir_lt(tir *b, any x, any y);
any tir_select(tir *b, any condition, any x, any y); /* numbers too */

/* Numbers. */
any tir_zero(tir *b, int lanes);
any tir_splat(tir *b, any scalar, int lanes);
any tir_sum(tir *b, any x, any y);
any tir_difference(tir *b, any x, any y);
any tir_product(tir *b, any x, any y);
any tir_fma(tir *b, any x, any y, any z, int lanes); /* x * y + z, one rounding */
any tir_abs(tir *b, any x, int lanes);
any tir_nonneg(tir *b, any x, int lanes); /* x >= 0, false for NaN */
any tir_greater(tir *b, any x, any y);
any tir_is_nan(tir *b, any x);
any tir_or(tir *b, any x, any y);
any tir_and(tir *b, any x, any y);
any tir_is_zero(tir *b, any x, int lanes);
any tir_not_zero(tir *b, any x); /* true for NaN; a scalar */

/* Arrays: |lanes| elements from |index| on. */
any tir_load(tir *b, any array, any index, int lanes);
void tir_store(tir *b, any array, any index, any value, int lanes);

/* Memory of the enclosing block: |count| vectors of |lanes|, and an index variable. Constant
 * positions end up in registers. */
any tir_local(tir *b, const char *name, int lanes, int64_t count);
any tir_local_index(tir *b, const char *name);
any tir_get(tir *b, any local, int64_t position);
void tir_set(tir *b, any local, int64_t position, any value);

/* Names a value, which is then computed once. */
any tir_let(tir *b, const char *name, any value); /* an index */
any tir_let_number(tir *b, const char *name, any value, int lanes);

/* Blocks. A loop's variable runs over [low, high). */
any tir_for(tir *b, const char *name, any low, any high, tir_loop_kind kind);
any tir_for_int(tir *b, const char *name, int64_t count);
void tir_if(tir *b, any condition);
void tir_end(tir *b);

#endif
