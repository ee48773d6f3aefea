#!/usr/bin/env python3
"""Checks the dependency rule of src/: a folder includes only itself and what stands before it.

Prints one file:line for every include that breaks the rule and exits 1; silent success otherwise
says how many files were read.
"""

import pathlib
import re
import sys

# kernels stands before plan, whose lowering table holds the kernels' argument blocks; kernels itself
# sees only base.
ORDER = ["base", "ir", "frontend", "domain", "kernels", "plan", "exec", "runtime", "check", "verify",
         "tools"]
ONLY = {"kernels": {"base", "kernels"}}
GENERATED = {"onnx.pb-c.h": {"frontend"}}

SUFFIXES = {".c", ".h", ".inc", ".def"}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def allowed(layer):
    return ONLY.get(layer) or set(ORDER[: ORDER.index(layer) + 1])


def problem(root, path, layer, target):
    """Why |path| of |layer| may not include |target|, or None."""
    if target in GENERATED:
        return None if layer in GENERATED[target] else "only " + ", ".join(GENERATED[target]) + " may"
    if target.startswith("boundflow/"):
        return None if (root / "include" / target).is_file() else "no such public header"
    beside = (path.parent / target).resolve()
    inside = (root / "src" / target).resolve()
    found = beside if beside.is_file() else inside
    if layer == "public":
        return "public headers include only boundflow/..."
    if not found.is_file():
        return "no such file in src/"
    parts = found.relative_to(root).parts
    folder = parts[1] if parts[0] == "src" else parts[0]
    if folder not in ORDER:
        return f"folder {folder} has no place in the order"
    return None if folder in allowed(layer) else f"{layer} may not see {folder}"


def check_file(root, path, layer):
    found = []
    text = path.read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match or match[1] == "<":
            continue
        why = problem(root, path, layer, match[2])
        if why:
            found.append(f'{path.relative_to(root)}:{number}: includes "{match[2]}": {why}')
    return found


def layer_of(root, path):
    parts = path.relative_to(root).parts
    return {"include": "public", "tools": "tools"}.get(parts[0], parts[1])


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1]).resolve()
    found, count = [], 0
    for top in ("include", "src", "tools"):
        for path in sorted(p for p in (root / top).rglob("*.*") if p.suffix in SUFFIXES):
            layer = layer_of(root, path)
            count += 1
            if layer != "public" and layer not in ORDER:
                found.append(f"{path.relative_to(root)}:1: folder {layer} has no place in the order")
            else:
                found += check_file(root, path, layer)
    print("\n".join(found) if found else f"{count} files keep the dependency rule")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
