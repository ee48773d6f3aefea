/* Identities of planned values: the same where bounds are the same bits, different wherever
 * anything that changes them differs. */
#include "bounds_kit.h"
#include "plan/plan.h"

/* 3 -> 5 -> relu -> 4 -> relu -> |outputs|; |seed| makes the last layer, the others are fixed. */
static bfi_graph *layers(int64_t outputs, uint64_t seed) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(3));
    const int64_t sizes[4] = {3, 5, 4, outputs};
    int a = 0;
    for (int l = 0; l < 3; l++) {
        bfi_node *node = kit_add(graph, BFI_OP_LINEAR, a, -1, KIT_SHAPE(sizes[l + 1]));
        node->attrs.rows = 1, node->attrs.k = sizes[l], node->attrs.n = sizes[l + 1];
        node->weight = kit_numbers(NULL, sizes[l] * sizes[l + 1]);
        node->bias = kit_numbers(NULL, sizes[l + 1]);
        uint64_t state = l < 2 ? (uint64_t)l + 1 : seed;
        for (int64_t i = 0; i < node->weight.count + node->bias.count; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            double v = (double)(float)((double)(int64_t)(state >> 33) / 0x1p30 - 1);
            *(i < node->weight.count ? &node->weight.data[i]
                                     : &node->bias.data[i - node->weight.count]) = v;
        }
        a = graph->output;
        if (l < 2) a = net_same(graph, BFI_OP_RELU, a, -1);
    }
    kit_validate(graph);
    return graph;
}

static bf_options plain(void) {
    bf_options o = bf_options_default();
    o.simplify = 0;
    return o;
}

/* A plan of |graph|, which it takes over. */
static bf_plan *plan_of(bfi_graph *graph, bf_options options, int threads) {
    bf_model *model = net_model(graph);
    bf_plan *plan = NULL;
    bf_error err = {""};
    if (bf_plan_create(kit_session(threads), model, &options, &plan, &err))
        fail_msg("%s", err.message);
    bf_model_free(model);
    assert_non_null(bfi_plan_identity(plan));
    assert_ptr_equal(bfi_plan_identity(plan), bfi_plan_identity(plan));
    return plan;
}

static bool equal(const bfi_digest *a, const bfi_digest *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Values of |a| and |b| with one identity, by number, as bits; bit 30: spec, 31: outputs. */
static uint32_t shared(const bf_plan *a, const bf_plan *b) {
    const bfi_identity *x = bfi_plan_identity(a), *y = bfi_plan_identity(b);
    uint32_t bits = 0;
    for (int i = 0; i < a->graph->count && i < b->graph->count; i++)
        bits |= (uint32_t)equal(&x->values[i], &y->values[i]) << i;
    return bits | (uint32_t)equal(&x->spec, &y->spec) << 30 |
           (uint32_t)equal(&x->outputs, &y->outputs) << 31;
}

static uint32_t shared_once(bfi_graph *a, bf_options oa, bfi_graph *b, bf_options ob) {
    bf_plan *x = plan_of(a, oa, 1), *y = plan_of(b, ob, 1);
    uint32_t bits = shared(x, y);
    bf_plan_free(x);
    bf_plan_free(y);
    return bits;
}

/* Values: 0 input, 1 linear, 2 relu, 3 linear, 4 relu, 5 linear. */
#define ALL 0xc000003fu

static void the_same(void **state) {
    (void)state;
    bf_options o = plain();
    assert_int_equal(shared_once(layers(2, 9), o, layers(2, 9), o), ALL);
    bf_plan *base = plan_of(layers(2, 9), o, 1);
    bfi_graph *renamed = layers(2, 9);
    renamed->nodes[3].name[0] ^= 1;
    renamed->nodes[3].onnx_op[0] ^= 1;
    bf_options other[5];
    for (int i = 0; i < 5; i++) other[i] = o;
    other[0].executor = BF_EXECUTOR_REFERENCE;
    other[1].isa = "ref";
    other[2].partition = 0;
    other[3].memory = bf_plan_workspace_bytes(base);
    for (int i = 0; i < 5; i++) {
        bf_plan *plan = plan_of(i == 4 ? renamed : layers(2, 9), other[i], i == 4 ? 3 : 1);
        assert_int_equal(shared(base, plan), ALL);
        bf_plan_free(plan);
    }
    bf_plan_free(base);
}

static void options(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        bf_options o = plain();
        switch (i) {
            case 0:
                o.dtype = BF_DTYPE_FLOAT64;
                break;
            case 1:
                o.rounding = BF_ROUNDING_NEAREST;
                break;
            case 2:
                o.semantics = BF_SEMANTICS_FLOAT32;
                break;
            case 3:
                o.intersect = 1;
                break;
            default:
                o.all_neurons = 1;
                break;
        }
        assert_int_equal(shared_once(layers(2, 9), plain(), layers(2, 9), o), 0);
    }
    /* what comes before the first bounded value is the same for every method; what follows is not
     */
    bf_options ibp = plain(), mixed = plain();
    ibp.method = BF_METHOD_IBP, mixed.method = BF_METHOD_CROWN_IBP;
    assert_int_equal(shared_once(layers(2, 9), plain(), layers(2, 9), mixed), 0x7);
    assert_int_equal(shared_once(layers(2, 9), ibp, layers(2, 9), mixed), 0x3f);
}

/* Optimised slopes start from CROWN's hidden bounds: these are shared, results are not. */
static void optimised_slopes(void **state) {
    (void)state;
    bf_options alpha = plain();
    alpha.method = BF_METHOD_ALPHA_CROWN;
    assert_int_equal(shared_once(layers(2, 9), plain(), layers(2, 9), alpha), 0x3f);
    assert_int_equal(shared_once(layers(2, 9), alpha, layers(2, 9), alpha), ALL);
    for (int i = 0; i < 5; i++) {
        bf_options o = alpha;
        if (i == 0) o.iterations++;
        if (i == 1) o.lr *= 2;
        if (i == 2) o.lr_decay /= 2;
        if (i == 3) o.intermediate = BF_INTERMEDIATE_FIXED;
        if (i == 4) o.intermediate = BF_INTERMEDIATE_SHARED;
        assert_int_equal(shared_once(layers(2, 9), alpha, layers(2, 9), o), 0x3f);
    }
}

static void new_last_layer(void **state) {
    (void)state;
    bf_options o = plain();
    assert_int_equal(shared_once(layers(2, 9), o, layers(2, 10), o), 0x1f);
    assert_int_equal(shared_once(layers(2, 9), o, layers(7, 10), o), 0x1f);
    o.simplify = 1;
    assert_int_equal(shared_once(layers(2, 9), o, layers(7, 10), o), 0x1f);
}

/* One number of one weight: that value and all that follows. */
static void weights(void **state) {
    (void)state;
    for (int node = 1; node <= 5; node += 2)
        for (int which = 0; which < 6; which++) {
            bfi_graph *graph = layers(2, 9);
            bfi_node *n = &graph->nodes[node];
            double *data = which % 2 ? n->bias.data : n->weight.data;
            int64_t count = which % 2 ? n->bias.count : n->weight.count;
            double *x = &data[which < 2 ? 0 : which < 4 ? count - 1 : count / 2];
            *x = (double)nextafterf((float)*x, 9);
            assert_int_equal(shared_once(layers(2, 9), plain(), graph, plain()), (1u << node) - 1);
        }
}

/* The same numbers as another op, another slope, other inputs. */
static void structure(void **state) {
    (void)state;
    bfi_graph *graph = layers(2, 9);
    graph->nodes[2].op = BFI_OP_LEAKY_RELU;
    graph->nodes[2].attrs.slope = 0.25;
    bfi_graph *steeper = layers(2, 9);
    steeper->nodes[2].op = BFI_OP_LEAKY_RELU;
    steeper->nodes[2].attrs.slope = 0.5;
    assert_int_equal(shared_once(graph, plain(), steeper, plain()), 0x3);
    graph = layers(2, 9);
    graph->nodes[4].op = BFI_OP_TANH; /* its input needs bounds for stable neurons too */
    assert_int_equal(shared_once(layers(2, 9), plain(), graph, plain()), 0x7);

    bfi_graph *twice = layers(3, 9), *other = layers(3, 9);
    net_same(twice, BFI_OP_SUB, 5, 5);
    int copy = net_same(other, BFI_OP_RELU, 5, -1);
    net_same(other, BFI_OP_SUB, 5, copy);
    assert_int_equal(shared_once(twice, plain(), other, plain()) & 0x3f, 0x1f);
}

/* A value that is bounded for the sake of another branch is another value. */
static void other_branches(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(3)), *plus = kit_graph(KIT_SHAPE(3));
    for (int i = 0; i < 2; i++) {
        bfi_graph *g = i ? plus : graph;
        for (int l = 0; l < 3; l++) {
            bfi_node *node = kit_add(g, BFI_OP_LINEAR, l, -1, KIT_SHAPE(3));
            node->attrs.rows = 1, node->attrs.k = 3, node->attrs.n = 3;
            double w[9];
            for (int j = 0; j < 9; j++) w[j] = (double)(j * j % 7) - 3 + l;
            node->weight = kit_numbers(w, 9);
        }
        int relu = net_same(g, BFI_OP_RELU, 3, -1);
        if (i) {
            int second = net_same(g, BFI_OP_RELU, 2, -1);
            net_same(g, BFI_OP_ADD, relu, second);
        }
    }
    /* value 2 feeds a relu in |plus| alone, so it is bounded there, and 3 is computed from it */
    assert_int_equal(shared_once(graph, plain(), plus, plain()), 0x3);
}

/* The bits of bounds that files may hold. When this fails because bounds changed, raise
 * BFI_BOUNDS_REVISION (plan/identity.h) and put the new hash here. */
static void revision(void **state) {
    (void)state;
    bfi_blake2b hash;
    bfi_blake2b_start(&hash, 32);
    const double lo[3] = {-0.5, -1, 0.25}, hi[3] = {0.5, 0.125, 1};
    for (int s = 0; s < 48; s++) {
        bfi_graph *graph = layers(3, 9);
        static const bfi_op ops[] = {BFI_OP_RELU, BFI_OP_TANH, BFI_OP_SIGMOID, BFI_OP_ABS};
        if (s % 4) graph->nodes[4].op = ops[s % 4];
        bf_options o = bf_options_default();
        o.method = (bf_method)(s % 3), o.dtype = (bf_dtype)(s / 3 % 2);
        o.executor = (bf_executor)(s / 6 % 2), o.intersect = s / 12 % 2;
        o.semantics = (bf_semantics)(s / 24);
        bf_model *model = net_model(graph);
        double bounds[2][3];
        const double spec[6] = {1, -1, 0, 0, 1, -1};
        kit_bounds_once(model, o, lo, hi, NULL, 0, bounds[0], bounds[1]);
        bfi_blake2b_add(&hash, bounds, sizeof bounds);
        kit_bounds_once(model, o, lo, hi, spec, 2, bounds[0], bounds[1]);
        bfi_blake2b_add(&hash, bounds, sizeof bounds);
        bf_model_free(model);
    }
    bfi_digest digest = bfi_blake2b_digest(&hash);
    char text[65];
    for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest.bytes[i]);
    assert_int_equal(BFI_BOUNDS_REVISION, 6);
    assert_string_equal(text, "83e04c3686f1c55809040c1cd32a21c330f60e07272e158eed2a5f4174751e48");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same),         cmocka_unit_test(options),
        cmocka_unit_test(optimised_slopes), cmocka_unit_test(new_last_layer),
        cmocka_unit_test(weights),          cmocka_unit_test(structure),
        cmocka_unit_test(other_branches),   cmocka_unit_test(revision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
