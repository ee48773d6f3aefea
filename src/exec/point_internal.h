/* What the two directions of point_eval.h share. */
#ifndef BFI_EXEC_POINT_INTERNAL_H
#define BFI_EXEC_POINT_INTERNAL_H

#include "exec/point_eval.h"

struct bfi_point_eval {
    const bfi_graph *graph;
    const bfi_constants *constants;
    const bfi_kernels *kernels;
    int64_t room, ls;         /* stride created for, and in use */
    int *root;                /* the value whose elements value i shares (aliases) */
    bool *needed;             /* the gradient reaches this value */
    bool *started;            /* its adjoint holds a first contribution; by root */
    float **value, **adjoint; /* by id; adjoint NULL where not needed */
    float *scratch;           /* as large as the largest value */
    float *leak;              /* by lane */
    float *memory;
};

/* Input |which| of |node|. */
static inline const float *bfi_point_operand(const bfi_point_eval *eval, const bfi_node *node,
                                             int which) {
    return eval->value[node->inputs[which]];
}

/* out = W in for every one of |rows| rows, and one convolution; polled in slices. */
bf_status bfi_point_linear(const bfi_point_eval *eval, const bfi_packed *w, int64_t rows,
                           const float *in, float *out, const bfi_budget *budget);
bf_status bfi_point_conv(const bfi_point_eval *eval, const bfi_conv *conv, const float *in,
                         float *out, const bfi_budget *budget);

/* Positions in its plane that window (oy, ox) of a pooling node reads: calls of the iterator give
 * one after the other, -1 at the end. */
typedef struct bfi_point_taps {
    const bfi_window *w;
    int64_t oy, ox, tap;
} bfi_point_taps;
int64_t bfi_point_next_tap(bfi_point_taps *taps);

#endif
