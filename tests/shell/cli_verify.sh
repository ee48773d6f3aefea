#!/usr/bin/env bash
# boundflow verify: verdicts, assignments, results files.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx
proved=$(known digits_mlp.onnx unsat)
refuted=$(known digits_mlp.onnx sat)

run 0 "a proved property" verify "$proved" --network "$m" --results-file r.txt
same "$(cat out)" unsat "stdout"
same "$(cat r.txt)" unsat "results file"
run 0 "the network as NAME=M.onnx" verify "$proved" --network "f=$m" --timeout 60
same "$(cat out)" unsat "stdout"
run 0 "--quiet" verify "$proved" --network "$m" --quiet
[ ! -s err ] || fail "--quiet printed on stderr"
run 0 "--json" verify "$proved" --network "$m" --json
test "$(head -n 1 out)" = unsat || fail "the first line is not the verdict"
sed -i 1d out
json out "j['verdict'] == 'unsat' and j['margin'] > 0 and j['x'] is None and j['y'] is None"
json out "j['decided_by'] in ('ibp', 'crown-ibp', 'crown', 'crown-float64') and 0 < j['time_s'] < 60"

run 0 "a refuted property" verify "$refuted" --network "$m" --results-file r.txt --witness-svg w.svg
cmp -s out r.txt || fail "stdout and the results file differ"
"$python" - "$refuted" <<'PY' || fail "the assignment is not in VNN-COMP's form, or leaves its box"
import re, struct, sys
from fractions import Fraction
lines = open("out").read().split("\n")
assert lines[0] == "sat" and lines[-1] == ""
body = lines[1:-1]
assert len(body) == 74 and body[0].startswith("((X_0 ") and body[-1].endswith("))")
values = []
for i, line in enumerate(body):
    name = "X_%d" % i if i < 64 else "Y_%d" % (i - 64)
    found = re.fullmatch(r"[( ]\(%s (-?[0-9.]+(?:e[-+]?[0-9]+)?)\)\)?" % name, line)
    assert found, line
    values.append(found.group(1))
text = open(sys.argv[1]).read()
for i in range(64):
    x = Fraction(struct.unpack("f", struct.pack("f", float(values[i])))[0])
    assert "%.9g" % float(x) == values[i]
    lo = max(Fraction(v) for v in re.findall(r"\(>= X_%d ([-0-9.e]+)\)" % i, text))
    hi = min(Fraction(v) for v in re.findall(r"\(<= X_%d ([-0-9.e]+)\)" % i, text))
    assert lo <= x <= hi, (i, lo, x, hi)
PY
"$python" -c 'import xml.dom.minidom as x; assert x.parse("w.svg").documentElement.tagName == "svg"' ||
    fail "the picture is no XML"
cp out first
run 0 "the same seed" verify "$refuted" --network "$m" --seed 7 --threads 1
cp out seeded
run 0 "and more threads" verify "$refuted" --network "$m" --seed 7 --threads 3
cmp -s out seeded || fail "the witness depends on the number of threads"
run 0 "--json" verify "$refuted" --network "$m" --json
test "$(head -n 1 out)" = sat || fail "the first line is not the verdict"
sed -i 1d out
json out "j['verdict'] == 'sat' and len(j['x']) == 64 and len(j['y']) == 10 and j['decided_by']"

echo "-- engines"
hard=$models/vnnlib/digits_mlp_robust_eps0.04.vnnlib # more than intervals prove
if "$bin" doctor | grep -Eq 'ok +HiGHS'; then
    run 0 "--engine mip" verify "$hard" --network "$m" --method ibp --engine mip --timeout 60
    same "$(cat out)" unsat "verdict of linear programs"
    has err 'decided by mip'
else
    echo "SKIP  --engine mip: no HiGHS ('boundflow doctor' says how to get it)"
fi
for engine in mip:BOUNDFLOW_HIGHS smt:BOUNDFLOW_Z3; do
    export "${engine#*:}=none"
    run 0 "${engine%:*} without its library" verify "$hard" --network "$m" --method ibp --engine "${engine%:*}" \
        --timeout 1
    unset "${engine#*:}"
    same "$(cat out)" unknown "verdict without a library"
    has err "${engine%:*}: .*${engine#*:}=none"
done
refused 2 "an engine that is none" 'engine' verify "$hard" --network "$m" --engine lp

echo "-- signals"
"$bin" verify "$refuted" --network "$m" --quiet >/dev/null 2>&1 && pass "still there"
data=${BOUNDFLOW_DATA:-$root/../shared/data}
slow=$data/vnncomp/sri_resnet_a
if [ -d "$slow" ]; then
    IFS=, read -r onnx vnnlib _ < <(awk -F, 'NR > 1 && $4 == "unknown" { print $1 "," $2 "," $3; exit }' "$slow/verdicts.csv")
    "$bin" verify "$slow/$vnnlib" --network "$slow/$onnx" --restarts 100000 --steps 100000 --results-file s.txt \
        >out 2>err </dev/null &
    sleep 1.5
    kill -INT $! 2>/dev/null
    wait $!
    same "$?" 10 "exit code after SIGINT"
    same "$(head -n 1 out)" unknown "verdict after SIGINT"
    same "$(cat s.txt)" unknown "results after SIGINT"
    run 0 "a timeout" verify "$slow/$vnnlib" --network "$slow/$onnx" --timeout 0.4 --restarts 100000 --steps 100000
    same "$(head -n 1 out)" timeout "verdict"
else
    echo "SKIP  stopping a long run: no public data (set BOUNDFLOW_DATA)"
fi
finish
