#!/usr/bin/env python3
"""Public models (BOUNDFLOW_DATA/vnncomp/*/onnx) and those in models/ evaluate as in onnxruntime.

Evaluation goes through evaluate_model. Inputs are random in the first property's box where the text
of a property shows one, N(0, 1) otherwise. Bound: max abs error <= 1e-4 of the output scale. Exit
code 77 (skipped) without data, numpy or onnxruntime.
"""

import gzip
import os
import pathlib
import re
import subprocess
import sys
import tempfile


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(77)


try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    skip(f"{error}")

TOLERANCE = 1e-4
INPUTS_PER_MODEL = 3
BOUND = re.compile(r"\(\s*(<=|>=)\s+X_(\d+)\s+([-+.\deE]+)\s*\)")


ROOT = pathlib.Path(__file__).resolve().parents[2]


def data_folder():
    """The public instances, or None."""
    beside = ROOT / ".." / "shared" / "data"
    folder = pathlib.Path(os.environ.get("BOUNDFLOW_DATA", beside)) / "vnncomp"
    return folder if folder.is_dir() else None


def driver():
    build = pathlib.Path(os.environ.get("BOUNDFLOW_BUILD_DIR", "."))
    for path in (build / "tests" / "evaluate_model", build / "evaluate_model"):
        if path.is_file():
            return path
    skip(f"no evaluate_model in {build}: build the tests first")


def first_properties(family):
    """Property file by model file, the first one listed for each."""
    found = {}
    for line in (family / "instances.csv").read_text().splitlines():
        row = line.split(",")
        found.setdefault((family / row[0].strip()).resolve(), family / row[1].strip())
    return found


def box(path, count):
    """Lower and upper bounds of |count| inputs, or None where the text gives no whole box."""
    lower, upper = np.full(count, -np.inf), np.full(count, np.inf)
    if path is None or not path.is_file():
        return None
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    for sense, index, value in BOUND.findall(text):
        i, v = int(index), float(value)
        if i < count and sense == ">=" and not np.isfinite(lower[i]):
            lower[i] = v
        if i < count and sense == "<=" and not np.isfinite(upper[i]):
            upper[i] = v
    whole = np.isfinite(lower).all() and np.isfinite(upper).all() and (lower <= upper).all()
    return (lower, upper) if whole else None


def sample(rng, shape, bounds):
    count = int(np.prod(shape))
    if bounds is None:
        return rng.standard_normal((INPUTS_PER_MODEL, *shape)).astype(np.float32)
    t = rng.random((INPUTS_PER_MODEL, count))
    return (bounds[0] + t * (bounds[1] - bounds[0])).astype(np.float32).reshape(-1, *shape)


def run_model(program, model, x, folder):
    source, target = folder / "x", folder / "y"
    x.astype(np.float64).tofile(source)
    done = subprocess.run(
        [program, model, source, target, "float32"], capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"exit code {done.returncode}")
    return np.fromfile(target)


def error_of(program, model, prop, rng, folder):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    raw = model.read_bytes()
    session = onnxruntime.InferenceSession(
        gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw, options
    )
    entry = session.get_inputs()[0]
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in entry.shape]
    x = sample(rng, shape, box(prop, int(np.prod(shape))))
    want = (
        np.stack([session.run(None, {entry.name: row})[0] for row in x]).astype(np.float64).ravel()
    )
    got = run_model(program, model, x, folder)
    if got.shape != want.shape or not np.isfinite(got).all():
        raise RuntimeError(f"{got.size} outputs, onnxruntime gives {want.size}")
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-6))


def models(data):
    """Every model with a property for it, or None."""
    found = [(model, None) for model in sorted((ROOT / "models").glob("*.onnx"))]
    for family in sorted(p for p in data.iterdir() if (p / "onnx").is_dir()) if data else []:
        properties = first_properties(family)
        for model in sorted((family / "onnx").rglob("*.onnx*")):
            found.append((model, properties.get(model.resolve())))
    return found


def main():
    data, program, rng = data_folder(), driver(), np.random.default_rng(1)
    pairs, failures, worst = models(data), 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for model, prop in pairs:
            try:
                error = error_of(program, model, prop, rng, pathlib.Path(folder))
            except Exception as problem:
                error = float("inf")
                print(f"{model}: {problem}")
            worst = max(worst, error)
            if not error <= TOLERANCE:
                failures += 1
                print(f"FAILED {model}: relative error {error:.2e}")
    print(f"{len(pairs)} models, {failures} failed, worst relative error {worst:.2e}")
    if failures or not pairs:
        return 1
    if not data:
        skip("no public instances beside the checkout: set BOUNDFLOW_DATA (own models agree)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
