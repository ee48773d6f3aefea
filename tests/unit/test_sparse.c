/* ir/sparse.h: every structural op against its index formula. */
#include "graph_kit.h"

#include "ir/sparse.h"

/* The matrix is well formed, and equals |want| (dense rows x cols). */
static void check_matrix(const bfi_sparse *m, const double *want) {
    bool single = true;
    assert_int_equal(m->ptr[0], 0);
    for (int64_t r = 0; r < m->rows; r++) {
        double *row = calloc((size_t)m->cols, sizeof *row);
        assert_true(m->ptr[r] <= m->ptr[r + 1]);
        if (m->ptr[r + 1] - m->ptr[r] > 1) single = false;
        for (int64_t k = m->ptr[r]; k < m->ptr[r + 1]; k++) {
            assert_in_range(m->idx[k], 0, m->cols - 1);
            if (k > m->ptr[r]) assert_true(m->idx[k - 1] < m->idx[k]);
            row[m->idx[k]] = m->val ? m->val[k] : 1;
        }
        assert_memory_equal(row, want + r * m->cols, (size_t)m->cols * sizeof *row);
        free(row);
    }
    assert_int_equal(m->selection, single && !m->val);
}

static void check_transpose(const bfi_sparse *m, const double *dense) {
    bfi_sparse t;
    double *turned = calloc((size_t)(m->rows * m->cols), sizeof *turned);
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->cols; c++) turned[c * m->rows + r] = dense[r * m->cols + c];
    assert_int_equal(bfi_sparse_transpose(m, &t, NULL), BF_STATUS_OK);
    assert_true(t.rows == m->cols && t.cols == m->rows && !t.fill && t.const_ulps == m->const_ulps);
    check_matrix(&t, turned);
    bfi_sparse_clear(&t);
    free(turned);
}

/* Where the last node reads input |which|, as a dense matrix given by |entry|(graph, row, column).
 */
typedef double entry_of(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x);

static void coordinates(const bfi_shape *shape, int64_t flat, int64_t *at) {
    for (int i = shape->rank - 1; i >= 0; i--) {
        at[i] = flat % shape->dim[i];
        flat /= shape->dim[i];
    }
}

static void check_op(bfi_graph *graph, int which, entry_of *entry, int const_ulps) {
    const bfi_node *node = &graph->nodes[graph->output], *x = &graph->nodes[node->inputs[which]];
    double *want = calloc((size_t)(node->count * x->count), sizeof *want);
    int64_t at_y[BFI_MAX_RANK], at_x[BFI_MAX_RANK];
    bfi_sparse m;
    kit_validate(graph);
    for (int64_t r = 0; r < node->count; r++)
        for (int64_t c = 0; c < x->count; c++) {
            coordinates(&node->shape, r, at_y);
            coordinates(&x->shape, c, at_x);
            want[r * x->count + c] = entry(graph, which, at_y, at_x);
        }
    assert_int_equal(bfi_node_sparse(graph, graph->output, which, &m, NULL), BF_STATUS_OK);
    assert_int_equal(m.rows, node->count);
    assert_int_equal(m.cols, x->count);
    assert_int_equal(m.const_ulps, const_ulps);
    check_matrix(&m, want);
    check_transpose(&m, want);
    bfi_sparse_clear(&m);
    free(want);
}

static const bfi_node *last(const bfi_graph *graph) { return &graph->nodes[graph->output]; }

static double transpose_entry(const bfi_graph *graph, int which, const int64_t *y,
                              const int64_t *x) {
    (void)which;
    for (int i = 0; i < last(graph)->shape.rank; i++)
        if (y[i] != x[last(graph)->attrs.perm[i]]) return 0;
    return 1;
}

static void transpose(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 3, 4));
    bfi_node *node = kit_add(graph, BFI_OP_TRANSPOSE, 0, -1, KIT_SHAPE(4, 2, 3));
    memcpy(node->attrs.perm, (int64_t[]){2, 0, 1}, 3 * sizeof(int64_t));
    check_op(graph, 0, transpose_entry, 0);
    bfi_graph_free(graph);
}

static double concat_entry(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x) {
    (void)graph;
    return y[0] == x[0] && y[1] == x[1] + (which ? 3 : 0) && y[2] == x[2];
}

static void concat(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 3, 2));
    kit_add(graph, BFI_OP_CONST, -1, -1, KIT_SHAPE(2, 4, 2))->weight = kit_numbers(NULL, 16);
    kit_add(graph, BFI_OP_CONCAT, 0, 1, KIT_SHAPE(2, 7, 2))->attrs.axis = 1;
    check_op(graph, 0, concat_entry, 0);
    check_op(graph, 1, concat_entry, 0);
    bfi_graph_free(graph);
}

static double slice_entry(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x) {
    const bfi_attrs *a = &last(graph)->attrs;
    (void)which;
    return x[0] == a->start[0] + y[0] * a->step[0] && x[1] == a->start[1] + y[1] * a->step[1];
}

static void slice(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(6, 5));
    bfi_node *node = kit_add(graph, BFI_OP_SLICE, 0, -1, KIT_SHAPE(2, 3));
    memcpy(node->attrs.start, (int64_t[]){1, 4}, 2 * sizeof(int64_t));
    memcpy(node->attrs.step, (int64_t[]){3, -2}, 2 * sizeof(int64_t));
    check_op(graph, 0, slice_entry, 0);
    bfi_graph_free(graph);
}

static double gather_entry(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x) {
    const bfi_node *node = last(graph);
    (void)which;
    return y[0] == x[0] && x[1] == node->indices[y[1] * 2 + y[2]] && y[3] == x[2];
}

static void gather(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 5, 3));
    bfi_node *node = kit_add(graph, BFI_OP_GATHER, 0, -1, KIT_SHAPE(2, 2, 2, 3));
    node->attrs.axis = 1;
    node->indices = kit_indices((int64_t[]){4, 0, 0, 2}, 4);
    node->n_indices = 4;
    node->indices_shape = KIT_SHAPE(2, 2);
    check_op(graph, 0, gather_entry, 0);
    bfi_graph_free(graph);
}

static void gather_of_a_scalar_index_drops_the_axis(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 3));
    bfi_node *node = kit_add(graph, BFI_OP_GATHER, 0, -1, KIT_SHAPE(2));
    bfi_sparse m;
    node->attrs.axis = 1;
    node->indices = kit_indices((int64_t[]){2}, 1);
    node->n_indices = 1;
    kit_validate(graph);
    assert_int_equal(bfi_node_sparse(graph, 1, 0, &m, NULL), BF_STATUS_OK);
    check_matrix(&m, (double[]){0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    bfi_sparse_clear(&m);
    bfi_graph_free(graph);
}

static double pad_entry(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x) {
    const bfi_attrs *a = &last(graph)->attrs;
    (void)which;
    return y[0] == x[0] + a->start[0] && y[1] == x[1] + a->start[1];
}

static void pad(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(3, 4));
    bfi_node *node = kit_add(graph, BFI_OP_PAD, 0, -1, KIT_SHAPE(5, 4));
    node->attrs.start[0] = 1;
    node->attrs.start[1] = -2; /* crops two columns, adds two behind */
    check_op(graph, 0, pad_entry, 0);
    bfi_sparse m;
    assert_int_equal(bfi_node_sparse(graph, 1, 0, &m, NULL), BF_STATUS_OK);
    assert_null(m.fill);
    bfi_sparse_clear(&m);
    node->attrs.value = 2.5;
    assert_int_equal(bfi_node_sparse(graph, 1, 0, &m, NULL), BF_STATUS_OK);
    for (int64_t r = 0; r < m.rows; r++) {
        bool inside = r / 4 >= 1 && r / 4 < 4 && r % 4 < 2;
        assert_true(m.fill[r] == (inside ? 0 : 2.5));
    }
    bfi_sparse_clear(&m);
    bfi_graph_free(graph);
}

static double expand_entry(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x) {
    (void)graph, (void)which;
    return x[0] == y[1] && x[1] == 0;
}

static void expand(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(3, 1));
    kit_add(graph, BFI_OP_EXPAND, 0, -1, KIT_SHAPE(2, 3, 4));
    check_op(graph, 0, expand_entry, 0);
    bfi_graph_free(graph);
}

static double resize_entry(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x) {
    (void)graph, (void)which;
    return x[0] == y[0] / 2 && x[1] == y[1] / 3;
}

static void resize(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 2));
    bfi_node *node = kit_add(graph, BFI_OP_RESIZE, 0, -1, KIT_SHAPE(4, 6));
    int64_t source[24];
    for (int64_t i = 0; i < 24; i++) source[i] = i / 6 / 2 * 2 + i % 6 / 3;
    node->indices = kit_indices(source, 24);
    node->n_indices = 24;
    check_op(graph, 0, resize_entry, 0);
    bfi_graph_free(graph);
}

static double reduce_entry(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x) {
    (void)which; /* axes 0 and 2 of [2,3,4,2] are summed */
    double value = last(graph)->op == BFI_OP_REDUCE_MEAN ? 1.0 / 8 : 1;
    return y[0] == x[1] && y[1] == x[3] ? value : 0;
}

static double reduce_keep_entry(const bfi_graph *graph, int which, const int64_t *y,
                                const int64_t *x) {
    (void)graph, (void)which;
    return y[0] == x[0] ? 1.0 / 3 : 0;
}

static void reduce(void **state) {
    (void)state;
    const bfi_op ops[] = {BFI_OP_REDUCE_SUM, BFI_OP_REDUCE_MEAN};
    for (int i = 0; i < 2; i++) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(2, 3, 4, 2));
        bfi_node *node = kit_add(graph, ops[i], 0, -1, KIT_SHAPE(3, 2));
        node->attrs.reduce[0] = node->attrs.reduce[2] = true;
        check_op(graph, 0, reduce_entry, 0);
        bfi_graph_free(graph);
    }
    bfi_graph *graph = kit_graph(KIT_SHAPE(5, 3));
    kit_add(graph, BFI_OP_REDUCE_MEAN, 0, -1, KIT_SHAPE(5, 1))->attrs.reduce[1] = true;
    check_op(graph, 0, reduce_keep_entry, 1);
    bfi_graph_free(graph);
}

static void reduce_of_one_term_is_a_selection(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(3, 1));
    bfi_sparse m;
    kit_add(graph, BFI_OP_REDUCE_MEAN, 0, -1, KIT_SHAPE(3))->attrs.reduce[1] = true;
    assert_int_equal(bfi_node_sparse(graph, 1, 0, &m, NULL), BF_STATUS_OK);
    assert_true(m.selection && !m.val && m.const_ulps == 0);
    bfi_sparse_clear(&m);
    bfi_graph_free(graph);
}

/* Number of taps k with 0 <= first + k * dil < n. */
static int64_t taps(int64_t first, int64_t dil, int64_t k, int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < k; i++) count += first + i * dil >= 0 && first + i * dil < n;
    return count;
}

static bool hits(int64_t at, int64_t first, int64_t dil, int64_t k) {
    return at >= first && (at - first) % dil == 0 && (at - first) / dil < k;
}

static double pool_entry(const bfi_graph *graph, int which, const int64_t *y, const int64_t *x) {
    const bfi_window *w = &last(graph)->attrs.window;
    int64_t top = y[2] * w->stride_h - w->pad_top, left = y[3] * w->stride_w - w->pad_left;
    (void)which;
    if (y[1] != x[1] || !hits(x[2], top, w->dil_h, w->kh) || !hits(x[3], left, w->dil_w, w->kw))
        return 0;
    int64_t inside = taps(top, w->dil_h, w->kh, w->h_in) * taps(left, w->dil_w, w->kw, w->w_in);
    return 1.0 / (double)(w->count_pad ? w->kh * w->kw : inside);
}

static void average_pool(void **state) {
    (void)state;
    for (int round = 0; round < 200; round++) {
        bfi_window w = {.groups = 1,
                        .c_in = 2,
                        .c_out = 2,
                        .h_in = kit_int(3, 7),
                        .w_in = kit_int(3, 7),
                        .kh = kit_int(1, 3),
                        .kw = kit_int(1, 3),
                        .stride_h = kit_int(1, 3),
                        .stride_w = kit_int(1, 3),
                        .dil_h = kit_int(1, 2),
                        .dil_w = 1};
        if ((w.kh - 1) * w.dil_h >= w.h_in) continue;
        w.pad_top = kit_int(0, (w.kh - 1) / 2);
        w.pad_left = kit_int(0, (w.kw - 1) / 2);
        w.count_pad = kit_int(0, 1);
        w.h_out = kit_windows(w.h_in, w.kh, w.dil_h, w.stride_h, w.pad_top);
        w.w_out = kit_windows(w.w_in, w.kw, w.dil_w, w.stride_w, w.pad_left);
        bfi_graph *graph = kit_graph(KIT_SHAPE(1, 2, w.h_in, w.w_in));
        bfi_node *node =
            kit_add(graph, BFI_OP_AVERAGE_POOL, 0, -1, KIT_SHAPE(1, 2, w.h_out, w.w_out));
        node->attrs.window = w;
        bool three = w.kh == 3 || w.kw == 3;
        bfi_sparse m;
        assert_int_equal(bfi_node_sparse(graph, 1, 0, &m, NULL), BF_STATUS_OK);
        if (!three) assert_int_equal(m.const_ulps, 0);
        if (three && w.count_pad) assert_int_equal(m.const_ulps, 1);
        check_op(graph, 0, pool_entry, m.const_ulps);
        bfi_sparse_clear(&m);
        bfi_graph_free(graph);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transpose),
        cmocka_unit_test(concat),
        cmocka_unit_test(slice),
        cmocka_unit_test(gather),
        cmocka_unit_test(gather_of_a_scalar_index_drops_the_axis),
        cmocka_unit_test(pad),
        cmocka_unit_test(expand),
        cmocka_unit_test(resize),
        cmocka_unit_test(reduce),
        cmocka_unit_test(reduce_of_one_term_is_a_selection),
        cmocka_unit_test(average_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
