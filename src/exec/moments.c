#include "exec/moments.h"

#include <assert.h>
#include <string.h>

#include "exec/forms.h"

/* Lanes that are linearised together, and rounds of improvement. */
enum { LANES = 16, SWEEPS = 3 };
enum { INPUTS = BFI_MOMENT_INPUTS, MOMENTS = INPUTS * (INPUTS + 1) / 2 };

/* Of a sum of all terms, what rounding may change, whatever their number. */
#define ROUNDING 0x1p-40
#define TINY 0x1p-1000

static const double *kept(const bfi_tile *t, int64_t offset, int64_t lane) {
    return bfi_tile_of_box(t, bfi_ws_doubles(t->ws, 0, offset), lane);
}

/* r_i r_j of every term, in the box of |lane|. */
static void find_reaches(const bfi_tile *t, int64_t lane, double *reach) {
    const double *lo = kept(t, t->plan->state[0].lo, lane),
                 *hi = kept(t, t->plan->state[0].hi, lane);
    double radius[INPUTS];
    for (int64_t j = 0; j < t->plan->graph->nodes[0].count; j++) {
        radius[j] = bfi_form_radius(lo[j], hi[j]);
        for (int64_t i = 0; i <= j; i++) *reach++ = radius[i] * radius[j];
    }
}

void bfi_moments_run(const bfi_tile *t, const bfi_back_op *op) {
    bfi_dtype dtype = t->plan->dtype;
    int64_t n = t->plan->graph->nodes[op->node].count, terms = t->plan->moments;
    const void *a = bfi_tile_buffer(t, op->a), *b = op->b >= 0 ? bfi_tile_buffer(t, op->b) : NULL;
    void *out = bfi_tile_buffer(t, op->out);
    double gamma = bfi_unit_roundoff(dtype) + bfi_gamma((double)n + 2, BF_U64), reach[MOMENTS];
    assert(terms <= MOMENTS);
    for (int64_t l = 0; l < t->lanes; l++) {
        const double *q = kept(t, t->plan->state[op->node].moments, l);
        double sum[MOMENTS] = {0}, size = 0, flat = 0;
        if (l == 0 || t->v.box[l] != t->v.box[l - 1]) find_reaches(t, l, reach);
        for (int64_t m = 0; m < terms; m++) {
            if (b) sum[m] = bfi_load(dtype, b, m * t->ls + l);
            size += fabs(sum[m]) * reach[m], flat += reach[m];
        }
        for (int64_t k = 0; k < n; k++, q += terms + 1) {
            double w = bfi_load(dtype, a, k * t->ls + l);
            if (w == 0) continue;
            for (int64_t m = 0; m < terms; m++) sum[m] += w * q[m];
            size += fabs(w) * q[terms];
        }
        for (int64_t m = 0; m < terms; m++) bfi_store(dtype, out, m * t->ls + l, sum[m]);
        double error = (gamma * size + bfi_eta(dtype) * flat) * BFI_ERROR_ROOM + TINY;
        if (t->plan->outward) t->v.error[l] = bfi_add_up(t->v.error[l], error);
    }
}

/* |count| lanes from |first| on, lanes innermost. In units of what an input's distance adds at
 * most: slopes times r, terms times r r. */
typedef struct block {
    int64_t n, first, count;
    double middle[INPUTS][LANES], radius[INPUTS][LANES];
    double slope[INPUTS][LANES]; /* of the functional so far */
    double term[MOMENTS][LANES], x[MOMENTS][LANES];
    double size[LANES]; /* of all terms */
} block;

static void load_block(const bfi_tile *t, const bfi_back_op *op, block *b) {
    bfi_dtype dtype = t->plan->dtype;
    const char *a = bfi_tile_buffer(t, op->a), *s = bfi_tile_buffer(t, op->b);
    for (int64_t v = 0; v < b->count; v++) {
        int64_t l = b->first + v, m = 0;
        const double *lo = kept(t, t->plan->state[0].lo, l), *hi = kept(t, t->plan->state[0].hi, l);
        b->size[v] = 0;
        for (int64_t j = 0; j < b->n; j++) {
            b->middle[j][v] = bfi_form_middle(lo[j], hi[j]);
            b->radius[j][v] = bfi_form_radius(lo[j], hi[j]);
            b->slope[j][v] = bfi_load(dtype, a, j * t->ls + l) * b->radius[j][v];
            for (int64_t i = 0; i <= j; i++, m++) {
                b->term[m][v] =
                    bfi_load(dtype, s, m * t->ls + l) * (b->radius[i][v] * b->radius[j][v]);
                b->x[m][v] = 0;
                b->size[v] += fabs(b->term[m][v]);
            }
        }
    }
}

static double clamp(double x, double most) { return x > most ? most : x < -most ? -most : x; }

/* One term after the other takes the x that is best for the slopes as they stand: a square's brings
 * its input's slope towards zero, a pair's brings both as near to zero as they can come together.
 */
static void improve(block *b) {
    for (int64_t j = 0, m = 0; j < b->n; j++)
        for (int64_t i = 0; i <= j; i++, m++)
            for (int64_t v = 0; v < b->count; v++) {
                double s = b->term[m][v], x = b->x[m][v];
                double sign = i == j ? 0 : s < 0 ? -1 : 1, most = i == j ? 2 * fmax(s, 0) : fabs(s);
                double u = b->slope[i][v] - x, w = b->slope[j][v] - sign * x;
                x = clamp(i == j ? -u : -(u + sign * w) / 2, most);
                b->x[m][v] = x;
                b->slope[i][v] = u + x;
                if (i < j) b->slope[j][v] = w + sign * x;
            }
}

/* The intercepts of lane |v|'s planes. |x| is at most 2 |s|, but its square may underflow. */
static double intercepts(const block *b, int64_t v) {
    double sum = 0;
    for (int64_t j = 0, m = 0; j < b->n; j++)
        for (int64_t i = 0; i <= j; i++, m++) {
            double s = b->term[m][v], x = b->x[m][v];
            if (i < j)
                sum -= fabs(s);
            else
                sum += s > 0 ? -(x / s / 4) * x : s;
        }
    return sum;
}

/* What the planes of lane |v| add to input |i|'s slope, in the block's unit. */
static double added(const block *b, int64_t i, int64_t v) {
    double sum = 0;
    for (int64_t k = 0, m = 0; k < b->n; k++)
        for (int64_t h = 0; h <= k; h++, m++) {
            if (h == i) sum += b->x[m][v];
            if (h < k && k == i) sum += b->term[m][v] < 0 ? -b->x[m][v] : b->x[m][v];
        }
    return sum;
}

/* Slopes as far as the dtype holds them; what it does not is a difference that may cost its size.
 */
static void store_block(const bfi_tile *t, const bfi_back_op *op, const block *b) {
    bfi_dtype dtype = t->plan->dtype;
    const char *a = bfi_tile_buffer(t, op->a);
    char *out = bfi_tile_buffer(t, op->out);
    for (int64_t v = 0; v < b->count; v++) {
        int64_t l = b->first + v;
        double constant = intercepts(b, v), lost = ROUNDING * b->size[v];
        for (int64_t i = 0; i < b->n; i++) {
            double r = b->radius[i][v], x = added(b, i, v),
                   before = bfi_load(dtype, a, i * t->ls + l);
            bfi_store(dtype, out, i * t->ls + l, r > 0 ? before + x / r : before);
            double step = bfi_load(dtype, out, i * t->ls + l) - before,
                   shift = step * b->middle[i][v];
            constant -= shift;
            lost += fabs(x - step * r) + ROUNDING * (fabs(x) + fabs(step * r) + fabs(shift));
        }
        double sum = t->v.constant[l] + constant;
        lost += 2 * BF_U64 * (fabs(sum) + fabs(constant));
        t->v.constant[l] = sum;
        if (t->plan->outward)
            t->v.error[l] = bfi_add_up(t->v.error[l], lost * BFI_ERROR_ROOM + TINY);
    }
}

void bfi_moments_linearize(const bfi_tile *t, const bfi_back_op *op) {
    block b = {.n = t->plan->graph->nodes[0].count};
    assert(op->node == 0 && b.n <= INPUTS);
    for (b.first = 0; b.first < t->lanes; b.first += LANES) {
        b.count = t->lanes - b.first < LANES ? t->lanes - b.first : LANES;
        load_block(t, op, &b);
        for (int sweep = 0; sweep < SWEEPS; sweep++) improve(&b);
        store_block(t, op, &b);
    }
}
