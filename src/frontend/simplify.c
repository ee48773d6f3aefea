#include "frontend/simplify.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

typedef struct pass {
    bfi_graph *graph;
    int *replaced; /* value to use instead of value i */
    int *readers;  /* number of uses of value i, the output counting as one */
} pass;

static const bfi_node *input_of(const pass *p, const bfi_node *node) {
    return &p->graph->nodes[node->inputs[0]];
}

static void set_input(pass *p, bfi_node *node, int k, int value) {
    p->readers[node->inputs[k]]--;
    p->readers[value]++;
    node->inputs[k] = value;
}

/* True when the axes longer than 1 keep their order. */
static bool keeps_order(const bfi_node *x, const int64_t *perm) {
    int64_t last = -1;
    for (int i = 0; i < x->shape.rank; i++) {
        if (x->shape.dim[perm[i]] == 1) continue;
        if (perm[i] < last) return false;
        last = perm[i];
    }
    return true;
}

static void make_reshape(bfi_node *node) {
    node->op = BFI_OP_RESHAPE;
    node->attrs = (bfi_attrs){0};
}

static void join_transposes(pass *p, bfi_node *node) {
    const bfi_node *x = input_of(p, node);
    if (node->op == BFI_OP_TRANSPOSE && x->op == BFI_OP_TRANSPOSE) {
        for (int i = 0; i < node->shape.rank; i++)
            node->attrs.perm[i] = x->attrs.perm[node->attrs.perm[i]];
        set_input(p, node, 0, x->inputs[0]);
        x = input_of(p, node);
    }
    if (node->op == BFI_OP_TRANSPOSE && keeps_order(x, node->attrs.perm)) make_reshape(node);
}

static void join_reshapes(pass *p, bfi_node *node) {
    const bfi_node *x = input_of(p, node);
    if (node->op == BFI_OP_RESHAPE && x->op == BFI_OP_RESHAPE) set_input(p, node, 0, x->inputs[0]);
}

static bool is_neutral(const pass *p, const bfi_node *node) {
    const bfi_node *x = input_of(p, node);
    if (!bfi_shape_equal(&node->shape, &x->shape)) return false;
    switch (node->op) {
        case BFI_OP_RESHAPE:
        case BFI_OP_EXPAND:
            return true;
        case BFI_OP_SCALE_SHIFT:
            return node->weight.count == 0 && node->bias.count == 0 && node->attrs.roundings == 0;
        case BFI_OP_PAD:
        case BFI_OP_SLICE:
            for (int i = 0; i < node->shape.rank; i++)
                if (node->attrs.start[i] != 0 ||
                    (node->op == BFI_OP_SLICE && node->attrs.step[i] < 0))
                    return false;
            return true;
        default:
            return false;
    }
}

/* Elements per bias entry, and number of entries, of a node that may take a bias; 0: none may. */
static int64_t bias_layout(const bfi_node *x, int64_t *entries) {
    if (x->bias.count > 0) return 0;
    if (x->op == BFI_OP_LINEAR) {
        *entries = x->attrs.n;
        return 1;
    }
    if (x->op == BFI_OP_CONV || x->op == BFI_OP_CONV_TRANSPOSE) {
        *entries = x->attrs.window.c_out;
        return x->count / *entries;
    }
    return 0;
}

/* The only reader may reshape a constant in place. */
static bool reshape_constant(pass *p, const bfi_node *node) {
    bfi_node *x = &p->graph->nodes[node->inputs[0]];
    if (node->op != BFI_OP_RESHAPE || x->op != BFI_OP_CONST || p->readers[node->inputs[0]] != 1)
        return false;
    x->shape = node->shape;
    return true;
}

/* MatMul followed by Add, perhaps behind reshapes, is a linear node with a bias, whatever the order
 * of the float32 sum. */
static bool merge_bias(pass *p, bfi_node *node) {
    int source = node->inputs[0];
    while (p->graph->nodes[source].op == BFI_OP_RESHAPE && p->readers[source] == 1)
        source = p->graph->nodes[source].inputs[0];
    bfi_node *x = &p->graph->nodes[source];
    int64_t entries, inner = bias_layout(x, &entries);
    if (node->op != BFI_OP_SCALE_SHIFT || inner == 0 || p->readers[source] != 1) return false;
    if (node->weight.count != 0 || node->bias.count == 0 || node->attrs.roundings > 1 ||
        node->attrs.const_ulps != 0)
        return false;
    for (int64_t i = 0; i < node->count; i++)
        if (node->bias.data[i] != node->bias.data[i / inner % entries * inner]) return false;
    for (int64_t e = 0; e < entries; e++) node->bias.data[e] = node->bias.data[e * inner];
    x->bias = (bfi_numbers){.data = node->bias.data, .count = entries};
    node->bias = (bfi_numbers){0};
    return true;
}

static void visit(pass *p, int id) {
    bfi_node *node = &p->graph->nodes[id];
    for (int k = 0; k < node->n_inputs; k++) node->inputs[k] = p->replaced[node->inputs[k]];
    if (node->n_inputs != 1) return;
    join_transposes(p, node);
    join_reshapes(p, node);
    if (is_neutral(p, node) || reshape_constant(p, node) || merge_bias(p, node)) {
        p->replaced[id] = node->inputs[0];
        p->readers[node->inputs[0]] += p->readers[id] - 1;
    }
}

/* Prunes first, so that dead readers do not count. */
bf_status bfi_graph_simplify(bfi_graph *graph, bf_error *err) {
    if (!bfi_graph_prune(graph)) return bfi_fail_memory(err);
    pass p = {.graph = graph};
    p.replaced = bfi_calloc((size_t)graph->count, sizeof *p.replaced);
    p.readers = bfi_calloc((size_t)graph->count, sizeof *p.readers);
    bool ok = p.replaced && p.readers;
    for (int i = 0; ok && i < graph->count; i++) {
        p.replaced[i] = i;
        for (int k = 0; k < graph->nodes[i].n_inputs; k++) p.readers[graph->nodes[i].inputs[k]]++;
    }
    if (ok) p.readers[graph->output]++;
    for (int i = 0; ok && i < graph->count; i++) visit(&p, i);
    if (ok) graph->output = p.replaced[graph->output];
    free(p.replaced);
    free(p.readers);
    return ok && bfi_graph_prune(graph) ? BF_STATUS_OK : bfi_fail_memory(err);
}
