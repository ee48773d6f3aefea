#include "frontend/model.h"

#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "frontend/onnx.h"
#include "ir/evaluate.h"
#include "ir/text.h"

#define TEXT_LIMIT ((size_t)1 << 31)

bf_status bfi_model_wrap(bfi_graph *graph, bf_model **out, bf_error *err) {
    bf_model *model = bfi_calloc(1, sizeof *model);
    if (!model) {
        bfi_graph_free(graph);
        return bfi_fail_memory(err);
    }
    model->graph = graph;
    atomic_init(&model->references, 1);
    *out = model;
    return BF_STATUS_OK;
}

bf_model *bfi_model_retain(bf_model *model) {
    atomic_fetch_add(&model->references, 1);
    return model;
}

/* Text of a graph (docs/ir.md), by the file's name: x.bfir or x.bfir.gz. */
static bool is_text(const char *path) {
    const char *dot = strstr(path, ".bfir");
    while (dot && strcmp(dot, ".bfir") && strcmp(dot, ".bfir.gz")) dot = strstr(dot + 1, ".bfir");
    return dot != NULL;
}

static bf_status load_text(const char *path, bfi_graph **graph, bf_error *err) {
    char *text = NULL;
    size_t size = 0;
    bf_status status = bfi_file_read(path, TEXT_LIMIT, &text, &size, err);
    if (status == BF_STATUS_OK) status = bfi_graph_parse(text, size, path, graph, err);
    free(text);
    return status;
}

bf_status bf_model_load(const char *path, bf_model **out, bf_error *err) {
    bfi_graph *graph = NULL;
    bf_status status =
        is_text(path) ? load_text(path, &graph, err) : bfi_onnx_load(path, &graph, err);
    return status == BF_STATUS_OK ? bfi_model_wrap(graph, out, err) : status;
}

bf_status bf_model_parse(const void *data, size_t size, const char *name, bf_model **out,
                         bf_error *err) {
    bfi_graph *graph = NULL;
    bf_status status = is_text(name) ? bfi_graph_parse(data, size, name, &graph, err)
                                     : bfi_onnx_parse(data, size, name, &graph, err);
    return status == BF_STATUS_OK ? bfi_model_wrap(graph, out, err) : status;
}

void bf_model_free(bf_model *model) {
    if (!model || atomic_fetch_sub(&model->references, 1) != 1) return;
    bfi_graph_free(model->graph);
    free(model);
}

int64_t bf_model_input_count(const bf_model *model) { return model->graph->nodes[0].count; }

int64_t bf_model_output_count(const bf_model *model) {
    return model->graph->nodes[model->graph->output].count;
}

int bf_model_layer_count(const bf_model *model) { return model->graph->count; }

bf_layer_info bf_model_layer(const bf_model *model, int index) {
    const bfi_node *node = &model->graph->nodes[index];
    bf_layer_info info = {.name = node->name,
                          .op = bfi_op_name(node->op),
                          .onnx_op = node->onnx_op,
                          .rank = node->shape.rank,
                          .count = node->count,
                          .parameters = bfi_node_parameters(node),
                          .flops = bfi_node_flops(model->graph, index)};
    for (int i = 0; i < node->shape.rank; i++) info.shape[i] = node->shape.dim[i];
    return info;
}

bf_status bf_model_evaluate(const bf_model *model, int float32, const double *x, double *y,
                            bf_error *err) {
    return bfi_evaluate(model->graph, float32 ? BFI_EVAL_FLOAT32 : BFI_EVAL_FLOAT64, x, y, NULL,
                        err);
}
