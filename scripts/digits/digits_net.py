"""A small network in numpy: a list of nodes in topological order that can run forward, pull
gradients back, be written as ONNX and be read back from ONNX.

Shapes carry the batch on axis 0. The ONNX files have a fixed batch of one; everything here runs
any batch. The pull-back (`vjp`) of the affine operators is also what bounds are propagated with
(digits_certify.py), so training, export and certificates share one definition of each operator.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 13
EPSILON = 1e-5  # of a BatchNormalization
LEVELS = 16  # conductance levels of a quantised weight


@dataclass
class Node:
    op: str
    inputs: list  # value names
    output: str
    params: dict = field(default_factory=dict)  # in the order ONNX wants them
    stride: int = 1
    pad: int = 0
    kernel: int = 1
    perm: tuple = ()
    unit: float = 0.0  # > 0: weights are odd multiples of `unit`, |w| <= (LEVELS - 1) * unit

    def weight(self):
        """The weight the network computes with: the nearest level for a quantised node."""
        w = self.params["weight"]
        return quantise(w, self.unit) if self.unit else w


def quantise(w, unit):
    """Nearest odd multiple of unit in [-(LEVELS-1) unit, (LEVELS-1) unit]."""
    odd = 2 * np.floor(w / (2 * unit)) + 1
    return (np.clip(odd, -(LEVELS - 1), LEVELS - 1) * unit).astype(w.dtype)


def windows(x, node):
    """Patches of a padded NCHW image: [N, oh, ow, C, k, k]."""
    p, k, s = node.pad, node.kernel, node.stride
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    view = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
    return view[:, :, ::s, ::s].transpose(0, 2, 3, 1, 4, 5)


def scatter_windows(patches, shape, node):
    """The transpose of `windows`: adds every patch back where it was read."""
    p, k, s = node.pad, node.kernel, node.stride
    n, oh, ow = patches.shape[:3]
    out = np.zeros((n, shape[1], shape[2] + 2 * p, shape[3] + 2 * p), patches.dtype)
    for i in range(k):
        for j in range(k):
            block = patches[:, :, :, :, i, j].transpose(0, 3, 1, 2)
            out[:, :, i : i + s * oh : s, j : j + s * ow : s] += block
    return out[:, :, p : p + shape[2], p : p + shape[3]]


def channel(v):
    return v[None, :, None, None]


def bn_factor(node):
    var = node.params["var"]
    return node.params["scale"] / np.sqrt(var + var.dtype.type(EPSILON))


def forward(node, xs):
    x, q = xs[0], node.params
    if node.op == "Gemm":
        return x @ node.weight().T + q["bias"]
    if node.op == "MatMul":
        return x @ node.weight()
    if node.op == "Add":
        return x + (xs[1] if len(xs) == 2 else q["bias"])
    if node.op == "Conv":
        w = node.weight()
        cols = windows(x, node)
        flat = cols.reshape(-1, w[0].size) @ w.reshape(len(w), -1).T + q["bias"]
        return flat.reshape(*cols.shape[:3], len(w)).transpose(0, 3, 1, 2)
    if node.op == "BatchNormalization":
        return (x - channel(q["mean"])) * channel(bn_factor(node)) + channel(q["bias"])
    if node.op == "Relu":
        return np.maximum(x, 0)
    if node.op == "AveragePool":
        return windows(x, node).mean(axis=(4, 5)).transpose(0, 3, 1, 2)
    if node.op == "Transpose":
        return x.transpose(node.perm)
    if node.op in ("Flatten", "Reshape"):
        return x.reshape(len(x), -1)
    raise ValueError(f"operator {node.op} is not known here")


def vjp(node, dy, shapes, x=None):
    """Pulls dy (batch on axis 0) back to each input. `shapes`: the inputs' shapes without the
    batch. Only Relu looks at x."""
    shape = (len(dy), *shapes[0])
    if node.op == "Gemm":
        return [dy @ node.weight()]
    if node.op == "MatMul":
        return [dy @ node.weight().T]
    if node.op == "Add":
        return [dy] * len(shapes)
    if node.op == "Conv":
        w = node.weight()
        cols = dy.transpose(0, 2, 3, 1).reshape(-1, len(w)) @ w.reshape(len(w), -1)
        n, _, oh, ow = dy.shape
        return [scatter_windows(cols.reshape(n, oh, ow, *w.shape[1:]), shape, node)]
    if node.op == "BatchNormalization":
        return [dy * channel(bn_factor(node))]
    if node.op == "Relu":
        return [dy * (x > 0)]
    if node.op == "AveragePool":
        share = (dy / dy.dtype.type(node.kernel**2)).transpose(0, 2, 3, 1)[..., None, None]
        patches = np.broadcast_to(share, (*share.shape[:4], node.kernel, node.kernel))
        return [scatter_windows(patches, shape, node)]
    if node.op == "Transpose":
        return [dy.transpose(np.argsort(node.perm))]
    return [dy.reshape(shape)]


def param_grads(node, x, dy):
    """Gradients of the trained parameters (straight through the quantiser)."""
    if node.op == "Gemm":
        return {"weight": dy.T @ x, "bias": dy.sum(0)}
    if node.op == "MatMul":
        return {"weight": x.T @ dy}
    if node.op == "Add" and node.params:
        return {"bias": dy.sum(0)}
    if node.op == "Conv":
        w = node.params["weight"]
        rows = dy.transpose(0, 2, 3, 1).reshape(-1, len(w))
        cols = windows(x, node).reshape(len(rows), -1)
        return {"weight": (rows.T @ cols).reshape(w.shape), "bias": rows.sum(0)}
    if node.op == "BatchNormalization":
        unit = (x - channel(node.params["mean"])) * channel(bn_factor(node) / node.params["scale"])
        return {"scale": (dy * unit).sum((0, 2, 3)), "bias": dy.sum((0, 2, 3))}
    return {}


class Net:
    """A network from "input" to "logits"."""

    def __init__(self, name, input_shape, nodes):
        self.name = name
        self.input_shape = tuple(input_shape)  # without the batch
        self.nodes = nodes
        probe = self.values(np.zeros((1, *input_shape), np.float32))
        self.shapes = {k: v.shape[1:] for k, v in probe.items()}

    def values(self, x):
        """Every value of the network at x, by name."""
        out = {"input": x}
        for node in self.nodes:
            out[node.output] = forward(node, [out[i] for i in node.inputs])
        return out

    def __call__(self, x):
        return self.values(x)["logits"]

    def backward(self, values, dlogits, with_params=True):
        """Gradient at the input, and per node the gradients of its parameters."""
        pulled, grads = {"logits": dlogits}, []
        for node in reversed(self.nodes):
            dy, x = pulled.pop(node.output), values[node.inputs[0]]
            if with_params:
                grads.append((node, param_grads(node, x, dy)))
            shapes = [self.shapes[i] for i in node.inputs]
            for name, dx in zip(node.inputs, vjp(node, dy, shapes, x)):
                pulled[name] = pulled[name] + dx if name in pulled else dx
        return pulled["input"], grads

    def double(self):
        """The same network with float64 parameters (exact copies)."""
        nodes = [
            Node(**{**n.__dict__, "params": {k: v.astype(np.float64) for k, v in n.params.items()}})
            for n in self.nodes
        ]
        return Net(self.name, self.input_shape, nodes)

    def parameter_count(self):
        return sum(v.size for n in self.nodes for v in n.params.values())


# ---- ONNX ---------------------------------------------------------------------------------------


def attributes(node):
    k, p, s = node.kernel, node.pad, node.stride
    window = {"kernel_shape": [k, k], "strides": [s, s], "pads": [p] * 4}
    return {
        "Gemm": {"transB": 1},
        "Conv": window,
        "AveragePool": window,
        "BatchNormalization": {"epsilon": EPSILON},
        "Transpose": {"perm": node.perm},
        "Flatten": {"axis": 1},
    }.get(node.op, {})


def save_onnx(net, path):
    """Writes the network with a batch of one. The bytes depend on the parameters only."""
    nodes, inits = [], []
    for node in net.nodes:
        names = list(node.inputs)
        for key, value in node.params.items():
            names.append(f"{node.output}.{key}")
            value = node.weight() if key == "weight" else value
            inits.append(numpy_helper.from_array(value.astype(np.float32), names[-1]))
        if node.op == "Reshape":
            names.append(f"{node.output}.shape")
            inits.append(numpy_helper.from_array(np.array([1, -1], np.int64), names[-1]))
        nodes.append(
            helper.make_node(node.op, names, [node.output], node.output, **attributes(node))
        )
    x = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, *net.input_shape])
    y = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, *net.shapes["logits"]])
    graph = helper.make_graph(nodes, net.name, [x], [y], inits)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, producer_name="boundflow-train-models")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


PARAMS = {
    "Gemm": ["weight", "bias"],
    "MatMul": ["weight"],
    "Add": ["bias"],
    "Conv": ["weight", "bias"],
    "BatchNormalization": ["scale", "bias", "mean", "var"],
}


def load_onnx(path):
    """Reads back what save_onnx wrote."""
    graph = onnx.load(path).graph
    inits = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes = []
    for raw in graph.node:
        attr = {a.name: helper.get_attribute_value(a) for a in raw.attribute}
        tensors = [inits[i] for i in raw.input if i in inits and raw.op_type != "Reshape"]
        node = Node(raw.op_type, [i for i in raw.input if i not in inits], raw.output[0])
        node.params = dict(zip(PARAMS.get(raw.op_type, []), tensors))
        node.kernel = attr.get("kernel_shape", [1])[0]
        node.stride = attr.get("strides", [1])[0]
        node.pad = attr.get("pads", [0])[0]
        node.perm = tuple(attr.get("perm", ()))
        nodes.append(node)
    dims = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    return Net(graph.name, dims[1:], nodes)
