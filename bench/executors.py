#!/usr/bin/env python3
"""The executors beside each other on the same boxes, in one run, one thread, fastest of N, taking turns.

Parts: networks  wall time of the bounds, planned bytes, whether the bounds are equal; kernel time of every task
       micro     kernels alone (bench/micro/executors.c): linear and convolution, backward by lanes, IBP, relu
       compile   TVM: planning a network whose kernels are not compiled yet, and what they cost once they are
       permute   that no transpose runs in the network that has one

Aims (printed beside): tvm at least 10 times as fast as reference on every CROWN case, 1.5 times on every IBP
kernel, 0.9 times as fast as native on linear and convolution backward from 64 lanes on; a cold compile of an MNIST
network in at most 10 s, a warm start at most 1 ms slower than native's.

TVM is left out, with a line that says so, where `boundflow doctor` does not find it. Its kernels go to a folder of
this run (or --cache). The public networks are found by BOUNDFLOW_DATA: bench/README.md.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import cases
import support

EXECUTORS = ("reference", "native", "tvm", "auto")  # auto after tvm, whose compiled kernels it picks from
METHODS = ("ibp", "crown")
CASES = ("digits_mlp", "digits_cnn_permute", "rram_small", "acasxu", "mnist_fc 256x4", "oval21 base", "resnet_2b")
AIMS = {"crown": 10.0, "ibp kernel": 1.5, "backward": 0.9, "cold": 10.0, "warm": 1e-3}


class Runner:
    """Runs the program; one environment for all."""

    def __init__(self, arguments, scratch):
        self.binary = arguments.boundflow
        self.budget = arguments.seconds
        self.rounds = arguments.rounds
        self.scratch = scratch
        self.cache = arguments.cache or os.path.join(scratch, "kernels")
        os.makedirs(self.cache, mode=0o700, exist_ok=True)
        listed, missing = cases.find(CASES, scratch)
        self.cases = [case for case in listed if re.search(arguments.only or "", case.name)]
        for text in missing:
            print(f"skipped: {text}")

    def environment(self, cache=None):
        return dict(support.single_thread_environment(), BOUNDFLOW_TVM_CACHE=cache or self.cache)

    def bound(self, case, method, executor, *extra, cache=None):
        return support.bound(self.binary, case.model, case.box, method, "--executor", executor, *extra,
                             env=self.environment(cache))

    def traced(self, case, method, executor, repeats):
        """Events of every repeat, as lists of (task, kind, op, layer, lanes, seconds)."""
        path = os.path.join(self.scratch, "trace.json")
        self.bound(case, method, executor, "--repeat", str(repeats), "--trace", path)
        with open(path, encoding="utf-8") as stream:
            listed = [event for event in json.load(stream) if event["ph"] == "X"]
        events = [(event["args"]["task"], event["cat"], event["name"], event["args"]["layer"], event["args"]["lanes"],
                   event["dur"] * 1e-6) for event in listed]
        if not events or len(events) % repeats:
            raise support.Failed(f"{len(events)} events of {repeats} runs")
        each = len(events) // repeats
        return [events[i * each:(i + 1) * each] for i in range(repeats)]


def executors_here(runner):
    """The executors that can be measured; the others are named."""
    try:
        doctor = support.run_json([runner.binary, "doctor", "--json"])
    except support.Failed as error:
        raise SystemExit(f"{runner.binary} does not run: {error}") from None
    listed = subprocess.run([runner.binary, "help", "bound"], capture_output=True, text=True).stdout
    known = re.search(r"--executor ([a-z|]+)", listed)[1].split("|")
    bad = [finding for finding in doctor["findings"] if finding["group"] == "TVM" and finding["state"] != "ok"]
    if bad:
        print(f"skipped: the executors tvm and auto ({bad[0]['name']}: {bad[0]['detail']})")
    return [name for name in EXECUTORS if name in known and not (bad and name in ("tvm", "auto"))]


def same_bounds(answers):
    """Whether all executors gave the same bits, else the largest difference over the width."""
    first, apart = None, 0.0
    for answer in answers.values():
        bounds = (answer["lower"], answer["upper"])
        first = first or bounds
        if bounds == first:
            continue
        for low, high, other_low, other_high in zip(*first, *bounds):
            apart = max(apart, (abs(low - other_low) + abs(high - other_high)) / max(high - low, 1e-300))
    return "same" if apart == 0 else f"{apart:.1e}"


def fallbacks(runner, model, method):
    """(ops that tvm runs, ops that another backend runs though it has a kernel, reasons)."""
    answer = support.run_json([runner.binary, "plan", model, "--method", method, "--executor", "tvm", "--threads", "1",
                               "--report", "lowering", "--json"], env=runner.environment())
    mine = [row for row in answer["lowering"] if row["backend"] == "tvm"]
    others = [row for row in answer["lowering"] if row["backend"] not in ("tvm", "scalar")]
    return len(mine), len(others), sorted({row["fallback"] for row in others if row["fallback"]})


def kernel_times(runner, case, method, here, row):
    """Fastest sum of kernel times per task: {executor: {task: seconds}}, and what the tasks are."""
    tasks, times = {}, {name: {} for name in here}
    for _ in range(runner.rounds):
        for name in here:
            count = support.repeats(runner.budget, row[name + "_s"], 20)
            for events in runner.traced(case, method, name, count):
                sums = {}
                for task, kind, _, layer, _, seconds in events:
                    tasks[task] = (kind, layer)
                    sums[task] = sums.get(task, 0.0) + seconds
                for task, seconds in sums.items():
                    times[name][task] = min(seconds, times[name].get(task, seconds))
    return tasks, times


def measure(runner, case, method, here):
    """One row of the networks table: all executors in turn, |rounds| times."""
    row = {"case": case.name, "method": method}
    sides = support.in_turn(runner.rounds, {
        name: support.bound_side(runner.binary, case.model, case.box, method, runner.budget, "--executor", name,
                                 env=runner.environment()) for name in here})
    for executor, side in sides.items():
        if side.error:
            raise support.Failed(side.error)
        row[executor + "_s"] = side.seconds
        row[executor + "_bytes"] = side.best["planned_bytes"]
    row["bounds"] = same_bounds({name: side.best for name, side in sides.items()})
    tasks, times = kernel_times(runner, case, method, here, row)
    row["tasks"] = [{"task": task, "kind": tasks[task][0], "layer": tasks[task][1],
                     **{name + "_s": times[name].get(task) for name in here}} for task in sorted(tasks)]
    for executor in here:
        row[executor + "_kernel_s"] = sum(times[executor].values())
    if "tvm" in here:
        row["tvm_ops"], row["other_ops"], row["fallbacks"] = fallbacks(runner, case.model, method)
    return row


def ratio(row, slow, fast, suffix="_s"):
    return row[slow + suffix] / row[fast + suffix] if slow + suffix in row and fast + suffix in row else None


def judged(value, aim, relation=">="):
    """A figure with what was aimed at, and whether it was met."""
    row = {"value": value}
    support.aim(row, "value", relation, aim)
    return support.judged(row, "value", "{:.2f}")


def print_tasks(row, here):
    """The tasks that take most of the time, and the sum of the others."""
    listed = sorted(row["tasks"], key=lambda task: -(task[here[-1] + "_s"] or 0))
    rows = [[f"{task['task']} {task['kind']}", task["layer"], *[support.microseconds(task[name + "_s"]) for name in here]]
            for task in listed[:5]]
    if listed[5:]:
        rows.append([f"{len(listed) - 5} more", "",
                     *[support.microseconds(sum(task[name + "_s"] or 0 for task in listed[5:])) for name in here]])
    print(f"\n{row['case']}, {row['method']}: kernel time of its tasks")
    support.print_table(["task, us", "layer", *here], rows)


def part_networks(runner, here, report):
    print(f"\nNetworks, {runner.rounds} processes of each executor in turn, fastest repeat (ms)")
    print(f"ref/tvm: aim {AIMS['crown']:.0f} for crown; KiB: planned bytes; bounds: equal bits, or the largest "
          "difference over the width; ops: run by tvm, by another backend that has kernels")
    rows = []
    for case in runner.cases:
        for method in METHODS:
            try:
                row = measure(runner, case, method, here)
            except support.Failed as error:
                report.append({"case": case.name, "method": method, "error": str(error)})
                rows.append([case.name, method, str(error)])
                continue
            report.append(row)
            speed = ratio(row, "reference", "tvm")
            rows.append([row["case"], method, *[support.milliseconds(row[name + "_s"]) for name in here],
                         judged(speed, AIMS["crown"]) if method == "crown" else f"{speed:.2f}" if speed else "-",
                         *[f"{ratio(row, 'native', name):.2f}" for name in here[2:]],
                         "/".join(f"{row[name + '_bytes'] / 1024:.0f}" for name in here), row["bounds"],
                         f"{row['tvm_ops']}+{row['other_ops']}" if "tvm" in here else "-"])
            print(f"  done: {' '.join(rows[-1][:5])}", file=sys.stderr, flush=True)
    header = ["case", "method", *here, "ref/tvm", *[f"native/{name}" for name in here[2:]], "KiB", "bounds", "ops"]
    support.print_table(header, [row + [""] * (len(header) - len(row)) for row in rows])
    for row in report:
        for reason in row.get("fallbacks", []):
            print(f"  {row['case']} {row['method']}: not on tvm: {reason}")
    for row in report:
        if "tasks" in row:
            print_tasks(row, here)


def part_micro(runner, here, report):
    print("\nKernels alone, us of one call, fastest; lanes of a linear or convolution layer on the way back; "
          "fused: and the relu below it, in one pass on tvm")
    print(f"aims: native/tvm {AIMS['backward']} for backward from 64 lanes, ref/tvm {AIMS['ibp kernel']} for ibp")
    try:
        report.extend(support.run_lines([support.build_micro(runner.binary, "executors")], env=runner.environment()))
    except support.Failed as error:
        print(f"skipped: {error}")
        return
    rows, alone = [], [name for name in here if name != "auto"]
    for row in report:
        slow, beside = ratio(row, "reference", "tvm"), ratio(row, "native", "tvm")
        rows.append([row["kernel"], row["kind"], row["lanes"],
                     *[support.microseconds(row.get(name + "_s")) for name in alone],
                     *[f"{row['flops'] / row[name + '_s'] * 1e-9:.1f}" if name + "_s" in row else "-"
                       for name in alone[1:]],
                     judged(slow, AIMS["ibp kernel"]) if row["kind"] == "ibp" else f"{slow:.1f}" if slow else "-",
                     judged(beside, AIMS["backward"]) if row["kind"] == "backward" and row["lanes"] >= 64 else
                     f"{beside:.2f}" if beside else "-", "same" if row["same"] else "DIFFERENT"])
    support.print_table(["kernel", "kind", "lanes", *alone, *[f"GF/s {name}" for name in alone[1:]], "ref/tvm",
                         "native/tvm", "bits"], rows)
    for reason in sorted({row["reason"] for row in report if "reason" in row and "tvm" in here}):
        print(f"  not on tvm: {reason}")


def compile_row(runner, arguments, program, case):
    """Cold: fastest of |rounds| processes, each with an empty folder of kernels. Warm: plans in one process."""
    cold, cache = [], os.path.join(runner.scratch, "cold")
    for _ in range(runner.rounds):
        shutil.rmtree(cache, ignore_errors=True)
        os.makedirs(cache, mode=0o700)
        start = time.perf_counter()
        runner.bound(case, "crown", "tvm", "--threads", str(arguments.threads), cache=cache)
        cold.append(time.perf_counter() - start)
    row = support.run_json([program, "plan", case.model], env=runner.environment(cache))
    files = [entry.stat().st_size for entry in os.scandir(cache) if entry.name.endswith(".so")]
    return {"case": case.name, "kernels": len(files), "bytes": sum(files), "cold_s": min(cold), **row,
            "warm_s": row["tvm_s"] - row["native_s"]}


def part_compile(runner, arguments, here, report):
    print(f"\nKernels of a network: cold compile, a whole process on {arguments.threads} threads (aim "
          f"{AIMS['cold']:.0f} s); warm start, planning with all kernels compiled over native's (aim "
          f"{AIMS['warm'] * 1e3:.0f} ms); fastest")
    if "tvm" not in here:
        print("skipped: no tvm")
        return
    rows = []
    for case in runner.cases:
        try:
            row = compile_row(runner, arguments, support.build_micro(runner.binary, "executors"), case)
        except support.Failed as error:
            report.append({"case": case.name, "error": str(error)})
            print(f"  {case.name}: {error}")
            continue
        report.append(row)
        rows.append([row["case"], row["kernels"], f"{row['bytes'] / 1024:.0f}", judged(row["cold_s"], AIMS["cold"], "<="),
                     f"{row['native_s'] * 1e3:.2f}", f"{row['tvm_s'] * 1e3:.2f}",
                     judged(row["warm_s"] * 1e3, AIMS["warm"] * 1e3, "<=")])
    support.print_table(["case, crown", "kernels", "KiB", "cold s", "native plan ms", "tvm plan ms",
                         "warm over native, ms"], rows)


def part_permute(runner, here, report):
    print("\nThe network with a transpose: ops that move data")
    (case,), _ = cases.find(("digits_cnn_permute",), runner.scratch)
    for method in METHODS:
        for executor in here:
            events = runner.traced(case, method, executor, 1)[0]
            moving = sorted({f"{event[2]} ({event[3]})" for event in events
                             if re.search("permute|transpose|structural|sparse", event[2])})
            report.append({"method": method, "executor": executor, "moving": moving})
            print(f"  {method} {executor}: {', '.join(moving) if moving else 'none of ' + str(len(events))}")


def parse_arguments():
    parser = support.parser(__doc__)
    parser.add_argument("--parts", default="networks,micro,compile,permute", help="comma separated (default %(default)s)")
    parser.add_argument("--only", help="networks whose name matches this regular expression, of the seven")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each executor per row, in turn (default 3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of repeats in one process (default 1)")
    parser.add_argument("--threads", type=int, default=2, help="of cold compiles; all else has one (default 2)")
    parser.add_argument("--cache", help="folder of compiled kernels (default: a fresh one)")
    return support.parse(parser)


def main():
    arguments = parse_arguments()
    parts = arguments.parts.split(",")
    report = support.new_report(aims=AIMS)
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(arguments, scratch)
        here = executors_here(runner)
        for part, measured in (("networks", lambda rows: part_networks(runner, here, rows)),
                               ("micro", lambda rows: part_micro(runner, here, rows)),
                               ("compile", lambda rows: part_compile(runner, arguments, here, rows)),
                               ("permute", lambda rows: part_permute(runner, here, rows))):
            if part in parts:
                measured(report.setdefault(part, []))
    support.write_json(report, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
