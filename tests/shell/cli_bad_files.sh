#!/usr/bin/env bash
# Files that are missing, damaged, of the wrong size, or cannot be written: one clear line, a documented
# exit code, nothing half-written.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx
x=$models/digits_sample_flat_label3.npy
p=$(known digits_mlp.onnx unsat)

refused 3 "a missing network" "none.onnx" info none.onnx
refused 3 "a directory as network" "$work" info "$work"
head -c 1000 "$m" >cut.onnx
refused 4 "a truncated network" "cut.onnx" info cut.onnx
refused 4 "a truncated network, to bound" "cut.onnx" bound cut.onnx --center "$x" --eps 0.1
: >empty.onnx
refused 4 "an empty network" "empty.onnx" info empty.onnx
refused 4 "text as network" "README.md" info "$models/README.md"
gzip -c "$m" | head -c 2000 >cut.onnx.gz
refused 4 "a truncated gzip stream" "cut.onnx.gz.*truncated" info cut.onnx.gz

refused 3 "a missing centre" "none.npy" bound "$m" --center none.npy --eps 0.1
refused 4 "a centre that is no array" "README.md" bound "$m" --center "$models/README.md" --eps 0.1
npy short.npy 5*0.5
refused 6 "a centre of the wrong size" "shape .5.*64 numbers each" bound "$m" --center short.npy --eps 0.1
npy nan.npy 63*0.5 nan
refused 4 "a centre with not-a-number" "nan.npy: number 63 is not a number" bound "$m" --center nan.npy --eps 0.1
npy inf.npy inf 63*0.5
refused 4 "a centre with infinity" "inf.npy: number 0 is infinite" bound "$m" --center inf.npy --eps 0.1
npy low.npy 64*0.25
npy high.npy 63*0.5 0.125
refused 2 "an empty box" "input 63 .*0.25.*0.125" bound "$m" --box low.npy high.npy
npy far.npy 64*5
refused 2 "a centre outside --clip" "--clip" bound "$m" --center far.npy --eps 0.1 --clip 0 1
refused 6 "a spec of the wrong size" "5 columns.*10 outputs" bound "$m" --center "$x" --eps 0.1 --spec short.npy
refused 2 "a label that does not exist" "no output 10" bound "$m" --center "$x" --eps 0.1 --margin 10

refused 3 "a missing property" "none.vnnlib" verify none.vnnlib --network "$m"
sed '/(or/,$d' "$p" >cut.vnnlib
printf '(assert (<= X_0' >>cut.vnnlib
refused 4 "a truncated property" "cut.vnnlib:[0-9]+" verify cut.vnnlib --network "$m"
printf '(declare-const X_0 Real)\n(declare-const Y_0 Real)\n(assert (<= X_0 1))\n(assert (>= X_0 0))\n(assert (<= Y_0 0))\n' >small.vnnlib
refused 6 "a property of the wrong size" "1.*64" verify small.vnnlib --network "$m"
refused 6 "a property's box of the wrong size" "1 inputs.*64" bound "$m" --vnnlib small.vnnlib
sed 's/X_0 1)/X_9 1)/' small.vnnlib >undeclared.vnnlib
refused 4 "an undeclared variable" "undeclared.vnnlib:3" verify undeclared.vnnlib --network "$m"

refused 3 "a results file in a missing folder" "none/r.txt" verify "$p" --network "$m" --results-file none/r.txt
refused 3 "a results file that is a folder" "is a directory" verify "$p" --network "$m" --results-file "$work"
refused 3 "the results file is checked before the network" "none/r.txt" verify "$p" --network none.onnx \
    --results-file none/r.txt
echo old >r.txt
refused 3 "an old results file survives an error" "none.onnx" verify "$p" --network none.onnx --results-file r.txt
same "$(cat r.txt)" old "old results"
refused 3 "a picture in a missing folder" "none/w.svg" verify "$p" --network "$m" --witness-svg none/w.svg
refused 3 "the demo's picture in a missing folder" "none/d.svg" demo --svg none/d.svg
refused 3 "a missing batch" "none.csv" verify --batch none.csv
: >empty.csv
refused 4 "an empty batch" "empty.csv" verify --batch empty.csv
refused 3 "a batch's csv in a missing folder" "none/o.csv" verify --batch "$models/instances.csv" --csv none/o.csv
echo "a,b" >other.csv
refused 4 "known verdicts without columns" "columns onnx, vnnlib and verdict" \
    verify --batch "$models/instances.csv" --expected other.csv

if [ -w /dev/full ]; then
    "$bin" info "$m" >/dev/full 2>err
    same "$?" 3 "exit code on a full disk"
    has err "standard output"
    "$bin" verify "$p" --network "$m" --quiet --results-file /dev/full >out 2>err
    same "$?" 3 "exit code when the results device is full"
    has err "/dev/full"
    pass "a full disk is noticed"
fi
(
    trap '' PIPE
    "$bin" bound "$m" --center "$x" --eps 0.1 --repeat 3000 2>err
    echo $? >code
) | true
same "$(cat code)" 3 "exit code on a closed pipe"
has err "standard output"
pass "a closed pipe is noticed"
for leftover in *.tmp .*.tmp r.txt.*; do [ ! -e "$leftover" ] || fail "left behind: $leftover"; done
finish
