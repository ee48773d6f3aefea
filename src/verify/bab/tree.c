#include "verify/bab/tree.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/slabs.h"

/* The caller's bytes of a node. */
typedef struct payload {
    size_t size;
    char bytes[];
} payload;

typedef struct node {
    double point; /* of the decision */
    double margin;
    uint64_t mask;
    payload *data;
    int32_t parent; /* -1: root; of a free node: the next free one */
    int32_t depth;
    int32_t index;                              /* of the decision */
    int16_t activation;                         /* of the decision */
    int8_t sign;                                /* side of the parent's decision */
    uint8_t children : 6, open : 1, unused : 1; /* a node without children that is not open is given
                                                   back: |unused| */
} node;

static_assert(sizeof(node) + sizeof(int32_t) == BFI_TREE_NODE_BYTES, "a node is compact");

enum { MOST_CHILDREN = 63 };

enum { STORED_UNUSED, STORED_INNER, STORED_OPEN }; /* nodes in a file */

struct bfi_tree {
    node *nodes;
    size_t capacity;
    int32_t used, free; /* nodes ever used; first of the free list, -1: none */
    int64_t limit, held;
    int64_t data_limit, data_bytes;
    bfi_slabs data; /* of the nodes */
    int32_t newest; /* node added last */
    int32_t *heap;
    size_t heap_capacity;
    int32_t open;
    int32_t first[BFI_TREE_LEVELS]; /* the heap is one per level, which begins there */
    int level;                      /* the last of them, whose nodes come first */
    bool deep;                      /* deepest first */
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
    bfi_slabs_clear(&t->data);
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

/* Places are in the last level's heap of |count| nodes. */
static void sift_up(const bfi_tree *t, int32_t *heap, int32_t at) {
    int32_t moved = heap[at];
    for (int32_t up; at > 0 && before(t, moved, heap[up = (at - 1) / 2]); at = up)
        heap[at] = heap[up];
    heap[at] = moved;
}

static void sift_down(const bfi_tree *t, int32_t *heap, int32_t count, int32_t at) {
    int32_t moved = heap[at];
    for (int32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && before(t, heap[child + 1], heap[child])) child++;
        if (!before(t, heap[child], moved)) break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static void order(const bfi_tree *t, int32_t *heap, int32_t count) {
    for (int32_t at = count / 2 - 1; at >= 0; at--) sift_down(t, heap, count, at);
}

/* End of a level's heap. */
static int32_t end_of(const bfi_tree *t, int level) {
    return level == t->level ? t->open : t->first[level + 1];
}

/* Room for |need| items, twice as many as before, but no more than the tree may hold. */
static bool widen(const bfi_tree *t, void **items, size_t *capacity, size_t need, size_t size) {
    if (need <= *capacity) return true;
    size_t wanted = *capacity < 64 ? 64 : 2 * *capacity;
    if (wanted > (size_t)t->limit) wanted = (size_t)t->limit;
    if (wanted < need) wanted = need;
    if (!bfi_mul_size(wanted, size, &size)) return false;
    void *grown = realloc(*items, size);
    if (!grown) return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

bf_status bfi_tree_reserve(bfi_tree *t, int64_t count, bf_error *err) {
    int64_t again = t->used - t->held, fresh = count > again ? count - again : 0;
    if (count > t->limit - t->held)
        return bfi_fail(err, BF_STATUS_LIMIT, "the search tree is full: %lld nodes",
                        (long long)t->held);
    return widen(t, (void **)&t->nodes, &t->capacity, (size_t)(t->used + fresh),
                 sizeof *t->nodes) &&
                   widen(t, (void **)&t->heap, &t->heap_capacity, (size_t)(t->open + count),
                         sizeof *t->heap)
               ? BF_STATUS_OK
               : bfi_fail_memory(err);
}

static void push(bfi_tree *t, int32_t id) {
    t->nodes[id].open = true;
    t->heap[t->open++] = id;
    int32_t first = t->first[t->level];
    sift_up(t, t->heap + first, t->open - 1 - first);
}

static void set_decision(node *n, bfi_decision d) {
    assert(d.activation >= -1 && d.activation <= INT16_MAX);
    n->activation = (int16_t)d.activation;
    n->index = d.index;
    n->point = d.point;
}

static bfi_decision decision_of(const node *n) {
    return (bfi_decision){n->activation, n->index, n->point};
}

bf_status bfi_tree_add(bfi_tree *t, int32_t parent, int sign, bfi_decision decision, double margin,
                       uint64_t mask, bf_error *err) {
    assert(parent < t->used && (sign == 1 || sign == -1 || parent < 0));
    bf_status status = bfi_tree_reserve(t, 1, err);
    if (status != BF_STATUS_OK) return status;
    int32_t id = t->free;
    if (id >= 0)
        t->free = t->nodes[id].parent;
    else
        id = t->used++;
    node *n = &t->nodes[id];
    *n = (node){.parent = parent, .sign = (int8_t)sign, .margin = margin, .mask = mask};
    set_decision(n, decision);
    if (parent >= 0) {
        assert(t->nodes[parent].children < MOST_CHILDREN);
        n->depth = t->nodes[parent].depth + 1;
        t->nodes[parent].children = (t->nodes[parent].children + 1) & MOST_CHILDREN;
    }
    if (n->depth > t->deepest) t->deepest = n->depth;
    t->held++;
    t->created++;
    t->newest = id;
    push(t, id);
    return BF_STATUS_OK;
}

void bfi_tree_limit(bfi_tree *t, int64_t limit, int64_t data) {
    t->limit = limit > 0 && limit < INT32_MAX ? limit : INT32_MAX;
    t->data_limit = data;
}

/* What |size| bytes take, with the head. */
static int64_t payload_bytes(size_t size) { return bfi_slabs_bytes(sizeof(payload) + size); }

/* False: no memory, or beyond the limit. */
static bool give_data(bfi_tree *t, node *n, size_t size) {
    int64_t bytes = payload_bytes(size);
    if (bytes > t->data_limit - t->data_bytes) return false;
    n->data = bfi_slabs_take(&t->data, sizeof(payload) + size);
    if (!n->data) return false;
    n->data->size = size;
    t->data_bytes += bytes;
    return true;
}

double bfi_tree_data_part(const bfi_tree *t) {
    return (double)t->data_bytes / (double)t->data_limit;
}

void bfi_tree_attach(bfi_tree *t, const void *data, size_t size) {
    node *n = &t->nodes[t->newest];
    assert(n->open && !n->data && size > 0);
    if (give_data(t, n, size)) memcpy(n->data->bytes, data, size);
}

static void drop_data(bfi_tree *t, int32_t id) {
    node *n = &t->nodes[id];
    if (!n->data) return;
    t->data_bytes -= payload_bytes(n->data->size);
    bfi_slabs_give(&t->data, n->data, sizeof(payload) + n->data->size);
    n->data = NULL;
}

const void *bfi_tree_data(const bfi_tree *t, int32_t id, size_t *size) {
    const payload *data = t->nodes[id].data;
    *size = data ? data->size : 0;
    return data ? data->bytes : NULL;
}

/* Deepest first from half of the limit on (a descent holds two nodes per level), best first again
 * below a quarter of it. */
static void choose_order(bfi_tree *t) {
    bool deep = t->held > (t->deep ? t->limit / 4 : t->limit / 2);
    if (deep == t->deep) return;
    t->deep = deep;
    for (int l = 0; l <= t->level; l++) order(t, t->heap + t->first[l], end_of(t, l) - t->first[l]);
}

int bfi_tree_level(bfi_tree *t) {
    while (t->level > 0 && t->open == t->first[t->level]) t->level--;
    return t->level;
}

static bool is_below(const bfi_tree *t, int32_t id, int32_t ancestor) {
    while (id >= 0 && t->nodes[id].depth > t->nodes[ancestor].depth) id = t->nodes[id].parent;
    return id == ancestor;
}

int bfi_tree_focus(bfi_tree *t, int32_t ancestor) {
    int32_t first = t->first[t->level], last = t->open;
    assert(t->level + 1 < BFI_TREE_LEVELS);
    for (int32_t at = first; at < last;) {
        int32_t id = t->heap[at];
        if (!is_below(t, id, ancestor)) {
            at++;
            continue;
        }
        t->heap[at] = t->heap[--last];
        t->heap[last] = id;
    }
    order(t, t->heap + first, last - first);
    t->first[++t->level] = last;
    order(t, t->heap + last, t->open - last);
    return t->level;
}

int32_t bfi_tree_first(const bfi_tree *t) {
    return t->open > t->first[t->level] ? t->heap[t->first[t->level]] : -1;
}

int32_t bfi_tree_ancestor(const bfi_tree *t, int32_t id, int32_t depth) {
    while (t->nodes[id].depth > depth) id = t->nodes[id].parent;
    return id;
}

int32_t bfi_tree_take(bfi_tree *t, int32_t most, int32_t *nodes) {
    int32_t taken = 0;
    choose_order(t);
    int64_t room = (t->limit - t->held) / 4; /* every node taken may leave two, and so on */
    if (room < most) most = room > 1 ? (int32_t)room : 1;
    int32_t *heap = t->heap + t->first[bfi_tree_level(t)];
    while (taken < most && bfi_tree_first(t) >= 0) {
        int32_t id = heap[0], left = --t->open - t->first[t->level];
        heap[0] = heap[left];
        if (left > 0) sift_down(t, heap, left, 0);
        t->nodes[id].open = false;
        nodes[taken++] = id;
    }
    return taken;
}

void bfi_tree_decide(bfi_tree *t, int32_t id, bfi_decision decision) {
    assert(!t->nodes[id].open && t->nodes[id].children == 0);
    set_decision(&t->nodes[id], decision);
}

bool bfi_tree_is_leaf(const bfi_tree *t, int32_t id) { return t->nodes[id].children == 0; }

void bfi_tree_put_back(bfi_tree *t, int32_t id) {
    assert(!t->nodes[id].open && t->nodes[id].children == 0);
    push(t, id); /* it had a place before */
}

void bfi_tree_close(bfi_tree *t, int32_t id) {
    assert(!t->nodes[id].open && !t->nodes[id].unused);
    t->closed++;
    drop_data(t, id);
    while (id >= 0 && t->nodes[id].children == 0 && !t->nodes[id].open) {
        int32_t parent = t->nodes[id].parent;
        t->nodes[id].parent = t->free;
        t->nodes[id].unused = true;
        t->free = id;
        t->held--;
        if (parent >= 0)
            t->nodes[parent].children = (t->nodes[parent].children - 1) & MOST_CHILDREN;
        id = parent;
    }
}

bfi_decision bfi_tree_decision(const bfi_tree *t, int32_t id) { return decision_of(&t->nodes[id]); }
uint64_t bfi_tree_mask(const bfi_tree *t, int32_t id) { return t->nodes[id].mask; }
double bfi_tree_margin(const bfi_tree *t, int32_t id) { return t->nodes[id].margin; }
int32_t bfi_tree_depth(const bfi_tree *t, int32_t id) { return t->nodes[id].depth; }

void bfi_tree_path(const bfi_tree *t, int32_t id, bfi_cut *cuts) {
    for (; t->nodes[id].parent >= 0; id = t->nodes[id].parent)
        *cuts++ = (bfi_cut){decision_of(&t->nodes[t->nodes[id].parent]), t->nodes[id].sign};
}

bfi_tree_stats bfi_tree_stats_of(const bfi_tree *t) {
    bfi_tree_stats s = {.open = t->open,
                        .created = t->created,
                        .closed = t->closed,
                        .held = t->held,
                        .deepest = t->deepest,
                        .lowest = INFINITY};
    for (int l = 0; l <= t->level; l++) {
        int32_t first = t->first[l], last = end_of(t, l);
        for (int32_t i = first; i < (t->deep || last == first ? last : first + 1); i++)
            s.lowest = fmin(s.lowest, t->nodes[t->heap[i]].margin);
    }
    s.bytes = (int64_t)(t->capacity * sizeof *t->nodes + t->heap_capacity * sizeof *t->heap) +
              t->data_bytes;
    return s;
}

void bfi_tree_save(const bfi_tree *t, bfi_sealed_writer *w) {
    const int64_t head[] = {t->used, t->free, t->deep, t->created, t->closed, t->deepest};
    for (size_t i = 0; i < sizeof head / sizeof *head; i++) bfi_sealed_put_integer(w, head[i]);
    for (int32_t id = 0; id < t->used; id++) {
        const node *n = &t->nodes[id];
        assert(n->unused || n->open || n->children > 0);
        bfi_sealed_put_integer(w, n->unused ? STORED_UNUSED : n->open ? STORED_OPEN : STORED_INNER);
        bfi_sealed_put_integer(w, n->parent);
        if (n->unused) continue;
        const int64_t whole[] = {n->sign, n->activation, n->index, (int64_t)n->mask};
        for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
            bfi_sealed_put_integer(w, whole[i]);
        bfi_sealed_put_double(w, n->point);
        bfi_sealed_put_double(w, n->margin);
        bfi_sealed_put_integer(w, n->data ? (int64_t)n->data->size : 0);
        if (n->data) bfi_sealed_put(w, n->data->bytes, n->data->size);
    }
}

/* What stands behind the parent of a node in use. */
static bool load_node(bfi_tree *t, bfi_sealed_reader *r, node *n) {
    int64_t sign, activation, index, mask, size;
    bool ok = bfi_sealed_get_integer(r, &sign) && bfi_sealed_get_integer(r, &activation) &&
              bfi_sealed_get_integer(r, &index) && bfi_sealed_get_integer(r, &mask) &&
              bfi_sealed_get_double(r, &n->point) && bfi_sealed_get_double(r, &n->margin) &&
              bfi_sealed_get_integer(r, &size);
    if (!ok || size < 0 || size > bfi_sealed_left(r) || isnan(n->point) || isnan(n->margin) ||
        (n->parent < 0 ? sign != 0 : sign != 1 && sign != -1) || activation < -1 ||
        activation > INT16_MAX || index < 0 || index > INT32_MAX)
        return false;
    n->sign = (int8_t)sign;
    n->activation = (int16_t)activation;
    n->index = (int32_t)index;
    n->mask = (uint64_t)mask;
    return size == 0 ||
           (give_data(t, n, (size_t)size) && bfi_sealed_get(r, n->data->bytes, (size_t)size));
}

static bool load_nodes(bfi_tree *t, bfi_sealed_reader *r, int32_t used) {
    for (; t->used < used; t->used++) {
        node *n = &t->nodes[t->used];
        int64_t kind, parent;
        *n = (node){0};
        if (!bfi_sealed_get_integer(r, &kind) || !bfi_sealed_get_integer(r, &parent) ||
            kind < STORED_UNUSED || kind > STORED_OPEN || parent < -1 || parent >= used)
            return false;
        n->parent = (int32_t)parent;
        n->unused = kind == STORED_UNUSED;
        n->open = kind == STORED_OPEN;
        if (!n->unused && !load_node(t, r, n)) {
            t->used++; /* with what data it got */
            return false;
        }
        t->held += !n->unused;
        t->open += n->open;
    }
    return true;
}

/* Every unused node stands once in the list of them; a node in use has a parent in use that is not
 * open, is open or has children, and its root is found. */
static bool connect(bfi_tree *t) {
    int64_t listed = 0;
    for (int32_t id = t->free; id >= 0 && listed <= t->used; id = t->nodes[id].parent, listed++)
        if (!t->nodes[id].unused) return false;
    if (listed != t->used - t->held) return false;
    for (int32_t id = 0; id < t->used; id++) {
        node *up = t->nodes[id].parent < 0 ? NULL : &t->nodes[t->nodes[id].parent];
        if (t->nodes[id].unused || !up) continue;
        if (up->unused || up->open || up->children == MOST_CHILDREN) return false;
        up->children = (up->children + 1) & MOST_CHILDREN;
    }
    for (int32_t id = 0; id < t->used; id++)
        if (!t->nodes[id].unused && !t->nodes[id].open && t->nodes[id].children == 0) return false;
    return true;
}

/* Depths from the roots down; false when some node hangs on none. A node's depth is known once
 * that of every node above it is: each path is walked up to the first known one, then set. */
static bool measure_depths(bfi_tree *t) {
    for (int32_t id = 0; id < t->used; id++) t->nodes[id].depth = -1;
    for (int32_t id = 0; id < t->used; id++) {
        int32_t steps = 0, at = id;
        if (t->nodes[id].unused) continue;
        for (; at >= 0 && t->nodes[at].depth < 0 && steps <= t->used; at = t->nodes[at].parent)
            steps++;
        if (steps > t->used) return false;
        int32_t depth = (at >= 0 ? t->nodes[at].depth : -1) + steps;
        for (at = id; at >= 0 && t->nodes[at].depth < 0; at = t->nodes[at].parent)
            t->nodes[at].depth = depth--;
    }
    return true;
}

static bool load(bfi_tree *t, bfi_sealed_reader *r) {
    int64_t used, first, deep, deepest;
    if (!bfi_sealed_get_integer(r, &used) || !bfi_sealed_get_integer(r, &first) ||
        !bfi_sealed_get_integer(r, &deep) || !bfi_sealed_get_integer(r, &t->created) ||
        !bfi_sealed_get_integer(r, &t->closed) || !bfi_sealed_get_integer(r, &deepest))
        return false;
    if (used < 0 || used > bfi_sealed_left(r) / 16 || used > INT32_MAX || first < -1 ||
        first >= used || deepest < 0 || deepest > INT32_MAX || t->created < 0 || t->closed < 0)
        return false;
    if (!widen(t, (void **)&t->nodes, &t->capacity, (size_t)used, sizeof *t->nodes) ||
        !load_nodes(t, r, (int32_t)used))
        return false;
    t->free = (int32_t)first;
    t->deepest = (int32_t)deepest;
    t->deep = deep != 0;
    if (!connect(t) || !measure_depths(t)) return false;
    size_t open = (size_t)t->open;
    if (!widen(t, (void **)&t->heap, &t->heap_capacity, open, sizeof *t->heap)) return false;
    t->open = 0;
    for (int32_t id = 0; id < t->used; id++)
        if (t->nodes[id].open) push(t, id);
    return true;
}

bf_status bfi_tree_load(bfi_sealed_reader *r, bfi_tree **out, bf_error *err) {
    bfi_tree *t = NULL;
    bf_status status = bfi_tree_create(0, &t, err);
    if (status != BF_STATUS_OK) return status;
    if (!load(t, r)) {
        bfi_tree_free(t);
        return bfi_fail(err, BF_STATUS_PARSE, "its search tree cannot be read");
    }
    *out = t;
    return BF_STATUS_OK;
}

bool bfi_tree_all(const bfi_tree *t,
                  bool (*holds)(void *user, const bfi_tree *tree, int32_t node, bool open),
                  void *user) {
    bool all = true;
    for (int32_t id = 0; id < t->used && all; id++)
        all = t->nodes[id].unused || holds(user, t, id, t->nodes[id].open);
    return all;
}

void bfi_tree_sift(bfi_tree *t,
                   bool (*knows)(void *user, const bfi_tree *tree, int32_t node, const void *data,
                                 size_t size),
                   void *user) {
    for (int32_t id = 0; id < t->used; id++) {
        const payload *data = t->nodes[id].data;
        if (data && !knows(user, t, id, data->bytes, data->size)) drop_data(t, id);
    }
}
