/* Runs with a cache: the bits of runs without one, whatever is found where; counters that say what
 * was found; sound starts by containment; nothing kept of runs that were stopped. */
#include "bounds_kit.h"
#include "boundflow/cache.h"
#include "runtime/cache/cache.h"
#include "plan/plan.h"

enum { BOXES = 3, ROWS = 4, MOST = 4096 };

/* A model, boxes with splits, and a spec. */
typedef struct problem {
    bf_model *model;
    int64_t inputs, outputs;
    bool use_enough; /* lower bounds alone */
    double *lo, *hi, *spec, *enough;
    bf_split splits[2 * BOXES];
    int64_t first_split[BOXES + 1];
} problem;

static problem pose(bfi_graph *graph) {
    problem p = {.inputs = graph->nodes[0].count, .outputs = graph->nodes[graph->output].count};
    p.model = net_model(graph);
    p.lo = calloc((size_t)(BOXES * p.inputs), sizeof(double));
    p.hi = calloc((size_t)(BOXES * p.inputs), sizeof(double));
    p.spec = calloc((size_t)(ROWS * p.outputs), sizeof(double));
    p.enough = calloc((size_t)(BOXES * (ROWS + p.outputs)), sizeof(double));
    for (int64_t i = 0; i < BOXES * (ROWS + p.outputs); i++) p.enough[i] = net_uniform();
    for (int b = 0; b < BOXES; b++)
        net_box(NET_PLAIN, p.inputs, p.lo + b * p.inputs, p.hi + b * p.inputs);
    for (int64_t i = 0; i < ROWS * p.outputs; i++) p.spec[i] = net_uniform();
    return p;
}

static void clear(problem *p) {
    free(p->lo), free(p->hi), free(p->spec), free(p->enough);
    bf_model_free(p->model);
}

/* Zero to two splits per box, of the activations that |plan| has. */
static void draw_splits(problem *p, const bf_plan *plan) {
    int64_t count = 0;
    int activations = bf_plan_activation_count(plan);
    for (int b = 0; b < BOXES; b++) {
        p->first_split[b] = count;
        for (int64_t n = activations ? kit_int(0, 2) : 0; n > 0; n--) {
            bf_split *s = &p->splits[count++];
            *s = (bf_split){.activation = (int)kit_int(0, activations - 1),
                            .sign = kit_int(0, 1) ? 1 : -1,
                            .point = kit_int(0, 3) ? 0 : net_uniform()};
            s->neuron = kit_int(0, bf_plan_activation(plan, s->activation).neurons - 1);
        }
    }
    p->first_split[BOXES] = count;
}

/* Lower, upper, error of the rows, then of the outputs: 3 * BOXES * (ROWS + outputs) numbers. */
typedef struct results {
    double *numbers;
    size_t bytes;
} results;

static results results_new(const problem *p) {
    size_t count = (size_t)(3 * BOXES * (ROWS + p->outputs));
    return (results){calloc(count, sizeof(double)), count * sizeof(double)};
}

static bf_request request_of(const problem *p, const results *r, bool outputs, bool splits) {
    int64_t rows = outputs ? p->outputs : ROWS;
    double *at = r->numbers + (outputs ? 3 * BOXES * ROWS : 0);
    bf_request q = {.lo = p->lo, .hi = p->hi, .boxes = BOXES};
    q.spec = outputs ? NULL : p->spec, q.rows = ROWS;
    q.lower = at, q.upper = at + BOXES * rows, q.lower_error = at + 2 * BOXES * rows;
    if (splits) q.splits = p->splits, q.first_split = p->first_split;
    if (p->use_enough) q.enough = p->enough, q.upper = NULL;
    return q;
}

static void run(const kit_engine *e, const problem *p, const results *r, bool outputs,
                bool splits) {
    bf_error err = {""};
    bf_request q = request_of(p, r, outputs, splits);
    if (bf_bounds_run(e->plan, e->ws, &q, &err)) fail_msg("%s", err.message);
}

static bf_session *session_with(bf_cache *cache, int threads) {
    bf_session *session = NULL;
    assert_int_equal(bf_session_create(threads, &session, NULL), BF_STATUS_OK);
    bf_session_set_cache(session, cache);
    return session;
}

static kit_engine engine_in(bf_session *session, const bf_model *model, bf_options options) {
    kit_engine e = {0};
    bf_error err = {""};
    if (bf_plan_create(session, model, &options, &e.plan, &err)) fail_msg("%s", err.message);
    if (bf_workspace_create(e.plan, &e.ws, &err)) fail_msg("%s", err.message);
    return e;
}

static bf_cache *cache_of(int64_t bytes, int contain) {
    bf_cache_options options = bf_cache_options_default();
    options.bytes = bytes, options.contain = contain;
    bf_cache *cache = NULL;
    assert_int_equal(bf_cache_create(&options, &cache, NULL), BF_STATUS_OK);
    return cache;
}

static bf_options random_options(int index) {
    bf_options o = kit_setting(index % KIT_SETTINGS);
    if (!kit_int(0, 3)) {
        o.method = BF_METHOD_ALPHA_CROWN;
        o.intermediate = (bf_intermediate)kit_int(0, BF_INTERMEDIATE_SHARED);
        o.iterations = (int)kit_int(1, 4);
    }
    o.semantics = kit_int(0, 2) ? BF_SEMANTICS_REAL : BF_SEMANTICS_FLOAT32;
    o.all_neurons = !kit_int(0, 4);
    o.keep_layers = !kit_int(0, 3);
    o.simplify = (int)kit_int(0, 1);
    o.partition = (int)kit_int(0, 1);
    o.batch = kit_int(1, BOXES);
    return o;
}

static bfi_graph *random_graph(void) {
    return kit_int(0, 2) ? net_mlp(NET_PLAIN) : net_conv(NET_PLAIN);
}

/* Layers that the plan keeps, in one row. */
static size_t layers_of(const kit_engine *e, const problem *p, double *out) {
    size_t used = 0;
    for (int i = 0; i < p->model->graph->count; i++) {
        size_t n = (size_t)p->model->graph->nodes[i].count;
        assert_true(used + 2 * n <= MOST);
        if (bf_workspace_layer(e->plan, e->ws, i, out + used, out + used + n)) used += 2 * n;
    }
    return used;
}

/* Cold, warm, in another session, with few bytes: always the bits of no cache. */
static void the_same_bits(void **state) {
    (void)state;
    int64_t hits = 0, held = 0, kept = 0;
    for (int round = 0; round < 300; round++) {
        problem p = pose(random_graph());
        bf_options o = random_options(round);
        results right = results_new(&p), got = results_new(&p);
        kit_engine plain = kit_engine_new(1, p.model, o);
        static double right_layers[MOST], layers[MOST];
        draw_splits(&p, plain.plan);
        bool splits = kit_int(0, 1);
        p.use_enough = !kit_int(0, 3);
        memset(right.numbers, 0x55, right.bytes);
        for (int outputs = 0; outputs < 2; outputs++) run(&plain, &p, &right, outputs, splits);
        size_t layer_count = layers_of(&plain, &p, right_layers);
        bf_cache *cache = cache_of(round % 5 ? 1 << 20 : 5000, 0);
        bf_session *sessions[2] = {session_with(cache, 1), session_with(cache, 3)};
        bf_options other = o; /* what changes no bit changes no key */
        other.executor =
            o.executor == BF_EXECUTOR_NATIVE ? BF_EXECUTOR_REFERENCE : BF_EXECUTOR_NATIVE;
        other.partition = !o.partition, other.batch = 4 - o.batch;
        kit_engine e[2] = {engine_in(sessions[0], p.model, o),
                           engine_in(sessions[1], p.model, other)};
        for (int which = 0; which < 6; which++) {
            const kit_engine *here = &e[which / 2 % 2];
            memset(got.numbers, 0x55, got.bytes);
            bool first = kit_int(0, 1);
            run(here, &p, &got, first, splits);
            run(here, &p, &got, !first, splits);
            assert_memory_equal(got.numbers, right.numbers, right.bytes);
            if (!o.keep_layers) continue;
            assert_int_equal(layers_of(here, &p, layers), layer_count);
            assert_memory_equal(layers, right_layers, layer_count * sizeof(double));
            kept++;
        }
        bf_cache_stats stats = bf_cache_stats_now(cache);
        hits += stats.hits, held += stats.held;
        assert_int_equal(stats.containment_hits + stats.problems, 0);
        for (int i = 0; i < 2; i++) {
            kit_engine_free(&e[i]);
            bf_session_free(sessions[i]);
        }
        bf_cache_free(cache);
        kit_engine_free(&plain);
        free(right.numbers), free(got.numbers);
        clear(&p);
    }
    if (hits <= 1000 || held <= 30 || kept <= 100)
        fail_msg("%d hits, %d held, %d kept", (int)hits, (int)held, (int)kept);
}

/* 4 -> 6 -> 6 -> 6 -> outputs; three bounded values (the first is exact). */
static bfi_graph *deep(int64_t outputs, int64_t last) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(4));
    const int64_t sizes[5] = {4, 6, 6, 6, outputs};
    int a = 0;
    for (int l = 0; l < 4; l++) {
        bfi_node *node = kit_add(graph, BFI_OP_LINEAR, a, -1, KIT_SHAPE(sizes[l + 1]));
        node->attrs.rows = 1, node->attrs.k = sizes[l], node->attrs.n = sizes[l + 1];
        node->weight = kit_numbers(NULL, sizes[l] * sizes[l + 1]);
        for (int64_t i = 0; i < node->weight.count; i++)
            node->weight.data[i] = (double)((i * 7 + l * 5 + (l == 3) * last) % 13 - 6) / 8;
        a = graph->output;
        if (l < 3) a = net_same(graph, BFI_OP_RELU, a, -1);
    }
    kit_validate(graph);
    return graph;
}

typedef struct counted {
    bf_cache *cache;
    bf_session *session;
    bf_cache_stats last;
} counted;

/* What happened since the last look. */
static bf_cache_stats since(counted *c) {
    bf_cache_stats now = bf_cache_stats_now(c->cache), d = now;
    d.hits -= c->last.hits, d.misses -= c->last.misses, d.held -= c->last.held;
    d.insertions -= c->last.insertions;
    d.containment_hits -= c->last.containment_hits;
    c->last = now;
    return d;
}

static void expect(counted *c, int64_t hits, int64_t misses, int64_t held, int64_t insertions) {
    bf_cache_stats d = since(c);
    assert_int_equal(d.hits, hits);
    assert_int_equal(d.misses, misses);
    assert_int_equal(d.held, held);
    assert_int_equal(d.insertions, insertions);
}

static counted counted_new(int contain) {
    counted c = {.cache = cache_of(1 << 20, contain)};
    c.session = session_with(c.cache, 1);
    return c;
}

static void counted_free(counted *c) {
    bf_session_free(c->session);
    bf_cache_free(c->cache);
}

static void layers_are_shared(void **state) {
    (void)state;
    const double lo[4] = {-1, -0.5, 0, 0.25}, hi[4] = {-0.5, 0.5, 1, 0.5};
    const double spec[3][3] = {{1, -1, 0}, {0, 1, -1}, {1, 1, 1}};
    double lower[5], upper[5];
    counted c = counted_new(0);
    bf_model *first = net_model(deep(3, 0)), *second = net_model(deep(5, 4));
    kit_engine e = engine_in(c.session, first, bf_options_default());
    kit_bounds(&e, lo, hi, spec[0], 1, lower, upper);
    expect(&c, 0, 3, 0, 3); /* two hidden layers, one spec */
    assert_int_equal(bf_workspace_stats(e.ws).reused, 0);
    kit_bounds(&e, lo, hi, spec[0], 1, lower, upper);
    expect(&c, 1, 0, 0, 0);
    assert_int_equal(bf_workspace_stats(e.ws).reused, 1);
    assert_int_equal(bf_workspace_stats(e.ws).lanes, 0);
    kit_bounds(&e, lo, hi, spec[1], 1, lower, upper); /* another spec: the workspace has the rest */
    expect(&c, 0, 1, 2, 1);
    assert_int_equal(bf_workspace_stats(e.ws).reused, 2);
    kit_bounds(&e, lo, hi, spec[0], 2, lower, upper);
    expect(&c, 0, 1, 2, 1);
    kit_bounds(&e, lo, hi, NULL, 0, lower, upper);
    expect(&c, 0, 1, 2, 1);
    /* another workspace, another box in between: the layers are in memory */
    kit_bounds(&e, lo, lo, NULL, 0, lower, upper);
    expect(&c, 0, 3, 0, 3);
    kit_bounds(&e, lo, hi, spec[2], 1, lower, upper);
    expect(&c, 2, 1, 0, 1);
    kit_engine_free(&e);

    /* a new last layer: all layers before it are known, and the bits are those of computing */
    e = engine_in(c.session, second, bf_options_default());
    double right_lower[5], right_upper[5];
    kit_bounds_once(second, bf_options_default(), lo, hi, NULL, 0, right_lower, right_upper);
    kit_bounds(&e, lo, hi, NULL, 0, lower, upper);
    expect(&c, 2, 1, 0, 1);
    assert_memory_equal(lower, right_lower, sizeof lower);
    assert_memory_equal(upper, right_upper, sizeof upper);
    kit_engine_free(&e);
    bf_model_free(first);
    bf_model_free(second);
    counted_free(&c);
}

/* Functionals are never left as they were: who wants them has results computed. */
static void functionals_are_computed(void **state) {
    (void)state;
    const double lo[4] = {-1, -0.5, 0, 0.25}, hi[4] = {-0.5, 0.5, 1, 0.5}, spec[3] = {1, -1, 0};
    double right[4], got[4], lower[1];
    counted c = counted_new(0);
    bf_model *model = net_model(deep(3, 0));
    bf_request q = {.lo = lo, .hi = hi, .spec = spec, .rows = 1, .lower = lower};
    kit_engine plain = kit_engine_new(1, model, bf_options_default());
    kit_engine e = engine_in(c.session, model, bf_options_default());
    q.functional = right;
    assert_int_equal(bf_bounds_run(plain.plan, plain.ws, &q, NULL), BF_STATUS_OK);
    for (int round = 0; round < 4; round++) {
        q.functional = round % 2 ? got : NULL;
        memset(got, 0x55, sizeof got);
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
        if (q.functional) assert_memory_equal(got, right, sizeof got);
    }
    kit_engine_free(&e);
    kit_engine_free(&plain);
    bf_model_free(model);
    counted_free(&c);
}

/* A split of the last hidden layer leaves the layers before it as they are. */
static void splits_are_part_of_the_question(void **state) {
    (void)state;
    const double lo[4] = {-1, -0.5, 0, 0.25}, hi[4] = {-0.5, 0.5, 1, 0.5};
    double lower[3], upper[3];
    counted c = counted_new(0);
    bf_model *model = net_model(deep(3, 0));
    kit_engine e = engine_in(c.session, model, bf_options_default());
    bf_split splits[2] = {{.activation = 2, .neuron = 1, .sign = 1},
                          {.activation = 1, .neuron = 2, .sign = -1}};
    int64_t first[2] = {0, 0};
    bf_request q = {.lo = lo, .hi = hi, .lower = lower, .upper = upper};
    q.splits = splits, q.first_split = first;
    const struct {
        int64_t first, count, hits, misses;
    } steps[] = {
        {0, 0, 0, 3}, /* no splits: everything is new */
        {0, 1, 1, 2}, /* the last hidden layer and the result change */
        {1, 1, 0, 3}, /* the first bounded layer, and all behind it */
        {0, 2, 1, 2}, /* both: the first bounded layer is that of one */
        {0, 2, 1, 0}, {0, 0, 1, 0},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        first[0] = steps[i].first, first[1] = steps[i].first + steps[i].count;
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
        bf_cache_stats d = since(&c);
        assert_int_equal(d.hits, steps[i].hits);
        assert_int_equal(d.misses, steps[i].misses);
    }
    /* the order does not matter, the point does */
    bf_split swapped = splits[0];
    splits[0] = splits[1], splits[1] = swapped;
    first[0] = 0, first[1] = 2;
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
    assert_int_equal(since(&c).hits, 1);
    splits[1].point = 0x1p-20;
    assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
    assert_int_equal(since(&c).misses, 2);
    kit_engine_free(&e);
    bf_model_free(model);
    counted_free(&c);
}

/* Every option that changes numbers makes new questions; a weight does. */
static void nothing_else_is_found(void **state) {
    (void)state;
    const double lo[4] = {-1, -0.5, 0, 0.25}, hi[4] = {-0.5, 0.5, 1, 0.5};
    double lower[3], upper[3];
    counted c = counted_new(0);
    bf_model *model = net_model(deep(3, 0));
    for (int i = 0; i < 10; i++) {
        bf_options o = bf_options_default();
        bfi_graph *graph = deep(3, 0);
        bf_model *changed = net_model(graph);
        if (i == 1) o.dtype = BF_DTYPE_FLOAT64;
        if (i == 2) o.rounding = BF_ROUNDING_NEAREST;
        if (i == 3) o.semantics = BF_SEMANTICS_FLOAT32;
        if (i == 4) o.intersect = 1;
        if (i == 5) o.all_neurons = 1;
        if (i == 6) o.method = BF_METHOD_IBP;
        if (i == 7) o.method = BF_METHOD_CROWN_IBP;
        if (i == 8) graph->nodes[1].weight.data[0] += 0.125;
        kit_engine e = engine_in(c.session, i == 8 ? changed : model, o);
        kit_bounds(&e, lo, i == 9 ? (const double[4]){-0.5, 0.5, 1, nextafter(0.5, 1)} : hi, NULL,
                   0, lower, upper);
        bf_cache_stats d = since(&c);
        assert_int_equal(d.hits, 0);
        assert_true(d.insertions > 0);
        kit_engine_free(&e);
        bf_model_free(changed);
    }
    bf_model_free(model);
    counted_free(&c);
}

/* With containment bounds hold, and are tighter than without here and there. */
static void containment(void **state) {
    (void)state;
    int64_t tighter = 0, starts = 0;
    for (int round = 0; round < 150; round++) {
        problem p = pose(random_graph());
        bf_options o = random_options(round);
        o.keep_layers = 0;
        counted c = counted_new(1);
        kit_engine e = engine_in(c.session, p.model, o), plain = kit_engine_new(1, p.model, o);
        results got = results_new(&p), right = results_new(&p), again = results_new(&p);
        draw_splits(&p, e.plan);
        int64_t n = BOXES * p.inputs;
        for (int shrink = 0; shrink < 4; shrink++) {
            bool splits = shrink == 3;
            run(&e, &p, &got, true, splits);
            run(&plain, &p, &right, true, splits);
            run(&e, &p, &again, true, splits);
            int64_t count = BOXES * p.outputs;
            const double *lower = got.numbers + 3 * BOXES * ROWS, *upper = lower + count;
            const double *plain_lower = right.numbers + 3 * BOXES * ROWS,
                         *plain_upper = plain_lower + count;
            assert_memory_equal(again.numbers, got.numbers, got.bytes); /* its own answers */
            for (int64_t j = 0; j < count; j++) {
                if (plain_lower[j] > plain_upper[j]) continue; /* no inputs: anything holds */
                tighter += lower[j] > plain_lower[j] || upper[j] < plain_upper[j];
            }
            for (int sample = 0; sample < 10 && !splits; sample++)
                for (int b = 0; b < BOXES; b++) {
                    double x[MOST], y[MOST];
                    assert_true(p.inputs <= MOST && p.outputs <= MOST);
                    net_point(p.inputs, p.lo + b * p.inputs, p.hi + b * p.inputs, x);
                    assert_int_equal(bf_model_evaluate(p.model, 0, x, y, NULL), BF_STATUS_OK);
                    for (int64_t j = 0; j < p.outputs; j++) {
                        double room = 1e-9 * (1 + fabs(y[j]));
                        assert_true(lower[b * p.outputs + j] <= y[j] + room);
                        assert_true(upper[b * p.outputs + j] >= y[j] - room);
                    }
                }
            for (int64_t i = 0; i < n; i++) { /* inside the last one */
                double middle = p.lo[i] / 2 + p.hi[i] / 2;
                p.lo[i] = p.lo[i] + (middle - p.lo[i]) / 4;
                p.hi[i] = p.hi[i] - (p.hi[i] - middle) / 4;
                if (p.lo[i] > p.hi[i]) p.lo[i] = p.hi[i];
            }
        }
        starts += bf_cache_stats_now(c.cache).containment_hits;
        kit_engine_free(&e);
        kit_engine_free(&plain);
        counted_free(&c);
        free(got.numbers), free(right.numbers), free(again.numbers);
        clear(&p);
    }
    print_message("%d starts, %d bounds tighter\n", (int)starts, (int)tighter);
    assert_true(starts > 100 && tighter > 10);
}

/* What containment made tighter is not found by those who did not ask for it. */
static void derived_answers_stay_apart(void **state) {
    (void)state;
    bf_cache_options options = bf_cache_options_default();
    for (int round = 0; round < 60; round++) {
        problem p = pose(net_mlp(NET_PLAIN));
        bf_options o = kit_setting(round % KIT_SETTINGS);
        results right = results_new(&p), got = results_new(&p);
        kit_engine plain = kit_engine_new(1, p.model, o);
        run(&plain, &p, &right, true, false);
        options.contain = 1;
        bf_cache *cache = NULL;
        assert_int_equal(bf_cache_create(&options, &cache, NULL), BF_STATUS_OK);
        bf_session *session = session_with(cache, 1);
        kit_engine e = engine_in(session, p.model, o);
        problem wide = p;
        wide.lo = calloc((size_t)(BOXES * p.inputs), sizeof(double));
        wide.hi = calloc((size_t)(BOXES * p.inputs), sizeof(double));
        for (int64_t i = 0; i < BOXES * p.inputs; i++)
            wide.lo[i] = p.lo[i] - 0.01, wide.hi[i] = p.hi[i] + 0.01;
        run(&e, &wide, &got, true, false);
        run(&e, &p, &got, true, false);
        /* the answers that are not derived are the plain ones */
        bfi_region region = {.inputs = p.inputs, .lo = p.lo, .hi = p.hi};
        region.hash = bfi_region_hash(&region);
        double numbers[3][64];
        assert_true(p.outputs <= 64);
        bfi_question q = {.what = &bfi_plan_identity(e.plan)->outputs, .region = &region};
        q.count = p.outputs, q.parts = 7;
        if (bfi_cache_get(cache, &q, &(bfi_answer){{numbers[0], numbers[1], numbers[2]}})) {
            const double *at = right.numbers + 3 * BOXES * ROWS;
            assert_memory_equal(numbers[0], at, (size_t)p.outputs * sizeof(double));
        }
        kit_engine_free(&e);
        bf_session_free(session);
        bf_cache_free(cache);
        kit_engine_free(&plain);
        free(wide.lo), free(wide.hi), free(right.numbers), free(got.numbers);
        clear(&p);
    }
}

static bfi_graph *wide_graph(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(40));
    int a = 0;
    for (int l = 0; l < 6; l++) {
        a = net_linear(graph, NET_PLAIN, a, 1, l ? 120 : 40, 120);
        a = net_same(graph, BFI_OP_RELU, a, -1);
    }
    net_linear(graph, NET_PLAIN, a, 1, 120, 3);
    kit_validate(graph);
    return graph;
}

/* Runs that end early, at any moment, leave nothing behind that is not right. */
static void stopped_runs(void **state) {
    (void)state;
    bf_model *model = net_model(wide_graph());
    double lo[40], hi[40], right[2][3], got[2][3];
    for (int i = 0; i < 40; i++) lo[i] = -0.1, hi[i] = 0.1;
    bf_options o = bf_options_default();
    kit_engine plain = kit_engine_new(2, model, o);
    double begin = bf_clock();
    kit_bounds(&plain, lo, hi, NULL, 0, right[0], right[1]);
    double whole = bf_clock() - begin;
    int early = 0;
    for (int round = 0; round < 40; round++) {
        counted c = counted_new(0);
        kit_engine e = engine_in(c.session, model, o);
        bf_request q = {.lo = lo, .hi = hi, .lower = got[0], .upper = got[1]};
        q.deadline = bf_clock() + whole * round / 40;
        bf_status status = bf_bounds_run(e.plan, e.ws, &q, NULL);
        assert_true(status == BF_STATUS_OK || status == BF_STATUS_TIMEOUT);
        early += status == BF_STATUS_TIMEOUT;
        q.deadline = 0;
        for (int again = 0; again < 2; again++) {
            assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
            assert_memory_equal(got, right, sizeof right);
        }
        kit_engine_free(&e);
        counted_free(&c);
    }
    assert_true(early > 5);
    kit_engine_free(&plain);
    bf_model_free(model);
}

/* The same workspace, the cache taken away and given back, other sizes of requests. */
static void coming_and_going(void **state) {
    (void)state;
    problem p = pose(deep(3, 0));
    bf_options o = bf_options_default();
    o.batch = 2;
    results right = results_new(&p), got = results_new(&p);
    kit_engine plain = kit_engine_new(1, p.model, o);
    for (int outputs = 0; outputs < 2; outputs++) run(&plain, &p, &right, outputs, false);
    bf_session *session = session_with(NULL, 1);
    bf_cache *caches[3] = {NULL, cache_of(1 << 20, 0), cache_of(0, 0)};
    kit_engine e = engine_in(session, p.model, o);
    for (int round = 0; round < 60; round++) {
        bf_session_set_cache(session, caches[kit_int(0, 2)]);
        bool outputs = kit_int(0, 1);
        bf_request q = request_of(&p, &got, outputs, false);
        int64_t rows = outputs ? p.outputs : ROWS;
        size_t at = (size_t)(q.lower - got.numbers);
        memset(got.numbers, 0x55, got.bytes);
        q.boxes = kit_int(1, BOXES);
        assert_int_equal(bf_bounds_run(e.plan, e.ws, &q, NULL), BF_STATUS_OK);
        assert_memory_equal(got.numbers + at, right.numbers + at,
                            (size_t)(q.boxes * rows) * sizeof(double));
    }
    kit_engine_free(&e);
    kit_engine_free(&plain);
    bf_session_free(session);
    for (int i = 0; i < 3; i++) bf_cache_free(caches[i]);
    free(right.numbers), free(got.numbers);
    clear(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits),
        cmocka_unit_test(layers_are_shared),
        cmocka_unit_test(functionals_are_computed),
        cmocka_unit_test(splits_are_part_of_the_question),
        cmocka_unit_test(nothing_else_is_found),
        cmocka_unit_test(containment),
        cmocka_unit_test(derived_answers_stay_apart),
        cmocka_unit_test(stopped_runs),
        cmocka_unit_test(coming_and_going),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
