#include "verify/solver/solver.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/model.h"
#include "runtime/session.h"
#include "verify/rows.h"
#include "verify/solver/backend.h"

#define DEFAULT_MEMORY ((int64_t)1 << 30)

struct bfi_solver {
    bf_session *session;
    const bf_model *model;
    const bf_property *property;
    bfi_solver_options options;
    const bfi_backend_functions *backend;
    void *self;       /* of the backend; NULL: its library is missing */
    bf_error missing; /* why */
    bf_plan *plan;    /* bounds the layers; made when first needed */
    bf_workspace *ws;
    double *lo, *hi; /* of the widest layer */
    bf_split *splits;
    size_t split_room;
};

static const bfi_backend_functions *const backends[] = {
#define BF_SOLVER(KIND, name, library, functions, meaning) &functions,
#include "verify/solver/solver.def"
};

const char *bfi_solver_name(bfi_solver_kind kind) {
    static const char *const names[] = {
#define BF_SOLVER(KIND, name, library, functions, meaning) name,
#include "verify/solver/solver.def"
    };
    return names[kind];
}

void bfi_solver_reason(bfi_solver_result *result, const char *format, ...) {
    if (result->reason[0]) return;
    va_list list;
    va_start(list, format);
    vsnprintf(result->reason, sizeof result->reason, format, list);
    va_end(list);
}

bf_status bfi_backend_open(size_t size, bf_status (*load)(void *self, bf_error *err), void **self,
                           bf_error *err) {
    *self = bfi_calloc(1, size);
    if (!*self) return bfi_fail_memory(err);
    bf_status status = load(*self, err);
    if (status != BF_STATUS_OK) {
        free(*self);
        *self = NULL;
    }
    return status;
}

void bfi_backend_close(void *self) {
    if (self) bfi_dylib_close(self);
    free(self);
}

bf_status bfi_question_try(const bfi_question *q, const double *x, bfi_solver_result *result,
                           bf_error *err) {
    bool accepted = false;
    double *point = bfi_malloc((size_t)q->property->n_in, sizeof *point);
    if (!point) return bfi_fail_memory(err);
    bfi_encoding_point(q->store, q->encoding, x, point);
    bf_status status = bfi_witness_check(q->store->graph, q->property, q->case_index, point,
                                         q->store->semantics, &accepted, &result->witness, err);
    if (status == BF_STATUS_OK && accepted) result->outcome = BFI_SOLVER_FOUND;
    free(point);
    return status;
}

static bool allocate(bfi_solver *s) {
    size_t widest = 1;
    const bfi_graph *graph = s->model->graph;
    for (int id = 0; id < graph->count; id++)
        if ((size_t)graph->nodes[id].count > widest) widest = (size_t)graph->nodes[id].count;
    s->lo = bfi_malloc(widest, sizeof *s->lo);
    s->hi = bfi_malloc(widest, sizeof *s->hi);
    return s->lo && s->hi;
}

bf_status bfi_solver_create(bf_session *session, const bf_model *model, const bf_property *property,
                            const bfi_solver_options *options, bfi_solver **out, bf_error *err) {
    bfi_solver *s = bfi_calloc(1, sizeof *s);
    if (!s) return bfi_fail_memory(err);
    s->session = session, s->model = model, s->property = property;
    s->options = *options;
    if (s->options.memory <= 0) s->options.memory = DEFAULT_MEMORY;
    s->backend = backends[options->kind];
    bf_status status = allocate(s) ? BF_STATUS_OK : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) status = s->backend->create(&s->self, &s->missing);
    if (status == BF_STATUS_IO || status == BF_STATUS_UNSUPPORTED) status = BF_STATUS_OK;
    if (status != BF_STATUS_OK) {
        if (s->missing.message[0]) bfi_fail(err, status, "%s", s->missing.message);
        bfi_solver_free(s);
        s = NULL;
    }
    *out = s;
    return status;
}

void bfi_solver_free(bfi_solver *s) {
    if (!s) return;
    s->backend->destroy(s->self);
    bf_workspace_free(s->ws);
    bf_plan_free(s->plan);
    free(s->lo);
    free(s->hi);
    free(s->splits);
    free(s);
}

const char *bfi_solver_missing(const bfi_solver *s) { return s->self ? NULL : s->missing.message; }

/* ---- what is known of the leaf ---- */

static bf_status add_splits(const bfi_leaf *leaf, bfi_constraints *store, bfi_solver_result *result,
                            bf_error *err) {
    bf_status status = BF_STATUS_OK;
    for (int64_t i = 0; i < leaf->split_count && status == BF_STATUS_OK; i++) {
        const bf_split *s = &leaf->splits[i];
        bf_activation_info info = bf_plan_activation(leaf->plan, s->activation);
        if (info.layer >= 0 && s->neuron >= 0 && s->neuron < info.neurons)
            status = bfi_constraints_add_split(
                store, (bfi_constraints_split){info.layer, s->neuron, s->sign, s->point}, err);
        else /* left out: a larger leaf */
            bfi_solver_reason(result, "splits of %s have no place in the model as imported",
                              info.name ? info.name : "an unknown activation");
    }
    return status;
}

static bf_status fill_store(const bfi_solver *s, const bfi_leaf *leaf, bfi_constraints *store,
                            bfi_solver_result *result, bf_error *err) {
    bf_status status = BF_STATUS_OK;
    if (leaf->lo) bfi_constraints_tighten(store, 0, leaf->lo, leaf->hi);
    for (int id = 0; leaf->layer_lo && id < s->model->graph->count; id++)
        if (leaf->layer_lo[id])
            bfi_constraints_tighten(store, id, leaf->layer_lo[id], leaf->layer_hi[id]);
    for (int64_t r = 0; r < leaf->row_count && status == BF_STATUS_OK; r++)
        status = bfi_constraints_add_row(store, leaf->rows[r], err);
    return status == BF_STATUS_OK ? add_splits(leaf, store, result, err) : status;
}

/* Every layer's intervals come with the leaf. */
static bool knows_layers(const bfi_solver *s, const bfi_leaf *leaf) {
    for (int id = 1; leaf->layer_lo && id < s->model->graph->count; id++)
        if (!leaf->layer_lo[id]) return false;
    return leaf->layer_lo != NULL;
}

static bf_status make_plan(bfi_solver *s, bf_error *err) {
    bf_options o = s->options.bounds;
    if (s->plan) return BF_STATUS_OK;
    if (o.method > BF_METHOD_CROWN) o.method = BF_METHOD_CROWN;
    o.dtype = BF_DTYPE_FLOAT64;
    o.rounding = BF_ROUNDING_OUTWARD;
    o.keep_layers = o.intersect = 1;
    o.batch = 1;
    o.deadline = 0;
    bf_status status = bf_plan_create(s->session, s->model, &o, &s->plan, err);
    return status == BF_STATUS_OK ? bf_workspace_create(s->plan, &s->ws, err) : status;
}

/* Adds a split as the own plan names it, if it does. */
static void name_split(bfi_solver *s, const bfi_constraints_split *split, int64_t *count) {
    const bfi_graph *graph = s->model->graph;
    for (int a = 0; a < bf_plan_activation_count(s->plan); a++) {
        int layer = bf_plan_activation(s->plan, a).layer;
        if (layer < 0 || bfi_value_root(graph, layer) != bfi_value_root(graph, split->layer))
            continue;
        s->splits[(*count)++] = (bf_split){a, split->element, split->sign, split->point};
        return;
    }
}

static bf_status name_splits(bfi_solver *s, const bfi_constraints *store, size_t more,
                             int64_t *count, bf_error *err) {
    *count = 0;
    if (!bfi_grow((void **)&s->splits, &s->split_room, store->split_count + more + 1,
                  sizeof *s->splits))
        return bfi_fail_memory(err);
    for (size_t k = 0; k < store->split_count; k++) name_split(s, &store->splits[k], count);
    return BF_STATUS_OK;
}

/* Bounds every layer on the box and the splits. */
static bf_status bound_layers(bfi_solver *s, const bfi_leaf *leaf, bfi_constraints *store,
                              bf_error *err) {
    int64_t first[2] = {0, 0};
    bf_status status = make_plan(s, err);
    if (status == BF_STATUS_OK) status = name_splits(s, store, 0, &first[1], err);
    if (status != BF_STATUS_OK) return status;
    bf_request request = {.lo = store->lo[0],
                          .hi = store->hi[0],
                          .boxes = 1,
                          .splits = first[1] > 0 ? s->splits : NULL,
                          .first_split = first,
                          .deadline = leaf->deadline};
    status = bf_bounds_run(s->plan, s->ws, &request, err);
    for (int id = 1; id < s->model->graph->count && status == BF_STATUS_OK; id++)
        if (bf_workspace_layer(s->plan, s->ws, id, s->lo, s->hi))
            bfi_constraints_tighten(store, id, s->lo, s->hi);
    return status;
}

/* ---- what is known of a part of it ---- */

/* What bfi_question.tighten needs. */
typedef struct inquiry {
    bfi_solver *solver;
    const bfi_leaf *leaf;
    const bfi_constraints *store;
    const bfi_encoding *encoding;
    double *spec, *lower; /* of the disjunct's rows */
} inquiry;

static bf_status open_inquiry(inquiry *q, bf_error *err) {
    const bf_polytope *disjunct = q->store->disjunct;
    size_t rows = (size_t)disjunct->count, outputs = (size_t)q->solver->property->n_out, cells;
    if (bfi_mul_size(rows, outputs, &cells)) q->spec = bfi_malloc(cells, sizeof *q->spec);
    q->lower = bfi_malloc(rows, sizeof *q->lower);
    if (!q->spec || !q->lower) return bfi_fail_memory(err);
    for (size_t r = 0; r < rows; r++)
        bfi_row_write(&disjunct->rows[r], (int64_t)outputs, q->spec + r * outputs);
    return BF_STATUS_OK;
}

/* The best margin of a row. */
static double best_margin(const inquiry *q) {
    const bfi_constraints *store = q->store;
    int output = store->graph->output;
    double best = -INFINITY;
    for (int32_t r = 0; r < store->disjunct->count; r++)
        best = fmax(best, bfi_row_margin(&store->disjunct->rows[r], q->lower[r], store->lo[0],
                                         store->hi[0], store->lo[output], store->hi[output]));
    return best;
}

/* Columns stand in the order of their layers. */
static void take_layers(const inquiry *q, double *lo, double *hi) {
    bfi_solver *s = q->solver;
    const bfi_encoding *e = q->encoding;
    int32_t layer = -1;
    for (int32_t j = 0; j < e->cols; j++) {
        if (e->layer[j] <= 0) continue; /* inputs stay what they are */
        if (e->layer[j] != layer && !bf_workspace_layer(s->plan, s->ws, e->layer[j], s->lo, s->hi))
            continue;
        layer = e->layer[j];
        lo[j] = fmax(lo[j], s->lo[e->element[j]]);
        hi[j] = fmin(hi[j], s->hi[e->element[j]]);
    }
}

static bf_status tighten(void *user, const bfi_side *sides, int32_t count, double *lo, double *hi,
                         double *lower, bf_error *err) {
    const inquiry *q = user;
    bfi_solver *s = q->solver;
    int64_t first[2] = {0, 0};
    bf_status status = make_plan(s, err);
    if (status == BF_STATUS_OK) status = name_splits(s, q->store, (size_t)count, &first[1], err);
    for (int32_t i = 0; i < count && status == BF_STATUS_OK; i++) {
        int32_t in = q->encoding->kinks[sides[i].kink].in, layer = q->encoding->layer[in];
        bfi_constraints_split split = {layer, q->encoding->element[in], sides[i].sign, 0};
        if (layer >= 0) name_split(s, &split, &first[1]);
    }
    if (status != BF_STATUS_OK) return status;
    bool rows = q->store->disjunct->count > 0;
    bf_request request = {.lo = q->store->lo[0],
                          .hi = q->store->hi[0],
                          .spec = rows ? q->spec : NULL,
                          .rows = q->store->disjunct->count,
                          .lower = rows ? q->lower : NULL,
                          .boxes = 1,
                          .splits = first[1] > 0 ? s->splits : NULL,
                          .first_split = first,
                          .deadline = q->leaf->deadline};
    status = bf_bounds_run(s->plan, s->ws, &request, err);
    if (status != BF_STATUS_OK) return status;
    take_layers(q, lo, hi);
    if (rows) *lower = fmax(*lower, best_margin(q));
    return status;
}

/* ---- deciding ---- */

static bf_status ask(bfi_solver *s, const bfi_leaf *leaf, const bfi_constraints *store,
                     bfi_solver_result *result, bf_error *err) {
    bfi_encoding encoding;
    bf_status status = bfi_encode(store, s->options.memory, &encoding, err);
    if (status != BF_STATUS_OK) return status;
    inquiry q = {.solver = s, .leaf = leaf, .store = store, .encoding = &encoding};
    bfi_question question = {.property = s->property,
                             .case_index = leaf->case_index,
                             .store = store,
                             .encoding = &encoding,
                             .budget = {leaf->deadline, &s->session->stop},
                             .memory = s->options.memory,
                             .most_nodes = s->options.most_nodes,
                             .most_steps = s->options.most_steps,
                             .tighten = tighten,
                             .user = &q};
    if (encoding.empty)
        result->outcome = BFI_SOLVER_REFUTED, result->lower = INFINITY;
    else
        status = open_inquiry(&q, err);
    if (status == BF_STATUS_OK && !encoding.empty)
        status = s->backend->decide(s->self, &question, result, err);
    free(q.spec);
    free(q.lower);
    bfi_encoding_clear(&encoding);
    return status;
}

/* What the question is too large or too strange for is no error: it stays open. */
static bf_status stay_open(bf_status status, bfi_solver_result *result, const bf_error *why) {
    if (status != BF_STATUS_LIMIT && status != BF_STATUS_UNSUPPORTED) return status;
    result->outcome = BFI_SOLVER_OPEN;
    bfi_solver_reason(result, "%.190s", why->message);
    return BF_STATUS_OK;
}

bf_status bfi_solver_decide(bfi_solver *s, const bfi_leaf *leaf, bfi_solver_result *result,
                            bf_error *err) {
    bfi_constraints store;
    bf_error why = {0};
    *result = (bfi_solver_result){.outcome = BFI_SOLVER_OPEN, .lower = -INFINITY};
    if (!s->self) {
        bfi_solver_reason(result, "%.190s", s->missing.message);
        return BF_STATUS_OK;
    }
    bf_status status =
        bfi_constraints_create(s->model->graph, s->property, leaf->case_index, leaf->disjunct,
                               s->options.bounds.semantics, &store, err);
    if (status != BF_STATUS_OK) return status;
    status = fill_store(s, leaf, &store, result, &why);
    if (status == BF_STATUS_OK && !store.empty && !knows_layers(s, leaf))
        status = bound_layers(s, leaf, &store, &why);
    if (status == BF_STATUS_OK && store.empty)
        result->outcome = BFI_SOLVER_REFUTED, result->lower = INFINITY;
    else if (status == BF_STATUS_OK)
        status = ask(s, leaf, &store, result, &why);
    bfi_constraints_clear(&store);
    status = stay_open(status, result, &why);
    return status == BF_STATUS_OK ? status : bfi_fail(err, status, "%s", why.message);
}
