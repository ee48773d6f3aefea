/* The entry points of `.bfir`: which blocks a text holds. */
#include "ir/parse.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "ir/text.h"

int bfi_parse_refused(const void *block, int count, bfi_validate_first validate) {
    int good = 0, bad = count;
    while (bad - good > 1) {
        int middle = good + (bad - good) / 2;
        if (validate(block, middle, NULL) == BF_STATUS_OK)
            good = middle;
        else
            bad = middle;
    }
    return good;
}

static bf_status expect_end(const bfi_lexer *lexer, const char *what) {
    return lexer->token == BFI_TOKEN_END ? BF_STATUS_OK : bfi_lex_expected(lexer, what);
}

bf_status bfi_graph_parse(const char *text, size_t size, const char *name, bfi_graph **out,
                          bf_error *err) {
    bfi_lexer lexer;
    bfi_lex_start(&lexer, text, size, name, err);
    bf_status status = bfi_parse_graph_block(&lexer, out);
    if (status == BF_STATUS_OK) status = expect_end(&lexer, "the end of the text after the graph");
    if (status == BF_STATUS_OK) return BF_STATUS_OK;
    bfi_graph_free(*out);
    *out = NULL;
    return status;
}

bf_status bfi_program_parse(const char *text, size_t size, const char *name, const bfi_graph *graph,
                            bfi_program *out, bf_error *err) {
    bfi_lexer lexer;
    bfi_lex_start(&lexer, text, size, name, err);
    bf_status status = bfi_parse_program_block(&lexer, graph, out);
    if (status == BF_STATUS_OK)
        status = expect_end(&lexer, "the end of the text after the program");
    if (status != BF_STATUS_OK) bfi_program_clear(out);
    return status;
}

bf_status bfi_task_graph_parse(const char *text, size_t size, const char *name,
                               const bfi_graph *graph, const bfi_program *programs,
                               int program_count, bfi_task_graph *out, bf_error *err) {
    bfi_lexer lexer;
    bfi_lex_start(&lexer, text, size, name, err);
    bf_status status = bfi_parse_task_block(&lexer, graph, programs, program_count, out);
    if (status == BF_STATUS_OK) status = expect_end(&lexer, "the end of the text after the tasks");
    if (status != BF_STATUS_OK) bfi_task_graph_clear(out);
    return status;
}

static bf_status parse_module(bfi_lexer *lexer, bfi_module *module) {
    TRY(bfi_parse_graph_block(lexer, &module->graph));
    while (bfi_lex_is(lexer, "program")) {
        void *programs = module->programs;
        if (!bfi_grow(&programs, &module->capacity, (size_t)module->count + 1,
                      sizeof *module->programs))
            return bfi_fail_memory(lexer->err);
        module->programs = programs;
        TRY(bfi_parse_program_block(lexer, module->graph, &module->programs[module->count]));
        module->count++;
    }
    if (lexer->token == BFI_TOKEN_END) return BF_STATUS_OK;
    if (!bfi_lex_is(lexer, "tasks"))
        return bfi_lex_expected(lexer, "'program', 'tasks' or the end of the text");
    module->tasks = bfi_calloc(1, sizeof *module->tasks);
    if (!module->tasks) return bfi_fail_memory(lexer->err);
    TRY(bfi_parse_task_block(lexer, module->graph, module->programs, module->count, module->tasks));
    return expect_end(lexer, "the end of the text after the tasks");
}

bf_status bfi_module_parse(const char *text, size_t size, const char *name, bfi_module **out,
                           bf_error *err) {
    bfi_lexer lexer;
    *out = bfi_calloc(1, sizeof **out);
    if (!*out) return bfi_fail_memory(err);
    bfi_lex_start(&lexer, text, size, name, err);
    bf_status status = parse_module(&lexer, *out);
    if (status == BF_STATUS_OK) return BF_STATUS_OK;
    bfi_module_free(*out);
    *out = NULL;
    return status;
}

void bfi_module_free(bfi_module *module) {
    if (!module) return;
    for (int i = 0; i < module->count; i++) bfi_program_clear(&module->programs[i]);
    free(module->programs);
    if (module->tasks) bfi_task_graph_clear(module->tasks);
    free(module->tasks);
    bfi_graph_free(module->graph);
    free(module);
}
