#!/bin/sh
# Songs from words: every format, names of files, batches, seeds, and the same song again from its JSON.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny
export ACESTEP_CHECKPOINTS_DIR=tiny

# Every format carries its own signature, and its JSON names it.
signature() {
  case $2 in
    flac) wanted=fLaC at=0 ;;
    mp3) wanted=ID3 at=0 ;;
    opus | ogg) wanted=OggS at=0 ;;
    wav) wanted=WAVE at=8 ;;
  esac
  found=$(dd if="$1" bs=1 skip=$at count=${#wanted} 2>/dev/null)
  [ "$found" = "$wanted" ] || fail "$1 is no $2 file"
}
for format in flac mp3 opus wav; do
  expect 0 generate "slow rain" --duration 10 --seed 7 -o "songs/$format.$format"
  [ "$(cat out)" = "songs/$format.$format" ] || fail "stdout is not the path alone"
  signature "songs/$format.$format" $format
  grep -q "\"audio_format\": \"$format\"" "songs/$format.json" || fail "$format.json does not name the format"
  # The saved song makes the identical file again, also when only its JSON is left and --strict is on.
  expect 0 generate --from "songs/$format.json" --strict -q -o "songs/again.$format"
  [ ! -s err ] || fail "-q is not silent"
  same "songs/$format.$format" "songs/again.$format"
done
expect 0 generate "slow rain" --duration 10 --seed 7 -q --audio-format wav32 -o songs/float.wav
expect 0 generate --from songs/float.json -q -o songs/again.wav
same songs/float.wav songs/again.wav

# Threads do not change a song.
expect 0 generate --from songs/flac.json -q --threads 1 -o songs/one.flac
same songs/flac.flac songs/one.flac

# A batch: item by item as alone, one file each.
rm -rf songs && mkdir songs
expect 0 generate "slow rain" --duration 10 --seed 7,8 --batch 2 -q -o songs/x.wav
only x-1.wav x-1.json x-2.wav x-2.json
expect 0 generate "slow rain" --duration 10 --seed 8 -q -o songs/alone.wav
same songs/alone.wav songs/x-2.wav
expect 0 generate --from songs/x-2.json -q -o songs/again.wav
same songs/again.wav songs/x-2.wav
cmp -s songs/x-1.wav songs/x-2.wav && fail "two seeds made one song"

# Made names: caption and seed; the same song keeps its name, another one never takes it.
rm -rf songs && mkdir songs
expect 0 generate "Slow Rain!" --duration 10 --seed 7 -q --audio-format wav -o songs
only slow-rain-7.wav slow-rain-7.json
cp songs/slow-rain-7.wav first
expect 0 generate "Slow Rain!" --duration 10 --seed 7 -q --audio-format wav -o songs
only slow-rain-7.wav slow-rain-7.json
expect 0 generate "Slow Rain!" --duration 10 --seed 7 -q --audio-format wav --shift 2 -o songs
only slow-rain-7.wav slow-rain-7.json slow-rain-7-2.wav slow-rain-7-2.json
same first songs/slow-rain-7.wav

# Words from files and pipes: Windows line ends, a byte-order mark and last newlines are not part of them.
printf '\357\273\277[Verse]\r\nla la\r\n\r\n' >words.txt
expect 0 generate rain --lyrics words.txt --duration 10 --seed 7 -q -o songs/a.wav
expect 0 generate rain --lyrics-text '[Verse]
la la' --duration 10 --seed 7 -q -o songs/b.wav
same songs/a.wav songs/b.wav
echo rain | "$program" generate - --lyrics words.txt --duration 10 --seed 7 -q -o songs/c.wav >out 2>err || fail "caption -"
same songs/a.wav songs/c.wav
expect 0 generate rain --duration 10 --seed 7 -q -o songs/none.wav
cmp -s songs/a.wav songs/none.wav && fail "the lyrics had no effect"

# Other weights: a warning that names the model, an error with --strict.
sed '/"autoencoder"/,/}/s/"sha256": ".*"/"sha256": "0123456789abcdef"/' songs/a.json >other.json
expect 0 generate --from other.json -o songs/d.wav
says "warning: autoencoder: the song was made with vae"
same songs/a.wav songs/d.wav
expect 2 generate --from other.json --strict -o songs/e.wav
says "autoencoder"
[ ! -e songs/e.wav ] || fail "--strict did not stop it"

# Events: JSON lines on stdout, nothing else there.
rm -rf songs && mkdir songs
expect 0 generate rain --duration 10 --seed 7 --json --batch 2 -o songs/x.wav
grep -qv '^{"event":"[a-z]*",.*}$' out && fail "a line of --json is no event"
[ "$(grep -c '"event":"file"' out)" = 2 ] || fail "not one file event a song"
prints '"path":"songs/x-1.wav","json":"songs/x-1.json","seed":7,"seconds":10.0}'
grep -q '"stage":"diffuse".*"step":8,"steps":8' out || fail "no progress of the diffusion"
tail -n 1 out | grep -q '^{"event":"done","files":2,' || fail "the last event is not done"
[ ! -s err ] || fail "--json writes to stderr"
