#!/usr/bin/env python3
"""The vendor's libraries on the products and convolutions of micro/kernels.c, one thread: what a core is known to give.

The interpreter of the peer runs it, for its torch, which calls MKL or OpenBLAS and oneDNN. Arguments: float32 or
float64, then names of kernels as kernels.c writes them; every line written is {"case": NAME, "s": SECONDS}, the fastest
call of every layout that the library takes.
"""
import json
import re
import sys
import time

SECONDS, SHORT = 0.15, 1e-5  # of calls of one layout; of calls between two looks at the clock


def parse(name):
    """("linear", m, k, lanes) or ("conv" | "convT", kernel, stride, from, to, size, lanes); None: no such call."""
    numbers = [int(word) for word in re.findall(r"\d+", name)]
    if re.fullmatch(r"linear \d+x\d+, \d+ lanes", name):
        return ("linear", *numbers)
    if re.fullmatch(r"convT? \d+x\d+/\d+ \d+->\d+ \d+x\d+, \d+ lanes", name):
        kernel, _, stride, source, target, size, _, lanes = numbers
        return (name.split()[0], kernel, stride, source, target, size, lanes)
    return None


def linear_calls(torch, dtype, m, k, lanes):
    """Lanes innermost, as our kernels have them, and lanes outermost, as networks are evaluated."""
    weights = torch.rand(m, k, dtype=dtype) - 0.5
    if lanes == 1:
        vector, out = torch.rand(k, dtype=dtype), torch.empty(m, dtype=dtype)
        return [lambda: torch.mv(weights, vector, out=out)]
    inner, outer = torch.rand(k, lanes, dtype=dtype), torch.rand(lanes, k, dtype=dtype)
    turned = weights.t().contiguous()
    out, out_outer = torch.empty(m, lanes, dtype=dtype), torch.empty(lanes, m, dtype=dtype)
    return [lambda: torch.mm(weights, inner, out=out), lambda: torch.mm(outer, weights.t(), out=out_outer),
            lambda: torch.mm(outer, turned, out=out_outer)]


def conv_calls(torch, dtype, kind, kernel, stride, source, target, size, lanes):
    """Channels outermost, and channels innermost (channels_last); a lane is an image."""
    functional, calls = torch.nn.functional, []
    for layout in (torch.contiguous_format, torch.channels_last):
        shape = (target, source) if kind == "conv" else (source, target)
        image = torch.rand(lanes, source, size, size, dtype=dtype).to(memory_format=layout)
        weights = (torch.rand(*shape, kernel, kernel, dtype=dtype) - 0.5).to(memory_format=layout)
        pad = kernel // 2
        if kind == "conv":
            calls.append(lambda i=image, w=weights: functional.conv2d(i, w, stride=stride, padding=pad))
        else:
            calls.append(lambda i=image, w=weights: functional.conv_transpose2d(
                i, w, stride=stride, padding=pad, output_padding=stride - 1))
    return calls


def fastest(call):
    call()
    best, calls, end = float("inf"), 1, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        took = (time.perf_counter() - start) / calls
        best, calls = min(best, took), int(SHORT / took) + 1
    return best


def main():
    import torch  # the peer's
    torch.set_num_threads(1)
    dtype = getattr(torch, sys.argv[1])
    with torch.inference_mode():
        for name in sys.argv[2:]:
            kind, *shape = parse(name)
            calls = linear_calls(torch, dtype, *shape) if kind == "linear" else conv_calls(torch, dtype, kind, *shape)
            print(json.dumps({"case": name, "s": min(map(fastest, calls))}), flush=True)


if __name__ == "__main__":
    main()
