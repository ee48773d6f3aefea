/* Properties: what is to be refuted. Thread contract: immutable after creation, thread-safe to
 * read.
 *
 * A property is a list of cases. A case is an input box and a list of output polytopes
 * ("disjuncts"). A counterexample is an x in the box of some case and y = f(x) inside one of that
 * case's polytopes. The property is proved (verdict unsat) when no case has one; with no case at
 * all it is proved. */
#ifndef BOUNDFLOW_PROPERTY_H
#define BOUNDFLOW_PROPERTY_H

#include <stddef.h>
#include <stdint.h>

#include "boundflow/status.h"

/* One linear term |coef| * (input or output variable |index|). */
typedef struct bf_term {
    int32_t index;
    double coef;     /* nearest double of the written coefficient */
    double coef_err; /* >= |written - coef|; 0 when the decimal is exact */
} bf_term;

/* One half-space  sum(y_terms . y) + sum(x_terms . x) <= rhs  (or < when |strict|). */
typedef struct bf_halfspace {
    bf_term *y_terms;
    int32_t y_count;
    bf_term *x_terms; /* terms over inputs; only constraints that are no simple bounds */
    int32_t x_count;
    double rhs_lo, rhs_hi; /* outward enclosure of the written right-hand side */
    int strict;
} bf_halfspace;

/* Conjunction of half-spaces; with count 0 every output is a counterexample. */
typedef struct bf_polytope {
    bf_halfspace *rows;
    int32_t count;
} bf_polytope;

typedef struct bf_case {
    double *lo, *hi;             /* n_in each: outward conversion of the written decimals */
    double *lo_inner, *hi_inner; /* n_in each: inward conversion; a witness has to lie in here
                                    (or equal the nearest float where lo_inner > hi_inner) */
    bf_polytope *disjuncts;
    int32_t count;
} bf_case;

/* A tensor that a query of VNN-LIB 2 declares. Its elements, row-major, are the inputs (or outputs)
 * of the property from |first| on: declared tensors stand one behind the other. */
enum { BF_VARIABLE_RANK = 8 };
typedef enum bf_variable_role {
    BF_VARIABLE_INPUT,
    BF_VARIABLE_HIDDEN, /* no constraint mentions it */
    BF_VARIABLE_OUTPUT
} bf_variable_role;
typedef struct bf_variable {
    char *name;
    const char *type; /* "float32", "real" or "Real" */
    bf_variable_role role;
    int rank; /* 0: a scalar */
    int64_t shape[BF_VARIABLE_RANK];
    int64_t first, count;
} bf_variable;

typedef struct bf_property {
    int64_t n_in, n_out;
    bf_case *cases;
    int32_t count; /* 0 when the box of every disjunct is empty */
    char *source;  /* file name or "" */
    /* VNN-LIB 2 only; NULL and 0 else: */
    char *network;          /* the declared name */
    bf_variable *variables; /* inputs, hidden nodes, outputs */
    int32_t variable_count;
} bf_property;

/* Reads VNN-LIB (plain or .gz). 1.0: declare-const / declare-fun X_i, Y_j Real. 2.0, which begins
 * with vnnlib-version: one declare-network, elements as X[0,2]. Both: assert with nested and/or,
 * <= >= < > = == !=, linear terms with + - *; comments. a == b is two rows, a != b is
 * (or (< a b) (> a b)). Every input must be bounded on both sides in every case. Errors name file
 * and line. On success *|out| is owned by the caller. */
BF_API bf_status bf_property_load(const char *path, bf_property **out, bf_error *err);

/* The same from memory; |name| is used in messages. */
BF_API bf_status bf_property_parse(const char *text, size_t length, const char *name,
                                   bf_property **out, bf_error *err);

/* Frees a property that load or parse made, in one: its arrays share blocks (and disjuncts share
 * terms). */
BF_API void bf_property_free(bf_property *property);

#endif
