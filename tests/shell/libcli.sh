# shellcheck shell=bash
# Shared by the cli_*.sh tests: small assertions that say what they check. Source it first.
set -u
bin=${BOUNDFLOW_BIN:?set BOUNDFLOW_BIN to the boundflow program}
root=${BOUNDFLOW_SOURCE_DIR:?set BOUNDFLOW_SOURCE_DIR to the checkout}
python=${PYTHON:-python3}
models=$root/models
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

pass() { echo "ok    $*"; }
fail() {
    echo "FAIL  $*"
    failures=$((failures + 1))
}

# run EXIT_CODE WHAT ARGUMENT...: runs the program; stdout and stderr are left in the files out and err.
run() {
    local wanted=$1 what=$2 code
    shift 2
    "$bin" "$@" >out 2>err </dev/null
    code=$?
    if [ "$code" = "$wanted" ]; then
        pass "$what (exit code $code)"
    else
        fail "$what: exit code $code, not $wanted; stderr: $(head -c 300 err)"
    fi
}

# refused EXIT_CODE WHAT PATTERN ARGUMENT...: one line on stderr with PATTERN, nothing on stdout.
refused() {
    local wanted=$1 what=$2 pattern=$3
    shift 3
    run "$wanted" "$what" "$@"
    [ ! -s out ] || fail "$what: something was printed on stdout"
    [ "$(wc -l <err)" = 1 ] || fail "$what: stderr is not one line: $(head -c 300 err)"
    has err "$pattern"
}

# has FILE PATTERN: the extended regular expression occurs in the file.
has() { grep -Eq -e "$2" "$1" || fail "$1 lacks /$2/: $(head -c 300 "$1")"; }
lacks() { ! grep -Eq -e "$2" "$1" || fail "$1 has /$2/"; }
same() { [ "$1" = "$2" ] || fail "$3: '$1' is not '$2'"; }

# json FILE EXPRESSION: true in Python, with the parsed object as j.
json() {
    "$python" -c 'import json, math, sys
j = json.load(open(sys.argv[1]))
sys.exit(0 if eval(sys.argv[2]) else 1)' "$1" "$2" 2>/dev/null || fail "$1: not so: $2"
}

# npy FILE NUMBER...: writes a float64 vector; "64*0.5" repeats.
npy() {
    "$python" - "$@" <<'PY'
import struct, sys
values = []
for word in sys.argv[2:]:
    count, _, value = word.rpartition("*")
    values += [float(value)] * (int(count) if count else 1)
head = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d,), }" % len(values)
head += " " * (63 - (10 + len(head)) % 64) + "\n"
with open(sys.argv[1], "wb") as out:
    out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
    out.write(struct.pack("<%dd" % len(values), *values))
PY
}

# First property of network $1 whose known verdict is $2, as a path.
known() { echo "$models/$(awk -F, -v m="$1" -v v="$2" '$1 == m && $3 == v { print $2; exit }' "$models/expected.csv")"; }

finish() {
    [ "$failures" = 0 ] && echo "all well" && exit 0
    echo "$failures failed"
    exit 1
}
