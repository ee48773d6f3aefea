"""Properties about a digit image, as VNN-LIB 1.0 text and as the cases to decide.

A file asks "is there an input in the box with an unsafe output?". A case is one box with one
conjunction of `rows . y + offsets >= 0`; the property is `sat` when some case has such an input.
Box ends are exact decimals: an image's pixels are sixteenths and radii are decimal.
"""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np


def inward(end, towards):
    """The float32 nearest to a box end, or the next one towards the inside."""
    near = np.float32(float(end))
    outside = Decimal(float(near)) < end if towards > 0 else Decimal(float(near)) > end
    return np.nextafter(near, np.float32(towards)) if outside else near


@dataclass
class Box:
    lo: list  # Decimal per pixel
    hi: list

    @classmethod
    def around(cls, image, eps):
        """The ball of radius eps (a decimal string) around the image, cut to [0, 1]."""
        radius, pixels = Decimal(eps), [Decimal(float(v)) for v in np.ravel(image)]
        lo = [max(p - radius, Decimal(0)) for p in pixels]
        return cls(lo, [min(p + radius, Decimal(1)) for p in pixels])

    def outer(self):
        """float64 ends that contain the box."""
        lo, hi = (np.array([float(v) for v in side]) for side in (self.lo, self.hi))
        return np.nextafter(lo, -np.inf), np.nextafter(hi, np.inf)

    def inner(self):
        """float32 ends inside the box."""
        return tuple(
            np.array([inward(end, towards) for end in side], np.float32)
            for side, towards in ((self.lo, 2), (self.hi, -2))
        )

    def contains(self, x):
        exact = [Decimal(float(v)) for v in np.ravel(x)]
        return all(l <= v <= h for l, v, h in zip(self.lo, exact, self.hi))

    def atoms(self):
        for i, (lo, hi) in enumerate(zip(self.lo, self.hi)):
            yield f"(>= X_{i} {lo:f})"
            yield f"(<= X_{i} {hi:f})"


@dataclass
class Case:
    box: Box
    rows: np.ndarray  # [k, outputs]
    offsets: np.ndarray  # [k]


@dataclass
class Property:
    about: list  # comment lines
    asserts: list  # the bodies of the asserts
    cases: list

    def text(self, comments, inputs=64, outputs=10):
        lines = [f"; {line}" for line in self.about + comments] + [""]
        lines += [f"(declare-const X_{i} Real)" for i in range(inputs)]
        lines += [f"(declare-const Y_{j} Real)" for j in range(outputs)] + [""]
        return "\n".join(lines + [f"(assert {body})" for body in self.asserts]) + "\n"


def difference(plus, minus, outputs=10):
    row = np.zeros(outputs)
    row[plus], row[minus] = 1.0, -1.0
    return row


def others(label):
    return [j for j in range(10) if j != label]


def any_other(label):
    """Unsafe when some other class reaches the label's logit."""
    atoms = [f"    (and (>= Y_{j} Y_{label}))" for j in others(label)]
    return "(or\n" + "\n".join(atoms) + "\n)"


def robustness(image, label, eps, about):
    box = Box.around(image, eps)
    cases = [Case(box, difference(j, label)[None], np.zeros(1)) for j in others(label)]
    return Property(about, [*box.atoms(), any_other(label)], cases)


def disjoint_boxes(images, label, eps, about):
    """The label is kept around several images: a disjunction over boxes and one over outputs."""
    boxes = [Box.around(image, eps) for image in images]
    union = "(or\n" + "\n".join("    (and " + " ".join(b.atoms()) + ")" for b in boxes) + "\n)"
    cases = [Case(b, difference(j, label)[None], np.zeros(1)) for b in boxes for j in others(label)]
    return Property(about, [union, any_other(label)], cases)


def box_with_target(images, labels, targets, eps, about):
    """Each disjunct has its own box and its own unsafe output, as in nn4sys."""
    lines, cases = [], []
    for image, label, target in zip(images, labels, targets):
        box = Box.around(image, eps)
        lines.append("    (and " + " ".join(box.atoms()) + f" (>= Y_{target} Y_{label}))")
        cases.append(Case(box, difference(target, label)[None], np.zeros(1)))
    return Property(about, ["(or\n" + "\n".join(lines) + "\n)"], cases)


def maximal(image, target, eps, about):
    """Unsafe when `target` is the largest logit: plain asserts, all at once, as in ACAS Xu."""
    box = Box.around(image, eps)
    rows = np.array([difference(target, j) for j in others(target)])
    asserts = [*box.atoms(), *(f"(<= Y_{j} Y_{target})" for j in others(target))]
    return Property(about, asserts, [Case(box, rows, np.zeros(len(rows)))])


def lead(image, label, rival, gap, eps, about):
    """Unsafe when the label's logit leads the rival's by no more than gap: a linear term."""
    box = Box.around(image, eps)
    term = f"(<= (+ (* 1.0 Y_{label}) (* -1.0 Y_{rival})) {gap})"
    case = Case(box, difference(rival, label)[None], np.array([float(gap)]))
    return Property(about, [*box.atoms(), term], [case])
