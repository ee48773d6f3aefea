/* Where to cut the elements of a max pooling's windows. */
#include <math.h>

#include "exec/pool_lines.h"
#include "verify/bab/branch.h"
#include "verify/bab/view.h"

/* A point nearer to an end than this part of the range decides too little. */
#define WELL_INSIDE 0.1

/* An element of a window, and beside it the largest ends of the others. */
typedef struct window {
    int64_t element;
    double lo, hi, other_lo, other_hi;
} window;

/* An element where the bound has its minimum, as far as its range allows: that point need not
 * satisfy splits. */
static double at_minimum(const bfi_node_view *v, const bfi_pool_ranges *r, int64_t element) {
    double lo, hi;
    bfi_pool_range(r, element, &lo, &hi);
    return fmin(fmax(bfi_view_z(v, element), lo), hi);
}

static int64_t find_element(const bfi_node_view *v, const bfi_pool_ranges *r, int64_t j,
                            bool at_minimiser) {
    const bfi_window *w = r->window;
    int64_t best = -1;
    double most = -INFINITY, lo, hi;
    for (int64_t k = 0; k < w->kh * w->kw; k++) {
        int64_t i = bfi_pool_element(w, j, k);
        if (i < 0) continue;
        bfi_pool_range(r, i, &lo, &hi);
        double size = at_minimiser ? at_minimum(v, r, i) : hi;
        if (lo < hi && (best < 0 || size > most)) best = i, most = size;
    }
    return best;
}

static window look_at(const bfi_pool_ranges *r, int64_t j, int64_t element) {
    const bfi_window *w = r->window;
    window out = {.element = element, .other_lo = -INFINITY, .other_hi = -INFINITY};
    for (int64_t k = 0; k < w->kh * w->kw; k++) {
        int64_t i = bfi_pool_element(w, j, k);
        double lo, hi;
        if (i < 0) continue;
        bfi_pool_range(r, i, &lo, &hi);
        if (i == element)
            out.lo = lo, out.hi = hi;
        else
            out.other_lo = fmax(out.other_lo, lo), out.other_hi = fmax(out.other_hi, hi);
    }
    return out;
}

/* Above all others, the element is the maximum; below one of them, it is not: the first that is
 * well inside its range, else the middle. */
static double choose_point(const window *w) {
    double edge = WELL_INSIDE * (w->hi - w->lo);
    if (w->other_hi > w->lo + edge && w->other_hi < w->hi - edge) return w->other_hi;
    if (w->other_lo > w->lo + edge && w->other_lo < w->hi - edge) return w->other_lo;
    return w->lo / 2 + w->hi / 2;
}

/* What the lane's line of window |j| loses where the bound has its minimum. */
static double loss(const bfi_node_view *v, const bfi_pool_ranges *r, const bfi_pool_lines *lines,
                   int64_t j) {
    double most = -INFINITY, a = bfi_view_a(v, j);
    for (int64_t k = 0; k < r->window->kh * r->window->kw; k++) {
        int64_t i = bfi_pool_element(r->window, j, k);
        if (i >= 0) most = fmax(most, at_minimum(v, r, i));
    }
    return fabs(a * ((a > 0 ? at_minimum(v, r, lines->below) : lines->hi) - most));
}

bool bfi_branch_pool(const bfi_node_view *v, const bf_split *splits, int32_t count, int64_t j,
                     bool gap, bfi_pool_choice *choice) {
    double a = bfi_view_a(v, j);
    bfi_pool_ranges ranges = {&v->op->attrs.window, v->lo, v->hi, splits, count};
    bfi_pool_lines lines = bfi_pool_lines_of(&ranges, j);
    if (a == 0 || lines.exact || !(lines.hi - lines.lo < INFINITY)) return false;
    int64_t element = find_element(v, &ranges, j, gap && a > 0);
    if (element < 0) return false;
    window w = look_at(&ranges, j, element);
    choice->element = element;
    choice->point = choose_point(&w);
    choice->gain = gap ? loss(v, &ranges, &lines, j) : fabs(a) * (lines.hi - lines.lo) / 2;
    return w.lo < choice->point && choice->point < w.hi;
}
