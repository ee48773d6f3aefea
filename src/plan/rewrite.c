#include "plan/rewrite.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

bool bfi_pass_notes_add(bfi_pass_notes *notes, int node, const char *fmt, ...) {
    void *items = notes->items;
    if (!bfi_grow(&items, &notes->capacity, (size_t)notes->count + 1, sizeof *notes->items))
        return false;
    notes->items = items;
    bfi_pass_note *note = &notes->items[notes->count++];
    note->node = node;
    va_list args;
    va_start(args, fmt);
    vsnprintf(note->text, sizeof note->text, fmt, args);
    va_end(args);
    return true;
}

void bfi_pass_notes_clear(bfi_pass_notes *notes) {
    free(notes->items);
    *notes = (bfi_pass_notes){0};
}

/* Only nodes that the output depends on count as readers. */
static void count_readers(bfi_rewrite *rw) {
    const bfi_graph *graph = rw->graph;
    rw->readers[graph->output] = 1;
    for (int i = graph->output; i >= 0; i--)
        for (int k = 0; rw->readers[i] > 0 && k < graph->nodes[i].n_inputs; k++)
            rw->readers[graph->nodes[i].inputs[k]]++;
}

bool bfi_rewrite_begin(bfi_rewrite *rw, const bfi_graph *in) {
    size_t n = (size_t)in->count;
    *rw = (bfi_rewrite){.graph = bfi_graph_view(in), .count = in->count};
    rw->replaced = bfi_calloc(n, sizeof *rw->replaced);
    rw->readers = bfi_calloc(n, sizeof *rw->readers);
    rw->holder = bfi_calloc(n, sizeof *rw->holder);
    if (!rw->graph || !rw->replaced || !rw->readers || !rw->holder) return false;
    for (int i = 0; i < in->count; i++) rw->replaced[i] = rw->holder[i] = i;
    count_readers(rw);
    return true;
}

void bfi_rewrite_clear(bfi_rewrite *rw) {
    bfi_graph_free(rw->graph);
    free(rw->replaced);
    free(rw->readers);
    free(rw->holder);
    *rw = (bfi_rewrite){0};
}

void bfi_rewrite_enter(bfi_rewrite *rw, int id) {
    bfi_node *node = &rw->graph->nodes[id];
    for (int k = 0; k < node->n_inputs; k++) node->inputs[k] = rw->replaced[node->inputs[k]];
}

/* One reader less; a value without readers reads nothing. */
static void release(bfi_rewrite *rw, int id) {
    const bfi_node *node = &rw->graph->nodes[id];
    assert(rw->readers[id] > 0);
    if (--rw->readers[id] > 0) return;
    for (int k = 0; k < node->n_inputs; k++) release(rw, node->inputs[k]);
}

void bfi_rewrite_replace(bfi_rewrite *rw, int id, int by) {
    const bfi_node *node = &rw->graph->nodes[id];
    assert(by < id);
    rw->replaced[id] = by;
    rw->readers[by] += rw->readers[id];
    rw->readers[id] = 0;
    for (int k = 0; k < node->n_inputs; k++) release(rw, node->inputs[k]);
    for (int i = 0; i < rw->count; i++)
        if (rw->holder[i] == id) rw->holder[i] = by;
}

void bfi_rewrite_set_input(bfi_rewrite *rw, int id, int k, int value) {
    int old = rw->graph->nodes[id].inputs[k];
    rw->readers[value]++;
    rw->graph->nodes[id].inputs[k] = value;
    release(rw, old);
}

void bfi_rewrite_to_const(bfi_rewrite *rw, int id, double *data) {
    bfi_node *node = &rw->graph->nodes[id];
    for (int k = 0; k < node->n_inputs; k++) release(rw, node->inputs[k]);
    node->op = BFI_OP_CONST;
    node->n_inputs = 0;
    node->attrs = (bfi_attrs){0};
    bfi_numbers_clear(&node->weight);
    bfi_numbers_clear(&node->bias);
    bfi_numbers_clear(&node->bias_error);
    node->weight = (bfi_numbers){.data = data, .count = node->count};
    free(node->indices);
    node->indices = NULL;
    node->n_indices = 0;
    node->indices_shape = (bfi_shape){0};
}

void bfi_rewrite_changed(bfi_rewrite *rw, int id) {
    for (int i = 0; i < rw->count; i++)
        if (rw->holder[i] == id) rw->holder[i] = -1;
}

bool bfi_rewrite_finish(bfi_rewrite *rw, bfi_graph **out, int **value_of) {
    int *new_id = bfi_calloc((size_t)rw->count, sizeof *new_id);
    rw->graph->output = rw->replaced[rw->graph->output];
    if (!new_id || !bfi_graph_prune_map(rw->graph, new_id)) {
        free(new_id);
        return false;
    }
    for (int i = 0; i < rw->count; i++)
        if (rw->holder[i] >= 0) rw->holder[i] = new_id[rw->holder[i]];
    free(new_id);
    *out = rw->graph;
    *value_of = rw->holder;
    rw->graph = NULL;
    rw->holder = NULL;
    return true;
}
