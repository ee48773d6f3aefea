#!/usr/bin/env python3
"""The benchmark suite: what bench/compare.py calls worse, on small made-up files; that the fastest of all processes
counts; aims and their page; and one real run of bench/bench.py on an own network, compared with itself.
"""

import contextlib
import copy
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import bench  # noqa: E402
import chart  # noqa: E402
import page  # noqa: E402
import support  # noqa: E402
import vendor  # noqa: E402
from parts import micro  # noqa: E402

BINARY = os.environ.get("BOUNDFLOW_BIN", str(ROOT / "build" / "boundflow"))


def report(**rows):
    """A file of one part: {case: seconds of every process, or a whole row}."""
    listed = [{"case": name, **(row if isinstance(row, dict) else {"s": min(row), "samples": row})}
              for name, row in rows.items()]
    return {"format": "boundflow-bench-1", "commit": "0", "date": "today", "quick": False, "rounds": 2, "skipped": [],
            "machine": {"cpu": "a", "cores": 2, "isa": ["avx2"], "load": [0.1]}, "parts": {"peers": {"rows": listed}}}


class Compare(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_files(self, old, new, *options):
        """(exit code, output) of compare.py."""
        paths = []
        for name, content in (("old", old), ("new", new)):
            paths.append(os.path.join(self.folder.name, name))
            with open(paths[-1], "w", encoding="utf-8") as out:
                out.write(content if isinstance(content, str) else json.dumps(content))
        done = subprocess.run([sys.executable, str(ROOT / "bench" / "compare.py"), *paths, *options], capture_output=True,
                              text=True)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, done.stdout

    def check(self, old, new, code, words, *options):
        got, said = self.run_files(report(x=old), report(x=new), *options)
        self.assertEqual(got, code, said)
        self.assertRegex(said, words)

    def test_same(self):
        self.check([1e-3, 1e-3], [1e-3, 1e-3], 0, "1 cases in both files, 0 worse")

    def test_slower(self):
        self.check([1e-3, 1e-3], [1.3e-3, 1.3e-3], 1, r"peers/x .*\+30\.0 %.*SLOWER")

    def test_within_the_threshold(self):
        self.check([1e-3, 1e-3], [1.09e-3, 1.09e-3], 0, "0 worse")
        self.check([1e-3, 1e-3], [1.09e-3, 1.09e-3], 1, "SLOWER", "--threshold", "0.05")

    def test_fastest_counts(self):
        self.check([1e-3, 1e-3], [1e-3, 5e-3], 0, "0 worse")
        self.check([1e-3, 5e-3], [4e-3, 4e-3], 1, "SLOWER")

    def test_noise_is_allowed(self):
        self.check([1e-3, 1.3e-3], [1.3e-3, 1.35e-3], 0, "0 worse")
        self.check([1e-3, 1.1e-3], [1.3e-3, 1.35e-3], 1, "SLOWER")

    def test_noise_does_not_excuse_everything(self):
        self.check([1e-3, 9e-3], [1.7e-3, 9e-3], 1, "SLOWER")

    def test_little_time_does_not_count(self):
        self.check([2e-6, 2e-6], [3.5e-6, 3.5e-6], 0, "0 worse")
        self.check([2e-6, 2e-6], [3.5e-6, 3.5e-6], 1, "SLOWER", "--least", "1e-7")

    def test_faster(self):
        self.check([2e-3, 2e-3], [1e-3, 1e-3], 0, "faster")

    def test_memory(self):
        row = {"s": 1e-3, "samples": [1e-3, 1e-3]}
        self.check({**row, "bytes": 1000}, {**row, "bytes": 1200}, 1, r"\+20\.0 %.*MORE MEMORY")
        self.check({**row, "bytes": 1000}, {**row, "bytes": 1050}, 0, "0 worse")
        self.check({**row, "planned_bytes": 1000}, {**row, "planned_bytes": 2000}, 1, "MORE MEMORY")

    def test_failed(self):
        self.check([1e-3, 1e-3], {"error": "it crashed"}, 1, "FAILED: it crashed")
        self.check({"error": "it crashed"}, {"error": "it crashed"}, 0, "0 worse")

    def test_cases_of_one_file(self):
        code, said = self.run_files(report(x=[1e-3], gone=[1e-3]), report(x=[1e-3], new=[1e-3], more=[1e-3]))
        self.assertEqual(code, 0)
        self.assertIn("1 in the old one only, 2 in the new one only", said)

    def test_not_comparable(self):
        other = report(x=[1e-3])
        other["machine"]["cpu"] = "b"
        old = report(x=[1e-3])
        old_format = {**copy.deepcopy(old), "format": "boundflow-bench-0"}
        for new in (other, report(y=[1e-3]), old_format, "[]", "no json", "{}"):
            self.assertEqual(self.run_files(old, new)[0], 2, new)


class InTurn(unittest.TestCase):
    def test_order_and_fastest(self):
        asked, times = [], {"a": [3.0, 1.0, 2.0], "b": [5.0, 4.0, 6.0]}

        def side(name):
            def run():
                asked.append(name)
                seconds = times[name].pop(0)
                return f"{name} {seconds}", seconds
            return run

        found = support.in_turn(3, {name: side(name) for name in ("a", "b")})
        self.assertEqual(asked, ["a", "b"] * 3)
        self.assertEqual((found["a"].best, found["a"].seconds), ("a 1.0", 1.0))
        self.assertEqual(found["b"].samples, [5.0, 4.0, 6.0])

    def test_fewer_rounds_of_one_side(self):
        found = support.in_turn(3, {"a": lambda: ("", 1.0), "b": lambda: ("", 2.0)}, {"b": 1})
        self.assertEqual((found["a"].samples, found["b"].samples), ([1.0] * 3, [2.0]))

    def test_failure_ends_one_side(self):
        asked = []

        def failing():
            asked.append(1)
            raise support.Failed("no")

        found = support.in_turn(3, {"bad": failing, "good": lambda: ("x", 1.0)})
        self.assertEqual((len(asked), found["bad"].error, found["bad"].best), (1, "no", None))
        self.assertEqual(len(found["good"].samples), 3)

    def test_threads_are_timed_on_the_wall(self):
        answer = {"time_min_s": 3.0, "cpu_min_s": 2.0, "threads": 1}
        self.assertEqual(support.fastest(answer), 2.0)
        self.assertEqual(support.fastest({**answer, "threads": 2}), 3.0)


class Roof(unittest.TestCase):
    CORE = {"peak": 1e11, "read": [[10**4, 1e11], [10**6, 1e10], [10**8, 1e10]]}

    def test_products_or_bytes(self):
        self.assertAlmostEqual(support.roof_seconds(self.CORE, 1e9, 10), 1e-2)
        self.assertAlmostEqual(support.roof_seconds(self.CORE, 0, 10**4), 1e-7)

    def test_rate_is_between_those_measured(self):
        for count, rate in ((10**3, 1e11), (10**5, 10**10.5), (10**6, 1e10), (10**7, 1e10), (10**10, 1e10)):
            self.assertAlmostEqual(count / support.roof_seconds(self.CORE, 0, count) / rate, 1, msg=str(count))


class Aims(unittest.TestCase):
    def row(self, value, relation, aim):
        made = {"case": "x", "s": 1.0, "samples": [1.0], "ratio": value}
        support.aim(made, "ratio", relation, aim)
        return made

    def test_judged(self):
        self.assertEqual(support.judged(self.row(8.0, ">=", 8), "ratio"), "8 (>= 8)")
        self.assertEqual(support.judged(self.row(7.0, ">=", 8), "ratio"), "7 (>= 8) MISSED")
        self.assertEqual(support.judged(self.row(9.0, "<=", 8), "ratio"), "9 (<= 8) MISSED")
        self.assertEqual(support.judged({"s": 0.002}, "s", "{:.1f}", 1e3), "2.0")
        self.assertEqual(support.judged({}, "s"), "-")

    def test_counted(self):
        made = report()
        made["parts"]["peers"]["rows"] = [self.row(7.0, ">=", 8), self.row(9.0, ">=", 8), {"case": "none"}]
        self.assertEqual([aim["met"] for aim in page.aims(made)], [False, True])


class Vendor(unittest.TestCase):
    def test_kernels_that_it_has(self):
        self.assertEqual(vendor.parse("linear 784x256, 64 lanes"), ("linear", 784, 256, 64))
        self.assertEqual(vendor.parse("convT 3x3/2 32->16 8x8, 1 lanes"), ("convT", 3, 2, 32, 16, 8, 1))
        for name in ("interval linear 784x256, 1 lanes", "interval conv 3x3/1 16->3 32x32, 1 lanes",
                     "relax 256, 64 lanes, own parameters"):
            self.assertIsNone(vendor.parse(name))

    def test_column_only_where_there_is_one(self):
        def row(name, samples):
            made = {"case": name, "kernel": name, "isa": "avx2", "dtype": "float32", "flops": 4e9, "bytes": 1e9,
                    "read_rate": 1e9, "samples": [2.0], "vendor_samples": samples}
            micro.judge(made, 1e12)
            return made
        cores = [{"isa": "avx2", "dtype": "float32", "peak": 1e12, "read": [[1024, 1e9]]}]
        with_it, without = row("linear 5x5, 64 lanes", [4.0, 1.0]), row("relax 5, 64 lanes, own parameters", [])
        (_, header, rows), = micro.tables({"cores": cores, "rows": [with_it, without]})
        self.assertEqual((header[-1], rows[0][-1], rows[1][-1]), (micro.VENDOR, "4.0", "-"))
        (_, header, rows), = micro.tables({"cores": cores, "rows": [without]})
        self.assertTrue(micro.VENDOR not in header and len(rows[0]) == len(header))


class Page(unittest.TestCase):
    def test_ticks_hold_all_values(self):
        for values in ([3.0, 3.0], [0.02, 900.0], [1.0, 39.0], [1.0, 1.0001], [1e-4, 1e-4]):
            axis = chart.LogAxis(values, 100, 500)
            self.assertGreaterEqual(len(axis.ticks), 2)
            for value in values:
                self.assertTrue(99 <= axis(value) <= 501, (values, axis.ticks))

    def test_charts_are_xml(self):
        rows = [{"label": "a<b", "values": [2.0, None], "aim": 3, "note": "& so on", "missed": True},
                {"label": "c", "values": [20.0, 1.0], "aim": None, "note": ""}]
        text = chart.rows_chart(rows, [("one", "red"), ("two", "blue")], "ms", "aim", from_one=True)
        points = [{"x": 0.5, "y": 1e9, "kind": "linear", "hollow": True, "hint": "h"}]
        for drawn in (text, chart.roofline(points, 1e11, [("reading", 1e10)], page.KINDS)):
            xml.dom.minidom.parseString(drawn)
        self.assertEqual(text.count("<circle"), 2 + 3)  # the legend's and the values
        self.assertEqual(chart.rows_chart([], [], "ms"), "")


class Suite(unittest.TestCase):
    def run_suite(self, folder, *options):
        env = dict(os.environ, BOUNDFLOW_DATA=folder)
        env.pop("BOUNDFLOW_PEER_PYTHON", None)
        return subprocess.run([sys.executable, str(ROOT / "bench" / "bench.py"), "--boundflow", BINARY, "--out", folder,
                               *options], capture_output=True, text=True, env=env)

    def test_run(self):
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_suite(folder, "--only", "plan/models/digits_mlp crown native", "--only",
                                  "peers/digits_resnet ibp", "--rounds", "2")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, "(?m)^skipped: the peer .*BOUNDFLOW_PEER_PYTHON")
            self.assertIn("skipped: plan: the public networks", done.stdout)
            path = os.path.join(folder, "bench.json")
            with open(path, encoding="utf-8") as text:
                made = json.load(text)
            self.assertEqual({part: [row["case"] for row in found["rows"]] for part, found in made["parts"].items()},
                             {"plan": ["models/digits_mlp crown native"], "peers": ["digits_resnet ibp"]})
            (plan,), (bound,) = (made["parts"][part]["rows"] for part in ("plan", "peers"))
            self.assertTrue(0 < plan["planned_bytes"] < plan["baseline_bytes"])
            self.assertTrue(0 < plan["flops"] <= plan["dense_flops"])
            self.assertEqual((len(plan["samples"]), min(plan["samples"])), (2, plan["s"]))
            self.assertTrue(bound["bytes"] > 0 and "peer_s" not in bound)
            with open(os.path.join(folder, "bench.html"), encoding="utf-8") as text:
                html = text.read()
            self.assertIn("<svg", html)
            self.assertIn("digits_mlp", html)
            self.assertFalse(re.search(r"<script|(src|href)=.https?:", html), "the page needs nothing else")
            same = subprocess.run([sys.executable, str(ROOT / "bench" / "compare.py"), path, path], capture_output=True,
                                  text=True)
            self.assertEqual(same.returncode, 0, same.stderr)

    def test_unknown_part(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.run_suite(folder, "--only", "peer/acasxu").returncode, 2)

    def test_wants(self):
        arguments = type("Arguments", (), {"boundflow": "x", "dtype": "float32", "quick": True, "rounds": None, "out": "x",
                                           "no_peer": True, "tvm": False, "only": ["micro", "peers/acas.*crown$"]})
        with contextlib.redirect_stdout(io.StringIO()):
            run = bench.Run(arguments)
        self.assertTrue(run.wants("micro") and run.wants("micro", "any") and run.wants("peers"))
        self.assertTrue(run.wants("peers", "acasxu crown"))
        self.assertFalse(run.wants("peers", "acasxu ibp") or run.wants("plan") or run.wants("plan", "acasxu crown"))


if __name__ == "__main__":
    unittest.main()
