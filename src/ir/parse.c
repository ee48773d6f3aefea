/* The entry points of `.bfir`: which blocks a text holds. */
#include "ir/parse.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "ir/text.h"

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

static bf_status parse_module(bfi_lexer *lexer, bfi_module *module) {
    TRY(bfi_parse_graph_block(lexer, &module->graph));
    while (lexer->token != BFI_TOKEN_END) {
        void *programs = module->programs;
        if (!bfi_lex_is(lexer, "program"))
            return bfi_lex_expected(lexer, "'program' or the end of the text");
        if (!bfi_grow(&programs, &module->capacity, (size_t)module->count + 1,
                      sizeof *module->programs))
            return bfi_fail_memory(lexer->err);
        module->programs = programs;
        TRY(bfi_parse_program_block(lexer, module->graph, &module->programs[module->count]));
        module->count++;
    }
    return BF_STATUS_OK;
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
    bfi_graph_free(module->graph);
    free(module);
}
