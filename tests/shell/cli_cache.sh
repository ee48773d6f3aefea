#!/usr/bin/env bash
# --cache and its kin, and boundflow cache: the same answers sooner, and clear words where a file is no good.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx
x=$models/digits_sample_flat_label3.npy
bound() { run 0 "$1" bound "$m" --center "$x" --eps 0.02 --clip 0 1 --json "${@:2}"; }
# answers A B: the same bounds, number by number
answers() {
    "$python" -c 'import json, sys
a, b = (json.load(open(f)) for f in sys.argv[1:])
sys.exit(0 if [a["lower"], a["upper"]] == [b["lower"], b["upper"]] else 1)' "$1" "$2" ||
        fail "bounds of $1 and $2 differ"
}

bound "without a cache"
cp out plain
lacks plain '"cache"'
bound "in memory" --cache-memory 16M --repeat 3
answers out plain
json out "j['cache']['hits'] == 2 and j['cache']['misses'] > 0 and j['cache']['disk_misses'] == 0"
json out "j['reused'] == 1"

refused 2 "--stats without a cache" "--cache-memory" bound "$m" --center "$x" --eps 0.02 --stats
refused 2 "--contain without a cache" "--cache-memory" bound "$m" --center "$x" --eps 0.02 --contain
refused 2 "--cache-size without a file" "--cache F" bound "$m" --center "$x" --eps 0.02 --cache-memory 1M --cache-size 1M
refused 2 "no action" "info, check or clear" cache look bounds.db
refused 2 "no file" "ACTION FILE is missing" cache info
refused 3 "a file that is not there" "nothing.db" cache info nothing.db

if BOUNDFLOW_SQLITE=none "$bin" bound "$m" --center "$x" --eps 0.02 --json --cache none.db >out 2>err; then
    pass "without SQLite the answer comes all the same"
else
    fail "without SQLite: exit code $?"
fi
has err "cache: .*SQLite"
json out "'SQLite' in j['cache']['problem'] and j['cache']['insertions'] > 0"
[ ! -e none.db ] || fail "none.db was made"

"$bin" bound "$m" --center "$x" --eps 0.02 --json --cache try.db >out 2>err
if grep -q SQLite err; then
    echo "skipped: the rest needs the SQLite library: $(cat err)"
    finish
fi

bound "into a file" --cache bounds.db --stats
has err "^cache disk_written +[1-9]"
has err "^cache hits +0 "
answers out plain
run 0 "info" cache info bounds.db
has out "bounds.db: [1-9][0-9]* entries"
run 0 "info --json" cache info bounds.db --json
json out "j['entries'] > 0 and j['bytes'] > j['value_bytes'] > 0"
bound "from the file" --cache bounds.db --stats
answers out plain
json out "j['cache']['disk_hits'] == 1 and j['cache']['misses'] == 0 and j['lanes'] == 0"
run 0 "all layers, from the file" bound "$m" --center "$x" --eps 0.02 --clip 0 1 --json --all-layers
cp out layers
run 0 "all layers, from the file" bound "$m" --center "$x" --eps 0.02 --clip 0 1 --json --all-layers --cache bounds.db
"$python" -c 'import json
a, b = json.load(open("layers")), json.load(open("out"))
assert a["layers"] == b["layers"]' || fail "layers differ with a cache"
bound "another method is another question" --cache bounds.db --method ibp
json out "j['cache']['disk_hits'] == 0 and j['cache']['misses'] > 0"
run 0 "a whole file" cache check bounds.db
has out "all as they were written"

run 0 "radius, cold" radius "$m" --center "$x" --label 3 --clip 0 1 --json --cache radius.db
cp out cold
run 0 "radius, warm" radius "$m" --center "$x" --label 3 --clip 0 1 --json --cache radius.db
json out "j['cache']['disk_hits'] > 0 and j['cache']['misses'] == 0"
"$python" -c 'import json
a, b = json.load(open("cold")), json.load(open("out"))
assert a["certified"] == b["certified"] and a["failed"] == b["failed"]' || fail "radii differ with a cache"

echo "-- files that are no good"
echo "this is a text, and nobody wants to lose it" >text
cp text before
bound "a text as a cache" --cache text
has err "text: not a cache file"
answers out plain
cmp -s text before || fail "the text was changed"
refused 4 "clear leaves a text alone" "not a cache file" cache clear text
cmp -s text before || fail "the text was changed"
size=$(stat -c %s bounds.db)
head -c $((size / 2)) bounds.db >half.db
bound "half a file" --cache half.db
has err "half.db: damaged"
answers out plain
refused 4 "check of half a file" "damaged" cache check half.db
run 0 "clear makes it anew" cache clear half.db
bound "a new file" --cache half.db
json out "j['cache']['disk_written'] > 0 and j['cache']['problems'] == 0"
run 0 "clear" cache clear bounds.db
has out "bounds.db: 0 entries"
finish
