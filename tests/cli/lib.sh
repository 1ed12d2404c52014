# lib.sh - what the tests of the program share. Each test is started as: sh tests/cli/NAME.sh PROGRAM
#
# It gets an empty folder of its own as working directory and home, and a set of untrained models in ./tiny.
#
# The program is a copy without the models that come with it, which lie relative to it.
built=$(realpath -- "$1")
work=$(mktemp -d)
trap 'cd /; rm -rf "$work"' EXIT
cd "$work"
mkdir bin
cp "$built" bin/
program=$work/bin/acestep
unset ACESTEP_CHECKPOINTS_DIR XDG_DATA_HOME
export ACESTEP_HOME="$work/home"

fail() {
  echo "FAILED: $*" >&2
  for log in out err; do
    [ ! -f "$work/$log" ] || { echo "--- $log" >&2; tail -n 20 "$work/$log" >&2; }
  done
  exit 1
}

# expect STATUS ARGS...: runs the program; its exit status must be STATUS. Leaves $work/out and $work/err.
expect() {
  wanted=$1
  shift
  got=0
  "$program" "$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
  [ "$got" = "$wanted" ] || fail "acestep $*: exit status $got, wanted $wanted"
}

# says TEXT: the last run's stderr has it.
says() {
  grep -qF -- "$1" "$work/err" || fail "stderr does not say: $1"
}

prints() {
  grep -qF -- "$1" "$work/out" || fail "stdout does not say: $1"
}

same() {
  cmp -s "$1" "$2" || fail "$1 and $2 differ"
}

# only NAMES...: nothing else lies in ./songs, hidden files included.
only() {
  found=$(ls -A songs | LC_ALL=C sort | tr '\n' ' ')
  wanted=$(for name in "$@"; do echo "$name"; done | LC_ALL=C sort | tr '\n' ' ')
  [ "$found" = "$wanted" ] || fail "in the folder: $found, wanted: $wanted"
}

tiny() {
  expect 0 make-tiny tiny -q
}
mkdir songs
