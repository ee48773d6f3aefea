#!/usr/bin/env python3
"""Memory of plans: planned bytes against one buffer per value, and against what processes really take.

Parts: plans   every network, method and partition: planned bytes, saving by reuse, time to create the plan
       peak    peak memory of `boundflow bound`, and what it is made of
       peer    auto_LiRPA's memory above its import on the same boxes (bench.py's cases), beside ours

Aims: reuse saves at least 40 % on convolutional networks and 20 % on the others; a plan takes at most 2 ms for
an ACAS Xu network and 50 ms for a 20-layer ResNet. One thread. Networks of the same shapes count once. What is
missing (public data, peer) is said and left out; bench/README.md tells how to get it.
"""
import argparse
import csv
import glob
import json
import os
import re
import sys

import bench
import support

PARTS = ("plans", "peak", "peer")
AIMS = {"cnn": 40, "mlp": 20}
TIME_AIMS = {"acasxu": 2e-3, "resnet": 50e-3}


def kibibytes(count):
    return f"{count / 1024:.1f}"


def mebibytes(count):
    return "-" if count is None else f"{count / 2**20:.2f}"


def first_properties(folder):
    """Network path -> path of its first property, from a folder's instances.csv."""
    found = {}
    path = os.path.join(folder, "instances.csv")
    if os.path.isfile(path):
        with open(path, encoding="utf-8", newline="") as text:
            for row in csv.reader(text):
                if len(row) >= 2:
                    prop = os.path.join(folder, row[1].strip())
                    prop = prop if os.path.isfile(prop) else prop + ".gz"
                    found.setdefault(os.path.basename(row[0].strip()), prop)
    return found


def find_networks(arguments):
    """(name, family, path, property or None), one for each list of layers and shapes."""
    folders = [("models", os.path.join(support.ROOT, "models"), "")]
    data = support.data_dir()
    if data:
        folders += [(os.path.basename(path), path, "onnx")
                    for path in sorted(glob.glob(os.path.join(data, "vnncomp", "*")))]
    else:
        print("skipped: the public networks (no BOUNDFLOW_DATA, no ../shared/data)")
    networks, known = [], {}
    for family, folder, inside in folders:
        properties = first_properties(folder)
        for path in sorted(glob.glob(os.path.join(folder, inside, "*.onnx"))):
            name = os.path.basename(path)[:-len(".onnx")]
            if arguments.only and not re.search(arguments.only, f"{family}/{name}"):
                continue
            try:
                info = support.run_json([arguments.boundflow, "info", path, "--json"])
            except support.Failed as error:
                print(f"skipped: {family}/{name}: {error}")
                continue
            shape = json.dumps([(layer["op"], layer["shape"], layer["parameters"]) for layer in info["layers"]])
            if shape in known:
                known[shape]["same"] += 1
                continue
            ops = [layer["op"] for layer in info["layers"]]
            known[shape] = {"name": name, "family": family, "path": path, "same": 0,
                            "property": properties.get(os.path.basename(path)),
                            "kind": "cnn" if any("conv" in op for op in ops) else "mlp",
                            "layers": len(ops), "parameters": info["parameters"],
                            "file_bytes": os.path.getsize(path)}
            networks.append(known[shape])
    return networks


def plan_once(arguments, network, method, partition):
    best = None
    for _ in range(arguments.rounds):
        answer = support.run_json([arguments.boundflow, "plan", network["path"], "--method", method, "--partition",
                                   str(partition), "--threads", "1", "--json"])
        if best is None or answer["plan_s"] < best["plan_s"]:
            best = answer
    memory = best["memory"]
    return {"case": f"{network['family']}/{network['name']}", "kind": network["kind"], "family": network["family"],
            "method": method, "partition": partition, "tasks": len(best["tasks"]), "plan_s": best["plan_s"],
            "planned_bytes": memory["planned_bytes"], "baseline_bytes": memory["baseline_bytes"],
            "constant_bytes": memory["constant_bytes"], "lanes": memory["tile_lanes"],
            "saving": memory["saving_percent"]}


def family_median(rows):
    savings = {}
    for row in rows:
        savings.setdefault(row["family"], []).append(row["saving"])
    return f"{support.median([support.median(values) for values in savings.values()]):.1f}" if savings else "-"


def part_plans(arguments, networks, report):
    print("\nPlans, one thread: KiB that a run takes, for partition 1 (v1) and 0 (v0, one task); saving of v1 against one "
          f"buffer per value;\ntime to create v1, fastest of {arguments.rounds}")
    rows = []
    for network in networks:
        for method in arguments.methods:
            try:
                one, zero = (plan_once(arguments, network, method, partition) for partition in (1, 0))
            except support.Failed as error:
                print(f"skipped: {network['family']}/{network['name']} {method}: {error}")
                break
            report += [one, zero]
            rows.append([one["case"][:46], one["kind"], method, one["tasks"], kibibytes(one["planned_bytes"]),
                         kibibytes(zero["planned_bytes"]), kibibytes(one["baseline_bytes"]),
                         f"{one['saving']:.1f}", support.milliseconds(one["plan_s"])])
    support.print_table(["network", "kind", "method", "tasks", "v1 KiB", "v0 KiB", "no reuse", "saving %", "plan ms"],
                        rows)
    print("\nMedians of the saving, percent: of the families' medians (one family has half of the networks), and of all "
          "networks and methods")
    rows = []
    for kind, aim in AIMS.items():
        for partition in (0, 1):
            chosen = [row for row in report if row["kind"] == kind and row["partition"] == partition]
            if not chosen:
                continue
            rows.append([f"{kind}, v{partition}"] +
                        [family_median([row for row in chosen if row["method"] == method])
                         for method in arguments.methods] +
                        [f"{min(row['saving'] for row in chosen):.1f}",
                         f"{support.median([row['saving'] for row in chosen]):.1f}", f">= {aim}"])
    support.print_table(["kind", *arguments.methods, "least", "all", "aim"], rows)
    for word, aim in TIME_AIMS.items():
        times = [(row["plan_s"], row["case"], row["method"]) for row in report if word in row["case"].lower()]
        if times:
            slowest = max(times)
            print(f"slowest plan of *{word}*: {support.milliseconds(slowest[0])} ms ({slowest[1]}, {slowest[2]}); "
                  f"aim <= {aim * 1e3:.0f} ms")


def peak_row(arguments, network, method):
    answer = support.run_json(
        [arguments.boundflow, "bound", network["path"], "--vnnlib", network["property"], "--method", method,
         "--threads", "1", "--timeout", "60", "--json"], env=support.single_thread_environment())
    # planned_bytes of `bound` has the constants in it; the graph keeps every parameter as a double.
    return {"case": f"{network['family']}/{network['name']}", "method": method, "peak_bytes": answer["peak_bytes"],
            "planned_bytes": answer["planned_bytes"], "used_bytes": answer["used_bytes"],
            "weights_bytes": 8 * network["parameters"], "file_bytes": network["file_bytes"]}


def part_peak(arguments, networks, report):
    smallest = min(networks, key=lambda network: network["file_bytes"] if network["property"] else float("inf"))
    if not smallest["property"]:
        print("skipped: peak memory (no network with a property)")
        return
    least = peak_row(arguments, smallest, "ibp")
    base = least["peak_bytes"] - least["planned_bytes"] - least["weights_bytes"] - least["file_bytes"]
    print(f"\nPeak memory of `boundflow bound`, MiB, one thread. base: program, libc and their pages, "
          f"{mebibytes(base)} MiB, measured on\n{least['case']} with ibp; weights: of the graph, in float64; file: read "
          "while loading; plan: planned bytes and constants;\nrest: peak less these (below 0: the file was gone before "
          "the plan came)")
    rows = []
    for network in networks:
        if not network["property"]:
            print(f"skipped: {network['family']}/{network['name']} (no property)")
            continue
        for method in arguments.methods:
            try:
                row = peak_row(arguments, network, method)
            except support.Failed as error:
                print(f"skipped: {network['family']}/{network['name']} {method}: {error}")
                continue
            row["rest_bytes"] = (row["peak_bytes"] - base - row["weights_bytes"] - row["file_bytes"] -
                                 row["planned_bytes"])
            report.append(row)
            rows.append([row["case"][:46], method] + [mebibytes(row[key]) for key in (
                "peak_bytes", "planned_bytes", "weights_bytes", "file_bytes", "rest_bytes")])
    support.print_table(["network", "method", "peak", "plan", "weights", "file", "rest"], rows)
    if report:
        print(f"rest, median {mebibytes(support.median([row['rest_bytes'] for row in report]))}, largest "
              f"{mebibytes(max(row['rest_bytes'] for row in report))} MiB")


def part_peer(arguments, report):
    peer = support.peer()
    if isinstance(peer, str):
        print(f"\nskipped: the peer ({peer})")
        return
    print("\nMemory beside auto_LiRPA, MiB, one thread, float32. run: our planned bytes, all that a run takes; constants: our "
          "packed\nweights; process: our peak, everything included; peer: its peak while it computes above what it held "
          "before, which has\nits imports and its weights; held: what that was")
    rows = []
    arguments.dtype = "float32"
    for name, model, prop, _ in bench.find_cases(arguments):
        for method in arguments.methods:
            try:
                mine = bench.ours(arguments, model, prop, method, 1)
                other = bench.theirs(arguments, peer, model, prop, method, 1)
            except support.Failed as error:
                print(f"skipped: {name} {method}: {error}")
                continue
            row = {"case": name, "method": method, "run_bytes": mine["used_bytes"],
                   "constant_bytes": mine["planned_bytes"] - mine["used_bytes"], "peak_bytes": mine["peak_bytes"], "peer_bytes": other["delta_kb"] * 1024,
                   "peer_held_bytes": other["rss_before_kb"] * 1024}
            report.append(row)
            rows.append([name, method] + [mebibytes(row[key]) for key in (
                "run_bytes", "constant_bytes", "peak_bytes", "peer_bytes", "peer_held_bytes")] +
                        [f"{row['peer_bytes'] / row['run_bytes']:.1f}"])
            print(f"  done: {' '.join(rows[-1])}", file=sys.stderr, flush=True)
    support.print_table(["network", "method", "run", "constants", "process", "peer", "held", "peer / run"], rows)
    if report:
        ratios = [row["peer_bytes"] / row["run_bytes"] for row in report]
        print(f"peer / run, median {support.median(ratios):.1f}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundflow", default=support.default_binary(), help="the program (default %(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="comma separated (default %(default)s)")
    parser.add_argument("--methods", default=",".join(bench.METHODS), help="comma separated (default %(default)s)")
    parser.add_argument("--only", help="networks (family/name; for the peer bench.py's cases) that match this regular "
                                       "expression")
    parser.add_argument("--rounds", type=int, default=3, help="plans made of each kind (default 3)")
    parser.add_argument("--json", help="writes all figures to this file")
    arguments = parser.parse_args()
    arguments.parts, arguments.methods = arguments.parts.split(","), arguments.methods.split(",")
    for given, known, what in ((arguments.parts, PARTS, "part"), (arguments.methods, tuple(bench.METHODS), "method")):
        for word in given:
            if word not in known:
                parser.error(f"unknown {what} '{word}' (one of {', '.join(known)})")
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not os.access(arguments.boundflow, os.X_OK):
        parser.error(f"no program at {arguments.boundflow}: build first (make build) or give --boundflow")
    arguments.boundflow = os.path.abspath(arguments.boundflow)
    return arguments


def main():
    arguments = parse_arguments()
    report = {"machine": support.machine(), "plans": [], "peak": [], "peer": []}
    print(f"{report['machine']['cpu']}, {report['machine']['cores']} cores, load {report['machine']['load'][0]}")
    networks = find_networks(arguments) if {"plans", "peak"} & set(arguments.parts) else []
    try:
        if "plans" in arguments.parts and networks:
            part_plans(arguments, networks, report["plans"])
        if "peak" in arguments.parts and networks:
            part_peak(arguments, networks, report["peak"])
        if "peer" in arguments.parts:
            part_peer(arguments, report["peer"])
    except KeyboardInterrupt:
        print("stopped; what was measured so far follows only in the JSON file")
    report["load_at_end"] = support.machine()["load"]
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as out:
            json.dump(report, out, indent=1)
            out.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
