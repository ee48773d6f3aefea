/* A constraint store as linear rows and kinks over bounded columns: what every back end is built
 * on.
 *
 * Every counterexample that the store allows gives values to all columns that lie in their boxes
 * and satisfy all rows and kinks; the rows' numbers are exactly the network's, where something was
 * rounded (merged coefficients, derived weights, float32 execution) the row has a range for it. The
 * other way round, values of the columns that satisfy everything come from an input of the box,
 * but for those ranges and for *loose* columns: outputs of ops without rows or kinks, enclosed by
 * their interval alone.
 *
 * Only what the disjunct, the splits and the cuts depend on is encoded: stable neurons are rows,
 * copies share a column, inactive relus and what only they read are left out. */
#ifndef BFI_VERIFY_STORE_ENCODE_H
#define BFI_VERIFY_STORE_ENCODE_H

#include "verify/store/store.h"

/* out = slope[0] * in below zero, slope[1] * in above, up to |error|; in may be of either sign. */
typedef struct bfi_kink {
    int32_t in, out; /* columns */
    double slope[2];
    double error;
} bfi_kink;

static inline double bfi_kink_value(const bfi_kink *kink, double in) {
    return in * kink->slope[in >= 0];
}

typedef struct bfi_encoding {
    int32_t cols;
    double *lo, *hi;          /* of the columns, finite */
    int32_t *layer, *element; /* of the columns: whose number it is first, -1: an auxiliary one */
    size_t lo_room, hi_room, layer_room, element_room;
    int32_t *input; /* columns of the model's inputs, -1: without influence */

    /* Row r: row_lo[r] <= sum of value[e] * column index[e], e in [start[r], start[r + 1]) <=
     * row_hi[r]. A column occurs once. Either end may be infinite. */
    int64_t rows;
    int64_t *start;
    int32_t *index;
    double *value, *row_lo, *row_hi;
    size_t start_room, index_room, value_room, row_lo_room, row_hi_room;
    int64_t goal; /* the disjunct's rows are those from here on, sum <= row_hi; the others hold for
                     all inputs */

    bfi_kink *kinks;
    int32_t kink_count;
    size_t kink_room;

    int64_t loose;       /* columns */
    char loose_name[64]; /* of the first one's op and layer */
    bool empty;          /* as the store's */
} bfi_encoding;

/* Encodes |store|. BF_STATUS_LIMIT, with a message that says so, when it would take more than
 * |memory| bytes or a column has no finite interval; |out| is then cleared. */
bf_status bfi_encode(const bfi_constraints *store, int64_t memory, bfi_encoding *out,
                     bf_error *err);
void bfi_encoding_clear(bfi_encoding *encoding);

/* Largest magnitude in a column's box. */
static inline double bfi_encoding_magnitude(const bfi_encoding *e, int32_t col) {
    double a = e->lo[col] < 0 ? -e->lo[col] : e->lo[col];
    double b = e->hi[col] < 0 ? -e->hi[col] : e->hi[col];
    return a > b ? a : b;
}

/* The model's input at values |x| of the columns: inputs without influence in the middle of their
 * interval. */
void bfi_encoding_point(const bfi_constraints *store, const bfi_encoding *encoding, const double *x,
                        double *point);

#endif
