#!/bin/sh
# What cannot be is refused in one clear line, before any work, with the promised exit status, and leaves nothing.
set -eu
. "$(dirname -- "$0")/lib.sh"

# refused STATUS TEXT ARGS...
refused() {
  status=$1 text=$2
  shift 2
  expect "$status" "$@"
  says "$text"
  [ "$(grep -c '^acestep: ' err)" = 1 ] || fail "not one line: acestep $*"
  [ ! -s out ] || fail "something on stdout: acestep $*"
}

refused 2 'did you mean generate?' genrate x
refused 2 'did you mean --duration?' generate x --duratoin 30
refused 2 'no caption' generate
refused 2 'duration: 5 is outside 10..600' generate x --duration 5
refused 2 'batch_size: 9 is outside 1..8' generate x --batch 9
refused 2 'audio_format: "ape" is none of' generate x --audio-format ape
refused 2 'src_audio: task repaint requires source audio' generate x --task-type repaint
refused 2 '.wav, .flac, .mp3, .opus' generate x -o songs/x.xyz
refused 2 'standard output' generate x -o -
refused 1 'there is no folder' generate x -o nowhere/x.flac
refused 1 'cannot create' generate x -o /proc/x.flac
refused 1 '--lyrics-text' generate x --lyrics 'la la la'
refused 1 'nope.wav: cannot open' generate x --reference-audio nope.wav
refused 2 'folder' generate x --reference-audio songs
refused 1 'nope.json: cannot open' generate --from nope.json
refused 2 '--threads' generate x --threads many
refused 2 '--memory' generate x --memory 12
refused 2 'only one thing' generate - --lyrics -
echo '{"duration": 9999}' >saved.json
refused 2 'duration: 9999 is outside' generate --from saved.json
echo '{"duratoin": 20}' >saved.json
refused 2 'did you mean "duration"?' generate --from saved.json
echo 'no json' >saved.json
refused 2 'saved.json' generate --from saved.json
printf 'la\0la' >words
refused 2 'NUL' generate x --lyrics words
printf 'caf\351' >words
refused 2 'UTF-8' generate x --lyrics words

# No models: where it looked, and what to do.
refused 1 'acestep make-tiny DIR' generate x
says "$ACESTEP_HOME/models"
says ACESTEP_CHECKPOINTS_DIR
refused 1 'is not a folder' generate x --models nowhere
refused 1 'no diffusion model' generate x --models songs

# The same as events.
expect 2 generate x --duration 5 --json
[ "$(cat out)" = '{"event":"error","status":"invalid","message":"duration: 5 is outside 10..600 (or -1: automatic)"}' ] ||
  fail "no error event"

only
[ ! -e home ] || fail "something was left in the home folder"

# make-tiny never writes over what is there.
mkdir full
echo precious >full/file
refused 2 '--force' make-tiny full
[ "$(ls -A full)" = file ] || fail "make-tiny wrote into a folder that is not empty"
