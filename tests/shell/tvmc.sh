#!/bin/bash
# boundflow-tvmc: help, and every way to fail has its exit code and one error line. With TVM (env
# BOUNDFLOW_TVM, else .tvm in the checkout) also those behind the loading of the compiler.
set -eu
tvmc=${BOUNDFLOW_BUILD_DIR:?}/boundflow-tvmc
tvm=${BOUNDFLOW_TVM:-${BOUNDFLOW_SOURCE_DIR:?}/.tvm}
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work"; rm -rf "$work"' EXIT

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

# expect CODE REASON arguments...: that exit code, and an error line of that reason
expect() {
    local code=$1 reason=$2 got=0
    shift 2
    PATH=${tools:-$PATH} "$tvmc" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
    [ "$got" = "$code" ] || fail "$*: exit code $got, not $code: $(cat "$work/out")"
    [ "$(grep -c '^error	' "$work/out")" = 1 ] || fail "$*: not one error line"
    cut -f3 "$work/out" | grep -qx "$reason" || fail "$*: $(cat "$work/out")"
}

kernel="linear f32 m=20 k=30 rows=4 vecs=2 width=8 parallel=0"
head="abi=$(sed -n 's/^#define BFI_TVM_KERNEL_ABI //p' "$BOUNDFLOW_SOURCE_DIR/src/exec/tvm/kernel_key.h")"
version=$(sed -n 's/^#define BFI_TVM_VERSION "\(.*\)"/\1/p' "$BOUNDFLOW_SOURCE_DIR/src/exec/tvm/kernel_key.h")
ffi=$(sed -n 's/^#define BFI_TVM_FFI_VERSION "\(.*\)"/\1/p' "$BOUNDFLOW_SOURCE_DIR/src/exec/tvm/kernel_key.h")
head="$head tvm=$version ffi=$ffi"
key="$head target={\"kind\":\"llvm\",\"mcpu\":\"x86-64-v3\"} $kernel"

"$tvmc" --help | grep -q 'usage: boundflow-tvmc' || fail "help"
[ "$("$tvmc" --help | wc -L)" -le 110 ] || fail "help too wide"
target=$("$tvmc" --print-target) || [ $? = 13 ] || fail "print-target"
case $target in '{"kind":"llvm","mcpu":"x86-64-v'[34]'"}' | error*) ;; *) fail "target $target" ;; esac

expect 2 usage
expect 2 usage --tvm
expect 2 usage --tvm x --out y
expect 2 usage --tvm x --out y --jobs z
expect 2 usage --nonsense
expect 10 no-tvm --tvm "$work/none" --out "$work/k.so" "$key"

# A folder of another version, and one whose library is none.
mkdir -p "$work/other/tvm/lib" "$work/other/tvm_ffi/lib" "$work/other/apache_tvm-0.1.dist-info"
expect 11 version --tvm "$work/other" --out "$work/k.so" "$key"
mkdir "$work/other/apache_tvm-$version.dist-info" "$work/other/apache_tvm_ffi-$ffi.dist-info"
expect 10 no-tvm --tvm "$work/other" --out "$work/k.so" "$key"
echo nonsense >"$work/other/tvm_ffi/lib/libtvm_ffi.so"
expect 10 no-tvm --tvm "$work/other" --out "$work/k.so" "$key"

if [ ! -d "$tvm" ]; then
    [ "${BOUNDFLOW_TVM_STRICT:-0}" = 1 ] && fail "no TVM in $tvm: run 'make tvm'"
    echo "SKIPPED the part that needs TVM: 'make tvm' installs one"
    exit 0
fi

expect 13 unsupported --tvm "$tvm" --out "$work/k.so" "no key"
expect 13 unsupported --tvm "$tvm" --out "$work/k.so" "$head target={\"kind\":\"llvm\",\"mcpu\":\"pentium\"} $kernel"
expect 13 unsupported --tvm "$tvm" --out "$work/k.so" "${key/m=20/m=0}"
expect 13 unsupported --tvm "$tvm" --out "$work/k.so" "${key/tvm=/tvm=9}"
expect 16 disk --tvm "$tvm" --out "$work/none/k.so" "$key"
expect 2 usage --tvm "$tvm" --jobs "$work/no-such-file"
mkdir "$work/bin"
tools=$work/bin expect 15 link --tvm "$tvm" --out "$work/k.so" "$key" # no ld, no cc
[ -z "$(find "$work" -maxdepth 1 -name 'k.so*')" ] || fail "a failure left files behind"

# A TVM error inside one job is a line, and the jobs behind it are done.
bad="$head target={\"kind\":\"llvm\",\"mcpu\":\"x86-64-v3\"} conv f32 groups=1 c_src=1 h_src=2 w_src=2 c_dst=1 \
h_dst=2 w_dst=2 kh=1 kw=1 stride_h=100 stride_w=1 dil_h=1 dil_w=1 pad_top=0 pad_left=0 transposed=1 rows=4 vecs=2 \
width=8 parallel=0"
printf '%s\t%s\n' "$work/a.so" "$key" "$work/b.so" "$bad" "$work/c.so" "$key" >"$work/jobs"
code=0
"$tvmc" --tvm "$tvm" --jobs - <"$work/jobs" >"$work/out" || code=$?
[ "$code" = 14 ] || fail "jobs: exit code $code: $(cat "$work/out")"
[ "$(cut -f1 "$work/out" | tr '\n' ' ')" = "ok error ok " ] || fail "jobs: $(cat "$work/out")"
[ ! -e "$work/b.so" ] || fail "a failed job left a file"
cmp "$work/a.so" "$work/c.so" || fail "the same key gives different files"
[ "$(stat -c %a "$work/a.so")" = 600 ] || fail "mode of a kernel file: $(stat -c %a "$work/a.so")"
tail -c 200 "$work/a.so" | grep -aqF "$kernel" || fail "no key in the file"

# Two at once into the same file: one of them wins, whole.
"$tvmc" --tvm "$tvm" --out "$work/d.so" "$key" >/dev/null &
"$tvmc" --tvm "$tvm" --out "$work/d.so" "$key" >/dev/null
wait $!
cmp "$work/a.so" "$work/d.so" || fail "two at once"
[ -z "$(find "$work" -maxdepth 1 -name '*.o')" ] || fail "work files left behind"
echo "ok"
