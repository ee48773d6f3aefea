/* Any bytes: a graph that validates, or an error with a message. Small graphs are evaluated too. */
#include <stdint.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "frontend/onnx.h"
#include "ir/evaluate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void evaluate_small(const bfi_graph *graph) {
    int64_t work = 0;
    for (int i = 0; i < graph->count; i++) {
        int64_t flops = bfi_node_flops(graph, i);
        if (flops > 100000 || graph->nodes[i].count > 100000) return;
        work += flops + graph->nodes[i].count;
    }
    if (work > 1000000) return;
    bf_error err;
    double *x = bfi_calloc((size_t)graph->nodes[0].count, sizeof *x);
    double *y = bfi_calloc((size_t)graph->nodes[graph->output].count, sizeof *y);
    if (x && y) (void)bfi_evaluate(graph, BFI_EVAL_FLOAT32, x, y, NULL, &err);
    free(x);
    free(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bfi_graph *graph = NULL;
    bf_error err = {""};
    bf_status st = bfi_onnx_parse(data, size, "fuzz", &graph, &err);
    if ((st == BF_STATUS_OK) != (graph != NULL) || (st != BF_STATUS_OK && !err.message[0])) abort();
    if (st == BF_STATUS_OK && bfi_graph_validate(graph, &err) != BF_STATUS_OK) abort();
    if (st == BF_STATUS_OK) evaluate_small(graph);
    bfi_graph_free(graph);
    return 0;
}
