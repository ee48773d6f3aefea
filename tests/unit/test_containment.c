/* Sampled points never leave the bounds, for every op; relaxation lines stay on their side; CROWN
 * is never looser than IBP when intersected. */
#include "bounds_kit.h"
#include "exact.h"
#include "exec/curves.h"
#include "exec/forward.h"
#include "ir/evaluate.h"
#include "op_cases.h"

/* What bfi_evaluate itself may be off by, against the largest number of the network: its sums are
 * short, its functions good to 2^-48, and cancellation is measured against what cancelled. */
#define EVALUATOR_SLACK 1e-11

static double largest(const bfi_graph *graph, double **values) {
    double most = 1;
    for (int id = 0; id < graph->count; id++)
        for (int64_t j = 0; j < graph->nodes[id].count; j++)
            if (isfinite(values[id][j])) most = fmax(most, fabs(values[id][j]));
    return most;
}

static void check_layer(const bfi_graph *graph, const kit_engine *e, int id, const double *value,
                        double slack, const char *what) {
    int64_t n = graph->nodes[id].count;
    double *lower = malloc((size_t)n * sizeof *lower), *upper = malloc((size_t)n * sizeof *upper);
    assert_true(bf_workspace_layer(e->plan, e->ws, id, lower, upper));
    for (int64_t j = 0; j < n; j++) {
        assert_true(lower[j] <= upper[j]);
        if (isfinite(value[j]) && (value[j] < lower[j] - slack || value[j] > upper[j] + slack))
            fail_msg("%s: layer %d (%s), element %d is %.17g outside [%.17g, %.17g]", what, id,
                     bfi_op_name(graph->nodes[id].op), (int)j, value[j], lower[j], upper[j]);
    }
    free(lower);
    free(upper);
}

/* Bounds of layers, outputs and rows hold at |points| points of a random box. */
static void sample(const char *what, bfi_graph *graph, int points, bf_semantics semantics) {
    bf_model *model = net_model(graph);
    int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
    double *lo = calloc((size_t)n, 8), *hi = calloc((size_t)n, 8), *x = calloc((size_t)n, 8);
    double *lower = calloc((size_t)m, 8), *upper = calloc((size_t)m, 8),
           *spec = calloc((size_t)m, 8);
    net_box(NET_PLAIN, n, lo, hi);
    for (int64_t j = 0; j < m; j++) spec[j] = net_uniform();
    for (int setting = 0; setting < KIT_SETTINGS; setting++) {
        bf_options o = kit_setting(setting);
        o.keep_layers = 1;
        o.semantics = semantics;
        if (o.executor == BF_EXECUTOR_REFERENCE) continue;
        kit_engine e = kit_engine_new(1, model, o);
        double row_lower, row_upper;
        kit_bounds(&e, lo, hi, spec, 1, &row_lower, &row_upper);
        kit_bounds(&e, lo, hi, NULL, 0, lower, upper);
        for (int i = 0; i < points; i++) {
            double **values, row = 0;
            net_point(n, lo, hi, x);
            assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL),
                             BF_STATUS_OK);
            double slack = EVALUATOR_SLACK * largest(graph, values);
            for (int id = 0; id < graph->count; id++)
                check_layer(graph, &e, id, values[id], slack, what);
            const double *y = values[graph->output];
            for (int64_t j = 0; j < m; j++) {
                if (isfinite(y[j]))
                    assert_true(y[j] >= lower[j] - slack && y[j] <= upper[j] + slack);
                row += spec[j] * y[j];
            }
            if (isfinite(row)) assert_true(row >= row_lower - slack && row <= row_upper + slack);
            bfi_evaluation_free(graph, values);
        }
        kit_engine_free(&e);
    }
    free(lo), free(hi), free(x), free(lower), free(upper), free(spec);
    bf_model_free(model);
}

static void every_op(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++) {
        if (!strcmp(op_cases[c].name, "random")) continue; /* scales the evaluator does not bear */
        for (int v = 0; v < 3 * op_cases[c].variants; v++)
            sample(op_cases[c].name, op_cases[c].build(v % op_cases[c].variants), 6,
                   BF_SEMANTICS_REAL);
    }
}

/* Nets that mix the nonlinear ops freely. */
static bfi_graph *mixed(void) {
    static const bfi_op unary[] = {BFI_OP_RELU,      BFI_OP_SIGMOID, BFI_OP_TANH, BFI_OP_SIN,
                                   BFI_OP_COS,       BFI_OP_EXP,     BFI_OP_ABS,  BFI_OP_CLIP,
                                   BFI_OP_SQUARE,    BFI_OP_SOFTMAX, BFI_OP_LOG,  BFI_OP_SQRT,
                                   BFI_OP_RECIPROCAL};
    static const bfi_op binary[] = {BFI_OP_MUL, BFI_OP_DIV, BFI_OP_MAX,
                                    BFI_OP_MIN, BFI_OP_ADD, BFI_OP_SUB};
    int64_t width = kit_int(2, 7);
    bfi_graph *graph = kit_graph(KIT_SHAPE(width));
    int a = 0;
    for (int64_t d = kit_int(2, 8); d > 0; d--) {
        switch (kit_int(0, 3)) {
            case 0:
                a = net_linear(graph, NET_PLAIN, a, 1, width, width);
                break;
            case 1:
                a = net_same(graph, binary[kit_int(0, 5)], a, (int)kit_int(0, graph->count - 1));
                break;
            default:
                a = net_same(graph, unary[kit_int(0, 12)], a, -1);
                graph->nodes[a].attrs.lo = -0.5, graph->nodes[a].attrs.hi = 0.5;
                break;
        }
    }
    graph->output = a;
    kit_validate(graph);
    return graph;
}

static void mixtures(void **state) {
    (void)state;
    for (int i = 0; i < 400; i++)
        sample("mixture", mixed(), 5, i % 2 ? BF_SEMANTICS_REAL : BF_SEMANTICS_FLOAT32);
    for (int i = 0; i < 200; i++)
        sample("random", i % 2 ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN), 5, BF_SEMANTICS_REAL);
}

/* Up to rounding: the error terms of a tighter box need not be smaller in the last bits, and
 * elementary functions are not monotone in them. */
static void crown_within_ibp(void **state) {
    (void)state;
    for (int i = 0; i < 600; i++) {
        bfi_graph *graph = i % 3 == 0   ? mixed()
                           : i % 3 == 1 ? net_mlp(NET_PLAIN)
                                        : net_conv(NET_PLAIN);
        bf_model *model = net_model(graph);
        int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
        double *lo = calloc((size_t)n, 8), *hi = calloc((size_t)n, 8), *spec = calloc((size_t)m, 8);
        double *bounds[4];
        for (int k = 0; k < 4; k++) bounds[k] = calloc((size_t)m + 1, 8);
        for (int64_t j = 0; j < m; j++) spec[j] = net_uniform();
        net_box(NET_PLAIN, n, lo, hi);
        for (int setting = 0; setting < KIT_TYPED; setting++) {
            bf_options o = kit_setting(setting);
            double eps = o.dtype == BF_DTYPE_FLOAT32 ? 1e-4 : 1e-11;
            o.intersect = 1;
            for (int ibp = 0; ibp < 2; ibp++) {
                if (ibp) o.method = BF_METHOD_IBP;
                double *lower = bounds[2 * ibp], *upper = bounds[2 * ibp + 1];
                kit_engine e = kit_engine_new(1, model, o);
                kit_bounds(&e, lo, hi, NULL, 0, lower, upper);
                kit_bounds(&e, lo, hi, spec, 1, lower + m, upper + m);
                kit_engine_free(&e);
            }
            for (int64_t j = 0; j <= m; j++) {
                double slack =
                    (j < m ? eps * 1e-3 : eps) * (1 + fmax(fabs(bounds[2][j]), fabs(bounds[3][j])));
                if (bounds[0][j] < bounds[2][j] - slack || bounds[1][j] > bounds[3][j] + slack)
                    fail_msg("net %d, method %d: %s %d: [%.17g, %.17g], IBP has [%.17g, %.17g]", i,
                             setting % 3, j < m ? "output" : "row", (int)j, bounds[0][j],
                             bounds[1][j], bounds[2][j], bounds[3][j]);
            }
        }
        free(lo), free(hi), free(spec);
        for (int k = 0; k < 4; k++) free(bounds[k]);
        bf_model_free(model);
    }
}

/* Ends that are tiny, huge, next to each other, equal, on either side of zero. */
static double line_end(void) {
    static const double special[] = {0,      -0.0, 0x1p-1074, -0x1p-1074, 1e-300,   -1e-300, 1e300,
                                     -1e300, 1e30, -1e30,     800,        -800,     36,      -36,
                                     1,      -1,   0.01,      -0x1p-30,   20.00001, -19};
    if (!kit_int(0, 2)) return special[kit_int(0, 19)];
    return net_uniform() * ldexp(1, (int)kit_int(-40, 8));
}

static double line_point(double lo, double hi, int i) {
    double x = i == 0   ? lo
               : i == 1 ? hi
               : i == 2 ? 0
               : i == 3 ? nextafter(lo, hi)
               : i == 4 ? nextafter(hi, lo)
                        : lo * (1 - (double)i / 64) + hi * ((double)i / 64);
    return x < lo ? lo : x > hi ? hi : x;
}

/* One op alone on intervals with extreme ends: nothing hides behind the scale of other numbers. */
static bfi_graph *lone_op(int which) {
    static const bfi_op unary[] = {BFI_OP_RELU,  BFI_OP_LEAKY_RELU, BFI_OP_SIGMOID, BFI_OP_TANH,
                                   BFI_OP_SIN,   BFI_OP_COS,        BFI_OP_EXP,     BFI_OP_LOG,
                                   BFI_OP_SQRT,  BFI_OP_RECIPROCAL, BFI_OP_ABS,     BFI_OP_SIGN,
                                   BFI_OP_FLOOR, BFI_OP_CLIP,       BFI_OP_SQUARE,  BFI_OP_SOFTMAX};
    static const bfi_op binary[] = {BFI_OP_MUL, BFI_OP_DIV, BFI_OP_MAX,
                                    BFI_OP_MIN, BFI_OP_ADD, BFI_OP_SUB};
    if (which < 16) {
        bfi_graph *graph = kit_graph(KIT_SHAPE(4));
        int a = net_same(graph, unary[which], 0, -1);
        graph->nodes[a].attrs.slope = -0.25, graph->nodes[a].attrs.lo = -0.5,
        graph->nodes[a].attrs.hi = 1e30;
        return graph;
    }
    bfi_graph *graph = kit_graph(KIT_SHAPE(2, 4));
    for (int64_t row = 0; row < 2; row++) {
        bfi_node *node = kit_add(graph, BFI_OP_SLICE, 0, -1, KIT_SHAPE(1, 4));
        node->attrs.start[0] = row;
        node->attrs.step[0] = node->attrs.step[1] = 1;
    }
    if (which == 22) { /* [1,4] times [4,1] */
        kit_add(graph, BFI_OP_RESHAPE, 2, -1, KIT_SHAPE(4, 1));
        bfi_node *node = kit_add(graph, BFI_OP_MATMUL, 1, 3, KIT_SHAPE(1, 1));
        node->attrs.batch = node->attrs.rows = node->attrs.n = 1, node->attrs.k = 4;
        return graph;
    }
    net_same(graph, binary[which - 16], 1, which % 2 ? 2 : 1 + (int)kit_int(0, 1));
    return graph;
}

static void check_lone_op(bfi_graph *graph, const double *lo, const double *hi, bf_options o) {
    bf_model *model = net_model(graph);
    int64_t n = graph->nodes[0].count, m = graph->nodes[graph->output].count;
    double x[8], y[8], lower[8], upper[8];
    char name[80];
    kit_engine e = kit_engine_new(1, model, o);
    kit_bounds(&e, lo, hi, NULL, 0, lower, upper);
    for (int i = 0; i < 40; i++) {
        for (int64_t j = 0; j < n; j++) x[j] = line_point(lo[j], hi[j], (int)kit_int(0, 63));
        assert_int_equal(bfi_evaluate(graph, BFI_EVAL_FLOAT64, x, y, NULL, NULL), BF_STATUS_OK);
        double terms = 0; /* sums may cancel */
        for (int64_t j = 0; j < 4 && graph->nodes[graph->output].op == BFI_OP_MATMUL; j++)
            terms += fabs(x[j] * x[4 + j]);
        for (int64_t j = 0; j < m; j++) {
            double slack = 1e-13 * (fabs(y[j]) + terms) + 0x1p-1070;
            bfi_op op = graph->nodes[graph->output].op;
            if (op == BFI_OP_SIN || op == BFI_OP_COS) slack += 1e-13;
            if (!isfinite(y[j]) || !isfinite(slack)) continue;
            if (y[j] < lower[j] - slack || y[j] > upper[j] + slack)
                fail_msg("%s, %s: %a outside [%a, %a], x %a in [%a, %a]", bfi_op_name(op),
                         kit_setting_name(o, name, sizeof name), y[j], lower[j], upper[j], x[j],
                         lo[j], hi[j]);
        }
    }
    kit_engine_free(&e);
    bf_model_free(model);
}

static void extreme_ends(void **state) {
    (void)state;
    for (int i = 0; i < 23 * 60; i++) {
        double lo[8], hi[8];
        for (int j = 0; j < 8; j++) {
            double a = line_end(), b = kit_int(0, 3) ? line_end() : a * (1 + 0x1p-40);
            lo[j] = fmin(a, b), hi[j] = fmax(a, b);
        }
        for (int setting = 0; setting < KIT_TYPED; setting++)
            check_lone_op(lone_op(i % 23), lo, hi, kit_setting(setting));
    }
}

/* a piecewise linear function against its lines, exactly */
static void check_kink_line(const bfi_node *node, const bfi_lines *l, double x) {
    static exact point, y, line;
    exact_set(&point, x);
    exact_kink(node->op == BFI_OP_RELU ? 0 : node->attrs.slope, &point, &y);
    if (isfinite(l->t_pos)) {
        exact_set(&line, l->t_pos);
        exact_accumulate(&line, l->s_pos, &point);
        assert_true(exact_compare(&line, &y) <= 0);
    }
    if (isfinite(l->t_neg)) {
        exact_set(&line, l->t_neg);
        exact_accumulate(&line, l->s_neg, &point);
        assert_true(exact_compare(&line, &y) >= 0);
    }
}

/* long double: 11 bits more on x86; where it has none more, rounding of the reference itself */
static void check_smooth_line(const bfi_node *node, const bfi_lines *l, double x) {
    long double z = x, y = node->op == BFI_OP_TANH ? tanhl(z) : 1 / (1 + expl(-z));
    long double below = (long double)l->s_pos * z + (long double)l->t_pos;
    long double above = (long double)l->s_neg * z + (long double)l->t_neg;
    long double slack = 0x1p-60L + (LDBL_MANT_DIG > 60 ? 0x1p-62L : 0x1p-51L) *
                                       (fabsl(below - (long double)l->t_pos) +
                                        fabsl(above - (long double)l->t_neg));
    if (!(below <= y + slack && above >= y - slack))
        fail_msg("%s at %a: %a, lines %a x + %a and %a x + %a", bfi_op_name(node->op), x, (double)y,
                 l->s_pos, l->t_pos, l->s_neg, l->t_neg);
}

static void lines_are_sound(void **state) {
    (void)state;
    static const double slopes[] = {0, 0.01, 0.5, 1, -0.5, -3, 1.5, 0x1p-30, 0x1p30};
    static const bfi_op ops[] = {BFI_OP_RELU, BFI_OP_LEAKY_RELU, BFI_OP_SIGMOID, BFI_OP_TANH};
    for (int i = 0; i < 40000; i++) {
        bfi_node node = {.op = ops[i % 4],
                         .attrs = {.slope = (double)(float)slopes[kit_int(0, 8)]}};
        double lo = line_end(), hi = line_end();
        if (!kit_int(0, 3)) hi = lo + fabs(lo) * ldexp(1, -(int)kit_int(20, 53));
        if (lo > hi) {
            double swap = lo;
            lo = hi, hi = swap;
        }
        bfi_lines l = bfi_unary_lines(&node, (bfi_dtype)(i / 4 % 2), true, lo, hi);
        if (i / 4 % 2 == BFI_F32) {
            assert_true(l.s_pos == (double)(float)l.s_pos && l.s_neg == (double)(float)l.s_neg);
        }
        for (int k = 0; k < 64; k++) {
            double x = line_point(lo, hi, k);
            if (i % 4 < 2)
                check_kink_line(&node, &l, x);
            else
                check_smooth_line(&node, &l, x);
        }
    }
}

#define CLIP_LO -0.5
#define CLIP_HI 0.75

static long double curve_value(bfi_op op, long double x) {
    switch (op) {
        case BFI_OP_SIN:
            return sinl(x);
        case BFI_OP_COS:
            return cosl(x);
        case BFI_OP_EXP:
            return expl(x);
        case BFI_OP_LOG:
            return logl(x);
        case BFI_OP_SQRT:
            return sqrtl(x);
        case BFI_OP_RECIPROCAL:
            return 1 / x;
        case BFI_OP_ABS:
            return fabsl(x);
        case BFI_OP_CLIP: /* as in curves_are_sound */
            return fminl(fmaxl(x, CLIP_LO), CLIP_HI);
        default:
            return x * x;
    }
}

/* What long double itself may be off by, for numbers that add up to |size|. */
static long double reference_slack(long double size) {
    return 0x1p-1070L + size * (LDBL_MANT_DIG > 60 ? 0x1p-61L : 0x1p-50L);
}

/* Functions that are convex, concave or both by turns; by how much the lines leave them tells that
 * the lines are more than the interval. */
static void curves_are_sound(void **state) {
    (void)state;
    static const bfi_op ops[] = {BFI_OP_SIN, BFI_OP_COS,    BFI_OP_EXP,
                                 BFI_OP_LOG, BFI_OP_SQRT,   BFI_OP_RECIPROCAL,
                                 BFI_OP_ABS, BFI_OP_SQUARE, BFI_OP_CLIP};
    for (int i = 0; i < 36000; i++) {
        bfi_node node = {.op = ops[i % 9], .attrs.lo = CLIP_LO, .attrs.hi = CLIP_HI};
        bfi_dtype dtype = (bfi_dtype)(i / 9 % 2);
        double lo = i % 3 ? 8 * net_uniform() : line_end();
        double hi = kit_int(0, 1) ? lo + ldexp(4 * (1 + net_uniform()), -(int)kit_int(0, 45))
                                  : (i % 3 ? 8 * net_uniform() : line_end());
        if (lo > hi) {
            double swap = lo;
            lo = hi, hi = swap;
        }
        bfi_lines l = bfi_unary_lines(&node, dtype, true, lo, hi);
        if (dtype == BFI_F32)
            assert_true(l.s_pos == (double)(float)l.s_pos && l.s_neg == (double)(float)l.s_neg);
        for (int k = 0; k < 64; k++) {
            double x = line_point(lo, hi, k);
            long double y = curve_value(node.op, x), below = (long double)l.s_pos * x,
                        above = (long double)l.s_neg * x;
            if (!isfinite(y)) continue;
            long double slack = reference_slack(fabsl(y) + fabsl(below) + fabsl(above));
            if (!(below + (long double)l.t_pos <= y + slack) ||
                !(above + (long double)l.t_neg >= y - slack))
                fail_msg("%s at %a of [%a, %a]: lines %a x + %a and %a x + %a",
                         bfi_op_name(node.op), x, lo, hi, l.s_pos, l.t_pos, l.s_neg, l.t_neg);
        }
    }
}

/* On [middle +- r] lines leave a smooth function by no more than r^2 times its second derivative.
 */
static void curves_are_tight(void **state) {
    (void)state;
    static const struct {
        bfi_op op;
        double middle, bend;
    } cases[] = {{BFI_OP_SIN, 0, 1},    {BFI_OP_SIN, 1.5, 1},      {BFI_OP_COS, 1.6, 1},
                 {BFI_OP_COS, -3, 1},   {BFI_OP_EXP, 1, 4},        {BFI_OP_LOG, 2, 1},
                 {BFI_OP_SQRT, 1, 1},   {BFI_OP_RECIPROCAL, 2, 1}, {BFI_OP_RECIPROCAL, -2, 1},
                 {BFI_OP_SQUARE, 0, 2}, {BFI_OP_SQUARE, 3, 2}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (double r = 0.5; r > 1e-4; r /= 4) {
            double lo = cases[c].middle - r, hi = cases[c].middle + r;
            bfi_node node = {.op = cases[c].op};
            bfi_lines l = bfi_unary_lines(&node, BFI_F64, true, lo, hi);
            for (int k = 0; k < 64; k++) {
                double x = line_point(lo, hi, k),
                       gap = fma(l.s_neg, x, l.t_neg) - fma(l.s_pos, x, l.t_pos);
                assert_true(gap >= 0 && gap <= cases[c].bend * r * r + 1e-10);
            }
        }
}

/* Lines of abs and clip between two kinks are the function; across one they are those of the hull
 * in the middle. */
static void kinks_are_tight(void **state) {
    (void)state;
    const struct {
        bfi_op op;
        double lo, hi;
        bfi_lines lines;
    } cases[] = {{BFI_OP_ABS, 0, 3, {1, 0, 1, 0}},
                 {BFI_OP_ABS, -3, 0, {-1, 0, -1, 0}},
                 {BFI_OP_CLIP, CLIP_LO, CLIP_HI, {1, 0, 1, 0}},
                 {BFI_OP_CLIP, -2, CLIP_LO, {0, CLIP_LO, 0, CLIP_LO}},
                 {BFI_OP_CLIP, CLIP_HI, 2, {0, CLIP_HI, 0, CLIP_HI}},
                 {BFI_OP_CLIP, -1, 0.5, {1, 0, 0x2p0 / 3, 0x1p0 / 6}},
                 {BFI_OP_CLIP, 0.25, 1.25, {0.5, 0.125, 0, 0.75}},
                 {BFI_OP_CLIP, -2, 4.5, {0.25, -0.375, 0, 0.75}}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        bfi_node node = {.op = cases[c].op, .attrs.lo = CLIP_LO, .attrs.hi = CLIP_HI};
        bool line = cases[c].lines.s_pos == cases[c].lines.s_neg;
        for (int outward = 0; outward < 2; outward++) {
            bfi_lines l = bfi_unary_lines(&node, BFI_F64, outward, cases[c].lo, cases[c].hi);
            const double found[4] = {l.s_pos, l.t_pos, l.s_neg, l.t_neg},
                         wanted[4] = {cases[c].lines.s_pos, cases[c].lines.t_pos,
                                      cases[c].lines.s_neg, cases[c].lines.t_neg};
            for (int i = 0; i < 4; i++)
                if (!(fabs(found[i] - wanted[i]) <= (line ? 0 : 1e-12)))
                    fail_msg("case %d: number %d is %g", (int)c, i, found[i]);
        }
    }
}

static void fail_plane(bfi_op op, double x, double y, const double e[4], const bfi_plane *p) {
    fail_msg("%s at %a, %a of [%a, %a] x [%a, %a]: %a x + %a y + %a, %a x + %a y + %a",
             bfi_op_name(op), x, y, e[0], e[1], e[2], e[3], p->s_pos, p->r_pos, p->t_pos, p->s_neg,
             p->r_neg, p->t_neg);
}

/* Planes of a product are nowhere further off than McCormick's, and where both operands keep their
 * sign they stay within its interval. */
static void check_mccormick(const bfi_plane *p, bfi_dtype dtype, const double e[4]) {
    double size = 1 + (fabs(e[0]) + fabs(e[1])) * (fabs(e[2]) + fabs(e[3]));
    double slack = (dtype == BFI_F32 ? 1e-6 : 1e-12) * size, gap = (e[1] - e[0]) * (e[3] - e[2]);
    double least = INFINITY, most = -INFINITY, below = INFINITY, above = -INFINITY;
    double widest = fmax(fmax(fabs(e[0]), fabs(e[1])), fmax(fabs(e[2]), fabs(e[3])));
    if (!(size < 1e4) || !(widest < 1e30)) return; /* slopes that float32 does not hold */
    for (int i = 0; i < 4; i++) {
        double x = e[i / 2], y = e[2 + i % 2], z = x * y;
        double low = p->s_pos * x + p->r_pos * y + p->t_pos,
               high = p->s_neg * x + p->r_neg * y + p->t_neg;
        least = fmin(least, z), most = fmax(most, z);
        below = fmin(below, low), above = fmax(above, high);
        assert_true(z - low <= gap + slack && high - z <= gap + slack);
    }
    if ((e[0] >= 0 || e[1] <= 0) && (e[2] >= 0 || e[3] <= 0))
        assert_true(below >= least - slack && above <= most + slack);
}

static long double binary_value(bfi_op op, double x, double y) {
    if (op == BFI_OP_MUL) return (long double)x * y;
    if (op == BFI_OP_DIV) return (long double)x / y;
    return op == BFI_OP_MAX ? fmax(x, y) : fmin(x, y);
}

/* Where one operand is the larger all over the box, a maximum or minimum is one of them; else the
 * chord of x - y meets its ends. */
static void check_extreme(const bfi_plane *p, bfi_op op, const double e[4]) {
    bool max = op == BFI_OP_MAX, apart = e[0] >= e[3] || e[2] >= e[1];
    double s = max ? p->s_pos : p->s_neg, r = max ? p->r_pos : p->r_neg;
    assert_true(s * r == 0 && s + r == 1 && (max ? p->t_pos : p->t_neg) == 0);
    if (!apart) return;
    assert_true(p->s_pos == p->s_neg && p->r_pos == p->r_neg && p->t_pos == 0 && p->t_neg == 0);
    assert_true((p->s_pos == 1) == (max ? e[0] >= e[3] : e[2] >= e[1]) ||
                (e[0] == e[3] && e[2] == e[1]));
}

/* Functions of two values: planes at points of the box, which is as wide as it is long or very
 * flat. */
static void planes_are_sound(void **state) {
    (void)state;
    for (int i = 0; i < 80000; i++) {
        static const bfi_op ops[] = {BFI_OP_MUL, BFI_OP_DIV, BFI_OP_MAX, BFI_OP_MIN};
        bfi_op op = ops[i % 4];
        bfi_dtype dtype = (bfi_dtype)(i / 4 % 2);
        double e[4];
        for (int k = 0; k < 4; k += 2) {
            e[k] = kit_int(0, 1) ? 4 * net_uniform() : line_end();
            e[k + 1] =
                kit_int(0, 1) ? e[k] + ldexp(1 + net_uniform(), -(int)kit_int(0, 40)) : line_end();
            if (e[k] <= e[k + 1]) continue;
            double swap = e[k];
            e[k] = e[k + 1], e[k + 1] = swap;
        }
        bfi_plane p = bfi_binary_plane(op, dtype, true, e[0], e[1], e[2], e[3]);
        if (dtype == BFI_F32)
            assert_true(p.s_pos == (double)(float)p.s_pos && p.r_pos == (double)(float)p.r_pos);
        for (int k = 0; k < 64; k++) {
            double x = line_point(e[0], e[1], (int)kit_int(0, 63)),
                   y = line_point(e[2], e[3], (int)kit_int(0, 63));
            long double z = binary_value(op, x, y);
            if (!isfinite(z)) continue;
            long double u = (long double)p.s_pos * x, v = (long double)p.r_pos * y;
            if (!(u + v + (long double)p.t_pos <=
                  z + reference_slack(fabsl(z) + fabsl(u) + fabsl(v))))
                fail_plane(op, x, y, e, &p);
            u = (long double)p.s_neg * x, v = (long double)p.r_neg * y;
            if (!(u + v + (long double)p.t_neg >=
                  z - reference_slack(fabsl(z) + fabsl(u) + fabsl(v))))
                fail_plane(op, x, y, e, &p);
        }
        if (op == BFI_OP_MUL) check_mccormick(&p, dtype, e);
        if (op == BFI_OP_MAX || op == BFI_OP_MIN) check_extreme(&p, op, e);
    }
}

/* Infinite ends: lines may be useless but never wrong. */
static void lines_of_unbounded_intervals(void **state) {
    (void)state;
    const double inf = (double)INFINITY,
                 ends[][2] = {{-inf, inf}, {-inf, -1}, {-inf, 1}, {-1, inf}, {1, inf}};
    static const bfi_op ops[] = {BFI_OP_RELU, BFI_OP_LEAKY_RELU, BFI_OP_SIGMOID, BFI_OP_TANH};
    for (int i = 0; i < 20; i++) {
        bfi_node node = {.op = ops[i % 4], .attrs = {.slope = 0.25}};
        double lo = ends[i / 4][0], hi = ends[i / 4][1];
        bfi_lines l = bfi_unary_lines(&node, BFI_F64, true, lo, hi);
        for (int k = 0; k < 200; k++) {
            double x = net_sign() * ldexp(1, (int)kit_int(-40, 1000));
            if (x < lo || x > hi) continue;
            double y = bfi_unary_value(&node, x);
            assert_true(!(fma(l.s_pos, x, l.t_pos) > y + 1e-9 * fabs(y)));
            assert_true(!(fma(l.s_neg, x, l.t_neg) < y - 1e-9 * fabs(y)));
            if (ops[i % 4] == BFI_OP_SIGMOID || ops[i % 4] == BFI_OP_TANH) {
                assert_true(isfinite(l.t_pos) && isfinite(l.t_neg)); /* these are bounded */
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves_are_sound), cmocka_unit_test(curves_are_tight),
        cmocka_unit_test(kinks_are_tight),  cmocka_unit_test(planes_are_sound),
        cmocka_unit_test(lines_are_sound),  cmocka_unit_test(lines_of_unbounded_intervals),
        cmocka_unit_test(every_op),         cmocka_unit_test(mixtures),
        cmocka_unit_test(crown_within_ibp), cmocka_unit_test(extreme_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
