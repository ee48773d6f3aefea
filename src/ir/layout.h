/* Layouts: how the elements of a value may lie in memory. A layout is a convention, not an op: it
 * changes no value, and arrays that nobody outside reads may have any. (A transpose is an op: it
 * changes which element is which.) */
#ifndef BFI_IR_LAYOUT_H
#define BFI_IR_LAYOUT_H

#include "ir/graph.h"

typedef enum bfi_layout {
    BFI_LAYOUT_FLAT,    /* row-major; axes have no further meaning */
    BFI_LAYOUT_NCHW,    /* images, channels before positions */
    BFI_LAYOUT_NHWC,    /* images, channels innermost */
    BFI_LAYOUT_BLOCKED, /* images, BFI_LAYOUT_BLOCK channels innermost */
    BFI_LAYOUT_LANES,   /* way back: coefficients [element][lane], a row of the bound per lane */
    BFI_LAYOUT_COUNT
} bfi_layout;

enum { BFI_LAYOUT_BLOCK = 8 };

const char *bfi_layout_name(bfi_layout layout);

typedef struct bfi_layout_entry {
    int value;
    const char *name;     /* of the node; lives as long as the graph */
    bfi_layout natural;   /* what the graph's own (row-major) order of this value is called */
    unsigned possible;    /* bit 1 << layout: layouts that its intervals may have */
    bfi_layout preferred; /* of its intervals */
    bool coefficients;    /* depends on the input: has coefficients, always BFI_LAYOUT_LANES */
    char reason[160];     /* for |preferred|, and for what is not possible */
} bfi_layout_entry;

typedef struct bfi_layout_report {
    bfi_layout_entry *entries; /* one per value of the graph */
    int count;
} bfi_layout_report;

/* Requires a valid graph. A window op's operands are NCHW; the tag spreads through elementwise ops
 * and, renamed, through transposes. Another layout is possible where no op beside window and
 * elementwise ops touches the value (a linear behind a flatten can permute its columns), and
 * nothing outside does. The caller clears the report. Fails only when memory is out. */
bf_status bfi_layout_analyse(const bfi_graph *graph, bfi_layout_report *report, bf_error *err);
void bfi_layout_report_clear(bfi_layout_report *report);

/* "nchw nhwc" for a set of layouts, into |buf|. */
const char *bfi_layout_set_text(unsigned set, char *buf, size_t size);

#endif
