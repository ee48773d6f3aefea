#include "verify/store/store.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"

static bool allocate_layers(bfi_constraints *store) {
    size_t layers = (size_t)store->graph->count;
    store->lo = bfi_calloc(layers, sizeof *store->lo);
    store->hi = bfi_calloc(layers, sizeof *store->hi);
    if (!store->lo || !store->hi) return false;
    for (size_t id = 0; id < layers; id++) {
        int64_t n = store->graph->nodes[id].count;
        store->lo[id] = bfi_malloc((size_t)n, sizeof **store->lo);
        store->hi[id] = bfi_malloc((size_t)n, sizeof **store->hi);
        if (!store->lo[id] || !store->hi[id]) return false;
        for (int64_t j = 0; j < n; j++) store->lo[id][j] = -INFINITY, store->hi[id][j] = INFINITY;
    }
    return true;
}

bf_status bfi_constraints_create(const bfi_graph *graph, const bf_property *property,
                                 int32_t case_index, int32_t disjunct, bf_semantics semantics,
                                 bfi_constraints *store, bf_error *err) {
    assert(case_index >= 0 && case_index < property->count);
    const bf_case *c = &property->cases[case_index];
    assert(disjunct >= 0 && disjunct < c->count);
    *store = (bfi_constraints){
        .graph = graph, .semantics = semantics, .c = c, .disjunct = &c->disjuncts[disjunct]};
    if (!allocate_layers(store)) {
        bfi_constraints_clear(store);
        return bfi_fail_memory(err);
    }
    bfi_constraints_tighten(store, 0, c->lo, c->hi);
    return BF_STATUS_OK;
}

void bfi_constraints_clear(bfi_constraints *store) {
    for (int id = 0; store->graph && id < store->graph->count; id++) {
        if (store->lo) free(store->lo[id]);
        if (store->hi) free(store->hi[id]);
    }
    free(store->lo);
    free(store->hi);
    free(store->splits);
    free(store->rows);
    *store = (bfi_constraints){0};
}

static void clip(bfi_constraints *store, int layer, int64_t j, double lo, double hi) {
    double *low = &store->lo[layer][j], *high = &store->hi[layer][j];
    if (lo > *low) *low = lo;
    if (hi < *high) *high = hi;
    store->empty = store->empty || *low > *high;
}

void bfi_constraints_tighten(bfi_constraints *store, int layer, const double *lo,
                             const double *hi) {
    for (int64_t j = 0; j < store->graph->nodes[layer].count; j++)
        clip(store, layer, j, lo[j], hi[j]);
}

bf_status bfi_constraints_add_split(bfi_constraints *store, bfi_constraints_split split,
                                    bf_error *err) {
    assert(split.layer >= 0 && split.layer < store->graph->count);
    assert(split.element >= 0 && split.element < store->graph->nodes[split.layer].count);
    if (!bfi_grow((void **)&store->splits, &store->split_room, store->split_count + 1,
                  sizeof *store->splits))
        return bfi_fail_memory(err);
    store->splits[store->split_count++] = split;
    clip(store, split.layer, split.element, split.sign > 0 ? split.point : -INFINITY,
         split.sign > 0 ? INFINITY : split.point);
    return BF_STATUS_OK;
}

bf_status bfi_constraints_add_row(bfi_constraints *store, bfi_constraints_row row, bf_error *err) {
    if (!bfi_grow((void **)&store->rows, &store->row_room, store->row_count + 1,
                  sizeof *store->rows))
        return bfi_fail_memory(err);
    store->rows[store->row_count++] = row;
    return BF_STATUS_OK;
}
