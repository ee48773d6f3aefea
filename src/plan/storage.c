#include "plan/storage.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { ALIGN = 16 }; /* elements per lane: keeps every buffer 64-byte aligned even at one lane */

static int64_t aligned(int64_t count) { return (count + ALIGN - 1) / ALIGN * ALIGN; }

void bfi_pass_liveness(bfi_program *p) {
    for (int i = 0; i < p->op_count; i++) {
        const bfi_back_op *op = &p->ops[i];
        if (op->out >= 0) p->buffers[op->out].first = p->buffers[op->out].last = i;
        if (op->a >= 0) p->buffers[op->a].last = i;
        if (op->b >= 0) p->buffers[op->b].last = i;
    }
}

static void find_aliases(bfi_program *p) {
    for (int i = 0; i < p->op_count; i++) {
        const bfi_back_op *op = &p->ops[i];
        if (op->out < 0 || op->a < 0 || !bfi_back_in_place(op->kind)) continue;
        bool dies = p->buffers[op->a].last == i && op->a != op->b;
        if (dies && p->buffers[op->a].count == p->buffers[op->out].count)
            p->buffers[op->out].alias_of = op->a;
    }
}

/* A root owns storage for itself and everything that takes it over. */
typedef struct root {
    int buffer;
    int64_t size;
    int first, last;
} root;

static int root_of(const bfi_program *p, int buffer) {
    while (p->buffers[buffer].alias_of >= 0) buffer = p->buffers[buffer].alias_of;
    return buffer;
}

static int larger_first(const void *x, const void *y) {
    const root *a = x, *b = y;
    if (a->size != b->size) return a->size > b->size ? -1 : 1;
    return a->buffer - b->buffer;
}

static int by_offset(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return (a[0] > b[0]) - (a[0] < b[0]);
}

/* Smallest gap between the spans (offset, end) of conflicting roots that holds |size|. */
static int64_t best_gap(int64_t (*spans)[2], size_t count, int64_t size) {
    qsort(spans, count, sizeof *spans, by_offset);
    int64_t best = -1, best_room = INT64_MAX, end = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t room = spans[i][0] - end;
        if (room >= size && room < best_room) best = end, best_room = room;
        if (spans[i][1] > end) end = spans[i][1];
    }
    return best >= 0 ? best : end;
}

static void place(bfi_program *p, root *roots, int count, int64_t (*spans)[2]) {
    qsort(roots, (size_t)count, sizeof *roots, larger_first);
    p->height = 0;
    for (int i = 0; i < count; i++) {
        size_t conflicts = 0;
        for (int j = 0; j < i; j++) {
            if (roots[j].first > roots[i].last || roots[i].first > roots[j].last) continue;
            int64_t offset = p->buffers[roots[j].buffer].offset;
            spans[conflicts][0] = offset;
            spans[conflicts++][1] = offset + roots[j].size;
        }
        int64_t offset = best_gap(spans, conflicts, roots[i].size);
        p->buffers[roots[i].buffer].offset = offset;
        if (offset + roots[i].size > p->height) p->height = offset + roots[i].size;
    }
}

bf_status bfi_pass_reuse(bfi_program *p, bf_error *err) {
    find_aliases(p);
    size_t n = (size_t)p->buffer_count;
    root *roots = bfi_calloc(n, sizeof *roots);
    int *slot = bfi_calloc(n, sizeof *slot);
    int64_t(*spans)[2] = bfi_calloc(n, sizeof *spans);
    bf_status status = roots && slot && spans ? BF_STATUS_OK : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) {
        int count = 0;
        for (int b = 0; b < p->buffer_count; b++) {
            const bfi_buffer *buffer = &p->buffers[b];
            if (buffer->alias_of < 0) {
                slot[b] = count;
                roots[count++] = (root){b, aligned(buffer->count), buffer->first, buffer->last};
            } else {
                root *r = &roots[slot[root_of(p, b)]];
                if (buffer->last > r->last) r->last = buffer->last;
            }
        }
        place(p, roots, count, spans);
        for (int b = 0; b < p->buffer_count; b++)
            p->buffers[b].offset = p->buffers[root_of(p, b)].offset;
    }
    free(roots);
    free(slot);
    free(spans);
    return status;
}
