#!/bin/sh
# judge: what the conservatory plays for its own prompts is what was asked for.
. "$(dirname -- "$0")/lib.sh"
judge=$(realpath -- "$2")

"$judge" truth --count 8 --only prompts >"$work/out" 2>"$work/err" || fail "judge truth"
[ "$(grep -c 'yes$' "$work/out")" = 3 ] || fail "the truth is not recognised"
