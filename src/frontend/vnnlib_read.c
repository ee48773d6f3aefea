#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/decimal.h"
#include "base/status.h"
#include "frontend/vnnlib.h"
#include "frontend/vnnlib_number.h"

#define TRY(expression)                                  \
    do {                                                 \
        bf_status try_status = (expression);             \
        if (try_status != BF_STATUS_OK) return try_status; \
    } while (0)

typedef enum token_kind { TOKEN_END, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_WORD } token_kind;

typedef struct token {
    token_kind kind;
    int32_t line;
    const char *text;
    size_t length;
} token;

/* Coefficient times variable; outputs have keys above all inputs'. */
typedef struct scratch_term {
    int64_t key;
    size_t position;
    bfi_number coef;
} scratch_term;

#define Y_KEY (INT64_C(1) << 32)

typedef struct parser {
    const char *at, *end;
    int32_t line;
    bfi_vnnlib_formula *f;
    scratch_term *terms; /* of the sum being read, a stack */
    size_t term_count, term_capacity;
    bf_error *err;
} parser;

/* A linear expression: the scratch terms from |first| on, and a constant. */
typedef struct sum {
    size_t first;
    bfi_number constant;
} sum;

typedef enum relation { LESS_EQUAL, LESS, GREATER_EQUAL, GREATER, EQUAL, NO_RELATION } relation;

bf_status bfi_vnnlib_reserve(void *items, size_t *capacity, size_t need, size_t size, bf_error *err) {
    void *block;
    memcpy(&block, items, sizeof block);
    if (!bfi_grow(&block, capacity, need, size)) return bfi_fail_memory(err);
    memcpy(items, &block, sizeof block);
    return BF_STATUS_OK;
}

/* ---- Words ---- */

static bool ends_word(char c) {
    return c == ' ' || c == '\n' || c == '(' || c == ')' || c == '\t' || c == '\r' || c == ';' ||
           c == '\f' || c == '\v' || c == '"';
}

static token next_token(parser *p) {
    const char *at = p->at, *end = p->end;
    while (at < end) {
        char c = *at;
        if (c == '\n') {
            p->line++;
        } else if (c == ';') {
            while (at < end && *at != '\n') at++;
            continue;
        } else if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v') {
            break;
        }
        at++;
    }
    token t = {TOKEN_END, p->line, at, 0};
    if (at < end) {
        t.kind = *at == '(' ? TOKEN_OPEN : *at == ')' ? TOKEN_CLOSE : TOKEN_WORD;
        at++;
        if (t.kind == TOKEN_WORD)
            while (at < end && !ends_word(*at)) at++;
        t.length = (size_t)(at - t.text);
    }
    p->at = at;
    return t;
}

static bool is_word(const token *t, const char *word) {
    return t->kind == TOKEN_WORD && strlen(word) == t->length &&
           memcmp(t->text, word, t->length) == 0;
}

/* "FILE:LINE: WHAT 'WORD'" with the word that is wrong, cut and made printable. */
static bf_status fail_at(parser *p, bf_status code, const token *t, const char *what) {
    char word[41];
    size_t shown = t->length < sizeof word - 1 ? t->length : sizeof word - 1;
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)t->text[i];
        word[i] = c >= 32 && c < 127 ? t->text[i] : '?';
    }
    word[shown] = '\0';
    if (t->kind == TOKEN_END) strcpy(word, "the end of the file");
    return bfi_fail(p->err, code, "%s:%d: %s '%s%s'", p->f->name, t->line, what, word,
                    shown < t->length ? "..." : "");
}

static bf_status fail_line(parser *p, bf_status code, int32_t line, const char *what) {
    return bfi_fail(p->err, code, "%s:%d: %s", p->f->name, line, what);
}

static bf_status fail_unbalanced(parser *p, int32_t opened) {
    return bfi_fail(p->err, BF_STATUS_PARSE,
                    "%s:%d: the file ends inside the parenthesis opened at line %d; a ')' is missing",
                    p->f->name, p->line, opened);
}

static bf_status expect(parser *p, token_kind kind, int32_t opened) {
    token t = next_token(p);
    if (t.kind == kind) return BF_STATUS_OK;
    if (t.kind == TOKEN_END) return fail_unbalanced(p, opened);
    return fail_at(p, BF_STATUS_PARSE, &t, kind == TOKEN_OPEN ? "expected '(' instead of"
                                                              : "expected ')' instead of");
}

/* X_i or Y_j; false when |t| has another form. |*index| saturates at INT32_MAX. */
static bool read_variable(const token *t, bool *output, int32_t *index) {
    if (t->kind != TOKEN_WORD || t->length < 3 || t->text[1] != '_') return false;
    if (t->text[0] != 'X' && t->text[0] != 'Y') return false;
    if (t->text[2] == '0' && t->length > 3) return false;
    int64_t value = 0;
    for (size_t i = 2; i < t->length; i++) {
        if (t->text[i] < '0' || t->text[i] > '9') return false;
        value = value * 10 + (t->text[i] - '0');
        if (value > INT32_MAX) value = INT32_MAX;
    }
    *output = t->text[0] == 'Y';
    *index = (int32_t)value;
    return true;
}

/* ---- Declarations ---- */

static bf_status declare_variable(parser *p, const token *t, bool output, int32_t index) {
    bfi_vnnlib_formula *f = p->f;
    int32_t **lines = output ? &f->y_lines : &f->x_lines;
    size_t *capacity = output ? &f->y_capacity : &f->x_capacity, old = *capacity;
    int32_t *highest = output ? &f->n_out : &f->n_in;
    /* Memory stays in proportion to the text: with 24 bytes or more for each declaration, what is
     * left cannot fill the gap below such an index. */
    if ((int64_t)index > *highest + (p->end - p->at) / 24 + 1)
        return fail_at(p, BF_STATUS_PARSE, t, "variables before this one are not declared:");
    if ((size_t)index >= old) {
        TRY(bfi_vnnlib_reserve(lines, capacity, (size_t)index + 1, sizeof **lines, p->err));
        memset(*lines + old, 0, (*capacity - old) * sizeof **lines);
    }
    if ((*lines)[index])
        return bfi_fail(p->err, BF_STATUS_PARSE, "%s:%d: %c_%d is declared twice, first at line %d",
                        f->name, t->line, output ? 'Y' : 'X', index, (*lines)[index]);
    (*lines)[index] = t->line;
    if (index >= *highest) *highest = index + 1;
    if (output) f->y_declared++;
    else f->x_declared++;
    return BF_STATUS_OK;
}

static bf_status read_declaration(parser *p, bool function, int32_t opened) {
    bool output;
    int32_t index;
    token name = next_token(p);
    if (name.kind == TOKEN_END) return fail_unbalanced(p, opened);
    if (!read_variable(&name, &output, &index))
        return fail_at(p, BF_STATUS_UNSUPPORTED, &name,
                       "variables are called X_0, X_1, ... and Y_0, Y_1, ..., not");
    if (function) {
        TRY(expect(p, TOKEN_OPEN, opened));
        TRY(expect(p, TOKEN_CLOSE, opened));
    }
    token type = next_token(p);
    if (type.kind == TOKEN_END) return fail_unbalanced(p, opened);
    if (!is_word(&type, "Real"))
        return fail_at(p, BF_STATUS_UNSUPPORTED, &type, "variables have the type Real, not");
    TRY(declare_variable(p, &name, output, index));
    return expect(p, TOKEN_CLOSE, opened);
}

static bf_status check_declarations(parser *p) {
    const bfi_vnnlib_formula *f = p->f;
    for (int side = 0; side < 2; side++) {
        const int32_t *lines = side ? f->y_lines : f->x_lines;
        int32_t n = side ? f->n_out : f->n_in, declared = side ? f->y_declared : f->x_declared;
        const char *kind = side ? "output" : "input";
        char letter = side ? 'Y' : 'X';
        if (n == 0)
            return bfi_fail(p->err, BF_STATUS_PARSE, "%s:%d: no %s is declared; expected "
                            "(declare-const %c_0 Real)", f->name, p->line, kind, letter);
        int32_t missing = 0;
        while (missing < n && lines[missing]) missing++;
        if (declared < n)
            return bfi_fail(p->err, BF_STATUS_PARSE, "%s:%d: %c_%d is declared, but %c_%d is not; "
                            "indices must have no gap", f->name, lines[n - 1], letter, n - 1, letter,
                            missing);
    }
    return BF_STATUS_OK;
}

/* ---- Linear expressions ---- */

static bf_status push_term(parser *p, int64_t key, bfi_number coef) {
    if (p->term_count == p->term_capacity)
        TRY(bfi_vnnlib_reserve(&p->terms, &p->term_capacity, p->term_count + 1, sizeof *p->terms,
                               p->err));
    p->terms[p->term_count] = (scratch_term){key, p->term_count, coef};
    p->term_count++;
    return BF_STATUS_OK;
}

static bf_status check_finite(parser *p, bfi_number a, int32_t line) {
    if (bfi_number_is_finite(a)) return BF_STATUS_OK;
    return fail_line(p, BF_STATUS_LIMIT, line, "a number is beyond the range of double");
}

static bf_status read_word(parser *p, const token *t, sum *out) {
    bool output;
    int32_t index;
    *out = (sum){p->term_count, bfi_number_exact(0)};
    if (read_variable(t, &output, &index)) {
        const int32_t *lines = output ? p->f->y_lines : p->f->x_lines;
        if (index >= (output ? p->f->n_out : p->f->n_in) || !lines[index])
            return fail_at(p, BF_STATUS_PARSE, t, "a variable that is not declared:");
        return push_term(p, output ? Y_KEY + index : index, bfi_number_exact(1));
    }
    bfi_number *c = &out->constant;
    if (!bfi_decimal_read(t->text, t->length, &c->lo, &c->hi, &c->near))
        return fail_at(p, BF_STATUS_PARSE, t, "expected a finite decimal number, X_i or Y_j instead of");
    if (!bfi_number_is_finite(*c))
        return fail_at(p, BF_STATUS_LIMIT, t, "a number beyond the range of double:");
    return BF_STATUS_OK;
}

static void negate_terms(parser *p, size_t first) {
    for (size_t i = first; i < p->term_count; i++)
        p->terms[i].coef = bfi_number_negate(p->terms[i].coef);
}

static bf_status scale_sum(parser *p, sum *s, bfi_number factor, int32_t line) {
    s->constant = bfi_number_multiply(s->constant, factor);
    TRY(check_finite(p, s->constant, line));
    for (size_t i = s->first; i < p->term_count; i++) {
        p->terms[i].coef = bfi_number_multiply(p->terms[i].coef, factor);
        TRY(check_finite(p, p->terms[i].coef, line));
    }
    return BF_STATUS_OK;
}

static bf_status read_operation(parser *p, const token *op, int depth, sum *out);

static bf_status read_sum(parser *p, const token *t, int depth, int32_t opened, sum *out) {
    if (t->kind == TOKEN_WORD) return read_word(p, t, out);
    if (t->kind == TOKEN_END) return fail_unbalanced(p, opened);
    if (t->kind == TOKEN_CLOSE)
        return fail_line(p, BF_STATUS_PARSE, t->line, "an operand is missing before ')'");
    if (depth >= BFI_VNNLIB_MAX_DEPTH)
        return fail_line(p, BF_STATUS_LIMIT, t->line, "more than 1000 nested parentheses");
    token op = next_token(p);
    if (op.kind == TOKEN_END) return fail_unbalanced(p, t->line);
    return read_operation(p, &op, depth + 1, out);
}

/* One more operand of + or - (|count| of them stand before it). */
static bf_status add_operand(parser *p, bool minus, int count, const sum *operand, sum *out,
                             int32_t line) {
    bfi_number c = operand->constant;
    if (minus && count > 0) {
        negate_terms(p, operand->first);
        c = bfi_number_negate(c);
    }
    out->constant = bfi_number_add(out->constant, c);
    return check_finite(p, out->constant, line);
}

/* One more operand of *: |factor| collects the constants, |out| the one that is none. */
static bf_status multiply_operand(parser *p, const sum *operand, bfi_number *factor, bool *linear,
                                  sum *out, const token *op) {
    if (p->term_count == operand->first) {
        *factor = bfi_number_multiply(*factor, operand->constant);
        return check_finite(p, *factor, op->line);
    }
    if (*linear)
        return fail_line(p, BF_STATUS_UNSUPPORTED, op->line,
                         "a product of variables; only linear constraints are read");
    *linear = true;
    *out = *operand;
    return BF_STATUS_OK;
}

static bf_status read_operation(parser *p, const token *op, int depth, sum *out) {
    bool times = is_word(op, "*"), minus = is_word(op, "-");
    if (!times && !minus && !is_word(op, "+"))
        return fail_at(p, BF_STATUS_UNSUPPORTED, op, "only + - * are read in a linear term, not");
    bfi_number factor = bfi_number_exact(1);
    bool linear = false;
    int count = 0;
    *out = (sum){p->term_count, bfi_number_exact(0)};
    for (token t = next_token(p); t.kind != TOKEN_CLOSE; t = next_token(p)) {
        sum operand;
        TRY(read_sum(p, &t, depth, op->line, &operand));
        if (times) TRY(multiply_operand(p, &operand, &factor, &linear, out, op));
        else TRY(add_operand(p, minus, count, &operand, out, op->line));
        if (count < 2) count++;
    }
    if (count == 0) return fail_at(p, BF_STATUS_PARSE, op, "no operand follows");
    if (times && linear) return scale_sum(p, out, factor, op->line);
    if (times) out->constant = factor;
    if (minus && count == 1) {
        negate_terms(p, out->first);
        out->constant = bfi_number_negate(out->constant);
    }
    return BF_STATUS_OK;
}

/* ---- Atoms ---- */

static bf_status push_node(parser *p, bfi_vnnlib_kind kind, int32_t line, int32_t first, int32_t *out) {
    bfi_vnnlib_formula *f = p->f;
    if (f->node_count == f->node_capacity)
        TRY(bfi_vnnlib_reserve(&f->nodes, &f->node_capacity, f->node_count + 1, sizeof *f->nodes,
                               p->err));
    f->nodes[f->node_count] = (bfi_vnnlib_node){kind, line, -1, first};
    *out = (int32_t)f->node_count++;
    return BF_STATUS_OK;
}

static int by_key(const void *a, const void *b) {
    const scratch_term *s = a, *t = b;
    if (s->key != t->key) return s->key < t->key ? -1 : 1;
    return s->position < t->position ? -1 : s->position > t->position;
}

/* Sorts the scratch terms by key, adds up equal variables and drops what cancels. */
static bf_status combine_terms(parser *p, int32_t line) {
    scratch_term *terms = p->terms;
    size_t count = p->term_count, kept = 0;
    if (count == 2 && terms[0].key > terms[1].key) {
        scratch_term swap = terms[0];
        terms[0] = terms[1];
        terms[1] = swap;
    } else if (count > 2) {
        qsort(terms, count, sizeof *terms, by_key);
    }
    for (size_t i = 0; i < count; kept++) {
        scratch_term t = terms[i++];
        for (; i < count && terms[i].key == t.key; i++) {
            t.coef = bfi_number_add(t.coef, terms[i].coef);
            TRY(check_finite(p, t.coef, line));
        }
        terms[kept] = t;
        if (bfi_number_is(t.coef, 0)) kept--;
    }
    p->term_count = kept;
    return BF_STATUS_OK;
}

/* Terms without variables: true or false, or too close to say. */
static bf_status add_constant(parser *p, bfi_number rhs, bool strict, int32_t line, int32_t *node) {
    if (strict ? rhs.lo > 0 : rhs.lo >= 0) return push_node(p, BFI_VNNLIB_AND, line, -1, node);
    if (strict ? rhs.hi <= 0 : rhs.hi < 0) return push_node(p, BFI_VNNLIB_OR, line, -1, node);
    return fail_line(p, BF_STATUS_UNSUPPORTED, line,
                     "a comparison without variables that double precision cannot decide");
}

/* coef * X_variable <= rhs. */
static bf_status add_bound(parser *p, int32_t variable, bfi_number coef, bfi_number rhs, bool strict,
                           int32_t line, int32_t *node) {
    bfi_vnnlib_formula *f = p->f;
    bfi_number q = bfi_number_divide(rhs, coef);
    TRY(check_finite(p, q, line));
    if (f->bound_count == f->bound_capacity)
        TRY(bfi_vnnlib_reserve(&f->bounds, &f->bound_capacity, f->bound_count + 1, sizeof *f->bounds,
                               p->err));
    bool upper = coef.lo > 0, open = strict && q.lo == q.hi;
    bfi_vnnlib_bound b = {variable, upper, open, (upper ? q.hi : q.lo) + 0.0,
                          (upper ? q.lo : q.hi) + 0.0};
    if (open) b.inner = nextafter(b.inner, upper ? -INFINITY : INFINITY);
    f->bounds[f->bound_count++] = b;
    return push_node(p, BFI_VNNLIB_BOUND, line, (int32_t)f->bound_count - 1, node);
}

static bf_term finished_term(const scratch_term *s) {
    double error = fmax(s->coef.hi - s->coef.near, s->coef.near - s->coef.lo);
    return (bf_term){(int32_t)(s->key & INT32_MAX), s->coef.near,
                     error > 0 ? nextafter(error, INFINITY) : 0};
}

static bf_status add_row(parser *p, bfi_number rhs, bool strict, int32_t line, int32_t *node) {
    bfi_vnnlib_formula *f = p->f;
    size_t n = p->term_count, y_first = 0;
    if (f->row_count == f->row_capacity)
        TRY(bfi_vnnlib_reserve(&f->rows, &f->row_capacity, f->row_count + 1, sizeof *f->rows, p->err));
    TRY(bfi_vnnlib_reserve(&f->terms, &f->term_capacity, f->term_count + n, sizeof *f->terms, p->err));
    while (y_first < n && p->terms[y_first].key < Y_KEY) y_first++;
    bfi_vnnlib_row row = {f->term_count, (int32_t)(n - y_first), (int32_t)y_first,
                          rhs.lo, rhs.hi,           strict};
    for (size_t i = 0; i < n; i++)
        f->terms[f->term_count++] = finished_term(&p->terms[(i + y_first) % n]);
    f->rows[f->row_count++] = row;
    return push_node(p, BFI_VNNLIB_ROW, line, (int32_t)f->row_count - 1, node);
}

/* The combined scratch terms <= rhs. */
static bf_status add_atom(parser *p, bfi_number rhs, bool strict, int32_t line, int32_t *node) {
    if (p->term_count == 0) return add_constant(p, rhs, strict, line, node);
    const scratch_term *t = p->terms;
    if (p->term_count == 1 && t->key < Y_KEY && (t->coef.lo > 0 || t->coef.hi < 0))
        return add_bound(p, (int32_t)t->key, t->coef, rhs, strict, line, node);
    return add_row(p, rhs, strict, line, node);
}

static relation relation_of(const token *t) {
    if (is_word(t, "<=")) return LESS_EQUAL;
    if (is_word(t, ">=")) return GREATER_EQUAL;
    if (is_word(t, "<")) return LESS;
    if (is_word(t, ">")) return GREATER;
    if (is_word(t, "=")) return EQUAL;
    return NO_RELATION;
}

static bf_status read_sides(parser *p, const token *op, int depth, sum *left, sum *right) {
    token t = next_token(p);
    TRY(read_sum(p, &t, depth, op->line, left));
    t = next_token(p);
    TRY(read_sum(p, &t, depth, op->line, right));
    t = next_token(p);
    if (t.kind == TOKEN_CLOSE) return BF_STATUS_OK;
    if (t.kind == TOKEN_END) return fail_unbalanced(p, op->line);
    return fail_at(p, BF_STATUS_UNSUPPORTED, &t, "a comparison takes two operands; found a third:");
}

static bf_status read_comparison(parser *p, const token *op, relation r, int depth, int32_t *node) {
    sum left, right;
    bool strict = r == LESS || r == GREATER;
    p->term_count = 0;
    TRY(read_sides(p, op, depth, &left, &right));
    negate_terms(p, right.first);
    bfi_number rhs = bfi_number_add(right.constant, bfi_number_negate(left.constant));
    TRY(check_finite(p, rhs, op->line));
    TRY(combine_terms(p, op->line));
    if (r == GREATER || r == GREATER_EQUAL) {
        negate_terms(p, 0);
        rhs = bfi_number_negate(rhs);
    }
    int32_t first;
    TRY(add_atom(p, rhs, strict, op->line, &first));
    *node = first;
    if (r != EQUAL) return BF_STATUS_OK;

    int32_t second;
    negate_terms(p, 0);
    TRY(add_atom(p, bfi_number_negate(rhs), false, op->line, &second));
    p->f->nodes[first].next = second;
    return push_node(p, BFI_VNNLIB_AND, op->line, first, node);
}

/* ---- Formulas and commands ---- */

/* The formula whose first token is |t|. */
static bf_status read_formula(parser *p, const token *t, int depth, int32_t opened, int32_t *node) {
    if (t->kind == TOKEN_END) return fail_unbalanced(p, opened);
    if (t->kind != TOKEN_OPEN)
        return fail_at(p, BF_STATUS_PARSE, t, "expected a comparison, (and ...) or (or ...) instead of");
    if (depth >= BFI_VNNLIB_MAX_DEPTH)
        return fail_line(p, BF_STATUS_LIMIT, t->line, "more than 1000 nested parentheses");
    token op = next_token(p);
    if (op.kind == TOKEN_END) return fail_unbalanced(p, t->line);
    relation r = relation_of(&op);
    if (r != NO_RELATION) return read_comparison(p, &op, r, depth + 1, node);
    bool is_and = is_word(&op, "and");
    if (!is_and && !is_word(&op, "or"))
        return fail_at(p, BF_STATUS_UNSUPPORTED, &op, "only and, or, <= >= < > = are read, not");

    int32_t first = -1, last = -1;
    for (token c = next_token(p); c.kind != TOKEN_CLOSE; c = next_token(p)) {
        int32_t child;
        TRY(read_formula(p, &c, depth + 1, t->line, &child));
        if (last < 0) first = child;
        else p->f->nodes[last].next = child;
        last = child;
    }
    if (first < 0) return fail_at(p, BF_STATUS_PARSE, &op, "no operand follows");
    return push_node(p, is_and ? BFI_VNNLIB_AND : BFI_VNNLIB_OR, op.line, first, node);
}

/* Commands of a solver script that say nothing about the property. */
static bool is_harmless(const token *t) {
    static const char *const names[] = {"set-logic", "set-info", "set-option", "check-sat",
                                        "get-model", "exit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is_word(t, names[i])) return true;
    return false;
}

static bf_status skip_command(parser *p, int32_t opened) {
    for (int64_t depth = 1; depth > 0;) {
        token t = next_token(p);
        if (t.kind == TOKEN_END) return fail_unbalanced(p, opened);
        if (t.kind == TOKEN_WORD && t.text[0] == '"') {
            for (p->at = t.text + 1; p->at < p->end && *p->at != '"'; p->at++)
                p->line += *p->at == '\n';
            if (p->at < p->end) p->at++;
        }
        depth += t.kind == TOKEN_OPEN;
        depth -= t.kind == TOKEN_CLOSE;
    }
    return BF_STATUS_OK;
}

static bf_status read_command(parser *p, int32_t opened, int32_t *last) {
    token name = next_token(p);
    if (name.kind == TOKEN_END) return fail_unbalanced(p, opened);
    if (is_word(&name, "declare-const")) return read_declaration(p, false, opened);
    if (is_word(&name, "declare-fun")) return read_declaration(p, true, opened);
    if (is_word(&name, "vnnlib-version"))
        return fail_line(p, BF_STATUS_UNSUPPORTED, name.line,
                         "VNN-LIB 2 is not read; use the 1.0 form of the property");
    if (is_harmless(&name)) return skip_command(p, opened);
    if (!is_word(&name, "assert"))
        return fail_at(p, BF_STATUS_UNSUPPORTED, &name,
                       "only declare-const, declare-fun and assert are read, not");
    int32_t node;
    token t = next_token(p);
    TRY(read_formula(p, &t, 1, opened, &node));
    if (*last < 0) p->f->root = node;
    else p->f->nodes[*last].next = node;
    *last = node;
    return expect(p, TOKEN_CLOSE, opened);
}

static bf_status read_commands(parser *p) {
    int32_t last = -1;
    for (token t = next_token(p); t.kind != TOKEN_END; t = next_token(p)) {
        if (t.kind == TOKEN_CLOSE)
            return fail_line(p, BF_STATUS_PARSE, t.line, "a ')' too many");
        if (t.kind == TOKEN_WORD)
            return fail_at(p, BF_STATUS_PARSE, &t, "expected '(' instead of");
        TRY(read_command(p, t.line, &last));
    }
    return check_declarations(p);
}

bf_status bfi_vnnlib_read(const char *text, size_t length, const char *name, bfi_vnnlib_formula *out,
                          bf_error *err) {
    out->name = name;
    out->root = -1;
    if (length > (size_t)BFI_VNNLIB_MAX_BYTES)
        return bfi_fail(err, BF_STATUS_LIMIT, "%s: a property of more than 1 GiB is not read", name);
    parser p = {.at = text, .end = text + length, .line = 1, .f = out, .err = err};
    bf_status status = read_commands(&p);
    free(p.terms);
    return status;
}

void bfi_vnnlib_formula_clear(bfi_vnnlib_formula *f) {
    free(f->x_lines);
    free(f->y_lines);
    free(f->nodes);
    free(f->bounds);
    free(f->rows);
    free(f->terms);
    *f = (bfi_vnnlib_formula){0};
}
