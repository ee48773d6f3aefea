#!/usr/bin/env bash
# The commands of docs/howto/sweep.md work as they stand, in a checkout, and give what the page shows.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

page=$root/docs/howto/sweep.md
ln -s "$root/models" "$root/scripts" .
mkdir build && ln -s "$bin" build/boundflow
grep -E '^    (python3|build/boundflow) ' "$page" >commands
[ "$(wc -l <commands)" -ge 3 ] || fail "no commands found in $page"
while read -r command; do
    eval "${command/#python3/$python}" >>out 2>err </dev/null || fail "$command: $(head -c 300 err)"
    pass "$command"
done <commands
while read -r row; do
    grep -qF -- "$row" <(tr -s ' ' <out) || fail "the page shows a row that did not come out: $row"
done < <(grep -E '^ +[0-9.]+( +[0-9.]+ %){3}$' "$page" | tr -s ' ')
has out "$(sed -n 's/^    \(radius [0-9.]*: output 3 is certain within it (crown)\).*/\1/p' "$page" | sed 's/[()]/\\&/g')"
[ -s rows.csv ] && [ -s accuracy.svg ] || fail "the page's files were not written"
finish
