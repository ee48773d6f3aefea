#!/usr/bin/env python3
"""The HTML page of a run: aims, plots, tables; one file without scripts. page.py BENCH.json OUT.html writes it again."""
import html
import json
import re
import sys

import chart
import support

STYLE = """
body { font: 15px/1.45 sans-serif; color: #222; background: #fff; max-width: 1020px; margin: 24px auto; padding: 0 16px }
h1 { font-size: 24px; margin-bottom: 4px }
h2 { font-size: 19px; margin: 36px 0 4px; border-top: 1px solid #ccc; padding-top: 18px }
h3 { font-size: 15px; margin: 20px 0 4px } p { margin: 4px 0 10px } nav a { margin-right: 14px }
table { border-collapse: collapse; font-size: 13px; margin: 4px 0 12px }
th, td { padding: 2px 7px; text-align: right; white-space: nowrap; border-bottom: 1px solid #eee }
th { border-bottom: 1px solid #999; vertical-align: bottom } th:first-child, td:first-child { text-align: left }
.missed { color: #b00020 } .dim { color: #666 } svg { display: block; margin: 6px 0 14px; max-width: 100%; height: auto }
details { margin: 4px 0 } summary { cursor: pointer } .scroll { overflow-x: auto }
"""
WORDS = {"peak_share": "share of the fma peak", "roof_share": "share of the roof", "plan_s": "seconds to plan",
         "saving": "percent saved by reuse", "ratio": "times as fast as auto_LiRPA",
         "memory": "auto_LiRPA's memory over ours", "speedup": "two threads against one", "s": "seconds", "time_ratio": "time with error terms over without",
         "widening": "relative widening"}
KINDS = ("linear", "conv", "interval", "relax")


def aims(report):
    """Every figure that has an aim: part, case, what, value, relation, aim, met."""
    found = []
    for part, content in report["parts"].items():
        for row in content["rows"] + content.get("summary", []):
            for key, (relation, value) in row.get("aims", {}).items():
                if row.get(key) is not None:
                    found.append({"part": part, "case": row["case"], "what": WORDS.get(key, key), "value": row[key],
                                  "relation": relation, "aim": value, "met": support.met(row, key)})
    return found


def escaped(value):
    words = html.escape(str(value).replace(">=", "≥").replace("<=", "≤"))
    return f'<span class="missed">{words}</span>' if "MISSED" in words else words


def table(header, rows):
    head = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>\n'


def aims_section(report):
    rows = aims(report)
    missed = [row for row in rows if not row["met"]]
    counted = {}
    for row in rows:
        met, of = counted.get((row["part"], row["what"]), (0, 0))
        counted[row["part"], row["what"]] = (met + row["met"], of + 1)
    listed = [[f"{part}: {what}", f"{met} of {of}"] for (part, what), (met, of) in counted.items()]
    out = [f'<h2 id="aims">Aims</h2><p>{len(rows) - len(missed)} of {len(rows)} figures with an aim meet it.</p>',
           table(["figure", "met"], listed)]
    if missed:
        out.append(f"<details><summary>the {len(missed)} that miss it</summary>" + table(
            ["case", "figure", "value", "aim"],
            [[f"{row['part']}/{row['case']}", row["what"], f"{row['value']:.3g} MISSED",
              f"{row['relation']} {row['aim']:g}"] for row in missed]) + "</details>")
    return out


def noted(row, key):
    return support.judged(row, key, "{:.1f}").replace(">=", "≥")


def peers_plots(found):
    out = []
    for method in dict.fromkeys(row["method"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["method"] == method and "ratio" in row]
        if rows:
            out.append(f"<h3>{method}: how many times as fast as auto_LiRPA</h3>")
            out.append(chart.rows_chart(
                [{"label": row["network"], "values": [row["ratio"], row.get("roof_ratio")], "aim": row.get("aims", {}).get("ratio", [0, None])[1],
                  "note": noted(row, "ratio"), "missed": support.met(row, "ratio") is False}
                 for row in rows], [("auto_LiRPA's time over ours", chart.OURS), ("over the roof of one core", chart.ROOF)],
                "times as fast", "aim", from_one=True))
    rows = [row for row in found["rows"] if row["method"] == "crown" and row.get("peer_s")]
    if rows:
        out.append("<h3>crown: time of the bounds</h3>")
        out.append(chart.rows_chart(
            [{"label": row["network"], "values": [1e3 * row["s"], 1e3 * row["peer_s"]],
              "note": f"{support.milliseconds(row['s'])} / {support.milliseconds(row['peer_s'])} ms"} for row in rows],
            [("BoundFlow", chart.OURS), ("auto_LiRPA", chart.PEER)], "ms, one thread"))
        out.append("<h3>crown: memory of a run</h3><p>BoundFlow: its workspace. auto_LiRPA: what the process grew by while "
                   "it computed, after its imports and weights.</p>")
        out.append(chart.rows_chart(
            [{"label": row["network"], "values": [row["bytes"] / 2**20, row["peer_bytes"] / 2**20],
              "note": noted(row, "memory"), "missed": support.met(row, "memory") is False} for row in rows],
            [("BoundFlow", chart.OURS), ("auto_LiRPA", chart.PEER)], "MiB; on the right the ratio"))
    return out


def kind_of(kernel):
    return next(kind for kind in ("interval", "linear", "conv", "relax") if kernel.startswith(kind))


def micro_plots(found):
    out = ["<p>A kernel's roof is the fma peak, or its flops per byte times the rate at which one core reads as many bytes "
           "as the kernel touches: the lines are this rate for some sizes. All measured in this run.</p>"]
    for core in found["cores"]:
        rows = [row for row in found["rows"] if row["isa"] == core["isa"] and row["dtype"] == core["dtype"]]
        points = [{"x": row["intensity"], "y": row["flop_rate"], "kind": kind_of(row["kernel"]),
                   "hollow": int(re.findall(r"(\d+) lanes", row["kernel"])[0]) < 16,
                   "hint": f"{row['kernel']}: {row['flop_rate'] * 1e-9:.1f} GF/s, {row['roof_share']:.0%} of its roof"}
                  for row in rows]
        rates = []
        for size, rate in core["read"]:
            if not rates or rate < rates[-1][1] / 1.6:  # lines that lie closer would hide each other's words
                rates.append((f"reading {support.size_words(size)}", rate))
        out.append(f"<h3>{core['isa']}, {core['dtype']}</h3>" + chart.roofline(points, core["peak"], rates, KINDS))
    return out


def plan_plots(found):
    """Medians of the families, CROWN."""
    executors = dict.fromkeys(row["executor"] for row in found["rows"])
    families = {}
    for row in found["rows"]:
        if row["method"] == "crown" and "s" in row:
            families.setdefault(row["family"], []).append(row)
    times, sizes = [], []
    for family, rows in families.items():
        seconds = [support.median([row["s"] for row in rows if row["executor"] == name]) for name in executors]
        native = [row for row in rows if row["executor"] == "native" and "planned_bytes" in row]
        share = support.median([row["flops"] / row["dense_flops"] for row in native if row["dense_flops"]])
        times.append({"label": family, "values": [value and 1e3 * value for value in seconds],
                      "note": f"{share:.2f} of dense flops" if share else ""})
        if native:
            planned, none = (support.median([row[key] / 1024 for row in native])
                             for key in ("planned_bytes", "baseline_bytes"))
            sizes.append({"label": family, "values": [planned, none], "note": f"{100 * (1 - planned / none):.0f} % less"})
    return ["<h3>crown: time of a run, median over the networks of a family</h3>",
            chart.rows_chart(times, list(zip(executors, chart.COLOURS)), "ms, one thread"),
            "<h3>crown: planned bytes, median over the networks of a family</h3>",
            chart.rows_chart(sizes, [("planned", chart.OURS), ("one buffer per value", chart.PEER)], "KiB")]


PLOTS = {"peers": peers_plots, "micro": micro_plots, "plan": plan_plots}


def part_section(name, module, found):
    out = [f'<h2 id="{name}">{html.escape(module.TITLE)}</h2>']
    out += PLOTS[name](found) if name in PLOTS else []
    listed = [(title, table(header, rows)) for title, header, rows in module.tables(found)]
    shown = " open" if name not in ("micro", "plan") else ""
    return out + [f"<details{shown}><summary>{html.escape(title)}</summary>{text}</details>" for title, text in listed]


def render(report, modules):
    facts = report["machine"]
    parts = [name for name in ("peers", "micro", "plan", *modules) if name in report["parts"]]
    parts = list(dict.fromkeys(parts))
    out = ["<!doctype html><html lang='en'><head><meta charset='utf-8'><title>BoundFlow benchmarks</title>",
           f"<style>{STYLE}</style></head><body><h1>BoundFlow benchmarks</h1>",
           f"<p class='dim'>{html.escape(report['date'])}, commit {html.escape(str(report['commit']))}, "
           f"{html.escape(facts['cpu'])}, {facts['cores']} cores, {' '.join(facts['isa'])}; "
           f"load {facts['load'][0]} at the start, {report.get('load_at_end', ['-'])[0]} at the end{'; quick run' if report['quick'] else ''}. "
           f"A figure is the fastest call of all; processes of each side: {report['rounds']}, in turn.</p>",
           "<nav>" + "".join(f"<a href='#{name}'>{name}</a>" for name in ["aims", *parts]) + "</nav>"]
    out += aims_section(report)
    for name in parts:
        out += part_section(name, modules[name], report["parts"][name])
    if report["skipped"]:
        listed = "".join(f"<li>{html.escape(words)}</li>" for words in report["skipped"])
        out.append(f"<h2>Skipped</h2><ul>{listed}</ul>")
    return "\n".join(out) + "\n</body></html>\n"


def write(report, modules, path):
    text = render(report, modules)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)


def main():
    if len(sys.argv) != 3:
        sys.exit("usage: page.py BENCH.json OUT.html")
    import bench  # the table of parts
    with open(sys.argv[1], encoding="utf-8") as text:
        write(json.load(text), bench.PARTS, sys.argv[2])


if __name__ == "__main__":
    main()
