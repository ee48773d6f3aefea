/* The graph block of `.bfir`. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ir/parse.h"
#include "ir/text_attr.h"

/* A list written in the text, and where. */
typedef struct entry {
    size_t at;  /* byte of its name */
    int length; /* numbers in it; -1: not given */
} entry;

typedef struct graph_parser {
    bfi_lexer *lexer;
    bfi_graph *graph;
    size_t *where; /* byte at which each node starts */
    size_t where_capacity;
} graph_parser;

/* One node while it is read; what it owns moves into the graph. */
typedef struct draft {
    size_t at;
    bfi_op op;
    char *name, *onnx_op;
    int *inputs;
    size_t input_capacity;
    int n_inputs;
    bfi_attrs attrs;
    entry given[BFI_ATTR_COUNT];
    bfi_shape shape;
    bfi_numbers weight, bias, bias_error;
    int64_t *indices;
    int64_t n_indices;
    bfi_shape indices_shape;
} draft;

static void clear_draft(draft *d) {
    free(d->name);
    free(d->onnx_op);
    free(d->inputs);
    free(d->weight.data);
    free(d->bias.data);
    free(d->bias_error.data);
    free(d->indices);
}

static bf_status parse_op(bfi_lexer *l, bfi_op *op) {
    char name[32] = "";
    if (l->token == BFI_TOKEN_WORD && l->length < sizeof name)
        memcpy(name, l->text + l->at, l->length);
    *op = bfi_op_from_name(name);
    if (*op == BFI_OP_COUNT) return bfi_lex_expected(l, "the name of an op");
    bfi_lex_next(l);
    return BF_STATUS_OK;
}

static bf_status parse_inputs(graph_parser *p, draft *d) {
    bfi_lexer *l = p->lexer;
    if (!bfi_lex_accept(l, "(")) return BF_STATUS_OK;
    do {
        void *inputs = d->inputs;
        if (d->n_inputs == INT_MAX ||
            !bfi_grow(&inputs, &d->input_capacity, (size_t)d->n_inputs + 1, sizeof *d->inputs))
            return bfi_fail_memory(l->err);
        d->inputs = inputs;
        TRY(bfi_lex_value(l, p->graph->count, &d->inputs[d->n_inputs]));
        d->n_inputs++;
    } while (bfi_lex_accept(l, ","));
    return bfi_lex_expect(l, ")");
}

/* "[1,3,8,8]" */
static bf_status parse_shape(bfi_lexer *l, bfi_shape *shape) {
    TRY(bfi_lex_expect(l, "["));
    *shape = (bfi_shape){0};
    if (bfi_lex_accept(l, "]")) return BF_STATUS_OK;
    do {
        if (shape->rank == BFI_MAX_RANK)
            return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "a shape has at most %d dimensions",
                                BFI_MAX_RANK);
        TRY(bfi_lex_integer(l, "a dimension", 0, BFI_MAX_COUNT, &shape->dim[shape->rank]));
        shape->rank++;
    } while (bfi_lex_accept(l, ","));
    return bfi_lex_expect(l, "]");
}

/* At most |most| integers in [lo, hi], in brackets or one without. */
static bf_status parse_integers(bfi_lexer *l, int most, int64_t lo, int64_t hi, int64_t *out,
                                int *length) {
    bool list = bfi_lex_accept(l, "[");
    *length = 0;
    if (list && bfi_lex_accept(l, "]")) return BF_STATUS_OK;
    do {
        if (*length == most)
            return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "more than %d numbers", most);
        TRY(bfi_lex_integer(l, "an integer", lo, hi, &out[*length]));
        ++*length;
    } while (list && bfi_lex_accept(l, ","));
    return list ? bfi_lex_expect(l, "]") : BF_STATUS_OK;
}

static bf_status parse_bool(bfi_lexer *l, bool *out) {
    *out = bfi_lex_accept(l, "true");
    return *out || bfi_lex_accept(l, "false") ? BF_STATUS_OK : bfi_lex_expected(l, "true or false");
}

/* Axes of the first input that are reduced. */
static bf_status parse_axes(const graph_parser *p, draft *d, bool *reduce, int *length) {
    int64_t axes[BFI_MAX_RANK];
    int rank = d->n_inputs ? p->graph->nodes[d->inputs[0]].shape.rank : 0;
    TRY(parse_integers(p->lexer, BFI_MAX_RANK, 0, rank - 1, axes, length));
    for (int i = 0; i < *length; i++) reduce[axes[i]] = true;
    return BF_STATUS_OK;
}

static bf_status parse_attr_value(const graph_parser *p, draft *d, const bfi_attr *attr,
                                  entry *given) {
    bfi_lexer *l = p->lexer;
    void *member = (char *)&d->attrs + attr->offset;
    int64_t values[BFI_MAX_RANK];
    int most = attr->kind == BFI_ATTR_RANK ? BFI_MAX_RANK : attr->numbers;
    bool small = attr->kind == BFI_ATTR_INT;
    given->length = 1;
    if (attr->kind == BFI_ATTR_AXES) return parse_axes(p, d, member, &given->length);
    if (attr->kind == BFI_ATTR_BOOL) return parse_bool(l, member);
    if (attr->kind == BFI_ATTR_DOUBLE) return bfi_lex_double(l, "a number", member);
    TRY(parse_integers(l, most, small ? INT_MIN : INT64_MIN, small ? INT_MAX : INT64_MAX, values,
                       &given->length));
    if (attr->kind != BFI_ATTR_RANK && given->length != attr->numbers)
        return bfi_lex_fail(l, given->at, BF_STATUS_PARSE, "%s has %d numbers, not %d", attr->name,
                            attr->numbers, given->length);
    if (small)
        *(int *)member = (int)values[0];
    else
        memcpy(member, values, (size_t)given->length * sizeof *values);
    return BF_STATUS_OK;
}

static bf_status parse_attr(const graph_parser *p, draft *d) {
    bfi_lexer *l = p->lexer;
    for (int i = 0; i < BFI_ATTR_COUNT; i++) {
        const bfi_attr *attr = &bfi_attr_table[i];
        if (!bfi_lex_is(l, attr->name)) continue;
        if (!bfi_attr_belongs(attr, d->op))
            return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "%s has no attribute '%s'",
                                bfi_op_name(d->op), attr->name);
        if (d->given[i].length >= 0)
            return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "'%s' is given twice", attr->name);
        d->given[i].at = l->at;
        bfi_lex_next(l);
        TRY(bfi_lex_expect(l, "="));
        return parse_attr_value(p, d, attr, &d->given[i]);
    }
    return bfi_lex_expected(l, "the name of an attribute");
}

static bf_status parse_attrs(const graph_parser *p, draft *d) {
    bfi_lexer *l = p->lexer;
    for (int i = 0; i < BFI_ATTR_COUNT; i++) d->given[i].length = -1;
    if (!bfi_lex_accept(l, "{")) return BF_STATUS_OK;
    do {
        TRY(parse_attr(p, d));
    } while (bfi_lex_accept(l, ","));
    return bfi_lex_expect(l, "}");
}

/* What was not given; lists with one entry per axis have as many as the output has axes. */
static bf_status complete_attrs(const graph_parser *p, draft *d) {
    for (int i = 0; i < BFI_ATTR_COUNT; i++) {
        const bfi_attr *attr = &bfi_attr_table[i];
        bool ranked = attr->kind == BFI_ATTR_RANK;
        int length = d->given[i].length, numbers = ranked ? d->shape.rank : attr->numbers;
        if (ranked && length >= 0 && length != d->shape.rank)
            return bfi_lex_fail(p->lexer, d->given[i].at, BF_STATUS_PARSE,
                                "%s has %d numbers, but the value has %d axes", attr->name, length,
                                d->shape.rank);
        int64_t fallback = bfi_attr_fallback(attr, d->op);
        if (length >= 0 || fallback == 0 || (!ranked && attr->kind != BFI_ATTR_I64)) continue;
        for (int k = 0; k < numbers; k++)
            memcpy((char *)&d->attrs + attr->offset + (size_t)k * sizeof fallback, &fallback,
                   sizeof fallback);
    }
    return BF_STATUS_OK;
}

static bf_status parse_type(graph_parser *p, draft *d) {
    bfi_lexer *l = p->lexer;
    TRY(bfi_lex_expect(l, ":"));
    if (p->graph->count == 0) {
        p->graph->is_float64 = bfi_lex_is(l, "f64");
        if (!p->graph->is_float64 && !bfi_lex_is(l, "f32"))
            return bfi_lex_expected(l, "the input's element type, f32 or f64");
        bfi_lex_next(l);
    }
    size_t at = l->at;
    TRY(parse_shape(l, &d->shape));
    int64_t count = bfi_shape_count(&d->shape, BFI_MAX_COUNT);
    if (count == 0) return bfi_lex_fail(l, at, BF_STATUS_SHAPE, "the value has no elements");
    if (count < 0)
        return bfi_lex_fail(l, at, BF_STATUS_LIMIT, "the value has more than 2^31-1 elements");
    return BF_STATUS_OK;
}

/* "[" of a list of |what|, unless it was elided. */
static bf_status open_list(bfi_lexer *l, const char *what, bool given) {
    if (given) return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "%s is given twice", what);
    bfi_lex_next(l);
    TRY(bfi_lex_expect(l, "="));
    if (bfi_lex_is(l, "<"))
        return bfi_lex_fail(l, l->at, BF_STATUS_PARSE,
                            "%s was elided when this text was printed: print it in full to read it "
                            "back",
                            what);
    return bfi_lex_expect(l, "[");
}

static bf_status parse_numbers(bfi_lexer *l, const char *what, bfi_numbers *numbers) {
    size_t capacity = 0;
    TRY(open_list(l, what, numbers->data != NULL));
    do {
        void *data = numbers->data;
        if (numbers->count == BFI_MAX_COUNT)
            return bfi_lex_fail(l, l->at, BF_STATUS_LIMIT, "a list has more than 2^31-1 numbers");
        if (!bfi_grow(&data, &capacity, (size_t)numbers->count + 1, sizeof *numbers->data))
            return bfi_fail_memory(l->err);
        numbers->data = data;
        TRY(bfi_lex_double(l, "a number", &numbers->data[numbers->count]));
        numbers->count++;
    } while (bfi_lex_accept(l, ","));
    return bfi_lex_expect(l, "]");
}

static bf_status parse_indices(bfi_lexer *l, draft *d) {
    size_t capacity = 0;
    TRY(open_list(l, "indices", d->indices != NULL));
    do {
        void *data = d->indices;
        if (d->n_indices == BFI_MAX_COUNT)
            return bfi_lex_fail(l, l->at, BF_STATUS_LIMIT, "a list has more than 2^31-1 numbers");
        if (!bfi_grow(&data, &capacity, (size_t)d->n_indices + 1, sizeof *d->indices))
            return bfi_fail_memory(l->err);
        d->indices = data;
        TRY(bfi_lex_integer(l, "an index", 0, BFI_MAX_COUNT, &d->indices[d->n_indices]));
        d->n_indices++;
    } while (bfi_lex_accept(l, ","));
    TRY(bfi_lex_expect(l, "]"));
    if (d->op != BFI_OP_GATHER && !bfi_lex_is(l, "as")) return BF_STATUS_OK;
    TRY(bfi_lex_expect(l, "as"));
    return parse_shape(l, &d->indices_shape);
}

static bf_status parse_constants(bfi_lexer *l, draft *d) {
    for (;;) {
        bool weight = bfi_lex_is(l, "weight"), bias = bfi_lex_is(l, "bias");
        bool error = bfi_lex_is(l, "bias_error"), indices = bfi_lex_is(l, "indices");
        if (!weight && !bias && !error && !indices) return BF_STATUS_OK;
        if ((weight && !bfi_op_has_weight(d->op)) || ((bias || error) && !bfi_op_has_bias(d->op)) ||
            (indices && !bfi_op_has_indices(d->op)))
            return bfi_lex_fail(l, l->at, BF_STATUS_PARSE, "%s has no %.*s", bfi_op_name(d->op),
                                (int)l->length, l->text + l->at);
        if (indices)
            TRY(parse_indices(l, d));
        else if (error)
            TRY(parse_numbers(l, "bias_error", &d->bias_error));
        else
            TRY(parse_numbers(l, weight ? "weight" : "bias", weight ? &d->weight : &d->bias));
    }
}

/* "%3 =": values are numbered in order. */
static bf_status parse_result(graph_parser *p) {
    bfi_lexer *l = p->lexer;
    int id;
    size_t at = l->at;
    TRY(bfi_lex_value(l, p->graph->count + 1, &id));
    if (id != p->graph->count)
        return bfi_lex_fail(l, at, BF_STATUS_PARSE, "%%%d is defined already: this is value %%%d",
                            id, p->graph->count);
    return bfi_lex_expect(l, "=");
}

static bf_status parse_node(graph_parser *p, draft *d) {
    bfi_lexer *l = p->lexer;
    d->at = l->at;
    TRY(parse_result(p));
    size_t at = l->at;
    TRY(parse_op(l, &d->op));
    if ((d->op == BFI_OP_INPUT) != (p->graph->count == 0))
        return bfi_lex_fail(l, at, BF_STATUS_PARSE, "value %%0, and no other, is the input");
    TRY(parse_inputs(p, d));
    if (l->token == BFI_TOKEN_STRING) TRY(bfi_lex_string(l, "a name", &d->name));
    if (bfi_lex_accept(l, "onnx")) {
        TRY(bfi_lex_expect(l, "="));
        TRY(bfi_lex_string(l, "an ONNX op type in quotes", &d->onnx_op));
    }
    TRY(parse_attrs(p, d));
    TRY(parse_type(p, d));
    TRY(complete_attrs(p, d));
    return parse_constants(l, d);
}

static bf_status add_node(graph_parser *p, draft *d) {
    void *where = p->where;
    if (!bfi_grow(&where, &p->where_capacity, (size_t)p->graph->count + 1, sizeof *p->where))
        return bfi_fail_memory(p->lexer->err);
    p->where = where;
    p->where[p->graph->count] = d->at;
    int id = bfi_graph_add(p->graph, d->op, d->name ? d->name : "", d->onnx_op ? d->onnx_op : "",
                           d->inputs, d->n_inputs, &d->shape);
    if (id < 0) return bfi_fail_memory(p->lexer->err);
    bfi_node *node = &p->graph->nodes[id];
    node->attrs = d->attrs;
    node->weight = d->weight;
    node->bias = d->bias;
    node->bias_error = d->bias_error;
    node->indices = d->indices;
    node->n_indices = d->n_indices;
    node->indices_shape = d->indices_shape;
    d->weight = d->bias = d->bias_error = (bfi_numbers){0};
    d->indices = NULL;
    return BF_STATUS_OK;
}

/* Validates the nodes before |count|; the message does not name the file. */
static bf_status validate_first(const void *block, int count, bf_error *err) {
    const graph_parser *p = block;
    char source[] = "";
    bfi_graph prefix = *p->graph;
    prefix.source = source;
    prefix.count = count;
    if (count < p->graph->count) prefix.output = 0;
    return bfi_graph_validate(&prefix, err);
}

/* The validator looks at nodes in order: bisection finds the one that it refuses, hence the line.
 */
static bf_status validate(const graph_parser *p) {
    bf_error why;
    bf_status status = validate_first(p, p->graph->count, &why);
    if (status == BF_STATUS_OK) return BF_STATUS_OK;
    int refused = bfi_parse_refused(p, p->graph->count, validate_first);
    if (status == BF_STATUS_INTERNAL) status = BF_STATUS_PARSE;
    return bfi_lex_fail(p->lexer, p->where[refused], status, "%s", why.message);
}

/* |at|: where the output is named. */
static bf_status check_reach(const graph_parser *p, size_t at) {
    const bfi_graph *graph = p->graph;
    bool *depends = bfi_calloc((size_t)graph->count, sizeof *depends);
    if (!depends) return bfi_fail_memory(p->lexer->err);
    depends[0] = true;
    for (int id = 1; id < graph->count; id++)
        for (int i = 0; i < graph->nodes[id].n_inputs; i++)
            if (depends[graph->nodes[id].inputs[i]]) depends[id] = true;
    bool reached = depends[graph->output];
    free(depends);
    return reached ? BF_STATUS_OK
                   : bfi_lex_fail(p->lexer, at, BF_STATUS_PARSE,
                                  "the output %%%d cannot be reached from the input %%0",
                                  graph->output);
}

static bf_status parse_header(graph_parser *p) {
    bfi_lexer *l = p->lexer;
    TRY(bfi_lex_expect(l, "graph"));
    if (l->token == BFI_TOKEN_STRING) TRY(bfi_lex_string(l, "a file name", &p->graph->source));
    if (bfi_lex_accept(l, "input"))
        TRY(bfi_lex_string(l, "the input's name in quotes", &p->graph->input_name));
    if (bfi_lex_accept(l, "output"))
        TRY(bfi_lex_string(l, "the output's name in quotes", &p->graph->output_name));
    return bfi_lex_expect(l, "{");
}

static bf_status parse_graph(graph_parser *p) {
    bfi_lexer *l = p->lexer;
    TRY(parse_header(p));
    while (!bfi_lex_is(l, "output")) {
        if (l->token != BFI_TOKEN_VALUE) return bfi_lex_expected(l, "'%N = ...' or 'output'");
        draft d = {0};
        bf_status status = parse_node(p, &d);
        if (status == BF_STATUS_OK) status = add_node(p, &d);
        clear_draft(&d);
        TRY(status);
    }
    bfi_lex_next(l);
    size_t at = l->at;
    TRY(bfi_lex_value(l, p->graph->count, &p->graph->output));
    TRY(bfi_lex_expect(l, "}"));
    TRY(validate(p));
    return check_reach(p, at);
}

bf_status bfi_parse_graph_block(bfi_lexer *lexer, bfi_graph **out) {
    graph_parser p = {.lexer = lexer, .graph = bfi_graph_new()};
    bf_status status = p.graph ? parse_graph(&p) : bfi_fail_memory(lexer->err);
    if (status != BF_STATUS_OK) {
        bfi_graph_free(p.graph);
        p.graph = NULL;
    }
    free(p.where);
    *out = p.graph;
    return status;
}
