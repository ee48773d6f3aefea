"""Whole processes, from start to printed bounds: what a user of the command line waits for."""
import os
import time

import cases
import support

TITLE = "From the start of a process to its bounds"
NAMES, METHODS = ("acasxu", "mnist_fc 256x4", "digits_mlp"), ("ibp", "crown-ibp", "crown")
AIM = 15e-3  # on ACAS Xu


def process_seconds(command):
    """From posix_spawn to the end, on the wall clock or of the processor, whichever is less; output is thrown away."""
    sink = [(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)]
    start = time.perf_counter()
    child = os.posix_spawnp(command[0], command, support.single_thread_environment(), file_actions=sink)
    _, status, used = os.wait4(child, 0)
    spent = min(time.perf_counter() - start, used.ru_utime + used.ru_stime)
    if status != 0:
        raise support.Failed(f"exit {os.waitstatus_to_exitcode(status)}: {' '.join(command)}")
    return None, spent


def measure(run):
    found, missing = cases.find(NAMES, run.nets)
    for text in missing:
        run.skip(f"startup: {text}")
    commands = {"true(1)": ["true"]}
    for case in found:
        for method in METHODS:
            commands[f"{case.name} {method}"] = [run.binary, "bound", case.model, *case.box, "--method", method,
                                                 "--threads", "1", "--json"]
    commands = {name: command for name, command in commands.items() if run.wants("startup", name)}
    run.note("startup", f"{len(commands)} commands")
    sides = support.in_turn(5 * run.rounds, {name: lambda command=command: process_seconds(command)
                                             for name, command in commands.items()})
    rows = []
    for name, side in sides.items():
        if side.error:
            run.skip(f"startup {name} ({side.error})")
            continue
        row = {"case": name, "s": side.seconds, "samples": side.samples}
        if name.startswith("acasxu"):
            support.aim(row, "s", "<=", AIM)
        rows.append(row)
    return {"rows": rows}


def tables(found):
    yield "one thread", ["command", "ms"], [[row["case"], support.judged(row, "s", "{:.2f}", 1e3)] for row in found["rows"]]
