#!/bin/sh
# A repaint through the program: in a lossless file without normalisation, what lies outside the window and its ramps is the
# source, bit for bit. And a source in M4A, and a song in it, where ffmpeg is installed.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny
export ACESTEP_CHECKPOINTS_DIR=tiny
mkdir -p songs

# One second of 16-bit stereo: any bytes will do, and the program's own are always the same.
{
  printf 'RIFF\044\356\002\000WAVEfmt \020\000\000\000\001\000\002\000\200\273\000\000\000\356\002\000\004\000\020\000data\000\356\002\000'
  tail -c +50001 "$program" | head -c 192000
} >source.wav
window="--task-type repaint --repainting-start 0.4 --repainting-end 0.6 --steps 2 --seed 7 -q"
# shellcheck disable=SC2086
expect 0 generate other --src-audio source.wav $window --no-enable-normalization -o songs/new.wav
for part in 'head -c 72000' 'tail -c 72000'; do # all but 0.4 s to 0.6 s and 1200 samples beside them
  tail -c 192000 source.wav | $part >old
  tail -c 192000 songs/new.wav | $part >new
  cmp old new || fail "the repaint changed its outside ($part)"
done
cmp -s source.wav songs/new.wav && fail "the repaint changed nothing"
grep -q '"true_peak_dbtp"' songs/new.json || fail "the true peak is not told"

if command -v ffmpeg >/dev/null; then
  ffmpeg -nostdin -v error -i source.wav -c:a aac source.m4a
  # shellcheck disable=SC2086
  expect 0 generate other --src-audio source.m4a $window -o songs/new.m4a
  grep -q '"audio_format": "aac"' songs/new.json || fail "the song is not saved as aac"
  ffmpeg -nostdin -v error -i songs/new.m4a -f null - || fail "new.m4a cannot be played"
fi
(
  PATH=/nowhere
  export PATH
  "$program" generate other --src-audio source.wav -o songs/x.m4a 2>err && exit 1
  exit 0
) || fail "without ffmpeg a song in m4a was begun"
says "audio_format: writing AAC needs the program ffmpeg"
