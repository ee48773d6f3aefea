/* Writes one JSON value (RFC 8259) on one line. Numbers are the shortest decimals that read back as
 * the same double; infinities, which JSON lacks, are the strings "inf" and "-inf", not-a-number is
 * null. */
#ifndef BFI_TOOLS_JSON_H
#define BFI_TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct bfi_json {
    FILE *out;
    bool comma; /* a value stands before, at this depth */
} bfi_json;

/* The shortest decimal that reads back as |value|; "inf", "-inf" or "nan". */
void bfi_json_decimal(double value, char *text, int size);

/* |key| is NULL inside arrays and at the top. */
void bfi_json_open(bfi_json *json, const char *key, char bracket);
void bfi_json_close(bfi_json *json, char bracket);
void bfi_json_string(bfi_json *json, const char *key, const char *text);
void bfi_json_number(bfi_json *json, const char *key, double value);
void bfi_json_integer(bfi_json *json, const char *key, int64_t value);
void bfi_json_boolean(bfi_json *json, const char *key, bool value);
void bfi_json_null(bfi_json *json, const char *key);

/* An array; null when |values| is NULL. */
void bfi_json_numbers(bfi_json *json, const char *key, const double *values, int64_t count);

#endif
