/* The text form of graphs, programs and tasks: print, parse, print again; good and bad files. */
#include <dirent.h>
#include <stdio.h>

#include "base/file.h"
#include "bounds_kit.h"
#include "domain/linear/backward.h"
#include "frontend/onnx.h"
#include "ir/lex.h"
#include "ir/text.h"
#include "ir/text_attr.h"
#include "op_cases.h"
#include "plan/plan.h"
#include "plan/storage.h"

typedef struct text {
    char *data;
    size_t size;
} text;

static text print_graph(const bfi_graph *graph, unsigned flags) {
    text t = {0};
    bf_error err = {""};
    if (bfi_graph_print(graph, flags, &t.data, &t.size, &err)) fail_msg("%s", err.message);
    assert_int_equal(strlen(t.data), t.size);
    return t;
}

static text print_program(const bfi_program *program, const bfi_graph *graph) {
    text t = {0};
    bf_error err = {""};
    if (bfi_program_print(program, graph, &t.data, &t.size, &err)) fail_msg("%s", err.message);
    return t;
}

static bfi_graph *parse_graph(const char *data, size_t size) {
    bfi_graph *graph = NULL;
    bf_error err = {""};
    if (bfi_graph_parse(data, size, "t.bfir", &graph, &err)) fail_msg("%s\n%s", err.message, data);
    return graph;
}

static void assert_same_bits(double a, double b) {
    if (memcmp(&a, &b, sizeof a)) fail_msg("%a became %a", a, b);
}

static void assert_same_numbers(const bfi_numbers *a, const bfi_numbers *b) {
    assert_int_equal(a->count, b->count);
    for (int64_t i = 0; i < a->count; i++) assert_same_bits(a->data[i], b->data[i]);
}

static void assert_same_attrs(const bfi_attrs *a, const bfi_attrs *b) {
    assert_memory_equal(&a->window.groups, &b->window.groups,
                        offsetof(bfi_window, count_pad) - offsetof(bfi_window, groups));
    assert_int_equal(a->window.count_pad, b->window.count_pad);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->k, b->k);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->batch, b->batch);
    assert_int_equal(a->axis, b->axis);
    assert_memory_equal(a->perm, b->perm, sizeof a->perm);
    assert_memory_equal(a->start, b->start, sizeof a->start);
    assert_memory_equal(a->step, b->step, sizeof a->step);
    assert_memory_equal(a->reduce, b->reduce, sizeof a->reduce);
    assert_same_bits(a->lo, b->lo);
    assert_same_bits(a->hi, b->hi);
    assert_same_bits(a->slope, b->slope);
    assert_same_bits(a->value, b->value);
    assert_int_equal(a->roundings, b->roundings);
    assert_int_equal(a->const_ulps, b->const_ulps);
}

static void assert_same_node(const bfi_node *a, const bfi_node *b) {
    assert_int_equal(a->op, b->op);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->onnx_op, b->onnx_op);
    assert_int_equal(a->n_inputs, b->n_inputs);
    for (int i = 0; i < a->n_inputs; i++) assert_int_equal(a->inputs[i], b->inputs[i]);
    assert_true(bfi_shape_equal(&a->shape, &b->shape));
    assert_int_equal(a->count, b->count);
    assert_same_attrs(&a->attrs, &b->attrs);
    assert_same_numbers(&a->weight, &b->weight);
    assert_same_numbers(&a->bias, &b->bias);
    assert_int_equal(a->n_indices, b->n_indices);
    for (int64_t i = 0; i < a->n_indices; i++) assert_int_equal(a->indices[i], b->indices[i]);
    assert_true(bfi_shape_equal(&a->indices_shape, &b->indices_shape));
}

static void assert_same_graph(const bfi_graph *a, const bfi_graph *b) {
    assert_int_equal(a->count, b->count);
    for (int id = 0; id < a->count; id++) assert_same_node(&a->nodes[id], &b->nodes[id]);
    assert_int_equal(a->output, b->output);
    assert_string_equal(a->source, b->source);
    assert_string_equal(a->input_name, b->input_name);
    assert_string_equal(a->output_name, b->output_name);
    assert_int_equal(a->is_float64, b->is_float64);
}

static void assert_same_program(const bfi_program *a, const bfi_program *b) {
    assert_int_equal(a->target, b->target);
    assert_int_equal(a->spec, b->spec);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->loop, b->loop);
    assert_int_equal(a->shared, b->shared);
    assert_int_equal(a->adjoint, b->adjoint);
    assert_int_equal(a->mix, b->mix);
    assert_int_equal(a->op_count, b->op_count);
    assert_int_equal(a->buffer_count, b->buffer_count);
    for (int i = 0; i < a->op_count; i++) {
        const bfi_back_op *x = &a->ops[i], *y = &b->ops[i];
        assert_int_equal(x->kind, y->kind);
        assert_int_equal(x->node, y->node);
        assert_int_equal(x->which, y->which);
        assert_int_equal(x->a, y->a);
        assert_int_equal(x->b, y->b);
        assert_int_equal(x->out, y->out);
        assert_int_equal(x->c, y->c);
    }
    for (int i = 0; i < a->buffer_count; i++) {
        const bfi_buffer *x = &a->buffers[i], *y = &b->buffers[i];
        assert_int_equal(x->count, y->count);
        assert_int_equal(x->first, y->first);
        assert_int_equal(x->last, y->last);
        assert_int_equal(x->alias_of, y->alias_of);
        assert_int_equal(x->offset, y->offset);
    }
}

static void assert_same_text(const text *a, const text *b) {
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
}

static void round_trip_graph(const bfi_graph *graph) {
    text first = print_graph(graph, BFI_TEXT_FULL);
    bfi_graph *back = parse_graph(first.data, first.size);
    assert_same_graph(graph, back);
    text second = print_graph(back, BFI_TEXT_FULL);
    assert_same_text(&first, &second);
    free(first.data);
    free(second.data);
    bfi_graph_free(back);
}

static void round_trip_program(const bfi_program *program, const bfi_graph *graph) {
    text first = print_program(program, graph);
    bfi_program back;
    bf_error err = {""};
    if (bfi_program_parse(first.data, first.size, "p.bfir", graph, &back, &err))
        fail_msg("%s\n%s", err.message, first.data);
    assert_same_program(program, &back);
    text second = print_program(&back, graph);
    assert_same_text(&first, &second);
    free(first.data);
    free(second.data);
    bfi_program_clear(&back);
}

static void note_kinds(const bfi_program *program, bool *kinds) {
    for (int i = 0; i < program->op_count; i++) kinds[program->ops[i].kind] = true;
}

/* One program before and after each storage pass. */
static void round_trip_target(const bfi_graph *graph, int target, bfi_emit_options options,
                              bool *kinds) {
    bfi_program program = {0};
    assert_int_equal(bfi_linear_emit(graph, target, options, &program, NULL), BF_STATUS_OK);
    note_kinds(&program, kinds);
    round_trip_program(&program, graph);
    bfi_pass_liveness(&program);
    round_trip_program(&program, graph);
    assert_int_equal(bfi_pass_reuse(&program, NULL), BF_STATUS_OK);
    round_trip_program(&program, graph);
    bfi_program_clear(&program);
}

static void round_trip_programs(const bfi_graph *graph, bool *kinds) {
    for (int id = 1; id < graph->count; id++)
        round_trip_target(graph, id, (bfi_emit_options){.try_boxes = id % 2}, kinds);
    round_trip_target(graph, graph->output, (bfi_emit_options){.spec = true}, kinds);
    round_trip_target(graph, graph->output,
                      (bfi_emit_options){.spec = true, .slopes = BFI_SLOPES_BY_LANE}, kinds);
    round_trip_target(graph, graph->output, (bfi_emit_options){.slopes = BFI_SLOPES_SHARED}, kinds);
    round_trip_target(graph, graph->output,
                      (bfi_emit_options){.spec = true, .stop_after_linear = true}, kinds);
    bool *products = calloc((size_t)graph->count, sizeof *products);
    for (int id = 0; id < graph->count; id++) products[id] = graph->nodes[id].op == BFI_OP_MUL;
    round_trip_target(graph, graph->output, (bfi_emit_options){.spec = true, .curved = products},
                      kinds);
    free(products);
}

/* The cases set attributes on ops that have none of them. */
static void clear_unused(bfi_graph *graph) {
    for (int id = 0; id < graph->count; id++) {
        bfi_node *node = &graph->nodes[id];
        if (node->op != BFI_OP_LEAKY_RELU) node->attrs.slope = 0;
        if (node->op != BFI_OP_CLIP) node->attrs.lo = node->attrs.hi = 0;
    }
}

static void test_every_op(void **state) {
    (void)state;
    bool ops[BFI_OP_COUNT] = {false}, kinds[BFI_BACK_COUNT] = {false};
    for (size_t c = 0; c < sizeof op_cases / sizeof *op_cases; c++) {
        for (int variant = 0; variant < op_cases[c].variants; variant++) {
            bfi_graph *graph = op_cases[c].build(variant);
            clear_unused(graph);
            round_trip_graph(graph);
            if (variant < 8) round_trip_programs(graph, kinds);
            for (int id = 0; id < graph->count; id++) ops[graph->nodes[id].op] = true;
            bfi_graph_free(graph);
        }
    }
    for (int op = 0; op < BFI_OP_COUNT; op++)
        if (!ops[op]) fail_msg("no case has the op %s", bfi_op_name((bfi_op)op));
    for (int kind = 0; kind < BFI_BACK_COUNT; kind++)
        if (!kinds[kind]) fail_msg("no case emits %s", bfi_back_name((bfi_back_kind)kind));
}

/* Attributes on ops that have none of them. */
static void test_foreign_attributes(void **state) {
    (void)state;
    for (int op = 1; op < BFI_OP_COUNT; op++) {
        for (int i = 0; i < BFI_ATTR_COUNT; i++) {
            const bfi_attr *attr = &bfi_attr_table[i];
            char line[160], expected[80];
            bfi_graph *graph = NULL;
            bf_error err = {""};
            if (bfi_attr_belongs(attr, (bfi_op)op)) continue;
            snprintf(line, sizeof line,
                     "graph { %%0 = input : f32[2]\n%%1 = %s(%%0) {%s=1} : [2]\n}",
                     bfi_op_name((bfi_op)op), attr->name);
            assert_int_equal(bfi_graph_parse(line, strlen(line), "a", &graph, &err),
                             BF_STATUS_PARSE);
            snprintf(expected, sizeof expected, ": %s has no attribute '%s'",
                     bfi_op_name((bfi_op)op), attr->name);
            assert_non_null(strstr(err.message, expected));
            assert_null(graph);
        }
    }
}

static void test_names_and_extremes(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 2));
    const char *odd = "a\"b\\c\n\t\x01\x7f \xc3\xa9 ; # %1 {}";
    free(graph->source), graph->source = bfi_strdup(odd);
    free(graph->input_name), graph->input_name = bfi_strdup(odd);
    free(graph->output_name), graph->output_name = bfi_strdup("y");
    free(graph->nodes[0].name), graph->nodes[0].name = bfi_strdup(odd);
    graph->is_float64 = true;
    bfi_node *node = kit_add(graph, BFI_OP_CLIP, 0, -1, KIT_SHAPE(1, 2));
    node->attrs.lo = -0.0, node->attrs.hi = (double)INFINITY;
    node = kit_add(graph, BFI_OP_CLIP, 1, -1, KIT_SHAPE(1, 2));
    node->attrs.lo = -(double)INFINITY, node->attrs.hi = 5e-324;
    node = kit_add(graph, BFI_OP_SLICE, 2, -1, KIT_SHAPE(1, 1));
    node->attrs.start[1] = 1;
    node->attrs.step[0] = INT64_MIN, node->attrs.step[1] = INT64_MAX;
    node = kit_add(graph, BFI_OP_RESIZE, 3, -1, KIT_SHAPE(1, 3)); /* as the importer leaves it */
    node->indices = kit_indices((int64_t[]){0, 0, 0}, 3);
    node->n_indices = 3;
    node->indices_shape = node->shape;
    node = kit_add(graph, BFI_OP_REDUCE_SUM, 4, -1, kit_shape(0, (int64_t[1]){0}));
    node->attrs.reduce[0] = node->attrs.reduce[1] = true;
    node = kit_add(graph, BFI_OP_SCALE_SHIFT, 5, -1, kit_shape(0, (int64_t[1]){0}));
    node->attrs.roundings = INT32_MAX, node->attrs.const_ulps = 1;
    node->weight = kit_numbers((double[]){-0x1.fffffffffffffp+1023}, 1);
    kit_validate(graph);
    round_trip_graph(graph);
    bfi_graph_free(graph);
}

/* One double through the text. */
static double through_text(double v) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1));
    kit_add(graph, BFI_OP_SCALE_SHIFT, 0, -1, KIT_SHAPE(1))->bias = kit_numbers(&v, 1);
    text t = print_graph(graph, BFI_TEXT_FULL);
    bfi_graph *back = parse_graph(t.data, t.size);
    v = back->nodes[1].bias.data[0];
    bfi_graph_free(graph);
    bfi_graph_free(back);
    free(t.data);
    return v;
}

static void test_numbers_keep_their_bits(void **state) {
    (void)state;
    static const double special[] = {0,
                                     -0.0,
                                     1,
                                     0.1,
                                     (double)0.1f,
                                     0x1p-149,
                                     0x1p-126,
                                     0x1p-1022,
                                     0x1p-1074,
                                     0x0.8p-1022,
                                     0x1p53,
                                     0x1p53 + 2,
                                     0x1p52 + 0.5,
                                     1e15,
                                     1e16,
                                     1e22,
                                     0x1.fffffep127,
                                     0x1p128,
                                     1e300,
                                     123456.789,
                                     -1e-5,
                                     (double)1e-5f,
                                     3e-15,
                                     1e-16,
                                     0.30000000000000004};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        assert_same_bits(special[i], through_text(special[i]));
        assert_same_bits(-special[i], through_text(-special[i]));
    }
    for (int i = 0; i < 40000; i++) {
        uint64_t bits = kit_bits() << 33 ^ kit_bits() << 11 ^ kit_bits();
        uint32_t half = (uint32_t)(bits >> 20);
        float single;
        double any;
        memcpy(&any, &bits, sizeof any);
        memcpy(&single, &half, sizeof single);
        if (isfinite(any)) assert_same_bits(any, through_text(any));
        if (isfinite(single)) assert_same_bits((double)single, through_text((double)single));
        double near_one = (double)(float)net_uniform(), few = (double)kit_int(-99999, 99999) / 1000;
        assert_same_bits(near_one, through_text(near_one));
        assert_same_bits(few, through_text(few));
    }
}

/* |written| as the parser understands it; NaN when it refuses. */
static double read_number(const char *written) {
    bfi_lexer lexer;
    double v;
    bfi_lex_start(&lexer, written, strlen(written), "n", NULL);
    return bfi_lex_double(&lexer, "a number", &v) == BF_STATUS_OK && lexer.token == BFI_TOKEN_END
               ? v
               : (double)NAN;
}

static void test_reading_numbers(void **state) {
    (void)state;
    static const struct {
        const char *written;
        double value;
    } good[] = {
        {"0", 0},
        {"-0", -0.0},
        {"1.", 1},
        {".5", 0.5},
        {"-12.25e-1", -1.225},
        {"1E3", 1000},
        {"0.1", 0.1},
        {"0.1f", (double)0.1f},
        {"-0.1f", -(double)0.1f},
        {"16777217f", 16777216},
        {"16777219f", 16777220},
        {"16777217.0000000000000000000001f", 16777218},
        {"16777218.9999999999999999999999f", 16777218},
        {"1e-46f", 0},
        {"1e-45f", 0x1p-149},
        {"0x1p+0", 1},
        {"-0x1.8p-1", -0.75},
        {"0x0.0000000000001p-1022", 0x1p-1074},
        {"0x1.fffffffffffffp1023", 0x1.fffffffffffffp1023},
        {"0x10", 16},
        {"0x0p0", 0},
        {"inf", (double)INFINITY},
        {"-inf", -(double)INFINITY},
    };
    static const char *const bad[] = {
        "",
        "-",
        ".",
        "1e400",
        "-1e309",
        "1e39f",
        "3.4028236e38f",
        "0x",
        "0xp1",
        "0x1p1024",
        "0x1p-1075",
        "0x1.00000000000008p0",
        "0x1.ffffffffffffffp0",
        "1.2.3",
        "1ef",
        "e5",
        "0x1g",
        "1 2",
        "0x1p",
        "--1",
        "+1",
        "1,5",
        "infinity",
        "0x1p99999999999999999999",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_same_bits(good[i].value, read_number(good[i].written));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!isnan(read_number(bad[i]))) fail_msg("'%s' was read as a number", bad[i]);
}

static void assert_same_tasks(const bfi_task_graph *a, const bfi_task_graph *b) {
    assert_int_equal(a->wave_count, b->wave_count);
    assert_int_equal(a->task_count, b->task_count);
    assert_int_equal(a->step_count, b->step_count);
    assert_int_equal(a->edge_count, b->edge_count);
    for (int i = 0; i < a->task_count; i++) {
        assert_int_equal(a->tasks[i].kind, b->tasks[i].kind);
        assert_int_equal(a->tasks[i].first, b->tasks[i].first);
        assert_int_equal(a->tasks[i].count, b->tasks[i].count);
        assert_int_equal(a->tasks[i].wave, b->tasks[i].wave);
        assert_int_equal(a->tasks[i].first_edge, b->tasks[i].first_edge);
        assert_int_equal(a->tasks[i].edge_count, b->tasks[i].edge_count);
    }
    for (int i = 0; i < a->step_count; i++) {
        assert_int_equal(a->steps[i].kind, b->steps[i].kind);
        assert_int_equal(a->steps[i].node, b->steps[i].node);
        assert_int_equal(a->steps[i].program, b->steps[i].program);
    }
    for (int i = 0; i < a->edge_count; i++) {
        assert_int_equal(a->edges[i].from, b->edges[i].from);
        assert_int_equal(a->edges[i].value, b->edges[i].value);
    }
}

static text print_tasks(const bfi_task_graph *tasks, const bfi_graph *graph) {
    text t = {0};
    bf_error err = {""};
    if (bfi_task_graph_print(tasks, graph, &t.data, &t.size, &err)) fail_msg("%s", err.message);
    return t;
}

static void round_trip_tasks(const bfi_task_graph *tasks, const bfi_graph *graph,
                             const bfi_program *programs, int count) {
    text first = print_tasks(tasks, graph);
    bfi_task_graph back;
    bf_error err = {""};
    if (bfi_task_graph_parse(first.data, first.size, "t.bfir", graph, programs, count, &back, &err))
        fail_msg("%s\n%s", err.message, first.data);
    assert_same_tasks(tasks, &back);
    text second = print_tasks(&back, graph);
    assert_same_text(&first, &second);
    free(first.data);
    free(second.data);
    bfi_task_graph_clear(&back);
}

/* A whole plan as one file. */
static void round_trip_module(const bf_plan *plan) {
    text t = print_graph(plan->graph, BFI_TEXT_FULL);
    bfi_module *module;
    bf_error err = {""};
    for (int i = 0; i < plan->program_count; i++)
        assert_int_equal(bfi_program_print(&plan->programs[i], plan->graph, &t.data, &t.size, NULL),
                         BF_STATUS_OK);
    assert_int_equal(bfi_task_graph_print(&plan->tasks, NULL, &t.data, &t.size, NULL),
                     BF_STATUS_OK);
    if (bfi_module_parse(t.data, t.size, "m", &module, &err)) fail_msg("%s", err.message);
    assert_int_equal(module->count, plan->program_count);
    assert_non_null(module->tasks);
    assert_same_tasks(&plan->tasks, module->tasks);
    bfi_module_free(module);
    free(t.data);
}

static void round_trip_plans(const char *path) {
    static const bf_method methods[] = {BF_METHOD_IBP, BF_METHOD_CROWN_IBP, BF_METHOD_CROWN};
    bf_model *model;
    bf_error err = {""};
    if (bf_model_load(path, &model, &err)) fail_msg("%s", err.message);
    for (int i = 0; i < 12; i++) {
        bf_options options = bf_options_default();
        bf_plan *plan;
        options.method = methods[i % 3];
        options.partition = i / 3 % 2;
        options.intersect = i / 6;
        if (bf_plan_create(kit_session(1), model, &options, &plan, &err))
            fail_msg("%s", err.message);
        round_trip_tasks(&plan->tasks, plan->graph, plan->programs, plan->program_count);
        if (options.method == BF_METHOD_CROWN) round_trip_module(plan);
        bf_plan_free(plan);
    }
    bf_model_free(model);
}

static void test_own_models(void **state) {
    (void)state;
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR");
    if (!root) skip();
    char folder[512], path[1024];
    snprintf(folder, sizeof folder, "%s/models", root);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int models = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        bool kinds[BFI_BACK_COUNT];
        bfi_graph *graph;
        bf_error err = {""};
        if (!dot || strcmp(dot, ".onnx") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (bfi_onnx_load(path, &graph, &err)) fail_msg("%s", err.message);
        round_trip_graph(graph);
        round_trip_programs(graph, kinds);
        bfi_graph_free(graph);
        round_trip_plans(path);
        models++;
    }
    closedir(dir);
    assert_true(models >= 4);
}

/* Hand-written files: a graph and programs over it. */
static void test_files(void **state) {
    (void)state;
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR");
    if (!root) skip();
    char folder[512], path[1024];
    snprintf(folder, sizeof folder, "%s/tests/ir", root);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int files = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        const char *dot = strrchr(entry->d_name, '.');
        char *data;
        size_t size;
        bfi_module *module;
        bf_error err = {""};
        if (!dot || strcmp(dot, ".bfir") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (bfi_file_read(path, 1 << 20, &data, &size, &err)) fail_msg("%s", err.message);
        if (bfi_module_parse(data, size, entry->d_name, &module, &err)) fail_msg("%s", err.message);
        round_trip_graph(module->graph);
        for (int i = 0; i < module->count; i++)
            round_trip_program(&module->programs[i], module->graph);
        if (module->tasks)
            round_trip_tasks(module->tasks, module->graph, module->programs, module->count);
        bfi_module_free(module);
        free(data);
        files++;
    }
    closedir(dir);
    assert_true(files >= 3);
}

/* A model from memory is text when its name says so. */
static void test_model_from_memory(void **state) {
    (void)state;
    static const char network[] =
        "graph \"m\" input \"x\" output \"y\" {\n%0 = input \"x\" : f32[1,2]\n"
        "%1 = linear(%0) \"a\" {k=2, n=1} : [1,1] weight=[2, -1]\noutput %1\n}\n";
    bf_model *model = NULL;
    bf_error err = {""};
    const double x[] = {3, 4};
    double y = 0;
    if (bf_model_parse(network, sizeof network - 1, "m.bfir", &model, &err))
        fail_msg("%s", err.message);
    assert_int_equal(bf_model_evaluate(model, 0, x, &y, &err), BF_STATUS_OK);
    assert_true(y == 2);
    bf_model_free(model);
    assert_int_equal(bf_model_parse(network, sizeof network - 1, "m.onnx", &model, &err),
                     BF_STATUS_PARSE);
}

static void test_appending_and_eliding(void **state) {
    (void)state;
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 64));
    net_linear(graph, NET_PLAIN, 0, 1, 64, 50);
    bfi_program program = {0};
    assert_int_equal(bfi_linear_emit(graph, 1, (bfi_emit_options){0}, &program, NULL),
                     BF_STATUS_OK);
    text t = print_graph(graph, BFI_TEXT_FULL);
    size_t alone = t.size;
    assert_int_equal(bfi_program_print(&program, graph, &t.data, &t.size, NULL), BF_STATUS_OK);
    assert_int_equal(bfi_program_print(&program, NULL, &t.data, &t.size, NULL), BF_STATUS_OK);
    assert_true(t.size > alone && strlen(t.data) == t.size);
    bfi_module *module;
    assert_int_equal(bfi_module_parse(t.data, t.size, "m", &module, NULL), BF_STATUS_OK);
    assert_int_equal(module->count, 2);
    assert_same_graph(graph, module->graph);
    assert_same_program(&program, &module->programs[1]);
    bfi_module_free(module);
    free(t.data);

    t = print_graph(graph, BFI_TEXT_ELIDE);
    assert_non_null(strstr(t.data, "weight=<elided 50x64>"));
    bf_error err = {""};
    bfi_graph *back;
    assert_int_equal(bfi_graph_parse(t.data, t.size, "e", &back, &err), BF_STATUS_PARSE);
    assert_string_equal(err.message,
                        "e:4:16: weight was elided when this text was printed: print it "
                        "in full to read it back");
    free(t.data);
    bfi_program_clear(&program);
    bfi_graph_free(graph);
}

/* A two-layer net and its spec program: what the bad files below break. */
#define NET                                                                    \
    "graph \"net\" {\n"                                                        \
    "  %0 = input \"X\" : f32[1,2]\n"                                          \
    "  %1 = linear(%0) {k=2, n=3} : [1,3] weight=[1,2,3,4,5,6] bias=[0,0,0]\n" \
    "  %2 = relu(%1) : [1,3]\n"                                                \
    "  output %2\n"                                                            \
    "}\n"
#define HEAD "graph {\n  %0 = input : f32[2,3]\n"

typedef struct bad_case {
    const char *text;
    bf_status status;
    const char *message;
} bad_case;

static const bad_case bad_graphs[] = {
    {"", BF_STATUS_PARSE, "f:1:1: expected 'graph', found the end of the text"},
    {"# nothing\n  grap {", BF_STATUS_PARSE, "f:2:3: expected 'graph', found 'grap'"},
    {"graph \"x {\n}", BF_STATUS_PARSE, "f:1:7: the string has no closing quote on its line"},
    {"graph \"\\q\" {", BF_STATUS_PARSE, "f:1:8: strings hold no NUL; escapes"},
    {"graph { }", BF_STATUS_PARSE, "f:1:9: expected '%N = ...' or 'output', found '}'"},
    {"graph { output %0 }", BF_STATUS_PARSE, "f:1:16: value %0 is not defined above"},
    {"graph {\n  %0 = relu : [2]", BF_STATUS_PARSE, "f:2:8: value %0, and no other, is the input"},
    {"graph { %0 = input : [2]", BF_STATUS_PARSE, "f:1:22: expected the input's element type"},
    {"graph { %0 = input : f32[2", BF_STATUS_PARSE, "f:1:27: expected ']', found the end"},
    {"graph { %0 = input : f32[0]", BF_STATUS_SHAPE, "f:1:25: the value has no elements"},
    {"graph { %0 = input : f32[65536,65536]", BF_STATUS_LIMIT, "f:1:25: the value has more than"},
    {"graph { %0 = input : f32[-1]", BF_STATUS_PARSE, "f:1:26: a dimension is out of range"},
    {"graph { %0 = input : f32[1,1,1,1,1,1,1,1,1]", BF_STATUS_PARSE,
     "f:1:42: a shape has at most 8"},
    {HEAD "  output %0\n} graph", BF_STATUS_PARSE, "f:4:3: expected the end of the text after the"},
    {HEAD "  %0 = relu(%0) : [2,3]", BF_STATUS_PARSE,
     "f:3:3: %0 is defined already: this is value %1"},
    {HEAD "  %2 = relu(%0) : [2,3]", BF_STATUS_PARSE, "f:3:3: value %2 is not defined above"},
    {HEAD "  %1 = relu(%1) : [2,3]", BF_STATUS_PARSE,
     "f:3:13: value %1 is not defined above: a value comes before its uses"},
    {HEAD "  %1 = add(%0, %2) : [2,3]\n  %2 = relu(%1) : [2,3]", BF_STATUS_PARSE,
     "f:3:16: value %2 is not defined above: a value comes before its uses"},
    {HEAD "  %1 = relux(%0) : [2,3]", BF_STATUS_PARSE,
     "f:3:8: expected the name of an op, found 'relux'"},
    {HEAD "  %1 = relu(%0, %0) : [2,3]\n  output %1\n}", BF_STATUS_PARSE,
     "f:3:3: node '' ( as relu): wrong number of inputs"},
    {HEAD "  %1 = relu(%0) : [3,2]\n  output %1\n}", BF_STATUS_SHAPE,
     "f:3:3: node '' ( as relu): operand shapes differ: input is [2,3], output is [3,2]"},
    {HEAD
     "  %1 = relu(%0) : [2,3]\n  %2 = transpose(%1) \"t\" {perm=[0, 2]} : [2,3]\n  output %2\n}",
     BF_STATUS_SHAPE, "f:4:3: node 't' ( as transpose): perm is not a permutation"},
    {HEAD "  %1 = transpose(%0) {perm=[0,1,2]} : [2,3]", BF_STATUS_PARSE,
     "f:3:23: perm has 3 numbers, but the value has 2 axes"},
    {HEAD "  %1 = reduce_sum(%0) {axes=[2]} : [2,3]", BF_STATUS_PARSE,
     "f:3:30: an integer is out of range: it must lie between 0 and 1"},
    {HEAD "  %1 = softmax(%0) {axis=2} : [2,3]\n  output %1\n}", BF_STATUS_SHAPE,
     "f:3:3: node '' ( as softmax): axis out of range"},
    {HEAD "  %1 = softmax(%0) {axis=1, axis=0} : [2,3]", BF_STATUS_PARSE,
     "f:3:29: 'axis' is given twice"},
    {HEAD "  %1 = softmax(%0) {axle=1} : [2,3]", BF_STATUS_PARSE,
     "f:3:21: expected the name of an attribute, found 'axle'"},
    {HEAD "  %1 = relu(%0) : [2,3] weight=[1]", BF_STATUS_PARSE, "f:3:25: relu has no weight"},
    {HEAD "  %1 = linear(%0) {k=2.5}", BF_STATUS_PARSE, "f:3:22: expected an integer, found '2.5'"},
    {HEAD "  %1 = linear(%0) {k=99999999999999999999}", BF_STATUS_PARSE,
     "f:3:22: an integer is out of"},
    {HEAD "  %1 = linear(%0) {rows=2,k=3,n=1} : [2,1] weight=[1,2,1e999]", BF_STATUS_PARSE,
     "f:3:56: the number '1e999' does not fit its type"},
    {HEAD "  %1 = linear(%0) {rows=2,k=3,n=1} : [2,1] weight=[1,2,nan]\n output %1 }",
     BF_STATUS_PARSE, "f:3:3: node '' ( as linear): weight element 2 is NaN"},
    {HEAD "  %1 = linear(%0) {rows=2,k=3,n=1} : [2,1] weight=[1,2] output %1 }", BF_STATUS_SHAPE,
     "f:3:3: node '' ( as linear): weight is not [n][k]"},
    {HEAD "  %1 = linear(%0) : [2,1] weight=[1] weight=[1]", BF_STATUS_PARSE,
     "f:3:38: weight is given twice"},
    {HEAD "  %1 = linear(%0) : [2,1] weight=<elided 2x3>", BF_STATUS_PARSE,
     "f:3:34: weight was elided"},
    {HEAD "  %1 = conv(%0) {kernel=[3]} : [2,1]", BF_STATUS_PARSE,
     "f:3:18: kernel has 2 numbers, not 1"},
    {HEAD "  %1 = conv(%0) {kernel=[3,3,3]} : [2,1]", BF_STATUS_PARSE,
     "f:3:30: more than 2 numbers"},
    {HEAD "  %1 = gather(%0) : [2,3] indices=[0,1]\n output %1 }", BF_STATUS_PARSE,
     "f:4:2: expected 'as', found 'output'"},
    {HEAD "  %1 = const : [1] weight=[1]\n  %2 = relu(%1) : [1]\n  output %2\n}", BF_STATUS_PARSE,
     "f:5:10: the output %2 cannot be reached from the input %0"},
    {HEAD "  @", BF_STATUS_PARSE, "f:3:3: a character that has no meaning here"},
};

static const bad_case bad_programs[] = {
    {"programme", BF_STATUS_PARSE, "f:1:1: expected 'program', found 'programme'"},
    {"program target=%9", BF_STATUS_PARSE, "f:1:16: value %9 is not defined above"},
    {"program target=%2 spec=maybe", BF_STATUS_PARSE,
     "f:1:24: expected true or false, found 'maybe'"},
    {"program target=%2 spec=true {\n seed_spec %2 -> b0\n}", BF_STATUS_PARSE,
     "f:2:18: buffer b0 is not declared above"},
    {"program target=%2 spec=true {\n buffer b1 : 3", BF_STATUS_PARSE,
     "f:2:9: buffer b1 is not declared"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n buffer b0 : 3", BF_STATUS_PARSE,
     "f:3:2: b0 is declared already: this is b1"},
    {"program target=%2 spec=true {\n buffer b0 : 0", BF_STATUS_PARSE,
     "f:2:14: the number of elements"},
    {"program target=%2 spec=true {\n seed_sped", BF_STATUS_PARSE,
     "f:2:2: expected 'buffer', a bound op or '}', found 'seed_sped'"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n buffer b1 : 3\n backward_relax %2 b0 -> "
     "b1\n}",
     BF_STATUS_PARSE, "f:4:2: b0 is read before it is written"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n seed_spec %2 -> b0\n seed_spec %2 -> b0\n}",
     BF_STATUS_PARSE, "f:4:2: b0 is written twice"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n seed_spec %2 b0\n}", BF_STATUS_PARSE,
     "f:3:2: seed_spec reads 0 buffers, not 1"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n seed_spec %2\n}", BF_STATUS_PARSE,
     "f:3:2: seed_spec writes a buffer"},
    {"program target=%2 spec=true {\n buffer b0 : 2\n seed_spec %2 -> b0\n}", BF_STATUS_SHAPE,
     "f:3:2: b0 has 2 elements, but the value has 3"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n seed_linear %2 -> b0\n}", BF_STATUS_PARSE,
     "f:3:2: seed_linear has no rule for %2[0], a relu"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n}", BF_STATUS_PARSE,
     "f:2:2: b0 is never written"},
    {"program target=%2 spec=true {\n buffer b0 : 3 live 0..2\n seed_spec %2 -> b0\n}",
     BF_STATUS_PARSE, "f:2:2: b0 is live 0..0, not 0..2"},
    {"program target=%2 spec=true height=2 {\n buffer b0 : 3 live 0..0 at 0\n seed_spec %2 -> "
     "b0\n}",
     BF_STATUS_PARSE, "f:2:2: b0 lies outside the height of 2"},
    {"program target=%2 spec=true height=2 {\n buffer b0 : 3 live 0..0 at 9223372036854775807\n"
     " seed_spec %2 -> b0\n}",
     BF_STATUS_PARSE, "f:2:2: b0 lies outside the height of 2"},
    {"program target=%2 spec=true height=3 {\n buffer b0 : 3 at 0\n seed_spec %2 -> b0\n}",
     BF_STATUS_PARSE, "f:1:1: either all buffers have 'live' (and 'at'), or none"},
    {"program target=%2 spec=true height=5 {\n buffer b0 : 3 live 0..2 at 0\n"
     " buffer b1 : 3 live 1..2 at 2\n buffer b2 : 3 live 2..2 at 0 alias b0\n"
     " seed_spec %2 -> b0\n seed_spec %2 -> b1\n accumulate %2 b0 b1 -> b2\n}",
     BF_STATUS_PARSE, "f:3:2: buffers 0 and 1 are live together and overlap"},
    {"program target=%2 spec=true {\n buffer b0 : 3 alias b1\n buffer b1 : 3\n seed_spec %2 -> b0\n"
     " seed_spec %2 -> b1\n}",
     BF_STATUS_PARSE,
     "f:2:2: b0 cannot take over b1: the op that writes it does not read the other"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n buffer b1 : 2 alias b0\n seed_spec %1 -> b0\n"
     " backward_linear %1 b0 -> b1\n}",
     BF_STATUS_PARSE,
     "f:3:2: b1 cannot take over b0: the op that writes it does not work in place"},
    {"program target=%2 spec=true {\n buffer b0 : 3\n buffer b1 : 3 alias b0\n seed_spec %2 -> b0\n"
     " backward_relax %2 b0 -> b1\n concretize %1 b0\n}",
     BF_STATUS_PARSE, "f:3:2: b1 cannot take over b0: the other is read later"},
};

static void assert_message(const bad_case *c, bf_status status, const bf_error *err) {
    if (status != c->status || strncmp(err->message, c->message, strlen(c->message)))
        fail_msg("%s\ngave %s: %s\nnot  %s: %s", c->text, bf_status_name(status), err->message,
                 bf_status_name(c->status), c->message);
}

static void test_bad_graphs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_graphs / sizeof *bad_graphs; i++) {
        bfi_graph *graph;
        bf_error err = {""};
        const bad_case *c = &bad_graphs[i];
        assert_message(c, bfi_graph_parse(c->text, strlen(c->text), "f", &graph, &err), &err);
        assert_null(graph);
    }
}

static void test_bad_programs(void **state) {
    (void)state;
    bfi_graph *graph = parse_graph(NET, strlen(NET));
    for (size_t i = 0; i < sizeof bad_programs / sizeof *bad_programs; i++) {
        bfi_program program;
        bf_error err = {""};
        const bad_case *c = &bad_programs[i];
        assert_message(c, bfi_program_parse(c->text, strlen(c->text), "f", graph, &program, &err),
                       &err);
        assert_true(program.op_count == 0 && !program.ops && !program.buffers);
    }
    bfi_graph_free(graph);
}

/* Over NET and two programs: p0 bounds %1, p1 is the spec. */
#define TASKS "tasks waves=2 {\n task t0 forward wave 0 {\n"
#define T0 TASKS "forward %0 forward %1 forward %2\n}\n"

static const bad_case bad_tasks[] = {
    {"task", BF_STATUS_PARSE, "f:1:1: expected 'tasks', found 'task'"},
    {"tasks waves=-1", BF_STATUS_PARSE, "f:1:13: the number of waves is out of range"},
    {"tasks waves=99999999999", BF_STATUS_PARSE, "f:1:13: the number of waves is out of range"},
    {"tasks waves=1 {\n}", BF_STATUS_PARSE, "f:1:1: the tasks have 0 waves, not 1"},
    {"tasks waves=0 {\n task t0 all wave 0", BF_STATUS_PARSE, "f:2:19: the wave is out of range"},
    {"tasks waves=1 {\n step", BF_STATUS_PARSE, "f:2:2: expected 'task', found 'step'"},
    {"tasks waves=1 {\n task t1", BF_STATUS_PARSE, "f:2:7: task t1 is not declared above"},
    {"tasks waves=1 {\n task b0", BF_STATUS_PARSE, "f:2:7: expected a task such as t0, found 'b0'"},
    {"tasks waves=1 {\n task t0 sideways", BF_STATUS_PARSE,
     "f:2:10: expected 'all', 'forward', 'layout', 'backward', 'spec', 'refine' or "
     "'optimize', found 'sideways'"},
    {"tasks waves=1 {\n task t0 all wave 0 {\n}", BF_STATUS_PARSE,
     "f:3:1: expected 'forward', 'bound', 'spec', 'refine', 'optimize' or 'optimize_spec', "
     "found '}'"},
    {TASKS " backward %0", BF_STATUS_PARSE,
     "f:3:2: expected 'forward', 'bound', 'spec', 'refine', 'optimize' or 'optimize_spec', "
     "found 'backward'"},
    {TASKS " bound %0", BF_STATUS_PARSE, "f:3:2: a task 'forward' has no step 'bound'"},
    {TASKS " forward %3", BF_STATUS_PARSE, "f:3:10: value %3 is not defined above"},
    {TASKS " forward %0\n forward %0", BF_STATUS_PARSE, "f:4:2: %0 is computed already"},
    {TASKS " forward %1", BF_STATUS_PARSE, "f:3:2: %1 reads %0, which no step above computes"},
    {T0 "task t0", BF_STATUS_PARSE, "f:5:1: t0 is declared already: this is t1"},
    {T0 "task t1 spec wave 2", BF_STATUS_PARSE,
     "f:5:19: the wave is out of range: it must lie between 0 and 1"},
    {T0 "task t1 spec wave 1 needs {", BF_STATUS_PARSE,
     "f:5:27: expected a task such as t0, found '{'"},
    {T0 "task t1 spec wave 1 needs t1(%0)", BF_STATUS_PARSE,
     "f:5:27: task t1 is not declared above"},
    {T0 "task t1 spec wave 0 needs t0(%0)", BF_STATUS_PARSE,
     "f:5:27: task t0 is not in an earlier wave"},
    {T0 "task t1 spec wave 1 needs t0(%7)", BF_STATUS_PARSE,
     "f:5:30: value %7 is not defined above"},
    {T0 "task t1 spec wave 1 needs t0(%1) t0(%0) t0(%1) {", BF_STATUS_PARSE,
     "f:5:41: t0(%1) is named twice"},
    {T0 "task t1 spec wave 1 {\n spec %2 program p2", BF_STATUS_PARSE,
     "f:6:18: program p2 is not declared above"},
    {T0 "task t1 spec wave 1 {\n spec %2 program p0", BF_STATUS_PARSE,
     "f:6:18: p0 is the program with target=%1 spec=false"},
    {T0 "task t1 backward wave 1 {\n bound %2 program p1", BF_STATUS_PARSE,
     "f:6:19: p1 is the program with target=%2 spec=true"},
    {T0 "task t1 spec wave 1 {\n spec %2 program p1\n spec %2 program p1", BF_STATUS_PARSE,
     "f:7:2: p1 has a step already"},
    {TASKS " forward %0\n}\ntask t1 spec wave 1 {\n spec %2 program p1", BF_STATUS_PARSE,
     "f:6:2: no step above computes %2"},
    {T0 "}", BF_STATUS_PARSE, "f:1:1: the tasks have 1 waves, not 2"},
    {"tasks waves=0 {} x", BF_STATUS_PARSE, "f:1:18: expected the end of the text after the tasks"},
};

static void test_bad_tasks(void **state) {
    (void)state;
    bfi_graph *graph = parse_graph(NET, strlen(NET));
    bfi_program programs[2] = {{0}, {0}};
    bfi_emit_options spec = {.spec = true};
    assert_int_equal(bfi_linear_emit(graph, 1, (bfi_emit_options){0}, &programs[0], NULL),
                     BF_STATUS_OK);
    assert_int_equal(bfi_linear_emit(graph, 2, spec, &programs[1], NULL), BF_STATUS_OK);
    for (size_t i = 0; i < sizeof bad_tasks / sizeof *bad_tasks; i++) {
        bfi_task_graph tasks;
        bf_error err = {""};
        const bad_case *c = &bad_tasks[i];
        bf_status status =
            bfi_task_graph_parse(c->text, strlen(c->text), "f", graph, programs, 2, &tasks, &err);
        assert_message(c, status, &err);
        assert_true(tasks.task_count == 0 && !tasks.steps && !tasks.tasks && !tasks.edges);
    }
    bfi_program_clear(&programs[0]);
    bfi_program_clear(&programs[1]);
    bfi_graph_free(graph);
}

/* Tasks end a file. */
static void test_bad_modules(void **state) {
    (void)state;
    static const char *const ends[][2] = {
        {"graph", "f:7:1: expected 'program', 'tasks' or the end of the text, found 'graph'"},
        {"tasks waves=0 {}\ntasks waves=0 {}", "f:8:1: expected the end of the text after the"},
        {"tasks waves=0 {}\nprogram", "f:8:1: expected the end of the text after the tasks"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char file[1024];
        bfi_module *module;
        bad_case c = {file, BF_STATUS_PARSE, ends[i][1]};
        bf_error err = {""};
        snprintf(file, sizeof file, "%s%s", NET, ends[i][0]);
        assert_message(&c, bfi_module_parse(file, strlen(file), "f", &module, &err), &err);
        assert_null(module);
    }
}

/* Every prefix and every changed byte of a file: an error with a place, or an object. */
static void test_damaged_files(void **state) {
    (void)state;
    bfi_graph *graph = parse_graph(NET, strlen(NET));
    bfi_program program = {0};
    assert_int_equal(bfi_linear_emit(graph, 2, (bfi_emit_options){.spec = true}, &program, NULL),
                     BF_STATUS_OK);
    bfi_pass_liveness(&program);
    assert_int_equal(bfi_pass_reuse(&program, NULL), BF_STATUS_OK);
    text t = print_graph(graph, BFI_TEXT_FULL);
    assert_int_equal(bfi_program_print(&program, graph, &t.data, &t.size, NULL), BF_STATUS_OK);
    bfi_task_graph tasks = {0};
    bfi_task_graph_add_task(&tasks, (bfi_task){.kind = BFI_TASK_FORWARD, .count = 3});
    bfi_task_graph_add_task(&tasks,
                            (bfi_task){.kind = BFI_TASK_SPEC, .first = 3, .count = 1, .wave = 1});
    bfi_task_graph_add_edge(&tasks, (bfi_task_edge){0, 2});
    for (int i = 0; i < 3; i++)
        bfi_task_graph_add_step(&tasks, (bfi_step){BFI_STEP_FORWARD, i, -1});
    bfi_task_graph_add_step(&tasks, (bfi_step){BFI_STEP_SPEC, 2, 0});
    round_trip_tasks(&tasks, graph, &program, 1);
    assert_int_equal(bfi_task_graph_print(&tasks, graph, &t.data, &t.size, NULL), BF_STATUS_OK);
    bfi_task_graph_clear(&tasks);
    static const char bytes[] = "\0\n 09-.%\"\\b{}[]<>x=\xff";
    for (size_t i = 0; i < t.size; i++) {
        for (size_t k = 0; k < sizeof bytes; k++) {
            size_t size = k == 0 ? i : t.size;
            char *copy = bfi_malloc(size, 1);
            bfi_module *module;
            bf_error err = {""};
            memcpy(copy, t.data, size);
            if (k) copy[i] = bytes[k];
            if (bfi_module_parse(copy, size, "d", &module, &err) != BF_STATUS_OK)
                assert_true(module == NULL && strncmp(err.message, "d:", 2) == 0);
            bfi_module_free(module);
            free(copy);
        }
    }
    free(t.data);
    bfi_program_clear(&program);
    bfi_graph_free(graph);
}

/* The first block of code on the page. */
static void parse_example(const char *page) {
    const char *start = strstr(page, "```\n"), *end = start ? strstr(start + 4, "```") : NULL;
    bfi_module *module;
    bf_error err = {""};
    assert_non_null(end);
    if (bfi_module_parse(start + 4, (size_t)(end - start - 4), "example", &module, &err))
        fail_msg("%s", err.message);
    assert_int_equal(module->count, 1);
    assert_non_null(module->tasks);
    bfi_module_free(module);
}

/* docs/ir.md names everything that the tables hold, and its example parses. */
static void test_documented(void **state) {
    (void)state;
    const char *root = getenv("BOUNDFLOW_SOURCE_DIR");
    char path[1024], *data, quoted[64];
    size_t size;
    if (!root) skip();
    snprintf(path, sizeof path, "%s/docs/ir.md", root);
    assert_int_equal(bfi_file_read(path, 1 << 20, &data, &size, NULL), BF_STATUS_OK);
    for (int i = 0; i < BFI_ATTR_COUNT; i++) {
        snprintf(quoted, sizeof quoted, "`%s`", bfi_attr_table[i].name);
        if (!strstr(data, quoted)) fail_msg("docs/ir.md does not explain %s", quoted);
    }
    for (int i = 0; i < BFI_BACK_COUNT; i++) {
        snprintf(quoted, sizeof quoted, "`%s`", bfi_back_name((bfi_back_kind)i));
        if (!strstr(data, quoted)) fail_msg("docs/ir.md does not explain %s", quoted);
    }
    for (int i = 0; i < BFI_TASK_KINDS; i++) {
        snprintf(quoted, sizeof quoted, "| `%s` |", bfi_task_kind_name((bfi_task_kind)i));
        if (!strstr(data, quoted)) fail_msg("docs/ir.md does not explain %s", quoted);
    }
    parse_example(data);
    free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_op),
        cmocka_unit_test(test_foreign_attributes),
        cmocka_unit_test(test_names_and_extremes),
        cmocka_unit_test(test_numbers_keep_their_bits),
        cmocka_unit_test(test_reading_numbers),
        cmocka_unit_test(test_own_models),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_model_from_memory),
        cmocka_unit_test(test_appending_and_eliding),
        cmocka_unit_test(test_bad_graphs),
        cmocka_unit_test(test_bad_programs),
        cmocka_unit_test(test_bad_tasks),
        cmocka_unit_test(test_bad_modules),
        cmocka_unit_test(test_damaged_files),
        cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
