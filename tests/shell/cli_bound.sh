#!/usr/bin/env bash
# boundflow bound: the JSON that other tools parse, and forms of one question that must agree.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx
x=$models/digits_sample_flat_label3.npy
ask() { run 0 "bound $*" bound "$m" --center "$x" --eps 0.01 --clip 0 1 --json "$@"; }

ask
json out "len(j['lower']) == len(j['upper']) == 10"
json out "all(l <= u for l, u in zip(j['lower'], j['upper']))"
json out "(j['method'], j['dtype'], j['executor']) == ('crown', 'float32', 'auto')"
json out "(j['rounding'], j['semantics']) == ('outward', 'real')"
json out "0 < j['time_s'] < 60 and 0 < j['load_s'] < 60"
json out "0 < j['time_min_s'] <= j['time_s'] and 0 < j['cpu_min_s'] < 60"
json out "j['planned_bytes'] > 0 and j['peak_bytes'] > 100000"
json out "'layers' not in j and j['notes'] == []"
same "$(wc -l <out)" 1 "lines of JSON"
cp out crown.json
bounds() { "$python" -c 'import json, sys; j = json.load(open(sys.argv[1])); print(j["lower"], j["upper"])' "$1"; }

for option in "--threads 1" "--threads 3" "--executor reference" "--isa ref" "--repeat 5" "--memory 1G"; do
    # shellcheck disable=SC2086
    ask $option
    same "$(bounds out)" "$(bounds crown.json)" "bounds with $option"
done

for method in ibp crown-ibp crown; do
    for dtype in float32 float64; do
        for semantics in real float32; do
            ask --method $method --dtype $dtype --semantics $semantics --all-layers
            json out "j['method'] == '$method' and j['dtype'] == '$dtype' and j['semantics'] == '$semantics'"
            json out "len(j['layers']) >= 2 and all(len(l['lower']) == len(l['upper']) for l in j['layers'])"
            json out "all(l['name'] for l in j['layers'])"
        done
    done
done
ask --rounding nearest --dtype float64
cp out nearest.json
ask --dtype float64
"$python" - <<'PY' || fail "outward bounds do not contain the nearest ones"
import json, sys
a, b = json.load(open("out")), json.load(open("nearest.json"))
ok = all(l <= m and v <= u for l, u, m, v in zip(a["lower"], a["upper"], b["lower"], b["upper"]))
sys.exit(0 if ok and b["rounding"] == "nearest" else 1)
PY

ask --margin 3
json out "len(j['lower']) == 9 and min(j['lower']) > 0"
npy row.npy 3*0 1 5*0 -1
ask --spec row.npy
cp out spec.json
ask --margin 3
"$python" - <<'PY' || fail "--spec of Y_3 - Y_9 and --margin 3 differ"
import json, sys
a, b = json.load(open("spec.json")), json.load(open("out"))
sys.exit(0 if len(a["lower"]) == 1 and abs(a["lower"][0] - b["lower"][-1]) < 1e-6 else 1)
PY

npy zero.npy 64*0.5
run 0 "a box of one point" bound "$m" --box zero.npy zero.npy --dtype float64 --json
json out "all(u - l < 1e-9 for l, u in zip(j['lower'], j['upper']))"
cp out point.json
run 0 "a radius of zero is the same point" bound "$m" --center zero.npy --eps 0 --dtype float64 --json
same "$(bounds out)" "$(bounds point.json)" "bounds of the point"

p=$models/$(ls "$models/vnnlib" | sed -n 's,^\(digits_mlp_boxes.*\),vnnlib/\1,p' | head -n 1)
if [ -f "$p" ]; then
    run 0 "a property with two boxes" bound "$m" --vnnlib "$p" --json
    has err "2 input boxes"
fi

NO_COLOR=1 run 0 "a table for people" bound "$m" --center "$x" --eps 0.01 --margin 3 --all-layers
has out "^  Y_3 - Y_0 +[0-9.]+ +[0-9.]+"
has out "^proved: output 3"
has out "fc1"
lacks out $'\033'
run 0 "nearest proves nothing" bound "$m" --center "$x" --eps 0.01 --margin 3 --rounding nearest
lacks out "^proved"

for name in "$models"/*.onnx; do
    run 0 "info $(basename "$name")" info "$name"
    run 0 "info --json $(basename "$name")" info "$name" --json
    json out "j['inputs'] == 64 and j['outputs'] == 10 and len(j['layers']) > 3"
    json out "sum(l['parameters'] for l in j['layers']) == j['parameters'] > 1000"
    json out "sum(l['flops'] for l in j['layers']) == j['flops'] > 1000"
    json out "math.prod(j['layers'][-1]['shape']) == 10 == j['layers'][-1]['count']"
done
finish
