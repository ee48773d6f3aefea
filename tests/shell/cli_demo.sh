#!/usr/bin/env bash
# boundflow demo: one property proved, one refuted, a picture in the terminal and one in SVG.
# shellcheck source=libcli.sh
. "$(dirname "${BASH_SOURCE[0]}")/libcli.sh"

run 0 "demo" demo
[ ! -s err ] || fail "the demo printed on stderr"
has out "^Yes: proved in .*unsat"
has out "^No: refuted in .*sat"
has out "read as [0-9] +read as [0-9] +difference"
has out "score of digit +0 +1 +2"
has out "boundflow-demo.svg"
lacks out $'\033'
"$python" - <<'PY' || fail "boundflow-demo.svg is not the picture it should be"
import xml.dom.minidom
svg = xml.dom.minidom.parse("boundflow-demo.svg").documentElement
assert svg.tagName == "svg" and len(svg.getElementsByTagName("g")) == 3
assert len(svg.getElementsByTagName("rect")) > 60 and svg.getElementsByTagName("title")
PY
# Two lines of the picture: 8 pixels of 2 characters, three times, with gaps.
same "$(grep -v difference out | grep -c '^  .\{16\}   .\{16\}   .\{16\}$')" 8 "rows of the second picture"
run 0 "demo --svg" demo --svg other.svg
[ -s other.svg ] || fail "--svg was not written"
COLUMNS=40 run 0 "a narrow terminal" demo --svg other.svg

if command -v script >/dev/null; then
    TERM=xterm-256color script -qec "'$bin' demo --svg other.svg" /dev/null >colours </dev/null
    has colours $'\033\\[48;5;2[0-9][0-9]m'
    NO_COLOR=1 TERM=xterm-256color script -qec "'$bin' demo --svg other.svg" /dev/null >plain </dev/null
    lacks plain $'\033'
    pass "colours on a terminal, none with NO_COLOR"
else
    echo "SKIP  colours on a terminal: no script(1)"
fi
finish
