"""What the benchmark scripts share: where things are, running a program, the machine, a table."""
import json
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


def peer():
    """(interpreter, script, package folder), or a sentence saying why there is no peer."""
    python = os.environ.get("BOUNDFLOW_PEER_PYTHON")
    package = os.environ.get("AUTO_LIRPA")
    script = os.environ.get("BOUNDFLOW_PEER_SCRIPT") or os.path.join(
        ROOT, "..", "shared", "tools", "lirpa_bounds.py")
    if not python:
        return "BOUNDFLOW_PEER_PYTHON is not set"
    if not package or not os.path.isdir(os.path.join(package, "auto_LiRPA")):
        return "AUTO_LIRPA does not name the folder that holds the package auto_LiRPA"
    if not os.path.isfile(script):
        return f"no {script} (BOUNDFLOW_PEER_SCRIPT)"
    return python, os.path.abspath(script), os.path.abspath(package)


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
