"""BoundFlow beside auto_LiRPA on the same boxes: time of the bounds, their width, memory; one thread each, in turn."""
import cases
import peer
import support

TITLE = "Beside auto_LiRPA: the same boxes, one thread each, in turn, fastest of all"
NAMES = (*cases.CROWN_AIMS, "eran sigmoid 6x200", "digits_resnet")
QUICK = ("acasxu", "mlp 6x100", "oval21 base", "malbeware 4-25")
# method of a case: what both sides are asked for; alpha-CROWN with hidden bounds fixed at CROWN's, and all optimised
METHODS = {"crown": "crown", "ibp": "ibp", "crown-ibp": "crown-ibp", "alpha fixed": "alpha-crown",
           "alpha all": "alpha-crown"}


def our_options(method):
    if not method.startswith("alpha"):
        return []
    return ["--intermediate", "fixed" if method == "alpha fixed" else "per-neuron", "--lr", "0.5"]


def set_aims(row, kind):
    name, method = row["network"], row["method"]
    value = {"crown": cases.CROWN_AIMS.get(name), "ibp": cases.IBP_AIM,
             "alpha fixed": cases.ALPHA_FIXED_AIM, "alpha all": cases.ALPHA_AIMS.get(name)}.get(method)
    if value:
        support.aim(row, "ratio", ">=", value)
    if method == "crown" and kind != "mlp":
        support.aim(row, "memory", ">=", cases.MEMORY_AIM)


def widths(lower, upper):
    return [high - low for low, high in zip(lower, upper)]


def compare_bounds(mine, other):
    """(median ratio of widths, largest difference over the width) of two answers about one box."""
    w_mine, w_other = widths(mine["lower"], mine["upper"]), widths(other["lb"], other["ub"])
    if len(w_mine) != len(w_other):
        raise support.Failed(f"{len(w_mine)} bounds against {len(w_other)} of the peer")
    apart = [max(abs(a - c), abs(b - d)) / w for a, b, c, d, w in
             zip(mine["lower"], mine["upper"], other["lb"], other["ub"], w_other) if w > 0]
    return support.median([a / b for a, b in zip(w_mine, w_other) if b > 0]), max(apart, default=None)


def peer_side(run, case, method, budget):
    alpha = method.startswith("alpha")
    options = peer.alpha_options(method == "alpha fixed", case.kind != "mlp") if alpha else []
    return lambda: peer.bounds(run.peer, case.model, case.box, METHODS[method], "--dtype", run.dtype, *options,
                               repeats=1 if alpha else 3, budget=budget)


def add_roof(run, row, case):
    """The least time of the products alone on one core: backward ones, and three forward (both ends and the error) that read
    every weight. What is missed at the roof is out of reach."""
    if run.core and row["dtype"] == run.core["dtype"]:
        info = support.run_json([run.binary, "info", case.model, "--json"])
        forward = 3 * sum(layer["flops"] for layer in info["layers"])
        weights = info["parameters"] * (4 if run.dtype == "float32" else 8)
        row["roof_s"] = support.roof_seconds(run.core, row["flops"] + forward, weights)
        row["roof_share"] = row["roof_s"] / row["s"]


def add_peer(row, mine, other):
    answer = other.best
    row.update(peer_s=other.seconds, peer_samples=other.samples, peer_wall_s=answer["min_s"],
               peer_bytes=1024 * answer["delta_kb"], peer_peak_bytes=1024 * answer["peak_rss_kb"],
               peer_held_bytes=1024 * answer["rss_before_kb"])
    if mine.best:
        row["ratio"] = row["peer_s"] / row["s"]
        if "roof_s" in row:
            row["roof_ratio"] = row["peer_s"] / row["roof_s"]
        row["memory"] = row["peer_bytes"] / row["bytes"]
        row["width_ratio"], row["apart"] = compare_bounds(mine.best, answer)


def measure_case(run, case, method):
    """One row. bytes: our workspace, all that a run takes; the peer's: what it grew by while it computed."""
    row = {"case": f"{case.name} {method}", "network": case.name, "kind": case.kind, "method": method, "dtype": run.dtype}
    sides = {"ours": support.bound_side(run.binary, case.model, case.box, METHODS[method], run.seconds, "--dtype",
                                        run.dtype, *our_options(method))}
    if not isinstance(run.peer, str):
        sides["peer"] = peer_side(run, case, method, run.seconds)
    # a process of the peer takes ten seconds, whatever it computes; CROWN is what the aims are about
    found = support.in_turn(run.rounds, sides, None if method == "crown" else {"peer": 1})
    mine, other = found["ours"], found.get("peer")
    if mine.best:
        row.update(s=mine.seconds, samples=mine.samples, bytes=mine.best["used_bytes"],
                   constant_bytes=mine.best["planned_bytes"] - mine.best["used_bytes"],
                   **{key: mine.best[key] for key in ("peak_bytes", "isa", "flops", "dense_flops", "unstable", "notes")})
        set_aims(row, case.kind)
        add_roof(run, row, case)
    if mine.error:
        row["error"] = mine.error
    if other and other.error:
        row["peer_error"] = other.error
    if other and other.best:
        try:
            add_peer(row, mine, other)
        except support.Failed as error:
            row["peer_error"] = str(error)
    return row


def wanted(run, name, method):
    """Alpha-CROWN only where there is an aim: the others take the peer minutes."""
    return (not method.startswith("alpha") or name in cases.ALPHA_AIMS) and run.wants("peers", f"{name} {method}")


def measure(run):
    if isinstance(run.peer, str):
        run.skip(f"the peer ({run.peer}): our own times only")
    methods = list(METHODS)[:1 if run.quick else None]
    names = [name for name in (QUICK if run.quick else NAMES) if any(wanted(run, name, method) for method in methods)]
    found, missing = cases.find(names, run.nets)
    for text in missing:
        run.skip(f"peers: {text}")
    todo = [(case, method) for method in methods for case in found if wanted(run, case.name, method)]
    rows = []
    for number, (case, method) in enumerate(todo):
        run.note("peers", f"{number + 1} of {len(todo)}: {case.name} {method}")
        row = measure_case(run, case, method)
        rows.append(row)
        for who, key in (("boundflow", "error"), ("peer", "peer_error")):
            if key in row:
                run.skip(f"peers {row['case']} ({who}: {row[key]})")
        run.note("peers", f"    {support.milliseconds(row.get('s'))} ms, peer "
                          f"{support.milliseconds(row.get('peer_s'))} ms, ratio {support.judged(row, 'ratio', '{:.1f}')}")
    return {"rows": rows}


HEADER = ["network", "ours ms", "of roof", "peer ms", "ratio", "at the roof", "width", "our MiB", "peer MiB", "peer / ours",
          "of dense"]


def cells(row):
    share = f"{row['flops'] / row['dense_flops']:.2f}" if row.get("dense_flops") else "-"
    return [row["network"], support.milliseconds(row.get("s")), support.judged(row, "roof_share", "{:.2f}"),
            support.milliseconds(row.get("peer_s")),
            support.judged(row, "ratio", "{:.1f}"), support.judged(row, "roof_ratio", "{:.0f}"),
            f"{row['width_ratio']:.4f}" if row.get("width_ratio") else "-",
            support.mebibytes(row.get("bytes")), support.mebibytes(row.get("peer_bytes")),
            support.judged(row, "memory", "{:.1f}"), share]


def tables(found):
    for method in METHODS:
        rows = [row for row in found["rows"] if row["method"] == method]
        if rows:
            yield method, HEADER, [cells(row) for row in rows]
