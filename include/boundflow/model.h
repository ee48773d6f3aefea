/* Models: trained networks read from ONNX. Immutable after loading; thread-safe to read. */
#ifndef BOUNDFLOW_MODEL_H
#define BOUNDFLOW_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "boundflow/status.h"

typedef struct bf_model bf_model;

/* Reads an ONNX file (plain or .gz), or a graph as .bfir text (docs/ir.md) when the name ends so.
 * On success *|out| is owned by the caller. */
BF_API bf_status bf_model_load(const char *path, bf_model **out, bf_error *err);

/* The same from memory (unpacked); |name| is used in messages, and its end as above. */
BF_API bf_status bf_model_parse(const void *data, size_t size, const char *name, bf_model **out,
                                bf_error *err);

BF_API void bf_model_free(bf_model *model);

/* Elements of the input and output tensor (row-major; X_i and Y_j of a property index them). A network's
 * several inputs stand one behind the other in the model's one, its outputs likewise. */
BF_API int64_t bf_model_input_count(const bf_model *model);
BF_API int64_t bf_model_output_count(const bf_model *model);

typedef struct bf_layer_info {
    const char *name;    /* node name in the ONNX file */
    const char *op;      /* BoundFlow's op, e.g. "conv" */
    const char *onnx_op; /* ONNX op type it came from */
    int rank;
    int64_t shape[8]; /* of the output */
    int64_t count;    /* elements of the output */
    int64_t parameters;
    int64_t flops; /* of one forward evaluation: 2 per multiply-add */
} bf_layer_info;

/* Layers in topological order; 0 is the input. Strings live as long as the model. */
BF_API int bf_model_layer_count(const bf_model *model);
BF_API bf_layer_info bf_model_layer(const bf_model *model, int index);

/* y = f(x) in float64 (|float32| 0) or with every operation rounded to float32 (1), by the plain
 * interpreter. |x| and |y| have the model's counts. */
BF_API bf_status bf_model_evaluate(const bf_model *model, int float32, const double *x, double *y,
                                   bf_error *err);

#endif
