/* Nodes of branch and bound as lanes: bounds hold at points that satisfy the splits, in exact
 * arithmetic; they are what alpha-CROWN gives without splits, never less than what was known, the
 * same alone and in company, and multipliers earn what they are for. Some nodes mix rows. */
#include "bounds_kit.h"
#include "exact.h"
#include "ir/evaluate.h"
#include "op_cases.h"
#include "runtime/nodes.h"
#include "runtime/rebase.h"

enum { MAX_IN = 128, MAX_OUT = 1024, ROWS = 3, NODES = 24, MOST_SPLITS = 4, POINTS = 12 };

typedef struct node_set {
    bfi_graph *graph;
    bf_model *model;
    kit_engine engine;
    int64_t inputs, outputs;
    double lo[MAX_IN], hi[MAX_IN], spec[ROWS * MAX_OUT], root[ROWS];
    bfi_row_limit limits[ROWS];
    int count;
    bfi_node_lane lanes[NODES];
    bf_split splits[NODES][MOST_SPLITS];
    float multipliers[NODES][MOST_SPLITS], weights[NODES][ROWS];
    uint8_t *slopes[NODES];
    double corner[NODES][MAX_IN];
    int layer[NODES][MOST_SPLITS];
    int looks;
} node_set;

static bf_options node_options(bf_dtype dtype, bf_semantics semantics) {
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    o.dtype = dtype;
    o.semantics = semantics;
    o.iterations = 3;
    o.intermediate = (bf_intermediate)kit_int(0, 2);
    o.intersect = (int)kit_int(0, 1);
    return o;
}

/* False: nothing is left open by the root. */
static bool plant(node_set *s, bfi_graph *graph, bf_options o, net_style style, int threads) {
    memset(s, 0, sizeof *s);
    s->graph = graph, s->model = net_model(graph);
    s->inputs = graph->nodes[0].count, s->outputs = graph->nodes[graph->output].count;
    assert_true(s->inputs <= MAX_IN && s->outputs <= MAX_OUT);
    net_box(style, s->inputs, s->lo, s->hi);
    for (int64_t i = 0; i < ROWS * s->outputs; i++) s->spec[i] = net_uniform();
    for (int i = 0; i < ROWS; i++)
        s->limits[i] = (bfi_row_limit){net_uniform() / 2, ldexp(1, (int)kit_int(0, 2))};
    s->engine = kit_engine_new(threads, s->model, o);
    kit_bounds(&s->engine, s->lo, s->hi, s->spec, ROWS, s->root, NULL);
    return bfi_nodes_possible(s->engine.plan) && bf_plan_activation_count(s->engine.plan) > 0;
}

static void fell(node_set *s) {
    for (int i = 0; i < NODES; i++) free(s->slopes[i]);
    kit_engine_free(&s->engine);
    bf_model_free(s->model);
}

static bool before(const bf_split *a, const bf_split *b) {
    return a->activation < b->activation ||
           (a->activation == b->activation && a->neuron < b->neuron);
}

/* A random split, put where the order wants it. */
static void add_split(node_set *s, int node, double point) {
    bfi_node_lane *lane = &s->lanes[node];
    int activation = (int)kit_int(0, bf_plan_activation_count(s->engine.plan) - 1);
    bf_activation_info info = bf_plan_activation(s->engine.plan, activation);
    if (info.layer < 0) return;
    bf_split split = {activation, kit_int(0, info.neurons - 1), kit_int(0, 1) ? 1 : -1, point};
    int32_t at = lane->split_count++;
    for (; at > 0 && before(&split, &s->splits[node][at - 1]); at--) {
        s->splits[node][at] = s->splits[node][at - 1];
        s->layer[node][at] = s->layer[node][at - 1];
    }
    s->splits[node][at] = split, s->layer[node][at] = info.layer;
}

/* Weights of some rows, not all of them zero, for every third node. */
static void mix(node_set *s, int node) {
    bfi_node_lane *lane = &s->lanes[node];
    lane->weights = s->weights[node];
    if (kit_int(0, 2)) return;
    lane->mixed = (int32_t)kit_int(1, ROWS - lane->row);
    for (int i = 0; i < lane->mixed; i++)
        s->weights[node][i] = kit_int(0, 2) ? (float)fabs(net_uniform()) : 0;
    s->weights[node][kit_int(0, lane->mixed - 1)] = 1;
}

static void grow(node_set *s, int rounds) {
    size_t bytes = (size_t)bfi_nodes_slope_bytes(s->engine.plan);
    s->count = NODES;
    for (int i = 0; i < NODES; i++) {
        s->lanes[i] = (bfi_node_lane){.row = kit_int(0, ROWS - 1),
                                      .stop = kit_int(0, 3) ? INFINITY : 0,
                                      .rounds = rounds,
                                      .splits = s->splits[i],
                                      .multipliers = s->multipliers[i],
                                      .lower = -INFINITY,
                                      .corner = kit_int(0, 1) ? s->corner[i] : NULL,
                                      .look = kit_int(0, 1)};
        for (int k = (int)kit_int(0, MOST_SPLITS); k > 0; k--)
            add_split(s, i, kit_int(0, 3) ? 0 : net_uniform() / 8);
        for (int k = 0; k < MOST_SPLITS; k++)
            s->multipliers[i][k] = kit_int(0, 1) ? 0 : (float)fabs(net_uniform());
        mix(s, i);
        if (bytes == 0 || kit_int(0, 1)) continue;
        s->lanes[i].slopes = s->slopes[i] = malloc(bytes);
        for (size_t k = 0; k < bytes; k++) s->slopes[i][k] = (uint8_t)kit_int(0, 255);
    }
}

static void see(void *user, int64_t lane, const bfi_node_view *view) {
    node_set *s = user;
    assert_in_range(lane, 0, s->count - 1);
    assert_true(s->lanes[lane].look);
    assert_in_range(view->activation, 0, bf_plan_activation_count(s->engine.plan) - 1);
    for (int32_t k = 0; k < s->lanes[lane].split_count; k++)
        if (s->splits[lane][k].activation == view->activation && s->graph->count < 4 &&
            bfi_slope_vectors(view->op) > 0)
            assert_true(bfi_load(view->dtype, view->a, s->splits[lane][k].neuron * view->stride) ==
                        0);
    __atomic_add_fetch(&s->looks, 1, __ATOMIC_RELAXED);
}

static bfi_nodes_request request_of(node_set *s) {
    return (bfi_nodes_request){.spec = s->spec,
                               .rows = ROWS,
                               .limits = s->limits,
                               .lanes = s->lanes,
                               .count = s->count,
                               .look = see,
                               .user = s,
                               .lr = 0.2,
                               .multiplier_lr = 0.5};
}

static void run(node_set *s) {
    bf_error err = {""};
    bfi_nodes_request q = request_of(s);
    if (bfi_nodes_run(s->engine.plan, s->engine.ws, &q, &err)) fail_msg("%s", err.message);
}

static bool satisfies(const node_set *s, int node, const exact_values *at) {
    for (int32_t k = 0; k < s->lanes[node].split_count; k++) {
        const bf_split *split = &s->splits[node][k];
        const exact *z = &at->lo[s->layer[node][k]][split->neuron];
        if (!(split->sign > 0 ? exact_at_least(z, split->point) : exact_at_most(z, split->point)))
            return false;
    }
    return true;
}

static void exact_row(const node_set *s, int64_t row, const exact_values *at, exact *out) {
    exact_set(out, 0);
    for (int64_t j = 0; j < s->outputs; j++)
        exact_accumulate(out, s->spec[row * s->outputs + j], &at->lo[s->graph->output][j]);
}

/* What the node bounds. Weights that have moved are not known: no mix of rows exceeds their
 * largest. */
static void exact_functional(const node_set *s, int node, const exact_values *at, exact *out) {
    static exact row, limit;
    const bfi_node_lane *lane = &s->lanes[node];
    exact_row(s, lane->row, at, out);
    for (int i = 0; i < lane->mixed; i++) {
        exact_row(s, lane->row + i, at, &row);
        exact_set(&limit, -s->limits[lane->row + i].limit);
        exact_add(&limit, &row, &limit);
        exact_set(&row, 0);
        exact_accumulate(&row, s->limits[lane->row + i].scale, &limit);
        if (i == 0 && lane->rounds == 1) exact_set(out, 0);
        if (lane->rounds == 1)
            exact_accumulate(out, (double)lane->weights[i], &row);
        else if (i == 0 || exact_compare(&row, out) > 0)
            exact_copy(out, &row);
    }
}

static int check_exactly(const node_set *s) {
    static exact value;
    double x[MAX_IN];
    int checked = 0;
    exact_values at = exact_values_new(s->graph);
    for (int i = 0; i < POINTS; i++) {
        if (i < NODES && s->lanes[i].corner && i % 2) /* minimisers are the hardest points */
            memcpy(x, s->corner[i], sizeof x);
        else
            net_point(s->inputs, s->lo, s->hi, x);
        for (int64_t k = 0; k < s->inputs; k++) x[k] = fmin(fmax(x[k], s->lo[k]), s->hi[k]);
        exact_evaluate(s->graph, x, x, &at);
        for (int node = 0; node < s->count; node++) {
            if (!satisfies(s, node, &at)) continue;
            exact_functional(s, node, &at, &value);
            if (!exact_at_least(&value, s->lanes[node].lower))
                fail_msg("node %d (%d splits, %d rows): bound %a is above an exact value", node,
                         s->lanes[node].split_count, s->lanes[node].mixed, s->lanes[node].lower);
            checked++;
        }
    }
    exact_values_free(s->graph, &at);
    return checked;
}

static void exact_nets(void **state) {
    (void)state;
    static node_set s;
    int checked = 0, looks = 0;
    for (int i = 0; i < 400; i++) {
        net_style style = (net_style)(i % NET_STYLES);
        bf_options o = node_options((bf_dtype)(i / NET_STYLES % 2), BF_SEMANTICS_REAL);
        o.simplify = i % 3 != 0;
        bfi_graph *graph = i % 4 == 3   ? case_residual(i / 4 % 2)
                           : i % 4 == 1 ? net_conv(style)
                                        : net_mlp(style);
        if (plant(&s, graph, o, style, 1 + i % 2)) {
            grow(&s, (int)kit_int(1, 5));
            run(&s);
            checked += check_exactly(&s), looks += s.looks;
        }
        fell(&s);
    }
    assert_true(checked > 2000);
    assert_true(looks > 100);
}

/* Functions without slopes to choose, of which exact arithmetic knows the values: with kinks, and
 * one that bends. */
static int curve(bfi_graph *graph, int a) {
    static const bfi_op ops[] = {BFI_OP_ABS, BFI_OP_CLIP, BFI_OP_CLIP, BFI_OP_SQUARE};
    static const double ends[][2] = {{-0.5, 0.25}, {0, 0.75}, {-INFINITY, 0.125}, {0.5, 0.25}};
    int id = net_same(graph, ops[kit_int(0, 3)], a, -1);
    const double *end = ends[kit_int(0, 3)];
    if (graph->nodes[id].op == BFI_OP_CLIP)
        graph->nodes[id].attrs.lo = end[0], graph->nodes[id].attrs.hi = end[1];
    return id;
}

/* One or two layers of them, or one beside relus of the same values. */
static bfi_graph *curved(net_style style) {
    int64_t inputs = kit_int(1, 6), width = kit_int(1, 8);
    bfi_graph *graph = kit_graph(KIT_SHAPE(inputs));
    int a = net_linear(graph, style, 0, 1, inputs, width), b = curve(graph, a);
    if (!kit_int(0, 2)) b = net_same(graph, BFI_OP_ADD, b, net_same(graph, BFI_OP_RELU, a, -1));
    b = net_linear(graph, style, b, 1, width, width);
    if (kit_int(0, 1)) b = net_linear(graph, style, curve(graph, b), 1, width, 2);
    graph->output = b;
    kit_validate(graph);
    return graph;
}

/* Max pooling of a convolution or of relus; its results enter relus or a linear layer, and some of
 * its windows may overlap. */
static bfi_graph *pooled(net_style style) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 1, 4, 5));
    net_geometry conv = {2, 2, 2, 1, 1, 1, 1, 0, 1},
                 pool = {2, 2, kit_int(1, 3), kit_int(1, 2), kit_int(1, 2), 1, 1, kit_int(0, 1), 1};
    int a = net_window(graph, style, BFI_OP_CONV, 0, conv);
    if (kit_int(0, 1)) a = net_same(graph, BFI_OP_RELU, a, -1);
    if (pool.kw == 1) pool.pad = 0;
    a = net_window(graph, style, BFI_OP_MAX_POOL, a, pool);
    assert_true(a > 0);
    if (kit_int(0, 1)) a = net_same(graph, BFI_OP_RELU, a, -1);
    a = net_flatten(graph, a);
    graph->output = net_linear(graph, style, a, 1, graph->nodes[a].count, 3);
    kit_validate(graph);
    return graph;
}

static void exact_pools(void **state) {
    (void)state;
    static node_set s;
    int checked = 0, looks = 0;
    for (int i = 0; i < 200; i++) {
        net_style style = i % 5 ? NET_PLAIN : NET_DYADIC;
        bf_options o = node_options((bf_dtype)(i % 2), BF_SEMANTICS_REAL);
        bool crosses = plant(&s, pooled(style), o, style, 1 + i / 2 % 2);
        assert_true(crosses);
        grow(&s, (int)kit_int(1, 5));
        run(&s);
        checked += check_exactly(&s), looks += s.looks;
        fell(&s);
    }
    assert_true(checked > 10000 && looks > 1000);
}

static void exact_curves(void **state) {
    (void)state;
    static node_set s;
    int checked = 0, looks = 0;
    for (int i = 0; i < 300; i++) {
        net_style style = i % 5 ? NET_PLAIN : NET_DYADIC;
        bf_options o = node_options((bf_dtype)(i % 2), BF_SEMANTICS_REAL);
        bool crosses = plant(&s, curved(style), o, style, 1 + i / 2 % 2);
        assert_true(crosses);
        grow(&s, (int)kit_int(1, 5));
        run(&s);
        checked += check_exactly(&s), looks += s.looks;
        fell(&s);
    }
    assert_true(checked > 20000 && looks > 2000);
}

/* The same as exact_functional, nearly. */
static double float_functional(const node_set *s, int node, const double *outputs) {
    const bfi_node_lane *lane = &s->lanes[node];
    double most = -INFINITY;
    for (int i = 0; i == 0 || i < lane->mixed; i++) {
        double y = lane->mixed > 0 ? -s->limits[lane->row + i].limit : 0;
        for (int64_t j = 0; j < s->outputs; j++)
            y += s->spec[(lane->row + i) * s->outputs + j] * outputs[j];
        most = fmax(most, lane->mixed > 0 ? s->limits[lane->row + i].scale * y : y);
    }
    return most;
}

/* Functions that bend, whose neurons are split anywhere: against float64 evaluation. Logarithms,
 * roots and quotients are those of sigmoids and exponentials. */
static void smooth_nets(void **state) {
    (void)state;
    static const bfi_op first[] = {BFI_OP_SIGMOID, BFI_OP_TANH, BFI_OP_EXP,
                                   BFI_OP_SIN,     BFI_OP_COS,  BFI_OP_SQUARE},
                        second[] = {BFI_OP_LOG, BFI_OP_SQRT, BFI_OP_RECIPROCAL};
    static node_set s;
    for (int i = 0; i < 180; i++) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(4));
        graph->output = net_linear(graph, NET_PLAIN, 0, 1, 4, 6);
        graph->output = net_same(graph, first[i % 6], graph->output, -1);
        bool positive = i % 6 == 0 || i % 6 == 2;
        if (positive && i % 4)
            graph->output = net_same(graph, second[i / 6 % 3], graph->output, -1);
        graph->output = net_linear(graph, NET_PLAIN, graph->output, 1, 6, 5);
        graph->output = net_same(graph, i % 3 ? BFI_OP_TANH : BFI_OP_RELU, graph->output, -1);
        graph->output = net_linear(graph, NET_PLAIN, graph->output, 1, 5, 2);
        kit_validate(graph);
        bool open =
            plant(&s, graph, node_options((bf_dtype)(i % 2), BF_SEMANTICS_REAL), NET_PLAIN, 1);
        assert_true(open);
        grow(&s, 4);
        run(&s);
        for (int p = 0; p < POINTS; p++) {
            double x[MAX_IN], **values;
            net_point(s.inputs, s.lo, s.hi, x);
            assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL), 0);
            for (int node = 0; node < s.count; node++) {
                bool inside = true;
                for (int32_t k = 0; k < s.lanes[node].split_count; k++) {
                    const bf_split *t = &s.splits[node][k];
                    inside =
                        inside && (values[s.layer[node][k]][t->neuron] - t->point) * t->sign > 1e-9;
                }
                double y = float_functional(&s, node, values[graph->output]);
                if (inside && !(s.lanes[node].lower <= y + 1e-9))
                    fail_msg("node %d: %.17g above %.17g", node, s.lanes[node].lower, y);
            }
            bfi_evaluation_free(graph, values);
        }
        fell(&s);
    }
}

/* Bases below the root. A base holds for points that satisfy its splits where the row is at most
 * the limit, or all rows of a mix are: its intervals do, and the bounds of nodes on it. */
typedef struct base_case {
    node_set set;
    bfi_tighten_request q;
    int tightened; /* neurons */
} base_case;

static double *interval(const node_set *s, int64_t base, int activation, bool low) {
    const bfi_value_state *state = &s->engine.plan->state[s->engine.plan->split_values[activation]];
    return bfi_ws_doubles(s->engine.ws, base, low ? state->lo : state->hi);
}

/* Box |to| becomes a base under the splits of node 0, tightened from node 0's numbers. */
static void tighten(base_case *c, int64_t from, int64_t to, double limit) {
    node_set *s = &c->set;
    const bfi_node_lane *lane = &s->lanes[0];
    bf_error err = {""};
    c->q =
        (bfi_tighten_request){.base = {from, to, s->splits[0], s->lanes[0].split_count, 0},
                              .spec = s->spec,
                              .rows = ROWS,
                              .row = lane->row,
                              .mixed = lane->mixed,
                              .limits = s->limits,
                              .weights = s->weights[0],
                              .limit = lane->mixed ? 0 : limit,
                              .lower = lane->mixed ? -0.25 : fmin(s->root[lane->row], limit - 0.25),
                              .multipliers = s->multipliers[0],
                              .slopes = s->slopes[0],
                              .rounds = 3};
    if (bfi_rebase_run(s->engine.plan, s->engine.ws, &c->q.base, &err)) fail_msg("%s", err.message);
    for (int sweep = 0; sweep < 2; sweep++)
        if (bfi_tighten_run(s->engine.plan, s->engine.ws, &c->q, &err)) fail_msg("%s", err.message);
    for (int a = 0; a < s->engine.plan->split_count; a++)
        for (int64_t j = 0; j < bf_plan_activation(s->engine.plan, a).neurons; j++)
            c->tightened += interval(s, to, a, true)[j] > interval(s, 0, a, true)[j] ||
                            interval(s, to, a, false)[j] < interval(s, 0, a, false)[j];
}

static bool at_least(const exact *x, double v) {
    return isfinite(v) ? exact_at_least(x, v) : v < 0;
}
static bool at_most(const exact *x, double v) { return isfinite(v) ? exact_at_most(x, v) : v > 0; }

/* What must hold at a point inside the base. */
static void check_point(const base_case *c, int64_t base, const exact_values *at) {
    static exact value;
    const node_set *s = &c->set;
    assert_false(bfi_ws_infeasible(s->engine.ws, base));
    for (int a = 0; a < bf_plan_activation_count(s->engine.plan); a++) {
        bf_activation_info info = bf_plan_activation(s->engine.plan, a);
        for (int64_t j = 0; info.layer >= 0 && j < info.neurons; j++) {
            const exact *z = &at->lo[info.layer][j];
            if (!at_least(z, interval(s, base, a, true)[j]) ||
                !at_most(z, interval(s, base, a, false)[j]))
                fail_msg("activation %d, neuron %d leaves [%a, %a]", a, (int)j,
                         interval(s, base, a, true)[j], interval(s, base, a, false)[j]);
        }
    }
    for (int node = 0; node < s->count; node++) {
        const bfi_node_lane *lane = &s->lanes[node];
        if (lane->base != base || lane->row != c->q.row || lane->mixed != c->q.mixed ||
            !satisfies(s, node, at))
            continue;
        exact_functional(s, node, at, &value);
        if (!at_least(&value, lane->lower))
            fail_msg("node %d: %a is above an exact value", node, lane->lower);
    }
}

/* The rows are as they are at a counterexample. */
static bool is_sought(const base_case *c, const exact_values *at) {
    static exact value;
    bool sought = true;
    for (int i = 0; i == 0 || i < c->q.mixed; i++) {
        exact_row(&c->set, c->q.row + i, at, &value);
        sought = sought &&
                 exact_at_most(&value, c->q.mixed ? c->set.limits[c->q.row + i].limit : c->q.limit);
    }
    return sought;
}

/* Checks points inside the base; how many there were. */
static int check_base(const base_case *c, int64_t base) {
    const node_set *s = &c->set;
    double x[MAX_IN];
    int inside = 0;
    exact_values at = exact_values_new(s->graph);
    for (int i = 0; i < 4 * POINTS; i++) {
        net_point(s->inputs, s->lo, s->hi, x);
        for (int64_t k = 0; k < s->inputs; k++) x[k] = fmin(fmax(x[k], s->lo[k]), s->hi[k]);
        exact_evaluate(s->graph, x, x, &at);
        if (!satisfies(s, 0, &at) || !is_sought(c, &at)) continue;
        inside++;
        check_point(c, base, &at);
    }
    exact_values_free(s->graph, &at);
    return inside;
}

/* Nodes of the base: its splits, and one more. */
static void grow_on(base_case *c, int64_t base) {
    node_set *s = &c->set;
    for (int i = 1; i < NODES; i++) {
        s->lanes[i].base = base;
        s->lanes[i].row = c->q.row;
        s->lanes[i].mixed = c->q.mixed;
        memcpy(s->weights[i], s->weights[0], sizeof s->weights[0]);
        s->lanes[i].split_count = s->lanes[0].split_count;
        memcpy(s->splits[i], s->splits[0], sizeof s->splits[0]);
        memcpy(s->layer[i], s->layer[0], sizeof s->layer[0]);
        if (s->lanes[i].split_count < MOST_SPLITS) add_split(s, i, 0);
    }
}

static bool plant_base(base_case *c, int i, int threads, bf_dtype dtype) {
    node_set *s = &c->set;
    net_style style = (net_style)(i % NET_STYLES);
    bf_options o = node_options(dtype, BF_SEMANTICS_REAL);
    o.keep_layers = 1, o.batch = 3;
    bfi_graph *graph = i % 4 == 3   ? case_residual(i / 4 % 2)
                       : i % 4 == 1 ? net_conv(style)
                                    : net_mlp(style);
    c->tightened = 0;
    if (!plant(s, graph, o, style, threads) || bfi_nodes_slope_bytes(s->engine.plan) == 0)
        return false;
    grow(s, 3);
    size_t bytes = (size_t)bfi_nodes_slope_bytes(s->engine.plan);
    if (!s->slopes[0]) s->lanes[0].slopes = s->slopes[0] = calloc(bytes, 1);
    for (int64_t r = 0; r < ROWS; r++) {
        if (!isfinite(s->root[r])) return false;
        if (s->lanes[0].mixed)
            s->limits[r].limit = s->root[r] + (0.5 + 0.4 * net_uniform()) * (1 + fabs(s->root[r]));
    }
    return s->engine.ws->choose;
}

static void bases(void **state) {
    (void)state;
    static base_case c;
    int inside = 0, tightened = 0, mixes = 0;
    for (int i = 0; i < 400; i++) {
        if (plant_base(&c, i, 1 + i % 2, (bf_dtype)(i / NET_STYLES % 2))) {
            double row = c.set.root[c.set.lanes[0].row];
            tighten(&c, 0, 1, row + (0.5 + 0.4 * net_uniform()) * (1 + fabs(row)));
            inside += check_base(&c, 1);
            tighten(&c, 1, 2, c.q.limit);
            grow_on(&c, 2);
            run(&c.set);
            inside += check_base(&c, 2);
            tightened += c.tightened;
            mixes += c.q.mixed > 1 ? c.tightened : 0;
        }
        fell(&c.set);
    }
    print_message("%d points in bases, %d neurons tightened, %d by mixes\n", inside, tightened,
                  mixes);
    assert_true(inside > 1000);
    assert_true(tightened > 1000 && mixes > 100);
}

/* A base has the same bits whatever the threads. */
static void same_bases(void **state) {
    (void)state;
    static base_case c[2];
    int open = 0;
    for (int i = 0; i < 60; i++) {
        bool planted = false;
        for (int threads = 1; threads <= 2; threads++) {
            kit_seed((unsigned)i + 5);
            planted = plant_base(&c[threads - 1], i, threads, (bf_dtype)(i % 2));
            if (planted) tighten(&c[threads - 1], 0, 2, c[0].set.root[c[0].set.lanes[0].row] + 1);
        }
        for (int a = 0; planted && a < c[0].set.engine.plan->split_count; a++)
            for (int low = 0; low < 2; low++)
                assert_memory_equal(
                    interval(&c[0].set, 2, a, low), interval(&c[1].set, 2, a, low),
                    (size_t)bf_plan_activation(c[0].set.engine.plan, a).neurons * sizeof(double));
        open += planted;
        fell(&c[0].set);
        fell(&c[1].set);
    }
    assert_true(open > 20);
}

/* What is no base, or has no room to become one, is refused. */
static void no_bases(void **state) {
    (void)state;
    static base_case c;
    bf_error err;
    int i = 0;
    while (!plant_base(&c, i++, 1, BF_DTYPE_FLOAT32)) fell(&c.set);
    const bf_plan *plan = c.set.engine.plan;
    bf_workspace *ws = c.set.engine.ws;
    bfi_rebase_request q = {0};
    for (int bad = 0; bad < 4; bad++) {
        static const int64_t from_to[4][2] = {{0, 0}, {0, 3}, {2, 1}, {-1, 1}};
        q.from = from_to[bad][0], q.to = from_to[bad][1];
        assert_int_equal(bfi_rebase_run(plan, ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    }
    c.set.lanes[1].base = 1;
    bfi_nodes_request nodes = request_of(&c.set);
    assert_int_equal(bfi_nodes_run(plan, ws, &nodes, &err), BF_STATUS_INVALID_ARGUMENT);
    q.from = 0, q.to = 1, q.deadline = bf_clock() - 1;
    assert_int_equal(bfi_rebase_run(plan, ws, &q, &err), BF_STATUS_TIMEOUT);
    assert_false(bfi_is_base(ws, 1));
    q.deadline = 0;
    assert_int_equal(bfi_rebase_run(plan, ws, &q, &err), BF_STATUS_OK);
    assert_true(bfi_is_base(ws, 1) && !bfi_is_base(ws, 2));
    assert_int_equal(bfi_nodes_run(plan, ws, &nodes, &err), BF_STATUS_OK);
    fell(&c.set);
}

/* Every node alone, and on other instruction sets and threads, gets and leaves the same bits. */
static void same_bits(void **state) {
    (void)state;
    static node_set all, alone;
    static const char *const isas[] = {"ref", "avx2", "avx512"};
    for (int i = 0; i < 40; i++) {
        unsigned seed = (unsigned)i + 77;
        bf_dtype dtype = (bf_dtype)(i % 2);
        kit_seed(seed);
        bfi_graph *graph = i % 2 ? net_conv(NET_PLAIN) : net_mlp(NET_PLAIN);
        bf_options o = node_options(dtype, BF_SEMANTICS_FLOAT32);
        bool open = plant(&all, graph, o, NET_PLAIN, 2);
        if (open) grow(&all, 4), run(&all);
        kit_seed(seed);
        graph = i % 2 ? net_conv(NET_PLAIN) : net_mlp(NET_PLAIN);
        o = node_options(dtype, BF_SEMANTICS_FLOAT32);
        o.isa = isas[i % 3];
        o.executor = BF_EXECUTOR_NATIVE;
        if (i % 3 == 0) o.executor = BF_EXECUTOR_REFERENCE, o.isa = NULL;
        bool again = plant(&alone, graph, o, NET_PLAIN, 1);
        assert_int_equal(open, again);
        if (open) grow(&alone, 4);
        for (int node = 0; open && node < NODES; node++) {
            bfi_nodes_request q = request_of(&alone);
            q.lanes = alone.lanes + node, q.count = 1, q.look = NULL;
            bf_error err = {""};
            if (bfi_nodes_run(alone.engine.plan, alone.engine.ws, &q, &err))
                fail_msg("%s", err.message);
            assert_true(alone.lanes[node].lower == all.lanes[node].lower);
            assert_true(alone.lanes[node].error == all.lanes[node].error);
            bool decided = all.lanes[node].lower >= all.lanes[node].stop;
            if (decided) continue;
            assert_memory_equal(alone.multipliers[node], all.multipliers[node],
                                sizeof all.multipliers[node]);
            assert_memory_equal(alone.weights[node], all.weights[node], sizeof all.weights[node]);
            if (all.slopes[node])
                assert_memory_equal(alone.slopes[node], all.slopes[node],
                                    (size_t)bfi_nodes_slope_bytes(all.engine.plan));
        }
        fell(&all);
        fell(&alone);
    }
}

/* y = relu(x1 + x2) / 4 + relu(x1 - x2) / 4 - x1 on [-1, 1]^2. Where both relus are off x1 <= 0, so
 * y >= 0; that takes multipliers, since x1 alone may be 1. */
static bfi_graph *wedge(void) {
    static const double first[] = {1, 1, 1, -1, 1, 0}, biases[] = {0, 0, 3},
                        last[] = {0.25, 0.25, -1};
    bfi_graph *graph = kit_graph(KIT_SHAPE(2));
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, 0, -1, KIT_SHAPE(3));
    node->attrs.rows = 1, node->attrs.k = 2, node->attrs.n = 3;
    node->weight = net_numbers(NET_PLAIN, 6);
    memcpy(node->weight.data, first, sizeof first);
    node->bias = net_numbers(NET_PLAIN, 3);
    memcpy(node->bias.data, biases, sizeof biases);
    graph->output = net_same(graph, BFI_OP_RELU, graph->output, -1);
    node = kit_add(graph, BFI_OP_LINEAR, graph->output, -1, KIT_SHAPE(1));
    node->attrs.rows = 1, node->attrs.k = 3, node->attrs.n = 1;
    node->weight = net_numbers(NET_PLAIN, 3);
    memcpy(node->weight.data, last, sizeof last);
    node->bias = net_numbers(NET_PLAIN, 1);
    node->bias.data[0] = 3;
    kit_validate(graph);
    return graph;
}

static void multipliers_earn(void **state) {
    (void)state;
    bf_model *model = net_model(wedge());
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    kit_engine e = kit_engine_new(1, model, o);
    const double lo[] = {-1, -1}, hi[] = {1, 1}, spec[] = {1};
    double root, found[2];
    kit_bounds(&e, lo, hi, spec, 1, &root, NULL);
    assert_true(root < -0.4);
    for (int with = 0; with < 2; with++) {
        const bf_split splits[] = {{0, 0, -1, 0}, {0, 1, -1, 0}};
        float multipliers[2] = {0, 0};
        double corner[2];
        bfi_node_lane lane = {.stop = INFINITY,
                              .rounds = 60,
                              .splits = splits,
                              .split_count = 2,
                              .multipliers = multipliers,
                              .lower = -INFINITY,
                              .corner = corner};
        bfi_nodes_request q = {.spec = spec,
                               .rows = 1,
                               .lanes = &lane,
                               .count = 1,
                               .lr = 0.1,
                               .multiplier_lr = with ? 0.1 : 1e-300};
        assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
        assert_true(lane.lower <= 1e-6);
        found[with] = lane.lower;
        if (with) assert_true(multipliers[0] > 0 && multipliers[1] > 0);
        for (int i = 0; i < 2; i++) assert_true(corner[i] >= -1 && corner[i] <= 1);
    }
    assert_true(found[0] < -0.5);
    assert_true(found[1] > -0.05);
    kit_engine_free(&e);
    bf_model_free(model);
}

/* y = (relu(x) - 1/2, 5/8 - relu(x)) on [-1, 1]: each may be negative, their sum is 1/8. */
static bfi_graph *seesaw(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    graph->output = net_same(graph, BFI_OP_RELU, 0, -1);
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, graph->output, -1, KIT_SHAPE(2));
    node->attrs.rows = 1, node->attrs.k = 1, node->attrs.n = 2;
    node->weight = net_numbers(NET_PLAIN, 2);
    node->weight.data[0] = 1, node->weight.data[1] = -1;
    node->bias = net_numbers(NET_PLAIN, 2);
    node->bias.data[0] = -0.5, node->bias.data[1] = 0.625;
    kit_validate(graph);
    return graph;
}

/* Weights find the sum from either row; what they are worth comes back. */
static void weights_earn(void **state) {
    (void)state;
    bf_model *model = net_model(seesaw());
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    kit_engine e = kit_engine_new(1, model, o);
    const double lo[] = {-1}, hi[] = {1}, spec[] = {1, 0, 0, 0x1p-8};
    const bfi_row_limit limits[] = {{0, 1}, {0, 0x1p8}};
    double root[2];
    kit_bounds(&e, lo, hi, spec, 2, root, NULL);
    assert_true(root[0] <= -0.375 && root[1] <= -0.375 * 0x1p-8);
    for (int from = 0; from < 2; from++) {
        float weights[] = {from == 0, from == 1};
        bfi_node_lane lane = {
            .mixed = 2, .weights = weights, .stop = INFINITY, .rounds = 40, .lower = -INFINITY};
        bfi_nodes_request q = {
            .spec = spec, .rows = 2, .limits = limits, .lanes = &lane, .count = 1, .lr = 0.1};
        assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
        assert_true(lane.lower > 0.03125 && lane.lower <= 0.0625);
        assert_true(weights[0] + weights[1] == 1 && fabs((double)weights[0] - 0.5) < 0.1);
        lane.rounds = 1, lane.lower = -INFINITY;
        assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
        assert_true(lane.lower > 0);
    }
    kit_engine_free(&e);
    bf_model_free(model);
}

/* Weights of nothing, and rows that are not there. */
static void no_mixes(void **state) {
    (void)state;
    bf_model *model = net_model(seesaw());
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    kit_engine e = kit_engine_new(1, model, o);
    const double lo[] = {-1}, hi[] = {1}, spec[] = {1, 0, 0, 1};
    const bfi_row_limit limits[] = {{INFINITY, 1}, {0, 1}};
    double root[2];
    kit_bounds(&e, lo, hi, spec, 2, root, NULL);
    float weights[] = {0, 0};
    bfi_node_lane lane = {
        .mixed = 2, .weights = weights, .stop = INFINITY, .rounds = 3, .lower = -INFINITY};
    bfi_nodes_request q = {
        .spec = spec, .rows = 2, .limits = limits, .lanes = &lane, .count = 1, .lr = 0.1};
    bf_error err;
    for (int bad = 0; bad < 5; bad++) {
        weights[0] = bad == 1 ? -1.0f : 0;
        weights[1] = bad == 2 ? INFINITY : bad > 2 ? 1.0f : 0;
        lane.row = bad == 3;
        q.limits = bad == 4 ? NULL : limits;
        assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    }
    q.limits = limits;
    weights[0] = 0, weights[1] = 1; /* a row without a limit keeps out */
    assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_OK);
    assert_true(weights[0] == 0 && weights[1] == 1 && lane.lower <= -0.375);
    weights[0] = 1, lane.lower = -INFINITY;
    assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_OK);
    assert_true(lane.lower == -INFINITY);
    kit_engine_free(&e);
    bf_model_free(model);
}

/* Without splits, with the planned slopes: alpha-CROWN's own bound of the row, never less. */
static void nothing_split(void **state) {
    (void)state;
    static node_set s;
    for (int i = 0; i < 30; i++) {
        bf_options o = node_options((bf_dtype)(i % 2), BF_SEMANTICS_REAL);
        o.intermediate = BF_INTERMEDIATE_FIXED;
        if (plant(&s, net_mlp(NET_PLAIN), o, NET_PLAIN, 1)) {
            bfi_node_lane lane = {.row = 0, .stop = INFINITY, .rounds = 3, .lower = -INFINITY};
            bfi_nodes_request q = {
                .spec = s.spec, .rows = ROWS, .lanes = &lane, .count = 1, .lr = o.lr};
            assert_int_equal(bfi_nodes_run(s.engine.plan, s.engine.ws, &q, NULL), BF_STATUS_OK);
            assert_true(lane.lower <= s.root[0]);
            double gain = s.root[0] - lane.lower;
            assert_true(gain <= 0.02 * (1 + fabs(s.root[0])));
        }
        fell(&s);
    }
}

static void contradictions_and_refusals(void **state) {
    (void)state;
    bf_model *model = net_model(wedge());
    bf_options o = bf_options_default();
    o.method = BF_METHOD_ALPHA_CROWN;
    kit_engine e = kit_engine_new(1, model, o);
    const double lo[] = {-1, -1}, hi[] = {1, 1}, spec[] = {1};
    double root;
    bf_split splits[] = {{0, 0, 1, 3}, {0, 1, -1, 0}};
    float multipliers[2] = {0, 0};
    bfi_node_lane lane = {.stop = INFINITY,
                          .rounds = 1,
                          .splits = splits,
                          .split_count = 2,
                          .multipliers = multipliers,
                          .lower = -INFINITY};
    bfi_nodes_request q = {.spec = spec, .rows = 1, .lanes = &lane, .count = 1};
    bf_error err;
    assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    kit_bounds(&e, lo, hi, spec, 1, &root, NULL);
    assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_OK);
    assert_true(lane.lower == INFINITY); /* x1 + x2 >= 3 is nowhere */
    lane.lower = -INFINITY;
    splits[0].point = 0, splits[0].neuron = 2; /* out of order */
    assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    splits[0].neuron = 0, multipliers[1] = -1;
    assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_INVALID_ARGUMENT);
    multipliers[1] = 0, q.deadline = bf_clock() - 1;
    assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_TIMEOUT);
    q.deadline = 0;
    assert_int_equal(bfi_nodes_run(e.plan, e.ws, &q, &err), BF_STATUS_OK);
    kit_engine_free(&e);
    bf_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(bases),
                                       cmocka_unit_test(same_bases),
                                       cmocka_unit_test(no_bases),
                                       cmocka_unit_test(exact_nets),
                                       cmocka_unit_test(exact_curves),
                                       cmocka_unit_test(exact_pools),
                                       cmocka_unit_test(smooth_nets),
                                       cmocka_unit_test(same_bits),
                                       cmocka_unit_test(multipliers_earn),
                                       cmocka_unit_test(weights_earn),
                                       cmocka_unit_test(no_mixes),
                                       cmocka_unit_test(nothing_split),
                                       cmocka_unit_test(contradictions_and_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
