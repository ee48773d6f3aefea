/* Dumps: every pass of every model of the project, and what is IR parses back. */
#include <dirent.h>
#include <stdio.h>

#include "boundflow/inspect.h"
#include "bounds_kit.h"
#include "ir/text.h"
#include "plan/plan.h"

static const char *const passes[] = {"import", "simplify", "permute", "partition", "liveness",
                                     "reuse",  "tasks",    "vectors", "workspace", "lower"};
enum { PASSES = sizeof passes / sizeof *passes };

static char *dump(const bf_plan *plan, const char *pass) {
    char *text = NULL;
    bf_error err = {""};
    if (bf_plan_dump(plan, pass, &text, &err)) fail_msg("%s: %s", pass, err.message);
    assert_true(strlen(text) > 0 && text[strlen(text) - 1] == '\n');
    return text;
}

/* |graph| with everything, then |blocks|, as one file. */
static bfi_module *parse_with(const bfi_graph *graph, const char *blocks) {
    char *text = NULL;
    size_t size = 0;
    bfi_module *module = NULL;
    bf_error err = {""};
    assert_int_equal(bfi_graph_print(graph, BFI_TEXT_FULL, &text, &size, NULL), BF_STATUS_OK);
    char *file = bfi_malloc(size + strlen(blocks) + 1, 1);
    memcpy(file, text, size);
    strcpy(file + size, blocks);
    if (bfi_module_parse(file, strlen(file), "dump", &module, &err)) fail_msg("%s", err.message);
    free(text);
    free(file);
    return module;
}

/* Numbers may be elided, so the text is compared, and parsed where nothing is missing. */
static void check_graph(const bf_plan *plan, const char *pass, const bfi_graph *graph) {
    char *text = dump(plan, pass), *expected = NULL;
    size_t size = 0;
    assert_int_equal(bfi_graph_print(graph, BFI_TEXT_ELIDE, &expected, &size, NULL), BF_STATUS_OK);
    assert_string_equal(text[0] == ';' ? strchr(text, '\n') + 1 : text, expected);
    bfi_graph *back;
    bf_error err = {""};
    bf_status status = bfi_graph_parse(text, strlen(text), "dump", &back, &err);
    if (strstr(text, "<elided"))
        assert_true(status == BF_STATUS_PARSE && strstr(err.message, "elided"));
    else if (status != BF_STATUS_OK)
        fail_msg("%s", err.message);
    bfi_graph_free(back);
    free(text);
    free(expected);
}

/* |lives|, |storage|: what the pass is the first to tell. */
static void check_programs(const bf_plan *plan, const char *pass, bool lives, bool storage) {
    char *text = dump(plan, pass);
    bfi_module *module = parse_with(plan->graph, text);
    assert_int_equal(module->count, plan->program_count);
    for (int i = 0; i < module->count; i++) {
        const bfi_program *program = &module->programs[i], *planned = &plan->programs[i];
        assert_int_equal(program->target, planned->target);
        assert_int_equal(program->spec, planned->spec);
        assert_int_equal(program->op_count, planned->op_count);
        assert_int_equal(program->buffer_count, planned->buffer_count);
        assert_int_equal(program->height, storage ? planned->height : 0);
        for (int b = 0; b < program->buffer_count; b++) {
            const bfi_buffer *got = &program->buffers[b], *want = &planned->buffers[b];
            assert_int_equal(got->count, want->count);
            assert_int_equal(got->first, lives ? want->first : -1);
            assert_int_equal(got->last, lives ? want->last : -1);
            assert_int_equal(got->offset, storage ? want->offset : -1);
            assert_int_equal(got->alias_of, storage ? want->alias_of : -1);
        }
    }
    bfi_module_free(module);
    free(text);
}

static void check_tasks(const bf_plan *plan) {
    char *text = dump(plan, "tasks");
    bfi_task_graph back;
    bf_error err = {""};
    if (bfi_task_graph_parse(text, strlen(text), "dump", plan->graph, plan->programs,
                             plan->program_count, &back, &err))
        fail_msg("%s", err.message);
    assert_int_equal(back.task_count, plan->tasks.task_count);
    assert_int_equal(back.step_count, plan->tasks.step_count);
    assert_int_equal(back.edge_count, plan->tasks.edge_count);
    bfi_task_graph_clear(&back);
    free(text);
}

/* Comment lines alone, |rows| of them behind the headings. */
static void check_table(const bf_plan *plan, const char *pass, int rows) {
    char *text = dump(plan, pass);
    int lines = 0;
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        assert_memory_equal(line, "; ", 2);
        lines++;
    }
    assert_int_equal(lines, rows);
    bfi_module_free(parse_with(plan->graph, text));
    free(text);
}

static void check_plan(const bf_plan *plan) {
    const bfi_graph *imported = plan->model->graph;
    check_graph(plan, "import", imported);
    check_graph(plan, "simplify", plan->rewritten[0] ? plan->rewritten[0] : imported);
    check_graph(plan, "permute", plan->graph);
    check_programs(plan, "partition", false, false);
    check_programs(plan, "liveness", true, false);
    check_programs(plan, "reuse", true, true);
    check_tasks(plan);
    check_table(plan, "vectors", plan->vector_count + 2);
    check_table(plan, "workspace", 7);
    check_table(plan, "lower", plan->lowering_count + 1);
}

static void check_model(const bf_model *model) {
    static const bf_method methods[] = {BF_METHOD_IBP, BF_METHOD_CROWN_IBP, BF_METHOD_CROWN};
    for (int i = 0; i < 6; i++) {
        bf_options options = bf_options_default();
        bf_plan *plan;
        bf_error err = {""};
        options.method = methods[i % 3];
        options.simplify = i < 3;
        options.partition = i % 2;
        if (bf_plan_create(kit_session(1), model, &options, &plan, &err))
            fail_msg("%s", err.message);
        check_plan(plan);
        bf_plan_free(plan);
    }
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
        bf_model *model;
        bf_error err = {""};
        if (!dot || strcmp(dot, ".onnx") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (bf_model_load(path, &model, &err)) fail_msg("%s", err.message);
        check_model(model);
        bf_model_free(model);
        models++;
    }
    closedir(dir);
    assert_true(models >= 4);
}

/* A name with a line end must not end the comment that holds it. */
static bf_model *odd_model(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 2));
    net_linear(graph, NET_PLAIN, 0, 1, 2, 3);
    free(graph->nodes[1].name);
    graph->nodes[1].name = bfi_strdup("a\nb\x7f\"\\");
    net_same(graph, BFI_OP_RELU, 1, -1);
    graph->output = 2;
    bf_model *model;
    assert_int_equal(bfi_model_wrap(graph, &model, NULL), BF_STATUS_OK);
    return model;
}

static void test_odd_names(void **state) {
    (void)state;
    bf_model *model = odd_model();
    check_model(model);
    bf_model_free(model);
}

static void test_unknown_pass(void **state) {
    (void)state;
    bf_model *model = odd_model();
    bf_options options = bf_options_default();
    bf_plan *plan;
    assert_int_equal(bf_plan_create(kit_session(1), model, &options, &plan, NULL), BF_STATUS_OK);
    const char *const wrong[] = {"", "imports", "reus", NULL};
    for (int i = 0; i < 4; i++) {
        char *text = "not set";
        bf_error err = {""};
        assert_int_equal(bf_plan_dump(plan, wrong[i], &text, &err), BF_STATUS_INVALID_ARGUMENT);
        assert_null(text);
        for (int p = 0; p < PASSES; p++) assert_non_null(strstr(err.message, passes[p]));
    }
    bf_plan_free(plan);
    bf_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_models),
        cmocka_unit_test(test_odd_names),
        cmocka_unit_test(test_unknown_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
