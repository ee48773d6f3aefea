#!/usr/bin/env bash
# How words on the command line become options.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

m=$models/digits_mlp.onnx
x=$models/digits_sample_flat_label3.npy
run 0 "--opt value" bound "$m" --center "$x" --eps 0.01 --method ibp --json
json out "j['method'] == 'ibp'"
run 0 "--opt=value" bound "$m" --center="$x" --eps=0.01 --method=ibp --json
json out "j['method'] == 'ibp'"
run 0 "options before the file, -- ends them" bound --center "$x" --eps 0.01 --json -- "$m"
json out "j['method'] == 'crown'"
run 0 "two words, the first attached, one negative" bound "$m" --center "$x" --eps 1e-2 --clip=-1 2 --json
refused 2 "a missing value" "--eps needs E" bound "$m" --center "$x" --eps
refused 2 "an option where a value should be" "--center needs X.npy" bound "$m" --center --eps 0.1
refused 2 "the second of two values is missing" "--clip needs LO HI" bound "$m" --center "$x" --eps 0.1 --clip 0
refused 2 "an option twice" "given twice" bound "$m" --eps 1 --eps 2
refused 2 "a value for a flag" "takes no value" bound "$m" --json=yes
refused 2 "a word that is no number" "'abc' is not a finite number" bound "$m" --center "$x" --eps abc
refused 2 "an infinite number" "finite" bound "$m" --center "$x" --eps inf
refused 2 "a negative radius" "negative" bound "$m" --center "$x" --eps -1
refused 2 "a fraction for a count" "whole number" bound "$m" --center "$x" --eps 1 --threads 1.5
refused 2 "no threads" "--threads" bound "$m" --center "$x" --eps 0.1 --threads 0
refused 2 "too many threads" "--threads" bound "$m" --center "$x" --eps 0.1 --threads 100000
refused 2 "a count beyond 64 bits" "64 bits" bound "$m" --repeat 99999999999999999999
refused 2 "no repeats" "--repeat" bound "$m" --center "$x" --eps 0.1 --repeat 0
refused 2 "negative seconds" ">= 0" verify p.vnnlib --network "$m" --timeout -1
refused 2 "bytes with a wrong suffix" "bytes" bound "$m" --memory 5X
refused 2 "a file too many" "one argument too many" bound "$m" "$m"
refused 2 "no file" "M.onnx is missing" info
refused 2 "no box" "which inputs" bound "$m"
refused 2 "two boxes" "choose one" bound "$m" --center "$x" --eps 0.1 --vnnlib p.vnnlib
refused 2 "a centre without a radius" "--eps" bound "$m" --center "$x"
refused 2 "a radius without a centre" "--center" bound "$m" --eps 0.1
refused 2 "spec and margin" "choose one" bound "$m" --center "$x" --eps 0.1 --spec c.npy --margin 1
refused 2 "no property" "P.vnnlib is missing" verify --network "$m"
refused 2 "no network" "--network" verify p.vnnlib
refused 2 "a batch and a property" "--batch" verify p.vnnlib --batch f.csv
refused 2 "a batch with a results file" "--csv" verify --batch f.csv --results-file r
refused 2 "a csv without a batch" "--batch" verify p.vnnlib --network "$m" --csv r
refused 2 "an unknown shell" "bash, zsh and fish" completion tcsh
run 0 "memory with a suffix" bound "$m" --center "$x" --eps 0.01 --memory 64M --json
refused 7 "too little memory" "memory" bound "$m" --center "$x" --eps 0.01 --memory 1K
finish
