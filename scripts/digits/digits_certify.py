"""How the answers in models/expected.csv are known, without BoundFlow.

Bounds run in float64 on the network read back from its ONNX file: intervals (ibp) and backward
linear bounds (crown: Zhang et al. 2018, Theorem 3.2, lower slope 1 where u > -l, else 0). Rounding
is not tracked; every claim instead asks for a margin some 1e10 times larger than it. `milp` solves
dense networks exactly (Tjeng et al. 2019, equation 2-6) with HiGHS. `pgd` looks for a witness.
"""

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from .digits_net import Node, forward, vjp


class Bounder:
    """Bounds of a float64 network over one input box."""

    def __init__(self, net, lo, hi):
        self.net, self.lo, self.hi = net, lo.reshape(net.input_shape), hi.reshape(net.input_shape)
        zeros = {k: np.zeros((1, *s)) for k, s in net.shapes.items()}
        self.offset = {
            n.output: forward(n, [zeros[i] for i in n.inputs])[0] for n in net.nodes
        }  # the constant part of an affine node
        self.pre = {}  # Relu output -> (lower, upper) of its input
        for at, node in enumerate(net.nodes):
            if node.op == "Relu":
                shape = net.shapes[node.inputs[0]]
                rows = np.eye(int(np.prod(shape))).reshape(-1, *shape)
                lower = self.lower(rows, at).reshape(shape)
                self.pre[node.output] = lower, -self.lower(-rows, at).reshape(shape)

    def lower(self, rows, count=None):
        """Lower bounds of rows[r] . v, v the value entering node `count` (default: logits)."""
        nodes = self.net.nodes[:count]
        name = "logits" if count is None else self.net.nodes[count].inputs[0]
        coef, const = {name: rows}, np.zeros(len(rows))
        for node in reversed(nodes):
            a = coef.pop(node.output, None)
            if a is None:
                continue
            if node.op == "Relu":
                pulled, gain = [self.relax(node, a)[0]], self.relax(node, a)[1]
            else:
                shapes = [self.net.shapes[i] for i in node.inputs]
                pulled, gain = vjp(node, a, shapes), a * self.offset[node.output]
            const += gain.reshape(len(rows), -1).sum(1)
            for key, value in zip(node.inputs, pulled):
                coef[key] = coef[key] + value if key in coef else value
        a = coef["input"]
        ends = np.maximum(a, 0) * self.lo + np.minimum(a, 0) * self.hi
        return const + ends.reshape(len(rows), -1).sum(1)

    def relax(self, node, a):
        """Replaces relu(x) by the line that makes a * relu(x) smallest."""
        l, u = self.pre[node.output]
        unstable = (l < 0) & (u > 0)
        width = np.where(unstable, u - l, 1.0)
        above = np.where(unstable, u / width, l >= 0)
        below = np.where(unstable, u > -l, l >= 0).astype(float)
        intercept = np.where(unstable, -above * l, 0.0)
        up, down = np.maximum(a, 0), np.minimum(a, 0)
        return up * below + down * above, down * intercept


def crown_upper(net, lo, hi, rows):
    return -Bounder(net, lo, hi).lower(-rows)


def ibp_upper(net, lo, hi, rows):
    """Interval bounds of the logits, then of rows . logits (the last product not fused)."""
    values = {"input": (lo.reshape(1, *net.input_shape), hi.reshape(1, *net.input_shape))}
    for node in net.nodes:
        ins = [values[i] for i in node.inputs]
        if node.op == "Relu":
            values[node.output] = tuple(np.maximum(v, 0) for v in ins[0])
            continue
        centre = forward(node, [(l + u) / 2 for l, u in ins])
        radius = forward(magnitude(node), [(u - l) / 2 for l, u in ins])
        values[node.output] = centre - radius, centre + radius
    l, u = (v[0] for v in values["logits"])
    return np.maximum(rows, 0) @ u + np.minimum(rows, 0) @ l


def magnitude(node):
    """The linear part of an affine node with every coefficient replaced by its absolute value."""
    params = {k: np.abs(v) for k, v in node.params.items()}
    params |= {k: np.zeros_like(v) for k, v in params.items() if k in ("bias", "mean")}
    return Node(**{**node.__dict__, "params": params})


# ---- exact answers on dense networks -------------------------------------------------------------


def dense_layers(net):
    """[(W, b)] of a chain of dense layers with Relu between them."""
    layers = []
    for node in net.nodes:
        if node.op == "Gemm":
            layers.append([node.params["weight"], node.params["bias"]])
        elif node.op == "MatMul":
            layers.append([node.params["weight"].T, 0])
        elif node.op == "Add" and node.params:
            layers[-1][1] = layers[-1][1] + node.params["bias"]
        elif node.op not in ("Relu", "Flatten"):
            raise ValueError(f"{net.name}: {node.op} is no part of a dense chain")
    return layers


def encode(layers, bounds, lo, hi):
    """Variables: input, then post-activations, then one binary per unstable neuron."""
    sizes = [lo.size] + [len(b) for _, b in layers[:-1]]
    starts = np.cumsum([0] + sizes)
    unstable = [np.flatnonzero((l < 0) & (u > 0)) for l, u in bounds]
    total = starts[-1] + sum(len(i) for i in unstable)
    low, high = np.zeros(total), np.ones(total)
    low[: lo.size], high[: lo.size] = lo, hi
    rows, below, above, binary = [], [], [], starts[-1]
    for k, (w, b) in enumerate(layers[:-1]):
        l, u = bounds[k]
        here, before = starts[k + 1], slice(starts[k], starts[k + 1])
        high[here : here + len(b)] = np.maximum(u, 0)
        for i in range(len(b)):
            row = np.zeros(total)
            row[before], row[here + i] = -w[i], 1.0  # row . v = h - Wx
            if u[i] <= 0:
                continue
            if l[i] >= 0:
                rows, below, above = rows + [row], below + [b[i]], above + [b[i]]
                continue
            upper, gate = row.copy(), np.zeros(total)
            upper[binary], gate[here + i], gate[binary] = -l[i], 1.0, -u[i]
            rows += [row, upper, gate]
            below += [b[i], -np.inf, -np.inf]
            above += [np.inf, b[i] - l[i], 0.0]
            binary += 1
    system = LinearConstraint(sparse.csr_array(np.array(rows)), below, above)
    integral = np.arange(total) >= starts[-1]
    return system, Bounds(low, high), integral, slice(starts[-2], starts[-1])


def milp_upper(net, lo, hi, row, node_limit=20000):
    """Upper bound of row . logits over the box; exact unless the node limit cuts it short."""
    bounds = [tuple(v.ravel() for v in b) for b in Bounder(net, lo, hi).pre.values()]
    layers = dense_layers(net)
    system, box, integral, last = encode(layers, bounds, lo.ravel(), hi.ravel())
    w, b = layers[-1]
    objective = np.zeros(integral.size)
    objective[last] = -(row @ w)
    options = {"node_limit": node_limit, "mip_rel_gap": 1e-4}
    found = milp(objective, constraints=system, bounds=box, integrality=integral, options=options)
    return row @ b - found.mip_dual_bound if found.mip_dual_bound is not None else np.inf


# ---- witnesses -----------------------------------------------------------------------------------


def pgd(net, lo, hi, rows, offsets, rng, restarts=64, steps=60):
    """Maximises min_k (rows[k] . y + offsets[k]) over the box; returns the best input and value."""
    x = lo + (hi - lo) * rng.random((restarts, *net.input_shape))
    best, best_value = x[0], -np.inf
    for step in range(steps + 1):
        values = net.values(x)
        slack = values["logits"] @ rows.T + offsets
        worst = slack.argmin(1)
        score = slack.min(1)
        if score.max() > best_value:
            best, best_value = x[score.argmax()].copy(), score.max()
        gradient, _ = net.backward(values, rows[worst], with_params=False)
        rate = 0.25 * (1 - step / steps) + 0.005
        x = np.clip(x + rate * (hi - lo) * np.sign(gradient), lo, hi)
    return best, best_value
