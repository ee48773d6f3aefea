"""What the error terms cost: --rounding outward against nearest, CROWN, time and width."""
import os

import support

TITLE = "Cost of the error terms: outward rounding against none"
ACAS = ("acasxu/onnx/ACASXU_run2a_{}_batch_2000.onnx", "acasxu/vnnlib/prop_{}.vnnlib.gz")
MNIST = ("mnist_fc/onnx/mnist-net_256x{}.onnx", "mnist_fc/vnnlib/prop_{}.vnnlib.gz")
IMAGES = [f"{image}_{eps}" for image in (0, 1, 2) for eps in ("0.03", "0.05")]
# several networks and boxes of each kind
BOXES = {
    "acasxu": [(ACAS[0].format(net), ACAS[1].format(prop)) for net, prop in
               (("1_1", 1), ("2_5", 1), ("3_3", 2), ("4_9", 2), ("1_1", 3), ("2_2", 3), ("4_5", 4), ("5_9", 3))],
    "mnist_fc 256x2": [(MNIST[0].format(2), MNIST[1].format(image)) for image in IMAGES],
    "mnist_fc 256x4": [(MNIST[0].format(4), MNIST[1].format(image)) for image in IMAGES],
}
TIME_AIM, WIDENING_AIMS = 1.1, {"float32": 5e-4, "float64": 1e-11}
SECONDS = 0.05  # of repeats in a process


def measure_kind(run, name, boxes, dtype):
    """Medians over the boxes: ratio of the fastest times; widening of all outputs, relative to their width."""
    ratios, widening = [], []
    for model, prop in boxes:
        sides = support.in_turn(run.rounds, {
            rounding: support.bound_side(run.binary, model, ["--vnnlib", prop], "crown", SECONDS, "--dtype", dtype,
                                         "--rounding", rounding) for rounding in ("nearest", "outward")})
        for side in sides.values():
            if side.error:
                raise support.Failed(side.error)
        ratios.append(sides["outward"].seconds / sides["nearest"].seconds)
        plain, safe = ([high - low for low, high in zip(sides[key].best["lower"], sides[key].best["upper"])]
                       for key in ("nearest", "outward"))
        widening += [(b - a) / a for a, b in zip(plain, safe) if a > 0]
    row = {"case": f"{name} {dtype}", "boxes": len(boxes), "time_ratio": support.median(ratios),
           "widening": support.median(widening), "widening_max": max(widening, default=None)}
    if dtype == "float32":
        support.aim(row, "time_ratio", "<=", TIME_AIM)
    support.aim(row, "widening", "<=", WIDENING_AIMS[dtype])
    return row


def measure(run):
    data, rows = support.data_dir(), []
    for name, listed in BOXES.items():
        boxes = [(os.path.join(data or "", "vnncomp", model), os.path.join(data or "", "vnncomp", prop))
                 for model, prop in listed]
        boxes = [box for box in boxes if os.path.isfile(box[0]) and os.path.isfile(box[1])]
        if not boxes:
            run.skip(f"rounding {name} (no public networks)")
            continue
        for dtype in ("float32", "float64"):
            if not run.wants("rounding", f"{name} {dtype}"):
                continue
            run.note("rounding", f"{name} {dtype}")
            try:
                rows.append(measure_kind(run, name, boxes, dtype))
            except support.Failed as error:
                run.skip(f"rounding {name} {dtype} ({error})")
    return {"rows": rows}


def tables(found):
    yield ("CROWN, one thread", ["case", "boxes", "time ratio", "widening, median", "largest"],
           [[row["case"], row["boxes"], support.judged(row, "time_ratio", "{:.3f}"),
             support.judged(row, "widening", "{:.1e}"), f"{row['widening_max']:.1e}"] for row in found["rows"]])
