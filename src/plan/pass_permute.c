#include "plan/pass_permute.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/pass_simplify.h"

/* How a value of the old graph is held: as it is, or (permuted) as another order of its elements:
 * value = reshape(transpose(held, perm)) with |held| of |shape|. */
typedef struct carried {
    int id; /* value of the new graph */
    bool permuted;
    int64_t perm[BFI_MAX_RANK];
    bfi_shape shape;
    int last; /* the transpose met last: it is the one to stay if this cannot go on */
} carried;

typedef enum action {
    COPY,       /* as it is */
    RESHAPED,   /* a transpose that has become a reshape */
    TRANSPOSED, /* a transpose that stays */
    CONSTANT,   /* a transpose of a constant */
    CARRY,      /* emits nothing */
    SAME,       /* an elementwise op on the held order */
    COLUMNS,    /* a linear with permuted columns */
    BLOCK       /* an input is needed in its own order */
} action;

typedef struct mover {
    const bfi_graph *in;
    bfi_graph *out;
    carried *at;                 /* by value of |in| */
    bfi_permute_entry **entries; /* by value of |in|, NULL: no transpose */
    bool *stays;
    bfi_permute_report *report;
    bf_error *err;
} mover;

const char *bfi_permute_mark_name(bfi_permute_mark mark) {
    static const char *const names[] = {"folded", "movable", "fixed"};
    assert((unsigned)mark < sizeof names / sizeof *names);
    return names[mark];
}

static void explain(bfi_permute_entry *entry, bfi_permute_mark mark, const char *fmt, ...)
    BF_PRINTF(3, 4);
static void explain(bfi_permute_entry *entry, bfi_permute_mark mark, const char *fmt, ...) {
    va_list args;
    entry->mark = mark;
    va_start(args, fmt);
    vsnprintf(entry->text, sizeof entry->text, fmt, args);
    va_end(args);
}

/* ---- orders ---- */

static bfi_shape natural_shape(const carried *c) {
    bfi_shape shape = {.rank = c->shape.rank};
    for (int i = 0; i < shape.rank; i++) shape.dim[i] = c->shape.dim[c->perm[i]];
    return shape;
}

/* Element o of the value is element map[o] of what is held; NULL: out of memory. */
static int64_t *element_map(const carried *c, int64_t count) {
    int64_t *map = bfi_malloc((size_t)count, sizeof *map);
    int64_t stride[BFI_MAX_RANK], at[BFI_MAX_RANK] = {0}, step = 1;
    bfi_shape shape = natural_shape(c);
    for (int i = shape.rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= c->shape.dim[i];
    }
    for (int64_t o = 0; map && o < count; o++) {
        map[o] = 0;
        for (int i = 0; i < shape.rank; i++) map[o] += at[i] * stride[c->perm[i]];
        for (int i = shape.rank - 1; i >= 0 && ++at[i] == shape.dim[i]; i--) at[i] = 0;
    }
    return map;
}

static bool same_order(const carried *a, const carried *b) {
    return a->permuted && b->permuted && bfi_shape_equal(&a->shape, &b->shape) &&
           memcmp(a->perm, b->perm, (size_t)a->shape.rank * sizeof *a->perm) == 0;
}

/* The map moves elements within rows of |k|, the same way in every row. */
static bool keeps_rows(const int64_t *map, int64_t rows, int64_t k) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < k; i++)
            if (map[r * k + i] - r * k != map[i] || map[i] >= k) return false;
    return true;
}

/* ---- downwards: what becomes of one node ---- */

static action decide_transpose(const mover *m, int id, carried *result) {
    const bfi_node *node = &m->in->nodes[id], *x = &m->in->nodes[node->inputs[0]];
    const carried *from = &m->at[node->inputs[0]];
    if (x->op == BFI_OP_CONST) return CONSTANT;
    bfi_shape natural = from->permuted ? natural_shape(from) : x->shape;
    if (!bfi_shape_equal(&natural, &x->shape)) return BLOCK;
    carried joined = {
        .permuted = true, .shape = from->permuted ? from->shape : x->shape, .last = id};
    for (int i = 0; i < node->shape.rank; i++)
        joined.perm[i] = from->permuted ? from->perm[node->attrs.perm[i]] : node->attrs.perm[i];
    *result = joined;
    if (bfi_perm_keeps_order(&joined.shape, joined.perm)) return RESHAPED;
    return m->stays[id] ? TRANSPOSED : CARRY;
}

static bf_status decide_linear(const mover *m, const bfi_node *node, const carried *from,
                               action *what) {
    const bfi_attrs *a = &node->attrs;
    *what = COLUMNS;
    if (a->rows == 1) return BF_STATUS_OK;
    int64_t *map = element_map(from, a->rows * a->k);
    if (!map) return bfi_fail_memory(m->err);
    if (!keeps_rows(map, a->rows, a->k)) *what = BLOCK;
    free(map);
    return BF_STATUS_OK;
}

/* Both operands permuted alike, or one of them constant. */
static action decide_binary(const mover *m, const bfi_node *node, carried *result) {
    const carried *a = &m->at[node->inputs[0]], *b = &m->at[node->inputs[1]];
    *result = a->permuted ? *a : *b;
    const bfi_node *other = &m->in->nodes[node->inputs[a->permuted ? 1 : 0]];
    return other->op == BFI_OP_CONST || same_order(a, b) ? SAME : BLOCK;
}

/* |result| tells how the node's value is held when something is permuted. */
static bf_status decide(const mover *m, int id, action *what, carried *result) {
    const bfi_node *node = &m->in->nodes[id];
    bool permuted = false;
    *result = (carried){.last = -1};
    for (int k = 0; k < node->n_inputs; k++) permuted = permuted || m->at[node->inputs[k]].permuted;
    *what = COPY;
    if (node->op == BFI_OP_TRANSPOSE) {
        *what = decide_transpose(m, id, result);
    } else if (permuted && node->op == BFI_OP_LINEAR) {
        return decide_linear(m, node, &m->at[node->inputs[0]], what);
    } else if (permuted && node->op == BFI_OP_RESHAPE) {
        *what = CARRY;
        *result = m->at[node->inputs[0]];
    } else if (permuted && bfi_op_is_elementwise(node->op)) {
        *result = m->at[node->inputs[0]];
        *what = node->n_inputs == 2 ? decide_binary(m, node, result) : SAME;
    } else if (permuted) {
        *what = BLOCK;
    }
    return BF_STATUS_OK;
}

/* |reader| (-1: the network's output) needs value |value| in its own order: the last transpose
 * before it stays. */
static void pin(mover *m, int value, int reader) {
    int t = m->at[value].last;
    bool moved = value != t, outside = m->in->nodes[t].inputs[0] == 0;
    const char *name = m->in->nodes[t].name;
    bfi_permute_mark mark = moved ? BFI_PERMUTE_MOVABLE : BFI_PERMUTE_FIXED;
    m->stays[t] = true;
    if (reader < 0) {
        explain(m->entries[t], mark, "'%s': the network's output is read in this order (external)",
                name);
        return;
    }
    const bfi_node *node = &m->in->nodes[reader];
    explain(m->entries[t], mark, "'%s': %s'%s' (%s) needs %sin this order%s", name,
            moved ? "could move down, but " : "", node->name, bfi_op_name(node->op),
            node->n_inputs > 1 ? "an operand " : "its input ",
            outside ? ", and the network's input comes in another (external)" : "");
}

/* One sweep over the graph; *|pinned|: a transpose had to stay, so another sweep is due. */
static bf_status sweep(mover *m, bool *pinned) {
    *pinned = false;
    for (int id = 0; id < m->in->count; id++) {
        const bfi_node *node = &m->in->nodes[id];
        action what;
        carried result;
        bf_status status = decide(m, id, &what, &result);
        if (status != BF_STATUS_OK) return status;
        if (what == BLOCK) {
            int k = 0;
            while (!m->at[node->inputs[k]].permuted) k++;
            pin(m, node->inputs[k], id);
            *pinned = true;
            return BF_STATUS_OK;
        }
        bool held = what == CARRY || what == SAME;
        m->at[id] = held ? result : (carried){.last = -1};
    }
    if (m->at[m->in->output].permuted) {
        pin(m, m->in->output, -1);
        *pinned = true;
    }
    return BF_STATUS_OK;
}

/* ---- downwards: building the new graph ---- */

/* Puts numbers in the held order, line by line of |width| (a whole row of a matrix, or 1);
 * rows == 1 for numbers per element. */
static bool permute_numbers(bfi_numbers *numbers, const int64_t *map, int64_t rows, int64_t k,
                            bool gather) {
    if (numbers->count == 0) return true;
    assert(numbers->count == rows * k);
    double *data = bfi_malloc((size_t)numbers->count, sizeof *data);
    if (!data) return false;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < k; i++) {
            int64_t held = r * k + map[i], own = r * k + i;
            data[gather ? own : held] = numbers->data[gather ? held : own];
        }
    int64_t count = numbers->count;
    bfi_numbers_clear(numbers);
    *numbers = (bfi_numbers){.data = data, .count = count};
    return true;
}

/* A reshape of |from| to |shape| with the names of |like|; nothing when it has that shape. -1: out
 * of memory. */
static int emit_reshape(mover *m, int from, const bfi_shape *shape, const bfi_node *like) {
    const bfi_node *x = &m->out->nodes[from];
    if (x->op == BFI_OP_RESHAPE) from = x->inputs[0];
    if (bfi_shape_equal(&m->out->nodes[from].shape, shape)) return from;
    return bfi_graph_add(m->out, BFI_OP_RESHAPE, like->name, like->onnx_op, &from, 1, shape);
}

static int emit_copy(mover *m, const bfi_node *node) {
    int inputs_few[2], *inputs = inputs_few;
    if (node->n_inputs > 2) inputs = bfi_calloc((size_t)node->n_inputs, sizeof *inputs);
    if (!inputs) return -1;
    for (int k = 0; k < node->n_inputs; k++) inputs[k] = m->at[node->inputs[k]].id;
    int id = node->op == BFI_OP_RESHAPE ? emit_reshape(m, inputs[0], &node->shape, node)
                                        : bfi_graph_add_like(m->out, node, inputs);
    if (inputs != inputs_few) free(inputs);
    return id;
}

static int emit_transpose(mover *m, const bfi_node *node, const carried *joined) {
    int from = m->at[node->inputs[0]].id;
    int id = bfi_graph_add_like(m->out, node, &from);
    if (id >= 0) memcpy(m->out->nodes[id].attrs.perm, joined->perm, sizeof joined->perm);
    return id;
}

/* The constant |node| in the order given by |c|: by its inverse when |held|, else the transposed.
 */
static int emit_constant(mover *m, const bfi_node *node, const carried *c, const bfi_shape *shape,
                         bool gather) {
    int64_t *map = element_map(c, node->count);
    int id = map ? bfi_graph_add_like(m->out, node, NULL) : -1;
    if (id >= 0) {
        m->out->nodes[id].shape = *shape;
        if (!permute_numbers(&m->out->nodes[id].weight, map, 1, node->count, gather)) id = -1;
    }
    free(map);
    return id;
}

static int emit_transposed_constant(mover *m, const bfi_node *node) {
    const bfi_node *x = &m->in->nodes[node->inputs[0]];
    carried c = {.permuted = true, .shape = x->shape};
    memcpy(c.perm, node->attrs.perm, sizeof c.perm);
    return emit_constant(m, x, &c, &node->shape, true);
}

/* An elementwise op on the held order of its permuted operands. */
static int emit_same(mover *m, const bfi_node *node, const carried *order) {
    int inputs[2] = {-1, -1};
    for (int k = 0; k < node->n_inputs; k++) {
        const carried *from = &m->at[node->inputs[k]];
        inputs[k] = from->id;
        if (!from->permuted)
            inputs[k] =
                emit_constant(m, &m->in->nodes[node->inputs[k]], order, &order->shape, false);
        if (inputs[k] < 0) return -1;
    }
    int id = bfi_graph_add_like(m->out, node, inputs);
    if (id < 0) return -1;
    bfi_node *made = &m->out->nodes[id];
    made->shape = order->shape;
    if (node->op != BFI_OP_SCALE_SHIFT) return id;
    int64_t *map = element_map(order, node->count);
    bool ok = map && permute_numbers(&made->weight, map, 1, node->count, false) &&
              permute_numbers(&made->bias, map, 1, node->count, false) &&
              permute_numbers(&made->bias_error, map, 1, node->count, false);
    free(map);
    return ok ? id : -1;
}

static int emit_columns(mover *m, const bfi_node *node) {
    const carried *from = &m->at[node->inputs[0]];
    const bfi_node *x = &m->in->nodes[node->inputs[0]];
    int flat = emit_reshape(m, from->id, &x->shape, x);
    int id = flat < 0 ? -1 : bfi_graph_add_like(m->out, node, &flat);
    int64_t *map = element_map(from, x->count);
    bool ok = id >= 0 && map &&
              permute_numbers(&m->out->nodes[id].weight, map, node->attrs.n, node->attrs.k, false);
    free(map);
    if (ok && from->last >= 0)
        explain(m->entries[from->last], BFI_PERMUTE_FOLDED, "'%s': folded into the columns of '%s'",
                m->in->nodes[from->last].name, node->name);
    return ok ? id : -1;
}

static int emit(mover *m, int id, action what, const carried *result) {
    const bfi_node *node = &m->in->nodes[id];
    int x = node->n_inputs ? node->inputs[0] : -1;
    bfi_permute_entry *entry = m->entries[id];
    if (entry && what == CARRY)
        explain(entry, BFI_PERMUTE_FOLDED, "'%s': folded together with what follows it",
                node->name);
    switch (what) {
        case CARRY:
            return m->at[x].id;
        case RESHAPED:
            explain(entry, BFI_PERMUTE_FOLDED, "'%s': moves no element, a reshape%s", node->name,
                    m->at[x].permuted ? " together with the one before it" : "");
            return emit_reshape(m, m->at[x].id, &node->shape, node);
        case TRANSPOSED:
            return emit_transpose(m, node, result);
        case CONSTANT:
            explain(entry, BFI_PERMUTE_FOLDED, "'%s': folded into the constant '%s'", node->name,
                    m->in->nodes[x].name);
            return emit_transposed_constant(m, node);
        case SAME:
            return emit_same(m, node, result);
        case COLUMNS:
            return emit_columns(m, node);
        default:
            assert(what == COPY);
            return emit_copy(m, node);
    }
}

static bf_status build(mover *m) {
    for (int id = 0; id < m->in->count; id++) {
        action what;
        carried result;
        bf_status status = decide(m, id, &what, &result);
        if (status != BF_STATUS_OK) return status;
        int made = emit(m, id, what, &result);
        if (made < 0) return bfi_fail_memory(m->err);
        m->at[id] = what == CARRY || what == SAME ? result : (carried){.last = -1};
        m->at[id].id = made;
    }
    m->out->output = m->at[m->in->output].id;
    return BF_STATUS_OK;
}

/* ---- upwards ---- */

/* The chain of ops above transpose |t| that only it reads ends in a linear of one row or a
 * constant: that node, else -1. */
static int chain_end(const bfi_graph *graph, const int *readers, int t) {
    int v = graph->nodes[t].inputs[0];
    for (;; v = graph->nodes[v].inputs[0]) {
        const bfi_node *node = &graph->nodes[v];
        if (readers[v] != 1) return -1;
        if (node->op == BFI_OP_CONST) return v;
        if (node->op == BFI_OP_LINEAR) return node->attrs.rows == 1 ? v : -1;
        bool passes =
            node->op == BFI_OP_RESHAPE || (bfi_op_is_elementwise(node->op) && node->n_inputs == 1);
        if (!passes) return -1;
    }
}

static bool permute_rows(bfi_node *linear, const int64_t *map) {
    int64_t n = linear->attrs.n, k = linear->attrs.k;
    double *rows = bfi_malloc((size_t)(n * k), sizeof *rows);
    if (!rows) return false;
    for (int64_t i = 0; i < n; i++)
        memcpy(rows + i * k, linear->weight.data + map[i] * k, (size_t)k * sizeof *rows);
    bfi_numbers_clear(&linear->weight);
    linear->weight = (bfi_numbers){.data = rows, .count = n * k};
    return permute_numbers(&linear->bias, map, 1, n, true) &&
           permute_numbers(&linear->bias_error, map, 1, n, true);
}

/* Element o of every value of the chain becomes what element map[o] was; below its first reshape
 * the chain takes the transpose's shape. */
static bool permute_chain(mover *m, int t, int end, const int64_t *map) {
    bfi_node *top = &m->out->nodes[t];
    bool shaped = false;
    for (int v = top->inputs[0];; v = m->out->nodes[v].inputs[0]) {
        bfi_node *node = &m->out->nodes[v];
        if (!shaped) node->shape = top->shape;
        shaped = shaped || node->op == BFI_OP_RESHAPE;
        for (int i = 0; i < m->in->count; i++)
            if (m->at[i].id == v) m->at[i].id = -1;
        bool numbers = node->op == BFI_OP_SCALE_SHIFT || node->op == BFI_OP_CONST;
        if (numbers && (!permute_numbers(&node->weight, map, 1, node->count, true) ||
                        !permute_numbers(&node->bias, map, 1, node->count, true) ||
                        !permute_numbers(&node->bias_error, map, 1, node->count, true)))
            return false;
        if (node->op == BFI_OP_LINEAR && !permute_rows(node, map)) return false;
        if (v == end) break;
    }
    top->op = BFI_OP_RESHAPE;
    top->attrs = (bfi_attrs){0};
    return true;
}

static bf_status hoist(mover *m, const int *readers, int t, bfi_permute_entry *entry) {
    int end = chain_end(m->out, readers, t);
    if (end < 0) return BF_STATUS_OK;
    const bfi_node *node = &m->out->nodes[t];
    carried c = {.permuted = true, .shape = m->out->nodes[node->inputs[0]].shape};
    memcpy(c.perm, node->attrs.perm, sizeof c.perm);
    int64_t *map = element_map(&c, node->count);
    bool ok = map && permute_chain(m, t, end, map);
    free(map);
    if (!ok) return bfi_fail_memory(m->err);
    const bfi_node *last = &m->out->nodes[end];
    explain(entry, BFI_PERMUTE_FOLDED, "'%s': folded into %s '%s'", node->name,
            last->op == BFI_OP_LINEAR ? "the rows of" : "the constant", last->name);
    return BF_STATUS_OK;
}

static bf_status hoist_all(mover *m) {
    const bfi_graph *graph = m->out;
    int *readers = bfi_calloc((size_t)graph->count, sizeof *readers);
    bf_status status = readers ? BF_STATUS_OK : bfi_fail_memory(m->err);
    if (readers) readers[graph->output] = 1;
    for (int i = graph->output; readers && i >= 0; i--)
        for (int k = 0; readers[i] > 0 && k < graph->nodes[i].n_inputs; k++)
            readers[graph->nodes[i].inputs[k]]++;
    for (int i = 0; i < m->in->count && status == BF_STATUS_OK; i++)
        if (m->entries[i] && m->stays[i] && m->at[i].id >= 0 &&
            graph->nodes[m->at[i].id].op == BFI_OP_TRANSPOSE)
            status = hoist(m, readers, m->at[i].id, m->entries[i]);
    free(readers);
    return status;
}

/* ---- the pass ---- */

static bf_status start(mover *m) {
    size_t n = (size_t)m->in->count;
    int transposes = 0;
    for (int i = 0; i < m->in->count; i++) transposes += m->in->nodes[i].op == BFI_OP_TRANSPOSE;
    m->at = bfi_calloc(n, sizeof *m->at);
    m->entries = bfi_calloc(n, sizeof *m->entries);
    m->stays = bfi_calloc(n, sizeof *m->stays);
    m->report->entries = bfi_calloc((size_t)transposes, sizeof *m->report->entries);
    m->report->value_of = bfi_calloc(n, sizeof *m->report->value_of);
    m->out = bfi_graph_new();
    if (!m->at || !m->entries || !m->stays || !m->report->entries || !m->report->value_of ||
        !m->out)
        return bfi_fail_memory(m->err);
    for (int i = 0; i < m->in->count; i++) {
        if (m->in->nodes[i].op != BFI_OP_TRANSPOSE) continue;
        m->entries[i] = &m->report->entries[m->report->count++];
        m->entries[i]->node = i;
    }
    return BF_STATUS_OK;
}

/* Names, dead nodes, and where the old values are. */
static bf_status finish(mover *m) {
    bfi_graph *out = m->out;
    int *new_id = bfi_calloc((size_t)out->count, sizeof *new_id);
    bool ok = new_id && bfi_graph_copy_names(out, m->in) && bfi_graph_prune_map(out, new_id);
    for (int i = 0; ok && i < m->in->count; i++) {
        bool there = !m->at[i].permuted && m->at[i].id >= 0;
        m->report->value_of[i] = there ? new_id[m->at[i].id] : -1;
    }
    for (int i = 0; i < m->report->count; i++)
        m->report->folded += m->report->entries[i].mark == BFI_PERMUTE_FOLDED;
    free(new_id);
    return ok ? BF_STATUS_OK : bfi_fail_memory(m->err);
}

bf_status bfi_pass_permute(const bfi_graph *in, bfi_graph **out, bfi_permute_report *report,
                           bf_error *err) {
    mover m = {.in = in, .report = report, .err = err};
    bool pinned = true;
    *report = (bfi_permute_report){0};
    bf_status status = start(&m);
    while (status == BF_STATUS_OK && pinned) status = sweep(&m, &pinned);
    if (status == BF_STATUS_OK) status = build(&m);
    if (status == BF_STATUS_OK) status = hoist_all(&m);
    if (status == BF_STATUS_OK) status = finish(&m);
    free(m.at);
    free(m.entries);
    free(m.stays);
    if (status == BF_STATUS_OK) {
        *out = m.out;
        return status;
    }
    bfi_graph_free(m.out);
    bfi_permute_report_clear(report);
    return status;
}

void bfi_permute_report_clear(bfi_permute_report *report) {
    free(report->entries);
    free(report->value_of);
    *report = (bfi_permute_report){0};
}
