/* declare-network of VNN-LIB 2: tensors, and references to their elements. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/vnnlib.h"

#define TRY BFI_VNNLIB_TRY

typedef bfi_vnnlib_token token;

static bool is_name(const token *t) {
    for (size_t i = 0; i < t->length; i++) {
        char c = t->text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '_'))) return false;
    }
    return true;
}

static bf_status read_name(bfi_vnnlib_lexer *lexer, int32_t opened, char **out) {
    token t;
    TRY(bfi_vnnlib_expect_word(lexer, "expected a name instead of", opened, &t));
    if (!is_name(&t))
        return bfi_vnnlib_fail_at(
            lexer, BF_STATUS_PARSE, &t,
            "names begin with a letter and have letters, digits and underscores, unlike");
    *out = bfi_strndup(t.text, t.length);
    return *out ? BF_STATUS_OK : bfi_fail_memory(lexer->err);
}

/* A whole number from |least| to 2^31-1. */
static bf_status read_count(bfi_vnnlib_lexer *lexer, int64_t least, int32_t opened, int64_t *out) {
    token t;
    TRY(bfi_vnnlib_expect_word(lexer, "expected a whole number instead of", opened, &t));
    int64_t value = 0;
    bool digits = true;
    for (size_t i = 0; i < t.length && digits && value <= INT32_MAX; i++) {
        digits = t.text[i] >= '0' && t.text[i] <= '9';
        value = value * 10 + (t.text[i] - '0');
    }
    if (!digits || value < least)
        return bfi_vnnlib_fail_at(lexer, BF_STATUS_PARSE, &t,
                                  least ? "a dimension is a whole number from 1 on, not"
                                        : "an index is a whole number from 0 on, not");
    if (value > INT32_MAX)
        return bfi_vnnlib_fail_at(lexer, BF_STATUS_LIMIT, &t, "more than 2^31-1:");
    *out = value;
    return BF_STATUS_OK;
}

/* "[", then numbers with commas between, then "]"; none at all when |empty| allows it. */
static bf_status read_counts(bfi_vnnlib_lexer *lexer, int64_t least, bool empty, int32_t opened,
                             int64_t *out, int *count) {
    TRY(bfi_vnnlib_expect(lexer, BFI_VNNLIB_LEFT, opened));
    *count = 0;
    if (empty && bfi_vnnlib_peek(lexer).kind == BFI_VNNLIB_RIGHT)
        return bfi_vnnlib_expect(lexer, BFI_VNNLIB_RIGHT, opened);
    for (;;) {
        if (*count == BF_VARIABLE_RANK)
            return bfi_vnnlib_fail_line(lexer, BF_STATUS_LIMIT, lexer->line,
                                        "a tensor of more than 8 dimensions");
        TRY(read_count(lexer, least, opened, &out[(*count)++]));
        if (bfi_vnnlib_peek(lexer).kind != BFI_VNNLIB_COMMA)
            return bfi_vnnlib_expect(lexer, BFI_VNNLIB_RIGHT, opened);
        bfi_vnnlib_next(lexer);
    }
}

/* The types whose meaning is met: real numbers, and any float32 evaluation (semantics). */
static bf_status read_type(bfi_vnnlib_lexer *lexer, int32_t opened, const char **out) {
    static const char *const types[] = {"real", "Real", "float32"};
    token t;
    TRY(bfi_vnnlib_expect_word(lexer, "expected a type instead of", opened, &t));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (bfi_vnnlib_is(&t, types[i])) *out = types[i];
    return *out ? BF_STATUS_OK
                : bfi_vnnlib_fail_at(lexer, BF_STATUS_UNSUPPORTED, &t,
                                     "variables of type float32 or real are read, not of type");
}

static bf_status check_new(const bfi_vnnlib_lexer *lexer, const bfi_vnnlib_formula *f,
                           const char *name, int32_t line) {
    if (strcmp(name, f->network) == 0)
        return bfi_fail(lexer->err, BF_STATUS_PARSE, "%s:%d: '%.80s' is the network's name, too",
                        lexer->name, line, name);
    for (size_t i = 0; i < f->tensor_count; i++)
        if (strcmp(f->tensors[i].variable.name, name) == 0)
            return bfi_fail(lexer->err, BF_STATUS_PARSE,
                            "%s:%d: '%.80s' is declared twice, first at line %d", lexer->name, line,
                            name, f->tensors[i].line);
    return BF_STATUS_OK;
}

/* Elements of |v|, which follow those of the declarations of its role before it. */
static bf_status place(const bfi_vnnlib_lexer *lexer, bfi_vnnlib_formula *f, bf_variable *v,
                       int32_t line) {
    int32_t none = 0;
    int32_t *total = v->role == BF_VARIABLE_INPUT    ? &f->n_in
                     : v->role == BF_VARIABLE_OUTPUT ? &f->n_out
                                                     : &none;
    v->count = 1;
    for (int i = 0; i < v->rank; i++)
        if (__builtin_mul_overflow(v->count, v->shape[i], &v->count) || v->count > INT32_MAX)
            v->count = INT64_C(1) + INT32_MAX;
    if (v->count > INT32_MAX - *total)
        return bfi_fail(lexer->err, BF_STATUS_LIMIT,
                        "%s:%d: more than 2^31-1 elements with those of '%.80s'", lexer->name, line,
                        v->name);
    v->first = *total;
    *total += (int32_t)v->count;
    return BF_STATUS_OK;
}

/* Behind "(declare-input": NAME TYPE [SHAPE]; a hidden one names its ONNX node. */
static bf_status read_tensor(bfi_vnnlib_lexer *lexer, bfi_vnnlib_formula *f, bf_variable_role role,
                             int32_t opened) {
    if (f->tensor_count == BFI_VNNLIB_MAX_TENSORS)
        return bfi_vnnlib_fail_line(lexer, BF_STATUS_LIMIT, opened,
                                    "more than 256 variables of a network");
    TRY(bfi_vnnlib_reserve(&f->tensors, &f->tensor_capacity, f->tensor_count + 1,
                           sizeof *f->tensors, lexer->err));
    char *name = NULL;
    TRY(read_name(lexer, opened, &name));
    bf_status status = check_new(lexer, f, name, opened);
    if (status != BF_STATUS_OK) {
        free(name);
        return status;
    }
    f->tensors[f->tensor_count++] = (bfi_vnnlib_tensor){{.name = name, .role = role}, opened};
    bf_variable *v = &f->tensors[f->tensor_count - 1].variable;
    TRY(read_type(lexer, opened, &v->type));
    TRY(read_counts(lexer, 1, true, opened, v->shape, &v->rank));
    TRY(place(lexer, f, v, opened));
    token t = bfi_vnnlib_next(lexer);
    if (role == BF_VARIABLE_HIDDEN && t.kind != BFI_VNNLIB_STRING)
        return bfi_vnnlib_fail_at(lexer, BF_STATUS_PARSE, &t,
                                  "expected the name of an ONNX node in quotes instead of");
    if (role == BF_VARIABLE_HIDDEN) t = bfi_vnnlib_next(lexer);
    if (bfi_vnnlib_is(&t, "initialized"))
        return bfi_vnnlib_fail_line(lexer, BF_STATUS_UNSUPPORTED, t.line,
                                    "inputs that have their value from the network's file: "
                                    "declare the others alone");
    if (t.kind == BFI_VNNLIB_CLOSE) return BF_STATUS_OK;
    if (t.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(lexer, opened);
    return bfi_vnnlib_fail_at(lexer, BF_STATUS_PARSE, &t, "expected ')' instead of");
}

/* One declaration inside declare-network, behind its parenthesis; inputs come first, outputs last.
 */
static bf_status read_part(bfi_vnnlib_lexer *lexer, bfi_vnnlib_formula *f, int32_t opened) {
    static const char *const words[] = {"declare-input", "declare-hidden", "declare-output"};
    token t;
    TRY(bfi_vnnlib_expect_word(lexer, "expected declare-input or declare-output instead of", opened,
                               &t));
    if (bfi_vnnlib_is(&t, "equal-to") || bfi_vnnlib_is(&t, "isomorphic-to"))
        return bfi_vnnlib_fail_at(lexer, BF_STATUS_UNSUPPORTED, &t,
                                  "a property of several networks; only those of one are read:");
    bf_variable_role last =
        f->tensor_count ? f->tensors[f->tensor_count - 1].variable.role : BF_VARIABLE_INPUT;
    for (int role = 0; role < 3; role++) {
        if (!bfi_vnnlib_is(&t, words[role])) continue;
        if (role < (int)last)
            return bfi_vnnlib_fail_at(
                lexer, BF_STATUS_PARSE, &t,
                "inputs are declared first, then hidden nodes, then outputs; out of order:");
        return read_tensor(lexer, f, (bf_variable_role)role, t.line);
    }
    return bfi_vnnlib_fail_at(
        lexer, BF_STATUS_UNSUPPORTED, &t,
        "only declare-input, declare-hidden and declare-output are read in a network, not");
}

bf_status bfi_vnnlib_read_network(bfi_vnnlib_lexer *lexer, bfi_vnnlib_formula *f, int32_t opened) {
    if (f->network)
        return bfi_vnnlib_fail_line(lexer, BF_STATUS_UNSUPPORTED, opened,
                                    "a second network; only properties of one network are read");
    TRY(read_name(lexer, opened, &f->network));
    token t = bfi_vnnlib_next(lexer);
    for (; t.kind == BFI_VNNLIB_OPEN; t = bfi_vnnlib_next(lexer)) TRY(read_part(lexer, f, t.line));
    if (t.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(lexer, opened);
    if (t.kind != BFI_VNNLIB_CLOSE)
        return bfi_vnnlib_fail_at(lexer, BF_STATUS_PARSE, &t, "expected '(' or ')' instead of");
    if (f->n_in > 0 && f->n_out > 0) return BF_STATUS_OK;
    return bfi_vnnlib_fail_line(
        lexer, BF_STATUS_PARSE, opened,
        f->n_in > 0 ? "the network declares no output" : "the network declares no input");
}

bf_status bfi_vnnlib_read_element(bfi_vnnlib_lexer *lexer, const bfi_vnnlib_formula *f,
                                  const token *name, bool *output, int32_t *index) {
    const bf_variable *v = NULL;
    for (size_t i = 0; i < f->tensor_count && !v; i++)
        if (bfi_vnnlib_is(name, f->tensors[i].variable.name)) v = &f->tensors[i].variable;
    if (!v)
        return bfi_vnnlib_fail_at(lexer, BF_STATUS_PARSE, name, "a variable that is not declared:");
    if (v->role == BF_VARIABLE_HIDDEN)
        return bfi_vnnlib_fail_at(lexer, BF_STATUS_UNSUPPORTED, name,
                                  "constraints on hidden nodes are not read:");
    int64_t at[BF_VARIABLE_RANK], element = 0;
    int count = 0;
    if (bfi_vnnlib_peek(lexer).kind == BFI_VNNLIB_LEFT)
        TRY(read_counts(lexer, 0, false, name->line, at, &count));
    if (count != v->rank)
        return bfi_fail(lexer->err, BF_STATUS_PARSE,
                        "%s:%d: '%.80s' has %d dimensions, but %d indices are given", lexer->name,
                        name->line, v->name, v->rank, count);
    for (int i = 0; i < count; i++) {
        if (at[i] >= v->shape[i])
            return bfi_fail(lexer->err, BF_STATUS_PARSE,
                            "%s:%d: index %lld of '%.80s' is outside dimension %d, which has %lld",
                            lexer->name, name->line, (long long)at[i], v->name, i,
                            (long long)v->shape[i]);
        element = element * v->shape[i] + at[i];
    }
    *output = v->role == BF_VARIABLE_OUTPUT;
    *index = (int32_t)(v->first + element);
    return BF_STATUS_OK;
}

int32_t bfi_vnnlib_input_name(const bfi_vnnlib_formula *f, int32_t input, char *text, size_t size) {
    if (!f->network) {
        snprintf(text, size, "X_%d", input);
        return f->x_lines[input];
    }
    const bfi_vnnlib_tensor *t = f->tensors;
    while (input >= t->variable.first + t->variable.count) t++;
    const bf_variable *v = &t->variable;
    int64_t rest = input - v->first, at[BF_VARIABLE_RANK];
    for (int i = v->rank - 1; i >= 0; i--) {
        at[i] = rest % v->shape[i];
        rest /= v->shape[i];
    }
    int used = snprintf(text, size, "%.80s", v->name);
    for (int i = 0; i < v->rank && used > 0 && (size_t)used < size; i++)
        used += snprintf(text + used, size - (size_t)used, "%c%lld%s", i ? ',' : '[',
                         (long long)at[i], i == v->rank - 1 ? "]" : "");
    return t->line;
}
