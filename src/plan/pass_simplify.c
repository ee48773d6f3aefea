#include "plan/pass_simplify.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "plan/exact_fold.h"

typedef struct pass {
    bfi_rewrite rw;
    const bfi_simplify_options *options;
    bfi_simplify_report *report;
    bf_error *err;
} pass;

/* More multiply-adds than this in one product of matrices are not worth the wait. */
#define MERGE_WORK ((int64_t)1 << 28)

bfi_simplify_options bfi_simplify_options_default(void) {
    return (bfi_simplify_options){
        .dtype = BFI_F32, .fold_scales = true, .merge_linears = true, .fold_constants = true};
}

#define NOTE(p, ...)                                                     \
    (bfi_pass_notes_add(&(p)->report->notes, __VA_ARGS__) ? BF_STATUS_OK \
                                                          : bfi_fail_memory((p)->err))

static bfi_node *node_at(const pass *p, int id) { return &p->rw.graph->nodes[id]; }

/* ---- structure ---- */

bool bfi_perm_keeps_order(const bfi_shape *x, const int64_t *perm) {
    int64_t last = -1;
    for (int i = 0; i < x->rank; i++) {
        if (x->dim[perm[i]] == 1) continue;
        if (perm[i] < last) return false;
        last = perm[i];
    }
    return true;
}

static void join_structure(pass *p, int id) {
    bfi_node *node = node_at(p, id), *x = node_at(p, node->inputs[0]);
    if (node->op == BFI_OP_TRANSPOSE && x->op == BFI_OP_TRANSPOSE) {
        for (int i = 0; i < node->shape.rank; i++)
            node->attrs.perm[i] = x->attrs.perm[node->attrs.perm[i]];
        bfi_rewrite_set_input(&p->rw, id, 0, x->inputs[0]);
        x = node_at(p, node->inputs[0]);
    }
    if (node->op == BFI_OP_TRANSPOSE && bfi_perm_keeps_order(&x->shape, node->attrs.perm)) {
        node->op = BFI_OP_RESHAPE;
        node->attrs = (bfi_attrs){0};
    }
    if (node->op == BFI_OP_RESHAPE && x->op == BFI_OP_RESHAPE)
        bfi_rewrite_set_input(&p->rw, id, 0, x->inputs[0]);
}

static bool all_equal(const bfi_numbers *numbers, double value) {
    for (int64_t i = 0; i < numbers->count; i++)
        if (numbers->data[i] != value) return false;
    return true;
}

/* |node| passes its only input on. */
static bool is_identity(const pass *p, const bfi_node *node) {
    const bfi_node *x = node_at(p, node->inputs[0]);
    if (!bfi_shape_equal(&node->shape, &x->shape)) return false;
    switch (node->op) {
        case BFI_OP_RESHAPE:
        case BFI_OP_EXPAND:
        case BFI_OP_CONCAT: /* of one value */
            return true;
        case BFI_OP_SCALE_SHIFT:
            return all_equal(&node->weight, 1) && all_equal(&node->bias, 0) &&
                   node->bias_error.count == 0 &&
                   !(p->options->float32_execution && node->attrs.roundings > 0);
        case BFI_OP_PAD:
        case BFI_OP_SLICE:
            for (int i = 0; i < node->shape.rank; i++)
                if (node->attrs.start[i] != 0 ||
                    (node->op == BFI_OP_SLICE && node->attrs.step[i] < 0))
                    return false;
            return true;
        default:
            return false;
    }
}

/* The value behind |value| through reshapes that nobody else reads; -1 when somebody else reads it.
 */
static int only_source(const pass *p, int value) {
    while (p->rw.readers[value] == 1 && node_at(p, value)->op == BFI_OP_RESHAPE)
        value = node_at(p, value)->inputs[0];
    return p->rw.readers[value] == 1 ? value : -1;
}

/* From |value| to |source|, both included: they hold something else from now on. */
static void mark_changed(pass *p, int value, int source) {
    for (; value != source; value = node_at(p, value)->inputs[0])
        bfi_rewrite_changed(&p->rw, value);
    bfi_rewrite_changed(&p->rw, source);
}

/* A derived weight that the dtype can hold to its usual relative error, or exactly. */
static bool holds(const pass *p, double w, bool exact) {
    if (!isfinite(w)) return false;
    if (w == 0) return exact;
    if (p->options->dtype == BFI_F64) return fabs(w) >= 0x1p-900;
    return fabs(w) <= (double)FLT_MAX && (fabs(w) >= 0x1p-126 || (double)(float)w == w);
}

static bool holds_bias(const pass *p, double b, double error) {
    double limit = p->options->dtype == BFI_F32 ? (double)FLT_MAX : DBL_MAX;
    return fabs(b) <= limit && isfinite(error);
}

/* ---- scale_shift into the weighted node before it ---- */

/* What one output entry (feature of a linear, channel of a conv) becomes. */
typedef struct entry {
    double scale, bias, error;
} entry;

static int64_t entry_count(const bfi_node *x) {
    return x->op == BFI_OP_LINEAR ? x->attrs.n : x->attrs.window.c_out;
}

/* Elements of the output that belong to one entry stand |inner| together, entry after entry. */
static int64_t entry_inner(const bfi_node *x) {
    return x->op == BFI_OP_LINEAR ? 1 : x->count / x->attrs.window.c_out;
}

static int64_t entry_of_weight(const bfi_node *x, int64_t i) {
    if (x->op != BFI_OP_CONV_TRANSPOSE) return i / (x->weight.count / entry_count(x));
    const bfi_window *w = &x->attrs.window;
    int64_t taps = w->kh * w->kw, out = w->c_out / w->groups;
    int64_t group = i / (out * taps) / (w->c_in / w->groups);
    return group * out + i / taps % out;
}

static bool uniform(const bfi_numbers *numbers, int64_t entries, int64_t inner) {
    for (int64_t i = 0; i < numbers->count; i++)
        if (numbers->data[i] != numbers->data[i / inner % entries * inner]) return false;
    return true;
}

/* s b + t and how far it may be from the exact one: b is off by |b_error|, s and t relatively by
 * |rel|. */
static entry shifted(double s, double b, double t, double b_error, double rel) {
    double product_error, sum_error, p = bfi_two_product(s, b, &product_error);
    entry e = {.scale = s, .bias = bfi_two_sum(p, t, &sum_error)};
    double derived = bfi_mul_up(bfi_mul_up(rel, bfi_add_up(fabs(p), fabs(t))), 1 + 0x1p-30);
    double inherited = bfi_mul_up(bfi_mul_up(fabs(s), b_error), 1 + 0x1p-30);
    e.error = product_error == 0 ? sum_error : bfi_add_up(product_error, sum_error);
    if (derived > 0) e.error = bfi_add_up(e.error, derived);
    if (inherited > 0) e.error = bfi_add_up(e.error, inherited);
    return e;
}

static entry make_entry(const bfi_node *x, const bfi_node *scale, int64_t at, int64_t inner) {
    double s = scale->weight.count ? scale->weight.data[at * inner] : 1;
    double t = scale->bias.count ? scale->bias.data[at * inner] : 0;
    double t_error = scale->bias_error.count ? scale->bias_error.data[at * inner] : 0;
    double b = x->bias.count ? x->bias.data[at] : 0;
    double b_error = x->bias_error.count ? x->bias_error.data[at] : 0;
    b_error = bfi_add_up(b_error, bfi_mul_up(BF_U64 * x->attrs.const_ulps, fabs(b)));
    if (x->bias_error.count == 0 && x->attrs.const_ulps == 0) b_error = 0;
    entry e = shifted(s, b, t, b_error, BF_U64 * scale->attrs.const_ulps);
    if (t_error > 0) e.error = bfi_add_up(e.error, t_error);
    return e;
}

/* New numbers of a weighted node. */
typedef struct folded {
    double *weight, *bias, *error;
    bool rounded;    /* a weight was */
    bool uncertain;  /* an error is positive */
    const char *why; /* they cannot be used; NULL: they can */
} folded;

static void free_folded(folded *f) {
    free(f->weight);
    free(f->bias);
    free(f->error);
}

static void scale_weights(const pass *p, const bfi_node *x, const entry *entries, folded *f) {
    for (int64_t i = 0; i < x->weight.count && !f->why; i++) {
        double error, s = entries[entry_of_weight(x, i)].scale, w = x->weight.data[i];
        f->weight[i] = bfi_two_product(w, s, &error);
        f->rounded = f->rounded || error > 0;
        bool exact = error == 0 && (f->weight[i] != 0 || w == 0 || s == 0);
        if (!holds(p, f->weight[i], exact)) f->why = "a product leaves the dtype's normal range";
    }
}

static bf_status compute_fold(const pass *p, const bfi_node *x, const bfi_node *scale, folded *f) {
    int64_t n = entry_count(x), inner = entry_inner(x);
    entry *entries = bfi_calloc((size_t)n, sizeof *entries);
    f->weight = bfi_malloc((size_t)x->weight.count, sizeof *f->weight);
    f->bias = bfi_malloc((size_t)n, sizeof *f->bias);
    f->error = bfi_malloc((size_t)n, sizeof *f->error);
    if (!entries || !f->weight || !f->bias || !f->error) {
        free(entries);
        return bfi_fail_memory(p->err);
    }
    for (int64_t i = 0; i < n; i++) {
        entries[i] = make_entry(x, scale, i, inner);
        f->bias[i] = entries[i].bias;
        f->error[i] = entries[i].error;
        f->uncertain = f->uncertain || f->error[i] > 0;
        if (!holds_bias(p, f->bias[i], f->error[i])) f->why = "a bias leaves the dtype's range";
    }
    if (scale->weight.count > 0) scale_weights(p, x, entries, f);
    free(entries);
    return BF_STATUS_OK;
}

static void use_fold(bfi_node *x, const bfi_node *scale, folded *f) {
    int64_t weights = x->weight.count, n = entry_count(x);
    if (scale->weight.count > 0) {
        bfi_numbers_clear(&x->weight);
        x->weight = (bfi_numbers){.data = f->weight, .count = weights};
        f->weight = NULL;
        /* (1 + a u)(1 + b u) and one rounding: below 1 + (a + b + 2) u */
        x->attrs.const_ulps += scale->attrs.const_ulps;
        if (x->attrs.const_ulps > 0 || f->rounded) x->attrs.const_ulps += 2;
    }
    bfi_numbers_clear(&x->bias);
    bfi_numbers_clear(&x->bias_error);
    x->bias = (bfi_numbers){.data = f->bias, .count = n};
    f->bias = NULL;
    if (!f->uncertain) return;
    x->bias_error = (bfi_numbers){.data = f->error, .count = n};
    f->error = NULL;
}

static const char *refuse_fold(const pass *p, const bfi_node *x, const bfi_node *scale) {
    int64_t n = entry_count(x), inner = entry_inner(x);
    if (p->options->float32_execution) return "float32 execution rounds here";
    if (!uniform(&scale->weight, n, inner) || !uniform(&scale->bias, n, inner) ||
        !uniform(&scale->bias_error, n, inner))
        return "its factors differ within a channel";
    if (x->attrs.const_ulps > 1 << 16 || scale->attrs.const_ulps > 1 << 16)
        return "its constants are not known well enough";
    return NULL;
}

static bf_status fold_scale(pass *p, int id) {
    bfi_node *node = node_at(p, id);
    if (!p->options->fold_scales || node->op != BFI_OP_SCALE_SHIFT) return BF_STATUS_OK;
    int source = only_source(p, node->inputs[0]);
    if (source < 0) return BF_STATUS_OK;
    bfi_node *x = node_at(p, source);
    if (bfi_op_class_of(x->op) != BFI_CLASS_WEIGHTED) return BF_STATUS_OK;
    folded f = {.why = refuse_fold(p, x, node)};
    bf_status status = f.why ? BF_STATUS_OK : compute_fold(p, x, node, &f);
    if (status == BF_STATUS_OK && f.why) {
        status = NOTE(p, id, "'%s' is not folded into '%s': %s", node->name, x->name, f.why);
    } else if (status == BF_STATUS_OK) {
        status = NOTE(p, id, "'%s' is folded into the weights of '%s'", node->name, x->name);
        use_fold(x, node, &f);
        mark_changed(p, node->inputs[0], source);
        bfi_rewrite_replace(&p->rw, id, node->inputs[0]);
        p->report->folded_scales++;
    }
    free_folded(&f);
    return status;
}

/* ---- linear into linear ---- */

/* The product [n2][k1] of two weight matrices; false when a number is not exact. */
static bool exact_product(const pass *p, const bfi_node *second, const bfi_node *first,
                          double *out) {
    int64_t n = second->attrs.n, middle = second->attrs.k, k = first->attrs.k;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++) {
            double sum = 0;
            for (int64_t m = 0; m < middle; m++) {
                double product_error, sum_error;
                double a = second->weight.data[i * middle + m], b = first->weight.data[m * k + j];
                sum = bfi_two_sum(sum, bfi_two_product(a, b, &product_error), &sum_error);
                if (!(product_error + sum_error == 0)) return false;
            }
            if (!holds(p, sum, true)) return false;
            out[i * k + j] = sum;
        }
    return true;
}

/* W2 b1 + b2 and its error; false when it leaves the range. */
static bool product_bias(const pass *p, const bfi_node *second, const bfi_node *first, folded *f) {
    int64_t n = second->attrs.n, middle = second->attrs.k;
    for (int64_t i = 0; i < n; i++) {
        double sum = second->bias.count ? second->bias.data[i] : 0;
        double error = second->bias_error.count ? second->bias_error.data[i] : 0;
        for (int64_t m = 0; m < middle && first->bias.count > 0; m++) {
            double product_error, sum_error, a = second->weight.data[i * middle + m];
            double inherited = first->bias_error.count ? first->bias_error.data[m] : 0;
            sum = bfi_two_sum(sum, bfi_two_product(a, first->bias.data[m], &product_error),
                              &sum_error);
            inherited = bfi_mul_up(fabs(a), inherited);
            double all = bfi_add_up(bfi_add_up(product_error, sum_error), inherited);
            if (product_error + sum_error + inherited > 0) error = bfi_add_up(error, all);
        }
        f->bias[i] = sum;
        f->error[i] = error;
        f->uncertain = f->uncertain || error > 0;
        if (!holds_bias(p, sum, error)) return false;
    }
    return true;
}

static const char *refuse_merge(const pass *p, const bfi_node *second, const bfi_node *first) {
    const bfi_attrs *a = &first->attrs, *b = &second->attrs;
    int64_t apart = b->n * b->k + a->n * a->k, work;
    if (p->options->float32_execution) return "float32 execution rounds in between";
    if (a->rows != b->rows || a->n != b->k) return "their rows differ";
    if (a->const_ulps || b->const_ulps) return "their weights are derived, not exact";
    if (!bfi_mul_i64(b->n, a->k, &work) || work > apart) return "apart they are less work";
    if (!bfi_mul_i64(work, a->n, &work) || work > MERGE_WORK) return "the product is too much work";
    return NULL;
}

static bf_status compute_merge(const pass *p, const bfi_node *second, const bfi_node *first,
                               folded *f) {
    int64_t n = second->attrs.n, k = first->attrs.k;
    f->weight = bfi_malloc((size_t)(n * k), sizeof *f->weight);
    f->bias = bfi_malloc((size_t)n, sizeof *f->bias);
    f->error = bfi_malloc((size_t)n, sizeof *f->error);
    if (!f->weight || !f->bias || !f->error) return bfi_fail_memory(p->err);
    if (!exact_product(p, second, first, f->weight))
        f->why = "the product of their matrices is not exact in float64";
    else if (!product_bias(p, second, first, f))
        f->why = "a bias leaves the dtype's range";
    return BF_STATUS_OK;
}

static void use_merge(pass *p, int id, int source, folded *f) {
    bfi_node *second = node_at(p, id), *first = node_at(p, source);
    int64_t n = second->attrs.n, k = first->attrs.k;
    bool bias = first->bias.count > 0 || second->bias.count > 0;
    second->attrs.k = k;
    bfi_numbers_clear(&second->weight);
    second->weight = (bfi_numbers){.data = f->weight, .count = n * k};
    f->weight = NULL;
    if (bias) {
        bfi_numbers_clear(&second->bias);
        bfi_numbers_clear(&second->bias_error);
        second->bias = (bfi_numbers){.data = f->bias, .count = n};
        f->bias = NULL;
        if (f->uncertain) second->bias_error = (bfi_numbers){.data = f->error, .count = n};
        if (f->uncertain) f->error = NULL;
    }
    bfi_rewrite_set_input(&p->rw, id, 0, first->inputs[0]);
}

static bf_status merge_linear(pass *p, int id) {
    bfi_node *node = node_at(p, id);
    if (!p->options->merge_linears || node->op != BFI_OP_LINEAR) return BF_STATUS_OK;
    int source = only_source(p, node->inputs[0]);
    if (source < 0 || node_at(p, source)->op != BFI_OP_LINEAR) return BF_STATUS_OK;
    const bfi_node *x = node_at(p, source);
    folded f = {.why = refuse_merge(p, node, x)};
    bf_status status = f.why ? BF_STATUS_OK : compute_merge(p, node, x, &f);
    if (status == BF_STATUS_OK && f.why) {
        status = NOTE(p, id, "'%s' and '%s' stay apart: %s", x->name, node->name, f.why);
    } else if (status == BF_STATUS_OK) {
        status = NOTE(p, id, "'%s' is multiplied into '%s', exactly", x->name, node->name);
        use_merge(p, id, source, &f);
        p->report->merged_linears++;
    }
    free_folded(&f);
    return status;
}

/* ---- constants ---- */

static bf_status fold_constant(pass *p, int id) {
    const bfi_node *node = node_at(p, id);
    double *data;
    if (!p->options->fold_constants || node->n_inputs == 0) return BF_STATUS_OK;
    for (int k = 0; k < node->n_inputs; k++)
        if (node_at(p, node->inputs[k])->op != BFI_OP_CONST) return BF_STATUS_OK;
    bf_status status =
        bfi_fold_exactly(p->rw.graph, id, p->options->float32_execution, &data, p->err);
    if (status != BF_STATUS_OK) return status;
    if (!data) return NOTE(p, id, "'%s' depends on constants alone but rounds", node->name);
    bfi_rewrite_to_const(&p->rw, id, data);
    p->report->folded_constants++;
    return NOTE(p, id, "'%s' is a constant", node->name);
}

static bf_status visit(pass *p, int id) {
    bfi_rewrite_enter(&p->rw, id);
    bf_status status = fold_constant(p, id);
    const bfi_node *node = node_at(p, id);
    if (status != BF_STATUS_OK || node->n_inputs != 1) return status;
    join_structure(p, id);
    if (is_identity(p, node)) {
        bfi_rewrite_replace(&p->rw, id, node->inputs[0]);
        return BF_STATUS_OK;
    }
    status = fold_scale(p, id);
    return status == BF_STATUS_OK ? merge_linear(p, id) : status;
}

bf_status bfi_pass_simplify(const bfi_graph *in, const bfi_simplify_options *options,
                            bfi_graph **out, bfi_simplify_report *report, bf_error *err) {
    pass p = {.options = options, .report = report, .err = err};
    *report = (bfi_simplify_report){.nodes_before = in->count};
    bf_status status = bfi_rewrite_begin(&p.rw, in) ? BF_STATUS_OK : bfi_fail_memory(err);
    for (int id = 0; id < in->count && status == BF_STATUS_OK; id++)
        if (p.rw.readers[id] > 0) status = visit(&p, id);
    if (status == BF_STATUS_OK && !bfi_rewrite_finish(&p.rw, out, &report->value_of))
        status = bfi_fail_memory(err);
    if (status == BF_STATUS_OK)
        report->nodes_after = (*out)->count;
    else
        bfi_simplify_report_clear(report);
    bfi_rewrite_clear(&p.rw);
    return status;
}

void bfi_simplify_report_clear(bfi_simplify_report *report) {
    bfi_pass_notes_clear(&report->notes);
    free(report->value_of);
    *report = (bfi_simplify_report){0};
}
