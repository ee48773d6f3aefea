#!/usr/bin/env bash
# libboundflow.so exports exactly the functions that include/boundflow declares with BF_API: no
# internals, no generated ONNX reader, nothing declared but not written.
set -euo pipefail

library=$BOUNDFLOW_BUILD_DIR/libboundflow.so
runtime='^(__(odr_)?asan|__sancov|__start_|__stop_)' # what instrumentation adds

declared=$(cat "$BOUNDFLOW_SOURCE_DIR"/include/boundflow/*.h | tr '\n' ' ' |
    grep -oE 'BF_API[^;(]*\(' | grep -oE 'bf_[a-z0-9_]+\($' | tr -d '(' | sort -u)
exported=$(nm -D --defined-only "$library" | awk '{print $3}' | grep -vE "$runtime" | sort -u)

[ -n "$declared" ] || { echo "no BF_API function found in include/boundflow"; exit 1; }
if ! diff <(echo "$declared") <(echo "$exported"); then
    echo "'<': declared with BF_API, not exported; '>': exported, not declared"
    exit 1
fi
echo "$(wc -l <<<"$declared") functions"
