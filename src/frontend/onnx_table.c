/* The op table: one row per ONNX op type that can be imported. */
#include <string.h>

#include "frontend/onnx.h"
#include "frontend/onnx_import.h"

#define MANY SIZE_MAX

#define POOL " kernel_shape strides pads dilations auto_pad ceil_mode "
#define CONV " kernel_shape strides pads dilations auto_pad group "

static const bfi_onnx_op table[] = {
    {"Gemm", 2, 3, bfi_onnx_gemm, " alpha beta transA transB "},
    {"MatMul", 2, 2, bfi_onnx_matmul, ""},
    {"BatchNormalization", 5, 5, bfi_onnx_batch_normalization,
     " epsilon momentum spatial training_mode "},
    {"Conv", 2, 3, bfi_onnx_conv, CONV},
    {"ConvTranspose", 2, 3, bfi_onnx_conv_transpose, CONV "output_padding output_shape "},
    {"MaxPool", 1, 1, bfi_onnx_max_pool, POOL "storage_order "},
    {"AveragePool", 1, 1, bfi_onnx_average_pool, POOL "count_include_pad "},
    {"GlobalAveragePool", 1, 1, bfi_onnx_global_average_pool, ""},
    {"GlobalMaxPool", 1, 1, bfi_onnx_global_max_pool, ""},
    {"Add", 2, 2, bfi_onnx_binary, ""},
    {"Sub", 2, 2, bfi_onnx_binary, ""},
    {"Mul", 2, 2, bfi_onnx_binary, ""},
    {"Div", 2, 2, bfi_onnx_binary, ""},
    {"Sum", 1, MANY, bfi_onnx_variadic, ""},
    {"Max", 1, MANY, bfi_onnx_variadic, ""},
    {"Min", 1, MANY, bfi_onnx_variadic, ""},
    {"Pow", 2, 2, bfi_onnx_pow, ""},
    {"Neg", 1, 1, bfi_onnx_neg, ""},
    {"Relu", 1, 1, bfi_onnx_unary, ""},
    {"LeakyRelu", 1, 1, bfi_onnx_unary, " alpha "},
    {"Sigmoid", 1, 1, bfi_onnx_unary, ""},
    {"Tanh", 1, 1, bfi_onnx_unary, ""},
    {"Sin", 1, 1, bfi_onnx_unary, ""},
    {"Cos", 1, 1, bfi_onnx_unary, ""},
    {"Exp", 1, 1, bfi_onnx_unary, ""},
    {"Log", 1, 1, bfi_onnx_unary, ""},
    {"Sqrt", 1, 1, bfi_onnx_unary, ""},
    {"Reciprocal", 1, 1, bfi_onnx_unary, ""},
    {"Abs", 1, 1, bfi_onnx_unary, ""},
    {"Sign", 1, 1, bfi_onnx_unary, ""},
    {"Floor", 1, 1, bfi_onnx_unary, ""},
    {"Clip", 1, 3, bfi_onnx_clip, " min max "},
    {"Cast", 1, 1, bfi_onnx_cast, " to saturate "},
    {"Softmax", 1, 1, bfi_onnx_softmax, " axis "},
    {"Identity", 1, 1, bfi_onnx_identity, ""},
    {"Dropout", 1, 3, bfi_onnx_identity, " ratio seed is_test "},
    {"Flatten", 1, 1, bfi_onnx_flatten, " axis "},
    {"Reshape", 2, 2, bfi_onnx_reshape, " allowzero "},
    {"Squeeze", 1, 2, bfi_onnx_squeeze, " axes "},
    {"Unsqueeze", 1, 2, bfi_onnx_unsqueeze, " axes "},
    {"Transpose", 1, 1, bfi_onnx_transpose, " perm "},
    {"Concat", 1, MANY, bfi_onnx_concat, " axis "},
    {"Slice", 1, 5, bfi_onnx_slice, " starts ends axes "},
    {"Split", 1, 2, bfi_onnx_split, " axis split num_outputs "},
    {"Gather", 2, 2, bfi_onnx_gather, " axis "},
    {"Pad", 1, 4, bfi_onnx_pad, " mode pads value "},
    {"Expand", 2, 2, bfi_onnx_expand, ""},
    {"ReduceSum", 1, 2, bfi_onnx_reduce, " axes keepdims noop_with_empty_axes "},
    {"ReduceMean", 1, 2, bfi_onnx_reduce, " axes keepdims noop_with_empty_axes "},
    {"ReduceMax", 1, 2, bfi_onnx_reduce, " axes keepdims noop_with_empty_axes "},
    {"ReduceMin", 1, 2, bfi_onnx_reduce, " axes keepdims noop_with_empty_axes "},
    {"ReduceProd", 1, 2, bfi_onnx_reduce, " axes keepdims noop_with_empty_axes "},
    {"Upsample", 1, 2, bfi_onnx_upsample, " mode scales "},
    {"Resize", 1, 4, bfi_onnx_resize,
     " mode coordinate_transformation_mode nearest_mode cubic_coeff_a exclude_outside "
     "extrapolation_value "
     "axes antialias keep_aspect_ratio_policy "},
    {"Constant", 0, 0, bfi_onnx_constant_op,
     " value value_float value_floats value_int value_ints "},
    {"ConstantOfShape", 1, 1, bfi_onnx_constant_of_shape, " value "},
    {"Shape", 1, 1, bfi_onnx_shape_op, " start end "},
    {"Size", 1, 1, bfi_onnx_size_op, ""},
    {"Range", 3, 3, bfi_onnx_range, ""},
    {"Where", 3, 3, bfi_onnx_where, ""},
    {"Equal", 2, 2, bfi_onnx_comparison, ""},
    {"Less", 2, 2, bfi_onnx_comparison, ""},
    {"Greater", 2, 2, bfi_onnx_comparison, ""},
    {"And", 2, 2, bfi_onnx_comparison, ""},
    {"Or", 2, 2, bfi_onnx_comparison, ""},
    {"Not", 1, 1, bfi_onnx_not, ""},
};

const char *bfi_onnx_operator(size_t index) {
    return index < sizeof table / sizeof table[0] ? table[index].name : NULL;
}

const bfi_onnx_op *bfi_onnx_find_op(const char *op_type) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(table[i].name, op_type) == 0) return &table[i];
    return NULL;
}
