#!/usr/bin/env bash
# Fuzzes every target of tests/fuzz for SECONDS each, from its corpus: scripts/soak.sh SECONDS
# New inputs gather in build-fuzz/corpus; an input that crashes is left in build-fuzz/crashes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-60}
targets=()
for source in tests/fuzz/fuzz_*.c; do targets+=("$(basename "$source" .c)"); done
scripts/build.sh fuzz "${targets[@]}"
mkdir -p build-fuzz/crashes
passed=0 failed=0
for name in "${targets[@]}"; do
    corpus=build-fuzz/corpus/$name
    seeds=tests/fuzz/corpus/${name#fuzz_}
    mkdir -p "$corpus"
    [ -d "$seeds" ] || seeds=
    echo "soak: $name for $seconds s"
    log=build-fuzz/$name.log
    if ASAN_OPTIONS=allocator_may_return_null=1 build-fuzz/tests/"$name" -max_total_time="$seconds" \
        -timeout=25 -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix=build-fuzz/crashes/"$name"- \
        "$corpus" ${seeds:+"$seeds"} >"$log" 2>&1 </dev/null; then
        grep -E 'number_of_executed_units' "$log" || true
        passed=$((passed + 1))
    else
        tail -n 40 "$log"
        echo "soak: $name failed: see $log"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
