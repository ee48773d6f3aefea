/* ONNX import on protobuf-c. */
#ifndef BFI_FRONTEND_ONNX_H
#define BFI_FRONTEND_ONNX_H

#include "ir/graph.h"

/* Reads an ONNX model (plain or .gz; opsets 7 to 21; inputs that are no initializers, and
 * outputs, float or double; several stand one behind the other) into a primal graph: constants folded, batch norm kept, biases merged
 * into linear nodes, unused nodes pruned, validated. On success *|out| belongs to the caller. An
 * op, attribute or shape that cannot be imported is BF_STATUS_UNSUPPORTED and names file, node and
 * op. Files up to 2 GiB, tensors up to 2^31 elements. */
bf_status bfi_onnx_load(const char *path, bfi_graph **out, bf_error *err);
bf_status bfi_onnx_parse(const void *data, size_t size, const char *name, bfi_graph **out,
                         bf_error *err);

/* Name of the |index|-th op type that can be imported; NULL past the last. */
const char *bfi_onnx_operator(size_t index);
/* The first and the last opset that can be. */
void bfi_onnx_opsets(int64_t *least, int64_t *most);

#endif
