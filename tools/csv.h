/* Comma-separated values (RFC 4180: quotes, doubled quotes, CRLF), read whole. */
#ifndef BFI_TOOLS_CSV_H
#define BFI_TOOLS_CSV_H

#include <stdio.h>

#include "base/status.h"

#define BFI_CSV_FIELDS 64 /* fields of a line that are kept; later ones are dropped */

typedef struct bfi_csv_row {
    int line; /* in the file, from 1 */
    int count;
    char **fields; /* blanks around them removed */
} bfi_csv_row;

typedef struct bfi_csv {
    bfi_csv_row *rows; /* without empty lines */
    int count;
    char *text;
    char **fields;
} bfi_csv;

/* Reads |path| into |csv|; on failure |csv| is empty. Thread-compatible. */
bf_status bfi_csv_read(const char *path, bfi_csv *csv, bf_error *err);
void bfi_csv_free(bfi_csv *csv);

/* Column of the first row whose field is |name|; -1 when there is none. */
int bfi_csv_column(const bfi_csv *csv, const char *name);

/* Writes |text| as one field, quoted when it has to be. */
void bfi_csv_write(FILE *out, const char *text);

#endif
