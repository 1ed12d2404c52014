#!/bin/sh
# plan, format, understand: what the language model does alone, for people, for programs, and on into generate.
set -eu
. "$(dirname -- "$0")/lib.sh"
tiny
export ACESTEP_CHECKPOINTS_DIR=tiny

# field NAME VALUE FILE: a line of a JSON object as it is printed; VALUE is a pattern.
field() {
  grep -qE "^  \"$1\": $2,?\$" "$3" || fail "$3: no $1 that is $2"
}

# block: the fields for people, in their order, within what the models know.
block() {
  sed -n '1,7s/ .*//p' out | tr '\n' ' ' | grep -qx 'caption bpm key meter length language genres ' || fail "other fields"
  grep -qE '^bpm       [0-9]{2,3}$' out || fail "no tempo"
  grep -qE '^key       [A-G][#b♯♭]? (major|minor)$' out || fail "no key"
  grep -qE '^meter     (2/4|3/4|4/4|6/8)$' out || fail "no meter"
  grep -qE '^length    [0-9]+:[0-9]{2}$' out || fail "no length"
  grep -qE '^language  [a-z]+$' out || fail "no language"
  LC_ALL=C grep -q "$(printf '[\001-\010\013-\037\177]')" out && fail "control characters reach the terminal"
  return 0
}

# ---- plan
expect 0 plan "a soft Bengali love song" --vocal-language bn --seed 7
block
prints 'language  bn'
says 'seed 7, in'
cp out words
expect 0 plan "a soft Bengali love song" --vocal-language bn --seed 7 --threads 1 -q
same out words
[ ! -s err ] || fail "-q is not silent"
expect 0 plan "a soft Bengali love song" --vocal-language bn --seed 7 --json -o songs/plan.json
same out songs/plan.json
only plan.json
[ ! -s err ] || fail "--json writes to stderr"
field vocal_language '"bn"' out
field instrumental false out
field bpm '[0-9]{2,3}' out
field timesignature '"[2346]"' out
field duration '[0-9.]+' out
grep -q '"seed": 7' out || fail "the seed is not told"
[ "$(sed -n 's/^bpm *//p' words)" = "$(sed -n 's/^  "bpm": \([0-9]*\),/\1/p' out)" ] || fail "text and JSON differ"
expect 0 plan "a soft Bengali love song" --vocal-language bn --seed 8 -q
cmp -s out words && fail "another seed makes the same plan"
echo 'a soft Bengali love song' | "$program" plan - --vocal-language bn --seed 7 -q >out 2>err || fail "plan -"
same out words
expect 0 plan # any song
block

# A plan becomes a song: from its file, and through a pipe.
expect 0 generate --from songs/plan.json --duration 10 --seed 3 -q -o songs/a.wav
field vocal_language '"bn"' songs/a.json
[ "$(grep '^  "keyscale"' songs/a.json)" = "$(grep '^  "keyscale"' songs/plan.json)" ] || fail "another key"
"$program" plan "a soft Bengali love song" --vocal-language bn --seed 7 --json 2>err |
  "$program" generate --from - --duration 10 --seed 3 -q -o songs/b.wav >out || fail "plan | generate"
same songs/a.wav songs/b.wav
expect 0 plan rain --instrumental --seed 7 --json
field instrumental true out
cp out songs/rain.json
# It is no saved song: nothing is compared, and a batch stays one.
expect 0 generate --from songs/rain.json --strict --duration 10 --seed 3,4 --batch 2 -q -o songs/rain.wav
[ -f songs/rain-2.wav ] || fail "no batch of a plan"

# ---- format: what is given stays
printf '[Verse]\nla la\n' >words.txt
expect 0 format "slow blues" --lyrics words.txt --bpm 70 --keyscale "A minor" --timesignature 3 --duration 12.5 \
  --vocal-language en --seed 1
block
prints 'bpm       70'
prints 'key       A minor'
prints 'meter     3/4'
prints 'language  en'
expect 0 format "slow blues" --lyrics words.txt --bpm 70 --duration 12.5 --seed 1 --json
field bpm 70 out
field duration 12.5 out
"$program" format --caption-file - --lyrics words.txt --bpm 70 --duration 12.5 --seed 1 --json <<END >out2 2>err || fail -
slow blues
END
same out out2
expect 0 generate --from out2 --seed 3 -q -o songs/blues.wav
field duration 12.5 songs/blues.json

# ---- understand: a recording, its codes as text, the JSON of a song
head -c 384100 songs/a.wav >cut.wav # two seconds: encoding takes its time
expect 0 understand cut.wav --codes-only
cp out codes
[ "$(grep -o '<|audio_code_[0-9]*|>' codes | wc -l)" = 10 ] || fail "2 s are not 10 codes"
says '10 codes for 0:02 of sound'
expect 0 understand cut.wav --seed 5
block
cp out words
expect 0 understand codes --seed 5 -q
same out words
"$program" understand - --seed 5 -q <codes >out 2>err || fail "understand -"
same out words
expect 0 generate rain --audio-codes "$(cat codes)" --seed 3 -q -o songs/like.wav
expect 0 understand songs/like.json --codes-only -q
same out codes
expect 0 understand songs/like.json --codes-only --json
[ "$(sed -n 's/^  "audio_codes": "\(.*\)"$/\1/p' out)" = "$(cat codes)" ] || fail "other codes in the JSON"
expect 0 understand codes --seed 5 --json -o songs/understood.json
[ "$(sed -n 's/^  "audio_codes": "\(.*\)"$/\1/p' out)" = "$(cat codes)" ] || fail "no codes in the JSON"
expect 0 generate --from songs/understood.json --seed 3 -q -o songs/again.wav

# ---- the grammar's decisions, on request
expect 0 plan rain --seed 7 --constrained-decoding-debug --json
says 'bpm'
grep -q '^{$' out || fail "the log is in the JSON"
expect 0 generate rain --duration 10 --seed 7 --think --constrained-decoding-debug --json -o songs/x.wav
grep -q '^{"event":"log","message":"codes: ' out || fail "no log events"
grep -q '"stage":"think".*"step":50,"steps":50' out || fail "codes are not counted"
expect 0 generate rain --duration 10 --seed 7 --lm acestep-5Hz-lm-0.6B -q -o songs/y.wav
same songs/x.wav songs/y.wav
expect 0 generate rain --duration 10 --seed 7 --thinking true --no-think -q -o songs/z.wav
cmp -s songs/x.wav songs/z.wav && fail "--no-think thinks"

# ---- refusals: one line, the promised status, nothing left
rm -rf songs && mkdir songs
refused() {
  status=$1 text=$2
  shift 2
  expect "$status" "$@"
  says "$text"
  [ "$(grep -c '^acestep: ' err)" = 1 ] || fail "not one line: acestep $*"
  [ ! -s out ] || fail "something on stdout: acestep $*"
}
refused 2 'plan: there is no flag --steps' plan x --steps 5
refused 2 'did you mean --codes-only?' understand codes --code-only
refused 2 'lm_temperature: 9 is outside' plan x --lm-temperature 9
refused 2 'no caption and no lyrics' format
refused 2 'give it once' format x --caption y
refused 2 'no file' understand
refused 1 'nope.wav: cannot open' understand nope.wav
refused 2 'folder' understand songs
refused 2 '<|audio_code_N|>' understand words.txt
refused 2 '<|audio_code_N|>' understand /dev/null
head -c 9000 "$program" >songs/x
refused 1 'not a sound file' understand songs/x
rm songs/x
refused 2 '--json' plan x -o -
refused 2 'is a folder' plan x -o songs
refused 1 'there is no folder' plan x -o nowhere/plan.json
refused 1 'it has acestep-5Hz-lm-0.6B' plan x --lm acestep-5Hz-lm-4B
refused 1 'it has acestep-v15-base, acestep-v15-turbo' plan x --model acestep-v15-trubo
refused 1 'it has vae' generate x --vae vea -o songs/x.wav
refused 1 'it has acestep-5Hz-lm-0.6B' generate x --lm acestep-5Hz-lm-4B -o songs/x.wav
expect 2 generate --from - # its standard input is empty
says 'standard input is empty'
# Ten seconds of 16-bit stereo at 8 kHz, of nothing and of noise.
recording() {
  printf 'RIFF\044\342\004\000WAVEfmt \020\000\000\000\001\000\002\000\100\037\000\000\000\175\000\000\004\000\020\000data\000\342\004\000'
  head -c 320000 "$1"
}
recording /dev/zero >silent.wav
refused 2 'silent' understand silent.wav --codes-only
mv tiny/acestep-5Hz-lm-0.6B kept
refused 1 'no language model here' plan x -o songs/plan.json
refused 1 'no language model here' understand silent.wav
expect 0 understand codes --codes-only -q
same out codes
mv kept tiny/acestep-5Hz-lm-0.6B
only

# ---- Ctrl-C: 130, within a moment, nothing left
# stopped PATTERN FILE ARGS...: signals once FILE says PATTERN.
stopped() {
  pattern=$1 file=$2
  shift 2
  : >out
  : >err
  "$program" "$@" >out 2>err <&3 &
  job=$!
  until grep -q "$pattern" "$file"; do
    kill -0 $job 2>/dev/null || fail "the job ended by itself"
    sleep 0.02
  done
  kill -INT $job
  status=0
  wait $job || status=$?
  [ "$status" = 130 ] || fail "exit status $status after SIGINT"
  says cancelled
  only
}
mkfifo keyboard
exec 3<>keyboard
recording "$program" >noise.wav
stopped '^encode' err understand noise.wav -o songs/x.json
stopped '"stage":"think".*"step":[1-9]' out generate rain --duration 600 --batch 4 --json --think -o songs/x.wav
[ ! -s songs/x.json ] || fail "a plan of a stopped run"
"$program" plan - -o songs/x.json >out 2>err <&3 &
job=$!
sleep 0.2
kill -INT $job
status=0
wait $job || status=$?
[ "$status" = 130 ] || fail "exit status $status while waiting for the keyboard"
only
