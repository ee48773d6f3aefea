/* Random small networks and boxes that are built to hurt: cancellation, extreme scales, subnormal
 * numbers, neighbours of one; points and boxes one ulp wide. Every number is a float32, but in
 * style NET_DOUBLE. */
#ifndef BF_TESTS_RANDOM_NETS_H
#define BF_TESTS_RANDOM_NETS_H

#include <float.h>
#include <math.h>

#include "frontend/model.h"
#include "graph_kit.h"

typedef enum net_style {
    NET_PLAIN,
    NET_DYADIC,
    NET_CANCEL,
    NET_SCALES,
    NET_TINY,
    NET_ULP,
    NET_DOUBLE,
    NET_STYLES
} net_style;

/* Uniform in [-1, 1]. */
static inline double net_uniform(void) { return (double)kit_int(-1000000, 1000000) / 1e6; }

static inline double net_sign(void) { return kit_int(0, 1) ? 1 : -1; }

static inline double net_number(net_style style) {
    double v = net_uniform();
    if (style == NET_DOUBLE) v += net_uniform() * 0x1p-30;
    switch (style) {
        case NET_DYADIC:
            v = kit_eighth();
            break;
        case NET_CANCEL:
            if (kit_int(0, 3)) v = net_sign() * (0x1p20 + (double)kit_int(-4, 4) * 0.125);
            break;
        case NET_SCALES:
            v = ldexp(v, kit_int(0, 3) ? (int)kit_int(-20, 20) : (int)kit_int(-90, 90));
            break;
        case NET_TINY:
            if (kit_int(0, 2)) v = (double)kit_int(-9, 9) * ldexp(1, -(int)kit_int(110, 149));
            break;
        case NET_ULP:
            v = net_sign() * (1 + (double)kit_int(-3, 3) * 0x1p-23);
            break;
        default:
            break;
    }
    return style == NET_DOUBLE ? v : (double)(float)v;
}

static inline bfi_numbers net_numbers(net_style style, int64_t n) {
    bfi_numbers numbers = {.data = bfi_malloc((size_t)n, sizeof(double)), .count = n};
    assert_non_null(numbers.data);
    for (int64_t i = 0; i < n; i++) numbers.data[i] = net_number(style);
    return numbers;
}

static inline int net_linear(bfi_graph *graph, net_style style, int from, int64_t rows, int64_t k,
                             int64_t n) {
    bfi_node *node =
        kit_add(graph, BFI_OP_LINEAR, from, -1, rows > 1 ? KIT_SHAPE(rows, n) : KIT_SHAPE(n));
    node->attrs.rows = rows, node->attrs.k = k, node->attrs.n = n;
    node->weight = net_numbers(style, n * k);
    if (kit_int(0, 3)) node->bias = net_numbers(style, n);
    return graph->output;
}

/* Elementwise op with the shape of |a|. */
static inline int net_same(bfi_graph *graph, bfi_op op, int a, int b) {
    bfi_shape shape = graph->nodes[a].shape;
    kit_add(graph, op, a, b, shape);
    return graph->output;
}

static inline int net_leaky(bfi_graph *graph, int a, double slope) {
    int id = net_same(graph, BFI_OP_LEAKY_RELU, a, -1);
    graph->nodes[id].attrs.slope = (double)(float)slope;
    return id;
}

static inline int net_scale(bfi_graph *graph, net_style style, int a) {
    int id = net_same(graph, BFI_OP_SCALE_SHIFT, a, -1);
    bfi_node *node = &graph->nodes[id];
    int parts = (int)kit_int(1, 3);
    if (parts & 1) node->weight = net_numbers(style, node->count);
    if (parts & 2) node->bias = net_numbers(style, node->count);
    node->attrs.roundings = 2;
    return id;
}

/* Relu, leaky relu with all sorts of slopes, or none. */
static inline int net_kink(bfi_graph *graph, int a) {
    static const double slopes[] = {0.01, 0.5, -0.5, 1.5, 1, 0};
    switch (kit_int(0, 5)) {
        case 0:
            return a;
        case 1:
            return net_leaky(graph, a, slopes[kit_int(0, 5)]);
        default:
            return net_same(graph, BFI_OP_RELU, a, -1);
    }
}

/* Adds or subtracts an earlier value of the same count, if there is one, or the value itself. */
static inline int net_residual(bfi_graph *graph, int a) {
    bfi_op op = kit_int(0, 2) ? BFI_OP_ADD : BFI_OP_SUB;
    for (int tries = 0; tries < 4; tries++) {
        int b = (int)kit_int(0, graph->count - 1);
        if (bfi_shape_equal(&graph->nodes[b].shape, &graph->nodes[a].shape))
            return kit_int(0, 1) ? net_same(graph, op, a, b) : net_same(graph, op, b, a);
    }
    return a;
}

static inline bfi_graph *net_mlp(net_style style) {
    int64_t width = kit_int(1, 8);
    bfi_graph *graph = kit_graph(KIT_SHAPE(width));
    int a = 0;
    int64_t depth = kit_int(1, 5);
    for (int64_t d = 0; d < depth; d++) {
        int64_t next = kit_int(0, 2) ? width : kit_int(1, 8);
        a = net_linear(graph, style, a, 1, width, next);
        width = next;
        if (!kit_int(0, 3)) a = net_scale(graph, style, a);
        if (!kit_int(0, 2)) a = net_residual(graph, a);
        if (d + 1 < depth || !kit_int(0, 3)) a = net_kink(graph, a);
        if (!kit_int(0, 3)) a = net_residual(graph, a);
    }
    graph->output = a;
    kit_validate(graph);
    return graph;
}

typedef struct net_geometry {
    int64_t c_out, kh, kw, stride_h, stride_w, dil_h, dil_w, pad, groups;
} net_geometry;

/* A window op over value |a| of shape [1, c, h, w]; -1 when it does not fit. Conv ops get weights.
 */
static inline int net_window(bfi_graph *graph, net_style style, bfi_op op, int a, net_geometry g) {
    const bfi_shape *in = &graph->nodes[a].shape;
    bfi_window w = {.groups = g.groups,
                    .c_in = in->dim[1],
                    .h_in = in->dim[2],
                    .w_in = in->dim[3],
                    .c_out = g.c_out,
                    .kh = g.kh,
                    .kw = g.kw,
                    .stride_h = g.stride_h,
                    .stride_w = g.stride_w,
                    .dil_h = g.dil_h,
                    .dil_w = g.dil_w,
                    .pad_top = g.pad,
                    .pad_left = g.pad};
    if (op == BFI_OP_CONV_TRANSPOSE) {
        w.h_out = (w.h_in - 1) * g.stride_h - 2 * g.pad + g.dil_h * (g.kh - 1) + 1;
        w.w_out = (w.w_in - 1) * g.stride_w - 2 * g.pad + g.dil_w * (g.kw - 1) + 1;
    } else {
        w.h_out = kit_windows(w.h_in, g.kh, g.dil_h, g.stride_h, g.pad);
        w.w_out = kit_windows(w.w_in, g.kw, g.dil_w, g.stride_w, g.pad);
        if (w.h_in + 2 * g.pad < g.dil_h * (g.kh - 1) + 1 ||
            w.w_in + 2 * g.pad < g.dil_w * (g.kw - 1) + 1)
            return -1;
    }
    if (w.h_out < 1 || w.w_out < 1) return -1;
    bfi_node *node = kit_add(graph, op, a, -1, KIT_SHAPE(1, w.c_out, w.h_out, w.w_out));
    node->attrs.window = w;
    if (op == BFI_OP_CONV || op == BFI_OP_CONV_TRANSPOSE) {
        int64_t outer =
            op == BFI_OP_CONV ? w.c_out * (w.c_in / w.groups) : w.c_in * (w.c_out / w.groups);
        node->weight = net_numbers(style, outer * w.kh * w.kw);
        if (kit_int(0, 3)) node->bias = net_numbers(style, w.c_out);
    }
    return graph->output;
}

static inline net_geometry net_random_geometry(int64_t c_in) {
    net_geometry g = {.c_out = kit_int(1, 3),
                      .kh = kit_int(1, 3),
                      .kw = kit_int(1, 3),
                      .stride_h = kit_int(1, 2),
                      .stride_w = kit_int(1, 3),
                      .dil_h = kit_int(1, 2),
                      .dil_w = kit_int(1, 2),
                      .pad = kit_int(0, 1),
                      .groups = 1};
    if (c_in == 2 && kit_int(0, 1)) g.groups = 2, g.c_out = 2 * kit_int(1, 2);
    return g;
}

static inline int net_flatten(bfi_graph *graph, int a) {
    kit_add(graph, BFI_OP_RESHAPE, a, -1, KIT_SHAPE(graph->nodes[a].count));
    return graph->output;
}

static inline bfi_graph *net_conv(net_style style) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, kit_int(1, 2), kit_int(1, 4), kit_int(2, 4)));
    int a = 0;
    for (int64_t d = kit_int(1, 4); d > 0; d--) {
        int64_t c = graph->nodes[a].shape.dim[1];
        net_geometry g = net_random_geometry(c);
        bfi_op op = kit_int(0, 4) ? BFI_OP_CONV : BFI_OP_CONV_TRANSPOSE;
        if (!kit_int(0, 3)) op = BFI_OP_MAX_POOL, g.c_out = c, g.pad = 0, g.groups = 1;
        if (op == BFI_OP_CONV_TRANSPOSE && graph->nodes[a].count > 40) op = BFI_OP_CONV;
        int b = net_window(graph, style, op, a, g);
        if (b < 0) continue;
        a = b;
        if (!kit_int(0, 3)) a = net_scale(graph, style, a);
        a = net_kink(graph, a);
        if (!kit_int(0, 2)) a = net_residual(graph, a);
        net_geometry pool = {.c_out = graph->nodes[a].shape.dim[1],
                             .kh = 2,
                             .kw = kit_int(1, 2),
                             .stride_h = kit_int(1, 2),
                             .stride_w = 1,
                             .dil_h = 1,
                             .dil_w = 1,
                             .groups = 1};
        if (!kit_int(0, 3) && (b = net_window(graph, style, BFI_OP_AVERAGE_POOL, a, pool)) >= 0)
            a = b;
    }
    a = net_flatten(graph, a);
    if (kit_int(0, 2)) a = net_linear(graph, style, a, 1, graph->nodes[a].count, kit_int(1, 4));
    graph->output = a;
    kit_validate(graph);
    return graph;
}

/* A box around random float32 points: a point, one ulp, or of width 2^-20 .. 2. */
static inline void net_box(net_style style, int64_t n, double *lo, double *hi) {
    static const double widths[] = {0x1p-20, 1e-3, 0.1, 1, 2};
    int64_t kind = kit_int(0, 6);
    for (int64_t i = 0; i < n; i++) {
        float center = (float)(kit_int(0, 3) ? net_number(style) : net_uniform());
        bool point = kind == 0 || !kit_int(0, 5);
        lo[i] = hi[i] = (double)center;
        if (!point && kind == 1) hi[i] = (double)nextafterf(center, FLT_MAX);
        if (!point && kind > 1) {
            double w =
                widths[kind - 2] * (kit_int(0, 1) ? fmax(fabs((double)center), 0x1p-126) : 1);
            lo[i] = (double)(float)((double)center - w),
            hi[i] = (double)(float)((double)center + w);
        }
    }
}

/* Moves the ends of a box off the float32 grid: by some float64 ulps, or to float64 subnormals. */
static inline void net_box_double(int64_t n, double *lo, double *hi) {
    for (int64_t i = 0; i < n; i++) {
        bool point = lo[i] == hi[i];
        if (!kit_int(0, 3))
            lo[i] = net_sign() * (double)kit_int(0, 99) * 0x1p-1074;
        else
            lo[i] -= fabs(lo[i]) * (double)kit_int(0, 5) * 0x1p-52;
        hi[i] =
            point || hi[i] < lo[i] ? lo[i] : hi[i] + fabs(hi[i]) * (double)kit_int(0, 5) * 0x1p-52;
    }
}

/* A float32 point of the box (where it has one there): a corner, or in between. */
static inline void net_point(int64_t n, const double *lo, const double *hi, double *x) {
    int64_t kind = kit_int(0, 2);
    for (int64_t i = 0; i < n; i++) {
        double t = kind == 0 ? (double)kit_int(0, 1) : (double)kit_int(0, 64) / 64;
        x[i] = t == 0 ? lo[i] : t == 1 ? hi[i] : (double)(float)(lo[i] + t * (hi[i] - lo[i]));
        x[i] = x[i] < lo[i] ? lo[i] : x[i] > hi[i] ? hi[i] : x[i];
    }
}

/* Wraps |graph| and keeps a pointer to it. */
static inline bf_model *net_model(bfi_graph *graph) {
    bf_model *model = NULL;
    assert_int_equal(bfi_model_wrap(graph, &model, NULL), BF_STATUS_OK);
    return model;
}

#endif
