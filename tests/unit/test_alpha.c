/* alpha-CROWN: the adjoint pass is the gradient, bounds only get better, and nothing but the rows
 * themselves decides their bits. */
#include "bounds_kit.h"
#include "exec/adjoint.h"
#include "exec/alpha.h"
#include "op_cases.h"
#include "plan/plan.h"

static bf_options alpha_options(bf_intermediate intermediate) {
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    o.intermediate = intermediate;
    o.iterations = 6;
    return o;
}

/* A tile of one lane-padded group on the outputs' program, on the box of the last run. */
typedef struct probe {
    kit_engine engine;
    bfi_tile tile;
    int64_t lanes;
} probe;

static bool probe_open(probe *p, const bf_model *model, const double *lo, const double *hi,
                       int64_t outputs) {
    double lower[64], upper[64];
    bf_options o = alpha_options(BF_INTERMEDIATE_FIXED);
    o.dtype = BF_DTYPE_FLOAT64;
    o.rounding = BF_ROUNDING_NEAREST;
    p->engine = kit_engine_new(1, model, o);
    kit_bounds(&p->engine, lo, hi, NULL, 0, lower, upper);
    const bf_plan *plan = p->engine.plan;
    if (plan->alpha_output_program < 0) return false;
    p->lanes = 2 * outputs < plan->alpha_lanes ? 2 * outputs : plan->alpha_lanes;
    bfi_lane_vectors v = bfi_tile_vectors(plan, p->engine.ws, 0);
    for (int64_t l = 0; l < p->lanes; l++)
        v.row[l] = l / 2, v.box[l] = 0, v.sign[l] = l % 2 ? -1 : 1;
    bfi_tile_request request = {
        .level = -1, .program = plan->alpha_output_program, .lanes = p->lanes};
    p->tile = bfi_tile_open(plan, p->engine.ws, &request);
    assert_int_equal(bfi_tile_run(&p->tile, 0, p->tile.program->loop), BF_STATUS_OK);
    return true;
}

static void bounds_of(probe *p, double *lower) {
    double error[BFI_WIDEST_TILE];
    assert_int_equal(bfi_tile_bound(&p->tile, lower, error), BF_STATUS_OK);
}

static double *parameter_at(const probe *p, int op, int which, int64_t j, int64_t lane) {
    const bfi_back_op *slopes = &p->tile.program->ops[op];
    int64_t stride = bfi_slope_stride(p->tile.plan->graph->nodes[slopes->node].count);
    return (double *)bfi_tile_buffer(&p->tile, slopes->out) + (which * stride + j) * p->tile.ls +
           lane;
}

/* Derivatives of all lanes by parameter |which| of element j: central differences against what the
 * adjoint pass left. Where the two halves differ the bound has a kink, and the point says nothing.
 */
static int check_element(probe *p, int op, int which, int64_t j, double scale) {
    const double h = 1e-6;
    double at[BFI_WIDEST_TILE], up[BFI_WIDEST_TILE], down[BFI_WIDEST_TILE];
    int checked = 0;
    bounds_of(p, at);
    for (int64_t l = 0; l < p->lanes; l++) *parameter_at(p, op, which, j, l) += h;
    bounds_of(p, up);
    for (int64_t l = 0; l < p->lanes; l++) *parameter_at(p, op, which, j, l) -= 2 * h;
    bounds_of(p, down);
    for (int64_t l = 0; l < p->lanes; l++) *parameter_at(p, op, which, j, l) += h;
    for (int64_t l = 0; l < p->lanes; l++) {
        double gradient = *parameter_at(p, op, which + 1, j, l) * scale;
        double right = (up[l] - at[l]) / h, left = (at[l] - down[l]) / h;
        double size = 1 + fabs(at[l]);
        if (!isfinite(right) || !isfinite(left) || fabs(right - left) > 1e-5 * size) continue;
        checked += gradient != 0;
        if (!(fabs((right + left) / 2 - gradient) <= 1e-5 * size))
            fail_msg("op %d, element %d, lane %d: %.9g by differences, %.9g by the adjoint pass",
                     op, (int)j, (int)l, (right + left) / 2, gradient);
    }
    return checked;
}

/* Slopes away from the ends of their range, where differences look at both sides. */
static void spread_slopes(probe *p) {
    for (int op = 0; op < p->tile.program->loop; op++) {
        const bfi_node *node = &p->tile.plan->graph->nodes[p->tile.program->ops[op].node];
        const bfi_value_state *in = &p->tile.plan->state[node->inputs[0]];
        const double *lo = bfi_ws_doubles(p->engine.ws, 0, in->lo),
                     *hi = bfi_ws_doubles(p->engine.ws, 0, in->hi);
        bool smooth = bfi_slope_vectors(node) == BFI_SLOPE_SMOOTH_VECTORS;
        for (int64_t j = 0; j < node->count; j++)
            for (int64_t l = 0; l < p->tile.ls; l++) {
                double part = 0.2 + 0.7 * (double)kit_int(0, 1000) / 1000; /* leaky slopes: above */
                if (smooth) *parameter_at(p, op, BFI_SLOPE_UPPER, j, l) = part;
                if (smooth || (lo[j] < 0 && hi[j] > 0))
                    *parameter_at(p, op, BFI_SLOPE_LOWER, j, l) = part;
            }
    }
}

/* Takes the graph over; returns how many derivatives were other than zero and right. */
static int check_gradient(bfi_graph *graph) {
    int64_t n = graph->nodes[0].count, outputs = graph->nodes[graph->output].count;
    bf_model *model = net_model(graph);
    double *lo = calloc((size_t)n, 8), *hi = calloc((size_t)n, 8);
    int checked = 0;
    net_box(NET_PLAIN, n, lo, hi);
    probe p = {.lanes = 0};
    if (outputs <= 16 && probe_open(&p, model, lo, hi, outputs)) {
        spread_slopes(&p);
        double at[BFI_WIDEST_TILE];
        bounds_of(&p, at);
        bfi_ascent look = {.rate_m = 1, .rate_v = 0, .step = 0, .root = 1, .eps = 1};
        p.tile.ascent = &look;
        assert_int_equal(bfi_tile_run(&p.tile, p.tile.program->adjoint, p.tile.program->op_count),
                         BF_STATUS_OK);
        for (int op = 0; op < p.tile.program->loop; op++) {
            const bfi_node *node = &p.tile.plan->graph->nodes[p.tile.program->ops[op].node];
            bool smooth = bfi_slope_vectors(node) == BFI_SLOPE_SMOOTH_VECTORS;
            double scale = smooth ? BFI_FAMILY_SEGMENTS : 1;
            for (int i = 0; i < 4; i++) {
                int64_t j = kit_int(0, node->count - 1);
                const bfi_value_state *in = &p.tile.plan->state[node->inputs[0]];
                double x_lo = bfi_ws_doubles(p.engine.ws, 0, in->lo)[j],
                       x_hi = bfi_ws_doubles(p.engine.ws, 0, in->hi)[j];
                if (!smooth && !(x_lo < 0 && x_hi > 0)) continue;
                checked += check_element(&p, op, BFI_SLOPE_LOWER, j, scale);
                if (smooth) checked += check_element(&p, op, BFI_SLOPE_UPPER, j, scale);
            }
        }
    }
    kit_engine_free(&p.engine);
    bf_model_free(model);
    free(lo), free(hi);
    return checked;
}

static void gradient_of_every_op(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++) {
        int checked = 0;
        if (!strcmp(op_cases[c].name, "random")) continue;
        for (int v = 0; v < 6 * op_cases[c].variants; v++)
            checked += check_gradient(op_cases[c].build(v % op_cases[c].variants));
        if (checked == 0) fail_msg("%s: no derivative was looked at", op_cases[c].name);
    }
}

static void smooth_gradients(void **state) {
    (void)state;
    int checked = 0;
    for (int i = 0; i < 60; i++) {
        int64_t width = kit_int(2, 6);
        bfi_graph *graph = kit_graph(KIT_SHAPE(width));
        int a = 0;
        for (int d = 0; d < 3; d++) {
            a = net_linear(graph, NET_PLAIN, a, 1, width, width);
            a = net_same(graph, kit_int(0, 1) ? BFI_OP_TANH : BFI_OP_SIGMOID, a, -1);
            if (!kit_int(0, 2)) a = net_residual(graph, a);
        }
        net_linear(graph, NET_PLAIN, a, 1, width, 3);
        checked += check_gradient(graph);
    }
    assert_true(checked > 300);
}

/* Mean width gained over CROWN, which no bound may be looser than. */
static double gain_over_crown(bfi_graph *graph, bf_options o) {
    int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
    bf_model *model = net_model(graph);
    double *lo = calloc((size_t)n, 8), *hi = calloc((size_t)n, 8), gain = 0;
    double *l[2], *u[2];
    for (int i = 0; i < 2; i++) l[i] = calloc((size_t)m, 8), u[i] = calloc((size_t)m, 8);
    net_box(NET_PLAIN, n, lo, hi);
    bf_options crown = o;
    crown.method = BF_METHOD_CROWN;
    kit_bounds_once(model, crown, lo, hi, NULL, 0, l[0], u[0]);
    kit_bounds_once(model, o, lo, hi, NULL, 0, l[1], u[1]);
    for (int64_t j = 0; j < m; j++) {
        assert_true(l[1][j] >= l[0][j] && u[1][j] <= u[0][j]);
        double width = u[0][j] - l[0][j];
        if (isfinite(width) && width > 0) gain += 1 - (u[1][j] - l[1][j]) / width;
    }
    for (int i = 0; i < 2; i++) free(l[i]), free(u[i]);
    free(lo), free(hi);
    bf_model_free(model);
    return gain / (double)m;
}

static void never_looser_than_crown(void **state) {
    (void)state;
    for (int intermediate = 0; intermediate <= BF_INTERMEDIATE_SHARED; intermediate++) {
        double gain = 0;
        for (int i = 0; i < 240; i++) {
            bf_options o = alpha_options((bf_intermediate)intermediate);
            o.dtype = (bf_dtype)(i % 2);
            o.intersect = i / 2 % 2;
            o.iterations = (int)kit_int(1, 12);
            o.lr = kit_int(0, 1) ? 0.5 : 0.05;
            net_style style = i % 5 ? NET_PLAIN : (net_style)kit_int(0, NET_STYLES - 1);
            gain += gain_over_crown(i % 3 ? net_mlp(style) : net_conv(style), o);
        }
        assert_true(gain > 1); /* it would be zero if nothing were optimised */
    }
}

/* The same bits for every setting that is not about numbers. */
static void one_number_one_value(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        bfi_graph *graph = i % 2 ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN);
        int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
        bf_model *model = net_model(graph);
        double *lo = calloc((size_t)n, 8), *hi = calloc((size_t)n, 8);
        double *lower = calloc((size_t)m, 8), *upper = calloc((size_t)m, 8);
        double *l = calloc((size_t)m, 8), *u = calloc((size_t)m, 8);
        net_box(NET_PLAIN, n, lo, hi);
        bf_options o = alpha_options((bf_intermediate)(i % 3));
        o.dtype = (bf_dtype)(i / 6 % 2);
        kit_bounds_once(model, o, lo, hi, NULL, 0, lower, upper);
        for (int how = 0; how < 6; how++) {
            bf_options other = o;
            static const char *const isa[] = {NULL, "avx2", "ref"};
            other.partition = how == 0 ? 0 : 1;
            other.executor = how == 1 ? BF_EXECUTOR_REFERENCE : BF_EXECUTOR_NATIVE;
            if (how < 3) other.isa = isa[how];
            kit_engine e;
            bf_error err = {""};
            if (how == 3) {
                bf_plan *tight = NULL;
                other.memory = 1; /* refused with the least that is enough */
                assert_int_equal(bf_plan_create(kit_session(1), model, &other, &tight, &err),
                                 BF_STATUS_LIMIT);
                long long least = 0;
                assert_int_equal(sscanf(strstr(err.message, "at least") + 9, "%lld", &least), 1);
                other.memory = least;
            }
            if (how == 1 || bfi_kernels_native(BFI_F32, other.isa)) {
                e = kit_engine_new(how == 4 ? 4 : 1, model, other);
                kit_bounds(&e, lo, hi, NULL, 0, l, u);
                for (int64_t j = 0; j < m; j++) {
                    assert_true(l[j] == lower[j]);
                    assert_true(u[j] == upper[j]);
                }
                kit_engine_free(&e);
            }
        }
        /* rows one by one: no other row shares the tile */
        for (int64_t r = 0; r < m && m <= 8; r++) {
            double *spec = calloc((size_t)(m * m), 8), *all = calloc((size_t)m, 8), alone;
            for (int64_t j = 0; j < m; j++) spec[j * m + j] = 1;
            kit_bounds_once(model, o, lo, hi, spec, m, all, NULL);
            kit_bounds_once(model, o, lo, hi, spec + r * m, 1, &alone, NULL);
            assert_true(alone == all[r]);
            free(spec), free(all);
        }
        free(lo), free(hi), free(lower), free(upper), free(l), free(u);
        bf_model_free(model);
    }
}

/* Rows that are good enough stop; the others do not notice. */
static void enough_is_enough(void **state) {
    (void)state;
    int stopped = 0;
    for (int i = 0; i < 60; i++) {
        bfi_graph *graph = net_mlp(NET_PLAIN);
        int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
        bf_model *model = net_model(graph);
        double lo[64], hi[64], spec[64 * 8] = {0}, full[64], some[64], enough[64];
        if (m > 8 || n > 8) {
            bf_model_free(model);
            continue;
        }
        net_box(NET_PLAIN, n, lo, hi);
        for (int64_t j = 0; j < m; j++) spec[j * m + j] = 1;
        kit_engine e = kit_engine_new(1, model, alpha_options(BF_INTERMEDIATE_FIXED));
        bf_request request = {.lo = lo, .hi = hi, .spec = spec, .rows = m, .lower = full};
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &request, NULL), BF_STATUS_OK);
        for (int64_t j = 0; j < m; j++)
            enough[j] = j % 2 ? (double)INFINITY : full[j] - 0.01 * fabs(full[j]);
        request.lower = some, request.enough = enough;
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &request, NULL), BF_STATUS_OK);
        for (int64_t j = 0; j < m; j++) {
            assert_true(some[j] <= full[j]);
            if (j % 2) assert_true(some[j] == full[j]);
            if (j % 2 == 0) assert_true(some[j] >= enough[j]);
            stopped += some[j] < full[j];
        }
        kit_engine_free(&e);
        bf_model_free(model);
    }
    assert_true(stopped > 0);
}

/* Boxes of one request get what they get alone, whichever of them are in flight together. */
static void boxes_of_one_request(void **state) {
    (void)state;
    enum { BOXES = 3, MOST = 8 };
    for (int i = 0; i < 40; i++) {
        bfi_graph *graph = net_mlp(NET_PLAIN);
        int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
        bf_model *model = net_model(graph);
        double lo[BOXES * MOST], hi[BOXES * MOST], lower[BOXES * MOST], upper[BOXES * MOST];
        assert_true(n <= MOST && m <= MOST);
        for (int b = 0; b < BOXES; b++) net_box(NET_PLAIN, n, lo + b * n, hi + b * n);
        bf_options o = alpha_options((bf_intermediate)(i % 3));
        o.batch = i / 3 % 3 + 1;
        kit_engine e = kit_engine_new(1, model, o);
        bf_request request = {.lo = lo, .hi = hi, .boxes = BOXES, .lower = lower, .upper = upper};
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &request, NULL), BF_STATUS_OK);
        o.batch = 1;
        for (int b = 0; b < BOXES; b++) {
            double l[MOST], u[MOST];
            kit_bounds_once(model, o, lo + b * n, hi + b * n, NULL, 0, l, u);
            for (int64_t j = 0; j < m; j++)
                assert_true(l[j] == lower[b * m + j] && u[j] == upper[b * m + j]);
        }
        kit_engine_free(&e);
        bf_model_free(model);
    }
}

/* A budget that runs out leaves bounds that hold: no better than those of a whole run. */
static void stop_in_time(bf_intermediate intermediate) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(40));
    int a = 0;
    for (int d = 0; d < 5; d++) {
        a = net_linear(graph, NET_PLAIN, a, 1, d ? 300 : 40, 300);
        a = net_same(graph, BFI_OP_RELU, a, -1);
    }
    net_linear(graph, NET_PLAIN, a, 1, 300, 4);
    bf_model *model = net_model(graph);
    double lo[40], hi[40], lower[4], upper[4];
    for (int j = 0; j < 40; j++) lo[j] = -1, hi[j] = 1;
    bf_options o = alpha_options(intermediate);
    o.iterations = 100000;
    kit_engine e = kit_engine_new(1, model, o);
    bf_request request = {.lo = lo, .hi = hi, .lower = lower, .upper = upper};
    double begin = bf_clock();
    request.deadline = begin + 0.3;
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &request, NULL), BF_STATUS_TIMEOUT);
    assert_true(bf_clock() - begin < 1.5); /* 50 ms on an idle machine */
    for (int j = 0; j < 4; j++) assert_true(lower[j] <= upper[j]);
    kit_engine_free(&e);
    bf_model_free(model);
}

static void stops_in_time(void **state) {
    (void)state;
    stop_in_time(BF_INTERMEDIATE_PER_NEURON);
    stop_in_time(BF_INTERMEDIATE_SHARED);
}

static void odd_numbers(bfi_dtype dtype, void *out, int64_t n) {
    static const double odd[] = {0, -0.0, 1, 1e30, (double)INFINITY, (double)NAN};
    for (int64_t i = 0; i < n; i++)
        bfi_store(dtype, out, i, kit_int(0, 7) ? net_uniform() * 4 - 2 : odd[kit_int(0, 5)]);
}

/* What kernel.h says of one element; |slope| and |value|: are there any? */
static double followed(bfi_dtype dtype, double s, bool slope, double z, bool value, double t) {
    if (!value || (slope && s == 0)) return t;
    double exact = dtype == BFI_F32 ? (double)fmaf(slope ? (float)s : 1, (float)z, (float)t)
                                    : fma(slope ? s : 1, z, t);
    return exact;
}

static bool same_number(double a, double b) { return a == b || (a != a && b != b); }

/* Every table takes values along the same lines; what has no slope does not depend on them. */
static void follow_kernels(void **state) {
    (void)state;
    enum { N = 19, LANES = 48 };
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    for (int i = 0; i < 600; i++) {
        bfi_dtype dtype = (bfi_dtype)(i % 2);
        int64_t ls = i % 5 == 4 ? 1 : BF_LANE_PAD * kit_int(1, LANES / BF_LANE_PAD);
        int64_t lanes = ls == 1 ? 1 : kit_int(ls - BF_LANE_PAD + 1, ls);
        _Alignas(64) double room[3][N * LANES], line[4][N * LANES];
        for (int r = 0; r < 2; r++) odd_numbers(dtype, room[r], N * ls);
        for (int r = 0; r < 4; r++) odd_numbers(dtype, line[r], N * ls);
        bool slope = kit_int(0, 3), value = kit_int(0, 3), shift = kit_int(0, 3);
        bfi_follow f = {.n = N, .ls = ls, .lanes = lanes, .ps = kit_int(0, 1) ? 1 : ls};
        f.ps_pos = kit_int(0, 1) ? ls : f.ps;
        f.a = room[0], f.z = value ? room[1] : NULL, f.out = room[2];
        if (slope) f.s_pos = line[0], f.s_neg = line[1];
        if (shift) f.t_pos = line[2], f.t_neg = line[3];
        for (int k = 0; k < 3; k++) {
            const bfi_kernels *table =
                k == 0 ? bfi_kernels_ref(dtype) : bfi_kernels_native(dtype, isas[k]);
            if (table) table->follow(&f);
            for (int64_t at = 0; at < N * ls && table; at++) {
                int64_t j = at / ls, l = at % ls;
                bool up = bfi_load(dtype, room[0], at) >= 0;
                int64_t own = f.ps == 1 ? j : at, pos = f.ps_pos == 1 ? j : at;
                double s = bfi_load(dtype, line[up ? 0 : 1], up ? pos : own),
                       t = shift ? bfi_load(dtype, line[up ? 2 : 3], own) : 0;
                double want = followed(dtype, s, slope, bfi_load(dtype, room[1], at), value, t);
                if (l < lanes) assert_true(same_number(bfi_load(dtype, room[2], at), want));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient_of_every_op),    cmocka_unit_test(smooth_gradients),
        cmocka_unit_test(never_looser_than_crown), cmocka_unit_test(one_number_one_value),
        cmocka_unit_test(enough_is_enough),        cmocka_unit_test(boxes_of_one_request),
        cmocka_unit_test(stops_in_time),           cmocka_unit_test(follow_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
