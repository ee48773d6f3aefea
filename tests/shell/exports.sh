#!/usr/bin/env bash
# libboundflow.so shows bf_ functions and nothing else: no internals, no generated ONNX reader.
set -euo pipefail

library=$BOUNDFLOW_BUILD_DIR/libboundflow.so
symbols=$(nm -D --defined-only "$library" | awk '{print $3}')
grep -q '^bf_status_name$' <<<"$symbols" || { echo "bf_status_name is not exported"; exit 1; }
if grep -vE '^(bf_[a-z]|__(odr_)?asan|__sancov|__start_|__stop_)' <<<"$symbols"; then
    echo "exported by $library, but not part of the API"
    exit 1
fi
