#!/usr/bin/env bash
# boundflow bound on many boxes in one run: what each gets alone, in every form of output.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx

# boxes LO HI COUNT: corners of COUNT boxes of 64 inputs, and of each alone as LO.0, HI.0, ...
boxes() {
    "$python" - "$@" <<'PY'
import struct, sys
def save(path, rows):
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 64), }" % len(rows)
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    with open(path, "wb") as out:
        out.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        for row in rows:
            out.write(struct.pack("<64d", *row))
lo, hi, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
lows = [[((7 * i + 3 * b) % 11) / 16 for i in range(64)] for b in range(count)]
highs = [[x + (b + 1) / 128 for x in row] for b, row in enumerate(lows)]
save(lo, lows), save(hi, highs)
for b in range(count):
    save(f"{lo}.{b}", [lows[b]]), save(f"{hi}.{b}", [highs[b]])
PY
}
boxes lo hi 5

for method in ibp crown-ibp crown; do
    run 0 "five boxes with $method" bound "$m" --box lo hi --method $method --json --csv b.csv --npy l.npy u.npy
    json out "j['boxes'] == 5 and len(j['lower']) == len(j['upper']) == 5"
    json out "all(len(row) == 10 for row in j['lower'] + j['upper'])"
    cp out all.json
    for b in 0 1 2 3 4; do
        run 0 "box $b alone with $method" bound "$m" --box lo.$b hi.$b --method $method --json
        "$python" - $b <<'PY' || fail "box $b is bounded otherwise in company"
import json, sys
b, one, many = int(sys.argv[1]), json.load(open("out")), json.load(open("all.json"))
sys.exit(0 if one["lower"] == many["lower"][b] and one["upper"] == many["upper"][b] else 1)
PY
    done
    "$python" - <<'PY' || fail "--csv and --npy do not hold what --json has"
import csv, json, struct, sys
j = json.load(open("all.json"))
rows = list(csv.DictReader(open("b.csv")))
ok = len(rows) == 50 and rows[13]["box"] == "1" and rows[13]["row"] == "Y_3"
ok = ok and [float(r["lower"]) for r in rows] == sum(j["lower"], [])
for name, key in (("l.npy", "lower"), ("u.npy", "upper")):
    data = open(name, "rb").read()
    ok = ok and b"(5, 10" in data[:128] and list(struct.unpack("<50d", data[-400:])) == sum(j[key], [])
sys.exit(0 if ok else 1)
PY
done

run 0 "a small memory budget" bound "$m" --box lo hi --memory 200K --threads 1 --json
same "$("$python" -c 'import json; print(json.load(open("out"))["lower"] == json.load(open("all.json"))["lower"])')" True "bounds within 200K"
run 0 "centres" bound "$m" --center lo --eps 0.01 --margin 3 --json
json out "j['boxes'] == 5 and all(len(row) == 9 for row in j['lower'])"
NO_COLOR=1 run 0 "a table per box" bound "$m" --box lo hi --margin 3
has out "5 boxes"
has out "^  box 4 "
same "$(grep -c '^  Y_3 - Y_0' out)" 5 "tables"
run 0 "one box keeps its form" bound "$m" --box lo.0 hi.0 --json --csv b.csv
json out "j['boxes'] == 1 and isinstance(j['lower'][0], float)"
same "$(wc -l <b.csv)" 11 "lines of CSV"

npy odd 100*0.5
refused 6 "numbers that are not whole boxes" "first axis take 64" bound "$m" --box odd odd
boxes lo2 hi2 2
refused 6 "corners of different numbers" "5 lower corners and hi2 2 upper" bound "$m" --box lo hi2
refused 2 "corners the wrong way round" "box 0, input 0" bound "$m" --box hi lo
refused 2 "layers of many boxes" "takes one box" bound "$m" --box lo hi --all-layers
refused 3 "no folder for the CSV" "no/b.csv" bound "$m" --box lo hi --csv no/b.csv
finish
