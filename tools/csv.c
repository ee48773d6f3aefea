#include "csv.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

#define LARGEST ((size_t)1 << 28) /* bytes of a file */

/* Cuts the field at |*at| out of the text (in place) and moves |*at| behind its separator; true
 * when that was a comma. |*line| counts newlines inside quotes too. */
static bool cut_field(char **at, char **field, int *line) {
    char *p = *at, *to;
    while (*p == ' ' || *p == '\t') p++;
    *field = to = p;
    if (*p == '"') {
        for (p++; *p && !(*p == '"' && p[1] != '"'); p++) {
            if (*p == '"') p++;
            if (*p == '\n') (*line)++;
            *to++ = *p;
        }
        if (*p) p++;
        while (*p && *p != ',' && *p != '\n') p++;
    } else {
        while (*p && *p != ',' && *p != '\n') *to++ = *p++;
        while (to > *field && strchr(" \t\r", to[-1])) to--;
    }
    char separator = *p;
    *to = '\0';
    if (separator == '\n') (*line)++;
    *at = separator ? p + 1 : p;
    return separator == ',';
}

static bf_status split(bfi_csv *csv, bf_error *err) {
    size_t row_capacity = 0, rows = 0, field_capacity = 0, fields = 0;
    char *at = csv->text;
    int line = 1;
    while (*at) {
        bfi_csv_row row = {.line = line};
        size_t first = fields;
        bool more = true;
        while (more) {
            char *field;
            more = cut_field(&at, &field, &line);
            if (row.count == BFI_CSV_FIELDS) continue;
            if (!bfi_grow((void **)&csv->fields, &field_capacity, fields + 1, sizeof *csv->fields))
                return bfi_fail_memory(err);
            csv->fields[fields++] = field;
            row.count++;
        }
        if (row.count == 1 && !*csv->fields[first]) {
            fields = first;
            continue;
        }
        if (rows == INT_MAX ||
            !bfi_grow((void **)&csv->rows, &row_capacity, rows + 1, sizeof *csv->rows))
            return bfi_fail_memory(err);
        csv->rows[rows++] = row;
    }
    csv->count = (int)rows;
    return BF_STATUS_OK;
}

bf_status bfi_csv_read(const char *path, bfi_csv *csv, bf_error *err) {
    *csv = (bfi_csv){0};
    size_t size;
    bf_status status = bfi_file_read(path, LARGEST, &csv->text, &size, err);
    if (status == BF_STATUS_OK && strlen(csv->text) != size)
        status =
            bfi_fail(err, BF_STATUS_PARSE, "%s: not a text file: it has a zero byte at offset %zu",
                     path, strlen(csv->text));
    if (status == BF_STATUS_OK) status = split(csv, err);
    if (status != BF_STATUS_OK) {
        bfi_csv_free(csv);
        return status;
    }
    /* The list of fields moved while it grew: rows point into it only now. */
    char **next = csv->fields;
    for (int r = 0; r < csv->count; r++) {
        csv->rows[r].fields = next;
        next += csv->rows[r].count;
    }
    return BF_STATUS_OK;
}

void bfi_csv_free(bfi_csv *csv) {
    free(csv->rows);
    free(csv->fields);
    free(csv->text);
    *csv = (bfi_csv){0};
}

int bfi_csv_column(const bfi_csv *csv, const char *name) {
    if (csv->count == 0) return -1;
    for (int c = 0; c < csv->rows[0].count; c++)
        if (strcmp(csv->rows[0].fields[c], name) == 0) return c;
    return -1;
}

void bfi_csv_write(FILE *out, const char *text) {
    if (!text[strcspn(text, ",\"\r\n")]) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}
