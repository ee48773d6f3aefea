#include "verify/bab/root.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"
#include "frontend/model.h"
#include "runtime/nodes.h"
#include "runtime/reuse.h"
#include "verify/rows.h"

/* Optimised hidden bounds may take this part of the time left, by what a way back took; they are
 * what a search gains most from. They stop at HIDDEN_LIMIT. */
#define HIDDEN_SHARE 0.3
#define HIDDEN_LIMIT 0.6
/* Of the work that hidden rows could make, what they do make: most ways are shorter than the
 * network, lanes fill vectors better than the few rows whose pace is known, and many rows are
 * decided early. (0.09 to 0.5 measured on networks of MNIST and CIFAR.) */
#define HIDDEN_WORK 0.2
/* Memory for bases beside the root's, by about what a number of the network takes in one. */
#define BASES_BYTES ((int64_t)256 << 20)
#define NUMBER_BYTES 64

/* Binary digits by which rows of a conjunction are brought together, at most. */
enum { MOST_APART = 30 };

static bool allocate(bfi_root *r, int64_t rows) {
    r->lower = bfi_malloc((size_t)rows, sizeof *r->lower);
    r->error = bfi_malloc((size_t)rows, sizeof *r->error);
    r->stop = bfi_malloc((size_t)rows, sizeof *r->stop);
    r->limit = bfi_malloc((size_t)rows, sizeof *r->limit);
    return r->lower && r->error && r->stop && r->limit;
}

static void find_stops(const bfi_problem *p, bfi_root *root) {
    for (int bit = 0; bit < p->count; bit++)
        for (int32_t r = p->first_row[bit]; r < p->first_row[bit + 1]; r++) {
            const bf_halfspace *h = bfi_problem_row(p, bit, r);
            root->stop[r] = bfi_row_enough(h, p->c->lo, p->c->hi, p->y_lo, p->y_hi);
            root->limit[r].limit = -bfi_row_margin(h, 0, p->c->lo, p->c->hi, p->y_lo, p->y_hi);
        }
}

/* About how large the row's coefficients are together, as a power of two. */
static int size_of(const bfi_problem *p, int32_t row) {
    int64_t outputs = p->property->n_out;
    double sum = 0;
    for (int64_t j = 0; j < outputs; j++) sum += fabs(p->spec[row * outputs + j]);
    return sum > 0 && sum < INFINITY ? ilogb(sum) : 0;
}

/* Rows of a disjunct count in units of its largest one, so that a negative bound of a mix is one of
 * the largest row as it is written, too. */
static void find_scales(const bfi_problem *p, bfi_root *root) {
    for (int bit = 0; bit < p->count; bit++) {
        int most = size_of(p, p->first_row[bit]);
        for (int32_t r = p->first_row[bit]; r < p->first_row[bit + 1]; r++)
            if (size_of(p, r) > most) most = size_of(p, r);
        for (int32_t r = p->first_row[bit]; r < p->first_row[bit + 1]; r++) {
            int apart = most - size_of(p, r);
            root->limit[r].scale = ldexp(1, apart < MOST_APART ? apart : MOST_APART);
        }
    }
}

/* A plan for hidden bounds |how|, and its run; what |r| holds of an earlier one is replaced when
 * the run ends well, and its bounds are kept where they are better. */
static bf_status run(bfi_problem *p, bf_options options, bf_intermediate how, double deadline,
                     bfi_root *r, bf_error *err) {
    bf_plan *plan = NULL;
    bf_workspace *ws = NULL;
    double *results = bfi_malloc((size_t)p->rows, 2 * sizeof *results);
    options.intermediate = how;
    bf_status status =
        results ? bf_plan_create(p->session, p->model, &options, &plan, err) : bfi_fail_memory(err);
    if (status == BF_STATUS_OK) status = bf_workspace_create(plan, &ws, err);
    if (status == BF_STATUS_OK) {
        bfi_reuse_refuse(ws);
        bf_request request = {.lo = p->c->lo,
                              .hi = p->c->hi,
                              .spec = p->spec,
                              .rows = p->rows,
                              .lower = results,
                              .lower_error = results + p->rows,
                              .enough = r->stop,
                              .deadline = deadline};
        status = bf_bounds_run(plan, ws, &request, err);
    }
    for (int64_t i = 0; i < p->rows && status == BF_STATUS_OK; i++)
        if (!r->ws || results[i] > r->lower[i])
            r->lower[i] = results[i], r->error[i] = results[p->rows + i];
    if (status == BF_STATUS_OK) {
        bf_workspace *old_ws = r->ws;
        bf_plan *old = r->plan;
        r->plan = plan, r->ws = ws, r->hidden = how;
        plan = old, ws = old_ws;
    }
    free(results);
    bf_workspace_free(ws);
    bf_plan_free(plan);
    return status;
}

/* Seconds that optimised hidden bounds will take, by the flops of a way back for every hidden row
 * and the pace of the run that took |seconds|. */
static double guess_hidden(const bfi_root *r, const bf_options *o, double seconds) {
    bf_run_stats s = bf_workspace_stats(r->ws);
    double ways = 2 * (double)o->iterations, rows = 2 * (double)s.unstable * r->lane_flops;
    return s.flops > 0 ? HIDDEN_WORK * seconds * ways * rows / s.flops : 0;
}

static bool any_open(const bfi_problem *p, const bfi_root *r) {
    for (int64_t i = 0; i < p->rows; i++)
        if (r->lower[i] < r->stop[i]) return true;
    return false;
}

/* At most |bases|, and no more than make up BASES_BYTES. */
static int64_t count_bases(const bf_model *model, int bases) {
    int64_t numbers = 0;
    for (int id = 0; id < model->graph->count; id++) numbers += model->graph->nodes[id].count;
    int64_t fit = BASES_BYTES / (numbers * NUMBER_BYTES + 1);
    return fit < 1 ? 1 : fit < bases ? fit : bases;
}

bf_status bfi_root_create(bfi_problem *p, const bf_options *options, int bases, double deadline,
                          bfi_root *r, bf_error *err) {
    bf_options o = *options;
    o.method = BF_METHOD_ALPHA_CROWN;
    o.batch = count_bases(p->model, bases);
    o.keep_layers = o.batch > 1;
    *r = (bfi_root){0};
    if (!allocate(r, p->rows)) return bfi_fail_memory(err);
    find_scales(p, r);
    find_stops(p, r);
    double begin = bf_clock();
    bf_status status = run(p, o, BF_INTERMEDIATE_FIXED, deadline, r, err);
    if (status != BF_STATUS_OK) return status;
    if (!p->outputs_known)
        p->outputs_known =
            bf_workspace_box_layer(r->plan, r->ws, 0, p->model->graph->output, p->y_lo, p->y_hi);
    find_stops(p, r);
    const bfi_graph *graph = r->plan->graph;
    for (int id = 0; id < graph->count; id++) r->lane_flops += (double)bfi_node_flops(graph, id);
    double now = bf_clock(), left = deadline > 0 ? deadline - now : INFINITY;
    if (o.intermediate != BF_INTERMEDIATE_FIXED && any_open(p, r) &&
        guess_hidden(r, &o, now - begin) <= HIDDEN_SHARE * left) {
        status = run(p, o, o.intermediate, deadline > 0 ? now + HIDDEN_LIMIT * left : 0, r, err);
        if (status == BF_STATUS_TIMEOUT && bf_clock() < deadline) status = BF_STATUS_OK;
    }
    r->slope_bytes = bfi_nodes_slope_bytes(r->plan);
    return status;
}

bfi_root_bound bfi_root_known(const bfi_root *r, int64_t row, int32_t mixed) {
    bfi_root_bound known = {mixed > 0 ? -INFINITY : r->lower[row], r->error[row], 0};
    for (int32_t i = 0; i < mixed; i++) {
        const bfi_row_limit *limit = &r->limit[row + i];
        double lower = limit->scale * bfi_down(r->lower[row + i] - limit->limit);
        if (lower > known.lower)
            known = (bfi_root_bound){lower, limit->scale * r->error[row + i], i};
    }
    return known;
}

void bfi_root_clear(bfi_root *r) {
    bf_workspace_free(r->ws);
    bf_plan_free(r->plan);
    free(r->lower);
    free(r->error);
    free(r->stop);
    free(r->limit);
    *r = (bfi_root){0};
}
