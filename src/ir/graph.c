#include "ir/graph.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static const struct {
    const char *name;
    bfi_op_class cls;
} ops[] = {
#define BF_OP(NAME, text, arity, cls, meaning) {text, BFI_CLASS_##cls},
#include "ir/op.def"
#undef BF_OP
};

const char *bfi_op_name(bfi_op op) { return (unsigned)op < BFI_OP_COUNT ? ops[op].name : "?"; }

bfi_op_class bfi_op_class_of(bfi_op op) {
    assert((unsigned)op < BFI_OP_COUNT);
    return ops[op].cls;
}

bfi_op bfi_op_from_name(const char *name) {
    for (unsigned op = 0; op < BFI_OP_COUNT; op++)
        if (strcmp(ops[op].name, name) == 0) return (bfi_op)op;
    return BFI_OP_COUNT;
}

bool bfi_op_is_nonlinear(bfi_op op) {
    bfi_op_class c = bfi_op_class_of(op);
    return c == BFI_CLASS_UNARY || c == BFI_CLASS_NONLINEAR;
}

int bfi_value_root(const bfi_graph *graph, int id) {
    assert(id >= 0 && id < graph->count);
    while (graph->nodes[id].op == BFI_OP_RESHAPE) {
        assert(graph->nodes[id].inputs[0] < id);
        id = graph->nodes[id].inputs[0];
    }
    return id;
}

bool bfi_op_is_elementwise(bfi_op op) {
    switch (op) {
        case BFI_OP_SCALE_SHIFT:
        case BFI_OP_ADD:
        case BFI_OP_SUB:
        case BFI_OP_MUL:
        case BFI_OP_DIV:
        case BFI_OP_MAX:
        case BFI_OP_MIN:
            return true;
        default:
            return bfi_op_class_of(op) == BFI_CLASS_UNARY;
    }
}

int64_t bfi_shape_count(const bfi_shape *shape, int64_t limit) {
    int64_t count = 1;
    bool empty = false;
    if (shape->rank < 0 || shape->rank > BFI_MAX_RANK) return -1;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0) return -1;
        if (shape->dim[i] == 0) empty = true;
    }
    if (empty) return 0;
    for (int i = 0; i < shape->rank; i++)
        if (!bfi_mul_i64(count, shape->dim[i], &count)) return -1;
    return count <= limit ? count : -1;
}

const char *bfi_shape_text(const bfi_shape *shape, char *buf, size_t size) {
    size_t used = 0;
    assert(size > 0);
    buf[0] = '\0';
    for (int i = 0; i < shape->rank && used < size; i++) {
        int n = snprintf(buf + used, size - used, "%c%" PRId64, i ? ',' : '[', shape->dim[i]);
        if (n > 0) used += (size_t)n;
    }
    if (used < size) snprintf(buf + used, size - used, "%s", shape->rank ? "]" : "[]");
    return buf;
}

bool bfi_shape_equal(const bfi_shape *a, const bfi_shape *b) {
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

bfi_graph *bfi_graph_new(void) {
    bfi_graph *graph = bfi_calloc(1, sizeof *graph);
    if (!graph) return NULL;
    graph->source = bfi_strdup("");
    graph->input_name = bfi_strdup("");
    graph->output_name = bfi_strdup("");
    if (!graph->source || !graph->input_name || !graph->output_name) {
        bfi_graph_free(graph);
        return NULL;
    }
    return graph;
}

void bfi_numbers_clear(bfi_numbers *numbers) {
    if (!numbers->borrowed) free(numbers->data);
    *numbers = (bfi_numbers){0};
}

static void clear_node(bfi_node *node) {
    free(node->name);
    free(node->onnx_op);
    free(node->inputs);
    bfi_numbers_clear(&node->weight);
    bfi_numbers_clear(&node->bias);
    bfi_numbers_clear(&node->bias_error);
    free(node->indices);
}

void bfi_graph_free(bfi_graph *graph) {
    if (!graph) return;
    for (int i = 0; i < graph->count; i++) clear_node(&graph->nodes[i]);
    free(graph->nodes);
    free(graph->source);
    free(graph->input_name);
    free(graph->output_name);
    free(graph->inputs);
    free(graph->outputs);
    free(graph);
}

int bfi_graph_add(bfi_graph *graph, bfi_op op, const char *name, const char *onnx_op,
                  const int *inputs, int n_inputs, const bfi_shape *shape) {
    int64_t count = bfi_shape_count(shape, INT64_MAX);
    assert((unsigned)op < BFI_OP_COUNT && count >= 0 && n_inputs >= 0);
    if (graph->count == INT32_MAX) return -1;
    void *nodes = graph->nodes;
    if (!bfi_grow(&nodes, &graph->capacity, (size_t)graph->count + 1, sizeof *graph->nodes))
        return -1;
    graph->nodes = nodes;
    bfi_node node = {.op = op, .n_inputs = n_inputs, .shape = *shape, .count = count};
    node.name = bfi_strdup(name);
    node.onnx_op = bfi_strdup(onnx_op);
    node.inputs = bfi_calloc((size_t)n_inputs, sizeof *node.inputs);
    if (!node.name || !node.onnx_op || !node.inputs) {
        clear_node(&node);
        return -1;
    }
    for (int i = 0; i < n_inputs; i++) {
        assert(inputs[i] >= 0 && inputs[i] < graph->count);
        node.inputs[i] = inputs[i];
    }
    graph->nodes[graph->count] = node;
    return graph->count++;
}

static bfi_numbers borrow(const bfi_numbers *numbers) {
    return (bfi_numbers){.data = numbers->data, .count = numbers->count, .borrowed = true};
}

int bfi_graph_add_like(bfi_graph *graph, const bfi_node *like, const int *inputs) {
    int64_t *indices = NULL;
    if (like->indices) {
        indices = bfi_malloc((size_t)like->n_indices, sizeof *indices);
        if (!indices) return -1;
        memcpy(indices, like->indices, (size_t)like->n_indices * sizeof *indices);
    }
    int id = bfi_graph_add(graph, like->op, like->name, like->onnx_op, inputs, like->n_inputs,
                           &like->shape);
    if (id < 0) {
        free(indices);
        return -1;
    }
    bfi_node *node = &graph->nodes[id];
    node->attrs = like->attrs;
    node->weight = borrow(&like->weight);
    node->bias = borrow(&like->bias);
    node->bias_error = borrow(&like->bias_error);
    node->indices = indices;
    node->n_indices = like->n_indices;
    node->indices_shape = like->indices_shape;
    return id;
}

static bool copy_text(char **to, const char *from) {
    char *copy = bfi_strdup(from);
    if (!copy) return false;
    free(*to);
    *to = copy;
    return true;
}

bool bfi_graph_copy_names(bfi_graph *graph, const bfi_graph *from) {
    graph->is_float64 = from->is_float64;
    return copy_text(&graph->source, from->source) &&
           copy_text(&graph->input_name, from->input_name) &&
           copy_text(&graph->output_name, from->output_name);
}

bfi_graph *bfi_graph_view(const bfi_graph *graph) {
    bfi_graph *view = bfi_graph_new();
    bool ok = view && bfi_graph_copy_names(view, graph);
    for (int id = 0; ok && id < graph->count; id++)
        ok = bfi_graph_add_like(view, &graph->nodes[id], graph->nodes[id].inputs) == id;
    if (!ok) {
        bfi_graph_free(view);
        return NULL;
    }
    view->output = graph->output;
    return view;
}

bool bfi_graph_prune_map(bfi_graph *graph, int *new_id) {
    if (graph->count == 0) return true;
    assert(graph->output >= 0 && graph->output < graph->count);
    int *id = bfi_calloc((size_t)graph->count, sizeof *id); /* 0: unused, then new id */
    if (!id) return false;
    id[0] = id[graph->output] = 1;
    for (int i = graph->output; i > 0; i--)
        for (int k = 0; id[i] && k < graph->nodes[i].n_inputs; k++)
            id[graph->nodes[i].inputs[k]] = 1;
    int kept = 0;
    for (int i = 0; i < graph->count; i++) {
        bfi_node *node = &graph->nodes[i];
        if (new_id) new_id[i] = id[i] ? kept : -1;
        if (!id[i]) {
            clear_node(node);
            continue;
        }
        for (int k = 0; k < node->n_inputs; k++) node->inputs[k] = id[node->inputs[k]];
        id[i] = kept;
        if (kept != i) graph->nodes[kept] = *node;
        kept++;
    }
    graph->output = id[graph->output];
    graph->count = kept;
    free(id);
    return true;
}

bool bfi_graph_prune(bfi_graph *graph) { return bfi_graph_prune_map(graph, NULL); }

/* True when |data| has the same value at all positions along |axis|. */
static bool constant_along(const double *data, const bfi_shape *shape, int axis) {
    int64_t inner = 1, outer = 1, n = shape->dim[axis];
    for (int i = 0; i < axis; i++) outer *= shape->dim[i];
    for (int i = axis + 1; i < shape->rank; i++) inner *= shape->dim[i];
    for (int64_t o = 0; o < outer; o++) {
        const double *first = data + o * n * inner;
        for (int64_t i = inner; i < n * inner; i++)
            if (first[i] != first[i - inner]) return false;
    }
    return true;
}

/* Elements of the smallest array that broadcasts to |numbers|: undoes the expansion made at import.
 */
static int64_t broadcast_source_count(const bfi_numbers *numbers, const bfi_shape *shape) {
    int64_t count = 1;
    if (numbers->count == 0) return 0;
    for (int axis = 0; axis < shape->rank; axis++)
        if (!constant_along(numbers->data, shape, axis)) count *= shape->dim[axis];
    return count;
}

int64_t bfi_node_parameters(const bfi_node *node) {
    switch (node->op) {
        case BFI_OP_LINEAR:
        case BFI_OP_CONV:
        case BFI_OP_CONV_TRANSPOSE:
            return node->weight.count + node->bias.count;
        case BFI_OP_SCALE_SHIFT:
            return broadcast_source_count(&node->weight, &node->shape) +
                   broadcast_source_count(&node->bias, &node->shape);
        default:
            return 0;
    }
}

static int64_t saturating_product(const int64_t *factors, int n) {
    int64_t product = 1;
    for (int i = 0; i < n; i++)
        if (!bfi_mul_i64(product, factors[i], &product)) return INT64_MAX;
    return product;
}

int64_t bfi_node_flops(const bfi_graph *graph, int id) {
    const bfi_node *node = &graph->nodes[id];
    const bfi_attrs *a = &node->attrs;
    const bfi_window *w = &a->window;
    switch (node->op) {
        case BFI_OP_LINEAR:
            return saturating_product((int64_t[]){2, a->rows, a->k, a->n}, 4);
        case BFI_OP_MATMUL:
            return saturating_product((int64_t[]){2, a->batch, a->rows, a->k, a->n}, 5);
        case BFI_OP_CONV:
            return saturating_product(
                (int64_t[]){2, node->count, w->c_in / w->groups, w->kh, w->kw}, 5);
        case BFI_OP_CONV_TRANSPOSE:
            return saturating_product((int64_t[]){2, graph->nodes[node->inputs[0]].count,
                                                  w->c_out / w->groups, w->kh, w->kw},
                                      5);
        case BFI_OP_MAX_POOL:
        case BFI_OP_AVERAGE_POOL:
            return saturating_product((int64_t[]){node->count, w->kh, w->kw}, 3);
        case BFI_OP_REDUCE_SUM:
        case BFI_OP_REDUCE_MEAN:
            return graph->nodes[node->inputs[0]].count;
        case BFI_OP_SCALE_SHIFT:
            return (node->weight.count ? node->count : 0) + (node->bias.count ? node->count : 0);
        default:
            break;
    }
    bfi_op_class cls = bfi_op_class_of(node->op);
    bool copies = cls == BFI_CLASS_SOURCE || cls == BFI_CLASS_ALIAS || cls == BFI_CLASS_STRUCTURAL;
    return copies ? 0 : node->count;
}
