"""What the benchmark scripts share: where things are, running programs in turn, aims, the machine, tables, JSON."""
import argparse
import datetime
import json
import math
import os
import platform
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Failed(Exception):
    """A program gave no usable answer; the text is one line for the table."""


def data_dir():
    """The folder of the public instances, or None."""
    path = os.environ.get("BOUNDFLOW_DATA") or os.path.join(ROOT, "..", "shared", "data")
    path = os.path.abspath(path)
    return path if os.path.isdir(os.path.join(path, "vnncomp")) else None


def default_binary():
    return os.path.join(ROOT, "build", "boundflow")


def single_thread_environment():
    env = dict(os.environ, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")
    env.setdefault("CUDA_VISIBLE_DEVICES", "")
    return env


def run_json(command, env=None, timeout=600):
    """The JSON object on the last line that looks like one. Raises Failed."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"no answer in {timeout} s") from None
    except OSError as error:
        raise Failed(str(error)) from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines:
        said = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise Failed(f"exit {done.returncode}: {said[:160]}")
    return json.loads(lines[-1])


def bound(binary, model, box, method, *extra, env=None, timeout=600):
    """The answer of `boundflow bound`, one thread unless |extra| says otherwise."""
    threads = () if "--threads" in extra else ("--threads", "1")
    return run_json([binary, "bound", model, *box, "--method", method, *threads, *extra, "--json"],
                    env=env or single_thread_environment(), timeout=timeout)


def fastest(answer):
    """Seconds of the fastest call; of one thread on the wall clock or on the processor, whichever are less: what other
    processes take does not count."""
    return min(answer["time_min_s"], answer["cpu_min_s"]) if answer["threads"] == 1 else answer["time_min_s"]


def wall(answer):
    """Seconds of the fastest call on the wall clock: what threads save, where there are cores for them."""
    return answer["time_min_s"]


def repeats(budget, seconds, most=1000):
    """How many calls of |seconds| fit into |budget| seconds."""
    return max(1, min(most, int(budget / max(seconds, 1e-9))))


class Measured:
    """The processes of one side: the fastest answer, the seconds of each, or why there is none."""

    def __init__(self):
        self.best = self.error = None
        self.samples = []

    @property
    def seconds(self):
        return min(self.samples, default=None)

    def add(self, answer, seconds):
        if self.best is None or seconds < self.seconds:
            self.best = answer
        self.samples.append(seconds)


def in_turn(rounds, sides, fewer=None):
    """Runs {name: function -> (answer, seconds)} one after the other, |rounds| times, so that all see the same
    machine; |fewer|: {name: rounds} of sides that take part in the first ones alone. {name: Measured}; a side that
    failed is not asked again."""
    found = {name: Measured() for name in sides}
    for turn in range(rounds):
        for name, run in sides.items():
            if found[name].error is None and turn < (fewer or {}).get(name, rounds):
                try:
                    found[name].add(*run())
                except Failed as error:
                    found[name].error = str(error)
    return found


def bound_side(binary, model, box, method, budget, *extra, clock=fastest, **options):
    """One side of in_turn: processes of `boundflow bound` with as many repeats as fit into |budget| seconds, which the
    first call finds out; where that is one, it is the first process. |clock|: the seconds of an answer."""
    count = None

    def run():
        nonlocal count
        if count is None:
            first = bound(binary, model, box, method, *extra, **options)
            count = repeats(budget, clock(first))
            if count == 1:
                return first, clock(first)
        answer = bound(binary, model, box, method, "--repeat", str(count), *extra, **options)
        return answer, clock(answer)

    return run


def aim(row, key, relation, value):
    """Notes in |row| what its figure |key| should be: relation is ">=" or "<="."""
    row.setdefault("aims", {})[key] = [relation, value]


def met(row, key):
    """Whether the figure reached its aim; None where there is no figure or no aim."""
    if row.get(key) is None or key not in row.get("aims", {}):
        return None
    relation, value = row["aims"][key]
    return row[key] >= value if relation == ">=" else row[key] <= value


def judged(row, key, form="{:.3g}", scale=1.0):
    """The figure, with its aim in brackets and MISSED where it was not reached."""
    if row.get(key) is None:
        return "-"
    text = form.format(row[key] * scale)
    if key not in row.get("aims", {}):
        return text
    relation, value = row["aims"][key]
    return f"{text} ({relation} {value * scale:g}){'' if met(row, key) else ' MISSED'}"


def build_micro(binary, name):
    """bench/micro/|name|.c, built beside the program, whose library it is linked with."""
    folder = os.path.dirname(os.path.abspath(binary))
    program = os.path.join(folder, "bench_" + name)
    command = ["cc", "-O3", "-D_GNU_SOURCE", *(f"-I{os.path.join(ROOT, part)}" for part in (".", "src", "include")),
               os.path.join(ROOT, "bench", "micro", name + ".c"), os.path.join(folder, "libboundflow_core.a"),
               "-lprotobuf-c", "-lz", "-lm", "-lpthread", "-ldl", "-o", program]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise Failed(str(error)) from None
    if done.returncode != 0:
        raise Failed(f"cc: {(done.stderr.splitlines() or ['failed'])[0]}")
    return program


def run_lines(command, env=None, timeout=1200):
    """All JSON objects that a program writes, one a line. Raises Failed."""
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(str(error)) from None
    if done.returncode != 0:
        raise Failed(f"exit {done.returncode}: {done.stderr.strip()[-160:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def machine():
    """Facts a reader needs to judge the numbers."""
    cpu = platform.processor()
    flags = set()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as text:
            for line in text:
                if line.startswith("model name"):
                    cpu = line.split(":", 1)[1].strip()
                elif line.startswith("flags"):
                    flags = set(line.split(":", 1)[1].split())
                    break
    except OSError:
        pass
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "isa": [name for name in ("avx2", "fma", "avx512f") if name in flags],
        "system": f"{platform.system()} {platform.release()}",
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def print_table(header, rows, out=sys.stdout):
    """Columns as wide as they need; the first is left, the others right aligned."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for number, row in enumerate(cells):
        line = "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                         for i, (cell, width) in enumerate(zip(row, widths)))
        print(line.rstrip(), file=out)
        if number == 0:
            print("  ".join("-" * width for width in widths), file=out)
    out.flush()


def milliseconds(seconds):
    if seconds is None:
        return "-"
    return f"{seconds * 1e3:.3g}" if seconds < 1 else f"{seconds * 1e3:.0f}"


def median(values):
    values = sorted(values)
    if not values:
        return None
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def mebibytes(count):
    return "-" if count is None else f"{count / 2**20:.3g}"


def size_words(count):
    """16 KiB, 256 MiB."""
    return f"{count / 2**20:g} MiB" if count >= 2**20 else f"{count / 1024:g} KiB"


def microseconds(seconds):
    return "-" if seconds is None else f"{seconds * 1e6:.1f}"


def roof_seconds(core, flops, count):
    """The least time that one core (a line of bench/micro/kernels.c) takes for |flops| that read |count| bytes. The rate for
    so many is between those of the sizes that were measured, on a logarithmic scale."""
    (size, rate), *larger = core["read"]
    for next_size, next_rate in larger:
        if size < count:
            part = min(1.0, math.log(count / size) / math.log(next_size / size))
            size, rate = next_size, rate * (next_rate / rate) ** part
    return max(flops / core["peak"], count / rate)


def new_report(**more):
    """What every JSON file of a benchmark begins with; says it on the terminal too."""
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {' '.join(facts['isa'])}, load {facts['load'][0]}", flush=True)
    return {"date": datetime.datetime.now().isoformat(timespec="seconds"), "machine": facts, **more}


def write_json(report, path):
    """Writes the report, closed by the load of the machine; |path| may be None."""
    report["load_at_end"] = machine()["load"]
    if path:
        with open(path, "w", encoding="utf-8") as out:
            json.dump(report, out, indent=1)
            out.write("\n")


def parser(description):
    """An argument parser with the options that all scripts have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--boundflow", default=default_binary(), help="the program (default %(default)s)")
    made.add_argument("--json", metavar="FILE", help="writes all figures there")
    return made


def parse(made):
    """The arguments, with a program that is there."""
    arguments = made.parse_args()
    if not os.access(arguments.boundflow, os.X_OK):
        made.error(f"no program at {arguments.boundflow}: build first (make build) or give --boundflow")
    arguments.boundflow = os.path.abspath(arguments.boundflow)
    return arguments
