#!/usr/bin/env bash
# Installs what is missing, on Debian 12 (root, or sudo). Safe to run again; quiet when all is there.
#   scripts/setup.sh build   what building needs
#   scripts/setup.sh tvm     and TVM in .tvm (setup_tvm.sh); not where BOUNDFLOW_TVM names a folder, or none
#   scripts/setup.sh test    and what the tests need: cmocka, a Python environment in .venv
#   scripts/setup.sh ci      and clang with its sanitizer run times (.ci/run, make soak)
# Without a network, test goes on where only TVM is missing; tvm and ci do not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

missing=()
need_command() { command -v "$1" >/dev/null || missing+=("$2"); }
need_file() { [ -e "$1" ] || missing+=("$2"); }

# Hidden, so that output is shown only when it explains a failure.
quietly() {
    local log
    log=$(mktemp)
    if "$@" >"$log" 2>&1 </dev/null; then
        rm -f "$log"
    else
        tail -n 15 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then env "$@"; else sudo -n env "$@"; fi
}

apt() {
    as_root DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
        -o Acquire::Retries=3 "$@"
}

install_missing() {
    [ ${#missing[@]} -gt 0 ] || return 0
    local by_hand="install these packages yourself, then run this again: ${missing[*]}"
    command -v apt-get >/dev/null || die "this is no Debian: $by_hand"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "neither root nor sudo: $by_hand"
        sudo -n true 2>/dev/null || { [ -t 0 ] && sudo -v; } || die "sudo asks for a password: $by_hand"
    fi
    say "installing ${missing[*]}"
    apt-cache show "${missing[@]}" >/dev/null 2>&1 ||
        quietly apt update || die "apt-get update failed: is the network there?"
    apt install --no-install-recommends -s "${missing[@]}" >/dev/null 2>&1 ||
        quietly apt update || die "apt-get update failed: is the network there?"
    quietly apt install --no-install-recommends "${missing[@]}" ||
        { quietly apt update && quietly apt install --no-install-recommends "${missing[@]}"; } ||
        die "apt-get install failed: $by_hand"
    missing=()
}

build_level() {
    need_command gcc gcc
    need_command make make
    need_command cmake cmake
    need_command ninja ninja-build
    need_command protoc-c protobuf-c-compiler
    need_file /usr/include/stdio.h libc6-dev
    need_file /usr/include/zlib.h zlib1g-dev
    need_file /usr/include/protobuf-c/protobuf-c.h libprotobuf-c-dev
    need_file /usr/include/onnx/onnx.proto libonnx-dev
}

# The system's Python first; any other only when that cannot make environments.
find_python() {
    local python
    for python in /usr/bin/python3 python3; do
        if "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
        then
            echo "$python"
            return 0
        fi
    done
    return 1
}

# Kernels are linked by ld, which gcc brings along.
tvm_level() {
    need_command ld binutils
    find_python >/dev/null || missing+=(python3 python3-venv)
}

test_level() {
    need_file /usr/include/cmocka.h libcmocka-dev
}

ci_level() {
    need_command clang clang
    local runtime
    for runtime in /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a; do
        [ -e "$runtime" ] || missing+=(libclang-rt-dev)
    done
}

# .venv holds exactly scripts/requirements-test.txt; a stamp makes the second run free.
python_environment() {
    local wanted=scripts/requirements-test.txt stamp=.venv/requirements-test.txt python
    if cmp -s "$wanted" "$stamp" && .venv/bin/python -c '' 2>/dev/null; then return 0; fi
    python=$(find_python) || die "no Python 3.11 or later that can make environments"
    say "making .venv with $("$python" --version 2>&1) and $(grep -vc '^#' "$wanted") packages from PyPI"
    rm -rf .venv
    quietly "$python" -m venv .venv || die "python -m venv failed"
    quietly .venv/bin/python -m pip install --disable-pip-version-check --only-binary :all: -r "$wanted" ||
        die "pip could not install $wanted: is the network there?"
    cp "$wanted" "$stamp"
}

tvm() {
    if [ -n "${BOUNDFLOW_TVM:-}" ]; then
        say "TVM: '$BOUNDFLOW_TVM', as BOUNDFLOW_TVM says"
    else
        PYTHON=$(find_python) scripts/setup_tvm.sh
    fi
}

level=${1:-test}
case $level in
    build) build_level; install_missing ;;
    tvm) build_level; tvm_level; install_missing; tvm ;;
    test)
        build_level; tvm_level; test_level; install_missing; python_environment
        tvm || say "going on without TVM: its tests will be skipped"
        ;;
    ci) build_level; tvm_level; test_level; ci_level; install_missing; python_environment; tvm ;;
    *) die "unknown level '$level': use build, tvm, test or ci" ;;
esac
say "ready to $level"
