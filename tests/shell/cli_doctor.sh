#!/usr/bin/env bash
# boundflow doctor: what is there, what is not, on folders that only look like TVM and variables that say none.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"
tvm_folder=${BOUNDFLOW_TVM:-} strict=${BOUNDFLOW_TVM_STRICT:-}
unset BOUNDFLOW_TVM BOUNDFLOW_TVMC BOUNDFLOW_TVM_STRICT BOUNDFLOW_TVM_CACHE
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
export HOME=$work/home XDG_DATA_HOME=$work/data XDG_CACHE_HOME=$work/cache
for library in SQLITE HIGHS Z3 MPI; do export "BOUNDFLOW_$library=none"; done

# state NAME: of that finding in out.
state() { "$python" -c 'import json, sys
print(*[f["state"] for f in json.load(open("out"))["findings"] if f["name"] == sys.argv[1]])' "$1"; }

run 0 "with nothing optional" doctor --tvm none --json
json out "j['works'] is True and j['version'] == '$(cat "$root/VERSION")'"
json out "[f['state'] for f in j['findings'] if f['group'] == 'core'] == ['ok'] * 3"
json out "{f['name']: f['state'] for f in j['findings']}.items() >= {n: 'off' for n in ('TVM', 'SQLite', 'HiGHS', 'Z3', 'MPI')}.items()"
json out "all(f['advice'] is None for f in j['findings'] if f['state'] in ('ok', 'off'))"
json out "all(f['advice'] for f in j['findings'] if f['state'] in ('missing', 'broken'))"
json out "all(f['state'] in ('ok', 'off', 'missing', 'broken') for f in j['findings'])"
run 0 "as text" doctor --tvm none
for line in "^  ok +BoundFlow +$(cat "$root/VERSION") " "^  ok +processor +(ref|avx2|avx512)$" "give the bits of the plain" "^  off +TVM" "^[0-9]+ ok, [0-9]+ off, [0-9]+ missing, 0 broken$"; do
    has out "$line"
done
[ ! -s err ] || fail "something on stderr: $(cat err)"
BOUNDFLOW_TVM=none run 0 "none by the variable" doctor --json
same "$(state TVM)" off "TVM by the variable"

# place FOLDER VERSION FFI-VERSION: what only looks like TVM.
place() {
    mkdir -p "$1/tvm/lib" "$1/tvm_ffi/lib" "$1/apache_tvm-$2.dist-info" "$1/apache_tvm_ffi-$3.dist-info"
    touch "$1"/tvm/lib/libtvm_{compiler,runtime}.so "$1/tvm_ffi/lib/libtvm_ffi.so"
}
pin() { sed -n "s/^$1==\([^ ]*\).*/\1/p" "$root/scripts/requirements-tvm.txt"; }
tvm=$(pin apache-tvm) ffi=$(pin apache-tvm-ffi)
place right "$tvm" "$ffi"
place old 0.26.0 "$ffi"
place "$XDG_DATA_HOME/boundflow/tvm" "$tvm" "$ffi"
run 0 "TVM as scripts/requirements-tvm.txt pins it" doctor --tvm right --json
same "$(state TVM)" ok "--tvm"
json out "[f['version'] for f in j['findings'] if f['name'] == 'TVM'] == ['$tvm, ffi $ffi']"
json out "[f['path'] for f in j['findings'] if f['name'] == 'TVM'] == ['$work/right']"
run 0 "another TVM" doctor --tvm old --json
same "$(state TVM)" broken "another version"
json out "any('0.26.0' in f['detail'] and 'make tvm' in f['advice'] for f in j['findings'] if f['name'] == 'TVM')"
run 0 "no such folder" doctor --tvm nowhere --json
same "$(state TVM)" missing "a folder that is not there"
if [ -e "$(dirname "$bin")/../.tvm" ]; then
    echo "SKIP  TVM in the user's data folder: there is one beside the build folder"
else
    run 0 "TVM in the user's data folder" doctor --json
    same "$(state TVM)" ok "the user's data folder"
fi
BOUNDFLOW_TVMC=/nowhere run 0 "no compile helper" doctor --json
same "$(state "compile helper")" missing "BOUNDFLOW_TVMC that is not there"
BOUNDFLOW_TVMC=/bin/true run 0 "a compile helper" doctor --json
same "$(state "compile helper")" ok "BOUNDFLOW_TVMC"

echo "-- the folder of compiled kernels"
mkdir -p kernels loose/kernels
echo 12345 >kernels/a.so
chmod 700 kernels
BOUNDFLOW_TVM_CACHE=$work/kernels run 0 "a folder of kernels" doctor --json
same "$(state "kernel folder")" ok "a private folder"
json out "[f['detail'] for f in j['findings'] if f['name'] == 'kernel folder'] == ['mode 0700, 1 kernel, 6 B']"
chmod 777 kernels
BOUNDFLOW_TVM_CACHE=$work/kernels run 0 "a folder that others write" doctor --json
same "$(state "kernel folder")" broken "a folder of mode 777"
json out "any('mode 777' in f['detail'] and f['advice'] for f in j['findings'] if f['name'] == 'kernel folder')"

echo "-- trying"
run 5 "--try without TVM" doctor --try --tvm none --json
same "$(state compiling)" broken "--try without TVM"
json out "j['works'] is False"
has err "has no kernel: TVM: not used"
same "$(ls "$TMPDIR")" "" "folders left over"
if [ -n "$tvm_folder" ] && [ "$tvm_folder" != none ]; then
    run 0 "--try with TVM" doctor --try --tvm "$tvm_folder" --json
    same "$(state compiling)" ok "--try with TVM"
    json out "any('the bits of the native ones' in f['detail'] for f in j['findings'] if f['name'] == 'compiling')"
    same "$(ls "$TMPDIR")" "" "folders left over"
elif [ -n "$strict" ]; then
    fail "no TVM (BOUNDFLOW_TVM), but BOUNDFLOW_TVM_STRICT is set"
else
    echo "SKIP  doctor --try with TVM: no BOUNDFLOW_TVM"
fi

echo "-- optional libraries"
for library in SQLITE HIGHS Z3 MPI; do unset "BOUNDFLOW_$library"; done
run 0 "libraries of this machine" doctor --json
json out "all(f['path'] and f['version'] for f in j['findings'] if f['group'] == 'optional' and f['state'] == 'ok')"
BOUNDFLOW_SQLITE=/nowhere.so run 0 "a library that is not there" doctor --json
same "$(state SQLite)" missing "BOUNDFLOW_SQLITE that is not there"
json out "any('/nowhere.so' in f['detail'] for f in j['findings'] if f['name'] == 'SQLite')"

echo "-- development"
mkdir -p data2/vnncomp
BOUNDFLOW_DATA=$work/data2 run 0 "public data" doctor --json
same "$(state "public data")" ok "BOUNDFLOW_DATA"
BOUNDFLOW_DATA=$work run 0 "no public data" doctor --json
same "$(state "public data")" missing "BOUNDFLOW_DATA without vnncomp"
refused 2 "no positional" "takes no|too many" doctor here
refused 2 "an option of another command" "no option of doctor" doctor --method ibp
finish
