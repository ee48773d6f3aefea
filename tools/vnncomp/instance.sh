# shellcheck shell=bash disable=SC2034
# Shared by prepare_instance.sh and run_instance.sh: their arguments as files that exist. Source it.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
bin=${BOUNDFLOW_BIN:-$root/build/boundflow}

die() {
    echo "$(basename "$0"): $*" >&2
    exit 1
}

check_version() { [ "$1" = v1 ] || die "version '$1' of the interface is not known: v1 is"; }

# find_file PATH PROPERTY: PATH as given, or packed, or as seen from the property's benchmark.
find_file() {
    local folder place file
    folder=$(dirname "$2")
    for place in "$1" "$folder/$1" "$folder/../$1"; do
        for file in "$place" "$place.gz"; do
            [ -f "$file" ] && echo "$file" && return 0
        done
    done
    return 1
}

# find_network ONNX PROPERTY: what --network takes, for a path or a list [('f', 'a.onnx')] of one
# network; exit code 2 for a list of several.
find_network() {
    local quote="['\"]" list path name=
    list="^ *\[ *\( *$quote([^'\"]+)$quote *, *$quote([^'\"]+)$quote *,? *\) *,? *\] *$"
    path=$1
    if [[ $1 =~ $list ]]; then
        name=${BASH_REMATCH[1]}=
        path=${BASH_REMATCH[2]}
    elif [[ $1 =~ ^\ *\[ ]]; then
        return 2
    fi
    path=$(find_file "$path" "$2") && echo "$name$path"
}
