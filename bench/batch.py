#!/usr/bin/env python3
"""Many boxes of one network: boundflow's batch beside the peer's, and beside its own single runs.

CROWN bounds of all outputs on 64 boxes, float32, one thread: random boxes inside the property's box, and
the property's box cut into 64. Both programs get the same boxes from a file, keep network and plan, and
repeat the batch; they take turns. A figure is the fastest repeat, on the wall clock or the processor.
"loose" is how much wider boundflow's bounds are at worst, relative to the peer's width: outward rounding.

  python3 bench/batch.py [--boundflow build/boundflow] [--network 1_1 ...] [--property 2 ...] [--turns 3]

The peer: see bench/README.md (BOUNDFLOW_PEER_PYTHON, AUTO_LIRPA). Without it only our own figures."""
import gzip
import os
import random
import re
import struct
import sys
import tempfile
import zipfile

import peer
import support

BOXES = 64


def property_box(path):
    """The box of a property with one lower and one upper end per input."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        text = file.read()
    ends = {"<=": {}, ">=": {}}
    for op, i, value in re.findall(r"\(assert\s+\((<=|>=)\s+X_(\d+)\s+([-+.\deE]+)\s*\)\s*\)", text):
        ends[op][int(i)] = float(value)
    n = len(ends["<="])
    return [ends[">="][i] for i in range(n)], [ends["<="][i] for i in range(n)]


def random_boxes(lo, hi):
    """30 % to 70 % of the width of every input, somewhere inside."""
    rng, lows, highs = random.Random(1), [], []
    for _ in range(BOXES):
        parts = [rng.uniform(0.3, 0.7) * (h - l) for l, h in zip(lo, hi)]
        start = [l + rng.random() * (h - l - p) for l, h, p in zip(lo, hi, parts)]
        lows.append(start)
        highs.append([s + p for s, p in zip(start, parts)])
    return lows, highs


def split_boxes(lo, hi):
    """Four parts of each of the three widest inputs."""
    wide = sorted(range(len(lo)), key=lambda i: lo[i] - hi[i])[:3]
    lows, highs = [], []
    for b in range(BOXES):
        low, high = list(lo), list(hi)
        for k, i in enumerate(wide):
            part, width = b >> 2 * k & 3, (hi[i] - lo[i]) / 4
            low[i], high[i] = lo[i] + part * width, lo[i] + (part + 1) * width
        lows.append(low)
        highs.append(high)
    return lows, highs


def npy_bytes(rows):
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (len(rows), len(rows[0]))
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    body = b"".join(struct.pack("<%df" % len(row), *row) for row in rows)
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + body


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)


def prepare(folder, boxes):
    """Files of all boxes, of each alone (for the single runs), and the peer's."""
    lows, highs = (npy_bytes(rows) for rows in boxes)
    write(os.path.join(folder, "lo.npy"), lows)
    write(os.path.join(folder, "hi.npy"), highs)
    with zipfile.ZipFile(os.path.join(folder, "boxes.npz"), "w") as out:
        out.writestr("lb.npy", lows)
        out.writestr("ub.npy", highs)
    for b in range(BOXES):
        write(os.path.join(folder, f"lo{b}.npy"), npy_bytes([boxes[0][b]]))
        write(os.path.join(folder, f"hi{b}.npy"), npy_bytes([boxes[1][b]]))


def ours(args, network, folder, suffix=""):
    answer = support.bound(args.boundflow, network, ["--box", os.path.join(folder, f"lo{suffix}.npy"),
                                                     os.path.join(folder, f"hi{suffix}.npy")], "crown", "--repeat",
                           str(args.repeats))
    return answer, support.fastest(answer)


def theirs(there, args, network, folder):
    box = ["--box", os.path.join(folder, "boxes.npz"), "--input-shape", f"{BOXES},1,1,5"]
    return peer.bounds(there, network, box, "crown", "--dtype", "float32", repeats=args.peer_repeats)


def looseness(mine, lower, upper):
    """Of the first box, which is what the peer prints."""
    pairs = zip(mine["lower"][0], mine["upper"][0], lower, upper)
    return max(max(l - a, b - u) / max(u - l, 1e-30) for a, b, l, u in pairs)


def measure(args, there, network, boxes):
    """Seconds of our batch, the peer's, and all runs of single boxes; unstable neurons per box; looseness."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder, boxes)
        sides = {"batch": lambda: ours(args, network, folder)}
        if not isinstance(there, str):
            sides["peer"] = lambda: theirs(there, args, network, folder)
        found = support.in_turn(args.turns, sides)
        for side in found.values():
            if side.error:
                raise support.Failed(side.error)
        best = {name: side.seconds for name, side in found.items()}
        best["single"] = sum(ours(args, network, folder, str(b))[1] for b in range(BOXES))
    answer = found["batch"].best
    loose = looseness(answer, found["peer"].best["lb"], found["peer"].best["ub"]) if "peer" in found else None
    return best, answer["unstable"] / BOXES, loose


def main():
    parser = support.parser(__doc__)
    parser.add_argument("--network", nargs="+", default=["1_1", "3_3", "5_9"])
    parser.add_argument("--property", nargs="+", default=["2", "3"])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--peer-repeats", type=int, default=20)
    args = support.parse(parser)
    data, there = support.data_dir(), peer.find()
    if not data:
        sys.exit("no public instances: set BOUNDFLOW_DATA")
    if isinstance(there, str):
        print(f"skipped: the peer ({there})")
    report = support.new_report()
    folder, rows, figures = os.path.join(data, "vnncomp", "acasxu"), [], []
    for name in args.network:
        network = os.path.join(folder, "onnx", f"ACASXU_run2a_{name}_batch_2000.onnx")
        for prop in args.property:
            lo, hi = property_box(os.path.join(folder, "vnnlib", f"prop_{prop}.vnnlib.gz"))
            for kind, make in (("random", random_boxes), ("split", split_boxes)):
                try:
                    best, unstable, loose = measure(args, there, network, make(lo, hi))
                except support.Failed as problem:
                    print(f"{name} prop_{prop} {kind}: {problem}", file=sys.stderr)
                    continue
                us = {key: seconds / BOXES * 1e6 for key, seconds in best.items()}
                figures.append(dict(network=name, property=prop, boxes=kind, unstable=unstable, us_per_box=us))
                ratio = us["peer"] / us["batch"] if "peer" in us else None
                rows.append([f"{name} prop_{prop} {kind}", f"{unstable:.0f}", f"{us['batch']:.1f}",
                             f"{us['single']:.1f}", f"{us['peer']:.0f}" if ratio else "-",
                             f"{ratio:.1f}" if ratio else "-", f"{loose:.1e}" if ratio else "-"])
    support.print_table(["64 boxes", "unstable", "batch us/box", "single us", "peer us/box", "x", "loose"], rows)
    ratios = [f["us_per_box"]["peer"] / f["us_per_box"]["batch"] for f in figures if "peer" in f["us_per_box"]]
    if ratios:
        print(f"median: {support.median(ratios):.1f} times cheaper per box than the peer's batch")
    support.write_json(dict(report, figures=figures), args.json)


if __name__ == "__main__":
    main()
