/* The model behind the public handle: a graph with a reference count. */
#ifndef BFI_FRONTEND_MODEL_H
#define BFI_FRONTEND_MODEL_H

#include "boundflow/model.h"
#include "ir/graph.h"

struct bf_model {
    bfi_graph *graph;
    _Atomic int references; /* plans keep one each */
};

/* Wraps |graph|, which it takes over even on failure. */
bf_status bfi_model_wrap(bfi_graph *graph, bf_model **out, bf_error *err);
bf_model *bfi_model_retain(bf_model *model);

#endif
