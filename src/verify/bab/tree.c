#include "verify/bab/tree.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

typedef struct node {
    int32_t parent; /* -1: root; of a free node: the next free one */
    int32_t depth;
    int32_t children; /* alive; a node without any that is not open is given back */
    int8_t sign;      /* side of the parent's decision */
    bool open;
    bfi_decision decision;
    double margin;
    uint64_t mask;
    void *data;
    size_t size;
} node;

struct bfi_tree {
    node *nodes;
    size_t capacity;
    int32_t used, free; /* nodes ever used; first of the free list, -1: none */
    int64_t limit, held;
    int64_t data_limit, data_bytes;
    int32_t newest; /* node added last */
    int32_t *heap;
    size_t heap_capacity;
    int32_t open;
    bool deep; /* deepest first */
    int64_t created, closed;
    int32_t deepest;
};

bf_status bfi_tree_create(int64_t limit, bfi_tree **out, bf_error *err) {
    bfi_tree *t = bfi_calloc(1, sizeof *t);
    if (!t) return bfi_fail_memory(err);
    t->limit = limit > 0 && limit < INT32_MAX ? limit : INT32_MAX;
    t->data_limit = INT64_MAX;
    t->free = -1;
    *out = t;
    return BF_STATUS_OK;
}

void bfi_tree_free(bfi_tree *t) {
    if (!t) return;
    for (int32_t id = 0; id < t->used; id++) free(t->nodes[id].data);
    free(t->nodes);
    free(t->heap);
    free(t);
}

/* Ties by number, so that the order depends on nothing else. */
static bool before(const bfi_tree *t, int32_t a, int32_t b) {
    const node *x = &t->nodes[a], *y = &t->nodes[b];
    if (t->deep && x->depth != y->depth) return x->depth > y->depth;
    if (x->margin != y->margin) return t->deep ? x->margin > y->margin : x->margin < y->margin;
    return a < b;
}

static void sift_up(bfi_tree *t, int32_t at) {
    int32_t moved = t->heap[at];
    for (int32_t up; at > 0 && before(t, moved, t->heap[up = (at - 1) / 2]); at = up)
        t->heap[at] = t->heap[up];
    t->heap[at] = moved;
}

static void sift_down(bfi_tree *t, int32_t at) {
    int32_t moved = t->heap[at];
    for (int32_t child; (child = 2 * at + 1) < t->open; at = child) {
        if (child + 1 < t->open && before(t, t->heap[child + 1], t->heap[child])) child++;
        if (!before(t, t->heap[child], moved)) break;
        t->heap[at] = t->heap[child];
    }
    t->heap[at] = moved;
}

/* Room for one more node and its place in the heap. */
static bool reserve(bfi_tree *t) {
    size_t nodes = (size_t)t->used + (t->free < 0), open = (size_t)t->open + 1;
    return bfi_grow((void **)&t->nodes, &t->capacity, nodes, sizeof *t->nodes) &&
           bfi_grow((void **)&t->heap, &t->heap_capacity, open, sizeof *t->heap);
}

static void push(bfi_tree *t, int32_t id) {
    t->nodes[id].open = true;
    t->heap[t->open++] = id;
    sift_up(t, t->open - 1);
}

bf_status bfi_tree_add(bfi_tree *t, int32_t parent, int sign, bfi_decision decision, double margin,
                       uint64_t mask, bf_error *err) {
    assert(parent < t->used && (sign == 1 || sign == -1 || parent < 0));
    if (t->held >= t->limit)
        return bfi_fail(err, BF_STATUS_LIMIT, "the search tree is full: %lld nodes",
                        (long long)t->held);
    if (!reserve(t)) return bfi_fail_memory(err);
    int32_t id = t->free;
    if (id >= 0)
        t->free = t->nodes[id].parent;
    else
        id = t->used++;
    node *n = &t->nodes[id];
    *n = (node){.parent = parent,
                .sign = (int8_t)sign,
                .decision = decision,
                .margin = margin,
                .mask = mask};
    if (parent >= 0) {
        n->depth = t->nodes[parent].depth + 1;
        t->nodes[parent].children++;
    }
    if (n->depth > t->deepest) t->deepest = n->depth;
    t->held++;
    t->created++;
    t->newest = id;
    push(t, id);
    return BF_STATUS_OK;
}

void bfi_tree_limit_data(bfi_tree *t, int64_t bytes) { t->data_limit = bytes; }

double bfi_tree_data_part(const bfi_tree *t) {
    return (double)t->data_bytes / (double)t->data_limit;
}

void bfi_tree_attach(bfi_tree *t, const void *data, size_t size) {
    node *n = &t->nodes[t->newest];
    assert(n->open && !n->data && size > 0);
    if ((int64_t)size > t->data_limit - t->data_bytes || !(n->data = bfi_malloc(1, size))) return;
    memcpy(n->data, data, size);
    n->size = size;
    t->data_bytes += (int64_t)size;
}

static void drop_data(bfi_tree *t, int32_t id) {
    node *n = &t->nodes[id];
    if (!n->data) return;
    free(n->data);
    n->data = NULL;
    t->data_bytes -= (int64_t)n->size;
}

const void *bfi_tree_data(const bfi_tree *t, int32_t id, size_t *size) {
    *size = t->nodes[id].data ? t->nodes[id].size : 0;
    return t->nodes[id].data;
}

/* Deepest first from half of the limit on (a descent holds two nodes per level), best first again
 * below a quarter of it. */
static void choose_order(bfi_tree *t) {
    bool deep = t->held > (t->deep ? t->limit / 4 : t->limit / 2);
    if (deep == t->deep) return;
    t->deep = deep;
    for (int32_t at = t->open / 2 - 1; at >= 0; at--) sift_down(t, at);
}

int32_t bfi_tree_take(bfi_tree *t, int32_t most, int32_t *nodes) {
    int32_t taken = 0;
    choose_order(t);
    int64_t room = (t->limit - t->held) / 4; /* every node taken may leave two, and so on */
    if (room < most) most = room > 1 ? (int32_t)room : 1;
    while (taken < most && t->open > 0) {
        int32_t id = t->heap[0];
        t->heap[0] = t->heap[--t->open];
        if (t->open > 0) sift_down(t, 0);
        t->nodes[id].open = false;
        nodes[taken++] = id;
    }
    return taken;
}

void bfi_tree_decide(bfi_tree *t, int32_t id, bfi_decision decision) {
    assert(!t->nodes[id].open && t->nodes[id].children == 0);
    t->nodes[id].decision = decision;
}

bool bfi_tree_is_leaf(const bfi_tree *t, int32_t id) { return t->nodes[id].children == 0; }

void bfi_tree_put_back(bfi_tree *t, int32_t id) {
    assert(!t->nodes[id].open && t->nodes[id].children == 0);
    push(t, id); /* it had a place before */
}

void bfi_tree_close(bfi_tree *t, int32_t id) {
    assert(!t->nodes[id].open);
    t->closed++;
    drop_data(t, id);
    while (id >= 0 && t->nodes[id].children == 0 && !t->nodes[id].open) {
        int32_t parent = t->nodes[id].parent;
        t->nodes[id].parent = t->free;
        t->nodes[id].open = true; /* a free node is never given back again */
        t->free = id;
        t->held--;
        if (parent >= 0) t->nodes[parent].children--;
        id = parent;
    }
}

bfi_decision bfi_tree_decision(const bfi_tree *t, int32_t id) { return t->nodes[id].decision; }
uint64_t bfi_tree_mask(const bfi_tree *t, int32_t id) { return t->nodes[id].mask; }
double bfi_tree_margin(const bfi_tree *t, int32_t id) { return t->nodes[id].margin; }
int32_t bfi_tree_depth(const bfi_tree *t, int32_t id) { return t->nodes[id].depth; }

void bfi_tree_path(const bfi_tree *t, int32_t id, bfi_cut *cuts) {
    for (; t->nodes[id].parent >= 0; id = t->nodes[id].parent)
        *cuts++ = (bfi_cut){t->nodes[t->nodes[id].parent].decision, t->nodes[id].sign};
}

bfi_tree_stats bfi_tree_stats_of(const bfi_tree *t) {
    bfi_tree_stats s = {.open = t->open,
                        .created = t->created,
                        .closed = t->closed,
                        .held = t->held,
                        .deepest = t->deepest,
                        .lowest = INFINITY};
    for (int32_t i = 0; i < (t->deep ? t->open : t->open > 0); i++) {
        double margin = t->nodes[t->heap[i]].margin;
        if (margin < s.lowest) s.lowest = margin;
    }
    s.bytes = (int64_t)(t->capacity * sizeof *t->nodes + t->heap_capacity * sizeof *t->heap) +
              t->data_bytes;
    return s;
}
