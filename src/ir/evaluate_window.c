#include "ir/evaluate_window.h"

#include <math.h>

/* Along one axis, window o at kernel tap k touches element o * stride + first; that element exists
 * for o in [lo, hi). */
typedef struct span {
    int64_t first, lo, hi;
} span;

static int64_t divide_up(int64_t a, int64_t b) { return a <= 0 ? 0 : (a - 1) / b + 1; }

static span span_of(int64_t tap, int64_t dil, int64_t pad, int64_t stride, int64_t windows,
                    int64_t n) {
    span s = {.first = tap * dil - pad};
    s.lo = divide_up(-s.first, stride);
    s.hi = divide_up(n - s.first, stride);
    if (s.hi > windows) s.hi = windows;
    if (s.lo > s.hi) s.lo = s.hi;
    return s;
}

/* One plane of windows against one plane of elements, for one kernel tap. */
typedef struct tap {
    span v, h; /* vertical, horizontal */
    int64_t stride_h, stride_w;
    int64_t element_width, window_width; /* of the planes */
} tap;

/* windows += weight * elements */
static void gather_tap(const tap *t, double weight, const double *elements, double *windows) {
    for (int64_t o = t->v.lo; o < t->v.hi; o++) {
        const double *from = elements + (o * t->stride_h + t->v.first) * t->element_width;
        double *to = windows + o * t->window_width;
        int64_t first = t->h.first, stride = t->stride_w;
        if (stride == 1) {
            for (int64_t i = t->h.lo; i < t->h.hi; i++) to[i] += weight * from[i + first];
        } else {
            for (int64_t i = t->h.lo; i < t->h.hi; i++) to[i] += weight * from[i * stride + first];
        }
    }
}

/* elements += weight * windows */
static void scatter_tap(const tap *t, double weight, const double *windows, double *elements) {
    for (int64_t o = t->v.lo; o < t->v.hi; o++) {
        double *to = elements + (o * t->stride_h + t->v.first) * t->element_width;
        const double *from = windows + o * t->window_width;
        for (int64_t i = t->h.lo; i < t->h.hi; i++)
            to[i * t->stride_w + t->h.first] += weight * from[i];
    }
}

/* windows = max(windows, elements), NaN stays */
static void max_tap(const tap *t, const double *elements, double *windows) {
    for (int64_t o = t->v.lo; o < t->v.hi; o++) {
        const double *from = elements + (o * t->stride_h + t->v.first) * t->element_width;
        double *to = windows + o * t->window_width;
        for (int64_t i = t->h.lo; i < t->h.hi; i++) {
            double v = from[i * t->stride_w + t->h.first];
            if (v > to[i] || v != v) to[i] = v;
        }
    }
}

static tap tap_at(const bfi_window *w, bool transposed, int64_t ky, int64_t kx) {
    int64_t windows_h = transposed ? w->h_in : w->h_out,
            elements_h = transposed ? w->h_out : w->h_in;
    int64_t windows_w = transposed ? w->w_in : w->w_out,
            elements_w = transposed ? w->w_out : w->w_in;
    return (tap){.v = span_of(ky, w->dil_h, w->pad_top, w->stride_h, windows_h, elements_h),
                 .h = span_of(kx, w->dil_w, w->pad_left, w->stride_w, windows_w, elements_w),
                 .stride_h = w->stride_h,
                 .stride_w = w->stride_w,
                 .element_width = elements_w,
                 .window_width = windows_w};
}

static void fill(double *y, int64_t n, double value) {
    for (int64_t i = 0; i < n; i++) y[i] = value;
}

static void add_bias(const bfi_node *node, double *y) {
    int64_t plane = node->attrs.window.h_out * node->attrs.window.w_out;
    for (int64_t c = 0; c < node->bias.count; c++)
        for (int64_t i = 0; i < plane; i++) y[c * plane + i] += node->bias.data[c];
}

void bfi_evaluate_conv(const bfi_node *node, const double *x, double *y) {
    const bfi_window *w = &node->attrs.window;
    const double *weight = node->weight.data;
    int64_t group_in = w->c_in / w->groups, group_out = w->c_out / w->groups;
    int64_t plane_in = w->h_in * w->w_in, plane_out = w->h_out * w->w_out;
    fill(y, node->count, 0);
    for (int64_t co = 0; co < w->c_out; co++)
        for (int64_t c = 0; c < group_in; c++) {
            const double *from = x + (co / group_out * group_in + c) * plane_in;
            for (int64_t ky = 0; ky < w->kh; ky++)
                for (int64_t kx = 0; kx < w->kw; kx++) {
                    tap t = tap_at(w, false, ky, kx);
                    gather_tap(&t, *weight++, from, y + co * plane_out);
                }
        }
    add_bias(node, y);
}

void bfi_evaluate_conv_transpose(const bfi_node *node, const double *x, double *y) {
    const bfi_window *w = &node->attrs.window;
    const double *weight = node->weight.data;
    int64_t group_in = w->c_in / w->groups, group_out = w->c_out / w->groups;
    int64_t plane_in = w->h_in * w->w_in, plane_out = w->h_out * w->w_out;
    fill(y, node->count, 0);
    for (int64_t ci = 0; ci < w->c_in; ci++)
        for (int64_t c = 0; c < group_out; c++) {
            double *to = y + (ci / group_in * group_out + c) * plane_out;
            for (int64_t ky = 0; ky < w->kh; ky++)
                for (int64_t kx = 0; kx < w->kw; kx++) {
                    tap t = tap_at(w, true, ky, kx);
                    scatter_tap(&t, *weight++, x + ci * plane_in, to);
                }
        }
    add_bias(node, y);
}

void bfi_evaluate_max_pool(const bfi_node *node, const double *x, double *y) {
    const bfi_window *w = &node->attrs.window;
    fill(y, node->count, -(double)INFINITY);
    for (int64_t c = 0; c < w->c_out; c++)
        for (int64_t ky = 0; ky < w->kh; ky++)
            for (int64_t kx = 0; kx < w->kw; kx++) {
                tap t = tap_at(w, false, ky, kx);
                max_tap(&t, x + c * w->h_in * w->w_in, y + c * w->h_out * w->w_out);
            }
}
