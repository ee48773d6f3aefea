#!/usr/bin/env python3
"""Trains the networks of models/ on scikit-learn's digits and writes them, their properties and
the known answers.

    python scripts/train_models.py                     # everything, a few minutes on one core
    python scripts/train_models.py --properties-only   # keep the networks, redo the rest

Needs scripts/requirements-train.txt. Every random choice is seeded; one BLAS thread, so that one
machine gives one result. Another CPU may round differently and train slightly other weights: the
properties are then chosen and their answers established anew.
"""

import os

for name in ("OPENBLAS", "OMP", "MKL"):
    os.environ[f"{name}_NUM_THREADS"] = "1"

import argparse
import csv
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from sklearn.datasets import load_digits

from digits import digits_certify as certify
from digits import digits_props as props
from digits.digits_net import LEVELS, Net, Node, load_onnx, quantise, save_onnx

MODELS = Path(__file__).resolve().parent.parent / "models"
TESTED_ON = 360  # of the 1797 images, drawn once; the others train
MARGIN = 0.1  # every answer must hold by this much on the logits
TIMEOUT = 20


@dataclass
class Data:
    images: np.ndarray  # [n, 64] float32 in [0, 1], sixteenths
    labels: np.ndarray
    numbers: np.ndarray  # each image's index in load_digits()


def read_data():
    """Training and test images."""
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(images))
    parts = np.sort(order[TESTED_ON:]), np.sort(order[:TESTED_ON])
    return [Data(images[part], digits.target[part], part) for part in parts]


# ---- networks -----------------------------------------------------------------------------------


class Builder:
    """Chains nodes, He-initialised from one generator."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.nodes = []

    def add(self, op, inputs, output, params=None, **more):
        inputs = [inputs] if isinstance(inputs, str) else inputs
        self.nodes.append(Node(op, inputs, output, params or {}, **more))
        return output

    def he(self, shape, fan_in):
        return (self.rng.standard_normal(shape) * np.sqrt(2 / fan_in)).astype(np.float32)

    def gemm(self, x, output, n_in, n_out):
        params = {"weight": self.he((n_out, n_in), n_in), "bias": np.zeros(n_out, np.float32)}
        return self.add("Gemm", x, output, params)

    def crossbar(self, x, output, n_in, n_out):
        y = self.add("MatMul", x, output + "_mul", {"weight": self.he((n_in, n_out), n_in)})
        return self.add("Add", y, output, {"bias": np.zeros(n_out, np.float32)})

    def conv(self, x, output, c_in, c_out, kernel, stride=1, pad=0):
        weight = self.he((c_out, c_in, kernel, kernel), c_in * kernel**2)
        params = {"weight": weight, "bias": np.zeros(c_out, np.float32)}
        return self.add("Conv", x, output, params, kernel=kernel, stride=stride, pad=pad)

    def norm(self, x, output, channels):
        one, zero = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        params = {"scale": one, "bias": zero, "mean": zero.copy(), "var": one.copy()}
        return self.add("BatchNormalization", x, output, params)

    def relu(self, x):
        return self.add("Relu", x, x + "_relu")


def mlp():
    b = Builder(1)
    x = b.relu(b.gemm("input", "fc1", 64, 50))
    x = b.relu(b.gemm(x, "fc2", 50, 50))
    b.gemm(x, "logits", 50, 10)
    return Net("digits_mlp", [64], b.nodes)


def cnn_permute():
    b = Builder(2)
    x = b.add("Transpose", "input", "to_nchw", perm=(0, 3, 1, 2))
    x = b.relu(b.conv(x, "conv1", 1, 8, kernel=3))
    x = b.relu(b.conv(x, "conv2", 8, 16, kernel=3, stride=2, pad=1))
    x = b.add("Transpose", x, "to_nhwc", perm=(0, 2, 3, 1))
    x = b.add("Reshape", x, "flat")
    x = b.relu(b.gemm(x, "fc1", 144, 32))
    b.gemm(x, "logits", 32, 10)
    return Net("digits_cnn_permute", [8, 8, 1], b.nodes)


def resnet():
    b = Builder(3)
    x = b.relu(b.norm(b.conv("input", "stem", 1, 8, kernel=3, pad=1), "stem_norm", 8))
    y = b.relu(b.norm(b.conv(x, "block1_a", 8, 8, kernel=3, pad=1), "block1_norm", 8))
    y = b.conv(y, "block1_b", 8, 8, kernel=3, pad=1)
    x = b.relu(b.add("Add", [y, x], "block1"))
    y = b.relu(b.conv(x, "block2_a", 8, 16, kernel=3, stride=2, pad=1))
    y = b.norm(b.conv(y, "block2_b", 16, 16, kernel=3, pad=1), "block2_norm", 16)
    x = b.conv(x, "block2_short", 8, 16, kernel=1, stride=2)
    x = b.relu(b.add("Add", [y, x], "block2"))
    x = b.add("AveragePool", x, "pool", kernel=2, stride=2)
    x = b.add("Flatten", x, "flat")
    b.gemm(x, "logits", 64, 10)
    return Net("digits_resnet", [1, 8, 8], b.nodes)


def rram_small():
    b = Builder(4)
    x = b.add("Flatten", "input", "flat")
    x = b.relu(b.crossbar(x, "fc1", 64, 40))
    x = b.relu(b.crossbar(x, "fc2", 40, 40))
    b.crossbar(x, "logits", 40, 10)
    return Net("rram_small", [1, 8, 8], b.nodes)


# ---- training -----------------------------------------------------------------------------------


class Adam:
    def __init__(self, decay):
        self.decay, self.moments, self.time = decay, {}, 0

    def step(self, grads, rate):
        self.time += 1
        for node, by_name in grads:
            for key, g in by_name.items():
                zeros = np.zeros_like(g), np.zeros_like(g)
                m, v = self.moments.setdefault((node.output, key), zeros)
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                unit = (m / (1 - 0.9**self.time)) / (np.sqrt(v / (1 - 0.999**self.time)) + 1e-8)
                shrink = self.decay * node.params[key] if key == "weight" else 0
                node.params[key] = (node.params[key] - rate * (unit + shrink)).astype(np.float32)
            if node.unit:
                top = (LEVELS - 1) * node.unit
                node.params["weight"] = np.clip(node.params["weight"], -top, top)


def softmax_error(logits, labels):
    """Gradient of the mean cross entropy at the logits."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(p)), labels] -= 1
    return p / np.float32(len(p))


def input_gradient(net, x, labels):
    values = net.values(x)
    return net.backward(values, softmax_error(values["logits"], labels), with_params=False)[0]


def adversarial(net, x, labels, eps, rng):
    """One signed gradient step of size eps from a random point of the ball."""
    start = x + rng.uniform(-eps, eps, x.shape).astype(np.float32)
    step = start + np.float32(1.25 * eps) * np.sign(input_gradient(net, start, labels))
    return np.clip(np.clip(step, x - eps, x + eps), 0, 1).astype(np.float32)


def refresh_norms(net, x):
    """Sets each normalisation's statistics to those of x; in between they are constants."""
    for node in net.nodes:
        if node.op == "BatchNormalization":
            v = net.values(x)[node.inputs[0]]
            node.params["mean"], node.params["var"] = v.mean((0, 2, 3)), v.var((0, 2, 3))


def train(net, data, epochs, rate, eps, seed, decay=0.1):
    """Half of every step is clean, half adversarial; the step size falls along a cosine."""
    rng, adam, batch = np.random.default_rng(seed), Adam(decay), 48
    for epoch in range(epochs):
        order = rng.permutation(len(data.labels))
        if epoch < epochs * 3 // 4:
            refresh_norms(net, shaped(net, data.images[order[:480]]))
        now = rate * (0.5 + 0.5 * np.cos(np.pi * epoch / epochs)) + 1e-5
        radius = np.float32(eps * min(1, 3 * (epoch + 1) / epochs))
        for at in range(0, len(order), batch):
            pick = order[at : at + batch]
            x, labels = shaped(net, data.images[pick]), data.labels[pick]
            both = np.concatenate([x, adversarial(net, x, labels, radius, rng)])
            values = net.values(both)
            error = softmax_error(values["logits"], np.concatenate([labels, labels]))
            adam.step(net.backward(values, error)[1], now)


def set_levels(net):
    """Gives each crossbar its 16 levels. The unit (half the spacing) has few bits, so that every
    level is an exact float32; Gmax = 15 units is where the squared rounding error is smallest."""
    for node in net.nodes:
        if node.op == "MatMul":
            w = node.params["weight"]
            tops = np.abs(w).max() * np.linspace(0.3, 1, 71)
            units = np.unique(np.round(tops / (LEVELS - 1) * 4096)) / 4096
            errors = [((quantise(w, unit) - w) ** 2).mean() for unit in units]
            node.unit = float(units[int(np.argmin(errors))])


def shaped(net, images):
    return images.reshape(-1, *net.input_shape)


def train_all(data):
    for net, epochs in ((mlp(), 60), (cnn_permute(), 50), (resnet(), 40), (rram_small(), 60)):
        train(net, data, epochs, rate=3e-3, eps=0.1, seed=7)
        if net.name == "rram_small":
            set_levels(net)
            train(net, data, epochs=30, rate=5e-4, eps=0.1, seed=8)
        save_onnx(net, MODELS / f"{net.name}.onnx")
        print(f"{net.name}: trained", file=sys.stderr)


# ---- deciding properties -------------------------------------------------------------------------


class Judge:
    """A network read back from its file, in float64 for proofs and in onnxruntime for witnesses."""

    def __init__(self, path):
        self.single = load_onnx(path)
        self.net = self.single.double()
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(self, x):
        """onnxruntime's logits of each image of [n, 64]."""
        shape = (1, *self.net.input_shape)
        return np.concatenate(
            [self.session.run(None, {"input": v.reshape(shape)})[0] for v in x.astype(np.float32)]
        )

    def proof(self, prop, method):
        """How far the property is from being violated, by upper bounds: proved when > 0."""
        upper = {"ibp": certify.ibp_upper, "crown": certify.crown_upper}[method]
        gaps = []
        for box in {id(c.box): c.box for c in prop.cases}.values():
            cases = [c for c in prop.cases if c.box is box]
            bounds = upper(self.net, *box.outer(), np.concatenate([c.rows for c in cases]))
            for case in cases:
                here, bounds = bounds[: len(case.rows)], bounds[len(case.rows) :]
                gaps.append(-(here + case.offsets).min())
        return min(gaps)

    def exact_proof(self, prop):
        """The same by mixed-integer programs; for dense networks and cases of one row."""
        gaps = []
        for case in prop.cases:
            bound = certify.milp_upper(self.net, *case.box.outer(), case.rows[0])
            gaps.append(-(bound + case.offsets[0]))
            if gaps[-1] < MARGIN:
                break
        return min(gaps)

    def witness(self, prop, seed=11):
        """A float32 input inside a case's box and by how much it violates, in onnxruntime."""
        rng, best = np.random.default_rng(seed), (None, -np.inf)
        for case in prop.cases:
            lo, hi = (v.reshape(self.net.input_shape).astype(float) for v in case.box.inner())
            x, _ = certify.pgd(self.net, lo, hi, case.rows, case.offsets, rng)
            x = np.clip(x.astype(np.float32), *(v.reshape(x.shape) for v in case.box.inner()))
            slack = (self.run(x[None])[0] @ case.rows.T + case.offsets).min()
            if slack > best[1] and case.box.contains(x):
                best = x, slack
        return best


def right_answers(judge, data):
    """Which images onnxruntime classifies correctly; the trainer's evaluation must agree."""
    ours = judge.net(shaped(judge.net, data.images.astype(float)))
    theirs = judge.run(data.images)
    if np.abs(ours - theirs).max() > 1e-4 * np.abs(ours).max():
        raise SystemExit(f"{judge.net.name}: onnxruntime and the trainer disagree")
    return theirs.argmax(1) == data.labels


@dataclass
class Entry:
    """A property with its known answer."""

    file: str
    verdict: str
    known_by: str
    margin: float
    label: int
    prop: props.Property
    witness: np.ndarray | None = None


def establish(judge, prop, want):
    """(verdict, how it is known, margin, witness) when what is wanted holds with MARGIN to spare.
    `hard` is an unsat that CROWN misses by MARGIN and a mixed-integer program proves."""
    if want == "sat":
        x, slack = judge.witness(prop)
        return ("sat", "witness", slack, x) if slack >= MARGIN else None
    gap, known_by = judge.proof(prop, "crown"), "CROWN"
    if want == "hard":
        if gap > -MARGIN or judge.witness(prop)[1] > -MARGIN:
            return None
        gap, known_by = judge.exact_proof(prop), "MILP"
    elif judge.proof(prop, "ibp") >= MARGIN:
        known_by = "IBP, CROWN"
    return ("unsat", known_by, gap, None) if gap >= MARGIN else None


class Chooser:
    """Walks through the correctly classified test images, using each once per network."""

    def __init__(self, judge, data, seed):
        self.judge, self.data = judge, data
        self.right = right_answers(judge, data)
        order = np.random.default_rng(seed).permutation(len(data.labels))
        self.queue = [int(i) for i in order if self.right[i]]
        self.entries = []

    def add(self, rule, want, eps, *more):
        """Adds the rule's property for the first image where the wanted answer is established.
        Labels already seen come last."""
        used = {e.label for e in self.entries}
        queue = sorted(self.queue, key=lambda i: self.data.labels[i] in used)
        kind = "hard" if want == "hard" else rule.__name__
        for i in queue:
            prop = rule(self, i, eps, *more)
            known = establish(self.judge, prop, want)
            if known:
                verdict, known_by, margin, witness = known
                self.queue.remove(i)
                file = f"{self.judge.net.name}_{kind}_eps{eps}"
                label = int(self.data.labels[i])
                self.entries.append(Entry(file, verdict, known_by, margin, label, prop, witness))
                return
        raise SystemExit(f"{self.judge.net.name}: no image is {want} for {kind} at radius {eps}")

    def image(self, i):
        return self.data.images[i], int(self.data.labels[i])

    def number(self, i):
        return int(self.data.numbers[i])

    def runner_up(self, i):
        return int(np.argsort(self.judge.run(self.data.images[i][None])[0])[-2])

    def next_alike(self, i):
        """The next test image of the same label that is classified correctly too."""
        alike = np.flatnonzero((self.data.labels == self.data.labels[i]) & self.right)
        return int(alike[(np.searchsorted(alike, i) + 1) % len(alike)])

    def about(self, i, eps, what):
        where = f"image {self.number(i)} of scikit-learn's digits, label {self.data.labels[i]}"
        return [f"{self.judge.net.name}: {where}, radius {eps}.", what]


def robust(chooser, i, eps):
    about = chooser.about(i, eps, "Unsafe: some other class reaches the label's logit.")
    return props.robustness(*chooser.image(i), eps, about)


def maximal(chooser, i, eps):
    target = chooser.runner_up(i)
    about = chooser.about(i, eps, f"Unsafe: class {target} has the largest logit.")
    return props.maximal(chooser.image(i)[0], target, eps, about)


def lead(chooser, i, eps, gap):
    rival = chooser.runner_up(i)
    what = f"Unsafe: the label's logit leads that of class {rival} by at most {gap}."
    return props.lead(*chooser.image(i), rival, gap, eps, chooser.about(i, eps, what))


def boxes(chooser, i, eps):
    j = chooser.next_alike(i)
    what = f"The input is near this image or near image {chooser.number(j)} of the same label."
    images = [chooser.image(k)[0] for k in (i, j)]
    label = chooser.image(i)[1]
    return props.disjoint_boxes(images, label, eps, chooser.about(i, eps, what))


def targets(chooser, i, eps):
    j = chooser.next_alike(i)
    images, labels = zip(*(chooser.image(k) for k in (i, j)))
    a, b = (chooser.runner_up(k) for k in (i, j))
    what = (
        f"Unsafe: class {a} reaches the label's logit near this image, or class {b} does near "
        f"image {chooser.number(j)} of the same label."
    )
    return props.box_with_target(images, labels, [a, b], eps, chooser.about(i, eps, what))


PLAN = {
    "digits_mlp": [
        *((robust, "unsat", eps) for eps in ("0.005", "0.02", "0.03", "0.04")),
        *((robust, "sat", eps) for eps in ("0.12", "0.2")),
        (robust, "hard", "0.08"),
        (maximal, "unsat", "0.03"),
        (lead, "unsat", "0.02", "1.0"),
        (boxes, "unsat", "0.02"),
    ],
    "digits_cnn_permute": [
        *((robust, "unsat", eps) for eps in ("0.005", "0.015", "0.025")),
        *((robust, "sat", eps) for eps in ("0.12", "0.2")),
        (maximal, "sat", "0.2"),
    ],
    "digits_resnet": [
        *((robust, "unsat", eps) for eps in ("0.001", "0.01", "0.02")),
        *((robust, "sat", eps) for eps in ("0.12", "0.2")),
    ],
    "rram_small": [
        *((robust, "unsat", eps) for eps in ("0.005", "0.02", "0.03")),
        *((robust, "sat", eps) for eps in ("0.12", "0.2")),
        (robust, "hard", "0.08"),
        (targets, "sat", "0.15"),
    ],
}


# ---- files --------------------------------------------------------------------------------------


def write_csv(name, rows):
    with open(MODELS / name, "w", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows(rows)


def write_properties(choosers):
    for folder in ("vnnlib", "witnesses"):
        shutil.rmtree(MODELS / folder, ignore_errors=True)
        (MODELS / folder).mkdir()
    instances, expected = [], []
    for chooser in choosers:
        model = f"{chooser.judge.net.name}.onnx"
        for e in chooser.entries:
            path = f"vnnlib/{e.file}.vnnlib"
            (MODELS / path).write_text(e.prop.text([f"Known answer: {e.verdict} ({e.known_by})."]))
            if e.witness is not None:
                np.save(MODELS / "witnesses" / f"{e.file}.npy", e.witness[None])
            instances.append([model, path, TIMEOUT])
            expected.append([model, path, e.verdict])
    write_csv("instances.csv", instances)
    write_csv("expected.csv", expected)


def write_samples(choosers):
    """The first test image of a 3 that every network gets right, in each input shape."""
    data = choosers[0].data
    right = np.all([c.right for c in choosers], axis=0)
    i = np.flatnonzero(right & (data.labels == 3))[0]
    for name, shape in (("flat", [1, 64]), ("nhwc", [1, 8, 8, 1]), ("nchw", [1, 1, 8, 8])):
        np.save(MODELS / f"digits_sample_{name}_label3.npy", data.images[i].reshape(shape))


def write_tables(choosers):
    """Replaces the tables between the markers of models/README.md."""
    nets = ["| network | input | parameters | test accuracy | nodes |", "|---|---|---|---|---|"]
    rows = ["| property | answer | known by | margin |", "|---|---|---|---|"]
    for c in choosers:
        net = c.judge.single
        shape = [1, *net.input_shape]
        cells = [f"`{net.name}.onnx`", shape, net.parameter_count(), f"{c.right.mean():.1%}"]
        cells.append(" ".join(n.op for n in net.nodes))
        nets.append("| " + " | ".join(map(str, cells)) + " |")
        for e in c.entries:
            rows.append(f"| `{e.file}` | {e.verdict} | {e.known_by} | {e.margin:.2f} |")
    text = (MODELS / "README.md").read_text()
    for name, table in (("networks", nets), ("properties", rows)):
        begin, end = f"<!-- {name}: written by train_models.py -->\n", f"<!-- end {name} -->"
        head, rest = text.split(begin)
        text = head + begin + "\n".join(table) + "\n" + end + rest.split(end)[1]
    (MODELS / "README.md").write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--properties-only", action="store_true", help="keep the .onnx files")
    options = parser.parse_args()
    training, test = read_data()
    if not options.properties_only:
        train_all(training)
    choosers = []
    for name, plan in PLAN.items():
        chooser = Chooser(Judge(MODELS / f"{name}.onnx"), test, seed=5)
        print(f"{name}: test accuracy {chooser.right.mean():.1%}", file=sys.stderr)
        for item in plan:
            chooser.add(*item)
            e = chooser.entries[-1]
            print(f"  {e.file}: {e.verdict} by {e.known_by}, {e.margin:.3f}", file=sys.stderr)
        choosers.append(chooser)
    write_properties(choosers)
    write_samples(choosers)
    write_tables(choosers)


if __name__ == "__main__":
    main()
