#!/usr/bin/env bash
# boundflow radius: one answer, that bound confirms, whatever the threads; timeouts, signals, errors.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx
x=$models/digits_sample_flat_label3.npy
ask() { run 0 "radius $*" radius "$m" --center "$x" --clip 0 1 "$@"; }
value() { "$python" -c 'import json, sys; print(repr(json.load(open("out"))[sys.argv[1]]))' "$1"; }

for method in ibp crown-ibp crown alpha-crown; do
    ask --method $method
    has out "^radius 0\.[0-9]+: output 3 is certain within it \($method\); not at .*counterexample \(output [0-9]\) at .* runs, [0-9.]+ s$"
    same "$(wc -l <out)" 1 "lines of the answer"
    ask --method $method --json
    json out "0 < j['certified'] < j['failed'] < j['falsified'] < 1 and j['end'] == 'tolerance'"
    json out "j['label'] == 3 and j['other'] != 3 and j['margin'] > 0 and j['method'] == '$method'"
    json out "j['failed'] - j['certified'] <= 0.01 * j['certified'] and 0 < j['runs'] <= j['boxes']"
    json out "len(j['counterexample']) == 64 and all(0 <= v <= 1 for v in j['counterexample'])"
    certified=$(value certified) failed=$(value failed)
    run 0 "bound at the certified radius" bound "$m" --center "$x" --clip 0 1 --eps "$certified" --margin 3 \
        --method $method --intersect --json
    json out "min(j['lower']) > 0"
    run 0 "bound at the radius that failed" bound "$m" --center "$x" --clip 0 1 --eps "$failed" --margin 3 \
        --method $method --intersect --json
    json out "min(j['lower']) <= 1e-6"
    eval "radius_${method//-/_}=$certified"
done
"$python" -c "import sys; sys.exit(not $radius_ibp < $radius_crown_ibp < $radius_crown < $radius_alpha_crown)" ||
    fail "stronger methods certify more: $radius_ibp $radius_crown_ibp $radius_crown $radius_alpha_crown"
ask
has out "^radius ${radius_crown:0:6}"

answer() { "$python" -c 'import json; j = json.load(open("out")); print([j[k] for k in ("certified", "failed", "falsified", "other", "margin", "runs", "counterexample")])'; }
ask --json
one=$(answer)
for option in "--threads 1" "--threads 3" "--threads 8" "--isa ref" "--label 3" "--memory 1G"; do
    # shellcheck disable=SC2086
    ask $option --json
    same "$(answer)" "$one" "answer with $option"
done

ask --tolerance 0.0005 --json
json out "j['failed'] - j['certified'] <= 0.0005"
ask --tolerance 10% --attack off --json
json out "j['falsified'] == 'inf' and j['counterexample'] is None and j['attacks'] == 0"
json out "j['failed'] - j['certified'] <= 0.1 * j['certified']"
ask --max-eps 0.03
has out "^radius 0.03: .*the largest one tried \(--max-eps\); 1 run, "
run 0 "another label" radius "$m" --center "$x" --clip 0 1 --label 4
has out "^radius 0: the centre is not a 4: output 3"
run 0 "another label, as JSON" radius "$m" --center "$x" --clip 0 1 --label 4 --json
json out "j['certified'] == 0 and j['falsified'] == 0 and j['end'] == 'misclassified' and j['other'] == 3"
npy scale.npy 32*0 32*0.5
ask --scale scale.npy --json
json out "j['certified'] > 2 * $radius_crown"
json out "all(abs(a - b) < 1e-6 for a, b in zip(j['counterexample'][:32], json.loads('[$("$python" - "$x" <<'PY'
import struct, sys
data = open(sys.argv[1], "rb").read()[-256:]
print(", ".join(map(str, struct.unpack("<64f", data)[:32])))
PY
)]'))) if j['counterexample'] else True"
for model in digits_cnn_permute:nhwc digits_resnet:nchw rram_small:nchw; do
    run 0 "radius of ${model%:*}" radius "$models/${model%:*}.onnx" \
        --center "$models/digits_sample_${model#*:}_label3.npy" --clip 0 1
    has out "^radius 0\.[0-9]+: output 3"
done

start=$(date +%s%N)
run 0 "little time, an endless attack" radius "$m" --center "$x" --clip 0 1 --max-eps 0.15 --restarts 1000000 --timeout 1
[ $((($(date +%s%N) - start) / 1000000)) -lt 3000 ] || fail "--timeout 1 took over 3 s"
has out "^radius 0\.[0-9]+: output 3 is certain within it"

"$bin" radius "$m" --center "$x" --clip 0 1 --max-eps 0.15 --restarts 1000000 >out 2>err </dev/null &
sleep 0.5
kill -INT $!
wait $!
same $? 0 "exit code after SIGINT"
has out "^radius 0: .*when a signal stopped it"

refused 2 "no centre" "--center X.npy" radius "$m"
refused 2 "no such output" "no output 10: the network has 10" radius "$m" --center "$x" --label 10
refused 2 "a centre outside the clip" "input [0-9]+ is .*outside the clip" radius "$m" --center "$x" --clip 0.5 1
refused 2 "a clip upside down" "LO is above HI" radius "$m" --center "$x" --clip 1 0
refused 2 "a tolerance of 100%" "'100%'" radius "$m" --center "$x" --tolerance 100%
refused 2 "a tolerance that is none" "'close'" radius "$m" --center "$x" --tolerance close
refused 2 "a negative tolerance" "'-1'" radius "$m" --center "$x" --tolerance -1
refused 2 "no maximum" "not above 0" radius "$m" --center "$x" --max-eps 0
refused 2 "nearest rounding is no option" "of: bound" radius "$m" --center "$x" --rounding nearest
npy short.npy 63*0
refused 6 "too few numbers" "63 numbers.*64 inputs" radius "$m" --center short.npy
npy nan.npy 63*0 nan
refused 4 "not a number" "number 63 is not a number" radius "$m" --center nan.npy
npy minus.npy 63*1 -1
refused 2 "a negative scale" "scale: input 63 has -1" radius "$m" --center "$x" --scale minus.npy
refused 3 "no file" "none.npy" radius "$m" --center none.npy
finish
