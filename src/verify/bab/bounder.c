#include "verify/bab/bounder.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/model.h"
#include "verify/rows.h"

bf_status bfi_problem_create(bf_session *session, const bf_model *model,
                             const bf_property *property, int32_t case_index, bfi_problem *p,
                             bf_error *err) {
    size_t outputs = (size_t)property->n_out;
    *p = (bfi_problem){.session = session,
                       .model = model,
                       .property = property,
                       .c = &property->cases[case_index],
                       .index = case_index,
                       .n = property->n_in,
                       .y_lo = bfi_malloc(outputs, sizeof(double)),
                       .y_hi = bfi_malloc(outputs, sizeof(double))};
    if (!p->y_lo || !p->y_hi) return bfi_fail_memory(err);
    for (size_t i = 0; i < outputs; i++) p->y_lo[i] = -INFINITY, p->y_hi[i] = INFINITY;
    return BF_STATUS_OK;
}

void bfi_problem_clear(bfi_problem *p) {
    free(p->y_lo);
    free(p->y_hi);
    free(p->spec);
    *p = (bfi_problem){0};
}

bf_status bfi_problem_gather(bfi_problem *p, const bfi_disjunct_state *states, int32_t *from,
                             bf_error *err) {
    size_t cells, outputs = (size_t)p->property->n_out;
    p->count = 0;
    p->rows = 0;
    for (; *from < p->c->count && p->count < BFI_SEARCH_DISJUNCTS; ++*from) {
        if (states[*from].refuted) continue;
        p->first_row[p->count] = (int32_t)p->rows;
        p->disjuncts[p->count++] = *from;
        p->rows += p->c->disjuncts[*from].count;
    }
    p->first_row[p->count] = (int32_t)p->rows;
    free(p->spec);
    p->spec =
        bfi_mul_size((size_t)p->rows, outputs, &cells) ? bfi_malloc(cells, sizeof(double)) : NULL;
    if (!p->spec) return bfi_fail_memory(err);
    for (int bit = 0; bit < p->count; bit++)
        for (int32_t r = p->first_row[bit]; r < p->first_row[bit + 1]; r++)
            bfi_row_write(bfi_problem_row(p, bit, r), p->property->n_out,
                          p->spec + r * p->property->n_out);
    return BF_STATUS_OK;
}

static bool allocate(bfi_bounder *b) {
    size_t room = (size_t)b->room, boxes, results, lines;
    if (!bfi_mul_size(room, (size_t)b->problem->n, &boxes) ||
        !bfi_mul_size(room, (size_t)b->problem->rows, &results) ||
        !bfi_mul_size(results, (size_t)b->problem->n, &lines))
        return false;
    b->boxes = bfi_calloc(room, sizeof *b->boxes);
    b->lo = bfi_malloc(boxes, sizeof *b->lo);
    b->hi = bfi_malloc(boxes, sizeof *b->hi);
    b->lower = bfi_malloc(results, sizeof *b->lower);
    b->error = bfi_malloc(results, sizeof *b->error);
    b->margins = bfi_malloc(results, sizeof *b->margins);
    b->constant = bfi_malloc(results, sizeof *b->constant);
    b->functional = bfi_malloc(lines, sizeof *b->functional);
    b->first_split = bfi_calloc(room + 1, sizeof *b->first_split);
    return b->boxes && b->lo && b->hi && b->lower && b->error && b->margins && b->constant &&
           b->functional && b->first_split;
}

bf_status bfi_bounder_create(bfi_problem *problem, const bf_options *options, int room,
                             bfi_bounder **out, bf_error *err) {
    bfi_bounder *b = bfi_calloc(1, sizeof *b);
    if (!b) return bfi_fail_memory(err);
    b->problem = problem;
    b->room = room;
    bf_options o = *options;
    o.batch = room;
    bf_status status = bf_plan_create(problem->session, problem->model, &o, &b->plan, err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(b->plan, &b->ws, err);
    if (status == BF_STATUS_OK && !allocate(b)) status = bfi_fail_memory(err);
    if (status != BF_STATUS_OK) {
        bfi_bounder_free(b);
        b = NULL;
    }
    *out = b;
    return status;
}

void bfi_bounder_free(bfi_bounder *b) {
    if (!b) return;
    bf_workspace_free(b->ws);
    bf_plan_free(b->plan);
    free(b->boxes);
    free(b->lo);
    free(b->hi);
    free(b->lower);
    free(b->error);
    free(b->margins);
    free(b->constant);
    free(b->functional);
    free(b->first_split);
    free(b->splits);
    free(b);
}

int64_t bfi_bounder_bytes(const bfi_bounder *b) {
    int64_t n = b->problem->n, rows = b->problem->rows, numbers = 2 * n + rows * (4 + n);
    return bf_plan_workspace_bytes(b->plan) +
           b->room * (numbers * (int64_t)sizeof(double) + (int64_t)sizeof *b->boxes) +
           (int64_t)(b->split_room * sizeof *b->splits);
}

bf_status bfi_bounder_place(bfi_bounder *b, int index, const double *lo, const double *hi,
                            const bfi_cut *cuts, int32_t cut_count, uint64_t mask, bf_error *err) {
    size_t bytes = (size_t)b->problem->n * sizeof *lo;
    int64_t at = b->first_split[index];
    assert(index >= 0 && index < b->room);
    if (!bfi_grow((void **)&b->splits, &b->split_room, (size_t)at + (size_t)cut_count + 1,
                  sizeof *b->splits))
        return bfi_fail_memory(err);
    memcpy(bfi_bounder_lo(b, index), lo, bytes);
    memcpy(bfi_bounder_hi(b, index), hi, bytes);
    for (int32_t i = 0; i < cut_count; i++) {
        const bfi_decision *d = &cuts[i].decision;
        if (d->activation >= 0)
            b->splits[at++] = (bf_split){d->activation, d->index, cuts[i].sign, d->point};
    }
    b->first_split[index + 1] = at;
    b->boxes[index] = (bfi_box){.mask = mask};
    return BF_STATUS_OK;
}

/* The open disjuncts of box |k|, and the worst one's most hopeful row. */
static void judge(bfi_bounder *b, int k) {
    const bfi_problem *p = b->problem;
    bfi_box *box = &b->boxes[k];
    const double *lo = bfi_bounder_lo(b, k), *hi = bfi_bounder_hi(b, k);
    box->margin = INFINITY;
    box->rounding = true;
    for (int bit = 0; bit < p->count; bit++) {
        if (!(box->mask >> bit & 1)) continue;
        double best = -INFINITY;
        int32_t best_row = p->first_row[bit];
        bool refuted = false, rounding = false;
        for (int32_t r = p->first_row[bit]; r < p->first_row[bit + 1]; r++) {
            const bf_halfspace *h = bfi_problem_row(p, bit, r);
            int64_t at = k * p->rows + r;
            double margin = bfi_row_margin(h, b->lower[at], lo, hi, p->y_lo, p->y_hi);
            b->margins[at] = margin;
            refuted = refuted || bfi_row_refuted(h, margin);
            rounding = rounding || margin + 2 * b->error[at] > 0;
            if (margin > best) best = margin, best_row = r;
        }
        if (refuted) {
            box->mask &= ~((uint64_t)1 << bit);
            continue;
        }
        box->rounding = box->rounding && rounding;
        if (best < box->margin || box->margin == INFINITY) box->margin = best, box->row = best_row;
    }
}

bf_status bfi_bounder_run(bfi_bounder *b, int count, double deadline, bf_error *err) {
    bfi_problem *p = b->problem;
    bf_request request = {.lo = b->lo,
                          .hi = b->hi,
                          .boxes = count,
                          .spec = p->spec,
                          .rows = p->rows,
                          .lower = b->lower,
                          .lower_error = b->error,
                          .functional = b->functional,
                          .constant = b->constant,
                          .splits = b->first_split[count] > 0 ? b->splits : NULL,
                          .first_split = b->first_split,
                          .deadline = deadline};
    bf_status status = bf_bounds_run(b->plan, b->ws, &request, err);
    if (status == BF_STATUS_OK && !p->outputs_known) /* the root comes first */
        p->outputs_known =
            bf_workspace_box_layer(b->plan, b->ws, 0, p->model->graph->output, p->y_lo, p->y_hi);
    for (int k = 0; k < count && status == BF_STATUS_OK; k++) judge(b, k);
    return status;
}

bf_status bfi_bounder_take(bfi_bounder *b, int index, const bfi_bounder *source, int from,
                           bf_error *err) {
    int64_t at = b->first_split[index], first = source->first_split[from],
            count = source->first_split[from + 1] - first;
    assert(from < source->room && b->problem == source->problem);
    if (!bfi_grow((void **)&b->splits, &b->split_room, (size_t)(at + count) + 1, sizeof *b->splits))
        return bfi_fail_memory(err);
    bf_status status =
        bfi_bounder_place(b, index, bfi_bounder_lo(source, from), bfi_bounder_hi(source, from),
                          NULL, 0, source->boxes[from].mask, err);
    for (int64_t i = 0; i < count; i++) b->splits[at + i] = source->splits[first + i];
    b->first_split[index + 1] = at + count;
    return status;
}

void bfi_bounder_give(const bfi_bounder *b, int index, bfi_bounder *target, int to) {
    size_t n = (size_t)b->problem->n, rows = (size_t)b->problem->rows;
    size_t from = (size_t)index * rows, at = (size_t)to * rows, bytes = rows * sizeof *b->lower;
    target->boxes[to] = b->boxes[index];
    memcpy(target->lower + at, b->lower + from, bytes);
    memcpy(target->error + at, b->error + from, bytes);
    memcpy(target->margins + at, b->margins + from, bytes);
    memcpy(target->constant + at, b->constant + from, bytes);
    memcpy(target->functional + at * n, b->functional + from * n, n * bytes);
}
