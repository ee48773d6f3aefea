/* The constraint store: all that is known of where a counterexample may be, for one disjunct of one
 * case of a property, in the form that every back end takes (verify/solver).
 *
 * A store is the network (the model as imported, never a rewritten one), an input box, intervals of
 * its layers, split constraints, output constraints and extra rows over the inputs. Everything in
 * it is a restriction that every counterexample of the disjunct inside the box and the splits
 * obeys, so a back end may use as much of it as it likes: whoever shows that nothing satisfies some
 * of it has refuted the disjunct there. encode.h turns it into linear rows and kinks.
 *
 * Plain data, owned by one thread at a time; what it points to is borrowed and has to live longer.
 */
#ifndef BFI_VERIFY_STORE_STORE_H
#define BFI_VERIFY_STORE_STORE_H

#include <stdbool.h>

#include "boundflow/bounds.h"
#include "boundflow/property.h"
#include "ir/graph.h"

/* A cut: a . x + constant <= 0 for every counterexample, x the inputs of the model. */
typedef struct bfi_constraints_row {
    const double *a; /* model inputs */
    double constant;
} bfi_constraints_row;

/* Number |element| of layer |layer| is at least (sign 1) or at most (sign -1) |point|. */
typedef struct bfi_constraints_split {
    int layer;
    int64_t element;
    int sign;
    double point;
} bfi_constraints_split;

typedef struct bfi_constraints {
    const bfi_graph *graph;
    bf_semantics semantics;
    const bf_case *c; /* whose disjunct it is */
    const bf_polytope *disjunct;
    double **lo, **hi; /* owned; by layer: intervals that hold for every input of the box (layer 0)
                          that satisfies the splits */
    bfi_constraints_split *splits; /* owned */
    size_t split_count, split_room;
    bfi_constraints_row *rows; /* owned, their coefficients are not */
    size_t row_count, row_room;
    bool empty; /* the splits or intervals contradict each other: nothing is left */
} bfi_constraints;

/* Disjunct |disjunct| of case |case_index| on |graph|, the case's box, nothing known of the layers
 * behind it (infinite intervals). On failure |store| is cleared. */
bf_status bfi_constraints_create(const bfi_graph *graph, const bf_property *property,
                                 int32_t case_index, int32_t disjunct, bf_semantics semantics,
                                 bfi_constraints *store, bf_error *err);
void bfi_constraints_clear(bfi_constraints *store);

/* Makes the intervals of a layer (0: the input box) the tighter of what they are and [lo, hi]. */
void bfi_constraints_tighten(bfi_constraints *store, int layer, const double *lo, const double *hi);

/* Adds a split; the interval of its number is clipped. */
bf_status bfi_constraints_add_split(bfi_constraints *store, bfi_constraints_split split,
                                    bf_error *err);

bf_status bfi_constraints_add_row(bfi_constraints *store, bfi_constraints_row row, bf_error *err);

#endif
