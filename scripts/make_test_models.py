#!/usr/bin/env python3
"""Writes the tiny ONNX models of tests/data/onnx, which are the corpus of the ONNX fuzzer too.

usage: make_test_models.py [--check]

Every model gets a random input and the output that onnxruntime computes for it (onnx.reference
where onnxruntime has no kernel); both go into cases.txt. Models that must be refused go into
refused.txt with the status and a part of the message. --check writes nothing and compares with what
is there. Needs numpy, onnx and onnxruntime.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "data" / "onnx"
FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64

rng = np.random.default_rng(20240607)
cases, refused, files = [], [], {}


def weights(*shape, dtype=np.float32):
    """Random numbers with few digits: exact in float32 and short in files."""
    return (rng.integers(-16, 17, size=shape) / 8).astype(dtype)


def ints(*values):
    return np.array(values, dtype=np.int64)


def node(op, inputs, outputs="y", **attributes):
    return helper.make_node(
        op, inputs.split(), outputs.split(), name=attributes.pop("name", ""), **attributes
    )


def build(nodes, shape, inits, opset, element, outputs, listed, ir):
    initializers = [
        t if isinstance(t, TensorProto) else numpy_helper.from_array(np.asarray(t), k)
        for k, t in inits.items()
    ]
    inputs = [helper.make_tensor_value_info("x", element, shape)]
    if listed:
        inputs = [
            helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in initializers
        ] + inputs
    graph = helper.make_graph(
        nodes,
        "g",
        inputs,
        [helper.make_tensor_value_info(o, element, None) for o in outputs],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], producer_name=""
    )
    model.ir_version = ir or (10 if opset > 18 else 8 if opset > 12 else 6 if opset < 9 else 7)
    return model


def evaluate(model, x):
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        return session.run(None, {"x": x})[0]
    except Exception as error:  # no kernel for this opset or type
        print(f"reference for {model.graph.node[0].op_type}: {str(error)[:90]}", file=sys.stderr)
        return ReferenceEvaluator(model).run(None, {"x": x})[0]


def case(
    name,
    nodes,
    shape,
    inits=None,
    opset=13,
    element=FLOAT,
    listed=False,
    ir=None,
    positive=False,
    x_shape=None,
):
    nodes = nodes if isinstance(nodes, list) else [nodes]
    model = build(nodes, shape, inits or {}, opset, element, ["y"], listed, ir)
    shape = x_shape or shape
    x = rng.integers(-24, 25, size=shape) / 8
    x = (np.abs(x) + 0.25 if positive else x).astype(
        np.float64 if element == DOUBLE else np.float32
    )
    files[f"{name}.onnx"] = model.SerializeToString()
    cases.append((name, x.ravel(), np.asarray(evaluate(model, x), dtype=np.float64)))


def several():
    """Two inputs and two outputs: their elements stand one behind the other."""
    nodes = [node("MatMul", "a w", "p"), node("Add", "p b"), node("Relu", "a", "z")]
    numbers = (np.random.default_rng(7).integers(-24, 25, size=11) / 8).astype(np.float32)
    model = build(nodes, (1, 2), {"w": numbers[5:].reshape(2, 3)}, 13, FLOAT, ["y", "z"], False, None)
    del model.graph.input[:]
    shapes = {"a": (1, 2), "b": (3,)}
    for name, shape in shapes.items():
        model.graph.input.append(helper.make_tensor_value_info(name, FLOAT, shape))
    x = numbers[:5]
    feeds = {"a": x[:2].reshape(1, 2), "b": x[2:]}
    options = onnxruntime.SessionOptions()
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    y = np.concatenate([out.ravel() for out in session.run(["y", "z"], feeds)])
    files["several.onnx"] = model.SerializeToString()
    cases.append(("several", x, y.astype(np.float64)))


def squares():
    """A product of a value with itself."""
    nodes = [node("Relu", "x", "r"), node("Mul", "r r")]
    model = build(nodes, (1, 3), {}, 13, FLOAT, ["y"], False, None)
    x = np.float32([[-1.5, 0.375, 2.25]])
    files["mul_same.onnx"] = model.SerializeToString()
    cases.append(("mul_same", x.ravel(), np.asarray(evaluate(model, x), dtype=np.float64)))


def refuse(
    name,
    status,
    text,
    nodes,
    shape=(1, 2),
    inits=None,
    opset=13,
    element=FLOAT,
    outputs=("y",),
    change=None,
):
    nodes = nodes if isinstance(nodes, list) else [nodes]
    model = build(nodes, shape, inits or {}, opset, element, outputs, False, None)
    if change:
        change(model)
    files[f"bad_{name}.onnx"] = model.SerializeToString()
    refused.append((f"bad_{name}", status, text))


def products():
    w, c = weights(3, 4), weights(3)
    case("gemm_trans_b", node("Gemm", "x w c", transB=1), (1, 4), {"w": w, "c": c})
    case("gemm_plain", node("Gemm", "x w"), (2, 4), {"w": weights(4, 3)}, 11)
    case(
        "gemm_alpha_beta",
        node("Gemm", "x w c", transB=1, alpha=0.3, beta=0.7),
        (1, 4),
        {"w": w, "c": c},
    )
    case("gemm_beta", node("Gemm", "x w c", transB=1, beta=2.0), (1, 4), {"w": w, "c": c}, 7)
    case("gemm_scalar_c", node("Gemm", "x w c", transB=1), (1, 4), {"w": w, "c": weights()})
    case("gemm_column_c", node("Gemm", "x w c", transB=1), (2, 4), {"w": w, "c": weights(2, 1)})
    case("gemm_trans_a", node("Gemm", "x w c", transA=1), (4, 2), {"w": weights(4, 3), "c": c})
    case("gemm_const_a", node("Gemm", "w x c", transB=1), (2, 4), {"w": w, "c": weights(2)})
    case(
        "gemm_both",
        [node("Relu", "x", "r"), node("Gemm", "x r x", transA=1, alpha=0.5, beta=0.25)],
        (2, 2),
    )
    case("matmul_right", node("MatMul", "x w"), (1, 4), {"w": weights(4, 3)})
    case("matmul_left", node("MatMul", "w x"), (4, 2), {"w": w})
    case("matmul_left_vector", node("MatMul", "w x"), (4,), {"w": w})
    case("matmul_vector", node("MatMul", "x w"), (4,), {"w": weights(4, 3)})
    case("matmul_weight_vector", node("MatMul", "x w"), (2, 4), {"w": weights(4)})
    case("matmul_rows", node("MatMul", "x w"), (1, 2, 3, 4), {"w": weights(4, 2)})
    case("matmul_batched_const", node("MatMul", "x w"), (2, 3, 4), {"w": weights(2, 4, 2)})
    case("matmul_left_batched", node("MatMul", "w x"), (2, 4, 3), {"w": w})
    case(
        "matmul_values",
        [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t")],
        (2, 3, 4),
    )
    case(
        "matmul_broadcast",
        [node("Slice", "x s e a", "t"), node("Squeeze", "t a", "u"), node("MatMul", "x u")],
        (2, 3, 3),
        {"s": ints(0), "e": ints(1), "a": ints(0)},
    )
    case(
        "matmul_add",
        [node("MatMul", "x w", "h"), node("Add", "h b", "z"), node("Relu", "z")],
        (1, 4),
        {"w": weights(4, 3), "b": c},
    )
    case(
        "matmul_add_shared",
        [node("MatMul", "x w", "h"), node("Add", "h b", "z"), node("Mul", "h z")],
        (1, 4),
        {"w": weights(4, 3), "b": c},
    )


def arithmetic():
    c = weights(3, 1) + np.float32(2.5)
    for op in ("Add", "Sub", "Mul", "Div"):
        case(f"{op.lower()}_right", node(op, "x c"), (2, 1, 4), {"c": c})
        case(f"{op.lower()}_left", node(op, "c x"), (1, 3, 2), {"c": c}, positive=True)
        case(
            f"{op.lower()}_values",
            [node("ReduceSum", "x a", "s"), node(op, "x s")],
            (2, 3),
            {"a": ints(1)},
            positive=True,
        )
    case("neg", node("Neg", "x"), (1, 3))
    case("sum_three", node("Sum", "x c x"), (2, 3), {"c": weights(3)}, 8)
    case("max_const", node("Max", "x c"), (2, 3), {"c": weights(3)}, 12)
    case("min_values", [node("Neg", "x", "n"), node("Min", "x n c")], (2, 3), {"c": weights(1)}, 12)
    for name, exponent in (("square", 2), ("cube", 3), ("root", 0.5), ("one", 1), ("inverse", -1)):
        case(f"pow_{name}", node("Pow", "x e"), (1, 4), {"e": np.float32(exponent)}, positive=True)
    case("pow_int", node("Pow", "x e"), (1, 4), {"e": ints(2)})
    for op in ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "Sin", "Cos", "Abs", "Sign", "Floor", "Exp"):
        case(op.lower(), node(op, "x"), (1, 5))
    for op in ("Log", "Sqrt", "Reciprocal"):
        case(op.lower(), node(op, "x"), (1, 5), positive=True)
    case("leakyrelu_alpha", node("LeakyRelu", "x", alpha=0.25), (1, 5))
    case("clip_attributes", node("Clip", "x", min=-1.0, max=0.5), (1, 5), opset=7)
    case(
        "clip_inputs",
        node("Clip", "x lo hi"),
        (1, 5),
        {"lo": np.float32(-1), "hi": np.float32(0.5)},
    )
    case("clip_low", node("Clip", "x lo"), (1, 5), {"lo": np.float32(-1)}, 11)
    case("softmax_old", node("Softmax", "x", axis=1), (1, 2, 3), opset=11)
    case("softmax_new", node("Softmax", "x", axis=1), (1, 2, 3))
    case("cast_up_down", [node("Cast", "x", "d", to=DOUBLE), node("Cast", "d", to=FLOAT)], (1, 3))
    case(
        "double_model",
        [node("MatMul", "x w", "h"), node("Relu", "h")],
        (1, 3),
        {"w": rng.random((3, 2))},
        element=DOUBLE,
    )


def normalisation():
    stats = {
        "g": weights(3) + 1,
        "b": weights(3),
        "m": weights(3),
        "v": np.abs(weights(3)) + np.float32(0.125),
    }
    case(
        "batch_norm_conv",
        [
            node("Conv", "x w", "h", pads=[1, 1, 1, 1]),
            node("BatchNormalization", "h g b m v", epsilon=0.01),
        ],
        (1, 2, 3, 3),
        {"w": weights(3, 2, 3, 3), **stats},
    )
    case("batch_norm_flat", node("BatchNormalization", "x g b m v"), (1, 3), stats, 9)


def windows():
    w = weights(2, 3, 3, 3)
    case(
        "conv_pad",
        node("Conv", "x w b", pads=[1, 0, 2, 1]),
        (1, 3, 4, 5),
        {"w": w, "b": weights(2)},
    )
    case(
        "conv_stride",
        node("Conv", "x w", strides=[2, 3], dilations=[2, 1], kernel_shape=[2, 2]),
        (1, 1, 6, 7),
        {"w": weights(2, 1, 2, 2)},
    )
    case(
        "conv_groups",
        node("Conv", "x w b", group=2),
        (1, 4, 3, 3),
        {"w": weights(4, 2, 2, 2), "b": weights(4)},
    )
    case(
        "conv_1d",
        node("Conv", "x w b", strides=[2], pads=[1, 1]),
        (1, 2, 6),
        {"w": weights(3, 2, 3), "b": weights(3)},
    )
    case(
        "conv_add",
        [node("Conv", "x w", "h"), node("Add", "h b")],
        (1, 1, 3, 3),
        {"w": weights(2, 1, 2, 2), "b": weights(2, 1, 1)},
    )
    for mode in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        case(
            f"conv_{mode.lower()}",
            node("Conv", "x w", auto_pad=mode, strides=[2, 2]),
            (1, 1, 5, 4),
            {"w": weights(1, 1, 2, 3)},
        )
    t = weights(2, 3, 3, 2)
    case(
        "convtranspose",
        node("ConvTranspose", "x w b", strides=[2, 1], pads=[1, 0, 1, 1], output_padding=[1, 0]),
        (1, 2, 3, 3),
        {"w": t, "b": weights(3)},
    )
    case(
        "convtranspose_groups",
        node("ConvTranspose", "x w", group=2, dilations=[2, 1]),
        (1, 2, 2, 3),
        {"w": t},
    )
    case(
        "convtranspose_shape",
        node("ConvTranspose", "x w", strides=[2, 2], output_shape=[6, 5]),
        (1, 2, 3, 3),
        {"w": t},
    )
    case(
        "convtranspose_upper",
        node("ConvTranspose", "x w", strides=[2, 2], auto_pad="SAME_UPPER"),
        (1, 2, 2, 3),
        {"w": t},
    )
    case(
        "convtranspose_lower",
        node("ConvTranspose", "x w", strides=[2, 2], auto_pad="SAME_LOWER"),
        (1, 2, 2, 3),
        {"w": t},
    )
    case(
        "convtranspose_1d",
        node("ConvTranspose", "x w", strides=[2]),
        (1, 2, 3),
        {"w": weights(2, 1, 3)},
    )
    pool = {"kernel_shape": [3, 2], "strides": [2, 2]}
    case("maxpool", node("MaxPool", "x", **pool), (1, 2, 5, 6))
    case("maxpool_pad", node("MaxPool", "x", pads=[1, 0, 1, 1], **pool), (1, 1, 4, 5), opset=8)
    case("maxpool_ceil", node("MaxPool", "x", ceil_mode=1, **pool), (1, 1, 6, 5), opset=10)
    case("maxpool_dilated", node("MaxPool", "x", dilations=[1, 2], **pool), (1, 1, 5, 6), opset=10)
    case("maxpool_1d", node("MaxPool", "x", kernel_shape=[2], strides=[2]), (1, 2, 6))
    case("averagepool", node("AveragePool", "x", pads=[1, 0, 1, 1], **pool), (1, 1, 4, 5), opset=7)
    case(
        "averagepool_count",
        node("AveragePool", "x", pads=[1, 0, 1, 1], count_include_pad=1, **pool),
        (1, 1, 4, 5),
    )
    case("averagepool_ceil", node("AveragePool", "x", ceil_mode=1, **pool), (1, 1, 6, 5), opset=19)
    case("averagepool_same", node("AveragePool", "x", auto_pad="SAME_UPPER", **pool), (1, 1, 4, 5))
    case("global_average", node("GlobalAveragePool", "x"), (1, 2, 3, 2))
    case("global_max", node("GlobalMaxPool", "x"), (1, 2, 3, 2))


def shapes():
    case("identity_relu", [node("Identity", "x", "i"), node("Relu", "i")], (1, 3))
    case("dropout_old", [node("Dropout", "x", "d", ratio=0.5), node("Relu", "d")], (1, 3), opset=7)
    case(
        "dropout_new",
        [node("Dropout", "x r t", "d"), node("Relu", "d")],
        (1, 3),
        {"r": np.float32(0.5), "t": np.array(False)},
    )
    for axis in (0, 2, -1):
        case(f"flatten_{axis % 4}", node("Flatten", "x", axis=axis), (2, 1, 3, 2))
    case("reshape_copy", node("Reshape", "x s"), (2, 3, 4), {"s": ints(0, -1, 2)})
    case("reshape_allowzero", node("Reshape", "x s", allowzero=1), (2, 3), {"s": ints(3, -1)}, 14)
    case("squeeze_attribute", node("Squeeze", "x", axes=[0, -1]), (1, 3, 1, 1), opset=11)
    case("squeeze_input", node("Squeeze", "x a"), (1, 3, 1), {"a": ints(-1)})
    case("squeeze_all", node("Squeeze", "x"), (1, 3, 1))
    case("unsqueeze_attribute", node("Unsqueeze", "x", axes=[0, 3]), (2, 3), opset=11)
    case("unsqueeze_input", node("Unsqueeze", "x a"), (2, 3), {"a": ints(-1, 1)})
    case("transpose", node("Transpose", "x", perm=[0, 2, 3, 1]), (1, 2, 3, 2))
    case("transpose_default", node("Transpose", "x"), (2, 3, 2))
    case(
        "transpose_twice",
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("Relu", "t", "r"),
            node("Transpose", "r", "u", perm=[0, 2, 1, 3]),
            node("Transpose", "u", perm=[0, 3, 2, 1]),
        ],
        (1, 2, 3, 2),
    )
    case("concat_const", node("Concat", "x c x", axis=-1), (2, 2), {"c": weights(2, 3)})
    case(
        "slice_attributes",
        node("Slice", "x", starts=[0, -3], ends=[1, 9999], axes=[0, 2]),
        (2, 2, 4),
        opset=9,
    )
    case(
        "slice_inputs",
        node("Slice", "x s e a p"),
        (2, 3, 5),
        {"s": ints(-1, 0), "e": ints(-(2**63), 2**62), "a": ints(2, 1), "p": ints(-2, 2)},
        10,
    )
    case("slice_plain", node("Slice", "x s e"), (3, 3), {"s": ints(1), "e": ints(2**31 - 1)}, 11)
    case("split_equal", [node("Split", "x", "a b", axis=1), node("Sub", "b a")], (1, 4), opset=11)
    case(
        "split_attribute",
        [node("Split", "x", "a b", axis=-1, split=[1, 3]), node("Mul", "a b")],
        (2, 4),
        opset=11,
    )
    case(
        "split_input",
        [node("Split", "x s", "a b"), node("Concat", "b a", axis=0)],
        (3, 2),
        {"s": ints(1, 2)},
    )
    case(
        "split_uneven",
        [node("Split", "x", "a b c", num_outputs=3), node("Concat", "c a b", axis=0)],
        (7, 1),
        opset=18,
    )
    case("gather_negative", node("Gather", "x i", axis=1), (2, 3), {"i": np.array(-1)})
    case(
        "gather_matrix",
        node("Gather", "x i", axis=1),
        (2, 3, 2),
        {"i": np.array([[0, 2], [2, -2]])},
    )
    case("pad_attributes", node("Pad", "x", pads=[0, 1, 0, 2], value=1.5), (2, 3), opset=7)
    case(
        "pad_inputs",
        node("Pad", "x p v"),
        (2, 3),
        {"p": ints(1, -1, 0, 2), "v": np.float32(-0.5)},
        11,
    )
    case(
        "pad_axes",
        node("Pad", "x p v a"),
        (2, 3),
        {"p": ints(1, 2), "v": np.float32(0), "a": ints(-1)},
        18,
    )
    case(
        "pad_nothing",
        [node("Pad", "x p", "q", mode="reflect"), node("Relu", "q")],
        (2, 3),
        {"p": ints(0, 0, 0, 0)},
        11,
    )
    case("expand", node("Expand", "x s"), (3, 1), {"s": ints(2, 1, 4)})
    case("reducesum_attribute", node("ReduceSum", "x", axes=[1], keepdims=0), (2, 3, 2), opset=11)
    case("reducesum_input", node("ReduceSum", "x a"), (2, 3, 2), {"a": ints(0, -1)})
    case("reducesum_all", node("ReduceSum", "x", keepdims=0), (2, 3))
    case(
        "reducesum_noop",
        [node("ReduceSum", "x", "r", noop_with_empty_axes=1), node("Relu", "r")],
        (2, 3),
    )
    case("reducemean_attribute", node("ReduceMean", "x", axes=[-2, -1]), (1, 2, 3, 2))
    case("reducemean_input", node("ReduceMean", "x a", keepdims=0), (2, 3, 2), {"a": ints(1)}, 18)


def resampling():
    case(
        "upsample_attribute",
        node("Upsample", "x", scales=[1.0, 1.0, 2.0, 1.5]),
        (1, 2, 2, 3),
        opset=7,
    )
    case(
        "upsample_input", node("Upsample", "x s"), (1, 2, 2, 3), {"s": np.float32([1, 1, 2, 2])}, 9
    )
    case("resize_10", node("Resize", "x s"), (1, 1, 4, 3), {"s": np.float32([1, 1, 0.6, 2.5])}, 10)
    scales = {"roi": np.float32([]), "s": np.float32([1, 1, 1.7, 0.6])}
    for coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        for nearest in ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil"):
            if coordinates != "half_pixel" and nearest in ("round_prefer_ceil", "ceil"):
                continue
            case(
                f"resize_{coordinates}_{nearest}",
                node(
                    "Resize",
                    "x roi s",
                    coordinate_transformation_mode=coordinates,
                    nearest_mode=nearest,
                ),
                (1, 1, 3, 5),
                scales,
            )
    empty = {"roi": np.float32([]), "s": np.float32([]), "n": ints(1, 2, 6, 4)}
    case("resize_sizes", node("Resize", "x roi s n"), (1, 2, 3, 3), empty, 11)
    case(
        "resize_axes",
        helper.make_node("Resize", ["x", "", "s"], ["y"], axes=[2, 3], nearest_mode="floor"),
        (1, 1, 2, 3),
        {"s": np.float32([2, 2])},
        18,
    )


def folding():
    case(
        "fold_shape_reshape",
        [
            node("Shape", "x", "s"),
            node("Gather", "s i", "n", axis=0),
            node("Unsqueeze", "n", "u", axes=[0]),
            node("Constant", "", "m", value=numpy_helper.from_array(ints(-1), "m")),
            node("Concat", "u m", "t", axis=0),
            node("Reshape", "x t"),
        ],
        (2, 3, 2),
        {"i": np.array(0)},
        11,
    )
    case(
        "fold_constant_of_shape",
        [
            node("Shape", "x", "s"),
            node("ConstantOfShape", "s", "c", value=helper.make_tensor("v", FLOAT, [1], [1.5])),
            node("Mul", "x c"),
        ],
        (2, 3),
    )
    case(
        "fold_where_equal",
        [
            node("Constant", "", "a", value_ints=[2, -1, 3]),
            node("Constant", "", "b", value_int=-1),
            node("Equal", "a b", "e"),
            node("ConstantOfShape", "k", "o", value=numpy_helper.from_array(ints(1), "v")),
            node("Where", "e o a", "s"),
            node("Expand", "x s"),
        ],
        (2, 1, 3),
        {"k": ints(3)},
    )
    case(
        "fold_range_cast",
        [
            node("Range", "a b c", "r"),
            node("Cast", "r", "f", to=FLOAT),
            node("Sqrt", "f", "q"),
            node("Add", "x q"),
        ],
        (1, 3),
        {"a": np.array(1), "b": np.array(7), "c": np.array(2)},
    )
    case(
        "fold_weight_chain",
        [
            node("Transpose", "w", "t"),
            node("Slice", "t z o", "s"),
            node("Mul", "s h", "u"),
            node("Neg", "u", "v"),
            node("Pad", "v p", "r"),
            node("MatMul", "x v", "m"),
            node("Constant", "", "f", value_floats=[0.5, -2.0]),
            node("Add", "m f"),
        ],
        (1, 3),
        {
            "w": weights(2, 4),
            "z": ints(0),
            "o": ints(3),
            "h": np.float32(0.5),
            "p": ints(0, 0, 0, 0),
        },
    )
    case(
        "fold_reduce_prod",
        [
            node("Shape", "x", "s", start=1),
            node("ReduceProd", "s", "p", axes=[0], keepdims=1),
            node("Concat", "o p", "t", axis=0),
            node("Reshape", "x t"),
        ],
        (2, 3, 2),
        {"o": ints(2)},
        15,
    )
    case(
        "fold_division",
        [
            node("Shape", "x", "s"),
            node("Div", "s t", "q"),
            node("Concat", "q m", "r", axis=0),
            node("Reshape", "x r"),
        ],
        (4,),
        {"t": ints(2), "m": ints(-1)},
    )
    case(
        "fold_unused_names",
        [node("Split", "w", "a b", axis=0), node("Add", "x b")],
        (1, 2),
        {"w": weights(2, 2)},
        11,
    )


def files_of_the_wild():
    w = weights(3, 2)
    case("symbolic_batch", node("MatMul", "x w"), ("N", 3), {"w": w}, x_shape=(1, 3))
    case("listed_initializers", node("MatMul", "x w"), (1, 3), {"w": w}, opset=8, listed=True, ir=3)
    case(
        "unsorted_nodes",
        [node("Add", "a b"), node("Relu", "b", "a"), node("MatMul", "x w", "b")],
        (1, 3),
        {"w": w},
    )
    typed = helper.make_tensor("w", FLOAT, [3, 2], w.ravel().tolist())
    flag = helper.make_tensor("e", TensorProto.INT32, [1], [-1])
    case(
        "typed_data",
        [node("Cast", "e", "i", to=INT64), node("MatMul", "x w", "h"), node("Unsqueeze", "h i")],
        (1, 3),
        {"w": typed, "e": flag},
    )
    case("opset_21", [node("MatMul", "x w", "h"), node("Relu", "h")], (1, 3), {"w": w}, 21)


def refusals():
    relu = node("Relu", "x")
    w = {"w": weights(2, 2)}
    refuse(
        "unknown_op",
        "unsupported",
        "node 'n1' (Einsum): this op",
        node("Einsum", "x", equation="ij->ji", name="n1"),
    )
    refuse(
        "unknown_domain",
        "unsupported",
        "this op",
        helper.make_node("Relu", ["x"], ["y"], domain="com.example"),
    )
    refuse("unknown_attribute", "unsupported", "attribute 'axe'", node("Relu", "x", axe=1))
    refuse(
        "cycle",
        "parse",
        "cycle",
        [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b")],
    )
    refuse("undefined", "parse", "'nowhere'", node("Add", "x nowhere"))
    refuse(
        "twice",
        "parse",
        "'t': is defined twice",
        [node("Relu", "x", "t"), node("Abs", "x", "t"), node("Relu", "t")],
    )
    refuse("no_output", "parse", "nothing computes", node("Relu", "x", "z"))
    refuse("too_few_inputs", "parse", "has 1 inputs", node("Add", "x"))
    refuse(
        "inner_dimension",
        "shape",
        "cannot multiply [1,2] and [3,2]",
        node("MatMul", "x w"),
        (1, 2),
        {"w": weights(3, 2)},
    )
    refuse("broadcast", "shape", "[1,2] and [3]", node("Add", "x w"), (1, 2), {"w": weights(3)})
    refuse(
        "reshape", "shape", "reshape [1,2] to [3]", node("Reshape", "x s"), (1, 2), {"s": ints(3)}
    )
    refuse(
        "nan_weight",
        "parse",
        "tensor 'w': element 1 is NaN",
        node("MatMul", "x w"),
        (1, 2),
        {"w": np.float32([[0, np.nan], [0, 0]])},
    )
    refuse(
        "infinite_weight",
        "parse",
        "is infinite",
        node("Add", "x w"),
        (1, 2),
        {"w": np.float32([1, np.inf])},
    )
    refuse(
        "half_weight",
        "unsupported",
        "element type",
        node("Add", "x w"),
        (1, 2),
        {"w": np.float16([1, 2])},
    )
    refuse(
        "conv_batch",
        "unsupported",
        "batch size",
        node("Conv", "x w"),
        (2, 1, 3, 3),
        {"w": weights(1, 1, 2, 2)},
    )
    refuse(
        "conv_channels",
        "shape",
        "does not fit weight",
        node("Conv", "x w"),
        (1, 2, 3, 3),
        {"w": weights(1, 1, 2, 2)},
    )
    refuse(
        "integer_value",
        "unsupported",
        "to int64",
        [node("Cast", "x", "i", to=INT64), node("Gather", "w i")],
        (1, 2),
        w,
    )
    refuse(
        "value_indices", "unsupported", "indices must be constant", node("Gather", "w x"), (1, 2), w
    )
    refusals_of_size()
    refusals_of_models(relu, w)


def refusals_of_size():
    refuse(
        "huge_shape",
        "limit",
        "2^26",
        node("ConstantOfShape", "s"),
        (1, 2),
        {"s": ints(2**20, 2**20)},
    )
    refuse(
        "huge_expand",
        "limit",
        "2^31-1",
        node("Expand", "x s"),
        (1, 2),
        {"s": ints(2**20, 2**20, 2)},
    )
    refuse("huge_pad", "limit", "2^31-1", node("Pad", "x p"), (1, 2), {"p": ints(0, 0, 2**40, 0)})

    def claim(model):
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend([2**20, 2**20])

    refuse(
        "huge_tensor",
        "limit",
        "tensor 'w'",
        node("Add", "x w"),
        (1, 2),
        {"w": weights(2)},
        change=claim,
    )

    def shorten(model):
        model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-1]

    refuse(
        "short_tensor",
        "shape",
        "do not fill",
        node("Add", "x w"),
        (1, 2),
        {"w": weights(2)},
        change=shorten,
    )
    refuse("huge_input", "limit", "2^31-1", node("Relu", "x"), (2**20, 2**20))
    refuse("long_name", "unsupported", "aaaa", node("Einsum", "x", equation="", name="a" * 3000))


def refusals_of_models(relu, w):
    refuse("old_opset", "unsupported", "uses opset 5", relu, opset=5)
    refuse("new_opset", "unsupported", "uses opset 99", relu, opset=99)
    refuse("int_input", "unsupported", "float or double", relu, element=INT64)
    refuse("symbolic_inner", "unsupported", "symbolic", relu, (1, "n"))
    refuse("constant_output", "unsupported", "but constant", node("Identity", "w"), (1, 2), w)
    refuse(
        "zero_step",
        "parse",
        "step is 0",
        node("Slice", "x s e a p"),
        (1, 2),
        {"s": ints(0), "e": ints(1), "a": ints(0), "p": ints(0)},
    )
    refuse(
        "divide_zero", "unsupported", "zero", node("Div", "x w"), (1, 2), {"w": np.float32([1, 0])}
    )

    def second(model):
        model.graph.input.append(helper.make_tensor_value_info("x2", DOUBLE, [1]))

    refuse("two_types", "unsupported", "different types", relu, change=second)

    def outside(model):
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights.bin")

    refuse(
        "external",
        "unsupported",
        "outside the file",
        node("MatMul", "x w"),
        (1, 2),
        w,
        change=outside,
    )
    refuse("no_graph", "parse", "no graph", relu, change=lambda model: model.ClearField("graph"))


def number(v):
    return (
        format(float(v), ".9g") if abs(float(np.float32(v)) - v) < 1e-7 * abs(v) else repr(float(v))
    )


def texts():
    lines = ["# Made by scripts/make_test_models.py: name, input and output of each model."]
    for name, x, y in cases:
        lines += [name, " ".join(map(number, x)), " ".join(map(number, y.ravel()))]
    bad = [
        "# Made by scripts/make_test_models.py: name, status and a part of the message, for models to refuse."
    ]
    bad += ["\n".join(row) for row in refused]
    return {"cases.txt": "\n".join(lines) + "\n", "refused.txt": "\n".join(bad) + "\n"}


def main():
    for make in (
        products,
        arithmetic,
        normalisation,
        windows,
        shapes,
        resampling,
        folding,
        files_of_the_wild,
        several,
        squares,
        refusals,
    ):
        make()
    out = {OUT / name: data for name, data in files.items()}
    out |= {OUT / name: text.encode() for name, text in texts().items()}
    if "--check" in sys.argv:
        stale = [
            str(path)
            for path, data in out.items()
            if not path.exists() or path.read_bytes() != data
        ]
        print("\n".join(stale) or f"{len(out)} files are up to date")
        return bool(stale)
    OUT.mkdir(parents=True, exist_ok=True)
    for path, data in out.items():
        path.write_bytes(data)
    print(
        f"{len(cases)} models to import, {len(refused)} to refuse, {sum(map(len, files.values()))} bytes"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
