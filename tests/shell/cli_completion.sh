#!/usr/bin/env bash
# Completion scripts: each shell reads its own; bash's is exercised.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

for shell in bash zsh fish; do
    run 0 "completion $shell" completion $shell
    cp out "complete.$shell"
    for word in bound verify info demo doctor completion center network results-file crown-ibp; do
        has "complete.$shell" "$word"
    done
    if command -v $shell >/dev/null; then
        $shell -n "complete.$shell" || fail "$shell does not read its script"
    else
        echo "SKIP  syntax of the script for $shell: no $shell here"
    fi
done

# shellcheck disable=SC1091
. ./complete.bash
complete_words() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _boundflow
    echo "${COMPREPLY[*]}"
}
same "$(complete_words boundflow ver)" verify "a command"
same "$(complete_words boundflow bound --cen)" --center "an option"
same "$(complete_words boundflow verify --cen)" "" "an option of another command"
same "$(complete_words boundflow bound --method crown-)" crown-ibp "a choice"
same "$(complete_words boundflow completion f)" fish "a word of the positional"
touch net.onnx
same "$(complete_words boundflow bound ne)" net.onnx "a file"
same "$(complete_words boundflow verify --network ne)" net.onnx "a file after an option"
finish
