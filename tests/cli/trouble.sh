#!/bin/sh
# A full disk, a closed pipe, forbidden folders: a message, a failed exit status, no torn files.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny
export ACESTEP_CHECKPOINTS_DIR=tiny
generate="generate rain --duration 10 --seed 7"

# A file that cannot grow stands for the full disk. An older song of that name survives.
echo older >songs/x.wav
status=0
(ulimit -f 100 && "$program" $generate -q -o songs/x.wav) >out 2>err || status=$?
[ "$status" = 1 ] || fail "exit status $status on a full disk"
says 'x.wav: cannot write'
only x.wav
[ "$(cat songs/x.wav)" = older ] || fail "the older file is gone"
rm songs/x.wav

# The reader of stdout goes away: the song is made all the same.
"$program" $generate -q -o songs/x.wav 2>err | : || true
only x.wav x.json
[ ! -s err ] || fail "a closed pipe is worth no words"

# What was printed did not arrive: that is a failure.
if [ -c /dev/full ]; then
  status=0
  "$program" schema >/dev/full 2>err || status=$?
  [ "$status" = 1 ] || fail "exit status $status with a full stdout"
  says 'standard output'
fi

# A folder without permission (root passes everywhere, so root becomes nobody).
mkdir locked
chmod 555 locked
if [ "$(id -u)" = 0 ]; then
  command -v setpriv >/dev/null || exit 0
  chmod 755 "$work"
  as="setpriv --reuid=65534 --regid=65534 --clear-groups"
else
  as=
fi
status=0
$as "$program" $generate -o locked/x.wav >out 2>err || status=$?
[ "$status" = 1 ] || fail "exit status $status in a locked folder"
says 'cannot create'
