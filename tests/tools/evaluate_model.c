/* evaluate_model MODEL IN OUT float32|float64: evaluates MODEL at every input in IN (raw float64,
 * one after the other, host order) and writes the outputs to OUT in the same form. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "frontend/onnx.h"
#include "ir/evaluate.h"

static bf_status evaluate_all(const bfi_graph *graph, bfi_precision precision, FILE *in, FILE *out,
                              bf_error *err) {
    size_t n = (size_t)graph->nodes[0].count, m = (size_t)graph->nodes[graph->output].count;
    double *x = bfi_calloc(n, sizeof *x), *y = bfi_calloc(m, sizeof *y);
    bf_status st = x && y ? BF_STATUS_OK : bfi_fail_memory(err);
    while (st == BF_STATUS_OK && fread(x, sizeof *x, n, in) == n) {
        st = bfi_evaluate(graph, precision, x, y, NULL, err);
        if (st == BF_STATUS_OK && fwrite(y, sizeof *y, m, out) != m)
            st = bfi_fail(err, BF_STATUS_IO, "cannot write the outputs");
    }
    free(x);
    free(y);
    return st;
}

int main(int argc, char **argv) {
    bf_error err;
    bfi_graph *graph = NULL;
    if (argc != 5) {
        fprintf(stderr, "usage: evaluate_model MODEL IN OUT float32|float64\n");
        return 2;
    }
    FILE *in = fopen(argv[2], "rb"), *out = fopen(argv[3], "wb");
    bf_status st = in && out
                       ? BF_STATUS_OK
                       : bfi_fail(&err, BF_STATUS_IO, "cannot open %s or %s", argv[2], argv[3]);
    if (st == BF_STATUS_OK) st = bfi_onnx_load(argv[1], &graph, &err);
    bfi_precision precision = strcmp(argv[4], "float64") == 0 ? BFI_EVAL_FLOAT64 : BFI_EVAL_FLOAT32;
    if (st == BF_STATUS_OK) st = evaluate_all(graph, precision, in, out, &err);
    bfi_graph_free(graph);
    if (in) fclose(in);
    if (out && fclose(out) != 0 && st == BF_STATUS_OK)
        st = bfi_fail(&err, BF_STATUS_IO, "cannot write %s", argv[3]);
    if (st != BF_STATUS_OK) fprintf(stderr, "%s\n", err.message);
    return bf_status_exit_code(st);
}
