#!/usr/bin/env bash
# examples/resident_boxes.c builds as its first lines say, against the shared library and the public
# headers alone; its answers do not depend on the batch, and `boundflow sweep` gives the same.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

library=$BOUNDFLOW_BUILD_DIR/libboundflow.so
cc=${CC:-cc}
command -v "$cc" >/dev/null || { echo "SKIP  no C compiler $cc"; exit 77; }
nm -D "$library" | grep -qE ' __(asan|tsan|ubsan)_' && { echo "SKIP  $library is instrumented"; exit 77; }
"$cc" -O2 -std=c11 -Wall -Wextra -Werror -I"$root/include" "$root/examples/resident_boxes.c" \
    -L"$BOUNDFLOW_BUILD_DIR" -lboundflow -lm -o resident || { fail "the example does not compile"; finish; }
export LD_LIBRARY_PATH=$BOUNDFLOW_BUILD_DIR
m=$models/digits_mlp.onnx

"$python" "$root/scripts/sample_inputs.py" x.npy y.npy --copies 3 >/dev/null
"$python" - <<'PY'
import struct
values = struct.unpack("<1920f", open("x.npy", "rb").read()[-1920 * 4:])
with open("points.txt", "w") as out:
    for i in range(30):
        out.write(" ".join(map(repr, values[64 * i:64 * i + 64])) + "\n")
PY
./resident "$m" 0.06 <points.txt >one 2>err || fail "resident_boxes failed: $(cat err)"
same "$(wc -l <one)" 30 "answers"
has one "^4 certain "
has one "^[0-9] open -"
has err "^30 points, [0-9.]+ us each"
for batch in 2 7 16 30 64; do
    ./resident "$m" 0.06 "$batch" <points.txt >many 2>err || fail "a batch of $batch failed: $(cat err)"
    cmp -s one many || fail "a batch of $batch gives other answers"
    pass "a batch of $batch"
done

run 0 "the same sweep" sweep "$m" --inputs x.npy --eps 0.06 --method crown --all-radii --csv rows.csv
"$python" - <<'PY' || fail "sweep gives other answers"
import csv
rows = {int(r["input"]): r for r in csv.DictReader(open("rows.csv"))}
for i, line in enumerate(open("one")):
    label, word, margin = line.split()
    assert rows[i]["label"] == label and float(rows[i]["margin"]) == float(margin)
    assert (rows[i]["certified"] == "1") == (word == "certain")
PY
./resident "$m" 0.06 <points.txt 2>/dev/null | head -n 1 >/dev/null
./resident none.onnx 0.1 </dev/null >out 2>err
same $? 3 "exit code without a model"
has err "none.onnx"
./resident "$m" </dev/null >out 2>err
same $? 2 "exit code without a radius"
./resident "$m" 0.1 </dev/null >out 2>err
same "$?:$(wc -c <out)" 0:0 "no points, no answers"
finish
