#!/usr/bin/env bash
# scripts/setup_tvm.sh with a pip that makes small wheels of its own: no network is used here.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"
if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "SKIP  no TVM is pinned for $(uname -sm)"
    exit 77
fi
export TMPDIR=$work
REAL=$(command -v "$python")
export REAL PYTHON=$work/python
setup=$root/scripts/setup_tvm.sh

# A Python whose pip downloads what the test asks for; each download is a line of the file downloads.
cat >python <<'EOF'
#!/usr/bin/env bash
[ "$*" = "-m pip --version" ] && exit 0
[ "$1 $2 $3" = "-m pip download" ] || exec "$REAL" "$@"
echo "$*" >>"$TMPDIR/downloads"
[ -e "$TMPDIR/offline" ] && echo "no network" >&2 && exit 1
while [ "$1" != --dest ]; do shift; done
"$REAL" - "$2" "$TMPDIR/short" <<'PY'
import os, sys, zipfile
out, short = sys.argv[1:]
os.makedirs(out)
members = {"tvm.whl": ["tvm/lib/libtvm_compiler.so", "tvm/lib/libtvm_runtime.so", "tvm/lib/libtvm_runtime_cuda.so",
                       "tvm/relax/__init__.py", "tvm/LICENSE", "tvm/licenses/LICENSE.a.txt", "apache_tvm-1.dist-info/METADATA"],
           "ffi.whl": ["tvm_ffi/lib/libtvm_ffi.so", "tvm_ffi/core.so", "apache_tvm_ffi-1.dist-info/licenses/LICENSE"]}
if os.path.exists(short):
    members["ffi.whl"].pop(0)
for name, files in members.items():
    with zipfile.ZipFile(os.path.join(out, name), "w") as wheel:
        for file in files:
            wheel.writestr(file, "content of " + file)
PY
EOF
chmod +x python

wanted="./apache_tvm-1.dist-info/METADATA ./apache_tvm_ffi-1.dist-info/licenses/LICENSE ./requirements-tvm.txt ./tvm/LICENSE"
wanted="$wanted ./tvm/lib/libtvm_compiler.so ./tvm/lib/libtvm_runtime.so ./tvm/licenses/LICENSE.a.txt ./tvm_ffi/lib/libtvm_ffi.so"
no_leftovers() { same "$(find . -maxdepth 1 -name 't.*')" "" "$1: leftovers"; }

# installs WHAT: the script ends well, with everything in t.
installs() {
    "$setup" "$work/t" >out 2>err </dev/null || fail "$1: $(cat err)"
    same "$(cd t && find . -type f | LC_ALL=C sort | xargs)" "$wanted" "$1: files"
    no_leftovers "$1"
    pass "$1"
}

# fails WHAT PATTERN: it ends badly and says why.
fails() {
    if "$setup" "$work/t" >out 2>err </dev/null; then fail "$1: it ends well"; else pass "$1"; fi
    has err "$2"
    no_leftovers "$1"
}

touch downloads offline
fails "no network" "is the network there"
[ ! -e t ] || fail "a folder without a network"
rm offline
installs "the first time"
has downloads "--require-hashes .*requirements-tvm.txt"
installs "the second time"
same "$(wc -l <downloads)" 2 "downloads when all is there"
[ ! -s out ] || fail "the second time says something: $(cat out)"
rm t/tvm/lib/libtvm_runtime.so
installs "a library was removed"
echo "# other" >>t/requirements-tvm.txt
installs "other versions were there"
same "$(wc -l <downloads)" 4 "downloads of the repairs"
rm t/tvm/lib/libtvm_compiler.so
touch short
fails "wheels with other contents" "lack a library"
[ -e t/tvm/LICENSE ] || fail "a failed repair removed the old folder"
rm short
for i in 1 2 3 4; do "$setup" "$work/t" >"out$i" 2>&1 </dev/null & done
wait
installs "after four at once"
mkdir elsewhere
rm -r t
ln -s elsewhere t
fails "a link to something else" "is a link"
rmdir elsewhere || fail "something was written through the link"
finish
