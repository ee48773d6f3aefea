#!/usr/bin/env python3
"""Runs `boundflow verify` on every public instance and on our own models, and judges the answers.

Verdicts are compared with verdicts.csv (wrong: sat where unsat is known, or the reverse), every counterexample
is replayed in onnxruntime (bench/witness.py, under BOUNDFLOW_PEER_PYTHON or this interpreter, whichever has it).
Rows are written to --csv as they finish; a table per family comes at the end, and one beside what the
competition's tools published (on other hardware, often a GPU, start-up included). Exit code 1: a wrong verdict,
an invalid counterexample, or a crash.
"""
import argparse
import concurrent.futures
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

import support

VERDICTS = ("sat", "unsat", "unknown", "timeout")
COLUMNS = ["family", "onnx", "vnnlib", "known", "limit_s", "verdict", "wrong", "by", "wall_s", "time_s", "nodes",
           "witness", "witness_detail", "exit", "message"]
TOOLS = ("alpha_beta_crown", "neuralsat", "pyrat", "nnenum", "marabou", "cora", "mn_bab", "verinet", "oval")


class Replay:
    """The service of witness.py in a process of its own."""

    def __init__(self):
        self.lock = threading.Lock()
        self.process = self.why = None
        script = os.path.join(support.ROOT, "bench", "witness.py")
        for python in (os.environ.get("BOUNDFLOW_PEER_PYTHON"), sys.executable):
            if python and self.can(python):
                self.process = subprocess.Popen([python, script, "--serve"], stdin=subprocess.PIPE,
                                                stdout=subprocess.PIPE, text=True)
                return
        self.why = "no interpreter with numpy and onnxruntime"

    @staticmethod
    def can(python):
        try:
            return subprocess.run([python, "-c", "import numpy, onnxruntime"], capture_output=True,
                                  check=False).returncode == 0
        except OSError:
            return False

    def check(self, model, prop, results):
        if not self.process:
            return {"verdict": "unchecked"}
        with self.lock:
            try:
                print(json.dumps([model, prop, results]), file=self.process.stdin, flush=True)
                line = self.process.stdout.readline()
            except OSError:
                line = ""
        return json.loads(line) if line else {"verdict": "unchecked", "why": "the replay process ended"}

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return [row for row in csv.reader(stream) if row]


def known_verdicts(folder):
    """{(onnx, vnnlib): row as a dict} of verdicts.csv, or of our models' expected.csv, which has no header."""
    for name in ("verdicts.csv", "expected.csv"):
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            rows = read_rows(path)
            header = rows[0] if "verdict" in rows[0] else ["onnx", "vnnlib", "verdict"]
            return {(row[0], row[1]): dict(zip(header, row)) for row in rows}
    return {}


def published(row):
    """{tool: seconds} of those that decided the instance ("unsat:6.20@2023")."""
    times = {}
    for tool in TOOLS:
        verdict, _, rest = row.get(tool + "_time", "").partition(":")
        if verdict in ("sat", "unsat") and verdict == row.get("verdict"):
            times[tool] = float(rest.split("@")[0])
    return times


def folders(arguments):
    """(family, folder) pairs to run; what is missing is said."""
    found = [("models", os.path.join(support.ROOT, "models"))]
    data = support.data_dir()
    if data:
        base = os.path.join(data, "vnncomp")
        found += [(name, os.path.join(base, name)) for name in sorted(os.listdir(base))]
    else:
        print("skipped: the public instances (no BOUNDFLOW_DATA, no ../shared/data)")
    if arguments.families:
        wanted = arguments.families.split(",")
        unknown = set(wanted) - {name for name, _ in found}
        if unknown:
            sys.exit(f"instances.py: no family {', '.join(sorted(unknown))}")
        found = [pair for pair in found if pair[0] in wanted]
    return [pair for pair in found if os.path.isfile(os.path.join(pair[1], "instances.csv"))]


def instances(arguments):
    listed = []
    for family, folder in folders(arguments):
        known = known_verdicts(folder)
        rows = read_rows(os.path.join(folder, "instances.csv"))[::arguments.every][:arguments.limit]
        for onnx, vnnlib, *rest in rows:
            row = known.get((onnx, vnnlib), {})
            own = float(rest[0]) if rest and arguments.own_timeouts else arguments.timeout
            listed.append({"family": family, "folder": folder, "onnx": onnx, "vnnlib": vnnlib,
                           "known": row.get("verdict", "unknown"), "limit_s": min(own, arguments.timeout),
                           "published": published(row)})
    return listed


def read_answer(stdout):
    """(verdict, how it was found, seconds the program counted itself, nodes) of the JSON object, or of the first line."""
    first = stdout.split("\n", 1)[0].strip()
    answer = {}
    for line in stdout.splitlines():
        if line.startswith("{"):
            try:
                answer = json.loads(line)
            except ValueError:
                return "error", "", "", ""
    verdict = answer.get("verdict", first)
    if verdict not in VERDICTS:
        return "error", "", "", ""
    guess = {"sat": "attack", "unsat": "bounds"}.get(verdict, "")
    return verdict, str(answer.get("decided_by") or guess), answer.get("time_s", ""), answer.get("nodes", "")


def run(arguments, replay, instance):
    model = os.path.join(instance["folder"], instance["onnx"])
    prop = os.path.join(instance["folder"], instance["vnnlib"])
    row = {key: instance[key] for key in ("family", "onnx", "vnnlib", "known", "limit_s", "published")}
    limit = instance["limit_s"]
    with tempfile.TemporaryDirectory() as scratch:
        results = os.path.join(scratch, "results.txt")
        command = [arguments.boundflow, "verify", prop, "--network", model, "--timeout", f"{limit:g}",
                   "--results-file", results, "--json", *arguments.extra]
        start = time.perf_counter()
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit + arguments.grace)
            stdout, stderr, row["exit"] = done.stdout, done.stderr, done.returncode
        except subprocess.TimeoutExpired:
            stdout, stderr, row["exit"] = "", f"killed {arguments.grace:g} s after its time limit", "killed"
        row["wall_s"] = f"{time.perf_counter() - start:.4f}"
        row["verdict"], row["by"], row["time_s"], row["nodes"] = read_answer(stdout)
        row["wrong"] = int({row["verdict"], row["known"]} == {"sat", "unsat"})
        if row["verdict"] == "error":
            row["message"] = (stderr.strip() or stdout.strip() or "no output").splitlines()[-1][:300]
        if row["verdict"] == "sat":
            checked = replay.check(model, prop, results)
            row["witness"] = checked.pop("verdict")
            row["witness_detail"] = json.dumps(checked)
    return row


def crashed(row):
    """Ended by a signal, or had to be killed."""
    return row["exit"] == "killed" or (isinstance(row["exit"], int) and row["exit"] < 0)


def summary(family, rows):
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in (*VERDICTS, "error")}
    solved = [row for row in rows if row["verdict"] in ("sat", "unsat")]
    seconds = [float(row["wall_s"]) for row in rows]
    by_attack = sum("attack" in row["by"] for row in solved)
    witnesses = [sum(row.get("witness") == kind for row in rows)
                 for kind in ("exact", "nearest", "marginal", "invalid")]
    return [family, len(rows), *counts.values(), sum(row["wrong"] for row in rows), by_attack, len(solved) - by_attack,
            "/".join(map(str, witnesses)), f"{support.median(seconds):.3f}", f"{sum(seconds):.1f}"]


def compare(family, rows):
    """Instances decided, ours and the tools', and seconds on those that both we and alpha-beta-CROWN decided."""
    ours = [row for row in rows if row["verdict"] in ("sat", "unsat") and not row["wrong"]]
    solved = {tool: sum(tool in row["published"] for row in rows) for tool in TOOLS}
    best = max(TOOLS, key=lambda tool: solved[tool])
    both = [row for row in ours if TOOLS[0] in row["published"]]
    mine = [float(row["wall_s"]) for row in both]
    theirs = [row["published"][TOOLS[0]] for row in both]
    return [family, len(rows), sum(row["known"] in ("sat", "unsat") for row in rows), len(ours), solved[TOOLS[0]],
            f"{solved[best]} {best}" if solved[best] else "",
            *(f"{support.median(times):.2f} / {sum(times):.0f}" if times else "" for times in (mine, theirs))]


def print_published(rows):
    families = [name for name in dict.fromkeys(row["family"] for row in rows) if name != "models"]
    if not families:
        return
    print("\nDecided, beside the answers that the competition's tools published (on other hardware, start-up included):")
    support.print_table(["family", "instances", "known", "ours", "a,b-CROWN", "most", "ours s, median / total",
                         "a,b-CROWN s"],
                        [compare(name, [row for row in rows if row["family"] == name]) for name in families])


def print_summary(rows):
    families = list(dict.fromkeys(row["family"] for row in rows))
    header = ["family", "instances", *VERDICTS, "error", "wrong", "attack", "bounds", "witness e/n/m/i", "median s",
              "total s"]
    table = [summary(family, [row for row in rows if row["family"] == family]) for family in families]
    if len(families) > 1:
        table.append(summary("all", rows))
    support.print_table(header, table)
    for row in rows:
        if row["wrong"] or row.get("witness") == "invalid" or crashed(row):
            print(f"LOOK: {row['family']} {row['onnx']} {row['vnnlib']}: {row['verdict']}, known {row['known']}; "
                  f"{row.get('witness_detail') or row.get('message') or ''}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--boundflow", default=support.default_binary(), help="the program (default %(default)s)")
    parser.add_argument("--families", help="comma separated; `models` are our own (default: all)")
    parser.add_argument("--timeout", type=float, default=20, help="seconds per instance (default 20)")
    parser.add_argument("--own-timeouts", action="store_true",
                        help="the time limit that the instance has, at most --timeout")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th instance of each family")
    parser.add_argument("--grace", type=float, default=10, help="seconds after which a late process is killed")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time (default 1; times need 1)")
    parser.add_argument("--limit", type=int, help="at most so many instances of each family")
    parser.add_argument("--csv", metavar="FILE", help="result rows, as they finish")
    parser.add_argument("extra", nargs="*", help="after --: further options for `boundflow verify`")
    arguments = parser.parse_args()
    if not os.access(arguments.boundflow, os.X_OK):
        parser.error(f"no program at {arguments.boundflow}: build first (make build) or give --boundflow")
    if arguments.jobs < 1 or arguments.every < 1 or arguments.timeout <= 0:
        parser.error("--jobs and --every must be at least 1 and --timeout positive")
    arguments.boundflow = os.path.abspath(arguments.boundflow)
    return arguments


def main():
    arguments = parse_arguments()
    listed = instances(arguments)
    if not listed:
        print("nothing to run")
        return 0
    replay = Replay()
    if replay.why:
        print(f"skipped: the replay of counterexamples ({replay.why})")
    rows = []
    with open(arguments.csv or os.devnull, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            futures = [pool.submit(run, arguments, replay, instance) for instance in listed]
            for future in concurrent.futures.as_completed(futures):
                row = future.result()
                rows.append(row)
                writer.writerow(row)
                stream.flush()
                print(f"[{len(rows)}/{len(listed)}] {row['family']} {row['vnnlib']}: {row['verdict']}"
                      f"{' WRONG' if row['wrong'] else ''} {row['wall_s']} s", file=sys.stderr, flush=True)
    replay.close()
    print_summary(rows)
    print_published(rows)
    return int(any(row["wrong"] or row.get("witness") == "invalid" or crashed(row) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
