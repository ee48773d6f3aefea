#!/usr/bin/env python3
"""Every counterexample that `boundflow verify --batch` prints is one for onnxruntime too.

Instances: those of models/, and of BOUNDFLOW_DATA/vnncomp two known sat and two known unsat ones of
each family, 2 s each. Inputs must satisfy the property exactly (or be the float32 nearest to a
decimal that fixes them); outputs must agree with onnxruntime up to 1e-4 of their scale, and
onnxruntime's own outputs must satisfy the property up to that. A verdict against a known one fails
as well. Exit code 77 (skipped) without numpy or onnxruntime; without the public data only models/
is run, and that is said.
"""

import csv
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from fractions import Fraction

try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    print(f"SKIPPED: {error}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4
PER_VERDICT = 2
SECONDS = "2"


def unpacked(path):
    data = pathlib.Path(path).read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def formulas(path):
    """The asserted formulas, as nested lists."""
    text = re.sub(r";[^\n]*", "", unpacked(path).decode())
    stack = [[]]
    for token in re.findall(r"[()]|[^\s()]+", text):
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return [form[1] for form in stack[0] if form[0] == "assert"]


def value(term, point):
    if isinstance(term, list):
        parts = [value(part, point) for part in term[1:]]
        if term[0] == "+":
            return sum(parts)
        if term[0] == "-":
            return parts[0] - sum(parts[1:]) if len(parts) > 1 else -parts[0]
        if term[0] == "*":
            return parts[0] * parts[1]
        raise ValueError(f"operator {term[0]}")
    return point[term] if term[0] in "XY" else Fraction(term)


def mentions_output(term):
    if isinstance(term, list):
        return any(mentions_output(part) for part in term)
    return term[0] == "Y"


def is_nearest(term, constant, point):
    """An input that equals the float32 nearest to the written decimal."""
    if isinstance(term, list) or isinstance(constant, list) or term[0] != "X":
        return False
    return point[term] == Fraction(float(np.float32(float(Fraction(constant)))))


def holds(formula, point, slack):
    if formula[0] == "and":
        return all(holds(part, point, slack) for part in formula[1:])
    if formula[0] == "or":
        return any(holds(part, point, slack) for part in formula[1:])
    left, right = value(formula[1], point), value(formula[2], point)
    room = slack if mentions_output(formula[1:]) else 0
    near = is_nearest(formula[1], formula[2], point) or is_nearest(formula[2], formula[1], point)
    if formula[0] in ("<=", "<"):
        return near or left <= right + room
    if formula[0] in (">=", ">"):
        return near or left + room >= right
    return near or abs(left - right) <= room


sessions = {}


def onnx_outputs(path, x):
    """Outputs of the network in onnxruntime, flat."""
    if path not in sessions:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        sessions[path] = onnxruntime.InferenceSession(unpacked(path), options)
    session = sessions[path]
    weights = {i.name for i in session.get_overridable_initializers()}
    inputs = [i for i in session.get_inputs() if i.name not in weights]
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in inputs[0].shape]
    kind = np.float64 if "double" in inputs[0].type else np.float32
    result = session.run(None, {inputs[0].name: x.astype(kind).reshape(shape)})
    return np.asarray(result[0], dtype=np.float64).reshape(-1)


def check_witness(row):
    """What is wrong with the printed witness, or None."""
    x = np.array(row["x"], dtype=np.float32).astype(np.float64)  # nine digits name a float32
    y = np.array(row["y"], dtype=np.float64)
    theirs = onnx_outputs(row["model"], x)
    if len(theirs) != len(y):
        return f"{len(y)} outputs, onnxruntime has {len(theirs)}"
    scale = max(1.0, float(np.max(np.abs(theirs))))
    error = float(np.max(np.abs(theirs - y))) / scale
    if not error <= TOLERANCE:
        return f"outputs differ from onnxruntime's by {error:.3g} of their scale"
    point = {f"X_{i}": Fraction(v) for i, v in enumerate(x)}
    point.update({f"Y_{i}": Fraction(v) for i, v in enumerate(theirs)})
    slack = Fraction(TOLERANCE * scale)
    for formula in formulas(row["property"]):
        if not holds(formula, point, slack):
            return f"violates {str(formula)[:120]}"
    return None


def run_batch(boundflow, folder, instances, known):
    """Counts of verdicts, and how many failures there were."""
    with tempfile.TemporaryDirectory() as work:
        batch = pathlib.Path(work) / "batch.csv"
        with batch.open("w", newline="") as out:
            rows = ([folder / onnx, folder / vnnlib, SECONDS] for onnx, vnnlib in instances)
            csv.writer(out).writerows(rows)
        command = [boundflow, "verify", "--batch", batch, "--json", "--quiet"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    failures = 0
    counts = {}
    if len(rows) != len(instances):
        print(f"FAIL {folder}: {len(rows)} of {len(instances)} rows, exit {done.returncode}")
        return counts, 1
    for row, instance in zip(rows, instances):
        counts[row["verdict"]] = counts.get(row["verdict"], 0) + 1
        wrong = None
        if {row["verdict"], known[instance]} == {"sat", "unsat"}:
            wrong = f"is {row['verdict']}, known to be {known[instance]}"
        elif row["verdict"] == "sat":
            wrong = check_witness(row)
        if wrong:
            failures += 1
            print(f"FAIL {instance[0]} {instance[1]}: {wrong}")
    return counts, failures


def public_folder():
    """The public instances, or None."""
    beside = ROOT / ".." / "shared" / "data"
    folder = pathlib.Path(os.environ.get("BOUNDFLOW_DATA", beside)) / "vnncomp"
    return folder if folder.is_dir() else None


def few(known):
    """The first instances of each decided verdict."""
    chosen = []
    for verdict in ("sat", "unsat"):
        chosen += [instance for instance, v in known.items() if v == verdict][:PER_VERDICT]
    return chosen


def main():
    boundflow = os.environ.get("BOUNDFLOW_BIN")
    if not boundflow:
        print("SKIPPED: BOUNDFLOW_BIN is not set")
        return 77
    with (ROOT / "models" / "expected.csv").open(newline="") as file:
        known = {(r[0], r[1]): r[2] for r in csv.reader(file)}
    counts, failures = run_batch(boundflow, ROOT / "models", list(known), known)
    print(f"models: {counts}")
    public = public_folder()
    if not public:
        print("SKIP public instances: no data (set BOUNDFLOW_DATA)")
    for family in sorted(public.iterdir()) if public else []:
        with (family / "verdicts.csv").open(newline="") as file:
            known = {(r["onnx"], r["vnnlib"]): r["verdict"] for r in csv.DictReader(file)}
        counts, wrong = run_batch(boundflow, family, few(known), known)
        failures += wrong
        print(f"{family.name}: {counts}", flush=True)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
