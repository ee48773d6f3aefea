/* Words of a VNN-LIB file, and errors that name its lines. */
#ifndef BFI_FRONTEND_VNNLIB_LEX_H
#define BFI_FRONTEND_VNNLIB_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boundflow/status.h"

#define BFI_VNNLIB_TRY(expression)                         \
    do {                                                   \
        bf_status try_status = (expression);               \
        if (try_status != BF_STATUS_OK) return try_status; \
    } while (0)

typedef enum bfi_vnnlib_token_kind {
    BFI_VNNLIB_END,
    BFI_VNNLIB_OPEN,
    BFI_VNNLIB_CLOSE,
    BFI_VNNLIB_LEFT,  /* [ */
    BFI_VNNLIB_RIGHT, /* ] */
    BFI_VNNLIB_COMMA,
    BFI_VNNLIB_STRING, /* with its quotes */
    BFI_VNNLIB_WORD
} bfi_vnnlib_token_kind;

typedef struct bfi_vnnlib_token {
    bfi_vnnlib_token_kind kind;
    int32_t line;
    const char *text;
    size_t length;
} bfi_vnnlib_token;

typedef struct bfi_vnnlib_lexer {
    const char *at, *end;
    int32_t line;
    const char *name; /* of the file */
    bf_error *err;
} bfi_vnnlib_lexer;

bfi_vnnlib_token bfi_vnnlib_next(bfi_vnnlib_lexer *lexer);

/* The next token, which stays the next one. */
bfi_vnnlib_token bfi_vnnlib_peek(const bfi_vnnlib_lexer *lexer);

bool bfi_vnnlib_is(const bfi_vnnlib_token *token, const char *word);

/* "FILE:LINE: WHAT 'WORD'" with the word that is wrong, cut and made printable. */
bf_status bfi_vnnlib_fail_at(const bfi_vnnlib_lexer *lexer, bf_status code,
                             const bfi_vnnlib_token *token, const char *what);
bf_status bfi_vnnlib_fail_line(const bfi_vnnlib_lexer *lexer, bf_status code, int32_t line,
                               const char *what);
/* The file ends inside the parenthesis of line |opened|. */
bf_status bfi_vnnlib_fail_open(const bfi_vnnlib_lexer *lexer, int32_t opened);

/* Takes a token that must be a parenthesis or bracket of that kind. */
bf_status bfi_vnnlib_expect(bfi_vnnlib_lexer *lexer, bfi_vnnlib_token_kind kind, int32_t opened);

/* Takes a word, of whatever letters; |what| names it in the message. */
bf_status bfi_vnnlib_expect_word(bfi_vnnlib_lexer *lexer, const char *what, int32_t opened,
                                 bfi_vnnlib_token *out);

#endif
