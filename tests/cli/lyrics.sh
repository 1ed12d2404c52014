#!/bin/sh
# Timestamps and scores: beside a new song, and of a song that is only left as its JSON.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny
export ACESTEP_CHECKPOINTS_DIR=tiny
printf '[Verse]\nover the hill\nround the bend\n' >words.txt

expect 0 generate "slow rain" --lyrics words.txt --duration 10 --seed 7 --think --lrc --score -o songs/a.wav
[ "$(cat out)" = songs/a.wav ] || fail "stdout is not the path alone"
says "quality 0."
says "lyrics alignment: 0."
only a.wav a.json a.lrc
[ "$(grep -c '^\[00:0[0-9]\.[0-9][0-9]\]' songs/a.lrc)" = 3 ] || fail "three lines, three stamps"
grep -q '\]round the bend$' songs/a.lrc || fail "the last line is missing"
grep -q '"scores": {' songs/a.json || fail "the JSON has no scores"

# The same again from the JSON, by its name or by the song's.
expect 0 lrc songs/a.json -q
same out songs/a.lrc
[ ! -s err ] || fail "-q is not silent"
expect 0 lrc songs/a.wav -q -o b.lrc
[ ! -s out ] || fail "-o leaves standard output alone"
same b.lrc songs/a.lrc
expect 0 lrc songs/a.json -q -o a.vtt
[ "$(head -n 1 a.vtt)" = WEBVTT ] || fail "no WebVTT"
expect 0 lrc songs/a.json -q --json
prints '"token_timestamps"'
expect 0 score songs/a.json -q
prints "quality 0."
prints "timesignature"
expect 0 score songs/a.json -q --json --sensitivity 0.1
prints '"sensitivity": 0.1'
# What is said does not change what is there.
expect 0 generate --from songs/a.json --strict -q -o songs/again.wav
same songs/a.wav songs/again.wav

# Without words there are no times, and the song is made all the same.
expect 0 generate "slow rain" --duration 10 --seed 7 --instrumental --lrc -o songs/c.wav
says "lyrics: the song has none"
[ -f songs/c.wav ] && [ ! -f songs/c.lrc ] || fail "a song without words"
expect 2 lrc songs/c.json -q
says "lyrics: the song has none"
expect 2 score songs/c.json -q
says "no audio codes"

# Refusals come before the long work.
expect 2 lrc
says "acestep lrc song.json"
echo '{"caption": "a plan"}' >plan.json
expect 2 score plan.json
says "no finished song"
expect 2 score songs/a.json --sensitivity 2
says "--sensitivity"
expect 1 lrc nowhere.json
