#!/usr/bin/env bash
# Builds a preset and runs its whole suite: scripts/run_tests.sh PRESET [CTEST ARGUMENT...]
# The last line is ctest's own count; results also go to tests.xml in the build folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=${1:?usage: scripts/run_tests.sh PRESET [CTEST ARGUMENT...]}
shift
folder=build-$preset
[ "$preset" = release ] && folder=build

# TVM's kernels run in the release suite, in strict mode: there a fallback is a failure.
if [ "$preset" != release ]; then
    echo "run_tests: TVM is left out of the suite '$preset'; 'make test' has it"
    export BOUNDFLOW_TVM=none
    unset BOUNDFLOW_TVM_STRICT
else
    export BOUNDFLOW_TVM=${BOUNDFLOW_TVM:-$PWD/.tvm}
    if [ -e "$BOUNDFLOW_TVM" ]; then BOUNDFLOW_TVM=$(realpath "$BOUNDFLOW_TVM"); fi
    if [ -e "$BOUNDFLOW_TVM" ] || [ -n "${BOUNDFLOW_TVM_STRICT:-}" ]; then
        export BOUNDFLOW_TVM_STRICT=1
    else
        echo "run_tests: no TVM ($BOUNDFLOW_TVM; 'make tvm' gets it): its tests are skipped"
        export BOUNDFLOW_TVM=none
    fi
fi

scripts/build.sh "$preset"
log=$folder/tests.log
rc=0
ctest --test-dir "$folder" --output-on-failure --no-tests=error -j "${JOBS:-$(nproc)}" \
    --output-junit tests.xml "$@" </dev/null 2>&1 | tee "$log" || rc=$?
# Cases that a test program left out by itself are in no count of ctest: name them.
grep -ahE '^\[  SKIPPED \] |^SKIP' "$folder/Testing/Temporary/LastTest.log" | sort -u | head -n 40 || true
grep -aE '^[0-9]+% tests passed' "$log" | tail -n 1
exit "$rc"
