#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/decimal.h"
#include "base/status.h"
#include "frontend/vnnlib.h"
#include "frontend/vnnlib_number.h"

#define TRY BFI_VNNLIB_TRY

typedef bfi_vnnlib_token token;

/* Coefficient times variable; outputs have keys above all inputs'. */
typedef struct scratch_term {
    int64_t key;
    size_t position;
    bfi_number coef;
} scratch_term;

#define Y_KEY (INT64_C(1) << 32)

typedef struct parser {
    bfi_vnnlib_lexer lex;
    bfi_vnnlib_formula *f;
    scratch_term *terms; /* of the sum being read, a stack */
    size_t term_count, term_capacity;
    int version;      /* of VNN-LIB: 1 or 2 */
    int64_t commands; /* read so far, the current one with them */
    bf_error *err;
} parser;

/* A linear expression: the scratch terms from |first| on, and a constant. */
typedef struct sum {
    size_t first;
    bfi_number constant;
} sum;

typedef enum relation {
    LESS_EQUAL,
    LESS,
    GREATER_EQUAL,
    GREATER,
    EQUAL,
    UNEQUAL,
    NO_RELATION
} relation;

bf_status bfi_vnnlib_reserve(void *items, size_t *capacity, size_t need, size_t size,
                             bf_error *err) {
    void *block;
    memcpy(&block, items, sizeof block);
    if (!bfi_grow(&block, capacity, need, size)) return bfi_fail_memory(err);
    memcpy(items, &block, sizeof block);
    return BF_STATUS_OK;
}

/* ---- Declarations ---- */

/* X_i or Y_j; false when |t| has another form. |*index| saturates at INT32_MAX. */
static bool read_variable(const token *t, bool *output, int32_t *index) {
    if (t->kind != BFI_VNNLIB_WORD || t->length < 3 || t->text[1] != '_') return false;
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

static bf_status declare_variable(parser *p, const token *t, bool output, int32_t index) {
    bfi_vnnlib_formula *f = p->f;
    int32_t **lines = output ? &f->y_lines : &f->x_lines;
    size_t *capacity = output ? &f->y_capacity : &f->x_capacity, old = *capacity;
    int32_t *highest = output ? &f->n_out : &f->n_in;
    /* Memory stays in proportion to the text: with 24 bytes or more for each declaration, what is
     * left cannot fill the gap below such an index. */
    if ((int64_t)index > *highest + (p->lex.end - p->lex.at) / 24 + 1)
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_PARSE, t,
                                  "variables before this one are not declared:");
    if ((size_t)index >= old) {
        TRY(bfi_vnnlib_reserve(lines, capacity, (size_t)index + 1, sizeof **lines, p->err));
        memset(*lines + old, 0, (*capacity - old) * sizeof **lines);
    }
    if ((*lines)[index])
        return bfi_fail(p->err, BF_STATUS_PARSE, "%s:%d: %c_%d is declared twice, first at line %d",
                        f->name, t->line, output ? 'Y' : 'X', index, (*lines)[index]);
    (*lines)[index] = t->line;
    if (index >= *highest) *highest = index + 1;
    if (output)
        f->y_declared++;
    else
        f->x_declared++;
    return BF_STATUS_OK;
}

static bf_status read_declaration(parser *p, bool function, int32_t opened) {
    bool output;
    int32_t index;
    token name = bfi_vnnlib_next(&p->lex);
    if (name.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, opened);
    if (!read_variable(&name, &output, &index))
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_UNSUPPORTED, &name,
                                  "variables are called X_0, X_1, ... and Y_0, Y_1, ..., not");
    if (function) {
        TRY(bfi_vnnlib_expect(&p->lex, BFI_VNNLIB_OPEN, opened));
        TRY(bfi_vnnlib_expect(&p->lex, BFI_VNNLIB_CLOSE, opened));
    }
    token type = bfi_vnnlib_next(&p->lex);
    if (type.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, opened);
    if (!bfi_vnnlib_is(&type, "Real"))
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_UNSUPPORTED, &type,
                                  "variables have the type Real, not");
    TRY(declare_variable(p, &name, output, index));
    return bfi_vnnlib_expect(&p->lex, BFI_VNNLIB_CLOSE, opened);
}

static bf_status check_declarations(parser *p) {
    const bfi_vnnlib_formula *f = p->f;
    for (int side = 0; side < 2; side++) {
        const int32_t *lines = side ? f->y_lines : f->x_lines;
        int32_t n = side ? f->n_out : f->n_in, declared = side ? f->y_declared : f->x_declared;
        const char *kind = side ? "output" : "input";
        char letter = side ? 'Y' : 'X';
        if (n == 0)
            return bfi_fail(p->err, BF_STATUS_PARSE,
                            "%s:%d: no %s is declared; expected "
                            "(declare-const %c_0 Real)",
                            f->name, p->lex.line, kind, letter);
        int32_t missing = 0;
        while (missing < n && lines[missing]) missing++;
        if (declared < n)
            return bfi_fail(p->err, BF_STATUS_PARSE,
                            "%s:%d: %c_%d is declared, but %c_%d is not; "
                            "indices must have no gap",
                            f->name, lines[n - 1], letter, n - 1, letter, missing);
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
    return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_LIMIT, line,
                                "a number is beyond the range of double");
}

/* X_i, Y_j or an element of a tensor; *|is| false: something else. */
static bf_status read_reference(parser *p, const token *t, bool *is, bool *output, int32_t *index) {
    char c = t->text[0];
    if (p->version == 2) {
        *is = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return *is ? bfi_vnnlib_read_element(&p->lex, p->f, t, output, index) : BF_STATUS_OK;
    }
    *is = read_variable(t, output, index);
    if (!*is) return BF_STATUS_OK;
    const int32_t *lines = *output ? p->f->y_lines : p->f->x_lines;
    if (*index < (*output ? p->f->n_out : p->f->n_in) && lines[*index]) return BF_STATUS_OK;
    return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_PARSE, t, "a variable that is not declared:");
}

static bf_status read_word(parser *p, const token *t, sum *out) {
    bool output, is;
    int32_t index;
    *out = (sum){p->term_count, bfi_number_exact(0)};
    TRY(read_reference(p, t, &is, &output, &index));
    if (is) return push_term(p, output ? Y_KEY + index : index, bfi_number_exact(1));
    bfi_number *c = &out->constant;
    if (!bfi_decimal_read(t->text, t->length, &c->lo, &c->hi, &c->near))
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_PARSE, t,
                                  p->version == 2
                                      ? "expected a finite decimal number or a variable instead of"
                                      : "expected a finite decimal number, X_i or Y_j instead of");
    if (!bfi_number_is_finite(*c))
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_LIMIT, t,
                                  "a number beyond the range of double:");
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
    if (t->kind == BFI_VNNLIB_WORD) return read_word(p, t, out);
    if (t->kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, opened);
    if (t->kind == BFI_VNNLIB_CLOSE)
        return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_PARSE, t->line,
                                    "an operand is missing before ')'");
    if (t->kind != BFI_VNNLIB_OPEN)
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_PARSE, t, "expected an operand instead of");
    if (depth >= BFI_VNNLIB_MAX_DEPTH)
        return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_LIMIT, t->line,
                                    "more than 1000 nested parentheses");
    token op = bfi_vnnlib_next(&p->lex);
    if (op.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, t->line);
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
        return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_UNSUPPORTED, op->line,
                                    "a product of variables; only linear constraints are read");
    *linear = true;
    *out = *operand;
    return BF_STATUS_OK;
}

static bf_status read_operation(parser *p, const token *op, int depth, sum *out) {
    bool times = bfi_vnnlib_is(op, "*"), minus = bfi_vnnlib_is(op, "-");
    if (!times && !minus && !bfi_vnnlib_is(op, "+"))
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_UNSUPPORTED, op,
                                  "only + - * are read in a linear term, not");
    bfi_number factor = bfi_number_exact(1);
    bool linear = false;
    int count = 0;
    *out = (sum){p->term_count, bfi_number_exact(0)};
    for (token t = bfi_vnnlib_next(&p->lex); t.kind != BFI_VNNLIB_CLOSE;
         t = bfi_vnnlib_next(&p->lex)) {
        sum operand;
        TRY(read_sum(p, &t, depth, op->line, &operand));
        if (times)
            TRY(multiply_operand(p, &operand, &factor, &linear, out, op));
        else
            TRY(add_operand(p, minus, count, &operand, out, op->line));
        if (count < 2) count++;
    }
    if (count == 0) return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_PARSE, op, "no operand follows");
    if (times && linear) return scale_sum(p, out, factor, op->line);
    if (times) out->constant = factor;
    if (minus && count == 1) {
        negate_terms(p, out->first);
        out->constant = bfi_number_negate(out->constant);
    }
    return BF_STATUS_OK;
}

/* ---- Atoms ---- */

static bf_status push_node(parser *p, bfi_vnnlib_kind kind, int32_t line, int32_t first,
                           int32_t *out) {
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
    return bfi_vnnlib_fail_line(
        &p->lex, BF_STATUS_UNSUPPORTED, line,
        "a comparison without variables that double precision cannot decide");
}

/* coef * X_variable <= rhs. */
static bf_status add_bound(parser *p, int32_t variable, bfi_number coef, bfi_number rhs,
                           bool strict, int32_t line, int32_t *node) {
    bfi_vnnlib_formula *f = p->f;
    bfi_number q = bfi_number_divide(rhs, coef);
    TRY(check_finite(p, q, line));
    if (f->bound_count == f->bound_capacity)
        TRY(bfi_vnnlib_reserve(&f->bounds, &f->bound_capacity, f->bound_count + 1,
                               sizeof *f->bounds, p->err));
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
        TRY(bfi_vnnlib_reserve(&f->rows, &f->row_capacity, f->row_count + 1, sizeof *f->rows,
                               p->err));
    TRY(bfi_vnnlib_reserve(&f->terms, &f->term_capacity, f->term_count + n, sizeof *f->terms,
                           p->err));
    while (y_first < n && p->terms[y_first].key < Y_KEY) y_first++;
    bfi_vnnlib_row row = {f->term_count, (int32_t)(n - y_first), (int32_t)y_first, rhs.lo, rhs.hi,
                          strict};
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
    if (bfi_vnnlib_is(t, "<=")) return LESS_EQUAL;
    if (bfi_vnnlib_is(t, ">=")) return GREATER_EQUAL;
    if (bfi_vnnlib_is(t, "<")) return LESS;
    if (bfi_vnnlib_is(t, ">")) return GREATER;
    if (bfi_vnnlib_is(t, "=") || bfi_vnnlib_is(t, "==")) return EQUAL;
    if (bfi_vnnlib_is(t, "!=")) return UNEQUAL;
    return NO_RELATION;
}

static bf_status read_sides(parser *p, const token *op, int depth, sum *left, sum *right) {
    token t = bfi_vnnlib_next(&p->lex);
    TRY(read_sum(p, &t, depth, op->line, left));
    t = bfi_vnnlib_next(&p->lex);
    TRY(read_sum(p, &t, depth, op->line, right));
    t = bfi_vnnlib_next(&p->lex);
    if (t.kind == BFI_VNNLIB_CLOSE) return BF_STATUS_OK;
    if (t.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, op->line);
    return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_UNSUPPORTED, &t,
                              "a comparison takes two operands; found a third:");
}

/* The combined scratch terms against |rhs|: "=" is both inequalities, "!=" either strict one. */
static bf_status add_comparison(parser *p, relation r, bfi_number rhs, int32_t line,
                                int32_t *node) {
    if (r == GREATER || r == GREATER_EQUAL) {
        negate_terms(p, 0);
        rhs = bfi_number_negate(rhs);
    }
    bool strict = r == LESS || r == GREATER || r == UNEQUAL;
    int32_t first, second;
    TRY(add_atom(p, rhs, strict, line, &first));
    *node = first;
    if (r != EQUAL && r != UNEQUAL) return BF_STATUS_OK;
    negate_terms(p, 0);
    TRY(add_atom(p, bfi_number_negate(rhs), strict, line, &second));
    p->f->nodes[first].next = second;
    return push_node(p, r == EQUAL ? BFI_VNNLIB_AND : BFI_VNNLIB_OR, line, first, node);
}

static bf_status read_comparison(parser *p, const token *op, relation r, int depth, int32_t *node) {
    sum left, right;
    p->term_count = 0;
    TRY(read_sides(p, op, depth, &left, &right));
    negate_terms(p, right.first);
    bfi_number rhs = bfi_number_add(right.constant, bfi_number_negate(left.constant));
    TRY(check_finite(p, rhs, op->line));
    TRY(combine_terms(p, op->line));
    return add_comparison(p, r, rhs, op->line, node);
}

/* ---- Formulas and commands ---- */

/* The formula whose first token is |t|. */
static bf_status read_formula(parser *p, const token *t, int depth, int32_t opened, int32_t *node) {
    if (t->kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, opened);
    if (t->kind != BFI_VNNLIB_OPEN)
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_PARSE, t,
                                  "expected a comparison, (and ...) or (or ...) instead of");
    if (depth >= BFI_VNNLIB_MAX_DEPTH)
        return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_LIMIT, t->line,
                                    "more than 1000 nested parentheses");
    token op = bfi_vnnlib_next(&p->lex);
    if (op.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, t->line);
    relation r = relation_of(&op);
    if (r != NO_RELATION) return read_comparison(p, &op, r, depth + 1, node);
    bool is_and = bfi_vnnlib_is(&op, "and");
    if (!is_and && !bfi_vnnlib_is(&op, "or"))
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_UNSUPPORTED, &op,
                                  "only and, or, <= >= < > = == != are read, not");

    int32_t first = -1, last = -1;
    for (token c = bfi_vnnlib_next(&p->lex); c.kind != BFI_VNNLIB_CLOSE;
         c = bfi_vnnlib_next(&p->lex)) {
        int32_t child;
        TRY(read_formula(p, &c, depth + 1, t->line, &child));
        if (last < 0)
            first = child;
        else
            p->f->nodes[last].next = child;
        last = child;
    }
    if (first < 0) return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_PARSE, &op, "no operand follows");
    return push_node(p, is_and ? BFI_VNNLIB_AND : BFI_VNNLIB_OR, op.line, first, node);
}

/* Commands of a solver script that say nothing about the property. */
static bool is_harmless(const token *t) {
    static const char *const names[] = {"set-logic", "set-info",  "set-option",
                                        "check-sat", "get-model", "exit"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bfi_vnnlib_is(t, names[i])) return true;
    return false;
}

static bf_status skip_command(parser *p, int32_t opened) {
    for (int64_t depth = 1; depth > 0;) {
        token t = bfi_vnnlib_next(&p->lex);
        if (t.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, opened);
        depth += t.kind == BFI_VNNLIB_OPEN;
        depth -= t.kind == BFI_VNNLIB_CLOSE;
    }
    return BF_STATUS_OK;
}

/* "(vnnlib-version <2.0>)" and the later ones of 2, which only add; 1.0 is as good as none. */
static bf_status read_version(parser *p, const token *command, int32_t opened) {
    token t;
    TRY(bfi_vnnlib_expect_word(&p->lex, "expected a version instead of", opened, &t));
    bool any = t.length > 4 && t.text[0] == '<' && t.text[2] == '.' && t.text[t.length - 1] == '>';
    for (size_t i = 3; any && i + 1 < t.length; i++) any = t.text[i] >= '0' && t.text[i] <= '9';
    if (!any || (t.text[1] != '1' && t.text[1] != '2'))
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_UNSUPPORTED, &t,
                                  "VNN-LIB <1.0> and <2.0> are read, not");
    if (p->commands > 1)
        return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_PARSE, command->line,
                                    "the version comes first in a file");
    p->version = t.text[1] - '0';
    return bfi_vnnlib_expect(&p->lex, BFI_VNNLIB_CLOSE, opened);
}

static bf_status read_assertion(parser *p, int32_t opened, int32_t *last) {
    int32_t node;
    token t = bfi_vnnlib_next(&p->lex);
    if (p->version == 2 && !p->f->network)
        return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_PARSE, opened,
                                    "an assertion before the network is declared");
    TRY(read_formula(p, &t, 1, opened, &node));
    if (*last < 0)
        p->f->root = node;
    else
        p->f->nodes[*last].next = node;
    *last = node;
    return bfi_vnnlib_expect(&p->lex, BFI_VNNLIB_CLOSE, opened);
}

static bf_status read_command(parser *p, int32_t opened, int32_t *last) {
    token name = bfi_vnnlib_next(&p->lex);
    p->commands++;
    if (name.kind == BFI_VNNLIB_END) return bfi_vnnlib_fail_open(&p->lex, opened);
    if (bfi_vnnlib_is(&name, "assert")) return read_assertion(p, opened, last);
    if (p->version == 1 && bfi_vnnlib_is(&name, "declare-const"))
        return read_declaration(p, false, opened);
    if (p->version == 1 && bfi_vnnlib_is(&name, "declare-fun"))
        return read_declaration(p, true, opened);
    if (bfi_vnnlib_is(&name, "vnnlib-version")) return read_version(p, &name, opened);
    if (p->version == 2 && bfi_vnnlib_is(&name, "declare-network"))
        return bfi_vnnlib_read_network(&p->lex, p->f, opened);
    if (bfi_vnnlib_is(&name, "declare-network"))
        return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_PARSE, name.line,
                                    "declare-network, but the file does not begin with "
                                    "(vnnlib-version <2.0>)");
    if (is_harmless(&name)) return skip_command(p, opened);
    return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_UNSUPPORTED, &name,
                              p->version == 2
                                  ? "only declare-network and assert are read, not"
                                  : "only declare-const, declare-fun and assert are read, not");
}

static bf_status read_commands(parser *p) {
    int32_t last = -1;
    token t = bfi_vnnlib_next(&p->lex);
    for (; t.kind == BFI_VNNLIB_OPEN; t = bfi_vnnlib_next(&p->lex))
        TRY(read_command(p, t.line, &last));
    if (t.kind == BFI_VNNLIB_CLOSE)
        return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_PARSE, t.line, "a ')' too many");
    if (t.kind != BFI_VNNLIB_END)
        return bfi_vnnlib_fail_at(&p->lex, BF_STATUS_PARSE, &t, "expected '(' instead of");
    if (p->version == 1) return check_declarations(p);
    if (p->f->network) return BF_STATUS_OK;
    return bfi_vnnlib_fail_line(&p->lex, BF_STATUS_PARSE, t.line, "no network is declared");
}

bf_status bfi_vnnlib_read(const char *text, size_t length, const char *name,
                          bfi_vnnlib_formula *out, bf_error *err) {
    out->name = name;
    out->root = -1;
    if (length > (size_t)BFI_VNNLIB_MAX_BYTES)
        return bfi_fail(err, BF_STATUS_LIMIT, "%s: a property of more than 1 GiB is not read",
                        name);
    parser p = {.lex = {text, text + length, 1, name, err}, .f = out, .version = 1, .err = err};
    bf_status status = read_commands(&p);
    free(p.terms);
    return status;
}

void bfi_vnnlib_formula_clear(bfi_vnnlib_formula *f) {
    free(f->x_lines);
    free(f->y_lines);
    free(f->network);
    for (size_t i = 0; i < f->tensor_count; i++) free(f->tensors[i].variable.name);
    free(f->tensors);
    free(f->nodes);
    free(f->bounds);
    free(f->rows);
    free(f->terms);
    *f = (bfi_vnnlib_formula){0};
}
