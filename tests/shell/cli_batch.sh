#!/usr/bin/env bash
# boundflow verify --batch: rows, a broken one among them, known verdicts, the csv.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

run 0 "all of models/" verify --batch "$models/instances.csv" --expected "$models/expected.csv" --csv o.csv
rows=$(wc -l <"$models/instances.csv")
same "$(wc -l <o.csv)" $((rows + 1)) "lines of the csv"
has out "^$rows of $rows instances"
has out "; 0 wrong among $rows"
has out "^decided by"
lacks out "WRONG"
"$python" - "$models/expected.csv" <<'PY' || fail "a verdict in the csv contradicts expected.csv"
import csv, sys
known = {(r[0], r[1]): r[2] for r in csv.reader(open(sys.argv[1]))}
rows = list(csv.DictReader(open("o.csv")))
assert all({r["verdict"], known[r["onnx"], r["vnnlib"]]} != {"sat", "unsat"} for r in rows)
assert all(float(r["time_s"]) > 0 for r in rows)
PY

m=$models/digits_mlp.onnx
p=$(known digits_mlp.onnx unsat)
cp "$m" net.onnx
cp "$p" "a,b.vnnlib"
{
    printf 'onnx,vnnlib,timeout\r\n'
    printf 'net.onnx,"a,b.vnnlib",20\r\n'
    printf 'none.onnx,"a,b.vnnlib",20\n'
    printf '\n'
    printf 'net.onnx,none.vnnlib,20\n'
    printf 'net.onnx,"a,b.vnnlib",soon\n'
    printf 'net.onnx\n'
    printf '%s , %s\n' "$m" "$p"
} >batch.csv
run 3 "broken rows are rows, the others go on" verify --batch batch.csv --csv o.csv
same "$(grep -c '^unsat ' out)" 3 "rows and summary of proved instances"
same "$(grep -c '^error .*(' out)" 4 "rows of failed instances"
has out "none.onnx"
has out "batch.csv:6: timeout 'soon'"
has out "batch.csv:7: expected onnx,vnnlib,timeout"
has out "^6 of 6 instances"
has o.csv '^net.onnx,"a,b.vnnlib",unsat,'
has o.csv '^none.onnx,"a,b.vnnlib",error,,'

mkdir -p sub elsewhere
cp net.onnx "a,b.vnnlib" sub
echo 'net.onnx,"a,b.vnnlib",20' >sub/batch.csv
rm net.onnx
run 0 "paths are relative to the batch's folder" verify --batch sub/batch.csv
cp "$m" here.onnx
echo 'here.onnx,"a,b.vnnlib",20' >sub/batch.csv
run 0 "and then to the current one" verify --batch sub/batch.csv

printf 'note,verdict,vnnlib,onnx\n"x,y",sat,"a,b.vnnlib",here.onnx\n' >known.csv
run 1 "a wrong verdict" verify --batch sub/batch.csv --expected known.csv
has out "WRONG: known to be sat"
has out "1 wrong among 1"
printf 'note,verdict,vnnlib,onnx\nx,unknown,"a,b.vnnlib",here.onnx\n' >known.csv
run 0 "an unknown verdict contradicts nothing" verify --batch sub/batch.csv --expected known.csv

run 3 "--json prints one object per line" verify --batch batch.csv --json
"$python" - <<'PY' || fail "a line is no JSON object"
import json
rows = [json.loads(line) for line in open("out")]
assert [r["verdict"] for r in rows].count("error") == 5 and len(rows) == 6
assert all(r["reason"] for r in rows if r["verdict"] == "error")
PY
has err "^unsat"
run 3 "--quiet is quiet" verify --batch batch.csv --json --quiet
[ ! -s err ] || fail "--quiet printed on stderr"
finish
