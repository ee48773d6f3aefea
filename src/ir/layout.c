#include "ir/layout.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

#define BIT(layout) (1u << (layout))

typedef struct analysis {
    const bfi_graph *graph;
    bfi_layout_entry *entries;
    int *pinned_by; /* node that needs the natural order, -1: none */
    bool *windowed; /* a window op reads or writes the value */
} analysis;

const char *bfi_layout_name(bfi_layout layout) {
    static const char *const names[] = {"flat", "nchw", "nhwc", "blocked", "lanes"};
    assert((unsigned)layout < BFI_LAYOUT_COUNT);
    return names[layout];
}

const char *bfi_layout_set_text(unsigned set, char *buf, size_t size) {
    size_t used = 0;
    assert(size > 0);
    buf[0] = '\0';
    for (int l = 0; l < BFI_LAYOUT_COUNT; l++) {
        if (!(set & BIT(l)) || used >= size) continue;
        int n = snprintf(buf + used, size - used, "%s%s", used ? " " : "",
                         bfi_layout_name((bfi_layout)l));
        if (n > 0) used += (size_t)n;
    }
    return buf;
}

static bool is_window(bfi_op op) {
    return op == BFI_OP_CONV || op == BFI_OP_CONV_TRANSPOSE || op == BFI_OP_MAX_POOL ||
           op == BFI_OP_AVERAGE_POOL;
}

/* ---- names of the natural orders ---- */

/* Flat means "not known to be an image". True when the name changed. */
static bool name_value(analysis *a, int value, bfi_layout layout) {
    if (a->graph->nodes[value].shape.rank != 4 || layout == BFI_LAYOUT_FLAT) return false;
    if (a->entries[value].natural != BFI_LAYOUT_FLAT) return false;
    a->entries[value].natural = layout;
    return true;
}

static bool perm_is(const bfi_node *node, int64_t second, int64_t third, int64_t fourth) {
    const int64_t *p = node->attrs.perm;
    return node->shape.rank == 4 && p[0] == 0 && p[1] == second && p[2] == third && p[3] == fourth;
}

static bool name_across_transpose(analysis *a, int id) {
    const bfi_node *node = &a->graph->nodes[id];
    int x = node->inputs[0];
    bfi_layout from = a->entries[x].natural, to = a->entries[id].natural;
    bool changed = false;
    if (perm_is(node, 2, 3, 1)) { /* to channels innermost */
        if (from == BFI_LAYOUT_NCHW) changed |= name_value(a, id, BFI_LAYOUT_NHWC);
        if (to == BFI_LAYOUT_NHWC) changed |= name_value(a, x, BFI_LAYOUT_NCHW);
    }
    if (perm_is(node, 3, 1, 2)) { /* back */
        if (from == BFI_LAYOUT_NHWC) changed |= name_value(a, id, BFI_LAYOUT_NCHW);
        if (to == BFI_LAYOUT_NCHW) changed |= name_value(a, x, BFI_LAYOUT_NHWC);
    }
    return changed;
}

static bool name_around(analysis *a, int id) {
    const bfi_node *node = &a->graph->nodes[id];
    bool changed = false;
    if (is_window(node->op)) {
        changed |= name_value(a, id, BFI_LAYOUT_NCHW);
        changed |= name_value(a, node->inputs[0], BFI_LAYOUT_NCHW);
    } else if (node->op == BFI_OP_TRANSPOSE) {
        changed |= name_across_transpose(a, id);
    } else if (bfi_op_is_elementwise(node->op)) {
        for (int k = 0; k < node->n_inputs; k++) {
            changed |= name_value(a, id, a->entries[node->inputs[k]].natural);
            changed |= name_value(a, node->inputs[k], a->entries[id].natural);
        }
    }
    return changed;
}

/* Names only ever appear, so this ends. */
static void name_all(analysis *a) {
    for (bool changed = true; changed;) {
        changed = false;
        for (int id = 0; id < a->graph->count; id++) changed |= name_around(a, id);
        for (int id = a->graph->count - 1; id >= 0; id--) changed |= name_around(a, id);
    }
}

/* ---- who needs the natural order ---- */

/* Reshapes pin nothing themselves; what reads them does, unless it is a linear of one row, whose
 * columns can be permuted. */
static bool pins(const bfi_graph *graph, int id) {
    const bfi_node *node = &graph->nodes[id];
    if (is_window(node->op) || bfi_op_is_elementwise(node->op)) return false;
    if (node->op == BFI_OP_LINEAR) return node->attrs.rows != 1;
    return node->op != BFI_OP_RESHAPE && node->op != BFI_OP_INPUT && node->op != BFI_OP_CONST;
}

static bool pin(analysis *a, int value, int by) {
    if (by < 0 || a->pinned_by[value] >= 0) return false;
    a->pinned_by[value] = by;
    return true;
}

/* Elementwise ops and reshapes hand a pin on, the former both ways. */
static bool pin_around(analysis *a, int id) {
    const bfi_node *node = &a->graph->nodes[id];
    bool changed = false, both = bfi_op_is_elementwise(node->op);
    for (int k = 0; k < node->n_inputs && (both || node->op == BFI_OP_RESHAPE); k++) {
        changed |= pin(a, node->inputs[k], a->pinned_by[id]);
        if (both) changed |= pin(a, id, a->pinned_by[node->inputs[k]]);
    }
    return changed;
}

static void pin_all(analysis *a) {
    const bfi_graph *graph = a->graph;
    for (int id = 0; id < graph->count; id++) a->pinned_by[id] = -1;
    for (int id = 0; id < graph->count; id++) {
        const bfi_node *node = &graph->nodes[id];
        bool here = pins(graph, id);
        if (here || id == graph->output || node->op == BFI_OP_INPUT) pin(a, id, id);
        for (int k = 0; k < node->n_inputs; k++) {
            if (here) pin(a, node->inputs[k], id);
            if (is_window(node->op)) a->windowed[node->inputs[k]] = a->windowed[id] = true;
        }
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (int id = graph->count - 1; id >= 0; id--) changed |= pin_around(a, id);
        for (int id = 0; id < graph->count; id++) changed |= pin_around(a, id);
    }
}

/* ---- entries ---- */

static void say(bfi_layout_entry *e, const char *fmt, ...) BF_PRINTF(2, 3);
static void say(bfi_layout_entry *e, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->reason, sizeof e->reason, fmt, args);
    va_end(args);
}

static bool depends_on_input(const analysis *a, int id) {
    const bfi_node *node = &a->graph->nodes[id];
    if (node->op == BFI_OP_INPUT) return true;
    for (int k = 0; k < node->n_inputs; k++)
        if (a->entries[node->inputs[k]].coefficients) return true;
    return false;
}

static void decide(analysis *a, int id) {
    bfi_layout_entry *e = &a->entries[id];
    const bfi_node *node = &a->graph->nodes[id];
    bool image = e->natural != BFI_LAYOUT_FLAT, outside = id == 0 || id == a->graph->output;
    int64_t channels = image ? node->shape.dim[e->natural == BFI_LAYOUT_NHWC ? 3 : 1] : 1;
    e->preferred = e->natural;
    e->possible = BIT(e->natural);
    if (image && channels == 1) e->possible |= BIT(BFI_LAYOUT_NCHW) | BIT(BFI_LAYOUT_NHWC);
    if (image && channels == 1 && a->windowed[id]) e->preferred = BFI_LAYOUT_NCHW;
    if (outside) {
        say(e, "the network's %s is ordered outside", id == 0 ? "input" : "output");
    } else if (!image) {
        say(e, "%s",
            node->op == BFI_OP_RESHAPE ? "shares the elements of its input"
                                       : "no op gives its axes a meaning");
    } else if (a->pinned_by[id] >= 0) {
        const bfi_node *by = &a->graph->nodes[a->pinned_by[id]];
        say(e, "'%s' (%s) fixes the order", by->name, bfi_op_name(by->op));
    } else {
        e->possible |= BIT(BFI_LAYOUT_NCHW) | BIT(BFI_LAYOUT_NHWC);
        if (channels % BFI_LAYOUT_BLOCK == 0) e->possible |= BIT(BFI_LAYOUT_BLOCKED);
        e->preferred = BFI_LAYOUT_NCHW;
        say(e, "conv kernels take one weight times neighbouring positions: positions innermost%s",
            channels % BFI_LAYOUT_BLOCK ? "; channels do not fill blocks" : "");
    }
}

bf_status bfi_layout_analyse(const bfi_graph *graph, bfi_layout_report *report, bf_error *err) {
    size_t n = (size_t)graph->count;
    analysis a = {.graph = graph,
                  .entries = bfi_calloc(n, sizeof *a.entries),
                  .pinned_by = bfi_calloc(n, sizeof *a.pinned_by),
                  .windowed = bfi_calloc(n, sizeof *a.windowed)};
    *report = (bfi_layout_report){0};
    bool ok = a.entries && a.pinned_by && a.windowed;
    if (ok) {
        name_all(&a);
        pin_all(&a);
        for (int id = 0; id < graph->count; id++) {
            a.entries[id].value = id;
            a.entries[id].name = graph->nodes[id].name;
            a.entries[id].coefficients = depends_on_input(&a, id);
            decide(&a, id);
        }
        *report = (bfi_layout_report){.entries = a.entries, .count = graph->count};
    } else {
        free(a.entries);
    }
    free(a.pinned_by);
    free(a.windowed);
    return ok ? BF_STATUS_OK : bfi_fail_memory(err);
}

void bfi_layout_report_clear(bfi_layout_report *report) {
    free(report->entries);
    *report = (bfi_layout_report){0};
}
