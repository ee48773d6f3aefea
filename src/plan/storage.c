#include "plan/storage.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"

enum { ALIGN = 16 }; /* elements per lane: keeps every buffer 64-byte aligned even at one lane */

static int64_t aligned(int64_t count) { return (count + ALIGN - 1) / ALIGN * ALIGN; }

void bfi_pass_liveness(bfi_program *p) {
    for (int i = 0; i < p->op_count; i++) {
        const bfi_back_op *op = &p->ops[i];
        assert(op->a < p->buffer_count && op->b < p->buffer_count && op->out < p->buffer_count);
        assert(op->c < p->buffer_count);
        if (op->out >= 0) p->buffers[op->out].first = p->buffers[op->out].last = i;
        if (op->a >= 0) p->buffers[op->a].last = i;
        if (op->b >= 0) p->buffers[op->b].last = i;
        if (op->c >= 0) p->buffers[op->c].last = i;
    }
    for (int b = 0; b < p->buffer_count; b++)
        if (p->buffers[b].first < p->loop) p->buffers[b].last = p->op_count - 1;
}

static void find_aliases(bfi_program *p) {
    for (int i = 0; i < p->op_count; i++) {
        const bfi_back_op *op = &p->ops[i];
        if (op->out < 0 || op->a < 0 || !bfi_back_in_place(op->kind)) continue;
        bool dies = p->buffers[op->a].last == i && op->a != op->b && op->a != op->c;
        if (dies && p->buffers[op->a].count == p->buffers[op->out].count)
            p->buffers[op->out].alias_of = op->a;
    }
}

/* Ops whose operand may be on another window than their result. */
static bool resizes(bfi_back_kind kind) {
    return kind == BFI_BACK_ACCUMULATE || kind == BFI_BACK_ADJOINT_ADD ||
           kind == BFI_BACK_ADJOINT_SUB || kind == BFI_BACK_ADJOINT_SCALE;
}

/* The buffer whose place |buffer| has. */
static int root_of(const bfi_program *p, int buffer, bool windows) {
    for (;;) {
        const bfi_buffer *b = &p->buffers[buffer];
        bool own = b->alias_of < 0 || (windows && resizes(p->ops[b->first].kind));
        if (own) return buffer;
        buffer = b->alias_of;
    }
}

static int larger_first(const void *x, const void *y) {
    const bfi_lifetime *a = *(bfi_lifetime *const *)x, *b = *(bfi_lifetime *const *)y;
    if (a->size != b->size) return a->size > b->size ? -1 : 1;
    return (a > b) - (a < b);
}

static int by_offset(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return (a[0] > b[0]) - (a[0] < b[0]);
}

/* Smallest gap between the spans (offset, end) of conflicting items that holds |size|. */
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

static int64_t place(bfi_lifetime **order, int count, int64_t (*spans)[2]) {
    int64_t height = 0;
    for (int i = 0; i < count; i++) {
        bfi_lifetime *item = order[i];
        assert(item->first <= item->last && item->size >= 0);
        size_t conflicts = 0;
        for (int j = 0; j < i; j++) {
            if (order[j]->first > item->last || item->first > order[j]->last) continue;
            spans[conflicts][0] = order[j]->offset;
            spans[conflicts++][1] = order[j]->offset + order[j]->size;
        }
        item->offset = best_gap(spans, conflicts, item->size);
        assert(item->offset >= 0);
        if (item->offset + item->size > height) height = item->offset + item->size;
    }
    return height;
}

bf_status bfi_storage_place(bfi_lifetime *items, int count, int64_t *height, bf_error *err) {
    bfi_lifetime **order = bfi_calloc((size_t)count, sizeof(bfi_lifetime *));
    int64_t(*spans)[2] = bfi_calloc((size_t)count, sizeof *spans);
    bf_status status = order && spans ? BF_STATUS_OK : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) {
        for (int i = 0; i < count; i++) order[i] = &items[i];
        qsort(order, (size_t)count, sizeof *order, larger_first);
        *height = place(order, count, spans);
    }
    free(order);
    free(spans);
    return status;
}

bf_status bfi_program_place(const bfi_program *p, const int64_t *size, bool windows,
                            int64_t *offset, int64_t *height, bf_error *err) {
    size_t n = (size_t)p->buffer_count;
    bfi_lifetime *items = bfi_calloc(n, sizeof *items);
    int *slot = bfi_calloc(n, sizeof *slot);
    bf_status status = items && slot ? BF_STATUS_OK : bfi_fail_memory(err);
    int count = 0;
    for (int b = 0; b < p->buffer_count && status == BF_STATUS_OK; b++) {
        const bfi_buffer *buffer = &p->buffers[b];
        int root = root_of(p, b, windows);
        assert(buffer->first >= 0 && root <= b); /* liveness ran; roots come first */
        slot[b] = root == b ? count++ : slot[root];
        bfi_lifetime *item = &items[slot[b]];
        if (root == b)
            *item = (bfi_lifetime){aligned(size[b]), buffer->first, buffer->last, 0};
        else if (buffer->last > item->last)
            item->last = buffer->last;
    }
    if (status == BF_STATUS_OK) status = bfi_storage_place(items, count, height, err);
    for (int b = 0; b < p->buffer_count && status == BF_STATUS_OK; b++)
        offset[b] = items[slot[b]].offset;
    free(items);
    free(slot);
    return status;
}

bf_status bfi_pass_reuse(bfi_program *p, bf_error *err) {
    find_aliases(p);
    int64_t *size = bfi_malloc((size_t)p->buffer_count, 2 * sizeof *size);
    if (!size) return bfi_fail_memory(err);
    int64_t *offset = size + p->buffer_count;
    for (int b = 0; b < p->buffer_count; b++) size[b] = p->buffers[b].count;
    bf_status status = bfi_program_place(p, size, false, offset, &p->height, err);
    for (int b = 0; b < p->buffer_count && status == BF_STATUS_OK; b++)
        p->buffers[b].offset = offset[b];
    free(size);
    return status;
}
