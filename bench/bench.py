#!/usr/bin/env python3
"""The benchmark suite: one JSON file and one HTML page of everything that is measured, one run, one machine.

Parts: micro     kernels alone, against the fma peak and memory rate of one core (roofline) and the vendor's library
       peers     auto_LiRPA in its own environment on the same boxes, in turn: time, width, memory
       plan      every network x method x executor: planned bytes, time to plan, time to run, flops against dense
       threads   two threads against one
       startup   whole processes
       rounding  what the error terms cost

--only PART or PART/CASE, CASE a regular expression, as often as wanted: --only micro --only 'peers/acasxu (crown|ibp)$'
What is missing (public data, peer, onnx) is said in a line that starts with `skipped:`, and the rest runs. How to get
it, and how it is measured: bench/README.md. Two JSON files are compared by bench/compare.py.
"""
import os
import re
import subprocess
import sys
import time

import page
import peer
import support
from parts import micro, peers, plan, rounding, startup, threads

PARTS = {"micro": micro, "peers": peers, "plan": plan, "threads": threads, "startup": startup, "rounding": rounding}


class Run:
    """One run of the suite: what the parts ask, and what they say on the way."""

    def __init__(self, arguments):
        self.binary, self.dtype, self.quick = arguments.boundflow, arguments.dtype, arguments.quick
        self.tvm, self.core = arguments.tvm, None  # what one core can do, when micro has measured it
        self.rounds = arguments.rounds or (1 if self.quick else 2)
        self.seconds = 0.3 if self.quick else 1.0  # of repeats in a process
        self.nets = os.path.join(arguments.out, "nets")
        self.no_peer = arguments.no_peer
        self.peer = "--no-peer" if self.no_peer else peer.find()
        self.only = [(part, case) for part, _, case in (word.partition("/") for word in arguments.only or [])]
        self.skipped, self.started = [], time.monotonic()

    def wants(self, part, case=None):
        """Whether --only lets a part, or a case of it, through."""
        chosen = [pattern for name, pattern in self.only if name == part]
        return not self.only or any(case is None or re.search(pattern, case) for pattern in chosen)

    def skip(self, text):
        self.skipped.append(text)
        print(f"skipped: {text}", flush=True)

    def note(self, part, text):
        print(f"  {time.monotonic() - self.started:5.0f} s  {part}: {text}", file=sys.stderr, flush=True)


def parse_arguments():
    parser = support.parser(__doc__)
    parser.add_argument("--only", action="append", metavar="PART[/CASE]", help="this part, or cases of it, alone")
    parser.add_argument("--quick", action="store_true", help="a few cases of each part, one process each: two minutes")
    parser.add_argument("--rounds", type=int, help="processes of each side, in turn (default 2; 1 with --quick)")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"], help="of the part peers")
    parser.add_argument("--tvm", action="store_true", help="executors tvm and auto in the part plan too: the first time "
                                                           "kernels of every network are compiled, which takes long")
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    parser.add_argument("--out", default=os.path.join(support.ROOT, "build", "bench"),
                        help="folder of bench.json, bench.html and of random networks (default %(default)s)")
    arguments = support.parse(parser)
    for word in arguments.only or []:
        if word.partition("/")[0] not in PARTS:
            parser.error(f"--only {word}: no such part (one of {', '.join(PARTS)})")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


def commit():
    """Which code was measured."""
    try:
        done = subprocess.run(["git", "-C", support.ROOT, "describe", "--always", "--dirty"], capture_output=True,
                              text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def show(module, found):
    print(f"\n== {module.TITLE}")
    for title, header, rows in module.tables(found):
        print(f"\n{title}")
        support.print_table(header, rows)


def print_missed(report):
    """The aims that were not reached, once more."""
    rows = page.aims(report)
    missed = [row for row in rows if not row["met"]]
    print(f"\naims: {len(rows) - len(missed)} of {len(rows)} met" + (", MISSED:" if missed else ""))
    for row in missed:
        print(f"  {row['part']}/{row['case']}: {row['what']} {row['value']:.3g}, aim {row['relation']} {row['aim']:g}")


def main():
    arguments = parse_arguments()
    os.makedirs(arguments.out, exist_ok=True)
    run = Run(arguments)
    report = support.new_report(format="boundflow-bench-1", commit=commit(), quick=run.quick, rounds=run.rounds,
                                peer=None if isinstance(run.peer, str) else "auto_LiRPA", parts={}, skipped=run.skipped)
    try:
        for name, module in PARTS.items():
            if run.wants(name):
                found = module.measure(run)
                if found and found["rows"]:
                    report["parts"][name] = found
                    show(module, found)
    except KeyboardInterrupt:
        run.skip("what follows (stopped)")
    report["seconds"] = round(time.monotonic() - run.started)
    print_missed(report)
    path = arguments.json or os.path.join(arguments.out, "bench.json")
    support.write_json(report, path)
    page.write(report, PARTS, os.path.join(arguments.out, "bench.html"))
    print(f"\n{path}\n{os.path.join(arguments.out, 'bench.html')}\n{report['seconds']} s")
    rows = [row for part in report["parts"].values() for row in part["rows"]]
    return int(any("error" in row and not row.get("left_out") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
