/* Windows of convolution stacks: the windowed convolution does what the whole one does, and bounds
 * are the same bits with windows as without. */
#include "bounds_kit.h"
#include "plan/windows.h"

static int64_t pick(int64_t lo, int64_t hi) { return kit_int(lo, hi); }

/* A random convolution in gather form whose destination is not empty. */
static bfi_conv random_conv(void) {
    bfi_conv c = {.groups = pick(1, 2), .c_src = pick(1, 3), .c_dst = pick(1, 3)};
    c.kh = pick(1, 4), c.kw = pick(1, 4), c.stride_h = pick(1, 3), c.stride_w = pick(1, 3);
    c.dil_h = pick(1, 2), c.dil_w = pick(1, 2), c.pad_top = pick(0, 2), c.pad_left = pick(0, 2);
    c.h_src = pick(1, 9), c.w_src = pick(1, 9), c.h_dst = pick(1, 9), c.w_dst = pick(1, 9);
    c.transposed = (int)pick(0, 1);
    return c;
}

static bfi_span random_span(int64_t size) {
    int64_t lo = pick(0, size - 1);
    return (bfi_span){lo, pick(lo + 1, size)};
}

static bool inside(bfi_rect r, int64_t y, int64_t x) {
    return y >= r.y.lo && y < r.y.hi && x >= r.x.lo && x < r.x.hi;
}

enum { LS = BF_LANE_PAD };

static float *numbers(int64_t n) {
    float *a = aligned_alloc(64, ((size_t)n * sizeof *a + 63) / 64 * 64);
    assert_non_null(a);
    for (int64_t i = 0; i < n; i++) a[i] = (float)pick(-8, 8) / 8;
    return a;
}

/* The window of planes of |h| x |w| positions, |channels| of them. */
static float *window_of(const float *whole, int64_t channels, int64_t h, int64_t w, bfi_rect r) {
    int64_t wh = r.y.hi - r.y.lo, ww = r.x.hi - r.x.lo;
    float *out = numbers(channels * wh * ww * LS + 1);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t y = 0; y < wh; y++)
            for (int64_t x = 0; x < ww; x++)
                memcpy(out + ((c * wh + y) * ww + x) * LS,
                       whole + ((c * h + r.y.lo + y) * w + r.x.lo + x) * LS, LS * sizeof *out);
    return out;
}

static void check(const bfi_conv *conv) {
    const bfi_kernels *k = bfi_kernels_ref(BFI_F32);
    bfi_rect src = {random_span(conv->h_src), random_span(conv->w_src)};
    int64_t c_src = conv->groups * conv->c_src, c_dst = conv->groups * conv->c_dst;
    int64_t taps = conv->c_src * conv->kh * conv->kw;
    float *w = numbers(conv->groups * bfi_packed_size(conv->c_dst, taps));
    float *in = numbers(c_src * conv->h_src * conv->w_src * LS);
    float *out = numbers(c_dst * conv->h_dst * conv->w_dst * LS);
    for (int64_t c = 0; c < c_src; c++)
        for (int64_t y = 0; y < conv->h_src; y++)
            for (int64_t x = 0; x < conv->w_src; x++)
                if (!inside(src, y, x))
                    memset(in + ((c * conv->h_src + y) * conv->w_src + x) * LS, 0, LS * sizeof *in);
    bfi_conv whole = *conv;
    whole.packed = w;
    k->conv(&whole, 0, conv->h_dst, in, out, LS, LS);

    bfi_rect dst = bfi_conv_reach(&whole, src);
    for (int64_t c = 0; c < c_dst; c++)
        for (int64_t y = 0; y < conv->h_dst; y++)
            for (int64_t x = 0; x < conv->w_dst; x++)
                if (!inside(dst, y, x))
                    for (int l = 0; l < LS; l++)
                        assert_true(out[((c * conv->h_dst + y) * conv->w_dst + x) * LS + l] == 0);
    if (bfi_rect_area(dst) > 0) {
        bfi_conv part = bfi_conv_window(&whole, src, dst);
        float *a = window_of(in, c_src, conv->h_src, conv->w_src, src);
        float *expected = window_of(out, c_dst, conv->h_dst, conv->w_dst, dst);
        float *got = numbers(c_dst * bfi_rect_area(dst) * LS);
        k->conv(&part, 0, part.h_dst, a, got, LS, LS);
        for (int64_t i = 0; i < c_dst * bfi_rect_area(dst) * LS; i++)
            assert_true(got[i] == expected[i]);
        free(a), free(expected), free(got);
    }
    free(w), free(in), free(out);
}

static void test_conv_window(void **unused) {
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        bfi_conv c = random_conv();
        check(&c);
    }
}

/* Convolutions, residual blocks, transposed convolutions, batch norms and pooling on images large
 * enough that windows pay. */
static bfi_graph *image_net(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, pick(1, 3), pick(9, 20), pick(9, 20)));
    int a = 0;
    for (int64_t d = pick(2, 4); d > 0; d--) {
        net_geometry g = net_random_geometry(graph->nodes[a].shape.dim[1]);
        if (g.groups == 1) g.c_out = pick(0, 2) ? pick(2, 6) : pick(8, 20);
        if (graph->nodes[a].count > 1000) g.stride_h = g.stride_w = 2;
        bfi_op op =
            graph->nodes[a].count < 300 && !pick(0, 4) ? BFI_OP_CONV_TRANSPOSE : BFI_OP_CONV;
        int b = net_window(graph, NET_PLAIN, op, a, g);
        if (b < 0) continue;
        a = b;
        if (!pick(0, 3)) a = net_scale(graph, NET_PLAIN, a);
        a = net_kink(graph, a);
        int64_t c = graph->nodes[a].shape.dim[1];
        net_geometry same = {c, 3, 3, 1, 1, 1, 1, 1, 1};
        if (pick(0, 1)) {
            int branch = net_window(graph, NET_PLAIN, BFI_OP_CONV, a, same);
            a = net_same(graph, pick(0, 2) ? BFI_OP_ADD : BFI_OP_SUB, a, branch);
            a = net_kink(graph, a);
        }
        net_geometry pool = {c, 2, 2, 2, 2, 1, 1, 0, 1};
        bfi_op kind = pick(0, 1) ? BFI_OP_AVERAGE_POOL : BFI_OP_MAX_POOL;
        if (!pick(0, 4) && (b = net_window(graph, NET_PLAIN, kind, a, pool)) >= 0) a = b;
    }
    a = net_flatten(graph, a);
    graph->output = net_linear(graph, NET_PLAIN, a, 1, graph->nodes[a].count, 3);
    kit_validate(graph);
    return graph;
}

/* Bounds of the three outputs. */
static void bounds(const bf_model *model, bf_options o, int threads, const double *lo,
                   const double *hi, double numbers[6], bf_run_stats *stats) {
    kit_engine e = kit_engine_new(threads, model, o);
    kit_bounds(&e, lo, hi, NULL, 0, numbers, numbers + 3);
    *stats = bf_workspace_stats(e.ws);
    kit_engine_free(&e);
}

/* Pooling, then a sum of what it gives with a branch: on the way back pooling reads, whole, the sum
 * of two windows. */
static bfi_graph *pooled_sum_net(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, pick(1, 2), pick(9, 16), pick(9, 16)));
    int64_t c = graph->nodes[0].shape.dim[1];
    net_geometry pool = {c, 1, 2, 2, 3, 1, 1, 0, 1}, conv = {3, 1, 1, 2, 2, 1, 1, 0, 1};
    int a = net_window(graph, NET_PLAIN, BFI_OP_MAX_POOL, 0, pool);
    int branch = net_same(graph, BFI_OP_RELU, net_scale(graph, NET_PLAIN, a), -1);
    a = net_same(graph, BFI_OP_ADD, a, branch);
    a = net_scale(graph, NET_PLAIN, net_window(graph, NET_PLAIN, BFI_OP_CONV, a, conv));
    a = net_flatten(graph, net_same(graph, BFI_OP_RELU, a, -1));
    graph->output = net_linear(graph, NET_PLAIN, a, 1, graph->nodes[a].count, 3);
    kit_validate(graph);
    return graph;
}

/* Returns whether windows were used. */
static bool check_net(bfi_graph *graph, double width, bf_options o, int i) {
    int64_t n = graph->nodes[0].count;
    double *lo = calloc((size_t)(2 * n), sizeof *lo), *hi = lo + n, want[6], got[6];
    for (int64_t j = 0; j < n; j++) {
        lo[j] = (double)(float)net_uniform();
        hi[j] = lo[j] + width * (double)pick(0, 8);
    }
    bf_model *model = net_model(graph);
    o.simplify = (int)pick(0, 1);
    o.dtype = pick(0, 1) ? BF_DTYPE_FLOAT64 : BF_DTYPE_FLOAT32;
    o.intersect = (int)pick(0, 1), o.all_neurons = !pick(0, 3);
    bf_run_stats dense, windowed;
    o.windows = 0;
    bounds(model, o, 1, lo, hi, want, &dense);
    assert_true(0 < dense.flops && dense.flops <= dense.dense_flops);
    assert_true(dense.bytes == dense.dense_bytes && dense.bytes > 0);
    for (int variant = 0; variant < 3; variant++) {
        o.windows = 1;
        o.executor = variant == 2 ? BF_EXECUTOR_REFERENCE : BF_EXECUTOR_NATIVE;
        bounds(model, o, variant == 1 ? 2 : 1, lo, hi, got, &windowed);
        for (int k = 0; k < 6; k++)
            if (got[k] != want[k])
                fail_msg("net %d, variant %d: %a, dense %a", i, variant, got[k], want[k]);
    }
    assert_true(windowed.dense_flops == dense.dense_flops);
    assert_true(windowed.dense_bytes == dense.bytes);
    if (windowed.flops < dense.flops)
        assert_true(0 < windowed.bytes && windowed.bytes < windowed.dense_bytes);
    bf_model_free(model);
    free(lo);
    return windowed.flops < dense.flops;
}

static bool check_some_net(bf_options o, int i) {
    return i % 5 ? check_net(image_net(), 0x1p-6, o, i) : check_net(pooled_sum_net(), 0x1p-3, o, i);
}

static void test_same_bits(void **unused) {
    (void)unused;
    int used = 0, nets = 50 / KIT_SAMPLE;
    for (int i = 0; i < nets; i++) used += check_some_net(bf_options_default(), i);
    assert_true(2 * used > nets);
}

/* Slopes are filled, followed and stepped on the windows too. */
static void test_optimised_same_bits(void **unused) {
    (void)unused;
    int used = 0, nets = 60 / KIT_SAMPLE;
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    for (int i = 0; i < nets; i++) {
        o.intermediate = i % 3 ? BF_INTERMEDIATE_PER_NEURON : BF_INTERMEDIATE_SHARED;
        o.iterations = (int)pick(2, 5);
        used += check_some_net(o, i);
    }
    assert_true(2 * used > nets);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv_window),
                                       cmocka_unit_test(test_same_bits),
                                       cmocka_unit_test(test_optimised_same_bits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
