#!/bin/sh
# judge: what untrained models play for prompts is not what was asked for; their repaints leave alone what is outside.
. "$(dirname -- "$0")/lib.sh"
judge=$(realpath -- "$2")

tiny
"$judge" tiny --count 2 --steps 1 >"$work/out" 2>"$work/err" || fail "judge tiny"
for figure in tempo key instruments "repaint: tempo"; do
  grep -q "^$figure.* no$" "$work/out" || fail "noise passes for music: $figure"
done
grep -q "^repaint: unchanged outside  *100" "$work/out" || fail "repaint changes what is outside"
grep -q "^extract bass: SI-SDR -" "$work/out" || fail "noise is like the bass"
