#!/usr/bin/env python3
"""The executors beside each other on the same boxes, in one run, one thread, fastest of N, taking turns.

Parts: networks  wall time of the bounds, planned bytes, whether the bounds are equal; kernel time of every task
       micro     kernels alone on generated networks: linear and convolution, backward (by lanes) and IBP
       compile   TVM: planning a network whose kernels are not compiled yet, and what they cost once they are
       permute   that no transpose runs in the network that has one

Aims (printed beside): tvm at least 10 times as fast as reference on every CROWN case, 1.5 times on every IBP
kernel, 0.9 times as fast as native on linear and convolution backward from 64 lanes on; a cold compile of an MNIST
network in at most 10 s, a warm start at most 1 ms slower than native's.

TVM is left out, with a line that says so, where `boundflow doctor` does not find it. Its kernels go to a folder of
this run (or --cache). The public networks are found by BOUNDFLOW_DATA: bench/README.md.
"""
import argparse
import datetime
import json
import os
import random
import re
import shutil
import struct
import sys
import tempfile
import time

import bench
import support

EXECUTORS = ("reference", "native", "tvm")
METHODS = ("ibp", "crown")
CASES = ("digits_mlp", "digits_cnn_permute", "rram_small", "acasxu 5-6x50-5", "mnist_fc 256x4", "oval21 base",
         "cifar10_resnet 2b")
AIMS = {"crown": 10.0, "ibp kernel": 1.5, "backward": 0.9, "cold": 10.0, "warm": 1e-3}

# Generated networks of one layer and a relu under a small head: name, shapes.
LINEARS = [("linear 784-256", 784, 256), ("linear 256-256", 256, 256), ("linear 512-512", 512, 512),
           ("linear 50-50", 50, 50)]
CONVS = [("conv 3x32x32-8 4x4 /2", 3, 32, 8, 4, 2, 1), ("conv 16x16x16-16 3x3", 16, 16, 16, 3, 1, 1),
         ("conv 16x16x16-32 4x4 /2", 16, 16, 32, 4, 2, 1), ("conv 64x8x8-64 3x3", 64, 8, 64, 3, 1, 1)]
LANES = (64, 128)


class Runner:
    """Runs the program; one environment for all."""

    def __init__(self, arguments, scratch):
        self.binary = arguments.boundflow
        self.budget = arguments.seconds
        self.rounds = arguments.rounds
        self.scratch = scratch
        self.cache = arguments.cache or os.path.join(scratch, "kernels")
        os.makedirs(self.cache, mode=0o700, exist_ok=True)

    def environment(self, cache=None):
        return dict(support.single_thread_environment(), BOUNDFLOW_TVM_CACHE=cache or self.cache)

    def run(self, command, model, box, method, executor, extra=(), cache=None, threads=1):
        return support.run_json([self.binary, command, model, *box, "--method", method, "--executor", executor,
                                 "--threads", str(threads), "--json", *extra], env=self.environment(cache))

    def bound(self, model, box, method, executor, repeats=1, **more):
        return self.run("bound", model, box, method, executor, ["--repeat", str(repeats)], **more)

    def traced(self, model, box, method, executor, repeats):
        """Events of every repeat, as lists of (task, kind, op, layer, lanes, seconds)."""
        path = os.path.join(self.scratch, "trace.json")
        self.run("bound", model, box, method, executor, ["--repeat", str(repeats), "--trace", path])
        with open(path, encoding="utf-8") as stream:
            listed = [event for event in json.load(stream) if event["ph"] == "X"]
        events = [(event["args"]["task"], event["cat"], event["name"], event["args"]["layer"], event["args"]["lanes"],
                   event["dur"] * 1e-6) for event in listed]
        if not events or len(events) % repeats:
            raise support.Failed(f"{len(events)} events of {repeats} runs")
        each = len(events) // repeats
        return [events[i * each:(i + 1) * each] for i in range(repeats)]

    def repeats(self, seconds, most=300):
        return max(1, min(most, int(self.budget / max(seconds, 1e-9))))


def executors_here(runner):
    """The executors that can be measured; the others are named."""
    try:
        doctor = support.run_json([runner.binary, "doctor", "--json"])
    except support.Failed as error:
        raise SystemExit(f"{runner.binary} does not run: {error}") from None
    bad = [finding for finding in doctor["findings"] if finding["group"] == "TVM" and finding["state"] != "ok"]
    if not bad:
        return list(EXECUTORS)
    print(f"skipped: the executor tvm ({bad[0]['name']}: {bad[0]['detail']})")
    return [name for name in EXECUTORS if name != "tvm"]


def best(old, new):
    """The faster of two answers."""
    return new if old is None or bench.fastest(new) < bench.fastest(old) else old


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
    _, model, prop, _ = case
    box = ["--vnnlib", prop]
    tasks, times = {}, {name: {} for name in here}
    for _ in range(runner.rounds):
        for name in here:
            count = min(20, runner.repeats(row[name + "_s"]))
            for events in runner.traced(model, box, method, name, count):
                sums = {}
                for task, kind, _, layer, _, seconds in events:
                    tasks[task] = (kind, layer)
                    sums[task] = sums.get(task, 0.0) + seconds
                for task, seconds in sums.items():
                    times[name][task] = min(seconds, times[name].get(task, seconds))
    return tasks, times


def measure(runner, case, method, here):
    """One row of the networks table: all executors in turn, |rounds| times."""
    name, model, prop, _ = case
    row = {"case": name, "method": method}
    found, counts = {}, {}
    box = ["--vnnlib", prop]
    for executor in here:
        first = runner.bound(model, box, method, executor)
        counts[executor] = runner.repeats(bench.fastest(first))
        found[executor] = first
    for _ in range(runner.rounds):
        for executor in here:
            found[executor] = best(found[executor], runner.bound(model, box, method, executor, counts[executor]))
    for executor, answer in found.items():
        row[executor + "_s"] = bench.fastest(answer)
        row[executor + "_bytes"] = answer["planned_bytes"]
    row["bounds"] = same_bounds(found)
    tasks, times = kernel_times(runner, case, method, here, row)
    row["tasks"] = [{"task": task, "kind": tasks[task][0], "layer": tasks[task][1],
                     **{name + "_s": times[name].get(task) for name in here}} for task in sorted(tasks)]
    for executor in here:
        row[executor + "_kernel_s"] = sum(times[executor].values())
    if "tvm" in here:
        row["tvm_ops"], row["other_ops"], row["fallbacks"] = fallbacks(runner, model, method)
    return row


def ratio(row, slow, fast, suffix="_s"):
    return row[slow + suffix] / row[fast + suffix] if slow + suffix in row and fast + suffix in row else None


def judged(value, aim, smallest=True):
    """A figure with what was aimed at, and whether it was met."""
    if value is None:
        return "-"
    met = value >= aim if smallest else value <= aim
    return f"{value:.2f} {'ok' if met else 'MISSED'}"


def print_tasks(row, here):
    """The tasks that take most of the time, and the sum of the others."""
    listed = sorted(row["tasks"], key=lambda task: -(task[here[-1] + "_s"] or 0))
    rows = [[f"{task['task']} {task['kind']}", task["layer"], *[microseconds(task[name + "_s"]) for name in here]]
            for task in listed[:5]]
    if listed[5:]:
        rows.append([f"{len(listed) - 5} more", "",
                     *[microseconds(sum(task[name + "_s"] or 0 for task in listed[5:])) for name in here]])
    print(f"\n{row['case']}, {row['method']}: kernel time of its tasks")
    support.print_table(["task, us", "layer", *here], rows)


def microseconds(seconds):
    return "-" if seconds is None else f"{seconds * 1e6:.1f}"


def find_cases(arguments):
    arguments.only = arguments.only or "^(" + "|".join(re.escape(name) for name in CASES) + ")$"
    listed = bench.find_cases(arguments)
    return sorted(listed, key=lambda case: CASES.index(case[0]) if case[0] in CASES else len(CASES))


def part_networks(runner, arguments, here, report):
    print(f"\nNetworks, {arguments.rounds} processes of each executor in turn, fastest repeat (ms)")
    print(f"ref/tvm: aim {AIMS['crown']:.0f} for crown; KiB: planned bytes; bounds: equal bits, or the largest "
          "difference over the width; ops: run by tvm, by another backend that has kernels")
    rows = []
    for case in find_cases(arguments):
        for method in METHODS:
            try:
                row = measure(runner, case, method, here)
            except support.Failed as error:
                report.append({"case": case[0], "method": method, "error": str(error)})
                rows.append([case[0], method, str(error)])
                continue
            report.append(row)
            speed = ratio(row, "reference", "tvm")
            rows.append([row["case"], method, *[support.milliseconds(row[name + "_s"]) for name in here],
                         judged(speed, AIMS["crown"]) if method == "crown" else f"{speed:.2f}" if speed else "-",
                         f"{ratio(row, 'native', 'tvm'):.2f}" if "tvm" in here else "-",
                         "/".join(f"{row[name + '_bytes'] / 1024:.0f}" for name in here), row["bounds"],
                         f"{row['tvm_ops']}+{row['other_ops']}" if "tvm" in here else "-"])
            print(f"  done: {' '.join(rows[-1][:5])}", file=sys.stderr, flush=True)
    support.print_table(["case", "method", *here, "ref/tvm", "native/tvm", "KiB", "bounds", "ops"],
                        [row + [""] * (7 + len(here) - len(row)) for row in rows])
    for row in report:
        for reason in row.get("fallbacks", []):
            print(f"  {row['case']} {row['method']}: not on tvm: {reason}")
    for row in report:
        if "tasks" in row:
            print_tasks(row, here)


def numbers(generator, count):
    return ", ".join(f"{generator.uniform(-1, 1):.6g}" for _ in range(count))


def write_npy(path, rows, columns, generator):
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d, %d), }" % (rows, columns)
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    with open(path, "wb") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        for _ in range(rows):
            stream.write(struct.pack("<%dd" % columns, *(generator.uniform(-1, 1) for _ in range(columns))))


def write_network(path, generator, body, inputs, flat, outputs):
    """input -> the layer "a" -> relu -> a head; text of docs/ir.md."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(f'graph "micro" input "x" output "y" {{\n    %0 = input "x" : f32{inputs}\n    %1 = {body}\n')
        stream.write(f'    %2 = relu(%1) "r" : [1,{flat}]\n' if "conv" not in body else
                     f'    %2 = relu(%1) "r" : {outputs}\n    %3 = reshape(%2) "f" : [1,{flat}]\n')
        last = 2 if "conv" not in body else 3
        stream.write(f'    %{last + 1} = linear(%{last}) "head" {{k={flat}, n=256}} : [1,256]\n'
                     f'        weight=[{numbers(generator, flat * 256)}]\n    output %{last + 1}\n}}\n')


def generated(scratch):
    """(name, model, spec arguments by lanes, multiply-adds) of every generated network."""
    generator = random.Random(5)
    made = []
    for number, shape in enumerate(LINEARS + CONVS):
        name, path = shape[0], os.path.join(scratch, f"micro{number}.bfir")
        if len(shape) == 3:
            k, n = shape[1:]
            inputs, flat, outputs, work, count = f"[1,{k}]", n, f"[1,{n}]", k * n, k
            body = f'linear(%0) "a" {{k={k}, n={n}}} : [1,{n}] weight=[{numbers(generator, k * n)}]'
        else:
            c, size, d, kernel, stride, pad = shape[1:]
            out = (size + 2 * pad - kernel) // stride + 1
            inputs, outputs, flat, count = f"[1,{c},{size},{size}]", f"[1,{d},{out},{out}]", d * out * out, c * size * size
            work = flat * c * kernel * kernel
            body = (f'conv(%0) "a" {{in=[{c}, {size}, {size}], out=[{d}, {out}, {out}], kernel=[{kernel}, {kernel}], '
                    f'stride=[{stride}, {stride}], pad=[{pad}, {pad}]}} : {outputs} '
                    f'weight=[{numbers(generator, d * c * kernel * kernel)}]')
        write_network(path, generator, body, inputs, flat, outputs)
        centre = os.path.join(scratch, f"micro{number}.npy")
        write_npy(centre, 1, count, generator)
        made.append((name, path, centre, work))
    return made


def kernel_row(runner, path, box, method, here, wanted):
    """Fastest time of the events that |wanted| accepts, added up within a run: {executor: seconds}."""
    found, lanes = {}, 0
    for executor in here:
        runner.bound(path, box, method, executor)
    for _ in range(runner.rounds):
        for executor in here:
            for events in runner.traced(path, box, method, executor, 10 if executor == "reference" else 50):
                listed = [event for event in events if wanted(event)]
                lanes = max((event[4] for event in listed), default=0)
                tiles = max(1, sum(event[4] == lanes and event[2].startswith(("seed", "interval_source"))
                                   for event in events))
                seconds = sum(event[5] for event in listed if event[4] == lanes) / tiles
                found[executor + "_s"] = min(seconds, found.get(executor + "_s", seconds))
    return {**found, "lanes": lanes}


def part_micro(runner, here, report):
    print("\nKernels on generated networks, us of one call, fastest (a tile of that many lanes; the relu on the way counts "
          "in backward rows, because tvm may fuse it)")
    print(f"aims: native/tvm {AIMS['backward']} for backward from 64 lanes, ref/tvm {AIMS['ibp kernel']} for IBP")
    rows = []
    for name, path, centre, work in generated(runner.scratch):
        box = ["--center", centre, "--eps", "0.1"]
        kinds = [("ibp", 1, [])]
        for lanes in LANES:
            spec = os.path.join(runner.scratch, f"spec{lanes}.npy")
            if not os.path.exists(spec):
                write_npy(spec, lanes // 2, 256, random.Random(lanes))
            kinds.append(("crown-ibp", lanes, ["--spec", spec]))
        for method, lanes, spec in kinds:
            def wanted(event, method=method):
                if method == "ibp":
                    return event[3] == "a"
                return event[3] in ("a", "r") and event[2].startswith("backward")
            try:
                row = kernel_row(runner, path, box + spec, method, here, wanted)
            except support.Failed as error:
                report.append({"case": name, "method": method, "error": str(error)})
                print(f"  {name} {method}: {error}")
                continue
            row.update(case=name, method=method, flops=(6 if method == "ibp" else 2 * row["lanes"]) * work)
            if lanes > 1 and row["lanes"] != lanes and any(
                    old["case"] == name and old["lanes"] == row["lanes"] for old in report if "lanes" in old):
                continue  # the plan cuts these lanes into tiles that were measured already
            report.append(row)
            slow, beside = ratio(row, "reference", "tvm"), ratio(row, "native", "tvm")
            rows.append([name, "ibp" if method == "ibp" else "backward", row["lanes"],
                         *[microseconds(row[executor + "_s"]) for executor in here],
                         f"{row['flops'] / row[here[-1] + '_s'] * 1e-9:.1f}",
                         judged(slow, AIMS["ibp kernel"]) if method == "ibp" else f"{slow:.1f}" if slow else "-",
                         judged(beside, AIMS["backward"]) if method != "ibp" and row["lanes"] >= 64 else
                         f"{beside:.2f}" if beside else "-"])
    support.print_table(["kernel", "kind", "lanes", *here, f"GF/s {here[-1]}", "ref/tvm", "native/tvm"], rows)


def part_compile(runner, arguments, here, report):
    print(f"\nKernels of a network: cold compile (aim {AIMS['cold']:.0f} s), warm start over native's (aim "
          f"{AIMS['warm'] * 1e3:.0f} ms); reading and planning, fastest")
    if "tvm" not in here:
        print("skipped: no tvm")
        return
    rows = []
    for case in find_cases(arguments):
        name, model, prop, _ = case
        box, cold, warm = ["--vnnlib", prop], [], {"native": [], "tvm": []}
        cache = os.path.join(runner.scratch, "cold")
        try:
            for _ in range(runner.rounds):
                shutil.rmtree(cache, ignore_errors=True)
                os.makedirs(cache, mode=0o700)
                start = time.perf_counter()
                runner.bound(model, box, "crown", "tvm", cache=cache, threads=arguments.threads)
                cold.append(time.perf_counter() - start)
            for _ in range(10):
                for executor in warm:
                    warm[executor].append(runner.bound(model, box, "crown", executor, cache=cache)["load_s"])
        except support.Failed as error:
            report.append({"case": name, "error": str(error)})
            print(f"  {name}: {error}")
            continue
        row = {"case": name, "kernels": len(os.listdir(cache)), "cold_s": min(cold), "native_load_s": min(warm["native"]),
               "tvm_load_s": min(warm["tvm"]),
               "bytes": sum(entry.stat().st_size for entry in os.scandir(cache))}
        row["warm_s"] = row["tvm_load_s"] - row["native_load_s"]
        report.append(row)
        rows.append([name, row["kernels"], f"{row['bytes'] / 1024:.0f}", judged(row["cold_s"], AIMS["cold"], False),
                     f"{row['native_load_s'] * 1e3:.2f}", f"{row['tvm_load_s'] * 1e3:.2f}",
                     judged(row["warm_s"] * 1e3, AIMS["warm"] * 1e3, False)])
    support.print_table(["case, crown", "kernels", "KiB", "cold s", "native load ms", "tvm load ms", "warm over native, ms"],
                        rows)


def part_permute(runner, here, report):
    print("\nThe network with a transpose: ops that move data")
    model = os.path.join(support.ROOT, "models", "digits_cnn_permute.onnx")
    box = ["--vnnlib", os.path.join(support.ROOT, "models", "vnnlib", "digits_cnn_permute_robust_eps0.015.vnnlib")]
    for method in METHODS:
        for executor in here:
            events = runner.traced(model, box, method, executor, 1)[0]
            moving = sorted({f"{event[2]} ({event[3]})" for event in events
                             if re.search("permute|transpose|structural|sparse", event[2])})
            report.append({"method": method, "executor": executor, "moving": moving})
            print(f"  {method} {executor}: {', '.join(moving) if moving else 'none of ' + str(len(events))}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundflow", default=support.default_binary(), help="the program (default %(default)s)")
    parser.add_argument("--parts", default="networks,micro,compile,permute", help="comma separated (default %(default)s)")
    parser.add_argument("--only", help="networks whose name matches this regular expression (default: seven of them)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each executor per row, in turn (default 3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of repeats in one process (default 1)")
    parser.add_argument("--threads", type=int, default=2, help="of cold compiles; all else has one (default 2)")
    parser.add_argument("--cache", help="folder of compiled kernels (default: a fresh one)")
    parser.add_argument("--json", help="also write everything to this file")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    parts = arguments.parts.split(",")
    report = {"date": datetime.datetime.now().isoformat(timespec="seconds"), "machine": support.machine(), "aims": AIMS}
    print(f"{report['machine']['cpu']}, {report['machine']['cores']} cores, load {report['machine']['load']}")
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(arguments, scratch)
        here = executors_here(runner)
        for part, measured in (("networks", lambda rows: part_networks(runner, arguments, here, rows)),
                               ("micro", lambda rows: part_micro(runner, here, rows)),
                               ("compile", lambda rows: part_compile(runner, arguments, here, rows)),
                               ("permute", lambda rows: part_permute(runner, here, rows))):
            if part in parts:
                measured(report.setdefault(part, []))
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as stream:
            json.dump(report, stream, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
