#!/usr/bin/env bash
# install_tool.sh v1: installs what building needs (Debian; root or sudo) and builds build/boundflow.
set -eu
# shellcheck source=instance.sh
. "$(dirname "${BASH_SOURCE[0]}")/instance.sh"
[ $# -eq 1 ] || die "usage: install_tool.sh v1"
check_version "$1"
cd "$root"
scripts/setup.sh build
scripts/build.sh release boundflow
echo "$(build/boundflow --name) $(build/boundflow --version) is ready"
