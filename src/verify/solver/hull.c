#include "verify/solver/hull.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fp.h"

/* A number that a kink's input sums. */
typedef struct part {
    int32_t col;
    bool falls; /* its coefficient is negative: t goes from its upper end down */
    double t, step, from, width;
} part;

struct bfi_hull {
    const bfi_encoding *encoding;
    int64_t *row; /* by kink: that says what its input is, -1: none */
    part *parts;
    int32_t *index;
    double *value;
};

/* The row sum - column = a constant, up to an error, of every column that has one. */
static void find_rows(bfi_hull *h, int64_t *row_of) {
    const bfi_encoding *e = h->encoding;
    for (int32_t j = 0; j < e->cols; j++) row_of[j] = -1;
    for (int64_t r = 0; r < e->goal; r++) {
        int64_t last = e->start[r + 1] - 1;
        if (last <= e->start[r] || e->value[last] != -1 || !isfinite(e->row_lo[r]) ||
            !isfinite(e->row_hi[r]))
            continue;
        if (row_of[e->index[last]] < 0) row_of[e->index[last]] = r;
    }
    for (int32_t i = 0; i < e->kink_count; i++) h->row[i] = row_of[e->kinks[i].in];
}

bfi_hull *bfi_hull_create(const bfi_encoding *encoding) {
    bfi_hull *h = bfi_calloc(1, sizeof *h);
    int64_t *row_of = bfi_malloc((size_t)encoding->cols, sizeof *row_of);
    size_t most = (size_t)encoding->cols + 1;
    if (h) {
        h->encoding = encoding;
        h->row = bfi_malloc((size_t)encoding->kink_count, sizeof *h->row);
        h->parts = bfi_malloc(most, sizeof *h->parts);
        h->index = bfi_malloc(most, sizeof *h->index);
        h->value = bfi_malloc(most, sizeof *h->value);
    }
    if (h && row_of && h->row && h->parts && h->index && h->value) {
        find_rows(h, row_of);
    } else {
        bfi_hull_free(h);
        h = NULL;
    }
    free(row_of);
    return h;
}

void bfi_hull_free(bfi_hull *h) {
    if (!h) return;
    free(h->row);
    free(h->parts);
    free(h->index);
    free(h->value);
    free(h);
}

/* The kink's input as a sum of parts: least |sum|, |size| of all that is added up. How many. */
static int32_t open_row(bfi_hull *h, int64_t row, const double *x, double *sum, double *size) {
    const bfi_encoding *e = h->encoding;
    int32_t count = 0;
    *sum = -e->row_lo[row];
    *size = fabs(e->row_lo[row]) + fabs(e->row_hi[row]);
    for (int64_t k = e->start[row]; k < e->start[row + 1] - 1; k++) {
        int32_t j = e->index[k];
        double v = e->value[k], from = v < 0 ? e->hi[j] : e->lo[j], width = e->hi[j] - e->lo[j];
        double t = width > 0 ? fabs(x[j] - from) / width : 0;
        *sum += v * from;
        *size += fabs(v) * bfi_encoding_magnitude(e, j);
        if (!(width > 0)) continue;
        h->parts[count++] = (part){j, v < 0, fmin(t, 1), fabs(v) * width, from, width};
    }
    return count;
}

static int descending(const void *a, const void *b) {
    const part *p = a, *q = b;
    if (p->t != q->t) return p->t > q->t ? -1 : 1;
    return p->col < q->col ? -1 : p->col > q->col;
}

bool bfi_hull_cut_at(bfi_hull *h, int32_t kink, const double *x, double least, bfi_hull_cut *out) {
    const bfi_encoding *e = h->encoding;
    const bfi_kink *k = &e->kinks[kink];
    int64_t row = h->row[kink];
    bool rises = k->slope[0] >= 0 && k->slope[1] > k->slope[0];
    if (row < 0 || !rises || !(e->lo[k->in] < 0) || !(e->hi[k->in] > 0)) return false;
    double sum, size;
    int32_t count = open_row(h, row, x, &sum, &size), used = 0;
    qsort(h->parts, (size_t)count, sizeof *h->parts, descending);
    double at = bfi_kink_value(k, sum), constant = at, reach = fabs(at);
    h->index[used] = k->out, h->value[used++] = 1;
    for (int32_t i = 0; i < count; i++) {
        const part *p = &h->parts[i];
        double next = sum + p->step, rise = bfi_kink_value(k, next) - bfi_kink_value(k, sum);
        double slope = rise / p->width * (p->falls ? -1 : 1);
        sum = next;
        if (slope == 0) continue;
        at += rise * p->t;
        constant -= slope * p->from;
        reach += fabs(slope) * bfi_encoding_magnitude(e, p->col);
        h->index[used] = p->col, h->value[used++] = -slope;
    }
    double chord = -e->lo[k->in] * e->hi[k->in] / (e->hi[k->in] - e->lo[k->in]);
    if (!(x[k->out] > at + least * chord * (k->slope[1] - k->slope[0]))) return false;
    /* every sum and every rise is off by the roundings of the sums, at most, every product by its
     * own; all of it twice */
    double n = count + 8, room = n * n * k->slope[1] * size + n * (reach + size * k->slope[1]);
    *out = (bfi_hull_cut){.kink = kink, .count = used, .index = h->index, .value = h->value};
    out->hi = bfi_up(constant + bfi_up(4 * BF_U64 * room + k->error + n * 0x1p-1000));
    return isfinite(out->hi);
}
