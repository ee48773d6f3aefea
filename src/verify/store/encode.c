#include "verify/store/encode.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fp.h"
#include "base/status.h"
#include "exec/pool_lines.h"
#include "verify/store/affine.h"

/* Bytes per entry and per column or row, of the encoding and a solver's copies. */
enum { ENTRY_BYTES = 64, LINE_BYTES = 512 };

typedef struct builder {
    const bfi_constraints *store;
    bfi_encoding *out;
    bool **need;    /* by node and element */
    int32_t **col;  /* the same: its column, where needed */
    int64_t *place; /* by column: entry of the row being written, or -1 */
    size_t place_room;
    int64_t first;  /* entry of the row being written */
    double lost;    /* by merging its coefficients */
    int32_t zero;   /* a column that is zero, -1: none yet */
    int64_t memory; /* left */
    bf_error *err;
} builder;

void bfi_encoding_clear(bfi_encoding *e) {
    free(e->lo);
    free(e->hi);
    free(e->layer);
    free(e->element);
    free(e->input);
    free(e->start);
    free(e->index);
    free(e->value);
    free(e->row_lo);
    free(e->row_hi);
    free(e->kinks);
    *e = (bfi_encoding){0};
}

static const bfi_node *node_of(const builder *b, int id) { return &b->store->graph->nodes[id]; }

/* ---- columns and rows ---- */

static bf_status spend(builder *b, int64_t bytes) {
    b->memory -= bytes;
    if (b->memory >= 0) return BF_STATUS_OK;
    return bfi_fail(b->err, BF_STATUS_LIMIT, "the encoding takes more memory than is allowed");
}

/* A column with that box. |id| is for the message. */
static bf_status add_column(builder *b, int id, double lo, double hi, int32_t *col) {
    bfi_encoding *e = b->out;
    size_t at = (size_t)e->cols;
    if (!isfinite(lo) || !isfinite(hi))
        return bfi_fail(b->err, BF_STATUS_LIMIT, "%s %s: no finite interval is known",
                        bfi_op_name(node_of(b, id)->op), node_of(b, id)->name);
    if (e->cols == INT32_MAX || !bfi_grow((void **)&e->lo, &e->lo_room, at + 1, sizeof *e->lo) ||
        !bfi_grow((void **)&e->hi, &e->hi_room, at + 1, sizeof *e->hi) ||
        !bfi_grow((void **)&e->layer, &e->layer_room, at + 1, sizeof *e->layer) ||
        !bfi_grow((void **)&e->element, &e->element_room, at + 1, sizeof *e->element) ||
        !bfi_grow((void **)&b->place, &b->place_room, at + 1, sizeof *b->place))
        return bfi_fail_memory(b->err);
    e->empty = e->empty || lo > hi;
    e->lo[at] = lo, e->hi[at] = hi, b->place[at] = -1;
    e->layer[at] = e->element[at] = -1;
    *col = e->cols++;
    return spend(b, LINE_BYTES);
}

static void clip_column(builder *b, int32_t col, double lo, double hi) {
    bfi_encoding *e = b->out;
    if (lo > e->lo[col]) e->lo[col] = lo;
    if (hi < e->hi[col]) e->hi[col] = hi;
    e->empty = e->empty || e->lo[col] > e->hi[col];
}

static bf_status zero_column(builder *b, int32_t *col) {
    bf_status status = BF_STATUS_OK;
    if (b->zero < 0) status = add_column(b, 0, 0, 0, &b->zero);
    *col = b->zero;
    return status;
}

static void begin_row(builder *b) {
    b->first = b->out->start[b->out->rows];
    b->lost = 0;
}

/* Adds coef * column to the row; a column that is there already gets the sum, and the row a range
 * for what that rounds off. */
static bf_status add_entry(builder *b, int32_t col, double coef) {
    bfi_encoding *e = b->out;
    int64_t end = e->start[e->rows + 1], at = b->place[col];
    double magnitude = bfi_encoding_magnitude(e, col);
    if (magnitude == 0 || coef == 0) return BF_STATUS_OK;
    if (at >= b->first) {
        double sum = e->value[at] + coef, other = sum - coef;
        double error = fabs((coef - (sum - other)) + (e->value[at] - other));
        if (!isfinite(sum)) return bfi_fail(b->err, BF_STATUS_LIMIT, "a coefficient overflows");
        if (error > 0) b->lost = bfi_add_up(b->lost, bfi_mul_up(error, magnitude));
        e->value[at] = sum;
        return BF_STATUS_OK;
    }
    if (!bfi_grow((void **)&e->index, &e->index_room, (size_t)end + 1, sizeof *e->index) ||
        !bfi_grow((void **)&e->value, &e->value_room, (size_t)end + 1, sizeof *e->value))
        return bfi_fail_memory(b->err);
    e->index[end] = col, e->value[end] = coef;
    b->place[col] = end;
    e->start[e->rows + 1] = end + 1;
    return spend(b, ENTRY_BYTES);
}

static bf_status open_rows(builder *b, int64_t rows) {
    bfi_encoding *e = b->out;
    size_t need = (size_t)rows;
    if (!bfi_grow((void **)&e->start, &e->start_room, need + 1, sizeof *e->start) ||
        !bfi_grow((void **)&e->row_lo, &e->row_lo_room, need, sizeof *e->row_lo) ||
        !bfi_grow((void **)&e->row_hi, &e->row_hi_room, need, sizeof *e->row_hi))
        return bfi_fail_memory(b->err);
    return BF_STATUS_OK;
}

/* Ends the row: lo <= sum <= hi up to |error|; the next one begins where it ends. */
static bf_status end_row(builder *b, double lo, double hi, double error) {
    bfi_encoding *e = b->out;
    if (b->lost > 0) error = bfi_add_up(error, b->lost);
    e->row_lo[e->rows] = error > 0 ? bfi_down(lo - error) : lo;
    e->row_hi[e->rows] = error > 0 ? bfi_up(hi + error) : hi;
    e->rows++;
    bf_status status = open_rows(b, e->rows + 1);
    if (status == BF_STATUS_OK) e->start[e->rows + 1] = e->start[e->rows];
    return status == BF_STATUS_OK ? spend(b, LINE_BYTES) : status;
}

/* p x + q y - z = 0, up to |error|. */
static bf_status tie(builder *b, double p, int32_t x, double q, int32_t y, int32_t z,
                     double error) {
    begin_row(b);
    bf_status status = add_entry(b, x, p);
    if (status == BF_STATUS_OK) status = add_entry(b, y, q);
    if (status == BF_STATUS_OK) status = add_entry(b, z, -1);
    return status == BF_STATUS_OK ? end_row(b, 0, 0, error) : status;
}

/* ---- kinks ---- */

/* The column of f(in), f as a kink. */
static bf_status add_kink(builder *b, int id, bfi_kink k, int32_t *out) {
    bfi_encoding *e = b->out;
    double lo = e->lo[k.in], hi = e->hi[k.in];
    if (lo >= 0 || hi <= 0) {
        double slope = lo >= 0 ? k.slope[1] : k.slope[0];
        if (slope == 0 || (lo == 0 && hi == 0)) return zero_column(b, out);
        if (slope == 1) {
            *out = k.in;
            return BF_STATUS_OK;
        }
        double p = slope * lo, q = slope * hi;
        bf_status status = add_column(b, id, bfi_down(bfi_down(fmin(p, q)) - k.error),
                                      bfi_up(bfi_up(fmax(p, q)) + k.error), out);
        return status == BF_STATUS_OK ? tie(b, slope, k.in, 0, k.in, *out, k.error) : status;
    }
    double p = k.slope[0] * lo, q = k.slope[1] * hi;
    double least = fmin(fmin(p, q), 0), most = fmax(fmax(p, q), 0);
    bool exact = k.error == 0 && (k.slope[0] == 0 || fabs(k.slope[0]) == 1) && k.slope[1] == 1;
    if (!exact) least = bfi_down(bfi_down(least) - k.error), most = bfi_up(bfi_up(most) + k.error);
    bf_status status = add_column(b, id, least, most, &k.out);
    if (status != BF_STATUS_OK) return status;
    if (!bfi_grow((void **)&e->kinks, &e->kink_room, (size_t)e->kink_count + 1, sizeof *e->kinks))
        return bfi_fail_memory(b->err);
    e->kinks[e->kink_count++] = k;
    *out = k.out;
    return spend(b, 2 * LINE_BYTES);
}

/* max(x, y) = y + relu(x - y); min(x, y) = x - relu(x - y). */
static bf_status add_extreme(builder *b, int id, bool largest, int32_t x, int32_t y, int32_t *out) {
    bfi_encoding *e = b->out;
    double (*pick)(double, double) = largest ? fmax : fmin;
    double lo = pick(e->lo[x], e->lo[y]), hi = pick(e->hi[x], e->hi[y]);
    int32_t difference, part;
    if (x == y || e->lo[x] >= e->hi[y]) {
        *out = largest ? x : y;
        return BF_STATUS_OK;
    }
    if (e->lo[y] >= e->hi[x]) {
        *out = largest ? y : x;
        return BF_STATUS_OK;
    }
    bf_status status =
        add_column(b, id, bfi_down(e->lo[x] - e->hi[y]), bfi_up(e->hi[x] - e->lo[y]), &difference);
    if (status == BF_STATUS_OK) status = tie(b, 1, x, -1, y, difference, 0);
    if (status == BF_STATUS_OK)
        status = add_kink(b, id, (bfi_kink){.in = difference, .slope = {0, 1}}, &part);
    int32_t base = largest ? y : x;
    if (status == BF_STATUS_OK) status = add_column(b, id, lo, hi, out);
    return status == BF_STATUS_OK ? tie(b, 1, base, largest ? 1 : -1, part, *out, 0) : status;
}

static bool kinked(bfi_op op) {
    return op == BFI_OP_RELU || op == BFI_OP_LEAKY_RELU || op == BFI_OP_ABS;
}

static bf_status define_kink(builder *b, int id, int64_t j, int32_t *out) {
    const bfi_node *node = node_of(b, id);
    bfi_kink k = {.in = b->col[node->inputs[0]][j], .slope = {0, 1}};
    if (node->op == BFI_OP_ABS) k.slope[0] = -1;
    if (node->op == BFI_OP_LEAKY_RELU) {
        k.slope[0] = node->attrs.slope;
        if (b->store->semantics == BF_SEMANTICS_FLOAT32) {
            double most = fabs(k.slope[0]) * bfi_encoding_magnitude(b->out, k.in);
            k.error = bfi_up(bfi_up(most * 2 * BF_U32) + 0x1p-148);
        }
    }
    return add_kink(b, id, k, out);
}

/* A column for a number: at least (|largest|) or at most that much of column |x|. */
static bf_status limit_column(builder *b, int id, bool largest, int32_t x, double number,
                              int32_t *out) {
    int32_t fixed;
    *out = x;
    if (!isfinite(number)) return BF_STATUS_OK;
    bf_status status = add_column(b, id, number, number, &fixed);
    return status == BF_STATUS_OK ? add_extreme(b, id, largest, x, fixed, out) : status;
}

static bf_status define_clip(builder *b, int id, int64_t j, int32_t *out) {
    const bfi_node *node = node_of(b, id);
    int32_t above;
    bf_status status =
        limit_column(b, id, true, b->col[node->inputs[0]][j], node->attrs.lo, &above);
    return status == BF_STATUS_OK ? limit_column(b, id, false, above, node->attrs.hi, out) : status;
}

/* Calls |visit| for the elements of window |j| of a max pooling. */
static bf_status each_pooled(builder *b, int id, int64_t j,
                             bf_status (*visit)(builder *, int, int64_t, void *), void *user) {
    const bfi_window *w = &node_of(b, id)->attrs.window;
    bf_status status = BF_STATUS_OK;
    for (int64_t k = 0; k < w->kh * w->kw && status == BF_STATUS_OK; k++) {
        int64_t element = bfi_pool_element(w, j, k);
        if (element >= 0) status = visit(b, id, element, user);
    }
    return status;
}

static bf_status join_pooled(builder *b, int id, int64_t element, void *user) {
    int32_t *best = user, x = b->col[node_of(b, id)->inputs[0]][element];
    if (*best >= 0) return add_extreme(b, id, true, x, *best, best);
    *best = x;
    return BF_STATUS_OK;
}

static bf_status need_pooled(builder *b, int id, int64_t element, void *user) {
    (void)user;
    b->need[node_of(b, id)->inputs[0]][element] = true;
    return BF_STATUS_OK;
}

/* ---- what is needed ---- */

static void need_rows(builder *b) {
    const bfi_constraints *s = b->store;
    for (int32_t r = 0; r < s->disjunct->count; r++) {
        const bf_halfspace *h = &s->disjunct->rows[r];
        for (int32_t k = 0; k < h->y_count; k++)
            b->need[s->graph->output][h->y_terms[k].index] = true;
        for (int32_t k = 0; k < h->x_count; k++) b->need[0][h->x_terms[k].index] = true;
    }
    for (size_t r = 0; r < s->row_count; r++)
        for (int64_t i = 0; i < s->graph->nodes[0].count; i++)
            if (s->rows[r].a[i] != 0) b->need[0][i] = true;
    for (size_t k = 0; k < s->split_count; k++)
        b->need[s->splits[k].layer][s->splits[k].element] = true;
}

static bf_status need_terms(builder *b, bfi_affine *affine, int64_t j) {
    bfi_affine_sum sum;
    bf_status status = bfi_affine_element(affine, j, &sum, b->err);
    for (size_t k = 0; status == BF_STATUS_OK && k < sum.count; k++)
        b->need[sum.terms[k].value][sum.terms[k].element] = true;
    return status;
}

/* An inactive relu is zero, whatever enters it. */
static bool inactive(const builder *b, int id, int64_t j) {
    const bfi_node *node = node_of(b, id);
    return node->op == BFI_OP_RELU && b->store->hi[node->inputs[0]][j] <= 0;
}

/* What the needed element |j| of an op that is no sum reads. */
static bf_status need_inputs(builder *b, int id, int64_t j) {
    const bfi_node *node = node_of(b, id);
    if (node->op == BFI_OP_MAX_POOL) return each_pooled(b, id, j, need_pooled, NULL);
    bool reads = node->op == BFI_OP_RESHAPE || node->op == BFI_OP_CLIP || node->op == BFI_OP_MAX ||
                 node->op == BFI_OP_MIN || kinked(node->op);
    if (reads && !inactive(b, id, j))
        for (int i = 0; i < node->n_inputs; i++) b->need[node->inputs[i]][j] = true;
    return BF_STATUS_OK;
}

static bf_status need_node(builder *b, int id) {
    const bfi_node *node = node_of(b, id);
    bfi_affine affine = {0};
    bool sums = bfi_affine_op(node->op);
    bf_status status = BF_STATUS_OK;
    if (sums) status = bfi_affine_open(b->store->graph, id, b->store->semantics, &affine, b->err);
    for (int64_t j = 0; j < node->count && status == BF_STATUS_OK; j++)
        if (b->need[id][j]) status = sums ? need_terms(b, &affine, j) : need_inputs(b, id, j);
    if (sums) bfi_affine_close(&affine);
    return status;
}

/* ---- layers ---- */

static bf_status define_sum(builder *b, bfi_affine *affine, int id, int64_t j, int32_t *out) {
    const bfi_constraints *s = b->store;
    bfi_affine_sum sum;
    bf_status status = bfi_affine_element(affine, j, &sum, b->err);
    if (status != BF_STATUS_OK) return status;
    bool exact = sum.rel == 0 && sum.abs == 0;
    if (exact && sum.count == 0) return add_column(b, id, sum.constant, sum.constant, out);
    if (exact && sum.count == 1 && sum.terms[0].coef == 1 && sum.constant == 0) {
        *out = b->col[sum.terms[0].value][sum.terms[0].element];
        return BF_STATUS_OK;
    }
    double size = fabs(sum.constant);
    status = add_column(b, id, s->lo[id][j], s->hi[id][j], out);
    begin_row(b);
    for (size_t k = 0; k < sum.count && status == BF_STATUS_OK; k++) {
        int32_t col = b->col[sum.terms[k].value][sum.terms[k].element];
        double magnitude = bfi_encoding_magnitude(b->out, col);
        size = bfi_add_up(size, bfi_mul_up(fabs(sum.terms[k].coef), magnitude));
        status = add_entry(b, col, sum.terms[k].coef);
    }
    if (status == BF_STATUS_OK) status = add_entry(b, *out, -1);
    double error = exact ? 0 : bfi_add_up(bfi_mul_up(sum.rel, size), sum.abs);
    return status == BF_STATUS_OK ? end_row(b, -sum.constant, -sum.constant, error) : status;
}

static bf_status define_loose(builder *b, int id, int64_t j, int32_t *out) {
    const bfi_node *node = node_of(b, id);
    if (b->out->loose++ == 0)
        snprintf(b->out->loose_name, sizeof b->out->loose_name, "%s %s", bfi_op_name(node->op),
                 node->name);
    return add_column(b, id, b->store->lo[id][j], b->store->hi[id][j], out);
}

static bf_status define_other(builder *b, int id, int64_t j, int32_t *out) {
    const bfi_node *node = node_of(b, id);
    *out = -1;
    switch (node->op) {
        case BFI_OP_RESHAPE:
            *out = b->col[node->inputs[0]][j];
            return BF_STATUS_OK;
        case BFI_OP_RELU:
            if (inactive(b, id, j)) return zero_column(b, out);
            return define_kink(b, id, j, out);
        case BFI_OP_LEAKY_RELU:
        case BFI_OP_ABS:
            return define_kink(b, id, j, out);
        case BFI_OP_CLIP:
            return define_clip(b, id, j, out);
        case BFI_OP_MAX:
        case BFI_OP_MIN:
            return add_extreme(b, id, node->op == BFI_OP_MAX, b->col[node->inputs[0]][j],
                               b->col[node->inputs[1]][j], out);
        case BFI_OP_MAX_POOL:
            return each_pooled(b, id, j, join_pooled, out);
        case BFI_OP_INPUT:
            return add_column(b, id, b->store->lo[id][j], b->store->hi[id][j], out);
        default:
            return define_loose(b, id, j, out);
    }
}

static bf_status define_node(builder *b, int id) {
    const bfi_node *node = node_of(b, id);
    const bfi_constraints *s = b->store;
    bfi_affine affine = {0};
    bool sums = bfi_affine_op(node->op);
    bf_status status = BF_STATUS_OK;
    if (sums) status = bfi_affine_open(s->graph, id, s->semantics, &affine, b->err);
    for (int64_t j = 0; j < node->count && status == BF_STATUS_OK; j++) {
        b->col[id][j] = -1;
        if (!b->need[id][j]) continue;
        int32_t *col = &b->col[id][j], known = b->out->cols;
        status = sums ? define_sum(b, &affine, id, j, col) : define_other(b, id, j, col);
        if (status != BF_STATUS_OK) break;
        clip_column(b, *col, s->lo[id][j], s->hi[id][j]);
        if (*col >= known) b->out->layer[*col] = id, b->out->element[*col] = (int32_t)j;
    }
    if (sums) bfi_affine_close(&affine);
    return status;
}

/* ---- the disjunct and the cuts ---- */

static bf_status add_terms(builder *b, int layer, const bf_term *terms, int32_t count,
                           double *lost) {
    bf_status status = BF_STATUS_OK;
    for (int32_t k = 0; k < count && status == BF_STATUS_OK; k++) {
        int32_t col = b->col[layer][terms[k].index];
        double magnitude = bfi_encoding_magnitude(b->out, col);
        if (terms[k].coef_err > 0)
            *lost = bfi_add_up(*lost, bfi_mul_up(terms[k].coef_err, magnitude));
        status = add_entry(b, col, terms[k].coef);
    }
    return status;
}

static bf_status add_goal(builder *b, const bf_halfspace *h) {
    double lost = 0;
    begin_row(b);
    bf_status status = add_terms(b, b->store->graph->output, h->y_terms, h->y_count, &lost);
    if (status == BF_STATUS_OK) status = add_terms(b, 0, h->x_terms, h->x_count, &lost);
    return status == BF_STATUS_OK ? end_row(b, -INFINITY, h->rhs_hi, lost) : status;
}

static bf_status add_cut(builder *b, const bfi_constraints_row *row) {
    bf_status status = BF_STATUS_OK;
    begin_row(b);
    for (int64_t i = 0; i < node_of(b, 0)->count && status == BF_STATUS_OK; i++)
        if (row->a[i] != 0) status = add_entry(b, b->col[0][i], row->a[i]);
    return status == BF_STATUS_OK ? end_row(b, -INFINITY, -row->constant, 0) : status;
}

static bf_status add_rows(builder *b) {
    const bfi_constraints *s = b->store;
    bf_status status = BF_STATUS_OK;
    for (size_t r = 0; r < s->row_count && status == BF_STATUS_OK; r++)
        status = add_cut(b, &s->rows[r]);
    b->out->goal = b->out->rows;
    for (int32_t r = 0; r < s->disjunct->count && status == BF_STATUS_OK; r++)
        status = add_goal(b, &s->disjunct->rows[r]);
    return status;
}

/* ---- all ---- */

static bf_status allocate(builder *b) {
    size_t layers = (size_t)b->store->graph->count;
    b->need = bfi_calloc(layers, sizeof *b->need);
    b->col = bfi_calloc(layers, sizeof *b->col);
    if (!b->need || !b->col) return bfi_fail_memory(b->err);
    for (size_t id = 0; id < layers; id++) {
        size_t n = (size_t)node_of(b, (int)id)->count;
        b->need[id] = bfi_calloc(n, sizeof **b->need);
        b->col[id] = bfi_malloc(n, sizeof **b->col);
        if (!b->need[id] || !b->col[id]) return bfi_fail_memory(b->err);
    }
    bf_status status = open_rows(b, 1);
    if (status == BF_STATUS_OK) b->out->start[0] = b->out->start[1] = 0;
    return status;
}

static void release(builder *b) {
    for (int id = 0; id < b->store->graph->count; id++) {
        if (b->need) free(b->need[id]);
        if (b->col) free(b->col[id]);
    }
    free(b->need);
    free(b->col);
    free(b->place);
}

bf_status bfi_encode(const bfi_constraints *store, int64_t memory, bfi_encoding *out,
                     bf_error *err) {
    builder b = {.store = store, .out = out, .zero = -1, .memory = memory, .err = err};
    int count = store->graph->count;
    *out = (bfi_encoding){.empty = store->empty};
    bf_status status = allocate(&b);
    if (status == BF_STATUS_OK) need_rows(&b);
    for (int id = count - 1; id > 0 && status == BF_STATUS_OK; id--) status = need_node(&b, id);
    for (int id = 0; id < count && status == BF_STATUS_OK; id++) status = define_node(&b, id);
    if (status == BF_STATUS_OK) status = add_rows(&b);
    if (status == BF_STATUS_OK) {
        out->input = b.col[0];
        b.col[0] = NULL;
    }
    release(&b);
    if (status != BF_STATUS_OK) bfi_encoding_clear(out);
    return status;
}

void bfi_encoding_point(const bfi_constraints *store, const bfi_encoding *e, const double *x,
                        double *point) {
    for (int64_t i = 0; i < store->graph->nodes[0].count; i++) {
        double lo = store->lo[0][i], hi = store->hi[0][i];
        double v = e->input[i] >= 0 ? x[e->input[i]] : lo / 2 + hi / 2;
        point[i] = v < lo ? lo : v > hi ? hi : v == v ? v : lo;
    }
}
