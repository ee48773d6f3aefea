/* Small questions for the verifier: small networks, and properties near their minimum. */
#ifndef BF_TESTS_SEARCH_KIT_H
#define BF_TESTS_SEARCH_KIT_H

#include <stdio.h>
#include <unistd.h>

#include "boundflow/verify.h"
#include "bounds_kit.h"
#include "ir/evaluate.h"

/* Two outputs, relus between layers of |width|. */
static inline bf_model *kit_model(int inputs, int layers, int64_t width) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(inputs));
    int a = 0;
    for (int i = 0; i < layers; i++) {
        a = net_linear(graph, NET_PLAIN, a, 1, i ? width : inputs, width);
        a = net_same(graph, BFI_OP_RELU, a, -1);
    }
    graph->output = net_linear(graph, NET_PLAIN, a, 1, width, 2);
    kit_validate(graph);
    return net_model(graph);
}

/* Smallest and largest y_0 over some points of [-1, 1]^n. */
static inline void kit_range(const bf_model *model, double *least, double *most) {
    int64_t n = bf_model_input_count(model);
    *least = INFINITY, *most = -INFINITY;
    for (int i = 0; i < 4000; i++) {
        double x[16];
        double **values;
        for (int64_t k = 0; k < n; k++) x[k] = i % 2 ? net_uniform() : kit_int(0, 1) ? 1 : -1;
        assert_int_equal(bfi_evaluate(model->graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL),
                         BF_STATUS_OK);
        double y = values[model->graph->output][0];
        *least = fmin(*least, y), *most = fmax(*most, y);
        bfi_evaluation_free(model->graph, values);
    }
}

/* Smallest y_0 and y_0 - y_1, and largest y_0, over grid x grid points of [-1, 1]^2. */
static inline void kit_grid_minimum(int grid, const bf_model *model, double least[2],
                                    double *most) {
    least[0] = least[1] = INFINITY, *most = -INFINITY;
    for (int i = 0; i < grid * grid; i++) {
        double x[2] = {-1 + 2.0 * (i % grid) / (grid - 1), -1 + 2.0 * (i / grid) / (grid - 1)};
        double **values;
        assert_int_equal(bfi_evaluate(model->graph, BFI_EVAL_FLOAT64, x, NULL, &values, NULL),
                         BF_STATUS_OK);
        const double *y = values[model->graph->output];
        least[0] = fmin(least[0], y[0]), least[1] = fmin(least[1], y[0] - y[1]);
        *most = fmax(*most, y[0]);
        bfi_evaluation_free(model->graph, values);
    }
}

/* What |assertion| says of two outputs, on [-1, 1]^2. */
static inline bf_property *kit_square_property(const char *assertion) {
    char text[1024];
    bf_property *property;
    bf_error err = {""};
    int length = snprintf(text, sizeof text,
                          "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)"
                          "(declare-const Y_1 Real)\n(assert (and (>= X_0 -1) (<= X_0 1)))\n"
                          "(assert (and (>= X_1 -1) (<= X_1 1)))\n%s\n",
                          assertion);
    if (bf_property_parse(text, (size_t)length, "test", &property, &err) != BF_STATUS_OK)
        fail_msg("%s", err.message);
    return property;
}

/* y_0 <= |rhs| somewhere in [-1, 1]^n, as two cases: the halves below and above x_1 = 0.1. */
static inline bf_property *kit_property(int inputs, double rhs) {
    char text[4096], box[1024] = "";
    bf_property *property;
    bf_error err = {""};
    int length = 0, used = 0;
    for (int i = 0; i < inputs; i++)
        length +=
            snprintf(text + length, sizeof text - (size_t)length, "(declare-const X_%d Real)", i);
    for (int i = 0; i < inputs; i++)
        used += snprintf(box + used, sizeof box - (size_t)used, "(>= X_%d -1) (<= X_%d 1)", i, i);
    length += snprintf(text + length, sizeof text - (size_t)length,
                       "(declare-const Y_0 Real)(declare-const Y_1 Real)\n(assert (or\n"
                       "(and %s (<= X_1 0.1) (<= Y_0 %.17g))\n"
                       "(and %s (>= X_1 0.1) (<= Y_0 %.17g))))\n",
                       box, rhs, box, rhs);
    if (bf_property_parse(text, (size_t)length, "test", &property, &err) != BF_STATUS_OK)
        fail_msg("%s", err.message);
    return property;
}

/* Bytes that this process holds; 0: unknown. */
static inline int64_t kit_resident(void) {
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    int found = fscanf(file, "%*d %lld", &pages);
    fclose(file);
    return found == 1 ? pages * sysconf(_SC_PAGESIZE) : 0;
}

/* Defaults for such questions: few starts of the attack. */
static inline bf_verify_options kit_verify_options(void) {
    bf_verify_options o = bf_verify_options_default();
    o.restarts = 16;
    o.steps = 5;
    return o;
}

#endif
