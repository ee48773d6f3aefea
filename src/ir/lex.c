#include "ir/lex.h"

#include <float.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/decimal.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

/* 0 to 15, or -1. */
static int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Byte |at|, or NUL behind the end (and for a NUL, which no token holds). */
static char peek(const bfi_lexer *l, size_t at) { return at < l->size ? l->text[at] : '\0'; }

bf_status bfi_lex_fail(const bfi_lexer *l, size_t at, bf_status code, const char *fmt, ...) {
    char what[400];
    size_t line = 1, start = 0;
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    for (size_t i = 0; i < at && i < l->size; i++)
        if (l->text[i] == '\n') line++, start = i + 1;
    return bfi_fail(l->err, code, "%.200s:%zu:%zu: %s", l->name, line, at - start + 1, what);
}

bf_status bfi_lex_expected(const bfi_lexer *l, const char *what) {
    char found[28];
    size_t n = l->length < 24 ? l->length : 24;
    if (l->token == BFI_TOKEN_BAD) return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "%s", l->problem);
    if (l->token == BFI_TOKEN_END)
        return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "expected %s, found the end of the text",
                            what);
    memcpy(found, l->text + l->at, n);
    memcpy(found + n, l->length > n ? "..." : "", l->length > n ? 4 : 1);
    return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "expected %s, found '%s'", what, found);
}

static void skip_blank(bfi_lexer *l) {
    for (; l->at < l->size; l->at++) {
        char c = l->text[l->at];
        if (c == ';' || c == '#')
            while (l->at + 1 < l->size && l->text[l->at + 1] != '\n') l->at++;
        else if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            return;
    }
}

static void set(bfi_lexer *l, bfi_token token, size_t end) {
    l->token = token;
    l->length = end - l->at;
}

static void bad(bfi_lexer *l, const char *problem) {
    set(l, BFI_TOKEN_BAD, l->at);
    l->problem = problem;
}

/* First byte behind the digits from |at| on. */
static size_t skip_digits(const bfi_lexer *l, size_t at, bool hex) {
    while (hex ? hex_digit(peek(l, at)) >= 0 : is_digit(peek(l, at))) at++;
    return at;
}

/* First byte behind an exponent marked |mark| or |other|, |at| when there is none. */
static size_t skip_exponent(const bfi_lexer *l, size_t at, char mark, char other) {
    if (peek(l, at) != mark && peek(l, at) != other) return at;
    size_t digits = at + 1;
    if (peek(l, digits) == '-' || peek(l, digits) == '+') digits++;
    return is_digit(peek(l, digits)) ? skip_digits(l, digits, false) : at;
}

/* A point belongs to the number unless it starts a "..". */
static size_t skip_fraction(const bfi_lexer *l, size_t at, bool hex) {
    bool point = peek(l, at) == '.' && peek(l, at + 1) != '.';
    return point ? skip_digits(l, at + 1, hex) : at;
}

static void lex_number(bfi_lexer *l) {
    size_t at = l->at + (peek(l, l->at) == '-');
    if (l->size - at >= 3 &&
        (memcmp(l->text + at, "inf", 3) == 0 || memcmp(l->text + at, "nan", 3) == 0)) {
        at += 3;
    } else if (peek(l, at) == '0' && peek(l, at + 1) == 'x') {
        at = skip_fraction(l, skip_digits(l, at + 2, true), true);
        at = skip_exponent(l, at, 'p', 'P');
    } else {
        size_t first = at;
        at = skip_fraction(l, skip_digits(l, at, false), false);
        if (at == first) {
            bad(l, "a '-' without a number");
            return;
        }
        at = skip_exponent(l, at, 'e', 'E');
        if (peek(l, at) == 'f') at++;
    }
    if (is_word(peek(l, at)))
        bad(l, "malformed number");
    else
        set(l, BFI_TOKEN_NUMBER, at);
}

static void lex_string(bfi_lexer *l) {
    for (size_t at = l->at + 1; at < l->size && l->text[at] != '\n'; at++) {
        if (l->text[at] == '"') {
            set(l, BFI_TOKEN_STRING, at + 1);
            return;
        }
        if (l->text[at] == '\\') at++;
    }
    bad(l, "the string has no closing quote on its line");
}

static void lex_word(bfi_lexer *l) {
    size_t at = l->at;
    while (is_word(peek(l, at))) at++;
    size_t length = at - l->at;
    bool number = length == 3 && (memcmp(l->text + l->at, "inf", 3) == 0 ||
                                  memcmp(l->text + l->at, "nan", 3) == 0);
    set(l, number ? BFI_TOKEN_NUMBER : BFI_TOKEN_WORD, at);
}

static void look(bfi_lexer *l) {
    skip_blank(l);
    char c = peek(l, l->at), next = peek(l, l->at + 1);
    if (l->at >= l->size) {
        set(l, BFI_TOKEN_END, l->at);
    } else if ((c == '-' && next == '>') || (c == '.' && next == '.')) {
        set(l, BFI_TOKEN_MARK, l->at + 2);
    } else if (is_digit(c) || c == '-' || c == '.') {
        lex_number(l);
    } else if (is_word(c)) {
        lex_word(l);
    } else if (c == '"') {
        lex_string(l);
    } else if (c == '%') {
        size_t end = skip_digits(l, l->at + 1, false);
        if (end == l->at + 1 || is_word(peek(l, end)))
            bad(l, "a value is written %0, %1, ...");
        else
            set(l, BFI_TOKEN_VALUE, end);
    } else if (c && strchr("{}[]()<>,:=", c)) {
        set(l, BFI_TOKEN_MARK, l->at + 1);
    } else {
        bad(l, "a character that has no meaning here");
    }
}

void bfi_lex_start(bfi_lexer *l, const char *text, size_t size, const char *name, bf_error *err) {
    *l = (bfi_lexer){.text = text, .name = name, .size = size, .err = err};
    look(l);
}

void bfi_lex_next(bfi_lexer *l) {
    if (l->token == BFI_TOKEN_BAD) return;
    l->at += l->length;
    look(l);
}

bool bfi_lex_is(const bfi_lexer *l, const char *text) {
    return (l->token == BFI_TOKEN_WORD || l->token == BFI_TOKEN_MARK) &&
           l->length == strlen(text) && memcmp(l->text + l->at, text, l->length) == 0;
}

bool bfi_lex_accept(bfi_lexer *l, const char *text) {
    if (!bfi_lex_is(l, text)) return false;
    bfi_lex_next(l);
    return true;
}

bf_status bfi_lex_expect(bfi_lexer *l, const char *text) {
    char what[32];
    if (bfi_lex_accept(l, text)) return BF_STATUS_OK;
    snprintf(what, sizeof what, "'%s'", text);
    return bfi_lex_expected(l, what);
}

/* False when |text| is not [-]digits. |*fits| tells whether int64 holds it in |*out|. */
static bool read_integer(const char *text, size_t length, int64_t *out, bool *fits) {
    bool negative = length > 0 && text[0] == '-';
    *out = 0;
    *fits = true;
    if (length == (size_t)negative) return false;
    for (size_t i = negative; i < length; i++) {
        if (!is_digit(text[i])) return false;
        int digit = text[i] - '0';
        if (*fits)
            *fits = bfi_mul_i64(*out, 10, out) &&
                    !__builtin_add_overflow(*out, negative ? -digit : digit, out);
    }
    return true;
}

bf_status bfi_lex_integer(bfi_lexer *l, const char *what, int64_t lo, int64_t hi, int64_t *out) {
    int64_t v;
    bool fits;
    if (l->token != BFI_TOKEN_NUMBER || !read_integer(l->text + l->at, l->length, &v, &fits))
        return bfi_lex_expected(l, what);
    if (!fits || v < lo || v > hi)
        return bfi_lex_fail(l, l->at, BF_STATUS_PARSE,
                            "%s is out of range: it must lie between %" PRId64 " and %" PRId64,
                            what, lo, hi);
    *out = v;
    bfi_lex_next(l);
    return BF_STATUS_OK;
}

/* 0x h.h p e, exactly; false when it is no double. The text is what lex_number let through. */
static bool read_hex(const char *text, size_t length, double *out) {
    uint64_t mantissa = 0;
    int64_t exponent = 0, written = 0;
    size_t i = 2;
    bool point = false, any = false, negative = false;
    for (; i < length && text[i] != 'p' && text[i] != 'P'; i++) {
        if (text[i] == '.') {
            point = true;
            continue;
        }
        if (mantissa >> 60) return false; /* more digits than a double has */
        mantissa = mantissa << 4 | (uint64_t)hex_digit(text[i]);
        exponent -= point ? 4 : 0;
        any = true;
    }
    if (i < length) i++;
    if (i < length && (text[i] == '+' || text[i] == '-')) negative = text[i++] == '-';
    for (; i < length; i++)
        if (written < 1000000) written = written * 10 + (text[i] - '0');
    exponent += negative ? -written : written;
    if (!any) return false;
    if (mantissa == 0) {
        *out = 0;
        return true;
    }
    while (!(mantissa & 1)) mantissa >>= 1, exponent++;
    if (mantissa >> 53 || exponent < -1074 || exponent > 1023) return false;
    *out = ldexp((double)mantissa, (int)exponent);
    return isfinite(*out);
}

/* The float nearest to a number between the neighbouring doubles |lo| and |hi| (or equal to both).
 * Where they round to different floats, one of them is the midpoint, and the number is not. */
static float nearest_float(double lo, double hi) {
    float down = (float)lo, up = (float)hi;
    if (down == up) return down;
    return lo == ((double)down + (double)up) / 2 ? up : down;
}

static bool read_decimal(const char *text, size_t length, double *out) {
    double lo, hi;
    bool single = length > 0 && text[length - 1] == 'f';
    if (!bfi_decimal_read(text, length - single, &lo, &hi, out) || !isfinite(*out)) return false;
    if (!single) return true;
    if (lo < -(double)FLT_MAX || hi > (double)FLT_MAX) return false;
    *out = (double)nearest_float(lo, hi);
    return true;
}

bf_status bfi_lex_double(bfi_lexer *l, const char *what, double *out) {
    const char *text = l->text + l->at;
    bool negative = l->length > 0 && text[0] == '-', fits = true;
    size_t length = l->length - negative;
    text += negative;
    if (l->token != BFI_TOKEN_NUMBER) return bfi_lex_expected(l, what);
    if (text[0] == 'i')
        *out = (double)INFINITY;
    else if (text[0] == 'n')
        *out = (double)NAN;
    else if (length > 1 && text[1] == 'x')
        fits = read_hex(text, length, out);
    else
        fits = read_decimal(text, length, out);
    if (!fits)
        return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "the number '%.*s%s' does not fit its type",
                            l->length < 40 ? (int)l->length : 40, l->text + l->at,
                            l->length < 40 ? "" : "...");
    if (negative) *out = -*out;
    bfi_lex_next(l);
    return BF_STATUS_OK;
}

bf_status bfi_lex_value(bfi_lexer *l, int count, int *out) {
    int64_t v;
    bool fits;
    if (l->token != BFI_TOKEN_VALUE || !read_integer(l->text + l->at + 1, l->length - 1, &v, &fits))
        return bfi_lex_expected(l, "a value such as %0");
    if (!fits || v >= count)
        return bfi_lex_fail(l, l->at, BF_STATUS_PARSE,
                            "value %.*s is not defined above: a value comes before its uses",
                            l->length < 24 ? (int)l->length : 24, l->text + l->at);
    *out = (int)v;
    bfi_lex_next(l);
    return BF_STATUS_OK;
}

bool bfi_lex_at_label(const bfi_lexer *l, char letter) {
    bool label = l->token == BFI_TOKEN_WORD && l->length > 1 && l->text[l->at] == letter;
    for (size_t i = 1; label && i < l->length; i++) label = is_digit(l->text[l->at + i]);
    return label;
}

bf_status bfi_lex_label(bfi_lexer *l, char letter, const char *what, int64_t count, int *out) {
    char expected[64];
    int64_t v = 0;
    snprintf(expected, sizeof expected, "a %s such as %c0", what, letter);
    if (!bfi_lex_at_label(l, letter)) return bfi_lex_expected(l, expected);
    for (size_t i = 1; i < l->length && v <= INT_MAX; i++) v = v * 10 + (l->text[l->at + i] - '0');
    if (v >= count)
        return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "%s %.*s is not declared above", what,
                            l->length < 24 ? (int)l->length : 24, l->text + l->at);
    *out = (int)v;
    bfi_lex_next(l);
    return BF_STATUS_OK;
}

/* The byte behind a backslash at |at|; |*length| of the escape, or -1 when it is none. */
static int unescape(const bfi_lexer *l, size_t at, size_t *length) {
    char c = peek(l, at + 1);
    *length = 2;
    if (c == '"' || c == '\\') return c;
    if (c == 'n') return '\n';
    if (c == 't') return '\t';
    int high = hex_digit(peek(l, at + 2)), low = hex_digit(peek(l, at + 3));
    if (c != 'x' || high < 0 || low < 0 || high + low == 0) return -1;
    *length = 4;
    return high * 16 + low;
}

bf_status bfi_lex_string(bfi_lexer *l, const char *what, char **out) {
    if (l->token != BFI_TOKEN_STRING) return bfi_lex_expected(l, what);
    char *copy = bfi_malloc(l->length, 1);
    if (!copy) return bfi_fail_memory(l->err);
    size_t used = 0, step, end = l->at + l->length - 1;
    for (size_t at = l->at + 1; at < end; at += step) {
        int c = (unsigned char)l->text[at];
        step = 1;
        if (c == '\\') c = unescape(l, at, &step);
        if (c <= 0) {
            free(copy);
            return bfi_lex_fail(
                l, at, BF_STATUS_PARSE,
                "strings hold no NUL; escapes are \\\" \\\\ \\n \\t \\x01 to \\xff");
        }
        copy[used++] = (char)c;
    }
    copy[used] = '\0';
    free(*out);
    *out = copy;
    bfi_lex_next(l);
    return BF_STATUS_OK;
}
