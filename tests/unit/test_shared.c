/* Slopes that the rows of a layer share: their gradient is that of the sum of the rows' bounds, and
 * no order or cut of lanes changes a bit of it. */
#include "bounds_kit.h"
#include "exec/shared.h"
#include "op_cases.h"
#include "plan/plan.h"

/* A hidden layer of a plan that shares slopes, on the box of the last run, and the side looked at.
 */
typedef struct probe {
    kit_engine engine;
    bf_model *model;
    int program;
    int64_t rows;
    double sign;
} probe;

static bool probe_open(probe *p, bfi_graph *graph) {
    double lo[256], hi[256], lower[256], upper[256];
    int64_t n = graph->nodes[0].count, outputs = graph->nodes[graph->output].count;
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    o.intermediate = BF_INTERMEDIATE_SHARED;
    o.iterations = 1;
    o.all_neurons = 1;
    o.dtype = BF_DTYPE_FLOAT64;
    o.rounding = BF_ROUNDING_NEAREST;
    o.keep_layers = 1; /* their vectors outlive the run */
    o.windows = 0;
    assert_true(n <= 256 && outputs <= 256);
    *p = (probe){.model = net_model(graph), .program = -1, .sign = kit_int(0, 1) ? 1 : -1};
    net_box(NET_PLAIN, n, lo, hi);
    p->engine = kit_engine_new(2, p->model, o);
    kit_bounds(&p->engine, lo, hi, NULL, 0, lower, upper);
    for (int i = 0; i < p->engine.plan->program_count; i++)
        if (p->engine.plan->programs[i].shared) p->program = i;
    if (p->program < 0) return false;
    p->rows = p->engine.plan->graph->nodes[p->engine.plan->programs[p->program].target].count;
    return true;
}

static void probe_close(probe *p) {
    kit_engine_free(&p->engine);
    bf_model_free(p->model);
}

/* Bounds of |count| rows as one tile of |worker|. */
static void run_tile(const probe *p, const int64_t *rows, int64_t count, int worker, bool gradient,
                     double *lower) {
    double error[BFI_WIDEST_TILE];
    const bf_plan *plan = p->engine.plan;
    bfi_lane_vectors v = bfi_tile_vectors(plan, p->engine.ws, worker);
    for (int64_t l = 0; l < count; l++) v.row[l] = rows[l], v.box[l] = 0, v.sign[l] = p->sign;
    bfi_tile_request request = {
        .level = -1, .program = p->program, .lanes = count, .worker = worker};
    assert_int_equal(bfi_shared_tile(plan, p->engine.ws, &request, gradient, lower, error),
                     BF_STATUS_OK);
}

/* The weighted sum of all rows' bounds; with |gradient| the workers' sums too, rows cut and
 * ordered by chance. */
static double objective(const probe *p, bool gradient) {
    int64_t order[BFI_WIDEST_TILE];
    const bf_plan *plan = p->engine.plan;
    const double *weight =
        bfi_ws_doubles(p->engine.ws, 0, plan->state[plan->programs[p->program].target].weight);
    int64_t all[256];
    double sum = 0;
    assert_true(p->rows <= 256);
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t with = kit_int(0, r);
        all[r] = all[with], all[with] = r;
    }
    for (int64_t first = 0, n; first < p->rows; first += n) {
        double lower[BFI_WIDEST_TILE];
        n = kit_int(1, plan->alpha_lanes < p->rows - first ? plan->alpha_lanes : p->rows - first);
        for (int64_t l = 0; l < n; l++) order[l] = all[first + l];
        run_tile(p, order, n, (int)kit_int(0, plan->workers - 1), gradient, lower);
        for (int64_t l = 0; l < n; l++)
            if (weight[order[l]] > 0) sum += weight[order[l]] * lower[l];
    }
    return sum;
}

static double *parameters(const probe *p, int id, int which) {
    const bf_plan *plan = p->engine.plan;
    return bfi_ws_doubles(p->engine.ws, 0, plan->state[id].shared) +
           which * bfi_slope_stride(plan->graph->nodes[id].count);
}

static double sum_at(const probe *p, int id, int64_t j) {
    const bf_plan *plan = p->engine.plan;
    double total = 0;
    for (int w = 0; w < plan->workers; w++)
        total += ((double *)(void *)(bfi_ws_tile(p->engine.ws, w) +
                                     plan->sum_offset))[plan->state[id].sums + j];
    return total;
}

static bool has_slopes(const probe *p, int op) {
    const bfi_program *program = &p->engine.plan->programs[p->program];
    return program->ops[op].kind == BFI_BACK_RELAX &&
           bfi_slope_vectors(&p->engine.plan->graph->nodes[program->ops[op].node]) > 0;
}

static bool unstable(const probe *p, int id, int64_t j) {
    const bf_plan *plan = p->engine.plan;
    const bfi_value_state *in = &plan->state[plan->graph->nodes[id].inputs[0]];
    return bfi_ws_doubles(p->engine.ws, 0, in->lo)[j] < 0 &&
           bfi_ws_doubles(p->engine.ws, 0, in->hi)[j] > 0;
}

/* Derivatives of the objective by the slope of element j of a kink. */
static int check_element(const probe *p, int id, int64_t j) {
    const double h = 1e-6;
    double *at = parameters(p, id, BFI_SLOPE_LOWER) + j, start = *at;
    double here = objective(p, false), gradient = sum_at(p, id, j);
    *at = start + h;
    double right = (objective(p, false) - here) / h;
    *at = start - h;
    double left = (here - objective(p, false)) / h;
    *at = start;
    double size = 1e-3 * (fabs(gradient) + fabs(right)) + 1e-5 * fabs(here);
    if (!isfinite(right) || !isfinite(left) || fabs(right - left) > size) return 0; /* a kink */
    if (!(fabs((right + left) / 2 - gradient) <= size))
        fail_msg("node %d, element %d: %.9g by differences, %.9g by the adjoint pass", id, (int)j,
                 (right + left) / 2, gradient);
    return gradient != 0;
}

/* Slopes away from the ends of their range; those of stable kinks are no choice. */
static void spread_slopes(const probe *p, int op) {
    const bf_plan *plan = p->engine.plan;
    int id = plan->programs[p->program].ops[op].node;
    if (!has_slopes(p, op)) return;
    bool kink = bfi_slope_vectors(&plan->graph->nodes[id]) == BFI_SLOPE_KINK_VECTORS;
    for (int64_t j = 0; j < plan->graph->nodes[id].count; j++) {
        double part = 0.2 + 0.7 * (double)kit_int(0, 1000) / 1000;
        if (!kink || unstable(p, id, j)) parameters(p, id, BFI_SLOPE_LOWER)[j] = part;
    }
}

/* Takes the graph over; how many derivatives were other than zero and right. */
static int check_gradient(bfi_graph *graph) {
    probe p;
    int checked = 0;
    if (probe_open(&p, graph)) {
        const bf_plan *plan = p.engine.plan;
        const bfi_program *program = &plan->programs[p.program];
        bfi_shared_start(plan, p.engine.ws, 0, p.program);
        for (int op = 0; op < program->adjoint; op++) spread_slopes(&p, op);
        objective(&p, true);
        for (int op = 0; op < program->adjoint; op++) {
            int id = program->ops[op].node;
            if (!has_slopes(&p, op) ||
                bfi_slope_vectors(&plan->graph->nodes[id]) != BFI_SLOPE_KINK_VECTORS)
                continue;
            for (int i = 0; i < 6; i++) {
                int64_t j = kit_int(0, plan->graph->nodes[id].count - 1);
                if (unstable(&p, id, j)) checked += check_element(&p, id, j);
            }
        }
    }
    probe_close(&p);
    return checked;
}

static void gradient_is_that_of_the_sum(void **state) {
    (void)state;
    int checked = 0;
    for (int i = 0; i < 600; i++)
        checked += check_gradient(i % 3 ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN));
    assert_true(checked > 200);
}

/* S-shaped functions: the parameters move the lines, both sides. */
static bfi_graph *smooth_net(void) {
    int64_t width = kit_int(2, 6);
    bfi_graph *graph = kit_graph(KIT_SHAPE(width));
    int a = 0;
    for (int d = 0; d < 3; d++) {
        a = net_linear(graph, NET_PLAIN, a, 1, width, width);
        a = net_same(graph, kit_int(0, 1) ? BFI_OP_TANH : BFI_OP_SIGMOID, a, -1);
        if (!kit_int(0, 2)) a = net_residual(graph, a);
    }
    net_linear(graph, NET_PLAIN, a, 1, width, 3);
    return graph;
}

/* One small step uphill raises the objective, by about what the gradient says. */
static void steps_go_uphill(void **state) {
    (void)state;
    int better = 0, worse = 0;
    for (int i = 0; i < 200; i++) {
        probe p;
        if (probe_open(&p, i % 2 ? smooth_net() : net_mlp(NET_PLAIN))) {
            bfi_shared_start(p.engine.plan, p.engine.ws, 0, p.program);
            double before = objective(&p, true);
            bfi_ascent up = {.rate_m = 1, .rate_v = 1, .step = 1e-6, .root = 1, .eps = 1e-30};
            bfi_shared_step(p.engine.plan, p.engine.ws, 0, p.program, &up);
            double after = objective(&p, false);
            better += after > before, worse += after < before - 1e-9 * fabs(before);
        }
        probe_close(&p);
    }
    assert_true(better > 60);
    assert_int_equal(worse, 0);
}

/* The same bits of all sums, however the rows are cut and whichever worker takes them. */
static void any_order(void **state) {
    (void)state;
    int compared = 0;
    for (int i = 0; i < 60; i++) {
        probe p;
        if (probe_open(&p, i % 3 == 0   ? smooth_net()
                           : i % 3 == 1 ? net_mlp(NET_PLAIN)
                                        : net_conv(NET_PLAIN))) {
            const bf_plan *plan = p.engine.plan;
            double *first = calloc((size_t)plan->sum_count, sizeof *first);
            for (int turn = 0; turn < 3; turn++) {
                bfi_shared_start(plan, p.engine.ws, 0, p.program);
                objective(&p, true);
                for (int64_t j = 0; j < plan->sum_count; j++) {
                    double total = 0;
                    for (int w = 0; w < plan->workers; w++)
                        total +=
                            ((double *)(void *)(bfi_ws_tile(p.engine.ws, w) + plan->sum_offset))[j];
                    if (turn == 0) first[j] = total;
                    assert_true(total == first[j]);
                    compared += turn > 0 && total != 0;
                }
            }
            free(first);
        }
        probe_close(&p);
    }
    assert_true(compared > 100);
}

/* Tighter than CROWN where every row has slopes of its own is, on the whole; between the two. */
static void between_fixed_and_per_neuron(void **state) {
    (void)state;
    double width[3] = {0};
    for (int i = 0; i < 60; i++) {
        bfi_graph *graph = net_mlp(NET_PLAIN);
        int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
        bf_model *model = net_model(graph);
        double lo[64], hi[64], lower[3][64], upper[3][64];
        assert_true(n <= 64 && m <= 64);
        net_box(NET_PLAIN, n, lo, hi);
        for (int k = 0; k < 3; k++) {
            bf_options o = bf_options_default();
            o.method = BF_METHOD_ALPHA_CROWN;
            o.intermediate = (bf_intermediate)k;
            kit_bounds_once(model, o, lo, hi, NULL, 0, lower[k], upper[k]);
        }
        for (int64_t j = 0; j < m; j++) {
            double all = upper[0][j] - lower[0][j];
            for (int k = 0; k < 3 && all > 0 && isfinite(all); k++)
                width[k] += (upper[k][j] - lower[k][j]) / all;
        }
        bf_model_free(model);
    }
    assert_true(width[BF_INTERMEDIATE_SHARED] < width[BF_INTERMEDIATE_FIXED]);
    assert_true(width[BF_INTERMEDIATE_PER_NEURON] < width[BF_INTERMEDIATE_SHARED]);
}

/* Every table adds up the same whole numbers; what is too large or no number does not count. */
static void gradient_kernels(void **state) {
    (void)state;
    enum { N = 37, LANES = 48 };
    static const char *const isas[] = {"avx2", "avx512"};
    for (int i = 0; i < 400; i++) {
        bfi_dtype dtype = (bfi_dtype)(i % 2);
        _Alignas(64) double room[2][N * LANES], line[2][N];
        double lo[N], hi[N], scale[LANES], sums[3][N];
        int64_t ls = i % 5 == 4 ? 1 : BF_LANE_PAD * kit_int(1, LANES / BF_LANE_PAD);
        for (int64_t k = 0; k < N * ls; k++) {
            static const double odd[] = {0, -0.0, 1e30, -1e30, (double)INFINITY, (double)NAN};
            for (int r = 0; r < 2; r++)
                bfi_store(dtype, room[r], k,
                          kit_int(0, 9) ? net_uniform() * 4 - 2 : odd[kit_int(0, 5)]);
        }
        for (int j = 0; j < N; j++) {
            lo[j] = net_uniform() - 0.7, hi[j] = lo[j] + net_uniform();
            for (int r = 0; r < 2; r++) bfi_store(dtype, line[r], j, net_uniform());
        }
        for (int64_t l = 0; l < ls; l++) scale[l] = kit_int(0, 7) ? net_uniform() * 1e9 : 0;
        bfi_gradient g = {.n = N,
                          .ls = ls,
                          .a = room[0],
                          .z = room[1],
                          .side = i / 2 % 2 ? 1 : -1,
                          .scale = scale,
                          .limit = 0x1p40};
        if (i / 4 % 2) g.lo = lo, g.hi = hi;
        if (i / 8 % 2) g.s = line[0], g.t = line[1];
        for (int k = 0; k < 3; k++) {
            const bfi_kernels *table =
                k == 0 ? bfi_kernels_ref(dtype) : bfi_kernels_native(dtype, isas[k - 1]);
            for (int j = 0; j < N; j++) sums[k][j] = 7;
            g.sum = sums[k];
            if (table) table->gradient(&g);
            for (int j = 0; j < N && table; j++) {
                assert_true(sums[k][j] == sums[0][j]);
                assert_true(sums[k][j] == rint(sums[k][j]));
                if (g.lo && !(lo[j] < 0 && hi[j] > 0)) assert_true(sums[k][j] == 7);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient_is_that_of_the_sum), cmocka_unit_test(steps_go_uphill),
        cmocka_unit_test(any_order), cmocka_unit_test(gradient_kernels),
        cmocka_unit_test(between_fixed_and_per_neuron)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
