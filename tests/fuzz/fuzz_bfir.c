/* Any text: an error with a place, or a graph, programs and tasks that print and parse back. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ir/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds) {
    if (!holds) abort();
}

typedef struct text {
    char *data;
    size_t size;
} text;

static text print(const bfi_module *module) {
    text t = {0};
    bf_error err;
    require(bfi_graph_print(module->graph, BFI_TEXT_FULL, &t.data, &t.size, &err) == BF_STATUS_OK);
    for (int i = 0; i < module->count; i++)
        require(bfi_program_print(&module->programs[i], module->graph, &t.data, &t.size, &err) ==
                BF_STATUS_OK);
    if (module->tasks)
        require(bfi_task_graph_print(module->tasks, module->graph, &t.data, &t.size, &err) ==
                BF_STATUS_OK);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bfi_module *module, *back;
    bf_error err = {""};
    if (bfi_module_parse((const char *)data, size, "fuzz", &module, &err) != BF_STATUS_OK) {
        require(module == NULL && strncmp(err.message, "fuzz:", 5) == 0);
        return 0;
    }
    text first = print(module);
    require(bfi_module_parse(first.data, first.size, "fuzz", &back, &err) == BF_STATUS_OK);
    text second = print(back);
    require(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    free(first.data);
    free(second.data);
    bfi_module_free(module);
    bfi_module_free(back);
    return 0;
}
