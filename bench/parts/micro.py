"""Kernels alone, beside what one core can do: the measured fma peak, and the rate at which it reads as many bytes as
the kernel touches. Their minimum at the kernel's flops per byte is its roof. Beside them, where the peer's interpreter is
there, the vendor's libraries on the same products and convolutions (vendor.py)."""
import os
import re

import support
import vendor

TITLE = "Kernels alone, against the roof of one core"
TABLES = [("avx512 or avx2 as the machine has it", None, "f32"), ("float64", None, "f64"), ("avx2 forced", "avx2", "f32")]
LINEAR_AIM, CONV_AIM, FEW_LANES_AIM = 0.9, 0.8, 0.7


def set_aims(row):
    """Shares of the fma peak from 32 lanes on; below 16 of the roof, which for one lane is the rate of reading."""
    numbers = [int(word) for word in re.findall(r"\d+", row["kernel"])]
    lanes = numbers[-1]
    if row["kernel"].startswith("linear"):
        if lanes >= 32:
            support.aim(row, "peak_share", ">=", LINEAR_AIM)
        elif lanes < 16:
            support.aim(row, "roof_share", ">=", FEW_LANES_AIM)
    channels = re.search(r"(\d+)->(\d+)", row["kernel"])
    if row["kernel"].startswith("conv") and lanes >= 32 and all(16 <= int(c) <= 64 for c in channels.groups()):
        support.aim(row, "peak_share", ">=", CONV_AIM)


def judge(row, peak):
    """Where the kernel stands on the roofline."""
    row["s"] = min(row["samples"])
    if row["vendor_samples"]:
        row["vendor_s"] = min(row["vendor_samples"])
    row["intensity"] = row["flops"] / row["bytes"]
    row["flop_rate"] = row["flops"] / row["s"]
    row["peak_share"] = row["flop_rate"] / peak
    row["read_share"] = row["bytes"] / row["s"] / row["read_rate"]
    row["roof_share"] = max(row["peak_share"], row["read_share"])
    set_aims(row)


def find_vendor(run):
    """The interpreter that has the vendor's libraries, or None, said."""
    python = os.environ.get("BOUNDFLOW_PEER_PYTHON")
    why = "--no-peer" if run.no_peer else None if python else "BOUNDFLOW_PEER_PYTHON is not set"
    if not why:
        try:
            support.run_json([python, "-c", "import torch; print('{}')"], timeout=120)
            return python
        except support.Failed as error:
            why = f"its interpreter does not work: {error}"
    run.skip(f"micro, the vendor's library ({why})")
    return None


def add_vendor(run, python, dtype, rows):
    """The vendor's process of one round; a kernel that it has no call for stays without."""
    names = {row["kernel"]: row for row in rows.values()
             if vendor.parse(row["kernel"]) and run.wants("micro", row["case"])}
    if names:
        script = os.path.join(support.ROOT, "bench", "vendor.py")
        for line in support.run_lines([python, script, dtype, *names], env=support.single_thread_environment()):
            names[line["case"]]["vendor_samples"].append(line["s"])


def table(run, program, isa, dtype, python):
    """Facts of one table of kernels, and its rows: the fastest of |rounds| processes, in turn with the vendor's."""
    facts, rows = None, {}
    for turn in range(run.rounds):
        run.note("micro", f"{isa or 'native'} {dtype}, process {turn + 1} of {run.rounds}")
        machine, *lines = support.run_lines([program, isa or "native", dtype, "json"])
        facts = facts or machine
        facts["peak"] = max(facts["peak"], machine["peak"])
        facts["read"] = [[size, max(rate, other)] for (size, rate), (_, other) in zip(facts["read"], machine["read"])]
        for line in lines:
            name = f"{facts['isa']} {facts['dtype']} {line['case']}"
            row = rows.setdefault(name, {"case": name, "kernel": line["case"], "isa": facts["isa"], "dtype": facts["dtype"],
                                         "flops": line["flops"], "bytes": line["bytes"], "read_rate": 0, "samples": [],
                                         "vendor_samples": []})
            row["read_rate"] = max(row["read_rate"], line["read_rate"])
            row["samples"].append(line["s"])
        if python:
            add_vendor(run, python, facts["dtype"], rows)
    for row in rows.values():
        judge(row, facts["peak"])
    return facts, [row for row in rows.values() if run.wants("micro", row["case"])]


def measure(run):
    try:
        program = support.build_micro(run.binary, "kernels")
    except support.Failed as error:
        run.skip(f"micro ({error})")
        return None
    python = find_vendor(run)
    found = {"cores": [], "rows": []}
    for what, isa, dtype in TABLES[:1] if run.quick else TABLES:
        if any(facts["isa"] == isa and facts["dtype"] == "float32" for facts in found["cores"]):
            continue  # the machine's fastest already
        try:
            facts, rows = table(run, program, isa, dtype, None if isa else python)
        except support.Failed as error:
            run.skip(f"micro, {what} ({error})")
            continue
        found["cores"].append(facts)
        run.core = run.core or facts
        found["rows"] += rows
    return found


HEADER = ["kernel", "us", "flop/byte", "GF/s", "of fma peak", "GB/s", "of reading", "of roof"]
VENDOR = "vendor library GF/s"  # a column where there is one


def gigaflops(row, key):
    return f"{row['flops'] / row[key] * 1e-9:.1f}" if key in row else "-"


def cells(row):
    return [row["kernel"], support.microseconds(row["s"]), f"{row['intensity']:.1f}", gigaflops(row, "s"),
            support.judged(row, "peak_share", "{:.2f}"), f"{row['bytes'] / row['s'] * 1e-9:.1f}",
            f"{row['read_share']:.2f}", support.judged(row, "roof_share", "{:.2f}")]


def tables(found):
    """(title, header, rows of cells) of what was measured."""
    for facts in found["cores"]:
        read = ", ".join(f"{support.size_words(size)} {rate * 1e-9:.0f}" for size, rate in facts["read"])
        rows = [row for row in found["rows"] if row["isa"] == facts["isa"] and row["dtype"] == facts["dtype"]]
        beside = any("vendor_s" in row for row in rows)
        yield (f"{facts['isa']} {facts['dtype']}: fma peak {facts['peak'] * 1e-9:.1f} GF/s; GB/s of reading {read}",
               HEADER + [VENDOR] * beside, [cells(row) + [gigaflops(row, "vendor_s")] * beside for row in rows])
