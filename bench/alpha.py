#!/usr/bin/env python3
"""alpha-CROWN beside auto_LiRPA: time and tightness of 20 iterations, one thread each.

  alpha.py [--binary build/boundflow] [--repeats 3] [--nets DIR] [--json out.json]

Modes: fixed        hidden bounds are CROWN's (the peer gets CROWN's intervals as interm_bounds)
       all          hidden bounds are optimised too
Networks: ACAS Xu, oval21 deep and resnet_2b of the public instances, and two random ones (He initialisation, 784 inputs, five hidden
layers of 100 and 512), written to --nets by the peer's Python. Both sides take one float32 run each in turn, the fastest of
--repeats; the peer's conv nets run with use_full_conv_alpha false, its faster setting. Both bound both sides of all outputs.
"""
import argparse
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import support

AIMS = {"6x100 all": 10, "acasxu all": 10, "oval21 all": 10, "resnet_2b all": 10, "6x512 all": 2}
FIXED_AIM = 20

MAKE_MLP = """
import sys, numpy as np, onnx
from onnx import helper as h, numpy_helper as nh, TensorProto as T
width, path, centre = int(sys.argv[1]), sys.argv[2], sys.argv[3]
r, nodes, inits, cur, k = np.random.default_rng(0), [], [], "x", 784
for d in range(6):
    n = width if d < 5 else 10
    w = (r.standard_normal((n, k)) * np.sqrt(2 / k)).astype(np.float32)
    b = (r.standard_normal(n) * 0.01).astype(np.float32)
    inits += [nh.from_array(w, f"W{d}"), nh.from_array(b, f"b{d}")]
    nodes.append(h.make_node("Gemm", [cur, f"W{d}", f"b{d}"], [f"y{d}"], transB=1)); cur = f"y{d}"
    if d < 5: nodes.append(h.make_node("Relu", [cur], [f"r{d}"])); cur = f"r{d}"
    k = n
g = h.make_graph(nodes, "mlp", [h.make_tensor_value_info("x", T.FLOAT, [1, 784])],
                 [h.make_tensor_value_info(cur, T.FLOAT, [1, 10])], inits)
m = h.make_model(g, opset_imports=[h.make_opsetid("", 13)]); m.ir_version = 8
onnx.save(m, path)
np.save(centre, np.random.default_rng(1).uniform(0, 1, 784).astype(np.float32))
"""

PUBLIC = [
    ("acasxu", "acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx", "acasxu/vnnlib/prop_1.vnnlib", False),
    ("oval21", "oval21/onnx/cifar_deep_kw.onnx", None, True),
    ("resnet_2b", "cifar10_resnet/onnx/resnet_2b.onnx", "cifar10_resnet/vnnlib/prop_39_eps_0.008.vnnlib",
     True),
]


def oval_property(folder):
    names = sorted(n for n in os.listdir(os.path.join(folder, "oval21", "vnnlib")) if "cifar_deep" in n)
    return os.path.join("oval21", "vnnlib", re.sub(r"\.gz$", "", names[0])) if names else None


def unpacked(path, folder):
    """The file, out of its .gz where it has one."""
    if os.path.isfile(path):
        return path
    out = os.path.join(folder, os.path.basename(path))
    with gzip.open(path + ".gz", "rb") as source, open(out, "wb") as target:
        shutil.copyfileobj(source, target)
    return out


def cases(nets, python):
    found = []
    for width in (100, 512):
        net, centre = os.path.join(nets, f"6x{width}.onnx"), os.path.join(nets, f"6x{width}.npy")
        if not os.path.isfile(net):
            subprocess.run([python, "-c", MAKE_MLP, str(width), net, centre], check=True)
        found.append((f"6x{width}", net, ["--center", centre, "--eps", "0.01"], False))
    data = support.data_dir()
    if not data:
        print("skipped: public networks (no BOUNDFLOW_DATA, no ../shared/data)")
        return found
    folder = os.path.join(data, "vnncomp")
    for name, net, prop, conv in PUBLIC:
        prop = prop or oval_property(folder)
        if prop:
            found.append((name, unpacked(os.path.join(folder, net), nets),
                          ["--vnnlib", unpacked(os.path.join(folder, prop), nets)], conv))
    return found


def ours(binary, net, box, mode, repeats):
    return support.run_json([binary, "bound", net, *box, "--method", "alpha-crown", "--intermediate",
                             "fixed" if mode == "fixed" else "per-neuron", "--lr", "0.5", "--threads", "1",
                             "--repeat", str(repeats), "--json"], timeout=1200)


def peers(peer, net, box, mode, conv, repeats):
    python, script, package = peer
    command = [python, "-W", "ignore", script, "--lib", package, "--onnx", net, *box, "--method",
               "CROWN-Optimized", "--iters", "20", "--lr", "0.5", "--threads", "1", "--quiet",
               "--repeats", str(repeats), "--warmup", "1"]
    command += ["--fix-interm"] if mode == "fixed" else []
    command += ["--bound-opts", json.dumps({"optimize_bound_args": {
        "iteration": 20, "lr_alpha": 0.5, "lr_decay": 0.98, "use_full_conv_alpha": False}})] if conv else []
    return support.run_json(command, env=support.single_thread_environment(), timeout=2400)


def compare(case, mode, arguments, peer):
    name, net, box, conv = case
    row = {"case": f"{name} {mode}"}
    try:
        own = ours(arguments.binary, net, box, mode, arguments.repeats)
        row["ours_s"] = own["time_min_s"]
        row["ours_mean_width"] = sum(map(float.__sub__, own["upper"], own["lower"])) / len(own["lower"])
        other = peers(peer, net, box, mode, conv, arguments.repeats)
        row["peer_s"] = other["min_s"]
        row["peer_mean_width"] = sum(map(float.__sub__, other["ub"], other["lb"])) / len(other["lb"])
        row["ratio"] = row["peer_s"] / row["ours_s"]
    except support.Failed as error:
        row["failed"] = str(error)
    row["aim"] = FIXED_AIM if mode == "fixed" else AIMS[row["case"]]
    return row


def show(row):
    if "ratio" not in row:
        print(f"{row['case']:16s} {row.get('failed', '')}")
        return
    missed = "" if row["ratio"] >= row["aim"] else "MISSED"
    print(f"{row['case']:16s} ours {row['ours_s'] * 1e3:10.2f} ms  peer {row['peer_s'] * 1e3:10.1f} ms  "
          f"ratio {row['ratio']:8.1f}  aim {row['aim']:3d} {missed:6s} "
          f"width {row['ours_mean_width'] / row['peer_mean_width']:.4f} of the peer's", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=support.default_binary())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--nets", help="folder for the random networks (default: a temporary one)")
    parser.add_argument("--only", action="append", help="names of networks to take")
    parser.add_argument("--mode", choices=("fixed", "all"), help="one mode alone")
    parser.add_argument("--json", help="writes the rows there")
    arguments = parser.parse_args()
    peer = support.peer()
    if isinstance(peer, str):
        sys.exit(f"no peer: {peer}")
    print("load average", os.getloadavg(), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        rows = []
        for case in cases(arguments.nets or temporary, peer[0]):
            if arguments.only and case[0] not in arguments.only:
                continue
            for mode in (arguments.mode,) if arguments.mode else ("fixed", "all"):
                rows.append(compare(case, mode, arguments, peer))
                show(rows[-1])
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as out:
            json.dump({"machine": support.machine(), "rows": rows}, out, indent=1)


if __name__ == "__main__":
    main()
