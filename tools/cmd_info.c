#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "json.h"
#include "terminal.h"

static const char *shape_text(const bf_layer_info *layer, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (int d = 0; d < layer->rank && used < size; d++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", d ? "x" : "",
                                 (long long)layer->shape[d]);
    return layer->rank ? text : "scalar";
}

static void print_json(const char *path, const bf_model *model) {
    bfi_json json = {.out = stdout};
    int64_t parameters = 0, flops = 0;
    bfi_json_open(&json, NULL, '{');
    bfi_json_string(&json, "model", path);
    bfi_json_integer(&json, "inputs", bf_model_input_count(model));
    bfi_json_integer(&json, "outputs", bf_model_output_count(model));
    bfi_json_open(&json, "layers", '[');
    for (int i = 0; i < bf_model_layer_count(model); i++) {
        bf_layer_info layer = bf_model_layer(model, i);
        parameters += layer.parameters;
        flops += layer.flops;
        bfi_json_open(&json, NULL, '{');
        bfi_json_string(&json, "name", layer.name);
        bfi_json_string(&json, "op", layer.op);
        bfi_json_string(&json, "onnx_op", layer.onnx_op);
        bfi_json_open(&json, "shape", '[');
        for (int d = 0; d < layer.rank; d++) bfi_json_integer(&json, NULL, layer.shape[d]);
        bfi_json_close(&json, ']');
        bfi_json_integer(&json, "count", layer.count);
        bfi_json_integer(&json, "parameters", layer.parameters);
        bfi_json_integer(&json, "flops", layer.flops);
        bfi_json_close(&json, '}');
    }
    bfi_json_close(&json, ']');
    bfi_json_integer(&json, "parameters", parameters);
    bfi_json_integer(&json, "flops", flops);
    bfi_json_close(&json, '}');
    putchar('\n');
}

static int longest_name(const bf_model *model) {
    int longest = 5;
    for (int i = 0; i < bf_model_layer_count(model); i++) {
        int length = (int)strlen(bf_model_layer(model, i).name);
        if (length > longest) longest = length;
    }
    int room = bfi_terminal_width(stdout) - 70;
    if (room < 24) room = 24;
    return longest < room ? longest : room;
}

static void print_table(const char *path, const bf_model *model) {
    int width = longest_name(model);
    int64_t parameters = 0, flops = 0;
    const char *bold = bfi_terminal_style(stdout, BFI_STYLE_BOLD);
    const char *reset = bfi_terminal_style(stdout, BFI_STYLE_RESET);
    printf("%s: %lld inputs, %lld outputs\n\n", path, (long long)bf_model_input_count(model),
           (long long)bf_model_output_count(model));
    printf("%s%4s  %-*s  %-14s %-19s %-16s %11s %12s%s\n", bold, "", width, "layer", "op",
           "ONNX op", "shape", "parameters", "FLOPs", reset);
    for (int i = 0; i < bf_model_layer_count(model); i++) {
        bf_layer_info layer = bf_model_layer(model, i);
        char shape[160];
        printf("%4d  %-*.*s  %-14s %-19s %-16s %11lld %12lld\n", i, width, width, layer.name,
               layer.op, layer.onnx_op, shape_text(&layer, shape, sizeof shape),
               (long long)layer.parameters, (long long)layer.flops);
        parameters += layer.parameters;
        flops += layer.flops;
    }
    printf("%s%4s  %-*s  %-14s %-19s %-16s %11lld %12lld%s\n", bold, "", width, "total", "", "", "",
           (long long)parameters, (long long)flops, reset);
}

int bfi_cmd_info(const bfi_arguments *args) {
    bf_error err = {""};
    bf_model *model = NULL;
    bf_status status = bf_model_load(args->positional, &model, &err);
    if (status == BF_STATUS_OK) {
        if (args->given[BFI_OPTION_JSON])
            print_json(args->positional, model);
        else
            print_table(args->positional, model);
    }
    bf_model_free(model);
    return bfi_cli_end(BFI_COMMAND_INFO, status, &err);
}
