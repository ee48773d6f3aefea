#!/usr/bin/env python3
"""Checks counterexamples with code that shares nothing with BoundFlow: onnxruntime evaluates the network,
exact fractions the property.

witness.py MODEL.onnx PROPERTY.vnnlib RESULTS   one check; prints a JSON object
witness.py --serve                              one request (a JSON list of the three paths) per line of stdin

verdict of a check:
  exact     the inputs, as float32, are in the box and onnxruntime's own outputs satisfy the property, no tolerance
  nearest   the same, but for inputs whose interval holds no float32 (fixed to a decimal, say): a neighbour of it
  marginal  neither, but by at most 1e-4 relative in the outputs and 1e-6 relative in the inputs
  invalid   anything else; `why` says what
Needs numpy and onnxruntime.
"""
import gzip
import json
import re
import sys
from fractions import Fraction

import numpy
import onnxruntime

OUTPUT_TOLERANCE = 1e-4
INPUT_TOLERANCE = 1e-6
COMPARISONS = {"<=": 1, "<": 1, ">=": -1, ">": -1}


def read(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as stream:
        return stream.read()


def expressions(text):
    """The S-expressions of a text as nested lists of words."""
    stack = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text)):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            if not stack:
                raise ValueError("unbalanced parentheses")
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    if len(stack) != 1:
        raise ValueError("unbalanced parentheses")
    return stack[0]


def value(term, point):
    """The exact value of a term at a point (a dictionary of fractions)."""
    if isinstance(term, str):
        return point[term] if term in point else Fraction(term)
    values = [value(part, point) for part in term[1:]]
    if term[0] == "+":
        return sum(values)
    if term[0] == "-":
        return -values[0] if len(values) == 1 else values[0] - sum(values[1:])
    if term[0] == "*":
        product = Fraction(1)
        for factor in values:
            product *= factor
        return product
    raise ValueError(f"unknown operator {term[0]}")


def variables(term):
    if isinstance(term, str):
        return {term[0]} if re.fullmatch(r"[XY]_\d+", term) else set()
    return set().union(*(variables(part) for part in term[1:]))


def violation(formula, point):
    """(inputs, outputs): by how much a formula fails at a point, relative to the size of the numbers that are
    compared; 0 where it holds. Of a disjunction the alternative that fails least."""
    head = formula[0]
    if head == "and":
        parts = [violation(part, point) for part in formula[1:]]
        return max((p[0] for p in parts), default=0.0), max((p[1] for p in parts), default=0.0)
    if head == "or":
        return min((violation(part, point) for part in formula[1:]), key=lambda p: (max(p) > 0, max(p)))
    if head not in COMPARISONS or len(formula) != 3:
        raise ValueError(f"unknown formula ({head} ...)")
    left, right = value(formula[1], point), value(formula[2], point)
    excess = COMPARISONS[head] * (left - right)
    if excess < 0 or (excess == 0 and head in ("<=", ">=")):
        return 0.0, 0.0
    relative = max(float(excess / max(1, abs(left), abs(right))), sys.float_info.min)
    only_inputs = variables(formula[1]) | variables(formula[2]) == {"X"}
    return (relative, 0.0) if only_inputs else (0.0, relative)


def bounds(asserts):
    """{variable: [lower, upper]} of the plain input bounds that hold in every case."""
    found = {}
    for formula in asserts:
        if formula[0] == "and":
            inner = bounds(formula[1:])
        elif formula[0] in COMPARISONS and formula[1][0] == "X" and re.match(r"[-+.\d]", str(formula[2])):
            side = Fraction(formula[2])
            inner = {formula[1]: [None, side] if formula[0][0] == "<" else [side, None]}
        else:
            continue
        for name, (low, high) in inner.items():
            old = found.setdefault(name, [None, None])
            old[0] = max((v for v in (old[0], low) if v is not None), default=None)
            old[1] = min((v for v in (old[1], high) if v is not None), default=None)
    return found


def move_into_gaps(point, asserts):
    """|point| with each input that lies beside its interval moved to it, where that interval holds no float32
    and the input is a neighbour of it."""
    moved = dict(point)
    for name, (low, high) in bounds(asserts).items():
        if low is None or high is None or low > high or low <= point[name] <= high:
            continue
        here = numpy.float32(float(point[name]))
        beyond = numpy.nextafter(here, numpy.float32(numpy.inf if point[name] < low else -numpy.inf))
        if (Fraction(float(beyond)) > high) if point[name] < low else (Fraction(float(beyond)) < low):
            moved[name] = low if point[name] < low else high
    return moved


def assignment(path):
    """(X, Y) of a results file: the numbers as written, in order of their index."""
    text = read(path).decode()
    if text.split(None, 1)[:1] != ["sat"]:
        raise ValueError("the results file does not start with sat")
    pairs = {name: number for name, number in re.findall(r"\(\s*([XY]_\d+)\s+([^\s()]+)\s*\)", text)}
    found = []
    for letter in "XY":
        count = sum(name[0] == letter for name in pairs)
        if any(f"{letter}_{i}" not in pairs for i in range(count)) or not count:
            raise ValueError(f"the assignment does not list {letter}_0 ... in full")
        found.append([pairs[f"{letter}_{i}"] for i in range(count)])
    return found


class Checker:
    """Keeps the last network loaded."""

    def __init__(self):
        self.path = self.session = None

    def outputs(self, model, x):
        if model != self.path:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.log_severity_level = 3
            self.session = onnxruntime.InferenceSession(read(model), options, providers=["CPUExecutionProvider"])
            self.path = model
        entry = self.session.get_inputs()[0]
        shape = [size if isinstance(size, int) and size > 0 else 1 for size in entry.shape]
        dtype = numpy.float64 if "double" in entry.type else numpy.float32
        if int(numpy.prod(shape)) != len(x):
            raise ValueError(f"{len(x)} inputs for a network of {int(numpy.prod(shape))}")
        return self.session.run(None, {entry.name: x.astype(dtype).reshape(shape)})[0].reshape(-1)

    def check(self, model, prop, results):
        x_text, y_text = assignment(results)
        x = numpy.array([numpy.float32(number) for number in x_text])
        y_file = numpy.array([float(number) for number in y_text])
        y = self.outputs(model, x)
        if len(y) != len(y_file):
            return {"verdict": "invalid", "why": f"{len(y_file)} outputs for a network of {len(y)}"}
        if not (numpy.isfinite(x).all() and numpy.isfinite(y).all() and numpy.isfinite(y_file).all()):
            return {"verdict": "invalid", "why": "not finite"}
        scale = max(1e-30, float(numpy.abs(y).max()))
        apart = float(numpy.abs(y.astype(float) - y_file).max()) / scale
        point = {f"X_{i}": Fraction(float(number)) for i, number in enumerate(x)}
        point.update({f"Y_{i}": Fraction(float(number)) for i, number in enumerate(y)})
        asserts = [part[1] for part in expressions(read(prop).decode()) if part[0] == "assert"]
        inputs, outputs = violation(["and", *asserts], point)
        answer = {"outputs_apart": apart, "inputs_off": inputs, "outputs_off": outputs}
        if apart > OUTPUT_TOLERANCE:
            return {"verdict": "invalid", "why": f"outputs differ by {apart:.2g} from onnxruntime's", **answer}
        if inputs > INPUT_TOLERANCE:
            return {"verdict": "invalid", "why": f"outside the box by {inputs:.2g}", **answer}
        if outputs > OUTPUT_TOLERANCE:
            return {"verdict": "invalid", "why": f"the property fails by {outputs:.2g}", **answer}
        if inputs == 0 and outputs == 0:
            return {"verdict": "exact", **answer}
        nearest = violation(["and", *asserts], move_into_gaps(point, asserts)) == (0.0, 0.0)
        return {"verdict": "nearest" if nearest else "marginal", **answer}

    def answer(self, request):
        try:
            return self.check(*request)
        except Exception as error:  # one bad file must not end the service
            return {"verdict": "invalid", "why": f"{type(error).__name__}: {str(error).splitlines()[0][:160]}"}


def main():
    if sys.argv[1:] == ["--serve"]:
        checker = Checker()
        for line in sys.stdin:
            print(json.dumps(checker.answer(json.loads(line))), flush=True)
        return 0
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    answer = Checker().answer(sys.argv[1:])
    print(json.dumps(answer))
    return 1 if answer["verdict"] == "invalid" else 0


if __name__ == "__main__":
    sys.exit(main())
