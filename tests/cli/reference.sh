#!/bin/sh
# acestep cli: songs from a settings file of the reference's kind, and the questions that make one.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny

# A file is enough: seeds say how many songs, lyrics may be a file beside it, unknown names are passed over.
mkdir kept
cat >kept/config.toml <<'END'
checkpoint_dir = "tiny" # where the models lie
caption = "slow blues"
lyrics = "words.txt"
duration = 10
inference_steps = 1
seeds = [7, 8]
save_dir = "made"
audio_format = "wav"
thinking = false
unknown = { }
END
sed -i 's/{ }/"x"/' kept/config.toml
echo '[Verse] hello' >kept/words.txt
expect 0 cli -c kept/config.toml --log-level ERROR
[ "$(ls made/*.wav | wc -l)" = 2 ] || fail "two seeds make two songs: $(ls made)"
grep -q '\[Verse\] hello' made/*7.json || fail "the lyrics of the file are not sung"

# What does not go together is said before anything is made.
wrong() {
  printf '%s\n' "$1" >wrong.toml
  expect 2 cli -c wrong.toml
  says "$2"
}
wrong 'task_type = "cover"' 'src_audio: cover needs it'
wrong 'task_type = "dance"' 'task_type: "dance"'
wrong 'x = [1' 'wrong.toml: line 2: an array without its end'
wrong 'x = 1 y' 'wrong.toml: line 1: one setting a line'
wrong '[table]' 'tables have no meaning here'
expect 2 cli -c none.toml
says 'none.toml'
expect 2 cli -c kept/config.toml --backend mps
says '--backend: "mps"'

# Questions: the answers become a file that says the same when it is read again.
ACESTEP_CHECKPOINTS_DIR=tiny
export ACESTEP_CHECKPOINTS_DIR
printf '%s\n' '' acestep-v15-turbo '' n 'soft "piano"' 4 '[Verse]' 'la la' . de 1 y '' 10 '' '' '' 1 '' '' '' '' '' made2 wav y mine |
  "$program" cli --configure >asked || fail "the questions end with $?: $(cat asked)"
grep -q 'caption = "soft \\"piano\\""' mine.toml || fail "the caption is not in: $(cat mine.toml)"
grep -q 'lyrics = "\[Verse\]\\nla la\\n"' mine.toml || fail "the lyrics are not in: $(cat mine.toml)"
expect 0 cli -c mine.toml --log-level ERROR
[ "$(ls made2/*.wav | wc -l)" = 1 ] || fail "no song of the answers"

# Whoever leaves makes nothing, and that is no failure.
printf '1\n' | "$program" cli >left || fail "leaving is a failure"
grep -q 'Nothing was made' left || fail "leaving is not told"
