#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the valid UTF-8 sequence at |p|, 0 when there is none (RFC 3629). */
static int utf8_length(const unsigned char *p) {
    int length = p[0] < 0x80                   ? 1
                 : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
                 : p[0] >= 0xE0 && p[0] < 0xF0 ? 3
                 : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                               : 0;
    for (int i = 1; i < length; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xED && p[1] >= 0xA0;
    bool beyond = p[0] == 0xF4 && p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

static void write_text(FILE *out, const char *text) {
    fputc('"', out);
    const unsigned char *p = (const unsigned char *)text;
    while (*p) {
        int length = utf8_length(p);
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7F)
            fprintf(out, "\\u%04x", *p);
        else if (length == 0)
            fputs("\\ufffd", out);
        else
            fwrite(p, 1, (size_t)length, out);
        p += length ? length : 1;
    }
    fputc('"', out);
}

void bfi_json_decimal(double value, char *text, int size) {
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, (size_t)size, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
}

static void write_number(FILE *out, double value) {
    if (isnan(value))
        fputs("null", out);
    else if (isinf(value))
        fputs(value > 0 ? "\"inf\"" : "\"-inf\"", out);
    else {
        char text[32];
        bfi_json_decimal(value, text, sizeof text);
        fputs(text, out);
    }
}

static void start(bfi_json *json, const char *key) {
    if (json->comma) fputs(", ", json->out);
    json->comma = true;
    if (key) {
        write_text(json->out, key);
        fputs(": ", json->out);
    }
}

void bfi_json_open(bfi_json *json, const char *key, char bracket) {
    start(json, key);
    fputc(bracket, json->out);
    json->comma = false;
}

void bfi_json_close(bfi_json *json, char bracket) {
    fputc(bracket, json->out);
    json->comma = true;
}

void bfi_json_string(bfi_json *json, const char *key, const char *text) {
    start(json, key);
    write_text(json->out, text);
}

void bfi_json_number(bfi_json *json, const char *key, double value) {
    start(json, key);
    write_number(json->out, value);
}

void bfi_json_integer(bfi_json *json, const char *key, int64_t value) {
    start(json, key);
    fprintf(json->out, "%lld", (long long)value);
}

void bfi_json_boolean(bfi_json *json, const char *key, bool value) {
    start(json, key);
    fputs(value ? "true" : "false", json->out);
}

void bfi_json_null(bfi_json *json, const char *key) {
    start(json, key);
    fputs("null", json->out);
}

void bfi_json_numbers(bfi_json *json, const char *key, const double *values, int64_t count) {
    if (!values) {
        bfi_json_null(json, key);
        return;
    }
    start(json, key);
    fputc('[', json->out);
    for (int64_t i = 0; i < count; i++) {
        if (i) fputs(", ", json->out);
        write_number(json->out, values[i]);
    }
    fputc(']', json->out);
}
