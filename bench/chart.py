"""Plots as SVG text: rows of dots on one logarithmic axis, and points under a roofline. No library, one colour per side."""
import html
import math

OURS, PEER, AIM, GRID, TEXT = "#1b66b3", "#d1701c", "#222222", "#dddddd", "#222222"
ROOF = "#999999"
COLOURS = (OURS, PEER, "#2d8a4e", "#8a4fa3", "#777777")
WIDTH, ROW, LABEL, RIGHT = 960, 20, 210, 190


def text(x, y, words, anchor="start", size=12, colour=TEXT, more=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"{more}>'
            f"{html.escape(str(words))}</text>")


def line(x1, y1, x2, y2, colour=GRID, width=1.0, more=""):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
            f'stroke-width="{width}"{more}/>')


def dot(x, y, colour, hint, hollow=False, size=4.5):
    fill = "white" if hollow else colour
    return (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{fill}" stroke="{colour}" stroke-width="1.5">'
            f"<title>{html.escape(hint)}</title></circle>")


def svg(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" '
            f'height="{height:.0f}" font-family="sans-serif">{"".join(parts)}</svg>')


class LogAxis:
    """From the values to pixels; whole decades, or the 1-2-5 steps around values that span less than one and a half."""

    def __init__(self, values, start, end):
        low, high = min(values), max(values)
        steps = (1, 2, 5) if high / low < 40 else (1,)
        decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
        ticks = sorted(step * 10.0 ** decade for decade in decades for step in steps)
        first = max((tick for tick in ticks if tick <= low * 1.0001), default=low)
        last = min((tick for tick in ticks if tick >= high * 0.9999), default=high)
        last = last if last > first else min(tick for tick in ticks if tick > first)
        self.ticks = [tick for tick in ticks if first <= tick <= last]
        self.first, self.start, self.scale = first, start, (end - start) / math.log10(last / first)

    def __call__(self, value):
        return self.start + self.scale * math.log10(value / self.first)


def number(value):
    """A tick's label: 0.01, 5, 200, 1000, 1e5."""
    return f"{value:g}" if 1e-3 <= value < 1e5 else f"1e{math.log10(value):.0f}"


def legend(y, entries, x=LABEL):
    """[(shape, colour, words)] in a line; shape: dot, hollow or tick."""
    parts = []
    for shape, colour, words in entries:
        parts.append(line(x, y - 10, x, y + 2, colour, 2.5) if shape == "tick" else
                     dot(x, y - 4, colour, words, shape == "hollow"))
        parts.append(text(x + 10, y, words))
        x += 34 + 6.6 * len(words)
    return parts


def rows_chart(rows, series, unit, aim_words=None, from_one=False):
    """A row for each case: {"label", "values": one per series or None, "aim": number or None, "note": words on the right,
    "missed": bool}. |series|: [(words, colour)]. A line joins the dots of a row, or the first with 1."""
    numbers = [value for row in rows for value in (*row["values"], row.get("aim")) if value and value > 0]
    if not numbers:
        return ""
    axis = LogAxis(numbers + [1.0] * from_one, LABEL, WIDTH - RIGHT)
    top, bottom = 34, 34 + ROW * len(rows)
    entries = [("dot", colour, words) for words, colour in series]
    parts = legend(16, entries + ([("tick", AIM, aim_words)] if aim_words else []))
    for tick in axis.ticks:
        parts += [line(axis(tick), top, axis(tick), bottom), text(axis(tick), bottom + 15, number(tick), "middle", 11)]
    if from_one:
        parts.append(line(axis(1), top, axis(1), bottom, "#888888", 1.5))
    parts.append(text((LABEL + WIDTH - RIGHT) / 2, bottom + 32, unit, "middle"))
    for index, row in enumerate(rows):
        parts += one_row(row, series, axis, top + ROW * (index + 0.5), from_one)
    return svg(WIDTH, bottom + 40, parts)


def one_row(row, series, axis, y, from_one):
    parts = [text(LABEL - 10, y + 4, row["label"], "end")]
    shown = [(value, colour, words) for value, (words, colour) in zip(row["values"], series) if value and value > 0]
    ends = [axis(value) for value, _, _ in shown[:1 if from_one else None]] + ([axis(1)] if from_one else [])
    if len(ends) > 1:
        parts.append(line(min(ends), y, max(ends), y, "#b9c9da", 3))
    if row.get("aim"):
        parts.append(line(axis(row["aim"]), y - 7, axis(row["aim"]), y + 7, AIM, 2.5))
    parts += [dot(axis(value), y, colour, f"{row['label']}, {words}: {value:.4g}") for value, colour, words in shown]
    colour = "#b00020" if row.get("missed") else TEXT
    parts.append(text(WIDTH - RIGHT + 16, y + 4, row.get("note", ""), colour=colour))
    return parts


def roofline(points, peak, rates, kinds):
    """Points {"x": flop/byte, "y": flop/s, "kind", "hollow", "hint"} under min(|peak|, x * rate) for each of |rates|
    [(words, bytes/s)]; |kinds| give the colours."""
    height, left, right, top, bottom = 460, 70, 720, 40, 410
    across = LogAxis([point["x"] for point in points] + [0.1, 100], left, right)
    up = LogAxis([point["y"] for point in points] + [peak * 1.2], bottom, top)
    shown = [("dot", COLOURS[i], kind) for i, kind in enumerate(kinds)]
    parts = legend(18, shown + [("hollow", AIM, "fewer than 16 lanes")], left)
    for tick in across.ticks:
        parts += [line(across(tick), top, across(tick), bottom),
                  text(across(tick), bottom + 16, number(tick), "middle", 11)]
    for tick in up.ticks:
        parts += [line(left, up(tick), right, up(tick)), text(left - 8, up(tick) + 4, number(tick * 1e-9), "end", 11)]
    first, last = across.ticks[0], across.ticks[-1]
    for words, rate in rates:
        knee, floor = min(peak / rate, last), max(first, up.first / rate)
        parts.append(line(across(floor), up(floor * rate), across(knee), up(knee * rate), "#888888", 1.5))
        slope = math.degrees(math.atan2(up(knee * rate) - up(floor * rate), across(knee) - across(floor)))
        x, y = across(floor) + 8, up(floor * rate) - 10
        parts.append(text(x, y, f"{words}: {rate * 1e-9:.0f} GB/s", size=11, colour="#555555",
                          more=f' transform="rotate({slope:.1f} {x:.1f} {y:.1f})"'))
    knee = peak / max(rate for _, rate in rates)
    parts.append(line(across(max(knee, first)), up(peak), right, up(peak), AIM, 2))
    parts.append(text(right + 10, up(peak) + 4, f"fma peak {peak * 1e-9:.0f} GF/s"))
    parts += [text((left + right) / 2, bottom + 36, "flop per byte", "middle"),
              text(18, (top + bottom) / 2, "GF/s", "middle", more=f' transform="rotate(-90 18 {(top + bottom) / 2})"')]
    parts += [dot(across(point["x"]), up(point["y"]), COLOURS[kinds.index(point["kind"])], point["hint"], point["hollow"])
              for point in points]
    return svg(WIDTH, height, parts)

