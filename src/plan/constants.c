#include "plan/constants.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

/* 64-byte aligned, zeroed, owned by |c|; NULL when out of memory. */
static void *keep_bytes(bfi_constants *c, size_t bytes) {
    if (!bfi_grow((void **)&c->blocks, &c->block_capacity, c->block_count + 1, sizeof *c->blocks))
        return NULL;
    void *block = bfi_alloc_aligned(bytes);
    if (!block) return NULL;
    memset(block, 0, (bytes + 63) & ~(size_t)63);
    c->blocks[c->block_count++] = block;
    c->bytes += (int64_t)((bytes + 63) & ~(size_t)63);
    return block;
}

static void *keep(bfi_constants *c, int64_t count, size_t size) {
    size_t bytes;
    if (count < 0 || !bfi_mul_size((size_t)count, size, &bytes)) return NULL;
    return keep_bytes(c, bytes);
}

/* Copies |count| numbers into the dtype; *|rel| grows to the largest error relative to the stored
 * number (infinite when a number other than zero is stored as zero). */
static void *keep_numbers(bfi_constants *c, const double *data, int64_t count, double *rel) {
    void *out = keep(c, count, bfi_dtype_size(c->dtype));
    if (!out) return NULL;
    for (int64_t i = 0; i < count; i++) {
        bfi_store(c->dtype, out, i, data[i]);
        double stored = bfi_load(c->dtype, out, i);
        if (stored != data[i] && rel)
            *rel = fmax(*rel, bfi_up(fabs(stored - data[i]) / fabs(stored)));
    }
    return out;
}

/* Packs w(m, k) = data[m * stride_m + k * stride_k]. */
static void pack(bfi_dtype t, const double *data, int64_t m, int64_t k, int64_t stride_m,
                 int64_t stride_k, void *out) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < k; j++)
            bfi_store(t, out, (i / BF_PACK * k + j) * BF_PACK + i % BF_PACK,
                      data[i * stride_m + j * stride_k]);
}

static bool lower_linear(bfi_constants *c, const bfi_node *node, bfi_node_constants *out) {
    int64_t k = node->attrs.k, n = node->attrs.n;
    void *forward = keep(c, bfi_packed_size(n, k), bfi_dtype_size(c->dtype));
    void *backward = keep(c, bfi_packed_size(k, n), bfi_dtype_size(c->dtype));
    if (!forward || !backward) return false;
    pack(c->dtype, node->weight.data, n, k, k, 1, forward);
    pack(c->dtype, node->weight.data, k, n, 1, k, backward);
    out->forward = (bfi_packed){n, k, forward};
    out->backward = (bfi_packed){k, n, backward};
    out->terms_forward = k;
    out->terms_backward = n;
    return true;
}

/* The gather form of a window op from input to output (see bfi_conv). */
static bfi_conv gather_geometry(const bfi_window *w, bool transposed) {
    return (bfi_conv){.groups = w->groups,
                      .c_src = w->c_in / w->groups,
                      .h_src = w->h_in,
                      .w_src = w->w_in,
                      .c_dst = w->c_out / w->groups,
                      .h_dst = w->h_out,
                      .w_dst = w->w_out,
                      .kh = w->kh,
                      .kw = w->kw,
                      .stride_h = w->stride_h,
                      .stride_w = w->stride_w,
                      .dil_h = w->dil_h,
                      .dil_w = w->dil_w,
                      .pad_top = w->pad_top,
                      .pad_left = w->pad_left,
                      .transposed = transposed};
}

/* The same taps read in the other direction. */
static bfi_conv reversed(bfi_conv g) {
    bfi_conv r = g;
    r.c_src = g.c_dst, r.h_src = g.h_dst, r.w_src = g.w_dst;
    r.c_dst = g.c_src, r.h_dst = g.h_src, r.w_dst = g.w_src;
    r.transposed = !g.transposed;
    return r;
}

/* Packs the weights of every group; |major_dst|: the graph's weight is [dst][src][kh][kw] within a
 * group, else [src][dst][kh][kw]. */
static bool pack_conv(bfi_constants *c, const double *weight, bool major_dst, bfi_conv *g) {
    int64_t taps = g->kh * g->kw, m = g->c_dst, k = g->c_src * taps;
    int64_t panel = bfi_packed_size(m, k);
    size_t size = bfi_dtype_size(c->dtype);
    char *out = keep(c, panel * g->groups, size);
    double *matrix = bfi_malloc((size_t)(m * k), sizeof *matrix);
    if (!out || !matrix) {
        free(matrix);
        return false;
    }
    for (int64_t group = 0; group < g->groups; group++) {
        const double *w = weight + group * m * k;
        for (int64_t dst = 0; dst < m; dst++)
            for (int64_t src = 0; src < g->c_src; src++)
                for (int64_t tap = 0; tap < taps; tap++)
                    matrix[dst * k + src * taps + tap] =
                        w[((major_dst ? dst * g->c_src + src : src * m + dst)) * taps + tap];
        pack(c->dtype, matrix, m, k, k, 1, out + (size_t)(group * panel) * size);
    }
    free(matrix);
    g->packed = out;
    return true;
}

static bool lower_conv(bfi_constants *c, const bfi_node *node, bfi_node_constants *out) {
    bool transposed = node->op == BFI_OP_CONV_TRANSPOSE;
    out->conv_forward = gather_geometry(&node->attrs.window, transposed);
    out->conv_backward = reversed(out->conv_forward);
    /* conv weights are [c_out][c_in/g], transposed ones [c_in][c_out/g]; groups are the outer index
     * of both */
    if (!pack_conv(c, node->weight.data, !transposed, &out->conv_forward)) return false;
    if (!pack_conv(c, node->weight.data, transposed, &out->conv_backward)) return false;
    int64_t taps = node->attrs.window.kh * node->attrs.window.kw;
    out->terms_forward = out->conv_forward.c_src * taps;
    out->terms_backward = out->conv_backward.c_src * taps;
    return true;
}

static bool keep_csr(bfi_constants *c, const bfi_sparse *m, bfi_csr *out) {
    int64_t entries = m->ptr[m->rows];
    int64_t *ptr = keep(c, m->rows + 1, sizeof *ptr);
    int32_t *idx = keep(c, entries, sizeof *idx);
    if (!ptr || !idx) return false;
    memcpy(ptr, m->ptr, (size_t)(m->rows + 1) * sizeof *ptr);
    memcpy(idx, m->idx, (size_t)entries * sizeof *idx);
    assert(m->ptr[0] == 0);
    *out = (bfi_csr){m->rows, ptr, idx, NULL};
    if (m->val) out->val = keep_numbers(c, m->val, entries, NULL);
    return !m->val || out->val;
}

static int64_t longest_row(const bfi_csr *m) {
    int64_t longest = 0;
    for (int64_t r = 0; r < m->rows; r++)
        if (m->ptr[r + 1] - m->ptr[r] > longest) longest = m->ptr[r + 1] - m->ptr[r];
    return longest;
}

/* Roundings in a sparse sum: none for at most one unit entry; blocks are cut by the original index,
 * so every entry may stand in a block of its own. */
static int64_t sparse_depth(int64_t longest, bool has_val) {
    return longest > 1 || has_val ? longest + 1 : 0;
}

static bf_status lower_structural(bfi_constants *c, const bfi_graph *graph, int id,
                                  bfi_node_constants *out, bf_error *err) {
    const bfi_node *node = &graph->nodes[id];
    out->sparse_count = node->n_inputs;
    out->sparse_forward = keep(c, node->n_inputs, sizeof(bfi_csr));
    out->sparse_backward = keep(c, node->n_inputs, sizeof(bfi_csr));
    if (!out->sparse_forward || !out->sparse_backward) return bfi_fail_memory(err);
    out->sparse_selection = true;
    bf_status status = BF_STATUS_OK;
    for (int which = 0; which < node->n_inputs && status == BF_STATUS_OK; which++) {
        bfi_sparse m = {0}, t = {0};
        status = bfi_node_sparse(graph, id, which, &m, err);
        if (status == BF_STATUS_OK) status = bfi_sparse_transpose(&m, &t, err);
        if (status == BF_STATUS_OK && (!keep_csr(c, &m, &out->sparse_forward[which]) ||
                                       !keep_csr(c, &t, &out->sparse_backward[which])))
            status = bfi_fail_memory(err);
        if (status == BF_STATUS_OK && m.fill) {
            out->bias = keep_numbers(c, m.fill, node->count, NULL);
            out->bias_exact = keep(c, node->count, sizeof(double));
            if (!out->bias || !out->bias_exact)
                status = bfi_fail_memory(err);
            else
                memcpy(out->bias_exact, m.fill, (size_t)node->count * sizeof(double));
        }
        if (status == BF_STATUS_OK) {
            int64_t forward = longest_row(&out->sparse_forward[which]);
            int64_t backward = longest_row(&out->sparse_backward[which]);
            out->sparse_selection = out->sparse_selection && m.selection;
            if (m.val) out->weight_rel = bfi_unit_roundoff(c->dtype) + BF_U64 * m.const_ulps;
            if (forward > out->terms_forward) out->terms_forward = forward;
            if (backward > out->terms_backward) out->terms_backward = backward;
            int64_t df = sparse_depth(forward, m.val), db = sparse_depth(backward, m.val);
            if (df > out->depth_forward) out->depth_forward = df;
            if (db > out->depth_backward) out->depth_backward = db;
        }
        bfi_sparse_clear(&m);
        bfi_sparse_clear(&t);
    }
    return status;
}

/* Per-element constants: |numbers| has one per element, or one per channel of |inner| elements
 * (conv), or one per output feature repeated over rows (linear). */
static bool lower_bias(bfi_constants *c, const bfi_node *node, const bfi_numbers *numbers,
                       int64_t inner, bfi_node_constants *out) {
    if (numbers->count == 0) return true;
    double *exact = keep(c, node->count, sizeof *exact);
    if (!exact) return false;
    for (int64_t i = 0; i < node->count; i++) exact[i] = numbers->data[i / inner % numbers->count];
    out->bias_exact = exact;
    out->bias = keep_numbers(c, exact, node->count, NULL);
    if (node->bias_error.count > 0) {
        assert(node->bias_error.count == numbers->count);
        out->bias_error = keep(c, node->count, sizeof *out->bias_error);
        for (int64_t i = 0; out->bias_error && i < node->count; i++)
            out->bias_error[i] = node->bias_error.data[i / inner % numbers->count];
    }
    return out->bias && (out->bias_error || node->bias_error.count == 0);
}

static bf_status lower_node(bfi_constants *c, const bfi_graph *graph, int id, bf_error *err) {
    const bfi_node *node = &graph->nodes[id];
    bfi_node_constants *out = &c->nodes[id];
    bool weighted = bfi_op_class_of(node->op) == BFI_CLASS_WEIGHTED;
    bool ok = true;
    if (weighted) {
        out->weight = keep_numbers(c, node->weight.data, node->weight.count, &out->weight_rel);
        ok = out->weight &&
             (node->op == BFI_OP_LINEAR ? lower_linear(c, node, out) : lower_conv(c, node, out));
        int64_t inner =
            node->op == BFI_OP_LINEAR ? 1 : node->attrs.window.h_out * node->attrs.window.w_out;
        ok = ok && lower_bias(c, node, &node->bias, inner, out);
        out->depth_forward = bfi_sum_depth(out->terms_forward);
        out->depth_backward = bfi_sum_depth(out->terms_backward);
    } else if (node->op == BFI_OP_SCALE_SHIFT) {
        if (node->weight.count) {
            out->scale = keep_numbers(c, node->weight.data, node->count, &out->weight_rel);
            ok = out->scale != NULL;
        }
        ok = ok && lower_bias(c, node, &node->bias, 1, out);
    } else if (node->op == BFI_OP_CONST) {
        ok = lower_bias(c, node, &node->weight, 1, out);
    } else if (bfi_op_class_of(node->op) == BFI_CLASS_STRUCTURAL) {
        return lower_structural(c, graph, id, out, err);
    }
    out->weight_rel += BF_U64 * node->attrs.const_ulps;
    out->bias_rel = BF_U64 * node->attrs.const_ulps;
    return ok ? BF_STATUS_OK : bfi_fail_memory(err);
}

bf_status bfi_constants_create(const bfi_graph *graph, bfi_dtype dtype, bfi_constants **out,
                               bf_error *err) {
    bfi_constants *c = bfi_calloc(1, sizeof *c);
    if (!c) return bfi_fail_memory(err);
    c->dtype = dtype;
    c->count = graph->count;
    c->nodes = bfi_calloc((size_t)graph->count, sizeof *c->nodes);
    bf_status status = c->nodes ? BF_STATUS_OK : bfi_fail_memory(err);
    for (int id = 0; id < graph->count && status == BF_STATUS_OK; id++)
        status = lower_node(c, graph, id, err);
    if (status != BF_STATUS_OK) {
        bfi_constants_free(c);
        return status;
    }
    *out = c;
    return BF_STATUS_OK;
}

void bfi_constants_free(bfi_constants *c) {
    if (!c) return;
    for (size_t i = 0; i < c->block_count; i++) free(c->blocks[i]);
    free(c->blocks);
    free(c->nodes);
    free(c);
}
