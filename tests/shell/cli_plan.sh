#!/usr/bin/env bash
# boundflow plan: tables, JSON and SVG that agree with each other and with what bound does.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"
export NO_COLOR=1

# svg FILE EXPRESSION: well-formed, and true in Python with all its text as t.
svg() {
    "$python" -c 'import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
t = [e.text or "" for e in root.iter()]
sys.exit(0 if root.tag.endswith("svg") and eval(sys.argv[2]) else 1)' "$1" "$2" ||
        fail "$1: not well-formed, or not so: $2"
}

for path in "$models"/*.onnx; do
    name=$(basename "$path")
    for method in ibp crown-ibp crown; do
        for partition in 0 1; do
            how="$name, $method, partition $partition"
            run 0 "plan --json: $how" plan "$path" --method $method --partition $partition --json --threads 1
            cp out plan.json
            json plan.json "j['plan_s'] > 0 and j['load_s'] > 0 and j['partition'] == $partition"
            json plan.json "j['memory']['planned_bytes'] == j['memory']['persistent_bytes'] + j['memory']['workers'] * j['memory']['tile_bytes']"
            json plan.json "j['memory']['planned_bytes'] < j['memory']['baseline_bytes'] and 0 < j['memory']['saving_percent'] < 100"
            json plan.json "sum(t['steps'] for t in j['tasks']) == j['memory']['steps']"
            json plan.json "[t['first_step'] for t in j['tasks']] == [sum(u['steps'] for u in j['tasks'][:i]) for i in range(len(j['tasks']))]"
            json plan.json "all(e['task'] < t['task'] and j['tasks'][e['task']]['wave'] < t['wave'] for t in j['tasks'] for e in t['after'])"
            json plan.json "all(l['preferred'] in l['possible'].split() and l['reason'] for l in j['layouts'])"
            json plan.json "all(p['mark'] in ('folded', 'movable', 'fixed') and p['reason'] for p in j['permutes'])"
            json plan.json "(len(j['tasks']) == 1) == ($partition == 0)"
            json plan.json "all(b['offset'] + b['bytes'] <= j['memory']['persistent_bytes' if b['task'] is None else 'tile_bytes'] for b in j['buffers'])"
            json plan.json "all(0 <= l['task'] < len(j['tasks']) and l['kernel'] and l['error_model'] for l in j['lowering'])"
        done
    done
    for option in tasks layout memory lowering; do
        run 0 "plan --report $option $name" plan "$path" --report $option --svg plan.svg
        has out "^model +.*$name"
        has out "^memory +[0-9.]+ .*less than without reuse"
    done
    run 0 "plan --json: $name" plan "$path" --json
    cp out plan.json
    run 0 "plan $name" plan "$path"
    "$python" - <<'PY' || fail "$name: a task is missing in the table or in the picture"
import json, sys
j, table, svg = json.load(open("plan.json")), open("out").read().splitlines(), open("plan.svg").read()
for task in j["tasks"]:
    row = [line for line in table if line.split()[:3] == [str(task["task"]), task["kind"], task["layer"]]]
    ok = len(row) == 1 and f">{task['task']}  {task['kind']}<" in svg
    sys.exit(f"task {task['task']}") if not ok else None
PY
    svg plan.svg "any('Plan of $name' in x for x in t)"
    svg plan.svg "'Persistent memory: vectors that live from step to step' in t and any(x.startswith('A tile of') for x in t)"
    lacks plan.svg "nan|inf\""
done

echo "-- the two partitions, and every budget that is allowed, give the same bounds"
bounds() { "$python" -c 'import json, sys; j = json.load(open(sys.argv[1])); print(j["lower"], j["upper"])' "$1"; }
for name in digits_mlp:flat digits_cnn_permute:nhwc digits_resnet:nchw; do
    path=$models/${name%:*}.onnx
    box="--center $models/digits_sample_${name#*:}_label3.npy --eps 0.02"
    for method in ibp crown-ibp crown; do
        # shellcheck disable=SC2086
        run 0 "bound ${name%:*} $method, partition 1" bound "$path" $box --method $method --partition 1 --json
        cp out one.json
        # shellcheck disable=SC2086
        run 0 "bound ${name%:*} $method, partition 0" bound "$path" $box --method $method --partition 0 --json
        same "$(bounds out)" "$(bounds one.json)" "${name%:*} $method: bounds of partition 0"
    done
    refused 7 "a budget below the minimum states it" "at least [0-9]+" plan "$path" --memory 1K
    least=$(sed -n 's/.*at least \([0-9]*\).*/\1/p' err)
    run 0 "the minimum is enough to plan" plan "$path" --memory "$least" --report memory
    refused 7 "a byte less is not" "at least $least" plan "$path" --memory $((least - 1))
    # shellcheck disable=SC2086
    refused 7 "nor for bound" "at least $least" bound "$path" $box --memory $((least - 1)) --json
    # shellcheck disable=SC2086
    run 0 "and to run" bound "$path" $box --memory "$least" --json
    same "$(bounds out)" "$(bounds one.json)" "${name%:*}: bounds in the least memory"
    json out "j['used_bytes'] <= $least"
done

m=$models/digits_mlp.onnx
run 0 "the graph as text" plan "$m" --dump graph
has out "^graph"
lacks out "elided"
run 0 "the programs as text" plan "$m" --dump=programs
has out "^program"
has out "concretize"
for pass in import simplify permute partition liveness reuse tasks vectors workspace lower; do
    run 0 "--dump=$pass" plan "$m" --dump="$pass"
    [ -s out ] || fail "--dump=$pass prints nothing"
done
run 0 "one report in JSON" plan "$m" --report memory --json
json out "'buffers' in j and 'tasks' not in j and 'lowering' not in j"
run 0 "a backend" plan "$m" --backend reference --report lowering --json
json out "{l['backend'] for l in j['lowering']} <= {'reference', 'scalar'} and j['executor'] == 'reference'"
json out "all((l['fallback'] is None) == (l['backend'] == 'reference') for l in j['lowering'])"
run 0 "a backend for people" plan "$m" --report lowering
has out "^! [0-9]+ ops: "
run 0 "threads" plan "$m" --threads 3 --json
json out "j['threads'] == j['memory']['workers'] == 3"

run 0 "the graph as imported, as text" plan "$m" --dump graph
mv out net.bfir
run 0 "text as a network" plan net.bfir --report tasks
sed 's/linear(%0)/linear(%7)/' net.bfir > bad.bfir
refused 4 "a graph that reads what comes later" "bad.bfir:[0-9]+:[0-9]+: " plan bad.bfir
refused 2 "no model" "M.onnx is missing" plan
refused 2 "an unknown report names the nearest" "lowering" plan "$m" --report lower
refused 2 "an unknown partition" "none of: 0 1" plan "$m" --partition 2
refused 2 "an unknown dump" "graph, programs, or.*simplify" plan "$m" --dump all
refused 2 "text and JSON" "does not go with --json" plan "$m" --dump graph --json
refused 2 "text and a table" "does not go with --report" plan "$m" --dump graph --report tasks
refused 2 "two backends" "contradict" plan "$m" --executor native --backend reference
refused 2 "two backends" "contradict" bound "$m" --executor native --backend reference
refused 2 "two backends" "contradict" verify p.vnnlib --network "$m" --executor native --backend reference
run 0 "one backend, twice" plan "$m" --executor reference --backend reference
refused 2 "an option of bound" "no option of plan" plan "$m" --eps 1
refused 2 "no threads" "not between 1 and" plan "$m" --threads 0
run 3 "no such model" plan missing.onnx --svg new.svg
[ ! -e new.svg ] || fail "a picture of nothing was written"
run 3 "no such folder" plan "$m" --svg nowhere/plan.svg
[ ! -s out ] || fail "something was printed although the picture cannot be written"
finish
