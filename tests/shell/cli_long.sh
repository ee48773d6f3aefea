#!/usr/bin/env bash
# Long verifications: --progress, --events, --checkpoint and --resume, and what Ctrl-C leaves.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx
proved=$(known digits_mlp.onnx unsat)
refuted=$(known digits_mlp.onnx sat)

echo "-- events"
run 0 "a proved property" verify "$proved" --network "$m" --events e.jsonl --progress
has err "cases|bound"
"$python" - <<'PY' || fail "the events are not as documented"
import json
events = [json.loads(line) for line in open("e.jsonl")]
assert events[0]["event"] == "start" and events[-1]["event"] == "end"
assert events[0]["model"].endswith("digits_mlp.onnx") and events[0]["timeout_s"] is None
assert events[-1]["verdict"] == "unsat" and events[-1]["bound"] > 0 and events[-1]["best"] > 0
times = [e["t"] for e in events]
assert times == sorted(times) and 0 <= times[0] and times[-1] < 600
phases = [e for e in events if e["event"] == "phase"]
assert phases[0]["phase"] == "attack" and all(e["reason"] for e in phases) and len(phases) >= 2
best = [e["best"] for e in events if e["event"] == "incumbent"]
assert best and best == sorted(best, reverse=True)
PY
run 0 "a refuted property" verify "$refuted" --network "$m" --events e.jsonl --json
[ "$(grep -c '"event": "start"' e.jsonl)" = 1 ] || fail "an old file was not emptied"
sed -i 1d out
json out "j['best_margin'] <= 0 and j['best_x'] is None"
printf '%s,%s\n%s,%s\n' "$m" "$proved" "$m" "$refuted" >list.csv
run 0 "events of a batch" verify --batch list.csv --events e.jsonl
same "$(grep -c '"event": "end"' e.jsonl)" 2 "ends"
refused 3 "events that cannot be written" "nowhere" verify "$proved" --network "$m" --events /nowhere/e
if [ -e /dev/full ]; then
    run 0 "a full disk ends the events, not the work" verify "$proved" --network "$m" --events /dev/full
    has err "events end here"
    same "$(head -n 1 out)" unsat "verdict"
fi

echo "-- checkpoints"
refused 2 "an interval alone" "goes with --checkpoint" verify "$proved" --network "$m" --checkpoint-interval 1
refused 2 "a batch has none" "does not go with --batch" verify --batch list.csv --checkpoint c
refused 3 "none to resume" "cannot be read" verify "$proved" --network "$m" --resume none
refused 4 "no checkpoint" "no such file" verify "$proved" --network "$m" --resume "$m"
refused 3 "no place for one" "cannot be written" verify "$proved" --network "$m" --checkpoint /nowhere/c
run 0 "decided at once" verify "$proved" --network "$m" --checkpoint c
[ ! -e c ] || fail "a decided property left a checkpoint"

data=${BOUNDFLOW_DATA:-$root/../shared/data}
acas=$data/vnncomp/acasxu
hard=$data/vnncomp/lsnc # a minute and more, on any machine
if [ ! -d "$acas" ] || [ ! -d "$hard" ]; then
    echo "SKIP  stopping long searches: no public data (set BOUNDFLOW_DATA)"
    finish
fi
net=$hard/onnx/quadrotor2d_state.onnx
prop=$hard/vnnlib/quadrotor2d_state_0.vnnlib.gz
run 0 "a timeout" verify "$prop" --network "$net" --timeout 1.5 --threads 1 --checkpoint c --json
same "$(head -n 1 out)" timeout "verdict"
has err "certified bound -?[0-9.e-]+, best point's margin [0-9.e-]+, [0-9]+ nodes"
has err "go on with --resume c"
sed -i 1d out
json out "j['margin'] <= 0 < j['best_margin'] and j['nodes'] > j['open'] > 0 and j['checkpoints'] == 1"
json out "len(j['best_x']) == 6 and j['past_s'] == 0"
first=$("$python" -c 'import json; j = json.load(open("out")); print(j["nodes"], j["margin"])')
run 0 "and further" verify "$prop" --network "$net" --timeout 1.5 --threads 2 --resume c --checkpoint c --json
sed -i 1d out
json out "j['nodes'] >= ${first% *} and j['margin'] >= ${first#* } and j['past_s'] > 1"
refused 2 "another property's checkpoint" "another property" \
    verify "$hard/vnnlib/quadrotor2d_state_9.vnnlib.gz" --network "$net" --resume c
run 0 "a checkpoint of one network" verify "$acas/vnnlib/prop_2.vnnlib.gz" --timeout 0.2 --checkpoint one \
    --branching neurons --network "$acas/onnx/ACASXU_run2a_3_3_batch_2000.onnx"
refused 2 "is not another's" "another network" verify "$acas/vnnlib/prop_2.vnnlib.gz" --resume one \
    --branching neurons --network "$acas/onnx/ACASXU_run2a_1_1_batch_2000.onnx"
refused 2 "with another type" "other options" verify "$prop" --network "$net" --resume c --dtype float64
head -c 1000 c >d
refused 4 "cut off" "cut off" verify "$prop" --network "$net" --resume d

echo "-- signals"
"$bin" verify "$prop" --network "$net" --threads 1 --checkpoint k --checkpoint-interval 0.1 --json \
    --events e.jsonl >out 2>err </dev/null &
job=$!
for _ in $(seq 200); do
    [ -s k ] && break
    sleep 0.1
done
sleep 0.3
kill -INT $job
wait $job
same "$?" 10 "exit code after SIGINT"
same "$(head -n 1 out)" unknown "verdict after SIGINT"
sed -i 1d out
json out "j['reason'] == 'stopped on request' and j['margin'] <= 0 < j['best_margin'] and j['open'] > 0"
has e.jsonl '"event": "checkpoint".*"written"'
has e.jsonl '"event": "branching".*"branching": "inputs: 6 of 6 inputs vary'
has err 'nodes, splits inputs: 6 of 6 inputs vary'
"$bin" verify "$prop" --network "$net" --threads 1 --resume k --checkpoint k --checkpoint-interval 0.1 \
    >out 2>err </dev/null &
job=$!
sleep 0.7
kill -KILL $job
wait $job 2>/dev/null
run 0 "resumed after SIGKILL" verify "$prop" --network "$net" --timeout 0.5 --resume k --json
sed -i 1d out
json out "j['past_s'] > 0 and j['nodes'] > 0"
[ "$(ls k.*.tmp 2>/dev/null | wc -l)" -le 1 ] || fail "temporary files pile up"
finish
