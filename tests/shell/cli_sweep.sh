#!/usr/bin/env bash
# boundflow sweep: the same rows in the table, the CSV, the JSON and the plot, whatever the threads; files
# that were cut short are continued, those of others are left alone.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx
"$python" "$root/scripts/sample_inputs.py" x.npy y.npy >/dev/null
"$python" "$root/scripts/sample_inputs.py" many.npy many_y.npy --copies 4 >/dev/null
ask() { run 0 "sweep $*" sweep "$m" --inputs x.npy --labels y.npy --clip 0 1 "$@"; }
# Rows of a CSV file without their times, sorted.
rows() { cut -d, -f1-6,8- "$1" | sort; }

ask --eps 0.01:0.09:5 --csv a.csv --svg a.svg
[ ! -s err ] || fail "something was printed on stderr: $(head -c 300 err)"
has out "^certified accuracy of digits_mlp.onnx, 10 inputs; at the centres 100.0 %"
has out "radius +ibp +crown-ibp +crown$"
has out "^ +0.01 +70.0 % +100.0 % +100.0 %"
ask --eps 0.01:0.09:5 --json
json out "j['inputs'] == j['clean'] == 10 and j['radii'] == [0.01, 0.03, 0.05, 0.07, 0.09] and j['end'] == 'complete'"
json out "[k['method'] for k in j['methods']] == ['ibp', 'crown-ibp', 'crown'] and j['rows_found'] == 0"
json out "all(k['decided'] == [10] * 5 and k['rows']['open'] == 0 for k in j['methods'])"
json out "all(sorted(k['certified'], reverse=True) == k['certified'] for k in j['methods'])"
"$python" - <<'PY' || fail "the CSV, the JSON and the plot do not say the same"
import csv, json, xml.etree.ElementTree as xml
j, rows = json.load(open("out")), list(csv.DictReader(open("a.csv")))
assert list(rows[0]) == "input label method eps certified margin time_s decided_by key".split()
assert len(rows) == len({(r["input"], r["method"], r["eps"]) for r in rows}) == 150
for k in j["methods"]:
    mine = [r for r in rows if r["method"] == k["method"]]
    for radius, certified in zip(j["radii"], k["certified"]):
        assert sum(int(r["certified"]) for r in mine if float(r["eps"]) == radius) == certified
    for how in "run", "larger", "centre":
        assert sum(r["decided_by"] == how for r in mine) == k["rows"][how]
assert all((float(r["margin"]) > 0) == (r["certified"] == "1") for r in rows)
assert all((float(r["time_s"]) > 0) == (r["decided_by"] == "run") for r in rows)
assert any(r["decided_by"] == "larger" for r in rows)
svg = xml.parse("a.svg").getroot()
ns = "{http://www.w3.org/2000/svg}"
titles = [t.text for t in svg.iter(ns + "title")]
assert len(list(svg.iter(ns + "circle"))) == 15 + 3
for k in j["methods"]:
    for radius, certified in zip(j["radii"], k["certified"]):
        assert f"{k['method']}, radius {radius:g}: {certified} of 10 certified ({10 * certified}.0 %)" in titles
text = [t.text for t in svg.iter(ns + "text")]
assert "Certified accuracy of digits_mlp.onnx" in text and "radius" in text and "100 %" in text
assert "prefers-color-scheme: dark" in svg.find(ns + "style").text
PY

echo "-- what is certified, bound confirms"
while IFS=, read -r input _ method eps certified _ _ how _; do
    [ "$how" = run ] && [ "$certified" = 1 ] || continue
    "$python" - "$input" <<'PY'
import struct, sys
data = open("x.npy", "rb").read()[-10 * 64 * 4:][int(sys.argv[1]) * 256:][:256]
values = struct.unpack("<64f", data)
open("one", "w").write(" ".join(map(repr, values)))
PY
    # shellcheck disable=SC2046
    npy one.npy $(cat one)
    run 0 "bound: image $input, $method, $eps" bound "$m" --center one.npy --clip 0 1 --eps "$eps" --margin "$input" \
        --method "$method" --intersect --json
    json out "min(j['lower']) > 0"
done < <(sed 1d a.csv | grep -E '^[036],')

echo "-- every radius computed: the same where it was, certified wherever that was concluded"
ask --eps 0.01:0.09:5 --csv all.csv --all-radii
"$python" - <<'PY' || fail "--all-radii contradicts what was concluded"
import csv
read = lambda name: {(r["input"], r["method"], r["eps"]): r for r in csv.DictReader(open(name))}
some, everything = read("a.csv"), read("all.csv")
assert some.keys() == everything.keys() and all(r["decided_by"] == "run" for r in everything.values())
for key, r in some.items():
    e = everything[key]
    if r["decided_by"] == "run":
        assert (r["margin"], r["certified"]) == (e["margin"], e["certified"])
    else:
        assert r["certified"] == "1" and float(e["margin"]) >= float(r["margin"]) - 1e-3
PY

for option in "--threads 1" "--threads 3" "--isa ref" "--executor reference"; do
    # shellcheck disable=SC2086
    ask --eps 0.01:0.09:5 --csv b.csv $option
    same "$(cut -d, -f1-6,8- b.csv | md5sum)" "$(cut -d, -f1-6,8- a.csv | md5sum)" "rows, in their order, with $option"
    rm b.csv
done

echo "-- going on"
cp a.csv b.csv
ask --eps 0.01:0.09:5 --csv b.csv --json
json out "j['rows_found'] == 150 and j['end'] == 'complete' and all(sum(k['rows'].values()) == 50 for k in j['methods'])"
cmp -s a.csv b.csv || fail "a finished file changed"
for lines in 1 2 40 149; do
    head -n "$lines" a.csv >b.csv
    sed -n "$((lines + 1))p" a.csv | head -c 17 | tr -d '\n' >>b.csv # a line that was cut short
    ask --eps 0.01:0.09:5 --csv b.csv
    same "$(rows b.csv)" "$(rows a.csv)" "rows after $lines lines and a half"
done
ask --eps 0.02,0.01,0.09,0.02 --csv b.csv --json
json out "j['radii'] == [0.01, 0.02, 0.09] and j['rows_found'] == 60"
same "$(wc -l <b.csv)" 181 "lines with 10 x 3 x 1 more"
ask --eps 0.05 --csv b.csv --method crown --dtype float32
same "$(wc -l <b.csv)" 181 "lines when all were there"
: >empty.csv
ask --eps 0.05 --csv empty.csv --method ibp
same "$(wc -l <empty.csv)" 11 "lines of a file that was empty"

ask --eps 0.05:0.09:3 --method crown,alpha-crown --iterations 5 --csv alpha.csv --json
json out "all(a >= c for c, a in zip(*(k['certified'] for k in j['methods']))) and j['methods'][1]['method'] == 'alpha-crown'"
json out "sum(j['methods'][1]['certified']) > sum(j['methods'][0]['certified'])"
refused 2 "alpha-crown's rows of other iterations" "another network" sweep "$m" --inputs x.npy --labels y.npy --clip 0 1 \
    --eps 0.05 --method alpha-crown --iterations 6 --csv alpha.csv
run 0 "which crown's do not depend on" sweep "$m" --inputs x.npy --labels y.npy --clip 0 1 --eps 0.05 --method crown \
    --iterations 6 --csv alpha.csv --json
json out "j['rows_found'] == 10"

cp a.csv b.csv
refused 2 "rows of other options" "b.csv:2: .*another network, input, label or options" sweep "$m" --inputs x.npy \
    --labels y.npy --clip 0 1 --eps 0.01 --csv b.csv --dtype float64
refused 2 "rows of another clip" "b.csv:2" sweep "$m" --inputs x.npy --labels y.npy --eps 0.01 --csv b.csv
refused 2 "rows of another network" "b.csv:2" sweep "$models/rram_small.onnx" --inputs x.npy --labels y.npy --clip 0 1 \
    --eps 0.01 --csv b.csv
echo "9 8 7 6 5 4 3 2 1 0" >wrong.txt
refused 2 "rows of other labels" "b.csv:2" sweep "$m" --inputs x.npy --labels wrong.txt --clip 0 1 --eps 0.01 --csv b.csv
sed -i '7s/,0,-/,1,-/' b.csv
refused 4 "a row that contradicts itself" "b.csv:7: is no row of a sweep" sweep "$m" --inputs x.npy --labels y.npy \
    --clip 0 1 --eps 0.01 --csv b.csv
echo "my notes" >notes.csv
refused 4 "a file of something else" "notes.csv: exists, and is no file of rows" sweep "$m" --inputs x.npy --eps 0.01 \
    --csv notes.csv
same "$(cat notes.csv)" "my notes" "a file of something else is left alone"
refused 3 "a csv that cannot be" "cannot be written" sweep "$m" --inputs x.npy --eps 0.01 --csv none/r.csv
refused 3 "a plot that cannot be" "none/p.svg" sweep "$m" --inputs x.npy --eps 0.01 --svg none/p.svg

echo "-- a cache"
ask --eps 0.01:0.09:5 --cache c.db --csv c1.csv --json
if [ -s c.db ]; then
    json out "j['cache']['disk_hits'] == 0 and j['cache']['misses'] > 0"
    ask --eps 0.01:0.09:5 --cache c.db --csv c2.csv --json
    json out "j['cache']['misses'] == 0 and j['cache']['disk_hits'] == sum(k['rows']['run'] for k in j['methods'])"
    same "$(rows c2.csv)" "$(rows a.csv)" "rows from a cache"
else
    echo "SKIP  a cache file: $(cat err)"
fi
same "$(rows c1.csv)" "$(rows a.csv)" "rows with a new cache"

echo "-- labels"
run 0 "wrong labels" sweep "$m" --inputs x.npy --labels wrong.txt --clip 0 1 --eps 0.01,0.02 --method crown --csv w.csv --json
json out "j['clean'] == 0 and j['methods'][0]['certified'] == [0, 0] and j['methods'][0]['rows']['centre'] == 20"
run 0 "no labels" sweep "$m" --inputs x.npy --clip 0 1 --eps 0.02 --method crown --json
json out "j['clean'] == 10 and j['methods'][0]['certified'] == [10]"
printf '0, 1, 2,\n3 4 5\t6\n7,8,9\n' >text.txt
run 0 "labels as text" sweep "$m" --inputs x.npy --labels text.txt --clip 0 1 --eps 0.02 --method crown --json
json out "j['clean'] == 10"
echo "0 1 2" >few.txt
refused 6 "too few labels" "3 labels.*10 inputs" sweep "$m" --inputs x.npy --labels few.txt --eps 0.01
echo "0 1 2 3 4 5 6 7 8 10" >high.txt
refused 2 "a label that is no output" "label 9 is 10.*outputs 0 to 9" sweep "$m" --inputs x.npy --labels high.txt --eps 0.01
echo "0 1 two" >word.txt
refused 4 "a label that is no number" "'two' is no label" sweep "$m" --inputs x.npy --labels word.txt --eps 0.01

echo "-- inputs"
for model in digits_cnn_permute digits_resnet rram_small; do
    run 0 "flat images for $model" sweep "$models/$model.onnx" --inputs x.npy --labels y.npy --clip 0 1 --eps 0.02 --json
    json out "j['clean'] >= 9 and j['methods'][2]['certified'][0] >= 9"
done
run 0 "one image with axes" sweep "$models/digits_resnet.onnx" --inputs "$models/digits_sample_nchw_label3.npy" \
    --clip 0 1 --eps 0.02 --json
json out "j['inputs'] == 1"
npy short.npy 100*0
refused 6 "numbers that make no inputs" "shape \[100\].*64 numbers each" sweep "$m" --inputs short.npy --eps 0.01
npy large.npy 64*200
refused 2 "pixels up to 255" "large.npy, number 0 along.*outside the clip.*scaled" sweep "$m" --inputs large.npy --clip 0 1 --eps 0.01
npy scale.npy 32*0 32*1
run 0 "inputs that stay" sweep "$m" --inputs x.npy --labels y.npy --clip 0 1 --eps 0.09 --scale scale.npy --json --method crown
json out "j['methods'][0]['certified'][0] > 7"

echo "-- radii and methods"
refused 2 "no radii" "which radii" sweep "$m" --inputs x.npy
refused 2 "no inputs" "which inputs" sweep "$m" --eps 0.1
for text in "" 0.1, a 0.1:0.2 0.2:0.1:5 0:1:0 0:1:1 0:1:3x -0.1 0:1:100000 inf nan; do
    run 2 "radii '$text'" sweep "$m" --inputs x.npy --eps="$text"
    has err "^boundflow sweep: error: --eps: '$text' "
done
refused 2 "a method there is not" "'crwn' is none of: .*nearest one is crown" sweep "$m" --inputs x.npy --eps 0.1 --method ibp,crwn
refused 2 "no method" "is none of" sweep "$m" --inputs x.npy --eps 0.1 --method ""
run 0 "methods in any order" sweep "$m" --inputs x.npy --eps 0.001,0.1 --method crown,ibp --svg log.svg --json
json out "[k['method'] for k in j['methods']] == ['ibp', 'crown']"
has log.svg "radius \(logarithmic\)"

echo "-- out of time, signals"
long=(sweep "$models/digits_cnn_permute.onnx" --inputs many.npy --labels many_y.npy --clip 0 1 --eps 0:0.2:5000
    --method crown --executor reference --all-radii)
run 9 "out of time" "${long[@]}" --timeout 1 --csv long.csv --svg long.svg
has err "not finished within --timeout 1 seconds: run it again to go on"
[ "$(wc -l <long.csv)" -gt 3 ] || fail "no rows in a second"
has long.svg "Not finished: [0-9]+ of 200000 rows"
"$bin" "${long[@]}" --csv long.csv --json >out 2>err </dev/null &
sleep 1
kill -INT $!
wait $!
same $? 10 "exit code after SIGINT"
has err "stopped by a signal: run it again to go on"
json out "j['end'] == 'cancelled' and j['rows_found'] > 2 and j['methods'][0]['rows']['run'] > j['rows_found']"
"$bin" "${long[@]}" --csv long.csv >out 2>err </dev/null &
sleep 1
refused 3 "a file that another process writes" "long.csv: another process is writing it" "${long[@]}" --csv long.csv
kill -KILL $!
wait $! 2>/dev/null
run 9 "going on behind a killed process" "${long[@]}" --timeout 0.5 --csv long.csv
"$python" - <<'PY' || fail "the CSV after signals is not one row per question"
import csv
rows = list(csv.DictReader(open("long.csv")))
assert len({(r["input"], r["eps"]) for r in rows}) == len(rows) > 6
assert all(r["decided_by"] == "run" for r in rows)
PY

if command -v script >/dev/null; then
    TERM=xterm script -qec "'$bin' sweep '$m' --inputs many.npy --clip 0 1 --eps 0:0.1:300 --all-radii --timeout 1" /dev/null \
        >screen </dev/null
    has screen "\[[#.]+\] [0-9]+/36000 (ibp|crown-ibp|crown): .* rows/s, about .* left"
    TERM=xterm script -qec "'$bin' sweep '$m' --inputs many.npy --clip 0 1 --eps 0:0.1:300 --quiet --timeout 1" /dev/null \
        >screen </dev/null
    lacks screen "rows/s"
else
    echo "SKIP  the progress bar: no script(1)"
fi
finish
