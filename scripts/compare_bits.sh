#!/usr/bin/env bash
# Bounds of two builds have to be the same bits: scripts/compare_bits.sh BOUNDFLOW OTHER_BOUNDFLOW
# Every network of models/, and where there is public data (BOUNDFLOW_DATA, else ../shared/data) the
# first instance of each family; every method, both number types. A method that takes over 20 seconds
# is left out, visibly.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

one=${1:?usage: scripts/compare_bits.sh BOUNDFLOW OTHER_BOUNDFLOW} other=${2:?a second boundflow}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export BOUNDFLOW_TVM=none
compared=0 skipped=0 different=0

# FOLDER of an instances.csv, its line
compare_instance() {
    local onnx vnnlib method dtype what
    IFS=, read -r onnx vnnlib _ <<<"$2"
    for method in ibp crown-ibp crown alpha-crown; do
        for dtype in float32 float64; do
            what="$onnx $vnnlib --method $method --dtype $dtype"
            rm -f "$folder"/*.csv
            if ! bounds "$one" "$1" "$folder/one.csv" || ! bounds "$other" "$1" "$folder/other.csv"; then
                skipped=$((skipped + 1))
                echo "SKIP  $what: $(head -n 1 "$folder/err")"
            elif cmp -s "$folder/one.csv" "$folder/other.csv"; then
                compared=$((compared + 1))
            else
                different=$((different + 1))
                echo "DIFFERENT  $what"
                diff "$folder/one.csv" "$folder/other.csv" | head -n 4 || true
            fi
        done
    done
}

bounds() {
    timeout 20 "$1" bound "$2/$onnx" --vnnlib "$2/$vnnlib" --method "$method" --dtype "$dtype" --csv "$3" \
        >/dev/null 2>"$folder/err" </dev/null
}

while read -r line; do compare_instance models "$line"; done < <(sort -t, -k1,1 -u models/instances.csv)
data=${BOUNDFLOW_DATA:-../shared/data}/vnncomp
if [ -d "$data" ]; then
    for family in "$data"/*/; do
        line=$(grep -m 1 onnx/ "$family/instances.csv") && compare_instance "${family%/}" "$line"
    done
else
    echo "SKIP  public networks: no $data"
fi
echo "compare_bits: $compared cases with the same bits, $different different, $skipped left out"
[ "$different" = 0 ] && [ "$compared" -gt 0 ]
