/* The program block of `.bfir`. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ir/parse.h"

/* The validator compares each buffer with each other one. */
enum { MAX_BUFFERS = 1 << 16 };

/* Which value's elements a buffer of an op holds coefficients of. */
typedef enum extent { NONE, OF_NODE, OF_INPUT, OF_SLOPES, OF_MOMENTS } extent;

/* What an op reads and writes. |may_keep|: without |out| the coefficients stay where they are, or
 * nobody wants the result. |may_lack|: the last buffer read may be missing. */
typedef struct signature {
    int reads;
    extent read[3], written;
    bool may_keep, may_lack;
} signature;

static const signature signatures[BFI_BACK_COUNT] = {
    [BFI_BACK_SEED_SPEC] = {0, {NONE}, OF_NODE, false, false},
    [BFI_BACK_SEED_UNIT] = {0, {NONE}, OF_NODE, false, false},
    [BFI_BACK_SEED_LINEAR] = {0, {NONE}, OF_INPUT, false, false},
    [BFI_BACK_SEED_CONV] = {0, {NONE}, OF_INPUT, false, false},
    [BFI_BACK_LINEAR] = {1, {OF_NODE}, OF_INPUT, false, false},
    [BFI_BACK_CONV] = {1, {OF_NODE}, OF_INPUT, false, false},
    [BFI_BACK_SPARSE] = {1, {OF_NODE}, OF_INPUT, false, false},
    [BFI_BACK_SCALE] = {1, {OF_NODE}, OF_INPUT, true, false},
    [BFI_BACK_NEGATE] = {1, {OF_NODE}, OF_NODE, false, false},
    [BFI_BACK_PASS] = {1, {OF_NODE}, NONE, false, false},
    [BFI_BACK_RELAX] = {2, {OF_NODE, OF_SLOPES}, OF_INPUT, false, true},
    [BFI_BACK_PLANE] = {1, {OF_NODE}, OF_INPUT, false, false},
    [BFI_BACK_MOMENTS] = {2, {OF_NODE, OF_MOMENTS}, OF_MOMENTS, false, true},
    [BFI_BACK_LINEARIZE] = {2, {OF_NODE, OF_MOMENTS}, OF_NODE, false, false},
    [BFI_BACK_POOL] = {1, {OF_NODE}, OF_INPUT, false, false},
    [BFI_BACK_ACCUMULATE] = {2, {OF_NODE, OF_NODE}, OF_NODE, false, false},
    [BFI_BACK_BOX] = {1, {OF_NODE}, NONE, false, false},
    [BFI_BACK_TRY] = {1, {OF_NODE}, NONE, false, false},
    [BFI_BACK_SLOPES] = {0, {NONE}, OF_SLOPES, false, false},
    [BFI_BACK_CORNER] = {1, {OF_NODE}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_LINEAR] = {1, {OF_INPUT}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_CONV] = {1, {OF_INPUT}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_SPARSE] = {1, {OF_INPUT}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_SCALE] = {1, {OF_INPUT}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_ADD] = {2, {OF_NODE, OF_NODE}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_SUB] = {2, {OF_NODE, OF_NODE}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_RELAX] = {3, {OF_INPUT, OF_NODE, OF_SLOPES}, OF_NODE, true, true},
    [BFI_BACK_ADJOINT_PLANE] = {2, {OF_INPUT, OF_NODE}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_POOL] = {2, {OF_INPUT, OF_NODE}, OF_NODE, false, false},
    [BFI_BACK_ADJOINT_SPEC] = {1, {OF_NODE}, NONE, false, false},
};

/* First and last op of a buffer, as the ops have it; where it was declared. */
typedef struct lifetime {
    size_t at;
    int first, last;
} lifetime;

typedef struct program_parser {
    bfi_lexer *lexer;
    const bfi_graph *graph;
    bfi_program *program;
    lifetime *lives;
    size_t life_capacity;
    int with_live, with_storage; /* buffers that tell */
} program_parser;

static bf_status parse_buffer_name(bfi_lexer *l, int64_t count, int *out) {
    return bfi_lex_label(l, 'b', "buffer", count, out);
}

static bf_status parse_lifetime(program_parser *p, bfi_buffer *buffer) {
    int64_t first, last;
    if (!bfi_lex_accept(p->lexer, "live")) return BF_STATUS_OK;
    TRY(bfi_lex_integer(p->lexer, "the first op", 0, INT_MAX, &first));
    TRY(bfi_lex_expect(p->lexer, ".."));
    TRY(bfi_lex_integer(p->lexer, "the last op", 0, INT_MAX, &last));
    buffer->first = (int)first;
    buffer->last = (int)last;
    p->with_live++;
    return BF_STATUS_OK;
}

static bf_status add_buffer(program_parser *p, size_t at, int64_t count) {
    void *lives = p->lives;
    size_t id = (size_t)p->program->buffer_count;
    if (!bfi_grow(&lives, &p->life_capacity, id + 1, sizeof *p->lives))
        return bfi_fail_memory(p->lexer->err);
    p->lives = lives;
    p->lives[id] = (lifetime){.at = at, .first = -1, .last = -1};
    return bfi_program_add_buffer(p->program, count) < 0 ? bfi_fail_memory(p->lexer->err)
                                                         : BF_STATUS_OK;
}

/* "buffer b1 : 50 live 2..3 at 0 alias b0" */
static bf_status parse_buffer(program_parser *p) {
    bfi_lexer *l = p->lexer;
    bfi_program *program = p->program;
    size_t at = l->at;
    int id, expected = program->buffer_count;
    int64_t count;
    bfi_lex_next(l);
    TRY(parse_buffer_name(l, expected + 1, &id));
    if (id != expected)
        return bfi_lex_fail(l, at, BF_STATUS_PARSE, "b%d is declared already: this is b%d", id,
                            expected);
    if (expected == MAX_BUFFERS)
        return bfi_lex_fail(l, at, BF_STATUS_LIMIT, "more than %d buffers", MAX_BUFFERS);
    TRY(bfi_lex_expect(l, ":"));
    TRY(bfi_lex_integer(l, "the number of elements", 1, BFI_MAX_COUNT, &count));
    TRY(add_buffer(p, at, count));
    bfi_buffer *buffer = &program->buffers[id];
    TRY(parse_lifetime(p, buffer));
    if (bfi_lex_accept(l, "at")) {
        TRY(bfi_lex_integer(l, "the offset", 0, INT64_MAX, &buffer->offset));
        p->with_storage++;
    }
    /* An alias may have a larger number: a later buffer can be seeded first. */
    return bfi_lex_accept(l, "alias") ? parse_buffer_name(l, INT_MAX, &buffer->alias_of)
                                      : BF_STATUS_OK;
}

static bf_status parse_kind(bfi_lexer *l, bfi_back_kind *kind) {
    for (int k = 0; k < BFI_BACK_COUNT; k++) {
        if (!bfi_lex_accept(l, bfi_back_name((bfi_back_kind)k))) continue;
        *kind = (bfi_back_kind)k;
        return BF_STATUS_OK;
    }
    return bfi_lex_expected(l, "'buffer', a bound op or '}'");
}

/* The rule of |op| is one for its node. */
static bool fits_node(const bfi_back_op *op, const bfi_node *node) {
    switch (op->kind) {
        case BFI_BACK_SEED_LINEAR:
        case BFI_BACK_LINEAR:
        case BFI_BACK_ADJOINT_LINEAR:
            return node->op == BFI_OP_LINEAR;
        case BFI_BACK_SEED_CONV:
        case BFI_BACK_CONV:
        case BFI_BACK_ADJOINT_CONV:
            return node->op == BFI_OP_CONV || node->op == BFI_OP_CONV_TRANSPOSE;
        case BFI_BACK_SPARSE:
        case BFI_BACK_ADJOINT_SPARSE:
            return bfi_op_class_of(node->op) == BFI_CLASS_STRUCTURAL;
        case BFI_BACK_SCALE:
        case BFI_BACK_ADJOINT_SCALE:
            return node->op == BFI_OP_SCALE_SHIFT;
        case BFI_BACK_PLANE:
        case BFI_BACK_ADJOINT_PLANE:
            return node->op == BFI_OP_MUL || node->op == BFI_OP_DIV || node->op == BFI_OP_MAX ||
                   node->op == BFI_OP_MIN;
        case BFI_BACK_MOMENTS:
            return node->op == BFI_OP_MUL;
        case BFI_BACK_LINEARIZE:
            return op->node == 0;
        case BFI_BACK_POOL:
        case BFI_BACK_ADJOINT_POOL:
            return node->op == BFI_OP_MAX_POOL;
        case BFI_BACK_SLOPES:
            return bfi_slope_vectors(node) > 0;
        default:
            return true;
    }
}

/* Elements per lane of a buffer of |extent|; 0: no such buffer. */
static int64_t extent_count(const program_parser *p, const bfi_back_op *op, extent e) {
    const bfi_node *node = &p->graph->nodes[op->node];
    if (e == NONE) return 0;
    if (e == OF_MOMENTS) return bfi_moment_count(p->graph->nodes[0].count);
    if (e == OF_SLOPES) return bfi_slope_vectors(node) * bfi_slope_stride(node->count);
    return e == OF_NODE ? node->count : p->graph->nodes[node->inputs[op->which]].count;
}

static bf_status check_buffer(const program_parser *p, size_t at, int buffer, int64_t count) {
    int64_t has = p->program->buffers[buffer].count;
    return has == count ? BF_STATUS_OK
                        : bfi_lex_fail(p->lexer, at, BF_STATUS_SHAPE,
                                       "b%d has %" PRId64 " elements, but the value has %" PRId64,
                                       buffer, has, count);
}

/* Def before use, and the sizes that the graph asks for. |at|: of the op. */
static bf_status check_op(program_parser *p, const bfi_back_op *op, int reads, size_t at) {
    const bfi_node *node = &p->graph->nodes[op->node];
    const signature *s = &signatures[op->kind];
    const int buffers[3] = {op->a, op->b, op->c};
    int index = p->program->op_count;
    int inputs = s->written == OF_INPUT || s->read[0] == OF_INPUT ? node->n_inputs : 1;
    if (!fits_node(op, node) || op->which >= inputs)
        return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "%s has no rule for %%%d[%d], a %s",
                            bfi_back_name(op->kind), op->node, op->which, bfi_op_name(node->op));
    if (reads != s->reads && !(s->may_lack && reads == s->reads - 1))
        return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "%s reads %d buffers, not %d",
                            bfi_back_name(op->kind), s->reads, reads);
    if (op->out < 0 ? s->written != NONE && !s->may_keep : s->written == NONE)
        return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "%s writes %s buffer",
                            bfi_back_name(op->kind), s->written == NONE ? "no" : "a");
    for (int i = 0; i < reads; i++) {
        lifetime *life = &p->lives[buffers[i]];
        if (life->first < 0)
            return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "b%d is read before it is written",
                                buffers[i]);
        TRY(check_buffer(p, at, buffers[i], extent_count(p, op, s->read[i])));
        life->last = index;
    }
    if (op->out < 0) return BF_STATUS_OK;
    if (p->lives[op->out].first >= 0)
        return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "b%d is written twice", op->out);
    p->lives[op->out].first = p->lives[op->out].last = index;
    return check_buffer(p, at, op->out, extent_count(p, op, s->written));
}

/* "backward_sparse %3[1] b0 -> b1" */
static bf_status parse_back_op(program_parser *p) {
    bfi_lexer *l = p->lexer;
    bfi_back_op op = {.a = -1, .b = -1, .out = -1, .c = -1};
    int *const operands[3] = {&op.a, &op.b, &op.c};
    size_t at = l->at;
    int reads = 0, count = p->program->buffer_count;
    TRY(parse_kind(l, &op.kind));
    TRY(bfi_lex_value(l, p->graph->count, &op.node));
    if (bfi_lex_accept(l, "[")) {
        int64_t which;
        TRY(bfi_lex_integer(l, "an input number", 0, INT_MAX, &which));
        op.which = (int)which;
        TRY(bfi_lex_expect(l, "]"));
    }
    while (reads < 3 && bfi_lex_at_label(l, 'b'))
        TRY(parse_buffer_name(l, count, operands[reads++]));
    if (bfi_lex_accept(l, "->")) TRY(parse_buffer_name(l, count, &op.out));
    TRY(check_op(p, &op, reads, at));
    if (p->program->op_count == INT_MAX || bfi_program_add_op(p->program, op) < 0)
        return bfi_fail_memory(l->err);
    return BF_STATUS_OK;
}

/* |id| takes over the storage of the operand that dies where it is written. */
static bf_status check_alias(const program_parser *p, int id) {
    const bfi_program *program = p->program;
    int from = program->buffers[id].alias_of;
    size_t at = p->lives[id].at;
    if (from < 0) return BF_STATUS_OK;
    if (from >= program->buffer_count || from == id)
        return bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "b%d cannot take over b%d", id, from);
    const bfi_back_op *op = &program->ops[p->lives[id].first];
    const char *why = NULL;
    if (op->a != from && op->b != from && op->c != from)
        why = "the op that writes it does not read the other";
    else if (!bfi_back_in_place(op->kind))
        why = "the op that writes it does not work in place";
    else if (p->lives[from].last != p->lives[id].first)
        why = "the other is read later";
    else if (program->buffers[from].offset != program->buffers[id].offset ||
             program->buffers[from].count != program->buffers[id].count)
        why = "they differ in place or size";
    return why ? bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE, "b%d cannot take over b%d: %s", id,
                              from, why)
               : BF_STATUS_OK;
}

/* What was declared against what the ops do. */
static bf_status check_declared(const program_parser *p, int id) {
    const bfi_buffer *buffer = &p->program->buffers[id];
    lifetime *life = &p->lives[id];
    int64_t end;
    if (life->first < 0)
        return bfi_lex_fail(p->lexer, life->at, BF_STATUS_PARSE, "b%d is never written", id);
    if (life->first < p->program->loop) life->last = p->program->op_count - 1;
    if (p->with_live && (buffer->first != life->first || buffer->last != life->last))
        return bfi_lex_fail(p->lexer, life->at, BF_STATUS_PARSE, "b%d is live %d..%d, not %d..%d",
                            id, life->first, life->last, buffer->first, buffer->last);
    if (p->with_storage &&
        (__builtin_add_overflow(buffer->offset, buffer->count, &end) || end > p->program->height))
        return bfi_lex_fail(p->lexer, life->at, BF_STATUS_PARSE,
                            "b%d lies outside the height of %" PRId64, id, p->program->height);
    return check_alias(p, id);
}

/* The first |count| buffers; ops were checked one by one. */
static bf_status validate_first(const void *block, int count, bf_error *err) {
    const program_parser *p = block;
    bfi_program prefix = *p->program;
    prefix.buffer_count = count;
    if (count < p->program->buffer_count)
        prefix.op_count = prefix.loop = prefix.adjoint = prefix.mix = 0, prefix.shared = false;
    return bfi_program_validate(&prefix, p->graph, err);
}

/* bfi_program_validate looks at buffers in order: bisection finds the one that it refuses. */
static bf_status validate(const program_parser *p) {
    bf_error why;
    bf_status status = validate_first(p, p->program->buffer_count, &why);
    if (status == BF_STATUS_OK) return BF_STATUS_OK;
    int refused = bfi_parse_refused(p, p->program->buffer_count, validate_first);
    if (status == BF_STATUS_INTERNAL) status = BF_STATUS_PARSE;
    size_t at = p->program->buffer_count ? p->lives[refused].at : p->lexer->at;
    return bfi_lex_fail(p->lexer, at, status, "%s", why.message);
}

static bf_status check_program(const program_parser *p, size_t start) {
    int count = p->program->buffer_count, ops = p->program->op_count;
    if (p->program->adjoint < 0) p->program->adjoint = ops;
    if (p->program->mix < 0) p->program->mix = ops;
    if (p->program->adjoint > ops || p->program->mix > ops)
        return bfi_lex_fail(p->lexer, start, BF_STATUS_PARSE,
                            "parts begin at ops %d and %d, but there are %d ops",
                            p->program->adjoint, p->program->mix, ops);
    if ((p->with_live && p->with_live != count) || (p->with_storage && p->with_storage != count) ||
        (p->with_storage && !p->with_live))
        return bfi_lex_fail(p->lexer, start, BF_STATUS_PARSE,
                            "either all buffers have 'live' (and 'at'), or none");
    for (int id = 0; id < count; id++) TRY(check_declared(p, id));
    return p->with_storage ? validate(p) : BF_STATUS_OK;
}

/* "loop=2 adjoint=9 mix=14", "shared adjoint=7", "adjoint=7", or nothing */
static bf_status parse_parts(program_parser *p) {
    int64_t loop = 0, adjoint, mix = -1;
    p->program->shared = bfi_lex_accept(p->lexer, "shared");
    p->program->adjoint = p->program->mix = -1;
    if (!p->program->shared && bfi_lex_accept(p->lexer, "loop")) {
        TRY(bfi_lex_expect(p->lexer, "="));
        TRY(bfi_lex_integer(p->lexer, "the first op of a round", 1, INT_MAX, &loop));
    }
    bool parts = p->program->shared || loop > 0;
    if (!parts && !bfi_lex_is(p->lexer, "adjoint")) return BF_STATUS_OK;
    TRY(bfi_lex_expect(p->lexer, "adjoint"));
    TRY(bfi_lex_expect(p->lexer, "="));
    TRY(bfi_lex_integer(p->lexer, "the first op of the adjoint pass", loop, INT_MAX, &adjoint));
    if (bfi_lex_accept(p->lexer, "mix")) {
        TRY(bfi_lex_expect(p->lexer, "="));
        TRY(bfi_lex_integer(p->lexer, "the first op for weights", adjoint, INT_MAX, &mix));
    }
    p->program->loop = (int)loop;
    p->program->adjoint = (int)adjoint;
    p->program->mix = (int)mix;
    return BF_STATUS_OK;
}

static bf_status parse_header(program_parser *p) {
    bfi_lexer *l = p->lexer;
    TRY(bfi_lex_expect(l, "program"));
    TRY(bfi_lex_expect(l, "target"));
    TRY(bfi_lex_expect(l, "="));
    TRY(bfi_lex_value(l, p->graph->count, &p->program->target));
    TRY(bfi_lex_expect(l, "spec"));
    TRY(bfi_lex_expect(l, "="));
    p->program->spec = bfi_lex_accept(l, "true");
    if (!p->program->spec && !bfi_lex_accept(l, "false"))
        return bfi_lex_expected(l, "true or false");
    if (bfi_lex_accept(l, "height")) {
        TRY(bfi_lex_expect(l, "="));
        TRY(bfi_lex_integer(l, "the height", 0, INT64_MAX, &p->program->height));
    }
    TRY(parse_parts(p));
    return bfi_lex_expect(l, "{");
}

static bf_status parse_program(program_parser *p) {
    size_t start = p->lexer->at;
    TRY(parse_header(p));
    while (bfi_lex_is(p->lexer, "buffer")) TRY(parse_buffer(p));
    while (!bfi_lex_is(p->lexer, "}")) TRY(parse_back_op(p));
    bfi_lex_next(p->lexer);
    return check_program(p, start);
}

bf_status bfi_parse_program_block(bfi_lexer *lexer, const bfi_graph *graph, bfi_program *out) {
    program_parser p = {.lexer = lexer, .graph = graph, .program = out};
    *out = (bfi_program){0};
    bf_status status = parse_program(&p);
    if (status != BF_STATUS_OK) bfi_program_clear(out);
    free(p.lives);
    return status;
}
