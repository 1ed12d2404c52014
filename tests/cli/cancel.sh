#!/bin/sh
# Ctrl-C and SIGTERM stop a long job with their exit status and leave no file behind, whatever the job is doing.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny
export ACESTEP_CHECKPOINTS_DIR=tiny

# interrupt SIGNAL STATUS PATTERN: starts a job of minutes, signals when an event matches, waits for its end.
interrupt() {
  rm -rf songs && mkdir songs
  : >out
  "$program" generate rain --duration 180 --batch 2 --steps 20 --json -o songs/x.wav >out 2>err &
  job=$!
  until grep -q "$3" out; do
    kill -0 $job 2>/dev/null || fail "the job ended by itself"
    sleep 0.05
  done
  kill -"$1" $job
  status=0
  wait $job || status=$?
  [ "$status" = "$2" ] || fail "exit status $status after SIG$1, wanted $2"
  grep -q '"event":"error","status":"cancelled"' out || fail "no event of the cancellation"
  says cancelled
  only
}
interrupt INT 130 '"stage":"load"'
interrupt INT 130 '"stage":"diffuse","fraction":[0-9.e-]*,"seconds_left":[0-9.e-]*,"step":1'
interrupt TERM 143 '"stage":"encode"'

# While files are written: songs that are finished already go as well.
rm -rf songs && mkdir songs
"$program" generate rain --duration 30 --batch 3 --steps 1 --json -o songs/x.mp3 >out 2>err &
job=$!
until grep -q '"event":"file"' out; do
  kill -0 $job 2>/dev/null || fail "the job ended by itself"
  sleep 0.02
done
kill -INT $job
status=0
wait $job || status=$?
if [ "$status" = 130 ]; then only; else [ "$status" = 0 ] || fail "exit status $status"; fi

# A cancelled make-tiny leaves no folder, or the empty one that was there.
"$program" make-tiny other --json >out 2>err &
job=$!
until grep -q '"step":3' out || ! kill -0 $job 2>/dev/null; do sleep 0.01; done
kill -INT $job 2>/dev/null || true
status=0
wait $job || status=$?
if [ "$status" = 130 ]; then [ ! -e other ] || fail "make-tiny left its folder"; else [ "$status" = 0 ] || fail "$status"; fi
