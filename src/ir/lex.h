/* Tokens of `.bfir`. A lexer looks at one token at a time and never goes back; positions become
 * lines and columns (bytes, from 1) only when an error is told. */
#ifndef BFI_IR_LEX_H
#define BFI_IR_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Hands the first error on. */
#define TRY(call)                                          \
    do {                                                   \
        bf_status try_status = (call);                     \
        if (try_status != BF_STATUS_OK) return try_status; \
    } while (0)

typedef enum bfi_token {
    BFI_TOKEN_WORD,   /* letters, digits, _ */
    BFI_TOKEN_NUMBER, /* -1, 0.5, 0.1f, 0x1.8p-3, inf, -inf, nan */
    BFI_TOKEN_VALUE,  /* %12 */
    BFI_TOKEN_STRING, /* "...", with its quotes */
    BFI_TOKEN_MARK,   /* one of { } [ ] ( ) < > , : = .. -> */
    BFI_TOKEN_END,
    BFI_TOKEN_BAD /* see |problem| */
} bfi_token;

typedef struct bfi_lexer {
    const char *text, *name;
    size_t size;
    bf_error *err;
    bfi_token token;
    size_t at, length;   /* of the token in |text| */
    const char *problem; /* of a BAD token */
} bfi_lexer;

/* Looks at the first token. |text| and |name| must outlive the lexer. */
void bfi_lex_start(bfi_lexer *lexer, const char *text, size_t size, const char *name,
                   bf_error *err);
void bfi_lex_next(bfi_lexer *lexer);

/* The token is the word or mark |text|. */
bool bfi_lex_is(const bfi_lexer *lexer, const char *text);
/* The same; then it is passed. */
bool bfi_lex_accept(bfi_lexer *lexer, const char *text);
/* The same; else an error. */
bf_status bfi_lex_expect(bfi_lexer *lexer, const char *text);

/* "name:line:column: " and the message, for byte |at|. */
bf_status bfi_lex_fail(const bfi_lexer *lexer, size_t at, bf_status code, const char *fmt, ...)
    BF_PRINTF(4, 5);
/* "expected |what|, found ..." */
bf_status bfi_lex_expected(const bfi_lexer *lexer, const char *what);

/* These pass one token. |what| names it in errors. Integers lie in [lo, hi]. */
bf_status bfi_lex_integer(bfi_lexer *lexer, const char *what, int64_t lo, int64_t hi, int64_t *out);
bf_status bfi_lex_double(bfi_lexer *lexer, const char *what, double *out);
/* Value number in [0, count). */
bf_status bfi_lex_value(bfi_lexer *lexer, int count, int *out);
/* |letter| and a number in [0, count), such as b12: the name of a |what|. */
bf_status bfi_lex_label(bfi_lexer *lexer, char letter, const char *what, int64_t count, int *out);
/* The token is such a name. */
bool bfi_lex_at_label(const bfi_lexer *lexer, char letter);
/* Replaces *|out|; without quotes and escapes. */
bf_status bfi_lex_string(bfi_lexer *lexer, const char *what, char **out);

#endif
