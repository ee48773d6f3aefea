#!/usr/bin/env bash
# prepare_instance.sh v1 CATEGORY ONNX VNNLIB: says whether the instance can be run. Nothing is
# converted or analysed: every time that counts is spent in run_instance.sh.
set -u
# shellcheck source=instance.sh
. "$(dirname "${BASH_SOURCE[0]}")/instance.sh"
[ $# -eq 4 ] || die "usage: prepare_instance.sh v1 CATEGORY ONNX VNNLIB"
check_version "$1"
[ -x "$bin" ] || die "$bin is missing: run install_tool.sh v1"
property=$(find_file "$4" "$4") || die "there is no property $4"
network=$(find_network "$3" "$property")
case $? in
    0) ;;
    2) die "several networks are not supported: $3" ;;
    *) die "there is no network $3" ;;
esac
[[ $network == *=* ]] && network=${network#*=}
[ -r "$network" ] || die "$network cannot be read"
