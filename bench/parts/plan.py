"""Every network, method and executor: what a plan takes (bytes, time) and how long it runs, one thread."""
import glob
import json
import os

import cases
import support

TITLE = "Plans of every network: bytes, time to make one, time to run one"
EXECUTORS = ("reference", "native", "tvm", "auto")
METHODS = ("ibp", "crown-ibp", "crown")
SAVING_AIMS = {"cnn": 40, "mlp": 20}  # percent against one buffer per value, median of the families' medians
TIME_AIMS = {"acasxu": 2e-3, "resnet": 50e-3}  # of making a plan
RUN_SECONDS = 0.2  # of repeats in a process
SLOW = 15  # seconds that a run may take


def executors_here(run):
    """The executors that are measured; the others are named."""
    if run.quick:
        return ("native",)
    why = None if run.tvm else "--tvm measures them too"
    findings = support.run_json([run.binary, "doctor", "--json"])["findings"] if run.tvm else []
    for finding in findings:
        if finding["group"] == "TVM" and finding["state"] != "ok":
            why = why or f"{finding['name']}: {finding['detail']}"
    if why:
        run.skip(f"plan: executors tvm and auto ({why})")
    return EXECUTORS[:2] if why else EXECUTORS


def find_networks(run):
    """A dictionary for each list of layers and shapes: networks that differ in weights alone count once."""
    networks, known = [], {}
    for family, folder, inside in cases.families():
        properties = cases.first_properties(folder)
        for path in sorted(glob.glob(os.path.join(inside, "*.onnx"))):
            name = f"{family}/{os.path.basename(path)[:-len('.onnx')]}"
            try:
                info = support.run_json([run.binary, "info", path, "--json"])
            except support.Failed as error:
                run.skip(f"plan {name} ({error})")
                continue
            shape = json.dumps([(layer["op"], layer["shape"], layer["parameters"]) for layer in info["layers"]])
            if shape in known:
                known[shape]["same"] += 1
                continue
            convolves = any("conv" in layer["op"] for layer in info["layers"])
            known[shape] = {"name": name, "family": family, "path": path, "same": 0, "kind": "cnn" if convolves else "mlp",
                            "layers": len(info["layers"]), "parameters": info["parameters"],
                            "property": properties.get(os.path.basename(path))}
            networks.append(known[shape])
    if run.quick:  # the first of each family
        first = {}
        networks = [first.setdefault(network["family"], network) for network in networks if network["family"] not in first]
    if support.data_dir() is None:
        run.skip("plan: the public networks (no BOUNDFLOW_DATA, no ../shared/data)")
    return networks


def plan_side(run, network, method, executor):
    def make():
        answer = support.run_json([run.binary, "plan", network["path"], "--method", method, "--executor", executor,
                                   "--threads", "1", "--json"], timeout=2 * SLOW)
        return answer, answer["plan_s"]
    return make


def new_row(network, method, executor):
    return {"case": f"{network['name']} {method} {executor}", "network": network["name"], "family": network["family"],
            "kind": network["kind"], "method": method, "executor": executor}


def measure_network(run, network, method, executors):
    """A row for each executor; they take turns."""
    box = ["--vnnlib", network["property"]] if network["property"] else None
    planned = support.in_turn(run.rounds, {name: plan_side(run, network, method, name) for name in executors})
    ran = support.in_turn(run.rounds, {
        name: support.bound_side(run.binary, network["path"], box, method, RUN_SECONDS, "--executor", name, "--timeout",
                                 str(SLOW), timeout=2 * SLOW) for name in executors}) if box else {}
    for name in executors:
        row = new_row(network, method, name)
        plan, bound = planned[name].best, ran[name].best if box else None
        for error in (planned[name].error, ran[name].error if box else "no property"):
            if error:
                row["error"] = error
                row["left_out"] = "--timeout" in error or error == "no property"  # nothing is wrong
        if plan:
            memory = plan["memory"]
            row.update(plan_s=planned[name].seconds, tasks=len(plan["tasks"]), planned_bytes=memory["planned_bytes"],
                       constant_bytes=memory["constant_bytes"], baseline_bytes=memory["baseline_bytes"],
                       saving=memory["saving_percent"])
            for word, seconds in TIME_AIMS.items():
                if word in row["case"]:
                    support.aim(row, "plan_s", "<=", seconds)
        if bound:
            row.update(s=ran[name].seconds, samples=ran[name].samples, flops=bound["flops"],
                       dense_flops=bound["dense_flops"], lanes=bound["lanes"], unstable=bound["unstable"],
                       peak_bytes=bound["peak_bytes"])
        yield row


def savings(rows):
    """Medians over the families' medians: a family with many networks counts once."""
    for kind, percent in SAVING_AIMS.items():
        for method in METHODS:
            of_family = {}
            for row in rows:
                if row["kind"] == kind and row["method"] == method and row["executor"] == "native" and "saving" in row:
                    of_family.setdefault(row["family"], []).append(row["saving"])
            if of_family:
                row = {"case": f"{kind} {method}", "families": len(of_family),
                       "saving": support.median([support.median(values) for values in of_family.values()]),
                       "least": min(min(values) for values in of_family.values())}
                support.aim(row, "saving", ">=", percent)
                yield row


def measure(run):
    try:
        executors = executors_here(run)
    except support.Failed as error:
        run.skip(f"plan ({error})")
        return None
    found, todo = {"rows": []}, []
    for network in find_networks(run):
        for method in METHODS[2:] if run.quick else METHODS:
            chosen = [name for name in executors if run.wants("plan", new_row(network, method, name)["case"])]
            todo += [(network, method, chosen)] if chosen else []
    for number, (network, method, chosen) in enumerate(todo):
        run.note("plan", f"{number + 1} of {len(todo)}: {network['name']} {method}")
        for row in measure_network(run, network, method, chosen):
            found["rows"].append(row)
            if "error" in row:
                run.skip(f"plan {row['case']} ({row['error']})")
    found["summary"] = list(savings(found["rows"]))
    return found


HEADER = ["network", "method", "plan ms", "planned KiB", "no reuse KiB", "saving %", "Mflop", "of dense"]


def tables(found):
    executors = [name for name in EXECUTORS if any(row["executor"] == name for row in found["rows"])]
    families = sorted({row["family"] for row in found["rows"]}, key=lambda name: (name != "models", name))
    for family in families:
        grouped = {}
        for row in found["rows"]:
            if row["family"] == family:
                grouped.setdefault((row["network"], row["method"]), {})[row["executor"]] = row
        yield (family, HEADER + [f"{name} ms" for name in executors],
               [network_cells(by_executor, executors) for by_executor in grouped.values()])
    if found.get("summary"):
        yield ("Saving against one buffer per value, percent: medians of the families' medians",
               ["kind", "families", "least", "median"],
               [[row["case"], row["families"], f"{row['least']:.0f}", support.judged(row, "saving", "{:.0f}")]
                for row in found["summary"]])


def network_cells(by_executor, executors):
    row = by_executor.get("native") or next(iter(by_executor.values()))
    share = f"{row['flops'] / row['dense_flops']:.2f}" if row.get("dense_flops") else "-"
    return [row["network"].split("/", 1)[1], row["method"], support.judged(row, "plan_s", "{:.3g}", 1e3),
            kibibytes(row.get("planned_bytes")), kibibytes(row.get("baseline_bytes")),
            f"{row['saving']:.0f}" if "saving" in row else "-",
            f"{row['flops'] * 1e-6:.3g}" if row.get("flops") else "-", share,
            *[support.milliseconds(by_executor.get(name, {}).get("s")) for name in executors]]


def kibibytes(count):
    return "-" if count is None else f"{count / 1024:.0f}"
