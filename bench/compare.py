#!/usr/bin/env python3
"""The regression check: what changed from one JSON file of bench.py to another.

  compare.py OLD.json NEW.json [--threshold 0.1] [--least 2e-6] [--all]

A case is slower when its fastest call takes more than --threshold longer, the noise added, and more than --least
seconds longer. Noise is what the two fastest processes of a case differ by, in the file where they differ more: how
well the fastest is known. A case takes more memory when its bytes grew by more than --threshold. Exit code 1: a case
is slower, takes more memory, or failed where it did not before; 2: the files cannot be compared.
"""
import argparse
import json
import sys

import support

FORMAT = "boundflow-bench-1"
MOST_NOISE = 0.5  # a case that is less certain than that is slow when it is


class Figures:
    """What is compared of a row."""

    def __init__(self, row):
        self.seconds = row.get("s")
        samples = sorted(row.get("samples") or [])
        self.noise = min(MOST_NOISE, samples[1] / samples[0] - 1) if len(samples) > 1 else 0.0
        self.bytes = row.get("bytes", row.get("planned_bytes"))
        self.error = row.get("error")


def read(path):
    """The report; {part/case: Figures}."""
    try:
        with open(path, encoding="utf-8") as text:
            report = json.load(text)
        if report["format"] != FORMAT:
            raise ValueError(f"its format is {report['format']}, not {FORMAT}")
        return report, {f"{part}/{row['case']}": Figures(row) for part, found in report["parts"].items()
                        for row in found["rows"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"compare.py: {path}: {error!r}", file=sys.stderr)
        sys.exit(2)


def judge(old, new, threshold, least):
    """(change of the time, allowed change, change of the bytes, verdict) of one case; capitals say that it got worse."""
    if new.error and not old.error:
        return None, None, None, f"FAILED: {new.error}"
    grown = new.bytes / old.bytes - 1 if old.bytes and new.bytes is not None else None
    more = "MORE MEMORY" if grown is not None and grown > threshold else ""
    if not old.seconds or not new.seconds:
        return None, None, grown, more
    allowed = threshold + max(old.noise, new.noise)
    change = new.seconds / old.seconds - 1
    if abs(new.seconds - old.seconds) <= least:
        return change, allowed, grown, more
    if change > allowed:
        return change, allowed, grown, " and ".join(filter(None, ["SLOWER", more]))
    return change, allowed, grown, more or ("faster" if 1 / (1 + change) - 1 > allowed else "")


def percent(value):
    return "-" if value is None else f"{100 * value:+.1f} %"


def same_machine(old, new):
    """Times of different processors say nothing about the code."""
    for key in ("cpu", "isa"):
        if old["machine"][key] != new["machine"][key]:
            print(f"compare.py: not the same {key}: {old['machine'][key]}, {new['machine'][key]}", file=sys.stderr)
            return False
    return True


def compare(old, new, arguments):
    """Rows of the table, and how many cases got worse."""
    rows, worse = [], 0
    for name in old:
        if name not in new:
            continue
        change, allowed, grown, verdict = judge(old[name], new[name], arguments.threshold, arguments.least)
        worse += verdict not in ("", "faster")
        if verdict or arguments.all:
            rows.append([name, support.microseconds(old[name].seconds), support.microseconds(new[name].seconds),
                         percent(change), percent(allowed), percent(grown), verdict])
    return rows, worse


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", metavar="OLD.json")
    parser.add_argument("new", metavar="NEW.json")
    parser.add_argument("--threshold", type=float, default=0.1, help="share that a case may get worse by (default 0.1)")
    parser.add_argument("--least", type=float, default=2e-6, help="seconds that count at all (default 2e-6)")
    parser.add_argument("--all", action="store_true", help="show the cases that did not change too")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    (old_report, old), (new_report, new) = read(arguments.old), read(arguments.new)
    if not same_machine(old_report, new_report):
        return 2
    print(f"old: {old_report['commit']}, {old_report['date']}, load {old_report['machine']['load'][0]}\n"
          f"new: {new_report['commit']}, {new_report['date']}, load {new_report['machine']['load'][0]}\n")
    rows, worse = compare(old, new, arguments)
    support.print_table(["case", "old us", "new us", "time", "allowed", "bytes", ""], rows)
    both = sum(name in new for name in old)
    print(f"\n{both} cases in both files, {worse} worse; {len(old) - both} in the old one only, {len(new) - both} in the "
          "new one only")
    if both == 0:
        print("compare.py: no case is in both files", file=sys.stderr)
        return 2
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
