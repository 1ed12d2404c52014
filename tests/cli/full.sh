#!/bin/sh
# All weights from nothing, as docs/TRAINING.md tells it: untrained models around an autoencoder, pieces of the conservatory,
# and a training of each part, whose result takes the place of what it was made from and sings.
set -eu
miniature=$(realpath -- "$2")
. "$(dirname -- "$0")/lib.sh"
tiny

"$miniature" scale --vae tiny/vae --seed 5 --count 1 --seconds 2 -o scaled || fail "no scaled autoencoder"
"$miniature" models --vae scaled -o mini || fail "no models"
expect 0 info --models mini
"$miniature" pieces --vae mini/vae --seed 5 --count 1 --seconds 2 --tracks 1 -o pieces 2>err || fail "no pieces"
[ -s pieces/00000005.safetensors ] && [ -s pieces/manifest.json ] || fail "no pieces"
"$miniature" pieces --vae mini/vae --seed 5 --count 2 --seconds 2 --tracks 0 -o pieces 2>err || fail "no second piece"
[ -s pieces/00000006.safetensors ] || fail "no second piece"

expect 0 train pieces --full dit --models mini --model acestep-v15-base --estimate
says 'MB beside the model'
expect 2 train pieces --full voice --models mini
says 'is not one of dit, tokenizer, lm'
for part in tokenizer dit lm; do
  expect 0 train pieces --full "$part" --models mini --model acestep-v15-base --lm acestep-5Hz-lm-0.6B --epochs 2 \
    --output-dir "run-$part" --sample-every "$([ "$part" = dit ] && echo 2 || echo 0)" --sample-seconds 10 --json
  prints '"event":"done"'
  cp -R "run-$part"/final/. mini/
done
[ -s run-dit/samples/epoch_2.flac ] || fail "no sample song"

# From int8, which it stops being.
expect 0 convert --int8 mini/acestep-v15-base mini/small -q
expect 0 train pieces --full dit --models mini --model small --epochs 1 --output-dir run-small --json
prints '"event":"done"'
expect 0 convert --bf16 run-small/final/small mini/grown -q
expect 0 generate waltz --models mini --model grown --duration 10 --steps 2 -q -o grown.wav
[ -s grown.wav ] || fail "no song of the model that was int8"

# A turbo model that the trained base model teaches.
set -- train pieces --full dit --models mini --model acestep-v15-turbo --teacher
expect 0 "$@" acestep-v15-base --estimate
says 'Teacher: acestep-v15-base'
expect 1 "$@" acestep-v16-base --estimate
says 'there is no folder acestep-v16-base'
expect 2 train pieces --models mini --teacher acestep-v15-base
says 'only for a full training of dit'
expect 0 "$@" acestep-v15-base --teacher-guidance 2 --epochs 2 --output-dir run-turbo --json
prints '"event":"done"'
cp -R run-turbo/final/. mini/
expect 0 generate waltz --models mini --model acestep-v15-turbo --duration 10 --steps 2 -q -o taught.wav
[ -s taught.wav ] || fail "no song of the turbo model"

expect 0 generate waltz --models mini --model acestep-v15-base --duration 10 --steps 2 -q -o made.wav
[ -s made.wav ] || fail "no song"
exit 0
