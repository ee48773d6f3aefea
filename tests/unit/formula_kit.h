/* Boolean formulas as networks and properties, for tests: conjunctions of rows that no row refutes
 * alone. Everything asserts. */
#ifndef BF_TESTS_FORMULA_KIT_H
#define BF_TESTS_FORMULA_KIT_H

#include "bounds_kit.h"

enum { FORMULA_VARIABLES = 11, FORMULA_CLAUSES = 143, FORMULA_LITERALS = 4 };

/* Clauses of |FORMULA_LITERALS| different variables each. */
typedef struct formula {
    int variables, clauses;
    int variable[FORMULA_CLAUSES][FORMULA_LITERALS];
    bool positive[FORMULA_CLAUSES][FORMULA_LITERALS];
} formula;

static inline formula formula_new(int variables, int clauses) {
    formula f = {variables, clauses, {{0}}, {{false}}};
    assert_true(variables <= FORMULA_VARIABLES && clauses <= FORMULA_CLAUSES);
    for (int c = 0; c < clauses; c++)
        for (int k = 0; k < FORMULA_LITERALS; k++) {
            bool fresh;
            do {
                f.variable[c][k] = (int)kit_int(0, variables - 1);
                fresh = true;
                for (int i = 0; i < k; i++) fresh = fresh && f.variable[c][i] != f.variable[c][k];
            } while (!fresh);
            f.positive[c][k] = kit_int(0, 1);
        }
    return f;
}

static inline bool formula_holds(const formula *f, unsigned assignment) {
    for (int c = 0; c < f->clauses; c++) {
        bool any = false;
        for (int k = 0; k < FORMULA_LITERALS; k++)
            any = any || (assignment >> f->variable[c][k] & 1) == f->positive[c][k];
        if (!any) return false;
    }
    return true;
}

static inline bool formula_satisfiable(const formula *f) {
    for (unsigned a = 0; a < 1u << f->variables; a++)
        if (formula_holds(f, a)) return true;
    return false;
}

/* Inputs x in [0, 1]; y_0 sums relu(1 - literals) over clauses, y_1 sums x - relu(2 x - 1), which
 * is zero at 0 and 1: y_0 <= 0 and y_1 <= 0 where x satisfies the formula, nowhere else. */
static inline bf_model *formula_model(const formula *f) {
    int64_t n = f->variables, hidden = f->clauses + 2 * n;
    bfi_graph *graph = kit_graph((bfi_shape){1, {n}});
    bfi_node *node = kit_add(graph, BFI_OP_LINEAR, 0, -1, (bfi_shape){1, {hidden}});
    node->attrs.rows = 1, node->attrs.k = n, node->attrs.n = hidden;
    node->weight = net_numbers(NET_PLAIN, hidden * n);
    node->bias = net_numbers(NET_PLAIN, hidden);
    memset(node->weight.data, 0, (size_t)(hidden * n) * sizeof(double));
    memset(node->bias.data, 0, (size_t)hidden * sizeof(double));
    for (int c = 0; c < f->clauses; c++) {
        node->bias.data[c] = 1;
        for (int k = 0; k < FORMULA_LITERALS; k++) {
            bool positive = f->positive[c][k];
            node->weight.data[c * n + f->variable[c][k]] = positive ? -1 : 1;
            if (!positive) node->bias.data[c] -= 1;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t same = f->clauses + i, twice = same + n;
        node->weight.data[same * n + i] = 1;
        node->weight.data[twice * n + i] = 2, node->bias.data[twice] = -1;
    }
    graph->output = net_same(graph, BFI_OP_RELU, graph->output, -1);
    node = kit_add(graph, BFI_OP_LINEAR, graph->output, -1, KIT_SHAPE(2));
    node->attrs.rows = 1, node->attrs.k = hidden, node->attrs.n = 2;
    node->weight = net_numbers(NET_PLAIN, 2 * hidden);
    node->bias = net_numbers(NET_PLAIN, 2);
    memset(node->bias.data, 0, 2 * sizeof(double));
    for (int64_t j = 0; j < hidden; j++) {
        node->weight.data[j] = j < f->clauses;
        node->weight.data[hidden + j] = j < f->clauses ? 0 : j < f->clauses + n ? 1 : -1;
    }
    kit_validate(graph);
    return net_model(graph);
}

#endif
