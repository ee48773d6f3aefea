#!/usr/bin/env python3
"""Writes tests/golden/: output bounds by auto_LiRPA (float64, round to nearest) to compare with.

  make_golden.py public --data DIR            from the golden bounds of public networks in DIR/golden
  make_golden.py models --peer PYTHON --tool lirpa_bounds.py --lib DIR
                                              of our own models, computed now

The files hold numbers only: networks and boxes come from models/ or from DIR when the test runs.
Lines: "case MODEL PROPERTY METHOD ROWS", then ROWS times "LOWER UPPER". The box is that of the property's
first case. Methods: ibp, crown-ibp, crown (stable neurons keep their interval bounds), crown-dense.

Left out: lsnc, ml4acopf_14, and vit with its crown methods, because auto_LiRPA has a linear rule where
BoundFlow falls back to intervals and says so (Mul, Sin, Cos, Softmax, MatMul of two values, ...); and vit
with ibp, where auto_LiRPA is wrong: it shifts the inputs of softmax by their largest upper end, so that
with inputs as wide as 1e6 exp underflows to 0 and the upper end of an element that may well be 1 comes
out as 0. Seconds-long cases are left out too.
alpha.txt has lower bounds by alpha-CROWN, methods alpha-fixed and alpha (20 iterations of Adam, lr 0.1, decay 0.98; hidden bounds
by CROWN, or optimised too); the second number is the width of CROWN's bound, which the comparison is relative to.
Needs numpy for the public part.
"""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "tests" / "golden"
METHODS = {
    "ibp": ["--method", "IBP"],
    "crown-ibp": ["--method", "CROWN-IBP"],
    "crown": ["--method", "CROWN"],
    "crown-dense": ["--method", "CROWN", "--no-sparse"],
}
# One of every kind: dense, leaky S-shapes, conv, residual, pooling, slices; few outputs each.
PUBLIC = [
    "acasxu_0", "acasxu_100", "mnist_fc_0", "oval21_0", "dist_shift_0", "eran_0", "eran_20",
    "tllverifybench_0", "safenlp_0", "sat_relu_0", "verivital_0", "verivital_15", "linearizenn_0",
    "cifar_biasfield_0", "reach_prob_density_0", "cersyve_0", "sri_resnet_a_0",
]
SLOW = [  # seconds each
    ("cifar_biasfield_0", "crown"), ("cifar_biasfield_0", "crown-dense"),
    ("sri_resnet_a_0", "crown-dense"),
]
# Seconds to half a minute each here: cifar_biasfield, cora and sri_resnet_a with alpha.
SLOW_ALPHA = [("cifar_biasfield_0", "alpha-fixed"), ("cora_0", "alpha"), ("sri_resnet_a_0", "alpha")]
NO_RULE = ["lsnc_0", "ml4acopf_14_0"]  # see above: intervals here, linear rules there
MODELS = [
    ("digits_mlp", "digits_mlp_robust_eps0.02"),
    ("digits_mlp", "digits_mlp_robust_eps0.2"),
    ("digits_cnn_permute", "digits_cnn_permute_robust_eps0.015"),
    ("digits_resnet", "digits_resnet_robust_eps0.01"),
    ("rram_small", "rram_small_robust_eps0.03"),
]


def write(name, comment, cases):
    lines = [f"# {comment}", "# Written by scripts/make_golden.py; see there for the form."]
    for model, prop, method, lower, upper in cases:
        lines.append(f"case {model} {prop} {method} {len(lower)}")
        lines += [f"{lo!r} {hi!r}" for lo, hi in zip(lower, upper)]
    OUT.mkdir(exist_ok=True)
    (OUT / name).write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(cases)} cases", file=sys.stderr)


def public(data):
    import numpy

    cases = []
    for entry in json.loads((data / "golden" / "manifest.json").read_text()):
        wanted = entry["case"] in PUBLIC and (entry["case"], entry["method"]) not in SLOW
        if not wanted or entry["method"] not in METHODS or entry["spec"] != "out":
            continue
        bounds = numpy.load(data / "golden" / entry["file"])
        cases.append((
            entry["onnx"], entry["vnnlib"], entry["method"],
            bounds["lb"].ravel().tolist(), bounds["ub"].ravel().tolist(),
        ))
    write("public.txt", "auto_LiRPA's bounds of public networks (read at run time).", cases)


def alpha(data):
    import numpy

    cases = []
    for entry in json.loads((data / "golden" / "manifest.json").read_text()):
        case, method = entry["case"], entry["method"]
        if method not in ("alpha", "alpha-fixed") or case in NO_RULE or entry["spec"] != "out":
            continue
        if (case, method) in SLOW_ALPHA:
            continue
        bounds = numpy.load(data / "golden" / entry["file"])
        crown = numpy.load(data / "golden" / f"{case}_out_crown.npz")
        cases.append((
            entry["onnx"], entry["vnnlib"], method,
            bounds["lb"].ravel().tolist(), (crown["ub"] - crown["lb"]).ravel().tolist(),
        ))
    write("alpha.txt", "Lower bounds by alpha-CROWN of auto_LiRPA, and widths of CROWN's.", cases)


def models(peer, tool, lib):
    cases = []
    for model, prop in MODELS:
        for method, arguments in METHODS.items():
            command = [
                peer, tool, "--lib", lib, "--onnx", f"models/{model}.onnx",
                "--vnnlib", f"models/vnnlib/{prop}.vnnlib", "--dtype", "float64",
                "--threads", "1", "--repeats", "1", "--warmup", "0", *arguments,
            ]
            run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            if run.returncode:
                sys.exit(f"{model} {method}: {run.stderr.strip().splitlines()[-1]}")
            result = json.loads(run.stdout.strip().splitlines()[-1])
            cases.append((
                f"{model}.onnx", f"vnnlib/{prop}.vnnlib", method,
                result["lb"], result["ub"],
            ))
    write("models.txt", "auto_LiRPA's bounds of the networks in models/.", cases)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    part = commands.add_parser("public")
    part.add_argument("--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data")
    part = commands.add_parser("models")
    part.add_argument("--peer", required=True, help="Python with torch, onnx and onnx2pytorch")
    part.add_argument("--tool", required=True, help="lirpa_bounds.py")
    part.add_argument("--lib", required=True, help="directory that holds the auto_LiRPA package")
    arguments = parser.parse_args()
    if arguments.command == "public":
        public(arguments.data)
        alpha(arguments.data)
    else:
        models(arguments.peer, arguments.tool, arguments.lib)


if __name__ == "__main__":
    main()
