#include "exec/pool_lines.h"

int64_t bfi_pool_element(const bfi_window *w, int64_t j, int64_t k) {
    int64_t channel = j / (w->h_out * w->w_out), oy = j / w->w_out % w->h_out, ox = j % w->w_out;
    int64_t y = oy * w->stride_h - w->pad_top + k / w->kw * w->dil_h;
    int64_t x = ox * w->stride_w - w->pad_left + k % w->kw * w->dil_w;
    bool inside = y >= 0 && y < w->h_in && x >= 0 && x < w->w_in;
    return inside ? (channel * w->h_in + y) * w->w_in + x : -1;
}

int64_t bfi_pool_output(const bfi_window *w, int64_t element, int64_t k) {
    int64_t channel = element / (w->h_in * w->w_in);
    int64_t y = element / w->w_in % w->h_in + w->pad_top - k / w->kw * w->dil_h;
    int64_t x = element % w->w_in + w->pad_left - k % w->kw * w->dil_w;
    if (y < 0 || x < 0 || y % w->stride_h || x % w->stride_w) return -1;
    int64_t oy = y / w->stride_h, ox = x / w->stride_w;
    bool inside = oy < w->h_out && ox < w->w_out;
    return inside ? (channel * w->h_out + oy) * w->w_out + ox : -1;
}

void bfi_pool_range(const bfi_pool_ranges *r, int64_t element, double *lo, double *hi) {
    *lo = r->lo[element], *hi = r->hi[element];
    for (int32_t i = 0; i < r->count; i++) {
        if (r->splits[i].neuron != element) continue;
        if (r->splits[i].sign > 0)
            *lo = fmax(*lo, r->splits[i].point);
        else
            *hi = fmin(*hi, r->splits[i].point);
    }
}

bfi_pool_lines bfi_pool_lines_of(const bfi_pool_ranges *r, int64_t j) {
    const bfi_window *w = r->window;
    int64_t best = -1;
    double other = -INFINITY, lo, hi;
    bfi_pool_lines p = {.lo = -INFINITY, .hi = -INFINITY};
    for (int64_t k = 0; k < w->kh * w->kw; k++) {
        int64_t i = bfi_pool_element(w, j, k);
        if (i < 0) continue;
        bfi_pool_range(r, i, &lo, &hi);
        if (best < 0 || lo > p.lo) best = i, p.lo = lo;
        p.hi = fmax(p.hi, hi);
    }
    for (int64_t k = 0; k < w->kh * w->kw; k++) {
        int64_t i = bfi_pool_element(w, j, k);
        if (i < 0 || i == best) continue;
        bfi_pool_range(r, i, &lo, &hi);
        other = fmax(other, hi);
    }
    p.exact = other <= p.lo;
    p.below = p.above = (int32_t)best;
    p.lines = p.exact ? (bfi_lines){1, 0, 1, 0} : (bfi_lines){1, 0, 0, p.hi};
    return p;
}
