/* The printing half of `.bfir`. Numbers are made by hand: no locale, exact, fast. */
#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "ir/text.h"
#include "ir/text_attr.h"

typedef struct writer {
    char *data;
    size_t size, capacity;
    bool failed; /* out of memory */
} writer;

static void put_bytes(writer *w, const char *bytes, size_t length) {
    void *data = w->data;
    size_t need;
    if (w->failed || !bfi_add_size(w->size, length, &need) || !bfi_add_size(need, 1, &need) ||
        !bfi_grow(&data, &w->capacity, need, 1)) {
        w->failed = true;
        return;
    }
    w->data = data;
    memcpy(w->data + w->size, bytes, length);
    w->size += length;
    w->data[w->size] = '\0';
}

static void put(writer *w, const char *text) { put_bytes(w, text, strlen(text)); }

/* Short pieces only. */
static void BF_PRINTF(2, 3) putf(writer *w, const char *fmt, ...) {
    char piece[128];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(piece, sizeof piece, fmt, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < sizeof piece);
    put_bytes(w, piece, (size_t)n);
}

static void put_string(writer *w, const char *text) {
    put(w, "\"");
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            putf(w, "\\%c", c);
        else if (c < 32 || c == 127)
            putf(w, "\\x%02x", c);
        else
            put_bytes(w, p, 1);
    }
    put(w, "\"");
}

/* integer / 10^places */
static void put_places(writer *w, uint64_t integer, int places, bool single) {
    char digits[64];
    int n = snprintf(digits, sizeof digits, "%0*" PRIu64, places + 1, integer);
    put_bytes(w, digits, (size_t)(n - places));
    if (places) putf(w, ".%s", digits + n - places);
    if (single) put(w, "f");
}

/* Halfway between two normal floats: rounding a decimal to double and then to float may go wrong.
 */
static bool is_float_tie(double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (bits & 0x1fffffff) == 0x10000000;
}

/* |v| > 0 as the decimal with the fewest places whose nearest double (or, with suffix f, nearest
 * float) it is; false when that takes too many digits. Integers below 2^53 and powers of ten up to
 * 10^22 are doubles, so that the quotient is the double nearest to the decimal. */
static bool put_decimal(writer *w, double v) {
    bool single = v >= FLT_MIN && v <= FLT_MAX && (double)(float)v == v;
    double power = 1;
    for (int places = 0; places <= 15; places++, power *= 10) {
        double integer = rint(v * power);
        if (!(integer < 0x1p53)) return false;
        double nearest = integer / power;
        bool same = nearest == v;
        if (!same && !(single && nearest >= FLT_MIN && nearest <= FLT_MAX &&
                       (float)nearest == (float)v && !is_float_tie(nearest)))
            continue;
        put_places(w, (uint64_t)integer, places, !same);
        return true;
    }
    return false;
}

/* |v| > 0, exactly. */
static void put_hex(writer *w, double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    int exponent = (int)(bits >> 52), digits = 13;
    while (digits > 0 && !(fraction & 15)) fraction >>= 4, digits--;
    putf(w, "0x%d", exponent != 0);
    if (digits) putf(w, ".%0*" PRIx64, digits, fraction);
    putf(w, "p%+d", exponent ? exponent - 1023 : -1022);
}

static void put_number(writer *w, double v) {
    if (isnan(v)) {
        put(w, "nan");
        return;
    }
    if (signbit(v)) put(w, "-");
    v = fabs(v);
    if (isinf(v))
        put(w, "inf");
    else if (v == 0)
        put(w, "0");
    else if (!put_decimal(w, v))
        put_hex(w, v);
}

static void put_shape(writer *w, const bfi_shape *shape) {
    char text[BFI_MAX_RANK * 24];
    put(w, bfi_shape_text(shape, text, sizeof text));
}

/* Entry |i| of |attr|, which is no DOUBLE. */
static int64_t attr_integer(const bfi_attr *attr, const bfi_attrs *attrs, int i) {
    const char *at = (const char *)attrs + attr->offset;
    int64_t v;
    if (attr->kind == BFI_ATTR_AXES || attr->kind == BFI_ATTR_BOOL) return ((const bool *)at)[i];
    if (attr->kind == BFI_ATTR_INT) return *(const int *)(const void *)at;
    memcpy(&v, at + (size_t)i * sizeof v, sizeof v);
    return v;
}

static double attr_double(const bfi_attr *attr, const bfi_attrs *attrs) {
    double v;
    memcpy(&v, (const char *)attrs + attr->offset, sizeof v);
    return v;
}

/* Entries to look at: all of the member. */
static int attr_length(const bfi_attr *attr) {
    return attr->kind == BFI_ATTR_RANK || attr->kind == BFI_ATTR_AXES ? BFI_MAX_RANK
                                                                      : attr->numbers;
}

static bool attr_is_default(const bfi_attr *attr, const bfi_node *node) {
    int fallback = bfi_attr_fallback(attr, node->op);
    if (attr->kind == BFI_ATTR_DOUBLE) {
        double v = attr_double(attr, &node->attrs);
        return v == 0 && !signbit(v);
    }
    for (int i = 0; i < attr_length(attr); i++) {
        int64_t expected = attr->kind == BFI_ATTR_RANK && i >= node->shape.rank ? 0 : fallback;
        if (attr_integer(attr, &node->attrs, i) != expected) return false;
    }
    return true;
}

static void put_attr(writer *w, const bfi_attr *attr, const bfi_node *node) {
    const bfi_attrs *attrs = &node->attrs;
    putf(w, "%s=", attr->name);
    if (attr->kind == BFI_ATTR_DOUBLE) {
        put_number(w, attr_double(attr, attrs));
    } else if (attr->kind == BFI_ATTR_BOOL) {
        put(w, attr_integer(attr, attrs, 0) ? "true" : "false");
    } else if (attr->kind == BFI_ATTR_AXES) {
        const char *separator = "[";
        for (int i = 0; i < BFI_MAX_RANK; i++) {
            if (!attr_integer(attr, attrs, i)) continue;
            putf(w, "%s%d", separator, i);
            separator = ", ";
        }
        put(w, "]");
    } else if (attr_length(attr) == 1) {
        putf(w, "%" PRId64, attr_integer(attr, attrs, 0));
    } else {
        int n = attr_length(attr);
        if (attr->kind == BFI_ATTR_RANK)
            while (n > node->shape.rank && attr_integer(attr, attrs, n - 1) == 0) n--;
        for (int i = 0; i < n; i++)
            putf(w, "%s%" PRId64, i ? ", " : "[", attr_integer(attr, attrs, i));
        put(w, "]");
    }
}

static void put_attrs(writer *w, const bfi_node *node) {
    const char *separator = " {";
    for (int i = 0; i < BFI_ATTR_COUNT; i++) {
        if (attr_is_default(&bfi_attr_table[i], node)) continue;
        put(w, separator);
        put_attr(w, &bfi_attr_table[i], node);
        separator = ", ";
    }
    if (separator[0] == ',') put(w, "}");
}

/* What takes the place of a long list: its size, as the op sees it. */
static void put_elided(writer *w, const bfi_node *node, const bfi_numbers *numbers) {
    const bfi_window *g = &node->attrs.window;
    bool conv = node->op == BFI_OP_CONV || node->op == BFI_OP_CONV_TRANSPOSE;
    if (numbers == &node->weight && node->op == BFI_OP_LINEAR)
        putf(w, "<elided %" PRId64 "x%" PRId64 ">", node->attrs.n, node->attrs.k);
    else if (numbers == &node->weight && conv && g->kh > 0 && g->kw > 0)
        putf(w, "<elided %" PRId64 "x%" PRId64 "x%" PRId64 ">", numbers->count / g->kh / g->kw,
             g->kh, g->kw);
    else
        putf(w, "<elided %" PRId64 ">", numbers->count);
}

static void put_numbers(writer *w, const bfi_node *node, const char *name,
                        const bfi_numbers *numbers, unsigned flags) {
    if (numbers->count == 0) return;
    putf(w, "\n        %s=", name);
    if ((flags & BFI_TEXT_ELIDE) && numbers->count > BFI_TEXT_ELIDE_ABOVE) {
        put_elided(w, node, numbers);
        return;
    }
    for (int64_t i = 0; i < numbers->count && !w->failed; i++) {
        put(w, i == 0 ? "[" : i % 16 ? ", " : ",\n            ");
        put_number(w, numbers->data[i]);
    }
    put(w, "]");
}

static void put_indices(writer *w, const bfi_node *node, unsigned flags) {
    if (node->n_indices == 0) return;
    put(w, "\n        indices=");
    if ((flags & BFI_TEXT_ELIDE) && node->n_indices > BFI_TEXT_ELIDE_ABOVE) {
        putf(w, "<elided %" PRId64 ">", node->n_indices);
    } else {
        for (int64_t i = 0; i < node->n_indices && !w->failed; i++)
            putf(w, "%s%" PRId64,
                 i == 0   ? "["
                 : i % 16 ? ", "
                          : ",\n            ",
                 node->indices[i]);
        put(w, "]");
    }
    if (node->op == BFI_OP_GATHER || node->indices_shape.rank != 0) {
        put(w, " as ");
        put_shape(w, &node->indices_shape);
    }
}

static void put_node(writer *w, const bfi_graph *graph, int id, unsigned flags) {
    const bfi_node *node = &graph->nodes[id];
    putf(w, "    %%%d = %s", id, bfi_op_name(node->op));
    for (int i = 0; i < node->n_inputs; i++) putf(w, "%s%%%d", i ? ", " : "(", node->inputs[i]);
    if (node->n_inputs) put(w, ")");
    if (node->name[0]) {
        put(w, " ");
        put_string(w, node->name);
    }
    if (node->onnx_op[0]) {
        put(w, " onnx=");
        put_string(w, node->onnx_op);
    }
    put_attrs(w, node);
    put(w, id == 0 ? graph->is_float64 ? " : f64" : " : f32" : " : ");
    put_shape(w, &node->shape);
    put_numbers(w, node, "weight", &node->weight, flags);
    put_numbers(w, node, "bias", &node->bias, flags);
    put_numbers(w, node, "bias_error", &node->bias_error, flags);
    put_indices(w, node, flags);
    put(w, "\n");
}

/* Hands the grown block back, or what was there before. */
static bf_status finish(writer *w, char **out, size_t *size, bf_error *err) {
    if (w->data) *out = w->data;
    if (!w->failed) {
        *size = w->size;
        return BF_STATUS_OK;
    }
    if (w->data) w->data[*size] = '\0';
    return bfi_fail_memory(err);
}

static writer start(char *out, size_t size) {
    return (writer){.data = out, .size = size, .capacity = out ? size + 1 : 0};
}

bf_status bfi_graph_print(const bfi_graph *graph, unsigned flags, char **out, size_t *size,
                          bf_error *err) {
    writer w = start(*out, *size);
    put(&w, "graph ");
    put_string(&w, graph->source);
    if (graph->input_name[0]) {
        put(&w, " input ");
        put_string(&w, graph->input_name);
    }
    if (graph->output_name[0]) {
        put(&w, " output ");
        put_string(&w, graph->output_name);
    }
    put(&w, " {\n");
    for (int id = 0; id < graph->count && !w.failed; id++) put_node(&w, graph, id, flags);
    putf(&w, "    output %%%d\n}\n", graph->output);
    return finish(&w, out, size, err);
}

static void put_buffer(writer *w, const bfi_buffer *buffer, int id) {
    putf(w, "    buffer b%d : %" PRId64, id, buffer->count);
    if (buffer->first != -1 || buffer->last != -1)
        putf(w, " live %d..%d", buffer->first, buffer->last);
    if (buffer->offset != -1) putf(w, " at %" PRId64, buffer->offset);
    if (buffer->alias_of != -1) putf(w, " alias b%d", buffer->alias_of);
    put(w, "\n");
}

/* What |node| is, for people. */
static void put_comment(writer *w, const bfi_graph *graph, int node) {
    if (!graph || node < 0 || node >= graph->count) return;
    put(w, "  ; ");
    put(w, bfi_op_name(graph->nodes[node].op));
    if (!graph->nodes[node].name[0]) return;
    put(w, " ");
    put_string(w, graph->nodes[node].name);
}

static void put_back_op(writer *w, const bfi_back_op *op, const bfi_graph *graph) {
    putf(w, "    %s %%%d", bfi_back_name(op->kind), op->node);
    if (op->which) putf(w, "[%d]", op->which);
    if (op->a != -1) putf(w, " b%d", op->a);
    if (op->b != -1) putf(w, " b%d", op->b);
    if (op->c != -1) putf(w, " b%d", op->c);
    if (op->out != -1) putf(w, " -> b%d", op->out);
    put_comment(w, graph, op->node);
    put(w, "\n");
}

bf_status bfi_program_print(const bfi_program *program, const bfi_graph *graph, char **out,
                            size_t *size, bf_error *err) {
    writer w = start(*out, *size);
    putf(&w, "program target=%%%d spec=%s", program->target, program->spec ? "true" : "false");
    if (program->height) putf(&w, " height=%" PRId64, program->height);
    if (program->loop) putf(&w, " loop=%d", program->loop);
    if (program->shared) put(&w, " shared");
    if (bfi_program_optimises(program)) putf(&w, " adjoint=%d", program->adjoint);
    if (program->mix < program->op_count) putf(&w, " mix=%d", program->mix);
    put(&w, " {\n");
    for (int i = 0; i < program->buffer_count && !w.failed; i++)
        put_buffer(&w, &program->buffers[i], i);
    for (int i = 0; i < program->op_count && !w.failed; i++)
        put_back_op(&w, &program->ops[i], graph);
    put(&w, "}\n");
    return finish(&w, out, size, err);
}

static void put_step(writer *w, const bfi_step *step, const bfi_graph *graph) {
    putf(w, "        %s %%%d", bfi_step_kind_name(step->kind), step->node);
    if (step->program != -1) putf(w, " program p%d", step->program);
    put_comment(w, graph, step->node);
    put(w, "\n");
}

static void put_task(writer *w, const bfi_task_graph *tasks, int id, const bfi_graph *graph) {
    const bfi_task *task = &tasks->tasks[id];
    putf(w, "    task t%d %s wave %d", id, bfi_task_kind_name(task->kind), task->wave);
    for (int i = 0; i < task->edge_count && !w->failed; i++) {
        const bfi_task_edge *edge = &tasks->edges[task->first_edge + i];
        putf(w, "%s t%d(%%%d)", i ? "" : " needs", edge->from, edge->value);
    }
    put(w, " {\n");
    for (int i = 0; i < task->count && !w->failed; i++)
        put_step(w, &tasks->steps[task->first + i], graph);
    put(w, "    }\n");
}

bf_status bfi_task_graph_print(const bfi_task_graph *tasks, const bfi_graph *graph, char **out,
                               size_t *size, bf_error *err) {
    writer w = start(*out, *size);
    putf(&w, "tasks waves=%d {\n", tasks->wave_count);
    for (int i = 0; i < tasks->task_count && !w.failed; i++) put_task(&w, tasks, i, graph);
    put(&w, "}\n");
    return finish(&w, out, size, err);
}
