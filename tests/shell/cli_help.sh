#!/usr/bin/env bash
# Help texts, versions, and what is said about names that do not exist.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

commands="bound verify radius sweep cache info plan tune supports demo doctor help completion"
run 0 "--version" --version
same "$(cat out)" "$(cat "$root/VERSION")" "version"
run 0 "--name" --name
same "$(cat out)" "BoundFlow" "name"
run 0 "--help" --help
for command in $commands; do has out "^  $command"; done
cp out overview
run 0 "help" help
cmp -s out overview || fail "help and --help differ"
run 2 "no command prints the overview on stderr"
cmp -s err overview || fail "the overview on stderr differs"

for command in $commands; do
    run 0 "$command --help" "$command" --help
    cp out help
    has help "^Examples"
    has help "^  boundflow $command"
    run 0 "help $command" help "$command"
    cmp -s out help || fail "help $command and $command --help differ"
    run 0 "$command -h" "$command" -h
    cmp -s out help || fail "$command -h and $command --help differ"
    run 0 "$command --version" "$command" --version
    [ "$(awk '{ print length }' help | sort -n | tail -n 1)" -le 100 ] || fail "help $command is wider than 100"
done

run 0 "help exit-codes" help exit-codes
sed -n 's/^BF_STATUS([A-Z_]*, "\([^"]*\)", \([0-9]*\),.*/\2 \1/p' "$root/include/boundflow/status.def" >table
[ -s table ] || fail "status.def has no rows"
while read -r code name; do has out "^ +$code +$name "; done <table
has out "^ +1 +wrong "

echo "-- every option of options.def is in the help of the commands it names"
sed -n 's/^BF_OPTION([A-Z_]*, "\([^"]*\)".*ON(\([A-Z]*\)).*/\1 \2/p' "$root/tools/options.def" >options
[ "$(wc -l <options)" -gt 20 ] || fail "options.def was not understood"
while read -r option command; do
    "$bin" help "$(echo "$command" | tr A-Z a-z)" >out
    has out "--$option( |$)"
done <options

refused 2 "an unknown option names the nearest" "--center" bound m.onnx --centre x.npy
refused 2 "an unknown option names the nearest" "--results-file" verify p.vnnlib --result-file f
refused 2 "an option of another command names its command" "bound" verify p.vnnlib --center x.npy
refused 2 "one dash is not two" "--margin" bound m.onnx -margin 3
refused 2 "an unknown command names the nearest" "'verify'" verfy
refused 2 "an unknown command names the nearest" "'completion'" complete
refused 2 "an option before the command" "--version" --verson
refused 2 "an unknown topic" "exit-codes" help exitcodes
refused 2 "an unknown choice names the nearest" "crown-ibp" bound m.onnx --method crown_ibp
finish
