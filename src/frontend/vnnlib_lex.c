#include "frontend/vnnlib_lex.h"

#include <stdio.h>
#include <string.h>

#include "base/status.h"

/* By character: what ends a word. */
static const bool ends_word[256] = {
    [' '] = true,  ['\n'] = true, ['('] = true,  [')'] = true,  ['\t'] = true,
    ['\r'] = true, [';'] = true,  ['\f'] = true, ['\v'] = true, ['"'] = true,
    ['['] = true,  [']'] = true,  [','] = true};

static bfi_vnnlib_token_kind kind_of(char c) {
    switch (c) {
        case '(':
            return BFI_VNNLIB_OPEN;
        case ')':
            return BFI_VNNLIB_CLOSE;
        case '[':
            return BFI_VNNLIB_LEFT;
        case ']':
            return BFI_VNNLIB_RIGHT;
        case ',':
            return BFI_VNNLIB_COMMA;
        case '"':
            return BFI_VNNLIB_STRING;
        default:
            return BFI_VNNLIB_WORD;
    }
}

/* The first character of |at| that is neither blank nor in a comment. */
static const char *skip_blanks(bfi_vnnlib_lexer *lexer, const char *at) {
    const char *end = lexer->end;
    for (; at < end; at++) {
        char c = *at;
        if (c == '\n') {
            lexer->line++;
        } else if (c == ';') {
            while (at + 1 < end && at[1] != '\n') at++;
        } else if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v') {
            break;
        }
    }
    return at;
}

/* Behind the closing quote; the end of the file where there is none. */
static const char *skip_string(bfi_vnnlib_lexer *lexer, const char *at) {
    for (; at < lexer->end && *at != '"'; at++) lexer->line += *at == '\n';
    return at < lexer->end ? at + 1 : at;
}

bfi_vnnlib_token bfi_vnnlib_next(bfi_vnnlib_lexer *lexer) {
    const char *at = skip_blanks(lexer, lexer->at), *end = lexer->end;
    bfi_vnnlib_token t = {BFI_VNNLIB_END, lexer->line, at, 0};
    if (at < end) {
        t.kind = kind_of(*at++);
        if (t.kind == BFI_VNNLIB_STRING) at = skip_string(lexer, at);
        if (t.kind == BFI_VNNLIB_WORD)
            while (at < end && !ends_word[(unsigned char)*at]) at++;
        t.length = (size_t)(at - t.text);
    }
    lexer->at = at;
    return t;
}

bfi_vnnlib_token bfi_vnnlib_peek(const bfi_vnnlib_lexer *lexer) {
    bfi_vnnlib_lexer copy = *lexer;
    return bfi_vnnlib_next(&copy);
}

bool bfi_vnnlib_is(const bfi_vnnlib_token *t, const char *word) {
    return t->kind == BFI_VNNLIB_WORD && strlen(word) == t->length &&
           memcmp(t->text, word, t->length) == 0;
}

bf_status bfi_vnnlib_fail_at(const bfi_vnnlib_lexer *lexer, bf_status code,
                             const bfi_vnnlib_token *t, const char *what) {
    char word[41];
    size_t shown = t->length < sizeof word - 1 ? t->length : sizeof word - 1;
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)t->text[i];
        word[i] = c >= 32 && c < 127 ? t->text[i] : '?';
    }
    word[shown] = '\0';
    if (t->kind == BFI_VNNLIB_END) strcpy(word, "the end of the file");
    return bfi_fail(lexer->err, code, "%s:%d: %s '%s%s'", lexer->name, t->line, what, word,
                    shown < t->length ? "..." : "");
}

bf_status bfi_vnnlib_fail_line(const bfi_vnnlib_lexer *lexer, bf_status code, int32_t line,
                               const char *what) {
    return bfi_fail(lexer->err, code, "%s:%d: %s", lexer->name, line, what);
}

bf_status bfi_vnnlib_fail_open(const bfi_vnnlib_lexer *lexer, int32_t opened) {
    return bfi_fail(
        lexer->err, BF_STATUS_PARSE,
        "%s:%d: the file ends inside the parenthesis opened at line %d; a ')' is missing",
        lexer->name, lexer->line, opened);
}

bf_status bfi_vnnlib_expect(bfi_vnnlib_lexer *lexer, bfi_vnnlib_token_kind kind, int32_t opened) {
    static const char *const wanted[] = {
        [BFI_VNNLIB_OPEN] = "expected '(' instead of",
        [BFI_VNNLIB_CLOSE] = "expected ')' instead of",
        [BFI_VNNLIB_LEFT] = "expected '[' instead of",
        [BFI_VNNLIB_RIGHT] = "expected ',' or ']' instead of",
    };
    bfi_vnnlib_token t = bfi_vnnlib_next(lexer);
    if (t.kind == kind) return BF_STATUS_OK;
    if (t.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(lexer, opened);
    return bfi_vnnlib_fail_at(lexer, BF_STATUS_PARSE, &t, wanted[kind]);
}

bf_status bfi_vnnlib_expect_word(bfi_vnnlib_lexer *lexer, const char *what, int32_t opened,
                                 bfi_vnnlib_token *out) {
    *out = bfi_vnnlib_next(lexer);
    if (out->kind == BFI_VNNLIB_WORD) return BF_STATUS_OK;
    if (out->kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(lexer, opened);
    return bfi_vnnlib_fail_at(lexer, BF_STATUS_PARSE, out, what);
}
