#!/usr/bin/env bash
# Puts the pinned TVM (scripts/requirements-tvm.txt) into a private folder: scripts/setup_tvm.sh [FOLDER]
# FOLDER is .tvm in the checkout unless given. Only its libraries, licences and versions are kept (265 MB);
# nothing is installed in the system. Free when it is there already; appears whole or not at all.
# PYTHON names a Python that has pip or can make an environment that has (`make tvm` finds one).
set -euo pipefail
wanted=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/requirements-tvm.txt
folder=${1:-${wanted%/*/*}/.tvm}

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

libraries=(tvm_ffi/lib/libtvm_ffi.so tvm/lib/libtvm_runtime.so tvm/lib/libtvm_compiler.so)
complete() {
    local library
    cmp -s "$wanted" "$1/requirements-tvm.txt" || return 1
    for library in "${libraries[@]}"; do [ -s "$1/$library" ] || return 1; done
}
if complete "$folder"; then exit 0; fi

[ "$(uname -sm)" = "Linux x86_64" ] || die "the pinned TVM is built for Linux on x86_64 only, this is $(uname -sm)"
parent=$(dirname "$folder")
mkdir -p "$parent"
free=$(df --output=avail -k "$parent" | tail -n 1)
[ "$free" -gt 600000 ] || die "TVM needs 600 MB free while it is unpacked (265 MB afterwards), $parent has $((free / 1024)) MB"

# Beside the place, so that the last step is one rename.
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
python=${PYTHON:-python3}
if ! "$python" -m pip --version >/dev/null 2>&1; then
    "$python" -m venv "$work/python" >/dev/null 2>&1 || die "$python has no pip and makes no environments: use 'make tvm'"
    python=$work/python/bin/python
fi
say "fetching TVM: $(sed -n 's/^\(apache[^ ]*\).*/\1/p' "$wanted" | xargs) (104 MB) into $folder"
if ! "$python" -m pip download --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: \
    --require-hashes --implementation cp --python-version 311 --abi cp311 \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --retries 2 --timeout 20 \
    --dest "$work/wheels" -r "$wanted" >"$work/log" 2>&1 </dev/null; then
    tail -n 5 "$work/log" >&2
    die "pip could not fetch TVM: is the network there? BoundFlow works without it; run 'make tvm' again when it is"
fi

# A wheel is a zip file.
"$python" - "$work/wheels" "$work/tvm" <<'PY'
import fnmatch, os, sys, zipfile
wheels, out = sys.argv[1:]
keep = ["tvm_ffi/lib/libtvm_ffi.so", "tvm/lib/libtvm_runtime.so", "tvm/lib/libtvm_compiler.so",
        "tvm/LICENSE", "tvm/NOTICE", "tvm/licenses/*", "*.dist-info/METADATA", "*.dist-info/licenses/*"]
for name in sorted(os.listdir(wheels)):
    with zipfile.ZipFile(os.path.join(wheels, name)) as wheel:
        for member in wheel.namelist():
            if any(fnmatch.fnmatchcase(member, pattern) for pattern in keep) and not member.endswith("/"):
                wheel.extract(member, out)
PY
cp "$wanted" "$work/tvm/requirements-tvm.txt"
complete "$work/tvm" || die "the wheels lack a library: $(cd "$work/tvm" && find . -name '*.so' -print0 | xargs -0 echo)"
chmod -R u=rwX,go=rX "$work/tvm"

if [ -e "$folder" ] || [ -L "$folder" ]; then
    if complete "$folder"; then exit 0; fi # another run was faster
    [ ! -L "$folder" ] || die "$folder is a link to something else: remove it"
    mv -T "$folder" "$work/old" 2>/dev/null || true
fi
mv -T "$work/tvm" "$folder" 2>/dev/null || complete "$folder" || die "$folder cannot be replaced: remove it by hand"
say "TVM is in $folder"
