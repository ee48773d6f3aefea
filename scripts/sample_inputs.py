#!/usr/bin/env python3
"""Writes the images that the properties of models/ are about as inputs for `boundflow sweep`.

    sample_inputs.py X.npy LABELS.npy [--copies N] [--noise E] [--seed S]

X.npy holds one row of 64 pixels per image, float32; every network of models/ takes them. LABELS.npy
holds their digits. There are ten images, one of each digit; --copies adds N - 1 noisy ones of each.
Needs no more than Python.
"""

import argparse
import fractions
import pathlib
import random
import re
import struct

MODELS = pathlib.Path(__file__).resolve().parent.parent / "models"
ABOUT = re.compile(r"; \S+: image (\d+) of .*, label (\d+), radius (\S+)\.$")
BOUND = re.compile(r"\((<=|>=) X_(\d+) ([-+.0-9e]+)\)")


def read_image(text, radius):
    """Centre of the first box: its radius is the same everywhere, but it is cut to [0, 1]."""
    ends = {"<=": {}, ">=": {}}
    for relation, index, number in BOUND.findall(text):
        ends[relation].setdefault(int(index), fractions.Fraction(number))
    lower, upper = ends[">="], ends["<="]
    return [lower[i] + radius if lower[i] > 0 else upper[i] - radius for i in range(len(lower))]


def read_images():
    """{number: (label, pixels)} of all properties, by image."""
    images = {}
    for path in sorted((MODELS / "vnnlib").glob("*.vnnlib")):
        text = path.read_text(encoding="utf-8")
        about = ABOUT.match(text.splitlines()[0])
        if not about or about[1] in images:
            continue
        pixels = read_image(text, fractions.Fraction(about[3]))
        if all(0 <= pixel <= 1 for pixel in pixels):
            images[about[1]] = (int(about[2]), [float(pixel) for pixel in pixels])
    return images


def write_npy(path, kind, shape, data):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("inputs")
    parser.add_argument("labels")
    parser.add_argument("--copies", type=int, default=1, help="of each image, the first without noise")
    parser.add_argument("--noise", type=float, default=0.1, help="largest change of a pixel")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    generator = random.Random(args.seed)
    rows, labels = [], []
    for copy in range(args.copies):
        for label, pixels in sorted(read_images().values()):
            noise = args.noise if copy else 0
            rows += [min(1, max(0, p + generator.uniform(-noise, noise))) for p in pixels]
            labels.append(label)
    count, each = len(labels), len(rows) // len(labels)
    write_npy(args.inputs, "<f4", (count, each), struct.pack(f"<{len(rows)}f", *rows))
    write_npy(args.labels, "<i8", (count,), struct.pack(f"<{count}q", *labels))
    print(f"{count} images of {each} pixels: {args.inputs}, {args.labels}")


if __name__ == "__main__":
    main()
