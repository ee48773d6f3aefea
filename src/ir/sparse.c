#include "ir/sparse.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

void bfi_sparse_clear(bfi_sparse *m) {
    if (!m) return;
    free(m->ptr);
    free(m->idx);
    free(m->val);
    free(m->fill);
    memset(m, 0, sizeof *m);
}

/* Row pointers for |m->rows| rows; index storage comes with allocate_entries. */
static bool allocate_rows(bfi_sparse *m, int64_t rows, int64_t cols) {
    assert(rows <= BFI_MAX_COUNT && cols <= BFI_MAX_COUNT);
    m->rows = rows;
    m->cols = cols;
    m->ptr = bfi_calloc((size_t)rows + 1, sizeof *m->ptr);
    return m->ptr != NULL;
}

/* Turns the row lengths in ptr[1..rows] into row starts and allocates the entries. */
static bool allocate_entries(bfi_sparse *m, bool with_val) {
    for (int64_t r = 0; r < m->rows; r++) m->ptr[r + 1] += m->ptr[r];
    size_t n = (size_t)m->ptr[m->rows];
    m->idx = bfi_malloc(n, sizeof *m->idx);
    if (with_val) m->val = bfi_malloc(n, sizeof *m->val);
    return m->idx && (!with_val || m->val);
}

static bool at_most_one_per_row(const bfi_sparse *m) {
    for (int64_t r = 0; r < m->rows; r++)
        if (m->ptr[r + 1] - m->ptr[r] > 1) return false;
    return true;
}

/* Matrix that copies element source[o] to row o; source[o] < 0 leaves the row empty. */
static bool from_sources(bfi_sparse *m, const int64_t *source, int64_t rows, int64_t cols) {
    if (!allocate_rows(m, rows, cols)) return false;
    for (int64_t o = 0; o < rows; o++) m->ptr[o + 1] = source[o] >= 0;
    if (!allocate_entries(m, false)) return false;
    for (int64_t o = 0; o < rows; o++) {
        assert(source[o] < cols);
        if (source[o] >= 0) m->idx[m->ptr[o]] = (int32_t)source[o];
    }
    m->selection = true;
    return true;
}

static void strides_of(const bfi_shape *shape, int64_t *stride) {
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= shape->dim[i];
    }
}

/* Where output coordinate c of one axis lies in x: at first + c * step, times stride elements;
 * outside [0, limit) there is no source. */
typedef struct axis_map {
    int64_t first, step, stride, limit;
} axis_map;

/* Walks the output in row-major order through one axis_map per output axis. */
static void map_axes(const bfi_shape *y, const axis_map *map, int64_t count, int64_t *source) {
    int64_t at[BFI_MAX_RANK] = {0};
    for (int64_t o = 0; o < count; o++) {
        int64_t flat = 0;
        for (int i = 0; i < y->rank; i++) {
            int64_t c = map[i].first + at[i] * map[i].step;
            if (c < 0 || c >= map[i].limit) {
                flat = -1;
                break;
            }
            flat += c * map[i].stride;
        }
        source[o] = flat;
        for (int i = y->rank - 1; i >= 0 && ++at[i] == y->dim[i]; i--) at[i] = 0;
    }
}

/* TRANSPOSE, SLICE, PAD and EXPAND: every output axis reads one axis of x. */
static void axis_sources(const bfi_node *node, const bfi_node *x, int64_t *source) {
    axis_map map[BFI_MAX_RANK];
    int64_t stride[BFI_MAX_RANK];
    const bfi_attrs *a = &node->attrs;
    strides_of(&x->shape, stride);
    for (int i = 0; i < node->shape.rank; i++) {
        int from = i;
        map[i].first = 0;
        map[i].step = 1;
        if (node->op == BFI_OP_TRANSPOSE) from = (int)a->perm[i];
        if (node->op == BFI_OP_EXPAND) from = i - (node->shape.rank - x->shape.rank);
        if (node->op == BFI_OP_PAD) map[i].first = -a->start[i];
        if (node->op == BFI_OP_SLICE) {
            map[i].first = a->start[i];
            map[i].step = a->step[i];
        }
        bool repeated = from < 0 || (node->op == BFI_OP_EXPAND && x->shape.dim[from] == 1);
        if (repeated) map[i].step = 0;
        map[i].stride = from < 0 ? 0 : stride[from];
        map[i].limit = from < 0 ? 1 : x->shape.dim[from];
    }
    map_axes(&node->shape, map, node->count, source);
}

/* Elements of |shape| before and behind |axis|. */
static void split_at(const bfi_shape *shape, int axis, int64_t *outer, int64_t *inner) {
    *outer = *inner = 1;
    for (int i = 0; i < axis; i++) *outer *= shape->dim[i];
    for (int i = axis + 1; i < shape->rank; i++) *inner *= shape->dim[i];
}

static void concat_sources(const bfi_graph *graph, const bfi_node *node, int which,
                           int64_t *source) {
    int axis = node->attrs.axis;
    int64_t outer, inner, before = 0, out = 0;
    split_at(&node->shape, axis, &outer, &inner);
    for (int i = 0; i < which; i++) before += graph->nodes[node->inputs[i]].shape.dim[axis];
    int64_t part = graph->nodes[node->inputs[which]].shape.dim[axis] * inner;
    int64_t first = before * inner, row = node->shape.dim[axis] * inner;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < row; i++)
            source[out++] = i >= first && i < first + part ? o * part + i - first : -1;
}

static void gather_sources(const bfi_node *node, const bfi_node *x, int64_t *source) {
    int64_t outer, inner, out = 0, n = x->shape.dim[node->attrs.axis];
    split_at(&x->shape, node->attrs.axis, &outer, &inner);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < node->n_indices; k++)
            for (int64_t i = 0; i < inner; i++)
                source[out++] = (o * n + node->indices[k]) * inner + i;
}

static bool pad_fill(bfi_sparse *m, double value) {
    if (value == 0) return true;
    m->fill = bfi_calloc((size_t)m->rows, sizeof *m->fill);
    if (!m->fill) return false;
    for (int64_t r = 0; r < m->rows; r++)
        if (m->ptr[r] == m->ptr[r + 1]) m->fill[r] = value;
    return true;
}

static bool build_selection(const bfi_graph *graph, const bfi_node *node, int which,
                            bfi_sparse *m) {
    const bfi_node *x = &graph->nodes[node->inputs[which]];
    if (node->op == BFI_OP_RESIZE) return from_sources(m, node->indices, node->count, x->count);
    int64_t *source = bfi_malloc((size_t)node->count, sizeof *source);
    if (!source) return false;
    if (node->op == BFI_OP_CONCAT)
        concat_sources(graph, node, which, source);
    else if (node->op == BFI_OP_GATHER)
        gather_sources(node, x, source);
    else
        axis_sources(node, x, source);
    bool ok = from_sources(m, source, node->count, x->count);
    free(source);
    return ok && (node->op != BFI_OP_PAD || pad_fill(m, node->attrs.value));
}

static bool power_of_two(int64_t n) { return (n & (n - 1)) == 0; }

/* Output element of every element of x, by an odometer over x. */
static void reduce_targets(const bfi_node *node, const bfi_node *x, int64_t *target) {
    axis_map map[BFI_MAX_RANK];
    int64_t step = 1;
    for (int i = x->shape.rank - 1; i >= 0; i--) {
        bool summed = node->attrs.reduce[i];
        map[i] = (axis_map){.step = 1, .stride = summed ? 0 : step, .limit = x->shape.dim[i]};
        if (!summed) step *= x->shape.dim[i];
    }
    map_axes(&x->shape, map, x->count, target);
}

static bool build_reduce(const bfi_graph *graph, const bfi_node *node, bfi_sparse *m) {
    const bfi_node *x = &graph->nodes[node->inputs[0]];
    int64_t terms = x->count / node->count;
    bool mean = node->op == BFI_OP_REDUCE_MEAN && terms > 1;
    int64_t *target = bfi_malloc((size_t)x->count, sizeof *target);
    bool ok = target && allocate_rows(m, node->count, x->count);
    if (ok) {
        reduce_targets(node, x, target);
        for (int64_t i = 0; i < x->count; i++) m->ptr[target[i] + 1]++;
        ok = allocate_entries(m, mean);
    }
    if (ok) {
        /* ptr[r] serves as the cursor of row r, which leaves it at the start of row r + 1. */
        for (int64_t i = 0; i < x->count; i++) m->idx[m->ptr[target[i]]++] = (int32_t)i;
        memmove(m->ptr + 1, m->ptr, (size_t)m->rows * sizeof *m->ptr);
        m->ptr[0] = 0;
        for (int64_t i = 0; mean && i < x->count; i++) m->val[i] = 1.0 / (double)terms;
        m->const_ulps = mean && !power_of_two(terms);
        m->selection = terms == 1;
    }
    free(target);
    return ok;
}

/* The taps [*lo, *hi) of window |o| along one axis that fall into x. */
static void taps_inside(int64_t o, int64_t stride, int64_t pad, int64_t dil, int64_t k, int64_t n,
                        int64_t *lo, int64_t *hi) {
    int64_t first = o * stride - pad;
    *lo = first < 0 ? (-first + dil - 1) / dil : 0;
    *hi = first < n ? (n - first + dil - 1) / dil : 0;
    if (*hi > k) *hi = k;
    if (*lo > *hi) *lo = *hi;
}

typedef struct window_taps {
    int64_t y_lo, y_hi, x_lo, x_hi, count;
} window_taps;

static window_taps taps_of(const bfi_window *w, int64_t oy, int64_t ox) {
    window_taps t;
    taps_inside(oy, w->stride_h, w->pad_top, w->dil_h, w->kh, w->h_in, &t.y_lo, &t.y_hi);
    taps_inside(ox, w->stride_w, w->pad_left, w->dil_w, w->kw, w->w_in, &t.x_lo, &t.x_hi);
    t.count = (t.y_hi - t.y_lo) * (t.x_hi - t.x_lo);
    return t;
}

/* Row |r| of an average pool: window (oy, ox) of channel |c|. */
static void fill_window(bfi_sparse *m, const bfi_window *w, int64_t r, int64_t c, int64_t oy,
                        int64_t ox) {
    window_taps t = taps_of(w, oy, ox);
    int64_t divisor = w->count_pad ? w->kh * w->kw : t.count, at = m->ptr[r];
    for (int64_t ky = t.y_lo; ky < t.y_hi; ky++) {
        int64_t row = (c * w->h_in + oy * w->stride_h - w->pad_top + ky * w->dil_h) * w->w_in;
        for (int64_t kx = t.x_lo; kx < t.x_hi; kx++) {
            m->idx[at] = (int32_t)(row + ox * w->stride_w - w->pad_left + kx * w->dil_w);
            if (m->val) m->val[at] = 1.0 / (double)divisor;
            at++;
        }
    }
    if (!power_of_two(divisor)) m->const_ulps = 1;
}

static bool build_average_pool(const bfi_node *node, int64_t cols, bfi_sparse *m) {
    const bfi_window *w = &node->attrs.window;
    if (!allocate_rows(m, node->count, cols)) return false;
    int64_t r = 0;
    for (int64_t c = 0; c < w->c_out; c++)
        for (int64_t oy = 0; oy < w->h_out; oy++)
            for (int64_t ox = 0; ox < w->w_out; ox++) m->ptr[++r] = taps_of(w, oy, ox).count;
    bool copies = w->kh * w->kw == 1;
    if (!allocate_entries(m, !copies)) return false;
    r = 0;
    for (int64_t c = 0; c < w->c_out; c++)
        for (int64_t oy = 0; oy < w->h_out; oy++)
            for (int64_t ox = 0; ox < w->w_out; ox++) fill_window(m, w, r++, c, oy, ox);
    m->selection = copies;
    return true;
}

bf_status bfi_node_sparse(const bfi_graph *graph, int id, int which, bfi_sparse *out,
                          bf_error *err) {
    const bfi_node *node = &graph->nodes[id];
    assert(bfi_op_class_of(node->op) == BFI_CLASS_STRUCTURAL);
    assert(which >= 0 && which < node->n_inputs);
    bool ok;
    memset(out, 0, sizeof *out);
    switch (node->op) {
        case BFI_OP_REDUCE_SUM:
        case BFI_OP_REDUCE_MEAN:
            ok = build_reduce(graph, node, out);
            break;
        case BFI_OP_AVERAGE_POOL:
            ok = build_average_pool(node, graph->nodes[node->inputs[0]].count, out);
            break;
        default:
            ok = build_selection(graph, node, which, out);
            break;
    }
    if (ok) return BF_STATUS_OK;
    bfi_sparse_clear(out);
    return bfi_fail_memory(err);
}

bf_status bfi_sparse_transpose(const bfi_sparse *m, bfi_sparse *out, bf_error *err) {
    memset(out, 0, sizeof *out);
    int64_t n = m->ptr[m->rows];
    bool ok = allocate_rows(out, m->cols, m->rows);
    if (ok) {
        for (int64_t k = 0; k < n; k++) out->ptr[m->idx[k] + 1]++;
        ok = allocate_entries(out, m->val != NULL);
    }
    if (!ok) {
        bfi_sparse_clear(out);
        return bfi_fail_memory(err);
    }
    for (int64_t r = 0; r < m->rows; r++) {
        for (int64_t k = m->ptr[r]; k < m->ptr[r + 1]; k++) {
            int64_t at = out->ptr[m->idx[k]]++;
            out->idx[at] = (int32_t)r;
            if (m->val) out->val[at] = m->val[k];
        }
    }
    memmove(out->ptr + 1, out->ptr, (size_t)out->rows * sizeof *out->ptr);
    out->ptr[0] = 0;
    out->const_ulps = m->const_ulps;
    out->selection = !out->val && at_most_one_per_row(out);
    return BF_STATUS_OK;
}
