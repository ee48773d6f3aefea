/* Windows of a max pooling, and the lines of their maxima where elements are split. */
#ifndef BFI_EXEC_POOL_LINES_H
#define BFI_EXEC_POOL_LINES_H

#include "boundflow/bounds.h"
#include "exec/forward.h"

/* The element of the input that tap |k| of output |j|'s window meets, and the output whose tap |k|
 * meets |element|; -1: there is none. */
int64_t bfi_pool_element(const bfi_window *window, int64_t j, int64_t k);
int64_t bfi_pool_output(const bfi_window *window, int64_t element, int64_t k);

/* What is known of a pooling's inputs: intervals, and what splits of some leave of them. */
typedef struct bfi_pool_ranges {
    const bfi_window *window;
    const double *lo, *hi;
    const bf_split *splits; /* of this value alone, by neuron */
    int32_t count;
} bfi_pool_ranges;

void bfi_pool_range(const bfi_pool_ranges *ranges, int64_t element, double *lo, double *hi);

/* The maximum lies between s_pos x[below] + t_pos and s_neg x[above] + t_neg: the element whose
 * lower end is largest, and the largest upper end, or that element too where no other can be
 * larger. */
typedef struct bfi_pool_lines {
    bfi_lines lines;
    int32_t below, above;
    double lo, hi; /* of the maximum */
    bool exact;    /* one element is the maximum */
} bfi_pool_lines;

bfi_pool_lines bfi_pool_lines_of(const bfi_pool_ranges *ranges, int64_t j);

#endif
