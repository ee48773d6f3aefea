/* VNN-LIB 1.0 and 2.0, between its two halves: the formula that was read, and the property made of
 * it. */
#ifndef BFI_FRONTEND_VNNLIB_H
#define BFI_FRONTEND_VNNLIB_H

#include <stdbool.h>
#include <stdint.h>

#include "boundflow/property.h"
#include "frontend/vnnlib_lex.h"

/* Limits on what one file may ask for; beyond them the status is BF_STATUS_LIMIT. */
#define BFI_VNNLIB_MAX_BYTES (INT32_C(1) << 30)
#define BFI_VNNLIB_MAX_DEPTH 1000            /* parentheses within one assertion */
#define BFI_VNNLIB_MAX_DISJUNCTS (1 << 20)   /* of the disjunctive normal form */
#define BFI_VNNLIB_MAX_ATOMS (1 << 23)       /* of all disjuncts together */
#define BFI_VNNLIB_MAX_BOX_NUMBERS (1 << 27) /* of all boxes together */
#define BFI_VNNLIB_MAX_TENSORS 256           /* declared by a network */
#define BFI_VNNLIB_MAX_UNBOUNDED (1 << 16)   /* inputs, in a file that cannot bound them all */

typedef enum bfi_vnnlib_kind {
    BFI_VNNLIB_AND, /* without children: true */
    BFI_VNNLIB_OR,  /* without children: false */
    BFI_VNNLIB_BOUND,
    BFI_VNNLIB_ROW
} bfi_vnnlib_kind;

/* One node of the formula; children are a list of siblings. */
typedef struct bfi_vnnlib_node {
    bfi_vnnlib_kind kind;
    int32_t line;
    int32_t next;  /* next sibling, or -1 */
    int32_t first; /* and, or: first child or -1; bound, row: its index */
} bfi_vnnlib_node;

/* An input on one side of a number. */
typedef struct bfi_vnnlib_bound {
    int32_t variable;
    bool upper;
    bool open;           /* strict, and the number is the double |outer| */
    double outer, inner; /* outward and inward conversion */
} bfi_vnnlib_bound;

/* Any other linear constraint; its terms stand in |terms|, those over outputs first. */
typedef struct bfi_vnnlib_row {
    size_t term;
    int32_t y_count, x_count;
    double rhs_lo, rhs_hi;
    bool strict;
} bfi_vnnlib_row;

/* A tensor that a network of VNN-LIB 2 declares. */
typedef struct bfi_vnnlib_tensor {
    bf_variable variable;
    int32_t line;
} bfi_vnnlib_tensor;

/* All assertions of a file. The conjunction of the nodes in the list |root| is the formula. */
typedef struct bfi_vnnlib_formula {
    const char *name;           /* of the file, borrowed */
    int32_t *x_lines, *y_lines; /* 1.0: where each variable is declared; 0: not at all */
    size_t x_capacity, y_capacity;
    char *network;              /* 2.0: its name; NULL in 1.0 */
    bfi_vnnlib_tensor *tensors; /* 2.0: inputs, hidden nodes, outputs, as declared */
    size_t tensor_count, tensor_capacity;
    int32_t n_in, n_out; /* highest declared index + 1; elements */
    int32_t x_declared, y_declared;
    bfi_vnnlib_node *nodes;
    bfi_vnnlib_bound *bounds;
    bfi_vnnlib_row *rows;
    bf_term *terms;
    size_t node_count, node_capacity, bound_count, bound_capacity;
    size_t row_count, row_capacity, term_count, term_capacity;
    int32_t root;
} bfi_vnnlib_formula;

/* Reads |text| into |out| (zeroed by the caller, released with bfi_vnnlib_formula_clear whatever
 * the status). Every declared index range is complete afterwards and every constraint normalised to
 * sum <= rhs. |text| is not kept. Linear time; recursion no deeper than BFI_VNNLIB_MAX_DEPTH. */
bf_status bfi_vnnlib_read(const char *text, size_t length, const char *name,
                          bfi_vnnlib_formula *out, bf_error *err);

void bfi_vnnlib_formula_clear(bfi_vnnlib_formula *formula);

/* Behind "(declare-network", whose parenthesis is in line |opened|: its variables. */
bf_status bfi_vnnlib_read_network(bfi_vnnlib_lexer *lexer, bfi_vnnlib_formula *formula,
                                  int32_t opened);

/* The element of a declared tensor that the word |name| begins: "X[0,2]", or "Y" of a scalar. */
bf_status bfi_vnnlib_read_element(bfi_vnnlib_lexer *lexer, const bfi_vnnlib_formula *formula,
                                  const bfi_vnnlib_token *name, bool *output, int32_t *index);

/* How the file calls input |input|; the line that declares it. */
int32_t bfi_vnnlib_input_name(const bfi_vnnlib_formula *formula, int32_t input, char *text,
                              size_t size);

/* Expands |formula| into disjunctive normal form: disjuncts in the order in which the file spells
 * their choices, cases in the order of their first disjunct. Takes |formula->terms| on success. */
bf_status bfi_vnnlib_expand(bfi_vnnlib_formula *formula, bf_property **out, bf_error *err);

/* Makes room for |need| elements of |size| bytes in the list whose pointer lies at |items|. */
bf_status bfi_vnnlib_reserve(void *items, size_t *capacity, size_t need, size_t size,
                             bf_error *err);

#endif
