#!/usr/bin/env python3
"""Radii and sweeps: the radius that each method certifies, and what a cache file saves.

Parts: radius  `boundflow radius` for every image and method: radii, radii tried, time of one search
       cache   `boundflow sweep` of 20 radii, cold and again with the same cache file; aim: 5 times faster

Networks: digits_mlp and digits_resnet with the ten images of models/, mnist_fc's two and cifar10_resnet's
resnet_2b with images of their properties. One thread. What is missing (public data) is said and left out.
"""
import fractions
import glob
import gzip
import json
import os
import resource
import struct
import sys
import tempfile

import support

sys.path.insert(0, os.path.join(support.ROOT, "scripts"))
import sample_inputs  # noqa: E402

PARTS = ("radius", "cache")
AIM = 5
MNIST_RADIUS = fractions.Fraction("0.03")


def mnist_images(folder):
    """Pixels of the images that mnist_fc's properties are about."""
    images = []
    for path in sorted(glob.glob(os.path.join(folder, "vnnlib", f"prop_*_{float(MNIST_RADIUS)}.vnnlib*"))):
        opened = gzip.open(path, "rt") if path.endswith(".gz") else open(path, encoding="utf-8")
        with opened as text:
            pixels = sample_inputs.read_image(text.read(), MNIST_RADIUS)
            images.append([min(1.0, max(0.0, float(p))) for p in pixels])  # written with 16 digits
    return images


def box_centre(path):
    """Middle of the box of a property that is not clipped."""
    with (gzip.open(path, "rt") if path.endswith(".gz") else open(path, encoding="utf-8")) as text:
        ends = {"<=": {}, ">=": {}}
        for relation, index, number in sample_inputs.BOUND.findall(text.read()):
            ends[relation].setdefault(int(index), float(number))
    return [(ends["<="][i] + ends[">="][i]) / 2 for i in range(len(ends["<="]))]


def find_cases():
    """(name, network, images, range of the sweep's radii, clip of the inputs)."""
    clip = ["--clip", "0", "1"]
    models = os.path.join(support.ROOT, "models")
    digits = [pixels for _, pixels in sorted(sample_inputs.read_images().values())]
    cases = [(name, os.path.join(models, name + ".onnx"), digits, "0.005:0.1:20", clip)
             for name in ("digits_mlp", "digits_resnet")]
    data = support.data_dir()
    if not data:
        print("skipped: mnist_fc (no BOUNDFLOW_DATA, no ../shared/data)")
        return cases
    folder = os.path.join(data, "vnncomp", "mnist_fc")
    images = mnist_images(folder)
    for path in sorted(glob.glob(os.path.join(folder, "onnx", "*.onnx"))):
        cases.append((os.path.basename(path)[:-len(".onnx")], path, images, "0.002:0.04:20", clip))
    folder = os.path.join(data, "vnncomp", "cifar10_resnet")
    boxes = sorted(glob.glob(os.path.join(folder, "vnnlib", "*")))
    cases.append(("resnet_2b", os.path.join(folder, "onnx", "resnet_2b.onnx"),
                  [box_centre(path) for path in boxes[:3]], "0.004:0.08:20", []))
    return cases


def save_images(path, images):
    numbers = [number for image in images for number in image]
    sample_inputs.write_npy(path, "<f8", (len(images), len(images[0])),
                            struct.pack(f"<{len(numbers)}d", *numbers))


def measure_radius(arguments, case, method, scratch):
    name, network, images, _, clip = case
    found = []
    for number, image in enumerate(images[:arguments.images]):
        centre = os.path.join(scratch, f"{name}-{number}.npy")
        save_images(centre, [image])
        runs = [support.run_json([arguments.boundflow, "radius", network, "--center", centre, *clip,
                                  "--method", method, "--threads", "1", "--json"])
                for _ in range(arguments.rounds)]
        found.append(min(runs, key=lambda run: run["time_s"]))
    return {"network": name, "method": method, "images": len(found),
            "certified": support.median([run["certified"] for run in found]),
            "falsified": support.median([float(run["falsified"]) for run in found]),
            "runs": support.median([run["runs"] for run in found]),
            "bounds_s": support.median([run["bounds_s"] for run in found]),
            "attack_s": support.median([run["attack_s"] for run in found])}


def radius_part(arguments, cases, scratch):
    rows = []
    for case in cases:
        for method in arguments.methods.split(","):
            try:
                rows.append(measure_radius(arguments, case, method, scratch))
            except support.Failed as error:
                print(f"skipped: radius, {case[0]}, {method}: {error}")
    print("\nradius, medians over the images\n")
    support.print_table(
        ["network", "method", "images", "certified", "counterexample", "radii tried", "bounds ms", "attack ms"],
        [[r["network"], r["method"], r["images"], f"{r['certified']:.4f}", f"{r['falsified']:.4f}",
          f"{r['runs']:.0f}", support.milliseconds(r["bounds_s"]), support.milliseconds(r["attack_s"])]
         for r in rows])
    return rows


def run_timed(command):
    """The answer, with the processor's seconds of the process in it: what a busy machine does not change."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = support.run_json(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer["cpu_s"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return answer


def measure_cache(arguments, case, methods, scratch):
    """Cold and second runs, in turns; every cold one begins with no file."""
    name, network, images, radii, clip = case
    inputs, cache = os.path.join(scratch, f"{name}.npy"), os.path.join(scratch, f"{name}-{methods}.cache")
    save_images(inputs, images[:arguments.images])
    command = [arguments.boundflow, "sweep", network, "--inputs", inputs, *clip, "--eps", radii, "--method", methods,
               "--threads", "1", "--json"]
    runs = {"plain": [], "cold": [], "second": []}
    for _ in range(arguments.rounds):
        for path in glob.glob(cache + "*"):
            os.remove(path)
        runs["plain"].append(run_timed(command))
        runs["cold"].append(run_timed(command + ["--cache", cache]))
        runs["second"].append(run_timed(command + ["--cache", cache]))
    answers = {json.dumps([m["certified"] for m in run["methods"]]) for kind in runs.values() for run in kind}
    if len(answers) > 1:
        raise support.Failed("the cache changes what is certified")
    row = {"network": name, "methods": methods, "images": len(images[:arguments.images]),
           "runs": sum(m["rows"]["run"] for m in runs["cold"][0]["methods"]),
           "file_bytes": os.path.getsize(cache)}
    for kind in runs:
        for clock in ("time_s", "cpu_s"):
            row[f"{kind}_{clock}"] = min(run[clock] for run in runs[kind])
    return row


def cache_part(arguments, cases, scratch):
    rows = []
    for case in cases:
        for methods in arguments.methods.split(",") + [arguments.methods] * ("," in arguments.methods):
            try:
                rows.append(measure_cache(arguments, case, methods, scratch))
            except support.Failed as error:
                print(f"skipped: cache, {case[0]}, {methods}: {error}")
    print("\na sweep of 20 radii, the whole process: without a cache, with an empty cache file, and again;\n"
          "cpu: the processor's time alone, without waiting for the disk or other processes\n")
    support.print_table(
        ["network", "methods", "images", "runs", "no cache ms", "cold ms", "second ms", "ratio", "cpu: no cache",
         "cold", "second", "ratio", "file KiB"],
        [[r["network"], "all" if "," in r["methods"] else r["methods"], r["images"], r["runs"]]
         + [support.milliseconds(r[f"{kind}_time_s"]) for kind in ("plain", "cold", "second")]
         + [f"{r['cold_time_s'] / r['second_time_s']:.1f}"]
         + [support.milliseconds(r[f"{kind}_cpu_s"]) for kind in ("plain", "cold", "second")]
         + [f"{r['cold_cpu_s'] / r['second_cpu_s']:.1f}", r["file_bytes"] // 1024] for r in rows])
    missed = [f"{r['network']} {r['methods']}" for r in rows if r["cold_time_s"] < AIM * r["second_time_s"]]
    if rows:
        print(f"\naim: second run {AIM} times faster than cold: "
              + (f"missed by {', '.join(missed)}" if missed else "met by all"))
    return rows


def main():
    parser = support.parser(__doc__)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--methods", default="ibp,crown-ibp,crown")
    parser.add_argument("--only", default="", help="networks whose name contains this")
    parser.add_argument("--images", type=int, default=10, help="most per network")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; the fastest counts")
    arguments = support.parse(parser)
    cases = [case for case in find_cases() if arguments.only in case[0]]
    figures = support.new_report()
    with tempfile.TemporaryDirectory() as scratch:
        for part in arguments.parts.split(","):
            figures[part] = {"radius": radius_part, "cache": cache_part}[part](arguments, cases, scratch)
    support.write_json(figures, arguments.json)


if __name__ == "__main__":
    main()
