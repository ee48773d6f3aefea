#!/usr/bin/env bash
# boundflow bound --trace: a Chrome trace that covers every task; the bounds do not change.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_resnet.onnx
# With rows of C: intervals of plain outputs take no backward program, so no event of its task.
box="--center $models/digits_sample_nchw_label3.npy --eps 0.03 --margin 3"
bounds() { "$python" -c 'import json, sys; j = json.load(open(sys.argv[1])); print(j["lower"], j["upper"])' "$1"; }

# events FILE EXPRESSION: true in Python, with the complete events as x and the plan as j.
events() {
    "$python" -c 'import json, sys
x = [e for e in json.load(open(sys.argv[1])) if e["ph"] == "X"]
j = json.load(open("plan.json"))
sys.exit(0 if x and eval(sys.argv[2]) else 1)' "$1" "$2" || fail "$1: not so: $2"
}

for threads in 1 2; do
    for partition in 0 1; do
        for method in ibp crown-ibp crown alpha-crown; do
            how="--method $method --partition $partition --threads $threads"
            # shellcheck disable=SC2086
            run 0 "plan $how" plan "$m" $how --json
            cp out plan.json
            # shellcheck disable=SC2086
            run 0 "bound $how" bound "$m" $box $how --json
            cp out plain.json
            # shellcheck disable=SC2086
            run 0 "bound $how --trace" bound "$m" $box $how --json --trace trace.json
            [ ! -s err ] || fail "something was said: $(cat err)"
            same "$(bounds out)" "$(bounds plain.json)" "bounds with a trace"
            events trace.json "{e['args']['task'] for e in x} == set(range(len(j['tasks'])))"
            events trace.json "all(j['tasks'][e['args']['task']]['kind'] == e['cat'] for e in x)"
            events trace.json "all(0 <= e['tid'] < $threads for e in x)"
            events trace.json "min(e['ts'] for e in x) == 0 and min(e['dur'] for e in x) >= 0"
            events trace.json "max(e['ts'] + e['dur'] for e in x) < 60e6"
            events trace.json "all(e['name'] and e['args']['layer'] and e['args']['lanes'] >= (e['name'] != 'select_rows') for e in x)"
            events trace.json "{e['name'] for e in x} <= {l['op'] for l in j['lowering']} | {'select_rows'}"
        done
    done
done

# The products of backward ops are what the run counted, whatever it left out.
net="$models/digits_mlp.onnx --center $models/digits_sample_flat_label3.npy --eps 0.03"
# shellcheck disable=SC2086
run 0 "flops" bound $net --threads 1 --json --trace trace.json
cp out plan.json
events trace.json "sum(e['args']['flops'] for e in x if e['cat'] != 'forward') == j['flops']"
events trace.json "all(e['args']['flops'] > 0 for e in x if e['name'] in ('backward_linear', 'interval_linear'))"

# A worker does one thing at a time.
events trace.json "all(a[1] <= b[0] + 0.01 for t in range(2) for s in [sorted((e['ts'], e['ts'] + e['dur']) for e in x if e['tid'] == t)] for a, b in zip(s, s[1:]))"

run 0 "verify writes one too" verify "$(known digits_mlp.onnx unsat)" --network "$models/digits_mlp.onnx" --quiet --trace verify.json
events verify.json "{'interval_linear', 'seed_spec', 'backward_linear'} <= {e['name'] for e in x}"
refused 2 "no trace of a batch" "does not go with --batch" verify --batch "$models/instances.csv" --trace b.json

cp trace.json before.json
# shellcheck disable=SC2086
run 0 "repeats are all in it" bound "$m" $box --method ibp --threads 1 --repeat 3 --trace trace.json
events trace.json "sum(e['name'] == 'interval_source' for e in x) == 3"
run 0 "more events than there is room for" bound "$models/digits_mlp.onnx" \
    --center "$models/digits_sample_flat_label3.npy" --eps 0.01 --method ibp --threads 1 \
    --repeat 60000 --trace many.json
has err "many.json lacks the last [0-9]+ events"
events many.json "len(x) == 1 << 18"

# shellcheck disable=SC2086
refused 3 "a folder that is not there" "nowhere/trace.json" bound "$m" $box --trace nowhere/trace.json
mkdir folder
# shellcheck disable=SC2086
refused 3 "a folder" "it is a directory" bound "$m" $box --trace folder
cp before.json trace.json
refused 2 "a wrong question leaves the old trace alone" "eps" bound "$m" --center x.npy --trace trace.json
cmp -s before.json trace.json || fail "the old trace was changed"
refused 2 "an option of bound only" "no option of plan" plan "$m" --trace trace.json
finish
