#!/usr/bin/env bash
# Configures a preset of CMakePresets.json and builds it: scripts/build.sh PRESET [TARGET...]
# Installs nothing. The output of a configuration that works is not shown.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${1:?usage: scripts/build.sh PRESET [TARGET...]}
shift
folder=build-$preset
[ "$preset" = release ] && folder=build

if ! command -v cmake >/dev/null; then
    echo "build: cmake is missing: run 'make setup' first" >&2
    exit 1
fi
# Decides only where no build folder exists yet; an existing one keeps its generator.
if [ -z "${CMAKE_GENERATOR:-}" ] && command -v ninja >/dev/null; then export CMAKE_GENERATOR=Ninja; fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    echo "build: configuring '$preset' failed: if a tool is missing, run 'make setup'" >&2
    exit 1
fi
targets=()
for target in "$@"; do targets+=(--target "$target"); done
cmake --build "$folder" -j "${JOBS:-$(nproc)}" ${targets[@]+"${targets[@]}"}
