#!/usr/bin/env python3
"""BoundFlow beside auto_LiRPA on the same boxes, in one run, one thread each, fastest of N.

Parts: startup   whole process, from start to printed bounds, on an ACAS Xu network
       bounds    time of the bounds alone, per network and method, and the ratio to the peer
       rounding  what the error terms cost: time and width, --rounding outward against nearest

The peer is found by BOUNDFLOW_PEER_PYTHON (an interpreter with torch, onnx2pytorch, ...), AUTO_LIRPA (the folder
that holds its package) and BOUNDFLOW_PEER_SCRIPT (lirpa_bounds.py); the public networks by
BOUNDFLOW_DATA. Whatever is missing is said and left out. How to get them: bench/README.md.
"""
import argparse
import datetime
import json
import os
import re
import sys
import time

import support

METHODS = {"ibp": "IBP", "crown-ibp": "CROWN-IBP", "crown": "CROWN"}
ACAS = ("vnncomp/acasxu/onnx/ACASXU_run2a_{}_batch_2000.onnx", "vnncomp/acasxu/vnnlib/prop_{}.vnnlib.gz")
MNIST = ("vnncomp/mnist_fc/onnx/mnist-net_256x{}.onnx", "vnncomp/mnist_fc/vnnlib/prop_{}.vnnlib.gz")
OVAL = "vnncomp/oval21/vnnlib/"

# name, network, property, calls per process (heavy networks get fewer)
PUBLIC = [
    ("acasxu 5-6x50-5", ACAS[0].format("1_1"), ACAS[1].format(1), 50),
    ("mnist_fc 256x2", MNIST[0].format(2), MNIST[1].format("0_0.03"), 50),
    ("mnist_fc 256x4", MNIST[0].format(4), MNIST[1].format("0_0.03"), 30),
    ("oval21 base", "vnncomp/oval21/onnx/cifar_base_kw.onnx",
     OVAL + "cifar_base_kw-img8194-eps0.018300653594771243.vnnlib.gz", 20),
    ("oval21 deep", "vnncomp/oval21/onnx/cifar_deep_kw.onnx", OVAL + "cifar_deep_kw-*.vnnlib.gz", 10),
    ("oval21 wide", "vnncomp/oval21/onnx/cifar_wide_kw.onnx", OVAL + "cifar_wide_kw-*.vnnlib.gz", 10),
    ("collins_rul small", "vnncomp/collins_rul_cnn/onnx/NN_rul_small_window_20.onnx",
     "vnncomp/collins_rul_cnn/vnnlib/robustness_2perturbations_delta5_epsilon10_w20.vnnlib.gz", 20),
    ("collins_rul full", "vnncomp/collins_rul_cnn/onnx/NN_rul_full_window_20.onnx",
     "vnncomp/collins_rul_cnn/vnnlib/robustness_2perturbations_delta5_epsilon10_w20.vnnlib.gz", 10),
    ("malbeware linear-25", "vnncomp/malbeware/onnx/malware_malimg_family_scaled_linear-25.onnx",
     "vnncomp/malbeware/vnnlib/malbeware_family-Swizzor.gen!E_label-20_eps-3_idx-100.vnnlib.gz", 20),
    ("malbeware 4-25", "vnncomp/malbeware/onnx/malware_malimg_family_scaled_4-25.onnx",
     "vnncomp/malbeware/vnnlib/malbeware_family-Swizzor.gen!E_label-20_eps-3_idx-100.vnnlib.gz", 10),
    ("cifar10_resnet 2b", "vnncomp/cifar10_resnet/onnx/resnet_2b.onnx",
     "vnncomp/cifar10_resnet/vnnlib/prop_39_eps_0.008.vnnlib.gz", 3),
    ("eran sigmoid 6x200", "vnncomp/eran/onnx/ffnnSIGMOID__Point_6x200.onnx",
     "vnncomp/eran/vnnlib/mnist_spec_idx_3867_eps_0.01200.vnnlib.gz", 10),
]
OWN = [
    ("digits_mlp", "digits_mlp.onnx", "vnnlib/digits_mlp_robust_eps0.03.vnnlib", 50),
    ("digits_cnn_permute", "digits_cnn_permute.onnx", "vnnlib/digits_cnn_permute_robust_eps0.015.vnnlib", 50),
    ("digits_resnet", "digits_resnet.onnx", "vnnlib/digits_resnet_robust_eps0.01.vnnlib", 30),
    ("rram_small", "rram_small.onnx", "vnnlib/rram_small_robust_eps0.02.vnnlib", 50),
]
# For the error terms: several networks and boxes of each kind.
ROUNDING = {
    "acasxu": [(ACAS[0].format(net), ACAS[1].format(prop), 50) for net, prop in
               (("1_1", 1), ("2_5", 1), ("3_3", 2), ("4_9", 2), ("1_1", 3), ("2_2", 3), ("4_5", 4), ("5_9", 3))],
    "mnist_fc 256x2": [(MNIST[0].format(2), MNIST[1].format(f"{i}_{eps}"), 50)
                       for i in (0, 1, 2) for eps in ("0.03", "0.05")],
    "mnist_fc 256x4": [(MNIST[0].format(4), MNIST[1].format(f"{i}_{eps}"), 30)
                       for i in (0, 1, 2) for eps in ("0.03", "0.05")],
}


def only_match(folder, pattern):
    """The first file that |pattern| (with at most one star, in the name) means; the pattern itself without one."""
    path = os.path.join(folder, pattern)
    if "*" not in pattern:
        return path
    start, end = os.path.basename(path).split("*")
    names = sorted(os.listdir(os.path.dirname(path))) if os.path.isdir(os.path.dirname(path)) else []
    found = [name for name in names if name.startswith(start) and name.endswith(end)]
    return os.path.join(os.path.dirname(path), found[0]) if found else path


def find_cases(arguments):
    """(name, model, property, repeats) of the files that are there; the missing ones are named."""
    listed = []
    data = support.data_dir()
    if data:
        listed += [(name, only_match(data, model), only_match(data, prop), repeats)
                   for name, model, prop, repeats in PUBLIC]
    else:
        print("skipped: the public networks (no BOUNDFLOW_DATA, no ../shared/data)")
    own = os.path.join(support.ROOT, "models")
    listed += [(name, os.path.join(own, model), os.path.join(own, prop), repeats)
               for name, model, prop, repeats in OWN]
    chosen = []
    for case in listed:
        if arguments.only and not re.search(arguments.only, case[0]):
            continue
        missing = [path for path in case[1:3] if not os.path.isfile(path)]
        if missing:
            print(f"skipped: {case[0]} (no {missing[0]})")
        else:
            chosen.append(case)
    return chosen


def ours(arguments, model, prop, method, repeats, rounding="outward", dtype=None):
    return support.run_json(
        [arguments.boundflow, "bound", model, "--vnnlib", prop, "--method", method, "--dtype",
         dtype or arguments.dtype, "--rounding", rounding, "--threads", "1", "--repeat", str(repeats), "--json"],
        env=support.single_thread_environment())


def theirs(arguments, peer, model, prop, method, repeats):
    python, script, package = peer
    env = dict(support.single_thread_environment(), AUTO_LIRPA=package)
    return support.run_json(
        [python, "-W", "ignore", script, "--onnx", model, "--vnnlib", prop, "--method", METHODS[method], "--dtype",
         arguments.dtype, "--threads", "1", "--repeats", str(repeats), "--warmup", "2", "--quiet"], env=env)


def fastest(result):
    """Our fastest repeat; the median where the binary reports only that (which favours the peer)."""
    return result.get("time_min_s", result["time_s"])


def widths(lower, upper):
    return [u - l for l, u in zip(lower, upper)]


def compare_bounds(mine, other):
    """(median ratio of widths, largest difference over the width) of two answers about one box."""
    w_mine, w_other = widths(mine["lower"], mine["upper"]), widths(other["lb"], other["ub"])
    if len(w_mine) != len(w_other):
        raise support.Failed(f"{len(w_mine)} bounds against {len(w_other)} of the peer")
    ratios = [a / b for a, b in zip(w_mine, w_other) if b > 0]
    apart = [max(abs(a - c), abs(b - d)) / w for a, b, c, d, w in
             zip(mine["lower"], mine["upper"], other["lb"], other["ub"], w_other) if w > 0]
    return support.median(ratios), max(apart, default=None)


def process_seconds(command, times):
    """Fastest wall time from process start to its end; output is thrown away."""
    env = support.single_thread_environment()
    sink = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    best = None
    for _ in range(times):
        start = time.perf_counter()
        child = os.posix_spawnp(command[0], command, env, file_actions=sink)
        _, status = os.waitpid(child, 0)
        spent = time.perf_counter() - start
        if status != 0:
            raise support.Failed(f"exit {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
        best = spent if best is None else min(best, spent)
    return best


def part_startup(arguments, report):
    print("\nProcess start to bounds (whole process, fastest of "
          f"{arguments.starts}; aim: at most 15 ms on ACAS Xu)")
    rows = []
    for name, model, prop, _ in arguments.cases:
        if not name.startswith(("acasxu", "mnist_fc 256x4", "digits_mlp")):
            continue
        row = {"case": name}
        try:
            for method in METHODS:
                row[method] = process_seconds(
                    [arguments.boundflow, "bound", model, "--vnnlib", prop, "--method", method, "--threads",
                     "1", "--json"], arguments.starts)
        except (support.Failed, OSError) as error:
            row["error"] = str(error)
        report.append(row)
        rows.append([name] + [support.milliseconds(row.get(method)) for method in METHODS] + [row.get("error", "")])
    empty = process_seconds(["true"], arguments.starts)
    report.append({"case": "true(1)", "process": empty})
    support.print_table(["case, ms", *METHODS, ""], rows)
    print(f"(an empty process: {support.milliseconds(empty)} ms)")


def measure(arguments, peer, case, method):
    """One row: both tools in turn, |rounds| times; the fastest of each."""
    name, model, prop, repeats = case
    row = {"case": name, "method": method, "repeats": repeats, "rounds": arguments.rounds}
    mine = other = None
    for _ in range(arguments.rounds):
        try:
            answer = ours(arguments, model, prop, method, repeats)
            mine = answer if mine is None or fastest(answer) < fastest(mine) else mine
        except support.Failed as error:
            row["error"] = str(error)
        if isinstance(peer, str) or "peer_error" in row:
            continue
        try:
            answer = theirs(arguments, peer, model, prop, method, repeats)
            other = answer if other is None or answer["min_s"] < other["min_s"] else other
        except support.Failed as error:
            row["peer_error"] = str(error)
    if mine:
        row.update(ours_s=fastest(mine), ours_median_s=mine["time_s"], load_s=mine["load_s"],
                   planned_bytes=mine["planned_bytes"], peak_bytes=mine["peak_bytes"])
        row.update({key: mine[key] for key in ("isa", "flops", "unstable", "notes") if key in mine})
    if other:
        row.update(peer_s=other["min_s"], peer_median_s=other["median_s"], peer_peak_bytes=other["peak_rss_kb"] * 1024)
    if mine and other:
        row["ratio"] = row["peer_s"] / row["ours_s"]
        try:
            row["width_ratio"], row["apart"] = compare_bounds(mine, other)
        except support.Failed as error:
            row["peer_error"] = str(error)
    return row


def part_bounds(arguments, peer, report):
    print(f"\nBounds alone, {arguments.dtype}, one thread, fastest of {arguments.rounds} processes x their repeats "
          "(ours with error terms, the peer without)")
    print("ratio: peer / ours, larger is faster; width: ours / peer, median over outputs; "
          "MiB: peak memory of the process")
    header = ["case", "method", "ours ms", "peer ms", "ratio", "width", "ours MiB", "peer MiB"]
    rows = []
    for case in arguments.cases:
        for method in arguments.methods:
            row = measure(arguments, peer, case, method)
            report.append(row)
            mebibytes = [f"{row[key] / 2**20:.0f}" if key in row else "-" for key in ("peak_bytes", "peer_peak_bytes")]
            rows.append([row["case"], method, support.milliseconds(row.get("ours_s")),
                         support.milliseconds(row.get("peer_s")), f"{row['ratio']:.1f}" if "ratio" in row else "-",
                         f"{row['width_ratio']:.4f}" if row.get("width_ratio") else "-", *mebibytes])
            for who, key in (("boundflow", "error"), ("peer", "peer_error")):
                if key in row:
                    print(f"  {row['case']} {method}: {who}: {row[key]}")
            print(f"  done: {' '.join(rows[-1][:5])}", file=sys.stderr, flush=True)
    support.print_table(header, rows)
    if isinstance(peer, str):
        print(f"skipped: the peer ({peer})")


def rounding_row(arguments, name, boxes, dtype):
    """Time ratio and relative widening of --rounding outward over the boxes of one kind."""
    ratios, widening, narrower = [], [], 0
    for model, prop, repeats in boxes:
        best = {}
        for _ in range(arguments.rounds):
            for rounding in ("nearest", "outward"):
                answer = ours(arguments, model, prop, "crown", repeats, rounding, dtype)
                if rounding not in best or fastest(answer) < fastest(best[rounding]):
                    best[rounding] = answer
        ratios.append(fastest(best["outward"]) / fastest(best["nearest"]))
        plain, safe = (widths(best[r]["lower"], best[r]["upper"]) for r in ("nearest", "outward"))
        changes = [(b - a) / a for a, b in zip(plain, safe) if a > 0]
        narrower += sum(change < 0 for change in changes)
        widening += changes
    return {"case": name, "dtype": dtype, "boxes": len(boxes), "time_ratio": support.median(ratios),
            "widening_median": support.median(widening), "widening_max": max(widening, default=None),
            "narrower": narrower}


def part_rounding(arguments, report):
    print("\nCost of the error terms: --rounding outward against nearest, CROWN "
          "(aim: time <= 1.10 in float32; widening <= 5e-4, in float64 1e-11, median)")
    data = support.data_dir()
    if not data:
        print("skipped: the public networks (no BOUNDFLOW_DATA, no ../shared/data)")
        return
    rows = []
    for name, listed in ROUNDING.items():
        boxes = [(os.path.join(data, model), os.path.join(data, prop), repeats) for model, prop, repeats in listed]
        boxes = [box for box in boxes if os.path.isfile(box[0]) and os.path.isfile(box[1])]
        if not boxes or (arguments.only and not re.search(arguments.only, name)):
            print(f"skipped: {name}" + ("" if boxes else " (no such files)"))
            continue
        for dtype in ("float32", "float64"):
            try:
                row = rounding_row(arguments, name, boxes, dtype)
            except support.Failed as error:
                print(f"  {name} {dtype}: {error}")
                continue
            report.append(row)
            rows.append([name, dtype, row["boxes"], f"{row['time_ratio']:.3f}", f"{row['widening_median']:.2e}",
                         f"{row['widening_max']:.2e}"])
    support.print_table(["case", "dtype", "boxes", "time ratio", "widening, median", "largest"], rows)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundflow", default=support.default_binary(), help="the program (default %(default)s)")
    parser.add_argument("--parts", default="startup,bounds,rounding", help="comma separated (default %(default)s)")
    parser.add_argument("--methods", default=",".join(METHODS), help="comma separated (default %(default)s)")
    parser.add_argument("--only", help="cases whose name matches this regular expression")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=2, help="processes of each tool per row, in turn (default 2)")
    parser.add_argument("--starts", type=int, default=20, help="processes timed in `startup` (default 20)")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    parser.add_argument("--json", metavar="FILE", help="write everything measured there too")
    arguments = parser.parse_args()
    arguments.parts = arguments.parts.split(",")
    arguments.methods = arguments.methods.split(",")
    for given, known, what in ((arguments.parts, ("startup", "bounds", "rounding"), "part"),
                               (arguments.methods, tuple(METHODS), "method")):
        for word in given:
            if word not in known:
                parser.error(f"unknown {what} '{word}' (one of {', '.join(known)})")
    if arguments.rounds < 1 or arguments.starts < 1:
        parser.error("--rounds and --starts must be at least 1")
    if not os.access(arguments.boundflow, os.X_OK):
        parser.error(f"no program at {arguments.boundflow}: build first (make build) or give --boundflow")
    arguments.boundflow = os.path.abspath(arguments.boundflow)
    return arguments


def main():
    arguments = parse_arguments()
    peer = "--no-peer" if arguments.no_peer else support.peer()
    report = {"machine": support.machine(), "date": datetime.datetime.now().isoformat(timespec="seconds"),
              "boundflow": arguments.boundflow, "peer": peer if isinstance(peer, str) else "auto_LiRPA",
              "startup": [], "bounds": [], "rounding": []}
    print(f"{report['machine']['cpu']}, {report['machine']['cores']} cores, load {report['machine']['load'][0]}")
    arguments.cases = find_cases(arguments)
    try:
        if "startup" in arguments.parts:
            part_startup(arguments, report["startup"])
        if "bounds" in arguments.parts:
            part_bounds(arguments, peer, report["bounds"])
        if "rounding" in arguments.parts:
            part_rounding(arguments, report["rounding"])
    except KeyboardInterrupt:
        print("stopped; what was measured so far follows only in the JSON file")
    report["load_at_end"] = support.machine()["load"]
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as out:
            json.dump(report, out, indent=1)
            out.write("\n")
    return 1 if any("error" in row for row in report["startup"] + report["bounds"]) else 0


if __name__ == "__main__":
    sys.exit(main())
