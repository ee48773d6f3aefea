/* The rows of a sweep as a CSV file that grows, and that a later run continues. */
#ifndef BFI_TOOLS_SWEEP_CSV_H
#define BFI_TOOLS_SWEEP_CSV_H

#include "sweep.h"

enum { BFI_SWEEP_KEY = 16 }; /* digits */

typedef struct bfi_sweep_csv {
    const char *path;
    const bfi_sweep *sweep;
    FILE *out;
    char (*keys)[BFI_SWEEP_KEY + 1]; /* [method][input]: hash of all that decides its rows (network,
                                        options, input, label) but the radius */
    int64_t found;                   /* rows that the file had */
} bfi_sweep_csv;

/* Creates |path|, or reads the rows of |sweep| that it has, which are then not open any more, and
 * goes on behind them. A line cut short at the end (a process that was killed) is dropped. Errors:
 * BF_STATUS_PARSE where the file is none of these; BF_STATUS_INVALID_ARGUMENT where it is of
 * another network, input, label or options; BF_STATUS_IO where another process is writing it.
 * Nothing is written before all was checked. */
bf_status bfi_sweep_csv_open(const char *path, bfi_sweep *sweep, bfi_sweep_csv *csv, bf_error *err);

/* A bfi_sweep_row_done; |user| is the bfi_sweep_csv. Every row reaches the file at once. */
bf_status bfi_sweep_csv_row(void *user, int method, int64_t input, int radius, bf_error *err);

/* Takes a zeroed one. */
bf_status bfi_sweep_csv_close(bfi_sweep_csv *csv, bf_error *err);

#endif
