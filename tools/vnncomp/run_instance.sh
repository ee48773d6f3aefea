#!/usr/bin/env bash
# run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS TIMEOUT: decides one instance. RESULTS gets the verdict's
# word on its first line (sat, unsat, unknown, timeout, error; timed-out in queries of VNN-LIB 2) and, for
# sat, the assignment behind it. The exit code is 0 whatever the verdict.
set -u
# shellcheck source=instance.sh
. "$(dirname "${BASH_SOURCE[0]}")/instance.sh"
[ $# -eq 6 ] || die "usage: run_instance.sh v1 CATEGORY ONNX VNNLIB RESULTS TIMEOUT"
check_version "$1"
results=$5
rm -f "$results"

# The harness kills at the timeout and counts what is later as one. So the verifier stops by itself a little
# earlier (it needs no 50 ms for that, but loading is not interrupted), and is killed if it does not.
limits=$(awk -v t="$6" 'BEGIN {
    if (t + 0 <= 0) exit 1
    margin = 0.05 * t; if (margin > 0.5) margin = 0.5
    printf "%.3f %.3f\n", t - margin, t - margin / 3 }') || die "timeout '$6' is no number of seconds above 0"
read -r stop kill <<<"$limits"

answer() { echo "$1" >"$results"; }

property=$(find_file "$4" "$4") || { answer error && die "there is no property $4"; }
network=$(find_network "$3" "$property")
case $? in
    0) ;;
    2) # not a network alone: nothing can be said, which is no error
        answer unknown
        exit 0
        ;;
    *) answer error && die "there is no network $3" ;;
esac

timeout --signal=KILL "$kill" \
    "$bin" verify "$property" --network "$network" --timeout "$stop" --results-file "$results" --quiet >/dev/null
code=$?
[ -s "$results" ] && exit 0
if [ "$code" = 137 ]; then answer timeout; else answer error; fi
exit 0
