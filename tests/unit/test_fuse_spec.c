/* A spec fused into the last linear layer is tighter than C times the logits' intervals. */
#include "bounds_kit.h"

static bf_model *two_logits(void) {
    bfi_graph *graph = kit_graph(KIT_SHAPE(1, 2));
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, 0, -1, KIT_SHAPE(1, 2));
    node->attrs.rows = 1, node->attrs.k = 2, node->attrs.n = 2;
    node->weight = kit_numbers((const double[]){1, 1, 1, 2}, 4);
    return net_model(graph);
}

/* x in [-1, 1]^2, y = (x0 + x1, x0 + 2 x1): y0 - y1 = -x1 lies in [-1, 1]; intervals say [-5, 5]. */
static void difference_of_logits(void **state) {
    (void)state;
    bf_model *model = two_logits();
    const double lo[2] = {-1, -1}, hi[2] = {1, 1}, spec[2] = {1, -1};
    for (int index = 0; index < KIT_SETTINGS; index++) {
        double y_lo[2], y_hi[2], lower, upper;
        bf_options o = kit_setting(index);
        kit_bounds_once(model, o, lo, hi, NULL, 0, y_lo, y_hi);
        kit_bounds_once(model, o, lo, hi, spec, 1, &lower, &upper);
        assert_true(y_lo[0] - y_hi[1] <= -5 && y_hi[0] - y_lo[1] >= 5);
        assert_true(lower <= -1 && lower > -1.0001 && upper >= 1 && upper < 1.0001);
    }
    bf_model_free(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(difference_of_logits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
